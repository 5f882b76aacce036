/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: clients that say nothing wrong, and all the others.
 *
 * Threads: single.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control-bed.h"
#include "open-fds.h"

/* -- Talk ------------------------------------------------------------------ */

static void test_talk(void)
{
    unsigned before = open_fds();
    Bed *bed = bed_new();
    int fd = client_new(bed);

    client_say(fd, COUNT "\n");
    expect_counted(fd, 1);
    /* Two in one piece, with blank lines that nobody answers. */
    client_say(fd, "\n" COUNT "\r\n \n" COUNT "\n");
    expect_counted(fd, 2);
    expect_counted(fd, 3);
    for (const char *c = COUNT "\n"; *c; c++) {
        client_send(fd, c, 1);
    }
    expect_counted(fd, 4);
    client_say(fd, "nonsense\n" COUNT "\n");
    expect_error(fd, RPC_ERROR_PARSE, "no JSON: byte 1");
    expect_counted(fd, 5);
    close(fd);
    bed_free(bed);
    g_assert_cmpuint(open_fds(), ==, before);
}

/* Who has much to ask does not keep others waiting. */
static void test_fair(void)
{
    Bed *bed = bed_new();
    g_autoptr(GString) much = g_string_new(NULL);
    int greedy = client_new(bed), modest = client_new(bed);
    unsigned at;

    client_say(greedy, COUNT "\n");
    expect_counted(greedy, 1);
    client_say(modest, COUNT "\n");
    expect_counted(modest, 2);
    for (unsigned i = 0; i < 1000; i++) {
        g_string_append(much, COUNT "\n");
    }
    g_assert_cmpint(send(greedy, much->str, much->len, MSG_DONTWAIT), ==,
                    much->len);
    g_assert_cmpint(send(modest, COUNT "\n", strlen(COUNT "\n"), 0), >, 0);
    at = bed->calls;
    for (;;) {
        char line[100];
        ssize_t got = recv(modest, line, sizeof(line), MSG_DONTWAIT);

        if (got > 0) {
            break;
        }
        turn();
        g_assert_cmpuint(bed->calls, <=, at + 10);
    }
    for (unsigned i = 0; i < 1000; i++) {
        g_autofree char *line = client_line(greedy);

        g_assert_nonnull(line);
    }
    g_assert_cmpuint(bed->calls, ==, 1003);
    close(greedy);
    close(modest);
    bed_free(bed);
}

/* An answer that the socket takes in pieces only. */
static void test_long_answer(void)
{
    Bed *bed = bed_new();
    int fd = client_new(bed);

    for (unsigned i = 0; i < 8; i++) {
        client_say(fd, LONG "\n");
    }
    for (unsigned i = 0; i < 8; i++) {
        g_autofree char *line = client_line(fd);

        g_assert_cmpuint(strlen(line), >, LONG_BYTES);
    }
    close(fd);
    bed_free(bed);
}

/* -- Ends ------------------------------------------------------------------ */

/* Who has nothing more to say still gets answers. */
static void test_half_closed(void)
{
    Bed *bed = bed_new();
    int fd = client_new(bed);

    client_say(fd, COUNT "\n" COUNT "\n" LONG "\n");
    shutdown(fd, SHUT_WR);
    expect_counted(fd, 1);
    expect_counted(fd, 2);
    g_free(client_line(fd));
    expect_closed(fd);
    close(fd);

    fd = client_new(bed);
    client_say(fd, COUNT);
    shutdown(fd, SHUT_WR);
    expect_error(fd, RPC_ERROR_PARSE, "the last line has no end");
    expect_closed(fd);
    close(fd);

    fd = client_new(bed);
    shutdown(fd, SHUT_WR);
    expect_closed(fd);
    close(fd);
    g_assert_cmpuint(bed->calls, ==, 2);
    bed_free(bed);
}

