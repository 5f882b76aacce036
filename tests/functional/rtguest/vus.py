# SPDX-License-Identifier: GPL-2.0-or-later
"""vhost-user-shmem with real guests behind its ports.

    class Ping(vus.DaemonTest):
        def test_ping(self):
            daemon = self.daemon()
            daemon.port('a')
            daemon.port('b')
            daemon.start()
            a = self.boot('a', daemon.nic('a', MAC_A))
            ...

What a test asks the daemon goes over its control socket, as vusctl does it.

Threads: none; a Daemon belongs to the thread that made it.
"""

import atexit
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import config
from .tap import GuestTest
from .traffic import eventually

PROGRAMS = os.path.join(config.BUILD, 'rtnet', 'contrib', 'vhost-user-shmem')
DAEMON = os.path.join(PROGRAMS, 'vhost-user-shmem')
VUSCTL = os.path.join(PROGRAMS, 'vusctl')
STOCK_QEMU = '/usr/bin/qemu-system-x86_64'
NOBODY = 65534

START_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 60
MEMORY_MIB = 128
MACHINE = 'pc,memory-backend=mem'

_running = set()
_log_numbers = itertools.count(1)


class DaemonError(Exception):
    """The daemon did not start, ended, or refused; the text is its own."""


def memory(memory_mib=MEMORY_MIB):
    """Arguments for a guest's memory that the daemon can map; the machine is
    to be MACHINE."""
    return ('-object', 'memory-backend-memfd,id=mem,share=on,'
                       f'size={memory_mib}M')


def as_nobody():
    """What to run a program with, so that it is an ordinary user's."""
    return ['setpriv', '--reuid', str(NOBODY), '--regid', str(NOBODY),
            '--clear-groups']


