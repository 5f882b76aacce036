/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The specification of the trailer, once more.
 *
 * Threads: pure functions.
 */
#include "frame-oracle.h"

#include <string.h>

#define TRAILER_BYTES 32

static const uint8_t magic[4] = "RTv1";

static unsigned be16(const uint8_t *p)
{
    return p[0] * 256u + p[1];
}

/* RFC 3720, one bit at a time. */
static uint32_t crc32c(const uint8_t *data, size_t len)
{
    uint32_t crc = 0xffffffff;
    size_t i;
    int bit;

    for (i = 0; i < len; i++) {
        crc ^= data[i];
        for (bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
        }
    }
    return ~crc;
}

static void crc_bytes(const uint8_t *trailer, uint8_t out[4])
{
    uint32_t crc = crc32c(trailer, 24);
    int i;

    for (i = 0; i < 4; i++) {
        out[i] = crc >> (24 - 8 * i);
    }
}

size_t oracle_l3_offset(const uint8_t *frame, size_t len)
{
    size_t type_at = 12;
    int tags;

    for (tags = 0; ; tags++) {
        unsigned type;

        if (len < type_at + 2) {
            return 0;
        }
        type = be16(frame + type_at);
        if ((type != 0x8100 && type != 0x88a8) || tags == 2) {
            return type_at + 2;
        }
        type_at += 4;
    }
}

size_t oracle_ip_end(const uint8_t *frame, size_t len)
{
    size_t l3 = oracle_l3_offset(frame, len), ip_bytes;
    const uint8_t *ip = frame + l3;
    unsigned type;

    if (!l3) {
        return 0;
    }
    type = be16(frame + l3 - 2);
    if (type == 0x0800) {
        if (len - l3 < 20 || ip[0] / 16 != 4 || ip[0] % 16 < 5) {
            return 0;
        }
        ip_bytes = be16(ip + 2);
        if (ip_bytes < ip[0] % 16 * 4u) {
            return 0;
        }
    } else if (type == 0x86dd) {
        if (len - l3 < 40 || ip[0] / 16 != 6) {
            return 0;
        }
        ip_bytes = 40 + be16(ip + 4);
        if (ip_bytes == 40 && ip[6] == 0) {         /* jumbogram */
            return 0;
        }
    } else {
        return 0;
    }
    return l3 + ip_bytes <= len ? l3 + ip_bytes : 0;
}

bool oracle_has_magic(const uint8_t *frame, size_t len)
{
    return len >= TRAILER_BYTES && !memcmp(frame + len - 4, magic, 4);
}

bool oracle_trailer_is_valid(const uint8_t *frame, size_t len)
{
    size_t ip_end = oracle_ip_end(frame, len);
    const uint8_t *t = frame + len - TRAILER_BYTES;
    uint8_t crc[4];

    if (!oracle_has_magic(frame, len) || !ip_end || t[22] / 16 != 1) {
        return false;
    }
    crc_bytes(t, crc);
    return !memcmp(t + 24, crc, 4) &&
           ip_end + be16(t + 20) + TRAILER_BYTES == len;
}

void oracle_seal(uint8_t *frame, size_t len)
{
    uint8_t *t = frame + len - TRAILER_BYTES;

    t[22] = 0x10 | (t[22] & 0x0f);
    crc_bytes(t, t + 24);
    memcpy(t + 28, magic, 4);
}

bool oracle_same_checksum(const uint8_t a[2], const uint8_t b[2])
{
    return be16(a) % 0xffff == be16(b) % 0xffff;
}
