/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation.  The header of a frame names the place of a checksum
 * and, for a segment that is too long, the kind and size of those to be cut.
 * A place is approved only where no address or port lies, whatever the
 * protocol: what filters have read stays as it was.  Of a long segment all
 * headers have to lie in the head, to be what its header says, and to give its
 * true length.
 *
 * To convert a frame it is copied into one piece.  The frames that come out
 * have their headers in their heads, and share the piece for the rest.
 *
 * The driver has left the sum of the pseudo header in the checksum field.  It
 * is kept, with one length taken out and another put in; so the address that a
 * routing header ends with need not be known here.
 */
#include <netinet/in.h>

#include "frame-headers.h"
#include "offload-csum.h"
#include "offload.h"

/* Newer than some systems' linux/virtio_net.h. */
#define F_GUEST_USO4 54
#define F_GUEST_USO6 55
#define F_HOST_USO 56
#define GSO_UDP_L4 5

#define TCP_MIN_BYTES 20
#define TCP_SEQ_AT 4
#define TCP_OFFSET_AT 12            /* header length in the upper half */
#define TCP_FLAGS_AT 13
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80
#define TCP_CSUM_AT 16

#define UDP_BYTES 8
#define UDP_LENGTH_AT 4
#define UDP_CSUM_AT 6

#define GUEST_TAGS 2                /* one less than FRAME_MAX_TAGS */

struct Offload {
    const Frame *out[OFFLOAD_MAX_SEGMENTS];
    Frame frame[OFFLOAD_MAX_SEGMENTS];
    VringSegment piece;             /* data, as far as it is in use */
    uint8_t data[FRAME_MAX_BYTES + FRAME_HEAD_ROOM];
};

/* -- Features -------------------------------------------------------------- */

#define FEATURE(bit) (UINT64_C(1) << (bit))

static const struct {
    uint8_t offloads;
    uint64_t guest, host;           /* VIRTIO_NET_F_ */
} agreed[] = {
    { OFFLOAD_CSUM, FEATURE(VIRTIO_NET_F_GUEST_CSUM),
      FEATURE(VIRTIO_NET_F_CSUM) },
    { OFFLOAD_TSO4, FEATURE(VIRTIO_NET_F_GUEST_TSO4),
      FEATURE(VIRTIO_NET_F_HOST_TSO4) },
    { OFFLOAD_TSO6, FEATURE(VIRTIO_NET_F_GUEST_TSO6),
      FEATURE(VIRTIO_NET_F_HOST_TSO6) },
    { OFFLOAD_ECN, FEATURE(VIRTIO_NET_F_GUEST_ECN),
      FEATURE(VIRTIO_NET_F_HOST_ECN) },
    { OFFLOAD_USO4, FEATURE(F_GUEST_USO4), FEATURE(F_HOST_USO) },
    { OFFLOAD_USO6, FEATURE(F_GUEST_USO6), FEATURE(F_HOST_USO) },
};

uint8_t offload_accepted(uint64_t features)
{
    uint8_t offloads = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(agreed); i++) {
        offloads |= features & agreed[i].guest ? agreed[i].offloads : 0;
    }
    return offloads;
}

uint8_t offload_allowed(uint64_t features)
{
    uint8_t offloads = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(agreed); i++) {
        offloads |= features & agreed[i].host ? agreed[i].offloads : 0;
    }
    return offloads;
}

/* -- Check ----------------------------------------------------------------- */

/* A protocol that has a checksum field of its own. */
typedef struct L4 {
    unsigned min_bytes;
    unsigned csum_at;
} L4;

static const L4 *l4_of(uint8_t protocol)
{
    static const L4 tcp = { TCP_MIN_BYTES, TCP_CSUM_AT };
    static const L4 udp = { UDP_BYTES, UDP_CSUM_AT };

    return protocol == IPPROTO_TCP ? &tcp : protocol == IPPROTO_UDP ? &udp
                                                                    : NULL;
}

/*
 * Any protocol may have its checksum completed, and one inside another's
 * payload, too; but TCP's and UDP's are where they are, ARP and fragments have
 * none, and the field lies in the head.
 */
static bool check_csum(const Frame *f, const FrameHeaders *h)
{
    unsigned start = GUINT16_FROM_LE(f->vnet.csum_start);
    unsigned offset = GUINT16_FROM_LE(f->vnet.csum_offset);
    const L4 *l4 = l4_of(h->protocol);

    if (start < h->l4 || start + offset + 2 > f->head_bytes || h->fragment ||
        h->type == ETH_P_ARP) {
        return false;
    }
    if (!l4) {
        return true;
    }
    return start == h->l4 ? offset == l4->csum_at
                          : start >= h->l4 + l4->min_bytes;
}

