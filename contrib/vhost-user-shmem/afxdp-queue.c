/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef HAVE_LIBXDP
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "afxdp-queue.h"
#include "deliver.h"
#include "kick.h"

#define AREA_BYTES ((size_t)2 * AFXDP_HALF_FRAMES * AFXDP_FRAME_BYTES)

/* So many of a domain's buffers may be missing. */
#define FILL_MISSING 32

G_STATIC_ASSERT(AFXDP_PART_MAX <= AFXDP_HALF_FRAMES);

/* The kernel gives a queue free some time after its socket was closed. */
#define RELEASE_MS 2000

/* -- Places ---------------------------------------------------------------- */

static void put_places(AfxdpQueue *q, const uint64_t *place, unsigned n)
{
    uint32_t at = 0;

    xsk_ring_prod__reserve(&q->fill, n, &at);
    for (unsigned i = 0; i < n; i++) {
        *xsk_ring_prod__fill_addr(&q->fill, at + i) = place[i];
    }
    xsk_ring_prod__submit(&q->fill, n);
}

/* Some more of the domain's buffers, of which @gone others went on; how
 * many. */
static unsigned refill(AfxdpQueue *q, unsigned gone)
{
    uint64_t address[VRING_BURST];
    unsigned n = afxdp_buffers_get(&q->filling, q->segments, gone, address,
                                   VRING_BURST);

    put_places(q, address, n);
    return n;
}

/* -- Life ------------------------------------------------------------------ */

void afxdp_queue_close(AfxdpQueue *q)
{
    if (q->socket) {
        xsk_socket__delete(q->socket);
        q->socket = NULL;
    }
    if (q->umem) {
        xsk_umem__delete(q->umem);
        q->umem = NULL;
    }
    if (q->segments) {
        if (q->wake_fd >= 0) {
            close(q->wake_fd);
        }
        afxdp_buffers_end(&q->filling, q->segments);
        afxdp_buffers_end(&q->sending, q->segments);
    } else if (q->area) {
        munmap(q->area, AREA_BYTES);
    }
    q->area = NULL;
    q->segments = NULL;
}

static bool make_area(AfxdpQueue *q, GError **error)
{
    void *area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (area == MAP_FAILED) {
        afxdp_set_error(error, errno, "no memory for its frames");
        return false;
    }
    q->area = area;
    return true;
}

static bool make_memory(AfxdpQueue *q, GError **error)
{
    const AfxdpSegments *s = q->segments;
    const struct xsk_umem_config cfg = {
        .fill_size = AFXDP_HALF_FRAMES,
        .comp_size = AFXDP_HALF_FRAMES,
        .frame_size = s ? 1u << s->shift : AFXDP_FRAME_BYTES,
    };
    int err;

    if (s) {
        q->area = s->area;
    } else if (!make_area(q, error)) {
        return false;
    }
    /* libxdp leaves in them what was there of another socket. */
    q->fill = (struct xsk_ring_prod) { 0 };
    q->done = (struct xsk_ring_cons) { 0 };
    err = -xsk_umem__create(&q->umem, q->area, s ? s->bytes : AREA_BYTES,
                            &q->fill, &q->done, &cfg);
    if (err) {
        g_autofree char *what = s
            ? g_strdup_printf("cannot lock the %" PRIu64 " MiB of domain %s "
                              "for it", s->bytes >> 20, s->domain->name)
            : g_strdup("cannot make an AF_XDP socket");

        afxdp_set_error(error, err, what);
        return false;
    }
    return true;
}

static uint16_t bind_flags(const PortSettings *s, bool native)
{
    uint16_t flags = XDP_USE_NEED_WAKEUP;

    if (s->zero_copy == PORT_ZERO_COPY_ON) {
        flags |= XDP_ZEROCOPY;
    } else if (s->zero_copy == PORT_ZERO_COPY_OFF || !native) {
        flags |= XDP_COPY;
    }
    return flags;
}

