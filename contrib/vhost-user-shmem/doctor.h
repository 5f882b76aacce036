/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is this host fit for guests that exchange packets in time?  Each point says
 * what is there, what that costs, and the line that changes it.
 *
 * All is read below a root directory, so that a copy of another host's /proc
 * and /sys can be looked at, or one that a test has made up.  Nothing is
 * written.  What is missing there makes a point unknown; nothing is an error.
 *
 * Threads: any.
 */
#ifndef VUS_DOCTOR_H
#define VUS_DOCTOR_H

#include "switch.h"

/* What is known of the daemon. */
typedef struct DoctorDaemon {
    const char *silent;         /* why that is nothing, or NULL */
    unsigned pid;
    const SwitchConfig *cfg;
} DoctorDaemon;

typedef enum DoctorVerdict {
    DOCTOR_OK,
    DOCTOR_NOTE,                /* costs in some cases, or something else */
    DOCTOR_COSTS,
    DOCTOR_UNKNOWN,
    DOCTOR_VERDICTS,
} DoctorVerdict;

const char *doctor_verdict_name(DoctorVerdict verdict);

typedef struct DoctorPoint {
    const char *group;          /* points of a group stand together */
    const char *name;
    DoctorVerdict verdict;
    char *found;
    /* NULL: there is nothing to say. */
    char *cost;
    char *advice;
    char *run;                  /* a line for the shell: now */
    char *boot;                 /* for the kernel's command line: for ever */
} DoctorPoint;

/* All points, of DoctorPoint; the caller drops the reference. */
GPtrArray *doctor_look(const char *root, const DoctorDaemon *daemon);

#endif
