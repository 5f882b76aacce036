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
import re
import subprocess
import time

import rtguest
from switch_back import BACK_CPU, lcores
from switch_host import (COMMAND_PRIORITY, START_S, Failed, Prioritized,
                         Process, Unavailable)

FRONT_CPU = 1
SAMPLE_S = 0.06
WARM_UP_S = 0.03                # a little more than switch-load takes
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
        self.seconds = seconds + WARM_UP_S
        argv = [LOAD, *CORES, '--seconds', str(seconds),
                '--ring', str(row.ring), '--bytes', row.bytes,
                '--mode', row.mode, '--flows', str(row.flows),
                '--macs', str(row.macs)]
        argv += ['--packed'] if row.rings == 'packed' else []
        argv += ['--server'] if back.connects else []
        for path in back.sockets:
            argv += ['--socket', path]
        self.process = Process(f'switch-load-{back.name}', argv, directory)

    def wait_ready(self):
        self.process.wait_for(r'^\{"ready".*\}$')

    def pause(self):
        """It does nothing between samples."""

    resume = pause

    def sample(self, seconds=START_S):
        self.process.say('sample')
        time.sleep(self.seconds)        # to look would disturb it
        return json.loads(self.process.wait_for(r'^\{.*\}$', seconds)[0])

    def close(self):
        self.process.close()


def _cores():
    done = subprocess.run([LOAD, *CORES, '--cores'], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise Failed(done.stderr.strip())
    return json.loads(done.stdout)


class TestpmdFront:
    name = 'testpmd'

    def __init__(self, row, back, directory):
        keys = f',queue_size={row.ring}'
        keys += ',packed_vq=1' if row.rings == 'packed' else ''
        keys += ',server=1' if back.connects else ''
        # Line by line, though it is no terminal.
        self.process = Process(f'testpmd-front-{back.name}', [
            'stdbuf', '-oL', 'dpdk-testpmd', *lcores(FRONT_CPU), '-m', '128',
            '--file-prefix', f'front-{back.name}',
            *(f'--vdev=net_virtio_user{i},path={path},'
              f'mac=52:54:00:00:01:{i:02x}{keys}'
              for i, path in enumerate(back.sockets)),
            '--', '--interactive', '--forward-mode=io', '--nb-cores=1',
            f'--rxd={row.ring}', f'--txd={row.ring}', f'--txpkts={row.bytes}',
            '--total-num-mbufs=16384', '--disable-link-check'], directory)

    def wait_ready(self):
        self.process.wait_for('testpmd> ')
        self.poller_tid = self.process.thread(r'worker-1$')
        # What is lost is not sent again: first a few, until they go round.
        until = time.monotonic() + START_S
        while True:
            self._command('start tx_first 1')
            self._rates()
            time.sleep(0.2)
            going = all(self._rates())
            self._command('stop')
            if going:
                break
            if time.monotonic() > until:
                raise self.process.failed('no frames go round')
        self._command('start tx_first 32')

    def _command(self, line):
        """What it prints, up to the next prompt."""
        self.process.say(line)
        return self.process.wait_for(r'(?s)(.*?)testpmd> ')[1].decode()

    def pause(self):
        self.process.pause()

    def resume(self):
        self.process.resume()

    def _rates(self):
        """Since the last call."""
        text = self._command('show port stats all')
        return [int(pps) for pps in re.findall(r'Rx-pps: +(\d+)', text)]

    def sample(self):
        before = _cores()
        # Its command thread shares the core.
        with Prioritized(self.process.pid, priority=COMMAND_PRIORITY), \
                Prioritized(self.poller_tid):
            time.sleep(WARM_UP_S)
            self._rates()
            time.sleep(SAMPLE_S)
            pps = self._rates()
        after = _cores()
        same = before['class'] == after['class']
        return {
            'class': before['class'] if same else 'mixed',
            **{key: [before[key][0], after[key][0]]
               for key in ('ping_pong_ns', 'front_work_ns', 'back_work_ns')},
            'rx_pps': pps,
            'rx_pps_sum': sum(pps),
        }

    def close(self):
        self.process.close()


FRONTS = {c.name: c for c in (Load, TestpmdFront)}
