/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames to all ports of a VLAN: broadcast, multicast, and destinations that
 * are not known yet.
 *
 * The sender's port limits how many (storm-pps=), as one such frame costs as
 * many copies as there are ports.
 *
 * Threads: workers.
 */
#ifndef VUS_FLOOD_H
#define VUS_FLOOD_H

#include "datapath.h"

/* May @p flood one more?  Takes it out of the bucket. */
bool flood_allowed(Port *p);

/* How the tag of a frame of @vlan changes that came with one of @vid, or
 * without, and leaves through @out. */
TagChange flood_tag_change(const Port *out, unsigned vlan, bool tagged,
                           unsigned vid);

/*
 * Where a frame of @vlan goes that came in at @in: calls @each for every port,
 * once.
 */
void flood_each(Datapath *dp, const Port *in, unsigned vlan, bool tagged,
                unsigned vid,
                void (*each)(void *opaque, unsigned port, TagChange tag),
                void *opaque);

#endif
