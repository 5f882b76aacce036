/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames that leave work to the device.
 *
 * Threads: single.
 */
#include "frame-maker.h"
#include "l4-model.h"
#include "offload.h"
#include "offload-bed.h"

#define MAX_PIECES 40
#define CWR 0x80
#define ECN 0x80                    /* in gso_type */

static void put16(uint8_t *p, unsigned value)
{
    p[0] = value >> 8;
    p[1] = value;
}

/* [0, @end) */
static unsigned below(unsigned end)
{
    return g_test_rand_int_range(0, end);
}

/* -- Specs ----------------------------------------------------------------- */

unsigned offload_spec_l3(const OffloadSpec *s)
{
    return 14 + 4 * s->vlan_tags;
}

unsigned offload_spec_l4(const OffloadSpec *s)
{
    return offload_spec_l3(s) + (s->ip_version == 4 ? 20 + s->ip_options
                                                    : 40 + 8 * s->extensions);
}

unsigned offload_spec_payload(const OffloadSpec *s)
{
    return offload_spec_l4(s) + (s->protocol == BED_TCP ? 20 + s->tcp_options
                                                        : 8);
}

unsigned offload_spec_bytes(const OffloadSpec *s)
{
    return offload_spec_payload(s) + s->payload_bytes;
}

void offload_random_spec(OffloadSpec *s)
{
    unsigned room;

    do {
        *s = (OffloadSpec) {
            .ip_version = below(2) ? 4 : 6,
            .protocol = below(2) ? BED_TCP : BED_UDP,
            .vlan_tags = below(3),
            .tcp_flags = below(256),
        };
        if (s->ip_version == 4) {
            s->ip_options = below(2) ? 0 : 4 * below(11);
        } else {
            s->extensions = below(2) ? 0 : below(4);
        }
        if (s->protocol == BED_TCP) {
            s->tcp_options = 4 * below(11);
        }
    } while (offload_spec_payload(s) > FRAME_HEAD_BYTES);

    room = 65535 - (s->ip_version == 4 ? 20 + s->ip_options + 60 : 100);
    switch (below(8)) {
    case 0:
        s->payload_bytes = room - below(20);
        break;
    case 1:
        s->payload_bytes = 1 + below(40);
        break;
    default:
        s->payload_bytes = 1 + below(6000);
    }
    if (below(3) > 0) {
        s->gso_size = 1 + below(below(2) ? 2000 : s->payload_bytes);
    }
}

uint8_t offload_expect_needs(const OffloadSpec *s)
{
    if (s->gso_size == 0) {
        return OFFLOAD_CSUM;
    }
    if (s->protocol == BED_UDP) {
        return OFFLOAD_CSUM | (s->ip_version == 4 ? OFFLOAD_USO4
                                                  : OFFLOAD_USO6);
    }
    return OFFLOAD_CSUM | (s->ip_version == 4 ? OFFLOAD_TSO4 : OFFLOAD_TSO6) |
           (s->tcp_flags & CWR ? OFFLOAD_ECN : 0);
}

void offload_expect(const OffloadSpec *s, struct virtio_net_hdr *vnet)
{
    *vnet = (struct virtio_net_hdr) {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .csum_start = GUINT16_TO_LE(offload_spec_l4(s)),
        .csum_offset = GUINT16_TO_LE(s->protocol == BED_TCP ? 16 : 6),
    };
    if (s->gso_size > 0) {
        vnet->hdr_len = GUINT16_TO_LE(offload_spec_payload(s));
        vnet->gso_size = GUINT16_TO_LE(s->gso_size);
        vnet->gso_type = s->protocol == BED_UDP ? 5
                         : s->ip_version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
                         : VIRTIO_NET_HDR_GSO_TCPV6;
        if (s->protocol == BED_TCP && s->tcp_flags & CWR) {
            vnet->gso_type |= ECN;
        }
    }
}

/* -- Frames ---------------------------------------------------------------- */

void offload_set_partial(uint8_t *frame, size_t bytes)
{
    L4Model m;

    g_assert_true(l4_model_parse(frame, bytes, &m));
    put16(frame + m.csum, l4_model_pseudo(frame, bytes, &m));
}

