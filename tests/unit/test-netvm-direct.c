/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that are left to the switch go directly where its daemon would send
 * them, and only there.
 *
 * Threads: one, and the switch's worker.
 */
#include <errno.h>
#include <string.h>

#include "netvm-bed.h"
#include "netvm-flow.h"

/* Stations: 1 is behind m0, 2 behind m1, 3 there, too, 7 behind "other". */
static const char *const macs[NETVM_BED_MEMBERS] = {
    "mac=02:00:00:00:00:01", "mac=02:00:00:00:00:02,02:00:00:00:00:03", "",
    "",
};

static void set_port(NetvmBed *b, unsigned i, const char *more)
{
    g_autofree char *name = g_strdup_printf("m%u", i);
    g_autofree char *words = g_strdup_printf(
        "type=netvm domain=d socket=%s%s%s%s%s", b->socket[i],
        *macs[i] ? " " : "", macs[i], *more ? " " : "", more);

    bed_set(b->sw, name, words);
}

static NetvmBed *direct_bed_new(const char *settings)
{
    NetvmBed *b = netvm_bed_new(settings);

    for (unsigned i = 0; i < NETVM_BED_MEMBERS; i++) {
        set_port(b, i, "");
    }
    return b;
}

/* Who has the address of @station, as members see it; 0: the daemon knows. */
static unsigned shown(NetvmBed *b, unsigned station)
{
    uint8_t mac[6];
    uint64_t value;

    bed_make_mac(mac, station);
    value = netvm_flow_find(domain_region_flows(b->domain->region),
                            DOMAIN_FLOWS, netvm_flow_mac_key(mac));
    g_assert_true(value == 0 || value >> 60 == NETVM_VALUE_MEMBER(0) >> 60);
    return value & 0xffff;
}

/* From m0 to m1, by the address; true: directly. */
static bool goes_directly(NetvmBed *b, struct netvm *a, struct netvm *c)
{
    uint64_t before = netvm_stats(a, netvm_self(a))->direct_pkts;
    struct netvm_desc sent = netvm_bed_packet(a, 2, 1), got;
    uint8_t frame[BED_FRAME_BYTES];

    netvm_bed_send(a, sent);
    got = netvm_bed_receive(c);
    bed_make_frame(frame, 2, 1, -1);
    g_assert_cmpmem(netvm_data(c, &got), got.length, frame, sizeof(frame));
    netvm_free(c, &got, 1);
    return netvm_stats(a, netvm_self(a))->direct_pkts > before;
}

static void test_switched(void)
{
    NetvmBed *b = direct_bed_new("");
    struct netvm *a = netvm_bed_attach(b, 0), *c;
    unsigned number;

    g_assert_cmpuint(shown(b, 1), ==, netvm_self(a));
    g_assert_cmpuint(shown(b, 2), ==, 0);
    c = netvm_bed_attach(b, 1);
    number = netvm_self(c);
    g_assert_cmpuint(shown(b, 2), ==, number);
    g_assert_cmpuint(shown(b, 3), ==, number);
    g_assert_cmpuint(shown(b, 4), ==, 0);
    g_assert_true(goes_directly(b, a, c));
    g_assert_cmpuint(bed_counters(b->sw, "m0").ingress_pkts, ==, 0);

    /* Who leaves is no longer there, and who comes is. */
    netvm_bed_detach(b, 1);
    g_assert_cmpuint(shown(b, 2), ==, 0);
    g_assert_cmpuint(shown(b, 3), ==, 0);
    g_assert_cmpuint(shown(b, 1), ==, netvm_self(a));
    netvm_bed_attach(b, 2);
    netvm_bed_wait_gone(b);
    c = netvm_bed_attach(b, 1);
    g_assert_cmpuint(shown(b, 2), ==, netvm_self(c));
    g_assert_true(goes_directly(b, a, c));
    netvm_bed_free(b);
}

