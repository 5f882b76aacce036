/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where is the guests' memory, and in pages of what size?
 *
 * Threads: as in doctor.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "doctor-impl.h"

#define GROUP "memory"
#define HUGE "/sys/kernel/mm/hugepages"
#define THP "/sys/kernel/mm/transparent_hugepage"
#define MAX_NODES CPU_SETSIZE
#define CAP_IPC_LOCK_BIT 14

/* A guest as they often are, for lines that need a number. */
#define EXAMPLE_KIB (2 * 1024 * 1024)

typedef struct Memory {
    cpu_set_t nodes;            /* online; empty: unknown */
    cpu_set_t own;              /* those of the CPUs that are watched */
    bool knows_guests;          /* of the daemon, so far as it was touched: */
    uint64_t guests_kib;
    uint64_t guests_small_kib;  /* not in huge pages */
    uint64_t remote_kib;        /* not on an own node */
    uint64_t node_kib[MAX_NODES];
} Memory;

static char *format_kib(uint64_t kib)
{
    const uint64_t mib = 1024, gib = 1024 * mib;

    return kib % gib == 0 && kib > 0 ?
           g_strdup_printf("%" PRIu64 " GiB", kib / gib) : kib >= mib ?
           g_strdup_printf("%" PRIu64 " MiB", kib / mib) :
           g_strdup_printf("%" PRIu64 " KiB", kib);
}

/* -- What there is --------------------------------------------------------- */

static void read_nodes(const Doctor *d, Memory *m)
{
    cpu_set_t cpus, own;

    if (!doctor_read_cpus(d, &m->nodes, DOCTOR_NODE "/online")) {
        CPU_ZERO(&m->nodes);
    }
    for (unsigned node = 0; node < MAX_NODES; node++) {
        if (CPU_ISSET(node, &m->nodes) &&
            doctor_read_cpus(d, &cpus, DOCTOR_NODE "/node%u/cpulist", node)) {
            CPU_AND(&own, &cpus, &d->watched);
            if (CPU_COUNT(&own) > 0) {
                CPU_SET(node, &m->own);
            }
        }
    }
}

/* What the daemon has mapped of guests, not files of its own. */
static bool is_guests(const char *line)
{
    return strstr(line, " huge") ||
           strstr(line, "file=/dev/shm/") ||
           strstr(line, "/libvirt/qemu/ram/") ||
           (strstr(line, "file=/memfd:") && !strstr(line, ":vhost-log"));
}

/* "7f.. default file=/memfd:ram huge N0=512 N1=3 kernelpagesize_kB=2048" */
static void add_mapping(Memory *m, const char *line)
{
    const char *size = strstr(line, "kernelpagesize_kB=");
    g_auto(GStrv) word = g_strsplit(line, " ", -1);
    uint64_t page_kib = size ? g_ascii_strtoull(strchr(size, '=') + 1, NULL,
                                                10) : 4;

    for (unsigned i = 0; is_guests(line) && word[i]; i++) {
        char *end;
        unsigned long node;
        uint64_t kib;

        if (word[i][0] != 'N' || !g_ascii_isdigit(word[i][1])) {
            continue;
        }
        node = strtoul(word[i] + 1, &end, 10);
        if (*end != '=' || node >= MAX_NODES) {
            continue;
        }
        kib = g_ascii_strtoull(end + 1, NULL, 10) * page_kib;
        m->node_kib[node] += kib;
        m->guests_kib += kib;
        m->guests_small_kib += strstr(line, " huge") ? 0 : kib;
        m->remote_kib += CPU_ISSET(node, &m->own) ? 0 : kib;
    }
}

static void read_guests(const Doctor *d, Memory *m)
{
    g_autofree char *maps = d->daemon->silent ? NULL :
        doctor_read(d, "/proc/%u/numa_maps", d->daemon->pid);
    g_auto(GStrv) line = g_strsplit(maps ? maps : "", "\n", -1);

    m->knows_guests = maps != NULL;
    for (unsigned i = 0; line[i]; i++) {
        add_mapping(m, line[i]);
    }
}

/* -- Huge pages ------------------------------------------------------------ */

typedef struct Huge {
    GString *found;
    uint64_t total, free;       /* pages of all sizes */
    uint64_t own_total;         /* on the own nodes */
    bool knows_own;
    uint64_t size_kib;          /* the smallest; 0: there is none */
} Huge;

