# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions of vhost-user-shmem per frame, counted by callgrind.

The daemon is idle and asleep when counting begins and when it ends; in between
it forwards a known number of frames from full rings.  So all that it did counts
as the price of these frames, but for a few turns until it sleeps.

callgrind shows programs a processor without AVX-512: copies take more
instructions than they do without it.

Threads: none of its own.
"""

import glob
import os
import re
import shutil
import subprocess
import tempfile

import switch_back
import switch_front
import switch_matrix
from switch_host import Failed

SECONDS = 2                     # some 100 000 frames
START_S = 120
KEYS = {
    'insn_per_packet_split': (switch_back.Ours, 'split'),
    'insn_per_packet_packed': (switch_back.Ours, 'packed'),
    'insn_per_packet_switch_split': (switch_back.OursSwitch, 'split'),
    'insn_per_packet_switch_packed': (switch_back.OursSwitch, 'packed'),
}


def _counted(back_class):
    """The same back end under callgrind."""
    class Counted(back_class):
        def argv(self):
            return ['valgrind', '--tool=callgrind', '--instr-atstart=no',
                    f'--callgrind-out-file={self.directory}/profile',
                    *super().argv(), '--sandbox', 'off']

        def control(self, *options):
            done = subprocess.run(
                ['callgrind_control', *options, str(self.main.pid)],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=START_S)
            if done.returncode or 'rror' in done.stdout:
                raise Failed(f'callgrind_control: {done.stdout.strip()}')

        def instructions(self):
            """All that have been counted since the last call."""
            self.control('--dump')
            name = max(glob.glob(f'{self.directory}/profile.*'),
                       key=os.path.getmtime)
            with open(name, encoding='utf-8') as f:
                return int(re.search(r'^totals: (\d+)', f.read(),
                                     re.MULTILINE)[1])

    return Counted


def _count(back_class, rings, directory):
    back = _counted(back_class)(2, directory)
    try:
        row = switch_matrix.Row(rings=rings)
        load = switch_front.Load(row, back, back.directory, SECONDS)
        try:
            load.wait_ready()
            back.control('--instr=on')
            sample = load.sample(START_S)
            instructions = back.instructions()
        finally:
            load.close()
    finally:
        back.close()
    sent, received = (sample[f'{what}_pkts_in_all'] for what in ('tx', 'rx'))
    if sent != received:
        raise Failed(f'{sent - received} of {sent} frames were dropped while '
                     'instructions were counted')
    return instructions / received


def measure(progress):
    """{key: instructions or None}"""
    if not shutil.which('valgrind'):
        progress('')
        print('Instructions are not counted: valgrind is missing (Debian: '
              'valgrind).\n')
        return dict.fromkeys(KEYS)
    figures = {}
    with tempfile.TemporaryDirectory(prefix='bench-switch-',
                                     dir='/tmp') as directory:
        for key, (back_class, rings) in KEYS.items():
            progress(f'instructions: {back_class.name}, {rings} rings')
            own = os.path.join(directory, key)
            os.mkdir(own)
            figures[key] = _count(back_class, rings, own)
    return figures
