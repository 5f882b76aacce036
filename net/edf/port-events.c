/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What management hears of ports: missed deadlines, NICs that come and go.
 *
 * Misses come at the rate of frames, so events do not: the first one is sent
 * at once, and then at most one per port and second, which says how many there
 * were since the last.  A timer sends what is left when no more frames come,
 * so the counts of all events add up to what was missed.  (The monitor's own
 * rate limit would forget those in between.)  Text is made for what is sent,
 * not for each miss.
 *
 * Threads: main loop, under the BQL.
 */
#include "qemu/osdep.h"
#include "qapi/qapi-events-rtnet.h"
#include "qapi/qapi-visit-rtnet.h"
#include "hw/qdev-core.h"
#include "net/edf/clock.h"
#include "net/edf/port-impl.h"
#include "net/edf/trace.h"

#define MISS_INTERVAL_NS NANOSECONDS_PER_SECOND

/* -- Misses ------------------------------------------------------------------- */

static char *ip_text(int family, const uint8_t *address)
{
    char text[INET6_ADDRSTRLEN];

    return g_strdup(inet_ntop(family, address, text, sizeof(text)));
}

char *edf_mac_text(const uint8_t mac[6])
{
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                           mac[2], mac[3], mac[4], mac[5]);
}

/*
 * The addresses of an IP header at @ip.  It is all there: a frame with a valid
 * trailer was IP.
 */
static void describe_ip(RtnetMiss *info, const uint8_t *ip)
{
    info->has_protocol = true;
    if (ip[0] >> 4 == 4) {
        info->source = ip_text(AF_INET, ip + 12);
        info->destination = ip_text(AF_INET, ip + 16);
        info->protocol = ip[9];
    } else {
        info->source = ip_text(AF_INET6, ip + 8);
        info->destination = ip_text(AF_INET6, ip + 24);
        info->protocol = ip[6];
    }
}

static RtnetMiss *describe_miss(const EdfPort *port)
{
    const RtMiss *miss = &port->last_miss;
    const RtTrailer *t = &miss->trailer;
    const uint8_t *frame = port->miss_head;
    RtnetMiss *info = g_new0(RtnetMiss, 1);

    info->port = g_strdup(port->id);
    info->source_mac = edf_mac_text(frame + 6);
    info->destination_mac = edf_mac_text(frame);
    info->source_id = t->source_id;
    info->sequence = t->sequence;
    info->deadline_ns = t->deadline_ns;
    info->exceeded_ns = miss->exceeded_ns;
    info->late_at_departure = t->flags & RT_TRAILER_F_LATE;
    info->dscp = miss->wire_dscp;
    info->count = port->missed_pkts;
    describe_ip(info, frame + miss->l2_bytes);
    return info;
}

static void send_miss(EdfPort *port)
{
    g_autoptr(RtnetMiss) info = describe_miss(port);

    qapi_event_send_rtnet_deadline_miss(info);
    port->missed_pkts = 0;
}

/* A second without event is over. */
static void miss_timer_expired(void *opaque)
{
    EdfPort *port = opaque;

    if (port->missed_pkts) {
        send_miss(port);
        timer_mod_ns(port->miss_timer, rtnet_clock_ns() + MISS_INTERVAL_NS);
    }
}

void edf_port_missed(EdfPort *port, const uint8_t *frame, size_t len,
                     const RtMiss *miss)
{
    trace_edf_port_miss(port->id, miss->trailer.source_id,
                        miss->trailer.sequence, miss->exceeded_ns);
    port->missed_pkts++;
    port->last_miss = *miss;
    memcpy(port->miss_head, frame, MIN(len, EDF_MISS_HEAD_BYTES));
    if (!timer_pending(port->miss_timer)) {
        send_miss(port);
        timer_mod_ns(port->miss_timer, rtnet_clock_ns() + MISS_INTERVAL_NS);
    }
}

/* -- NICs ----------------------------------------------------------------------- */

static RtnetNic *describe_nic(const EdfPort *port)
{
    RtnetNic *info = g_new0(RtnetNic, 1);

    info->port = g_strdup(port->id);
    info->netdev = g_strdup(port->netdev_id);
    info->mac = edf_mac_text(port->uplink_conf.macaddr.a);
    return info;
}

static void tell_nic(EdfPort *port, bool known)
{
    g_autoptr(RtnetNic) info = describe_nic(port);

    port->nic_known = known;
    if (known) {
        qapi_event_send_rtnet_nic_added(info);
    } else {
        qapi_event_send_rtnet_nic_removed(info);
        memset(&port->uplink_conf.macaddr, 0, sizeof(MACAddr));
    }
}

void edf_port_tell_nics(void)
{
    EdfPort *port;

    QLIST_FOREACH(port, &edf_ports, next) {
        NetClientState *nic = edf_port_nic(port);

        if (nic) {
            /* The uplink announces the MAC of the NIC in front. */
            port->uplink_conf.macaddr = qemu_get_nic(nic)->conf->macaddr;
        }
        if (port->nic_known != !!nic) {
            tell_nic(port, nic);
        }
    }
}

/* -- Life ----------------------------------------------------------------------- */

void edf_port_events_init(EdfPort *port)
{
    port->miss_timer = timer_new_ns(rtnet_clock_type(), miss_timer_expired,
                                    port);
}

void edf_port_events_cleanup(EdfPort *port)
{
    if (port->missed_pkts) {
        send_miss(port);
    }
    if (port->nic_known) {
        tell_nic(port, false);
    }
    timer_free(port->miss_timer);
}
