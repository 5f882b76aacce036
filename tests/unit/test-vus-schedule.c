/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links with a rate and ports with a limit, as guests see them.
 *
 * Threads: this is the control thread and the guests; workers are the switch's.
 */
#include <string.h>

#include "port.h"
#include "switch-bed.h"
#include "vhost-guest.h"

#define FRAME_BYTES 1000u
#define WIRE_BITS ((FRAME_BYTES + 24) * 8.0)
#define MAX_GUESTS 4

typedef struct Bed {
    Switch *sw;
    unsigned guests;
    char *path[MAX_GUESTS];
    Guest *g[MAX_GUESTS];
    uint64_t sent[MAX_GUESTS], received[MAX_GUESTS];
    uint64_t from[MAX_GUESTS][MAX_GUESTS];      /* received, by sender */
} Bed;

static const char *const names[MAX_GUESTS] = { "a", "b", "c", "d" };

static void add_guest(Bed *bed, const char *settings)
{
    g_autoptr(GError) error = NULL;
    unsigned i = bed->guests++;
    g_autofree char *words = NULL;
    uint8_t mac[6];

    bed->path[i] = bed_socket_path();
    words = g_strdup_printf("type=vhost-user socket=%s%s", bed->path[i],
                            settings);
    bed_add(bed->sw, names[i], words);
    bed->g[i] = guest_new(bed->path[i], 1, GUEST_SPLIT);
    bed_make_mac(mac, 1 + i);
    switch_fdb_set(bed->sw, switch_find_port(bed->sw, names[i]), mac, 0,
                   &error);
    g_assert_no_error(error);
}

static void bed_free(Bed *bed)
{
    for (unsigned i = 0; i < bed->guests; i++) {
        guest_free(bed->g[i]);
    }
    switch_free(bed->sw);
    for (unsigned i = 0; i < bed->guests; i++) {
        bed_socket_free(bed->path[i]);
    }
}

static void set_tenant(Bed *bed, const char *name, const char *key,
                       const char *value)
{
    g_autoptr(GError) error = NULL;
    TenantSettings s = { 0 };

    tenant_settings_set(&s, key, value, &error);
    g_assert_no_error(error);
    g_assert_nonnull(switch_set_tenant(bed->sw, name, &s, &error));
    g_assert_no_error(error);
}

/* As much as its ring takes: once, for a worker may empty it as fast. */
static void flood(Bed *bed, unsigned from, unsigned to)
{
    uint8_t frame[FRAME_BYTES] = { 0 };

    bed_make_frame(frame, 1 + to, 1 + from, -1);
    for (unsigned i = 0; i < GUEST_RING &&
         guest_send(bed->g[from], 0, frame, sizeof(frame)); i++) {
        bed->sent[from]++;
    }
}

static void flood_both(Bed *bed, unsigned from, unsigned one, unsigned other)
{
    uint8_t frame[FRAME_BYTES] = { 0 };

    for (unsigned i = 0; i < GUEST_RING; i++) {
        unsigned to = bed->sent[from]++ % 2 ? one : other;

        bed_make_frame(frame, 1 + to, 1 + from, -1);
        if (!guest_send(bed->g[from], 0, frame, sizeof(frame))) {
            break;
        }
    }
}

static void receive(Bed *bed)
{
    uint8_t frame[GUEST_BUFFER_BYTES];

    for (unsigned i = 0; i < bed->guests; i++) {
        while (guest_receive(bed->g[i], 0, frame, sizeof(frame)) > 0) {
            bed->received[i]++;
            bed->from[i][frame[11] - 1]++;
        }
    }
}

/* All of @senders flood guest @to; what came, in bit/s. */
static double flood_for(Bed *bed, unsigned senders, unsigned to, double s)
{
    gint64 begin_us = g_get_monotonic_time(), now_us = begin_us;
    uint64_t before = bed->received[to];

    while (now_us < begin_us + s * G_USEC_PER_SEC) {
        for (unsigned i = 0; i < bed->guests; i++) {
            if (senders & 1u << i) {
                flood(bed, i, to);
            }
        }
        receive(bed);
        now_us = g_get_monotonic_time();
    }
    return (bed->received[to] - before) * WIRE_BITS /
           ((now_us - begin_us) * 1e-6);
}

typedef struct Awaited {
    Bed *bed;
    unsigned to;
    uint64_t pkts;
} Awaited;

static bool has_received(void *opaque)
{
    Awaited *a = opaque;

    receive(a->bed);
    return a->bed->received[a->to] >= a->pkts;
}

