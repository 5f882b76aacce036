/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One attachment to a scheduler: what it does to each frame and what it counts.
 *
 * A frame may depart more than once (a backend that takes it back), so nothing
 * is counted before rt_tx_sent(), and departing overwrites the same trailer.
 *
 * Threads: caller-owned state, one thread (or one lock) per endpoint.
 */
#include <string.h>

#include "rtnet/rt-endpoint.h"

/* Longest padding target: a frame with all the tags it can have. */
#define MAX_PADDED_BYTES (RT_ETH_ZLEN + RT_MAX_VLAN_TAGS * RT_VLAN_HLEN)

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* -- Life ------------------------------------------------------------------ */

void rt_endpoint_init(RtEndpoint *e, const RtEndpointConfig *cfg)
{
    *e = (RtEndpoint) { .cfg = *cfg };
    rt_endpoint_set_deadline(e, cfg->deadline_ns);
}

void rt_endpoint_set_deadline(RtEndpoint *e, uint64_t deadline_ns)
{
    RtEndpointConfig *cfg = &e->cfg;

    cfg->deadline_ns = deadline_ns;
    if (cfg->deadline_ns == 0) {
        e->band = EDF_BAND_BEST_EFFORT;
    } else if (cfg->period_ns == 0) {
        e->band = EDF_BAND_DEADLINE;
    } else {
        e->band = EDF_BAND_ADMITTED;
        e->contract = (EdfContract) {
            .deadline_ns = cfg->deadline_ns,
            .period_ns = cfg->period_ns,
            .wire_bytes = rt_endpoint_max_wire_bytes(e),
        };
    }
}

void rt_endpoint_reset_stats(RtEndpoint *e)
{
    e->n = (RtCounters) { 0 };
    e->queueing = (RtHist) { 0 };
    e->transit = (RtHist) { 0 };
}

uint32_t rt_endpoint_max_wire_bytes(const RtEndpoint *e)
{
    uint32_t limit = RT_MAX_WIRE_BYTES(e->cfg.link_mtu), bytes;

    if (e->band != EDF_BAND_ADMITTED || e->cfg.max_frame_bytes == 0 ||
        e->cfg.max_frame_bytes >= limit) {
        return limit;
    }
    if (e->cfg.rtvnic && e->cfg.trailer) {
        bytes = max_u32(e->cfg.max_frame_bytes, MAX_PADDED_BYTES) +
                RT_TRAILER_BYTES;
    } else {
        bytes = max_u32(e->cfg.max_frame_bytes, RT_ETH_ZLEN);
    }
    bytes += EDF_LINK_OVERHEAD_BYTES;
    return bytes < limit ? bytes : limit;
}

uint32_t rt_source_id_from_mac(const uint8_t mac[6])
{
    return (uint32_t)mac[2] << 24 | mac[3] << 16 | mac[4] << 8 | mac[5];
}

/* -- Out ------------------------------------------------------------------- */

uint32_t rt_tx_wire_bytes(uint32_t leave_bytes)
{
    return max_u32(leave_bytes, RT_ETH_ZLEN) + EDF_LINK_OVERHEAD_BYTES;
}

/* Mark @frame and, where there is room, prepare its trailer: true if so. */
static bool mark_and_pad(RtEndpoint *e, RtFrame *f, uint8_t *frame,
                         uint64_t now_tai_ns, RtTx *tx)
{
    const RtEndpointConfig *cfg = &e->cfg;
    RtTrailer *t = &tx->trailer;
    uint8_t guest_dscp = f->dscp;
    uint32_t ip_end, padded;

    if (f->ip_version == 0) {
        e->n.tx_not_ip_pkts++;
        return false;
    }
    if (cfg->dscp != RT_DSCP_KEEP) {
        rt_frame_set_dscp(f, frame, cfg->dscp);
    }
    if (f->vlan_tags > 0 && cfg->pcp != RT_PCP_KEEP) {
        rt_frame_set_pcp(f, frame, cfg->pcp);
    }
    if (!cfg->trailer) {
        return false;
    }

    ip_end = f->l2_bytes + f->l3_bytes;
    padded = max_u32(ip_end, rt_frame_min_bytes(f));
    if (padded + RT_TRAILER_BYTES > f->l2_bytes + cfg->link_mtu) {
        e->n.tx_no_room_pkts++;
        return false;
    }
    if (G_UNLIKELY(padded > ip_end)) {
        memset(frame + ip_end, 0, padded - ip_end);
    }
    tx->frame_bytes = padded;
    t->sent_tai_ns = now_tai_ns;
    t->deadline_ns = cfg->deadline_ns;
    t->sequence = e->sequence++;
    t->source_id = cfg->source_id;
    t->padding_bytes = padded - ip_end;
    t->guest_dscp = guest_dscp;
    t->flags = (e->band == EDF_BAND_ADMITTED ? RT_TRAILER_F_ADMITTED : 0) |
               (guest_dscp != f->dscp ? RT_TRAILER_F_DSCP_REWRITTEN : 0);
    return true;
}

