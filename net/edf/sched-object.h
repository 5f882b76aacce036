/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object edf-scheduler: options of an EdfSched, and its name.
 */
#ifndef NET_EDF_SCHED_OBJECT_H
#define NET_EDF_SCHED_OBJECT_H

#include "net/edf/sched.h"

#define TYPE_EDF_SCHEDULER "edf-scheduler"

/* The scheduler of that id, or NULL with @errp set. */
EdfSched *edf_scheduler_find(const char *id, Error **errp);

#endif
