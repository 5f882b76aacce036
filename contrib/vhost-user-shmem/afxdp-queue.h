/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One queue of an interface, and the AF_XDP socket that stands for it.
 *
 * The socket has memory of its own, cut into places of one frame.  One half is
 * for what comes: a place is in the fill ring, then the kernel's, then in the
 * rx ring, then ours until it is given back into the fill ring.  The other half
 * is for what goes: a place is free, then in the tx ring, then the kernel's,
 * then in the done ring.  A ring has room for all places of its half, so none
 * is ever full.
 *
 * Or its places are the buffers of a domain (netvm/afxdp-segments.h): each way
 * it has as many of them as the kernel has now, at most half as many as above.
 *
 * Spec: Documentation/networking/af_xdp.rst of Linux.
 *
 * Threads: the group of fields, and the group of functions, says it.
 */
#ifndef VUS_AFXDP_QUEUE_H
#define VUS_AFXDP_QUEUE_H

#include <xdp/xsk.h>

#include "afxdp-nic.h"
#include "netvm/afxdp-segments.h"

#define AFXDP_HALF_FRAMES 2048

typedef struct AfxdpQueue {
    /* The control thread's. */
    AfxdpSegments *segments;        /* the domain's; NULL: its own memory */
    uint8_t *area;                  /* NULL: it is not open */
    struct xsk_umem *umem;
    struct xsk_socket *socket;
    int fd;
    int wake_fd;                    /* readable: there is something to do */

    /* The worker's that serves it. */
    struct xsk_ring_cons rx;
    struct xsk_ring_prod fill;
    uint64_t lost_counted;
    AfxdpBuffers filling;           /* of the segments, and those below */
    struct netvm_desc named[INGRESS_BURST];     /* of this burst's frames */
    FrameBuffer buffer[INGRESS_BURST];

    /* Written by the control thread, atomic. */
    uint64_t lost;

    /* Written under the lock, atomic: the kernel did not take all of it, but
     * may soon. */
    bool unsent;

    /* Under the lock. */
    pthread_mutex_t lock;
    struct xsk_ring_prod tx;
    struct xsk_ring_cons done;
    unsigned free_n;
    uint64_t free[AFXDP_HALF_FRAMES];   /* from the start of the area on */
    AfxdpBuffers sending;           /* of the segments */
} AfxdpQueue;

/* -- The control thread ---------------------------------------------------- */

/* An AfxdpQueue begins with all zero, and its lock made.  @segments may be
 * NULL. */
bool afxdp_queue_open(AfxdpQueue *q, const PortSettings *s,
                      const AfxdpNic *nic, AfxdpSegments *segments,
                      unsigned index, GError **error);
/* Buffers of segments are the domain's again. */
void afxdp_queue_close(AfxdpQueue *q);

bool afxdp_queue_is_zero_copy(const AfxdpQueue *q);

/* Has the interface gone?  Answers yes once. */
bool afxdp_queue_is_gone(const AfxdpQueue *q);

/* Ask the kernel what it found no room for; ingress counts it. */
void afxdp_queue_read_lost(AfxdpQueue *q);

/* -- Who receives from it -------------------------------------------------- */

/* Up to @max frames, a chain each; returns how many. */
unsigned afxdp_queue_fetch(AfxdpQueue *q, VringBurst *b, unsigned max);
void afxdp_queue_give_back(AfxdpQueue *q, const VringBurst *b);

/* The frame of the @i-th chain lies in a buffer that may go on. */
void afxdp_queue_name_buffer(AfxdpQueue *q, const VringBurst *b, unsigned i,
                             Frame *f);

/* With segments: buffers for what comes, if it has few; what was sent is
 * free. */
void afxdp_queue_refill(AfxdpQueue *q);

/* The kernel has none at all, and some are free?  Else wake_fd says when. */
bool afxdp_queue_may_refill(AfxdpQueue *q);

static inline bool afxdp_queue_has_some(AfxdpQueue *q)
{
    return xsk_cons_nb_avail(&q->rx, 1) > 0;
}

/* Frames that the kernel has lost since the last call. */
static inline uint64_t afxdp_queue_new_lost(AfxdpQueue *q)
{
    uint64_t lost = __atomic_load_n(&q->lost, __ATOMIC_RELAXED);
    uint64_t more = lost - q->lost_counted;

    q->lost_counted = lost;
    return more;
}

/* -- Any thread ------------------------------------------------------------ */

/* Returns 0, or an error that lasts. */
int afxdp_queue_send(AfxdpQueue *q, const Frame *const *frames, unsigned n,
                     PortCounters *counters);

/* What the kernel did not take at once; and what it has sent is free. */
void afxdp_queue_send_rest(AfxdpQueue *q);

static inline bool afxdp_queue_has_rest(const AfxdpQueue *q)
{
    return __atomic_load_n(&q->unsent, __ATOMIC_RELAXED);
}

#endif
