# SPDX-License-Identifier: GPL-2.0-or-later
"""Archives that a Linux kernel unpacks as its first file system.

Several of them may stand one after the other in one file; what comes later is
added to what came before.

Threads: none.
"""


class Cpio:
    """A newc archive whose bytes depend on its contents only."""

    def __init__(self):
        self.parts = []
        self.inode = 0

    def add(self, name, mode, data=b''):
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(name) + 1, 0)
        head = b'070701' + b''.join(b'%08X' % f for f in fields)
        for part in (head + name.encode() + b'\0', data):
            self.parts.append(part + b'\0' * (-len(part) % 4))

    def directory(self, name):
        self.add(name, 0o040755)

    def file(self, name, data, mode=0o644):
        self.add(name, 0o100000 | mode, data)

    def symlink(self, name, target):
        self.add(name, 0o120777, target.encode())

    def finish(self):
        self.add('TRAILER!!!', 0)
        return b''.join(self.parts)
