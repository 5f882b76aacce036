/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a frame out of an endpoint, and that what arrives at the other
 * end is what the guest had sent.
 *
 * Threads: single.
 */
#include <glib.h>

#include "endpoint-bed.h"

static uint64_t all_drops(const RtEndpoint *e)
{
    uint64_t sum = 0;

#define ADD(field, name, text) sum += e->n.field;
    RT_DROPS(ADD)
#undef ADD
    return sum;
}

/* -- Round trip ------------------------------------------------------------ */

static void set_ecn(const FrameSpec *s, uint8_t *frame, uint8_t ecn)
{
    uint8_t *ip = frame + frame_l2_bytes(s);
    uint16_t sum;

    if (s->ip_version == 4) {
        ip[1] = (ip[1] & 0xfc) | ecn;
        sum = frame_ipv4_checksum(ip);
        ip[10] = sum >> 8;
        ip[11] = sum;
    } else {
        ip[1] = (ip[1] & 0xcf) | ecn << 4;
    }
}

static void check_round_trip(const FrameSpec *s)
{
    RtEndpointConfig cfg = rtvnic_cfg;
    size_t ip_end = s->bytes - s->l2_padding;
    size_t least = 60 + 4 * s->vlan_tags;
    size_t padded = MAX(ip_end, least);
    bool room = padded + RT_TRAILER_BYTES <=
                frame_l2_bytes(s) + cfg.link_mtu;
    bool missed;
    RtMiss miss;
    size_t len;
    Bed b;

    cfg.dscp = g_test_rand_int_range(-1, 64);
    bed_init(&b, &cfg, s);
    bed_send(&b, 100);
    g_assert_cmpint(b.tx.has_trailer, ==, s->ip_version && room);
    if (s->ip_version) {
        RtFrame f;

        g_assert_true(rt_frame_parse(&f, b.frame, b.tx.leave_bytes));
        g_assert_cmpint(f.dscp, ==, cfg.dscp < 0 ? s->dscp : cfg.dscp);
    } else {
        g_assert_cmpmem(b.frame, b.tx.leave_bytes, b.original, s->bytes);
    }
    g_assert_cmpuint(b.tx.leave_bytes, ==,
                     b.tx.has_trailer ? padded + RT_TRAILER_BYTES : s->bytes);
    g_assert_cmpuint(b.tx.wire_bytes, ==, MAX(b.tx.leave_bytes, 60) + 24);
    if (!b.tx.has_trailer) {
        bed_clear(&b);
        return;
    }
    g_assert_cmpuint(written_trailer(&b).padding_bytes, ==, padded - ip_end);
    for (size_t i = ip_end; i < padded; i++) {
        g_assert_cmpuint(b.frame[i], ==, 0);
    }

    /* A router on the path says that it is congested. */
    set_ecn(s, b.frame, 3);
    set_ecn(s, b.original, 3);
    len = bed_receive(&b, &b.e, DEADLINE_NS, &missed, &miss);
    g_assert_false(missed);
    g_assert_cmpmem(b.frame, len, b.original, ip_end);
    g_assert_cmpuint(b.e.n.rx_trailer_pkts, ==, 1);
    g_assert_cmpuint(b.e.transit.max_ns, ==, DEADLINE_NS);
    bed_clear(&b);
}

static void test_round_trip(void)
{
    for (size_t bytes = 14; bytes <= 1514; bytes++) {
        for (unsigned k = 0; k < 8; k++) {
            FrameSpec s;

            frame_random_spec(&s, bytes);
            if (k % 2 && bytes <= 70) {
                s.l2_padding = bytes - frame_least_bytes(&s);
            }
            check_round_trip(&s);
        }
    }
}

