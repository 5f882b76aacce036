/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueue: a table of descriptors, a ring of heads that are available,
 * a ring of heads that were used (VIRTIO 1.2, 2.7).
 *
 * Both indices run freely over 16 bits.  As chains are given back in order and
 * none is held, where we read the avail ring is where we write the used one:
 * Vring.next.
 *
 * Threads: see vring.h.
 */
#include "vring-impl.h"

static uint16_t load_le16(const __virtio16 *at, int order)
{
    uint16_t value = order == __ATOMIC_ACQUIRE
                     ? __atomic_load_n(at, __ATOMIC_ACQUIRE)
                     : __atomic_load_n(at, __ATOMIC_RELAXED);

    return GUINT16_FROM_LE(value);
}

static void store_le16(__virtio16 *at, uint16_t value)
{
    __atomic_store_n(at, GUINT16_TO_LE(value), __ATOMIC_RELAXED);
}

/* @index of the used ring, or its event field behind the last element. */
static __virtio16 *avail_event(const Vring *r)
{
    return (__virtio16 *)&r->at.split.used->ring[r->size];
}

static const __virtio16 *used_event(const Vring *r)
{
    return &r->at.split.avail->ring[r->size];
}

/* -- Fetch ----------------------------------------------------------------- */

/* The chain that begins with @d, whatever it is. */
static bool add_chain(Vring *r, VringBurst *b, VringChain *chain, VringDesc d)
{
    unsigned seen = 1;

    for (;;) {
        if (d.flags & VRING_DESC_F_INDIRECT) {
            return !(d.flags & VRING_DESC_F_NEXT)
                   ? vring_add_indirect(r, b, chain, &d)
                   : vring_fail(r, VRING_BAD_INDIRECT);
        }
        if (!vring_add_segment(r, b, chain, &d)) {
            return false;
        }
        if (!(d.flags & VRING_DESC_F_NEXT)) {
            return true;
        }
        if (d.x >= r->size) {
            return vring_fail(r, VRING_BAD_NEXT);
        }
        if (++seen > r->size) {
            return vring_fail(r, VRING_BAD_LOOP);
        }
        d = vring_read_desc(&r->at.split.desc[d.x], false);
    }
}

/* Chains b->n up to @max, as long as they are of the usual kind. */
static G_GNUC_NO_INLINE void add_usual(const Vring *r, VringBurst *b,
                                       unsigned max)
{
    const __virtio16 *heads = r->at.split.avail->ring;
    const struct vring_desc *desc = r->at.split.desc;
    VringFast fast = vring_fast(r);
    unsigned size = r->size, mask = size - 1, at = r->next + b->n;
    unsigned segments = b->segments, n;

    for (n = b->n; n < max; n++, at++, segments++) {
        unsigned head = load_le16(&heads[at & mask], __ATOMIC_RELAXED);
        VringDesc d;

        if (G_UNLIKELY(head >= size)) {
            break;
        }
        d = vring_read_desc(&desc[head], false);
        if (!vring_add_fast(&fast, &b->chain[n], &b->segment[segments],
                            segments, &d, d.flags, head)) {
            break;
        }
    }
    b->n = n;
    b->segments = segments;
}

/* Chain b->n, whatever it is. */
static bool add_any(Vring *r, VringBurst *b)
{
    uint16_t at = (r->next + b->n) & (r->size - 1);
    uint16_t head = load_le16(&r->at.split.avail->ring[at], __ATOMIC_RELAXED);
    VringChain *chain = &b->chain[b->n];

    if (head >= r->size) {
        return vring_fail(r, VRING_BAD_HEAD);
    }
    *chain = (VringChain) { .first = b->segments, .id = head, .slots = 1 };
    return add_chain(r, b, chain,
                     vring_read_desc(&r->at.split.desc[head], false));
}

unsigned vring_split_fetch(Vring *r, VringBurst *b, unsigned max)
{
    /* Pairs with the driver's release of the ring and descriptors. */
    uint16_t ready = load_le16(&r->at.split.avail->idx, __ATOMIC_ACQUIRE) -
                     r->next;

    b->n = b->segments = 0;
    if (G_UNLIKELY(ready > r->size)) {
        vring_fail(r, VRING_BAD_AVAIL_JUMP);
        return 0;
    }
    if (max > ready) {
        max = ready;
    }
    /* A long chain may take all segments behind the first VRING_BURST, and ends
     * the burst then. */
    while (b->segments <= VRING_BURST) {
        add_usual(r, b, max);
        if (b->n == max || b->segments > VRING_BURST || !add_any(r, b)) {
            break;
        }
        b->n++;
    }
    return b->n;
}

/* -- Complete -------------------------------------------------------------- */

/* All of it, with the event field behind it: a few pages. */
static void log_used(const Vring *r)
{
    if (G_UNLIKELY(r->log_used && r->mem->log)) {
        guest_mem_log(r->mem, r->used_guest_addr, 6 + 8 * (uint64_t)r->size);
    }
}

void vring_split_complete(Vring *r, const VringBurst *b, unsigned n,
                          const uint32_t *written)
{
    struct vring_used *used = r->at.split.used;
    unsigned mask = r->size - 1, next = r->next;

    for (unsigned i = 0; i < n; i++) {
        struct vring_used_elem *e = &used->ring[(next + i) & mask];

        e->id = GUINT32_TO_LE(b->chain[i].id);
        e->len = GUINT32_TO_LE(written ? written[i] : 0);
    }
    r->next = next + n;
    r->unkicked_slots += n;
    /* Pairs with the driver's acquire of idx. */
    __atomic_store_n(&used->idx, GUINT16_TO_LE(r->next), __ATOMIC_RELEASE);
    log_used(r);
}

/* -- Kicks ----------------------------------------------------------------- */

bool vring_split_wants_kick(Vring *r)
{
    uint32_t unkicked = r->unkicked_slots;

    if (unkicked == 0) {
        return false;
    }
    r->unkicked_slots = 0;
    /* used->idx before their flags; pairs with the driver's barrier between
     * flags and idx. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (r->event_idx) {
        uint16_t event = load_le16(used_event(r), __ATOMIC_RELAXED);

        return (uint16_t)(r->next - event - 1) < unkicked;
    }
    return !(load_le16(&r->at.split.avail->flags, __ATOMIC_RELAXED) &
             VRING_AVAIL_F_NO_INTERRUPT);
}

bool vring_split_ask_kicks(Vring *r, bool ask)
{
    if (!r->event_idx) {
        store_le16(&r->at.split.used->flags,
                   ask ? 0 : VRING_USED_F_NO_NOTIFY);
    } else if (ask) {
        store_le16(avail_event(r), r->next);
    } else {
        return false;           /* the field stays behind, which is enough */
    }
    log_used(r);
    if (!ask) {
        return false;
    }
    /* Our flags before their idx; pairs with the driver's barrier between idx
     * and flags. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return load_le16(&r->at.split.avail->idx, __ATOMIC_RELAXED) != r->next;
}
