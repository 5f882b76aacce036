/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far apart two cores are: the time that a cache line takes from one to the
 * other and back.  And how fast each of them is: the time of a piece of work.
 *
 * In a virtual machine both change while one looks.  The host moves the cores
 * about, and others run on the sibling threads of theirs, which takes nearly
 * half of the speed.  What two cores do together is only comparable under the
 * same conditions, so these are measured beside it.
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

typedef struct PingPong {
    double trip_ns;             /* there and back */
    double own_work_ns, other_work_ns;  /* both at the same time */
} PingPong;

/*
 * Medians, for the calling thread, which is pinned already, and @cpu; takes
 * some ms.  False: @cpu cannot be used.  The caller needs PING_PONG_PRIORITY
 * itself where its core is shared with other threads.
 */
bool ping_pong(unsigned cpu, PingPong *result);

/* The class of both, or "mixed". */
const char *ping_pong_class(double before_ns, double after_ns);

/* Pin the calling thread; false with @error set. */
bool ping_pong_pin(unsigned cpu, GError **error);

/* SCHED_FIFO; 0: an ordinary thread.  False where that is not allowed. */
bool ping_pong_set_priority(int priority);

#endif