static void test_trailer_fields(void)
{
    FrameSpec s = { .ip_version = 4, .dscp = 10, .bytes = 200 };
    RtEndpointConfig cfg = rtvnic_cfg;
    RtTrailer t;
    Bed b;

    bed_init(&b, &cfg, &s);
    bed_send(&b, DEADLINE_NS);
    t = written_trailer(&b);
    g_assert_cmpuint(t.sent_tai_ns, ==, NOW_TAI_NS);
    g_assert_cmpuint(t.deadline_ns, ==, DEADLINE_NS);
    g_assert_cmpuint(t.sequence, ==, 0);
    g_assert_cmphex(t.source_id, ==, 0x12345678);
    g_assert_cmpuint(t.guest_dscp, ==, 10);
    g_assert_cmphex(t.flags, ==, RT_TRAILER_F_CLOCK_SYNC |
                                 RT_TRAILER_F_DSCP_REWRITTEN);
    bed_clear(&b);

    /* Admitted, late, clock not synchronised, DSCP as it was. */
    cfg.period_ns = 1000000;
    cfg.max_frame_bytes = 200;
    cfg.dscp = 10;
    bed_init(&b, &cfg, &s);
    g_assert_true(bed_accept(&b));
    g_assert_true(rt_tx_depart(&b.e, b.frame, &b.tx,
                               NOW_NS + DEADLINE_NS + 1, false));
    g_assert_cmphex(written_trailer(&b).flags, ==, RT_TRAILER_F_ADMITTED |
                                                   RT_TRAILER_F_LATE);
    bed_clear(&b);

    /* Best effort has no deadline to be late for. */
    cfg.deadline_ns = cfg.period_ns = 0;
    bed_init(&b, &cfg, &s);
    bed_send(&b, 1ull << 60);
    t = written_trailer(&b);
    g_assert_cmpuint(t.deadline_ns, ==, 0);
    g_assert_cmphex(t.flags, ==, RT_TRAILER_F_CLOCK_SYNC);
    g_assert_cmpuint(b.e.n.late_pkts, ==, 0);
    bed_clear(&b);
}

static void test_sequence(void)
{
    FrameSpec ip = { .ip_version = 6, .bytes = 100 }, arp = { .bytes = 60 };
    FrameSpec full = { .ip_version = 4, .bytes = 1514 };
    Bed b;

    bed_init(&b, &rtvnic_cfg, &ip);
    for (unsigned i = 0; i < 5; i++) {
        const FrameSpec *between = i % 2 ? &arp : &full;
        uint8_t *frame = g_malloc(1514 + RT_TX_TAILROOM_BYTES);
        RtTx tx;

        frame_make(between, frame);
        g_assert_true(rt_tx_accept(&b.e, frame, between->bytes, NOW_NS,
                                   NOW_TAI_NS, &tx));
        g_assert_false(tx.has_trailer);
        frame_make(&ip, frame);
        g_assert_true(rt_tx_accept(&b.e, frame, ip.bytes, NOW_NS, NOW_TAI_NS,
                                   &tx));
        g_assert_cmpuint(tx.trailer.sequence, ==, i);
        g_free(frame);
    }
    g_assert_cmpuint(b.e.n.tx_not_ip_pkts, ==, 2);
    g_assert_cmpuint(b.e.n.tx_no_room_pkts, ==, 3);
    bed_clear(&b);
}

static void test_pcp(void)
{
    FrameSpec s = { .ip_version = 4, .vlan_tags = 1, .pcp = 2, .bytes = 100 };
    RtEndpointConfig cfg = rtvnic_cfg;
    Bed b;

    cfg.pcp = 6;
    bed_init(&b, &cfg, &s);
    bed_send(&b, 0);
    g_assert_cmpuint(b.frame[14] >> 5, ==, 6);
    g_assert_cmpuint(b.frame[14] & 0x1f, ==, b.original[14] & 0x1f);
    bed_clear(&b);
}

/* Marks and stamps only: no trailer, nothing padded. */
static void test_trailer_off(void)
{
    FrameSpec s = { .ip_version = 4, .dscp = 1, .bytes = 42 };
    RtEndpointConfig cfg = rtvnic_cfg;
    Bed b;

    cfg.trailer = false;
    bed_init(&b, &cfg, &s);
    bed_send(&b, 0);
    g_assert_cmpuint(b.tx.leave_bytes, ==, 42);
    g_assert_cmpuint(b.frame[15] >> 2, ==, 46);
    g_assert_cmpuint(b.e.n.tx_no_room_pkts, ==, 0);
    bed_clear(&b);
}

/* -- Frames that are too short or too long --------------------------------- */

static void test_runt(void)
{
    RtEndpointConfig cfg = rtvnic_cfg;

    for (unsigned rtvnic = 0; rtvnic < 2; rtvnic++) {
        cfg.rtvnic = rtvnic;
        for (size_t len = 0; len < 14; len++) {
            uint8_t *frame = g_malloc0(len + RT_TX_TAILROOM_BYTES);
            RtEndpoint e;
            RtTx tx;

            rt_endpoint_init(&e, &cfg);
            g_assert_false(rt_tx_accept(&e, frame, len, NOW_NS, NOW_TAI_NS,
                                        &tx));
            g_assert_cmpuint(e.n.drop_tx_runt, ==, 1);
            g_assert_cmpuint(all_drops(&e), ==, 1);
            g_free(frame);
        }
    }
}