/* What a long segment needs besides OFFLOAD_CSUM; 0: there is no such one. */
static uint8_t gso_needs(uint8_t gso_type, const FrameHeaders *h)
{
    uint8_t ecn = gso_type & VIRTIO_NET_HDR_GSO_ECN ? OFFLOAD_ECN : 0;
    bool v4 = h->ip_version == 4, v6 = h->ip_version == 6;

    switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return v4 && h->protocol == IPPROTO_TCP ? OFFLOAD_TSO4 | ecn : 0;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return v6 && h->protocol == IPPROTO_TCP ? OFFLOAD_TSO6 | ecn : 0;
    case GSO_UDP_L4:
        return ecn || h->protocol != IPPROTO_UDP ? 0
               : v4 ? OFFLOAD_USO4 : OFFLOAD_USO6;
    default:
        return 0;
    }
}

/*
 * Of TCP's or UDP's header, whose checksum field lies in the head; 0 if all of
 * it does not, or cannot be such.
 */
static unsigned l4_bytes(const Frame *f, const FrameHeaders *h)
{
    unsigned bytes;

    if (h->protocol == IPPROTO_UDP) {
        return UDP_BYTES;
    }
    bytes = (f->head[h->l4 + TCP_OFFSET_AT] >> 4) * 4;
    return bytes >= TCP_MIN_BYTES && h->l4 + bytes <= f->head_bytes ? bytes : 0;
}

/* Do IP and UDP say how long the frame is? */
static bool check_lengths(const Frame *f, const FrameHeaders *h)
{
    const uint8_t *ip = f->head + h->l3, *l4 = f->head + h->l4;
    uint32_t ip_bytes = h->ip_version == 4 ? get_be16(ip + 2)
                                           : IPV6_BYTES + get_be16(ip + 4);

    return h->l3 + ip_bytes == f->bytes &&
           (h->protocol != IPPROTO_UDP ||
            get_be16(l4 + UDP_LENGTH_AT) == f->bytes - h->l4);
}

/* check_csum() comes first. */
static bool check_gso(Frame *f, const FrameHeaders *h, uint8_t allowed)
{
    struct virtio_net_hdr *vnet = &f->vnet;
    uint8_t needs = gso_needs(vnet->gso_type, h);
    unsigned bytes;

    if (needs == 0 || needs & ~allowed || vnet->gso_size == 0 ||
        GUINT16_FROM_LE(vnet->csum_start) != h->l4) {
        return false;
    }
    bytes = l4_bytes(f, h);
    if (bytes == 0 || h->l4 + bytes >= f->bytes || !check_lengths(f, h)) {
        return false;
    }
    vnet->hdr_len = GUINT16_TO_LE(h->l4 + bytes);
    if (h->protocol == IPPROTO_TCP) {
        vnet->gso_type &= ~VIRTIO_NET_HDR_GSO_ECN;
        if (f->head[h->l4 + TCP_FLAGS_AT] & TCP_CWR) {
            vnet->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
        }
    }
    return true;
}

bool offload_check(Frame *f, uint8_t allowed)
{
    struct virtio_net_hdr *vnet = &f->vnet;
    FrameHeaders h;

    vnet->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
    if (offload_is_plain(f)) {
        *vnet = (struct virtio_net_hdr) { 0 };
        return true;
    }
    if (!vnet->flags || !(allowed & OFFLOAD_CSUM) ||
        !frame_find_headers(f, &h) || h.tags > GUEST_TAGS ||
        !check_csum(f, &h)) {
        return false;
    }
    if (vnet->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
        vnet->hdr_len = vnet->gso_size = 0;
        return true;
    }
    return check_gso(f, &h, allowed);
}

uint8_t offload_needs_of(const Frame *f)
{
    FrameHeaders h;

    if (f->vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
        return OFFLOAD_CSUM;
    }
    frame_find_headers(f, &h);
    return OFFLOAD_CSUM | gso_needs(f->vnet.gso_type, &h);
}

/* -- Convert --------------------------------------------------------------- */

Offload *offload_new(void)
{
    Offload *o = g_new0(Offload, 1);

    o->piece.data = o->data;
    return o;
}

void offload_free(Offload *o)
{
    g_free(o);
}

