/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config-reload.h"

/* -- What cannot change ---------------------------------------------------- */

static bool check_daemon(const DaemonConfig *now, const DaemonConfig *to,
                         GError **error)
{
    for (const DaemonWord *w = daemon_config_words(); w->key; w++) {
        g_autofree char *is = daemon_config_get(now, w->key);
        g_autofree char *becomes = daemon_config_get(to, w->key);

        if (g_strcmp0(is, becomes)) {
            g_set_error(error, DAEMON_CONFIG_ERROR, 0, "%s=%s cannot change "
                        "while the daemon runs, it is %s%s%s: restart it, or "
                        "take that back", w->key, becomes ? becomes : "",
                        is ? "'" : "", is ? is : "not set", is ? "'" : "");
            return false;
        }
    }
    return true;
}

/* NICs have registered contracts with ports that stay. */
static bool check_contracts(const DaemonConfig *to, Switch *sw, GError **error)
{
    g_autoptr(DaemonConfig) effective = config_copy(to);

    config_add_contracts(effective, sw);
    if (!daemon_config_check(effective, error)) {
        g_prefix_error(error, "with the contracts that NICs have registered: ");
        return false;
    }
    return true;
}

/* -- The log --------------------------------------------------------------- */

static void log_change(const ConfigChange *c)
{
    if (c->error) {
        g_warning("reload: %s %s could not be %s: %s", c->what, c->name,
                  c->change, c->error);
    } else {
        g_message("reload: %s %s was %s%s%s", c->what, c->name, c->change,
                  c->keys ? ": " : "", c->keys ? c->keys : "");
    }
}

static void log_missing(const char *port, const char *key,
                        const char *missing, void *opaque)
{
    g_warning("port %s: %s=%s does not exist yet", port, key, missing);
}

static void log_all(const DaemonConfig *to, const GPtrArray *changes)
{
    for (unsigned i = 0; i < changes->len; i++) {
        log_change(g_ptr_array_index(changes, i));
    }
    if (changes->len == 0) {
        g_message("reload: nothing has changed");
    }
    daemon_config_foreach_missing(to, log_missing, NULL);
}

/* -- All of it ------------------------------------------------------------- */

GPtrArray *config_reload(const ConfigReload *r, const char *file,
                         GError **error)
{
    g_autoptr(DaemonConfig) now = config_of_switch(r->sw);
    g_autoptr(DaemonConfig) to = NULL;
    GPtrArray *changes = NULL;

    if (!file && !r->file) {
        g_set_error(error, DAEMON_CONFIG_ERROR, 0, "the daemon was started "
                    "without --config, so there is no file to read again: "
                    "name one");
        return NULL;
    }
    file = file ? file : r->file;
    to = r->read(r->opaque, file, error);
    if (!to) {
        return NULL;
    }
    now->control = g_strdup(r->control);
    now->metrics_port = r->metrics_port;
    if (check_daemon(now, to, error) && check_contracts(to, r->sw, error)) {
        changes = config_apply(to, r->sw, r->events, error);
    }
    if (!changes) {
        g_prefix_error(error, "%s: ", file);
        return NULL;
    }
    log_all(to, changes);
    return changes;
}
