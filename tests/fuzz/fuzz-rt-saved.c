/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile records of a migration: rt_tx_load(), and the way of what it takes.
 *
 * A record that is taken leaves within the buffer that a port gives it
 * (RT_TX_TAILROOM_BYTES behind the frame) and within link-mtu, its trailer
 * is valid, and saved again it is what it was.
 *
 * Threads: none.
 */
#include "frame-oracle.h"
#include "fuzz-input.h"

#include "rtnet/rt-saved.h"

enum {
    NOT_RTVNIC = 1,
    DROP_LATE = 2,
    HAS_TRAILER = 4,
    FIT = 8,            /* make padding_bytes right */
};

/* Far enough from both ends that no time has to be bent. */
#define MIDDLE_NS (UINT64_C(1) << 62)

static RtSavedTx take_record(FuzzInput *in, unsigned flags)
{
    RtSavedTx saved = { .has_trailer = flags & HAS_TRAILER };
    RtTrailer *t = &saved.trailer;

    saved.waited_ns = fuzz_take(in, 8);
    saved.due_in_ns = fuzz_take(in, 8);
    saved.order_in_ns = fuzz_take(in, 8);
    saved.eligible_in_ns = fuzz_take(in, 8);
    t->sent_tai_ns = fuzz_take(in, 8);
    t->deadline_ns = fuzz_take(in, 4);
    t->sequence = fuzz_take(in, 4);
    t->source_id = fuzz_take(in, 4);
    t->padding_bytes = fuzz_take(in, 2);
    t->flags = fuzz_take(in, 1);
    t->guest_dscp = fuzz_take(in, 1);
    return saved;
}

/* What was loaded at MIDDLE_NS is the same when it is saved then. */
static void check_saved_again(const RtSavedTx *saved, const RtTx *tx)
{
    RtSavedTx again;

    rt_tx_save(&again, tx, MIDDLE_NS);
    assert(again.frame_bytes == saved->frame_bytes);
    assert(again.has_trailer == saved->has_trailer);
    if (saved->waited_ns <= MIDDLE_NS) {
        assert(again.waited_ns == saved->waited_ns);
    }
    if (saved->due_in_ns > -(int64_t)MIDDLE_NS &&
        saved->due_in_ns < (int64_t)MIDDLE_NS) {
        assert(again.due_in_ns == saved->due_in_ns);
    }
    if (saved->order_in_ns > -(int64_t)MIDDLE_NS &&
        saved->order_in_ns < (int64_t)MIDDLE_NS) {
        assert(again.order_in_ns == saved->order_in_ns);
    }
    assert((again.due_in_ns == INT64_MAX) == (saved->due_in_ns == INT64_MAX));
    if (saved->has_trailer) {
        assert(again.trailer.sequence == saved->trailer.sequence);
        assert(again.trailer.sent_tai_ns == saved->trailer.sent_tai_ns);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    unsigned flags = fuzz_take(&in, 1);
    uint64_t now_ns = fuzz_take(&in, 8);
    RtEndpointConfig cfg = {
        .rtvnic = !(flags & NOT_RTVNIC),
        .trailer = true,
        .drop_late = flags & DROP_LATE,
        .deadline_ns = 1000000,
        .link_mtu = RT_LINK_MTU_MIN + fuzz_take(&in, 2) %
                    (RT_LINK_MTU_MAX - RT_LINK_MTU_MIN + 1),
        .dscp = RT_DSCP_KEEP,
        .pcp = RT_PCP_KEEP,
    };
    RtSavedTx saved = take_record(&in, flags);
    size_t len, ip_end;
    RtEndpoint e;
    uint8_t *frame;
    RtTx tx;

    frame = fuzz_take_frame(&in, RT_TX_TAILROOM_BYTES, &len);
    saved.frame_bytes = len;
    ip_end = oracle_ip_end(frame, len);
    if (flags & FIT && ip_end) {
        saved.trailer.padding_bytes = len - ip_end;
    }
    rt_endpoint_init(&e, &cfg);
    rt_policer_load(&e, saved.waited_ns, now_ns);

    if (!rt_tx_load(&tx, &saved, frame, &e, MIDDLE_NS)) {
        check_saved_again(&saved, &tx);
    }
    if (!rt_tx_load(&tx, &saved, frame, &e, now_ns)) {
        assert(tx.arrival_ns <= now_ns);
        assert(tx.leave_bytes <= len + RT_TX_TAILROOM_BYTES);
        assert(tx.leave_bytes <= oracle_l3_offset(frame, len) + cfg.link_mtu);
        if (rt_tx_depart(&e, frame, &tx, now_ns, flags & 16)) {
            rt_tx_sent(&e, &tx);
            assert(e.n.sent_bytes == tx.leave_bytes);
            assert(!tx.has_trailer ||
                   oracle_trailer_is_valid(frame, tx.leave_bytes));
        } else {
            assert(cfg.drop_late && now_ns > tx.due_ns);
        }
    }
    free(frame);
    return 0;
}
