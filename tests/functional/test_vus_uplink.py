#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A TAP port as the way to the host, in a network namespace of its own.

A guest has a NIC that offloads all it can and one that offloads nothing; the
host's end is served by a program that echoes UDP and hashes TCP, and sends as
well.

Threads: none.
"""

import re
import subprocess
import sys
import unittest

import rtguest
from rtguest import traffic, vus

HOST_IP = '10.0.64.254'
IPS = {'full': '10.0.64.1', 'plain': '10.0.64.2'}
MACS = {'full': '52:54:00:00:40:01', 'plain': '52:54:00:00:40:02'}
DEVICES = {
    'full': '',
    'plain': 'csum=off,host_tso4=off,host_tso6=off,host_ufo=off,gso=off,'
             'guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,'
             'guest_ufo=off,mrg_rxbuf=off',
}
VLAN = 10
PORT = 7000
BYTES = 1 << 20
ETH_FRAME_BYTES = 1514

# serve: answers TCP with the digest of what it has read; echoes UDP.
# send ADDRESS: sends BYTES over TCP and prints their digest.
HOST_PROGRAM = rf'''
import hashlib, os, socket, sys, threading
def tcp(listener):
    while True:
        c = listener.accept()[0]
        h, left = hashlib.sha256(), {BYTES}
        while left and (data := c.recv(65536)):
            h.update(data)
            left -= len(data)
        c.sendall(h.hexdigest().encode() + b'\n')
        c.close()
if sys.argv[1] == 'send':
    data = os.urandom({BYTES})
    with socket.create_connection((sys.argv[2], {PORT}), timeout=60) as c:
        c.sendall(data)
    print(hashlib.sha256(data).hexdigest())
    sys.exit()
u = socket.socket(type=socket.SOCK_DGRAM)
u.bind(('', {PORT}))
t = socket.create_server(('', {PORT}))
threading.Thread(target=tcp, args=(t,), daemon=True).start()
print('ready', flush=True)
while True:
    data, peer = u.recvfrom(65536)
    u.sendto(data, peer)
'''


class Uplink(vus.DaemonTest):
    @classmethod
    def setUpClass(cls):
        try:
            cls.netns = rtguest.NetNamespace()
            cls.addClassCleanup(cls.netns.close)
            cls.netns.run('ip', 'tuntap', 'add', 'tap0', 'mode', 'tap',
                          'vnet_hdr')
            cls.netns.run('ip', 'addr', 'add', f'{HOST_IP}/24', 'dev', 'tap0')
            cls.netns.run('ip', 'link', 'set', 'tap0', 'up')
        except rtguest.NetNamespaceUnavailable as e:
            raise unittest.SkipTest(f'no TAP interface: {e}')
        cls.vus = cls.class_daemon(prefix=cls.netns.prefix)
        cls.vus.port('up', type='tap', ifname='tap0')
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
        cls.vus.wait_ready(*MACS)
        cls.server = subprocess.Popen(
            [*cls.netns.prefix, 'setpriv', '--pdeathsig', 'KILL',
             sys.executable, '-c', HOST_PROGRAM, 'serve'],
            stdout=subprocess.PIPE)
        cls.addClassCleanup(cls.end_server)
        assert cls.server.stdout.readline() == b'ready\n'

    @classmethod
    def end_server(cls):
        cls.server.kill()
        cls.server.wait()
        cls.server.stdout.close()

    def use(self, name):
        """Let the guest reach the host by that NIC: both are in its
        subnet."""
        nic = self.guest.interface(MACS[name])
        self.guest.run(f'ip route replace {HOST_IP} dev {nic} '
                       f'src {IPS[name]}')

    def frame_bytes(self, key, before):
        """Average length of the uplink's frames since then."""
        now = self.vus.stats('up')
        return (now[f'{key}-bytes'] - before[f'{key}-bytes']) / \
            (now[f'{key}-pkts'] - before[f'{key}-pkts'])

    # -- Tests ----------------------------------------------------------------

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
        for name in MACS:
            with self.subTest(nic=name):
                self.use(name)
                before = self.vus.stats('up')
                # dd writes to the socket itself, 64 KiB at a time; nc's own
                # writes are shorter than a segment, and where the host
                # answers quickly each makes a frame.
                out = self.guest.run(
                    f'head -c {BYTES} /dev/urandom > /tmp/data && '
                    'sha256sum < /tmp/data && '
                    f'nc {HOST_IP} {PORT} -e sh -c '
                    "'dd if=/tmp/data bs=64k && cat >&2' 2>&1", 120).out
                sent, received = re.findall('[0-9a-f]{64}', out)
                self.assertEqual(sent, received)
                average = self.frame_bytes('egress', before)
                if name == 'plain':
                    self.assertLessEqual(average, ETH_FRAME_BYTES)
                else:
                    # The kernel has taken them whole.
                    self.assertGreater(average, ETH_FRAME_BYTES)

    def test_tcp_from_host(self):
        for name in MACS:
            with self.subTest(nic=name):
                self.use(name)
                before = self.vus.stats('up')
                into = self.vus.stats(name)
                sink = self.guest.start(f'nc -l -p {PORT} | sha256sum',
                                        stdin='open')
                traffic.eventually(
                    lambda: f':{PORT:04X} ' in self.guest.run(
                        'cat /proc/net/tcp /proc/net/tcp6',
                        check=False).out, 'the guest listens')
                sent = self.netns.run(sys.executable, '-c', HOST_PROGRAM,
                                      'send', IPS[name])
                self.assertEqual(sink.wait(60).out.split()[0], sent.strip())
                self.assertGreater(self.frame_bytes('ingress', before),
                                   ETH_FRAME_BYTES)
                if name == 'plain':
                    now = self.vus.stats(name)
                    frames = now['egress-pkts'] - into['egress-pkts']
                    self.assertGreaterEqual(frames, BYTES / ETH_FRAME_BYTES)

    def test_vlan(self):
        """The host's untagged frames are of the uplink's native VLAN."""
        self.addCleanup(self.vus.set, 'up', native=None)
        self.addCleanup(self.vus.set, 'plain', vlan=None)
        self.vus.set('up', native=VLAN)
        self.vus.set('plain', vlan=VLAN)
        self.use('plain')
        traffic.ping(self.guest, HOST_IP)
        self.use('full')
        self.no_ping()

    def no_ping(self):
        done = self.guest.run(f'ping -c 1 -W 1 {HOST_IP}', check=False)
        self.assertIn(' 0 packets received', done.out)

    def test_link(self):
        self.use('full')
        self.addCleanup(self.vus.set, 'up', link=None)
        self.vus.set('up', link='down')
        self.no_ping()
        self.vus.set('up', link='up')
        traffic.ping(self.guest, HOST_IP)

    def test_neighbours(self):
        """The host sees each guest's address where it is."""
        for name in MACS:
            self.use(name)
            traffic.ping(self.guest, HOST_IP)
            self.assertIn(f'{IPS[name]} dev tap0 lladdr {MACS[name]}',
                          self.netns.run('ip', 'neigh'))


if __name__ == '__main__':
    rtguest.main()
