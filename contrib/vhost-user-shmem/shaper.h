/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A link of some rate: whose frame leaves next, and when.
 *
 * Every *source* (a port that sends to this one) has its own queues and may
 * belong to a *group* (a tenant).  Each of them may have a *guarantee*.  With
 * the policy edf, what leaves next is
 *
 *   1. an admitted frame, earliest deadline first;
 *   2. a frame of who is behind its guarantee: the one whose longest frame
 *      would be due first by it, of groups and sources without a group, and of
 *      the sources of a group (it is behind while a source of it is, too);
 *   3. a frame with a deadline that nobody has admitted, earliest first;
 *   4. a best-effort frame: all groups and sources without a group share
 *      equally what is left, and so do the sources of a group;
 *   5. an admitted frame that comes too early for its contract.
 *
 * So nothing takes from what was admitted or guaranteed, and the link is never
 * idle while a frame waits.  What leaves by 1, 3 and 5 counts towards the
 * guarantees as well.  With the policies fifo and strict (edf-queue.h) there
 * are no guarantees.
 *
 * One source is never reordered, except that its frames with a deadline go
 * before those without; a source that gathers many (a trusted uplink) has a
 * *lane* for each.  If it is chosen by 2 or 4 and all that may leave stands
 * behind frames that come too early, one of those goes instead.
 *
 * A guarantee in bit/s and packets/s is used up by whatever is reached first.
 *
 * Three verbs: shaper_put(), shaper_next_ns(), shaper_take().  Costs are
 * O(log sources); nothing is allocated after a source's first frame.
 *
 * Lengths are bytes on the link (EDF_LINK_OVERHEAD_BYTES included).
 *
 * Threads: caller-owned state, one thread (or one lock) per shaper.
 */
#ifndef VUS_SHAPER_H
#define VUS_SHAPER_H

#include "rtnet/edf-pacer.h"
#include "rtnet/edf-queue.h"

#define SHAPER_SOURCES 256
#define SHAPER_GROUPS 64
#define SHAPER_LANES 16             /* of one source */
#define SHAPER_NO_GROUP (-1)

/* A guarantee that could not be kept (the thread did not run) is made good for
 * as long as this, and what left beyond it counts for as long. */
#define SHAPER_MEMORY_NS 10000000

typedef struct Shaper Shaper;

typedef struct ShaperConfig {
    uint64_t rate_bps;              /* 0: it orders, and never waits */
    uint64_t rate_pps;              /* 0: as many as there are */
    uint32_t max_wire_bytes;        /* longest frame */
    uint64_t catch_up_ns;           /* lateness that costs no throughput */
    uint64_t ahead_ns;              /* a frame may leave so much too early: on
                                     * a fast link, with others at once */
    EdfQueuePolicy policy;
} ShaperConfig;

typedef struct ShaperGuarantee {
    uint64_t bps, pps;              /* 0: none */
} ShaperGuarantee;

/* Part of a frame that waits.  What its owner sets first: */
typedef struct ShaperItem {
    EdfItem edf;
    uint32_t wire_bytes;
    uint16_t source;                /* below SHAPER_SOURCES */
    uint8_t lane;                   /* below SHAPER_LANES */
    uint8_t band;                   /* EdfBand */
} ShaperItem;

/* -- Life ------------------------------------------------------------------ */

Shaper *shaper_new(const ShaperConfig *cfg);

/* Items that wait are their owner's. */
void shaper_free(Shaper *s);

/* Takes effect from @now_ns on; the policy stays. */
void shaper_set_rate(Shaper *s, const ShaperConfig *cfg, uint64_t now_ns);

/*
 * At any time; frames that wait follow.  A group that has no guarantee of its
 * own has those of its sources together.
 */
void shaper_set_source(Shaper *s, unsigned source, int group,
                       ShaperGuarantee guarantee);
void shaper_set_group(Shaper *s, unsigned group, ShaperGuarantee guarantee);

/* -- The way of a frame ---------------------------------------------------- */

/* @turn matters to frames with a deadline. */
void shaper_put(Shaper *s, ShaperItem *item, EdfTurn turn, uint64_t now_ns);

/*
 * How many of @n best-effort frames of @source, from the first on, may leave
 * now without having waited?  None if others wait.  Those have left.
 */
unsigned shaper_pass(Shaper *s, unsigned source, const uint32_t *wire_bytes,
                     unsigned n, uint64_t now_ns);

/* When the next frame may leave; UINT64_MAX: none waits. */
uint64_t shaper_next_ns(const Shaper *s);

/* The frame that leaves at @now_ns, or NULL: not yet, or none waits. */
ShaperItem *shaper_take(Shaper *s, uint64_t now_ns);

/* One that does not leave, for whoever empties it; NULL: none waits. */
ShaperItem *shaper_drop(Shaper *s);

/* The same of one source. */
ShaperItem *shaper_drop_of(Shaper *s, unsigned source);

/* -- What waits ------------------------------------------------------------ */

unsigned shaper_len_pkts(const Shaper *s);
unsigned shaper_source_len_pkts(const Shaper *s, unsigned source);

#endif
