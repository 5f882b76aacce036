/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vhost-user front end that is as light as it can be, so that what is
 * measured is the back end: one port, one pair of rings, no interrupts.
 *
 * Each descriptor has its buffer for good, and back ends give buffers back in
 * order.  So a ring is one number: how many buffers have come back.  Buffer
 * i of a turn lies in slot i, and is offered again by front_offer().  A back
 * end that keeps another order is found out by front_check().
 *
 * A split ring's descriptors and avail ring are written once; after that only
 * an index moves.  A packed descriptor is one 64-bit store per turn.
 *
 * The port's memory is one memfd, of 2 MiB pages where there are any.
 *
 * Threads: one at a time per port.
 */
#ifndef BENCH_VHOST_FRONT_H
#define BENCH_VHOST_FRONT_H

#include <glib.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#define FRONT_MIN_RING 64
#define FRONT_MAX_RING 4096
#define FRONT_BURST 64          /* buffers looked at, at most */
#define FRONT_MAX_FRAME_BYTES 1536
#define FRONT_NET_HEADER_BYTES 12

/* Buffers lie an odd number of cache lines apart: in all sets of a cache. */
#define FRONT_STRIDE_BYTES (33 * 64)
#define FRONT_BUFFER_BYTES (FRONT_STRIDE_BYTES - 64)    /* without header */

#define FRONT_ERROR front_error_quark()
GQuark front_error_quark(void);

typedef struct FrontConfig {
    const char *socket;
    bool listen;                /* or connect */
    bool packed;
    bool mergeable;             /* VIRTIO_NET_F_MRG_RXBUF */
    unsigned ring;              /* descriptors of each ring: a power of two */
} FrontConfig;

typedef struct FrontRing {
    /* Looked at for each burst. */
    uint32_t next;              /* buffers that came back, in all */
    uint32_t size;
    uint32_t wrong;             /* not 0: other than the expected has come */
    bool packed;
    bool mergeable;
    uint8_t *frame;             /* of slot 0 */
    uint64_t *offer;            /* packed: word of a slot, but for its turn */
    union {
        struct {
            struct vring_desc *desc;
            struct vring_avail *avail;
            struct vring_used *used;
        } split;
        struct {
            struct vring_packed_desc *desc;
            struct vring_packed_desc_event *driver;
            struct vring_packed_desc_event *device;
        } packed;
    } at;

    /* Looked at when nothing moves. */
    int kick_fd;
    int call_fd;
} FrontRing;

typedef struct FrontPort FrontPort;
struct FrontPort {
    FrontRing tx, rx;           /* as the guest calls them */
    FrontConfig cfg;
    int listen_fd;
    int fd;
    uint64_t features;
    bool acked;                 /* messages are acknowledged */
    int mem_fd;
    uint8_t *mem;
    size_t mem_bytes;
    bool huge_pages;
};

/* -- Life ------------------------------------------------------------------ */

/*
 * Memory, rings, and the socket if it listens.  Then the frames are written,
 * with front_frame() and front_set_frame_bytes(); then it connects.
 * NULL with @error set.
 */
FrontPort *front_new(const FrontConfig *cfg, GError **error);
void front_free(FrontPort *p);

/* The frame in @slot: behind its header, at the begin of a cache line. */
static inline uint8_t *front_frame(const FrontRing *r, uint32_t slot);
void front_set_frame_bytes(FrontPort *p, uint32_t slot, uint32_t bytes);

/* Wait until the back end is there, and set it up; all buffers are offered. */
bool front_connect(FrontPort *p, unsigned timeout_s, GError **error);

/* Has all gone well?  Also asks whether the back end is still there. */
bool front_check(const FrontPort *p, GError **error);

/* -- Bursts ---------------------------------------------------------------- */

/* The wrap counter of the turn in which buffer number @at is offered. */
static inline bool front_wrap(const FrontRing *r, uint32_t at)
{
    return !(at & r->size);
}

static inline uint8_t *front_frame(const FrontRing *r, uint32_t slot)
{
    return r->frame + (size_t)slot * FRONT_STRIDE_BYTES;
}

static inline uint32_t front_slot(const FrontRing *r, uint32_t at)
{
    return at & (r->size - 1);
}

