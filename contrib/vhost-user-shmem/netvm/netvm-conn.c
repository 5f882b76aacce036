/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../file-closer.h"
#include "../switch.h"
#include "netvm-conn.h"

/* Messages that wait for the peer: all that there are at the beginning, and
 * some changes. */
#define MAX_WAITING 512

/* As many as Linux takes (SCM_MAX_FD), that it closes none itself. */
#define CONTROL_FDS 253

typedef struct Outgoing {
    struct netvm_header header;
    struct netvm_text body;         /* the longest one */
    uint32_t sent_bytes;
    int fd;
} Outgoing;

struct NetvmConn {
    int fd;
    NetvmIncoming in;
    size_t in_bytes;
    GQueue out;                     /* of Outgoing */
    bool broken;                    /* something was not said ... */
    bool gone;                      /* ... as nobody is there any more */
};

#define CONN_ERROR(error, ...) g_set_error(error, SWITCH_ERROR, 0, __VA_ARGS__)

/* -- Life ------------------------------------------------------------------ */

NetvmConn *netvm_conn_new(int fd)
{
    NetvmConn *c = g_new0(NetvmConn, 1);

    c->fd = fd;
    g_queue_init(&c->out);
    return c;
}

static void free_outgoing(void *opaque)
{
    Outgoing *o = opaque;

    if (o->fd >= 0) {
        close(o->fd);
    }
    g_free(o);
}

void netvm_conn_free(NetvmConn *c)
{
    if (c) {
        g_queue_clear_full(&c->out, free_outgoing);
        /* Files that were not received are closed with it. */
        file_close_later(c->fd);
        g_free(c);
    }
}

int netvm_conn_fd(const NetvmConn *c)
{
    return c->fd;
}

/* -- In -------------------------------------------------------------------- */

/* Some bytes more; an attachment has no files to send. */
static ssize_t receive(NetvmConn *c, void *to, size_t bytes, bool *has_files)
{
    struct iovec iov = { .iov_base = to, .iov_len = bytes };
    union {
        char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0) {
        return n;
    }
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg); cmsg;
         cmsg = CMSG_NXTHDR(&msg, cmsg)) {
        if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS) {
            size_t fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            *has_files = true;
            for (size_t i = 0; i < fds; i++) {
                int fd;

                memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
                file_close_later(fd);
            }
        }
    }
    return n;
}

/* Of the body; -1: an attachment says no such thing. */
static int body_bytes(uint32_t type)
{
    switch (type) {
    case NETVM_MSG_HELLO:
        return sizeof(struct netvm_hello);
    case NETVM_MSG_RESET:
        return 0;
    case NETVM_MSG_UNFIT:
        return sizeof(struct netvm_text);
    default:
        return -1;
    }
}

NetvmReceived netvm_conn_receive(NetvmConn *c, NetvmIncoming *in,
                                 GError **error)
{
    if (c->gone) {
        return NETVM_CLOSED;
    }
    if (c->broken) {
        CONN_ERROR(error, "it has left too much unread, or there are no file "
                   "descriptors left for it (ulimit -n)");
        return NETVM_BROKEN;
    }
    for (;;) {
        size_t want = sizeof(c->in.header);
        bool has_files = false;
        ssize_t n;

        if (c->in_bytes >= sizeof(c->in.header)) {
            int bytes = body_bytes(c->in.header.type);

            if (bytes < 0 || c->in.header.bytes != (uint32_t)bytes) {
                CONN_ERROR(error, "message of type %u with %u bytes: it is no "
                           "netvm attachment, or of another version",
                           c->in.header.type, c->in.header.bytes);
                return NETVM_BROKEN;
            }
            want += bytes;
        }
        if (c->in_bytes >= sizeof(c->in.header) && c->in_bytes == want) {
            *in = c->in;
            memset(&c->in, 0, sizeof(c->in));
            c->in_bytes = 0;
            return NETVM_RECEIVED;
        }
        n = receive(c, (uint8_t *)&c->in + c->in_bytes, want - c->in_bytes,
                    &has_files);
        if (has_files) {
            CONN_ERROR(error, "it has sent files: it is no netvm attachment");
            return NETVM_BROKEN;
        }
        if (n == 0) {
            return NETVM_CLOSED;
        }
        if (n > 0) {
            c->in_bytes += n;
        } else if (errno == EAGAIN) {
            return NETVM_RECEIVED_PART;
        } else if (errno != EINTR) {
            CONN_ERROR(error, "%s", g_strerror(errno));
            return NETVM_BROKEN;
        }
    }
}

/* -- Out ------------------------------------------------------------------- */

/* What is left of one; its file goes with the first byte.  0: not now. */
static ssize_t send_rest(NetvmConn *c, const Outgoing *o)
{
    uint32_t whole = sizeof(o->header) + o->header.bytes;
    struct iovec iov = {
        .iov_base = (uint8_t *)o + o->sent_bytes,
        .iov_len = whole - o->sent_bytes,
    };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (o->fd >= 0 && o->sent_bytes == 0) {
        struct cmsghdr *cmsg;

        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &o->fd, sizeof(int));
    }
    n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

/* What follows would make no sense to it; who reads finds that. */
static bool give_up(NetvmConn *c)
{
    c->broken = true;
    shutdown(c->fd, SHUT_RDWR);
    return false;
}

bool netvm_conn_flush(NetvmConn *c)
{
    Outgoing *o;

    if (c->broken) {
        return false;
    }
    while ((o = g_queue_peek_head(&c->out))) {
        ssize_t n = send_rest(c, o);

        if (n < 0) {
            c->gone = errno == EPIPE || errno == ECONNRESET;
            return give_up(c);
        }
        if (n == 0) {
            return true;
        }
        o->sent_bytes += n;
        if (o->sent_bytes == sizeof(o->header) + o->header.bytes) {
            free_outgoing(g_queue_pop_head(&c->out));
        }
    }
    return true;
}

bool netvm_conn_send(NetvmConn *c, uint32_t type, const void *body,
                     uint32_t bytes, int fd)
{
    Outgoing *o;

    g_assert(bytes <= sizeof(o->body));
    if (c->broken) {
        return false;
    }
    if (c->out.length == MAX_WAITING) {
        return give_up(c);
    }
    o = g_new0(Outgoing, 1);
    o->header = (struct netvm_header) { .type = type, .bytes = bytes };
    if (bytes > 0) {
        memcpy(&o->body, body, bytes);
    }
    /* The caller may close its own before this one is sent. */
    o->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd >= 0 && o->fd < 0) {
        free_outgoing(o);
        return give_up(c);
    }
    g_queue_push_tail(&c->out, o);
    return netvm_conn_flush(c);
}

bool netvm_conn_wants_to_write(const NetvmConn *c)
{
    return c->out.length > 0;
}
