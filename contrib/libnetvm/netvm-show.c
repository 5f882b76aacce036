/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is there, and what they have counted.
 *
 * Threads: see netvm-impl.h.
 */
#include <errno.h>
#include <string.h>

#include "netvm-flow.h"
#include "netvm-impl.h"

NETVM_PUBLIC unsigned netvm_self(const struct netvm *nv)
{
    return nv->self;
}

NETVM_PUBLIC unsigned netvm_max_bytes(const struct netvm *nv)
{
    return nv->map.buffer_bytes - NETVM_HEADROOM_BYTES -
           (NETVM_BEGINNINGS - 1) * NETVM_LINE_BYTES;
}

NETVM_PUBLIC const struct netvm_region *netvm_region(const struct netvm *nv)
{
    return nv->region;
}

NETVM_PUBLIC const struct netvm_region *netvm_layout(const struct netvm *nv)
{
    return &nv->layout;
}

NETVM_PUBLIC const struct netvm_stats *netvm_stats(const struct netvm *nv,
                                                   unsigned m)
{
    return m <= nv->layout.members ? nv->stats - nv->self + m : NULL;
}

NETVM_PUBLIC int netvm_find_member(const struct netvm *nv, const char *name)
{
    const struct netvm_member *members = nv->member - nv->self;

    for (unsigned m = 1; m <= nv->layout.members; m++) {
        if (netvm_read32(&members[m].state) == NETVM_MEMBER_THERE &&
            strncmp(members[m].name, name, NETVM_NAME_BYTES) == 0) {
            return m;
        }
    }
    return -ENOENT;
}

NETVM_PUBLIC int netvm_find_service(const struct netvm *nv, const char *name)
{
    const struct netvm_service *services = (const struct netvm_service *)
        ((const uint8_t *)nv->region + nv->services_offset);

    for (unsigned s = 1; s < nv->services; s++) {
        if (strncmp(services[s].name, name, NETVM_NAME_BYTES) == 0 &&
            services[s].name[0]) {
            return s;
        }
    }
    return -ENOENT;
}
