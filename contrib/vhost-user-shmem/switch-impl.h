/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A switch from within.
 *
 * Threads: the control thread.
 */
#ifndef VUS_SWITCH_IMPL_H
#define VUS_SWITCH_IMPL_H

#include "worker.h"

struct Switch {
    SwitchConfig cfg;
    Datapath dp;
    unsigned workers;
    Worker *worker[SWITCH_MAX_WORKERS];
    Forwarder *own;                 /* for what the control thread sends */
    GPtrArray *ports;               /* in the order in which they were added */
    Port *by_id[SWITCH_MAX_PORTS];
    guint tick_source, broken_source;
};

#define SET_ERROR(error, ...) \
    g_set_error(error, SWITCH_ERROR, 0, __VA_ARGS__)

/* Of port @id, by all who forward, since the start. */
void switch_sum_counters(const Switch *sw, unsigned id, PortCounters *sum);

#endif
