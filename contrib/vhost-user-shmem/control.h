/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: lines come in, each is answered with a line.
 *
 * Whatever clients do, the main loop goes on: nothing blocks, at most one line
 * of each client is worked on before others have their turn, and each has
 * limits.  A line that is too long is answered with an error and skipped; a
 * client that does not read what it is sent is cut off.
 *
 * A method may keep the client that called it, to send it lines of its own
 * (notifications) beside the answers.
 *
 * Threads: the control thread, with GLib's default main context.
 */
#ifndef VUS_CONTROL_H
#define VUS_CONTROL_H

#include "rpc.h"

/* Each NIC with a contract is one. */
#define CONTROL_MAX_CLIENTS 320
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

/* -- For methods ----------------------------------------------------------- */

typedef struct ControlClient ControlClient;

/* Who has called the method that runs; NULL: none does. */
ControlClient *control_caller(const Control *c);

/* It stays until it is gone, also with nothing more to say; @gone is called
 * then.  Not twice for one client. */
void control_keep(ControlClient *client, void (*gone)(void *opaque),
                  void *opaque);
bool control_is_kept(const ControlClient *client);

/* Has it hung up?  The main loop may not have come to that yet. */
bool control_has_hung_up(const ControlClient *client);

/* A line, which is given an end.  Nothing waits: if it leaves too many unread
 * it is cut off, but not before the caller has returned. */
void control_notify(ControlClient *client, const char *line);

#endif
