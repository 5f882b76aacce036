# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths and environment variables, in one place.

Threads: constants only.
"""

import os

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                    '..', '..', '..'))
BUILD = os.path.join(TOP, 'build')
LOGS = os.path.join(BUILD, 'logs')
RESULTS = os.path.join(BUILD, 'results')
GUEST = os.path.join(BUILD, 'guest')
BUILD_IMAGE = os.path.join(TOP, 'tests', 'functional', 'guest', 'build-image')

QEMU = os.environ.get('QEMU_BINARY',
                      os.path.join(BUILD, 'qemu', 'qemu-system-x86_64'))
