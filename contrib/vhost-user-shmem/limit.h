/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast frames are taken from a port, or from all ports of a tenant.
 *
 * Nothing is thrown away: while a limit is reached the port's queues are not
 * looked at, so its guest sees a ring that is not emptied, and waits.  What is
 * taken at once may go beyond by a burst; the time until the next makes up for
 * it, so the rate is exact over any time.
 *
 * Threads: any worker; a limit has a lock.  limit_set(): the control thread.
 */
#ifndef VUS_LIMIT_H
#define VUS_LIMIT_H

#include <pthread.h>
#include <stdbool.h>

#include "rtnet/edf-pacer.h"

/* Not looked at for so long, a queue that is full loses nothing. */
#define LIMIT_CATCH_UP_NS 2000000

typedef struct Limit {
    uint64_t next_ns;               /* atomic: nothing is taken before */
    bool is_set;                    /* atomic */
    uint64_t bps, pps;              /* atomic; 0: no limit */

    /* Under the lock. */
    pthread_mutex_t lock;
    EdfPacer bits, pkts;
} Limit;

void limit_init(Limit *l);
void limit_destroy(Limit *l);

/* Bits (on the link) and frames per second; 0: no limit. */
void limit_set(Limit *l, uint64_t bps, uint64_t pps);

static inline bool limit_is_set(const Limit *l)
{
    return __atomic_load_n(&l->is_set, __ATOMIC_RELAXED);
}

/* When something may be taken again; past: now. */
static inline uint64_t limit_next_ns(const Limit *l)
{
    return __atomic_load_n(&l->next_ns, __ATOMIC_RELAXED);
}

/* Frames of the longest usual length that it allows in @ns; @most at most. */
unsigned limit_pkts_in(const Limit *l, uint64_t ns, unsigned most);

/* @pkts of @wire_bytes together were taken. */
void limit_charge(Limit *l, uint64_t wire_bytes, unsigned pkts,
                  uint64_t now_ns);

#endif
