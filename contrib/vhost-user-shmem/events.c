/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <string.h>

#include "events.h"
#include "parse.h"
#include "rpc.h"
#include "rt-port.h"
#include "settings-kind.h"

#define LOOK_MS 100
#define MISS_INTERVAL_US G_USEC_PER_SEC

/* What was seen of a port at the last look. */
typedef struct SeenPort {
    char *name;
    const char *state;              /* constant */
    uint64_t connects, breaks;
    bool there;                     /* while it is looked who is gone */
} SeenPort;

/* Of a port, that a watcher was not told of yet. */
typedef struct Untold {
    RtMisses misses;
    char *port;
    int64_t next_us;                /* it may be told then */
} Untold;

struct EventsWatcher {
    Events *ev;
    void (*tell)(void *opaque, const char *event);
    void *opaque;
    GHashTable *untold;             /* port's serial: Untold */
};

struct Events {
    Switch *sw;
    GPtrArray *watchers;            /* of EventsWatcher */
    GHashTable *ports;              /* serial: SeenPort */
    GHashTable *tenants, *domains;  /* name: its settings as text */
    guint source;                   /* runs while somebody watches */
};

/* -- Telling --------------------------------------------------------------- */

#define PORT_ADDED "port-added"
#define PORT_REMOVED "port-removed"
#define PORT_STATE "port-state"
#define TENANT_ADDED "tenant-added"
#define TENANT_CHANGED "tenant-changed"
#define TENANT_REMOVED "tenant-removed"
#define DOMAIN_ADDED "domain-added"
#define DOMAIN_CHANGED "domain-changed"
#define DOMAIN_REMOVED "domain-removed"
#define DEADLINE_MISS "deadline-miss"

const char *const *events_names(void)
{
    static const char *const names[] = {
        PORT_ADDED, PORT_REMOVED, PORT_STATE, TENANT_ADDED, TENANT_CHANGED,
        TENANT_REMOVED, DOMAIN_ADDED, DOMAIN_CHANGED, DOMAIN_REMOVED,
        DEADLINE_MISS, NULL,
    };

    return names;
}

/* "port", "tenant" or "domain", as @key, is its @name. */
static JsonObject *begin(const char *event, const char *key, const char *name)
{
    JsonObject *params = json_object_new();

    json_object_set_string_member(params, "event", event);
    json_object_set_int_member(params, "time-us", g_get_real_time());
    json_object_set_string_member(params, key, name);
    return params;
}

/* Takes @params. */
static char *text_of(JsonObject *params)
{
    g_autoptr(JsonObject) all = json_object_new();
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);

    json_object_set_string_member(all, "jsonrpc", "2.0");
    json_object_set_string_member(all, "method", "event");
    json_object_set_object_member(all, "params", params);
    json_node_set_object(node, all);
    return json_to_string(node, false);
}

/* Takes @params. */
static void tell_all(Events *ev, JsonObject *params)
{
    g_autofree char *text = text_of(params);

    for (unsigned i = 0; i < ev->watchers->len; i++) {
        EventsWatcher *w = g_ptr_array_index(ev->watchers, i);

        w->tell(w->opaque, text);
    }
}

/* -- Ports ----------------------------------------------------------------- */

static void free_seen_port(void *opaque)
{
    SeenPort *seen = opaque;

    g_free(seen->name);
    g_free(seen);
}

static SeenPort *find_port(Events *ev, const Port *p)
{
    uint64_t serial = port_serial(p);

    return g_hash_table_lookup(ev->ports, &serial);
}

static SeenPort *note_port(Events *ev, Port *p)
{
    SeenPort *seen = g_new0(SeenPort, 1);
    uint64_t serial = port_serial(p);

    seen->name = g_strdup(port_name(p));
    g_hash_table_insert(ev->ports, g_memdup2(&serial, sizeof(serial)), seen);
    return seen;
}

static void note_state(Events *ev, Port *p, SeenPort *seen,
                       PortStatus *status)
{
    switch_port_status(ev->sw, p, status);
    seen->state = port_state(p, status);
    seen->connects = status->connects;
    seen->breaks = status->breaks;
}

