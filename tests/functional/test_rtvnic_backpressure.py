#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What may happen to a NIC while its frames wait for a slow uplink.

A guest floods two uplinks of 2 Mbit/s, through an rtvnic and through an
ordinary virtio-net behind an edf-port: the scheduler's queue is full, a frame
waits between NIC and queue, and the guest's ring is full behind it.  Under
that the guest is reset, rebooted, its driver taken away, its rings resized,
the VM stopped, the link cut, the NIC unplugged.

Each time QEMU must live, frames must flow again, and none may be lost, doubled
or reordered that had left the guest's ring.

Threads: one Wire per NIC takes its frames.
"""

import struct
import threading
import time

import rtguest
from rtguest import frames, traffic

PROBE_MAGIC = 0x52545042
QUEUE_PKTS = 20
ROUNDS = 3
SCHEDULER = f'edf-scheduler,rate-bps=2000000,queue-pkts={QUEUE_PKTS}'
# A socket's buffer holds about 280 datagrams of this size, the ring 1024.
FLOOD_BYTES = 100
FLOODS_PER_NIC = 5
SOCKET_FULL = 0.9
# Together they are more than the ring holds.
SOCKETS_FULL = 4


class Wire(threading.Thread):
    """Takes what a NIC sends and notes the sequence numbers, by UDP port."""

    def __init__(self, host_port):
        super().__init__(daemon=True)
        self._host_port = host_port
        self._stopping = False
        self.total = 0
        self.sequences = {}
        self.start()

    def run(self):
        while not self._stopping:
            try:
                frame = self._host_port.receive(0.2)
            except TimeoutError:
                continue
            ip = frames.parse(frame)
            if ip and ip.protocol == frames.UDP and len(ip.payload) > 16:
                magic, sequence = struct.unpack_from('<II', ip.payload)
                if magic == PROBE_MAGIC:
                    self.sequences.setdefault(ip.port, []).append(sequence)
            self.total += 1

    def stop(self):
        self._stopping = True
        self.join()


class Nic:
    """One NIC under test: how QEMU is told, and how the guest knows it."""

    def __init__(self, number, host_port, port_id, device):
        self.number = number
        self.port_id = port_id          # in query-rtnet
        self.device_id = f'nic{number}'
        self.netdev_id = f'n{number}'
        self.scheduler_id = f'up{number}'
        self.mac = f'52:54:00:00:07:{number:02x}'
        self.ip = f'10.7.{number}.1'
        self.peer_ip = f'10.7.{number}.2'
        self.wire = Wire(host_port)
        self._netdev = host_port.netdev(self.netdev_id)
        self.device = device + f',id={self.device_id},mac={self.mac}'
        self._udp_port = 10000
        self._floods = []

    def objects(self):
        """Options before the device, each as (option, value)."""
        made = [('-object', f'{SCHEDULER},id={self.scheduler_id}'),
                self._netdev]
        if self.port_id != self.device_id:
            made.append(('-object', f'edf-port,id={self.port_id},netdev='
                                    f'{self.netdev_id},scheduler='
                                    f'{self.scheduler_id}'))
        return made

    def args(self):
        return [*(arg for pair in self.objects() for arg in pair),
                '-device', self.device]

    # -- In the guest ---------------------------------------------------------

    def up(self, guest):
        """As soon as the guest has the interface, configure it; its name."""
        def exists():
            return self.mac in guest.run('cat /sys/class/net/*/address').out
        traffic.eventually(exists, f'the guest has interface {self.mac}')
        # Linux's fq_codel would throw away what waits for long.
        guest.run('echo pfifo_fast > /proc/sys/net/core/default_qdisc')
        name = guest.ifup(self.mac, f'{self.ip}/24')
        guest.neighbour(name, self.peer_ip, '52:54:00:00:07:ff')
        return name

    def virtio_device(self, guest):
        name = guest.interface(self.mac)
        return guest.run(f'basename $(readlink /sys/class/net/{name}/device)'
                         ).out.strip()

    def next_udp_port(self):
        self._udp_port += 1
        return self._udp_port

    def flood(self, guest):
        """Fill queue and ring."""
        for _ in range(FLOODS_PER_NIC):
            port = self.next_udp_port()
            self._floods.append((port, guest.start(
                f'rtprobe flood --dst {self.peer_ip} --port {port} --bytes '
                f'{FLOOD_BYTES} --duration-ms 600000')))
        traffic.eventually(
            lambda: guest.rtnet_port(self.port_id)['queued'] >= QUEUE_PKTS,
            f'the queue of {self.port_id} is full')
        blocked = set()
        traffic.eventually(lambda: self._ring_full(guest, blocked),
                           f'the ring behind {self.port_id} is full')

    def _ring_full(self, guest, blocked):
        """Have all floods had to wait, and is the ring still full?

        @blocked: those that have.  Linux wakes a socket when half of its
        buffer has gone, so rarely are all of them full at the same time.
        """
        limit, *lines = guest.run('cat /proc/sys/net/core/wmem_default '
                                  '/proc/net/udp').out.splitlines()
        waiting = {}
        for line in lines[1:]:
            _, _, remote, _, queues, *_ = line.split()
            waiting[int(remote.split(':')[1], 16)] = \
                int(queues.split(':')[0], 16)
        floods = [waiting.get(port, 0) / int(limit) for port, _ in self._floods]
        blocked.update(number for number, full in enumerate(floods)
                       if full > SOCKET_FULL)
        return len(blocked) == len(floods) and sum(floods) > SOCKETS_FULL

    def end_floods(self):
        """Stop them: {UDP port: datagrams sent, None if it did not say}."""
        floods, self._floods = self._floods, []
        sent = {}
        for port, command in floods:
            try:
                command.kill().wait(check=False)
            except rtguest.GuestRestarted:
                pass
            sent[port] = command.json()['sent'] if command.status == 0 else None
        return sent

    # -- Checks ---------------------------------------------------------------

    def drained(self, guest):
        """All that QEMU has sent has arrived, and nothing waits."""
        def at_rest():
            port = guest.rtnet_port(self.port_id)
            return not port['queued'] and self.wire.total == \
                self.before + port['counters']['sent']
        traffic.eventually(at_rest, f'{self.port_id} has sent all: '
                           f'{guest.rtnet_port(self.port_id)}, '
                           f'{self.wire.total} frames arrived')

    # Frames on the wire before the port existed that counts now.
    before = 0


class FloodTest(rtguest.GuestTest):
    """What the tests below have in common."""

    @staticmethod
    def make_nics(host_port, add_cleanup):
        nics = [Nic(0, host_port(), 'nic0',
                    'rtvnic,netdev=n0,scheduler=up0,dscp=46,deadline-us=50000'),
                Nic(1, host_port(), 'e1',
                    'virtio-net-pci,netdev=e1,queue_reset=off')]
        for nic in nics:
            add_cleanup(nic.wire.stop)
        return nics

    # -- Checks ---------------------------------------------------------------

    def check_order(self, nic, udp_port, whole_prefix):
        """No frame twice or out of order; @whole_prefix: and none missing
        before the last that came."""
        came = nic.wire.sequences.get(udp_port, [])
        self.assertEqual(came, sorted(set(came)))
        if whole_prefix:
            self.assertEqual(came, list(range(len(came))), nic.port_id)

    def flow_again(self, guest, nics):
        """After all that, datagrams pass, every one."""
        for nic in nics:
            nic.drained(guest)
            port = nic.next_udp_port()
            sent = guest.run(
                f'rtprobe send --dst {nic.peer_ip} --port {port} --bytes 100 '
                '--period-us 4000 --duration-ms 200 --wait-ms 0').json()['sent']
            self.assertGreater(sent, 0)
            traffic.eventually(
                lambda: nic.wire.sequences.get(port) == list(range(sent)),
                f'{sent} datagrams of {nic.port_id} have arrived')
            nic.drained(guest)

    def end_under_loss(self, guest, nics, whole_prefix=True, may_drop=()):
        """The floods were hit by something that takes frames from the ring."""
        floods = {nic: nic.end_floods() for nic in nics}
        self.flow_again(guest, nics)
        for nic in nics:
            for udp_port in floods[nic]:
                self.check_order(nic, udp_port, whole_prefix)
            drops = guest.rtnet_port(nic.port_id)['drops']
            self.assertEqual([r for r, n in drops.items()
                              if n and r not in may_drop], [], nic.port_id)

    def end_without_loss(self, guest, nics):
        """Every datagram that a flood has sent arrives."""
        for nic in nics:
            for udp_port, sent in nic.end_floods().items():
                traffic.eventually(
                    lambda: nic.wire.sequences.get(udp_port) ==
                    list(range(sent)),
                    f'{sent} datagrams of {nic.port_id} have arrived')
        self.flow_again(guest, nics)


class Backpressure(FloodTest):
    """All tests share one guest."""

    @classmethod
    def setUpClass(cls):
        cls.nics = cls.make_nics(cls.class_host_port, cls.addClassCleanup)
        cls.guest = cls.class_boot('flooder',
                                   *(a for n in cls.nics for a in n.args()))
        cls.guest.wait_ready()
        for nic in cls.nics:
            nic.up(cls.guest)

    def setUp(self):
        for nic in self.nics:
            nic.end_floods()        # of a test that failed

    def test_reset(self):
        for _ in range(2):
            for nic in self.nics:
                nic.flood(self.guest)
            self.guest.qmp.cmd('system_reset')
            self.guest.wait_ready()
            for nic in self.nics:
                nic.up(self.guest)
            self.end_under_loss(self.guest, self.nics)

    def test_reboot(self):
        for nic in self.nics:
            nic.flood(self.guest)
        self.guest.start('reboot -f')
        self.guest.wait_ready()
        for nic in self.nics:
            nic.up(self.guest)
        self.end_under_loss(self.guest, self.nics)

    def test_driver_unbind(self):
        driver = '/sys/bus/virtio/drivers/virtio_net'
        for _ in range(ROUNDS):
            for nic in self.nics:
                nic.flood(self.guest)
            for nic in self.nics:
                device = nic.virtio_device(self.guest)
                self.guest.run(f'echo {device} > {driver}/unbind')
                self.guest.run(f'echo {device} > {driver}/bind')
                nic.up(self.guest)
            self.end_under_loss(self.guest, self.nics)

    def test_interface_down(self):
        for _ in range(ROUNDS):
            for nic in self.nics:
                nic.flood(self.guest)
            for nic in self.nics:
                name = self.guest.interface(nic.mac)
                self.guest.run(f'ip link set {name} down')
                self.guest.run(f'ip addr flush dev {name}')
                nic.up(self.guest)
            # What waits in the guest's ring when its interface goes down may
            # be thrown away by the guest at any place.
            self.end_under_loss(self.guest, self.nics, whole_prefix=False)

    def test_ring_resize(self):
        """What ethtool -G does.  As queue_reset is off, Linux refuses."""
        for nic in self.nics:
            nic.flood(self.guest)
        for size in (64, 128, 256) * ROUNDS:
            for nic in self.nics:
                name = self.guest.interface(nic.mac)
                done = self.guest.run(f'rtprobe ring --dev {name} --tx {size}',
                                      check=False)
                self.assertTrue(done.status == 0 or
                                'the driver refuses' in done.err, done.err)
        self.end_without_loss(self.guest, self.nics)

    def test_stop_and_cont(self):
        for nic in self.nics:
            nic.flood(self.guest)
        for _ in range(ROUNDS):
            self.guest.qmp.cmd('stop')
            # What the sockets still hold arrives first.
            time.sleep(0.3)
            before = [nic.wire.total for nic in self.nics]
            for nic in self.nics:
                self.assertGreaterEqual(
                    self.guest.rtnet_port(nic.port_id)['queued'], QUEUE_PKTS)
            time.sleep(0.2)
            self.assertEqual([nic.wire.total for nic in self.nics], before)
            self.guest.qmp.cmd('cont')
            time.sleep(0.3)
        self.end_without_loss(self.guest, self.nics)

    def test_set_link(self):
        """Of the netdev and of the NIC: the guest sees either."""
        for nic in self.nics:
            name = self.guest.interface(nic.mac)
            carrier = f'cat /sys/class/net/{name}/carrier'
            for which in (nic.netdev_id, nic.device_id):
                nic.flood(self.guest)
                for up in (False, True) * ROUNDS:
                    self.guest.qmp.cmd('set_link', {'name': which, 'up': up})
                    traffic.eventually(
                        lambda: self.guest.run(carrier).out == f'{up:d}\n',
                        f'the guest sees link {which} up={up}')
                self.end_under_loss(self.guest, [nic], whole_prefix=False,
                                    may_drop=('link-down',))


def qmp_arguments(option):
    """type,a=1,b.c=2 as QMP wants it: nested."""
    kind, *pairs = option.split(',')
    arguments = {'type': kind}
    for pair in pairs:
        path, value = pair.split('=', 1)
        *parents, key = path.split('.')
        inner = arguments
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return arguments


class HotPlug(FloodTest):
    """NICs, ports and schedulers that come and go under load."""

    def unplug(self, guest, nic):
        guest.qmp.cmd('device_del', {'id': nic.device_id})
        guest.qmp.wait_event('DEVICE_DELETED', 60, lambda data:
                             data.get('device') == nic.device_id)
        if nic.port_id != nic.device_id:
            guest.qmp.cmd('object-del', {'id': nic.port_id})
        guest.qmp.cmd('object-del', {'id': nic.scheduler_id})
        guest.qmp.cmd('netdev_del', {'id': nic.netdev_id})

    def plug(self, guest, nic):
        for option, value in nic.objects():
            if option == '-netdev':
                guest.qmp.cmd('netdev_add', qmp_arguments(value))
            else:
                self.assertEqual(guest.qmp.hmp(f'object_add {value}'), '')
        self.assertEqual(guest.qmp.hmp(f'device_add {nic.device}'), '')
        # A new port counts from 0.
        nic.before = nic.wire.total

    def test_unplug_and_plug(self):
        nics = self.make_nics(self.host_port, self.addCleanup)
        guest = self.boot('hotplug', *(a for n in nics for a in n.args()))
        guest.wait_ready()
        for nic in nics:
            nic.up(guest)
        for _ in range(2):
            for nic in nics:
                nic.flood(guest)
                self.unplug(guest, nic)
            rest = guest.qmp.cmd('query-rtnet')
            self.assertEqual(rest, {'schedulers': [], 'ports': []})
            for nic in nics:
                self.plug(guest, nic)
                nic.up(guest)
            self.end_under_loss(guest, nics)

        # At last QEMU itself goes, while everything is full.
        for nic in nics:
            nic.flood(guest)
        guest.qmp.cmd('quit')
        self.assertEqual(guest.wait_exit(), 0)

    def test_netdev_del_first(self):
        """The netdev goes while the NIC floods: a link that is down."""
        nics = self.make_nics(self.host_port, self.addCleanup)
        guest = self.boot('hotplug', *(a for n in nics for a in n.args()))
        guest.wait_ready()
        for nic in nics:
            name = nic.up(guest)
            nic.flood(guest)
            guest.qmp.cmd('netdev_del', {'id': nic.netdev_id})
            carrier = f'cat /sys/class/net/{name}/carrier'
            traffic.eventually(lambda: guest.run(carrier).out == '0\n',
                               'the guest sees that the link is down')
            traffic.eventually(
                lambda: not guest.rtnet_port(nic.port_id)['queued'],
                'the queue is empty')
            guest.qmp.cmd('device_del', {'id': nic.device_id})
            guest.qmp.wait_event('DEVICE_DELETED', 60, lambda data:
                                 data.get('device') == nic.device_id)
        guest.qmp.cmd('object-del', {'id': nics[1].port_id})
        for nic in nics:
            guest.qmp.cmd('object-del', {'id': nic.scheduler_id})
        self.assertEqual(guest.qmp.cmd('query-rtnet'),
                         {'schedulers': [], 'ports': []})


if __name__ == '__main__':
    rtguest.main()
