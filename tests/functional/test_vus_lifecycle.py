#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests and QEMUs that come, stop and go behind a daemon that stays.

Threads: none.
"""

import os
import pwd
import socket
import unittest

import rtguest
from rtguest import traffic, vus

KINDS = {'split': '', 'packed': 'packed=on'}
MACS = {'split': ('52:54:00:00:70:01', '52:54:00:00:70:02'),
        'packed': ('52:54:00:00:71:01', '52:54:00:00:71:02')}
IPS = {'split': ('10.0.112.1', '10.0.112.2'),
       'packed': ('10.0.113.1', '10.0.113.2')}
PORT = 7400
ROUNDS = 3
HOTPLUG_MIB = 64


class Lifecycle(vus.DaemonTest):
    """Guest "one" stays and floods; "two" is what things happen to."""

    def setUp(self):
        self.floods = []
        self.vus = self.daemon()
        for number, kind in enumerate(KINDS, 1):
            for side in '12':
                self.vus.port(f'{kind}-{side}', vlan=number)
        self.vus.start()
        self.one = self.boot_side(0)
        self.two = self.boot_side(1, '-m', 'slots=2,maxmem=1G')
        rtguest.wait_ready(self.one, self.two)
        self.set_up(self.one, 0)
        self.set_up(self.two, 1)

    def boot_side(self, side, *args):
        nics = [self.vus.nic(f'{kind}-{side + 1}', MACS[kind][side], device,
                             chardev='reconnect-ms=100')
                for kind, device in KINDS.items()]
        return self.boot(('one', 'two')[side], *nics, *args)

    def set_up(self, guest, side):
        for kind in KINDS:
            guest.ifup(MACS[kind][side], f'{IPS[kind][side]}/24')
        self.vus.wait_ready(*(f'{kind}-{side + 1}' for kind in KINDS))

    def flood(self):
        self.floods = [self.one.start(
            f'rtprobe flood --dst {IPS[kind][1]} --port {PORT} '
            '--duration-ms 3600000') for kind in KINDS]
        self.wait_flood()

    def wait_flood(self):
        self.vus.call('stats.reset')
        for kind in KINDS:
            traffic.eventually(
                lambda: self.vus.stats(f'{kind}-2')['egress-pkts'] > 50,
                f'{kind} receives', 60)

    def check_alive(self):
        for flood in self.floods:
            flood.kill().wait(check=False)
        for kind in KINDS:
            traffic.ping(self.one, IPS[kind][1])
            traffic.ping(self.two, IPS[kind][0])
        traffic.tcp(self.two, self.one, IPS['split'][0], kib=128)
        traffic.tcp(self.two, self.one, IPS['packed'][0], kib=128)

    def check_quiet(self):
        """Nothing was wrong."""
        self.assertNotIn('warning', self.vus.messages())

    # -- Tests ----------------------------------------------------------------

    def test_reboot(self):
        """In the middle of everything."""
        self.flood()
        for _ in range(2):
            self.two.reset()
            self.two.wait_ready()
            self.set_up(self.two, 1)
            self.wait_flood()
        self.check_alive()
        self.check_quiet()

    def test_driver(self):
        """Another driver could take over at any time."""
        self.flood()
        bus = '/sys/bus/virtio/drivers/virtio_net'
        devices = self.two.run(f'cd {bus}; ls -d virtio*').out.split()
        self.assertEqual(len(devices), len(KINDS))
        for _ in range(ROUNDS):
            for device in devices:
                self.two.run(f'echo {device} > {bus}/unbind')
            for kind in KINDS:
                self.vus.wait_state(f'{kind}-2', 'connected')
            for device in devices:
                self.two.run(f'echo {device} > {bus}/bind')
            self.set_up(self.two, 1)
            self.wait_flood()
        self.check_alive()
        self.check_quiet()

    def test_stopped(self):
        """A guest that stands still for a while."""
        for vlan, kind in enumerate(KINDS, 1):
            # The flood goes on, and to it only, while it does not answer.
            self.one.neighbour(self.one.interface(MACS[kind][0]),
                               IPS[kind][1], MACS[kind][1])
            self.vus.call('fdb.set', mac=MACS[kind][1], vlan=vlan,
                          port=f'{kind}-2')
        self.flood()
        for _ in range(ROUNDS):
            self.two.qmp.cmd('stop')
            for kind in KINDS:
                self.vus.wait_state(f'{kind}-2', 'connected')
            before = self.vus.stats('split-2')['drops']['down']
            traffic.eventually(
                lambda: self.vus.stats('split-2')['drops']['down'] > before,
                'what comes for it is dropped')
            self.two.qmp.cmd('cont')
            self.wait_flood()
        self.check_alive()
        self.check_quiet()

    def test_killed(self):
        """kill -9, and another QEMU in its place."""
        self.flood()
        for _ in range(2):
            self.two.close()
            for kind in KINDS:
                self.vus.wait_state(f'{kind}-2', 'waiting')
            self.two = self.boot_side(1)
            self.two.wait_ready()
            self.set_up(self.two, 1)
            self.wait_flood()
        self.check_alive()
        self.check_quiet()

    def test_memory_added(self):
        """Memory that is plugged in while frames come is memory for them."""
        self.flood()
        before = self.vus.show('split-2')['memory-bytes']
        self.two.qmp.cmd('object-add', {
            'qom-type': 'memory-backend-memfd', 'id': 'more', 'share': True,
            'size': HOTPLUG_MIB << 20})
        self.two.qmp.cmd('device_add', {'driver': 'pc-dimm', 'id': 'dimm',
                                        'memdev': 'more'})
        for kind in KINDS:
            traffic.eventually(
                lambda: self.vus.show(f'{kind}-2')['memory-bytes'] >=
                before + (HOTPLUG_MIB << 20), 'the daemon has it')
        self.wait_flood()
        self.check_alive()
        self.check_quiet()

    def test_second_front_end(self):
        """One that is started by mistake takes nothing away."""
        with socket.socket(socket.AF_UNIX) as other:
            other.settimeout(60)
            other.connect(self.vus.socket('split-2'))
            self.assertEqual(other.recv(1), b'')
        self.assertIn('turned away', self.vus.messages())
        self.check_alive()


class Unprivileged(vus.DaemonTest):
    def test_nobody(self):
        """Daemon and QEMU of an ordinary user, who has started them."""
        if os.geteuid() != 0:
            raise unittest.SkipTest('is an ordinary user already')
        daemon = self.daemon(prefix=vus.as_nobody())
        os.chown(daemon.directory, vus.NOBODY, vus.NOBODY)
        for side in '12':
            daemon.port(side)
        daemon.start()
        self.assertEqual(os.stat(f'/proc/{daemon.pid}').st_uid, vus.NOBODY)
        name = pwd.getpwuid(vus.NOBODY).pw_name
        guests = []
        for side, mac in zip('12', MACS['split']):
            guests.append(self.boot(
                f'nobody-{side}', '-run-with', f'user={name}',
                daemon.nic(side, mac, chardev='reconnect-ms=100')))
        rtguest.wait_ready(*guests)
        for guest, mac, ip in zip(guests, MACS['split'], IPS['split']):
            self.assertEqual(os.stat(f'/proc/{guest.pid}').st_uid, vus.NOBODY)
            guest.ifup(mac, f'{ip}/24')
        daemon.wait_ready('1', '2')
        traffic.ping(guests[0], IPS['split'][1])
        # Now QEMU connects as that user, too.
        daemon.kill()
        daemon.start()
        daemon.wait_ready('1', '2')
        traffic.eventually(lambda: daemon.stats('2')['ingress-pkts'] or
                           guests[0].run(f'ping -c 1 -W 1 {IPS["split"][1]}',
                                         check=False).status == 0,
                           'the guests talk again')
        traffic.ping(guests[1], IPS['split'][0])
        traffic.tcp(*guests, IPS['split'][1], kib=128)


if __name__ == '__main__':
    rtguest.main()
