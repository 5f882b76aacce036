# SPDX-License-Identifier: GPL-2.0-or-later
"""Who gets how much, with 16 ports that flood, in 4 tenants: limits of what is
taken from ports and tenants, and guarantees at a link of which 90 % are
promised.

Rates are those on the link, of what came at the sink within a second, in two
halves: the kernel bounds SCHED_FIFO to less.  A figure is the largest error of
all ports and tenants in a sample, and of the samples the median.

Threads: none of its own.
"""

import statistics
import tempfile

from host_edf_bed import OVERHEAD_BYTES, Bed, Bulk, Plan

SAMPLES = 5
SECONDS = 1
HALVES = 2
LINK_BPS = 1_000_000_000
SIZES = (1514, 570, 200, 60)    # bytes of a tenant's four ports' frames

# tenant: its settings, and those of its ports
LIMITS = {
    'bits': ({}, [{'tx-limit-bps': bps} for bps in
                  (100_000_000, 50_000_000, 25_000_000, 10_000_000)]),
    'frames': ({}, [{'tx-limit-pps': pps} for pps in
                    (1_000, 5_000, 20_000, 50_000)]),
    'all-bits': ({'tx-limit-bps': 200_000_000}, [{}] * 4),
    'all-frames': ({'tx-limit-pps': 100_000}, [{}] * 4),
}
GUARANTEES = {
    'gold': ({'guarantee-bps': 400_000_000},
             [{'guarantee-bps': bps} for bps in
              (200_000_000, 100_000_000, 40_000_000)] + [{}]),
    'silver': ({'guarantee-bps': 250_000_000},
               [{'guarantee-bps': 100_000_000}] + [{}] * 3),
    'bronze': ({}, [{'guarantee-bps': 50_000_000}] * 3 + [{}]),
    'tin': ({'guarantee-bps': 100_000_000}, [{}] * 4),
}

PARTS = {
    'limit': (LIMITS, {}),
    'guarantee': (GUARANTEES, {'rate-bps': LINK_BPS}),
}


def _plan(tenants, sink):
    return Plan(sink, bulk=tuple(
        Bulk(f'{name}{number}', SIZES[number],
             settings={'tenant': name, **settings})
        for name, (_, ports) in tenants.items()
        for number, settings in enumerate(ports)),
        tenants={name: settings for name, (settings, _) in tenants.items()})


def _rate(flow, unit):
    if unit == 'pps':
        return flow['rx_pps']
    return flow['rx_bps'] + flow['rx_pps'] * OVERHEAD_BYTES * 8


def _sample(bed):
    """{source: rates} of a second."""
    halves = [bed.sample(SECONDS / HALVES)['flows'] for _ in range(HALVES)]
    return {flows[0]['name']: {
        key: statistics.mean(flow[key] for flow in flows)
        for key in ('rx_pps', 'rx_bps')} for flows in zip(*halves)}


def _rows(kind, tenants, flows):
    """One for each promise: what it is, and what was measured."""
    for name, (settings, ports) in tenants.items():
        mine = [f'{name}{i}' for i in range(len(ports))]
        for who, given, whose in (
                (name, settings, mine),
                *((port, s, [port]) for port, s in zip(mine, ports))):
            for key, value in given.items():
                unit = key[-3:]
                rates = [_rate(flows[port], unit) for port in whose]
                yield {'part': kind, 'who': who, 'setting': key,
                       'wanted': value, 'unit': unit, 'measured': sum(rates),
                       'error_pct': (sum(rates) / value - 1) * 100,
                       'least_share': min(rates) * len(rates) / sum(rates)}


def _error_pct(kind, rows):
    """A limit is to be reached, too; a guarantee may be exceeded."""
    return max(abs(row['error_pct']) if kind == 'limit' else
               max(0, -row['error_pct']) for row in rows)


def measure(progress):
    samples = {}
    with tempfile.TemporaryDirectory(prefix='host-edf-',
                                     dir='/tmp') as directory:
        for kind, (tenants, sink) in PARTS.items():
            progress(f'{kind}s: 16 ports that flood')
            bed = Bed(kind, _plan(tenants, sink), directory)
            try:
                samples[kind] = [
                    list(_rows(kind, tenants, _sample(bed)))
                    for _ in range(SAMPLES)]
            finally:
                bed.close()
    rows = [{**rows[0], **{key: statistics.median(row[key] for row in rows)
                           for key in ('measured', 'error_pct',
                                       'least_share')}}
            for lists in samples.values() for rows in zip(*lists)]
    return {'samples': samples, 'rows': rows}


def table(result):
    lines = [f'16 ports flood, in 4 tenants; {SAMPLES} samples of {SECONDS} s, '
             'medians', '',
             f"{'who':<14}{'setting':<15}{'wanted':>12}{'measured':>14}"
             f"{'error %':>9}{'least share':>13}"]
    lines += [f"{row['who']:<14}{row['setting']:<15}{row['wanted']:>12,}"
              f"{row['measured']:>14,.0f}{row['error_pct']:>9.2f}" +
              (f"{row['least_share']:>13.2f}"
               if row['who'] in (*LIMITS, *GUARANTEES) else '')
              for row in result['rows']]
    return '\n'.join([*lines, '', 'least share: of a tenant\'s port that got '
                      'least, in equal parts'])


def summary(result):
    figures = {
        f'{kind}_error_pct': statistics.median(
            _error_pct(kind, rows) for rows in lists)
        for kind, lists in result['samples'].items()}
    figures['limit_least_share'] = min(
        row['least_share'] for row in result['rows']
        if row['who'] in LIMITS)
    return figures
