/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * RFC 1071, 9293, 768, 791, 8200 and 3168, without the code under test.
 *
 * Threads: single.
 */
#include "l4-model.h"

#define TCP 6
#define UDP 17

static unsigned get16(const uint8_t *p)
{
    return p[0] * 256u + p[1];
}

static void set16(uint8_t *p, unsigned value)
{
    p[0] = value / 256;
    p[1] = value % 256;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) * 65536u + get16(p + 2);
}

static void set32(uint8_t *p, uint32_t value)
{
    set16(p, value / 65536);
    set16(p + 2, value % 65536);
}

/* -- Sums ------------------------------------------------------------------ */

uint16_t l4_model_add(uint16_t a, uint16_t b)
{
    uint32_t sum = a + b;

    return sum > 0xffff ? sum - 0xffff : sum;
}

uint16_t l4_model_sum(const uint8_t *p, size_t bytes)
{
    uint16_t sum = 0;

    for (size_t i = 0; i < bytes; i++) {
        sum = l4_model_add(sum, i % 2 ? p[i] : p[i] * 256);
    }
    return sum;
}

uint16_t l4_model_pseudo(const uint8_t *frame, size_t bytes, const L4Model *m)
{
    const uint8_t *ip = frame + m->l3;
    uint16_t sum = m->ip_version == 4 ? l4_model_sum(ip + 12, 8)
                                      : l4_model_sum(ip + 8, 32);

    sum = l4_model_add(sum, m->protocol);
    return l4_model_add(sum, bytes - m->l4);
}

/* -- Headers --------------------------------------------------------------- */

static bool is_extension(unsigned next)
{
    return next == 0 || next == 43 || next == 60;
}

static bool parse_ip(const uint8_t *frame, size_t bytes, unsigned type,
                     L4Model *m)
{
    const uint8_t *ip = frame + m->l3;

    if (type == 0x0800) {
        if (m->l3 + 20 > bytes || ip[0] < 0x45 || ip[0] > 0x4f ||
            get16(ip + 6) % 0x4000 != 0) {
            return false;
        }
        m->ip_version = 4;
        m->protocol = ip[9];
        m->l4 = m->l3 + ip[0] % 16 * 4;
        return true;
    }
    if (type != 0x86dd || m->l3 + 40 > bytes || ip[0] / 16 != 6) {
        return false;
    }
    m->ip_version = 6;
    m->protocol = ip[6];
    m->l4 = m->l3 + 40;
    while (is_extension(m->protocol)) {
        if (m->l4 + 2 > bytes) {
            return false;
        }
        m->protocol = frame[m->l4];
        m->l4 += 8 + 8 * frame[m->l4 + 1];
    }
    return true;
}

bool l4_model_parse(const uint8_t *frame, size_t bytes, L4Model *m)
{
    unsigned type = get16(frame + 12);

    for (m->l3 = 14; type == 0x8100 || type == 0x88a8; m->l3 += 4) {
        if (m->l3 + 4 > bytes) {
            return false;
        }
        type = get16(frame + m->l3 + 2);
    }
    if (!parse_ip(frame, bytes, type, m)) {
        return false;
    }
    if (m->protocol == TCP && m->l4 + 20 <= bytes &&
        frame[m->l4 + 12] / 16 >= 5) {
        m->payload = m->l4 + frame[m->l4 + 12] / 16 * 4;
        m->csum = m->l4 + 16;
        return m->payload <= bytes;
    }
    if (m->protocol == UDP) {
        m->payload = m->l4 + 8;
        m->csum = m->l4 + 6;
        return m->payload <= bytes;
    }
    return false;
}

/* IP's and UDP's. */
static void set_lengths(uint8_t *frame, size_t bytes, const L4Model *m)
{
    if (m->ip_version == 4) {
        set16(frame + m->l3 + 2, bytes - m->l3);
    } else {
        set16(frame + m->l3 + 4, bytes - m->l3 - 40);
    }
    if (m->protocol == UDP) {
        set16(frame + m->l4 + 4, bytes - m->l4);
    }
}

const char *l4_model_verify(const uint8_t *frame, size_t bytes)
{
    uint8_t want[256];
    L4Model m;

    if (!l4_model_parse(frame, bytes, &m)) {
        return "no TCP or UDP packet";
    }
    memcpy(want, frame, m.payload);
    set_lengths(want, bytes, &m);
    if (memcmp(want, frame, m.payload) != 0) {
        return "a length";
    }
    if (m.ip_version == 4 &&
        l4_model_sum(frame + m.l3, m.l4 - m.l3) != 0xffff) {
        return "the checksum of the IPv4 header";
    }
    if (m.protocol == UDP && get16(frame + m.csum) == 0) {
        return "no UDP checksum";
    }
    if (l4_model_add(l4_model_pseudo(frame, bytes, &m),
                     l4_model_sum(frame + m.l4, bytes - m.l4)) != 0xffff) {
        return "the checksum";
    }
    return NULL;
}

/* -- What is to come out --------------------------------------------------- */

size_t l4_model_flatten(const Frame *f, uint8_t *to)
{
    const VringSegment *s = f->rest;
    uint32_t offset = f->rest_offset;

    memcpy(to, f->head, f->head_bytes);
    for (size_t i = f->head_bytes; i < f->bytes; i++) {
        while (offset == s->bytes) {
            s++;
            offset = 0;
        }
        to[i] = s->data[offset++];
    }
    return f->bytes;
}

