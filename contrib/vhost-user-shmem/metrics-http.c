/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libmicrohttpd has no thread of its own here: it keeps all its sockets in an
 * epoll set, which is one fd in GLib's main loop, and says when it wants to be
 * called at the latest.  A turn of it never blocks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "metrics-http.h"

#define BACKLOG 16
#define PATH "/metrics"

/* One address. */
typedef struct Server {
    GSource source;
    struct MHD_Daemon *http;
    void *epoll;                /* its tag in the source */
} Server;

struct MetricsHttp {
    const char *content_type;
    MetricsHttpText *text;
    void *opaque;
    Server *server[2];          /* NULL: this host has no such address */
};

/* -- Answers --------------------------------------------------------------- */

/* Takes @body.  The connection ends with it. */
static enum MHD_Result answer(struct MHD_Connection *c, unsigned status,
                              const char *type, char *body)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(
        strlen(body), body, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result queued = MHD_NO;

    g_free(body);
    if (r) {
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
        MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
            MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW,
                                    MHD_HTTP_METHOD_GET);
        }
        queued = MHD_queue_response(c, status, r);
        MHD_destroy_response(r);
    }
    return queued;
}

static enum MHD_Result handle(void *opaque, struct MHD_Connection *c,
                              const char *path, const char *method,
                              const char *version, const char *upload,
                              size_t *upload_bytes, void **state)
{
    MetricsHttp *m = opaque;

    if (strcmp(path, PATH)) {
        return answer(c, MHD_HTTP_NOT_FOUND, "text/plain",
                      g_strdup("there is only " PATH "\n"));
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET)) {
        return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
                      g_strdup("this can only be read: GET " PATH "\n"));
    }
    return answer(c, MHD_HTTP_OK, m->content_type, m->text(m->opaque));
}

/* What clients do wrong is not the log's matter. */
static void say_nothing(void *opaque, const char *format, va_list ap)
{
}

/* -- The main loop --------------------------------------------------------- */

static gboolean prepare(GSource *source, int *timeout_ms)
{
    MHD_UNSIGNED_LONG_LONG until_ms;

    *timeout_ms = -1;
    if (MHD_get_timeout(((Server *)source)->http, &until_ms) == MHD_YES) {
        *timeout_ms = MIN(until_ms, G_MAXINT);
    }
    return *timeout_ms == 0;
}

static gboolean check(GSource *source)
{
    int timeout_ms;

    return g_source_query_unix_fd(source, ((Server *)source)->epoll) ||
           prepare(source, &timeout_ms);
}

static gboolean dispatch(GSource *source, GSourceFunc callback, void *opaque)
{
    /* Who is full listens no more; when somebody has gone, it is the turn after
     * that which listens again. */
    MHD_run(((Server *)source)->http);
    MHD_run(((Server *)source)->http);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs server_source = {
    .prepare = prepare,
    .check = check,
    .dispatch = dispatch,
};

/* -- Addresses ------------------------------------------------------------- */

/* -1 with errno set. */
static int listen_at(const struct sockaddr *address, socklen_t bytes)
{
    int fd = socket(address->sa_family,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, failure;

    if (fd < 0) {
        return -1;
    }
    /* A daemon that starts again does not wait for connections of the last. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (bind(fd, address, bytes) < 0 || listen(fd, BACKLOG) < 0) {
        failure = errno;
        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

/* Takes @fd; NULL: it could not begin. */
static Server *server_new(MetricsHttp *m, int fd)
{
    const union MHD_DaemonInfo *info;
    struct MHD_Daemon *http = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, m,
        MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)METRICS_HTTP_CLIENTS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)METRICS_HTTP_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)METRICS_HTTP_REQUEST_BYTES, MHD_OPTION_END);
    Server *s;

    if (!http) {
        close(fd);
        return NULL;
    }
    info = MHD_get_daemon_info(http, MHD_DAEMON_INFO_EPOLL_FD);
    s = (Server *)g_source_new(&server_source, sizeof(Server));
    s->http = http;
    s->epoll = g_source_add_unix_fd(&s->source, info->epoll_fd, G_IO_IN);
    g_source_attach(&s->source, NULL);
    return s;
}

static void server_free(Server *s)
{
    g_source_destroy(&s->source);
    MHD_stop_daemon(s->http);
    g_source_unref(&s->source);
}

/* Does this host have no such addresses at all? */
static bool is_absent(int failure)
{
    return failure == EAFNOSUPPORT || failure == EADDRNOTAVAIL;
}

/* False with @error set; nothing listens there if the host has no such
 * address. */
static bool serve(MetricsHttp *m, Server **server,
                  const struct sockaddr *address, socklen_t bytes,
                  const char *shown, GError **error)
{
    int fd = listen_at(address, bytes), failure = errno;

    if (fd < 0 && is_absent(failure)) {
        return true;
    }
    *server = fd < 0 ? NULL : server_new(m, fd);
    if (!*server) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(failure),
                    "metrics: %s cannot be listened at: %s%s", shown,
                    fd < 0 ? g_strerror(failure) : "the HTTP server failed",
                    fd < 0 && failure == EADDRINUSE ?
                    "; choose another port with metrics=" :
                    fd < 0 && failure == EACCES ?
                    "; choose a port from 1024 on with metrics=" : "");
    }
    return *server;
}

/* -- Life ------------------------------------------------------------------ */

MetricsHttp *metrics_http_new(unsigned port, const char *content_type,
                              MetricsHttpText *text, void *opaque,
                              GError **error)
{
    const struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };
    g_autofree char *v4_shown = g_strdup_printf("127.0.0.1:%u", port);
    g_autofree char *v6_shown = g_strdup_printf("[::1]:%u", port);
    MetricsHttp *m = g_new0(MetricsHttp, 1);

    m->content_type = content_type;
    m->text = text;
    m->opaque = opaque;
    if (!serve(m, &m->server[0], (const struct sockaddr *)&v4, sizeof(v4),
               v4_shown, error) ||
        !serve(m, &m->server[1], (const struct sockaddr *)&v6, sizeof(v6),
               v6_shown, error)) {
        metrics_http_free(m);
        return NULL;
    }
    if (!m->server[0] && !m->server[1]) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "metrics: this host has neither 127.0.0.1 nor ::1: leave "
                    "out metrics=, or set the loopback interface up");
        metrics_http_free(m);
        return NULL;
    }
    return m;
}

void metrics_http_free(MetricsHttp *m)
{
    if (m) {
        for (unsigned i = 0; i < G_N_ELEMENTS(m->server); i++) {
            if (m->server[i]) {
                server_free(m->server[i]);
            }
        }
        g_free(m);
    }
}
