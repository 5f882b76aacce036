/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links with what they promise, and deadlines with what became of them.  Where
 * QEMU's query-rtnet (qapi/rtnet.json) shows the same, members have its names.
 *
 * Threads: the control thread.
 */
#include <string.h>

#include "admission.h"
#include "rpc-methods-impl.h"
#include "rt-port.h"

/* As it is, the default too. */
static void set_setting(JsonObject *shown, const PortSettings *s,
                        const char *key)
{
    g_autofree char *value = port_settings_get(s, key);
    g_autofree char *usual = port_settings_default(key);

    json_object_set_string_member(shown, key, value ? value : usual);
}

/* -- Links ----------------------------------------------------------------- */

static JsonArray *show_contracts(const DaemonConfig *c, const ConfigPort *link,
                                 bool bounds)
{
    JsonArray *all = json_array_new();

    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(c->ports, i);
        JsonObject *shown;

        if (!admission_promises(c, link, p)) {
            continue;
        }
        shown = json_object_new();
        json_object_set_string_member(shown, "port", p->name);
        json_object_set_int_member(shown, "deadline-us",
                                   p->settings.deadline_us);
        json_object_set_int_member(shown, "period-us", p->settings.period_us);
        if (bounds) {
            rpc_set_number(shown, "delay-bound-ns",
                           admission_delay_bound_ns(c, link, p));
        }
        json_array_add_object_element(all, shown);
    }
    return all;
}

static JsonObject *show_link(const DaemonConfig *c, const ConfigPort *link,
                             unsigned waiting_pkts, bool bounds)
{
    const PortSettings *s = &link->settings;
    AdmissionGuarantees guaranteed = admission_guarantees(c, link);
    JsonObject *shown = json_object_new();

    json_object_set_string_member(shown, "name", link->name);
    rpc_set_number(shown, "rate-bps", s->rate_bps);
    rpc_set_number(shown, "rate-pps", s->rate_pps);
    set_setting(shown, s, "policy");
    json_object_set_int_member(shown, "queue-pkts", s->queue_pkts);
    json_object_set_int_member(shown, "waiting-pkts", waiting_pkts);
    json_object_set_int_member(shown, "promised-ppm",
                               admission_promised_ppm(c, link));
    rpc_set_number(shown, "guaranteed-bps", guaranteed.bps);
    rpc_set_number(shown, "guaranteed-pps", guaranteed.pps);
    json_object_set_array_member(shown, "contracts",
                                 show_contracts(c, link, bounds));
    return shown;
}

/* @key: "port" or "tenant". */
static void add_limit(JsonArray *all, const char *key, const char *name,
                      uint64_t bps, uint64_t pps, bool limited)
{
    JsonObject *shown;

    if (bps == 0 && pps == 0) {
        return;
    }
    shown = json_object_new();
    json_object_set_string_member(shown, key, name);
    rpc_set_number(shown, "tx-limit-bps", bps);
    rpc_set_number(shown, "tx-limit-pps", pps);
    json_object_set_boolean_member(shown, "limited", limited);
    json_array_add_object_element(all, shown);
}

static JsonArray *show_limits(Switch *sw)
{
    JsonArray *all = json_array_new();

    for (Tenant *t = switch_next_tenant(sw, NULL); t;
         t = switch_next_tenant(sw, t)) {
        const TenantSettings *s = tenant_settings(t);

        add_limit(all, "tenant", tenant_name(t), s->tx_limit_bps,
                  s->tx_limit_pps, switch_tenant_is_limited(sw, t));
    }
    for (Port *p = switch_next_port(sw, NULL); p;
         p = switch_next_port(sw, p)) {
        const PortSettings *s = port_settings(p);

        add_limit(all, "port", port_name(p), s->tx_limit_bps, s->tx_limit_pps,
                  switch_port_is_limited(sw, p));
    }
    return all;
}

JsonNode *rpc_qos_links(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    g_autoptr(DaemonConfig) c = rpc_effective_config(context);
    JsonObject *result = json_object_new();
    JsonArray *links = json_array_new();

    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *link = g_ptr_array_index(c->ports, i);
        unsigned waiting_pkts;

        if (switch_port_waiting(context->sw,
                                switch_find_port(context->sw, link->name),
                                &waiting_pkts)) {
            json_array_add_object_element(
                links, show_link(c, link, waiting_pkts,
                                 rpc_boolean(params, "bounds", true)));
        }
    }
    json_object_set_array_member(result, "links", links);
    json_object_set_array_member(result, "limits", show_limits(context->sw));
    return rpc_object(result);
}

/* -- Deadlines ------------------------------------------------------------- */

static void add_counter(JsonArray *all, const char *name, uint64_t value,
                        const char *meaning)
{
    JsonObject *shown = json_object_new();

    json_object_set_string_member(shown, "name", name);
    rpc_set_number(shown, "value", value);
    json_object_set_string_member(shown, "meaning", meaning);
    json_array_add_object_element(all, shown);
}

