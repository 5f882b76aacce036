#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An af-xdp port as the way out, in a network namespace of its own.

The interface is one end of a veth pair; at the other end is the host, with an
address.  As on a wire, all that passes has its checksums and is cut.

A guest has a NIC that offloads all it can and one that offloads nothing.
Where frames have to be counted one by one, a dummy port takes their place.

Threads: none.
"""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

import rtguest
from rtguest import traffic, vus
from test_vus_uplink import (BYTES, DEVICES, ETH_FRAME_BYTES, HOST_PROGRAM,
                             PORT)

HOST_IP = '10.0.66.254'
VLAN = 10
VLAN_IPS = ('10.0.67.1', '10.0.67.254')
IPS = {'full': '10.0.66.1', 'plain': '10.0.66.2'}
MACS = {'full': '52:54:00:00:42:01', 'plain': '52:54:00:00:42:02'}
AF_XDP = 44
QUEUES = 2
RING_FRAMES = 2048

# IF: leave nothing to the device at the other end; VLAN tags neither.
FINISH_PROGRAM = '''
import array, fcntl, socket, struct, sys
SIOCETHTOOL, STXCSUM, GFLAGS, SFLAGS, VLAN_FLAGS = 0x8946, 23, 37, 38, 384
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def ethtool(command, value):
    a = array.array('I', [command, value])
    fcntl.ioctl(s, SIOCETHTOOL, struct.pack('16sP16x', sys.argv[1].encode(),
                                            a.buffer_info()[0]))
    return a[1]
ethtool(STXCSUM, 0)
ethtool(SFLAGS, ethtool(GFLAGS, 0) & ~VLAN_FLAGS)
'''

# IP: is anybody there?
KNOCK_PROGRAM = '''
import socket, sys
try:
    socket.create_connection((sys.argv[1], 1), timeout=20)
except ConnectionRefusedError:
    sys.exit()
sys.exit('something listens')
'''

# IF COUNT [PAUSE]: so many broadcast frames, numbered; each is another flow.
FRAMES_PROGRAM = '''
import socket, struct, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for i in range(int(sys.argv[2])):
    s.send(bytes.fromhex('ffffffffffff5254000042090800') +
           struct.pack('>BBHIBBHIIHHHHI', 0x45, 0, 32, 0, 64, 17, 0, 1, 2,
                       1 + i % 65535, 1, 12, 0, i) + bytes(14))
    if len(sys.argv) > 3:
        time.sleep(float(sys.argv[3]))
'''
NUMBER = slice(84, 92)              # in the frame, as hexadecimal digits

# IF VLAN IP: answers ARP and pings in that VLAN, whatever the kernel has.
VLAN_PROGRAM = '''
import socket, struct, sys
vlan, ip = int(sys.argv[2]), socket.inet_aton(sys.argv[3])
mac = bytes.fromhex('52540000420b')
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((sys.argv[1], 0))
s.setsockopt(263, 8, 1)
print('ready', flush=True)
while True:
    data, (aux, *_), _, peer = s.recvmsg(65536, 64)
    tag = struct.unpack('IIIHHHH', aux[2])[5]
    kind, body = data[12:14], data[14:]
    if peer[2] == 4 or tag & 0xfff != vlan:
        continue
    if kind == b'\\x08\\x06' and body[6:8] == b'\\0\\1' and body[24:28] == ip:
        body = body[:7] + b'\\2' + mac + ip + body[8:18]
    elif kind == b'\\x08\\0' and body[16:20] == ip and body[20] == 8:
        csum = (int.from_bytes(body[22:24], 'big') + 0x800) % 0xffff
        body = body[:12] + ip + body[12:16] + bytes(2) + \
            csum.to_bytes(2, 'big') + body[24:]
    else:
        continue
    s.send(data[6:12] + mac + struct.pack('>HH', 0x8100, vlan) + kind + body)
'''


def frame(number):
    """To the host's end, from a guest that is not there."""
    return 'ffffffffffff52540000420a88b5' + f'{number:08x}' + '00' * 46


def segments(count, payload=200):
    """(frame, virtio-net header) of what is cut into so many."""
    tcp = struct.pack('>HHIIBBHHH', 1, 2, 0, 0, 0x50, 0x10, 100, 0, 0)
    ip = struct.pack('>BBHHHBBH', 0x45, 0, 40 + count * payload, 0, 0, 64, 6,
                     0) + bytes((10, 0, 68, 1, 10, 0, 68, 2))
    ethernet = bytes.fromhex('ffffffffffff52540000420a0800')
    vnet = struct.pack('<BBHHHH', 1, 1, 54, payload, 34, 16)
    return (ethernet + ip + tcp + bytes(count * payload)).hex(), vnet.hex()


