/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packed virtqueue: one ring of descriptors, which the driver makes available
 * and the device makes used where they stand (VIRTIO 1.2, 2.8).
 *
 * A descriptor is available if its AVAIL flag is, and its USED flag is not, our
 * wrap counter, which flips each time the ring is round.  As chains are given
 * back in order and none is held, the next used one is where the next available
 * one is.
 *
 * Threads: see vring.h.
 */
#include "vring-impl.h"

#define F_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define F_USED (1u << VRING_PACKED_DESC_F_USED)
#define EVENT_WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

static bool is_available(uint16_t flags, bool wrap)
{
    return !!(flags & F_AVAIL) == wrap && !!(flags & F_USED) != wrap;
}

static bool is_used(uint16_t flags, bool wrap)
{
    return !!(flags & F_AVAIL) == wrap && !!(flags & F_USED) == wrap;
}

static uint16_t load_flags(const struct vring_packed_desc *d)
{
    /* Pairs with the driver's release of the flags, which it writes last. */
    return GUINT16_FROM_LE(__atomic_load_n(&d->flags, __ATOMIC_ACQUIRE));
}

/* -- Fetch ----------------------------------------------------------------- */

/* A chain of several descriptors; @d is the first, at @slot. */
static bool add_chain(Vring *r, VringBurst *b, VringChain *chain,
                      unsigned slot, VringDesc d)
{
    for (;;) {
        if (!vring_add_segment(r, b, chain, &d)) {
            return false;
        }
        if (!(d.flags & VRING_DESC_F_NEXT)) {
            chain->id = d.x;
            return true;
        }
        if (++chain->slots > r->size) {
            return vring_fail(r, VRING_BAD_LOOP);
        }
        slot = slot + 1 < r->size ? slot + 1 : 0;
        d = vring_read_desc(&r->at.packed.desc[slot], true);
        if (d.flags & VRING_DESC_F_INDIRECT) {
            return vring_fail(r, VRING_BAD_INDIRECT);
        }
    }
}

/* Where a fetch is: behind b->n chains. */
typedef struct Place {
    unsigned slot;
    unsigned slots;             /* passed so far */
    bool wrap;
} Place;

static void pass(const Vring *r, Place *p, unsigned slots)
{
    p->slots += slots;
    p->slot += slots;
    if (p->slot >= r->size) {
        p->slot -= r->size;
        p->wrap = !p->wrap;
    }
}

/*
 * Chains b->n up to @max, as long as they are of the usual kind, and up to the
 * ring's end.
 */
static G_GNUC_NO_INLINE void add_usual(const Vring *r, VringBurst *b,
                                       unsigned max, Place *p)
{
    const struct vring_packed_desc *at = &r->at.packed.desc[p->slot];
    unsigned size = r->size, n = b->n, segments = b->segments;
    unsigned left = MIN(size - p->slot, size - p->slots);
    uint16_t turn = p->wrap ? F_AVAIL : F_USED;
    VringFast fast = vring_fast(r);
    unsigned from = n;

    if (max - n > left) {
        max = n + left;
    }
    fast.flags |= turn;
    for (; n < max; n++, at++, segments++) {
        /* A descriptor like this is available, too. */
        uint16_t flags = load_flags(at);
        VringDesc d = vring_read_desc(at, true);

        if (d.x >= size ||
            !vring_add_fast(&fast, &b->chain[n], &b->segment[segments],
                            segments, &d, flags, d.x)) {
            break;
        }
    }
    b->n = n;
    b->segments = segments;
    pass(r, p, n - from);
}

/* Chain b->n, whatever it is; false if it is not there or the ring failed. */
static bool add_any(Vring *r, VringBurst *b, Place *p)
{
    const struct vring_packed_desc *at = &r->at.packed.desc[p->slot];
    VringChain *chain = &b->chain[b->n];
    bool added;
    VringDesc d;

    if (p->slots >= r->size || !is_available(load_flags(at), p->wrap)) {
        return false;
    }
    d = vring_read_desc(at, true);
    *chain = (VringChain) { .first = b->segments, .id = d.x, .slots = 1 };
    if (!(d.flags & VRING_DESC_F_INDIRECT)) {
        added = add_chain(r, b, chain, p->slot, d);
    } else if (!(d.flags & VRING_DESC_F_NEXT)) {
        added = vring_add_indirect(r, b, chain, &d);
    } else {
        added = vring_fail(r, VRING_BAD_INDIRECT);
    }
    if (!added) {
        return false;
    }
    if (chain->id >= r->size) {
        return vring_fail(r, VRING_BAD_ID);
    }
    if (p->slots + chain->slots > r->size) {
        return vring_fail(r, VRING_BAD_LOOP);
    }
    pass(r, p, chain->slots);
    return true;
}

