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

/*
 * Nearly all chains are one descriptor, in the region where the last one was.
 * This is what decides that, apart from the Vring, so that the compiler keeps
 * it in registers while it writes a burst.
 */
typedef struct VringFast {
    uint64_t guest_addr;
    uint64_t bytes;
    uint8_t *host;
    uint16_t flags;             /* such a descriptor has these */
} VringFast;

static inline VringFast vring_fast(const Vring *r)
{
    const GuestRegion *region = &r->mem->region[r->mem_hint];

    return (VringFast) {
        .guest_addr = region->guest_addr,
        .bytes = region->bytes,
        .host = region->host,
        .flags = r->kind == VRING_RX ? VRING_DESC_F_WRITE : 0,
    };
}

/* Is @d such a chain?  Then it becomes @chain with @segment. */
static inline bool vring_add_fast(const VringFast *f, VringChain *chain,
                                  VringSegment *segment, unsigned first,
                                  const VringDesc *d, uint16_t flags,
                                  uint16_t id)
{
    uint64_t offset = d->addr - f->guest_addr;

    /* No region ends where 64 bits do: the sum does not overflow. */
    if (G_UNLIKELY(flags != f->flags || offset >= f->bytes ||
                   offset + d->bytes > f->bytes)) {
        return false;
    }
    chain->bytes = d->bytes;
    chain->first = first;
    chain->segments = 1;
    chain->id = id;
    chain->slots = 1;
    segment->data = f->host + offset;
    segment->bytes = d->bytes;
    return true;
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
bool vring_packed_resume(Vring *r, VringJournal *journal);

#endif
