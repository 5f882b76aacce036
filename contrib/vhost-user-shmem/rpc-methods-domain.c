/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "netvm/domain.h"
#include "rpc-methods-impl.h"

/* -- Domains out ----------------------------------------------------------- */

static JsonArray *show_segments(const Domain *d)
{
    const DomainRegion *r = d->region;
    JsonArray *all = json_array_new();

    for (unsigned i = 0; i < r->segments; i++) {
        JsonObject *shown = json_object_new();

        rpc_set_number(shown, "bytes", r->segment[i].bytes);
        rpc_set_number(shown, "buffers", r->segment[i].buffers);
        json_object_set_boolean_member(shown, "huge", r->segment[i].huge);
        json_object_set_boolean_member(shown, "used", i < d->segments_used);
        if (r->segment[i].node != DOMAIN_NODE_ANY) {
            json_object_set_int_member(shown, "node", r->segment[i].node);
        }
        json_array_add_object_element(all, shown);
    }
    return all;
}

static JsonArray *show_ports(const RpcContext *context, const char *domain)
{
    JsonArray *ports = json_array_new();

    for (Port *p = switch_next_port(context->sw, NULL); p;
         p = switch_next_port(context->sw, p)) {
        if (!g_strcmp0(port_settings(p)->domain, domain)) {
            json_array_add_string_element(ports, port_name(p));
        }
    }
    return ports;
}

/* Ports whose NIC has buffers. */
static JsonArray *show_nics(const RpcContext *context, Domain *d)
{
    JsonArray *all = json_array_new();

    for (unsigned i = 0; i < d->holders->len; i++) {
        const DomainHolder *h = g_ptr_array_index(d->holders, i);
        JsonObject *shown = json_object_new();

        json_object_set_string_member(
            shown, "port", port_name(switch_port_by_id(context->sw, h->port)));
        json_object_set_int_member(
            shown, "buffers", __atomic_load_n(&h->buffers, __ATOMIC_RELAXED));
        pthread_mutex_lock(&d->lock);
        rpc_set_number(shown, "rx-moved-pkts", h->rx_moved_pkts);
        rpc_set_number(shown, "tx-moved-pkts", h->tx_moved_pkts);
        rpc_set_number(shown, "tx-copied-pkts", h->tx_copied_pkts);
        pthread_mutex_unlock(&d->lock);
        json_array_add_object_element(all, shown);
    }
    return all;
}

/* -- Members --------------------------------------------------------------- */

#define STAT(field, name) { name, offsetof(struct netvm_stats, field) }

static const struct {
    const char *name;
    size_t at;
} stats[] = {
    STAT(rx_pkts, "rx-pkts"),
    STAT(rx_bytes, "rx-bytes"),
    STAT(tx_pkts, "tx-pkts"),
    STAT(tx_bytes, "tx-bytes"),
    STAT(direct_pkts, "direct-pkts"),
    STAT(tx_full, "tx-full"),
    STAT(no_buffer, "no-buffer"),
    STAT(rx_bad, "rx-bad"),
    STAT(doorbells, "doorbells"),
    STAT(waits, "waits"),
    STAT(given_pkts, "given-pkts"),
    STAT(given_copied_pkts, "given-copied-pkts"),
    STAT(taken_pkts, "taken-pkts"),
    STAT(moved_pkts, "moved-pkts"),
    STAT(freed_buffers, "freed-buffers"),
    STAT(dropped_pkts, "dropped-pkts"),
    STAT(bad_descs, "bad-descs"),
};

/* They lie where members can write: numbers to be shown, and nothing else. */
static JsonObject *show_stats(const struct netvm_stats *from)
{
    JsonObject *shown = json_object_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(stats); i++) {
        const char *at = (const char *)from + stats[i].at;

        rpc_set_number(shown, stats[i].name,
                       netvm_read((const uint64_t *)at));
    }
    return shown;
}

/* Numbers of those who are there and may not know yet that it left. */
static JsonArray *show_unseen(const Domain *d, const DomainMember *m)
{
    JsonArray *numbers = json_array_new();

    for (uint64_t left = m->unseen & d->attached; left; left &= left - 1) {
        json_array_add_int_element(numbers, __builtin_ctzll(left));
    }
    return numbers;
}

static JsonObject *show_member(const RpcContext *context, const Domain *d,
                               const DomainMember *m)
{
    static const char *const state[] = {
        [MEMBER_JOINED] = "joined",
        [MEMBER_ATTACHED] = "attached",
        [MEMBER_LEAVING] = "leaving",
        [MEMBER_QUARANTINE] = "quarantine",
    };
    bool is_there = m->state == MEMBER_JOINED || m->state == MEMBER_ATTACHED;
    JsonObject *shown = json_object_new();

    json_object_set_int_member(shown, "number", m->number);
    json_object_set_string_member(shown, "state", state[m->state]);
    json_object_set_int_member(shown, "serial", m->serial);
    if (is_there) {
        /* Its port is there as long as it is. */
        json_object_set_string_member(
            shown, "port", port_name(switch_port_by_id(context->sw, m->port)));
    } else {
        json_object_set_array_member(shown, "unseen", show_unseen(d, m));
    }
    json_object_set_object_member(shown, "stats", show_stats(m->stats));
    return shown;
}

