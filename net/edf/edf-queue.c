/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deadline queue: a tournament between the heads of the sources.
 *
 * The tree is an array: node 1 is the root, the children of node i are 2i and
 * 2i + 1, source s plays from leaf leaves + s.  Every inner node holds the
 * better of its two children, so the root holds the frame that leaves next.
 * When the head of a source changes, only the nodes above its leaf are played
 * again; their addresses do not depend on who wins, and the winner can be
 * chosen without a branch, which is what makes this faster than a heap.
 *
 * A leaf whose source has nothing to send, is blocked or does not exist ranks
 * behind every frame.
 *
 * Threads: none of its own and no locks; one thread (or one lock) per queue.
 */
#include <glib.h>

#include "rtnet/edf-queue.h"

#define RANK_BAND_SHIFT 62
#define RANK_TIME_MAX ((1ull << RANK_BAND_SHIFT) - 1)

/* Idle leaves have different ranks, so that ties are between frames only. */
#define RANK_IDLE EDF_QUEUE_RANK_IDLE

static bool arrived_before(const EdfSource *a, const EdfSource *b)
{
    return a->head->arrival < b->head->arrival;
}

/*
 * @src, or nobody, plays from @leaf with @rank: hold the matches above it.
 * Most of what a pop costs, so it is part of its callers.
 */
static inline __attribute__((always_inline))
void play(EdfQueue *q, uint32_t leaf, uint64_t rank, EdfSource *src)
{
    EdfQueueNode *tree = q->tree;
    size_t i = (size_t)q->leaves + leaf;
    EdfSource *winner = src;

    tree[i].rank = rank;
    tree[i].src = src;
    for (; i > 1; i /= 2) {
        uint64_t rival_rank = tree[i ^ 1].rank;
        EdfSource *rival = tree[i ^ 1].src;
        bool rival_wins = rival_rank < rank;

        if (G_UNLIKELY(rival_rank == rank)) {
            rival_wins = arrived_before(rival, winner);
        }
        rank = rival_wins ? rival_rank : rank;
        winner = rival_wins ? rival : winner;
        tree[i / 2].rank = rank;
        tree[i / 2].src = winner;
    }
}

/*
 * The idle @src has a head now, younger than all others: it wins no tie, and
 * most often it loses soon.
 */
static void enter(EdfQueue *q, EdfSource *src)
{
    EdfQueueNode me = { .rank = src->head->rank, .src = src };
    uint32_t i = q->leaves + src->leaf;

    do {
        q->tree[i] = me;
        i /= 2;
    } while (i > 0 && me.rank < q->tree[i].rank);
}

static void play_idle(EdfQueue *q, uint32_t leaf, EdfSource *src)
{
    play(q, leaf, RANK_IDLE + leaf, src);
}

static inline uint64_t head_rank(const EdfSource *src)
{
    return src->head && !src->blocked ? src->head->rank
                                      : RANK_IDLE + src->leaf;
}

static void play_head(EdfQueue *q, EdfSource *src)
{
    play(q, src->leaf, head_rank(src), src);
}

/* -- Life ------------------------------------------------------------------ */

void edf_queue_init(EdfQueue *q, EdfQueuePolicy policy)
{
    *q = (EdfQueue) { .policy = policy };
}

void edf_queue_destroy(EdfQueue *q)
{
    g_assert(q->sources == 0);
    g_free(q->tree);
    q->tree = NULL;
    q->leaves = 0;
}

/* Twice the leaves; all matches are held again. */
static void grow(EdfQueue *q)
{
    EdfQueueNode *old = q->tree;
    uint32_t old_leaves = q->leaves, i;

    q->leaves = old_leaves ? old_leaves * 2 : 1;
    q->tree = g_new(EdfQueueNode, 2 * (size_t)q->leaves);
    for (i = 1; i < 2 * q->leaves; i++) {
        q->tree[i] = (EdfQueueNode) { .rank = UINT64_MAX - i };
    }
    for (i = 0; i < q->sources; i++) {
        play_head(q, old[old_leaves + i].src);
    }
    g_free(old);
}

void edf_queue_attach(EdfQueue *q, EdfSource *src)
{
    if (q->sources == q->leaves) {
        grow(q);
    }
    src->leaf = q->sources++;
    play_head(q, src);
}

EdfItem *edf_queue_detach(EdfQueue *q, EdfSource *src)
{
    EdfItem *chain = src->head;
    uint32_t last = q->sources - 1;

    /* The last source moves to the leaf that becomes free. */
    if (src->leaf != last) {
        EdfSource *moved = q->tree[q->leaves + last].src;

        moved->leaf = src->leaf;
        play_head(q, moved);
    }
    play_idle(q, last, NULL);
    q->sources = last;
    q->len_pkts -= src->len_pkts;
    *src = (EdfSource) { 0 };
    return chain;
}

/* -- The three verbs ------------------------------------------------------- */

static uint64_t rank_of(const EdfQueue *q, EdfBand band, uint64_t deadline_ns,
                        uint64_t arrival)
{
    uint64_t band_bits = (uint64_t)band << RANK_BAND_SHIFT;

    switch (q->policy) {
    case EDF_QUEUE_FIFO:
        return arrival;
    case EDF_QUEUE_STRICT:
        return (band == EDF_BAND_BEST_EFFORT ? band_bits : 0) | arrival;
    default:
        return band_bits | (band == EDF_BAND_BEST_EFFORT ? arrival :
                            MIN(deadline_ns, RANK_TIME_MAX));
    }
}

void edf_queue_push(EdfQueue *q, EdfSource *src, EdfItem *item,
                    EdfBand band, uint64_t deadline_ns)
{
    item->next = NULL;
    item->arrival = q->arrivals++;
    item->rank = rank_of(q, band, deadline_ns, item->arrival);
    src->len_pkts++;
    q->len_pkts++;
    if (src->head) {
        src->tail->next = item;
        src->tail = item;
    } else {
        src->head = src->tail = item;
        if (!src->blocked) {
            enter(q, src);
        }
    }
}

EdfItem *edf_queue_pop(EdfQueue *q, EdfSource **src)
{
    EdfSource *first;
    EdfItem *item;

    if (edf_queue_is_idle(q)) {
        return NULL;
    }
    first = q->tree[1].src;
    item = first->head;
    if (src) {
        *src = first;
    }
    first->head = item->next;
    first->len_pkts--;
    q->len_pkts--;
    play(q, first->leaf, head_rank(first), first);
    return item;
}

/* -- Backends that are full ------------------------------------------------ */

void edf_queue_block(EdfQueue *q, EdfSource *src)
{
    src->blocked = true;
    play_head(q, src);
}

void edf_queue_unblock(EdfQueue *q, EdfSource *src)
{
    src->blocked = false;
    play_head(q, src);
}

void edf_queue_unpop(EdfQueue *q, EdfSource *src, EdfItem *item)
{
    item->next = src->head;
    if (!src->head) {
        src->tail = item;
    }
    src->head = item;
    src->len_pkts++;
    q->len_pkts++;
    play_head(q, src);
}
