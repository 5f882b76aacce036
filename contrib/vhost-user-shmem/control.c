/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "socket-file.h"

#define BACKLOG 16
#define READ_BYTES 4096

/* No file descriptor is left: how long until the next try. */
#define ACCEPT_PAUSE_MS 1000

struct Control {
    char *path;
    int fd;
    SocketFile file;
    const RpcMethod *methods;
    void *opaque;
    unsigned source;            /* accepts, or waits to do so again */
    GPtrArray *clients;
    ControlClient *caller;      /* of the method that runs */
};

typedef struct ControlClient {
    Control *control;
    int fd;
    GByteArray *in;             /* at most one line that is not whole */
    GByteArray *out;
    size_t out_sent;            /* bytes of out */
    bool skips;                 /* the line is too long: to its end */
    bool ended;                 /* nothing more comes */
    bool cut;                   /* to be ended as soon as nobody uses it */
    unsigned reads, writes, works, hangs;       /* sources, or 0 */
    void (*gone)(void *opaque); /* NULL: it is not kept */
    void *gone_opaque;
} Client;

G_DEFINE_QUARK(vus-control-error-quark, control_error)

#define CONTROL_FAILED(error, ...) \
    g_set_error(error, CONTROL_ERROR, 0, __VA_ARGS__)

static void client_watch(Client *c);

/* -- Clients: life --------------------------------------------------------- */

static void drop_source(unsigned *source)
{
    if (*source) {
        g_source_remove(*source);
        *source = 0;
    }
}

static void free_client(void *opaque)
{
    Client *c = opaque;

    drop_source(&c->reads);
    drop_source(&c->writes);
    drop_source(&c->works);
    drop_source(&c->hangs);
    if (c->gone) {
        c->gone(c->gone_opaque);
    }
    g_byte_array_unref(c->in);
    g_byte_array_unref(c->out);
    close(c->fd);
    g_free(c);
}

static void client_end(Client *c)
{
    g_ptr_array_remove_fast(c->control->clients, c);
}

/* -- Clients: out ---------------------------------------------------------- */

static size_t unread_bytes(const Client *c)
{
    return c->out->len - c->out_sent;
}

/* False: the client is gone. */
static bool client_flush(Client *c)
{
    while (unread_bytes(c) > 0) {
        ssize_t sent = send(c->fd, c->out->data + c->out_sent,
                            unread_bytes(c), MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return errno == EAGAIN || errno == EWOULDBLOCK;
        }
        c->out_sent += sent;
    }
    g_byte_array_set_size(c->out, 0);
    c->out_sent = 0;
    return true;
}

/* False: the client leaves too many unread, or is gone. */
static bool client_send(Client *c, const char *line)
{
    if (unread_bytes(c) > CONTROL_MAX_UNREAD_BYTES) {
        g_warning("a client of the control socket%s leaves %zu bytes of "
                  "%sanswers unread and is cut off",
                  c->gone ? " that watches" : "", unread_bytes(c),
                  c->gone ? "events and " : "");
        return false;
    }
    g_byte_array_append(c->out, (const guint8 *)line, strlen(line));
    g_byte_array_append(c->out, (const guint8 *)"\n", 1);
    return client_flush(c);
}

/* Takes @answer. */
static bool client_answer(Client *c, char *answer)
{
    bool sent = client_send(c, answer);

    g_free(answer);
    return sent;
}

/* -- Clients: in ----------------------------------------------------------- */

/* Length of the first line with its newline, or 0. */
static size_t line_bytes(const Client *c)
{
    const uint8_t *end = c->in->len ? memchr(c->in->data, '\n', c->in->len) :
                                      NULL;

    return end ? end - c->in->data + 1 : 0;
}

static bool is_blank(const uint8_t *line, size_t bytes)
{
    while (bytes > 0 && g_ascii_isspace(line[bytes - 1])) {
        bytes--;
    }
    return bytes == 0;
}

/* A whole line, with its newline. */
static bool client_handle_line(Client *c, size_t bytes)
{
    Control *control = c->control;
    char *answer;

    if (is_blank(c->in->data, bytes)) {
        return true;
    }
    control->caller = c;
    answer = rpc_answer(control->methods, control->opaque,
                        (const char *)c->in->data, bytes);
    control->caller = NULL;
    return !answer || client_answer(c, answer);
}

static bool client_handle_excess(Client *c)
{
    c->skips = true;
    return client_answer(c, rpc_refusal(
        RPC_ERROR_REQUEST, "a line has at most "
        G_STRINGIFY(CONTROL_MAX_LINE_BYTES) " bytes: send smaller requests, "
        "or smaller batches"));
}

