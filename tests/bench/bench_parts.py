# SPDX-License-Identifier: GPL-2.0-or-later
"""A benchmark that has parts: which are wanted, measured one by one, and what
came of it beside what is wanted.

A part is a module with measure(progress), which gives a dict with "rows", and
with table() and summary() of that.

Threads: none.
"""

import argparse
import signal
import sys


def progress(text):
    """What happens now; rewrites the line on a terminal."""
    if sys.stderr.isatty():
        print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def choose(description, parts):
    """Names of those on the command line, or all; SIGTERM ends us from now on
    as an exception does."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('parts', metavar='PART', nargs='*',
                        help=f"only these, of {', '.join(parts)}; "
                             'writes no files')
    names = parser.parse_args().parts or list(parts)
    if unknown := set(names) - set(parts):
        parser.error(f"no part {', '.join(unknown)}: choose from "
                     f"{', '.join(parts)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    return names


def measure(parts, names):
    """Each with its table: {name: result}, and all their figures."""
    results, figures = {}, {}
    for name in names:
        results[name] = parts[name].measure(progress)
        progress('')
        print(parts[name].table(results[name]), end='\n\n', flush=True)
        figures.update(parts[name].summary(results[name]))
    return results, figures


def rows(results):
    return [row for result in results.values() for row in result['rows']]


def verdict(value, least, most):
    """Is @value at least and at most that?  None: it may be anything."""
    wishes = [f'at {word} {bound}' for word, bound in
              (('least', least), ('most', most)) if bound is not None]
    kept = (least is None or value >= least) and \
        (most is None or value <= most)
    return f"(wanted: {', '.join(wishes)}) {'kept' if kept else 'NOT KEPT'}" \
        if wishes else ''