/* The only time that the sender's buffers are read. */
static void copy_frame(Offload *o, const Frame *f)
{
    frame_gather(f, o->data);
    o->piece.bytes = f->bytes;
}

/* From where the header says to the end of the frame, padding included. */
static unsigned complete(Offload *o, const Frame *f)
{
    unsigned start = GUINT16_FROM_LE(f->vnet.csum_start);
    unsigned offset = GUINT16_FROM_LE(f->vnet.csum_offset);
    Frame *to = &o->frame[0];

    *to = *f;
    to->buffer = NULL;
    to->vnet = (struct virtio_net_hdr) { 0 };
    to->rest = &o->piece;
    to->rest_offset = f->head_bytes;
    csum_put_nonzero(to->head + start + offset,
                     csum_add(0, o->data + start, f->bytes - start));
    o->out[0] = to;
    return 1;
}

/* IP's header of segment @i, which is all of @to. */
static void set_ip(Frame *to, const FrameHeaders *h, unsigned i)
{
    uint8_t *ip = to->head + h->l3;
    unsigned ip_bytes = to->bytes - h->l3;

    if (h->ip_version == 6) {
        put_be16(ip + 4, ip_bytes - IPV6_BYTES);
        return;
    }
    put_be16(ip + 2, ip_bytes);
    put_be16(ip + 4, get_be16(ip + 4) + i);
    put_be16(ip + 10, 0);
    csum_put(ip + 10, csum_add(0, ip, h->l4 - h->l3));
}

static void set_tcp(uint8_t *tcp, uint32_t offset, bool last)
{
    put_be32(tcp + TCP_SEQ_AT, get_be32(tcp + TCP_SEQ_AT) + offset);
    if (offset > 0) {
        /* Answered once (RFC 3168, 6.1.2). */
        tcp[TCP_FLAGS_AT] &= ~TCP_CWR;
    }
    if (!last) {
        tcp[TCP_FLAGS_AT] &= ~(TCP_FIN | TCP_PSH);
    }
}

static unsigned segment(Offload *o, const Frame *f, const FrameHeaders *h)
{
    unsigned headers = GUINT16_FROM_LE(f->vnet.hdr_len);
    unsigned size = GUINT16_FROM_LE(f->vnet.gso_size);
    uint32_t payload = f->bytes - headers;
    unsigned n = payload / size + (payload % size > 0);
    unsigned csum_at = h->l4 + l4_of(h->protocol)->csum_at;
    uint16_t word;
    uint64_t sum;

    if (n > OFFLOAD_MAX_SEGMENTS) {
        return 0;
    }
    copy_frame(o, f);

    /* The pseudo header without a length. */
    memcpy(&word, f->head + csum_at, sizeof(word));
    sum = word + (uint16_t)~GUINT16_TO_BE(f->bytes - h->l4);

    for (unsigned i = 0; i < n; i++) {
        uint32_t offset = i * size, part = MIN(size, payload - offset);
        Frame *to = &o->frame[i];
        uint8_t *l4 = to->head + h->l4;
        uint16_t l4_and_part = headers - h->l4 + part;
        uint64_t all = sum + GUINT16_TO_BE(l4_and_part);

        to->bytes = headers + part;
        to->head_bytes = headers;
        to->rest = &o->piece;
        to->beside = f->beside;
        to->buffer = NULL;
        to->rest_offset = headers + offset;
        to->vnet = (struct virtio_net_hdr) { 0 };
        memcpy(to->head, f->head, headers);
        set_ip(to, h, i);
        if (h->protocol == IPPROTO_TCP) {
            set_tcp(l4, offset, i + 1 == n);
        } else {
            put_be16(l4 + UDP_LENGTH_AT, l4_and_part);
        }
        put_be16(to->head + csum_at, 0);
        all = csum_add(all, l4, headers - h->l4);
        all = csum_add(all, o->data + to->rest_offset, part);
        csum_put_nonzero(to->head + csum_at, all);
        o->out[i] = to;
    }
    return n;
}

unsigned offload_convert(Offload *o, const Frame *f, uint8_t accepted,
                         const Frame *const **frames)
{
    FrameHeaders h;

    *frames = o->out;
    if (!(offload_needs(f) & ~accepted)) {
        o->out[0] = f;
        return 1;
    }
    if (f->bytes > sizeof(o->data)) {
        return 0;
    }
    if (f->vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
        copy_frame(o, f);
        return complete(o, f);
    }
    frame_find_headers(f, &h);
    return segment(o, f, &h);
}
