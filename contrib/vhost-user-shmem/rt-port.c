/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "clock.h"
#include "lock.h"
#include "rt-port.h"

/* -- The control thread ---------------------------------------------------- */

bool rt_port_is(const PortSettings *s)
{
    return s->rtvnic || s->trust_rtvnic;
}

RtEndpointConfig rt_port_config(const PortSettings *s)
{
    return (RtEndpointConfig) {
        .deadline_ns = s->deadline_us * UINT64_C(1000),
        .period_ns = s->period_us * UINT64_C(1000),
        .max_frame_bytes = s->max_frame_bytes,
        .link_mtu = s->link_mtu,
        .drop_late = s->drop_late,
        .rtvnic = s->rtvnic,
        .trailer = s->trailer,
        .dscp = s->dscp,
        .pcp = s->pcp,
        .source_id = s->source_id,
        .max_skew_ns = s->max_skew_us * UINT64_C(1000),
    };
}

RtPort *rt_port_new(const PortSettings *s)
{
    RtPort *rt = g_new0(RtPort, 1);
    RtEndpointConfig cfg = rt_port_config(s);

    lock_init(&rt->lock);
    rt_endpoint_init(&rt->ep, &cfg);
    return rt;
}

void rt_port_free(RtPort *rt)
{
    if (rt) {
        pthread_mutex_destroy(&rt->lock);
        g_free(rt);
    }
}

void rt_port_set(RtPort *rt, const PortSettings *s)
{
    pthread_mutex_lock(&rt->lock);
    rt->ep.cfg = rt_port_config(s);
    rt_endpoint_set_deadline(&rt->ep, rt->ep.cfg.deadline_ns);
    pthread_mutex_unlock(&rt->lock);
}

void rt_port_show(RtPort *rt, RtEndpoint *ep)
{
    pthread_mutex_lock(&rt->lock);
    *ep = rt->ep;
    pthread_mutex_unlock(&rt->lock);
}

void rt_port_take_misses(RtPort *rt, RtMisses *misses)
{
    pthread_mutex_lock(&rt->lock);
    *misses = rt->misses;
    rt->misses.missed_pkts = 0;
    pthread_mutex_unlock(&rt->lock);
}

void rt_port_reset(RtPort *rt)
{
    pthread_mutex_lock(&rt->lock);
    rt_endpoint_reset_stats(&rt->ep);
    pthread_mutex_unlock(&rt->lock);
}

/* -- In -------------------------------------------------------------------- */

/* From the guest of an rtvnic; false: dropped and counted. */
static bool accept_own(RtPort *rt, Frame *f, RtBeside *beside,
                       const Port *in, uint64_t now_ns, uint64_t now_tai_ns)
{
    if (rt->ep.cfg.source_id == 0) {
        rt->ep.cfg.source_id = rt_source_id_from_mac(f->head + 6);
    }
    /* All that it reads and writes lies in the copied head: headers, and
     * padding up to the shortest length. */
    if (!rt_tx_accept(&rt->ep, f->head, f->bytes, now_ns, now_tai_ns,
                      &beside->tx)) {
        return false;
    }
    f->bytes = beside->tx.frame_bytes;
    f->head_bytes = MIN(f->bytes, FRAME_HEAD_BYTES);
    /* Its head is not that of the buffer any more. */
    f->buffer = NULL;
    beside->port = in->id;
    beside->serial = in->serial;
    beside->lane = 0;
    beside->counted = true;
    f->beside = beside;
    return true;
}

/*
 * From a trusted port: T_s + T_d, by our clock.  What claims to come from the
 * future is due as if it came now.
 */
static void accept_trusted(Frame *f, RtBeside *beside, uint64_t now_ns,
                           uint64_t now_tai_ns)
{
    uint8_t last[RT_TRAILER_BYTES];
    uint64_t due_tai_ns;
    RtTrailer t;
    RtFrame l3;

    if (f->bytes < RT_TRAILER_BYTES || !offload_is_plain(f)) {
        return;
    }
    frame_copy_end(f, last, sizeof(last));
    if (!rt_frame_parse(&l3, f->head, f->bytes) ||
        rt_trailer_check(&l3, last, f->bytes) != RT_TRAILER_VALID) {
        return;
    }
    rt_trailer_read(&t, last);
    if (t.deadline_ns == 0) {
        return;
    }
    due_tai_ns = edf_add_saturated(MIN(t.sent_tai_ns, now_tai_ns),
                                   t.deadline_ns);
    *beside = (RtBeside) {
        .tx = {
            .band = EDF_BAND_DEADLINE,
            .arrival_ns = now_ns,
            .due_ns = due_tai_ns > now_tai_ns
                      ? now_ns + (due_tai_ns - now_tai_ns)
                      : now_ns - MIN(now_ns, now_tai_ns - due_tai_ns),
        },
        .lane = (t.source_id * 0x9e3779b1u) >> 28,
    };
    beside->tx.turn.order_ns = beside->tx.due_ns;
    f->beside = beside;
}

G_STATIC_ASSERT(SHAPER_LANES == 1 << (32 - 28));

