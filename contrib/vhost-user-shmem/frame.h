/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame under way from one guest's buffers to another's.
 *
 * Its head, all that any decision reads, and its virtio-net header are copied
 * here once; they are what decisions are made on and what is written out.  The
 * rest stays in the sender's buffers until it is copied, once, to where it goes.
 * So a sender that writes to its buffers meanwhile changes payload, and never
 * what was decided on.  A frame never goes back to the port that it came from,
 * whose buffers may be the same.
 *
 * Threads: caller-owned state.
 */
#ifndef VUS_FRAME_H
#define VUS_FRAME_H

#include <linux/virtio_net.h>

#include "vring.h"

/* Ethernet, two VLAN tags, IPv6 with some options, TCP with some. */
#define FRAME_HEAD_BYTES 128

/* Of the virtio-net header: the old one has no num_buffers. */
#define FRAME_VNET_BYTES sizeof(struct virtio_net_hdr_v1)
#define FRAME_VNET_OLD_BYTES sizeof(struct virtio_net_hdr)

#define FRAME_MIN_BYTES 14          /* an Ethernet header */

typedef struct Frame {
    uint32_t bytes;             /* from the destination address on */
    uint32_t head_bytes;        /* of them in head */
    /* Where the rest begins; valid as long as the burst it came with. */
    const VringSegment *rest;
    uint32_t rest_offset;
    struct virtio_net_hdr_v1 vnet;
    uint8_t head[FRAME_HEAD_BYTES];
} Frame;

/* What a guest has said about the frames it receives. */
typedef struct FrameFormat {
    uint8_t vnet_bytes;         /* FRAME_VNET_BYTES or FRAME_VNET_OLD_BYTES */
    bool mergeable;             /* VIRTIO_NET_F_MRG_RXBUF */
} FrameFormat;

/*
 * What lies in @chain of @b.  False if it is shorter than @vnet_bytes and an
 * Ethernet header.
 */
bool frame_read(Frame *f, const VringBurst *b, const VringChain *chain,
                unsigned vnet_bytes);

typedef enum FrameWritten {
    FRAME_WRITTEN,
    FRAME_NO_ROOM,              /* more chains may become available */
    FRAME_TOO_LONG,             /* never: longer than a chain, not mergeable */
} FrameWritten;

/*
 * Write @f into chains of @b, from *@at on, and how much into @written at the
 * same places; then *@at is behind them.  Else nothing counts as written.
 */
FrameWritten frame_write(const Frame *f, const VringBurst *b, unsigned *at,
                         FrameFormat format, const GuestMem *mem,
                         uint32_t written[VRING_BURST]);

#endif
