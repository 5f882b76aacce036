/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "json-guard.h"
#include "vusctl.h"

#define PATIENCE_S 10

G_DEFINE_QUARK(vusctl-error-quark, vusctl_error)

#define FAILED(error, ...) \
    g_set_error(error, VUSCTL_ERROR, VUSCTL_FAILED, __VA_ARGS__)

/* -- The socket ------------------------------------------------------------ */

static void explain_connect(const Vusctl *v, int failure, GError **error)
{
    if (failure == ENOENT || failure == ECONNREFUSED || failure == ENOTDIR) {
        FAILED(error, "no daemon answers at %s: is vhost-user-shmem running? "
               "--control names another socket", v->control);
    } else if (failure == EACCES) {
        FAILED(error, "you may not use %s: try it as the user that runs "
               "vhost-user-shmem", v->control);
    } else {
        FAILED(error, "cannot connect to %s: %s", v->control,
               g_strerror(failure));
    }
}

static bool connect_to(Vusctl *v, GError **error)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = PATIENCE_S };

    if (v->fd >= 0) {
        return true;
    }
    if (strlen(v->control) >= sizeof(addr.sun_path)) {
        FAILED(error, "%s is too long for a socket: a path has at most %zu "
               "bytes", v->control, sizeof(addr.sun_path) - 1);
        return false;
    }
    strcpy(addr.sun_path, v->control);
    v->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (v->fd < 0 ||
        connect(v->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        explain_connect(v, errno, error);
        return false;
    }
    setsockopt(v->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(v->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return true;
}

/* What went wrong with the socket; errno says it. */
static void explain_silence(GError **error)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        FAILED(error, "the daemon has not answered for %d s", PATIENCE_S);
    } else {
        FAILED(error, "the connection to the daemon broke: %s",
               g_strerror(errno));
    }
}

/* If the daemon has closed its end already, it may have said why. */
static bool send_all(int fd, const char *text, size_t bytes, GError **error)
{
    while (bytes > 0) {
        ssize_t sent = send(fd, text, bytes, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            return true;
        }
        if (sent < 0) {
            explain_silence(error);
            return false;
        }
        text += sent;
        bytes -= sent;
    }
    return true;
}

/* The next line, without its end; NULL with @error set. */
static char *receive_line(Vusctl *v, GError **error)
{
    size_t searched = 0;
    char *end, *line;

    while (!(end = memchr(v->unread->str + searched, '\n',
                          v->unread->len - searched))) {
        char data[16384];
        ssize_t got = recv(v->fd, data, sizeof(data), 0);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            explain_silence(error);
            return NULL;
        }
        if (got == 0) {
            FAILED(error, "the daemon has closed the connection: has it "
                   "ended?");
            return NULL;
        }
        searched = v->unread->len;
        g_string_append_len(v->unread, data, got);
    }
    line = g_strndup(v->unread->str, end - v->unread->str);
    g_string_erase(v->unread, 0, end - v->unread->str + 1);
    return line;
}

/* -- Requests -------------------------------------------------------------- */

/* Takes @params. */
static char *make_request(const char *method, JsonNode *params)
{
    g_autoptr(JsonObject) request = json_object_new();
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;

    json_object_set_string_member(request, "jsonrpc", "2.0");
    json_object_set_int_member(request, "id", 1);
    json_object_set_string_member(request, "method", method);
    if (params) {
        json_object_set_member(request, "params", params);
    }
    json_node_set_object(node, request);
    text = json_to_string(node, false);
    return g_strconcat(text, "\n", NULL);
}

/* The object in a line; NULL with @error set. */
static JsonObject *read_object(const char *line, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root;

    if (!json_guard_check(line, strlen(line), NULL) ||
        !json_parser_load_from_data(parser, line, -1, NULL) ||
        !JSON_NODE_HOLDS_OBJECT(root = json_parser_get_root(parser))) {
        FAILED(error, "what answers is no vhost-user-shmem: is --control "
               "right?");
        return NULL;
    }
    return json_node_dup_object(root);
}

