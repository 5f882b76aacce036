/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query-rtnet and info rtnet: what schedulers and ports have counted; and
 * rtnet-reset-stats.
 */
#include "qemu/osdep.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-rtnet.h"
#include "qapi/type-helpers.h"
#include "net/edf/port.h"

/* -- query-rtnet ----------------------------------------------------------------- */

static RtnetHistogram *query_hist(const RtHist *h)
{
    RtnetHistogram *info = g_new0(RtnetHistogram, 1);
    RtnetBucketList **tail = &info->buckets;

    info->count = h->count;
    info->p50_ns = rt_hist_percentile_ns(h, 500000);
    info->p99_ns = rt_hist_percentile_ns(h, 990000);
    info->p999_ns = rt_hist_percentile_ns(h, 999000);
    info->max_ns = h->max_ns;
    for (unsigned i = 0; i < RT_HIST_BUCKETS; i++) {
        if (h->buckets[i]) {
            RtnetBucket *b = g_new0(RtnetBucket, 1);

            b->le_ns = rt_hist_bucket_top_ns(i);
            b->count = h->buckets[i];
            QAPI_LIST_APPEND(tail, b);
        }
    }
    return info;
}

static RtnetCounter *query_counter(const char *name, uint64_t value,
                                   const char *meaning)
{
    RtnetCounter *c = g_new0(RtnetCounter, 1);

    c->name = g_strdup(name);
    c->value = value;
    c->meaning = g_strdup(meaning);
    return c;
}

#define APPEND_COUNTER(field, name, text) \
    QAPI_LIST_APPEND(tail, query_counter(name, n->field, text));

static RtnetCounterList *query_counters(const RtCounters *n)
{
    RtnetCounterList *list = NULL, **tail = &list;

    RT_COUNTERS(APPEND_COUNTER)
    return list;
}

static RtnetCounterList *query_drops(const RtCounters *n)
{
    RtnetCounterList *list = NULL, **tail = &list;

    RT_DROPS(APPEND_COUNTER)
    return list;
}

static RtnetBand query_band(EdfBand band)
{
    switch (band) {
    case EDF_BAND_ADMITTED:
        return RTNET_BAND_ADMITTED;
    case EDF_BAND_DEADLINE:
        return RTNET_BAND_DEADLINE;
    default:
        return RTNET_BAND_BEST_EFFORT;
    }
}

static RtnetPort *query_port(const EdfPort *port)
{
    const RtEndpoint *ep = &port->sp.ep;
    NetClientState *nic = edf_port_nic(port);
    RtnetPort *info = g_new0(RtnetPort, 1);

    info->id = g_strdup(port->id);
    info->rtvnic = ep->cfg.rtvnic;
    info->netdev = g_strdup(port->netdev_id);
    info->scheduler = g_strdup(port->sp.sched->id);
    info->band = query_band(ep->band);
    if (nic) {
        info->mac = edf_mac_text(qemu_get_nic(nic)->conf->macaddr.a);
    }
    info->deadline_us = ep->cfg.deadline_ns / SCALE_US;
    info->period_us = ep->cfg.period_ns / SCALE_US;
    info->queued = port->sp.src.len_pkts;
    info->counters = query_counters(&ep->n);
    info->drops = query_drops(&ep->n);
    info->queueing_delay = query_hist(&ep->queueing);
    info->transit_delay = query_hist(&ep->transit);
    if (ep->band == EDF_BAND_ADMITTED) {
        info->has_promised_delay_us = true;
        info->promised_delay_us =
            DIV_ROUND_UP(edf_sched_promised_delay_ns(&port->sp), SCALE_US);
    }
    return info;
}

static RtnetScheduler *query_sched(EdfSched *s)
{
    RtnetScheduler *info = g_new0(RtnetScheduler, 1);

    info->id = g_strdup(s->id);
    info->policy = s->cfg.policy;
    info->has_rate_bps = s->cfg.rate_bps;
    info->rate_bps = s->cfg.rate_bps;
    info->promised_ppm = edf_sched_promised_ppm(s);
    info->host_jitter_ns = s->cfg.jitter_ns;
    info->queued = s->queue.len_pkts;
    info->sent = s->sent_pkts;
    info->sent_wire_bytes = s->sent_wire_bytes;
    info->wake_late = query_hist(&s->wake_late);
    return info;
}

RtnetInfo *qmp_query_rtnet(Error **errp)
{
    RtnetInfo *info = g_new0(RtnetInfo, 1);
    EdfSched *s;
    EdfPort *port;

    QLIST_FOREACH(s, &edf_scheds, next) {
        QAPI_LIST_PREPEND(info->schedulers, query_sched(s));
    }
    QLIST_FOREACH(port, &edf_ports, next) {
        QAPI_LIST_PREPEND(info->ports, query_port(port));
    }
    return info;
}

/* -- rtnet-reset-stats --------------------------------------------------------- */

