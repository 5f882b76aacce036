/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "methods-bed.h"

Bed *bed_new(void)
{
    Bed *bed = g_new0(Bed, 1);
    g_autoptr(GError) error = NULL;
    SwitchConfig cfg;

    switch_config_init(&cfg);
    cfg.idle_us = 0;
    bed->context.sw = switch_new(&cfg, &error);
    g_assert_no_error(error);
    bed->context.control = "/run/c.sock";
    return bed;
}

void bed_free(Bed *bed)
{
    switch_free(bed->context.sw);
    g_free(bed);
}

/* -- Calls ----------------------------------------------------------------- */

JsonObject *call(Bed *bed, const char *method, const char *params)
{
    g_autofree char *request = g_strdup_printf(
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
        method, params);
    g_autofree char *answer = rpc_answer(rpc_methods(), &bed->context,
                                         request, strlen(request));
    g_autoptr(JsonNode) node = json_from_string(answer, NULL);

    g_assert_nonnull(node);
    return json_object_ref(json_node_get_object(node));
}

char *result_of(Bed *bed, const char *method, const char *params)
{
    g_autoptr(JsonObject) answer = call(bed, method, params);
    JsonNode *result = json_object_get_member(answer, "result");

    if (!result) {
        g_error("%s %s failed: %s", method, params,
                json_object_get_string_member(
                    json_object_get_object_member(answer, "error"),
                    "message"));
    }
    return json_to_string(result, false);
}

void expect(Bed *bed, const char *method, const char *params,
            const char *expected)
{
    g_autofree char *result = result_of(bed, method, params);

    g_assert_cmpstr(result, ==, expected);
}

void expect_part(Bed *bed, const char *method, const char *params,
                 const char *part)
{
    g_autofree char *result = result_of(bed, method, params);

    if (!strstr(result, part)) {
        g_error("%s: '%s' lacks '%s'", method, result, part);
    }
}

void expect_error(Bed *bed, const char *method, const char *params,
                  int code, const char *part)
{
    g_autoptr(JsonObject) answer = call(bed, method, params);
    JsonObject *error;
    const char *message;

    if (!json_object_has_member(answer, "error")) {
        g_error("%s %s did not fail", method, params);
    }
    error = json_object_get_object_member(answer, "error");
    message = json_object_get_string_member(error, "message");
    if (json_object_get_int_member(error, "code") != code ||
        !strstr(message, part)) {
        g_error("%s %s: %d '%s', not %d '%s'", method, params,
                (int)json_object_get_int_member(error, "code"), message, code,
                part);
    }
}

void expect_not(Bed *bed, const char *method, const char *params,
                const char *part)
{
    g_autofree char *result = result_of(bed, method, params);

    if (strstr(result, part)) {
        g_error("%s: '%s' has '%s'", method, result, part);
    }
}

void add_port(Bed *bed, const char *name, const char *settings)
{
    g_autofree char *params = g_strdup_printf(
        "{\"name\":\"%s\",\"settings\":{%s}}", name, settings);

    g_free(result_of(bed, "port.add", params));
}

void add_dummy(Bed *bed, const char *name)
{
    add_port(bed, name, "\"type\":\"dummy\"");
}

void inject(Bed *bed, const char *port, const char *frame)
{
    g_autofree char *params = g_strdup_printf(
        "{\"name\":\"%s\",\"frame\":\"%s\"}", port, frame);

    expect(bed, "dummy.inject", params, "true");
}
