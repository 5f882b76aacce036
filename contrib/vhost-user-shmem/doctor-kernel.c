/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the kernel takes a CPU from a thread, tells the time and runs guests; and
 * what it does for the daemon's threads.
 *
 * Threads: as in doctor.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor-impl.h"

#define GROUP "kernel"

/* -- What only debugfs shows ----------------------------------------------- */

static void advise_debugfs(const Doctor *d, DoctorPoint *p)
{
    g_autofree char *dir = doctor_path(d, "/sys/kernel/debug/sched");

    if (g_file_test(dir, G_FILE_TEST_IS_DIR)) {
        p->advice = g_strdup("not all kernels show it, and one in lockdown "
                             "shows it to nobody");
    } else {
        p->advice = g_strdup("then ask again as root");
        p->run = g_strdup("mount -t debugfs debugfs /sys/kernel/debug");
    }
}

/* -- Preemption ------------------------------------------------------------ */

/* "full" of "none voluntary (full)"; what was chosen at boot; or what the
 * kernel was built with.  NULL: unknown. */
static char *read_model(const Doctor *d)
{
    g_autofree char *live = doctor_read(d, "/sys/kernel/debug/sched/preempt");
    g_autofree char *version = doctor_read(d, "/proc/version");
    const char *from = live ? strchr(live, '(') : NULL;
    const char *to = from ? strchr(from, ')') : NULL;
    char *at_boot;

    if (to) {
        return g_strndup(from + 1, to - from - 1);
    }
    at_boot = doctor_boot_value(d, "preempt");
    if (at_boot || !version || strstr(version, "PREEMPT_DYNAMIC")) {
        return at_boot;
    }
    return g_strdup(strstr(version, " PREEMPT ") ? "full" :
                    "none or voluntary");
}

static bool is_realtime(const Doctor *d)
{
    g_autofree char *version = doctor_read(d, "/proc/version");
    uint64_t realtime = 0;

    doctor_read_number(d, &realtime, "/sys/kernel/realtime");
    return realtime == 1 || (version && strstr(version, "PREEMPT_RT"));
}

static void look_at_preemption(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "preemption");
    g_autofree char *model = read_model(d);

    if (is_realtime(d)) {
        doctor_found(p, DOCTOR_OK, "PREEMPT_RT");
    } else if (!model || !*model) {
        doctor_found(p, DOCTOR_UNKNOWN, "neither PREEMPT_RT nor another model "
                     "can be read (/sys/kernel/debug/sched/preempt)");
        advise_debugfs(d, p);
    } else if (!strcmp(model, "full") && d->rt_priority == 0) {
        doctor_found(p, DOCTOR_OK, "%s", model);
    } else if (!strcmp(model, "full")) {
        doctor_found(p, DOCTOR_NOTE, "%s, with rt-priority=%u", model,
                     d->rt_priority);
        p->cost = g_strdup("the kernel's own work goes before a real-time "
                           "thread, for up to 1 ms; with PREEMPT_RT it is "
                           "10 to 100 us. None of it on CPUs that are free of "
                           "all else");
        p->advice = g_strdup("a kernel with PREEMPT_RT, if the slowest packet "
                             "matters more than the mean");
    } else {
        doctor_found(p, DOCTOR_NOTE, "%s", model);
        p->cost = g_strdup("a worker or vCPU that shares its CPU waits for up "
                           "to 1 to 4 ms when it wakes up. Nothing on CPUs "
                           "that are free of all else");
        p->advice = g_strdup("preempt=full is for kernels that can choose: "
                             "uname -v shows PREEMPT_DYNAMIC");
        p->boot = g_strdup("preempt=full");
    }
}

/* -- Throttling ------------------------------------------------------------ */

/* Since Linux 6.12 an ordinary thread that starves has a server of its own. */
static bool has_fair_server(const Doctor *d)
{
    g_autofree char *release = doctor_read(d, "/proc/sys/kernel/osrelease");
    unsigned major, minor;

    return release && sscanf(release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 12));
}

/* What the server may take on any CPU that is watched; false: unknown. */
static bool read_fair_server(const Doctor *d, uint64_t *most_ns)
{
    bool known = false;

    *most_ns = 0;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        uint64_t ns;

        if (CPU_ISSET(cpu, &d->watched) &&
            doctor_read_number(d, &ns, "/sys/kernel/debug/sched/fair_server/"
                               "cpu%u/runtime", cpu)) {
            known = true;
            *most_ns = MAX(*most_ns, ns);
        }
    }
    return known;
}

#define STARVES \
    "only for workers on isolated CPUs, for a thread that never sleeps then " \
    "starves all others there"

