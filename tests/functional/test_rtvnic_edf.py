#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""EDF with a real guest on real time, what the monitor says about it, and a
migration.

Order and time to the nanosecond are tested with a stepped clock in
tests/qtest; here deadlines are so generous that a busy machine keeps them.

Threads: a thread of each test's own empties the uplinks.
"""

import json
import os
import struct
import threading

import rtguest
from rtguest import frames, traffic

RATE_BPS = 5_000_000
QUEUE_PKTS = 50
LOAD_MS = 5000
TIGHT_US, LOOSE_US = 1_000_000, 3_000_000
PEER_MAC = '52:54:00:00:08:ff'

QAPI = os.path.join(rtguest.TOP, 'qapi')


class Drain(threading.Thread):
    """Takes all frames of one uplink; the UDP ones are kept."""

    def __init__(self, host_port):
        super().__init__(daemon=True)
        self._host_port = host_port
        self._stopping = False
        self.frames = []
        self.start()

    def run(self):
        while not self._stopping:
            try:
                self.frames.append(self._host_port.receive(0.2))
            except TimeoutError:
                pass

    def stop(self):
        self._stopping = True
        self.join()

    def probes(self, udp_port):
        """Sequence numbers of the datagrams to that port."""
        match = frames.is_udp(udp_port)
        return [struct.unpack_from('<I', frames.parse(f).payload, 4)[0]
                for f in list(self.frames) if match(f)]


def qapi_types(name='rtnet.json'):
    """{name: {member: type} or [values]}; optional members start with *."""
    with open(os.path.join(QAPI, name), encoding='utf-8') as f:
        text = ''.join(line for line in f if not line.startswith('#'))
    decoder, types = json.JSONDecoder(), {}
    text = text.replace("'", '"').strip()
    while text:
        item, end = decoder.raw_decode(text)
        if 'include' in item:
            types.update(qapi_types(item['include']))
        for kind in ('struct', 'enum'):
            if kind in item:
                types[item[kind]] = item['data']
        text = text[end:].strip()
    return types


class Edf(rtguest.GuestTest):
    """Two flows with deadlines and a flood on one slow uplink."""

    PORTS = ('tight', 'loose', 'bulk')

    @classmethod
    def setUpClass(cls):
        args = ['-object', f'edf-scheduler,id=up0,rate-bps={RATE_BPS},'
                           f'queue-pkts={QUEUE_PKTS},host-jitter-us=20000']
        cls.drains, cls.macs = {}, {}
        for number, name in enumerate(cls.PORTS):
            uplink = cls.class_host_port()
            cls.drains[name] = Drain(uplink)
            cls.addClassCleanup(cls.drains[name].stop)
            cls.macs[name] = f'52:54:00:00:08:{number:02x}'
            args += uplink.netdev(f'n{number}')
        args += ['-device', f'rtvnic,id=tight,netdev=n0,scheduler=up0,dscp=46,'
                            f'deadline-us={TIGHT_US},period-us=9000,'
                            f'max-frame-bytes=1000,mac={cls.macs["tight"]}',
                 '-device', f'rtvnic,id=loose,netdev=n1,scheduler=up0,dscp=46,'
                            f'deadline-us={LOOSE_US},mac={cls.macs["loose"]}',
                 '-object', 'edf-port,id=bulk,netdev=n2,scheduler=up0',
                 '-device', 'virtio-net-pci,netdev=bulk,queue_reset=off,'
                            f'mac={cls.macs["bulk"]}']
        cls.guest = cls.class_boot('edf', *args)
        cls.guest.wait_ready()
        for number, name in enumerate(cls.PORTS):
            eth = cls.guest.ifup(cls.macs[name], f'10.8.{number}.1/24')
            cls.guest.neighbour(eth, f'10.8.{number}.2', PEER_MAC)
        cls.load()

    @classmethod
    def load(cls):
        """Bursts of the loose flow, so that it waits behind itself."""
        guest = cls.guest
        bulk = guest.start('rtprobe flood --dst 10.8.2.2 --port 9002 '
                           f'--bytes 1372 --duration-ms {LOAD_MS}')
        flows = {
            'tight': guest.start(
                'rtprobe send --dst 10.8.0.2 --port 9000 --bytes 500 '
                f'--period-us 10000 --duration-ms {LOAD_MS} --wait-ms 0'),
            'loose': guest.start(
                'rtprobe send --dst 10.8.1.2 --port 9001 --bytes 1000 '
                f'--period-us 200000 --burst 40 --duration-ms {LOAD_MS} '
                '--wait-ms 0')}
        cls.sent = {name: flow.wait(60).json()['sent']
                    for name, flow in flows.items()}
        cls.sent['bulk'] = bulk.wait(60).json()['sent']
        traffic.eventually(
            lambda: not guest.rtnet_scheduler('up0')['queued'],
            'all frames have left')
        for port, name in enumerate(cls.PORTS, 9000):
            traffic.eventually(
                lambda: len(cls.drains[name].probes(port)) == cls.sent[name],
                f'{cls.sent[name]} frames of {name} have arrived')

    def test_nothing_lost_or_reordered(self):
        for port, name in enumerate(self.PORTS, 9000):
            self.assertGreater(self.sent[name], 100, name)
            self.assertEqual(self.drains[name].probes(port),
                             list(range(self.sent[name])))
            self.assertEqual(
                set(self.guest.rtnet_port(name)['drops'].values()), {0})

    def test_no_deadline_missed(self):
        for name in ('tight', 'loose'):
            self.assertEqual(self.guest.rtnet_port(name)['counters']['late'], 0)
            for frame in self.drains[name].frames:
                self.assertFalse(frames.trailer(frame).flags & frames.LATE)

    def test_tighter_waits_less(self):
        worst = {name: self.guest.rtnet_port(name)['queueing-delay']['max-ns']
                 for name in self.PORTS}
        median = {name: self.guest.rtnet_port(name)['queueing-delay']['p50-ns']
                  for name in self.PORTS}
        self.assertLess(worst['tight'], worst['loose'])
        self.assertLess(worst['loose'], worst['bulk'])
        self.assertLess(median['tight'], median['loose'])

    def test_rate_is_kept(self):
        """The load cannot have been through sooner than the link allows."""
        scheduler = self.guest.rtnet_scheduler('up0')
        self.assertEqual(scheduler['sent'], sum(
            self.guest.rtnet_port(name)['counters']['sent']
            for name in self.PORTS))
        needed_ns = scheduler['sent-wire-bytes'] * 8e9 / RATE_BPS
        first, *_, last = sorted(
            frames.trailer(f).sent_ns for f in self.drains['tight'].frames)
        # Bulk is behind by what its queue and ring hold.
        self.assertGreater(needed_ns, 0.8 * (last - first))

    # -- Monitor --------------------------------------------------------------

    def check_shape(self, value, kind, types, where):
        """Has @value the members and types that the schema gives?"""
        if isinstance(kind, list):
            self.assertIsInstance(value, list, where)
            for item in value:
                self.check_shape(item, kind[0], types, where)
        elif isinstance(types.get(kind), list):
            self.assertIn(value, types[kind], where)
        elif kind in types:
            members = types[kind]
            required = {m for m in members if not m.startswith('*')}
            known = {m.lstrip('*') for m in members}
            self.assertLessEqual(required, set(value), where)
            self.assertLessEqual(set(value), known, where)
            for member, inner in value.items():
                self.check_shape(inner, members.get(member) or
                                 members['*' + member], types,
                                 f'{where}.{member}')
        else:
            python_type = {'str': str, 'bool': bool}.get(kind, int)
            self.assertIs(type(value), python_type, where)

    def test_query_rtnet_has_its_schema(self):
        info = self.guest.qmp.cmd('query-rtnet')
        self.assertEqual({p['id'] for p in info['ports']}, set(self.PORTS))
        self.check_shape(info, 'RtnetInfo', qapi_types(), 'query-rtnet')
        tight, = (p for p in info['ports'] if p['id'] == 'tight')
        self.assertEqual((tight['band'], tight['deadline-us'],
                          tight['period-us']), ('admitted', TIGHT_US, 9000))
        self.assertLess(tight['promised-delay-us'], TIGHT_US)

    def test_histograms_add_up(self):
        info = self.guest.qmp.cmd('query-rtnet')
        for port in info['ports']:
            delay = port['queueing-delay']
            self.assertEqual(delay['count'],
                             sum(b['count'] for b in delay['buckets']))
            order = [delay[k] for k in ('p50-ns', 'p99-ns', 'p999-ns',
                                        'max-ns')]
            self.assertEqual(order, sorted(order))
            tops = [b['le-ns'] for b in delay['buckets']]
            self.assertEqual(tops, sorted(set(tops)))
            self.assertGreaterEqual(tops[-1], delay['max-ns'])

    def test_info_rtnet_fits_a_terminal(self):
        text = self.guest.qmp.hmp('info rtnet')
        for name in (*self.PORTS, 'up0'):
            self.assertIn(f'{name}: ', text)
        self.assertEqual([line for line in text.splitlines()
                          if len(line) > 80], [])


class Migration(rtguest.GuestTest):
    def test_guest_goes_on_sending(self):
        """Between two QEMUs with the same options, while the guest sends."""
        uplinks = [self.host_port(), self.host_port()]
        drains = [Drain(uplink) for uplink in uplinks]
        for drain in drains:
            self.addCleanup(drain.stop)

        def args(uplink):
            return ['-object', f'edf-scheduler,id=up0,rate-bps={RATE_BPS}',
                    *uplink.netdev('n0'), '-device',
                    'rtvnic,id=rt,netdev=n0,scheduler=up0,deadline-us=100000,'
                    'dscp=46,mac=52:54:00:00:09:01']

        source = self.boot('source', *args(uplinks[0]))
        path = os.path.join(source.directory, 'migration')
        target = self.boot('target', *args(uplinks[1]),
                           '-incoming', f'unix:{path}')
        source.wait_ready()
        eth = source.ifup('52:54:00:00:09:01', '10.9.0.1/24')
        source.neighbour(eth, '10.9.0.2', PEER_MAC)
        source.start('rtprobe send --dst 10.9.0.2 --port 9000 --bytes 200 '
                     '--period-us 10000 --duration-ms 3600000')
        traffic.eventually(lambda: len(drains[0].probes(9000)) > 50,
                           'the source sends')

        source.qmp.cmd('migrate', {'uri': f'unix:{path}'})
        traffic.eventually(
            lambda: source.qmp.cmd('query-migrate').get('status') in
            ('completed', 'failed'), 'the migration has ended', 60)
        self.assertEqual(source.qmp.cmd('query-migrate')['status'],
                         'completed')

        traffic.eventually(lambda: len(drains[1].probes(9000)) > 50,
                           'the target sends')
        before, after = (drain.probes(9000) for drain in drains)
        self.assertEqual(before + after, sorted(set(before + after)))
        # The guest did not notice: it wrote on where it was.
        self.assertEqual(after, list(range(after[0], after[0] + len(after))))
        self.assertEqual(set(target.rtnet_port('rt')['drops'].values()), {0})


if __name__ == '__main__':
    rtguest.main()
