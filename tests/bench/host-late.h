/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How late this host runs a thread, whatever that does: how long one that never
 * waits is kept from its core, and how long one that sleeps takes to wake.
 *
 * Threads: starts some of its own, on the core that is asked for.
 */
#ifndef BENCH_HOST_LATE_H
#define BENCH_HOST_LATE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Of the thread that polls in the back end, too; SCHED_FIFO, where allowed. */
#define HOST_LATE_PRIORITY 10

/*
 * The longest time between two looks at the clock of a thread that does
 * nothing else on @cpu for @ns, which the kernel may bound to a second if the
 * thread has priority.  0 with @error set.
 */
uint64_t host_late_longest_gap_ns(unsigned cpu, uint64_t ns, GError **error);

/* A thread that sleeps on @cpu as a worker does: in epoll, for an eventfd. */
typedef struct Sleeping Sleeping;

Sleeping *sleeping_new(unsigned cpu, GError **error);
void sleeping_free(Sleeping *s);

/* Wake it; returns how long that took. */
uint64_t sleeping_wake_ns(Sleeping *s);

#endif
