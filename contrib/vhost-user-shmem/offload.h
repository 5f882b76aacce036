/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What virtio-net lets a driver leave to the device, done here for receivers
 * that do not: checksums to be completed, and segments to be cut.
 *
 * A frame whose virtio-net header asks for nothing is plain; nearly all that
 * follows is for the others:
 *
 *   offload_check()    once, as it comes from its sender
 *   offload_needs()    may the receiver have it as it is?
 *   offload_convert()  if not
 *
 * What offload_check() has approved holds as long as nothing in the head is
 * changed but the outer tag (vlan.h).  Payload is not part of it and may change
 * at any time until offload_convert() has copied it; what is converted always
 * agrees with its checksums.
 *
 * Spec: Virtual I/O Device (VIRTIO) 1.2, 5.1.6.
 *
 * Threads: an Offload belongs to one; the rest are pure functions.
 */
#ifndef VUS_OFFLOAD_H
#define VUS_OFFLOAD_H

#include "frame.h"

#define OFFLOAD_MAX_SEGMENTS 256    /* that one frame is cut into */

enum {
    OFFLOAD_CSUM = 1,
    OFFLOAD_TSO4 = 2,
    OFFLOAD_TSO6 = 4,
    OFFLOAD_ECN = 8,                /* TSO of what has CWR set */
    OFFLOAD_USO4 = 16,
    OFFLOAD_USO6 = 32,
};

typedef struct Offload Offload;

/* -- Features -------------------------------------------------------------- */

/* What a guest that agreed on virtio's @features takes, and may send. */
uint8_t offload_accepted(uint64_t features);
uint8_t offload_allowed(uint64_t features);

/* -- Frames ---------------------------------------------------------------- */

static inline bool offload_is_plain(const Frame *f)
{
    uint16_t flags_and_type;

    G_STATIC_ASSERT(offsetof(struct virtio_net_hdr, flags) == 0 &&
                    offsetof(struct virtio_net_hdr, gso_type) == 1);
    memcpy(&flags_and_type, &f->vnet, sizeof(flags_and_type));
    return flags_and_type == 0;
}

/*
 * May a sender that is @allowed so much send @f, which is not plain?  False if
 * its header contradicts that, the frame or itself, or if a header of the frame
 * that matters does not lie within the head.
 *
 * What only hints is made true: hdr_len is that of the headers, the ECN bit
 * says whether CWR is set, fields that mean nothing are zero.  Flags that a
 * driver does not send are cleared: the device has to ignore them, and the
 * receiver would take DATA_VALID for our word.
 */
bool offload_check(Frame *f, uint8_t allowed);

uint8_t offload_needs_of(const Frame *f);

/* What its receiver has to accept. */
static inline uint8_t offload_needs(const Frame *f)
{
    return G_LIKELY(offload_is_plain(f)) ? 0 : offload_needs_of(f);
}

/* -- Convert --------------------------------------------------------------- */

Offload *offload_new(void);
void offload_free(Offload *o);

/*
 * Frames that say the same as @f, in order, and need no more than @accepted:
 * @f itself if that is so, else plain ones.  They are valid until the next
 * call, and as long as @f.  Returns how many; 0 if @f is longer than any frame
 * can be, or would be more than OFFLOAD_MAX_SEGMENTS.
 */
unsigned offload_convert(Offload *o, const Frame *f, uint8_t accepted,
                         const Frame *const **frames);

#endif
