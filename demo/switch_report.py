# SPDX-License-Identifier: GPL-2.0-or-later
"""What demo-switch prints and writes, and what it promises.

Threads: none.
"""

import switch_load
from rtguest.results import write_json as write_results


def _mbps(bps):
    return '-' if bps is None else f'{bps / 1e6:.0f}'


COLUMNS = (
    # title, width, value of a row
    ('rings', -7, lambda r: r['rings']),
    ('ping ms', 8, lambda r: f"{r['ping_ms']:.2f}"),
    ('TCP', 6, lambda r: _mbps(r['tcp_bps'])),
    ('UDP', 6, lambda r: _mbps(r['udp_bps'])),
    ('UDP lost', 9, lambda r: f"{r['udp_lost_share']:.0%}"),
    ('outage', 9, lambda r: f"{r['outage_ms']:.0f}"),
    ('until up', 9, lambda r: f"{r['daemon_start_ms']:.0f}"),
    ('lost', 6, lambda r: r['lost_pkts']),
    ('twice', 6, lambda r: r['twice_pkts']),
)


def _line(values):
    return ' '.join(f'{v:<{-w}}' if w < 0 else f'{v:>{w}}'
                    for v, (_, w, _) in zip(values, COLUMNS)).rstrip()


def table(rows):
    """The table as text."""
    width = [abs(w) + 1 for _, w, _ in COLUMNS]
    lines = [' ' * sum(width[:2]) + 'Mbit/s'.center(sum(width[2:4])) +
             ' ' * width[4] + 'killed: ms'.center(sum(width[5:7])) +
             'datagrams'.rjust(sum(width[7:]) - 1),
             _line([title for title, _, _ in COLUMNS]),
             '-' * (sum(width) - 1)]
    return '\n'.join(lines + [_line([value(row) for _, _, value in COLUMNS])
                              for row in rows])


def broken_promises(rows):
    """Sentences: what was promised and did not happen."""
    broken = []
    for row in rows:
        rings = row['rings']
        if row['ping_received'] != switch_load.PINGS:
            broken.append(f"{rings}: {row['ping_received']} of "
                          f'{switch_load.PINGS} pings were answered.')
        if not row['resumed']:
            broken.append(f'{rings}: traffic did not resume after the daemon '
                          'was killed.')
        if not row['load_survived']:
            broken.append(f'{rings}: what loaded the NIC did not survive the '
                          "daemon's death.")
        if row['corrupt_pkts'] or row['reordered_pkts']:
            broken.append(f"{rings}: {row['corrupt_pkts']} datagrams were "
                          f"changed, {row['reordered_pkts']} reordered.")
    return broken


def sentences(rows, iperf3):
    """What the table does not say."""
    rate_pps = 1e6 / switch_load.PROBE_PERIOD_US
    worst = max(rows, key=lambda r: r['outage_ms'])
    load = 'a TCP connection' if iperf3 else 'a flood'
    text = [f'Killed beside {load} and a flow of {rate_pps:.0f} datagrams per '
            'second, the daemon was',
            f'missed for {worst["outage_ms"]:.0f} ms at most, from the last '
            'datagram before to the first one after;',
            f'{worst["after_ready_ms"]:.0f} ms of it passed after the new '
            'daemon was ready (QEMU connects again every '
            f'{switch_load.RECONNECT_MS} ms).',
            'Lost is what the guest sent meanwhile: its NIC had no carrier, '
            'and Linux looks for a',
            'carrier that comes back once a second at most.']
    if iperf3:
        text.append('The TCP connections went on.'
                    if all(r['load_survived'] for r in rows) else
                    'A TCP connection broke.')
    return '\n'.join(text)


def write_json(rows):
    return write_results('demo-switch', rows, {
        'worst_outage_ms': max(r['outage_ms'] for r in rows),
        'worst_after_ready_ms': max(r['after_ready_ms'] for r in rows),
        'lost_pkts': sum(r['lost_pkts'] for r in rows),
        'twice_pkts': sum(r['twice_pkts'] for r in rows),
        'corrupt_pkts': sum(r['corrupt_pkts'] for r in rows),
    })
