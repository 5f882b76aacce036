/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every method of the control socket, on a switch with dummy ports: what goes
 * in and out of them is decided in this thread, so nothing has to be waited
 * for.
 *
 * Threads: single; the switch's worker has no queue to serve.
 */
#include <string.h>
#include <unistd.h>

#include "methods-bed.h"

#define ANY_MAC_A "525400000001"
#define ANY_MAC_B "525400000002"
#define BROADCAST "ffffffffffff"
#define REST "08004500001c0000000040110000c0000201c00002020007000700080000"

/* -- What there is --------------------------------------------------------- */

static void test_about(void)
{
    Bed *bed = bed_new();
    g_autofree char *pid = g_strdup_printf("\"pid\":%d", getpid());

    expect_part(bed, "version", "{}", "\"name\":\"vhost-user-shmem\"");
    expect_part(bed, "version", "{}", pid);
    for (const RpcMethod *m = rpc_methods(); m->name; m++) {
        g_autofree char *part = g_strdup_printf("{\"name\":\"%s\"", m->name);

        expect_part(bed, "methods", "{}", part);
    }
    for (const char *const *key = port_settings_keys(); *key; key++) {
        g_autofree char *part = g_strdup_printf("{\"key\":\"%s\"", *key);

        expect_part(bed, "settings", "{}", part);
    }
    expect_part(bed, "settings", "{}", "{\"key\":\"mtu\",\"type\":"
                "\"vhost-user\",\"fixed\":true,\"default\":\"9216\",");
    expect_part(bed, "settings", "{}", "{\"key\":\"peer\",\"type\":null,"
                "\"fixed\":false,\"default\":null,");
    for (const char *const *key = tenant_settings_keys(); *key; key++) {
        g_autofree char *part = g_strdup_printf("{\"key\":\"%s\",\"help\":",
                                                *key);

        expect_part(bed, "settings", "{}", part);
    }
    for (const char *const *key = domain_settings_keys(); *key; key++) {
        g_autofree char *part = g_strdup_printf("{\"key\":\"%s\",\"help\":",
                                                *key);

        expect_part(bed, "settings", "{}", part);
    }
    expect_part(bed, "settings", "{}", "{\"key\":\"rt-priority\"");
    for (unsigned i = 0; i < DROP_REASONS; i++) {
        g_autofree char *part = g_strdup_printf(
            "{\"name\":\"%s\",\"text\":\"", drop_name(i));

        expect_part(bed, "drops", "{}", part);
    }
    expect_part(bed, "workers", "{}", "[{\"index\":0,\"cpu\":null,");
    bed_free(bed);
}

/* -- Ports ----------------------------------------------------------------- */

static void test_ports(void)
{
    Bed *bed = bed_new();

    expect(bed, "port.list", "{}", "[]");
    expect(bed, "port.add", "{\"name\":\"a\",\"settings\":{\"type\":\"dummy\","
           "\"vlan\":10,\"peer\":\"b\",\"link\":null}}",
           "{\"name\":\"a\",\"number\":0,\"settings\":{"
           "\"type\":\"dummy\",\"vlan\":\"10\",\"peer\":\"b\"},"
           "\"state\":\"ready\",\"connected\":true,\"ready\":true,"
           "\"ingress-queues\":0,\"egress-queues\":1,"
           "\"breaks\":0,\"missing\":[\"b\"]}");
    add_dummy(bed, "b");
    expect_part(bed, "port.show", "[\"a\"]", "\"missing\":[]");
    expect_part(bed, "port.set", "{\"name\":\"a\",\"settings\":{"
                "\"vlan\":null,\"link\":\"down\",\"trunk\":\"0,5\"}}",
                "\"settings\":{\"type\":\"dummy\",\"link\":\"down\","
                "\"trunk\":\"0,5\",\"peer\":\"b\"},\"state\":\"link-down\"");
    expect_part(bed, "port.list", "{}", "},{\"name\":\"b\"");
    expect(bed, "port.remove", "{\"name\":\"b\"}", "true");
    expect_part(bed, "port.show", "[\"a\"]", "\"missing\":[\"b\"]");
    expect(bed, "port.remove", "{\"name\":\"a\"}", "true");
    expect(bed, "port.list", "{}", "[]");
    bed_free(bed);
}

