/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Histogram: percentiles within their error, count and maximum exact.
 *
 * Threads: single.
 */
#include <glib.h>
#include <inttypes.h>

#include "rtnet/rt-hist.h"

#define SAMPLES 20000
#define PPM 1000000u

static void test_empty(void)
{
    RtHist *h = g_new0(RtHist, 1);

    g_assert_cmpuint(rt_hist_percentile_ns(h, 0), ==, 0);
    g_assert_cmpuint(rt_hist_percentile_ns(h, 500000), ==, 0);
    g_assert_cmpuint(rt_hist_percentile_ns(h, PPM), ==, 0);
    g_free(h);
}

/* The bucket that took a value, found by what changed. */
static unsigned bucket_of(uint64_t value_ns)
{
    RtHist *h = g_new0(RtHist, 1);
    unsigned i = 0;

    rt_hist_add(h, value_ns);
    while (h->buckets[i] == 0) {
        i++;
    }
    g_free(h);
    return i;
}

/* Each bucket begins where the one before it ends, and none is too wide. */
static void test_buckets(void)
{
    uint64_t begin_ns = 0;

    for (unsigned i = 0; i < RT_HIST_BUCKETS - 1; i++) {
        uint64_t top_ns = rt_hist_bucket_top_ns(i);

        g_assert_cmpuint(bucket_of(begin_ns), ==, i);
        g_assert_cmpuint(bucket_of(top_ns), ==, i);
        g_assert_cmpuint((top_ns - begin_ns) * RT_HIST_SUB, <=, begin_ns);
        begin_ns = top_ns + 1;
    }
    g_assert_cmpuint(bucket_of(begin_ns), ==, RT_HIST_BUCKETS - 1);
    g_assert_cmpuint(bucket_of(1ull << RT_HIST_MAX_BITS), ==,
                     RT_HIST_BUCKETS - 1);
    g_assert_cmpuint(bucket_of(UINT64_MAX), ==, RT_HIST_BUCKETS - 1);
    g_assert_cmpuint(rt_hist_bucket_top_ns(RT_HIST_BUCKETS - 1), ==,
                     UINT64_MAX);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static uint64_t random_value(unsigned bits)
{
    uint64_t r = (uint64_t)(uint32_t)g_test_rand_int() << 32 |
                 (uint32_t)g_test_rand_int();

    return r >> (64 - g_test_rand_int_range(1, bits + 1));
}

static void check_percentiles(unsigned bits)
{
    static const uint32_t ppms[] = {
        0, 1, 100000, 500000, 900000, 990000, 999000, 999999, PPM,
    };
    uint64_t *values = g_new(uint64_t, SAMPLES);
    RtHist *h = g_new0(RtHist, 1);
    size_t n = g_test_rand_int_range(1, SAMPLES + 1);

    for (size_t i = 0; i < n; i++) {
        values[i] = random_value(bits);
        rt_hist_add(h, values[i]);
    }
    qsort(values, n, sizeof(*values), by_value);
    g_assert_cmpuint(h->count, ==, n);
    g_assert_cmpuint(h->max_ns, ==, values[n - 1]);
    for (unsigned i = 0; i < G_N_ELEMENTS(ppms); i++) {
        size_t rank = ((uint64_t)n * ppms[i] + PPM - 1) / PPM;
        uint64_t exact_ns = values[MAX(rank, 1) - 1];
        uint64_t found_ns = rt_hist_percentile_ns(h, ppms[i]);

        g_assert_cmpuint(found_ns, >=, exact_ns);
        g_assert_cmpuint(found_ns, <=, h->max_ns);
        if (exact_ns >> RT_HIST_MAX_BITS == 0) {
            g_assert_cmpuint((found_ns - exact_ns) * RT_HIST_SUB, <=, exact_ns);
        }
    }
    g_free(h);
    g_free(values);
}

static void test_percentiles(void)
{
    for (unsigned k = 0; k < 40; k++) {
        check_percentiles(3);
        check_percentiles(20);
        check_percentiles(RT_HIST_MAX_BITS);
        check_percentiles(64);
    }
}

/* Counts that a 64-bit product would not hold. */
static void test_many(void)
{
    RtHist *h = g_new0(RtHist, 1);

    h->count = UINT64_MAX;
    h->max_ns = 9;
    h->buckets[3] = UINT64_MAX / 2;
    h->buckets[9] = UINT64_MAX - UINT64_MAX / 2;
    g_assert_cmpuint(rt_hist_percentile_ns(h, 499999), ==, 3);
    g_assert_cmpuint(rt_hist_percentile_ns(h, 500001), ==, 9);
    g_assert_cmpuint(rt_hist_percentile_ns(h, PPM), ==, 9);
    g_free(h);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rt-hist/empty", test_empty);
    g_test_add_func("/rt-hist/buckets", test_buckets);
    g_test_add_func("/rt-hist/percentiles", test_percentiles);
    g_test_add_func("/rt-hist/many", test_many);
    return g_test_run();
}
