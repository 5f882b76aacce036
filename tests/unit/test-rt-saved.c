/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames that move to another QEMU: what is left of their time stays, and what
 * rt_tx_accept() would not have made is refused.
 *
 * Threads: single.
 */
#include <glib.h>
#include <string.h>

#include "endpoint-bed.h"
#include "rtnet/rt-saved.h"

/* The other side's clock, which has seen less or more than this one's. */
static const uint64_t other_nows_ns[] = {
    1, 1000, NOW_NS - 1, NOW_NS, NOW_NS + 1, 3 * NOW_NS,
};

static const FrameSpec ipv4 = { .ip_version = 4, .bytes = 300, .dscp = 10 };

/* @b's frame as it is saved @waited_ns after it was accepted. */
static RtSavedTx save(const Bed *b, uint64_t waited_ns)
{
    RtSavedTx saved;

    rt_tx_save(&saved, &b->tx, NOW_NS + waited_ns);
    return saved;
}

/* What the waiting frame is like on the other side, at @now_ns. */
static void check_moved(const Bed *b, uint64_t waited_ns, uint64_t now_ns)
{
    RtSavedTx saved = save(b, waited_ns);
    int64_t left_ns = (int64_t)(DEADLINE_NS - waited_ns);
    uint64_t due_ns;
    RtTx tx;

    g_assert_null(rt_tx_load(&tx, &saved, b->frame, &b->e, now_ns));
    g_assert_cmpuint(tx.frame_bytes, ==, b->tx.frame_bytes);
    g_assert_cmpuint(tx.leave_bytes, ==, b->tx.leave_bytes);
    g_assert_cmpuint(tx.wire_bytes, ==, b->tx.wire_bytes);
    g_assert_cmpint(tx.band, ==, b->e.band);
    g_assert_cmpint(tx.has_trailer, ==, b->tx.has_trailer);
    g_assert_cmpuint(tx.arrival_ns, ==,
                     now_ns > waited_ns ? now_ns - waited_ns : 0);
    if (b->e.band == EDF_BAND_BEST_EFFORT) {
        g_assert_cmpuint(tx.due_ns, ==, UINT64_MAX);
        g_assert_cmpuint(tx.turn.order_ns, ==, UINT64_MAX);
    } else {
        due_ns = left_ns >= 0 || (uint64_t)-left_ns < now_ns
                 ? now_ns + left_ns : 0;
        g_assert_cmpuint(tx.due_ns, ==, due_ns);
        g_assert_cmpuint(tx.turn.order_ns, ==, due_ns);
    }
    if (tx.has_trailer) {
        g_assert_cmpuint(tx.trailer.sent_tai_ns, ==, NOW_TAI_NS);
        g_assert_cmpuint(tx.trailer.sequence, ==, b->tx.trailer.sequence);
        g_assert_cmpuint(tx.trailer.deadline_ns, ==, b->tx.trailer.deadline_ns);
        g_assert_cmpuint(tx.trailer.guest_dscp, ==, b->tx.trailer.guest_dscp);
    }
}

static void test_time_left(void)
{
    static const uint64_t waits_ns[] = {
        0, 1, DEADLINE_NS - 1, DEADLINE_NS, DEADLINE_NS + 1, 2000000000,
    };

    for (int kind = 0; kind < 3; kind++) {
        RtEndpointConfig cfg = rtvnic_cfg;
        Bed b;

        cfg.deadline_ns = kind == 1 ? 0 : DEADLINE_NS;
        cfg.rtvnic = kind != 2;
        bed_init(&b, &cfg, &ipv4);
        g_assert_true(bed_accept(&b));
        for (size_t i = 0; i < G_N_ELEMENTS(waits_ns); i++) {
            for (size_t j = 0; j < G_N_ELEMENTS(other_nows_ns); j++) {
                check_moved(&b, waits_ns[i], other_nows_ns[j]);
            }
        }
        bed_clear(&b);
    }
}

/* Every frame that can be accepted can be loaded, and saved again the same. */
static void test_random_frames(void)
{
    for (int i = 0; i < 5000; i++) {
        FrameSpec s;
        RtSavedTx saved, again;
        RtTx tx;
        Bed b;

        frame_random_spec(&s, g_test_rand_int_range(14, 1523));
        bed_init(&b, &rtvnic_cfg, &s);
        if (bed_accept(&b)) {
            if (i % 2) {        /* as if it had come too early */
                b.tx.turn.eligible_ns = NOW_NS + 1000 + i;
            }
            saved = save(&b, 1000);
            g_assert_null(rt_tx_load(&tx, &saved, b.frame, &b.e, 2 * NOW_NS));
            g_assert_cmpuint(tx.turn.eligible_ns, ==,
                             i % 2 ? 2 * NOW_NS + i : 0);
            rt_tx_save(&again, &tx, 2 * NOW_NS);
            g_assert_cmpint(again.frame_bytes, ==, saved.frame_bytes);
            g_assert_cmpuint(again.waited_ns, ==, saved.waited_ns);
            g_assert_cmpint(again.due_in_ns, ==, saved.due_in_ns);
            g_assert_cmpint(again.order_in_ns, ==, saved.order_in_ns);
            g_assert_cmpint(again.has_trailer, ==, saved.has_trailer);
        }
        bed_clear(&b);
    }
}

/* -- What is refused ------------------------------------------------------ */

static void expect_wrong(const Bed *b, const RtSavedTx *saved,
                         const char *message)
{
    RtTx tx;
    const char *wrong = rt_tx_load(&tx, saved, b->frame, &b->e, NOW_NS);

    g_assert_nonnull(wrong);
    g_assert_nonnull(strstr(wrong, message));
}

