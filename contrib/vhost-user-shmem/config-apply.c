/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "config-apply.h"
#include "parse.h"
#include "settings-kind.h"

typedef struct Applying {
    const DaemonConfig *to;
    const DaemonConfig *from;
    Switch *sw;
    Events *events;
    GPtrArray *changes;         /* of ConfigChange */
    GPtrArray *again;           /* names of ports to be added again */
} Applying;

/* -- Configurations -------------------------------------------------------- */

typedef struct Copying {
    DaemonConfig *config;
    Switch *sw;
} Copying;

static void copy_address(const FdbShown *e, void *opaque)
{
    const Copying *copying = opaque;
    Port *p = switch_port_by_id(copying->sw, e->port);

    if (e->is_static && p) {
        daemon_config_add_address(copying->config, e->mac, e->vlan,
                                  port_name(p));
    }
}

static int compare_addresses(const void *one, const void *other)
{
    const ConfigAddress *a = *(const ConfigAddress *const *)one;
    const ConfigAddress *b = *(const ConfigAddress *const *)other;

    return a->vlan != b->vlan ? a->vlan - b->vlan : memcmp(a->mac, b->mac, 6);
}

DaemonConfig *config_of_switch(Switch *sw)
{
    DaemonConfig *c = daemon_config_new();
    Copying copying = { c, sw };

    g_free(c->sw.state_dir);
    c->sw = *switch_config(sw);
    c->sw.state_dir = g_strdup(c->sw.state_dir);
    for (Tenant *t = switch_next_tenant(sw, NULL); t;
         t = switch_next_tenant(sw, t)) {
        daemon_config_set_tenant(c, tenant_name(t), tenant_settings(t));
    }
    for (Domain *d = switch_next_domain(sw, NULL); d;
         d = switch_next_domain(sw, d)) {
        daemon_config_set_domain(c, domain_name(d), domain_settings(d));
    }
    for (Port *p = switch_next_port(sw, NULL); p;
         p = switch_next_port(sw, p)) {
        daemon_config_add_port(c, port_name(p), port_settings(p));
    }
    switch_fdb_foreach(sw, copy_address, &copying);
    g_ptr_array_sort(c->addresses, compare_addresses);
    return c;
}

DaemonConfig *config_copy(const DaemonConfig *c)
{
    DaemonConfig *copy = daemon_config_new();

    g_free(copy->sw.state_dir);
    copy->sw = c->sw;
    copy->sw.state_dir = g_strdup(c->sw.state_dir);
    copy->control = g_strdup(c->control);
    copy->metrics_port = c->metrics_port;
    for (unsigned i = 0; i < c->tenants->len; i++) {
        const ConfigTenant *t = g_ptr_array_index(c->tenants, i);

        daemon_config_set_tenant(copy, t->name, &t->settings);
    }
    for (unsigned i = 0; i < c->domains->len; i++) {
        const ConfigDomain *d = g_ptr_array_index(c->domains, i);

        daemon_config_set_domain(copy, d->name, &d->settings);
    }
    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(c->ports, i);

        daemon_config_add_port(copy, p->name, &p->settings);
    }
    for (unsigned i = 0; i < c->addresses->len; i++) {
        const ConfigAddress *a = g_ptr_array_index(c->addresses, i);

        daemon_config_add_address(copy, a->mac, a->vlan, a->port);
    }
    return copy;
}

void config_add_contracts(DaemonConfig *c, Switch *sw)
{
    for (unsigned i = 0; i < c->ports->len; i++) {
        ConfigPort *port = g_ptr_array_index(c->ports, i);
        Port *p = switch_find_port(sw, port->name);
        PortSettings effective;

        if (p && port_has_contract(p) &&
            port_settings_may_follow(port_settings(p), &port->settings,
                                     NULL)) {
            port_effective_settings(p, &port->settings, &effective);
            port_settings_clear(&port->settings);
            port->settings = effective;
        }
    }
}

