/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "rpc-methods-impl.h"

/* -- Settings in ----------------------------------------------------------- */

/* Do they go together with all that is there, instead of what @name had
 * before? */
static bool check_settings(const RpcContext *context, const char *name,
                           const PortSettings *s, GError **error)
{
    g_autoptr(DaemonConfig) c = rpc_running_config(context);

    if (daemon_config_find_port(c, name)) {
        daemon_config_remove_port(c, name);
    }
    daemon_config_add_port(c, name, s);
    config_add_contracts(c, context->sw);
    /* Addresses do not change, and their ports are there. */
    if (!daemon_config_check(c, error)) {
        rpc_set_code(error, RPC_ERROR_SETTINGS);
        return false;
    }
    return true;
}

/* -- Ports out ------------------------------------------------------------- */

/* Its type stands first, whatever it is. */
static JsonObject *show_settings(const PortSettings *s)
{
    JsonObject *shown = json_object_new();

    json_object_set_string_member(shown, "type", s->type);
    rpc_add_settings(shown, &settings_of_port, s);
    return shown;
}

/* What its NIC has registered. */
static JsonObject *show_contract(Port *p)
{
    JsonObject *shown = json_object_new();
    PortSettings s;

    port_effective_settings(p, port_settings(p), &s);
    for (const char *const *key = port_contract_keys(); *key; key++) {
        g_autofree char *value = port_settings_get(&s, *key);

        if (value) {
            json_object_set_string_member(shown, *key, value);
        }
    }
    port_settings_clear(&s);
    return shown;
}

static void add_missing(const RpcContext *context, char **name,
                        JsonArray *missing)
{
    for (; name && *name; name++) {
        if (!switch_find_port(context->sw, *name)) {
            json_array_add_string_element(missing, *name);
        }
    }
}

/* Ports that it names and that do not exist. */
static JsonArray *show_missing(const RpcContext *context,
                               const PortSettings *s)
{
    JsonArray *missing = json_array_new();

    if (s->peer && !switch_find_port(context->sw, s->peer)) {
        json_array_add_string_element(missing, s->peer);
    }
    add_missing(context, s->mirror, missing);
    add_missing(context, s->outs, missing);
    return missing;
}

static void show_front_end(JsonObject *shown, const PortStatus *status,
                           bool is_virtio)
{
    char features[sizeof("0x0123456789abcdef")];

    g_snprintf(features, sizeof(features), "0x%" PRIx64, status->features);
    json_object_set_int_member(shown, "connects", status->connects);
    if (is_virtio) {
        json_object_set_string_member(shown, "features", features);
    }
    json_object_set_int_member(shown, "memory-bytes", status->memory_bytes);
    if (status->rings) {
        json_object_set_string_member(shown, "rings", status->rings);
    }
}

static JsonObject *show_port(const RpcContext *context, Port *p)
{
    const PortSettings *s = port_settings(p);
    JsonObject *shown = json_object_new();
    PortStatus status;

    switch_port_status(context->sw, p, &status);
    json_object_set_string_member(shown, "name", port_name(p));
    json_object_set_int_member(shown, "number", port_number(p));
    json_object_set_object_member(shown, "settings", show_settings(s));
    if (port_has_contract(p)) {
        json_object_set_object_member(shown, "contract", show_contract(p));
    }
    json_object_set_string_member(shown, "state", port_state(p, &status));
    json_object_set_boolean_member(shown, "connected", status.connected);
    json_object_set_boolean_member(shown, "ready", status.ready);
    json_object_set_int_member(shown, "ingress-queues",
                               status.ingress_queues);
    json_object_set_int_member(shown, "egress-queues", status.egress_queues);
    if (s->socket) {
        show_front_end(shown, &status, !strcmp(s->type, "vhost-user"));
    }
    json_object_set_int_member(shown, "breaks", status.breaks);
    if (status.broken) {
        json_object_set_string_member(shown, "broken", status.broken);
    }
    json_object_set_array_member(shown, "missing",
                                 show_missing(context, s));
    return shown;
}

/* -- Methods --------------------------------------------------------------- */

