# SPDX-License-Identifier: GPL-2.0-or-later
"""One policy: run the load through the daemon and collect what it, and the
guests, saw.

Threads: WorkerWait has one of its own.
"""

import statistics
import threading
import time

from rtguest.traffic import eventually

import edf_host_load as host
import load
import measure

TIMEOUT_S = 60
SAMPLE_S = 0.25
SIGUSR1 = 10


class Result(measure.Result):
    """What a host's daemon is measured for beside that."""

    def __init__(self, policy, bed):
        super().__init__(policy, bed.receiver.accel)
        self.host_jitter_us = bed.host_jitter_us
        self.waiting_pkts = 0           # median, while all flows were there
        self.worker_waited_max_us = 0.0
        self.receiver_missed_pkts = 0   # of all flows, as its rtvnic counts


class WorkerWait(threading.Thread):
    """How long the daemon's worker waited for a processor, at most.

    The kernel adds a wait when it is over, so two looks differ by all of it;
    short ones between the same two looks count as one.
    """

    LOOK_S = 0.005

    def __init__(self, task):
        super().__init__(daemon=True)
        self._path = f'{task}/schedstat'
        self._ending = threading.Event()
        self.max_us = 0.0
        self.start()

    def _waited_us(self):
        with open(self._path, encoding='ascii') as f:
            return int(f.read().split()[1]) / 1e3

    def run(self):
        before_us = self._waited_us()
        while not self._ending.wait(self.LOOK_S):
            now_us = self._waited_us()
            self.max_us = max(self.max_us, now_us - before_us)
            before_us = now_us

    def close(self):
        self._ending.set()
        self.join()
        return self.max_us


class _Snapshot:
    """What has left towards the receiver so far, on the wire."""

    def __init__(self, daemon, sink):
        self.bulk_pkts = _received(sink)
        stats = daemon.call('stats', name=host.LINK)
        link = stats['ports'][0]
        self.time_ns = stats['time-ns']
        self.bytes = _wire(link['egress-bytes'], link['egress-pkts'])
        self.rt_bytes = 0
        for flow in host.RT_FLOWS:
            count = daemon.deadlines(flow.name)['counters']
            self.rt_bytes += _wire(count['sent-bytes'], count['sent'])


def _wire(frame_bytes, pkts):
    return frame_bytes + pkts * load.LINK_OVERHEAD_BYTES


def _received(sink):
    """{flow: frames} that a sink has received until now."""
    lines = sink.out.count('\n')
    sink.kill(SIGUSR1)
    eventually(lambda: sink.out.count('\n') > lines, 'the sink has answered',
               TIMEOUT_S)
    ports = sink.json()['ports']
    return {f: ports[str(f.port)]['received'] for f in host.BULK_FLOWS}


def _serve(receiver):
    """[echo, sink]"""
    servers = []
    for mode, flows in (('echo', host.RT_FLOWS), ('sink', host.BULK_FLOWS)):
        ports = ','.join(str(f.port) for f in flows)
        servers.append(receiver.start(f'rtprobe {mode} --ports {ports}'))
    for server in servers:
        server.wait_output('ready')
    return servers


def _waiting_pkts(daemon):
    links = daemon.call('qos.links', bounds=False)['links']
    return next(link['waiting-pkts'] for link in links
                if link['name'] == host.LINK)


def _sample_waiting(daemon, progress):
    """Median of the frames that wait, while all flows are there."""
    samples = []
    end = time.monotonic() + load.MEASURE_S
    while time.monotonic() < end:
        progress('measuring')
        samples.append(_waiting_pkts(daemon))
        time.sleep(SAMPLE_S)
    return statistics.median(samples)


def _flow_row(result, flow, bed, probe, received):
    taken = bed.daemon.stats(flow.name)['ingress-pkts']
    row = {
        'policy': result.policy,
        'flow': flow.name,
        'deadline_us': flow.deadline_us,
        'sent_pkts': taken,
        'received_pkts': received,
        'late_pkts': 0,
        'missed_pkts': 0,
        'lost_pkts': taken - received,
        'guest_refused_pkts': probe['refused'],
    }
    if flow.real_time:
        out = bed.daemon.deadlines(flow.name)
        # It leaves the sender's hand and reaches the receiver's at once, by
        # one clock: what is late is missed.
        row['late_pkts'] = row['missed_pkts'] = out['counters']['late']
        row.update(measure.delay_figures(out['queueing-delay']))
        row.update(measure.rt_figures(
            flow, out['counters'], bed.promised_us[flow.name], probe))
        result.delay[flow.name] = out['queueing-delay']
    result.rows.append(row)


def _add_rates(result, before, after):
    """What the link carried between two moments."""
    span_s = (after.time_ns - before.time_ns) / 1e9
    rt_bytes = after.rt_bytes - before.rt_bytes
    bulk_bytes = after.bytes - before.bytes - rt_bytes
    link_bytes = load.RATE_BPS / 8 * span_s
    result.rt_load = rt_bytes / link_bytes
    result.best_effort_share = bulk_bytes / (link_bytes - rt_bytes)
    pkts = {f: after.bulk_pkts[f] - before.bulk_pkts[f]
            for f in host.BULK_FLOWS}
    for flow in host.BULK_FLOWS:
        share = pkts[flow] / sum(pkts.values())
        result.row(flow.name).update(
            throughput_bps=bulk_bytes * share * 8 / span_s,
            share_of_rest=result.best_effort_share * share,
            share_of_bulk=share)


def run(bed, policy, progress):
    """Send everything under @policy, collect."""
    daemon = bed.daemon
    bed.set_policy(policy)
    servers = _serve(bed.receiver)
    result = Result(policy, bed)

    probes = {flow: flow.start(bed.sender(flow)) for flow in host.BULK_FLOWS}
    measure.sleep(load.WARM_UP_S, progress, 'filling the queue')
    eventually(lambda: daemon.drops(host.LINK).get('queue-full'),
               'the queue is full', TIMEOUT_S)
    wait = WorkerWait(bed.worker_task())
    for flow in host.RT_FLOWS:
        probes[flow] = flow.start(bed.sender(flow))
    measure.sleep(0.5, progress, 'measuring')
    before = _Snapshot(daemon, servers[1])
    result.waiting_pkts = _sample_waiting(daemon, progress)
    after = _Snapshot(daemon, servers[1])

    progress('draining')
    for flow in host.RT_FLOWS:
        probes[flow].wait(TIMEOUT_S)
    result.worker_waited_max_us = wait.close()
    for flow in host.BULK_FLOWS:
        probes[flow].wait(TIMEOUT_S)
    eventually(lambda: _waiting_pkts(daemon) == 0, 'the queue is empty',
               TIMEOUT_S)
    time.sleep(0.5)                     # what is in the receiver's ring
    received = {}
    for server in servers:
        received.update(server.kill().wait().json()['ports'])
    for flow in host.FLOWS:
        _flow_row(result, flow, bed, probes[flow].json(),
                  received[str(flow.port)]['received'])
    result.receiver_missed_pkts = \
        daemon.deadlines(host.LINK)['counters']['missed']
    _add_rates(result, before, after)
    return result
