/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a port share, and nobody else needs:
 *
 *   port.c          options, life, link state
 *   port-tx.c       from the NIC to the netdev
 *   port-rx.c       from the netdev to the NIC
 *   port-events.c   what management hears of it
 *   port-migrate.c  what moves to another QEMU
 *
 * Threads: main loop, under the BQL.
 */
#ifndef NET_EDF_PORT_IMPL_H
#define NET_EDF_PORT_IMPL_H

#include "net/edf/port.h"

static inline NetClientState *edf_port_uplink_nc(const EdfPort *port)
{
    return qemu_get_queue(port->uplink);
}

EdfPort *edf_port_of_nic_side(NetClientState *nc);

/* A frame of @bytes is thrown away; @reason is a field of RT_DROPS. */
#define EDF_PORT_DROP(port, reason, bytes) \
    edf_port_drop(port, &(port)->sp.ep.n.drop_##reason, #reason, bytes)
void edf_port_drop(EdfPort *port, uint64_t *counter, const char *reason,
                   size_t bytes);

/* -- port-tx.c: NetClientInfo of nic_side, and what the scheduler calls ----- */

bool edf_port_nic_can_send(NetClientState *nc);
ssize_t edf_port_tx(NetClientState *nc, const struct iovec *iov, int iovcnt);
bool edf_port_release(EdfSchedPort *sp, EdfFrame *frame, uint64_t now_ns);

/* Timer, @opaque is the port: has a full backend gone for good? */
void edf_port_check_backend(void *opaque);

/* -- port-rx.c: NetClientInfo of the uplink ---------------------------------- */

bool edf_port_uplink_can_receive(NetClientState *nc);
ssize_t edf_port_rx(NetClientState *nc, const struct iovec *iov, int iovcnt);

/* Bottom half, @opaque is the port: the NIC can take the next frame. */
void edf_port_rx_more(void *opaque);

/* -- port-events.c ------------------------------------------------------------ */

void edf_port_events_init(EdfPort *port);

/* Sends what has not been sent yet. */
void edf_port_events_cleanup(EdfPort *port);

/*
 * @frame, @len bytes without trailer, missed its deadline.  One event per
 * port and second at most; misses in between are counted in the next one.
 */
void edf_port_missed(EdfPort *port, const uint8_t *frame, size_t len,
                     const RtMiss *miss);

/* -- port-migrate.c ------------------------------------------------------------ */

/* Frees what a failed load has left. */
void edf_port_migrate_cleanup(EdfPort *port);

#endif
