/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Have the workers' CPUs nothing else to do?
 *
 * If it is not known which CPUs are the workers', those that are set aside are
 * looked at, as somebody has meant them for such a use; else all.
 *
 * Threads: as in doctor.h.
 */
#include <string.h>

#include "doctor-impl.h"

#define GROUP "workers"

/* -- Who runs where -------------------------------------------------------- */

static const char *plural(unsigned n)
{
    return n == 1 ? "" : "s";
}

static void say_unpinned(const Doctor *d, DoctorPoint *p)
{
    g_autofree char *list = d->choice == DOCTOR_ISOLATED ?
                            doctor_format_cpus(&d->watched) : g_strdup("LIST");

    doctor_found(p, DOCTOR_COSTS, "%u worker%s on any CPU",
                 d->daemon->cfg->workers, plural(d->daemon->cfg->workers));
    p->cost = g_strdup("others get a worker's CPU for 1 to 10 ms at a time, "
                       "and each move costs 10 to 100 us of cold caches");
    p->advice = g_strdup_printf("start the daemon with --cpus %s", list);
}

static void look_at_pinning(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "pinning");
    g_autofree char *cpus = doctor_name_cpus(&d->watched);
    unsigned own = CPU_COUNT(&d->watched);
    unsigned workers = d->daemon->silent ? 0 : d->daemon->cfg->workers;

    if (d->daemon->silent) {
        doctor_found(p, DOCTOR_UNKNOWN, "%s. So this is about %s%s",
                     d->daemon->silent, d->choice == DOCTOR_ALL ? "all" : cpus,
                     d->choice == DOCTOR_ALL ? " CPUs" :
                     ", which are set aside");
    } else if (d->choice != DOCTOR_PINNED) {
        say_unpinned(d, p);
    } else if (workers > own) {
        doctor_found(p, DOCTOR_COSTS, "%u workers share %s", workers, cpus);
        p->cost = g_strdup("while one polls, another waits: 1 to 10 ms at a "
                           "time; with rt-priority until the first sleeps");
        p->advice = g_strdup_printf("start the daemon with --workers %u, or "
                                    "with more --cpus", own);
    } else {
        doctor_found(p, DOCTOR_OK, "%u worker%s on %s", workers,
                     plural(workers), cpus);
    }
}

/* -- CPUs that are set aside ----------------------------------------------- */

typedef struct Aside {
    const char *name;
    const char *what;           /* they are then */
    const char *cost;
    const char *boot;           /* in front of the list */
} Aside;

/* The line at boot, unless it would leave no CPU to anything else. */
static void advise_boot(const Doctor *d, DoctorPoint *p, const char *boot)
{
    cpu_set_t rest = doctor_without(&d->online, &d->watched);
    g_autofree char *list = doctor_list_to_write(d);

    if (d->choice == DOCTOR_ALL) {
        p->advice = g_strdup("LIST is what workers and vCPUs shall have for "
                             "themselves; leave CPU 0 and another to the rest");
    } else if (CPU_COUNT(&rest) == 0) {
        p->advice = g_strdup("the workers have all CPUs: leave at least one "
                             "to the rest, with fewer --workers and --cpus");
        return;
    }
    p->boot = g_strconcat(boot, list, NULL);
}

static void say_aside(Doctor *d, DoctorPoint *p, const Aside *a,
                      const cpu_set_t *set)
{
    cpu_set_t missing = doctor_without(&d->watched, set);
    g_autofree char *all = doctor_format_cpus(&d->watched);
    g_autofree char *have = doctor_name_cpus(set);
    g_autofree char *lack = doctor_name_cpus(&missing);
    bool none = CPU_EQUAL(&missing, &d->watched);

    if (CPU_COUNT(set) > 0 &&
        (d->choice == DOCTOR_ALL || CPU_COUNT(&missing) == 0)) {
        doctor_found(p, DOCTOR_OK, "%s: %s", have, a->what);
        return;
    }
    if (CPU_COUNT(set) == 0) {
        doctor_found(p, DOCTOR_COSTS, "no CPU is %s", a->what);
    } else {
        doctor_found(p, DOCTOR_COSTS, "%s%s%s: not %s", lack,
                     none ? "" : " of ", none ? "" : all, a->what);
    }
    p->cost = g_strdup(a->cost);
    advise_boot(d, p, a->boot);
}

