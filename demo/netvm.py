#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A chain of network functions in real guests that share memory: generator,
firewall, router, sink.  A rule is changed while packets flow, a firewall is
killed, and no packet is copied.

Prints what happens and one table, and writes build/results/demo-netvm.json.
Ends with status 1 if a promise was broken.

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
import netvm_chain                                      # noqa: E402
import netvm_report                                     # noqa: E402
import rtguest                                          # noqa: E402
from netvm_chain import RUN_S                           # noqa: E402
from rtguest import vus                                 # noqa: E402

VICTIM = netvm_chain.FIREWALLS[0]


def introduce():
    accel = rtguest.accelerator()
    print(f'Five guests under {accel.upper()} with the device netvm-shm: '
          'generator -> two firewalls, by flow\n-> router -> sink. '
          f'{netvm_chain.RATE_PPS} packets of {netvm_chain.BYTES} bytes per '
          f'second in {netvm_chain.FLOWS} flows.')
    if accel == 'tcg':
        print('The guests are emulated on '
              f'{os.cpu_count()} processors: see "make bench-netvm" for '
              'speed.')
    demo.warn_if_busy()


def step(what):
    print('  ' + what, flush=True)


def steady(chain):
    chain.begin()
    rates = chain.rates(RUN_S)
    direct = chain.direct_shares()
    return {'name': 'all is well', 'rates': rates, 'direct_shares': direct,
            **chain.end()}


def new_rule(chain):
    chain.begin()
    step(f'new rule: {netvm_chain.DENY.strip()}')
    chain.set_rules(netvm_chain.DENY + netvm_chain.ALLOW)
    rates = chain.rates(RUN_S)
    said = chain.end()
    denied = chain.denied()
    chain.set_rules(netvm_chain.ALLOW)
    return {'name': 'a rule denies 1/4', 'rates': rates,
            'denied_pkts': denied, **said}


def killed(chain):
    """Two rows: without one firewall, and with another one in its place."""
    chain.begin()
    reclaimed = chain.domain()['reclaimed-buffers']
    step(f'kill -9 of the QEMU of {VICTIM}')
    seen_ms = chain.kill(VICTIM)
    without = chain.rates(RUN_S)
    reclaimed = chain.domain()['reclaimed-buffers'] - reclaimed
    said = chain.end()
    step(f'another {VICTIM} boots')
    chain.replace(VICTIM)
    chain.begin()
    again = chain.rates(RUN_S)
    return [{'name': f'{VICTIM} was killed', 'rates': without,
             'seen_ms': seen_ms, 'reclaimed_buffers': reclaimed, **said},
            {'name': 'another one came', 'rates': again, **chain.end()}]


def measure(chain):
    step('packets flow')
    rows = [steady(chain)]
    step('packets flow again')
    rows.append(new_rule(chain))
    rows += killed(chain)
    shown = chain.guests['sink'].run('netvm-stat --once').out
    copied = chain.domain()['copied-pkts']
    chain.close_programs()
    return {'rows': rows, 'copied_pkts': copied, 'shown': shown,
            'domain': chain.domain()}


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    try:
        introduce()
        with tempfile.TemporaryDirectory(prefix='vus-', dir='/tmp') as tmp:
            step('booting five guests')
            with netvm_chain.Chain(tmp) as chain:
                result = measure(chain)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted')
    except (*rtguest.FAILURES, vus.DaemonError, netvm_chain.Broken) as e:
        sys.exit(f'\ndemo-netvm: {e}\nLogs of the guests and of the daemon '
                 f'are in {rtguest.LOGS}.')

    print('\nsink# netvm-stat --once\n' + result['shown'].rstrip())
    print('\n' + netvm_report.table(result), end='\n\n')
    print(netvm_report.sentences(result), end='\n\n')
    print('Figures:', os.path.relpath(netvm_report.write_json(result)))
    broken = netvm_report.broken_promises(result)
    for sentence in broken:
        print('BROKEN:', sentence)
    return 1 if broken else 0


if __name__ == '__main__':
    sys.exit(main())
