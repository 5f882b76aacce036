/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trailer codec, and which frames are believed to end with one.
 *
 * Threads: single.
 */
#include <glib.h>
#include <string.h>

#include "frame-maker.h"
#include "rtnet/rt-trailer.h"

/* Written by hand from the table in docs/specs/rt-trailer.rst. */
static const RtTrailer sample = {
    .sent_tai_ns = 0x17a1b2c3d4e5f607,
    .deadline_ns = 500000,
    .sequence = 0x01020304,
    .source_id = 0xa0b0c0d0,
    .padding_bytes = 18,
    .flags = RT_TRAILER_F_CLOCK_SYNC | RT_TRAILER_F_LATE,
    .guest_dscp = 46,
};

static const uint8_t sample_bytes[RT_TRAILER_BYTES] = {
    0x17, 0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6, 0x07,     /* T_s */
    0x00, 0x07, 0xa1, 0x20,                             /* T_d */
    0x01, 0x02, 0x03, 0x04,                             /* sequence */
    0xa0, 0xb0, 0xc0, 0xd0,                             /* source */
    0x00, 0x12,                                         /* padding */
    0x19,                                               /* version, flags */
    0x2e,                                               /* DSCP */
    0x25, 0x2c, 0xa4, 0x43,                            /* CRC-32C */
    'R', 'T', 'v', '1',
};

static uint64_t random64(void)
{
    return (uint64_t)(uint32_t)g_test_rand_int() << 32 |
           (uint32_t)g_test_rand_int();
}

static RtTrailer random_trailer(void)
{
    return (RtTrailer) {
        .sent_tai_ns = random64(),
        .deadline_ns = random64(),
        .sequence = random64(),
        .source_id = random64(),
        .padding_bytes = random64(),
        .flags = random64() & 0xf,
        .guest_dscp = random64() & 0x3f,
    };
}

static void assert_same(const RtTrailer *a, const RtTrailer *b)
{
    g_assert_cmpuint(a->sent_tai_ns, ==, b->sent_tai_ns);
    g_assert_cmpuint(a->deadline_ns, ==, b->deadline_ns);
    g_assert_cmpuint(a->sequence, ==, b->sequence);
    g_assert_cmphex(a->source_id, ==, b->source_id);
    g_assert_cmpuint(a->padding_bytes, ==, b->padding_bytes);
    g_assert_cmphex(a->flags, ==, b->flags);
    g_assert_cmpuint(a->guest_dscp, ==, b->guest_dscp);
}

/* -- CRC ------------------------------------------------------------------- */

static uint32_t crc32c_bit_by_bit(const uint8_t *p, size_t len)
{
    uint32_t crc = 0xffffffff;

    while (len--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        }
    }
    return ~crc;
}

static void test_crc(void)
{
    uint8_t p[64] = { 0 };

    /* RFC 3720, B.4 */
    g_assert_cmphex(rt_crc32c(p, 32), ==, 0x8a9136aa);
    memset(p, 0xff, 32);
    g_assert_cmphex(rt_crc32c(p, 32), ==, 0x62a8ab43);
    g_assert_cmphex(rt_crc32c((const uint8_t *)"123456789", 9), ==, 0xe3069283);
    for (unsigned k = 0; k < 10000; k++) {
        size_t len = g_test_rand_int_range(0, sizeof(p) + 1);

        frame_random_fill(p, len);
        g_assert_cmphex(rt_crc32c(p, len), ==, crc32c_bit_by_bit(p, len));
    }
}

/* The processor's instruction, where it is used, and the table agree. */
static void test_crc_24(void)
{
    uint8_t p[24 + 7] = { 0 };

    g_assert_cmphex(rt_crc32c_24(p), ==, crc32c_bit_by_bit(p, 24));
    g_assert_cmphex(rt_crc32c_24(sample_bytes), ==, 0x252ca443);
    for (unsigned k = 0; k < 10000; k++) {
        unsigned at = k % 8;                    /* aligned or not */

        frame_random_fill(p, sizeof(p));
        g_assert_cmphex(rt_crc32c_24(p + at), ==, rt_crc32c(p + at, 24));
    }
}

/* -- Codec ----------------------------------------------------------------- */

