/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "clock.h"
#include "deliver.h"
#include "rt-port.h"
#include "schedule.h"

void schedule_put(Forwarder *fw, const Port *in, Port *out,
                  const Frame *const *frames, unsigned n)
{
    uint64_t *drops = fw->counters[out->id].drops;
    bool is_server = fw->self && out->server == fw->self;
    /* An rtvnic looks at all that it is sent. */
    bool may_pass = is_server && !out->settings.rtvnic && !out->tenant_link;
    unsigned pass = 0;

    if (egress_queue_put(out->queue, in->id, frames, n, clock_now_ns(),
                         may_pass ? &pass : NULL, drops) && !is_server) {
        sleeper_wake(out->server);
    }
    if (pass > 0) {
        deliver(fw, out, frames, pass);
    }
}

/* What is done to a frame as it leaves; false: it does not. */
static bool finish(Forwarder *fw, Port *out, QueuedFrame *qf, uint64_t now_ns)
{
    if (qf->f.beside && !rt_depart(fw, out, qf, now_ns)) {
        return false;
    }
    if (out->settings.rtvnic) {
        rt_arrive(fw, out, qf, now_ns);
    }
    return true;
}

/* Frames that have nothing to wait for any more. */
static void leave(Forwarder *fw, Port *out, QueuedFrame *const *queued,
                  unsigned n, uint64_t now_ns)
{
    const Frame *frames[EGRESS_BURST];
    unsigned leaving = 0;

    for (unsigned i = 0; i < n; i++) {
        if (finish(fw, out, queued[i], now_ns)) {
            frames[leaving++] = &queued[i]->f;
        }
    }
    if (leaving > 0) {
        deliver(fw, out, frames, leaving);
    }
}

unsigned schedule_run(Forwarder *fw, Port *out, uint64_t now_ns)
{
    QueuedFrame *queued[EGRESS_BURST];
    unsigned n = egress_queue_take(out->queue, now_ns, queued, EGRESS_BURST);

    if (n == 0) {
        return 0;
    }
    if (!out->tenant_link) {
        leave(fw, out, queued, n, now_ns);
        egress_queue_done(out->queue, queued, n);
    } else if (tenant_link_put(out->tenant_link, out->id, queued, n, now_ns) &&
               out->tenant_server != fw->self) {
        sleeper_wake(out->tenant_server);
    }
    return n;
}

unsigned schedule_run_tenant(Forwarder *fw, TenantLink *link,
                             uint64_t now_ns)
{
    QueuedFrame *queued[EGRESS_BURST];
    unsigned n = tenant_link_take(link, now_ns, queued, EGRESS_BURST), end;

    /* Those of one port together. */
    for (unsigned i = 0; i < n; i = end) {
        unsigned id = queued[i]->item.source;
        Port *out = datapath_port(fw->dp, id);

        for (end = i + 1; end < n && queued[end]->item.source == id; end++) {
        }
        if (out && out->egress_queues > 0) {
            leave(fw, out, queued + i, end - i, now_ns);
        } else {
            counter_add(&fw->counters[id].drops[DROP_DOWN], end - i);
        }
        egress_queue_done(queued[i]->queue, queued + i, end - i);
    }
    return n;
}
