/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc-methods-impl.h"

/* Do they go together with all that is there? */
static bool check_settings(const RpcContext *context, const char *name,
                           const TenantSettings *s, GError **error)
{
    g_autoptr(DaemonConfig) c = rpc_effective_config(context);

    daemon_config_set_tenant(c, name, s);
    if (!daemon_config_check(c, error)) {
        rpc_set_code(error, RPC_ERROR_SETTINGS);
        return false;
    }
    return true;
}

/* -- Tenants out ----------------------------------------------------------- */

static JsonArray *show_ports(const RpcContext *context, const char *tenant)
{
    JsonArray *ports = json_array_new();

    for (Port *p = switch_next_port(context->sw, NULL); p;
         p = switch_next_port(context->sw, p)) {
        if (!g_strcmp0(port_settings(p)->tenant, tenant)) {
            json_array_add_string_element(ports, port_name(p));
        }
    }
    return ports;
}

static JsonObject *show_tenant(const RpcContext *context, Tenant *t)
{
    JsonObject *shown = json_object_new();

    json_object_set_string_member(shown, "name", tenant_name(t));
    json_object_set_object_member(shown, "settings",
                                  rpc_show_settings(&settings_of_tenant,
                                                    tenant_settings(t)));
    json_object_set_boolean_member(shown, "limited",
                                   switch_tenant_is_limited(context->sw, t));
    json_object_set_array_member(shown, "ports",
                                 show_ports(context, tenant_name(t)));
    return shown;
}

/* -- Methods --------------------------------------------------------------- */

JsonNode *rpc_tenant_set(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    const char *name = rpc_string(params, "name", "");
    Tenant *t = switch_find_tenant(context->sw, name);
    TenantSettings s = t ? *tenant_settings(t) : (TenantSettings) { 0 };

    if (!port_name_check(name, error)) {
        rpc_set_code(error, RPC_ERROR_PARAMS);
        return NULL;
    }
    if (!rpc_read_settings(&settings_of_tenant, &s,
                           json_object_get_object_member(params, "settings"),
                           error) ||
        !check_settings(context, name, &s, error)) {
        return NULL;
    }
    t = switch_set_tenant(context->sw, name, &s, error);
    events_look(context->events);
    return t ? rpc_object(show_tenant(context, t)) : NULL;
}

JsonNode *rpc_tenant_remove(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    const char *name = rpc_string(params, "name", "");

    if (!switch_find_tenant(context->sw, name)) {
        RPC_FAIL(error, NO_TENANT, "there is no tenant '%s'; tenant.list "
                 "shows all", name);
        return NULL;
    }
    if (!switch_remove_tenant(context->sw, name, error)) {
        rpc_set_code(error, RPC_ERROR_SETTINGS);
        return NULL;
    }
    events_look(context->events);
    return rpc_true();
}

JsonNode *rpc_tenant_list(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    JsonArray *all = json_array_new();

    for (Tenant *t = switch_next_tenant(context->sw, NULL); t;
         t = switch_next_tenant(context->sw, t)) {
        json_array_add_object_element(all, show_tenant(context, t));
    }
    return rpc_array(all);
}
