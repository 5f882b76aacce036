/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the headers of a frame lie.  Only its head is looked at, so what is
 * found is what will be sent.
 *
 * IPv6's extension headers are walked as far as they are alike; what follows a
 * fragment header, AH, ESP or one that is not known is not looked at, and such
 * a header is itself what l4 and protocol are about.
 *
 * Threads: pure functions.
 */
#ifndef VUS_FRAME_HEADERS_H
#define VUS_FRAME_HEADERS_H

#include <linux/if_ether.h>

#include "frame.h"

#define ETHERTYPE_AT 12             /* or the first tag's */
#define VLAN_TAG_BYTES 4
/* A guest's two, and one of the switch. */
#define FRAME_MAX_TAGS 3

#define IPV4_MIN_BYTES 20u
#define IPV6_BYTES 40u

typedef struct FrameHeaders {
    uint16_t type;              /* EtherType behind the tags */
    uint8_t tags;
    uint8_t l3;                 /* offset behind the EtherType */
    uint8_t ip_version;         /* 4, 6; 0: not IP */
    uint8_t l4;                 /* offset behind IP's headers; not IP: l3 */
    uint8_t protocol;           /* IP's number of what is at l4; not IP: 0 */
    bool fragment;              /* of an IP packet, not all of it */
} FrameHeaders;

/*
 * False if there are more tags than FRAME_MAX_TAGS, or if IP's headers do not
 * lie within the head or cannot be such.
 */
bool frame_find_headers(const Frame *f, FrameHeaders *h);

static inline uint16_t get_be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static inline uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static inline void put_be16(uint8_t *p, uint16_t value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static inline void put_be32(uint8_t *p, uint32_t value)
{
    put_be16(p, value >> 16);
    put_be16(p + 2, value);
}

#endif
