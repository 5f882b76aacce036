/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <unistd.h>

#include "parse.h"
#include "rpc-methods-impl.h"

/* -- What the methods share ------------------------------------------------ */

Port *rpc_port(const RpcContext *context, JsonObject *params,
               const char *name, GError **error)
{
    const char *given = rpc_string(params, name, "");
    Port *p = switch_find_port(context->sw, given);

    if (!p) {
        RPC_FAIL(error, NO_PORT, "there is no port '%s'; port.list shows all",
                 given);
    }
    return p;
}

bool rpc_port_if_given(const RpcContext *context, JsonObject *params,
                       const char *name, Port **port, GError **error)
{
    *port = NULL;
    if (!rpc_string(params, name, NULL)) {
        return true;
    }
    *port = rpc_port(context, params, name, error);
    return *port != NULL;
}

char *rpc_setting(JsonObject *given, const char *key, GError **error)
{
    JsonNode *value = json_object_get_member(given, key);

    if (JSON_NODE_HOLDS_NULL(value)) {
        return g_strdup("");
    }
    if (JSON_NODE_HOLDS_VALUE(value)) {
        switch (json_node_get_value_type(value)) {
        case G_TYPE_STRING:
            return json_node_dup_string(value);
        case G_TYPE_INT64:
            return g_strdup_printf("%" PRId64, json_node_get_int(value));
        default:
            break;
        }
    }
    RPC_FAIL(error, PARAMS, "the value of '%s' has to be a string, an integer "
             "or null", key);
    return NULL;
}

void rpc_set_code(GError **error, RpcError code)
{
    if (error && *error) {
        (*error)->domain = RPC_ERROR;
        (*error)->code = code;
    }
}

bool rpc_read_settings(const SettingsKind *kind, void *settings,
                       JsonObject *given, GError **error)
{
    g_autoptr(GList) keys = json_object_get_members(given);

    for (GList *key = keys; key; key = key->next) {
        g_autofree char *value = rpc_setting(given, key->data, error);

        if (!value) {
            return false;
        }
        if (!kind->set(settings, key->data, value, error)) {
            rpc_set_code(error, RPC_ERROR_PARAMS);
            return false;
        }
    }
    return true;
}

void rpc_add_settings(JsonObject *shown, const SettingsKind *kind,
                      const void *settings)
{
    for (const char *const *key = kind->keys(); *key; key++) {
        g_autofree char *value = kind->get(settings, *key);

        if (value) {
            json_object_set_string_member(shown, *key, value);
        }
    }
}

JsonObject *rpc_show_settings(const SettingsKind *kind, const void *settings)
{
    JsonObject *shown = json_object_new();

    rpc_add_settings(shown, kind, settings);
    return shown;
}

JsonNode *rpc_true(void)
{
    JsonNode *node = json_node_new(JSON_NODE_VALUE);

    json_node_set_boolean(node, true);
    return node;
}

JsonNode *rpc_object(JsonObject *object)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    return node;
}

JsonNode *rpc_array(JsonArray *array)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    json_node_take_array(node, array);
    return node;
}

/* -- The daemon as it is --------------------------------------------------- */

DaemonConfig *rpc_running_config(const RpcContext *context)
{
    DaemonConfig *c = config_of_switch(context->sw);

    c->control = g_strdup(context->control);
    c->metrics_port = context->metrics_port;
    return c;
}

DaemonConfig *rpc_effective_config(const RpcContext *context)
{
    DaemonConfig *c = rpc_running_config(context);

    config_add_contracts(c, context->sw);
    return c;
}

/* -- Of the daemon itself -------------------------------------------------- */

static JsonNode *get_version(void *opaque, JsonObject *params, GError **error)
{
    JsonObject *version = json_object_new();

    json_object_set_string_member(version, "name", "vhost-user-shmem");
    json_object_set_string_member(version, "version", VUS_VERSION);
    json_object_set_int_member(version, "pid", getpid());
    return rpc_object(version);
}

static JsonNode *list_methods(void *opaque, JsonObject *params,
                              GError **error)
{
    return rpc_describe(rpc_methods());
}

static void set_text_or_null(JsonObject *object, const char *name,
                             const char *text)
{
    if (text) {
        json_object_set_string_member(object, name, text);
    } else {
        json_object_set_null_member(object, name);
    }
}

static JsonArray *list_words(const SettingsKind *kind)
{
    JsonArray *words = json_array_new();

    for (const char *const *key = kind->keys(); *key; key++) {
        JsonObject *word = json_object_new();

        json_object_set_string_member(word, "key", *key);
        json_object_set_string_member(word, "help", kind->help(*key));
        json_array_add_object_element(words, word);
    }
    return words;
}

