/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netvm-flow.h"
#include "seen.h"

static uint64_t *bits_of(struct seen *s, const struct netvm_region *region,
                         uint32_t segment)
{
    if (!s->bit[segment]) {
        uint32_t buffers = region->segment[segment].buffers;

        buffers = buffers <= NETVM_INDEX_MASK ? buffers : 0;
        s->bit[segment] = calloc(buffers / 64 + 1, sizeof(uint64_t));
        s->buffers[segment] = s->bit[segment] ? buffers : 0;
    }
    return s->bit[segment];
}

void seen_add(struct seen *s, const struct netvm_region *region,
              uint32_t buffer)
{
    uint32_t segment = buffer >> NETVM_SEGMENT_SHIFT;
    uint32_t i = buffer & NETVM_INDEX_MASK;
    uint64_t *bits = bits_of(s, region, segment);

    if (i < s->buffers[segment] && !(bits[i / 64] >> i % 64 & 1)) {
        bits[i / 64] |= UINT64_C(1) << i % 64;
        if (s->n < SEEN_FIRST) {
            s->first[s->n] = buffer;
        }
        s->n++;
        s->mark += netvm_flow_hash(buffer + 1);
    }
}

void seen_clear(struct seen *s)
{
    for (unsigned i = 0; i < NETVM_SEGMENTS_MAX; i++) {
        free(s->bit[i]);
    }
    memset(s, 0, sizeof(*s));
}

void seen_print(const struct seen *s, bool first)
{
    printf(" buffers=%" PRIu64 " buffers-mark=%08" PRIx32, s->n, s->mark);
    for (unsigned i = 0; first && i < s->n && i < SEEN_FIRST; i++) {
        printf("%s%" PRIu32 ":%" PRIu32, i ? "," : " first-buffers=",
               s->first[i] >> NETVM_SEGMENT_SHIFT,
               s->first[i] & NETVM_INDEX_MASK);
    }
}
