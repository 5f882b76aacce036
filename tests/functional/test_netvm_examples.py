#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""libnetvm's programs as members of a domain: processes of the host, without
guests.

Threads: none.
"""

import ipaddress
import json
import os
import re
import signal
import struct
import subprocess
import unittest

import rtguest
from rtguest import config, traffic, vus

PROGRAMS = os.path.join(config.BUILD, 'rtnet', 'contrib', 'libnetvm',
                        'examples')
MANUALS = os.path.join(config.TOP, 'contrib', 'libnetvm', 'man')
TIMEOUT_S = 60
PACKETS = 20000
MAC_A, MAC_B = '02:00:00:00:00:0a', '02:00:00:00:00:0b'
NEXT_MAC, OWN_MAC = '02:00:00:00:01:01', '02:00:00:00:01:02'


class Program:
    """One of the programs; what it prints goes to a file."""

    def __init__(self, directory, name, where, *arguments, prefix=()):
        self.name = name
        self._path = os.path.join(directory, f'{name}-{id(self)}.out')
        argv = [os.path.join(PROGRAMS, f'netvm-{name}'), '--at',
                f'unix:{where}', *arguments]
        with open(self._path, 'w', encoding='utf-8') as out:
            self._process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'KILL', *prefix, *argv],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    @property
    def out(self):
        with open(self._path, encoding='utf-8') as f:
            return f.read()

    def wait_output(self, text, times=1):
        try:
            traffic.eventually(lambda: self.out.count(text) >= times,
                               f'{self.name} prints "{text}"', TIMEOUT_S)
        except AssertionError as e:
            raise AssertionError(f'{e}; but:\n{self.out}') from e
        return self

    @property
    def alive(self):
        return self._process.poll() is None

    def signal(self, number):
        self._process.send_signal(number)

    def wait(self, status=0):
        """Until it ends by itself; what it has printed."""
        found = self._process.wait(TIMEOUT_S)
        if found != status:
            raise AssertionError(f'{self.name} ended with {found}:\n{self.out}')
        return self.out

    def end(self):
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        if self.alive:
            self._process.kill()
            self._process.wait()


def words(line):
    """key=value words, numbers as such."""
    return {k: int(v) if v.isdigit() else v
            for k, v in re.findall(r'(\S+?)=(\S+)', line)}


def last(out):
    """The final line of netvm-pktgen."""
    line = out.strip().splitlines()[-1]
    assert line.startswith('end '), out
    return words(line)


# -- Frames -------------------------------------------------------------------

def mac(text):
    return bytes.fromhex(text.replace(':', ''))


def checksum(data):
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def udp(dest, dport=53, ttl=64, macs=(MAC_B, MAC_A)):
    """A frame; IPv4 or IPv6, as @dest is."""
    dest = ipaddress.ip_address(dest)
    payload = struct.pack('>HHHH', 1000, dport, 8 + 32, 0) + bytes(32)
    head = b''.join(map(mac, macs))
    if dest.version == 6:
        return (head + b'\x86\xdd' +
                struct.pack('>IHBB', 6 << 28, len(payload), 17, ttl) +
                ipaddress.ip_address('2001:db8::1').packed + dest.packed +
                payload).hex()
    ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 0, 0, ttl, 17,
                     0, ipaddress.ip_address('192.0.2.1').packed, dest.packed)
    ip = ip[:10] + struct.pack('>H', checksum(ip)) + ip[12:]
    return (head + b'\x08\x00' + ip + payload).hex()


# -- Tests --------------------------------------------------------------------

class ExamplesTest(vus.DaemonTest):
    def setUp(self):
        self.vus = self.daemon()
        self.vus.start()
        self.domain()

    def domain(self, **settings):
        self.vus.call('domain.set', name='d',
                      settings={'pages': 'ordinary', 'buffers': '2048',
                                **settings})

    def port(self, name, **settings):
        self.vus.call('port.add', name=name, settings=settings)

    def member(self, name, **settings):
        self.port(name, type='netvm', domain='d', socket=self.vus.socket(name),
                  **settings)

    def program(self, name, member, *arguments, prefix=()):
        program = Program(self.vus.directory, name, self.vus.socket(member),
                          *arguments, prefix=prefix)
        self.addCleanup(program.kill)
        return program

    def ready(self, name, member, *arguments):
        return self.program(name, member, *arguments).wait_output('member ')

    def write(self, name, *lines):
        path = os.path.join(self.vus.directory, name)
        with open(path, 'w', encoding='utf-8') as f:
            f.writelines(f'{line}\n' for line in lines)
        return path

    def shown(self):
        domain, = self.vus.call('domain.list', owned=True)
        return domain

    def stats(self, member):
        return next(m['stats'] for m in self.shown()['members']
                    if m.get('port') == member)

    def wait_all_back(self):
        """Nobody is there any more, and every buffer is the daemon's."""
        traffic.eventually(
            lambda: not self.shown()['members'] and
            self.shown()['free-buffers'] == self.shown()['buffers'],
            'all buffers are back')

    def passes(self, frame):
        """What comes out of a chain when @frame goes in, or None."""
        self.vus.call('dummy.inject', name='in', frame=frame)
        return self.read()

    def read(self):
        return (self.vus.call('dummy.read', name='out') or {}).get('frame')

    def chain_of_dummies(self, services):
        self.port('out', type='dummy')
        self.port('sfc', type='chain', domain='d', services=services,
                  peer='out')
        self.port('in', type='dummy', peer='sfc')

    def expect(self, frame, result):
        self.vus.call('dummy.inject', name='in', frame=frame)
        got = traffic.eventually(self.read, 'a frame comes out')
        self.assertEqual(got, result)

    def expect_dropped(self, program, frame, passing, counter):
        """@frame does not come out; @passing behind it does, and @counter has
        one more."""
        before = self.counted(program, counter)
        self.vus.call('dummy.inject', name='in', frame=frame)
        self.expect(*passing)
        self.assertEqual(self.counted(program, counter), before + 1)

    def counted(self, program, counter):
        times = program.out.count('nowhere-pkts=')
        program.signal(signal.SIGUSR1)
        program.wait_output('nowhere-pkts=', times + 1)
        return traffic.eventually(
            lambda: [words(line) for line in program.out.splitlines()
                     if f'{counter}=' in line],
            counter)[-1][counter]


