/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Results as tables.
 *
 * Threads: single.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "table.h"
#include "vusctl.h"

/* -- Ports ----------------------------------------------------------------- */

static char *describe_vlans(JsonObject *settings)
{
    const char *vlan = vusctl_string(settings, "vlan");
    const char *trunk = vusctl_string(settings, "trunk");
    const char *native = vusctl_string(settings, "native");

    if (*vlan) {
        return g_strdup(vlan);
    }
    return g_strconcat(*trunk ? trunk : "all", *native ? " native " : "",
                       native, NULL);
}

static char *describe_note(JsonObject *port, JsonObject *settings)
{
    static const char *const keys[] = {
        "domain", "service", "services", "peer", "mirror",
    };
    GString *note = g_string_new(NULL);
    g_autofree char *missing = vusctl_join(port, "missing");
    const char *broken = vusctl_string(port, "broken");

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (*vusctl_string(settings, keys[i])) {
            g_string_append_printf(note, "%s=%s ", keys[i],
                                   vusctl_string(settings, keys[i]));
        }
    }
    if (*missing) {
        g_string_append_printf(note, "missing: %s ", missing);
    }
    if (*broken) {
        g_string_append_printf(note, "broke: %s", broken);
    }
    return g_string_free(note, false);
}

static void show_list(JsonNode *result)
{
    g_autoptr(Table) t = table_new("PORT", ">NO", "TYPE", "STATE", "VLANS",
                                   ">QUEUES IN/OUT", "AT", "NOTE", NULL);
    JsonArray *ports = json_node_get_array(result);

    for (unsigned i = 0; i < vusctl_length(ports); i++) {
        JsonObject *port = json_array_get_object_element(ports, i);
        JsonObject *settings = vusctl_object(port, "settings");
        g_autofree char *number = VUSCTL_NUMBER(port, "number");
        g_autofree char *vlans = describe_vlans(settings);
        g_autofree char *note = describe_note(port, settings);
        g_autofree char *queues = g_strdup_printf(
            "%" PRId64 "/%" PRId64, vusctl_number(port, "ingress-queues"),
            vusctl_number(port, "egress-queues"));
        const char *socket = vusctl_string(settings, "socket");

        table_add(t, vusctl_string(port, "name"), number,
                  vusctl_string(settings, "type"),
                  vusctl_string(port, "state"), vlans, queues,
                  *socket ? socket : vusctl_string(settings, "ifname"), note);
    }
    table_print(t);
}

bool vusctl_list(Vusctl *v, GError **error)
{
    return vusctl_finish(v, vusctl_call(v, "port.list", NULL, error),
                         show_list);
}

static void show_line(const char *name, const char *value)
{
    printf("%-16s%s\n", name, value);
}

static void show_number(JsonObject *port, const char *name)
{
    if (json_object_has_member(port, name)) {
        printf("%-16s%" PRId64 "\n", name, vusctl_number(port, name));
    }
}

static void show_text(JsonObject *port, const char *name)
{
    if (*vusctl_string(port, name)) {
        show_line(name, vusctl_string(port, name));
    }
}

static void show_port(JsonObject *port)
{
    JsonObject *settings = vusctl_object(port, "settings");
    g_autoptr(GList) keys = json_object_get_members(settings);
    g_autofree char *missing = vusctl_join(port, "missing");

    show_line("port", vusctl_string(port, "name"));
    for (GList *key = keys; key; key = key->next) {
        printf("%-16s%s=%s\n", key == keys ? "settings" : "",
               (char *)key->data, vusctl_string(settings, key->data));
    }
    show_text(port, "state");
    show_number(port, "ingress-queues");
    show_number(port, "egress-queues");
    show_number(port, "connects");
    show_text(port, "features");
    show_text(port, "rings");
    show_number(port, "memory-bytes");
    show_number(port, "breaks");
    show_text(port, "broken");
    if (*missing) {
        show_line("missing", missing);
    }
}

static void show_one(JsonNode *result)
{
    show_port(json_node_get_object(result));
}

