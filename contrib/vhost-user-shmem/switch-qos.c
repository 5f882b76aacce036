/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rates and guarantees: what settings mean for queues.
 *
 * Threads: the control thread.
 */
#include <string.h>

#include "clock.h"
#include "rt-port.h"
#include "switch-impl.h"

#define LIMIT_BURST_NS 1000000

/* -- A port's own link ----------------------------------------------------- */

static Tenant *tenant_of(const Port *p)
{
    return p->settings.tenant ? switch_find_tenant(p->sw, p->settings.tenant)
                              : NULL;
}

/* Trailers are written and read where a frame lies in one piece, too; and it
 * has to lie somewhere to wait for a tenant's link. */
static bool needs_queue(const Port *p)
{
    const PortSettings *s = &p->settings;
    const Tenant *t = tenant_of(p);

    return s->rate_bps > 0 || s->rate_pps > 0 || s->rtvnic || s->uplink ||
           (t && t->link);
}

/* A link that a tenant's comes after promises nothing by itself. */
static EgressQueueConfig queue_config(const Port *p)
{
    const PortSettings *s = &p->settings;
    const Tenant *t = tenant_of(p);

    return (EgressQueueConfig) {
        .link = {
            .rate_bps = s->rate_bps,
            .rate_pps = s->rate_pps,
            .max_wire_bytes = RT_MAX_WIRE_BYTES(s->link_mtu),
            .catch_up_ns = s->host_jitter_us * UINT64_C(1000),
            .ahead_ns = SWITCH_AHEAD_NS,
            .policy = s->policy,
        },
        .queue_pkts = s->queue_pkts,
        .link_mtu = s->link_mtu,
        .promises = s->promises && s->rate_bps > 0 &&
                    s->policy == EDF_QUEUE_EDF && !(t && t->link),
        .trailers = s->uplink,
    };
}

static void tell_source(EgressQueue *q, const Port *source)
{
    const PortSettings *s = &source->settings;
    const Tenant *t = tenant_of(source);
    ShaperGuarantee guarantee = { s->guarantee_bps, s->guarantee_pps };

    egress_queue_set_source(q, source->id, t ? (int)t->id : SHAPER_NO_GROUP,
                            guarantee);
}

static void tell_tenant(EgressQueue *q, const Tenant *t)
{
    ShaperGuarantee guarantee = {
        t->settings.guarantee_bps, t->settings.guarantee_pps,
    };

    egress_queue_set_group(q, t->id, guarantee);
}

static bool same_pool(const EgressQueueConfig *a, const EgressQueueConfig *b)
{
    return a->queue_pkts == b->queue_pkts && a->link_mtu == b->link_mtu &&
           a->link.policy == b->link.policy && a->promises == b->promises &&
           a->trailers == b->trailers;
}

/* Its frames are nowhere but in its own queue then, or nowhere.  The port is
 * still. */
static void leave_tenant_link(Port *p)
{
    unsigned n;

    if (!p->tenant_link) {
        return;
    }
    n = tenant_link_drop_port(p->tenant_link, p->id);
    tenant_link_set_port(p->tenant_link, p->id, (ShaperGuarantee) { 0 });
    counter_add(&p->sw->own->counters[p->id].drops[DROP_DOWN], n);
    p->tenant_link = NULL;
    /* Workers give back what they hold of it. */
    synchronize_rcu();
}

static TenantLink *tenant_link_of(const Port *p)
{
    const Tenant *t = tenant_of(p);

    return t ? t->link : NULL;
}

static void join_tenant_link(Port *p)
{
    const PortSettings *s = &p->settings;
    Tenant *t = tenant_of(p);

    if (t && t->link) {
        p->tenant_link = t->link;
        p->tenant_server = t->server;
        tenant_link_set_port(t->link, p->id, (ShaperGuarantee) {
            s->rx_guarantee_bps, s->rx_guarantee_pps,
        });
    }
}