class Chain(ExamplesTest):
    """gen -> l2fwd -> firewall -> l3fwd -> sink."""

    SERVICES = ('l2', 'fw', 'l3')

    def build(self):
        self.rules = self.write('rules', 'count proto udp dport 9',
                                'allow proto udp to 198.51.100.0/24')
        self.routes = self.write('routes', f'0.0.0.0/0 via {NEXT_MAC}')
        for service in self.SERVICES:
            self.member(service, service=service)
        self.member('sink')
        self.port('sfc', type='chain', domain='d', peer='sink',
                  services=','.join(self.SERVICES))
        self.member('gen', peer='sfc')
        return (self.ready('l2fwd', 'l2', '--swap'),
                self.ready('firewall', 'fw', '--rules', self.rules),
                self.ready('l3fwd', 'l3', '--routes', self.routes))

    def generate(self, *arguments):
        return self.program('pktgen', 'gen', '--dst-ip', '198.51.100.7',
                            '--buffers', *arguments)

    def run_all(self):
        functions = self.build()
        sink = self.ready('pktgen', 'sink', '--sink', '--buffers', '--count',
                          f'{PACKETS}')
        sent = last(self.generate('--count', f'{PACKETS}', '--rate', '5000',
                                  '--flows', '7').wait())
        got = last(sink.wait())
        print('#', got)
        self.assertEqual(sent['sent'], PACKETS)
        self.assertEqual(
            (got['received'], got['lost'], got['duplicates'], got['flows']),
            (PACKETS, 0, 0, 7))
        self.assertGreater(got['latency-p50-ns'], 0)
        self.assertGreaterEqual(got['latency-max-ns'], got['latency-p99-ns'])
        # In the very buffers, and in their order.
        self.assertEqual(got['buffers'], sent['buffers'])
        self.assertEqual(got['buffers-mark'], sent['buffers-mark'])
        self.assertEqual(got['first-buffers'], sent['first-buffers'])
        for name in self.SERVICES:
            self.assertEqual(self.stats(name)['given-copied-pkts'], 0)
        self.assertEqual(self.counted(functions[1], 'allowed-pkts'), PACKETS)
        self.assertIn(f'rule=1 pkts={PACKETS} ', functions[1].out)
        return functions

    def test_direct(self):
        functions = self.run_all()
        self.assertEqual(self.stats('l2')['direct-pkts'], PACKETS)
        for function in functions:
            function.end()
        self.wait_all_back()

    def test_through_the_daemon(self):
        self.vus.call('domain.remove', name='d')
        self.domain(direct='off')
        functions = self.run_all()
        self.assertEqual(self.stats('l2')['direct-pkts'], 0)
        for function in functions:
            function.end()
        self.wait_all_back()

    def test_entered_by_number(self):
        """A member may send into a chain itself."""
        functions = self.build()
        sink = self.ready('pktgen', 'sink', '--sink', '--count', '100')
        stat = json.loads(self.program('stat', 'gen', '--once',
                                       '--json').wait().splitlines()[-1])
        chain, = stat['chains']
        self.assertEqual(chain['services'], list(self.SERVICES))
        self.vus.call('port.set', name='gen', settings={'peer': None})
        self.generate('--count', '100', '--chain',
                      str(chain['number'])).wait()
        self.assertEqual(last(sink.wait())['lost'], 0)
        self.assertEqual(self.counted(functions[0], 'rx-pkts'), 100)

    def test_killed(self):
        """The firewall dies; without it in the chain the sink goes on."""
        functions = self.build()
        sink = self.ready('pktgen', 'sink', '--sink')
        gen = self.generate('--rate', '5000')
        self.wait_received(sink, 1000)
        functions[1].kill()
        traffic.eventually(
            lambda: 'fw' not in [m.get('port')
                                 for m in self.shown()['members']],
            'the daemon has seen that')
        self.wait_silent(sink)
        self.vus.set('sfc', services='l2,l3')
        self.wait_received(sink, self.received(sink) + 1000)
        for program in (gen, sink, functions[0], functions[2]):
            program.end()
        self.wait_all_back()

    def received(self, sink):
        return words(sink.out.strip().splitlines()[-1]).get('received', 0)

    def wait_received(self, sink, n):
        traffic.eventually(lambda: self.received(sink) >= n,
                           f'the sink has {n} packets')

    def wait_silent(self, sink):
        """A hop that nobody does lets nothing pass."""
        def silent():
            return 'received-pps=0 ' in sink.out.splitlines()[-1]
        traffic.eventually(silent, 'nothing comes any more')


