# SPDX-License-Identifier: GPL-2.0-or-later
"""
Where things are, what the overlay is pinned to, and how the overlay's tools
speak to the user.

Threads: none; imported by the scripts in this directory.
"""
import shlex
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
OVERLAY = TOP / 'overlay'
BUILD = TOP / 'build'
DOWNLOAD = BUILD / 'download'
QEMU_SRC = BUILD / 'qemu-src'
# Of other versions, by version: their source, build and logs.
REBASE = BUILD / 'rebase'

# Inside a source tree that we unpacked: which source it came from.
ORIGIN_FILE = '.rtnet-origin'
# Inside a prepared tree: what overlay/prepare changed there.
OVERLAY_STATE = '.rtnet-overlay'


class UserError(Exception):
    """What is wrong, and what to do about it."""


def read_pin():
    """All settings of upstream.pin, by name."""
    words = shlex.split((OVERLAY / 'upstream.pin').read_text(),
                        comments=True)
    return dict(word.split('=', 1) for word in words)


def say(topic, text):
    """One line of progress."""
    print(f'{topic:<10}{text}', flush=True)


def run_main(main):
    """Call main(); turn what the user can do something about into text."""
    try:
        sys.exit(main())
    except UserError as e:
        print(f'error: {e}', file=sys.stderr)
        sys.exit(1)
    except OSError as e:
        print(f'error: {e}\n'
              'Free some disk space or correct the permissions there, then '
              'give the same command again:\nit goes on where it stopped.',
              file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print('interrupted; give the same command again to go on',
              file=sys.stderr)
        sys.exit(130)