/* Gone, with a question half asked or an answer not read. */
static void test_gone(void)
{
    unsigned before = open_fds();
    Bed *bed = bed_new();
    int fd = client_new(bed);

    client_say(fd, "{\"jsonrpc\":");
    close(fd);
    fd = client_new(bed);
    for (unsigned i = 0; i < 8; i++) {
        client_say(fd, LONG "\n");
    }
    close(fd);
    fd = client_new(bed);
    client_say(fd, COUNT "\n");
    expect_counted(fd, 1);
    close(fd);
    bed_free(bed);
    g_assert_cmpuint(open_fds(), ==, before);
}

/* The server ends with clients connected. */
static void test_server_ends(void)
{
    unsigned before = open_fds();
    Bed *bed = bed_new();
    int fd[3];

    for (unsigned i = 0; i < 3; i++) {
        fd[i] = client_new(bed);
        client_say(fd[i], COUNT "\n");
        expect_counted(fd[i], i + 1);
    }
    client_say(fd[0], "half a line");
    bed_free(bed);
    for (unsigned i = 0; i < 3; i++) {
        expect_closed(fd[i]);
        close(fd[i]);
    }
    g_assert_cmpuint(open_fds(), ==, before);
}

/* -- Limits ---------------------------------------------------------------- */

/* Blanks in front of a request, so that the line has @bytes with its end. */
static char *line_of(size_t bytes)
{
    g_autofree char *blanks = g_strnfill(bytes - strlen(COUNT "\n"), ' ');

    return g_strconcat(blanks, COUNT "\n", NULL);
}

static void test_long_line(void)
{
    Bed *bed = bed_new();
    int fd = client_new(bed);
    g_autofree char *fits = line_of(CONTROL_MAX_LINE_BYTES);
    g_autofree char *too_long = line_of(CONTROL_MAX_LINE_BYTES + 1);
    g_autofree char *endless = line_of(10 * CONTROL_MAX_LINE_BYTES);

    client_say(fd, fits);
    expect_counted(fd, 1);
    client_say(fd, too_long);
    expect_error(fd, RPC_ERROR_REQUEST, "a line has at most 65536 bytes");
    client_say(fd, endless);
    expect_error(fd, RPC_ERROR_REQUEST, "a line has at most 65536 bytes");
    /* One answer for each of them, and it goes on. */
    client_say(fd, COUNT "\n");
    expect_counted(fd, 2);
    /* Ends within one. */
    client_send(fd, endless, 2 * CONTROL_MAX_LINE_BYTES + 100);
    expect_error(fd, RPC_ERROR_REQUEST, "a line has at most 65536 bytes");
    shutdown(fd, SHUT_WR);
    expect_closed(fd);
    close(fd);
    bed_free(bed);
}

/* Who asks and asks and reads nothing is cut off, and nobody else. */
static void test_unread(void)
{
    Bed *bed = bed_new();
    int fd = client_new(bed), other = client_new(bed);
    unsigned asked = 0;

    g_test_expect_message("vhost-user-shmem", G_LOG_LEVEL_WARNING,
                          "*answers unread and is cut off");
    for (;;) {
        ssize_t sent = send(fd, LONG "\n", strlen(LONG "\n"),
                            MSG_DONTWAIT | MSG_NOSIGNAL);

        if (sent < 0 && errno == EPIPE) {
            break;
        }
        g_assert_cmpint(sent, ==, strlen(LONG "\n"));
        g_assert_cmpuint(++asked, <, 1000);
        for (unsigned i = 0; i < 10; i++) {
            turn();
        }
    }
    g_test_assert_expected_messages();
    g_assert_cmpuint(asked, >, CONTROL_MAX_UNREAD_BYTES / LONG_BYTES);
    client_say(other, COUNT "\n");
    expect_counted(other, 1);
    close(fd);
    close(other);
    bed_free(bed);
}

