# SPDX-License-Identifier: GPL-2.0-or-later
"""The front ends with which bench-switch loads a back end.

    load      switch-load: rings full, all ports on core FRONT_CPU
    testpmd   DPDK's net_virtio_user, which we did not write: 1024 frames per
              port go round; rates are its own

sample() gives what switch-load prints: rx_pps_sum, class, ping_pong_ns, ...

Threads: none of its own.
"""

import json
import os
import subprocess
import time

import rtguest
from switch_back import BACK_CPU, lcores
from switch_host import (POLLER_PRIORITY, START_S, Failed, Prioritized,
                         Process, Unavailable)

FRONT_CPU = 1
SAMPLE_S = 0.3
LOAD = os.path.join(rtguest.TOP, 'build', 'rtnet', 'tests', 'bench',
                    'switch-load')
CORES = ['--cpu', str(FRONT_CPU), '--back-cpu', str(BACK_CPU)]


def check():
    if not os.access(LOAD, os.X_OK):
        raise Unavailable(f'{os.path.relpath(LOAD)} is missing: run "make"')
    if os.cpu_count() < 2:
        raise Unavailable('two cores are needed, for the back end and for the '
                          'front end')


class Load:
    name = 'load'

    def __init__(self, row, back, directory, seconds=SAMPLE_S):
        argv = [LOAD, *CORES, '--seconds', str(seconds),
                '--ring', str(row.ring), '--bytes', row.bytes,
                '--mode', row.mode, '--flows', str(row.flows),
                '--macs', str(row.macs)]
        argv += ['--packed'] if row.rings == 'packed' else []
        argv += ['--server'] if back.connects else []
        for path in back.sockets:
            argv += ['--socket', path]
        self.process = Process('switch-load', argv, directory)

    def wait_ready(self):
        self.process.wait_for(r'^\{"ready".*\}$')

    def pause(self):
        """It does nothing between samples."""

    resume = pause

    def sample(self, seconds=START_S):
        self.process.say('sample')
        return json.loads(self.process.wait_for(r'^\{.*\}$', seconds)[0])

    def close(self):
        self.process.close()


def _distance():
    done = subprocess.run([LOAD, *CORES, '--distance'], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise Failed(done.stderr.strip())
    return json.loads(done.stdout)


class TestpmdFront:
    name = 'testpmd'

    def __init__(self, row, back, directory):
        self.ports = back.ports
        keys = f',queue_size={row.ring}'
        keys += ',packed_vq=1' if row.rings == 'packed' else ''
        keys += ',server=1' if back.connects else ''
        self.process = Process('testpmd-front', [
            'dpdk-testpmd', *lcores(FRONT_CPU), '-m', '128',
            '--file-prefix', f'front-{back.name}',
            *(f'--vdev=net_virtio_user{i},path={path},'
              f'mac=52:54:00:00:01:{i:02x}{keys}'
              for i, path in enumerate(back.sockets)),
            '--', '--interactive', '--forward-mode=io', '--nb-cores=1',
            f'--rxd={row.ring}', f'--txd={row.ring}', f'--txpkts={row.bytes}',
            '--total-num-mbufs=16384', '--disable-link-check'], directory)

    def wait_ready(self):
        self.process.wait_for('testpmd> ')
        # Its command thread shares the core, and must come in between.
        os.sched_setscheduler(self.process.pid, os.SCHED_FIFO,
                              os.sched_param(POLLER_PRIORITY + 1))
        self.poller_tid = self.process.thread(r'worker-1$')
        self.process.say('start tx_first 32')
        self.process.wait_for('testpmd> ')

    def pause(self):
        self.process.pause()

    def resume(self):
        self.process.resume()

    def _rates(self):
        """Since the last call."""
        self.process.say('show port stats all')
        return [int(self.process.wait_for(r'Rx-pps: +(\d+)')[1])
                for _ in range(self.ports)]

    def sample(self):
        before = _distance()
        with Prioritized(self.poller_tid):
            time.sleep(0.05)
            self._rates()
            time.sleep(SAMPLE_S)
            pps = self._rates()
        after = _distance()
        same = before['class'] == after['class']
        return {
            'class': before['class'] if same else 'mixed',
            'ping_pong_ns': [d['ping_pong_ns'] for d in (before, after)],
            'rx_pps': pps,
            'rx_pps_sum': sum(pps),
        }

    def close(self):
        self.process.close()


FRONTS = {c.name: c for c in (Load, TestpmdFront)}
