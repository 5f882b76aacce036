/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of several has the least key?  A tournament, as in net/edf/edf-queue.c:
 * an array whose node 1 is the root and whose leaves are the players, so that a
 * new key costs the matches above its leaf and the answer costs nothing.
 *
 * Threads: caller-owned state.
 */
#ifndef VUS_MIN_TREE_H
#define VUS_MIN_TREE_H

#include <glib.h>
#include <stdint.h>

/* Of a player that does not play. */
#define MIN_TREE_NONE UINT64_MAX

typedef struct MinTreeNode {
    uint64_t key;
    uint32_t leaf;
} MinTreeNode;

/* Zero-initialise. */
typedef struct MinTree {
    MinTreeNode *node;
    uint32_t leaves;            /* a power of two, or 0 */
} MinTree;

static inline void min_tree_set(MinTree *t, uint32_t leaf, uint64_t key)
{
    MinTreeNode *node = t->node;
    MinTreeNode winner = { key, leaf };
    uint32_t i = t->leaves + leaf;

    node[i] = winner;
    for (; i > 1; i /= 2) {
        MinTreeNode rival = node[i ^ 1];

        winner = rival.key < winner.key ? rival : winner;
        node[i / 2] = winner;
    }
}

/* Leaves that are new have MIN_TREE_NONE. */
static inline void min_tree_grow(MinTree *t, uint32_t least_leaves)
{
    MinTree old = *t;

    if (least_leaves <= old.leaves) {
        return;
    }
    t->leaves = 1u << g_bit_storage(least_leaves - 1);
    t->node = g_new(MinTreeNode, 2 * (gsize)t->leaves);
    for (uint32_t i = 0; i < 2 * t->leaves; i++) {
        t->node[i] = (MinTreeNode) {
            .key = MIN_TREE_NONE, .leaf = i & (t->leaves - 1),
        };
    }
    for (uint32_t i = 0; i < old.leaves; i++) {
        min_tree_set(t, i, old.node[old.leaves + i].key);
    }
    g_free(old.node);
}

static inline void min_tree_clear(MinTree *t)
{
    g_free(t->node);
    *t = (MinTree) { 0 };
}

static inline uint64_t min_tree_key(const MinTree *t)
{
    return t->leaves ? t->node[1].key : MIN_TREE_NONE;
}

/* Whose key that is, if it is not MIN_TREE_NONE. */
static inline uint32_t min_tree_first(const MinTree *t)
{
    return t->node[1].leaf;
}

#endif
