/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members, rings and buffers for the model checker: the real structures, as
 * small as they can be.  Positions start where both kinds of them, of 64 and of
 * 52 bits, are about to end.
 *
 * A party's number is its member's; a second X is the one that comes after the
 * first has died.
 *
 * Threads: single.
 */
#ifndef NETVM_MODEL_BED_H
#define NETVM_MODEL_BED_H

#include <string.h>

#include "netvm-model.h"
#include "netvm-ring.h"

#define DESCS 2
#define BUFFERS 4
#define MEMBERS 3
#define START (UINT64_MAX - 1)

typedef enum BedParty { DAEMON, A, X, B, X_AGAIN } BedParty;

#define RING_FILL_A NETVM_RING_FILL(A)
#define RING_FILL_X NETVM_RING_FILL(X)
#define RING_A_X NETVM_RING_DIRECT(MEMBERS, A, X)
#define RING_X_B NETVM_RING_DIRECT(MEMBERS, X, B)
#define RING_B_A NETVM_RING_DIRECT(MEMBERS, B, A)

typedef struct Bed {
    struct netvm_map map;
    struct netvm_map blind;     /* whose owner words nobody looks at */
    struct netvm_ring *ring[NETVM_RINGS(MEMBERS)];      /* by number */
    uint8_t from[NETVM_RINGS(MEMBERS)], to[NETVM_RINGS(MEMBERS)];
    uint64_t owner[BUFFERS], blind_owner[BUFFERS];
    uint64_t content[BUFFERS];
} Bed;

extern Bed bed;

/* -- Before a run ---------------------------------------------------------- */

void bed_begin(void);
void bed_ring(unsigned number, unsigned from, unsigned to);

/* All buffers are with who receives from that ring. */
void bed_give_all(unsigned ring);

/* bed.blind is used. */
void bed_blind(void);

/* That it is right, or that something wrong is found. */
void bed_run(const ModelScenario *scenario, bool right);

/* -- By a party ------------------------------------------------------------ */

void bed_nothing(void);
unsigned bed_ring_between(unsigned from, unsigned to);

/* As nobody has used it; @s and @r were all zero. */
void bed_sender(struct netvm_sender *s, unsigned ring);
void bed_receiver(struct netvm_receiver *r, unsigned ring);

/* A buffer that the party holds, with something in it. */
void bed_put(struct netvm_sender *s, const struct netvm_map *m,
             unsigned buffer, uint64_t content);

/* The party holds its buffer; returns what is in it. */
uint64_t bed_take(const struct netvm_desc *d);

/* -- By a scenario's functions --------------------------------------------- */

/* Whose is it, by its word? */
unsigned bed_owner(unsigned buffer);

/* Sent, and not received. */
bool bed_is_in_ring(unsigned buffer);

/* Who has a buffer is who its word names. */
void bed_check_owners(void);

#endif
