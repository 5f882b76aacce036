/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Histogram of durations.
 *
 * Values below RT_HIST_SUB have a bucket each; every power of two above is cut
 * into RT_HIST_SUB equal buckets.  The last bucket also takes whatever is
 * longer than RT_HIST_MAX_BITS can say.
 *
 * Threads: caller-owned state.
 */
#include "rtnet/rt-hist.h"

#define PPM 1000000u

uint64_t rt_hist_bucket_top_ns(unsigned i)
{
    unsigned shift;

    if (i < RT_HIST_SUB) {
        return i;
    }
    if (i >= RT_HIST_BUCKETS - 1) {
        return UINT64_MAX;
    }
    shift = i / RT_HIST_SUB - 1;
    return ((uint64_t)(i % RT_HIST_SUB + RT_HIST_SUB + 1) << shift) - 1;
}

uint64_t rt_hist_percentile_ns(const RtHist *h, uint32_t ppm)
{
    uint64_t wanted, seen = 0, top;
    unsigned i;

    /* ceil(count * ppm / PPM), in two parts that cannot overflow. */
    wanted = h->count / PPM * ppm + (h->count % PPM * ppm + PPM - 1) / PPM;
    if (wanted == 0) {
        wanted = 1;
    }
    for (i = 0; i < RT_HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted) {
            top = rt_hist_bucket_top_ns(i);
            return top < h->max_ns ? top : h->max_ns;
        }
    }
    return h->max_ns;
}
