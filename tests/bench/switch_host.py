# SPDX-License-Identifier: GPL-2.0-or-later
"""What bench-switch needs of the host: programs, huge pages, processes.

A process that polls has its core for itself while it is measured (SCHED_FIFO,
where that is allowed), and is stopped while another is.

Threads: none of its own.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import time

HUGE_PAGES = 1024               # of 2 MiB
POLLER_PRIORITY = 10            # that of switch-load, too
COMMAND_PRIORITY = 11           # what has to come in between
START_S = 90                    # on a machine that is not quiet
_PATH = '/sys/kernel/mm/hugepages/hugepages-2048kB/'
_PR_SET_PDEATHSIG = 1


class Unavailable(Exception):
    """Why something cannot be measured here, and what to do."""


class Failed(Exception):
    """What has gone wrong with a process."""


class HugePages:
    """Sees to HUGE_PAGES free huge pages; gives back what it took."""

    def __init__(self):
        self.before = None

    @staticmethod
    def _read(name):
        try:
            with open(_PATH + name, encoding='ascii') as f:
                return int(f.read())
        except OSError as e:
            raise Unavailable('this kernel has no huge pages of 2 MiB '
                              f'({e.strerror}: {e.filename})') from None

    @staticmethod
    def _set(number):
        with open(_PATH + 'nr_hugepages', 'w', encoding='ascii') as f:
            f.write(str(number))

    def __enter__(self):
        total, free = self._read('nr_hugepages'), self._read('free_hugepages')
        if free < HUGE_PAGES and os.access(_PATH + 'nr_hugepages', os.W_OK):
            self._set(total + HUGE_PAGES - free)
            self.before = total
            free = self._read('free_hugepages')
        if free < HUGE_PAGES:
            self.__exit__()
            raise Unavailable(
                f'{HUGE_PAGES} huge pages of 2 MiB are needed and {free} are '
                'free: run it as root, on a machine with more memory, or set '
                f'vm.nr_hugepages={total + HUGE_PAGES - free} before')
        return self

    def __exit__(self, *exc):
        if self.before is not None:
            self._set(self.before)
            self.before = None


def find_program(what, package, *candidates):
    """The first of @candidates, names or paths, that can be run."""
    for candidate in candidates:
        if found := shutil.which(candidate):
            return found
    raise Unavailable(f'{what} is missing (Debian: {package})')


def _die_with_parent():
    """A poller must not outlive who would stop it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A child with a log; ends with close()."""

    def __init__(self, name, argv, directory, env=None):
        self.name = name
        self.log = os.path.join(directory, name + '.log')
        self.paused = False
        self._rest = b''
        with open(self.log, 'w', encoding='utf-8') as log:
            # Not in our session: Ctrl-C is for us, and we end it.
            self._popen = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=log, stderr=log,
                cwd=directory, env={**os.environ, **(env or {})},
                bufsize=0, start_new_session=True,
                preexec_fn=_die_with_parent)
        self._read = open(self.log, 'rb')
        self.pid = self._popen.pid

    def failed(self, why):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            last = [line[:160] for line in f.read().strip().splitlines()[-8:]]
        return Failed('\n    '.join([f'{self.name}: {why}; its last words:',
                                     *last]))

    def check(self):
        """Failed if it has ended, or is about to."""
        try:
            code = self._popen.wait(1)
        except subprocess.TimeoutExpired:
            return
        raise self.failed(f'it has ended ({code})')

    def say(self, line):
        try:
            self._popen.stdin.write(line.encode() + b'\n')
            self._popen.stdin.flush()
        except BrokenPipeError:
            raise self.failed('it has ended') from None

    def wait_for(self, pattern, seconds=START_S):
        """The match of @pattern in what has been printed since the last."""
        until = time.monotonic() + seconds
        while True:
            ended = self._popen.poll() is not None
            self._rest += self._read.read()
            match = re.search(pattern.encode(), self._rest, re.MULTILINE)
            if match:
                self._rest = self._rest[match.end():]
                return match
            if ended:
                raise self.failed(f'it has ended ({self._popen.returncode})')
            if time.monotonic() > until:
                raise self.failed(f'"{pattern}" has not come')
            time.sleep(0.01)

    def thread(self, pattern):
        """Id of the thread whose name matches."""
        for tid in os.listdir(f'/proc/{self.pid}/task'):
            with open(f'/proc/{self.pid}/task/{tid}/comm',
                      encoding='utf-8') as f:
                if re.search(pattern, f.read()):
                    return int(tid)
        raise self.failed(f'it has no thread "{pattern}"')

    def waited_s(self, tid):
        """How long a thread was kept from running so far."""
        with open(f'/proc/{self.pid}/task/{tid}/schedstat',
                  encoding='ascii') as f:
            return int(f.read().split()[1]) / 1e9

    def pause(self):
        self._popen.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self._popen.send_signal(signal.SIGCONT)
        self.paused = False

    def close(self, seconds=5):
        if self._popen.poll() is None:
            if self.paused:
                self.resume()
            self._popen.terminate()
            try:
                self._popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        self._popen.stdin.close()
        self._read.close()


class Prioritized:
    """While entered, threads come first on their cores, where allowed; what
    they start does not.  Thread 0 is the caller."""

    def __init__(self, *tids, priority=POLLER_PRIORITY):
        self.tids, self.priority = tids, priority

    def _set(self, policy, priority):
        for tid in self.tids:
            try:
                os.sched_setscheduler(tid, policy, os.sched_param(priority))
            except PermissionError:
                return

    def __enter__(self):
        self._set(os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, self.priority)
        return self

    def __exit__(self, *exc):
        self._set(os.SCHED_OTHER, 0)
