/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON-RPC as text: what is called, what is answered, and texts that are no
 * JSON or no request.
 *
 * Threads: single.
 */
#include <string.h>

#include "json-guard.h"
#include "rpc.h"

/* -- Methods to be called -------------------------------------------------- */

static unsigned calls;

static JsonNode *new_string(const char *text)
{
    return json_node_init_string(json_node_alloc(), text);
}

/* What it was given. */
static JsonNode *call_take(void *opaque, JsonObject *params, GError **error)
{
    g_autofree char *text = g_strdup_printf(
        "%s %d %d", rpc_string(params, "text", "-"),
        (int)rpc_number(params, "number", -1),
        rpc_boolean(params, "flag", false));

    g_assert_true(opaque == &calls);
    calls++;
    return new_string(text);
}

static JsonNode *call_fail(void *opaque, JsonObject *params, GError **error)
{
    if (rpc_boolean(params, "own", false)) {
        g_set_error(error, RPC_ERROR, RPC_ERROR_NO_PORT, "no such \"port\"");
    } else {
        g_set_error(error, JSON_GUARD_ERROR, 77, "of another domain");
    }
    return NULL;
}

static JsonNode *call_long(void *opaque, JsonObject *params, GError **error)
{
    g_autofree char *text = g_strnfill(RPC_MAX_BATCH_BYTES / 3, 'x');

    calls++;
    return new_string(text);
}

static const RpcMethod methods[] = {
    { "take", "Take parameters.", call_take, {
          { "text", RPC_STRING, .required = true, .help = "any text" },
          { "number", RPC_NUMBER, .min = 1, .max = 10, .help = "a number" },
          { "flag", RPC_BOOLEAN, .help = "a flag" },
          { "things", RPC_OBJECT, .help = "an object" } } },
    { "fail", "Fail.", call_fail, {
          { "own", RPC_BOOLEAN, .help = "with a code of its own" } } },
    { "long", "Answer with a long text.", call_long, { { 0 } } },
    { 0 },
};

static char *answer(const char *text)
{
    return rpc_answer(methods, &calls, text, strlen(text));
}

static void expect(const char *request, const char *expected)
{
    g_autofree char *got = answer(request);

    g_assert_cmpstr(got, ==, expected);
}

/* An error with that code, and @part in its message. */
static void expect_error(const char *request, const char *id, int code,
                         const char *part)
{
    g_autofree char *got = answer(request);
    g_autofree char *begin = g_strdup_printf(
        "{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":%d,\"message\":\"",
        id, code);

    if (!got || !g_str_has_prefix(got, begin) || !strstr(got, part)) {
        g_error("'%s' is answered with '%s' and not with '%s...%s'", request,
                got, begin, part);
    }
}

#define CALL(id, method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method \
    "\",\"params\":" params "}"
#define RESULT(id, result) \
    "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":" result "}"

/* -- Requests -------------------------------------------------------------- */

static void test_call(void)
{
    expect(CALL("1", "take", "{\"text\":\"a\"}"), RESULT("1", "\"a -1 0\""));
    expect(CALL("\"x\"", "take",
                "{\"flag\":true,\"number\":10,\"text\":\"\",\"things\":{}}"),
           RESULT("\"x\"", "\" 10 1\""));
    expect(CALL("null", "take", "[\"b\",3,true]"),
           RESULT("null", "\"b 3 1\""));
    expect(CALL("-5", "take", "[\"\\u00e4\\ud83d\\ude00\"]"),
           RESULT("-5", "\"\xc3\xa4\xf0\x9f\x98\x80 -1 0\""));
    expect(" \t" CALL("1", "take", "[\"b\"]") "\r\n",
           RESULT("1", "\"b -1 0\""));
    expect_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"take\"}", "1",
                 -32602, "take needs the parameter 'text': any text");
}

