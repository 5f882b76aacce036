/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports, and which worker serves them.
 *
 * Whatever changes of a port changes between port_quiesce() and port_resume():
 * its id leads workers to nothing, its queues leave them, and a grace period
 * passes.  Other ports are not touched.  A port that is published again gets
 * its queues served by the workers that have least.
 *
 * Threads: the control thread.  Only port_break() is called by workers.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <glib-unix.h>

#include "clock.h"
#include "rt-port.h"
#include "switch-impl.h"

#define TICK_S 1

/* Lines in QUIET_US, of what peers can cause at will. */
#define QUIET_US (10 * G_USEC_PER_SEC)
#define LINES_MAX 20

static const PortOps *const types[] = {
    &port_vhost_ops, &port_tap_ops, &port_afxdp_ops, &port_netvm_ops,
    &port_chain_ops, &port_dummy_ops,
};

G_DEFINE_QUARK(switch-error-quark, switch_error)

/* -- Configuration --------------------------------------------------------- */

void switch_config_init(SwitchConfig *cfg)
{
    *cfg = (SwitchConfig) {
        .workers = 1,
        .idle_us = 200,
        .fdb_age_s = 300,
        .fdb_max = 8192,
        .sandbox = SANDBOX_AUTO,
    };
}

static bool in_range(const char *name, unsigned value, unsigned least,
                     unsigned most, GError **error)
{
    if (value < least || value > most) {
        SET_ERROR(error, "%s=%u cannot be: %u to %u", name, value, least,
                  most);
        return false;
    }
    return true;
}

bool switch_config_check(const SwitchConfig *cfg, GError **error)
{
    return in_range("workers", cfg->workers, 1, SWITCH_MAX_WORKERS, error) &&
           in_range("rt-priority", cfg->rt_priority, 0, 99, error) &&
           in_range("idle-us", cfg->idle_us, 0, 10 * 1000 * 1000, error) &&
           in_range("fdb-age-s", cfg->fdb_age_s, 1, 1000 * 1000, error) &&
           in_range("fdb-max", cfg->fdb_max, 1, 1000 * 1000, error);
}

/* -- Life ------------------------------------------------------------------ */

static gboolean on_tick(gpointer opaque);
static gboolean on_broken(gint fd, GIOCondition condition, gpointer opaque);

static bool start_workers(Switch *sw, GError **error)
{
    for (unsigned i = 0; i < sw->cfg.workers; i++) {
        int cpu = sw->cfg.cpus ? (int)sw->cfg.cpu[i % sw->cfg.cpus] : -1;

        sw->worker[i] = worker_new(&sw->dp, i, cpu, sw->cfg.rt_priority,
                                   sw->cfg.idle_us, error);
        if (!sw->worker[i]) {
            return false;
        }
        sw->workers++;
    }
    return true;
}

Switch *switch_new(const SwitchConfig *cfg, GError **error)
{
    Switch *sw;

    if (!switch_config_check(cfg, error)) {
        return NULL;
    }
    rcu_register_thread();
    rcu_thread_offline();
    sw = g_new0(Switch, 1);
    sw->cfg = *cfg;
    sw->cfg.state_dir = g_strdup(cfg->state_dir);
    sw->ports = g_ptr_array_new();
    switch_init_tenants(sw);
    switch_init_domains(sw);
    sw->dp.generation = 1;
    /* So that nothing was heard before. */
    sw->dp.now_s = 1;
    sw->dp.fdb = fdb_new(cfg->fdb_max, SWITCH_MAX_PORTS);
    sw->own = forwarder_new(&sw->dp);
    sw->dp.control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sw->dp.control_fd < 0) {
        SET_ERROR(error, "cannot make an eventfd: %s", g_strerror(errno));
    } else if (start_workers(sw, error)) {
        sw->broken_source = g_unix_fd_add(sw->dp.control_fd, G_IO_IN,
                                          on_broken, sw);
        sw->tick_source = g_timeout_add_seconds(TICK_S, on_tick, sw);
        return sw;
    }
    switch_free(sw);
    return NULL;
}

static void remove_port(Switch *sw, Port *p);

