/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who owns each buffer, by its owner word and the tail of the ring that the
 * word names (rtnet/netvm-abi.h).
 *
 * Theory of operation.  Nobody writes the words of buffers that a dead member
 * owns, and tails of rings from it and to it stand still: nobody sends to it
 * any more, itself included.  So these tails may be looked at first, and words
 * later and one by one, while everybody else goes on: words of others change,
 * but from one living owner to another, which are told from the dead one's
 * whatever the other tails have become.  Rings of senders that may not know yet
 * that it died are left alone; what is in them is theirs to look at later.
 *
 * So words are read without the domain's lock, for which workers wait.  It is
 * taken to put buffers into the pool, a few at a time, for two reasons: the
 * pool itself; and that the word is written anew before a worker can give the
 * buffer to somebody, and write it.  It has to be, as it might be one of a
 * position that the ring has not reached yet.
 *
 * Who owns how many is counted in the same way, but of the living that is a
 * moment's picture: tails are looked at again after some words, and what was
 * sent since counts as its sender's.
 *
 * Threads: control.
 */
#include "domain.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Buffers that are taken back under one hold of the lock. */
#define RECLAIM_BURST 64
/* Words that are counted by one look at the tails. */
#define COUNT_BURST 65536

/* Both ends of a ring, and its tail at one moment. */
typedef struct RingEnds {
    uint8_t sender, receiver;
    uint64_t tail;
} RingEnds;

/* Of all rings; [0] is none.  Ours are the daemon's own, under the lock. */
static void look_at_rings(Domain *d, RingEnds *ends)
{
    unsigned members = d->region->layout.members;

    pthread_mutex_lock(&d->lock);
    for (unsigned m = 1; m <= members; m++) {
        const DomainMember *member = &d->member[m];

        ends[NETVM_RING_RX(m)] = (RingEnds) { 0, m, member->rx.tail };
        ends[NETVM_RING_FILL(m)] = (RingEnds) { 0, m, member->fill.tail };
        /* What it has sent and nobody took is counted as its own. */
        ends[NETVM_RING_TX(m)] = (RingEnds) { m, 0, member->tx.head };
    }
    pthread_mutex_unlock(&d->lock);
    for (unsigned m = 1; m <= members; m++) {
        for (unsigned to = 1; to <= members; to++) {
            unsigned number = NETVM_RING_DIRECT(members, m, to);
            struct netvm_ring *ring = domain_region_ring(d->region, number);

            ends[number] = (RingEnds) { m, to,
                                        netvm_read_acquire(&ring->tail) };
        }
    }
}

static RingEnds *new_ends(const Domain *d)
{
    return g_new0(RingEnds, NETVM_RINGS(d->region->layout.members));
}

/* The owner that @word names; NETVM_DAEMON for what names nobody. */
static unsigned owner_of(const RingEnds *ends, unsigned rings, uint64_t word)
{
    unsigned ring = netvm_owner_ring(word);

    if (ring == 0 || ring >= rings) {
        return NETVM_DAEMON;
    }
    return netvm_owner_received(word, ends[ring].tail) ? ends[ring].receiver
                                                       : ends[ring].sender;
}

/* Those who send to it find an empty ring; positions go on. */
static void empty_rings(Domain *d, DomainMember *m, uint64_t unseen,
                        const RingEnds *ends)
{
    unsigned members = d->region->layout.members;

    netvm_write_release(&m->rx.ring->head, m->rx.tail);
    netvm_write_release(&m->fill.ring->head, m->fill.tail);
    m->tx.head = m->tx.tail_seen = netvm_read_acquire(&m->tx.ring->tail);
    netvm_write_release(&m->tx.ring->head, m->tx.head);
    for (unsigned from = 1; from <= members; from++) {
        if (from != m->number && !(unseen & BIT(from))) {
            unsigned number = NETVM_RING_DIRECT(members, from, m->number);

            /* As far as was looked at. */
            netvm_write_release(
                &domain_region_ring(d->region, number)->head,
                ends[number].tail);
        }
    }
}

/* What was found of it, and is about to be taken back. */
typedef struct Found {
    unsigned n;
    uint32_t buffer[RECLAIM_BURST];
    uint64_t word[RECLAIM_BURST];
} Found;

/* Returns how many were. */
static unsigned take_back(Domain *d, Found *f)
{
    unsigned taken = 0;

    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < f->n; i++) {
        uint64_t *at = netvm_map_owner(&d->region->map, f->buffer[i]);

        /* A member that lies may have given it another owner since. */
        if (netvm_read(at) == f->word[i] && domain_pool_put(d, f->buffer[i])) {
            netvm_write(at, 0);
            taken++;
        }
    }
    pthread_mutex_unlock(&d->lock);
    f->n = 0;
    return taken;
}

unsigned domain_reclaim(Domain *d, DomainMember *m, uint64_t unseen)
{
    unsigned rings = NETVM_RINGS(d->region->layout.members), taken = 0;
    g_autofree RingEnds *ends = new_ends(d);
    Found found = { 0 };

    look_at_rings(d, ends);
    for (unsigned s = 0; s < d->region->segments; s++) {
        for (uint32_t i = 0; i < d->region->map.segment[s].n; i++) {
            uint32_t buffer = s << NETVM_SEGMENT_SHIFT | i;
            uint64_t word = netvm_read(netvm_map_owner(&d->region->map,
                                                       buffer));
            unsigned ring = netvm_owner_ring(word);

            if (owner_of(ends, rings, word) != m->number ||
                (ends[ring].receiver == m->number &&
                 unseen & BIT(ends[ring].sender))) {
                continue;
            }
            found.buffer[found.n] = buffer;
            found.word[found.n++] = word;
            if (found.n == RECLAIM_BURST) {
                taken += take_back(d, &found);
            }
        }
    }
    taken += take_back(d, &found);
    pthread_mutex_lock(&d->lock);
    empty_rings(d, m, unseen, ends);
    pthread_mutex_unlock(&d->lock);
    return taken;
}

uint32_t domain_free_buffers(Domain *d)
{
    uint32_t n;

    pthread_mutex_lock(&d->lock);
    n = d->pool_n;
    pthread_mutex_unlock(&d->lock);
    return n;
}

uint64_t domain_copies(Domain *d)
{
    uint64_t n;

    pthread_mutex_lock(&d->lock);
    n = d->copies;
    pthread_mutex_unlock(&d->lock);
    return n;
}

void domain_count_owned(Domain *d, uint32_t owned[NETVM_MEMBERS_MAX + 1])
{
    unsigned rings = NETVM_RINGS(d->region->layout.members);
    g_autofree RingEnds *ends = new_ends(d);

    for (unsigned i = 0; i <= NETVM_MEMBERS_MAX; i++) {
        owned[i] = 0;
    }
    for (unsigned s = 0; s < d->region->segments; s++) {
        for (uint32_t i = 0; i < d->region->map.segment[s].n; i++) {
            uint32_t buffer = s << NETVM_SEGMENT_SHIFT | i;

            if (i % COUNT_BURST == 0) {
                look_at_rings(d, ends);
            }
            owned[owner_of(ends, rings, netvm_read(
                netvm_map_owner(&d->region->map, buffer)))]++;
        }
    }
}
