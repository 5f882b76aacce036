# SPDX-License-Identifier: GPL-2.0-or-later
"""How long real-time frames wait at a port that eight bulk senders saturate,
and whether another tenant that floods makes them wait longer.

    control  a frame every 2 ms, with a tight deadline; four such sources
    video    bursts of 32 frames, with a loose one; four such sources

Two delays are told apart.  *Queueing* is what the daemon counts: from when it
has taken a frame from its sender to when that leaves.  *Ring to ring* is what
guests see: in the sender's ring, and through the daemon.

Policies are measured in turn.  A figure is the worst source's, and of the
samples the median; what was missed is a sum.

Threads: none of its own.
"""

import contextlib
import statistics
import tempfile

from host_edf_bed import (Bed, Bulk, DummyBed, Plan, Rt,
                          longest_gap_us)

POLICIES = ('edf', 'strict', 'fifo')
RATE_BPS = 1_000_000_000
BULK = 8
CONTROL = 4
VIDEO = 4
VIDEO_BURST = 32
TURNS = 5
DUMMY_TURNS = 3
FLOOD_TURNS = 9
FLOOD_BYTES = 60                # the shortest frames there are
NOISY_US = 1000                 # to be kept from the core so long

# What is sent: so many real-time sources.
TRAFFIC = {'control': CONTROL, 'control+video': CONTROL + VIDEO}

# Beyond what the host may be late, which is in what is promised.
DEADLINE_US = 500
VIDEO_DEADLINE_US = 20000


def _control(jitter_us, declared=True, interval_us=2000):
    return tuple(Rt(f'control{i}', 204, interval_us, jitter_us + DEADLINE_US,
                    declared=declared) for i in range(CONTROL))


def _video(jitter_us, declared):
    return tuple(Rt(f'video{i}', 1400, 4400, jitter_us + VIDEO_DEADLINE_US,
                    VIDEO_BURST, declared) for i in range(VIDEO))


def _sink(jitter_us, policy='edf'):
    return {'rtvnic': 'on', 'rate-bps': RATE_BPS, 'policy': policy,
            'host-jitter-us': jitter_us}


def _plan(policy, jitter_us):
    declared = policy == 'edf'
    return Plan(_sink(jitter_us, policy),
                rt=_control(jitter_us, declared) + _video(jitter_us, declared),
                bulk=tuple(Bulk(f'bulk{i}') for i in range(BULK)))


