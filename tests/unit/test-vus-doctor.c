/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vusctl doctor on made-up trees: one where all is right, the same with one
 * thing wrong at a time, ones with less and with nonsense in them.
 *
 * Threads: single; programs are other processes.
 */
#define _GNU_SOURCE
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor-bed.h"

/* -- One host, and what is wrong with it ----------------------------------- */

static void test_tuned(void)
{
    g_autoptr(GPtrArray) points = NULL;
    char *root = tree_tuned();

    points = look(root, &running);
    assert_rest(points, DOCTOR_OK, NULL);
    assert_says(find(points, "pinning"), DOCTOR_OK, "2 workers on CPUs 2-3");
    assert_says(find(points, "isolcpus"), DOCTOR_OK, "CPUs 2-3: isolated");
    assert_says(find(points, "idle"), DOCTOR_OK, "CPUs 2-3: C1 (2 us)");
    assert_says(find(points, "irqs"), DOCTOR_OK, "none of 1 may");
    assert_says(find(points, "hugepages"), DOCTOR_OK,
                "2 MiB pages: 1024, 512 free");
    tree_free(root);
}

/* One flaw makes one finding, and no other. */
static void test_one_flaw(void)
{
    static const struct {
        File file;
        const char *point;
        DoctorVerdict verdict;
        const char *says;
    } flaw[] = {
        { { CPU "/isolated", "2" }, "isolcpus", DOCTOR_COSTS,
          "CPU 3 of 2-3: not isolated" },
        { { CPU "/isolated", "" }, "isolcpus", DOCTOR_COSTS,
          "|isolcpus=managed_irq,domain,2-3|" },
        { { CPU "/isolated", NULL }, "isolcpus", DOCTOR_UNKNOWN,
          CPU "/isolated cannot be read" },
        { { CPU "/nohz_full", "(null)" }, "nohz_full", DOCTOR_COSTS,
          "no CPU is without a tick" },
        { { CPU "/nohz_full", NULL }, "nohz_full", DOCTOR_UNKNOWN,
          "CONFIG_NO_HZ_FULL" },
        { { "/proc/cmdline", NULL }, "rcu_nocbs", DOCTOR_UNKNOWN,
          "/proc/cmdline cannot be read" },
        { { "/proc/cmdline", "rcu_nocbs=2-1" }, "rcu_nocbs", DOCTOR_UNKNOWN,
          "rcu_nocbs=2-1 in /proc/cmdline is no list" },
        { { "/proc/irq/24/effective_affinity_list", "2" }, "irqs",
          DOCTOR_COSTS, "1 of 1 come to CPUs 2-3: 24 (eth0)" },
        { { "/proc/irq/24/smp_affinity_list", "0-3" }, "irqs", DOCTOR_NOTE,
          "echo 0-1 >$f; done|irqaffinity=0-1|" },
        { { CPU "/cpu2/cpufreq/scaling_governor", "powersave" }, "governor",
          DOCTOR_COSTS, "CPU 2: powersave; CPU 3: performance" },
        { { CPU "/cpu3/cpufreq/scaling_governor", "powersave" }, "governor",
          DOCTOR_COSTS, "|cpupower -c 2-3 frequency-set -g performance|" },
        { { CPU "/intel_pstate/no_turbo", "1" }, "turbo", DOCTOR_NOTE,
          "|echo 0 >" CPU "/intel_pstate/no_turbo|" },
        { { CPU "/intel_pstate/no_turbo", NULL }, "turbo", DOCTOR_UNKNOWN,
          "neither" },
        { { CPU "/cpu2/cpuidle/state2/disable", "0" }, "idle", DOCTOR_COSTS,
          "CPU 2: C6 (133 us); CPU 3: C1 (2 us)|up to 133 us" },
        { { CPU "/cpu2/topology/thread_siblings_list", "1-2" }, "smt",
          DOCTOR_COSTS, "|chcpu -d 1|nosmt|" },
        { { CPU "/cpu2/topology/thread_siblings_list", "2-3" }, "smt",
          DOCTOR_COSTS, "two workers share a core" },
        { { "/proc/mounts", "proc /proc proc rw 0 0" }, "cache", DOCTOR_NOTE,
          "|mount -t resctrl" },
        { { "/sys/fs/resctrl/vus/cpus_list", "2" }, "cache", DOCTOR_NOTE,
          "|mkdir -p /sys/fs/resctrl/vus && echo 2-3 >" },
        { { "/proc/cpuinfo", "x: 0\nflags\t: fpu cat_l31" }, "cache",
          DOCTOR_NOTE, "cannot divide" },
        { { "/proc/cpuinfo", NULL }, "cache", DOCTOR_UNKNOWN, "no flags" },
        { { CPU "/vulnerabilities/meltdown", "Mitigation: PTI" },
          "mitigations", DOCTOR_COSTS, "meltdown 0.1 to 0.4 us" },
        { { CPU "/vulnerabilities/mds", "Mitigation: Clear CPU buffers" },
          "mitigations", DOCTOR_COSTS,
          "against mds|per system call, interrupt and exit of a vCPU, not per "
          "packet of a worker that polls: mds 0.2 to 0.5 us||" },
        { { CPU "/vulnerabilities/spectre_v2", "Mitigation: Retpolines" },
          "mitigations", DOCTOR_NOTE, "|mitigations=off|" },
        { { CPU "/vulnerabilities/mds", "Vulnerable; SMT vulnerable" },
          "mitigations", DOCTOR_NOTE, "fully, against mds|no time" },
        { { "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0" },
          "hugepages", DOCTOR_COSTS, "|hugepagesz=2M hugepages=1024|" },
        { { "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0" },
          "hugepages", DOCTOR_NOTE, "the next guest" },
        { { "/proc/77/numa_maps",
            MEMFD "huge N0=512 kernelpagesize_kB=2048\n"
            MEMFD "dirty=9 N0=1024 kernelpagesize_kB=4" },
          "hugepages", DOCTOR_COSTS, "4 MiB of guests' memory are not" },
        { { "/sys/kernel/mm/transparent_hugepage/enabled", "[always] never" },
          "thp", DOCTOR_NOTE, "|transparent_hugepage=madvise|" },
        { { "/proc/77/limits", "Max locked memory  8388608  8388608  bytes" },
          "memlock", DOCTOR_NOTE, "the daemon may lock 8 MiB" },
        { { "/proc/77/limits", NULL }, "memlock", DOCTOR_UNKNOWN,
          "/proc/77/limits" },
        { { "/sys/kernel/realtime", "0" }, "preemption", DOCTOR_OK,
          "PREEMPT_RT" },
        { { "/proc/version", "Linux" }, "preemption", DOCTOR_OK,
          "PREEMPT_RT" },
        { { "/proc/sys/kernel/sched_rt_runtime_us", "950000" },
          "rt-throttling", DOCTOR_COSTS, "stops for 50000 us of each 1000000" },
        { { "/proc/sys/kernel/osrelease", "6.12" }, "rt-throttling",
          DOCTOR_UNKNOWN, "fair_server cannot be read" },
        { { CLOCK, "hpet" }, "clock", DOCTOR_COSTS, "hpet|each look" },
        { { CLOCK, NULL }, "clock", DOCTOR_UNKNOWN, "cannot be read" },
        { { "/proc/cpuinfo", "x: 0\nflags\t: cat_l3 hypervisor" }, "kvm",
          DOCTOR_NOTE, "a virtual machine itself" },
        { { "/dev/kvm", NULL }, "kvm", DOCTOR_COSTS, "10 to 50 times slower" },
        { { NODE "/online", NULL }, "numa", DOCTOR_UNKNOWN, NODE "/online" },
        { { "/proc/77/task/78/status", "Name:\tvus\nSeccomp_filters:\t3" },
          "sandbox", DOCTOR_NOTE, "sandbox=auto, and workers have no filter" },
        { { "/proc/77/task/78/comm", "gmain" }, "sandbox", DOCTOR_UNKNOWN,
          "/proc/77/task" },
        { { "/proc/77/task/77/status", NULL }, "sandbox", DOCTOR_UNKNOWN,
          "/proc/77/task" },
    };
    char *root = tree_tuned();

    for (unsigned i = 0; i < G_N_ELEMENTS(flaw); i++) {
        const char *path = flaw[i].file.path, *before = NULL;
        g_autoptr(GPtrArray) points = NULL;

        for (unsigned k = 0; k < tuned_files; k++) {
            before = strcmp(tuned[k].path, path) ? before : tuned[k].text;
        }
        put(root, path, flaw[i].file.text);
        points = look(root, &running);
        assert_says(find(points, flaw[i].point), flaw[i].verdict,
                    flaw[i].says);
        assert_rest(points, DOCTOR_OK, flaw[i].point);
        put(root, path, before);
    }
    tree_free(root);
}

