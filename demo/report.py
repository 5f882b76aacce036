# SPDX-License-Identifier: GPL-2.0-or-later
"""Three policies' results: a table for people, JSON for programs, a plot for
both.  demo.py's; edf_host_report.py changes what is different there.

Threads: none.
"""

import os

import load
import rtguest
from rtguest.results import write_json as write_results


def ms(us):
    return f'{us / 1e3:.1f}'


def _ms_if_known(key):
    return lambda row: ms(row[key]) if key in row else '-'


# -- Table --------------------------------------------------------------------

COLUMNS = (
    # title, width, value of a row
    ('policy', -7, lambda r: r['policy']),
    ('flow', -8, lambda r: r['flow']),
    ('deadline', 8, lambda r: ms(r['deadline_us']) if r['deadline_us']
     else '-'),
    ('sent', 7, lambda r: r['sent_pkts']),
    ('received', 8, lambda r: r['received_pkts']),
    ('late', 6, lambda r: r['late_pkts'] if r['deadline_us'] else '-'),
    ('missed', 6, lambda r: r['missed_pkts'] if r['deadline_us'] else '-'),
    ('lost', 6, lambda r: r['lost_pkts']),
    ('p50', 7, _ms_if_known('delay_p50_us')),
    ('p99', 7, _ms_if_known('delay_p99_us')),
    ('max', 7, _ms_if_known('delay_max_us')),
    ('p50', 7, _ms_if_known('rtt_p50_us')),
    ('max', 7, _ms_if_known('rtt_max_us')),
    ('Mbit/s', 6, lambda r: f"{r['throughput_bps'] / 1e6:.2f}"
     if 'throughput_bps' in r else ''),
)


def _line(values):
    return ' '.join(f'{v:<{-w}}' if w < 0 else f'{v:>{w}}'
                    for v, (_, w, _) in zip(values, COLUMNS)).rstrip()


def table(results):
    """The table as text."""
    width = [abs(w) + 1 for _, w, _ in COLUMNS]
    lines = [' ' * sum(width[:8]) +
             'queueing delay, ms'.center(sum(width[8:11])) +
             'round trip, ms'.center(sum(width[11:13])) + '  bulk',
             _line([title for title, _, _ in COLUMNS])]
    for result in results:
        lines.append('-' * (sum(width) - 1))
        lines += [_line([value(row) for _, _, value in COLUMNS])
                  for row in result.rows]
    return '\n'.join(lines)


# -- Summary ------------------------------------------------------------------

class Summary:
    """The figures that the demo promises, and whether it kept them."""

    def __init__(self, results):
        self.by_policy = {r.policy: r for r in results}
        fifo, strict, edf = (self.by_policy[p]
                             for p in ('fifo', 'strict', 'edf'))
        self.tight = min((r for r in edf.rows if r['deadline_us']),
                         key=lambda r: r['deadline_us'])
        tight = self.tight['flow']
        self.promised_us = self.tight['promised_delay_us']
        worst_fifo_us = fifo.row(tight)['delay_max_us']
        worst_edf_us = self.tight['delay_max_us']
        self.figures = {
            'worst_delay_fifo_us': worst_fifo_us,
            'worst_delay_strict_us': strict.row(tight)['delay_max_us'],
            'worst_delay_edf_us': worst_edf_us,
            'worst_delay_ratio': worst_fifo_us / worst_edf_us,
            'promised_delay_us': self.promised_us,
            'fifo_missed': fifo.total('missed_pkts'),
            'strict_missed': strict.total('missed_pkts'),
            'edf_missed': edf.total('missed_pkts'),
            'rt_lost': edf.total('lost_pkts'),
            'rt_load': edf.rt_load,
            'best_effort_share': edf.best_effort_share,
            **self.host_figures(edf),
        }

    @staticmethod
    def host_figures(edf):
        """How late the host was."""
        late = edf.scheduler['wake-late']
        return {f'wake_late_{key}_us': late[f'{key}-ns'] / 1e3
                for key in ('p50', 'p99', 'p999', 'max')}

    def fifo_depth(self):
        return f'{load.QUEUE_PKTS} frames deep'

    def host_text(self):
        f = self.figures
        return ('The host woke the scheduler late by '
                f"{f['wake_late_p50_us']:.0f} us (median), "
                f"{f['wake_late_p99_us']:.0f} us (p99), "
                f"{f['wake_late_p999_us']:.0f} us (p99.9), "
                f"{f['wake_late_max_us']:.0f} us (worst).")

    def _missed(self, policy):
        result = self.by_policy[policy]
        return f"{result.total('missed_pkts') or 'none'} of " \
               f"{result.total('received_pkts')}"

    def text(self):
        f = self.figures
        tight = self.tight['flow']
        strict_tight = self.by_policy['strict'].row(tight)['missed_pkts']
        return '\n'.join((
            f"Missed deadlines: FIFO ({self.fifo_depth()}) "
            f"{self._missed('fifo')}, strict priority "
            f"{self._missed('strict')} ({strict_tight} of them {tight}'s), "
            f"EDF {self._missed('edf')}.",
            f"Worst queueing delay of {tight}: FIFO "
            f"{ms(f['worst_delay_fifo_us'])} ms, EDF "
            f"{ms(f['worst_delay_edf_us'])} ms "
            f"({f['worst_delay_ratio']:.0f} times less); admission promised at "
            f"most {ms(self.promised_us)} ms.",
            f"Under EDF real time takes {f['rt_load']:.0%} of the "
            f"{load.RATE_BPS / 1e6:.0f} Mbit/s link, and best effort gets "
            f"{f['best_effort_share']:.1%} of what that leaves.",
            self.host_text(),
        ))

    def excuse(self):
        """Why promises may have been broken, if it was the host."""
        jitter_us = self.by_policy['edf'].scheduler['host-jitter-ns'] / 1e3
        if self.figures['wake_late_max_us'] <= jitter_us:
            return None
        return ('The host woke the scheduler up to '
                f"{ms(self.figures['wake_late_max_us'])} ms late; admission "
                f'allowed for {ms(jitter_us)} ms. Other programs were using '
                'the processors: run the demo again when the machine is idle.')

    def broken_promises(self):
        """One sentence for each."""
        f = self.figures
        broken = []
        if f['edf_missed']:
            broken.append(f"EDF missed {f['edf_missed']} deadlines; it must "
                          'miss none.')
        if f['rt_lost']:
            broken.append(f"{f['rt_lost']} real-time frames were lost under "
                          'EDF; none may be.')
        for row in self.by_policy['edf'].rows:
            if row['deadline_us'] and \
                    row['delay_max_us'] > row['promised_delay_us']:
                broken.append(
                    f"A frame of {row['flow']} waited "
                    f"{ms(row['delay_max_us'])} ms under EDF; admission had "
                    f"promised at most {ms(row['promised_delay_us'])} ms.")
        return broken


