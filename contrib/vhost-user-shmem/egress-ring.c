/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "egress-ring.h"

#define CACHE_LINE_BYTES 64
#define PREFETCH_BYTES 2048

/*
 * The driver has touched them last, maybe on another core.  (A call that is not
 * inlined would be left out: GCC takes a function that only prefetches for one
 * that does nothing.)
 */
static G_ALWAYS_INLINE inline void prefetch_for_writing(const VringBurst *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        const uint8_t *data = b->segment[b->chain[i].first].data;

        __builtin_prefetch(data, 1);
        __builtin_prefetch(data + CACHE_LINE_BYTES, 1);
    }
}

/*
 * The rest of a long frame, which is to be written to chain @at, while the one
 * before it is copied: the hardware would notice each frame anew, after its
 * first lines.  Longer ones it does notice.
 */
static G_ALWAYS_INLINE inline void prefetch_rest(const Frame *f,
                                                 const VringBurst *b,
                                                 unsigned at)
{
    const uint8_t *from, *to;
    uint32_t bytes;

    if (f->bytes <= FRAME_HEAD_BYTES || at >= b->n) {
        return;
    }
    from = f->rest->data + f->rest_offset;
    to = b->segment[b->chain[at].first].data + FRAME_HEAD_BYTES;
    bytes = MIN(f->bytes - FRAME_HEAD_BYTES, PREFETCH_BYTES);
    for (uint32_t i = 0; i < bytes; i += CACHE_LINE_BYTES) {
        __builtin_prefetch(from + i);
        __builtin_prefetch(to + i, 1);
    }
}

unsigned egress_ring(Vring *ring, FrameFormat format,
                     const Frame *const *frames, unsigned n,
                     VringBurst *scratch, PortCounters *counters)
{
    uint32_t written[VRING_BURST];
    unsigned delivered = 0, i = 0;
    uint64_t bytes = 0;
    /* Mostly a chain for each; frames that take several ask for more. */
    unsigned want = MIN(n, VRING_BURST);

    while (i < n) {
        FrameWritten result = FRAME_WRITTEN;
        unsigned at = 0;

        vring_fetch(ring, scratch, want);
        prefetch_for_writing(scratch);
        for (; i < n; i++) {
            if (i + 1 < n) {
                prefetch_rest(frames[i + 1], scratch, at + 1);
            }
            result = frame_write(frames[i], scratch, &at, format, ring->mem,
                                 written);
            if (result == FRAME_WRITTEN) {
                delivered++;
                bytes += frames[i]->bytes;
            } else if (result == FRAME_TOO_LONG) {
                counter_add(&counters->drops[DROP_RX_SHORT], 1);
            } else {
                break;
            }
        }
        if (at > 0) {
            vring_complete(ring, scratch, at, written);
        } else if (i < n && want < VRING_BURST && scratch->n == want) {
            want = VRING_BURST;
        } else {
            break;
        }
    }
    counter_add(&counters->drops[DROP_RX_FULL], n - i);
    counter_add(&counters->egress_pkts, delivered);
    counter_add(&counters->egress_bytes, bytes);
    return delivered;
}
