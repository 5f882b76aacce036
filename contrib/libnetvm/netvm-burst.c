/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet's way through a member: received, sent; allocated, freed.
 *
 * Threads: see netvm-impl.h.
 */
#include <errno.h>
#include <string.h>

#include "netvm-four.h"
#include "netvm-impl.h"

/*
 * A core waits for a dozen lines at a time, if it knows of them early enough:
 * what a burst needs of other cores is asked for before the first of it is
 * used; of a long one so many descriptors.
 */
#define ASKED_DESCS 32
#define DESCS_OF_LINE (NETVM_LINE_BYTES / sizeof(struct netvm_desc))

/* Ours alone: others only read it. */
static inline void count(uint64_t *counter, uint64_t n)
{
    netvm_write(counter, netvm_read(counter) + n);
}

/* -- Receive --------------------------------------------------------------- */

/* Copies from @slot on, as long as four of them make sense; how many. */
static inline uint32_t take_fours(struct netvm *nv,
                                  const struct netvm_desc *slot, uint32_t n,
                                  struct netvm_desc *pkt, uint64_t *bytes)
{
    const struct netvm_place place =
        netvm_place_of(&nv->map, netvm_get(slot).buffer);
    const struct netvm_desc *first = slot, *end = slot + n / 4 * 4;
    uint64_t sum = 0;

    for (uint32_t i = DESCS_OF_LINE; i < n && i < ASKED_DESCS;
         i += DESCS_OF_LINE) {
        netvm_prefetch_read(&slot[i]);
    }
    for (; slot < end; slot += 4, pkt += 4) {
        struct netvm_four four = netvm_four_take(slot);

        netvm_four_copy(&four, pkt);
        if (NETVM_UNLIKELY(!netvm_four_hold(&four, &place))) {
            break;
        }
        /* Mostly one line has all four. */
        netvm_prefetch_line(netvm_place_owner(&place, pkt));
#pragma GCC unroll 4
        for (unsigned k = 0; k < 4; k++) {
            netvm_prefetch_line(netvm_place_data(&place, &pkt[k]));
            sum += pkt[k].length;
        }
    }
    *bytes += sum;
    return slot - first;
}

/*
 * From one ring; what makes no sense is left out, and stays where it is.  The
 * first line of each is on its way to us when this returns.
 */
static unsigned take(struct netvm *nv, struct netvm_receiver *from,
                     struct netvm_desc *pkt, unsigned most, uint64_t *bytes)
{
    uint32_t n = netvm_receiver_has(from, most), seen = 0, good = 0;

    if (NETVM_UNLIKELY(n == NETVM_RING_BROKEN)) {
        count(&nv->stats->rx_bad, 1);
        return 0;
    }
    while (seen < n) {
        uint64_t at = from->head + seen;
        const struct netvm_desc *slot =
            &from->ring->desc[at & (from->descs - 1)];
        uint32_t straight = netvm_ring_straight(at, from->descs, n - seen);
        uint32_t i = take_fours(nv, slot, straight, pkt + good, bytes);

        seen += straight;
        for (good += i; i < straight; i++) {
            struct netvm_desc d = netvm_get(&slot[i]);

            if (NETVM_UNLIKELY(!netvm_map_holds(&nv->map, &d))) {
                count(&nv->stats->rx_bad, 1);
                continue;
            }
            netvm_prefetch_line(netvm_data(nv, &d));
            *bytes += d.length;
            pkt[good++] = d;
        }
    }
    netvm_receiver_took(from, n);
    return good;
}

NETVM_PUBLIC int netvm_rx_burst(struct netvm *nv, struct netvm_desc *pkt,
                                unsigned n)
{
    uint64_t bytes = 0;
    unsigned got;
    int status = netvm_look(nv);

    if (NETVM_UNLIKELY(status < 0)) {
        return status;
    }
    got = take(nv, &nv->rx, pkt, n, &bytes);
    for (unsigned i = 0; i < nv->from_n && got < n; i++) {
        unsigned at = nv->from_next + i;

        at -= at < nv->from_n ? 0 : nv->from_n;
        got += take(nv, &nv->direct_rx[nv->from[at]], pkt + got, n - got,
                    &bytes);
    }
    if (got > 0) {
        nv->from_next = nv->from_next + 1 < nv->from_n ? nv->from_next + 1 : 0;
        count(&nv->stats->rx_pkts, got);
        count(&nv->stats->rx_bytes, bytes);
    }
    return got;
}

