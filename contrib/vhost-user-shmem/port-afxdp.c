/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port with an interface of the host behind it, past the host's network
 * stack: an AF_XDP socket for each of its queues.
 *
 * Frames are plain both ways: nobody on the way knows of a checksum that was
 * left open.  An interface that goes away may come back; the port waits for it
 * by its name.
 *
 * Without libxdp there is only who says so.
 *
 * Threads: control, but for the last section.
 */
#ifdef HAVE_LIBXDP
#include <errno.h>
#include <net/if.h>

#include "afxdp-queue.h"
#include "lock.h"

#define GONE "the interface is gone"

typedef struct AfxdpPort {
    AfxdpNic nic;
    bool attached;
    unsigned tried_ifindex;         /* it could not be used */
    unsigned queues;
    AfxdpQueue queue[];
} AfxdpPort;

/* -- The interface --------------------------------------------------------- */

static void set_queues(Port *p)
{
    const AfxdpPort *a = p->impl;

    p->ingress_queues = p->egress_queues =
        a->attached && p->settings.link_up ? a->queues : 0;
}

/* Its frames are the host's again. */
static void release(AfxdpPort *a)
{
    afxdp_nic_close(&a->nic);
    for (unsigned i = 0; i < a->queues; i++) {
        afxdp_queue_close(&a->queue[i]);
    }
    a->attached = false;
}

static bool take(Port *p, GError **error)
{
    const PortSettings *s = &p->settings;
    AfxdpPort *a = p->impl;
    bool all = afxdp_nic_open(&a->nic, p, error);

    for (unsigned i = 0; all && i < a->queues; i++) {
        all = afxdp_queue_open(&a->queue[i], s, &a->nic, i, error);
    }
    if (!all) {
        release(a);
        g_prefix_error(error, "ifname=%s: ", s->ifname);
        return false;
    }
    a->attached = true;
    port_log(p, G_LOG_LEVEL_MESSAGE, "ifname=%s is ours (%s XDP, %s)",
             s->ifname, a->nic.native ? "native" : "generic",
             afxdp_queue_is_zero_copy(&a->queue[0]) ? "zero-copy" : "copies");
    return true;
}

/* One that cannot be used is not tried again and again. */
static void look_for_interface(Port *p)
{
    AfxdpPort *a = p->impl;
    unsigned ifindex = if_nametoindex(p->settings.ifname);
    g_autoptr(GError) error = NULL;

    if (ifindex != 0 && ifindex != a->tried_ifindex && !take(p, &error)) {
        port_log(p, G_LOG_LEVEL_WARNING, "%s", error->message);
    }
    a->tried_ifindex = ifindex;
}

/* -- Life ------------------------------------------------------------------ */

static void afxdp_close(Port *p)
{
    AfxdpPort *a = p->impl;

    release(a);
    for (unsigned i = 0; i < a->queues; i++) {
        pthread_mutex_destroy(&a->queue[i].lock);
    }
    g_free(a);
    p->impl = NULL;
}

static bool afxdp_open(Port *p, GError **error)
{
    unsigned queues = p->settings.queues;
    AfxdpPort *a = g_malloc0(sizeof(*a) + queues * sizeof(a->queue[0]));

    a->queues = queues;
    for (unsigned i = 0; i < queues; i++) {
        lock_init(&a->queue[i].lock);
    }
    p->impl = a;
    if (!take(p, error)) {
        afxdp_close(p);
        return false;
    }
    set_queues(p);
    return true;
}

/* What came while the link was down. */
static void discard(AfxdpQueue *q)
{
    g_autofree VringBurst *b = g_new(VringBurst, 1);
    unsigned n = 0;

    /* Others may come as fast as these go. */
    while (n < AFXDP_HALF_FRAMES &&
           afxdp_queue_fetch(q, b, VRING_BURST) > 0) {
        n += b->n;
        afxdp_queue_give_back(q, b);
    }
}

static void afxdp_link(Port *p)
{
    AfxdpPort *a = p->impl;

    for (unsigned i = 0; a->attached && i < a->queues; i++) {
        discard(&a->queue[i]);
    }
    /* Whoever has put it right says link=down and link=up. */
    a->tried_ifindex = 0;
    set_queues(p);
}