static void add_on_nodes(const Doctor *d, const Memory *m, uint64_t size_kib,
                         Huge *huge)
{
    bool several = CPU_COUNT(&m->nodes) > 1;
    unsigned shown = 0;

    for (unsigned node = 0; node < MAX_NODES; node++) {
        uint64_t total;

        if (!CPU_ISSET(node, &m->nodes) ||
            !doctor_read_number(d, &total, DOCTOR_NODE "/node%u/hugepages/"
                                "hugepages-%" PRIu64 "kB/nr_hugepages", node,
                                size_kib)) {
            continue;
        }
        if (CPU_ISSET(node, &m->own)) {
            huge->knows_own = true;
            huge->own_total += total;
        }
        if (several) {
            g_string_append_printf(huge->found, "%snode %u: %" PRIu64,
                                   shown++ ? ", " : " (", node, total);
        }
    }
    g_string_append(huge->found, shown ? ")" : "");
}

static void add_size(const Doctor *d, const Memory *m, const char *name,
                     Huge *huge)
{
    g_autofree char *size = NULL;
    uint64_t size_kib, total, unused = 0;

    if (!g_str_has_prefix(name, "hugepages-") ||
        !doctor_read_number(d, &total, HUGE "/%s/nr_hugepages", name)) {
        return;
    }
    doctor_read_number(d, &unused, HUGE "/%s/free_hugepages", name);
    size_kib = g_ascii_strtoull(name + strlen("hugepages-"), NULL, 10);
    if (size_kib == 0) {
        return;
    }
    size = format_kib(size_kib);
    g_string_append_printf(huge->found, "%s%s pages: ",
                           huge->found->len ? "; " : "", size);
    if (total > 0) {
        g_string_append_printf(huge->found, "%" PRIu64 ", %" PRIu64 " free",
                               total, unused);
        add_on_nodes(d, m, size_kib, huge);
    } else {
        g_string_append(huge->found, "none");
    }
    huge->total += total;
    huge->free += unused;
    huge->size_kib = huge->size_kib ? MIN(huge->size_kib, size_kib) : size_kib;
}

#define SMALL_PAGES_COST \
    "5 to 20 % of a copy for address translation; 0.3 to 1 s per GiB of a " \
    "guest until each page was touched once"

static void advise_huge(DoctorPoint *p, const Memory *m, const Huge *huge)
{
    uint64_t pages = MAX(EXAMPLE_KIB / huge->size_kib, 1);
    g_autofree char *size = format_kib(huge->size_kib);
    g_autofree char *example = format_kib(pages * huge->size_kib);

    p->advice = g_strdup_printf(
        "%" PRIu64 " of %s are %s: take the sum of all guests; give QEMU's "
        "memory-backend-memfd hugetlb=on", pages, size, example);
    if (CPU_COUNT(&m->nodes) > 1 && CPU_COUNT(&m->own) == 1) {
        g_autofree char *node = doctor_format_cpus(&m->own);

        p->run = g_strdup_printf(
            "echo %" PRIu64 " | tee " DOCTOR_NODE "/node%s/hugepages/*-%"
            PRIu64 "kB/nr*", pages, node, huge->size_kib);
        return;
    }
    p->run = g_strdup_printf("echo %" PRIu64 " > " HUGE "/hugepages-%" PRIu64
                             "kB/nr_hugepages", pages, huge->size_kib);
    p->boot = huge->size_kib % 1024 ? NULL :
        g_strdup_printf("hugepagesz=%" PRIu64 "M hugepages=%" PRIu64,
                        huge->size_kib / 1024, pages);
}

