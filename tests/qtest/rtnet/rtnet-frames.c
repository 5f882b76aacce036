/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "rtnet-frames.h"

#define MACS_BYTES 12
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define UDP_BYTES 8
#define TAG_BYTES 4
#define ETH_P_VLAN 0x8100

static const uint8_t macs[MACS_BYTES] = {
    0x02, 0x52, 0x54, 0x00, 0x00, 0x01, 0x02, 0x52, 0x54, 0x00, 0x00, 0x02,
};

static size_t l3_offset(const uint8_t *frame)
{
    size_t type = MACS_BYTES;

    while (lduw_be_p(frame + type) == ETH_P_VLAN) {
        type += TAG_BYTES;
    }
    return type + 2;
}

static bool is_ipv6(const uint8_t *frame)
{
    return frame[l3_offset(frame)] >> 4 == 6;
}

/* Ones' complement sum; 0xffff over a header whose checksum is right. */
static uint16_t ip_sum(const uint8_t *data, size_t bytes)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < bytes; i += 2) {
        sum += lduw_be_p(data + i);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static void make_ipv4(const RtFrameSpec *spec, uint8_t *l3, size_t l3_bytes)
{
    static const uint8_t addresses[] = { 10, 0, 0, 1, 10, 0, 0, 2 };

    l3[0] = 0x45;
    l3[1] = spec->dscp << 2 | spec->ecn;
    stw_be_p(l3 + 2, l3_bytes);
    stw_be_p(l3 + 4, spec->number);
    l3[8] = 64;
    l3[9] = IPPROTO_UDP;
    memcpy(l3 + 12, addresses, sizeof(addresses));
    stw_be_p(l3 + 10, ~ip_sum(l3, IPV4_BYTES));
}

static void make_ipv6(const RtFrameSpec *spec, uint8_t *l3, size_t l3_bytes)
{
    stl_be_p(l3, 6u << 28 | spec->dscp << 22 | spec->ecn << 20 | 0x12345);
    stw_be_p(l3 + 4, l3_bytes - IPV6_BYTES);
    l3[6] = IPPROTO_UDP;
    l3[7] = 64;
    l3[8] = 0xfd;
    l3[23] = 1;
    l3[24] = 0xfd;
    l3[39] = 2;
}

void rt_frame_make(const RtFrameSpec *spec, uint8_t *frame)
{
    size_t l3 = MACS_BYTES, udp;

    memset(frame, 0, spec->bytes);
    memcpy(frame, macs, MACS_BYTES);
    for (unsigned i = 0; i < spec->tags; i++, l3 += TAG_BYTES) {
        stw_be_p(frame + l3, ETH_P_VLAN);
        stw_be_p(frame + l3 + 2, spec->tci);
    }
    stw_be_p(frame + l3, spec->ipv6 ? 0x86dd : 0x0800);
    l3 += 2;
    udp = l3 + (spec->ipv6 ? IPV6_BYTES : IPV4_BYTES);
    g_assert_cmpuint(spec->bytes, >=, udp + UDP_BYTES + 4);

    if (spec->ipv6) {
        make_ipv6(spec, frame + l3, spec->bytes - l3);
    } else {
        make_ipv4(spec, frame + l3, spec->bytes - l3);
    }
    stw_be_p(frame + udp, 5000);
    stw_be_p(frame + udp + 2, 5001);
    stw_be_p(frame + udp + 4, spec->bytes - udp);
    stl_be_p(frame + udp + UDP_BYTES, spec->number);
    for (size_t i = udp + UDP_BYTES + 4; i < spec->bytes; i++) {
        frame[i] = i;
    }
}

size_t rt_frame_make_arp(uint8_t *frame)
{
    static const uint8_t request[] = {
        0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
        0x02, 0x52, 0x54, 0x00, 0x00, 0x02, 10, 0, 0, 2,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 10, 0, 0, 1,
    };

    memcpy(frame, macs, MACS_BYTES);
    memcpy(frame + MACS_BYTES, request, sizeof(request));
    return MACS_BYTES + sizeof(request);
}

uint32_t rt_frame_number(const uint8_t *frame)
{
    return ldl_be_p(frame + l3_offset(frame) + UDP_BYTES +
                    (is_ipv6(frame) ? IPV6_BYTES : IPV4_BYTES));
}

/* IPv4's TOS, IPv6's traffic class. */
static uint8_t ds_field(const uint8_t *frame)
{
    size_t l3 = l3_offset(frame);

    return is_ipv6(frame) ? lduw_be_p(frame + l3) >> 4 : frame[l3 + 1];
}

uint8_t rt_frame_dscp(const uint8_t *frame)
{
    return ds_field(frame) >> 2;
}

uint8_t rt_frame_ecn(const uint8_t *frame)
{
    return ds_field(frame) & 3;
}

bool rt_frame_ipv4_checksum_valid(const uint8_t *frame)
{
    return ip_sum(frame + l3_offset(frame), IPV4_BYTES) == 0xffff;
}

/* CRC-32C, bit by bit: reflected, polynomial 0x1edc6f41. */
static uint32_t crc32c_by_bits(const uint8_t *data, size_t bytes)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        }
    }
    return ~crc;
}

void rt_trailer_read(const uint8_t *frame, size_t bytes, RtTrailerFields *t)
{
    const uint8_t *p = frame + bytes - RT_TRAILER_BYTES;

    g_assert_cmpuint(bytes, >=, RT_MIN_BYTES + RT_TRAILER_BYTES);
    g_assert_cmpmem(p + 28, 4, "RTv1", 4);
    g_assert_cmphex((uint32_t)ldl_be_p(p + 24), ==, crc32c_by_bits(p, 24));
    *t = (RtTrailerFields) {
        .sent_ns = ldq_be_p(p),
        .deadline_ns = ldl_be_p(p + 8),
        .sequence = ldl_be_p(p + 12),
        .source_id = ldl_be_p(p + 16),
        .padding_bytes = lduw_be_p(p + 20),
        .version = p[22] >> 4,
        .flags = p[22] & 0xf,
        .guest_dscp = p[23],
    };
    g_assert_cmpuint(t->version, ==, 1);
}

size_t rt_trailer_append(uint8_t *frame, size_t bytes,
                         const RtTrailerFields *t)
{
    uint8_t *p = frame + bytes;

    stq_be_p(p, t->sent_ns);
    stl_be_p(p + 8, t->deadline_ns);
    stl_be_p(p + 12, t->sequence);
    stl_be_p(p + 16, t->source_id);
    stw_be_p(p + 20, t->padding_bytes);
    p[22] = t->version << 4 | t->flags;
    p[23] = t->guest_dscp;
    stl_be_p(p + 24, crc32c_by_bits(p, 24));
    memcpy(p + 28, "RTv1", 4);
    return bytes + RT_TRAILER_BYTES;
}