static void test_sample(void)
{
    uint8_t out[RT_TRAILER_BYTES];
    RtTrailer t;

    rt_trailer_encode(&sample, out);
    g_assert_cmpmem(out, sizeof(out), sample_bytes, sizeof(sample_bytes));
    g_assert_true(rt_trailer_decode(&t, sample_bytes));
    assert_same(&t, &sample);
}

static void test_round_trip(void)
{
    for (unsigned k = 0; k < 50000; k++) {
        RtTrailer in = random_trailer(), out = { 0 };
        uint8_t bytes[RT_TRAILER_BYTES];

        rt_trailer_encode(&in, bytes);
        g_assert_true(rt_trailer_decode(&out, bytes));
        assert_same(&in, &out);
    }
}

/* Nothing of a caller's spills over into the fields beside it. */
static void test_out_of_range(void)
{
    RtTrailer in = sample, out = { 0 };
    uint8_t bytes[RT_TRAILER_BYTES];

    in.flags = 0xff;
    in.guest_dscp = 0xff;
    rt_trailer_encode(&in, bytes);
    g_assert_true(rt_trailer_decode(&out, bytes));
    g_assert_cmphex(out.flags, ==, 0x0f);
    g_assert_cmpuint(out.guest_dscp, ==, 63);
}

static void test_bit_errors(void)
{
    unsigned rounds = g_test_slow() ? 100000 : 3000;

    for (unsigned k = 0; k < rounds; k++) {
        RtTrailer in = random_trailer(), out = { 0 };
        uint8_t bytes[RT_TRAILER_BYTES];

        rt_trailer_encode(&in, bytes);
        for (unsigned bit = 0; bit < 8 * RT_TRAILER_BYTES; bit++) {
            bytes[bit / 8] ^= 1 << bit % 8;
            g_assert_false(rt_trailer_decode(&out, bytes));
            bytes[bit / 8] ^= 1 << bit % 8;
        }
        g_assert_true(rt_trailer_decode(&out, bytes));
    }
}

/* Right in all but the version: the CRC is over it. */
static void test_other_version(void)
{
    for (unsigned version = 0; version < 16; version++) {
        uint8_t bytes[RT_TRAILER_BYTES];
        uint32_t crc;
        RtTrailer t;

        memcpy(bytes, sample_bytes, sizeof(bytes));
        bytes[22] = version << 4 | 0x9;
        crc = GUINT32_TO_BE(rt_crc32c(bytes, 24));
        memcpy(bytes + 24, &crc, 4);
        g_assert_cmpint(rt_trailer_decode(&t, bytes), ==, version == 1);
    }
}

static void test_random_bytes(void)
{
    for (unsigned k = 0; k < 200000; k++) {
        uint8_t bytes[RT_TRAILER_BYTES];
        RtTrailer t;

        frame_random_fill(bytes, sizeof(bytes));
        if (k % 2) {
            memcpy(bytes + 28, "RTv1", 4);
            bytes[22] = 0x10 | (bytes[22] & 0xf);
            bytes[27] = ~rt_crc32c(bytes, 24) & 0xff;
        }
        g_assert_false(rt_trailer_decode(&t, bytes));
    }
}

/* -- In a frame ------------------------------------------------------------ */

typedef struct Carrier {
    uint8_t *frame;             /* exactly @len bytes */
    size_t len;
    RtTrailer trailer;
} Carrier;

/* @padding: bytes added; @claimed: what the trailer says. */
static Carrier carrier_new(FrameSpec *s, unsigned padding, unsigned claimed)
{
    Carrier c = { .len = s->bytes + padding + RT_TRAILER_BYTES,
                  .trailer = random_trailer() };

    c.frame = g_malloc0(c.len);
    c.trailer.padding_bytes = claimed;
    frame_make(s, c.frame);
    rt_trailer_encode(&c.trailer, c.frame + c.len - RT_TRAILER_BYTES);
    return c;
}

static RtTrailerFound find(const uint8_t *frame, size_t len, RtTrailer *t)
{
    uint8_t *cut = g_memdup2(frame, len);
    RtTrailerFound found = RT_TRAILER_NONE;
    RtFrame f;

    if (rt_frame_parse(&f, cut, len)) {
        found = rt_trailer_find(t, &f, cut, len);
    }
    g_free(cut);
    return found;
}