class Bed(vus.DaemonTest):
    """A namespace with the pair nic0 and host0."""

    XDP_MODE = 'auto'

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest('AF_XDP takes root')
        try:
            socket.socket(AF_XDP, socket.SOCK_RAW).close()
        except OSError as e:
            raise unittest.SkipTest(f'no AF_XDP: {e}')
        try:
            cls.netns = rtguest.NetNamespace()
            cls.addClassCleanup(cls.netns.close)
            cls.make_pair()
        except rtguest.NetNamespaceUnavailable as e:
            raise unittest.SkipTest(f'no veth interfaces: {e}')

    @classmethod
    def make_pair(cls):
        ends = ['numrxqueues', str(QUEUES), 'numtxqueues', str(QUEUES)]
        cls.netns.run('ip', 'link', 'add', 'nic0', *ends, 'type', 'veth',
                      'peer', 'name', 'host0', *ends)
        for end in ('nic0', 'host0'):
            cls.netns.run(sys.executable, '-c', FINISH_PROGRAM, end)
            # Frames are counted: none of IPv6's own.
            cls.netns.run('ip', 'link', 'set', end, 'addrgenmode', 'none',
                          'up')

    @classmethod
    def uplink(cls, daemon, **settings):
        daemon.port('up', type='af-xdp', ifname='nic0', queues=QUEUES,
                    xdp_mode=cls.XDP_MODE, **settings)

    def program(self):
        """The kind of XDP that is attached."""
        found = re.search(r' (xdp\w*) ', self.netns.run(
            'ip', 'link', 'show', 'nic0'))
        return found and found.group(1)


# -- With a guest -------------------------------------------------------------

class GuestBed(Bed):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.netns.run('ip', 'addr', 'add', f'{HOST_IP}/24', 'dev', 'host0')
        cls.vus = cls.class_daemon(prefix=cls.netns.prefix)
        cls.uplink(cls.vus)
        cls.vus.port('full')
        cls.vus.port('plain')
        cls.vus.start()
        cls.guest = cls.class_boot('guest', *(
            cls.vus.nic(name, mac, DEVICES[name])
            for name, mac in MACS.items()))
        cls.guest.wait_ready()
        for name in MACS:
            cls.guest.ifup(MACS[name], f'{IPS[name]}/24')
        # Both NICs of the same subnet would answer for each other.
        cls.guest.run('for i in /proc/sys/net/ipv4/conf/*; do '
                      'echo 1 > $i/arp_ignore; echo 2 > $i/arp_announce; '
                      'done')
        cls.vus.wait_ready('up', *MACS)
        for program in ((HOST_PROGRAM, 'serve'),
                        (VLAN_PROGRAM, 'host0', str(VLAN), VLAN_IPS[1])):
            server = subprocess.Popen(
                [*cls.netns.prefix, 'setpriv', '--pdeathsig', 'KILL',
                 sys.executable, '-c', *program], stdout=subprocess.PIPE)
            cls.addClassCleanup(cls.end_server, server)
            assert server.stdout.readline() == b'ready\n'

    @staticmethod
    def end_server(server):
        server.kill()
        server.wait()
        server.stdout.close()

    def use(self, name):
        """Let the guest reach the host by that NIC: both are in its
        subnet."""
        nic = self.guest.interface(MACS[name])
        self.guest.run(f'ip route replace {HOST_IP} dev {nic} '
                       f'src {IPS[name]}')
        return nic

    def check_frames(self, key, before):
        """Since then the uplink has carried all bytes, in short frames."""
        now = self.vus.stats('up')
        frames = now[f'{key}-pkts'] - before[f'{key}-pkts']
        length = now[f'{key}-bytes'] - before[f'{key}-bytes']
        self.assertGreater(length, BYTES)
        self.assertLessEqual(length / frames, ETH_FRAME_BYTES)
        self.assertEqual(self.vus.drops('up'), {})


