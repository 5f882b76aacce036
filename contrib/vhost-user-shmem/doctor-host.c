/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "doctor-impl.h"
#include "parse.h"

#define MAX_BYTES (1024 * 1024)

/* -- Files ----------------------------------------------------------------- */

char *doctor_path(const Doctor *d, const char *path)
{
    return g_build_filename(d->root, path, NULL);
}

/* It is shown on terminals and in JSON. */
static void make_printable(char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\t') {
            text[i] = ' ';
        } else if (text[i] != '\n' && !g_ascii_isprint(text[i])) {
            text[i] = '?';
        }
    }
}

static char *read_path(const Doctor *d, const char *path)
{
    g_autofree char *full = doctor_path(d, path);
    /* A pipe in a copied tree is not waited for. */
    int fd = open(full, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    g_autofree char *text = NULL;
    size_t bytes = 0;
    ssize_t got;

    if (fd < 0) {
        return NULL;
    }
    text = g_malloc(MAX_BYTES + 1);
    while ((got = read(fd, text + bytes, MAX_BYTES - bytes)) > 0) {
        bytes += got;
    }
    close(fd);
    if (got < 0) {
        return NULL;
    }
    make_printable(text, bytes);
    text[bytes] = '\0';
    return g_strdup(g_strstrip(text));
}

char *doctor_read(const Doctor *d, const char *format, ...)
{
    g_autofree char *path = NULL;
    va_list args;

    va_start(args, format);
    path = g_strdup_vprintf(format, args);
    va_end(args);
    return read_path(d, path);
}

bool doctor_read_number(const Doctor *d, uint64_t *to, const char *format, ...)
{
    g_autofree char *path = NULL, *text = NULL;
    va_list args;

    va_start(args, format);
    path = g_strdup_vprintf(format, args);
    va_end(args);
    text = read_path(d, path);
    return text && g_ascii_string_to_unsigned(text, 10, 0, UINT64_MAX, to,
                                              NULL);
}

bool doctor_read_cpus(const Doctor *d, cpu_set_t *to, const char *format, ...)
{
    g_autofree char *path = NULL, *text = NULL;
    va_list args;

    va_start(args, format);
    path = g_strdup_vprintf(format, args);
    va_end(args);
    text = read_path(d, path);
    return text && doctor_parse_cpus(text, &d->online, to);
}

static int compare_names(const void *one, const void *other)
{
    return strverscmp(*(char *const *)one, *(char *const *)other);
}

GPtrArray *doctor_list(const Doctor *d, const char *path)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *full = doctor_path(d, path);
    g_autoptr(GDir) dir = g_dir_open(full, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        char *copy = g_strdelimit(g_strdup(name), "\n", '?');

        make_printable(copy, strlen(copy));
        g_ptr_array_add(names, copy);
    }
    g_ptr_array_sort(names, compare_names);
    return names;
}

char *doctor_boot_value(const Doctor *d, const char *key)
{
    g_auto(GStrv) word = g_strsplit(d->cmdline ? d->cmdline : "", " ", -1);
    size_t bytes = strlen(key);
    const char *value = NULL;

    /* What follows "--" is for the first process. */
    for (unsigned i = 0; word[i] && strcmp(word[i], "--"); i++) {
        if (!strncmp(word[i], key, bytes)) {
            value = word[i][bytes] == '=' ? word[i] + bytes + 1 :
                    word[i][bytes] == '\0' ? "" : value;
        }
    }
    return g_strdup(value);
}

bool doctor_cpu_flag(const Doctor *d, const char *flag, bool *known)
{
    g_autofree char *info = doctor_read(d, "/proc/cpuinfo");
    const char *line = info ? strstr(info, "\nflags") : NULL;
    const char *text = line ? strchr(line, ':') : NULL;
    g_autofree char *flags = NULL;
    g_auto(GStrv) word = NULL;

    *known = text != NULL;
    if (!text) {
        return false;
    }
    flags = g_strndup(text + 1, strcspn(text, "\n") - 1);
    word = g_strsplit(flags, " ", -1);
    return g_strv_contains((const char *const *)word, flag);
}

