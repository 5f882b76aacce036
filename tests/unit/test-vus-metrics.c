/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What Prometheus reads: that it can, that numbers are right, and that the
 * dashboard asks for nothing else.
 *
 * Threads: single, beside the switch's workers.
 */
#include <math.h>
#include <string.h>

#include "methods-bed.h"
#include "metrics.h"

/* -- A small reader of the format ------------------------------------------ */

typedef struct Parsed {
    GHashTable *types;          /* metric: its type */
    GHashTable *samples;        /* "name{labels}": number, as text */
} Parsed;

static void parsed_free(Parsed *p)
{
    g_hash_table_unref(p->types);
    g_hash_table_unref(p->samples);
    g_free(p);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Parsed, parsed_free)

#define NAME "[a-zA-Z_:][a-zA-Z0-9_:]*"
#define LABEL NAME "=\"([^\"\\\\\n]|\\\\[\\\\n\"])*\""
#define SAMPLE "^(" NAME ")(\\{" LABEL "(," LABEL ")*\\})? (\\S+)$"

static char *group_of(const GMatchInfo *match, int group)
{
    return g_match_info_fetch(match, group);
}

/* Does a sample of that name belong to @metric? */
static bool is_of(const Parsed *p, const char *metric, const char *name)
{
    const char *type = g_hash_table_lookup(p->types, metric);

    if (g_strcmp0(type, "histogram")) {
        return !strcmp(metric, name);
    }
    return g_str_has_prefix(name, metric) &&
           (!strcmp(name + strlen(metric), "_bucket") ||
            !strcmp(name + strlen(metric), "_sum") ||
            !strcmp(name + strlen(metric), "_count"));
}

static void read_sample(Parsed *p, const char *line, const char *metric)
{
    static GRegex *sample;
    g_autoptr(GMatchInfo) match = NULL;
    g_autofree char *name = NULL, *labels = NULL, *number = NULL;
    char *end;

    if (!sample) {
        sample = g_regex_new(SAMPLE, 0, 0, NULL);
    }
    if (!g_regex_match(sample, line, 0, &match)) {
        g_error("no sample: '%s'", line);
    }
    name = group_of(match, 1);
    labels = group_of(match, 2);
    number = group_of(match, g_match_info_get_match_count(match) - 1);
    if (!metric || !is_of(p, metric, name)) {
        g_error("'%s' is not of metric '%s'", line, metric);
    }
    g_assert_true(isfinite(g_ascii_strtod(number, &end)) && !*end);
    if (!g_hash_table_insert(p->samples, g_strconcat(name, labels, NULL),
                             g_strdup(number))) {
        g_error("'%s' is there twice", line);
    }
}

/* "# HELP NAME TEXT", "# TYPE NAME TYPE"; returns the name. */
static char *read_heading(Parsed *p, const char *help, const char *type)
{
    g_auto(GStrv) h = g_strsplit(help, " ", 4), t = g_strsplit(type, " ", -1);

    g_assert_cmpuint(g_strv_length(h), ==, 4);
    g_assert_cmpuint(g_strv_length(t), ==, 4);
    g_assert_cmpstr(h[1], ==, "HELP");
    g_assert_cmpstr(t[1], ==, "TYPE");
    g_assert_cmpstr(h[2], ==, t[2]);
    g_assert_null(strchr(h[3], '\\'));
    g_assert_true(g_str_has_suffix(h[3], "."));
    g_assert_cmpint(g_str_has_suffix(t[2], "_total"), ==,
                    !strcmp(t[3], "counter"));
    g_assert_true(g_strv_contains(
        (const char *const []) { "counter", "gauge", "histogram", NULL },
        t[3]));
    if (!g_hash_table_insert(p->types, g_strdup(t[2]), g_strdup(t[3]))) {
        g_error("'%s' has two headings", t[2]);
    }
    return g_strdup(t[2]);
}

