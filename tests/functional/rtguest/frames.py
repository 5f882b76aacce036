# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames as bytes: make them, read them, and the trailer behind them.

Written from docs/specs/rt-trailer.rst and the RFCs, not from the C code, so
that it tells when the two disagree.

Threads: pure functions.
"""

import ipaddress
import struct
from typing import NamedTuple, Optional

ETH_BYTES = 14
TAG_BYTES = 4
MIN_BYTES = 60
TRAILER_BYTES = 32
MAGIC = b'RTv1'
TPIDS = (0x8100, 0x88a8)
ETH_IPV4, ETH_IPV6 = 0x0800, 0x86dd
UDP = 17
DSCP_EF = 46

# Flags of the trailer.
CLOCK_SYNC, ADMITTED, DSCP_REWRITTEN, LATE = 1, 2, 4, 8


# -- Make ---------------------------------------------------------------------

def mac_bytes(mac):
    return bytes.fromhex(mac.replace(':', ''))


def ones_complement_sum(data):
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def _udp(source, target, payload, port):
    head = struct.pack('!HHHH', 9, port, 8 + len(payload), 0)
    pseudo = source.packed + target.packed + \
        struct.pack('!HH', UDP, 8 + len(payload))
    checksum = ~ones_complement_sum(pseudo + head + payload) & 0xffff
    return head[:6] + struct.pack('!H', checksum or 0xffff) + payload


def udp(macs, addresses, payload, port=9, dscp=0, ecn=0, tag=None):
    """A UDP frame, IPv4 or IPv6 as the addresses are, not padded.

    @macs, @addresses: (source, destination)
    @tag: 16 bits of 802.1Q tag, if any
    """
    source, target = map(ipaddress.ip_address, addresses)
    datagram = _udp(source, target, payload, port)
    tos = dscp << 2 | ecn
    if source.version == 4:
        ethertype = ETH_IPV4
        head = struct.pack('!BBHHHBBH4s4s', 0x45, tos, 20 + len(datagram), 1,
                           0, 64, UDP, 0, source.packed, target.packed)
        head = head[:10] + struct.pack(
            '!H', ~ones_complement_sum(head) & 0xffff) + head[12:]
    else:
        ethertype = ETH_IPV6
        head = struct.pack('!IHBB16s16s', 6 << 28 | tos << 20, len(datagram),
                           UDP, 64, source.packed, target.packed)
    tag = b'' if tag is None else struct.pack('!HH', TPIDS[0], tag)
    return mac_bytes(macs[1]) + mac_bytes(macs[0]) + tag + \
        struct.pack('!H', ethertype) + head + datagram


# -- Read ---------------------------------------------------------------------

class Frame(NamedTuple):
    """What the tests look at in an IP frame."""
    tag: Optional[int]          # 802.1Q tag, 16 bits
    version: int
    dscp: int
    ecn: int
    protocol: int
    port: int                   # UDP's or TCP's destination
    payload: bytes              # UDP's
    behind_ip: bytes            # padding, trailer


def parse(frame):
    """A Frame, or None if it is not IP (or a fragment)."""
    at, tag = 2 * 6, None
    ethertype, = struct.unpack_from('!H', frame, at)
    if ethertype in TPIDS:
        tag, ethertype = struct.unpack_from('!HH', frame, at + 2)
        at += TAG_BYTES
    at += 2
    if ethertype == ETH_IPV4:
        _, tos, l3_bytes = struct.unpack_from('!BBH', frame, at)
        protocol, head_bytes = frame[at + 9], (frame[at] & 15) * 4
        if ones_complement_sum(frame[at:at + head_bytes]) != 0xffff:
            raise ValueError('IPv4 header with a wrong checksum')
    elif ethertype == ETH_IPV6:
        word, l3_bytes, protocol = struct.unpack_from('!IHB', frame, at)
        tos, head_bytes = word >> 20 & 0xff, 40
        l3_bytes += head_bytes
    else:
        return None
    l4, end = at + head_bytes, at + l3_bytes
    port = struct.unpack_from('!H', frame, l4 + 2)[0]
    return Frame(tag, frame[at] >> 4, tos >> 2, tos & 3, protocol, port,
                 frame[l4 + 8:end], frame[end:])


def is_udp(port):
    """Match of HostPort.receive(): UDP to that port."""
    def match(frame):
        found = parse(frame)
        return bool(found) and (found.protocol, found.port) == (UDP, port)
    return match


def read_pcap(path):
    """The frames in a capture of filter-dump."""
    with open(path, 'rb') as f:
        data = f.read()
    if struct.unpack_from('=I', data)[0] != 0xa1b2c3d4:
        raise ValueError(f'{path} is no capture of this machine')
    at, frames = 24, []
    while at + 16 <= len(data):
        _, _, kept, length = struct.unpack_from('=IIII', data, at)
        if kept != length:
            raise ValueError(f'{path} was cut: give filter-dump a maxlen')
        frames.append(data[at + 16:at + 16 + kept])
        at += 16 + kept
    return frames


# -- Trailer ------------------------------------------------------------------

class Trailer(NamedTuple):
    sent_ns: int
    deadline_ns: int
    sequence: int
    source_id: int
    padding: int
    flags: int
    guest_dscp: int


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def trailer(frame):
    """The Trailer of an IP frame; ValueError says what is wrong with it."""
    raw = frame[-TRAILER_BYTES:]
    if raw[28:] != MAGIC:
        raise ValueError('no magic at the end')
    if struct.unpack_from('!I', raw, 24)[0] != crc32c(raw[:24]):
        raise ValueError('wrong CRC')
    fields = struct.unpack_from('!QIIIHBB', raw)
    if fields[5] >> 4 != 1:
        raise ValueError(f'version {fields[5] >> 4}')
    found = Trailer(*fields[:5], fields[5] & 15, fields[6])
    behind = parse(frame).behind_ip
    if len(behind) != found.padding + TRAILER_BYTES:
        raise ValueError(f'{len(behind)} bytes behind IP, {found.padding} of '
                         'them padding')
    if any(behind[:found.padding]):
        raise ValueError('padding that is not zero')
    return found
