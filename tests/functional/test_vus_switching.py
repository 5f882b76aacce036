#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of ports, as guests feel them.

Two guests; the second has two NICs, one to talk with and one to look on.
Every test sets its ports as it needs them and puts them back.

Threads: none.
"""

import time

import rtguest
from rtguest import frames, traffic, vus

MACS = {'a': '52:54:00:00:30:01', 'b': '52:54:00:00:30:02',
        'c': '52:54:00:00:30:03'}
IPS = {'a': '10.0.48.1', 'b': '10.0.48.2', 'c': '10.0.49.3'}
NOBODY_MAC = '52:54:00:00:30:99'
BROADCAST = 'ff:ff:ff:ff:ff:ff'
UDP_PORT = 4000
STORM_PPS = 20
ROUNDS = 3


class Switching(vus.DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.vus = cls.class_daemon()
        for name in MACS:
            cls.vus.port(name)
        cls.vus.start()
        options = {'chardev': 'reconnect-ms=100'}
        cls.a = cls.class_boot('a', cls.vus.nic('a', MACS['a'], **options))
        cls.b = cls.class_boot('b', cls.vus.nic('b', MACS['b'], **options),
                               cls.vus.nic('c', MACS['c'], **options))
        rtguest.wait_ready(cls.a, cls.b)
        cls.names = {
            port: guest.ifup(MACS[port], f'{IPS[port]}/24')
            for port, guest in (('a', cls.a), ('b', cls.b), ('c', cls.b))}
        # Both would answer for each other's address.
        cls.b.run('for i in /proc/sys/net/ipv4/conf/*/arp_ignore; do '
                  'echo 1 > $i; done')
        cls.vus.wait_ready(*MACS)

    def setUp(self):
        self.addCleanup(self.restore)

    def restore(self):
        for name in MACS:
            self.vus.set(name, vlan=None, trunk=None, native=None, mac=None,
                         ip=None, mirror=None, peer=None, storm_pps=None,
                         link=None)
        self.vus.call('fdb.flush')
        self.vus.wait_ready(*MACS)

    def no_ping(self, guest, address):
        done = guest.run(f'ping -c 1 -W 1 {address}', check=False)
        self.assertIn(' 0 packets received', done.out)

    def watch(self, port, mark, timeout_ms=20000):
        """Wait for a UDP payload at a port's guest; it is started."""
        watch = self.b.start(
            f'rtprobe raw-recv --dev {self.names[port]} --offset '
            f'{14 + 20 + 8} --match {mark.hex()} --timeout-ms {timeout_ms}')
        watch.wait_output('ready')
        return watch

    def send(self, *sent, guest=None, port='a'):
        """Send frames as they are."""
        (guest or self.a).run(
            f'rtprobe raw-send --dev {self.names[port]}',
            stdin='\n'.join(frame.hex() for frame in sent) + '\n')

    @staticmethod
    def frame(payload, target=BROADCAST, source=MACS['a'],
              source_ip=IPS['a'], tag=None):
        return frames.udp((source, target), (source_ip, IPS['b']), payload,
                          port=UDP_PORT, tag=tag)

    def taken(self, port='a'):
        """Frames that the daemon has taken from a port."""
        return self.vus.stats(port)['ingress-pkts']

    def send_and_settle(self, *sent):
        """Send, and return when the daemon has dealt with all of them."""
        before = self.taken()
        self.send(*sent)
        traffic.eventually(lambda: self.taken() >= before + len(sent),
                           'the frames have been taken')

    # -- VLANs ----------------------------------------------------------------

    def test_access(self):
        """Another VLAN hears nothing, not even a broadcast."""
        for port, vlan in (('a', 10), ('b', 10), ('c', 20)):
            self.vus.set(port, vlan=vlan)
        heard = self.vus.stats('c')['egress-pkts']
        traffic.ping(self.a, IPS['b'])
        self.send_and_settle(self.frame(b'to all in VLAN 10'))
        self.assertEqual(self.vus.stats('c')['egress-pkts'], heard)
        self.assertEqual({a['vlan'] for a in
                          self.vus.call('fdb.list')['addresses']}, {10})
        self.vus.set('b', vlan=20)
        self.no_ping(self.a, IPS['b'])

    def test_access_takes_no_tag(self):
        self.vus.set('a', vlan=10)
        before = self.vus.stats('a')['drops']['vlan']
        self.send_and_settle(self.frame(b'tagged', tag=10))
        self.assertEqual(self.vus.stats('a')['drops']['vlan'], before + 1)

    def test_trunk(self):
        """A guest that tags talks with access ports of its VLANs; TCP's long
        frames get and lose tags, too."""
        self.vus.set('a', vlan=10)
        self.vus.set('b', trunk='10,20')
        name = self.names['b']
        self.b.run(f'ip link add link {name} name v10 type vlan id 10 && '
                   'ip addr add 10.0.50.2/24 dev v10 && ip link set v10 up; '
                   'echo 1 > /proc/sys/net/ipv6/conf/v10/disable_ipv6')
        self.addCleanup(self.b.run, 'ip link del v10')
        self.a.run(f'ip addr add 10.0.50.1/24 dev {self.names["a"]}')
        self.addCleanup(
            self.a.run, f'ip addr del 10.0.50.1/24 dev {self.names["a"]}')
        traffic.ping(self.a, '10.0.50.2')
        traffic.tcp(self.a, self.b, '10.0.50.2')
        traffic.tcp(self.b, self.a, '10.0.50.1')
        # Untagged frames of b are of no VLAN that it may use.
        self.no_ping(self.b, IPS['a'])
        self.vus.set('b', trunk='20')
        self.no_ping(self.a, '10.0.50.2')
        self.vus.set('b', trunk='10,20', native=10)
        traffic.ping(self.b, IPS['a'])

    # -- Mirrors --------------------------------------------------------------

    def test_mirror(self):
        """The third NIC sees both directions, and is not heard."""
        self.vus.set('c', mirror='a')
        marks = b'from a to b', b'from b to a'
        watches = [self.watch('c', mark) for mark in marks]
        traffic.ping(self.a, IPS['b'])
        self.send(self.frame(marks[0], MACS['b']))
        self.send(self.frame(marks[1], MACS['a'], MACS['b']),
                  guest=self.b, port='b')
        for mark, watch in zip(marks, watches):
            self.assertIn(mark.hex(), watch.wait().out)
        before = self.vus.stats('c')['drops']['mirror-in']
        self.send(self.frame(b'from a mirror', MACS['a'], MACS['c']),
                  guest=self.b, port='c')
        traffic.eventually(
            lambda: self.vus.stats('c')['drops']['mirror-in'] > before,
            'what it sends is dropped')

    # -- Filters --------------------------------------------------------------

    def test_spoofed_mac(self):
        self.vus.set('a', mac=MACS['a'])
        traffic.ping(self.a, IPS['b'])
        drops = self.vus.stats('a')['drops']['spoof-mac']
        out = self.vus.stats('b')['egress-pkts']
        self.send_and_settle(*[self.frame(b'x', source=NOBODY_MAC)] * 3)
        self.assertEqual(self.vus.stats('a')['drops']['spoof-mac'], drops + 3)
        self.assertEqual(self.vus.stats('b')['egress-pkts'], out)

    def test_spoofed_ip(self):
        self.vus.set('a', ip=IPS['a'])
        traffic.ping(self.a, IPS['b'])
        traffic.tcp(self.a, self.b, IPS['b'], kib=64)
        drops = self.vus.stats('a')['drops']['spoof-ip']
        out = self.vus.stats('b')['egress-pkts']
        self.send_and_settle(*[self.frame(b'x', source_ip='10.0.48.66')] * 3)
        self.assertEqual(self.vus.stats('a')['drops']['spoof-ip'], drops + 3)
        self.assertEqual(self.vus.stats('b')['egress-pkts'], out)

    def test_storm(self):
        """Broadcasts beyond the limit are dropped and counted; other frames
        pass."""
        # An address that is not known yet would be flooded as well.
        traffic.ping(self.b, IPS['a'])
        self.vus.set('a', storm_pps=STORM_PPS)
        count = 10 * STORM_PPS
        drops = self.vus.stats('a')['drops']['storm']
        out = self.vus.stats('b')['egress-pkts']
        start = time.monotonic()
        self.send_and_settle(*[self.frame(b'storm')] * count)
        took_s = time.monotonic() - start
        dropped = self.vus.stats('a')['drops']['storm'] - drops
        passed = self.vus.stats('b')['egress-pkts'] - out
        self.assertEqual(dropped + passed, count)
        self.assertGreater(passed, 0)
        # A bucket holds a tenth of a second.
        self.assertLessEqual(passed, STORM_PPS * (took_s + 0.1) + 1)
        traffic.ping(self.a, IPS['b'])

    # -- Ports come and go ----------------------------------------------------

    def carrier(self):
        return self.a.run(f'cat /sys/class/net/{self.names["a"]}/carrier').out

    def test_link(self):
        """A port that is set down is a cable that was pulled."""
        self.assertEqual(self.carrier(), '1\n')
        self.vus.vusctl('set', 'a', 'link=down')
        self.assertEqual(self.vus.show('a')['state'], 'link-down')
        traffic.eventually(lambda: self.carrier() == '0\n',
                           'the guest has no carrier')
        self.no_ping(self.b, IPS['a'])
        self.vus.vusctl('set', 'a', 'link=up')
        traffic.eventually(lambda: self.carrier() == '1\n',
                           'the guest has a carrier again')
        self.vus.wait_ready('a')
        traffic.ping(self.b, IPS['a'])

    def test_other_ports_under_load(self):
        """Neighbours that come, change and go cost a flow nothing."""
        sink = self.b.start(f'rtprobe sink --ports {UDP_PORT}')
        sink.wait_output('ready')
        flow = self.a.start(f'rtprobe send --dst {IPS["b"]} --port {UDP_PORT} '
                            '--bytes 1000 --period-us 5000 '
                            '--duration-ms 6000')
        drops = self.vus.drops('b')
        number = 0
        while flow.status is None:
            number += 1
            name = f'x{number}'
            self.vus.call('port.add', name=name, settings={
                'socket': self.vus.socket(name)})
            self.vus.call('port.add', name='d', settings={'type': 'dummy'})
            self.vus.set('d', mirror='a')
            self.vus.set('c', vlan=number % 4000 + 1)
            self.vus.call('port.remove', name=name)
            self.vus.call('port.remove', name='d')
            self.vus.call('fdb.flush')
        sent = flow.wait().json()['sent']
        traffic.eventually(lambda: self.received(sink) >= sent,
                           'all have been received')
        got = sink.kill().wait().json()['ports'][str(UDP_PORT)]
        self.assertEqual(
            [got[k] for k in ('received', 'lost', 'duplicates', 'reordered',
                              'corrupt')], [sent, 0, 0, 0, 0])
        self.assertEqual(self.vus.drops('b'), drops)
        self.assertGreaterEqual(number, ROUNDS)

    @staticmethod
    def received(sink):
        lines = sink.out.count('\n')
        sink.kill(10)
        traffic.eventually(lambda: sink.out.count('\n') > lines,
                           'the sink has answered')
        return sink.json()['ports'][str(UDP_PORT)]['received']

    def test_own_port_under_load(self):
        """The receiver's port is removed and added again: it goes on."""
        flow = self.a.start(f'rtprobe flood --dst {IPS["b"]} --port '
                            f'{UDP_PORT} --bytes 500 --duration-ms 600000')
        settings = {'socket': self.vus.socket('b')}
        for _ in range(ROUNDS):
            self.vus.call('port.remove', name='b')
            self.vus.call('port.add', name='b', settings=settings)
            traffic.eventually(
                lambda: self.vus.stats('b')['egress-pkts'] > 10,
                'b receives again', 60)
        flow.kill().wait(check=False)
        self.vus.wait_ready('b')
        traffic.ping(self.a, IPS['b'])
        traffic.tcp(self.b, self.a, IPS['a'], kib=256)

    def test_peer(self):
        """Two ports as a wire: whatever the addresses are."""
        self.vus.set('a', peer='c')
        self.vus.set('c', peer='a')
        mark = b'over the wire'
        watch = self.watch('c', mark)
        self.send(self.frame(mark, NOBODY_MAC))
        self.assertIn(mark.hex(), watch.wait().out)
        self.no_ping(self.a, IPS['b'])


if __name__ == '__main__':
    rtguest.main()
