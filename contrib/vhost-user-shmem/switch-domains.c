/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domains of a switch (netvm/domain.h).
 *
 * Threads: the control thread.
 */
#include <string.h>

#include "netvm-flow.h"
#include "netvm/domain.h"
#include "switch-impl.h"

static void free_domain(void *opaque)
{
    domain_free(opaque);
}

void switch_init_domains(Switch *sw)
{
    sw->domains = g_ptr_array_new_with_free_func(free_domain);
}

void switch_free_domains(Switch *sw)
{
    g_ptr_array_free(sw->domains, true);
}

static Domain *add_domain(Switch *sw, const char *name,
                          const DomainSettings *settings, GError **error)
{
    Domain *d;

    if (!port_name_check(name, error)) {
        return NULL;
    }
    d = domain_new(name, settings, error);
    if (d) {
        g_ptr_array_add(sw->domains, d);
    }
    return d;
}

Domain *switch_set_domain(Switch *sw, const char *name,
                          const DomainSettings *settings, GError **error)
{
    Domain *d = switch_find_domain(sw, name);

    if (!d) {
        return add_domain(sw, name, settings, error);
    }
    if (!domain_settings_may_follow(&d->settings, settings, error) ||
        !domain_region_check_node(settings->node, error) ||
        (settings->buffers > domain_buffers(d) &&
         !domain_grow(d, settings->buffers - domain_buffers(d), settings->node,
                      error))) {
        g_prefix_error(error, "domain %s: ", name);
        return NULL;
    }
    d->settings = *settings;
    return d;
}

bool switch_remove_domain(Switch *sw, const char *name, GError **error)
{
    Domain *d = switch_find_domain(sw, name);

    if (!d) {
        SET_ERROR(error, "there is no domain %s", name);
        return false;
    }
    if (d->ports > 0) {
        SET_ERROR(error, "domain %s has ports (%u): remove them first", name,
                  d->ports);
        return false;
    }
    g_ptr_array_remove(sw->domains, d);
    return true;
}

Domain *switch_find_domain(Switch *sw, const char *name)
{
    for (unsigned i = 0; i < sw->domains->len; i++) {
        Domain *d = g_ptr_array_index(sw->domains, i);

        if (!strcmp(d->name, name)) {
            return d;
        }
    }
    return NULL;
}

Domain *domain_of_port(const Port *p, GError **error)
{
    Domain *d = switch_find_domain(p->sw, p->settings.domain);

    if (!d) {
        SET_ERROR(error, "there is no domain %s: add it first",
                  p->settings.domain);
    }
    return d;
}

/* -- Addresses that members may send to directly --------------------------- */

/*
 * Does a port of a member do nothing to packets between members that would not
 * happen if they went directly?  What is not known to be harmless is not: its
 * VLANs, filters, mirrors, rates, limits and deadlines are all of the daemon's
 * doing.  mac= is not asked of the sender: members trust each other.
 */
static bool is_plain(const Port *p)
{
    static const char *const harmless[] = {
        "type", "socket", "client", "domain", "service", "outs", "link", "mac",
        "max-macs", NULL,
    };

    if (p->shown_by_n > 0) {
        return false;
    }
    for (const char *const *key = port_settings_keys(); *key; key++) {
        g_autofree char *value = port_settings_get(&p->settings, *key);

        if (value && !g_strv_contains(harmless, *key)) {
            return false;
        }
    }
    return true;
}

/* One table is for all of them, so it is empty if one of them is not plain. */
static bool all_are_plain(const Switch *sw, const Domain *d)
{
    for (unsigned i = 0; i < sw->ports->len; i++) {
        const Port *p = g_ptr_array_index(sw->ports, i);

        if (p->ops == &port_netvm_ops &&
            !strcmp(p->settings.domain, d->name) && !is_plain(p)) {
            return false;
        }
    }
    return true;
}

static void add_fixed(const FdbShown *e, void *opaque)
{
    if (e->is_static) {
        g_array_append_vals(opaque, e, 1);
    }
}

/* Does another port say that it has @mac, or is it fixed there? */
static bool is_elsewhere(const Switch *sw, const Port *p, const uint8_t *mac,
                         const GArray *fixed)
{
    for (unsigned i = 0; i < fixed->len; i++) {
        const FdbShown *e = &g_array_index(fixed, FdbShown, i);

        if (e->port != p->id && !memcmp(e->mac, mac, sizeof(e->mac))) {
            return true;
        }
    }
    for (unsigned i = 0; i < sw->ports->len; i++) {
        const Port *other = g_ptr_array_index(sw->ports, i);

        for (unsigned k = 0; other != p && k < other->settings.macs; k++) {
            if (!memcmp(other->settings.mac[k], mac, 6)) {
                return true;
            }
        }
    }
    return false;
}

static void add_macs(const Switch *sw, const DomainMember *m,
                     const GArray *fixed, GArray *macs)
{
    const Port *p = sw->by_id[m->port];

    for (unsigned i = 0; i < p->settings.macs; i++) {
        const uint8_t *mac = p->settings.mac[i];
        DomainMac one = {
            netvm_flow_mac_key(mac), NETVM_VALUE_MEMBER(m->number),
        };

        if (!(mac[0] & 1) && !is_elsewhere(sw, p, mac, fixed)) {
            g_array_append_val(macs, one);
        }
    }
}

void switch_show_macs(Switch *sw)
{
    g_autoptr(GArray) fixed = g_array_new(false, false, sizeof(FdbShown));

    if (sw->domains->len > 0) {
        switch_fdb_foreach(sw, add_fixed, fixed);
    }
    for (unsigned i = 0; i < sw->domains->len; i++) {
        Domain *d = g_ptr_array_index(sw->domains, i);
        g_autoptr(GArray) macs = g_array_new(false, false, sizeof(DomainMac));

        bool directly = d->region->layout.direct && all_are_plain(sw, d);

        for (unsigned k = 1; directly && k <= d->region->layout.members; k++) {
            if (d->member[k].state == MEMBER_ATTACHED) {
                add_macs(sw, &d->member[k], fixed, macs);
            }
        }
        domain_show_macs(d, (DomainMac *)macs->data, macs->len);
    }
}

/* -- All of them ----------------------------------------------------------- */

Domain *switch_next_domain(Switch *sw, Domain *after)
{
    guint i = 0;

    if (after) {
        if (!g_ptr_array_find(sw->domains, after, &i)) {
            return NULL;
        }
        i++;
    }
    return i < sw->domains->len ? g_ptr_array_index(sw->domains, i) : NULL;
}

const char *domain_name(const Domain *d)
{
    return d->name;
}

const DomainSettings *domain_settings(const Domain *d)
{
    return &d->settings;
}
