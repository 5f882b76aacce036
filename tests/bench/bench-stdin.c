/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads: see bench-stdin.h. */
#include <stdio.h>
#include <string.h>

#include "bench-stdin.h"

bool bench_stdin_obey(bool (*obey)(void *opaque, const char *line,
                                   GError **error),
                      void *opaque, GError **error)
{
    char line[64];

    while (fgets(line, sizeof(line), stdin)) {
        g_strchomp(line);
        if (strcmp(line, "quit") == 0) {
            break;
        }
        if (!obey(opaque, line, error)) {
            return false;
        }
    }
    return true;
}
