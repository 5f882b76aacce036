#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What deadlines, rates, limits and guarantees of vhost-user-shmem are worth,
and what they cost.

    delay  real-time frames beside bulk, and beside a flood (host_edf_delay.py)
    share  limits and guarantees of 16 ports in 4 tenants   (host_edf_share.py)
    cost   instructions of a frame                           (host_edf_cost.py)
    speed  throughput with a rate, and with tenants         (host_edf_speed.py)
    idle   processor time in silence, and the frame after it (host_edf_idle.py)

The daemon's worker has core 0, its front ends core 1; as root both have them to
themselves (SCHED_FIFO) while they are measured, else others may disturb.

Prints a table per part; writes build/results/bench-host-edf.json and .png after
all of them.  "bench_host_edf.py PART..." runs some and writes nothing.  Less
than five minutes, on a machine that has nothing else to do.

Threads: none of its own.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'functional'))

import bench_parts                                      # noqa: E402
import host_edf_bed                                     # noqa: E402
import host_edf_cost                                    # noqa: E402
import host_edf_delay                                   # noqa: E402
import host_edf_idle                                    # noqa: E402
import host_edf_plot                                    # noqa: E402
import host_edf_share                                   # noqa: E402
import host_edf_speed                                   # noqa: E402
from rtguest.results import show_files, write_json      # noqa: E402
from switch_host import (COMMAND_PRIORITY, Failed,      # noqa: E402
                         Prioritized, Unavailable)

TARGET = 'bench-host-edf'

PARTS = {'delay': host_edf_delay, 'share': host_edf_share,
         'cost': host_edf_cost, 'speed': host_edf_speed,
         'idle': host_edf_idle}

# summary key: (at least, at most)
TARGETS = {
    'worst_delay_ratio': (50, None),
    'worst_over_bound_us': (None, 20),
    'edf_missed': (None, 0),
    'rt_slowed_by_flood_pct': (None, 10),
    'limit_error_pct': (None, 1),
    'guarantee_error_pct': (None, 1),
    'shaped_mpps_vs_unshaped': (0.6, None),
    'hierarchical_vs_flat': (0.85, None),
    'idle_cpu_pct': (None, 1),
    'first_packet_over_wake_us': (None, 20),
}


def verdicts(figures):
    for key, value in figures.items():
        if not isinstance(value, (int, float)):
            yield f'{key:<36}{"none":>9}'
            continue
        verdict = bench_parts.verdict(value, *TARGETS.get(key, (None, None)))
        yield f'{key:<36}{value:>9.4g}  {verdict}'.rstrip()


def main():
    names = bench_parts.choose(
        'What deadlines, rates, limits and guarantees of vhost-user-shmem are '
        'worth, and what they cost.', PARTS)
    try:
        host_edf_bed.check()
        with Prioritized(0, priority=COMMAND_PRIORITY):
            results, figures = bench_parts.measure(PARTS, names)
        figures['disturbed_samples'] = host_edf_bed.Sampler.disturbed
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except (Failed, Unavailable, OSError) as e:
        sys.exit(f'\n{TARGET}: {e}')
    print('\n'.join(verdicts(figures)), end='\n\n')
    if set(names) == set(PARTS):
        show_files(write_json(TARGET, bench_parts.rows(results), figures),
                   host_edf_plot.draw(results['delay']))


if __name__ == '__main__':
    main()
