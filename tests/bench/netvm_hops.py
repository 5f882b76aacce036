# SPDX-License-Identifier: GPL-2.0-or-later
"""What one more hop costs: members that share a core pass packets on directly,
so that nothing waits for another core.  Nanoseconds, and instructions (by
callgrind, which counts the same each time).

Threads: none of its own.
"""

import glob
import os
import re
import shutil
import statistics
import subprocess

import netvm_bed
from switch_host import Failed

SAMPLES = 11
MEMBERS = (2, 3, 4)
COUNTED = (100000, 300000)      # packets; the difference is their price


def _ns(bed, members):
    load = netvm_bed.Load(bed, members, '--threads', '1', '--touch')
    try:
        load.sample()
        return [1e9 / load.sample()['pps'] for _ in range(SAMPLES)]
    finally:
        load.close()


def _instructions(bed, packets):
    """All that netvm-load executes for so many packets."""
    out = os.path.join(bed.directory, f'profile-{packets}')
    done = subprocess.run(
        ['valgrind', '--tool=callgrind', f'--callgrind-out-file={out}',
         *bed.argv(2, '--threads', '1', '--touch', '--packets',
                   str(packets))],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=300)
    match = re.search(r'"pkts": (\d+)', done.stdout)
    if done.returncode or not match:
        raise Failed(f'netvm-load under callgrind: {done.stdout[-300:]}')
    for name in glob.glob(out + '*'):
        with open(name, encoding='utf-8') as f:
            total = re.search(r'^(?:totals|summary): (\d+)', f.read(),
                              re.MULTILINE)
        if total:
            return int(match[1]), int(total[1])
    raise Failed('callgrind has written no profile')


def measure(progress):
    rows, instructions = [], None
    with netvm_bed.Bed(True) as bed:
        for members in MEMBERS:
            progress(f'hops between {members} members')
            ns = sorted(_ns(bed, members))
            rows.append({'name': f'{members} members', 'members': members,
                         'hop_ns': statistics.median(ns),
                         'hop_ns_least': ns[0], 'hop_ns_most': ns[-1]})
        if shutil.which('valgrind'):
            progress('instructions of a hop')
            first, second = (_instructions(bed, n) for n in COUNTED)
            instructions = (second[1] - first[1]) / (second[0] - first[0])
    return {'rows': rows, 'instructions': instructions}


def table(result):
    lines = [f'{"one hop, touched, one core":<28}{"ns":>8}  (least, most)']
    for r in result['rows']:
        lines.append(f"{r['name']:<28}{r['hop_ns']:>8.1f}  "
                     f"({r['hop_ns_least']:.1f}, {r['hop_ns_most']:.1f})")
    if result['instructions'] is None:
        lines.append('No instructions: valgrind is missing (Debian: valgrind).')
    else:
        lines.append(f"{'instructions':<28}{result['instructions']:>8.1f}")
    return '\n'.join(lines)


def summary(result):
    return {'hop_cost_ns': result['rows'][-1]['hop_ns'],
            'hop_cost_insn': result['instructions']}
