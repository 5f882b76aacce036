/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tenants, domains, links, limits and deadlines over the control socket's
 * methods.
 *
 * Threads: this is the control thread; the switch's worker serves links.
 */
#include <string.h>

#include <glib/gstdio.h>

#include "methods-bed.h"
#include "metrics.h"
#include "netvm/domain.h"
#include "port.h"
#include "rtnet/rt-endpoint.h"

#define MAC_A "525400000001"
#define MAC_B "525400000002"
#define MAC_UP "525400000003"
#define IPV4_28 "08004500001c0000000040110000c0000201c00002020007000700080000"

#define DUMMY "\"type\":\"dummy\""
#define UPLINK DUMMY ",\"rate-bps\":\"100M\",\"uplink\":\"on\""
#define VOICE DUMMY ",\"rtvnic\":\"on\",\"deadline-us\":2000," \
    "\"period-us\":5000,\"max-frame-bytes\":300"

#define WAIT_S 30

/* -- Tenants --------------------------------------------------------------- */

static void test_tenants(void)
{
    Bed *bed = bed_new();

    expect(bed, "tenant.list", "{}", "[]");
    expect(bed, "tenant.set", "{\"name\":\"red\",\"settings\":{"
           "\"tx-limit-bps\":\"2.5M\",\"guarantee-pps\":7}}",
           "{\"name\":\"red\",\"settings\":{\"tx-limit-bps\":\"2500k\","
           "\"guarantee-pps\":\"7\"},\"limited\":false,\"ports\":[]}");
    add_port(bed, "a", DUMMY ",\"tenant\":\"red\"");
    add_port(bed, "b", DUMMY ",\"tenant\":\"red\"");
    add_dummy(bed, "c");
    /* What is not mentioned stays. */
    expect_part(bed, "tenant.set", "{\"name\":\"red\",\"settings\":{"
                "\"tx-limit-bps\":null,\"tx-limit-pps\":1000}}",
                "\"settings\":{\"tx-limit-pps\":\"1k\",\"guarantee-pps\":"
                "\"7\"},\"limited\":false,\"ports\":[\"a\",\"b\"]}");
    g_free(result_of(bed, "tenant.set", "[\"blue\",{}]"));
    expect_part(bed, "tenant.list", "{}", "},{\"name\":\"blue\",\"settings\":"
                "{},\"limited\":false,\"ports\":[]}]");
    expect_part(bed, "config.get", "{}", "[tenant red]\\nguarantee-bps=0\\n"
                "tx-limit-pps=1k\\nguarantee-pps=7\\n\\n[tenant blue]\\n");
    expect(bed, "tenant.remove", "[\"blue\"]", "true");
    expect(bed, "port.remove", "[\"a\"]", "true");
    g_free(result_of(bed, "port.set", "{\"name\":\"b\",\"settings\":{"
                     "\"tenant\":null}}"));
    expect(bed, "tenant.remove", "[\"red\"]", "true");
    expect(bed, "tenant.list", "{}", "[]");
    bed_free(bed);
}