/* -- Send ------------------------------------------------------------------ */

/* What was put into each ring of a burst. */
struct put {
    struct netvm_sender *to;
    unsigned n;
};

static void publish(struct netvm *nv, const struct put *put)
{
    if (netvm_sender_publish(put->to, put->n)) {
        unsigned member = put->to == &nv->tx ? NETVM_DAEMON
                                             : put->to - nv->direct_tx;

        count(&nv->stats->doorbells, 1);
        nv->transport->ring(nv, member);
    }
}

/* The ring's entry among those of the burst. */
static struct put *put_for(struct put *put, unsigned *rings,
                           struct netvm_sender *to)
{
    for (unsigned i = 0; i < *rings; i++) {
        if (put[i].to == to) {
            return &put[i];
        }
    }
    put[*rings] = (struct put) { .to = to };
    return &put[(*rings)++];
}

/*
 * Those from @pkt[0] on that go the same @way, as many as there is room for;
 * how many.  Fewer than that: the next one goes another way, or is none.
 */
static inline unsigned send_run(struct netvm *nv, const struct netvm_way *way,
                                const struct netvm_desc *pkt, unsigned n,
                                uint64_t *bytes)
{
    struct netvm_sender *to = way->to;
    const uint64_t change = way->change, like = way->like;
    const struct netvm_place place = netvm_place_of(&nv->map, pkt[0].buffer);
    struct netvm_desc *slot = &to->ring->desc[to->tail & (to->descs - 1)];
    uint64_t owner = netvm_owner_word(to->number, to->tail), sum = 0;
    const struct netvm_desc *first = pkt, *end, *fours;

    n = netvm_ring_straight(to->tail, to->descs, n);
    for (unsigned i = 0; i < n && i < ASKED_DESCS; i += DESCS_OF_LINE) {
        netvm_prefetch_line(&slot[i]);
    }
    end = pkt + n;
    fours = pkt + n / 4 * 4;
    for (; pkt < fours; pkt += 4, slot += 4, owner += 4) {
        struct netvm_four four = netvm_four_read(pkt);

        if (!netvm_four_like(&four, like) || !netvm_four_hold(&four, &place)) {
            break;
        }
        netvm_four_put(&four, change, slot);
#pragma GCC unroll 4
        for (unsigned k = 0; k < 4; k++) {
            netvm_write(netvm_place_owner(&place, &pkt[k]), owner + k);
            sum += pkt[k].length;
        }
    }
    for (; pkt < end; pkt++) {
        struct netvm_desc d = {
            .word = { pkt->word[0], pkt->word[1] ^ change },
        };

        if ((pkt->word[1] & ~NETVM_DESC_HASH) != like ||
            !netvm_map_holds(&nv->map, &d)) {
            break;
        }
        netvm_put(slot++, d, netvm_map_owner(&nv->map, d.buffer), owner++);
        sum += d.length;
    }
    to->tail += pkt - first;
    *bytes += sum;
    return pkt - first;
}

NETVM_PUBLIC int netvm_tx_burst(struct netvm *nv, const struct netvm_desc *pkt,
                                unsigned n)
{
    struct put put[NETVM_MEMBERS_MAX + 1];
    unsigned rings = 0, sent = 0, direct = 0;
    uint64_t bytes = 0;
    int status = netvm_look(nv);

    if (NETVM_UNLIKELY(status < 0)) {
        return status;
    }
    while (sent < n) {
        struct netvm_way way;
        unsigned room, run;

        if (NETVM_UNLIKELY(!netvm_map_holds(&nv->map, &pkt[sent]))) {
            status = -EINVAL;
            break;
        }
        netvm_route(nv, &pkt[sent], &way);
        room = netvm_sender_room(way.to, way.alone ? 1 : n - sent);
        if (NETVM_UNLIKELY(room == 0)) {
            count(&nv->stats->tx_full, n - sent);
            break;
        }
        run = send_run(nv, &way, pkt + sent, room, &bytes);
        put_for(put, &rings, way.to)->n += run;
        sent += run;
    }
    for (unsigned i = 0; i < rings; i++) {
        publish(nv, &put[i]);
        direct += put[i].to == &nv->tx ? 0 : put[i].n;
    }
    if (sent > 0) {
        count(&nv->stats->tx_pkts, sent);
        count(&nv->stats->tx_bytes, bytes);
        count(&nv->stats->direct_pkts, direct);
    }
    return sent > 0 ? (int)sent : status;
}

