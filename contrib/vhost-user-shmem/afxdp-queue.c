/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef HAVE_LIBXDP
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "afxdp-queue.h"

#define AREA_BYTES ((size_t)2 * AFXDP_HALF_FRAMES * AFXDP_FRAME_BYTES)

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
    if (q->area) {
        munmap(q->area, AREA_BYTES);
        q->area = NULL;
    }
}

static bool make_memory(AfxdpQueue *q, GError **error)
{
    const struct xsk_umem_config cfg = {
        .fill_size = AFXDP_HALF_FRAMES,
        .comp_size = AFXDP_HALF_FRAMES,
        .frame_size = AFXDP_FRAME_BYTES,
    };
    void *area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int err;

    if (area == MAP_FAILED) {
        afxdp_set_error(error, errno, "no memory for its frames");
        return false;
    }
    q->area = area;
    /* libxdp leaves in them what was there of another socket. */
    q->fill = (struct xsk_ring_prod) { 0 };
    q->done = (struct xsk_ring_cons) { 0 };
    err = -xsk_umem__create(&q->umem, area, AREA_BYTES, &q->fill, &q->done,
                            &cfg);
    if (err) {
        afxdp_set_error(error, err, "cannot make an AF_XDP socket");
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
    int err;

    if (s->zero_copy == PORT_ZERO_COPY_ON && !native) {
        g_set_error(error, SWITCH_ERROR, 0, "zero-copy=on needs XDP in the "
                    "driver: leave it out, or xdp-mode=generic");
        return false;
    }
    err = -xsk_socket__create(&q->socket, s->ifname, index, q->umem, &q->rx,
                              &q->tx, &cfg);
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
    q->lost = q->lost_counted = 0;
    q->unsent = false;
}

bool afxdp_queue_open(AfxdpQueue *q, const PortSettings *s,
                      const AfxdpNic *nic, unsigned index, GError **error)
{
    if (!make_memory(q, error) ||
        !make_socket(q, s, nic->native, index, error)) {
        return false;
    }
    q->fd = xsk_socket__fd(q->socket);
    share_out_places(q);
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
    struct xdp_statistics s = { 0 };
    socklen_t bytes = sizeof(s);

    if (getsockopt(q->fd, SOL_XDP, XDP_STATISTICS, &s, &bytes) == 0) {
        __atomic_store_n(&q->lost, s.rx_dropped + s.rx_ring_full,
                         __ATOMIC_RELAXED);
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
    return b->n;
}

/* The kernel knows a place by any address within. */
void afxdp_queue_give_back(AfxdpQueue *q, const VringBurst *b)
{
    uint32_t at = 0;

    xsk_ring_prod__reserve(&q->fill, b->n, &at);
    for (unsigned i = 0; i < b->n; i++) {
        *xsk_ring_prod__fill_addr(&q->fill, at + i) =
            b->segment[i].data - q->area;
    }
    xsk_ring_prod__submit(&q->fill, b->n);
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
    uint32_t at = 0;
    unsigned n = xsk_ring_cons__peek(&q->done, AFXDP_HALF_FRAMES, &at);

    for (unsigned i = 0; i < n; i++) {
        q->free[q->free_n++] = *xsk_ring_cons__comp_addr(&q->done, at + i);
    }
    if (n > 0) {
        xsk_ring_cons__release(&q->done, n);
    }
}

static void put(AfxdpQueue *q, const Frame *f)
{
    uint64_t place = q->free[--q->free_n];
    uint32_t at = 0;

    frame_gather(f, q->area + place);
    xsk_ring_prod__reserve(&q->tx, 1, &at);
    *xsk_ring_prod__tx_desc(&q->tx, at) = (struct xdp_desc) {
        .addr = place, .len = f->bytes,
    };
}

static int send_frames(AfxdpQueue *q, const Frame *const *frames, unsigned n,
                       PortCounters *counters)
{
    unsigned sent = 0, i;
    uint64_t bytes = 0;
    int err;

    collect_free(q);
    for (i = 0; i < n && q->free_n > 0; i++) {
        if (frames[i]->bytes > AFXDP_FRAME_BYTES) {
            counter_add(&counters->drops[DROP_RX_SHORT], 1);
            continue;
        }
        put(q, frames[i]);
        sent++;
        bytes += frames[i]->bytes;
    }
    xsk_ring_prod__submit(&q->tx, sent);
    err = send_ring(q);
    counter_add(&counters->drops[DROP_RX_FULL], n - i);
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
    pthread_mutex_unlock(&q->lock);
}

#endif
