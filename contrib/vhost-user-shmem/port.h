/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port from within: what a type of port has to do, and what workers read.
 *
 * A port is still (workers do not see it) or published.  What workers read
 * changes only while it is still: port_quiesce() returns when no worker is
 * inside it, and port_resume() shows it again.  Nothing in between waits for
 * other ports, which go on at full rate.
 *
 * Ingress: from the port into the switch; egress: out of it, to the port.
 *
 * Threads: the group of fields says it.
 */
#ifndef VUS_PORT_H
#define VUS_PORT_H

#include <pthread.h>

#include "drops.h"
#include "egress-queue.h"
#include "frame.h"
#include "limit.h"
#include "port-settings.h"
#include "switch.h"

#define PORT_MAX_QUEUES 16
#define INGRESS_BURST 32
#define EGRESS_BURST 64             /* what one call of egress() is given */

G_STATIC_ASSERT(INGRESS_BURST <= VRING_BURST && EGRESS_BURST <= VRING_BURST &&
                INGRESS_BURST <= 32);

/* What came in at once; the frames live until ingress_done(). */
typedef struct IngressBurst {
    unsigned n;
    unsigned max;                   /* that are wanted: up to INGRESS_BURST */
    unsigned handled;               /* others that have gone on already */
    uint32_t directed;              /* bit per frame: its sender has said where
                                     * it goes ... */
    uint16_t out[INGRESS_BURST];    /* ... to this port */
    Frame frame[INGRESS_BURST];
    VringBurst ring;                /* for the port's use */
} IngressBurst;

typedef struct PortOps {
    const char *type;

    /* -- The control thread -- */
    /* Begin to live, with p->settings; end.  The port is still. */
    bool (*open)(Port *p, GError **error);
    void (*close)(Port *p);
    /* settings.link_up has changed; may be NULL. */
    void (*link)(Port *p);
    /* Other settings have changed; may be NULL.  The port is still. */
    void (*changed)(Port *p);
    /* Once a second; may be NULL. */
    void (*tick)(Port *p);
    /* A worker has called port_break(). */
    void (*broken)(Port *p);
    /* A worker has called port_call(). */
    void (*called)(Port *p);
    void (*status)(Port *p, PortStatus *status);
    /* What a sleeping worker waits for, or -1: queue @queue has to be
     * polled without end. */
    int (*wake_fd)(Port *p, unsigned queue);

    /* -- Workers: one at a time per ingress queue -- */
    /* Up to b->max frames; counts what is wrong with others.  After it
     * returned 0, ingress_done() is not called. */
    unsigned (*ingress)(Port *p, unsigned queue, IngressBurst *b,
                        PortCounters *counters);
    void (*ingress_done)(Port *p, unsigned queue, IngressBurst *b);
    /* Before a worker sleeps, and afterwards: make wake_fd readable when
     * something comes, or do not.  Returns whether something is there. */
    bool (*ask_wake)(Port *p, unsigned queue, bool ask);

    /* -- Workers: any number at a time -- */
    /* Up to EGRESS_BURST frames, which the port accepts as they are. */
    void (*egress)(Port *p, unsigned queue, const Frame *const *frames,
                   unsigned n, VringBurst *scratch, PortCounters *counters);
} PortOps;

/* A bucket of frames that may be flooded. */
typedef struct StormLimit {
    pthread_mutex_t lock;
    int64_t last_us;
    double tokens;
} StormLimit;

struct Port {
    /* Read by workers, written while the port is still. */
    uint16_t id;
    uint8_t ingress_queues;         /* 0: nothing comes */
    uint8_t egress_queues;          /* 0: nothing can go */
    uint8_t offloads_allowed;       /* what it may send (offload.h) */
    uint8_t offloads_accepted;      /* what it takes */
    bool mirrors;                   /* it shows others, and sends nothing */
    bool only_peer;                 /* nothing of it has to be looked at */
    int16_t peer;                   /* id, -1: none, it is switched; -2: it
                                     * is not there */
    uint8_t shown_by_n;
    uint16_t shown_by[PORT_MAX_MIRRORS];
    uint64_t outs[SWITCH_MAX_PORTS / 64];   /* bit per id that it may name */
    const PortOps *ops;
    void *impl;
    PortSettings settings;
    StormLimit storm;               /* under its lock */
    EgressQueue *queue;             /* what leaves waits there; NULL: it does
                                     * not */
    struct Sleeper *server;         /* of that queue */
    struct RtPort *rt;              /* NULL: deadlines are nothing to it */
    Limit *tenant_limit;            /* NULL: it has no tenant */
    struct TenantLink *tenant_link; /* what leaves its queue waits there, too;
                                     * NULL: it does not */
    struct Sleeper *tenant_server;
    uint64_t serial;                /* of all ports there ever were */

    Limit limit;                    /* of what it sends */

    /* Written by workers, atomic. */
    const char *broken;             /* NULL: it is not; a constant text */
    bool calls;

    /* The control thread's. */
    Switch *sw;
    PortSettings own;               /* settings without a contract */
    PortSettings contract;          /* type NULL: there is none */
    char *name;
    unsigned still;                 /* so many want it to be; 0: none */
    bool published;
    uint64_t breaks;
    const char *last_broken;
    PortCounters counted_before;    /* of what the counters say, not shown */
    int64_t lines_until_us;
    unsigned lines;                 /* of port_log_often(), until then */
};

extern const PortOps port_vhost_ops;
extern const PortOps port_tap_ops;
extern const PortOps port_afxdp_ops;
extern const PortOps port_netvm_ops;
extern const PortOps port_chain_ops;
extern const PortOps port_dummy_ops;

/* -- The control thread ---------------------------------------------------- */

/* May be nested. */
void port_quiesce(Port *p);
void port_resume(Port *p);

/* Let the network know that @mac is behind @p now. */
void port_announce(Port *p, const uint8_t mac[6]);

/* Where what has to outlive us is kept, or NULL. */
const char *port_state_dir(const Port *p);

/* One line, with the port's name in front. */
void port_log(const Port *p, GLogLevelFlags level, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* What a peer can cause as often as it likes: some of it. */
void port_log_often(Port *p, GLogLevelFlags level, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* Whether @p is a member of @vlan, and whether frames of it go out tagged. */
bool port_in_vlan(const Port *p, unsigned vlan);
bool port_tags(const Port *p, unsigned vlan);

/* -- Workers --------------------------------------------------------------- */

/* Has it, or its tenant, a limit? */
static inline bool port_is_limited(const Port *p)
{
    return limit_is_set(&p->limit) ||
           (p->tenant_limit && limit_is_set(p->tenant_limit));
}

/* When frames may be taken from it again; past: now. */
static inline uint64_t port_next_ns(const Port *p)
{
    uint64_t own_ns = limit_next_ns(&p->limit);

    return p->tenant_limit ? MAX(own_ns, limit_next_ns(p->tenant_limit))
                           : own_ns;
}

/* Frames that may be taken at once: what a millisecond allows, and one at
 * least. */
unsigned port_limit_burst(const Port *p);

/* @pkts of @bytes together were taken from it. */
void port_charge(Port *p, uint64_t bytes, unsigned pkts, uint64_t now_ns);

/* Something is wrong for good; the control thread is told.  @why stays. */
void port_break(Port *p, const char *why);

/* ops->called() is to be called by the control thread. */
void port_call(Port *p);

/* What the thread whose counters of @p these are counts of port @id. */
static inline PortCounters *port_counters_of(PortCounters *counters,
                                             const Port *p, unsigned id)
{
    return counters - p->id + id;
}

#endif
