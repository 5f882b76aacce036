# SPDX-License-Identifier: GPL-2.0-or-later
"""unittest whose results are TAP, with guests that clean up after themselves.

Threads: none.
"""

import re
import shutil
import signal
import sys
import tempfile
import unittest

from .guest import Guest
from .net import HostPort, Link


class GuestTest(unittest.TestCase):
    """Guests, links and ports live until the end of the test method, or of the
    class if they are made by the class methods (in setUpClass)."""

    @staticmethod
    def _sockets(owner, add_cleanup):
        """Directory of the wires that belong to a test or to a class."""
        if '_socket_directory' not in owner.__dict__:
            path = tempfile.mkdtemp(prefix='rtlink-', dir='/tmp')
            owner._socket_directory = path
            owner._wires = 0
            add_cleanup(GuestTest._forget, owner)
        owner._wires += 1
        return owner._socket_directory, f'w{owner._wires}'

    @staticmethod
    def _forget(owner):
        shutil.rmtree(owner._socket_directory, ignore_errors=True)
        del owner._socket_directory

    def boot(self, name, *args, **kwargs):
        """A Guest that ends with this test; not waited for."""
        guest = Guest(name, *args, **kwargs)
        self.addCleanup(guest.close)
        return guest

    def link(self):
        return Link(*self._sockets(self, self.addCleanup))

    def host_port(self):
        port = HostPort(*self._sockets(self, self.addCleanup))
        self.addCleanup(port.close)
        return port

    @classmethod
    def class_boot(cls, name, *args, **kwargs):
        """A Guest that all tests of the class share."""
        guest = Guest(name, *args, **kwargs)
        cls.addClassCleanup(guest.close)
        return guest

    @classmethod
    def class_link(cls):
        return Link(*cls._sockets(cls, cls.addClassCleanup))

    @classmethod
    def class_host_port(cls):
        port = HostPort(*cls._sockets(cls, cls.addClassCleanup))
        cls.addClassCleanup(port.close)
        return port


def _tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _tests_of(item)
        else:
            yield item


class _TapResult(unittest.TestResult):
    """Prints one line per test as it ends, diagnostics before it."""

    def __init__(self, suite):
        super().__init__()
        self._number = 0
        self._pending = [test.id() for test in _tests_of(suite)]
        self._subtest_failed = False
        print(f'1..{len(self._pending)}', flush=True)

    def _line(self, verdict, test_id, remark=''):
        self._number += 1
        self._pending.remove(test_id)
        name = test_id.replace('__main__.', '')
        print(f'{verdict} {self._number} - {name}{remark}', flush=True)

    def _class_lines(self, holder, verdict, remark):
        """unittest reports a setUpClass that failed or skipped instead of the
        tests of that class; here each of them counts."""
        prefix = re.search(r'\((.*)\)', holder.id()).group(1) + '.'
        for test_id in [t for t in self._pending if t.startswith(prefix)]:
            self._line(verdict, test_id, remark)

    def _diagnose(self, err, test):
        for line in self._exc_info_to_string(err, test).splitlines():
            print(f'# {line}')

    def startTest(self, test):
        super().startTest(test)
        self._subtest_failed = False

    def addSuccess(self, test):
        super().addSuccess(test)
        if not self._subtest_failed:
            self._line('ok', test.id())

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._diagnose(err, test)
        self._not_ok(test)

    def addError(self, test, err):
        super().addError(test, err)
        self._diagnose(err, test)
        if isinstance(test, unittest.TestCase):
            self._not_ok(test)
        else:
            self._class_lines(test, 'not ok', ' (setUpClass failed)')

    def _not_ok(self, test):
        # A test whose clean-up fails as well is reported twice.
        if test.id() in self._pending:
            self._line('not ok', test.id())

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if isinstance(test, unittest.TestCase):
            self._line('ok', test.id(), f' # SKIP {reason}')
        else:
            self._class_lines(test, 'ok', f' # SKIP {reason}')

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            print(f'# in {subtest.id()}')
            self._diagnose(err, test)
            self._subtest_failed = True
            self._not_ok(test)


def main():
    """Run the tests of the calling file, or those named on its command line
    (as in Class or Class.test_method)."""
    names = sys.argv[1:]
    loader = unittest.TestLoader()
    module = sys.modules['__main__']
    suite = loader.loadTestsFromNames(names, module) if names else \
        loader.loadTestsFromModule(module)
    if not suite.countTestCases():
        sys.exit('no tests found: is the class derived from GuestTest, and do '
                 'its methods start with test_?')
    # A runner's timeout must not leave guests and sockets behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    result = _TapResult(suite)
    suite.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
