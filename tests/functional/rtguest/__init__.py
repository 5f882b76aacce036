# SPDX-License-Identifier: GPL-2.0-or-later
"""Real guests for tests and demos: boot, command, watch, clean up.

A test file is a unittest class whose results come out as TAP:

    import rtguest

    class Ping(rtguest.GuestTest):
        def test_ping(self):
            link = self.link()
            a = self.boot('a', link.server('n0'),
                          '-device', 'virtio-net-pci,netdev=n0,mac=' + MAC_A)
            b = self.boot('b', link.client('n0'), ...)
            rtguest.wait_ready(a, b)
            a.ifup(MAC_A, '10.0.0.1/24')
            b.ifup(MAC_B, '10.0.0.2/24')
            self.assertIn('3 packets received',
                          a.run('ping -c 3 -i 0.1 10.0.0.2').out)

    if __name__ == '__main__':
        rtguest.main()

What there is, by file:

    guest.py    Guest: one QEMU with its guest
    agent.py    Command: what runs in a guest
    qmp.py      Qmp: commands and events
    net.py      Link between two guests, HostPort for a guest's frames
    netns.py    NetNamespace: network interfaces that are ours alone
    frames.py   frames as bytes, and the trailer behind them
    wireshark.py  captures, and what tshark makes of them
    vus.py      Daemon: vhost-user-shmem, its ports, and tests of it
    traffic.py  ping, TCP, UDP between guests, checked at both ends
    accel.py    which accelerator works here
    results.py  what a demo or benchmark leaves behind
    tap.py      GuestTest, main
    config.py   paths and environment variables

Environment: ACCEL=auto|kvm|tcg, QEMU_BINARY=path of qemu-system-x86_64.

Threads: each Guest has two reader threads of its own; everything that is
called from outside belongs to the thread that made the Guest.
"""

from .accel import accelerator
from .agent import Command, CommandFailed, GuestRestarted, GuestTimeout
from .config import LOGS, QEMU, RESULTS, TOP
from .guest import Guest, GuestError, qemu_error, wait_ready
from .net import HostPort, Link
from .netns import NetNamespace, NetNamespaceUnavailable
from .qmp import Qmp, QmpError
from .tap import GuestTest, main

# What a demo or benchmark says in a line, and ends.
FAILURES = (GuestError, GuestRestarted, GuestTimeout, CommandFailed, QmpError,
            OSError)

__all__ = ['accelerator', 'Command', 'CommandFailed', 'FAILURES', 'Guest',
           'GuestError', 'GuestRestarted', 'GuestTest', 'GuestTimeout',
           'HostPort', 'Link', 'LOGS', 'main', 'NetNamespace',
           'NetNamespaceUnavailable', 'QEMU', 'qemu_error', 'Qmp', 'QmpError',
           'RESULTS', 'TOP', 'wait_ready']