/* What is refused changes nothing. */
static void test_wrong_ports(void)
{
    Bed *bed = bed_new();
    g_autofree char *before = NULL;

    add_dummy(bed, "a");
    add_dummy(bed, "b");
    before = result_of(bed, "port.list", "{}");
    expect_error(bed, "port.add", "{\"name\":\"a\",\"settings\":{\"type\":"
                 "\"dummy\"}}", RPC_ERROR_PORT_EXISTS, "already");
    expect_error(bed, "port.add", "{\"name\":\"-\",\"settings\":{}}",
                 RPC_ERROR_PARAMS, "cannot be the name of a port");
    expect_error(bed, "port.add", "{\"name\":\"c\",\"settings\":{\"vlna\":5}}",
                 RPC_ERROR_PARAMS, "a port has no setting 'vlna'");
    expect_error(bed, "port.add", "{\"name\":\"c\",\"settings\":{\"vlan\":0}}",
                 RPC_ERROR_PARAMS, "vlan=0: '0' is not");
    expect_error(bed, "port.add", "{\"name\":\"c\",\"settings\":{\"vlan\":"
                 "[5]}}", RPC_ERROR_PARAMS, "'vlan' has to be a string");
    expect_error(bed, "port.add", "{\"name\":\"c\",\"settings\":{\"vlan\":"
                 "true}}", RPC_ERROR_PARAMS, "'vlan' has to be a string");
    expect_error(bed, "port.add", "{\"name\":\"c\",\"settings\":{}}",
                 RPC_ERROR_SETTINGS, "needs socket=PATH");
    expect_error(bed, "port.add", "{\"name\":\"c\",\"settings\":{\"socket\":"
                 "\"/run/c.sock\"}}", RPC_ERROR_SETTINGS,
                 "is the control socket");
    expect_error(bed, "port.add", "{\"name\":\"c\",\"settings\":{\"type\":"
                 "\"dummy\",\"peer\":\"c\"}}", RPC_ERROR_SETTINGS,
                 "cannot be its own");
    expect_error(bed, "port.add", "{\"name\":\"c\",\"settings\":{\"socket\":"
                 "\"/nowhere/at/all.sock\"}}", RPC_ERROR_FAILED,
                 "/nowhere/at/all.sock");
    expect_error(bed, "port.set", "{\"name\":\"c\",\"settings\":{}}",
                 RPC_ERROR_NO_PORT, "there is no port 'c'");
    expect_error(bed, "port.set", "{\"name\":\"a\",\"settings\":{\"type\":"
                 "\"tap\"}}", RPC_ERROR_SETTINGS, "type= is fixed");
    expect_error(bed, "port.set", "{\"name\":\"a\",\"settings\":{\"vlan\":5,"
                 "\"native\":5}}", RPC_ERROR_SETTINGS, "exclude each other");
    expect_error(bed, "port.set", "{\"name\":\"a\",\"settings\":{\"vlan\":5,"
                 "\"mac\":\"x\"}}", RPC_ERROR_PARAMS, "mac=x");
    expect_error(bed, "port.remove", "[\"c\"]", RPC_ERROR_NO_PORT, "'c'");
    expect_error(bed, "port.show", "[\"c\"]", RPC_ERROR_NO_PORT, "'c'");
    expect(bed, "port.list", "{}", before);
    bed_free(bed);
}

