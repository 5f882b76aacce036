/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is confined, and when; test-vus-sandbox-calls.c has what that means.
 *
 * Threads: those of processes that are made for one case each.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon-bed.h"
#include "guest-mem.h"
#include "sandbox-bed.h"

/* -- Threads --------------------------------------------------------------- */

static bool can_have_inet(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        g_assert_cmpint(errno, ==, ENOSYS);
        return false;
    }
    close(fd);
    return true;
}

static void *wait_and_see(void *begun)
{
    pthread_barrier_wait(begun);
    pthread_barrier_wait(begun);
    g_assert_false(can_have_inet());
    return NULL;
}

/* A thread that was there before, and one that comes later. */
static void see_threads(void)
{
    pthread_barrier_t barrier;
    pthread_t thread;

    pthread_barrier_init(&barrier, NULL, 2);
    g_assert_cmpint(pthread_create(&thread, NULL, wait_and_see, &barrier), ==,
                    0);
    pthread_barrier_wait(&barrier);
    confine(SANDBOX_ON, false);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);

    g_assert_cmpint(pthread_create(&thread, NULL, wait_and_see, &barrier), ==,
                    0);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
}

static void test_threads(void)
{
    in_child(see_threads);
}

/* One that comes from a pool, as GLib makes it. */
static void see_inet(gpointer task, gpointer unused)
{
    g_assert_false(can_have_inet());
    __atomic_store_n((bool *)task, true, __ATOMIC_RELEASE);
}

static void see_pool(void)
{
    g_autoptr(GError) error = NULL;
    bool seen = false;
    GThreadPool *pool;

    confine(SANDBOX_ON, false);
    pool = g_thread_pool_new(see_inet, NULL, 1, false, &error);
    g_assert_no_error(error);
    g_thread_pool_push(pool, &seen, &error);
    g_assert_no_error(error);
    while (!__atomic_load_n(&seen, __ATOMIC_ACQUIRE)) {
        g_usleep(1000);
    }
}

static void test_pool(void)
{
    in_child(see_pool);
}

#define BYTES 65536

/* A worker in a guest's memory that has gone; and one that needs much. */
static void *be_worker(void *opaque)
{
    uint8_t *at = opaque;
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *much = NULL;

    sandbox_confine_worker(&error);
    g_assert_no_error(error);
    g_assert_cmpuint(__atomic_load_n(&at[BYTES - 1], __ATOMIC_RELAXED), ==, 0);
    much = g_malloc(64 * 1024 * 1024);
    memset(much, 1, 64 * 1024 * 1024);
    g_assert_cmpint(open("/", O_RDONLY | O_CLOEXEC), <, 0);
    g_assert_cmpint(errno, ==, ENOSYS);
    return NULL;
}

static void see_shrunk(void)
{
    const GuestRegionSpec spec = { .bytes = BYTES };
    int fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    GuestMem *m = g_new0(GuestMem, 1);
    g_autoptr(GError) error = NULL;
    pthread_t thread;

    guest_mem_catch_sigbus();
    g_assert_cmpint(ftruncate(fd, BYTES), ==, 0);
    guest_mem_add(m, &spec, fd, &error);
    g_assert_no_error(error);
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    confine(SANDBOX_ON, false);
    g_assert_cmpint(pthread_create(&thread, NULL, be_worker,
                                   m->region[0].host), ==, 0);
    pthread_join(thread, NULL);
    g_assert_true(guest_mem_is_lost(m));
}

static void test_shrunk(void)
{
    if (IS_SANITIZED) {
        g_test_skip("a sanitizer makes calls of its own when a worker ends");
        return;
    }
    in_child(see_shrunk);
}

/* -- Modes ----------------------------------------------------------------- */

static unsigned filters_of(const char *dir, const char *thread)
{
    g_autofree char *path = g_build_filename(dir, thread, "status", NULL);
    g_autofree char *text = NULL;
    const char *at;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    at = strstr(text, "\nSeccomp_filters:\t");
    g_assert_nonnull(at);
    return g_ascii_strtoull(at + strlen("\nSeccomp_filters:\t"), NULL, 10);
}

static void see_log(void)
{
    g_test_expect_message("vhost-user-shmem", G_LOG_LEVEL_WARNING,
                          "sandbox=log: no system call is refused");
    confine(SANDBOX_LOG, true);
    g_test_assert_expected_messages();
    g_assert_true(can_have_inet());
    g_assert_cmpint(ptrace(PTRACE_CONT, 0, 0, 0), <, 0);
    g_assert_cmpint(errno, !=, ENOSYS);
}

/* What makes a worker's filter impossible: that it has one already. */
static void see_worker_must(void)
{
    g_autoptr(GError) error = NULL;

    confine(SANDBOX_ON, true);
    g_assert_false(sandbox_confine_worker(&error));
    g_assert_nonnull(strstr(error->message, "sandbox=on cannot be"));
}