static void look_at_fair_server(const Doctor *d, DoctorPoint *p)
{
    uint64_t most_ns;

    if (!read_fair_server(d, &most_ns)) {
        doctor_found(p, DOCTOR_UNKNOWN, "/sys/kernel/debug/sched/fair_server "
                     "cannot be read");
        advise_debugfs(d, p);
    } else if (most_ns == 0) {
        doctor_found(p, DOCTOR_OK, "the fair server is off for these CPUs");
        return;
    } else {
        doctor_found(p, DOCTOR_COSTS, "the fair server may take %" PRIu64
                     " us of each period, usually 1 s", most_ns / 1000);
        p->run = g_strdup("for f in /sys/kernel/debug/sched/fair_server/cpu*; "
                          "do echo 0 >$f/runtime; done");
        p->advice = g_strdup(STARVES);
    }
    p->cost = g_strdup("if an ordinary thread waits on a worker's CPU, the "
                       "worker stops for up to 50 ms of each second");
}

static void look_at_sysctl(const Doctor *d, DoctorPoint *p)
{
    g_autofree char *runtime = doctor_read(
        d, "/proc/sys/kernel/sched_rt_runtime_us");
    uint64_t period_us = 1000000, runtime_us;

    doctor_read_number(d, &period_us, "/proc/sys/kernel/sched_rt_period_us");
    if (!runtime ||
        (strcmp(runtime, "-1") &&
         !g_ascii_string_to_unsigned(runtime, 10, 0, UINT64_MAX, &runtime_us,
                                     NULL))) {
        doctor_found(p, DOCTOR_UNKNOWN, "/proc/sys/kernel/sched_rt_runtime_us "
                     "cannot be read");
    } else if (!strcmp(runtime, "-1") || runtime_us >= period_us) {
        doctor_found(p, DOCTOR_OK, "sched_rt_runtime_us=%s: never", runtime);
    } else {
        doctor_found(p, DOCTOR_COSTS, "sched_rt_runtime_us=%s of %" PRIu64,
                     runtime, period_us);
        p->cost = g_strdup_printf(
            "a worker that polls all the time stops for %" PRIu64 " us of "
            "each %" PRIu64 ", in one piece", period_us - runtime_us,
            period_us);
        p->run = g_strdup("sysctl -w kernel.sched_rt_runtime_us=-1");
        p->advice = g_strdup(STARVES);
    }
}

static void look_at_throttling(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "rt-throttling");

    if (!d->daemon->silent && d->rt_priority == 0) {
        doctor_found(p, DOCTOR_OK, "rt-priority=0: it is for real-time "
                     "threads only");
        return;
    }
    if (has_fair_server(d)) {
        look_at_fair_server(d, p);
    } else {
        look_at_sysctl(d, p);
    }
    if (d->daemon->silent && p->verdict == DOCTOR_COSTS) {
        p->verdict = DOCTOR_NOTE;       /* if it has rt-priority at all */
    }
}

/* -- Clock ----------------------------------------------------------------- */

static void advise_clock(const Doctor *d, DoctorPoint *p)
{
    g_autofree char *available = doctor_read(
        d, "/sys/devices/system/clocksource/clocksource0/"
        "available_clocksource");
    bool known, steady = doctor_cpu_flag(d, "constant_tsc", &known) &&
                         doctor_cpu_flag(d, "nonstop_tsc", &known);

    if (available && strstr(available, "tsc")) {
        p->run = g_strdup("echo tsc > /sys/devices/system/clocksource/"
                          "clocksource0/current_clocksource");
    }
    if (steady) {
        p->advice = g_strdup("the kernel has distrusted the TSC; its log says "
                             "why. Trust it only if that is wrong");
        p->boot = g_strdup("tsc=reliable");
    } else {
        p->advice = g_strdup("this CPU has no TSC that is steady (flags "
                             "constant_tsc, nonstop_tsc)");
    }
}

static void look_at_clock(Doctor *d)
{
    /* They are read without a system call. */
    static const char *const fast[] = {
        "tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter",
        "timebase", "riscv_clocksource", NULL,
    };
    DoctorPoint *p = doctor_point(d, GROUP, "clock");
    g_autofree char *clock = doctor_read(
        d, "/sys/devices/system/clocksource/clocksource0/"
        "current_clocksource");

    if (!clock || !*clock) {
        doctor_found(p, DOCTOR_UNKNOWN, "/sys/devices/system/clocksource "
                     "cannot be read");
    } else if (g_strv_contains(fast, clock)) {
        doctor_found(p, DOCTOR_OK, "%s", clock);
    } else {
        doctor_found(p, DOCTOR_COSTS, "%s", clock);
        p->cost = g_strdup("each look at the clock is a system call: 0.5 to "
                           "2 us, not 0.03");
        advise_clock(d, p);
    }
}

/* -- KVM ------------------------------------------------------------------- */

