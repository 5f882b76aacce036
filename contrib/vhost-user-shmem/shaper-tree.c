/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tree of those who send by a link: who is behind its guarantee, who had
 * least (shaper.c).
 *
 * Threads: as shaper.h.
 */
#include "shaper-impl.h"

/* -- Keys ------------------------------------------------------------------ */

static uint64_t share_key(const Node *n)
{
    return n->open_pkts > 0 ? n->share_bytes : MIN_TREE_NONE;
}

static void set_key(MinTree *tree, uint32_t place, uint64_t key)
{
    if (tree->node[tree->leaves + place].key != key) {
        min_tree_set(tree, place, key);
    }
}

void shaper_play(Node *n, uint64_t now_ns)
{
    uint64_t from_ns = n->guaranteed && n->open_pkts > 0 ? shaper_behind_ns(n)
                                                         : MIN_TREE_NONE;
    bool behind = from_ns <= now_ns;
    uint64_t due_ns = behind ? from_ns + n->frame_ns : MIN_TREE_NONE;

    if (behind) {
        from_ns = MIN_TREE_NONE;
    }
    set_key(&n->parent->sharing, n->place, share_key(n));
    set_key(&n->parent->waiting, n->place,
            MIN(from_ns, min_tree_key(&n->waiting)));
    set_key(&n->parent->behind, n->place,
            MIN(due_ns, min_tree_key(&n->behind)));
}

void shaper_look_who_is_behind(Node *n, uint64_t now_ns)
{
    while (min_tree_key(&n->waiting) <= now_ns) {
        Node *child = g_ptr_array_index(n->child, min_tree_first(&n->waiting));

        shaper_look_who_is_behind(child, now_ns);
        shaper_play(child, now_ns);
    }
}

void shaper_add_open(Node *n, uint32_t pkts, uint64_t now_ns)
{
    bool comes_back = false;

    for (; n->parent; n = n->parent) {
        if (n->open_pkts == 0) {
            if (n->guaranteed) {
                edf_pacer_resume(&n->bits, now_ns);
                edf_pacer_resume(&n->pkts, now_ns);
            }
            n->share_bytes = MAX(n->share_bytes,
                                 n->parent->served_share_bytes);
            comes_back = true;
        }
        n->open_pkts += pkts;
        if (comes_back) {
            shaper_play(n, now_ns);
        }
    }
    n->open_pkts += pkts;
}

/* -- Places ---------------------------------------------------------------- */

static void enter_parent(Shaper *s, Node *n, Node *parent)
{
    unsigned place = 0;

    while (place < parent->child->len &&
           g_ptr_array_index(parent->child, place)) {
        place++;
    }
    if (place == parent->child->len) {
        g_ptr_array_add(parent->child, NULL);
    }
    parent->child->pdata[place] = n;
    n->parent = parent;
    n->place = place;
    min_tree_grow(&parent->sharing, parent->child->len);
    min_tree_grow(&parent->waiting, parent->child->len);
    min_tree_grow(&parent->behind, parent->child->len);
    n->share_bytes = parent->served_share_bytes;
    if (n->open_pkts > 0) {
        shaper_add_open(parent, n->open_pkts, s->now_ns);
    }
}

static void leave_parent(Node *n)
{
    Node *p = n->parent;

    min_tree_set(&p->sharing, n->place, MIN_TREE_NONE);
    min_tree_set(&p->waiting, n->place, MIN_TREE_NONE);
    min_tree_set(&p->behind, n->place, MIN_TREE_NONE);
    p->child->pdata[n->place] = NULL;
    for (Node *up = p; up; up = up->parent) {
        up->open_pkts -= n->open_pkts;
    }
}

/* Its place, and its parents', in the trees. */
static void play_up(Node *n, uint64_t now_ns)
{
    for (; n->parent; n = n->parent) {
        shaper_play(n, now_ns);
    }
}