static void test_link_mtu(void)
{
    RtEndpointConfig cfg = rtvnic_cfg;

    for (unsigned k = 0; k < 2000; k++) {
        FrameSpec s;
        size_t least;
        bool fits;
        Bed b;

        cfg.link_mtu = g_test_rand_int_range(RT_LINK_MTU_MIN, 3000);
        cfg.rtvnic = g_test_rand_bit();
        frame_random_spec(&s, 100);
        s.bytes = frame_l2_bytes(&s) + cfg.link_mtu +
                  g_test_rand_int_range(-40, 10);
        least = frame_least_bytes(&s);
        g_assert_cmpuint(s.bytes, >, least);
        fits = s.bytes <= frame_l2_bytes(&s) + cfg.link_mtu;
        bed_init(&b, &cfg, &s);
        g_assert_cmpint(bed_accept(&b), ==, fits);
        g_assert_cmpuint(b.e.n.drop_tx_oversize, ==, !fits);
        if (fits) {
            bool with_trailer = cfg.rtvnic && s.ip_version &&
                s.bytes + 32 <= frame_l2_bytes(&s) + cfg.link_mtu;

            g_assert_cmpint(b.tx.has_trailer, ==, with_trailer);
            g_assert_cmpuint(b.tx.leave_bytes, <=,
                             frame_l2_bytes(&s) + cfg.link_mtu);
            g_assert_cmpuint(b.tx.wire_bytes, <=,
                             rt_endpoint_max_wire_bytes(&b.e));
            g_assert_cmpuint(b.e.n.tx_no_room_pkts, ==,
                             cfg.rtvnic && s.ip_version && !with_trailer);
        }
        bed_clear(&b);
    }
}

/* No frame that keeps to max-frame-bytes is longer than was admitted. */
static void test_max_wire_bytes(void)
{
    RtEndpointConfig cfg = rtvnic_cfg;

    cfg.period_ns = 1000000;
    for (unsigned k = 0; k < 20000; k++) {
        FrameSpec s;
        uint32_t most;
        Bed b;

        cfg.rtvnic = g_test_rand_bit();
        cfg.trailer = g_test_rand_bit();
        cfg.link_mtu = g_test_rand_int_range(RT_LINK_MTU_MIN, 1501);
        cfg.max_frame_bytes = g_test_rand_int_range(14, cfg.link_mtu + 14);
        frame_random_spec(&s, g_test_rand_int_range(14,
                                                    cfg.max_frame_bytes + 1));
        bed_init(&b, &cfg, &s);
        most = rt_endpoint_max_wire_bytes(&b.e);
        g_assert_cmpuint(b.e.contract.wire_bytes, ==, most);
        g_assert_true(bed_accept(&b));
        g_assert_cmpuint(b.tx.wire_bytes, <=, most);
        g_assert_cmpuint(most, <=, RT_MAX_WIRE_BYTES(cfg.link_mtu));
        g_assert_cmpuint(b.e.n.postponed_pkts, ==, 0);
        bed_clear(&b);
    }
    cfg.rtvnic = cfg.trailer = true;
    cfg.link_mtu = 1500;
    cfg.max_frame_bytes = 250;
    {
        RtEndpoint e;

        rt_endpoint_init(&e, &cfg);
        g_assert_cmpuint(rt_endpoint_max_wire_bytes(&e), ==, 250 + 32 + 24);
        cfg.max_frame_bytes = 0;
        rt_endpoint_init(&e, &cfg);
        g_assert_cmpuint(rt_endpoint_max_wire_bytes(&e), ==, 1546);
    }
}

/* -- Time ------------------------------------------------------------------ */

static void test_bands(void)
{
    FrameSpec s = { .ip_version = 4, .bytes = 100 };
    RtEndpointConfig cfg = rtvnic_cfg;
    Bed b;

    bed_init(&b, &cfg, &s);
    g_assert_true(bed_accept(&b));
    g_assert_cmpint(b.tx.band, ==, EDF_BAND_DEADLINE);
    g_assert_cmpuint(b.tx.turn.order_ns, ==, NOW_NS + DEADLINE_NS);
    g_assert_cmpuint(b.tx.due_ns, ==, NOW_NS + DEADLINE_NS);
    bed_clear(&b);

    cfg.period_ns = 2000000;
    bed_init(&b, &cfg, &s);
    for (unsigned i = 0; i < 3; i++) {
        /* Three at once: each is due as it is, and ordered by the contract. */
        frame_make(&s, b.frame);
        g_assert_true(bed_accept(&b));
        g_assert_cmpint(b.tx.band, ==, EDF_BAND_ADMITTED);
        g_assert_cmpuint(b.tx.turn.order_ns, ==,
                         NOW_NS + i * 2000000 + DEADLINE_NS);
        g_assert_cmpuint(b.tx.due_ns, ==, NOW_NS + DEADLINE_NS);
        g_assert_cmpuint(b.e.n.postponed_pkts, ==, i);
        g_assert_cmpuint(b.tx.trailer.deadline_ns, ==, DEADLINE_NS);
    }
    bed_clear(&b);

    cfg.deadline_ns = 0;
    bed_init(&b, &cfg, &s);
    g_assert_true(bed_accept(&b));
    g_assert_cmpint(b.tx.band, ==, EDF_BAND_BEST_EFFORT);
    g_assert_cmpuint(b.tx.due_ns, ==, UINT64_MAX);
    bed_clear(&b);
}