static void show_all(JsonNode *result)
{
    JsonArray *ports = json_node_get_array(result);

    for (unsigned i = 0; i < vusctl_length(ports); i++) {
        if (i > 0) {
            printf("\n");
        }
        show_port(json_array_get_object_element(ports, i));
    }
}

bool vusctl_show(Vusctl *v, GError **error)
{
    JsonObject *params;

    if (v->words == 0) {
        return vusctl_finish(v, vusctl_call(v, "port.list", NULL, error),
                             show_all);
    }
    params = json_object_new();
    json_object_set_string_member(params, "name", v->word[0]);
    return vusctl_finish(v, vusctl_call(v, "port.show", params, error),
                         show_one);
}

/* -- Counters -------------------------------------------------------------- */

static void add_counters(Table *t, const char *name, JsonObject *counters)
{
    g_autofree char *in_pkts = VUSCTL_NUMBER(counters, "ingress-pkts");
    g_autofree char *in_bytes = VUSCTL_NUMBER(counters, "ingress-bytes");
    g_autofree char *out_pkts = VUSCTL_NUMBER(counters, "egress-pkts");
    g_autofree char *out_bytes = VUSCTL_NUMBER(counters, "egress-bytes");
    g_autofree char *drops = g_strdup_printf(
        "%" PRId64, vusctl_sum(counters, "drops"));

    table_add(t, name, in_pkts, in_bytes, out_pkts, out_bytes, drops);
}

static void add_drops(Table *t, const char *name, JsonObject *counters)
{
    JsonObject *drops = vusctl_object(counters, "drops");
    g_autoptr(GList) reasons = drops ? json_object_get_members(drops) : NULL;

    for (GList *reason = reasons; reason; reason = reason->next) {
        g_autofree char *pkts = VUSCTL_NUMBER(drops, reason->data);

        table_add(t, name, reason->data, pkts);
    }
}

static void show_stats(JsonNode *result)
{
    g_autoptr(Table) counted = table_new(
        "PORT", ">INGRESS PKTS", ">INGRESS BYTES", ">EGRESS PKTS",
        ">EGRESS BYTES", ">DROPPED PKTS", NULL);
    g_autoptr(Table) dropped = table_new("PORT", "DROPPED", ">PKTS", NULL);
    JsonObject *stats = json_node_get_object(result);
    JsonArray *ports = vusctl_array(stats, "ports");
    bool any = false;

    for (unsigned i = 0; i < vusctl_length(ports); i++) {
        JsonObject *port = json_array_get_object_element(ports, i);
        JsonObject *drops = vusctl_object(port, "drops");

        add_counters(counted, vusctl_string(port, "name"), port);
        add_drops(dropped, vusctl_string(port, "name"), port);
        any |= drops && json_object_get_size(drops) > 0;
    }
    if (vusctl_length(ports) > 1) {
        add_counters(counted, "sum", vusctl_object(stats, "sum"));
    }
    table_print(counted);
    if (any) {
        printf("\n");
        table_print(dropped);
    }
}

bool vusctl_stats(Vusctl *v, GError **error)
{
    JsonObject *params = json_object_new();

    if (v->words > 0) {
        json_object_set_string_member(params, "name", v->word[0]);
    }
    if (v->reset) {
        return vusctl_finish(v, vusctl_call(v, "stats.reset", params, error),
                             NULL);
    }
    json_object_set_boolean_member(params, "all", v->all);
    return vusctl_finish(v, vusctl_call(v, "stats", params, error),
                         show_stats);
}

/* -- Workers --------------------------------------------------------------- */

