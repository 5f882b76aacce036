/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port with a guest behind it: the socket, the rings that are in use, and
 * bursts out of them and into them.
 *
 * One front end at a time.  While the link is down there is no socket at all: a
 * front end whose connection waited for us would wait with its guest.
 *
 * Nobody can make us wait: the connection does not block, kick fds are never
 * read, and call fds are signalled without waiting (kick.h).
 *
 * Threads: control, but for the last section.
 */
#include <linux/virtio_config.h>
#include <unistd.h>

#include <glib-unix.h>

#include "egress-ring.h"
#include "file-closer.h"
#include "lock.h"
#include "kick.h"
#include "offload.h"
#include "port.h"
#include "ring-state.h"
#include "vhost-socket.h"
#include "vu-front.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Messages that are handled before others get their turn. */
#define MESSAGES_AT_ONCE 16

/* One that is lost so soon will be back at once: say so now and then. */
#define SHORT_CONNECTION_US G_USEC_PER_SEC
#define QUIET_US (10 * G_USEC_PER_SEC)

/* As long as more wait, no front end is taken. */
#define FILES_TO_CLOSE_MAX 64

/* Newer than some headers. */
#define NET_F_GUEST_USO4 54
#define NET_F_GUEST_USO6 55
#define NET_F_HOST_USO 56
#define F_IN_ORDER 35

/* No checksum is left to be completed behind a trailer, and no frame to be cut:
 * an rtvnic has none of these. */
#define OFFLOAD_FEATURES \
    (BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | \
     BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO4) | \
     BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_GUEST_TSO6) | \
     BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_ECN) | \
     BIT(NET_F_HOST_USO) | BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6))

#define FEATURES \
    (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_ANY_LAYOUT) | \
     BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) | \
     BIT(VIRTIO_F_RING_PACKED) | BIT(F_IN_ORDER) | \
     BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_MTU) | \
     BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | BIT(VIRTIO_NET_F_MQ) | \
     OFFLOAD_FEATURES)

typedef struct VhostPort {
    /* Read by workers, written while the port is still. */
    uint8_t vnet_bytes;
    FrameFormat format;
    VuRing *ingress[PORT_MAX_QUEUES];       /* started: the guest sends */
    VuRing *egress[PORT_MAX_QUEUES];        /* and enabled: it receives */
    pthread_mutex_t egress_lock[PORT_MAX_QUEUES];

    Port *p;
    VuFront front;
    RingState *state;               /* NULL: packed rings are not resumed */
    VuConn *conn;                   /* NULL: nobody is connected */
    guint conn_in, conn_out;        /* sources; 0: none */
    VhostSocket *socket;            /* where it comes from */
    uint64_t connects;
    int64_t connected_us;
    int64_t quiet_until_us;
    unsigned unsaid;                /* messages, since it is quiet */
} VhostPort;

/* -- What the front end has told ------------------------------------------- */

static void on_quiesce(void *opaque)
{
    port_quiesce(((VhostPort *)opaque)->p);
}

static void on_resume(void *opaque)
{
    port_resume(((VhostPort *)opaque)->p);
}

static inline void kick_if_wanted(VuRing *r)
{
    if (vring_wants_kick(&r->vring)) {
        kick(r->call_fd);
    }
}

/* Those that can be served. */
static void find_rings(VhostPort *v)
{
    Port *p = v->p;

    p->ingress_queues = p->egress_queues = 0;
    for (unsigned i = 0; i < 2 * v->front.cfg.pairs; i++) {
        VuRing *r = &v->front.ring[i];
        bool served = r->started && r->vring.error == VRING_OK;

        if (served && i % 2 == 1) {
            v->ingress[p->ingress_queues++] = r;
        } else if (served && r->enabled) {
            v->egress[p->egress_queues++] = r;
        }
        if (served) {
            /* Until a worker that wants to sleep asks for them. */
            vring_ask_kicks(&r->vring, false);
            /* Of what a daemon before us gave back, if nobody told. */
            if (r->call_fd >= 0) {
                kick_if_wanted(r);
            }
        }
    }
}

static void on_changed(void *opaque)
{
    VhostPort *v = opaque;
    const VuFront *f = &v->front;
    bool merge = vu_front_has(f, VIRTIO_NET_F_MRG_RXBUF);

    find_rings(v);
    v->format.mergeable = merge;
    v->format.vnet_bytes = merge || vu_front_has(f, VIRTIO_F_VERSION_1)
                           ? FRAME_VNET_BYTES : FRAME_VNET_OLD_BYTES;
    v->vnet_bytes = v->format.vnet_bytes;
    v->p->offloads_allowed = offload_allowed(f->features);
    v->p->offloads_accepted = offload_accepted(f->features);
}

