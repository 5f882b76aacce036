/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is shown of a switch, and addresses that are set by hand.
 *
 * Threads: the control thread.
 */
#include "clock.h"
#include "rt-port.h"
#include "switch-impl.h"

/* -- Status ---------------------------------------------------------------- */

void switch_port_status(Switch *sw, Port *p, PortStatus *status)
{
    *status = (PortStatus) {
        .connected = true,
        .ready = p->published,
        .ingress_queues = p->ingress_queues,
        .egress_queues = p->egress_queues,
        .breaks = p->breaks,
        .broken = p->last_broken,
    };
    p->ops->status(p, status);
}

const char *port_state(const Port *p, const PortStatus *status)
{
    return !p->settings.link_up ? "link-down" : status->ready ? "ready" :
           status->connected ? "connected" : "waiting";
}

#define COUNTERS (sizeof(PortCounters) / sizeof(uint64_t))

static void add_counters(PortCounters *sum, const PortCounters *more)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)more;

    for (unsigned i = 0; i < COUNTERS; i++) {
        to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
}

void switch_sum_counters(const Switch *sw, unsigned id, PortCounters *sum)
{
    *sum = sw->own->counters[id];
    for (unsigned i = 0; i < sw->workers; i++) {
        add_counters(sum, worker_counters(sw->worker[i], id));
    }
}

void switch_port_counters(Switch *sw, Port *p, PortCounters *sum)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *before = (const uint64_t *)&p->counted_before;

    switch_sum_counters(sw, p->id, sum);
    for (unsigned i = 0; i < COUNTERS; i++) {
        to[i] -= before[i];
    }
}

void switch_reset_counters(Switch *sw, Port *p)
{
    for (unsigned i = 0; i < sw->ports->len; i++) {
        Port *one = g_ptr_array_index(sw->ports, i);

        if (!p || p == one) {
            switch_sum_counters(sw, one->id, &one->counted_before);
            if (one->rt) {
                rt_port_reset(one->rt);
            }
        }
    }
}

void switch_worker_status(Switch *sw, unsigned index, WorkerStatus *status)
{
    worker_status(sw->worker[index], status);
}

/* -- Links, limits, deadlines ---------------------------------------------- */

bool switch_port_waiting(Switch *sw, Port *p, unsigned *pkts)
{
    *pkts = p->queue ? egress_queue_len_pkts(p->queue) : 0;
    return p->queue;
}

bool switch_port_is_limited(Switch *sw, Port *p)
{
    return port_is_limited(p) && clock_now_ns() < port_next_ns(p);
}

bool switch_tenant_is_limited(Switch *sw, Tenant *t)
{
    return limit_is_set(&t->limit) && clock_now_ns() < limit_next_ns(&t->limit);
}

bool switch_port_endpoint(Switch *sw, Port *p, RtEndpoint *ep)
{
    if (p->rt) {
        rt_port_show(p->rt, ep);
    }
    return p->rt;
}

bool switch_take_misses(Switch *sw, Port *p, RtMisses *misses)
{
    if (!p->rt) {
        return false;
    }
    rt_port_take_misses(p->rt, misses);
    return misses->missed_pkts > 0;
}

void switch_still_port(Switch *sw, Port *p)
{
    port_quiesce(p);
}

/* -- Addresses ------------------------------------------------------------- */

void switch_fdb_foreach(Switch *sw,
                        void (*each)(const FdbShown *e, void *opaque),
                        void *opaque)
{
    fdb_foreach(sw->dp.fdb, sw->dp.now_s, each, opaque);
}

unsigned switch_fdb_flush(Switch *sw, Port *p)
{
    unsigned n = fdb_forget(sw->dp.fdb, p ? p->id : -1, UINT32_MAX, false);

    datapath_new_generation(&sw->dp);
    return n;
}

bool switch_fdb_set(Switch *sw, Port *p, const uint8_t mac[6], uint16_t vlan,
                    GError **error)
{
    if (mac[0] & 1) {
        SET_ERROR(error, "a group address is behind no port");
        return false;
    }
    if (!fdb_set_static(sw->dp.fdb, mac, vlan, p->id)) {
        SET_ERROR(error, "no room for more than fdb-max=%u addresses",
                  sw->cfg.fdb_max);
        return false;
    }
    datapath_new_generation(&sw->dp);
    switch_show_macs(sw);
    return true;
}

bool switch_fdb_unset(Switch *sw, const uint8_t mac[6], uint16_t vlan,
                      GError **error)
{
    if (!fdb_unset_static(sw->dp.fdb, mac, vlan)) {
        SET_ERROR(error, "no such address was set");
        return false;
    }
    datapath_new_generation(&sw->dp);
    switch_show_macs(sw);
    return true;
}
