/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One vhost-user front end, as far as it has told about itself: features,
 * memory, rings.  A message goes in, and maybe an answer comes out.
 *
 * A table says of each request what it carries, which state it needs and
 * whether workers must be still while it is handled.  A message that is wrong
 * changes nothing, except that a ring which lost its place in memory is
 * stopped; it is answered with failure if the front end asked for an answer,
 * and else the connection has to end.
 *
 * A ring is
 *
 *   stopped    until its kick fd comes, and again after GET_VRING_BASE: nobody
 *              touches it;
 *   started    size, addresses and base are known and checked;
 *   enabled    or not: a started ring that is disabled is served without effect
 *              (frames that the guest sends are dropped, none is delivered).
 *
 * Rings come in pairs: 2i is what the guest receives, 2i + 1 what it sends.
 *
 * Threads: the control thread; workers read vring, enabled and call_fd of rings
 * between ops.resume and ops.quiesce.
 */
#ifndef VUS_VU_FRONT_H
#define VUS_VU_FRONT_H

#include "vring.h"
#include "vu-conn.h"

#define VU_FRONT_MAX_PAIRS 16
#define VU_FRONT_MAX_RINGS (2 * VU_FRONT_MAX_PAIRS)

typedef struct VuFront VuFront;

typedef struct VuFrontOps {
    /* Return when no worker touches this front end's rings or memory; and they
     * may again.  Never nested. */
    void (*quiesce)(void *opaque);
    void (*resume)(void *opaque);
    /* Something of what follows is different now; workers are still. */
    void (*changed)(void *opaque);
    /* Ring @index has started at its base, or stops in good order; workers are
     * still.  Both may be NULL. */
    void (*ring_started)(void *opaque, unsigned index);
    void (*ring_stopped)(void *opaque, unsigned index);
    /* The guest is somewhere else now: tell the network where. */
    void (*announce)(void *opaque, const uint8_t mac[6]);
} VuFrontOps;

typedef struct VuFrontConfig {
    uint64_t features;              /* virtio's, that are offered */
    unsigned pairs;                 /* 1 to VU_FRONT_MAX_PAIRS */
    uint16_t mtu;                   /* largest the front end may set */
    const VuFrontOps *ops;
    void *opaque;
} VuFrontConfig;

typedef struct VuRing {
    Vring vring;                    /* valid while started */
    bool started;
    bool enabled;
    /* What was told; spec.size 0, has_addr false: not yet. */
    VringSpec spec;
    bool has_addr;
    uint32_t base;
    int kick_fd;                    /* -1: none, it has to be polled */
    int call_fd, err_fd;            /* -1: none, nobody is to be told */
} VuRing;

struct VuFront {
    VuFrontConfig cfg;
    GuestMem mem;
    VuRing ring[VU_FRONT_MAX_RINGS];
    uint64_t features;              /* agreed */
    uint64_t protocol_features;
    bool has_features;
    uint16_t mtu;
    uint8_t status;                 /* virtio device status */
};

typedef enum VuHandled {
    VU_HANDLED,                 /* nothing to be answered */
    VU_ANSWER,                  /* *payload of *bytes is the answer */
    VU_REFUSED,                 /* as VU_ANSWER if *bytes, but @error is set */
} VuHandled;

#define VU_FRONT_ERROR vu_front_error_quark()
GQuark vu_front_error_quark(void);

void vu_front_init(VuFront *f, const VuFrontConfig *cfg);

/* The front end is gone: stop and forget all that it told. */
void vu_front_reset(VuFront *f);

/*
 * Handle @m, whose fds are closed or taken.  With VU_REFUSED and *bytes == 0
 * the connection has to end: the front end would not know of the failure.
 */
VuHandled vu_front_handle(VuFront *f, VuMsg *m, VuPayload *payload,
                          uint32_t *bytes, GError **error);

/* Is the feature, one of virtio's or of vhost's, agreed? */
static inline bool vu_front_has(const VuFront *f, unsigned feature)
{
    return f->features >> feature & 1;
}

#endif
