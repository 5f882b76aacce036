/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A domain: what its members send each other, through the daemon and directly,
 * and what comes in from other ports and goes out.
 *
 * Threads: one, and the switch's worker.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "netvm-bed.h"

/* Of the sender's frame, at the receiver's: the same bytes. */
static void check_frame(struct netvm *nv, const struct netvm_desc *pkt,
                        unsigned to, unsigned from)
{
    uint8_t frame[BED_FRAME_BYTES];

    bed_make_frame(frame, to, from, -1);
    g_assert_cmpuint(pkt->length, ==, sizeof(frame));
    g_assert_cmpmem(netvm_data(nv, pkt), pkt->length, frame, sizeof(frame));
}

static void to_member(NetvmBed *b, bool direct)
{
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 2);
    int other = netvm_find_member(a, "m2");

    g_assert_cmpint(other, ==, netvm_self(c));
    g_assert_cmpint(netvm_find_member(a, "m1"), ==, -ENOENT);
    for (unsigned i = 0; i < 300; i++) {
        struct netvm_desc sent = netvm_bed_packet(a, 1, 2), got;

        sent.action = NETVM_TO_MEMBER;
        sent.port = other;
        sent.hash = i;
        netvm_bed_send(a, sent);
        got = netvm_bed_receive(c);
        /* The buffer itself. */
        g_assert_cmphex(got.buffer, ==, sent.buffer);
        g_assert_cmpuint(got.offset, ==, sent.offset);
        g_assert_cmpuint(got.hash, ==, (uint16_t)i);
        g_assert_cmpuint(got.port, ==,
                         b->domain->member[netvm_self(a)].port);
        check_frame(c, &got, 1, 2);
        netvm_free(c, &got, 1);
    }
    g_assert_cmpuint(netvm_stats(a, netvm_self(a))->direct_pkts, ==,
                     direct ? 300 : 0);
    g_assert_cmpuint(netvm_stats(a, netvm_self(a))->moved_pkts, ==,
                     direct ? 0 : 300);
    g_assert_cmpuint(netvm_stats(a, other)->given_copied_pkts, ==, 0);
    g_assert_cmpuint(netvm_stats(a, other)->rx_pkts, ==, 300);
}

static void test_to_member(void)
{
    NetvmBed *b = netvm_bed_new("direct=off");

    to_member(b, false);
    netvm_bed_free(b);
}

static void test_direct(void)
{
    NetvmBed *b = netvm_bed_new("");

    to_member(b, true);
    netvm_bed_free(b);
}

/* By addresses, as between any ports; not copied. */
static void test_switched(void)
{
    NetvmBed *b = netvm_bed_new("");
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 1);
    struct netvm_desc sent, got;

    /* Station 1 is behind m0, station 2 behind m1; the first frame is flooded,
     * and so copied. */
    sent = netvm_bed_packet(a, 2, 1);
    netvm_bed_send(a, sent);
    got = netvm_bed_receive(c);
    check_frame(c, &got, 2, 1);
    g_assert_cmphex(got.buffer, !=, sent.buffer);
    netvm_free(c, &got, 1);
    g_assert_cmpuint(netvm_stats(a, netvm_self(c))->given_copied_pkts, ==, 1);
    for (unsigned i = 0; i < 20; i++) {
        sent = netvm_bed_packet(c, 1, 2);
        netvm_bed_send(c, sent);
        got = netvm_bed_receive(a);
        check_frame(a, &got, 1, 2);
        g_assert_cmphex(got.buffer, ==, sent.buffer);
        netvm_free(a, &got, 1);
    }
    g_assert_cmpuint(netvm_stats(a, netvm_self(a))->given_copied_pkts, ==, 0);
    g_assert_cmpuint(bed_counters(b->sw, "m0").egress_pkts, ==, 20);
    netvm_bed_free(b);
}

