#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Migrations and snapshots of a guest whose frames wait.

The guest floods a slow uplink through an rtvnic that was admitted and through
a virtio-net behind an edf-port, so that NIC, queue and ring are full whenever
it is moved.  All QEMUs send to the same sockets: each datagram must come once,
in order, and no trailer's sequence number may be missing or come twice.

With RTNET_SLOW=1 it moves ROUNDS_SLOW times; RTNET_MIGRATIONS sets another
number.

Threads: one Taker per NIC reads its socket.
"""

import contextlib
import os
import random
import struct
import subprocess
import tempfile
import threading
import time

import rtguest
from rtguest import frames, traffic

ROUNDS, ROUNDS_SLOW = 5, 1000
SLOW = os.environ.get('RTNET_SLOW') == '1'
MIGRATIONS = int(os.environ.get('RTNET_MIGRATIONS',
                                ROUNDS_SLOW if SLOW else ROUNDS))
REPORT_EVERY = 50
# Between two migrations: not always as long as what was moved needs to leave.
LONGEST_STAY_S = 0.5
MEMORY_MIB = 96
QUEUE_PKTS = 20
SCHEDULER = f'edf-scheduler,id=up,rate-bps=6000000,queue-pkts={QUEUE_PKTS}'
DEADLINE_US = 200000
PEER_MAC = '52:54:00:00:0a:ff'
FLOOD_PORT, ECHO_PORT, ANSWER_PORT = 9000, 9001, 9
# ARP and RARP, by which QEMU and guest tell switches where they are now.
ANNOUNCEMENTS = (b'\x08\x06', b'\x80\x35')
PROBE_MAGIC = 0x52545042
QEMU_IMG = os.path.join(os.path.dirname(rtguest.QEMU), 'qemu-img')


class Taker(threading.Thread):
    """Takes what a NIC sends, from whichever QEMU, and checks it."""

    def __init__(self, host_port, is_rt):
        super().__init__(daemon=True)
        self._host_port = host_port
        self._is_rt = is_rt
        self._stopping = False
        self.total = 0
        self.answers = 0
        self.next_probe = 0             # number of the datagram to come next
        self.next_trailer = None
        self.missing = self.twice = 0
        self.wrong = []
        self.start()

    def run(self):
        while not self._stopping:
            try:
                frame = self._host_port.receive(0.2)
            except TimeoutError:
                continue
            try:
                self._look(frame)
            except ValueError as e:
                self.wrong.append(f'{e}: {frame.hex()}')
            self.total += 1

    def _look(self, frame):
        if frame[12:14] in ANNOUNCEMENTS:
            return
        ip = frames.parse(frame)
        if ip and ip.port == FLOOD_PORT:
            number, = struct.unpack_from('<I', ip.payload, 4)
            self._compare('datagram', number, self.next_probe)
            self.next_probe = number + 1
        elif ip and ip.port == ANSWER_PORT:
            self.answers += 1
        else:
            raise ValueError('a frame that nobody has sent')
        if self._is_rt:
            trailer = frames.trailer(frame)
            if self.next_trailer is not None:
                self._compare('trailer', trailer.sequence, self.next_trailer)
            self.next_trailer = trailer.sequence + 1
            if trailer.deadline_ns != DEADLINE_US * 1000 or \
                    not trailer.flags & frames.ADMITTED:
                raise ValueError(f'not as the rtvnic was told: {trailer}')

    def _compare(self, what, number, expected):
        if number != expected:
            self.missing += max(number - expected, 0)
            self.twice += number < expected
            self.wrong.append(f'{what} {number} instead of {expected}')

    def quiet(self):
        """Wait until nothing comes any more."""
        def at_rest():
            before = self.total
            time.sleep(0.3)
            return self.total == before
        traffic.eventually(at_rest, 'the wire is quiet')

    def stop(self):
        self._stopping = True
        self.join()


class Nic:
    """One of the guest's NICs, in all QEMUs."""

    def __init__(self, number, port_id, host_port, device):
        self.port_id = port_id          # in query-rtnet
        self.mac = f'52:54:00:00:0a:0{number}'
        self.ip, self.peer_ip = (f'10.10.{number}.{n}' for n in (1, 2))
        self.host_port = host_port
        self.taker = Taker(host_port, port_id == 'rt')
        self.device = device + f',mac={self.mac}'
        self.flow = None

    def check_alive(self, guest):
        """A datagram that the guest receives is answered."""
        before = self.taker.answers
        echo = guest.start(f'rtprobe echo --ports {ECHO_PORT}')
        echo.wait_output('ready')
        probe = struct.pack('<IIQ', PROBE_MAGIC, 0, 0)
        self.host_port.send(frames.udp((PEER_MAC, self.mac),
                                       (self.peer_ip, self.ip), probe,
                                       port=ECHO_PORT))
        traffic.eventually(lambda: self.taker.answers > before,
                           f'the guest has answered on {self.port_id}')
        echo.kill().wait()