/* One line at most.  False: the client is done with. */
static bool client_work(Client *c)
{
    size_t bytes = line_bytes(c);
    bool goes_on = true;

    if (bytes > 0) {
        if (!c->skips) {
            goes_on = client_handle_line(c, bytes);
        }
        c->skips = false;
        g_byte_array_remove_range(c->in, 0, bytes);
        return goes_on;
    }
    if (c->skips || c->in->len == CONTROL_MAX_LINE_BYTES) {
        goes_on = c->skips || client_handle_excess(c);
        g_byte_array_set_size(c->in, 0);
    } else if (c->ended && c->in->len > 0) {
        goes_on = is_blank(c->in->data, c->in->len) ||
                  client_answer(c, rpc_refusal(
                      RPC_ERROR_PARSE, "the last line has no end: send a "
                      "newline behind each request"));
        g_byte_array_set_size(c->in, 0);
    }
    return goes_on;
}

/* False: the connection is broken. */
static bool client_read(Client *c)
{
    unsigned before = c->in->len;
    size_t room = MIN(READ_BYTES, CONTROL_MAX_LINE_BYTES - before);
    ssize_t got;

    g_byte_array_set_size(c->in, before + room);
    got = recv(c->fd, c->in->data + before, room, MSG_DONTWAIT);
    g_byte_array_set_size(c->in, before + MAX(got, 0));
    if (got == 0) {
        c->ended = true;
    }
    return got >= 0 || errno == EAGAIN || errno == EWOULDBLOCK ||
           errno == EINTR;
}

/* -- Clients: sources ------------------------------------------------------ */

static void client_go_on(Client *c, bool alive)
{
    if (!alive || c->cut || (c->ended && !c->gone && c->in->len == 0 &&
                             unread_bytes(c) == 0)) {
        client_end(c);
    } else {
        client_watch(c);
    }
}

static gboolean on_readable(int fd, GIOCondition condition, void *opaque)
{
    Client *c = opaque;

    c->reads = 0;
    client_go_on(c, client_read(c) && client_work(c));
    return G_SOURCE_REMOVE;
}

static gboolean on_writable(int fd, GIOCondition condition, void *opaque)
{
    Client *c = opaque;

    c->writes = 0;
    client_go_on(c, client_flush(c));
    return G_SOURCE_REMOVE;
}

static gboolean on_more(void *opaque)
{
    Client *c = opaque;

    c->works = 0;
    client_go_on(c, client_work(c));
    return G_SOURCE_REMOVE;
}

static gboolean on_hung_up(int fd, GIOCondition condition, void *opaque)
{
    Client *c = opaque;

    c->hangs = 0;
    client_end(c);
    return G_SOURCE_REMOVE;
}

/* Wait for what can happen next: with a line at hand, not for more of them. */
static void client_watch(Client *c)
{
    bool works = line_bytes(c) > 0 || (c->ended && c->in->len > 0);

    if (works && !c->works) {
        drop_source(&c->reads);
        c->works = g_idle_add_full(G_PRIORITY_DEFAULT, on_more, c, NULL);
    }
    if (!works && !c->ended && !c->reads) {
        c->reads = g_unix_fd_add(c->fd, G_IO_IN, on_readable, c);
    }
    if (unread_bytes(c) > 0 && !c->writes) {
        c->writes = g_unix_fd_add(c->fd, G_IO_OUT, on_writable, c);
    }
    /* It says nothing more, and may still listen. */
    if (c->ended && c->gone && !c->hangs) {
        c->hangs = g_unix_fd_add(c->fd, G_IO_HUP, on_hung_up, c);
    }
}

/* -- For methods ----------------------------------------------------------- */

ControlClient *control_caller(const Control *c)
{
    return c->caller;
}

void control_keep(ControlClient *c, void (*gone)(void *opaque), void *opaque)
{
    g_assert(!c->gone);
    c->gone = gone;
    c->gone_opaque = opaque;
}

bool control_is_kept(const ControlClient *c)
{
    return c->gone;
}

bool control_has_hung_up(const ControlClient *c)
{
    struct pollfd poll_fd = { .fd = c->fd };

    return poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & (POLLHUP | POLLERR);
}

void control_notify(ControlClient *c, const char *line)
{
    if (c->cut) {
        return;
    }
    c->cut = !client_send(c, line);
    if (c->cut && !c->works) {
        c->works = g_idle_add_full(G_PRIORITY_DEFAULT, on_more, c, NULL);
    }
    client_watch(c);
}

