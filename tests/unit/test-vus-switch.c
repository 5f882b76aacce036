/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The switch's own doing: ports come, change and go; what is refused; what is
 * counted; addresses that age, are set and flushed.
 *
 * Threads: single, but for one worker that has nothing to do.
 */
#include <string.h>

#include "switch-bed.h"

static void send_one(Switch *sw, const char *from, unsigned to,
                     unsigned station)
{
    uint8_t frame[BED_FRAME_BYTES];

    bed_make_frame(frame, to, station, -1);
    bed_send(sw, from, frame, sizeof(frame));
}

/* Words of a port that must not be, as the error says. */
static void refuse(Switch *sw, const char *name, const char *key,
                   const char *value, const char *why)
{
    g_autoptr(GError) error = NULL;
    PortSettings s;

    port_settings_init(&s);
    port_settings_set(&s, "type", "dummy", &error);
    port_settings_set(&s, key, value, &error);
    g_assert_no_error(error);
    if (switch_find_port(sw, name)) {
        g_assert_false(switch_set_port(sw, name, &s, &error));
    } else {
        g_assert_null(switch_add_port(sw, name, &s, &error));
        g_assert_null(switch_find_port(sw, name));
    }
    port_settings_clear(&s);
    g_assert_nonnull(error);
    if (!strstr(error->message, why)) {
        g_error("'%s' lacks '%s'", error->message, why);
    }
}

static void test_refused(void)
{
    Switch *sw = bed_switch_new(1);

    bed_add(sw, "a", "");
    refuse(sw, "a", "peer", "a", "own");
    refuse(sw, "b", "mirror", "b", "own");
    refuse(sw, "-x", "vlan", "1", "");
    refuse(sw, "a", "type", "tap", "ifname");
    for (unsigned i = 0; i < 4; i++) {
        char name[] = { 'm', '0' + i, 0 };

        bed_add(sw, name, "mirror=a");
    }
    refuse(sw, "n", "mirror", "a", "shown by 4");
    /* Not one more, if it shows it already. */
    bed_set(sw, "m0", "mirror=a,b");
    bed_set(sw, "m0", "");
    bed_add(sw, "n", "mirror=a");
    refuse(sw, "m0", "mirror", "a", "shown by 4");
    switch_free(sw);
}

/* Every id is used, and used again; a new port begins with nothing. */
static void test_ids(void)
{
    Switch *sw = bed_switch_new(1);
    char name[8];

    for (unsigned i = 0; i < SWITCH_MAX_PORTS; i++) {
        g_snprintf(name, sizeof(name), "p%u", i);
        bed_add(sw, name, "");
    }
    refuse(sw, "more", "vlan", "1", "as many as can be");
    send_one(sw, "p7", BED_GROUP, 1);
    g_assert_cmpuint(bed_drain(sw, "p255"), ==, 1);
    g_assert_cmpuint(bed_counters(sw, "p7").ingress_pkts, ==, 1);
    bed_remove(sw, "p7");
    bed_add(sw, "more", "");
    g_assert_cmpuint(bed_counters(sw, "more").ingress_pkts, ==, 0);
    /* Its address went with it: flooded. */
    send_one(sw, "p8", 1, 2);
    g_assert_cmpuint(bed_drain(sw, "p255"), ==, 1);
    g_assert_cmpuint(bed_drain(sw, "more"), ==, 1);
    switch_free(sw);
}

static void test_counters(void)
{
    Switch *sw = bed_switch_new(1);
    PortCounters c;

    bed_add(sw, "a", "storm-pps=1");
    bed_add(sw, "b", "mac=02:00:00:00:00:09");
    for (unsigned i = 0; i < 10; i++) {
        send_one(sw, "a", BED_GROUP, 1);
    }
    c = bed_counters(sw, "a");
    g_assert_cmpuint(c.ingress_pkts, ==, 10);
    g_assert_cmpuint(c.ingress_bytes, ==, 10 * BED_FRAME_BYTES);
    g_assert_cmpuint(c.drops[DROP_STORM] + bed_counters(sw, "b").egress_pkts,
                     ==, 10);
    g_assert_cmpuint(bed_counters(sw, "b").egress_pkts, >=, 1);
    send_one(sw, "b", 1, 8);
    g_assert_cmpuint(bed_drops(sw, "b", DROP_SPOOF_MAC), ==, 1);
    g_assert_cmpuint(bed_drain(sw, "a"), ==, 0);
    send_one(sw, "b", 1, 9);
    g_assert_cmpuint(bed_drain(sw, "a"), ==, 1);
    switch_reset_counters(sw, NULL);
    g_assert_cmpuint(bed_counters(sw, "a").ingress_pkts, ==, 0);
    g_assert_cmpuint(bed_drops(sw, "b", DROP_SPOOF_MAC), ==, 0);
    switch_free(sw);
}

