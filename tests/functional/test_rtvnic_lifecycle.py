#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Resets and hot-plugging, over and over, and QEMU grows no fatter.

What a single reset, unplug, stop or lost link does to frames is tested in
test_rtvnic_backpressure.py, whose NICs and floods these are.

With RTNET_SLOW=1 there are many more rounds; RTNET_CYCLES sets another number
of those without a guest.

Threads: one Wire per NIC takes its frames.
"""

import os
import random
import statistics
import time

import rtguest
import test_rtvnic_backpressure as backpressure

SLOW = os.environ.get('RTNET_SLOW') == '1'
# These find full queues; after each, more hit the guest as it boots again.
RESETS_UNDER_LOAD = 20 if SLOW else 2
RESETS_AT_BOOT = 9
LONGEST_BOOT_S = 1
GUEST_CYCLES = 200 if SLOW else 20
CYCLES = int(os.environ.get('RTNET_CYCLES', 10000 if SLOW else 2000))
# In the second half: caches fill for some 800 cycles.  Whatever leaks 30 bytes
# in each of the last 5000, or 130 in each of the last 1000, is more.  What QEMU
# frees late, as its thread for that waits for a core, makes steps: of so many
# parts the outermost do not count.
GROWTH_KIB = 128
PARTS, OUTERMOST = 10, 2
SLOT_BUS = 'bridge'


class Usage:
    """What a QEMU has in use, noted now and then."""

    def __init__(self, guest):
        self._pid = guest.pid
        self.notes = {}

    def note(self, cycle):
        with open(f'/proc/{self._pid}/status', encoding='ascii') as f:
            # Not of files: code is mapped as it is first used.
            rss_kib = next(int(line.split()[1]) for line in f
                           if line.startswith('RssAnon'))
        fds = len(os.listdir(f'/proc/{self._pid}/fd'))
        self.notes[cycle] = rss_kib, fds
        print(f'# after {cycle} cycles: {rss_kib} KiB, {fds} descriptors',
              flush=True)

    def growth(self):
        """KiB during the last PARTS between two notes, as if all had been as
        those in their middle."""
        kib = [note[0] for note in list(self.notes.values())[-PARTS - 1:]]
        parts = sorted(b - a for a, b in zip(kib, kib[1:]))
        return statistics.mean(parts[OUTERMOST:-OUTERMOST]) * PARTS

    def more_descriptors(self):
        """Since the note before the last."""
        before, last = list(self.notes.values())[-2:]
        return last[1] - before[1]


class Reset(backpressure.FloodTest):
    def test_system_reset_in_a_loop(self):
        nics = self.make_nics(self.host_port, self.addCleanup)
        guest = self.boot('reset', *(a for n in nics for a in n.args()))
        moment_s = random.Random(RESETS_UNDER_LOAD)
        guest.wait_ready()
        fds = len(os.listdir(f'/proc/{guest.pid}/fd'))
        for _ in range(RESETS_UNDER_LOAD):
            for nic in nics:
                nic.up(guest)
                nic.flood(guest)
            guest.reset()
            for _ in range(RESETS_AT_BOOT):
                time.sleep(moment_s.uniform(0, LONGEST_BOOT_S))
                guest.reset()
            guest.wait_ready()
            for nic in nics:
                nic.end_floods()        # the reset has ended them
        for nic in nics:
            nic.up(guest)
        self.flow_again(guest, nics)
        self.assertEqual(len(os.listdir(f'/proc/{guest.pid}/fd')), fds)


class HotPlug(backpressure.FloodTest):
    plug = backpressure.HotPlug.plug
    unplug = backpressure.HotPlug.unplug

    def test_with_guest(self):
        """All of a NIC goes while its queue is full, and comes back."""
        nics = self.make_nics(self.host_port, self.addCleanup)
        guest = self.boot('hotplug', *(a for n in nics for a in n.args()))
        guest.wait_ready()
        usage = Usage(guest)
        for cycle in range(1, GUEST_CYCLES + 1):
            nic = nics[cycle % 2]
            nic.up(guest)
            nic.flood(guest)
            self.unplug(guest, nic)
            self.assertNotIn(nic.port_id, guest.rtnet()['ports'])
            nic.end_floods()
            self.plug(guest, nic)
            if cycle % (GUEST_CYCLES // 4) == 0:
                usage.note(cycle)
        for nic in nics:
            nic.up(guest)
        self.flow_again(guest, nics)
        self.assertEqual(usage.more_descriptors(), 0)


class HotPlugAlone(rtguest.GuestTest):
    """A hot-plug slot that no guest has ever turned on gives its NIC up at
    once."""

    TYPES = ('rtvnic', 'rtvnic-ne2k', 'virtio-net-pci')

    def objects(self, port):
        """(QMP command, its arguments) to make a NIC's surroundings."""
        yield 'object-add', {'qom-type': 'edf-scheduler', 'id': 'up',
                             'rate-bps': 100000}
        for number, nic_type in enumerate(self.TYPES):
            yield 'netdev_add', backpressure.qmp_arguments(
                port.netdev(f'n{number}')[1])
        yield 'object-add', {'qom-type': 'edf-port', 'id': 'port',
                             'netdev': f'n{number}', 'scheduler': 'up',
                             'deadline-us': 1000}

    def devices(self):
        for number, nic_type in enumerate(self.TYPES):
            yield {'driver': nic_type, 'id': f'nic{number}', 'bus': SLOT_BUS,
                   'addr': f'{number + 1}', 'mac': f'52:54:00:00:0b:0{number}',
                   **({'netdev': f'n{number}', 'scheduler': 'up'}
                      if nic_type.startswith('rtvnic') else
                      {'netdev': 'port', 'queue_reset': False})}

    def cycle(self, qmp, objects):
        for command, arguments in objects:
            qmp.cmd(command, arguments)
        for device in self.devices():
            qmp.cmd('device_add', device)
        # As there is no guest, QEMU itself has to send something.
        for _ in range(3):
            qmp.cmd('announce-self', {'initial': 50, 'max': 50, 'rounds': 1,
                                      'step': 0})
        for port in qmp.cmd('query-rtnet')['ports']:
            self.assertGreaterEqual(port['queued'], 3, port['id'])
        for device in self.devices():
            qmp.cmd('device_del', {'id': device['id']})
        # QEMU gives up memory some 50 ms later, of all devices at once.
        for device in self.devices():
            qmp.wait_event('DEVICE_DELETED', 10, lambda data:
                           data.get('device') == device['id'])
        for command, arguments in reversed(objects):
            qmp.cmd({'object-add': 'object-del',
                     'netdev_add': 'netdev_del'}[command],
                    {'id': arguments['id']})
        qmp.forget_events()

    def test_memory_is_flat(self):
        guest = self.boot(
            'alone', '-device', f'pci-bridge,id={SLOT_BUS},chassis_nr=1,'
            'shpc=on,addr=3',
            '-global', 'PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off',
            accel='qtest')
        objects = list(self.objects(self.host_port()))
        usage = Usage(guest)
        for cycle in range(1, CYCLES + 1):
            self.cycle(guest.qmp, objects)
            if cycle >= CYCLES // 2 and cycle % (CYCLES // 2 // PARTS) == 0:
                usage.note(cycle)
        self.assertEqual(guest.qmp.cmd('query-rtnet'),
                         {'schedulers': [], 'ports': []})
        self.assertLessEqual(usage.growth(), GROWTH_KIB)
        self.assertEqual(usage.more_descriptors(), 0)


if __name__ == '__main__':
    rtguest.main()