static void expect_read(NetvmBed *b, const char *port, unsigned to,
                        unsigned from)
{
    uint8_t frame[BED_FRAME_BYTES];
    GBytes *got = NULL;

    for (unsigned i = 0; i < 1000 && !got; i++) {
        got = bed_read(b->sw, port);
        bed_turn();
        g_usleep(1000);
    }
    g_assert_nonnull(got);
    bed_make_frame(frame, to, from, -1);
    g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got), frame,
                    sizeof(frame));
    g_bytes_unref(got);
}

/* One copy into the domain, one out of it. */
static void test_in_and_out(void)
{
    NetvmBed *b = netvm_bed_new("");
    uint8_t frame[BED_FRAME_BYTES];
    struct netvm_desc got;
    struct netvm *a;

    bed_add(b->sw, "outside", "");
    a = netvm_bed_attach(b, 0);
    netvm_bed_send(a, netvm_bed_packet(a, BED_GROUP, 1));
    expect_read(b, "outside", BED_GROUP, 1);
    bed_make_frame(frame, 1, 7, -1);
    bed_send(b->sw, "outside", frame, sizeof(frame));
    got = netvm_bed_receive(a);
    check_frame(a, &got, 1, 7);
    g_assert_cmpuint(got.offset, ==, NETVM_HEADROOM_BYTES);
    netvm_free(a, &got, 1);
    g_assert_cmpuint(netvm_stats(a, netvm_self(a))->given_copied_pkts, ==, 1);
    netvm_bed_send(a, netvm_bed_packet(a, 7, 1));
    expect_read(b, "outside", 7, 1);
    /* What was copied out is the daemon's again. */
    netvm_bed_detach(b, 0);
    netvm_bed_wait_gone(b);
    g_assert_cmpuint(netvm_bed_owned(b, 0), ==, b->domain->buffers);
    g_assert_cmpuint(domain_free_buffers(b->domain), ==, b->domain->buffers);
    netvm_bed_free(b);
}

/* A member names a port only if it may. */
static void test_named_port(void)
{
    NetvmBed *b = netvm_bed_new("");
    g_autofree char *words = NULL;
    struct netvm_desc pkt;
    struct netvm *a;

    bed_add(b->sw, "good", "");
    bed_add(b->sw, "bad", "");
    words = g_strdup_printf("type=netvm domain=d socket=%s outs=good",
                            b->socket[0]);
    bed_set(b->sw, "m0", words);
    a = netvm_bed_attach(b, 0);
    for (unsigned i = 0; i < 2; i++) {
        const char *name = i ? "bad" : "good";

        pkt = netvm_bed_packet(a, 3, 1);
        pkt.action = NETVM_OUT;
        for (pkt.port = 0; pkt.port < SWITCH_MAX_PORTS; pkt.port++) {
            Port *p = switch_port_by_id(b->sw, pkt.port);

            if (p && strcmp(port_name(p), name) == 0) {
                break;
            }
        }
        netvm_bed_send(a, pkt);
    }
    expect_read(b, "good", 3, 1);
    netvm_bed_expect_none(a);
    g_assert_null(bed_read(b->sw, "bad"));
    netvm_bed_free(b);
}

/* Buffers end, and come back. */
static void test_exhausted(void)
{
    NetvmBed *b = netvm_bed_new("buffers=64");
    struct netvm *a = netvm_bed_attach(b, 0);
    g_autofree struct netvm_desc *pkt = g_new(struct netvm_desc,
                                              b->domain->buffers);
    unsigned all = b->domain->buffers, n = 0;

    while (n < all) {
        n += netvm_alloc(a, pkt + n, all - n);
        bed_turn();
    }
    g_assert_cmpint(netvm_alloc(a, pkt, 1), ==, 0);
    g_assert_cmpuint(netvm_stats(a, netvm_self(a))->no_buffer, >, 0);
    g_assert_cmpuint(netvm_bed_owned(b, netvm_self(a)), ==, all);
    for (unsigned i = 0; i < all; i++) {
        for (unsigned k = 0; k < i; k++) {
            g_assert_cmphex(pkt[i].buffer, !=, pkt[k].buffer);
        }
    }
    netvm_free(a, pkt, all);
    g_assert_cmpint(netvm_alloc(a, pkt, 10), ==, 10);
    netvm_bed_free(b);
}

