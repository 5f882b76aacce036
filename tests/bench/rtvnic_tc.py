# SPDX-License-Identifier: GPL-2.0-or-later
"""Worst delay of real-time frames: rtvnic and edf-scheduler, or Linux' tc.

The demo's four flows, out of one guest, over one uplink of 10 Mbit/s:

    edf     rtvnic, edf-port -> edf-scheduler -> taps -> bridge -> uplink
    tc      virtio-net -> taps -> bridge -> uplink with HTB

Both leave by the same bridge and the same veth; its other end is where the
link would begin.  Taps, bridge and veth are in a network namespace of the
benchmark's own.  The guest has both sets of NICs, and the sets take turns.

A delay begins when QEMU takes the frame out of the guest's ring: the trailer
says when, and where there is none, the tap (QEMU writes a frame to the tap as
it takes it).  It ends when the link begins to send the frame.  All times are
the host's.

The link itself is computed: it sends one frame after the other, as they come
out of the veth, and is 2 % faster than both are told, so that it works off
what they let through early.  Without it a shaper could look better than it is
by leaving a frame to the queue of the link behind.

HTB is tuned for the delay: no class owns a rate worth mentioning, so that all
of them borrow from the link's class, by priority and one frame at a time.  With
rates of their own, classes send while another's frame is on the link; that, and
bursts of a frame and more, was tried and was worse.

Threads: none of its own.
"""

import collections
import json
import shutil
import struct
import time

import load
import rtguest
from rtguest import frames
from rtvnic_capture import Capture

RUNS = 5
WARM_UP_S = 1.0
RUN_S = 8.0
MIN_SAMPLES = 100
SETTLE_S = 0.5              # what still waits in queues and rings

BRIDGE, UPLINK, LINK = 'br0', 'up0', 'link0'
PEER_MAC = '52:54:00:12:02:ff'
# The application's own marks; the classes go by them.
DSCP = {'control': 46, 'audio': 40, 'video': 34, 'bulk': 0}

LINK_RATE_BPS = load.RATE_BPS * 1.02
OWN_BPS = 8_000             # what a class may send without asking
BURST_BYTES = 16

MODES = ('edf', 'tc', 'tc-per-flow')
TITLES = {
    'edf': 'rtvnic + edf-scheduler',
    'tc': 'virtio-net + HTB, one real-time class',
    'tc-per-flow': 'virtio-net + HTB, one class per flow',
}

Sample = collections.namedtuple('Sample', 'shaped_ns link_ns guest_ns')


# -- tc -----------------------------------------------------------------------

def _htb_class(ident, parent, rate_bps, more=''):
    """An HTB class that counts bytes as they are on the link."""
    return f'class add dev {UPLINK} parent {parent} classid {ident} htb ' \
           f'rate {rate_bps}bit ceil {load.RATE_BPS}bit burst {BURST_BYTES} ' \
           f'cburst {BURST_BYTES} mpu 84 ' \
           f'overhead {load.LINK_OVERHEAD_BYTES}{more}'


def _htb_leaf(ident, prio, qdisc):
    return [_htb_class(ident, '1:1', OWN_BPS, f' prio {prio} quantum 1514'),
            f'qdisc add dev {UPLINK} parent {ident} {qdisc}']


def check():
    """Raise an exception if this cannot be measured here."""
    for tool in ('tc', 'bridge'):
        if not shutil.which(tool):
            raise rtguest.NetNamespaceUnavailable(
                f'no program "{tool}" found (Debian: iproute2)')
    Bed().close()


def tc_commands(mode, bulk_leaf):
    """What a user types (behind "tc")."""
    classes = [load.RT_FLOWS] if mode == 'tc' else \
        [(flow,) for flow in load.RT_FLOWS]
    commands = [f'qdisc add dev {UPLINK} root handle 1: htb default 40',
                _htb_class('1:1', '1:', load.RATE_BPS)]
    for prio, flows in enumerate(classes):
        ident = f'1:1{prio}'
        commands += _htb_leaf(ident, prio,
                              f'pfifo limit {load.QUEUE_PKTS * len(flows)}')
        commands += [
            f'filter add dev {UPLINK} parent 1: protocol ip prio 1 u32 match '
            f'ip dsfield {DSCP[flow.name] << 2:#04x} 0xfc flowid {ident}'
            for flow in flows]
    return commands + _htb_leaf('1:40', 7, bulk_leaf)


# -- Host and guest -----------------------------------------------------------

