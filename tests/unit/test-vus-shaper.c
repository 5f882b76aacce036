/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of shaper.h, each with few frames.
 *
 * Threads: single.
 */
#include "shaper-bed.h"

static const ShaperGuarantee none = { 0 };

/* -- The five rules -------------------------------------------------------- */

static void test_in_order(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 1, SHAPER_NO_GROUP, bed_percent(10));
    bed_admitted(&bed, 4, 0, 'e', 1, 99 * FRAME_NS);
    bed_best_effort(&bed, 0, 'd');
    bed_deadline(&bed, 2, 0, 'c', 5);
    bed_best_effort(&bed, 1, 'b');
    bed_admitted(&bed, 3, 0, 'a', 900, 0);
    g_assert_cmpstr(bed_take(&bed, 5), ==, "abcde");
    bed_clear(&bed);
}

static void test_admitted(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(90));
    bed_flood(&bed, 0, 'x');
    bed_admitted(&bed, 0, 0, 'd', 400, 0);
    bed_admitted(&bed, 1, 0, 'b', 200, 0);
    bed_admitted(&bed, 1, 0, 'a', 100, 0);      /* behind b, whatever it says */
    bed_admitted(&bed, 2, 0, 'c', 300, 0);
    g_assert_cmpstr(bed_take(&bed, 5), ==, "bacdx");
    bed_clear(&bed);
}

/* Those without a guarantee have deadlines, so that rule 3 is theirs. */
static void test_furthest_behind(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(11));
    shaper_set_source(bed.s, 1, SHAPER_NO_GROUP, bed_percent(35));
    bed_flood_deadline(&bed, 2, 'c');
    bed_flood(&bed, 0, 'a');
    g_assert_cmpstr(bed_take(&bed, 1), ==, "a");
    bed_flood(&bed, 1, 'b');
    /* a is behind after 9.1, 18.2, 27.3; b after 0, 2.9, 5.7, 8.6, 11.4, ... */
    g_assert_cmpstr(bed_take(&bed, 15), ==, "bcbccbccbacbccb");
    for (unsigned i = 0; i < 6; i++) {
        bed_admitted(&bed, 3, 0, 'x', START_NS, 0);
    }
    g_assert_cmpstr(bed_take(&bed, 13), ==, "xxxxxxbbbabca");
    bed_clear(&bed);
}

/* A group is one of those; in it the same rule holds. */
static void test_furthest_behind_in_group(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, 7, bed_percent(11));
    shaper_set_source(bed.s, 1, 7, bed_percent(35));
    shaper_set_source(bed.s, 2, 8, bed_percent(4));
    bed_flood_deadline(&bed, 3, 'd');
    bed_flood(&bed, 0, 'a');
    g_assert_cmpstr(bed_take(&bed, 1), ==, "a");
    bed_flood(&bed, 2, 'c');
    g_assert_cmpstr(bed_take(&bed, 1), ==, "c");
    bed_flood(&bed, 1, 'b');
    g_assert_cmpstr(bed_take(&bed, 1), ==, "b");
    bed_take(&bed, 100);
    bed_check_count(&bed, 'a', 11);
    bed_check_count(&bed, 'b', 35);
    bed_check_count(&bed, 'c', 4);
    bed_clear(&bed);
}

static void test_deadline(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(50));
    bed_best_effort(&bed, 1, 'x');
    bed_deadline(&bed, 2, 0, 'c', 300);
    bed_deadline(&bed, 3, 0, 'b', 200);
    bed_deadline(&bed, 0, 0, 'd', 400);     /* is behind its guarantee */
    bed_deadline(&bed, 0, 0, 'a', 100);     /* is not any more */
    g_assert_cmpstr(bed_take(&bed, 5), ==, "dabcx");
    bed_clear(&bed);
}

/* Bytes are shared, not frames. */
static void test_equal_shares(void)
{
    Bed bed;

    bed_init_edf(&bed);
    bed_flood(&bed, 0, 'a');
    bed_flood(&bed, 1, 'b');
    for (unsigned i = 0; i < MANY; i++) {
        bed_put(&bed, 'c', (ShaperItem) {
            .source = 2, .band = EDF_BAND_BEST_EFFORT,
            .wire_bytes = FRAME_BYTES / 4,
        }, (EdfTurn) { 0 });
    }
    bed_take(&bed, 60);
    g_assert_cmpuint(bed_count(bed.left, 'a'), ==, 10);
    g_assert_cmpuint(bed_count(bed.left, 'b'), ==, 10);
    g_assert_cmpuint(bed_count(bed.left, 'c'), ==, 40);
    bed_clear(&bed);
}

