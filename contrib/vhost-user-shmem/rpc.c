/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "json-guard.h"
#include "rpc.h"

G_DEFINE_QUARK(vus-rpc-error-quark, rpc_error)

#define REFUSE(error, code, ...) \
    g_set_error(error, RPC_ERROR, RPC_ERROR_##code, __VA_ARGS__)

/* -- Parameters ------------------------------------------------------------ */

static const char *const type_name[] = {
    [RPC_STRING] = "a string",
    [RPC_BOOLEAN] = "true or false",
    [RPC_NUMBER] = "an integer",
    [RPC_OBJECT] = "an object",
};

static bool is_of_type(const RpcParam *p, JsonNode *node)
{
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) :
                                               G_TYPE_INVALID;

    switch (p->type) {
    case RPC_STRING:
        return type == G_TYPE_STRING;
    case RPC_BOOLEAN:
        return type == G_TYPE_BOOLEAN;
    case RPC_NUMBER:
        return type == G_TYPE_INT64;
    case RPC_OBJECT:
        return JSON_NODE_HOLDS_OBJECT(node);
    }
    g_assert_not_reached();
}

static bool check_param(const RpcMethod *m, const RpcParam *p, JsonNode *node,
                        GError **error)
{
    if (!node) {
        if (p->required) {
            REFUSE(error, PARAMS, "%s needs the parameter '%s': %s", m->name,
                   p->name, p->help);
            return false;
        }
        return true;
    }
    if (!is_of_type(p, node)) {
        REFUSE(error, PARAMS, "'%s' has to be %s: %s", p->name,
               type_name[p->type], p->help);
        return false;
    }
    if (p->type == RPC_NUMBER && (json_node_get_int(node) < p->min ||
                                  json_node_get_int(node) > p->max)) {
        REFUSE(error, PARAMS, "'%s' has to be from %" PRId64 " to %" PRId64
               ": %s", p->name, p->min, p->max, p->help);
        return false;
    }
    return true;
}

static bool is_param(const RpcMethod *m, const char *name)
{
    for (const RpcParam *p = m->param; p->name; p++) {
        if (!strcmp(p->name, name)) {
            return true;
        }
    }
    return false;
}

static char *names_of_params(const RpcMethod *m)
{
    GString *names = g_string_new(NULL);

    for (const RpcParam *p = m->param; p->name; p++) {
        g_string_append_printf(names, "%s'%s'", p == m->param ? "" : ", ",
                               p->name);
    }
    return g_string_free(names, false);
}

static bool check_params(const RpcMethod *m, JsonObject *params,
                         GError **error)
{
    g_autoptr(GList) names = json_object_get_members(params);

    for (GList *name = names; name; name = name->next) {
        if (!is_param(m, name->data)) {
            g_autofree char *all = names_of_params(m);

            REFUSE(error, PARAMS, "%s has no parameter '%s'; it has %s",
                   m->name, (char *)name->data, *all ? all : "none");
            return false;
        }
    }
    for (const RpcParam *p = m->param; p->name; p++) {
        if (!check_param(m, p, json_object_get_member(params, p->name),
                         error)) {
            return false;
        }
    }
    return true;
}

/* Parameters by position get their names. */
static JsonObject *name_params(const RpcMethod *m, JsonArray *given,
                               GError **error)
{
    unsigned n = json_array_get_length(given);
    JsonObject *params = json_object_new();

    for (unsigned i = 0; i < n; i++) {
        if (!m->param[i].name) {
            REFUSE(error, PARAMS, "%s has at most %u parameters, not %u",
                   m->name, i, n);
            json_object_unref(params);
            return NULL;
        }
        json_object_set_member(params, m->param[i].name,
                               json_array_dup_element(given, i));
    }
    return params;
}

static JsonObject *take_params(const RpcMethod *m, JsonObject *request,
                               GError **error)
{
    JsonNode *given = json_object_get_member(request, "params");
    JsonObject *params;

    if (!given) {
        params = json_object_new();
    } else if (JSON_NODE_HOLDS_OBJECT(given)) {
        params = json_node_dup_object(given);
    } else if (JSON_NODE_HOLDS_ARRAY(given)) {
        params = name_params(m, json_node_get_array(given), error);
    } else {
        REFUSE(error, PARAMS, "'params' has to be an object or an array");
        return NULL;
    }
    if (params && !check_params(m, params, error)) {
        g_clear_pointer(&params, json_object_unref);
    }
    return params;
}