static void test_params(void)
{
    static const struct {
        const char *params, *wrong;
    } wrong[] = {
        { "{\"text\":5}", "'text' has to be a string: any text" },
        { "{\"text\":null}", "'text' has to be a string" },
        { "{\"text\":[]}", "'text' has to be a string" },
        { "{\"text\":\"a\",\"number\":\"5\"}",
          "'number' has to be an integer" },
        { "{\"text\":\"a\",\"number\":5.0}", "'number' has to be an integer" },
        { "{\"text\":\"a\",\"number\":1e1}", "'number' has to be an integer" },
        { "{\"text\":\"a\",\"number\":0}", "'number' has to be from 1 to 10" },
        { "{\"text\":\"a\",\"number\":11}",
          "'number' has to be from 1 to 10" },
        { "{\"text\":\"a\",\"flag\":1}", "'flag' has to be true or false" },
        { "{\"text\":\"a\",\"things\":[]}", "'things' has to be an object" },
        { "{\"text\":\"a\",\"colour\":1}", "take has no parameter 'colour'; "
          "it has 'text', 'number', 'flag', 'things'" },
        { "[]", "take needs the parameter 'text'" },
        { "[\"a\",1,true,{},5]", "take has at most 4 parameters, not 5" },
        { "[5]", "'text' has to be a string" },
        { "5", "'params' has to be an object or an array" },
        { "null", "'params' has to be an object or an array" },
    };

    calls = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *request = g_strdup_printf(
            CALL("7", "take", "%s"), wrong[i].params);

        expect_error(request, "7", RPC_ERROR_PARAMS, wrong[i].wrong);
    }
    g_assert_cmpuint(calls, ==, 0);
    expect_error(CALL("1", "long", "{\"a\":1}"), "1", RPC_ERROR_PARAMS,
                 "long has no parameter 'a'; it has none");
}

static void test_failures(void)
{
    expect_error(CALL("1", "fail", "{\"own\":true}"), "1", RPC_ERROR_NO_PORT,
                 "no such \\\"port\\\"");
    expect_error(CALL("1", "fail", "{}"), "1", RPC_ERROR_FAILED,
                 "of another domain");
    expect_error(CALL("1", "nothing", "{}"), "1", RPC_ERROR_METHOD,
                 "there is no method 'nothing'; 'methods' lists them");
}

/* Without an id: it is done, and nothing is said. */
static void test_notification(void)
{
    calls = 0;
    expect("{\"jsonrpc\":\"2.0\",\"method\":\"take\",\"params\":[\"a\"]}",
           NULL);
    g_assert_cmpuint(calls, ==, 1);
    expect("{\"jsonrpc\":\"2.0\",\"method\":\"take\"}", NULL);
    expect("{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}", NULL);
    expect("{\"jsonrpc\":\"2.0\",\"method\":\"fail\"}", NULL);
    g_assert_cmpuint(calls, ==, 1);
}

static void test_no_request(void)
{
    static const struct {
        const char *text, *id, *wrong;
    } wrong[] = {
        { "5", "null", "a request is an object" },
        { "null", "null", "a request is an object" },
        { "\"take\"", "null", "a request is an object" },
        { "{}", "null", "a request has \\\"jsonrpc\\\"" },
        { "{\"jsonrpc\":\"1.0\",\"id\":3,\"method\":\"take\"}", "3",
          "a request has \\\"jsonrpc\\\"" },
        { "{\"jsonrpc\":2.0,\"id\":3,\"method\":\"take\"}", "3",
          "a request has \\\"jsonrpc\\\"" },
        { "{\"jsonrpc\":\"2.0\",\"id\":3}", "3", "has a 'method'" },
        { "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":5}", "3",
          "has a 'method'" },
        { "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"take\"}", "null",
          "'id' has to be" },
        { "{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"take\"}", "null",
          "'id' has to be" },
        { "{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"take\"}", "null",
          "'id' has to be" },
        { "[]", "null", "a batch has at least one request" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        expect_error(wrong[i].text, wrong[i].id, RPC_ERROR_REQUEST,
                     wrong[i].wrong);
    }
}

/* -- Batches --------------------------------------------------------------- */

