/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a frame was thrown away: one list for counters, their names and what they
 * mean to the reader of a table.
 *
 * A reason is counted at the port that can do something about it: the sender's
 * for what is wrong with a frame, the receiver's for what finds no room.
 *
 * Threads: counters belong to one worker each; others read them.
 */
#ifndef VUS_DROPS_H
#define VUS_DROPS_H

#include <stdint.h>

/* X(name, counter, text) */
#define DROPS(X) \
    X(RUNT, "runt", \
      "shorter than its virtio-net and Ethernet headers") \
    X(OVERSIZE, "oversize", \
      "longer than any frame can be") \
    X(DISABLED, "disabled", \
      "sent through a ring that the front end has disabled") \
    X(OFFLOAD, "bad-offload", \
      "its virtio-net header contradicts the frame or the features " \
      "agreed") \
    X(SOURCE, "bad-source", \
      "its source is a group address") \
    X(LINK_LOCAL, "link-local", \
      "to an address that no bridge forwards (IEEE 802.1Q, 8.6.3)") \
    X(VLAN, "vlan", \
      "of a VLAN that the sender's port is no member of") \
    X(SPOOF_MAC, "spoof-mac", \
      "its source address is not one of the port's mac=") \
    X(SPOOF_IP, "spoof-ip", \
      "its source address is not one of the port's ip=") \
    X(STORM, "storm", \
      "to be flooded, beyond the port's storm-pps=") \
    X(NOWHERE, "nowhere", \
      "its destination is behind the port that it came from, or " \
      "there is no other port, or it is not one of its outs=") \
    X(MIRROR, "mirror-in", \
      "sent by a port that only mirrors") \
    X(DOWN, "down", \
      "the receiver is not connected, or not ready") \
    X(TX_LIMIT, "tx-limit", \
      "beyond the sender's tx-limit=, and it cannot be made to wait") \
    X(MTU, "mtu", \
      "longer than the link-mtu= of a port with a rate or an rtvnic") \
    X(QUEUE_FULL, "queue-full", \
      "too many wait for the rate of the receiver's port already") \
    X(LATE, "late", \
      "its deadline passed while it waited, and its sender has late=drop") \
    X(RX_FULL, "rx-full", \
      "the receiver has made too few buffers available") \
    X(RX_SHORT, "rx-short", \
      "longer than the receiver's buffer, and it merges none") \
    X(SEGMENT, "segment", \
      "the receiver takes no such frame, and it could not be cut " \
      "into smaller ones") \
    X(HOST, "host", \
      "the host's kernel would not take it")

typedef enum Drop {
#define DROP_ENUM(name, counter, text) DROP_##name,
    DROPS(DROP_ENUM)
#undef DROP_ENUM
    DROP_REASONS
} Drop;

/*
 * What one worker has counted of one port.  Ingress: from the port into the
 * switch; egress: out of it, to the port.
 */
typedef struct PortCounters {
    uint64_t ingress_pkts;
    uint64_t ingress_bytes;     /* from the destination address on */
    uint64_t egress_pkts;
    uint64_t egress_bytes;
    uint64_t drops[DROP_REASONS];
} PortCounters;

/* Its writer is one thread; others read it meanwhile. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* "rx-full", and what it means. */
const char *drop_name(Drop reason);
const char *drop_text(Drop reason);

#endif
