/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What watchers are told: of ports, tenants, domains and missed deadlines.
 *
 * "b" is an rtvnic; "plain" sends it frames whose trailers say that they were
 * due long ago.
 *
 * Threads: this is the control thread; workers are the switch's.
 */
#include <arpa/inet.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "clock.h"
#include "events.h"
#include "frame-maker.h"
#include "rtnet/rt-endpoint.h"
#include "switch-bed.h"
#include "switch-impl.h"

#define STATION_B 2
#define STATION_PLAIN 3

#define SECOND_NS UINT64_C(1000000000)
#define DEADLINE_NS 1000000

typedef struct Watcher {
    EventsWatcher *watcher;
    GQueue told;                    /* of JsonObject: params */
    bool slow;                      /* it takes a while to be told */
} Watcher;

typedef struct Bed {
    Switch *sw;
    Events *events;
} Bed;

/* -- Watchers -------------------------------------------------------------- */

static void note_event(void *opaque, const char *text)
{
    Watcher *w = opaque;
    g_autoptr(JsonNode) node = json_from_string(text, NULL);
    JsonObject *event;

    g_assert_nonnull(node);
    g_assert_null(strchr(text, '\n'));
    event = json_node_get_object(node);
    g_assert_cmpstr(json_object_get_string_member(event, "jsonrpc"), ==,
                    "2.0");
    g_assert_cmpstr(json_object_get_string_member(event, "method"), ==,
                    "event");
    g_assert_false(json_object_has_member(event, "id"));
    g_queue_push_tail(&w->told, json_object_ref(
        json_object_get_object_member(event, "params")));
    if (w->slow) {
        g_usleep(5000);
    }
}

static Watcher *watch(Bed *bed)
{
    Watcher *w = g_new0(Watcher, 1);

    g_queue_init(&w->told);
    w->watcher = events_watch(bed->events, note_event, w);
    g_assert_cmpuint(w->told.length, ==, 0);
    return w;
}

static void unwatch(Watcher *w)
{
    events_unwatch(w->watcher);
    g_queue_clear_full(&w->told, (GDestroyNotify)json_object_unref);
    g_free(w);
}

static const char *text_in(JsonObject *event, const char *name)
{
    return json_object_get_string_member_with_default(event, name, "");
}

/* "port-state b link-down": the event, whose it is, state, reason. */
static char *next_event(Watcher *w)
{
    g_autoptr(JsonObject) e = g_queue_pop_head(&w->told);
    gint64 time_us;

    if (!e) {
        return g_strdup("none");
    }
    time_us = json_object_get_int_member(e, "time-us");
    g_assert_cmpint(ABS(g_get_real_time() - time_us), <, 60 * G_USEC_PER_SEC);
    return g_strconcat(text_in(e, "event"), " ", text_in(e, "port"),
                       text_in(e, "tenant"), text_in(e, "domain"), " ",
                       text_in(e, "state"), text_in(e, "broken"), NULL);
}

static void expect_event(Watcher *w, const char *expected)
{
    g_autofree char *event = next_event(w);

    g_assert_cmpstr(event, ==, expected);
}

/* -- The bed --------------------------------------------------------------- */

static Bed bed_new(void)
{
    Bed bed = { .sw = bed_switch_new(1) };
    g_autoptr(GError) error = NULL;
    uint8_t mac[6];

    bed.events = events_new(bed.sw);
    bed_add(bed.sw, "b", "rtvnic=on");
    bed_add(bed.sw, "plain", "trust=rtvnic");
    bed_make_mac(mac, STATION_B);
    switch_fdb_set(bed.sw, switch_find_port(bed.sw, "b"), mac, 0, &error);
    g_assert_no_error(error);
    return bed;
}

static void bed_end(Bed *bed)
{
    events_free(bed->events);
    switch_free(bed->sw);
}

static void set_tenant(Bed *bed, const char *name, uint64_t limit_bps)
{
    TenantSettings s = { .tx_limit_bps = limit_bps };
    g_autoptr(GError) error = NULL;

    switch_set_tenant(bed->sw, name, &s, &error);
    g_assert_no_error(error);
}

static void remove_port(Bed *bed, const char *name)
{
    events_remove_port(bed->events, bed->sw, switch_find_port(bed->sw, name));
}

/* -- Ports and tenants ----------------------------------------------------- */