/* Several files make one finding. */
static void test_several_files(void)
{
    static const struct {
        File file[3];
        const char *point;
        DoctorVerdict verdict;
        const char *says;
    } change[] = {
        { { { CPU "/cpu2/cpuidle/state2/disable", "0" },
            { CPU "/cpu3/cpuidle/state2/disable", "0" },
            { "/dev/cpu_dma_latency", "\x02\x01\x01\x01" } }, "idle",
          DOCTOR_COSTS, "CPUs 2-3: C6" },
        { { { CPU "/cpu2/power/pm_qos_resume_latency_us", "n/a" },
            { CPU "/cpu3/power/pm_qos_resume_latency_us", "5" } }, "idle",
          DOCTOR_OK, "CPU 2: POLL (0 us); CPU 3: C1 (2 us)" },
        { { { CPU "/cpu2/topology/thread_siblings_list", "1-2" },
            { CPU "/isolated", "1-3" } }, "smt", DOCTOR_OK, "isolated, too" },
        { { { CPU "/cpu2/topology/thread_siblings_list", "1-2" },
            { CPU "/isolated", "2-3" },
            { "/sys/fs/cgroup/cpuset.cpus.isolated", "1" } }, "smt",
          DOCTOR_OK, "CPU 1, isolated, too" },
        { { { "/proc/cmdline", "nohz_full=2-3" } }, "rcu_nocbs", DOCTOR_OK,
          "CPUs 2-3" },
        { { { "/proc/irq/24/effective_affinity_list", NULL },
            { "/proc/irq/24/smp_affinity_list", "0-2" } }, "irqs",
          DOCTOR_COSTS, "24 (eth0)" },
        { { { "/proc/77/limits", "Max locked memory  8388608  unlimited" },
            { "/proc/77/status", "CapPrm:\t0\nCapEff:\t4000" } }, "memlock",
          DOCTOR_OK, "CAP_IPC_LOCK" },
        { { { "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0" },
            { "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
              "always [never]" } }, "thp", DOCTOR_NOTE, "|echo advise > " },
        { { { "/proc/version", "Linux #1 SMP PREEMPT_DYNAMIC" },
            { "/sys/kernel/realtime", NULL } }, "preemption", DOCTOR_UNKNOWN,
          "|mount -t debugfs" },
        { { { DEBUG "/preempt", "()" } }, "preemption", DOCTOR_UNKNOWN,
          "lockdown" },
        { { { DEBUG "/preempt", "none (voluntary) full" } }, "preemption",
          DOCTOR_NOTE, "voluntary|" },
        { { { DEBUG "/preempt", "none voluntary (full)" } }, "preemption",
          DOCTOR_NOTE, "full, with rt-priority=50" },
        { { { "/proc/sys/kernel/osrelease", "7.0" },
            { DEBUG "/fair_server/cpu2/runtime", "0" } }, "rt-throttling",
          DOCTOR_OK, "is off" },
        { { { DEBUG "/fair_server/cpu3/runtime", "50000000" } },
          "rt-throttling", DOCTOR_COSTS, "may take 50000 us" },
    };
    char *root = tree_tuned();

    for (unsigned i = 0; i < G_N_ELEMENTS(change); i++) {
        g_autoptr(GPtrArray) points = NULL;

        for (unsigned k = 0; k < 3 && change[i].file[k].path; k++) {
            put(root, change[i].file[k].path, change[i].file[k].text);
        }
        points = look(root, &running);
        assert_says(find(points, change[i].point), change[i].verdict,
                    change[i].says);
    }
    tree_free(root);
}

