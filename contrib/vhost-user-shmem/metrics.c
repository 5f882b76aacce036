/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All samples of a metric stand together, so everything is looked up first and
 * then written a metric at a time.
 *
 * Nothing needs to be escaped: port_name_check() lets no character into the
 * name of a port, tenant or domain that means something here, and other labels
 * are ours.  Numbers are whole, or written in two whole parts: a locale has no
 * say.
 */
#include <inttypes.h>
#include <string.h>

#include "admission.h"
#include "metrics.h"
#include "netvm/domain.h"
#include "rpc-methods-impl.h"
#include "rt-port.h"

typedef struct PortShown {
    const ConfigPort *port;             /* with the contract of its NIC */
    PortStatus status;
    PortCounters counters;
    bool has_queue;
    unsigned waiting_pkts;
    RtEndpoint *ep;                     /* NULL: deadlines are nothing to it */
} PortShown;

typedef struct Shown {
    GString *text;
    Switch *sw;
    const DaemonConfig *config;
    unsigned ports;
    PortShown *port;
} Shown;

/* -- Lines ----------------------------------------------------------------- */

static void begin(Shown *m, const char *name, const char *type,
                  const char *help)
{
    g_string_append_printf(m->text, "# HELP %s %s\n# TYPE %s %s\n", name, help,
                           name, type);
}

/* The uint64_t at @at of what tables below say. */
static uint64_t number_at(const void *base, size_t at)
{
    return *(const uint64_t *)((const char *)base + at);
}

/* @key and @value are one label. */
static void sample(Shown *m, const char *name, const char *key,
                   const char *value, uint64_t number)
{
    g_string_append_printf(m->text, "%s{%s=\"%s\"} %" PRIu64 "\n", name, key,
                           value, number);
}

static void of_port(Shown *m, const char *name, const PortShown *p,
                    uint64_t number)
{
    sample(m, name, "port", p->port->name, number);
}

static void of_reason(Shown *m, const char *name, const PortShown *p,
                      const char *reason, uint64_t number)
{
    g_string_append_printf(m->text, "%s{port=\"%s\",reason=\"%s\"} %" PRIu64
                           "\n", name, p->port->name, reason, number);
}

#define S_FORMAT "%" PRIu64 ".%09u"
#define S_ARGS(ns) (uint64_t)(ns) / 1000000000, \
    (unsigned)((ns) % 1000000000)

#define FOREACH_PORT(m, p) \
    for (const PortShown *p = (m)->port; p < (m)->port + (m)->ports; p++)

/* -- Ports ----------------------------------------------------------------- */

static void show_states(Shown *m)
{
    begin(m, "vus_port_info", "gauge",
          "1; what the port is attached to, and whose it is.");
    FOREACH_PORT(m, p) {
        const PortSettings *s = &p->port->settings;

        g_string_append_printf(m->text, "vus_port_info{port=\"%s\",type=\"%s\","
                               "tenant=\"%s\"} 1\n", p->port->name, s->type,
                               s->tenant ? s->tenant : "");
    }
    begin(m, "vus_port_connected", "gauge",
          "1: a front end is connected, or none is needed.");
    FOREACH_PORT(m, p) {
        of_port(m, "vus_port_connected", p, p->status.connected);
    }
    begin(m, "vus_port_ready", "gauge", "1: the port sends and receives.");
    FOREACH_PORT(m, p) {
        of_port(m, "vus_port_ready", p, p->status.ready);
    }
    begin(m, "vus_port_connects_total", "counter",
          "Times that a front end connected.");
    FOREACH_PORT(m, p) {
        of_port(m, "vus_port_connects_total", p, p->status.connects);
    }
    begin(m, "vus_port_breaks_total", "counter",
          "Times that a ring or connection broke.");
    FOREACH_PORT(m, p) {
        of_port(m, "vus_port_breaks_total", p, p->status.breaks);
    }
}

static void show_traffic(Shown *m)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } counter[] = {
        { "vus_port_ingress_pkts_total",
          "Frames from the port into the switch.",
          offsetof(PortCounters, ingress_pkts) },
        { "vus_port_ingress_bytes_total",
          "Their bytes, from the destination address on.",
          offsetof(PortCounters, ingress_bytes) },
        { "vus_port_egress_pkts_total",
          "Frames out of the switch, to the port.",
          offsetof(PortCounters, egress_pkts) },
        { "vus_port_egress_bytes_total",
          "Their bytes, from the destination address on.",
          offsetof(PortCounters, egress_bytes) },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(counter); i++) {
        begin(m, counter[i].name, "counter", counter[i].help);
        FOREACH_PORT(m, p) {
            of_port(m, counter[i].name, p,
                    number_at(&p->counters, counter[i].at));
        }
    }
    begin(m, "vus_port_drops_total", "counter",
          "Frames that were thrown away; \"vusctl drops\" explains reasons.");
    FOREACH_PORT(m, p) {
        for (unsigned i = 0; i < DROP_REASONS; i++) {
            of_reason(m, "vus_port_drops_total", p, drop_name(i),
                      p->counters.drops[i]);
        }
    }
}

