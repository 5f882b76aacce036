/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tournament against a look at all keys.
 *
 * Threads: single.
 */
#include "min-tree.h"

#define MAX_LEAVES 70
#define OPS 200000

static void check(const MinTree *t, const uint64_t *keys, unsigned n)
{
    uint64_t least = MIN_TREE_NONE;

    for (unsigned i = 0; i < n; i++) {
        least = MIN(least, keys[i]);
    }
    g_assert_cmpuint(min_tree_key(t), ==, least);
    if (least != MIN_TREE_NONE) {
        g_assert_cmpuint(min_tree_first(t), <, n);
        g_assert_cmpuint(keys[min_tree_first(t)], ==, least);
    }
}

static void test_empty(void)
{
    MinTree t = { 0 };

    g_assert_cmpuint(min_tree_key(&t), ==, MIN_TREE_NONE);
    min_tree_grow(&t, 1);
    g_assert_cmpuint(min_tree_key(&t), ==, MIN_TREE_NONE);
    min_tree_set(&t, 0, 5);
    g_assert_cmpuint(min_tree_key(&t), ==, 5);
    g_assert_cmpuint(min_tree_first(&t), ==, 0);
    min_tree_clear(&t);
    g_assert_cmpuint(min_tree_key(&t), ==, MIN_TREE_NONE);
    min_tree_clear(&t);
}

/* It grows while it is used, by one or by more, and ties are many. */
static void test_model(void)
{
    uint64_t keys[MAX_LEAVES];
    MinTree t = { 0 };
    unsigned n = 0;

    for (unsigned op = 0; op < OPS; op++) {
        if (n == 0 || (n < MAX_LEAVES && op % (OPS / MAX_LEAVES) == 0)) {
            unsigned more = g_test_rand_int_range(1, 4);

            for (; more > 0 && n < MAX_LEAVES; more--) {
                keys[n++] = MIN_TREE_NONE;
            }
            min_tree_grow(&t, n);
        } else {
            unsigned i = g_test_rand_int_range(0, n);

            keys[i] = g_test_rand_int_range(0, 4) == 0
                      ? MIN_TREE_NONE : (uint64_t)g_test_rand_int_range(0, 50);
            min_tree_set(&t, i, keys[i]);
        }
        check(&t, keys, n);
    }
    g_assert_cmpuint(n, ==, MAX_LEAVES);
    min_tree_clear(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/min-tree/empty", test_empty);
    g_test_add_func("/min-tree/model", test_model);
    return g_test_run();
}
