# SPDX-License-Identifier: GPL-2.0-or-later
"""What the RT path costs per frame: instructions (callgrind) and time.

bench-rt-path walks the path on one core, without QEMU around it, but with the
files that are in QEMU and the options with which they are compiled there.

Threads: none.
"""

import collections
import json
import os
import re
import shutil
import subprocess
import tempfile

import rtguest

PROGRAM = os.path.join(rtguest.TOP, 'build', 'rtnet', 'tests', 'bench',
                       'bench-rt-path')
COUNTED_BATCHES = 60            # instructions hardly vary

STEPS = {
    'alloc': 'g_malloc and g_free of the buffer',
    'copy': 'memcpy of the frame, 256 bytes',
    'accept': 'check, mark, police, make the trailer\'s fields',
    'push': 'enqueue',
    'pop': 'dequeue: who is next',
    'depart': 'late?  write the trailer, CRC-32C',
    'sent': 'counters, histogram of the queueing delay',
    'pace': 'when the link is free, histogram of wake-ups',
    'receive': 'verify, CRC-32C, measure, restore DSCP, strip',
    'rt-path': 'all of the RT path',
}

class Unavailable(Exception):
    """Why there is no figure, and what to do."""


def check():
    """Raise Unavailable if this cannot be measured here."""
    if not os.access(PROGRAM, os.X_OK):
        raise Unavailable(f'{os.path.relpath(PROGRAM)} is missing: run "make"')
    if not shutil.which('valgrind'):
        raise Unavailable('instructions are counted by valgrind, which is '
                          'missing (Debian: valgrind)')


def _calls(path):
    """{(caller, callee): [calls, instructions in it and below]}"""
    names = {}
    costs = collections.defaultdict(lambda: [0, 0])
    caller = callee = None
    with open(path, encoding='utf-8') as f:
        for line in f:
            name = re.match(r'c?fn=\((\d+)\)(?: (.*))?', line)
            if name:
                if name.group(2):
                    names[name.group(1)] = name.group(2).split("'")[0]
                if line.startswith('cfn='):
                    callee = names[name.group(1)]
                else:
                    caller = names[name.group(1)]
            elif line.startswith('calls='):
                cost = costs[caller, callee]
                cost[0] += int(line[len('calls='):].split()[0])
                cost[1] += int(next(f).split()[1])
    return costs


def _count_instructions():
    """As _calls(), of bench-rt-path."""
    with tempfile.TemporaryDirectory(prefix='rtpath-') as directory:
        profile = os.path.join(directory, 'profile')
        done = subprocess.run(
            ['valgrind', '--tool=callgrind', f'--callgrind-out-file={profile}',
             PROGRAM, '--batches', str(COUNTED_BATCHES)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise Unavailable(f'valgrind cannot run bench-rt-path:\n'
                              f'{done.stderr.strip()}')
        return _calls(profile)


def measure(progress):
    """{frame_bytes, ports, depth_pkts, steps, rows}"""
    progress('RT path: time and instructions')
    done = subprocess.run([PROGRAM], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Unavailable(done.stderr.strip() or
                          f'bench-rt-path ended with {done.returncode}')
    result = json.loads(done.stdout)
    counted = _count_instructions()
    total = 0
    for step in result['steps']:
        if step['step'] == 'rt-path':
            step['instructions'] = total
            continue
        name = 'step_' + step['step']
        times, whole = map(sum, zip(*(
            cost for (_, callee), cost in counted.items() if callee == name)))
        # Without the step itself, which is the benchmark's; but where the
        # compiler has put what it calls into it, there is nothing else.
        called = sum(cost for (caller, _), (_, cost) in counted.items()
                     if caller == name)
        step['instructions'] = (called or whole) / times
        total += step['instructions'] if step['rt_path'] else 0
    result['rows'] = [
        {'part': 'path', 'step': step['step'], 'rt_path': step['rt_path'],
         'frame_bytes': result['frame_bytes'],
         'instructions_per_frame': step['instructions'],
         'per_frame_ns': step['median_ns'], 'least_ns': step['least_ns'],
         'most_ns': step['most_ns']} for step in result['steps']]
    return result


def summary(result):
    total, = (s for s in result['steps'] if s['step'] == 'rt-path')
    return {'rt_path_instructions_per_frame': total['instructions'],
            'rt_path_ns_per_frame': total['median_ns']}


def table(result):
    lines = [
        f"RT path of a frame of {result['frame_bytes']} bytes, "
        f"{result['ports']} rtvnics on one scheduler, about "
        f"{result['depth_pkts']} frames waiting:", '',
        f"{'step':<9}{'instructions':>13}{'ns':>8}{'(least, most)':>17}  "
        'what it does']
    for step in result['steps']:
        spread = f"({step['least_ns']:.1f}, {step['most_ns']:.1f})"
        line = f"{step['step']:<9}{step['instructions']:>13.1f}" \
               f"{step['median_ns']:>8.1f}{spread:>17}  {STEPS[step['step']]}"
        if step['step'] == 'rt-path':
            lines.append('-' * 78)
        lines.append(line if step['rt_path'] else line + ' *')
    lines += ['* not counted as RT path: any queue or shaper does that',
              'Not in it: what port-tx.c, port-rx.c and sched.c do around '
              'these, the net layer,', 'clocks, timers, the virtio ring.']
    return '\n'.join(lines)
