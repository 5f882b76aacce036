/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: clients that a method keeps, and sends lines to.
 *
 * Threads: single.
 */
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control-bed.h"
#include "open-fds.h"

static void expect_line(int fd, const char *expected)
{
    g_autofree char *line = client_line(fd);

    g_assert_cmpstr(line, ==, expected);
}

/* A client that is kept; what came with the answer has been read. */
static int kept_client_new(Bed *bed)
{
    int fd = client_new(bed);

    client_say(fd, KEEP "\n");
    expect_line(fd, "{\"early\":1}\n");
    expect_line(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":false}\n");
    g_assert_nonnull(bed->kept);
    g_assert_null(control_caller(bed->control));
    return fd;
}

static void wait_until_gone(const Bed *bed, unsigned gone)
{
    for (unsigned turns = 0; bed->gone < gone; turns++) {
        turn();
        g_assert_cmpuint(turns, <, MAX_TURNS);
    }
    g_assert_cmpuint(bed->gone, ==, gone);
}

static void test_notify(void)
{
    unsigned before = open_fds();
    Bed *bed = bed_new();
    int fd = kept_client_new(bed);

    control_notify(bed->kept, "one");
    control_notify(bed->kept, "two");
    expect_line(fd, "one\n");
    expect_line(fd, "two\n");
    /* It may ask on. */
    client_say(fd, COUNT "\n");
    expect_counted(fd, 1);
    client_say(fd, KEEP "\n");
    expect_line(fd, "{\"early\":1}\n");
    expect_line(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}\n");
    close(fd);
    wait_until_gone(bed, 1);
    bed_free(bed);
    g_assert_cmpuint(open_fds(), ==, before);
}

/* It has nothing more to say, and listens; then it goes without a word. */
static void test_half_closed_and_kept(void)
{
    unsigned before = open_fds();
    Bed *bed = bed_new();
    int fd = kept_client_new(bed);

    shutdown(fd, SHUT_WR);
    for (unsigned i = 0; i < 100; i++) {
        turn();
    }
    g_assert_cmpuint(bed->gone, ==, 0);
    control_notify(bed->kept, "still here");
    expect_line(fd, "still here\n");
    for (unsigned i = 0; i < 100; i++) {
        turn();
    }
    g_assert_cmpuint(bed->gone, ==, 0);
    close(fd);
    wait_until_gone(bed, 1);
    bed_free(bed);
    g_assert_cmpuint(open_fds(), ==, before);
}

/* Who is sent and sent and reads nothing is cut off, after whoever sends has
 * returned; nothing waits for it. */
static void test_unread_lines(void)
{
    Bed *bed = bed_new();
    int fd = kept_client_new(bed), other = client_new(bed);
    g_autofree char *line = g_strnfill(LONG_BYTES, 'x');
    unsigned sent = 0;

    g_test_expect_message("vhost-user-shmem", G_LOG_LEVEL_WARNING,
                          "*that watches leaves * unread and is cut off");
    for (; bed->kept && sent < 1000; sent++) {
        control_notify(bed->kept, line);
        g_assert_cmpuint(bed->gone, ==, 0);
        for (unsigned i = 0; i < sent % 3; i++) {
            turn();
        }
    }
    g_test_assert_expected_messages();
    g_assert_cmpuint(bed->gone, ==, 1);
    g_assert_cmpuint(sent, >, CONTROL_MAX_UNREAD_BYTES / LONG_BYTES);
    client_say(other, COUNT "\n");
    expect_counted(other, 1);
    close(fd);
    close(other);
    bed_free(bed);
}

/* It is gone, and nobody has noticed yet. */
static void test_notify_gone(void)
{
    Bed *bed = bed_new();
    int fd = kept_client_new(bed);

    close(fd);
    control_notify(bed->kept, "nobody hears this");
    control_notify(bed->kept, "nor that");
    g_assert_cmpuint(bed->gone, ==, 0);
    wait_until_gone(bed, 1);
    bed_free(bed);
}

/* The server ends before. */
static void test_kept_to_the_end(void)
{
    Bed *bed = bed_new();
    int fd = kept_client_new(bed);

    control_free(bed->control);
    g_assert_cmpuint(bed->gone, ==, 1);
    expect_closed(fd);
    close(fd);
    g_rmdir(bed->dir);
    g_free(bed->path);
    g_free(bed->dir);
    g_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* What it opens once stays open. */
    turn();
    g_test_add_func("/vus-control-notify/notify", test_notify);
    g_test_add_func("/vus-control-notify/half-closed-and-kept",
                    test_half_closed_and_kept);
    g_test_add_func("/vus-control-notify/unread-lines", test_unread_lines);
    g_test_add_func("/vus-control-notify/notify-gone", test_notify_gone);
    g_test_add_func("/vus-control-notify/kept-to-the-end",
                    test_kept_to_the_end);
    return g_test_run();
}
