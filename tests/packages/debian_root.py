# SPDX-License-Identifier: GPL-2.0-or-later
"""A small Debian in build/deb/root, to install packages into.

It is of this machine's release, and from the mirror that its apt uses. All that
touches it runs in a mount and a process namespace of its own: when that ends,
however it ends, no mount and no process is left.

Threads: none.
"""

import os
import shutil
import signal
import subprocess
import sys

from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
DEB = TOP / 'build' / 'deb'
ROOT = DEB / 'root'
sys.path[:0] = [str(TOP / 'overlay'), str(TOP / 'tests' / 'functional')]

from debian_archive import debian_mirrors       # noqa: E402

INSIDE = '--in-namespaces'
ENVIRONMENT = {
    'DEBIAN_FRONTEND': 'noninteractive', 'HOME': '/root', 'LC_ALL': 'C.UTF-8',
    'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
}
DEVICES = ('full', 'null', 'random', 'urandom', 'zero')
NEEDED = {'mmdebstrap': 'mmdebstrap', 'unshare': 'util-linux',
          'lintian': 'lintian'}
# What is not the packages': mounts, what tests put there, what apt, dpkg, man
# and systemctl note for themselves.
CHANGING = ('debs', 'dev', 'proc', 'root', 'run/systemd', 'sys', 'tmp',
            'var/cache', 'var/lib/apt', 'var/lib/dpkg', 'var/log')


def _remove():
    """The mounts are gone with their namespace, but better be sure."""
    if os.path.lexists(ROOT):
        subprocess.run(['rm', '-rf', '--one-file-system', ROOT], check=True)


def run_in_namespaces(main):
    """Call @main where mounts and processes end with it; exits."""
    if INSIDE in sys.argv:
        sys.argv.remove(INSIDE)
        sys.exit(main())
    if os.geteuid() != 0:
        print('Bail out! a Debian root takes root: run it with sudo')
        sys.exit(1)
    missing = [package for tool, package in NEEDED.items()
               if not shutil.which(tool)]
    if missing:
        print('Bail out! something is missing: apt-get install '
              f'--no-install-recommends {" ".join(missing)}')
        sys.exit(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    _remove()
    try:
        status = subprocess.run(
            ['unshare', '--mount', '--pid', '--fork', '--kill-child',
             '--mount-proc', sys.executable, *sys.argv, INSIDE]).returncode
    finally:
        _remove()
    sys.exit(status)


def built(package):
    """The .deb of "make deb"."""
    found = sorted(DEB.glob(f'{package}_*.deb'))
    if len(found) != 1:
        raise AssertionError(f'build/deb has {len(found)} packages '
                             f'{package}_*.deb, not one: run make deb')
    return found[0]


class RootError(Exception):
    """What ran, and what it said."""


def run(*command, check=True, **options):
    """Run a program; what it printed, and its status in .returncode."""
    done = subprocess.run([str(word) for word in command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **{'stdin': subprocess.DEVNULL, **options})
    if check and done.returncode:
        raise RootError(f'{" ".join(map(str, command))}\nexit status '
                        f'{done.returncode}; it said:\n{done.stdout}')
    return done


class DebianRoot:
    """The root, mounted and ready."""

    def __init__(self):
        with open('/etc/os-release', encoding='utf-8') as f:
            release = dict(line.rstrip('\n').split('=', 1)
                           for line in f if '=' in line)
        mirrors = debian_mirrors(Path('/etc/apt/sources.list'),
                                 Path('/etc/apt/sources.list.d'))
        run('mmdebstrap', '--mode=root', '--variant=minbase',
            '--skip=cleanup/apt/lists', release['VERSION_CODENAME'].strip('"'),
            ROOT, *(uri for uri, _ in mirrors[:1]))
        self._mount()
        shutil.copy('/etc/resolv.conf', self.path('/etc/resolv.conf'))

    def _mount(self):
        run('mount', '-t', 'proc', 'proc', self.path('/proc'))
        run('mount', '-t', 'tmpfs', 'dev', self.path('/dev'))
        for name in DEVICES:
            self.path('/dev', name).touch()
            run('mount', '--bind', f'/dev/{name}', self.path('/dev', name))
        for name in ('shm', 'pts'):
            self.path('/dev', name).mkdir()
        run('mount', '-t', 'devpts', '-o', 'newinstance,ptmxmode=666',
            'devpts', self.path('/dev/pts'))
        os.symlink('pts/ptmx', self.path('/dev/ptmx'))
        os.symlink('/proc/self/fd', self.path('/dev/fd'))

    def path(self, *parts):
        """Where a path of the root is for us."""
        return ROOT.joinpath(*(part.lstrip('/') for part in parts))

    def take(self, packages):
        """Copies of ours; where they are in the root."""
        self.path('/debs').mkdir()
        debs = [built(package) for package in packages]
        for deb in debs:
            shutil.copy(deb, self.path('/debs'))
        return [f'/debs/{deb.name}' for deb in debs]

    def run(self, *command, **options):
        return run('chroot', ROOT, *command, env=ENVIRONMENT, **options)

    def start(self, *command, **options):
        """A Popen, whose pid is the program's own."""
        return subprocess.Popen(
            ['chroot', ROOT, *command], env=ENVIRONMENT, text=True,
            stdin=subprocess.DEVNULL, **options)

    def apt(self, *words):
        return self.run('apt-get', '-q', '-y', '--no-install-recommends',
                        *words).stdout

    def listing(self):
        """{path: mode, owner and group, and where a link points to}."""
        found = {}
        for place, directories, files in os.walk(ROOT):
            inside = os.path.relpath(place, ROOT)
            directories[:] = [name for name in directories if
                              os.path.normpath(os.path.join(inside, name))
                              not in CHANGING]
            for name in directories + files:
                path = os.path.join(place, name)
                status = os.lstat(path)
                found['/' + os.path.relpath(path, ROOT)] = (
                    oct(status.st_mode), status.st_uid, status.st_gid,
                    os.path.islink(path) and os.readlink(path))
        return found
