# SPDX-License-Identifier: GPL-2.0-or-later
"""A program of this machine, packed so that it runs in a test guest.

Takes the program, the libraries it is linked with and the dynamic loader as
they are installed here.  In the guest they lie in one directory of their own,
and the loader is told to look nowhere else, so neither paths nor a loader
cache have to be rebuilt there.

Threads: none.
"""

import os
import re
import shutil
import subprocess

from cpio import Cpio


class ProgramError(Exception):
    """Why the program cannot be packed, and what to do."""


def find(name):
    """Path of the installed program."""
    path = shutil.which(name)
    if not path:
        raise ProgramError(f'{name} is missing: install it (Debian: package '
                           f'{name})')
    return os.path.realpath(path)


def libraries(path):
    """{name it is looked up by: path} of all that @path is linked with; the
    loader stands among them."""
    done = subprocess.run(['ldd', path], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    found, missing = {}, []
    for line in done.stdout.splitlines():
        match = re.match(r'\s*(\S+)(?: => (\S+))? \(0x', line)
        if match and os.path.isabs(match.group(2) or match.group(1)):
            place = match.group(2) or match.group(1)
            found[os.path.basename(match.group(1))] = place
        elif 'not found' in line:
            missing.append(line.split()[0])
    if missing:
        raise ProgramError(f'{path} lacks {", ".join(missing)}: install it '
                           'again')
    if done.returncode or not any(n.startswith('ld-linux') for n in found):
        raise ProgramError(f'{path} is no program that a loader links at '
                           f'start: {(done.stderr or done.stdout).strip()}')
    return found


def identity(name):
    """Text that changes when the program or a library of it does."""
    path = find(name)
    parts = []
    for place in [path, *sorted(libraries(path).values())]:
        status = os.stat(place)
        parts.append(f'{place} {status.st_size} {status.st_mtime_ns}')
    return '\n'.join(parts)


def archive(name):
    """A cpio archive with the program as /bin/@name."""
    path = find(name)
    needed = libraries(path)
    home = f'opt/{name}'
    cpio = Cpio()
    for directory in ('opt', home):
        cpio.directory(directory)
    for lookup_name, place in [(name, path), *sorted(needed.items())]:
        with open(place, 'rb') as f:
            cpio.file(f'{home}/{lookup_name}', f.read(), 0o755)
    loader = next(n for n in needed if n.startswith('ld-linux'))
    cpio.file(f'bin/{name}',
              f'#!/bin/sh\nexec /{home}/{loader} --library-path /{home} '
              f'/{home}/{name} "$@"\n'.encode(), 0o755)
    return cpio.finish()
