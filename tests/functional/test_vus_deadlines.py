#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""rtvnics behind vhost-user-shmem: contracts that QEMU registers, and deadlines
that hold while others flood.

Threads: none.
"""

import os
import socket
import threading

import rtguest
from rtguest import vus
from rtguest.traffic import eventually

MACS = {'rt': '52:54:00:00:60:01', 'bulk': '52:54:00:00:60:02',
        'far': '52:54:00:00:60:03'}
IPS = {'rt': '10.0.60.1', 'bulk': '10.0.60.2', 'far': '10.0.60.3'}
RT_PORT, BULK_PORT = 5000, 5001

RATE_BPS = 10_000_000
# One that floods may have nearly half of them, 130 ms.
QUEUE_PKTS = 256
# 1400-byte frames before it take 1.1 ms each; emulated guests and the daemon
# share the cores of a test machine.
DEADLINE_US = 50_000
PERIOD_US = 10_000
FRAME_BYTES = 242
HEADER_BYTES = 14 + 20 + 8
RT_FRAMES = 200
NIC_PATH = '/machine/peripheral/nic-rt'
CONTRACT = f'deadline-us={DEADLINE_US},period-us={PERIOD_US * 9 // 10},' \
           f'max-frame-bytes={FRAME_BYTES},dscp=46'


def refusal(daemon, options):
    """What QEMU says when it does not start with such an rtvnic."""
    return rtguest.qemu_error(
        '-machine', vus.MACHINE, '-m', str(vus.MEMORY_MIB), *vus.memory(),
        *daemon.rtvnic('rt', MACS['rt'], options))


class Contract(vus.DaemonTest):
    """No guest has to run for these."""

    def setUp(self):
        self.vus = self.daemon()
        self.vus.port('rt', rtvnic='on')
        self.vus.port('plain')
        self.vus.port('up', type='dummy', uplink='on', rate_bps='10M')
        self.vus.start()

    def contract(self):
        """What the daemon has of it."""
        port = self.vus.deadlines('rt')
        return port['deadline-us'], port['period-us']

    def wait_contract(self, deadline_us, period_us):
        eventually(lambda: self.contract() == (deadline_us, period_us),
                   f'a contract of {deadline_us}/{period_us} us')

    def start(self, options=CONTRACT):
        return self.boot('guest', *self.vus.rtvnic('rt', MACS['rt'], options))

    def test_registered_and_withdrawn(self):
        guest = self.start()
        self.assertEqual(self.contract(), (DEADLINE_US, PERIOD_US * 9 // 10))
        self.assertEqual(guest.qmp.cmd('qom-get', {
            'path': NIC_PATH, 'property': 'contract'}), 'registered')
        # It is the NIC's, not the port's: it is not what is saved.
        self.assertNotIn('deadline-us', self.vus.vusctl('save', '-'))
        guest.close()
        self.wait_contract(0, 0)

    def test_changed(self):
        guest = self.start('deadline-us=30000')
        self.assertEqual(self.contract(), (30000, 0))
        guest.qmp.cmd('qom-set', {'path': NIC_PATH, 'property': 'deadline-us',
                                  'value': 20000})
        self.assertEqual(self.contract(), (20000, 0))

    def test_unplugged(self):
        guest = self.start()
        guest.wait_ready()
        guest.qmp.cmd('device_del', {'id': 'nic-rt'})
        self.wait_contract(0, 0)

    def test_renewed(self):
        """The daemon starts again: the contract comes back by itself."""
        self.start()
        self.vus.kill()
        self.vus.start()
        self.wait_contract(DEADLINE_US, PERIOD_US * 9 // 10)

    def test_refused(self):
        for options, says in (
                ('deadline-us=1000,period-us=100,max-frame-bytes=1400',
                 'port up cannot promise'),
                ('period-us=100', 'give deadline-us, too'),
                ('deadline-us=1000,scheduler=x', 'leave it out'),
        ):
            with self.subTest(options=options):
                self.assertIn(says, refusal(self.vus, options))
        self.assertEqual(self.contract(), (0, 0))

    def test_wrong_port(self):
        def text(port):
            args = self.vus.rtvnic('plain', MACS['rt'], CONTRACT)
            return rtguest.qemu_error(
                '-machine', vus.MACHINE, '-m', str(vus.MEMORY_MIB),
                *vus.memory(), *args[:-1],
                args[-1].replace('port=plain', f'port={port}'))
        self.assertIn('no rtvnic', text('plain'))
        self.assertIn("no port 'nobody'", text('nobody'))

    def test_no_answer(self):
        """What is there hangs up, or is no daemon's."""
        path = os.path.join(self.vus.directory, 'other')
        args = [a.replace(self.vus.control, path) for a in
                self.vus.rtvnic('rt', MACS['rt'], CONTRACT)]
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()

            def answer():
                with listener.accept()[0] as connection:
                    connection.recv(1024)
                    connection.sendall(b'{"id":7}\nnonsense\n{"id":1\n')
            thread = threading.Thread(target=answer)
            thread.start()
            text = rtguest.qemu_error(
                '-machine', vus.MACHINE, '-m', str(vus.MEMORY_MIB),
                *vus.memory(), *args)
            thread.join()
        self.assertIn('is that its control socket?', text)

    def test_no_control(self):
        args = self.vus.rtvnic('rt', MACS['rt'], CONTRACT)
        args = [a.replace(',control=ctl-rt,port=rt', '') for a in args]
        self.assertIn('add control=CHARDEV', rtguest.qemu_error(
            '-machine', vus.MACHINE, '-m', str(vus.MEMORY_MIB),
            *vus.memory(), *args))


