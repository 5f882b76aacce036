/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shaper: who pauses, moves or is configured anew, and the link.
 *
 * Threads: single.
 */
#include "shaper-bed.h"

static const ShaperGuarantee none = { 0 };

/* -- Coming and going ------------------------------------------------------ */

/* A pause earns no share, and costs none. */
static void test_pause(void)
{
    Bed bed;

    bed_init_edf(&bed);
    bed_best_effort(&bed, 0, 'a');
    bed_flood(&bed, 1, 'b');
    bed_take(&bed, 100);
    bed_flood(&bed, 0, 'a');
    bed_take(&bed, 20);
    g_assert_cmpuint(bed_count(bed.left, 'a'), ==, 10);
    bed_clear(&bed);
}

/* Nor does it earn more of a guarantee. */
static void test_pause_of_guaranteed(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(10));
    bed_best_effort(&bed, 0, 'a');
    bed_flood_deadline(&bed, 1, 'b');
    bed_take(&bed, 100);
    bed_flood(&bed, 0, 'a');
    /* a came when the frame before it left. */
    g_assert_cmpstr(bed_take(&bed, 12), ==, "abbbbbbbbabb");
    bed_clear(&bed);
}

/* A group that nobody was in has not earned what others had. */
static void test_move_into_idle_group(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_group(bed.s, 0, none);
    bed_flood(&bed, 0, 'a');
    bed_flood(&bed, 1, 'b');
    bed_take(&bed, 100);
    shaper_set_source(bed.s, 0, 0, none);
    bed_take(&bed, 20);
    g_assert_cmpuint(bed_count(bed.left, 'a'), ==, 10);

    /* Back again, and the group's frames have gone with it. */
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, none);
    bed_take(&bed, 20);
    g_assert_cmpuint(bed_count(bed.left, 'a'), ==, 10);
    bed_clear(&bed);
}

/* A guarantee begins when it is given, and is another from then on. */
static void test_guarantee_changes(void)
{
    Bed bed;

    bed_init_edf(&bed);
    bed_flood(&bed, 0, 'a');
    bed_flood_deadline(&bed, 1, 'b');
    g_assert_cmpuint(bed_count(bed_take(&bed, 20), 'b'), ==, 20);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP,
                      (ShaperGuarantee) { .bps = 8 });
    /* That is one in 1000 s ... */
    g_assert_cmpstr(bed_take(&bed, 10), ==, "abbbbbbbbb");
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(25));
    /* ... and that one in 4 µs. */
    g_assert_cmpstr(bed_take(&bed, 12), ==, "bbbabbbabbba");
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, none);
    g_assert_cmpuint(bed_count(bed_take(&bed, 20), 'b'), ==, 20);
    bed_clear(&bed);
}

/* -- The link -------------------------------------------------------------- */

static void test_not_yet(void)
{
    Bed bed;

    bed_init_edf(&bed);
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, UINT64_MAX);
    g_assert_null(shaper_take(bed.s, bed.now_ns));
    bed_flood(&bed, 0, 'a');
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, START_NS);
    bed_take(&bed, 1);
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, START_NS + FRAME_NS);
    g_assert_null(shaper_take(bed.s, START_NS + FRAME_NS - 1));
    g_assert_cmpuint(shaper_len_pkts(bed.s), ==, MANY - 1);
    bed_take(&bed, MANY - 1);
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, UINT64_MAX);
    bed_clear(&bed);
}

static void test_no_rate(void)
{
    Bed bed;

    bed_init(&bed, (ShaperConfig) { 0 });
    bed_best_effort(&bed, 0, 'b');
    bed_deadline(&bed, 1, 0, 'a', 1);
    g_assert_cmpstr(bed_take(&bed, 2), ==, "ab");
    g_assert_cmpuint(bed.now_ns, ==, START_NS);
    bed_clear(&bed);
}