static bool make_socket(AfxdpQueue *q, const PortSettings *s, bool native,
                        unsigned index, GError **error)
{
    const struct xsk_socket_config cfg = {
        .rx_size = AFXDP_HALF_FRAMES,
        .tx_size = AFXDP_HALF_FRAMES,
        .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
        .bind_flags = bind_flags(s, native),
    };
    int err = 0;

    if (s->zero_copy == PORT_ZERO_COPY_ON && !native) {
        g_set_error(error, SWITCH_ERROR, 0, "zero-copy=on needs XDP in the "
                    "driver: leave it out, or xdp-mode=generic");
        return false;
    }
    for (unsigned i = 0; i < RELEASE_MS; i++) {
        err = -xsk_socket__create(&q->socket, s->ifname, index, q->umem,
                                  &q->rx, &q->tx, &cfg);
        if (err != EBUSY) {
            break;
        }
        g_usleep(1000);
    }
    if (err == EOPNOTSUPP && s->zero_copy == PORT_ZERO_COPY_ON) {
        g_set_error(error, SWITCH_ERROR, 0, "its driver cannot do without "
                    "copying: leave zero-copy=on out");
    } else if (err) {
        g_autofree char *what = g_strdup_printf("cannot bind to queue %u",
                                                index);

        afxdp_set_error(error, err, what);
    }
    return err == 0;
}

/* All places of the one half are the kernel's, to be filled; those of the other
 * are free. */
static void share_out_places(AfxdpQueue *q)
{
    uint32_t at = 0;

    xsk_ring_prod__reserve(&q->fill, AFXDP_HALF_FRAMES, &at);
    for (unsigned i = 0; i < AFXDP_HALF_FRAMES; i++) {
        *xsk_ring_prod__fill_addr(&q->fill, at + i) =
            (uint64_t)i * AFXDP_FRAME_BYTES;
        q->free[i] = (uint64_t)(AFXDP_HALF_FRAMES + i) * AFXDP_FRAME_BYTES;
    }
    xsk_ring_prod__submit(&q->fill, AFXDP_HALF_FRAMES);
    q->free_n = AFXDP_HALF_FRAMES;
}

/* One that both the socket and the holder's make readable. */
static bool make_wake_fd(AfxdpQueue *q, GError **error)
{
    struct epoll_event event = { .events = EPOLLIN };

    if (!q->segments) {
        q->wake_fd = q->fd;
        return true;
    }
    q->wake_fd = epoll_create1(EPOLL_CLOEXEC);
    if (q->wake_fd < 0 ||
        epoll_ctl(q->wake_fd, EPOLL_CTL_ADD, q->fd, &event) < 0 ||
        epoll_ctl(q->wake_fd, EPOLL_CTL_ADD, q->segments->holder->wake_fd,
                  &event) < 0) {
        afxdp_set_error(error, errno, "cannot make what wakes its worker");
        return false;
    }
    return true;
}

bool afxdp_queue_open(AfxdpQueue *q, const PortSettings *s,
                      const AfxdpNic *nic, AfxdpSegments *segments,
                      unsigned index, GError **error)
{
    q->wake_fd = -1;
    q->lost = q->lost_counted = 0;
    q->unsent = false;
    q->segments = segments;
    if (segments) {
        afxdp_buffers_init(&q->filling, segments);
        afxdp_buffers_init(&q->sending, segments);
    }
    if (!make_memory(q, error) ||
        !make_socket(q, s, nic->native, index, error)) {
        return false;
    }
    q->fd = xsk_socket__fd(q->socket);
    if (!make_wake_fd(q, error)) {
        return false;
    }
    if (!segments) {
        share_out_places(q);
    }
    while (segments && refill(q, 0) > 0) {
        /* as many as are wanted */
    }
    return afxdp_nic_redirect(nic, index, q->fd, error);
}

/* -- What the kernel says of it -------------------------------------------- */

bool afxdp_queue_is_zero_copy(const AfxdpQueue *q)
{
    struct xdp_options options = { 0 };
    socklen_t bytes = sizeof(options);

    return getsockopt(q->fd, SOL_XDP, XDP_OPTIONS, &options, &bytes) == 0 &&
           options.flags & XDP_OPTIONS_ZEROCOPY;
}

bool afxdp_queue_is_gone(const AfxdpQueue *q)
{
    int err = 0;
    socklen_t bytes = sizeof(err);

    return getsockopt(q->fd, SOL_SOCKET, SO_ERROR, &err, &bytes) == 0 &&
           err == ENETDOWN;
}

