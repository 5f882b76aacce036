/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One attachment to a scheduler: what it does to each frame and what it counts.
 * Used by QEMU's edf-port and rtvnic and by the host daemon, so that a deadline
 * means the same everywhere.
 *
 * Directions are the guest's.  The way of a frame out:
 *
 *   rt_tx_accept()   taken from the guest: check, mark, stamp, pad
 *   (queue)          waits, ordered by RtTx.band and RtTx.turn
 *   rt_tx_depart()   the link is free: late?  write the trailer
 *   rt_tx_sent()     the backend has it: count, histogram
 *
 * and in: rt_rx() verifies, measures, restores and strips.
 *
 * An endpoint that is no rtvnic's (cfg.rtvnic false) is scheduled and counted
 * the same, but its frames pass unchanged in both directions; only their
 * length is checked.
 *
 * Two clocks: *_ns is monotonic and orders and paces; *_tai_ns is CLOCK_TAI and
 * only goes into and comes out of the trailer.
 *
 * Frames are copies that the guest cannot change any more.
 *
 * Threads: caller-owned state, one thread (or one lock) per endpoint.
 */
#ifndef RTNET_RT_ENDPOINT_H
#define RTNET_RT_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rtnet/edf-admission.h"
#include "rtnet/edf-queue.h"
#include "rtnet/rt-frame.h"
#include "rtnet/rt-hist.h"
#include "rtnet/rt-trailer.h"

#define RT_DSCP_KEEP (-1)
#define RT_PCP_KEEP (-1)
#define RT_LINK_MTU_DEFAULT 1500
#define RT_LINK_MTU_MIN 576
#define RT_LINK_MTU_MAX 65535
#define RT_MAX_SKEW_DEFAULT_NS 1000000      /* 1 ms */

/* What rt_tx_accept() may need behind the frame: padding and the trailer. */
#define RT_TX_TAILROOM_BYTES \
    (RT_ETH_ZLEN + RT_MAX_VLAN_TAGS * RT_VLAN_HLEN + RT_TRAILER_BYTES)

/* Longest frame on a link of @link_mtu, on the wire. */
#define RT_MAX_WIRE_BYTES(link_mtu) \
    ((link_mtu) + RT_ETH_HLEN + RT_MAX_VLAN_TAGS * RT_VLAN_HLEN + \
     EDF_LINK_OVERHEAD_BYTES)

/*
 * Everything that is counted, once: field, name towards users, meaning.
 * Frames, except where the name says bytes.
 */
#define RT_COUNTERS(X) \
    X(sent_pkts,          "sent",            "left towards the backend") \
    X(sent_bytes,         "sent-bytes",      "their bytes, trailer included") \
    X(late_pkts,          "late",            "left after their deadline") \
    X(postponed_pkts,     "postponed",       "came sooner than period-us allows; ordered later, not demoted") \
    X(tx_not_ip_pkts,     "not-ip",          "left without mark and trailer: not IP") \
    X(tx_no_room_pkts,    "no-room",         "left without trailer: it would exceed link-mtu") \
    X(received_pkts,      "received",        "came from the backend") \
    X(received_bytes,     "received-bytes",  "their bytes, trailer included") \
    X(rx_trailer_pkts,    "trailers",        "carried a valid trailer, which was stripped") \
    X(rx_rejected_pkts,   "rejected",        "ended like a trailer but were not valid; left as they were") \
    X(missed_pkts,        "missed",          "came after their deadline") \
    X(skewed_pkts,        "skewed",          "sent later than received, beyond max-skew-us: check the clocks")

/* Frames that were thrown away, by reason; same columns. */
#define RT_DROPS(X) \
    X(drop_tx_runt,       "runt",            "shorter than an Ethernet header") \
    X(drop_tx_oversize,   "oversize",        "longer than link-mtu allows") \
    X(drop_tx_late,       "late",            "deadline passed and late=drop") \
    X(drop_tx_queue_full, "queue-full",      "queue full, and this NIC model cannot wait") \
    X(drop_tx_link_down,  "link-down",       "the backend's link is down or the backend is gone") \
    X(drop_tx_backend,    "backend-error",   "the backend refused the frame") \
    X(drop_rx_oversize,   "rx-oversize",     "came longer than this NIC model can receive")

typedef struct RtCounters {
#define RT_COUNTER_FIELD(field, name, text) uint64_t field;
    RT_COUNTERS(RT_COUNTER_FIELD)
    RT_DROPS(RT_COUNTER_FIELD)
#undef RT_COUNTER_FIELD
} RtCounters;

typedef struct RtEndpointConfig {
    /* Contract.  deadline 0: best effort; period 0: nothing declared. */
    uint64_t deadline_ns;
    uint64_t period_ns;
    uint32_t max_frame_bytes;   /* as the guest sends it: with L2 header,
                                 * without FCS, padding and trailer */
    uint32_t link_mtu;          /* L3 bytes, trailer included */
    bool drop_late;             /* late=drop */

    /* What only an rtvnic does. */
    bool rtvnic;
    bool trailer;               /* write it; it is always stripped */
    int8_t dscp;                /* 0..63 or RT_DSCP_KEEP */
    int8_t pcp;                 /* 0..7 or RT_PCP_KEEP; only frames with a tag */
    uint32_t source_id;
    uint64_t max_skew_ns;
} RtEndpointConfig;

