/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens to a flow: the slow way, taken by its first frame and then once
 * a second.
 *
 * In this order: the source address must be one, the VLAN the port's, the
 * address not another's (mac=); it is learned; the destination is looked up.
 * Mirrors of the ports at both ends get a copy.
 *
 * Threads: workers.
 */
#ifndef VUS_DECIDE_H
#define VUS_DECIDE_H

#include "datapath.h"

void decide(Datapath *dp, const Port *in, const Frame *f, FlowAction *action);

#endif