static void look_at_isolcpus(Doctor *d)
{
    static const Aside isolcpus = {
        "isolcpus", "isolated",
        "the scheduler puts other threads there: a worker waits 1 to 10 ms "
        "until it has its CPU again",
        "isolcpus=managed_irq,domain,",
    };
    DoctorPoint *p = doctor_point(d, GROUP, isolcpus.name);

    if (d->knows_isolated) {
        say_aside(d, p, &isolcpus, &d->isolated);
    } else {
        doctor_found(p, DOCTOR_UNKNOWN, DOCTOR_CPU "/isolated cannot be read");
    }
}

/* Old kernels write "(null)" for none. */
static bool read_nohz_full(const Doctor *d, cpu_set_t *set)
{
    g_autofree char *text = doctor_read(d, DOCTOR_CPU "/nohz_full");

    CPU_ZERO(set);
    return text && (!strcmp(text, "(null)") ||
                    doctor_parse_cpus(text, &d->online, set));
}

static void look_at_nohz_full(Doctor *d)
{
    static const Aside nohz_full = {
        "nohz_full", "without a tick",
        "250 to 1000 times a second a worker is stopped for 1 to 10 us",
        "nohz_full=",
    };
    DoctorPoint *p = doctor_point(d, GROUP, nohz_full.name);
    cpu_set_t set;

    if (read_nohz_full(d, &set)) {
        say_aside(d, p, &nohz_full, &set);
    } else {
        doctor_found(p, DOCTOR_UNKNOWN, DOCTOR_CPU "/nohz_full cannot be "
                     "read; a kernel without CONFIG_NO_HZ_FULL has none");
    }
}

/* A CPU without a tick has its callbacks elsewhere, too. */
static void look_at_rcu_nocbs(Doctor *d)
{
    static const Aside rcu_nocbs = {
        "rcu_nocbs", "free of RCU callbacks",
        "now and then the kernel tidies up there: 10 to 500 us in a row",
        "rcu_nocbs=",
    };
    DoctorPoint *p = doctor_point(d, GROUP, rcu_nocbs.name);
    g_autofree char *list = doctor_boot_value(d, rcu_nocbs.name);
    cpu_set_t set, without_tick;

    CPU_ZERO(&set);
    if (!d->cmdline) {
        doctor_found(p, DOCTOR_UNKNOWN, "/proc/cmdline cannot be read");
    } else if (list && !doctor_parse_cpus(list, &d->online, &set)) {
        doctor_found(p, DOCTOR_UNKNOWN, "rcu_nocbs=%s in /proc/cmdline is no "
                     "list of CPUs", list);
    } else {
        read_nohz_full(d, &without_tick);
        CPU_OR(&set, &set, &without_tick);
        say_aside(d, p, &rcu_nocbs, &set);
    }
}

/* -- Interrupts ------------------------------------------------------------ */

typedef struct Irqs {
    unsigned all;
    GPtrArray *come, *may;      /* "24 (eth0)": to CPUs that are watched */
} Irqs;

/* An interrupt that somebody handles has a directory of that name. */
static char *irq_handler(const Doctor *d, const char *irq)
{
    g_autofree char *path = g_build_filename("/proc/irq", irq, NULL);
    g_autofree char *full = doctor_path(d, path);
    g_autoptr(GPtrArray) names = doctor_list(d, path);

    for (unsigned i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *one = g_build_filename(full, name, NULL);

        if (g_file_test(one, G_FILE_TEST_IS_DIR)) {
            return g_strdup(name);
        }
    }
    return NULL;
}

static void count_irq(const Doctor *d, const char *irq, Irqs *irqs)
{
    g_autofree char *handler = irq_handler(d, irq);
    cpu_set_t may, come;
    GPtrArray *to = NULL;

    /* Number 0 is the timer of the time before CPUs had their own. */
    if (!handler || !strcmp(irq, "0") ||
        !doctor_read_cpus(d, &may, "/proc/irq/%s/smp_affinity_list", irq)) {
        return;
    }
    if (!doctor_read_cpus(d, &come, "/proc/irq/%s/effective_affinity_list",
                          irq)) {
        come = may;
    }
    irqs->all++;
    CPU_AND(&may, &may, &d->watched);
    CPU_AND(&come, &come, &d->watched);
    to = CPU_COUNT(&come) > 0 ? irqs->come : CPU_COUNT(&may) > 0 ? irqs->may :
         NULL;
    if (to) {
        g_ptr_array_add(to, g_strdup_printf("%s (%s)", irq, handler));
    }
}

