/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A member that means ill, at port m0 of a domain: where everything is that it
 * may write to, and what nonsense is likely to be believed.  At m1 is its mate,
 * who does nothing; they do services "fw" and "l3" of a chain, and port "near"
 * is outside of the domain.
 *
 * Threads: the control thread.
 */
#ifndef NETVM_EVIL_H
#define NETVM_EVIL_H

#include "netvm-bed.h"
#include "netvm-raw.h"

/* Stations; the mate is at no port that has learned it. */
enum { EVIL_STATION = 60, EVIL_MATE, EVIL_NEAR, EVIL_CHAIN };

typedef struct Evil {
    NetvmBed *d;
    NetvmRaw *raw, *mate;
    struct netvm_region header; /* as it was */
    uint32_t buffers;           /* of segment 0 */
    uint16_t near_port, chain_port;
    GRand *rand;
} Evil;

/* -- Life ------------------------------------------------------------------ */

Evil *evil_new(void);

/* Whoever of the two was cut off comes again. */
void evil_come_back(Evil *e);

/* It polls as a new member: after READY. */
void evil_attach(Evil *e);
void evil_reset(Evil *e);

/*
 * Both end.  No buffer is in the pool twice then, and the pool knows which are
 * there; if @all_back, all are.
 */
void evil_leave(Evil *e, bool all_back);
void evil_free(Evil *e);

void evil_check_pool(Domain *d);
PortStatus evil_status(const Evil *e, const char *port);

/* -- Where it is, whatever the tables say by now --------------------------- */

uint8_t *evil_at(const Evil *e, uint64_t offset);
struct netvm_ring *evil_ring(const Evil *e, unsigned number);
struct netvm_member *evil_member(const Evil *e, unsigned member);
uint64_t *evil_owners(const Evil *e);       /* of segment 0 */
unsigned evil_rings(const Evil *e);

/* -- Nonsense -------------------------------------------------------------- */

uint64_t evil_noise(Evil *e);
unsigned evil_any(Evil *e, unsigned n);     /* less than @n */
uint32_t evil_any_buffer(Evil *e);
struct netvm_desc evil_any_desc(Evil *e, uint32_t buffer);

/* A frame that may go anywhere. */
void evil_make_frame(Evil *e, uint8_t *to);

/* A frame from "near". */
void evil_send_near(Evil *e, unsigned to);

#endif
