#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Wireshark's view of the trailer is ours: contrib/wireshark/rtvnic.lua.

Real frames of a guest, as filter-dump and as the receiver captured them, are
compared field by field with what frames.py reads; frames made by hand show what
the dissector must refuse.  The receiver's capture is left as
build/results/rtvnic-sample.pcap.

Threads: none.
"""

import os
import struct
import time
import unittest

import rtguest
from rtguest import frames, traffic
from rtguest.wireshark import NS_PER_S, Tshark, read_capture, write_capture

SCRIPT = os.path.join(rtguest.TOP, 'contrib', 'wireshark', 'rtvnic.lua')
SAMPLE = os.path.join(rtguest.RESULTS, 'rtvnic-sample.pcap')

MACS = {'kept': ('52:54:00:01:00:01', '52:54:00:01:00:02'),
        'tight': ('52:54:00:02:00:01', '52:54:00:02:00:02')}
IPS = ('10.0.1.1', '10.0.1.2')
IPS6 = ('fd00::1', 'fd00::2')
# The guest has another address: it does not answer.
IPS_INTO = ('10.0.9.2', '10.0.9.1')
VLAN_TAG = 5 << 13 | 7

# A full frame takes 60 ms at this rate: what the guest sends meanwhile is late
# for a deadline of 1 ms.
RATE_BPS = 200_000
RTVNIC = {'kept': 'scheduler=up0,dscp=46,deadline-us=4000000,'
                  'period-us=1000000,max-frame-bytes=1486',
          'tight': 'scheduler=up0,deadline-us=1000'}

# Where things stand in a trailer.
PADDING_AT, VERSION_AT, CRC_AT, MAGIC_AT = 20, 22, 24, 28

FLAGS = {'rtvnic.flags.clock_sync': frames.CLOCK_SYNC,
         'rtvnic.flags.admitted': frames.ADMITTED,
         'rtvnic.flags.dscp_rewritten': frames.DSCP_REWRITTEN,
         'rtvnic.flags.late': frames.LATE}
NUMBERS = ('rtvnic.sent_ns', 'rtvnic.deadline_ns', 'rtvnic.sequence',
           'rtvnic.source', 'rtvnic.padding', 'rtvnic.version', 'rtvnic.flags',
           'rtvnic.guest_dscp', 'rtvnic.crc', 'rtvnic.crc.status',
           'rtvnic.transit_ns', 'rtvnic.exceeded_ns')
EXPERT_INFO = ('rtvnic.missed', 'rtvnic.late', 'rtvnic.skewed',
               'rtvnic.bad_crc', 'rtvnic.no_sync')
TEXTS = ('rtvnic.magic', 'rtvnic.sent')
FIELDS = (*NUMBERS, *FLAGS, *EXPERT_INFO, *TEXTS)

FLAG_WORDS = {'False': '0', 'True': '1'}
MAX_SKEW_NS = 1_000_000
CRC_GOOD, CRC_BAD = 1, 0


def offsets(tai_ns):
    """Preferences for a TAI offset, whether the clock is synchronised or not.
    """
    seconds = tai_ns // NS_PER_S
    return (f'rtvnic.tai_offset_s:{seconds}',
            f'rtvnic.unsync_tai_offset_s:{seconds}')


def host_tai_ns():
    """By how much CLOCK_TAI is ahead of UTC on this host; whole seconds."""
    apart_ns = time.clock_gettime_ns(time.CLOCK_TAI) - time.time_ns()
    return round(apart_ns / NS_PER_S) * NS_PER_S


def seal(body):
    """A trailer of 24 bytes of fields."""
    return body + struct.pack('!I', frames.crc32c(body)) + frames.MAGIC


def with_trailer(frame, sent_ns=37 * NS_PER_S, deadline_ns=500_000, flags=1,
                 version=1, padding=None, tags=0):
    short = max(0, frames.MIN_BYTES + tags * frames.TAG_BYTES - len(frame))
    body = struct.pack('!QIIIHBB', sent_ns, deadline_ns, 1, 2,
                       short if padding is None else padding,
                       version << 4 | flags, 10)
    return frame + bytes(short) + seal(body)


def tagged(frame, *tpids):
    """The frame with further tags in front of its ethertype."""
    tags = b''.join(struct.pack('!HH', tpid, 5) for tpid in tpids)
    return frame[:12] + tags + frame[12:]


def replaced(data, at, new):
    at %= len(data)
    return data[:at] + new + data[at + len(new):]


def flipped(data, at):
    return replaced(data, at, bytes([data[at] ^ 1]))


def simple(payload=b'abcd', ips=IPS, **kwargs):
    return frames.udp(MACS['kept'], ips, payload, **kwargs)


class WiresharkTest(rtguest.GuestTest):
    @classmethod
    def setUpClass(cls):
        if not Tshark.installed():
            raise unittest.SkipTest('tshark is missing: install the package '
                                    'tshark')
        cls.tshark = Tshark(SCRIPT)
        cls.addClassCleanup(cls.tshark.close)
        cls.directory = cls.class_link().directory

    def shown(self, timed_frames, options=(), keep_bytes=65536, extra=()):
        """Of each frame: {field: [value, ...]}, empty if it shows none."""
        path = os.path.join(self.directory, 'made.pcap')
        write_capture(path, timed_frames, keep_bytes)
        return self.tshark.dissect(path, (*FIELDS, *extra), options)

    def number(self, layers, field):
        text, = layers[field]
        # How flags are written depends on Wireshark's version.
        return int(FLAG_WORDS.get(text, text), 0)

    def check_frame(self, layers, time_ns, frame, tai_ns):
        """Compare with what frames.py reads; the trailer."""
        stamp = frames.trailer(frame)
        transit_ns = time_ns + tai_ns - stamp.sent_ns
        exceeded_ns = transit_ns - stamp.deadline_ns
        expected = dict(zip(NUMBERS, (
            stamp.sent_ns, stamp.deadline_ns, stamp.sequence, stamp.source_id,
            stamp.padding, 1, stamp.flags, stamp.guest_dscp,
            frames.crc32c(frame[-32:-8]), CRC_GOOD, transit_ns, exceeded_ns)))
        for name, bit in FLAGS.items():
            expected[name] = int(bool(stamp.flags & bit))
        for name, value in expected.items():
            self.assertEqual(self.number(layers, name), value, name)
        self.assertEqual(layers['rtvnic.magic'], ['RTv1'])
        self.check_expert_info(layers, (
            exceeded_ns > 0, stamp.flags & frames.LATE,
            transit_ns < -MAX_SKEW_NS, False,
            not stamp.flags & frames.CLOCK_SYNC))
        return stamp

    def check_expert_info(self, layers, expected):
        """@expected: in the order of EXPERT_INFO"""
        self.assertEqual({name for name in EXPERT_INFO if name in layers},
                         {name for name, is_there in zip(EXPERT_INFO, expected)
                          if is_there})


class Captures(WiresharkTest):
    """What a guest with two rtvnics sends and receives."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ports = {name: cls.class_host_port() for name in RTVNIC}
        cls.dumps = {name: os.path.join(cls.directory, name + '.pcap')
                     for name in RTVNIC}
        cls.tai_ns = host_tai_ns()
        args = ['-object', f'edf-scheduler,id=up0,rate-bps={RATE_BPS}']
        for name, port in cls.ports.items():
            args += [*port.netdev(name), '-device',
                     f'rtvnic,id=rt-{name},netdev={name},mac={MACS[name][0]},'
                     f'{RTVNIC[name]}',
                     '-object', f'filter-dump,id=dump-{name},netdev={name},'
                                f'file={cls.dumps[name]}']
        cls.guest = cls.class_boot('guest', *args)
        cls.guest.wait_ready()
        cls.names = {name: cls.guest.ifup(MACS[name][0], f'10.0.{n}.1/24')
                     for n, name in enumerate(RTVNIC, 1)}
        # What the receiver got: [(time_ns, frame)]
        cls.received = {name: cls.exchange(name) for name in RTVNIC}
        os.makedirs(rtguest.RESULTS, exist_ok=True)
        write_capture(SAMPLE, sorted(sum(cls.received.values(), [])))

    @classmethod
    def exchange(cls, name):
        """Send from the guest, and to it; what came out, with its time."""
        macs = MACS[name]
        arp = b'\xff' * 6 + frames.mac_bytes(macs[0]) + struct.pack(
            '!HHHBBH', 0x0806, 1, frames.ETH_IPV4, 6, 4, 1) + bytes(20)
        out = [frames.udp(macs, IPS, os.urandom(1400)),
               frames.udp(macs, IPS, b'ab', dscp=10, ecn=1),
               frames.udp(macs, IPS, os.urandom(300), dscp=63),
               frames.udp(macs, IPS, os.urandom(15)),
               frames.udp(macs, IPS6, b'', dscp=12, ecn=2),
               frames.udp(macs, IPS6, os.urandom(1400)),
               frames.udp(macs, IPS, b'cd', tag=VLAN_TAG),
               frames.udp(macs, IPS6, os.urandom(700), tag=VLAN_TAG),
               arp]
        # The last one is counted in IP's length: payload, however it ends.
        into = [frames.udp(macs[::-1], IPS_INTO, payload) for payload in (
            b'abcd', os.urandom(700),
            b'x' * 50 + with_trailer(simple())[-frames.TRAILER_BYTES:])]
        sender = cls.guest.start(f'rtprobe raw-send --dev {cls.names[name]}',
                                 stdin=''.join(f.hex() + '\n' for f in out))
        received = []
        while len(received) < len(out):
            frame = cls.ports[name].receive(20)
            received.append((time.time_ns(), frame))
        sender.wait()
        for frame in into:
            cls.ports[name].send(frame)
        traffic.eventually(
            lambda: len(read_capture(cls.dumps[name])) >= len(out + into),
            'filter-dump has all frames')
        cls.sent_into = len(into)
        return received

    def check_capture(self, timed_frames, layers, tai_ns):
        """Check all frames; the trailers among them, and who has none."""
        self.assertEqual(len(timed_frames), len(layers))
        stamps, without = [], 0
        for (time_ns, frame), shown in zip(timed_frames, layers):
            if frames.parse(frame) and frames.parse(frame).behind_ip:
                stamps.append(self.check_frame(shown, time_ns, frame, tai_ns))
            else:
                self.assertEqual(shown, {})
                without += 1
        return stamps, without

    def test_filter_dump(self):
        """Both directions.  Its times are QEMU's virtual clock, but the
        arithmetic is the same."""
        for name, path in self.dumps.items():
            with self.subTest(netdev=name):
                stamps, without = self.check_capture(
                    read_capture(path),
                    self.tshark.dissect(path, FIELDS, offsets(self.tai_ns)),
                    self.tai_ns)
                self.assertEqual((len(stamps), without),
                                 (8, 1 + self.sent_into))

    def test_receiver(self):
        """The sample capture: time of reception is T_r."""
        both = read_capture(SAMPLE)
        layers = self.tshark.dissect(SAMPLE, FIELDS, offsets(self.tai_ns))
        stamps, without = self.check_capture(both, layers, self.tai_ns)
        self.assertEqual((len(stamps), without), (16, 2))
        # All kinds are in it.
        kept = [s for s in stamps if s.flags & frames.ADMITTED]
        self.assertEqual([s.deadline_ns for s in kept], 8 * [4_000_000_000])
        self.assertTrue(any(s.flags & frames.LATE for s in stamps))
        self.assertEqual({s.padding > 0 for s in stamps}, {False, True})
        missed = [self.number(shown, 'rtvnic.source') for shown in layers
                  if 'rtvnic.missed' in shown]
        self.assertEqual(set(missed), {s.source_id for s in stamps
                                       if s not in kept})

    def test_damaged_on_the_way(self):
        """A real frame, with each byte of its trailer changed in turn."""
        time_ns, frame = next(
            (t, f) for t, f in self.received['tight'] if frames.parse(f))
        damaged = [flipped(frame, at - frames.TRAILER_BYTES)
                   for at in range(frames.TRAILER_BYTES)]
        for at, layers in enumerate(self.shown([(time_ns, f)
                                                for f in damaged])):
            with self.subTest(byte=at):
                if at in (PADDING_AT, PADDING_AT + 1) or at >= MAGIC_AT:
                    self.assertEqual(layers, {})
                else:
                    self.check_expert_info(layers, (0, 0, 0, 1, 0))
                    self.assertEqual(self.number(layers, 'rtvnic.crc.status'),
                                     CRC_BAD)
                    self.assertNotIn('rtvnic.transit_ns', layers)
                    self.assertNotIn('rtvnic.exceeded_ns', layers)


