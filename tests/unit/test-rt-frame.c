/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading and marking frames; frames that lie about themselves.
 *
 * Every frame stands in a heap buffer of exactly its size, so that a sanitizer
 * sees a read beyond its end.
 *
 * Threads: single.
 */
#include <glib.h>
#include <string.h>

#include "frame-maker.h"
#include "rtnet/rt-frame.h"

static uint8_t *new_frame(const FrameSpec *s)
{
    uint8_t *frame = g_malloc(s->bytes);

    frame_make(s, frame);
    return frame;
}

/* @frame cut to @len, in a buffer of that size. */
static bool parse_cut(RtFrame *f, const uint8_t *frame, size_t len)
{
    uint8_t *cut = g_memdup2(frame, len);
    bool ok = rt_frame_parse(f, cut, len);

    g_free(cut);
    return ok;
}

static void test_parse(void)
{
    for (unsigned k = 0; k < 20000; k++) {
        size_t bytes = g_test_rand_int_range(14, 1515);
        FrameSpec s;
        RtFrame f;
        uint8_t *frame;

        frame_random_spec(&s, bytes);
        s.l2_padding = g_test_rand_int_range(
            0, bytes - frame_least_bytes(&s) + 1);
        frame = new_frame(&s);
        g_assert_true(rt_frame_parse(&f, frame, bytes));
        g_assert_cmpuint(f.l2_bytes, ==, frame_l2_bytes(&s));
        g_assert_cmpuint(f.vlan_tags, ==, s.vlan_tags);
        g_assert_cmpuint(rt_frame_min_bytes(&f), ==, 60 + 4 * s.vlan_tags);
        g_assert_cmpint(f.ip_version, ==, s.ip_version);
        if (s.ip_version) {
            g_assert_cmpuint(f.dscp, ==, s.dscp);
            g_assert_cmpuint(f.l2_bytes + f.l3_bytes, ==,
                             bytes - s.l2_padding);
        }
        g_free(frame);
    }
}

static void test_truncated(void)
{
    for (unsigned k = 0; k < 200; k++) {
        FrameSpec s;
        RtFrame f;
        uint8_t *frame;

        frame_random_spec(&s, 100);
        frame = new_frame(&s);
        for (size_t len = 0; len < s.bytes; len++) {
            g_assert_cmpint(parse_cut(&f, frame, len), ==,
                            len >= frame_l2_bytes(&s));
            g_assert_cmpint(f.ip_version, ==, 0);
        }
        g_free(frame);
    }
}

static void test_random_bytes(void)
{
    for (unsigned k = 0; k < 300000; k++) {
        static const uint8_t types[][2] = {
            { 0x08, 0x00 }, { 0x86, 0xdd }, { 0x81, 0x00 }, { 0x88, 0xa8 },
        };
        size_t len = g_test_rand_int_range(0, 80);
        uint8_t *frame = g_malloc(len);
        RtFrame f;

        frame_random_fill(frame, len);
        for (size_t i = 12; i + 2 < len && i <= 20; i += 4) {
            memcpy(frame + i, types[g_test_rand_int_range(0, 4)], 2);
            frame[i + 2] &= 0x7f;
        }
        if (rt_frame_parse(&f, frame, len)) {
            g_assert_cmpuint(f.l2_bytes + f.l3_bytes, <=, len);
            if (f.ip_version) {
                g_assert_cmpuint(f.l3_bytes, >=, f.ip_version == 4 ? 20 : 40);
                rt_frame_set_dscp(&f, frame, 46);
                g_assert_true(rt_frame_parse(&f, frame, len));
                g_assert_cmpuint(f.dscp, ==, 46);
            }
        }
        g_free(frame);
    }
}

/* One byte makes the header contradict itself or the frame. */
static void check_malformed(int ip_version, size_t offset, uint8_t value)
{
    FrameSpec s = { .ip_version = ip_version, .bytes = 100 };
    uint8_t *frame = new_frame(&s);
    RtFrame f;

    g_assert_true(rt_frame_parse(&f, frame, s.bytes));
    g_assert_cmpint(f.ip_version, ==, ip_version);
    frame[14 + offset] = value;
    g_assert_true(rt_frame_parse(&f, frame, s.bytes));
    g_assert_cmpint(f.ip_version, ==, 0);
    g_free(frame);
}

static void test_malformed(void)
{
    check_malformed(4, 0, 0x65);        /* wrong version */
    check_malformed(4, 0, 0x44);        /* header shorter than 20 */
    check_malformed(4, 3, 19);          /* total shorter than header */
    check_malformed(4, 3, 87);          /* total longer than frame */
    check_malformed(4, 2, 0xff);
    check_malformed(6, 0, 0x45);
    check_malformed(6, 5, 47);          /* payload longer than frame */
    check_malformed(6, 4, 0xff);
}

static void test_jumbogram(void)
{
    FrameSpec s = { .ip_version = 6, .bytes = 54 };
    uint8_t *frame = new_frame(&s);
    RtFrame f;

    frame[14 + 6] = 59;                 /* no next header: just empty */
    g_assert_true(rt_frame_parse(&f, frame, s.bytes));
    g_assert_cmpint(f.ip_version, ==, 6);
    g_assert_cmpuint(f.l3_bytes, ==, 40);
    frame[14 + 6] = 0;                  /* hop-by-hop */
    g_assert_true(rt_frame_parse(&f, frame, s.bytes));
    g_assert_cmpint(f.ip_version, ==, 0);
    g_free(frame);
}

