/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rings of either kind: where they lie, indirect tables, and which kind it is.
 *
 * Threads: see vring.h.
 */
#include <inttypes.h>

#include "vring-impl.h"

#define DESC_BYTES sizeof(struct vring_desc)

G_STATIC_ASSERT(sizeof(struct vring_desc) == 16);
G_STATIC_ASSERT(sizeof(struct vring_packed_desc) == 16);
G_STATIC_ASSERT(sizeof(struct vring_packed_desc_event) == 4);

/* -- Life ------------------------------------------------------------------ */

static void *part_at(const GuestMem *mem, const char *what, uint64_t user_addr,
                     uint64_t bytes, uint64_t align, GError **error)
{
    uint64_t guest_addr;
    uint8_t *at = guest_mem_at_user(mem, user_addr, bytes, &guest_addr);

    if (!at || (uintptr_t)at % align) {
        g_set_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_PEER,
                    "the ring's %s, %" PRIu64 " bytes at 0x%" PRIx64
                    " of the front end, %s", what, bytes, user_addr,
                    at ? "is not aligned" :
                    mem->n > 0 ? "is not within one region of the guest's "
                    "memory" : "is in memory that is not shared with us: the "
                    "guest's memory backend needs share=on");
        return NULL;
    }
    return at;
}

static bool find_parts(Vring *r, const VringSpec *spec, GError **error)
{
    const GuestMem *mem = r->mem;
    uint64_t size = spec->size;

    if (spec->packed) {
        r->at.packed.desc = part_at(mem, "descriptor ring",
                                    spec->desc_user_addr, size * DESC_BYTES,
                                    16, error);
        if (!r->at.packed.desc) {
            return false;
        }
        r->at.packed.driver = part_at(mem, "driver event structure",
                                      spec->avail_user_addr, 4, 4, error);
        if (!r->at.packed.driver) {
            return false;
        }
        r->at.packed.device = part_at(mem, "device event structure",
                                      spec->used_user_addr, 4, 4, error);
        return r->at.packed.device;
    }
    r->at.split.desc = part_at(mem, "descriptor table", spec->desc_user_addr,
                               size * DESC_BYTES, 16, error);
    if (!r->at.split.desc) {
        return false;
    }
    r->at.split.avail = part_at(mem, "avail ring", spec->avail_user_addr,
                                6 + 2 * size, 2, error);
    if (!r->at.split.avail) {
        return false;
    }
    r->at.split.used = part_at(mem, "used ring", spec->used_user_addr,
                               6 + 8 * size, 4, error);
    return r->at.split.used;
}

bool vring_start(Vring *r, const VringSpec *spec, const GuestMem *mem,
                 uint32_t base, GError **error)
{
    Vring new = {
        .mem = mem,
        .size = spec->size,
        .packed = spec->packed,
        .event_idx = spec->event_idx,
        .kind = spec->kind,
        .next = spec->packed ? base & 0x7fff : base,
        .wrap = spec->packed && base & 0x8000,
        /* A device before us may have given back, and died before the kick. */
        .unkicked_slots = spec->size,
        .log_used = spec->log_used,
        .used_guest_addr = spec->used_guest_addr,
    };

    if (spec->size == 0 || spec->size > VRING_MAX_SIZE ||
        (!spec->packed && spec->size & (spec->size - 1))) {
        g_set_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_PEER,
                    "a ring of %" PRIu32 " descriptors cannot be: 1 to %d%s",
                    spec->size, VRING_MAX_SIZE,
                    spec->packed ? "" : ", a power of two");
        return false;
    }
    if (spec->packed ? new.next >= spec->size : base > UINT16_MAX) {
        g_set_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_PEER,
                    "a ring of %" PRIu32 " descriptors cannot start at 0x%"
                    PRIx32, spec->size, base);
        return false;
    }
    if (!find_parts(&new, spec, error)) {
        return false;
    }
    *r = new;
    return true;
}

uint32_t vring_base(const Vring *r)
{
    uint32_t here = r->next | (r->packed && r->wrap ? 0x8000 : 0);

    /* Packed: the same again for the used side. */
    return r->packed ? here | here << 16 : here;
}

bool vring_resume(Vring *r, VringJournal *journal)
{
    g_assert(r->packed);
    return vring_packed_resume(r, journal);
}

uint32_t vring_used_base(const Vring *r)
{
    g_assert(!r->packed);
    return GUINT16_FROM_LE(__atomic_load_n(&r->at.split.used->idx,
                                           __ATOMIC_RELAXED));
}

const char *vring_error_name(VringError error)
{
    static const char *const names[] = {
        "none",
#define VRING_ERROR_NAME(name, counter, text) counter,
        VRING_ERRORS(VRING_ERROR_NAME)
#undef VRING_ERROR_NAME
    };

    return names[error];
}

const char *vring_error_text(VringError error)
{
    static const char *const texts[] = {
        "nothing is wrong",
#define VRING_ERROR_TEXT(name, counter, text) text,
        VRING_ERRORS(VRING_ERROR_TEXT)
#undef VRING_ERROR_TEXT
    };

    return texts[error];
}

/* -- Indirect tables ------------------------------------------------------- */

/* In a packed ring's table all follow each other, and NEXT says nothing. */
bool vring_add_indirect(Vring *r, VringBurst *b, VringChain *chain,
                        const VringDesc *d)
{
    unsigned n = d->bytes / DESC_BYTES, seen = 0, i = 0;
    const uint8_t *table;

    if (d->bytes % DESC_BYTES || n == 0) {
        return vring_fail(r, VRING_BAD_INDIRECT);
    }
    table = guest_mem_at(r->mem, &r->mem_hint, d->addr, d->bytes);
    if (!table) {
        return vring_fail(r, VRING_BAD_ADDRESS);
    }
    for (;;) {
        VringDesc entry = vring_read_desc(table + i * DESC_BYTES, r->packed);

        if (entry.flags & VRING_DESC_F_INDIRECT) {
            return vring_fail(r, VRING_BAD_INDIRECT);
        }
        if (!vring_add_segment(r, b, chain, &entry)) {
            return false;
        }
        seen++;
        if (r->packed) {
            i++;
            if (i == n) {
                return true;
            }
            continue;
        }
        if (!(entry.flags & VRING_DESC_F_NEXT)) {
            return true;
        }
        if (entry.x >= n) {
            return vring_fail(r, VRING_BAD_NEXT);
        }
        if (seen == n) {
            return vring_fail(r, VRING_BAD_LOOP);
        }
        i = entry.x;
    }
}

/* -- Which kind ------------------------------------------------------------ */

unsigned vring_fetch(Vring *r, VringBurst *b, unsigned max)
{
    if (G_UNLIKELY(r->error != VRING_OK)) {
        b->n = 0;
        return 0;
    }
    return r->packed ? vring_packed_fetch(r, b, max)
                     : vring_split_fetch(r, b, max);
}

void vring_complete(Vring *r, const VringBurst *b, unsigned n,
                    const uint32_t *written)
{
    if (r->packed) {
        vring_packed_complete(r, b, n, written);
    } else {
        vring_split_complete(r, b, n, written);
    }
}

bool vring_wants_kick(Vring *r)
{
    return r->packed ? vring_packed_wants_kick(r) : vring_split_wants_kick(r);
}

bool vring_ask_kicks(Vring *r, bool ask)
{
    return r->packed ? vring_packed_ask_kicks(r, ask)
                     : vring_split_ask_kicks(r, ask);
}