def _flood_plan(jitter_us):
    return Plan(_sink(jitter_us), rt=_control(jitter_us, interval_us=250),
                bulk=(*(Bulk(f'bulk{i}', settings={'tenant': 'busy'})
                        for i in range(BULK // 2)),
                      *(Bulk(f'flood{i}', FLOOD_BYTES,
                             settings={'tenant': 'flooding'})
                        for i in range(BULK // 2))),
                tenants={'busy': {}, 'flooding': {}})


# -- One sample ---------------------------------------------------------------

def _figures(sample, flow):
    """Of the sources whose names begin with @flow, or None if they did not
    send."""
    flows = [f for f in sample['flows']
             if f['name'].startswith(flow) and f['sent_pkts']]
    if not flows:
        return None
    waited = [sample['deadlines'][f['name']]['queueing-delay'] for f in flows]
    return {
        **{f'queueing_{name}_us': max(w[f'{name}-ns'] for w in waited) / 1e3
           for name in ('p50', 'p99', 'p999', 'max')},
        **{f'delay_{name}_us': max(f.get(f'{name}_us', 0) for f in flows)
           for name in ('p50', 'p99', 'p999', 'max')},
        'rx_pps': sum(f['rx_pps'] for f in flows),
        **{key: sum(f[key] for f in flows)
           for key in ('sent_pkts', 'late_pkts', 'lost_pkts',
                       'disturbed_pkts')},
    }


def _missed(sample):
    """Frames with a deadline that came after it, or not at all."""
    return sum(f['late_pkts'] + f['lost_pkts'] for f in sample['flows']
               if 'late_pkts' in f)


def _counted_missed(sample):
    """The same as the sink counts it, and what did not come."""
    return sum(c['value'] for c in sample['deadlines']['sink']['counters']
               if c['name'] == 'missed') + \
        sum(f['lost_pkts'] for f in sample['flows'] if 'late_pkts' in f)


def _over_bound_us(sample, bounds_us):
    """Worst of the sources that keep to what they declared."""
    return max(sample['deadlines'][name]['queueing-delay']['max-ns'] / 1e3 -
               bound_us for name, bound_us in bounds_us.items()
               if name.startswith('control'))


# -- All of them --------------------------------------------------------------

def _measure_policies(kind, bed_class, turns, jitter_us, progress):
    """{(policy, traffic): [sample, ...]}, and what edf has promised."""
    samples = {(policy, traffic): []
               for policy in POLICIES for traffic in TRAFFIC}
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix='host-edf-', dir='/tmp'))
        beds = {}
        for policy in POLICIES:
            beds[policy] = bed_class(policy, _plan(policy, jitter_us),
                                     directory)
            stack.callback(beds[policy].close)
        bounds_us = beds['edf'].bounds_us() if bed_class is Bed else {}
        for turn in range(turns):
            progress(f'delay, {kind}: turn {turn + 1} of {turns}')
            for (policy, traffic), found in samples.items():
                found.append(beds[policy].sample(rt=TRAFFIC[traffic]))
    return samples, bounds_us


def _measure_flood(jitter_us, progress):
    """[(sample without, sample with it), ...]"""
    with tempfile.TemporaryDirectory(prefix='host-edf-',
                                     dir='/tmp') as directory:
        bed = Bed('flood', _flood_plan(jitter_us), directory)
        try:
            turns = []
            for turn in range(FLOOD_TURNS):
                progress(f'flood: turn {turn + 1} of {FLOOD_TURNS}')
                turns.append((bed.sample(bulk=BULK // 2), bed.sample()))
            return turns
        finally:
            bed.close()


def _row(part, kind, policy, traffic, flow, found):
    counts = ('sent_pkts', 'late_pkts', 'lost_pkts', 'disturbed_pkts')
    return {'part': part, 'ports': kind, 'policy': policy, 'traffic': traffic,
            'flow': flow, 'samples': len(found),
            **{key: (sum if key in counts else statistics.median)(
                f[key] for f in found) for key in found[0]}}


def _rows(kinds, flood):
    for kind, (samples, _) in kinds.items():
        for (policy, traffic), some in samples.items():
            for flow in ('control', 'video'):
                found = [_figures(sample, flow) for sample in some]
                if found[0]:
                    yield _row('delay', kind, policy, traffic, flow, found)
    for number, traffic in enumerate(('busy', 'busy+flood')):
        yield _row('flood', 'vhost-user', 'edf', traffic, 'control',
                   [_figures(turn[number], 'control') for turn in flood])


def measure(progress):
    progress('host jitter: longest gap of a thread that spins')
    jitter_us = longest_gap_us()
    kinds = {
        kind: _measure_policies(kind, bed_class, turns, jitter_us, progress)
        for kind, bed_class, turns in (('vhost-user', Bed, TURNS),
                                       ('dummy', DummyBed, DUMMY_TURNS))}
    flood = _measure_flood(jitter_us, progress)
    return {'jitter_us': jitter_us, 'kinds': kinds, 'flood': flood,
            'rows': list(_rows(kinds, flood))}


# -- What it says -------------------------------------------------------------

def table(result):
    _, bounds_us = result['kinds']['vhost-user']
    bound_us = max(us for name, us in bounds_us.items()
                   if name.startswith('control'))
    lines = [
        f'{BULK} bulk senders saturate a port of {RATE_BPS / 1e9:g} Gbit/s; '
        'medians of the samples\' worst, us',
        f"host-jitter-us={result['jitter_us']} (longest gap of a thread that "
        f'spins); promised to control: {bound_us:.0f} us',
        *([] if result['jitter_us'] < NOISY_US else
          ['Others run on the worker\'s core: is the machine quiet?']), '',
        f"{'':<34}{'queueing':>17}{'ring to ring':>19}{'late+lost':>19}",
        f"{'ports':<11}{'policy':<7}{'traffic':<14} {'':<8}"
        f"{'p99':>8}{'worst':>9}{'p99':>9}{'worst':>10}{'of frames':>12}"]
    for row in result['rows']:
        ring = f"{row['delay_p99_us']:>9.1f}{row['delay_max_us']:>10.1f}" \
            if row['delay_max_us'] else f"{'-':>9}{'-':>10}"
        missed = f"{row['late_pkts'] + row['lost_pkts']}/{row['sent_pkts']}"
        lines.append(
            f"{row['ports']:<11}{row['policy']:<7}{row['traffic']:<14} "
            f"{row['flow']:<8}{row['queueing_p99_us']:>8.1f}"
            f"{row['queueing_max_us']:>9.1f}{ring}{missed:>14}")
    return '\n'.join(lines)


def _ratio(samples):
    """Worst delay with FIFO to that with EDF, of the turns the median."""
    return statistics.median(
        _figures(fifo, 'control')['queueing_max_us'] /
        _figures(edf, 'control')['queueing_max_us']
        for edf, fifo in zip(samples['edf', 'control'],
                             samples['fifo', 'control']))


def _slower_pct(flood, key):
    return (statistics.median(
        _figures(after, 'control')[key] / _figures(before, 'control')[key]
        for before, after in flood) - 1) * 100


def summary(result):
    samples, bounds_us = result['kinds']['vhost-user']
    dummy, _ = result['kinds']['dummy']
    over_us = [_over_bound_us(sample, bounds_us) for traffic in TRAFFIC
               for sample in samples['edf', traffic]]
    flood = result['flood']
    lost_pct = -_slower_pct(flood, 'rx_pps')
    return {
        'host_jitter_us': result['jitter_us'],
        'worst_delay_ratio': _ratio(samples),
        'worst_delay_ratio_dummy': _ratio(dummy),
        'worst_over_bound_us': statistics.median(over_us),
        'worst_over_bound_most_us': max(over_us),
        **{f'{policy}_missed': sum(
            _missed(sample) for traffic in TRAFFIC
            for sample in samples[policy, traffic]) for policy in POLICIES},
        **{f'{policy}_missed_dummy': sum(
            _counted_missed(sample) for traffic in TRAFFIC
            for sample in dummy[policy, traffic]) for policy in POLICIES},
        # Of a sample's frames the last in a thousand are a dozen, which the
        # host decides as much as we do.
        'rt_slowed_by_flood_pct': max(
            _slower_pct(flood, 'delay_p50_us'),
            _slower_pct(flood, 'delay_p99_us'), lost_pct),
        'rt_slowed_by_flood_p999_pct': _slower_pct(flood, 'delay_p999_us'),
        'rt_queueing_slowed_by_flood_p999_pct': _slower_pct(
            flood, 'queueing_p999_us'),
    }