/* -- CPUs ------------------------------------------------------------------ */

static unsigned last_cpu(const cpu_set_t *online)
{
    unsigned last = 0;

    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, online)) {
            last = cpu;
        }
    }
    return last;
}

/* A number, or N; *@text is behind it afterwards. */
static bool take_cpu(const char **text, unsigned last, unsigned *to)
{
    const char *p = *text;

    if (*p == 'N') {
        *text = p + 1;
        *to = last;
        return true;
    }
    for (*to = 0; g_ascii_isdigit(*p) && *to < CPU_SETSIZE; p++) {
        *to = *to * 10 + (*p - '0');
    }
    if (p == *text || *to >= CPU_SETSIZE) {
        return false;
    }
    *text = p;
    return true;
}

/* "4", "4-7", "0-15:1/2" (the first 1 of each 2). */
static bool add_range(const char *text, unsigned last, cpu_set_t *to)
{
    unsigned from, until, used = 1, of = 1;

    if (!take_cpu(&text, last, &from)) {
        return false;
    }
    until = from;
    if (*text == '-' && (text++, !take_cpu(&text, last, &until))) {
        return false;
    }
    if (*text == ':' &&
        (text++, !take_cpu(&text, last, &used) || *text++ != '/' ||
         !take_cpu(&text, last, &of))) {
        return false;
    }
    if (*text || until < from || of == 0) {
        return false;
    }
    for (unsigned cpu = from; cpu <= until; cpu++) {
        if ((cpu - from) % of < used) {
            CPU_SET(cpu, to);
        }
    }
    return true;
}

bool doctor_parse_cpus(const char *text, const cpu_set_t *online,
                       cpu_set_t *to)
{
    g_auto(GStrv) part = g_strsplit(text, ",", -1);
    unsigned last = last_cpu(online);

    CPU_ZERO(to);
    for (unsigned i = 0; part[i]; i++) {
        const char *range = !strcmp(part[i], "all") ? "0-N" : part[i];

        if (!add_range(range, last, to)) {
            return false;
        }
    }
    return true;
}

char *doctor_format_cpus(const cpu_set_t *cpus)
{
    unsigned number[CPU_SETSIZE], n = 0;

    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, cpus)) {
            number[n++] = cpu;
        }
    }
    return format_ranges(number, n);
}

char *doctor_name_cpus(const cpu_set_t *cpus)
{
    g_autofree char *list = doctor_format_cpus(cpus);

    return g_strconcat(CPU_COUNT(cpus) == 1 ? "CPU " : "CPUs ", list, NULL);
}

cpu_set_t doctor_without(const cpu_set_t *of, const cpu_set_t *without)
{
    cpu_set_t rest;

    CPU_AND(&rest, of, without);
    CPU_XOR(&rest, &rest, of);
    return rest;
}

char *doctor_list_to_write(const Doctor *d)
{
    return d->choice == DOCTOR_ALL ? g_strdup("LIST") :
                                     doctor_format_cpus(&d->watched);
}

/* -- Shares ---------------------------------------------------------------- */

static void free_share(void *opaque)
{
    DoctorShare *share = opaque;

    g_free(share->value);
    g_free(share);
}

GPtrArray *doctor_shares_new(void)
{
    return g_ptr_array_new_with_free_func(free_share);
}

void doctor_shares_add(GPtrArray *shares, const char *value, unsigned cpu)
{
    DoctorShare *share;

    for (unsigned i = 0; i < shares->len; i++) {
        share = g_ptr_array_index(shares, i);
        if (!strcmp(share->value, value)) {
            CPU_SET(cpu, &share->cpus);
            return;
        }
    }
    share = g_new0(DoctorShare, 1);
    share->value = g_strdup(value);
    CPU_SET(cpu, &share->cpus);
    g_ptr_array_add(shares, share);
}