class Bed:
    """The namespace, and the guest with both sets of NICs."""

    def __init__(self):
        self.netns = rtguest.NetNamespace()
        self.guest = None
        try:
            self._make_interfaces()
            self.bulk_leaf = self._bulk_leaf()
            self.set_up_htb('tc-per-flow')      # does the kernel have it all?
            self.remove_htb()
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.guest:
            self.guest.close()
        self.netns.close()

    def __enter__(self):
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def set_up_htb(self, mode):
        for command in tc_commands(mode, self.bulk_leaf):
            self.tc(command)

    def remove_htb(self):
        self.tc(f'qdisc del dev {UPLINK} root')

    def _ip(self, words):
        self.netns.run('ip', *words.split())

    def tc(self, words):
        return self.netns.run('tc', *words.split())

    @staticmethod
    def tap(kind, flow):
        return f'{kind}-{flow.name}'

    def _make_interfaces(self):
        # Where bridges call netfilter, it cuts off what is behind IP: the
        # trailer.
        self.netns.run(
            'sh', '-c', 'cd /proc/sys/net; '
            'for i in all default; do echo 1 > ipv6/conf/$i/disable_ipv6; done;'
            ' for i in bridge/bridge-nf-call-ip*; do '
            '[ ! -e $i ] || echo 0 > $i; done')
        self._ip(f'link add {BRIDGE} type bridge stp_state 0 forward_delay 0 '
                 'mcast_snooping 0')
        self._ip(f'link add {UPLINK} type veth peer name {LINK}')
        for kind in ('edf', 'tc'):
            for flow in load.FLOWS:
                self._ip(f'tuntap add {self.tap(kind, flow)} mode tap')
                self._ip(f'link set {self.tap(kind, flow)} master {BRIDGE} up')
        self._ip(f'link set {UPLINK} master {BRIDGE} up')
        self._ip(f'link set {LINK} up')
        self._ip(f'link set {BRIDGE} up')
        # The other end never speaks, so the bridge cannot learn it.
        self.netns.run('bridge', 'fdb', 'add', PEER_MAC, 'dev', UPLINK,
                       'master', 'static')

    def _bulk_leaf(self):
        """fq_codel, where the kernel has it."""
        try:
            self.tc(f'qdisc add dev {LINK} root fq_codel')
            self.tc(f'qdisc del dev {LINK} root')
            return 'fq_codel'
        except rtguest.NetNamespaceUnavailable:
            return f'pfifo limit {load.QUEUE_PKTS}'

    def _boot(self):
        accel = rtguest.accelerator()
        args = ['-object', f'edf-scheduler,id=up0,rate-bps={load.RATE_BPS},'
                           f'queue-pkts={load.QUEUE_PKTS},'
                           f'host-jitter-us={load.HOST_JITTER_US[accel]}']
        for flow in load.FLOWS:
            args += flow.sender_args(_Tap(self.tap('edf', flow)))
            args += [*_Tap(self.tap('tc', flow)).client(f'tc-{flow.name}'),
                     '-device', f'virtio-net-pci,netdev=tc-{flow.name},'
                                f'mac={_tc_mac(flow)}']
        self.guest = rtguest.Guest('tc', *args, prefix=self.netns.prefix)
        self.guest.wait_ready()
        load.yield_to_main_loop(self.guest)
        for flow in load.FLOWS:
            for kind, mac in (('edf', flow.sender_mac),
                              ('tc', _tc_mac(flow))):
                ip, peer_ip = _ips(kind, flow)
                eth = self.guest.ifup(mac, f'{ip}/24')
                self.guest.neighbour(eth, peer_ip, PEER_MAC)


class _Tap:
    """A tap, where load.py wants a link."""

    def __init__(self, name):
        self._name = name

    def client(self, netdev_id):
        return ('-netdev', f'tap,id={netdev_id},ifname={self._name},'
                           'script=no,downscript=no,vhost=off')


def _tc_mac(flow):
    return flow.sender_mac.replace(':01:', ':03:')


def _ips(kind, flow):
    """(the guest's, its peer's)"""
    ips = flow.sender_ip, flow.receiver_ip
    return ips if kind == 'edf' else tuple('10.2' + ip[4:] for ip in ips)


# -- One run ------------------------------------------------------------------

def _start(guest, kind, flow):
    # Bulk is ended by us: it must last as long as everything else.
    seconds = RUN_S if flow.real_time else 10 * RUN_S
    text = f'--dst {_ips(kind, flow)[1]} --port {flow.port} ' \
           f'--bytes {flow.payload_bytes} --duration-ms {seconds * 1000:.0f}'
    if not flow.real_time:
        return guest.start(f'rtprobe flood {text}')
    # With rtvnic nobody need mark anything, and the marks do not matter.
    return guest.start(f'rtprobe send {text} --dscp {DSCP[flow.name]} '
                       f'--period-us {flow.period_us} --burst {flow.burst} '
                       '--wait-ms 0')


def _probe(seen):
    """(UDP port, sequence, guest's send time) of a probe, or None."""
    head = seen.head
    if len(head) < 58 or head[12:14] != b'\x08\0' or head[23] != frames.UDP:
        return None
    port, = struct.unpack_from('!H', head, 36)
    _, sequence, sent_ns = struct.unpack_from('<IIQ', head, 42)
    return port, sequence, sent_ns


def _trailer_time_ns(seen, tai_ahead_ns):
    """T_s as CLOCK_REALTIME."""
    if seen.tail[-4:] != frames.MAGIC:
        raise rtguest.GuestError('a frame of an rtvnic came to the link '
                                 'without its trailer: what cut it off?')
    return struct.unpack_from('!Q', seen.tail)[0] - tai_ahead_ns


