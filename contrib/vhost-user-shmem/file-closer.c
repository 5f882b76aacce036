/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>
#include <stdbool.h>
#include <unistd.h>

#include "file-closer.h"

static GThreadPool *closer;     /* the control thread's */
static unsigned waiting;        /* atomic */

static void close_file(gpointer file, gpointer unused)
{
    /* Orders this behind the file's coming, as the pool does. */
    __atomic_load_n(&waiting, __ATOMIC_ACQUIRE);
    close(GPOINTER_TO_INT(file) - 1);
    __atomic_fetch_sub(&waiting, 1, __ATOMIC_RELEASE);
}

void file_close_later(int fd)
{
    if (!closer) {
        closer = g_thread_pool_new(close_file, NULL, 1, false, NULL);
    }
    __atomic_fetch_add(&waiting, 1, __ATOMIC_RELEASE);
    g_thread_pool_push(closer, GINT_TO_POINTER(fd + 1), NULL);
}

unsigned file_closer_waiting(void)
{
    return __atomic_load_n(&waiting, __ATOMIC_RELAXED);
}
