/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A switch from within.
 *
 * Threads: the control thread.
 */
#ifndef VUS_SWITCH_IMPL_H
#define VUS_SWITCH_IMPL_H

#include "tenant-link.h"
#include "worker.h"

struct Tenant {
    char *name;
    unsigned id;                    /* group in shapers */
    TenantSettings settings;
    Limit limit;
    TenantLink *link;               /* NULL: no rx-limit */
    Sleeper *server;                /* of that */
};

struct Switch {
    SwitchConfig cfg;
    Datapath dp;
    unsigned workers;
    Worker *worker[SWITCH_MAX_WORKERS];
    Forwarder *own;                 /* for what the control thread sends */
    GPtrArray *ports;               /* in the order in which they were added */
    uint64_t ports_ever;
    GPtrArray *tenants;
    GPtrArray *domains;
    Port *by_id[SWITCH_MAX_PORTS];
    guint tick_source, broken_source;
};

/* -- switch-links.c -------------------------------------------------------- */

/* Ports, or what they say of each other, have changed. */
void switch_link_ports(Switch *sw);

/* Are those that @name will show shown by few enough others? */
bool switch_may_mirror(Switch *sw, const char *name, const PortSettings *s,
                       GError **error);

/* -- switch-qos.c ---------------------------------------------------------- */

/* What @p's settings say of its link; the port is still. */
void port_apply_rate(Port *p);
void port_apply_deadlines(Port *p);

/* And of its bandwidth, to all links with a rate; or that it has gone. */
void port_apply_bandwidth(Port *p);
void port_forget_bandwidth(Port *p);

/* Settings have not changed, but what they mean. */
void switch_apply_port(Port *p);

/* -- switch-domains.c ------------------------------------------------------ */

void switch_init_domains(Switch *sw);
void switch_free_domains(Switch *sw);

/* That it names; NULL with @error set if there is none. */
Domain *domain_of_port(const Port *p, GError **error);

/* Ports have changed, or who is behind them, or fixed addresses: to which
 * addresses members may send directly. */
void switch_show_macs(Switch *sw);

/* -- More of switch.c ------------------------------------------------------ */

Worker *switch_least_loaded(Switch *sw);

void switch_init_tenants(Switch *sw);
void switch_free_tenants(Switch *sw);

#define SET_ERROR(error, ...) \
    g_set_error(error, SWITCH_ERROR, 0, __VA_ARGS__)

/* Of port @id, by all who forward, since the start. */
void switch_sum_counters(const Switch *sw, unsigned id, PortCounters *sum);

#endif
