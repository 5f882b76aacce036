#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests with ordinary virtio-net NICs through vhost-user-shmem; then the
daemon is killed under load, and another one goes on.

Prints one table and what vusctl shows, and writes
build/results/demo-switch.json.  Ends with status 1 if a promise was broken.

Environment: ACCEL=auto|kvm|tcg, QEMU_BINARY=path.

Threads: none of its own.
"""

import os
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests', 'functional'))

import demo                                             # noqa: E402
import rtguest                                          # noqa: E402
import switch_load                                      # noqa: E402
import switch_report                                    # noqa: E402
from rtguest import vus                                 # noqa: E402


def introduce(iperf3):
    accel = rtguest.accelerator()
    print(f'Two guests under {accel.upper()}, their packets copied from '
          'virtqueue to virtqueue by vhost-user-shmem.')
    if accel == 'tcg':
        print('The guests are emulated: rates are those of the emulator, and '
              'so is most of the delay.')
    if not iperf3:
        print('iperf3 is missing (Debian: package iperf3): rtprobe makes the '
              'traffic, and TCP has no rate.')
    demo.warn_if_busy()


def step(what):
    print('  ' + what, flush=True)


def measure(bed):
    rows = []
    for kind in switch_load.KINDS:
        step(f'{kind} rings: ping, TCP, UDP')
        received, ping_ms = bed.ping(kind)
        tcp_bps = bed.tcp_bps(kind)
        udp_bps, lost = bed.udp(kind)
        rows.append({'rings': kind, 'ping_received': received,
                     'ping_ms': ping_ms, 'tcp_bps': tcp_bps,
                     'udp_bps': udp_bps, 'udp_lost_share': lost})
    shown = [(words, bed.daemon.vusctl(*words))
             for words in (('list',), ('stats',))]
    for row in rows:
        step(f'{row["rings"]} rings: kill -9, and start again')
        row.update(bed.restart(row['rings']))
    return rows, shown


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    try:
        initrd = switch_load.find_initrd()
        introduce(initrd is not None)
        with tempfile.TemporaryDirectory(prefix='vus-', dir='/tmp') as tmp:
            step('booting')
            with switch_load.Bed(tmp, initrd) as bed:
                rows, shown = measure(bed)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except (*rtguest.FAILURES, vus.DaemonError, AssertionError) as e:
        sys.exit(f'\ndemo-switch: {e}\nLogs of the guests and of the daemon '
                 f'are in {rtguest.LOGS}.')

    for words, text in shown:
        print(f'\n$ vusctl {" ".join(words)}\n{text.rstrip()}')
    print('\n' + switch_report.table(rows), end='\n\n')
    print(switch_report.sentences(rows, initrd is not None), end='\n\n')
    print('Figures:', os.path.relpath(switch_report.write_json(rows)))
    broken = switch_report.broken_promises(rows)
    for sentence in broken:
        print('BROKEN:', sentence)
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