class Firewall(ExamplesTest):
    def test_reload(self):
        rules = self.write('rules', 'allow proto udp dport 53',
                           'default deny')
        self.member('fw', service='fw')
        self.chain_of_dummies('fw')
        fw = self.ready('firewall', 'fw', '--rules', rules)
        dns, web = udp('192.0.2.2'), udp('192.0.2.2', dport=80)
        traffic.eventually(lambda: self.passes(dns), 'the chain stands')
        while self.read():
            pass
        self.expect_dropped(fw, web, (dns, dns), 'denied-pkts')

        # Nothing of a file with an error is used.
        self.write('rules', 'allow proto udp dport 80', '', 'allow prot udp')
        fw.signal(signal.SIGHUP)
        fw.wait_output('stay as they were')
        self.assertIn(f'{rules}:3: "prot": say proto', fw.out)
        self.expect_dropped(fw, web, (dns, dns), 'denied-pkts')

        self.write('rules', 'deny proto udp dport 53', 'default allow')
        fw.signal(signal.SIGHUP)
        fw.wait_output('1 rules')
        self.expect_dropped(fw, dns, (web, web), 'denied-pkts')

        # A header that is cut is dropped by any rules.
        self.expect_dropped(fw, web[:2 * 30], (web, web), 'cut-pkts')
        fw.end()
        self.wait_all_back()

    def test_bad_file(self):
        self.member('fw')
        rules = self.write('rules', 'allow from 192.0.2.1/24')
        out = self.program('firewall', 'fw', '--rules', rules).wait(1)
        self.assertIn(f'{rules}:1: from 192.0.2.1/24: say', out)
        out = self.program('firewall', 'fw').wait(2)
        self.assertIn('--rules FILE is required', out)


