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

#include "switch-impl.h"

#define TICK_S 1

static const PortOps *const types[] = {
    &port_vhost_ops, &port_tap_ops, &port_dummy_ops,
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

static Worker *least_loaded(Switch *sw)
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
    if (--p->still > 0 || (p->ingress_queues == 0 && p->egress_queues == 0)) {
        return;
    }
    p->published = true;
    for (unsigned q = 0; q < p->ingress_queues; q++) {
        worker_add_queue(least_loaded(sw), p->id, q, p->ops->wake_fd(p, q));
    }
    rcu_assign_pointer(sw->dp.port[p->id], p);
    for (unsigned i = 0; i < sw->workers; i++) {
        worker_wake(sw->worker[i]);
    }
}

/* -- Ports that name others ------------------------------------------------ */

/* What @p's neighbours mean for it. */
typedef struct Links {
    int16_t peer;
    bool only_peer;
    uint8_t shown_by_n;
    uint16_t shown_by[PORT_MAX_MIRRORS];
} Links;

static bool shows(const Port *mirror, const char *name)
{
    const char *const *names = (const char *const *)mirror->settings.mirror;

    return names && strcmp(mirror->name, name) != 0 &&
           g_strv_contains(names, name);
}

static void find_mirrors(Switch *sw, const Port *p, Links *links)
{
    for (unsigned i = 0; i < sw->ports->len; i++) {
        const Port *mirror = g_ptr_array_index(sw->ports, i);

        if (shows(mirror, p->name)) {
            g_assert(links->shown_by_n < PORT_MAX_MIRRORS);
            links->shown_by[links->shown_by_n++] = mirror->id;
        }
    }
}

static Links find_links(Switch *sw, const Port *p)
{
    const PortSettings *s = &p->settings;
    Links links = { .peer = -1 };

    find_mirrors(sw, p, &links);
    if (s->peer) {
        const Port *peer = switch_find_port(sw, s->peer);
        Links theirs = { 0 };

        links.peer = peer ? peer->id : -2;
        if (peer) {
            find_mirrors(sw, peer, &theirs);
        }
        links.only_peer = peer && s->macs == 0 && s->ips == 0 &&
                          links.shown_by_n + theirs.shown_by_n == 0;
    }
    return links;
}

/* Ports, or what they say of each other, have changed. */
static void link_ports(Switch *sw)
{
    for (unsigned i = 0; i < sw->ports->len; i++) {
        Port *p = g_ptr_array_index(sw->ports, i);
        Links links = find_links(sw, p);
        bool ids_same = links.shown_by_n == p->shown_by_n &&
                        memcmp(links.shown_by, p->shown_by,
                               links.shown_by_n * sizeof(uint16_t)) == 0;

        if (ids_same && links.peer == p->peer &&
            links.only_peer == p->only_peer) {
            continue;
        }
        port_quiesce(p);
        p->peer = links.peer;
        p->only_peer = links.only_peer;
        p->shown_by_n = links.shown_by_n;
        memcpy(p->shown_by, links.shown_by, sizeof(p->shown_by));
        datapath_new_generation(&sw->dp);
        port_resume(p);
    }
}

/* -- Ports come and go ----------------------------------------------------- */

static void apply_settings(Port *p, const PortSettings *settings)
{
    port_settings_clear(&p->settings);
    port_settings_copy(&p->settings, settings);
    p->mirrors = settings->mirror;
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

/* Are those that @name will show shown by few enough others? */
static bool may_mirror(Switch *sw, const char *name, const PortSettings *s,
                       GError **error)
{
    for (unsigned k = 0; s->mirror && s->mirror[k]; k++) {
        unsigned n = 0;

        for (unsigned i = 0; i < sw->ports->len; i++) {
            const Port *p = g_ptr_array_index(sw->ports, i);

            n += shows(p, s->mirror[k]) && strcmp(p->name, name) != 0;
        }
        if (n >= PORT_MAX_MIRRORS) {
            SET_ERROR(error, "port %s is shown by %u ports already, as many as "
                      "can be: remove one", s->mirror[k], n);
            return false;
        }
    }
    return true;
}

static Port *new_port(Switch *sw, int id, const char *name,
                      const PortSettings *settings)
{
    Port *p = g_new0(Port, 1);

    p->sw = sw;
    p->id = id;
    p->name = g_strdup(name);
    p->ops = find_type(settings->type);
    p->peer = -1;
    p->still = 1;
    pthread_mutex_init(&p->storm.lock, NULL);
    port_settings_init(&p->settings);
    apply_settings(p, settings);
    switch_sum_counters(sw, id, &p->counted_before);
    return p;
}

static void free_port(Port *p)
{
    pthread_mutex_destroy(&p->storm.lock);
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
        !may_mirror(sw, name, settings, error)) {
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
    link_ports(sw);
    port_resume(p);
    return p;
}

static void remove_port(Switch *sw, Port *p)
{
    port_quiesce(p);
    p->ops->close(p);
    fdb_forget(sw->dp.fdb, p->id, UINT32_MAX, true);
    datapath_new_generation(&sw->dp);
    /* Who decides by flows of the old generation must not meet the port that
     * gets this id next. */
    synchronize_rcu();
    sw->by_id[p->id] = NULL;
    g_ptr_array_remove(sw->ports, p);
    link_ports(sw);
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

bool switch_set_port(Switch *sw, const char *name,
                     const PortSettings *settings, GError **error)
{
    Port *p = need_port(sw, name, error);
    bool link_was_up;

    if (!p || !port_settings_check_named(settings, name, error) ||
        !may_mirror(sw, name, settings, error) ||
        !port_settings_may_follow(&p->settings, settings, error)) {
        return false;
    }
    link_was_up = p->settings.link_up;
    port_quiesce(p);
    apply_settings(p, settings);
    if (settings->link_up != link_was_up && p->ops->link) {
        p->ops->link(p);
    }
    link_ports(sw);
    /* What it may no longer claim is not its own. */
    fdb_forget(sw->dp.fdb, p->id, UINT32_MAX, false);
    datapath_new_generation(&sw->dp);
    /* Bursts end that began when flows led to it as it was. */
    synchronize_rcu();
    port_resume(p);
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

const PortSettings *port_settings(const Port *p)
{
    return &p->settings;
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