static void test_ports(void)
{
    Bed bed = bed_new();
    Watcher *w = watch(&bed);

    /* What is there already is no event. */
    events_look(bed.events);
    expect_event(w, "none");
    bed_add(bed.sw, "c", "");
    events_look(bed.events);
    expect_event(w, "port-added c ready");
    bed_set(bed.sw, "c", "trust=rtvnic link=down");
    events_look(bed.events);
    expect_event(w, "port-state c link-down");
    bed_set(bed.sw, "c", "link=down vlan=5");
    events_look(bed.events);
    expect_event(w, "none");
    remove_port(&bed, "c");
    events_look(bed.events);
    expect_event(w, "port-removed c ");
    /* A name that comes again is another port. */
    remove_port(&bed, "plain");
    bed_add(bed.sw, "plain", "link=down");
    events_look(bed.events);
    expect_event(w, "port-removed plain ");
    expect_event(w, "port-added plain link-down");
    expect_event(w, "none");
    unwatch(w);
    bed_end(&bed);
}

static bool is_broken(void *opaque)
{
    PortStatus status;
    Bed *bed = opaque;

    switch_port_status(bed->sw, switch_find_port(bed->sw, "plain"), &status);
    return status.breaks > 0;
}

/* It is as it was before, and yet something has happened. */
static void test_broken(void)
{
    Bed bed = bed_new();
    Watcher *w = watch(&bed);

    port_break(switch_find_port(bed.sw, "plain"), "the guest has lied");
    bed_wait(is_broken, &bed, "a port that breaks");
    events_look(bed.events);
    expect_event(w, "port-state plain readythe guest has lied");
    events_look(bed.events);
    expect_event(w, "none");
    unwatch(w);
    bed_end(&bed);
}

static void test_tenants(void)
{
    Bed bed = bed_new();
    Watcher *w;

    set_tenant(&bed, "old", 1);
    w = watch(&bed);
    set_tenant(&bed, "red", 0);
    events_look(bed.events);
    expect_event(w, "tenant-added red ");
    set_tenant(&bed, "red", 5);
    set_tenant(&bed, "old", 1);
    events_look(bed.events);
    expect_event(w, "tenant-changed red ");
    expect_event(w, "none");
    g_assert_true(switch_remove_tenant(bed.sw, "old", NULL));
    events_look(bed.events);
    expect_event(w, "tenant-removed old ");
    expect_event(w, "none");
    unwatch(w);
    bed_end(&bed);
}

static void set_domain(Bed *bed, unsigned buffers)
{
    g_autoptr(GError) error = NULL;
    DomainSettings s;

    domain_settings_init(&s);
    s.buffers = buffers;
    s.members = 1;
    s.pages = DOMAIN_PAGES_ORDINARY;
    switch_set_domain(bed->sw, "red", &s, &error);
    g_assert_no_error(error);
}

static void test_domains(void)
{
    Bed bed = bed_new();
    Watcher *w = watch(&bed);

    set_domain(&bed, 64);
    events_look(bed.events);
    expect_event(w, "domain-added red ");
    set_domain(&bed, 65);
    events_look(bed.events);
    expect_event(w, "domain-changed red ");
    events_look(bed.events);
    expect_event(w, "none");
    g_assert_true(switch_remove_domain(bed.sw, "red", NULL));
    events_look(bed.events);
    expect_event(w, "domain-removed red ");
    unwatch(w);
    bed_end(&bed);
}

static bool was_told(void *opaque)
{
    return ((Watcher *)opaque)->told.length > 0;
}

/* Nobody has to look: it is done ten times a second, while somebody watches,
 * and for all of them. */
static void test_by_itself(void)
{
    Bed bed = bed_new();
    Watcher *w = watch(&bed), *other = watch(&bed);

    bed_add(bed.sw, "c", "");
    bed_wait(was_told, w, "an event");
    expect_event(w, "port-added c ready");
    expect_event(other, "port-added c ready");
    unwatch(w);
    bed_add(bed.sw, "d", "");
    bed_wait(was_told, other, "an event");
    expect_event(other, "port-added d ready");
    unwatch(other);
    /* Meanwhile nothing is told, nor later. */
    bed_add(bed.sw, "e", "");
    events_look(bed.events);
    w = watch(&bed);
    events_look(bed.events);
    expect_event(w, "none");
    unwatch(w);
    bed_end(&bed);
}

