# SPDX-License-Identifier: GPL-2.0-or-later
"""What bench-switch can measure, a row each, and what it does by itself.

A row's name is PORTSp-BYTES-RING-RINGS-MODE-FRONT: 2p-64-1024-split-untouched-
load, for example.  Bytes are those of a frame without its FCS; imix is 7 of 64,
4 of 594 and 1 of 1518.

Threads: constants only.
"""

import dataclasses
import fnmatch
import itertools

PORT_PEERS = ('ours', 'testpmd', 'ovs')
ALL = ('ours', 'ours-switch', 'testpmd', 'ovs', 'ovs-switch')


@dataclasses.dataclass(frozen=True)
class Row:
    bytes: str = '64'
    ring: int = 1024
    rings: str = 'split'
    mode: str = 'untouched'
    front: str = 'load'
    ports: tuple = (2,)         # each of them, in turn
    backs: tuple = PORT_PEERS
    flows: int = 1
    macs: int = 1

    @property
    def name(self):
        ports = '+'.join(map(str, self.ports))
        many = f'-{self.flows}flows' if self.flows > 1 else ''
        return f'{ports}p-{self.bytes}-{self.ring}-{self.rings}-{self.mode}-' \
               f'{self.front}{many}'

    @property
    def contenders(self):
        """(back end, ports), all of which are measured in turn."""
        return list(itertools.product(self.backs, self.ports))

    def only(self, backs):
        return dataclasses.replace(
            self, backs=tuple(back for back in self.backs if back in backs))


BASE = Row(backs=ALL)
TOUCH = Row(mode='touch', backs=ALL)
LONG = Row(bytes='1518')
SCALING = Row(ports=(2, 4, 8), backs=('ours', 'testpmd'))

DEFAULT = [
    BASE,
    Row(rings='packed', backs=ALL),
    Row(ring=256),
    Row(ring=256, rings='packed'),
    TOUCH,
    Row(rings='packed', mode='touch'),
    Row(bytes='256'),
    LONG,
    Row(bytes='1518', rings='packed'),
    Row(bytes='1518', mode='touch'),
    Row(bytes='imix', backs=ALL),
    SCALING,
    Row(front='testpmd'),
    Row(front='testpmd', rings='packed'),
    Row(front='testpmd', bytes='1518'),
]

FULL = DEFAULT + [row for row in (
    Row(size, ring, rings, mode, ports=(ports,), backs=ALL)
    for ports, size, ring, rings, mode in itertools.product(
        (2, 4, 8), ('64', '256', '1518', 'imix'), (1024, 256),
        ('split', 'packed'), ('untouched', 'touch'))
) if row.name not in {known.name for known in DEFAULT}] + [
    Row(backs=('ours-switch', 'ovs-switch'), flows=1000, macs=1000),
    Row(front='testpmd', bytes='1518', rings='packed'),
]


def select(full, globs):
    """The rows asked for; KeyError(glob) if one fits none."""
    if not globs:
        return FULL if full else DEFAULT
    for glob in globs:
        if not fnmatch.filter([row.name for row in FULL], glob):
            raise KeyError(glob)
    return [row for row in FULL
            if any(fnmatch.fnmatchcase(row.name, glob) for glob in globs)]