static JsonNode *list_settings(void *opaque, JsonObject *params,
                               GError **error)
{
    JsonObject *all = json_object_new();
    JsonArray *ports = json_array_new(), *daemon = json_array_new();

    for (const char *const *key = port_settings_keys(); *key; key++) {
        g_autofree char *usual = port_settings_default(*key);
        JsonObject *word = json_object_new();

        json_object_set_string_member(word, "key", *key);
        set_text_or_null(word, "type", port_settings_type_of(*key));
        json_object_set_boolean_member(word, "fixed",
                                       port_settings_is_fixed(*key));
        set_text_or_null(word, "default", usual);
        json_object_set_string_member(word, "help", port_settings_help(*key));
        json_array_add_object_element(ports, word);
    }
    for (const DaemonWord *w = daemon_config_words(); w->key; w++) {
        JsonObject *word = json_object_new();

        json_object_set_string_member(word, "key", w->key);
        json_object_set_string_member(word, "help", w->help);
        json_array_add_object_element(daemon, word);
    }
    json_object_set_array_member(all, "port", ports);
    json_object_set_array_member(all, "tenant",
                                 list_words(&settings_of_tenant));
    json_object_set_array_member(all, "domain",
                                 list_words(&settings_of_domain));
    json_object_set_array_member(all, "daemon", daemon);
    return rpc_object(all);
}

static JsonNode *list_drops(void *opaque, JsonObject *params, GError **error)
{
    JsonArray *all = json_array_new();

    for (unsigned i = 0; i < DROP_REASONS; i++) {
        JsonObject *reason = json_object_new();

        json_object_set_string_member(reason, "name", drop_name(i));
        json_object_set_string_member(reason, "text", drop_text(i));
        json_array_add_object_element(all, reason);
    }
    return rpc_array(all);
}

static JsonNode *list_workers(void *opaque, JsonObject *params,
                              GError **error)
{
    const RpcContext *context = opaque;
    JsonArray *all = json_array_new();

    for (unsigned i = 0; i < switch_config(context->sw)->workers; i++) {
        JsonObject *worker = json_object_new();
        WorkerStatus status;

        switch_worker_status(context->sw, i, &status);
        json_object_set_int_member(worker, "index", i);
        if (status.cpu < 0) {
            json_object_set_null_member(worker, "cpu");
        } else {
            json_object_set_int_member(worker, "cpu", status.cpu);
        }
        json_object_set_int_member(worker, "queues", status.queues);
        json_object_set_int_member(worker, "polls", status.polls);
        json_object_set_int_member(worker, "busy-polls", status.busy_polls);
        json_object_set_int_member(worker, "sleeps", status.sleeps);
        json_object_set_int_member(worker, "flow-misses", status.flow_misses);
        json_object_set_int_member(worker, "pkts", status.pkts);
        json_array_add_object_element(all, worker);
    }
    return rpc_array(all);
}

static void tell(void *client, const char *event)
{
    control_notify(client, event);
}

static void stop_watching(void *watcher)
{
    events_unwatch(watcher);
}

static JsonNode *watch(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    ControlClient *client = context->server ? control_caller(context->server)
                                            : NULL;

    if (!client || control_is_kept(client)) {
        RPC_FAIL(error, FAILED, "events need a connection of their own, and "
                 "this one has another use already: use another one");
        return NULL;
    }
    control_keep(client, stop_watching,
                 events_watch(context->events, tell, client));
    return rpc_true();
}

/* -- The table ------------------------------------------------------------- */

#define PORT(text) { "name", RPC_STRING, .required = true, .help = text }
#define PORT_OR_ALL(word, text) { word, RPC_STRING, .help = text }
#define SETTINGS(text) \
    { "settings", RPC_OBJECT, .required = true, .help = text }
#define TENANT \
    { "name", RPC_STRING, .required = true, .help = "name of the tenant" }
#define DOMAIN \
    { "name", RPC_STRING, .required = true, .help = "name of the domain" }
#define BOUNDS \
    { "bounds", RPC_BOOLEAN, \
      .help = "false: without what is promised, which takes time to find" }
#define VLAN(text) \
    { "vlan", RPC_NUMBER, .max = VLAN_LAST, .help = text }
#define MAC \
    { "mac", RPC_STRING, .required = true, \
      .help = "the address, like 52:54:00:12:34:56" }

