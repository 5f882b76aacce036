/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source: QEMU, docs/interop/vhost-user.rst; Virtual I/O Device (VIRTIO) 1.2.
 *
 * Threads: see vhost-front.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost-front.h"
#include "vu-wire.h"

#define BIT(n) (UINT64_C(1) << (n))
#define HUGE_PAGE_BYTES (2u << 20)
#define PAGE_BYTES 4096
#define GUEST_BASE UINT64_C(0x100000000)    /* of the memory, to the guest */
#define ANSWER_S 10                         /* a back end answers by then */
#define CONNECT_AGAIN_US 20000

/* Rings of a network device's first pair. */
enum { RING_RX, RING_TX, RINGS };

G_STATIC_ASSERT(FRONT_MAX_FRAME_BYTES + 64 <= FRONT_STRIDE_BYTES);
G_STATIC_ASSERT(sizeof(struct virtio_net_hdr_v1) == FRONT_NET_HEADER_BYTES);
G_STATIC_ASSERT(offsetof(struct vring_packed_desc, len) == 8);
G_STATIC_ASSERT(offsetof(struct vring_packed_desc, id) == 12);
G_STATIC_ASSERT(offsetof(struct vring_packed_desc, flags) == 14);

G_DEFINE_QUARK(front-error-quark, front_error)

#define FAIL(p, ...) front_fail(p, error, __VA_ARGS__)

/* Says which socket it is about. */
static bool G_GNUC_PRINTF(3, 4)
front_fail(const FrontPort *p, GError **error, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, FRONT_ERROR, 0, "%s: %s", p->cfg.socket, text);
    return false;
}

/* -- Memory ---------------------------------------------------------------- */

static bool make_memory(FrontPort *p, size_t bytes, GError **error)
{
    p->mem_bytes = (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES *
                   HUGE_PAGE_BYTES;
    for (int huge = 1; huge >= 0; huge--) {
        unsigned flags = MFD_CLOEXEC | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0);

        p->mem_fd = memfd_create("guest", flags);
        if (p->mem_fd >= 0 && ftruncate(p->mem_fd, p->mem_bytes) == 0) {
            p->mem = mmap(NULL, p->mem_bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_POPULATE, p->mem_fd, 0);
            if (p->mem != MAP_FAILED) {
                p->huge_pages = huge;
                return true;
            }
        }
        p->mem = NULL;
        if (p->mem_fd >= 0) {
            close(p->mem_fd);
            p->mem_fd = -1;
        }
    }
    return FAIL(p, "no memory of %zu bytes: %s", p->mem_bytes,
                g_strerror(errno));
}

