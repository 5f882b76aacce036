/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of sockets that we listen at: what a daemon that was killed has
 * left is removed, and nothing else.
 *
 * Threads: the control thread.
 */
#ifndef VUS_SOCKET_FILE_H
#define VUS_SOCKET_FILE_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

typedef struct SocketFile {
    dev_t dev;
    ino_t ino;                  /* 0: none */
} SocketFile;

/*
 * Make room at @address.  False with @error set if somebody listens there, or
 * something else is there; @word: with what the user names another place.
 */
bool socket_file_make_room(const struct sockaddr_un *address, const char *word,
                           GError **error);

/* The file at @path is ours; false with errno set if there is none. */
bool socket_file_note(SocketFile *f, const char *path);

/* Remove it, unless another one has taken its place. */
void socket_file_remove(SocketFile *f, const char *path);

#endif
