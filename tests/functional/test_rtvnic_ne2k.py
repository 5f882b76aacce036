#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""rtvnic-ne2k, driven by Linux's own driver of the NE2000.

An NE2000 cannot wait and knows no MTU: what finds the queue full is dropped
and counted, and a frame that leaves no room for the trailer goes without.

Threads: none.
"""

import struct
import time

import rtguest
from rtguest import frames, traffic

MACS = [f'52:54:00:00:0c:0{n}' for n in range(4)]
PEER_MAC = '52:54:00:00:0c:ff'
LINK_MTU = 1500
ROOM_BYTES = LINK_MTU - frames.TRAILER_BYTES
IP_UDP_BYTES = 28
PROBE_MAGIC = 0x52545042
# What the chip takes, header included; on a wire there is nothing longer.
LONGEST_BYTES = 1514


class Interop(rtguest.GuestTest):
    """An rtvnic-ne2k with two links, to an rtvnic and to a virtio-net."""

    @classmethod
    def setUpClass(cls):
        links = [cls.class_link() for _ in range(2)]
        cls.ne2k = cls.class_boot('ne2k', *(
            arg for n, link in enumerate(links) for arg in (
                *link.server(f'n{n}'), '-device',
                f'rtvnic-ne2k,id=rt{n},netdev=n{n},mac={MACS[n]},dscp=46,'
                'deadline-us=500000')))
        cls.peer = cls.class_boot(
            'peer', *links[0].client('n0'), *links[1].client('n1'),
            '-device', f'rtvnic,id=rt0,netdev=n0,mac={MACS[2]},dscp=46',
            '-device', f'virtio-net-pci,id=v1,netdev=n1,mac={MACS[3]}')
        rtguest.wait_ready(cls.ne2k, cls.peer)
        cls.names = [cls.ne2k.ifup(MACS[n], f'10.12.{n}.1/24')
                     for n in range(2)]
        for n in range(2):
            cls.peer.ifup(MACS[2 + n], f'10.12.{n}.2/24')

    def test_linux_drives_it(self):
        for name in self.names:
            link = f'/sys/class/net/{name}/device/driver'
            driver = self.ne2k.run(f'basename $(readlink {link})').out
            self.assertEqual(driver.strip(), 'ne2k-pci')

    def test_ping(self):
        for n in range(2):
            traffic.ping(self.ne2k, f'10.12.{n}.2')
            traffic.ping(self.peer, f'10.12.{n}.1')

    def test_udp_both_ways(self):
        for n in range(2):
            traffic.udp(self.ne2k, self.peer, f'10.12.{n}.2')
            traffic.udp(self.peer, self.ne2k, f'10.12.{n}.1')

    def test_tcp(self):
        """With segments that leave no room for the trailer."""
        for n in range(2):
            traffic.tcp(self.ne2k, self.peer, f'10.12.{n}.2', kib=64)
            traffic.tcp(self.peer, self.ne2k, f'10.12.{n}.1', kib=64)

    def test_trailers_are_believed(self):
        before = self.peer.rtnet_port('rt0')['counters']
        sent = traffic.udp(self.ne2k, self.peer, '10.12.0.2', count=50)
        after = self.peer.rtnet_port('rt0')['counters']
        self.assertGreaterEqual(after['trailers'] - before['trailers'], sent)
        self.assertEqual(after['rejected'], before['rejected'])


class WireTest(rtguest.GuestTest):
    """One rtvnic-ne2k whose wire the test holds."""

    @staticmethod
    def args(port):
        return ['-object', 'edf-scheduler,id=up,rate-bps=2000000,queue-pkts=20',
                *port.netdev('n0'), '-device',
                f'rtvnic-ne2k,id=rt,netdev=n0,scheduler=up,mac={MACS[0]},'
                f'addr=4,dscp=46,deadline-us=500000,link-mtu={LINK_MTU}']

    @staticmethod
    def up(guest):
        guest.wait_ready()
        name = guest.ifup(MACS[0], '10.12.0.1/24')
        guest.neighbour(name, '10.12.0.2', PEER_MAC)
        return guest

    def check_alive(self, guest):
        """What it gets, it answers."""
        echo = guest.start('rtprobe echo --ports 9100')
        echo.wait_output('ready')
        probe = struct.pack('<IIQ', PROBE_MAGIC, 0, 0)
        self.port.discard()
        self.port.send(frames.udp((PEER_MAC, MACS[0]),
                                  ('10.12.0.2', '10.12.0.1'), probe,
                                  port=9100))
        # To the port that frames.udp() sends from.
        answer = self.port.receive(20, frames.is_udp(9))
        self.assertEqual(frames.parse(answer).payload, probe)
        echo.kill().wait()


class Wire(WireTest):
    """All tests share one guest; what it counts, it counts for all."""

    @classmethod
    def setUpClass(cls):
        cls.port = cls.class_host_port()
        cls.guest = cls.up(cls.class_boot('ne2k', *cls.args(cls.port)))

    def counter(self, name):
        return self.guest.rtnet_port('rt')['counters'][name]

    def drops(self, name):
        return self.guest.rtnet_port('rt')['drops'][name]

    def send(self, port, payload_bytes):
        self.guest.run(f'rtprobe send --dst 10.12.0.2 --port {port} --bytes '
                       f'{payload_bytes} --period-us 1000 --duration-ms 1 '
                       '--wait-ms 0')
        return self.port.receive(match=frames.is_udp(port))

    def test_mark_and_trailer(self):
        frame = self.send(9000, 200)
        trailer = frames.trailer(frame)
        self.assertEqual(frames.parse(frame).dscp, frames.DSCP_EF)
        self.assertEqual(trailer.deadline_ns, 500_000_000)
        self.assertEqual(trailer.source_id,
                         int.from_bytes(frames.mac_bytes(MACS[0])[2:], 'big'))
        self.assertTrue(trailer.flags & frames.DSCP_REWRITTEN)

    def test_room_for_the_trailer(self):
        """The longest packet with room for it has it, the next has not."""
        before = self.counter('no-room')
        frame = self.send(9001, ROOM_BYTES - IP_UDP_BYTES)
        self.assertEqual(len(frame), LONGEST_BYTES)
        frames.trailer(frame)
        self.assertEqual(self.counter('no-room'), before)
        for number, bytes_ in enumerate((ROOM_BYTES + 1, LINK_MTU), 1):
            frame = self.send(9001 + number, bytes_ - IP_UDP_BYTES)
            self.assertEqual(len(frame), frames.ETH_BYTES + bytes_)
            self.assertEqual(frames.parse(frame).behind_ip, b'')
            self.assertEqual(frames.parse(frame).dscp, frames.DSCP_EF)
            self.assertEqual(self.counter('no-room'), before + number)

    def test_flood_overflows(self):
        """What was sent either left or is counted; the guest goes on."""
        before = self.counter('sent') + self.drops('queue-full')
        flood = self.guest.start('rtprobe flood --dst 10.12.0.2 --port 9000 '
                                 '--bytes 1000 --duration-ms 600000')
        came = []

        def overflows():
            self.take(came)
            return self.drops('queue-full') > 20
        traffic.eventually(overflows, 'the queue overflows', 60)
        sent = flood.kill().wait().json()['sent']

        def all_gone():
            self.take(came)
            return self.counter('sent') + self.drops('queue-full') == \
                before + sent
        traffic.eventually(all_gone, f'{sent} frames are sent or counted')
        self.take(came)
        full = self.drops('queue-full')
        print(f'# of {sent} frames {len(came)} came, {full} found the queue '
              'full')
        self.assertEqual(len(came) + full, sent)
        self.assertEqual(came, sorted(set(came)))
        self.check_alive(self.guest)

    def take(self, came):
        """What has come meanwhile; under a flood there is always more."""
        end_s = time.monotonic() + 0.2
        try:
            while time.monotonic() < end_s:
                frame = self.port.receive(0.05, frames.is_udp(9000))
                came.append(struct.unpack_from(
                    '<I', frames.parse(frame).payload, 4)[0])
        except TimeoutError:
            pass

    def test_long_frames_from_the_host(self):
        """Longer than the chip's buffer takes: counted, not believed."""
        lengths = (1515, 1516, 1518, 2000, 3000, 4000)
        before = self.drops('rx-oversize')
        for count, frame_bytes in enumerate(lengths, 1):
            self.port.send(frames.udp(
                (PEER_MAC, MACS[0]), ('10.12.0.2', '10.12.0.1'),
                bytes(frame_bytes - frames.ETH_BYTES - IP_UDP_BYTES)))
            traffic.eventually(
                lambda: self.drops('rx-oversize') == before + count,
                f'a frame of {frame_bytes} bytes is counted')
        self.check_alive(self.guest)