/* A third tag is more than we look behind. */
static void test_three_tags(void)
{
    uint8_t frame[100] = { 0 };
    RtFrame f;

    for (unsigned i = 12; i <= 20; i += 4) {
        frame[i] = 0x81;
    }
    g_assert_true(rt_frame_parse(&f, frame, sizeof(frame)));
    g_assert_cmpuint(f.vlan_tags, ==, 2);
    g_assert_cmpuint(f.l2_bytes, ==, 22);
    g_assert_cmpint(f.ip_version, ==, 0);
}

/* -- Marking --------------------------------------------------------------- */

/* Every rewrite of one DSCP to another, over random headers. */
static void test_dscp(const void *ip_version)
{
    for (unsigned from = 0; from < 64; from++) {
        for (unsigned to = 0; to < 64; to++) {
            FrameSpec s = {
                .ip_version = GPOINTER_TO_INT(ip_version),
                .vlan_tags = g_test_rand_int_range(0, 3),
                .dscp = from, .ecn = g_test_rand_int_range(0, 4),
                .bytes = 70,
            };
            uint8_t *frame = new_frame(&s);
            uint8_t *original = g_memdup2(frame, s.bytes);
            uint8_t *expected = g_memdup2(frame, s.bytes);
            uint8_t *ip = expected + frame_l2_bytes(&s);
            RtFrame f;

            if (s.ip_version == 4) {
                uint16_t sum;

                ip[1] = to << 2 | s.ecn;
                sum = frame_ipv4_checksum(ip);
                ip[10] = sum >> 8;
                ip[11] = sum;
            } else {
                ip[0] = 0x60 | to >> 2;
                ip[1] = (to & 3) << 6 | s.ecn << 4 | (ip[1] & 0xf);
            }
            rt_frame_parse(&f, frame, s.bytes);
            rt_frame_set_dscp(&f, frame, to);
            g_assert_cmpuint(f.dscp, ==, to);
            g_assert_cmpmem(frame, s.bytes, expected, s.bytes);
            rt_frame_set_dscp(&f, frame, from);
            g_assert_cmpmem(frame, s.bytes, original, s.bytes);
            g_free(frame);
            g_free(original);
            g_free(expected);
        }
    }
}

/* A wrong checksum stays wrong, by the same amount. */
static void test_wrong_checksum(void)
{
    for (unsigned k = 0; k < 20000; k++) {
        FrameSpec s = { .ip_version = 4, .bytes = 60,
                        .dscp = g_test_rand_int_range(0, 64) };
        uint8_t *frame = new_frame(&s), *ip = frame + 14;
        uint16_t wrong = g_test_rand_int_range(0, 0xffff);
        unsigned to = g_test_rand_int_range(0, 64);
        RtFrame f;

        if (wrong == frame_ipv4_checksum(ip)) {
            wrong ^= 1;
        }
        ip[10] = wrong >> 8;
        ip[11] = wrong;
        rt_frame_parse(&f, frame, s.bytes);
        rt_frame_set_dscp(&f, frame, to);
        g_assert_cmphex(ip[10] << 8 | ip[11], !=, frame_ipv4_checksum(ip));
        rt_frame_set_dscp(&f, frame, s.dscp);
        g_assert_cmphex(ip[10] << 8 | ip[11], ==, wrong);
        g_free(frame);
    }
}

static void test_pcp(void)
{
    for (unsigned k = 0; k < 2000; k++) {
        FrameSpec s = { .ip_version = 4, .bytes = 60,
                        .vlan_tags = g_test_rand_int_range(1, 3),
                        .pcp = g_test_rand_int_range(0, 8) };
        uint8_t *frame = new_frame(&s);
        uint8_t *expected = g_memdup2(frame, s.bytes);
        unsigned pcp = g_test_rand_int_range(0, 8);
        RtFrame f;

        expected[14] = pcp << 5 | (expected[14] & 0x1f);
        rt_frame_parse(&f, frame, s.bytes);
        rt_frame_set_pcp(&f, frame, pcp);
        g_assert_cmpmem(frame, s.bytes, expected, s.bytes);
        g_free(frame);
        g_free(expected);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rt-frame/parse", test_parse);
    g_test_add_func("/rt-frame/truncated", test_truncated);
    g_test_add_func("/rt-frame/random-bytes", test_random_bytes);
    g_test_add_func("/rt-frame/malformed", test_malformed);
    g_test_add_func("/rt-frame/jumbogram", test_jumbogram);
    g_test_add_func("/rt-frame/three-tags", test_three_tags);
    g_test_add_data_func("/rt-frame/dscp/ipv4", GINT_TO_POINTER(4), test_dscp);
    g_test_add_data_func("/rt-frame/dscp/ipv6", GINT_TO_POINTER(6), test_dscp);
    g_test_add_func("/rt-frame/wrong-checksum", test_wrong_checksum);
    g_test_add_func("/rt-frame/pcp", test_pcp);
    return g_test_run();
}
