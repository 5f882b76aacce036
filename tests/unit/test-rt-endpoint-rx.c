/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a frame in: measured, stripped, or left alone.
 *
 * Threads: single.
 */
#include <glib.h>
#include <string.h>

#include "endpoint-bed.h"

typedef struct Arrival {
    int64_t transit_ns;
    uint64_t missed, skewed, in_transit, exceeded_ns;
} Arrival;

static void check_arrival(const Arrival *a, uint64_t deadline_ns)
{
    FrameSpec s = { .ip_version = 4, .bytes = 100 };
    RtEndpointConfig cfg = rtvnic_cfg;
    RtEndpoint receiver;
    RtMiss miss = { 0 };
    bool missed;
    Bed b;

    rt_endpoint_init(&receiver, &cfg);
    cfg.deadline_ns = deadline_ns;
    bed_init(&b, &cfg, &s);
    bed_send(&b, 0);
    g_assert_cmpuint(bed_receive(&b, &receiver, a->transit_ns, &missed, &miss),
                     ==, 100);
    g_assert_cmpint(missed, ==, a->missed);
    g_assert_cmpuint(receiver.n.missed_pkts, ==, a->missed);
    g_assert_cmpuint(receiver.n.skewed_pkts, ==, a->skewed);
    g_assert_cmpuint(receiver.transit.count, ==, a->in_transit);
    g_assert_cmpuint(receiver.transit.max_ns, ==,
                     a->transit_ns > 0 ? a->transit_ns : 0);
    g_assert_cmpuint(miss.exceeded_ns, ==, a->exceeded_ns);
    if (missed) {
        g_assert_cmphex(miss.trailer.source_id, ==, 0x12345678);
    }
    bed_clear(&b);
}

static void test_arrivals(void)
{
    static const Arrival arrivals[] = {
        { 0, 0, 0, 1, 0 },
        { DEADLINE_NS, 0, 0, 1, 0 },
        { DEADLINE_NS + 1, 1, 0, 1, 1 },
        { 1ll << 60, 1, 0, 1, (1ull << 60) - DEADLINE_NS },
        { -1, 0, 0, 1, 0 },
        { -(int64_t)RT_MAX_SKEW_DEFAULT_NS, 0, 0, 1, 0 },
        { -(int64_t)RT_MAX_SKEW_DEFAULT_NS - 1, 0, 1, 0, 0 },
    };
    static const Arrival best_effort = { 1ll << 60, 0, 0, 1, 0 };

    for (unsigned i = 0; i < G_N_ELEMENTS(arrivals); i++) {
        check_arrival(&arrivals[i], DEADLINE_NS);
    }
    check_arrival(&best_effort, 0);
}

/* A sender that writes any time it likes. */
static void test_hostile_times(void)
{
    static const uint64_t times_ns[] = {
        0, 1, NOW_TAI_NS, UINT64_MAX - 1, UINT64_MAX, 1ull << 63,
    };

    for (unsigned i = 0; i < 6 * 6 * 2; i++) {
        uint64_t sent_ns = times_ns[i % 6], now_ns = times_ns[i / 6 % 6];
        RtTrailer t = { .sent_tai_ns = sent_ns,
                        .deadline_ns = i / 36 ? UINT32_MAX : 1 };
        FrameSpec s = { .ip_version = 4, .bytes = 100 };
        bool missed, expected;
        RtMiss miss;
        Bed b;

        bed_init(&b, &rtvnic_cfg, &s);
        rt_trailer_encode(&t, b.frame + 100);
        g_assert_cmpuint(rt_rx(&b.e, b.frame, 132, now_ns, &missed, &miss), ==,
                         100);
        expected = now_ns > sent_ns && now_ns - sent_ns > t.deadline_ns;
        g_assert_cmpint(missed, ==, expected);
        if (missed) {
            g_assert_cmpuint(miss.exceeded_ns, ==,
                             now_ns - sent_ns - t.deadline_ns);
        }
        g_assert_cmpuint(b.e.n.skewed_pkts, ==,
                         sent_ns > now_ns &&
                         sent_ns - now_ns > RT_MAX_SKEW_DEFAULT_NS);
        bed_clear(&b);
    }
}

/* One bit flipped anywhere in the trailer: delivered as it is, and counted. */
static void test_corrupt(void)
{
    for (unsigned bit = 0; bit < 8 * RT_TRAILER_BYTES; bit++) {
        FrameSpec s = { .ip_version = 4 + 2 * (bit % 2), .bytes = 100 };
        bool in_magic = bit / 8 >= 28, missed;
        uint8_t *arrived;
        RtMiss miss;
        size_t len;
        Bed b;

        bed_init(&b, &rtvnic_cfg, &s);
        bed_send(&b, 0);
        b.frame[100 + bit / 8] ^= 1 << bit % 8;
        arrived = g_memdup2(b.frame, b.tx.leave_bytes);
        len = bed_receive(&b, &b.e, 1ll << 40, &missed, &miss);
        g_assert_cmpmem(b.frame, len, arrived, b.tx.leave_bytes);
        g_assert_false(missed);
        g_assert_cmpuint(b.e.n.rx_rejected_pkts, ==, !in_magic);
        g_assert_cmpuint(b.e.n.rx_trailer_pkts, ==, 0);
        g_free(arrived);
        bed_clear(&b);
    }
}