class Flood(vus.DaemonTest):
    """A guest with a contract, one that floods, and a link of 10 Mbit/s to a
    third one."""

    @classmethod
    def setUpClass(cls):
        cls.vus = cls.class_daemon()
        cls.vus.port('rt', rtvnic='on')
        cls.vus.port('bulk')
        # Somebody has to promise what the link does not with policy=fifo.
        cls.vus.port('other', type='dummy', rate_bps='1G')
        cls.vus.port('far', rtvnic='on', rate_bps=RATE_BPS,
                     queue_pkts=QUEUE_PKTS, host_jitter_us=10000)
        cls.vus.start()
        cls.guests = {
            'rt': cls.class_boot('rt', *cls.vus.rtvnic('rt', MACS['rt'],
                                                       CONTRACT)),
            'bulk': cls.class_boot('bulk', *cls.vus.nic('bulk',
                                                        MACS['bulk'])),
            'far': cls.class_boot('far', *cls.vus.rtvnic('far', MACS['far'],
                                                         '')),
        }
        rtguest.wait_ready(*cls.guests.values())
        cls.vus.wait_ready(*MACS)
        names = {name: guest.ifup(MACS[name], f'{IPS[name]}/24')
                 for name, guest in cls.guests.items()}
        for name in ('rt', 'bulk'):
            cls.guests[name].neighbour(names[name], IPS['far'], MACS['far'])
            cls.guests['far'].neighbour(names['far'], IPS[name], MACS[name])

    def run_load(self):
        """Both send; what became of the frames with a deadline."""
        for name in ('rt', 'bulk'):
            # The switch knows both then.
            self.guests[name].run(f'ping -c 1 -W 10 {IPS["far"]}')
        self.vus.call('stats.reset')
        far = self.guests['far'].start(f'rtprobe sink --ports '
                                       f'{RT_PORT},{BULK_PORT}')
        far.wait_output('ready')
        duration_ms = RT_FRAMES * PERIOD_US // 1000
        bulk = self.guests['bulk'].start(
            f'rtprobe flood --dst {IPS["far"]} --port {BULK_PORT} --bytes 1358 '
            f'--duration-ms {duration_ms + 1500}')
        eventually(lambda: self.vus.drops('far').get('queue-full'),
                   'the queue is full')
        rt = self.guests['rt'].run(
            f'rtprobe send --dst {IPS["far"]} --port {RT_PORT} --bytes '
            f'{FRAME_BYTES - HEADER_BYTES} --period-us {PERIOD_US} '
            f'--duration-ms {duration_ms} --wait-ms 0', 60).json()
        bulk.wait(60)
        eventually(lambda: self.vus.link('far')['waiting-pkts'] == 0,
                   'the queue is empty')
        seen = far.kill().wait().json()['ports'][str(RT_PORT)]
        return rt, seen

    def test_edf(self):
        rt, seen = self.run_load()
        sent, far = self.vus.deadlines('rt'), self.vus.deadlines('far')
        self.assertGreater(rt['sent'], RT_FRAMES * 0.5)
        self.assertEqual(seen['received'], rt['sent'])
        self.assertEqual(sent['counters']['sent'], rt['sent'])
        self.assertEqual(far['counters']['missed'], 0)
        self.assertEqual(sent['counters']['late'], 0)
        # Nothing of the flood went before it but what was on the link.
        self.assertLess(sent['queueing-delay']['max-ns'], DEADLINE_US * 1000)

    def test_fifo(self):
        """The same load without EDF misses nearly all: the test is one."""
        self.addCleanup(self.vus.set, 'far', policy=None)
        self.vus.set('far', policy='fifo')
        rt, seen = self.run_load()
        far = self.vus.deadlines('far')
        self.assertGreater(far['counters']['missed'], seen['received'] * 0.5)
        self.assertGreater(self.vus.deadlines('rt')['queueing-delay']['p50-ns'],
                           DEADLINE_US * 1000)

    def test_guest_gets_its_dscp(self):
        """The mark is for the way, not for the guest behind it."""
        self.vus.call('stats.reset')
        self.guests['rt'].run(f'ping -c 3 -i 0.1 -W 10 {IPS["far"]}')
        far = self.vus.deadlines('far')['counters']
        self.assertGreaterEqual(far['trailers'], 3)