static void test_two_of_a_socket(void)
{
    g_autofree char *dir = g_dir_make_tmp("vus-methods-XXXXXX", NULL);
    g_autofree char *a = g_strdup_printf(
        "{\"name\":\"a\",\"settings\":{\"socket\":\"%s/s\"}}", dir);
    g_autofree char *b = g_strdup_printf(
        "{\"name\":\"b\",\"settings\":{\"socket\":\"%s/s\"}}", dir);
    Bed *bed = bed_new();

    expect_part(bed, "port.add", a, "\"state\":\"waiting\",\"connected\":"
                "false,\"ready\":false,");
    expect_part(bed, "port.show", "[\"a\"]", "\"connects\":0,\"features\":"
                "\"0x0\",\"memory-bytes\":0,");
    expect_error(bed, "port.add", b, RPC_ERROR_SETTINGS,
                 "ports a and b have the same socket=");
    expect(bed, "port.remove", "[\"a\"]", "true");
    expect_part(bed, "port.add", b, "\"waiting\"");
    bed_free(bed);
    rmdir(dir);
}

/* -- Frames and counters --------------------------------------------------- */

static void test_frames(void)
{
    Bed *bed = bed_new();

    add_dummy(bed, "a");
    add_dummy(bed, "b");
    expect(bed, "dummy.read", "[\"b\"]", "null");
    inject(bed, "a", BROADCAST ANY_MAC_A REST);
    inject(bed, "b", ANY_MAC_A ANY_MAC_B REST);
    expect(bed, "dummy.read", "[\"b\"]", "{\"vnet\":"
           "\"000000000000000000000100\",\"frame\":\""
           BROADCAST ANY_MAC_A REST "\"}");
    expect(bed, "dummy.read", "[\"b\"]", "null");
    expect_part(bed, "dummy.read", "[\"a\"]", ANY_MAC_A ANY_MAC_B REST);
    expect(bed, "dummy.inject", "{\"name\":\"a\",\"frame\":\"" ANY_MAC_B
           ANY_MAC_A REST "\",\"vnet\":\"00000000000000000000\"}", "true");
    expect_part(bed, "dummy.read", "[\"b\"]", ANY_MAC_B ANY_MAC_A REST);
    bed_free(bed);
}

static void test_wrong_frames(void)
{
    g_autofree char *dir = g_dir_make_tmp("vus-methods-XXXXXX", NULL);
    g_autofree char *v = g_strdup_printf(
        "{\"name\":\"v\",\"settings\":{\"socket\":\"%s/s\"}}", dir);
    Bed *bed = bed_new();

    add_dummy(bed, "a");
    g_free(result_of(bed, "port.add", v));
    expect_error(bed, "dummy.inject", "[\"a\",\"fff\"]", RPC_ERROR_PARAMS,
                 "'frame': an odd number of digits");
    expect_error(bed, "dummy.inject", "[\"a\",\"fg\"]", RPC_ERROR_PARAMS,
                 "'frame': byte 1 is not two hexadecimal digits");
    expect_error(bed, "dummy.inject", "[\"a\",\"\"]", RPC_ERROR_FAILED,
                 "0 bytes");
    expect_error(bed, "dummy.inject", "[\"a\",\"" BROADCAST ANY_MAC_A REST
                 "\",\"00\"]", RPC_ERROR_PARAMS, "'vnet' has 1 bytes");
    expect_error(bed, "dummy.inject", "[\"v\",\"" BROADCAST ANY_MAC_A REST
                 "\"]", RPC_ERROR_NOT_DUMMY, "type=vhost-user");
    expect_error(bed, "dummy.read", "[\"v\"]", RPC_ERROR_NOT_DUMMY,
                 "type=vhost-user");
    expect_error(bed, "dummy.read", "[\"w\"]", RPC_ERROR_NO_PORT, "'w'");
    bed_free(bed);
    rmdir(dir);
}

