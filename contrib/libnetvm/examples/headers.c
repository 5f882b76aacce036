/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "headers.h"

#define VLAN_TAG_BYTES 4
#define TCP_BYTES 20
#define ICMP_BYTES 4
#define TTL_OFFSET 8                /* IPv4 */
#define CHECKSUM_OFFSET 10
#define HOP_LIMIT_OFFSET 7          /* IPv6 */
#define FRAGMENT_OFFSET_MASK 0x1fff /* IPv4 */

/* IPv6's extension headers. */
#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_AUTHENTICATION 51
#define NEXT_DESTINATION 60
#define NEXT_MOBILITY 135
#define NEXT_HOST_IDENTITY 139
#define NEXT_SHIM6 140

/* -- Checksums ------------------------------------------------------------- */

uint32_t checksum_add(uint32_t sum, const uint8_t *data, unsigned bytes)
{
    for (; bytes >= 2; bytes -= 2, data += 2) {
        sum += read16(data);
    }
    return sum + (bytes ? (uint32_t)data[0] << 8 : 0);
}

uint16_t checksum_end(uint32_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum;
}

void headers_hop(uint8_t *ip, unsigned family)
{
    if (family == 6) {
        ip[HOP_LIMIT_OFFSET]--;
    } else {
        uint16_t before = read16(ip + TTL_OFFSET), after = before - 0x100;
        uint32_t sum = (uint16_t)~read16(ip + CHECKSUM_OFFSET);

        sum += (uint16_t)~before + after;
        ip[TTL_OFFSET] = after >> 8;
        write16(ip + CHECKSUM_OFFSET, checksum_end(sum));
    }
}

/* -- Headers --------------------------------------------------------------- */

/* What was copied of a packet. */
struct head {
    uint8_t data[HEADERS_BYTES];
    unsigned bytes;                 /* of it; the packet may be longer */
    unsigned packet_bytes;
};

/* The ports, if there are some; does it have its header whole? */
static bool read_l4(const struct head *p, struct headers *h)
{
    unsigned least = 0;

    if (h->is_fragment) {
        return true;
    }
    switch (h->protocol) {
    case IP_TCP:
        least = TCP_BYTES;
        break;
    case IP_UDP:
        least = UDP_BYTES;
        break;
    case IP_ICMP:
    case IP_ICMP6:
        least = ICMP_BYTES;
        break;
    }
    if (h->l4_bytes < least) {
        return false;
    }
    if (h->protocol == IP_TCP || h->protocol == IP_UDP) {
        if (h->l4_offset + 4u > p->bytes) {
            return false;
        }
        h->source_port = read16(p->data + h->l4_offset);
        h->dest_port = read16(p->data + h->l4_offset + 2);
        h->has_ports = true;
    }
    return true;
}

static bool read_ipv4(const struct head *p, struct headers *h)
{
    const uint8_t *ip = p->data + h->ip_offset;
    unsigned header_bytes, bytes;

    if (p->bytes < h->ip_offset + IPV4_BYTES || ip[0] >> 4 != 4) {
        return false;
    }
    header_bytes = (ip[0] & 0xf) * 4;
    bytes = read16(ip + 2);
    if (header_bytes < IPV4_BYTES || bytes < header_bytes ||
        h->ip_offset + bytes > p->packet_bytes) {
        return false;
    }
    h->family = 4;
    h->protocol = ip[9];
    h->ttl = ip[TTL_OFFSET];
    h->is_fragment = read16(ip + 6) & FRAGMENT_OFFSET_MASK;
    h->ip_header_bytes = header_bytes;
    h->l4_offset = h->ip_offset + header_bytes;
    h->l4_bytes = bytes - header_bytes;
    h->checksum_good = checksum_end(checksum_add(0, ip, header_bytes)) == 0;
    memcpy(h->source, ip + 12, 4);
    memcpy(h->dest, ip + 16, 4);
    return read_l4(p, h);
}

