# SPDX-License-Identifier: GPL-2.0-or-later
"""The films' results: a table for people, JSON for programs, and a picture of
both screens side by side.

Threads: none.
"""

import os

import rtguest
import video_clip
import video_load
from rtguest.results import write_json as write_results
from video_player import AS_SENT, DAMAGED, FROZEN

TITLES = {'fifo': 'FIFO', 'edf': 'EDF (earliest deadline first)'}
COLOURS = {AS_SENT: 'tab:green', DAMAGED: 'tab:orange', FROZEN: 'tab:red'}
# The flood takes more than half of the film: less than that spoilt, and the
# comparison shows nothing.
FIFO_MOST_AS_SENT = 0.75


def _ms(us):
    return f'{us / 1e3:.1f}'


def _row(show):
    run = show.run
    return {
        'policy': run.policy,
        'deadline_us': video_load.DEADLINE_US,
        'sent_pkts': run.sent_pkts,
        'received_pkts': len(show.packets),
        'guest_received_pkts': run.guest_received_pkts,
        'lost_pkts': show.lost_pkts,
        'late_pkts': show.late_pkts,
        'missed_pkts': run.missed_pkts,
        'transit_max_us': show.worst_transit_us,
        'complete_frames': show.complete_frames,
        'damaged_frames': show.damaged_frames,
        'absent_frames': show.absent_frames,
        'as_sent_pictures': show.count(AS_SENT),
        'damaged_pictures': show.count(DAMAGED),
        'frozen_pictures': show.count(FROZEN),
        'longest_freeze_s': show.longest_freeze_s(),
        'bulk_received_pkts': run.bulk_received_pkts,
        'wake_late_max_us': run.scheduler['wake-late']['max-ns'] / 1e3,
    }


# -- Table --------------------------------------------------------------------

# Groups of columns: title, ((title, width, value of a row), ...)
GROUPS = (
    ('', (('policy', -6, lambda r: r['policy']),)),
    ('RTP packets', (
        ('sent', 5, lambda r: r['sent_pkts']),
        ('received', 8, lambda r: r['received_pkts']),
        ('lost', 5, lambda r: r['lost_pkts']),
        ('late', 5, lambda r: r['late_pkts']),
        ('missed', 6, lambda r: r['missed_pkts']),
        ('worst ms', 8, lambda r: _ms(r['transit_max_us'])))),
    ('frames in time', (
        ('complete', 8, lambda r: r['complete_frames']),
        ('part', 5, lambda r: r['damaged_frames']),
        ('none', 5, lambda r: r['absent_frames']))),
    ('pictures seen', (
        ('as sent', 7, lambda r: r['as_sent_pictures']),
        ('damaged', 7, lambda r: r['damaged_pictures']),
        ('frozen', 6, lambda r: r['frozen_pictures']))),
    ('bulk', (('received', 8, lambda r: r['bulk_received_pkts']),)),
)
LEGEND = '''\
late: took longer than the play-out time, by the player's clock; missed: the
same as counted by the receiving rtvnic; worst: from the sending guest's ring
to the receiver.  Frames: all packets, a part, or none of it came in time.'''


def _cells(value_of):
    return ' | '.join(
        ' '.join(f'{value_of(c):<{-c[1]}}' if c[1] < 0 else
                 f'{value_of(c):>{c[1]}}' for c in columns)
        for _, columns in GROUPS).rstrip()


def table(shows):
    """The table as text."""
    heads = []
    for title, columns in GROUPS:
        width = sum(abs(c[1]) for c in columns) + len(columns) - 1
        heads.append(f'{title:^{width}}')
    lines = [' | '.join(heads).rstrip(), _cells(lambda c: c[0])]
    lines.append('-' * len(lines[1]))
    lines += [_cells(lambda c, row=_row(show): c[2](row)) for show in shows]
    return '\n'.join((*lines, '', LEGEND))


# -- Summary ------------------------------------------------------------------

