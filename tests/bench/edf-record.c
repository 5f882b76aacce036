/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads: see edf-record.h. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "edf-record.h"

/* -- Rounds ---------------------------------------------------------------- */

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

void edf_rounds_init(EdfRounds *r)
{
    *r = (EdfRounds) {
        .long_ns = g_array_new(false, false, sizeof(uint64_t)),
    };
}

void edf_rounds_clear(EdfRounds *r)
{
    g_array_unref(r->long_ns);
}

void edf_rounds_begin(EdfRounds *r)
{
    r->now_ns = clock_ns();
    r->longest_away_ns = 0;
    g_array_set_size(r->long_ns, 0);
}

void edf_rounds_next(EdfRounds *r)
{
    uint64_t before_ns = r->now_ns, away_ns;

    r->now_ns = clock_ns();
    away_ns = r->now_ns - before_ns;
    if (G_UNLIKELY(away_ns > EDF_AWAY_NS)) {
        g_array_append_val(r->long_ns, before_ns);
        r->longest_away_ns = MAX(r->longest_away_ns, away_ns);
        r->behind = true;
    }
}

bool edf_rounds_measured(const EdfRounds *r, uint64_t sent_ns)
{
    for (guint i = r->long_ns->len; i > 0; i--) {
        uint64_t began_ns = g_array_index(r->long_ns, uint64_t, i - 1);

        if (began_ns <= sent_ns) {
            return !r->behind && began_ns != sent_ns;
        }
    }
    return !r->behind;
}

/* -- Sources --------------------------------------------------------------- */

void edf_record_init(EdfRecord *r, const char *name, uint32_t bytes,
                     uint64_t deadline_ns)
{
    *r = (EdfRecord) {
        .name = name, .bytes = bytes, .deadline_ns = deadline_ns,
        .from_ns = UINT64_MAX,
        .delays_ns = g_array_new(false, false, sizeof(uint64_t)),
    };
}

void edf_record_clear(EdfRecord *r)
{
    g_array_unref(r->delays_ns);
}

void edf_record_begin(EdfRecord *r, uint64_t now_ns)
{
    r->from_ns = now_ns;
    r->sent_pkts = r->come_pkts = r->late_pkts = r->disturbed_pkts = 0;
    r->received_pkts = r->received_bytes = 0;
    g_array_set_size(r->delays_ns, 0);
}

bool edf_record_come(EdfRecord *r, uint32_t sequence, uint64_t sent_ns,
                     uint64_t now_ns, bool measured)
{
    uint64_t delay_ns = now_ns - sent_ns;

    /* Numbers go round. */
    if ((int32_t)(sequence - r->expected) < 0) {
        return false;
    }
    r->expected = sequence + 1;
    if (sent_ns < r->from_ns) {
        return true;
    }
    r->come_pkts++;
    if (r->deadline_ns == 0) {
        return true;
    }
    if (!measured) {
        r->disturbed_pkts++;
        return true;
    }
    r->late_pkts += delay_ns > r->deadline_ns;
    g_array_append_val(r->delays_ns, delay_ns);
    return true;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Of a sorted array, in us: what @share of it do not exceed. */
static double percentile_us(const GArray *sorted, double share)
{
    guint at = MIN(sorted->len * share, sorted->len - 1);

    return g_array_index(sorted, uint64_t, at) / 1e3;
}

static void print_delays(GArray *delays_ns)
{
    g_array_sort(delays_ns, by_value);
    printf(", \"delays\": %u", delays_ns->len);
    if (delays_ns->len > 0) {
        printf(", \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, "
               "\"max_us\": %.2f", percentile_us(delays_ns, 0.5),
               percentile_us(delays_ns, 0.99), percentile_us(delays_ns, 0.999),
               percentile_us(delays_ns, 1));
    }
}

void edf_record_print(EdfRecord *r, double seconds)
{
    printf("{\"name\": \"%s\", \"bytes\": %u, \"sent_pkts\": %" PRIu64 ", "
           "\"lost_pkts\": %" PRIu64 ", \"rx_pps\": %.1f, \"rx_bps\": %.0f",
           r->name, r->bytes, r->sent_pkts, r->sent_pkts - r->come_pkts,
           r->received_pkts / seconds, r->received_bytes * 8 / seconds);
    if (r->deadline_ns > 0) {
        printf(", \"late_pkts\": %" PRIu64 ", \"disturbed_pkts\": %" PRIu64,
               r->late_pkts, r->disturbed_pkts);
        print_delays(r->delays_ns);
    }
    printf("}");
}
