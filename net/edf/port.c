/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port's options, life and link state.  The packet's way is in port-tx.c and
 * port-rx.c.
 *
 * Threads: main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "net/eth.h"
#include "hw/virtio/virtio-net.h"
#include "net/vhost_net.h"
#include "net/edf/clock.h"
#include "net/edf/port-impl.h"
#include "net/edf/trace.h"

/* nic_side as the net layer allocates it. */
typedef struct NicSide {
    NetClientState nc;
    EdfPort *port;
} NicSide;

EdfPortList edf_ports = QLIST_HEAD_INITIALIZER(edf_ports);

EdfPort *edf_port_of_nic_side(NetClientState *nc)
{
    return DO_UPCAST(NicSide, nc, nc)->port;
}

void edf_port_drop(EdfPort *port, uint64_t *counter, const char *reason,
                   size_t bytes)
{
    (*counter)++;
    trace_edf_port_drop(port->id, reason, bytes);
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
    edf_port_of_nic_side(nc)->nic_side = NULL;
}

/* What a NIC of class @oc can do. */
static void set_nic_class(EdfPort *port, ObjectClass *oc)
{
    port->nic_waits = object_class_dynamic_cast(oc, TYPE_VIRTIO_NET);
    /* An ne2000 takes for granted that no longer frame comes. */
    port->rx_max_l3_bytes = object_class_dynamic_cast(oc, "ne2k_pci") ||
                            object_class_dynamic_cast(oc, "ne2k_isa") ?
                            ETH_MTU : 0;
}

static bool nic_side_check_nic(NetClientState *nc, ObjectClass *oc,
                               Error **errp)
{
    EdfPort *port = edf_port_of_nic_side(nc);

    port->full = false;         /* a NIC that leaves takes its frame with it */
    set_nic_class(port, oc);
    return true;
}

static NetClientInfo nic_side_info = {
    .type = NET_CLIENT_DRIVER_EDF_PORT,
    .size = sizeof(NicSide),
    .can_receive = edf_port_nic_can_send,
    .receive_iov = edf_port_tx,
    .cleanup = nic_side_cleanup,
    .check_peer_type = nic_side_check_nic,
};

/* A NIC to the netdev, so that netdev_del leaves the netdev to us. */
static NetClientInfo uplink_info = {
    .type = NET_CLIENT_DRIVER_NIC,
    .size = sizeof(NICState),
    .can_receive = edf_port_uplink_can_receive,
    .receive_iov = edf_port_rx,
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

bool edf_port_check_dscp(int32_t dscp, Error **errp)
{
    if (dscp < RT_DSCP_KEEP || dscp > 63) {
        error_setg(errp, "dscp must be 0 to 63, or %d to keep the guest's",
                   RT_DSCP_KEEP);
        return false;
    }
    return true;
}

bool edf_port_set_deadline_us(EdfPort *port, uint32_t us, Error **errp)
{
    return edf_port_check_deadline_us(us, errp) &&
           edf_sched_set_deadline(&port->sp, (uint64_t)us * SCALE_US, errp);
}

bool edf_port_set_dscp(EdfPort *port, int32_t dscp, Error **errp)
{
    if (!edf_port_check_dscp(dscp, errp)) {
        return false;
    }
    port->sp.ep.cfg.dscp = dscp;
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
        if (!get_vhost_net(ncs[0])) {
            return ncs[0];
        }
        error_setg(errp, "netdev '%s' uses vhost, which sends past QEMU and so "
                   "past the scheduler; use vhost=off", cfg->netdev_id);
        return NULL;
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
    port->sp.release = edf_port_release;
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
    port->backend_check = timer_new_ns(rtnet_clock_type(), edf_port_check_backend,
                                       port);
    port->rx_bh = qemu_bh_new(edf_port_rx_more, port);
    port->rx_buf = g_malloc(NET_BUFSIZE);
    edf_port_events_init(port);
    port->uplink_conf.peers.ncs[0] = netdev;
    port->uplink_conf.peers.queues = 1;
    port->uplink = qemu_new_nic(&uplink_info, &port->uplink_conf, "edf-port",
                                uplink_name, &port->uplink_guard, port);
    qemu_set_info_str(edf_port_uplink_nc(port), "port=%s", port->id);

    /* A NIC finds an edf-port by its id; no id of a user's holds a colon. */
    port->nic_side = qemu_new_net_client(&nic_side_info, NULL, "edf-port",
                                         ep.rtvnic ? side_name : port->id);
    DO_UPCAST(NicSide, nc, port->nic_side)->port = port;
    qemu_set_info_str(port->nic_side, "netdev=%s,scheduler=%s",
                      port->netdev_id, sched->id ?: "none");
    if (cfg->nic_class) {
        set_nic_class(port, cfg->nic_class);
    }
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
    edf_port_events_cleanup(port);
    edf_port_migrate_cleanup(port);
    if (port->nic_side) {
        /* Brings back the frame that the netdev still holds. */
        qemu_purge_queued_packets(edf_port_uplink_nc(port));
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