class Router(ExamplesTest):
    def test_routes(self):
        routes = self.write(
            'routes', '# to the world',
            f'198.51.100.0/24 via {NEXT_MAC} src {OWN_MAC}',
            f'2001:db8:1::/48 via {NEXT_MAC} src {OWN_MAC}')
        self.member('l3', service='l3')
        self.chain_of_dummies('l3')
        l3 = self.ready('l3fwd', 'l3', '--routes', routes)
        v4, v6 = '198.51.100.9', '2001:db8:1::9'
        macs = (NEXT_MAC, OWN_MAC)
        good = (udp(v4), udp(v4, ttl=63, macs=macs))
        traffic.eventually(lambda: self.passes(udp(v4)), 'the chain stands')
        while self.read():
            pass
        self.expect(*good)
        self.expect(udp(v6), udp(v6, ttl=63, macs=macs))
        self.expect_dropped(l3, udp(v4, ttl=1), good, 'ttl')
        self.expect_dropped(l3, udp(v6, ttl=1), good, 'ttl')
        self.expect_dropped(l3, udp('203.0.113.1'), good, 'no-route')
        wrong = udp(v4)[:2 * 24] + '0000' + udp(v4)[2 * 26:]
        self.expect_dropped(l3, wrong, good, 'checksum')
        arp = '02' * 12 + '0806' + '00' * 46
        self.expect_dropped(l3, arp, good, 'not-ip')

        self.write('routes', f'203.0.113.0/24 via {NEXT_MAC}', '10.0.0.0/8')
        l3.signal(signal.SIGHUP)
        l3.wait_output('stay as they were')
        self.assertIn(f'{routes}:2: "via" and a MAC address', l3.out)
        self.expect(*good)
        self.write('routes', f'203.0.113.0/24 via {NEXT_MAC}')
        l3.signal(signal.SIGHUP)
        l3.wait_output('1 routes')
        self.expect_dropped(l3, udp(v4), (
            udp('203.0.113.1'),
            udp('203.0.113.1', ttl=63, macs=(NEXT_MAC, MAC_A))), 'no-route')
        l3.end()
        self.wait_all_back()

    def test_to_members(self):
        """A route may lead to a member, which comes later, or anew."""
        for name in ('gen', 'l3', 'other', 'sink'):
            self.member(name)
        routes = self.write(
            'routes', f'198.51.100.0/24 via {NEXT_MAC} member sink')
        l3 = self.ready('l3fwd', 'l3', '--routes', routes)
        arguments = ('--to', 'l3', '--dst-ip', '198.51.100.7', '--count', '9')
        self.program('pktgen', 'gen', *arguments).wait()
        traffic.eventually(
            lambda: self.counted(l3, 'nowhere-pkts') == 9,
            'nobody is there')
        # Another one has the number that the sink had before.
        for others in ((), ('other',)):
            held = [self.ready('pktgen', o, '--sink') for o in others]
            sink = self.ready('pktgen', 'sink', '--sink', '--count', '9')
            traffic.eventually(lambda: self.stats('sink'), 'it is there')
            self.program('pktgen', 'gen', *arguments).wait()
            self.assertEqual(last(sink.wait())['received'], 9)
            for program in held:
                self.assertEqual(last(program.end())['received'], 0)