/* -- Links ----------------------------------------------------------------- */

/* So that a busy machine costs no throughput; rates are such that a guest's
 * ring holds what comes in that time. */
#define PATIENT " host-jitter-us=200000"

#define TRIES 20

/* Never more than the rate; and all of it while somebody floods, unless the
 * machine had no time for us, again and again. */
static void check_rate(const char *settings, double bps)
{
    Bed bed = { .sw = bed_switch_new(1) };
    double got_bps = 0;

    add_guest(&bed, "");
    add_guest(&bed, settings);
    for (unsigned i = 0; i < TRIES && got_bps < bps * 0.9; i++) {
        got_bps = flood_for(&bed, 1, 1, 0.5);
        /* What was late may come at once, and is made good. */
        g_assert_cmpfloat(got_bps, <, bps * (i ? 1.41 : 1.01) +
                                      10 * WIRE_BITS);
    }
    g_assert_cmpfloat(got_bps, >, bps * 0.9);
    g_assert_cmpuint(bed_drops(bed.sw, "b", DROP_QUEUE_FULL), >, 0);
    bed_free(&bed);
}

static void test_rate(void)
{
    check_rate(" rate-bps=4M" PATIENT, 4e6);
    check_rate(" rate-bps=4M policy=fifo" PATIENT, 4e6);
    check_rate(" rate-bps=1G rate-pps=500" PATIENT, 500 * WIRE_BITS);
}

/* What waits when the rate is raised or taken away leaves. */
static void test_rate_changes(void)
{
    Bed bed = { .sw = bed_switch_new(1) };
    Awaited all = { &bed, 1, 40 };
    g_autofree char *words = NULL;
    uint8_t frame[FRAME_BYTES] = { 0 };

    add_guest(&bed, "");
    add_guest(&bed, " rate-bps=1k");
    bed_make_frame(frame, 2, 1, -1);
    for (unsigned i = 0; i < 40; i++) {
        g_assert_true(guest_send(bed.g[0], 0, frame, sizeof(frame)));
    }
    /* The first one takes 8 s. */
    g_usleep(50000);
    receive(&bed);
    g_assert_cmpuint(bed.received[1], <=, 1);
    words = g_strdup_printf("type=vhost-user socket=%s rate-bps=1G",
                            bed.path[1]);
    bed_set(bed.sw, "b", words);
    bed_wait(has_received, &all, "frames that waited");
    bed_free(&bed);
}

/* What waits for a guest that has gone is counted. */
static void test_receiver_gone(void)
{
    Bed bed = { .sw = bed_switch_new(1) };
    uint8_t frame[FRAME_BYTES] = { 0 };
    PortCounters a;

    add_guest(&bed, "");
    add_guest(&bed, " rate-bps=1k");
    bed_make_frame(frame, 2, 1, -1);
    for (unsigned i = 0; i < 40; i++) {
        g_assert_true(guest_send(bed.g[0], 0, frame, sizeof(frame)));
    }
    do {
        g_usleep(1000);
        a = bed_counters(bed.sw, "a");
    } while (a.ingress_pkts < 40);
    guest_disconnect(bed.g[1]);
    while (bed_drops(bed.sw, "b", DROP_DOWN) < 39) {
        bed_turn();
        g_usleep(1000);
    }
    g_assert_cmpuint(bed_drops(bed.sw, "b", DROP_DOWN) +
                     bed_counters(bed.sw, "b").egress_pkts, ==, 40);
    bed_free(&bed);
}

/* A worker that sleeps wakes for a link of another one, and for its time. */
static void test_wakes(void)
{
    Bed bed = { .sw = bed_switch_new(2) };
    Awaited next = { &bed, 1, 0 };
    uint8_t frame[FRAME_BYTES] = { 0 };

    add_guest(&bed, "");
    add_guest(&bed, " rate-bps=10M");
    bed_make_frame(frame, 2, 1, -1);
    for (unsigned i = 0; i < 200; i++) {
        unsigned n = 1 + i % 3;

        for (unsigned k = 0; k < n; k++) {
            g_assert_true(guest_send(bed.g[0], 0, frame, sizeof(frame)));
        }
        next.pkts += n;
        bed_wait(has_received, &next, "a frame of a link that was idle");
        g_usleep(g_test_rand_int_range(0, 1000));
    }
    bed_free(&bed);
}

/* -- Guarantees ------------------------------------------------------------ */

