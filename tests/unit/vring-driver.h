/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's half of a virtqueue, split or packed, with the guest's memory
 * around it: what stands opposite to vring.h in tests.
 *
 * The guest has two regions that follow each other for the guest, but not here:
 * LOW at 0, HIGH behind it.  Rings and indirect tables lie in LOW, buffers in
 * either.
 *
 * Threads: one for each Driver.
 */
#ifndef VRING_DRIVER_H
#define VRING_DRIVER_H

#include "vring.h"

#define DRIVER_REGION_BYTES (1u << 20)
#define DRIVER_USER_OFFSET 0x7f0000000000ull    /* front end's address of 0 */
#define DRIVER_MAX_PARTS 1024                   /* of a chain */

typedef struct DriverPart {
    uint64_t guest_addr;
    uint32_t bytes;
} DriverPart;

typedef struct Driver {
    GuestMem mem;               /* what the device sees */
    uint8_t *low, *high;        /* what the guest sees */
    VringSpec spec;
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

    uint16_t avail_next;        /* split: index; packed: slot */
    uint16_t used_next;
    bool avail_wrap, used_wrap;
    unsigned free_slots;
    uint16_t *free_ids;         /* stack: split descriptors, packed ids */
    unsigned n_free_ids;
    uint16_t *slots_of;         /* by id: slots, or split descriptors */
    uint16_t *next_of;          /* split, by descriptor: chain to be freed */
    GRand *rand;                /* which id is taken */
} Driver;

Driver *driver_new(VringKind kind, bool packed, bool event_idx, unsigned size);

/* In memory that stays the caller's: DRIVER_REGION_BYTES at @low, which are at
 * @guest_addr for the guest.  There is no HIGH, and no table in LOW. */
Driver *driver_new_at(VringKind kind, bool packed, bool event_idx,
                      unsigned size, uint8_t *low, uint64_t guest_addr);

/* Where DRIVER_SPARE_BYTES of LOW are that no ring needs. */
#define DRIVER_SPARE_AT 0xc0000u
#define DRIVER_SPARE_BYTES (DRIVER_REGION_BYTES - DRIVER_SPARE_AT)

void driver_free(Driver *d);

/* Where @guest_addr is to the guest. */
void *driver_at(Driver *d, uint64_t guest_addr);

/*
 * Make a chain available; returns its id, or -1 if there is no room.
 * @indirect: in a table at @table_addr.
 */
int driver_post(Driver *d, const DriverPart *parts, unsigned n, bool indirect,
                uint64_t table_addr);

/* Take back a chain that was used; its id, or -1 if there is none. */
int driver_reap(Driver *d, uint32_t *written);

/* Ask to be kicked when the next chain to be reaped is used, or never. */
void driver_ask_kick(Driver *d, bool ask);

/* Does the device want to be kicked? */
bool driver_wants_kick(const Driver *d);

#endif