static void afxdp_broken(Port *p)
{
    AfxdpPort *a = p->impl;

    port_log(p, G_LOG_LEVEL_WARNING, "ifname=%s: %s, and the port waits for "
             "it", p->settings.ifname, p->last_broken);
    release(a);
    a->tried_ifindex = 0;
    set_queues(p);
}

static void afxdp_tick(Port *p)
{
    AfxdpPort *a = p->impl;

    if (!a->attached) {
        port_quiesce(p);
        look_for_interface(p);
        set_queues(p);
        port_resume(p);
        return;
    }
    if (afxdp_queue_is_gone(&a->queue[0])) {
        port_break(p, GONE);
        return;
    }
    for (unsigned i = 0; i < a->queues; i++) {
        afxdp_queue_read_lost(&a->queue[i]);
        /* Nobody else may come by: its worker sleeps, or the interface was
         * down. */
        afxdp_queue_send_rest(&a->queue[i]);
    }
}

static void afxdp_status(Port *p, PortStatus *status)
{
    status->connected = ((AfxdpPort *)p->impl)->attached;
}

static int afxdp_wake_fd(Port *p, unsigned queue)
{
    return ((AfxdpPort *)p->impl)->queue[queue].fd;
}

/* -- Workers --------------------------------------------------------------- */

static unsigned read_frames(IngressBurst *b, PortCounters *counters)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->ring.n; i++) {
        Frame *f = &b->frame[n];

        if (frame_read(f, &b->ring, &b->ring.chain[i], 0)) {
            f->vnet = (struct virtio_net_hdr) { 0 };
            n++;
        } else {
            counter_add(&counters->drops[DROP_RUNT], 1);
        }
    }
    return n;
}

static unsigned afxdp_ingress(Port *p, unsigned queue, IngressBurst *b,
                              PortCounters *counters)
{
    AfxdpQueue *q = &((AfxdpPort *)p->impl)->queue[queue];
    uint64_t lost = afxdp_queue_new_lost(q);
    unsigned n;

    if (G_UNLIKELY(lost > 0)) {
        counter_add(&counters->drops[DROP_RX_FULL], lost);
    }
    if (G_UNLIKELY(afxdp_queue_has_rest(q))) {
        afxdp_queue_send_rest(q);
    }
    if (afxdp_queue_fetch(q, &b->ring, b->max) == 0) {
        return 0;
    }
    n = read_frames(b, counters);
    if (n == 0) {
        afxdp_queue_give_back(q, &b->ring);
    }
    return n;
}

static void afxdp_ingress_done(Port *p, unsigned queue, IngressBurst *b)
{
    afxdp_queue_give_back(&((AfxdpPort *)p->impl)->queue[queue], &b->ring);
}

/* Its fd becomes readable whenever something comes. */
static bool afxdp_ask_wake(Port *p, unsigned queue, bool ask)
{
    AfxdpQueue *q = &((AfxdpPort *)p->impl)->queue[queue];

    return ask && (afxdp_queue_has_rest(q) || afxdp_queue_has_some(q));
}

static void afxdp_egress(Port *p, unsigned queue, const Frame *const *frames,
                         unsigned n, VringBurst *scratch,
                         PortCounters *counters)
{
    AfxdpPort *a = p->impl;

    if (afxdp_queue_send(&a->queue[queue], frames, n, counters) == ENXIO) {
        port_break(p, GONE);
    }
}

const PortOps port_afxdp_ops = {
    .type = "af-xdp",
    .open = afxdp_open,
    .close = afxdp_close,
    .link = afxdp_link,
    .tick = afxdp_tick,
    .broken = afxdp_broken,
    .status = afxdp_status,
    .wake_fd = afxdp_wake_fd,
    .ingress = afxdp_ingress,
    .ingress_done = afxdp_ingress_done,
    .ask_wake = afxdp_ask_wake,
    .egress = afxdp_egress,
};

#else
#include "port.h"

static bool afxdp_open(Port *p, GError **error)
{
    g_set_error(error, SWITCH_ERROR, 0, "type=af-xdp: this program was built "
                "without libxdp: install libxdp-dev and configure again");
    return false;
}

const PortOps port_afxdp_ops = {
    .type = "af-xdp",
    .open = afxdp_open,
};

#endif
