/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the daemon and its client meet if nobody says where.
 *
 * Threads: any.
 */
#ifndef VUS_CONTROL_PATH_H
#define VUS_CONTROL_PATH_H

#include <glib.h>
#include <stdbool.h>

/* In XDG_RUNTIME_DIR, or for root in /run; the caller frees it.  NULL with
 * @error set: there is no such place. */
char *control_path_default(GError **error);

/* If @path is that, make its directory, for its owner only. */
bool control_path_make_dir(const char *path, GError **error);

#endif
