# SPDX-License-Identifier: GPL-2.0-or-later
"""What demo-netvm prints and writes, and what it promises.

Threads: none.
"""

from netvm_chain import DENIED_SHARE, FIREWALLS, MACHINES, RATE_PPS
from rtguest.results import write_json as write_results

STEADY, RULE, KILLED, AGAIN = range(4)
# An emulated guest may be late; it must not be far from what it is asked for.
NEARLY = 0.9


def _count(row, machine, key):
    return int(row[machine].get(key, 0))


def _lost(row):
    """Sent, neither received nor denied by a rule."""
    return _count(row, 'generator', 'sent') - _count(row, 'sink', 'received') \
        - row.get('denied_pkts', 0)


def table(result):
    wide = max(len(row['name']) for row in result['rows'])
    lines = [' ' * wide + '  packets per second, received by (generator: sent)',
             f'{"":<{wide}}' + ''.join(f'{name:>11}' for name in MACHINES) +
             f'{"lost":>7}{"denied":>8}']
    lines.append('-' * len(lines[1]))
    for row in result['rows']:
        rates = ''.join(f"{row['rates'][name]:>11.0f}"
                        if name in row['rates'] else f'{"-":>11}'
                        for name in MACHINES)
        lines.append(f"{row['name']:<{wide}}{rates}{_lost(row):>7}"
                     f"{row.get('denied_pkts', 0):>8}")
    return '\n'.join(lines)


def sentences(result):
    first, killed = result['rows'][STEADY], result['rows'][KILLED]
    sent, got = (first[name] for name in ('generator', 'sink'))
    direct = first['direct_shares']
    return '\n'.join([
        f"The generator wrote its packets into {sent['buffers']} buffers "
        f"(segment:number {sent['first-buffers'].split(',')[0]}",
        f"and others, in all {sent['buffers-mark']}), and the sink found them "
        f"in {got['buffers']} ({got['first-buffers'].split(',')[0]}, in all",
        f"{got['buffers-mark']}). The domain copied "
        f"{result['copied_pkts']} packets.",
        'Straight from machine to machine, past the daemon, went '
        f"{direct['generator']:.0%} of what the generator sent",
        f"and {direct[FIREWALLS[0]]:.0%} of what the firewall did; out of the "
        'chain, to the sink, the daemon moves them.',
        f"The killed firewall was cut off after {killed['seen_ms']:.0f} ms; "
        f"{killed['reclaimed_buffers']} buffers that it owned came back,",
        f'with {_lost(killed)} packets in them or on their way to it. In the '
        f"end {result['domain']['free-buffers']} of "
        f"{result['domain']['buffers']} buffers are free."])


def broken_promises(result):
    """Sentences: what was promised and did not happen."""
    broken, rows = [], result['rows']
    for at in (STEADY, RULE, AGAIN):
        if _lost(rows[at]) != 0:
            broken.append(f"{rows[at]['name']}: {_lost(rows[at])} packets "
                          'were lost.')
    for row in rows:
        for key in ('duplicates', 'reordered', 'other'):
            if row is not rows[KILLED] and _count(row, 'sink', key):
                broken.append(f"{row['name']}: {row['sink'][key]} packets "
                              f'were {key}.')
        expected = RATE_PPS * (1 - DENIED_SHARE if row is rows[RULE] else 1)
        if not NEARLY * expected <= row['rates']['sink'] <= \
                expected * (2 - NEARLY):
            broken.append(f"{row['name']}: the sink got "
                          f"{row['rates']['sink']:.0f} packets per second, "
                          f'not {expected:.0f}.')
    if not all(rows[AGAIN]['rates'].get(name) for name in MACHINES):
        broken.append('Not all machines of the chain had packets in the end.')
    if rows[RULE]['denied_pkts'] == 0:
        broken.append('The new rule denied nothing.')
    if rows[KILLED]['reclaimed_buffers'] < _lost(rows[KILLED]):
        broken.append('More packets were lost with the killed machine than '
                      'buffers came back.')
    for name in ('generator', FIREWALLS[0]):
        if rows[STEADY]['direct_shares'].get(name, 0) < NEARLY:
            broken.append(f'What {name} sent took the way through the daemon.')
    if result['copied_pkts']:
        broken.append(f"{result['copied_pkts']} packets were copied.")
    if rows[STEADY]['generator']['buffers-mark'] != \
            rows[STEADY]['sink']['buffers-mark']:
        broken.append('The sink got packets in other buffers than the '
                      'generator wrote.')
    return broken


def write_json(result):
    return write_results('demo-netvm', result['rows'], {
        'copied_pkts': result['copied_pkts'],
        'lost_pkts_killed': _lost(result['rows'][KILLED]),
        'reclaimed_buffers': result['rows'][KILLED]['reclaimed_buffers'],
        'cut_off_ms': result['rows'][KILLED]['seen_ms'],
        'direct_share_generator':
            result['rows'][STEADY]['direct_shares']['generator'],
    })