static void test_stats(void)
{
    Bed *bed = bed_new();
    g_autofree char *all = NULL;

    add_dummy(bed, "a");
    add_dummy(bed, "b");
    inject(bed, "a", BROADCAST ANY_MAC_A REST);
    expect_part(bed, "stats", "{}", "\"ports\":[{\"ingress-pkts\":1,"
                "\"ingress-bytes\":42,\"egress-pkts\":0,\"egress-bytes\":0,"
                "\"drops\":{},\"name\":\"a\"},{\"ingress-pkts\":0,"
                "\"ingress-bytes\":0,\"egress-pkts\":1,\"egress-bytes\":42,"
                "\"drops\":{},\"name\":\"b\"}]");
    expect_part(bed, "stats", "{}", "\"sum\":{\"ingress-pkts\":1,"
                "\"ingress-bytes\":42,\"egress-pkts\":1,\"egress-bytes\":42,"
                "\"drops\":{}}");
    /* From a group address: it is dropped, and counted. */
    inject(bed, "a", BROADCAST BROADCAST REST);
    expect_part(bed, "stats", "{\"name\":\"a\"}",
                "\"drops\":{\"bad-source\":1},\"name\":\"a\"}],");
    expect_part(bed, "stats", "{\"name\":\"b\"}", "\"ports\":[{"
                "\"ingress-pkts\":0,");
    all = result_of(bed, "stats", "{\"name\":\"a\",\"all\":true}");
    for (unsigned i = 0; i < DROP_REASONS; i++) {
        g_autofree char *part = g_strdup_printf("\"%s\":%d", drop_name(i),
                                                i == DROP_SOURCE);

        g_assert_nonnull(strstr(all, part));
    }
    expect(bed, "stats.reset", "{\"name\":\"a\"}", "true");
    expect_part(bed, "stats", "{}", "\"ports\":[{\"ingress-pkts\":0,"
                "\"ingress-bytes\":0,\"egress-pkts\":0,\"egress-bytes\":0,"
                "\"drops\":{},\"name\":\"a\"},{\"ingress-pkts\":0,"
                "\"ingress-bytes\":0,\"egress-pkts\":1,");
    expect(bed, "stats.reset", "{}", "true");
    expect_part(bed, "stats", "{}", "\"sum\":{\"ingress-pkts\":0,"
                "\"ingress-bytes\":0,\"egress-pkts\":0,\"egress-bytes\":0,");
    expect_error(bed, "stats", "{\"name\":\"c\"}", RPC_ERROR_NO_PORT, "'c'");
    expect_error(bed, "stats.reset", "{\"name\":\"c\"}", RPC_ERROR_NO_PORT,
                 "'c'");
    bed_free(bed);
}

/* -- Addresses ------------------------------------------------------------- */

static void test_fdb(void)
{
    Bed *bed = bed_new();

    add_dummy(bed, "a");
    add_dummy(bed, "b");
    expect(bed, "fdb.list", "{}", "{\"addresses\":[],\"total\":0}");
    inject(bed, "a", BROADCAST ANY_MAC_A REST);
    expect(bed, "fdb.set", "{\"mac\":\"52:54:00:00:00:0A\",\"port\":\"b\","
           "\"vlan\":10}", "true");
    expect(bed, "fdb.list", "{}", "{\"addresses\":["
           "{\"mac\":\"52:54:00:00:00:01\",\"vlan\":0,\"port\":\"a\","
           "\"static\":false,\"age-s\":0},"
           "{\"mac\":\"52:54:00:00:00:0a\",\"vlan\":10,\"port\":\"b\","
           "\"static\":true,\"age-s\":0}],\"total\":2}");
    expect_part(bed, "fdb.list", "{\"port\":\"b\"}", "\"total\":1");
    expect_part(bed, "fdb.list", "{\"vlan\":0}", "\"total\":1");
    expect_part(bed, "fdb.list", "{\"vlan\":9}", "\"total\":0");
    expect(bed, "fdb.flush", "{\"port\":\"b\"}", "{\"forgotten\":0}");
    expect(bed, "fdb.flush", "{}", "{\"forgotten\":1}");
    expect_part(bed, "fdb.list", "{}", "\"total\":1");
    expect_error(bed, "fdb.unset", "{\"mac\":\"52:54:00:00:00:0a\"}",
                 RPC_ERROR_NO_ADDRESS, "");
    expect(bed, "fdb.unset", "{\"mac\":\"52:54:00:00:00:0a\",\"vlan\":10}",
           "true");
    expect_part(bed, "fdb.list", "{}", "\"total\":0");
    expect_error(bed, "fdb.set", "{\"mac\":\"53:54:00:00:00:01\",\"port\":"
                 "\"a\"}", RPC_ERROR_PARAMS, "stands for a group");
    expect_error(bed, "fdb.set", "{\"mac\":\"52:54:00:00:00:01\",\"port\":"
                 "\"c\"}", RPC_ERROR_NO_PORT, "'c'");
    expect_error(bed, "fdb.set", "{\"mac\":\"52:54:00:00:00:01\",\"port\":"
                 "\"a\",\"vlan\":4095}", RPC_ERROR_PARAMS, "'vlan'");
    expect_error(bed, "fdb.unset", "{\"mac\":\"x\"}", RPC_ERROR_PARAMS, "'x'");
    expect_error(bed, "fdb.list", "{\"port\":\"c\"}", RPC_ERROR_NO_PORT,
                 "'c'");
    expect_error(bed, "fdb.list", "{\"after\":\"x\"}", RPC_ERROR_PARAMS,
                 "'x'");
    expect_error(bed, "fdb.flush", "{\"port\":\"c\"}", RPC_ERROR_NO_PORT,
                 "'c'");
    bed_free(bed);
}

