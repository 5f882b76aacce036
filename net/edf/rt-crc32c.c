/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC-32C, eight bytes per step.
 *
 * Without an instruction for it, a table does that ("slicing by 8"): slice k
 * maps a byte to what it adds to the CRC when k more bytes follow.  The map is
 * linear, so the images of the eight bits give the whole table.
 *
 * Threads: pure functions.
 */
#include "rtnet/rt-crc32c.h"

#define IMAGE(i, a, b, c, d, e, f, g, h)                                    \
    (((i) & 0x01 ? a : 0) ^ ((i) & 0x02 ? b : 0) ^                          \
     ((i) & 0x04 ? c : 0) ^ ((i) & 0x08 ? d : 0) ^                          \
     ((i) & 0x10 ? e : 0) ^ ((i) & 0x20 ? f : 0) ^                          \
     ((i) & 0x40 ? g : 0) ^ ((i) & 0x80 ? h : 0))
#define IMAGE4(i, ...)                                                      \
    IMAGE(i, __VA_ARGS__), IMAGE((i) + 1, __VA_ARGS__),                     \
    IMAGE((i) + 2, __VA_ARGS__), IMAGE((i) + 3, __VA_ARGS__)
#define IMAGE16(i, ...)                                                     \
    IMAGE4(i, __VA_ARGS__), IMAGE4((i) + 4, __VA_ARGS__),                   \
    IMAGE4((i) + 8, __VA_ARGS__), IMAGE4((i) + 12, __VA_ARGS__)
#define IMAGE64(i, ...)                                                     \
    IMAGE16(i, __VA_ARGS__), IMAGE16((i) + 16, __VA_ARGS__),                \
    IMAGE16((i) + 32, __VA_ARGS__), IMAGE16((i) + 48, __VA_ARGS__)
#define SLICE(...)                                                          \
    { IMAGE64(0, __VA_ARGS__), IMAGE64(64, __VA_ARGS__),                    \
      IMAGE64(128, __VA_ARGS__), IMAGE64(192, __VA_ARGS__) }

static const uint32_t crc_slices[8][256] = {
    /* By the number of bytes that follow; bit 0 first. */
    SLICE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu,
          0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
    SLICE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u,
          0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
    SLICE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u,
          0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
    SLICE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u,
          0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
    SLICE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u,
          0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu),
    SLICE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu,
          0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u),
    SLICE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u,
          0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u),
    SLICE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau,
          0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u),
};

static uint32_t get_le32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t rt_crc32c(const uint8_t *data, size_t len)
{
    uint32_t crc = UINT32_MAX, high;

    for (; len >= 8; len -= 8, data += 8) {
        crc ^= get_le32(data);
        high = get_le32(data + 4);
        crc = crc_slices[7][crc & 0xff] ^ crc_slices[6][crc >> 8 & 0xff] ^
              crc_slices[5][crc >> 16 & 0xff] ^ crc_slices[4][crc >> 24] ^
              crc_slices[3][high & 0xff] ^ crc_slices[2][high >> 8 & 0xff] ^
              crc_slices[1][high >> 16 & 0xff] ^ crc_slices[0][high >> 24];
    }
    for (; len > 0; len--, data++) {
        crc = crc >> 8 ^ crc_slices[0][(crc ^ *data) & 0xff];
    }
    return ~crc;
}