void port_apply_rate(Port *p)
{
    EgressQueueConfig cfg = queue_config(p);
    Switch *sw = p->sw;
    bool keeps = p->queue && needs_queue(p) &&
                 same_pool(&cfg, egress_queue_config(p->queue));

    if (!keeps || p->tenant_link != tenant_link_of(p)) {
        leave_tenant_link(p);
    }
    join_tenant_link(p);

    if (keeps) {
        egress_queue_set_rate(p->queue, &cfg.link, clock_now_ns());
        return;
    }
    if (p->queue) {
        /* Nobody else has it: the port is still. */
        counter_add(&sw->own->counters[p->id].drops[DROP_DOWN],
                    egress_queue_flush(p->queue));
        g_clear_pointer(&p->queue, egress_queue_free);
    }
    if (needs_queue(p)) {
        p->queue = egress_queue_new(&cfg);
        for (unsigned i = 0; i < sw->ports->len; i++) {
            tell_source(p->queue, g_ptr_array_index(sw->ports, i));
        }
        for (unsigned i = 0; i < sw->tenants->len; i++) {
            tell_tenant(p->queue, g_ptr_array_index(sw->tenants, i));
        }
    }
}

void port_apply_deadlines(Port *p)
{
    if (!rt_port_is(&p->settings)) {
        g_clear_pointer(&p->rt, rt_port_free);
    } else if (p->rt) {
        rt_port_set(p->rt, &p->settings);
    } else {
        p->rt = rt_port_new(&p->settings);
    }
}

/* -- All links ------------------------------------------------------------- */

unsigned port_limit_burst(const Port *p)
{
    unsigned n = limit_pkts_in(&p->limit, LIMIT_BURST_NS, INGRESS_BURST);

    if (p->tenant_limit) {
        n = limit_pkts_in(p->tenant_limit, LIMIT_BURST_NS, n);
    }
    return MAX(n, 1);
}

void port_charge(Port *p, uint64_t bytes, unsigned pkts, uint64_t now_ns)
{
    uint64_t wire_bytes = bytes + (uint64_t)pkts * EDF_LINK_OVERHEAD_BYTES;

    limit_charge(&p->limit, wire_bytes, pkts, now_ns);
    if (p->tenant_limit) {
        limit_charge(p->tenant_limit, wire_bytes, pkts, now_ns);
    }
}

void port_apply_bandwidth(Port *p)
{
    const PortSettings *s = &p->settings;
    Tenant *t = tenant_of(p);

    p->tenant_limit = t ? &t->limit : NULL;
    limit_set(&p->limit, s->tx_limit_bps, s->tx_limit_pps);
    for (unsigned i = 0; i < p->sw->ports->len; i++) {
        Port *out = g_ptr_array_index(p->sw->ports, i);

        if (out->queue) {
            tell_source(out->queue, p);
        }
    }
}

void port_forget_bandwidth(Port *p)
{
    leave_tenant_link(p);
    for (unsigned i = 0; i < p->sw->ports->len; i++) {
        Port *out = g_ptr_array_index(p->sw->ports, i);

        if (out->queue) {
            egress_queue_set_source(out->queue, p->id, SHAPER_NO_GROUP,
                                    (ShaperGuarantee) { 0 });
        }
    }
}

/* -- Tenants --------------------------------------------------------------- */

static void free_tenant(void *opaque)
{
    Tenant *t = opaque;

    tenant_link_free(t->link);
    limit_destroy(&t->limit);
    g_free(t->name);
    g_free(t);
}

void switch_init_tenants(Switch *sw)
{
    sw->tenants = g_ptr_array_new_with_free_func(free_tenant);
}

void switch_free_tenants(Switch *sw)
{
    g_ptr_array_free(sw->tenants, true);
}

static int free_tenant_id(const Switch *sw)
{
    uint64_t used = 0;

    for (unsigned i = 0; i < sw->tenants->len; i++) {
        const Tenant *t = g_ptr_array_index(sw->tenants, i);

        used |= UINT64_C(1) << t->id;
    }
    return ~used ? __builtin_ctzll(~used) : -1;
}

G_STATIC_ASSERT(SWITCH_MAX_TENANTS == 64 &&
                SWITCH_MAX_TENANTS <= SHAPER_GROUPS &&
                SWITCH_MAX_PORTS <= SHAPER_SOURCES);

static Tenant *new_tenant(Switch *sw, const char *name, GError **error)
{
    int id = free_tenant_id(sw);
    Tenant *t;

    if (!port_name_check(name, error)) {
        return NULL;
    }
    if (id < 0) {
        SET_ERROR(error, "there are %d tenants already, as many as can be",
                  SWITCH_MAX_TENANTS);
        return NULL;
    }
    t = g_new0(Tenant, 1);
    t->name = g_strdup(name);
    t->id = id;
    limit_init(&t->limit);
    g_ptr_array_add(sw->tenants, t);
    return t;
}

static bool is_of(const Port *p, const Tenant *t)
{
    return !g_strcmp0(p->settings.tenant, t->name);
}

