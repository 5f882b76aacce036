#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon dies under load, and another one goes on by itself.

Two guests, with a NIC each for: split and packed rings; QEMU that connects
again to the daemon, and a daemon that connects again to QEMU.  Every NIC
carries a flow all the time.  Nobody in a guest does anything.

A frame that was delivered but not yet reported as sent is sent again by the
next daemon: a burst may come twice.

Threads: none.
"""

import os
import time

import rtguest
from rtguest import traffic, vus

DEATHS = 4
BURST_PKTS = 32
RECONNECT = 'reconnect-ms=100'
SERVER = 'server=on,wait=off'
# name: device options, chardev options, settings of the port
KINDS = {
    'split': ('', RECONNECT, {}),
    'packed': ('packed=on', RECONNECT, {}),
    'split-client': ('', SERVER, {'client': 'on'}),
    'packed-client': ('packed=on', SERVER, {'client': 'on'}),
}
FLOW_S = 600
RESUME_TIMEOUT_S = 60


class Restart(vus.DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.vus = cls.class_daemon()
        state = os.path.join(cls.vus.directory, 'state')
        os.mkdir(state)
        cls.vus.options += ['--state-dir', state]
        args = [[], []]
        cls.macs, cls.ips = {}, {}
        for number, (kind, (device, chardev, settings)) in enumerate(
                KINDS.items(), 1):
            cls.macs[kind] = [f'52:54:00:00:{number:02x}:0{side}'
                              for side in (1, 2)]
            cls.ips[kind] = [f'10.0.{number}.{side}' for side in (1, 2)]
            for side in (0, 1):
                port = cls.vus.port(f'{kind}-{side + 1}', vlan=number,
                                    **settings)
                args[side] += cls.vus.nic(port, cls.macs[kind][side], device,
                                          chardev=chardev)
        cls.vus.start()
        cls.guests = [cls.class_boot(name, *nics)
                      for name, nics in zip(('one', 'two'), args)]
        rtguest.wait_ready(*cls.guests)
        for kind in KINDS:
            for side, guest in enumerate(cls.guests):
                guest.ifup(cls.macs[kind][side], f'{cls.ips[kind][side]}/24')
        cls.wait_all()

    @classmethod
    def wait_all(cls):
        cls.vus.wait_ready(*cls.vus.ports)

    def start_flows(self, tool):
        """{kind: (command in the sender, in the receiver)}"""
        one, two = self.guests
        flows = {}
        for port, kind in enumerate(KINDS, 7100):
            sink = two.start(f'rtprobe sink --ports {port}')
            sink.wait_output('ready')
            flows[kind] = one.start(
                f'rtprobe {tool} --dst {self.ips[kind][1]} --port {port} '
                f'--bytes 700 --duration-ms {FLOW_S * 1000}'), sink
        return flows

    def wait_flows(self, pkts=50):
        for kind in KINDS:
            traffic.eventually(
                lambda: self.vus.stats(f'{kind}-2')['egress-pkts'] > pkts,
                f'{kind} receives', RESUME_TIMEOUT_S)

    def end_flows(self, flows, deaths):
        for kind, (sender, sink) in flows.items():
            sender.kill().wait(check=False)
            got = sink.kill().wait().json()['ports']
            got, = got.values()
            print(f'# {kind}: {got["received"]} received, {got["lost"]} lost, '
                  f'{got["duplicates"]} twice, nothing for '
                  f'{got["longest_gap_us"] / 1000:.0f} ms')
            self.assertEqual((got['corrupt'], got['not_probe']), (0, 0), kind)
            self.assertLessEqual(got['duplicates'], deaths * BURST_PKTS, kind)
            self.assertEqual(got['reordered'], 0, kind)

    def check_alive(self):
        one, two = self.guests
        for kind in KINDS:
            traffic.ping(one, self.ips[kind][1])
            traffic.ping(two, self.ips[kind][0])
            traffic.tcp(one, two, self.ips[kind][1], kib=256)

    def check_log(self):
        self.assertNotIn('warning', self.vus.messages())

    # -- Tests ----------------------------------------------------------------

    def test_killed(self):
        """Again and again, at any moment."""
        for tool in ('send --period-us 2000', 'flood'):
            with self.subTest(tool=tool):
                flows = self.start_flows(tool)
                self.wait_flows()
                for death in range(DEATHS):
                    self.vus.kill()
                    # Shorter and longer than what QEMU needs to see it.
                    time.sleep(0.2 * death)
                    self.vus.start()
                    self.wait_flows()
                self.end_flows(flows, DEATHS)
                self.wait_all()
                self.check_alive()
        self.check_log()

    def test_ended(self):
        """As an administrator does it."""
        flows = self.start_flows('send --period-us 2000')
        self.wait_flows()
        self.assertEqual(self.vus.stop(), 0)
        self.assertFalse(os.path.exists(self.vus.control))
        self.vus.start()
        self.wait_flows()
        self.end_flows(flows, 1)
        self.wait_all()
        self.check_alive()

    def test_state(self):
        """Another daemon has other counters, and the same addresses again."""
        self.check_alive()
        self.vus.kill()
        self.vus.start()
        self.wait_all()
        self.assertEqual(self.vus.stats('split-1')['ingress-pkts'], 0)
        self.check_alive()
        self.assertEqual(
            {(a['mac'], a['port'])
             for a in self.vus.call('fdb.list')['addresses']},
            {(self.macs[kind][side], f'{kind}-{side + 1}')
             for kind in KINDS for side in (0, 1)})


if __name__ == '__main__':
    rtguest.main()
