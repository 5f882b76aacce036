/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "port-dummy.h"

#include "offload.h"

typedef struct Dummy {
    pthread_mutex_t lock;
    GQueue frames;                  /* of GBytes; under lock */
} Dummy;

static void dummy_link(Port *p)
{
    p->egress_queues = p->settings.link_up;
}

static bool dummy_open(Port *p, GError **error)
{
    Dummy *d = g_new0(Dummy, 1);

    pthread_mutex_init(&d->lock, NULL);
    g_queue_init(&d->frames);
    p->impl = d;
    /* Whoever puts frames in may try anything. */
    p->offloads_allowed = p->settings.rtvnic ? 0
                                             : offload_allowed(UINT64_MAX);
    dummy_link(p);
    return true;
}

static void dummy_close(Port *p)
{
    Dummy *d = p->impl;

    g_queue_clear_full(&d->frames, (GDestroyNotify)g_bytes_unref);
    pthread_mutex_destroy(&d->lock);
    g_free(d);
}

static void dummy_broken(Port *p)
{
}

static void dummy_status(Port *p, PortStatus *status)
{
}

static int dummy_wake_fd(Port *p, unsigned queue)
{
    return -1;
}

static unsigned dummy_ingress(Port *p, unsigned queue, IngressBurst *b,
                              PortCounters *counters)
{
    return 0;
}

static void dummy_ingress_done(Port *p, unsigned queue, IngressBurst *b)
{
}

static bool dummy_ask_wake(Port *p, unsigned queue, bool ask)
{
    return false;
}

static GBytes *frame_bytes(const Frame *f)
{
    uint8_t *data = g_malloc(FRAME_VNET_BYTES + f->bytes);

    frame_put_vnet(data, f, 1, FRAME_VNET_BYTES);
    frame_gather(f, data + FRAME_VNET_BYTES);
    return g_bytes_new_take(data, FRAME_VNET_BYTES + f->bytes);
}

static void dummy_egress(Port *p, unsigned queue, const Frame *const *frames,
                         unsigned n, VringBurst *scratch,
                         PortCounters *counters)
{
    Dummy *d = p->impl;
    unsigned i;

    pthread_mutex_lock(&d->lock);
    for (i = 0; i < n && d->frames.length < DUMMY_MAX_FRAMES; i++) {
        g_queue_push_tail(&d->frames, frame_bytes(frames[i]));
        counter_add(&counters->egress_pkts, 1);
        counter_add(&counters->egress_bytes, frames[i]->bytes);
    }
    pthread_mutex_unlock(&d->lock);
    counter_add(&counters->drops[DROP_RX_FULL], n - i);
}

GBytes *port_dummy_read(Port *p)
{
    Dummy *d = p->impl;
    GBytes *frame;

    pthread_mutex_lock(&d->lock);
    frame = g_queue_pop_head(&d->frames);
    pthread_mutex_unlock(&d->lock);
    return frame;
}

const PortOps port_dummy_ops = {
    .type = "dummy",
    .open = dummy_open,
    .close = dummy_close,
    .link = dummy_link,
    .broken = dummy_broken,
    .status = dummy_status,
    .wake_fd = dummy_wake_fd,
    .ingress = dummy_ingress,
    .ingress_done = dummy_ingress_done,
    .ask_wake = dummy_ask_wake,
    .egress = dummy_egress,
};
