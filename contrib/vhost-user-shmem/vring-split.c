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

/* All other than one direct descriptor; @d is the first. */
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

unsigned vring_split_fetch(Vring *r, VringBurst *b, unsigned max)
{
    const struct vring_avail *avail = r->at.split.avail;
    /* Pairs with the driver's release of the ring and descriptors. */
    uint16_t ready = load_le16(&avail->idx, __ATOMIC_ACQUIRE) - r->next;
    uint16_t mask = r->size - 1;

    b->n = b->segments = 0;
    if (G_UNLIKELY(ready > r->size)) {
        vring_fail(r, VRING_BAD_AVAIL_JUMP);
        return 0;
    }
    if (max > ready) {
        max = ready;
    }
    while (b->n < max) {
        uint16_t head = load_le16(&avail->ring[(r->next + b->n) & mask],
                                  __ATOMIC_RELAXED);
        VringChain *chain = &b->chain[b->n];
        VringDesc d;

        if (G_UNLIKELY(head >= r->size)) {
            vring_fail(r, VRING_BAD_HEAD);
            break;
        }
        *chain = (VringChain) { .first = b->segments, .id = head, .slots = 1 };
        d = vring_read_desc(&r->at.split.desc[head], false);
        if (G_LIKELY(!(d.flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)))
            ? !vring_add_segment(r, b, chain, &d)
            : !add_chain(r, b, chain, d)) {
            break;
        }
        b->n++;
        if (G_UNLIKELY(b->segments > VRING_BURST)) {
            break;              /* the next may need all of the rest */
        }
    }
    return b->n;
}

/* -- Complete -------------------------------------------------------------- */

void vring_split_complete(Vring *r, const VringBurst *b, unsigned n,
                          const uint32_t *written)
{
    struct vring_used *used = r->at.split.used;
    uint16_t mask = r->size - 1;

    for (unsigned i = 0; i < n; i++) {
        struct vring_used_elem *e = &used->ring[(r->next + i) & mask];

        e->id = GUINT32_TO_LE(b->chain[i].id);
        e->len = GUINT32_TO_LE(written ? written[i] : 0);
    }
    if (G_UNLIKELY(r->used_guest_addr)) {
        guest_mem_dirty(r->mem, r->used_guest_addr,
                        sizeof(*used) + r->size * sizeof(used->ring[0]));
    }
    r->next += n;
    r->unkicked_slots += n;
    /* Pairs with the driver's acquire of idx. */
    __atomic_store_n(&used->idx, GUINT16_TO_LE(r->next), __ATOMIC_RELEASE);
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
    if (G_UNLIKELY(r->used_guest_addr)) {
        guest_mem_dirty(r->mem, r->used_guest_addr,
                        sizeof(*r->at.split.used) +
                        r->size * sizeof(r->at.split.used->ring[0]) + 2);
    }
    if (!ask) {
        return false;
    }
    /* Our flags before their idx; pairs with the driver's barrier between idx
     * and flags. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return load_le16(&r->at.split.avail->idx, __ATOMIC_RELAXED) != r->next;
}
