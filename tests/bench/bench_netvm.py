#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast packets move in the memory that virtual machines share.

Processes on the host stand for virtual machines (netvm-load.c).  Two parts:
speed (two members, directly and through the daemon) and hops (what one more
member in the chain costs).

Prints tables; writes build/results/bench-netvm.json.  A minute, on a machine
that has nothing else to do.

Threads: none of its own.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'functional'))

import bench_parts                                      # noqa: E402
import netvm_bed                                        # noqa: E402
import netvm_hops                                       # noqa: E402
import netvm_speed                                      # noqa: E402
from rtguest.results import write_json                  # noqa: E402
from switch_host import (COMMAND_PRIORITY, Failed, HugePages,  # noqa: E402
                         Prioritized, Unavailable)

TARGET = 'bench-netvm'
PARTS = {'speed': netvm_speed, 'hops': netvm_hops}

# summary key: (at least, at most)
TARGETS = {
    'direct_64_mpps': (65, None),
    'daemon_64_mpps': (14.88, None),
    'ratio_1518_vs_64': (0.95, None),
}


def verdicts(figures):
    for key, value in figures.items():
        if value is None:
            yield f'{key:<28}{"none":>9}'
            continue
        verdict = bench_parts.verdict(value, *TARGETS.get(key, (None, None)))
        yield f'{key:<28}{value:>9.4g}  {verdict}'.rstrip()


def main():
    names = bench_parts.choose(
        'How fast packets move in memory that virtual machines share.', PARTS)
    try:
        netvm_bed.check()
        with HugePages(), Prioritized(0, priority=COMMAND_PRIORITY):
            results, figures = bench_parts.measure(PARTS, names)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except (Failed, Unavailable, OSError) as e:
        sys.exit(f'\n{TARGET}: {e}')
    print('\n'.join(verdicts(figures)), end='\n\n')
    if set(names) == set(PARTS):
        path = write_json(TARGET, bench_parts.rows(results), figures)
        print('Figures:', os.path.relpath(path))


if __name__ == '__main__':
    main()
