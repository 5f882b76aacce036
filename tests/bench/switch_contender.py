# SPDX-License-Identifier: GPL-2.0-or-later
"""One back end of bench-switch and its load.

Threads: none of its own.
"""

import contextlib
import time

import switch_front
from switch_back import BACKS
from switch_host import Failed, Prioritized
from switch_report import DISTURBED

SETTLE_S = 1
DISTURBED_S = 0.02              # away from its core; ping-pong needs some


class Contender:
    """A back end and its front end, which move only while in sample()."""

    def __init__(self, row, name, ports, directory):
        with contextlib.ExitStack() as stack:
            self.back = BACKS[name](ports, directory)
            stack.callback(self.back.close)
            self.front = switch_front.FRONTS[row.front](
                row, self.back, self.back.directory)
            stack.callback(self.front.close)
            self.front.wait_ready()
            # Addresses are learned, and whoever decides by them hears of it.
            self.front.sample()
            time.sleep(SETTLE_S)
            self.front.sample()
            self.front.pause()
            self.back.main.pause()
            self._stack = stack.pop_all()

    def sample(self):
        self.back.main.resume()
        self.front.resume()
        main, tid = self.back.main, self.back.poller_tid
        try:
            with Prioritized(tid):
                waited_s = main.waited_s(tid)
                sample = self.front.sample()
                waited_s = main.waited_s(tid) - waited_s
        except (Failed, OSError):
            main.check()        # that would be the reason
            raise
        finally:
            self.front.pause()
            main.pause()
        if waited_s > DISTURBED_S or sample.get('cpu_share', 1) < 0.95:
            sample['class'] = DISTURBED
        return sample

    def close(self):
        # The front end ends by talking to the back end.
        self.back.main.resume()
        self.front.resume()
        self._stack.close()