/* Two flood; one was promised three quarters, and they share the rest. */
static void test_guarantee(void)
{
    Bed bed = { .sw = bed_switch_new(1) };
    double share;

    add_guest(&bed, " guarantee-bps=3M");
    add_guest(&bed, "");
    add_guest(&bed, " rate-bps=4M" PATIENT);
    flood_for(&bed, 3, 2, 0.2);
    bed.received[2] = bed.from[2][0] = 0;
    flood_for(&bed, 3, 2, 0.5);
    share = (double)bed.from[2][0] / bed.received[2];
    /* 3.5 of 4; a guarantee is made good for 10 ms only. */
    g_assert_cmpfloat(share, >, 0.8);
    g_assert_cmpfloat(share, <, 0.9);
    bed_free(&bed);
}

/* -- Limits ---------------------------------------------------------------- */

/* Its ring is emptied as fast as it may send; nothing is lost. */
static void check_limit(const char *settings, double bps)
{
    Bed bed = { .sw = bed_switch_new(1) };
    Awaited all = { &bed, 1, 0 };
    double got_bps;

    add_guest(&bed, settings);
    add_guest(&bed, "");
    got_bps = flood_for(&bed, 1, 1, 0.5);
    g_assert_cmpfloat(got_bps, <, bps * 1.01 + 10 * WIRE_BITS);
    g_assert_cmpfloat(got_bps, >, bps * 0.3);
    all.pkts = bed.sent[0];
    bed_wait(has_received, &all, "all that was sent");
    g_assert_cmpuint(bed_counters(bed.sw, "b").egress_pkts, ==, bed.sent[0]);
    bed_free(&bed);
}

static void test_limit(void)
{
    check_limit(" tx-limit-bps=4M", 4e6);
    check_limit(" tx-limit-pps=500", 500 * WIRE_BITS);
}

/* Two guests of a tenant share its limit; a third one has none. */
static void test_tenant_limit(void)
{
    Bed bed = { .sw = bed_switch_new(2) };
    double both_bps, other_bps;

    set_tenant(&bed, "t", "tx-limit-bps", "4M");
    add_guest(&bed, " tenant=t");
    add_guest(&bed, " tenant=t");
    add_guest(&bed, "");
    add_guest(&bed, "");
    both_bps = flood_for(&bed, 3, 3, 0.5);
    g_assert_cmpfloat(both_bps, <, 4e6 * 1.01 + 20 * WIRE_BITS);
    g_assert_cmpfloat(both_bps, >, 4e6 * 0.3);
    other_bps = flood_for(&bed, 4, 3, 0.2);
    g_assert_cmpfloat(other_bps, >, 2 * 4e6);

    /* Without a limit, at once. */
    set_tenant(&bed, "t", "tx-limit-bps", "");
    g_assert_cmpfloat(flood_for(&bed, 3, 3, 0.2), >, 2 * 4e6);
    bed_free(&bed);
}

/* Two guests of a tenant are sent no more than it may be sent together; one of
 * them was promised three quarters. */
static void test_tenant_rx_limit(void)
{
    Bed bed = { .sw = bed_switch_new(2) };
    gint64 end_us;
    double share;

    set_tenant(&bed, "t", "rx-limit-bps", "4M");
    add_guest(&bed, "");
    add_guest(&bed, " tenant=t rx-guarantee-bps=3M");
    add_guest(&bed, " tenant=t rate-bps=1G");
    for (unsigned round = 0; round < 2; round++) {
        bed.received[1] = bed.received[2] = 0;
        end_us = g_get_monotonic_time() + (round ? 500000 : 200000);
        while (g_get_monotonic_time() < end_us) {
            flood_both(&bed, 0, 1, 2);
            receive(&bed);
        }
    }
    g_assert_cmpfloat((bed.received[1] + bed.received[2]) * WIRE_BITS, <,
                      4e6 * 0.5 * 1.02 + 20 * WIRE_BITS);
    g_assert_cmpfloat((bed.received[1] + bed.received[2]) * WIRE_BITS, >,
                      4e6 * 0.5 * 0.3);
    share = (double)bed.received[1] / (bed.received[1] + bed.received[2]);
    /* 3.5 of 4, or more if the machine had no time for 4. */
    g_assert_cmpfloat(share, >, 0.75);

    /* Without a limit, at once. */
    set_tenant(&bed, "t", "rx-limit-bps", "");
    g_assert_cmpfloat(flood_for(&bed, 1, 1, 0.2), >, 2 * 4e6);
    bed_free(&bed);
}