void switch_free(Switch *sw)
{
    while (sw->ports->len > 0) {
        remove_port(sw, g_ptr_array_index(sw->ports, sw->ports->len - 1));
    }
    for (unsigned i = 0; i < sw->workers; i++) {
        worker_free(sw->worker[i]);
    }
    g_clear_handle_id(&sw->tick_source, g_source_remove);
    g_clear_handle_id(&sw->broken_source, g_source_remove);
    if (sw->dp.control_fd >= 0) {
        close(sw->dp.control_fd);
    }
    forwarder_free(sw->own);
    fdb_free(sw->dp.fdb);
    g_ptr_array_free(sw->ports, true);
    switch_free_tenants(sw);
    switch_free_domains(sw);
    g_free(sw->cfg.state_dir);
    g_free(sw);
    rcu_unregister_thread();
}

const SwitchConfig *switch_config(const Switch *sw)
{
    return &sw->cfg;
}

/* -- Still and published --------------------------------------------------- */

void port_quiesce(Port *p)
{
    Switch *sw = p->sw;

    if (p->still++ > 0 || !p->published) {
        return;
    }
    p->published = false;
    rcu_assign_pointer(sw->dp.port[p->id], NULL);
    /* Before the grace period: a worker that has counted its queues already
     * would serve one that another worker is given then. */
    for (unsigned i = 0; i < sw->workers; i++) {
        worker_remove_port(sw->worker[i], p->id);
    }
    synchronize_rcu();
}

Worker *switch_least_loaded(Switch *sw)
{
    Worker *least = sw->worker[0];

    for (unsigned i = 1; i < sw->workers; i++) {
        if (worker_load(sw->worker[i]) < worker_load(least)) {
            least = sw->worker[i];
        }
    }
    return least;
}

void port_resume(Port *p)
{
    Switch *sw = p->sw;

    g_assert(p->still > 0);
    if (--p->still > 0) {
        return;
    }
    if (p->queue && p->egress_queues == 0) {
        counter_add(&sw->own->counters[p->id].drops[DROP_DOWN],
                    egress_queue_flush(p->queue));
    }
    if (p->ingress_queues == 0 && p->egress_queues == 0) {
        return;
    }
    p->published = true;
    if (p->queue) {
        p->server = worker_add_link(switch_least_loaded(sw), p->id);
    }
    for (unsigned q = 0; q < p->ingress_queues; q++) {
        worker_add_queue(switch_least_loaded(sw), p->id, q,
                         p->settings.deadline_us > 0, p->ops->wake_fd(p, q));
    }
    rcu_assign_pointer(sw->dp.port[p->id], p);
    for (unsigned i = 0; i < sw->workers; i++) {
        worker_wake(sw->worker[i]);
    }
}

/* -- Ports come and go ----------------------------------------------------- */

/* @p is still. */
static void apply_settings(Port *p, const PortSettings *own)
{
    PortSettings copy, settings;

    port_effective_settings(p, own, &settings);
    port_settings_copy(&copy, own);
    port_settings_clear(&p->own);
    p->own = copy;
    port_settings_clear(&p->settings);
    p->settings = settings;
    p->mirrors = settings.mirror;
    port_apply_rate(p);
    port_apply_deadlines(p);
}

static int free_id(const Switch *sw)
{
    for (int id = 0; id < SWITCH_MAX_PORTS; id++) {
        if (!sw->by_id[id]) {
            return id;
        }
    }
    return -1;
}

static const PortOps *find_type(const char *type)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        if (strcmp(types[i]->type, type) == 0) {
            return types[i];
        }
    }
    return NULL;
}

static bool has_tenant(Switch *sw, const PortSettings *s, GError **error)
{
    if (s->tenant && !switch_find_tenant(sw, s->tenant)) {
        SET_ERROR(error, "there is no tenant %s: add it first", s->tenant);
        return false;
    }
    return true;
}

static Port *new_port(Switch *sw, int id, const char *name,
                      const PortSettings *settings)
{
    Port *p = g_new0(Port, 1);

    p->sw = sw;
    p->id = id;
    p->serial = ++sw->ports_ever;
    p->name = g_strdup(name);
    p->ops = find_type(settings->type);
    p->peer = -1;
    p->still = 1;
    pthread_mutex_init(&p->storm.lock, NULL);
    limit_init(&p->limit);
    port_settings_init(&p->own);
    port_settings_init(&p->settings);
    apply_settings(p, settings);
    switch_sum_counters(sw, id, &p->counted_before);
    return p;
}

static void free_port(Port *p)
{
    egress_queue_free(p->queue);
    rt_port_free(p->rt);
    pthread_mutex_destroy(&p->storm.lock);
    limit_destroy(&p->limit);
    port_settings_clear(&p->own);
    port_settings_clear(&p->contract);
    port_settings_clear(&p->settings);
    g_free(p->name);
    g_free(p);
}