static void tell_added(Events *ev, Port *p, const SeenPort *seen)
{
    JsonObject *params = begin(PORT_ADDED, "port", seen->name);

    json_object_set_string_member(params, "type", port_settings(p)->type);
    json_object_set_string_member(params, "state", seen->state);
    tell_all(ev, params);
}

static void tell_state(Events *ev, const SeenPort *before,
                       const SeenPort *seen, const char *broken)
{
    JsonObject *params = begin(PORT_STATE, "port", seen->name);

    json_object_set_string_member(params, "state", seen->state);
    json_object_set_string_member(params, "before", before->state);
    json_object_set_int_member(params, "connects", seen->connects);
    json_object_set_int_member(params, "breaks", seen->breaks);
    if (seen->breaks != before->breaks && broken) {
        json_object_set_string_member(params, "broken", broken);
    }
    tell_all(ev, params);
}

static void look_at_port(Events *ev, Port *p)
{
    SeenPort *seen = find_port(ev, p), before;
    PortStatus status;

    if (!seen) {
        seen = note_port(ev, p);
        note_state(ev, p, seen, &status);
        tell_added(ev, p, seen);
        return;
    }
    before = *seen;
    note_state(ev, p, seen, &status);
    if (strcmp(before.state, seen->state) ||
        before.connects != seen->connects || before.breaks != seen->breaks) {
        tell_state(ev, &before, seen, status.broken);
    }
}

/* A name that comes again is told as gone first. */
static void look_for_gone_ports(Events *ev)
{
    GHashTableIter i;
    SeenPort *seen;

    for (Port *p = switch_next_port(ev->sw, NULL); p;
         p = switch_next_port(ev->sw, p)) {
        seen = find_port(ev, p);
        if (seen) {
            seen->there = true;
        }
    }
    g_hash_table_iter_init(&i, ev->ports);
    while (g_hash_table_iter_next(&i, NULL, (void **)&seen)) {
        if (!seen->there) {
            tell_all(ev, begin(PORT_REMOVED, "port", seen->name));
            g_hash_table_iter_remove(&i);
        } else {
            seen->there = false;
        }
    }
}

static void look_at_ports(Events *ev)
{
    look_for_gone_ports(ev);
    for (Port *p = switch_next_port(ev->sw, NULL); p;
         p = switch_next_port(ev->sw, p)) {
        look_at_port(ev, p);
    }
}

/* -- Tenants and domains --------------------------------------------------- */

/* "KEY=VALUE,": the caller frees it. */
static char *describe(const SettingsKind *kind, const void *settings)
{
    GString *text = g_string_new(NULL);

    for (const char *const *key = kind->keys(); *key; key++) {
        g_autofree char *value = kind->get(settings, *key);

        if (value) {
            g_string_append_printf(text, "%s=%s,", *key, value);
        }
    }
    return g_string_free(text, false);
}

static void look_at_one(Events *ev, GHashTable *seen, const SettingsKind *kind,
                        const char *name, const void *settings,
                        const char *added, const char *changed)
{
    const char *before = g_hash_table_lookup(seen, name);
    char *now = describe(kind, settings);

    if (!before) {
        tell_all(ev, begin(added, kind->what, name));
    } else if (strcmp(before, now)) {
        tell_all(ev, begin(changed, kind->what, name));
    }
    g_hash_table_insert(seen, g_strdup(name), now);
}

static void look_at_tenants(Events *ev)
{
    GHashTableIter i;
    const char *name;

    g_hash_table_iter_init(&i, ev->tenants);
    while (g_hash_table_iter_next(&i, (void **)&name, NULL)) {
        if (!switch_find_tenant(ev->sw, name)) {
            tell_all(ev, begin(TENANT_REMOVED, "tenant", name));
            g_hash_table_iter_remove(&i);
        }
    }
    for (Tenant *t = switch_next_tenant(ev->sw, NULL); t;
         t = switch_next_tenant(ev->sw, t)) {
        look_at_one(ev, ev->tenants, &settings_of_tenant, tenant_name(t),
                    tenant_settings(t), TENANT_ADDED, TENANT_CHANGED);
    }
}