/* -- What is done ---------------------------------------------------------- */

static void free_change(void *opaque)
{
    ConfigChange *c = opaque;

    g_free(c->name);
    g_free(c->keys);
    g_free(c->error);
    g_free(c);
}

/* Takes @keys (NULL: none) and @error (NULL: it is done). */
static void note(Applying *a, const char *what, const char *name,
                 const char *change, char *keys, GError *error)
{
    ConfigChange *c = g_new(ConfigChange, 1);

    *c = (ConfigChange) {
        .what = what,
        .name = g_strdup(name),
        .change = change,
        .keys = keys,
        .error = error ? g_strdup(error->message) : NULL,
    };
    g_clear_error(&error);
    g_ptr_array_add(a->changes, c);
}

/* Names of those words whose values differ, with commas; NULL: none. */
static char *differing(const SettingsKind *kind, const void *one,
                       const void *other)
{
    g_autoptr(GString) all = g_string_new(NULL);

    for (const char *const *key = kind->keys(); *key; key++) {
        g_autofree char *a = kind->get(one, *key);
        g_autofree char *b = kind->get(other, *key);

        if (g_strcmp0(a, b)) {
            g_string_append_printf(all, "%s%s", all->len ? "," : "", *key);
        }
    }
    return all->len ? g_strdup(all->str) : NULL;
}

static char *differing_of_ports(const PortSettings *a, const PortSettings *b)
{
    return differing(&settings_of_port, a, b);
}

/* -- Tenants --------------------------------------------------------------- */

static void set_tenants(Applying *a)
{
    for (unsigned i = 0; i < a->to->tenants->len; i++) {
        const ConfigTenant *t = g_ptr_array_index(a->to->tenants, i);
        const ConfigTenant *old = daemon_config_find_tenant(a->from, t->name);
        char *keys = old ? differing(&settings_of_tenant, &old->settings,
                                     &t->settings) : NULL;
        GError *error = NULL;

        if (!old || keys) {
            switch_set_tenant(a->sw, t->name, &t->settings, &error);
            note(a, "tenant", t->name, old ? "changed" : "added", keys, error);
        }
    }
}

static void remove_tenants(Applying *a)
{
    for (unsigned i = 0; i < a->from->tenants->len; i++) {
        const ConfigTenant *t = g_ptr_array_index(a->from->tenants, i);
        GError *error = NULL;

        if (!daemon_config_find_tenant(a->to, t->name)) {
            switch_remove_tenant(a->sw, t->name, &error);
            note(a, "tenant", t->name, "removed", NULL, error);
        }
    }
}

/* -- Domains --------------------------------------------------------------- */

/* Else it goes, and may come again as another one. */
static bool lives_on(const Applying *a, const ConfigDomain *d)
{
    const ConfigDomain *new = daemon_config_find_domain(a->to, d->name);

    return new && domain_settings_may_follow(&d->settings, &new->settings,
                                             NULL);
}

/* Their ports have gone before. */
static void remove_domains(Applying *a)
{
    for (unsigned i = 0; i < a->from->domains->len; i++) {
        const ConfigDomain *d = g_ptr_array_index(a->from->domains, i);
        bool comes_again = daemon_config_find_domain(a->to, d->name);
        GError *error = NULL;

        if (lives_on(a, d)) {
            continue;
        }
        /* If it stays, what is to come again says why it cannot. */
        switch_remove_domain(a->sw, d->name, comes_again ? NULL : &error);
        if (!comes_again) {
            note(a, "domain", d->name, "removed", NULL, error);
        }
    }
}

static void set_domains(Applying *a)
{
    for (unsigned i = 0; i < a->to->domains->len; i++) {
        const ConfigDomain *d = g_ptr_array_index(a->to->domains, i);
        const ConfigDomain *old = daemon_config_find_domain(a->from, d->name);
        char *keys = old ? differing(&settings_of_domain, &old->settings,
                                     &d->settings) : NULL;
        GError *error = NULL;

        if (!old || keys) {
            switch_set_domain(a->sw, d->name, &d->settings, &error);
            note(a, "domain", d->name,
                 !old ? "added" : lives_on(a, old) ? "changed" : "replaced",
                 keys, error);
        }
    }
}

