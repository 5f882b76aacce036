/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a port and its front end meet: one of them listens, the other connects.
 *
 * A socket that a dead daemon has left is replaced; one where somebody listens
 * is not.  A port that connects tries again every second until somebody is
 * there, and again when that one is gone.
 *
 * Threads: the control thread.
 */
#ifndef VUS_VHOST_SOCKET_H
#define VUS_VHOST_SOCKET_H

#include "port.h"

typedef struct VhostSocket VhostSocket;

/* Calls @front with a connected, non-blocking socket, which it owns then. */
VhostSocket *vhost_socket_new(const Port *p,
                              void (*front)(void *opaque, int fd),
                              void *opaque);
void vhost_socket_free(VhostSocket *s);

/* Begin to listen, or to connect: p->settings say which, and where. */
bool vhost_socket_open(VhostSocket *s, GError **error);

/* Nobody can connect any more; what is connected stays. */
void vhost_socket_close(VhostSocket *s);

/* The front end is gone, and another may come. */
void vhost_socket_lost(VhostSocket *s);

#endif