/* Whoever goes while frames wait for the tenant's link takes them along. */
static void test_tenant_rx_changes(void)
{
    Bed bed = { .sw = bed_switch_new(2) };
    g_autofree char *plain = NULL;

    set_tenant(&bed, "t", "rx-limit-bps", "1M");
    set_tenant(&bed, "u", "rx-limit-pps", "100");
    add_guest(&bed, "");
    add_guest(&bed, " tenant=t");
    add_guest(&bed, " tenant=t rate-bps=100M");
    plain = g_strdup_printf("type=vhost-user socket=%s", bed.path[1]);
    for (unsigned i = 0; i < 40; i++) {
        g_autofree char *words = g_strconcat(
            plain, i % 4 == 0 ? " tenant=u" : i % 4 == 1 ? " tenant=t" :
            i % 4 == 2 ? " tenant=t queue-pkts=64" : "", NULL);
        g_autofree char *rate = g_strdup_printf("%u", 1000000 + i);

        flood_both(&bed, 0, 1, 2);
        receive(&bed);
        bed_set(bed.sw, "b", words);
        flood_both(&bed, 0, 1, 2);
        set_tenant(&bed, "t", "rx-limit-bps", i % 5 ? rate : "");
        g_usleep(500);
    }
    bed_remove(bed.sw, "c");
    flood(&bed, 0, 1);
    bed_free(&bed);
}

/* A limit that is raised holds nobody up who waits for the old one. */
static void test_tenant_raised(void)
{
    Bed bed = { .sw = bed_switch_new(1) };
    Awaited some = { &bed, 1, 40 };
    gint64 begin_us;

    set_tenant(&bed, "t", "tx-limit-bps", "1k");
    add_guest(&bed, " tenant=t");
    add_guest(&bed, "");
    flood(&bed, 0, 1);
    g_usleep(20000);
    set_tenant(&bed, "t", "tx-limit-bps", "1G");
    begin_us = g_get_monotonic_time();
    bed_wait(has_received, &some, "frames of the ring");
    /* A frame takes 8 s of the old limit. */
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 6000000);
    bed_free(&bed);
}

/* Frames are put into a dummy port by hand: they cannot wait. */
static void test_dummy_limit(void)
{
    Switch *sw = bed_switch_new(1);
    uint8_t frame[BED_FRAME_BYTES];

    bed_add(sw, "a", "tx-limit-pps=1");
    bed_add(sw, "b", "");
    bed_make_frame(frame, BED_GROUP, 1, -1);
    for (unsigned i = 0; i < 5; i++) {
        bed_send(sw, "a", frame, sizeof(frame));
    }
    g_assert_cmpuint(bed_drops(sw, "a", DROP_TX_LIMIT), ==, 4);
    g_assert_cmpuint(bed_drain(sw, "b"), ==, 1);
    switch_free(sw);
}

/* -- Tenants --------------------------------------------------------------- */

static void test_tenants(void)
{
    Bed bed = { .sw = bed_switch_new(1) };
    g_autoptr(GError) error = NULL;
    PortSettings s;
    Tenant *t;

    set_tenant(&bed, "one", "guarantee-bps", "1M");
    set_tenant(&bed, "two", "guarantee-pps", "5");
    t = switch_next_tenant(bed.sw, NULL);
    g_assert_cmpstr(tenant_name(t), ==, "one");
    g_assert_cmpuint(tenant_settings(t)->guarantee_bps, ==, 1000000);
    t = switch_next_tenant(bed.sw, t);
    g_assert_cmpstr(tenant_name(t), ==, "two");
    g_assert_null(switch_next_tenant(bed.sw, t));

    bed_add(bed.sw, "p", "tenant=one");
    g_assert_false(switch_remove_tenant(bed.sw, "one", &error));
    g_assert_nonnull(strstr(error->message, "port p"));
    g_clear_error(&error);
    bed_set(bed.sw, "p", "tenant=two");
    g_assert_true(switch_remove_tenant(bed.sw, "one", &error));
    g_assert_no_error(error);
    g_assert_false(switch_remove_tenant(bed.sw, "one", &error));
    g_clear_error(&error);

    port_settings_init(&s);
    port_settings_set(&s, "type", "dummy", NULL);
    port_settings_set(&s, "tenant", "one", NULL);
    g_assert_null(switch_add_port(bed.sw, "q", &s, &error));
    g_assert_nonnull(strstr(error->message, "no tenant one"));
    port_settings_clear(&s);
    switch_free(bed.sw);
}

