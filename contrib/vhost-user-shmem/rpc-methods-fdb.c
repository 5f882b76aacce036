/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table has no order, and may have many entries: a page is the first of
 * those behind the last one of the page before, by VLAN and address.
 *
 * Threads: the control thread.
 */
#include <string.h>

#include "parse.h"
#include "rpc-methods-impl.h"

#define PAGE_ENTRIES 1000

typedef struct Listing {
    Switch *sw;
    const Port *only_port;      /* NULL: all */
    int64_t only_vlan;          /* -1: all */
    bool has_after;
    FdbShown after;
    GArray *found;              /* of FdbShown, behind after */
    unsigned total;
} Listing;

/* -- Listing --------------------------------------------------------------- */

static int compare(const void *one, const void *other)
{
    const FdbShown *a = one, *b = other;

    return a->vlan != b->vlan ? a->vlan - b->vlan : memcmp(a->mac, b->mac, 6);
}

static void find_one(const FdbShown *e, void *opaque)
{
    Listing *l = opaque;
    const Port *p = switch_port_by_id(l->sw, e->port);

    if (!p || (l->only_port && p != l->only_port) ||
        (l->only_vlan >= 0 && e->vlan != l->only_vlan)) {
        return;
    }
    l->total++;
    if (!l->has_after || compare(e, &l->after) > 0) {
        g_array_append_val(l->found, *e);
    }
}

static JsonObject *show(Switch *sw, const FdbShown *e)
{
    JsonObject *shown = json_object_new();
    char mac[MAC_TEXT_BYTES];

    format_mac(e->mac, mac);
    json_object_set_string_member(shown, "mac", mac);
    json_object_set_int_member(shown, "vlan", e->vlan);
    json_object_set_string_member(shown, "port",
                                  port_name(switch_port_by_id(sw, e->port)));
    json_object_set_boolean_member(shown, "static", e->is_static);
    json_object_set_int_member(shown, "age-s", e->age_s);
    return shown;
}

static JsonNode *show_page(const Listing *l, unsigned max)
{
    JsonObject *result = json_object_new();
    JsonArray *page = json_array_new();
    unsigned n = MIN(l->found->len, max);

    for (unsigned i = 0; i < n; i++) {
        json_array_add_object_element(
            page, show(l->sw, &g_array_index(l->found, FdbShown, i)));
    }
    json_object_set_array_member(result, "addresses", page);
    json_object_set_int_member(result, "total", l->total);
    if (n < l->found->len) {
        const FdbShown *last = &g_array_index(l->found, FdbShown, n - 1);
        g_autofree char *next = format_mac_vlan(last->mac, last->vlan);

        json_object_set_string_member(result, "next", next);
    }
    return rpc_object(result);
}

JsonNode *rpc_fdb_list(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    const char *after = rpc_string(params, "after", NULL);
    g_autoptr(GArray) found = g_array_new(false, false, sizeof(FdbShown));
    Listing l = {
        .sw = context->sw, .found = found, .has_after = after,
        .only_vlan = rpc_number(params, "vlan", -1),
    };
    Port *only;

    if (!rpc_port_if_given(context, params, "port", &only, error)) {
        return NULL;
    }
    if (after && !parse_mac_vlan(after, l.after.mac, &l.after.vlan, error)) {
        rpc_set_code(error, RPC_ERROR_PARAMS);
        return NULL;
    }
    l.only_port = only;
    switch_fdb_foreach(context->sw, find_one, &l);
    g_array_sort(found, compare);
    return show_page(&l, rpc_number(params, "max", PAGE_ENTRIES));
}

/* -- Changes --------------------------------------------------------------- */

JsonNode *rpc_fdb_flush(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    JsonObject *result;
    Port *only;

    if (!rpc_port_if_given(context, params, "port", &only, error)) {
        return NULL;
    }
    result = json_object_new();
    json_object_set_int_member(result, "forgotten",
                               switch_fdb_flush(context->sw, only));
    return rpc_object(result);
}

static bool take_mac(JsonObject *params, uint8_t mac[6], GError **error)
{
    if (!parse_mac(rpc_string(params, "mac", ""), mac, error)) {
        rpc_set_code(error, RPC_ERROR_PARAMS);
        return false;
    }
    return true;
}

JsonNode *rpc_fdb_set(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    Port *p = rpc_port(context, params, "port", error);
    uint8_t mac[6];

    return p && take_mac(params, mac, error) &&
           switch_fdb_set(context->sw, p, mac, rpc_number(params, "vlan", 0),
                          error) ? rpc_true() : NULL;
}

JsonNode *rpc_fdb_unset(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    uint8_t mac[6];

    if (!take_mac(params, mac, error)) {
        return NULL;
    }
    if (!switch_fdb_unset(context->sw, mac, rpc_number(params, "vlan", 0),
                          error)) {
        rpc_set_code(error, RPC_ERROR_NO_ADDRESS);
        return NULL;
    }
    return rpc_true();
}
