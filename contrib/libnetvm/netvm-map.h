/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where buffers are in this process: which of them is there, and what of a
 * packet lies in it, is checked without a loop.
 *
 * Threads: written before it is used, and by one thread when a segment comes.
 */
#ifndef NETVM_MAP_H
#define NETVM_MAP_H

#include <stdbool.h>

#include "rtnet/netvm-abi.h"

struct netvm_map {
    uint32_t buffer_bytes;
    uint32_t buffer_shift;
    struct netvm_map_segment {
        uint8_t *buffers;
        uint64_t *owners;       /* one for each buffer */
        uint64_t n;             /* 0: there is no such segment */
    } segment[NETVM_SEGMENTS_MAX];
};

/* Is there such a buffer? */
static inline bool netvm_map_has(const struct netvm_map *m, uint32_t buffer)
{
    return (buffer & NETVM_INDEX_MASK) <
           m->segment[buffer >> NETVM_SEGMENT_SHIFT].n;
}

/* And does the packet lie in it?  @d is a copy that nobody else writes to. */
static inline bool netvm_map_holds(const struct netvm_map *m,
                                   const struct netvm_desc *d)
{
    return netvm_map_has(m, d->buffer) &&
           (uint32_t)d->offset + d->length <= m->buffer_bytes;
}

/* Of a buffer that is there. */
static inline uint8_t *netvm_map_buffer(const struct netvm_map *m,
                                        uint32_t buffer)
{
    return m->segment[buffer >> NETVM_SEGMENT_SHIFT].buffers +
           ((uint64_t)(buffer & NETVM_INDEX_MASK) << m->buffer_shift);
}

/* In front of a packet, bytes; free for headers. */
#define NETVM_HEADROOM_BYTES 128
/* Packets begin at so many different lines of a page. */
#define NETVM_BEGINNINGS 4

/*
 * Where a packet begins in an empty buffer, bytes from its start.  If all did
 * so at the same place, the first lines of a burst would share very few sets of
 * the processor's cache.
 */
static inline uint16_t netvm_map_begin(const struct netvm_map *m,
                                       uint32_t buffer)
{
    uint32_t page = m->buffer_shift < 12 ? buffer >> (12 - m->buffer_shift)
                                         : buffer;

    return NETVM_HEADROOM_BYTES +
           page % NETVM_BEGINNINGS * NETVM_LINE_BYTES;
}

static inline uint64_t *netvm_map_owner(const struct netvm_map *m,
                                        uint32_t buffer)
{
    return m->segment[buffer >> NETVM_SEGMENT_SHIFT].owners +
           (buffer & NETVM_INDEX_MASK);
}

#endif
