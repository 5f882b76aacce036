/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "limit.h"
#include "lock.h"

/* A full Ethernet frame on the link. */
#define USUAL_WIRE_BYTES 1538

void limit_init(Limit *l)
{
    *l = (Limit) { 0 };
    lock_init(&l->lock);
}

void limit_destroy(Limit *l)
{
    pthread_mutex_destroy(&l->lock);
}

void limit_set(Limit *l, uint64_t bps, uint64_t pps)
{
    pthread_mutex_lock(&l->lock);
    edf_pacer_init(&l->bits, bps, 0);
    /* A byte for each. */
    edf_pacer_init(&l->pkts, pps * 8, 0);
    l->bits.credit_ns = l->pkts.credit_ns = LIMIT_CATCH_UP_NS;
    __atomic_store_n(&l->next_ns, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&l->bps, bps, __ATOMIC_RELAXED);
    __atomic_store_n(&l->pps, pps, __ATOMIC_RELAXED);
    __atomic_store_n(&l->is_set, bps > 0 || pps > 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&l->lock);
}

unsigned limit_pkts_in(const Limit *l, uint64_t ns, unsigned most)
{
    uint64_t bps = __atomic_load_n(&l->bps, __ATOMIC_RELAXED);
    uint64_t pps = __atomic_load_n(&l->pps, __ATOMIC_RELAXED);
    double pkts = most;

    if (bps > 0) {
        pkts = MIN(pkts, bps * 1e-9 * ns / (8 * USUAL_WIRE_BYTES));
    }
    if (pps > 0) {
        pkts = MIN(pkts, pps * 1e-9 * ns);
    }
    return pkts;
}

void limit_charge(Limit *l, uint64_t wire_bytes, unsigned pkts,
                  uint64_t now_ns)
{
    pthread_mutex_lock(&l->lock);
    edf_pacer_charge(&l->bits, now_ns, MIN(wire_bytes, UINT32_MAX));
    edf_pacer_charge(&l->pkts, now_ns, pkts);
    __atomic_store_n(&l->next_ns, MAX(l->bits.next_ns, l->pkts.next_ns),
                     __ATOMIC_RELAXED);
    pthread_mutex_unlock(&l->lock);
}
