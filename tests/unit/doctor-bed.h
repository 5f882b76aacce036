/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts for the doctor: made-up trees, and what it says of them.
 *
 * Threads: single.
 */
#ifndef DOCTOR_BED_H
#define DOCTOR_BED_H

#include "doctor.h"

/* -- Trees ----------------------------------------------------------------- */

#define CPU "/sys/devices/system/cpu"
#define NODE "/sys/devices/system/node"
#define DEBUG "/sys/kernel/debug/sched"
#define CLOCK "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define MEMFD "7f00 default file=/memfd:ram\\040(deleted) "

typedef struct File {
    const char *path, *text;
} File;

/* All is right.  Four CPUs, the last two for workers; process 77 is the
 * daemon. */
extern const File tuned[];
extern const unsigned tuned_files;

/* A directory with none of that, or with all. */
char *tree_new(void);
char *tree_tuned(void);
void tree_free(char *root);

/* @text NULL: remove it. */
void put(const char *root, const char *path, const char *text);

/* -- Daemons --------------------------------------------------------------- */

extern const DoctorDaemon running;      /* two workers, on the last two CPUs */
extern const DoctorDaemon silent;

/* -- Points ---------------------------------------------------------------- */

#define POINTS 20

/* doctor_look(), and that what holds for every point of every host does. */
GPtrArray *look(const char *root, const DoctorDaemon *daemon);

const DoctorPoint *find(const GPtrArray *points, const char *name);

/* @part is in what @p has found, or in what it says against it: as
 * "FOUND|COST|RUN|BOOT|ADVICE". */
void assert_says(const DoctorPoint *p, DoctorVerdict verdict,
                 const char *part);

/* All but the one named @but, or NULL. */
void assert_rest(const GPtrArray *points, DoctorVerdict verdict,
                 const char *but);

#endif
