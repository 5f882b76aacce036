/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "admission.h"
#include "daemon-config.h"
#include "parse.h"
#include "switch.h"

#define CPU_LAST 1023               /* what cpu_set_t has */
#define RT_PRIORITY_MAX 99
#define IDLE_US_MAX 10000000
#define FDB_AGE_S_MAX 1000000
#define FDB_MAX_MAX 1000000
#define TCP_PORT_LAST 65535

G_DEFINE_QUARK(vus-daemon-config-error-quark, daemon_config_error)

#define CONFIG_ERROR(error, ...) \
    g_set_error(error, DAEMON_CONFIG_ERROR, 0, __VA_ARGS__)

/* -- What has a name ------------------------------------------------------- */

/* All of these begin with it. */
G_STATIC_ASSERT(offsetof(ConfigPort, name) == 0 &&
                offsetof(ConfigTenant, name) == 0 &&
                offsetof(ConfigDomain, name) == 0);

static void *find_named(const GPtrArray *all, const char *name)
{
    for (unsigned i = 0; i < all->len; i++) {
        void *one = g_ptr_array_index(all, i);

        if (!strcmp(*(char **)one, name)) {
            return one;
        }
    }
    return NULL;
}

/* It is added, with @bytes of nothing, if it is not there. */
static void *get_named(GPtrArray *all, const char *name, size_t bytes)
{
    void *one = find_named(all, name);

    if (!one) {
        one = g_malloc0(bytes);
        *(char **)one = g_strdup(name);
        g_ptr_array_add(all, one);
    }
    return one;
}

static bool check_names(const GPtrArray *all, const char *what,
                        GError **error)
{
    for (unsigned i = 0; i < all->len; i++) {
        const char *name = *(char **)g_ptr_array_index(all, i);

        if (!port_name_check(name, error)) {
            g_prefix_error(error, "%s %s: ", what, name);
            return false;
        }
    }
    return true;
}

/* -- Life ------------------------------------------------------------------ */

/* Of which nothing else has to be freed. */
static void free_named(void *opaque)
{
    g_free(*(char **)opaque);
    g_free(opaque);
}

static void free_port(void *opaque)
{
    port_settings_clear(&((ConfigPort *)opaque)->settings);
    free_named(opaque);
}

static void free_address(void *opaque)
{
    ConfigAddress *a = opaque;

    g_free(a->port);
    g_free(a);
}

DaemonConfig *daemon_config_new(void)
{
    DaemonConfig *c = g_new0(DaemonConfig, 1);

    switch_config_init(&c->sw);
    c->ports = g_ptr_array_new_with_free_func(free_port);
    c->tenants = g_ptr_array_new_with_free_func(free_named);
    c->domains = g_ptr_array_new_with_free_func(free_named);
    c->addresses = g_ptr_array_new_with_free_func(free_address);
    return c;
}

void daemon_config_free(DaemonConfig *c)
{
    if (c) {
        g_free(c->sw.state_dir);
        g_free(c->control);
        g_ptr_array_unref(c->ports);
        g_ptr_array_unref(c->tenants);
        g_ptr_array_unref(c->domains);
        g_ptr_array_unref(c->addresses);
        g_free(c);
    }
}

/* -- The daemon's own words ------------------------------------------------ */

static bool set_cpus(DaemonConfig *c, const char *value, GError **error)
{
    g_autoptr(GArray) cpus = parse_ranges(value, 0, CPU_LAST, error);

    if (!cpus) {
        return false;
    }
    if (cpus->len > G_N_ELEMENTS(c->sw.cpu)) {
        CONFIG_ERROR(error, "%u CPUs are too many: there can be %zu",
                     cpus->len, G_N_ELEMENTS(c->sw.cpu));
        return false;
    }
    c->sw.cpus = cpus->len;
    memcpy(c->sw.cpu, cpus->data, cpus->len * sizeof(unsigned));
    return true;
}

static char *get_cpus(const DaemonConfig *c)
{
    return c->sw.cpus ? format_ranges(c->sw.cpu, c->sw.cpus) : NULL;
}

static bool set_path(char **to, const char *value, GError **error)
{
    if (!*value) {
        CONFIG_ERROR(error, "a path is expected");
        return false;
    }
    g_free(*to);
    *to = g_strdup(value);
    return true;
}

