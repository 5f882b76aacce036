# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets between two real guests: netvmprobe in each sends them there and
back, at most a burst at a time, and looks at each byte.  They are emulated
(TCG) unless KVM starts guests here: an emulated guest's processor and its
wake-ups are what this measures.

Threads: none of its own.
"""

import contextlib
import re
import statistics
import tempfile

import rtguest
from rtguest import vus
from switch_host import Failed

PACKETS = 20000
RUNS = 5
SIZE_MIB = 64


def _boot(daemon, name):
    return rtguest.Guest(
        name, '-chardev', f'socket,id=c0,path={daemon.socket(name)},'
                          'reconnect-ms=100',
        '-device', f'netvm-shm,id=nv0,chardev=c0,size={SIZE_MIB}M',
        netvm=True)


def _pps(sender):
    out = sender.run(f'netvmprobe send=b,{PACKETS}', timeout_s=120).out
    match = re.search(r'pps=(\d+)', out)
    if not match:
        raise Failed(f'netvmprobe: {out.strip()}')
    return int(match[1])


def _rates(direct):
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix='bench-netvm-', dir='/tmp'))
        daemon = vus.Daemon(directory)
        stack.callback(daemon.close)
        daemon.start()
        daemon.call('domain.set', name='d', settings={
            'pages': 'ordinary', 'buffers': '2048',
            'direct': 'on' if direct else 'off'})
        guests = []
        for name in ('a', 'b'):
            daemon.call('port.add', name=name, settings={
                'type': 'netvm', 'domain': 'd',
                'socket': daemon.socket(name)})
            guests.append(stack.enter_context(_boot(daemon, name)))
        rtguest.wait_ready(*guests)
        guests[1].start('netvmprobe echo=a').wait_output('ready')
        return sorted(_pps(guests[0]) for _ in range(RUNS))


def measure(progress):
    rows = []
    for name, direct in (('direct', True), ('through the daemon', False)):
        progress(f'guests: {name}')
        pps = _rates(direct)
        rows.append({'name': f'guests, {name}', 'direct': direct,
                     'accel': rtguest.accelerator(), 'packets': PACKETS,
                     'kpps': statistics.median(pps) / 1e3,
                     'kpps_least': pps[0] / 1e3, 'kpps_most': pps[-1] / 1e3})
    return {'rows': rows}


def table(result):
    accel = result['rows'][0]['accel'].upper()
    lines = [f'{f"two real guests ({accel}), there and back":<38}{"kpps":>8}'
             '  (least, most)']
    for r in result['rows']:
        lines.append(f"{r['name']:<38}{r['kpps']:>8.1f}  "
                     f"({r['kpps_least']:.1f}, {r['kpps_most']:.1f})")
    return '\n'.join(lines)


def summary(result):
    direct, daemon = result['rows']
    return {f"guests_{direct['accel']}_direct_kpps": direct['kpps'],
            f"guests_{direct['accel']}_daemon_kpps": daemon['kpps']}
