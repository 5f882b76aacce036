# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon, its two guests, and what is asked of them.

Each guest has a NIC with split rings and one with packed rings; the two of a
kind share a VLAN.  While the daemon is killed and started again, a steady flow
of numbered datagrams counts what is lost, and a TCP connection loads the same
NIC.

Threads: none.
"""

import json
import re
import subprocess

import rtguest
from rtguest import config, traffic, vus

KINDS = {'split': '', 'packed': 'packed=on'}
MEMORY_MIB = 192
IPERF_S = 3
PROBE_PORT = 7300
PROBE_PERIOD_US = 1000
PROBE_BYTES = 1000
PINGS = 20
# QEMU tries again so often when the daemon is gone.
RECONNECT_MS = 50
# The load has to outlive the restart.
LOAD_S = 8
BEFORE_PKTS, AFTER_PKTS = 500, 500
TIMEOUT_S = 60
DATAGRAM_BYTES = 1400


def find_initrd():
    """Path of an initrd with iperf3, or None if it is not installed."""
    if not vus.find_iperf3():
        return None
    done = subprocess.run([config.BUILD_IMAGE, '--program', 'iperf3'],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise rtguest.GuestError('the guest image could not be built: see '
                                 'above')
    return dict(line.split('=', 1)
                for line in done.stdout.splitlines())['initrd-iperf3']


class Bed:
    """A daemon and two guests; use it in "with"."""

    def __init__(self, directory, initrd):
        self.iperf3 = initrd is not None
        self.macs = {kind: [f'52:54:00:00:60:{2 * n + side:02x}'
                            for side in (0, 1)]
                     for n, kind in enumerate(KINDS)}
        self.ips = {kind: [f'10.0.{96 + n}.{side + 1}' for side in (0, 1)]
                    for n, kind in enumerate(KINDS)}
        self.daemon = vus.Daemon(directory)
        self.guests = []
        extra = ('-initrd', initrd) if initrd else ()
        args = [[], []]
        for number, (kind, device) in enumerate(KINDS.items(), 1):
            for side in (0, 1):
                port = self.daemon.port(f'vm{side + 1}-{kind}', vlan=number)
                args[side] += self.daemon.nic(
                    port, self.macs[kind][side], device,
                    chardev=f'reconnect-ms={RECONNECT_MS}')
        try:
            self.daemon.start()
            for side in (0, 1):
                self.guests.append(rtguest.Guest(
                    f'vm{side + 1}', vus.memory(MEMORY_MIB), *extra,
                    args[side], memory_mib=MEMORY_MIB, machine=vus.MACHINE))
            rtguest.wait_ready(*self.guests)
            for kind in KINDS:
                for side, guest in enumerate(self.guests):
                    guest.ifup(self.macs[kind][side],
                               f'{self.ips[kind][side]}/24')
            self.daemon.wait_ready(*self.daemon.ports)
        except BaseException:
            self.close()
            raise

    def close(self):
        for guest in self.guests:
            guest.close()
        self.daemon.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # -- What is measured -----------------------------------------------------

    def ping(self, kind):
        """(received, average in ms)"""
        out = self.guests[0].run(
            f'ping -c {PINGS} -i 0.05 -W 5 {self.ips[kind][1]}', TIMEOUT_S,
            check=False).out
        received = re.search(r'(\d+) packets received', out)
        times = re.search(r'= [\d.]+/([\d.]+)/', out)
        return (int(received.group(1)) if received else 0,
                float(times.group(1)) if times else 0.0)

    def iperf(self, kind, options=''):
        """What iperf3 says at its end, as JSON."""
        server = self._iperf_server()
        client = self.guests[0].run(
            self._iperf_client(kind, IPERF_S) + options, TIMEOUT_S,
            check=False)
        server.kill().wait(check=False)
        said = json.loads(client.out or '{}')
        if client.status or 'error' in said:
            raise rtguest.GuestError(
                f'iperf3: {said.get("error", client.err.strip())}')
        return said['end']

    def tcp_bps(self, kind):
        if self.iperf3:
            return self.iperf(kind)['sum_received']['bits_per_second']
        # Too short for a rate; raises where a byte has changed.
        traffic.tcp(*self.guests, self.ips[kind][1])
        return None

    def udp(self, kind):
        """(received bits per second, share that was lost)"""
        if self.iperf3:
            end = self.iperf(kind, f' -u -b 0 -l {DATAGRAM_BYTES}')['sum']
            lost = end['lost_percent'] / 100
            return end['bits_per_second'] * (1 - lost), lost
        sink = self._sink()
        sent = self._flood(kind, IPERF_S).wait(TIMEOUT_S).json()['sent']
        got = self._report(sink)
        return (got['received_bytes'] * 8000 / max(got['span_ms'], 1),
                1 - got['received'] / max(sent, 1))

    def restart(self, kind):
        """Kill the daemon under load and start it again; what that cost."""
        sender, receiver = self.guests
        load = self._iperf_load(kind) if self.iperf3 else \
            self._flood(kind, LOAD_S, PROBE_PORT + 1)
        sink = self._sink()
        flow = sender.start(
            f'rtprobe send --dst {self.ips[kind][1]} --port {PROBE_PORT} '
            f'--bytes {PROBE_BYTES} --period-us {PROBE_PERIOD_US} '
            f'--duration-ms {LOAD_S * 1000} --wait-ms 0')
        self._wait_received(kind, BEFORE_PKTS)
        killed_s = self.daemon.kill()
        self.daemon.start()
        start_ms = (self.daemon.ready_s - killed_s) * 1000
        resumed = self._wait_received(kind, AFTER_PKTS)
        sent = flow.wait(TIMEOUT_S).json()['sent']
        ended = load.wait(TIMEOUT_S, check=False)
        got = self._report(sink)
        gap_ms = got['longest_gap_us'] / 1000
        seen = got['received'] + got['lost']    # up to the last one
        return {
            'resumed': resumed and seen >= 0.9 * sent,
            'load_survived': not ended.status,
            'outage_ms': gap_ms,
            'daemon_start_ms': start_ms,
            'after_ready_ms': max(gap_ms - start_ms, 0),
            'received_pkts': got['received'],
            'lost_pkts': got['lost'],
            'twice_pkts': got['duplicates'],
            'corrupt_pkts': got['corrupt'] + got['not_probe'],
            'reordered_pkts': got['reordered'],
        }

    # -- Tools ----------------------------------------------------------------

    def _iperf_server(self):
        server = self.guests[1].start('iperf3 -s -1 --forceflush')
        server.wait_output('listening', TIMEOUT_S)
        return server

    def _iperf_client(self, kind, seconds):
        return f'iperf3 -c {self.ips[kind][1]} -t {seconds} -J'

    def _iperf_load(self, kind):
        self._iperf_server()
        return self.guests[0].start(self._iperf_client(kind, LOAD_S))

    def _flood(self, kind, seconds, port=PROBE_PORT):
        return self.guests[0].start(
            f'rtprobe flood --dst {self.ips[kind][1]} --port {port} '
            f'--bytes {DATAGRAM_BYTES} --duration-ms {seconds * 1000}')

    def _sink(self):
        sink = self.guests[1].start(f'rtprobe sink --ports {PROBE_PORT}')
        sink.wait_output('ready', TIMEOUT_S)
        return sink

    @staticmethod
    def _report(sink):
        return sink.kill().wait(TIMEOUT_S).json()['ports'][str(PROBE_PORT)]

    def _wait_received(self, kind, pkts):
        """Has the receiver's port been sent so many since the daemon's
        start, or since now?"""
        name = f'vm2-{kind}'
        first = self.daemon.stats(name)['egress-pkts']
        try:
            traffic.eventually(
                lambda: self.daemon.stats(name)['egress-pkts'] - first >=
                pkts, 'frames come', TIMEOUT_S)
        except AssertionError:
            return False
        return True
