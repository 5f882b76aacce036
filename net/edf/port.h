/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port: what stands between a NIC and its netdev.
 *
 *     NIC  <->  nic_side | uplink  <->  netdev
 *
 * Both sides are net clients of our own, because a netfilter cannot push back.
 * nic_side is what the NIC takes for its netdev; uplink is what the netdev
 * takes for its NIC.  nic_side reports no vnet header, so the guest is offered
 * no segmentation and no partial checksum.
 *
 * Out:  nic_side receives -> rt_tx_accept() -> scheduler -> release ->
 *       uplink sends.  A full queue makes virtio-net wait; other models report
 *       a frame as sent at once, so for them it is a counted drop.
 * In:   uplink receives -> rt_rx() -> nic_side sends.
 *
 * At most one frame lies in the netdev's own queue; a frame is ours until the
 * netdev reports that it has gone.
 *
 * Owners: the edf-port object (port-object.c), and rtvnic (hw/net/rtvnic).
 *
 * Threads: main loop, under the BQL.
 */
#ifndef NET_EDF_PORT_H
#define NET_EDF_PORT_H

#include "hw/qdev-core.h"
#include "net/net.h"
#include "qapi/qapi-types-rtnet.h"
#include "net/edf/sched.h"
#include "rtnet/rt-saved.h"

typedef struct EdfPort EdfPort;

/* What is being saved or loaded; empty otherwise. */
typedef struct EdfPortSaved {
    uint32_t sequence;
    uint64_t next_release_in_ns;
    int32_t n_frames;
    uint32_t n_bytes;
    RtSavedTx *frames;          /* n_frames */
    uint8_t *bytes;             /* n_bytes: of all frames, one after another */
} EdfPortSaved;

/* Ethernet header, two VLAN tags, IPv6 header. */
#define EDF_MISS_HEAD_BYTES 62

struct EdfPort {
    EdfSchedPort sp;            /* RT endpoint and place in the scheduler */
    char *id;                   /* of the edf-port or the rtvnic */
    char *netdev_id;
    EdfSched *private_sched;    /* if it was given none */

    NetClientState *nic_side;   /* NULL once the net layer is cleaned up */
    NICState *uplink;
    NICConf uplink_conf;
    MemReentrancyGuard uplink_guard;

    /* Out */
    bool nic_waits;             /* the NIC is a virtio-net: it can wait */
    bool full;                  /* the NIC waits now ... */
    uint64_t full_since_ns;     /* ... with a frame taken at this time */
    uint64_t full_since_tai_ns;
    EdfFrame *in_flight;        /* handed to the netdev, not yet gone */
    QEMUTimer *backend_check;   /* while in_flight */

    /* In */
    uint32_t rx_max_l3_bytes;   /* the NIC cannot receive more; 0: any */
    bool rx_pending;            /* a frame waits for the NIC's rx ring */
    QEMUBH *rx_bh;              /* takes the next one from the netdev */
    uint8_t *rx_buf;            /* NET_BUFSIZE */

    /* Events */
    bool nic_known;             /* its arrival was told */
    uint64_t missed_pkts;       /* not yet told */
    RtMiss last_miss;           /* the last of them, ... */
    uint8_t miss_head[EDF_MISS_HEAD_BYTES]; /* ... and how its frame begins */
    QEMUTimer *miss_timer;      /* no event until then */

    EdfPortSaved saved;

    QLIST_ENTRY(EdfPort) next;
};

typedef struct EdfPortConfig {
    const char *id;
    const char *netdev_id;
    EdfSched *sched;            /* NULL: mark and stamp only, send at once */
    ObjectClass *nic_class;     /* an rtvnic's NIC model; else NULL */
    RtEndpointConfig ep;
    uint32_t deadline_us;       /* as the user gave them, 0: not given; */
    uint32_t period_us;         /* they override ep's */
} EdfPortConfig;

/*
 * Make a port on netdev cfg->netdev_id, and attach it to the scheduler.
 * Checks everything in @cfg.  Returns NULL with @errp set, and nothing changed.
 */
EdfPort *edf_port_new(const EdfPortConfig *cfg, Error **errp);

/* It must not be used any more.  NULL is allowed. */
void edf_port_free(EdfPort *port);

/* Is anything plugged in, a NIC or a hub? */
bool edf_port_is_used(const EdfPort *port);

/* The NIC that is plugged in, or NULL. */
NetClientState *edf_port_nic(const EdfPort *port);

/* Watch what is plugged into ports: nic-watch.c.  Idempotent. */
void edf_port_watch_nics(void);

/*
 * Change an option of a running port.  False with @errp set, and nothing
 * changed, if it is out of range or could no longer be promised.
 */
bool edf_port_set_deadline_us(EdfPort *port, uint32_t us, Error **errp);
bool edf_port_set_dscp(EdfPort *port, int32_t dscp, Error **errp);

/* For whom owns the port: the section that holds its frames; an EdfPort. */
extern const VMStateDescription vmstate_edf_port;

/* A MAC address as everybody writes it; to be freed. */
char *edf_mac_text(const uint8_t mac[6]);

/* Tell management of NICs that have been plugged in or out since. */
void edf_port_tell_nics(void);

/* All ports. */
typedef QLIST_HEAD(EdfPortList, EdfPort) EdfPortList;
extern EdfPortList edf_ports;

/* -- Options that edf-port and rtvnic share ---------------------------------- */

#define EDF_PORT_MAX_DEADLINE_US (RT_TRAILER_MAX_DEADLINE_NS / 1000)

/* False with @errp set if @us is no deadline (0, or beyond the trailer). */
bool edf_port_check_deadline_us(uint32_t us, Error **errp);

/* False with @errp set if @us is no period (0). */
bool edf_port_check_period_us(uint32_t us, Error **errp);

/* False with @errp set if @dscp is neither a DSCP nor RT_DSCP_KEEP. */
bool edf_port_check_dscp(int32_t dscp, Error **errp);

#endif
