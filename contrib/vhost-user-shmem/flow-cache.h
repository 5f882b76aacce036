/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to do with the frames of a flow: the only lookup on a frame's way.
 *
 * A flow is all that comes in at one port with the same addresses and VLAN tag.
 * Its action is decided once (decide.h) and kept here, until the generation of
 * the datapath changes: whenever a port, an address or a setting does, and once
 * a second besides, so that addresses in use stay young.
 *
 * One slot per hash.  The multipliers are random: a guest cannot aim at the
 * slot of another's flow.
 *
 * Threads: one worker each.
 */
#ifndef VUS_FLOW_CACHE_H
#define VUS_FLOW_CACHE_H

#include <glib.h>
#include <string.h>

#include "frame.h"

#define FLOW_SLOTS 4096             /* a power of two */
#define FLOW_MAX_OUTS 9             /* one, and mirrors of both ends */

/* Both addresses, EtherType and TCI; the last two are zero if untagged. */
typedef struct FlowKey {
    uint64_t w[2];
} FlowKey;

typedef enum FlowKind {
    FLOW_OUT,                       /* to out[0] to out[outs - 1] */
    FLOW_FLOOD,                     /* to all others of the VLAN */
    FLOW_DROP,
} FlowKind;

/* How a frame's tag has to change on its way to a port. */
typedef enum TagChange {
    TAG_KEEP,
    TAG_POP,
    TAG_PUSH,                       /* of the action's VLAN */
    TAG_SET,                        /* its priority stays */
} TagChange;

typedef struct FlowAction {
    uint8_t kind;                   /* FlowKind */
    uint8_t outs;
    uint8_t drop;                   /* Drop, of FLOW_DROP */
    bool once;                      /* not to be kept */
    uint16_t vlan;                  /* 0: untagged */
    uint8_t tag[FLOW_MAX_OUTS];     /* TagChange */
    uint16_t out[FLOW_MAX_OUTS];    /* ids of ports; of FLOW_DROP the first is
                                     * where it counts */
} FlowAction;

typedef struct FlowSlot {
    FlowKey key;
    uint32_t generation;            /* 0: never used */
    uint32_t port;
    FlowAction action;
} __attribute__((aligned(64))) FlowSlot;

G_STATIC_ASSERT(sizeof(FlowSlot) == 64);

typedef struct FlowCache {
    uint64_t multiplier[2];
    FlowSlot slot[FLOW_SLOTS];
} FlowCache;

/* To be freed with free(). */
FlowCache *flow_cache_new(void);

static inline FlowKey flow_key(const Frame *f)
{
    FlowKey key;
    uint16_t type;

    memcpy(&key, f->head, sizeof(key));
    memcpy(&type, f->head + 12, sizeof(type));
    /* What is too short for a tag has none (vlan_tag()). */
    if (G_LIKELY(type != GUINT16_TO_BE(0x8100) || f->head_bytes < 18)) {
        key.w[1] &= GUINT64_TO_LE(UINT64_C(0xffffffff));
    }
    return key;
}

/* The slot for it, whatever is in there. */
static inline FlowSlot *flow_slot(FlowCache *c, FlowKey key, unsigned port)
{
    uint64_t hash = (key.w[0] + port) * c->multiplier[0] ^
                    key.w[1] * c->multiplier[1];

    hash ^= hash >> 32;
    return &c->slot[(hash * c->multiplier[0]) >> 52];
}

static inline bool flow_slot_is(const FlowSlot *s, FlowKey key, unsigned port,
                                uint32_t generation)
{
    return s->key.w[0] == key.w[0] && s->key.w[1] == key.w[1] &&
           s->port == port && s->generation == generation;
}

G_STATIC_ASSERT(FLOW_SLOTS == UINT64_C(1) << (64 - 52));

#endif