static void on_ring_started(void *opaque, unsigned index)
{
    VhostPort *v = opaque;
    VuRing *r = &v->front.ring[index];

    if (v->state && r->vring.packed &&
        vring_resume(&r->vring,
                     ring_state_journal(v->state, index, &r->spec))) {
        port_log_often(v->p, G_LOG_LEVEL_MESSAGE, "ring %u goes on at 0x%x",
                       index, vring_base(&r->vring) & 0xffff);
    }
}

static void on_ring_stopped(void *opaque, unsigned index)
{
    VhostPort *v = opaque;

    if (v->state) {
        ring_state_forget(v->state, index);
    }
}

static void on_announce(void *opaque, const uint8_t mac[6])
{
    port_announce(((VhostPort *)opaque)->p, mac);
}

static const VuFrontOps front_ops = {
    .quiesce = on_quiesce,
    .resume = on_resume,
    .changed = on_changed,
    .ring_started = on_ring_started,
    .ring_stopped = on_ring_stopped,
    .announce = on_announce,
};

/* -- The connection -------------------------------------------------------- */

static void disconnect(VhostPort *v)
{
    g_clear_handle_id(&v->conn_in, g_source_remove);
    g_clear_handle_id(&v->conn_out, g_source_remove);
    if (v->conn) {
        vu_conn_free(v->conn);
        v->conn = NULL;
        vu_front_reset(&v->front);
    }
}

/* What may come again and again. */
static void log_connection(VhostPort *v, GLogLevelFlags level,
                           const char *text)
{
    if (g_get_monotonic_time() < v->quiet_until_us) {
        v->unsaid++;
    } else if (v->unsaid > 0) {
        port_log(v->p, level, "%s (and %u messages like this one or the one "
                 "before)", text, v->unsaid);
        v->unsaid = 0;
    } else {
        port_log(v->p, level, "%s", text);
    }
}

/* The front end is gone, or wrong; another may come. */
static void lose(VhostPort *v, GLogLevelFlags level, const char *why)
{
    int64_t now_us = g_get_monotonic_time();

    log_connection(v, level, why);
    if (now_us - v->connected_us < SHORT_CONNECTION_US &&
        now_us >= v->quiet_until_us) {
        v->quiet_until_us = now_us + QUIET_US;
    }
    disconnect(v);
    vhost_socket_lost(v->socket);
}

static void break_connection(VhostPort *v, GError *error)
{
    v->p->breaks++;
    v->p->last_broken = "the front end has broken the protocol";
    lose(v, G_LOG_LEVEL_WARNING, error->message);
    g_error_free(error);
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer opaque)
{
    VhostPort *v = opaque;
    GError *error = NULL;

    if (!vu_conn_flush(v->conn, &error)) {
        break_connection(v, error);
        return G_SOURCE_REMOVE;
    }
    if (vu_conn_wants_to_write(v->conn)) {
        return G_SOURCE_CONTINUE;
    }
    v->conn_out = 0;
    return G_SOURCE_REMOVE;
}

/* False: there is no connection any more. */
static bool handle(VhostPort *v, VuMsg *m)
{
    VuPayload payload;
    uint32_t bytes;
    GError *error = NULL;
    VuHandled handled = vu_front_handle(&v->front, m, &payload, &bytes,
                                        &error);

    if (handled == VU_REFUSED) {
        if (bytes == 0) {
            break_connection(v, error);
            return false;
        }
        port_log_often(v->p, G_LOG_LEVEL_WARNING, "refused %s", error->message);
        g_clear_error(&error);
    }
    if (handled != VU_HANDLED &&
        !vu_conn_reply(v->conn, m, &payload, bytes, &error)) {
        break_connection(v, error);
        return false;
    }
    if (vu_conn_wants_to_write(v->conn) && v->conn_out == 0) {
        v->conn_out = g_unix_fd_add(vu_conn_fd(v->conn), G_IO_OUT, on_writable,
                                    v);
    }
    return true;
}

