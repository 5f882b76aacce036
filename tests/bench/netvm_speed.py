# SPDX-License-Identifier: GPL-2.0-or-later
"""How many packets per second two members send each other.

Directly: member and member, each on a core of its own.  Through the daemon: all
members on one core, the daemon's worker on the other.  Beside them, in the same
turns: DPDK's rte_ring, whose two threads have the same cores, and two
vhost-user ports of the daemon, whose drivers (switch-load.c) share a core and
leave packets alone.  Touched: each of the others reads a packet's first line
and writes its addresses.

What two cores do together depends on how far apart they are: each sample
carries that, and only those of one class are compared.

Threads: none of its own.
"""

import contextlib
import dataclasses
import os
import statistics
import tempfile

import netvm_bed
from switch_back import BACK_CPU
from switch_contender import Contender
from switch_front import FRONT_CPU
from switch_matrix import Row
from switch_report import CLASSES

TURNS = 31
FEW = 5                         # samples of a class; fewer are not quoted


@dataclasses.dataclass(frozen=True)
class Way:
    """A row of the table: how packets go, and which."""
    key: str
    title: str
    kind: str                   # direct, daemon, ring, vhost
    bytes: int = 64
    options: tuple = ('--touch',)


WAYS = (
    Way('direct_64', 'direct, 64 B', 'direct'),
    Way('direct_1518', 'direct, 1518 B', 'direct', 1518),
    Way('direct_64_untouched', 'direct, 64 B, untouched', 'direct',
        options=()),
    Way('direct_64_scattered', 'direct, 64 B, scattered **', 'direct',
        options=('--touch', '--scattered')),
    Way('daemon_64', 'through the daemon, 64 B', 'daemon'),
    Way('daemon_1518', 'through the daemon, 1518 B', 'daemon', 1518),
    Way('vhost_1518', 'vhost-user, copied, 1518 B *', 'vhost', 1518),
    Way('rte_ring_64', 'rte_ring of addresses, 64 B', 'ring'),
    Way('rte_ring_desc_64', 'rte_ring of 16 bytes, 64 B', 'ring',
        options=('--touch', '--descriptors')),
)
# key: (above, below)
RATIOS = {
    'ratio_1518_vs_64': ('direct_1518', 'direct_64'),
    'daemon_ratio_1518_vs_64': ('daemon_1518', 'daemon_64'),
    # Both through the daemon; directly it is more.
    'ratio_1518_vs_vhost': ('daemon_1518', 'vhost_1518'),
    'direct_ratio_1518_vs_vhost': ('direct_1518', 'vhost_1518'),
    'ratio_vs_rte_ring': ('direct_64', 'rte_ring_64'),
    'ratio_vs_rte_ring_of_descriptors': ('direct_64', 'rte_ring_desc_64'),
}


def _contender(way, stack, directory):
    if way.kind == 'vhost':
        vhost = Contender(Row(bytes=str(way.bytes)), 'ours', 2, directory)
        stack.callback(vhost.close)
        return lambda: (s := vhost.sample()) | {'pps': s['rx_pps_sum']}
    options = ('--bytes', str(way.bytes - 4), *way.options)
    if way.kind == 'ring':
        load = netvm_bed.RteRing(directory, way.key, *options)
    else:
        bed = stack.enter_context(netvm_bed.Bed(way.kind == 'direct'))
        load = netvm_bed.Load(
            bed, 2, '--threads', '2' if way.kind == 'direct' else '1',
            *options)
    stack.callback(load.close)
    return load.sample


def _ways():
    """Without DPDK what it is for is left out."""
    there = os.access(netvm_bed.RTE_RING, os.X_OK)
    return [way for way in WAYS if there or way.kind != 'ring']


def measure(progress):
    samples = {way.key: [] for way in _ways()}
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix='bench-netvm-', dir='/tmp'))
        take = {}
        for way in _ways():
            progress(f'starting: {way.title}')
            take[way.key] = _contender(way, stack, directory)
            take[way.key]()
        for turn in range(TURNS):
            if turn % 10 == 0:
                progress(f'turn {turn + 1} of {TURNS}')
            # Nobody is always the first, or behind the same.
            keys = list(take)
            for i in range(len(keys)):
                key = keys[(turn + i) % len(keys)]
                samples[key].append(take[key]())
    return {'rows': [_row(way, samples[way.key]) for way in _ways()],
            'ratios': {key: _ratio(samples, *ways)
                       for key, ways in RATIOS.items()}}


# -- What the samples say -----------------------------------------------------

def _best_class(samples):
    """The one with most samples."""
    n = {name: sum(s['class'] == name for s in samples) for name in CLASSES}
    return max(CLASSES, key=n.get)


def _row(way, samples):
    name = _best_class(samples)
    rates = sorted(s['pps'] / 1e6 for s in samples if s['class'] == name)
    return {'name': way.key, 'title': way.title, 'bytes': way.bytes,
            'class': name, 'samples': len(rates), 'of': len(samples),
            'mpps': statistics.median(rates) if rates else None,
            'mpps_least': min(rates, default=None),
            'mpps_most': max(rates, default=None),
            'ping_pong_ns': statistics.median(
                t for s in samples if s['class'] == name or not rates
                for t in s['ping_pong_ns']),
            'classes': {
                kind: statistics.median(s['pps'] / 1e6 for s in some)
                for kind in CLASSES
                if len(some := [s for s in samples
                                if s['class'] == kind]) >= FEW}}


def _ratio(samples, above, below):
    """The median of the turns in which both are of one class; None: they are
    too few, or one was not measured."""
    found = [a['pps'] / b['pps']
             for a, b in zip(samples.get(above, ()), samples.get(below, ()))
             if a['class'] == b['class'] in CLASSES and b['pps']]
    return statistics.median(found) if len(found) >= FEW else None


def table(result):
    lines = [f'{"packets round, bursts of 32":<30}{"Mpps":>8}  '
             f'{"(least, most)":<18}{"cores":>6}{"there and back":>16}'
             f'{"samples":>9}']
    for r in result['rows']:
        if r['mpps'] is None:
            lines.append(f"{r['title']:<30}{'none':>8}  the cores were not "
                         'free')
            continue
        span = f"({r['mpps_least']:.1f}, {r['mpps_most']:.1f})"
        lines.append(f"{r['title']:<30}{r['mpps']:>8.1f}  {span:<18}"
                     f"{r['class']:>6}{r['ping_pong_ns']:>13.0f} ns"
                     f"{r['samples']:>6}/{r['of']}")
    lines.append('A packet counts each time that somebody gets it; sizes with '
                 'FCS; touched, if nothing else')
    lines.append('is said.  Direct and rte_ring: a thread for each member, on '
                 f'cores {FRONT_CPU} and {BACK_CPU}.')
    lines.append('*: its drivers touch nothing; the daemon copies all of it.')
    lines.append('**: any buffers of the domain; in all others they go round in '
                 'the order of their numbers.')
    if not any(r['name'].startswith('rte_ring') for r in result['rows']):
        lines.append('rte_ring was not there when this was built: install '
                     'libdpdk-dev and say "make".')
    return '\n'.join(lines)


def summary(result):
    row = {r['name']: r for r in result['rows']}
    return {
        'direct_64_mpps': row['direct_64']['mpps'],
        'direct_64_class': row['direct_64']['class'],
        'direct_64_untouched_mpps': row['direct_64_untouched']['mpps'],
        'direct_64_scattered_mpps': row['direct_64_scattered']['mpps'],
        'daemon_64_mpps': row['daemon_64']['mpps'],
        **result['ratios'],
    }