/* What was charged at the old rate holds it for one frame at most. */
static void test_rate_changes(void)
{
    const ShaperConfig slow = { .rate_bps = 8, .max_wire_bytes = FRAME_BYTES };
    const ShaperConfig pkts = { .rate_pps = 1000, .max_wire_bytes = 1 };
    ShaperConfig fast = {
        .rate_bps = BYTE_PER_NS, .rate_pps = 500000,
        .max_wire_bytes = FRAME_BYTES,
    };
    Bed bed;

    bed_init(&bed, slow);
    bed_flood(&bed, 0, 'a');
    bed_take(&bed, 1);
    g_assert_cmpuint(shaper_next_ns(bed.s), ==,
                     START_NS + 1000 * 1000000000ull);
    shaper_set_rate(bed.s, &fast, START_NS + 5);
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, START_NS + 5 + FRAME_NS);
    bed_take(&bed, 1);
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, START_NS + 5 + 2 * FRAME_NS);

    /* Packets only: a thousandth of a second for each. */
    shaper_set_rate(bed.s, &pkts, bed.now_ns);
    bed_take(&bed, 1);
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, bed.now_ns + 1000000);
    shaper_set_rate(bed.s, &pkts, bed.now_ns);
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, bed.now_ns + 1000000);
    fast.rate_bps = 0;
    shaper_set_rate(bed.s, &fast, bed.now_ns);
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, bed.now_ns + 2 * FRAME_NS);
    bed_clear(&bed);
}

/* So much too early, and no more, whoever comes. */
static void test_ahead(void)
{
    const uint32_t bytes[6] = { 1000, 1000, 1000, 1000, 1000, 1000 };
    Bed bed;

    bed_init(&bed, (ShaperConfig) {
        .rate_bps = BYTE_PER_NS, .ahead_ns = 3 * FRAME_NS,
    });
    bed_flood(&bed, 0, 'a');
    g_assert_cmpstr(bed_take(&bed, 4), ==, "aaaa");
    g_assert_cmpuint(bed.now_ns, ==, START_NS);
    g_assert_null(shaper_take(bed.s, START_NS + FRAME_NS - 1));
    /* Others wait. */
    g_assert_cmpuint(shaper_pass(bed.s, 1, bytes, 6,
                                 START_NS + MANY * FRAME_NS), ==, 0);
    bed_take(&bed, MANY - 4);
    g_assert_cmpuint(bed.now_ns, ==, START_NS + (MANY - 4) * FRAME_NS);

    g_assert_cmpuint(shaper_pass(bed.s, 1, bytes, 6, bed.now_ns), ==, 0);
    bed.now_ns += 3 * FRAME_NS;
    g_assert_cmpuint(shaper_pass(bed.s, 1, bytes, 6, bed.now_ns), ==, 3);
    g_assert_cmpuint(shaper_pass(bed.s, 1, bytes, 6, bed.now_ns), ==, 0);
    bed_best_effort(&bed, 0, 'b');
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, bed.now_ns + FRAME_NS);
    bed_clear(&bed);
}

static void test_packets_pass(void)
{
    const uint32_t bytes[6] = { 100, 100, 100, 100, 100, 100 };
    Bed bed;

    bed_init(&bed, (ShaperConfig) {
        .rate_bps = BYTE_PER_NS, .rate_pps = 1000000, .ahead_ns = 2000,
    });
    g_assert_cmpuint(shaper_pass(bed.s, 1, bytes, 1, bed.now_ns), ==, 1);
    g_assert_cmpuint(shaper_pass(bed.s, 1, bytes, 6, bed.now_ns), ==, 2);
    bed_clear(&bed);

    bed_init(&bed, (ShaperConfig) { 0 });
    g_assert_cmpuint(shaper_pass(bed.s, 1, bytes, 6, bed.now_ns), ==, 6);
    bed_clear(&bed);
}

