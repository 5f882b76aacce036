#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Deadlines between virtual machines: the same load through vhost-user-shmem
under three policies, FIFO, strict priority, earliest deadline first.

Boots a guest with two rtvnics, two that flood, and a receiver behind a port of
10 Mbit/s; prints one table, and writes build/results/demo-edf-host.json and
demo-edf-host.png.  Ends with status 1 if a promise was broken.  What is sent
stands in edf_host_load.py.

Environment: ACCEL=auto|kvm|tcg, QEMU_BINARY=path.

Threads: see edf_host_measure.py.
"""

import os
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests', 'functional'))

import demo                                             # noqa: E402
import edf_host_load as host                            # noqa: E402
import edf_host_measure as measure                      # noqa: E402
import edf_host_report as edf_report                    # noqa: E402
import load                                             # noqa: E402
import report                                           # noqa: E402
import rtguest                                          # noqa: E402
from rtguest import vus                                 # noqa: E402

TARGET = 'demo-edf-host'
BOOT_S = 25
# Set-up and draining, beside what load.py says.
OTHER_S = 6


def introduce():
    accel = rtguest.accelerator()
    print(f'Four guests under {accel.upper()}, vhost-user-shmem between them; '
          'two real-time flows and two floods\nshare a port of '
          f'{load.RATE_BPS // 10**6} Mbit/s.', flush=True)
    demo.warn_if_busy()


def run(directory):
    progress = demo.Progress([('guests', BOOT_S)] + [
        (policy, load.RT_S + load.WARM_UP_S + OTHER_S)
        for policy in load.POLICIES])
    progress.step(0)('booting four')
    with host.Bed(directory) as bed:
        results = [measure.run(bed, policy, progress.step(number))
                   for number, policy in enumerate(load.POLICIES, 1)]
    progress.done()
    return results


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    try:
        introduce()
        with tempfile.TemporaryDirectory(prefix='vus-', dir='/tmp') as tmp:
            results = run(tmp)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except (*rtguest.FAILURES, vus.DaemonError, AssertionError) as e:
        sys.exit(f'\n{TARGET}: {e}\nLogs of the guests and of the daemon are '
                 f'in {rtguest.LOGS}.')

    summary = edf_report.Summary(results)
    return demo.present(results, summary,
                        report.write_json(TARGET, results, summary),
                        edf_report.plot(results))


if __name__ == '__main__':
    sys.exit(main())