static void apply_ports(Switch *sw, const Tenant *t)
{
    for (unsigned i = 0; i < sw->ports->len; i++) {
        Port *p = g_ptr_array_index(sw->ports, i);

        if (is_of(p, t)) {
            switch_apply_port(p);
        }
    }
}

/* The link comes, changes or goes as the tenant's rx-limit does. */
static void apply_rx_limit(Switch *sw, Tenant *t)
{
    const TenantSettings *s = &t->settings;
    bool wanted = s->rx_limit_bps > 0 || s->rx_limit_pps > 0;
    ShaperConfig cfg = {
        .rate_bps = s->rx_limit_bps,
        .rate_pps = s->rx_limit_pps,
        .max_wire_bytes = RT_MAX_WIRE_BYTES(RT_LINK_MTU_DEFAULT),
        .catch_up_ns = LIMIT_CATCH_UP_NS,
        .ahead_ns = SWITCH_AHEAD_NS,
    };
    TenantLink *old = t->link;

    if (wanted && old) {
        tenant_link_set_rate(old, &cfg, clock_now_ns());
    } else if (wanted) {
        Worker *w = switch_least_loaded(sw);

        t->link = tenant_link_new(&cfg);
        t->server = worker_add_tenant(w, t->id);
        rcu_assign_pointer(sw->dp.tenant_link[t->id], t->link);
        apply_ports(sw, t);
    } else if (old) {
        t->link = NULL;
        /* They leave it. */
        apply_ports(sw, t);
        rcu_assign_pointer(sw->dp.tenant_link[t->id], NULL);
        for (unsigned i = 0; i < sw->workers; i++) {
            worker_remove_tenant(sw->worker[i], t->id);
        }
        synchronize_rcu();
        tenant_link_free(old);
    }
}

Tenant *switch_set_tenant(Switch *sw, const char *name,
                          const TenantSettings *settings, GError **error)
{
    Tenant *t = switch_find_tenant(sw, name);

    if (!t) {
        t = new_tenant(sw, name, error);
    }
    if (!t) {
        return NULL;
    }
    t->settings = *settings;
    limit_set(&t->limit, settings->tx_limit_bps, settings->tx_limit_pps);
    for (unsigned i = 0; i < sw->ports->len; i++) {
        Port *out = g_ptr_array_index(sw->ports, i);

        if (out->queue) {
            tell_tenant(out->queue, t);
        }
    }
    apply_rx_limit(sw, t);
    /* They sleep until the time that the old limits gave. */
    for (unsigned i = 0; i < sw->workers; i++) {
        worker_wake(sw->worker[i]);
    }
    return t;
}

static const Port *port_of_tenant(const Switch *sw, const Tenant *t)
{
    for (unsigned i = 0; i < sw->ports->len; i++) {
        const Port *p = g_ptr_array_index(sw->ports, i);

        if (is_of(p, t)) {
            return p;
        }
    }
    return NULL;
}

bool switch_remove_tenant(Switch *sw, const char *name, GError **error)
{
    Tenant *t = switch_find_tenant(sw, name);
    const Port *p = t ? port_of_tenant(sw, t) : NULL;

    if (!t) {
        SET_ERROR(error, "there is no tenant %s", name);
        return false;
    }
    if (p) {
        SET_ERROR(error, "port %s is tenant %s's: give it another tenant=, or "
                  "none, first", p->name, name);
        return false;
    }
    switch_set_tenant(sw, name, &(TenantSettings) { 0 }, NULL);
    /* Workers may be about to charge it. */
    synchronize_rcu();
    g_ptr_array_remove(sw->tenants, t);
    return true;
}

Tenant *switch_find_tenant(Switch *sw, const char *name)
{
    for (unsigned i = 0; i < sw->tenants->len; i++) {
        Tenant *t = g_ptr_array_index(sw->tenants, i);

        if (!strcmp(t->name, name)) {
            return t;
        }
    }
    return NULL;
}

Tenant *switch_next_tenant(Switch *sw, Tenant *after)
{
    guint i = 0;

    if (after) {
        if (!g_ptr_array_find(sw->tenants, after, &i)) {
            return NULL;
        }
        i++;
    }
    return i < sw->tenants->len ? g_ptr_array_index(sw->tenants, i) : NULL;
}

const char *tenant_name(const Tenant *t)
{
    return t->name;
}

const TenantSettings *tenant_settings(const Tenant *t)
{
    return &t->settings;
}
