/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the ports of a tenant may be sent together: a second link, which frames
 * wait for after their own port's.
 *
 * A frame stays where it lies, in the pool of its port's queue; only its turn
 * is taken here.  Ports are the sources of a shaper: each may have a guarantee,
 * and they share equally what is left; deadlines go first as anywhere.
 *
 * Threads: any; under a lock of its own, once per burst.  It is served by one
 * worker.
 */
#ifndef VUS_TENANT_LINK_H
#define VUS_TENANT_LINK_H

#include "egress-queue.h"

typedef struct TenantLink TenantLink;

/* -- Life: the control thread ---------------------------------------------- */

TenantLink *tenant_link_new(const ShaperConfig *cfg);

/* Nothing waits there any more. */
void tenant_link_free(TenantLink *l);

void tenant_link_set_rate(TenantLink *l, const ShaperConfig *cfg,
                          uint64_t now_ns);
void tenant_link_set_port(TenantLink *l, unsigned port,
                          ShaperGuarantee guarantee);

/*
 * Port @port, which is still, wants its frames back: they are forgotten.
 * Returns how many.  A worker may hold others until a grace period has passed.
 */
unsigned tenant_link_drop_port(TenantLink *l, unsigned port);

/* -- Workers --------------------------------------------------------------- */

/* Frames that port @port's link has let go.  Returns true if nothing waited
 * before. */
bool tenant_link_put(TenantLink *l, unsigned port, QueuedFrame *const *frames,
                     unsigned n, uint64_t now_ns);

/* When the next one may leave; UINT64_MAX: none waits. */
uint64_t tenant_link_next_ns(const TenantLink *l);

/* Up to @max that leave at @now_ns; whose they are: item.source. */
unsigned tenant_link_take(TenantLink *l, uint64_t now_ns, QueuedFrame **frames,
                          unsigned max);

#endif
