/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "hw/virtio/virtio-net.h"
#include "net/eth.h"
#include "net/tap.h"
#include "net/edf/clock.h"
#include "net/edf/port.h"
#include "net/edf/trace.h"

/* nic_side as the net layer allocates it. */
typedef struct NicSide {
    NetClientState nc;
    EdfPort *port;
} NicSide;

EdfPortList edf_ports = QLIST_HEAD_INITIALIZER(edf_ports);

/* How often a port asks whether a backend that is full has gone for good. */
#define BACKEND_CHECK_NS (100 * SCALE_MS)

static NetClientState *uplink_nc(const EdfPort *port)
{
    return qemu_get_queue(port->uplink);
}

static bool backend_is_down(const EdfPort *port)
{
    NetClientState *nc = uplink_nc(port);

    return nc->link_down || !nc->peer || nc->peer->link_down;
}

static void port_drop(EdfPort *port, uint64_t *reason, const char *name,
                      size_t bytes)
{
    (*reason)++;
    trace_edf_port_drop(port->id, name, bytes);
}

#define PORT_DROP(port, reason, bytes) \
    port_drop(port, &(port)->sp.ep.n.drop_tx_##reason, #reason, bytes)

/* -- Out: from the NIC into the queue ---------------------------------------- */

/*
 * A virtio-net that is being removed flushes its ring into us and frees itself;
 * a frame we made it wait for would call back into freed memory.
 */
static bool nic_is_leaving(const EdfPort *port)
{
    NetClientState *nic = edf_port_nic(port);

    return port->nic_waits && nic &&
           !DEVICE(qemu_get_nic_opaque(nic))->realized;
}

/* Must the NIC keep its next frame?  Notes since when, if so. */
static bool nic_must_wait(EdfPort *port)
{
    if (!port->nic_waits || !runstate_is_running() ||
        edf_sched_has_room(&port->sp) || nic_is_leaving(port)) {
        return false;
    }
    if (!port->full) {
        port->full = true;
        port->full_since_ns = rtnet_clock_ns();
        port->full_since_tai_ns = rtnet_clock_tai_ns();
        trace_edf_port_full(port->id);
    }
    return true;
}

static void port_accept(EdfPort *port, const struct iovec *iov, int iovcnt,
                        size_t bytes)
{
    RtEndpoint *ep = &port->sp.ep;
    EdfFrame *frame = g_malloc(sizeof(*frame) + bytes + RT_TX_TAILROOM_BYTES);
    uint64_t now_ns = rtnet_clock_ns();
    uint64_t now_tai_ns = rtnet_clock_tai_ns();

    if (port->full) {
        /* The frame that waited: it left the guest's ring back then. */
        now_ns = port->full_since_ns;
        now_tai_ns = port->full_since_tai_ns;
        port->full = false;
    }

    /* The guest can change iov at any time: copy once, then look. */
    iov_to_buf(iov, iovcnt, 0, frame->data, bytes);
    if (!rt_tx_accept(ep, frame->data, bytes, now_ns, now_tai_ns, &frame->tx)) {
        trace_edf_port_drop(port->id, "runt or oversize", bytes);
        g_free(frame);
        return;
    }
    edf_sched_enqueue(&port->sp, frame);
}

static bool nic_side_can_receive(NetClientState *nc)
{
    return !nic_must_wait(DO_UPCAST(NicSide, nc, nc)->port);
}

static ssize_t nic_side_receive_iov(NetClientState *nc, const struct iovec *iov,
                                    int iovcnt)
{
    EdfPort *port = DO_UPCAST(NicSide, nc, nc)->port;
    size_t bytes = iov_size(iov, iovcnt);

    if (!nc->peer || nic_must_wait(port)) {
        return 0;
    }
    if (nic_is_leaving(port)) {
        PORT_DROP(port, link_down, bytes);
        port->full = false;
    } else if (runstate_is_running() && !edf_sched_has_room(&port->sp)) {
        PORT_DROP(port, queue_full, bytes);
    } else {
        port_accept(port, iov, iovcnt, bytes);
    }
    return bytes ?: 1;              /* 0 would mean: try again */
}

/* Let a NIC that waits send again. */
static void port_offer_room(EdfPort *port)
{
    NetClientState *nc = port->nic_side;

    if (!port->full || !nc->peer || !edf_sched_has_room(&port->sp)) {
        return;
    }
    trace_edf_port_room(port->id);
    qemu_flush_queued_packets(nc);
    /*
     * Ask can_receive again at the next frame, which knows of a NIC that is
     * leaving; the flush stopped at the first frame without room.
     */
    nc->receive_disabled = 0;
    if (edf_sched_has_room(&port->sp)) {
        port->full = false;         /* a reset took the frame that waited */
    }
}

/* -- Out: from the queue to the netdev ---------------------------------------- */

/* Returns whether the frame took time on the link. */
static bool port_frame_gone(EdfPort *port, EdfFrame *frame, ssize_t result)
{
    if (result > 0) {
        rt_tx_sent(&port->sp.ep, &frame->tx);
    } else {
        PORT_DROP(port, backend, frame->tx.leave_bytes);
    }
    g_free(frame);
    return result > 0;
}

/* The netdev is done with the frame it made wait. */
static void port_backend_done(NetClientState *nc, ssize_t result)
{
    EdfPort *port = qemu_get_nic_opaque(nc);
    EdfFrame *frame = port->in_flight;

    trace_edf_port_backend_done(port->id, result);
    port->in_flight = NULL;
    timer_del(port->backend_check);
    if (result == 0) {
        /* Purged, because the VM stopped: it has not left. */
        edf_sched_requeue(&port->sp, frame);
    } else if (backend_is_down(port)) {
        /* A netdev whose link is down says "sent" to everything. */
        PORT_DROP(port, link_down, frame->tx.leave_bytes);
        g_free(frame);
    } else {
        port_frame_gone(port, frame, result);
    }
    edf_sched_resume(&port->sp);
    port_offer_room(port);
}

/*
 * A stream whose peer went away while it was full forgets the frame it has of
 * ours, and would hold up the port for ever; flushing it while its link is down
 * gives the frame up.
 */
static void port_check_backend(void *opaque)
{
    EdfPort *port = opaque;
    NetClientState *netdev = uplink_nc(port)->peer;

    if (!port->in_flight) {
        return;
    }
    timer_mod_ns(port->backend_check, rtnet_clock_ns() + BACKEND_CHECK_NS);
    if (netdev && netdev->link_down && runstate_is_running()) {
        qemu_flush_queued_packets(netdev);
    }
}

static bool port_release(EdfSchedPort *sp, EdfFrame *frame, uint64_t now_ns)
{
    EdfPort *port = container_of(sp, EdfPort, sp);
    NetClientState *nc = uplink_nc(port);
    struct iovec iov = { .iov_base = frame->data };
    bool used_link = false;
    ssize_t result;

    if (backend_is_down(port)) {
        PORT_DROP(port, link_down, frame->tx.leave_bytes);
        g_free(frame);
    } else if (!rt_tx_depart(&sp->ep, frame->data, &frame->tx, now_ns,
                             rtnet_clock_tai_synchronised())) {
        trace_edf_port_drop(port->id, "late", frame->tx.leave_bytes);
        g_free(frame);
    } else {
        iov.iov_len = frame->tx.leave_bytes;
        port->in_flight = frame;
        result = qemu_sendv_packet_async(nc, &iov, 1, port_backend_done);
        if (result == 0) {
            trace_edf_port_backend_busy(port->id);
            edf_sched_suspend(sp);
            timer_mod_ns(port->backend_check, now_ns + BACKEND_CHECK_NS);
            return true;
        }
        port->in_flight = NULL;
        used_link = port_frame_gone(port, frame, result);
    }
    port_offer_room(port);
    return used_link;
}

/* -- In: from the netdev to the NIC ------------------------------------------- */

static bool uplink_can_receive(NetClientState *nc)
{
    EdfPort *port = qemu_get_nic_opaque(nc);

    return !port->rx_pending;
}

/*
 * The NIC has taken, or thrown away, the frame that waited for it.  It may do
 * so while it is being freed, so the next frame comes from a bottom half.
 */
static void port_nic_done(NetClientState *nc, ssize_t result)
{
    EdfPort *port = DO_UPCAST(NicSide, nc, nc)->port;

    port->rx_pending = false;
    qemu_bh_schedule(port->rx_bh);
}

static void port_rx_more(void *opaque)
{
    EdfPort *port = opaque;

    if (port->nic_side) {
        qemu_flush_queued_packets(uplink_nc(port));
    }
}

static size_t port_strip(EdfPort *port, const struct iovec *iov, int iovcnt,
                         size_t bytes)
{
    RtMiss miss;
    bool missed;
    size_t left;

    iov_to_buf(iov, iovcnt, 0, port->rx_buf, bytes);
    left = rt_rx(&port->sp.ep, port->rx_buf, bytes, rtnet_clock_tai_ns(),
                 &missed, &miss);
    trace_edf_port_receive(port->id, bytes, left);
    if (missed) {
        trace_edf_port_miss(port->id, miss.trailer.source_id,
                            miss.trailer.sequence, miss.exceeded_ns);
    }
    if (left < ETH_ZLEN && net_peer_needs_padding(port->nic_side)) {
        memset(port->rx_buf + left, 0, ETH_ZLEN - left);
        left = ETH_ZLEN;
    }
    return left;
}

static ssize_t uplink_receive_iov(NetClientState *nc, const struct iovec *iov,
                                  int iovcnt)
{
    EdfPort *port = qemu_get_nic_opaque(nc);
    RtEndpoint *ep = &port->sp.ep;
    size_t bytes = iov_size(iov, iovcnt);
    struct iovec stripped;
    bool missed;

    if (port->rx_pending) {
        return 0;
    }
    if (!bytes || bytes > NET_BUFSIZE || !port->nic_side) {
        return bytes ?: 1;
    }
    if (ep->cfg.rtvnic) {
        stripped.iov_base = port->rx_buf;
        stripped.iov_len = port_strip(port, iov, iovcnt, bytes);
        iov = &stripped;
        iovcnt = 1;
    } else {
        rt_rx(ep, NULL, bytes, 0, &missed, NULL);
    }

    if (qemu_sendv_packet_async(port->nic_side, iov, iovcnt,
                                port_nic_done) == 0) {
        port->rx_pending = true;
    }
    return bytes;
}

/* -- Link state ---------------------------------------------------------------- */

/* The netdev's link changed, or the netdev is gone: so is the NIC's link. */
static void uplink_link_changed(NetClientState *nc)
{
    EdfPort *port = qemu_get_nic_opaque(nc);
    NetClientState *nic = edf_port_nic(port);

    if (!nic) {
        return;
    }
    nic->link_down = nc->link_down;
    if (nic->info->link_status_changed) {
        nic->info->link_status_changed(nic);
    }
}

/* -- The two net clients --------------------------------------------------------- */

static void nic_side_cleanup(NetClientState *nc)
{
    DO_UPCAST(NicSide, nc, nc)->port->nic_side = NULL;
}

static bool nic_side_check_nic(NetClientState *nc, ObjectClass *oc,
                               Error **errp)
{
    EdfPort *port = DO_UPCAST(NicSide, nc, nc)->port;

    if (port->full) {
        error_setg(errp, "the NIC of edf-port '%s' was removed while it waited "
                   "to send; delete and create the edf-port again", port->id);
        return false;
    }
    port->nic_waits = object_class_dynamic_cast(oc, TYPE_VIRTIO_NET);
    return true;
}

static NetClientInfo nic_side_info = {
    .type = NET_CLIENT_DRIVER_EDF_PORT,
    .size = sizeof(NicSide),
    .can_receive = nic_side_can_receive,
    .receive_iov = nic_side_receive_iov,
    .cleanup = nic_side_cleanup,
    .check_peer_type = nic_side_check_nic,
};

/* A NIC to the netdev, so that netdev_del leaves the netdev to us. */
static NetClientInfo uplink_info = {
    .type = NET_CLIENT_DRIVER_NIC,
    .size = sizeof(NICState),
    .can_receive = uplink_can_receive,
    .receive_iov = uplink_receive_iov,
    .link_status_changed = uplink_link_changed,
};

/* -- Options --------------------------------------------------------------------- */

bool edf_port_check_deadline_us(uint32_t us, Error **errp)
{
    if (!us || us > EDF_PORT_MAX_DEADLINE_US) {
        error_setg(errp, "deadline-us must be 1 to %u; leave it out for best "
                   "effort", EDF_PORT_MAX_DEADLINE_US);
        return false;
    }
    return true;
}

bool edf_port_check_period_us(uint32_t us, Error **errp)
{
    if (!us) {
        error_setg(errp, "period-us must be at least 1; leave it out to "
                   "declare nothing");
        return false;
    }
    return true;
}

/* Longest frame a guest may send, with L2 header, so that all of it fits. */
static uint32_t longest_frame_bytes(const RtEndpointConfig *ep)
{
    return ep->link_mtu + RT_ETH_HLEN + RT_VLAN_HLEN -
           (ep->rtvnic && ep->trailer ? RT_TRAILER_BYTES : 0);
}

static bool check_contract(const EdfPortConfig *cfg, Error **errp)
{
    const RtEndpointConfig *ep = &cfg->ep;

    if (ep->link_mtu < RT_LINK_MTU_MIN || ep->link_mtu > RT_LINK_MTU_MAX) {
        error_setg(errp, "link-mtu must be %u to %u; it is the MTU of the "
                   "narrowest link, 1500 on plain Ethernet",
                   RT_LINK_MTU_MIN, RT_LINK_MTU_MAX);
        return false;
    }
    if (cfg->period_us && !cfg->deadline_us) {
        error_setg(errp, "period-us declares how often frames with a deadline "
                   "come; give deadline-us, too");
        return false;
    }
    if (ep->max_frame_bytes && !cfg->period_us) {
        error_setg(errp, "max-frame-bytes is part of what is declared with "
                   "period-us; give period-us, too");
        return false;
    }
    if (ep->max_frame_bytes &&
        (ep->max_frame_bytes < RT_ETH_HLEN ||
         ep->max_frame_bytes > longest_frame_bytes(ep))) {
        error_setg(errp, "max-frame-bytes must be %u to %u (with Ethernet "
                   "header) for link-mtu=%u", RT_ETH_HLEN,
                   longest_frame_bytes(ep), ep->link_mtu);
        return false;
    }
    return true;
}

/* -- Life ------------------------------------------------------------------------ */

/* The netdev to put a port on, or NULL with @errp set. */
static NetClientState *find_netdev(const EdfPortConfig *cfg, Error **errp)
{
    NetClientState *ncs[2];
    int queues = qemu_find_net_clients_except(cfg->netdev_id, ncs,
                                              NET_CLIENT_DRIVER_NIC, 2);

    if (queues == 0) {
        error_setg(errp, "netdev '%s' not found; define it first with "
                   "-netdev ...,id=%s", cfg->netdev_id, cfg->netdev_id);
        return NULL;
    }
    if (queues > 1) {
        error_setg(errp, "netdev '%s' has several queues; deadlines need one: "
                   "use queues=1", cfg->netdev_id);
        return NULL;
    }
    if (ncs[0]->peer) {
        error_setg(errp, "netdev '%s' is already used by '%s'; give '%s' a "
                   "netdev of its own, or join both with hubports",
                   cfg->netdev_id, ncs[0]->peer->name, cfg->id);
        return NULL;
    }

    if (qemu_get_vnet_hdr_len(ncs[0])) {
        error_setg(errp, "netdev '%s' still passes the vnet headers that an "
                   "earlier NIC asked for; netdev_del and netdev_add it first",
                   cfg->netdev_id);
        return NULL;
    }

    switch (ncs[0]->info->type) {
    case NET_CLIENT_DRIVER_TAP:
        if (!tap_get_vhost_net(ncs[0])) {
            return ncs[0];
        }
        error_setg(errp, "netdev '%s' uses vhost, which sends past QEMU and so "
                   "past the scheduler; use vhost=off", cfg->netdev_id);
        return NULL;
    case NET_CLIENT_DRIVER_VHOST_USER:
    case NET_CLIENT_DRIVER_VHOST_VDPA:
        error_setg(errp, "netdev '%s' is a vhost back end, which sends past "
                   "QEMU and so past the scheduler; use tap,vhost=off, dgram, "
                   "stream, socket, user, hubport or l2tpv3", cfg->netdev_id);
        return NULL;
    case NET_CLIENT_DRIVER_EDF_PORT:
        error_setg(errp, "'%s' is a port itself; name the netdev behind it, "
                   "and an edf-port or scheduler only once", cfg->netdev_id);
        return NULL;
    default:
        return ncs[0];
    }
}

EdfPort *edf_port_new(const EdfPortConfig *cfg, Error **errp)
{
    /*
     * The net layer deletes by name, and a netdev's id may come again while an
     * older port still has the netdev that had it before.
     */
    static unsigned number;
    g_autofree char *side_name =
        g_strdup_printf("%s:port%u", cfg->netdev_id, number);
    g_autofree char *uplink_name =
        g_strdup_printf("%s:uplink%u", cfg->netdev_id, number);
    RtEndpointConfig ep = cfg->ep;
    NetClientState *netdev;
    EdfSched *sched;
    EdfPort *port;

    if (!rtnet_clock_usable(errp) || !check_contract(cfg, errp)) {
        return NULL;
    }
    netdev = find_netdev(cfg, errp);
    if (!netdev) {
        return NULL;
    }
    if (!ep.rtvnic && qemu_find_netdev(cfg->id)) {
        error_setg(errp, "'%s' is a netdev already; give the edf-port another "
                   "id, and the NIC that id as its netdev", cfg->id);
        return NULL;
    }

    ep.deadline_ns = (uint64_t)cfg->deadline_us * SCALE_US;
    ep.period_ns = (uint64_t)cfg->period_us * SCALE_US;
    if (ep.period_ns && !ep.max_frame_bytes) {
        ep.max_frame_bytes = longest_frame_bytes(&ep);
    }

    port = g_new0(EdfPort, 1);
    port->id = g_strdup(cfg->id);
    port->netdev_id = g_strdup(cfg->netdev_id);
    port->sp.id = port->id;
    port->sp.release = port_release;
    rt_endpoint_init(&port->sp.ep, &ep);

    sched = cfg->sched;
    if (!sched) {
        EdfSchedConfig private_cfg = {
            .queue_pkts = EDF_SCHED_QUEUE_PKTS_DEFAULT,
            .queue_bytes = EDF_SCHED_QUEUE_BYTES_DEFAULT,
        };
        sched = port->private_sched = edf_sched_new(NULL, &private_cfg);
    }
    if (!edf_sched_attach(sched, &port->sp, errp)) {
        edf_sched_free(port->private_sched);
        g_free(port->netdev_id);
        g_free(port->id);
        g_free(port);
        return NULL;
    }

    number++;
    port->backend_check = timer_new_ns(rtnet_clock_type(), port_check_backend,
                                       port);
    port->rx_bh = qemu_bh_new(port_rx_more, port);
    if (ep.rtvnic) {
        port->rx_buf = g_malloc(NET_BUFSIZE);
    }
    port->uplink_conf.peers.ncs[0] = netdev;
    port->uplink_conf.peers.queues = 1;
    port->uplink = qemu_new_nic(&uplink_info, &port->uplink_conf, "edf-port",
                                uplink_name, &port->uplink_guard, port);
    qemu_set_info_str(uplink_nc(port), "port=%s", port->id);

    /* A NIC finds an edf-port by its id; no id of a user's holds a colon. */
    port->nic_side = qemu_new_net_client(&nic_side_info, NULL, "edf-port",
                                         ep.rtvnic ? side_name : port->id);
    DO_UPCAST(NicSide, nc, port->nic_side)->port = port;
    qemu_set_info_str(port->nic_side, "netdev=%s,scheduler=%s",
                      port->netdev_id, sched->id ?: "none");
    port->nic_waits = ep.rtvnic;
    QLIST_INSERT_HEAD(&edf_ports, port, next);
    edf_port_watch_nics();
    return port;
}

bool edf_port_is_used(const EdfPort *port)
{
    return port->nic_side && port->nic_side->peer;
}

NetClientState *edf_port_nic(const EdfPort *port)
{
    if (edf_port_is_used(port) &&
        port->nic_side->peer->info->type == NET_CLIENT_DRIVER_NIC) {
        return port->nic_side->peer;
    }
    return NULL;
}

void edf_port_free(EdfPort *port)
{
    if (!port) {
        return;
    }
    assert(!edf_port_is_used(port));
    QLIST_REMOVE(port, next);
    if (port->nic_side) {
        /* Brings back the frame that the netdev still holds. */
        qemu_purge_queued_packets(uplink_nc(port));
        qemu_del_net_client(port->nic_side);
        /* The MAC is the NIC's to give back. */
        memset(&port->uplink_conf.macaddr, 0, sizeof(MACAddr));
        qemu_del_nic(port->uplink);
    }
    edf_sched_detach(&port->sp);
    edf_sched_free(port->private_sched);
    qemu_bh_delete(port->rx_bh);
    timer_free(port->backend_check);
    g_free(port->in_flight);
    g_free(port->rx_buf);
    g_free(port->netdev_id);
    g_free(port->id);
    g_free(port);
}
