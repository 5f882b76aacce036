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
    if (member <= nv->region->members && nv->direct_open >> member & 1) {
        return &nv->direct_tx[member];
    }
    return NULL;
}

static struct netvm_sender *direct_to_service(struct netvm *nv,
                                              uint64_t number, uint16_t hash)
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
                                          uint16_t hash)
{
    const struct netvm_flow *table = (const struct netvm_flow *)
        ((const uint8_t *)nv->region + nv->flows_offset);
    uint64_t value = netvm_flow_find(table, nv->flows, key);

    switch (value >> 60) {
    case NETVM_VALUE_MEMBER(0) >> 60:
        return direct_to(nv, value & 0xffff);
    case NETVM_VALUE_SERVICE(0) >> 60:
        return direct_to_service(nv, value & 0xffff, hash);
    default:
        return NULL;
    }
}

struct netvm_sender *netvm_route(struct netvm *nv, struct netvm_desc *pkt)
{
    struct netvm_sender *to = NULL;

    if (nv->direct_open == 0) {
        return &nv->tx;
    }
    switch (pkt->action) {
    case NETVM_TO_MEMBER:
        to = direct_to(nv, pkt->port);
        break;
    case NETVM_TO_SERVICE:
        to = direct_to_service(nv, pkt->port, pkt->hash);
        break;
    case NETVM_NEXT:
        to = direct_by_key(nv, NETVM_KEY_HOP(pkt->chain, pkt->hop + 1),
                           pkt->hash);
        if (to) {
            pkt->hop++;
        }
        return to ? to : &nv->tx;
    case NETVM_SWITCH:
        if (pkt->length >= 14) {
            const uint8_t *data = netvm_data(nv, pkt);

            to = direct_by_key(nv, netvm_flow_mac_key(data), pkt->hash);
        }
        break;
    }
    if (!to) {
        return &nv->tx;
    }
    pkt->port = nv->port;
    return to;
}
