/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One virtqueue, seen from the device: chains of buffers come from the driver
 * and go back to it.
 *
 * The way of a burst, the same for split and packed rings:
 *
 *   vring_fetch()    look at what the driver has made available; takes nothing
 *   (work)           read or write the segments
 *   vring_complete() give the first so many of them back, in order
 *   vring_wants_kick()   must the driver be told?
 *
 * What is fetched and not completed is fetched again: no chain is ever held,
 * so one number says where the device is, and a new device goes on from there.
 *
 * Everything that the driver writes is hostile and may change at any time.  A
 * descriptor is read once, into a copy; the copy is checked, and only it is
 * used.  What is wrong ends the ring (VringError), after the chains before it.
 *
 * Fields shared with the driver: it alone writes descriptors (split), the avail
 * ring and its event field; we alone write the used ring and ours.  In a packed
 * ring both write descriptors, and the flags say whose turn it is.
 *
 * Spec: Virtual I/O Device (VIRTIO) 1.2, 2.7 (split), 2.8 (packed).
 *
 * Threads: one at a time per ring.  Set up by the control thread while no
 * worker runs.
 */
#ifndef VUS_VRING_H
#define VUS_VRING_H

#include <linux/virtio_ring.h>

#include "guest-mem.h"

#define VRING_MAX_SIZE 32768
#define VRING_BURST 64              /* chains fetched at once, at most */
#define VRING_MAX_SEGMENTS 1024     /* of one chain */

/* What the driver may do with the buffers of a ring. */
typedef enum VringKind {
    VRING_TX,                   /* the guest sends: we read them */
    VRING_RX,                   /* the guest receives: we write them */
} VringKind;

/* Why a ring had to be stopped: X(name, counter, text). */
#define VRING_ERRORS(X) \
    X(AVAIL_JUMP, "avail-jump", \
      "more chains are available than the ring has") \
    X(HEAD, "bad-head", \
      "a chain starts behind the last descriptor") \
    X(NEXT, "bad-next", \
      "a descriptor continues behind the last one") \
    X(LOOP, "loop", \
      "a chain has more descriptors than its table") \
    X(LONG, "long-chain", \
      "a chain has more segments than are served") \
    X(INDIRECT, "bad-indirect", \
      "a table of indirect descriptors is empty, nested, continued " \
      "or cut") \
    X(DIRECTION, "direction", \
      "a buffer to be read is writable, or the other way round") \
    X(ADDRESS, "bad-address", \
      "a buffer or table is not within one region of the guest's " \
      "memory") \
    X(LENGTH, "bad-length", \
      "a chain is 4 GiB long or longer") \
    X(ID, "bad-id", \
      "a buffer id is not below the ring's size")

typedef enum VringError {
    VRING_OK,
#define VRING_ERROR_ENUM(name, counter, text) VRING_BAD_##name,
    VRING_ERRORS(VRING_ERROR_ENUM)
#undef VRING_ERROR_ENUM
} VringError;

typedef struct VringSegment {
    uint8_t *data;              /* in one region; written: guest_mem_dirty() */
    uint32_t bytes;
} VringSegment;

typedef struct VringChain {
    uint32_t bytes;             /* of all segments */
    uint16_t first;             /* its segments in VringBurst.segment */
    uint16_t segments;
    uint16_t id;                /* names it to the driver */
    uint16_t slots;             /* descriptors it takes in the ring itself */
} VringChain;

/* Filled by vring_fetch(); may be dirty before. */
typedef struct VringBurst {
    unsigned n;
    unsigned segments;
    VringChain chain[VRING_BURST];
    VringSegment segment[VRING_BURST + VRING_MAX_SEGMENTS];
} VringBurst;

/*
 * What was last done to a packed ring, in memory that outlives the device: the
 * ring does not tell a new one where to go on, and a burst may have been half
 * written.  The burst is noted here before the ring is touched; after a crash
 * vring_resume() completes it if the driver cannot have seen it.
 */
typedef struct VringJournal {
    /* Written last, at once: VRING_JOURNAL_*.  0: nothing is known. */
    uint64_t burst;
    struct {
        uint16_t id;
        uint16_t slots;
        uint32_t written;
    } chain[VRING_BURST];
} VringJournal;