Port *switch_add_port(Switch *sw, const char *name,
                      const PortSettings *settings, GError **error)
{
    int id = free_id(sw);
    Port *p;

    if (!port_settings_check_named(settings, name, error) ||
        !switch_may_mirror(sw, name, settings, error) ||
        !has_tenant(sw, settings, error)) {
        return NULL;
    }
    if (switch_find_port(sw, name)) {
        SET_ERROR(error, "there is a port %s already; remove it first, or "
                  "choose another name", name);
        return NULL;
    }
    if (id < 0) {
        SET_ERROR(error, "there are %d ports already, as many as can be",
                  SWITCH_MAX_PORTS);
        return NULL;
    }
    p = new_port(sw, id, name, settings);
    if (!p->ops->open(p, error)) {
        g_prefix_error(error, "port %s: ", name);
        free_port(p);
        return NULL;
    }
    sw->by_id[id] = p;
    g_ptr_array_add(sw->ports, p);
    if (sw->dp.ports_end <= (unsigned)id) {
        __atomic_store_n(&sw->dp.ports_end, id + 1, __ATOMIC_RELAXED);
    }
    switch_link_ports(sw);
    port_apply_bandwidth(p);
    port_resume(p);
    return p;
}

static void remove_port(Switch *sw, Port *p)
{
    port_quiesce(p);
    p->ops->close(p);
    port_forget_bandwidth(p);
    fdb_forget(sw->dp.fdb, p->id, UINT32_MAX, true);
    datapath_new_generation(&sw->dp);
    /* Who decides by flows of the old generation must not meet the port that
     * gets this id next. */
    synchronize_rcu();
    sw->by_id[p->id] = NULL;
    g_ptr_array_remove(sw->ports, p);
    switch_link_ports(sw);
    free_port(p);
}

static Port *need_port(Switch *sw, const char *name, GError **error)
{
    Port *p = switch_find_port(sw, name);

    if (!p) {
        SET_ERROR(error, "there is no port %s", name);
    }
    return p;
}

bool switch_remove_port(Switch *sw, const char *name, GError **error)
{
    Port *p = need_port(sw, name, error);

    if (p) {
        remove_port(sw, p);
    }
    return p;
}

/* Settings of its own have changed, or its contract. */
static void change_port(Switch *sw, Port *p, const PortSettings *own)
{
    bool link_was_up = p->settings.link_up;

    port_quiesce(p);
    apply_settings(p, own);
    if (p->settings.link_up != link_was_up && p->ops->link) {
        p->ops->link(p);
    }
    if (p->ops->changed) {
        p->ops->changed(p);
    }
    switch_link_ports(sw);
    port_apply_bandwidth(p);
    /* What it may no longer claim is not its own. */
    fdb_forget(sw->dp.fdb, p->id, UINT32_MAX, false);
    datapath_new_generation(&sw->dp);
    /* Bursts end that began when flows led to it as it was. */
    synchronize_rcu();
    port_resume(p);
}

void switch_apply_port(Port *p)
{
    PortSettings own;

    port_settings_copy(&own, &p->own);
    change_port(p->sw, p, &own);
    port_settings_clear(&own);
}

bool switch_set_port(Switch *sw, const char *name,
                     const PortSettings *settings, GError **error)
{
    Port *p = need_port(sw, name, error);
    PortSettings own;

    if (!p || !port_settings_check_named(settings, name, error) ||
        !switch_may_mirror(sw, name, settings, error) ||
        !has_tenant(sw, settings, error) ||
        !port_settings_may_follow(&p->own, settings, error)) {
        return false;
    }
    /* It may be what we are about to free. */
    port_settings_copy(&own, settings);
    change_port(sw, p, &own);
    port_settings_clear(&own);
    return true;
}

bool switch_set_contract(Switch *sw, Port *p, const PortSettings *contract,
                         GError **error)
{
    if (contract && !p->own.rtvnic) {
        SET_ERROR(error, "port %s is no rtvnic's: remove it and add it again "
                  "with rtvnic=on", p->name);
        return false;
    }
    if (contract && !port_settings_check_named(contract, p->name, error)) {
        return false;
    }
    port_settings_clear(&p->contract);
    if (contract) {
        port_settings_copy(&p->contract, contract);
    }
    switch_apply_port(p);
    return true;
}

