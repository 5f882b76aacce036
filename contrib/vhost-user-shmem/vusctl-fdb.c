/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses: listed page by page, until the daemon has no more.
 *
 * Threads: single.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "table.h"
#include "vusctl.h"

#define USAGE(error, ...) \
    g_set_error(error, VUSCTL_ERROR, VUSCTL_USAGE, __VA_ARGS__)

/* -- List ------------------------------------------------------------------ */

/* One page is added to @all; *@next is where the next one begins, or NULL. */
static bool take_page(Vusctl *v, const char *port, JsonArray *all,
                      char **next, GError **error)
{
    JsonObject *params = json_object_new();
    g_autoptr(JsonNode) result = NULL;
    JsonObject *page;
    JsonArray *found;

    if (port) {
        json_object_set_string_member(params, "port", port);
    }
    if (*next) {
        json_object_set_string_member(params, "after", *next);
        g_clear_pointer(next, g_free);
    }
    result = vusctl_call(v, "fdb.list", params, error);
    if (!result) {
        return false;
    }
    page = json_node_get_object(result);
    found = json_object_get_array_member(page, "addresses");
    for (unsigned i = 0; i < json_array_get_length(found); i++) {
        json_array_add_element(all, json_array_dup_element(found, i));
    }
    if (*vusctl_string(page, "next")) {
        *next = g_strdup(vusctl_string(page, "next"));
    }
    return true;
}

static void show_addresses(JsonNode *result)
{
    g_autoptr(Table) t = table_new("ADDRESS", ">VLAN", "PORT", ">AGE S", NULL);
    JsonArray *all = json_node_get_array(result);

    for (unsigned i = 0; i < json_array_get_length(all); i++) {
        JsonObject *e = json_array_get_object_element(all, i);
        int64_t vlan_id = vusctl_number(e, "vlan");
        g_autofree char *vlan = vlan_id ? g_strdup_printf("%" PRId64, vlan_id) :
                                          g_strdup("none");
        g_autofree char *age = vusctl_number(e, "static") ? g_strdup("fixed") :
            g_strdup_printf("%" PRId64, vusctl_number(e, "age-s"));

        table_add(t, vusctl_string(e, "mac"), vlan, vusctl_string(e, "port"),
                  age);
    }
    table_print(t);
}

static bool list(Vusctl *v, const char *port, GError **error)
{
    JsonNode *result = json_node_new(JSON_NODE_ARRAY);
    JsonArray *all = json_array_new();
    g_autofree char *next = NULL;

    json_node_take_array(result, all);
    do {
        if (!take_page(v, port, all, &next, error)) {
            json_node_unref(result);
            return false;
        }
    } while (next);
    return vusctl_finish(v, result, show_addresses);
}

/* -- Change ---------------------------------------------------------------- */

static void show_forgotten(JsonNode *result)
{
    printf("%" PRId64 " forgotten\n",
           vusctl_number(json_node_get_object(result), "forgotten"));
}

static bool flush(Vusctl *v, const char *port, GError **error)
{
    JsonObject *params = json_object_new();

    if (port) {
        json_object_set_string_member(params, "port", port);
    }
    return vusctl_finish(v, vusctl_call(v, "fdb.flush", params, error),
                         show_forgotten);
}

/* @port: NULL for unset. */
static bool change(Vusctl *v, const char *method, const char *address,
                   const char *port, GError **error)
{
    char text[MAC_TEXT_BYTES];
    JsonObject *params;
    uint8_t mac[6];
    uint16_t vlan;

    if (!parse_mac_vlan(address, mac, &vlan, error)) {
        return false;
    }
    format_mac(mac, text);
    params = json_object_new();
    json_object_set_string_member(params, "mac", text);
    json_object_set_int_member(params, "vlan", vlan);
    if (port) {
        json_object_set_string_member(params, "port", port);
    }
    return vusctl_finish(v, vusctl_call(v, method, params, error),
                         NULL);
}

bool vusctl_fdb(Vusctl *v, GError **error)
{
    const char *what = v->words > 0 ? v->word[0] : "list";
    const char *port = v->words == 2 ? v->word[1] : NULL;

    if (!strcmp(what, "list") && v->words <= 2) {
        return list(v, port, error);
    }
    if (!strcmp(what, "flush") && v->words <= 2) {
        return flush(v, port, error);
    }
    if (!strcmp(what, "set") && v->words == 3) {
        return change(v, "fdb.set", v->word[1], v->word[2], error);
    }
    if (!strcmp(what, "unset") && v->words == 2) {
        return change(v, "fdb.unset", v->word[1], NULL, error);
    }
    USAGE(error, "write: vusctl fdb [list|flush] [PORT], fdb set MAC[/VLAN] "
          "PORT, or fdb unset MAC[/VLAN]");
    return false;
}
