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

/*
 * Deliver @n frames, in order; what was delivered and what was dropped is
 * counted in @counters.  @scratch is dirty before and after.  Returns how many
 * were delivered.  If ring->error is set afterwards, its driver has lied and
 * the ring is to be stopped.
 */
unsigned egress_ring(Vring *ring, FrameFormat format,
                     const Frame *const *frames, unsigned n,
                     VringBurst *scratch, PortCounters *counters);

#endif
