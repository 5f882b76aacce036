/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Services and chains: every packet passes its hops in order, also while they
 * change and members come and go.
 *
 * Threads: one, and the switch's worker.
 */
#include <errno.h>
#include <string.h>

#include "netvm-bed.h"

/* Ports "in" and "out", and a chain between them; members m0 and m1 do "fw",
 * m2 "l3", m3 "ids". */
static NetvmBed *chain_bed_new(const char *settings, const char *services)
{
    static const char *const service[] = { "fw", "fw", "l3", "ids" };
    NetvmBed *b = netvm_bed_new(settings);
    g_autofree char *chain = g_strdup_printf("type=chain domain=d services=%s "
                                             "peer=out", services);

    for (unsigned i = 0; i < NETVM_BED_MEMBERS; i++) {
        g_autofree char *name = g_strdup_printf("m%u", i);
        g_autofree char *port = g_strdup_printf(
            "type=netvm domain=d socket=%s service=%s", b->socket[i],
            service[i]);

        bed_remove(b->sw, name);
        bed_add(b->sw, name, port);
    }
    bed_add(b->sw, "in", "peer=chain");
    bed_add(b->sw, "out", "");
    bed_add(b->sw, "chain", chain);
    return b;
}

/* One hop: sends on all that comes; how many. */
static unsigned pass(struct netvm *nv, uint8_t hop)
{
    struct netvm_desc pkt[32];
    int n = netvm_rx_burst(nv, pkt, 32);

    g_assert_cmpint(n, >=, 0);
    for (int i = 0; i < n; i++) {
        g_assert_cmpuint(pkt[i].hop, ==, hop);
        /* Who it was at. */
        netvm_data(nv, &pkt[i])[BED_FRAME_BYTES - 1 - hop] = netvm_self(nv);
        pkt[i].action = NETVM_NEXT;
    }
    netvm_bed_send_all(nv, pkt, n);
    return n;
}

static void inject(NetvmBed *b, unsigned from)
{
    uint8_t frame[BED_FRAME_BYTES];

    bed_make_frame(frame, 1, from, -1);
    bed_send(b->sw, "in", frame, sizeof(frame));
}

/* What has come out; the caller's. */
static GBytes *read_out(NetvmBed *b, unsigned hops, struct netvm *const *nv)
{
    gint64 end_us = g_get_monotonic_time() + BED_WAIT_S * G_USEC_PER_SEC;
    GBytes *got;

    while (!(got = bed_read(b->sw, "out"))) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        for (unsigned i = 0; i < hops; i++) {
            pass(nv[i], i);
        }
        bed_turn();
    }
    return got;
}

static unsigned at_hop(GBytes *frame, unsigned hop)
{
    const uint8_t *data = g_bytes_get_data(frame, NULL);

    return data[BED_FRAME_BYTES - 1 - hop];
}

static void two_hops(const char *settings, bool direct)
{
    NetvmBed *b = chain_bed_new(settings, "fw,l3");
    struct netvm *nv[] = { netvm_bed_attach(b, 0), netvm_bed_attach(b, 2) };
    const struct netvm_stats *stats = netvm_stats(nv[0], netvm_self(nv[0]));

    for (unsigned i = 0; i < 100; i++) {
        GBytes *got;

        inject(b, 2);
        got = read_out(b, 2, nv);
        g_assert_cmpuint(g_bytes_get_size(got), ==, BED_FRAME_BYTES);
        g_assert_cmpuint(at_hop(got, 0), ==, netvm_self(nv[0]));
        g_assert_cmpuint(at_hop(got, 1), ==, netvm_self(nv[1]));
        g_bytes_unref(got);
    }
    /* One copy into the domain, none in it. */
    g_assert_cmpuint(b->domain->copies, ==, 100);
    g_assert_cmpuint(stats->direct_pkts, ==, direct ? 100 : 0);
    netvm_bed_free(b);
}

static void test_two_hops(void)
{
    two_hops("direct=off", false);
}

static void test_two_hops_direct(void)
{
    two_hops("", true);
}