static void test_many_tenants(void)
{
    Bed bed = { .sw = bed_switch_new(1) };
    g_autoptr(GError) error = NULL;
    TenantSettings s = { 0 };

    for (unsigned i = 0; i < SWITCH_MAX_TENANTS; i++) {
        g_autofree char *name = g_strdup_printf("t%u", i);

        set_tenant(&bed, name, "guarantee-bps", "1k");
    }
    g_assert_null(switch_set_tenant(bed.sw, "more", &s, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_true(switch_remove_tenant(bed.sw, "t7", NULL));
    g_assert_nonnull(switch_set_tenant(bed.sw, "more", &s, &error));
    g_assert_null(switch_set_tenant(bed.sw, "-", &s, &error));
    switch_free(bed.sw);
}

/* -- Whose turn it is ------------------------------------------------------ */

/* Nothing is looked at until somebody kicks. */
static bool sleeps(void *opaque)
{
    Bed *bed = opaque;
    WorkerStatus before, after;

    for (unsigned i = 0; i < bed->guests; i++) {
        if (!driver_wants_kick(bed->g[i]->driver[1])) {
            return false;
        }
    }
    switch_worker_status(bed->sw, 0, &before);
    g_usleep(20000);
    switch_worker_status(bed->sw, 0, &after);
    return before.polls == after.polls;
}

/* The worker sees nothing of them until it is told of the first. */
static void fill_quietly(Bed *bed, unsigned from, unsigned to, unsigned pkts)
{
    uint8_t frame[FRAME_BYTES] = { 0 };

    bed_make_frame(frame, 1 + to, 1 + from, -1);
    for (unsigned i = 0; i < pkts; i++) {
        g_assert_true(guest_put(bed->g[from], 0, frame, sizeof(frame)));
    }
}

/* Who has woken the worker is the first, and what has a deadline waits for a
 * burst of one other, and not of all. */
static void test_urgent(void)
{
    Bed bed = { .sw = bed_switch_new(1) };
    Awaited some = { &bed, 0, 0 };
    uint8_t frame[GUEST_BUFFER_BYTES];

    add_guest(&bed, "");
    add_guest(&bed, "");
    add_guest(&bed, "");
    add_guest(&bed, " rtvnic=on deadline-us=1000");
    for (unsigned who = 1; who <= 2; who++) {
        bed_wait(sleeps, &bed, "the worker to sleep");
        fill_quietly(&bed, 1, 0, INGRESS_BURST);
        fill_quietly(&bed, 2, 0, INGRESS_BURST);
        fill_quietly(&bed, 3, 0, 1);
        guest_kick(bed.g[who], 1);
        bed_wait(sleeps, &bed, "the worker to sleep again");
        for (unsigned i = 0; i < INGRESS_BURST; i++) {
            g_assert_cmpuint(guest_receive(bed.g[0], 0, frame, sizeof(frame)),
                             >, 0);
            g_assert_cmpuint(frame[11] - 1, ==, who);
        }
        g_assert_cmpuint(guest_receive(bed.g[0], 0, frame, sizeof(frame)), >,
                         0);
        g_assert_cmpuint(frame[11] - 1, ==, 3);
        some.pkts = bed.received[0] + INGRESS_BURST - 1;
        bed_wait(has_received, &some, "what others have sent");
    }
    bed_free(&bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/vus-schedule/rate", test_rate);
    g_test_add_func("/vus-schedule/rate-changes", test_rate_changes);
    g_test_add_func("/vus-schedule/receiver-gone", test_receiver_gone);
    g_test_add_func("/vus-schedule/wakes", test_wakes);
    g_test_add_func("/vus-schedule/guarantee", test_guarantee);
    g_test_add_func("/vus-schedule/limit", test_limit);
    g_test_add_func("/vus-schedule/tenant-limit", test_tenant_limit);
    g_test_add_func("/vus-schedule/tenant-rx-limit", test_tenant_rx_limit);
    g_test_add_func("/vus-schedule/tenant-rx-changes",
                    test_tenant_rx_changes);
    g_test_add_func("/vus-schedule/tenant-raised", test_tenant_raised);
    g_test_add_func("/vus-schedule/dummy-limit", test_dummy_limit);
    g_test_add_func("/vus-schedule/tenants", test_tenants);
    g_test_add_func("/vus-schedule/many-tenants", test_many_tenants);
    g_test_add_func("/vus-schedule/urgent", test_urgent);
    return g_test_run();
}
