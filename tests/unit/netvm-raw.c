/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "netvm-raw.h"
#include "switch-bed.h"

typedef union Body {
    struct netvm_welcome welcome;
    struct netvm_segment_place segment;
    struct netvm_number number;
    struct netvm_ready ready;
    struct netvm_text text;
} Body;

/* -- The connection -------------------------------------------------------- */

NetvmRaw *netvm_raw_new(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    NetvmRaw *r = g_new0(NetvmRaw, 1);

    memset(r->doorbell, -1, sizeof(r->doorbell));
    memset(r->interrupt, -1, sizeof(r->interrupt));
    r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpuint(g_strlcpy(to.sun_path, path, sizeof(to.sun_path)), <,
                     sizeof(to.sun_path));
    g_assert_cmpint(connect(r->fd, (struct sockaddr *)&to, sizeof(to)), ==, 0);
    return r;
}

static void close_all(int *fd, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (fd[i] >= 0) {
            close(fd[i]);
        }
    }
}

void netvm_raw_free(NetvmRaw *r)
{
    close_all(r->doorbell, G_N_ELEMENTS(r->doorbell));
    close_all(r->interrupt, G_N_ELEMENTS(r->interrupt));
    if (r->window) {
        munmap(r->window, NETVM_RAW_WINDOW_BYTES);
    }
    close(r->fd);
    g_free(r->refused);
    g_free(r);
}

