/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet's way through a member: received, sent; allocated, freed.
 *
 * Threads: see netvm-impl.h.
 */
#include <errno.h>
#include <string.h>

#include "netvm-impl.h"

/* Ours alone: others only read it. */
static inline void count(uint64_t *counter, uint64_t n)
{
    netvm_write(counter, netvm_read(counter) + n);
}

/* -- Receive --------------------------------------------------------------- */

/* From one ring; what makes no sense is left out, and stays where it is. */
static unsigned take(struct netvm *nv, struct netvm_receiver *from,
                     struct netvm_desc *pkt, unsigned most, uint64_t *bytes)
{
    uint32_t n = netvm_receive(from, pkt, most), good = 0;

    if (NETVM_UNLIKELY(n == NETVM_RING_BROKEN)) {
        count(&nv->stats->rx_bad, 1);
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (NETVM_UNLIKELY(!netvm_map_holds(&nv->map, &pkt[i]))) {
            count(&nv->stats->rx_bad, 1);
            continue;
        }
        *bytes += pkt[i].length;
        if (NETVM_UNLIKELY(good < i)) {
            pkt[good] = pkt[i];
        }
        good++;
    }
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

NETVM_PUBLIC int netvm_tx_burst(struct netvm *nv, const struct netvm_desc *pkt,
                                unsigned n)
{
    struct put put[NETVM_MEMBERS_MAX + 1], *last = NULL;
    unsigned rings = 0, sent, direct = 0;
    uint64_t bytes = 0;
    int status = netvm_look(nv);

    if (NETVM_UNLIKELY(status < 0)) {
        return status;
    }
    for (sent = 0; sent < n; sent++) {
        struct netvm_desc d = pkt[sent];
        struct netvm_sender *to;

        if (NETVM_UNLIKELY(!netvm_map_holds(&nv->map, &d))) {
            status = -EINVAL;
            break;
        }
        to = netvm_route(nv, &d);
        if (NETVM_UNLIKELY(netvm_sender_room(to, 1) == 0)) {
            count(&nv->stats->tx_full, n - sent);
            break;
        }
        if (NETVM_UNLIKELY(!last || last->to != to)) {
            last = put_for(put, &rings, to);
        }
        netvm_sender_put(to, &nv->map, &d);
        last->n++;
        bytes += d.length;
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
            .offset = NETVM_HEADROOM_BYTES,
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
