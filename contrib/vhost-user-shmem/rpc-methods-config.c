/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config-file.h"
#include "rpc-methods-impl.h"

JsonNode *rpc_config_get(void *opaque, JsonObject *params, GError **error)
{
    g_autoptr(DaemonConfig) config = rpc_running_config(opaque);
    g_autofree char *text = config_file_text(config);
    JsonObject *result = json_object_new();

    json_object_set_string_member(result, "text", text);
    return rpc_object(result);
}

/* -- Reload ---------------------------------------------------------------- */

GPtrArray *rpc_reload(const RpcContext *context, const char *file,
                      GError **error)
{
    ConfigReload r = {
        .read = context->read,
        .opaque = context->read_opaque,
        .sw = context->sw,
        .events = context->events,
        .control = context->control,
        .metrics_port = context->metrics_port,
        .file = context->config_file,
    };

    return config_reload(&r, file, error);
}

static JsonObject *show_change(const ConfigChange *c)
{
    JsonObject *shown = json_object_new();

    json_object_set_string_member(shown, "what", c->what);
    json_object_set_string_member(shown, "name", c->name);
    json_object_set_string_member(shown, "change", c->change);
    if (c->keys) {
        g_auto(GStrv) key = g_strsplit(c->keys, ",", -1);
        JsonArray *keys = json_array_new();

        for (unsigned i = 0; key[i]; i++) {
            json_array_add_string_element(keys, key[i]);
        }
        json_object_set_array_member(shown, "keys", keys);
    }
    if (c->error) {
        json_object_set_string_member(shown, "error", c->error);
    }
    return shown;
}

JsonNode *rpc_config_reload(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    g_autoptr(GPtrArray) changes = NULL;
    JsonArray *done, *failed;
    JsonObject *result;

    if (!context->read) {
        RPC_FAIL(error, FAILED, "this daemon cannot read a file again");
        return NULL;
    }
    changes = rpc_reload(context, rpc_string(params, "file", NULL), error);
    if (!changes) {
        rpc_set_code(error, RPC_ERROR_SETTINGS);
        return NULL;
    }
    done = json_array_new();
    failed = json_array_new();
    for (unsigned i = 0; i < changes->len; i++) {
        const ConfigChange *c = g_ptr_array_index(changes, i);

        json_array_add_object_element(c->error ? failed : done,
                                      show_change(c));
    }
    result = json_object_new();
    json_object_set_array_member(result, "done", done);
    json_object_set_array_member(result, "failed", failed);
    return rpc_object(result);
}
