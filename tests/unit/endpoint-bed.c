/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint with one frame, for tests.
 *
 * Threads: single.
 */
#include <glib.h>
#include <string.h>

#include "endpoint-bed.h"

const RtEndpointConfig rtvnic_cfg = {
    .deadline_ns = DEADLINE_NS,
    .link_mtu = RT_LINK_MTU_DEFAULT,
    .rtvnic = true,
    .trailer = true,
    .dscp = 46,
    .pcp = RT_PCP_KEEP,
    .source_id = 0x12345678,
    .max_skew_ns = RT_MAX_SKEW_DEFAULT_NS,
};

void bed_init(Bed *b, const RtEndpointConfig *cfg, const FrameSpec *s)
{
    rt_endpoint_init(&b->e, cfg);
    b->s = *s;
    b->frame = g_malloc(s->bytes + RT_TX_TAILROOM_BYTES);
    /* What others left in the buffer must not leave with the frame. */
    memset(b->frame, 0xaa, s->bytes + RT_TX_TAILROOM_BYTES);
    frame_make(s, b->frame);
    b->original = g_memdup2(b->frame, s->bytes);
}

void bed_clear(Bed *b)
{
    g_free(b->frame);
    g_free(b->original);
}

bool bed_accept(Bed *b)
{
    return rt_tx_accept(&b->e, b->frame, b->s.bytes, NOW_NS, NOW_TAI_NS,
                        &b->tx);
}

void bed_send(Bed *b, uint64_t waited_ns)
{
    g_assert_true(bed_accept(b));
    g_assert_true(rt_tx_depart(&b->e, b->frame, &b->tx, NOW_NS + waited_ns,
                               true));
    rt_tx_sent(&b->e, &b->tx);
}

size_t bed_receive(Bed *b, RtEndpoint *receiver, int64_t transit_ns,
                   bool *missed, RtMiss *miss)
{
    uint8_t *exact = g_memdup2(b->frame, b->tx.leave_bytes);
    size_t len = rt_rx(receiver, exact, b->tx.leave_bytes,
                       NOW_TAI_NS + transit_ns, missed, miss);

    g_free(b->frame);
    b->frame = exact;
    return len;
}

RtTrailer written_trailer(const Bed *b)
{
    RtTrailer t;

    g_assert_true(rt_trailer_decode(&t, b->frame + b->tx.leave_bytes -
                                        RT_TRAILER_BYTES));
    return t;
}