static Parsed *read_text(const char *text)
{
    g_auto(GStrv) line = g_strsplit(text, "\n", -1);
    g_autofree char *metric = NULL;
    Parsed *p = g_new(Parsed, 1);
    unsigned i;

    p->types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    p->samples = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                       g_free);
    for (i = 0; line[i] && *line[i]; i++) {
        if (g_str_has_prefix(line[i], "# ")) {
            g_free(metric);
            metric = read_heading(p, line[i], line[i + 1]);
            i++;
        } else {
            read_sample(p, line[i], metric);
        }
    }
    /* The last line ends, too, and nothing comes behind. */
    g_assert_nonnull(line[i]);
    g_assert_null(line[i + 1]);
    return p;
}

static Parsed *scrape(Bed *bed)
{
    g_autofree char *text = metrics_text(&bed->context);

    return read_text(text);
}

static void expect_sample(const Parsed *p, const char *sample,
                          const char *number)
{
    const char *got = g_hash_table_lookup(p->samples, sample);

    if (g_strcmp0(got, number)) {
        g_error("%s is %s, not %s", sample, got, number);
    }
}

/* -- Numbers --------------------------------------------------------------- */

#define FRAME "ffffffffffff5254000000%s0800" \
    "4500002e000000004011000000000000000000000000000000000000000000000000" \
    "00000000000000000000000000"

static void send_from(Bed *bed, const char *port, const char *byte)
{
    g_autofree char *frame = g_strdup_printf(FRAME, byte);

    inject(bed, port, frame);
}

static Bed *bed_with_ports(void)
{
    Bed *bed = bed_new();

    g_free(result_of(bed, "tenant.set", "{\"name\":\"red\",\"settings\":"
                     "{\"tx-limit-bps\":\"1G\",\"guarantee-bps\":\"5M\"}}"));
    add_port(bed, "up", "\"type\":\"dummy\",\"rate-bps\":\"100M\","
             "\"uplink\":\"on\",\"queue-pkts\":50");
    add_port(bed, "nic", "\"type\":\"dummy\",\"rtvnic\":\"on\","
             "\"deadline-us\":1500,\"period-us\":1000,\"tenant\":\"red\"");
    add_dummy(bed, "a.b-c_d");
    return bed;
}

static void test_empty(void)
{
    Bed *bed = bed_new();
    g_autoptr(Parsed) p = scrape(bed);

    expect_sample(p, "vus_build_info{version=\"" VUS_VERSION "\"}", "1");
    expect_sample(p, "vus_fdb_addresses{kind=\"learned\"}", "0");
    expect_sample(p, "vus_fdb_addresses_max", "8192");
    bed_free(bed);
}

static void test_ports(void)
{
    Bed *bed = bed_with_ports();
    g_autoptr(Parsed) p = NULL, later = NULL;

    send_from(bed, "a.b-c_d", "01");
    send_from(bed, "a.b-c_d", "01");
    inject(bed, "a.b-c_d", "ffffffffffffff54000000010800");
    p = scrape(bed);
    expect_sample(p, "vus_port_info{port=\"nic\",type=\"dummy\","
                  "tenant=\"red\"}", "1");
    expect_sample(p, "vus_port_info{port=\"up\",type=\"dummy\",tenant=\"\"}",
                  "1");
    expect_sample(p, "vus_port_ready{port=\"a.b-c_d\"}", "1");
    expect_sample(p, "vus_port_ingress_pkts_total{port=\"a.b-c_d\"}", "3");
    expect_sample(p, "vus_port_ingress_bytes_total{port=\"a.b-c_d\"}", "136");
    expect_sample(p, "vus_port_egress_pkts_total{port=\"a.b-c_d\"}", "0");
    expect_sample(p, "vus_port_drops_total{port=\"a.b-c_d\","
                  "reason=\"bad-source\"}", "1");
    expect_sample(p, "vus_port_drops_total{port=\"up\","
                  "reason=\"bad-source\"}", "0");
    expect_sample(p, "vus_worker_polls_total{worker=\"1\"}", NULL);
    expect_sample(p, "vus_fdb_addresses{kind=\"learned\"}", "1");
    g_free(result_of(bed, "stats.reset", "{}"));
    g_free(result_of(bed, "fdb.set", "{\"mac\":\"52:54:00:00:00:09\","
                     "\"port\":\"up\"}"));
    later = scrape(bed);
    expect_sample(later, "vus_port_ingress_pkts_total{port=\"a.b-c_d\"}", "0");
    expect_sample(later, "vus_fdb_addresses{kind=\"fixed\"}", "1");
    bed_free(bed);
}