void rt_accept(Forwarder *fw, const Port *in)
{
    uint64_t now_ns = clock_now_ns(), now_tai_ns = clock_now_tai_ns();
    IngressBurst *b = &fw->burst;
    RtPort *rt = in->rt;
    unsigned n = 0;

    pthread_mutex_lock(&rt->lock);
    for (unsigned i = 0; i < b->n; i++) {
        Frame *f = &b->frame[i];
        RtBeside *beside = &fw->beside[n];

        /* What asks for something will be dropped: an rtvnic offers no
         * offloads. */
        if (rt->ep.cfg.rtvnic &&
            (offload_is_plain(f) || offload_check(f, in->offloads_allowed)) &&
            !accept_own(rt, f, beside, in, now_ns, now_tai_ns)) {
            counter_add(&fw->counters[in->id].drops[
                            f->bytes < RT_ETH_ZLEN ? DROP_RUNT : DROP_MTU],
                        1);
            continue;
        }
        if (in->settings.trust_rtvnic && !rt->ep.cfg.rtvnic) {
            accept_trusted(f, beside, now_ns, now_tai_ns);
        }
        if (n < i) {
            b->frame[n] = *f;
        }
        n++;
    }
    pthread_mutex_unlock(&rt->lock);
    b->n = n;
}

/* -- Out ------------------------------------------------------------------- */

/* The port whose endpoint counts a frame, if it is still there. */
static RtPort *source_of(const Forwarder *fw, const RtBeside *beside)
{
    const Port *p = beside->counted ? datapath_port(fw->dp, beside->port)
                                    : NULL;

    return p && p->serial == beside->serial ? p->rt : NULL;
}

bool rt_depart(Forwarder *fw, const Port *out, QueuedFrame *qf,
               uint64_t now_ns)
{
    const RtBeside *beside = qf->f.beside;
    RtPort *rt = source_of(fw, beside);
    RtTx tx = beside->tx;
    bool sent;

    if (!rt) {
        return true;
    }
    tx.has_trailer &= out->settings.uplink;
    pthread_mutex_lock(&rt->lock);
    sent = rt_tx_depart(&rt->ep, queued_frame_data(qf), &tx, now_ns,
                        __atomic_load_n(&fw->dp->tai_synchronised,
                                        __ATOMIC_RELAXED));
    if (sent) {
        rt_tx_sent(&rt->ep, &tx);
    }
    pthread_mutex_unlock(&rt->lock);
    if (!sent) {
        counter_add(&fw->counters[out->id].drops[DROP_LATE], 1);
    } else if (tx.has_trailer) {
        queued_frame_set_bytes(qf, tx.leave_bytes);
    }
    return sent;
}

static void note_miss(RtPort *rt, const RtMiss *miss, const uint8_t *frame,
                      size_t bytes)
{
    rt->misses.missed_pkts++;
    rt->misses.last = *miss;
    memcpy(rt->misses.head, frame, MIN(bytes, RT_MISS_HEAD_BYTES));
}

/* From where trailers come: the outside, or a trusted port.  Others may send
 * what looks like one, and it is payload. */
static bool is_believed(const Forwarder *fw, const QueuedFrame *qf)
{
    const Port *in = datapath_port(fw->dp, qf->origin);

    return in && (in->settings.uplink || in->settings.trust_rtvnic);
}

static void count_received(RtPort *rt, uint32_t bytes)
{
    pthread_mutex_lock(&rt->lock);
    rt->ep.n.received_pkts++;
    rt->ep.n.received_bytes += bytes;
    pthread_mutex_unlock(&rt->lock);
}

void rt_arrive(Forwarder *fw, const Port *out, QueuedFrame *qf,
               uint64_t now_ns)
{
    const RtBeside *beside = qf->f.beside;
    uint8_t *data = queued_frame_data(qf);
    RtPort *rt = out->rt;
    bool missed = false;
    uint64_t transit_ns;
    RtMiss miss;
    size_t bytes;

    if (!offload_is_plain(&qf->f)) {
        return;
    }
    if (!(beside && beside->tx.has_trailer) && !is_believed(fw, qf)) {
        count_received(rt, qf->f.bytes);
        return;
    }
    pthread_mutex_lock(&rt->lock);
    if (beside && beside->tx.has_trailer) {
        /* It may have come since the clock was read. */
        transit_ns = now_ns > beside->tx.arrival_ns
                     ? now_ns - beside->tx.arrival_ns : 0;
        bytes = rt_rx_beside(&rt->ep, data, qf->f.bytes, &beside->tx.trailer,
                             transit_ns, &missed, &miss);
    } else {
        bytes = rt_rx(&rt->ep, data, qf->f.bytes, clock_now_tai_ns(), &missed,
                      &miss);
    }
    if (missed) {
        note_miss(rt, &miss, data, bytes);
    }
    pthread_mutex_unlock(&rt->lock);
    queued_frame_set_bytes(qf, bytes);
}

void rt_passed(const Port *in, const Frame *const *frames, unsigned n,
               uint64_t now_ns)
{
    RtPort *rt = in->rt;

    pthread_mutex_lock(&rt->lock);
    for (unsigned i = 0; i < n; i++) {
        if (frames[i]->beside && frames[i]->beside->counted) {
            RtTx tx = frames[i]->beside->tx;

            tx.depart_ns = now_ns;
            rt_tx_sent(&rt->ep, &tx);
        }
    }
    pthread_mutex_unlock(&rt->lock);
}
