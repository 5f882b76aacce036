/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "flow-cache.h"

FlowCache *flow_cache_new(void)
{
    FlowCache *c = aligned_alloc(64, (sizeof(*c) + 63) & ~(size_t)63);

    g_assert(c);
    memset(c, 0, sizeof(*c));
    for (unsigned i = 0; i < 2; i++) {
        c->multiplier[i] = (uint64_t)g_random_int() << 32 | g_random_int() | 1;
    }
    return c;
}