class MadeByHand(WiresharkTest):
    """Frames that no rtvnic of ours sends, or not in a test of seconds."""

    def check_all(self, cases, is_valid, **kwargs):
        """@cases: {what: frame}"""
        layers = self.shown([(0, frame) for frame in cases.values()], **kwargs)
        for what, shown in zip(cases, layers):
            with self.subTest(what=what):
                if is_valid:
                    self.assertEqual(shown.get('rtvnic.crc.status'),
                                     [str(CRC_GOOD)])
                    self.assertIn('rtvnic.transit_ns', shown)
                else:
                    self.assertEqual(shown, {})

    def test_not_a_trailer(self):
        good = with_trailer(simple())
        long = with_trailer(simple(b'z' * 100))
        ip_at = frames.ETH_BYTES
        length_at = ip_at + 2
        length, = struct.unpack_from('!H', long, length_at)
        long6 = with_trailer(simple(b'z' * 100, ips=IPS6))
        cases = {
            'version 0': with_trailer(simple(), version=0),
            'version 2': with_trailer(simple(), version=2),
            'payload that ends like one': simple(b'x' * 50 + good[-32:]),
            'and a short one': simple(good[-32:]),
            'too little padding': with_trailer(simple(), padding=13),
            'too much padding': with_trailer(simple(), padding=15),
            'padding that is not there': with_trailer(simple(b'z' * 100),
                                                      padding=1),
            'no padding': simple() + good[-32:],
            'ARP': replaced(good, 12, b'\x08\x06'),
            'IPv4 that says it is IPv6': replaced(good, ip_at, b'\x65'),
            'IPv6 that says it is IPv4': replaced(
                long6, ip_at, struct.pack('!BBH', 0x45, 0, 40 + 108)),
            'three tags': with_trailer(tagged(simple(), 0x88a8, 0x8100, 0x8100),
                                       tags=3),
            # Its header counts nothing: as if all of it were padding.
            'jumbogram': replaced(
                with_trailer(simple(b'z' * 100, ips=IPS6), padding=108),
                ip_at + 4, b'\0\0\0'),
        }
        for bytes_more in (-1, 1, 32):
            cases[f'IPv4 length {bytes_more:+}'] = replaced(
                long, length_at, struct.pack('!H', length + bytes_more))
            cases[f'IPv6 length {bytes_more:+}'] = replaced(
                long6, ip_at + 4, struct.pack('!H', 108 + bytes_more))
        for count in (1, 3, 4, 31, 32):
            cases[f'{count} bytes lost'] = long[:-count]
        for count in (1, 3, 5, 32):
            cases[f'{count} bytes behind it'] = long + bytes(count)
        self.check_all({'frame': good, 'long': long, 'IPv6': long6}, True)
        self.check_all(cases, False)
        self.check_all({'cut by the capture': long + bytes(5)}, False,
                       keep_bytes=len(long))

    def test_headers(self):
        tunnel = simple(struct.pack('!II', 8 << 24, 5 << 8) +
                        with_trailer(simple()), port=4789)
        # Whose discard protocol (port 9) would come before the tunnel's.
        tunnel = replaced(tunnel, 34, struct.pack('!H', 50000))
        cases = {
            'two tags': with_trailer(tagged(simple(), 0x88a8, 0x8100), tags=2),
            'two tags 0x8100': with_trailer(tagged(simple(), 0x8100, 0x8100),
                                            tags=2),
            'one tag': with_trailer(tagged(simple(), 0x8100), tags=1),
            'service tag': with_trailer(tagged(simple(), 0x88a8), tags=1),
            'tagged IPv6': with_trailer(tagged(simple(ips=IPS6), 0x8100),
                                        tags=1),
            'no payload': with_trailer(simple(b'')),
            'in VXLAN': tunnel,
        }
        for padding in ('Never', 'Zeros', 'Any'):
            with self.subTest(padding=padding):
                self.check_all(cases, True, options=[f'eth.padding:{padding}'])

    def test_frame_check_sequence(self):
        """Captured as well: "fcs" may have to say so."""
        cases = {'short': with_trailer(simple()) + b'\1\2\3\4',
                 'long': with_trailer(simple(b'z' * 100)) + b'\1\2\3\4'}
        self.check_all(cases, True, options=['eth.fcs:Always'])

    def test_wrong_crc(self):
        good = with_trailer(simple(), flags=frames.LATE)
        layers, = self.shown([(0, flipped(good, -32 + CRC_AT))],
                             extra=['_ws.expert.severity'])
        self.check_expert_info(layers, (0, 0, 0, 1, 0))
        self.assertEqual(self.number(layers, 'rtvnic.crc.status'), CRC_BAD)
        error = 0x800000
        self.assertEqual([int(x, 0) for x in layers['_ws.expert.severity']],
                         [error])

    # -- Times ----------------------------------------------------------------

    def times(self, sent_ns, captured_ns, options=(), **kwargs):
        """(transit, exceeded, expert infos) of one frame."""
        frame = with_trailer(simple(), sent_ns=sent_ns, **kwargs)
        layers, = self.shown([(captured_ns, frame)], options)
        exceeded = self.number(layers, 'rtvnic.exceeded_ns') \
            if 'rtvnic.exceeded_ns' in layers else None
        return (self.number(layers, 'rtvnic.transit_ns'), exceeded,
                {name for name in EXPERT_INFO if name in layers})

    def test_exceeded(self):
        now_ns = 1_700_000_000_999_999_000
        tai_ns = now_ns + 37 * NS_PER_S
        late_ns = 500_001
        for transit_ns, expected in (
                (0, set()), (500_000, set()), (late_ns, {'rtvnic.missed'}),
                (3 * NS_PER_S + 7, {'rtvnic.missed'}),
                (-MAX_SKEW_NS, set()), (-MAX_SKEW_NS - 1, {'rtvnic.skewed'})):
            with self.subTest(transit_ns=transit_ns):
                self.assertEqual(
                    self.times(tai_ns, now_ns + transit_ns),
                    (transit_ns, transit_ns - 500_000, expected))

    def test_best_effort(self):
        self.assertEqual(self.times(37 * NS_PER_S, NS_PER_S, deadline_ns=0),
                         (NS_PER_S, None, set()))

    def test_longest_deadline(self):
        self.assertEqual(
            self.times(37 * NS_PER_S, 4_294_967_296, deadline_ns=0xffffffff),
            (4_294_967_296, 1, {'rtvnic.missed'}))

    def test_which_offset(self):
        """CLOCK_SYNC tells which of the two preferences counts."""
        at_ns = 1_700_000_000 * NS_PER_S
        no_sync = {'rtvnic.no_sync'}
        self.assertEqual(self.times(at_ns, at_ns, flags=0),
                         (0, -500_000, no_sync))
        self.assertEqual(
            self.times(at_ns, at_ns, ['rtvnic.unsync_tai_offset_s:2'],
                       flags=0),
            (2 * NS_PER_S, 2 * NS_PER_S - 500_000,
             no_sync | {'rtvnic.missed'}))
        self.assertEqual(
            self.times(at_ns, at_ns, ['rtvnic.tai_offset_s:0'])[0], 0)

    def test_absurd_times(self):
        """Centuries apart: no overflow, and the sign is right."""
        transit_ns, _, info = self.times(0, 4_000_000_000 * NS_PER_S)
        self.assertAlmostEqual(transit_ns, 4_000_000_037 * NS_PER_S,
                               delta=NS_PER_S)
        self.assertEqual(info, {'rtvnic.missed'})
        transit_ns, _, info = self.times(2 ** 64 - 1, 0)
        # As far as it goes.
        self.assertAlmostEqual(transit_ns, -9_000_000_000 * NS_PER_S,
                               delta=NS_PER_S)
        self.assertEqual(info, {'rtvnic.skewed'})

    def test_time_sent(self):
        """As a time of day in UTC, to set beside frame.time."""
        frame = with_trailer(simple(),
                             sent_ns=1_700_000_037 * NS_PER_S + 5)
        layers, = self.shown([(0, frame)])
        self.assertIn('22:13:20.000000005', layers['rtvnic.sent'][0])


if __name__ == '__main__':
    rtguest.main()