/* The next part of the memory. */
static void *take(FrontPort *p, size_t *at, size_t bytes)
{
    void *part = p->mem + *at;

    *at += (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    g_assert(*at <= p->mem_bytes);
    return part;
}

static uint64_t guest_addr(const FrontPort *p, const void *host)
{
    return GUEST_BASE + ((const uint8_t *)host - p->mem);
}

static size_t ring_memory_bytes(unsigned size)
{
    return (size_t)size * (sizeof(struct vring_desc) + sizeof(uint16_t) +
                           sizeof(struct vring_used_elem) +
                           FRONT_STRIDE_BYTES) + 8 * PAGE_BYTES;
}

/* -- Rings ----------------------------------------------------------------- */

static uint64_t buffer_addr(const FrontPort *p, const FrontRing *r,
                            uint32_t slot)
{
    return guest_addr(p, front_frame(r, slot)) - FRONT_NET_HEADER_BYTES;
}

static void offer_split(FrontPort *p, FrontRing *r, uint32_t slot,
                        uint32_t bytes, uint16_t flags)
{
    r->at.split.desc[slot] = (struct vring_desc) {
        .addr = GUINT64_TO_LE(buffer_addr(p, r, slot)),
        .len = GUINT32_TO_LE(bytes),
        .flags = GUINT16_TO_LE(flags),
    };
    r->at.split.avail->ring[slot] = GUINT16_TO_LE((uint16_t)slot);
    /* What the device puts there if it keeps the order. */
    r->at.split.used->ring[slot].id = GUINT32_TO_LE(slot);
}

static void offer_packed(FrontPort *p, FrontRing *r, uint32_t slot,
                         uint32_t bytes, uint16_t flags)
{
    r->at.packed.desc[slot].addr = GUINT64_TO_LE(buffer_addr(p, r, slot));
    r->offer[slot] = bytes | (uint64_t)slot << 32 | (uint64_t)flags << 48;
    *front_packed_word(r, slot) =
        GUINT64_TO_LE(r->offer[slot] | front_packed_flags(true, false));
}

static void offer(FrontPort *p, FrontRing *r, uint32_t slot, uint32_t bytes)
{
    uint16_t flags = r == &p->rx ? VRING_DESC_F_WRITE : 0;

    bytes += FRONT_NET_HEADER_BYTES;
    if (r->packed) {
        offer_packed(p, r, slot, bytes, flags);
    } else {
        offer_split(p, r, slot, bytes, flags);
    }
}

static void make_ring(FrontPort *p, FrontRing *r, size_t *at)
{
    uint32_t size = p->cfg.ring;

    r->size = size;
    r->packed = p->cfg.packed;
    r->mergeable = p->cfg.mergeable;
    r->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->packed) {
        r->offer = g_new0(uint64_t, size);
        r->at.packed.desc = take(p, at, size * sizeof(r->at.packed.desc[0]));
        r->at.packed.driver = take(p, at, sizeof(*r->at.packed.driver));
        r->at.packed.device = take(p, at, sizeof(*r->at.packed.device));
        r->at.packed.driver->flags =
            GUINT16_TO_LE(VRING_PACKED_EVENT_FLAG_DISABLE);
    } else {
        r->at.split.desc = take(p, at, size * sizeof(r->at.split.desc[0]));
        r->at.split.avail = take(p, at, sizeof(*r->at.split.avail) +
                                 (size + 1) * sizeof(uint16_t));
        r->at.split.used = take(p, at, sizeof(*r->at.split.used) +
                                size * sizeof(struct vring_used_elem) +
                                sizeof(uint16_t));
        r->at.split.avail->flags = GUINT16_TO_LE(VRING_AVAIL_F_NO_INTERRUPT);
        r->at.split.avail->idx = GUINT16_TO_LE((uint16_t)size);
    }
    r->frame = (uint8_t *)take(p, at, (size_t)size * FRONT_STRIDE_BYTES) +
               FRONT_STRIDE_BYTES - FRONT_BUFFER_BYTES;
    for (uint32_t slot = 0; slot < size; slot++) {
        offer(p, r, slot, FRONT_BUFFER_BYTES);
    }
}

void front_set_frame_bytes(FrontPort *p, uint32_t slot, uint32_t bytes)
{
    g_assert(p->fd < 0 && bytes <= FRONT_MAX_FRAME_BYTES);
    offer(p, &p->tx, slot, bytes);
}

void front_kick(FrontRing *r)
{
    uint64_t one = 1;
    bool asks;

    /* Pairs with the device's between asking and its last look at the ring. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (r->packed) {
        asks = GUINT16_FROM_LE(__atomic_load_n(&r->at.packed.device->flags,
                                               __ATOMIC_RELAXED)) !=
               VRING_PACKED_EVENT_FLAG_DISABLE;
    } else {
        asks = !(GUINT16_FROM_LE(__atomic_load_n(&r->at.split.used->flags,
                                                 __ATOMIC_RELAXED)) &
                 VRING_USED_F_NO_NOTIFY);
    }
    if (asks && write(r->kick_fd, &one, sizeof(one)) < 0) {
        /* The counter is full: it will wake. */
        return;
    }
}

/* -- Messages -------------------------------------------------------------- */