def _deadline_us(seen):
    """What the trailer says, or None."""
    if seen.tail[-4:] != frames.MAGIC:
        return None
    return struct.unpack_from('!I', seen.tail, 8)[0] // 1000


def _wire_bytes(seen):
    return max(seen.bytes, frames.MIN_BYTES) + load.LINK_OVERHEAD_BYTES


def _link_starts_ns(passed):
    """When the link begins to send each of the frames that @passed."""
    free_ns, starts_ns = 0, []
    for seen in passed:
        starts_ns.append(max(free_ns, seen.time_ns))
        free_ns = starts_ns[-1] + _wire_bytes(seen) * 8e9 / LINK_RATE_BPS
    return starts_ns


def _clock_map(pairs):
    """The host's time of a guest's: a line under all (guest, taken) pairs.

    Through the quickest hand-over of the first and of the last third, for the
    guest's clock need not run at the host's pace.
    """
    pairs = sorted(pairs)
    third = len(pairs) // 3
    (x0, y0), (x1, y1) = (min(part, key=lambda p: p[1] - p[0])
                          for part in (pairs[:third], pairs[-third:]))
    slope = (y1 - x1 - (y0 - x0)) / (x1 - x0)
    return lambda guest_ns: guest_ns + (y0 - x0) + slope * (guest_ns - x0)


def _samples(mode, seen, tai_ahead_ns):
    """{flow: [Sample]}, from one run."""
    passed = [s for s in seen if s.interface == LINK]
    taken_ns = {}
    for s in seen:
        if s.interface != LINK and (probe := _probe(s)):
            taken_ns[probe[:2]] = s.time_ns
    by_port = {f.port: f for f in load.RT_FLOWS}
    found = []
    for s, start_ns in zip(passed, _link_starts_ns(passed)):
        port, sequence, sent_ns = _probe(s) or (0, 0, 0)
        if port not in by_port:
            continue
        begin_ns = _trailer_time_ns(s, tai_ahead_ns) if mode == 'edf' \
            else taken_ns[port, sequence]
        found.append((by_port[port], sent_ns, begin_ns, s.time_ns, start_ns))
    if len(found) < MIN_SAMPLES:
        raise rtguest.GuestError(f'only {len(found)} real-time frames came to '
                                 'the link: see build/logs')
    to_host_ns = _clock_map([(sent, begin) for _, sent, begin, _, _ in found])
    samples = {f: [] for f in load.RT_FLOWS}
    for flow, sent_ns, begin_ns, passed_ns, start_ns in found:
        samples[flow].append(Sample(passed_ns - begin_ns, start_ns - begin_ns,
                                    start_ns - to_host_ns(sent_ns)))
    return samples


class Run:
    """What one run has shown.

    samples: {flow: [Sample]}
    sent: {flow: frames the guest has sent}
    trailers: do these frames say when they were sent and by when they are
        due?  None if only some do
    dropped_pkts: bulk frames that were thrown away
    utilisation: share of the shapers' rate that was used
    """

    def __init__(self, mode, seen, tai_ahead_ns):
        self.samples = _samples(mode, seen, tai_ahead_ns)
        passed = [s for s in seen if s.interface == LINK]
        marked = {_deadline_us(s) == flow.deadline_us
                  for s in passed for flow in load.RT_FLOWS
                  if (_probe(s) or (0,))[0] == flow.port}
        self.trailers = marked.pop() if len(marked) == 1 else None
        span_s = (passed[-1].time_ns - passed[0].time_ns) / 1e9
        self.utilisation = sum(map(_wire_bytes, passed[:-1])) * 8 / span_s / \
            load.RATE_BPS


def run(bed, mode):
    """Run the load once; a Run."""
    guest, kind = bed.guest, mode.split('-')[0]
    interfaces = [LINK]
    if kind == 'tc':
        bed.set_up_htb(mode)
        interfaces += [bed.tap(kind, flow) for flow in load.RT_FLOWS]
    bulk = _start(guest, kind, load.BULK)
    time.sleep(WARM_UP_S)
    # Whole seconds: CLOCK_TAI and CLOCK_REALTIME are one clock.
    tai_ahead_ns = round(time.clock_gettime(time.CLOCK_TAI) -
                         time.clock_gettime(time.CLOCK_REALTIME)) * 10**9
    capture = Capture(bed.netns.prefix, interfaces)
    probes = {f: _start(guest, kind, f) for f in load.RT_FLOWS}
    sent = {f: p.wait(RUN_S + 60).json()['sent'] for f, p in probes.items()}
    time.sleep(SETTLE_S)
    result = Run(mode, capture.stop(), tai_ahead_ns)
    result.sent = sent
    bulk.kill().wait(60)
    if kind == 'tc':
        qdiscs = json.loads(bed.tc(f'-s -j qdisc show dev {UPLINK}'))
        result.dropped_pkts = sum(q['drops'] for q in qdiscs
                                  if q.get('parent') == '1:40')
        bed.remove_htb()
    else:
        while guest.rtnet_scheduler('up0')['queued']:
            time.sleep(0.05)
        result.dropped_pkts = sum(
            guest.rtnet_port(load.BULK.device_id)['drops'].values())
    return result
