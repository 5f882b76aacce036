/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Histogram of durations: log-linear, 16 buckets per power of two, so a
 * percentile is right to 6.25 %; count and maximum are exact.
 *
 * Threads: caller-owned state.
 */
#ifndef RTNET_RT_HIST_H
#define RTNET_RT_HIST_H

#include <stdint.h>

#define RT_HIST_SUB_BITS 4
#define RT_HIST_SUB (1u << RT_HIST_SUB_BITS)
#define RT_HIST_MAX_BITS 40         /* longer than 2^40 ns (18 min): last bucket */
#define RT_HIST_BUCKETS ((RT_HIST_MAX_BITS - RT_HIST_SUB_BITS + 1) * RT_HIST_SUB)

typedef struct RtHist {
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[RT_HIST_BUCKETS];
} RtHist;

static inline unsigned rt_hist_bucket(uint64_t value_ns)
{
    unsigned shift;

    if (value_ns >> RT_HIST_MAX_BITS) {
        return RT_HIST_BUCKETS - 1;
    }
    /* Below RT_HIST_SUB, as right above it, nothing is shifted out. */
    shift = 63 - __builtin_clzll(value_ns | RT_HIST_SUB) - RT_HIST_SUB_BITS;
    return shift * RT_HIST_SUB + (value_ns >> shift);
}

static inline void rt_hist_add(RtHist *h, uint64_t value_ns)
{
    h->count++;
    h->buckets[rt_hist_bucket(value_ns)]++;
    if (value_ns > h->max_ns) {
        h->max_ns = value_ns;
    }
}

/* Largest value that falls into bucket @i. */
uint64_t rt_hist_bucket_top_ns(unsigned i);

/*
 * Value that @ppm (0..1000000) of the samples do not exceed: the top of its
 * bucket, never above max_ns; 0 if there are no samples.
 */
uint64_t rt_hist_percentile_ns(const RtHist *h, uint32_t ppm);

#endif