static void test_batch(void)
{
    g_autofree char *wrong = NULL;

    expect("[" CALL("1", "take", "[\"a\"]") ","
           CALL("2", "take", "[\"b\"]") "]",
           "[" RESULT("1", "\"a -1 0\"") "," RESULT("2", "\"b -1 0\"") "]");
    expect("[{\"jsonrpc\":\"2.0\",\"method\":\"take\",\"params\":[\"n\"]},"
           CALL("2", "take", "[\"b\"]") "]",
           "[" RESULT("2", "\"b -1 0\"") "]");
    expect("[{\"jsonrpc\":\"2.0\",\"method\":\"take\",\"params\":[\"n\"]}]",
           NULL);
    wrong = answer("[1,[]]");
    g_assert_cmpint(wrong[0], ==, '[');
    g_assert_nonnull(strstr(strstr(wrong, "-32600") + 1, "-32600"));
}

static void test_batch_too_many(void)
{
    g_autoptr(GString) batch = g_string_new("[1");
    g_autofree char *fits = NULL;

    for (unsigned i = 1; i < RPC_MAX_BATCH; i++) {
        g_string_append(batch, ",1");
    }
    g_string_append_c(batch, ']');
    fits = answer(batch->str);
    g_assert_cmpint(fits[0], ==, '[');
    g_string_insert(batch, 1, "1,");
    expect_error(batch->str, "null", RPC_ERROR_REQUEST,
                 "a batch has at most 64 requests");
}

/* Long answers: what does not fit is not done, and says so. */
static void test_batch_too_long(void)
{
    g_autoptr(GString) batch = g_string_new("[");
    g_autofree char *got = NULL;
    g_autoptr(JsonNode) root = NULL;
    JsonArray *answers;

    for (unsigned i = 0; i < 10; i++) {
        g_string_append_printf(batch, "%s" CALL("%u", "long", "{}"),
                               i ? "," : "", i);
    }
    g_string_append_c(batch, ']');
    calls = 0;
    got = answer(batch->str);
    root = json_from_string(got, NULL);
    answers = json_node_get_array(root);
    g_assert_cmpuint(json_array_get_length(answers), ==, 10);
    g_assert_cmpuint(calls, >=, 3);
    g_assert_cmpuint(calls, <, 6);
    for (unsigned i = 0; i < 10; i++) {
        JsonObject *one = json_array_get_object_element(answers, i);

        g_assert_cmpint(json_object_get_int_member(one, "id"), ==, i);
        g_assert_true(json_object_has_member(one, "result") == (i < calls));
        if (i >= calls) {
            JsonObject *error = json_object_get_object_member(one, "error");

            g_assert_cmpint(json_object_get_int_member(error, "code"), ==,
                            RPC_ERROR_TOO_MUCH);
        }
    }
}

/* -- Texts ----------------------------------------------------------------- */

/* What is answered can be read by whoever has 64 bits, and by ourselves. */
static void test_numbers(void)
{
    static const uint64_t number[] = { 0, 7, RPC_MAX_NUMBER,
                                       RPC_MAX_NUMBER + 1, INT64_MAX,
                                       UINT64_MAX };

    for (unsigned i = 0; i < G_N_ELEMENTS(number); i++) {
        g_autoptr(JsonObject) object = json_object_new();
        g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
        g_autofree char *text = NULL;

        rpc_set_number(object, "n", number[i]);
        g_assert_cmpuint(json_object_get_int_member(object, "n"), ==,
                         MIN(number[i], RPC_MAX_NUMBER));
        json_node_set_object(node, object);
        text = json_to_string(node, false);
        g_assert_true(json_guard_check(text, strlen(text), NULL));
    }
}

static void test_describe(void)
{
    g_autoptr(JsonNode) node = rpc_describe(methods);
    JsonArray *all = json_node_get_array(node);
    JsonObject *take = json_array_get_object_element(all, 0);
    JsonArray *params = json_object_get_array_member(take, "params");
    JsonObject *number = json_array_get_object_element(params, 1);

    g_assert_cmpuint(json_array_get_length(all), ==, 3);
    g_assert_cmpstr(json_object_get_string_member(take, "name"), ==, "take");
    g_assert_cmpuint(json_array_get_length(params), ==, 4);
    g_assert_cmpstr(json_object_get_string_member(number, "type"), ==,
                    "integer");
    g_assert_false(json_object_get_boolean_member(number, "required"));
}

