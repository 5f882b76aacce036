/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages over a socket that never blocks: whole ones in, with their file
 * descriptors, and replies out.
 *
 * A peer may send a byte at a time, more file descriptors than fit, files that
 * are no use or wait when they are closed, or never read a reply; it harms its
 * own connection only.
 *
 * Threads: the control thread.
 */
#ifndef VUS_VU_CONN_H
#define VUS_VU_CONN_H

#include <stdbool.h>

#include "vu-wire.h"

/* A message; its owner closes what is left of its fds. */
typedef struct VuMsg {
    VuHeader header;
    VuPayload payload;          /* zero behind header.payload_bytes */
    int fd[VU_MAX_FDS];
    unsigned fds;
} VuMsg;

typedef enum VuReceived {
    VU_RECEIVED,                /* a whole message */
    VU_RECEIVED_PART,           /* the socket has no more for now */
    VU_CLOSED,                  /* by the peer */
    VU_BROKEN,                  /* nothing more can come; @error says why */
} VuReceived;

typedef struct VuConn VuConn;

#define VU_CONN_ERROR vu_conn_error_quark()
GQuark vu_conn_error_quark(void);

/* Takes over @fd, a connected stream socket, and makes it non-blocking. */
VuConn *vu_conn_new(int fd);
void vu_conn_free(VuConn *c);

int vu_conn_fd(const VuConn *c);

VuReceived vu_conn_receive(VuConn *c, VuMsg *m, GError **error);
void vu_msg_clear(VuMsg *m);        /* closes its fds */

/*
 * The answer to @m, @bytes of @payload.  What the socket does not take waits
 * for vu_conn_flush().  False with @error set: the connection is broken, or the
 * peer has left too many answers unread.
 */
bool vu_conn_reply(VuConn *c, const VuMsg *m, const void *payload,
                   uint32_t bytes, GError **error);
bool vu_conn_flush(VuConn *c, GError **error);

/* Is there something to be flushed? */
bool vu_conn_wants_to_write(const VuConn *c);

/* "SET_MEM_TABLE", or "request 99". */
const char *vu_request_name(uint32_t request);

#endif
