# SPDX-License-Identifier: GPL-2.0-or-later
"""What demo-edf-host sends, and the daemon and guests that do it.

Four guests, and one port of the daemon, 10 Mbit/s, to the receiver:

    control  an rtvnic: 200-byte frames every 5 ms, deadline 20 ms   4 %
    video    another one of the same guest: 32 frames of 1400 bytes
             every 100 ms, deadline 120 ms                          37 %
    bulk1    an ordinary virtio-net: 1400-byte frames as fast as
             its guest can: takes half of what is left
    bulk2    the same in a guest of its own

A NIC has one contract, so two flows are two NICs.  A burst of video keeps the
link busy for 37 ms: that is how long strict priority lets control wait.

All guests live through all policies: only the port's policy= changes.

Threads: none.
"""

import os

import rtguest
from rtguest import vus

import load

RECEIVER_MAC = '52:54:00:12:02:ff'
LINK = 'receiver'               # the port with a rate
# Bulk guests that flood hold 7/24 of it each (egress-queue.h): together 149
# frames, 170 ms, when nobody else is there.
QUEUE_PKTS = 256

# How late the host may run the daemon's worker.  Under TCG that shares two
# cores with four emulated CPUs and as many main loops; it yields what it does
# not need (idle-us=0), so that it is next when it does.
HOST_JITTER_US = {'tcg': 10000, 'kvm': 1000}
# Guests that flood step back for the others, and those for the worker.
RT_NICE = 10
# The receiver's sockets: what the link has carried is not to be lost there.
SOCKET_BYTES = 8 << 20


class Flow(load.Flow):
    """What goes through one port of the daemon to the receiver's only NIC."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.receiver_mac = RECEIVER_MAC

    def sender_args(self, daemon):
        if self.real_time:
            return daemon.rtvnic(self.name, self.sender_mac, self.contract)
        return daemon.nic(self.name, self.sender_mac)


CONTROL = Flow('control', 0, 200, deadline_us=20000, period_us=5000)
VIDEO = Flow('video', 1, 1400, deadline_us=120000, period_us=100000, burst=32)
RT_FLOWS = CONTROL, VIDEO
BULK_FLOWS = Flow('bulk1', 2, 1400), Flow('bulk2', 3, 1400)
FLOWS = RT_FLOWS + BULK_FLOWS
# Guest: what it sends.
SENDERS = {'realtime': RT_FLOWS, **{f.name: (f,) for f in BULK_FLOWS}}


class Bed:
    """The daemon and its guests; use it in "with"."""

    def __init__(self, directory):
        self.daemon = vus.Daemon(directory, '--idle-us', '0')
        self.host_jitter_us = HOST_JITTER_US[rtguest.accelerator()]
        self._guests = {}
        self._add_ports()
        try:
            self.daemon.start()
            self._boot()
            self.daemon.wait_ready(LINK, *(f.name for f in FLOWS))
            self.promised_us = self._promised_us()
            self._set_up()
        except BaseException:
            self.close()
            raise

    def _add_ports(self):
        for flow in FLOWS:
            self.daemon.port(flow.name,
                             **({'rtvnic': 'on'} if flow.real_time else {}))
        self.daemon.port(LINK, rtvnic='on', rate_bps=load.RATE_BPS,
                         queue_pkts=QUEUE_PKTS,
                         host_jitter_us=self.host_jitter_us)
        # A contract needs a link that promises, which LINK does with edf only.
        self.daemon.port('promises', type='dummy', rate_bps='1G')

    def _boot(self):
        args = {name: [flow.sender_args(self.daemon) for flow in flows]
                for name, flows in SENDERS.items()}
        args[LINK] = [self.daemon.rtvnic(LINK, RECEIVER_MAC)]
        for name, nics in args.items():
            self._guests[name] = rtguest.Guest(
                name, vus.memory(), *nics, memory_mib=vus.MEMORY_MIB,
                machine=vus.MACHINE)
        rtguest.wait_ready(*self._guests.values())
        for name, guest in self._guests.items():
            if any(flow.name == name for flow in BULK_FLOWS):
                load.yield_to_main_loop(guest)
            else:
                load.yield_to_main_loop(guest, os.SCHED_OTHER, RT_NICE)

    def _set_up(self):
        self.receiver.run(
            f'echo {SOCKET_BYTES} > /proc/sys/net/core/rmem_default')
        for flow in FLOWS:
            flow.set_up(self.sender(flow), self.receiver)

    def _promised_us(self):
        """{port: how long a frame of it may wait for the link with edf}"""
        return {c['port']: c['delay-bound-ns'] / 1e3
                for c in self.daemon.link(LINK)['contracts']}

    def set_policy(self, policy):
        """From now on; counters begin at zero."""
        self.daemon.set(LINK, policy=policy)
        self.daemon.wait_ready(LINK)
        # The switch has forgotten who is behind that port: until it knows,
        # every port gets what the others send.
        for flow in FLOWS:
            self.sender(flow).run(f'ping -c 1 -W 10 {flow.receiver_ip}')
        self.daemon.call('stats.reset')

    @property
    def receiver(self):
        return self._guests[LINK]

    def sender(self, flow):
        return next(self._guests[name] for name, flows in SENDERS.items()
                    if flow in flows)

    def worker_task(self):
        """Directory in /proc of the thread that forwards."""
        tasks = f'/proc/{self.daemon.pid}/task'
        for tid in os.listdir(tasks):
            with open(f'{tasks}/{tid}/comm', encoding='ascii') as f:
                if f.read() == 'worker-0\n':
                    return f'{tasks}/{tid}'
        raise vus.DaemonError('the daemon has no thread worker-0')

    def close(self):
        for guest in self._guests.values():
            guest.close()
        self.daemon.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