class Summary:
    """The figures that this demo promises, and whether it kept them."""

    def __init__(self, shows):
        self._rows = {show.run.policy: _row(show) for show in shows}
        edf = next(s for s in shows if s.run.policy == 'edf')
        self._jitter_us = edf.run.scheduler['host-jitter-ns'] / 1e3
        self.figures = {
            'film_pictures': video_clip.FRAMES,
            'deadline_us': video_load.DEADLINE_US,
            # The last packet of the largest picture comes that much sooner
            # than the declared period lets it.
            'promised_delay_us': edf.run.promised_us +
            (edf.largest_frame_pkts - 1) * video_load.VIDEO.declared_period_us,
        }
        for policy, row in self._rows.items():
            for key in ('lost_pkts', 'late_pkts', 'missed_pkts',
                        'transit_max_us', 'as_sent_pictures',
                        'longest_freeze_s', 'wake_late_max_us'):
                self.figures[f'{policy}_{key}'] = row[key]

    def text(self):
        f = self.figures
        return (
            f"Seen as sent: FIFO {f['fifo_as_sent_pictures']}, EDF "
            f"{f['edf_as_sent_pictures']} of {f['film_pictures']} pictures.  "
            f"Longest freeze: FIFO {f['fifo_longest_freeze_s']:.1f} s, EDF "
            f"{f['edf_longest_freeze_s']:.1f} s.\n"
            f"Worst transit: FIFO {_ms(f['fifo_transit_max_us'])} ms, EDF "
            f"{_ms(f['edf_transit_max_us'])} ms; the deadline is "
            f"{_ms(f['deadline_us'])} ms, and admission\npromised to send "
            'the last packet of the largest picture within '
            f"{_ms(f['promised_delay_us'])} ms.\n"
            'The host woke the scheduler late by at most '
            f"{_ms(f['edf_wake_late_max_us'])} ms (EDF).")

    def broken_promises(self):
        """One sentence for each."""
        edf, fifo = self._rows['edf'], self._rows['fifo']
        broken = []
        if edf['lost_pkts'] or edf['guest_received_pkts'] != edf['sent_pkts']:
            broken.append(
                f"Under EDF {edf['sent_pkts']} packets were sent, "
                f"{edf['received_pkts']} came out of the wire, and the guest "
                f"received {edf['guest_received_pkts']}; none may be lost.")
        if edf['late_pkts'] or edf['missed_pkts']:
            broken.append(
                f"Under EDF {edf['late_pkts']} packets were late "
                f"({edf['missed_pkts']} by the rtvnic's count); none may be.")
        if edf['as_sent_pictures'] != video_clip.FRAMES:
            broken.append(
                f"Under EDF only {edf['as_sent_pictures']} of "
                f'{video_clip.FRAMES} pictures were seen as sent; all must '
                'be.')
        if fifo['as_sent_pictures'] > FIFO_MOST_AS_SENT * video_clip.FRAMES:
            broken.append(
                f"Under FIFO {fifo['as_sent_pictures']} of "
                f'{video_clip.FRAMES} pictures were seen as sent: the flood '
                f"({fifo['bulk_received_pkts']} packets received) was too "
                'weak, and the comparison shows nothing.')
        return broken

    def excuse(self):
        """Why promises may have been broken, if it was the host."""
        late_us = self.figures['edf_wake_late_max_us']
        if late_us <= self._jitter_us:
            return None
        return (f'The host woke the scheduler up to {_ms(late_us)} ms late; '
                f'admission allowed for {_ms(self._jitter_us)} ms. Other '
                'programs were using the processors: run this again when the '
                'machine is idle.')


# -- Files --------------------------------------------------------------------

def write_json(shows, summary):
    return write_results('demo-video', [_row(show) for show in shows],
                         summary.figures)


