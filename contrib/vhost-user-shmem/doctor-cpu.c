/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How fast are the CPUs, and how fast are they awake?
 *
 * Threads: as in doctor.h.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "doctor-impl.h"

#define GROUP "cpu"

#define FOREACH_WATCHED(d, cpu) \
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) \
        if (CPU_ISSET(cpu, &(d)->watched))

/* -- Frequency ------------------------------------------------------------- */

static void look_at_governor(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "governor");
    g_autoptr(GPtrArray) shares = doctor_shares_new();
    g_autofree char *text = NULL, *list = doctor_format_cpus(&d->watched);
    bool all_fast = true;

    FOREACH_WATCHED(d, cpu) {
        g_autofree char *governor = doctor_read(
            d, DOCTOR_CPU "/cpu%u/cpufreq/scaling_governor", cpu);

        if (governor) {
            all_fast = all_fast && !strcmp(governor, "performance");
            doctor_shares_add(shares, governor, cpu);
        }
    }
    text = doctor_shares_text(shares);
    if (shares->len == 0) {
        doctor_found(p, DOCTOR_UNKNOWN, DOCTOR_CPU "/cpu*/cpufreq/"
                     "scaling_governor cannot be read; in a virtual machine "
                     "its host decides");
    } else if (all_fast) {
        doctor_found(p, DOCTOR_OK, "%s", text);
    } else {
        doctor_found(p, DOCTOR_COSTS, "%s", text);
        p->cost = g_strdup("a CPU that has slept is 2 to 4 times slower for "
                           "its first 1 to 20 ms");
        p->run = g_strdup_printf("cpupower -c %s frequency-set -g performance",
                                 list);
        p->boot = g_strdup("cpufreq.default_governor=performance");
    }
}

static void look_at_turbo(Doctor *d)
{
    static const struct {
        const char *path;
        unsigned off, on;
    } switches[] = {
        { DOCTOR_CPU "/intel_pstate/no_turbo", 1, 0 },
        { DOCTOR_CPU "/cpufreq/boost", 0, 1 },
    };
    DoctorPoint *p = doctor_point(d, GROUP, "turbo");

    for (unsigned i = 0; i < G_N_ELEMENTS(switches); i++) {
        uint64_t value;

        if (!doctor_read_number(d, &value, "%s", switches[i].path)) {
            continue;
        }
        if (value != switches[i].off) {
            doctor_found(p, DOCTOR_OK, "on");
            return;
        }
        doctor_found(p, DOCTOR_NOTE, "off");
        p->cost = g_strdup("10 to 40 % fewer packets per second; in return "
                           "the speed is steadier");
        p->run = g_strdup_printf("echo %u >%s", switches[i].on,
                                 switches[i].path);
        return;
    }
    doctor_found(p, DOCTOR_UNKNOWN, "neither %s nor %s can be read",
                 switches[0].path, switches[1].path);
}

/* -- Idle states ----------------------------------------------------------- */

/* A state that is left faster than this costs nothing that would be seen. */
#define FAST_WAKE_US 2

/* What programs like tuned ask for by keeping that file open; UINT64_MAX:
 * nobody does, or only root may know. */
static uint64_t asked_latency_us(const Doctor *d)
{
    g_autofree char *path = doctor_path(d, "/dev/cpu_dma_latency");
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int32_t us = -1;

    if (fd < 0) {
        return UINT64_MAX;
    }
    if (read(fd, &us, sizeof(us)) != sizeof(us)) {
        us = -1;
    }
    close(fd);
    return us < 0 ? UINT64_MAX : (uint64_t)us;
}

/* The same for one CPU: 0 stands for any, "n/a" for none. */
static uint64_t asked_cpu_latency_us(const Doctor *d, unsigned cpu)
{
    g_autofree char *text = doctor_read(
        d, DOCTOR_CPU "/cpu%u/power/pm_qos_resume_latency_us", cpu);
    uint64_t us = text ? g_ascii_strtoull(text, NULL, 10) : 0;

    return text && !strcmp(text, "n/a") ? 0 : us > 0 ? us : UINT64_MAX;
}

typedef struct Idle {
    GPtrArray *shares;          /* "C6, 133 us" */
    uint64_t worst_us;
} Idle;

/* The deepest state that @cpu may go to, if its states can be read.  It always
 * goes to the first, if to no other. */
