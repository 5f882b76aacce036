/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel does against leaks through the CPU, and what that costs.
 *
 * A worker that polls enters the kernel hardly ever; who pays is what waits:
 * kicks, wake-ups, TAPs, and each exit of a vCPU.
 *
 * Threads: as in doctor.h.
 */
#include <string.h>

#include "doctor-impl.h"

#define VULNERABILITIES DOCTOR_CPU "/vulnerabilities"

typedef struct Mitigation {
    const char *file;
    const char *sign;           /* in what the file says */
    const char *cost;           /* each time */
    bool heavy;                 /* it can be seen in a packet's way */
} Mitigation;

static const Mitigation mitigations[] = {
    { "meltdown", "PTI", "0.1 to 0.4 us", true },
    { "mds", "Clear CPU buffers", "0.2 to 0.5 us", true },
    { "tsx_async_abort", "Clear CPU buffers", "0.2 to 0.5 us", true },
    { "mmio_stale_data", "Clear CPU buffers", "0.2 to 0.5 us", true },
    { "reg_file_data_sampling", "Clear Register File", "0.1 to 0.5 us", true },
    { "tsa", "Clear CPU buffers", "0.1 to 0.5 us", true },
    { "l1tf", "cache flushes", "1 to 10 us when a vCPU goes on", true },
    { "retbleed", "Mitigation: IBRS", "0.2 to 0.5 us", true },
    { "retbleed", "untrained return thunk", "0.1 to 0.3 us", true },
    { "retbleed", "Stuffing", "0.1 to 0.2 us", true },
    { "spec_rstack_overflow", "Mitigation: Safe RET", "0.1 to 0.3 us", true },
    { "spec_rstack_overflow", "Mitigation: IBPB", "1 to 5 us", true },
    { "vmscape", "IBPB", "1 to 2 us when a vCPU exits to QEMU", true },
    { "spectre_v2", "Mitigation: IBRS", "0.2 to 0.5 us", true },
    { "spectre_v2", "BHI: SW loop", "0.05 to 0.1 us", false },
    { "spectre_v2", "Retpolines", "some per cent of the kernel's time",
      false },
    { "indirect_target_selection", "Aligned branch",
      "some per cent of the kernel's time", false },
    { "itlb_multihit", "Split huge pages", "some per cent of a guest's time",
      false },
};

static void append(GString *list, const char *format, const char *name,
                   const char *more)
{
    g_string_append(list, list->len ? ", " : "");
    g_string_append_printf(list, format, name, more);
}

typedef struct Found {
    unsigned files;
    bool heavy;
    GString *names, *costs, *open;
} Found;

static void look_at_file(const Doctor *d, const char *file, Found *found)
{
    g_autofree char *text = doctor_read(d, VULNERABILITIES "/%s", file);
    bool named = false;

    if (!text) {
        return;
    }
    found->files++;
    if (strstr(text, "Vulnerable")) {
        append(found->open, "%s%s", file, "");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(mitigations); i++) {
        const Mitigation *m = &mitigations[i];

        /* "Vulnerable: Clear CPU buffers attempted" is paid for, too. */
        if (strcmp(m->file, file) || !strstr(text, m->sign)) {
            continue;
        }
        if (!named) {
            append(found->names, "%s%s", file, "");
        }
        named = true;
        append(found->costs, "%s %s", file, m->cost);
        found->heavy |= m->heavy;
    }
}

static void say(DoctorPoint *p, const Found *found)
{
    const char *open = found->open->str, *names = found->names->str;

    if (found->files == 0) {
        doctor_found(p, DOCTOR_UNKNOWN, VULNERABILITIES " cannot be read");
        return;
    }
    if (!*open && !*names) {
        doctor_found(p, DOCTOR_OK, "none that costs");
        return;
    }
    doctor_found(p, found->heavy ? DOCTOR_COSTS : DOCTOR_NOTE, "%s%s%s%s%s",
                 *names ? "against " : "", names, *names && *open ? "; " : "",
                 *open ? "not, or not fully, against " : "", open);
    if (!*names) {
        p->cost = g_strdup("no time, but a guest may read what is not its "
                           "own");
        p->advice = g_strdup("right only if you trust every guest; else boot "
                             "without mitigations=off, with new microcode");
        return;
    }
    p->cost = g_strdup_printf("per system call, interrupt and exit of a vCPU, "
                              "not per packet of a worker that polls: %s",
                              found->costs->str);
    p->advice = g_strdup("only if you trust every guest and program here, for "
                         "it opens the host to them");
    p->boot = g_strdup("mitigations=off");
}

void doctor_look_at_mitigations(Doctor *d)
{
    DoctorPoint *p = doctor_point(d, "cpu", "mitigations");
    g_autoptr(GPtrArray) files = doctor_list(d, VULNERABILITIES);
    Found found = {
        .names = g_string_new(NULL),
        .costs = g_string_new(NULL),
        .open = g_string_new(NULL),
    };

    for (unsigned i = 0; i < files->len; i++) {
        look_at_file(d, g_ptr_array_index(files, i), &found);
    }
    say(p, &found);
    g_string_free(found.names, true);
    g_string_free(found.costs, true);
    g_string_free(found.open, true);
}
