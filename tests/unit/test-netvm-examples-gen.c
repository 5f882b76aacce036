/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What netvm-pktgen sends and counts: packets that are right to the last byte,
 * what is lost, comes twice or late, and times.
 *
 * Threads: single.
 */
#include <glib.h>
#include <string.h>

#include "gen.h"

#define PACKETS 5000
/* One whose flows have the same places in the table as those of run 1. */
#define OTHER_RUN (UINT32_C(1) << 31 | 1)

static const struct gen_template template = {
    .source_mac = { 2, 0, 0, 0, 0, 1 }, .dest_mac = { 2, 0, 0, 0, 0, 2 },
    .source_ip = { 192, 0, 2, 1 }, .dest_ip = { 192, 0, 2, 2 },
    .dest_port = 9, .run = 77, .bytes = GEN_LEAST_BYTES,
};

/* Sums over the whole packet, as a receiver's kernel does it. */
static void check_sums(const uint8_t *data, unsigned bytes)
{
    unsigned udp_bytes = bytes - 34;
    uint32_t sum = IP_UDP + udp_bytes;

    g_assert_cmpuint(checksum_end(checksum_add(0, data + 14, 20)), ==, 0);
    g_assert_cmpuint(read16(data + 34 + 6), !=, 0);
    sum = checksum_add(sum, data + 26, 8);
    g_assert_cmpuint(checksum_end(checksum_add(sum, data + 34, udp_bytes)),
                     ==, 0);
}

static void test_write(void)
{
    for (unsigned i = 0; i < PACKETS; i++) {
        struct gen_template t = template;
        uint32_t flow = g_test_rand_int_range(0, GEN_FLOWS_MAX);
        uint64_t sequence = (uint64_t)g_test_rand_int() << 20;
        uint64_t sent_ns = (uint64_t)g_test_rand_int() << 25;
        g_autofree uint8_t *data = NULL;
        struct gen_payload p;

        t.bytes = g_test_rand_int_range(GEN_LEAST_BYTES, 1515);
        data = g_malloc(t.bytes);
        memset(data, 0xa5, t.bytes);
        gen_write(&t, data, flow, sequence, sent_ns);
        check_sums(data, t.bytes);
        g_assert_cmpuint(read16(data + 34), ==, GEN_SOURCE_PORT + flow);
        g_assert_true(gen_read(data, t.bytes, &p));
        g_assert_cmpuint(p.run, ==, 77);
        g_assert_cmpuint(p.flow, ==, flow);
        g_assert_cmpuint(p.sequence, ==, sequence);
        g_assert_cmpuint(p.sent_ns, ==, sent_ns);

        /* Back again: still right, and the ends are exchanged. */
        gen_turn_round(data);
        check_sums(data, t.bytes);
        g_assert_cmpmem(data, 6, t.source_mac, 6);
        g_assert_cmpmem(data + 6, 6, t.dest_mac, 6);
        g_assert_cmpmem(data + 26, 4, t.dest_ip, 4);
        g_assert_cmpuint(read16(data + 36), ==, GEN_SOURCE_PORT + flow);
        g_assert_true(gen_read(data, t.bytes, &p));
    }
}

/* Others' packets are not taken for ours. */
static void test_read(void)
{
    static const unsigned changed[] = { 12, 14, 23, 24, 42 };
    struct gen_payload p;

    for (unsigned i = 0; i < G_N_ELEMENTS(changed); i++) {
        uint8_t data[GEN_LEAST_BYTES];

        gen_write(&template, data, 0, 0, 0);
        data[changed[i]] ^= 1;
        g_assert_false(gen_read(data, sizeof(data), &p));
    }
    for (unsigned bytes = 0; bytes <= GEN_LEAST_BYTES; bytes++) {
        uint8_t data[GEN_LEAST_BYTES];
        g_autofree uint8_t *copy = NULL;

        gen_write(&template, data, 0, 0, 0);
        copy = g_malloc(bytes + 1);
        memcpy(copy, data, bytes);
        g_assert_cmpint(gen_read(copy, bytes, &p), ==,
                        bytes == GEN_LEAST_BYTES);
    }
}

/* -- Sequences ------------------------------------------------------------- */

static struct gen_counters see(const uint64_t *sequence, unsigned n)
{
    struct gen_flows *f = gen_flows_new();
    struct gen_counters count;

    for (unsigned i = 0; i < n; i++) {
        gen_flows_see(f, &(struct gen_payload) {
            .run = 1, .sequence = sequence[i] });
    }
    count = gen_flows_count(f);
    g_assert_cmpuint(count.received, ==, n);
    g_assert_cmpuint(gen_flows_received(f), ==, n);
    g_assert_cmpuint(gen_flows_number(f), ==, 1);
    gen_flows_free(f);
    return count;
}

