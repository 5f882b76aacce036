/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The switch as its owner sees it: ports come, change and go; workers are
 * started and stopped; what they count is read.
 *
 * Threads: the control thread, with GLib's default main context running.
 */
#ifndef VUS_SWITCH_H
#define VUS_SWITCH_H

#include "drops.h"
#include "fdb.h"
#include "netvm/domain-settings.h"
#include "port-settings.h"
#include "sandbox.h"
#include "tenant-settings.h"

typedef struct Switch Switch;
typedef struct Port Port;

typedef struct SwitchConfig {
    unsigned workers;           /* 1 to SWITCH_MAX_WORKERS */
    unsigned cpus;              /* 0: workers are not pinned */
    unsigned cpu[64];           /* worker i runs on cpu[i % cpus] */
    unsigned rt_priority;       /* SCHED_FIFO, 1 to 99; 0: an ordinary thread */
    unsigned idle_us;           /* without work, before a worker sleeps */
    unsigned fdb_age_s;         /* forget an address that was silent so long */
    unsigned fdb_max;           /* addresses, at most */
    char *state_dir;            /* NULL: packed rings do not outlive a crash */
    SandboxMode sandbox;        /* begun by who makes the switch, before it */
} SwitchConfig;

#define SWITCH_MAX_WORKERS 16
#define SWITCH_MAX_PORTS 256
#define SWITCH_MAX_TENANTS 64

/* What leaves by a link may be so much too early: a burst of a fast link leaves
 * at once.  (A short frame takes as long at 100 Mbit/s.) */
#define SWITCH_AHEAD_NS 5000

#define PORT_MAX_MIRRORS 4          /* that show one port */

#define SWITCH_ERROR switch_error_quark()
GQuark switch_error_quark(void);

void switch_config_init(SwitchConfig *cfg);         /* defaults */
bool switch_config_check(const SwitchConfig *cfg, GError **error);

/* Starts the workers.  @cfg is copied.  NULL with @error set. */
Switch *switch_new(const SwitchConfig *cfg, GError **error);
void switch_free(Switch *sw);                       /* and all ports */
const SwitchConfig *switch_config(const Switch *sw);

/* -- Ports ----------------------------------------------------------------- */

/* Takes a copy of @settings.  NULL with @error set: nothing has changed. */
Port *switch_add_port(Switch *sw, const char *name,
                      const PortSettings *settings, GError **error);
bool switch_remove_port(Switch *sw, const char *name, GError **error);
bool switch_set_port(Switch *sw, const char *name,
                     const PortSettings *settings, GError **error);

/*
 * What a NIC behind the port declares while it lives: some settings
 * (port_contract_keys()) that take the place of the port's own.  Takes a copy
 * of those in @contract; NULL: the port has its own again.  False with @error
 * set: nothing has changed.
 */
bool switch_set_contract(Switch *sw, Port *p, const PortSettings *contract,
                         GError **error);

Port *switch_find_port(Switch *sw, const char *name);

Port *switch_port_by_id(Switch *sw, unsigned id);      /* or NULL */

/* In the order in which they were added: from NULL to NULL. */
Port *switch_next_port(Switch *sw, Port *after);

/* -- Tenants --------------------------------------------------------------- */

typedef struct Tenant Tenant;

/* One that is there takes the new settings.  NULL with @error set. */
Tenant *switch_set_tenant(Switch *sw, const char *name,
                          const TenantSettings *settings, GError **error);

/* Not while ports are its. */
bool switch_remove_tenant(Switch *sw, const char *name, GError **error);

Tenant *switch_find_tenant(Switch *sw, const char *name);

/* In the order in which they were added: from NULL to NULL. */
Tenant *switch_next_tenant(Switch *sw, Tenant *after);

const char *tenant_name(const Tenant *t);
const TenantSettings *tenant_settings(const Tenant *t);

/* -- Domains --------------------------------------------------------------- */

typedef struct Domain Domain;

/* One that is there may only grow.  NULL with @error set. */
Domain *switch_set_domain(Switch *sw, const char *name,
                          const DomainSettings *settings, GError **error);

/* Not while ports are of it. */
bool switch_remove_domain(Switch *sw, const char *name, GError **error);

Domain *switch_find_domain(Switch *sw, const char *name);

/* In the order in which they were added: from NULL to NULL. */
Domain *switch_next_domain(Switch *sw, Domain *after);

