/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A switch with a domain, and members that are attached through the library, as
 * processes on the host are.
 *
 * Threads: the one that made the switch; attaching takes another for a moment.
 */
#ifndef NETVM_BED_H
#define NETVM_BED_H

#include "netvm.h"
#include "netvm/domain.h"
#include "switch-bed.h"

#define NETVM_BED_MEMBERS 4

typedef struct NetvmBed {
    Switch *sw;
    Domain *domain;
    char *socket[NETVM_BED_MEMBERS];
    struct netvm *nv[NETVM_BED_MEMBERS];    /* NULL: not attached */
} NetvmBed;

/* A domain "d" of @settings (words with blanks between; few and small buffers
 * otherwise), and ports "m0", "m1" ... of it, nobody attached. */
NetvmBed *netvm_bed_new(const char *settings);
void netvm_bed_free(NetvmBed *b);

/* Attach member @i, and wait until the daemon has seen it. */
struct netvm *netvm_bed_attach(NetvmBed *b, unsigned i);

/* It is to fail, and to say that. */
void netvm_bed_attach_fails(NetvmBed *b, unsigned i, const char *error);

/* It ends; everything comes back unless somebody has not seen that. */
void netvm_bed_detach(NetvmBed *b, unsigned i);

/* Until no member is leaving any more. */
void netvm_bed_wait_gone(NetvmBed *b);

/* A frame (switch-bed.h) in a new buffer; it has to be there. */
struct netvm_desc netvm_bed_packet(struct netvm *nv, unsigned to,
                                   unsigned from);

/* Waits for room in the ring. */
void netvm_bed_send_all(struct netvm *nv, const struct netvm_desc *pkt,
                        unsigned n);
void netvm_bed_send(struct netvm *nv, struct netvm_desc pkt);

/* Wait for one packet. */
struct netvm_desc netvm_bed_receive(struct netvm *nv);

/* Nothing comes for a while. */
void netvm_bed_expect_none(struct netvm *nv);

/* All buffers of the domain, and how many the daemon and members own. */
uint32_t netvm_bed_owned(NetvmBed *b, unsigned member);

#endif
