# SPDX-License-Identifier: GPL-2.0-or-later
"""What a demo or benchmark leaves in build/results.

Threads: none.
"""

import json
import os
import platform

from . import config
from .accel import accelerator


def _cpu_model():
    with open('/proc/cpuinfo', encoding='utf-8', errors='replace') as f:
        for line in f:
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.machine()


def write_json(target, rows, summary):
    """Write build/results/@target.json; its path.

    @rows: list of dicts, a measurement each
    @summary: {name with unit: number}
    """
    path = os.path.join(config.RESULTS, target + '.json')
    os.makedirs(config.RESULTS, exist_ok=True)
    with open(path, 'w', encoding='utf-8') as f:
        json.dump({
            'target': target,
            'host': {'cpu': _cpu_model(), 'cores': os.cpu_count(),
                     'kernel': platform.release(), 'accel': accelerator()},
            'rows': rows,
            'summary': summary,
        }, f, indent=1)
        f.write('\n')
    return path


def show_files(figures, picture):
    """Say where they are; @picture None: it could not be drawn."""
    print('Figures:', os.path.relpath(figures))
    if picture:
        print('Plot:   ', os.path.relpath(picture))
    else:
        print('No plot: matplotlib is missing (Debian: python3-matplotlib).')