/* -- Links ----------------------------------------------------------------- */

static uint64_t rate_bps(const Shown *m, const PortShown *p)
{
    return p->port->settings.rate_bps;
}

static uint64_t rate_pps(const Shown *m, const PortShown *p)
{
    return p->port->settings.rate_pps;
}

static uint64_t queue_pkts(const Shown *m, const PortShown *p)
{
    return p->port->settings.queue_pkts;
}

static uint64_t waiting_pkts(const Shown *m, const PortShown *p)
{
    return p->waiting_pkts;
}

static uint64_t promised_ppm(const Shown *m, const PortShown *p)
{
    return admission_promised_ppm(m->config, p->port);
}

static void show_links(Shown *m)
{
    static const struct {
        const char *name, *help;
        uint64_t (*get)(const Shown *m, const PortShown *p);
    } gauge[] = {
        { "vus_link_rate_bps",
          "Bits per second that the link carries, with all overhead; 0: any.",
          rate_bps },
        { "vus_link_rate_pps",
          "Most frames per second that leave; 0: no limit.", rate_pps },
        { "vus_link_queue_pkts", "Frames that may wait for the link.",
          queue_pkts },
        { "vus_link_waiting_pkts", "Frames that wait for it now.",
          waiting_pkts },
        { "vus_link_promised_ppm",
          "Of its rate, what contracts of NICs take, in millionths.",
          promised_ppm },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(gauge); i++) {
        begin(m, gauge[i].name, "gauge", gauge[i].help);
        FOREACH_PORT(m, p) {
            if (p->has_queue) {
                of_port(m, gauge[i].name, p, gauge[i].get(m, p));
            }
        }
    }
}

/* -- Deadlines ------------------------------------------------------------- */

/* Powers of two in ns, less one: edges of RtHist's buckets, so nothing is
 * rounded.  Close to each other where deadlines are: 8 us to 17 ms. */
static const unsigned edge_bits[] = {
    10, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 27, 30,
};

static void show_buckets(Shown *m, const char *name, const PortShown *p,
                         const RtHist *h)
{
    uint64_t seen = 0;
    unsigned bucket = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(edge_bits); i++) {
        uint64_t edge_ns = (UINT64_C(1) << edge_bits[i]) - 1;

        while (rt_hist_bucket_top_ns(bucket) <= edge_ns) {
            seen += h->buckets[bucket++];
        }
        g_string_append_printf(m->text, "%s_bucket{port=\"%s\",le=\"" S_FORMAT
                               "\"} %" PRIu64 "\n", name, p->port->name,
                               S_ARGS(edge_ns), seen);
    }
    g_string_append_printf(m->text, "%s_bucket{port=\"%s\",le=\"+Inf\"} %"
                           PRIu64 "\n", name, p->port->name, h->count);
}

/* As if each had taken as long as its bucket allows. */
static uint64_t sum_ns(const RtHist *h)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < RT_HIST_BUCKETS; i++) {
        sum += h->buckets[i] * MIN(rt_hist_bucket_top_ns(i),
                                   UINT64_C(1) << RT_HIST_MAX_BITS);
    }
    return sum;
}

static void show_hist(Shown *m, const char *name, const char *help, size_t at)
{
    begin(m, name, "histogram", help);
    FOREACH_PORT(m, p) {
        if (p->ep) {
            const RtHist *h = (const RtHist *)((const char *)p->ep + at);

            show_buckets(m, name, p, h);
            g_string_append_printf(m->text, "%s_sum{port=\"%s\"} " S_FORMAT
                                   "\n%s_count{port=\"%s\"} %" PRIu64 "\n",
                                   name, p->port->name, S_ARGS(sum_ns(h)),
                                   name, p->port->name, h->count);
        }
    }
}

static void show_deadline_counter(Shown *m, const char *word, const char *help,
                                  size_t at)
{
    g_autofree char *name = g_strdup_printf("vus_deadline_%s_total", word);

    g_strdelimit(name, "-", '_');
    begin(m, name, "counter", help);
    FOREACH_PORT(m, p) {
        if (p->ep) {
            of_port(m, name, p, number_at(&p->ep->n, at));
        }
    }
}