/* Positions are those of vring_base()'s low half. */
#define VRING_JOURNAL_BEFORE(burst)     ((burst) & 0xffff)
#define VRING_JOURNAL_AFTER(burst)      ((burst) >> 16 & 0xffff)
#define VRING_JOURNAL_LAST(burst)       ((burst) >> 32 & 0xffff)
#define VRING_JOURNAL_CHAINS(burst)     ((burst) >> 48 & 0xff)
#define VRING_JOURNAL_HAS_LAST          (UINT64_C(1) << 56)
#define VRING_JOURNAL_VALID             (UINT64_C(1) << 57)

typedef struct Vring {
    /* Looked at for each burst. */
    const GuestMem *mem;
    unsigned mem_hint;
    uint16_t size;              /* descriptors; split: a power of two */
    uint16_t next;              /* split: index, free running; packed: slot */
    bool packed;
    bool wrap;                  /* packed: the wrap counter at next */
    bool event_idx;             /* VIRTIO_F_EVENT_IDX */
    VringKind kind;
    VringError error;           /* not VRING_OK: fetch returns nothing */
    union {
        struct {
            const struct vring_desc *desc;
            const struct vring_avail *avail;
            struct vring_used *used;
        } split;
        struct {
            struct vring_packed_desc *desc;
            const struct vring_packed_desc_event *driver;
            struct vring_packed_desc_event *device;
        } packed;
    } at;

    /* Chains completed since the driver was last asked, in ring slots. */
    uint32_t unkicked_slots;

    VringJournal *journal;      /* packed: or NULL */

    /* For the dirty bitmap. */
    bool log_used;
    uint64_t used_guest_addr;
} Vring;

/* What a front end says of a ring; addresses are those of its own process. */
typedef struct VringSpec {
    VringKind kind;
    bool packed;
    bool event_idx;
    uint32_t size;
    uint64_t desc_user_addr;
    uint64_t avail_user_addr;       /* packed: driver's event structure */
    uint64_t used_user_addr;        /* packed: device's event structure */
    bool log_used;                  /* note in the dirty bitmap what is ... */
    uint64_t used_guest_addr;       /* ... written here: packed, descriptors */
} VringSpec;

/* -- Life ------------------------------------------------------------------ */

/*
 * Set @r up at position @base (vhost-user's VRING_BASE: split, the index;
 * packed, slot and wrap counter of the next available descriptor in the low 16
 * bits).
 * @mem must outlive it, and when it changes the ring is set up again.  False
 * with @error set: @r is as it was.
 */
bool vring_start(Vring *r, const VringSpec *spec, const GuestMem *mem,
                 uint32_t base, GError **error);

/*
 * Note in @journal, which must outlive the ring, what is done to @r, a packed
 * ring.  If it is valid already it was that of a device before, and tells where
 * to go on; returns whether that was so.  A journal that does not fit what is
 * in the ring is of another, and is begun anew.
 */
bool vring_resume(Vring *r, VringJournal *journal);

/* Where a ring whose device is lost goes on: behind all that was given back.
 * Only a split ring knows. */
uint32_t vring_used_base(const Vring *r);

/* The position, to be given to vring_start() later. */
uint32_t vring_base(const Vring *r);

const char *vring_error_name(VringError error);
const char *vring_error_text(VringError error);

/* -- A burst --------------------------------------------------------------- */

/*
 * Up to @max (at most VRING_BURST) chains into @b; returns b->n.  0 if there is
 * nothing, or r->error says why there never will be.
 */
unsigned vring_fetch(Vring *r, VringBurst *b, unsigned max);

/*
 * Give the first @n chains of @b back; @written[i] bytes have been written to
 * the front of chain i (NULL: none).  The driver sees all of them at once.
 */
void vring_complete(Vring *r, const VringBurst *b, unsigned n,
                    const uint32_t *written);

/*
 * Has the driver asked to be told of what was completed since the last call?  A
 * ring that has just started may have been served by another device: then the
 * driver may wait for any of what is in it.
 */
bool vring_wants_kick(Vring *r);

/*
 * Ask the driver to tell when something becomes available, or not to.  After
 * asking, something may have become available that it does not tell of: returns
 * whether there is.
 */
bool vring_ask_kicks(Vring *r, bool ask);

#endif
