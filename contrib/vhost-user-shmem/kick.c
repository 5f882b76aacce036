/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kick.h"
#include "switch.h"

/* Completions that wait to be taken out: all at once when there are so many. */
#define COMPLETIONS 256

/* Written once, before there is a worker that kicks. */
static aio_context_t context;
static int null_fd = -1;

bool kick_prepare(GError **error)
{
    if (null_fd < 0) {
        null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (null_fd < 0) {
        g_set_error(error, SWITCH_ERROR, 0, "cannot open /dev/null: %s",
                    g_strerror(errno));
        return false;
    }
    if (!context && syscall(SYS_io_setup, COMPLETIONS, &context) < 0) {
        g_set_error(error, SWITCH_ERROR, 0, "cannot set up asynchronous I/O, "
                    "which wakes guests: %s%s", g_strerror(errno),
                    errno == EAGAIN ? "; raise the sysctl fs.aio-max-nr" :
                    errno == EPERM || errno == ENOSYS
                    ? "; allow the system calls io_setup, io_submit and "
                      "io_getevents in its seccomp filter" : "");
        return false;
    }
    return true;
}

static bool submit(int fd)
{
    struct iocb read_nothing = {
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = null_fd,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = fd,
    };
    struct iocb *list = &read_nothing;

    return syscall(SYS_io_submit, context, 1, &list) == 1;
}

void kick(int fd)
{
    struct io_event events[COMPLETIONS];
    struct timespec at_once = { 0 };

    if (fd < 0) {
        return;
    }
    while (!submit(fd) && errno == EAGAIN) {
        syscall(SYS_io_getevents, context, 0, COMPLETIONS, events, &at_once);
    }
}

bool kick_is_eventfd(int fd)
{
    static const char eventfd[] = "anon_inode:[eventfd]";
    char link[32], name[sizeof(eventfd)];
    ssize_t bytes;

    g_snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    bytes = readlink(link, name, sizeof(name));
    return bytes == sizeof(eventfd) - 1 && memcmp(name, eventfd, bytes) == 0;
}
