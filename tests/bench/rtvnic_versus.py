# SPDX-License-Identifier: GPL-2.0-or-later
"""rtvnic against tc: the runs in turn, the table, and what tc cannot do.

Threads: none.
"""

import statistics

import load
import rtguest
import rtvnic_tc
from rtvnic_tc import MODES, RUNS, TITLES


check = rtvnic_tc.check


def _percentile(values, ppm):
    """Of sorted @values."""
    return values[min(len(values) - 1, len(values) * ppm // 10**6)]


def _row(mode, flow, runs):
    per_run = [[s.link_ns for s in run.samples[flow]] for run in runs]
    delays = sorted(ns for run in per_run for ns in run)
    worst = [max(run) / 1e3 for run in per_run]
    every = [s for run in runs for s in run.samples[flow]]
    return {
        'part': 'tc',
        'mode': mode,
        'flow': flow.name,
        'deadline_us': flow.deadline_us,
        'sent_pkts': sum(run.sent[flow] for run in runs),
        'passed_pkts': len(delays),
        'after_deadline_pkts': sum(ns > flow.deadline_us * 1000
                                   for ns in delays),
        'delay_p50_us': _percentile(delays, 500_000) / 1e3,
        'delay_p99_us': _percentile(delays, 990_000) / 1e3,
        'delay_p999_us': _percentile(delays, 999_000) / 1e3,
        'delay_max_us': max(worst),
        'run_max_median_us': statistics.median(worst),
        'run_max_us': worst,
        'before_link_max_us': max(s.shaped_ns for s in every) / 1e3,
        'from_guest_max_us': max(s.guest_ns for s in every) / 1e3,
    }


def _admission():
    """What an edf-scheduler says to a promise that it cannot keep."""
    return rtguest.qemu_error(
        '-object', f'edf-scheduler,id=up0,rate-bps={load.RATE_BPS}',
        '-netdev', 'hubport,hubid=0,id=n0', '-device',
        'rtvnic,netdev=n0,scheduler=up0,deadline-us=15000,period-us=1000')


def _check_what_tc_cannot(bed, runs):
    """[(what, how it was seen)]; each point is looked at, not believed."""
    tight = min(load.RT_FLOWS, key=lambda f: f.deadline_us)
    missed = {m: sum(s.link_ns > tight.deadline_us * 1000 for run in runs[m]
                     for s in run.samples[tight]) for m in MODES}
    dropped = {m: sum(run.dropped_pkts for run in runs[m]) for m in MODES}
    points = []
    if missed['tc'] > missed['edf']:
        points.append((
            'order frames of one class by their deadlines',
            f"{missed['tc']} frames of {tight.name} came after their deadline, "
            f"with edf-scheduler {missed['edf']}"))
    if all(run.trailers == (mode == 'edf')
           for mode in MODES for run in runs[mode]):
        points.append((
            'tell the receiver whether a deadline was missed',
            'no frame says when it was sent; every frame of an rtvnic does'))
    refusal = _admission()
    bed.tc(f'qdisc add dev {rtvnic_tc.UPLINK} root handle 1: htb')
    bed.tc(f'class add dev {rtvnic_tc.UPLINK} parent 1: classid 1:1 htb rate '
           f'{load.RATE_BPS}bit')
    for ident in ('1:10', '1:11'):
        bed.tc(f'class add dev {rtvnic_tc.UPLINK} parent 1:1 classid {ident} '
               f'htb rate {load.RATE_BPS}bit')
    bed.remove_htb()
    if 'cannot admit' in refusal:
        points.append((
            'refuse what it cannot keep',
            'it takes two classes that own the whole link each; QEMU does not '
            'start with an rtvnic that declares more than the link has'))
    if dropped['tc'] > dropped['edf'] == 0:
        points.append((
            'make a bulk sender wait',
            f"it dropped {dropped['tc']} bulk frames, the edf-port none"))
    return points


def measure(progress):
    """{rows, runs, cannot, commands, utilisation, wake_late_max_us}"""
    runs = {mode: [] for mode in MODES}
    progress('booting a guest')
    with rtvnic_tc.Bed() as bed:
        for number in range(RUNS):
            for mode in MODES:
                progress(f'{TITLES[mode]}, run {number + 1} of {RUNS}')
                runs[mode].append(rtvnic_tc.run(bed, mode))
        cannot = _check_what_tc_cannot(bed, runs)
        commands = {mode: rtvnic_tc.tc_commands(mode, bed.bulk_leaf)
                    for mode in MODES if mode != 'edf'}
        wake_late = bed.guest.rtnet_scheduler('up0')['wake-late']
    rows = [_row(mode, flow, runs[mode]) for mode in MODES
            for flow in load.RT_FLOWS]
    rows += [{'part': 'tc-setup', 'mode': mode, 'tc': commands[mode]}
             for mode in commands]
    rows += [{'part': 'tc-cannot', 'what': what, 'seen': how}
             for what, how in cannot]
    return {'rows': rows, 'runs': runs, 'cannot': cannot, 'commands': commands,
            'wake_late_max_us': wake_late['max-ns'] / 1e3,
            'utilisation': {mode: statistics.mean(run.utilisation
                                                  for run in runs[mode])
                            for mode in MODES}}


def _delays(result):
    return [row for row in result['rows'] if row['part'] == 'tc']


def _ms(us):
    return f'{us / 1e3:.2f}'


def table(result):
    lines = [
        'Delay from the guest\'s ring to the link, in ms; all of '
        f'{RUNS} runs, in turn:', '',
        f"{'':<9}{'frames':>7}{'too late':>9}{'p50':>8}{'p99':>8}{'p99.9':>8}"
        f"{'worst':>8}{'of a run':>9}{'before link':>12}"]
    mode = None
    for row in _delays(result):
        if row['mode'] != mode:
            mode = row['mode']
            lines.append(f"{TITLES[mode]} (link used to "
                         f"{result['utilisation'][mode]:.1%}):")
        lines.append(
            f"  {row['flow']:<7}{row['passed_pkts']:>7}"
            f"{row['after_deadline_pkts']:>9}" + ''.join(
                f'{_ms(row[key]):>{width}}' for key, width in (
                    ('delay_p50_us', 8), ('delay_p99_us', 8),
                    ('delay_p999_us', 8), ('delay_max_us', 8),
                    ('run_max_median_us', 9), ('before_link_max_us', 12))))
    lines += ['of a run: median of the worst of each run; before link: worst '
              'without the computed link', '', 'tc as it was set up:']
    for mode, commands in result['commands'].items():
        lines.append(f'  {TITLES[mode]}:')
        lines += [f'    tc {command}' for command in commands]
    lines += ['', 'What tc cannot do:']
    lines += [f'  {what}:\n    {how}' for what, how in result['cannot']]
    s = summary(result)
    lines += ['', 'Worst delay of control against tc: '
              f"{s['worst_delay_ratio_vs_tc']:.2f} with one real-time class, "
              f"{s['worst_delay_ratio_vs_tc_per_flow']:.2f} with one per flow.",
              'The host woke the edf-scheduler late by up to '
              f"{_ms(result['wake_late_max_us'])} ms."]
    return '\n'.join(lines)


def summary(result):
    tight = min(load.RT_FLOWS, key=lambda f: f.deadline_us).name
    worst = {row['mode']: row for row in _delays(result)
             if row['flow'] == tight}
    edf, tc, per_flow = (worst[mode] for mode in MODES)
    return {
        'worst_delay_ratio_vs_tc': edf['delay_max_us'] / tc['delay_max_us'],
        'worst_delay_ratio_vs_tc_per_flow':
            edf['delay_max_us'] / per_flow['delay_max_us'],
        'median_worst_delay_ratio_vs_tc':
            edf['run_max_median_us'] / tc['run_max_median_us'],
        'median_worst_delay_ratio_vs_tc_per_flow':
            edf['run_max_median_us'] / per_flow['run_max_median_us'],
        'worst_delay_edf_us': edf['delay_max_us'],
        'worst_delay_tc_us': tc['delay_max_us'],
        'worst_delay_tc_per_flow_us': per_flow['delay_max_us'],
        'p999_delay_edf_us': edf['delay_p999_us'],
        'p999_delay_tc_us': tc['delay_p999_us'],
        'p999_delay_tc_per_flow_us': per_flow['delay_p999_us'],
        'edf_wake_late_max_us': result['wake_late_max_us'],
    }