static void test_links_and_tenants(void)
{
    Bed *bed = bed_with_ports();
    g_autoptr(Parsed) p = scrape(bed);
    g_autoptr(JsonObject) answer = call(bed, "qos.links", "{}");
    JsonObject *link = json_array_get_object_element(
        json_object_get_array_member(
            json_object_get_object_member(answer, "result"), "links"), 0);
    g_autofree char *promised = NULL;

    for (unsigned i = 1; strcmp(json_object_get_string_member(link, "name"),
                                "up"); i++) {
        link = json_array_get_object_element(json_object_get_array_member(
            json_object_get_object_member(answer, "result"), "links"), i);
    }
    g_assert_cmpint(json_object_get_int_member(link, "promised-ppm"), >, 0);
    promised = g_strdup_printf("%d", (int)json_object_get_int_member(
        link, "promised-ppm"));
    expect_sample(p, "vus_link_promised_ppm{port=\"up\"}", promised);
    expect_sample(p, "vus_link_rate_bps{port=\"up\"}", "100000000");
    expect_sample(p, "vus_link_queue_pkts{port=\"up\"}", "50");
    expect_sample(p, "vus_link_waiting_pkts{port=\"up\"}", "0");
    expect_sample(p, "vus_link_rate_bps{port=\"a.b-c_d\"}", NULL);
    expect_sample(p, "vus_tenant_ports{tenant=\"red\"}", "1");
    expect_sample(p, "vus_tenant_limited{tenant=\"red\"}", "0");
    expect_sample(p, "vus_tenant_guarantee_bps{tenant=\"red\"}", "5000000");
    expect_sample(p, "vus_tenant_tx_limit_bps{tenant=\"red\"}", "1000000000");
    bed_free(bed);
}

/* -- Deadlines ------------------------------------------------------------- */

static double number_of(const Parsed *p, const char *format, const char *le)
{
    g_autofree char *sample = g_strdup_printf(format, le);
    const char *number = g_hash_table_lookup(p->samples, sample);

    if (!number) {
        g_error("%s is missing", sample);
    }
    return g_ascii_strtod(number, NULL);
}

#define QUEUEING "vus_deadline_queueing_seconds"

static void test_deadlines(void)
{
    static const char *const le[] = {
        "0.000001023", "0.000008191", "0.000016383", "0.001048575",
        "0.016777215", "0.134217727", "1.073741823", "+Inf",
    };
    Bed *bed = bed_with_ports();
    g_autoptr(Parsed) p = NULL;
    double before = 0, sum;

    for (unsigned i = 0; i < 20; i++) {
        send_from(bed, "nic", "02");
    }
    g_usleep(50000);
    p = scrape(bed);
    expect_sample(p, "vus_deadline_contract_seconds{port=\"nic\"}",
                  "0.001500000");
    /* To two ports each. */
    expect_sample(p, "vus_deadline_sent_total{port=\"nic\"}", "40");
    expect_sample(p, "vus_deadline_drops_total{port=\"nic\",reason=\"late\"}",
                  "0");
    expect_sample(p, "vus_deadline_sent_total{port=\"a.b-c_d\"}", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(le); i++) {
        double now = number_of(p, QUEUEING "_bucket{port=\"nic\",le=\"%s\"}",
                               le[i]);

        g_assert_cmpfloat(now, >=, before);
        before = now;
    }
    g_assert_cmpfloat(before, ==, 40);
    expect_sample(p, QUEUEING "_count{port=\"nic\"}", "40");
    sum = number_of(p, QUEUEING "_sum{port=\"%s\"}", "nic");
    g_assert_cmpfloat(sum, >, 0);
    g_assert_cmpfloat(sum, <, 40);
    bed_free(bed);
}

/* -- Size ------------------------------------------------------------------ */