static void see_worker_may(void)
{
    g_autoptr(GError) error = NULL;

    confine(SANDBOX_AUTO, true);
    g_test_expect_message("vhost-user-shmem", G_LOG_LEVEL_WARNING,
                          "a worker has no sandbox of its own: *");
    g_assert_true(sandbox_confine_worker(&error));
    g_assert_no_error(error);
    g_test_assert_expected_messages();
}

static void test_worker(void)
{
    in_child(see_worker_must);
    if (!IS_SANITIZED) {
        in_child(see_worker_may);
    }
}

static void see_off(void)
{
    unsigned filters = filters_of("/proc", "thread-self");

    confine(SANDBOX_OFF, true);
    g_assert_true(can_have_inet());
    g_assert_cmpuint(filters_of("/proc", "thread-self"), ==, filters);
}

static void test_modes(void)
{
    in_child(see_log);
    in_child(see_off);
}

/* As in a container that does not let us. */
static void forbid_seccomp(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { G_N_ELEMENTS(code), code };

    g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==,
                    0);
}

static void see_impossible(void)
{
    g_autoptr(GError) error = NULL;

    forbid_seccomp();
    g_assert_false(sandbox_confine_process(SANDBOX_ON, &error));
    g_assert_nonnull(strstr(error->message, "sandbox=on cannot be: seccomp() "
                            "fails"));
    if (!IS_SANITIZED) {
        g_test_expect_message("vhost-user-shmem", G_LOG_LEVEL_WARNING,
                              "there is no sandbox: seccomp() fails*");
    }
    confine(SANDBOX_AUTO, true);
    g_test_assert_expected_messages();
    g_assert_true(can_have_inet());
}

static void test_impossible(void)
{
    in_child(see_impossible);
}

/* -- The daemon ------------------------------------------------------------ */

/* More filters than this process has. */
static void expect_filters(GPid pid, unsigned all, unsigned workers)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", pid);
    unsigned ours = filters_of("/proc", "thread-self"), seen = 0;
    g_autoptr(GDir) dir = g_dir_open(tasks, 0, NULL);
    const char *tid;

    while ((tid = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(tasks, tid, "comm", NULL);
        g_autofree char *comm = NULL;

        g_assert_true(g_file_get_contents(path, &comm, NULL, NULL));
        if (g_str_has_prefix(comm, "worker-")) {
            g_assert_cmpuint(filters_of(tasks, tid), ==, ours + workers);
            seen++;
        } else {
            g_assert_cmpuint(filters_of(tasks, tid), ==, ours + all);
        }
    }
    g_assert_cmpuint(seen, ==, 2);
}

static void test_daemon(void)
{
    static const struct {
        const char *option;
        unsigned all, workers;
    } mode[] = {
        { "--workers=2", 2 * !IS_SANITIZED, 3 * !IS_SANITIZED },
        { "--sandbox=auto", 2 * !IS_SANITIZED, 3 * !IS_SANITIZED },
        { "--sandbox=log", 2, 3 },
        { "--sandbox=off", 0, 0 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(mode); i++) {
        Bed *bed = bed_new();

        start(bed, WORDS("--workers=2", mode[i].option, "--idle-us=0",
                         "--port", "a type=dummy"));
        expect_filters(bed->daemon, mode[i].all, mode[i].workers);
        VUSCTL(bed, 0, "", "", "add", "b", "socket=b.sock");
        VUSCTL(bed, 0, "", "", "remove", "b");
        bed_free(bed);
    }
}

static void test_settings(void)
{
    Bed *bed = bed_new();

    SHMEM(bed, 2, "", "--sandbox=yes: auto, on, log or off is expected",
          "--sandbox", "yes");
    bed_write(bed, "off", "[daemon]\nsandbox=off\n");
    SHMEM(bed, 0, "valid", "", "--config", "off", "--check");
    start(bed, WORDS("--config", "off", "--idle-us=0"));
    VUSCTL(bed, 0, "sandbox=off", "", "call", "config.get");
    bed_write(bed, "off", "[daemon]\nsandbox=on\n");
    VUSCTL(bed, 1, "", "sandbox=on cannot change while the daemon runs, it is "
           "'off'", "reload");
    bed_unlink(bed, "off");
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LC_ALL", "C.UTF-8", true);
    g_test_add_func("/vus-sandbox/threads", test_threads);
    g_test_add_func("/vus-sandbox/pool", test_pool);
    g_test_add_func("/vus-sandbox/worker", test_worker);
    g_test_add_func("/vus-sandbox/shrunk", test_shrunk);
    g_test_add_func("/vus-sandbox/modes", test_modes);
    g_test_add_func("/vus-sandbox/impossible", test_impossible);
    g_test_add_func("/vus-sandbox/settings", test_settings);
    g_test_add_func("/vus-sandbox/daemon", test_daemon);
    return g_test_run();
}
