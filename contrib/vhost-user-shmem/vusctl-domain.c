/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domains, and who is in them.
 *
 * Threads: single.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "table.h"
#include "vusctl.h"

/* -- Memory ---------------------------------------------------------------- */

static char *mib_of(JsonObject *object, const char *name)
{
    return g_strdup_printf("%" PRId64, vusctl_number(object, name) >> 20);
}

static const char *pages_of(JsonObject *domain)
{
    JsonArray *segments = vusctl_array(domain, "segments");
    unsigned huge = 0;

    for (unsigned i = 0; i < vusctl_length(segments); i++) {
        huge += vusctl_flag(json_array_get_object_element(segments, i),
                            "huge");
    }
    return huge == 0 ? "ordinary" :
           huge == vusctl_length(segments) ? "huge" : "both";
}

/* -- All of them ----------------------------------------------------------- */

static void show_domains(JsonNode *result)
{
    g_autoptr(Table) t = table_new("DOMAIN", ">MEMBERS", ">BUFFERS", ">FREE",
                                   ">MIB", "PAGES", ">RECLAIMED", NULL);
    JsonArray *domains = json_node_get_array(result);

    for (unsigned i = 0; i < vusctl_length(domains); i++) {
        JsonObject *d = json_array_get_object_element(domains, i);
        g_autofree char *members = g_strdup_printf(
            "%u/%" PRId64, vusctl_length(vusctl_array(d, "members")),
            vusctl_number(d, "members-max"));
        g_autofree char *buffers = VUSCTL_NUMBER(d, "buffers");
        g_autofree char *free_buffers = VUSCTL_NUMBER(d, "free-buffers");
        g_autofree char *reclaimed = VUSCTL_NUMBER(d, "reclaimed-buffers");
        g_autofree char *mib = mib_of(d, "memory-bytes");

        table_add(t, vusctl_string(d, "name"), members, buffers, free_buffers,
                  mib, pages_of(d), reclaimed);
    }
    table_print(t);
}

/* -- One ------------------------------------------------------------------- */

/* "rx-pkts=5 tx-pkts=7": what ends with @end and is not 0. */
static void describe(GString *text, JsonObject *stats, const char *end)
{
    g_autoptr(GList) names = stats ? json_object_get_members(stats) : NULL;

    for (GList *name = names; name; name = name->next) {
        int64_t value = g_str_has_suffix(name->data, end)
            ? vusctl_number(stats, name->data) : 0;

        if (value > 0) {
            g_string_append_printf(text, "%s%s=%" PRId64, text->len ? " " : "",
                                   (char *)name->data, value);
        }
    }
}

/* "not seen by 2, 3 rx-pkts=5"; to be freed. */
static char *describe_member(JsonObject *member)
{
    JsonArray *unseen = vusctl_array(member, "unseen");
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < vusctl_length(unseen); i++) {
        g_string_append_printf(text, "%s%" PRId64, i ? ", " : "not seen by ",
                               json_array_get_int_element(unseen, i));
    }
    describe(text, vusctl_object(member, "stats"), "");
    return g_string_free(text, false);
}

static void show_members(JsonArray *members)
{
    g_autoptr(Table) t = table_new(">MEMBER", "PORT", "STATE", ">OWNS",
                                   "COUNTED", NULL);

    table_wrap(t, VUSCTL_COLUMNS);
    for (unsigned i = 0; i < vusctl_length(members); i++) {
        JsonObject *m = json_array_get_object_element(members, i);
        g_autofree char *number = VUSCTL_NUMBER(m, "number");
        g_autofree char *owns = VUSCTL_NUMBER(m, "owned-buffers");
        g_autofree char *counted = describe_member(m);
        const char *port = vusctl_string(m, "port");

        table_add(t, number, *port ? port : "-", vusctl_string(m, "state"),
                  owns, counted);
    }
    table_print(t);
}

static void show_segments(JsonArray *segments)
{
    for (unsigned i = 0; i < vusctl_length(segments); i++) {
        JsonObject *s = json_array_get_object_element(segments, i);
        g_autofree char *mib = mib_of(s, "bytes");
        g_autofree char *node = json_object_has_member(s, "node")
            ? g_strdup_printf(", node %" PRId64, vusctl_number(s, "node"))
            : g_strdup("");

        printf("%-19s%" PRId64 " buffers, %s MiB of %s pages%s%s\n",
               i ? "" : "segments", vusctl_number(s, "buffers"), mib,
               vusctl_flag(s, "huge") ? "huge" : "ordinary", node,
               vusctl_flag(s, "used") ? "" : ", not in use yet");
    }
}

static void show_nics(JsonArray *nics)
{
    g_autoptr(Table) t = table_new("NIC AT", ">HAS", "COUNTED", NULL);

    table_wrap(t, VUSCTL_COLUMNS);
    for (unsigned i = 0; i < vusctl_length(nics); i++) {
        JsonObject *nic = json_array_get_object_element(nics, i);
        g_autofree char *has = VUSCTL_NUMBER(nic, "buffers");
        GString *counted = g_string_new(NULL);

        describe(counted, nic, "-pkts");
        table_add(t, vusctl_string(nic, "port"), has, counted->str);
        g_string_free(counted, true);
    }
    table_print(t);
}

static void show_domain(JsonObject *d)
{
    static const char *const numbers[] = {
        "buffers", "free-buffers", "daemon-buffers", "copied-pkts",
        "reclaimed-buffers", "quarantines", "direct-macs",
    };
    g_autofree char *settings = vusctl_settings_of(d);
    g_autofree char *ports = vusctl_join(d, "ports");

    printf("%-19s%s\n", "domain", vusctl_string(d, "name"));
    printf("%-19s%s\n", "settings", settings);
    show_segments(vusctl_array(d, "segments"));
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        printf("%-19s%" PRId64 "\n", numbers[i],
               vusctl_number(d, numbers[i]));
    }
    printf("%-19s%s\n", "ports", ports);
    if (vusctl_length(vusctl_array(d, "nics")) > 0) {
        printf("\n");
        show_nics(vusctl_array(d, "nics"));
    }
    if (vusctl_length(vusctl_array(d, "members")) > 0) {
        printf("\n");
        show_members(vusctl_array(d, "members"));
    }
}

static void show_each(JsonNode *result)
{
    JsonArray *domains = json_node_get_array(result);

    for (unsigned i = 0; i < vusctl_length(domains); i++) {
        if (i > 0) {
            printf("\n");
        }
        show_domain(json_array_get_object_element(domains, i));
    }
}

/* -- The command ----------------------------------------------------------- */

static bool run_show(Vusctl *v, GError **error)
{
    JsonObject *params = json_object_new();

    json_object_set_boolean_member(params, "owned", true);
    if (v->words > 1) {
        json_object_set_string_member(params, "name", v->word[1]);
    }
    return vusctl_finish(v, vusctl_call(v, "domain.list", params, error),
                         show_each);
}

bool vusctl_domain(Vusctl *v, GError **error)
{
    const char *what = v->words > 0 ? v->word[0] : "list";

    if (!strcmp(what, "list") && v->words <= 1) {
        return vusctl_finish(v, vusctl_call(v, "domain.list", NULL, error),
                             show_domains);
    }
    if (!strcmp(what, "show") && v->words <= 2) {
        return run_show(v, error);
    }
    return vusctl_set_or_remove(v, "domain", "domain [list], domain show "
                                "[NAME]", error);
}