/* Read all of it: what the socket gives at once may be less. */
static bool read_all(FrontPort *p, void *to, size_t bytes, GError **error)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t got = read(p->fd, (uint8_t *)to + done, bytes - done);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got == 0) {
            return FAIL(p, "the back end has closed the connection; its log "
                        "says why");
        }
        if (got < 0 && errno == EAGAIN) {
            return FAIL(p, "the back end has not answered within %d s; is it "
                        "stopped?", ANSWER_S);
        }
        if (got < 0) {
            return FAIL(p, "no answer of the back end: %s", g_strerror(errno));
        }
        done += got;
    }
    return true;
}

static bool read_answer(FrontPort *p, uint32_t request, uint64_t *u64,
                        GError **error)
{
    VuHeader h;

    if (!read_all(p, &h, sizeof(h), error)) {
        return false;
    }
    if (h.request != request || !(h.flags & VU_FLAG_REPLY) ||
        h.payload_bytes != sizeof(*u64)) {
        return FAIL(p, "request %u was answered with %u bytes for request %u",
                    request, h.payload_bytes, h.request);
    }
    return read_all(p, u64, sizeof(*u64), error);
}

static bool send_with_fd(FrontPort *p, const VuHeader *h, const void *payload,
                         int fd, GError **error)
{
    struct iovec iov[] = {
        { .iov_base = (void *)h, .iov_len = sizeof(*h) },
        { .iov_base = (void *)payload, .iov_len = h->payload_bytes },
    };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(fd))];
    } control = { 0 };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = G_N_ELEMENTS(iov) };
    ssize_t sent;

    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    do {
        sent = sendmsg(p->fd, &msg, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)(sizeof(*h) + h->payload_bytes)) {
        return FAIL(p, "request %u could not be sent: %s", h->request,
                    sent < 0 ? g_strerror(errno) : "only a part");
    }
    return true;
}

/* Tell the back end something, and wait until it has done so if it can say. */
static bool tell(FrontPort *p, uint32_t request, const void *payload,
                 uint32_t bytes, int fd, GError **error)
{
    VuHeader h = {
        .request = request,
        .flags = VU_VERSION | (p->acked ? VU_FLAG_NEED_REPLY : 0),
        .payload_bytes = bytes,
    };
    uint64_t failed = 0;

    if (!send_with_fd(p, &h, payload, fd, error) ||
        (p->acked && !read_answer(p, request, &failed, error))) {
        return false;
    }
    return !failed || FAIL(p, "the back end refuses request %u; its log says "
                           "why", request);
}

static bool tell_u64(FrontPort *p, uint32_t request, uint64_t u64, int fd,
                     GError **error)
{
    return tell(p, request, &u64, sizeof(u64), fd, error);
}

static bool tell_state(FrontPort *p, uint32_t request, unsigned ring,
                       uint32_t number, GError **error)
{
    VuRingState state = { .index = ring, .number = number };

    return tell(p, request, &state, sizeof(state), -1, error);
}

static bool ask(FrontPort *p, uint32_t request, uint64_t *u64, GError **error)
{
    VuHeader h = { .request = request, .flags = VU_VERSION };

    return send_with_fd(p, &h, NULL, -1, error) &&
           read_answer(p, request, u64, error);
}

/* -- Set up ---------------------------------------------------------------- */

static bool agree(FrontPort *p, GError **error)
{
    uint64_t offered, wanted = BIT(VIRTIO_F_VERSION_1), protocol;

    if (p->cfg.packed) {
        wanted |= BIT(VIRTIO_F_RING_PACKED);
    }
    if (p->cfg.mergeable) {
        wanted |= BIT(VIRTIO_NET_F_MRG_RXBUF);
    }
    if (!tell(p, VU_SET_OWNER, NULL, 0, -1, error) ||
        !ask(p, VU_GET_FEATURES, &offered, error)) {
        return false;
    }
    if (wanted & ~offered) {
        return FAIL(p, "the back end does not offer virtio's features 0x%"
                    PRIx64 "; use other rings, or without --mergeable",
                    wanted & ~offered);
    }
    p->features = wanted | (offered & BIT(VU_F_PROTOCOL_FEATURES));
    if (p->features & BIT(VU_F_PROTOCOL_FEATURES)) {
        if (!ask(p, VU_GET_PROTOCOL_FEATURES, &protocol, error)) {
            return false;
        }
        protocol &= BIT(VU_PROTOCOL_F_REPLY_ACK);
        if (!tell_u64(p, VU_SET_PROTOCOL_FEATURES, protocol, -1, error)) {
            return false;
        }
        p->acked = protocol;
    }
    return tell_u64(p, VU_SET_FEATURES, p->features, -1, error);
}

