/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How members look up where packets go, in tables that only the daemon writes
 * (rtnet/netvm-abi.h).
 *
 * A flow that changes is seen as it was or as it is: its value is one word; a
 * place that is used for another key has no value meanwhile.  A service is read
 * again if it has changed while it was read.
 *
 * Threads: any that read; one at a time that writes.
 */
#ifndef NETVM_FLOW_H
#define NETVM_FLOW_H

#include <stdbool.h>

#include "netvm-atomic.h"
#include "rtnet/netvm-abi.h"

static inline uint32_t netvm_flow_hash(uint64_t key)
{
    key *= UINT64_C(0x9e3779b97f4a7c15);
    return key >> 32 ^ key >> 48;
}

/* Its value; 0: it is not there. */
static inline uint64_t netvm_flow_find(const struct netvm_flow *table,
                                       uint32_t flows, uint64_t key)
{
    uint32_t at = netvm_flow_hash(key);

    for (unsigned i = 0; i < NETVM_FLOW_PROBES; i++) {
        const struct netvm_flow *f = &table[(at + i) & (flows - 1)];

        if (netvm_read_acquire(&f->key) == key) {
            uint64_t value = netvm_read_acquire(&f->value);

            return netvm_read(&f->key) == key ? value : 0;
        }
    }
    return 0;
}

/* Where a packet to the address at @mac goes if it has no tag. */
static inline uint64_t netvm_flow_mac_key(const uint8_t mac[6])
{
    uint64_t mac48 = (uint64_t)mac[0] << 40 | (uint64_t)mac[1] << 32 |
                     (uint64_t)mac[2] << 24 | (uint64_t)mac[3] << 16 |
                     (uint64_t)mac[4] << 8 | mac[5];

    return NETVM_KEY_MAC(0, mac48);
}

/* A copy of a service that does not change meanwhile; false: it does so all
 * the time. */
static inline bool netvm_service_read(const struct netvm_service *from,
                                      struct netvm_service *to)
{
    for (unsigned tries = 0; tries < 16; tries++) {
        uint32_t before = netvm_read32(&from->sequence);

        to->balance = *(volatile const uint8_t *)&from->balance;
        to->instances = *(volatile const uint8_t *)&from->instances;
        for (unsigned i = 0; i < NETVM_INSTANCES_MAX; i++) {
            to->instance[i] = *(volatile const uint16_t *)&from->instance[i];
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(before & 1) && netvm_read32(&from->sequence) == before &&
            to->instances <= NETVM_INSTANCES_MAX) {
            return true;
        }
    }
    return false;
}

#endif
