/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port's way out: from the NIC into the queue, and from the queue to the
 * netdev.
 *
 * Threads: main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "hw/virtio/virtio-net.h"
#include "net/edf/clock.h"
#include "net/edf/port-impl.h"
#include "net/edf/trace.h"

/* How often a port asks whether a backend that is full has gone for good. */
#define BACKEND_CHECK_NS (100 * SCALE_MS)

static bool backend_is_down(const EdfPort *port)
{
    NetClientState *nc = edf_port_uplink_nc(port);

    return nc->link_down || !nc->peer || nc->peer->link_down;
}

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

/* Does the NIC have a frame for us that we did not take? */
static bool nic_frame_waits(const EdfPort *port)
{
    NetClientState *nic = edf_port_nic(port);
    VirtIONet *n;

    if (!port->nic_waits || !nic) {
        return false;
    }
    n = qemu_get_nic_opaque(nic);
    return n->vqs[nic->queue_index].async_tx.elem;
}

/*
 * Must the NIC keep its next frame?  Notes since when, if so.  The net layer
 * also asks when the VM starts, without a frame: that is no time since when
 * one waits.
 */
static bool nic_must_wait(EdfPort *port)
{
    if (!port->nic_waits || !runstate_is_running() ||
        edf_sched_has_room(&port->sp) || nic_is_leaving(port)) {
        return false;
    }
    if (!port->full || !nic_frame_waits(port)) {
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

    if (port->full && nic_frame_waits(port)) {
        /* It left the guest's ring back then. */
        now_ns = port->full_since_ns;
        now_tai_ns = port->full_since_tai_ns;
    }
    port->full = false;

    /* The guest can change iov at any time: copy once, then look. */
    iov_to_buf(iov, iovcnt, 0, frame->data, bytes);
    if (!rt_tx_accept(ep, frame->data, bytes, now_ns, now_tai_ns, &frame->tx)) {
        trace_edf_port_drop(port->id, "runt or oversize", bytes);
        g_free(frame);
        return;
    }
    edf_sched_enqueue(&port->sp, frame);
}

bool edf_port_nic_can_send(NetClientState *nc)
{
    return !nic_must_wait(edf_port_of_nic_side(nc));
}

ssize_t edf_port_tx(NetClientState *nc, const struct iovec *iov, int iovcnt)
{
    EdfPort *port = edf_port_of_nic_side(nc);
    size_t bytes = iov_size(iov, iovcnt);

    if (!nc->peer || nic_must_wait(port)) {
        return 0;
    }
    if (nic_is_leaving(port)) {
        EDF_PORT_DROP(port, tx_link_down, bytes);
        port->full = false;
    } else if (runstate_is_running() && !edf_sched_has_room(&port->sp)) {
        EDF_PORT_DROP(port, tx_queue_full, bytes);
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
        EDF_PORT_DROP(port, tx_backend, frame->tx.leave_bytes);
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
        EDF_PORT_DROP(port, tx_link_down, frame->tx.leave_bytes);
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
void edf_port_check_backend(void *opaque)
{
    EdfPort *port = opaque;
    NetClientState *netdev = edf_port_uplink_nc(port)->peer;

    if (!port->in_flight) {
        return;
    }
    timer_mod_ns(port->backend_check, rtnet_clock_ns() + BACKEND_CHECK_NS);
    if (netdev && netdev->link_down && runstate_is_running()) {
        qemu_flush_queued_packets(netdev);
    }
}

bool edf_port_release(EdfSchedPort *sp, EdfFrame *frame, uint64_t now_ns)
{
    EdfPort *port = container_of(sp, EdfPort, sp);
    NetClientState *nc = edf_port_uplink_nc(port);
    struct iovec iov = { .iov_base = frame->data };
    bool used_link = false;
    ssize_t result;

    if (backend_is_down(port)) {
        EDF_PORT_DROP(port, tx_link_down, frame->tx.leave_bytes);
        g_free(frame);
    } else if (!frame->departed &&
               !rt_tx_depart(&sp->ep, frame->data, &frame->tx, now_ns,
                             rtnet_clock_tai_synchronised())) {
        trace_edf_port_drop(port->id, "late", frame->tx.leave_bytes);
        g_free(frame);
    } else {
        iov.iov_len = frame->tx.leave_bytes;
        frame->departed = true;
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