/* -- Misses ---------------------------------------------------------------- */

static unsigned sequence;
static uint8_t last_frame[132];     /* that was sent */

/* @ip_version 4 or 6; due a second ago. */
static void send_late(Bed *bed, int ip_version)
{
    FrameSpec spec = { .ip_version = ip_version, .dscp = 46, .bytes = 100 };
    RtTrailer t = {
        .sent_tai_ns = clock_now_tai_ns() - SECOND_NS,
        .deadline_ns = DEADLINE_NS, .sequence = ++sequence, .source_id = 77,
        .flags = RT_TRAILER_F_LATE,
    };

    frame_make(&spec, last_frame);
    bed_make_mac(last_frame, STATION_B);
    bed_make_mac(last_frame + 6, STATION_PLAIN);
    rt_trailer_encode(&t, last_frame + 100);
    bed_send(bed->sw, "plain", last_frame, sizeof(last_frame));
}

typedef struct Missed {
    Bed *bed;
    uint64_t pkts;
} Missed;

static bool has_missed(void *opaque)
{
    const Missed *m = opaque;
    RtEndpoint ep;

    switch_port_endpoint(m->bed->sw, switch_find_port(m->bed->sw, "b"), &ep);
    g_assert_cmpuint(ep.n.missed_pkts, <=, m->pkts);
    return ep.n.missed_pkts == m->pkts;
}

/* Until all @pkts were missed that were since the start. */
static void wait_for_misses(Bed *bed, uint64_t pkts)
{
    Missed m = { bed, pkts };

    bed_wait(has_missed, &m, "missed deadlines");
}

static void miss(Bed *bed, unsigned n, uint64_t pkts)
{
    for (unsigned i = 0; i < n; i++) {
        send_late(bed, i % 2 ? 6 : 4);
    }
    wait_for_misses(bed, pkts);
}

/* Of the next event, which has to be one of misses; 0: there is none. */
static int64_t next_count(Watcher *w)
{
    g_autoptr(JsonObject) e = g_queue_pop_head(&w->told);

    if (!e) {
        return 0;
    }
    g_assert_cmpstr(text_in(e, "event"), ==, "deadline-miss");
    return json_object_get_int_member(e, "count");
}

static void expect_address(JsonObject *e, const char *name, int family,
                           unsigned at)
{
    uint8_t address[16];

    g_assert_cmpint(inet_pton(family, text_in(e, name), address), ==, 1);
    g_assert_cmpmem(address, family == AF_INET ? 4 : 16, last_frame + at,
                    family == AF_INET ? 4 : 16);
}

/* All that is said of a miss. */
static void test_miss(void)
{
    static const int versions[] = { 4, 6 };

    for (unsigned i = 0; i < G_N_ELEMENTS(versions); i++) {
        Bed bed = bed_new();
        Watcher *w = watch(&bed);
        int64_t exceeded_ns;
        JsonObject *e;

        send_late(&bed, versions[i]);
        wait_for_misses(&bed, 1);
        events_look(bed.events);
        g_assert_cmpuint(w->told.length, ==, 1);
        e = g_queue_peek_head(&w->told);
        g_assert_cmpstr(text_in(e, "event"), ==, "deadline-miss");
        g_assert_cmpstr(text_in(e, "port"), ==, "b");
        g_assert_cmpint(json_object_get_int_member(e, "count"), ==, 1);
        g_assert_cmpstr(text_in(e, "source-mac"), ==, "02:00:00:00:00:03");
        g_assert_cmpstr(text_in(e, "destination-mac"), ==,
                        "02:00:00:00:00:02");
        if (versions[i] == 4) {
            expect_address(e, "source", AF_INET, 14 + 12);
            expect_address(e, "destination", AF_INET, 14 + 16);
        } else {
            expect_address(e, "source", AF_INET6, 14 + 8);
            expect_address(e, "destination", AF_INET6, 14 + 24);
        }
        g_assert_cmpint(json_object_get_int_member(e, "protocol"), ==,
                        last_frame[14 + (versions[i] == 4 ? 9 : 6)]);
        g_assert_cmpint(json_object_get_int_member(e, "dscp"), ==, 46);
        g_assert_cmpint(json_object_get_int_member(e, "source-id"), ==, 77);
        g_assert_cmpint(json_object_get_int_member(e, "sequence"), ==,
                        sequence);
        g_assert_cmpint(json_object_get_int_member(e, "deadline-ns"), ==,
                        DEADLINE_NS);
        exceeded_ns = json_object_get_int_member(e, "exceeded-ns");
        g_assert_cmpint(exceeded_ns, >=, SECOND_NS - DEADLINE_NS);
        g_assert_cmpint(exceeded_ns, <, 60 * SECOND_NS);
        g_assert_true(json_object_get_boolean_member(e, "late-at-departure"));
        unwatch(w);
        bed_end(&bed);
    }
}

