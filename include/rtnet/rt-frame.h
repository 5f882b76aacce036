/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few things the RT path reads and writes in an Ethernet frame: where IP
 * starts, how long it says it is, its DSCP, the 802.1Q priority.
 *
 * Every length in a frame is what its sender claims: it is compared with what
 * is there before anything behind it is read.  Every function takes a frame
 * that nobody else can change any more (a copy, not guest memory).
 *
 * All of it is inline, so that what was read of a frame stays in registers.
 *
 * Sources: IEEE 802.3, 802.1Q, RFC 791, RFC 8200, RFC 2474 (DSCP),
 * RFC 1624 (incremental checksum).
 *
 * Threads: none.
 */
#ifndef RTNET_RT_FRAME_H
#define RTNET_RT_FRAME_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rtnet/rt-bytes.h"

#define RT_ETH_HLEN 14
#define RT_ETH_ZLEN 60              /* shortest frame without FCS */
#define RT_VLAN_HLEN 4
#define RT_MAX_VLAN_TAGS 2

#define RT_ETHERTYPE_IPV4 0x0800
#define RT_ETHERTYPE_IPV6 0x86dd
#define RT_ETHERTYPE_VLAN 0x8100    /* 802.1Q C-tag */
#define RT_ETHERTYPE_QINQ 0x88a8    /* 802.1ad S-tag */

#define RT_IPV4_MIN_HLEN 20
#define RT_IPV4_OFS_TOTAL_LENGTH 2
#define RT_IPV4_OFS_CHECKSUM 10
#define RT_IPV6_HLEN 40
#define RT_IPV6_OFS_PAYLOAD_LENGTH 4
#define RT_IPV6_OFS_NEXT_HEADER 6
#define RT_IPV6_HOP_BY_HOP 0

typedef struct RtFrame {
    uint8_t ip_version;             /* 4, 6, or 0: not IP, or malformed */
    uint8_t vlan_tags;              /* 0..RT_MAX_VLAN_TAGS */
    uint8_t dscp;                   /* 0..63; only if ip_version != 0 */
    uint16_t l2_bytes;              /* offset of the IP header */
    uint32_t l3_bytes;              /* as the IP header says: header + payload */
} RtFrame;

/* -- Read ------------------------------------------------------------------ */

static inline void rt_frame_parse_ipv4(RtFrame *f, const uint8_t *ip,
                                       size_t len)
{
    unsigned header, total;

    /* 0x45 to 0x4f: version 4, and a header of at least five words */
    if (len < RT_IPV4_MIN_HLEN || ip[0] < 0x45 || ip[0] > 0x4f) {
        return;
    }
    header = (ip[0] & 0xf) * 4;
    total = rt_get_be16(ip + RT_IPV4_OFS_TOTAL_LENGTH);
    if (total < header || total > len) {
        return;
    }
    f->ip_version = 4;
    f->dscp = ip[1] >> 2;
    f->l3_bytes = total;
}

static inline void rt_frame_parse_ipv6(RtFrame *f, const uint8_t *ip,
                                       size_t len)
{
    unsigned payload;

    if (len < RT_IPV6_HLEN || ip[0] >> 4 != 6) {
        return;
    }
    payload = rt_get_be16(ip + RT_IPV6_OFS_PAYLOAD_LENGTH);
    if (payload > len - RT_IPV6_HLEN) {
        return;
    }
    /* RFC 2675: a jumbogram's length stands in a hop-by-hop option. */
    if (payload == 0 && ip[RT_IPV6_OFS_NEXT_HEADER] == RT_IPV6_HOP_BY_HOP) {
        return;
    }
    f->ip_version = 6;
    f->dscp = (ip[0] & 0xf) << 2 | ip[1] >> 6;
    f->l3_bytes = RT_IPV6_HLEN + payload;
}

/*
 * Read @len bytes at @frame.  False if it is a runt (no whole L2 header).
 * An IP header that does not fit, contradicts itself or claims more than the
 * frame holds gives ip_version 0, as does an IPv6 jumbogram.
 */
static inline bool rt_frame_parse(RtFrame *f, const uint8_t *frame, size_t len)
{
    uint16_t ethertype;

    *f = (RtFrame) { .l2_bytes = RT_ETH_HLEN };
    if (len < RT_ETH_HLEN) {
        return false;
    }
    ethertype = rt_get_be16(frame + RT_ETH_HLEN - 2);
    while (G_UNLIKELY(ethertype != RT_ETHERTYPE_IPV4) &&
           (ethertype == RT_ETHERTYPE_VLAN ||
            ethertype == RT_ETHERTYPE_QINQ) &&
           f->vlan_tags < RT_MAX_VLAN_TAGS) {
        f->vlan_tags++;
        f->l2_bytes += RT_VLAN_HLEN;
        if (len < f->l2_bytes) {
            return false;
        }
        ethertype = rt_get_be16(frame + f->l2_bytes - 2);
    }
    if (ethertype == RT_ETHERTYPE_IPV4) {
        rt_frame_parse_ipv4(f, frame + f->l2_bytes, len - f->l2_bytes);
    } else if (ethertype == RT_ETHERTYPE_IPV6) {
        rt_frame_parse_ipv6(f, frame + f->l2_bytes, len - f->l2_bytes);
    }
    return true;
}

/* Shortest length to which a sender pads: 60, 64 with a VLAN tag. */
static inline uint32_t rt_frame_min_bytes(const RtFrame *f)
{
    return RT_ETH_ZLEN + RT_VLAN_HLEN * f->vlan_tags;
}

/* -- Mark ------------------------------------------------------------------ */

/*
 * Set the six DSCP bits, never ECN; the IPv4 header checksum is updated
 * incrementally (one that was wrong stays wrong).  Needs ip_version != 0.
 */
static inline void rt_frame_set_dscp(RtFrame *f, uint8_t *frame, uint8_t dscp)
{
    uint8_t *ip = frame + f->l2_bytes;
    uint16_t old_word, new_word, checksum;
    uint32_t sum;

    if (f->ip_version == 6) {
        rt_put_be16(ip, (rt_get_be16(ip) & 0xf03f) | dscp << 6);
    } else if (dscp != f->dscp) {
        /*
         * RFC 1624, equation 3: HC' = ~(~HC + ~m + m').  Sums of this kind are
         * the same in either byte order, so the words stay as they lie there.
         */
        memcpy(&old_word, ip, sizeof(old_word));
        new_word = (old_word & GUINT16_TO_BE(0xff03)) |
                   GUINT16_TO_BE(dscp << 2);
        memcpy(ip, &new_word, sizeof(new_word));
        memcpy(&checksum, ip + RT_IPV4_OFS_CHECKSUM, sizeof(checksum));
        sum = 2 * UINT16_MAX - checksum - old_word + new_word;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        checksum = ~sum;
        memcpy(ip + RT_IPV4_OFS_CHECKSUM, &checksum, sizeof(checksum));
    }
    f->dscp = dscp;
}

/* Set the priority of the outermost tag.  Needs vlan_tags != 0. */
static inline void rt_frame_set_pcp(const RtFrame *f, uint8_t *frame,
                                    uint8_t pcp)
{
    uint8_t *tci = frame + RT_ETH_HLEN;

    (void)f;
    tci[0] = pcp << 5 | (tci[0] & 0x1f);
}

#endif
