# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines of demo-netvm: a generator, two firewalls side by side, a router
and a sink, each a guest with the device netvm-shm, and what is done to them.

    generator -> firewall (one of two, by flow) -> router -> sink

All packets are written once, by the generator.  What a machine has received is
read from the statistics that it keeps in the memory they share.

Threads: none of its own.
"""

import contextlib
import re
import time

import rtguest
from rtguest import vus

SIZE_MIB = 64
BUFFERS = 4096
FLOWS = 16
FIRST_PORT = 20000              # of netvm-pktgen's flows
RATE_PPS = 2000
BYTES = 1514
RUN_S = 4
SETTLE_S = 1
EVENTUALLY_S = 30

CHAIN = 'web'
FIREWALLS = ('firewall1', 'firewall2')
SERVICES = {'firewall1': 'firewall', 'firewall2': 'firewall',
            'router': 'router'}
MACHINES = ('generator', *FIREWALLS, 'router', 'sink')

ALLOW = 'allow proto udp\n'
DENY = f'deny proto udp sport {FIRST_PORT}-{FIRST_PORT + FLOWS // 4 - 1}\n'
DENIED_SHARE = 1 / 4
ROUTES = '192.0.2.0/24 via 02:00:00:00:00:02 src 02:00:00:00:00:fe\n'


class Broken(Exception):
    """The chain does not do what it must before anything can be shown."""


def _words(line):
    return dict(re.findall(r'([a-z0-9-]+)=(\S+)', line))


def _last(command, begin):
    lines = [line for line in command.out.splitlines()
             if line.startswith(begin)]
    if not lines:
        raise Broken(f'"{command.text}" has not said "{begin}": '
                     f'{(command.out + command.err).strip()[-300:]}')
    return _words(lines[-1])


class Chain(contextlib.ExitStack):
    """Daemon, machines and their programs; ends with all of them."""

    def __init__(self, directory):
        super().__init__()
        self.daemon = vus.Daemon(directory)
        self.callback(self.daemon.close)
        self.daemon.start()
        self.daemon.call('domain.set', name='nfv', settings={
            'pages': 'ordinary', 'buffers': str(BUFFERS)})
        for name in MACHINES:
            settings = {'type': 'netvm', 'domain': 'nfv',
                        'socket': self.daemon.socket(name)}
            if name in SERVICES:
                settings['service'] = SERVICES[name]
            self.daemon.call('port.add', name=name, settings=settings)
        self.daemon.call('port.add', name=CHAIN, settings={
            'type': 'chain', 'domain': 'nfv', 'services': 'firewall,router',
            'peer': 'sink'})
        self.guests = {name: self._boot(name) for name in MACHINES}
        rtguest.wait_ready(*self.guests.values())
        self.programs = {}
        for name in FIREWALLS:
            self._start_firewall(name)
        self.guests['router'].write_file('/tmp/routes', ROUTES)
        self._start('router', 'netvm-l3fwd --routes /tmp/routes --stats 1')
        self._wait_attached({*FIREWALLS, 'router'})

    def _boot(self, name):
        return self.enter_context(rtguest.Guest(
            name, '-chardev', f'socket,id=c0,path={self.daemon.socket(name)},'
                              'reconnect-ms=100',
            '-device', f'netvm-shm,id=nv0,chardev=c0,size={SIZE_MIB}M',
            netvm=True))

    def _start(self, name, text):
        self.programs[name] = self.guests[name].start('exec ' + text)
        return self.programs[name]

    def _start_firewall(self, name):
        self.guests[name].write_file('/tmp/rules', ALLOW)
        self._start(name, 'netvm-firewall --rules /tmp/rules --stats 1')

    # -- What the daemon sees -------------------------------------------------

    def domain(self):
        domain, = self.daemon.call('domain.list')
        return domain

    def members(self):
        """{machine: its statistics}, of those that are there."""
        return {m['port']: m['stats'] for m in self.domain()['members']
                if m['state'] == 'attached'}

    def _eventually(self, condition, what):
        until = time.monotonic() + EVENTUALLY_S
        while not (found := condition()):
            if time.monotonic() > until:
                raise Broken(f'waited {EVENTUALLY_S} s: {what}')
            time.sleep(0.02)
        return found

    def _wait_attached(self, names):
        self._eventually(lambda: names <= set(self.members()),
                         f"{', '.join(sorted(names))} are not all there")

    def rates(self, seconds):
        """{machine: packets per second that it received (the generator:
        sent)}."""
        before, begin_s = self.members(), time.monotonic()
        time.sleep(seconds)
        after, end_s = self.members(), time.monotonic()
        return {name: (after[name][key] - before[name][key]) /
                (end_s - begin_s)
                for name in after.keys() & before.keys()
                for key in ['tx-pkts' if name == 'generator' else 'rx-pkts']}

    def direct_shares(self):
        """{machine: what it sent past the daemon, of all that it sent}."""
        return {name: stats['direct-pkts'] / stats['tx-pkts']
                for name, stats in self.members().items() if stats['tx-pkts']}

    def chain_number(self):
        """As members know it."""
        out = self.guests['generator'].run('netvm-stat --once').out
        return int(re.search(r'^chain (\d+):', out, re.MULTILINE)[1])

    # -- Traffic --------------------------------------------------------------

    def begin(self):
        sink = self._start('sink', 'netvm-pktgen --sink --buffers')
        self._wait_attached({'sink'})
        self._start('generator', f'netvm-pktgen --chain {self.chain_number()} '
                    f'--rate {RATE_PPS} --flows {FLOWS} --size {BYTES} '
                    '--dst-ip 192.0.2.9 --buffers')
        self._eventually(lambda: _received(sink) > 0, 'nothing arrives')
        time.sleep(SETTLE_S)

    def end(self):
        """What generator and sink have to say."""
        said = {}
        for name in ('generator', 'sink'):
            # What is under way arrives.
            time.sleep(SETTLE_S)
            command = self.programs.pop(name).kill(2)
            command.wait()
            said[name] = _last(command, 'end ')
        return said

    # -- What is done to it ---------------------------------------------------

    def set_rules(self, text):
        for name in FIREWALLS:
            self.guests[name].write_file('/tmp/rules', text)
            self.programs[name].kill(1)

    def denied(self):
        """Packets that the firewalls have dropped since their rules are those;
        they say it once a second."""
        time.sleep(1.2)
        return sum(int(_last(self.programs[name], 'allowed-pkts')
                       ['denied-pkts']) for name in FIREWALLS)

    def kill(self, name):
        """kill -9 of its QEMU; ms until the daemon has cut it off."""
        begin_s = time.monotonic()
        self.guests.pop(name).close()
        self.programs.pop(name)
        self._eventually(lambda: name not in self.members(),
                         f'{name} is still a member')
        return (time.monotonic() - begin_s) * 1e3

    def replace(self, name):
        self.guests[name] = self._boot(name)
        self.guests[name].wait_ready()
        self._start_firewall(name)
        self._wait_attached({name})

    def close_programs(self):
        """All of them, cleanly; then every buffer is the daemon's again."""
        for command in self.programs.values():
            command.kill(15)
        for command in self.programs.values():
            command.wait(check=False)
        self.programs.clear()
        self._eventually(
            lambda: self.domain()['free-buffers'] == self.domain()['buffers'],
            'not every buffer has come back')


def _received(sink):
    found = re.findall(r' received=(\d+)', sink.out)
    return int(found[-1]) if found else 0