def _moments(shows):
    """[(frame number, what it is)]: before, in and after the flood; if there
    is one, the last is a picture that FIFO has damaged."""
    rate = video_clip.FRAMES_PER_S
    begin_s, end_s = shows[0].run.flood_s
    after = min(int((end_s + 0.2) * rate), video_clip.FRAMES - 1)
    damaged = [n for show in shows for n, seen in show.seen.items()
               if show.run.policy == 'fifo' and seen == DAMAGED]
    if damaged:
        after = damaged[len(damaged) // 2]
    when = 'the flood is over' if after > end_s * rate else 'flood'
    return sorted([(int(begin_s * rate / 2), 'no flood yet'),
                   (int((begin_s + end_s) * rate / 2), 'flood'),
                   (after, when)])


def _draw_screen(axis, numpy, show, number, when):
    pixels = show.pixels(number)
    if pixels is None:
        pixels = bytes(video_clip.PICTURE_BYTES)
    axis.imshow(numpy.frombuffer(pixels, numpy.uint8).reshape(
        video_clip.HEIGHT, video_clip.WIDTH, 3))
    axis.set_xticks([])
    axis.set_yticks([])
    seen = show.seen[number]
    for spine in axis.spines.values():
        spine.set_color(COLOURS[seen])
        spine.set_linewidth(4)
    if seen == FROZEN:
        seen = f'frozen for {show.frozen_s(number):.1f} s'
    axis.set_title(f'at {number / video_clip.FRAMES_PER_S:.2f} s ({when}): '
                   f'{seen}', loc='left', fontsize='medium',
                   color=COLOURS[show.seen[number]])


def _draw_seen(axis, show):
    """A strip: what was seen at each moment."""
    for number, seen in show.seen.items():
        axis.axvspan(number / video_clip.FRAMES_PER_S,
                     (number + 1) / video_clip.FRAMES_PER_S,
                     color=COLOURS[seen], linewidth=0)
    axis.set_yticks([])
    axis.set_ylim(0, 1)
    axis.tick_params(labelbottom=False)
    parts = [f'{show.count(seen)} {seen}' for seen in COLOURS
             if show.count(seen)]
    axis.set_title(f'{video_clip.FRAMES} pictures: {", ".join(parts)}',
                   loc='left', fontsize='medium')


def _draw_transit(axis, show):
    """Each packet: when it was sent, how long it took."""
    first_ns = show.packets[0].sent_ns
    deadline_ms = video_load.DEADLINE_US / 1e3
    for late in (False, True):
        chosen = [p for p in show.packets
                  if (p.transit_ns > deadline_ms * 1e6) == late]
        axis.plot([(p.sent_ns - first_ns) / 1e9 for p in chosen],
                  [p.transit_ns / 1e6 for p in chosen], '.', markersize=3,
                  color=COLOURS[FROZEN if late else AS_SENT])
    axis.axvspan(*show.run.flood_s, color='lightgrey', zorder=0)
    axis.text(sum(show.run.flood_s) / 2, 0.4, 'flood', ha='center', va='top',
              transform=axis.get_xaxis_transform())
    axis.axhline(deadline_ms, color='black', linestyle='--', linewidth=1)
    axis.text(video_clip.DURATION_S, deadline_ms, 'too late ', ha='right',
              va='bottom', fontsize='small')
    axis.set_xlim(0, video_clip.DURATION_S)
    axis.set_xlabel('sent, s after the first packet')
    axis.set_title(f'{len(show.packets)} packets: {show.late_pkts} too late, '
                   f'{show.lost_pkts} lost', loc='left', fontsize='medium')


def plot(shows):
    """Both screens side by side, FIFO left, at three moments, and below what
    became of each picture and each packet; path of the picture, or None with
    no matplotlib on this machine."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use('Agg')
    import numpy
    from matplotlib import pyplot

    moments = _moments(shows)
    figure, axes = pyplot.subplots(
        len(moments) + 2, len(shows), figsize=(11, 13.5), layout='constrained',
        height_ratios=[4] * len(moments) + [0.4, 2.2])
    for column, show in zip(axes.T, shows):
        for axis, (number, when) in zip(column, moments):
            _draw_screen(axis, numpy, show, number, when)
        _draw_seen(column[-2], show)
        _draw_transit(column[-1], show)
        column[-2].set_xlim(column[-1].get_xlim())
        column[0].annotate(TITLES[show.run.policy], (0.5, 1.12), ha='center',
                           xycoords='axes fraction', fontsize='x-large')
    top_ms = 1.1 * max(video_load.DEADLINE_US / 1e3,
                       *(s.worst_transit_us / 1e3 for s in shows))
    for axis in axes[-1]:
        axis.set_ylim(0, top_ms)
    axes[-1][0].set_ylabel('transit of a packet, ms')
    figure.suptitle(
        'The same film through the same '
        f'{video_load.RATE_BPS // 10**6} Mbit/s uplink, flooded by bulk: what '
        'the viewer sees\n(the digits are the film\'s time, 100 is 1.00 s; a '
        f'packet that takes over {video_load.DEADLINE_US // 1000} ms is too '
        'late to be shown)')
    os.makedirs(rtguest.RESULTS, exist_ok=True)
    path = os.path.join(rtguest.RESULTS, 'demo-video.png')
    figure.savefig(path, dpi=90)
    return path
