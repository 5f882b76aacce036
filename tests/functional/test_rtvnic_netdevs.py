#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""rtvnic on every netdev that passes packets through QEMU.

Two guests with one rtvnic for each kind, in a network namespace of their own
(without one, the test of tap is skipped).  "tap" and "user" lead to a server
on the host instead of to the other guest.

Threads: none.
"""

import socket
import subprocess
import sys

import rtguest
from rtguest import traffic

# Echoes UDP, answers TCP with the digest of what it has read.
SERVER = r'''
import hashlib, socket, sys, threading
def tcp(listener):
    while True:
        c = listener.accept()[0]
        h = hashlib.sha256()
        while data := c.recv(65536):
            h.update(data)
        c.sendall(h.hexdigest().encode() + b'\n')
        c.close()
port = int(sys.argv[1])
u = socket.socket(type=socket.SOCK_DGRAM)
u.bind(('', port))
t = socket.create_server(('', port))
threading.Thread(target=tcp, args=(t,), daemon=True).start()
print('ready', flush=True)
while True:
    data, peer = u.recvfrom(65536)
    u.sendto(data, peer)
'''

TAP_HOST_IP = '10.2.0.1'
USER_HOST_IP = '10.0.2.2'


def free_ports(count):
    """UDP and TCP ports of the loopback interface that nobody uses."""
    held, ports = [], []
    while len(ports) < count:
        tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        held += tcp, udp
        tcp.bind(('127.0.0.1', 0))
        port = tcp.getsockname()[1]
        try:
            udp.bind(('127.0.0.1', port))
            ports.append(port)
        except OSError:
            pass
    for one in held:
        one.close()
    return ports


def netdevs(directory, ports):
    """{kind: (arguments of guest a, arguments of guest b, netdev's id)}"""
    def unix(name):
        return f'{directory}/{name}'

    def pair(kind, first, second):
        return kind, ('-netdev', f'{first},id={kind}'), \
            ('-netdev', f'{second},id={kind}')

    stream = 'stream,addr.type=unix,addr.path=' + unix('s')
    hub = 'stream,addr.type=unix,addr.path=' + unix('h')
    local = '127.0.0.1'
    pairs = [
        pair('stream', stream + ',server=on',
             stream + ',server=off,reconnect-ms=100'),
        pair('dgram', *(f'dgram,local.type=unix,local.path={unix(x)},'
                        f'remote.type=unix,remote.path={unix(y)}'
                        for x, y in ('de', 'ed'))),
        pair('socket', f'socket,listen={local}:{ports[0]}',
             f'socket,connect={local}:{ports[0]}'),
        pair('socket-udp', *(f'socket,udp={local}:{x},localaddr={local}:{y}'
                             for x, y in (ports[1:3], ports[2:0:-1]))),
        pair('l2tpv3', *(f'l2tpv3,src={local},dst={local},udp=on,srcport={x},'
                         f'dstport={y},txsession=1,rxsession=1,counter=on'
                         for x, y in (ports[3:5], ports[4:2:-1]))),
    ]
    kinds = {kind: (a, b) for kind, a, b in pairs}
    kinds['hubport'] = tuple(
        ('-netdev', f'{hub},{role},id=hub-{side}',
         '-netdev', f'hubport,id=hub-up,hubid=0,netdev=hub-{side}',
         '-netdev', 'hubport,id=hubport,hubid=0')
        for side, role in (('a', 'server=on'),
                           ('b', 'server=off,reconnect-ms=100')))
    return kinds


class RtvnicNetdevs(rtguest.GuestTest):
    @classmethod
    def setUpClass(cls):
        try:
            cls.netns = rtguest.NetNamespace()
            cls.addClassCleanup(cls.netns.close)
            prefix, cls.no_tap = cls.netns.prefix, None
            cls.netns.run('ip', 'tuntap', 'add', 'tap0', 'mode', 'tap')
            cls.netns.run('ip', 'addr', 'add', f'{TAP_HOST_IP}/24', 'dev',
                          'tap0')
            cls.netns.run('ip', 'link', 'set', 'tap0', 'up')
        except rtguest.NetNamespaceUnavailable as e:
            prefix, cls.no_tap = [], f'no tap here: {e}'

        *ports, cls.port = free_ports(6)
        cls.start_server(prefix)
        kinds = netdevs(cls.class_link().directory, ports)
        single = {'user': ('-netdev', 'user,id=user,restrict=off')}
        if not cls.no_tap:
            single['tap'] = ('-netdev', 'tap,id=tap,ifname=tap0,script=no,'
                                        'downscript=no,vhost=off')
        cls.numbers = {kind: n for n, kind in enumerate([*kinds, *single])}
        args = [], []
        for kind, netdev in kinds.items():
            for side in (0, 1):
                args[side].extend([*netdev[side], *cls.nic(kind, side)])
        for kind, netdev in single.items():
            args[0].extend([*netdev, *cls.nic(kind, 0)])
        cls.a = cls.class_boot('a', *args[0], prefix=prefix)
        cls.b = cls.class_boot('b', *args[1], prefix=prefix)
        rtguest.wait_ready(cls.a, cls.b)

    @classmethod
    def start_server(cls, prefix):
        server = subprocess.Popen(
            [*prefix, sys.executable, '-c', SERVER, str(cls.port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.kill)
        cls.addClassCleanup(server.stdout.close)
        if server.stdout.readline() != b'ready\n':
            raise AssertionError(f'the server on the host did not start on '
                                 f'port {cls.port}')

    @classmethod
    def mac(cls, kind, side):
        return f'52:54:00:01:{cls.numbers[kind]:02x}:{side:02x}'

    @classmethod
    def nic(cls, kind, side):
        return '-device', f'rtvnic,id=rt-{kind},netdev={kind},dscp=46,' \
                          f'mac={cls.mac(kind, side)}'

    def check_port(self, guest, kind, with_trailers):
        port = guest.rtnet_port(f'rt-{kind}')
        count = port['counters']
        self.assertGreater(count['sent'], 0)
        self.assertEqual(count['trailers'] > 0, with_trailers)
        self.assertEqual((count['rejected'], count['skewed']), (0, 0))
        self.assertEqual(set(port['drops'].values()), {0})

    def between_guests(self, kind):
        a, b = self.a, self.b
        ips = [f'10.1.{self.numbers[kind]}.{side + 1}' for side in (0, 1)]
        a.ifup(self.mac(kind, 0), ips[0] + '/24')
        b.ifup(self.mac(kind, 1), ips[1] + '/24')
        traffic.ping(a, ips[1])
        traffic.udp(a, b, ips[1], count=50)
        traffic.udp(b, a, ips[0], count=50, payload_bytes=16)
        traffic.tcp(a, b, ips[1], kib=256)
        traffic.tcp(b, a, ips[0], kib=256)
        self.check_port(a, kind, True)
        self.check_port(b, kind, True)

    def with_host(self, kind, guest_ip, host_ip):
        a = self.a
        a.ifup(self.mac(kind, 0), guest_ip + '/24')
        for payload_bytes in (16, 300, 1400):
            seen = a.run(f'rtprobe send --dst {host_ip} --port {self.port} '
                         f'--bytes {payload_bytes} --period-us 5000 '
                         '--duration-ms 200 --wait-ms 5000').json()
            self.assertGreater(seen['sent'], 0)
            self.assertEqual(seen['echoed'], seen['sent'])
        sent, received = a.run(
            'head -c 262144 /dev/urandom > /tmp/data && sha256sum /tmp/data && '
            f'nc {host_ip} {self.port} < /tmp/data').out.splitlines()
        self.assertEqual(sent.split()[0], received)
        self.check_port(a, kind, False)

    def test_stream(self):
        self.between_guests('stream')

    def test_dgram(self):
        self.between_guests('dgram')

    def test_socket_tcp(self):
        self.between_guests('socket')

    def test_socket_udp(self):
        self.between_guests('socket-udp')

    def test_l2tpv3(self):
        self.between_guests('l2tpv3')

    def test_hubport(self):
        self.between_guests('hubport')

    def test_user(self):
        self.with_host('user', '10.0.2.15', USER_HOST_IP)

    def test_tap(self):
        if self.no_tap:
            self.skipTest(self.no_tap)
        self.with_host('tap', '10.2.0.2', TAP_HOST_IP)


if __name__ == '__main__':
    rtguest.main()
