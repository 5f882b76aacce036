/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "admission.h"
#include "parse.h"
#include "rt-port.h"

/* What a link is asked to promise. */
typedef struct Promises {
    EdfContract contract[SWITCH_MAX_PORTS];
    size_t n;
    size_t index;                   /* of the port asked for */
    uint64_t rate_bps;
    uint32_t blocking_bytes;
    uint64_t jitter_ns;
} Promises;

static bool has_contract(const PortSettings *s)
{
    return s->deadline_us > 0 && s->period_us > 0;
}

/* Behind that of a tenant (rx-limit) nothing can be said of a port's link. */
static bool is_link(const DaemonConfig *c, const PortSettings *s)
{
    const ConfigTenant *t = s->tenant ? daemon_config_find_tenant(c, s->tenant)
                                      : NULL;

    return s->rate_bps > 0 && s->policy == EDF_QUEUE_EDF &&
           !(t && (t->settings.rx_limit_bps || t->settings.rx_limit_pps));
}

/* With a limit in frames per second, a short frame takes as long as a longer
 * one would. */
static uint32_t least_wire_bytes(const PortSettings *s)
{
    return s->rate_pps > 0 ? MIN(s->rate_bps / 8 / s->rate_pps + 1, UINT32_MAX)
                           : 0;
}

bool admission_promises(const DaemonConfig *c, const ConfigPort *link,
                        const ConfigPort *port)
{
    return port != link && has_contract(&port->settings) &&
           link->settings.promises && is_link(c, &link->settings);
}

static void collect(Promises *p, const DaemonConfig *c,
                    const ConfigPort *link, const ConfigPort *of)
{
    const PortSettings *s = &link->settings;
    uint32_t least = least_wire_bytes(s);

    memset(p, 0, sizeof(*p));
    p->rate_bps = s->rate_bps;
    p->blocking_bytes = MAX(RT_MAX_WIRE_BYTES(s->link_mtu), least);
    p->jitter_ns = s->host_jitter_us * UINT64_C(1000) + SWITCH_AHEAD_NS;
    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *port = g_ptr_array_index(c->ports, i);
        RtEndpointConfig cfg = rt_port_config(&port->settings);
        RtEndpoint ep;

        if (port == link || !has_contract(&port->settings)) {
            continue;
        }
        rt_endpoint_init(&ep, &cfg);
        if (port->settings.vlan >= 0 && s->vlan < 0) {
            /* Its tag is put in on the way. */
            ep.contract.wire_bytes += RT_VLAN_HLEN;
        }
        ep.contract.wire_bytes = MAX(ep.contract.wire_bytes, least);
        if (port == of) {
            p->index = p->n;
        }
        p->contract[p->n++] = ep.contract;
    }
}

/* -- Deadlines ------------------------------------------------------------- */

static bool check_contracts(const ConfigPort *link, const Promises *p,
                            GError **error)
{
    EdfVerdict v = edf_admission_check(p->contract, p->n, p->rate_bps,
                                       p->blocking_bytes, p->jitter_ns);
    g_autofree char *rate = format_rate(p->rate_bps);

    switch (v.refusal) {
    case EDF_ADMITTED:
        return true;
    case EDF_REFUSED_LOAD:
        g_set_error(error, DAEMON_CONFIG_ERROR, 0, "port %s cannot promise "
                    "all contracts: they need %u.%02u %% of its rate-bps=%s, "
                    "and %u %% can be promised: raise period-us or rate-bps, "
                    "lower max-frame-bytes, or give it promises=off",
                    link->name, v.load_ppm / 10000, v.load_ppm / 100 % 100,
                    rate, EDF_ADMISSION_MAX_LOAD_PPM / 10000);
        break;
    case EDF_REFUSED_DEADLINE:
        g_set_error(error, DAEMON_CONFIG_ERROR, 0, "port %s cannot promise "
                    "all contracts: in the worst case its link needs %" PRIu64
                    " us within the first %" PRIu64 " us, %" PRIu64 " us too "
                    "much: raise deadline-us, period-us or rate-bps, lower "
                    "max-frame-bytes, its link-mtu or its host-jitter-us, or "
                    "give it promises=off", link->name,
                    (v.demand_ns + 999) / 1000, v.at_ns / 1000,
                    (v.demand_ns - v.at_ns + 999) / 1000);
        break;
    }
    return false;
}