static uint16_t position(const Vring *r)
{
    return r->next | (r->wrap ? 0x8000 : 0);
}

/* No burst was begun yet, from where @r is; @last: a place behind it that was
 * given back, with VRING_JOURNAL_HAS_LAST, or 0. */
static void begin_journal(const Vring *r, VringJournal *j, uint64_t last)
{
    uint64_t here = position(r);

    __atomic_store_n(&j->burst, here | here << 16 | last | VRING_JOURNAL_VALID,
                     __ATOMIC_RELEASE);
}

/*
 * Go past what somebody else gave back.  When its back end is gone, QEMU's
 * virtio-net drops what the guest sends from where it believes the ring to be,
 * and of a packed ring it does not know (virtqueue_packed_drop_all()); the
 * driver takes such a chain when it comes there.  A ring that only we serve,
 * from its beginning, has no used descriptor where the next available one is to
 * be. A chain of several slots does not tell how many: drivers with
 * VIRTIO_F_INDIRECT_DESC have none.
 */
static void pass_dropped(Vring *r)
{
    const struct vring_packed_desc *desc = r->at.packed.desc;
    Place p = { .slot = r->next, .wrap = r->wrap };

    while (p.slots < VRING_BURST &&
           is_used(load_flags(&desc[p.slot]), p.wrap)) {
        pass(r, &p, 1);
    }
    if (p.slots > 0) {
        uint64_t last = (uint64_t)position(r) << 32 | VRING_JOURNAL_HAS_LAST;

        r->next = p.slot;
        r->wrap = p.wrap;
        r->unkicked_slots += p.slots;
        if (r->journal) {
            begin_journal(r, r->journal, last);
        }
    }
}

unsigned vring_packed_fetch(Vring *r, VringBurst *b, unsigned max)
{
    Place p = { .slot = r->next, .wrap = r->wrap };

    b->n = b->segments = 0;
    /* A long chain may take all segments behind the first VRING_BURST, and ends
     * the burst then. */
    while (b->segments <= VRING_BURST) {
        add_usual(r, b, max, &p);
        if (b->n == max || b->segments > VRING_BURST || !add_any(r, b, &p)) {
            break;
        }
        b->n++;
    }
    if (b->n == 0) {
        pass_dropped(r);
    }
    return b->n;
}

/* -- Complete -------------------------------------------------------------- */

/* That of the burst before it is what makes a journal credible. */
static void note_burst(Vring *r, const VringBurst *b, unsigned n,
                       const uint32_t *written)
{
    VringJournal *j = r->journal;
    uint64_t last = VRING_JOURNAL_BEFORE(j->burst);
    bool has_last = VRING_JOURNAL_CHAINS(j->burst) > 0;
    uint64_t before = position(r), after;
    unsigned slot = r->next;
    bool wrap = r->wrap;

    for (unsigned i = 0; i < n; i++) {
        j->chain[i].id = b->chain[i].id;
        j->chain[i].slots = b->chain[i].slots;
        j->chain[i].written = written ? written[i] : 0;
        slot += b->chain[i].slots;
        if (slot >= r->size) {
            slot -= r->size;
            wrap = !wrap;
        }
    }
    after = slot | (wrap ? 0x8000 : 0);
    __atomic_store_n(&j->burst, before | after << 16 | last << 32 |
                     (uint64_t)n << 48 | (has_last ? VRING_JOURNAL_HAS_LAST : 0)
                     | VRING_JOURNAL_VALID, __ATOMIC_RELEASE);
}

void vring_packed_complete(Vring *r, const VringBurst *b, unsigned n,
                           const uint32_t *written)
{
    struct vring_packed_desc *desc = r->at.packed.desc;
    struct vring_packed_desc *first = &desc[r->next];
    uint16_t flags = (r->wrap ? F_AVAIL | F_USED : 0) |
                     (written ? VRING_DESC_F_WRITE : 0);
    uint16_t first_flags = flags;
    unsigned size = r->size, slot = r->next, slots = 0;

    if (r->journal && n > 0) {
        note_burst(r, b, n, written);
    }
    for (unsigned i = 0; i < n; i++) {
        struct vring_packed_desc *d = &desc[slot];

        d->id = GUINT16_TO_LE(b->chain[i].id);
        d->len = GUINT32_TO_LE(written ? written[i] : 0);
        if (i > 0) {
            /* Pairs with the driver's acquire of the flags. */
            __atomic_store_n(&d->flags, GUINT16_TO_LE(flags), __ATOMIC_RELEASE);
        }
        slots += b->chain[i].slots;
        slot += b->chain[i].slots;
        if (G_UNLIKELY(slot >= size)) {
            slot -= size;
            flags ^= F_AVAIL | F_USED;
            r->wrap = !r->wrap;
        }
    }
    r->next = slot;
    r->unkicked_slots += slots;
    if (n > 0) {
        /* The driver stops at the first that is not used: it goes last. */
        __atomic_store_n(&first->flags, GUINT16_TO_LE(first_flags),
                         __ATOMIC_RELEASE);
    }
    if (G_UNLIKELY(r->log_used && r->mem->log)) {
        guest_mem_log(r->mem, r->used_guest_addr, size * sizeof(*first));
    }
}

