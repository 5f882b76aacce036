/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile frames from a guest, out of one endpoint and into another.
 *
 * They stay within the buffer that rt_tx_accept() asks for and within
 * link-mtu.  What has left with a trailer arrives as the guest had sent it,
 * without the guest's own padding; what has none arrives unchanged but for
 * the marks.
 *
 * Threads: none.
 */
#include "frame-oracle.h"
#include "fuzz-input.h"

#include "rtnet/rt-endpoint.h"

static RtEndpointConfig take_config(FuzzInput *in)
{
    unsigned flags = fuzz_take(in, 1);
    RtEndpointConfig cfg = {
        .rtvnic = !(flags & 1),
        .trailer = !(flags & 2),
        .drop_late = flags & 4,
    };

    cfg.deadline_ns = fuzz_take(in, 4);
    cfg.period_ns = flags & 8 ? 1000 + fuzz_take(in, 4) : 0;
    cfg.link_mtu = RT_LINK_MTU_MIN + fuzz_take(in, 2) %
                   (RT_LINK_MTU_MAX - RT_LINK_MTU_MIN + 1);
    cfg.dscp = (int)(fuzz_take(in, 1) % 65) - 1;
    cfg.pcp = (int)(fuzz_take(in, 1) % 9) - 1;
    cfg.source_id = fuzz_take(in, 4);
    if (!cfg.deadline_ns) {
        cfg.period_ns = 0;
        cfg.drop_late = false;
    }
    if (cfg.period_ns) {
        cfg.max_frame_bytes = RT_ETH_HLEN + fuzz_take(in, 2);
    }
    return cfg;
}

/* @sent came from the guest, @got arrived: @len bytes, the same but marks. */
static void check_arrived(const uint8_t *sent, const uint8_t *got, size_t len,
                          bool with_trailer)
{
    size_t l3 = oracle_l3_offset(sent, len), end = oracle_ip_end(sent, len);
    uint8_t *expected = malloc(len);

    assert(expected);
    memcpy(expected, sent, len);
    if (l3 > RT_ETH_HLEN && end) {
        expected[RT_ETH_HLEN] = (expected[RT_ETH_HLEN] & 0x1f) |
                                (got[RT_ETH_HLEN] & 0xe0);
    }
    if (end && sent[l3] >> 4 == 4) {
        if (with_trailer) {
            assert(oracle_same_checksum(sent + l3 + 10, got + l3 + 10));
        } else {
            expected[l3 + 1] = (sent[l3 + 1] & 3) | (got[l3 + 1] & 0xfc);
        }
        memcpy(expected + l3 + 10, got + l3 + 10, 2);
    } else if (end && !with_trailer) {
        expected[l3] = (sent[l3] & 0xf0) | (got[l3] & 0x0f);
        expected[l3 + 1] = (sent[l3 + 1] & 0x3f) | (got[l3 + 1] & 0xc0);
    }
    assert(!memcmp(expected, got, len));
    free(expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    RtEndpointConfig cfg = take_config(&in);
    uint64_t now_ns = fuzz_take(&in, 8), wait_ns = fuzz_take(&in, 4);
    uint64_t now_tai_ns = fuzz_take(&in, 8);
    size_t len, l3, out_len, i;
    RtEndpoint from, to;
    uint8_t *frame, *sent;
    bool taken, missed;
    RtMiss miss;
    RtTx tx;

    frame = fuzz_take_frame(&in, RT_TX_TAILROOM_BYTES, &len);
    sent = malloc(len);
    assert(sent || !len);
    if (len) {
        memcpy(sent, frame, len);
    }
    l3 = oracle_l3_offset(sent, len);

    rt_endpoint_init(&from, &cfg);
    taken = rt_tx_accept(&from, frame, len, now_ns, now_tai_ns, &tx);
    assert(taken == (l3 && len <= l3 + cfg.link_mtu));
    assert(from.n.drop_tx_runt == !l3);
    assert(from.n.drop_tx_oversize == (l3 && !taken));
    if (taken) {
        assert(tx.leave_bytes <= len + RT_TX_TAILROOM_BYTES);
        assert(tx.leave_bytes <= l3 + cfg.link_mtu);
        assert(tx.has_trailer ==
               (tx.leave_bytes == tx.frame_bytes + RT_TRAILER_BYTES));
        assert(!tx.has_trailer || (cfg.rtvnic && cfg.trailer));
    }
    now_ns = now_ns < UINT64_MAX - wait_ns ? now_ns + wait_ns : UINT64_MAX;
    if (taken && rt_tx_depart(&from, frame, &tx, now_ns, wait_ns & 1)) {
        rt_tx_sent(&from, &tx);
        assert(from.n.sent_pkts == 1 && from.n.sent_bytes == tx.leave_bytes);
        assert(from.n.late_pkts == (now_ns > tx.due_ns));

        cfg.rtvnic = true;
        rt_endpoint_init(&to, &cfg);
        out_len = rt_rx(&to, frame, tx.leave_bytes, now_tai_ns + wait_ns,
                        &missed, &miss);
        if (tx.has_trailer) {
            /* Nothing of the guest's or of ours leaks out in the padding. */
            for (i = oracle_ip_end(sent, len); i < tx.frame_bytes; i++) {
                assert(frame[i] == 0);
            }
            assert(to.n.rx_trailer_pkts == 1);
            assert(out_len == oracle_ip_end(sent, len));
            check_arrived(sent, frame, out_len, true);
        } else if (!to.n.rx_trailer_pkts) {
            /* Else the guest had made a trailer of its own. */
            assert(out_len == len);
            check_arrived(sent, frame, len, false);
        }
    } else {
        assert(!taken || (from.n.drop_tx_late == 1 && cfg.drop_late));
        assert(from.n.sent_pkts == 0);
    }
    free(sent);
    free(frame);
    return 0;
}
