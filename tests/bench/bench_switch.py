#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast vhost-user-shmem switches, beside DPDK testpmd and Open vSwitch.

The back ends (switch_back.py) join the same ports and are loaded in turn, A B C
A B C, by the same front end (switch_front.py); who is not measured is stopped.
Each polls on core 0, the front end on core 1.

A virtual machine's cores are moved about by the host, and share theirs with
others.  So each sample carries the distance of the two, and only samples of one
distance are compared.  Samples are short and turns quick, that a slow spell
hits all; a ratio is the median over the turns.

Prints a table; writes build/results/bench-switch.json and .png.  About ten
minutes, on a machine that has nothing else to do; --full takes more than an
hour.

Needs root: for huge pages, for SCHED_FIFO, and for Open vSwitch, which gets a
network namespace of its own.  Without, there have to be free huge pages, and
other load disturbs.

Threads: none of its own.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'functional'))

import switch_front                                     # noqa: E402
import switch_insn                                      # noqa: E402
import switch_matrix                                    # noqa: E402
import switch_plot                                      # noqa: E402
import switch_report                                    # noqa: E402
from bench_parts import progress                        # noqa: E402
from rtguest.results import show_files, write_json      # noqa: E402
from switch_back import BACKS                           # noqa: E402
from switch_contender import Contender                  # noqa: E402
from switch_host import (COMMAND_PRIORITY, Failed,      # noqa: E402
                         HugePages, Prioritized, Unavailable)

TARGET = 'bench-switch'
GAP_S = 0.03                    # the kernel bounds SCHED_FIFO


def measure(row, wanted, what):
    """@wanted samples of each contender in one class; up to twice as many are
    taken for that."""
    result = switch_report.Result(row, {c: [] for c in row.contenders})
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix='bench-switch-', dir='/tmp'))
        contenders = []
        for name, ports in row.contenders:
            progress(f'{what}: starting {name}, {ports} ports')
            contenders.append(Contender(row, name, ports, directory))
            stack.callback(contenders[-1].close)
        for number in range(2 * wanted):
            if number % 10 == 0:
                progress(f'{what}: turn {number + 1}')
            for turn in range(len(contenders)):
                # Nobody is always the first, or behind the same.
                i = (number + turn) % len(contenders)
                result.samples[row.contenders[i]].append(
                    contenders[i].sample())
                time.sleep(GAP_S)
            if number + 1 >= wanted and \
                    switch_report.has_enough(result, wanted):
                break
    return result


def parse():
    parser = argparse.ArgumentParser(
        description='How fast vhost-user-shmem switches, beside DPDK testpmd '
                    'and Open vSwitch.')
    parser.add_argument('--full', action='store_true',
                        help='all rows, more than an hour')
    parser.add_argument('--only', metavar='GLOB', action='append',
                        help='rows whose name fits (see --list); writes no '
                             'files')
    parser.add_argument('--backs', metavar='NAME,...',
                        help=f"only these, of {', '.join(BACKS)}")
    parser.add_argument('--samples', metavar='N', type=int, default=31,
                        help='of each row and back end (31)')
    parser.add_argument('--list', action='store_true',
                        help='name the rows and end')
    args = parser.parse_args()
    if args.samples < 1:
        parser.error(f'--samples {args.samples}: at least 1')
    try:
        rows = switch_matrix.select(args.full, args.only)
    except KeyError as e:
        parser.error(f'--only {e.args[0]}: no row has such a name; see --list '
                     '--full')
    backs = args.backs.split(',') if args.backs else list(BACKS)
    if unknown := set(backs) - set(BACKS):
        parser.error(f"--backs: no {', '.join(unknown)}; choose from "
                     f"{', '.join(BACKS)}")
    rows = [row.only(backs) for row in rows]
    rows = [row for row in rows if row.backs]
    if not rows:
        parser.error('none of these rows has one of these back ends')
    return args, rows


def check(rows):
    """Unavailable, with all that is missing."""
    used = {back for row in rows for back in row.backs}
    used |= {row.front for row in rows if row.front in BACKS}
    missing = []
    for checked in (switch_front, *(BACKS[b] for b in BACKS if b in used)):
        try:
            checked.check()
        except Unavailable as e:
            if str(e) not in missing:
                missing.append(str(e))
    if missing:
        raise Unavailable('\n    '.join(
            [*missing, 'or leave it out, with --backs and --only']))


def main():
    args, rows = parse()
    if args.list:
        print('\n'.join(row.name for row in rows))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    results, figures = [], {}
    try:
        check(rows)
        with HugePages(), Prioritized(0, priority=COMMAND_PRIORITY):
            for number, row in enumerate(rows):
                results.append(measure(
                    row, args.samples,
                    f'{row.name} ({number + 1} of {len(rows)})'))
        if not args.only:
            figures = switch_insn.measure(progress)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except (Failed, Unavailable, OSError) as e:
        sys.exit(f'\n{TARGET}: {e}')
    progress('')
    print(switch_report.table(results), end='\n\n')
    if args.only:
        return
    figures = {**switch_report.summary(results, args.samples), **figures}
    print(switch_report.verdict(figures), end='\n\n')
    show_files(write_json(TARGET, switch_report.rows(results), figures),
               switch_plot.draw(results, args.samples))


if __name__ == '__main__':
    main()
