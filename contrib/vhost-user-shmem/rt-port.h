/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deadlines on a frame's way through the daemon.  What is done to a frame and
 * counted of it is net/edf's (rt-endpoint.h), as in QEMU's rtvnic; here is
 * when:
 *
 *   rt_accept()   it has come from an rtvnic's port (marked, stamped, policed)
 *                 or from a trusted one (the deadline in its trailer counts);
 *                 the rest travels beside it (rt-beside.h)
 *   rt_depart()   its link is free: late?  The trailer is written if the
 *                 outside is behind that link
 *   rt_arrive()   and if an rtvnic is, it is measured and stripped
 *
 * A frame that leaves by a port without a queue has not waited: rt_passed().
 *
 * Threads: workers; an endpoint has a lock.  The rest is the control thread's.
 */
#ifndef VUS_RT_PORT_H
#define VUS_RT_PORT_H

#include "datapath.h"

/* Of a missed frame: enough for its addresses. */
#define RT_MISS_HEAD_BYTES (RT_ETH_HLEN + RT_MAX_VLAN_TAGS * RT_VLAN_HLEN + \
                            RT_IPV6_HLEN)

/* Misses that nobody was told of. */
typedef struct RtMisses {
    uint64_t missed_pkts;       /* 0: the rest means nothing */
    RtMiss last;
    uint8_t head[RT_MISS_HEAD_BYTES];   /* of that frame */
} RtMisses;

typedef struct RtPort {
    pthread_mutex_t lock;
    RtEndpoint ep;              /* under the lock */
    RtMisses misses;            /* under the lock */
} RtPort;

/* -- The control thread ---------------------------------------------------- */

/* Has a port with such settings to do with deadlines? */
bool rt_port_is(const PortSettings *s);

/* What an endpoint needs to know of them. */
RtEndpointConfig rt_port_config(const PortSettings *s);

RtPort *rt_port_new(const PortSettings *s);
void rt_port_free(RtPort *rt);

/* Other settings; what was counted stays. */
void rt_port_set(RtPort *rt, const PortSettings *s);

/* Copies of what is under the lock; @misses are told by whoever asks. */
void rt_port_show(RtPort *rt, RtEndpoint *ep);
void rt_port_take_misses(RtPort *rt, RtMisses *misses);
void rt_port_reset(RtPort *rt);

/* -- Workers --------------------------------------------------------------- */

/* All of fw->burst; frames that are not accepted leave it, counted. */
void rt_accept(Forwarder *fw, const Port *in);

/* False: it is too late and not sent, which is counted. */
bool rt_depart(Forwarder *fw, const Port *out, QueuedFrame *qf,
               uint64_t now_ns);
void rt_arrive(Forwarder *fw, const Port *out, QueuedFrame *qf,
               uint64_t now_ns);

void rt_passed(const Port *in, const Frame *const *frames, unsigned n,
               uint64_t now_ns);

#endif