class Leaving(WireTest):
    def setUp(self):
        self.port = self.host_port()
        self.guest = self.up(self.boot('ne2k', *self.args(self.port)))

    def test_migration(self):
        flow = self.guest.start('rtprobe send --dst 10.12.0.2 --port 9000 '
                                '--period-us 20000 --duration-ms 600000')
        first = self.port.receive(match=frames.is_udp(9000))
        target = self.boot('target', *self.args(self.port), incoming=True)
        self.assertEqual(self.guest.migrate(target), 'completed')
        self.guest.close()
        came = [frames.trailer(first).sequence]
        end = came[0] + target.rtnet_port('rt')['counters']['sent'] + 50
        while came[-1] < end:
            came.append(frames.trailer(self.port.receive(
                match=frames.is_udp(9000))).sequence)
        self.assertEqual(came, list(range(came[0], came[0] + len(came))))
        flow.kill().wait(check=False)
        self.check_alive(target)

    def test_unplug_while_it_floods(self):
        self.guest.start('rtprobe flood --dst 10.12.0.2 --port 9000 '
                         '--bytes 1000 --duration-ms 600000')
        traffic.eventually(
            lambda: self.guest.rtnet_port('rt')['queued'] >= 10,
            'frames wait')
        self.guest.qmp.cmd('device_del', {'id': 'rt'})
        self.guest.qmp.wait_event('DEVICE_DELETED', 60, lambda data:
                                  data.get('device') == 'rt')
        self.guest.qmp.cmd('object-del', {'id': 'up'})
        self.guest.qmp.cmd('netdev_del', {'id': 'n0'})
        self.assertEqual(self.guest.qmp.cmd('query-rtnet'),
                         {'schedulers': [], 'ports': []})
        self.assertEqual(self.guest.run('echo alive').out, 'alive\n')


if __name__ == '__main__':
    rtguest.main()
