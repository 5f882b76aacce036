/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that polls ingress queues, and sleeps when nothing comes.
 *
 * It serves its queues in turn, a burst of each, and in between those of guests
 * that send with deadlines and the links whose time has come (schedule.h); it is
 * inside RCU from one turn to the next.
 * After idle_us without a frame it asks the queues to wake it, looks once more,
 * and sleeps outside RCU: nobody waits for a worker that sleeps.
 *
 * Threads: the control thread, except where it says otherwise.
 */
#ifndef VUS_WORKER_H
#define VUS_WORKER_H

#include "datapath.h"

typedef struct Worker Worker;

/* Starts the thread.  @cpu < 0: wherever the kernel likes.  NULL with @error
 * set: the kernel refused. */
Worker *worker_new(Datapath *dp, unsigned index, int cpu, unsigned rt_priority,
                   unsigned idle_us, GError **error);

/* Ends it; all ports are still. */
void worker_free(Worker *w);

/* How many queues it serves. */
unsigned worker_load(const Worker *w);

/*
 * Serve queue @queue of port @port from now on, and if @urgent, in between the
 * bursts of others, too.  It starts when the port is published and
 * worker_wake() was called.
 */
void worker_add_queue(Worker *w, unsigned port, unsigned queue, bool urgent,
                      int wake_fd);

/* And the queue for what leaves by port @port.  Returns who sleeps when nothing
 * waits there. */
Sleeper *worker_add_link(Worker *w, unsigned port);

/* The same for what waits for the link of a tenant. */
Sleeper *worker_add_tenant(Worker *w, unsigned tenant);
void worker_remove_tenant(Worker *w, unsigned tenant);

/* All queues of a port.  The thread may serve them until a grace period has
 * passed; their fds may be closed then. */
void worker_remove_port(Worker *w, unsigned port);

void worker_wake(Worker *w);

void worker_status(const Worker *w, WorkerStatus *status);
const PortCounters *worker_counters(const Worker *w, unsigned port);

#endif
