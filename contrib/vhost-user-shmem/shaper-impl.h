/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shaper from within: its queue, and the tree of those who send.
 *
 * Threads: as shaper.h.
 */
#ifndef VUS_SHAPER_IMPL_H
#define VUS_SHAPER_IMPL_H

#include "min-tree.h"
#include "shaper.h"

typedef struct Node Node;

struct Node {
    /* Looked at for each frame. */
    Node *parent;                   /* NULL: this is the root */
    uint32_t place;                 /* leaf in the parent's trees */
    uint32_t open_pkts;             /* at it and below */
    bool guaranteed;
    bool by_share;                  /* chosen by that; until accounted for */
    uint64_t share_bytes;           /* had by share */
    EdfPacer bits, pkts;            /* guarantee; rate 0: none */
    uint64_t frame_ns;              /* that its longest frame may take by it */

    /* An inner node's. */
    MinTree waiting, behind;        /* children by guarantee: by when they are
                                     * behind; those that are, by when the
                                     * frame is due */
    MinTree sharing;                /* children by share */
    uint64_t served_share_bytes;    /* of the child chosen by it last */
    GPtrArray *child;               /* by place; NULL: nobody */

    /* A source's. */
    EdfItem *head, *tail;           /* best effort */
    uint32_t len_pkts;
    EdfSource *lane;                /* SHAPER_LANES with a deadline, and one of
                                     * best effort for other policies ... */
    uint32_t lanes_attached;        /* ... a bit for each that was used */

    /* As configured. */
    ShaperGuarantee guarantee;
};

/* A byte at 1 bit/s takes so many ns. */
#define BYTE_PARTS UINT64_C(8000000000)

#define BEST_EFFORT_LANE SHAPER_LANES
#define LANES (SHAPER_LANES + 1)

G_STATIC_ASSERT(LANES <= 32);

struct Shaper {
    EdfQueue queue;
    EdfPacer bits, pkts;            /* the link */
    uint32_t len_pkts;
    uint32_t max_wire_bytes;
    uint64_t ahead_ns;
    uint64_t now_ns;                /* of the last frame in or out */
    Node root;
    Node *source[SHAPER_SOURCES];
    Node *group[SHAPER_GROUPS];
};

/* -- shaper-tree.c --------------------------------------------------------- */

/* It is behind its guarantee from then on. */
static inline uint64_t shaper_behind_ns(const Node *n)
{
    return MAX(n->bits.next_ns, n->pkts.next_ns);
}

/* One of @n's keys may have changed: its place in its parent's trees. */
void shaper_play(Node *n, uint64_t now_ns);

/* Who of @n's children is behind by now? */
void shaper_look_who_is_behind(Node *n, uint64_t now_ns);

/* @pkts more that rules 2 and 4 may choose, at @n or below. */
void shaper_add_open(Node *n, uint32_t pkts, uint64_t now_ns);

/* What left counts towards @n's guarantee. */
void shaper_charge_guarantee(Node *n, uint32_t wire_bytes, unsigned pkts,
                             uint64_t now_ns);

/* What was charged at the old rate holds it up for one frame at most. */
void shaper_set_pacer(EdfPacer *p, uint64_t rate_bps, uint32_t bytes,
                      uint64_t memory_ns, uint64_t now_ns);

/* The node of a source, made if it is not there. */
Node *shaper_need_source(Shaper *s, unsigned source);

void shaper_clear_node(Node *n);

#endif