class Generator(ExamplesTest):
    def test_echo(self):
        """There and back, by name."""
        self.member('gen')
        self.member('echo')
        echo = self.ready('pktgen', 'echo', '--echo', '--to', 'gen')
        got = last(self.program(
            'pktgen', 'gen', '--to', 'echo', '--count', '20000',
            '--wait', '10000', '--flows', '100', '--size', '1500').wait())
        print('#', got)
        self.assertEqual((got['sent'], got['received'], got['lost']),
                         (20000, 20000, 0))
        back = last(echo.end())
        self.assertEqual((back['received'], back['flows']), (20000, 100))
        self.wait_all_back()

    def test_by_address(self):
        """To a port of the switch, as a frame that is as it should be."""
        self.port('out', type='dummy')
        self.member('gen', peer='out')
        self.program('pktgen', 'gen', '--count', '3').wait()
        frames = [traffic.eventually(self.read, 'it comes') for _ in range(3)]
        for number, frame in enumerate(map(bytes.fromhex, frames)):
            ip, datagram = frame[14:34], frame[34:]
            pseudo = ip[12:20] + struct.pack('>HH', 17, len(datagram))
            self.assertEqual(len(frame), 128)
            self.assertEqual(checksum(ip), 0)
            self.assertEqual(checksum(pseudo + datagram), 0)
            self.assertEqual(struct.unpack('>Q', frame[58:66])[0], number)

    def test_slow_receiver(self):
        """The sender waits for it."""
        self.member('gen')
        self.member('sink')
        sink = self.ready('pktgen', 'sink', '--sink', '--count', '5000')
        sink.signal(signal.SIGSTOP)
        gen = self.ready('pktgen', 'gen', '--to', 'sink', '--rate', '20000',
                         '--count', '5000')
        traffic.eventually(lambda: self.stats('gen')['tx-full'],
                           'the ring is full')
        sink.signal(signal.SIGCONT)
        self.assertEqual(last(gen.wait())['sent'], 5000)
        self.assertEqual(last(sink.wait())['lost'], 0)

    def test_slow_daemon(self):
        """At the end the daemon is given time to take what was sent."""
        self.port('out', type='dummy')
        self.member('gen', peer='out')
        gen = self.ready('pktgen', 'gen', '--rate', '50', '--count', '50')
        os.kill(self.vus.pid, signal.SIGSTOP)
        try:
            gen.wait_output('end sent=50')
            self.assertTrue(gen.alive)
        finally:
            os.kill(self.vus.pid, signal.SIGCONT)
        gen.wait()
        for _ in range(50):
            traffic.eventually(self.read, 'it comes')

    def test_rate(self):
        self.member('gen')
        self.member('sink')
        sink = self.ready('pktgen', 'sink', '--sink')
        sent = last(self.program('pktgen', 'gen', '--to', 'sink', '--rate',
                                 '2000', '--seconds', '3').wait())
        self.assertAlmostEqual(sent['sent'], 6000, delta=600)
        self.assertEqual(last(sink.end())['received'], sent['sent'])

    def test_daemon_restarts(self):
        """Both come back by themselves, and the rest of the packets comes."""
        self.restart(self.vus.stop)

    def test_daemon_crashes(self):
        self.restart(self.vus.kill)

    def test_daemon_crashes_under_poll(self):
        self.restart(self.vus.kill, '--poll')

    def restart(self, end, *arguments):
        self.member('gen')
        self.member('sink')
        sink = self.ready('pktgen', 'sink', '--sink', *arguments)
        gen = self.ready('pktgen', 'gen', '--to', 'sink', '--rate', '1000',
                         '--stats', '1')
        sink.wait_output('received-pps')
        end()
        gen.wait_output('the daemon has gone')
        sink.wait_output('the daemon has gone')
        self.vus.start()
        self.domain()
        self.member('gen')
        self.member('sink')
        gen.wait_output('reattached=1')
        traffic.eventually(
            lambda: self.stats('sink')['rx-pkts'] > 1000, 'it goes on')
        gen.end()
        sink.end()
        self.wait_all_back()


