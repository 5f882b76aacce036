# SPDX-License-Identifier: GPL-2.0-or-later
"""Wires: between two guests, or between a guest and the test itself.

Threads: none.
"""

import os
import socket


class Link:
    """A point-to-point wire between two QEMUs that loses nothing.

    A stream socket, so that a slow receiver pushes back instead of dropping.
    Either side may start first.
    """

    def __init__(self, directory, name):
        self.directory = directory
        self._path = os.path.join(directory, name)

    def server(self, netdev_id):
        return ('-netdev', f'stream,id={netdev_id},server=on,'
                           f'addr.type=unix,addr.path={self._path}')

    def client(self, netdev_id):
        return ('-netdev', f'stream,id={netdev_id},server=off,'
                           f'addr.type=unix,addr.path={self._path},'
                           'reconnect-ms=100')


class HostPort:
    """A guest's wire whose other end is the test: frames in and out as bytes.

    receive() sees exactly what QEMU's backend was given, trailer and all.
    After a migration another QEMU, with a netdev() of its own, is at the other
    end: that of the last netdev() gets what send() sends.
    """

    def __init__(self, directory, name):
        self._ours = os.path.join(directory, name + '.host')
        self._base = os.path.join(directory, name + '.qemu')
        self._ends = 0
        self._theirs = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._ours)

    def netdev(self, netdev_id):
        self._ends += 1
        self._theirs = self._base + str(self._ends)
        return ('-netdev', f'dgram,id={netdev_id},local.type=unix,'
                           f'local.path={self._theirs},remote.type=unix,'
                           f'remote.path={self._ours}')

    def send(self, frame):
        self._socket.sendto(frame, self._theirs)

    def receive(self, timeout_s=5, match=lambda frame: True):
        """Next frame that matches; TimeoutError if none comes."""
        self._socket.settimeout(timeout_s)
        while True:
            try:
                frame = self._socket.recv(65536)
            except socket.timeout:
                raise TimeoutError(f'no such frame within {timeout_s} s') \
                    from None
            if match(frame):
                return frame

    def discard(self):
        """Throw away what has come so far."""
        self._socket.settimeout(0)
        try:
            while True:
                self._socket.recv(65536)
        except BlockingIOError:
            pass

    def close(self):
        self._socket.close()
