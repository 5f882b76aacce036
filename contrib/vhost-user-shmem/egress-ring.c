/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "egress-ring.h"

unsigned egress_ring(EgressRing *e, const Frame *const *frames, unsigned n,
                     DropCounters *drops)
{
    uint32_t written[VRING_BURST];
    unsigned delivered = 0, i = 0;
    /* Mostly a chain for each; frames that take several ask for more. */
    unsigned want = MIN(n, VRING_BURST);

    while (i < n) {
        FrameWritten result = FRAME_WRITTEN;
        unsigned at = 0;

        vring_fetch(e->ring, &e->burst, want);
        for (; i < n; i++) {
            result = frame_write(frames[i], &e->burst, &at, e->format,
                                 e->ring->mem, written);
            if (result == FRAME_WRITTEN) {
                delivered++;
            } else if (result == FRAME_TOO_LONG) {
                drops->pkts[DROP_RX_SHORT]++;
            } else {
                break;
            }
        }
        if (at > 0) {
            vring_complete(e->ring, &e->burst, at, written);
        } else if (i < n && want < VRING_BURST && e->burst.n == want) {
            want = VRING_BURST;
        } else {
            break;
        }
    }
    drops->pkts[DROP_RX_FULL] += n - i;
    return delivered;
}
