#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that move while others send to them.

Source and destination stand on one host, behind two ports of one daemon, and
the guest moves there and back.  It has a NIC with split rings and one with
packed rings.  What it receives is a pattern that it knows.

What the daemon writes into the guest's memory, QEMU does not see: the daemon
has to log it.  A page that it forgot would hold at the destination what it had
held before, so one test lets frames lie in pages that nobody else touches
until the guest has moved.

Threads: none.
"""

import rtguest
from rtguest import traffic, vus

KINDS = {'split': '', 'packed': 'packed=on'}
PEER_MACS = {'split': '52:54:00:00:50:01', 'packed': '52:54:00:00:50:02'}
MACS = {'split': '52:54:00:00:51:01', 'packed': '52:54:00:00:51:02'}
PEER_IPS = {'split': '10.0.80.1', 'packed': '10.0.81.1'}
IPS = {'split': '10.0.80.2', 'packed': '10.0.81.2'}
PORTS = {'split': 7200, 'packed': 7201}
VLANS = {'split': 1, 'packed': 2}
HOUSES = ('x', 'y')             # where the guest may live
MOVES = 3
TIMEOUT_S = 120

KEPT_MS = 1000                  # of a datagram every 5 ms
LEAST_KEPT_PKTS = 20
CHANGED_MIB = 4
# What is copied per second: at first, and then less than the guest changes.
FAST_BYTES, SLOW_BYTES = 50 << 20, 4 << 20


class Migration(vus.DaemonTest):
    def setUp(self):
        self.vus = self.daemon()
        args = []
        for kind, device in KINDS.items():
            port = self.vus.port(f'peer-{kind}', vlan=VLANS[kind])
            args += self.vus.nic(port, PEER_MACS[kind], device)
            for house in HOUSES:
                self.vus.port(f'{house}-{kind}', vlan=VLANS[kind])
        self.vus.start()
        self.peer = self.boot('peer', args)
        self.guest = self.boot_in(HOUSES[0])
        rtguest.wait_ready(self.peer, self.guest)
        for kind in KINDS:
            self.peer.ifup(PEER_MACS[kind], f'{PEER_IPS[kind]}/24')
            self.guest.ifup(MACS[kind], f'{IPS[kind]}/24')
        self.vus.wait_ready(*(f'{HOUSES[0]}-{kind}' for kind in KINDS))
        self.vus.wait_ready(*(f'peer-{kind}' for kind in KINDS))

    def boot_in(self, house, incoming=False):
        args = []
        # The order of NICs, and so their slots, has to be the same.
        for kind, device in KINDS.items():
            args += self.vus.nic(kind, MACS[kind], device,
                                 port=f'{house}-{kind}')
        return self.boot(f'in-{house}', args, incoming=incoming)

    def move(self, house):
        """There, with all that runs."""
        target = self.boot_in(house, incoming=True)
        self.assertEqual(self.guest.migrate(target, timeout_s=TIMEOUT_S),
                         'completed', target.qemu_messages())
        self.leave(target, house)

    def leave(self, target, house):
        old, self.guest = self.guest, target
        old.close()
        self.vus.wait_ready(*(f'{house}-{kind}' for kind in KINDS))

    def start_sink(self, kind):
        sink = self.guest.start(f'rtprobe sink --ports {PORTS[kind]}')
        sink.wait_output('ready')
        return sink

    def end_sink(self, kind, sink):
        return sink.kill().wait(TIMEOUT_S).json()['ports'][str(PORTS[kind])]

    def check_alive(self):
        for kind in KINDS:
            traffic.ping(self.peer, IPS[kind])
            traffic.ping(self.guest, PEER_IPS[kind])
            traffic.tcp(self.guest, self.peer, PEER_IPS[kind], kib=256)

    # -- Tests ----------------------------------------------------------------

    def test_flood(self):
        """At full rate, there and back; frames follow it at once."""
        sinks = {kind: self.start_sink(kind) for kind in KINDS}
        floods = {kind: self.peer.start(
            f'rtprobe flood --dst {IPS[kind]} --port {PORTS[kind]} '
            '--bytes 1200 --duration-ms 3600000') for kind in KINDS}
        for move in range(MOVES):
            house = HOUSES[(move + 1) % 2]
            for kind in KINDS:
                traffic.eventually(
                    lambda: self.vus.stats(f'{HOUSES[move % 2]}-{kind}')
                    ['egress-pkts'] > 100, f'{kind} receives', TIMEOUT_S)
            self.vus.call('stats.reset')
            self.move(house)
            for kind in KINDS:
                traffic.eventually(
                    lambda: self.vus.stats(f'{house}-{kind}')
                    ['egress-pkts'] > 100, f'{kind} receives in {house}',
                    TIMEOUT_S)
        for kind, flood in floods.items():
            flood.kill().wait(TIMEOUT_S, check=False)
            got = self.end_sink(kind, sinks[kind])
            print(f'# {kind}: {got["received"]} received, {got["lost"]} lost '
                  f'by {MOVES} moves and a slow guest, nothing for '
                  f'{got["longest_gap_us"] / 1000:.0f} ms')
            for what in ('corrupt', 'duplicates', 'reordered', 'not_probe'):
                self.assertEqual(got[what], 0, what)
        self.check_alive()
        self.assertNotIn('warning', self.vus.messages())

    def test_stream(self):
        """A TCP connection goes on through moves, byte for byte."""
        kind = 'packed'
        sink = self.guest.start(f'nc -l -p {PORTS[kind]} | sha256sum',
                                stdin='open')
        traffic.eventually(lambda: f':{PORTS[kind]:04X} ' in self.guest.run(
            'cat /proc/net/tcp /proc/net/tcp6', check=False).out,
            'the guest listens')
        # Ends when it is told to, on the eve of the last move at the earliest.
        source = self.peer.start(
            'mkfifo /tmp/f; (while [ ! -e /tmp/end ]; do '
            'head -c 65536 /dev/urandom; done) | tee /tmp/f | '
            f'nc {IPS[kind]} {PORTS[kind]} & sha256sum < /tmp/f; wait')
        for move in range(MOVES - 1):
            before = self.vus.stats(f'peer-{kind}')['ingress-bytes']
            traffic.eventually(
                lambda: self.vus.stats(f'peer-{kind}')['ingress-bytes'] >
                before + (1 << 20), 'it flows', TIMEOUT_S)
            self.move(HOUSES[(move + 1) % 2])
        before = self.vus.stats(f'peer-{kind}')['ingress-bytes']
        traffic.eventually(
            lambda: self.vus.stats(f'peer-{kind}')['ingress-bytes'] >
            before + (1 << 20), 'it flows again', TIMEOUT_S)
        self.peer.run('touch /tmp/end')
        sent = source.wait(TIMEOUT_S).out.split()[0]
        self.assertEqual(sink.wait(TIMEOUT_S).out.split()[0], sent)

    def test_log(self):
        """Frames that came while memory was copied are there afterwards."""
        sinks = {kind: self.start_sink(kind) for kind in KINDS}
        for sink in sinks.values():
            sink.kill(19)
        target = self.boot_in(HOUSES[1], incoming=True)
        # Keeps the copying from catching up.
        writer = self.guest.start(
            f'head -c {CHANGED_MIB << 20} /dev/urandom > /tmp/y; echo ready; '
            'while :; do cat /tmp/y > /tmp/x; done')
        writer.wait_output('ready')
        self.guest.start_migration(target, downtime_ms=1,
                                   bandwidth_bytes=FAST_BYTES)
        self.wait_round(2)
        self.guest.qmp.cmd('migrate-set-parameters',
                           {'max-bandwidth': SLOW_BYTES})
        self.wait_round(self.round() + 1)
        sent = {kind: self.peer.run(
            f'rtprobe send --dst {IPS[kind]} --port {PORTS[kind]} '
            f'--bytes 1400 --period-us 5000 --wait-ms 0 '
            f'--duration-ms {KEPT_MS}', TIMEOUT_S).json()['sent']
            for kind in KINDS}
        # They have come before the last round, not during it.
        self.wait_round(self.round() + 2)
        self.assertEqual(
            self.guest.qmp.cmd('query-migrate')['status'], 'active')
        writer.kill(9)
        self.assertEqual(self.guest.finish_migration(target, TIMEOUT_S),
                         'completed')
        self.leave(target, HOUSES[1])
        for kind, sink in sinks.items():
            sink.kill(18)
            got = self.end_sink(kind, sink)
            self.assertGreater(sent[kind], LEAST_KEPT_PKTS)
            self.assertEqual(
                [got[what] for what in ('received', 'corrupt', 'lost',
                                        'duplicates', 'not_probe')],
                [sent[kind], 0, 0, 0, 0], kind)
        self.check_alive()

    def round(self):
        return self.guest.qmp.cmd('query-migrate').get('ram', {}).get(
            'dirty-sync-count', 0)

    def wait_round(self, number):
        traffic.eventually(lambda: self.round() >= number,
                           f'memory has been copied {number} times',
                           TIMEOUT_S)


if __name__ == '__main__':
    rtguest.main()
