/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "egress-ring.h"

/* The driver has touched them last, maybe on another core. */
static void prefetch_for_writing(const VringBurst *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        const uint8_t *data = b->segment[b->chain[i].first].data;

        __builtin_prefetch(data, 1);
        __builtin_prefetch(data + 64, 1);
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
