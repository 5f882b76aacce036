# SPDX-License-Identifier: GPL-2.0-or-later
"""vhost-user-shmem with rates, deadlines and tenants, and edf-load around it.

A Bed is a daemon whose ports are sources and one sink, the egress that all of
them share, and a front end for each (edf-load.c).  Both move only while a
sample is taken.  A DummyBed is the same in one process (host-edf-dummy.c).

Threads: none of its own.
"""

import contextlib
import dataclasses
import json
import math
import os
import socket
import subprocess
import time

import rtguest
import switch_front
from switch_back import BACK_CPU, Ours
from switch_host import START_S, Failed, Prioritized, Process, Unavailable

PROGRAMS = os.path.join(rtguest.TOP, 'build', 'rtnet', 'tests', 'bench')
LOAD = os.path.join(PROGRAMS, 'edf-load')
DUMMY = os.path.join(PROGRAMS, 'host-edf-dummy')
SINK_MAC = '52:54:00:ed:ff:ff'
OVERHEAD_BYTES = 24             # preamble, FCS and gap: a frame on the link
WARM_UP_S = 0.05                # as edf-load.c has it
MANY = 64                       # all sources there can be
DRAIN_S = 0.3                   # most of what comes after a sample
SILENCE_MOST_S = 0.05
AWAY_MOST_US = 1000
TRIES = 3
GAP_S = 0.8                     # the kernel bounds SCHED_FIFO to less than 1:
REST_S = 0.2                    # after that others want their share
GAPS = 6


@dataclasses.dataclass(frozen=True)
class Rt:
    """A real-time source: @burst frames of @bytes every @interval_us, all of
    which have @deadline_us.

    The period that is declared, for one frame, is 5 % shorter: clocks are not
    exact, and what comes sooner than declared is postponed.
    """
    name: str
    bytes: int
    interval_us: int
    deadline_us: int
    burst: int = 1
    declared: bool = True       # only policy=edf takes contracts

    @property
    def settings(self):
        contract = {
            'period-us': self.interval_us * 95 // 100 // self.burst,
            'max-frame-bytes': self.bytes,
        } if self.declared else {}
        return {'rtvnic': 'on', 'deadline-us': self.deadline_us, **contract}


@dataclasses.dataclass(frozen=True)
class Bulk:
    """A bulk source; @bps 0: as fast as it goes."""
    name: str
    bytes: int = 1514
    bps: int = 0
    settings: dict = dataclasses.field(default_factory=dict, hash=False)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sink's settings, sources, and {tenant: settings}."""
    sink: dict
    rt: tuple = ()
    bulk: tuple = ()
    tenants: dict = dataclasses.field(default_factory=dict, hash=False)

    @property
    def ports(self):
        """{name: settings}, the sink last."""
        return {**{source.name: source.settings
                   for source in (*self.rt, *self.bulk)}, 'sink': self.sink}

    def text(self, kind, sockets=None):
        """A configuration file, with ports of type @kind."""
        lines = ['[daemon]', 'workers=1', f'cpus={BACK_CPU}']
        for name, settings in self.tenants.items():
            lines += [f'[tenant {name}]', *_pairs(settings)]
        for number, (name, settings) in enumerate(self.ports.items()):
            lines += [f'[port {name}]', f'type={kind}', *_pairs(settings)]
            lines += [f'socket={sockets[number]}'] if sockets else []
        return '\n'.join([*lines, '[fdb]', f'{SINK_MAC}=sink', ''])


def _pairs(settings):
    return [f'{key}={value}' for key, value in settings.items()]


class Daemon(Ours):
    """The daemon, as @plan has it."""

    def __init__(self, name, plan, directory):
        self.name, self.plan = name, plan
        super().__init__(len(plan.ports), directory)

    def argv(self):
        path = os.path.join(self.directory, 'config')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(self.plan.text('vhost-user', self.sockets))
        self.control = os.path.join(self.directory, 'control')
        return [super().argv()[0], '--config', path,
                '--control', self.control]

    def call(self, method, **params):
        """A method of its control socket; the result."""
        request = {'jsonrpc': '2.0', 'id': 1, 'method': method,
                   'params': params}
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(START_S)
            s.connect(self.control)
            s.sendall(json.dumps(request).encode() + b'\n')
            with s.makefile('rb') as lines:
                answer = json.loads(lines.readline() or b'{}')
        if 'result' not in answer:
            raise self.main.failed(f'{method}: {answer.get("error")}')
        return answer['result']


def _ask(process, line, seconds):
    process.say(line)
    time.sleep(seconds)                 # to look would disturb it
    return json.loads(process.wait_for(r'^\{.*\}$')[0])


