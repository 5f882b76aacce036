# SPDX-License-Identifier: GPL-2.0-or-later
"""bench-netvm's speeds in one picture: a bar for each way that packets go.

Threads: none.
"""

import os

import rtguest

COLOURS = {'direct': 'tab:blue', 'daemon': 'tab:cyan', 'vhost': 'tab:orange',
           'rte': 'tab:gray'}


def draw(speed, targets):
    """Path of the picture, or None with no matplotlib on this machine."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use('Agg')
    from matplotlib import pyplot

    rows = [r for r in speed['rows'] if r['mpps'] is not None]
    figure, axis = pyplot.subplots(figsize=(10, 1.5 + 0.5 * len(rows)),
                                   layout='constrained')
    for at, r in enumerate(rows):
        axis.barh(at, r['mpps'], 0.8, color=COLOURS[r['name'].split('_')[0]],
                  xerr=[[r['mpps'] - r['mpps_least']],
                        [r['mpps_most'] - r['mpps']]],
                  error_kw={'elinewidth': 0.8, 'capsize': 2})
        axis.text(r['mpps_most'], at, f"  {r['mpps']:.1f}", va='center',
                  fontsize='small')
        least, _ = targets.get(f"{r['name']}_mpps", (None, None))
        if least:
            axis.plot([least, least], [at - 0.4, at + 0.4], color='black',
                      linestyle='--')
    axis.set_yticks(range(len(rows)),
                    [f"{r['title'].rstrip(' *')} ({r['class']})" for r in rows])
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel('Mpps, received by both together; dashed: wanted at least')
    axis.set_title('Bursts of 32.  Median; lines: least and most; in brackets: '
                   'how far apart the two cores were', loc='left',
                   fontsize='medium')
    axis.grid(True, axis='x', alpha=0.3)
    picture = os.path.join(rtguest.RESULTS, 'bench-netvm.png')
    os.makedirs(rtguest.RESULTS, exist_ok=True)
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
    return picture
