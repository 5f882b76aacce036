/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet's headers: Ethernet, one VLAN tag, IPv4 or IPv6, ports.
 *
 * The packet lies in memory that others can write to: its beginning is copied
 * once, and what is checked and returned is read from the copy.
 *
 * Threads: any.
 */
#ifndef HEADERS_H
#define HEADERS_H

#include <stdbool.h>
#include <stdint.h>

/* What is looked at of a packet, bytes: IPv6 with a few extension headers. */
#define HEADERS_BYTES 128

#define HEADERS_NO_VLAN UINT16_C(0xffff)

#define ETHER_BYTES 14u
#define ETHER_ARP 0x0806
#define ETHER_IPV4 0x0800
#define ETHER_IPV6 0x86dd
#define ETHER_VLAN 0x8100
#define IP_ICMP 1
#define IP_TCP 6
#define IP_UDP 17
#define IP_ICMP6 58
#define IPV4_BYTES 20u
#define IPV6_BYTES 40u
#define UDP_BYTES 8u

enum headers_result {
    HEADERS_GOOD,
    HEADERS_CUT,                /* shorter than its headers say, or they
                                 * contradict each other */
};

struct headers {
    uint16_t ether_type;        /* behind the tag */
    uint16_t vlan;              /* number, or HEADERS_NO_VLAN */
    uint8_t family;             /* 4, 6; 0: no IP, and nothing below is set */
    uint8_t protocol;           /* behind IPv6's extension headers */
    uint8_t ttl;                /* or hop limit */
    bool is_fragment;           /* not the first one: it has no ports */
    bool has_ports;             /* TCP or UDP */
    uint16_t ip_offset;         /* from the packet's first byte, bytes */
    uint16_t ip_header_bytes;   /* IPv4: with options; IPv6: 40 */
    uint16_t l4_offset;         /* of TCP, UDP... */
    uint16_t l4_bytes;          /* with header; no padding */
    uint16_t source_port, dest_port;
    uint8_t source[16], dest[16];   /* the first 4 of them for IPv4 */
    bool checksum_good;         /* of the IPv4 header; IPv6: true */
};

/* Of @length bytes at @data. */
enum headers_result headers_read(const uint8_t *data, unsigned length,
                                 struct headers *h);

/* A number for its flow: struct netvm_desc's hash. */
uint16_t headers_hash(const struct headers *h);

/*
 * One hop: TTL or hop limit less one, and the IPv4 header's checksum adapted
 * (RFC 1624).  @ip: where the IP header is; its TTL is one at least.
 */
void headers_hop(uint8_t *ip, unsigned family);

/* Of @bytes at @data, added to @sum; and the checksum of a sum. */
uint32_t checksum_add(uint32_t sum, const uint8_t *data, unsigned bytes);
uint16_t checksum_end(uint32_t sum);

static inline uint16_t read16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void write16(uint8_t *at, uint16_t value)
{
    at[0] = value >> 8;
    at[1] = value & 0xff;
}

#endif