bool rt_tx_accept(RtEndpoint *e, uint8_t *frame, size_t len,
                  uint64_t now_ns, uint64_t now_tai_ns, RtTx *tx)
{
    EdfBand band = e->band;
    uint64_t due_ns;
    EdfTurn turn;
    RtFrame f;

    if (!rt_frame_parse(&f, frame, len)) {
        e->n.drop_tx_runt++;
        return false;
    }
    if (len > (size_t)f.l2_bytes + e->cfg.link_mtu) {
        e->n.drop_tx_oversize++;
        return false;
    }

    tx->frame_bytes = len;
    tx->has_trailer = e->cfg.rtvnic &&
                      mark_and_pad(e, &f, frame, now_tai_ns, tx);
    tx->leave_bytes = tx->frame_bytes +
                      (tx->has_trailer ? RT_TRAILER_BYTES : 0);
    tx->wire_bytes = rt_tx_wire_bytes(tx->leave_bytes);

    if (band == EDF_BAND_ADMITTED) {
        due_ns = edf_add_saturated(now_ns, e->contract.deadline_ns);
        turn = edf_police(&e->policer, &e->contract, now_ns, tx->wire_bytes);
        e->n.postponed_pkts += turn.order_ns > due_ns;
    } else {
        due_ns = band == EDF_BAND_DEADLINE ?
                 edf_add_saturated(now_ns, e->cfg.deadline_ns) : UINT64_MAX;
        turn = (EdfTurn) { .order_ns = due_ns };
    }
    tx->band = band;
    tx->arrival_ns = now_ns;
    tx->due_ns = due_ns;
    tx->turn = turn;
    return true;
}

bool rt_tx_depart(RtEndpoint *e, uint8_t *frame, RtTx *tx, uint64_t now_ns,
                  bool clock_synchronised)
{
    bool late = now_ns > tx->due_ns;

    if (late && e->cfg.drop_late) {
        e->n.drop_tx_late++;
        return false;
    }
    tx->depart_ns = now_ns;
    if (tx->has_trailer) {
        tx->trailer.flags =
            (tx->trailer.flags &
             ~(RT_TRAILER_F_LATE | RT_TRAILER_F_CLOCK_SYNC)) |
            (late ? RT_TRAILER_F_LATE : 0) |
            (clock_synchronised ? RT_TRAILER_F_CLOCK_SYNC : 0);
        rt_trailer_encode(&tx->trailer, frame + tx->frame_bytes);
    }
    return true;
}

void rt_tx_sent(RtEndpoint *e, const RtTx *tx)
{
    e->n.sent_pkts++;
    e->n.sent_bytes += tx->leave_bytes;
    e->n.late_pkts += tx->depart_ns > tx->due_ns;
    rt_hist_add(&e->queueing, tx->depart_ns > tx->arrival_ns ?
                              tx->depart_ns - tx->arrival_ns : 0);
}

/* -- In -------------------------------------------------------------------- */

/* True if it came after its deadline. */
static bool count_transit(RtEndpoint *e, uint64_t transit_ns,
                          uint32_t deadline_ns)
{
    rt_hist_add(&e->transit, transit_ns);
    if (transit_ns <= deadline_ns || deadline_ns == 0) {
        return false;
    }
    e->n.missed_pkts++;
    return true;
}

/* The same, by two clocks. */
static bool measure(RtEndpoint *e, uint64_t sent_tai_ns, uint32_t deadline_ns,
                    uint64_t now_tai_ns)
{
    uint64_t transit_ns = 0;

    if (now_tai_ns >= sent_tai_ns) {
        transit_ns = now_tai_ns - sent_tai_ns;
    } else if (sent_tai_ns - now_tai_ns > e->cfg.max_skew_ns) {
        e->n.skewed_pkts++;
        return false;
    }
    return count_transit(e, transit_ns, deadline_ns);
}

size_t rt_rx(RtEndpoint *e, uint8_t *frame, size_t len, uint64_t now_tai_ns,
             bool *missed, RtMiss *miss)
{
    RtFrame f;
    const uint8_t *trailer;

    *missed = false;
    e->n.received_pkts++;
    e->n.received_bytes += len;
    if (!e->cfg.rtvnic || !rt_frame_parse(&f, frame, len)) {
        return len;
    }
    switch (rt_trailer_locate(&trailer, &f, frame, len)) {
    case RT_TRAILER_NONE:
        return len;
    case RT_TRAILER_REJECTED:
        e->n.rx_rejected_pkts++;
        return len;
    case RT_TRAILER_VALID:
        break;
    }

    e->n.rx_trailer_pkts++;
    if (measure(e, rt_get_be64(trailer + RT_TRAILER_OFS_SENT_TAI),
                rt_get_be32(trailer + RT_TRAILER_OFS_DEADLINE), now_tai_ns)) {
        *missed = true;
        rt_trailer_read(&miss->trailer, trailer);
        miss->exceeded_ns = now_tai_ns - miss->trailer.sent_tai_ns -
                            miss->trailer.deadline_ns;
        miss->l2_bytes = f.l2_bytes;
        miss->wire_dscp = f.dscp;
    }
    rt_frame_set_dscp(&f, frame,
                      trailer[RT_TRAILER_OFS_DSCP] & RT_TRAILER_DSCP_MASK);
    return f.l2_bytes + f.l3_bytes;
}

size_t rt_rx_beside(RtEndpoint *e, uint8_t *frame, size_t len,
                    const RtTrailer *t, uint64_t transit_ns, bool *missed,
                    RtMiss *miss)
{
    RtFrame f;

    *missed = false;
    e->n.received_pkts++;
    e->n.received_bytes += len;
    if (!e->cfg.rtvnic || !rt_frame_parse(&f, frame, len) ||
        f.ip_version == 0) {
        return len;
    }
    e->n.rx_trailer_pkts++;
    if (count_transit(e, transit_ns, t->deadline_ns)) {
        *missed = true;
        miss->trailer = *t;
        miss->exceeded_ns = transit_ns - t->deadline_ns;
        miss->l2_bytes = f.l2_bytes;
        miss->wire_dscp = f.dscp;
    }
    rt_frame_set_dscp(&f, frame, t->guest_dscp);
    return f.l2_bytes + f.l3_bytes;
}
