# SPDX-License-Identifier: GPL-2.0-or-later
"""bench-host-edf in one picture: how long frames with a tight deadline wait, by
policy.

Threads: none.
"""

import os

import rtguest
from host_edf_delay import DEADLINE_US, POLICIES, TRAFFIC

COLOURS = dict(zip(POLICIES, ('tab:blue', 'tab:gray', 'tab:red')))
WIDTH = 0.26


def _bars(axis, rows):
    groups = [(kind, traffic) for kind in ('vhost-user', 'dummy')
              for traffic in TRAFFIC]
    for row in rows:
        at = groups.index((row['ports'], row['traffic'])) + \
            (POLICIES.index(row['policy']) - 1) * WIDTH
        for key, part in (('queueing_max_us', 0.45), ('queueing_p99_us', 1)):
            axis.bar(at, row[key], WIDTH * 0.92, color=COLOURS[row['policy']],
                     alpha=part)
        axis.text(at, row['queueing_max_us'] * 1.08,
                  f"{row['queueing_max_us']:,.0f}", ha='center',
                  fontsize='small')
    axis.set_xticks(range(len(groups)), [
        f'{kind} ports\n{traffic.replace("+", " and ")}'
        for kind, traffic in groups])


def _lines(axis, result):
    _, bounds_us = result['kinds']['vhost-user']
    promised_us = max(us for name, us in bounds_us.items()
                      if name.startswith('control'))
    for us, text in ((result['jitter_us'] + DEADLINE_US, 'deadline'),
                     (promised_us, 'promised with edf')):
        axis.axhline(us, color='black', linewidth=1, linestyle=':')
        axis.text(1.01, us, f'{text}\n{us:,.0f} µs', va='center',
                  fontsize='small', transform=axis.get_yaxis_transform())


def draw(result):
    """Path of the picture, or None with no matplotlib on this machine.

    @result: of host_edf_delay
    """
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(10, 6), layout='constrained')
    rows = [row for row in result['rows']
            if row['part'] == 'delay' and row['flow'] == 'control']
    _bars(axis, rows)
    _lines(axis, result)
    axis.set_yscale('log')
    axis.set_ylim(bottom=1, top=60000)
    axis.yaxis.set_major_formatter(
        matplotlib.ticker.FuncFormatter(lambda us, _: f'{us:,g}'))
    axis.set_ylabel('queueing delay, µs')
    axis.grid(True, axis='y', alpha=0.3)
    axis.set_axisbelow(True)
    for policy in POLICIES:
        axis.bar(0, 0, color=COLOURS[policy], label=policy)
    axis.legend(ncols=len(POLICIES), loc='upper left', frameon=False)
    axis.set_title('Frames every 2 ms beside eight bulk senders that saturate '
                   '1 Gbit/s\nsolid: 99 % of them; pale, and number: the '
                   'worst', loc='left', fontsize='medium')
    picture = os.path.join(rtguest.RESULTS, 'bench-host-edf.png')
    os.makedirs(rtguest.RESULTS, exist_ok=True)
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
    return picture
