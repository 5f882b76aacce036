# SPDX-License-Identifier: GPL-2.0-or-later
"""How much slower a port with a rate is, and how much tenants and guarantees
add to that.

    pair      two ports that send to each other, 64 bytes, with a rate so high
              that it is never the limit: unshaped, shaped, and with a tenant
              and guarantees (switch-load)
    queueing  four senders offer a tenth more than their link's rate, so that
              all frames wait: flat, and in two tenants with guarantees
              (edf-load)
    limit     the same with full rings, at a rate that one worker hardly reaches

As bench-switch does it: in turn, many short samples, and only those with the
same distance of the two cores are compared.

Threads: none of its own.
"""

import contextlib
import dataclasses
import os

import bench_switch
import switch_matrix
import switch_report
from host_edf_bed import Bulk, Daemon, Front, Plan
from switch_back import BACKS, Ours
from switch_front import FRONTS
from switch_host import HugePages, Unavailable

SAMPLES = 15
SENDERS = 4
OFFERED = 1.1                   # of the link's rate


# -- Two ports ----------------------------------------------------------------

class Shaped(Ours):
    name = 'shaped'
    settings = 'rate-bps=100G'
    tenants = ''

    def argv(self):
        config = os.path.join(self.directory, 'config')
        with open(config, 'w', encoding='utf-8') as f:
            f.write(self.tenants)
        program, *words = super().argv()
        return [program, '--config', config, *(
            f'{word} {self.settings}' if ' type=' in word else word
            for word in words)]


class Hierarchical(Shaped):
    name = 'hierarchical'
    settings = f'{Shaped.settings} tenant=t guarantee-bps=10G'
    tenants = '[tenant t]\nguarantee-bps=40G\n'


BACKS.update({c.name: c for c in (Shaped, Hierarchical)})
PAIR = switch_matrix.Row(backs=('ours', 'shaped', 'hierarchical'))


# -- Senders that queue -------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Queueing:
    key: str
    rate_gbps: int
    frame_bytes: int
    offered: float = OFFERED    # 0: rings are full
    front: str = 'edf-load'

    @property
    def name(self):
        return f'{SENDERS} senders, {self.frame_bytes} bytes, ' \
               f'{self.rate_gbps} Gbit/s'

    @property
    def contenders(self):
        return [(f'{kind}-{self.key}', SENDERS + 1)
                for kind in ('flat', 'tenants')]

    def plan(self, tenants):
        """With guarantees of two thirds of the link, for all that send."""
        rate_bps = self.rate_gbps * 10**9
        return Plan({'rate-bps': rate_bps}, bulk=tuple(
            Bulk(f'bulk{i}', self.frame_bytes,
                 int(rate_bps * self.offered / SENDERS),
                 {'tenant': 'ab'[i % 2], 'guarantee-bps': rate_bps // 8}
                 if tenants else {}) for i in range(SENDERS)),
            tenants={name: {'guarantee-bps': rate_bps // 3}
                     for name in 'ab'} if tenants else {})

    def register(self):
        for (name, _), tenants in zip(self.contenders, (False, True)):
            BACKS[name] = lambda ports, directory, name=name, \
                plan=self.plan(tenants): Daemon(name, plan, directory)


QUEUEING = [Queueing('1g', 1, 60), Queueing('10g', 10, 570),
            Queueing('limit', 3, 60, offered=0)]
FRONTS['edf-load'] = lambda row, back, directory: Front(back)
for _row in QUEUEING:
    _row.register()


# -- All of them --------------------------------------------------------------

def measure(progress):
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(HugePages())
        except Unavailable as e:
            progress('')
            print(f'Small pages: {e}.\n')
        results = [bench_switch.measure(row, SAMPLES, row.name)
                   for row in (PAIR, *QUEUEING)]
    return {'results': results, 'rows': list(_rows(results))}


def _rows(results):
    for row, samples in results:
        name = switch_report.best_class(list(samples.values()), SAMPLES)
        for (back, _), every in samples.items():
            some = switch_report.of_class(every, name)
            if some:
                low, middle, high = switch_report.quartiles(some)
                yield {'part': 'speed', 'row': row.name, 'back': back,
                       'class': name, 'samples': len(some),
                       'rx_pps': middle, 'rx_pps_quartiles': [low, high]}


def table(result):
    lines = ['Mpps of one worker, medians and quartiles of samples of one '
             'class (how far apart the cores were)', '',
             f"{'':<38}{'':<20}{'class':<6}{'n':>3}{'Mpps':>8}  quartiles"]
    for row in result['rows']:
        low, high = row['rx_pps_quartiles']
        lines.append(f"{row['row']:<38}{row['back']:<20}{row['class']:<6}"
                     f"{row['samples']:>3}{row['rx_pps'] / 1e6:>8.3f}  "
                     f'{low / 1e6:.3f}-{high / 1e6:.3f}')
    return '\n'.join(lines)


def _ratio(result, above, below):
    """None if there were too few samples of one class."""
    _, samples = result
    lists = [every for name in (above, below)
             for (back, _), every in samples.items() if back == name]
    name = switch_report.best_class(lists, SAMPLES)
    return switch_report.ratio(*lists, name) if name else None


def summary(result):
    pair, *queueing = result['results']
    mpps = {row['back']: row['rx_pps'] / 1e6 for row in result['rows']}
    ratios = {'pair': _ratio(pair, 'hierarchical', 'shaped'), **{
        row.key: _ratio(found, f'tenants-{row.key}', f'flat-{row.key}')
        for row, found in zip(QUEUEING, queueing)}}
    return {
        'unshaped_mpps': mpps.get('ours'),
        'shaped_mpps': mpps.get('shaped'),
        'shaped_mpps_vs_unshaped': _ratio(pair, 'shaped', 'ours'),
        'hierarchical_vs_flat': min(ratios.values())
        if None not in ratios.values() else None,
        **{f'hierarchical_vs_flat_{key}': ratio
           for key, ratio in ratios.items()},
    }