/* Its end is a member, who gets the same buffer, of no chain any more. */
static void test_out_to_member(void)
{
    NetvmBed *b = chain_bed_new("", "fw,l3");
    struct netvm *nv[] = { netvm_bed_attach(b, 0), netvm_bed_attach(b, 2) };
    struct netvm *sink = netvm_bed_attach(b, 3);
    gint64 end_us = g_get_monotonic_time() + BED_WAIT_S * G_USEC_PER_SEC;
    struct netvm_desc got;

    bed_set(b->sw, "chain", "type=chain domain=d services=fw,l3 peer=m3");
    inject(b, 2);
    while (netvm_rx_burst(sink, &got, 1) != 1) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        pass(nv[0], 0);
        pass(nv[1], 1);
        bed_turn();
    }
    g_assert_cmpuint(got.length, ==, BED_FRAME_BYTES);
    g_assert_cmpuint(got.chain, ==, 0);
    g_assert_cmpuint(got.hop, ==, 0);
    g_assert_cmpuint(b->domain->copies, ==, 1);
    netvm_free(sink, &got, 1);
    netvm_bed_free(b);
}

/* Another hop, live; and one less. */
static void test_changes(void)
{
    NetvmBed *b = chain_bed_new("", "fw");
    struct netvm *nv[] = { netvm_bed_attach(b, 0), netvm_bed_attach(b, 2) };
    static const struct {
        const char *services;
        unsigned hops;
    } step[] = { { "fw", 1 }, { "fw,l3", 2 }, { "fw", 1 }, { "fw,l3", 2 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(step); i++) {
        g_autofree char *words = g_strdup_printf(
            "type=chain domain=d services=%s peer=out", step[i].services);

        bed_set(b->sw, "chain", words);
        for (unsigned k = 0; k < 10; k++) {
            GBytes *got;

            inject(b, 2);
            got = read_out(b, step[i].hops, nv);
            g_assert_cmpuint(at_hop(got, 0), ==, netvm_self(nv[0]));
            g_assert_cmpuint(at_hop(got, 1) == netvm_self(nv[1]), ==,
                             step[i].hops == 2);
            g_bytes_unref(got);
        }
    }
    netvm_bed_free(b);
}

/* Flows are spread over instances, and each stays where it is. */
static void test_by_flow(void)
{
    NetvmBed *b = chain_bed_new("", "fw");
    struct netvm *nv[] = { netvm_bed_attach(b, 0), netvm_bed_attach(b, 1) };
    unsigned at[64], seen[2] = { 0 };

    for (unsigned i = 0; i < 128; i++) {
        unsigned from = i % 64, n[2] = { 0 };

        inject(b, 10 + from);
        while (n[0] + n[1] == 0) {
            n[0] = pass(nv[0], 0);
            n[1] = pass(nv[1], 0);
            bed_turn();
        }
        seen[n[1]]++;
        if (i >= 64) {
            g_assert_cmpuint(at[from], ==, n[1]);
        }
        at[from] = n[1];
    }
    g_assert_cmpuint(seen[0], >, 20);
    g_assert_cmpuint(seen[1], >, 20);
    netvm_bed_free(b);
}

/* Who has less to do gets more. */
static void test_by_depth(void)
{
    NetvmBed *b = chain_bed_new("balance=depth", "fw");
    struct netvm *idle = netvm_bed_attach(b, 0), *busy;
    unsigned n = 0;

    busy = netvm_bed_attach(b, 1);
    for (unsigned i = 0; i < 100; i++) {
        unsigned now;

        inject(b, 2);
        for (now = pass(idle, 0); now == 0 && i - n > 3; ) {
            bed_turn();
            now = pass(idle, 0);
        }
        n += now;
    }
    g_assert_cmpuint(n, >, 90);
    g_assert_cmpint(pass(busy, 0), <, 10);
    netvm_bed_free(b);
}

/* Copies for others beside; they end there. */
static void test_parallel(void)
{
    NetvmBed *b = chain_bed_new("", "fw+ids,l3");
    struct netvm *nv[] = { netvm_bed_attach(b, 0), netvm_bed_attach(b, 2) };
    struct netvm *ids = netvm_bed_attach(b, 3);

    for (unsigned i = 0; i < 20; i++) {
        struct netvm_desc copy;
        GBytes *got;

        inject(b, 2);
        got = read_out(b, 2, nv);
        g_bytes_unref(got);
        copy = netvm_bed_receive(ids);
        g_assert_cmpuint(copy.length, ==, BED_FRAME_BYTES);
        g_assert_cmpuint(copy.chain, ==, 0);
        copy.action = NETVM_NEXT;
        netvm_bed_send(ids, copy);
    }
    g_assert_cmpuint(b->domain->copies, ==, 40);
    g_assert_null(bed_read(b->sw, "out"));
    netvm_bed_free(b);
}

/* It ends in mid-chain: the other instance does its work, and then its
 * successor. */
static void test_healed(void)
{
    NetvmBed *b = chain_bed_new("", "fw,l3");
    struct netvm *nv[] = { netvm_bed_attach(b, 0), netvm_bed_attach(b, 2) };
    GBytes *got;

    netvm_bed_attach(b, 1);
    for (unsigned i = 0; i < 30; i++) {
        inject(b, 10 + i);
    }
    netvm_bed_detach(b, 0);
    netvm_bed_wait_gone(b);
    g_assert_cmpuint(b->domain->reclaimed, >, 0);
    nv[0] = b->nv[1];
    bed_drain(b->sw, "out");
    for (unsigned i = 0; i < 30; i++) {
        inject(b, 10 + i);
        got = read_out(b, 2, nv);
        g_assert_cmpuint(at_hop(got, 0), ==, netvm_self(nv[0]));
        g_bytes_unref(got);
    }
    netvm_bed_detach(b, 1);
    netvm_bed_wait_gone(b);
    bed_drain(b->sw, "out");
    /* Nobody filters: nothing passes. */
    inject(b, 2);
    netvm_bed_expect_none(nv[1]);
    g_assert_cmpuint(bed_drops(b->sw, "chain", DROP_DOWN), ==, 1);
    g_assert_null(bed_read(b->sw, "out"));
    nv[0] = netvm_bed_attach(b, 0);
    inject(b, 2);
    got = read_out(b, 2, nv);
    g_bytes_unref(got);
    netvm_bed_free(b);
}

static void test_text(void)
{
    static const char *const bad[] = {
        "", ",", "a,", "a++b", "a b", "a+b+c+d+e",
        "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        PortSettings s;

        port_settings_init(&s);
        port_settings_set(&s, "type", "chain", NULL);
        if (*bad[i]) {
            g_assert_false(port_settings_set(&s, "services", bad[i], &error));
            g_assert_nonnull(error);
        } else {
            g_assert_false(port_settings_check(&s, &error));
        }
        port_settings_clear(&s);
    }
}

/* One more than can share the work is refused, and loses nothing. */
static void test_instances(void)
{
    NetvmBed *b = netvm_bed_new("members=10");
    char *socket[NETVM_INSTANCES_MAX + 1];
    g_autoptr(GError) error = NULL;
    PortSettings s;

    bed_add(b->sw, "chain", "type=chain domain=d services=fw");
    for (unsigned i = 0; i <= NETVM_INSTANCES_MAX; i++) {
        g_autofree char *name = g_strdup_printf("fw%u", i);

        socket[i] = bed_socket_path();
        port_settings_init(&s);
        port_settings_set(&s, "type", "netvm", NULL);
        port_settings_set(&s, "domain", "d", NULL);
        port_settings_set(&s, "service", "fw", NULL);
        port_settings_set(&s, "socket", socket[i], NULL);
        if (i < NETVM_INSTANCES_MAX) {
            g_assert_nonnull(switch_add_port(b->sw, name, &s, &error));
            g_assert_no_error(error);
            port_settings_clear(&s);
        }
    }
    g_assert_null(switch_add_port(b->sw, "ninth", &s, &error));
    g_assert_nonnull(strstr(error->message, "port ninth: service=fw: 8 ports "
                            "of domain d have it already"));
    bed_remove(b->sw, "fw3");
    g_clear_error(&error);
    g_assert_nonnull(switch_add_port(b->sw, "ninth", &s, &error));
    g_assert_no_error(error);
    port_settings_clear(&s);
    netvm_bed_free(b);
    for (unsigned i = 0; i <= NETVM_INSTANCES_MAX; i++) {
        bed_socket_free(socket[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/netvm/chain/two-hops", test_two_hops);
    g_test_add_func("/netvm/chain/two-hops-direct", test_two_hops_direct);
    g_test_add_func("/netvm/chain/out-to-member", test_out_to_member);
    g_test_add_func("/netvm/chain/changes", test_changes);
    g_test_add_func("/netvm/chain/by-flow", test_by_flow);
    g_test_add_func("/netvm/chain/by-depth", test_by_depth);
    g_test_add_func("/netvm/chain/parallel", test_parallel);
    g_test_add_func("/netvm/chain/healed", test_healed);
    g_test_add_func("/netvm/chain/text", test_text);
    g_test_add_func("/netvm/chain/instances", test_instances);
    return g_test_run();
}
