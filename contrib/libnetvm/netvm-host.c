/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transport of a process on the host: the socket of the daemon's port
 * (rtnet/netvm-wire.h).
 *
 * Threads: see netvm-impl.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "netvm-impl.h"

/* The largest region that there can be, and address space that is set aside for
 * one: so much at least, and for several times as much as it has. */
#define REGION_MAX_BYTES (UINT64_C(1) << 40)
#define WINDOW_LEAST_BYTES (UINT64_C(4) << 30)
#define WINDOW_TIMES 4
/* A segment of huge pages begins at one. */
#define ALIGN_BYTES (UINT64_C(2) << 20)

union body {
    struct netvm_welcome welcome;
    struct netvm_segment_place segment;
    struct netvm_number number;
    struct netvm_ready ready;
    struct netvm_text text;
};

struct host {
    int socket;
    bool gone;                  /* the daemon is */
    uint8_t *window;            /* what is set aside; NULL: nothing */
    uint64_t window_bytes;
    bool ready;
    uint32_t resets;            /* that we have said */
    int doorbell[NETVM_MEMBERS_MAX + 1];    /* -1: none */
    int interrupt[NETVM_VECTORS];

    /* Of a message that has not come whole yet. */
    struct netvm_header header;
    union body body;
    size_t have_bytes;
    int fd;                     /* -1: none */
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* -- Messages -------------------------------------------------------------- */

static int refuse(struct netvm *nv, const char *why)
{
    netvm_error(nv, "what the daemon says makes no sense (%s): daemon and "
                "library have to be of one release", why);
    return -EPROTO;
}

static void close_window(struct netvm *nv, struct host *h)
{
    if (h->window) {
        munmap(h->window, h->window_bytes + ALIGN_BYTES);
    }
    h->window = NULL;
    nv->region = NULL;
}

/* A region takes the place of the one before. */
static int welcome(struct netvm *nv, struct host *h,
                   const struct netvm_welcome *w)
{
    uint8_t *window;

    if (w->region_bytes > REGION_MAX_BYTES) {
        return refuse(nv, "the region is too large");
    }
    close_window(nv, h);
    h->window_bytes = w->region_bytes * WINDOW_TIMES > WINDOW_LEAST_BYTES
                      ? w->region_bytes * WINDOW_TIMES : WINDOW_LEAST_BYTES;
    window = mmap(NULL, h->window_bytes + ALIGN_BYTES, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (window != MAP_FAILED) {
        h->window = window;
        nv->region = (struct netvm_region *)
            (window + -(uintptr_t)window % ALIGN_BYTES);
    }
    nv->segments_mapped = 0;
    nv->mapped_bytes = 0;
    if (!nv->region) {
        netvm_error(nv, "no address space for the region: raise ulimit -v");
        return -ENOMEM;
    }
    return 0;
}

static int add_segment(struct netvm *nv, struct host *h,
                       const struct netvm_segment_place *s)
{
    int seals = fcntl(h->fd, F_GET_SEALS);
    struct stat st;

    if (!nv->region || s->segment >= NETVM_SEGMENTS_MAX ||
        nv->segments_mapped >> s->segment & 1 ||
        s->offset != nv->mapped_bytes || s->bytes == 0 ||
        s->bytes > h->window_bytes - s->offset) {
        return refuse(nv, "a segment lies where none can be");
    }
    if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(h->fd, &st) < 0 ||
        (uint64_t)st.st_size < s->bytes) {
        return refuse(nv, "a segment's file may be too short");
    }
    if (mmap((uint8_t *)nv->region + s->offset, s->bytes,
             PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, h->fd, 0) ==
        MAP_FAILED) {
        netvm_error(nv, "cannot map %llu bytes of the domain's memory: %s",
                    (unsigned long long)s->bytes, strerror(errno));
        return -errno;
    }
    nv->mapped_bytes += s->bytes;
    nv->segments_mapped |= UINT64_C(1) << s->segment;
    return 0;
}

static int set_fd(struct netvm *nv, struct host *h, int *fds, unsigned n,
                  uint32_t number)
{
    if (number >= n) {
        return refuse(nv, "a file is of no member or vector");
    }
    close_fd(&fds[number]);
    fds[number] = h->fd;
    h->fd = -1;
    return 0;
}

static int obey(struct netvm *nv, struct host *h)
{
    const union body *b = &h->body;

    switch (h->header.type) {
    case NETVM_MSG_WELCOME:
        return welcome(nv, h, &b->welcome);
    case NETVM_MSG_REFUSED:
        netvm_error(nv, "the daemon says: %.200s", b->text.text);
        return -ECONNREFUSED;
    case NETVM_MSG_SEGMENT:
        return add_segment(nv, h, &b->segment);
    case NETVM_MSG_DOORBELL:
        if (set_fd(nv, h, h->doorbell, NETVM_MEMBERS_MAX + 1,
                   b->number.number) < 0) {
            return -EPROTO;
        }
        /* Somebody may have wanted to before it was there. */
        nv->transport->ring(nv, b->number.number);
        return 0;
    case NETVM_MSG_NO_DOORBELL:
        return set_fd(nv, h, h->doorbell, NETVM_MEMBERS_MAX + 1,
                      b->number.number);
    case NETVM_MSG_INTERRUPT:
        return set_fd(nv, h, h->interrupt, NETVM_VECTORS, b->number.number);
    case NETVM_MSG_READY:
        if (!nv->region || nv->mapped_bytes < sizeof(struct netvm_region) ||
            h->interrupt[NETVM_VECTOR_RINGS] < 0) {
            return refuse(nv, "ready, but nothing is there");
        }
        if (b->ready.member < 1 || b->ready.member > NETVM_MEMBERS_MAX) {
            return refuse(nv, "no such member");
        }
        nv->self = b->ready.member;
        nv->serial = b->ready.serial;
        h->ready = b->ready.resets == h->resets;
        return 0;
    default:
        return refuse(nv, "an unknown message");
    }
}

/* What a message of that type brings; -1: there is no such type. */
static int body_bytes(uint32_t type, bool *has_file)
{
    *has_file = type == NETVM_MSG_SEGMENT || type == NETVM_MSG_DOORBELL ||
                type == NETVM_MSG_INTERRUPT;
    switch (type) {
    case NETVM_MSG_WELCOME:
        return sizeof(struct netvm_welcome);
    case NETVM_MSG_REFUSED:
        return sizeof(struct netvm_text);
    case NETVM_MSG_SEGMENT:
        return sizeof(struct netvm_segment_place);
    case NETVM_MSG_DOORBELL:
    case NETVM_MSG_NO_DOORBELL:
    case NETVM_MSG_INTERRUPT:
        return sizeof(struct netvm_number);
    case NETVM_MSG_READY:
        return sizeof(struct netvm_ready);
    default:
        return -1;
    }
}

/* Some bytes more of a message, and the files that come with them. */
static ssize_t receive(struct host *h, void *to, size_t bytes)
{
    struct iovec iov = { .iov_base = to, .iov_len = bytes };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(h->socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        close_fd(&h->fd);
        memcpy(&h->fd, CMSG_DATA(c), sizeof(h->fd));
    }
    return n;
}

/* One message, if it is there; 1, 0: not yet, or a negative errno. */
static int read_message(struct netvm *nv, struct host *h)
{
    for (;;) {
        size_t want = sizeof(h->header);
        uint8_t *to = (uint8_t *)&h->header + h->have_bytes;
        bool has_file = false;
        ssize_t n;

        if (h->have_bytes >= sizeof(h->header)) {
            int bytes = body_bytes(h->header.type, &has_file);

            if (bytes < 0 || h->header.bytes != (uint32_t)bytes) {
                return refuse(nv, "an unknown message");
            }
            want += bytes;
            to = (uint8_t *)&h->body + (h->have_bytes - sizeof(h->header));
        }
        if (h->have_bytes == want) {
            int status;

            if (has_file != (h->fd >= 0)) {
                return refuse(nv, "a file is missing, or too many came");
            }
            status = obey(nv, h);
            close_fd(&h->fd);
            h->have_bytes = 0;
            return status < 0 ? status : 1;
        }
        n = receive(h, to, want - h->have_bytes);
        if (n > 0) {
            h->have_bytes += n;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            h->gone = true;
            return -EPIPE;
        } else if (errno == EAGAIN) {
            return 0;
        }
    }
}

/* -- Transport ------------------------------------------------------------- */

static int host_update(struct netvm *nv)
{
    struct host *h = nv->transport_data;
    int status = h->gone ? -EPIPE : 1;

    while (status > 0) {
        status = read_message(nv, h);
    }
    h->gone |= status < 0;
    return h->gone ? -EPIPE : 0;
}

static void host_ring(struct netvm *nv, unsigned member)
{
    struct host *h = nv->transport_data;
    uint64_t one = 1;

    if (h->doorbell[member] >= 0) {
        /* Full would mean that it was rung often enough. */
        (void)!write(h->doorbell[member], &one, sizeof(one));
    }
}

static int host_fd(const struct netvm *nv)
{
    const struct host *h = nv->transport_data;

    return h->interrupt[NETVM_VECTOR_RINGS];
}

/* Others have the file, too, and may have made it one that blocks. */
static void host_rung(struct netvm *nv)
{
    struct pollfd p = { .fd = host_fd(nv), .events = POLLIN };
    uint64_t times;

    if (poll(&p, 1, 0) > 0) {
        (void)!read(p.fd, &times, sizeof(times));
    }
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int wait_ready(struct netvm *nv, struct host *h, int timeout_ms)
{
    int64_t end_ms = now_ms() + timeout_ms;

    while (!h->ready) {
        struct pollfd p = { .fd = h->socket, .events = POLLIN };
        int64_t left_ms = timeout_ms < 0 ? -1 : end_ms - now_ms();
        int status = read_message(nv, h);

        if (status == -EPIPE) {
            netvm_error(nv, "the daemon has closed the connection: its log "
                        "says why");
        }
        if (status < 0) {
            return status;
        }
        if (status == 0 && timeout_ms >= 0 && left_ms <= 0) {
            netvm_error(nv, "the daemon did not answer within %d ms",
                        timeout_ms);
            return -ETIMEDOUT;
        }
        if (status == 0) {
            poll(&p, 1, left_ms);
        }
    }
    return 0;
}

static int say(struct host *h, uint32_t type, const void *body, uint32_t bytes)
{
    struct netvm_header header = { .type = type, .bytes = bytes };
    struct iovec iov[2] = {
        { .iov_base = &header, .iov_len = sizeof(header) },
        { .iov_base = (void *)body, .iov_len = bytes },
    };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

    /* Few and short: the socket takes them whole. */
    return sendmsg(h->socket, &msg, MSG_NOSIGNAL) ==
           (ssize_t)(sizeof(header) + bytes) ? 0 : -EPIPE;
}

static int host_reset(struct netvm *nv, int timeout_ms)
{
    struct host *h = nv->transport_data;

    h->ready = false;
    h->resets++;
    if (h->gone || say(h, NETVM_MSG_RESET, NULL, 0) < 0) {
        return -EPIPE;
    }
    return wait_ready(nv, h, timeout_ms);
}

static void host_close(struct netvm *nv)
{
    struct host *h = nv->transport_data;

    close_window(nv, h);
    for (unsigned i = 0; i <= NETVM_MEMBERS_MAX; i++) {
        close_fd(&h->doorbell[i]);
    }
    for (unsigned i = 0; i < NETVM_VECTORS; i++) {
        close_fd(&h->interrupt[i]);
    }
    close_fd(&h->fd);
    close_fd(&h->socket);
    free(h);
}

static const struct netvm_transport host_transport = {
    .update = host_update,
    .ring = host_ring,
    .fd = host_fd,
    .rung = host_rung,
    .reset = host_reset,
    .close = host_close,
};

int netvm_open_host(struct netvm *nv, const char *path, int timeout_ms)
{
    struct netvm_hello hello = {
        .version = NETVM_WIRE_VERSION,
        .window_bytes = REGION_MAX_BYTES,
    };
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct host *h = calloc(1, sizeof(*h));

    if (!h) {
        netvm_error(nv, "out of memory");
        return -ENOMEM;
    }
    h->fd = -1;
    memset(h->doorbell, -1, sizeof(h->doorbell));
    memset(h->interrupt, -1, sizeof(h->interrupt));
    h->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    nv->transport = &host_transport;
    nv->transport_data = h;
    if (strlen(path) >= sizeof(to.sun_path)) {
        netvm_error(nv, "%s: a socket's path has at most %zu characters", path,
                    sizeof(to.sun_path) - 1);
        return -ENAMETOOLONG;
    }
    strcpy(to.sun_path, path);
    if (h->socket < 0 ||
        connect(h->socket, (struct sockaddr *)&to, sizeof(to)) < 0) {
        netvm_error(nv, "%s: %s; does the daemon run, and has it a port of "
                    "type netvm with this path?", path, strerror(errno));
        return -errno;
    }
    if (say(h, NETVM_MSG_HELLO, &hello, sizeof(hello)) < 0) {
        netvm_error(nv, "%s: the daemon has closed the connection", path);
        return -EPIPE;
    }
    return wait_ready(nv, h, timeout_ms);
}