static bool set_control(DaemonConfig *c, const char *value, GError **error)
{
    const size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (strlen(value) > max) {
        CONFIG_ERROR(error, "the path has %zu bytes, and a socket's can have "
                     "%zu: choose a shorter one", strlen(value), max);
        return false;
    }
    return set_path(&c->control, value, error);
}

static char *get_control(const DaemonConfig *c)
{
    return g_strdup(c->control);
}

static bool set_state_dir(DaemonConfig *c, const char *value, GError **error)
{
    return set_path(&c->sw.state_dir, value, error);
}

static char *get_state_dir(const DaemonConfig *c)
{
    return g_strdup(c->sw.state_dir);
}

static bool set_metrics(DaemonConfig *c, const char *value, GError **error)
{
    return parse_number(value, 0, TCP_PORT_LAST, &c->metrics_port, error);
}

static char *get_metrics(const DaemonConfig *c)
{
    return c->metrics_port ? g_strdup_printf("%u", c->metrics_port) : NULL;
}

static bool set_sandbox(DaemonConfig *c, const char *value, GError **error)
{
    if (!sandbox_mode_parse(value, &c->sw.sandbox)) {
        CONFIG_ERROR(error, "auto, on, log or off is expected");
        return false;
    }
    return true;
}

static char *get_sandbox(const DaemonConfig *c)
{
    return c->sw.sandbox == SANDBOX_AUTO ? NULL :
           g_strdup(sandbox_mode_name(c->sw.sandbox));
}

typedef struct Word {
    DaemonWord shown;
    /* Numbers: where, and from what to what.  Others: what sets and gets. */
    size_t at;
    unsigned min, max;
    bool (*set)(DaemonConfig *c, const char *value, GError **error);
    char *(*get)(const DaemonConfig *c);
} Word;

#define NUMBER(field) .at = offsetof(DaemonConfig, sw.field)

static const Word words[] = {
    { { "control", "SOCKET", "path of the control socket" },
      .set = set_control, .get = get_control },
    { { "state-dir", "DIR",
        "keep the positions of packed rings here, not beside that socket" },
      .set = set_state_dir, .get = get_state_dir },
    { { "workers", "N", "threads that forward, 1 to "
        G_STRINGIFY(SWITCH_MAX_WORKERS) },
      NUMBER(workers), .min = 1, .max = SWITCH_MAX_WORKERS },
    { { "cpus", "LIST", "pin them to these CPUs, in this order, like 2,4-7" },
      .set = set_cpus, .get = get_cpus },
    { { "rt-priority", "N",
        "run them under SCHED_FIFO, 1 to " G_STRINGIFY(RT_PRIORITY_MAX)
        "; 0: as ordinary threads" },
      NUMBER(rt_priority), .max = RT_PRIORITY_MAX },
    { { "idle-us", "N", "a worker polls so long without work, then sleeps" },
      NUMBER(idle_us), .max = IDLE_US_MAX },
    { { "fdb-age-s", "N", "forget an address that was silent so long" },
      NUMBER(fdb_age_s), .min = 1, .max = FDB_AGE_S_MAX },
    { { "fdb-max", "N", "most addresses that are known at a time" },
      NUMBER(fdb_max), .min = 1, .max = FDB_MAX_MAX },
    { { "metrics", "PORT",
        "what is counted, for Prometheus, at this TCP port of the loopback; "
        "0: not" },
      .set = set_metrics, .get = get_metrics },
    { { "sandbox", "MODE",
        "refuse system calls that no thread needs: auto (if the kernel can), "
        "on, log, off" },
      .set = set_sandbox, .get = get_sandbox },
};

static const Word *find_word(const char *key)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(key, words[i].shown.key)) {
            return &words[i];
        }
    }
    return NULL;
}

const DaemonWord *daemon_config_words(void)
{
    static DaemonWord shown[G_N_ELEMENTS(words) + 1];

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        shown[i] = words[i].shown;
    }
    return shown;
}

