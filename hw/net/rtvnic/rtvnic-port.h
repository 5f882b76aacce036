/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every rtvnic variant has: the real-time options, and an EDF port
 * between the NIC model and its netdev.
 *
 * Behind vhost-user-shmem there is no port: the daemon does what it would do
 * (rtvnic-control.h).
 *
 * It is a child device, so that a variant inherits its NIC model's state
 * unchanged; the variant shows the child's options as its own.
 *
 * Threads: main loop, under the BQL.
 */
#ifndef HW_NET_RTVNIC_PORT_H
#define HW_NET_RTVNIC_PORT_H

#include "chardev/char-fe.h"
#include "hw/qdev-core.h"
#include "net/net.h"
#include "net/edf/port.h"
#include "rtnet/compat.h"

#define TYPE_RTVNIC_PORT "rtvnic-port"
OBJECT_DECLARE_SIMPLE_TYPE(RtvnicPort, RTVNIC_PORT)

struct RtvnicPort {
    DeviceState parent_obj;

    /* Options, in rtvnic-port.c */
    char *scheduler;
    uint32_t deadline_us;
    uint32_t period_us;
    uint32_t max_frame_bytes;
    uint32_t link_mtu;
    uint32_t max_skew_us;
    uint32_t source_id;
    int32_t dscp;
    int32_t pcp;
    RtvnicLate late;
    bool trailer;
    RtnetCharFrontend control;  /* of vhost-user-shmem ... */
    char *daemon_port;          /* ... and its port; NULL: none */

    /* While realized: one of the two. */
    EdfPort *port;
    /* rtvnic-control.c: */
    GString *line;              /* that is being read; NULL: not used */
    int64_t last_id;            /* of a request */
    bool registered;
    bool starting;              /* an open connection is no news */
    char *refusal;              /* of the last one, or NULL */

    NICConf *conf;              /* the variant's, while realized */
};

/* For a variant's instance_init: add the child and its options to @nic. */
void rtvnic_port_add(DeviceState *nic);

RtvnicPort *rtvnic_port_of(DeviceState *nic);

/* Longest L3 packet the guest may send so that the trailer still fits. */
uint32_t rtvnic_port_guest_mtu(const RtvnicPort *rp);

/*
 * For a variant's realize, before the NIC model's: put the port between @conf
 * and the netdev it names, or have vhost-user-shmem do what a port does.
 * @nic_class: of the device that will be the net
 * layer's NIC.  False with @errp set.
 */
bool rtvnic_port_plug(DeviceState *nic, ObjectClass *nic_class, NICConf *conf,
                      Error **errp);

/* After the NIC model's realize, which may have chosen the MAC. */
void rtvnic_port_set_mac(DeviceState *nic, const MACAddr *mac);

/* After the NIC model is unrealized, or if its realize failed. */
void rtvnic_port_unplug(DeviceState *nic);

#endif
