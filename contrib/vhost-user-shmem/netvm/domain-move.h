/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets of a domain, a burst at a time (domain-move.c).
 *
 * Threads: workers; under the domain's lock, unless it says that it takes it.
 */
#ifndef VUS_DOMAIN_MOVE_H
#define VUS_DOMAIN_MOVE_H

#include "domain.h"

/* In front of a packet in its buffer, as the library leaves it. */
#define NETVM_HEADROOM_BYTES 128

typedef enum DomainGive {
    DOMAIN_GIVEN,
    DOMAIN_NOT_THERE,
    DOMAIN_NO_ROOM,                 /* in the member's ring */
    DOMAIN_NO_BUFFER,
    DOMAIN_TOO_LONG,
} DomainGive;

/* In the statistics, where members may write, too. */
static inline void domain_count(uint64_t *counter, uint64_t n)
{
    netvm_write(counter, netvm_read(counter) + n);
}

/* What members were given in this burst. */
typedef struct DomainGiven {
    uint64_t members;               /* bit per member; n is of these */
    uint32_t n[NETVM_MEMBERS_MAX + 1];
    uint64_t bytes[NETVM_MEMBERS_MAX + 1];
} DomainGiven;

void domain_give_begin(DomainGiven *given);
void domain_give_end(Domain *d, DomainGiven *given);

/* One packet to @member.  Its buffer is the caller's, unless it was given. */
DomainGive domain_give(Domain *d, DomainGiven *given, unsigned member,
                       const struct netvm_desc *desc);

/* A frame of any port into a buffer, which is the caller's then: @desc says
 * where it is.  DOMAIN_GIVEN, or why not. */
DomainGive domain_copy(Domain *d, const Frame *f, struct netvm_desc *desc);

/* What a member has sent. */
typedef struct DomainTaken {
    uint32_t n;
    uint64_t bytes;
    unsigned moved, no_room, not_there;
    DomainGiven given;
    unsigned out_n;                 /* for the switch */
} DomainTaken;

/*
 * A burst of @m's, at most; takes the lock.  What is for the switch is in @out,
 * and the caller owns it.  False: it shows positions that cannot be.
 */
bool domain_take(Domain *d, DomainMember *m, unsigned most, DomainTaken *t,
                 struct netvm_desc out[DOMAIN_BURST]);

/* The switch is through with @n of these; bits in @gone: the buffer went on.
 * Takes the lock. */
void domain_done(Domain *d, const struct netvm_desc *desc, unsigned n,
                 uint64_t gone);

#endif