# -- Files --------------------------------------------------------------------

def write_json(target, results, summary):
    return write_results(
        target, [row for result in results for row in result.rows],
        summary.figures)


def _cdf(histogram):
    """Steps in ms and per cent; the last bucket ends at the true maximum."""
    x_ms, y_percent, seen = [], [], 0
    for bucket in histogram['buckets']:
        seen += bucket['count']
        x_ms.append(min(bucket['le-ns'], histogram['max-ns']) / 1e6)
        y_percent.append(100 * seen / histogram['count'])
    return [x_ms[0], *x_ms], [0, *y_percent]


def plot(target, results, link, fifo_title):
    """CDF of the queueing delay; path of the picture, or None with no
    matplotlib on this machine.

    @link: what frames wait for
    """
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use('Agg')
    from matplotlib import pyplot

    styles = {'control': ('tab:red', '-'), 'audio': ('tab:blue', '--'),
              'video': ('tab:green', '-.')}
    titles = {'fifo': fifo_title,
              'strict': 'strict priority, FIFO inside',
              'edf': 'earliest deadline first'}
    figure, axes = pyplot.subplots(len(results), 1, sharex=True,
                                   figsize=(10, 9), layout='constrained')
    for axis, result in zip(axes, results):
        for row in (r for r in result.rows if r['deadline_us']):
            colour, line = styles[row['flow']]
            deadline_ms = row['deadline_us'] / 1e3
            axis.plot(*_cdf(result.delay[row['flow']]), drawstyle='steps-post',
                      color=colour, linestyle=line, linewidth=2,
                      label=f"{row['flow']}: {row['missed_pkts']} of "
                            f"{row['received_pkts']} missed")
            axis.axvline(deadline_ms, color=colour, linewidth=1,
                         linestyle=':')
            axis.text(deadline_ms, 3,
                      f'deadline {deadline_ms:g} ms', color=colour,
                      fontsize='small', rotation=90, ha='right', va='bottom',
                      bbox={'color': 'white', 'alpha': 0.8, 'pad': 1})
        axis.set_xscale('log')
        axis.set_ylim(-2, 102)
        axis.set_ylabel('frames, %')
        axis.set_title(titles[result.policy], loc='left')
        axis.grid(True, which='major', alpha=0.3)
        axis.legend(loc='lower right', bbox_to_anchor=(1, 1), ncols=3,
                    fontsize='small', frameon=False, columnspacing=1,
                    handlelength=1.5)
    axes[-1].set_xlabel('queueing delay, ms (frames right of their deadline '
                        'come too late)')
    axes[-1].xaxis.set_major_formatter(
        matplotlib.ticker.FuncFormatter(lambda x, _: f'{x:g}'))
    figure.suptitle('How long a frame waits for the '
                    f'{load.RATE_BPS / 1e6:.0f} Mbit/s {link}')
    os.makedirs(rtguest.RESULTS, exist_ok=True)
    path = os.path.join(rtguest.RESULTS, target + '.png')
    figure.savefig(path, dpi=110)
    return path