bool daemon_config_set(DaemonConfig *c, const char *key, const char *value,
                       GError **error)
{
    const Word *word = find_word(key);
    bool is_set;

    if (!word) {
        g_autoptr(GString) all = g_string_new(NULL);

        for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
            g_string_append_printf(all, "%s%s", i ? ", " : "",
                                   words[i].shown.key);
        }
        CONFIG_ERROR(error, "the daemon has no setting '%s'; it has %s", key,
                     all->str);
        return false;
    }
    if (!g_utf8_validate(value, -1, NULL)) {
        CONFIG_ERROR(error, "%s= is not valid UTF-8", key);
        return false;
    }
    if (word->set) {
        is_set = word->set(c, value, error);
    } else {
        is_set = parse_number(value, word->min, word->max,
                              (unsigned *)((char *)c + word->at), error);
    }
    if (!is_set) {
        g_prefix_error(error, "%s=%s: ", key, value);
    }
    return is_set;
}

char *daemon_config_get(const DaemonConfig *c, const char *key)
{
    const Word *word = find_word(key);

    if (!word) {
        return NULL;
    }
    if (word->get) {
        return word->get(c);
    }
    return g_strdup_printf("%u",
                           *(const unsigned *)((const char *)c + word->at));
}

/* -- Tenants and domains --------------------------------------------------- */

ConfigTenant *daemon_config_find_tenant(const DaemonConfig *c,
                                        const char *name)
{
    return find_named(c->tenants, name);
}

void daemon_config_set_tenant(DaemonConfig *c, const char *name,
                              const TenantSettings *settings)
{
    ConfigTenant *t = get_named(c->tenants, name, sizeof(*t));

    t->settings = *settings;
}

ConfigDomain *daemon_config_find_domain(const DaemonConfig *c,
                                        const char *name)
{
    return find_named(c->domains, name);
}

void daemon_config_set_domain(DaemonConfig *c, const char *name,
                              const DomainSettings *settings)
{
    ConfigDomain *d = get_named(c->domains, name, sizeof(*d));

    d->settings = *settings;
}

/* -- Ports and addresses --------------------------------------------------- */

ConfigPort *daemon_config_find_port(const DaemonConfig *c, const char *name)
{
    return find_named(c->ports, name);
}

void daemon_config_add_port(DaemonConfig *c, const char *name,
                            const PortSettings *settings)
{
    ConfigPort *p = g_new(ConfigPort, 1);

    g_assert(!daemon_config_find_port(c, name));
    p->name = g_strdup(name);
    port_settings_copy(&p->settings, settings);
    g_ptr_array_add(c->ports, p);
}

void daemon_config_remove_port(DaemonConfig *c, const char *name)
{
    g_ptr_array_remove(c->ports, daemon_config_find_port(c, name));
}

void daemon_config_add_address(DaemonConfig *c, const uint8_t mac[6],
                               uint16_t vlan, const char *port)
{
    ConfigAddress *a = g_new(ConfigAddress, 1);

    memcpy(a->mac, mac, 6);
    a->vlan = vlan;
    a->port = g_strdup(port);
    g_ptr_array_add(c->addresses, a);
}

/* -- All together ---------------------------------------------------------- */

/* How many ports show @name, whether it exists or not. */
static unsigned count_mirrors(const DaemonConfig *c, const char *name)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(c->ports, i);

        n += p->settings.mirror &&
             g_strv_contains((const char **)p->settings.mirror, name);
    }
    return n;
}

static bool check_mirrored(const DaemonConfig *c, const ConfigPort *p,
                           GError **error)
{
    for (char **name = p->settings.mirror; name && *name; name++) {
        if (count_mirrors(c, *name) > PORT_MAX_MIRRORS) {
            CONFIG_ERROR(error, "port %s: mirror=%s: more than %d ports would "
                         "show that one: leave it out here or there",
                         p->name, *name, PORT_MAX_MIRRORS);
            return false;
        }
    }
    return true;
}

static bool check_tenant(const DaemonConfig *c, const ConfigPort *p,
                         GError **error)
{
    const char *name = p->settings.tenant;

    if (name && !daemon_config_find_tenant(c, name)) {
        CONFIG_ERROR(error, "port %s: there is no tenant '%s': add [tenant "
                     "%s] (vusctl tenant set), or leave out tenant=", p->name,
                     name, name);
        return false;
    }
    return true;
}

