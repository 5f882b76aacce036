/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames into the queues of the port that they leave by.
 *
 * Threads: a Forwarder's own.
 */
#ifndef VUS_DELIVER_H
#define VUS_DELIVER_H

#include "datapath.h"

/* Spreads flows over the queues of a guest that has several, or over several
 * guests; the frames of one flow have the same. */
unsigned frame_hash(const Frame *f);

/*
 * Up to EGRESS_BURST frames, which @out accepts as they are, at once; what
 * finds no room is dropped and counted.  The caller is inside RCU.
 */
void deliver(Forwarder *fw, Port *out, const Frame *const *frames, unsigned n);

#endif