/* The field, when the sum of all with @was in it is @sum. */
static unsigned completed(uint16_t sum)
{
    return sum == 0xffff ? 0xffff : (uint16_t)~sum;
}

static const char *check_completed(const uint8_t *sent, size_t bytes,
                                   const struct virtio_net_hdr *vnet,
                                   const uint8_t *got, bool payload_known)
{
    size_t start = GUINT16_FROM_LE(vnet->csum_start);
    size_t field = start + GUINT16_FROM_LE(vnet->csum_offset);
    static uint8_t want[L4_MODEL_MAX_BYTES];

    memcpy(want, payload_known ? sent : got, bytes);
    memcpy(want, sent, MIN(bytes, FRAME_HEAD_BYTES));
    set16(want + field, completed(l4_model_sum(want + start, bytes - start)));
    if (get16(want + field) != get16(got + field)) {
        return "the checksum that was completed";
    }
    return memcmp(want, got, bytes) == 0 ? NULL : "something else changed";
}

static void set_ip(uint8_t *frame, size_t bytes, const L4Model *m, unsigned i)
{
    uint8_t *ip = frame + m->l3;

    set_lengths(frame, bytes, m);
    if (m->ip_version == 4) {
        set16(ip + 4, (get16(ip + 4) + i) % 65536);
        set16(ip + 10, 0);
        set16(ip + 10, (uint16_t)~l4_model_sum(ip, m->l4 - m->l3));
    }
}

static void set_tcp(uint8_t *tcp, uint32_t offset, bool last)
{
    set32(tcp + 4, get32(tcp + 4) + offset);
    if (!last) {
        tcp[13] &= 0xff - 0x01 - 0x08;      /* FIN, PSH */
    }
    if (offset > 0) {
        tcp[13] &= 0xff - 0x80;             /* CWR */
    }
}

/*
 * Segment @i has @bytes at @got, and there is @more; @wrong is what the sender
 * has added to the pseudo header's sum.
 */
static const char *check_segment(const uint8_t *sent, const L4Model *m,
                                 unsigned i, uint32_t offset, bool more,
                                 uint16_t wrong, const uint8_t *got,
                                 size_t bytes)
{
    static uint8_t want[L4_MODEL_MAX_BYTES];
    uint16_t sum;

    memcpy(want, sent, m->payload);
    memcpy(want + m->payload, got + m->payload, bytes - m->payload);
    set_ip(want, bytes, m, i);
    if (m->protocol == TCP) {
        set_tcp(want + m->l4, offset, !more);
    }
    set16(want + m->csum, 0);
    sum = l4_model_add(l4_model_pseudo(want, bytes, m),
                       l4_model_sum(want + m->l4, bytes - m->l4));
    set16(want + m->csum, completed(l4_model_add(sum, wrong)));
    if (get16(want + m->csum) != get16(got + m->csum)) {
        return "the checksum of a segment";
    }
    return memcmp(want, got, m->payload) == 0 ? NULL
                                              : "the headers of a segment";
}

static const char *check_segments(const uint8_t *sent, size_t bytes,
                                  const struct virtio_net_hdr *vnet,
                                  const Frame *const *out, unsigned n,
                                  bool payload_known)
{
    static uint8_t got[L4_MODEL_MAX_BYTES];
    size_t size = GUINT16_FROM_LE(vnet->gso_size), at, part;
    uint16_t wrong;
    L4Model m;

    if (!l4_model_parse(sent, bytes, &m)) {
        return "what was sent";
    }
    wrong = l4_model_add(get16(sent + m.csum),
                         ~l4_model_pseudo(sent, bytes, &m));
    at = m.payload;
    for (unsigned i = 0; i < n; i++, at += part) {
        const char *error;

        part = MIN(size, bytes - at);
        if (part == 0 || out[i]->bytes != m.payload + part) {
            return "the length of a segment";
        }
        l4_model_flatten(out[i], got);
        error = check_segment(sent, &m, i, at - m.payload, at + part < bytes,
                              wrong, got, m.payload + part);
        if (error) {
            return error;
        }
        if (payload_known && memcmp(got + m.payload, sent + at, part) != 0) {
            return "payload";
        }
    }
    return at == bytes ? NULL : "there are too few segments";
}

const char *l4_model_check(const uint8_t *sent, size_t bytes,
                           const struct virtio_net_hdr *vnet,
                           const Frame *const *out, unsigned n,
                           bool payload_known)
{
    static const struct virtio_net_hdr plain;
    static uint8_t got[L4_MODEL_MAX_BYTES];

    for (unsigned i = 0; i < n; i++) {
        if (memcmp(&out[i]->vnet, &plain, sizeof(plain)) != 0) {
            return "a frame is not plain";
        }
    }
    if (vnet->gso_type != 0) {
        return check_segments(sent, bytes, vnet, out, n, payload_known);
    }
    if (n != 1 || out[0]->bytes != bytes) {
        return "not one frame of the same length";
    }
    l4_model_flatten(out[0], got);
    return check_completed(sent, bytes, vnet, got, payload_known);
}