static void look_at_states(const Doctor *d, unsigned cpu, uint64_t limit_us,
                           Idle *idle)
{
    g_autofree char *dir = g_strdup_printf(DOCTOR_CPU "/cpu%u/cpuidle", cpu);
    g_autoptr(GPtrArray) states = doctor_list(d, dir);
    g_autofree char *deepest = NULL, *text = NULL;
    uint64_t deepest_us = 0;

    limit_us = MIN(limit_us, asked_cpu_latency_us(d, cpu));
    for (unsigned i = 0; i < states->len; i++) {
        const char *state = g_ptr_array_index(states, i);
        uint64_t us, disabled = 0;

        if (!doctor_read_number(d, &us, "%s/%s/latency", dir, state)) {
            continue;
        }
        doctor_read_number(d, &disabled, "%s/%s/disable", dir, state);
        if (!deepest || (!disabled && us <= limit_us && us >= deepest_us)) {
            g_free(deepest);
            deepest = doctor_read(d, "%s/%s/name", dir, state);
            deepest = deepest ? deepest : g_strdup(state);
            deepest_us = us;
        }
    }
    if (deepest) {
        text = g_strdup_printf("%s (%" PRIu64 " us)", deepest, deepest_us);
        doctor_shares_add(idle->shares, text, cpu);
        idle->worst_us = MAX(idle->worst_us, deepest_us);
    }
}

static void look_at_idle(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "idle");
    g_autofree char *text = NULL, *list = doctor_format_cpus(&d->watched);
    uint64_t limit_us = asked_latency_us(d);
    Idle idle = { .shares = doctor_shares_new() };

    FOREACH_WATCHED(d, cpu) {
        look_at_states(d, cpu, limit_us, &idle);
    }
    text = doctor_shares_text(idle.shares);
    if (idle.shares->len == 0) {
        doctor_found(p, DOCTOR_UNKNOWN, DOCTOR_CPU "/cpu*/cpuidle cannot be "
                     "read; in a virtual machine its host decides");
    } else if (idle.worst_us <= FAST_WAKE_US) {
        doctor_found(p, DOCTOR_OK, "deepest state of %s", text);
    } else {
        doctor_found(p, DOCTOR_COSTS, "deepest state of %s", text);
        p->cost = g_strdup_printf("up to %" PRIu64 " us more until a worker "
                                  "that slept, or a vCPU, is awake",
                                  idle.worst_us);
        p->run = g_strdup_printf("cpupower -c %s idle-set -D %d", list,
                                 FAST_WAKE_US + 1);
        p->boot = g_strdup("intel_idle.max_cstate=1 processor.max_cstate=1");
    }
    g_ptr_array_unref(idle.shares);
}

/* -- Sibling threads ------------------------------------------------------- */

/* CPUs that share a core with those that are watched; false: unknown. */
static bool read_siblings(const Doctor *d, cpu_set_t *siblings,
                          bool *two_on_a_core)
{
    bool known = false;

    CPU_ZERO(siblings);
    *two_on_a_core = false;
    FOREACH_WATCHED(d, cpu) {
        cpu_set_t core, watched;

        if (doctor_read_cpus(d, &core, DOCTOR_CPU
                             "/cpu%u/topology/thread_siblings_list", cpu)) {
            known = true;
            CPU_OR(siblings, siblings, &core);
            CPU_AND(&watched, &core, &d->watched);
            *two_on_a_core |= CPU_COUNT(&watched) > 1;
        }
    }
    *siblings = doctor_without(siblings, &d->watched);
    return known;
}

#define SHARED_CORE_COST \
    "two threads that share a core get 50 to 70 % of its speed each, and " \
    "share its caches"

static void say_unchosen_smt(DoctorPoint *p, bool smt)
{
    if (smt) {
        doctor_found(p, DOCTOR_NOTE, "cores have sibling threads");
        p->cost = g_strdup(SHARED_CORE_COST);
        p->advice = g_strdup("give each worker a core: --cpus with one thread "
                             "of each, and nothing on the other");
    } else {
        doctor_found(p, DOCTOR_OK, "each core has one thread");
    }
}