/* -- Ports ----------------------------------------------------------------- */

static void remove_port(Applying *a, const char *name)
{
    events_remove_port(a->events, a->sw, switch_find_port(a->sw, name));
}

/* It goes, and comes again as another one. */
static void replace_port(Applying *a, const char *name)
{
    remove_port(a, name);
    g_ptr_array_add(a->again, (char *)name);
}

/* Its domain's memory is gone, or will be. */
static bool loses_domain(const Applying *a, const ConfigPort *p)
{
    const char *name = p->settings.domain;
    const ConfigDomain *d = name ? daemon_config_find_domain(a->from, name)
                                 : NULL;

    return d && !lives_on(a, d);
}

static void remove_ports(Applying *a)
{
    for (unsigned i = 0; i < a->from->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(a->from->ports, i);
        const ConfigPort *new = daemon_config_find_port(a->to, p->name);

        if (!new) {
            remove_port(a, p->name);
            note(a, "port", p->name, "removed", NULL, NULL);
        } else if (loses_domain(a, p) ||
                   !port_settings_may_follow(&p->settings, &new->settings,
                                             NULL)) {
            replace_port(a, p->name);
        }
    }
}

/* False: not now, for another port is in its way. */
static bool set_port(Applying *a, const ConfigPort *p, char *keys)
{
    if (!switch_set_port(a->sw, p->name, &p->settings, NULL)) {
        return false;
    }
    note(a, "port", p->name, "changed", g_strdup(keys), NULL);
    return true;
}

/* One turn; how many were set, and how many could not be. */
static unsigned set_some_ports(Applying *a, unsigned *left)
{
    unsigned n = 0;

    *left = 0;
    for (unsigned i = 0; i < a->to->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(a->to->ports, i);
        Port *now = switch_find_port(a->sw, p->name);
        g_autofree char *keys = now ? differing_of_ports(port_settings(now),
                                                         &p->settings) : NULL;

        if (keys) {
            bool is_set = set_port(a, p, keys);

            n += is_set;
            *left += !is_set;
        }
    }
    return n;
}

/*
 * What one port shows another one may have to let go first (PORT_MAX_MIRRORS):
 * so those that cannot be set come again behind the others, and if they wait
 * for each other, they are replaced.
 */
static void set_ports(Applying *a)
{
    unsigned left;

    while (set_some_ports(a, &left) > 0 && left > 0) {
    }
    for (unsigned i = 0; left > 0 && i < a->to->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(a->to->ports, i);
        Port *now = switch_find_port(a->sw, p->name);
        g_autofree char *keys = now ? differing_of_ports(port_settings(now),
                                                         &p->settings) : NULL;

        if (keys) {
            replace_port(a, p->name);
        }
    }
}

static bool is_again(const Applying *a, const char *name)
{
    return g_ptr_array_find_with_equal_func(a->again, name, g_str_equal, NULL);
}

static void add_ports(Applying *a)
{
    for (unsigned i = 0; i < a->to->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(a->to->ports, i);
        const ConfigPort *old = is_again(a, p->name)
            ? daemon_config_find_port(a->from, p->name) : NULL;
        GError *error = NULL;

        if (!switch_find_port(a->sw, p->name)) {
            switch_add_port(a->sw, p->name, &p->settings, &error);
            note(a, "port", p->name, old ? "replaced" : "added",
                 old ? differing_of_ports(&old->settings, &p->settings) : NULL,
                 error);
        }
    }
}

/* -- Addresses ------------------------------------------------------------- */

