/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "socket-file.h"
#include "switch.h"

#define FAILED(error, ...) g_set_error(error, SWITCH_ERROR, 0, __VA_ARGS__)

bool socket_file_make_room(const struct sockaddr_un *address, const char *word,
                           GError **error)
{
    const char *path = address->sun_path;
    struct stat st;
    int fd, failure;

    if (lstat(path, &st) < 0) {
        return true;
    }
    if (!S_ISSOCK(st.st_mode)) {
        FAILED(error, "%s is there and is no socket: remove it, or name "
               "another one with %s", path, word);
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    failure = fd < 0 || connect(fd, (const struct sockaddr *)address,
                                sizeof(*address)) < 0 ? errno : 0;
    if (fd >= 0) {
        close(fd);
    }
    /* EAGAIN: it does not come to accepting, but lives. */
    if (failure == 0 || failure == EAGAIN) {
        FAILED(error, "a daemon answers at %s already: end it, or name another "
               "one with %s", path, word);
        return false;
    }
    if (failure != ECONNREFUSED) {
        FAILED(error, "%s is there and cannot be tried: %s; remove it, or name "
               "another one with %s", path, g_strerror(failure), word);
        return false;
    }
    if (unlink(path) < 0) {
        FAILED(error, "%s is left of a dead daemon, and cannot be removed: %s",
               path, g_strerror(errno));
        return false;
    }
    return true;
}

bool socket_file_note(SocketFile *f, const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        return false;
    }
    *f = (SocketFile) { st.st_dev, st.st_ino };
    return true;
}

void socket_file_remove(SocketFile *f, const char *path)
{
    struct stat st;

    if (f->ino && lstat(path, &st) == 0 && st.st_dev == f->dev &&
        st.st_ino == f->ino) {
        unlink(path);
    }
    *f = (SocketFile) { 0 };
}