/* Sleeping members are woken, by the daemon and by each other. */
typedef struct Echo {
    struct netvm *nv;
    unsigned n;
} Echo;

static void *echo(void *opaque)
{
    Echo *e = opaque;

    while (e->n > 0) {
        struct netvm_desc pkt[8];
        int status = netvm_wait(e->nv, BED_WAIT_S * 1000), n;

        g_assert_cmpint(status, ==, 1);
        n = netvm_rx_burst(e->nv, pkt, 8);
        g_assert_cmpint(n, >=, 0);
        for (int i = 0; i < n; i++) {
            pkt[i].action = NETVM_TO_MEMBER;
            pkt[i].port = netvm_find_member(e->nv, "m0");
        }
        g_assert_cmpint(netvm_tx_burst(e->nv, pkt, n), ==, n);
        e->n -= n;
    }
    return NULL;
}

static void wake(const char *settings)
{
    NetvmBed *b = netvm_bed_new(settings);
    struct netvm *a = netvm_bed_attach(b, 0);
    Echo e = { .nv = netvm_bed_attach(b, 1), .n = 200 };
    GThread *thread = g_thread_new("echo", echo, &e);

    for (unsigned i = 0; i < 200; i++) {
        struct netvm_desc pkt = netvm_bed_packet(a, 1, 2);

        pkt.action = NETVM_TO_MEMBER;
        pkt.port = netvm_find_member(a, "m1");
        netvm_bed_send(a, pkt);
        g_assert_cmpint(netvm_wait(a, BED_WAIT_S * 1000), ==, 1);
        pkt = netvm_bed_receive(a);
        netvm_free(a, &pkt, 1);
        if (i % 20 == 0) {
            g_usleep(1000);
        }
    }
    g_thread_join(thread);
    netvm_bed_free(b);
}

static void test_wake(void)
{
    wake("direct=off");
}

static void test_wake_direct(void)
{
    wake("");
}

/* Who sleeps is woken by one that came meanwhile, with the number of another
 * one, which had sent to it before. */
static void test_wake_by_next(void)
{
    NetvmBed *b = netvm_bed_new("");
    struct netvm *sleeper = netvm_bed_attach(b, 1), *sender;
    struct pollfd p = { .fd = netvm_fd(sleeper), .events = POLLIN };

    for (unsigned i = 0; i < 2; i++) {
        const struct netvm_stats *s;
        struct netvm_desc pkt;
        uint64_t rung;

        if (i > 0) {
            g_assert_cmpint(netvm_arm(sleeper), ==, 0);
        }
        sender = netvm_bed_attach(b, 0);
        g_assert_cmpuint(netvm_self(sender), ==, 2);
        s = netvm_stats(sender, 2);
        pkt = netvm_bed_packet(sender, 1, 2);
        pkt.action = NETVM_TO_MEMBER;
        pkt.port = netvm_self(sleeper);
        rung = s->doorbells;
        g_assert_cmpint(netvm_tx_burst(sender, &pkt, 1), ==, 1);
        g_assert_cmpuint(s->direct_pkts, ==, 1);
        if (i > 0) {
            g_assert_cmpuint(s->doorbells, ==, rung + 1);
            g_assert_cmpint(poll(&p, 1, BED_WAIT_S * 1000), ==, 1);
            netvm_disarm(sleeper);
        }
        pkt = netvm_bed_receive(sleeper);
        netvm_free(sleeper, &pkt, 1);
        netvm_bed_detach(b, 0);
        g_assert_cmpint(netvm_rx_burst(sleeper, NULL, 0), ==, 0);
        netvm_bed_wait_gone(b);
    }
    netvm_bed_free(b);
}

