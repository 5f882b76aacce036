/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "net/edf/clock.h"
#include "net/edf/sched.h"
#include "net/edf/trace.h"

/*
 * Frames released per turn of the main loop where nothing paces them, so that
 * a guest that sends without end does not keep the loop for itself.
 */
#define RELEASES_PER_TURN 64

EdfSchedList edf_scheds = QLIST_HEAD_INITIALIZER(edf_scheds);

static const char *sched_name(const EdfSched *s)
{
    return s->id ?: "(private)";
}

/* -- Release ----------------------------------------------------------------- */

static void sched_wake_at(EdfSched *s, uint64_t at_ns)
{
    s->wake_ns = MAX(at_ns, 1);
    timer_mod_ns(s->timer, s->wake_ns);
}

static void sched_plan(EdfSched *s)
{
    if (s->releasing || s->wake_ns || !runstate_is_running() ||
        edf_queue_is_idle(&s->queue)) {
        return;
    }
    sched_wake_at(s, MAX(rtnet_clock_ns(), s->pacer.next_ns));
}

/* Call before a frame can be released again: idle time earns no credit. */
static void sched_end_idle(EdfSched *s)
{
    if (!s->releasing && edf_queue_is_idle(&s->queue)) {
        edf_pacer_resume(&s->pacer, rtnet_clock_ns());
    }
}

static void sched_release_next(EdfSched *s, uint64_t now_ns)
{
    EdfSource *src;
    EdfItem *item = edf_queue_pop(&s->queue, now_ns, &src);
    EdfFrame *frame = container_of(item, EdfFrame, item);
    EdfSchedPort *port = container_of(src, EdfSchedPort, src);
    uint32_t wire_bytes = frame->tx.wire_bytes;
    bool paced = frame->paced;

    trace_edf_sched_release(sched_name(s), port->id, frame->tx.leave_bytes,
                            now_ns - frame->tx.arrival_ns);
    port->queued_bytes -= frame->tx.leave_bytes;
    frame->paced = true;
    if (port->release(port, frame, now_ns) && !paced) {
        edf_pacer_charge(&s->pacer, now_ns, wire_bytes);
        s->sent_pkts++;
        s->sent_wire_bytes += wire_bytes;
    }
}

static void sched_run(void *opaque)
{
    EdfSched *s = opaque;
    uint64_t now_ns = rtnet_clock_ns();
    uint64_t planned_ns = s->wake_ns;
    int left = RELEASES_PER_TURN;

    s->wake_ns = 0;
    if (!runstate_is_running()) {
        return;
    }
    rt_hist_add(&s->wake_late, now_ns > planned_ns ? now_ns - planned_ns : 0);

    s->releasing = true;
    while (left-- && !edf_queue_is_idle(&s->queue)) {
        now_ns = rtnet_clock_ns();
        if (now_ns < s->pacer.next_ns) {
            break;
        }
        sched_release_next(s, now_ns);
    }
    s->releasing = false;
    sched_plan(s);
}

static void sched_vm_change(void *opaque, bool running, RunState state)
{
    EdfSched *s = opaque;

    if (running) {
        s->stopped_ns = 0;
        sched_plan(s);
    } else {
        s->stopped_ns = rtnet_clock_ns();
        timer_del(s->timer);
        s->wake_ns = 0;
    }
}

/* -- Life -------------------------------------------------------------------- */

static EdfQueuePolicy queue_policy(EdfPolicy policy)
{
    switch (policy) {
    case EDF_POLICY_FIFO:
        return EDF_QUEUE_FIFO;
    case EDF_POLICY_STRICT:
        return EDF_QUEUE_STRICT;
    default:
        return EDF_QUEUE_EDF;
    }
}

EdfSched *edf_sched_new(const char *id, const EdfSchedConfig *cfg)
{
    EdfSched *s = g_new0(EdfSched, 1);

    s->id = g_strdup(id);
    s->cfg = *cfg;
    QLIST_INIT(&s->ports);
    edf_queue_init(&s->queue, queue_policy(cfg->policy));
    edf_pacer_init(&s->pacer, cfg->rate_bps, 0);
    s->timer = timer_new_ns(rtnet_clock_type(), sched_run, s);
    s->vm_change = qemu_add_vm_change_state_handler(sched_vm_change, s);
    if (id) {
        QLIST_INSERT_HEAD(&edf_scheds, s, next);
    }
    return s;
}

void edf_sched_free(EdfSched *s)
{
    if (!s) {
        return;
    }
    assert(QLIST_EMPTY(&s->ports));
    if (s->id) {
        QLIST_REMOVE(s, next);
    }
    qemu_del_vm_change_state_handler(s->vm_change);
    timer_free(s->timer);
    edf_queue_destroy(&s->queue);
    g_free(s->id);
    g_free(s);
}

