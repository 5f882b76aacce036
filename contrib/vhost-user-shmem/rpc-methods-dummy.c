/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "parse.h"
#include "rpc-methods-impl.h"

#define VNET_IN_BYTES 10
#define VNET_OUT_BYTES 12

static Port *dummy_port(const RpcContext *context, JsonObject *params,
                        GError **error)
{
    Port *p = rpc_port(context, params, "name", error);

    if (p && strcmp(port_settings(p)->type, "dummy")) {
        RPC_FAIL(error, NOT_DUMMY, "port '%s' is of type=%s: frames are put "
                 "into and taken from those of type=dummy only", port_name(p),
                 port_settings(p)->type);
        return NULL;
    }
    return p;
}

static GBytes *take_bytes(JsonObject *params, const char *name,
                          GError **error)
{
    GBytes *bytes = parse_hex(rpc_string(params, name, ""), error);

    if (!bytes) {
        g_prefix_error(error, "'%s': ", name);
        rpc_set_code(error, RPC_ERROR_PARAMS);
    }
    return bytes;
}

JsonNode *rpc_dummy_inject(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    Port *p = dummy_port(context, params, error);
    g_autoptr(GBytes) frame = p ? take_bytes(params, "frame", error) : NULL;
    g_autoptr(GBytes) vnet = frame ? take_bytes(params, "vnet", error) : NULL;
    size_t bytes, vnet_bytes;
    const uint8_t *data, *header;

    if (!vnet) {
        return NULL;
    }
    data = g_bytes_get_data(frame, &bytes);
    header = g_bytes_get_data(vnet, &vnet_bytes);
    if (vnet_bytes != 0 && vnet_bytes != VNET_IN_BYTES) {
        RPC_FAIL(error, PARAMS, "'vnet' has %zu bytes: 10 are expected",
                 vnet_bytes);
        return NULL;
    }
    return switch_dummy_inject(context->sw, p, data, bytes,
                               vnet_bytes ? header : NULL, error) ?
           rpc_true() : NULL;
}

static JsonNode *show_frame(GBytes *frame)
{
    size_t bytes;
    const uint8_t *data = g_bytes_get_data(frame, &bytes);
    g_autofree char *vnet = format_hex(data, VNET_OUT_BYTES);
    g_autofree char *rest = format_hex(data + VNET_OUT_BYTES,
                                       bytes - VNET_OUT_BYTES);
    JsonObject *result = json_object_new();

    json_object_set_string_member(result, "vnet", vnet);
    json_object_set_string_member(result, "frame", rest);
    return rpc_object(result);
}

JsonNode *rpc_dummy_read(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    Port *p = dummy_port(context, params, error);
    g_autoptr(GError) failed = NULL;
    g_autoptr(GBytes) frame = NULL;

    if (!p) {
        return NULL;
    }
    frame = switch_dummy_read(context->sw, p, &failed);
    if (failed) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return NULL;
    }
    if (!frame) {
        return json_node_new(JSON_NODE_NULL);
    }
    return show_frame(frame);
}
