/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib/gstdio.h>
#include <string.h>

#include "doctor-bed.h"

/* -- Trees ----------------------------------------------------------------- */

#define FILES_OF_CPU(n) \
    { CPU "/cpu" n "/cpufreq/scaling_governor", "performance" }, \
    { CPU "/cpu" n "/power/pm_qos_resume_latency_us", "0" }, \
    { CPU "/cpu" n "/topology/thread_siblings_list", n }, \
    { CPU "/cpu" n "/cpuidle/state0/name", "POLL" }, \
    { CPU "/cpu" n "/cpuidle/state0/latency", "0" }, \
    { CPU "/cpu" n "/cpuidle/state0/disable", "0" }, \
    { CPU "/cpu" n "/cpuidle/state1/name", "C1" }, \
    { CPU "/cpu" n "/cpuidle/state1/latency", "2" }, \
    { CPU "/cpu" n "/cpuidle/state1/disable", "0" }, \
    { CPU "/cpu" n "/cpuidle/state2/name", "C6" }, \
    { CPU "/cpu" n "/cpuidle/state2/latency", "133" }, \
    { CPU "/cpu" n "/cpuidle/state2/disable", "1" }

const File tuned[] = {
    { "/dev/kvm", "" },
    { "/dev/cpu_dma_latency", "????" },
    { "/proc/77/limits", "Max locked memory  unlimited  unlimited  bytes" },
    { "/proc/77/status", "Name:\tvus\nCapEff:\t0000000000000000" },
    { "/proc/77/task/77/comm", "vhost-user-shme" },
    { "/proc/77/task/77/status", "Name:\tvus\nSeccomp_filters:\t3" },
    { "/proc/77/task/78/comm", "worker-0" },
    { "/proc/77/task/78/status", "Name:\tvus\nSeccomp_filters:\t4" },
    { "/proc/77/numa_maps", MEMFD "huge N0=512 kernelpagesize_kB=2048" },
    { "/proc/cmdline", "quiet nohz_full=2-3 rcu_nocbs=2-3" },
    { "/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu constant_tsc cat_l3\n" },
    { "/proc/irq/0/timer/x", "" },
    { "/proc/irq/0/smp_affinity_list", "0-3" },
    { "/proc/irq/9/smp_affinity_list", "0-3" },
    { "/proc/irq/24/eth0/x", "" },
    { "/proc/irq/24/smp_affinity_list", "0-1" },
    { "/proc/irq/24/effective_affinity_list", "1" },
    { "/proc/mounts", "resctrl /sys/fs/resctrl resctrl rw 0 0" },
    { "/proc/sys/kernel/osrelease", "6.1.0-18-rt" },
    { "/proc/sys/kernel/seccomp/actions_avail", "kill_process errno log allow" },
    { "/proc/sys/kernel/sched_rt_period_us", "1000000" },
    { "/proc/sys/kernel/sched_rt_runtime_us", "-1" },
    { "/proc/version", "Linux version 6.1.0 #1 SMP PREEMPT_RT Debian" },
    { CLOCK, "tsc" },
    FILES_OF_CPU("2"),
    FILES_OF_CPU("3"),
    { CPU "/intel_pstate/no_turbo", "0" },
    { CPU "/isolated", "2-3" },
    { CPU "/nohz_full", "2-3" },
    { CPU "/online", "0-3" },
    { CPU "/vulnerabilities/mds", "Not affected" },
    { CPU "/vulnerabilities/spectre_v2", "Mitigation: Enhanced IBRS" },
    { NODE "/node0/cpulist", "0-3" },
    { NODE "/node0/hugepages/hugepages-2048kB/nr_hugepages", "1024" },
    { NODE "/online", "0" },
    { "/sys/fs/resctrl/cpus_list", "0-1" },
    { "/sys/fs/resctrl/vus/cpus_list", "2-3" },
    { "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512" },
    { "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "1024" },
    { "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never" },
    { "/sys/kernel/mm/transparent_hugepage/shmem_enabled", "[advise] never" },
    { "/sys/kernel/realtime", "1" },
};

const unsigned tuned_files = G_N_ELEMENTS(tuned);

char *tree_new(void)
{
    char *root = g_dir_make_tmp("vus-doctor-XXXXXX", NULL);

    g_assert_nonnull(root);
    return root;
}

static void remove_all(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *inside = g_build_filename(path, name, NULL);

        remove_all(inside);
    }
    g_assert_cmpint(g_remove(path), ==, 0);
}

