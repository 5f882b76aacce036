/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many files are open: the same before and after, if none leaks.
 *
 * Threads: none.
 */
#ifndef OPEN_FDS_H
#define OPEN_FDS_H

#include <dirent.h>
#include <glib.h>

static inline unsigned open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    g_assert_nonnull(dir);
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

#endif
