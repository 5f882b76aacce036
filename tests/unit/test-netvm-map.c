/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where buffers are, and what of a packet lies in them; of four packets at once
 * the same is said as of each of them.
 *
 * Threads: single.
 */
#include <glib.h>

#include "netvm-four.h"

#define DESCS 8
#define STEPS 200000

static void test_has(void)
{
    const unsigned last = NETVM_SEGMENTS_MAX - 1;
    const uint32_t at_last = (uint32_t)last << NETVM_SEGMENT_SHIFT;
    uint64_t owners[3] = { 0 };
    uint8_t buffers[1] = { 0 };
    g_autofree struct netvm_map *m = g_new0(struct netvm_map, 1);

    m->buffer_bytes = 2048;
    m->buffer_shift = 11;
    g_assert_false(netvm_map_has(m, 0));
    g_assert_false(netvm_map_has(m, UINT32_MAX));
    m->segment[last].buffers = buffers;
    m->segment[last].owners = owners;
    m->segment[last].n = 3;
    g_assert_true(netvm_map_has(m, at_last));
    g_assert_true(netvm_map_has(m, at_last + 2));
    g_assert_false(netvm_map_has(m, at_last + 3));
    g_assert_false(netvm_map_has(m, UINT32_MAX));
    g_assert_false(netvm_map_has(m, at_last - 1));
    g_assert_false(netvm_map_has(m, 0));
    g_assert_true(netvm_map_owner(m, at_last + 2) == &owners[2]);
    g_assert_true(netvm_map_buffer(m, at_last) == buffers);
    g_assert_cmpuint((uintptr_t)netvm_map_buffer(m, at_last + 2) -
                     (uintptr_t)buffers, ==, 2 * 2048);
    /* As many as there can be. */
    m->segment[last].n = NETVM_INDEX_MASK + 1;
    m->segment[0].n = NETVM_INDEX_MASK + 1;
    g_assert_true(netvm_map_has(m, UINT32_MAX));
    g_assert_true(netvm_map_has(m, NETVM_INDEX_MASK));
    g_assert_false(netvm_map_has(m, NETVM_INDEX_MASK + 1));
    g_assert_cmpuint((uintptr_t)netvm_map_buffer(m, UINT32_MAX) -
                     (uintptr_t)buffers, ==,
                     (uint64_t)NETVM_INDEX_MASK << 11);
}

static bool holds(const struct netvm_map *m, uint16_t offset, uint16_t length)
{
    const struct netvm_desc d = { .offset = offset, .length = length };

    return netvm_map_holds(m, &d);
}

static void test_holds(void)
{
    g_autofree struct netvm_map *m = g_new0(struct netvm_map, 1);
    const struct netvm_desc none = { .buffer = 1, .length = 1 };

    m->segment[0].n = 1;
    m->buffer_bytes = 2048;
    g_assert_true(holds(m, 0, 0));
    g_assert_true(holds(m, 0, 2048));
    g_assert_false(holds(m, 0, 2049));
    g_assert_true(holds(m, 2048, 0));
    g_assert_false(holds(m, 2049, 0));
    g_assert_true(holds(m, 2047, 1));
    g_assert_false(holds(m, 2047, 2));
    g_assert_false(holds(m, UINT16_MAX, UINT16_MAX));
    g_assert_false(holds(m, 1, UINT16_MAX));
    g_assert_false(holds(m, UINT16_MAX, 1));
    g_assert_false(netvm_map_holds(m, &none));
    m->buffer_bytes = 65536;
    g_assert_true(holds(m, 0, UINT16_MAX));
    g_assert_true(holds(m, 1, UINT16_MAX));
    g_assert_false(holds(m, 2, UINT16_MAX));
    g_assert_true(holds(m, UINT16_MAX, 1));
    g_assert_false(holds(m, UINT16_MAX, 2));
    g_assert_false(holds(m, UINT16_MAX, UINT16_MAX));
}

/* -- Four packets at once -------------------------------------------------- */

/* Mostly close to where the answer changes. */
static uint32_t near_edge(const struct netvm_map *m, uint32_t segment)
{
    uint32_t n = (uint32_t)m->segment[segment].n;
    const uint32_t at[] = {
        segment << NETVM_SEGMENT_SHIFT, (segment << NETVM_SEGMENT_SHIFT) + n,
        (segment + 1) << NETVM_SEGMENT_SHIFT, 0, UINT32_C(1) << 31,
        (uint32_t)g_test_rand_int(),
    };

    return at[g_test_rand_int_range(0, G_N_ELEMENTS(at))] +
           (uint32_t)g_test_rand_int_range(-3, 3);
}