/* What is refused changes nothing. */
static void test_wrong_tenants(void)
{
    Bed *bed = bed_new();
    g_autofree char *before = NULL;

    add_port(bed, "up", UPLINK);
    g_free(result_of(bed, "tenant.set", "[\"red\",{\"guarantee-bps\":"
                     "\"60M\"}]"));
    add_port(bed, "a", DUMMY ",\"tenant\":\"red\",\"guarantee-bps\":\"1M\"");
    before = result_of(bed, "config.get", "{}");
    expect_error(bed, "tenant.set", "[\"-\",{}]", RPC_ERROR_PARAMS,
                 "cannot be the name");
    expect_error(bed, "tenant.set", "[\"t\",{\"vlan\":5}]", RPC_ERROR_PARAMS,
                 "a tenant has no setting 'vlan'");
    expect_error(bed, "tenant.set", "[\"t\",{\"tx-limit-bps\":\"x\"}]",
                 RPC_ERROR_PARAMS, "tx-limit-bps=x: 'x' is not a rate");
    expect_error(bed, "tenant.set", "[\"t\",{\"tx-limit-bps\":true}]",
                 RPC_ERROR_PARAMS, "'tx-limit-bps' has to be a string");
    expect_error(bed, "tenant.set", "[\"blue\",{\"guarantee-bps\":\"41M\"}]",
                 RPC_ERROR_SETTINGS, "port up cannot give all guarantees: "
                 "they are 101M bit/s together");
    expect_error(bed, "tenant.set", "[\"red\",{\"guarantee-bps\":\"0.5M\"}]",
                 RPC_ERROR_SETTINGS, "its own is 500k");
    expect_error(bed, "tenant.remove", "[\"blue\"]", RPC_ERROR_NO_TENANT,
                 "there is no tenant 'blue'");
    expect_error(bed, "tenant.remove", "[\"red\"]", RPC_ERROR_SETTINGS,
                 "port a is tenant red's");
    expect_error(bed, "port.add", "[\"b\",{" DUMMY ",\"tenant\":\"blue\"}]",
                 RPC_ERROR_SETTINGS, "there is no tenant 'blue'");
    expect_error(bed, "port.set", "[\"a\",{\"guarantee-bps\":\"61M\"}]",
                 RPC_ERROR_SETTINGS, "are 61M together, its own is 60M");
    expect(bed, "config.get", "{}", before);
    bed_free(bed);
}

static void test_many_tenants(void)
{
    Bed *bed = bed_new();

    for (unsigned i = 0; i < SWITCH_MAX_TENANTS; i++) {
        g_autofree char *params = g_strdup_printf("[\"t%u\",{}]", i);

        g_free(result_of(bed, "tenant.set", params));
    }
    expect_error(bed, "tenant.set", "[\"u\",{}]", RPC_ERROR_SETTINGS,
                 "65 tenants are too many");
    expect(bed, "tenant.remove", "[\"t5\"]", "true");
    g_free(result_of(bed, "tenant.set", "[\"u\",{}]"));
    bed_free(bed);
}

/* -- Domains --------------------------------------------------------------- */

static Domain *domain_of(Bed *bed, const char *name)
{
    return switch_find_domain(bed->context.sw, name);
}

#define SMALL "\"pages\":\"ordinary\",\"members\":3,\"ring\":64"

