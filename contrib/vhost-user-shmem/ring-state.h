/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where packed rings are, in a file that outlives the daemon: one per port.
 *
 * A split ring says itself where its device was.  A packed one does not, and
 * QEMU does not know either when its back end has crashed.  So each ring has a
 * journal (vring.h) in a file that is mapped here.  It is believed only if the
 * same process, at the same place in its memory, has the ring, and if it fits
 * what is in the ring.
 *
 * The file is ours alone; its directory must not be writable by others.
 *
 * Threads: the control thread; the journals are written by workers.
 */
#ifndef VUS_RING_STATE_H
#define VUS_RING_STATE_H

#include <glib.h>

#include "vring.h"

typedef struct RingState RingState;

/* DIR/NAME.rings, made if it is not there.  NULL with @error set. */
RingState *ring_state_open(const char *dir, const char *name, unsigned rings,
                           GError **error);
/* The file stays if it knows of a ring that was not stopped in good order. */
void ring_state_close(RingState *s);

/* Whoever is at the other end of the connected socket @fd has the rings now;
 * what is known of another's is forgotten. */
void ring_state_set_peer(RingState *s, int fd);

/* Journal of ring @index, which lies where @spec says; it is valid if it was
 * there when it was last written. */
VringJournal *ring_state_journal(RingState *s, unsigned index,
                                 const VringSpec *spec);

/* It was stopped in good order: whoever starts it says where. */
void ring_state_forget(RingState *s, unsigned index);

#endif
