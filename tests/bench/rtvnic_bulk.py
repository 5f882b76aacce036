# SPDX-License-Identifier: GPL-2.0-or-later
"""Bulk throughput of rtvnic against a plain virtio-net with the same offloads.

One guest sends to another over three wires of the same kind, in turn: with a
virtio-net at both ends, with an rtvnic at both ends, and with an rtvnic whose
sender has an edf-scheduler that does not pace.  What arrives at the receiving
guest's interface is counted.

Each QEMU, with its guest, has half of the processors for itself: so neither
takes from the other, and what QEMU does for a frame slows its guest down.  The
processor time of QEMU's main loop per frame is measured as well, for under
emulation the guests' own network stacks take most of the time.

Threads: none of its own.
"""

import os
import statistics
import tempfile
import time

import rtguest
from rtguest import traffic

SAMPLES = 15
WINDOW_S = 1.5
WARM_UP_S = 0.5
UDP_BYTES = 1400
PORT = 6000

KINDS = ('virtio-net', 'rtvnic', 'rtvnic+scheduler')
PROTOCOLS = ('udp', 'tcp')


class NotComparable(Exception):
    """The NICs differ in what they offer the guest."""


def _mac(side, number):
    return f'52:54:00:13:{side:02x}:{number:02x}'


def _ip(side, number):
    return f'10.3.{number}.{side}'


def check():
    """Nothing is needed but guests."""


class Bed:
    """Two guests, a wire and a pair of NICs for each kind."""

    SENDER, RECEIVER = 1, 2

    def __init__(self, directory):
        links = [rtguest.Link(directory, f'n{i}') for i in range(len(KINDS))]
        # The MTU that an rtvnic gives its guest on an ordinary link.
        models = ('virtio-net-pci,host_mtu=1468,queue_reset=off', 'rtvnic',
                  'rtvnic')
        args = {self.SENDER: ['-object', 'edf-scheduler,id=up0'],
                self.RECEIVER: []}
        for i, (link, model) in enumerate(zip(links, models)):
            for side, wire in ((self.SENDER, link.client),
                               (self.RECEIVER, link.server)):
                scheduler = ',scheduler=up0' if side == self.SENDER and \
                    KINDS[i].endswith('scheduler') else ''
                args[side] += [*wire(f'n{i}'), '-device',
                               f'{model},netdev=n{i},mac={_mac(side, i)}' +
                               scheduler]
        self.receiver = rtguest.Guest('bulk-receiver', *args[self.RECEIVER])
        try:
            self.sender = rtguest.Guest('bulk-sender', *args[self.SENDER])
        except BaseException:
            self.receiver.close()
            raise
        self.interfaces = {}

    def __enter__(self):
        try:
            rtguest.wait_ready(self.sender, self.receiver)
            _pin((self.sender, self.receiver))
            for side, guest in ((self.SENDER, self.sender),
                                (self.RECEIVER, self.receiver)):
                for i in range(len(KINDS)):
                    name = guest.ifup(_mac(side, i), f'{_ip(side, i)}/24')
                    guest.neighbour(name, _ip(3 - side, i), _mac(3 - side, i))
                    self.interfaces[guest, i] = name
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.sender.close()
        self.receiver.close()

    def check_offers(self):
        """The virtio features and the MTU, which must be all the same."""
        offers = set()
        for (guest, _), name in self.interfaces.items():
            path = f'/sys/class/net/{name}'
            offers.add(tuple(guest.run(
                f'cat {path}/device/features {path}/mtu').out.split()))
        if len(offers) != 1:
            raise NotComparable('the NICs offer their guests different '
                                f'features or MTUs: {sorted(offers)}')
        (features, mtu), = offers
        # sysfs writes bit 0 first.
        return [bit for bit, on in enumerate(features) if on == '1'], int(mtu)


def _pin(guests):
    """Give each of the guests its share of the processors."""
    cpus = sorted(os.sched_getaffinity(0))
    for number, guest in enumerate(guests):
        share = set(cpus[number::len(guests)]) or set(cpus)
        for thread in os.listdir(f'/proc/{guest.pid}/task'):
            os.sched_setaffinity(int(thread), share)


def _cpu_ns(guest):
    """Processor time of QEMU's main loop so far."""
    with open(f'/proc/{guest.pid}/task/{guest.pid}/schedstat',
              encoding='ascii') as f:
        return int(f.read().split()[0])


