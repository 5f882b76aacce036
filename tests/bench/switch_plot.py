# SPDX-License-Identifier: GPL-2.0-or-later
"""bench-switch in one picture: a bar for each row and back end, and what more
ports do.

Threads: none.
"""

import os

import rtguest
import switch_report
from switch_back import BACKS
from switch_matrix import SCALING

COLOURS = dict(zip(BACKS, ('tab:blue', 'tab:cyan', 'tab:gray', 'tab:orange',
                           'tab:red')))


def _label(row, name):
    front = '' if row.front == 'load' else f', front: {row.front}'
    flows = f', {row.flows} flows' if row.flows > 1 else ''
    ports = '' if row.ports == (2,) else f'{row.ports[0]} ports, '
    unit = '' if row.bytes == 'imix' else ' bytes'
    return f'{ports}{row.bytes}{unit}, {row.rings} {row.ring}\n' \
           f'{row.mode}{front}{flows} ({name})'


def _bars(axis, results, wanted):
    """The rows with samples of one class for all back ends."""
    ticks, labels, at = [], [], 0
    for row, samples in results:
        name = switch_report.best_class(list(samples.values()), wanted)
        if not name:
            continue
        first = at
        for (back, _), every in samples.items():
            low, middle, high = (
                pps / 1e6 for pps in switch_report.quartiles(
                    switch_report.of_class(every, name)))
            axis.barh(at, middle, 0.9, color=COLOURS[back],
                      xerr=[[middle - low], [high - middle]],
                      error_kw={'elinewidth': 0.8, 'capsize': 2})
            axis.text(high, at, f'  {middle:.1f}', va='center',
                      fontsize='x-small')
            at += 1
        ticks.append((first + at - 1) / 2)
        labels.append(_label(row, name))
        at += 1
    axis.set_yticks(ticks, labels, fontsize='small')
    axis.set_ylim(at - 0.5, -1)
    axis.set_xlabel('Mpps, received by all ports together')
    axis.set_title('Median; lines: middle half; in brackets: how far apart the '
                   'two cores were', loc='left', fontsize='medium')
    axis.grid(True, axis='x', alpha=0.3)
    for back in {back for row, _ in results for back in row.backs}:
        axis.barh(0, 0, color=COLOURS[back], label=back)
    handles = dict(zip(*reversed(axis.get_legend_handles_labels())))
    names = [back for back in BACKS if back in handles]
    axis.legend([handles[name] for name in names], names, fontsize='small',
                loc='lower right')


def _scaling(axis, result, wanted):
    row, samples = result
    for back in row.backs:
        lists = [samples[back, ports] for ports in row.ports]
        name = switch_report.best_class(lists, wanted)
        if name:
            axis.plot(row.ports,
                      [switch_report.pps(switch_report.of_class(some, name)) /
                       1e6 for some in lists], marker='o',
                      color=COLOURS[back], label=f'{back} ({name})')
    axis.set_xticks(row.ports)
    axis.set_xlabel(f'ports, {row.bytes} bytes, {row.rings} {row.ring}')
    axis.set_ylabel('Mpps, all ports together')
    axis.set_ylim(bottom=0)
    axis.grid(True, alpha=0.3)
    if axis.lines:
        axis.legend(fontsize='small')
    axis.set_title('One core, more ports', loc='left', fontsize='medium')


def draw(results, wanted):
    """Path of the picture, or None with no matplotlib on this machine."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use('Agg')
    from matplotlib import pyplot

    plain = [r for r in results if r.row.name != SCALING.name]
    scaling = [r for r in results if r.row.name == SCALING.name]
    height = 1.5 + sum(0.2 * (len(r.samples) + 1) for r in plain)
    figure, axes = pyplot.subplots(
        2, 1, figsize=(10, height + 3.5), layout='constrained',
        height_ratios=[height, 3.5])
    _bars(axes[0], plain, wanted)
    for result in scaling:
        _scaling(axes[1], result, wanted)
    picture = os.path.join(rtguest.RESULTS, 'bench-switch.png')
    os.makedirs(rtguest.RESULTS, exist_ok=True)
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
    return picture