static void test_equal_shares_of_groups(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, 0, none);
    shaper_set_source(bed.s, 1, 0, none);
    shaper_set_source(bed.s, 2, 0, none);
    shaper_set_source(bed.s, 3, 1, none);
    bed_flood(&bed, 0, 'a');
    bed_flood(&bed, 1, 'b');
    bed_flood(&bed, 2, 'c');
    bed_flood(&bed, 3, 'd');
    bed_flood(&bed, 4, 'e');
    bed_take(&bed, 90);
    g_assert_cmpuint(bed_count(bed.left, 'a'), ==, 10);
    g_assert_cmpuint(bed_count(bed.left, 'b'), ==, 10);
    g_assert_cmpuint(bed_count(bed.left, 'c'), ==, 10);
    g_assert_cmpuint(bed_count(bed.left, 'd'), ==, 30);
    g_assert_cmpuint(bed_count(bed.left, 'e'), ==, 30);
    bed_clear(&bed);
}

/* Too early: behind all others, yet before the link is idle, and first of all
 * from the time of the contract on. */
static void test_early(void)
{
    Bed bed;

    bed_init_edf(&bed);
    bed_admitted(&bed, 0, 0, 'a', 200, 99 * FRAME_NS);
    bed_admitted(&bed, 0, 1, 'b', 100, 99 * FRAME_NS);
    bed_admitted(&bed, 0, 2, 'c', 300, 4 * FRAME_NS);
    bed_best_effort(&bed, 1, 'd');
    g_assert_cmpstr(bed_take(&bed, 3), ==, "dba");
    bed_flood(&bed, 1, 'e');
    g_assert_cmpstr(bed_take(&bed, 3), ==, "ece");
    bed_clear(&bed);
}

/* -- A source -------------------------------------------------------------- */

static void test_fifo_within_source(void)
{
    Bed bed;

    bed_init_edf(&bed);
    bed_best_effort(&bed, 0, 'd');
    bed_best_effort(&bed, 0, 'e');
    bed_deadline(&bed, 0, 0, 'b', 900);
    bed_deadline(&bed, 0, 0, 'c', 100);     /* the same lane: behind b */
    bed_deadline(&bed, 0, 1, 'a', 800);     /* one of its own: before it */
    g_assert_cmpuint(shaper_source_len_pkts(bed.s, 0), ==, 5);
    g_assert_cmpuint(shaper_source_len_pkts(bed.s, 1), ==, 0);
    g_assert_cmpstr(bed_take(&bed, 5), ==, "abcde");
    g_assert_cmpuint(shaper_source_len_pkts(bed.s, 0), ==, 0);
    bed_clear(&bed);
}

/* The same if its guarantee is why it was chosen. */
static void test_fifo_within_guaranteed(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(100));
    bed_best_effort(&bed, 0, 'd');
    bed_deadline(&bed, 0, SHAPER_LANES - 1, 'a', 800);
    bed_deadline(&bed, 0, 0, 'b', 900);
    bed_deadline(&bed, 0, 0, 'c', 100);
    bed_deadline(&bed, 1, 0, 'e', 1);
    g_assert_cmpstr(bed_take(&bed, 5), ==, "abcde");
    bed_clear(&bed);
}

/* What could leave stands behind frames that are too early. */
static void test_behind_early(void)
{
    Bed bed;

    bed_init_edf(&bed);
    bed_admitted(&bed, 9, 0, 'f', 1, 999 * FRAME_NS);
    bed_admitted(&bed, 0, 0, 'a', 50, 999 * FRAME_NS);
    bed_deadline(&bed, 0, 0, 'b', 90);
    bed_flood(&bed, 1, 'c');
    bed_take(&bed, 3);
    /* It had its share as everyone had, with a, and b is not early. */
    g_assert_cmpuint(bed_count(bed.left, 'a'), ==, 1);
    g_assert_cmpuint(bed_count(bed.left, 'b'), ==, 1);
    g_assert_cmpuint(bed_count(bed.left, 'c'), ==, 1);

    bed_admitted(&bed, 2, 0, 'd', 50, 999 * FRAME_NS);
    bed_deadline(&bed, 2, 0, 'e', 90);
    shaper_set_source(bed.s, 2, SHAPER_NO_GROUP, bed_percent(50));
    g_assert_cmpstr(bed_take(&bed, 2), ==, "de");
    bed_clear(&bed);
}

