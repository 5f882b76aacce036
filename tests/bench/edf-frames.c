/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads: see edf-frames.h. */
#include <string.h>

#include "edf-frames.h"
#include "rtnet/rt-trailer.h"

#define BODY_OFFSET (EDF_HEADERS_BYTES + sizeof(EdfStamp))
#define UDP_FROM 1024           /* source 0 */
#define UDP_TO 9                /* discard */
#define SINK 0xffff             /* as a number of a source */

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static void put_mac(uint8_t *at, uint16_t source)
{
    const uint8_t mac[] = { 0x52, 0x54, 0, 0xed, source >> 8, source };

    memcpy(at, mac, sizeof(mac));
}

static void put_ip(uint8_t *at, uint16_t source)
{
    const uint8_t ip[] = { 10, 0, source >> 8 & 0x7f, source };

    memcpy(at, ip, sizeof(ip));
}

static uint16_t ip_checksum(const uint8_t *header)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < 20; i += 2) {
        sum += header[i] << 8 | header[i + 1];
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum;
}

void edf_template_init(EdfTemplate *t, unsigned source, uint32_t bytes)
{
    uint8_t *ip = t->frame + 14, *udp = ip + 20;

    memset(t, 0, sizeof(*t));
    t->bytes = bytes;
    put_mac(t->frame, SINK);
    put_mac(t->frame + 6, source);
    put16(t->frame + 12, 0x0800);
    ip[0] = 0x45;
    put16(ip + 2, bytes - 14);
    ip[8] = 64;                                 /* hops */
    ip[9] = 17;                                 /* UDP */
    put_ip(ip + 12, source);
    put_ip(ip + 16, SINK);
    put16(ip + 10, ip_checksum(ip));
    put16(udp, UDP_FROM + source);
    put16(udp + 2, UDP_TO);
    put16(udp + 4, bytes - 34);                 /* checksum 0: none */
    memset(t->frame + BODY_OFFSET, source, bytes - BODY_OFFSET);
}

void edf_frame_write(uint8_t *frame, const EdfTemplate *t)
{
    memcpy(frame, t->frame, t->bytes);
}

void edf_frame_stamp(uint8_t *frame, unsigned source, uint32_t sequence,
                     uint64_t now_ns)
{
    EdfStamp stamp = {
        .sent_ns = now_ns, .sequence = sequence, .source = source,
    };

    memcpy(frame + EDF_HEADERS_BYTES, &stamp, sizeof(stamp));
}

bool edf_frame_check(const uint8_t *frame, uint32_t bytes,
                     const EdfTemplate *const *t, unsigned sources,
                     EdfStamp *stamp)
{
    const EdfTemplate *is;

    if (bytes < EDF_MIN_FRAME_BYTES) {
        return false;
    }
    memcpy(stamp, frame + EDF_HEADERS_BYTES, sizeof(*stamp));
    if (stamp->source >= sources) {
        return false;
    }
    is = t[stamp->source];
    return bytes == is->bytes + (is->trailed ? RT_TRAILER_BYTES : 0) &&
           memcmp(frame, is->frame, EDF_HEADERS_BYTES) == 0 &&
           memcmp(frame + BODY_OFFSET, is->frame + BODY_OFFSET,
                  is->bytes - BODY_OFFSET) == 0 &&
           (!is->trailed || rt_trailer_verify(frame + is->bytes));
}