static const RpcMethod methods[] = {
    { "version", "Name, version and process of the daemon.", get_version,
      { { 0 } } },
    { "methods", "All methods with their parameters.", list_methods,
      { { 0 } } },
    { "settings", "All settings of ports, tenants, domains, the daemon.",
      list_settings, { { 0 } } },
    { "drops", "Why frames are dropped: counters and what they mean.",
      list_drops, { { 0 } } },
    { "port.add", "Add a port; the result is what port.show shows.",
      rpc_port_add, {
          PORT("name of the new port"),
          SETTINGS("its settings: strings, integers or null") } },
    { "port.remove", "Remove a port, and the addresses behind it.",
      rpc_port_remove, { PORT("name of the port") } },
    { "port.set", "Change settings of a port; the others stay.",
      rpc_port_set, {
          PORT("name of the port"),
          SETTINGS("new settings: strings, integers, or null for the "
                   "default") } },
    { "port.list", "All ports, each as port.show shows it.", rpc_port_list,
      { { 0 } } },
    { "port.show", "Settings and state of a port.", rpc_port_show,
      { PORT("name of the port") } },
    { "tenant.set", "Add a tenant, or change settings; the others stay.",
      rpc_tenant_set, {
          TENANT, SETTINGS("new settings: strings, integers, or null for the "
                           "default") } },
    { "tenant.remove", "Remove a tenant that has no ports.",
      rpc_tenant_remove, { TENANT } },
    { "tenant.list", "All tenants with their settings and ports.",
      rpc_tenant_list, { { 0 } } },
    { "domain.set", "Add a domain, or give it more buffers.",
      rpc_domain_set, {
          DOMAIN, SETTINGS("new settings: strings, integers, or null for the "
                           "default") } },
    { "domain.remove", "Remove a domain that has no ports.",
      rpc_domain_remove, { DOMAIN } },
    { "domain.list", "Domains: memory, buffers, members.",
      rpc_domain_list, {
          PORT_OR_ALL("name", "only this domain"),
          { "owned", RPC_BOOLEAN,
            .help = "true: with how many buffers each member owns, which "
                    "holds up its packets until they are counted" } } },
    { "stats", "Frames and bytes, and drops by reason, per port and in sum.",
      rpc_stats, {
          PORT_OR_ALL("name", "only of this port"),
          { "all", RPC_BOOLEAN,
            .help = "true: reasons that count nothing, too" } } },
    { "stats.reset", "Let counters begin at zero.", rpc_stats_reset,
      { PORT_OR_ALL("name", "only of this port") } },
    { "qos.links", "Links with a queue: rate, what waits, what is promised.",
      rpc_qos_links, { BOUNDS } },
    { "qos.deadlines", "Deadlines: contract, counters, delays.",
      rpc_qos_deadlines, {
          PORT_OR_ALL("name", "only of this port"), BOUNDS,
          { "buckets", RPC_BOOLEAN,
            .help = "true: with all of each histogram" } } },
    { "contract.register", "What a NIC declares, as long as this connection "
      "lives.", rpc_contract_register, {
          { "port", RPC_STRING, .required = true,
            .help = "name of its port, which has rtvnic=on" },
          SETTINGS("deadline-us, period-us, max-frame-bytes, late, dscp, pcp, "
                   "trailer, source-id, max-skew-us, link-mtu; what is not "
                   "there is the port's") } },
    { "contract.withdraw", "Before the connection ends: the port has its own "
      "settings again.", rpc_contract_withdraw, {
          { "port", RPC_STRING, .required = true,
            .help = "name of the port" } } },
    { "fdb.list", "Known addresses, by VLAN and address, a page at a time.",
      rpc_fdb_list, {
          PORT_OR_ALL("port", "only behind this port"),
          VLAN("only of this VLAN; 0: untagged"),
          { "max", RPC_NUMBER, .min = 1, .max = 4000,
            .help = "how many at most" },
          { "after", RPC_STRING,
            .help = "begin behind this one: 'next' of the page before" } } },
    { "fdb.flush", "Forget learned addresses; fixed ones stay.",
      rpc_fdb_flush, { PORT_OR_ALL("port", "only behind this port") } },
    { "fdb.set", "Fix an address to a port: it neither moves nor ages.",
      rpc_fdb_set, {
          MAC, { "port", RPC_STRING, .required = true,
                 .help = "name of the port" },
          VLAN("the VLAN; 0, the default: untagged") } },
    { "fdb.unset", "Let a fixed address go.", rpc_fdb_unset,
      { MAC, VLAN("the VLAN; 0, the default: untagged") } },
    { "workers", "What each worker does.", list_workers, { { 0 } } },
    { "watch", "Events from now on, as notifications on this connection.",
      watch, { { 0 } } },
    { "config.get", "The running configuration, as a configuration file.",
      rpc_config_get, { { 0 } } },
    { "config.reload", "Read the configuration file again and become what it "
      "says.", rpc_config_reload, {
          { "file", RPC_STRING,
            .help = "another one than that of the command line" } } },
    { "dummy.inject", "A frame, as if a guest behind a dummy port sent it.",
      rpc_dummy_inject, {
          PORT("name of the dummy port"),
          { "frame", RPC_STRING, .required = true,
            .help = "from the destination address on, hexadecimal" },
          { "vnet", RPC_STRING,
            .help = "virtio-net header, 10 bytes, hexadecimal" } } },
    { "dummy.read", "The oldest frame that a dummy port was sent, or null.",
      rpc_dummy_read, { PORT("name of the dummy port") } },
    { 0 },
};

const RpcMethod *rpc_methods(void)
{
    return methods;
}