static void show_deadline_drops(Shown *m)
{
    begin(m, "vus_deadline_drops_total", "counter",
          "Frames that were thrown away with a deadline.");
    FOREACH_PORT(m, p) {
        if (p->ep) {
#define DROP(field, word, text) \
            of_reason(m, "vus_deadline_drops_total", p, word, p->ep->n.field);
            RT_DROPS(DROP)
#undef DROP
        }
    }
}

static void show_deadlines(Shown *m)
{
    begin(m, "vus_deadline_contract_seconds", "gauge",
          "Deadline of what the port sends; 0: best effort.");
    FOREACH_PORT(m, p) {
        if (p->ep) {
            g_string_append_printf(
                m->text, "vus_deadline_contract_seconds{port=\"%s\"} " S_FORMAT
                "\n", p->port->name, S_ARGS(p->ep->cfg.deadline_ns));
        }
    }
#define COUNTER(field, word, text) \
    show_deadline_counter(m, word, "Deadlines: " text ".", \
                          offsetof(RtCounters, field));
    RT_COUNTERS(COUNTER)
#undef COUNTER
    show_deadline_drops(m);
    show_hist(m, "vus_deadline_queueing_seconds",
              "From a frame's arrival to its departure; the sum is up to 6 % "
              "too long.", offsetof(RtEndpoint, queueing));
    show_hist(m, "vus_deadline_transit_seconds",
              "From a frame's sender to its receiver, by its trailer; the sum "
              "is up to 6 % too long.", offsetof(RtEndpoint, transit));
}

/* -- Tenants --------------------------------------------------------------- */

static uint64_t count_ports(const Shown *m, const ConfigTenant *t)
{
    uint64_t n = 0;

    FOREACH_PORT(m, p) {
        n += !g_strcmp0(p->port->settings.tenant, t->name);
    }
    return n;
}

static void show_tenants(Shown *m)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } gauge[] = {
        { "vus_tenant_guarantee_bps",
          "What its ports may send by each link; 0: the sum of theirs.",
          offsetof(TenantSettings, guarantee_bps) },
        { "vus_tenant_tx_limit_bps",
          "Most that is taken from its ports; 0: no limit.",
          offsetof(TenantSettings, tx_limit_bps) },
        { "vus_tenant_rx_limit_bps",
          "Most that its ports are sent; 0: no limit.",
          offsetof(TenantSettings, rx_limit_bps) },
    };
    const GPtrArray *tenants = m->config->tenants;

    begin(m, "vus_tenant_ports", "gauge", "Ports of a tenant.");
    for (unsigned i = 0; i < tenants->len; i++) {
        const ConfigTenant *t = g_ptr_array_index(tenants, i);

        sample(m, "vus_tenant_ports", "tenant", t->name, count_ports(m, t));
    }
    begin(m, "vus_tenant_limited", "gauge",
          "1: nothing is taken from its ports just now, because of a limit.");
    for (unsigned i = 0; i < tenants->len; i++) {
        const ConfigTenant *t = g_ptr_array_index(tenants, i);

        sample(m, "vus_tenant_limited", "tenant", t->name,
               switch_tenant_is_limited(m->sw,
                                        switch_find_tenant(m->sw, t->name)));
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(gauge); k++) {
        begin(m, gauge[k].name, "gauge", gauge[k].help);
        for (unsigned i = 0; i < tenants->len; i++) {
            const ConfigTenant *t = g_ptr_array_index(tenants, i);

            sample(m, gauge[k].name, "tenant", t->name,
                   number_at(&t->settings, gauge[k].at));
        }
    }
}

/* -- Domains --------------------------------------------------------------- */

static uint64_t memory_bytes(Domain *d)
{
    return d->region->bytes;
}

static uint64_t members(Domain *d)
{
    return d->members;
}

static uint64_t buffers(Domain *d)
{
    return d->buffers;
}

static uint64_t free_buffers(Domain *d)
{
    return domain_free_buffers(d);
}

static uint64_t reclaimed(Domain *d)
{
    return d->reclaimed;
}

static uint64_t quarantines(Domain *d)
{
    return d->quarantines;
}

/* Of members there are the counters of their ports: what they count themselves
 * they can forge, and who owns how many buffers takes long to find out. */
