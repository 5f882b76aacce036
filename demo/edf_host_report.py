# SPDX-License-Identifier: GPL-2.0-or-later
"""What demo-edf-host shows otherwise than demo, and what it promises besides.

Threads: none.
"""


import edf_host_load as host
import report
from report import ms

# Of what both bulk guests got together, the one that got less.  The halves are
# equal while both have frames in the queue; an emulated guest that the host
# keeps from its processor for longer than they last has none.
LEAST_SHARE_OF_BULK = 0.45


class Summary(report.Summary):
    """The figures that the demo promises, and whether it kept them."""

    def __init__(self, results):
        super().__init__(results)
        for policy, result in self.by_policy.items():
            self.figures[f'{policy}_waiting_pkts'] = result.waiting_pkts
            self.figures[f'{policy}_least_share_of_bulk'] = min(
                result.row(f.name)['share_of_bulk'] for f in host.BULK_FLOWS)
        edf = self.by_policy['edf']
        self.figures['flood_dropped_pkts'] = sum(
            edf.row(f.name)['lost_pkts'] for f in host.BULK_FLOWS)

    @staticmethod
    def host_figures(edf):
        return {'worker_waited_max_us': edf.worker_waited_max_us,
                'host_jitter_us': edf.host_jitter_us}

    def fifo_depth(self):
        return f"{self.figures['fifo_waiting_pkts']:.0f} frames waited"

    def host_text(self):
        f = self.figures
        shares = [self.by_policy['edf'].row(flow.name)['share_of_bulk']
                  for flow in host.BULK_FLOWS]
        return (
            'Both bulk guests flood: of what they got, one had '
            f'{shares[0]:.1%} and the other {shares[1]:.1%}; '
            f"{f['flood_dropped_pkts']} of their frames were dropped.\n"
            "The host kept the daemon's worker from a processor for "
            f"{ms(f['worker_waited_max_us'])} ms at most; host-jitter-us "
            f"allows for {ms(f['host_jitter_us'])} ms.")

    def excuse(self):
        f = self.figures
        if f['worker_waited_max_us'] <= f['host_jitter_us']:
            return None
        return ("The host kept the daemon's worker from a processor for "
                f"{ms(f['worker_waited_max_us'])} ms; admission allowed for "
                f"{ms(f['host_jitter_us'])} ms. Other programs were using the "
                'processors: run the demo again when the machine is idle.')

    def broken_promises(self):
        broken = super().broken_promises()
        least = self.figures['edf_least_share_of_bulk']
        if least < LEAST_SHARE_OF_BULK:
            broken.append(
                f'A bulk guest got {least:.1%} of what both got under EDF; '
                f'it must get {LEAST_SHARE_OF_BULK:.0%} at least.')
        for policy, result in self.by_policy.items():
            late = result.total('late_pkts')
            if result.receiver_missed_pkts != late:
                broken.append(
                    f'Under {policy} the receiving rtvnic counts '
                    f'{result.receiver_missed_pkts} missed frames, and the '
                    f'sending ones {late} late ones; they must agree.')
        return broken


def plot(results):
    """Path of the picture, or None."""
    fifo = next(r for r in results if r.policy == 'fifo')
    return report.plot(
        'demo-edf-host', results, 'port', 'FIFO, about '
        f'{fifo.waiting_pkts:.0f} frames waiting')
