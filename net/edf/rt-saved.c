/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame that waits, as it moves to another QEMU.
 *
 * Threads: pure functions and caller-owned state.
 */
#include "rtnet/rt-saved.h"

/* Times further away than 146 years count as that. */
#define SPAN_MAX_NS (INT64_C(1) << 62)

static int64_t time_left_ns(uint64_t at_ns, uint64_t now_ns)
{
    if (at_ns == UINT64_MAX) {
        return INT64_MAX;
    }
    if (at_ns >= now_ns) {
        return at_ns - now_ns < SPAN_MAX_NS ? (int64_t)(at_ns - now_ns)
                                            : SPAN_MAX_NS;
    }
    return now_ns - at_ns < SPAN_MAX_NS ? -(int64_t)(now_ns - at_ns)
                                        : -SPAN_MAX_NS;
}

static uint64_t time_at_ns(int64_t left_ns, uint64_t now_ns)
{
    uint64_t span_ns;

    if (left_ns == INT64_MAX) {
        return UINT64_MAX;
    }
    if (left_ns >= 0) {
        span_ns = left_ns < SPAN_MAX_NS ? left_ns : SPAN_MAX_NS;
        return now_ns < UINT64_MAX - 1 - span_ns ? now_ns + span_ns
                                                 : UINT64_MAX - 1;
    }
    span_ns = left_ns > -SPAN_MAX_NS ? -left_ns : SPAN_MAX_NS;
    return now_ns > span_ns ? now_ns - span_ns : 0;
}

void rt_tx_save(RtSavedTx *saved, const RtTx *tx, uint64_t now_ns)
{
    *saved = (RtSavedTx) {
        .frame_bytes = tx->frame_bytes,
        .waited_ns = now_ns > tx->arrival_ns ? now_ns - tx->arrival_ns : 0,
        .due_in_ns = time_left_ns(tx->due_ns, now_ns),
        .order_in_ns = time_left_ns(tx->turn.order_ns, now_ns),
        .eligible_in_ns = time_left_ns(tx->turn.eligible_ns, now_ns),
        .has_trailer = tx->has_trailer,
    };
    if (tx->has_trailer) {
        saved->trailer = tx->trailer;
    }
}

/* Would rt_tx_accept() have made this trailer for this frame? */
static const char *check_trailer(const RtSavedTx *saved, const RtFrame *f,
                                 const RtEndpointConfig *cfg)
{
    const RtTrailer *t = &saved->trailer;
    uint32_t ip_end = f->l2_bytes + f->l3_bytes;
    uint32_t min_bytes = rt_frame_min_bytes(f);

    if (!cfg->rtvnic) {
        return "it has a trailer, and this port is no rtvnic";
    }
    if (f->ip_version == 0) {
        return "it has a trailer and is not IP";
    }
    if (saved->frame_bytes != (ip_end > min_bytes ? ip_end : min_bytes) ||
        t->padding_bytes != saved->frame_bytes - ip_end) {
        return "its padding is not what its IP length leaves";
    }
    if (saved->frame_bytes + RT_TRAILER_BYTES > f->l2_bytes + cfg->link_mtu) {
        return "it has no room for its trailer within link-mtu";
    }
    if (t->guest_dscp > 63 ||
        t->flags & ~(RT_TRAILER_F_CLOCK_SYNC | RT_TRAILER_F_ADMITTED |
                     RT_TRAILER_F_DSCP_REWRITTEN | RT_TRAILER_F_LATE)) {
        return "its trailer has a DSCP or flags that do not exist";
    }
    return NULL;
}

const char *rt_tx_load(RtTx *tx, const RtSavedTx *saved, const uint8_t *frame,
                       const RtEndpoint *e, uint64_t now_ns)
{
    const char *wrong;
    RtFrame f;

    if (!rt_frame_parse(&f, frame, saved->frame_bytes)) {
        return "it is shorter than an Ethernet header";
    }
    if (saved->frame_bytes > f.l2_bytes + e->cfg.link_mtu) {
        return "it is longer than link-mtu allows";
    }
    if (saved->has_trailer) {
        wrong = check_trailer(saved, &f, &e->cfg);
        if (wrong) {
            return wrong;
        }
    }

    *tx = (RtTx) {
        .frame_bytes = saved->frame_bytes,
        .leave_bytes = saved->frame_bytes +
                       (saved->has_trailer ? RT_TRAILER_BYTES : 0),
        .band = e->band,
        .turn = {
            .order_ns = time_at_ns(saved->order_in_ns, now_ns),
            .eligible_ns = saved->eligible_in_ns > 0 ?
                           time_at_ns(saved->eligible_in_ns, now_ns) : 0,
        },
        .arrival_ns = now_ns > saved->waited_ns ? now_ns - saved->waited_ns : 0,
        .due_ns = time_at_ns(saved->due_in_ns, now_ns),
        .has_trailer = saved->has_trailer,
        .trailer = saved->trailer,
    };
    tx->wire_bytes = rt_tx_wire_bytes(tx->leave_bytes);
    return NULL;
}

uint64_t rt_policer_save(const RtEndpoint *e, uint64_t now_ns)
{
    uint64_t next_ns = e->policer.next_release_ns;

    return next_ns > now_ns ? next_ns - now_ns : 0;
}

void rt_policer_load(RtEndpoint *e, uint64_t next_release_in_ns,
                     uint64_t now_ns)
{
    uint64_t span_ns = next_release_in_ns < SPAN_MAX_NS ? next_release_in_ns
                                                        : SPAN_MAX_NS;

    e->policer.next_release_ns = span_ns ? now_ns + span_ns : 0;
}