/* -- Answers --------------------------------------------------------------- */

static JsonNode *node_of(JsonObject *object)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    return node;
}

/* @id: NULL, it is not known. */
static JsonObject *begin_answer(JsonNode *id)
{
    JsonObject *answer = json_object_new();

    json_object_set_string_member(answer, "jsonrpc", "2.0");
    json_object_set_member(answer, "id", id ? json_node_copy(id) :
                           json_node_new(JSON_NODE_NULL));
    return answer;
}

static JsonNode *make_error(JsonNode *id, int code, const char *message)
{
    JsonObject *answer = begin_answer(id), *error = json_object_new();

    json_object_set_int_member(error, "code", code);
    json_object_set_string_member(error, "message", message);
    json_object_set_object_member(answer, "error", error);
    return node_of(answer);
}

static JsonNode *make_refusal(JsonNode *id, const GError *error)
{
    return make_error(id, error->domain == RPC_ERROR ? error->code :
                          RPC_ERROR_FAILED, error->message);
}

static char *text_of(JsonNode *node)
{
    char *text = json_to_string(node, false);

    json_node_unref(node);
    return text;
}

char *rpc_refusal(RpcError code, const char *message)
{
    return text_of(make_error(NULL, code, message));
}

/* -- Requests -------------------------------------------------------------- */

/* Strings, integers and null can be given back as they are. */
static bool is_id(JsonNode *id)
{
    return JSON_NODE_HOLDS_NULL(id) ||
           (JSON_NODE_HOLDS_VALUE(id) &&
            (json_node_get_value_type(id) == G_TYPE_STRING ||
             json_node_get_value_type(id) == G_TYPE_INT64));
}

static const char *string_in(JsonObject *request, const char *name)
{
    JsonNode *node = json_object_get_member(request, name);

    return node && JSON_NODE_HOLDS_VALUE(node) &&
           json_node_get_value_type(node) == G_TYPE_STRING ?
           json_node_get_string(node) : NULL;
}

static const RpcMethod *find_method(const RpcMethod *methods, const char *name,
                                    GError **error)
{
    for (; methods->name; methods++) {
        if (!strcmp(methods->name, name)) {
            return methods;
        }
    }
    REFUSE(error, METHOD, "there is no method '%s'; 'methods' lists them",
           name);
    return NULL;
}

static JsonNode *call(const RpcMethod *methods, void *opaque,
                      JsonObject *request, GError **error)
{
    const RpcMethod *m = find_method(methods, string_in(request, "method"),
                                     error);
    g_autoptr(JsonObject) params = m ? take_params(m, request, error) : NULL;

    return params ? m->call(opaque, params, error) : NULL;
}

static bool check_request(JsonNode *node, GError **error)
{
    JsonObject *request;
    JsonNode *id;

    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        REFUSE(error, REQUEST, "a request is an object, like {\"jsonrpc\": "
               "\"2.0\", \"id\": 1, \"method\": \"methods\"}");
        return false;
    }
    request = json_node_get_object(node);
    id = json_object_get_member(request, "id");
    if (id && !is_id(id)) {
        REFUSE(error, REQUEST, "'id' has to be a string, an integer or null");
        return false;
    }
    if (g_strcmp0(string_in(request, "jsonrpc"), "2.0")) {
        REFUSE(error, REQUEST, "a request has \"jsonrpc\": \"2.0\"");
        return false;
    }
    if (!string_in(request, "method")) {
        REFUSE(error, REQUEST, "a request has a 'method', which is a string");
        return false;
    }
    return true;
}

/* NULL: no answer is due. */
static JsonNode *answer_one(const RpcMethod *methods, void *opaque,
                            JsonNode *node)
{
    g_autoptr(GError) error = NULL;
    JsonObject *request, *answer;
    JsonNode *id = NULL, *result;

    if (!check_request(node, &error)) {
        if (JSON_NODE_HOLDS_OBJECT(node)) {
            id = json_object_get_member(json_node_get_object(node), "id");
        }
        return make_refusal(id && is_id(id) ? id : NULL, error);
    }
    request = json_node_get_object(node);
    id = json_object_get_member(request, "id");
    result = call(methods, opaque, request, &error);
    g_assert(!result != !error);
    if (!id) {
        g_clear_pointer(&result, json_node_unref);
        return NULL;
    }
    if (!result) {
        return make_refusal(id, error);
    }
    answer = begin_answer(id);
    json_object_set_member(answer, "result", result);
    return node_of(answer);
}

