# SPDX-License-Identifier: GPL-2.0-or-later
"""The three parts of bench-rtvnic in one picture.

Threads: none.
"""

import os

import load
import rtguest
import rtvnic_bulk
from rtvnic_tc import MODES, RUNS, TITLES


def _path(axis, result, target_instructions):
    steps = [s for s in result['steps'] if s['rt_path'] and
             s['step'] != 'rt-path']
    total, = (s for s in result['steps'] if s['step'] == 'rt-path')
    names = [s['step'] for s in steps]
    counts = [s['instructions'] for s in steps]
    bars = axis.barh(names, counts, color='tab:blue')
    axis.bar_label(bars, fmt='%.0f', padding=3, fontsize='small')
    axis.set_xlim(0, max(counts) * 1.15)
    axis.invert_yaxis()
    axis.set_xlabel('instructions per frame')
    axis.set_title(
        f"RT path, {result['frame_bytes']} bytes: "
        f"{total['instructions']:.0f} instructions (target: at most "
        f"{target_instructions}), {total['median_ns']:.0f} ns", loc='left')


def _bulk(axis, result):
    colours = ('tab:gray', 'tab:red', 'tab:orange')
    for i, kind in enumerate(rtvnic_bulk.KINDS):
        rows = [r for r in result['rows'] if r['nic'] == kind]
        at = [n + (i - 1) * 0.27 for n in range(len(rows))]
        mbps = [r['throughput_bps'] / 1e6 for r in rows]
        axis.bar(at, mbps, 0.25, color=colours[i], label=kind,
                 yerr=[[v - r['throughput_bps_least'] / 1e6
                        for v, r in zip(mbps, rows)],
                       [r['throughput_bps_most'] / 1e6 - v
                        for v, r in zip(mbps, rows)]], capsize=3)
        for x, r in zip(at, rows):
            axis.text(x, 0, f"{r['ratio']:.2f}", ha='center', va='bottom',
                      fontsize='small', color='white')
    axis.set_xticks(range(len(rtvnic_bulk.PROTOCOLS)),
                    [p.upper() for p in rtvnic_bulk.PROTOCOLS])
    axis.set_ylabel('Mbit/s')
    axis.set_title('Bulk between two guests (in the bars: ratio to '
                   'virtio-net; lines: least to most)', loc='left')
    axis.legend(fontsize='small', frameon=False, ncols=3,
                loc='upper center', bbox_to_anchor=(0.5, -0.08))


def _versus(axis, result):
    tight = min(load.RT_FLOWS, key=lambda f: f.deadline_us)
    for mode, colour in zip(MODES, ('tab:red', 'tab:gray', 'tab:blue')):
        delays_ms = sorted(s.link_ns / 1e6 for run in result['runs'][mode]
                           for s in run.samples[tight])
        n = len(delays_ms)
        axis.step(delays_ms, [(n - i) / n for i in range(n)], where='post',
                  color=colour, linewidth=2,
                  label=f'{TITLES[mode]}: worst {delays_ms[-1]:.1f} ms')
    axis.axvline(tight.deadline_us / 1e3, color='black', linestyle=':')
    axis.text(tight.deadline_us / 1e3, 1, ' deadline', va='top',
              fontsize='small')
    axis.set_xscale('log')
    axis.set_yscale('log')
    axis.set_xlabel('delay from the guest\'s ring to the link, ms')
    axis.set_ylabel('share of frames that waited longer')
    axis.set_title(f'Flow "{tight.name}" behind one '
                   f'{load.RATE_BPS / 1e6:.0f} Mbit/s uplink, {RUNS} runs in '
                   'turn', loc='left')
    axis.grid(True, which='major', alpha=0.3)
    axis.legend(fontsize='small', loc='lower left')


def draw(path, bulk, versus, target_instructions):
    """Path of the picture, or None with no matplotlib on this machine."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use('Agg')
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 1, figsize=(10, 13),
                                   layout='constrained')
    _path(axes[0], path, target_instructions)
    _bulk(axes[1], bulk)
    _versus(axes[2], versus)
    axes[2].xaxis.set_major_formatter(
        matplotlib.ticker.FuncFormatter(lambda x, _: f'{x:g}'))
    picture = os.path.join(rtguest.RESULTS, 'bench-rtvnic.png')
    os.makedirs(rtguest.RESULTS, exist_ok=True)
    figure.savefig(picture, dpi=110)
    return picture
