/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 32 bytes behind a real-time frame: docs/specs/rt-trailer.rst.
 *
 * Pure codec: no clock, no policy.  Frames are copies that nobody else can
 * change.  All of it is inline, so that a field that is not asked for is not
 * read.
 *
 * Threads: none.
 */
#ifndef RTNET_RT_TRAILER_H
#define RTNET_RT_TRAILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rtnet/rt-bytes.h"
#include "rtnet/rt-crc32c.h"
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

/* Where the fields are. */
enum {
    RT_TRAILER_OFS_SENT_TAI = 0,
    RT_TRAILER_OFS_DEADLINE = 8,
    RT_TRAILER_OFS_SEQUENCE = 12,
    RT_TRAILER_OFS_SOURCE_ID = 16,
    RT_TRAILER_OFS_PADDING = 20,
    RT_TRAILER_OFS_VERSION_FLAGS = 22,
    RT_TRAILER_OFS_DSCP = 23,
    RT_TRAILER_OFS_CRC = 24,
    RT_TRAILER_OFS_MAGIC = 28,
};

#define RT_TRAILER_FLAGS_MASK 0x0f
#define RT_TRAILER_DSCP_MASK 0x3f

/* -- Codec ----------------------------------------------------------------- */

/* Write @t with version, CRC and magic into @out. */
static inline void rt_trailer_encode(const RtTrailer *t,
                                     uint8_t out[RT_TRAILER_BYTES])
{
    rt_put_be64(out + RT_TRAILER_OFS_SENT_TAI, t->sent_tai_ns);
    rt_put_be32(out + RT_TRAILER_OFS_DEADLINE, t->deadline_ns);
    rt_put_be32(out + RT_TRAILER_OFS_SEQUENCE, t->sequence);
    rt_put_be32(out + RT_TRAILER_OFS_SOURCE_ID, t->source_id);
    rt_put_be16(out + RT_TRAILER_OFS_PADDING, t->padding_bytes);
    out[RT_TRAILER_OFS_VERSION_FLAGS] =
        RT_TRAILER_VERSION << 4 | (t->flags & RT_TRAILER_FLAGS_MASK);
    out[RT_TRAILER_OFS_DSCP] = t->guest_dscp & RT_TRAILER_DSCP_MASK;
    rt_put_be32(out + RT_TRAILER_OFS_CRC, rt_crc32c_24(out));
    rt_put_be32(out + RT_TRAILER_OFS_MAGIC, RT_TRAILER_MAGIC);
}

static inline bool rt_trailer_verify(const uint8_t in[RT_TRAILER_BYTES])
{
    return rt_get_be32(in + RT_TRAILER_OFS_MAGIC) == RT_TRAILER_MAGIC &&
           in[RT_TRAILER_OFS_VERSION_FLAGS] >> 4 == RT_TRAILER_VERSION &&
           rt_get_be32(in + RT_TRAILER_OFS_CRC) == rt_crc32c_24(in);
}

/* Read @in, which was verified. */
static inline void rt_trailer_read(RtTrailer *t,
                                   const uint8_t in[RT_TRAILER_BYTES])
{
    t->sent_tai_ns = rt_get_be64(in + RT_TRAILER_OFS_SENT_TAI);
    t->deadline_ns = rt_get_be32(in + RT_TRAILER_OFS_DEADLINE);
    t->sequence = rt_get_be32(in + RT_TRAILER_OFS_SEQUENCE);
    t->source_id = rt_get_be32(in + RT_TRAILER_OFS_SOURCE_ID);
    t->padding_bytes = rt_get_be16(in + RT_TRAILER_OFS_PADDING);
    t->flags = in[RT_TRAILER_OFS_VERSION_FLAGS] & RT_TRAILER_FLAGS_MASK;
    t->guest_dscp = in[RT_TRAILER_OFS_DSCP] & RT_TRAILER_DSCP_MASK;
}

/* Read @in; false if version, CRC or magic is wrong. */
static inline bool rt_trailer_decode(RtTrailer *t,
                                     const uint8_t in[RT_TRAILER_BYTES])
{
    if (!rt_trailer_verify(in)) {
        return false;
    }
    rt_trailer_read(t, in);
    return true;
}

/* -- In a frame ------------------------------------------------------------ */

typedef enum RtTrailerFound {
    RT_TRAILER_NONE,            /* ends like no trailer: no magic */
    RT_TRAILER_VALID,
    RT_TRAILER_REJECTED,        /* magic, but CRC, version or lengths wrong:
                                 * payload, or corrupt; left in place */
} RtTrailerFound;

/*
 * Is @last, the last RT_TRAILER_BYTES of a frame of @len bytes (parsed as @f),
 * a trailer?  Valid only if l2 + l3 + padding + 32 == len, too.
 */
static inline RtTrailerFound
rt_trailer_check(const RtFrame *f, const uint8_t last[RT_TRAILER_BYTES],
                 size_t len)
{
    if (rt_get_be32(last + RT_TRAILER_OFS_MAGIC) != RT_TRAILER_MAGIC) {
        return RT_TRAILER_NONE;
    }
    if (f->ip_version == 0 || !rt_trailer_verify(last) ||
        f->l2_bytes + f->l3_bytes + RT_TRAILER_BYTES +
        rt_get_be16(last + RT_TRAILER_OFS_PADDING) != len) {
        return RT_TRAILER_REJECTED;
    }
    return RT_TRAILER_VALID;
}

/* Does @frame (@len bytes, parsed as @f) end with one, at *@at? */
static inline RtTrailerFound rt_trailer_locate(const uint8_t **at,
                                               const RtFrame *f,
                                               const uint8_t *frame, size_t len)
{
    if (len < RT_TRAILER_BYTES) {
        return RT_TRAILER_NONE;
    }
    *at = frame + len - RT_TRAILER_BYTES;
    return rt_trailer_check(f, *at, len);
}

/* The same, and read it. */
static inline RtTrailerFound rt_trailer_find(RtTrailer *t, const RtFrame *f,
                                             const uint8_t *frame, size_t len)
{
    const uint8_t *at;
    RtTrailerFound found = rt_trailer_locate(&at, f, frame, len);

    if (found == RT_TRAILER_VALID) {
        rt_trailer_read(t, at);
    }
    return found;
}

#endif