static JsonNode *take_result(const char *line, GError **error)
{
    g_autoptr(JsonObject) answer = read_object(line, error);
    JsonNode *failure;

    if (!answer) {
        return NULL;
    }
    failure = json_object_get_member(answer, "error");
    if (failure && JSON_NODE_HOLDS_OBJECT(failure)) {
        FAILED(error, "%s", vusctl_string(json_node_get_object(failure),
                                          "message"));
        return NULL;
    }
    if (!json_object_has_member(answer, "result")) {
        FAILED(error, "the daemon's answer has neither result nor error");
        return NULL;
    }
    return json_object_dup_member(answer, "result");
}

JsonNode *vusctl_call_node(Vusctl *v, const char *method, JsonNode *params,
                           GError **error)
{
    g_autofree char *request = make_request(method, params);
    g_autofree char *answer = NULL;

    if (!connect_to(v, error) ||
        !send_all(v->fd, request, strlen(request), error)) {
        return NULL;
    }
    answer = receive_line(v, error);
    return answer ? take_result(answer, error) : NULL;
}

JsonNode *vusctl_call(Vusctl *v, const char *method, JsonObject *params,
                      GError **error)
{
    JsonNode *node = NULL;

    if (params) {
        node = json_node_new(JSON_NODE_OBJECT);
        json_node_take_object(node, params);
    }
    return vusctl_call_node(v, method, node, error);
}

JsonNode *vusctl_next_event(Vusctl *v, GError **error)
{
    const struct timeval forever = { 0 };
    g_autofree char *line = NULL;
    g_autoptr(JsonObject) notification = NULL;

    setsockopt(v->fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
    line = receive_line(v, error);
    notification = line ? read_object(line, error) : NULL;
    if (!notification) {
        return NULL;
    }
    if (!vusctl_object(notification, "params")) {
        FAILED(error, "the daemon has sent something that is no event");
        return NULL;
    }
    return json_object_dup_member(notification, "params");
}

/* -- Results --------------------------------------------------------------- */

const char *vusctl_string(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node) &&
           json_node_get_value_type(node) == G_TYPE_STRING ?
           json_node_get_string(node) : "";
}

int64_t vusctl_number(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_int(node) : 0;
}

int64_t vusctl_sum(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    g_autoptr(GList) members = NULL;
    int64_t sum = 0;

    if (node && JSON_NODE_HOLDS_OBJECT(node)) {
        members = json_object_get_members(json_node_get_object(node));
        for (GList *m = members; m; m = m->next) {
            sum += vusctl_number(json_node_get_object(node), m->data);
        }
    }
    return sum;
}

char *vusctl_join(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ?
                       json_node_get_array(node) : NULL;
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; array && i < json_array_get_length(array); i++) {
        g_string_append_printf(text, "%s%s", i ? "," : "",
                               json_array_get_string_element(array, i));
    }
    return g_string_free(text, false);
}

char *vusctl_settings_of(JsonObject *object)
{
    JsonObject *settings = vusctl_object(object, "settings");
    g_autoptr(GList) keys = settings ? json_object_get_members(settings) : NULL;
    GString *text = g_string_new(NULL);

    for (GList *key = keys; key; key = key->next) {
        g_string_append_printf(text, "%s%s=%s", text->len ? " " : "",
                               (char *)key->data,
                               vusctl_string(settings, key->data));
    }
    return g_string_free(text, false);
}

JsonObject *vusctl_object(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) :
                                                  NULL;
}

JsonArray *vusctl_array(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) :
                                                 NULL;
}

unsigned vusctl_length(JsonArray *array)
{
    return array ? json_array_get_length(array) : 0;
}

bool vusctl_flag(JsonObject *object, const char *name)
{
    return json_object_has_member(object, name) &&
           json_object_get_boolean_member(object, name);
}