def _count(bed, number):
    """What arrives within a window: bytes, frames, seconds; main loops."""
    path = f'/sys/class/net/{bed.interfaces[bed.receiver, number]}/statistics'
    read = f'cat /proc/uptime {path}/rx_bytes {path}/rx_packets'
    before_ns = [_cpu_ns(guest) for guest in (bed.sender, bed.receiver)]
    words = bed.receiver.run(f'{read}; sleep {WINDOW_S}; {read}').out.split()
    cpu_ns = [_cpu_ns(guest) - before for guest, before in
              zip((bed.sender, bed.receiver), before_ns)]
    (start_s, _, bytes0, frames0), (end_s, _, bytes1, frames1) = \
        (map(float, part) for part in (words[:4], words[4:]))
    frames = frames1 - frames0
    if not frames:
        raise rtguest.GuestError('no bulk frame arrived: see build/logs')
    return {
        'throughput_bps': (bytes1 - bytes0) * 8 / (end_s - start_s),
        'sender_loop_ns_per_frame': cpu_ns[0] / frames,
        'receiver_loop_ns_per_frame': cpu_ns[1] / frames,
    }


def _sample(bed, number, protocol):
    address = _ip(bed.RECEIVER, number)
    if protocol == 'udp':
        sink = bed.receiver.start(f'rtprobe sink --ports {PORT}')
        sink.wait_output('ready')
        source = bed.sender.start(
            f'rtprobe flood --dst {address} --port {PORT} --bytes {UDP_BYTES} '
            '--duration-ms 60000')
    else:
        sink = bed.receiver.start(f'nc -l -p {PORT} > /dev/null', stdin='open')
        traffic.eventually(
            lambda: f':{PORT:04X} ' in bed.receiver.run(
                'cat /proc/net/tcp /proc/net/tcp6', check=False).out,
            'the receiver listens')
        source = bed.sender.start(f'nc {address} {PORT} < /dev/zero')
    time.sleep(WARM_UP_S)
    try:
        return _count(bed, number)
    finally:
        for command in (source, sink):
            command.kill().wait(30, check=False)


def measure(progress):
    """{features, mtu, rows}; one row per protocol and kind."""
    samples = {(p, k): [] for p in PROTOCOLS for k in KINDS}
    with tempfile.TemporaryDirectory(prefix='rtbulk-', dir='/tmp') as tmp:
        progress('booting two guests')
        with Bed(tmp) as bed:
            features, mtu = bed.check_offers()
            for number in range(SAMPLES):
                for protocol in PROTOCOLS:
                    for turn in range(len(KINDS)):
                        # Nobody is always the first, or behind the same.
                        i = (number + turn) % len(KINDS)
                        progress(f'{protocol} over {KINDS[i]}, sample '
                                 f'{number + 1} of {SAMPLES}')
                        samples[protocol, KINDS[i]].append(
                            _sample(bed, i, protocol))
    rows = []
    for (protocol, kind), found in samples.items():
        row = {'part': 'bulk', 'protocol': protocol, 'nic': kind}
        for key in found[0]:
            values = sorted(sample[key] for sample in found)
            row[key] = statistics.median(values)
            row[f'{key}_least'], row[f'{key}_most'] = values[0], values[-1]
        # Neighbours in time, so that a slow spell hits both.
        row['ratio'] = statistics.median(
            own['throughput_bps'] / plain['throughput_bps'] for own, plain in
            zip(found, samples[protocol, KINDS[0]]))
        rows.append(row)
    return {'features': features, 'mtu': mtu, 'rows': rows}


def table(result):
    lines = [
        f'Bulk between two guests, {SAMPLES} samples in turn, medians:', '',
        f"{'':<5}{'NIC':<18}{'Mbit/s':>7}{'(least, most)':>16}{'ratio':>7}"
        '    main loop, us per frame: sender, receiver']
    for row in result['rows']:
        spread = f"({row['throughput_bps_least'] / 1e6:.1f}, " \
                 f"{row['throughput_bps_most'] / 1e6:.1f})"
        lines.append(
            f"{row['protocol']:<5}{row['nic']:<18}"
            f"{row['throughput_bps'] / 1e6:>7.1f}{spread:>16}"
            f"{row['ratio']:>7.3f}{'':>10}"
            f"{row['sender_loop_ns_per_frame'] / 1e3:>6.2f}"
            f"{row['receiver_loop_ns_per_frame'] / 1e3:>10.2f}")
    lines.append(f"All NICs offer the same virtio features "
                 f"({', '.join(map(str, result['features']))}) and MTU "
                 f"{result['mtu']}.")
    return '\n'.join(lines)


def summary(result):
    by_name = {(r['protocol'], r['nic']): r for r in result['rows']}
    ratios = {f"bulk_{p}_ratio{'_scheduler' if 'sch' in k else ''}":
              by_name[p, k]['ratio'] for p in PROTOCOLS for k in KINDS[1:]}
    udp = [by_name['udp', kind] for kind in KINDS[:2]]
    return {
        'bulk_ratio_vs_virtio': min(ratios.values()),
        **ratios,
        'bulk_udp_virtio_bps': udp[0]['throughput_bps'],
        'bulk_udp_rtvnic_bps': udp[1]['throughput_bps'],
    }