static void show_workers(JsonNode *result)
{
    g_autoptr(Table) t = table_new(
        ">WORKER", ">CPU", ">QUEUES", ">POLLS", ">BUSY %", ">SLEEPS",
        ">FLOW MISSES", ">PKTS", NULL);
    JsonArray *workers = json_node_get_array(result);

    for (unsigned i = 0; i < vusctl_length(workers); i++) {
        JsonObject *worker = json_array_get_object_element(workers, i);
        int64_t polls = vusctl_number(worker, "polls");
        g_autofree char *index = VUSCTL_NUMBER(worker, "index");
        g_autofree char *cpu = json_object_get_null_member(worker, "cpu") ?
                               g_strdup("any") : VUSCTL_NUMBER(worker, "cpu");
        g_autofree char *queues = VUSCTL_NUMBER(worker, "queues");
        g_autofree char *polled = VUSCTL_NUMBER(worker, "polls");
        g_autofree char *busy = g_strdup_printf(
            "%.1f", polls ? 100.0 * vusctl_number(worker, "busy-polls") /
                            polls : 0.0);
        g_autofree char *sleeps = VUSCTL_NUMBER(worker, "sleeps");
        g_autofree char *misses = VUSCTL_NUMBER(worker, "flow-misses");
        g_autofree char *pkts = VUSCTL_NUMBER(worker, "pkts");

        table_add(t, index, cpu, queues, polled, busy, sleeps, misses, pkts);
    }
    table_print(t);
}

bool vusctl_workers(Vusctl *v, GError **error)
{
    return vusctl_finish(v, vusctl_call(v, "workers", NULL, error),
                         show_workers);
}

/* -- What there is --------------------------------------------------------- */

static void add_words(Table *t, JsonArray *words)
{
    table_wrap(t, VUSCTL_COLUMNS);
    for (unsigned i = 0; i < vusctl_length(words); i++) {
        JsonObject *word = json_array_get_object_element(words, i);

        table_add(t, vusctl_string(word, "key"), vusctl_string(word, "help"));
    }
    printf("\n");
    table_print(t);
}

static void show_port_words(JsonArray *words)
{
    g_autoptr(Table) t = table_new("PORT", "DEFAULT", "WHAT IT IS", NULL);

    table_wrap(t, VUSCTL_COLUMNS);
    for (unsigned i = 0; i < vusctl_length(words); i++) {
        JsonObject *word = json_array_get_object_element(words, i);
        const char *type = vusctl_string(word, "type");
        g_autofree char *key = g_strconcat(
            vusctl_string(word, "key"), vusctl_flag(word, "fixed") ? "*" : "",
            NULL);
        g_autofree char *help = g_strconcat(type, *type ? ": " : "",
                                            vusctl_string(word, "help"), NULL);

        table_add(t, key, vusctl_string(word, "default"), help);
    }
    table_print(t);
    printf("* is fixed while the port lives.\n");
}

static void show_settings(JsonNode *result)
{
    g_autoptr(Table) of_tenants = table_new("TENANT", "WHAT IT IS", NULL);
    g_autoptr(Table) of_domains = table_new("DOMAIN", "WHAT IT IS", NULL);
    g_autoptr(Table) of_daemon = table_new("DAEMON", "WHAT IT IS", NULL);
    JsonObject *all = json_node_get_object(result);

    show_port_words(vusctl_array(all, "port"));
    add_words(of_tenants, vusctl_array(all, "tenant"));
    add_words(of_domains, vusctl_array(all, "domain"));
    add_words(of_daemon, vusctl_array(all, "daemon"));
}

bool vusctl_settings(Vusctl *v, GError **error)
{
    return vusctl_finish(v, vusctl_call(v, "settings", NULL, error),
                         show_settings);
}

static void show_drops(JsonNode *result)
{
    g_autoptr(Table) t = table_new("DROPPED", "BECAUSE", NULL);
    JsonArray *reasons = json_node_get_array(result);

    for (unsigned i = 0; i < vusctl_length(reasons); i++) {
        JsonObject *reason = json_array_get_object_element(reasons, i);

        table_add(t, vusctl_string(reason, "name"),
                  vusctl_string(reason, "text"));
    }
    table_print(t);
}

bool vusctl_drops(Vusctl *v, GError **error)
{
    return vusctl_finish(v, vusctl_call(v, "drops", NULL, error), show_drops);
}
