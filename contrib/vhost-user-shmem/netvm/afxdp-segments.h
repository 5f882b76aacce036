/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A domain's segments as the memory of AF_XDP sockets: what a NIC receives lies
 * in a buffer of the domain and goes on to a member as it is, and what a member
 * sends leaves from where it lies.
 *
 * The segments are mapped one behind the other, so that an address of the
 * socket is an offset in the region, and a place is a buffer.
 *
 * A buffer that the kernel has is in the port's books (AfxdpBuffers), and in
 * nobody else's.  It comes there from the pool, to be filled, or from a member
 * or the pool, to be sent; it leaves them when the kernel says that it has
 * filled or sent it, or when the socket is closed.  So all come back, whatever
 * the kernel did with them.
 *
 * A member can make the daemon believe that it owns a buffer which the kernel
 * has: its packets are wrong then, and those of its domain.
 *
 * Threads: the group of functions says it.
 */
#ifndef VUS_AFXDP_SEGMENTS_H
#define VUS_AFXDP_SEGMENTS_H

#include <linux/if_xdp.h>

#include "netvm-frames.h"

/* Of a domain's buffers all queues of a port have a part waiting to be filled,
 * and the same part waiting to be sent; each of them so many at most. */
#define AFXDP_PART 4
#define AFXDP_PART_MAX 2048

/* Segments begin at one, and no page has parts of two. */
#define AFXDP_SEGMENT_SHIFT 21

typedef struct AfxdpSegments {
    Domain *domain;
    DomainHolder *holder;
    uint8_t *area;
    uint64_t bytes;
    unsigned shift;                 /* of a buffer */
    unsigned queues;                /* that share what may be filled */
    uint64_t start[NETVM_SEGMENTS_MAX];     /* of buffers, in the area */
    uint8_t *segment_of;            /* [bytes >> AFXDP_SEGMENT_SHIFT] */
} AfxdpSegments;

/* What the kernel has through one ring. */
typedef struct AfxdpBuffers {
    uint64_t *has;                  /* bit per place of the area */
    uint32_t n;                     /* others may read it */
    uint32_t wanted;                /* to be filled; as it was when some were
                                     * got last */
} AfxdpBuffers;

/* -- The control thread ---------------------------------------------------- */

/* Is @d fit for that? */
bool afxdp_segments_check(const Domain *d, GError **error);

/* All segments that @d has now, for @queues; NULL with @error set. */
AfxdpSegments *afxdp_segments_new(Domain *d, DomainHolder *holder,
                                  unsigned queues, GError **error);
void afxdp_segments_free(AfxdpSegments *s);     /* @s may be NULL */

void afxdp_buffers_init(AfxdpBuffers *b, const AfxdpSegments *s);

/* The socket is closed: all that the kernel had is free. */
void afxdp_buffers_end(AfxdpBuffers *b, AfxdpSegments *s);

/* -- Who owns @b; they take the domain's lock where they need it ----------- */

static inline uint64_t afxdp_address(const AfxdpSegments *s, uint32_t buffer)
{
    return s->start[buffer >> NETVM_SEGMENT_SHIFT] +
           ((uint64_t)(buffer & NETVM_INDEX_MASK) << s->shift);
}

static inline uint32_t afxdp_buffer(const AfxdpSegments *s, uint64_t address)
{
    uint32_t segment = s->segment_of[address >> AFXDP_SEGMENT_SHIFT];

    return segment << NETVM_SEGMENT_SHIFT |
           (uint32_t)((address - s->start[segment]) >> s->shift);
}

/* How many the kernel has; for other threads a moment's picture. */
static inline uint32_t afxdp_buffers_n(const AfxdpBuffers *b)
{
    return __atomic_load_n(&b->n, __ATOMIC_RELAXED);
}

/* Those at @address are the kernel's; those it has already are left out.
 * Returns how many are left. */
unsigned afxdp_buffers_give(AfxdpBuffers *b, AfxdpSegments *s,
                            uint64_t *address, unsigned n);

/* The kernel has filled them. */
void afxdp_buffers_take(AfxdpBuffers *b, AfxdpSegments *s,
                        const uint64_t *address, unsigned n);

/* Up to @most free buffers that are wanted are the kernel's; @gone of those it
 * has filled went on to members.  Returns how many. */
unsigned afxdp_buffers_get(AfxdpBuffers *b, AfxdpSegments *s, unsigned gone,
                           uint64_t *address, unsigned most);

/* Is there none?  Then the holder's wake_fd is rung when there is. */
bool afxdp_segments_wait(AfxdpSegments *s);

/*
 * Frames to be sent: of a member's buffer if it may go, else copied; @desc says
 * which, at most @room of them.  Returns how many, and counts what is left out.
 */
unsigned afxdp_buffers_place(AfxdpBuffers *b, AfxdpSegments *s,
                             const Frame *const *frames, unsigned n,
                             unsigned room, struct xdp_desc *desc,
                             PortCounters *counters);

/* The kernel has sent them. */
void afxdp_buffers_sent(AfxdpBuffers *b, AfxdpSegments *s,
                        const uint64_t *address, unsigned n);

#endif
