/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netvm-shm: shows a guest the memory that the VMs of its domain share
 * (docs/specs/netvm-shm.rst), as the daemon hands it out over a socket.
 *
 *   -pci.c     options, life
 *   -regs.c    BAR 0: registers, and the doorbells by which the guest wakes
 *              the daemon and other members
 *   -irq.c     the way back: an eventfd that they ring becomes an interrupt
 *   -region.c  BAR 2: the memory
 *   -wire.c    what the daemon says
 *
 * The daemon may come late, go, and come back.  While it is away the guest
 * keeps the memory and the doorbells, because the other members are still
 * there; a daemon that comes back replaces all of it.
 *
 * Threads: main loop and vCPUs, all under the BQL.  The guest's accesses to
 * the memory, and under KVM doorbells and MSI-X, do not pass through here.
 */
#ifndef HW_MISC_NETVM_SHM_H
#define HW_MISC_NETVM_SHM_H

#include "chardev/char-fe.h"
#include "hw/pci/pci_device.h"
#include "qemu/event_notifier.h"
#include "rtnet/compat.h"
#include "rtnet/netvm-regs.h"

#define TYPE_NETVM_SHM "netvm-shm"
OBJECT_DECLARE_SIMPLE_TYPE(NetvmShm, NETVM_SHM)

typedef struct NetvmSegment NetvmSegment;
typedef struct NetvmMessage NetvmMessage;

typedef struct NetvmVector {
    NetvmShm *device;
    EventNotifier event;        /* not initialized: the daemon sent none */
    bool irqfd;                 /* KVM takes it, as interrupt @virq */
    int virq;
} NetvmVector;

typedef enum NetvmWireState {
    NETVM_WIRE_CLOSED,
    NETVM_WIRE_GREETED,         /* HELLO is said */
    NETVM_WIRE_WELCOMED,
} NetvmWireState;

typedef struct NetvmWire {
    NetvmWireState state;
    bool ready;                 /* the guest is @member, with @serial */
    uint32_t member;
    uint32_t serial;

    /* The message that is coming. */
    uint8_t in[sizeof(struct netvm_header) + sizeof(struct netvm_text)];
    size_t in_bytes;
    const NetvmMessage *message;        /* NULL until the header is there */
    int fd;                             /* -1: none */

    /* What the daemon has not taken yet. */
    GByteArray *out;
    guint out_watch;
    bool reset_due;             /* a RESET comes behind it */
    uint32_t resets;            /* put into @out on this connection */

    char *end;                  /* why we ended a connection; NULL: all well */
} NetvmWire;

struct NetvmShm {
    PCIDevice parent_obj;

    /* Options. */
    RtnetCharFrontend chr;
    uint64_t size_bytes;

    char *name;                 /* in messages */
    Error *migration_blocker;

    MemoryRegion registers;
    EventNotifier doorbell[NETVM_MEMBERS_MAX + 1];  /* as NetvmVector.event */
    uint32_t attached;

    NetvmVector vector[NETVM_VECTORS];
    uint32_t int_status;
    uint32_t int_mask;

    MemoryRegion window;
    NetvmSegment *segment[NETVM_SEGMENTS_MAX];      /* NULL: none */
    unsigned segments;

    NetvmWire wire;
};

/* -- The device (-pci.c) --------------------------------------------------- */

/* As the guest finds it after power on; the memory stays where it is. */
void netvm_shm_reset(NetvmShm *s);

/* -- Registers and doorbells (-regs.c) ------------------------------------- */

void netvm_regs_init(NetvmShm *s);

/* A write to the doorbell of @member signals the eventfd @fd, which is ours
 * from now on; it replaces another. */
void netvm_doorbell_set(NetvmShm *s, unsigned member, int fd);
void netvm_doorbell_clear(NetvmShm *s, unsigned member);
void netvm_doorbell_clear_all(NetvmShm *s);

/* -- Interrupts (-irq.c) --------------------------------------------------- */

bool netvm_irq_init(NetvmShm *s, Error **errp);
void netvm_irq_cleanup(NetvmShm *s);
void netvm_irq_reset(NetvmShm *s);

/* PCI is about to reset MSI-X, of which it does not tell. */
void netvm_irq_stop_irqfds(NetvmShm *s);

/* The guest may have switched MSI-X on or off. */
void netvm_irq_config_written(NetvmShm *s);

void netvm_irq_raise(NetvmShm *s, unsigned vector);
/* INTx shows what is in @int_status and @int_mask. */
void netvm_irq_update_intx(NetvmShm *s);

/* @vector is raised by the eventfd @fd, which is ours from now on; it replaces
 * another. */
void netvm_irq_set_event(NetvmShm *s, unsigned vector, int fd);
void netvm_irq_clear_events(NetvmShm *s);

/* -- Memory (-region.c) ---------------------------------------------------- */

void netvm_region_init(NetvmShm *s);

/* Has the window room for so much? */
bool netvm_region_fits(NetvmShm *s, uint64_t end_bytes, Error **errp);
/* Is it what the protocol wants? */
bool netvm_region_check(NetvmShm *s, const struct netvm_segment_place *place,
                        int fd, Error **errp);
/* Show it to the guest, unless there is no room for it; @fd stays open. */
bool netvm_region_map(NetvmShm *s, const struct netvm_segment_place *place,
                      int fd, Error **errp);
void netvm_region_clear(NetvmShm *s);

/* "512M", as it is written in an option; the caller frees it. */
char *netvm_size_text(uint64_t bytes);

/* -- The daemon (-wire.c) -------------------------------------------------- */

void netvm_wire_start(NetvmShm *s);
void netvm_wire_stop(NetvmShm *s);

/* The guest has ended, or starts anew. */
void netvm_wire_reset(NetvmShm *s);

/* For people; the caller frees it. */
char *netvm_wire_describe(NetvmShm *s);

#endif
