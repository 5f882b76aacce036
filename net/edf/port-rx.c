/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port's way in: from the netdev to the NIC; the trailer is stripped here.
 *
 * Threads: main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "net/eth.h"
#include "net/edf/clock.h"
#include "net/edf/port-impl.h"
#include "net/edf/trace.h"

bool edf_port_uplink_can_receive(NetClientState *nc)
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
    EdfPort *port = edf_port_of_nic_side(nc);

    port->rx_pending = false;
    qemu_bh_schedule(port->rx_bh);
}

void edf_port_rx_more(void *opaque)
{
    EdfPort *port = opaque;

    if (port->nic_side) {
        qemu_flush_queued_packets(edf_port_uplink_nc(port));
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
        edf_port_missed(port, port->rx_buf, left, &miss);
    }
    if (left < ETH_ZLEN && net_peer_needs_padding(port->nic_side)) {
        memset(port->rx_buf + left, 0, ETH_ZLEN - left);
        left = ETH_ZLEN;
    }
    return left;
}

/* Some NIC models write behind their ring if a frame is too long for them. */
static bool nic_cannot_receive(const EdfPort *port, const uint8_t *frame,
                               size_t bytes)
{
    RtFrame f;

    return port->rx_max_l3_bytes && rt_frame_parse(&f, frame, bytes) &&
           bytes > f.l2_bytes + port->rx_max_l3_bytes;
}

ssize_t edf_port_rx(NetClientState *nc, const struct iovec *iov, int iovcnt)
{
    EdfPort *port = qemu_get_nic_opaque(nc);
    size_t bytes = iov_size(iov, iovcnt), left;
    struct iovec stripped;

    if (port->rx_pending) {
        return 0;
    }
    if (!bytes || bytes > NET_BUFSIZE || !port->nic_side) {
        return bytes ?: 1;
    }
    left = port_strip(port, iov, iovcnt, bytes);
    if (nic_cannot_receive(port, port->rx_buf, left)) {
        EDF_PORT_DROP(port, rx_oversize, left);
        return bytes;
    }

    stripped = (struct iovec) { .iov_base = port->rx_buf, .iov_len = left };
    if (qemu_sendv_packet_async(port->nic_side, &stripped, 1,
                                port_nic_done) == 0) {
        port->rx_pending = true;
    }
    return bytes;
}