/* -- Allocate -------------------------------------------------------------- */

static void refill(struct netvm *nv)
{
    struct netvm_desc d[NETVM_FREE_BURST];
    uint32_t most = nv->cache_max - nv->cache_n, n;

    n = netvm_receive(&nv->fill, d,
                      most < NETVM_FREE_BURST ? most : NETVM_FREE_BURST);
    if (NETVM_UNLIKELY(n == NETVM_RING_BROKEN)) {
        count(&nv->stats->rx_bad, 1);
        return;
    }
    if (n == 0 && netvm_sender_is_awaited(&nv->tx)) {
        /* The daemon sleeps, and does not see that we have none. */
        count(&nv->stats->doorbells, 1);
        nv->transport->ring(nv, NETVM_DAEMON);
    }
    /* The first is to be used first. */
    for (uint32_t i = n; i-- > 0; ) {
        if (NETVM_LIKELY(netvm_map_has(&nv->map, d[i].buffer))) {
            nv->cache[nv->cache_n++] = d[i].buffer;
        } else {
            count(&nv->stats->rx_bad, 1);
        }
    }
}

NETVM_PUBLIC int netvm_alloc(struct netvm *nv, struct netvm_desc *pkt,
                             unsigned n)
{
    unsigned got;
    int status = netvm_look(nv);

    if (NETVM_UNLIKELY(status < 0)) {
        return status;
    }
    for (got = 0; got < n; got++) {
        if (NETVM_UNLIKELY(nv->cache_n == 0)) {
            refill(nv);
            if (nv->cache_n == 0) {
                count(&nv->stats->no_buffer, n - got);
                break;
            }
        }
        pkt[got] = (struct netvm_desc) {
            .buffer = nv->cache[--nv->cache_n],
            .offset = netvm_map_begin(&nv->map, nv->cache[nv->cache_n]),
            .port = NETVM_NO_PORT,
            .action = NETVM_SWITCH,
        };
    }
    return got;
}

/* -- Free ------------------------------------------------------------------ */

/* More than it needs: the oldest go back, as many as there is room for. */
static void give_back(struct netvm *nv)
{
    unsigned n = netvm_sender_room(&nv->tx, nv->cache_n - NETVM_CACHE_BUFFERS +
                                            NETVM_FREE_BURST);

    for (unsigned i = 0; i < n; i++) {
        struct netvm_desc d = {
            .buffer = nv->cache[i],
            .action = NETVM_DROP,
        };

        netvm_sender_put(&nv->tx, &nv->map, &d);
    }
    if (n > 0) {
        nv->cache_n -= n;
        memmove(nv->cache, nv->cache + n, nv->cache_n * sizeof(*nv->cache));
        publish(nv, &(struct put) { .to = &nv->tx, .n = n });
    }
}

NETVM_PUBLIC void netvm_free(struct netvm *nv, const struct netvm_desc *pkt,
                             unsigned n)
{
    if (NETVM_UNLIKELY(netvm_look(nv) < 0)) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        if (NETVM_LIKELY(netvm_map_has(&nv->map, pkt[i].buffer) &&
                         nv->cache_n < nv->cache_max)) {
            nv->cache[nv->cache_n++] = pkt[i].buffer;
        }
    }
    if (NETVM_UNLIKELY(nv->cache_n >= NETVM_CACHE_BUFFERS +
                                      NETVM_FREE_BURST)) {
        give_back(nv);
    }
}
