/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between a domain and the switch: packets that leave a domain are frames whose
 * buffers may go on as they are; frames that enter it are copied, or their
 * buffers are moved.
 *
 * Threads: workers, one at a time for each NetvmFrames.
 */
#ifndef VUS_NETVM_FRAMES_H
#define VUS_NETVM_FRAMES_H

#include "../port.h"
#include "domain-move.h"

/* What is on its way out of a domain. */
typedef struct NetvmFrames {
    Domain *domain;
    unsigned n;
    struct netvm_desc desc[DOMAIN_BURST];
    FrameBuffer buffer[DOMAIN_BURST];
} NetvmFrames;

/*
 * The descriptors of @fs become frames of @b, but for those that name a port
 * which @p must not; how many.
 */
unsigned netvm_frames_read(NetvmFrames *fs, const Port *p, IngressBurst *b,
                           PortCounters *counters);

/* The switch is through with them: buffers that did not go on are free. */
void netvm_frames_done(NetvmFrames *fs);

/* The buffer that @f lies in, if it may go on within @d. */
bool netvm_frame_moves(const Domain *d, const Frame *f,
                       struct netvm_desc *desc);

/* Who gets a packet, which was copied for that or not; under the domain's
 * lock. */
typedef DomainGive (*NetvmGive)(void *opaque, DomainGiven *given,
                                struct netvm_desc *desc, bool copied);

/* Frames for a domain: their buffers if they may go on, else copies. */
void netvm_frames_give(Domain *d, const Frame *const *frames, unsigned n,
                       PortCounters *counters, NetvmGive give, void *opaque);

#endif
