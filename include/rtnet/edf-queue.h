/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deadline queue: which frame leaves next.
 *
 * Frames wait in the FIFO of their *source* (one per port), so one source is
 * never reordered.  One choice is left: whose head goes first?  The heads play
 * a tournament, and the least rank wins.  The rank depends on the policy:
 *
 *   edf     band, then absolute deadline, then order of arrival
 *           (Suzuki 2013: "time waited - registered deadline, largest first"
 *           is the same as "least absolute deadline first");
 *   strict  real-time bands before best effort, order of arrival inside;
 *   fifo    order of arrival.
 *
 * Best effort is always FIFO.  A source whose backend cannot take a frame is
 * blocked: its frames stay, the others go on.  With edf, a frame that is not
 * *eligible* yet, because its source sends more than it declared, goes only
 * when nobody else has anything to send.
 *
 * A frame embeds an EdfItem; the queue owns no frame and allocates nothing
 * after a source is attached.  Push and pop cost O(log sources).
 *
 * Threads: none of its own and no locks; one thread (or one lock) per queue.
 */
#ifndef RTNET_EDF_QUEUE_H
#define RTNET_EDF_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rtnet/edf-admission.h"

typedef enum EdfQueuePolicy {
    EDF_QUEUE_EDF,
    EDF_QUEUE_FIFO,
    EDF_QUEUE_STRICT,
} EdfQueuePolicy;

/* Ranks from here on are those of sources with nothing to send. */
#define EDF_QUEUE_RANK_IDLE (7ull << 61)

/* Lower value leaves first. */
typedef enum EdfBand {
    EDF_BAND_ADMITTED,      /* declared a contract and passed admission */
    EDF_BAND_DEADLINE,      /* has a deadline, promised nothing */
    EDF_BAND_BEST_EFFORT,   /* no deadline */

    /* Only what edf_queue_peek() answers. */
    EDF_BAND_HELD,          /* none is eligible yet */
    EDF_BAND_NONE = EDF_QUEUE_RANK_IDLE >> 61,
} EdfBand;

typedef struct EdfItem EdfItem;
typedef struct EdfSource EdfSource;
typedef struct EdfQueue EdfQueue;
typedef struct EdfQueueNode EdfQueueNode;

struct EdfItem {
    EdfItem *next;
    uint64_t rank;          /* band and deadline, or band and arrival */
    uint64_t arrival;       /* breaks ties: smaller arrived earlier */
    uint64_t eligible_ns;   /* before that, everyone else goes first */
};

struct EdfQueueNode {
    uint64_t rank;
    EdfSource *src;
};

/* One per port.  Zero-initialise, then edf_queue_attach(). */
struct EdfSource {
    EdfItem *head;
    EdfItem *tail;
    uint32_t len_pkts;
    uint32_t leaf;          /* where it plays in EdfQueue.tree */
    bool blocked;
    bool held;              /* plays in EdfQueue.held as well */
};

struct EdfQueue {
    EdfQueueNode *tree;             /* heads of the sources, best on top */
    EdfQueueNode *held;             /* heads not eligible yet, next on top */
    uint32_t leaves;                /* of both trees; a power of two */
    uint32_t held_sources;
    uint32_t sources;               /* attached; on the first leaves */
    uint32_t len_pkts;              /* over all sources, blocked ones too */
    uint64_t arrivals;              /* next EdfItem.arrival */
    uint64_t now_ns;                /* of the last pop */
    EdfQueuePolicy policy;
};

/* -- Life ---------------------------------------------------------------- */

void edf_queue_init(EdfQueue *q, EdfQueuePolicy policy);

/* All sources must have been detached. */
void edf_queue_destroy(EdfQueue *q);

void edf_queue_attach(EdfQueue *q, EdfSource *src);

/*
 * Take @src out.  Returns the chain of its items, first to leave first, linked
 * by EdfItem.next; the caller owns and frees them.
 */
EdfItem *edf_queue_detach(EdfQueue *q, EdfSource *src);

/* -- In and out ----------------------------------------------------------- */

/*
 * @turn: times on any clock, below 2^61; ignored by the policies that do not
 * look at it, and in the best-effort band.
 */
void edf_queue_push(EdfQueue *q, EdfSource *src, EdfItem *item,
                    EdfBand band, EdfTurn turn);

/* Is there nothing that could leave? */
static inline bool edf_queue_is_idle(const EdfQueue *q)
{
    return q->tree[1].rank >= EDF_QUEUE_RANK_IDLE;
}

/*
 * Take out the item that leaves next at @now_ns; the caller owns it.  *@src
 * is whose it was.  NULL if there is none.
 */
EdfItem *edf_queue_pop(EdfQueue *q, uint64_t now_ns, EdfSource **src);

/*
 * The band of the item that edf_queue_pop() would take; with the policy fifo
 * it means nothing, except EDF_BAND_NONE.
 */
EdfBand edf_queue_peek(EdfQueue *q, uint64_t now_ns);

/* Take out the first item of @src, which has one and is not blocked, before its
 * turn. */
EdfItem *edf_queue_pop_source(EdfQueue *q, EdfSource *src, uint64_t now_ns);

/* -- Backends that are full ---------------------------------------------- */

/* Skip @src until edf_queue_unblock(). */
void edf_queue_block(EdfQueue *q, EdfSource *src);
void edf_queue_unblock(EdfQueue *q, EdfSource *src);

/* Put @item back in front of its source, with the rank it had. */
void edf_queue_unpop(EdfQueue *q, EdfSource *src, EdfItem *item);

#endif