static void receive(VhostPort *v)
{
    for (unsigned i = 0; i < MESSAGES_AT_ONCE; i++) {
        GError *error = NULL;
        VuMsg m;

        switch (vu_conn_receive(v->conn, &m, &error)) {
        case VU_RECEIVED:
            if (!handle(v, &m)) {
                return;
            }
            break;
        case VU_RECEIVED_PART:
            return;
        case VU_CLOSED:
            lose(v, G_LOG_LEVEL_MESSAGE, "the front end has disconnected");
            return;
        case VU_BROKEN:
            break_connection(v, error);
            return;
        }
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    VhostPort *v = opaque;
    VuConn *conn = v->conn;

    receive(v);
    return v->conn == conn ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void connected(VhostPort *v, int fd)
{
    if (v->state) {
        ring_state_set_peer(v->state, fd);
    }
    v->connects++;
    v->conn = vu_conn_new(fd);
    v->conn_in = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable,
                               v);
    v->connected_us = g_get_monotonic_time();
    log_connection(v, G_LOG_LEVEL_MESSAGE, "a front end has connected");
}

static void on_front(void *opaque, int fd)
{
    VhostPort *v = opaque;

    if (v->conn) {
        /* Its end may be waiting to be read. */
        receive(v);
    }
    if (v->conn) {
        port_log_often(v->p, G_LOG_LEVEL_WARNING, "a second front end was "
                       "turned away: one is connected");
        vu_conn_free(vu_conn_new(fd));
    } else if (file_closer_waiting() > FILES_TO_CLOSE_MAX) {
        port_log_often(v->p, G_LOG_LEVEL_WARNING, "a front end was turned "
                       "away: files that others have sent cannot be closed "
                       "yet");
        vu_conn_free(vu_conn_new(fd));
    } else {
        connected(v, fd);
    }
}

/* -- A port's life --------------------------------------------------------- */

static void vhost_close(Port *p)
{
    VhostPort *v = p->impl;

    vhost_socket_free(v->socket);
    disconnect(v);
    ring_state_close(v->state);
    for (unsigned i = 0; i < PORT_MAX_QUEUES; i++) {
        pthread_mutex_destroy(&v->egress_lock[i]);
    }
    g_free(v);
    p->impl = NULL;
}

static bool vhost_open(Port *p, GError **error)
{
    VhostPort *v = g_new0(VhostPort, 1);
    VuFrontConfig cfg = {
        .features = p->settings.rtvnic ? FEATURES & ~OFFLOAD_FEATURES
                                       : FEATURES,
        .pairs = p->settings.queues,
        .mtu = p->settings.mtu,
        .ops = &front_ops,
        .opaque = v,
    };

    if (!kick_prepare(error)) {
        g_free(v);
        return false;
    }
    p->impl = v;
    v->p = p;
    v->socket = vhost_socket_new(p, on_front, v);
    vu_front_init(&v->front, &cfg);
    for (unsigned i = 0; i < PORT_MAX_QUEUES; i++) {
        lock_init(&v->egress_lock[i]);
    }
    if (port_state_dir(p)) {
        v->state = ring_state_open(port_state_dir(p), p->name,
                                   2 * cfg.pairs, error);
        if (!v->state) {
            vhost_close(p);
            return false;
        }
    }
    if (p->settings.link_up && !vhost_socket_open(v->socket, error)) {
        vhost_close(p);
        return false;
    }
    return true;
}

static void vhost_link(Port *p)
{
    VhostPort *v = p->impl;
    g_autoptr(GError) error = NULL;

    if (!p->settings.link_up) {
        vhost_socket_close(v->socket);
        disconnect(v);
    } else if (!vhost_socket_open(v->socket, &error)) {
        port_log(p, G_LOG_LEVEL_WARNING, "%s", error->message);
    }
}

static void vhost_tick(Port *p)
{
    VhostPort *v = p->impl;

    if (v->conn && guest_mem_is_lost(&v->front.mem)) {
        p->breaks++;
        p->last_broken = "a file of the guest's memory was made shorter";
        lose(v, G_LOG_LEVEL_WARNING, p->last_broken);
    }
}

/* A ring has stopped for good, until the front end sets it up again. */
static void vhost_broken(Port *p)
{
    VhostPort *v = p->impl;

    for (unsigned i = 0; i < 2 * v->front.cfg.pairs; i++) {
        const VuRing *r = &v->front.ring[i];

        if (r->started && r->vring.error != VRING_OK) {
            port_log_often(v->p, G_LOG_LEVEL_WARNING,
                           "ring %u has stopped (%s): %s", i,
                           vring_error_name(r->vring.error),
                           vring_error_text(r->vring.error));
            kick(r->err_fd);
        }
    }
    find_rings(v);
}

static void vhost_status(Port *p, PortStatus *status)
{
    const VhostPort *v = p->impl;
    const VuFront *f = &v->front;

    status->connected = v->conn;
    status->connects = v->connects;
    status->features = f->features;
    for (unsigned i = 0; i < f->mem.n; i++) {
        status->memory_bytes += f->mem.region[i].bytes;
    }
    if (v->conn && f->has_features) {
        status->rings = vu_front_has(f, VIRTIO_F_RING_PACKED) ? "packed"
                                                              : "split";
    }
}

static int vhost_wake_fd(Port *p, unsigned queue)
{
    int fd = ((VhostPort *)p->impl)->ingress[queue]->kick_fd;

    return kick_is_eventfd(fd) ? fd : -1;
}

/* -- Workers --------------------------------------------------------------- */

static inline void check_ring(Port *p, const VuRing *r)
{
    if (G_UNLIKELY(r->vring.error != VRING_OK)) {
        port_break(p, vring_error_text(r->vring.error));
    }
}

/* The driver has written them last, maybe on another core.  (Inlined: see
 * egress-ring.c.) */
static G_ALWAYS_INLINE inline void prefetch_frames(const VringBurst *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        const uint8_t *data = b->segment[b->chain[i].first].data;

        __builtin_prefetch(data);
        __builtin_prefetch(data + 64);
    }
}