/* -- Who comes ------------------------------------------------------------- */

static void control_watch(Control *c);

static gboolean on_pause_over(void *opaque)
{
    Control *c = opaque;

    c->source = 0;
    control_watch(c);
    return G_SOURCE_REMOVE;
}

static void refuse_client(int fd)
{
    g_autofree char *answer = rpc_refusal(
        RPC_ERROR_TOO_MUCH, G_STRINGIFY(CONTROL_MAX_CLIENTS) " clients are "
        "connected already: end one of them");
    g_autofree char *line = g_strconcat(answer, "\n", NULL);

    /* A new socket has room for it. */
    if (send(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        g_warning("the control socket has too many clients");
    }
    close(fd);
}

static gboolean on_connect(int listening_fd, GIOCondition condition,
                           void *opaque)
{
    Control *c = opaque;
    Client *client;
    int fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno != EMFILE && errno != ENFILE && errno != ENOMEM &&
            errno != ENOBUFS) {
            return G_SOURCE_CONTINUE;
        }
        g_warning("the control socket accepts nobody for a second: %s",
                  g_strerror(errno));
        c->source = g_timeout_add(ACCEPT_PAUSE_MS, on_pause_over, c);
        return G_SOURCE_REMOVE;
    }
    if (c->clients->len == CONTROL_MAX_CLIENTS) {
        refuse_client(fd);
        return G_SOURCE_CONTINUE;
    }
    client = g_new0(Client, 1);
    client->control = c;
    client->fd = fd;
    client->in = g_byte_array_new();
    client->out = g_byte_array_new();
    g_ptr_array_add(c->clients, client);
    client_watch(client);
    return G_SOURCE_CONTINUE;
}

static void control_watch(Control *c)
{
    c->source = g_unix_fd_add(c->fd, G_IO_IN, on_connect, c);
}

/* -- The socket ------------------------------------------------------------ */

static bool fill_address(struct sockaddr_un *addr, const char *path,
                         GError **error)
{
    *addr = (struct sockaddr_un) { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(addr->sun_path)) {
        CONTROL_FAILED(error, "%s is too long for a socket: a path has at "
                       "most %zu bytes", path, sizeof(addr->sun_path) - 1);
        return false;
    }
    strcpy(addr->sun_path, path);
    return true;
}

static bool bind_socket(Control *c, const struct sockaddr_un *addr,
                        GError **error)
{
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* The file gets the mode that the socket has before. */
    if (c->fd < 0 || fchmod(c->fd, 0600) < 0 ||
        bind(c->fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0) {
        CONTROL_FAILED(error, "the control socket %s cannot be made: %s; does "
                       "its directory exist, and may you write there?",
                       c->path, g_strerror(errno));
        return false;
    }
    if (listen(c->fd, BACKLOG) < 0 ||
        !socket_file_note(&c->file, c->path)) {
        CONTROL_FAILED(error, "the control socket %s cannot be used: %s",
                       c->path, g_strerror(errno));
        return false;
    }
    return true;
}

/* Two daemons that start at once do not remove each other's socket: only one
 * at a time looks at what is in the directory. */
static bool claim(Control *c, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(c->path);
    struct sockaddr_un addr;
    bool claimed = false;
    int lock;

    if (!fill_address(&addr, c->path, error)) {
        return false;
    }
    lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0 &&
        errno == EWOULDBLOCK) {
        CONTROL_FAILED(error, "another daemon is just starting in %s: try "
                       "again", dir);
    } else {
        claimed = socket_file_make_room(&addr, "--control", error) &&
                  bind_socket(c, &addr, error);
    }
    if (lock >= 0) {
        close(lock);
    }
    return claimed;
}

Control *control_new(const char *path, GError **error)
{
    Control *c = g_new0(Control, 1);

    c->path = g_strdup(path);
    c->fd = -1;
    c->clients = g_ptr_array_new_with_free_func(free_client);
    if (!claim(c, error)) {
        g_clear_pointer(&c, control_free);
    }
    return c;
}

void control_serve(Control *c, const RpcMethod *methods, void *opaque)
{
    c->methods = methods;
    c->opaque = opaque;
    control_watch(c);
}

void control_free(Control *c)
{
    drop_source(&c->source);
    g_ptr_array_unref(c->clients);
    socket_file_remove(&c->file, c->path);
    if (c->fd >= 0) {
        close(c->fd);
    }
    g_free(c->path);
    g_free(c);
}