class GuestTests:
    """What holds with any kind of XDP."""

    def setUp(self):
        self.vus.call('stats.reset')

    def test_ping(self):
        for name in MACS:
            with self.subTest(nic=name):
                self.use(name)
                traffic.ping(self.guest, HOST_IP)
                traffic.ping(self.guest, HOST_IP, size_bytes=4000)

    def test_udp(self):
        for name in MACS:
            with self.subTest(nic=name):
                self.use(name)
                seen = self.guest.run(
                    f'rtprobe send --dst {HOST_IP} --port {PORT} '
                    '--bytes 1200 --period-us 4000 --duration-ms 400 '
                    '--wait-ms 5000').json()
                self.assertGreater(seen['sent'], 0)
                self.assertEqual(seen['echoed'], seen['sent'])
                self.assertEqual((seen['corrupt'], seen['duplicates']),
                                 (0, 0))

    def test_tcp_to_host(self):
        """What a guest leaves unfinished is finished on its way."""
        for name in MACS:
            with self.subTest(nic=name):
                self.use(name)
                before = self.vus.stats('up')
                out = self.guest.run(
                    f'head -c {BYTES} /dev/urandom > /tmp/data && '
                    'sha256sum < /tmp/data && '
                    f'nc {HOST_IP} {PORT} -e sh -c '
                    "'dd if=/tmp/data bs=64k && cat >&2' 2>&1", 120).out
                sent, received = re.findall('[0-9a-f]{64}', out)
                self.assertEqual(sent, received)
                self.check_frames('egress', before)

    def test_tcp_from_host(self):
        for name in MACS:
            with self.subTest(nic=name):
                self.use(name)
                before = self.vus.stats('up')
                sink = self.guest.start(f'nc -l -p {PORT} | sha256sum',
                                        stdin='open')
                traffic.eventually(
                    lambda: f':{PORT:04X} ' in self.guest.run(
                        'cat /proc/net/tcp /proc/net/tcp6',
                        check=False).out, 'the guest listens')
                sent = self.netns.run(sys.executable, '-c', HOST_PROGRAM,
                                      'send', IPS[name])
                self.assertEqual(sink.wait(60).out.split()[0], sent.strip())
                self.check_frames('ingress', before)

    def test_vlan(self):
        """Tags pass; the port that adds and takes them is the guest's."""
        name = 'plain'
        nic = self.guest.interface(MACS[name])
        self.addCleanup(self.guest.run,
                        f'ip addr del {VLAN_IPS[0]}/24 dev {nic}')
        self.guest.run(f'ip addr add {VLAN_IPS[0]}/24 dev {nic}')
        self.addCleanup(self.vus.set, name, vlan=None)
        self.vus.set(name, vlan=VLAN)
        traffic.ping(self.guest, VLAN_IPS[1])
        learned = self.vus.call('fdb.list', port='up', vlan=VLAN)
        self.assertEqual(len(learned['addresses']), 1)
        # Untagged frames are another network's.
        self.use(name)
        self.no_ping()

    def no_ping(self):
        done = self.guest.run(f'ping -c 1 -W 1 {HOST_IP}', check=False)
        self.assertIn(' 0 packets received', done.out)

    def test_link(self):
        self.use('full')
        self.addCleanup(self.vus.set, 'up', link=None)
        self.vus.set('up', link='down')
        self.no_ping()
        self.assertEqual(self.program(), self.PROGRAM)
        self.vus.set('up', link='up')
        traffic.ping(self.guest, HOST_IP)

    def test_wakes(self):
        """Both directions find a worker asleep."""
        self.use('full')
        traffic.ping(self.guest, HOST_IP)

        def naps():
            return self.vus.call('workers')[0]['sleeps']
        for _ in range(5):
            before = naps()
            time.sleep(0.3)
            self.assertLess(self.cpu_s(0.3), 0.1)
            # Nothing woke it but what the guest says by itself.
            self.assertLess(naps(), before + 30)
            traffic.ping(self.guest, HOST_IP, count=1)
            self.netns.run(sys.executable, '-c', KNOCK_PROGRAM, IPS['full'])
            self.assertGreater(naps(), before)

    def cpu_s(self, for_s):
        """What the daemon uses in that time."""
        def used():
            with open(f'/proc/{self.vus.pid}/stat', encoding='ascii') as f:
                fields = f.read().rsplit(')', 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / \
                os.sysconf('SC_CLK_TCK')
        before = used()
        time.sleep(for_s)
        return used() - before


class Native(GuestTests, GuestBed):
    XDP_MODE = 'native'
    PROGRAM = 'xdp'


class Generic(GuestTests, GuestBed):
    XDP_MODE = 'generic'
    PROGRAM = 'xdpgeneric'


# -- Without ------------------------------------------------------------------

class Interface(Bed):
    """It comes and goes, and so does the daemon."""

    def setUp(self):
        if 'host0' not in self.netns.run('ip', 'link'):
            self.make_pair()
        self.vus = self.daemon(prefix=self.netns.prefix)
        self.vus.port('in', type='dummy')

    def send(self, count):
        self.netns.run(sys.executable, '-c', FRAMES_PROGRAM, 'host0',
                       str(count))

    def numbers(self):
        """Of the frames that have come."""
        seen = []
        while got := self.vus.call('dummy.read', name='in'):
            self.assertEqual(got['vnet'], '00' * 10 + '0100')
            seen.append(int(got['frame'][NUMBER], 16))
        return seen

    def check_passes(self, count=20):
        self.numbers()
        self.send(count)
        seen = []
        traffic.eventually(
            lambda: len(seen.extend(self.numbers()) or seen) >= count,
            'frames come')
        self.assertEqual(sorted(seen), list(range(count)))
        before = self.received()
        for i in range(count):
            self.vus.call('dummy.inject', name='in', frame=frame(i))
        traffic.eventually(lambda: self.received() >= before + count,
                           'frames arrive at the other end')

    def of_interface(self, name, key):
        shown = self.netns.run('ip', '-j', '-s', 'link', 'show', name)
        return json.loads(shown)[0]['stats64']['rx'][key]

    def received(self):
        return self.of_interface('host0', 'packets')

    def inject_segments(self, count):
        data, vnet = segments(count)
        self.vus.call('dummy.inject', name='in', frame=data, vnet=vnet)

    def test_burst(self):
        """The kernel takes fewer at a time than one frame can be cut into;
        the rest does not wait for the next one."""
        for mode in 'native', 'generic':
            self.vus.port('up', type='af-xdp', ifname='nic0', queues=QUEUES,
                          xdp_mode=mode)
            self.vus.start()
            before = self.received()
            self.inject_segments(127)
            self.assertEqual(self.received(), before + 127)
            self.assertEqual(self.vus.stop(), 0)

    def test_modes(self):
        for mode, program in (('auto', 'xdp'), ('native', 'xdp'),
                              ('generic', 'xdpgeneric')):
            self.vus.port('up', type='af-xdp', ifname='nic0', queues=QUEUES,
                          xdp_mode=mode, zero_copy='off')
            self.vus.start()
            self.assertEqual(self.program(), program)
            self.check_passes()
            self.vus.call('port.remove', name='up')
            self.assertIsNone(self.program())
            self.assertEqual(self.vus.stop(), 0)

    def test_killed(self):
        """It leaves nothing behind, and starts again."""
        self.uplink(self.vus)
        for _ in range(2):
            self.vus.start()
            self.assertIn('promiscuity 1', self.netns.run(
                'ip', '-d', 'link', 'show', 'nic0'))
            self.check_passes()
            self.vus.kill()
            traffic.eventually(lambda: not self.program(), 'it is detached')
            self.assertIn('promiscuity 0', self.netns.run(
                'ip', '-d', 'link', 'show', 'nic0'))

    def test_removed(self):
        """An interface that goes away, while frames go out and while not."""
        self.uplink(self.vus)
        self.vus.start()
        for busy in (False, True):
            self.check_passes()
            self.netns.run('ip', 'link', 'del', 'nic0')
            if busy:
                self.vus.call('dummy.inject', name='in', frame=frame(0))
            self.vus.wait_state('up', 'waiting')
            self.assertEqual(self.vus.show('up')['broken'],
                             'the interface is gone')
            self.vus.call('stats.reset')
            self.vus.call('dummy.inject', name='in', frame=frame(0))
            self.assertEqual(self.vus.drops('in'), {'nowhere': 1})
            self.make_pair()
            self.vus.wait_state('up', 'ready')
        self.check_passes()
        self.assertEqual(self.vus.show('up')['breaks'], 2)

    def test_unfit_again(self):
        """One that comes back and cannot be used is said once, and tried
        again by hand."""
        self.uplink(self.vus)
        self.vus.start()
        self.netns.run('ip', 'link', 'del', 'nic0')
        self.vus.wait_state('up', 'waiting')
        self.netns.run('ip', 'link', 'add', 'nic0', 'mtu', '9000', 'type',
                       'veth', 'peer', 'name', 'host0')
        traffic.eventually(lambda: 'MTU is 9000' in self.vus.messages(),
                           'it says so')
        time.sleep(2.5)
        self.assertEqual(self.vus.messages().count('MTU is 9000'), 1)
        self.netns.run('ip', 'link', 'del', 'nic0')
        self.make_pair()
        self.vus.wait_state('up', 'ready')

    def test_down(self):
        """What waited while the interface was down leaves when it is up; what
        came while the link was down does not come later."""
        self.uplink(self.vus)
        self.vus.start()
        self.check_passes()
        self.netns.run('ip', 'link', 'set', 'nic0', 'down')
        before = self.received()
        for _ in range(33):
            self.inject_segments(64)
        self.assertEqual(self.vus.drops('up'), {'rx-full': 64})
        self.assertEqual(self.received(), before)
        self.netns.run('ip', 'link', 'set', 'nic0', 'up')
        traffic.eventually(lambda: self.received() == before + RING_FRAMES,
                           'it leaves')
        self.vus.set('up', link='down')
        self.send(5)
        self.vus.set('up', link='up')
        self.send(1)
        self.assertEqual(traffic.eventually(self.numbers, 'a frame comes'),
                         [0])

    def test_nothing_uncounted(self):
        """A daemon that stands still loses frames, and counts them."""
        self.vus.port('up', type='af-xdp', ifname='nic0', queues=QUEUES,
                      xdp_mode='generic')
        self.vus.start()
        self.check_passes()
        before = self.vus.stats('up')
        dropped = self.of_interface('nic0', 'dropped')
        count = 3 * QUEUES * RING_FRAMES
        os.kill(self.vus.pid, signal.SIGSTOP)
        self.send(count)
        os.kill(self.vus.pid, signal.SIGCONT)

        def since():
            now = self.vus.stats('up')
            return (now['ingress-pkts'] - before['ingress-pkts'],
                    now['drops']['rx-full'] - before['drops']['rx-full'])
        traffic.eventually(lambda: since()[1] > 0 or self.send(1),
                           'losses are counted')
        came, lost = since()
        # Where the kernel's own queue was full.
        lost += self.of_interface('nic0', 'dropped') - dropped
        self.assertGreaterEqual(came, RING_FRAMES)
        self.assertGreaterEqual(came + lost, count)
        self.assertLess(came + lost, count + 100)

    def test_too_long(self):
        """Longer than a place of the socket's memory."""
        self.uplink(self.vus)
        self.vus.start()
        for length, drops in ((4096, {}), (4097, {'rx-short': 1})):
            self.vus.call('dummy.inject', name='in',
                          frame=frame(0) + '00' * (length - 64))
            self.assertEqual(self.vus.drops('up'), drops)


class Refused(Bed):
    """What cannot be, and what it says."""

    def refuse(self, expected, *prefix, **settings):
        daemon = self.daemon(prefix=[*self.netns.prefix, *prefix])
        daemon.port('up', type='af-xdp', **settings)
        with self.assertRaises(vus.DaemonError) as e:
            daemon.start()
        self.assertIn(expected, str(e.exception))
        self.assertIsNone(self.program())

    def test_settings(self):
        self.refuse('ifname=nix0: there is no such interface', ifname='nix0')
        self.refuse('its MTU is 65536, and AF_XDP carries 3818 at most: '
                    'ip link set dev lo mtu 3818', ifname='lo')
        # It has no XDP of its own.
        self.netns.run('ip', 'link', 'set', 'lo', 'mtu', '1500')
        self.refuse('leave xdp-mode=native out', ifname='lo',
                    xdp_mode='native')
        self.refuse(f'it receives through {QUEUES} queues, not queues=3',
                    ifname='nic0', queues=3)
        self.refuse('leave zero-copy=on out', ifname='nic0', queues=QUEUES,
                    zero_copy='on')

    def test_privileges(self):
        for missing in ('net_admin', 'net_raw', 'bpf'):
            with self.subTest(missing=missing):
                self.refuse('the daemon needs CAP_NET_ADMIN, CAP_NET_RAW and '
                            'CAP_BPF', *self.without(missing), ifname='nic0',
                            queues=QUEUES)
        self.refuse('the daemon may not lock enough memory', 'prlimit',
                    '--memlock=65536', *self.without('ipc_lock'),
                    ifname='nic0', queues=QUEUES)

    @staticmethod
    def without(capability):
        left = {'net_admin', 'net_raw', 'bpf', 'ipc_lock'} - {capability}
        return ['setpriv', '--inh-caps', '-all', '--bounding-set',
                '-all' + ''.join(f',+{c}' for c in sorted(left))]

    def test_taken(self):
        daemon = self.daemon(prefix=self.netns.prefix)
        self.uplink(daemon)
        daemon.start()
        other = self.daemon(prefix=self.netns.prefix)
        self.uplink(other)
        with self.assertRaisesRegex(vus.DaemonError,
                                    'another program has it'):
            other.start()


if __name__ == '__main__':
    rtguest.main()
