#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A film through a flooded uplink: behind a FIFO, and with deadlines.

A guest sends a film with ffmpeg, as RTP, through an rtvnic, and floods the same
uplink with bulk; once with FIFO order, once with earliest deadline first.  What
arrives within the play-out time is decoded with ffmpeg and compared, picture by
picture, with what was sent.

Prints one table, writes build/results/demo-video.json and demo-video.png: both
films side by side.  Ends with status 1 if a promise was broken.

Environment: ACCEL=auto|kvm|tcg, QEMU_BINARY=path.

Threads: none of its own.
"""

import os
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests', 'functional'))

import demo                                             # noqa: E402
import rtguest                                          # noqa: E402
import video_clip                                       # noqa: E402
import video_load                                       # noqa: E402
import video_player                                     # noqa: E402
import video_report                                     # noqa: E402


def introduce():
    print(f'A film of {video_clip.DURATION_S} s, '
          f'{video_clip.BIT_RATE_BPS / 1e6:g} Mbit/s, from a guest under '
          f'{rtguest.accelerator().upper()} over a '
          f'{video_load.RATE_BPS // 10**6} Mbit/s uplink; for '
          f'{video_load.FLOOD_S:g} s of it bulk floods the same uplink.\n'
          'As in a call, a packet that comes more than '
          f'{video_load.DEADLINE_US // 1000} ms after it was sent is too late '
          'to be shown:\nthe player drops it before decoding.', flush=True)
    busy = demo.busy_share(1)
    if busy > 0.1:
        print(f'Other programs use {busy:.0%} of this machine: the figures '
              'will show that, too.', flush=True)


def watch(sockets, films):
    """What was seen under each policy.  Both arguments are directories: one
    with a short name, one with room."""
    print('making the film and the guest', flush=True)
    clip = video_clip.make(films)
    sent = video_clip.decode_clip(clip, films)
    initrd = video_clip.guest_initrd(clip, films)
    shows = []
    for number, policy in enumerate(video_load.POLICIES):
        def progress(what, head=f'[{number + 1}/{len(video_load.POLICIES)}] '
                                f'{policy}: '):
            print(head + what, flush=True)
        run = video_load.run(policy, sockets, initrd, progress)
        progress('decoding what arrived')
        shows.append(video_player.Show(run, sent, films))
    return shows


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    try:
        video_clip.check_ffmpeg()
        introduce()
        with tempfile.TemporaryDirectory(prefix='rtvideo-', dir='/tmp') \
                as sockets, tempfile.TemporaryDirectory(
                    prefix='demo-video-', dir=rtguest.config.BUILD) as films:
            shows = watch(sockets, films)
            picture = video_report.plot(shows)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except video_clip.FfmpegError as e:
        sys.exit(f'demo-video: {e}')
    except (*rtguest.FAILURES, ValueError) as e:
        sys.exit(f'\ndemo-video: {e}\nLogs of the guests are in '
                 f'{rtguest.LOGS}.')

    summary = video_report.Summary(shows)
    print('\n' + video_report.table(shows), end='\n\n')
    print(summary.text(), end='\n\n')
    print('Figures:', os.path.relpath(video_report.write_json(shows, summary)))
    if picture:
        print('Picture:', os.path.relpath(picture))
    else:
        print('No picture: matplotlib is missing (Debian: '
              'python3-matplotlib).')
    return demo.verdict(summary)


if __name__ == '__main__':
    sys.exit(main())