static bool share_memory(FrontPort *p, GError **error)
{
    VuTable table = {
        .regions = 1,
        .region[0] = {
            .guest_addr = GUEST_BASE,
            .bytes = p->mem_bytes,
            .user_addr = (uintptr_t)p->mem,
        },
    };

    return tell(p, VU_SET_MEM_TABLE, &table, offsetof(VuTable, region[1]),
                p->mem_fd, error);
}

static bool share_ring(FrontPort *p, unsigned index, const FrontRing *r,
                       GError **error)
{
    /* Packed: slot 0 and a wrap counter of 1. */
    uint32_t base = r->packed ? 1u << 15 : 0;
    VuRingAddr addr = {
        .index = index,
        .desc_user_addr = (uintptr_t)(r->packed ? (void *)r->at.packed.desc :
                                      (void *)r->at.split.desc),
        .avail_user_addr = (uintptr_t)(r->packed ? (void *)r->at.packed.driver :
                                       (void *)r->at.split.avail),
        .used_user_addr = (uintptr_t)(r->packed ? (void *)r->at.packed.device :
                                      (void *)r->at.split.used),
    };

    return tell_state(p, VU_SET_VRING_NUM, index, r->size, error) &&
           tell_state(p, VU_SET_VRING_BASE, index, base, error) &&
           tell(p, VU_SET_VRING_ADDR, &addr, sizeof(addr), -1, error) &&
           tell_u64(p, VU_SET_VRING_CALL, index, r->call_fd, error) &&
           tell_u64(p, VU_SET_VRING_KICK, index, r->kick_fd, error);
}

