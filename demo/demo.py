#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The same load under three policies, with real guests: FIFO, strict priority,
earliest deadline first.

Boots a sender and a receiver per policy, prints one table, and writes
build/results/demo.json and demo.png.  Ends with status 1 if a promise was
broken.  What is sent stands in load.py.

Environment: ACCEL=auto|kvm|tcg, QEMU_BINARY=path.

Threads: none of its own.
"""

import os
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests', 'functional'))

import load                                             # noqa: E402
import measure                                          # noqa: E402
import report                                           # noqa: E402
import rtguest                                          # noqa: E402
from rtguest.results import show_files                   # noqa: E402

# Boot, set-up and draining, beside what load.py says.
OTHER_S = 14


class Progress:
    """What happens now and about how long the rest takes: one line that is
    rewritten on a terminal, one line per step elsewhere."""

    def __init__(self, steps):
        """@steps: (name, about how many seconds it takes) of each"""
        self._steps = steps
        self._shown = None

    def step(self, number):
        """A function that shows what happens within one step."""
        name, _ = self._steps[number]
        end_s = time.monotonic() + sum(s for _, s in self._steps[number:])

        def show(what):
            left_s = max(0, end_s - time.monotonic())
            text = f'[{number + 1}/{len(self._steps)}] {name}: {what}'
            if sys.stdout.isatty():
                print(f'\r\033[K{text}, about {left_s:.0f} s left', end='',
                      flush=True)
            elif text != self._shown:
                print(f'{text} (about {left_s:.0f} s left)', flush=True)
            self._shown = text
        return show

    def done(self):
        if sys.stdout.isatty():
            print('\r\033[K', end='', flush=True)


def busy_share(seconds):
    """Share of the processors that is in use (before the demo starts)."""
    def read():
        with open('/proc/stat', encoding='ascii') as f:
            # user nice system idle iowait irq softirq steal
            times = [int(word) for word in f.readline().split()[1:9]]
        return sum(times), times[3] + times[4]

    before_total, before_idle = read()
    time.sleep(seconds)
    total, idle = read()
    return 1 - (idle - before_idle) / (total - before_total)


def warn_if_busy():
    busy = busy_share(1)
    if busy > 0.1:
        print(f'Other programs use {busy:.0%} of this machine: the figures '
              'will show that, too.', flush=True)


def introduce():
    accel = rtguest.accelerator()
    print(f'Two guests under {accel.upper()}, one {load.RATE_BPS // 10**6} '
          'Mbit/s uplink; three real-time flows and a flood share it.',
          flush=True)
    warn_if_busy()


def verdict(summary):
    """Print which promises were broken, and the host's excuse; exit status."""
    broken = summary.broken_promises()
    for sentence in broken:
        print('BROKEN:', sentence)
    if broken and summary.excuse():
        print(summary.excuse())
    return 1 if broken else 0


def present(results, summary, figures, picture):
    """Print all that there is to see; exit status.

    @figures, @picture: paths of what was written, None: no picture
    """
    print(report.table(results), end='\n\n')
    print(summary.text(), end='\n\n')
    show_files(figures, picture)
    return verdict(summary)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    try:
        introduce()
        progress = Progress([(policy, load.RT_S + load.WARM_UP_S + OTHER_S)
                             for policy in load.POLICIES])
        results = []
        with tempfile.TemporaryDirectory(prefix='rtdemo-', dir='/tmp') as tmp:
            for number, policy in enumerate(load.POLICIES):
                results.append(measure.measure(
                    policy, tmp, progress.step(number)))
        progress.done()
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except rtguest.FAILURES as e:
        sys.exit(f'\ndemo: {e}\nLogs of the guests are in {rtguest.LOGS}.')

    summary = report.Summary(results)
    return present(results, summary,
                   report.write_json('demo', results, summary),
                   report.plot('demo', results, 'uplink',
                               f'FIFO, {load.QUEUE_PKTS} frames deep'))


if __name__ == '__main__':
    sys.exit(main())