/* What is taken out without leaving costs nobody anything. */
static void test_drop(void)
{
    ShaperItem *item;
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, 0, bed_percent(10));
    bed_flood(&bed, 0, 'a');
    bed_flood(&bed, 1, 'b');
    bed_deadline(&bed, 0, 0, 'c', 1);
    bed_admitted(&bed, 0, 1, 'd', 1, 9);
    for (unsigned i = 0; i < 2 * MANY + 2; i++) {
        item = shaper_drop(bed.s);
        g_assert_nonnull(item);
        g_free(item);
    }
    g_assert_null(shaper_drop(bed.s));
    g_assert_cmpuint(shaper_source_len_pkts(bed.s, 0), ==, 0);
    bed_flood(&bed, 0, 'a');
    g_assert_cmpuint(shaper_next_ns(bed.s), ==, START_NS);
    bed_flood_deadline(&bed, 1, 'b');
    g_assert_cmpstr(bed_take(&bed, 12), ==, "abbbbbbbbbab");
    bed_clear(&bed);
}

/* Those of one only, of whatever band. */
static void test_drop_of(void)
{
    ShaperItem *item;
    Bed bed;

    bed_init_edf(&bed);
    g_assert_null(shaper_drop_of(bed.s, 0));
    bed_best_effort(&bed, 0, 'a');
    bed_best_effort(&bed, 1, 'y');
    bed_deadline(&bed, 0, SHAPER_LANES - 1, 'b', 1);
    bed_admitted(&bed, 0, 0, 'c', 1, 0);
    bed_admitted(&bed, 0, 1, 'd', 1, 99);
    bed_admitted(&bed, 1, 0, 'x', 2, 0);
    for (unsigned i = 0; i < 4; i++) {
        item = shaper_drop_of(bed.s, 0);
        g_assert_nonnull(item);
        g_assert_cmpuint(item->source, ==, 0);
        g_free(item);
    }
    g_assert_null(shaper_drop_of(bed.s, 0));
    g_assert_cmpuint(shaper_source_len_pkts(bed.s, 0), ==, 0);
    g_assert_cmpstr(bed_take(&bed, 2), ==, "xy");
    bed_clear(&bed);
}

/* -- Other policies -------------------------------------------------------- */

static void check_policy(EdfQueuePolicy policy, const char *expected)
{
    Bed bed;

    bed_init(&bed, (ShaperConfig) {
        .rate_bps = BYTE_PER_NS, .policy = policy,
    });
    shaper_set_source(bed.s, 1, 2, bed_percent(90));
    bed_best_effort(&bed, 0, 'a');
    bed_deadline(&bed, 0, 3, 'b', 900);
    bed_admitted(&bed, 2, 0, 'c', 100, 99 * FRAME_NS);
    bed_best_effort(&bed, 1, 'd');
    bed_deadline(&bed, 0, 4, 'e', 800);
    bed_best_effort(&bed, 0, 'f');
    bed_admitted(&bed, 2, 0, 'g', 1, 0);
    g_assert_cmpstr(bed_take(&bed, 7), ==, expected);
    g_assert_cmpuint(bed.now_ns, ==, START_NS + 6 * FRAME_NS);
    bed_clear(&bed);
}

static void test_policies(void)
{
    check_policy(EDF_QUEUE_FIFO, "abcdefg");
    check_policy(EDF_QUEUE_STRICT, "bcegadf");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shaper/pause", test_pause);
    g_test_add_func("/shaper/pause-of-guaranteed", test_pause_of_guaranteed);
    g_test_add_func("/shaper/move-into-idle-group", test_move_into_idle_group);
    g_test_add_func("/shaper/guarantee-changes", test_guarantee_changes);
    g_test_add_func("/shaper/not-yet", test_not_yet);
    g_test_add_func("/shaper/no-rate", test_no_rate);
    g_test_add_func("/shaper/rate-changes", test_rate_changes);
    g_test_add_func("/shaper/ahead", test_ahead);
    g_test_add_func("/shaper/packets-pass", test_packets_pass);
    g_test_add_func("/shaper/drop", test_drop);
    g_test_add_func("/shaper/drop-of", test_drop_of);
    g_test_add_func("/shaper/policies", test_policies);
    return g_test_run();
}
