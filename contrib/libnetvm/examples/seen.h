/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which buffers packets came in: where nobody copies, those that were sent.
 *
 * Threads: one at a time.
 */
#ifndef SEEN_H
#define SEEN_H

#include <stdbool.h>

#include "rtnet/netvm-abi.h"

#define SEEN_FIRST 8

struct seen {
    uint64_t *bit[NETVM_SEGMENTS_MAX];  /* one for each buffer */
    uint32_t buffers[NETVM_SEGMENTS_MAX];
    uint64_t n;                         /* that were seen */
    uint32_t mark;                      /* of which they are, in any order */
    uint32_t first[SEEN_FIRST];         /* of them */
};

/* @buffer is one of @region's. */
void seen_add(struct seen *s, const struct netvm_region *region,
              uint32_t buffer);

/* None any more. */
void seen_clear(struct seen *s);

/* " buffers=N buffers-mark=X", and with @first
 * " first-buffers=SEGMENT:NUMBER,...". */
void seen_print(const struct seen *s, bool first);

#endif
