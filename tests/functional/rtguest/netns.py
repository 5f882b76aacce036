# SPDX-License-Identifier: GPL-2.0-or-later
"""A network namespace of the test's own: interfaces that disturb nobody.

Root makes one directly; other users with a user namespace around it, where
the system lets them.

Threads: none.
"""

import os
import shutil
import subprocess


class NetNamespaceUnavailable(Exception):
    """Why this machine gives us none."""


class NetNamespace:
    """Lives until close(), or until this process ends.

    prefix: what to put in front of a command to run it inside.
    """

    def __init__(self):
        for tool in ('unshare', 'nsenter', 'ip'):
            if not shutil.which(tool):
                raise NetNamespaceUnavailable(f'no program "{tool}" found')
        user = [] if os.geteuid() == 0 else ['--user', '--map-root-user']
        # cat holds the namespace; it ends when our end of its stdin does.
        self._holder = subprocess.Popen(
            ['unshare', *user, '--net', 'cat'], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            self._holder.stdin.write(b'\n')
            self._holder.stdin.flush()
        except BrokenPipeError:
            pass
        if not self._holder.stdout.readline():
            why = self._holder.stderr.read().decode().strip()
            self.close()
            raise NetNamespaceUnavailable(why)
        self.prefix = ['nsenter', '-t', str(self._holder.pid), '--net']
        if user:
            self.prefix += ['--user', '--preserve-credentials']
        self.run('ip', 'link', 'set', 'lo', 'up')

    def run(self, *argv):
        """Run a command inside; its stdout."""
        done = subprocess.run([*self.prefix, *argv], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise NetNamespaceUnavailable(
                f'"{" ".join(argv)}": {done.stderr.strip()}')
        return done.stdout

    def close(self):
        for pipe in (self._holder.stdin, self._holder.stdout,
                     self._holder.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        self._holder.wait()