class MigrationTest(rtguest.GuestTest):
    """A guest with both NICs, and what it takes to move it."""

    def setUp(self):
        self.nics = [
            Nic(1, 'rt', self.host_port(),
                'rtvnic,id=rt,netdev=n1,scheduler=up,addr=4,dscp=46,'
                f'deadline-us={DEADLINE_US},period-us=600,'
                'max-frame-bytes=200'),
            Nic(2, 'bulk', self.host_port(),
                'virtio-net-pci,netdev=bulk,queue_reset=off,addr=5')]
        for nic in self.nics:
            self.addCleanup(nic.taker.stop)
        # Both QEMUs of a migration have the guest's memory from there.
        shared = '/dev/shm' if os.access('/dev/shm', os.W_OK) else '/tmp'
        self.ram = os.path.join(shared, f'rtguest-{os.getpid()}.ram')
        self.addCleanup(self.forget_ram)

    def forget_ram(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.ram)

    def boot_shared(self, name, args, incoming):
        return self.boot(
            name, '-object', f'memory-backend-file,id=ram,size={MEMORY_MIB}M,'
            f'mem-path={self.ram},share=on', *args, memory_mib=MEMORY_MIB,
            machine='pc,memory-backend=ram', incoming=incoming)

    def args(self):
        args = ['-object', SCHEDULER]
        for number, nic in enumerate(self.nics, 1):
            args += nic.host_port.netdev(f'n{number}')
        args += ['-object', 'edf-port,id=bulk,netdev=n2,scheduler=up']
        for nic in self.nics:
            args += ['-device', nic.device]
        return args

    def ready(self, guest):
        guest.wait_ready()
        # Linux's fq_codel would throw away what waits for long.
        guest.run('echo pfifo_fast > /proc/sys/net/core/default_qdisc')
        for nic in self.nics:
            eth = guest.ifup(nic.mac, f'{nic.ip}/24')
            guest.neighbour(eth, nic.peer_ip, PEER_MAC)
        return guest

    def flood(self, guest):
        for nic in self.nics:
            nic.flow = guest.start(
                f'rtprobe flood --dst {nic.peer_ip} --port {FLOOD_PORT} '
                '--bytes 100 --duration-ms 3600000')
        traffic.eventually(lambda: self.all_full(guest), 'the queues are full')

    def all_full(self, guest):
        return all(port['queued'] >= QUEUE_PKTS // 2
                   for port in guest.rtnet()['ports'].values())

    def check_wire(self):
        for nic in self.nics:
            self.assertEqual(nic.taker.wrong[:5], [], nic.port_id)

    def end_flood(self):
        """Every datagram that the guest sent has to come; their number."""
        sent = 0
        for nic in self.nics:
            nic_sent = nic.flow.kill().wait().json()['sent']
            traffic.eventually(
                lambda: nic.taker.wrong or nic.taker.next_probe == nic_sent,
                f'{nic_sent} datagrams of {nic.port_id} have come')
            sent += nic_sent
        self.check_wire()
        return sent