/* -- After a crash --------------------------------------------------------- */

/*
 * A slot at a position tells by its flags: who stands there is
 *
 *   AVAIL  USED  (as the position's wrap counter)
 *   yes    no    available; or it was the second or later of a chain
 *   yes    yes   given back
 *   no     yes   given back, and available again, a lap later
 *   no     no    of the lap before: the driver has not come so far;
 *                or a lap later, and dropped by somebody else (pass_dropped())
 *
 * The fourth also looks like the third if it was not the first of its chain.
 */
static bool flag_at(const Vring *r, uint16_t at, uint16_t flag)
{
    return !!(load_flags(&r->at.packed.desc[at & 0x7fff]) & flag) ==
           !!(at & 0x8000);
}

static bool is_available_at(const Vring *r, uint16_t at)
{
    return flag_at(r, at, F_AVAIL) && !flag_at(r, at, F_USED);
}

static bool is_available_again(const Vring *r, uint16_t at)
{
    return !flag_at(r, at, F_AVAIL) && flag_at(r, at, F_USED);
}

static uint16_t advance(const Vring *r, uint16_t at, unsigned slots)
{
    unsigned slot = (at & 0x7fff) + slots;

    return slot < r->size ? slot | (at & 0x8000)
                          : (slot - r->size) | (~at & 0x8000);
}

/* Up to a whole lap. */
static unsigned slots_between(const Vring *r, uint16_t from, uint16_t to)
{
    unsigned slots = (to & 0x7fff) + r->size - (from & 0x7fff);

    return (from ^ to) & 0x8000 ? slots : slots - r->size;
}

/* The burst before begins there; unless the last one has come round to it. */
static bool find_last(const Vring *r, uint64_t burst, uint16_t *last)
{
    uint16_t before = VRING_JOURNAL_BEFORE(burst);
    unsigned slots = slots_between(r, before, VRING_JOURNAL_AFTER(burst));
    unsigned ahead;

    *last = VRING_JOURNAL_LAST(burst);
    ahead = (*last & 0x7fff) + r->size - (before & 0x7fff);
    return (burst & VRING_JOURNAL_HAS_LAST) && (*last & 0x7fff) < r->size &&
           ahead % r->size >= slots;
}

/* Flags alone do not tell a slot that was given back from one of a new ring in
 * the same place, which is zero. */
static bool was_ever_used(const Vring *r, uint16_t at)
{
    return r->at.packed.desc[at & 0x7fff].addr != 0 && !is_available_at(r, at);
}

/* Was all of the burst given back, as far as the ring tells?  The names of the
 * chains may be those of the next burst already. */
static bool is_given_back(const Vring *r, uint64_t burst)
{
    uint16_t before = VRING_JOURNAL_BEFORE(burst);
    uint16_t after = VRING_JOURNAL_AFTER(burst);
    unsigned slots = slots_between(r, before, after);
    bool later = is_available_again(r, before);
    uint16_t last;

    /* Otherwise only the first slot of a chain tells. */
    if (slots != VRING_JOURNAL_CHAINS(burst)) {
        slots = 1;
    }
    for (unsigned i = 0; i < slots; i++) {
        uint16_t at = advance(r, before, i);

        if (is_available_at(r, at)) {
            return false;
        }
        later |= !flag_at(r, at, F_USED);
    }
    later |= find_last(r, burst, &last) && !flag_at(r, last, F_USED);
    /* The driver goes round in order. */
    return is_available_at(r, after) || (!later && !flag_at(r, after, F_AVAIL));
}

/* Does the burst stand there, so that the driver has seen nothing of it? */
static bool is_still_there(const Vring *r, const VringJournal *j)
{
    uint16_t before = VRING_JOURNAL_BEFORE(j->burst);
    unsigned chains = VRING_JOURNAL_CHAINS(j->burst), slots = 0;

    for (unsigned i = 0; i < chains; i++) {
        unsigned last;

        slots += j->chain[i].slots;
        if (j->chain[i].slots == 0 || slots > r->size) {
            return false;
        }
        last = advance(r, before, slots - 1) & 0x7fff;
        if (GUINT16_FROM_LE(r->at.packed.desc[last].id) != j->chain[i].id) {
            return false;
        }
    }
    return is_available_at(r, before) &&
           slots == slots_between(r, before, VRING_JOURNAL_AFTER(j->burst));
}