/* What somebody has set is the daemon's to do, whoever sends. */
static void test_not_plain(void)
{
    static const char *const words[] = {
        "vlan=5", "trunk=0-9", "native=3", "ip=10.0.0.1", "peer=m3",
        "rate-bps=1G", "rate-pps=1000000", "tx-limit-bps=1G",
        "tx-limit-pps=1000000", "guarantee-bps=1M", "tenant=t", "storm-pps=10",
        "uplink=on", "trust=rtvnic",
    };
    TenantSettings t = { 0 };
    NetvmBed *b = direct_bed_new("");
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 1);

    switch_set_tenant(b->sw, "t", &t, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        unsigned port = i % 3;
        uint64_t epoch = b->domain->region->epoch;

        g_test_message("%s", words[i]);
        set_port(b, port, words[i]);
        g_assert_cmpuint(shown(b, 1), ==, 0);
        g_assert_cmpuint(shown(b, 2), ==, 0);
        g_assert_cmpuint(b->domain->region->epoch, >, epoch);
        set_port(b, port, "");
        g_assert_cmpuint(shown(b, 1), ==, netvm_self(a));
        g_assert_cmpuint(shown(b, 2), ==, netvm_self(c));
        g_assert_true(goes_directly(b, a, c));
    }
    /* These change nothing. */
    set_port(b, 2, "max-macs=5 outs=m1");
    g_assert_cmpuint(shown(b, 2), ==, netvm_self(c));
    netvm_bed_free(b);
}

/* What a mirror is to see goes through the daemon. */
static void test_mirror(void)
{
    NetvmBed *b = direct_bed_new("");
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 1);

    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(goes_directly(b, a, c));
        bed_add(b->sw, "mirror", i % 2 ? "mirror=m0" : "mirror=m1");
        g_assert_false(goes_directly(b, a, c));
        g_assert_cmpuint(bed_drain(b->sw, "mirror"), ==, 1);
        bed_remove(b->sw, "mirror");
    }
    g_assert_true(goes_directly(b, a, c));
    netvm_bed_free(b);
}

/* An address that is said to be somewhere else as well is the daemon's. */
static void test_elsewhere(void)
{
    NetvmBed *b = direct_bed_new("");
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 1);
    g_autoptr(GError) error = NULL;
    uint8_t mac[6];
    Port *p;

    p = bed_add(b->sw, "other", "mac=02:00:00:00:00:02");
    g_assert_cmpuint(shown(b, 1), ==, netvm_self(a));
    g_assert_cmpuint(shown(b, 2), ==, 0);
    g_assert_cmpuint(shown(b, 3), ==, netvm_self(c));
    bed_set(b->sw, "other", "");
    g_assert_cmpuint(shown(b, 2), ==, netvm_self(c));

    bed_make_mac(mac, 2);
    g_assert_true(switch_fdb_set(b->sw, p, mac, 9, &error));
    g_assert_cmpuint(shown(b, 2), ==, 0);
    g_assert_true(switch_fdb_set(b->sw, switch_find_port(b->sw, "m1"), mac, 9,
                                 &error));
    g_assert_cmpuint(shown(b, 2), ==, netvm_self(c));
    g_assert_true(switch_fdb_set(b->sw, p, mac, 9, &error));
    g_assert_cmpuint(shown(b, 2), ==, 0);
    g_assert_true(switch_fdb_unset(b->sw, mac, 9, &error));
    g_assert_cmpuint(shown(b, 2), ==, netvm_self(c));
    netvm_bed_free(b);
}

static void test_off(void)
{
    NetvmBed *b = direct_bed_new("direct=off");
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 1);

    g_assert_cmpuint(shown(b, 2), ==, 0);
    g_assert_false(goes_directly(b, a, c));
    netvm_bed_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/netvm/direct/switched", test_switched);
    g_test_add_func("/netvm/direct/not-plain", test_not_plain);
    g_test_add_func("/netvm/direct/mirror", test_mirror);
    g_test_add_func("/netvm/direct/elsewhere", test_elsewhere);
    g_test_add_func("/netvm/direct/off", test_off);
    return g_test_run();
}