static void show_domains(Shown *m)
{
    static const struct {
        const char *name, *type, *help;
        uint64_t (*get)(Domain *d);
    } metric[] = {
        { "vus_domain_memory_bytes", "gauge", "Memory that members share.",
          memory_bytes },
        { "vus_domain_members", "gauge",
          "Members that are there, or leave.", members },
        { "vus_domain_buffers", "gauge", "Buffers for packets, of all.",
          buffers },
        { "vus_domain_free_buffers", "gauge", "Those that nobody has.",
          free_buffers },
        { "vus_domain_reclaimed_buffers_total", "counter",
          "Taken back from members that left.", reclaimed },
        { "vus_domain_quarantines_total", "counter",
          "Times that a member left and another one did not see it in time.",
          quarantines },
    };

    for (unsigned k = 0; k < G_N_ELEMENTS(metric); k++) {
        begin(m, metric[k].name, metric[k].type, metric[k].help);
        for (Domain *d = switch_next_domain(m->sw, NULL); d;
             d = switch_next_domain(m->sw, d)) {
            sample(m, metric[k].name, "domain", domain_name(d),
                   metric[k].get(d));
        }
    }
}

/* -- The daemon ------------------------------------------------------------ */

static void show_workers(Shown *m)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } counter[] = {
        { "vus_worker_polls_total",
          "Times that a worker looked at all its queues.",
          offsetof(WorkerStatus, polls) },
        { "vus_worker_busy_polls_total", "Those that found frames.",
          offsetof(WorkerStatus, busy_polls) },
        { "vus_worker_sleeps_total", "Times that it went to sleep.",
          offsetof(WorkerStatus, sleeps) },
        { "vus_worker_flow_misses_total",
          "Frames whose flow it had to look up.",
          offsetof(WorkerStatus, flow_misses) },
        { "vus_worker_pkts_total", "Frames from its queues.",
          offsetof(WorkerStatus, pkts) },
    };
    unsigned workers = switch_config(m->sw)->workers;
    WorkerStatus status[SWITCH_MAX_WORKERS];

    for (unsigned i = 0; i < workers; i++) {
        switch_worker_status(m->sw, i, &status[i]);
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(counter); k++) {
        begin(m, counter[k].name, "counter", counter[k].help);
        for (unsigned i = 0; i < workers; i++) {
            char index[12];

            g_snprintf(index, sizeof(index), "%u", i);
            sample(m, counter[k].name, "worker", index,
                   number_at(&status[i], counter[k].at));
        }
    }
}

typedef struct Addresses {
    uint64_t learned, fixed;
} Addresses;

static void count_address(const FdbShown *e, void *opaque)
{
    Addresses *n = opaque;

    *(e->is_static ? &n->fixed : &n->learned) += 1;
}

static void show_addresses(Shown *m)
{
    Addresses n = { 0 };

    switch_fdb_foreach(m->sw, count_address, &n);
    begin(m, "vus_fdb_addresses", "gauge", "Known addresses.");
    sample(m, "vus_fdb_addresses", "kind", "learned", n.learned);
    sample(m, "vus_fdb_addresses", "kind", "fixed", n.fixed);
    begin(m, "vus_fdb_addresses_max", "gauge", "Most that can be known.");
    g_string_append_printf(m->text, "vus_fdb_addresses_max %u\n",
                           switch_config(m->sw)->fdb_max);
}

static void show_build(Shown *m)
{
    begin(m, "vus_build_info", "gauge", "1; what runs here.");
    sample(m, "vus_build_info", "version", VUS_VERSION, 1);
}

/* -- All together ---------------------------------------------------------- */

static void look_up(PortShown *shown, Switch *sw, const ConfigPort *port)
{
    Port *p = switch_find_port(sw, port->name);
    RtEndpoint ep;

    shown->port = port;
    switch_port_status(sw, p, &shown->status);
    switch_port_counters(sw, p, &shown->counters);
    shown->has_queue = switch_port_waiting(sw, p, &shown->waiting_pkts);
    if (switch_port_endpoint(sw, p, &ep)) {
        shown->ep = g_memdup2(&ep, sizeof(ep));
    }
}

char *metrics_text(const RpcContext *context)
{
    g_autoptr(DaemonConfig) c = rpc_effective_config(context);
    Shown m = {
        .text = g_string_new(NULL),
        .sw = context->sw,
        .config = c,
        .ports = c->ports->len,
        /* One more than there are: never NULL. */
        .port = g_new0(PortShown, c->ports->len + 1),
    };

    for (unsigned i = 0; i < m.ports; i++) {
        look_up(&m.port[i], m.sw, g_ptr_array_index(c->ports, i));
    }
    show_build(&m);
    show_states(&m);
    show_traffic(&m);
    show_links(&m);
    show_deadlines(&m);
    show_tenants(&m);
    show_domains(&m);
    show_workers(&m);
    show_addresses(&m);
    for (unsigned i = 0; i < m.ports; i++) {
        g_free(m.port[i].ep);
    }
    g_free(m.port);
    return g_string_free(m.text, false);
}