static void test_refused(void)
{
    RtSavedTx good, saved;
    Bed b;

    bed_init(&b, &rtvnic_cfg, &ipv4);
    g_assert_true(bed_accept(&b));
    good = save(&b, 0);

    for (uint32_t bytes = 0; bytes < 14; bytes++) {
        saved = good;
        saved.frame_bytes = bytes;
        expect_wrong(&b, &saved, "shorter than an Ethernet header");
    }
    saved = good;
    saved.trailer.padding_bytes = 1;
    expect_wrong(&b, &saved, "padding");
    saved = good;
    saved.frame_bytes--;
    expect_wrong(&b, &saved, "not IP");     /* less than IP says */
    saved = good;
    saved.trailer.guest_dscp = 64;
    expect_wrong(&b, &saved, "DSCP or flags");
    for (unsigned bit = 4; bit < 8; bit++) {
        saved = good;
        saved.trailer.flags |= 1 << bit;
        expect_wrong(&b, &saved, "DSCP or flags");
    }

    b.e.cfg.rtvnic = false;
    expect_wrong(&b, &good, "no rtvnic");
    b.e.cfg.rtvnic = true;
    b.e.cfg.link_mtu = 300 - 14 + RT_TRAILER_BYTES - 1;
    expect_wrong(&b, &good, "no room for its trailer");
    b.e.cfg.link_mtu = 300 - 14 - 1;
    expect_wrong(&b, &good, "longer than link-mtu");
    bed_clear(&b);
}

/*
 * Records and frames of random bytes: refused, or a frame that fits its buffer
 * and the link.
 */
static void test_random_records(void)
{
    unsigned taken = 0;
    Bed b;

    bed_init(&b, &rtvnic_cfg, &ipv4);
    g_assert_true(bed_accept(&b));
    for (int i = 0; i < 50000; i++) {
        RtSavedTx saved = save(&b, 0);
        uint32_t bytes = g_test_rand_int_range(1, 1600);
        g_autofree uint8_t *frame = g_malloc(bytes);
        RtTx tx;

        frame_random_fill(frame, bytes);
        if (i & 1) {
            memcpy(frame, b.frame, MIN(bytes, b.tx.frame_bytes));
        }
        saved.frame_bytes = bytes;
        saved.has_trailer = g_test_rand_bit();
        frame_random_fill((uint8_t *)&saved.due_in_ns, 8);
        frame_random_fill((uint8_t *)&saved.order_in_ns, 8);
        frame_random_fill((uint8_t *)&saved.eligible_in_ns, 8);
        frame_random_fill((uint8_t *)&saved.waited_ns, 8);
        saved.trailer.padding_bytes = g_test_rand_int_range(0, 64);
        if (!rt_tx_load(&tx, &saved, frame, &b.e, NOW_NS)) {
            g_assert_cmpuint(tx.frame_bytes, ==, bytes);
            g_assert_cmpuint(tx.leave_bytes, <=, 1522 + RT_TRAILER_BYTES);
            g_assert_cmpuint(tx.leave_bytes, ==,
                             bytes + (tx.has_trailer ? RT_TRAILER_BYTES : 0));
            taken++;
        }
    }
    g_assert_cmpuint(taken, >, 0);
    bed_clear(&b);
}

/* -- Times that cannot be ------------------------------------------------- */

/* They are taken for very far, and nothing overflows. */
static void test_extreme_times(void)
{
    static const int64_t times_ns[] = {
        INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX,
    };
    RtTx tx, before = { 0 };
    Bed b;

    bed_init(&b, &rtvnic_cfg, &ipv4);
    g_assert_true(bed_accept(&b));
    for (size_t i = 0; i < G_N_ELEMENTS(times_ns); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(other_nows_ns); j++) {
            RtSavedTx saved = save(&b, 0);

            saved.due_in_ns = saved.order_in_ns = times_ns[i];
            saved.eligible_in_ns = times_ns[i];
            saved.waited_ns = UINT64_MAX;
            g_assert_null(rt_tx_load(&tx, &saved, b.frame, &b.e,
                                     other_nows_ns[j]));
            g_assert_cmpuint(tx.arrival_ns, ==, 0);
            g_assert_cmpint(tx.due_ns == UINT64_MAX, ==,
                            times_ns[i] == INT64_MAX);
            g_assert_cmpint(tx.due_ns < other_nows_ns[j], ==, times_ns[i] < 0);
            g_assert_cmpuint(tx.turn.order_ns, ==, tx.due_ns);
        }
        g_assert_cmpuint(tx.due_ns, >=, before.due_ns);
        before = tx;
    }
    bed_clear(&b);
}

static void test_policer(void)
{
    RtEndpoint from = { 0 }, to = { 0 };

    from.policer.next_release_ns = NOW_NS + 700;
    rt_policer_load(&to, rt_policer_save(&from, NOW_NS), 50);
    g_assert_cmpuint(to.policer.next_release_ns, ==, 750);

    /* Long ago, or never: the next frame is free to go. */
    from.policer.next_release_ns = NOW_NS - 1;
    rt_policer_load(&to, rt_policer_save(&from, NOW_NS), 50);
    g_assert_cmpuint(to.policer.next_release_ns, <=, 50);

    rt_policer_load(&to, UINT64_MAX, NOW_NS);
    g_assert_cmpuint(to.policer.next_release_ns, >, NOW_NS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rt-saved/time-left", test_time_left);
    g_test_add_func("/rt-saved/random-frames", test_random_frames);
    g_test_add_func("/rt-saved/refused", test_refused);
    g_test_add_func("/rt-saved/random-records", test_random_records);
    g_test_add_func("/rt-saved/extreme-times", test_extreme_times);
    g_test_add_func("/rt-saved/policer", test_policer);
    return g_test_run();
}