/* -- Lists of CPUs --------------------------------------------------------- */

static void test_lists(void)
{
    static const struct {
        const char *list, *rest;        /* of 2-3 it lacks; NULL: no list */
    } lists[] = {
        { "2-3", "" }, { "all", "" }, { "2-N", "" }, { "N,2", "" },
        { "0-3:1/2", "CPU 3 of 2-3" }, { "1,3", "CPU 2 of 2-3" },
        { "0-1", "CPUs 2-3: not" }, { "2-", NULL }, { "3-2", NULL },
        { "x", NULL }, { "2-3:1", NULL }, { "2-3:1/0", NULL },
        { "1024", NULL }, { "99999999999999999999", NULL }, { "2,,3", NULL },
    };
    char *root = tree_tuned();

    put(root, CPU "/nohz_full", "");
    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autofree char *cmdline = g_strdup_printf(
            "rcu_nocbs=0 rcu_nocbs=%s -- rcu_nocbs=2-3", lists[i].list);
        g_autoptr(GPtrArray) points = NULL;
        const char *rest = lists[i].rest;

        put(root, "/proc/cmdline", cmdline);
        points = look(root, &running);
        assert_says(find(points, "rcu_nocbs"), !rest ? DOCTOR_UNKNOWN :
                    *rest ? DOCTOR_COSTS : DOCTOR_OK, rest ? rest : "no list");
    }
    tree_free(root);
}