size_t netvm_raw_write(NetvmRaw *r, const void *data, size_t bytes,
                       const int *fd, unsigned fds)
{
    struct iovec iov = { .iov_base = (void *)data, .iov_len = bytes };
    union {
        char bytes[CMSG_SPACE(256 * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    g_assert_cmpuint(fds, <=, 256);
    if (fds > 0) {
        struct cmsghdr *c;

        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds * sizeof(int));
        memcpy(CMSG_DATA(c), fd, fds * sizeof(int));
    }
    n = sendmsg(r->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    return MAX(n, 0);
}

void netvm_raw_say(NetvmRaw *r, uint32_t type, const void *body, uint32_t bytes)
{
    struct netvm_header header = { .type = type, .bytes = bytes };
    uint8_t message[sizeof(header) + NETVM_TEXT_BYTES];

    memcpy(message, &header, sizeof(header));
    if (bytes > 0) {
        memcpy(message + sizeof(header), body, bytes);
    }
    netvm_raw_write(r, message, sizeof(header) + bytes, NULL, 0);
}

void netvm_raw_hello(NetvmRaw *r)
{
    struct netvm_hello body = {
        .version = NETVM_WIRE_VERSION,
        .window_bytes = NETVM_RAW_WINDOW_BYTES,
    };

    netvm_raw_say(r, NETVM_MSG_HELLO, &body, sizeof(body));
}

/* -- What the daemon says -------------------------------------------------- */

static void welcome(NetvmRaw *r)
{
    g_assert_null(r->window);
    r->window = mmap(NULL, NETVM_RAW_WINDOW_BYTES, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    g_assert_true(r->window != MAP_FAILED);
}

static void map_segment(NetvmRaw *r, const struct netvm_segment_place *s,
                        int file)
{
    g_assert_cmpuint(s->segment, ==, r->segments);
    g_assert_cmpuint(s->offset, ==, r->mapped_bytes);
    g_assert_true(mmap(r->window + s->offset, s->bytes, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED);
    r->mapped_bytes += s->bytes;
    r->segments++;
}

static void keep(int *at, int file)
{
    close_all(at, 1);
    *at = file;
}

static void obey(NetvmRaw *r, uint32_t type, const Body *b, int file)
{
    switch (type) {
    case NETVM_MSG_WELCOME:
        welcome(r);
        break;
    case NETVM_MSG_REFUSED:
        g_free(r->refused);
        r->refused = g_strdup(b->text.text);
        break;
    case NETVM_MSG_SEGMENT:
        map_segment(r, &b->segment, file);
        close(file);
        break;
    case NETVM_MSG_DOORBELL:
        g_assert_cmpuint(b->number.number, <=, NETVM_MEMBERS_MAX);
        keep(&r->doorbell[b->number.number], file);
        break;
    case NETVM_MSG_NO_DOORBELL:
        g_assert_cmpuint(b->number.number, <=, NETVM_MEMBERS_MAX);
        keep(&r->doorbell[b->number.number], -1);
        break;
    case NETVM_MSG_INTERRUPT:
        g_assert_cmpuint(b->number.number, <, NETVM_VECTORS);
        keep(&r->interrupt[b->number.number], file);
        break;
    case NETVM_MSG_READY:
        r->ready = b->ready;
        r->readies++;
        break;
    default:
        g_error("the daemon says %u", type);
    }
    r->heard++;
}

/* A part of a message, which comes whole soon; 0: the end, -1: not now. */
static ssize_t hear_part(NetvmRaw *r, void *to, size_t bytes, int flags,
                         int *file)
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
    ssize_t n = recvmsg(r->fd, &msg, flags | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

    g_assert_false(n > 0 && (msg.msg_flags & MSG_CTRUNC));
    if (c && c->cmsg_type == SCM_RIGHTS) {
        memcpy(file, CMSG_DATA(c), sizeof(*file));
    }
    /* What we have said was not read: the end, too. */
    return n < 0 && errno == ECONNRESET ? 0 : n;
}

bool netvm_raw_hear(NetvmRaw *r)
{
    while (!r->gone) {
        struct netvm_header header;
        Body body = { 0 };
        int file = -1;
        ssize_t n = hear_part(r, &header, sizeof(header), MSG_DONTWAIT, &file);

        if (n < 0) {
            g_assert_cmpint(errno, ==, EAGAIN);
            return true;
        }
        if (n == 0) {
            r->gone = true;
            break;
        }
        g_assert_cmpint(n, ==, sizeof(header));
        g_assert_cmpuint(header.bytes, <=, sizeof(body));
        /* It follows without a wait, as the daemon sends both at once. */
        if (header.bytes > 0) {
            n = hear_part(r, &body, header.bytes, MSG_WAITALL, &file);
            g_assert_cmpint(n, ==, header.bytes);
        }
        obey(r, header.type, &body, file);
    }
    return false;
}

static bool is_gone(void *opaque)
{
    return !netvm_raw_hear(opaque);
}

void netvm_raw_wait_end(NetvmRaw *r)
{
    bed_wait(is_gone, r, "the end of the connection");
}

void netvm_raw_expect_end(NetvmRaw *r, const char *why)
{
    netvm_raw_wait_end(r);
    if (!bed_last_warning || !strstr(bed_last_warning, why)) {
        g_error("'%s' lacks '%s'", bed_last_warning, why);
    }
}

typedef struct Wanted {
    NetvmRaw *r;
    unsigned resets;
} Wanted;

static bool is_ready_or_gone(void *opaque)
{
    const Wanted *w = opaque;

    return !netvm_raw_hear(w->r) ||
           (w->r->readies > 0 && w->r->ready.resets == w->resets);
}

/* What it is now, and our ends of its rings. */
static void begin(NetvmRaw *r)
{
    const struct netvm_region *shown = netvm_raw_region(r);
    unsigned self = r->ready.member;

    r->map = (struct netvm_map) {
        .buffer_bytes = shown->buffer_bytes,
        .buffer_shift = __builtin_ctz(shown->buffer_bytes),
    };
    for (unsigned i = 0; i < r->segments; i++) {
        const struct netvm_segment *s = &shown->segment[i];

        r->map.segment[i].owners = (uint64_t *)(r->window + s->owners_offset);
        r->map.segment[i].buffers = r->window + s->buffers_offset;
        r->map.segment[i].n = s->buffers;
    }
    r->tx = (struct netvm_sender) {
        .ring = netvm_raw_ring(r, NETVM_RING_TX(self)),
        .descs = shown->ring_descs, .number = NETVM_RING_TX(self),
    };
    r->tx.tail = netvm_read_acquire(&r->tx.ring->tail);
    r->tx.head_seen = netvm_read_acquire(&r->tx.ring->head);
    r->rx = (struct netvm_receiver) {
        .ring = netvm_raw_ring(r, NETVM_RING_RX(self)),
        .descs = shown->ring_descs,
    };
    r->rx.head = r->rx.tail_seen = netvm_read_acquire(&r->rx.ring->head);
    r->fill = (struct netvm_receiver) {
        .ring = netvm_raw_ring(r, NETVM_RING_FILL(self)),
        .descs = shown->ring_descs,
    };
    r->fill.head = r->fill.tail_seen = netvm_read_acquire(&r->fill.ring->head);
}

bool netvm_raw_try_ready(NetvmRaw *r, unsigned resets)
{
    bed_wait(is_ready_or_gone, &(Wanted) { r, resets }, "READY");
    if (r->gone) {
        return false;
    }
    begin(r);
    return true;
}

void netvm_raw_wait_ready(NetvmRaw *r, unsigned resets)
{
    if (!netvm_raw_try_ready(r, resets)) {
        g_error("the connection has ended: %s", r->refused ? r->refused
                                                           : bed_last_warning);
    }
}

/* -- A member -------------------------------------------------------------- */

NetvmRaw *netvm_raw_join(const char *path)
{
    NetvmRaw *r = netvm_raw_new(path);

    netvm_raw_hello(r);
    netvm_raw_wait_ready(r, 0);
    return r;
}

void netvm_raw_attach(NetvmRaw *r)
{
    struct netvm_member *self = netvm_raw_member(r, r->ready.member);

    netvm_write_release(&self->epoch_seen,
                        netvm_read_acquire(&netvm_raw_region(r)->epoch));
    netvm_write32(&self->serial_attached, r->ready.serial);
    netvm_raw_kick(r);
}

struct netvm_member *netvm_raw_member(const NetvmRaw *r, unsigned member)
{
    return (struct netvm_member *)(r->window +
                                   netvm_raw_region(r)->members_offset) +
           member;
}

struct netvm_ring *netvm_raw_ring(const NetvmRaw *r, unsigned number)
{
    const struct netvm_region *shown = netvm_raw_region(r);

    return (struct netvm_ring *)(r->window + shown->rings_offset +
                                 (uint64_t)number * shown->ring_bytes);
}

void netvm_raw_kick(NetvmRaw *r)
{
    uint64_t one = 1;

    (void)!write(r->doorbell[NETVM_DAEMON], &one, sizeof(one));
}

typedef struct Alloc {
    NetvmRaw *r;
    struct netvm_desc desc;
} Alloc;

static bool has_buffer(void *opaque)
{
    Alloc *a = opaque;
    uint32_t n = netvm_receive(&a->r->fill, &a->desc, 1);

    g_assert_cmpuint(n, !=, NETVM_RING_BROKEN);
    if (n == 0) {
        netvm_raw_kick(a->r);
    }
    return n == 1;
}

uint32_t netvm_raw_alloc(NetvmRaw *r)
{
    Alloc a = { .r = r };

    bed_wait(has_buffer, &a, "a free buffer");
    return a.desc.buffer;
}

static bool has_room(void *opaque)
{
    return netvm_sender_room(opaque, 1) > 0;
}

void netvm_raw_send(NetvmRaw *r, const struct netvm_desc *desc)
{
    bed_wait(has_room, &r->tx, "room in the ring");
    netvm_sender_put(&r->tx, &r->map, desc);
    if (netvm_sender_publish(&r->tx, 1)) {
        netvm_raw_kick(r);
    }
}

static bool is_taken(void *opaque)
{
    const struct netvm_sender *tx = opaque;

    return netvm_read_acquire(&tx->ring->head) == tx->tail;
}

void netvm_raw_wait_taken(NetvmRaw *r)
{
    bed_wait(is_taken, &r->tx, "the daemon to take what was sent");
}