class Migration(MigrationTest):
    def test_nothing_lost_or_doubled(self):
        """Moved while everything is full, again and again."""
        source = self.ready(self.boot_shared('m0', self.args(), False))
        self.flood(source)
        descriptors = []
        waited = 0
        stay_s = random.Random(MIGRATIONS)
        start = time.monotonic()
        for number in range(1, MIGRATIONS + 1):
            target = self.boot_shared(f'm{number % 2}', self.args(), True)
            time.sleep(stay_s.uniform(0, LONGEST_STAY_S))
            traffic.eventually(lambda: self.all_full(source),
                               'frames wait', 60)
            self.assertEqual(
                source.migrate(target, ['x-ignore-shared']), 'completed',
                target.qemu_messages())
            waited += sum(p['queued'] for p in
                          target.rtnet()['ports'].values())
            self.assertEqual(source.qemu_messages(), '')
            source.close()
            self.forget_logs(source)
            source = target
            descriptors.append(len(os.listdir(f'/proc/{source.pid}/fd')))
            self.check_wire()
            if number % REPORT_EVERY == 0:
                print(f'# {number} migrations, '
                      f'{time.monotonic() - start:.0f} s: '
                      f'{sum(n.taker.next_probe for n in self.nics)} frames, '
                      f'{waited} of them moved', flush=True)
        sent = self.end_flood()
        took_s = time.monotonic() - start
        drops = {nic.port_id: source.rtnet_port(nic.port_id)['drops']
                 for nic in self.nics}
        missing, twice = (sum(getattr(nic.taker, key) for nic in self.nics)
                          for key in ('missing', 'twice'))
        print(f'# {MIGRATIONS} migrations, {took_s:.1f} s: {sent} frames, of '
              f'which {waited} moved; {missing} lost, {twice} doubled')
        self.assertGreater(waited, MIGRATIONS * 2 * QUEUE_PKTS)
        for port_id, reasons in drops.items():
            self.assertEqual(set(reasons.values()), {0}, port_id)
        # All targets have the same to do; none inherits anything open.
        self.assertLessEqual(max(descriptors) - min(descriptors), 4)
        for nic in self.nics:
            nic.check_alive(source)

    @staticmethod
    def forget_logs(guest):
        """Of thousands of QEMUs that had nothing to say."""
        for log in (guest.qemu_log, guest.console_log):
            os.unlink(log)