/* The word of a packed descriptor that is written last: length, id, flags. */
static inline uint64_t *front_packed_word(const FrontRing *r, uint32_t slot)
{
    return (uint64_t *)&r->at.packed.desc[slot].len;
}

static inline uint64_t front_packed_flags(bool avail, bool used)
{
    return (uint64_t)(avail << VRING_PACKED_DESC_F_AVAIL |
                      used << VRING_PACKED_DESC_F_USED) << 48;
}

/* Has the device used the buffer that was offered as number @at? */
static inline bool front_packed_used(const FrontRing *r, uint32_t at,
                                     uint64_t *word)
{
    bool wrap = front_wrap(r, at);

    *word = GUINT64_FROM_LE(__atomic_load_n(
        front_packed_word(r, front_slot(r, at)), __ATOMIC_ACQUIRE));
    return (*word & front_packed_flags(true, true)) ==
           front_packed_flags(wrap, wrap);
}

/*
 * Are (at least) @n of them back?  A packed ring's device may write what it
 * uses at once in any order, so front_ready() has the last word.
 */
static inline bool front_has(const FrontRing *r, unsigned n)
{
    uint64_t word;

    if (r->packed) {
        return front_packed_used(r, r->next + n - 1, &word);
    }
    return (uint16_t)(GUINT16_FROM_LE(__atomic_load_n(&r->at.split.used->idx,
                                                      __ATOMIC_ACQUIRE)) -
                      r->next) >= n;
}

/* How many buffers have come back, FRONT_BURST at most. */
static inline unsigned front_ready(FrontRing *r)
{
    unsigned n;

    if (r->packed) {
        uint64_t word;

        for (n = 0; n < FRONT_BURST &&
                    front_packed_used(r, r->next + n, &word); n++) {
            r->wrong |= (word >> 32 & 0xffff) ^ front_slot(r, r->next + n);
        }
        return n;
    }
    /* Pairs with the device's store after the used elements. */
    n = (uint16_t)(GUINT16_FROM_LE(__atomic_load_n(&r->at.split.used->idx,
                                                   __ATOMIC_ACQUIRE)) -
                   r->next);
    return MIN(n, FRONT_BURST);
}

/* Offer the first @n of them again.  The device sees all that was written to
 * them before. */
static inline void front_offer(FrontRing *r, unsigned n)
{
    if (r->packed) {
        for (unsigned i = 0; i < n; i++, r->next++) {
            uint32_t slot = front_slot(r, r->next);
            bool wrap = front_wrap(r, r->next + r->size);
            uint64_t word = r->offer[slot] | front_packed_flags(wrap, !wrap);

            __atomic_store_n(front_packed_word(r, slot), GUINT64_TO_LE(word),
                             __ATOMIC_RELEASE);
        }
        return;
    }
    r->next += n;
    __atomic_store_n(&r->at.split.avail->idx,
                     GUINT16_TO_LE((uint16_t)(r->next + r->size)),
                     __ATOMIC_RELEASE);
}

/* Received: how long the frame is that came as number @i of those ready. */
static inline uint32_t front_rx_bytes(FrontRing *r, unsigned i)
{
    uint32_t slot = front_slot(r, r->next + i), bytes;

    if (r->packed) {
        bytes = GUINT64_FROM_LE(*front_packed_word(r, slot)) & UINT32_MAX;
    } else {
        const struct vring_used_elem *e = &r->at.split.used->ring[slot];

        r->wrong |= GUINT32_FROM_LE(e->id) ^ slot;
        bytes = GUINT32_FROM_LE(e->len);
    }
    if (r->mergeable) {
        const uint8_t *num_buffers = front_frame(r, slot) - 2;

        r->wrong |= num_buffers[0] ^ 1;
    }
    bytes -= FRONT_NET_HEADER_BYTES;
    if (G_UNLIKELY(bytes > FRONT_MAX_FRAME_BYTES)) {
        r->wrong = UINT32_MAX;
        bytes = 0;
    }
    return bytes;
}

/* Nothing has moved for a while: does the device sleep?  Then wake it. */
void front_kick(FrontRing *r);

#endif
