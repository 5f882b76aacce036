/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration as a file, in the form of GLib's key files:
 *
 *   [daemon]
 *   workers=2
 *   [port vm1]
 *   type=vhost-user
 *   socket=/run/vm1.sock
 *   [fdb]
 *   52:54:00:00:00:01/10=vm1
 *
 * What is written reads back as the same.  A word that is not known, or that is
 * there twice, is an error, and the error says in which line it is.
 *
 * Threads: the control thread.
 */
#ifndef VUS_CONFIG_FILE_H
#define VUS_CONFIG_FILE_H

#include "daemon-config.h"

/* Add what @text says to @c, which has no ports yet; @name stands in errors.
 * With an error, a part of it may have been added. */
bool config_file_parse(DaemonConfig *c, const char *name, const char *text,
                       size_t bytes, GError **error);

/* The same with what is in the file. */
bool config_file_load(DaemonConfig *c, const char *path, GError **error);

/* All of @c; the caller frees it. */
char *config_file_text(const DaemonConfig *c);

#endif
