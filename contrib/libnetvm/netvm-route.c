/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The in-VM switch: packets to members that may be reached directly do not go
 * through the daemon.
 *
 * It is a cache of the daemon's decisions, which lie in tables that members
 * only read; what is not in there goes to the daemon, which decides.
 *
 * Threads: see netvm-impl.h.
 */
#include "netvm-flow.h"
#include "netvm-impl.h"

/* The ring to @member, if it is open. */
static struct netvm_sender *direct_to(struct netvm *nv, uint64_t member)
{
    if (member <= nv->layout.members && nv->direct_open >> member & 1) {
        return &nv->direct_tx[member];
    }
    return NULL;
}

static struct netvm_sender *direct_to_service(struct netvm *nv,
                                              uint64_t number, uint16_t hash,
                                              bool *alone)
{
    const struct netvm_service *table = (const struct netvm_service *)
        ((const uint8_t *)nv->region + nv->services_offset);
    struct netvm_sender *best = NULL;
    struct netvm_service s;
    uint64_t least = UINT64_MAX;

    if (number >= nv->services || !netvm_service_read(&table[number], &s) ||
        s.instances == 0) {
        return NULL;
    }
    *alone = s.instances > 1;
    if (s.balance == NETVM_BY_FLOW) {
        return direct_to(nv, s.instance[hash % s.instances]);
    }
    for (unsigned i = 0; i < s.instances; i++) {
        struct netvm_sender *to = direct_to(nv, s.instance[i]);

        /* Only if the daemon need not choose among all of them. */
        if (!to) {
            return NULL;
        }
        if (to->tail - netvm_read(&to->ring->head) < least) {
            least = to->tail - netvm_read(&to->ring->head);
            best = to;
        }
    }
    return best;
}

static struct netvm_sender *direct_by_key(struct netvm *nv, uint64_t key,
                                          uint16_t hash, bool *alone)
{
    const struct netvm_flow *table = (const struct netvm_flow *)
        ((const uint8_t *)nv->region + nv->flows_offset);
    uint64_t value = netvm_flow_find(table, nv->flows, key);

    switch (value >> 60) {
    case NETVM_VALUE_MEMBER(0) >> 60:
        return direct_to(nv, value & 0xffff);
    case NETVM_VALUE_SERVICE(0) >> 60:
        return direct_to_service(nv, value & 0xffff, hash, alone);
    default:
        return NULL;
    }
}

/* NULL: only the daemon knows. */
static struct netvm_sender *direct_for(struct netvm *nv,
                                       const struct netvm_desc *pkt,
                                       bool *alone)
{
    switch (pkt->action) {
    case NETVM_TO_MEMBER:
        return direct_to(nv, pkt->port);
    case NETVM_TO_SERVICE:
        return direct_to_service(nv, pkt->port, pkt->hash, alone);
    case NETVM_NEXT:
        if (pkt->hop == UINT8_MAX) {
            return NULL;
        }
        return direct_by_key(nv, NETVM_KEY_HOP(pkt->chain, pkt->hop + 1),
                             pkt->hash, alone);
    case NETVM_SWITCH:
        *alone = true;
        if (pkt->length >= 14) {
            return direct_by_key(nv, netvm_flow_mac_key(netvm_data(nv, pkt)),
                                 pkt->hash, alone);
        }
        /* fall through */
    default:
        return NULL;
    }
}

void netvm_route(struct netvm *nv, const struct netvm_desc *pkt,
                 struct netvm_way *way)
{
    struct netvm_desc seen = *pkt;
    struct netvm_sender *to = NULL;

    way->alone = false;
    if (nv->direct_open != 0) {
        to = direct_for(nv, pkt, &way->alone);
    }
    if (to && pkt->action == NETVM_NEXT) {
        seen.hop++;
    } else if (to) {
        seen.port = nv->port;
    }
    way->to = to ? to : &nv->tx;
    way->change = seen.word[1] ^ pkt->word[1];
    way->like = pkt->word[1] & ~NETVM_DESC_HASH;
}
