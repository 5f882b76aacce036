/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file is read again, and what differs takes effect.
 *
 * The result is what a new start with the same command line would be, so a port
 * that was added by hand goes.  What the file says wrong, or what would need a
 * new start, is an error, and nothing has happened then.  What was done is
 * logged.
 *
 * Threads: the control thread.
 */
#ifndef VUS_CONFIG_RELOAD_H
#define VUS_CONFIG_RELOAD_H

#include "config-apply.h"

/* What a start with @file would begin with, checked; NULL with @error set. */
typedef DaemonConfig *ConfigRead(void *opaque, const char *file,
                                 GError **error);

typedef struct ConfigReload {
    ConfigRead *read;
    void *opaque;
    Switch *sw;
    Events *events;             /* NULL: nobody watches */
    const char *control;        /* path of the control socket */
    unsigned metrics_port;      /* 0: none */
    const char *file;           /* that it was started with, or NULL */
} ConfigReload;

/* Changes as config_apply() has them; NULL with @error set.  @file is NULL: the
 * one that it was started with. */
GPtrArray *config_reload(const ConfigReload *r, const char *file,
                         GError **error);

#endif
