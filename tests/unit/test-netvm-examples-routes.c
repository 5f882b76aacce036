/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Longest prefix match against a list that is searched from end to end; files
 * of routes, and what is said of lines that are wrong; words.
 *
 * Threads: single.
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "routes.h"

#define ROUTES 5000
#define ADDRESSES 20000
#define ROUNDS 3

/* -- Longest prefix match -------------------------------------------------- */

typedef struct Model {
    struct prefix prefix[ROUTES];
    unsigned n;
} Model;

static unsigned bytes_of(unsigned family)
{
    return family == 4 ? 4 : 16;
}

static void random_address(unsigned family, uint8_t *address)
{
    /* Few of them, so that prefixes lie in each other. */
    for (unsigned i = 0; i < bytes_of(family); i++) {
        address[i] = g_test_rand_int_range(0, i % 4 == 3 ? 256 : 3) * 0x55;
    }
}

static void random_prefix(unsigned family, struct prefix *p)
{
    memset(p, 0, sizeof(*p));
    p->family = family;
    p->bits = g_test_rand_int_range(0, bytes_of(family) * 8 + 1);
    random_address(family, p->address);
    for (unsigned i = p->bits; i < bytes_of(family) * 8; i++) {
        p->address[i / 8] &= ~(0x80 >> i % 8);
    }
}

/* Bit by bit, on purpose. */
static bool model_has(const struct prefix *p, const uint8_t *address)
{
    for (unsigned i = 0; i < p->bits; i++) {
        if ((p->address[i / 8] ^ address[i / 8]) & 0x80 >> i % 8) {
            return false;
        }
    }
    return true;
}

static uint32_t model_find(const Model *m, unsigned family,
                           const uint8_t *address)
{
    uint32_t best = LPM_NONE;
    int bits = -1;

    for (unsigned i = 0; i < m->n; i++) {
        const struct prefix *p = &m->prefix[i];

        if (p->family == family && p->bits > bits && model_has(p, address)) {
            best = i;
            bits = p->bits;
        }
    }
    return best;
}

static void test_lpm(void)
{
    g_autofree Model *m = g_new(Model, 1);
    unsigned found = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct lpm *l = lpm_new();
        unsigned twice = 0;

        m->n = 0;
        for (unsigned i = 0; i < ROUTES; i++) {
            struct prefix *p = &m->prefix[m->n];
            bool known = false;

            random_prefix(i % 2 ? 4 : 6, p);
            for (unsigned k = 0; k < m->n && !known; k++) {
                known = memcmp(&m->prefix[k], p, sizeof(*p)) == 0;
            }
            g_assert_cmpint(lpm_add(l, p, known ? ROUTES : m->n), ==,
                            known ? -EEXIST : 0);
            m->n += !known;
            twice += known;
        }
        g_assert_cmpuint(twice, >, 0);
        for (unsigned i = 0; i < ADDRESSES; i++) {
            unsigned family = i % 2 ? 4 : 6;
            uint8_t address[16] = { 0 };
            uint32_t value;

            random_address(family, address);
            value = lpm_find(l, family, address);
            g_assert_cmpuint(value, ==, model_find(m, family, address));
            found += value != LPM_NONE;
        }
        lpm_free(l);
    }
    g_assert_cmpuint(found, >, 0);
}

/* Of one network each; IPv6 ones differ in their last half only. */
static void test_lpm_hosts(void)
{
    struct lpm *l = lpm_new();
    struct prefix p6 = { .family = 6, .bits = 128, .address = { 0x20, 1 } };
    struct prefix p4 = { .family = 4, .bits = 32, .address = { 10 } };

    for (uint32_t i = 0; i < ROUTES; i++) {
        p6.address[14] = p4.address[2] = i >> 8;
        p6.address[15] = p4.address[3] = i & 0xff;
        g_assert_cmpint(lpm_add(l, &p6, i), ==, 0);
        g_assert_cmpint(lpm_add(l, &p4, ROUTES + i), ==, 0);
    }
    for (uint32_t i = 0; i < ROUTES; i++) {
        p6.address[14] = p4.address[2] = i >> 8;
        p6.address[15] = p4.address[3] = i & 0xff;
        g_assert_cmpuint(lpm_find(l, 6, p6.address), ==, i);
        g_assert_cmpuint(lpm_find(l, 4, p4.address), ==, ROUTES + i);
    }
    p6.address[8] = 1;
    g_assert_cmpuint(lpm_find(l, 6, p6.address), ==, LPM_NONE);
    lpm_free(l);
}

static void test_lpm_empty(void)
{
    struct lpm *l = lpm_new();
    uint8_t address[16] = { 192, 0, 2, 1 };
    struct prefix all = { .family = 6 };

    g_assert_cmpuint(lpm_find(l, 4, address), ==, LPM_NONE);
    /* ::/0 is no route for IPv4. */
    g_assert_cmpint(lpm_add(l, &all, 5), ==, 0);
    g_assert_cmpuint(lpm_find(l, 4, address), ==, LPM_NONE);
    g_assert_cmpuint(lpm_find(l, 6, address), ==, 5);
    lpm_free(l);
}

/* -- Files ----------------------------------------------------------------- */

