/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two ends of a ring, and who owns a buffer: the whole protocol by which
 * packets and buffers move between members (fields: rtnet/netvm-abi.h).
 *
 * Theory of operation.  Each end keeps its own position to itself and trusts
 * only that; it shows it to the other end after the fact.  A sender writes, in
 * this order: descriptor and owner word of each packet, the tail.  Nothing can
 * end it between owner words and tail but death; then the words say positions
 * that were not published, and the buffers are the sender's still.
 *
 * A receiver that wants to sleep says for which position it waits, and looks
 * once more; a sender that publishes it rings.  Fences on both sides make one
 * of them see the other.
 *
 * Nothing here trusts what the other end writes: positions that cannot be are
 * found and said, descriptors are copied once, and what is in them is for the
 * caller to check (netvm-map.h).
 *
 * Threads: one for each end.
 */
#ifndef NETVM_RING_H
#define NETVM_RING_H

#include "netvm-atomic.h"
#include "netvm-map.h"

struct netvm_sender {
    struct netvm_ring *ring;
    uint64_t tail;
    uint64_t head_seen;
    uint32_t descs;             /* a power of two */
    uint32_t number;            /* of the ring, for owner words */
};

struct netvm_receiver {
    struct netvm_ring *ring;
    uint64_t head;
    uint64_t tail_seen;
    uint32_t descs;
};

/* -- Owners ---------------------------------------------------------------- */

static inline uint64_t netvm_owner_word(uint32_t ring, uint64_t position)
{
    return (uint64_t)ring << NETVM_OWNER_SHIFT |
           (position & NETVM_OWNER_POSITION);
}

static inline uint32_t netvm_owner_ring(uint64_t word)
{
    return word >> NETVM_OWNER_SHIFT;
}

/* With that word, and its ring's @tail: is it the receiver's, or else still
 * the sender's?  Positions are compared around their end. */
static inline bool netvm_owner_received(uint64_t word, uint64_t tail)
{
    return ((word - tail) << (64 - NETVM_OWNER_SHIFT)) >> 63;
}

/* -- The sender ------------------------------------------------------------ */

/* Of at most @want: for how many is there room? */
static inline unsigned netvm_sender_room(struct netvm_sender *s, unsigned want)
{
    uint64_t used = s->tail - s->head_seen;

    if (used + want > s->descs) {
        /* Pairs with netvm_receiver_took(): that may be overwritten. */
        uint64_t head = netvm_read_acquire(&s->ring->head);

        used = s->tail - head;
        if (used > s->descs) {
            return 0;           /* it lies */
        }
        s->head_seen = head;
        if (used + want > s->descs) {
            want = s->descs - used;
        }
    }
    return want;
}

/* One packet, and whose it is into the word @owner of its buffer. */
static inline void netvm_put(struct netvm_desc *slot, struct netvm_desc d,
                             uint64_t *owner, uint64_t owner_word)
{
    netvm_write(&slot->word[0], d.word[0]);
    netvm_write(&slot->word[1], d.word[1]);
    netvm_write(owner, owner_word);
}

/* One more, for which there is room; its buffer is one of @m. */
static inline void netvm_sender_put(struct netvm_sender *s,
                                    const struct netvm_map *m,
                                    const struct netvm_desc *d)
{
    netvm_put(&s->ring->desc[s->tail & (s->descs - 1)], *d,
              netvm_map_owner(m, d->buffer),
              netvm_owner_word(s->number, s->tail));
    s->tail++;
}

/* Of @n that come next: how many lie one behind the other?  Their owner words
 * do, too. */
static inline unsigned netvm_ring_straight(uint64_t position, uint32_t descs,
                                           unsigned n)
{
    uint32_t straight = descs - (position & (descs - 1));

    return n < straight ? n : straight;
}

/* Those that were put belong to the receiver now.  Returns whether its
 * doorbell has to be rung. */
static inline bool netvm_sender_publish(struct netvm_sender *s,
                                        unsigned put_n)
{
    uint64_t wake_at;

    /* Pairs with netvm_receiver_has(). */
    netvm_write_release(&s->ring->tail, s->tail);
    netvm_fence();              /* pairs with netvm_receiver_may_sleep() */
    wake_at = netvm_read(&s->ring->wake_at);
    return s->tail - 1 - wake_at < put_n;
}

/* Does the receiver sleep, with nothing of ours left to take? */
static inline bool netvm_sender_is_awaited(const struct netvm_sender *s)
{
    return netvm_read(&s->ring->wake_at) == s->tail;
}

/* -- The receiver ---------------------------------------------------------- */

#define NETVM_RING_BROKEN UINT32_MAX

/*
 * How many descriptors there are, of at most @most; or NETVM_RING_BROKEN: the
 * sender shows positions that cannot be.
 */
static inline uint32_t netvm_receiver_has(struct netvm_receiver *r,
                                          uint32_t most)
{
    uint64_t there = r->tail_seen - r->head;

    if (there < most) {
        /* Pairs with netvm_sender_publish(). */
        r->tail_seen = netvm_read_acquire(&r->ring->tail);
        there = r->tail_seen - r->head;
        if (there > r->descs) {
            r->tail_seen = r->head;
            return NETVM_RING_BROKEN;
        }
    }
    return there < most ? there : most;
}

/* A copy of what another one may write to. */
static inline struct netvm_desc netvm_get(const struct netvm_desc *slot)
{
    struct netvm_desc d;

    d.word[0] = netvm_read(&slot->word[0]);
    d.word[1] = netvm_read(&slot->word[1]);
    return d;
}

/* The first @n, which have been got, make room for others. */
static inline void netvm_receiver_took(struct netvm_receiver *r, uint32_t n)
{
    if (n > 0) {
        r->head += n;
        /* Pairs with netvm_sender_room(). */
        netvm_write_release(&r->ring->head, r->head);
    }
}

/*
 * Up to @most descriptors; their buffers are the receiver's.  Returns how many
 * that are, or NETVM_RING_BROKEN.
 */
static inline uint32_t netvm_receive(struct netvm_receiver *r,
                                     struct netvm_desc *d, uint32_t most)
{
    uint32_t n = netvm_receiver_has(r, most);

    if (n == NETVM_RING_BROKEN) {
        return n;
    }
    for (uint32_t i = 0; i < n; i++) {
        d[i] = netvm_get(&r->ring->desc[(r->head + i) & (r->descs - 1)]);
    }
    netvm_receiver_took(r, n);
    return n;
}

/* Is something there?  A ring that is broken says so, too. */
static inline bool netvm_receiver_ready(const struct netvm_receiver *r)
{
    return netvm_read_acquire(&r->ring->tail) != r->head;
}

/* It does not ring for what comes next. */
static inline void netvm_receiver_stay_awake(struct netvm_receiver *r)
{
    netvm_write(&r->ring->wake_at, r->head - 1);
}

/* The doorbell rings for what comes next.  If it returns false, something has
 * come already. */
static inline bool netvm_receiver_may_sleep(struct netvm_receiver *r)
{
    netvm_write(&r->ring->wake_at, r->head);
    netvm_fence();              /* pairs with netvm_sender_publish() */
    return !netvm_receiver_ready(r);
}

#endif
