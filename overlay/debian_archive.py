# SPDX-License-Identifier: GPL-2.0-or-later
"""
Read Debian's archive through apt, without touching the system's apt.

The machine's own apt sources say which mirror to use and which key to trust.
From them we derive a private source list for another suite, with package
lists and cache in a directory of our own.  So this needs no root, works
through the machine's proxy and mirror, and leaves /etc/apt and /var/lib/apt
as they are.  apt itself verifies every index and file against the archive's
signature.

Threads: none.
"""
import re
import shutil
import subprocess
from pathlib import Path

from pin import UserError

DEBIAN_SUITES = re.compile(
    r'(bullseye|bookworm|trixie|forky|duke|sid|(old){0,2}stable|testing'
    r'|unstable)$')
ARCHIVE_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

# What the private list takes over from an entry of the machine's; the others
# (types, suites, components, architectures, languages...) are ours to choose.
KEPT_FIELDS = ('signed-by', 'trusted', 'check-valid-until', 'check-date',
               'by-hash', 'allow-insecure', 'allow-weak')


def _deb822_stanzas(text):
    """Fields (lower-case names) of each stanza of a .sources file."""
    lines = [line for line in text.splitlines() if not line.startswith('#')]
    for block in re.split(r'\n\s*\n', '\n'.join(lines)):
        fields = {}
        name = None
        for line in block.splitlines():
            if line[:1].isspace() and name:
                fields[name] += '\n' + line
            elif ':' in line:
                name, value = line.split(':', 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields


def _one_line_entries(text):
    """The same for the older format: deb [option=value ...] URI suite ..."""
    for line in text.splitlines():
        match = re.match(r'\s*deb\s+(?:\[(.*?)\]\s*)?(\S+)\s+(\S+)\s+([^#]*)',
                         line)
        if match:
            options, uri, suite, components = match.groups()
            fields = dict(option.split('=', 1)
                          for option in (options or '').split()
                          if '=' in option)
            fields = {name.lower(): value.replace(',', ' ')
                      for name, value in fields.items()}
            fields.update({'types': 'deb', 'uris': uri, 'suites': suite,
                           'components': components})
            yield fields


def _apt_path(key):
    out = subprocess.run(['apt-config', 'shell', 'FOUND', key],
                         capture_output=True, text=True, check=True).stdout
    return Path(out.partition("'")[2].rpartition("'")[0])


def debian_mirrors(list_file, parts_dir):
    """
    Stanzas that may point to a Debian mirror, the likeliest first.

    Other archives use Debian's suite names, too: the caller tries in turn.
    """
    files = [list_file] if list_file.is_file() else []
    if parts_dir.is_dir():
        files += sorted(parts_dir.glob('*.list'))
        files += sorted(parts_dir.glob('*.sources'))
    found = []
    for path in files:
        parse = (_deb822_stanzas if path.suffix == '.sources'
                 else _one_line_entries)
        for fields in parse(path.read_text(errors='replace')):
            if (fields.get('enabled', 'yes').lower() not in ('no', 'false')
                    and 'deb' in fields.get('types', '').split()
                    and 'main' in fields.get('components', '').split()
                    and any(DEBIAN_SUITES.match(suite)
                            for suite in fields.get('suites', '').split())):
                for uri in fields.get('uris', '').split():
                    if not uri.startswith('cdrom:'):
                        kept = {name: fields[name] for name in KEPT_FIELDS
                                if name in fields}
                        if (uri, kept) not in found:
                            found.append((uri, kept))
    found.sort(key=lambda m: 'debian' not in m[0].rstrip('/').split('/')[-1])
    return found


class DebianArchive:
    """One suite of Debian's archive, seen through a private apt."""

    def __init__(self, work_dir, suite, log):
        """@work_dir: private, thrown away at the end.  @log: path."""
        self.work_dir = work_dir
        self.suite = suite
        self.log = log
        if not shutil.which('apt-get'):
            raise UserError('this machine has no apt-get')
        shutil.rmtree(work_dir, ignore_errors=True)
        for sub in ('state/lists/partial', 'cache/archives/partial'):
            (work_dir / sub).mkdir(parents=True)
        (work_dir / 'status').touch()
        # Read after all of the system's configuration.  The hooks that
        # distributions hang on "update" are for the system's lists.
        (work_dir / 'apt.conf').write_text(
            f'Dir::State "{work_dir}/state";\n'
            f'Dir::State::status "{work_dir}/status";\n'
            f'Dir::Cache "{work_dir}/cache";\n'
            f'Dir::Etc::sourcelist "{work_dir}/private.sources";\n'
            'Dir::Etc::sourceparts "/dev/null";\n'
            'APT::Sandbox::User "root";\n'
            'APT::Update::Error-Mode "any";\n'
            'Acquire::Retries "3";\n'
            'Acquire::Languages "none";\n'
            '#clear APT::Update::Pre-Invoke;\n'
            '#clear APT::Update::Post-Invoke;\n'
            '#clear APT::Update::Post-Invoke-Success;\n')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.work_dir, ignore_errors=True)

    def _apt(self, tool, *args, cwd=None):
        """Run an apt tool; returns what it says, None if it failed."""
        done = subprocess.run([tool, '-q', '-c', self.work_dir / 'apt.conf',
                               *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, cwd=cwd)
        with self.log.open('a') as log:
            log.write(f'$ {tool} {" ".join(map(str, args))}\n{done.stdout}'
                      f'exit status {done.returncode}\n')
        return done.stdout if done.returncode == 0 else None

    def update(self, kind):
        """Fetch the suite's index of @kind: 'deb' or 'deb-src'."""
        mirrors = debian_mirrors(
            _apt_path('Dir::Etc::sourcelist/f'),
            _apt_path('Dir::Etc::sourceparts/d'))
        if not mirrors:
            raise UserError("the machine's apt sources name no Debian mirror")
        # An old machine's entry may trust its own release's keys only.
        tries = mirrors + [(uri, {**kept, 'signed-by': ARCHIVE_KEYRING})
                           for uri, kept in mirrors
                           if kept.get('signed-by') != ARCHIVE_KEYRING]
        for uri, kept in tries:
            fields = {'Types': kind, 'URIs': uri, 'Suites': self.suite,
                      'Components': 'main', **kept}
            (self.work_dir / 'private.sources').write_text(
                ''.join(f'{name}: {value}\n'
                        for name, value in fields.items()))
            if self._apt('apt-get', 'update') is not None:
                return
        raise UserError(f'apt could not read the index of suite {self.suite}')

    def source_versions(self, package):
        """Versions that the suite has of a source package."""
        out = self._apt('apt-cache', 'showsrc', '--only-source', package)
        return re.findall(r'^Version: (\S+)$', out or '', re.MULTILINE)

    def download_source(self, package, version, into):
        if self._apt('apt-get', 'source', '--download-only',
                     f'{package}={version}', cwd=into) is None:
            raise UserError(f'apt could not download the source of {package} '
                            f'{version}')

    def depends(self, package):
        """Names of the packages that the newest @package depends on."""
        out = self._apt('apt-cache', 'show', '--no-all-versions', package)
        line = re.search(r'^Depends: (.*)$', out or '', re.MULTILINE)
        return re.findall(r'(?:^|, )([^ ,(]+)', line.group(1)) if line else []

    def download_package(self, package, into):
        """Fetch a binary package; returns the path of the .deb."""
        if self._apt('apt-get', 'download', package, cwd=into) is None:
            raise UserError(f'apt could not download {package} of suite '
                            f'{self.suite}')
        return max(into.glob(f'{package}_*.deb'))