static const char *const valid[] = {
    "0", "-0", "10", "-1.5e+10", "1E5", "123456789012345678", "\"\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"", "\"\\ud83d\\ude00\"",
    "\"\xc3\xa4\x7f\"", "true", "false", "null", "[]", "{}", " [ 1 , 2 ] ",
    "{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":[]}", "[[],[[]],{}]",
    "{ \"a\" : 1 , \"a\" : 2 }", "\n\t\r 1",
};

/* Each with the byte at which it goes wrong. */
static const struct {
    const char *text, *wrong;
} invalid[] = {
    { "", "byte 1: a value" },
    { " ", "byte 2: a value" },
    { "nul", "byte 1: a value" },
    { "var a = 1", "byte 1: a value" },
    { "// x\n1", "byte 1: a value" },
    { "01", "byte 2: nothing behind" },
    { "+1", "byte 1: a value" },
    { "-", "byte 2: a digit" },
    { "1.", "byte 3: a digit" },
    { ".5", "byte 1: a value" },
    { "1e", "byte 3: a digit" },
    { "1234567890123456789", "byte 1: a number of at most 18 digits" },
    { "1.1234567890123456789", "byte 3: a number of at most 18" },
    { "NaN", "byte 1: a value" },
    { "'a'", "byte 1: a value" },
    { "\"a", "byte 3: the string's closing" },
    { "\"\\", "byte 3: one of" },
    { "\"\\x\"", "byte 3: one of" },
    { "\"\\u12g4\"", "byte 6: four hexadecimal" },
    { "\"\\u12", "byte 6: four hexadecimal" },
    { "\"\\u0000\"", "byte 4: another character than 0" },
    { "\"\\ud83d\"", "byte 4: a whole pair" },
    { "\"\\ud83dx\"", "byte 4: a whole pair" },
    { "\"\\ud83d\\u0041\"", "byte 4: a whole pair" },
    { "\"\\ude00\\ud83d\"", "byte 4: a whole pair" },
    { "\"\t\"", "byte 2: a control character" },
    { "\"\n\"", "byte 2: a control character" },
    { "\"\xff\"", "byte 2: not valid UTF-8" },
    { "\"\xed\xa0\x80\"", "byte 2: not valid UTF-8" },
    { "[", "byte 2: a value" },
    { "[1", "byte 3: ',' or ']'" },
    { "[1,]", "byte 4: a value" },
    { "[,1]", "byte 2: a value" },
    { "[1 2]", "byte 4: ',' or ']'" },
    { "[1}", "byte 3: ',' or ']'" },
    { "]", "byte 1: a value" },
    { "{", "byte 2: a string" },
    { "{1:2}", "byte 2: a string" },
    { "{\"a\"}", "byte 5: ':'" },
    { "{\"a\":}", "byte 6: a value" },
    { "{\"a\":1,}", "byte 8: a string" },
    { "{\"a\":1]", "byte 7: ',' or '}'" },
    { "{a:1}", "byte 2: a string" },
    { "1 2", "byte 3: nothing behind" },
    { "{}{}", "byte 3: nothing behind" },
};

static void test_guard(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(valid); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = NULL;

        json_guard_check(valid[i], strlen(valid[i]), &error);
        g_assert_no_error(error);
        node = json_from_string(valid[i], &error);
        g_assert_no_error(error);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(invalid); i++) {
        g_autoptr(GError) error = NULL;

        if (json_guard_check(invalid[i].text, strlen(invalid[i].text),
                             &error)) {
            g_error("'%s' was taken", invalid[i].text);
        }
        if (!g_str_has_prefix(error->message, invalid[i].wrong)) {
            g_error("'%s': '%s' does not begin with '%s'", invalid[i].text,
                    error->message, invalid[i].wrong);
        }
    }
    /* A zero byte is none of the blanks. */
    g_assert_false(json_guard_check("1\0", 2, NULL));
    g_assert_false(json_guard_check("\0", 1, NULL));
}

