/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the handlers of messages share.
 *
 * Threads: see vu-front.h.
 */
#ifndef VUS_VU_FRONT_IMPL_H
#define VUS_VU_FRONT_IMPL_H

#include "vu-front.h"

#define FRONT_ERROR(error, ...) \
    g_set_error(error, VU_FRONT_ERROR, 0, __VA_ARGS__)

/*
 * Of one request.  Returns whether it was done; if the request is one that is
 * answered, the answer is in *out.
 */
typedef bool VuHandler(VuFront *f, VuMsg *m, uint64_t *out, GError **error);

/* -- vu-rings.c ------------------------------------------------------------ */

void vu_rings_init(VuFront *f);

/* With their files. */
void vu_rings_forget(VuFront *f);

void vu_ring_stop(VuFront *f, VuRing *r);

/* Memory or an address has changed: whatever runs, or @only if it does, finds
 * its parts again.  False: one does not, and is stopped. */
bool vu_rings_restart(VuFront *f, VuRing *only, GError **error);

VuHandler vu_ring_set_num, vu_ring_set_addr, vu_ring_set_base,
    vu_ring_get_base, vu_ring_set_enable, vu_ring_set_kick, vu_ring_set_call,
    vu_ring_set_err;

#endif