/* -- What counts ----------------------------------------------------------- */

/* a's source has its tenth of the link, and then a frame @more. */
static void check_counts(void (*more)(Bed *bed))
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(10));
    bed_best_effort(&bed, 0, 'a');
    g_assert_cmpstr(bed_take(&bed, 1), ==, "a");
    more(&bed);
    g_assert_cmpstr(bed_take(&bed, 1), ==, "b");
    bed_flood(&bed, 0, 'a');
    bed_flood_deadline(&bed, 1, 'c');
    g_assert_cmpuint(bed_count(bed_take(&bed, 18), 'c'), ==, 18);
    g_assert_cmpstr(bed_take(&bed, 1), ==, "a");
    bed_clear(&bed);
}

static void put_admitted(Bed *bed)
{
    bed_admitted(bed, 0, 0, 'b', 1, 0);
}

static void put_deadline(Bed *bed)
{
    bed_deadline(bed, 0, 0, 'b', 1);
}

static void put_early(Bed *bed)
{
    bed_admitted(bed, 0, 0, 'b', 1, 999 * FRAME_NS);
}

static void test_others_count(void)
{
    check_counts(put_admitted);
    check_counts(put_deadline);
    check_counts(put_early);
}

/* What left beyond the guarantee is not counted for ever. */
static void test_others_count_no_longer(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(1));
    while (bed.now_ns < START_NS + SHAPER_MEMORY_NS) {
        bed_deadline(&bed, 0, 0, 'b', 1);
        bed_take(&bed, 1);
    }
    bed_flood(&bed, 0, 'a');
    /* A frame of its own takes a hundred. */
    while (bed.now_ns < START_NS + 2 * SHAPER_MEMORY_NS + 100 * FRAME_NS) {
        bed_deadline(&bed, 1, 0, 'c', 1);
        if (*bed_take(&bed, 1) == 'a') {
            break;
        }
    }
    g_assert_cmpuint(bed.now_ns, >=, START_NS + 2 * SHAPER_MEMORY_NS);
    g_assert_cmpstr(bed.left, ==, "a");
    bed_clear(&bed);
}

/* 4 does not: whoever had all while nobody else came has a guarantee still. */
static void test_shares_do_not_count(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(40));
    bed_flood(&bed, 0, 'a');
    g_assert_cmpuint(bed_count(bed_take(&bed, 100), 'a'), ==, 100);
    bed_flood(&bed, 1, 'b');
    bed_flood(&bed, 2, 'c');
    bed_take(&bed, 100);
    bed_check_count(&bed, 'a', 60);
    bed_check_count(&bed, 'b', 20);
    bed_check_count(&bed, 'c', 20);
    bed_clear(&bed);
}

/* What leaves without having waited is no different. */
static void test_passing_does_not_count(void)
{
    const uint32_t bytes = FRAME_BYTES;
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, bed_percent(40));
    for (unsigned i = 0; i < 1000; i++) {
        g_assert_cmpuint(shaper_pass(bed.s, 0, &bytes, 1, bed.now_ns), ==, 1);
        bed.now_ns += FRAME_NS;
    }
    bed_flood(&bed, 0, 'a');
    bed_flood(&bed, 1, 'b');
    bed_flood(&bed, 2, 'c');
    bed_take(&bed, 100);
    bed_check_count(&bed, 'a', 60);
    bed_check_count(&bed, 'b', 20);
    bed_clear(&bed);
}

/* A group's own guarantee is for all of its sources alike. */
static void test_guarantee_is_shared(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, 3, none);
    shaper_set_source(bed.s, 1, 3, none);
    shaper_set_source(bed.s, 2, 3, bed_percent(20));
    shaper_set_group(bed.s, 3, bed_percent(60));
    bed_flood(&bed, 0, 'a');
    bed_flood(&bed, 1, 'b');
    bed_flood(&bed, 2, 'c');
    bed_flood_deadline(&bed, 4, 'd');
    bed_take(&bed, 300);
    g_assert_cmpuint(bed_count(bed.left, 'a'), ==, 40);
    g_assert_cmpuint(bed_count(bed.left, 'b'), ==, 40);
    g_assert_cmpuint(bed_count(bed.left, 'c'), ==, 100);
    bed_clear(&bed);
}

