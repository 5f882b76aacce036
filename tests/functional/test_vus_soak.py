#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon that lives long needs no more memory and no more files.

Two guests and a load at full rate stay; other front ends come and go, in good
order or killed in mid-burst; ports, clients of the control socket and nonsense
come and go, too.  In every round everybody who stays is served.

It takes SOAK_S; with RTNET_SLOW=1 an hour; RTNET_SOAK_S sets another time.

Threads: none.
"""

import json
import os
import signal
import socket
import subprocess
import time
import unittest

import rtguest
from rtguest import config, traffic, vus

SLOW = os.environ.get('RTNET_SLOW') == '1'
SOAK_S = int(os.environ.get('RTNET_SOAK_S', 3600 if SLOW else 30))
LOAD = os.path.join(config.BUILD, 'rtnet/tests/bench/switch-load')
MACS = ('52:54:00:00:60:01', '52:54:00:00:60:02')
IPS = ('10.0.96.1', '10.0.96.2')
SAMPLE_S = 0.1
# What comes first allocates what is kept: caches, arenas of the allocator.
WARM_UP_ROUNDS = 10
GROWTH_KIB = 512
READY = '"ready": true'


class Load:
    """Two ports' front ends at full rate, when asked to."""

    def __init__(self, daemon, names, *options):
        sockets = [word for name in names
                   for word in ('-s', daemon.socket(name))]
        self._process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', LOAD, '--seconds',
             str(SAMPLE_S), *options, *sockets],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            bufsize=1)
        line = self._process.stdout.readline()
        if READY not in line:
            raise AssertionError(f'the load says {line!r}')

    def begin_sample(self):
        self._process.stdin.write('sample\n')

    def sample(self):
        """Frames received."""
        self.begin_sample()
        return json.loads(self._process.stdout.readline())['rx_pkts_in_all']

    def end(self, by=signal.SIGKILL):
        if by:
            self._process.send_signal(by)
        self._process.communicate()


@unittest.skipIf(os.cpu_count() < 2, 'the load needs a core of its own')
class Soak(vus.DaemonTest):
    def setUp(self):
        self.vus = self.daemon()
        nics = []
        for side in '01':
            self.vus.port(f'guest-{side}', vlan=1)
            self.vus.port(f'stays-{side}', vlan=2)
            self.vus.port(f'comes-{side}', vlan=3)
            nics.append(self.vus.nic(f'guest-{side}', MACS[int(side)]))
        self.vus.start()
        self.guests = [self.boot(name, *nic)
                       for name, nic in zip(('one', 'two'), nics)]
        rtguest.wait_ready(*self.guests)
        for guest, mac, address in zip(self.guests, MACS, IPS):
            guest.ifup(mac, f'{address}/24')
        self.vus.wait_ready('guest-0', 'guest-1')

    @staticmethod
    def serve(load):
        """Frames that the load received; a busy host may need a while."""
        return traffic.eventually(load.sample, 'the load is served')

    # -- What comes and goes --------------------------------------------------

    def load_comes_and_goes(self, number):
        """Split and packed; in good order, or killed in mid-burst."""
        load = Load(self.vus, ('comes-0', 'comes-1'),
                    *(['--packed'] if number % 2 else []))
        if number % 4 < 2:
            self.serve(load)
            load.end(None)
        else:
            load.begin_sample()
            time.sleep(SAMPLE_S / 2)
            load.end()
        for side in '01':
            self.vus.wait_state(f'comes-{side}', 'waiting')

    def ports_come_and_go(self, number):
        self.vus.call('port.add', name='x',
                      settings={'socket': self.vus.socket('x')})
        self.vus.call('port.add', name='y', settings={'type': 'dummy'})
        self.vus.set('y', mirror='stays-0')
        self.vus.set('comes-0', trunk='3-9', vlan=None)
        self.vus.set('comes-0', trunk=None, vlan=3)
        self.vus.set('guest-0', storm_pps=1000 + number % 100)
        self.nonsense(self.vus.socket('x'), bytes(range(64)))
        self.vus.call('port.remove', name='x')
        self.vus.call('port.remove', name='y')

    def clients_come_and_go(self):
        self.vus.call('port.list')
        self.vus.call('fdb.flush')
        self.vus.call('stats', all=True)
        self.nonsense(self.vus.control, b'{"jsonrpc": "2.0", "id": [')
        self.nonsense(self.vus.control, b'[' * 5000 + b'\n')
        with self.assertRaises(vus.DaemonError):
            self.vus.call('port.add', name='no such', settings={})

    @staticmethod
    def nonsense(path, said):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            try:
                s.sendall(said)
            except BrokenPipeError:
                pass

    # -- What it needs --------------------------------------------------------

    def memory_kib(self):
        """Its own; that of guests is shared."""
        with open(f'/proc/{self.vus.pid}/status', encoding='ascii') as f:
            line, = (line for line in f if line.startswith('RssAnon:'))
        return int(line.split()[1])

    def files(self):
        return len(os.listdir(f'/proc/{self.vus.pid}/fd'))

    # -- Tests ----------------------------------------------------------------

    def test_flat(self):
        stays = Load(self.vus, ('stays-0', 'stays-1'))
        self.addCleanup(stays.end)
        end = time.monotonic() + SOAK_S
        memory, number, frames = [], 0, 0
        while time.monotonic() < end or number < 2 * WARM_UP_ROUNDS:
            frames += self.serve(stays)
            self.load_comes_and_goes(number)
            self.ports_come_and_go(number)
            self.clients_come_and_go()
            traffic.ping(self.guests[number % 2], IPS[1 - number % 2], count=1)
            number += 1
            if number == WARM_UP_ROUNDS:
                files = self.files()
            if number >= WARM_UP_ROUNDS:
                memory.append(self.memory_kib())
                # A client that has hung up may not be gone yet.
                traffic.eventually(lambda: self.files() == files,
                                   f'{files} files are open')
        print(f'# {number} rounds in {SOAK_S} s, {frames / 1e6:.0f} million '
              f'frames; files {files}; own memory {memory[0]} KiB at first, '
              f'{max(memory)} KiB at most, {memory[-1]} KiB in the end')
        self.assertLess(memory[-1], memory[0] + GROWTH_KIB)


if __name__ == '__main__':
    rtguest.main()
