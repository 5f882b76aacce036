/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An attachment from within.
 *
 *   netvm-attach.c   begins and ends it, opens rings       (all transports)
 *   netvm-host.c     transport: the daemon's socket
 *   netvm-guest.c    transport: the PCI device
 *   netvm-burst.c    receive, send, allocate, free
 *   netvm-four.h     four packets at once
 *   netvm-route.c    the in-VM switch: which ring leads there
 *   netvm-wait.c     sleeping
 *   netvm-show.c     who is there
 *
 * Threads: the attachment's.
 */
#ifndef NETVM_IMPL_H
#define NETVM_IMPL_H

#include <stddef.h>

#include "netvm-ring.h"
#include "netvm.h"
#include "rtnet/netvm-wire.h"

#define NETVM_PUBLIC __attribute__((visibility("default")))
#define NETVM_LIKELY(x) __builtin_expect(!!(x), 1)
#define NETVM_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Buffers that go to and from the daemon at once. */
#define NETVM_FREE_BURST 64
/* Of free buffers it keeps so many, and gives the rest back. */
#define NETVM_CACHE_BUFFERS 512

struct netvm_transport {
    /*
     * Read what the daemon has said, and map what it has sent; 0, or -EPIPE
     * once it has gone.  It sets nv->region, where segment 0 is mapped,
     * segments_mapped and mapped_bytes, and, in reset(), self and serial.
     */
    int (*update)(struct netvm *nv);
    /* Ring the doorbell of @member. */
    void (*ring)(struct netvm *nv, unsigned member);
    /* Readable: ours was rung. */
    int (*fd)(const struct netvm *nv);
    /* It was; let it be rung again. */
    void (*rung)(struct netvm *nv);
    /* As a new member; all until READY.  0 or a negative errno. */
    int (*reset)(struct netvm *nv, int timeout_ms);
    void (*close)(struct netvm *nv);
};

struct netvm {
    struct netvm_map map;       /* first: netvm_data() */

    /* Read in each burst. */
    struct netvm_region *region;
    uint64_t region_id;
    uint64_t epoch;             /* of which rings and segments are; 0: not
                                 * all of them are there yet */
    uint64_t epoch_said;
    struct netvm_stats *stats;
    struct netvm_receiver rx;
    struct netvm_receiver fill;
    struct netvm_sender tx;
    unsigned from_n;            /* members that send to us directly */
    unsigned from_next;
    uint8_t from[NETVM_MEMBERS_MAX];
    struct netvm_receiver direct_rx[NETVM_MEMBERS_MAX + 1];
    struct netvm_sender direct_tx[NETVM_MEMBERS_MAX + 1];
    uint64_t direct_open;       /* bit per member that it may send to */
    uint64_t flows_offset, services_offset;
    uint32_t flows, services;
    uint16_t port;              /* of the daemon's: where we are attached */

    /* Free buffers. */
    uint32_t *cache;
    uint32_t cache_n, cache_max;

    /* Seldom. */
    unsigned self;
    struct netvm_region layout; /* what does not change: a copy, as a device
                                 * that is reset shows all ones */
    uint32_t serial;
    uint64_t mapped_bytes;      /* of the region */
    uint64_t segments_mapped;   /* bit per segment */
    struct netvm_member *member;
    const struct netvm_transport *transport;
    void *transport_data;
    char *error;                /* of netvm_attach(), while it runs */
};

/* -- netvm-attach.c -------------------------------------------------------- */

/* Say what is wrong, if anybody asks. */
void netvm_error(struct netvm *nv, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Something in the region has changed: rings, segments.  0, -ESTALE. */
int netvm_new_epoch(struct netvm *nv);

/* We look at nothing until netvm_online(). */
void netvm_offline(struct netvm *nv);
int netvm_online(struct netvm *nv);

/* Has it?  In each burst, and nothing of before is used afterwards. */
static inline int netvm_look(struct netvm *nv)
{
    /* Pairs with the daemon's change of the epoch after all else. */
    if (NETVM_UNLIKELY(netvm_read_acquire(&nv->region->epoch) != nv->epoch)) {
        return netvm_new_epoch(nv);
    }
    return 0;
}

int netvm_open_host(struct netvm *nv, const char *path, int timeout_ms);
int netvm_open_guest(struct netvm *nv, const char *address, int timeout_ms);

/* -- netvm-route.c --------------------------------------------------------- */

/* Where a packet goes. */
struct netvm_way {
    struct netvm_sender *to;    /* the ring */
    uint64_t change;            /* bits of word[1] that its receiver is to see
                                 * otherwise */
    uint64_t like;              /* word[1], without the hash */
    bool alone;                 /* others like it may go another way */
};

/*
 * The way of @pkt, whose buffer is one of the map's: through the daemon if
 * there is no other.  It holds until the next netvm_look().
 */
void netvm_route(struct netvm *nv, const struct netvm_desc *pkt,
                 struct netvm_way *way);

#endif