/* The first one at once, then one a second, and none is lost. */
static void test_counts(void)
{
    Bed bed = bed_new();
    Watcher *w = watch(&bed);
    gint64 first_us;

    miss(&bed, 3, 3);
    events_look(bed.events);
    first_us = g_get_monotonic_time();
    g_assert_cmpint(next_count(w), ==, 3);
    miss(&bed, 2, 5);
    events_look(bed.events);
    miss(&bed, 5, 10);
    events_look(bed.events);
    if (g_get_monotonic_time() - first_us < G_USEC_PER_SEC) {
        g_assert_cmpint(next_count(w), ==, 0);
        bed_wait(was_told, w, "an event");
        g_assert_cmpint(g_get_monotonic_time() - first_us, >=,
                        G_USEC_PER_SEC);
        g_assert_cmpint(next_count(w), ==, 7);
    }
    g_assert_cmpint(next_count(w), ==, 0);
    unwatch(w);
    bed_end(&bed);
}

/* Each watcher hears of what was missed since it came, and of all of that. */
static void test_counts_of_two(void)
{
    Bed bed = bed_new();
    Watcher *w, *later, *last;

    miss(&bed, 4, 4);
    w = watch(&bed);
    miss(&bed, 3, 7);
    later = watch(&bed);
    g_assert_cmpint(next_count(w), ==, 3);
    miss(&bed, 2, 9);
    last = watch(&bed);
    g_assert_cmpint(next_count(later), ==, 2);
    /* Resetting counters makes none unheard of. */
    switch_reset_counters(bed.sw, NULL);
    wait_for_misses(&bed, 0);
    remove_port(&bed, "b");
    g_assert_cmpint(next_count(w), ==, 2);
    g_assert_cmpint(next_count(w), ==, 0);
    g_assert_cmpint(next_count(later), ==, 0);
    g_assert_cmpint(next_count(last), ==, 0);
    unwatch(w);
    unwatch(later);
    unwatch(last);
    bed_end(&bed);
}

static bool has_missed_any(void *opaque)
{
    const Bed *bed = opaque;
    RtEndpoint ep;

    switch_port_endpoint(bed->sw, switch_find_port(bed->sw, "b"), &ep);
    return ep.n.missed_pkts > 0;
}

/* A port that goes while frames leave by it: what was missed before is what was
 * told. */
static void test_last_words(void)
{
    for (unsigned round = 0; round < 20; round++) {
        Bed bed = bed_new();
        Watcher *w = watch(&bed);
        PortCounters counters;
        int64_t told = 0;
        unsigned id;

        bed_set(bed.sw, "b", "rtvnic=on rate-pps=5k");
        id = switch_find_port(bed.sw, "b")->id;
        for (unsigned i = 0; i < 50; i++) {
            send_late(&bed, 4);
        }
        bed_wait(has_missed_any, &bed, "the first one");
        w->slow = true;
        remove_port(&bed, "b");
        while (w->told.length > 0) {
            told += next_count(w);
        }
        switch_sum_counters(bed.sw, id, &counters);
        g_assert_cmpint(told, ==, counters.egress_pkts);
        unwatch(w);
        bed_end(&bed);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/vus-events/ports", test_ports);
    g_test_add_func("/vus-events/broken", test_broken);
    g_test_add_func("/vus-events/tenants", test_tenants);
    g_test_add_func("/vus-events/domains", test_domains);
    g_test_add_func("/vus-events/by-itself", test_by_itself);
    g_test_add_func("/vus-events/miss", test_miss);
    g_test_add_func("/vus-events/counts", test_counts);
    g_test_add_func("/vus-events/counts-of-two", test_counts_of_two);
    g_test_add_func("/vus-events/last-words", test_last_words);
    return g_test_run();
}