/* -- Admission --------------------------------------------------------------- */

typedef struct ContractSet {
    EdfContract *contracts;     /* to be freed with g_free() */
    size_t n;
    size_t index;               /* of the port asked for */
    uint32_t blocking_bytes;    /* longest frame of a neighbour */
} ContractSet;

/*
 * What the ports of @s declared, and where @of stands in it.  A guest may send
 * longer frames than it declared, so any neighbour's longest frame may be in
 * the way, admitted or not.
 */
static void contract_set_init(ContractSet *set, const EdfSched *s,
                              const EdfSchedPort *of)
{
    EdfSchedPort *port = QLIST_FIRST(&s->ports);
    bool neighbours = port && QLIST_NEXT(port, next);

    QLIST_FOREACH(port, &s->ports, next) {
        if (neighbours) {
            set->blocking_bytes = MAX(set->blocking_bytes,
                RT_MAX_WIRE_BYTES(port->ep.cfg.link_mtu));
        }
        if (port->ep.band != EDF_BAND_ADMITTED) {
            continue;
        }
        if (port == of) {
            set->index = set->n;
        }
        set->contracts = g_renew(EdfContract, set->contracts, set->n + 1);
        set->contracts[set->n++] = port->ep.contract;
    }
}

static EdfVerdict sched_check(const EdfSched *s)
{
    ContractSet set = { 0 };
    EdfVerdict v = { 0 };

    contract_set_init(&set, s, NULL);
    if (set.n) {
        v = edf_admission_check(set.contracts, set.n, s->cfg.rate_bps,
                                set.blocking_bytes, s->cfg.jitter_ns);
    }
    g_free(set.contracts);
    return v;
}

uint32_t edf_sched_promised_ppm(EdfSched *s)
{
    return s->cfg.rate_bps ? sched_check(s).load_ppm : 0;
}

uint64_t edf_sched_promised_delay_ns(const EdfSchedPort *port)
{
    const EdfSched *s = port->sched;
    ContractSet set = { 0 };
    uint64_t bound_ns;

    contract_set_init(&set, s, port);
    bound_ns = edf_admission_delay_bound_ns(set.contracts, set.n, set.index,
                                            s->cfg.rate_bps,
                                            set.blocking_bytes,
                                            s->cfg.jitter_ns);
    g_free(set.contracts);
    return bound_ns;
}

/* @what: what would break the promises, for the message. */
static bool sched_admit(const EdfSched *s, const char *what, Error **errp)
{
    EdfVerdict v = sched_check(s);

    switch (v.refusal) {
    case EDF_ADMITTED:
        return true;
    case EDF_REFUSED_LOAD:
        error_setg(errp, "edf-scheduler '%s' cannot %s: all declared "
                   "periods together need %u.%02u %% of %" PRIu64 " bit/s, "
                   "%u.%02u %% too much",
                   s->id, what, v.load_ppm / 10000, v.load_ppm / 100 % 100,
                   s->cfg.rate_bps,
                   (v.load_ppm - EDF_ADMISSION_MAX_LOAD_PPM) / 10000,
                   (v.load_ppm - EDF_ADMISSION_MAX_LOAD_PPM) / 100 % 100);
        break;
    case EDF_REFUSED_DEADLINE:
        error_setg(errp, "edf-scheduler '%s' cannot %s: in the worst "
                   "case %" PRIu64 " us of sending fall into the first %" PRIu64
                   " us, %" PRIu64 " us too much",
                   s->id, what, DIV_ROUND_UP(v.demand_ns, 1000),
                   v.at_ns / 1000, DIV_ROUND_UP(v.demand_ns - v.at_ns, 1000));
        break;
    }
    error_append_hint(errp, "Raise deadline-us, period-us or rate-bps, or "
                      "lower max-frame-bytes or the link-mtu of the others.\n");
    return false;
}

static uint32_t max_wire_bytes(const EdfSched *s)
{
    uint32_t max_bytes = 0;
    EdfSchedPort *port;

    QLIST_FOREACH(port, &s->ports, next) {
        max_bytes = MAX(max_bytes, RT_MAX_WIRE_BYTES(port->ep.cfg.link_mtu));
    }
    return max_bytes;
}