/* One that was cut off ends its burst after others have seen the empty ring:
 * who is woken for that finds it. */
static void test_late_burst(void)
{
    NetvmBed *b = netvm_bed_new("");
    struct netvm *nv = netvm_bed_attach(b, 0), *late = netvm_bed_attach(b, 1);
    const struct netvm_region *r = netvm_region(nv);
    struct netvm_ring *ring = (struct netvm_ring *)
        ((uint8_t *)r + r->rings_offset +
         (uint64_t)NETVM_RING_DIRECT(r->members, netvm_self(late),
                                     netvm_self(nv)) * r->ring_bytes);
    struct netvm_desc pkt = netvm_bed_packet(nv, 1, 2), got;

    netvm_bed_detach(b, 1);
    g_assert_cmpint(netvm_rx_burst(nv, &got, 1), ==, 0);
    netvm_bed_wait_gone(b);
    ring->desc[ring->tail & (r->ring_descs - 1)] = pkt;
    __atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
    g_assert_cmpint(netvm_wait(nv, BED_WAIT_S * 1000), ==, 1);
    g_assert_cmpint(netvm_rx_burst(nv, &got, 1), ==, 1);
    g_assert_cmpint(netvm_arm(nv), ==, 0);
    netvm_disarm(nv);
    netvm_bed_free(b);
}

/* Another member has written over where tables and segments lie. */
static void test_hostile_layout(void)
{
    NetvmBed *b = netvm_bed_new("");
    struct netvm_region *r =
        (struct netvm_region *)netvm_region(netvm_bed_attach(b, 0));
    uint64_t *const offsets[] = {
        &r->members_offset, &r->stats_offset, &r->services_offset,
        &r->flows_offset, &r->rings_offset,
        /* For those it waits a while. */
        &r->segment[0].offset, &r->segment[0].owners_offset,
        &r->segment[0].buffers_offset,
    };
    const uint64_t values[] = {
        UINT64_MAX - NETVM_LINE_BYTES + 1, UINT64_MAX, UINT64_C(1) << 63,
        UINT64_C(1) << 40, r->rings_offset + 8,
    };
    uint32_t ring_bytes = r->ring_bytes, buffers = r->segment[0].buffers;

    for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++) {
        uint64_t before = *offsets[i];

        for (unsigned k = 0; k < (i < 5 ? G_N_ELEMENTS(values) : 1); k++) {
            *offsets[i] = values[k];
            netvm_bed_attach_fails(b, 1, "shared memory");
        }
        *offsets[i] = before;
    }
    r->ring_bytes = ring_bytes + 8;
    netvm_bed_attach_fails(b, 1, "do not fit");
    r->ring_bytes = UINT32_MAX - NETVM_LINE_BYTES + 1;
    netvm_bed_attach_fails(b, 1, "do not fit");
    r->ring_bytes = ring_bytes;
    r->segment[0].buffers = UINT32_MAX;
    netvm_bed_attach_fails(b, 1, "shared memory");
    r->segment[0].buffers = buffers;
    netvm_bed_attach(b, 1);
    netvm_bed_free(b);
}

