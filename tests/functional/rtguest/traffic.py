# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic between guests, checked at both ends.

Every function raises AssertionError where something was lost or changed.

Threads: none.
"""

import re
import time

TCP_PORT = 7000
UDP_PORT = 7001


def eventually(condition, what, timeout_s=20):
    """Wait until @condition() is true; its value."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f'after {timeout_s} s still not: {what}')
        time.sleep(0.1)
    return value


def ping(guest, address, count=3, size_bytes=56, tool='ping'):
    out = guest.run(f'{tool} -c {count} -i 0.1 -W 10 -s {size_bytes} {address}',
                    check=False).out
    if f' {count} packets received' not in out:
        raise AssertionError(f'{tool} from {guest.name} to {address}:\n{out}')


def _digest(text):
    return re.match('[0-9a-f]{64}', text).group(0)


def tcp(sender, receiver, address, kib=1024, timeout_s=60):
    """Send random bytes over one connection; both ends compare digests."""
    # An end of stdin would close the listener's half of the connection.
    sink = receiver.start(f'nc -l -p {TCP_PORT} | sha256sum', stdin='open')
    eventually(lambda: f':{TCP_PORT:04X} ' in receiver.run(
        'cat /proc/net/tcp /proc/net/tcp6 2>/dev/null', check=False).out,
        f'{receiver.name} listens')
    sent = sender.run(
        f'head -c {kib << 10} /dev/urandom > /tmp/data && '
        f'sha256sum /tmp/data && nc {address} {TCP_PORT} < /tmp/data && '
        'rm /tmp/data', timeout_s).out
    received = sink.wait(timeout_s).out
    if _digest(sent) != _digest(received):
        raise AssertionError(f'TCP from {sender.name} to {receiver.name} '
                             'changed what it carried')


def udp(sender, receiver, address, count=100, payload_bytes=300,
        period_us=4000):
    """Send datagrams that come back; all of them must, once, in order."""
    echo = receiver.start(f'rtprobe echo --ports {UDP_PORT}')
    echo.wait_output('ready')
    seen = sender.run(
        f'rtprobe send --dst {address} --port {UDP_PORT} --period-us '
        f'{period_us} --bytes {payload_bytes} --wait-ms 5000 '
        f'--duration-ms {count * period_us // 1000}').json()
    there = echo.kill().wait().json()['ports'][str(UDP_PORT)]
    wrong = {key: there[key] for key in ('lost', 'duplicates', 'reordered',
                                         'not_probe', 'corrupt') if there[key]}
    if not seen['sent'] or wrong or seen['echoed'] != seen['sent'] or \
            seen['duplicates'] or seen['corrupt'] or there['received'] != seen['sent']:
        raise AssertionError(f'UDP from {sender.name} to {receiver.name}: '
                             f'{seen}, {there}')
    return seen['sent']
