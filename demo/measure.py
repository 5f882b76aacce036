# SPDX-License-Identifier: GPL-2.0-or-later
"""One policy: run the load between two guests and collect what both sides saw.

Threads: none of its own.
"""

import time

import load

DRAIN_TIMEOUT_S = 20


class Result:
    """Everything measured under one policy."""

    def __init__(self, policy, accel):
        self.policy = policy
        self.accel = accel
        self.rows = []
        self.delay = {}             # flow name: histogram of queueing delay
        self.scheduler = None
        self.rt_load = 0.0              # share of the link
        self.best_effort_share = 0.0    # of what real time leaves

    def total(self, key):
        """Sum over the real-time flows."""
        return sum(row[key] for row in self.rows if row['deadline_us'])

    def row(self, flow):
        return next(r for r in self.rows if r['flow'] == flow)


class _Snapshot:
    """What has left towards the link so far, and when that was."""

    TRIES = 5

    def __init__(self, sender):
        # The answer may come late from a busy host, and its time is only as
        # exact as it was quick: the quickest of a few counts.
        took_s = float('inf')
        for _ in range(self.TRIES):
            start_s = time.monotonic()
            answer = sender.rtnet()['ports']
            end_s = time.monotonic()
            if end_s - start_s < took_s:
                took_s = end_s - start_s
                self.time_s = (start_s + end_s) / 2
                ports = answer
        wire = {}
        for flow in load.FLOWS:
            count = ports[flow.device_id]['counters']
            wire[flow] = count['sent-bytes'] + \
                count['sent'] * load.LINK_OVERHEAD_BYTES
        self.bulk_bytes = wire.pop(load.BULK)
        self.rt_bytes = sum(wire.values())


def sleep(seconds, progress, what):
    end = time.monotonic() + seconds
    while (rest_s := end - time.monotonic()) > 0:
        progress(what)
        time.sleep(min(1, rest_s))


def _drain(sender):
    """Wait until no frame is left in the scheduler."""
    end = time.monotonic() + DRAIN_TIMEOUT_S
    while sender.rtnet_scheduler('up0')['queued']:
        if time.monotonic() > end:
            raise TimeoutError(f'frames still wait {DRAIN_TIMEOUT_S} s after '
                               'the load has ended: see build/logs')
        time.sleep(0.1)
    # What has left is on its way through a socket and the receiver's ring.
    time.sleep(0.5)


def delay_figures(delay):
    """Of a histogram of queueing delay, for a row."""
    return {
        'delay_p50_us': delay['p50-ns'] / 1e3,
        'delay_p99_us': delay['p99-ns'] / 1e3,
        'delay_max_us': delay['max-ns'] / 1e3,
    }


def rt_figures(flow, count, promised_us, probe):
    """What only a row of a real-time flow has."""
    return {
        'guest_skipped_pkts': probe['skipped'],
        # The promise counts from when the declared period lets a frame come:
        # the last of a burst comes that much too early.
        'promised_delay_us': promised_us +
        (flow.burst - 1) * flow.declared_period_us,
        'postponed_pkts': count['postponed'],
        'rtt_p50_us': probe['rtt_p50_us'],
        'rtt_max_us': probe['rtt_max_us'],
    }


def _flow_row(policy, flow, sender, receiver, probe, sink):
    out = sender.rtnet_port(flow.device_id)
    count = out['counters']
    received = sink['ports'][str(flow.port)]['received']
    missed = 0
    if flow.real_time:
        into = receiver.rtnet_port(flow.device_id)['counters']
        received, missed = into['received'], into['missed']
    row = {
        'policy': policy,
        'flow': flow.name,
        'deadline_us': flow.deadline_us,
        'sent_pkts': count['sent'],
        'received_pkts': received,
        'late_pkts': count['late'],
        'missed_pkts': missed,
        'lost_pkts': count['sent'] - received + sum(out['drops'].values()),
        'guest_refused_pkts': probe['refused'],
        **delay_figures(out['queueing-delay']),
    }
    if flow.real_time:
        row.update(rt_figures(flow, count, out['promised-delay-us'], probe))
    return row, out['queueing-delay']


def measure(policy, directory, progress):
    """Boot two guests, run the load under @policy, collect."""
    progress('booting two guests')
    sender, receiver = load.boot(policy, directory)
    with sender, receiver:
        rt_ports = ','.join(str(f.port) for f in load.RT_FLOWS)
        servers = [receiver.start(f'rtprobe echo --ports {rt_ports}'),
                   receiver.start(f'rtprobe sink --ports {load.BULK.port}')]
        for server in servers:
            server.wait_output('ready')

        probes = {load.BULK: load.BULK.start(sender)}
        sleep(load.WARM_UP_S, progress, 'filling the queue')
        for flow in load.RT_FLOWS:
            probes[flow] = flow.start(sender)
        sleep(0.5, progress, 'measuring')
        before = _Snapshot(sender)
        sleep(load.MEASURE_S, progress, 'measuring')
        after = _Snapshot(sender)

        progress('draining')
        for flow in load.FLOWS:
            probes[flow].wait(load.RT_S)
        _drain(sender)
        sink = {'ports': {}}
        for server in servers:
            sink['ports'].update(server.kill().wait().json()['ports'])

        result = Result(policy, sender.accel)
        for flow in load.FLOWS:
            row, delay = _flow_row(policy, flow, sender, receiver,
                                   probes[flow].json(), sink)
            result.rows.append(row)
            result.delay[flow.name] = delay
        result.scheduler = sender.rtnet_scheduler('up0')

    span_s = after.time_s - before.time_s
    bulk_bytes = after.bulk_bytes - before.bulk_bytes
    rt_bytes = after.rt_bytes - before.rt_bytes
    link_bytes = load.RATE_BPS / 8 * span_s
    result.rt_load = rt_bytes / link_bytes
    result.best_effort_share = bulk_bytes / (link_bytes - rt_bytes)
    result.row(load.BULK.name).update(
        throughput_bps=bulk_bytes * 8 / span_s,
        share_of_rest=result.best_effort_share)
    return result