static void make_ipv4(const OffloadSpec *s, uint8_t *ip, unsigned bytes)
{
    ip[0] = 0x45 + s->ip_options / 4;
    put16(ip + 2, bytes);
    put16(ip + 6, below(2) ? 0x4000 : 0);       /* don't fragment */
    ip[9] = s->protocol;
    put16(ip + 10, frame_ipv4_checksum(ip));
}

static void make_ipv6(const OffloadSpec *s, uint8_t *ip, unsigned bytes)
{
    static const uint8_t extensions[] = { 0, 60, 43 };
    uint8_t *next = &ip[6];

    ip[0] = 0x60 | (ip[0] & 0x0f);
    put16(ip + 4, bytes - 40);
    for (unsigned i = 0; i < s->extensions; i++) {
        uint8_t *extension = ip + 40 + 8 * i;

        *next = extensions[i];
        next = extension;
        extension[1] = 0;
        extension[3] = 0;                       /* no address left to visit */
    }
    *next = s->protocol;
}

size_t offload_make(const OffloadSpec *s, uint8_t *frame,
                    struct virtio_net_hdr *vnet)
{
    unsigned l3 = offload_spec_l3(s), l4 = offload_spec_l4(s);
    size_t bytes = offload_spec_bytes(s);

    g_assert_cmpuint(bytes, <=, BED_MAX_BYTES);
    frame_random_fill(frame, bytes);
    for (unsigned i = 0; i < s->vlan_tags; i++) {
        put16(frame + 12 + 4 * i, s->vlan_tags == 2 && i == 0 ? 0x88a8
                                                              : 0x8100);
    }
    put16(frame + l3 - 2, s->ip_version == 4 ? 0x0800 : 0x86dd);
    if (s->ip_version == 4) {
        make_ipv4(s, frame + l3, bytes - l3);
    } else {
        make_ipv6(s, frame + l3, bytes - l3);
    }
    if (s->protocol == BED_TCP) {
        frame[l4 + 12] = (5 + s->tcp_options / 4) << 4;
        frame[l4 + 13] = s->tcp_flags;
    } else {
        put16(frame + l4 + 4, bytes - l4);
    }
    offload_set_partial(frame, bytes);
    offload_expect(s, vnet);
    return bytes;
}

/* -- Sent ------------------------------------------------------------------ */

static void add_piece(Sent *sent, const uint8_t *data, uint32_t bytes)
{
    VringBurst *b = &sent->burst;
    uint8_t *copy = g_malloc(MAX(bytes, 1));    /* never NULL, as in a ring */

    memcpy(copy, data, bytes);
    b->segment[b->segments++] = (VringSegment) {
        .data = copy, .bytes = bytes,
    };
}

Sent *sent_new(const uint8_t *frame, size_t bytes,
               const struct virtio_net_hdr *vnet)
{
    g_autofree uint8_t *all = g_malloc(FRAME_VNET_OLD_BYTES + bytes);
    uint32_t left = FRAME_VNET_OLD_BYTES + bytes;
    unsigned pieces = below(2) ? 1 : 1 + below(MAX_PIECES);
    const uint8_t *next = all;
    Sent *sent = g_new0(Sent, 1);

    memcpy(all, vnet, FRAME_VNET_OLD_BYTES);
    memcpy(all + FRAME_VNET_OLD_BYTES, frame, bytes);
    while (pieces-- > 1) {
        unsigned most = below(2) ? 30 : 4000;
        uint32_t part = below(MIN(left, most) + 1);

        add_piece(sent, next, part);
        next += part;
        left -= part;
    }
    add_piece(sent, next, left);
    sent->burst.n = 1;
    sent->burst.chain[0] = (VringChain) {
        .bytes = FRAME_VNET_OLD_BYTES + bytes,
        .segments = sent->burst.segments,
    };
    g_assert_true(frame_read(&sent->f, &sent->burst, &sent->burst.chain[0],
                             FRAME_VNET_OLD_BYTES));
    return sent;
}

void sent_free(Sent *sent)
{
    for (unsigned i = 0; i < sent->burst.segments; i++) {
        g_free(sent->burst.segment[i].data);
    }
    g_free(sent);
}