static bool is_credible(const Vring *r, const VringJournal *j)
{
    uint64_t burst = j->burst;
    uint16_t before = VRING_JOURNAL_BEFORE(burst);
    uint16_t after = VRING_JOURNAL_AFTER(burst);
    unsigned chains = VRING_JOURNAL_CHAINS(burst);
    unsigned size = r->size;
    uint16_t last;

    if (!(burst & VRING_JOURNAL_VALID) || chains > VRING_BURST ||
        (before & 0x7fff) >= size || (after & 0x7fff) >= size ||
        slots_between(r, before, after) > size ||
        (find_last(r, burst, &last) && !was_ever_used(r, last))) {
        return false;
    }
    if (chains == 0) {
        return before == after &&
               (is_available_at(r, before) || !flag_at(r, before, F_AVAIL));
    }
    return is_available_at(r, before) ? is_still_there(r, j)
                                      : is_given_back(r, burst);
}

/* The driver has not seen it: all of it again, the first chain last. */
static void complete_again(Vring *r, const VringJournal *j)
{
    unsigned n = VRING_JOURNAL_CHAINS(j->burst);
    uint32_t written[VRING_BURST];
    VringBurst *b = g_new(VringBurst, 1);

    b->n = n;
    for (unsigned i = 0; i < n; i++) {
        b->chain[i] = (VringChain) {
            .id = j->chain[i].id, .slots = j->chain[i].slots,
        };
        written[i] = j->chain[i].written;
    }
    vring_packed_complete(r, b, n, r->kind == VRING_RX ? written : NULL);
    g_free(b);
}

static void go_to(Vring *r, uint16_t at)
{
    r->next = at & 0x7fff;
    r->wrap = at & 0x8000;
}

bool vring_packed_resume(Vring *r, VringJournal *journal)
{
    bool credible = is_credible(r, journal);

    if (credible) {
        uint16_t before = VRING_JOURNAL_BEFORE(journal->burst);

        go_to(r, before);
        if (VRING_JOURNAL_CHAINS(journal->burst) == 0) {
            /* Nothing was done yet. */
        } else if (is_available_at(r, before)) {
            complete_again(r, journal);
        } else {
            go_to(r, VRING_JOURNAL_AFTER(journal->burst));
        }
    } else {
        begin_journal(r, journal, 0);
    }
    r->journal = journal;
    return credible;
}

/* -- Kicks ----------------------------------------------------------------- */

bool vring_packed_wants_kick(Vring *r)
{
    const struct vring_packed_desc_event *e = r->at.packed.driver;
    uint32_t unkicked = r->unkicked_slots;
    uint16_t flags, off_wrap;
    unsigned off;
    bool same_lap;

    if (unkicked == 0) {
        return false;
    }
    r->unkicked_slots = 0;
    /* Used flags before their event; pairs with the driver's barrier between
     * event and flags. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    flags = GUINT16_FROM_LE(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE));
    if (flags == VRING_PACKED_EVENT_FLAG_DISABLE) {
        return false;
    }
    if (flags != VRING_PACKED_EVENT_FLAG_DESC || !r->event_idx) {
        return true;
    }
    off_wrap = GUINT16_FROM_LE(__atomic_load_n(&e->off_wrap,
                                               __ATOMIC_RELAXED));
    off = off_wrap & ~EVENT_WRAP;
    same_lap = !!(off_wrap & EVENT_WRAP) == r->wrap;
    if (off >= r->size) {
        return true;            /* nonsense; one kick too many is harmless */
    }
    /* How long ago did we pass the slot that the driver waits for? */
    if (same_lap) {
        return off < r->next && r->next - off <= unkicked;
    }
    return off >= r->next && (unsigned)(r->next + r->size - off) <= unkicked;
}

bool vring_packed_ask_kicks(Vring *r, bool ask)
{
    struct vring_packed_desc_event *e = r->at.packed.device;
    const struct vring_packed_desc *next = &r->at.packed.desc[r->next];

    __atomic_store_n(&e->flags,
                     GUINT16_TO_LE(ask ? VRING_PACKED_EVENT_FLAG_ENABLE
                                       : VRING_PACKED_EVENT_FLAG_DISABLE),
                     __ATOMIC_RELAXED);
    if (!ask) {
        return false;
    }
    /* Our event before their flags; pairs with the driver's barrier between
     * flags and event. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return is_available(load_flags(next), r->wrap);
}