/* All addresses, once each, in order, though pages are small. */
static void test_fdb_pages(void)
{
    Bed *bed = bed_new();
    g_autofree char *next = NULL, *last = g_strdup("");
    unsigned found = 0, pages = 0;

    add_dummy(bed, "a");
    for (unsigned i = 0; i < 100; i++) {
        g_autofree char *params = g_strdup_printf(
            "{\"mac\":\"52:54:00:00:00:%02x\",\"port\":\"a\",\"vlan\":%u}",
            (i * 37) % 100, i % 3);

        expect(bed, "fdb.set", params, "true");
    }
    do {
        g_autofree char *params = next ?
            g_strdup_printf("{\"max\":7,\"after\":\"%s\"}", next) :
            g_strdup("{\"max\":7}");
        g_autoptr(JsonObject) answer = call(bed, "fdb.list", params);
        JsonObject *page = json_object_get_object_member(answer, "result");
        JsonArray *all = json_object_get_array_member(page, "addresses");

        g_assert_cmpint(json_object_get_int_member(page, "total"), ==, 100);
        for (unsigned i = 0; i < json_array_get_length(all); i++, found++) {
            JsonObject *e = json_array_get_object_element(all, i);
            char *now = g_strdup_printf(
                "%04d %s", (int)json_object_get_int_member(e, "vlan"),
                json_object_get_string_member(e, "mac"));

            g_assert_cmpstr(last, <, now);
            g_free(last);
            last = now;
        }
        g_clear_pointer(&next, g_free);
        if (json_object_has_member(page, "next")) {
            next = g_strdup(json_object_get_string_member(page, "next"));
        }
        pages++;
    } while (next);
    g_assert_cmpuint(found, ==, 100);
    g_assert_cmpuint(pages, ==, 15);
    bed_free(bed);
}

/* -- The configuration ----------------------------------------------------- */