static void test_many_clients(void)
{
    unsigned before = open_fds();
    Bed *bed = bed_new();
    int fd[CONTROL_MAX_CLIENTS], more;

    for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
        fd[i] = client_new(bed);
        client_say(fd[i], COUNT "\n");
        expect_counted(fd[i], i + 1);
    }
    more = client_new(bed);
    expect_error(more, RPC_ERROR_TOO_MUCH,
                 G_STRINGIFY(CONTROL_MAX_CLIENTS) " clients");
    expect_closed(more);
    close(more);
    /* One goes, another one comes. */
    close(fd[0]);
    turn();
    turn();
    fd[0] = client_new(bed);
    client_say(fd[0], COUNT "\n");
    expect_counted(fd[0], CONTROL_MAX_CLIENTS + 1);
    for (unsigned i = 0; i < CONTROL_MAX_CLIENTS; i++) {
        close(fd[i]);
    }
    bed_free(bed);
    g_assert_cmpuint(open_fds(), ==, before);
}

/* -- The socket ------------------------------------------------------------ */

static void expect_refused(const char *path, const char *part)
{
    g_autoptr(GError) error = NULL;
    unsigned before = open_fds();

    g_assert_null(control_new(path, &error));
    if (!strstr(error->message, part)) {
        g_error("'%s' lacks '%s'", error->message, part);
    }
    g_assert_cmpuint(open_fds(), ==, before);
}

static void test_second_server(void)
{
    Bed *bed = bed_new();
    struct stat st;
    int fd;

    g_assert_cmpint(stat(bed->path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    expect_refused(bed->path, "a daemon answers at");
    fd = client_new(bed);
    client_say(fd, COUNT "\n");
    expect_counted(fd, 1);
    close(fd);
    bed_free(bed);
}

/* A socket that nobody listens on, as a dead daemon leaves it. */
static void test_stale(void)
{
    g_autofree char *dir = g_dir_make_tmp("vus-control-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "c.sock", NULL);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_autoptr(GError) error = NULL;
    Control *control;

    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    close(fd);
    control = control_new(path, &error);
    g_assert_no_error(error);
    control_free(control);
    g_assert_cmpint(g_access(path, F_OK), <, 0);
    g_rmdir(dir);
}

static void test_bad_paths(void)
{
    g_autofree char *dir = g_dir_make_tmp("vus-control-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "c.sock", NULL);
    g_autofree char *nowhere = g_build_filename(dir, "no", "c.sock", NULL);
    g_autofree char *filler = g_strnfill(120, 'x');
    g_autofree char *long_path = g_build_filename(dir, filler, NULL);

    g_assert_true(g_file_set_contents(path, "mine", -1, NULL));
    expect_refused(path, "is no socket");
    g_unlink(path);
    expect_refused(nowhere, "does its directory exist");
    expect_refused(long_path, "is too long for a socket");
    g_rmdir(dir);
}

/* Somebody has put another file there: it is not ours to remove. */
static void test_replaced(void)
{
    g_autofree char *dir = g_dir_make_tmp("vus-control-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "c.sock", NULL);
    Control *control = control_new(path, NULL);

    g_assert_nonnull(control);
    g_unlink(path);
    g_assert_true(g_file_set_contents(path, "mine", -1, NULL));
    control_free(control);
    g_assert_cmpint(g_access(path, F_OK), ==, 0);
    g_unlink(path);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* What it opens once stays open. */
    turn();
    g_test_add_func("/vus-control/talk", test_talk);
    g_test_add_func("/vus-control/fair", test_fair);
    g_test_add_func("/vus-control/long-answer", test_long_answer);
    g_test_add_func("/vus-control/half-closed", test_half_closed);
    g_test_add_func("/vus-control/gone", test_gone);
    g_test_add_func("/vus-control/server-ends", test_server_ends);
    g_test_add_func("/vus-control/long-line", test_long_line);
    g_test_add_func("/vus-control/unread", test_unread);
    g_test_add_func("/vus-control/many-clients", test_many_clients);
    g_test_add_func("/vus-control/second-server", test_second_server);
    g_test_add_func("/vus-control/stale", test_stale);
    g_test_add_func("/vus-control/bad-paths", test_bad_paths);
    g_test_add_func("/vus-control/replaced", test_replaced);
    return g_test_run();
}
