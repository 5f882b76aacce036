/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routes from a file, a line each:
 *
 *     PREFIX via MAC [member NAME|out PORT|service NAME] [src MAC]
 *
 * Threads: any that find; one, and no others, that reads a file or writes
 * targets.
 */
#ifndef ROUTES_H
#define ROUTES_H

#include "lpm.h"
#include "target.h"

struct route {
    uint8_t mac[6];                 /* of the next one */
    uint8_t source[6];
    bool has_source, has_target;
    struct target target;
};

struct routes {
    struct route *route;
    uint32_t n, max;
    struct lpm *lpm;                /* values: places in route[] */
};

/* All of a file, or NULL with file, line and what to do in @error. */
struct routes *routes_read(const char *path, char error[WORDS_ERROR_BYTES]);
void routes_free(struct routes *rs);

/* NULL: there is none to that address. */
static inline const struct route *routes_find(const struct routes *rs,
                                              unsigned family,
                                              const uint8_t *address)
{
    uint32_t i = lpm_find(rs->lpm, family, address);

    return i == LPM_NONE ? NULL : &rs->route[i];
}

#endif