class Daemon:
    """One daemon; it may end and start again any number of times.

    @directory: for its sockets; their paths have to be short
    @options: of its command line, beside --control and --port
    @prefix: what to run it with, as NetNamespace.prefix
    """

    def __init__(self, directory, *options, prefix=()):
        self.directory = directory
        self.control = os.path.join(directory, 'control')
        self.ports = {}
        self.ready_s = None             # when it said so, monotonic
        self.options = list(options)
        self._prefix = list(prefix)
        self._process = None
        os.makedirs(config.LOGS, exist_ok=True)
        program = os.path.splitext(os.path.basename(sys.argv[0]))[0]
        self.log = os.path.join(
            config.LOGS, f'{program}-{next(_log_numbers):02}-daemon.log')
        with open(self.log, 'w', encoding='utf-8'):
            pass

    # -- Ports ----------------------------------------------------------------

    def port(self, name, **settings):
        """A port that it is started with; keys with _ for -."""
        settings = {k.replace('_', '-'): v for k, v in settings.items()}
        if settings.get('type', 'vhost-user') == 'vhost-user':
            settings.setdefault('socket', self.socket(name))
        self.ports[name] = settings
        return name

    def socket(self, name):
        return os.path.join(self.directory, name + '.sock')

    def nic(self, name, mac, device='', queues=1, chardev='reconnect=1',
            port=None):
        """QEMU's arguments for a NIC behind a port of that name.

        @port: whose socket, if the port has another name than the NIC
        """
        path = self.socket(port or name)
        vectors = f',mq=on,vectors={2 * queues + 2}' if queues > 1 else ''
        return ('-chardev', f'socket,id=char-{name},path={path},{chardev}',
                '-netdev', f'vhost-user,id=net-{name},chardev=char-{name},'
                           f'queues={queues}',
                '-device', f'virtio-net-pci,id=nic-{name},netdev=net-{name},'
                           f'mac={mac}{vectors}'
                           + (',' + device if device else ''))

    def rtvnic(self, name, mac, options='', port=None):
        """The same for an rtvnic, whose contract the daemon gets; the port is
        to have rtvnic=on."""
        port = port or name
        return ('-chardev', f'socket,id=char-{name},path={self.socket(port)},'
                            'reconnect=1',
                '-netdev', f'vhost-user,id=net-{name},chardev=char-{name}',
                '-chardev', f'socket,id=ctl-{name},path={self.control},'
                            'reconnect=1',
                '-device', f'rtvnic,id=nic-{name},netdev=net-{name},'
                           f'mac={mac},control=ctl-{name},port={port}'
                           + (',' + options if options else ''))

    # -- Life -----------------------------------------------------------------

    def start(self):
        """Returns when it is ready."""
        if not os.access(DAEMON, os.X_OK):
            raise DaemonError(f'{DAEMON} is missing: run "make build-rtnet"')
        argv = [DAEMON, '--control', self.control, *self.options]
        for name, settings in self.ports.items():
            argv += ['--port', ' '.join(
                [name, *(f'{k}={v}' for k, v in settings.items())])]
        with open(self.log, 'a', encoding='utf-8') as log:
            print(' '.join(argv), file=log, flush=True)
            self._process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'KILL', *self._prefix, *argv],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        _running.add(self)
        readable, _, _ = select.select([self._process.stdout], [], [],
                                       START_TIMEOUT_S)
        if not readable:
            self.kill()
            raise DaemonError(f'not ready after {START_TIMEOUT_S} s')
        if self._process.stdout.readline() != b'ready\n':
            self._process.wait()
            self._forget()
            raise DaemonError(self.messages())
        self.ready_s = time.monotonic()
        return self

    @property
    def pid(self):
        return self._process.pid

    @property
    def alive(self):
        return self._process is not None and self._process.poll() is None

    def _forget(self):
        _running.discard(self)
        self._process.stdout.close()
        self._process = None

    def kill(self):
        """As a crash would end it; when that was, monotonic."""
        self._process.kill()
        at_s = time.monotonic()
        self._process.wait()
        self._forget()
        return at_s

    def stop(self, timeout_s=30):
        """As an administrator would end it; its exit status."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(timeout_s)
        self._forget()
        return status

    def close(self):
        """End it, unless it has ended."""
        if self._process:
            self.kill()

    def messages(self):
        """What it has logged, all its lives together."""
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return f.read()

    # -- Control --------------------------------------------------------------

    def call(self, method, **params):
        """Call a method of its control socket; the result."""
        request = {'jsonrpc': '2.0', 'id': 1, 'method': method,
                   'params': {k.replace('_', '-'): v
                              for k, v in params.items()}}
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(ANSWER_TIMEOUT_S)
            s.connect(self.control)
            s.sendall(json.dumps(request).encode() + b'\n')
            with s.makefile('rb') as lines:
                line = lines.readline()
        if not line:
            raise DaemonError(f'it hung up instead of answering {method}')
        answer = json.loads(line)
        if 'error' in answer:
            raise DaemonError(f"{method}: {answer['error']['message']}")
        return answer['result']

    def vusctl(self, *words, check=True):
        """Run vusctl; what it prints."""
        done = subprocess.run(
            [VUSCTL, '--control', self.control, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=ANSWER_TIMEOUT_S)
        if check and done.returncode:
            raise DaemonError(f'vusctl {" ".join(words)}: '
                              f'{done.stderr.strip()}')
        return done.stdout

    def set(self, name, **settings):
        """Change settings of a port while it lives."""
        return self.call('port.set', name=name, settings={
            k.replace('_', '-'): v for k, v in settings.items()})

    def show(self, name):
        return self.call('port.show', name=name)

    def stats(self, name):
        """Counters of a port; "drops" of all reasons."""
        return self.call('stats', name=name, all=True)['ports'][0]

    def drops(self, name):
        """{reason: frames} of what was dropped at a port."""
        return {k: v for k, v in self.stats(name)['drops'].items() if v}

    def deadlines(self, name):
        """What became of the deadlines of a port, counters as a dict."""
        port, = self.call('qos.deadlines', name=name, buckets=True)
        for key in ('counters', 'drops'):
            port[key] = {c['name']: c['value'] for c in port[key]}
        return port

    def link(self, name):
        """The link of a port: its queue, what it promises."""
        return next(link for link in self.call('qos.links')['links']
                    if link['name'] == name)

    def wait_state(self, name, state='ready', timeout_s=60):
        """Wait until "list" shows that state for the port."""
        eventually(lambda: self.show(name)['state'] == state,
                   f'port {name} is {state}', timeout_s)

    def wait_ready(self, *names):
        for name in names:
            self.wait_state(name)


class DaemonTest(GuestTest):
    """Guests whose memory a daemon can map, and daemons, that end with the
    test, or with the class if they are made by the class methods."""

    @staticmethod
    def _make_daemon(add_cleanup, options, prefix):
        directory = tempfile.mkdtemp(prefix='vus-', dir='/tmp')
        add_cleanup(shutil.rmtree, directory, ignore_errors=True)
        daemon = Daemon(directory, *options, prefix=prefix)
        add_cleanup(daemon.close)
        return daemon

    def daemon(self, *options, prefix=()):
        return self._make_daemon(self.addCleanup, options, prefix)

    @classmethod
    def class_daemon(cls, *options, prefix=()):
        return cls._make_daemon(cls.addClassCleanup, options, prefix)

    def boot(self, name, *args, memory_mib=MEMORY_MIB, **kwargs):
        return super().boot(name, memory(memory_mib), *args,
                            memory_mib=memory_mib, machine=MACHINE, **kwargs)

    @classmethod
    def class_boot(cls, name, *args, memory_mib=MEMORY_MIB, **kwargs):
        return super().class_boot(name, memory(memory_mib), *args,
                                  memory_mib=memory_mib, machine=MACHINE,
                                  **kwargs)


def find_stock_qemu():
    """Path of the distribution's QEMU, or None."""
    return STOCK_QEMU if os.access(STOCK_QEMU, os.X_OK) else None


def find_iperf3():
    return shutil.which('iperf3')


@atexit.register
def _close_all():
    for daemon in list(_running):
        daemon.close()