Port *switch_find_port(Switch *sw, const char *name)
{
    for (unsigned i = 0; i < sw->ports->len; i++) {
        Port *p = g_ptr_array_index(sw->ports, i);

        if (strcmp(p->name, name) == 0) {
            return p;
        }
    }
    return NULL;
}

Port *switch_next_port(Switch *sw, Port *after)
{
    guint i = 0;

    if (after) {
        if (!g_ptr_array_find(sw->ports, after, &i)) {
            return NULL;
        }
        i++;
    }
    return i < sw->ports->len ? g_ptr_array_index(sw->ports, i) : NULL;
}

Port *switch_port_by_id(Switch *sw, unsigned id)
{
    return id < SWITCH_MAX_PORTS ? sw->by_id[id] : NULL;
}

const char *port_name(const Port *p)
{
    return p->name;
}

unsigned port_number(const Port *p)
{
    return p->id;
}

const PortSettings *port_settings(const Port *p)
{
    return &p->own;
}

void port_effective_settings(const Port *p, const PortSettings *own,
                             PortSettings *effective)
{
    port_settings_copy(effective, own);
    if (port_has_contract(p)) {
        port_settings_copy_contract(effective, &p->contract);
    }
}

bool port_has_contract(const Port *p)
{
    return p->contract.type;
}

uint64_t port_serial(const Port *p)
{
    return p->serial;
}

const char *port_state_dir(const Port *p)
{
    return p->sw->cfg.state_dir;
}

/* -- Time, and what breaks ------------------------------------------------- */

/* Also voids all flows, so that those that last are learned again. */
static gboolean on_tick(gpointer opaque)
{
    Switch *sw = opaque;
    uint32_t now_s = sw->dp.now_s + TICK_S;

    __atomic_store_n(&sw->dp.now_s, now_s, __ATOMIC_RELAXED);
    __atomic_store_n(&sw->dp.tai_synchronised, clock_tai_synchronised(),
                     __ATOMIC_RELAXED);
    if (now_s > sw->cfg.fdb_age_s) {
        fdb_forget(sw->dp.fdb, -1, now_s - sw->cfg.fdb_age_s, false);
    }
    datapath_new_generation(&sw->dp);
    for (unsigned i = 0; i < sw->ports->len; i++) {
        Port *p = g_ptr_array_index(sw->ports, i);

        if (p->ops->tick) {
            p->ops->tick(p);
        }
    }
    return G_SOURCE_CONTINUE;
}

void port_break(Port *p, const char *why)
{
    const char *none = NULL;
    uint64_t one = 1;

    if (__atomic_compare_exchange_n(&p->broken, &none, why, false,
                                    __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
        (void)!write(p->sw->dp.control_fd, &one, sizeof(one));
    }
}

void port_call(Port *p)
{
    uint64_t one = 1;

    __atomic_store_n(&p->calls, true, __ATOMIC_RELEASE);
    (void)!write(p->sw->dp.control_fd, &one, sizeof(one));
}

static gboolean on_broken(gint fd, GIOCondition condition, gpointer opaque)
{
    Switch *sw = opaque;
    uint64_t n;

    (void)!read(fd, &n, sizeof(n));
    for (unsigned i = 0; i < sw->ports->len; i++) {
        Port *p = g_ptr_array_index(sw->ports, i);
        /* Pairs with the release of port_break(). */
        const char *why = __atomic_load_n(&p->broken, __ATOMIC_ACQUIRE);

        if (why) {
            port_quiesce(p);
            p->broken = NULL;
            p->breaks++;
            p->last_broken = why;
            p->ops->broken(p);
            port_resume(p);
        }
        if (__atomic_exchange_n(&p->calls, false, __ATOMIC_ACQUIRE)) {
            p->ops->called(p);
        }
    }
    return G_SOURCE_CONTINUE;
}

void port_log(const Port *p, GLogLevelFlags level, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_log(G_LOG_DOMAIN, level, "port %s: %s", p->name, text);
}

void port_log_often(Port *p, GLogLevelFlags level, const char *format, ...)
{
    int64_t now_us = g_get_monotonic_time();
    g_autofree char *text = NULL;
    va_list args;

    if (now_us >= p->lines_until_us) {
        p->lines_until_us = now_us + QUIET_US;
        p->lines = 0;
    }
    if (p->lines == LINES_MAX) {
        return;
    }
    p->lines++;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    port_log(p, level, "%s%s", text, p->lines < LINES_MAX ? "" :
             " (what follows within ten seconds is left out)");
}
