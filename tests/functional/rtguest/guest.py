# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU and the guest in it.

QEMU starts paused, so that monitor and command line are connected before the
guest says its first word; it dies with the process that started it.

Threads: see the package; Guest itself starts none but those of Qmp and Agent.
"""

import atexit
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from . import config
from .accel import accelerator
from .agent import Agent, GuestTimeout
from .qmp import Qmp

# Boot takes 2 to 5 s alone; the machine may be busy with other guests.
BOOT_TIMEOUT_S = 180

_running = set()
_log_numbers = itertools.count(1)
_image = None


class GuestError(Exception):
    """QEMU did not start, or ended on its own; the text holds its messages."""


def _guest_image():
    """Paths by the names that build-image gives them, built if necessary."""
    global _image
    if not _image:
        done = subprocess.run([config.BUILD_IMAGE], stdout=subprocess.PIPE,
                              text=True)
        if done.returncode:
            raise GuestError('the guest image could not be built: see above')
        _image = dict(line.split('=', 1) for line in done.stdout.splitlines())
    return _image


def _flat(args):
    """Arguments may be given as strings or as tuples such as Link gives."""
    flat = []
    for arg in args:
        flat.extend([arg] if isinstance(arg, str) else arg)
    return flat


def _base_command(accel, machine, memory_mib, qemu=None):
    # Under TCG a plain CPU model boots faster than "max": less to emulate.
    cpu = 'host' if accel == 'kvm' else 'Nehalem'
    return [qemu or config.QEMU, '-M', machine, '-accel', accel, '-cpu', cpu,
            '-m', str(memory_mib), '-smp', '1', '-nodefaults',
            '-display', 'none',
            # Nobody boots from a NIC here: no option ROM is needed.
            '-global', 'pci-device.romfile=']


def _check_qemu():
    if not os.access(config.QEMU, os.X_OK):
        raise GuestError(f'{config.QEMU} is missing: run "make", or set '
                         'QEMU_BINARY')


def qemu_error(*args, timeout_s=20):
    """Start QEMU with options it must refuse; returns what it says."""
    _check_qemu()
    argv = _base_command('tcg', 'pc', 128) + ['-S'] + _flat(args)
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True,
                              timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise AssertionError(f'QEMU accepted {" ".join(_flat(args))}') from None
    if done.returncode == 0:
        raise AssertionError(f'QEMU ended without an error, given '
                             f'{" ".join(_flat(args))}')
    if done.returncode < 0:
        raise AssertionError(f'QEMU crashed with signal {-done.returncode}: '
                             f'{done.stderr}')
    return done.stderr


class Guest:
    """A running guest; use it in "with", or call close().

    @args: further QEMU arguments, strings or tuples of them
    @accel: or qtest, under which nothing runs but devices
    @append: further words for the kernel's command line
    @prefix: what to run QEMU with, as NetNamespace.prefix
    @incoming: do not boot, wait for another guest's migrate()
    @qemu: path of another QEMU
    @netvm: with the programs of libnetvm, which take 6 MiB of its memory
    """

    def __init__(self, name, *args, accel=None, machine='pc', memory_mib=128,
                 append='', prefix=(), incoming=False, qemu=None,
                 netvm=False):
        self.name = name
        self._initrd = 'initrd-netvm' if netvm else 'initrd'
        self._qemu = qemu
        self.accel = accel or accelerator()
        self.qmp = None
        self._agent = None
        self._process = None
        self._directory = tempfile.mkdtemp(prefix='rtguest-')
        # Unix socket paths hold 107 bytes; TMPDIR may be anywhere.
        if len(self._directory) > 80:
            os.rmdir(self._directory)
            self._directory = tempfile.mkdtemp(prefix='rtguest-', dir='/tmp')
        _running.add(self)
        args = _flat(args)
        if incoming:
            args += ['-incoming', self._migration_uri]
        try:
            self._start(args, machine, memory_mib, append, prefix)
        except BaseException:
            self.close()
            raise

    # -- Life -----------------------------------------------------------------

    def _start(self, args, machine, memory_mib, append, prefix):
        _check_qemu()
        image = _guest_image()
        qmp_path = os.path.join(self._directory, 'qmp')
        agent_path = os.path.join(self._directory, 'agent')
        os.makedirs(config.LOGS, exist_ok=True)
        program = os.path.splitext(os.path.basename(sys.argv[0]))[0]
        log = os.path.join(config.LOGS,
                           f'{program}-{next(_log_numbers):02}-{self.name}')
        self.console_log = log + '.console.log'
        self.qemu_log = log + '.qemu.log'
        argv = _base_command(self.accel, machine, memory_mib, self._qemu) + [
            '-name', self.name, '-S',
            '-kernel', image['kernel'], '-initrd', image[self._initrd],
            '-append', 'console=ttyS0 panic=-1 mitigations=off nokaslr '
                       'preempt=full tsc=reliable ' + append,
            '-chardev', f'file,id=console,path={self.console_log}',
            '-serial', 'chardev:console',
            '-chardev', f'socket,id=agent,path={agent_path},server=on,wait=off',
            '-serial', 'chardev:agent',
            '-qmp', f'unix:{qmp_path},server=on,wait=off'] + args
        with open(self.qemu_log, 'w', encoding='utf-8') as err:
            print(' '.join(argv), file=err, flush=True)
            # No guest may outlive the test, however the test ends.
            self._process = subprocess.Popen(
                [*prefix, 'setpriv', '--pdeathsig', 'KILL', *argv],
                stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        try:
            # The sockets are there before the devices are checked: only an
            # answer proves that QEMU has started.
            self.qmp = self._connect(Qmp, qmp_path)
            self._agent = self._connect(Agent, agent_path)
            self.qmp.cmd('cont')
        except OSError as e:
            if isinstance(e, TimeoutError):
                raise GuestError(f'QEMU of guest {self.name} hangs at start: '
                                 f'see {self.qemu_log}') from None
            self._process.wait(BOOT_TIMEOUT_S)
            raise GuestError(f'QEMU of guest {self.name} did not start:\n'
                             f'{self.qemu_messages()}') from None

    def _connect(self, connection, path):
        """connection(path), once QEMU has made the socket and listens."""
        end = time.monotonic() + BOOT_TIMEOUT_S
        while True:
            try:
                return connection(path)
            except (FileNotFoundError, ConnectionRefusedError):
                if self._process.poll() is not None:
                    raise ConnectionError from None
                if time.monotonic() > end:
                    raise TimeoutError from None
                time.sleep(0.01)

    def qemu_messages(self):
        """What QEMU has written to stderr."""
        with open(self.qemu_log, encoding='utf-8', errors='replace') as f:
            return ''.join(f.readlines()[1:])

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process.poll() is None

    @property
    def directory(self):
        """Short-named directory that goes away with the guest."""
        return self._directory

    def console(self):
        with open(self.console_log, encoding='utf-8', errors='replace') as f:
            return f.read()

    def wait_ready(self, timeout_s=BOOT_TIMEOUT_S):
        """Wait until the guest has booted, or rebooted."""
        try:
            self._agent.wait_ready(timeout_s)
        except GuestTimeout as e:
            last = self.console().rstrip().rpartition('\n')[2]
            raise GuestTimeout(f'{e}; the last line of {self.console_log} is '
                               f'"{last}"') from None
        return self

    def reset(self):
        """Reset the VM; wait_ready() then waits for the boot that follows."""
        self.qmp.cmd('system_reset')
        self._agent.forget_starts()

    def wait_exit(self, timeout_s=30):
        """Wait for QEMU to end by itself; its exit status."""
        return self._process.wait(timeout_s)

    def close(self):
        """End QEMU without ceremony and forget its sockets."""
        _running.discard(self)
        for part in (self.qmp, self._agent):
            if part:
                part.close()
        if self._process:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # -- Migration ------------------------------------------------------------

    @property
    def _migration_uri(self):
        return f'unix:{self._directory}/migration'

    def migrate(self, target, capabilities=(), timeout_s=60):
        """Move to @target, made with incoming=True; returns its status,
        'completed' or 'failed'.

        Commands that run in the guest go on under @target.  A source that
        failed goes on; a target that failed ends with a message.
        """
        self.start_migration(target, capabilities)
        return self.finish_migration(target, timeout_s)

    def start_migration(self, target, capabilities=(), downtime_ms=10000,
                        bandwidth_bytes=10 ** 10):
        """Begin with what migrate() does; memory is copied meanwhile.

        @downtime_ms: it ends when the rest can be sent in that time
        @bandwidth_bytes: per second
        """
        # Without return-path a source does not learn that its target failed.
        on = ['events', 'return-path', *capabilities]
        for guest in (target, self):
            guest.qmp.cmd('migrate-set-capabilities', {'capabilities': [
                {'capability': name, 'state': True} for name in on]})
        self.qmp.cmd('migrate-set-parameters',
                     {'downtime-limit': downtime_ms,
                      'max-bandwidth': bandwidth_bytes})
        self.qmp.cmd('migrate', {'uri': target._migration_uri})

    def finish_migration(self, target, timeout_s=60):
        """Wait for its end, however long the guest stands still; returns the
        status of migrate()."""
        self.qmp.cmd('migrate-set-parameters', {'downtime-limit': 10000,
                                                'max-bandwidth': 10 ** 10})
        status = self.qmp.wait_event(
            'MIGRATION', timeout_s, lambda data: data['status'] in
            ('completed', 'failed'))['data']['status']
        if status == 'completed':
            target.qmp.wait_event('RESUME', timeout_s)
            target._agent.adopt(self._agent)
        return status

    # -- Commands -------------------------------------------------------------

    def run(self, text, timeout_s=30, check=True, stdin=None):
        """Run a shell command to its end; a Command with out, err, status."""
        return self.start(text, stdin).wait(timeout_s, check)

    def start(self, text, stdin=None):
        """Start a shell command and return at once.

        Its stdin is empty unless @stdin is given; "open" leaves it for
        Command.send().
        """
        command = self._agent.start(text)
        if stdin != 'open':
            if stdin:
                command.send(stdin)
            command.close_stdin()
        return command

    def write_file(self, path, data):
        self.run(f'cat > {path}', stdin=data)

    # -- Network --------------------------------------------------------------

    def interface(self, mac):
        """Name of the interface with that MAC address."""
        out = self.run('grep -i . /sys/class/net/*/address').out
        found = re.search(rf'net/([^/]+)/address:{re.escape(mac.lower())}$',
                          out, re.MULTILINE)
        if not found:
            raise GuestError(f'guest {self.name} has no interface with MAC '
                             f'{mac}, only:\n{out}')
        return found.group(1)

    def ifup(self, mac, address, ipv6=False):
        """Give the interface an address and start it; its name.

        Without @ipv6 it sends nothing on its own (no neighbour or router
        discovery), so that frames can be counted.
        """
        name = self.interface(mac)
        self.run(f'echo {int(not ipv6)} > '
                 f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6; '
                 f'ip addr add {address} dev {name} && ip link set {name} up')
        return name

    def neighbour(self, interface, address, mac):
        """Know a neighbour beforehand, so that no ARP is sent."""
        self.run(f'arp -i {interface} -s {address} {mac}')

    # -- RT network -----------------------------------------------------------

    def rtnet(self):
        """query-rtnet with ports, schedulers, counters and drops as dicts."""
        info = self.qmp.cmd('query-rtnet')
        for port in info['ports']:
            for key in ('counters', 'drops'):
                port[key] = {c['name']: c['value'] for c in port[key]}
        return {kind: {item['id']: item for item in info[kind]}
                for kind in ('ports', 'schedulers')}

    def rtnet_port(self, ident):
        """One port of rtnet()."""
        return self.rtnet()['ports'][ident]

    def rtnet_scheduler(self, ident):
        """One scheduler of rtnet()."""
        return self.rtnet()['schedulers'][ident]


def wait_ready(*guests, timeout_s=BOOT_TIMEOUT_S):
    """Wait until all of them have booted."""
    for guest in guests:
        guest.wait_ready(timeout_s)


@atexit.register
def _close_all():
    for guest in list(_running):
        guest.close()