/* An RT frame carried as the payload of another is not stripped. */
static void test_nested(void)
{
    for (unsigned k = 0; k < 2000; k++) {
        FrameSpec inner, outer;
        RtEndpoint receiver;
        uint8_t *frame;
        size_t header;
        bool missed;
        RtMiss miss;
        Bed b;

        frame_random_spec(&inner, g_test_rand_int_range(62, 1000));
        inner.ip_version = 4 + k % 2 * 2;
        bed_init(&b, &rtvnic_cfg, &inner);
        bed_send(&b, 0);

        frame_random_spec(&outer, 100);
        outer.ip_version = 4 + k / 2 % 2 * 2;
        header = frame_least_bytes(&outer);
        outer.bytes = header + b.tx.leave_bytes;
        frame = g_malloc(outer.bytes);
        frame_make(&outer, frame);
        memcpy(frame + header, b.frame, b.tx.leave_bytes);
        rt_endpoint_init(&receiver, &rtvnic_cfg);
        g_assert_cmpuint(rt_rx(&receiver, frame, outer.bytes, NOW_TAI_NS,
                               &missed, &miss), ==, outer.bytes);
        g_assert_cmpmem(frame + header, b.tx.leave_bytes, b.frame,
                        b.tx.leave_bytes);
        g_assert_cmpuint(receiver.n.rx_rejected_pkts, ==, 1);
        g_assert_cmpuint(receiver.n.rx_trailer_pkts, ==, 0);
        g_free(frame);
        bed_clear(&b);
    }
}

/* Any bytes of any length. */
static void test_random_bytes(void)
{
    RtEndpoint e;

    rt_endpoint_init(&e, &rtvnic_cfg);
    for (unsigned k = 0; k < 100000; k++) {
        size_t len = g_test_rand_int_range(0, 150);
        uint8_t *frame = g_malloc(len);
        bool missed;
        RtMiss miss;

        frame_random_fill(frame, len);
        if (len > 46 && k % 2) {
            memcpy(frame + 12, k % 4 > 1 ? "\x08\x00\x45" : "\x86\xdd\x60", 3);
            memcpy(frame + len - 4, "RTv1", 4);
        }
        g_assert_cmpuint(rt_rx(&e, frame, len, NOW_TAI_NS, &missed, &miss), ==,
                         len);
        g_assert_false(missed);
        g_free(frame);
    }
    g_assert_cmpuint(e.n.received_pkts, ==, 100000);
    g_assert_cmpuint(e.n.rx_trailer_pkts, ==, 0);
    g_assert_cmpuint(e.n.rx_rejected_pkts, >, 10000);
}

/* -- An endpoint that is no rtvnic's --------------------------------------- */

static void test_plain(void)
{
    FrameSpec s = { .ip_version = 4, .dscp = 7, .bytes = 100 };
    RtEndpointConfig cfg = rtvnic_cfg;
    bool missed;
    RtMiss miss;
    Bed b, plain;

    cfg.rtvnic = false;
    bed_init(&plain, &cfg, &s);
    bed_send(&plain, DEADLINE_NS + 1);
    g_assert_cmpmem(plain.frame, plain.tx.leave_bytes, plain.original, 100);
    g_assert_cmpuint(plain.e.n.late_pkts, ==, 1);
    g_assert_cmpuint(plain.e.n.tx_not_ip_pkts, ==, 0);
    bed_clear(&plain);

    /* What an rtvnic sent reaches its guest whole. */
    bed_init(&b, &rtvnic_cfg, &s);
    bed_send(&b, 0);
    rt_endpoint_init(&plain.e, &cfg);
    g_assert_cmpuint(bed_receive(&b, &plain.e, 1ll << 40, &missed, &miss), ==,
                     132);
    g_assert_false(missed);
    g_assert_cmpuint(b.frame[15] >> 2, ==, 46);
    g_assert_cmpuint(plain.e.n.received_pkts, ==, 1);
    g_assert_cmpuint(plain.e.n.received_bytes, ==, 132);
    g_assert_cmpuint(plain.e.n.rx_trailer_pkts, ==, 0);
    bed_clear(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rt-endpoint-rx/arrivals", test_arrivals);
    g_test_add_func("/rt-endpoint-rx/hostile-times", test_hostile_times);
    g_test_add_func("/rt-endpoint-rx/corrupt", test_corrupt);
    g_test_add_func("/rt-endpoint-rx/nested", test_nested);
    g_test_add_func("/rt-endpoint-rx/random-bytes", test_random_bytes);
    g_test_add_func("/rt-endpoint-rx/plain", test_plain);
    return g_test_run();
}