static void say_huge(DoctorPoint *p, const Memory *m, const Huge *huge)
{
    g_autofree char *small = format_kib(m->guests_small_kib);

    if (!huge->size_kib) {
        doctor_found(p, DOCTOR_UNKNOWN, HUGE " shows no size of pages");
    } else if (huge->total == 0) {
        doctor_found(p, DOCTOR_COSTS, "%s", huge->found->str);
        p->cost = g_strdup(SMALL_PAGES_COST);
        advise_huge(p, m, huge);
    } else if (m->guests_small_kib > 0) {
        doctor_found(p, DOCTOR_COSTS, "%s; but %s of guests' memory are not "
                     "in huge pages", huge->found->str, small);
        p->cost = g_strdup(SMALL_PAGES_COST);
        p->advice = g_strdup("give QEMU's memory-backend-memfd hugetlb=on");
    } else if (huge->knows_own && huge->own_total == 0) {
        doctor_found(p, DOCTOR_COSTS, "%s; none on the node of these CPUs",
                     huge->found->str);
        p->cost = g_strdup("each copy crosses nodes: 30 to 50 % slower");
        advise_huge(p, m, huge);
    } else if (huge->free == 0) {
        doctor_found(p, DOCTOR_NOTE, "%s", huge->found->str);
        p->cost = g_strdup("nothing for those who have them; the next guest "
                           "with hugetlb=on does not start");
        advise_huge(p, m, huge);
    } else {
        doctor_found(p, DOCTOR_OK, "%s", huge->found->str);
    }
}

static void look_at_huge(Doctor *d, const Memory *m, Huge *huge)
{
    DoctorPoint *p = doctor_point(d, GROUP, "hugepages");
    g_autoptr(GPtrArray) sizes = doctor_list(d, HUGE);

    for (unsigned i = 0; i < sizes->len; i++) {
        add_size(d, m, g_ptr_array_index(sizes, i), huge);
    }
    say_huge(p, m, huge);
}

/* -- Transparent huge pages ------------------------------------------------ */

/* The word in brackets: "always [madvise] never". */
static char *chosen(char *text)
{
    char *from = text ? strchr(text, '[') : NULL;
    char *to = from ? strchr(from, ']') : NULL;
    char *word = to ? g_strndup(from + 1, to - from - 1) : NULL;

    g_free(text);
    return word;
}

static void look_at_thp(Doctor *d, const Huge *huge)
{
    DoctorPoint *p = doctor_point(d, GROUP, "thp");
    g_autofree char *private = chosen(doctor_read(d, THP "/enabled"));
    g_autofree char *shared = chosen(doctor_read(d, THP "/shmem_enabled"));

    if (!private) {
        doctor_found(p, DOCTOR_UNKNOWN, THP "/enabled cannot be read");
        return;
    }
    doctor_found(p, DOCTOR_NOTE, "%s, for shared memory %s", private,
                 shared ? shared : "unknown");
    if (!strcmp(private, "always")) {
        p->cost = g_strdup("threads stop for 0.1 to 10 ms while the kernel "
                           "makes room for huge pages nobody asked for");
        p->run = g_strdup("echo madvise > " THP "/enabled");
        p->boot = g_strdup("transparent_hugepage=madvise");
    } else if (huge->total == 0 && shared &&
               (!strcmp(shared, "never") || !strcmp(shared, "deny"))) {
        p->cost = g_strdup("guests without hugetlb=on have small pages: see "
                           "hugepages");
        p->run = g_strdup("echo advise > " THP "/shmem_enabled");
    } else {
        p->verdict = DOCTOR_OK;
    }
}

/* -- Locking --------------------------------------------------------------- */

/* What follows @key and blanks in a line of @text, or NULL. */
static const char *line_value(const char *text, const char *key)
{
    const char *at = text ? strstr(text, key) : NULL;

    return at ? at + strlen(key) + strspn(at + strlen(key), " ") : NULL;
}

static void look_at_memlock(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, GROUP, "memlock");
    bool daemon = !d->daemon->silent;
    const char *whose = daemon ? "the daemon" : "this shell";
    g_autofree char *process = daemon ?
        g_strdup_printf("/proc/%u", d->daemon->pid) : g_strdup("/proc/self");
    g_autofree char *limits = doctor_read(d, "%s/limits", process);
    g_autofree char *status = doctor_read(d, "%s/status", process);
    const char *limit = line_value(limits, "Max locked memory");
    const char *caps = line_value(status, "CapEff:");
    g_autofree char *size = NULL;

    if (caps && g_ascii_strtoull(caps, NULL, 16) >> CAP_IPC_LOCK_BIT & 1) {
        doctor_found(p, DOCTOR_OK, "%s may lock all (CAP_IPC_LOCK)", whose);
    } else if (!limit) {
        doctor_found(p, DOCTOR_UNKNOWN, "%s/limits cannot be read", process);
    } else if (g_str_has_prefix(limit, "unlimited")) {
        doctor_found(p, DOCTOR_OK, "%s may lock all (ulimit -l)", whose);
    } else {
        size = format_kib(g_ascii_strtoull(limit, NULL, 10) / 1024);
        doctor_found(p, DOCTOR_NOTE, "%s may lock %s", whose, size);
        p->cost = g_strdup("a guest with -overcommit mem-lock=on or a VFIO "
                           "device does not start; what is in small pages may "
                           "be swapped out: 0.1 to 10 ms per page");
        p->advice = g_strdup("USER is who QEMU runs as; from the next login "
                             "on. For a service: LimitMEMLOCK=infinity");
        p->run = g_strdup("echo 'USER - memlock unlimited' "
                          ">/etc/security/limits.d/90-vus.conf");
    }
}

