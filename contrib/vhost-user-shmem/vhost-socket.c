/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib-unix.h>

#include "socket-file.h"
#include "vhost-socket.h"

#define CONNECT_AGAIN_S 1
#define BACKLOG 8

struct VhostSocket {
    const Port *p;
    void (*front)(void *opaque, int fd);
    void *opaque;
    bool is_open;
    int listen_fd;                  /* -1: not listening */
    SocketFile file;                        /* where we listen */
    guint listen_source, again_source;      /* 0: none */
    bool told_refused;              /* why we cannot connect */
};

VhostSocket *vhost_socket_new(const Port *p,
                              void (*front)(void *opaque, int fd),
                              void *opaque)
{
    VhostSocket *s = g_new0(VhostSocket, 1);

    s->p = p;
    s->front = front;
    s->opaque = opaque;
    s->listen_fd = -1;
    return s;
}

void vhost_socket_free(VhostSocket *s)
{
    vhost_socket_close(s);
    g_free(s);
}

/* -- Sockets --------------------------------------------------------------- */

static bool make_address(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un) { .sun_family = AF_UNIX };
    return g_strlcpy(address->sun_path, path, sizeof(address->sun_path)) <
           sizeof(address->sun_path);
}

static int new_socket(GError **error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        g_set_error(error, SWITCH_ERROR, 0, "cannot make a socket: %s",
                    g_strerror(errno));
    }
    return fd;
}

/* -- Listen ---------------------------------------------------------------- */

static gboolean on_listen_again(gpointer opaque);

static gboolean on_connection(gint fd, GIOCondition condition, gpointer opaque)
{
    VhostSocket *s = opaque;
    int new = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (new >= 0) {
        s->front(s->opaque, new);
    } else if (errno == EMFILE || errno == ENFILE) {
        /* It waits in the backlog, and would be offered again at once. */
        port_log(s->p, G_LOG_LEVEL_WARNING, "cannot take a connection: %s; "
                 "trying again in a second", g_strerror(errno));
        s->listen_source = 0;
        s->again_source = g_timeout_add_seconds(CONNECT_AGAIN_S,
                                                on_listen_again, s);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

static gboolean on_listen_again(gpointer opaque)
{
    VhostSocket *s = opaque;

    s->again_source = 0;
    s->listen_source = g_unix_fd_add(s->listen_fd, G_IO_IN, on_connection, s);
    return G_SOURCE_REMOVE;
}

static bool listen_for_front(VhostSocket *s, GError **error)
{
    const char *path = s->p->settings.socket;
    struct sockaddr_un address;
    int fd;

    if (!make_address(path, &address)) {
        g_set_error(error, SWITCH_ERROR, 0, "socket=%s is too long", path);
        return false;
    }
    if (!socket_file_make_room(&address, "socket=", error)) {
        return false;
    }
    fd = new_socket(error);
    if (fd < 0) {
        return false;
    }
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        !socket_file_note(&s->file, path) || listen(fd, BACKLOG) < 0) {
        g_set_error(error, SWITCH_ERROR, 0, "cannot listen at socket=%s: %s",
                    path, g_strerror(errno));
        socket_file_remove(&s->file, path);
        close(fd);
        return false;
    }
    s->listen_fd = fd;
    s->listen_source = g_unix_fd_add(fd, G_IO_IN, on_connection, s);
    return true;
}

/* -- Connect --------------------------------------------------------------- */

/* The first refusal is logged. */
static bool try_to_connect(VhostSocket *s)
{
    const char *path = s->p->settings.socket;
    struct sockaddr_un address;
    g_autoptr(GError) error = NULL;
    int fd = new_socket(&error);

    if (fd >= 0 && make_address(path, &address) &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        s->told_refused = false;
        s->front(s->opaque, fd);
        return true;
    }
    if (!s->told_refused) {
        s->told_refused = true;
        port_log(s->p, G_LOG_LEVEL_MESSAGE, "nobody listens at socket=%s yet "
                 "(%s); trying again every second", path,
                 error ? error->message : g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return false;
}

static gboolean on_connect_again(gpointer opaque)
{
    VhostSocket *s = opaque;
    guint source = s->again_source;

    /* Before a connection that is lost at once asks for another. */
    s->again_source = 0;
    if (try_to_connect(s)) {
        return G_SOURCE_REMOVE;
    }
    s->again_source = source;
    return G_SOURCE_CONTINUE;
}

static void connect_again_later(VhostSocket *s)
{
    if (s->again_source == 0) {
        s->again_source = g_timeout_add_seconds(CONNECT_AGAIN_S,
                                                on_connect_again, s);
    }
}

/* -- Either ---------------------------------------------------------------- */

bool vhost_socket_open(VhostSocket *s, GError **error)
{
    if (!s->p->settings.client) {
        s->is_open = listen_for_front(s, error);
        return s->is_open;
    }
    s->is_open = true;
    if (!try_to_connect(s)) {
        connect_again_later(s);
    }
    return true;
}

void vhost_socket_close(VhostSocket *s)
{
    s->is_open = false;
    g_clear_handle_id(&s->again_source, g_source_remove);
    g_clear_handle_id(&s->listen_source, g_source_remove);
    if (s->listen_fd >= 0) {
        close(s->listen_fd);
        s->listen_fd = -1;
        socket_file_remove(&s->file, s->p->settings.socket);
    }
}

void vhost_socket_lost(VhostSocket *s)
{
    if (s->is_open && s->p->settings.client) {
        connect_again_later(s);
    }
}
