/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domains of a switch (netvm/domain.h).
 *
 * Threads: the control thread.
 */
#include <string.h>

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
        (settings->buffers > domain_buffers(d) &&
         !domain_grow(d, settings->buffers - domain_buffers(d), error))) {
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