char *doctor_shares_text(const GPtrArray *shares)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < shares->len; i++) {
        const DoctorShare *share = g_ptr_array_index(shares, i);
        g_autofree char *cpus = doctor_name_cpus(&share->cpus);

        g_string_append_printf(text, "%s%s: %s", i ? "; " : "", cpus,
                               share->value);
    }
    return g_string_free(text, false);
}

/* -- Points ---------------------------------------------------------------- */

const char *doctor_verdict_name(DoctorVerdict verdict)
{
    static const char *const name[DOCTOR_VERDICTS] = {
        [DOCTOR_OK] = "ok",
        [DOCTOR_NOTE] = "note",
        [DOCTOR_COSTS] = "costs",
        [DOCTOR_UNKNOWN] = "unknown",
    };

    return name[verdict];
}

static void free_point(void *opaque)
{
    DoctorPoint *p = opaque;

    g_free(p->found);
    g_free(p->cost);
    g_free(p->advice);
    g_free(p->run);
    g_free(p->boot);
    g_free(p);
}

DoctorPoint *doctor_point(Doctor *d, const char *group, const char *name)
{
    DoctorPoint *p = g_new0(DoctorPoint, 1);

    p->group = group;
    p->name = name;
    p->verdict = DOCTOR_UNKNOWN;
    g_ptr_array_add(d->points, p);
    return p;
}

void doctor_found(DoctorPoint *p, DoctorVerdict verdict, const char *format,
                  ...)
{
    va_list args;

    g_free(p->found);
    p->verdict = verdict;
    va_start(args, format);
    p->found = g_strdup_vprintf(format, args);
    va_end(args);
    g_strdelimit(p->found, "\n", ' ');      /* a file may have more lines */
}

/* -- All together ---------------------------------------------------------- */

/* Set aside at boot, or since then by a cgroup. */
static void read_isolated(Doctor *d)
{
    cpu_set_t at_boot, by_cgroup;
    g_autofree char *text = doctor_read(d, DOCTOR_CPU "/isolated");

    CPU_ZERO(&at_boot);
    d->knows_isolated = text && doctor_parse_cpus(text, &d->online, &at_boot);
    d->isolated = at_boot;
    if (doctor_read_cpus(d, &by_cgroup,
                         "/sys/fs/cgroup/cpuset.cpus.isolated")) {
        CPU_OR(&d->isolated, &at_boot, &by_cgroup);
    }
}

static void choose_cpus(Doctor *d)
{
    const SwitchConfig *cfg = d->daemon->cfg;

    if (!d->daemon->silent && cfg->cpus > 0) {
        d->choice = DOCTOR_PINNED;
        /* Worker i is on the i-th. */
        for (unsigned i = 0; i < MIN(cfg->cpus, cfg->workers); i++) {
            CPU_SET(cfg->cpu[i], &d->watched);
        }
    } else if (CPU_COUNT(&d->isolated) > 0) {
        d->choice = DOCTOR_ISOLATED;
        d->watched = d->isolated;
    } else {
        d->choice = DOCTOR_ALL;
        d->watched = d->online;
    }
}

GPtrArray *doctor_look(const char *root, const DoctorDaemon *daemon)
{
    Doctor d = {
        .root = root,
        .daemon = daemon,
        .rt_priority = daemon->silent ? 0 : daemon->cfg->rt_priority,
        .points = g_ptr_array_new_with_free_func(free_point),
    };

    d.cmdline = doctor_read(&d, "/proc/cmdline");
    if (!doctor_read_cpus(&d, &d.online, DOCTOR_CPU "/online")) {
        CPU_ZERO(&d.online);
    }
    read_isolated(&d);
    choose_cpus(&d);
    doctor_look_at_isolation(&d);
    doctor_look_at_cpu(&d);
    doctor_look_at_mitigations(&d);
    doctor_look_at_memory(&d);
    doctor_look_at_kernel(&d);
    g_free(d.cmdline);
    return d.points;
}