static void test_config(void)
{
    Bed *bed = bed_new();
    g_autoptr(JsonObject) answer = NULL;
    JsonObject *result;

    g_free(result_of(bed, "tenant.set", "{\"name\":\"red\",\"settings\":"
                     "{\"tx-limit-bps\":\"5M\"}}"));
    g_free(result_of(bed, "port.add", "{\"name\":\"z\",\"settings\":{\"type\":"
                     "\"dummy\",\"trunk\":\"0,5-7\",\"native\":5,"
                     "\"tenant\":\"red\"}}"));
    add_dummy(bed, "a");
    inject(bed, "a", BROADCAST ANY_MAC_A REST);
    expect(bed, "fdb.set", "{\"mac\":\"52:54:00:00:00:09\",\"port\":\"z\","
           "\"vlan\":6}", "true");
    expect(bed, "fdb.set", "{\"mac\":\"52:54:00:00:00:08\",\"port\":\"a\"}",
           "true");
    answer = call(bed, "config.get", "{}");
    result = json_object_get_object_member(answer, "result");
    g_assert_cmpstr(json_object_get_string_member(result, "text"), ==,
                    "[daemon]\n"
                    "control=/run/c.sock\n"
                    "workers=1\n"
                    "rt-priority=0\n"
                    "idle-us=0\n"
                    "fdb-age-s=300\n"
                    "fdb-max=8192\n"
                    "\n"
                    "[tenant red]\n"
                    "guarantee-bps=0\n"
                    "tx-limit-bps=5M\n"
                    "\n"
                    "[port z]\n"
                    "type=dummy\n"
                    "trunk=0,5-7\n"
                    "native=5\n"
                    "tenant=red\n"
                    "\n"
                    "[port a]\n"
                    "type=dummy\n"
                    "\n"
                    "[fdb]\n"
                    "52:54:00:00:00:08=a\n"
                    "52:54:00:00:00:09/6=z\n");
    bed_free(bed);
}

/* -- What is written about it ---------------------------------------------- */

static void expect_written(const char *text, const char *format,
                           const char *word)
{
    g_autofree char *part = g_strdup_printf(format, word);

    if (!strstr(text, part)) {
        g_error("docs/interop/vhost-user-shmem.rst does not mention %s", word);
    }
}

/* Nothing is missing in the documentation. */
static void test_documented(void)
{
    static const int standard[] = { RPC_ERROR_PARSE, RPC_ERROR_REQUEST,
                                    RPC_ERROR_METHOD, RPC_ERROR_PARAMS };
    g_autofree char *path = g_test_build_filename(
        G_TEST_BUILT, "..", "..", "..", "..", "docs", "interop",
        "vhost-user-shmem.rst", NULL);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        g_test_skip("not built below the source");
        return;
    }
    for (const RpcMethod *m = rpc_methods(); m->name; m++) {
        expect_written(text, "\n``%s``", m->name);
    }
    for (const char *const *key = port_settings_keys(); *key; key++) {
        expect_written(text, "\n%s ", *key);
    }
    for (const char *const *key = tenant_settings_keys(); *key; key++) {
        expect_written(text, "\n%s ", *key);
    }
    for (const char *const *key = domain_settings_keys(); *key; key++) {
        expect_written(text, "\n%s ", *key);
    }
    for (const char *const *name = events_names(); *name; name++) {
        expect_written(text, "\n``%s``", *name);
    }
    for (const DaemonWord *w = daemon_config_words(); w->key; w++) {
        expect_written(text, "\n%s ", w->key);
    }
    for (unsigned i = 0; i < DROP_REASONS; i++) {
        expect_written(text, "\n%s ", drop_name(i));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(standard); i++) {
        g_autofree char *code = g_strdup_printf("%d", standard[i]);

        expect_written(text, "\n%s ", code);
    }
    for (int i = RPC_ERROR_NO_PORT; i < RPC_ERROR_END; i++) {
        g_autofree char *code = g_strdup_printf("%d", i);

        expect_written(text, "\n%s      ", code);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-methods/about", test_about);
    g_test_add_func("/vus-methods/ports", test_ports);
    g_test_add_func("/vus-methods/wrong-ports", test_wrong_ports);
    g_test_add_func("/vus-methods/two-of-a-socket", test_two_of_a_socket);
    g_test_add_func("/vus-methods/frames", test_frames);
    g_test_add_func("/vus-methods/wrong-frames", test_wrong_frames);
    g_test_add_func("/vus-methods/stats", test_stats);
    g_test_add_func("/vus-methods/fdb", test_fdb);
    g_test_add_func("/vus-methods/fdb-pages", test_fdb_pages);
    g_test_add_func("/vus-methods/config", test_config);
    g_test_add_func("/vus-methods/documented", test_documented);
    return g_test_run();
}
