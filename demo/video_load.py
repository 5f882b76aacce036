# SPDX-License-Identifier: GPL-2.0-or-later
"""A film and a flood on one uplink, between two guests, and what arrived.

The sender runs ffmpeg, which sends the film as RTP through an rtvnic, and from
the third second on it floods the same 10 Mbit/s uplink through an ordinary
virtio-net.  The receiver takes the film with an rtvnic, too.  A copy of each
frame that comes out of the receiver's wire, trailer and all, goes to this
process, which keeps it with the time.

Threads: WireTap has one of its own; the rest belongs to the caller's.
"""

import os
import socket
import struct
import threading
import time

import load
import rtguest
from rtguest import frames

import video_clip

RATE_BPS = load.RATE_BPS
QUEUE_PKTS = load.QUEUE_PKTS
POLICIES = ('fifo', 'edf')
DEADLINE_US = 100_000
# RTP header and payload.
PACKET_BYTES = 1400

# ffmpeg sends all packets of a picture at once, up to 19 of 1400 bytes: so
# many of these periods are within the deadline.
VIDEO = load.Flow('video', 0, load.HEADER_BYTES + PACKET_BYTES,
                  deadline_us=DEADLINE_US, period_us=4000)
BULK = load.Flow('bulk', 1, 1400)
FLOWS = (VIDEO, BULK)

FLOOD_START_S = 2.0             # after the film's first packet
FLOOD_S = 6.0
# ffmpeg and its libraries lie in the guest's memory, and once in the initrd.
SENDER_MEMORY_MIB = 1280
FFMPEG_START_S = 60
DRAIN_TIMEOUT_S = 20


def _now_ns():
    """Now, on the clock of the trailer."""
    return time.clock_gettime_ns(time.CLOCK_TAI)