/* @owned is NULL: nobody has asked. */
static JsonArray *show_members(const RpcContext *context, const Domain *d,
                               const uint32_t *owned)
{
    JsonArray *members = json_array_new();

    for (unsigned i = 1; i <= d->region->layout.members; i++) {
        const DomainMember *m = &d->member[i];
        JsonObject *shown;

        if (m->state == MEMBER_FREE) {
            continue;
        }
        shown = show_member(context, d, m);
        if (owned) {
            json_object_set_int_member(shown, "owned-buffers", owned[i]);
        }
        json_array_add_object_element(members, shown);
    }
    return members;
}

static JsonObject *show_domain(const RpcContext *context, Domain *d,
                               bool with_owned)
{
    JsonObject *shown = json_object_new();
    uint32_t owned[NETVM_MEMBERS_MAX + 1];

    json_object_set_string_member(shown, "name", domain_name(d));
    json_object_set_object_member(
        shown, "settings",
        rpc_show_settings(&settings_of_domain, domain_settings(d)));
    rpc_set_number(shown, "memory-bytes", d->region->bytes);
    json_object_set_array_member(shown, "segments", show_segments(d));
    json_object_set_int_member(shown, "buffers", d->buffers);
    json_object_set_int_member(shown, "free-buffers", domain_free_buffers(d));
    if (with_owned) {
        domain_count_owned(d, owned);
        json_object_set_int_member(shown, "daemon-buffers",
                                   owned[NETVM_DAEMON]);
    }
    rpc_set_number(shown, "copied-pkts", domain_copies(d));
    rpc_set_number(shown, "reclaimed-buffers", d->reclaimed);
    rpc_set_number(shown, "quarantines", d->quarantines);
    json_object_set_array_member(shown, "ports",
                                 show_ports(context, domain_name(d)));
    json_object_set_array_member(shown, "nics", show_nics(context, d));
    json_object_set_int_member(shown, "direct-macs", d->macs->len);
    json_object_set_int_member(shown, "members-max",
                               d->region->layout.members);
    json_object_set_array_member(
        shown, "members", show_members(context, d, with_owned ? owned : NULL));
    return shown;
}

/* -- Methods --------------------------------------------------------------- */

JsonNode *rpc_domain_set(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    const char *name = rpc_string(params, "name", "");
    Domain *d = switch_find_domain(context->sw, name);
    DomainSettings s;

    if (!port_name_check(name, error)) {
        rpc_set_code(error, RPC_ERROR_PARAMS);
        return NULL;
    }
    if (d) {
        s = *domain_settings(d);
    } else {
        domain_settings_init(&s);
    }
    if (!rpc_read_settings(&settings_of_domain, &s,
                           json_object_get_object_member(params, "settings"),
                           error)) {
        return NULL;
    }
    if (d && !domain_settings_may_follow(domain_settings(d), &s, error)) {
        g_prefix_error(error, "domain %s: ", name);
        rpc_set_code(error, RPC_ERROR_SETTINGS);
        return NULL;
    }
    d = switch_set_domain(context->sw, name, &s, error);
    events_look(context->events);
    return d ? rpc_object(show_domain(context, d, false)) : NULL;
}

/* The domain of parameter "name"; NULL with @error set. */
static Domain *find(const RpcContext *context, JsonObject *params,
                    GError **error)
{
    const char *name = rpc_string(params, "name", "");
    Domain *d = switch_find_domain(context->sw, name);

    if (!d) {
        RPC_FAIL(error, NO_DOMAIN, "there is no domain '%s'; domain.list "
                 "shows all", name);
    }
    return d;
}

JsonNode *rpc_domain_remove(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    Domain *d = find(context, params, error);

    if (!d) {
        return NULL;
    }
    if (!switch_remove_domain(context->sw, domain_name(d), error)) {
        rpc_set_code(error, RPC_ERROR_SETTINGS);
        return NULL;
    }
    events_look(context->events);
    return rpc_true();
}

JsonNode *rpc_domain_list(void *opaque, JsonObject *params, GError **error)
{
    const RpcContext *context = opaque;
    bool owned = rpc_boolean(params, "owned", false);
    bool one = rpc_string(params, "name", NULL);
    Domain *only = one ? find(context, params, error) : NULL;
    JsonArray *all;

    if (one && !only) {
        return NULL;
    }
    all = json_array_new();
    for (Domain *d = switch_next_domain(context->sw, NULL); d;
         d = switch_next_domain(context->sw, d)) {
        if (!one || d == only) {
            json_array_add_object_element(all, show_domain(context, d, owned));
        }
    }
    return rpc_array(all);
}