void qmp_rtnet_reset_stats(const char *id, Error **errp)
{
    bool found = !id;
    EdfSched *s;
    EdfPort *port;

    QLIST_FOREACH(s, &edf_scheds, next) {
        if (!id || !strcmp(s->id, id)) {
            edf_sched_reset_stats(s);
            found = true;
        }
    }
    QLIST_FOREACH(port, &edf_ports, next) {
        if (!id || !strcmp(port->id, id)) {
            rt_endpoint_reset_stats(&port->sp.ep);
            found = true;
        }
    }
    if (!found) {
        error_setg(errp, "no edf-scheduler, edf-port or rtvnic '%s'; "
                   "query-rtnet lists them", id);
    }
}

/* -- info rtnet -------------------------------------------------------------------- */

static void print_duration(GString *out, const char *label, uint64_t ns)
{
    if (ns < 10 * SCALE_MS) {
        g_string_append_printf(out, "%s %.1f us", label, ns / 1e3);
    } else if (ns < 10 * NANOSECONDS_PER_SECOND) {
        g_string_append_printf(out, "%s %.1f ms", label, ns / 1e6);
    } else {
        g_string_append_printf(out, "%s %.1f s", label, ns / 1e9);
    }
}

static void print_hist(GString *out, const char *label, const RtnetHistogram *h)
{
    if (h->count) {
        g_string_append_printf(out, "  %-10s ", label);
        print_duration(out, "p50", h->p50_ns);
        print_duration(out, ", p99", h->p99_ns);
        print_duration(out, ", p99.9", h->p999_ns);
        print_duration(out, ", max", h->max_ns);
        g_string_append_c(out, '\n');
    }
}

/* Those that are not zero, as many to a line as 80 columns hold. */
static void print_counters(GString *out, const char *label,
                           const RtnetCounterList *list)
{
    size_t line_start = out->len;
    bool any = false;

    for (; list; list = list->next) {
        g_autofree char *item = NULL;

        if (!list->value->value) {
            continue;
        }
        item = g_strdup_printf("%s %" PRIu64, list->value->name,
                               list->value->value);
        if (any && out->len - line_start + strlen(item) + 2 > 79) {
            g_string_append(out, ",\n");
            line_start = out->len;
            g_string_append_printf(out, "  %-10s %s", "", item);
        } else if (any) {
            g_string_append_printf(out, ", %s", item);
        } else {
            g_string_append_printf(out, "  %-10s %s", label, item);
        }
        any = true;
    }
    if (any) {
        g_string_append_c(out, '\n');
    }
}

static void print_sched(GString *out, const RtnetScheduler *s)
{
    g_string_append_printf(out, "%s: edf-scheduler, policy %s, ", s->id,
                           EdfPolicy_str(s->policy));
    if (s->has_rate_bps) {
        g_string_append_printf(out, "%.3f Mbit/s, %u.%01u %% promised\n",
                               s->rate_bps / 1e6, s->promised_ppm / 10000,
                               s->promised_ppm / 1000 % 10);
    } else {
        g_string_append(out, "not paced\n");
    }
    g_string_append_printf(out, "  %-10s %u queued, %" PRIu64 " sent, %" PRIu64
                           " bytes on the wire\n", "frames", s->queued, s->sent,
                           s->sent_wire_bytes);
    print_hist(out, "wake late", s->wake_late);
}

static void print_port(GString *out, const RtnetPort *p)
{
    g_string_append_printf(out, "%s: %s, %s, NIC %s\n", p->id,
                           p->rtvnic ? "rtvnic" : "edf-port",
                           RtnetBand_str(p->band), p->mac ?: "not plugged in");
    g_string_append_printf(out, "  %-10s netdev %s, scheduler %s, %u queued\n",
                           "link", p->netdev, p->scheduler ?: "none",
                           p->queued);
    if (p->deadline_us) {
        g_string_append_printf(out, "  %-10s deadline %u us", "contract",
                               p->deadline_us);
        if (p->period_us) {
            g_string_append_printf(out, ", period %u us", p->period_us);
        }
        if (p->has_promised_delay_us) {
            g_string_append_printf(out, ", delay at most %u us",
                                   p->promised_delay_us);
        }
        g_string_append_c(out, '\n');
    }
    print_counters(out, "frames", p->counters);
    print_counters(out, "dropped", p->drops);
    print_hist(out, "queueing", p->queueing_delay);
    print_hist(out, "transit", p->transit_delay);
}

static HumanReadableText *info_rtnet(Error **errp)
{
    g_autoptr(RtnetInfo) info = qmp_query_rtnet(errp);
    g_autoptr(GString) out = g_string_new("");

    for (RtnetSchedulerList *s = info->schedulers; s; s = s->next) {
        print_sched(out, s->value);
    }
    for (RtnetPortList *p = info->ports; p; p = p->next) {
        print_port(out, p->value);
    }
    if (!out->len) {
        g_string_append(out, "no edf-scheduler, edf-port or rtvnic\n");
    }
    return human_readable_text_from_str(out);
}

static void rtnet_monitor_register(void)
{
    monitor_register_hmp_info_hrt("rtnet", info_rtnet);
}

type_init(rtnet_monitor_register)
