# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP over a unix socket.

Threads: a reader thread sorts answers from events; callers may be on any one
thread at a time.
"""

import json
import queue
import socket
import threading
import time


class QmpError(Exception):
    """QEMU refused a command; the text is QEMU's."""

    def __init__(self, command, error):
        super().__init__(f"{command}: {error['desc']}")
        self.qmp_class = error['class']
        self.description = error['desc']


class Qmp:
    """One monitor connection."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._answers = queue.Queue()
        self._events = []
        self._closed = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self._answer('greeting', 10)
        self.cmd('qmp_capabilities')

    def _read(self):
        try:
            with self._socket.makefile('rb') as lines:
                for line in lines:
                    message = json.loads(line)
                    if 'event' in message:
                        with self._changed:
                            self._events.append(message)
                            self._changed.notify_all()
                    else:
                        self._answers.put(message)
        except OSError:
            pass
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._answers.put(None)

    def _answer(self, command, timeout_s):
        try:
            message = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError(f'QEMU did not answer {command} within '
                               f'{timeout_s} s') from None
        if message is None:
            self._answers.put(None)
            raise ConnectionError(f'QEMU ended before it answered {command}; '
                                  'see its log')
        return message

    def cmd(self, name, arguments=None, timeout_s=30):
        """Run a command and return its result."""
        request = {'execute': name}
        if arguments:
            request['arguments'] = arguments
        try:
            self._socket.sendall(json.dumps(request).encode() + b'\n')
        except OSError:
            raise ConnectionError(f'QEMU has ended; it cannot run {name}; see '
                                  'its log') from None
        message = self._answer(name, timeout_s)
        if 'error' in message:
            raise QmpError(name, message['error'])
        return message['return']

    def hmp(self, line):
        """Run a line of the human monitor and return what it prints."""
        return self.cmd('human-monitor-command', {'command-line': line})

    def events(self, name):
        """Events of that name so far, oldest first."""
        with self._changed:
            return [e for e in self._events if e['event'] == name]

    def forget_events(self):
        """Of thousands that nobody waits for."""
        with self._changed:
            self._events.clear()

    def wait_event(self, name, timeout_s=10, match=lambda data: True):
        """First event of that name whose data match; it is taken out."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for i, event in enumerate(self._events):
                    if event['event'] == name and match(event.get('data', {})):
                        return self._events.pop(i)
                rest_s = end - time.monotonic()
                if rest_s <= 0 or self._closed:
                    raise TimeoutError(f'no event {name} within {timeout_s} s')
                self._changed.wait(rest_s)

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
