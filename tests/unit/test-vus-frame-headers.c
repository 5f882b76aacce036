/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where headers lie, in whole frames and in frames that end too early.
 *
 * Threads: single.
 */
#include "frame-headers.h"
#include "frame-maker.h"
#include "offload-bed.h"

#define ROUNDS 3000

static uint8_t bytes_in[BED_MAX_BYTES];

/* The head ends at @head_bytes. */
static bool find(const Sent *sent, unsigned head_bytes, FrameHeaders *h)
{
    Frame f = sent->f;

    f.bytes = f.head_bytes = head_bytes;
    memset(f.head + head_bytes, 0xff, sizeof(f.head) - head_bytes);
    return frame_find_headers(&f, h);
}

static void test_ip(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct virtio_net_hdr vnet;
        g_autoptr(Sent) sent = NULL;
        FrameHeaders h;
        OffloadSpec s;

        offload_random_spec(&s);
        sent = sent_new(bytes_in, offload_make(&s, bytes_in, &vnet), &vnet);
        for (unsigned end = FRAME_MIN_BYTES; end <= sent->f.head_bytes; end++) {
            g_assert_cmpint(find(sent, end, &h), ==,
                            end >= offload_spec_l4(&s));
        }
        g_assert_cmpuint(h.tags, ==, s.vlan_tags);
        g_assert_cmphex(h.type, ==, s.ip_version == 4 ? 0x0800 : 0x86dd);
        g_assert_cmpuint(h.l3, ==, offload_spec_l3(&s));
        g_assert_cmpuint(h.ip_version, ==, s.ip_version);
        g_assert_cmpuint(h.l4, ==, offload_spec_l4(&s));
        g_assert_cmpuint(h.protocol, ==, s.protocol);
        g_assert_false(h.fragment);
    }
}

/* IPv4: each bit but "don't fragment" and the reserved one. */
static void test_fragment_ipv4(void)
{
    OffloadSpec s = {
        .ip_version = 4, .protocol = BED_UDP, .payload_bytes = 100,
    };
    struct virtio_net_hdr vnet;
    g_autoptr(Sent) sent = sent_new(bytes_in,
                                    offload_make(&s, bytes_in, &vnet), &vnet);

    for (unsigned bit = 0; bit < 16; bit++) {
        FrameHeaders h;

        put_be16(sent->f.head + offload_spec_l3(&s) + 6, 1 << bit);
        g_assert_true(frame_find_headers(&sent->f, &h));
        g_assert_cmpint(h.fragment, ==, bit <= 13);
    }
}

/* IPv6: whatever follows the fragment header. */
static void test_fragment_ipv6(void)
{
    OffloadSpec s = {
        .ip_version = 6, .protocol = BED_UDP, .extensions = 2,
        .payload_bytes = 100,
    };
    unsigned l4 = offload_spec_l4(&s);
    struct virtio_net_hdr vnet;
    g_autoptr(Sent) sent = NULL;
    FrameHeaders h;

    offload_make(&s, bytes_in, &vnet);
    bytes_in[l4 - 8] = 44;
    sent = sent_new(bytes_in, l4 + 100, &vnet);
    for (unsigned end = l4; end < l4 + 20; end++) {
        g_assert_cmpint(find(sent, end, &h), ==, end >= l4 + 8);
    }
    g_assert_true(h.fragment);
    g_assert_cmpuint(h.protocol, ==, 44);
    g_assert_cmpuint(h.l4, ==, l4);
}

/* Extension headers to the end of the head and beyond. */
static void test_endless(void)
{
    Frame f = { .bytes = 1000, .head_bytes = FRAME_HEAD_BYTES };
    FrameHeaders h;

    put_be16(f.head + 12, 0x86dd);
    f.head[14] = 0x60;
    for (unsigned at = 54; at + 8 <= FRAME_HEAD_BYTES; at += 8) {
        g_assert_false(frame_find_headers(&f, &h));
        f.head[at] = BED_UDP;
        g_assert_true(frame_find_headers(&f, &h));
        g_assert_cmpuint(h.l4, ==, at + 8);
        f.head[at] = 0;
    }
}

static void test_other(void)
{
    static const struct virtio_net_hdr vnet;
    g_autoptr(Sent) sent = NULL;
    FrameHeaders h;

    frame_random_fill(bytes_in, 60);
    put_be16(bytes_in + 12, 0x0806);
    sent = sent_new(bytes_in, 60, &vnet);
    g_assert_true(frame_find_headers(&sent->f, &h));
    g_assert_cmphex(h.type, ==, 0x0806);
    g_assert_cmpuint(h.l3, ==, 14);
    g_assert_cmpuint(h.l4, ==, 14);
    g_assert_cmpuint(h.ip_version, ==, 0);
    g_assert_cmpuint(h.protocol, ==, 0);
    g_assert_cmpuint(h.tags, ==, 0);
}

/* Three are walked, as one may be the switch's. */
static void test_tags(void)
{
    Frame f = { .bytes = 60, .head_bytes = 60 };
    FrameHeaders h;

    for (unsigned tags = 0; tags <= 4; tags++) {
        memset(f.head, 0, sizeof(f.head));
        for (unsigned i = 0; i < tags; i++) {
            put_be16(f.head + 12 + 4 * i, i % 2 ? 0x8100 : 0x88a8);
        }
        g_assert_cmpint(frame_find_headers(&f, &h), ==, tags <= 3);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-frame-headers/ip", test_ip);
    g_test_add_func("/vus-frame-headers/fragment/ipv4", test_fragment_ipv4);
    g_test_add_func("/vus-frame-headers/fragment/ipv6", test_fragment_ipv6);
    g_test_add_func("/vus-frame-headers/endless", test_endless);
    g_test_add_func("/vus-frame-headers/other", test_other);
    g_test_add_func("/vus-frame-headers/tags", test_tags);
    return g_test_run();
}
