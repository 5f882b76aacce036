#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Note which frames come in on interfaces, and when, by the kernel's clock.

A program of its own, so that it can run inside a network namespace: started
and read by Capture.  Frames that a host sends out are not noted.

Threads: none.
"""

import collections
import os
import pickle
import select
import socket
import struct
import subprocess
import sys

ETH_P_ALL = 3
SO_TIMESTAMPNS = 35
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 64 << 20
# Enough for the headers of a probe, and for a trailer.
HEAD_BYTES, TAIL_BYTES = 64, 32

# @time_ns: CLOCK_REALTIME, when the interface gave it to the kernel
Seen = collections.namedtuple('Seen', 'interface time_ns bytes head tail')


class Capture:
    """What comes in on @interfaces from now on, in the namespace of @prefix."""

    def __init__(self, prefix, interfaces):
        self._process = subprocess.Popen(
            [*prefix, sys.executable, os.path.abspath(__file__), *interfaces],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._process.stdout.readline() != b'ready\n':
            self._process.wait()
            raise OSError('cannot capture on ' + ' '.join(interfaces))

    def stop(self):
        """[Seen], by time."""
        out, _ = self._process.communicate()
        if self._process.returncode:
            raise OSError('the capture was not complete: too busy a machine')
        return sorted((Seen(*fields) for fields in pickle.loads(out)),
                      key=lambda seen: seen.time_ns)


def _open(interface):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    s.bind((interface, ETH_P_ALL))
    s.setblocking(False)
    return s


def _receive_all(s, interface, seen):
    while True:
        try:
            frame, control, _, _ = s.recvmsg(65536, 64)
        except BlockingIOError:
            return
        time_ns = next(
            seconds * 10**9 + ns for level, kind, data in control
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)
            for seconds, ns in [struct.unpack('qq', data)])
        seen.append((interface, time_ns, len(frame), frame[:HEAD_BYTES],
                     frame[-TAIL_BYTES:]))


def main():
    sockets = {_open(name): name for name in sys.argv[1:]}
    seen = []
    print('ready', flush=True)
    ends = False
    while not ends:
        readable, _, _ = select.select([sys.stdin, *sockets], [], [])
        ends = sys.stdin in readable
        for s, name in sockets.items():
            _receive_all(s, name, seen)
    for s in sockets:
        statistics = s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        if struct.unpack('II', statistics)[1]:
            sys.exit(1)
    pickle.dump(seen, sys.stdout.buffer)


if __name__ == '__main__':
    main()