typedef struct RtEndpoint {
    RtEndpointConfig cfg;
    EdfBand band;
    EdfContract contract;       /* valid if band is EDF_BAND_ADMITTED */
    EdfPolicer policer;
    uint32_t sequence;          /* next one to write */

    RtCounters n;
    RtHist queueing;            /* accept to depart, of sent frames */
    RtHist transit;             /* T_r - T_s, of frames with a valid trailer */
} RtEndpoint;

/* What travels beside a frame in the queue. */
typedef struct RtTx {
    uint32_t frame_bytes;       /* now in the buffer: marked, padded, no trailer */
    uint32_t leave_bytes;       /* what leaves: with the trailer, if any */
    uint32_t wire_bytes;        /* what that occupies on the link */
    EdfBand band;
    EdfTurn turn;               /* what the queue orders by */
    uint64_t arrival_ns;        /* taken from the guest */
    uint64_t due_ns;            /* arrival + D; UINT64_MAX: best effort */
    uint64_t depart_ns;         /* set by rt_tx_depart() */
    bool has_trailer;
    RtTrailer trailer;          /* only if has_trailer */
} RtTx;

/* -- Life ------------------------------------------------------------------ */

/*
 * Zeroes counters, takes over @cfg, which the caller has checked, and derives
 * band and contract: a deadline with a period is EDF_BAND_ADMITTED, with none
 * EDF_BAND_DEADLINE, no deadline EDF_BAND_BEST_EFFORT.
 */
void rt_endpoint_init(RtEndpoint *e, const RtEndpointConfig *cfg);

/*
 * Longest frame this endpoint may send, on the link: declared, if it has a
 * contract (max_frame_bytes, padded, with trailer), else link_mtu's.
 */
uint32_t rt_endpoint_max_wire_bytes(const RtEndpoint *e);

/*
 * Another deadline from now on; frames that wait keep theirs.  The caller has
 * checked it, and admission if there is a contract.
 */
void rt_endpoint_set_deadline(RtEndpoint *e, uint64_t deadline_ns);

/* Zeroes counters and histograms. */
void rt_endpoint_reset_stats(RtEndpoint *e);

/* What a frame of @leave_bytes occupies on the link. */
uint32_t rt_tx_wire_bytes(uint32_t leave_bytes);

/* Source id of an interface by default: the last four bytes of its MAC. */
uint32_t rt_source_id_from_mac(const uint8_t mac[6]);

/* -- Out ------------------------------------------------------------------- */

/*
 * @frame: @len bytes from the guest, with RT_TX_TAILROOM_BYTES free behind.
 * Marks and pads it in place and fills @tx.  A guest's own padding behind IP
 * is cut off first where a trailer is added, so that padding_bytes is ours.
 * False: dropped and counted (runt, oversize).
 */
bool rt_tx_accept(RtEndpoint *e, uint8_t *frame, size_t len,
                  uint64_t now_ns, uint64_t now_tai_ns, RtTx *tx);

/*
 * The frame may leave now: decide whether it is late and append the trailer.
 * @frame then holds tx->leave_bytes.  May be called again for a frame that came
 * back.  False: late=drop and it is late; counted, the caller frees it.
 */
bool rt_tx_depart(RtEndpoint *e, uint8_t *frame, RtTx *tx, uint64_t now_ns,
                  bool clock_synchronised);

/* The backend has taken it. */
void rt_tx_sent(RtEndpoint *e, const RtTx *tx);

/* -- In -------------------------------------------------------------------- */

typedef struct RtMiss {
    uint64_t exceeded_ns;       /* T_r - T_s - T_d */
    uint16_t l2_bytes;          /* where its IP header is */
    uint8_t wire_dscp;          /* it came with; the guest gets its own back */
    RtTrailer trailer;
} RtMiss;

/*
 * @frame: @len bytes from the backend.  Counts it; strips a valid trailer and
 * its padding and gives the guest back the DSCP it had sent (not ECN).
 * Returns the length to deliver.  *@missed says whether @miss was filled.
 */
size_t rt_rx(RtEndpoint *e, uint8_t *frame, size_t len, uint64_t now_tai_ns,
             bool *missed, RtMiss *miss);

/*
 * The same where the trailer did not travel behind the frame but beside it, as
 * @t, within one process: nothing is stripped but padding, and @transit_ns was
 * measured by one clock.
 */
size_t rt_rx_beside(RtEndpoint *e, uint8_t *frame, size_t len,
                    const RtTrailer *t, uint64_t transit_ns, bool *missed,
                    RtMiss *miss);

#endif
