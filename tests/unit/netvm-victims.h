/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Those beside whom somebody means ill: two members of a domain of their own,
 * and two dummy ports, with traffic on the same worker.  What comes is checked:
 * all of it, in order, each byte.
 *
 * Threads: the one that made the switch; the members' traffic has its own.
 */
#ifndef NETVM_VICTIMS_H
#define NETVM_VICTIMS_H

#include "netvm-bed.h"

/* Stations from here on, and VLANs 20 and 30, are theirs. */
#define VICTIMS_STATION 50

typedef struct Victims Victims;

Victims *victims_new(NetvmBed *b);

/* They have had nothing to complain of. */
void victims_free(Victims *v);

/* So many packets have come so far; wait for some more, and for a frame. */
uint64_t victims_came(const Victims *v);
void victims_check(Victims *v);

#endif
