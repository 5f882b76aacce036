# SPDX-License-Identifier: GPL-2.0-or-later
"""RTP packets with H.264 (RFC 3550, RFC 6184): back into frames.

Understands what the film makes ffmpeg send: each packet holds one NAL unit or
several small ones, never a part of one.

Threads: none.
"""

import struct
from typing import NamedTuple

HEADER_BYTES = 12
START_CODE = b'\0\0\0\1'
# Types of NAL units: whole ones, and the packet that holds several.
LARGEST_WHOLE, AGGREGATE = 23, 24


class Packet(NamedTuple):
    """One RTP packet that was received."""
    sequence: int               # does not wrap
    timestamp: int              # since the first packet's
    last_of_frame: bool
    nal_units: list
    transit_ns: int             # from the sending guest's ring to here
    sent_ns: int                # when it was in that ring


def _nal_units(payload):
    kind = payload[0] & 31 if payload else 0
    if 0 < kind <= LARGEST_WHOLE:
        return [payload]
    if kind != AGGREGATE:
        raise ValueError(f'an RTP packet with a NAL unit of type {kind}: the '
                         "film's slices must each fit into one packet")
    units, at = [], 1
    while at + 2 <= len(payload):
        size, = struct.unpack_from('!H', payload, at)
        units.append(payload[at + 2:at + 2 + size])
        at += 2 + size
    return units


def _difference(value, base, bits):
    """@value - @base, both of which wrap, at most half a turn apart."""
    half = 1 << (bits - 1)
    return (value - base + half) % (1 << bits) - half


def read(datagrams):
    """Packets, in the order of their sequence numbers, each once.

    @datagrams: (payload of UDP, transit_ns, sent_ns) in order of arrival
    """
    packets = {}
    last = first_timestamp = None
    for data, transit_ns, sent_ns in datagrams:
        if len(data) < HEADER_BYTES or data[0] != 0x80:
            raise ValueError('a datagram on the film\'s port that is not RTP '
                             'as ffmpeg sends it')
        marks, sequence, timestamp = struct.unpack_from('!xBHI', data)
        if last is None:
            last, first_timestamp = sequence, timestamp
        last += _difference(sequence, last & 0xffff, 16)
        packets.setdefault(last, Packet(
            last, _difference(timestamp, first_timestamp, 32),
            bool(marks & 0x80), _nal_units(data[HEADER_BYTES:]), transit_ns,
            sent_ns))
    return [packets[sequence] for sequence in sorted(packets)]


def by_frame(packets, ticks_per_frame):
    """{frame number: its packets}."""
    frames = {}
    for packet in packets:
        frames.setdefault(packet.timestamp // ticks_per_frame,
                          []).append(packet)
    return frames


def complete_frames(packets, kept, ticks_per_frame):
    """Numbers of the frames of which every packet is among @kept.

    @packets: all that were received; they tell where frames begin and end
    """
    frame_of = {p.sequence: p.timestamp // ticks_per_frame for p in packets}
    first = min(frame_of)
    usable = {p.sequence for p in kept}
    complete = set()
    for number, parts in by_frame(packets, ticks_per_frame).items():
        start, end = parts[0].sequence, parts[-1].sequence
        if (start == first or start - 1 in frame_of) and \
                parts[-1].last_of_frame and \
                all(s in usable for s in range(start, end + 1)):
            complete.add(number)
    return complete


def elementary_stream(packets):
    """H.264 with start codes."""
    return b''.join(START_CODE + unit for packet in packets
                    for unit in packet.nal_units)
