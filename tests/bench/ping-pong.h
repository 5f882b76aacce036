/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far apart two cores are: the time that a cache line takes from one to the
 * other and back.
 *
 * In a virtual machine that changes while one looks: the host moves the cores
 * about.  What two cores do together is only comparable at one distance, so the
 * distance is measured beside it.
 *
 * Threads: starts one of its own, which is gone when the call returns.
 */
#ifndef BENCH_PING_PONG_H
#define BENCH_PING_PONG_H

#include <glib.h>
#include <stdbool.h>

/* Above all that polls on these cores, so that it is out of the way. */
#define PING_PONG_PRIORITY 50

/* X(name, more than ns, up to ns) of a round trip: sibling threads of a core;
 * neighbours on a chip; a chip's far ends; two chips. */
#define PING_PONG_CLASSES(X) \
    X("smt", 0, 80) \
    X("near", 80, 180) \
    X("mid", 180, 330) \
    X("far", 330, 5000)

/*
 * Median round trip in ns between the calling thread, which is pinned already,
 * and @cpu; takes about 5 ms.  0: @cpu cannot be used.  The caller needs
 * PING_PONG_PRIORITY itself where its core is shared.
 */
double ping_pong_ns(unsigned cpu);

/* The class of both, or "mixed". */
const char *ping_pong_class(double before_ns, double after_ns);

/* Pin the calling thread; false with @error set. */
bool ping_pong_pin(unsigned cpu, GError **error);

/* SCHED_FIFO; 0: an ordinary thread.  False where that is not allowed. */
bool ping_pong_set_priority(int priority);

#endif