static void test_domains(void)
{
    Bed *bed = bed_new();
    g_autofree char *dir = g_dir_make_tmp("vus-methods-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "a.sock", NULL);
    g_autofree char *netvm = g_strdup_printf(
        "\"type\":\"netvm\",\"domain\":\"red\",\"socket\":\"%s\"", path);
    g_autofree char *wrong = g_strdup_printf("[\"b\",{%s}]", netvm);

    expect(bed, "domain.list", "{}", "[]");
    expect_error(bed, "port.add", wrong, RPC_ERROR_SETTINGS, "port b: there "
                 "is no domain 'red': add [domain red] (vusctl domain set)");
    expect_part(bed, "domain.set", "[\"red\",{\"buffers\":64," SMALL "}]",
                "{\"name\":\"red\",\"settings\":{\"buffers\":\"64\","
                "\"ring\":\"64\",\"members\":\"3\",\"pages\":"
                "\"ordinary\"},\"memory-bytes\":2097152,\"segments\":["
                "{\"bytes\":2097152,\"buffers\":");
    expect_part(bed, "domain.list", "[\"red\"]", ",\"huge\":false,"
                "\"used\":true}],");
    add_port(bed, "a", netvm);
    expect_part(bed, "domain.list", "{}", "\"reclaimed-buffers\":0,"
                "\"quarantines\":0,\"ports\":[\"a\"],\"nics\":[],"
                "\"direct-macs\":0,\"members-max\":3,\"members\":[]}]");
    /* What is not mentioned stays, and what is asked for is there. */
    expect_part(bed, "domain.set", "[\"red\",{\"buffers\":5000}]",
                "\"members\":\"3\",\"pages\":\"ordinary\"},");
    expect_part(bed, "config.get", "{}", "[domain red]\\ndirect=on\\n"
                "buffers=5000\\nring=64\\nmembers=3\\npages=ordinary\\n");
    g_assert_cmpuint(domain_of(bed, "red")->region->segments, ==, 2);
    g_assert_cmpuint(domain_of(bed, "red")->buffers, >=, 5000);
    expect_error(bed, "domain.remove", "[\"red\"]", RPC_ERROR_SETTINGS,
                 "domain red has ports (1): remove them first");
    expect(bed, "port.remove", "[\"a\"]", "true");
    expect(bed, "domain.remove", "[\"red\"]", "true");
    expect(bed, "domain.list", "{}", "[]");
    bed_free(bed);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

/* What is refused changes nothing. */
static void test_wrong_domains(void)
{
    Bed *bed = bed_new();
    g_autofree char *before = NULL;

    g_free(result_of(bed, "domain.set", "[\"red\",{" SMALL "}]"));
    before = result_of(bed, "domain.list", "{}");
    expect_error(bed, "domain.set", "[\"-\",{}]", RPC_ERROR_PARAMS,
                 "cannot be the name");
    expect_error(bed, "domain.set", "[\"blue\",{\"vlan\":5}]",
                 RPC_ERROR_PARAMS, "a domain has no setting 'vlan'");
    expect_error(bed, "domain.set", "[\"blue\",{\"ring\":100}]",
                 RPC_ERROR_PARAMS, "ring=100: it has to be a power of two");
    expect_error(bed, "domain.set", "[\"red\",{\"direct\":true}]",
                 RPC_ERROR_PARAMS, "'direct' has to be a string");
    expect_error(bed, "domain.set", "[\"red\",{\"direct\":\"off\"}]",
                 RPC_ERROR_SETTINGS, "domain red: direct= is fixed while the "
                 "domain lives");
    expect_error(bed, "domain.set", "[\"red\",{\"buffers\":64}]",
                 RPC_ERROR_SETTINGS, "domain red: buffers=64: memory that "
                 "members have cannot be taken back; there are 8192");
    expect_error(bed, "domain.remove", "[\"blue\"]", RPC_ERROR_NO_DOMAIN,
                 "there is no domain 'blue'");
    expect_error(bed, "domain.list", "[\"blue\"]", RPC_ERROR_NO_DOMAIN,
                 "there is no domain 'blue'");
    expect(bed, "domain.list", "{}", before);
    bed_free(bed);
}

static DomainMember *join(Bed *bed, const char *port)
{
    g_autoptr(GError) error = NULL;
    Port *p = switch_find_port(bed->context.sw, port);
    DomainMember *m = domain_join(domain_of(bed, "red"), p->id, port, &error);

    g_assert_no_error(error);
    return m;
}

/* As the daemon does with free buffers. */
static void give_buffer(Domain *d, DomainMember *m)
{
    struct netvm_desc desc = { .action = NETVM_DROP };

    pthread_mutex_lock(&d->lock);
    desc.buffer = domain_pool_get(d);
    netvm_sender_put(&m->fill, &d->region->map, &desc);
    netvm_sender_publish(&m->fill, 1);
    pthread_mutex_unlock(&d->lock);
}

static void wait_for_part(Bed *bed, const char *part)
{
    for (;;) {
        g_autofree char *text = result_of(bed, "domain.list", "{}");

        if (strstr(text, part)) {
            return;
        }
        g_main_context_iteration(NULL, true);
    }
}

static void expect_metric(Bed *bed, const char *sample)
{
    g_autofree char *text = metrics_text(&bed->context);
    g_autofree char *line = g_strdup_printf("\n%s\n", sample);

    if (!strstr(text, line)) {
        g_error("metrics lack '%s'", sample);
    }
}

/* Who is there and who leaves, what they own, and what they say of it. */
static void test_members(void)
{
    Bed *bed = bed_new();
    DomainMember *a, *b;
    Domain *d;

    g_free(result_of(bed, "domain.set", "[\"red\",{" SMALL "}]"));
    d = domain_of(bed, "red");
    add_dummy(bed, "x");
    add_dummy(bed, "y");
    a = join(bed, "x");
    b = join(bed, "y");
    domain_attach(d, a);
    give_buffer(d, b);
    expect_part(bed, "domain.list", "{}", "\"members\":[{\"number\":1,"
                "\"state\":\"attached\",\"serial\":1,\"port\":\"x\","
                "\"stats\":{\"rx-pkts\":0,\"rx-bytes\":0,");
    expect_part(bed, "domain.list", "{}", "},{\"number\":2,\"state\":"
                "\"joined\",\"serial\":2,\"port\":\"y\",");
    expect_not(bed, "domain.list", "{}", "owned-buffers");
    expect_part(bed, "domain.list", "{\"owned\":true}",
                "\"owned-buffers\":0},");
    expect_part(bed, "domain.list", "{\"owned\":true}",
                "\"owned-buffers\":1}]");
    /* A member can say anything. */
    netvm_write(&b->stats->rx_pkts, UINT64_MAX);
    netvm_write(&b->stats->bad_descs, 7);
    expect_part(bed, "domain.list", "{}", "{\"rx-pkts\":999999999999999999,");
    expect_part(bed, "domain.list", "{}", "\"bad-descs\":7}");
    /* One that left and was not seen to do so. */
    domain_attach(d, b);
    netvm_write(&a->shown->epoch_seen, 0);
    domain_leave(d, b);
    expect_part(bed, "domain.list", "{}", "{\"number\":2,\"state\":"
                "\"leaving\",\"serial\":2,\"unseen\":[1],\"stats\":{");
    wait_for_part(bed, "\"state\":\"quarantine\"");
    expect_part(bed, "domain.list", "{}", "\"reclaimed-buffers\":1,"
                "\"quarantines\":1,");
    expect_part(bed, "domain.list", "{}", "\"unseen\":[1],");
    expect_metric(bed, "vus_domain_members{domain=\"red\"} 2");
    expect_metric(bed, "vus_domain_reclaimed_buffers_total{domain=\"red\"} 1");
    expect_metric(bed, "vus_domain_quarantines_total{domain=\"red\"} 1");
    netvm_write(&a->shown->epoch_seen, NETVM_EPOCH_IDLE);
    domain_leave(d, a);
    wait_for_part(bed, "\"members\":[]}]");
    bed_free(bed);
}

/* -- Links ----------------------------------------------------------------- */

static void test_links(void)
{
    Bed *bed = bed_new();

    expect(bed, "qos.links", "{}", "{\"links\":[],\"limits\":[]}");
    add_port(bed, "up", UPLINK);
    expect(bed, "qos.links", "{}", "{\"links\":[{\"name\":\"up\",\"rate-bps\":"
           "100000000,\"rate-pps\":0,\"policy\":\"edf\",\"queue-pkts\":1024,"
           "\"waiting-pkts\":0,\"promised-ppm\":0,\"guaranteed-bps\":0,"
           "\"guaranteed-pps\":0,\"contracts\":[]}],\"limits\":[]}");
    /* 300 bytes, a trailer, 24 of the link: 356 each 5 ms are 0.57 %. */
    add_port(bed, "voice", VOICE);
    expect_part(bed, "qos.links", "{}", "\"promised-ppm\":5696,");
    /* Up to one long frame (1546 bytes, 123.68 us), 100 us by the host and 5
     * us of pacing. */
    expect_part(bed, "qos.links", "{}", "\"contracts\":[{\"port\":\"voice\","
                "\"deadline-us\":2000,\"period-us\":5000,\"delay-bound-ns\":"
                "228680}]}");
    expect_part(bed, "qos.links", "{\"bounds\":false}", "\"contracts\":[{"
                "\"port\":\"voice\",\"deadline-us\":2000,\"period-us\":"
                "5000}]}");
    /* A link does not carry what its own port sends. */
    add_port(bed, "slow", VOICE ",\"rate-bps\":\"10M\"");
    expect_part(bed, "qos.links", "{}", "{\"name\":\"slow\",\"rate-bps\":"
                "10000000,\"rate-pps\":0,\"policy\":\"edf\",\"queue-pkts\":"
                "1024,\"waiting-pkts\":0,\"promised-ppm\":56960,");
    expect(bed, "port.remove", "[\"slow\"]", "true");
    /* An rtvnic has a queue, which is no link. */
    expect_part(bed, "qos.links", "{}", "{\"name\":\"voice\",\"rate-bps\":0,"
                "\"rate-pps\":0,\"policy\":\"edf\",\"queue-pkts\":1024,"
                "\"waiting-pkts\":0,\"promised-ppm\":0,\"guaranteed-bps\":0,"
                "\"guaranteed-pps\":0,\"contracts\":[]}");
    bed_free(bed);
}

/* What waits for its tenant's link as well is promised nothing. */
static void test_link_of_tenant(void)
{
    Bed *bed = bed_new();

    g_free(result_of(bed, "tenant.set", "[\"red\",{\"rx-limit-pps\":5}]"));
    add_port(bed, "up", UPLINK);
    add_port(bed, "in", DUMMY ",\"rate-bps\":\"50M\",\"tenant\":\"red\"");
    add_port(bed, "voice", VOICE);
    expect_part(bed, "qos.links", "{}", "{\"name\":\"in\",\"rate-bps\":"
                "50000000,\"rate-pps\":0,\"policy\":\"edf\","
                "\"queue-pkts\":1024,\"waiting-pkts\":0,\"promised-ppm\":0,"
                "\"guaranteed-bps\":0,\"guaranteed-pps\":0,\"contracts\":"
                "[]}");
    bed_free(bed);
}

/* A tenant's own guarantee stands for those of its ports; the link's own port
 * sends nothing by it. */
static void test_guarantees(void)
{
    Bed *bed = bed_new();

    g_free(result_of(bed, "tenant.set", "[\"red\",{\"guarantee-bps\":"
                     "\"10M\"}]"));
    g_free(result_of(bed, "tenant.set", "[\"blue\",{}]"));
    add_port(bed, "up", UPLINK ",\"guarantee-bps\":\"90M\"");
    add_port(bed, "a", DUMMY ",\"tenant\":\"red\",\"guarantee-bps\":\"1M\"");
    add_port(bed, "b", DUMMY ",\"tenant\":\"blue\",\"guarantee-bps\":\"2M\","
             "\"guarantee-pps\":30");
    add_port(bed, "c", DUMMY ",\"guarantee-bps\":\"4M\",\"guarantee-pps\":5");
    expect_part(bed, "qos.links", "{}", "\"guaranteed-bps\":16000000,"
                "\"guaranteed-pps\":35,");
    /* There are none under another policy. */
    g_free(result_of(bed, "port.set", "[\"up\",{\"policy\":\"fifo\"}]"));
    expect_part(bed, "qos.links", "{}", "\"policy\":\"fifo\",\"queue-pkts\":"
                "1024,\"waiting-pkts\":0,\"promised-ppm\":0,"
                "\"guaranteed-bps\":0,\"guaranteed-pps\":0,");
    bed_free(bed);
}

/* As many bits per second as a frame has in an hour: the second one waits. */
static void test_waiting(void)
{
    Bed *bed = bed_new();

    add_port(bed, "up", DUMMY ",\"rate-bps\":1");
    add_dummy(bed, "a");
    for (unsigned i = 0; i < 5; i++) {
        inject(bed, "a", MAC_UP MAC_A IPV4_28);
    }
    /* The first one has left, or is about to. */
    for (gint64 end_us = g_get_monotonic_time() + WAIT_S * G_USEC_PER_SEC;;) {
        g_autofree char *links = result_of(bed, "qos.links", "{}");

        if (strstr(links, "\"waiting-pkts\":4,")) {
            break;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
    }
    bed_free(bed);
}

static void test_limits(void)
{
    Bed *bed = bed_new();

    g_free(result_of(bed, "tenant.set", "[\"red\",{\"tx-limit-bps\":\"1\"}]"));
    g_free(result_of(bed, "tenant.set", "[\"blue\",{}]"));
    add_port(bed, "a", DUMMY ",\"tenant\":\"red\"");
    add_port(bed, "b", DUMMY ",\"tx-limit-bps\":\"9M\",\"tx-limit-pps\":\"1\"");
    add_dummy(bed, "c");
    expect_part(bed, "qos.links", "{}", "\"limits\":[{\"tenant\":\"red\","
                "\"tx-limit-bps\":1,\"tx-limit-pps\":0,\"limited\":false},"
                "{\"port\":\"b\",\"tx-limit-bps\":9000000,\"tx-limit-pps\":1,"
                "\"limited\":false}]");
    inject(bed, "a", MAC_UP MAC_A IPV4_28);
    expect_part(bed, "qos.links", "{}", "\"limits\":[{\"tenant\":\"red\","
                "\"tx-limit-bps\":1,\"tx-limit-pps\":0,\"limited\":true},"
                "{\"port\":\"b\",\"tx-limit-bps\":9000000,\"tx-limit-pps\":1,"
                "\"limited\":false}]");
    expect_part(bed, "tenant.list", "{}", "\"limited\":true,\"ports\":"
                "[\"a\"]}");
    inject(bed, "b", MAC_UP MAC_B IPV4_28);
    expect_part(bed, "qos.links", "{}", "\"tx-limit-pps\":1,\"limited\":"
                "true}]");
    /* What comes nevertheless is counted. */
    inject(bed, "b", MAC_UP MAC_B IPV4_28);
    expect_part(bed, "stats", "[\"b\"]", "\"drops\":{\"tx-limit\":1}");
    bed_free(bed);
}

/* -- Deadlines ------------------------------------------------------------- */

#define NAMED(field, name, text) name,

static void test_deadlines(void)
{
    static const char *const counters[] = { RT_COUNTERS(NAMED) };
    static const char *const drops[] = { RT_DROPS(NAMED) };
    Bed *bed = bed_new();

    add_port(bed, "up", UPLINK ",\"trust\":\"rtvnic\"");
    add_port(bed, "voice", VOICE ",\"late\":\"drop\",\"source-id\":77");
    add_port(bed, "soft", DUMMY ",\"rtvnic\":\"on\",\"deadline-us\":9");
    add_dummy(bed, "plain");
    expect(bed, "qos.deadlines", "[\"plain\"]", "[]");
    expect_part(bed, "qos.deadlines", "[\"voice\"]", "[{\"name\":\"voice\","
                "\"rtvnic\":true,\"trust\":\"none\",\"band\":\"admitted\","
                "\"registered\":false,\"deadline-us\":2000,\"period-us\":5000,"
                "\"max-frame-bytes\":300,\"late\":\"drop\","
                "\"promised-delay-us\":229,\"source-id\":77,");
    expect_not(bed, "qos.deadlines", "[\"voice\",false]", "promised-delay");
    expect_part(bed, "qos.deadlines", "[\"soft\"]", "\"band\":\"deadline\",");
    expect_part(bed, "qos.deadlines", "{}", "[{\"name\":\"up\",\"rtvnic\":"
                "false,\"trust\":\"rtvnic\",\"band\":\"best-effort\",");
    for (unsigned i = 0; i < G_N_ELEMENTS(counters); i++) {
        g_autofree char *part = g_strdup_printf(
            "{\"name\":\"%s\",\"value\":0,\"meaning\":\"", counters[i]);

        expect_part(bed, "qos.deadlines", "[\"up\"]", part);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(drops); i++) {
        g_autofree char *part = g_strdup_printf(
            "{\"name\":\"%s\",\"value\":0,\"meaning\":\"", drops[i]);

        expect_part(bed, "qos.deadlines", "[\"up\"]", part);
    }
    expect_error(bed, "qos.deadlines", "[\"x\"]", RPC_ERROR_NO_PORT, "'x'");
    bed_free(bed);
}

static int64_t sent_by(Bed *bed, const char *port)
{
    g_autofree char *params = g_strdup_printf("[\"%s\",true,true]", port);
    g_autoptr(JsonObject) answer = call(bed, "qos.deadlines", params);
    JsonArray *ports = json_object_get_array_member(answer, "result");
    JsonObject *one = json_array_get_object_element(ports, 0);
    JsonObject *delay = json_object_get_object_member(one, "queueing-delay");
    JsonArray *buckets = json_object_get_array_member(delay, "buckets");
    JsonObject *sent = json_array_get_object_element(
        json_object_get_array_member(one, "counters"), 0);
    int64_t n = json_object_get_int_member(sent, "value"), sum = 0;
    int64_t last_ns = -1;

    for (unsigned i = 0; i < json_array_get_length(buckets); i++) {
        JsonObject *b = json_array_get_object_element(buckets, i);

        g_assert_cmpint(json_object_get_int_member(b, "count"), >, 0);
        g_assert_cmpint(json_object_get_int_member(b, "le-ns"), >, last_ns);
        last_ns = json_object_get_int_member(b, "le-ns");
        sum += json_object_get_int_member(b, "count");
    }
    g_assert_cmpint(sum, ==, n);
    g_assert_cmpstr(json_object_get_string_member(sent, "name"), ==, "sent");
    if (n == 0) {
        g_assert_cmpint(json_object_get_int_member(delay, "max-ns"), ==, 0);
    } else {
        int64_t p50_ns = json_object_get_int_member(delay, "p50-ns");
        int64_t p99_ns = json_object_get_int_member(delay, "p99-ns");
        int64_t p999_ns = json_object_get_int_member(delay, "p999-ns");
        int64_t max_ns = json_object_get_int_member(delay, "max-ns");

        g_assert_cmpint(json_object_get_int_member(delay, "count"), ==, n);
        g_assert_cmpint(p50_ns, >, 0);
        g_assert_cmpint(p50_ns, <=, p99_ns);
        g_assert_cmpint(p99_ns, <=, p999_ns);
        g_assert_cmpint(p999_ns, <=, max_ns);
        g_assert_cmpint(max_ns, <=, last_ns);
    }
    return n;
}

/* What is counted shows, and begins at zero again. */
static void test_counted(void)
{
    Bed *bed = bed_new();
    gint64 end_us = g_get_monotonic_time() + WAIT_S * G_USEC_PER_SEC;

    add_port(bed, "up", UPLINK);
    add_port(bed, "voice", VOICE);
    add_port(bed, "other", DUMMY ",\"rtvnic\":\"on\",\"deadline-us\":9000");
    expect(bed, "fdb.set", "{\"mac\":\"52:54:00:00:00:03\",\"port\":\"up\"}",
           "true");
    for (unsigned i = 0; i < 3; i++) {
        inject(bed, "voice", MAC_UP MAC_A IPV4_28);
    }
    inject(bed, "other", MAC_UP MAC_B IPV4_28);
    while (sent_by(bed, "voice") < 3 || sent_by(bed, "other") < 1) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
    }
    expect_part(bed, "qos.deadlines", "[\"voice\"]", "{\"name\":\"sent\","
                "\"value\":3,\"meaning\":\"left towards the backend\"}");
    expect(bed, "stats.reset", "[\"voice\"]", "true");
    g_assert_cmpint(sent_by(bed, "voice"), ==, 0);
    g_assert_cmpint(sent_by(bed, "other"), ==, 1);
    expect(bed, "stats.reset", "{}", "true");
    g_assert_cmpint(sent_by(bed, "other"), ==, 0);
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-methods-qos/tenants", test_tenants);
    g_test_add_func("/vus-methods-qos/wrong-tenants", test_wrong_tenants);
    g_test_add_func("/vus-methods-qos/many-tenants", test_many_tenants);
    g_test_add_func("/vus-methods-qos/domains", test_domains);
    g_test_add_func("/vus-methods-qos/wrong-domains", test_wrong_domains);
    g_test_add_func("/vus-methods-qos/members", test_members);
    g_test_add_func("/vus-methods-qos/links", test_links);
    g_test_add_func("/vus-methods-qos/link-of-tenant", test_link_of_tenant);
    g_test_add_func("/vus-methods-qos/guarantees", test_guarantees);
    g_test_add_func("/vus-methods-qos/waiting", test_waiting);
    g_test_add_func("/vus-methods-qos/limits", test_limits);
    g_test_add_func("/vus-methods-qos/deadlines", test_deadlines);
    g_test_add_func("/vus-methods-qos/counted", test_counted);
    return g_test_run();
}
