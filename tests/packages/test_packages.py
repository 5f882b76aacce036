#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of "make deb", in a small Debian of their own: installed,
used, upgraded, removed and purged.

The tests are one story, and run in this order. No service manager runs there:
what the unit says is done by hand.

Threads: none.
"""

import os
import re
import select
import signal
import subprocess
import unittest

from debian_root import DEB, DebianRoot, built, run, run_in_namespaces
from rtguest import qmp, tap, traffic

SWITCH = 'vhost-user-shmem'
QEMU = 'qemu-system-x86-rtnet'
COMMAND = 'qemu-system-x86_64-rtnet'
DATA = '/usr/lib/qemu-rtnet'
CONFIG = '/etc/vhost-user-shmem.conf'
SOCKETS = '/run/vhost-user-shmem'
TIMEOUT_S = 120
MEMORY = ('-m', '64M', '-machine', 'pc,memory-backend=mem',
          '-object', 'memory-backend-memfd,id=mem,size=64M,share=on')

# Where the packages may put something, and what must be among it.
PLACES = {
    SWITCH: (r'/etc/vhost-user-shmem\.conf$',
             r'(/usr)?/lib/systemd/system/', r'/usr/bin/v',
             r'/usr/lib/sysusers\.d/', r'/usr/share/bash-completion/',
             r'/usr/share/doc/vhost-user-shmem/', r'/usr/share/man/man[18]/v',
             r'/usr/share/vhost-user-shmem/'),
    QEMU: (r'/etc/apparmor\.d/abstractions/libvirt-qemu\.d/' + QEMU + '$',
           r'/usr/bin/' + COMMAND + '$', DATA + '/',
           r'/usr/share/doc/' + QEMU + '/',
           r'/usr/share/man/man1/' + COMMAND + r'\.1\.gz$'),
}
NEEDED = {
    SWITCH: ('/usr/bin/vhost-user-shmem', '/usr/bin/vusctl', CONFIG,
             '/usr/lib/sysusers.d/vhost-user-shmem.conf',
             '/usr/share/vhost-user-shmem/grafana-dashboard.json',
             '/usr/share/doc/vhost-user-shmem/copyright'),
    QEMU: ('/usr/bin/' + COMMAND, DATA + '/multiboot_dma.bin',
           DATA + '/keymaps/de', DATA + '/qemu-bridge-helper',
           '/usr/share/doc/qemu-system-x86-rtnet/copyright',
           '/usr/share/doc/qemu-system-x86-rtnet/copyright.qemu'),
}

PORTS = f'''
[port vm1]
socket={SOCKETS}/vm1.sock

[port vm2]
socket={SOCKETS}/vm2.sock
rtvnic=on

[port in]
type=dummy

[port out]
type=dummy
'''

# A kernel of 60 bytes, which QEMU's multiboot ROM loads to 1 MiB: header with
# load addresses, then "mov $0xf4,%dx; mov $0x10,%al; out %al,(%dx); hlt".
MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, LOAD = 0x1badb002, 0x10000, 0x100000
KERNEL = b''.join(word.to_bytes(4, 'little') for word in (
    MULTIBOOT_MAGIC, MULTIBOOT_FLAGS,
    -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS) & 0xffffffff,
    LOAD, LOAD, LOAD + 60, LOAD + 60, LOAD + 32)
    ) + bytes.fromhex('66baf400b010eef4') + bytes(20)
# What isa-debug-exit makes of 0x10.
KERNEL_RAN = 0x10 << 1 | 1


class Packages(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.root = DebianRoot()
        cls.debs = cls.root.take((SWITCH, QEMU))
        cls.before = None

    # -- What the story is told with ---------------------------------------

    def files(self, package):
        """All of a package that is no directory."""
        out = self.root.run('dpkg-query', '-L', package).stdout
        return [path for path in out.splitlines()
                if path.startswith('/') and not self.root.path(path).is_dir()]

    def unit(self):
        path, = (p for p in self.files(SWITCH) if p.endswith('.service'))
        return path

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
        process.stdout.close()

    def service(self):
        """The daemon, as the unit runs it but for its capabilities."""
        lines = self.root.path(self.unit()).read_text().splitlines()
        unit = dict(line.split('=', 1) for line in lines
                    if re.match(r'\w+=', line))
        for place, key in (('/run', 'RuntimeDirectory'),
                           ('/var/lib', 'StateDirectory')):
            path = os.path.join(place, unit[key])
            self.root.run('install', '-d', '-o', unit['User'],
                          '-g', unit['Group'], '-m', unit[key + 'Mode'], path)
        daemon = self.root.start(
            'setpriv', '--reuid', unit['User'], '--regid', unit['Group'],
            '--clear-groups', '--no-new-privs', '--inh-caps=-all',
            *unit['ExecStart'].split(), umask=int(unit['UMask'], 8),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(self.stop, daemon)
        said = ''
        while not said.endswith('ready\n'):
            readable, _, _ = select.select([daemon.stdout], [], [], TIMEOUT_S)
            line = daemon.stdout.readline() if readable else ''
            self.assertTrue(line, f'the daemon is not ready; it said: {said}')
            said += line

    def vusctl(self, *words):
        return self.root.run('vusctl', *words).stdout

    def state(self, port):
        return re.search(rf'^{port} +\d+ +\S+ +(\S+)', self.vusctl('list'),
                         re.MULTILINE).group(1)

    def wait_state(self, port, state):
        traffic.eventually(lambda: self.state(port) == state,
                           f'port {port} is {state}', TIMEOUT_S)

    def qemu(self, *words, user=('root', 'root')):
        """The patched QEMU, stopped; its monitor."""
        monitor = '/tmp/monitor'
        process = self.root.start(
            'setpriv', '--reuid', user[0], '--regid', user[1],
            '--clear-groups', COMMAND, '-accel', 'tcg', '-nodefaults',
            '-display', 'none', '-S',
            '-qmp', f'unix:{monitor},server=on,wait=off', *words,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(self.stop, process)
        path = self.root.path(monitor)
        self.addCleanup(path.unlink, missing_ok=True)
        traffic.eventually(lambda: path.exists() or process.poll() is not None,
                           'QEMU has a monitor', TIMEOUT_S)
        if process.poll() is not None:
            self.fail(f'QEMU did not start: {process.stdout.read()}')
        client = qmp.Qmp(str(path))
        self.addCleanup(client.close)
        return client

    # -- Installed ---------------------------------------------------------

    def test_01_dependencies_are_in_the_archive(self):
        self.root.apt('update')
        out = self.root.apt('-s', 'install', *self.debs)
        names = re.findall(r'^Inst (\S+)', out, re.MULTILINE)
        self.assertLessEqual({SWITCH, QEMU}, set(names))
        self.root.apt('install', 'bash-completion', 'man-db',
                      'qemu-system-x86',
                      *(n for n in names if n not in (SWITCH, QEMU)))
        type(self).before = self.root.listing()

    def test_02_both_go_in_beside_debians_qemu(self):
        self.root.apt('install', *self.debs)
        for package in SWITCH, QEMU, 'qemu-system-x86':
            status = self.root.run('dpkg-query', '-W', '-f', '${Status}',
                                   package).stdout
            self.assertEqual(status, 'install ok installed', package)

    def test_03_files_are_where_they_belong(self):
        for package, places in PLACES.items():
            files = self.files(package)
            self.assertLessEqual(set(NEEDED[package]), set(files))
            for path in files:
                self.assertTrue(any(re.match(p, path) for p in places),
                                f'{package} has {path}')
                self.assertTrue(self.root.path(path).exists(), path)

    def test_04_debians_files_are_debians(self):
        ours = self.files(SWITCH) + self.files(QEMU)
        owners = self.root.run('dpkg-query', '-S', *ours).stdout
        for line in owners.splitlines():
            self.assertRegex(line, rf'^({SWITCH}|{QEMU}): ')
        self.assertEqual(self.root.run('dpkg', '--verify').stdout, '')

    def test_05_debians_qemu_is_debians(self):
        devices = self.root.run('qemu-system-x86_64', '-device',
                                'help').stdout
        self.assertIn('"virtio-net-pci"', devices)
        self.assertNotIn('rtvnic', devices)

    def test_06_lintian_has_no_complaint(self):
        done = run('lintian', '--fail-on', 'error,warning',
                   '--tag-display-limit', '0', '--allow-root',
                   *(built(p) for p in (SWITCH, QEMU)), check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    # -- QEMU --------------------------------------------------------------

    def test_10_qemu_has_the_nics(self):
        version = self.root.run('dpkg-query', '-W', '-f', '${Version}',
                                SWITCH).stdout
        self.assertIn(f'(rtnet {version})',
                      self.root.run(COMMAND, '--version').stdout)
        for kind, name, option in (
                ('-device', 'rtvnic', 'deadline-us='),
                ('-device', 'rtvnic-ne2k', 'deadline-us='),
                ('-object', 'edf-scheduler', 'rate-bps=')):
            self.assertIn(option, self.root.run(
                COMMAND, kind, f'{name},help').stdout)

    def test_11_qemu_boots_a_kernel(self):
        kernel = self.root.path('/tmp/kernel')
        kernel.write_bytes(KERNEL)
        done = self.root.run(
            COMMAND, '-accel', 'tcg', '-nodefaults', '-display', 'none',
            '-kernel', '/tmp/kernel', '-device',
            'isa-debug-exit,iobase=0xf4,iosize=1', check=False,
            timeout=TIMEOUT_S)
        self.assertEqual(done.returncode, KERNEL_RAN, done.stdout)

    def test_12_qemu_finds_keyboards(self):
        monitor = self.qemu('-vnc', 'unix:/tmp/vnc', '-k', 'de')
        self.assertIn('/tmp/vnc', monitor.hmp('info vnc'))

    def test_13_qemu_has_rtnet_statistics(self):
        monitor = self.qemu(
            '-object', 'edf-scheduler,id=up0,rate-bps=100000000',
            '-netdev', 'hubport,id=n0,hubid=0', '-device',
            'rtvnic,id=nic,netdev=n0,scheduler=up0,deadline-us=2000')
        self.assertIn('up0', monitor.hmp('info rtnet'))

    # -- vhost-user-shmem --------------------------------------------------

    def test_20_user_cannot_log_in(self):
        self.assertTrue(self.root.run('getent', 'passwd', SWITCH)
                        .stdout.rstrip().endswith('/nologin'))
        self.assertRegex(self.root.run('getent', 'shadow', SWITCH).stdout,
                         rf'^{SWITCH}:[!*]')
        self.root.run('getent', 'group', 'kvm')

    def test_21_unit_is_valid_and_enabled(self):
        self.assertEqual(
            self.root.run('systemd-analyze', 'verify', self.unit()).stdout, '')
        self.assertEqual(
            self.root.run('systemctl', 'is-enabled', SWITCH).stdout,
            'enabled\n')

    def test_22_config_is_valid(self):
        self.assertIn('--config', self.root.run(SWITCH, '--help').stdout)
        check = SWITCH, '--check', '--config'
        self.assertIn('0 ports', self.root.run(*check, CONFIG).stdout)
        text = self.root.path(CONFIG).read_text()
        all_used = re.sub(r'^#(?=\S)', '', text, flags=re.MULTILINE)
        self.root.path('/tmp/all').write_text(all_used)
        self.assertIn('3 ports', self.root.run(*check, '/tmp/all').stdout)

    def test_23_service_runs_without_ports(self):
        self.service()
        self.assertEqual(len(self.vusctl('list').splitlines()), 1)
        with self.root.path(CONFIG).open('a') as f:
            f.write(PORTS)
        self.assertIn('port vm2 added', self.vusctl('reload'))

    def test_24_service_runs_with_ports(self):
        self.service()
        for port, state in (('vm1', 'waiting'), ('vm2', 'waiting'),
                            ('in', 'ready'), ('out', 'ready')):
            self.assertEqual(self.state(port), state)
        frame = 'ff' * 6 + '525400000001' + '88b5' + '00' * 46
        self.vusctl('inject', 'in', frame)
        self.assertIn(frame, self.vusctl('read', 'out'))

    def test_25_stranger_cannot_reach_a_port(self):
        self.service()
        done = self.root.run(
            'setpriv', '--reuid', 'nobody', '--regid', 'nogroup',
            '--clear-groups', COMMAND, '-nodefaults', '-display', 'none',
            '-chardev', f'socket,id=c0,path={SOCKETS}/vm1.sock', check=False,
            timeout=TIMEOUT_S)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('Permission denied', done.stdout)

    # Its boot ROM drives the NIC and asks for an address.
    def test_26_guest_of_group_kvm_boots_from_the_net(self):
        self.service()
        monitor = self.qemu(
            *MEMORY, '-chardev',
            f'socket,id=c0,path={SOCKETS}/vm1.sock,reconnect=1',
            '-netdev', 'vhost-user,id=n0,chardev=c0',
            '-device', 'virtio-net-pci,netdev=n0,mac=52:54:00:00:00:01',
            user=('nobody', 'kvm'))
        self.wait_state('vm1', 'connected')
        monitor.cmd('cont')
        self.wait_state('vm1', 'ready')
        traffic.eventually(
            lambda: 'ffffffffffff525400000001' in self.root.run(
                'vusctl', 'read', 'out', check=False).stdout,
            'a broadcast of the guest arrives', TIMEOUT_S)

    def test_27_rtvnic_registers_its_contract(self):
        self.service()
        monitor = self.qemu(
            *MEMORY, '-chardev',
            f'socket,id=c0,path={SOCKETS}/vm2.sock,reconnect=1',
            '-netdev', 'vhost-user,id=n0,chardev=c0', '-chardev',
            f'socket,id=ctl,path={SOCKETS}/control.sock,reconnect=1',
            '-device', 'rtvnic,id=nic,netdev=n0,control=ctl,port=vm2,'
            'deadline-us=2000')
        self.wait_state('vm2', 'connected')
        self.assertEqual(monitor.cmd('qom-get', {
            'path': '/machine/peripheral/nic', 'property': 'contract'}),
            'registered')

    def test_30_manuals_are_found(self):
        for page in SWITCH, 'vusctl', COMMAND:
            self.assertIn(f'/{page}.', self.root.run('man', '-w', page).stdout)
            self.assertIn('SYNOPSIS', self.root.run('man', page).stdout)

    def test_31_bash_completes(self):
        out = self.root.run('bash', '-c', '''
            . /usr/share/bash-completion/bash_completion
            _completion_loader vusctl
            COMP_WORDS=(vusctl de) COMP_CWORD=1 COMP_LINE="vusctl de"
            COMP_POINT=${#COMP_LINE}
            $(complete -p vusctl | sed 's/.*-F \\([^ ]*\\).*/\\1/')
            echo ${COMPREPLY[@]}''').stdout
        self.assertEqual(out.strip(), 'deadlines')

    # -- Upgraded and removed ----------------------------------------------

    def newer(self):
        """The daemon's package as the next one, with another config."""
        tree = DEB / 'root' / 'tmp' / 'newer'
        run('dpkg-deb', '-R', built(SWITCH), tree)
        control = tree / 'DEBIAN' / 'control'
        control.write_text(re.sub(r'^(Version: .*)$', r'\1+newer',
                                  control.read_text(), flags=re.MULTILINE))
        with (tree / CONFIG.lstrip('/')).open('a') as f:
            f.write('# Another default.\n')
        run('dpkg-deb', '-b', tree, self.root.path('/tmp/newer.deb'))
        return '/tmp/newer.deb'

    def check_config_is_kept(self):
        self.assertIn(PORTS, self.root.path(CONFIG).read_text())

    def test_40_config_survives_reinstallation(self):
        self.root.apt('install', '--reinstall', *self.debs)
        self.check_config_is_kept()

    def test_41_config_survives_an_upgrade(self):
        # What "keep" is to dpkg's question; nobody can be asked here.
        self.root.apt('-o', 'Dpkg::Options::=--force-confold', 'install',
                      self.newer())
        self.assertIn('+newer', self.root.run(
            'dpkg-query', '-W', '-f', '${Version}', SWITCH).stdout)
        self.check_config_is_kept()
        self.assertIn('Another default', self.root.path(
            CONFIG + '.dpkg-dist').read_text())

    def test_42_config_survives_removal(self):
        self.root.apt('remove', SWITCH, QEMU)
        for path in '/usr/bin/vusctl', '/usr/bin/' + COMMAND, DATA:
            self.assertFalse(os.path.lexists(self.root.path(path)), path)
        self.check_config_is_kept()

    def test_43_purge_leaves_nothing(self):
        self.root.apt('purge', SWITCH, QEMU)
        after = self.root.listing()
        changed = {path: (self.before.get(path), after.get(path))
                   for path in sorted(set(self.before) | set(after))
                   if self.before.get(path) != after.get(path)}
        self.assertEqual(changed, {})
        self.root.run('qemu-system-x86_64', '--version')


if __name__ == '__main__':
    run_in_namespaces(tap.main)
