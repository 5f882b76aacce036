/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line, and the configuration that it makes with the file.
 *
 * Threads: the control thread.
 */
#ifndef VUS_ARGUMENTS_H
#define VUS_ARGUMENTS_H

#include "daemon-config.h"

/* What was said; the file can be read again with it. */
typedef struct Arguments {
    char *config;               /* a file, or NULL */
    GPtrArray *keys, *values;   /* of the daemon's own words */
    /* "NAME KEY=VALUE..." */
    GPtrArray *tenants, *domains, *ports;
    gboolean only_check;
    gboolean version;
} Arguments;

Arguments *arguments_new(void);
void arguments_free(Arguments *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Arguments, arguments_free)

/* With --help it prints that and ends the process. */
bool arguments_parse(Arguments *args, int *argc, char ***argv, GError **error);

/*
 * First @file (NULL: none), then the command line: settings one by one,
 * tenants, domains and ports as a whole.  All of it is checked; NULL with
 * @error set.
 */
DaemonConfig *arguments_config(const Arguments *args, const char *file,
                               GError **error);

#endif