/* -- NUMA ------------------------------------------------------------------ */

#define REMOTE_COST \
    "50 to 100 ns more for each line that is not in a cache: copies are 30 " \
    "to 50 % slower"

static char *name_nodes(const cpu_set_t *nodes)
{
    g_autofree char *list = doctor_format_cpus(nodes);

    return g_strconcat(CPU_COUNT(nodes) == 1 ? "node " : "nodes ", list, NULL);
}

static char *share_guests(const Memory *m)
{
    GString *text = g_string_new(NULL);

    for (unsigned node = 0; node < MAX_NODES; node++) {
        if (m->node_kib[node] > 0) {
            g_autofree char *size = format_kib(m->node_kib[node]);

            g_string_append_printf(text, "%s%s on node %u",
                                   text->len ? ", " : "", size, node);
        }
    }
    return g_string_free(text, false);
}

static void say_numa(const Doctor *d, DoctorPoint *p, const Memory *m)
{
    g_autofree char *own = name_nodes(&m->own);
    g_autofree char *list = doctor_format_cpus(&m->own);
    g_autofree char *guests = share_guests(m);

    p->cost = g_strdup(REMOTE_COST);
    if (d->choice == DOCTOR_ALL || CPU_COUNT(&m->own) > 1) {
        doctor_found(p, DOCTOR_NOTE, "%d nodes, these CPUs are on %s",
                     CPU_COUNT(&m->nodes), own);
        p->advice = g_strdup("keep workers, vCPUs and memory of guests that "
                             "talk to each other on one node");
        return;
    }
    p->advice = g_strdup_printf("give QEMU's memory-backend-memfd "
                                "host-nodes=%s,policy=bind", list);
    if (!m->knows_guests) {
        doctor_found(p, DOCTOR_UNKNOWN, "these CPUs are on %s of %d; where "
                     "guests' memory is cannot be seen", own,
                     CPU_COUNT(&m->nodes));
    } else if (m->remote_kib > 0) {
        doctor_found(p, DOCTOR_COSTS, "workers on %s; of guests %s", own,
                     guests);
    } else {
        doctor_found(p, DOCTOR_OK, "workers on %s; of guests %s", own,
                     *guests ? guests : "nothing yet");
        g_clear_pointer(&p->advice, g_free);
        g_clear_pointer(&p->cost, g_free);
    }
}

static void look_at_numa(Doctor *d, const Memory *m)
{
    DoctorPoint *p = doctor_point(d, GROUP, "numa");

    if (CPU_COUNT(&m->nodes) == 0) {
        doctor_found(p, DOCTOR_UNKNOWN, DOCTOR_NODE "/online cannot be read");
    } else if (CPU_COUNT(&m->nodes) == 1) {
        doctor_found(p, DOCTOR_OK, "one node");
    } else if (CPU_COUNT(&m->own) == 0) {
        doctor_found(p, DOCTOR_UNKNOWN, "%d nodes; which one these CPUs are "
                     "on cannot be read", CPU_COUNT(&m->nodes));
    } else {
        say_numa(d, p, m);
    }
}

void doctor_look_at_memory(Doctor *d)
{
    g_autofree Memory *m = g_new0(Memory, 1);
    Huge huge = { .found = g_string_new(NULL) };

    read_nodes(d, m);
    read_guests(d, m);
    look_at_huge(d, m, &huge);
    look_at_thp(d, &huge);
    look_at_memlock(d);
    look_at_numa(d, m);
    g_string_free(huge.found, true);
}