/* A packet of the segment, most of the time. */
static struct netvm_desc four_desc(const struct netvm_map *m, uint32_t segment)
{
    uint32_t n = (uint32_t)m->segment[segment].n;
    gboolean odd = g_test_rand_int_range(0, 8) == 0;
    uint32_t length = (uint32_t)g_test_rand_int_range(0, 65536);
    struct netvm_desc d = {
        .buffer = n && !odd ? (segment << NETVM_SEGMENT_SHIFT) +
                              (uint32_t)g_test_rand_int() % n
                            : near_edge(m, segment),
        .offset = (uint16_t)(length > m->buffer_bytes
                             ? (uint32_t)g_test_rand_int()
                             : m->buffer_bytes - length),
        .length = (uint16_t)length,
    };

    if (g_test_rand_int_range(0, 8) == 0) {
        d.offset++;
    }
    return d;
}

static void test_four(void)
{
    static const uint32_t segments[] = { 0, 1, 31, 32, 63 };
    static const uint64_t sizes[] = { 0, 1, 3, 5000, NETVM_INDEX_MASK,
                                      NETVM_INDEX_MASK + UINT64_C(1) };
    static const uint32_t bytes[] = { 2048, 65536 };
    g_autofree struct netvm_map *m = g_new0(struct netvm_map, 1);
    unsigned all_held = 0, one_refused = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(m->segment); i++) {
        m->segment[i].n = sizes[i % G_N_ELEMENTS(sizes)];
    }
    for (unsigned i = 0; i < STEPS; i++) {
        uint32_t segment = segments[i % G_N_ELEMENTS(segments)];
        struct netvm_desc d[4];
        struct netvm_place place;
        struct netvm_four four;
        unsigned held = 0;

        m->buffer_bytes = bytes[g_test_rand_int_range(0, 2)];
        m->segment[segment].n =
            sizes[g_test_rand_int_range(0, G_N_ELEMENTS(sizes))];
        place = netvm_place_of(m, (segment << NETVM_SEGMENT_SHIFT) +
                                ((uint32_t)g_test_rand_int() &
                                 NETVM_INDEX_MASK));
        for (unsigned k = 0; k < 4; k++) {
            d[k] = four_desc(m, segment);
            held += d[k].buffer >> NETVM_SEGMENT_SHIFT == segment &&
                    netvm_map_holds(m, &d[k]);
        }
        four = netvm_four_read(d);
        g_assert_true(netvm_four_hold(&four, &place) == (held == 4));
        all_held += held == 4;
        one_refused += held == 3;
    }
    g_assert_cmpuint(all_held, >, STEPS / 100);
    g_assert_cmpuint(one_refused, >, STEPS / 100);
}

static uint64_t random_u64(void)
{
    return (uint64_t)(uint32_t)g_test_rand_int() << 32 |
           (uint32_t)g_test_rand_int();
}

/* Which are alike, and what comes into a ring and out of it. */
static void test_four_words(void)
{
    struct netvm_ring *ring = g_aligned_alloc0(
        1, sizeof(*ring) + DESCS * sizeof(ring->desc[0]), NETVM_LINE_BYTES);
    unsigned all_alike = 0;

    for (unsigned i = 0; i < STEPS; i++) {
        uint64_t like = random_u64() & ~NETVM_DESC_HASH;
        uint64_t change = random_u64();
        struct netvm_desc *slot = &ring->desc[i % 2 * 4], d[4], copy[4];
        struct netvm_four four;
        unsigned alike = 0;

        for (unsigned k = 0; k < 4; k++) {
            d[k].word[0] = random_u64();
            d[k].word[1] = like | (random_u64() & NETVM_DESC_HASH);
            if (g_test_rand_int_range(0, 8) == 0) {
                d[k].word[1] ^= UINT64_C(1) << g_test_rand_int_range(0, 64);
            }
            alike += (d[k].word[1] & ~NETVM_DESC_HASH) == like;
        }
        four = netvm_four_read(d);
        g_assert_true(netvm_four_like(&four, like) == (alike == 4));
        all_alike += alike == 4;

        netvm_four_put(&four, change, slot);
        four = netvm_four_take(slot);
        netvm_four_copy(&four, copy);
        for (unsigned k = 0; k < 4; k++) {
            d[k].word[1] ^= change;
        }
        g_assert_cmpmem(slot, sizeof(d), d, sizeof(d));
        g_assert_cmpmem(copy, sizeof(copy), d, sizeof(d));
    }
    g_assert_cmpuint(all_alike, >, STEPS / 10);
    g_assert_cmpuint(all_alike, <, STEPS / 10 * 9);
    g_aligned_free(ring);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netvm-map/has", test_has);
    g_test_add_func("/netvm-map/holds", test_holds);
    g_test_add_func("/netvm-map/four", test_four);
    g_test_add_func("/netvm-map/four-words", test_four_words);
    return g_test_run();
}
