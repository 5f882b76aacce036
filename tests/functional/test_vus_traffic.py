#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests with a NIC of every kind, through vhost-user-shmem.

Each kind of NIC (kind of ring, what its driver may use, what it may offload)
has one in either guest, and a VLAN for the two.  Once with our QEMU, once with
the distribution's.

Threads: none.
"""

import struct
import unittest

import rtguest
from rtguest import frames, traffic, vus

# A guest that takes nothing unfinished from others, or sends nothing so.
TAKES_NOTHING = 'guest_csum=off,guest_tso4=off,guest_tso6=off,' \
                'guest_ecn=off,guest_ufo=off'
SENDS_NOTHING = 'csum=off,host_tso4=off,host_tso6=off,host_ecn=off,' \
                'host_ufo=off,gso=off'

# name: device options of the first guest, of the second (None: the same)
KINDS = {
    'split': ('', None),
    'packed': ('packed=on', None),
    'mixed': ('', 'packed=on'),
    'no-event': ('event_idx=off', None),
    'no-indirect': ('indirect_desc=off', None),
    'bare-packed': ('packed=on,event_idx=off,indirect_desc=off,mrg_rxbuf=off',
                    None),
    'no-merge': ('mrg_rxbuf=off', None),
    'legacy': ('disable-modern=on,disable-legacy=off', None),
    'jumbo': ('host_mtu=9000', None),
    'finish': ('', TAKES_NOTHING + ',mrg_rxbuf=off'),
    'finish-packed': ('packed=on', TAKES_NOTHING + ',packed=on'),
    'plain': (SENDS_NOTHING, TAKES_NOTHING),
}
# What older QEMUs do not know.
OWN_KINDS = {
    'in-order': ('in_order=on', None),
    'in-order-packed': ('in_order=on,packed=on', None),
}
# With 19 descriptors for each buffer a ring has room for 13 frames; they come
# so slowly that a guest may keep them waiting for a quarter of a second.
FEW_BUFFERS = 'bare-packed'
FEW_COUNT, FEW_PERIOD_US = 50, 20000
MEMORY_MIB = 256
TCP_KIB = 512
ETH_IP_BYTES = 14 + 20
UDP_OFFSET = ETH_IP_BYTES + 8
PROBE_MAGIC = struct.pack('<I', 0x52545042)
FLOOD_MS = 1000


class Kinds(vus.DaemonTest):
    """What both QEMUs are asked for."""

    KINDS = KINDS
    QEMU = None
    EXTRA = ''

    @classmethod
    def device(cls, kind, side):
        one, other = cls.KINDS[kind]
        chosen = one if side == 0 or other is None else other
        return ','.join(filter(None, (chosen, cls.EXTRA)))

    @classmethod
    def setUpClass(cls):
        cls.macs, cls.ips = {}, {}
        cls.vus = cls.class_daemon()
        args = [[], []]
        for number, kind in enumerate(cls.KINDS, 1):
            cls.macs[kind] = [f'52:54:00:00:{number:02x}:0{side}'
                              for side in (1, 2)]
            cls.ips[kind] = [f'10.0.{number}.{side}' for side in (1, 2)]
            for side in (0, 1):
                port = cls.vus.port(f'{kind}-{side + 1}', vlan=number)
                args[side] += cls.vus.nic(port, cls.macs[kind][side],
                                          cls.device(kind, side))
        cls.vus.start()
        cls.guests = [
            cls.class_boot(name, *nics, memory_mib=MEMORY_MIB, qemu=cls.QEMU)
            for name, nics in zip(('one', 'two'), args)]
        rtguest.wait_ready(*cls.guests)
        cls.names = {
            kind: [guest.ifup(cls.macs[kind][side], f'{ip}/24')
                   for side, (guest, ip) in enumerate(
                       zip(cls.guests, cls.ips[kind]))]
            for kind in cls.KINDS}
        for kind in cls.KINDS:
            cls.vus.wait_ready(f'{kind}-1', f'{kind}-2')

    def both(self, kind):
        """Counters of the two ports."""
        return [self.vus.stats(f'{kind}-{side}') for side in (1, 2)]

    def dropped(self, kind):
        return [self.vus.drops(f'{kind}-{side}') for side in (1, 2)]

    def difference(self, before, after, key):
        return [b[key] - a[key] for a, b in zip(before, after)]

    # -- Tests ----------------------------------------------------------------

    def test_rings(self):
        """The rings are of the kind that was asked for."""
        for kind in self.KINDS:
            for side in (0, 1):
                device = self.device(kind, side)
                shown = self.vus.show(f'{kind}-{side + 1}')
                self.assertEqual(
                    shown['rings'],
                    'packed' if 'packed=on' in device else 'split', kind)
                features = int(shown['features'], 16)
                for bit, word in ((29, 'event_idx=off'), (15, 'mrg_rxbuf=off'),
                                  (28, 'indirect_desc=off')):
                    self.assertEqual(not features >> bit & 1, word in device,
                                     (kind, word))

    def test_ping(self):
        one, two = self.guests
        for kind in self.KINDS:
            with self.subTest(kind=kind):
                traffic.ping(one, self.ips[kind][1])
                traffic.ping(two, self.ips[kind][0], size_bytes=4000)

    def test_tcp(self):
        one, two = self.guests
        for kind in self.KINDS:
            with self.subTest(kind=kind):
                traffic.tcp(one, two, self.ips[kind][1], kib=TCP_KIB)
                traffic.tcp(two, one, self.ips[kind][0], kib=TCP_KIB)

    def test_udp(self):
        """Every datagram comes back unchanged, once, in order."""
        one, two = self.guests
        for kind in self.KINDS:
            with self.subTest(kind=kind):
                before = self.dropped(kind)
                pace = {'count': FEW_COUNT, 'period_us': FEW_PERIOD_US} \
                    if kind == FEW_BUFFERS else {}
                try:
                    traffic.udp(one, two, self.ips[kind][1],
                                payload_bytes=1400, **pace)
                    traffic.udp(two, one, self.ips[kind][0], payload_bytes=17,
                                **pace)
                finally:
                    # Says where something was lost, too.
                    self.assertEqual(self.dropped(kind), before)

    def test_flood(self):
        """As fast as it goes: what does not arrive has been counted."""
        for kind in ('split', 'packed', 'no-merge', 'bare-packed', 'plain'):
            with self.subTest(kind=kind):
                self.flood(kind)

    def flood(self, kind):
        one, two = self.guests
        before, full = self.both(kind), self.dropped(kind)
        left = self.sent_frames(kind)
        sink = two.start('rtprobe sink --ports 9')
        sink.wait_output('ready')
        one.run(f'rtprobe flood --dst {self.ips[kind][1]} --port 9 '
                f'--duration-ms {FLOOD_MS}')
        # What the guest itself has thrown away never came.
        left = traffic.eventually(lambda: self.all_left(kind, left, before),
                                  'all frames have come')
        got = sink.kill().wait().json()['ports']['9']
        _, out = self.difference(before, self.both(kind), 'egress-pkts')
        self.assertEqual(self.dropped(kind)[0], full[0])
        lost = self.dropped(kind)[1].get('rx-full', 0) - \
            full[1].get('rx-full', 0)
        self.assertEqual(left, out + lost)
        self.assertLess(lost, left)
        # Some may wait in no socket: the sink was slower.
        self.assertLessEqual(got['received'], out)
        self.assertGreater(got['received'], 0)
        for what in ('corrupt', 'duplicates', 'reordered', 'not_probe'):
            self.assertEqual(got[what], 0, what)

    def sent_frames(self, kind):
        """What the first guest's driver has given to the device."""
        name = self.names[kind][0]
        return int(self.guests[0].run(
            f'cat /sys/class/net/{name}/statistics/tx_packets').out)

    def all_left(self, kind, first, before):
        """How many frames it has sent, once the daemon has taken as many."""
        taken, _ = self.difference(before, self.both(kind), 'ingress-pkts')
        return taken if taken == self.sent_frames(kind) - first else None

    def test_segments_pass_whole(self):
        """Between guests that offload, TCP's frames are longer than the
        MTU."""
        one, two = self.guests
        for kind in ('split', 'packed', 'no-merge'):
            with self.subTest(kind=kind):
                before = self.both(kind)
                traffic.tcp(one, two, self.ips[kind][1], kib=TCP_KIB)
                after = self.both(kind)
                pkts, _ = self.difference(before, after, 'ingress-pkts')
                length, _ = self.difference(before, after, 'ingress-bytes')
                self.assertGreater(length / pkts, 1514)
                _, out = self.difference(before, after, 'egress-pkts')
                self.assertEqual(out, pkts)

    def test_segments_are_cut(self):
        """For a receiver that takes none they are cut to its MTU."""
        one, two = self.guests
        for kind in ('finish', 'finish-packed'):
            with self.subTest(kind=kind):
                before = self.both(kind)
                traffic.tcp(one, two, self.ips[kind][1], kib=TCP_KIB)
                after = self.both(kind)
                into, _ = self.difference(before, after, 'ingress-pkts')
                _, out = self.difference(before, after, 'egress-pkts')
                _, length = self.difference(before, after, 'egress-bytes')
                self.assertGreater(out, into)
                self.assertGreaterEqual(out, length / 1514)
                self.assertGreaterEqual(length, TCP_KIB << 10)
                self.assertEqual(self.tcp_counters(two)['InCsumErrors'], '0')

    @staticmethod
    def tcp_counters(guest):
        lines = guest.run('grep ^Tcp: /proc/net/snmp').out.splitlines()
        return dict(zip(*map(str.split, lines)))

    def test_checksum_is_completed(self):
        """A receiver that takes no partial checksum is given the whole one."""
        one, two = self.guests
        for kind, whole in (('split', False), ('finish', True),
                            ('finish-packed', True)):
            with self.subTest(kind=kind):
                watch = two.start(
                    f'rtprobe raw-recv --dev {self.names[kind][1]} '
                    f'--offset {UDP_OFFSET} --match {PROBE_MAGIC.hex()} '
                    '--timeout-ms 20000')
                watch.wait_output('ready')
                one.run(f'rtprobe send --dst {self.ips[kind][1]} --port 9 '
                        '--duration-ms 1 --wait-ms 0')
                frame = bytes.fromhex(watch.wait().out.splitlines()[1])
                self.assertEqual(self.has_checksum(frame), whole)

    @staticmethod
    def has_checksum(frame):
        """Is the UDP checksum over header and payload there?"""
        ip_bytes, = struct.unpack_from('!H', frame, 16)
        udp = frame[ETH_IP_BYTES:14 + ip_bytes]
        pseudo = frame[26:34] + struct.pack('!HH', frames.UDP, len(udp))
        return frames.ones_complement_sum(pseudo + udp) == 0xffff

    def test_mtu(self):
        _, two = self.guests
        for kind, mtu in (('split', 1500), ('jumbo', 9000)):
            name = self.names[kind][1]
            self.assertEqual(two.run(f'cat /sys/class/net/{name}/mtu').out,
                             f'{mtu}\n')
        before = self.both('jumbo')
        traffic.ping(two, self.ips['jumbo'][0], size_bytes=8900)
        after = self.both('jumbo')
        # Not in fragments: three there and three back, and maybe ARP.
        self.assertLess(self.difference(before, after, 'egress-pkts')[0], 8)