uint64_t admission_delay_bound_ns(const DaemonConfig *c,
                                  const ConfigPort *link,
                                  const ConfigPort *port)
{
    Promises p;

    if (!admission_promises(c, link, port)) {
        return UINT64_MAX;
    }
    collect(&p, c, link, port);
    return edf_admission_delay_bound_ns(p.contract, p.n, p.index, p.rate_bps,
                                        p.blocking_bytes, p.jitter_ns);
}

static uint32_t promised_ppm(const Promises *p)
{
    return edf_admission_check(p->contract, p->n, p->rate_bps,
                               p->blocking_bytes, p->jitter_ns).load_ppm;
}

uint32_t admission_promised_ppm(const DaemonConfig *c, const ConfigPort *link)
{
    Promises p;

    if (!link->settings.promises || !is_link(c, &link->settings)) {
        return 0;
    }
    collect(&p, c, link, NULL);
    return p.n > 0 ? promised_ppm(&p) : 0;
}

/* -- Guarantees ------------------------------------------------------------ */

static void add(AdmissionGuarantees *sum, uint64_t bps, uint64_t pps)
{
    sum->bps = edf_add_saturated(sum->bps, bps);
    sum->pps = edf_add_saturated(sum->pps, pps);
}

/* Of the ports that have tenant @name, but for @without. */
static AdmissionGuarantees of_ports(const DaemonConfig *c, const char *name,
                                    const ConfigPort *without)
{
    AdmissionGuarantees sum = { 0 };

    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *port = g_ptr_array_index(c->ports, i);

        if (port != without && !g_strcmp0(port->settings.tenant, name)) {
            add(&sum, port->settings.guarantee_bps,
                port->settings.guarantee_pps);
        }
    }
    return sum;
}

/* What its ports are to be sent at least, of what they may be sent. */
static bool check_rx(const DaemonConfig *c, const ConfigTenant *t,
                     GError **error)
{
    const TenantSettings *s = &t->settings;
    g_autofree char *theirs = NULL, *its = NULL;
    AdmissionGuarantees sum = { 0 };
    bool bits;

    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *port = g_ptr_array_index(c->ports, i);

        if (!g_strcmp0(port->settings.tenant, t->name)) {
            add(&sum, port->settings.rx_guarantee_bps,
                port->settings.rx_guarantee_pps);
        }
    }
    bits = s->rx_limit_bps > 0 && sum.bps > s->rx_limit_bps;
    if (!bits && !(s->rx_limit_pps > 0 && sum.pps > s->rx_limit_pps)) {
        return true;
    }
    theirs = format_rate(bits ? sum.bps : sum.pps);
    its = format_rate(bits ? s->rx_limit_bps : s->rx_limit_pps);
    g_set_error(error, DAEMON_CONFIG_ERROR, 0, "tenant %s: the rx-guarantee-%s="
                " of its ports are %s together, and its rx-limit-%s= is %s: "
                "lower theirs, or raise its", t->name, bits ? "bps" : "pps",
                theirs, bits ? "bps" : "pps", its);
    return false;
}

