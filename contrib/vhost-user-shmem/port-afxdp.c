/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port with an interface of the host behind it, past the host's network
 * stack: an AF_XDP socket for each of its queues.
 *
 * Frames are plain both ways: nobody on the way knows of a checksum that was
 * left open.  An interface that goes away may come back; the port waits for it
 * by its name.
 *
 * With domain= its memory is that of a domain, whose members are given what
 * comes, and send, without a copy.
 *
 * Without libxdp there is only who says so.
 *
 * Threads: control, but for the last section.
 */
#ifdef HAVE_LIBXDP
#include <errno.h>
#include <net/if.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "afxdp-queue.h"
#include "kick.h"
#include "lock.h"
#include "switch-impl.h"

#define GONE "the interface is gone"

typedef struct AfxdpPort {
    DomainHolder holder;            /* first; of the domain */
    Port *p;
    Domain *domain;                 /* NULL: it has memory of its own */
    AfxdpSegments *segments;        /* of the domain, while attached */
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

static void close_queues(AfxdpPort *a)
{
    for (unsigned i = 0; i < a->queues; i++) {
        afxdp_queue_close(&a->queue[i]);
    }
    g_clear_pointer(&a->segments, afxdp_segments_free);
}

/* With the segments that the domain has now. */
static bool open_queues(AfxdpPort *a, GError **error)
{
    if (a->domain) {
        a->segments = afxdp_segments_new(a->domain, &a->holder, a->queues,
                                         error);
        if (!a->segments) {
            return false;
        }
    }
    for (unsigned i = 0; i < a->queues; i++) {
        if (!afxdp_queue_open(&a->queue[i], &a->p->settings, &a->nic,
                              a->segments, i, error)) {
            return false;
        }
    }
    return true;
}

/* Its frames are the host's again. */
static void release(AfxdpPort *a)
{
    afxdp_nic_close(&a->nic);
    close_queues(a);
    a->attached = false;
}

static bool take(Port *p, GError **error)
{
    const PortSettings *s = &p->settings;
    AfxdpPort *a = p->impl;
    unsigned place_bytes = a->domain ? a->domain->settings.buffer_bytes
                                     : AFXDP_FRAME_BYTES;

    if (!afxdp_nic_open(&a->nic, p, place_bytes, error) ||
        !open_queues(a, error)) {
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

/* -- The domain ------------------------------------------------------------ */

/* Before a buffer of the new segment is given away. */
static void afxdp_grown(DomainHolder *h)
{
    AfxdpPort *a = (AfxdpPort *)h;
    g_autoptr(GError) error = NULL;

    if (!a->attached) {
        return;
    }
    port_quiesce(a->p);
    close_queues(a);
    if (!open_queues(a, &error)) {
        port_log(a->p, G_LOG_LEVEL_WARNING, "ifname=%s: the domain has grown, "
                 "and %s; link=down and link=up tries again",
                 a->p->settings.ifname, error->message);
        a->tried_ifindex = a->nic.ifindex;
        release(a);
    }
    set_queues(a->p);
    port_resume(a->p);
}

static bool join_domain(AfxdpPort *a, GError **error)
{
    Domain *d = domain_of_port(a->p, error);

    if (!d || !afxdp_segments_check(d, error) || !kick_prepare(error)) {
        return false;
    }
    a->holder.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->holder.wake_fd < 0) {
        SET_ERROR(error, "cannot make an eventfd: %s", g_strerror(errno));
        return false;
    }
    a->domain = d;
    a->holder.port = a->p->id;
    a->holder.grown = afxdp_grown;
    d->ports++;
    domain_add_holder(d, &a->holder);
    return true;
}

static void leave_domain(AfxdpPort *a)
{
    if (a->domain) {
        domain_remove_holder(a->domain, &a->holder);
        a->domain->ports--;
        close(a->holder.wake_fd);
    }
}

/* -- Life ------------------------------------------------------------------ */

static void afxdp_close(Port *p)
{
    AfxdpPort *a = p->impl;

    release(a);
    leave_domain(a);
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

    a->p = p;
    a->queues = queues;
    a->nic = AFXDP_NIC_NONE;
    for (unsigned i = 0; i < queues; i++) {
        lock_init(&a->queue[i].lock);
    }
    p->impl = a;
    if ((p->settings.domain && !join_domain(a, error)) || !take(p, error)) {
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
    return ((AfxdpPort *)p->impl)->queue[queue].wake_fd;
}

/* -- Workers --------------------------------------------------------------- */

static unsigned read_frames(AfxdpQueue *q, IngressBurst *b,
                            PortCounters *counters)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->ring.n; i++) {
        Frame *f = &b->frame[n];

        if (frame_read(f, &b->ring, &b->ring.chain[i], 0)) {
            f->vnet = (struct virtio_net_hdr) { 0 };
            if (q->segments) {
                afxdp_queue_name_buffer(q, &b->ring, i, f);
            }
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
    if (q->segments) {
        afxdp_queue_refill(q);
    }
    if (afxdp_queue_fetch(q, &b->ring, b->max) == 0) {
        return 0;
    }
    n = read_frames(q, b, counters);
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

    return ask && (afxdp_queue_has_rest(q) || afxdp_queue_has_some(q) ||
                   (q->segments && afxdp_queue_may_refill(q)));
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