class Outside(vus.DaemonTest):
    """The other rtvnic is QEMU's own, on a TAP of its own behind a bridge: two
    programs that agree on a trailer only."""

    def setUp(self):
        try:
            netns = rtguest.NetNamespace()
            self.addCleanup(netns.close)
            netns.run('ip', 'link', 'add', 'br0', 'type', 'bridge')
            # Netfilter, where bridges call it, cuts off what is behind IP.
            netns.run('sh', '-c', 'for f in /proc/sys/net/bridge/'
                      'bridge-nf-call-ip*tables; do '
                      'if [ -e "$f" ]; then echo 0 > "$f"; fi; done')
            for tap in ('tap0', 'tap1'):
                netns.run('ip', 'tuntap', 'add', tap, 'mode', 'tap',
                          *(['vnet_hdr'] if tap == 'tap0' else []))
                netns.run('ip', 'link', 'set', tap, 'master', 'br0')
            for name in ('br0', 'tap0', 'tap1'):
                netns.run('ip', 'link', 'set', name, 'up')
        except rtguest.NetNamespaceUnavailable as e:
            self.skipTest(f'no TAP interface: {e}')
        self.vus = self.daemon(prefix=netns.prefix)
        self.vus.port('rt', rtvnic='on')
        self.vus.port('up', type='tap', ifname='tap0', uplink='on',
                      rate_bps='100M')
        self.vus.start()
        self.rt = self.boot('rt', *self.vus.rtvnic(
            'rt', MACS['rt'], f'deadline-us={DEADLINE_US},dscp=46'))
        self.far = self.boot(
            'far', '-netdev', 'tap,id=n0,ifname=tap1,script=no,downscript=no',
            '-device', f'rtvnic,id=far,netdev=n0,mac={MACS["far"]},dscp=34,'
                       f'deadline-us={DEADLINE_US}', prefix=netns.prefix)
        rtguest.wait_ready(self.rt, self.far)
        self.rt.ifup(MACS['rt'], f'{IPS["rt"]}/24')
        self.far.ifup(MACS['far'], f'{IPS["far"]}/24')

    def test_trailers_both_ways(self):
        self.rt.run(f'ping -c 5 -i 0.1 -W 10 {IPS["far"]}')
        ours, theirs = self.vus.deadlines('rt')['counters'], \
            self.far.rtnet_port('far')['counters']
        for counters in (ours, theirs):
            self.assertGreaterEqual(counters['trailers'], 5)
            self.assertEqual(counters['rejected'], 0)
            self.assertEqual(counters['skewed'], 0)
        self.assertGreater(self.vus.deadlines('rt')['transit-delay']['count'],
                           0)


if __name__ == '__main__':
    rtguest.main()