/* Without one of its own a group has its sources', who need not be there. */
static void test_guarantee_of_sources(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, 3, bed_percent(20));
    shaper_set_source(bed.s, 1, 3, bed_percent(40));
    bed_flood(&bed, 0, 'a');
    bed_flood_deadline(&bed, 4, 'd');
    g_assert_cmpuint(bed_count(bed_take(&bed, 100), 'a'), ==, 60);

    /* One goes, and takes its guarantee with it. */
    shaper_set_source(bed.s, 1, 2, bed_percent(40));
    g_assert_cmpuint(bed_count(bed_take(&bed, 100), 'a'), ==, 20);
    bed_clear(&bed);
}

/* Frames with a deadline of one do not use up what another was guaranteed. */
static void test_guarantee_within_group(void)
{
    Bed bed;

    bed_init_edf(&bed);
    shaper_set_source(bed.s, 0, 3, bed_percent(20));
    shaper_set_source(bed.s, 1, 3, bed_percent(20));
    bed_flood_deadline(&bed, 0, 'a');
    bed_flood(&bed, 1, 'b');
    g_assert_cmpuint(bed_count(bed_take(&bed, 200), 'b'), ==, 40);
    bed_clear(&bed);
}

/* Bits and packets: what is reached first. */
static void test_bits_and_packets(void)
{
    static const struct {
        uint32_t bytes;
        unsigned of_1000;
    } cases[] = { { 1000, 200 }, { 500, 200 }, { 100, 50 } };

    for (unsigned k = 0; k < G_N_ELEMENTS(cases); k++) {
        ShaperGuarantee g = bed_percent(20);
        unsigned taken = 0, own = 0;
        Bed bed;

        /* 200 bytes in a µs, and half a packet. */
        g.pps = 500000;
        bed_init_edf(&bed);
        shaper_set_source(bed.s, 0, SHAPER_NO_GROUP, g);
        for (unsigned i = 0; i < 2 * MANY; i++) {
            bed_put(&bed, 'a', (ShaperItem) {
                .source = 0, .band = EDF_BAND_BEST_EFFORT,
                .wire_bytes = cases[k].bytes,
            }, (EdfTurn) { 0 });
        }
        bed_flood_deadline(&bed, 1, 'b');
        while (bed.now_ns < START_NS + 300 * FRAME_NS) {
            own += *bed_take(&bed, 1) == 'a';
            taken++;
        }
        g_assert_cmpuint(taken, >, own);
        g_assert_cmpuint(own * cases[k].bytes, >=,
                         300 * cases[k].of_1000);
        g_assert_cmpuint(own * cases[k].bytes, <=,
                         300 * cases[k].of_1000 + 2 * cases[k].bytes);
        bed_clear(&bed);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shaper/in-order", test_in_order);
    g_test_add_func("/shaper/admitted", test_admitted);
    g_test_add_func("/shaper/furthest-behind", test_furthest_behind);
    g_test_add_func("/shaper/furthest-behind-in-group",
                    test_furthest_behind_in_group);
    g_test_add_func("/shaper/deadline", test_deadline);
    g_test_add_func("/shaper/equal-shares", test_equal_shares);
    g_test_add_func("/shaper/equal-shares-of-groups",
                    test_equal_shares_of_groups);
    g_test_add_func("/shaper/early", test_early);
    g_test_add_func("/shaper/fifo-within-source", test_fifo_within_source);
    g_test_add_func("/shaper/fifo-within-guaranteed",
                    test_fifo_within_guaranteed);
    g_test_add_func("/shaper/behind-early", test_behind_early);
    g_test_add_func("/shaper/others-count", test_others_count);
    g_test_add_func("/shaper/others-count-no-longer",
                    test_others_count_no_longer);
    g_test_add_func("/shaper/shares-do-not-count", test_shares_do_not_count);
    g_test_add_func("/shaper/passing-does-not-count",
                    test_passing_does_not_count);
    g_test_add_func("/shaper/guarantee-is-shared", test_guarantee_is_shared);
    g_test_add_func("/shaper/guarantee-of-sources", test_guarantee_of_sources);
    g_test_add_func("/shaper/guarantee-within-group",
                    test_guarantee_within_group);
    g_test_add_func("/shaper/bits-and-packets", test_bits_and_packets);
    return g_test_run();
}