void afxdp_queue_read_lost(AfxdpQueue *q)
{
    uint64_t before = q->lost;
    struct xdp_statistics s = { 0 };
    socklen_t bytes = sizeof(s);

    if (getsockopt(q->fd, SOL_XDP, XDP_STATISTICS, &s, &bytes) == 0) {
        __atomic_store_n(&q->lost, s.rx_dropped + s.rx_ring_full,
                         __ATOMIC_RELAXED);
    }
    if (q->segments && q->lost != before) {
        /* While there is no buffer, nothing else wakes who counts. */
        kick(q->segments->holder->wake_fd);
    }
}

/* -- Receive --------------------------------------------------------------- */

/* A driver that has run out of places, and stopped, wants to be called. */
static inline void wake_filler(AfxdpQueue *q)
{
    if (xsk_ring_prod__needs_wakeup(&q->fill)) {
        (void)!recvfrom(q->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
    }
}

/* Out of the kernel's; nobody has taken them over yet. */
static void take_buffers(AfxdpQueue *q, const VringBurst *b)
{
    uint64_t address[VRING_BURST];

    for (unsigned i = 0; i < b->n; i++) {
        address[i] = b->segment[i].data - q->area;
        q->buffer[i % INGRESS_BURST].gone = false;
    }
    afxdp_buffers_take(&q->filling, q->segments, address, b->n);
}

unsigned afxdp_queue_fetch(AfxdpQueue *q, VringBurst *b, unsigned max)
{
    uint32_t at = 0;

    b->n = xsk_ring_cons__peek(&q->rx, max, &at);
    if (b->n == 0) {
        wake_filler(q);
        return 0;
    }
    for (unsigned i = 0; i < b->n; i++) {
        const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&q->rx, at + i);
        uint8_t *data = q->area + desc->addr;

        __builtin_prefetch(data);
        __builtin_prefetch(data + 64);
        b->segment[i] = (VringSegment) { data, desc->len };
        b->chain[i] = (VringChain) {
            .bytes = desc->len, .first = i, .segments = 1,
        };
    }
    xsk_ring_cons__release(&q->rx, b->n);
    if (q->segments) {
        take_buffers(q, b);
    }
    return b->n;
}

void afxdp_queue_name_buffer(AfxdpQueue *q, const VringBurst *b, unsigned i,
                             Frame *f)
{
    uint64_t address = b->segment[i].data - q->area;
    unsigned mask = (1u << q->segments->shift) - 1;

    q->named[i] = (struct netvm_desc) {
        .buffer = afxdp_buffer(q->segments, address),
        .offset = address & mask,
        .length = b->segment[i].bytes,
        .port = NETVM_NO_PORT,
        .hash = frame_hash(f),
        .action = NETVM_SWITCH,
    };
    q->buffer[i] = (FrameBuffer) {
        .domain = q->segments->domain, .desc = &q->named[i],
    };
    f->buffer = &q->buffer[i];
}

/* Those of a burst that did not go on, which the kernel gets again. */
static unsigned stayed(AfxdpQueue *q, const VringBurst *b, uint64_t *place)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->n; i++) {
        if (i >= INGRESS_BURST || !q->buffer[i].gone) {
            place[n++] = b->segment[i].data - q->area;
        }
    }
    return n;
}

/* The kernel knows a place by any address within. */
void afxdp_queue_give_back(AfxdpQueue *q, const VringBurst *b)
{
    uint64_t place[VRING_BURST] = { 0 };
    unsigned n = stayed(q, b, place), gone = b->n - n;

    if (q->segments) {
        n = afxdp_buffers_give(&q->filling, q->segments, place, n);
    }
    put_places(q, place, n);
    if (gone > 0) {
        refill(q, gone);
    }
    wake_filler(q);
}

/* -- Send; under the lock -------------------------------------------------- */

/* Frames in the tx ring. */
static inline unsigned waiting(AfxdpQueue *q)
{
    return AFXDP_HALF_FRAMES - xsk_prod_nb_free(&q->tx, AFXDP_HALF_FRAMES);
}

static inline bool is_passing(int err)
{
    return err == EAGAIN || err == EBUSY || err == ENOBUFS;
}

