/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads: pure functions.
 */
#include <net/if_arp.h>

#include "frame-headers.h"
#include "spoof.h"

#define IPV4_ADDR_BYTES 4
#define IPV6_ADDR_BYTES 16

#define ARP_BYTES 28u               /* Ethernet and IPv4 */
#define ARP_SENDER_IP_AT 14

#define UDP_BYTES 8u
#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68

#define ND_ADVERTISEMENT 136
#define ND_ADVERTISEMENT_BYTES 24u
#define ND_TARGET_AT 8

typedef struct Allowed {
    const PortIp *ip;
    unsigned n;
} Allowed;

static bool is_allowed(const Allowed *a, bool is_v6, const uint8_t *addr)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (a->ip[i].is_v6 == is_v6 &&
            memcmp(a->ip[i].addr, addr,
                   is_v6 ? IPV6_ADDR_BYTES : IPV4_ADDR_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_zero(const uint8_t *addr, size_t bytes)
{
    static const uint8_t zero[IPV6_ADDR_BYTES];

    return memcmp(addr, zero, bytes) == 0;
}

/* -- IPv4 ------------------------------------------------------------------ */

static bool is_from_dhcp_client(const Frame *f, const FrameHeaders *h)
{
    const uint8_t *udp = f->head + h->l4;

    return h->protocol == IPPROTO_UDP && !h->fragment &&
           h->l4 + UDP_BYTES <= f->head_bytes &&
           get_be16(udp) == DHCP_CLIENT_PORT &&
           get_be16(udp + 2) == DHCP_SERVER_PORT;
}

static bool ipv4_ok(const Frame *f, const FrameHeaders *h, const Allowed *a)
{
    const uint8_t *source = f->head + h->l3 + 12;

    return is_allowed(a, false, source) ||
           (is_zero(source, IPV4_ADDR_BYTES) && is_from_dhcp_client(f, h));
}

static bool arp_ok(const Frame *f, const FrameHeaders *h, const Allowed *a)
{
    const uint8_t *arp = f->head + h->l3, *sender = arp + ARP_SENDER_IP_AT;

    if (h->l3 + ARP_BYTES > f->head_bytes ||
        get_be16(arp) != ARPHRD_ETHER || get_be16(arp + 2) != ETH_P_IP ||
        arp[4] != ETH_ALEN || arp[5] != IPV4_ADDR_BYTES) {
        return false;
    }
    return is_allowed(a, false, sender) ||
           (is_zero(sender, IPV4_ADDR_BYTES) &&
            get_be16(arp + 6) == ARPOP_REQUEST);
}

/* -- IPv6 ------------------------------------------------------------------ */

/* fe80::/10 */
static bool is_link_local(const uint8_t *addr)
{
    return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

/* ff02::/16, whatever the flags */
static bool is_link_group(const uint8_t *addr)
{
    return addr[0] == 0xff && (addr[1] & 0x0f) == 0x02;
}

static bool has_ipv6(const Allowed *a)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (a->ip[i].is_v6) {
            return true;
        }
    }
    return false;
}

static bool has_link_local(const Allowed *a)
{
    for (unsigned i = 0; i < a->n; i++) {
        if (a->ip[i].is_v6 && is_link_local(a->ip[i].addr)) {
            return true;
        }
    }
    return false;
}

static bool is_own_ipv6(const Allowed *a, const uint8_t *addr)
{
    return is_allowed(a, true, addr) ||
           (is_link_local(addr) && has_ipv6(a) && !has_link_local(a));
}

static bool target_ok(const Frame *f, const FrameHeaders *h, const Allowed *a)
{
    const uint8_t *icmp = f->head + h->l4;

    /* Of fragments there are no advertisements (RFC 6980). */
    if (h->protocol != IPPROTO_ICMPV6) {
        return true;
    }
    if (h->l4 >= f->head_bytes) {
        return false;
    }
    return icmp[0] != ND_ADVERTISEMENT ||
           (h->l4 + ND_ADVERTISEMENT_BYTES <= f->head_bytes &&
            is_own_ipv6(a, icmp + ND_TARGET_AT));
}

static bool ipv6_ok(const Frame *f, const FrameHeaders *h, const Allowed *a)
{
    const uint8_t *source = f->head + h->l3 + 8;
    const uint8_t *destination = source + IPV6_ADDR_BYTES;

    if (is_zero(source, IPV6_ADDR_BYTES)) {
        if (!has_ipv6(a) || !is_link_group(destination)) {
            return false;
        }
    } else if (!is_own_ipv6(a, source)) {
        return false;
    }
    return target_ok(f, h, a);
}

bool spoof_ip_ok(const Frame *f, const PortIp *ip, unsigned ips)
{
    Allowed a = { ip, ips };
    FrameHeaders h;

    if (!frame_find_headers(f, &h)) {
        return false;
    }
    switch (h.type) {
    case ETH_P_IP:
        return ipv4_ok(f, &h, &a);
    case ETH_P_ARP:
        return arp_ok(f, &h, &a);
    case ETH_P_IPV6:
        return ipv6_ok(f, &h, &a);
    default:
        return true;
    }
}