class Stat(ExamplesTest):
    def test_once(self):
        self.member('a', service='fw')
        self.member('b', service='fw')
        self.member('see')
        self.ready('l2fwd', 'a')
        self.ready('pktgen', 'b', '--to', 'a', '--rate', '1000')
        traffic.eventually(lambda: self.stats('a')['rx-pkts'] > 100,
                           'packets flow')
        table = self.program('stat', 'see', '--once').wait()
        self.assertRegex(table, r'(?m)^ *\d+ a +attached ')
        self.assertRegex(table, r'(?m)^ *\d+ see +attached .*\(this\)$')
        self.assertRegex(table, r'(?m)^service fw: \d+ \d+$')

        seen = json.loads(self.program('stat', 'see', '--once',
                                       '--json').wait().splitlines()[-1])
        members = {m['name']: m for m in seen['members']}
        self.assertEqual(sorted(members), ['a', 'b', 'see'])
        self.assertEqual(members['see']['number'], seen['self'])
        self.assertEqual(members['a']['service'], 'fw')
        self.assertGreater(members['a']['stats']['rx-pkts'], 100)
        service, = seen['services']
        self.assertEqual(sorted(service['instances']),
                         sorted(members[m]['number'] for m in 'ab'))

    def test_rates(self):
        self.member('a')
        self.member('b')
        self.member('see')
        self.ready('pktgen', 'a', '--sink')
        self.ready('pktgen', 'b', '--to', 'a', '--rate', '1000')
        stat = self.ready('stat', 'see', '--json')
        stat.wait_output('per-second', times=6)
        line = stat.end().strip().splitlines()[-1]
        rates = {m['name']: m['per-second']
                 for m in json.loads(line)['members']}
        self.assertAlmostEqual(rates['a']['rx-pkts'], 1000, delta=300)
        self.assertAlmostEqual(rates['b']['tx-bytes'], 128000, delta=38400)


class Usage(unittest.TestCase):
    def run_program(self, name, *arguments):
        return subprocess.run(
            [os.path.join(PROGRAMS, f'netvm-{name}'), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S)

    def test_options(self):
        """Each option that --help shows is in the manual, and the other way
        round."""
        for name in ('l2fwd', 'l3fwd', 'firewall', 'tap', 'pktgen', 'stat'):
            with self.subTest(name):
                self.assertEqual(
                    self.run_program(name, '--nonsense').returncode, 2)
                self.assertEqual(self.run_program(name, 'word').returncode, 2)
                self.assertEqual(self.run_program(
                    name, '--to', 'a', '--out', '1').returncode, 2)
                self.assertEqual(
                    self.run_program(name, '--version').returncode, 0)
                help_text = self.run_program(name, '--help').stdout
                shown = re.findall(r'(?m)^  (?:-h, )?--([a-z-]+)', help_text)
                with open(os.path.join(MANUALS, f'netvm-{name}.1'),
                          encoding='utf-8') as f:
                    manual = re.findall(r'(?m)^\.It Fl .*?\\-([a-z\\-]+)',
                                        f.read())
                self.assertEqual(sorted(shown), sorted(
                    option.replace('\\', '') for option in manual))

    def test_manuals(self):
        """Each function of netvm.h has one."""
        with open(os.path.join(config.TOP, 'contrib', 'libnetvm', 'netvm.h'),
                  encoding='utf-8') as f:
            text = re.sub(r'(?s)/\*.*?\*/|\n\{.*?\n\}', '', f.read())
        functions = re.findall(r'(?m)^\w.*?\b(netvm_\w+)\(', text)
        self.assertGreater(len(functions), 20)
        for name in functions:
            path = os.path.join(MANUALS, f'{name}.3')
            with open(path, encoding='utf-8') as f:
                link = re.search(r'(?m)^\.so man3/(.*)', f.read())
            if link:
                path = os.path.join(MANUALS, link.group(1))
            with open(path, encoding='utf-8') as f:
                self.assertIn(f'\n.Fn {name} ', f.read())

    def test_nobody_there(self):
        done = self.run_program('l2fwd', '--at', 'unix:/nowhere')
        self.assertEqual(done.returncode, 1)
        self.assertIn('does the daemon run', done.stderr)


if __name__ == '__main__':
    rtguest.main()