static bool check_tenant(const DaemonConfig *c, const ConfigTenant *t,
                         GError **error)
{
    const TenantSettings *s = &t->settings;
    AdmissionGuarantees sum = of_ports(c, t->name, NULL);
    bool bits = s->guarantee_bps > 0 && sum.bps > s->guarantee_bps;
    g_autofree char *theirs = format_rate(bits ? sum.bps : sum.pps);
    g_autofree char *its = format_rate(bits ? s->guarantee_bps
                                            : s->guarantee_pps);

    if (bits || (s->guarantee_pps > 0 && sum.pps > s->guarantee_pps)) {
        g_set_error(error, DAEMON_CONFIG_ERROR, 0, "tenant %s: the %s= of its "
                    "ports are %s together, its own is %s: lower theirs, or "
                    "raise its", t->name, bits ? "guarantee-bps" :
                    "guarantee-pps", theirs, its);
        return false;
    }
    return true;
}

AdmissionGuarantees admission_guarantees(const DaemonConfig *c,
                                         const ConfigPort *link)
{
    AdmissionGuarantees sum = { 0 };

    if (!is_link(c, &link->settings)) {
        return sum;
    }
    sum = of_ports(c, NULL, link);
    for (unsigned i = 0; i < c->tenants->len; i++) {
        const ConfigTenant *t = g_ptr_array_index(c->tenants, i);
        AdmissionGuarantees theirs = of_ports(c, t->name, link);
        const TenantSettings *s = &t->settings;

        add(&sum, s->guarantee_bps ? s->guarantee_bps : theirs.bps,
            s->guarantee_pps ? s->guarantee_pps : theirs.pps);
    }
    return sum;
}

static bool check_guarantees(const DaemonConfig *c, const ConfigPort *link,
                             uint64_t left_bps, GError **error)
{
    AdmissionGuarantees sum = admission_guarantees(c, link);
    g_autofree char *all = NULL, *left = NULL;
    bool bits;

    bits = sum.bps > left_bps;
    if (!bits && (link->settings.rate_pps == 0 ||
                  sum.pps <= link->settings.rate_pps)) {
        return true;
    }
    all = format_rate(bits ? sum.bps : sum.pps);
    left = format_rate(bits ? left_bps : link->settings.rate_pps);
    g_set_error(error, DAEMON_CONFIG_ERROR, 0, "port %s cannot give all "
                "guarantees: they are %s %s together, and its link has %s%s: "
                "lower some guarantee-%s=, or raise its rate-%s=", link->name,
                all, bits ? "bit/s" : "frames/s", left,
                bits ? " beside its contracts" : "", bits ? "bps" : "pps",
                bits ? "bps" : "pps");
    return false;
}

/* -- All together ---------------------------------------------------------- */

static bool check_link(const DaemonConfig *c, const ConfigPort *link,
                       GError **error)
{
    uint64_t left_bps = link->settings.rate_bps;
    Promises p;

    collect(&p, c, link, NULL);
    if (link->settings.promises && p.n > 0) {
        if (!check_contracts(link, &p, error)) {
            return false;
        }
        /* A rate is at most 10^13: no overflow. */
        left_bps -= left_bps * promised_ppm(&p) / 1000000;
    }
    return check_guarantees(c, link, left_bps, error);
}

static bool promises_something(const DaemonConfig *c, const ConfigPort *to)
{
    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *link = g_ptr_array_index(c->ports, i);

        if (link != to && is_link(c, &link->settings) &&
            link->settings.promises) {
            return true;
        }
    }
    return false;
}

bool admission_check(const DaemonConfig *c, GError **error)
{
    for (unsigned i = 0; i < c->tenants->len; i++) {
        const ConfigTenant *t = g_ptr_array_index(c->tenants, i);

        if (!check_tenant(c, t, error) || !check_rx(c, t, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(c->ports, i);

        if (has_contract(&p->settings) && !promises_something(c, p)) {
            g_set_error(error, DAEMON_CONFIG_ERROR, 0, "port %s declares "
                        "period-us, but no other port has a link that could "
                        "promise anything: give the uplink its rate-bps, or "
                        "leave out period-us", p->name);
            return false;
        }
        if (is_link(c, &p->settings) && !check_link(c, p, error)) {
            return false;
        }
    }
    return true;
}
