#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of libnetvm, in a small Debian of their own: installed, used,
and purged.

The tests are one story, and run in this order.

Threads: none.
"""

import re
import signal
import subprocess
import unittest

from debian_root import DebianRoot, built, run, run_in_namespaces
from rtguest import tap, traffic

LIBRARY, DEVELOPMENT, TOOLS, MODULE = OURS = (
    'libnetvm1', 'libnetvm-dev', 'netvm-tools', 'netvm-shm-dkms')
DAEMON = 'vhost-user-shmem'
HELPERS = ('gcc', 'libc6-dev', 'linux-headers-amd64', 'man-db', 'pkgconf')
PROGRAMS = ('netvm-firewall', 'netvm-l2fwd', 'netvm-l3fwd', 'netvm-pktgen',
            'netvm-stat', 'netvm-tap')
TIMEOUT_S = 120

PLACES = {
    LIBRARY: (r'/usr/lib/[^/]+/libnetvm\.so\.1(\.0\.0)?$',),
    DEVELOPMENT: (r'/usr/include/netvm/', r'/usr/share/man/man3/(lib)?netvm',
                  r'/usr/lib/[^/]+/(libnetvm\.(a|so)|pkgconfig/netvm\.pc)$'),
    TOOLS: (r'/usr/bin/netvm-', r'/usr/share/man/man1/netvm-'),
    MODULE: (r'/usr/src/netvm-shm-',),
}

PROGRAM = r'''
#include <netvm.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char error[NETVM_ERROR_BYTES];
    struct netvm *nv = netvm_attach(argv[argc - 1], 5000, error);
    struct netvm_desc pkt[32];
    int n = nv ? 0 : -1;

    for (int i = 0; i < 5000 && nv && n == 0; i++, usleep(1000)) {
        n = netvm_alloc(nv, pkt, 32);
    }
    printf("%s: %d buffers\n", nv ? "a member" : error, n);
    netvm_detach(nv);
    return n != 32;
}
'''


class NetvmPackages(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.root = DebianRoot()
        cls.debs = cls.root.take((*OURS, DAEMON))
        cls.before = None

    def start(self, *words):
        process = self.root.start(*words, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        process.send_signal(signal.SIGINT)
        try:
            process.wait(TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def daemon(self):
        process = self.start(
            'vhost-user-shmem', '--control', '/tmp/control', '--domain',
            'd pages=ordinary buffers=2048', '--port',
            'a type=netvm domain=d socket=/tmp/a', '--port',
            'b type=netvm domain=d socket=/tmp/b')
        traffic.eventually(lambda: self.root.path('/tmp/b').exists() or
                           process.poll() is not None, 'the daemon is ready',
                           TIMEOUT_S)
        self.assertIsNone(process.poll())

    def test_01_they_go_in(self):
        self.root.apt('update')
        out = self.root.apt('-s', 'install', *self.debs)
        names = re.findall(r'^Inst (\S+)', out, re.MULTILINE)
        self.assertLessEqual(set(OURS), set(names))
        self.root.apt('install', *HELPERS,
                      *(n for n in names if n not in (*OURS, DAEMON)))
        type(self).before = self.root.listing()
        self.root.apt('install', *self.debs)

    def test_02_files_are_where_they_belong(self):
        for package, places in PLACES.items():
            out = self.root.run('dpkg-query', '-L', package).stdout
            for path in out.splitlines():
                if not path.startswith('/') or self.root.path(path).is_dir() \
                        or path.startswith(f'/usr/share/doc/{package}/'):
                    continue
                self.assertTrue(any(re.match(p, path) for p in places),
                                f'{package} has {path}')
                self.assertTrue(self.root.path(path).exists(), path)

    def test_03_lintian_has_no_complaint(self):
        done = run('lintian', '--fail-on', 'error,warning',
                   '--tag-display-limit', '0', '--allow-root',
                   *map(built, OURS), check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_04_manuals_are_found(self):
        for page in ('libnetvm', 'netvm_wait', 'netvm_disarm', *PROGRAMS):
            self.assertIn('SYNOPSIS', self.root.run('man', page).stdout)

    def test_10_module_is_built(self):
        kernel, = (path.name for path in
                   self.root.path('/usr/lib/modules').iterdir())
        self.root.run('dkms', 'install', 'netvm-shm/1.0', '-k', kernel,
                      timeout=10 * TIMEOUT_S)
        self.assertRegex(self.root.run('dkms', 'status').stdout,
                         rf'netvm-shm/1.0, {re.escape(kernel)}, .*installed')
        self.assertIn('shared by virtual machines', self.root.run(
            'modinfo', '-k', kernel, '-F', 'description',
            'netvm_shm').stdout)

    def test_11_program_is_compiled_and_becomes_a_member(self):
        self.root.path('/tmp/program.c').write_text(PROGRAM)
        self.daemon()
        for flags in ('', '-static'):
            self.root.run('sh', '-c', 'cc -Wall -Werror -o /tmp/program '
                          f'/tmp/program.c {flags} '
                          '$(pkg-config --cflags --libs netvm)')
            done = self.root.run('/tmp/program', 'unix:/tmp/a')
            self.assertEqual(done.stdout, 'a member: 32 buffers\n')

    def test_12_tools_pass_packets(self):
        self.daemon()
        sink = self.start('netvm-pktgen', '--at', 'unix:/tmp/b', '--sink',
                          '--count', '100')
        out = self.root.run('netvm-pktgen', '--at', 'unix:/tmp/a', '--to', 'b',
                            '--rate', '1000', '--count', '100',
                            timeout=TIMEOUT_S).stdout
        self.assertIn('end sent=100 ', out)
        said, _ = sink.communicate(timeout=TIMEOUT_S)
        self.assertRegex(said, r'end sent=0 .*received=100 .*lost=0 ')
        for program in PROGRAMS:
            self.assertIn('--at', self.root.run(program, '--help').stdout)

    def test_20_purge_leaves_nothing(self):
        self.root.apt('purge', *OURS, DAEMON)
        after = self.root.listing()
        changed = {path: (self.before.get(path), after.get(path))
                   for path in sorted(set(self.before) | set(after))
                   if self.before.get(path) != after.get(path)
                   # depmod's
                   and not re.match('/usr/lib/modules/[^/]+/modules', path)}
        self.assertEqual(changed, {})


if __name__ == '__main__':
    run_in_namespaces(tap.main)