class Front:
    """All of a Daemon's ports."""

    def __init__(self, daemon, trailed=False):
        plan = daemon.plan
        path = dict(zip(plan.ports, daemon.sockets))
        argv = [LOAD, *switch_front.CORES, '--sink', path['sink']]
        argv += ['--trailed'] if trailed else []
        for r in plan.rt:
            argv += ['--rt', f'{r.name} {path[r.name]} {r.bytes} '
                             f'{r.interval_us} {r.burst} {r.deadline_us}']
        for b in plan.bulk:
            argv += ['--bulk', f'{b.name} {path[b.name]} {b.bytes} {b.bps}']
        self.process = Process(f'edf-load-{daemon.name}', argv,
                               daemon.directory)

    def wait_ready(self):
        self.process.wait_for(r'^\{"ready".*\}$')

    def pause(self):
        """It does nothing between samples."""

    resume = pause

    def sample(self, seconds=0.06, rt=MANY, bulk=MANY):
        return _ask(self.process, f'sample {rt} {bulk} {seconds}',
                    WARM_UP_S + seconds + DRAIN_S)

    def first(self, times):
        return _ask(self.process, f'first {times}',
                    times * 2 * SILENCE_MOST_S)

    def close(self):
        self.process.close()


class Sampler:
    """Repeats samples in which others had the core of the load, so that rings
    ran full or empty, or that of the worker.

    take() takes one; self.process has the worker, self.worker_tid.
    """

    disturbed = 0               # samples of all, so far

    def sample(self, seconds=0.8, rt=MANY, bulk=MANY):
        """What the load says, with the first @rt and @bulk sources, and
        "deadlines", by port, as the switch counts them."""
        for _ in range(TRIES):
            time.sleep(REST_S)
            waited_s = self.process.waited_s(self.worker_tid)
            sample = self.take(seconds, rt, bulk)
            waited_s = self.process.waited_s(self.worker_tid) - waited_s
            if max(waited_s * 1e6, sample['longest_away_us']) <= AWAY_MOST_US:
                break
            Sampler.disturbed += 1
        return sample


class Bed(Sampler):
    """A Daemon and its Front."""

    def __init__(self, name, plan, directory):
        with contextlib.ExitStack() as stack:
            self.back = Daemon(name, plan, directory)
            stack.callback(self.back.close)
            self.front = Front(self.back)
            stack.callback(self.front.close)
            self.front.wait_ready()
            self.process, self.worker_tid = self.back.main, self.back.poller_tid
            self.process.pause()
            self._stack = stack.pop_all()

    def take(self, seconds, rt, bulk):
        daemon = self.back
        self.process.resume()
        daemon.call('stats.reset')
        with Prioritized(self.worker_tid):
            sample = self.front.sample(seconds, rt, bulk)
        sample['deadlines'] = {
            shown['name']: shown for shown in daemon.call('qos.deadlines')}
        self.process.pause()
        return sample

    def bounds_us(self):
        """{source: longest time that it was promised to wait at the sink}"""
        self.process.resume()
        links = self.back.call('qos.links')['links']
        self.process.pause()
        return {contract['port']: contract['delay-bound-ns'] / 1e3
                for link in links if link['name'] == 'sink'
                for contract in link['contracts']}

    def close(self):
        # The front end ends by talking to the daemon.
        self.process.resume()
        self._stack.close()


class DummyBed(Sampler):
    """As a Bed, with dummy ports."""

    def __init__(self, name, plan, directory):
        config = os.path.join(directory, f'{name}.config')
        with open(config, 'w', encoding='utf-8') as f:
            f.write(plan.text('dummy'))
        argv = [DUMMY, '--cpu', str(switch_front.FRONT_CPU),
                '--config', config]
        for r in plan.rt:
            argv += ['--rt', f'{r.name} {r.bytes} {r.interval_us} {r.burst} '
                             f'{r.deadline_us}']
        for b in plan.bulk:
            argv += ['--bulk', f'{b.name} {b.bytes}']
        self.process = Process(name, argv, directory)
        try:
            self.process.wait_for(r'^\{"ready".*\}$')
            self.worker_tid = self.process.thread(r'^worker-0$')
        except Failed:
            self.process.close()
            raise

    def take(self, seconds, rt, bulk):
        with Prioritized(self.worker_tid):
            return _ask(self.process, f'sample {rt} {bulk} {seconds}',
                        WARM_UP_S + seconds + DRAIN_S)

    def close(self):
        self.process.close()


def check():
    for program in (LOAD, DUMMY):
        if not os.access(program, os.X_OK):
            raise Unavailable(f'{os.path.relpath(program)} is missing: run '
                              '"make"')
    Ours.check()
    if os.cpu_count() < 2:
        raise Unavailable('two cores are needed, for the daemon and for its '
                          'front ends')


def longest_gap_us():
    """How long the host keeps a thread that spins from the worker's core."""
    longest = 0
    for _ in range(GAPS):
        done = subprocess.run(
            [LOAD, *switch_front.CORES, '--gap', str(GAP_S)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise Failed(done.stderr.strip())
        longest = max(longest, json.loads(done.stdout)['longest_gap_us'])
        time.sleep(1 - GAP_S)
    return math.ceil(longest)
