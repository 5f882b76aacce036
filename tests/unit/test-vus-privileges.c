/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon may still do when it has started, as the kernel sees it.
 *
 * Threads: single; whoever gives something up is another process.
 */
#include <linux/capability.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon-bed.h"
#include "privileges.h"

#define BIT(cap) (UINT64_C(1) << (cap))

/* What ports may need. */
#define FOR_PORTS (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) | BIT(CAP_BPF) | \
                   BIT(CAP_IPC_LOCK))

typedef struct Rights {
    uint64_t inheritable, permitted, effective, bounding, ambient;
    uint64_t no_new;
} Rights;

static Rights rights_of(const char *path)
{
    static const struct {
        const char *word;
        size_t at;
        int base;
    } line[] = {
        { "\nCapInh:\t", offsetof(Rights, inheritable), 16 },
        { "\nCapPrm:\t", offsetof(Rights, permitted), 16 },
        { "\nCapEff:\t", offsetof(Rights, effective), 16 },
        { "\nCapBnd:\t", offsetof(Rights, bounding), 16 },
        { "\nCapAmb:\t", offsetof(Rights, ambient), 16 },
        { "\nNoNewPrivs:\t", offsetof(Rights, no_new), 10 },
    };
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    Rights r;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < G_N_ELEMENTS(line); i++) {
        const char *at = strstr(text, line[i].word);

        g_assert_nonnull(at);
        *(uint64_t *)((char *)&r + line[i].at) = g_ascii_strtoull(
            at + strlen(line[i].word), NULL, line[i].base);
    }
    return r;
}

/* Nothing but @may, and all of that if this process has it. */
static void expect_rights(const char *path, uint64_t may)
{
    Rights mine = rights_of("/proc/thread-self/status");
    Rights r = rights_of(path);

    g_assert_cmphex(r.permitted, ==, mine.permitted & may);
    g_assert_cmphex(r.effective, ==, r.permitted);
    g_assert_cmphex(r.inheritable, ==, 0);
    g_assert_cmphex(r.ambient, ==, 0);
    g_assert_cmpuint(r.no_new, ==, 1);
    if (mine.effective & BIT(CAP_SETPCAP)) {
        g_assert_cmphex(r.bounding & ~FOR_PORTS, ==, 0);
    }
}

/* -- The daemon ------------------------------------------------------------ */

/* A worker's first act, which may be after the daemon has said that it is
 * ready. */
static void wait_for_worker(const char *path)
{
    for (unsigned i = 0; i < 200 && rights_of(path).permitted; i++) {
        g_usleep(10000);
    }
}

static unsigned expect_threads(GPid pid)
{
    g_autofree char *tasks = g_strdup_printf("/proc/%d/task", pid);
    g_autoptr(GDir) dir = g_dir_open(tasks, 0, NULL);
    unsigned workers = 0;
    const char *tid;

    g_assert_nonnull(dir);
    while ((tid = g_dir_read_name(dir))) {
        g_autofree char *status = g_build_filename(tasks, tid, "status", NULL);
        g_autofree char *comm = g_build_filename(tasks, tid, "comm", NULL);
        g_autofree char *name = NULL;

        g_assert_true(g_file_get_contents(comm, &name, NULL, NULL));
        if (g_str_has_prefix(name, "worker-")) {
            wait_for_worker(status);
            expect_rights(status, 0);
            workers++;
        } else {
            expect_rights(status, FOR_PORTS);
        }
    }
    return workers;
}

static void test_daemon(void)
{
    Bed *bed = bed_new();

    start(bed, WORDS("--workers=3", "--port", "a type=dummy"));
    g_assert_cmpuint(expect_threads(bed->daemon), ==, 3);
    /* And still it works. */
    run(bed, bed->vusctl, WORDS("add", "b", "socket=b.sock"), 0, "", "");
    run(bed, bed->vusctl, WORDS("remove", "b"), 0, "", "");
    bed_free(bed);
}

/* What was kept is enough for what it was kept for. */
static void test_tap(void)
{
    Rights mine = rights_of("/proc/thread-self/status");
    g_autofree char *ifname = g_strdup_printf("ifname=vus%d", getpid());
    Bed *bed;

    if (!(mine.effective & BIT(CAP_NET_ADMIN)) ||
        access("/dev/net/tun", R_OK | W_OK) < 0) {
        g_test_skip("needs CAP_NET_ADMIN and /dev/net/tun");
        return;
    }
    bed = bed_new();
    start(bed, WORDS("--idle-us=0"));
    run(bed, bed->vusctl, WORDS("add", "t", "type=tap", ifname), 0,
        "", "");
    bed_free(bed);
}

/* -- One call -------------------------------------------------------------- */

/* In a process of its own, which becomes an ordinary user first. */
static void in_child(bool ordinary, void (*test)(void))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        if (ordinary && geteuid() == 0) {
            g_assert_cmpint(setuid(65534), ==, 0);
        }
        test();
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
}

static void shed(bool for_ports, bool real_time)
{
    g_autoptr(GError) error = NULL;
    bool done = privileges_shed(for_ports, real_time, &error);

    g_assert_no_error(error);
    g_assert_true(done);
}

static void shed_in_steps(void)
{
    uint64_t had = rights_of("/proc/thread-self/status").permitted;
    Rights r;

    shed(true, true);
    r = rights_of("/proc/thread-self/status");
    g_assert_cmphex(r.permitted, ==, had & (FOR_PORTS | BIT(CAP_SYS_NICE)));
    shed(true, false);
    expect_rights("/proc/thread-self/status", FOR_PORTS);
    shed(false, false);
    /* Nothing comes back. */
    shed(true, true);
    r = rights_of("/proc/thread-self/status");
    g_assert_cmphex(r.permitted | r.effective, ==, 0);
}

static void test_steps(void)
{
    in_child(false, shed_in_steps);
}

static void shed_nothing(void)
{
    g_assert_cmphex(rights_of("/proc/thread-self/status").permitted, ==, 0);
    shed(true, true);
    shed(true, false);
    g_assert_cmpuint(rights_of("/proc/thread-self/status").no_new, ==, 1);
}

static void test_ordinary(void)
{
    in_child(true, shed_nothing);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LC_ALL", "C.UTF-8", true);
    g_test_add_func("/vus-privileges/steps", test_steps);
    g_test_add_func("/vus-privileges/ordinary", test_ordinary);
    g_test_add_func("/vus-privileges/daemon", test_daemon);
    g_test_add_func("/vus-privileges/tap", test_tap);
    return g_test_run();
}
