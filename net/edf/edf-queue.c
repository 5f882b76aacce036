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
 * A head that is not eligible yet is *held*: it ranks between the frames of all
 * bands and the idle leaves, and plays in a second tree, for who becomes
 * eligible next.  Each pop looks there first.
 *
 * Threads: none of its own and no locks; one thread (or one lock) per queue.
 */
#include <glib.h>

#include "rtnet/edf-queue.h"

#define RANK_BAND_SHIFT 61
#define RANK_TIME_MAX ((1ull << RANK_BAND_SHIFT) - 1)

/* The band behind all others: the order of what is held stays as it was. */
#define RANK_HELD(rank) \
    (((rank) & RANK_TIME_MAX) | (uint64_t)EDF_BAND_HELD << RANK_BAND_SHIFT)

/* Idle leaves have different ranks, so that ties are between frames only. */
#define RANK_IDLE EDF_QUEUE_RANK_IDLE

static bool arrived_before(const EdfSource *a, const EdfSource *b)
{
    return a->head->arrival < b->head->arrival;
}

/*
 * @src, or nobody, plays from node @i with @rank: hold the matches above it.
 * Most of what a pop costs, so it is part of its callers.
 */
static inline __attribute__((always_inline))
void play(EdfQueueNode *tree, size_t i, uint64_t rank, EdfSource *src)
{
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

static void play_idle(EdfQueue *q, EdfQueueNode *tree, uint32_t leaf)
{
    play(tree, (size_t)q->leaves + leaf, RANK_IDLE + leaf, NULL);
}

/* -- Heads that are not eligible yet ----------------------------------------- */

static bool head_is_early(const EdfQueue *q, const EdfSource *src)
{
    return src->head && src->head->eligible_ns > q->now_ns && !src->blocked &&
           q->policy == EDF_QUEUE_EDF;
}

static void hold(EdfQueue *q, EdfSource *src)
{
    src->held = true;
    q->held_sources++;
    play(q->held, (size_t)q->leaves + src->leaf,
         MIN(src->head->eligible_ns, RANK_IDLE - 1), src);
}

static void let_go(EdfQueue *q, EdfSource *src)
{
    if (src->held) {
        src->held = false;
        q->held_sources--;
        play_idle(q, q->held, src->leaf);
    }
}

/* The head of @src has changed, or whether it may leave. */
static void play_head(EdfQueue *q, EdfSource *src)
{
    uint64_t rank = RANK_IDLE + src->leaf;

    let_go(q, src);
    if (head_is_early(q, src)) {
        hold(q, src);
        rank = RANK_HELD(src->head->rank);
    } else if (src->head && !src->blocked) {
        rank = src->head->rank;
    }
    play(q->tree, (size_t)q->leaves + src->leaf, rank, src);
}

/* -- Life ------------------------------------------------------------------ */

/* Room for @leaves sources; all matches are held again. */
static void grow(EdfQueue *q, uint32_t leaves)
{
    EdfQueueNode *old = q->tree;
    uint32_t old_leaves = q->leaves, i;

    q->leaves = leaves;
    q->tree = g_new(EdfQueueNode, 2 * (size_t)leaves);
    g_free(q->held);
    q->held = g_new(EdfQueueNode, 2 * (size_t)leaves);
    q->held_sources = 0;
    for (i = 1; i < 2 * leaves; i++) {
        q->tree[i] = q->held[i] = (EdfQueueNode) { .rank = UINT64_MAX - i };
    }
    for (i = 0; i < q->sources; i++) {
        EdfSource *src = old[old_leaves + i].src;

        src->held = false;
        play_head(q, src);
    }
    g_free(old);
}

void edf_queue_init(EdfQueue *q, EdfQueuePolicy policy)
{
    *q = (EdfQueue) { .policy = policy };
    grow(q, 1);
}

void edf_queue_destroy(EdfQueue *q)
{
    g_assert(q->sources == 0);
    g_free(q->tree);
    g_free(q->held);
    q->tree = q->held = NULL;
}

void edf_queue_attach(EdfQueue *q, EdfSource *src)
{
    if (q->sources == q->leaves) {
        grow(q, 2 * q->leaves);
    }
    src->leaf = q->sources++;
    play_head(q, src);
}

EdfItem *edf_queue_detach(EdfQueue *q, EdfSource *src)
{
    EdfItem *chain = src->head;
    uint32_t last = q->sources - 1;
    EdfSource *moved = q->tree[q->leaves + last].src;

    let_go(q, src);
    /* The last source moves to the leaf that becomes free. */
    if (moved != src) {
        let_go(q, moved);
        moved->leaf = src->leaf;
        play_head(q, moved);
    }
    play_idle(q, q->tree, last);
    q->sources = last;
    q->len_pkts -= src->len_pkts;
    *src = (EdfSource) { 0 };
    return chain;
}

/* -- In and out ------------------------------------------------------------- */

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
                    EdfBand band, EdfTurn turn)
{
    item->next = NULL;
    item->eligible_ns = turn.eligible_ns;
    item->arrival = q->arrivals++;
    item->rank = rank_of(q, band, turn.order_ns, item->arrival);
    src->len_pkts++;
    q->len_pkts++;
    if (src->head) {
        src->tail->next = item;
        src->tail = item;
    } else {
        src->head = src->tail = item;
        if (G_UNLIKELY(turn.eligible_ns)) {
            play_head(q, src);
        } else if (!src->blocked) {
            enter(q, src);
        }
    }
}

static EdfItem *take_head(EdfQueue *q, EdfSource *first)
{
    EdfItem *item = first->head;

    first->head = item->next;
    first->len_pkts--;
    q->len_pkts--;
    return item;
}

static void end_holds(EdfQueue *q)
{
    while (q->held[1].rank <= q->now_ns) {
        play_head(q, q->held[1].src);           /* eligible now */
    }
}

/* A head is held, or the next one of the best source has to be. */
static G_GNUC_NO_INLINE EdfItem *pop_among_held(EdfQueue *q, EdfSource **src)
{
    end_holds(q);
    *src = q->tree[1].src;
    return edf_queue_pop_source(q, *src, q->now_ns);
}

EdfItem *edf_queue_pop_source(EdfQueue *q, EdfSource *src, uint64_t now_ns)
{
    EdfItem *item;

    q->now_ns = now_ns;
    let_go(q, src);
    item = take_head(q, src);
    play_head(q, src);
    return item;
}

EdfBand edf_queue_peek(EdfQueue *q, uint64_t now_ns)
{
    q->now_ns = now_ns;
    if (G_UNLIKELY(q->held_sources > 0)) {
        end_holds(q);
    }
    return q->tree[1].rank >> RANK_BAND_SHIFT;
}

EdfItem *edf_queue_pop(EdfQueue *q, uint64_t now_ns, EdfSource **src)
{
    EdfSource *first;
    EdfItem *item, *next;

    if (edf_queue_is_idle(q)) {
        return NULL;
    }
    q->now_ns = now_ns;
    *src = first = q->tree[1].src;
    next = first->head->next;
    if (G_UNLIKELY(q->held_sources > 0 || (next && next->eligible_ns > now_ns))) {
        return pop_among_held(q, src);
    }
    item = take_head(q, first);
    play(q->tree, (size_t)q->leaves + first->leaf,
         next ? next->rank : RANK_IDLE + first->leaf, first);
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
