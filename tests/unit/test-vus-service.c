/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon as a service manager starts it.
 *
 * Threads: single; programs are other processes.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <stddef.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon-bed.h"

/* What NOTIFY_SOCKET is; '@' is a name of no file. */
static int manager_new(const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(a.sun_path, name, sizeof(a.sun_path));
    if (*name == '@') {
        a.sun_path[0] = 0;
    }
    g_assert_cmpint(bind(fd, (struct sockaddr *)&a,
                         offsetof(struct sockaddr_un, sun_path) +
                         strlen(name)), ==, 0);
    return fd;
}

static void expect_told(int fd)
{
    char said[100];
    ssize_t got;
    unsigned tries = 0;

    /* It says "ready" to its terminal first. */
    while ((got = recv(fd, said, sizeof(said), 0)) < 0) {
        g_assert_cmpint(errno, ==, EAGAIN);
        g_assert_cmpuint(tries++, <, 200);
        g_usleep(10000);
    }
    g_assert_cmpmem(said, got, "READY=1", 7);
    g_assert_cmpint(recv(fd, said, sizeof(said), 0), <, 0);
}

static void tell(const char *name)
{
    Bed *bed = bed_new();
    int fd = manager_new(name);

    g_setenv("NOTIFY_SOCKET", name, true);
    start(bed, WORDS("--idle-us=0"));
    g_unsetenv("NOTIFY_SOCKET");
    expect_told(fd);
    close(fd);
    bed_free(bed);
}

static void test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("vus-service-XXXXXX", NULL);
    g_autofree char *name = g_build_filename(dir, "notify", NULL);

    tell(name);
    g_unlink(name);
    g_rmdir(dir);
}

static void test_abstract(void)
{
    g_autofree char *name = g_strdup_printf("@vus-service-%d", getpid());

    tell(name);
}

/* No manager is no reason not to serve. */
static void test_gone(void)
{
    g_autofree char *much = g_strnfill(300, 'x');
    const char *const name[] = { "/nowhere/at/all", "", much };

    for (unsigned i = 0; i < G_N_ELEMENTS(name); i++) {
        Bed *bed = bed_new();

        g_setenv("NOTIFY_SOCKET", name[i], true);
        start(bed, WORDS("--idle-us=0"));
        g_unsetenv("NOTIFY_SOCKET");
        run(bed, bed->vusctl, WORDS("version"), 0, "vhost-user-shmem", "");
        bed_free(bed);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LC_ALL", "C.UTF-8", true);
    g_test_add_func("/vus-service/file", test_file);
    g_test_add_func("/vus-service/abstract", test_abstract);
    g_test_add_func("/vus-service/gone", test_gone);
    return g_test_run();
}
