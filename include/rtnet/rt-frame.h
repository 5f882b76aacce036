/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few things the RT path reads and writes in an Ethernet frame: where IP
 * starts, how long it says it is, its DSCP, the 802.1Q priority.
 *
 * Every function takes a frame that nobody else can change any more (a copy,
 * not guest memory).
 *
 * Sources: IEEE 802.3, 802.1Q, RFC 791, RFC 8200, RFC 2474 (DSCP),
 * RFC 1624 (incremental checksum).
 */
#ifndef RTNET_RT_FRAME_H
#define RTNET_RT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RT_ETH_HLEN 14
#define RT_ETH_ZLEN 60              /* shortest frame without FCS */
#define RT_VLAN_HLEN 4
#define RT_MAX_VLAN_TAGS 2

typedef struct RtFrame {
    uint8_t ip_version;             /* 4, 6, or 0: not IP, or malformed */
    uint8_t vlan_tags;              /* 0..RT_MAX_VLAN_TAGS */
    uint8_t dscp;                   /* 0..63; only if ip_version != 0 */
    uint16_t l2_bytes;              /* offset of the IP header */
    uint32_t l3_bytes;              /* as the IP header says: header + payload */
} RtFrame;

/*
 * Read @len bytes at @frame.  False if it is a runt (no whole L2 header).
 * An IP header that does not fit, contradicts itself or claims more than the
 * frame holds gives ip_version 0, as does an IPv6 jumbogram.
 */
bool rt_frame_parse(RtFrame *f, const uint8_t *frame, size_t len);

/* Shortest length to which a sender pads: 60, 64 with a VLAN tag. */
static inline uint32_t rt_frame_min_bytes(const RtFrame *f)
{
    return RT_ETH_ZLEN + RT_VLAN_HLEN * f->vlan_tags;
}

/*
 * Set the six DSCP bits, never ECN; the IPv4 header checksum is updated
 * incrementally (one that was wrong stays wrong).  Needs ip_version != 0.
 */
void rt_frame_set_dscp(RtFrame *f, uint8_t *frame, uint8_t dscp);

/* Set the priority of the outermost tag.  Needs vlan_tags != 0. */
void rt_frame_set_pcp(const RtFrame *f, uint8_t *frame, uint8_t pcp);

#endif