/* More memory while all goes on. */
static void test_grow(void)
{
    NetvmBed *b = netvm_bed_new("buffers=64");
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 1);
    unsigned before = b->domain->buffers, n = 0;
    g_autofree struct netvm_desc *pkt = NULL;
    g_autoptr(GError) error = NULL;
    DomainSettings s = *domain_settings(b->domain);

    s.buffers = before + 1000;
    g_assert_true(switch_set_domain(b->sw, "d", &s, &error));
    g_assert_no_error(error);
    /* Not before all have seen it. */
    g_assert_cmpuint(b->domain->buffers, ==, before);
    for (unsigned i = 0; b->domain->buffers == before; i++) {
        g_assert_cmpuint(i, <, 10000);
        g_assert_cmpint(netvm_rx_burst(a, NULL, 0), ==, 0);
        g_assert_cmpint(netvm_rx_burst(c, NULL, 0), ==, 0);
        bed_turn();
        g_usleep(1000);
    }
    g_assert_cmpuint(b->domain->buffers, >=, before + 1000);
    pkt = g_new(struct netvm_desc, b->domain->buffers);
    while (n < before + 100) {
        int got = netvm_alloc(a, pkt + n, before + 100 - n);

        g_assert_cmpint(got, >=, 0);
        n += got;
        bed_turn();
    }
    for (unsigned i = 0; i < n; i++) {
        struct netvm_desc there;

        pkt[i].length = BED_FRAME_BYTES;
        pkt[i].action = NETVM_TO_MEMBER;
        pkt[i].port = netvm_self(c);
        bed_make_frame(netvm_data(a, &pkt[i]), i % 100, 3, -1);
        netvm_bed_send(a, pkt[i]);
        there = netvm_bed_receive(c);
        g_assert_cmphex(there.buffer, ==, pkt[i].buffer);
        check_frame(c, &there, i % 100, 3);
        netvm_free(c, &there, 1);
    }
    s.buffers = 64;
    g_assert_null(switch_set_domain(b->sw, "d", &s, &error));
    g_assert_nonnull(strstr(error->message, "cannot be taken back"));
    netvm_bed_free(b);
}

/* Node 0 is there on every host, the last one on none. */
static void test_node(void)
{
    NetvmBed *b = netvm_bed_new("node=0");
    const DomainRegion *r = b->domain->region;
    g_autoptr(GError) error = NULL;
    DomainSettings s = *domain_settings(b->domain);
    struct netvm *a = netvm_bed_attach(b, 0);
    struct netvm_desc pkt = netvm_bed_packet(a, 1, 2);

    netvm_free(a, &pkt, 1);
    g_assert_cmpuint(r->segment[0].node, ==, 0);
    g_assert_cmpuint(netvm_region(a)->segment[0].node, ==, 0);

    s.node = DOMAIN_NODES - 1;
    for (unsigned i = 0; i < 2; i++) {
        s.buffers += i * 1000;
        g_assert_null(switch_set_domain(b->sw, "d", &s, &error));
        g_assert_nonnull(strstr(error->message, "domain d: node=1023: there "
                                "is no such NUMA node"));
        g_clear_error(&error);
    }
    g_assert_null(switch_set_domain(b->sw, "e", &s, &error));
    g_assert_nonnull(strstr(error->message, "domain e: node=1023"));
    g_clear_error(&error);
    g_assert_cmpuint(domain_settings(b->domain)->node, ==, 0);
    g_assert_cmpuint(r->segments, ==, 1);

    /* What is added may be anywhere. */
    s.node = DOMAIN_NODE_ANY;
    g_assert_nonnull(switch_set_domain(b->sw, "d", &s, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(r->segment[1].node, ==, DOMAIN_NODE_ANY);
    g_assert_cmpuint(netvm_region(a)->segment[1].node, ==, UINT32_MAX);
    netvm_bed_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/netvm/domain/to-member", test_to_member);
    g_test_add_func("/netvm/domain/direct", test_direct);
    g_test_add_func("/netvm/domain/switched", test_switched);
    g_test_add_func("/netvm/domain/in-and-out", test_in_and_out);
    g_test_add_func("/netvm/domain/named-port", test_named_port);
    g_test_add_func("/netvm/domain/exhausted", test_exhausted);
    g_test_add_func("/netvm/domain/wake", test_wake);
    g_test_add_func("/netvm/domain/wake-direct", test_wake_direct);
    g_test_add_func("/netvm/domain/wake-by-next", test_wake_by_next);
    g_test_add_func("/netvm/domain/late-burst", test_late_burst);
    g_test_add_func("/netvm/domain/hostile-layout", test_hostile_layout);
    g_test_add_func("/netvm/domain/grow", test_grow);
    g_test_add_func("/netvm/domain/node", test_node);
    return g_test_run();
}
