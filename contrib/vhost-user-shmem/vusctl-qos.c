/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tenants, links and deadlines.
 *
 * Threads: single.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "table.h"
#include "vusctl.h"

/* "2.5M", or what stands for none; the caller frees it. */
static char *rate(JsonObject *object, const char *name)
{
    int64_t value = vusctl_number(object, name);

    return value > 0 ? format_rate(value) : g_strdup("-");
}

/* -- Tenants --------------------------------------------------------------- */

static void show_tenants(JsonNode *result)
{
    g_autoptr(Table) t = table_new("TENANT", "", "", NULL);
    JsonArray *tenants = json_node_get_array(result);

    table_wrap(t, VUSCTL_COLUMNS);
    for (unsigned i = 0; i < vusctl_length(tenants); i++) {
        JsonObject *tenant = json_array_get_object_element(tenants, i);
        g_autofree char *settings = vusctl_settings_of(tenant);
        g_autofree char *joined = vusctl_join(tenant, "ports");
        g_auto(GStrv) port = g_strsplit(joined, ",", -1);
        g_autofree char *ports = g_strjoinv(" ", port);

        table_add(t, vusctl_string(tenant, "name"), "settings", settings);
        table_add(t, "", "ports", ports);
    }
    table_print(t);
}

bool vusctl_tenant(Vusctl *v, GError **error)
{
    const char *what = v->words > 0 ? v->word[0] : "list";

    if (!strcmp(what, "list") && v->words <= 1) {
        return vusctl_finish(v, vusctl_call(v, "tenant.list", NULL, error),
                             show_tenants);
    }
    return vusctl_set_or_remove(v, "tenant", "tenant [list]", error);
}

/* -- Links ----------------------------------------------------------------- */

static void add_link(Table *t, JsonObject *link)
{
    g_autofree char *bps = rate(link, "rate-bps");
    g_autofree char *pps = rate(link, "rate-pps");
    g_autofree char *guaranteed = rate(link, "guaranteed-bps");
    g_autofree char *waiting = VUSCTL_NUMBER(link, "waiting-pkts");
    g_autofree char *room = VUSCTL_NUMBER(link, "queue-pkts");
    g_autofree char *promised = g_strdup_printf(
        "%.2f %%", vusctl_number(link, "promised-ppm") / 1e4);

    table_add(t, vusctl_string(link, "name"), bps, pps,
              vusctl_string(link, "policy"), waiting, room, promised,
              guaranteed);
}

static void add_contracts(Table *t, JsonObject *link)
{
    JsonArray *contracts = vusctl_array(link, "contracts");

    for (unsigned i = 0; i < vusctl_length(contracts); i++) {
        JsonObject *c = json_array_get_object_element(contracts, i);
        g_autofree char *deadline = VUSCTL_NUMBER(c, "deadline-us");
        g_autofree char *period = VUSCTL_NUMBER(c, "period-us");
        g_autofree char *bound = g_strdup_printf(
            "%.1f", vusctl_number(c, "delay-bound-ns") / 1e3);

        table_add(t, vusctl_string(c, "port"), vusctl_string(link, "name"),
                  deadline, period, bound);
    }
}

static void add_limit(Table *t, JsonObject *limit)
{
    const char *port = vusctl_string(limit, "port");
    g_autofree char *bps = rate(limit, "tx-limit-bps");
    g_autofree char *pps = rate(limit, "tx-limit-pps");

    table_add(t, *port ? "port" : "tenant",
              *port ? port : vusctl_string(limit, "tenant"), bps, pps,
              vusctl_flag(limit, "limited") ? "waits" : "sends");
}

static void show_links(JsonNode *result)
{
    g_autoptr(Table) of_links = table_new(
        "LINK", ">BIT/S", ">FRAMES/S", "POLICY", ">WAITING", ">OF",
        ">PROMISED", ">GUARANTEED", NULL);
    g_autoptr(Table) of_contracts = table_new(
        "CONTRACT", "BY LINK", ">DEADLINE US", ">PERIOD US",
        ">WAITS AT MOST US", NULL);
    g_autoptr(Table) of_limits = table_new("LIMIT OF", "", ">BIT/S",
                                           ">FRAMES/S", "NOW IT", NULL);
    JsonArray *links = vusctl_array(json_node_get_object(result), "links");
    JsonArray *limits = vusctl_array(json_node_get_object(result), "limits");
    bool any = false;

    for (unsigned i = 0; i < vusctl_length(links); i++) {
        JsonObject *link = json_array_get_object_element(links, i);

        add_link(of_links, link);
        add_contracts(of_contracts, link);
        any |= vusctl_length(vusctl_array(link, "contracts")) > 0;
    }
    for (unsigned i = 0; i < vusctl_length(limits); i++) {
        add_limit(of_limits, json_array_get_object_element(limits, i));
    }
    table_print(of_links);
    if (any) {
        printf("\n");
        table_print(of_contracts);
    }
    if (vusctl_length(limits) > 0) {
        printf("\n");
        table_print(of_limits);
    }
}

