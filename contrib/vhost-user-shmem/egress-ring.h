/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The end of the way: frames into the ring from which a guest receives.
 *
 * What finds no room is dropped and counted, at once: nothing waits here, and
 * no buffer of the sender's is held.
 *
 * Threads: one at a time per ring.
 */
#ifndef VUS_EGRESS_RING_H
#define VUS_EGRESS_RING_H

#include "drops.h"
#include "frame.h"

typedef struct EgressRing {
    Vring *ring;
    FrameFormat format;
    VringBurst burst;           /* scratch */
} EgressRing;

/*
 * Deliver @n frames, in order; what is dropped is counted in @drops.  Returns
 * how many were delivered.  If ring->error is set afterwards, its driver has
 * lied and the ring is to be stopped.
 */
unsigned egress_ring(EgressRing *e, const Frame *const *frames, unsigned n,
                     DropCounters *drops);

#endif
