/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What workers and the control thread share, and what one thread that forwards
 * has for itself.
 *
 * The control thread writes, workers read under RCU (QSBR: a worker is inside
 * from one poll of all its queues to the next).  Ports are found by their ids;
 * an id whose port is still or not there leads to NULL.
 *
 * Threads: the group of fields says it.
 */
#ifndef VUS_DATAPATH_H
#define VUS_DATAPATH_H

#include <urcu-qsbr.h>

#include "fdb.h"
#include "flow-cache.h"
#include "offload.h"
#include "port.h"

typedef struct Datapath {
    /* Written by the control thread; read by all. */
    Port *port[SWITCH_MAX_PORTS];   /* RCU */
    unsigned ports_end;             /* atomic; ids in use are below */
    uint32_t now_s;                 /* atomic; since the start */
    Fdb *fdb;
    int control_fd;                 /* eventfd: a port has broken */

    /* Atomic; written by all.  Never 0. */
    uint32_t generation;
} Datapath;

/* Frames on their way to one port. */
typedef struct Outbox {
    unsigned n;
    bool offloads;                  /* not all of them are plain */
    const Frame *frame[INGRESS_BURST];
} Outbox;

/*
 * All that forwarding needs, once per thread that does it: no worker touches
 * another's.  Others read the counters.
 */
typedef struct Forwarder {
    Datapath *dp;
    FlowCache *flows;
    Offload *offload;
    uint64_t flow_misses;
    unsigned touched_n;             /* outboxes that are not empty */
    uint16_t touched[SWITCH_MAX_PORTS];
    VringBurst egress_scratch;
    IngressBurst burst;
    /* Copies of a frame with its tag changed: popped, and pushed or set. */
    Frame retagged[2][INGRESS_BURST];
    bool has_retagged[2][INGRESS_BURST];
    Outbox outbox[SWITCH_MAX_PORTS];
    PortCounters counters[SWITCH_MAX_PORTS];
} Forwarder;

Forwarder *forwarder_new(Datapath *dp);
void forwarder_free(Forwarder *fw);

/*
 * The whole way of fw->burst, which came in at @in; when it returns, all has
 * been delivered or dropped.  The caller is inside RCU.
 */
void forward_burst(Forwarder *fw, const Port *in);

static inline Port *datapath_port(const Datapath *dp, unsigned id)
{
    return rcu_dereference(dp->port[id]);
}

/* Flows that were decided before are void. */
static inline void datapath_new_generation(Datapath *dp)
{
    /* 0 means never: skipped after four thousand million changes. */
    if (__atomic_add_fetch(&dp->generation, 1, __ATOMIC_RELEASE) == 0) {
        __atomic_add_fetch(&dp->generation, 1, __ATOMIC_RELEASE);
    }
}

#endif