static bool check_domain(const DaemonConfig *c, const ConfigPort *p,
                         GError **error)
{
    const char *name = p->settings.domain;

    if (name && !daemon_config_find_domain(c, name)) {
        CONFIG_ERROR(error, "port %s: there is no domain '%s': add [domain "
                     "%s] (vusctl domain set), or name another one", p->name,
                     name, name);
        return false;
    }
    return true;
}

/* Two ports that would get into each other's way. */
static bool check_pair(const DaemonConfig *c, const ConfigPort *p,
                       const ConfigPort *q, GError **error)
{
    const PortSettings *a = &p->settings, *b = &q->settings;

    if (a->socket && !g_strcmp0(a->socket, b->socket)) {
        CONFIG_ERROR(error, "ports %s and %s have the same socket=%s: each "
                     "needs its own", p->name, q->name, a->socket);
        return false;
    }
    if (a->ifname && !g_strcmp0(a->ifname, b->ifname)) {
        CONFIG_ERROR(error, "ports %s and %s have the same ifname=%s: each "
                     "needs its own", p->name, q->name, a->ifname);
        return false;
    }
    return true;
}

static bool check_ports(const DaemonConfig *c, GError **error)
{
    if (c->ports->len > SWITCH_MAX_PORTS) {
        CONFIG_ERROR(error, "%u ports are too many: there can be %d",
                     c->ports->len, SWITCH_MAX_PORTS);
        return false;
    }
    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(c->ports, i);

        if (!port_settings_check_named(&p->settings, p->name, error)) {
            g_prefix_error(error, "port %s: ", p->name);
            return false;
        }
        if (!check_mirrored(c, p, error) || !check_tenant(c, p, error) ||
            !check_domain(c, p, error)) {
            return false;
        }
        if (c->control && !g_strcmp0(p->settings.socket, c->control)) {
            CONFIG_ERROR(error, "port %s: socket=%s is the control socket: "
                         "choose another path", p->name, c->control);
            return false;
        }
        for (unsigned k = 0; k < i; k++) {
            if (!check_pair(c, g_ptr_array_index(c->ports, k), p, error)) {
                return false;
            }
        }
    }
    return true;
}

static bool check_tenants(const DaemonConfig *c, GError **error)
{
    if (c->tenants->len > SWITCH_MAX_TENANTS) {
        CONFIG_ERROR(error, "%u tenants are too many: there can be %d",
                     c->tenants->len, SWITCH_MAX_TENANTS);
        return false;
    }
    return check_names(c->tenants, "tenant", error);
}

static bool check_addresses(const DaemonConfig *c, GError **error)
{
    if (c->addresses->len > c->sw.fdb_max) {
        CONFIG_ERROR(error, "%u fixed addresses are more than fdb-max=%u: "
                     "raise it", c->addresses->len, c->sw.fdb_max);
        return false;
    }
    for (unsigned i = 0; i < c->addresses->len; i++) {
        const ConfigAddress *a = g_ptr_array_index(c->addresses, i);

        if (!daemon_config_find_port(c, a->port)) {
            g_autofree char *address = format_mac_vlan(a->mac, a->vlan);

            CONFIG_ERROR(error, "the fixed address %s is at port '%s', which "
                         "does not exist: add [port %s], or correct it",
                         address, a->port, a->port);
            return false;
        }
    }
    return true;
}

bool daemon_config_check(const DaemonConfig *c, GError **error)
{
    return switch_config_check(&c->sw, error) && check_tenants(c, error) &&
           check_names(c->domains, "domain", error) &&
           check_ports(c, error) && check_addresses(c, error) &&
           admission_check(c, error);
}

void daemon_config_foreach_missing(const DaemonConfig *c,
                                   void (*each)(const char *port,
                                                const char *key,
                                                const char *missing,
                                                void *opaque),
                                   void *opaque)
{
    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(c->ports, i);
        const PortSettings *s = &p->settings;
        const struct {
            const char *key;
            char **names;
        } lists[] = {
            { "mirror", s->mirror }, { "outs", s->outs },
        };

        if (s->peer && !daemon_config_find_port(c, s->peer)) {
            each(p->name, "peer", s->peer, opaque);
        }
        for (unsigned k = 0; k < G_N_ELEMENTS(lists); k++) {
            for (char **name = lists[k].names; name && *name; name++) {
                if (!daemon_config_find_port(c, *name)) {
                    each(p->name, lists[k].key, *name, opaque);
                }
            }
        }
    }
}
