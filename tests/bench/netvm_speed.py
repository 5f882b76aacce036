# SPDX-License-Identifier: GPL-2.0-or-later
"""How many packets per second two members send each other.

Directly: member and member, each on a core of its own.  Through the daemon: all
members on one core, the daemon's worker on the other.  Touched: each reads a
packet's first line and writes its addresses.

What two cores do together depends on how far apart they are: each sample
carries that, and the class with most samples counts.

Threads: none of its own.
"""

import collections
import statistics

import netvm_bed

SAMPLES = 21

# (name, direct, bytes, touched)
ROWS = (
    ('direct 64 B, touched', True, 64, True),
    ('direct 1518 B, touched', True, 1518, True),
    ('direct 64 B, untouched', True, 64, False),
    ('daemon 64 B, touched', False, 64, True),
    ('daemon 1518 B, touched', False, 1518, True),
)


def _main_class(samples):
    """The class that most samples are of, and those."""
    name, _ = collections.Counter(s['class'] for s in samples).most_common(1)[0]
    return name, [s for s in samples if s['class'] == name]


def _row(name, direct, size, touched, samples):
    kind, same = _main_class(samples)
    rates = sorted(s['pps'] / 1e6 for s in same)
    return {'name': name, 'direct': direct, 'bytes': size, 'touched': touched,
            'class': kind, 'samples': len(same), 'of': len(samples),
            'mpps': statistics.median(rates), 'mpps_least': rates[0],
            'mpps_most': rates[-1],
            'ping_pong_ns': statistics.median(
                t for s in same for t in s['ping_pong_ns'])}


def measure(progress):
    rows = []
    for name, direct, size, touched in ROWS:
        progress(name)
        with netvm_bed.Bed(direct) as bed:
            load = netvm_bed.Load(
                bed, 2, '--bytes', str(size - 4),
                '--threads', '2' if direct else '1',
                *(['--touch'] if touched else []))
            try:
                load.sample()
                samples = [load.sample() for _ in range(SAMPLES)]
            finally:
                load.close()
        rows.append(_row(name, direct, size, touched, samples))
    return {'rows': rows}


def table(result):
    lines = [f'{"packets round, bursts of 32":<28}{"Mpps":>8}  '
             f'{"(least, most)":<18}{"cores":>6}{"there and back":>16}'
             f'{"samples":>9}']
    for r in result['rows']:
        span = f"({r['mpps_least']:.1f}, {r['mpps_most']:.1f})"
        lines.append(f"{r['name']:<28}{r['mpps']:>8.1f}  {span:<18}"
                     f"{r['class']:>6}{r['ping_pong_ns']:>13.0f} ns"
                     f"{r['samples']:>6}/{r['of']}")
    lines.append('A packet counts each time that a member gets it; sizes with '
                 'FCS.')
    return '\n'.join(lines)


def summary(result):
    mpps = {r['name']: r['mpps'] for r in result['rows']}
    return {
        'direct_64_mpps': mpps['direct 64 B, touched'],
        'direct_64_untouched_mpps': mpps['direct 64 B, untouched'],
        'daemon_64_mpps': mpps['daemon 64 B, touched'],
        'ratio_1518_vs_64': mpps['direct 1518 B, touched'] /
        mpps['direct 64 B, touched'],
        'daemon_ratio_1518_vs_64': mpps['daemon 1518 B, touched'] /
        mpps['daemon 64 B, touched'],
    }