/* As soon as a peer's settings have something to be looked at, it is. */
static void test_peer(void)
{
    Switch *sw = bed_switch_new(1);

    bed_add(sw, "a", "peer=b");
    send_one(sw, "a", 1, 2);
    g_assert_cmpuint(bed_drops(sw, "a", DROP_DOWN), ==, 1);
    bed_add(sw, "b", "");
    bed_add(sw, "m", "mirror=b");
    send_one(sw, "a", 1, 2);
    g_assert_cmpuint(bed_drain(sw, "b"), ==, 1);
    g_assert_cmpuint(bed_drain(sw, "m"), ==, 1);
    bed_remove(sw, "m");
    bed_set(sw, "a", "peer=b mac=02:00:00:00:00:09");
    send_one(sw, "a", 1, 2);
    g_assert_cmpuint(bed_drain(sw, "b"), ==, 0);
    g_assert_cmpuint(bed_drops(sw, "a", DROP_SPOOF_MAC), ==, 1);
    bed_remove(sw, "b");
    send_one(sw, "a", 1, 9);
    g_assert_cmpuint(bed_drops(sw, "a", DROP_DOWN), ==, 2);
    switch_free(sw);
}

static void count_address(const FdbShown *e, void *opaque)
{
    ++*(unsigned *)opaque;
}

static bool all_forgotten(void *opaque)
{
    unsigned n = 0;

    switch_fdb_foreach(opaque, count_address, &n);
    return n == 1;
}

/* What is silent is forgotten, and what was set stays. */
static void test_ageing(void)
{
    g_autoptr(GError) error = NULL;
    SwitchConfig cfg;
    uint8_t mac[6];
    Switch *sw;
    unsigned n = 0;

    switch_config_init(&cfg);
    cfg.fdb_age_s = 1;
    sw = switch_new(&cfg, &error);
    g_assert_no_error(error);
    bed_add(sw, "a", "");
    bed_add(sw, "b", "");
    bed_make_mac(mac, 5);
    g_assert_true(switch_fdb_set(sw, switch_find_port(sw, "b"), mac, 0,
                                 &error));
    send_one(sw, "a", 9, 1);
    send_one(sw, "a", 9, 2);
    switch_fdb_foreach(sw, count_address, &n);
    g_assert_cmpuint(n, ==, 3);
    bed_wait(all_forgotten, sw, "addresses to age");
    g_assert_cmpuint(switch_fdb_flush(sw, NULL), ==, 0);
    bed_drain(sw, "b");
    send_one(sw, "a", 5, 1);
    g_assert_cmpuint(bed_drain(sw, "b"), ==, 1);
    g_assert_cmpuint(switch_fdb_flush(sw, switch_find_port(sw, "b")), ==, 0);
    g_assert_cmpuint(switch_fdb_flush(sw, switch_find_port(sw, "a")), ==, 1);
    bed_make_mac(mac, BED_GROUP);
    g_assert_false(switch_fdb_set(sw, switch_find_port(sw, "b"), mac, 0,
                                  &error));
    g_assert_nonnull(error);
    switch_free(sw);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-switch/refused", test_refused);
    g_test_add_func("/vus-switch/ids", test_ids);
    g_test_add_func("/vus-switch/counters", test_counters);
    g_test_add_func("/vus-switch/peer", test_peer);
    g_test_add_func("/vus-switch/ageing", test_ageing);
    return g_test_run();
}