class WireTap:
    """Copies of the frames that a guest's netdev receives."""

    def __init__(self, directory, name):
        self._path = os.path.join(directory, name)
        self._socket = None
        self._thread = None
        self.frames = []            # (when, CLOCK_TAI; frame); only grows

    def args(self, netdev_id):
        return ('-chardev', f'socket,id=tap,path={self._path},server=on,'
                            'wait=off',
                '-object', f'filter-mirror,id=mirror,netdev={netdev_id},'
                           'queue=tx,outdev=tap')

    def start(self):
        """Call it when QEMU runs."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(self._path)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _receive(self):
        try:
            return self._socket.recv(1 << 16)
        except OSError:
            return b''              # QEMU has ended

    def _read(self):
        waiting = b''
        while data := self._receive():
            now_ns = _now_ns()
            waiting += data
            # The frame's length stands before it.
            while len(waiting) >= 4:
                end = 4 + struct.unpack_from('!I', waiting)[0]
                if len(waiting) < end:
                    break
                self.frames.append((now_ns, waiting[4:end]))
                waiting = waiting[end:]

    def wait_first(self, timeout_s, check):
        """Wait for a frame; @check raises if none can come any more."""
        end = time.monotonic() + timeout_s
        while not self.frames:
            check()
            if time.monotonic() > end:
                raise TimeoutError(f'no frame came within {timeout_s} s: see '
                                   'build/logs')
            time.sleep(0.02)

    def close(self):
        """Nothing is added any more."""
        if self._thread:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._socket.close()


class Run:
    """What one policy did to the film."""

    def __init__(self, policy, sender, receiver, tap, sink, flood_ns):
        out = sender.rtnet_port(VIDEO.device_id)
        into = receiver.rtnet_port(VIDEO.device_id)
        self.policy = policy
        self.accel = sender.accel
        self.sent_pkts = out['counters']['sent'] + sum(out['drops'].values())
        self.late_at_sender_pkts = out['counters']['late']
        self.missed_pkts = into['counters']['missed']
        self.guest_received_pkts = sink['ports'][str(VIDEO.port)]['received']
        self.bulk_received_pkts = sink['ports'][str(BULK.port)]['received']
        self.promised_us = out['promised-delay-us']
        self.scheduler = sender.rtnet_scheduler('up0')
        # (payload of UDP, transit_ns, sent_ns)
        self.datagrams = []
        for received_ns, frame in tap.frames:
            found = frames.parse(frame)
            if found and (found.protocol, found.port) == (frames.UDP,
                                                          VIDEO.port):
                sent_ns = frames.trailer(frame).sent_ns
                self.datagrams.append((found.payload, received_ns - sent_ns,
                                       sent_ns))
        if not self.datagrams:
            raise ConnectionError('no packet of the film arrived: see '
                                  'build/logs')
        # Begin and end, after the film's first packet.
        self.flood_s = tuple((when_ns - self.datagrams[0][2]) / 1e9
                             for when_ns in flood_ns)


def _boot(policy, directory, initrd, tap):
    links = {f: rtguest.Link(directory, f'{policy}-{f.link_id}')
             for f in FLOWS}
    receiver = rtguest.Guest(f'{policy}-receiver',
                             *(f.receiver_args(links[f]) for f in FLOWS),
                             tap.args(VIDEO.link_id))
    jitter_us = load.HOST_JITTER_US[receiver.accel]
    sender = rtguest.Guest(
        f'{policy}-sender', '-initrd', initrd, '-object',
        f'edf-scheduler,id=up0,rate-bps={RATE_BPS},policy={policy},'
        f'queue-pkts={QUEUE_PKTS},host-jitter-us={jitter_us}',
        *(f.sender_args(links[f]) for f in FLOWS),
        memory_mib=SENDER_MEMORY_MIB)
    rtguest.wait_ready(receiver, sender)
    for guest in (sender, receiver):
        load.yield_to_main_loop(guest)
    for flow in FLOWS:
        flow.set_up(sender, receiver)
    return sender, receiver


def _drain(sender):
    end = time.monotonic() + DRAIN_TIMEOUT_S
    while sender.rtnet_scheduler('up0')['queued']:
        if time.monotonic() > end:
            raise TimeoutError(f'frames still wait {DRAIN_TIMEOUT_S} s after '
                               'the film has ended: see build/logs')
        time.sleep(0.1)
    # What has left is on its way through a socket and the receiver's ring.
    time.sleep(0.5)


def run(policy, directory, initrd, progress):
    """Boot two guests and send the film under @policy."""
    progress('booting two guests')
    tap = WireTap(directory, f'{policy}-tap')
    sender, receiver = _boot(policy, directory, initrd, tap)
    with sender, receiver:
        tap.start()
        sink = receiver.start(
            f'rtprobe sink --ports {VIDEO.port},{BULK.port}')
        sink.wait_output('ready')
        # An emulated CPU is slow with code it has not seen yet, and ffmpeg
        # makes up for a slow start with a burst.  So a second of it goes to
        # the guest itself first.
        sender.run(video_clip.send_command('127.0.0.1', VIDEO.port,
                                           PACKET_BYTES, duration_s=1),
                   FFMPEG_START_S)

        progress('ffmpeg sends, nothing disturbs')
        film = sender.start(video_clip.send_command(
            VIDEO.receiver_ip, VIDEO.port, PACKET_BYTES))

        def check():
            if film.status is not None:
                raise rtguest.CommandFailed(film)

        tap.wait_first(FFMPEG_START_S, check)
        time.sleep(FLOOD_START_S)
        progress('ffmpeg sends, bulk floods')
        flood_begin_ns = _now_ns()
        flood = sender.start(
            f'rtprobe flood --dst {BULK.receiver_ip} --port {BULK.port} '
            f'--bytes {BULK.payload_bytes} '
            f'--duration-ms {int(FLOOD_S * 1000)}')
        flood.wait(FLOOD_S + FFMPEG_START_S)
        flood_ns = flood_begin_ns, _now_ns()
        progress('ffmpeg sends, the flood is over')
        film.wait(video_clip.DURATION_S + FFMPEG_START_S)
        _drain(sender)
        counts = sink.kill().wait().json()
        tap.close()
        return Run(policy, sender, receiver, tap, counts, flood_ns)
