/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two clocks: a monotonic one, which orders and paces, and CLOCK_TAI, which
 * only goes into and comes out of trailers.
 *
 * Threads: any.
 */
#ifndef VUS_CLOCK_H
#define VUS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/timex.h>
#include <time.h>

static inline uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline uint64_t clock_now_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

static inline uint64_t clock_now_tai_ns(void)
{
    return clock_read_ns(CLOCK_TAI);
}

/* Does the kernel say that its clock follows another, and what TAI is? */
static inline bool clock_tai_synchronised(void)
{
    struct timex tx = { .modes = 0 };
    int state = adjtimex(&tx);

    return state >= 0 && state != TIME_ERROR && !(tx.status & STA_UNSYNC) &&
           tx.tai != 0;
}

#endif
