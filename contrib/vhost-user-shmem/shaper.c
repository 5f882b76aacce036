/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two structures hold the same frames' turns:
 *
 *   queue    (edf-queue.h) frames with a deadline; all, if the policy is not
 *            edf;
 *   a tree   root > groups > sources, root > sources without a group, for
 *            guarantees and equal shares.
 *
 * Every node of the tree has two clocks.  *Guarantee*: a pacer of the
 * guaranteed rate; a node is behind while that lies in the past, a group also
 * while a source of it is.  *Share*: bytes that it had because it had least;
 * the node with least is next, and one that comes back after a pause begins
 * where the others are (start-time fair queueing, Goyal, Vin, Chen 1996).  Its
 * parent finds the least of either by a tournament (min-tree.h).
 *
 * Of those that are behind, the one goes first whose frame is due first (and
 * none goes before it is behind, as in WF2Q: Bennett, Zhang 1996): many slow
 * ones that are behind at once do not hold up a fast one.
 *
 * A frame advances one clock of each node above it: the share if the node was
 * chosen by that, else the guarantee.
 *
 * A node plays while *open* frames wait below it: those that rules 2 and 4 may
 * choose, which are all but admitted ones.
 */
#include <string.h>

#include "shaper-impl.h"

/* -- Life ------------------------------------------------------------------ */

void shaper_set_rate(Shaper *s, const ShaperConfig *cfg, uint64_t now_ns)
{
    s->max_wire_bytes = cfg->max_wire_bytes;
    s->ahead_ns = cfg->ahead_ns;
    shaper_set_pacer(&s->bits, cfg->rate_bps, cfg->max_wire_bytes,
                     cfg->catch_up_ns, now_ns);
    shaper_set_pacer(&s->pkts, cfg->rate_pps * 8, 1, cfg->catch_up_ns, now_ns);
}

Shaper *shaper_new(const ShaperConfig *cfg)
{
    Shaper *s = g_new0(Shaper, 1);

    edf_queue_init(&s->queue, cfg->policy);
    s->root.child = g_ptr_array_new();
    shaper_set_rate(s, cfg, 0);
    return s;
}

void shaper_free(Shaper *s)
{
    for (unsigned i = 0; i < SHAPER_SOURCES; i++) {
        Node *n = s->source[i];

        for (unsigned lane = 0; n && lane < LANES; lane++) {
            if (n->lanes_attached & 1u << lane) {
                edf_queue_detach(&s->queue, &n->lane[lane]);
            }
        }
        if (n) {
            shaper_clear_node(n);
            g_free(n);
        }
    }
    for (unsigned i = 0; i < SHAPER_GROUPS; i++) {
        if (s->group[i]) {
            shaper_clear_node(s->group[i]);
            g_free(s->group[i]);
        }
    }
    shaper_clear_node(&s->root);
    edf_queue_destroy(&s->queue);
    g_free(s);
}

/* -- In -------------------------------------------------------------------- */

static EdfSource *need_lane(Shaper *s, Node *n, unsigned lane)
{
    if (G_UNLIKELY(!n->lane)) {
        n->lane = g_new0(EdfSource, LANES);
    }
    if (G_UNLIKELY(!(n->lanes_attached & 1u << lane))) {
        n->lanes_attached |= 1u << lane;
        edf_queue_attach(&s->queue, &n->lane[lane]);
    }
    return &n->lane[lane];
}

void shaper_put(Shaper *s, ShaperItem *item, EdfTurn turn, uint64_t now_ns)
{
    Node *n = shaper_need_source(s, item->source);
    bool edf = s->queue.policy == EDF_QUEUE_EDF;

    s->now_ns = now_ns;
    if (s->len_pkts++ == 0) {
        edf_pacer_resume(&s->bits, now_ns);
        edf_pacer_resume(&s->pkts, now_ns);
    }
    n->len_pkts++;
    if (item->band != EDF_BAND_BEST_EFFORT || !edf) {
        unsigned lane = item->band == EDF_BAND_BEST_EFFORT ? BEST_EFFORT_LANE
                                                           : item->lane;

        edf_queue_push(&s->queue, need_lane(s, n, lane), &item->edf,
                       item->band, turn);
    } else {
        item->edf.next = NULL;
        if (n->head) {
            n->tail->next = &item->edf;
        } else {
            n->head = &item->edf;
        }
        n->tail = &item->edf;
    }
    if (item->band != EDF_BAND_ADMITTED && edf) {
        shaper_add_open(n, 1, now_ns);
    }
}