bool vusctl_links(Vusctl *v, GError **error)
{
    return vusctl_finish(v, vusctl_call(v, "qos.links", NULL, error),
                         show_links);
}

/* -- Deadlines ------------------------------------------------------------- */

int64_t vusctl_deadline_counter(JsonObject *port, const char *name)
{
    JsonArray *counters = vusctl_array(port, "counters");

    for (unsigned i = 0; i < vusctl_length(counters); i++) {
        JsonObject *c = json_array_get_object_element(counters, i);

        if (!strcmp(vusctl_string(c, "name"), name)) {
            return vusctl_number(c, "value");
        }
    }
    return 0;
}

static void add_counts(Table *t, JsonObject *port)
{
    static const char *const names[] = { "sent", "late", "received",
                                         "missed" };
    g_autofree char *deadline = VUSCTL_NUMBER(port, "deadline-us");
    char *value[G_N_ELEMENTS(names)];

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        value[i] = g_strdup_printf(
            "%" PRId64, vusctl_deadline_counter(port, names[i]));
    }
    table_add(t, vusctl_string(port, "name"), vusctl_string(port, "band"),
              deadline, value[0], value[1], value[2], value[3]);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_free(value[i]);
    }
}

static char *us_of(JsonObject *hist, const char *name)
{
    return g_strdup_printf("%.1f", vusctl_number(hist, name) / 1e3);
}

/* Nothing, if nothing was measured. */
static bool add_delay(Table *t, JsonObject *port, const char *name,
                      const char *label)
{
    JsonObject *hist = vusctl_object(port, name);
    g_autofree char *count = VUSCTL_NUMBER(hist, "count");
    g_autofree char *p50 = us_of(hist, "p50-ns");
    g_autofree char *p99 = us_of(hist, "p99-ns");
    g_autofree char *p999 = us_of(hist, "p999-ns");
    g_autofree char *max = us_of(hist, "max-ns");

    if (vusctl_number(hist, "count") == 0) {
        return false;
    }
    table_add(t, vusctl_string(port, "name"), label, count, p50, p99, p999,
              max);
    return true;
}

static void show_counters(JsonObject *port, const char *list,
                          const char *heading)
{
    g_autoptr(Table) t = table_new(heading, ">FRAMES", "WHAT IT IS", NULL);
    JsonArray *counters = vusctl_array(port, list);

    table_wrap(t, VUSCTL_COLUMNS);
    for (unsigned i = 0; i < vusctl_length(counters); i++) {
        JsonObject *c = json_array_get_object_element(counters, i);
        g_autofree char *value = VUSCTL_NUMBER(c, "value");

        table_add(t, vusctl_string(c, "name"), value,
                  vusctl_string(c, "meaning"));
    }
    printf("\n");
    table_print(t);
}

static void show_deadlines(JsonNode *result)
{
    g_autoptr(Table) counts = table_new("PORT", "BAND", ">DEADLINE US",
                                        ">SENT", ">LATE", ">RECEIVED",
                                        ">MISSED", NULL);
    g_autoptr(Table) delays = table_new("PORT", "DELAY", ">FRAMES", ">P50 US",
                                        ">P99 US", ">P99.9 US", ">MAX US",
                                        NULL);
    JsonArray *ports = json_node_get_array(result);
    bool any = false;

    for (unsigned i = 0; i < vusctl_length(ports); i++) {
        JsonObject *port = json_array_get_object_element(ports, i);

        add_counts(counts, port);
        any |= add_delay(delays, port, "queueing-delay", "queueing");
        any |= add_delay(delays, port, "transit-delay", "transit");
    }
    table_print(counts);
    if (any) {
        printf("\n");
        table_print(delays);
    }
}

static void show_deadlines_of_one(JsonNode *result)
{
    JsonArray *ports = json_node_get_array(result);
    JsonObject *port;

    if (vusctl_length(ports) == 0) {
        printf("Deadlines are nothing to this port: rtvnic= and trust= are "
               "not set.\n");
        return;
    }
    port = json_array_get_object_element(ports, 0);
    show_deadlines(result);
    if (json_object_has_member(port, "promised-delay-us")) {
        printf("\nIt has a contract: a frame every %" PRId64 " us waits %"
               PRId64 " us at most.\n", vusctl_number(port, "period-us"),
               vusctl_number(port, "promised-delay-us"));
    }
    show_counters(port, "counters", "COUNTED");
    show_counters(port, "drops", "DROPPED");
}

bool vusctl_deadlines(Vusctl *v, GError **error)
{
    JsonObject *params = json_object_new();

    /* They are shown of one port only. */
    json_object_set_boolean_member(params, "bounds", v->json || v->words > 0);
    if (v->words > 0) {
        json_object_set_string_member(params, "name", v->word[0]);
    }
    return vusctl_finish(v, vusctl_call(v, "qos.deadlines", params, error),
                         v->words > 0 ? show_deadlines_of_one :
                                        show_deadlines);
}
