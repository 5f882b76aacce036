/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "file-closer.h"
#include "kick.h"
#include "vu-conn.h"

#define MAX_UNREAD_BYTES 4096

/* As many as Linux takes (SCM_MAX_FD), that it closes none itself. */
#define CONTROL_FDS 253

struct VuConn {
    int fd;
    VuMsg in;                   /* what has come of the next message */
    size_t in_bytes;
    GByteArray *out;
};

/* What is wrong with the files that came. */
typedef enum Files { FILES_GOOD, FILES_MANY, FILES_UNKNOWN } Files;

G_DEFINE_QUARK(vu-conn-error-quark, vu_conn_error)

#define CONN_ERROR(error, ...) \
    g_set_error(error, VU_CONN_ERROR, 0, __VA_ARGS__)

/* -- Files ----------------------------------------------------------------- */

/* Only these are of use here, and close at once: eventfds and shared memory. */
static bool is_known(int fd)
{
    return fcntl(fd, F_GET_SEALS) >= 0 || kick_is_eventfd(fd);
}

/* -- Life ------------------------------------------------------------------ */

static ssize_t receive_raw(VuConn *c, void *to, size_t bytes, Files *files);

VuConn *vu_conn_new(int fd)
{
    VuConn *c = g_new0(VuConn, 1);
    int flags = fcntl(fd, F_GETFL);

    c->fd = fd;
    c->out = g_byte_array_new();
    if (flags >= 0) {
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
    return c;
}

/* Files that were not received would be closed with the socket. */
static void drain(VuConn *c)
{
    uint8_t bytes[4096];
    Files files;

    shutdown(c->fd, SHUT_RDWR);
    do {
        vu_msg_clear(&c->in);
    } while (receive_raw(c, bytes, sizeof(bytes), &files) > 0);
    vu_msg_clear(&c->in);
}

void vu_conn_free(VuConn *c)
{
    if (c) {
        drain(c);
        g_byte_array_free(c->out, true);
        close(c->fd);
        g_free(c);
    }
}

int vu_conn_fd(const VuConn *c)
{
    return c->fd;
}

void vu_msg_clear(VuMsg *m)
{
    for (unsigned i = 0; i < m->fds; i++) {
        close(m->fd[i]);
    }
    m->fds = 0;
}

const char *vu_request_name(uint32_t request)
{
    static char unknown[sizeof("request 4294967295")];

    switch (request) {
#define VU_REQUEST_NAME(number, name) case number: return #name;
    VU_REQUESTS(VU_REQUEST_NAME)
#undef VU_REQUEST_NAME
    default:
        g_snprintf(unknown, sizeof(unknown), "request %u", request);
        return unknown;
    }
}

/* -- In -------------------------------------------------------------------- */

static Files take_fds(VuConn *c, struct msghdr *msg)
{
    Files files = msg->msg_flags & MSG_CTRUNC ? FILES_MANY : FILES_GOOD;

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg;
         cmsg = CMSG_NXTHDR(msg, cmsg)) {
        unsigned n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (unsigned i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
            if (!is_known(fd)) {
                file_close_later(fd);
                files = FILES_UNKNOWN;
            } else if (c->in.fds < VU_MAX_FDS) {
                c->in.fd[c->in.fds++] = fd;
            } else {
                close(fd);
                files = MAX(files, FILES_MANY);
            }
        }
    }
    return files;
}

/* As recvmsg(), with the files that came in c->in. */
static ssize_t receive_raw(VuConn *c, void *to, size_t bytes, Files *files)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = to, .iov_len = bytes };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof(control),
    };
    ssize_t got;

    do {
        got = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    *files = got < 0 ? FILES_GOOD : take_fds(c, &msg);
    return got;
}

