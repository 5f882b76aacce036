# SPDX-License-Identifier: GPL-2.0-or-later
"""A daemon that has nothing to do, and its first frame after that.

    idle     processor time with 16 connected guests that are silent
    first    from the sender's kick to the frame in the receiver's ring, after
             10 to 50 ms in which all of them were silent
    two      the same where there are only these two guests
    rtvnic   the same from an rtvnic, through the queue of a link
    wake     how long this host takes to wake a thread that sleeps for an
             eventfd on the worker's core; in turn with each of these frames

Threads: none of its own.
"""

import contextlib
import os
import statistics
import tempfile
import time

from host_edf_bed import Bed, Bulk, Plan, Rt
from switch_host import Prioritized

GUESTS = 16
IDLE_S = 5
SETTLE_S = 1
TURNS = 5
TIMES = 12                      # in a turn

# The first source is the one that sends; the sink is a guest, too.
PLANS = {
    'first': Plan({}, bulk=tuple(Bulk(f'guest{i}', 204)
                                 for i in range(GUESTS - 1))),
    'two': Plan({}, bulk=(Bulk('guest', 204),)),
    'rtvnic': Plan({'rate-bps': 10**9}, rt=(Rt('guest', 204, 5000, 2000),)),
}


def _cpu_s(pid):
    """That all threads of a process have used."""
    used_ns = 0
    for tid in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{tid}/schedstat', encoding='ascii') as f:
            used_ns += int(f.read().split()[0])
    return used_ns / 1e9


def _idle_pct(bed):
    bed.process.resume()
    time.sleep(SETTLE_S)
    before_s, began_s = _cpu_s(bed.process.pid), time.monotonic()
    time.sleep(IDLE_S)
    used_s = _cpu_s(bed.process.pid) - before_s
    took_s = time.monotonic() - began_s
    bed.process.pause()
    return used_s / took_s * 100


def _first(bed):
    bed.process.resume()
    with Prioritized(bed.worker_tid):
        times = bed.front.first(TIMES)
    bed.process.pause()
    return times


def measure(progress):
    times = {name: {'first_us': [], 'wake_us': []} for name in PLANS}
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix='host-edf-', dir='/tmp'))
        beds = {}
        for name, plan in PLANS.items():
            beds[name] = Bed(name, plan, directory)
            stack.callback(beds[name].close)
        progress(f'idle: {GUESTS} silent guests')
        idle_pct = _idle_pct(beds['first'])
        for turn in range(TURNS):
            progress(f'idle: first frames, turn {turn + 1} of {TURNS}')
            for name, bed in beds.items():
                for key, us in _first(bed).items():
                    times[name][key] += us
    return {'rows': [{'part': 'idle', 'guests': GUESTS, 'seconds': IDLE_S,
                      'cpu_pct': idle_pct}, *_rows(times)]}


def _rows(times):
    for name, both in times.items():
        row = {'part': name, 'times': TURNS * TIMES}
        for key, us in both.items():
            what = key[:-3]
            row[f'{what}_p50_us'] = statistics.median(us)
            row[f'{what}_p90_us'] = statistics.quantiles(us, n=10)[-1]
            row[f'{what}_max_us'] = max(us)
        yield row


def table(result):
    idle, *rows = result['rows']
    names = {'first': f'{GUESTS} guests', 'two': '2 guests',
             'rtvnic': 'from an rtvnic, through a queue'}
    lines = [f"{idle['guests']} silent guests: {idle['cpu_pct']:.2f} % of a "
             'core', '',
             f"{'After 10 to 50 ms of silence, us':<34}{'a frame':>20}"
             f"{'waking a thread':>24}",
             f"{'':<32}" + f"{'median':>8}{'p90':>8}{'worst':>8}" * 2]
    for row in rows:
        lines.append(f"{names[row['part']]:<32}" + ''.join(
            f"{row[f'{what}_{key}_us']:>8.1f}" for what in ('first', 'wake')
            for key in ('p50', 'p90', 'max')))
    return '\n'.join(lines)


def summary(result):
    idle, *rows = result['rows']
    figures = {'idle_cpu_pct': idle['cpu_pct']}
    for row in rows:
        name = {'first': 'first_packet', 'two': 'first_packet_2_guests',
                'rtvnic': 'first_packet_rtvnic'}[row['part']]
        figures[f'{name}_us'] = row['first_p50_us']
        figures[f'{name}_worst_us'] = row['first_max_us']
        figures[f'{name}_over_wake_us'] = \
            row['first_p50_us'] - row['wake_p50_us']
        if row['part'] == 'first':
            figures['wake_up_us'] = row['wake_p50_us']
            figures['wake_up_worst_us'] = row['wake_max_us']
    return figures
