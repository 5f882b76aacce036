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
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "arguments.h"
#include "config-apply.h"
#include "control-path.h"
#include "guest-mem.h"
#include "metrics-http.h"
#include "metrics.h"
#include "privileges.h"
#include "rpc-methods.h"

#define EXIT_USAGE 2

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

    /* A peer that is gone is no reason to end, nor is a terminal before we
     * listen to signals. */
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
    raise_file_limit();
    guest_mem_catch_sigbus();
}

/* -- Signals --------------------------------------------------------------- */

static gboolean end(void *loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static DaemonConfig *read_again(void *args, const char *file, GError **error)
{
    return arguments_config(args, file, error);
}

/* Without a file it is the terminal that has gone. */
static gboolean reload(void *opaque)
{
    const RpcContext *context = opaque;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) changes = context->config_file
        ? rpc_reload(context, NULL, &error) : NULL;

    if (error) {
        g_warning("reload: %s; nothing was changed", error->message);
    }
    return G_SOURCE_CONTINUE;
}

/* -- Metrics --------------------------------------------------------------- */

static char *describe_metrics(void *opaque)
{
    return metrics_text(opaque);
}

/* False with @error set. */
static bool serve_metrics(RpcContext *context, MetricsHttp **metrics,
                          GError **error)
{
    if (context->metrics_port) {
        *metrics = metrics_http_new(context->metrics_port,
                                    METRICS_CONTENT_TYPE, describe_metrics,
                                    context, error);
    }
    return *metrics || !context->metrics_port;
}

/* -- Start ----------------------------------------------------------------- */

/* Tell the service manager, if there is one (sd_notify(3)), that we serve. */
static void tell_ready(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *path = g_getenv("NOTIFY_SOCKET");
    size_t bytes = path ? strlen(path) : 0;
    int fd;

    if (bytes == 0 || bytes >= sizeof(address.sun_path)) {
        return;
    }
    memcpy(address.sun_path, path, bytes);
    if (*path == '@') {
        address.sun_path[0] = 0;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, "READY=1", strlen("READY=1"), MSG_NOSIGNAL,
                         (struct sockaddr *)&address,
                         offsetof(struct sockaddr_un, sun_path) + bytes) < 0) {
        g_warning("the service manager was not told that all is ready: %s",
                  g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

/*
 * Metrics have their sockets, and nobody is served yet.  When it has its
 * workers nobody gets a priority any more.
 */
static Switch *start_switch(const SwitchConfig *cfg, GError **error)
{
    Switch *sw = sandbox_confine_process(cfg->sandbox, error)
                 ? switch_new(cfg, error) : NULL;

    if (sw && !privileges_shed(true, false, error)) {
        switch_free(sw);
        sw = NULL;
    }
    return sw;
}

/* Until a signal ends it; false if it could not begin. */
static bool run(Arguments *args, const DaemonConfig *c, GError **error)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, false);
    RpcContext context = {
        .control = c->control, .metrics_port = c->metrics_port,
        .read = read_again, .read_opaque = args, .config_file = args->config,
    };
    MetricsHttp *metrics = NULL;
    bool began = false;

    /* Before all threads, GLib's too, which begin with what is left; and before
     * sockets, so that those of ports that are added later are no harder. */
    if (!privileges_shed(true, c->sw.rt_priority > 0, error) ||
        !control_path_make_dir(c->control, error)) {
        return false;
    }
    /* From here on an end is a clean one, even before the loop runs. */
    g_unix_signal_add(SIGTERM, end, loop);
    g_unix_signal_add(SIGINT, end, loop);
    context.server = control_new(c->control, error);
    if (!context.server) {
        return false;
    }
    if (serve_metrics(&context, &metrics, error)) {
        context.sw = start_switch(&c->sw, error);
    }
    if (context.sw && config_fill(c, context.sw, error)) {
        began = true;
        context.events = events_new(context.sw);
        g_unix_signal_add(SIGHUP, reload, &context);
        control_serve(context.server, rpc_methods(), &context);
        printf("ready\n");
        fflush(stdout);
        tell_ready();
        g_main_loop_run(loop);
        g_message("ended by a signal");
    }
    control_free(context.server);
    metrics_http_free(metrics);
    events_free(context.events);
    if (context.sw) {
        switch_free(context.sw);
    }
    return began;
}

/* -- All together ---------------------------------------------------------- */

static void warn_of_missing(const char *port, const char *key,
                            const char *missing, void *opaque)
{
    g_warning("port %s: %s=%s does not exist yet", port, key, missing);
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
    g_autoptr(Arguments) args = arguments_new();
    g_autoptr(DaemonConfig) config = NULL;
    GError *error = NULL;

    setlocale(LC_ALL, "");
    g_log_set_writer_func(write_log, NULL, NULL);
    if (!arguments_parse(args, &argc, &argv, &error)) {
        return fail(EXIT_USAGE, error);
    }
    if (args->version) {
        printf("vhost-user-shmem %s\n", VUS_VERSION);
        return EXIT_SUCCESS;
    }
    config = arguments_config(args, args->config, &error);
    if (!config) {
        return fail(EXIT_USAGE, error);
    }
    daemon_config_foreach_missing(config, warn_of_missing, NULL);
    if (args->only_check) {
        printf("valid: %u ports, %u fixed addresses\n", config->ports->len,
               config->addresses->len);
        return EXIT_SUCCESS;
    }
    prepare_process();
    return run(args, config, &error) ? EXIT_SUCCESS :
                                       fail(EXIT_FAILURE, error);
}
