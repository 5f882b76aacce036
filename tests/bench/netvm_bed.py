# SPDX-License-Identifier: GPL-2.0-or-later
"""What bench-netvm measures: members of a domain that send packets round
(netvm-load.c), and DPDK's rte_ring beside them (rte-ring-load.c).

One thread of the daemon polls on core BACK_CPU, but only while what is measured
goes through it.

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
from switch_contender import DISTURBED_S
from switch_host import Prioritized, Process, Unavailable
from switch_report import DISTURBED

BUILT = os.path.join(rtguest.TOP, 'build', 'rtnet', 'tests', 'bench')
LOAD = os.path.join(BUILT, 'netvm-load')
RTE_RING = os.path.join(BUILT, 'rte-ring-load')
CORES = ('--cpu', str(FRONT_CPU), '--other-cpu', str(BACK_CPU))
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
        argv = [LOAD, *CORES, *options]
        for path in self.sockets[:members]:
            argv += ['--socket', path]
        return argv


def _sample(process):
    """What a load prints of it."""
    process.say('sample')
    time.sleep(SAMPLE_S)                # to look would disturb it
    return json.loads(process.wait_for(r'^\{.*\}$')[0])


class Load:
    """Members of a bed; they and the daemon stand still between samples."""

    def __init__(self, bed, members, *options):
        self.bed = bed
        bed.daemon.resume()
        self.process = Process('netvm-load', bed.argv(
            members, '--seconds', str(SAMPLE_S), *options), bed.directory)
        self.process.wait_for(r'^\{"ready".*\}$')
        bed.daemon.pause()

    def sample(self):
        daemon, worker = self.bed.daemon, self.bed.worker
        if not self.bed.direct:
            daemon.resume()
        try:
            with Prioritized(worker):
                waited_s = daemon.waited_s(worker)
                sample = _sample(self.process)
                waited_s = daemon.waited_s(worker) - waited_s
        finally:
            daemon.pause()
        if sample['direct_share'] < 0.99 if self.bed.direct else \
                sample['direct_share'] > 0:
            raise self.process.failed('packets take another way')
        if not self.bed.direct and waited_s > DISTURBED_S:
            sample['class'] = DISTURBED
        time.sleep(GAP_S)
        return sample

    def close(self):
        self.bed.daemon.resume()
        self.process.close()
        # Its members are gone before others come.
        time.sleep(0.3)


class RteRing:
    """Two threads that send each other packets through rte_ring."""

    def __init__(self, directory, name, *options):
        self.process = Process(name, [
            RTE_RING, *CORES, '--seconds', str(SAMPLE_S), *options], directory)
        self.process.wait_for(r'^\{"ready".*\}$')

    def sample(self):
        sample = _sample(self.process)
        time.sleep(GAP_S)
        return sample

    def close(self):
        self.process.close()
