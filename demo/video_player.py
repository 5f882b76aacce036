# SPDX-License-Identifier: GPL-2.0-or-later
"""A player with a fixed play-out time, and what its viewer sees.

A packet that took longer than the deadline is dropped; ffmpeg decodes the
rest.  At the time of each picture of the film the viewer sees it as it was
sent, or damaged, or, if the decoder has nothing for that time, still the
picture before it.

Threads: none.
"""

import video_clip
import video_load
import video_rtp

AS_SENT, DAMAGED, FROZEN = 'as sent', 'damaged', 'frozen'


class Show:
    """One run, as its viewer sees it."""

    def __init__(self, run, sent, directory):
        ticks = video_clip.RTP_TICKS_PER_FRAME
        self.run = run
        self.packets = video_rtp.read(run.datagrams)
        deadline_ns = video_load.DEADLINE_US * 1000
        in_time = [p for p in self.packets if p.transit_ns <= deadline_ns]
        self.late_pkts = len(self.packets) - len(in_time)
        self.lost_pkts = run.sent_pkts - len(self.packets)
        self.worst_transit_us = max(p.transit_ns for p in self.packets) / 1e3

        self.largest_frame_pkts = max(
            map(len, video_rtp.by_frame(self.packets, ticks).values()))

        parts = video_rtp.by_frame(in_time, ticks)
        complete = video_rtp.complete_frames(self.packets, in_time, ticks)
        self.complete_frames = len(complete)
        self.damaged_frames = len(parts) - len(complete)
        self.absent_frames = video_clip.FRAMES - len(parts)

        self._pictures = video_clip.decode_frames(
            {number: video_rtp.elementary_stream(packets)
             for number, packets in parts.items()},
            directory, run.policy)
        self.seen = {}              # frame number: AS_SENT, ...
        self._shown = {}            # frame number: the one on the screen
        self._compare(sent)

    def _compare(self, sent):
        shown = None
        for number in range(video_clip.FRAMES):
            got = self._pictures.hashes.get(number)
            if got is None:
                self.seen[number] = FROZEN
            else:
                shown = number
                self.seen[number] = AS_SENT if got == sent.hashes[number] \
                    else DAMAGED
            self._shown[number] = shown

    def count(self, seen):
        return sum(1 for s in self.seen.values() if s == seen)

    def frozen_s(self, number):
        """For how long the picture on the screen has been there."""
        shown = self._shown[number]
        return (number - (-1 if shown is None else shown)) / \
            video_clip.FRAMES_PER_S

    def longest_freeze_s(self):
        return max(self.frozen_s(n) for n in self._shown)

    def pixels(self, number):
        """What is on the screen, RGB, row by row; None before any picture."""
        shown = self._shown[number]
        return None if shown is None else self._pictures.pixels(shown)
