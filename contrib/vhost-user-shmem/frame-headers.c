/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A walk along the headers of a frame.
 *
 * Threads: pure functions.
 */
#include <netinet/in.h>

#include "frame-headers.h"

#define EXTENSION_MIN_BYTES 8
#define FRAGMENT_BYTES 8
#define MORE_FRAGMENTS 0x2000
#define FRAGMENT_OFFSET 0x1fff

static bool find_ipv4(const Frame *f, FrameHeaders *h)
{
    const uint8_t *ip = f->head + h->l3;
    unsigned bytes;

    if (h->l3 + IPV4_MIN_BYTES > f->head_bytes || ip[0] >> 4 != 4) {
        return false;
    }
    bytes = (ip[0] & 0x0f) * 4;
    if (bytes < IPV4_MIN_BYTES || h->l3 + bytes > f->head_bytes) {
        return false;
    }
    h->ip_version = 4;
    h->l4 = h->l3 + bytes;
    h->protocol = ip[9];
    h->fragment = get_be16(ip + 6) & (MORE_FRAGMENTS | FRAGMENT_OFFSET);
    return true;
}

/* Each is eight bytes long at least, so the head bounds the walk. */
static bool find_ipv6(const Frame *f, FrameHeaders *h)
{
    const uint8_t *ip = f->head + h->l3;
    unsigned at = h->l3 + IPV6_BYTES;
    uint8_t next;

    if (at > f->head_bytes || ip[0] >> 4 != 6) {
        return false;
    }
    next = ip[6];
    while (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING ||
           next == IPPROTO_DSTOPTS) {
        if (at + EXTENSION_MIN_BYTES > f->head_bytes) {
            return false;
        }
        next = f->head[at];
        at += (f->head[at + 1] + 1) * 8;
    }
    if (at > f->head_bytes ||
        (next == IPPROTO_FRAGMENT && at + FRAGMENT_BYTES > f->head_bytes)) {
        return false;
    }
    h->ip_version = 6;
    h->l4 = at;
    h->protocol = next;
    h->fragment = next == IPPROTO_FRAGMENT;
    return true;
}

bool frame_find_headers(const Frame *f, FrameHeaders *h)
{
    unsigned at = ETHERTYPE_AT;

    *h = (FrameHeaders) { .type = get_be16(f->head + at) };
    while (h->type == ETH_P_8021Q || h->type == ETH_P_8021AD) {
        at += VLAN_TAG_BYTES;
        if (++h->tags > FRAME_MAX_TAGS || at + 2 > f->head_bytes) {
            return false;
        }
        h->type = get_be16(f->head + at);
    }
    h->l3 = h->l4 = at + 2;
    switch (h->type) {
    case ETH_P_IP:
        return find_ipv4(f, h);
    case ETH_P_IPV6:
        return find_ipv6(f, h);
    default:
        return true;
    }
}