static bool set_up(FrontPort *p, GError **error)
{
    const FrontRing *ring[RINGS] = { [RING_RX] = &p->rx, [RING_TX] = &p->tx };

    if (!agree(p, error) || !share_memory(p, error)) {
        return false;
    }
    for (unsigned i = 0; i < RINGS; i++) {
        if (!share_ring(p, i, ring[i], error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < RINGS; i++) {
        if (p->features & BIT(VU_F_PROTOCOL_FEATURES) &&
            !tell_state(p, VU_SET_VRING_ENABLE, i, 1, error)) {
            return false;
        }
    }
    front_kick(&p->rx);
    front_kick(&p->tx);
    return true;
}

/* -- Life ------------------------------------------------------------------ */

static bool socket_address(FrontPort *p, struct sockaddr_un *addr,
                           GError **error)
{
    *addr = (struct sockaddr_un) { .sun_family = AF_UNIX };
    if (strlen(p->cfg.socket) >= sizeof(addr->sun_path)) {
        return FAIL(p, "a socket's path is at most %zu bytes long",
                    sizeof(addr->sun_path) - 1);
    }
    strcpy(addr->sun_path, p->cfg.socket);
    return true;
}

static bool listen_at(FrontPort *p, GError **error)
{
    struct sockaddr_un addr;
    struct stat st;

    if (!socket_address(p, &addr, error)) {
        return false;
    }
    if (lstat(p->cfg.socket, &st) == 0 && S_ISSOCK(st.st_mode)) {
        unlink(p->cfg.socket);              /* left behind */
    }
    p->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->listen_fd < 0 ||
        bind(p->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        listen(p->listen_fd, 1) < 0) {
        return FAIL(p, "cannot listen there: %s", g_strerror(errno));
    }
    return true;
}

static bool check_config(FrontPort *p, GError **error)
{
    unsigned n = p->cfg.ring;

    return (n >= FRONT_MIN_RING && n <= FRONT_MAX_RING && !(n & (n - 1))) ||
           FAIL(p, "a ring of %u descriptors cannot be; choose a power of two "
                "from %d to %d", n, FRONT_MIN_RING, FRONT_MAX_RING);
}

FrontPort *front_new(const FrontConfig *cfg, GError **error)
{
    FrontPort *p = g_new0(FrontPort, 1);
    size_t at = 0;

    p->cfg = *cfg;
    p->fd = p->listen_fd = p->mem_fd = -1;
    p->tx.kick_fd = p->tx.call_fd = p->rx.kick_fd = p->rx.call_fd = -1;
    if (!check_config(p, error) ||
        !make_memory(p, 2 * ring_memory_bytes(cfg->ring), error) ||
        (cfg->listen && !listen_at(p, error))) {
        front_free(p);
        return NULL;
    }
    make_ring(p, &p->rx, &at);
    make_ring(p, &p->tx, &at);
    return p;
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

void front_free(FrontPort *p)
{
    FrontRing *ring[] = { &p->tx, &p->rx };

    for (unsigned i = 0; i < G_N_ELEMENTS(ring); i++) {
        close_fd(ring[i]->kick_fd);
        close_fd(ring[i]->call_fd);
        g_free(ring[i]->offer);
    }
    close_fd(p->fd);
    if (p->listen_fd >= 0) {
        close(p->listen_fd);
        unlink(p->cfg.socket);
    }
    if (p->mem) {
        munmap(p->mem, p->mem_bytes);
    }
    close_fd(p->mem_fd);
    g_free(p);
}

static bool accept_one(FrontPort *p, unsigned timeout_s, GError **error)
{
    struct pollfd come = { .fd = p->listen_fd, .events = POLLIN };

    if (poll(&come, 1, timeout_s * 1000) <= 0) {
        return FAIL(p, "no back end has connected within %u s; start one that "
                    "is the client of this socket", timeout_s);
    }
    p->fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    return p->fd >= 0 || FAIL(p, "accept: %s", g_strerror(errno));
}

static bool connect_one(FrontPort *p, unsigned timeout_s, GError **error)
{
    gint64 until_us = g_get_monotonic_time() + timeout_s * G_USEC_PER_SEC;
    struct sockaddr_un addr;

    if (!socket_address(p, &addr, error)) {
        return false;
    }
    p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0) {
        return FAIL(p, "socket: %s", g_strerror(errno));
    }
    while (connect(p->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        if (g_get_monotonic_time() > until_us) {
            return FAIL(p, "no back end listens there: %s", g_strerror(errno));
        }
        g_usleep(CONNECT_AGAIN_US);
    }
    return true;
}

bool front_connect(FrontPort *p, unsigned timeout_s, GError **error)
{
    struct timeval answer = { .tv_sec = ANSWER_S };

    if (!(p->cfg.listen ? accept_one : connect_one)(p, timeout_s, error)) {
        return false;
    }
    setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &answer, sizeof(answer));
    return set_up(p, error);
}

bool front_check(const FrontPort *p, GError **error)
{
    struct pollfd gone = { .fd = p->fd, .events = POLLRDHUP };
    uint32_t wrong = p->tx.wrong | p->rx.wrong;

    for (uint32_t i = 0; !p->tx.packed && i < p->tx.size; i++) {
        wrong |= GUINT32_FROM_LE(p->tx.at.split.used->ring[i].id) ^ i;
    }
    if (wrong) {
        return FAIL(p, "the back end gives buffers back in another order, or "
                    "frames that nobody sent; this load cannot measure it");
    }
    return poll(&gone, 1, 0) == 0 ||
           FAIL(p, "the back end has closed the connection; its log says why");
}