static unsigned read_frames(IngressBurst *b, unsigned vnet_bytes,
                            PortCounters *counters)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->ring.n; i++) {
        Frame *f = &b->frame[n];

        if (G_UNLIKELY(!frame_read(f, &b->ring, &b->ring.chain[i],
                                   vnet_bytes))) {
            counter_add(&counters->drops[DROP_RUNT], 1);
        } else if (G_UNLIKELY(f->bytes > FRAME_MAX_BYTES)) {
            counter_add(&counters->drops[DROP_OVERSIZE], 1);
        } else {
            n++;
        }
    }
    return n;
}

static void vhost_ingress_done(Port *p, unsigned queue, IngressBurst *b)
{
    VhostPort *v = p->impl;
    VuRing *r = v->ingress[queue];

    vring_complete(&r->vring, &b->ring, b->ring.n, NULL);
    kick_if_wanted(r);
}

static unsigned vhost_ingress(Port *p, unsigned queue, IngressBurst *b,
                              PortCounters *counters)
{
    VhostPort *v = p->impl;
    VuRing *r = v->ingress[queue];
    unsigned n = 0;

    if (vring_fetch(&r->vring, &b->ring, b->max) == 0) {
        check_ring(p, r);
        kick_if_wanted(r);      /* what was passed, if anything */
        return 0;
    }
    if (G_LIKELY(r->enabled)) {
        prefetch_frames(&b->ring);
        n = read_frames(b, v->vnet_bytes, counters);
    } else {
        counter_add(&counters->drops[DROP_DISABLED], b->ring.n);
    }
    if (n == 0) {
        vhost_ingress_done(p, queue, b);
    }
    return n;
}

static bool vhost_ask_wake(Port *p, unsigned queue, bool ask)
{
    VuRing *r = ((VhostPort *)p->impl)->ingress[queue];

    return r->vring.error == VRING_OK && vring_ask_kicks(&r->vring, ask);
}

static void vhost_egress(Port *p, unsigned queue, const Frame *const *frames,
                         unsigned n, VringBurst *scratch,
                         PortCounters *counters)
{
    VhostPort *v = p->impl;
    VuRing *r = v->egress[queue];

    pthread_mutex_lock(&v->egress_lock[queue]);
    egress_ring(&r->vring, v->format, frames, n, scratch, counters);
    kick_if_wanted(r);
    pthread_mutex_unlock(&v->egress_lock[queue]);
    check_ring(p, r);
}

const PortOps port_vhost_ops = {
    .type = "vhost-user",
    .open = vhost_open,
    .close = vhost_close,
    .link = vhost_link,
    .tick = vhost_tick,
    .broken = vhost_broken,
    .status = vhost_status,
    .wake_fd = vhost_wake_fd,
    .ingress = vhost_ingress,
    .ingress_done = vhost_ingress_done,
    .ask_wake = vhost_ask_wake,
    .egress = vhost_egress,
};
