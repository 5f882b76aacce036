/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control-bed.h"

/* -- Methods --------------------------------------------------------------- */

static JsonNode *call_count(void *opaque, JsonObject *params, GError **error)
{
    Bed *bed = opaque;

    return json_node_init_int(json_node_alloc(), ++bed->calls);
}

static JsonNode *call_long(void *opaque, JsonObject *params, GError **error)
{
    g_autofree char *text = g_strnfill(LONG_BYTES, 'x');

    return json_node_init_string(json_node_alloc(), text);
}

static void note_gone(void *opaque)
{
    Bed *bed = opaque;

    bed->kept = NULL;
    bed->gone++;
}

/* Whether it was kept before. */
static JsonNode *call_keep(void *opaque, JsonObject *params, GError **error)
{
    Bed *bed = opaque;
    ControlClient *client = control_caller(bed->control);
    bool was_kept = control_is_kept(client);

    if (!was_kept) {
        bed->kept = client;
        control_keep(client, note_gone, bed);
    }
    control_notify(client, "{\"early\":1}");
    return json_node_init_boolean(json_node_alloc(), was_kept);
}

static const RpcMethod methods[] = {
    { "count", "Count calls.", call_count, { { 0 } } },
    { "long", "A long answer.", call_long, { { 0 } } },
    { "keep", "Stay.", call_keep, { { 0 } } },
    { 0 },
};

/* -- The bed --------------------------------------------------------------- */

Bed *bed_new(void)
{
    Bed *bed = g_new0(Bed, 1);
    g_autoptr(GError) error = NULL;

    bed->dir = g_dir_make_tmp("vus-control-XXXXXX", NULL);
    bed->path = g_build_filename(bed->dir, "c.sock", NULL);
    bed->control = control_new(bed->path, &error);
    g_assert_no_error(error);
    control_serve(bed->control, methods, bed);
    return bed;
}

void bed_free(Bed *bed)
{
    control_free(bed->control);
    g_assert_cmpint(g_access(bed->path, F_OK), <, 0);
    g_assert_cmpint(g_rmdir(bed->dir), ==, 0);
    g_free(bed->path);
    g_free(bed->dir);
    g_free(bed);
}

int client_new(const Bed *bed)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(addr.sun_path, bed->path, sizeof(addr.sun_path));
    g_assert_cmpint(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), ==,
                    0);
    return fd;
}

void turn(void)
{
    g_main_context_iteration(NULL, false);
}

void client_send(int fd, const char *data, size_t bytes)
{
    size_t done = 0;

    for (unsigned turns = 0; done < bytes; turns++) {
        ssize_t sent = send(fd, data + done, bytes - done,
                            MSG_DONTWAIT | MSG_NOSIGNAL);

        g_assert_true(sent >= 0 || errno == EAGAIN);
        done += MAX(sent, 0);
        turn();
        g_assert_cmpuint(turns, <, MAX_TURNS);
    }
}

void client_say(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

char *client_line(int fd)
{
    GString *line = g_string_new(NULL);

    for (unsigned turns = 0; turns < MAX_TURNS; turns++) {
        char c;
        ssize_t got = recv(fd, &c, 1, MSG_DONTWAIT);

        if (got < 0) {
            g_assert_true(errno == EAGAIN || errno == ECONNRESET);
            if (errno == ECONNRESET) {
                break;
            }
            turn();
            continue;
        }
        if (got == 0) {
            g_assert_cmpuint(line->len, ==, 0);
            break;
        }
        turns = 0;
        g_string_append_c(line, c);
        if (c == '\n') {
            return g_string_free(line, false);
        }
    }
    g_string_free(line, true);
    return NULL;
}

void expect_counted(int fd, unsigned number)
{
    g_autofree char *expected = g_strdup_printf(COUNTED, number);
    g_autofree char *line = client_line(fd);

    g_assert_cmpstr(line, ==, expected);
}

void expect_error(int fd, int code, const char *part)
{
    g_autofree char *expected = g_strdup_printf("\"code\":%d,", code);
    g_autofree char *line = client_line(fd);

    if (!line || !strstr(line, expected) || !strstr(line, part)) {
        g_error("'%s' lacks '%s' or '%s'", line, expected, part);
    }
}

void expect_closed(int fd)
{
    g_autofree char *line = client_line(fd);

    g_assert_null(line);
}