/* -- Out ------------------------------------------------------------------- */

uint64_t shaper_next_ns(const Shaper *s)
{
    uint64_t free_ns = MAX(s->bits.next_ns, s->pkts.next_ns);

    if (s->len_pkts == 0) {
        return UINT64_MAX;
    }
    return free_ns > s->ahead_ns ? free_ns - s->ahead_ns : 0;
}

static ShaperItem *item_of(EdfItem *edf)
{
    return edf ? (ShaperItem *)((char *)edf - offsetof(ShaperItem, edf))
               : NULL;
}

static EdfItem *pop_queue(Shaper *s, uint64_t now_ns)
{
    EdfSource *src;

    return edf_queue_pop(&s->queue, now_ns, &src);
}

/* The earliest of @n's frames of @band that are first in their lanes. */
static EdfItem *pop_lane(Shaper *s, Node *n, EdfBand band, uint64_t now_ns)
{
    EdfSource *first = NULL;

    for (unsigned i = 0; n->lane && i < SHAPER_LANES; i++) {
        EdfSource *src = &n->lane[i];

        if (src->head && item_of(src->head)->band == band &&
            (!first || src->head->rank < first->head->rank)) {
            first = src;
        }
    }
    return first ? edf_queue_pop_source(&s->queue, first, now_ns) : NULL;
}

static EdfItem *pop_best_effort(Node *n)
{
    EdfItem *item = n->head;

    if (item) {
        n->head = item->next;
    }
    return item;
}

static Node *child_at(const Node *n, const MinTree *tree)
{
    return g_ptr_array_index(n->child, min_tree_first(tree));
}

/* Rules 2 and 4: who is behind its guarantee, or else had least. */
static Node *choose_source(Shaper *s)
{
    Node *n = &s->root;

    while (n->sharing.leaves > 0) {
        if (min_tree_key(&n->behind) < MIN_TREE_NONE) {
            n = child_at(n, &n->behind);
        } else {
            n = child_at(n, &n->sharing);
            n->by_share = true;
        }
    }
    return n;
}

/* What leaves next by the rules of shaper.h. */
static EdfItem *choose(Shaper *s, uint64_t now_ns)
{
    EdfBand band = edf_queue_peek(&s->queue, now_ns);
    EdfItem *item = NULL;
    bool behind;
    Node *n;

    shaper_look_who_is_behind(&s->root, now_ns);
    behind = min_tree_key(&s->root.behind) < MIN_TREE_NONE;
    if (band == EDF_BAND_ADMITTED || s->root.open_pkts == 0 ||
        (band == EDF_BAND_DEADLINE && !behind)) {
        return pop_queue(s, now_ns);
    }
    n = choose_source(s);
    if (band == EDF_BAND_DEADLINE) {
        item = pop_lane(s, n, EDF_BAND_DEADLINE, now_ns);
    }
    if (!item) {
        item = pop_best_effort(n);
    }
    /* Its frames stand behind early ones: the first of those goes. */
    if (!item) {
        item = pop_lane(s, n, EDF_BAND_ADMITTED, now_ns);
    }
    return item ? item : pop_lane(s, n, EDF_BAND_DEADLINE, now_ns);
}

static void charge_link(Shaper *s, uint32_t wire_bytes, unsigned pkts,
                        uint64_t now_ns)
{
    s->now_ns = now_ns;
    edf_pacer_charge(&s->bits, now_ns, wire_bytes);
    edf_pacer_charge(&s->pkts, now_ns, pkts);
}

