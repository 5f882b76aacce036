/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm: what the daemon and an attachment (a netvm-shm device in QEMU, or a
 * process on the host) say to each other over a Unix stream socket.
 *
 * Either end may listen.  Messages have a header and a body of the length that
 * their type has; a message whose type has a file brings exactly one, in the
 * same sendmsg() as its header.  Values are in the host's byte order.
 *
 *   attachment                       daemon
 *   HELLO  ------------------------>
 *          <------------------------ WELCOME, or REFUSED and the end
 *          <------------------------ SEGMENT, for each
 *          <------------------------ DOORBELL 0, the daemon's, and those of
 *                                    members
 *          <------------------------ INTERRUPT, for each vector
 *          <------------------------ READY
 *
 * Then, at any time: the daemon adds a SEGMENT, adds or replaces a DOORBELL, or
 * takes one away with NO_DOORBELL.  The attachment says RESET if whoever uses
 * the region has ended or starts anew: it may touch the region again only after
 * the READY that answers each RESET, before which its DOORBELL 0 and INTERRUPTs
 * come anew; it is another member then, and owns nothing.  The end of the
 * connection ends the membership.
 *
 * The daemon shrinks no file it sends, and seals them so.  An attachment maps
 * what fits between @offset and its window; if something does not it says
 * UNFIT and ends.
 */
#ifndef RTNET_NETVM_WIRE_H
#define RTNET_NETVM_WIRE_H

#include <stdint.h>

#include "rtnet/netvm-abi.h"

#define NETVM_WIRE_VERSION 1

enum netvm_message_type {
    /* From the attachment. */
    NETVM_MSG_HELLO = 1,        /* struct netvm_hello */
    NETVM_MSG_RESET = 2,        /* nothing */
    NETVM_MSG_UNFIT = 3,        /* struct netvm_text: why */

    /* From the daemon. */
    NETVM_MSG_WELCOME = 16,     /* struct netvm_welcome */
    NETVM_MSG_REFUSED = 17,     /* struct netvm_text: why */
    NETVM_MSG_SEGMENT = 18,     /* struct netvm_segment_place, a file */
    NETVM_MSG_DOORBELL = 19,    /* struct netvm_number: member, an eventfd */
    NETVM_MSG_NO_DOORBELL = 20, /* struct netvm_number: member */
    NETVM_MSG_INTERRUPT = 21,   /* struct netvm_number: vector, an eventfd */
    NETVM_MSG_READY = 22,       /* struct netvm_ready */
};

enum netvm_vector {
    NETVM_VECTOR_RINGS,         /* a ring that wanted it has a new tail */
    NETVM_VECTOR_CONFIG,        /* segments, services or flows have changed */
    NETVM_VECTORS
};

struct netvm_header {
    uint32_t type;              /* enum netvm_message_type */
    uint32_t bytes;             /* of the body */
};

struct netvm_hello {
    uint32_t version;           /* NETVM_WIRE_VERSION */
    uint32_t pad;
    uint64_t window_bytes;      /* the largest region that it can show */
};

struct netvm_welcome {
    uint64_t region_id;
    uint64_t region_bytes;      /* of all segments that there are now */
};

struct netvm_segment_place {
    uint32_t segment;
    uint32_t pad;
    uint64_t offset;            /* in the region; a multiple of 4 KiB */
    uint64_t bytes;             /* of the file, from its beginning; the same */
};

struct netvm_number {
    uint32_t number;
    uint32_t pad;
};

struct netvm_ready {
    uint32_t member;            /* our number: after a RESET maybe another */
    uint32_t serial;            /* of the member */
    uint32_t resets;            /* RESETs seen on this connection */
    uint32_t pad;
};

#define NETVM_TEXT_BYTES 256

struct netvm_text {             /* UTF-8, one line, a zero at the end */
    char text[NETVM_TEXT_BYTES];
};

_Static_assert(sizeof(struct netvm_header) == 8, "no gaps");
_Static_assert(sizeof(struct netvm_hello) == 16, "no gaps");
_Static_assert(sizeof(struct netvm_welcome) == 16, "no gaps");
_Static_assert(sizeof(struct netvm_segment_place) == 24, "no gaps");
_Static_assert(sizeof(struct netvm_number) == 8, "no gaps");
_Static_assert(sizeof(struct netvm_ready) == 16, "no gaps");

#endif