JsonNode *rpc_port_add(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    const char *name = rpc_string(params, "name", "");
    PortSettings s;
    Port *p = NULL;

    if (!port_name_check(name, error)) {
        rpc_set_code(error, RPC_ERROR_PARAMS);
        return NULL;
    }
    if (switch_find_port(context->sw, name)) {
        RPC_FAIL(error, PORT_EXISTS, "there is a port '%s' already: remove it "
                 "first, change it with port.set, or choose another name",
                 name);
        return NULL;
    }
    port_settings_init(&s);
    if (rpc_read_settings(&settings_of_port, &s,
                          json_object_get_object_member(params, "settings"),
                          error) &&
        check_settings(context, name, &s, error)) {
        p = switch_add_port(context->sw, name, &s, error);
    }
    port_settings_clear(&s);
    events_look(context->events);
    return p ? rpc_object(show_port(context, p)) : NULL;
}

JsonNode *rpc_port_remove(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    Port *p = rpc_port(context, params, "name", error);

    if (!p) {
        return NULL;
    }
    events_remove_port(context->events, context->sw, p);
    events_look(context->events);
    return rpc_true();
}

JsonNode *rpc_port_set(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    Port *p = rpc_port(context, params, "name", error);
    PortSettings s;
    bool is_set = false;

    if (!p) {
        return NULL;
    }
    port_settings_copy(&s, port_settings(p));
    if (rpc_read_settings(&settings_of_port, &s,
                          json_object_get_object_member(params, "settings"),
                          error)) {
        if (!port_settings_may_follow(port_settings(p), &s, error)) {
            rpc_set_code(error, RPC_ERROR_SETTINGS);
        } else {
            is_set = check_settings(context, port_name(p), &s, error) &&
                     switch_set_port(context->sw, port_name(p), &s, error);
        }
    }
    port_settings_clear(&s);
    events_look(context->events);
    return is_set ? rpc_object(show_port(context, p)) : NULL;
}

JsonNode *rpc_port_list(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    JsonArray *all = json_array_new();

    for (Port *p = switch_next_port(context->sw, NULL); p;
         p = switch_next_port(context->sw, p)) {
        json_array_add_object_element(all, show_port(context, p));
    }
    return rpc_array(all);
}

JsonNode *rpc_port_show(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    Port *p = rpc_port(context, params, "name", error);

    return p ? rpc_object(show_port(context, p)) : NULL;
}

/* -- What is counted ------------------------------------------------------- */

static JsonObject *show_counters(const PortCounters *c, bool all)
{
    JsonObject *shown = json_object_new(), *drops = json_object_new();

    json_object_set_int_member(shown, "ingress-pkts", c->ingress_pkts);
    json_object_set_int_member(shown, "ingress-bytes", c->ingress_bytes);
    json_object_set_int_member(shown, "egress-pkts", c->egress_pkts);
    json_object_set_int_member(shown, "egress-bytes", c->egress_bytes);
    for (unsigned i = 0; i < DROP_REASONS; i++) {
        if (all || c->drops[i] > 0) {
            json_object_set_int_member(drops, drop_name(i), c->drops[i]);
        }
    }
    json_object_set_object_member(shown, "drops", drops);
    return shown;
}

static void add_counters(PortCounters *sum, const PortCounters *c)
{
    sum->ingress_pkts += c->ingress_pkts;
    sum->ingress_bytes += c->ingress_bytes;
    sum->egress_pkts += c->egress_pkts;
    sum->egress_bytes += c->egress_bytes;
    for (unsigned i = 0; i < DROP_REASONS; i++) {
        sum->drops[i] += c->drops[i];
    }
}

JsonNode *rpc_stats(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    bool all = rpc_boolean(params, "all", false);
    JsonObject *result;
    JsonArray *ports;
    PortCounters sum = { 0 };
    Port *only;

    if (!rpc_port_if_given(context, params, "name", &only, error)) {
        return NULL;
    }
    result = json_object_new();
    ports = json_array_new();
    json_object_set_int_member(result, "time-ns",
                               g_get_monotonic_time() * 1000);
    for (Port *p = switch_next_port(context->sw, NULL); p;
         p = switch_next_port(context->sw, p)) {
        PortCounters counters;
        JsonObject *shown;

        if (only && p != only) {
            continue;
        }
        switch_port_counters(context->sw, p, &counters);
        add_counters(&sum, &counters);
        shown = show_counters(&counters, all);
        json_object_set_string_member(shown, "name", port_name(p));
        json_array_add_object_element(ports, shown);
    }
    json_object_set_array_member(result, "ports", ports);
    json_object_set_object_member(result, "sum", show_counters(&sum, all));
    return rpc_object(result);
}

JsonNode *rpc_stats_reset(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    Port *only;

    if (!rpc_port_if_given(context, params, "name", &only, error)) {
        return NULL;
    }
    switch_reset_counters(context->sw, only);
    return rpc_true();
}