static void test_late(void)
{
    FrameSpec s = { .ip_version = 4, .bytes = 100 };
    Bed b;

    bed_init(&b, &rtvnic_cfg, &s);
    bed_send(&b, DEADLINE_NS);
    g_assert_cmpuint(b.e.n.late_pkts, ==, 0);
    frame_make(&s, b.frame);
    bed_send(&b, DEADLINE_NS + 1);
    g_assert_cmpuint(b.e.n.late_pkts, ==, 1);
    g_assert_cmpuint(b.e.n.sent_pkts, ==, 2);
    g_assert_cmpuint(b.e.n.sent_bytes, ==, 2 * 132);
    g_assert_cmpuint(b.e.queueing.count, ==, 2);
    g_assert_cmpuint(b.e.queueing.max_ns, ==, DEADLINE_NS + 1);
    bed_clear(&b);
}

static void test_drop_late(void)
{
    FrameSpec s = { .ip_version = 4, .bytes = 100 };
    RtEndpointConfig cfg = rtvnic_cfg;
    Bed b;

    cfg.drop_late = true;
    bed_init(&b, &cfg, &s);
    bed_send(&b, DEADLINE_NS);
    frame_make(&s, b.frame);
    g_assert_true(bed_accept(&b));
    g_assert_false(rt_tx_depart(&b.e, b.frame, &b.tx,
                                NOW_NS + DEADLINE_NS + 1, true));
    g_assert_cmpuint(b.e.n.drop_tx_late, ==, 1);
    g_assert_cmpuint(b.e.n.sent_pkts, ==, 1);
    g_assert_cmpuint(b.e.n.late_pkts, ==, 0);
    bed_clear(&b);
}

/* The backend gave it back; by the time it goes it has become late. */
static void test_departs_twice(void)
{
    FrameSpec s = { .ip_version = 4, .bytes = 100 };
    Bed b;

    bed_init(&b, &rtvnic_cfg, &s);
    g_assert_true(bed_accept(&b));
    g_assert_true(rt_tx_depart(&b.e, b.frame, &b.tx, NOW_NS, true));
    g_assert_cmphex(written_trailer(&b).flags & RT_TRAILER_F_LATE, ==, 0);
    g_assert_true(rt_tx_depart(&b.e, b.frame, &b.tx, NOW_NS + DEADLINE_NS + 1,
                               false));
    g_assert_cmphex(written_trailer(&b).flags, ==,
                    RT_TRAILER_F_LATE | RT_TRAILER_F_DSCP_REWRITTEN);
    g_assert_cmpuint(b.e.n.sent_pkts, ==, 0);
    rt_tx_sent(&b.e, &b.tx);
    g_assert_cmpuint(b.e.n.sent_pkts, ==, 1);
    g_assert_cmpuint(b.e.n.late_pkts, ==, 1);
    g_assert_cmpuint(b.e.queueing.count, ==, 1);
    bed_clear(&b);
}

static void test_source_id(void)
{
    static const uint8_t mac[6] = { 0x52, 0x54, 0xff, 0x34, 0x56, 0x78 };

    g_assert_cmphex(rt_source_id_from_mac(mac), ==, 0xff345678);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rt-endpoint/round-trip", test_round_trip);
    g_test_add_func("/rt-endpoint/trailer-fields", test_trailer_fields);
    g_test_add_func("/rt-endpoint/sequence", test_sequence);
    g_test_add_func("/rt-endpoint/pcp", test_pcp);
    g_test_add_func("/rt-endpoint/trailer-off", test_trailer_off);
    g_test_add_func("/rt-endpoint/runt", test_runt);
    g_test_add_func("/rt-endpoint/link-mtu", test_link_mtu);
    g_test_add_func("/rt-endpoint/max-wire-bytes", test_max_wire_bytes);
    g_test_add_func("/rt-endpoint/bands", test_bands);
    g_test_add_func("/rt-endpoint/late", test_late);
    g_test_add_func("/rt-endpoint/drop-late", test_drop_late);
    g_test_add_func("/rt-endpoint/departs-twice", test_departs_twice);
    g_test_add_func("/rt-endpoint/source-id", test_source_id);
    return g_test_run();
}
