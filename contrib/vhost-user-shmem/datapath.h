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

#include <unistd.h>
#include <urcu-qsbr.h>

#include "fdb.h"
#include "flow-cache.h"
#include "offload.h"
#include "port.h"

typedef struct Datapath {
    /* Written by the control thread; read by all. */
    Port *port[SWITCH_MAX_PORTS];   /* RCU */
    struct TenantLink *tenant_link[SWITCH_MAX_TENANTS];     /* RCU */
    unsigned ports_end;             /* atomic; ids in use are below */
    uint32_t now_s;                 /* atomic; since the start */
    Fdb *fdb;
    int control_fd;                 /* eventfd: a port has broken */
    bool tai_synchronised;          /* atomic */

    /* Atomic; written by all.  Never 0. */
    uint32_t generation;
} Datapath;

/* Whoever sleeps until something comes: a worker. */
typedef struct Sleeper {
    int event_fd;                   /* never read, edge-triggered */
    bool asleep;                    /* atomic */
} Sleeper;

/*
 * Wake it, if it sleeps, after what it is to see was stored; the fence pairs
 * with the one between its "asleep" and its last look.
 */
static inline void sleeper_wake(Sleeper *s)
{
    uint64_t one = 1;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&s->asleep, __ATOMIC_RELAXED)) {
        /* Full would mean that it was written often enough. */
        (void)!write(s->event_fd, &one, sizeof(one));
    }
}

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
    Sleeper *self;                  /* NULL: not a worker */
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
    RtBeside beside[INGRESS_BURST];
    Outbox outbox[SWITCH_MAX_PORTS];
    PortCounters counters[SWITCH_MAX_PORTS];
} Forwarder;

Forwarder *forwarder_new(Datapath *dp);
void forwarder_free(Forwarder *fw);

/*
 * The whole way of fw->burst, which came in at @in; when it returns, all has
 * been delivered or dropped.  The caller is inside RCU.
 */
void forward_burst(Forwarder *fw, Port *in);

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
