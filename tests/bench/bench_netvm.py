#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast packets move in the memory that virtual machines share.

Parts: speed (two processes on the host stand for virtual machines; directly,
through the daemon, and beside it vhost-user and DPDK's rte_ring), hops (what
one more member in the chain costs) and guests (two real ones).

Prints tables; writes build/results/bench-netvm.json and .png.  Three minutes,
on a machine that has nothing else to do.

Threads: none of its own.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'functional'))

import bench_parts                                      # noqa: E402
import netvm_bed                                        # noqa: E402
import netvm_guests                                     # noqa: E402
import netvm_hops                                       # noqa: E402
import netvm_plot                                       # noqa: E402
import netvm_speed                                      # noqa: E402
from rtguest import FAILURES                            # noqa: E402
from rtguest.results import show_files, write_json      # noqa: E402
from switch_host import (COMMAND_PRIORITY, Failed, HugePages,  # noqa: E402
                         Prioritized, Unavailable)

TARGET = 'bench-netvm'
PARTS = {'speed': netvm_speed, 'hops': netvm_hops, 'guests': netvm_guests}

# summary key: (at least, at most)
TARGETS = {
    'direct_64_mpps': (65, None),
    'daemon_64_mpps': (14.88, None),
    'ratio_1518_vs_64': (0.95, None),
    'ratio_1518_vs_vhost': (3, None),
    'ratio_vs_rte_ring': (1, None),
}


def verdicts(figures):
    for key, value in figures.items():
        if value is None or isinstance(value, str):
            yield f'{key:<34}{value or "none":>9}'
            continue
        verdict = bench_parts.verdict(value, *TARGETS.get(key, (None, None)))
        yield f'{key:<34}{value:>9.4g}  {verdict}'.rstrip()


def main():
    names = bench_parts.choose(
        'How fast packets move in memory that virtual machines share.', PARTS)
    try:
        netvm_bed.check()
        with HugePages(), Prioritized(0, priority=COMMAND_PRIORITY):
            results, figures = bench_parts.measure(PARTS, names)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except (Failed, Unavailable, *FAILURES) as e:
        sys.exit(f'\n{TARGET}: {e}')
    print('\n'.join(verdicts(figures)), end='\n\n')
    if set(names) == set(PARTS):
        show_files(write_json(TARGET, bench_parts.rows(results), figures),
                   netvm_plot.draw(results['speed'], TARGETS))


if __name__ == '__main__':
    main()
