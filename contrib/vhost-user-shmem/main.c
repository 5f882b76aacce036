/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user-shmem: settings from the command line and the configuration file,
 * the switch they describe, and a main loop until a signal ends it.
 *
 * All settings are checked before anything is opened; the control socket is
 * claimed before any port's, so that a second daemon started by mistake leaves
 * the first one's alone.
 *
 * Threads: this one is the control thread; the switch starts its workers.
 */
#include <errno.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "config-file.h"
#include "control.h"
#include "control-path.h"
#include "guest-mem.h"
#include "rpc-methods.h"

#define EXIT_USAGE 2

/* What the command line says; it is kept until the file has been read. */
typedef struct Arguments {
    char *config;
    GPtrArray *keys, *values;   /* of the daemon's own words */
    GPtrArray *ports;
    gboolean only_check;
    gboolean version;
} Arguments;

/* -- The command line ------------------------------------------------------ */

static gboolean take_word(const char *option, const char *value, void *opaque,
                          GError **error)
{
    Arguments *args = opaque;

    g_ptr_array_add(args->keys, g_strdup(option + strlen("--")));
    g_ptr_array_add(args->values, g_strdup(value));
    return true;
}

static gboolean take_port(const char *option, const char *value, void *opaque,
                          GError **error)
{
    Arguments *args = opaque;

    g_ptr_array_add(args->ports, g_strdup(value));
    return true;
}

static GOptionGroup *make_options(Arguments *args)
{
    GOptionGroup *group = g_option_group_new("", "", "", args, NULL);
    g_autoptr(GArray) entries = g_array_new(true, true, sizeof(GOptionEntry));
    GOptionEntry config = {
        "config", 0, 0, G_OPTION_ARG_FILENAME, &args->config,
        "settings, ports and fixed addresses to begin with", "FILE",
    };
    GOptionEntry port = {
        "port", 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK, take_port,
        "add a port, or take it instead of the file's; can be repeated",
        "'NAME KEY=VALUE...'",
    };
    GOptionEntry check = {
        "check", 0, 0, G_OPTION_ARG_NONE, &args->only_check,
        "check all settings and end", NULL,
    };
    GOptionEntry version = {
        "version", 0, 0, G_OPTION_ARG_NONE, &args->version,
        "print the version and end", NULL,
    };

    g_array_append_val(entries, config);
    for (const DaemonWord *w = daemon_config_words(); w->key; w++) {
        GOptionEntry word = {
            w->key, 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK,
            take_word, w->help, w->value,
        };

        g_array_append_val(entries, word);
    }
    g_array_append_val(entries, port);
    g_array_append_val(entries, check);
    g_array_append_val(entries, version);
    /* Copies them. */
    g_option_group_add_entries(group, (GOptionEntry *)entries->data);
    return group;
}

static char *describe_ports(void)
{
    GString *text = g_string_new("Settings of a port:\n");

    for (const char *const *key = port_settings_keys(); *key; key++) {
        g_string_append_printf(text, "  %-12s%s\n", *key,
                               port_settings_help(*key));
    }
    g_string_append(text, "\nvusctl talks to the daemon while it runs.");
    return g_string_free(text, false);
}

static bool parse_arguments(Arguments *args, int *argc, char ***argv,
                            GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autofree char *ports = describe_ports();

    g_option_context_set_summary(
        context, "Copies packets between the virtqueues of several guests, "
        "over vhost-user.");
    g_option_context_set_description(context, ports);
    g_option_context_set_main_group(context, make_options(args));
    if (!g_option_context_parse(context, argc, argv, error)) {
        return false;
    }
    if (*argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "what is '%s'? A port is one word: --port 'NAME "
                    "KEY=VALUE...'", (*argv)[1]);
        return false;
    }
    return true;
}

/* -- Settings -------------------------------------------------------------- */

static bool add_port(DaemonConfig *c, const char *text, GHashTable *seen,
                     GError **error)
{
    g_auto(GStrv) word = NULL;
    PortSettings settings;
    bool added = false;

    if (!g_shell_parse_argv(text, NULL, &word, error)) {
        g_prefix_error(error, "--port '%s': ", text);
        return false;
    }
    if (!g_hash_table_add(seen, g_strdup(word[0]))) {
        g_set_error(error, DAEMON_CONFIG_ERROR, 0,
                    "--port %s is there twice: join them", word[0]);
        return false;
    }
    port_settings_init(&settings);
    if (port_settings_parse(&settings, (const char **)word + 1, error) &&
        port_settings_check_named(&settings, word[0], error)) {
        if (daemon_config_find_port(c, word[0])) {
            daemon_config_remove_port(c, word[0]);
        }
        daemon_config_add_port(c, word[0], &settings);
        added = true;
    } else {
        g_prefix_error(error, "--port %s: ", word[0]);
    }
    port_settings_clear(&settings);
    return added;
}

