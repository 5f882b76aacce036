/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Texts: what a client of the control socket says, and what stands in a
 * configuration file.  The first byte chooses.
 *
 * Whatever is asked, an answer is a line of JSON.  What is taken of a
 * configuration is written, and reads back as the same.  The switch itself is
 * not asked: that could do anything to this machine.
 *
 * Threads: none.
 */
#include <stdbool.h>

#include "config-file.h"
#include "fuzz-input.h"
#include "json-guard.h"
#include "rpc.h"

/* -- A method for each type of parameter ----------------------------------- */

static JsonNode *call_take(void *opaque, JsonObject *params, GError **error)
{
    const char *text = rpc_string(params, "text", "");
    int64_t number = rpc_number(params, "number", 7);

    assert(g_utf8_validate(text, -1, NULL));
    assert(number >= -7 && number <= 7);
    if (rpc_boolean(params, "fail", false)) {
        g_set_error(error, RPC_ERROR, RPC_ERROR_FAILED, "%s", text);
        return NULL;
    }
    return json_node_init_string(json_node_alloc(), text);
}

/* What is in both is the same. */
static void compare_settings(const PortSettings *one,
                             const PortSettings *other)
{
    for (const char *const *key = port_settings_keys(); *key; key++) {
        g_autofree char *a = port_settings_get(one, *key);
        g_autofree char *b = port_settings_get(other, *key);

        assert(g_strcmp0(a, b) == 0);
    }
}

/* What was set is got, and sets the same. */
static void check_settings(const PortSettings *s)
{
    PortSettings again;

    port_settings_init(&again);
    for (const char *const *key = port_settings_keys(); *key; key++) {
        g_autofree char *value = port_settings_get(s, *key);

        assert(!value || port_settings_set(&again, *key, value, NULL));
    }
    compare_settings(s, &again);
    port_settings_clear(&again);
}

static JsonNode *call_set(void *opaque, JsonObject *params, GError **error)
{
    JsonObject *given = json_object_get_object_member(params, "settings");
    g_autoptr(GList) keys = json_object_get_members(given);
    PortSettings s, before;

    port_settings_init(&s);
    for (GList *key = keys; key; key = key->next) {
        JsonNode *value = json_object_get_member(given, key->data);
        g_autoptr(GError) wrong = NULL;

        if (!JSON_NODE_HOLDS_VALUE(value) ||
            json_node_get_value_type(value) != G_TYPE_STRING) {
            continue;
        }
        port_settings_copy(&before, &s);
        if (!port_settings_set(&s, key->data, json_node_get_string(value),
                               &wrong)) {
            assert(wrong && g_utf8_validate(wrong->message, -1, NULL));
            compare_settings(&s, &before);
        }
        port_settings_clear(&before);
    }
    check_settings(&s);
    port_settings_check_named(&s, "p", NULL);
    port_settings_clear(&s);
    return json_node_new(JSON_NODE_NULL);
}

static const RpcMethod methods[] = {
    { "take", "Take parameters.", call_take, {
          { "text", RPC_STRING, .help = "a text" },
          { "number", RPC_NUMBER, .min = -7, .max = 7, .help = "a number" },
          { "fail", RPC_BOOLEAN, .help = "whether to" } } },
    { "set", "Set them.", call_set, {
          { "settings", RPC_OBJECT, .required = true, .help = "of a port" } } },
    { 0 },
};

/* -- Texts ----------------------------------------------------------------- */

static void ask(const char *text, size_t bytes)
{
    g_autofree char *answer = rpc_answer(methods, NULL, text, bytes);
    g_autoptr(JsonNode) node = NULL;

    if (answer) {
        assert(json_guard_check(answer, strlen(answer), NULL));
        assert(!strchr(answer, '\n'));
        node = json_from_string(answer, NULL);
        assert(node);
    }
}

/* Adds all of it, if it goes together; the text of that. */
static char *read_config(const char *text, size_t bytes)
{
    g_autoptr(DaemonConfig) c = daemon_config_new();
    g_autoptr(GError) error = NULL;

    if (!config_file_parse(c, "file", text, bytes, &error) ||
        !daemon_config_check(c, &error)) {
        assert(error && g_utf8_validate(error->message, -1, NULL));
        return NULL;
    }
    return config_file_text(c);
}

static void configure(const char *text, size_t bytes)
{
    g_autofree char *once = read_config(text, bytes);

    if (once) {
        g_autofree char *twice = read_config(once, strlen(once));

        assert(twice && strcmp(once, twice) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = { data, size };
    bool is_config = fuzz_take(&input, 1) & 1;
    size_t bytes;
    /* A config is a C string, too. */
    g_autofree char *text = g_strndup((const char *)input.data,
                                      input.left_bytes);

    bytes = is_config ? strlen(text) : input.left_bytes;
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
    if (is_config) {
        configure(text, bytes);
    } else {
        /* No byte behind it may be read. */
        uint8_t *exact = fuzz_take_frame(&input, 0, &bytes);

        ask((const char *)exact, bytes);
        free(exact);
    }
    return 0;
}