bool edf_sched_attach(EdfSched *s, EdfSchedPort *port, Error **errp)
{
    ERRP_GUARD();
    g_autofree char *what = g_strdup_printf("admit '%s'", port->id);

    if (port->ep.band == EDF_BAND_ADMITTED && !s->cfg.rate_bps) {
        error_setg(errp, "'%s' declares period-us, but nothing can be promised "
                   "%s; %s, or leave out period-us", port->id,
                   s->id ? "without rate-bps" : "without scheduler",
                   s->id ? "give its edf-scheduler the rate of the uplink"
                         : "add scheduler=ID of an edf-scheduler");
        return false;
    }

    QLIST_INSERT_HEAD(&s->ports, port, next);
    if (!sched_admit(s, what, errp)) {
        QLIST_REMOVE(port, next);
        return false;
    }

    port->sched = s;
    port->queued_bytes = 0;
    edf_queue_attach(&s->queue, &port->src);
    if (s->cfg.rate_bps) {
        s->pacer.credit_ns = edf_wire_time_ns(max_wire_bytes(s),
                                              s->cfg.rate_bps);
    }
    return true;
}

void edf_frames_free(EdfItem *item)
{
    while (item) {
        EdfFrame *frame = container_of(item, EdfFrame, item);

        item = item->next;
        g_free(frame);
    }
}

void edf_sched_detach(EdfSchedPort *port)
{
    edf_frames_free(edf_queue_detach(&port->sched->queue, &port->src));
    QLIST_REMOVE(port, next);
    port->sched = NULL;
}

/* -- Changes while it runs --------------------------------------------------- */

bool edf_sched_set_rate(EdfSched *s, uint64_t rate_bps, Error **errp)
{
    ERRP_GUARD();
    g_autofree char *what =
        g_strdup_printf("keep its promises at %" PRIu64 " bit/s", rate_bps);
    uint64_t old_bps = s->cfg.rate_bps;

    s->cfg.rate_bps = rate_bps;
    if (!sched_admit(s, what, errp)) {
        s->cfg.rate_bps = old_bps;
        return false;
    }
    edf_pacer_set_rate(&s->pacer, rate_bps, max_wire_bytes(s),
                       rtnet_clock_ns());
    timer_del(s->timer);
    s->wake_ns = 0;
    sched_plan(s);
    return true;
}

bool edf_sched_set_deadline(EdfSchedPort *port, uint64_t deadline_ns,
                            Error **errp)
{
    ERRP_GUARD();
    g_autofree char *what =
        g_strdup_printf("promise '%s' %" PRIu64 " us", port->id,
                        deadline_ns / SCALE_US);
    uint64_t old_ns = port->ep.cfg.deadline_ns;

    rt_endpoint_set_deadline(&port->ep, deadline_ns);
    if (!sched_admit(port->sched, what, errp)) {
        rt_endpoint_set_deadline(&port->ep, old_ns);
        return false;
    }
    return true;
}

void edf_sched_reset_stats(EdfSched *s)
{
    s->sent_pkts = 0;
    s->sent_wire_bytes = 0;
    s->wake_late = (RtHist) { 0 };
}

/* -- The packet's way -------------------------------------------------------- */

bool edf_sched_has_room(const EdfSchedPort *port)
{
    const EdfSchedConfig *cfg = &port->sched->cfg;

    return port->src.len_pkts < cfg->queue_pkts &&
           port->queued_bytes < cfg->queue_bytes;
}

void edf_sched_enqueue(EdfSchedPort *port, EdfFrame *frame)
{
    EdfSched *s = port->sched;

    trace_edf_sched_enqueue(sched_name(s), port->id, frame->tx.leave_bytes,
                            frame->tx.band, frame->tx.turn.order_ns);
    sched_end_idle(s);
    port->queued_bytes += frame->tx.leave_bytes;
    frame->paced = false;
    frame->departed = false;
    edf_queue_push(&s->queue, &port->src, &frame->item, frame->tx.band,
                   frame->tx.turn);
    sched_plan(s);
}

void edf_sched_suspend(EdfSchedPort *port)
{
    edf_queue_block(&port->sched->queue, &port->src);
}

void edf_sched_resume(EdfSchedPort *port)
{
    sched_end_idle(port->sched);
    edf_queue_unblock(&port->sched->queue, &port->src);
    sched_plan(port->sched);
}

void edf_sched_requeue(EdfSchedPort *port, EdfFrame *frame)
{
    EdfSched *s = port->sched;

    sched_end_idle(s);
    port->queued_bytes += frame->tx.leave_bytes;
    edf_queue_unpop(&s->queue, &port->src, &frame->item);
    sched_plan(s);
}

void edf_sched_purge(EdfSchedPort *port)
{
    EdfQueue *queue = &port->sched->queue;

    edf_frames_free(edf_queue_detach(queue, &port->src));
    port->queued_bytes = 0;
    edf_queue_attach(queue, &port->src);
}