class Refused(MigrationTest):
    """To and from QEMUs without these devices: a reason, and no harm."""

    def stock_args(self, nic_type):
        """The same slots, as a QEMU that knows nothing of these devices."""
        args = []
        for number, nic in enumerate(self.nics, 1):
            args += nic.host_port.netdev(f'n{number}')
            args += ['-device', f'{nic_type},netdev=n{number},mac={nic.mac},'
                                f'addr={number + 3}']
        return args

    def ne2k_args(self):
        return ['-object', SCHEDULER, *self.nics[0].host_port.netdev('n1'),
                '-device', 'rtvnic-ne2k,netdev=n1,scheduler=up,addr=4,mac='
                + self.nics[0].mac]

    def refuse(self, source, target_args, reason):
        """@source goes on after the target refused for that reason."""
        target = self.boot('target', *target_args, incoming=True)
        self.assertEqual(source.migrate(target), 'failed')
        self.assertEqual(target.wait_exit(), 1)
        self.assertRegex(target.qemu_messages(), reason)
        print('# the target said: ' +
              target.qemu_messages().replace('\n', '\n#   '))
        traffic.eventually(
            lambda: source.qmp.cmd('query-status')['status'] == 'running',
            'the source goes on')

    def test_to_virtio_net(self):
        self.nics.pop()
        nic, = self.nics
        source = self.boot('source', '-object', SCHEDULER,
                           *nic.host_port.netdev('n1'), '-device', nic.device)
        self.ready(source)
        self.flood(source)
        self.refuse(source, self.stock_args('virtio-net-pci'), 'rtvnic-port')
        self.end_flood()

    def test_to_qemu_without_edf_port(self):
        """Only the port and the scheduler are missing."""
        self.nics.pop(0)
        nic, = self.nics
        source_args = ['-object', SCHEDULER, *nic.host_port.netdev('n1'),
                       '-object', 'edf-port,id=bulk,netdev=n1,scheduler=up',
                       '-device', nic.device]
        target_args = [*nic.host_port.netdev('bulk'), '-device', nic.device]
        source = self.ready(self.boot('source', *source_args))
        self.flood(source)
        self.refuse(source, target_args, 'edf-port')
        self.end_flood()

    def test_from_virtio_net(self):
        source = self.boot('source', *self.stock_args('virtio-net-pci'))
        target_args = self.args()
        self.ready(source)
        self.refuse(source, target_args, 'Features|rtvnic')
        self.assertEqual(source.run('echo alive').out, 'alive\n')

    def test_between_ne2k_and_rtvnic_ne2k(self):
        nic = self.nics[0]

        def stock_args():
            return [*nic.host_port.netdev('n1'),
                    '-device', f'ne2k_pci,netdev=n1,addr=4,mac={nic.mac}']

        for source_args, target_args, reason in (
                (self.ne2k_args(), stock_args(), 'rtvnic'),
                (stock_args(), self.ne2k_args(), 'ne2')):
            source = self.boot('source', *source_args)
            source.wait_ready()
            source.ifup(nic.mac, f'{nic.ip}/24')
            self.refuse(source, target_args, reason)
            self.assertEqual(source.run('echo alive').out, 'alive\n')
            source.close()


class Snapshot(MigrationTest):
    def queued(self, guest):
        return [guest.rtnet_port(nic.port_id)['queued'] for nic in self.nics]

    def stop_while_nics_wait(self, guest):
        """Both queues are full and a frame waits in each NIC, as it nearly
        always does; how many wait."""
        def stopped():
            guest.qmp.cmd('stop')
            if min(waited := self.queued(guest)) > QUEUE_PKTS:
                return waited
            guest.qmp.cmd('cont')
            return None
        return traffic.eventually(stopped, 'a frame waits in each NIC')

    def test_savevm_and_loadvm(self):
        """What is loaded goes on with the frame that it was to send next, as
        often as one likes."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        disk = os.path.join(directory.name, 'snapshots.qcow2')
        subprocess.run([QEMU_IMG, 'create', '-q', '-f', 'qcow2', disk, '1M'],
                       check=True)
        guest = self.ready(self.boot(
            'saved', *self.args(), '-drive',
            f'if=none,id=snapshots,format=qcow2,file={disk}',
            memory_mib=MEMORY_MIB))
        self.flood(guest)
        waited = self.stop_while_nics_wait(guest)
        for nic in self.nics:
            nic.taker.quiet()
        saved = [(nic.taker.next_probe, nic.taker.next_trailer)
                 for nic in self.nics]
        self.assertEqual(guest.qmp.hmp('savevm full'), '')
        for _ in range(3):
            guest.qmp.cmd('cont')
            for nic, (probe, _) in zip(self.nics, saved):
                traffic.eventually(
                    lambda: nic.taker.next_probe > probe + 2 * max(waited),
                    f'{nic.port_id} has sent what had been saved, and more')
            self.check_wire()
            guest.qmp.cmd('stop')
            for nic in self.nics:
                nic.taker.quiet()
            self.assertEqual(guest.qmp.hmp('loadvm full'), '')
            for nic, (probe, trailer) in zip(self.nics, saved):
                nic.taker.next_probe, nic.taker.next_trailer = probe, trailer
            self.assertEqual(self.queued(guest), waited)
        guest.qmp.cmd('cont')
        self.end_flood()


if __name__ == '__main__':
    rtguest.main()