#define MAX_NAMED 4

static char *name_irqs(const GPtrArray *irqs)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < MIN(irqs->len, MAX_NAMED); i++) {
        g_string_append_printf(text, "%s%s", i ? ", " : "",
                               (char *)g_ptr_array_index(irqs, i));
    }
    if (irqs->len > MAX_NAMED) {
        g_string_append_printf(text, " and %u more", irqs->len - MAX_NAMED);
    }
    return g_string_free(text, false);
}

static void advise_irqs(const Doctor *d, DoctorPoint *p)
{
    cpu_set_t rest = doctor_without(&d->online, &d->watched);
    g_autofree char *list = doctor_format_cpus(&rest);

    if (CPU_COUNT(&rest) == 0) {
        p->advice = g_strdup("there is no other CPU that could take them: "
                             "leave one to the rest, with fewer --cpus");
        return;
    }
    p->advice = g_strdup("stop irqbalance first, or ban these CPUs there; "
                         "managed queues of NVMe and NICs refuse to move: "
                         "isolcpus=managed_irq keeps them away");
    p->run = g_strdup_printf("for f in /proc/irq/*/smp_affinity_list; do "
                             "echo %s >$f; done", list);
    p->boot = g_strdup_printf("irqaffinity=%s", list);
}

static void say_irqs(const Doctor *d, DoctorPoint *p, const Irqs *irqs)
{
    g_autofree char *cpus = doctor_name_cpus(&d->watched);
    g_autofree char *come = name_irqs(irqs->come);
    g_autofree char *may = name_irqs(irqs->may);

    if (irqs->all == 0) {
        doctor_found(p, DOCTOR_UNKNOWN, "/proc/irq shows no interrupt");
    } else if (d->choice == DOCTOR_ALL) {
        doctor_found(p, DOCTOR_NOTE, "%u interrupts, and no CPU is chosen to "
                     "be free of them", irqs->all);
        p->advice = g_strdup("choose CPUs for the workers first (pinning, "
                             "isolcpus), then ask again");
    } else if (irqs->come->len > 0) {
        doctor_found(p, DOCTOR_COSTS, "%u of %u come to %s: %s",
                     irqs->come->len, irqs->all, cpus, come);
        p->cost = g_strdup("each stops a worker for 1 to 10 us, with what "
                           "follows it (softirq) for up to 1 ms");
        advise_irqs(d, p);
    } else if (irqs->may->len > 0) {
        doctor_found(p, DOCTOR_NOTE, "none comes to %s now, but %u of %u may: "
                     "%s", cpus, irqs->may->len, irqs->all, may);
        p->cost = g_strdup("nothing, until the kernel or irqbalance moves "
                           "one there: then 1 to 10 us each time");
        advise_irqs(d, p);
    } else {
        doctor_found(p, DOCTOR_OK, "none of %u may come to %s", irqs->all,
                     cpus);
    }
}

static void look_at_irqs(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "irqs");
    g_autoptr(GPtrArray) numbers = doctor_list(d, "/proc/irq");
    Irqs irqs = {
        .come = g_ptr_array_new_with_free_func(g_free),
        .may = g_ptr_array_new_with_free_func(g_free),
    };

    for (unsigned i = 0; i < numbers->len; i++) {
        const char *irq = g_ptr_array_index(numbers, i);

        if (g_ascii_isdigit(*irq)) {
            count_irq(d, irq, &irqs);
        }
    }
    say_irqs(d, p, &irqs);
    g_ptr_array_unref(irqs.come);
    g_ptr_array_unref(irqs.may);
}

void doctor_look_at_isolation(Doctor *d)
{
    look_at_pinning(d);
    look_at_isolcpus(d);
    look_at_nohz_full(d);
    look_at_rcu_nocbs(d);
    look_at_irqs(d);
}
