#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an rtvnic costs, and what it is worth beside Linux' tc.

    path   instructions and time of the RT path per frame   (rtvnic_path.py)
    bulk   throughput against a plain virtio-net            (rtvnic_bulk.py)
    tc     worst delay against HTB                 (rtvnic_versus.py)

Prints a table per part; writes build/results/bench-rtvnic.json and .png after
all of them.  "bench_rtvnic.py PART..." runs some and writes nothing.  About
six minutes, on a machine that has nothing else to do.

Environment: ACCEL=auto|kvm|tcg, QEMU_BINARY=path.

Threads: none of its own.
"""

import argparse
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'functional'),
                os.path.join(HERE, '..', '..', 'demo')]

import rtguest                                          # noqa: E402
import rtvnic_bulk                                      # noqa: E402
import rtvnic_path                                      # noqa: E402
import rtvnic_plot                                      # noqa: E402
import rtvnic_versus                                    # noqa: E402
from rtguest.results import write_json as write_results  # noqa: E402

# Each has check(), measure(progress), table(), and summary() of its result.
PARTS = {'path': rtvnic_path, 'bulk': rtvnic_bulk, 'tc': rtvnic_versus}

# summary key: (must be at least / at most, what it is)
TARGETS = {
    'rt_path_instructions_per_frame': (None, 600, 'instructions per frame'),
    'bulk_ratio_vs_virtio': (0.9, None, 'bulk, against virtio-net'),
    'worst_delay_ratio_vs_tc': (None, 1.0, 'worst delay, against tc'),
}


def progress(text):
    """What happens now; rewrites the line on a terminal."""
    if sys.stderr.isatty():
        print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def verdicts(figures):
    for key, (least, most, what) in TARGETS.items():
        value = figures[key]
        kept = (least is None or value >= least) and \
            (most is None or value <= most)
        wish = f'at least {least}' if most is None else f'at most {most}'
        yield f"{what}: {value:.4g} (wanted: {wish}) " \
              f"{'kept' if kept else 'NOT KEPT'}"


def main():
    parser = argparse.ArgumentParser(
        description='What an rtvnic costs, and what it is worth beside tc.')
    parser.add_argument('parts', metavar='PART', nargs='*',
                        help=f"only these, of {', '.join(PARTS)}; "
                             'writes no files')
    names = parser.parse_args().parts or list(PARTS)
    if unknown := set(names) - set(PARTS):
        parser.error(f"no part {', '.join(unknown)}: choose from "
                     f"{', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))

    results, figures = {}, {}
    try:
        for name in names:
            PARTS[name].check()
        for name in names:
            results[name] = PARTS[name].measure(progress)
            progress('')
            print(PARTS[name].table(results[name]), end='\n\n', flush=True)
            figures.update(PARTS[name].summary(results[name]))
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except (rtguest.GuestError, rtguest.GuestRestarted, rtguest.GuestTimeout,
            rtguest.CommandFailed, rtguest.NetNamespaceUnavailable,
            rtguest.QmpError, rtvnic_bulk.NotComparable,
            rtvnic_path.Unavailable, AssertionError, OSError) as e:
        sys.exit(f'\nbench-rtvnic: {e}\nLogs of guests are in '
                 f'{rtguest.LOGS}.')

    if set(names) != set(PARTS):
        return
    print('\n'.join(verdicts(figures)), end='\n\n')
    path = write_results('bench-rtvnic',
                         [row for result in results.values()
                          for row in result['rows']], figures)
    print('Figures:', os.path.relpath(path))
    picture = rtvnic_plot.draw(*(results[name] for name in PARTS),
                               TARGETS['rt_path_instructions_per_frame'][1])
    if picture:
        print('Plot:   ', os.path.relpath(picture))
    else:
        print('No plot: matplotlib is missing (Debian: python3-matplotlib).')


if __name__ == '__main__':
    main()
