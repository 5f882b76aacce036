/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contracts of NICs: registered by QEMU (-device rtvnic,control=,port=), and
 * withdrawn at the latest when its connection ends.
 *
 * Threads: the control thread.
 */
#include <string.h>

#include "rpc-methods-impl.h"

/* A client, and the ports that have its contracts. */
typedef struct Holder {
    const RpcContext *context;
    const ControlClient *client;
    GArray *serials;                /* of ports */
} Holder;

static GPtrArray *holders;          /* of Holder */

/* -- Who holds what -------------------------------------------------------- */

static Holder *find_holder(const ControlClient *client)
{
    for (unsigned i = 0; holders && i < holders->len; i++) {
        Holder *h = g_ptr_array_index(holders, i);

        if (h->client == client) {
            return h;
        }
    }
    return NULL;
}

static int find_serial(const Holder *h, uint64_t serial)
{
    for (unsigned i = 0; i < h->serials->len; i++) {
        if (g_array_index(h->serials, uint64_t, i) == serial) {
            return i;
        }
    }
    return -1;
}

static Holder *holder_of(const Port *p)
{
    for (unsigned i = 0; holders && i < holders->len; i++) {
        Holder *h = g_ptr_array_index(holders, i);

        if (find_serial(h, port_serial(p)) >= 0) {
            return h;
        }
    }
    return NULL;
}

/* Its connection has ended: its ports have their own settings again. */
static void holder_gone(void *opaque)
{
    Holder *h = opaque;

    for (Port *p = switch_next_port(h->context->sw, NULL); p;
         p = switch_next_port(h->context->sw, p)) {
        if (find_serial(h, port_serial(p)) >= 0) {
            switch_set_contract(h->context->sw, p, NULL, NULL);
        }
    }
    g_ptr_array_remove_fast(holders, h);
    if (holders->len == 0) {
        g_clear_pointer(&holders, g_ptr_array_unref);
    }
    events_look(h->context->events);
    g_array_unref(h->serials);
    g_free(h);
}

/* The client that calls, which has contracts from now on; NULL with @error. */
static Holder *need_holder(const RpcContext *context, GError **error)
{
    ControlClient *client = context->server ? control_caller(context->server)
                                            : NULL;
    Holder *h = client ? find_holder(client) : NULL;

    if (h) {
        return h;
    }
    if (!client || control_is_kept(client)) {
        RPC_FAIL(error, FAILED, "a contract needs a connection of its own, and "
                 "this one has another use already: use another one");
        return NULL;
    }
    h = g_new0(Holder, 1);
    h->context = context;
    h->client = client;
    h->serials = g_array_new(false, false, sizeof(uint64_t));
    if (!holders) {
        holders = g_ptr_array_new();
    }
    g_ptr_array_add(holders, h);
    control_keep(client, holder_gone, h);
    return h;
}

/* -- Methods --------------------------------------------------------------- */

static bool is_contract_key(const char *key)
{
    return g_strv_contains(port_contract_keys(), key);
}

/* What is not given stays as the port has it. */
static bool read_contract(PortSettings *contract, JsonObject *given,
                          GError **error)
{
    g_autoptr(GList) keys = json_object_get_members(given);

    for (GList *key = keys; key; key = key->next) {
        g_autofree char *value = rpc_setting(given, key->data, error);

        if (value && !is_contract_key(key->data)) {
            g_autofree char *all = g_strjoinv(", ",
                                              (char **)port_contract_keys());

            RPC_FAIL(error, PARAMS, "'%s' is no part of a contract: that has "
                     "%s", (const char *)key->data, all);
            return false;
        }
        if (!value ||
            !port_settings_set(contract, key->data, value, error)) {
            rpc_set_code(error, RPC_ERROR_PARAMS);
            return false;
        }
    }
    return true;
}

/* May all links promise what they would have to, with @contract? */
static bool may_promise(const RpcContext *context, Port *p,
                        const PortSettings *contract, GError **error)
{
    g_autoptr(DaemonConfig) c = rpc_effective_config(context);
    ConfigPort *port = daemon_config_find_port(c, port_name(p));

    port_settings_copy_contract(&port->settings, contract);
    return daemon_config_check(c, error);
}

JsonNode *rpc_contract_register(void *opaque, JsonObject *params,
                                GError **error)
{
    const RpcContext *context = opaque;
    Port *p = rpc_port(context, params, "port", error);
    Holder *other = p ? holder_of(p) : NULL;
    PortSettings contract;
    Holder *h = NULL;
    bool done = false;

    if (!p) {
        return NULL;
    }
    if (!port_settings(p)->rtvnic) {
        RPC_FAIL(error, SETTINGS, "port %s is no rtvnic's: remove it and add "
                 "it again with rtvnic=on", port_name(p));
        return NULL;
    }
    port_settings_copy(&contract, port_settings(p));
    if (read_contract(&contract, json_object_get_object_member(params,
                                                               "settings"),
                      error)) {
        h = need_holder(context, error);
    }
    if (other && control_has_hung_up(other->client)) {
        /* The same NIC, which has come again before we saw it go. */
        g_array_remove_index_fast(other->serials,
                                  find_serial(other, port_serial(p)));
        other = NULL;
    }
    if (h && other && other != h) {
        RPC_FAIL(error, SETTINGS, "port %s has a contract of another "
                 "connection: is its NIC there twice?", port_name(p));
    } else if (h) {
        done = may_promise(context, p, &contract, error) &&
               switch_set_contract(context->sw, p, &contract, error);
        rpc_set_code(error, RPC_ERROR_SETTINGS);
    }
    if (done && find_serial(h, port_serial(p)) < 0) {
        uint64_t serial = port_serial(p);

        g_array_append_val(h->serials, serial);
    }
    port_settings_clear(&contract);
    events_look(context->events);
    return done ? rpc_true() : NULL;
}

JsonNode *rpc_contract_withdraw(void *opaque, JsonObject *params,
                                GError **error)
{
    const RpcContext *context = opaque;
    Port *p = rpc_port(context, params, "port", error);
    Holder *h = context->server ? find_holder(control_caller(context->server))
                                : NULL;
    int at = p && h ? find_serial(h, port_serial(p)) : -1;

    if (!p) {
        return NULL;
    }
    if (at < 0) {
        RPC_FAIL(error, SETTINGS, "port %s has no contract of this "
                 "connection", port_name(p));
        return NULL;
    }
    g_array_remove_index_fast(h->serials, at);
    switch_set_contract(context->sw, p, NULL, NULL);
    events_look(context->events);
    return rpc_true();
}