static void test_sequences(void)
{
    static const struct {
        uint64_t sequence[6];
        unsigned n, lost, duplicates, reordered;
    } cases[] = {
        { { 0, 1, 2, 3 }, 4, 0, 0, 0 },
        { { 5, 6, 7 }, 3, 0, 0, 0 },            /* came when it was sending */
        { { 0, 2, 3 }, 3, 1, 0, 0 },
        { { 0, 2, 1, 3 }, 4, 0, 0, 1 },
        { { 0, 1, 1, 2 }, 4, 0, 1, 0 },
        { { 0, 2, 1, 1, 2 }, 5, 0, 2, 1 },
        { { 0, 63, 1, 1 }, 4, 61, 1, 1 },
        { { 0, 64, 1 }, 3, 62, 0, 1 },
        { { 0, 1000000 }, 2, 999999, 0, 0 },
        { { 3, 2, 4 }, 3, 0, 0, 1 },            /* before the first one */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct gen_counters count = see(cases[i].sequence, cases[i].n);

        g_test_message("case %u", i);
        g_assert_cmpuint(count.lost, ==, cases[i].lost);
        g_assert_cmpuint(count.duplicates, ==, cases[i].duplicates);
        g_assert_cmpuint(count.reordered, ==, cases[i].reordered);
    }
}

/* Flows, and senders that were started anew, are told apart; too many are
 * counted as that. */
static void test_flows(void)
{
    struct gen_flows *f = gen_flows_new();
    struct gen_counters count;

    for (unsigned i = 0; i < 3; i++) {
        for (uint32_t flow = 0; flow < 8000; flow++) {
            gen_flows_see(f, &(struct gen_payload) {
                .run = 1, .flow = flow, .sequence = i });
            gen_flows_see(f, &(struct gen_payload) {
                .run = OTHER_RUN, .flow = flow, .sequence = i });
        }
    }
    count = gen_flows_count(f);
    g_assert_cmpuint(gen_flows_number(f), ==, 16000);
    g_assert_cmpuint(count.lost + count.duplicates + count.reordered, ==, 0);
    g_assert_cmpuint(count.flows_full, ==, 0);
    for (uint32_t flow = 0; flow < 8000; flow++) {
        gen_flows_see(f, &(struct gen_payload) { .run = 3, .flow = flow });
    }
    count = gen_flows_count(f);
    g_assert_cmpuint(gen_flows_number(f) + count.flows_full, ==, 24000);
    g_assert_cmpuint(count.flows_full, >, 0);
    gen_flows_free(f);
}

/* -- Times ----------------------------------------------------------------- */

/* To 1/16, and never less than it was. */
static void test_times(void)
{
    for (unsigned i = 0; i < 64 * 16; i++) {
        g_autofree struct gen_times *t = g_new0(struct gen_times, 1);
        uint64_t ns = (UINT64_C(1) << i / 16) + (i % 16) *
                      ((UINT64_C(1) << i / 16) / 16);
        uint64_t found;

        gen_times_see(t, ns);
        gen_times_see(t, UINT64_MAX);
        found = gen_times_quantile(t, 0.5);
        g_assert_cmpuint(found, >=, ns);
        g_assert_cmpuint(found - ns, <=, ns / 16);
        g_assert_cmpuint(gen_times_quantile(t, 1), ==, UINT64_MAX);
        g_assert_cmpuint(t->min_ns, ==, ns);
    }
}

static void test_quantiles(void)
{
    struct gen_times t = { 0 };

    g_assert_cmpuint(gen_times_quantile(&t, 0.5), ==, 0);
    for (unsigned i = 1; i <= 1000; i++) {
        gen_times_see(&t, i);
    }
    g_assert_cmpuint(gen_times_quantile(&t, 0.5), >=, 500);
    g_assert_cmpuint(gen_times_quantile(&t, 0.5), <, 532);
    g_assert_cmpuint(gen_times_quantile(&t, 0.99), >=, 990);
    g_assert_cmpuint(gen_times_quantile(&t, 0.99), <=, 1000);
    g_assert_cmpuint(gen_times_quantile(&t, 0), ==, 1);
    g_assert_cmpuint(t.max_ns, ==, 1000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netvm-examples/gen/write", test_write);
    g_test_add_func("/netvm-examples/gen/read", test_read);
    g_test_add_func("/netvm-examples/gen/sequences", test_sequences);
    g_test_add_func("/netvm-examples/gen/flows", test_flows);
    g_test_add_func("/netvm-examples/gen/times", test_times);
    g_test_add_func("/netvm-examples/gen/quantiles", test_quantiles);
    return g_test_run();
}