/* A frame of @n leaves. */
static void charge(Shaper *s, Node *n, uint32_t wire_bytes, uint64_t now_ns)
{
    charge_link(s, wire_bytes, 1, now_ns);
    for (; n->parent; n = n->parent) {
        if (n->by_share) {
            n->parent->served_share_bytes = n->share_bytes;
            n->share_bytes += wire_bytes;
        } else {
            shaper_charge_guarantee(n, wire_bytes, 1, now_ns);
        }
    }
}

/* @item is out. */
static void forget(Shaper *s, const ShaperItem *item)
{
    Node *n = s->source[item->source];
    bool open = item->band != EDF_BAND_ADMITTED &&
                s->queue.policy == EDF_QUEUE_EDF;

    s->len_pkts--;
    n->len_pkts--;
    for (; n->parent; n = n->parent) {
        n->by_share = false;
        n->open_pkts -= open;
        shaper_play(n, s->now_ns);
    }
    n->open_pkts -= open;
}

ShaperItem *shaper_take(Shaper *s, uint64_t now_ns)
{
    ShaperItem *item;

    if (now_ns < shaper_next_ns(s)) {
        return NULL;
    }
    item = item_of(choose(s, now_ns));
    if (item) {
        charge(s, s->source[item->source], item->wire_bytes, now_ns);
        forget(s, item);
    }
    return item;
}

ShaperItem *shaper_drop(Shaper *s)
{
    ShaperItem *item = item_of(choose(s, s->queue.now_ns));

    if (item) {
        forget(s, item);
    }
    return item;
}

/* After how many bytes more the link is not free before @until_ns again: one
 * frame may go beyond. */
static uint64_t bytes_until(const EdfPacer *p, uint64_t until_ns)
{
    uint64_t parts;

    if (p->rate_bps == 0) {
        return UINT64_MAX;
    }
    if (__builtin_mul_overflow(until_ns - p->next_ns, p->rate_bps, &parts)) {
        return UINT64_MAX;
    }
    return parts / BYTE_PARTS;
}

unsigned shaper_pass(Shaper *s, unsigned source, const uint32_t *wire_bytes,
                     unsigned n, uint64_t now_ns)
{
    uint64_t until_ns = now_ns + s->ahead_ns;
    uint64_t most_bytes, most_pkts, bytes = 0;
    unsigned i = 0;
    Node *up;

    if (s->len_pkts > 0) {
        return 0;
    }
    edf_pacer_resume(&s->bits, now_ns);
    edf_pacer_resume(&s->pkts, now_ns);
    if (MAX(s->bits.next_ns, s->pkts.next_ns) > until_ns) {
        return 0;
    }
    most_bytes = bytes_until(&s->bits, until_ns);
    most_pkts = bytes_until(&s->pkts, until_ns);
    while (i < n && i <= most_pkts && bytes <= most_bytes) {
        bytes += wire_bytes[i++];
    }
    charge_link(s, bytes, i, now_ns);
    /* What is beyond a guarantee takes no share from anybody. */
    for (up = shaper_need_source(s, source); up->parent; up = up->parent) {
        if (shaper_behind_ns(up) <= now_ns) {
            shaper_charge_guarantee(up, bytes, i, now_ns);
        }
    }
    return i;
}

ShaperItem *shaper_drop_of(Shaper *s, unsigned source)
{
    Node *n = s->source[source];
    ShaperItem *item = n ? item_of(pop_best_effort(n)) : NULL;

    for (unsigned i = 0; n && n->lane && !item && i < LANES; i++) {
        if (n->lane[i].head) {
            item = item_of(edf_queue_pop_source(&s->queue, &n->lane[i],
                                                s->queue.now_ns));
        }
    }
    if (item) {
        forget(s, item);
    }
    return item;
}

/* -- What waits ------------------------------------------------------------ */

unsigned shaper_len_pkts(const Shaper *s)
{
    return s->len_pkts;
}

unsigned shaper_source_len_pkts(const Shaper *s, unsigned source)
{
    const Node *n = s->source[source];

    return n ? n->len_pkts : 0;
}