/* First the file, then the command line. */
static DaemonConfig *make_config(const Arguments *args, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal,
                                                       g_free, NULL);
    g_autoptr(DaemonConfig) c = daemon_config_new();

    if (args->config && !config_file_load(c, args->config, error)) {
        return NULL;
    }
    for (unsigned i = 0; i < args->keys->len; i++) {
        if (!daemon_config_set(c, g_ptr_array_index(args->keys, i),
                               g_ptr_array_index(args->values, i), error)) {
            g_prefix_error(error, "--");
            return NULL;
        }
    }
    for (unsigned i = 0; i < args->ports->len; i++) {
        if (!add_port(c, g_ptr_array_index(args->ports, i), seen, error)) {
            return NULL;
        }
    }
    if (!c->control) {
        c->control = control_path_default(error);
        if (!c->control) {
            return NULL;
        }
    }
    if (!c->sw.state_dir) {
        c->sw.state_dir = g_path_get_dirname(c->control);
    }
    return daemon_config_check(c, error) ? g_steal_pointer(&c) : NULL;
}

static void warn_of_missing(const char *port, const char *key,
                            const char *missing, void *opaque)
{
    g_warning("port %s: %s=%s does not exist yet", port, key, missing);
}

/* -- What is logged -------------------------------------------------------- */

/* To the journal if it listens, else a line. */
static GLogWriterOutput write_log(GLogLevelFlags level,
                                  const GLogField *fields, size_t n,
                                  void *opaque)
{
    const char *message = "";

    if (level & (G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG)) {
        return G_LOG_WRITER_HANDLED;
    }
    if (g_log_writer_is_journald(fileno(stderr)) &&
        g_log_writer_journald(level, fields, n, opaque) ==
        G_LOG_WRITER_HANDLED) {
        return G_LOG_WRITER_HANDLED;
    }
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(fields[i].key, "MESSAGE")) {
            message = fields[i].value;
        }
    }
    fprintf(stderr, "vhost-user-shmem: %s%s\n",
            level & G_LOG_LEVEL_MESSAGE ? "" :
            level & G_LOG_LEVEL_WARNING ? "warning: " : "error: ", message);
    return G_LOG_WRITER_HANDLED;
}

/* -- The process ----------------------------------------------------------- */

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        g_warning("the limit of open files stays low: %s", g_strerror(errno));
    }
}

static void prepare_process(void)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    /* A peer that is gone is no reason to end, nor is a terminal. */
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
    raise_file_limit();
    guest_mem_catch_sigbus();
}

static gboolean end(void *loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

/* -- The switch ------------------------------------------------------------ */

static bool fill_switch(Switch *sw, const DaemonConfig *c, GError **error)
{
    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(c->ports, i);

        if (!switch_add_port(sw, p->name, &p->settings, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < c->addresses->len; i++) {
        const ConfigAddress *a = g_ptr_array_index(c->addresses, i);

        if (!switch_fdb_set(sw, switch_find_port(sw, a->port), a->mac,
                            a->vlan, error)) {
            return false;
        }
    }
    return true;
}

/* Until a signal ends it; false if it could not begin. */
static bool run(const DaemonConfig *c, GError **error)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, false);
    RpcContext context = { .control = c->control };
    Control *control;
    bool began = false;

    if (!control_path_make_dir(c->control, error)) {
        return false;
    }
    /* From here on an end is a clean one, even before the loop runs. */
    g_unix_signal_add(SIGTERM, end, loop);
    g_unix_signal_add(SIGINT, end, loop);
    control = control_new(c->control, error);
    if (!control) {
        return false;
    }
    context.sw = switch_new(&c->sw, error);
    if (context.sw && fill_switch(context.sw, c, error)) {
        began = true;
        control_serve(control, rpc_methods(), &context);
        printf("ready\n");
        fflush(stdout);
        g_main_loop_run(loop);
        g_message("ended by a signal");
    }
    control_free(control);
    if (context.sw) {
        switch_free(context.sw);
    }
    return began;
}

static int fail(int status, GError *error)
{
    g_printerr("vhost-user-shmem: %s%s\n", error->message,
               error->domain == G_OPTION_ERROR ? "; --help lists all options" :
                                                 "");
    g_error_free(error);
    return status;
}

int main(int argc, char **argv)
{
    Arguments args = {
        .keys = g_ptr_array_new_with_free_func(g_free),
        .values = g_ptr_array_new_with_free_func(g_free),
        .ports = g_ptr_array_new_with_free_func(g_free),
    };
    g_autoptr(DaemonConfig) config = NULL;
    GError *error = NULL;
    int status = EXIT_SUCCESS;

    setlocale(LC_ALL, "");
    g_log_set_writer_func(write_log, NULL, NULL);
    if (!parse_arguments(&args, &argc, &argv, &error)) {
        status = fail(EXIT_USAGE, error);
    } else if (args.version) {
        printf("vhost-user-shmem %s\n", VUS_VERSION);
    } else if (config = make_config(&args, &error), !config) {
        status = fail(EXIT_USAGE, error);
    } else {
        daemon_config_foreach_missing(config, warn_of_missing, NULL);
        if (args.only_check) {
            printf("valid: %u ports, %u fixed addresses\n",
                   config->ports->len, config->addresses->len);
        } else {
            prepare_process();
            if (!run(config, &error)) {
                status = fail(EXIT_FAILURE, error);
            }
        }
    }
    g_ptr_array_unref(args.keys);
    g_ptr_array_unref(args.values);
    g_ptr_array_unref(args.ports);
    g_free(args.config);
    return status;
}