static Node *node_new(Shaper *s)
{
    Node *n = g_new0(Node, 1);

    n->child = g_ptr_array_new();
    enter_parent(s, n, &s->root);
    return n;
}

void shaper_clear_node(Node *n)
{
    min_tree_clear(&n->waiting);
    min_tree_clear(&n->behind);
    min_tree_clear(&n->sharing);
    g_ptr_array_free(n->child, true);
    g_free(n->lane);
}

/* -- Guarantees ------------------------------------------------------------ */

void shaper_set_pacer(EdfPacer *p, uint64_t rate_bps, uint32_t bytes,
                      uint64_t memory_ns, uint64_t now_ns)
{
    if (p->rate_bps == 0) {
        edf_pacer_resume(p, now_ns);
    }
    edf_pacer_set_rate(p, rate_bps, bytes, now_ns);
    p->credit_ns = MAX(p->credit_ns, memory_ns);
}

static ShaperGuarantee sum_of_children(const Node *n)
{
    ShaperGuarantee sum = { 0 };

    for (unsigned i = 0; i < n->child->len; i++) {
        const Node *child = g_ptr_array_index(n->child, i);

        if (child) {
            sum.bps += child->guarantee.bps;
            sum.pps += child->guarantee.pps;
        }
    }
    return sum;
}

/* A pacer of one byte per packet counts packets. */
static void apply_guarantee(Shaper *s, Node *n)
{
    ShaperGuarantee g = n->guarantee, sum = sum_of_children(n);

    g.bps = g.bps ? g.bps : sum.bps;
    g.pps = g.pps ? g.pps : sum.pps;
    shaper_set_pacer(&n->bits, g.bps, s->max_wire_bytes, SHAPER_MEMORY_NS,
                     s->now_ns);
    shaper_set_pacer(&n->pkts, g.pps * 8, 1, SHAPER_MEMORY_NS, s->now_ns);
    n->guaranteed = g.bps > 0 || g.pps > 0;
    n->frame_ns = MAX(
        g.bps ? edf_wire_time_ns(s->max_wire_bytes, g.bps) : 0,
        g.pps ? edf_wire_time_ns(1, g.pps * 8) : 0);
    play_up(n, s->now_ns);
}

static Node *need_group(Shaper *s, unsigned group)
{
    g_assert(group < SHAPER_GROUPS);
    if (!s->group[group]) {
        s->group[group] = node_new(s);
    }
    return s->group[group];
}

Node *shaper_need_source(Shaper *s, unsigned source)
{
    g_assert(source < SHAPER_SOURCES);
    if (G_UNLIKELY(!s->source[source])) {
        s->source[source] = node_new(s);
    }
    return s->source[source];
}

void shaper_set_source(Shaper *s, unsigned source, int group,
                       ShaperGuarantee guarantee)
{
    Node *n = shaper_need_source(s, source), *before = n->parent;
    Node *parent = group < 0 ? &s->root : need_group(s, group);

    if (parent != before) {
        leave_parent(n);
        enter_parent(s, n, parent);
        if (before != &s->root) {
            apply_guarantee(s, before);
        }
    }
    n->guarantee = guarantee;
    apply_guarantee(s, n);
    if (parent != &s->root) {
        apply_guarantee(s, parent);
    }
}

void shaper_set_group(Shaper *s, unsigned group, ShaperGuarantee guarantee)
{
    Node *n = need_group(s, group);

    n->guarantee = guarantee;
    apply_guarantee(s, n);
}

/* What a node had beyond its guarantee is not held against it for ever. */
void shaper_charge_guarantee(Node *n, uint32_t wire_bytes, unsigned pkts,
                             uint64_t now_ns)
{
    if (n->guaranteed &&
        shaper_behind_ns(n) < edf_add_saturated(now_ns, SHAPER_MEMORY_NS)) {
        edf_pacer_charge(&n->bits, now_ns, wire_bytes);
        edf_pacer_charge(&n->pkts, now_ns, pkts);
    }
}
