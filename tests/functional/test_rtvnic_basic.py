#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests, each with an rtvnic: what a guest sends is what a guest gets,
and what is on the wire between them is marked and stamped.

Three links: "plain" marks DSCP, "vlan" marks 802.1Q priority as well, and
"bare" writes no trailer.

Threads: none.
"""

import os

import rtguest
from rtguest import frames, traffic

MACS = {'plain': ('52:54:00:01:00:01', '52:54:00:01:00:02'),
        'vlan': ('52:54:00:02:00:01', '52:54:00:02:00:02'),
        'bare': ('52:54:00:03:00:01', '52:54:00:03:00:02')}
IPS = {'plain': ('10.0.1.1', '10.0.1.2'), 'vlan': ('10.0.2.1', '10.0.2.2'),
       'bare': ('10.0.3.1', '10.0.3.2')}
IPS6 = ('fd00::1', 'fd00::2')
RTVNIC = {'plain': 'dscp=46,deadline-us=200000',
          'vlan': 'dscp=46,pcp=5,source-id=77',
          'bare': 'dscp=46,trailer=off'}
VLAN_ID = 7
LINK_MTU = 1500
GUEST_MTU = LINK_MTU - frames.TRAILER_BYTES


class RtvnicBasic(rtguest.GuestTest):
    @classmethod
    def setUpClass(cls):
        links = {name: cls.class_link() for name in MACS}
        cls.dump = os.path.join(links['plain'].directory, 'a.pcap')
        cls.guests = [
            cls.class_boot(
                'ab'[side],
                *(arg for name, link in links.items() for arg in (
                    *(link.client(name) if side else link.server(name)),
                    '-device', f'rtvnic,id=rt-{name},netdev={name},'
                               f'mac={MACS[name][side]},{RTVNIC[name]}')),
                *(() if side else (
                    '-object', 'filter-dump,id=dump,netdev=plain,'
                               f'file={cls.dump}')))
            for side in (0, 1)]
        rtguest.wait_ready(*cls.guests)
        cls.names = {}
        for name in MACS:
            for side, guest in enumerate(cls.guests):
                cls.names[name, side] = guest.ifup(
                    MACS[name][side], f'{IPS[name][side]}/24',
                    ipv6=name == 'plain')
        for side, guest in enumerate(cls.guests):
            eth = cls.names['plain', side]
            # No waiting for duplicate address detection.
            guest.run(f'echo 0 > /proc/sys/net/ipv6/conf/{eth}/accept_dad && '
                      f'ip addr add {IPS6[side]}/64 dev {eth}')

    def exchange(self, link, make, to=1):
        """Send one raw frame from guest to guest: (sent, received).

        @make: frame of (MACs, addresses), each as (source, destination)
        """
        sender, receiver = self.guests[1 - to], self.guests[to]
        macs, ips = MACS[link], IPS[link]
        if not to:
            macs, ips = macs[::-1], ips[::-1]
        frame = make(macs, ips)
        mark = frame[-16:].hex()
        watch = receiver.start(
            f'rtprobe raw-recv --dev {self.names[link, to]} '
            f'--offset {len(frame) - 16} --match {mark} --timeout-ms 20000')
        watch.wait_output('ready')
        sender.run(f'rtprobe raw-send --dev {self.names[link, 1 - to]}',
                   stdin=frame.hex() + '\n')
        received = bytes.fromhex(watch.wait().out.splitlines()[1])
        return frame, received

    def on_wire(self, mark):
        """The UDP frame in the capture that holds those bytes.

        The same bytes may be quoted by an ICMP error, for nobody listens.
        """
        def find():
            return [f for f in frames.read_pcap(self.dump) if mark in f and
                    frames.parse(f).protocol == frames.UDP]
        return traffic.eventually(find, 'the frame is in the capture')[-1]

    def counters_settle(self, link):
        """What either guest sent, the other received; nothing was dropped."""
        def ports():
            return [g.rtnet_port(f'rt-{link}') for g in self.guests]

        def at_rest():
            a, b = (p['counters'] for p in ports())
            return (a['sent'], b['sent']) == (b['received'], a['received'])
        traffic.eventually(at_rest, f'all frames of {link} have arrived')
        for one, other in (ports(), ports()[::-1]):
            out, into = one['counters'], other['counters']
            self.assertEqual(out['sent-bytes'], into['received-bytes'])
            with_trailer = 0 if link == 'bare' else out['sent'] - out['not-ip']
            self.assertEqual(into['trailers'], with_trailer)
            self.assertEqual(into['rejected'], 0)
            self.assertEqual((into['skewed'], out['no-room']), (0, 0))
            self.assertEqual(set(one['drops'].values()), {0})
            self.assertEqual(other['transit-delay']['count'], with_trailer)
            self.assertEqual(one['queueing-delay']['count'], out['sent'])

    # -- What a guest sees ----------------------------------------------------

    def test_guest_mtu(self):
        for (link, side), eth in self.names.items():
            mtu = self.guests[side].run(f'cat /sys/class/net/{eth}/mtu').out
            self.assertEqual(int(mtu), LINK_MTU if link == 'bare'
                             else GUEST_MTU, link)

    def test_no_segmentation_offered(self):
        for side, guest in enumerate(self.guests):
            eth = self.names['plain', side]
            bits = guest.run(f'cat /sys/class/net/{eth}/device/features').out
            # Virtio 1.2, 5.1.3: CSUM 0, HOST_TSO4 11 to HOST_UFO 14.
            offered = [b for b in (0, 11, 12, 13, 14) if bits[b] == '1']
            self.assertEqual(offered, [])

    def test_traffic(self):
        a, b = self.guests
        for link in MACS:
            with self.subTest(link=link):
                traffic.ping(a, IPS[link][1])
                traffic.ping(b, IPS[link][0], size_bytes=GUEST_MTU - 28)
                traffic.udp(a, b, IPS[link][1])
                traffic.udp(b, a, IPS[link][0], payload_bytes=16)
        traffic.tcp(a, b, IPS['plain'][1])
        traffic.tcp(b, a, IPS['plain'][0])
        for link in MACS:
            with self.subTest(counters=link):
                self.counters_settle(link)

    def test_traffic_ipv6(self):
        a, b = self.guests
        traffic.ping(a, IPS6[1], tool='ping6')
        traffic.ping(b, IPS6[0], tool='ping6', size_bytes=GUEST_MTU - 48)
        traffic.tcp(a, b, IPS6[1], kib=256)
        self.counters_settle('plain')

    # -- What is on the wire --------------------------------------------------

    def check_wire(self, sent, wire, macs):
        marked, original = frames.parse(wire), frames.parse(sent)
        self.assertEqual(marked.dscp, frames.DSCP_EF)
        self.assertEqual(marked.ecn, original.ecn)
        self.assertEqual(marked.payload, original.payload)
        stamp = frames.trailer(wire)
        self.assertEqual(stamp.guest_dscp, original.dscp)
        self.assertEqual(stamp.deadline_ns, 200_000_000)
        self.assertEqual(stamp.source_id,
                         int.from_bytes(frames.mac_bytes(macs[0])[2:], 'big'))
        self.assertEqual(stamp.padding, max(0, frames.MIN_BYTES - len(sent)))
        self.assertTrue(stamp.flags & frames.DSCP_REWRITTEN)
        self.assertFalse(stamp.flags & frames.ADMITTED)
        return stamp

    def test_wire_ipv4(self):
        sequences = []
        for length, dscp, ecn in ((2, 0, 0), (18, 10, 1), (1000, 63, 2),
                                  (GUEST_MTU - 28, 8, 3)):
            payload = os.urandom(length)
            sent, received = self.exchange(
                'plain', lambda macs, ips: frames.udp(
                    macs, ips, payload, dscp=dscp, ecn=ecn))
            self.assertEqual(received, sent)
            stamp = self.check_wire(sent, self.on_wire(sent[-16:]),
                                    MACS['plain'])
            sequences.append(stamp.sequence)
        self.assertEqual(sequences, sorted(set(sequences)))

    def test_wire_ipv6(self):
        payload = os.urandom(300)
        sent, received = self.exchange(
            'plain', lambda macs, ips: frames.udp(macs, IPS6, payload,
                                                  dscp=12, ecn=2))
        self.assertEqual(received, sent)
        self.check_wire(sent, self.on_wire(payload), MACS['plain'])

    def test_other_direction(self):
        payload = os.urandom(100)
        sent, received = self.exchange(
            'plain', lambda macs, ips: frames.udp(macs, ips, payload, dscp=3),
            to=0)
        self.assertEqual(received, sent)
        self.check_wire(sent, self.on_wire(payload), MACS['plain'][::-1])

    def test_capture_as_a_whole(self):
        """Every IP frame that the wire has carried, whoever sent it."""
        traffic.ping(self.guests[0], IPS['plain'][1])
        seen = [f for f in frames.read_pcap(self.dump) if frames.parse(f)]
        self.assertGreater(len(seen), 5)
        for frame in seen:
            self.assertEqual(frames.parse(frame).dscp, frames.DSCP_EF)
            frames.trailer(frame)
            self.assertLessEqual(len(frame), frames.ETH_BYTES + LINK_MTU)

    def test_payload_that_ends_like_a_trailer(self):
        """Arrives whole: the trailer behind it is the one that goes."""
        inner = self.on_wire_trailer()
        sent, received = self.exchange(
            'plain', lambda macs, ips: frames.udp(macs, ips, b'x' * 50 + inner))
        self.assertEqual(received, sent)

    def on_wire_trailer(self):
        payload = os.urandom(64)
        self.exchange('plain', lambda macs, ips: frames.udp(macs, ips, payload))
        return self.on_wire(payload)[-frames.TRAILER_BYTES:]

    # -- The other links ------------------------------------------------------

    def test_vlan(self):
        """A VLAN interface in each guest; pcp= marks its frames."""
        a, b = self.guests
        for side, guest in enumerate(self.guests):
            eth = self.names['vlan', side]
            guest.run(f'ip link add link {eth} name v7 type vlan id {VLAN_ID} '
                      f'&& ip addr add 10.7.0.{side + 1}/24 dev v7 && '
                      'ip link set v7 up')
            self.assertEqual(
                int(guest.run('cat /sys/class/net/v7/mtu').out), GUEST_MTU)
        watch = b.start(f'rtprobe raw-recv --dev {self.names["vlan", 1]} '
                        '--offset 12 --match 8100 --count 4 '
                        '--timeout-ms 20000')
        watch.wait_output('ready')
        traffic.ping(a, '10.7.0.2', size_bytes=GUEST_MTU - 28)
        seen = [bytes.fromhex(line)
                for line in watch.wait().out.splitlines()[1:]]
        for frame in seen:
            # An ARP request, or two, have it as well as the pings.
            tag = int.from_bytes(frame[14:16], 'big')
            self.assertEqual(tag & 0xfff, VLAN_ID)
        pings = list(filter(None, map(frames.parse, seen)))
        self.assertGreater(len(pings), 0)
        for ping in pings:
            self.assertEqual((ping.tag >> 13, ping.dscp, ping.behind_ip),
                             (5, 0, b''))
        traffic.tcp(a, b, '10.7.0.2', kib=256)
        traffic.udp(b, a, '10.7.0.1', payload_bytes=16)
        self.counters_settle('vlan')

    def test_without_trailer(self):
        """trailer=off only marks: the receiver cannot restore."""
        sent, received = self.exchange(
            'bare', lambda macs, ips: frames.udp(macs, ips, os.urandom(200),
                                                 dscp=10, ecn=1))
        marked, original = frames.parse(received), frames.parse(sent)
        self.assertEqual(marked._replace(dscp=10), original)
        self.assertEqual(marked.dscp, frames.DSCP_EF)


if __name__ == '__main__':
    rtguest.main()
