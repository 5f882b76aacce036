# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions per frame, counted by callgrind, from when it has been read from
its sender's ring until the receiver has it: forward_burst() and schedule_run()
of the daemon.

    passed   plain frames whose link is free: they do not wait, and are copied
             once
    queued   plain frames that wait, and are copied twice
    tenants  the same, with a tenant and guarantees
    rt       frames of an rtvnic that wait, and leave with a trailer

They come in bursts of 16 and leave one by one.  The load is slow, as the daemon
is under callgrind; that shows programs a processor without AVX-512.

Threads: none of its own.
"""

import collections
import os
import re
import shutil
import tempfile
import textwrap
import time

from host_edf_bed import Bulk, Daemon, Front, Plan, Rt
from switch_host import START_S, Failed, Prioritized

COUNTED = ('forward_burst', 'schedule_run')
FRAME_BYTES = 256
RATE_BPS = 20_000_000
SECONDS = 0.7
BURST = 16
QUEUE_PKTS = 32768              # a slow daemon does not drop
LINK_MTU = 576                  # a stall is made good for one such frame
INTERVAL_US = 2300              # of a burst that takes 2000 on the link
DEADLINE_US = 50000
SHOWN = 14                      # functions

SINK = {'uplink': 'on', 'rate-bps': RATE_BPS, 'queue-pkts': QUEUE_PKTS,
        'host-jitter-us': 0, 'link-mtu': LINK_MTU}


def _plain(offered, settings=None, tenants=None):
    return Plan(SINK, bulk=(Bulk('plain', FRAME_BYTES, int(RATE_BPS * offered),
                                 settings or {}),), tenants=tenants or {})


PLANS = {
    'passed': Plan({**SINK, 'rate-bps': '100G'},
                   bulk=(Bulk('plain', FRAME_BYTES, RATE_BPS),)),
    'queued': _plain(1.05),
    'tenants': _plain(1.05, {'tenant': 't', 'guarantee-bps': RATE_BPS // 4},
                      {'t': {'guarantee-bps': RATE_BPS // 2}}),
    'rt': Plan(SINK, rt=(Rt('rt', FRAME_BYTES, INTERVAL_US, DEADLINE_US,
                            BURST),)),
}


class Counted(Daemon):
    def argv(self):
        self.profile = os.path.join(self.directory, 'profile')
        return ['valgrind', '--tool=callgrind', '--collect-atstart=no',
                *(f'--toggle-collect={name}' for name in COUNTED),
                f'--callgrind-out-file={self.profile}', *super().argv(),
                '--sandbox', 'off']


def _functions(profile):
    """{function: instructions of its own}"""
    names, counts, current = {}, collections.Counter(), None
    with open(profile, encoding='utf-8') as f:
        for line in f:
            if match := re.match(r'fn=\((\d+)\)(?: (.*))?', line):
                if match[2]:
                    names[match[1]] = match[2]
                current = match[1]
            elif match := re.match(r'cfn=\((\d+)\) (.*)', line):
                names[match[1]] = match[2]
            elif line.startswith('calls='):
                next(f)                 # with what was called
            elif current and re.match(r'[-+*\d]', line):
                counts[current] += int(line.split()[1])
    return {names[number]: count for number, count in counts.items()}


def _wait_drained(name, daemon):
    """How many frames have gone all the way."""
    until = time.monotonic() + START_S
    while True:
        ports = daemon.call('stats')['ports']
        sent = sum(port['ingress-pkts'] for port in ports)
        come = sum(port['egress-pkts'] for port in ports)
        if sent == come:
            return come
        if time.monotonic() > until:
            raise Failed(f'{name}: {sent - come} of {sent} frames were dropped '
                         'while instructions were counted')
        time.sleep(0.1)


def _count(name, plan, directory):
    """{function: instructions of its own per frame}"""
    daemon = Counted(name, plan, directory)
    try:
        front = Front(daemon, trailed=True)
        try:
            front.wait_ready()
            with Prioritized(daemon.poller_tid):
                front.sample(SECONDS)
            frames = _wait_drained(name, daemon)
        finally:
            front.close()
    finally:
        daemon.close()
    return {function: count / frames
            for function, count in _functions(daemon.profile).items()}


def measure(progress):
    if not shutil.which('valgrind'):
        progress('')
        print('Instructions are not counted: valgrind is missing (Debian: '
              'valgrind).\n')
        return {'counts': {}, 'rows': []}
    with tempfile.TemporaryDirectory(prefix='host-edf-',
                                     dir='/tmp') as directory:
        counts = {}
        for name, plan in PLANS.items():
            progress(f'instructions: {name}')
            counts[name] = _count(name, plan, directory)
    return {'counts': counts,
            'rows': [{'part': 'cost', 'frames': name,
                      'insn_per_packet': sum(by_function.values()),
                      'functions': by_function}
                     for name, by_function in counts.items()]}


def _difference(result, above, below):
    """[(function, instructions more), ...], most first."""
    more, less = (result['counts'][name] for name in (above, below))
    differences = {function: more.get(function, 0) - less.get(function, 0)
                   for function in {*more, *less}}
    return sorted(differences.items(), key=lambda item: -abs(item[1]))


def _short(function):
    """Without what compilers and libraries add."""
    return re.split(r"[@.']", function)[0].lstrip('_')


def table(result):
    if not result['counts']:
        return 'instructions: not counted'
    lines = [f'Instructions per frame of {FRAME_BYTES} bytes, from ring to '
             'ring without reading the first', '']
    lines += [f"{row['frames']:<10}{row['insn_per_packet']:>8.0f}"
              for row in result['rows']]
    for above, below in (('rt', 'queued'), ('tenants', 'queued')):
        parts = ', '.join(f'{_short(function)} {more:+.0f}' for function, more
                          in _difference(result, above, below)[:SHOWN])
        lines += ['', *textwrap.wrap(f'{above} against {below}: {parts}', 79)]
    return '\n'.join(lines)


def summary(result):
    insn = {row['frames']: row['insn_per_packet'] for row in result['rows']}
    if not insn:
        return {'rt_cost_insn_per_packet': None,
                'tenants_cost_insn_per_packet': None}
    return {
        'rt_cost_insn_per_packet': insn['rt'] - insn['queued'],
        'tenants_cost_insn_per_packet': insn['tenants'] - insn['queued'],
        **{f'{name}_insn_per_packet': count for name, count in insn.items()},
    }
