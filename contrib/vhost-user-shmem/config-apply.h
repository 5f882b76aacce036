/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A switch becomes what a configuration says, with as little change as can be:
 * what is the same on both sides is not touched.
 *
 * The order is one in which each step is possible if the configuration is valid
 * (daemon_config_check()): what goes makes room for what comes, and ports find
 * their tenants and domains.  What only the host can refuse (a socket's path,
 * an interface, memory) stands at the step that failed, and the others go on.
 *
 * Threads: the control thread.
 */
#ifndef VUS_CONFIG_APPLY_H
#define VUS_CONFIG_APPLY_H

#include "daemon-config.h"
#include "events.h"

typedef struct ConfigChange {
    const char *what;           /* "tenant", "domain", "port",
                                 * "address" */
    char *name;
    const char *change;         /* "added", "changed", "replaced", "removed" */
    char *keys;                 /* that differ, with commas; NULL: none do */
    char *error;                /* NULL: it is done */
} ConfigChange;

/* What @sw is now: all but what it was not told, as its control socket. */
DaemonConfig *config_of_switch(Switch *sw);

DaemonConfig *config_copy(const DaemonConfig *c);

/* Ports of @c that live in @sw, and will go on, get the contracts that their
 * NICs have registered. */
void config_add_contracts(DaemonConfig *c, Switch *sw);

/*
 * Its daemon's own words must be those of @sw.  The changes, in order, as
 * ConfigChange; NULL with @error set: nothing was done.  @ev may be NULL.
 */
GPtrArray *config_apply(const DaemonConfig *to, Switch *sw, Events *ev,
                        GError **error);

/* The same for a switch that is empty: false with @error set at the step that
 * has failed. */
bool config_fill(const DaemonConfig *to, Switch *sw, GError **error);

#endif
