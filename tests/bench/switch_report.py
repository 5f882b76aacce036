# SPDX-License-Identifier: GPL-2.0-or-later
"""What the samples of bench-switch say.

A result is a row and {(back end, ports): [sample, ...]}, a sample for each
turn.  Only samples of one class, which is a distance of the two cores, are
compared.  A rate is a median; a ratio is the median of the turns' ratios.

Threads: none.
"""

import collections
import statistics

from switch_back import BACKS
from switch_matrix import BASE, LONG, SCALING, TOUCH

# As ping-pong.h has them; the first that has enough samples is taken.
CLASSES = ('near', 'mid', 'far', 'smt')
DISTURBED = 'disturbed'         # others ran on the cores: not counted
FEW = 3                         # fewer are not quoted
MANY = 0.2                      # left out: that is worth a remark

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


def turns(lists, name):
    """Those in which all of @lists have a sample of class @name."""
    return [turn for turn in zip(*lists)
            if all(sample['class'] == name for sample in turn)]


def best_class(lists, wanted):
    """The class with enough turns of all of @lists; None: none has.

    Enough are @wanted, or else the most there are, FEW at least.
    """
    counts = {name: len(turns(lists, name)) for name in CLASSES}
    for name in CLASSES:
        if counts[name] >= wanted:
            return name
    name = max(CLASSES, key=counts.get)
    return name if counts[name] >= FEW else None


def has_enough(result, wanted):
    return any(len(turns(result.samples.values(), name)) >= wanted
               for name in CLASSES)


def ratio(above, below, name):
    """Of class @name; None if there are too few, or @below passes nothing."""
    found = [a['rx_pps_sum'] / b['rx_pps_sum']
             for a, b in turns((above, below), name) if b['rx_pps_sum']]
    return statistics.median(found) if len(found) >= FEW else None


def quartiles(samples):
    """Where the middle half begins and ends, and its middle in between."""
    values = [s['rx_pps_sum'] for s in samples]
    return statistics.quantiles(values, method='inclusive') \
        if len(values) > 1 else values * 3


def _spread(samples):
    """Half of what lies between the quartiles, in percent of the median."""
    low, median, high = quartiles(samples)
    return (high - low) / 2 / median * 100 if median else 0


def rows(results):
    """For the JSON: one for each row, back end and class."""
    found = []
    for row, samples in results:
        for (back, ports), all_of_it in samples.items():
            for name in CLASSES:
                some = of_class(all_of_it, name)
                if not some:
                    continue
                rates = sorted(s['rx_pps_sum'] for s in some)
                found.append({
                    'row': row.name, 'back': back, 'ports': ports,
                    'frame_bytes': int(row.bytes) if row.bytes.isdigit() else
                    row.bytes, 'ring_descriptors': row.ring,
                    'rings': row.rings, 'mode': row.mode, 'front': row.front,
                    'flows': row.flows, 'class': name, 'samples': len(some),
                    'rx_pps': statistics.median(rates),
                    'rx_pps_least': rates[0], 'rx_pps_most': rates[-1],
                    'ratio_vs_testpmd': ratio(
                        all_of_it, samples.get(('testpmd', ports), ()), name),
                    'ping_pong_ns': statistics.median(
                        ns for s in some for ns in s['ping_pong_ns']),
                    'back_work_ns': statistics.median(
                        max(s['back_work_ns']) for s in some),
                    **{key: statistics.median(s[key] for s in some)
                       for key in ('rx_bps_sum', 'tx_pps_sum',
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
            value = ratio(samples.get(('ours', ports), ()),
                          samples.get(('testpmd', ports), ()), name)
            yield f'{ports:>5}{row.bytes:>6}{row.ring:>5} {row.rings:<6} ' \
                  f'{row.mode:<9} {row.front:<7} {name:<4}' \
                  f'{min(map(len, some.values())):>3}{cells}' \
                  f"{'-' if value is None else f'{value:.2f}':>7}"


def table(results):
    lines = [
        'Mpps, received by all ports together: median, ± half the range '
        'of the middle half in %.',
        'class: how far apart the cores were (ping-pong.h); n: samples of '
        'each, at least; bytes: without FCS;',
        'ratio: of ours to testpmd, median of the turns.', '',
        f"{'ports':>5}{'bytes':>6}{'ring':>5} {'rings':<6} {'mode':<9} "
        f"{'front':<7} {'class':<5}{'n':>2}" +
        ''.join(f'{back:>12}' for back in BACKS) + f"{'ratio':>7}"]
    for result in results:
        lines += _lines(result)
        lines += [f'    ({what})' for what in _remarks(result)]
    lines += ['', f'Others slowed the back end\'s core down in '
                  f'{crowded(results):.0%} of the samples.']
    return '\n'.join(lines)


def _remarks(result):
    row = result.row
    every = [s for samples in result.samples.values() for s in samples]
    if row.flows > 1:
        yield f'{row.flows} flows and {row.macs} addresses behind each port'
    for name, why in (('mixed', 'the distance changed within them'),
                      (DISTURBED, 'other programs ran on the cores; is the '
                                  'machine quiet?')):
        if (n := len(of_class(every, name))) > MANY * len(every):
            yield f'{n} of {len(every)} samples are left out: {why}'
    if not all(s.get('realtime', True) for s in every):
        yield 'the load had to share its core, as SCHED_FIFO is not allowed'


def crowded(results):
    """Share of the samples in which the back end's core was slowed down.

    Someone else ran on its sibling thread then: work took 1.3 times as long
    as when it took least.
    """
    works = [max(s['back_work_ns']) for _, samples in results
             for some in samples.values() for s in some]
    return sum(ns > 1.3 * min(works) for ns in works) / len(works)


def _ratio(results, key, wanted):
    """(ratio, class), or (None, why there is none)."""
    wanted_row, *both = RATIOS[key]
    for row, samples in results:
        if row.name != wanted_row.name:
            continue
        for back, ports in both:
            if (back, ports) not in samples:
                return None, f'{back} at {ports} ports was not measured'
        lists = [samples[contender] for contender in both]
        name = best_class(lists, wanted)
        if not name:
            return None, f'less than {FEW} turns with both of one class'
        value = ratio(*lists, name)
        if value is None:
            return None, f'{both[1][0]} has passed on nothing'
        return value, name
    return None, f'row {wanted_row.name} was not measured'


def summary(results, wanted):
    """{key: ratio or None, key_class: class or why there is none}"""
    figures = {}
    for key in RATIOS:
        figures[key], figures[f'{key}_class'] = _ratio(results, key, wanted)
    figures['crowded_samples_share'] = crowded(results)
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