void tree_free(char *root)
{
    remove_all(root);
    g_free(root);
}

void put(const char *root, const char *path, const char *text)
{
    g_autofree char *full = g_build_filename(root, path, NULL);
    g_autofree char *dir = g_path_get_dirname(full);

    if (text) {
        g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
        g_assert_true(g_file_set_contents(full, text, -1, NULL));
    } else {
        g_assert_cmpint(g_remove(full), ==, 0);
    }
}

char *tree_tuned(void)
{
    char *root = tree_new();

    for (unsigned i = 0; i < tuned_files; i++) {
        put(root, tuned[i].path, tuned[i].text);
    }
    return root;
}

static const SwitchConfig pinned = {
    .workers = 2, .cpus = 2, .cpu = { 2, 3 }, .rt_priority = 50,
    .sandbox = SANDBOX_AUTO,
};

const DoctorDaemon running = { NULL, 77, &pinned };
const DoctorDaemon silent = { "nobody answers", 0, NULL };

/* -- Points ---------------------------------------------------------------- */

static bool is_text(const char *text)
{
    for (; text && *text; text++) {
        if (!g_ascii_isprint(*text)) {
            return false;
        }
    }
    return true;
}

GPtrArray *look(const char *root, const DoctorDaemon *daemon)
{
    GPtrArray *points = doctor_look(root, daemon);

    g_assert_cmpuint(points->len, ==, POINTS);
    for (unsigned i = 0; i < points->len; i++) {
        const DoctorPoint *p = g_ptr_array_index(points, i);

        g_assert_true(p->found && *p->found && is_text(p->found));
        g_assert_true(is_text(p->cost) && is_text(p->advice));
        g_assert_true(is_text(p->run) && is_text(p->boot));
        if (p->verdict == DOCTOR_COSTS) {
            g_assert_true(p->cost && (p->advice || p->run || p->boot));
        }
        if (p->verdict == DOCTOR_OK) {
            g_assert_true(!p->cost && !p->advice && !p->run && !p->boot);
        }
    }
    return points;
}

const DoctorPoint *find(const GPtrArray *points, const char *name)
{
    for (unsigned i = 0; i < points->len; i++) {
        const DoctorPoint *p = g_ptr_array_index(points, i);

        if (!strcmp(p->name, name)) {
            return p;
        }
    }
    g_error("there is no point %s", name);
}

void assert_says(const DoctorPoint *p, DoctorVerdict verdict,
                 const char *part)
{
    g_autofree char *all = g_strconcat(
        p->found, "|", p->cost ? p->cost : "", "|", p->run ? p->run : "", "|",
        p->boot ? p->boot : "", "|", p->advice ? p->advice : "", NULL);

    if (p->verdict != verdict || !strstr(all, part)) {
        g_error("%s: %s '%s', not %s '%s'", p->name,
                doctor_verdict_name(p->verdict), all,
                doctor_verdict_name(verdict), part);
    }
}

void assert_rest(const GPtrArray *points, DoctorVerdict verdict,
                 const char *but)
{
    for (unsigned i = 0; i < points->len; i++) {
        const DoctorPoint *p = g_ptr_array_index(points, i);

        if (g_strcmp0(p->name, but)) {
            assert_says(p, verdict, "");
        }
    }
}