static struct routes *read_text(const char *text, char **error)
{
    char said[WORDS_ERROR_BYTES] = "";
    g_autofree char *path = NULL;
    struct routes *rs;
    int fd = g_file_open_tmp("netvm-routes-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    rs = routes_read(path, said);
    g_unlink(path);
    g_assert_true(!rs == !!said[0]);
    if (!rs) {
        g_assert_true(g_str_has_prefix(said, path));
        *error = g_strdup(said + strlen(path));
    }
    return rs;
}

static void test_file(void)
{
    struct routes *rs = read_text(
        "# comment\n"
        "\n"
        "0.0.0.0/0 via 02:00:00:00:00:01\n"
        "192.0.2.0/24\tvia 02:00:00:00:00:02 member fw src 0A:0b:0c:0d:0e:0f\n"
        "192.0.2.1 via 02:00:00:00:00:03 out 7 # the host\n"
        "2001:db8::/32 via 02:00:00:00:00:04 src 02:00:00:00:00:05 service l3",
        NULL);
    const struct route *r;
    uint8_t address[16] = { 203, 0, 113, 1 };

    g_assert_nonnull(rs);
    g_assert_cmpuint(rs->n, ==, 4);
    r = routes_find(rs, 4, address);
    g_assert_cmpint(r->mac[5], ==, 1);
    g_assert_false(r->has_target);
    g_assert_false(r->has_source);
    memcpy(address, (uint8_t[]) { 192, 0, 2, 9 }, 4);
    r = routes_find(rs, 4, address);
    g_assert_cmpint(r->mac[5], ==, 2);
    g_assert_cmpint(r->target.action, ==, NETVM_TO_MEMBER);
    g_assert_cmpstr(r->target.name, ==, "fw");
    g_assert_cmpint(r->target.number, <, 0);
    g_assert_cmpmem(r->source, 6, "\x0a\x0b\x0c\x0d\x0e\x0f", 6);
    address[3] = 1;
    r = routes_find(rs, 4, address);
    g_assert_cmpint(r->target.action, ==, NETVM_OUT);
    g_assert_cmpint(r->target.number, ==, 7);
    g_assert_null(routes_find(rs, 6, (uint8_t[16]) { 0x20, 1 }));
    r = routes_find(rs, 6, (uint8_t[16]) { 0x20, 1, 0x0d, 0xb8, 9 });
    g_assert_cmpint(r->target.action, ==, NETVM_TO_SERVICE);
    g_assert_cmpint(r->source[5], ==, 5);
    routes_free(rs);
}

static void test_errors(void)
{
    static const struct {
        const char *line, *said;
    } cases[] = {
        { "192.0.2.1/24 via 02:00:00:00:00:01", "no bits behind its length" },
        { "192.0.2.0/33 via 02:00:00:00:00:01", "say a prefix" },
        { "192.0.2.0/ via 02:00:00:00:00:01", "say a prefix" },
        { "2001:db8::/129 via 02:00:00:00:00:01", "say a prefix" },
        { "word via 02:00:00:00:00:01", "say a prefix" },
        { "192.0.2.0/24", "have to follow" },
        { "192.0.2.0/24 to 02:00:00:00:00:01", "have to follow" },
        { "192.0.2.0/24 via 02:00:00:00:00", "have to follow" },
        { "192.0.2.0/24 via 02:00:00:00:00:0", "have to follow" },
        { "192.0.2.0/24 via 02:00:00:00:00:011", "have to follow" },
        { "192.0.2.0/24 via 02:00:00:00:00:01 member", "has to follow" },
        { "192.0.2.0/24 via 02:00:00:00:00:01 src 1", "MAC address" },
        { "192.0.2.0/24 via 02:00:00:00:00:01 out uplink", "number" },
        { "192.0.2.0/24 via 02:00:00:00:00:01 out 65535", "number" },
        { "192.0.2.0/24 via 02:00:00:00:00:01 port 1", "say member, out" },
        { "192.0.2.0/24 via 02:00:00:00:00:01 out 1 member a",
          "one place only" },
        { "192.0.2.0/24 via 02:00:00:00:00:01 member "
          "a2345678901234567890123456789012", "1 to 31 characters" },
        { "10.0.0.0/8 via 02:00:00:00:00:01", "already" },
        { "a a a a a a a a a a a a a a a a a a a a a a a a a",
          "more than 24 words" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf(
            "10.0.0.0/8 via 02:00:00:00:00:01\n\n%s\n", cases[i].line);
        g_autofree char *error = NULL;

        g_assert_null(read_text(text, &error));
        g_test_message("%s", error);
        g_assert_true(g_str_has_prefix(error, ":3: "));
        g_assert_nonnull(strstr(error, cases[i].said));
    }
}

static void test_no_file(void)
{
    char error[WORDS_ERROR_BYTES] = "";

    g_assert_null(routes_read("/nowhere/routes", error));
    g_assert_cmpstr(error, ==, "/nowhere/routes: No such file or directory");
}

/* -- Words ----------------------------------------------------------------- */

static void test_numbers(void)
{
    static const char *const wrong[] = {
        "", "-1", "+1", " 1", "1 ", "0x1", "1.0", "18446744073709551616",
        "99999999999999999999", "101",
    };
    uint64_t n = 7;

    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_false(words_number(wrong[i], i < 9 ? UINT64_MAX : 100, &n));
    }
    g_assert_true(words_number("18446744073709551615", UINT64_MAX, &n));
    g_assert_cmpuint(n, ==, UINT64_MAX);
    g_assert_true(words_number("0", 0, &n));
    g_assert_cmpuint(n, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netvm-examples/routes/lpm", test_lpm);
    g_test_add_func("/netvm-examples/routes/lpm-hosts", test_lpm_hosts);
    g_test_add_func("/netvm-examples/routes/lpm-empty", test_lpm_empty);
    g_test_add_func("/netvm-examples/routes/file", test_file);
    g_test_add_func("/netvm-examples/routes/errors", test_errors);
    g_test_add_func("/netvm-examples/routes/no-file", test_no_file);
    g_test_add_func("/netvm-examples/routes/numbers", test_numbers);
    return g_test_run();
}
