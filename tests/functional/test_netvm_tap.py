#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""netvm-tap: two network namespaces whose interfaces are ends of a domain.

In guests: test_netvm.py.

Threads: those of test_netvm_examples.py.
"""

import re
import shutil
import subprocess
import unittest

import rtguest
from test_netvm_examples import ExamplesTest


class Tap(ExamplesTest):
    def setUp(self):
        super().setUp()
        self.ends = []
        for number, name in enumerate('ab', 1):
            try:
                netns = rtguest.NetNamespace()
            except rtguest.NetNamespaceUnavailable as e:
                raise unittest.SkipTest(f'no network namespace: {e}')
            self.addCleanup(netns.close)
            self.member(name)
            tap = self.program(
                'tap', name, '--name', 'nv0', '--mac',
                f'02:00:00:00:00:{number:02}', '--mtu', '1400', '--up',
                prefix=netns.prefix)
            tap.wait_output('ready name=nv0 mtu=1400')
            netns.run('ip', 'addr', 'add', f'10.9.0.{number}/24', 'dev', 'nv0')
            self.ends.append((netns, tap))

    def test_tcp(self):
        """One sends, the other one answers with the digest."""
        (a, tap_a), (b, _) = self.ends
        link = a.run('ip', '-o', 'link', 'show', 'nv0')
        self.assertIn('mtu 1400', link)
        self.assertIn('02:00:00:00:00:01', link)
        server = subprocess.Popen(
            [*b.prefix, 'python3', '-c', '''
import hashlib, socket
with socket.create_server(('', 7000)) as s:
    print('ready', flush=True)
    c, _ = s.accept()
    h = hashlib.sha256()
    while data := c.recv(65536):
        h.update(data)
    c.sendall(h.hexdigest().encode())
    c.close()
'''], stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        server.stdout.readline()
        self.assertIn('same', a.run('timeout', '60', 'python3', '-c', '''
import hashlib, os, socket
data = os.urandom(4 << 20)
with socket.create_connection(('10.9.0.2', 7000)) as c:
    c.sendall(data)
    c.shutdown(socket.SHUT_WR)
    answer = c.makefile().read()
print('same' if answer == hashlib.sha256(data).hexdigest() else answer)
'''))
        self.assertGreater(self.counted(tap_a, 'from-kernel-pkts'), 3000)
        self.assertEqual(self.counted(tap_a, 'refused-pkts'), 0)
        for _, tap in self.ends:
            tap.end()
        self.wait_all_back()

    def test_ping(self):
        if not shutil.which('ping'):
            self.skipTest('no program "ping"')
        (a, _), _ = self.ends
        self.assertIn(' 0% packet loss', a.run(
            'ping', '-c', '5', '-i', '0.1', '-s', '1300', '10.9.0.2'))

    def test_too_large(self):
        """An MTU that no buffer holds is refused; the error names what does."""
        self.member('c')
        (netns, _), _ = self.ends

        def tap(mtu):
            return self.program('tap', 'c', '--name', 'nv1', '--mtu', f'{mtu}',
                                prefix=netns.prefix)

        most = int(re.search(r'holds an MTU of (\d+)',
                             tap(9000).wait(1)).group(1))
        tap(most + 1).wait(1)
        tap(most).wait_output(f'ready name=nv1 mtu={most}').end()

    def test_longer_than_a_buffer(self):
        """What somebody makes longer since is left out, and counted."""
        self.member('c')
        (netns, _), _ = self.ends
        program = self.program('tap', 'c', '--name', 'nv1', '--up', '--stats',
                               '1', prefix=netns.prefix)
        program.wait_output('ready name=nv1')
        netns.run('ip', 'addr', 'add', '198.51.100.1/24', 'dev', 'nv1')
        netns.run('ip', 'neigh', 'add', '198.51.100.2', 'lladdr',
                  '02:00:00:00:00:99', 'dev', 'nv1')
        netns.run('ip', 'link', 'set', 'nv1', 'mtu', '9000')
        subprocess.run([*netns.prefix, 'ping', '-c', '1', '-W', '1', '-s',
                        '5000', '198.51.100.2'], stdout=subprocess.DEVNULL)
        program.wait_output('too-long-pkts=1 ')
        program.end()


if __name__ == '__main__':
    rtguest.main()
