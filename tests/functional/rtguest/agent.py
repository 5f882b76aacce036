# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands in a guest, over its second serial line.

The other end, and the protocol, is tests/functional/guest/rtprobe/agent.c.

Threads: a reader thread fills Command objects; callers wait on a condition.
"""

import json
import socket
import threading
import time

MAX_COMMANDS = 32


class GuestTimeout(Exception):
    """The guest, or a command in it, took too long."""


class GuestRestarted(Exception):
    """The guest rebooted (or crashed: see its console log) meanwhile."""


class CommandFailed(Exception):
    """A command in the guest ended with a status other than 0."""

    def __init__(self, command):
        super().__init__(f'"{command.text}" ended with status '
                         f'{command.status}: {command.err.strip()}')
        self.command = command


class Command:
    """A shell command that runs, or ran, in a guest.

    out and err hold what it has printed so far, status is None until it ends.
    """

    def __init__(self, agent, ident, text):
        self._agent = agent
        self._ident = ident
        self._out = bytearray()
        self._err = bytearray()
        self._lost = None           # why it will never end
        self.text = text
        self.status = None

    @property
    def out(self):
        return self._out.decode(errors='replace')

    @property
    def err(self):
        return self._err.decode(errors='replace')

    def json(self):
        """The last line of stdout, parsed."""
        return json.loads(self.out.splitlines()[-1])

    def wait(self, timeout_s=30, check=True):
        """Wait for its end; a status other than 0 raises unless not @check."""
        self._agent.wait_for(lambda: self.status is not None or self._lost,
                             timeout_s, f'"{self.text}" to end')
        if self._lost:
            raise self._lost
        if check and self.status:
            raise CommandFailed(self)
        return self

    def wait_output(self, text, timeout_s=30):
        """Wait until @text stands in its stdout."""
        self._agent.wait_for(lambda: text in self.out or self._lost or
                             self.status is not None,
                             timeout_s, f'"{self.text}" to print "{text}"')
        if self._lost:
            raise self._lost
        if text not in self.out:
            raise CommandFailed(self)
        return self

    def send(self, data):
        """Write to its stdin, at most 64 KiB at a time."""
        if isinstance(data, str):
            data = data.encode()
        self._agent.request('stdin', self._ident, data)
        return self

    def close_stdin(self):
        self._agent.request('stdin', self._ident, b'')
        return self

    def kill(self, signal=15):
        """Signal the command and everything it started."""
        if self.status is None:
            self._agent.signal(self._ident, signal)
        return self


class Agent:
    """The host's end of one guest's command line."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._changed = threading.Condition()
        self._running = {}
        self._starts = 0            # times the guest's agent said "ready"
        self._awaited = 0
        self._closed = False
        threading.Thread(target=self._read, daemon=True).start()

    # -- Reader ---------------------------------------------------------------

    def _read(self):
        try:
            with self._socket.makefile('rb') as line:
                while header := line.readline():
                    self._take(header.decode('ascii', 'replace').split(), line)
        except (OSError, ValueError):
            pass
        with self._changed:
            self._closed = True
            self._lose(GuestRestarted('QEMU has ended; see its log'))
            self._changed.notify_all()

    def _take(self, words, line):
        data = b''
        if words and words[0] in ('out', 'err'):
            data = line.read(int(words[2]))
        with self._changed:
            if words and words[-1].endswith('ready'):
                self._starts += 1
                self._lose(GuestRestarted('the guest restarted; see its '
                                          'console log'))
            elif len(words) == 3 and int(words[1]) in self._running:
                command = self._running[int(words[1])]
                if words[0] == 'out':
                    command._out += data
                elif words[0] == 'err':
                    command._err += data
                elif words[0] == 'exit':
                    command.status = int(words[2])
                    del self._running[int(words[1])]
            self._changed.notify_all()

    def _lose(self, why):
        for command in self._running.values():
            command._lost = why
        self._running.clear()

    # -- Callers --------------------------------------------------------------

    def wait_for(self, condition, timeout_s, what):
        end = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                rest_s = end - time.monotonic()
                if self._closed:
                    raise GuestRestarted(f'QEMU ended while waiting for {what}')
                if rest_s <= 0:
                    raise GuestTimeout(f'waited {timeout_s} s for {what}')
                self._changed.wait(rest_s)

    def wait_ready(self, timeout_s):
        """Wait for the next start of the guest that was not awaited yet."""
        self.wait_for(lambda: self._starts > self._awaited, timeout_s,
                      'the guest to start')
        self._awaited = self._starts

    def forget_starts(self):
        """Starts before now were not what wait_ready() is to wait for."""
        with self._changed:
            self._awaited = self._starts

    def request(self, verb, ident, data):
        self._socket.sendall(f'{verb} {ident} {len(data)}\n'.encode() + data)

    def signal(self, ident, number):
        self._socket.sendall(f'kill {ident} {int(number)}\n'.encode())

    def start(self, text):
        with self._changed:
            free = set(range(MAX_COMMANDS)) - set(self._running)
            if not free:
                raise RuntimeError(f'{MAX_COMMANDS} commands run in the guest: '
                                   'wait for one of them')
            ident = min(free)
            command = Command(self, ident, text)
            self._running[ident] = command
        self.request('run', ident, text.encode())
        return command

    def adopt(self, other):
        """The guest has moved here with all it runs, and is up."""
        with other._changed:
            moved, other._running = other._running, {}
        with self._changed:
            self._starts, self._awaited = other._starts, other._awaited
            self._running.update(moved)
            for command in moved.values():
                command._agent = self

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
