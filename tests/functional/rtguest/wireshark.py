# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures with times, and what tshark makes of them.

Threads: none.
"""

import json
import os
import shutil
import struct
import subprocess
import tempfile

# Magic numbers of the file format, and the unit of its second time field.
PCAP_UNIT_NS = {0xa1b2c3d4: 1000, 0xa1b23c4d: 1}
PCAP_NS = 0xa1b23c4d
SNAP_BYTES = 65536
LINKTYPE_ETHERNET = 1
NS_PER_S = 1_000_000_000
NOBODY = '65534'


def read_capture(path):
    """[(time_ns, frame)] of a capture that this machine wrote."""
    with open(path, 'rb') as f:
        data = f.read()
    unit_ns = PCAP_UNIT_NS[struct.unpack_from('=I', data)[0]]
    at, found = 24, []
    while at + 16 <= len(data):
        time_s, part, kept, length = struct.unpack_from('=IIII', data, at)
        if kept != length:
            raise ValueError(f'{path} was cut: give filter-dump a maxlen')
        found.append((time_s * NS_PER_S + part * unit_ns,
                      data[at + 16:at + 16 + kept]))
        at += 16 + kept
    return found


def write_capture(path, timed_frames, keep_bytes=SNAP_BYTES):
    """Write [(time_ns, frame)]; of each frame @keep_bytes are kept."""
    with open(path, 'wb') as f:
        f.write(struct.pack('=IHHiIII', PCAP_NS, 2, 4, 0, 0, SNAP_BYTES,
                            LINKTYPE_ETHERNET))
        for time_ns, frame in timed_frames:
            kept = frame[:keep_bytes]
            f.write(struct.pack('=IIII', *divmod(time_ns, NS_PER_S),
                                len(kept), len(frame)) + kept)


class Tshark:
    """tshark with one Lua script, and none of its user's preferences."""

    def __init__(self, script):
        self._directory = tempfile.mkdtemp(prefix='rtshark-', dir='/tmp')
        os.chmod(self._directory, 0o755)
        self._script = os.path.join(self._directory, 'script.lua')
        shutil.copyfile(script, self._script)
        os.chmod(self._script, 0o644)
        # Run by root, Wireshark 4.4 ignores scripts.
        self._prefix = ['setpriv', '--reuid', NOBODY, '--regid', NOBODY,
                        '--clear-groups'] if os.geteuid() == 0 else []

    def close(self):
        shutil.rmtree(self._directory)

    @staticmethod
    def installed():
        return shutil.which('tshark') is not None

    def dissect(self, capture, fields, options=()):
        """What it says of each frame: a list of {field: [text, ...]}.

        @options: preferences, as in "eth.fcs:Always"
        """
        argv = [*self._prefix, 'tshark', '-n', '-r', '-',
                '-X', f'lua_script:{self._script}', '-T', 'json']
        for option in options:
            argv += ['-o', option]
        for field in fields:
            argv += ['-e', field]
        env = {'PATH': os.environ['PATH'], 'HOME': self._directory,
               'XDG_CONFIG_HOME': self._directory, 'LC_ALL': 'C.UTF-8'}
        with open(capture, 'rb') as f:
            done = subprocess.run(argv, stdin=f, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, env=env,
                                  timeout=60)
        if done.returncode or 'Lua' in done.stderr:
            raise AssertionError(f'tshark ended with status {done.returncode}:'
                                 f'\n{done.stderr}')
        return [packet['_source'].get('layers', {})
                for packet in json.loads(done.stdout)]
