/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket to an attachment (rtnet/netvm-wire.h): whole messages in, and ours
 * out, with their files; never blocks.
 *
 * Threads: control.
 */
#ifndef VUS_NETVM_CONN_H
#define VUS_NETVM_CONN_H

#include <glib.h>
#include <stdbool.h>

#include "rtnet/netvm-wire.h"

typedef struct NetvmConn NetvmConn;

typedef struct NetvmIncoming {
    struct netvm_header header;
    union {
        struct netvm_hello hello;
        struct netvm_text text;
    };
} NetvmIncoming;

typedef enum NetvmReceived {
    NETVM_RECEIVED,             /* a whole message of a known type */
    NETVM_RECEIVED_PART,        /* no more has come yet */
    NETVM_CLOSED,               /* by the peer */
    NETVM_BROKEN,               /* @error says why */
} NetvmReceived;

/* Takes over @fd, a connected stream socket that does not block. */
NetvmConn *netvm_conn_new(int fd);
void netvm_conn_free(NetvmConn *c);             /* @c may be NULL */

int netvm_conn_fd(const NetvmConn *c);

NetvmReceived netvm_conn_receive(NetvmConn *c, NetvmIncoming *in,
                                 GError **error);

/*
 * Say @type with @bytes of @body, and @fd, which stays the caller's; -1: none.
 * What the socket does not take waits for netvm_conn_flush().  False: the peer
 * has gone, or has left too much unread; nothing more comes from it, either.
 */
bool netvm_conn_send(NetvmConn *c, uint32_t type, const void *body,
                     uint32_t bytes, int fd);
bool netvm_conn_flush(NetvmConn *c);
bool netvm_conn_wants_to_write(const NetvmConn *c);

#endif
