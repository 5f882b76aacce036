/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What split and packed rings share: descriptors that are read once, and the
 * segments of a chain.
 *
 * Threads: see vring.h.
 */
#ifndef VUS_VRING_IMPL_H
#define VUS_VRING_IMPL_H

#include "vring.h"

/*
 * A descriptor of either kind, as it was when it was read.  split: x is next;
 * packed: x is the buffer id.
 */
typedef struct VringDesc {
    uint64_t addr;
    uint32_t bytes;
    uint16_t flags;
    uint16_t x;
} VringDesc;

/* Stops the ring; returns false. */
static inline bool vring_fail(Vring *r, VringError error)
{
    r->error = error;
    return false;
}

/*
 * One more segment for @chain, the last of @b.  @want: the flags that such a
 * buffer has.
 */
static inline bool vring_add_segment(Vring *r, VringBurst *b,
                                     VringChain *chain, const VringDesc *d)
{
    VringSegment *s = &b->segment[b->segments];
    bool writable = d->flags & VRING_DESC_F_WRITE;
    uint64_t sum = (uint64_t)chain->bytes + d->bytes;

    if (G_UNLIKELY(writable != (r->kind == VRING_RX))) {
        return vring_fail(r, VRING_BAD_DIRECTION);
    }
    if (G_UNLIKELY(chain->segments == VRING_MAX_SEGMENTS)) {
        return vring_fail(r, VRING_BAD_LONG);
    }
    if (G_UNLIKELY(sum > UINT32_MAX)) {
        return vring_fail(r, VRING_BAD_LENGTH);
    }
    s->data = guest_mem_at(r->mem, &r->mem_hint, d->addr, d->bytes);
    if (G_UNLIKELY(!s->data)) {
        return vring_fail(r, VRING_BAD_ADDRESS);
    }
    s->guest_addr = d->addr;
    s->bytes = d->bytes;
    b->segments++;
    chain->segments++;
    chain->bytes = sum;
    return true;
}

/* Tables of indirect descriptors lie where they like. */
typedef struct __attribute__((packed, may_alias)) VringDescWords {
    volatile uint64_t addr;
    volatile uint64_t rest;
} VringDescWords;

/* A little-endian descriptor, read once: split ones have flags before next. */
static inline VringDesc vring_read_desc(const void *at, bool packed)
{
    const VringDescWords *words = at;
    uint64_t addr = words->addr;
    uint64_t rest = words->rest;

    rest = GUINT64_FROM_LE(rest);
    return (VringDesc) {
        .addr = GUINT64_FROM_LE(addr),
        .bytes = rest,
        .flags = rest >> (packed ? 48 : 32),
        .x = rest >> (packed ? 32 : 48),
    };
}

/* The table that @d names, all of it, into @chain. */
bool vring_add_indirect(Vring *r, VringBurst *b, VringChain *chain,
                        const VringDesc *d);

unsigned vring_split_fetch(Vring *r, VringBurst *b, unsigned max);
void vring_split_complete(Vring *r, const VringBurst *b, unsigned n,
                          const uint32_t *written);
bool vring_split_wants_kick(Vring *r);
bool vring_split_ask_kicks(Vring *r, bool ask);

unsigned vring_packed_fetch(Vring *r, VringBurst *b, unsigned max);
void vring_packed_complete(Vring *r, const VringBurst *b, unsigned n,
                           const uint32_t *written);
bool vring_packed_wants_kick(Vring *r);
bool vring_packed_ask_kicks(Vring *r, bool ask);

#endif