/* -- Several nodes --------------------------------------------------------- */

static void test_nodes(void)
{
    char *root = tree_tuned();
    GPtrArray *points;

    put(root, NODE "/online", "0-1");
    put(root, NODE "/node0/cpulist", "0-1");
    put(root, NODE "/node1/cpulist", "2-3");
    put(root, NODE "/node1/hugepages/hugepages-2048kB/nr_hugepages", "0");
    points = look(root, &running);
    assert_says(find(points, "numa"), DOCTOR_COSTS,
                "workers on node 1; of guests 1 GiB on node 0");
    assert_says(find(points, "numa"), DOCTOR_COSTS, "host-nodes=1,policy=bind");
    assert_says(find(points, "hugepages"), DOCTOR_COSTS,
                "1024, 512 free (node 0: 1024, node 1: 0); none on the node");
    assert_says(find(points, "hugepages"), DOCTOR_COSTS,
                "|echo 1024 | tee " NODE "/node1/hugepages/*-2048kB/nr*|");
    g_ptr_array_unref(points);

    put(root, "/proc/77/numa_maps", "7f00 default file=/lib/x.so N0=9\n"
        MEMFD "huge N1=3 kernelpagesize_kB=2048");
    put(root, NODE "/node1/hugepages/hugepages-2048kB/nr_hugepages", "7");
    points = look(root, &running);
    assert_rest(points, DOCTOR_OK, NULL);
    assert_says(find(points, "numa"), DOCTOR_OK, "of guests 6 MiB on node 1");
    g_ptr_array_unref(points);

    put(root, "/proc/77/numa_maps", NULL);
    put(root, NODE "/node0/cpulist", "0-2");
    points = look(root, &running);
    assert_says(find(points, "numa"), DOCTOR_NOTE, "on nodes 0-1");
    g_ptr_array_unref(points);
    tree_free(root);
}

/* -- Daemons --------------------------------------------------------------- */

static void test_daemons(void)
{
    const SwitchConfig loose = { .workers = 1 };
    const SwitchConfig watched = { .workers = 1, .sandbox = SANDBOX_LOG };
    const SwitchConfig crowd = { .workers = 3, .cpus = 2, .cpu = { 2, 3 } };
    const SwitchConfig few = { .workers = 1, .cpus = 2, .cpu = { 3, 2 } };
    const SwitchConfig every = { .workers = 4, .cpus = 4, .cpu = { 0, 1, 2, 3 },
    };
    const struct {
        const SwitchConfig *cfg;
        const char *point;
        DoctorVerdict verdict;
        const char *says;
    } daemons[] = {
        { &loose, "pinning", DOCTOR_COSTS, "with --cpus 2-3" },
        { &loose, "rt-throttling", DOCTOR_OK, "rt-priority=0" },
        { &loose, "sandbox", DOCTOR_NOTE, "without sandbox=off" },
        { &watched, "sandbox", DOCTOR_NOTE, "sandbox=log" },
        { &crowd, "pinning", DOCTOR_COSTS, "3 workers share CPUs 2-3" },
        { &few, "pinning", DOCTOR_OK, "1 worker on CPU 3" },
        { &every, "isolcpus", DOCTOR_COSTS, "the workers have all CPUs" },
        { &every, "irqs", DOCTOR_COSTS, "there is no other CPU" },
    };
    char *root = tree_tuned();
    GPtrArray *points;

    for (unsigned i = 0; i < G_N_ELEMENTS(daemons); i++) {
        DoctorDaemon daemon = { NULL, 77, daemons[i].cfg };

        points = look(root, &daemon);
        assert_says(find(points, daemons[i].point), daemons[i].verdict,
                    daemons[i].says);
        g_ptr_array_unref(points);
    }
    points = look(root, &silent);
    assert_says(find(points, "pinning"), DOCTOR_UNKNOWN,
                "nobody answers. So this is about CPUs 2-3, which are set");
    assert_says(find(points, "isolcpus"), DOCTOR_OK, "CPUs 2-3");
    assert_says(find(points, "sandbox"), DOCTOR_OK, "this kernel can");
    g_ptr_array_unref(points);
    put(root, CPU "/isolated", "");
    put(root, "/proc/sys/kernel/sched_rt_runtime_us", "950000");
    points = look(root, &silent);
    assert_says(find(points, "rt-throttling"), DOCTOR_NOTE, "sysctl -w");
    assert_says(find(points, "pinning"), DOCTOR_UNKNOWN, "about all CPUs");
    assert_says(find(points, "isolcpus"), DOCTOR_COSTS, "domain,LIST");
    assert_says(find(points, "irqs"), DOCTOR_NOTE, "choose CPUs");
    g_ptr_array_unref(points);
    tree_free(root);
}