/* Returns 0 or an error. */
static int ask_kernel(AfxdpQueue *q)
{
    if (!xsk_ring_prod__needs_wakeup(&q->tx)) {
        return 0;
    }
    return sendto(q->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? errno : 0;
}

/*
 * Make the kernel take what is in the tx ring: where it copies, it takes a few
 * at a time.  Returns 0 or an error that lasts.  An interface that is down
 * takes nothing; it may be up again before the ring is full.
 */
static int send_ring(AfxdpQueue *q)
{
    unsigned left = waiting(q), before;
    int err;

    do {
        before = left;
        err = ask_kernel(q);
        left = waiting(q);
    } while (is_passing(err) && left > 0 && left < before);
    __atomic_store_n(&q->unsent, is_passing(err) && left > 0,
                     __ATOMIC_RELAXED);
    return is_passing(err) || err == ENETDOWN ? 0 : err;
}

static void collect_free(AfxdpQueue *q)
{
    uint64_t sent[EGRESS_BURST];
    uint32_t at = 0, n;

    while ((n = xsk_ring_cons__peek(&q->done, EGRESS_BURST, &at)) > 0) {
        for (unsigned i = 0; i < n; i++) {
            sent[i] = *xsk_ring_cons__comp_addr(&q->done, at + i);
        }
        xsk_ring_cons__release(&q->done, n);
        if (q->segments) {
            afxdp_buffers_sent(&q->sending, q->segments, sent, n);
        } else {
            memcpy(&q->free[q->free_n], sent, n * sizeof(sent[0]));
            q->free_n += n;
        }
    }
}

/* Frames into free places; how many.  Counts what is left out. */
static unsigned place(AfxdpQueue *q, const Frame *const *frames, unsigned n,
                      struct xdp_desc *desc, PortCounters *counters)
{
    unsigned placed = 0, i;

    for (i = 0; i < n && q->free_n > 0; i++) {
        if (frames[i]->bytes > AFXDP_FRAME_BYTES) {
            counter_add(&counters->drops[DROP_RX_SHORT], 1);
            continue;
        }
        desc[placed] = (struct xdp_desc) {
            .addr = q->free[--q->free_n], .len = frames[i]->bytes,
        };
        frame_gather(frames[i], q->area + desc[placed++].addr);
    }
    counter_add(&counters->drops[DROP_RX_FULL], n - i);
    return placed;
}

static int send_frames(AfxdpQueue *q, const Frame *const *frames, unsigned n,
                       PortCounters *counters)
{
    struct xdp_desc desc[EGRESS_BURST];
    uint64_t bytes = 0;
    uint32_t at = 0;
    unsigned sent;
    int err;

    collect_free(q);
    sent = q->segments
        ? afxdp_buffers_place(&q->sending, q->segments, frames, n,
                              AFXDP_HALF_FRAMES - q->sending.n, desc, counters)
        : place(q, frames, n, desc, counters);
    xsk_ring_prod__reserve(&q->tx, sent, &at);
    for (unsigned i = 0; i < sent; i++) {
        *xsk_ring_prod__tx_desc(&q->tx, at + i) = desc[i];
        bytes += desc[i].len;
    }
    xsk_ring_prod__submit(&q->tx, sent);
    err = send_ring(q);
    if (err) {
        counter_add(&counters->drops[DROP_HOST], sent);
    } else {
        counter_add(&counters->egress_pkts, sent);
        counter_add(&counters->egress_bytes, bytes);
    }
    return err;
}

/* -- Send ------------------------------------------------------------------ */

int afxdp_queue_send(AfxdpQueue *q, const Frame *const *frames, unsigned n,
                     PortCounters *counters)
{
    int err;

    pthread_mutex_lock(&q->lock);
    err = send_frames(q, frames, n, counters);
    pthread_mutex_unlock(&q->lock);
    return err;
}

void afxdp_queue_send_rest(AfxdpQueue *q)
{
    pthread_mutex_lock(&q->lock);
    send_ring(q);
    if (q->segments) {
        collect_free(q);
    }
    pthread_mutex_unlock(&q->lock);
}

/* -- Buffers of segments --------------------------------------------------- */

void afxdp_queue_refill(AfxdpQueue *q)
{
    uint32_t filling = afxdp_buffers_n(&q->filling);

    if ((filling == 0 || filling + FILL_MISSING <= q->filling.wanted) &&
        refill(q, 0) > 0) {
        wake_filler(q);
    }
    if (afxdp_buffers_n(&q->sending) > 0) {
        pthread_mutex_lock(&q->lock);
        collect_free(q);
        pthread_mutex_unlock(&q->lock);
    }
}

bool afxdp_queue_may_refill(AfxdpQueue *q)
{
    return afxdp_buffers_n(&q->filling) == 0 &&
           !afxdp_segments_wait(q->segments);
}

#endif
