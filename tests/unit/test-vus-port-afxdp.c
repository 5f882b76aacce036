/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port of type af-xdp on the loopback interface of a network namespace of its
 * own: what leaves comes in again.  Without root only what is refused is left.
 *
 * Threads: one worker; the rest is single.
 */
#define _GNU_SOURCE
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"
#include "port.h"
#include "switch-bed.h"

#define MTU 3818                    /* the longest that may be */
#define LONGEST_FRAME (MTU + 14 + 8)
#define PLACES 2048
#define NOBODY 65534

/* -- What is refused ------------------------------------------------------- */

static void refuse(const char *ifname, const char *xdp_mode,
                   const char *zero_copy, const char *why)
{
    Switch *sw = bed_switch_new(1);
    g_autoptr(GError) error = NULL;
    PortSettings s;

    port_settings_init(&s);
    g_assert_true(port_settings_set(&s, "type", "af-xdp", NULL));
    g_assert_true(port_settings_set(&s, "ifname", ifname, NULL));
    g_assert_true(port_settings_set(&s, "xdp-mode", xdp_mode, NULL));
    g_assert_true(port_settings_set(&s, "zero-copy", zero_copy, NULL));
    g_assert_null(switch_add_port(sw, "up", &s, &error));
    g_assert_nonnull(error);
    if (!strstr(error->message, why)) {
        g_error("'%s' lacks '%s'", error->message, why);
    }
    port_settings_clear(&s);
    switch_free(sw);
}

static void test_no_interface(void)
{
    refuse("no-such-if", "auto", "auto",
           port_afxdp_ops.ingress
           ? "port up: ifname=no-such-if: there is no such interface"
           : "built without libxdp: install libxdp-dev and configure again");
}

static void test_unfit(void)
{
    if (!loopback_enter(MTU + 1)) {
        return;
    }
    refuse("lo", "auto", "auto", "its MTU is 3819, and AF_XDP carries 3818 at "
           "most: ip link set dev lo mtu 3818");
    loopback_set(MTU, true);
    refuse("lo", "native", "auto", "leave xdp-mode=native out");
    refuse("lo", "generic", "on", "zero-copy=on needs XDP in the driver");
}

static void test_privileges(void)
{
    if (g_test_subprocess()) {
        g_assert_true(loopback_enter(MTU));
        g_assert_cmpint(setresuid(NOBODY, NOBODY, NOBODY), ==, 0);
        refuse("lo", "auto", "auto",
               "the daemon needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF");
        return;
    }
    if (!loopback_enter(MTU)) {
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
}

/* -- What passes ----------------------------------------------------------- */

typedef struct Reader {
    Switch *sw;
    GBytes *got;
} Reader;

static bool has_come(void *opaque)
{
    Reader *r = opaque;

    r->got = bed_read(r->sw, "in");
    return r->got;
}

static Switch *loop_new(const char *settings)
{
    Switch *sw = bed_switch_new(1);

    bed_add(sw, "in", "");
    bed_add(sw, "up", settings);
    return sw;
}

/* A frame that says where it ends goes out, and comes in as it was. */
static void send_around(Switch *sw, unsigned bytes)
{
    g_autofree uint8_t *frame = g_malloc(MAX(bytes, BED_FRAME_BYTES));
    Reader r = { .sw = sw };

    bed_make_frame(frame, BED_GROUP, 1, -1);
    for (unsigned i = 14; i < bytes; i++) {
        frame[i] = i * 7 + bytes;
    }
    bed_send(sw, "in", frame, bytes);
    bed_wait(has_come, &r, "a frame that went around");
    g_assert_cmpmem(g_bytes_get_data(r.got, NULL), g_bytes_get_size(r.got),
                    frame, bytes);
    g_bytes_unref(r.got);
}

static void test_lengths(void)
{
    static const unsigned bytes[] = {
        14, 60, 127, 128, 129, 1514, LONGEST_FRAME - 1, LONGEST_FRAME,
    };
    Switch *sw;

    if (!loopback_enter(MTU)) {
        return;
    }
    sw = loop_new("type=af-xdp ifname=lo");
    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++) {
        send_around(sw, bytes[i]);
    }
    switch_free(sw);
}

/* Each place is used several times, the last one included. */
static void test_places(void)
{
    PortCounters c;
    Switch *sw;

    if (!loopback_enter(MTU)) {
        return;
    }
    sw = loop_new("type=af-xdp ifname=lo xdp-mode=generic zero-copy=off");
    for (unsigned i = 0; i < 3 * PLACES; i++) {
        send_around(sw, 14 + i % 100);
    }
    c = bed_counters(sw, "up");
    g_assert_cmpuint(c.ingress_pkts, ==, 3 * PLACES);
    g_assert_cmpuint(c.egress_pkts, ==, 3 * PLACES);
    g_assert_cmpuint(c.ingress_bytes, ==, c.egress_bytes);
    for (unsigned i = 0; i < DROP_REASONS; i++) {
        g_assert_cmpuint(c.drops[i], ==, 0);
    }
    switch_free(sw);
}

static bool is_lost(void *opaque)
{
    Switch *sw = opaque;

    /* Whoever serves the queue counts it. */
    send_around(sw, 64);
    return bed_drops(sw, "up", DROP_RX_FULL) > 0;
}

/* Longer than what a place has beside the headroom: the kernel loses it. */
static void test_too_long(void)
{
    uint8_t frame[LONGEST_FRAME + 1];
    Switch *sw;

    if (!loopback_enter(MTU)) {
        return;
    }
    sw = loop_new("type=af-xdp ifname=lo");
    memset(frame, 0, sizeof(frame));
    bed_make_frame(frame, BED_GROUP, 1, -1);
    bed_send(sw, "in", frame, sizeof(frame));
    bed_wait(is_lost, sw, "a frame that was lost to be counted");
    g_assert_cmpuint(bed_drops(sw, "up", DROP_RX_FULL), ==, 1);
    switch_free(sw);
}

static void test_link(void)
{
    uint8_t frame[BED_FRAME_BYTES];
    Switch *sw;

    if (!loopback_enter(MTU)) {
        return;
    }
    sw = loop_new("type=af-xdp ifname=lo link=down");
    bed_make_frame(frame, BED_GROUP, 1, -1);
    bed_send(sw, "in", frame, sizeof(frame));
    g_assert_cmpuint(bed_drops(sw, "in", DROP_NOWHERE), ==, 1);
    bed_set(sw, "up", "type=af-xdp ifname=lo");
    send_around(sw, 64);
    switch_free(sw);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/vus-port-afxdp/no-interface", test_no_interface);
    g_test_add_func("/vus-port-afxdp/unfit", test_unfit);
    g_test_add_func("/vus-port-afxdp/privileges", test_privileges);
    g_test_add_func("/vus-port-afxdp/lengths", test_lengths);
    g_test_add_func("/vus-port-afxdp/places", test_places);
    g_test_add_func("/vus-port-afxdp/too-long", test_too_long);
    g_test_add_func("/vus-port-afxdp/link", test_link);
    return g_test_run();
}
