# SPDX-License-Identifier: GPL-2.0-or-later
"""Which accelerator boots a guest here.

That /dev/kvm exists says little: there are hosts where it starts the firmware
and then no ordinary kernel.  So the guest itself is booted, once per boot of
the host; the answer is kept in build/guest.

Threads: none.
"""

import json
import os

from . import config

PROBE_S = 10        # a guest boots in about 2 s under KVM

_known = None


def _kept_answer():
    return os.path.join(config.GUEST, 'accel.json')


def _host_boot():
    """What an answer is valid for: this boot of the host, and this QEMU."""
    with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as f:
        return f'{f.read().strip()} {os.path.getmtime(config.QEMU)}'


def _probe():
    from .guest import Guest, GuestError
    from .agent import GuestRestarted, GuestTimeout

    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return 'tcg', '/dev/kvm is missing or not ours'
    try:
        with Guest('accel-probe', accel='kvm') as guest:
            guest.wait_ready(PROBE_S)
        return 'kvm', 'a guest booted'
    except (GuestError, GuestRestarted, GuestTimeout):
        return 'tcg', f'no guest booted under KVM within {PROBE_S} s'


def accelerator():
    """'kvm' or 'tcg': as ACCEL says, or what works."""
    global _known
    wish = os.environ.get('ACCEL') or 'auto'
    if wish in ('kvm', 'tcg'):
        return wish
    if wish != 'auto':
        raise ValueError(f'ACCEL={wish}: say auto, kvm or tcg')
    if _known:
        return _known
    try:
        with open(_kept_answer(), encoding='ascii') as f:
            kept = json.load(f)
        if kept['host_boot'] == _host_boot():
            _known = kept['accel']
            return _known
    except (OSError, ValueError, KeyError):
        pass
    _known, why = _probe()
    with open(_kept_answer(), 'w', encoding='ascii') as f:
        json.dump({'host_boot': _host_boot(), 'accel': _known, 'why': why}, f)
    return _known
