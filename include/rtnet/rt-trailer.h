/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 32 bytes behind a real-time frame: docs/specs/rt-trailer.rst.
 *
 * Pure codec: no clock, no policy.  Frames are copies that nobody else can
 * change.
 */
#ifndef RTNET_RT_TRAILER_H
#define RTNET_RT_TRAILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rtnet/rt-frame.h"

#define RT_TRAILER_BYTES 32
#define RT_TRAILER_VERSION 1
#define RT_TRAILER_MAGIC 0x52547631u        /* "RTv1" */
#define RT_TRAILER_MAX_DEADLINE_NS UINT32_MAX

/* Low four bits of byte 22. */
#define RT_TRAILER_F_CLOCK_SYNC     0x1     /* T_s is from a synchronised clock */
#define RT_TRAILER_F_ADMITTED       0x2     /* the sender's flow was admitted */
#define RT_TRAILER_F_DSCP_REWRITTEN 0x4     /* guest_dscp differs from the wire */
#define RT_TRAILER_F_LATE           0x8     /* T_s + T_d had passed at departure */

typedef struct RtTrailer {
    uint64_t sent_tai_ns;       /* T_s */
    uint32_t deadline_ns;       /* T_d, relative; 0: best effort */
    uint32_t sequence;
    uint32_t source_id;
    uint16_t padding_bytes;     /* added between IP and trailer */
    uint8_t flags;              /* RT_TRAILER_F_* */
    uint8_t guest_dscp;         /* 0..63 */
} RtTrailer;

/* -- Codec ----------------------------------------------------------------- */

/* Write @t with version, CRC and magic into @out. */
void rt_trailer_encode(const RtTrailer *t, uint8_t out[RT_TRAILER_BYTES]);

/* Read @in; false if version, CRC or magic is wrong. */
bool rt_trailer_decode(RtTrailer *t, const uint8_t in[RT_TRAILER_BYTES]);

/* CRC-32C (Castagnoli, reflected, as in RFC 3720), for bytes 0..23. */
uint32_t rt_crc32c(const uint8_t *data, size_t len);

/* -- In a frame ------------------------------------------------------------ */

typedef enum RtTrailerFound {
    RT_TRAILER_NONE,            /* ends like no trailer: no magic */
    RT_TRAILER_VALID,
    RT_TRAILER_REJECTED,        /* magic, but CRC, version or lengths wrong:
                                 * payload, or corrupt; left in place */
} RtTrailerFound;

/*
 * Does @frame (@len bytes, parsed as @f) end with a trailer?  Valid only if
 * l2 + l3 + padding + 32 == len, too.
 */
RtTrailerFound rt_trailer_find(RtTrailer *t, const RtFrame *f,
                               const uint8_t *frame, size_t len);

#endif
