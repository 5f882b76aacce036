/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ethernet frames for tests.
 *
 * Threads: single.
 */
#include <glib.h>

#include "frame-maker.h"

static void put16(uint8_t *p, unsigned value)
{
    p[0] = value >> 8;
    p[1] = value;
}

void frame_random_fill(uint8_t *p, size_t len)
{
    while (len--) {
        *p++ = g_test_rand_int();
    }
}

size_t frame_l2_bytes(const FrameSpec *s)
{
    return 14 + 4 * s->vlan_tags;
}

size_t frame_least_bytes(const FrameSpec *s)
{
    return frame_l2_bytes(s) +
           (s->ip_version == 4 ? 20 : s->ip_version == 6 ? 40 : 0);
}

uint16_t frame_ipv4_checksum(const uint8_t *ip)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < (ip[0] & 0xfu) * 4; i += 2) {
        if (i != 10) {
            sum += ip[i] << 8 | ip[i + 1];
        }
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum;
}

void frame_make(const FrameSpec *s, uint8_t *frame)
{
    size_t l2 = frame_l2_bytes(s);
    uint8_t *ip = frame + l2, traffic_class = s->dscp << 2 | s->ecn;
    size_t l3 = s->bytes - l2 - s->l2_padding;

    g_assert_cmpuint(s->bytes, >=, frame_least_bytes(s) + s->l2_padding);
    frame_random_fill(frame, s->bytes);
    for (unsigned i = 0; i < s->vlan_tags; i++) {
        put16(frame + 12 + 4 * i, s->vlan_tags == 2 && i == 0 ? 0x88a8
                                                              : 0x8100);
        frame[14 + 4 * i] = s->pcp << 5 | (frame[14 + 4 * i] & 0x1f);
    }
    switch (s->ip_version) {
    case 4:
        put16(ip - 2, 0x0800);
        /* With options, now and then. */
        ip[0] = 0x45;
        if (l3 >= 28 && ip[4] % 4 == 0) {
            ip[0] = 0x47;
        }
        ip[1] = traffic_class;
        put16(ip + 2, l3);
        put16(ip + 10, frame_ipv4_checksum(ip));
        break;
    case 6:
        put16(ip - 2, 0x86dd);
        ip[0] = 0x60 | traffic_class >> 4;
        ip[1] = (traffic_class & 0xf) << 4 | (ip[1] & 0xf);
        put16(ip + 4, l3 - 40);
        ip[6] = 17;
        break;
    default:
        put16(ip - 2, 0x0806);
    }
    if (s->l2_padding) {
        for (size_t i = s->bytes - s->l2_padding; i < s->bytes; i++) {
            frame[i] = 0;
        }
    }
}

void frame_random_spec(FrameSpec *s, size_t bytes)
{
    do {
        *s = (FrameSpec) {
            .ip_version = g_test_rand_int_range(0, 8) ?
                          4 + 2 * g_test_rand_int_range(0, 2) : 0,
            .vlan_tags = g_test_rand_int_range(0, 3),
            .dscp = g_test_rand_int_range(0, 64),
            .ecn = g_test_rand_int_range(0, 4),
            .pcp = g_test_rand_int_range(0, 8),
            .bytes = bytes,
        };
        if (bytes < frame_least_bytes(s)) {
            s->ip_version = 0;
        }
    } while (bytes < frame_least_bytes(s));
}
