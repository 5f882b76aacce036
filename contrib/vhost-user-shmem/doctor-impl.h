/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the doctor's parts share: files of the host, sets of CPUs, points.
 *
 * Threads: as in doctor.h.
 */
#ifndef VUS_DOCTOR_IMPL_H
#define VUS_DOCTOR_IMPL_H

#include <sched.h>

#include "doctor.h"

#define DOCTOR_CPU "/sys/devices/system/cpu"
#define DOCTOR_NODE "/sys/devices/system/node"

typedef enum DoctorChoice {
    DOCTOR_PINNED,              /* the workers' */
    DOCTOR_ISOLATED,            /* those that are set aside for somebody */
    DOCTOR_ALL,
} DoctorChoice;

/* Filled before any point is looked at. */
typedef struct Doctor {
    const char *root;
    const DoctorDaemon *daemon;
    unsigned rt_priority;       /* of workers; 0: none, or unknown */
    char *cmdline;              /* of the kernel, or NULL */
    cpu_set_t online;           /* empty: unknown */
    cpu_set_t isolated;
    bool knows_isolated;
    cpu_set_t watched;          /* whose state matters */
    DoctorChoice choice;        /* why these */
    GPtrArray *points;
} Doctor;

/* -- Files ----------------------------------------------------------------- */

/* At most 1 MiB, without blanks around, nothing but printable ASCII and
 * newlines; NULL: it cannot be read.  The caller frees it. */
char *doctor_read(const Doctor *d, const char *format, ...)
    G_GNUC_PRINTF(2, 3);
bool doctor_read_number(const Doctor *d, uint64_t *to, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
bool doctor_read_cpus(const Doctor *d, cpu_set_t *to, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The caller frees it. */
char *doctor_path(const Doctor *d, const char *path);

/* Names in a directory, numbers in order; none if it cannot be read. */
GPtrArray *doctor_list(const Doctor *d, const char *path);

/* Value of the last @key= of the kernel's command line, "" for @key alone;
 * NULL: there is none. */
char *doctor_boot_value(const Doctor *d, const char *key);

/* Has the CPU @flag?  False with *@known false: that cannot be read. */
bool doctor_cpu_flag(const Doctor *d, const char *flag, bool *known);

/* -- CPUs ------------------------------------------------------------------ */

/* "0-3,8", "all", "4-N", "0-15:1/2" as the kernel takes them; false: it is no
 * such list.  N, and all, end with the last of @online. */
bool doctor_parse_cpus(const char *text, const cpu_set_t *online,
                       cpu_set_t *to);
char *doctor_format_cpus(const cpu_set_t *cpus);        /* "0-3,8" */
char *doctor_name_cpus(const cpu_set_t *cpus);          /* "CPUs 0-3,8" */

/* @of without @without. */
cpu_set_t doctor_without(const cpu_set_t *of, const cpu_set_t *without);

/* @watched as a list for a fix; "LIST" if nobody has chosen CPUs yet. */
char *doctor_list_to_write(const Doctor *d);

/* A value and the CPUs that have it. */
typedef struct DoctorShare {
    char *value;
    cpu_set_t cpus;
} DoctorShare;

GPtrArray *doctor_shares_new(void);
void doctor_shares_add(GPtrArray *shares, const char *value, unsigned cpu);
char *doctor_shares_text(const GPtrArray *shares);

/* -- Points ---------------------------------------------------------------- */

DoctorPoint *doctor_point(Doctor *d, const char *group, const char *name);

void doctor_found(DoctorPoint *p, DoctorVerdict verdict, const char *format,
                  ...) G_GNUC_PRINTF(3, 4);

/* -- Parts ----------------------------------------------------------------- */

void doctor_look_at_isolation(Doctor *d);
void doctor_look_at_cpu(Doctor *d);
void doctor_look_at_mitigations(Doctor *d);
void doctor_look_at_memory(Doctor *d);
void doctor_look_at_kernel(Doctor *d);

#endif