static void look_at_domains(Events *ev)
{
    GHashTableIter i;
    const char *name;

    g_hash_table_iter_init(&i, ev->domains);
    while (g_hash_table_iter_next(&i, (void **)&name, NULL)) {
        if (!switch_find_domain(ev->sw, name)) {
            tell_all(ev, begin(DOMAIN_REMOVED, "domain", name));
            g_hash_table_iter_remove(&i);
        }
    }
    for (Domain *d = switch_next_domain(ev->sw, NULL); d;
         d = switch_next_domain(ev->sw, d)) {
        look_at_one(ev, ev->domains, &settings_of_domain, domain_name(d),
                    domain_settings(d), DOMAIN_ADDED, DOMAIN_CHANGED);
    }
}

/* -- Misses ---------------------------------------------------------------- */

static void set_ip(JsonObject *params, const char *name, int family,
                   const uint8_t *address)
{
    char text[INET6_ADDRSTRLEN];

    inet_ntop(family, address, text, sizeof(text));
    json_object_set_string_member(params, name, text);
}

/* What had a trailer was IP, so its header is all there. */
static void set_addresses(JsonObject *params, const uint8_t *frame,
                          const uint8_t *ip)
{
    char mac[MAC_TEXT_BYTES];
    bool v4 = ip[0] >> 4 == 4;

    format_mac(frame + 6, mac);
    json_object_set_string_member(params, "source-mac", mac);
    format_mac(frame, mac);
    json_object_set_string_member(params, "destination-mac", mac);
    set_ip(params, "source", v4 ? AF_INET : AF_INET6, ip + (v4 ? 12 : 8));
    set_ip(params, "destination", v4 ? AF_INET : AF_INET6,
           ip + (v4 ? 16 : 24));
    json_object_set_int_member(params, "protocol", ip[v4 ? 9 : 6]);
}

/* As QEMU's RTNET_DEADLINE_MISS. */
static void tell_misses(EventsWatcher *w, Untold *untold, int64_t now_us)
{
    const RtMisses *m = &untold->misses;
    const RtTrailer *t = &m->last.trailer;
    JsonObject *params = begin(DEADLINE_MISS, "port", untold->port);
    g_autofree char *text = NULL;

    rpc_set_number(params, "count", m->missed_pkts);
    rpc_set_number(params, "exceeded-ns", m->last.exceeded_ns);
    json_object_set_int_member(params, "deadline-ns", t->deadline_ns);
    json_object_set_boolean_member(params, "late-at-departure",
                                   t->flags & RT_TRAILER_F_LATE);
    json_object_set_int_member(params, "dscp", m->last.wire_dscp);
    set_addresses(params, m->head, m->head + m->last.l2_bytes);
    json_object_set_int_member(params, "source-id", t->source_id);
    json_object_set_int_member(params, "sequence", t->sequence);
    text = text_of(params);
    w->tell(w->opaque, text);
    untold->misses.missed_pkts = 0;
    untold->next_us = now_us + MISS_INTERVAL_US;
}

static void free_untold(void *opaque)
{
    Untold *untold = opaque;

    g_free(untold->port);
    g_free(untold);
}

static void add_untold(EventsWatcher *w, const Port *p, const RtMisses *more)
{
    uint64_t serial = port_serial(p), before;
    Untold *untold = g_hash_table_lookup(w->untold, &serial);

    if (!untold) {
        untold = g_new0(Untold, 1);
        untold->port = g_strdup(port_name(p));
        g_hash_table_insert(w->untold, g_memdup2(&serial, sizeof(serial)),
                            untold);
    }
    before = untold->misses.missed_pkts;
    untold->misses = *more;
    untold->misses.missed_pkts += before;
}