/* Past the extension headers that can be passed. */
static bool skip_extensions(const struct head *p, struct headers *h)
{
    for (;;) {
        const uint8_t *at;
        unsigned bytes;

        switch (h->protocol) {
        case NEXT_HOP_BY_HOP:
        case NEXT_ROUTING:
        case NEXT_DESTINATION:
        case NEXT_MOBILITY:
        case NEXT_HOST_IDENTITY:
        case NEXT_SHIM6:
        case NEXT_FRAGMENT:
        case NEXT_AUTHENTICATION:
            break;
        default:
            return true;
        }
        if (h->l4_bytes < 8 || h->l4_offset + 8u > p->bytes) {
            return false;
        }
        at = p->data + h->l4_offset;
        bytes = 8 + at[1] * 8;
        if (h->protocol == NEXT_FRAGMENT) {
            bytes = 8;
            h->is_fragment = read16(at + 2) >> 3;
        } else if (h->protocol == NEXT_AUTHENTICATION) {
            bytes = 8 + at[1] * 4;
        }
        if (bytes > h->l4_bytes) {
            return false;
        }
        h->protocol = at[0];
        h->l4_offset += bytes;
        h->l4_bytes -= bytes;
        if (h->is_fragment) {
            return true;
        }
    }
}

static bool read_ipv6(const struct head *p, struct headers *h)
{
    const uint8_t *ip = p->data + h->ip_offset;
    unsigned bytes;

    if (p->bytes < h->ip_offset + IPV6_BYTES || ip[0] >> 4 != 6) {
        return false;
    }
    bytes = read16(ip + 4);
    if (h->ip_offset + IPV6_BYTES + bytes > p->packet_bytes) {
        return false;
    }
    h->family = 6;
    h->protocol = ip[6];
    h->ttl = ip[HOP_LIMIT_OFFSET];
    h->ip_header_bytes = IPV6_BYTES;
    h->l4_offset = h->ip_offset + IPV6_BYTES;
    h->l4_bytes = bytes;
    h->checksum_good = true;
    memcpy(h->source, ip + 8, 16);
    memcpy(h->dest, ip + 24, 16);
    return skip_extensions(p, h) && read_l4(p, h);
}

enum headers_result headers_read(const uint8_t *data, unsigned length,
                                 struct headers *h)
{
    struct head p = {
        .bytes = length < HEADERS_BYTES ? length : HEADERS_BYTES,
        .packet_bytes = length,
    };
    bool good = true;

    memcpy(p.data, data, p.bytes);
    /* The copy is read from here on, and not the packet again. */
    __asm__ volatile("" : : "r"(&p) : "memory");
    *h = (struct headers) { .vlan = HEADERS_NO_VLAN };
    if (p.bytes < ETHER_BYTES) {
        return HEADERS_CUT;
    }
    h->ether_type = read16(p.data + 12);
    h->ip_offset = ETHER_BYTES;
    if (h->ether_type == ETHER_VLAN) {
        if (p.bytes < ETHER_BYTES + VLAN_TAG_BYTES) {
            return HEADERS_CUT;
        }
        h->vlan = read16(p.data + 14) & 0xfff;
        h->ether_type = read16(p.data + 16);
        h->ip_offset += VLAN_TAG_BYTES;
    }
    if (h->ether_type == ETHER_IPV4) {
        good = read_ipv4(&p, h);
    } else if (h->ether_type == ETHER_IPV6) {
        good = read_ipv6(&p, h);
    }
    return good ? HEADERS_GOOD : HEADERS_CUT;
}

uint16_t headers_hash(const struct headers *h)
{
    uint32_t ports = h->has_ports
                     ? (uint32_t)h->source_port << 16 | h->dest_port : 0;
    uint32_t hash = ports ^ h->protocol ^ (uint32_t)h->vlan << 8;

    for (unsigned i = 0; i < 16; i += 4) {
        uint32_t source, dest;

        memcpy(&source, h->source + i, 4);
        memcpy(&dest, h->dest + i, 4);
        hash = (hash ^ source) * UINT32_C(0x9e3779b1);
        hash = (hash ^ dest ^ hash >> 15) * UINT32_C(0x85ebca77);
    }
    return hash ^ hash >> 16;
}
