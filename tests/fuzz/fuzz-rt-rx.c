/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile frames from the wire: rt_rx().
 *
 * Whatever comes, the guest gets a prefix of it, changed in its DSCP and IPv4
 * checksum at most; it is shorter only if the specification calls the trailer
 * valid, and then ends where IP ends.  Each frame is counted once.
 *
 * Threads: none.
 */
#include "frame-oracle.h"
#include "fuzz-input.h"

#include "rtnet/rt-endpoint.h"

enum {
    SEAL = 1,           /* make version, CRC and magic right */
    FIT = 2,            /* make the padding field right, too */
    NOT_RTVNIC = 4,
};

static void seal(uint8_t *frame, size_t len, unsigned how)
{
    size_t ip_end = oracle_ip_end(frame, len);

    if (len < RT_TRAILER_BYTES) {
        return;
    }
    if (how & FIT && ip_end && ip_end + RT_TRAILER_BYTES <= len) {
        size_t padding = len - RT_TRAILER_BYTES - ip_end;

        frame[len - 12] = padding >> 8;
        frame[len - 11] = padding;
    }
    oracle_seal(frame, len);
}

/* @now is @before, but for what rt_rx() may change in the first @len bytes. */
static void check_bytes(const uint8_t *before, const uint8_t *now, size_t len,
                        uint8_t dscp)
{
    size_t l3 = oracle_l3_offset(before, len);
    uint8_t *expected = malloc(len);

    assert(expected);
    memcpy(expected, before, len);
    if (expected[l3] >> 4 == 4) {
        expected[l3 + 1] = dscp << 2 | (expected[l3 + 1] & 3);
        if (expected[l3 + 1] != before[l3 + 1]) {
            uint32_t sum = 0;
            size_t i;

            /* Both headers sum up to the same: wrong stays wrong. */
            for (i = l3; i < l3 + 20; i += 2) {
                sum += before[i] << 8 | before[i + 1];
                sum += 0xffff - (now[i] << 8 | now[i + 1]);
            }
            assert(sum % 0xffff == 0);
            memcpy(expected + l3 + 10, now + l3 + 10, 2);
        }
    } else {
        expected[l3] = (expected[l3] & 0xf0) | dscp >> 2;
        expected[l3 + 1] = (expected[l3 + 1] & 0x3f) | (dscp & 3) << 6;
    }
    assert(!memcmp(expected, now, len));
    free(expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    unsigned how = fuzz_take(&in, 1);
    RtEndpointConfig cfg = {
        .rtvnic = !(how & NOT_RTVNIC),
        .trailer = true,
        .link_mtu = RT_LINK_MTU_DEFAULT,
        .dscp = RT_DSCP_KEEP,
        .pcp = RT_PCP_KEEP,
        .max_skew_ns = fuzz_take(&in, 4),
    };
    uint64_t now_tai_ns = fuzz_take(&in, 8), exceeded_ns;
    RtEndpoint e;
    RtTrailer t;
    RtMiss miss;
    bool missed, valid;
    size_t len, out_len;
    uint8_t *frame, *before;

    frame = fuzz_take_frame(&in, 0, &len);
    if (how & SEAL) {
        seal(frame, len, how);
    }
    before = malloc(len);
    assert(before || !len);
    if (len) {
        memcpy(before, frame, len);
    }

    rt_endpoint_init(&e, &cfg);
    valid = cfg.rtvnic && oracle_trailer_is_valid(before, len);
    out_len = rt_rx(&e, frame, len, now_tai_ns, &missed, &miss);

    assert(e.n.received_pkts == 1 && e.n.received_bytes == len);
    assert(e.n.rx_trailer_pkts == valid);
    assert(e.n.missed_pkts == missed);
    assert(missed + e.n.skewed_pkts <= valid);
    if (valid) {
        const uint8_t *tail = before + len - RT_TRAILER_BYTES;

        assert(rt_trailer_decode(&t, tail));
        assert(out_len == oracle_ip_end(before, len));
        check_bytes(before, frame, out_len, tail[23] & 0x3f);
        exceeded_ns = now_tai_ns > t.sent_tai_ns ?
                      now_tai_ns - t.sent_tai_ns : 0;
        exceeded_ns = exceeded_ns > t.deadline_ns ?
                      exceeded_ns - t.deadline_ns : 0;
        assert(missed == (t.deadline_ns && exceeded_ns));
        assert(!missed || miss.exceeded_ns == exceeded_ns);
    } else {
        assert(out_len == len && (!len || !memcmp(before, frame, len)));
        assert(e.n.rx_rejected_pkts ==
               (cfg.rtvnic && oracle_l3_offset(before, len) &&
                oracle_has_magic(before, len)));
    }
    free(before);
    free(frame);
    return 0;
}
