/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a load is told to do, a line at a time.
 *
 * Threads: the caller's.
 */
#ifndef BENCH_STDIN_H
#define BENCH_STDIN_H

#include <glib.h>
#include <stdbool.h>

/* Until "quit" or the end; false with @error set as soon as @obey has. */
bool bench_stdin_obey(bool (*obey)(void *opaque, const char *line,
                                   GError **error),
                      void *opaque, GError **error);

#endif