class Queues(vus.DaemonTest):
    """Guests with two processors and two pairs of rings each."""

    PAIRS = 2
    MACS = '52:54:00:00:20:01', '52:54:00:00:20:02'
    IPS = '10.0.32.1', '10.0.32.2'
    FLOWS = 16

    def check(self, device):
        daemon = self.daemon('--workers', '2')
        guests = []
        for name, mac in zip('ab', self.MACS):
            daemon.port(name, queues=self.PAIRS)
        daemon.start()
        for name, mac in zip('ab', self.MACS):
            guests.append(self.boot(
                name, '-smp', str(self.PAIRS),
                daemon.nic(name, mac, device, queues=self.PAIRS)))
        rtguest.wait_ready(*guests)
        for guest, mac, ip in zip(guests, self.MACS, self.IPS):
            guest.ifup(mac, f'{ip}/24')
        daemon.wait_ready('a', 'b')
        for name in 'ab':
            shown = daemon.show(name)
            self.assertEqual((shown['ingress-queues'], shown['egress-queues']),
                             (self.PAIRS, self.PAIRS))
        one, two = guests
        traffic.tcp(one, two, self.IPS[1])
        for port in range(6000, 6000 + self.FLOWS):
            one.run(f'taskset {1 + port % 2} rtprobe send --dst '
                    f'{self.IPS[1]} --port {port} --duration-ms 50 '
                    '--wait-ms 0 --period-us 10000')
        for queue in range(self.PAIRS):
            self.assertGreater(self.interrupts(two, f'input.{queue}'), 2)
            self.assertGreater(self.interrupts(one, f'output.{queue}'), 0)

    @staticmethod
    def interrupts(guest, name):
        line = guest.run(f'grep {name} /proc/interrupts').out.split()
        return sum(int(word) for word in line[1:3])

    def test_split(self):
        self.check('')

    def test_packed(self):
        self.check('packed=on')


class Own(Kinds):
    KINDS = {**KINDS, **OWN_KINDS}


class Stock(Kinds):
    """Debian's QEMU, which knows nothing of us."""

    # Under TCG, QEMU 7.2 crashes when a vhost-user NIC has MSI-X.
    EXTRA = 'vectors=0'

    @classmethod
    def setUpClass(cls):
        cls.QEMU = vus.find_stock_qemu()
        if not cls.QEMU:
            raise unittest.SkipTest(f'no {vus.STOCK_QEMU}: install '
                                    'qemu-system-x86')
        super().setUpClass()


# Not to be run by itself.
del Kinds


if __name__ == '__main__':
    rtguest.main()