static char *nested(const char *open, const char *inside, const char *close,
                    unsigned depth)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < depth; i++) {
        g_string_append(text, open);
    }
    g_string_append(text, inside);
    for (unsigned i = 0; i < depth; i++) {
        g_string_append(text, close);
    }
    return g_string_free(text, false);
}

static void test_depth(void)
{
    static const struct {
        const char *open, *inside, *close;
    } kind[] = { { "[", "", "]" }, { "{\"a\":", "1", "}" },
                 { "[{\"a\":", "1", "}]" } };

    for (unsigned i = 0; i < G_N_ELEMENTS(kind); i++) {
        unsigned each = strlen(kind[i].close);
        g_autofree char *fits = nested(kind[i].open, kind[i].inside,
                                       kind[i].close,
                                       JSON_GUARD_MAX_DEPTH / each);
        g_autofree char *deep = nested(kind[i].open, kind[i].inside,
                                       kind[i].close,
                                       JSON_GUARD_MAX_DEPTH / each + 1);
        g_autofree char *abyss = nested(kind[i].open, "", "", 1000000);
        g_autoptr(GError) error = NULL;

        g_assert_true(json_guard_check(fits, strlen(fits), NULL));
        g_assert_false(json_guard_check(deep, strlen(deep), &error));
        g_assert_nonnull(strstr(error->message, "deeper than 32 levels"));
        g_assert_false(json_guard_check(abyss, strlen(abyss), NULL));
        expect_error(deep, "null", RPC_ERROR_PARSE, "no JSON: byte ");
    }
}

/* Wrong bytes anywhere: there is an answer, and it is JSON. */
static void test_mutations(void)
{
    static const char request[] =
        "[" CALL("\"\\ud83d\\ude00\"", "take", "{\"text\":\"a\\u00e4\","
                 "\"number\":3,\"flag\":true,\"things\":{\"a\":[1.5e3]}}") ","
        CALL("2", "fail", "[false]") "]";

    for (unsigned i = 0; i < 20000; i++) {
        g_autofree char *text = g_strdup(request);
        g_autofree char *got = NULL;
        unsigned wrong = g_test_rand_int_range(1, 4);

        for (unsigned k = 0; k < wrong; k++) {
            unsigned at = g_test_rand_int_range(0, sizeof(request) - 1);

            text[at] = g_test_rand_bit() ? g_test_rand_int_range(0, 256) :
                "[]{}\":,\\u0d8 -.e"[g_test_rand_int_range(0, 16)];
        }
        got = rpc_answer(methods, &calls, text, sizeof(request) - 1);
        if (got) {
            g_autoptr(GError) error = NULL;
            g_autoptr(JsonNode) node = NULL;

            json_guard_check(got, strlen(got), &error);
            g_assert_no_error(error);
            node = json_from_string(got, &error);
            g_assert_no_error(error);
            g_assert_null(strchr(got, '\n'));
        }
    }
}

static void test_refusal(void)
{
    g_autofree char *text = rpc_refusal(RPC_ERROR_TOO_MUCH, "a\n\"b\"");

    g_assert_cmpstr(text, ==, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":"
                    "{\"code\":7,\"message\":\"a\\n\\\"b\\\"\"}}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-rpc/call", test_call);
    g_test_add_func("/vus-rpc/params", test_params);
    g_test_add_func("/vus-rpc/failures", test_failures);
    g_test_add_func("/vus-rpc/notification", test_notification);
    g_test_add_func("/vus-rpc/no-request", test_no_request);
    g_test_add_func("/vus-rpc/batch", test_batch);
    g_test_add_func("/vus-rpc/batch-too-many", test_batch_too_many);
    g_test_add_func("/vus-rpc/batch-too-long", test_batch_too_long);
    g_test_add_func("/vus-rpc/numbers", test_numbers);
    g_test_add_func("/vus-rpc/describe", test_describe);
    g_test_add_func("/vus-rpc/guard", test_guard);
    g_test_add_func("/vus-rpc/depth", test_depth);
    g_test_add_func("/vus-rpc/mutations", test_mutations);
    g_test_add_func("/vus-rpc/refusal", test_refusal);
    return g_test_run();
}
