# SPDX-License-Identifier: GPL-2.0-or-later
"""What the samples of bench-switch say.

A result is a row and {(back end, ports): [sample, ...]}.  Only samples of one
class, which is a distance of the two cores, are compared; a figure is a median.

Threads: none.
"""

import collections
import statistics

from switch_back import BACKS
from switch_matrix import BASE, LONG, SCALING, TOUCH

# As ping-pong.h has them; the first that has enough samples is taken.
CLASSES = ('near', 'mid', 'far', 'smt')
FEW = 3                         # fewer are not quoted

Result = collections.namedtuple('Result', 'row samples')

# key: row, (back end, ports), (back end, ports)
RATIOS = {
    'ratio_64_vs_testpmd': (BASE, ('ours', 2), ('testpmd', 2)),
    'ratio_64_vs_ovs': (BASE, ('ours-switch', 2), ('ovs-switch', 2)),
    'ratio_64_port_vs_ovs_port': (BASE, ('ours', 2), ('ovs', 2)),
    'ratio_64_touch_vs_testpmd': (TOUCH, ('ours', 2), ('testpmd', 2)),
    'ratio_1518_vs_testpmd': (LONG, ('ours', 2), ('testpmd', 2)),
    'switch_vs_port': (BASE, ('ours-switch', 2), ('ours', 2)),
    'scaling_8_vs_2': (SCALING, ('ours', 8), ('ours', 2)),
}


def of_class(samples, name):
    return [s for s in samples if s['class'] == name]


def pps(samples):
    return statistics.median(s['rx_pps_sum'] for s in samples)


def best_class(lists, wanted):
    """The class that all of @lists have enough samples of; None: none has.

    Enough are @wanted, or else the most there are, FEW at least.
    """
    counts = {name: min(len(of_class(samples, name)) for samples in lists)
              for name in CLASSES}
    for name in CLASSES:
        if counts[name] >= wanted:
            return name
    name = max(CLASSES, key=counts.get)
    return name if counts[name] >= FEW else None


def has_enough(result, wanted):
    return any(all(len(of_class(samples, name)) >= wanted
                   for samples in result.samples.values())
               for name in CLASSES)


def _spread(samples):
    """Half of what lies between the quartiles, in percent of the median."""
    values = [s['rx_pps_sum'] for s in samples]
    if len(values) < 2:
        return 0
    low, median, high = statistics.quantiles(values, method='inclusive')
    return (high - low) / 2 / median * 100 if median else 0


def rows(results):
    """For the JSON: one for each row, back end and class."""
    found = []
    for row, samples in results:
        for (back, ports), all_of_it in samples.items():
            for name in (*CLASSES, 'mixed'):
                some = of_class(all_of_it, name)
                if not some:
                    continue
                rates = sorted(s['rx_pps_sum'] for s in some)
                found.append({
                    'row': row.name, 'back': back, 'ports': ports,
                    'frame_bytes': row.bytes, 'ring_descriptors': row.ring,
                    'rings': row.rings, 'mode': row.mode, 'front': row.front,
                    'flows': row.flows, 'class': name, 'samples': len(some),
                    'rx_pps': statistics.median(rates),
                    'rx_pps_least': rates[0], 'rx_pps_most': rates[-1],
                    'ping_pong_ns': statistics.median(
                        ns for s in some for ns in s['ping_pong_ns']),
                    **{key: statistics.median(s[key] for s in some)
                       for key in ('rx_bps_sum', 'tx_pps_sum', 'preempted',
                                   'empty_rounds_share') if key in some[0]},
                })
    return found


def _cell(samples):
    if not samples:
        return f"{'-':>12}"
    return f'{pps(samples) / 1e6:>8.2f} ±{_spread(samples):<2.0f}'


def _lines(result):
    row, samples = result
    for ports in row.ports:
        for name in CLASSES:
            some = {back: of_class(samples[back, ports], name)
                    for back in BACKS if (back, ports) in samples}
            if not any(some.values()):
                continue
            cells = ''.join(_cell(some.get(back)) for back in BACKS)
            yield f'{ports:>5}{row.bytes:>6}{row.ring:>5} {row.rings:<6} ' \
                  f'{row.mode:<9} {row.front:<7} {name:<4}' \
                  f'{min(map(len, some.values())):>3}{cells}'.rstrip()


def table(results):
    lines = [
        'Mpps, received by all ports together: median, ± half the range '
        'of the middle half in %.',
        'class: how far apart the cores were (ping-pong.h); n: samples of '
        'each, at least; bytes: without FCS.', '',
        f"{'ports':>5}{'bytes':>6}{'ring':>5} {'rings':<6} {'mode':<9} "
        f"{'front':<7} {'class':<5}{'n':>2}" +
        ''.join(f'{back:>12}' for back in BACKS)]
    for result in results:
        lines += _lines(result)
        lines += [f'   {result.row.name}: {what}' for what in _remarks(result)]
    return '\n'.join(lines)


def _remarks(result):
    mixed = sum(len(of_class(samples, 'mixed'))
                for samples in result.samples.values())
    every = sum(map(len, result.samples.values()))
    if mixed * 2 > every:
        yield f'the distance has changed within {mixed} of {every} samples, ' \
              'which are left out'
    for (back, ports), samples in result.samples.items():
        if sum(s.get('preempted', 0) > 10 for s in samples) * 2 > len(samples):
            yield f'with {back} at {ports} ports the load was often ' \
                  'preempted; is the machine quiet?'


def _ratio(results, key, wanted):
    """(ratio, class), or (None, why there is none)."""
    wanted_row, above, below = RATIOS[key]
    for row, samples in results:
        if row.name != wanted_row.name:
            continue
        if above not in samples or below not in samples:
            return None, f'{above[0]} or {below[0]} was not measured'
        name = best_class([samples[above], samples[below]], wanted)
        if not name:
            return None, f'no {FEW} samples of both are of one class'
        low = pps(of_class(samples[below], name))
        if not low:
            return None, f'{below[0]} has passed on nothing'
        return pps(of_class(samples[above], name)) / low, name
    return None, f'row {wanted_row.name} was not measured'


def summary(results, wanted):
    """{key: ratio or None, key_class: class or why there is none}"""
    figures = {}
    for key in RATIOS:
        figures[key], figures[f'{key}_class'] = _ratio(results, key, wanted)
    return figures


def verdict(figures):
    lines = []
    for key, value in figures.items():
        if key.endswith('_class'):
            continue
        text = 'none' if value is None else f'{value:.4g}'
        remark = figures.get(f'{key}_class')
        lines.append(f'{key:<30}{text:>8}' + (f'  ({remark})' if remark else
                                              ''))
    return '\n'.join(lines)
