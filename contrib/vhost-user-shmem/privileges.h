/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon keeps of the privileges that it was started with: the
 * capabilities that a tap or af-xdp port may need when it is added while the
 * daemon runs.  All else goes, for good: a daemon that a guest has taken over
 * is not root.
 *
 * Nothing is gained, so an ordinary user's daemon only learns that it never
 * will be more.
 *
 * Threads: the one that calls it, for Linux has these per thread; what threads
 * it starts later begin with no more than it has.
 */
#ifndef VUS_PRIVILEGES_H
#define VUS_PRIVILEGES_H

#include <glib.h>
#include <stdbool.h>

/* @for_ports: may it open ports?  @real_time: may it start threads under
 * SCHED_FIFO?  False with @error set: the kernel refused. */
bool privileges_shed(bool for_ports, bool real_time, GError **error);

#endif
