# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon with domains, and members that send packets round (netvm-load.c).

One thread of the daemon polls on core BACK_CPU, but only while it has to do
with what is measured.

Threads: none of its own.
"""

import contextlib
import json
import os
import tempfile
import time

import rtguest
from switch_back import BACK_CPU, OURS
from switch_front import FRONT_CPU
from switch_host import Prioritized, Process, Unavailable

LOAD = os.path.join(rtguest.TOP, 'build', 'rtnet', 'tests', 'bench',
                    'netvm-load')
MEMBERS = 4
SAMPLE_S = 0.06
GAP_S = 0.03                    # the kernel bounds SCHED_FIFO


def check():
    for path in (OURS, LOAD):
        if not os.access(path, os.X_OK):
            raise Unavailable(f'{os.path.relpath(path)} is missing: run '
                              '"make"')
    if os.cpu_count() < 2:
        raise Unavailable('two cores are needed')


class Bed(contextlib.ExitStack):
    """A daemon with a domain of MEMBERS ports, @direct or not."""

    def __init__(self, direct):
        super().__init__()
        self.direct = direct
        self.directory = self.enter_context(
            tempfile.TemporaryDirectory(prefix='bench-netvm-', dir='/tmp'))
        self.sockets = [os.path.join(self.directory, f'm{i}.sock')
                        for i in range(MEMBERS)]
        argv = [OURS, '--control', os.path.join(self.directory, 'control'),
                '--cpus', str(BACK_CPU), '--domain',
                f'd buffers=4096 direct={"on" if direct else "off"}']
        for i, path in enumerate(self.sockets):
            argv += ['--port', f'm{i} type=netvm domain=d socket={path}']
        self.daemon = Process('daemon', argv, self.directory)
        self.callback(self.daemon.close)
        self.daemon.wait_for(r'^ready$')
        self.worker = self.daemon.thread(r'^worker-0$')

    def argv(self, members, *options):
        argv = [LOAD, '--cpu', str(FRONT_CPU), '--other-cpu', str(BACK_CPU),
                *options]
        for path in self.sockets[:members]:
            argv += ['--socket', path]
        return argv


class Load:
    """Members of a bed, which stand still between samples."""

    def __init__(self, bed, members, *options):
        self.bed = bed
        self.process = Process('netvm-load', bed.argv(
            members, '--seconds', str(SAMPLE_S), *options), bed.directory)
        self.process.wait_for(r'^\{"ready".*\}$')

    def sample(self):
        """What netvm-load prints of it."""
        daemon = self.bed.daemon
        if self.bed.direct:
            daemon.pause()      # it has nothing to do
        try:
            with Prioritized(self.bed.worker):
                self.process.say('sample')
                time.sleep(SAMPLE_S)
                line = self.process.wait_for(r'^\{.*\}$')[0]
        finally:
            if self.bed.direct:
                daemon.resume()
        time.sleep(GAP_S)
        return json.loads(line)

    def close(self):
        self.process.close()
        # Its members are gone before others come.
        time.sleep(0.3)
