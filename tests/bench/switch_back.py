# SPDX-License-Identifier: GPL-2.0-or-later
"""The back ends that bench-switch compares.

Each joins port 0 with port 1, 2 with 3 and so on, with one thread that polls on
core BACK_CPU:

    ours          every frame of a port goes to the other (peer=)
    ours-switch   a learning switch
    testpmd       DPDK's vhost library, frames are passed on unread (io)
    ovs           Open vSwitch with DPDK, a flow per port that names the other
    ovs-switch    the same as a learning switch (NORMAL)

Threads: none of its own.
"""

import os
import subprocess

import rtguest
from switch_host import Failed, Process, Unavailable, find_program

BACK_CPU = 0
OURS = os.path.join(rtguest.TOP, 'build', 'rtnet', 'contrib',
                    'vhost-user-shmem', 'vhost-user-shmem')
MEMORY_MB = 256                 # of huge pages, for the peers' own buffers


class Back:
    """Listens at, or connects to, the path in @sockets of each port."""

    connects = False            # the front end listens
    name = poller = None

    def __init__(self, ports, directory):
        self.ports = ports
        self.directory = os.path.join(directory, f'{self.name}-{ports}')
        os.mkdir(self.directory)
        self.sockets = [os.path.join(self.directory, f'p{i}.sock')
                        for i in range(ports)]
        self.processes = []
        try:
            self.start()
            self.poller_tid = self.main.thread(self.poller)
        except BaseException:
            self.close()
            raise

    @property
    def main(self):
        return self.processes[-1]

    def run(self, name, argv, env=None):
        self.processes.append(Process(name, argv, self.directory, env))
        return self.main

    def close(self):
        for process in reversed(self.processes):
            process.close()


class Ours(Back):
    name = 'ours'
    poller = r'^worker-0$'
    peers = True

    @staticmethod
    def check():
        if not os.access(OURS, os.X_OK):
            raise Unavailable(f'{os.path.relpath(OURS)} is missing: run '
                              '"make"')

    def argv(self):
        argv = [OURS, '--control', os.path.join(self.directory, 'control'),
                '--workers', '1', '--cpus', str(BACK_CPU)]
        for i, path in enumerate(self.sockets):
            peer = f' peer=p{i ^ 1}' if self.peers else ''
            argv += ['--port', f'p{i} type=vhost-user socket={path}{peer}']
        return argv

    def start(self):
        self.run(self.name, self.argv()).wait_for(r'^ready$')


class OursSwitch(Ours):
    name = 'ours-switch'
    peers = False


class Testpmd(Back):
    name = 'testpmd'
    poller = r'worker-1$'

    @staticmethod
    def check():
        find_program('testpmd of DPDK', 'dpdk-dev', 'dpdk-testpmd')

    def start(self):
        process = self.run(self.name, [
            'dpdk-testpmd', *lcores(BACK_CPU), '-m', str(MEMORY_MB),
            '--file-prefix', self.name,
            *(f'--vdev=net_vhost{i},iface={path},queues=1'
              for i, path in enumerate(self.sockets)),
            '--', '--interactive', '--forward-mode=io', '--nb-cores=1',
            '--total-num-mbufs=32768', '--disable-link-check'])
        process.wait_for('testpmd> ')
        process.say('start')
        process.wait_for('testpmd> ')


class Ovs(Back):
    name = 'ovs'
    poller = r'^pmd-'
    connects = True
    learns = False

    @staticmethod
    def check():
        list(Ovs.programs())

    @staticmethod
    def programs():
        package = 'openvswitch-switch-dpdk'
        yield find_program(
            'Open vSwitch with DPDK', package,
            '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk',
            'ovs-vswitchd-dpdk')
        for name in ('ovsdb-server', 'ovsdb-tool', 'ovs-vsctl', 'ovs-ofctl'):
            yield find_program(name, package, name)
        yield find_program('unshare', 'util-linux', 'unshare')

    def tool(self, *argv):
        done = subprocess.run(argv, env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        if done.returncode:
            raise Failed(f"{' '.join(argv)}: {done.stdout.strip()}")
        return done.stdout

    def start(self):
        here = self.directory
        self.env = {**os.environ, **dict.fromkeys(
            ('OVS_RUNDIR', 'OVS_LOGDIR', 'OVS_DBDIR', 'OVS_SYSCONFDIR'), here)}
        vswitchd, server, tool, vsctl, ofctl, unshare = self.programs()
        db, socket = os.path.join(here, 'conf.db'), f'unix:{here}/db'
        vsctl = (vsctl, f'--db={socket}', '--timeout=40')

        self.tool(tool, 'create', db)
        self.run('ovsdb-server', [
            server, db, f'--remote=p{socket}', f'--unixctl={here}/ovsdb.ctl',
        ], self.env)
        self.tool(*vsctl, '--no-wait', '--retry', 'init')
        self.tool(*vsctl, '--no-wait', 'set', 'Open_vSwitch', '.', *(
            f'other_config:{key}="{value}"' for key, value in {
                'dpdk-init': 'true',
                'dpdk-socket-mem': MEMORY_MB,
                'dpdk-lcore-mask': hex(1 << BACK_CPU),
                'pmd-cpu-mask': hex(1 << BACK_CPU),
                'dpdk-extra': '--no-pci --in-memory --single-file-segments',
            }.items()))
        # It makes interfaces of its bridges' names: not in the host's network.
        self.run(self.name, [unshare, '--net', vswitchd, socket,
                             f'--unixctl={here}/vswitchd'], self.env)
        self.tool(*vsctl, 'add-br', 'br0', '--', 'set', 'bridge', 'br0',
                  'datapath_type=netdev')
        for i, path in enumerate(self.sockets):
            self.tool(*vsctl, 'add-port', 'br0', f'p{i}', '--', 'set',
                      'interface', f'p{i}', 'type=dpdkvhostuserclient',
                      f'options:vhost-server-path={path}',
                      f'ofport_request={i + 1}')
        if not self.learns:
            bridge = f'unix:{here}/br0.mgmt'
            self.tool(ofctl, 'del-flows', bridge)
            for i in range(self.ports):
                self.tool(ofctl, 'add-flow', bridge,
                          f'in_port={i + 1},actions=output:{(i ^ 1) + 1}')


class OvsSwitch(Ovs):
    name = 'ovs-switch'
    learns = True


def lcores(cpu):
    """DPDK: the command thread and one that polls, both on @cpu."""
    return ['--lcores', f'0@{cpu},1@{cpu}', '--main-lcore', '0', '--no-pci',
            '--in-memory', '--single-file-segments', '--no-telemetry']


BACKS = {c.name: c for c in (Ours, OursSwitch, Testpmd, Ovs, OvsSwitch)}