static FrameSpec random_ip(void)
{
    FrameSpec s;

    do {
        frame_random_spec(&s, g_test_rand_int_range(63, 1515));
    } while (s.ip_version == 0);
    return s;
}

static void test_found(void)
{
    for (unsigned k = 0; k < 5000; k++) {
        FrameSpec s = random_ip();
        unsigned padding = g_test_rand_int_range(0, 50);
        Carrier c = carrier_new(&s, padding, padding);
        RtTrailer t;

        g_assert_cmpint(find(c.frame, c.len, &t), ==, RT_TRAILER_VALID);
        assert_same(&t, &c.trailer);
        g_free(c.frame);
    }
}

static void test_lengths_disagree(void)
{
    for (unsigned k = 0; k < 5000; k++) {
        FrameSpec s = random_ip();
        unsigned padding = g_test_rand_int_range(0, 50);
        unsigned claimed = g_test_rand_int_range(0, k % 3 ? 65536 : 60);
        RtTrailerFound expected;
        Carrier c;
        RtTrailer t;

        s.l2_padding = k % 2;
        c = carrier_new(&s, padding, claimed);
        expected = claimed == padding + s.l2_padding ? RT_TRAILER_VALID
                                                     : RT_TRAILER_REJECTED;
        g_assert_cmpint(find(c.frame, c.len, &t), ==, expected);
        g_free(c.frame);
    }
}

static void test_truncated(void)
{
    FrameSpec s = { .ip_version = 4, .bytes = 100 };
    Carrier c = carrier_new(&s, 0, 0);
    RtTrailer t;

    for (size_t len = 0; len < c.len; len++) {
        g_assert_cmpint(find(c.frame, len, &t), ==, RT_TRAILER_NONE);
        /* Cut in front: the end is a trailer still, the frame is another. */
        g_assert_cmpint(find(c.frame + c.len - len, len, &t), !=,
                        RT_TRAILER_VALID);
    }
    g_free(c.frame);
}

/* A valid trailer within what IP says is its own: somebody's payload. */
static void test_payload(void)
{
    for (unsigned k = 0; k < 5000; k++) {
        FrameSpec s = random_ip();
        uint8_t *frame = g_malloc(s.bytes);
        RtTrailer in = random_trailer(), t;

        if (s.bytes < frame_least_bytes(&s) + RT_TRAILER_BYTES) {
            s.bytes += RT_TRAILER_BYTES;
            frame = g_realloc(frame, s.bytes);
        }
        if (k % 2) {
            in.padding_bytes = 0;
        }
        frame_make(&s, frame);
        rt_trailer_encode(&in, frame + s.bytes - RT_TRAILER_BYTES);
        g_assert_cmpint(find(frame, s.bytes, &t), ==, RT_TRAILER_REJECTED);
        g_free(frame);
    }
}

static void test_not_ip(void)
{
    FrameSpec s = { .bytes = 60 };
    Carrier c = carrier_new(&s, 0, 0);
    RtTrailer t;

    g_assert_cmpint(find(c.frame, c.len, &t), ==, RT_TRAILER_REJECTED);
    g_assert_cmpint(find(c.frame, c.len - 32, &t), ==, RT_TRAILER_NONE);
    g_free(c.frame);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rt-trailer/crc", test_crc);
    g_test_add_func("/rt-trailer/crc-24", test_crc_24);
    g_test_add_func("/rt-trailer/sample", test_sample);
    g_test_add_func("/rt-trailer/round-trip", test_round_trip);
    g_test_add_func("/rt-trailer/out-of-range", test_out_of_range);
    g_test_add_func("/rt-trailer/bit-errors", test_bit_errors);
    g_test_add_func("/rt-trailer/other-version", test_other_version);
    g_test_add_func("/rt-trailer/random-bytes", test_random_bytes);
    g_test_add_func("/rt-trailer/found", test_found);
    g_test_add_func("/rt-trailer/lengths-disagree", test_lengths_disagree);
    g_test_add_func("/rt-trailer/truncated", test_truncated);
    g_test_add_func("/rt-trailer/payload", test_payload);
    g_test_add_func("/rt-trailer/not-ip", test_not_ip);
    return g_test_run();
}
