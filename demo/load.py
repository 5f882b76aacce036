# SPDX-License-Identifier: GPL-2.0-or-later
"""What the demo sends, over which link, and the two QEMUs that do it.

One sender whose four NICs share one 10 Mbit/s uplink, and one receiver:

    control  200-byte frames every 5 ms, deadline 15 ms      4 % of the link
    audio    500-byte frames every 5 ms, deadline 30 ms      9 %
    video    32 frames of 1400 bytes every 64 ms, 120 ms    58 %
    bulk     1400-byte frames as fast as the guest can: takes what is left

Strict priority lets control and audio wait behind a whole video burst, about
40 ms; FIFO lets everything wait behind bulk as well.

The declared period is 5 % shorter than the real one: a guest's clock and its
timers are not exact, and what comes sooner than declared is postponed.

Threads: none.
"""

import os

import rtguest

RATE_BPS = 10_000_000
QUEUE_PKTS = 100
POLICIES = ('fifo', 'strict', 'edf')

# How late the host may wake the scheduler; part of what admission promises.
# Under TCG two emulated CPUs and two main loops share the host's cores.
HOST_JITTER_US = {'tcg': 6000, 'kvm': 1000}

WARM_UP_S = 1.5
MEASURE_S = 25
# RT flows start after the queue is full and end before bulk does.
RT_S = MEASURE_S + 1

# Ethernet, IPv4 and UDP headers: from frame to UDP payload.
HEADER_BYTES = 14 + 20 + 8
# Preamble, FCS and gap: from frame to what it occupies on the link.
LINK_OVERHEAD_BYTES = 24


class Flow:
    """One NIC of the sender, its peer, and what goes over it."""

    def __init__(self, name, number, frame_bytes, deadline_us=0, period_us=0,
                 burst=1):
        self.name = name
        self.frame_bytes = frame_bytes
        self.deadline_us = deadline_us
        self.period_us = period_us      # between two releases
        self.burst = burst              # frames per release
        self.port = 5000 + number
        self.real_time = deadline_us > 0
        self.link_id = f'n{number}'
        self.device_id = f'rt{number}' if self.real_time else f'e{number}'
        self.sender_mac = f'52:54:00:12:01:{number:02x}'
        self.receiver_mac = f'52:54:00:12:02:{number:02x}'
        self.sender_ip = f'10.1.{number}.1'
        self.receiver_ip = f'10.1.{number}.2'

    @property
    def payload_bytes(self):
        return self.frame_bytes - HEADER_BYTES

    @property
    def declared_period_us(self):
        return int(self.period_us / self.burst * 0.95)

    # -- QEMU -----------------------------------------------------------------

    @property
    def contract(self):
        """Options of an rtvnic that declare the flow."""
        return (f'dscp=46,deadline-us={self.deadline_us},'
                f'period-us={self.declared_period_us},'
                f'max-frame-bytes={self.frame_bytes}')

    def sender_args(self, link):
        netdev = link.client(self.link_id)
        if self.real_time:
            return (*netdev, '-device',
                    f'rtvnic,id={self.device_id},netdev={self.link_id},'
                    f'scheduler=up0,mac={self.sender_mac},{self.contract}')
        return (*netdev, '-object',
                f'edf-port,id={self.device_id},netdev={self.link_id},'
                'scheduler=up0', '-device',
                f'virtio-net-pci,netdev={self.device_id},'
                f'mac={self.sender_mac},queue_reset=off')

    def receiver_args(self, link):
        model = f'rtvnic,id={self.device_id}' if self.real_time \
            else 'virtio-net-pci'
        return (*link.server(self.link_id), '-device',
                f'{model},netdev={self.link_id},mac={self.receiver_mac}')

    # -- Guests ---------------------------------------------------------------

    def set_up(self, sender, receiver):
        name = sender.ifup(self.sender_mac, f'{self.sender_ip}/24')
        sender.neighbour(name, self.receiver_ip, self.receiver_mac)
        name = receiver.ifup(self.receiver_mac, f'{self.receiver_ip}/24')
        receiver.neighbour(name, self.sender_ip, self.sender_mac)

    def start(self, sender):
        if not self.real_time:
            duration_ms = int((2 * WARM_UP_S + RT_S) * 1000)
            return sender.start(
                f'rtprobe flood --dst {self.receiver_ip} --port {self.port} '
                f'--bytes {self.payload_bytes} --duration-ms {duration_ms}')
        return sender.start(
            f'rtprobe send --dst {self.receiver_ip} --port {self.port} '
            f'--bytes {self.payload_bytes} --period-us {self.period_us} '
            f'--burst {self.burst} --duration-ms {RT_S * 1000} '
            '--wait-ms 2000')


FLOWS = (
    Flow('control', 0, 200, deadline_us=15000, period_us=5000),
    Flow('audio', 1, 500, deadline_us=30000, period_us=5000),
    Flow('video', 2, 1400, deadline_us=120000, period_us=64000, burst=32),
    Flow('bulk', 3, 1400),
)
RT_FLOWS = tuple(f for f in FLOWS if f.real_time)
BULK, = (f for f in FLOWS if not f.real_time)


def yield_to_main_loop(guest, policy=os.SCHED_BATCH, nice=19):
    """Let an emulated or virtual CPU step back when anyone else wants to run.

    The packets are scheduled in QEMU's main loop, which must get the processor
    the moment a packet is due.  Needs no privilege: chrt -b and renice do it.
    SCHED_IDLE would go too far: a CPU that holds QEMU's lock must get on.
    """
    for cpu in guest.qmp.cmd('query-cpus-fast'):
        thread = cpu['thread-id']
        os.sched_setscheduler(thread, policy, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, thread, nice)


def boot(policy, directory):
    """(sender, receiver), ready to start the flows."""
    links = {f: rtguest.Link(directory, f'{policy}-{f.link_id}') for f in FLOWS}
    receiver = rtguest.Guest(f'{policy}-receiver',
                             *(f.receiver_args(links[f]) for f in FLOWS))
    jitter_us = HOST_JITTER_US[receiver.accel]
    sender = rtguest.Guest(
        f'{policy}-sender', '-object',
        f'edf-scheduler,id=up0,rate-bps={RATE_BPS},policy={policy},'
        f'queue-pkts={QUEUE_PKTS},host-jitter-us={jitter_us}',
        *(f.sender_args(links[f]) for f in FLOWS))
    rtguest.wait_ready(receiver, sender)
    for guest in (sender, receiver):
        yield_to_main_loop(guest)
    for flow in FLOWS:
        flow.set_up(sender, receiver)
    return sender, receiver
