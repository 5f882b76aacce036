#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An af-xdp port on a domain's memory: what comes and goes is not copied.

The interface is that of test_vus_afxdp.py, one end of a veth pair.

Threads: none.
"""

import os
import subprocess
import sys
import time

import rtguest
import test_vus_afxdp as afxdp
from rtguest import config, traffic, vus

LIBRARY = os.path.join(config.BUILD, 'rtnet', 'contrib', 'libnetvm',
                       'libnetvm.so.1')

# IF COUNT: so many frames, of all lengths, that have to come back; a few are
# under way at a time.
EXCHANGE_PROGRAM = '''
import socket, struct, sys
count, under_way = int(sys.argv[2]), 16
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5))
s.bind((sys.argv[1], 0x88b5))
s.settimeout(20)
to, mac = bytes.fromhex('52540000420c'), bytes.fromhex('52540000420b')
def frame(i, to, mac):
    head = to + mac + struct.pack('>HI', 0x88b5, i)
    return head + bytes((i + k) % 256 for k in range(42 + i * 37 % 1440))
left = {}
for i in range(count + under_way):
    if i < count:
        left[i] = True
        s.send(frame(i, to, mac))
    if i >= under_way:
        got = s.recv(65536)
        number = struct.unpack('>I', got[14:18])[0]
        assert left.pop(number) and got == frame(number, mac, to), number
'''

# LIBRARY PATH: a member behind that socket.  It sends back all that comes.
# Once it has read "hoard", it has all buffers that there are instead, says so
# when a second brings no more, and then waits for another line.
MEMBER_PROGRAM = '''
import ctypes, select, sys, time
class Desc(ctypes.Structure):
    _fields_ = [('buffer', ctypes.c_uint32), ('offset', ctypes.c_uint16),
                ('length', ctypes.c_uint16), ('port', ctypes.c_uint16),
                ('hash', ctypes.c_uint16), ('chain', ctypes.c_uint16),
                ('hop', ctypes.c_uint8), ('action', ctypes.c_uint8)]
class Segment(ctypes.Structure):
    _fields_ = [('buffers', ctypes.c_void_p), ('owners', ctypes.c_void_p),
                ('n', ctypes.c_uint64)]
class Map(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint32), ('shift', ctypes.c_uint32),
                ('segment', Segment * 64)]
lib = ctypes.CDLL(sys.argv[1])
lib.netvm_attach.restype = ctypes.c_void_p
error = ctypes.create_string_buffer(256)
nv = lib.netvm_attach(b'unix:' + sys.argv[2].encode(), 20000, error)
if not nv:
    sys.exit(error.value.decode())
map, nv = Map.from_address(nv), ctypes.c_void_p(nv)
burst = (Desc * 32)()
SWITCH = 1
def echo():
    n = lib.netvm_rx_burst(nv, burst, 32)
    assert n >= 0, n
    for d in burst[:n]:
        at = (map.segment[d.buffer >> 26].buffers +
              ((d.buffer & 0x3ffffff) << map.shift) + d.offset)
        head = ctypes.string_at(at, 12)
        ctypes.memmove(at, head[6:] + head[:6], 12)
    for d in burst[:n]:
        d.action = SWITCH
    sent = 0
    while sent < n:
        more = lib.netvm_tx_burst(nv, ctypes.byref(burst, 16 * sent), n - sent)
        assert more >= 0, more
        sent += more
def hoard():
    kept, until = [], time.monotonic() + 1
    while time.monotonic() < until:
        for get in lib.netvm_rx_burst, lib.netvm_alloc:
            n = get(nv, burst, 32)
            kept += [Desc.from_buffer_copy(d) for d in burst[:n]]
            if n > 0:
                until = time.monotonic() + 1
    print('hoarded', len(kept), flush=True)
    sys.stdin.readline()
    lib.netvm_free(nv, (Desc * len(kept))(*kept), len(kept))
    for _ in range(10000):
        lib.netvm_free(nv, burst, 0)
print('ready', flush=True)
while True:
    echo()
    lib.netvm_wait(nv, 10)
    if select.select([sys.stdin], [], [], 0)[0]:
        sys.stdin.readline()
        hoard()
'''


class Domain(afxdp.Bed):
    """The memory of the port is a domain's, and its peer a member of it: a
    process of the host, which sends back what comes."""

    BUFFERS = 4096

    def setUp(self):
        if 'host0' not in self.netns.run('ip', 'link'):
            self.make_pair()
        # Who frees a buffer and who waits for it are not the same.
        self.vus = self.daemon('--workers=2', prefix=self.netns.prefix)
        self.vus.start()

    def start(self, mode='native', **settings):
        self.vus.call('domain.set', name='d', settings={
            'pages': 'ordinary', 'buffers': str(self.BUFFERS), **settings})
        self.vus.call('port.add', name='m', settings={
            'type': 'netvm', 'domain': 'd', 'peer': 'up',
            'socket': self.vus.socket('m')})
        self.add_uplink(mode)
        return self.attach()

    def add_uplink(self, mode):
        self.vus.call('port.add', name='up', settings={
            'type': 'af-xdp', 'domain': 'd', 'ifname': 'nic0', 'peer': 'm',
            'queues': afxdp.QUEUES, 'xdp-mode': mode})

    def attach(self):
        member = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', sys.executable, '-c',
             MEMBER_PROGRAM, LIBRARY, self.vus.socket('m')],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end, member)
        self.assertEqual(member.stdout.readline(), b'ready\n')
        self.vus.wait_ready('m')
        return member

    @staticmethod
    def end(member):
        member.kill()
        member.wait()
        member.stdin.close()
        member.stdout.close()

    def exchange(self, count=500):
        self.netns.run(sys.executable, '-c', EXCHANGE_PROGRAM, 'host0',
                       str(count))

    def shown(self):
        domain, = self.vus.call('domain.list')
        return domain

    def nic(self):
        nic, = self.shown()['nics']
        return nic

    def check_moved(self, count):
        self.assertEqual(self.shown()['copied-pkts'], 0)
        nic = self.nic()
        self.assertEqual(
            (nic['rx-moved-pkts'], nic['tx-moved-pkts'],
             nic['tx-copied-pkts']), (count, count, 0))
        self.assertEqual(self.vus.drops('up'), {})

    def wait_all_back(self):
        """What the NIC has not is free."""
        def is_back():
            domain = self.shown()
            return (domain['free-buffers'] +
                    sum(nic['buffers'] for nic in domain['nics']) ==
                    domain['buffers'])
        traffic.eventually(is_back, 'all buffers are back')

    def test_moved(self):
        for mode in 'native', 'generic':
            member = self.start(mode)
            self.exchange()
            self.check_moved(500)
            self.assertIn('rx-moved-pkts=500',
                          self.vus.vusctl('domain', 'show', 'd'))
            # It has a part of them only.
            self.assertLessEqual(self.nic()['buffers'],
                                 self.shown()['buffers'] // 4)
            self.vus.call('port.remove', name='up')
            self.end(member)
            self.wait_all_back()
            self.assertEqual(self.shown()['nics'], [])
            self.vus.call('port.remove', name='m')
            self.vus.call('domain.remove', name='d')

    def test_copied(self):
        """From a port that is not of the domain."""
        self.start()
        self.vus.call('port.add', name='in', settings={
            'type': 'dummy', 'peer': 'up'})
        self.vus.call('dummy.inject', name='in', frame=afxdp.frame(1))
        self.assertEqual(self.nic()['tx-copied-pkts'], 1)

    def test_member_killed(self):
        """With frames everywhere."""
        member = self.start()
        for _ in range(3):
            sender = subprocess.Popen(
                [*self.netns.prefix, sys.executable, '-c', afxdp.FRAMES_PROGRAM,
                 'host0', '3000'])
            traffic.eventually(lambda: self.nic()['rx-moved-pkts'] > 100,
                               'frames come')
            self.end(member)
            sender.wait()
            self.wait_all_back()
            member = self.attach()
        before = self.nic()['rx-moved-pkts']
        self.exchange()
        self.assertEqual(self.nic()['rx-moved-pkts'], before + 500)

    def test_interface_gone(self):
        member = self.start()
        for _ in range(2):
            self.exchange()
            self.netns.run('ip', 'link', 'del', 'nic0')
            self.vus.wait_state('up', 'waiting')
            self.assertEqual(self.nic()['buffers'], 0)
            self.make_pair()
            self.vus.wait_state('up', 'ready')
        self.exchange()
        self.check_moved(1500)
        self.netns.run('ip', 'link', 'del', 'nic0')
        self.vus.wait_state('up', 'waiting')
        self.end(member)
        self.wait_all_back()
        self.assertEqual(self.shown()['free-buffers'],
                         self.shown()['buffers'])

    def test_pool_empty(self):
        """A member keeps all there are; when it gives them back, frames come
        again, though the NIC's worker slept."""
        member = self.start()
        self.exchange()
        member.stdin.write(b'hoard\n')
        member.stdin.flush()
        filler = subprocess.Popen(
            [*self.netns.prefix, sys.executable, '-c', afxdp.FRAMES_PROGRAM,
             'host0', '100000000'])
        self.addCleanup(filler.wait)
        self.addCleanup(filler.kill)
        self.assertEqual(member.stdout.readline(),
                         f'hoarded {self.shown()["buffers"]}\n'.encode())
        traffic.eventually(lambda: self.vus.drops('up').get('rx-full'),
                           'losses are counted')
        filler.kill()
        filler.wait()
        self.assertEqual((self.shown()['free-buffers'],
                          self.nic()['buffers']), (0, 0))
        time.sleep(0.5)
        member.stdin.write(b'free\n')
        member.stdin.flush()
        traffic.eventually(lambda: self.nic()['buffers'] > 0,
                           'the NIC has buffers again')
        # Each of its queues, whoever serves it.
        before = self.vus.stats('up')['ingress-pkts']
        self.netns.run(sys.executable, '-c', afxdp.FRAMES_PROGRAM, 'host0',
                       '40', '0.005')
        self.assertEqual(self.vus.stats('up')['ingress-pkts'], before + 40)
        self.exchange()
        self.assertEqual(self.shown()['copied-pkts'], 0)

    def test_growth(self):
        """While frames come and go; what was added is the NIC's, too."""
        member = self.start(node='0')
        self.exchange()
        buffers = self.BUFFERS
        for _ in range(3):
            buffers += 8000
            self.vus.call('domain.set', name='d',
                          settings={'buffers': str(buffers)})
            traffic.eventually(lambda: self.shown()['buffers'] >= buffers,
                               'they are used')
            self.exchange()
        self.check_moved(2000)
        self.assertEqual([s['node'] for s in self.shown()['segments']],
                         4 * [0])
        self.end(member)
        self.wait_all_back()

    def test_refused(self):
        for settings, why in (
                ({'buffer-bytes': '1024'}, 'make it anew with 2048 or 4096'),
                ({'buffer-bytes': '8192'}, 'make it anew with 2048 or 4096')):
            self.vus.call('domain.set', name='d', settings={
                'pages': 'ordinary', 'buffers': '64', **settings})
            with self.assertRaisesRegex(vus.DaemonError, why):
                self.add_uplink('auto')
            self.vus.call('domain.remove', name='d')
        self.assertIsNone(self.program())
        self.vus.stop()
        self.vus = self.daemon(prefix=[
            *self.netns.prefix, 'prlimit', '--memlock=8388608',
            *afxdp.Refused.without('ipc_lock')])
        self.vus.start()
        self.vus.call('domain.set', name='d', settings={
            'pages': 'ordinary', 'buffers': '8192'})
        with self.assertRaisesRegex(vus.DaemonError, 'of domain d for it: .*'
                                    'may not lock enough memory'):
            self.add_uplink('auto')


if __name__ == '__main__':
    rtguest.main()
