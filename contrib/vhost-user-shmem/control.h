/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: lines come in, each is answered with a line.
 *
 * Whatever clients do, the main loop goes on: nothing blocks, at most one line
 * of each client is worked on before others have their turn, and each has
 * limits.  A line that is too long is answered with an error and skipped; a
 * client that does not read its answers is cut off.
 *
 * Threads: the control thread, with GLib's default main context.
 */
#ifndef VUS_CONTROL_H
#define VUS_CONTROL_H

#include "rpc.h"

#define CONTROL_MAX_CLIENTS 64
#define CONTROL_MAX_LINE_BYTES 65536            /* with its newline */
#define CONTROL_MAX_UNREAD_BYTES (1024 * 1024)

typedef struct Control Control;

#define CONTROL_ERROR control_error_quark()
GQuark control_error_quark(void);

/*
 * Claim @path, so that no other daemon can, but answer nobody yet.  A socket
 * that a dead daemon has left there is replaced.  Who may connect is up to
 * the file's mode: the owner, until somebody changes it.  NULL with @error
 * set.
 */
Control *control_new(const char *path, GError **error);

/* Begin to answer, with @methods and their @opaque. */
void control_serve(Control *c, const RpcMethod *methods, void *opaque);

/* Cuts all clients off and removes the socket. */
void control_free(Control *c);

#endif