/* -- Less, and nonsense ---------------------------------------------------- */

static void test_empty(void)
{
    char *root = tree_new();
    g_autoptr(GPtrArray) points = look(root, &silent);

    assert_rest(points, DOCTOR_UNKNOWN, NULL);
    tree_free(root);
}

/* A directory, or a pipe that nobody writes to, where a file should be. */
static void test_no_files(void)
{
    char *root = tree_new();
    g_autoptr(GPtrArray) points = NULL;

    for (unsigned i = 0; i < tuned_files; i++) {
        g_autofree char *full = g_build_filename(root, tuned[i].path, NULL);
        g_autofree char *dir = g_path_get_dirname(full);

        g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
        g_assert_cmpint(i % 2 ? mkfifo(full, 0600) : g_mkdir(full, 0700), ==,
                        0);
    }
    points = look(root, &silent);
    assert_says(find(points, "clock"), DOCTOR_UNKNOWN, "");
    tree_free(root);
}

static void test_nonsense(void)
{
    static const char digits[] = "0123456789-,:/N \n[]()=\xff\x1b";
    char *root = tree_tuned();

    for (unsigned round = 0; round < 2000; round++) {
        const char *path =
            tuned[g_test_rand_int_range(0, tuned_files)].path;
        unsigned bytes = g_test_rand_int_range(0, 40);
        g_autoptr(GPtrArray) points = NULL;
        char text[40] = "";

        for (unsigned i = 0; i + 1 < bytes; i++) {
            text[i] = digits[g_test_rand_int_range(0, sizeof(digits) - 1)];
        }
        put(root, path, text);
        points = look(root, round % 2 ? &running : &silent);
    }
    tree_free(root);
}

/* -- The command ----------------------------------------------------------- */

static char *program(const char *name)
{
    g_autofree char *path = g_test_build_filename(
        G_TEST_BUILT, "..", "..", "contrib", "vhost-user-shmem", name, NULL);

    return g_canonicalize_filename(path, NULL);
}

/* What it prints, to stdout or else to stderr; words up to NULL. */
static char *run(int status, const char *const *word)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    char *out, *err;
    int got;

    g_ptr_array_add(argv, program("vusctl"));
    for (; *word; word++) {
        g_ptr_array_add(argv, g_strdup(*word));
    }
    g_ptr_array_add(argv, NULL);
    g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL,
                 &out, &err, &got, &error);
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(got));
    g_assert_cmpint(WEXITSTATUS(got), ==, status);
    if (*out) {
        g_assert_cmpstr(err, ==, "");
        g_free(err);
        return out;
    }
    g_free(out);
    return err;
}

#define VUSCTL(status, ...) \
    run(status, (const char *const []) { __VA_ARGS__, NULL })

static void assert_columns(const char *text)
{
    g_auto(GStrv) line = g_strsplit(text, "\n", -1);

    for (unsigned i = 0; line[i]; i++) {
        if (strlen(line[i]) > 80 || g_str_has_suffix(line[i], " ")) {
            g_error("'%s' is too wide, or ends with a blank", line[i]);
        }
    }
}