/* All ports that there can be, with a link and a deadline each. */
static void test_full(void)
{
    Bed *bed = bed_new();
    g_autofree char *text = NULL;
    g_autoptr(Parsed) p = NULL;
    int64_t took_us;

    for (unsigned i = 0; i < SWITCH_MAX_PORTS; i++) {
        g_autofree char *name = g_strdup_printf("port-%u", i);

        add_port(bed, name, "\"type\":\"dummy\",\"rtvnic\":\"on\","
                 "\"rate-bps\":\"10G\",\"deadline-us\":900000");
    }
    /* Each contract is checked at each link: a few are enough. */
    for (unsigned i = 0; i < 8; i++) {
        g_autofree char *params = g_strdup_printf(
            "{\"name\":\"port-%u\",\"settings\":{\"period-us\":%u}}", i,
            1000000 + i);

        g_free(result_of(bed, "port.set", params));
    }
    took_us = g_get_monotonic_time();
    text = metrics_text(&bed->context);
    took_us = g_get_monotonic_time() - took_us;
    p = read_text(text);
    g_test_message("%zu bytes in %d us", strlen(text), (int)took_us);
    g_assert_cmpuint(strlen(text), <, 4 << 20);
    bed_free(bed);
}

/* -- The dashboard --------------------------------------------------------- */

static char *dashboard_text(void)
{
    g_autofree char *path = g_test_build_filename(
        G_TEST_BUILT, "..", "..", "contrib", "vhost-user-shmem",
        "grafana-dashboard.json", NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

/* A histogram is asked for by its buckets. */
static bool is_metric(const Parsed *p, const char *name)
{
    g_autofree char *metric = g_str_has_suffix(name, "_bucket")
        ? g_strndup(name, strlen(name) - strlen("_bucket")) : g_strdup(name);
    const char *type = g_hash_table_lookup(p->types, metric);

    return type && !strcmp(type, "histogram") == !!strcmp(metric, name);
}

static unsigned check_expression(const Parsed *p, const char *expr)
{
    g_autoptr(GRegex) name = g_regex_new("vus_[a-z0-9_]+", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    unsigned n = 0;

    for (g_regex_match(name, expr, 0, &match); g_match_info_matches(match);
         g_match_info_next(match, NULL)) {
        g_autofree char *metric = group_of(match, 0);

        if (!is_metric(p, metric)) {
            g_error("the dashboard asks for %s, which does not exist", metric);
        }
        n++;
    }
    return n;
}

static void test_dashboard(void)
{
    Bed *bed = bed_with_ports();
    g_autoptr(Parsed) p = scrape(bed);
    g_autofree char *text = dashboard_text();
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = json_from_string(text, &error);
    g_autoptr(GHashTable) ids = g_hash_table_new(NULL, NULL);
    unsigned graphs = 0;
    JsonArray *panels;

    g_assert_no_error(error);
    panels = json_object_get_array_member(json_node_get_object(node),
                                          "panels");
    for (unsigned i = 0; i < json_array_get_length(panels); i++) {
        JsonObject *panel = json_array_get_object_element(panels, i);
        JsonArray *targets;

        g_assert_true(g_hash_table_add(ids, GINT_TO_POINTER(
            (int)json_object_get_int_member(panel, "id"))));
        g_assert_true(*json_object_get_string_member(panel, "title"));
        if (!strcmp(json_object_get_string_member(panel, "type"), "row")) {
            continue;
        }
        graphs++;
        targets = json_object_get_array_member(panel, "targets");
        g_assert_cmpuint(json_array_get_length(targets), >, 0);
        for (unsigned k = 0; k < json_array_get_length(targets); k++) {
            g_assert_cmpuint(check_expression(
                p, json_object_get_string_member(
                    json_array_get_object_element(targets, k), "expr")),
                >, 0);
        }
    }
    g_assert_cmpuint(graphs, >=, 8);
    /* Variables ask for some, too. */
    g_assert_cmpuint(check_expression(p, text), >, graphs);
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-metrics/empty", test_empty);
    g_test_add_func("/vus-metrics/ports", test_ports);
    g_test_add_func("/vus-metrics/links-and-tenants", test_links_and_tenants);
    g_test_add_func("/vus-metrics/deadlines", test_deadlines);
    g_test_add_func("/vus-metrics/full", test_full);
    g_test_add_func("/vus-metrics/dashboard", test_dashboard);
    return g_test_run();
}