static void look_at_kvm(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "kvm");
    g_autofree char *path = doctor_path(d, "/dev/kvm");
    g_autofree char *dir = doctor_path(d, "/dev");
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int failure = errno;
    bool known;

    if (fd >= 0) {
        close(fd);
        if (doctor_cpu_flag(d, "hypervisor", &known)) {
            doctor_found(p, DOCTOR_NOTE, "/dev/kvm can be opened; this host is "
                         "a virtual machine itself");
            p->cost = g_strdup("each exit of a vCPU (kick, interrupt) takes "
                               "10 to 50 us, not 1 to 3; its own host may "
                               "stop any CPU at any time");
            p->advice = g_strdup("for figures that mean something, a machine "
                                 "of its own");
        } else {
            doctor_found(p, DOCTOR_OK, "/dev/kvm can be opened");
        }
        return;
    }
    if (!g_file_test(dir, G_FILE_TEST_IS_DIR)) {
        doctor_found(p, DOCTOR_UNKNOWN, "/dev cannot be read");
        return;
    }
    doctor_found(p, DOCTOR_COSTS, "/dev/kvm cannot be opened: %s",
                 g_strerror(failure));
    p->cost = g_strdup("guests are emulated: 10 to 50 times slower");
    if (failure == EACCES || failure == EPERM) {
        p->advice = g_strdup("USER is who QEMU runs as; from the next login "
                             "on");
        p->run = g_strdup("usermod -aG kvm USER");
    } else {
        p->advice = g_strdup("if that fails, the firmware has virtualization "
                             "(VT-x, SVM) switched off, or the host's own "
                             "host has");
        p->run = g_strdup("modprobe kvm_intel || modprobe kvm_amd");
    }
}

/* -- The sandbox ----------------------------------------------------------- */

/* How many filters the kernel has for a thread of the daemon. */
static bool read_filters(const Doctor *d, const char *tid, uint64_t *filters)
{
    static const char key[] = "\nSeccomp_filters:";
    g_autofree char *status = doctor_read(d, "/proc/%u/task/%s/status",
                                          d->daemon->pid, tid);
    const char *at = status ? strstr(status, key) : NULL;

    *filters = at ? g_ascii_strtoull(at + strlen(key), NULL, 10) : 0;
    return at;
}

/* Has each worker one more than the control thread?  (A service manager gives
 * all the same.)  False: that cannot be seen. */
static bool read_sandbox(const Doctor *d, bool *on)
{
    g_autofree char *control = g_strdup_printf("%u", d->daemon->pid);
    g_autofree char *path = g_strdup_printf("/proc/%s/task", control);
    g_autoptr(GPtrArray) tids = doctor_list(d, path);
    uint64_t common, filters;
    unsigned workers = 0;

    *on = true;
    if (!read_filters(d, control, &common)) {
        return false;
    }
    for (unsigned i = 0; i < tids->len; i++) {
        const char *tid = g_ptr_array_index(tids, i);
        g_autofree char *comm = doctor_read(d, "%s/%s/comm", path, tid);

        if (comm && g_str_has_prefix(comm, "worker-") &&
            read_filters(d, tid, &filters)) {
            *on &= filters > common;
            workers++;
        }
    }
    return workers > 0;
}

static void say_unconfined(const Doctor *d, DoctorPoint *p)
{
    SandboxMode mode = d->daemon->cfg->sandbox;

    p->cost = g_strdup("no time, but whoever takes over a thread of the daemon "
                       "may ask the kernel for anything");
    if (mode == SANDBOX_OFF || mode == SANDBOX_LOG) {
        doctor_found(p, DOCTOR_NOTE, "sandbox=%s", sandbox_mode_name(mode));
        p->advice = g_strdup_printf("start the daemon without sandbox=%s",
                                    sandbox_mode_name(mode));
    } else {
        doctor_found(p, DOCTOR_NOTE, "sandbox=%s, and workers have no filter "
                     "of their own", sandbox_mode_name(mode));
        p->advice = g_strdup("the daemon's log says why; with sandbox=on it "
                             "does not start without");
    }
}

static void look_at_sandbox(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "sandbox");
    g_autofree char *actions = doctor_read(
        d, "/proc/sys/kernel/seccomp/actions_avail");
    bool on;

    if (d->daemon->silent) {
        doctor_found(p, actions ? DOCTOR_OK : DOCTOR_UNKNOWN, "%s", actions
                     ? "this kernel can refuse system calls"
                     : "/proc/sys/kernel/seccomp cannot be read");
    } else if (d->daemon->cfg->sandbox == SANDBOX_OFF ||
               d->daemon->cfg->sandbox == SANDBOX_LOG) {
        say_unconfined(d, p);
    } else if (!read_sandbox(d, &on)) {
        doctor_found(p, DOCTOR_UNKNOWN, "/proc/%u/task does not show it",
                     d->daemon->pid);
    } else if (on) {
        doctor_found(p, DOCTOR_OK, "on: system calls that a thread does not "
                     "need are refused");
    } else {
        say_unconfined(d, p);
    }
}

void doctor_look_at_kernel(Doctor *d)
{
    look_at_preemption(d);
    look_at_throttling(d);
    look_at_clock(d);
    look_at_kvm(d);
    look_at_sandbox(d);
}