/* Up to @bytes of the message, never into the next one. */
static VuReceived receive_some(VuConn *c, void *to, size_t bytes,
                               GError **error)
{
    Files files;
    ssize_t got = receive_raw(c, to, bytes, &files);

    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return VU_RECEIVED_PART;
    }
    if (got < 0 && errno == ECONNRESET) {
        got = 0;                /* it has gone and left an answer unread */
    }
    if (got < 0) {
        CONN_ERROR(error, "receiving failed: %s", g_strerror(errno));
        return VU_BROKEN;
    }
    if (files == FILES_UNKNOWN) {
        CONN_ERROR(error, "a message came with a file that is neither an "
                   "eventfd nor in shared memory; QEMU needs "
                   "-object memory-backend-memfd, or memory-backend-file in "
                   "/dev/shm or a hugetlbfs, with share=on");
        return VU_BROKEN;
    }
    if (files == FILES_MANY) {
        CONN_ERROR(error, "a message came with more than %d file descriptors",
                   VU_MAX_FDS);
        return VU_BROKEN;
    }
    if (got == 0) {
        if (c->in_bytes == 0) {
            return VU_CLOSED;
        }
        CONN_ERROR(error, "the connection ended within a message");
        return VU_BROKEN;
    }
    c->in_bytes += got;
    return VU_RECEIVED;
}

static bool check_header(const VuHeader *h, GError **error)
{
    if ((h->flags & VU_FLAG_VERSION_MASK) != VU_VERSION) {
        CONN_ERROR(error, "%s has version %u of the protocol; only %u is known",
                   vu_request_name(h->request), h->flags & VU_FLAG_VERSION_MASK,
                   VU_VERSION);
        return false;
    }
    if (h->flags & VU_FLAG_REPLY) {
        CONN_ERROR(error, "%s came as a reply, though nothing was asked",
                   vu_request_name(h->request));
        return false;
    }
    if (h->payload_bytes > VU_MAX_PAYLOAD_BYTES) {
        CONN_ERROR(error, "%s has %u bytes; no message has more than %d",
                   vu_request_name(h->request), h->payload_bytes,
                   VU_MAX_PAYLOAD_BYTES);
        return false;
    }
    return true;
}

VuReceived vu_conn_receive(VuConn *c, VuMsg *m, GError **error)
{
    size_t header_bytes = sizeof(c->in.header);
    VuReceived result;

    while (c->in_bytes < header_bytes) {
        result = receive_some(c, (uint8_t *)&c->in.header + c->in_bytes,
                              header_bytes - c->in_bytes, error);
        if (result != VU_RECEIVED) {
            return result;
        }
        if (c->in_bytes == header_bytes &&
            !check_header(&c->in.header, error)) {
            return VU_BROKEN;
        }
    }
    while (c->in_bytes < header_bytes + c->in.header.payload_bytes) {
        size_t done = c->in_bytes - header_bytes;

        result = receive_some(c, (uint8_t *)&c->in.payload + done,
                              c->in.header.payload_bytes - done, error);
        if (result != VU_RECEIVED) {
            return result;
        }
    }
    *m = c->in;
    c->in = (VuMsg) { 0 };
    c->in_bytes = 0;
    return VU_RECEIVED;
}

/* -- Out ------------------------------------------------------------------- */

bool vu_conn_flush(VuConn *c, GError **error)
{
    while (c->out->len > 0) {
        ssize_t sent = send(c->fd, c->out->data, c->out->len,
                            MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return true;
        }
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            /* The peer has gone, as vu_conn_receive() is going to say. */
            g_byte_array_set_size(c->out, 0);
            return true;
        }
        if (sent < 0) {
            CONN_ERROR(error, "sending failed: %s", g_strerror(errno));
            return false;
        }
        g_byte_array_remove_range(c->out, 0, sent);
    }
    return true;
}

bool vu_conn_reply(VuConn *c, const VuMsg *m, const void *payload,
                   uint32_t bytes, GError **error)
{
    VuHeader h = {
        .request = m->header.request,
        .flags = VU_VERSION | VU_FLAG_REPLY,
        .payload_bytes = bytes,
    };

    if (c->out->len + sizeof(h) + bytes > MAX_UNREAD_BYTES) {
        CONN_ERROR(error, "the peer leaves %u bytes of answers unread",
                   c->out->len);
        return false;
    }
    g_byte_array_append(c->out, (const guint8 *)&h, sizeof(h));
    g_byte_array_append(c->out, payload, bytes);
    return vu_conn_flush(c, error);
}

bool vu_conn_wants_to_write(const VuConn *c)
{
    return c->out->len > 0;
}