static const ConfigAddress *find_address(const DaemonConfig *c,
                                         const ConfigAddress *which)
{
    for (unsigned i = 0; i < c->addresses->len; i++) {
        const ConfigAddress *a = g_ptr_array_index(c->addresses, i);

        if (a->vlan == which->vlan && !memcmp(a->mac, which->mac, 6)) {
            return a;
        }
    }
    return NULL;
}

static void note_address(Applying *a, const ConfigAddress *address,
                         const char *change, GError *error)
{
    g_autofree char *name = format_mac_vlan(address->mac, address->vlan);

    note(a, "address", name, change, NULL, error);
}

static void unset_addresses(Applying *a)
{
    for (unsigned i = 0; i < a->from->addresses->len; i++) {
        const ConfigAddress *old = g_ptr_array_index(a->from->addresses, i);

        if (!find_address(a->to, old)) {
            /* Or it has gone with its port. */
            switch_fdb_unset(a->sw, old->mac, old->vlan, NULL);
            note_address(a, old, "removed", NULL);
        }
    }
}

/* Those of replaced ports have to be set again, and are no change. */
static void set_addresses(Applying *a)
{
    g_autoptr(DaemonConfig) now = config_of_switch(a->sw);

    for (unsigned i = 0; i < a->to->addresses->len; i++) {
        const ConfigAddress *new = g_ptr_array_index(a->to->addresses, i);
        const ConfigAddress *set = find_address(now, new);
        const ConfigAddress *old = find_address(a->from, new);
        Port *p = switch_find_port(a->sw, new->port);
        GError *error = NULL;

        if (set && !strcmp(set->port, new->port)) {
            continue;
        }
        if (p) {
            switch_fdb_set(a->sw, p, new->mac, new->vlan, &error);
        } else {
            g_set_error(&error, SWITCH_ERROR, 0, "port %s could not be added",
                        new->port);
        }
        if (error || !old || strcmp(old->port, new->port)) {
            note_address(a, new, old ? "changed" : "added", error);
        }
    }
}

/* -- All together ---------------------------------------------------------- */

/* Ports change from one tenant to another while both are there. */
static bool check_tenants(const Applying *a, GError **error)
{
    unsigned n = a->to->tenants->len;

    for (unsigned i = 0; i < a->from->tenants->len; i++) {
        const ConfigTenant *t = g_ptr_array_index(a->from->tenants, i);

        n += !daemon_config_find_tenant(a->to, t->name);
    }
    if (n > SWITCH_MAX_TENANTS) {
        g_set_error(error, DAEMON_CONFIG_ERROR, 0, "those tenants that go and "
                    "those that come are %u together, and there can be %d at "
                    "a time: remove some first", n, SWITCH_MAX_TENANTS);
        return false;
    }
    return true;
}

GPtrArray *config_apply(const DaemonConfig *to, Switch *sw, Events *ev,
                        GError **error)
{
    g_autoptr(DaemonConfig) from = config_of_switch(sw);
    g_autoptr(GPtrArray) again = g_ptr_array_new();
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(free_change);
    Applying a = {
        .to = to, .from = from, .sw = sw, .events = ev, .changes = changes,
        .again = again,
    };

    if (!check_tenants(&a, error)) {
        return NULL;
    }
    set_tenants(&a);
    remove_ports(&a);
    remove_domains(&a);
    set_domains(&a);
    set_ports(&a);
    add_ports(&a);
    remove_tenants(&a);
    unset_addresses(&a);
    set_addresses(&a);
    events_look(ev);
    return g_steal_pointer(&changes);
}

bool config_fill(const DaemonConfig *to, Switch *sw, GError **error)
{
    g_autoptr(GPtrArray) changes = config_apply(to, sw, NULL, error);

    for (unsigned i = 0; changes && i < changes->len; i++) {
        const ConfigChange *change = g_ptr_array_index(changes, i);

        if (change->error) {
            g_set_error(error, SWITCH_ERROR, 0, "%s", change->error);
            return false;
        }
    }
    return changes;
}
