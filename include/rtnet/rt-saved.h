/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame that waits, as it moves to another QEMU.
 *
 * The other side has another monotonic clock, so times are kept as what is
 * left: a deadline 3 ms away is 3 ms away again when the frame is loaded, and
 * the time between the two does not count.  T_s is TAI and stays as it is.
 * The band is not kept: it follows from the options of the port that loads.
 *
 * What is loaded is hostile until rt_tx_load() has taken it.
 *
 * Threads: pure functions and caller-owned state.
 */
#ifndef RTNET_RT_SAVED_H
#define RTNET_RT_SAVED_H

#include "rtnet/rt-endpoint.h"

typedef struct RtSavedTx {
    uint32_t frame_bytes;       /* marked, padded, without trailer */
    uint64_t waited_ns;
    int64_t due_in_ns;          /* < 0: late; INT64_MAX: best effort */
    int64_t order_in_ns;
    int64_t eligible_in_ns;
    bool has_trailer;
    RtTrailer trailer;          /* only if has_trailer */
} RtSavedTx;

void rt_tx_save(RtSavedTx *saved, const RtTx *tx, uint64_t now_ns);

/*
 * @frame: saved->frame_bytes bytes.  Fills @tx as if @e had accepted the frame
 * saved->waited_ns ago.  Returns NULL, or what is wrong with it; @tx is then
 * undefined.  Counts nothing.
 */
const char *rt_tx_load(RtTx *tx, const RtSavedTx *saved, const uint8_t *frame,
                       const RtEndpoint *e, uint64_t now_ns);

/* What is left until @e may release the next frame of its contract. */
uint64_t rt_policer_save(const RtEndpoint *e, uint64_t now_ns);
void rt_policer_load(RtEndpoint *e, uint64_t next_release_in_ns,
                     uint64_t now_ns);

#endif
