#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of a domain, with the device, our kernel module and the daemon.

netvmprobe in each guest sends packets that say who they are; none may be lost,
changed or copied.

Threads: none.
"""

import rtguest
from rtguest import traffic, vus

SIZE_MIB = 64
MEMBERS = ('a', 'b')
PACKETS = 5000
# A frame for the chain, to and from anybody.
FRAME = '020000000001' '020000000002' '88b5' + '00' * 50


class NetvmTest(vus.DaemonTest):
    def setUp(self):
        self.vus = self.daemon()
        self.vus.start()

    def domain(self, **settings):
        self.vus.call('domain.set', name='d',
                      settings={'pages': 'ordinary', 'buffers': '2048',
                                **settings})
        for name in MEMBERS:
            self.member(name)

    def member(self, name, **settings):
        self.vus.call('port.add', name=name, settings={
            'type': 'netvm', 'domain': 'd', 'socket': self.vus.socket(name),
            **settings})

    def boot_member(self, name, port=None):
        port = port or name
        return self.boot(
            name, '-chardev', f'socket,id=c0,path={self.vus.socket(port)},'
                              'reconnect-ms=100',
            '-device', f'netvm-shm,id=nv0,chardev=c0,size={SIZE_MIB}M',
            netvm=True)

    def boot_members(self):
        guests = [self.boot_member(name) for name in MEMBERS]
        rtguest.wait_ready(*guests)
        return guests

    def shown(self):
        domain, = self.vus.call('domain.list')
        return domain

    def wait_all_back(self):
        """Every buffer is the daemon's, and free."""
        traffic.eventually(
            lambda: self.shown()['free-buffers'] == self.shown()['buffers'],
            'all buffers are back')


class Traffic(NetvmTest):
    def exchange(self, direct):
        """There and back, in the same buffers."""
        a, b = self.boot_members()
        echo = b.start('netvmprobe echo=a')
        echo.wait_output('ready')
        out = a.run(f'netvmprobe send=b,{PACKETS}', timeout_s=120).out
        print('#', out.strip())
        self.assertIn(f'sent pkts={PACKETS} direct={PACKETS * direct} ', out)
        echo.kill().wait(check=False)
        self.wait_all_back()
        self.assertNotIn('warning', self.vus.messages())

    def test_direct(self):
        self.domain()
        self.exchange(True)

    def test_through_the_daemon(self):
        self.domain(direct='off')
        self.exchange(False)


class Life(NetvmTest):
    def test_killed(self):
        """kill -9 of a QEMU in the middle of traffic: all that it owned comes
        back, and another one takes its place."""
        self.domain()
        a, b = self.boot_members()
        echo = b.start('netvmprobe echo=a')
        echo.wait_output('ready')
        send = a.start('netvmprobe send=b,100000000')
        self.assertEqual(len(self.shown()['members']), 2)
        traffic.eventually(
            lambda: max(m['stats']['direct-pkts']
                        for m in self.shown()['members']) > 100,
            'packets go round')
        b.close()
        traffic.eventually(lambda: len(self.shown()['members']) == 1,
                           'the daemon has seen that')
        traffic.eventually(lambda: self.shown()['reclaimed-buffers'] > 0,
                           'its buffers are back')
        send.kill().wait(check=False)
        self.wait_all_back()

        b = self.boot_member('b2', port='b')
        b.wait_ready()
        echo = b.start('netvmprobe echo=a')
        echo.wait_output('ready')
        out = a.run(f'netvmprobe send=b,{PACKETS}', timeout_s=120).out
        self.assertIn(f'sent pkts={PACKETS} ', out)

    def test_program_killed(self):
        """The guest stays; its module gives back what the program owned."""
        self.domain()
        a = self.boot_member('a')
        a.wait_ready()
        for _ in range(3):
            hold = a.start('netvmprobe hold')
            hold.wait_output('hold')
            traffic.eventually(
                lambda: self.shown()['free-buffers'] <
                self.shown()['buffers'], 'it has buffers')
            hold.kill().wait(check=False)
        a.run('netvmprobe info')
        self.assertNotIn('warning', self.vus.messages())

    def test_daemon_restarts(self):
        """The device finds the new one."""
        self.domain()
        a, b = self.boot_members()
        self.vus.stop()
        self.vus.start()
        self.domain()
        echo = b.start('netvmprobe echo=a')
        echo.wait_output('ready', 60)
        out = a.run(f'netvmprobe send=b,{PACKETS}', timeout_s=120).out
        self.assertIn(f'sent pkts={PACKETS} ', out)


class Chain(NetvmTest):
    def test_two_guests(self):
        """From a port of the switch through two guests to another one."""
        self.vus.call('domain.set', name='d',
                      settings={'pages': 'ordinary', 'buffers': '2048'})
        for name, service in zip(MEMBERS, ('fw', 'l3')):
            self.member(name, service=service)
        for name, settings in (('out', {'type': 'dummy'}),
                               ('sfc', {'type': 'chain', 'domain': 'd',
                                        'services': 'fw,l3', 'peer': 'out'}),
                               ('in', {'type': 'dummy', 'peer': 'sfc'})):
            self.vus.call('port.add', name=name, settings=settings)
        a, b = self.boot_members()
        for guest in (a, b):
            guest.start('netvmprobe next').wait_output('ready')

        def passes():
            self.vus.call('dummy.inject', name='in', frame=FRAME)
            return self.vus.call('dummy.read', name='out')

        got = traffic.eventually(passes, 'a frame comes out')
        self.assertEqual(got['frame'], FRAME)
        # One hop less, live.
        self.vus.set('sfc', services='l3')
        a.close()
        traffic.eventually(passes, 'the chain goes on without "fw"')


class Tap(NetvmTest):
    def test_unmodified_programs(self):
        """The guests' own programs talk through interfaces of netvm-tap."""
        macs = [f'02:00:00:00:00:0{number}' for number in (1, 2)]
        self.domain()
        for name, mac in zip(MEMBERS, macs):
            self.vus.set(name, mac=mac)
        a, b = guests = self.boot_members()
        for number, (guest, mac) in enumerate(zip(guests, macs), 1):
            tap = guest.start(f'exec netvm-tap --mac {mac} --up')
            tap.wait_output('ready name=netvm0')
            guest.run(f'ip addr add 10.9.0.{number}/24 dev netvm0')
        for size_bytes in (56, 1400):
            traffic.ping(a, '10.9.0.2', size_bytes=size_bytes)
        traffic.tcp(a, b, '10.9.0.2')
        # What has a known address does not go through the daemon.
        for member in self.shown()['members']:
            self.assertGreater(member['stats']['direct-pkts'], 100)


if __name__ == '__main__':
    rtguest.main()
