/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "deliver.h"

unsigned frame_hash(const Frame *f)
{
    const uint8_t *ip = f->head + 14;
    uint32_t hash = 0, word;
    unsigned i, end = 12;

    if (f->head[12] == 0x08 && f->head[13] == 0x00 && f->head_bytes >= 38) {
        /* Addresses and, of TCP and UDP, ports, unless it is a fragment. */
        end = 14 + (ip[6] & 0x3f || ip[7] || (ip[0] & 0x0f) != 5 ||
                    (ip[9] != 6 && ip[9] != 17) ? 20 : 24);
        i = 14 + 12;
    } else if (f->head[12] == 0x86 && f->head[13] == 0xdd &&
               f->head_bytes >= 58) {
        end = 14 + (ip[6] == 6 || ip[6] == 17 ? 44 : 40);
        i = 14 + 8;
    } else {
        i = 0;
    }
    for (; i < end; i += sizeof(word)) {
        memcpy(&word, f->head + i, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b1u;
        hash ^= hash >> 15;
    }
    /* The last bytes count in its low bits, too. */
    hash *= 0x85ebca6bu;
    return hash ^ hash >> 16;
}

void deliver(Forwarder *fw, Port *out, const Frame *const *frames, unsigned n)
{
    PortCounters *counters = &fw->counters[out->id];
    const Frame *some[EGRESS_BURST];

    if (G_LIKELY(out->egress_queues == 1)) {
        out->ops->egress(out, 0, frames, n, &fw->egress_scratch, counters);
        return;
    }
    for (unsigned q = 0; q < out->egress_queues; q++) {
        unsigned some_n = 0;

        for (unsigned i = 0; i < n; i++) {
            if (frame_hash(frames[i]) % out->egress_queues == q) {
                some[some_n++] = frames[i];
            }
        }
        if (some_n > 0) {
            out->ops->egress(out, q, some, some_n, &fw->egress_scratch,
                             counters);
        }
    }
}