#define ADD_COUNTER(field, name, text) add_counter(all, name, n->field, text);

static JsonArray *show_counters(const RtCounters *n)
{
    JsonArray *all = json_array_new();

    RT_COUNTERS(ADD_COUNTER)
    return all;
}

static JsonArray *show_drops(const RtCounters *n)
{
    JsonArray *all = json_array_new();

    RT_DROPS(ADD_COUNTER)
    return all;
}

/* Those that are not empty. */
static JsonArray *show_buckets(const RtHist *h)
{
    JsonArray *all = json_array_new();

    for (unsigned i = 0; i < RT_HIST_BUCKETS; i++) {
        JsonObject *shown;

        if (h->buckets[i] > 0) {
            shown = json_object_new();
            rpc_set_number(shown, "le-ns", rt_hist_bucket_top_ns(i));
            rpc_set_number(shown, "count", h->buckets[i]);
            json_array_add_object_element(all, shown);
        }
    }
    return all;
}

static JsonObject *show_hist(const RtHist *h, bool buckets)
{
    JsonObject *shown = json_object_new();

    rpc_set_number(shown, "count", h->count);
    rpc_set_number(shown, "p50-ns", rt_hist_percentile_ns(h, 500000));
    rpc_set_number(shown, "p99-ns", rt_hist_percentile_ns(h, 990000));
    rpc_set_number(shown, "p999-ns", rt_hist_percentile_ns(h, 999000));
    rpc_set_number(shown, "max-ns", h->max_ns);
    if (buckets) {
        json_object_set_array_member(shown, "buckets", show_buckets(h));
    }
    return shown;
}

static const char *band_name(EdfBand band)
{
    return band == EDF_BAND_ADMITTED ? "admitted" :
           band == EDF_BAND_DEADLINE ? "deadline" : "best-effort";
}

/* By the slowest of the links that promise it something; 0: none does. */
static uint64_t promised_delay_ns(const DaemonConfig *c,
                                  const ConfigPort *port)
{
    uint64_t longest_ns = 0;

    for (unsigned i = 0; i < c->ports->len; i++) {
        uint64_t bound_ns = admission_delay_bound_ns(
            c, g_ptr_array_index(c->ports, i), port);

        if (bound_ns != UINT64_MAX) {
            longest_ns = MAX(longest_ns, bound_ns);
        }
    }
    return longest_ns;
}

static void show_contract(JsonObject *shown, const DaemonConfig *c,
                          const ConfigPort *port, bool bounds)
{
    const PortSettings *s = &port->settings;

    json_object_set_int_member(shown, "deadline-us", s->deadline_us);
    json_object_set_int_member(shown, "period-us", s->period_us);
    json_object_set_int_member(shown, "max-frame-bytes", s->max_frame_bytes);
    set_setting(shown, s, "late");
    if (bounds && s->deadline_us > 0 && s->period_us > 0) {
        rpc_set_number(shown, "promised-delay-us",
                       (promised_delay_ns(c, port) + 999) / 1000);
    }
}

static JsonObject *show_endpoint(const DaemonConfig *c, Port *p,
                                 const RtEndpoint *ep, bool bounds,
                                 bool buckets)
{
    const ConfigPort *port = daemon_config_find_port(c, port_name(p));
    JsonObject *shown = json_object_new();

    json_object_set_string_member(shown, "name", port->name);
    json_object_set_boolean_member(shown, "rtvnic", port->settings.rtvnic);
    set_setting(shown, &port->settings, "trust");
    json_object_set_string_member(shown, "band", band_name(ep->band));
    json_object_set_boolean_member(shown, "registered", port_has_contract(p));
    show_contract(shown, c, port, bounds);
    json_object_set_int_member(shown, "source-id", ep->cfg.source_id);
    json_object_set_array_member(shown, "counters", show_counters(&ep->n));
    json_object_set_array_member(shown, "drops", show_drops(&ep->n));
    json_object_set_object_member(shown, "queueing-delay",
                                  show_hist(&ep->queueing, buckets));
    json_object_set_object_member(shown, "transit-delay",
                                  show_hist(&ep->transit, buckets));
    return shown;
}

JsonNode *rpc_qos_deadlines(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    g_autoptr(DaemonConfig) c = NULL;
    JsonArray *all;
    Port *only;

    if (!rpc_port_if_given(context, params, "name", &only, error)) {
        return NULL;
    }
    c = rpc_effective_config(context);
    all = json_array_new();
    for (Port *p = switch_next_port(context->sw, NULL); p;
         p = switch_next_port(context->sw, p)) {
        RtEndpoint ep;

        if ((!only || p == only) &&
            switch_port_endpoint(context->sw, p, &ep)) {
            json_array_add_object_element(
                all, show_endpoint(c, p, &ep,
                                   rpc_boolean(params, "bounds", true),
                                   rpc_boolean(params, "buckets", false)));
        }
    }
    return rpc_array(all);
}