/* Every watcher has them then. */
static void take_misses(Events *ev, Port *p)
{
    RtMisses misses;

    if (!switch_take_misses(ev->sw, p, &misses)) {
        return;
    }
    for (unsigned i = 0; i < ev->watchers->len; i++) {
        add_untold(g_ptr_array_index(ev->watchers, i), p, &misses);
    }
}

static void tell_untold(EventsWatcher *w, int64_t now_us)
{
    GHashTableIter i;
    Untold *untold;

    g_hash_table_iter_init(&i, w->untold);
    while (g_hash_table_iter_next(&i, NULL, (void **)&untold)) {
        if (untold->misses.missed_pkts > 0 && now_us >= untold->next_us) {
            tell_misses(w, untold, now_us);
        }
    }
}

static void look_at_misses(Events *ev)
{
    int64_t now_us = g_get_monotonic_time();

    for (Port *p = switch_next_port(ev->sw, NULL); p;
         p = switch_next_port(ev->sw, p)) {
        take_misses(ev, p);
    }
    for (unsigned i = 0; i < ev->watchers->len; i++) {
        tell_untold(g_ptr_array_index(ev->watchers, i), now_us);
    }
}

/* All of a port that is about to go. */
static void tell_last_misses(Events *ev, Port *p)
{
    uint64_t serial = port_serial(p);

    take_misses(ev, p);
    for (unsigned i = 0; i < ev->watchers->len; i++) {
        EventsWatcher *w = g_ptr_array_index(ev->watchers, i);
        Untold *untold = g_hash_table_lookup(w->untold, &serial);

        if (untold && untold->misses.missed_pkts > 0) {
            tell_misses(w, untold, 0);
        }
        g_hash_table_remove(w->untold, &serial);
    }
}

void events_remove_port(Events *ev, Switch *sw, Port *p)
{
    switch_still_port(sw, p);
    if (ev) {
        tell_last_misses(ev, p);
    }
    switch_remove_port(sw, port_name(p), NULL);
}

/* -- Looking --------------------------------------------------------------- */

static void look(Events *ev)
{
    look_at_tenants(ev);
    look_at_domains(ev);
    look_at_ports(ev);
    look_at_misses(ev);
}

void events_look(Events *ev)
{
    if (ev && ev->watchers->len > 0) {
        look(ev);
    }
}

static gboolean on_time(void *opaque)
{
    look(opaque);
    return G_SOURCE_CONTINUE;
}

/* -- Watchers -------------------------------------------------------------- */

EventsWatcher *events_watch(Events *ev,
                            void (*tell)(void *opaque, const char *event),
                            void *opaque)
{
    EventsWatcher *w = g_new0(EventsWatcher, 1);

    w->ev = ev;
    w->tell = tell;
    w->opaque = opaque;
    w->untold = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                      free_untold);
    if (ev->watchers->len == 0) {
        ev->source = g_timeout_add(LOOK_MS, on_time, ev);
    }
    /* What was before is for those who watched before, if there are any. */
    look(ev);
    g_ptr_array_add(ev->watchers, w);
    return w;
}

void events_unwatch(EventsWatcher *w)
{
    Events *ev = w->ev;

    g_ptr_array_remove_fast(ev->watchers, w);
    g_hash_table_unref(w->untold);
    g_free(w);
    if (ev->watchers->len == 0) {
        g_clear_handle_id(&ev->source, g_source_remove);
    }
}

/* -- Life ------------------------------------------------------------------ */

Events *events_new(Switch *sw)
{
    Events *ev = g_new0(Events, 1);

    ev->sw = sw;
    ev->watchers = g_ptr_array_new();
    ev->ports = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                      free_seen_port);
    ev->tenants = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                        g_free);
    ev->domains = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                        g_free);
    return ev;
}

void events_free(Events *ev)
{
    if (ev) {
        g_assert(ev->watchers->len == 0);
        g_ptr_array_unref(ev->watchers);
        g_hash_table_unref(ev->ports);
        g_hash_table_unref(ev->tenants);
        g_hash_table_unref(ev->domains);
        g_free(ev);
    }
}
