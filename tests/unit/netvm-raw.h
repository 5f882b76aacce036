/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An attachment to a port of type netvm that says what it likes and writes
 * where it likes (rtnet/netvm-wire.h, rtnet/netvm-abi.h), for tests.
 *
 * Threads: the control thread, whose main context runs while something is
 * awaited.
 */
#ifndef NETVM_RAW_H
#define NETVM_RAW_H

#include "netvm-ring.h"
#include "rtnet/netvm-wire.h"

#define NETVM_RAW_WINDOW_BYTES (UINT64_C(1) << 32)

typedef struct NetvmRaw {
    int fd;                     /* of the connection */
    bool gone;                  /* the daemon has ended it */

    /* What it was told. */
    struct netvm_ready ready;   /* the last one */
    unsigned readies;
    unsigned heard;             /* messages */
    char *refused;              /* why; NULL: it was not */
    int doorbell[NETVM_MEMBERS_MAX + 1];    /* -1: none */
    int interrupt[NETVM_VECTORS];
    uint8_t *window;            /* the region; NULL: not welcome yet */
    uint64_t mapped_bytes;
    unsigned segments;

    /* Our ends of our rings, while we mean well. */
    struct netvm_map map;
    struct netvm_sender tx;
    struct netvm_receiver rx, fill;
} NetvmRaw;

/* -- The connection -------------------------------------------------------- */

/* Connected, and silent. */
NetvmRaw *netvm_raw_new(const char *path);
void netvm_raw_free(NetvmRaw *r);

/* As many bytes as the socket takes, with @fds files; how many. */
size_t netvm_raw_write(NetvmRaw *r, const void *data, size_t bytes,
                       const int *fd, unsigned fds);
void netvm_raw_say(NetvmRaw *r, uint32_t type, const void *body,
                   uint32_t bytes);
void netvm_raw_hello(NetvmRaw *r);

/* All that the daemon has said so far; false: it has ended the connection. */
bool netvm_raw_hear(NetvmRaw *r);

/* Until it has; and that was @why: part of what was logged last. */
void netvm_raw_wait_end(NetvmRaw *r);
void netvm_raw_expect_end(NetvmRaw *r, const char *why);

/* Until the daemon has answered all RESETs, of which @resets were said.
 * False: it has ended the connection; netvm_raw_wait_ready() fails then. */
bool netvm_raw_try_ready(NetvmRaw *r, unsigned resets);
void netvm_raw_wait_ready(NetvmRaw *r, unsigned resets);

/* -- A member -------------------------------------------------------------- */

/* Connected and a member; attached: it says that it polls. */
NetvmRaw *netvm_raw_join(const char *path);
void netvm_raw_attach(NetvmRaw *r);

static inline struct netvm_region *netvm_raw_region(const NetvmRaw *r)
{
    return (struct netvm_region *)r->window;
}

struct netvm_member *netvm_raw_member(const NetvmRaw *r, unsigned member);
struct netvm_ring *netvm_raw_ring(const NetvmRaw *r, unsigned number);

/* An empty buffer of ours; waits for it. */
uint32_t netvm_raw_alloc(NetvmRaw *r);

/* One descriptor as a member sends it, and the doorbell; waits for room. */
void netvm_raw_send(NetvmRaw *r, const struct netvm_desc *desc);

/* Until the daemon has looked at all that was sent. */
void netvm_raw_wait_taken(NetvmRaw *r);

void netvm_raw_kick(NetvmRaw *r);

#endif
