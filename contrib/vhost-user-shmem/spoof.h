/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does a guest send from its own addresses (ip= of its port)?
 *
 * Asked of every frame, behind VLAN tags, by EtherType:
 *
 *   IPv4  the source is one of them; or 0.0.0.0 from a DHCP client (RFC 2131);
 *   ARP   the sender's protocol address is; or 0.0.0.0 in a request, which is a
 *         probe (RFC 5227);
 *   IPv6  the source is, and the target of a neighbour advertisement.  A guest
 *         that has any IPv6 address also has link-local ones, of its own
 *         choice unless they are among those given; and uses the unspecified
 *         one, to groups on the link only: to detect duplicates, to solicit
 *         routers, to report groups (RFC 4861, 4862, 3590).
 *   other EtherTypes pass.
 *
 * A frame whose headers cannot be read, as they do not lie within the head or
 * are none, does not pass.
 *
 * Threads: pure functions.
 */
#ifndef VUS_SPOOF_H
#define VUS_SPOOF_H

#include "frame.h"
#include "port-settings.h"

bool spoof_ip_ok(const Frame *f, const PortIp *ip, unsigned ips);

#endif
