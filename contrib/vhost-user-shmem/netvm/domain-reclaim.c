/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who owns each buffer, by its owner word and the tail of the ring that the
 * word names (rtnet/netvm-abi.h).
 *
 * Theory of operation.  Nobody writes the words of buffers that a dead member
 * owns, and its tails stand still.  Words of others change meanwhile, but from
 * one living owner to another: nobody sends to the dead one any more.  Rings of
 * senders that may not know that yet are left alone; what is in them is theirs
 * to look at later.
 *
 * The word of a buffer that was taken back is written anew, as it might be one
 * of a position that the ring has not reached yet.
 *
 * Threads: control.
 */
#include "domain.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Both ends of a ring, and its tail at one moment. */
typedef struct RingEnds {
    uint8_t sender, receiver;
    uint64_t tail;
} RingEnds;

/* Of all rings; [0] is none. */
static RingEnds *look_at_rings(const Domain *d)
{
    unsigned members = d->region->layout.members;
    RingEnds *ends = g_new0(RingEnds, NETVM_RINGS(members));

    for (unsigned m = 1; m <= members; m++) {
        const DomainMember *member = &d->member[m];

        ends[NETVM_RING_RX(m)] = (RingEnds) { 0, m, member->rx.tail };
        ends[NETVM_RING_FILL(m)] = (RingEnds) { 0, m, member->fill.tail };
        /* What it has sent and nobody took is counted as its own. */
        ends[NETVM_RING_TX(m)] = (RingEnds) { m, 0, member->tx.head };
        for (unsigned to = 1; to <= members; to++) {
            unsigned number = NETVM_RING_DIRECT(members, m, to);
            struct netvm_ring *ring = domain_region_ring(d->region, number);

            ends[number] = (RingEnds) { m, to,
                                        netvm_read_acquire(&ring->tail) };
        }
    }
    return ends;
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

unsigned domain_reclaim(Domain *d, DomainMember *m, uint64_t unseen)
{
    unsigned members = d->region->layout.members, taken = 0;
    unsigned rings = NETVM_RINGS(members);
    g_autofree RingEnds *ends = NULL;

    pthread_mutex_lock(&d->lock);
    ends = look_at_rings(d);
    for (unsigned s = 0; s < d->region->segments; s++) {
        for (uint32_t i = 0; i < d->region->map.segment[s].n; i++) {
            uint32_t buffer = s << NETVM_SEGMENT_SHIFT | i;
            uint64_t *at = netvm_map_owner(&d->region->map, buffer);
            uint64_t word = netvm_read(at);
            unsigned ring = netvm_owner_ring(word);

            if (owner_of(ends, rings, word) != m->number ||
                (ends[ring].receiver == m->number &&
                 unseen & BIT(ends[ring].sender)) ||
                !domain_pool_put(d, buffer)) {
                continue;
            }
            netvm_write(at, 0);
            taken++;
        }
    }
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

void domain_count_owned(Domain *d, uint32_t owned[NETVM_MEMBERS_MAX + 1])
{
    unsigned rings = NETVM_RINGS(d->region->layout.members);
    g_autofree RingEnds *ends = NULL;

    for (unsigned i = 0; i <= NETVM_MEMBERS_MAX; i++) {
        owned[i] = 0;
    }
    pthread_mutex_lock(&d->lock);
    ends = look_at_rings(d);
    for (unsigned s = 0; s < d->region->segments; s++) {
        for (uint32_t i = 0; i < d->region->map.segment[s].n; i++) {
            uint32_t buffer = s << NETVM_SEGMENT_SHIFT | i;

            owned[owner_of(ends, rings, netvm_read(
                netvm_map_owner(&d->region->map, buffer)))]++;
        }
    }
    pthread_mutex_unlock(&d->lock);
}
