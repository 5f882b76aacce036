/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame under way from one guest's buffers to another's.
 *
 * Its head, all that any decision reads, and its virtio-net header are copied
 * here once; they are what decisions are made on and what is written out.  The
 * rest stays in the sender's buffers until it is copied, once, to where it
 * goes.  A sender that writes to its buffers meanwhile changes payload, never
 * what was decided on.  A frame never goes back to the port that it came from,
 * whose buffers may be the same.
 *
 * Nearly all frames come in one segment and go into one: that way is inline.
 *
 * Threads: caller-owned state.
 */
#ifndef VUS_FRAME_H
#define VUS_FRAME_H

#include <linux/virtio_net.h>
#include <string.h>

#include "vring.h"

/* Ethernet, two VLAN tags, IPv6 with some options, TCP with some. */
#define FRAME_HEAD_BYTES 128
/* A tag more that the switch puts in. */
#define FRAME_HEAD_ROOM 4

/* Of the virtio-net header: the old one has no num_buffers. */
#define FRAME_VNET_BYTES sizeof(struct virtio_net_hdr_v1)
#define FRAME_VNET_OLD_BYTES sizeof(struct virtio_net_hdr)

#define FRAME_MIN_BYTES 14          /* an Ethernet header */
/* IPv6's largest packet without jumbograms, and two tags. */
#define FRAME_MAX_BYTES (14 + 8 + 40 + 65535)

/*
 * Where a frame lies that came from a member of a domain: the buffer itself can
 * go on to another one, if nobody else gets the frame and nothing of it was
 * changed.
 */
typedef struct FrameBuffer {
    const struct Domain *domain;
    const struct netvm_desc *desc;
    bool shared;                /* others get it, too: it has to be copied */
    bool gone;                  /* it went on */
} FrameBuffer;

typedef struct Frame {
    uint32_t bytes;             /* from the destination address on */
    uint32_t head_bytes;        /* of them in head */
    /* Where the rest begins; valid as long as the burst it came with. */
    const VringSegment *rest;
    const struct RtBeside *beside;  /* NULL: it has no deadline */
    FrameBuffer *buffer;        /* NULL: it can only be copied */
    uint32_t rest_offset;
    struct virtio_net_hdr vnet;
    uint8_t head[FRAME_HEAD_BYTES + FRAME_HEAD_ROOM];
} Frame;

/* What a guest has said about the frames it receives. */
typedef struct FrameFormat {
    uint8_t vnet_bytes;         /* FRAME_VNET_BYTES or FRAME_VNET_OLD_BYTES */
    bool mergeable;             /* VIRTIO_NET_F_MRG_RXBUF */
} FrameFormat;

/* -- Out of the sender's buffers ------------------------------------------- */

/* Up to the whole head; no call, and no loop, for the usual lengths. */
static inline void frame_copy_head(uint8_t *to, const uint8_t *from,
                                   size_t bytes)
{
    if (bytes == FRAME_HEAD_BYTES) {
        memcpy(to, from, FRAME_HEAD_BYTES);
    } else if (bytes > FRAME_HEAD_BYTES) {
        memcpy(to, from, bytes);
    } else if (bytes >= 64) {
        memcpy(to, from, 64);
        if (bytes > 64) {
            memcpy(to + bytes - 64, from + bytes - 64, 64);
        }
    } else if (bytes >= 32) {
        memcpy(to, from, 32);
        memcpy(to + bytes - 32, from + bytes - 32, 32);
    } else {
        memcpy(to, from, bytes);
    }
}

/* The long way of frame_read(). */
void frame_read_segments(Frame *f, const VringBurst *b,
                         const VringChain *chain, unsigned vnet_bytes);

/*
 * What lies in @chain of @b.  False if it is shorter than @vnet_bytes and an
 * Ethernet header.
 */
static inline bool frame_read(Frame *f, const VringBurst *b,
                              const VringChain *chain, unsigned vnet_bytes)
{
    const VringSegment *s = &b->segment[chain->first];

    if (G_UNLIKELY(chain->bytes < vnet_bytes + FRAME_MIN_BYTES)) {
        return false;
    }
    f->bytes = chain->bytes - vnet_bytes;
    f->head_bytes = MIN(f->bytes, FRAME_HEAD_BYTES);
    f->beside = NULL;
    f->buffer = NULL;
    if (G_UNLIKELY(chain->segments != 1)) {
        frame_read_segments(f, b, chain, vnet_bytes);
        return true;
    }
    memcpy(&f->vnet, s->data, FRAME_VNET_OLD_BYTES);
    frame_copy_head(f->head, s->data + vnet_bytes, f->head_bytes);
    f->rest = s;
    f->rest_offset = vnet_bytes + f->head_bytes;
    return true;
}

/* All of it, f->bytes, to @to; the sender may write to the rest meanwhile. */
void frame_gather(const Frame *f, uint8_t *to);

/* Its last @bytes, of which it has to have so many. */
void frame_copy_end(const Frame *f, uint8_t *to, uint32_t bytes);

/* -- Into the receiver's --------------------------------------------------- */

typedef enum FrameWritten {
    FRAME_WRITTEN,
    FRAME_NO_ROOM,              /* more chains may become available */
    FRAME_TOO_LONG,             /* never: longer than a chain, not mergeable */
} FrameWritten;

/* The header in front of what takes @buffers chains. */
static inline void frame_put_vnet(uint8_t *to, const Frame *f, uint16_t buffers,
                                  unsigned vnet_bytes)
{
    memcpy(to, &f->vnet, FRAME_VNET_OLD_BYTES);
    if (vnet_bytes == FRAME_VNET_BYTES) {
        buffers = GUINT16_TO_LE(buffers);
        memcpy(to + FRAME_VNET_OLD_BYTES, &buffers, sizeof(buffers));
    }
}

/* The long way of frame_write(), for at least one chain. */
FrameWritten frame_write_segments(const Frame *f, const VringBurst *b,
                                  unsigned *at, FrameFormat format,
                                  const GuestMem *mem,
                                  uint32_t written[VRING_BURST]);

/*
 * Write @f into chains of @b, from *@at on, and how much into @written at the
 * same places; then *@at is behind them.  Else nothing counts as written.
 */
static inline FrameWritten frame_write(const Frame *f, const VringBurst *b,
                                       unsigned *at, FrameFormat format,
                                       const GuestMem *mem,
                                       uint32_t written[VRING_BURST])
{
    uint32_t rest_bytes = f->bytes - f->head_bytes;
    uint32_t bytes = format.vnet_bytes + f->bytes;
    const VringChain *chain;
    const VringSegment *to;
    uint8_t *data;

    if (G_UNLIKELY(*at >= b->n)) {
        return FRAME_NO_ROOM;
    }
    chain = &b->chain[*at];
    to = &b->segment[chain->first];
    if (G_UNLIKELY(chain->segments != 1 || to->bytes < bytes ||
                   bytes < f->bytes ||
                   (rest_bytes > 0 &&
                    rest_bytes > f->rest->bytes - f->rest_offset))) {
        return frame_write_segments(f, b, at, format, mem, written);
    }
    data = to->data;
    frame_put_vnet(data, f, 1, format.vnet_bytes);
    data += format.vnet_bytes;
    frame_copy_head(data, f->head, f->head_bytes);
    if (rest_bytes > 0) {
        memcpy(data + f->head_bytes, f->rest->data + f->rest_offset,
               rest_bytes);
    }
    guest_mem_dirty(mem, to->data, bytes);
    written[(*at)++] = bytes;
    return FRAME_WRITTEN;
}

#endif
