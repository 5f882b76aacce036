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

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'functional'),
                os.path.join(HERE, '..', '..', 'demo')]

import bench_parts                                      # noqa: E402
import rtguest                                          # noqa: E402
import rtvnic_bulk                                      # noqa: E402
import rtvnic_path                                      # noqa: E402
import rtvnic_plot                                      # noqa: E402
import rtvnic_versus                                    # noqa: E402
from rtguest.results import show_files, write_json      # noqa: E402

# Each has check(), too.
PARTS = {'path': rtvnic_path, 'bulk': rtvnic_bulk, 'tc': rtvnic_versus}

# summary key: (must be at least / at most, what it is)
TARGETS = {
    'rt_path_instructions_per_frame': (None, 600, 'instructions per frame'),
    'bulk_ratio_vs_virtio': (0.9, None, 'bulk, against virtio-net'),
    'worst_delay_ratio_vs_tc': (None, 1.0, 'worst delay, against tc'),
}


def verdicts(figures):
    for key, (least, most, what) in TARGETS.items():
        verdict = bench_parts.verdict(figures[key], least, most)
        yield f'{what}: {figures[key]:.4g} {verdict}'


def main():
    names = bench_parts.choose(
        'What an rtvnic costs, and what it is worth beside tc.', PARTS)
    try:
        for name in names:
            PARTS[name].check()
        results, figures = bench_parts.measure(PARTS, names)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except (*rtguest.FAILURES, rtguest.NetNamespaceUnavailable,
            rtvnic_bulk.NotComparable, rtvnic_path.Unavailable,
            AssertionError) as e:
        sys.exit(f'\nbench-rtvnic: {e}\nLogs of guests are in '
                 f'{rtguest.LOGS}.')

    if set(names) != set(PARTS):
        return
    print('\n'.join(verdicts(figures)), end='\n\n')
    show_files(write_json('bench-rtvnic', bench_parts.rows(results), figures),
               rtvnic_plot.draw(
                   *(results[name] for name in PARTS),
                   TARGETS['rt_path_instructions_per_frame'][1]))


if __name__ == '__main__':
    main()