/* -- Batches --------------------------------------------------------------- */

/* Takes @answer. */
static void append_answer(GString *all, JsonNode *answer)
{
    g_autofree char *text = text_of(answer);

    g_string_append_printf(all, "%s%s", all->len > 1 ? "," : "", text);
}

static JsonNode *too_long(JsonNode *node)
{
    JsonNode *id = JSON_NODE_HOLDS_OBJECT(node) ?
        json_object_get_member(json_node_get_object(node), "id") : NULL;

    return make_error(id && is_id(id) ? id : NULL, RPC_ERROR_TOO_MUCH,
                      "not done: the answers before it are longer than 1 MiB; "
                      "ask for less in one batch");
}

static char *answer_batch(const RpcMethod *methods, void *opaque,
                          JsonArray *batch)
{
    unsigned n = json_array_get_length(batch);
    GString *all;

    if (n == 0) {
        return rpc_refusal(RPC_ERROR_REQUEST, "a batch has at least one "
                           "request");
    }
    if (n > RPC_MAX_BATCH) {
        return rpc_refusal(RPC_ERROR_REQUEST, "a batch has at most "
                           G_STRINGIFY(RPC_MAX_BATCH) " requests: send "
                           "several");
    }
    all = g_string_new("[");
    for (unsigned i = 0; i < n; i++) {
        JsonNode *node = json_array_get_element(batch, i);
        JsonNode *answer = all->len > RPC_MAX_BATCH_BYTES ? too_long(node) :
                           answer_one(methods, opaque, node);

        if (answer) {
            append_answer(all, answer);
        }
    }
    g_string_append_c(all, ']');
    return g_string_free(all, all->len == 2);
}

/* -- Text ------------------------------------------------------------------ */

char *rpc_answer(const RpcMethod *methods, void *opaque, const char *text,
                 size_t bytes)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) error = NULL;
    JsonNode *root, *answer;

    if (!json_guard_check(text, bytes, &error) ||
        !json_parser_load_from_data(parser, text, bytes, &error)) {
        g_prefix_error(&error, "no JSON: ");
        return rpc_refusal(RPC_ERROR_PARSE, error->message);
    }
    root = json_parser_get_root(parser);
    if (JSON_NODE_HOLDS_ARRAY(root)) {
        return answer_batch(methods, opaque, json_node_get_array(root));
    }
    answer = answer_one(methods, opaque, root);
    return answer ? text_of(answer) : NULL;
}

/* -- For methods ----------------------------------------------------------- */

const char *rpc_string(JsonObject *params, const char *name,
                       const char *otherwise)
{
    return json_object_has_member(params, name) ?
           json_object_get_string_member(params, name) : otherwise;
}

int64_t rpc_number(JsonObject *params, const char *name, int64_t otherwise)
{
    return json_object_has_member(params, name) ?
           json_object_get_int_member(params, name) : otherwise;
}

bool rpc_boolean(JsonObject *params, const char *name, bool otherwise)
{
    return json_object_has_member(params, name) ?
           json_object_get_boolean_member(params, name) : otherwise;
}

void rpc_set_number(JsonObject *object, const char *name, uint64_t number)
{
    json_object_set_int_member(object, name, MIN(number, RPC_MAX_NUMBER));
}

static JsonObject *describe_param(const RpcParam *p)
{
    static const char *const type[] = {
        [RPC_STRING] = "string", [RPC_BOOLEAN] = "boolean",
        [RPC_NUMBER] = "integer", [RPC_OBJECT] = "object",
    };
    JsonObject *shown = json_object_new();

    json_object_set_string_member(shown, "name", p->name);
    json_object_set_string_member(shown, "type", type[p->type]);
    json_object_set_boolean_member(shown, "required", p->required);
    json_object_set_string_member(shown, "help", p->help);
    return shown;
}

JsonNode *rpc_describe(const RpcMethod *methods)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);
    JsonArray *all = json_array_new();

    for (const RpcMethod *m = methods; m->name; m++) {
        JsonObject *shown = json_object_new();
        JsonArray *params = json_array_new();

        for (const RpcParam *p = m->param; p->name; p++) {
            json_array_add_object_element(params, describe_param(p));
        }
        json_object_set_string_member(shown, "name", m->name);
        json_object_set_string_member(shown, "help", m->help);
        json_object_set_array_member(shown, "params", params);
        json_array_add_object_element(all, shown);
    }
    json_node_take_array(node, all);
    return node;
}