static void look_at_smt(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "smt");
    bool two_on_a_core;
    cpu_set_t siblings, busy;
    g_autofree char *list = NULL, *names = NULL;

    if (!read_siblings(d, &siblings, &two_on_a_core)) {
        doctor_found(p, DOCTOR_UNKNOWN, DOCTOR_CPU "/cpu*/topology/"
                     "thread_siblings_list cannot be read");
        return;
    }
    if (d->choice == DOCTOR_ALL ||
        (d->choice == DOCTOR_ISOLATED && two_on_a_core)) {
        say_unchosen_smt(p, two_on_a_core);
        return;
    }
    busy = doctor_without(&siblings, &d->isolated);
    list = doctor_format_cpus(&busy);
    names = doctor_name_cpus(CPU_COUNT(&busy) ? &busy : &siblings);
    if (two_on_a_core) {
        doctor_found(p, DOCTOR_COSTS, "two workers share a core");
        p->cost = g_strdup(SHARED_CORE_COST);
        p->advice = g_strdup("choose --cpus with one thread of each core: "
                             "lscpu -e=CPU,CORE,NODE lists them");
    } else if (CPU_COUNT(&busy) > 0) {
        doctor_found(p, DOCTOR_COSTS, "on the same cores: %s, where anybody "
                     "may run", names);
        p->cost = g_strdup(SHARED_CORE_COST);
        p->run = g_strdup_printf("chcpu -d %s", list);
        p->boot = g_strdup("nosmt");
    } else if (CPU_COUNT(&siblings) > 0) {
        doctor_found(p, DOCTOR_OK, "on the same cores: %s, isolated, too: give "
                     "them no vCPU", names);
    } else {
        doctor_found(p, DOCTOR_OK, "nobody shares a core with these CPUs");
    }
}

/* -- The cache that all share ---------------------------------------------- */

#define RESCTRL "/sys/fs/resctrl"

static bool is_resctrl_mounted(const Doctor *d)
{
    g_autofree char *mounts = doctor_read(d, "/proc/mounts");
    g_auto(GStrv) line = g_strsplit(mounts ? mounts : "", "\n", -1);

    for (unsigned i = 0; line[i]; i++) {
        g_auto(GStrv) field = g_strsplit(line[i], " ", 4);

        if (g_strv_length(field) == 4 && !strcmp(field[2], "resctrl")) {
            return true;
        }
    }
    return false;
}

/* Are all CPUs that are watched in groups of their own? */
static bool has_cache_group(const Doctor *d)
{
    g_autoptr(GPtrArray) groups = doctor_list(d, RESCTRL);
    cpu_set_t rest = d->watched;

    for (unsigned i = 0; i < groups->len; i++) {
        cpu_set_t cpus;

        if (doctor_read_cpus(d, &cpus, RESCTRL "/%s/cpus_list",
                             (char *)g_ptr_array_index(groups, i))) {
            rest = doctor_without(&rest, &cpus);
        }
    }
    return CPU_COUNT(&rest) == 0;
}

#define CACHE_COST \
    "a neighbour that streams through memory evicts the workers' tables and " \
    "rings: 10 to 30 % of their speed, 1 to 5 us at the slowest packets"

static void look_at_cache(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "cache");
    g_autofree char *cpus = doctor_name_cpus(&d->watched);
    g_autofree char *list = doctor_list_to_write(d);
    bool known, can = doctor_cpu_flag(d, "cat_l3", &known) ||
                      doctor_cpu_flag(d, "cat_l2", &known);

    if (!known) {
        doctor_found(p, DOCTOR_UNKNOWN, "/proc/cpuinfo shows no flags");
    } else if (!can) {
        doctor_found(p, DOCTOR_NOTE, "this CPU cannot divide its cache (no "
                     "flag cat_l3 or cat_l2)");
        p->cost = g_strdup(CACHE_COST);
        p->advice = g_strdup("keep such neighbours on another socket");
    } else if (!is_resctrl_mounted(d)) {
        doctor_found(p, DOCTOR_NOTE, "the CPU can divide its cache; resctrl is "
                     "not mounted");
        p->cost = g_strdup(CACHE_COST);
        p->run = g_strdup("mount -t resctrl resctrl " RESCTRL);
    } else if (d->choice == DOCTOR_ALL || !has_cache_group(d)) {
        doctor_found(p, DOCTOR_NOTE, "resctrl is mounted; the workers' CPUs "
                     "have no group of their own");
        p->cost = g_strdup(CACHE_COST);
        p->advice = g_strdup("then take their part from the others: "
                             "schemata, in the group and in its parent");
        p->run = g_strdup_printf("mkdir -p " RESCTRL "/vus && "
                                 "echo %s >" RESCTRL "/vus/cpus_list", list);
    } else {
        doctor_found(p, DOCTOR_OK, "%s: in a group of resctrl", cpus);
    }
}

void doctor_look_at_cpu(Doctor *d)
{
    look_at_governor(d);
    look_at_turbo(d);
    look_at_idle(d);
    look_at_smt(d);
    look_at_cache(d);
}
