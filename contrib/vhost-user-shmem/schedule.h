/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way through the queue of a port whose link has a rate: in by whoever
 * forwards, out by the one worker that serves the queue.
 *
 * Threads: a Forwarder's own; the caller is inside RCU.
 */
#ifndef VUS_SCHEDULE_H
#define VUS_SCHEDULE_H

#include "datapath.h"
#include "tenant-link.h"

/* Frames of @in wait for @out, or are dropped and counted. */
void schedule_put(Forwarder *fw, const Port *in, Port *out,
                  const Frame *const *frames, unsigned n);

/*
 * What may leave by @out at @now_ns, up to EGRESS_BURST frames; returns how
 * many.  One thread per port.
 */
unsigned schedule_run(Forwarder *fw, Port *out, uint64_t now_ns);

/* And of what waits for a tenant's link, after those of its ports. */
unsigned schedule_run_tenant(Forwarder *fw, TenantLink *link,
                             uint64_t now_ns);

#endif