const char *domain_name(const Domain *d);
const DomainSettings *domain_settings(const Domain *d);

/* -- What is shown of a port ----------------------------------------------- */

const char *port_name(const Port *p);
/* What NETVM_OUT calls it, as long as it is there. */
unsigned port_number(const Port *p);
const PortSettings *port_settings(const Port *p);           /* its own */

/* Those of @own that a NIC's contract leaves; to be cleared by the caller. */
void port_effective_settings(const Port *p, const PortSettings *own,
                             PortSettings *effective);
bool port_has_contract(const Port *p);

/* Of all ports that there ever were, another one. */
uint64_t port_serial(const Port *p);

typedef struct PortStatus {
    bool connected;             /* vhost-user: a front end; else always */
    bool ready;                 /* sends and receives */
    unsigned ingress_queues, egress_queues;     /* in use */
    uint64_t connects;
    uint64_t features;          /* vhost-user: virtio's, that were agreed */
    uint64_t memory_bytes;      /* vhost-user: of the guest's, mapped here */
    const char *rings;          /* vhost-user: "split", "packed"; else NULL */
    uint64_t breaks;            /* times that a ring or connection broke */
    const char *broken;         /* why it is broken now, or the last time */
} PortStatus;

void switch_port_status(Switch *sw, Port *p, PortStatus *status);

/* "ready", "connected" (its rings are not), "waiting" or "link-down". */
const char *port_state(const Port *p, const PortStatus *status);

void switch_port_counters(Switch *sw, Port *p, PortCounters *sum);

/* Let that begin at zero, and what is counted of deadlines; NULL: of all
 * ports. */
void switch_reset_counters(Switch *sw, Port *p);

/* -- Links, limits, deadlines ---------------------------------------------- */

struct RtEndpoint;
struct RtMisses;

/* Frames that wait to leave by it.  False: it has no queue, none ever do. */
bool switch_port_waiting(Switch *sw, Port *p, unsigned *pkts);

/* Is nothing taken from it just now, because of a tx-limit? */
bool switch_port_is_limited(Switch *sw, Port *p);
bool switch_tenant_is_limited(Switch *sw, Tenant *t);

/* What is known and counted of deadlines.  False: they are nothing to it. */
bool switch_port_endpoint(Switch *sw, Port *p, struct RtEndpoint *ep);

/* Misses since the last call.  False: there were none. */
bool switch_take_misses(Switch *sw, Port *p, struct RtMisses *misses);

/* Workers see it no more, so that nothing is counted behind us; then it can
 * only be removed. */
void switch_still_port(Switch *sw, Port *p);

/* -- Addresses ------------------------------------------------------------- */

/* Call @each for every address, in no order. */
void switch_fdb_foreach(Switch *sw,
                        void (*each)(const FdbShown *e, void *opaque),
                        void *opaque);

/* Forget what was learned of @p, or of all ports; what was set stays. */
unsigned switch_fdb_flush(Switch *sw, Port *p);

/* An address that neither moves nor ages; and no longer. */
bool switch_fdb_set(Switch *sw, Port *p, const uint8_t mac[6], uint16_t vlan,
                    GError **error);
bool switch_fdb_unset(Switch *sw, const uint8_t mac[6], uint16_t vlan,
                      GError **error);

/* -- Workers --------------------------------------------------------------- */

typedef struct WorkerStatus {
    int cpu;                    /* pinned to, or -1 */
    unsigned queues;            /* that it serves */
    uint64_t polls;             /* of all its queues together */
    uint64_t busy_polls;        /* that found frames */
    uint64_t sleeps;
    uint64_t flow_misses;
    uint64_t pkts;              /* from its queues */
} WorkerStatus;

void switch_worker_status(Switch *sw, unsigned index, WorkerStatus *status);

/* -- Dummy ports ----------------------------------------------------------- */

/*
 * A frame as if a guest behind @p had sent it; @vnet is its virtio-net header
 * of 10 bytes, or NULL.  Returns when it has been forwarded.
 */
bool switch_dummy_inject(Switch *sw, Port *p, const uint8_t *frame,
                         size_t bytes, const uint8_t *vnet, GError **error);

/* The oldest frame that @p was sent, virtio-net header of 12 bytes first; NULL
 * if there is none. */
GBytes *switch_dummy_read(Switch *sw, Port *p, GError **error);

#endif