static void test_output(void)
{
    char *root = tree_tuned();
    g_autofree char *text = NULL, *json = NULL, *wrong = NULL, *here = NULL;
    g_autoptr(JsonNode) node = NULL;
    JsonArray *all;
    JsonObject *one;

    put(root, CPU "/vulnerabilities/meltdown", "Mitigation: PTI");
    put(root, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0");
    text = VUSCTL(0, "doctor", root);
    assert_columns(text);
    g_assert_nonnull(strstr(text, "\ncpu\n  ok       governor       CPUs 2-3: "
                            "performance\n"));
    g_assert_nonnull(strstr(text, "             run          echo 1024 > \\\n"
                            "                          /sys/kernel/mm/"));
    g_assert_nonnull(strstr(text, "\n20 points: "));
    json = VUSCTL(0, "doctor", root, "--json");
    node = json_from_string(json, NULL);
    all = json_node_get_array(node);
    g_assert_cmpuint(json_array_get_length(all), ==, POINTS);
    one = json_array_get_object_element(all, 10);
    g_assert_cmpstr(json_object_get_string_member(one, "group"), ==, "cpu");
    g_assert_cmpstr(json_object_get_string_member(one, "name"), ==,
                    "mitigations");
    g_assert_cmpstr(json_object_get_string_member(one, "verdict"), ==,
                    "costs");
    g_assert_cmpstr(json_object_get_string_member(one, "boot"), ==,
                    "mitigations=off");
    g_assert_true(json_object_get_null_member(one, "run"));
    here = VUSCTL(0, "doctor", "--control", "/nowhere");
    assert_columns(here);
    g_assert_nonnull(strstr(here, "no daemon answers at /nowhere"));
    tree_free(root);
    wrong = VUSCTL(2, "doctor", "/nowhere/at/all");
    g_assert_nonnull(strstr(wrong, "'/nowhere/at/all' is no directory"));
}

static void test_wrong_words(void)
{
    g_autofree char *many = VUSCTL(2, "doctor", "/", "/");
    g_autofree char *option = VUSCTL(2, "doctor", "--all");

    g_assert_nonnull(strstr(many, "write: vusctl doctor [ROOT]"));
    g_assert_nonnull(strstr(option, "doctor has no option --all"));
}

static void die_with_parent(void *opaque)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Its settings are what it runs with. */
static void test_asks_daemon(void)
{
    char *root = tree_tuned();
    g_autofree char *shmem = program("vhost-user-shmem");
    g_autofree char *control = g_build_filename(root, "c.sock", NULL);
    /* One that this process may use. */
    g_autofree char *cpu = g_strdup_printf("%d", sched_getcpu());
    g_autofree char *share = g_strdup_printf(
        "COSTS    pinning        2 workers share CPU %s\n", cpu);
    char *argv[] = { shmem, "--control", control, "--workers", "2", "--cpus",
                     cpu, "--idle-us", "0", NULL };
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    GPid daemon;
    char said[6];
    int fd;

    g_spawn_async_with_pipes(root, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD,
                             die_with_parent, NULL, &daemon, NULL, &fd, NULL,
                             &error);
    g_assert_no_error(error);
    g_assert_cmpint(read(fd, said, sizeof(said)), ==, sizeof(said));
    text = VUSCTL(0, "--control", control, "doctor", root);
    g_assert_nonnull(strstr(text, share));
    g_assert_cmpint(kill(daemon, SIGTERM), ==, 0);
    g_assert_cmpint(waitpid(daemon, NULL, 0), ==, daemon);
    close(fd);
    tree_free(root);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LC_ALL", "C.UTF-8", true);
    /* Users other than root have no usual control socket then. */
    g_unsetenv("XDG_RUNTIME_DIR");
    g_test_add_func("/vus-doctor/tuned", test_tuned);
    g_test_add_func("/vus-doctor/one-flaw", test_one_flaw);
    g_test_add_func("/vus-doctor/several-files", test_several_files);
    g_test_add_func("/vus-doctor/lists", test_lists);
    g_test_add_func("/vus-doctor/nodes", test_nodes);
    g_test_add_func("/vus-doctor/daemons", test_daemons);
    g_test_add_func("/vus-doctor/empty", test_empty);
    g_test_add_func("/vus-doctor/no-files", test_no_files);
    g_test_add_func("/vus-doctor/nonsense", test_nonsense);
    g_test_add_func("/vus-doctor/output", test_output);
    g_test_add_func("/vus-doctor/wrong-words", test_wrong_words);
    g_test_add_func("/vus-doctor/asks-daemon", test_asks_daemon);
    return g_test_run();
}
