/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the RT path reads and writes in an Ethernet frame.
 *
 * Every length in a frame is what its sender claims: it is compared with what
 * is there before anything behind it is read.
 *
 * Threads: pure functions on a frame that nobody else can change.
 */
#include "rtnet/rt-frame.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100           /* 802.1Q C-tag */
#define ETHERTYPE_QINQ 0x88a8           /* 802.1ad S-tag */

#define IPV4_MIN_HLEN 20
#define IPV4_OFS_TOTAL_LENGTH 2
#define IPV4_OFS_CHECKSUM 10
#define IPV6_HLEN 40
#define IPV6_OFS_PAYLOAD_LENGTH 4
#define IPV6_OFS_NEXT_HEADER 6
#define IPV6_HOP_BY_HOP 0

static uint16_t get_be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static void put_be16(uint8_t *p, uint16_t value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static void parse_ipv4(RtFrame *f, const uint8_t *ip, size_t len)
{
    unsigned header, total;

    if (len < IPV4_MIN_HLEN || ip[0] >> 4 != 4) {
        return;
    }
    header = (ip[0] & 0xf) * 4;
    total = get_be16(ip + IPV4_OFS_TOTAL_LENGTH);
    if (header < IPV4_MIN_HLEN || total < header || total > len) {
        return;
    }
    f->ip_version = 4;
    f->dscp = ip[1] >> 2;
    f->l3_bytes = total;
}

static void parse_ipv6(RtFrame *f, const uint8_t *ip, size_t len)
{
    unsigned payload;

    if (len < IPV6_HLEN || ip[0] >> 4 != 6) {
        return;
    }
    payload = get_be16(ip + IPV6_OFS_PAYLOAD_LENGTH);
    if (payload > len - IPV6_HLEN) {
        return;
    }
    /* RFC 2675: a jumbogram's length stands in a hop-by-hop option. */
    if (payload == 0 && ip[IPV6_OFS_NEXT_HEADER] == IPV6_HOP_BY_HOP) {
        return;
    }
    f->ip_version = 6;
    f->dscp = (ip[0] & 0xf) << 2 | ip[1] >> 6;
    f->l3_bytes = IPV6_HLEN + payload;
}

bool rt_frame_parse(RtFrame *f, const uint8_t *frame, size_t len)
{
    uint16_t ethertype;

    *f = (RtFrame) { .l2_bytes = RT_ETH_HLEN };
    if (len < RT_ETH_HLEN) {
        return false;
    }
    ethertype = get_be16(frame + RT_ETH_HLEN - 2);
    while ((ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ) &&
           f->vlan_tags < RT_MAX_VLAN_TAGS) {
        f->vlan_tags++;
        f->l2_bytes += RT_VLAN_HLEN;
        if (len < f->l2_bytes) {
            return false;
        }
        ethertype = get_be16(frame + f->l2_bytes - 2);
    }
    if (ethertype == ETHERTYPE_IPV4) {
        parse_ipv4(f, frame + f->l2_bytes, len - f->l2_bytes);
    } else if (ethertype == ETHERTYPE_IPV6) {
        parse_ipv6(f, frame + f->l2_bytes, len - f->l2_bytes);
    }
    return true;
}

void rt_frame_set_dscp(RtFrame *f, uint8_t *frame, uint8_t dscp)
{
    uint8_t *ip = frame + f->l2_bytes;
    uint16_t old_word = get_be16(ip), new_word;
    uint32_t sum;

    if (f->ip_version == 4) {
        ip[1] = dscp << 2 | (ip[1] & 3);
        new_word = get_be16(ip);
        if (new_word != old_word) {
            /* RFC 1624, equation 3: HC' = ~(~HC + ~m + m') */
            sum = (uint16_t)~get_be16(ip + IPV4_OFS_CHECKSUM);
            sum += (uint16_t)~old_word + new_word;
            sum = (sum & 0xffff) + (sum >> 16);
            sum = (sum & 0xffff) + (sum >> 16);
            put_be16(ip + IPV4_OFS_CHECKSUM, ~sum);
        }
    } else {
        put_be16(ip, (old_word & 0xf03f) | dscp << 6);
    }
    f->dscp = dscp;
}

void rt_frame_set_pcp(const RtFrame *f, uint8_t *frame, uint8_t pcp)
{
    uint8_t *tci = frame + RT_ETH_HLEN;

    (void)f;
    tci[0] = pcp << 5 | (tci[0] & 0x1f);
}
