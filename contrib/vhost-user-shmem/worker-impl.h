/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker from within: what its thread (worker-poll.c) and the control thread
 * (worker.c) share.
 *
 * Threads: the group of fields says it.
 */
#ifndef VUS_WORKER_IMPL_H
#define VUS_WORKER_IMPL_H

#include <pthread.h>
#include <semaphore.h>

#include "worker.h"

#define WORKER_MAX_QUEUES (SWITCH_MAX_PORTS * PORT_MAX_QUEUES)

/* What an event of epoll says that is of no queue. */
#define WORKER_NO_QUEUE UINT32_MAX

typedef struct QueueWake {
    int fd;                         /* -1: it has none */
    bool in_epoll;
} QueueWake;

/* Queues; an entry is a port's id and a queue.  What it finds there may be
 * nothing. */
typedef struct QueueList {
    unsigned n;
    uint32_t entry[WORKER_MAX_QUEUES];
} QueueList;

struct Worker {
    /* Its own thread's. */
    Forwarder *fw;
    uint64_t polls, busy_polls, sleeps, pkts;   /* others read them */
    unsigned first;                 /* of queues: a turn begins with it */
    unsigned next_urgent;
    bool asked;                     /* queues are to wake it */
    unsigned empty_turns;
    int64_t idle_since_us;

    /* Set before it starts. */
    Datapath *dp;
    int cpu;
    int64_t idle_us;
    int epoll_fd;
    Sleeper sleeper;
    pthread_t thread;
    sem_t begun;                    /* it has what it keeps, and no more */
    GError *refused;                /* before that: it does not begin */

    /* Written by the control thread; atomic. */
    bool stop;
    unsigned blind_queues;
    QueueList queues;
    QueueList urgent;               /* of those, what may have deadlines */
    unsigned links;
    uint16_t link[SWITCH_MAX_PORTS];    /* ids of ports with a queue */
    unsigned tenants;
    uint16_t tenant[SWITCH_MAX_TENANTS];    /* ids of tenants with a link */

    /* The control thread's. */
    QueueWake wake[WORKER_MAX_QUEUES];  /* of queues */
};

static inline uint32_t worker_entry(unsigned port, unsigned queue)
{
    return port * PORT_MAX_QUEUES + queue;
}

/* One turn over all that it serves, or a sleep.  Its own thread, inside RCU. */
void worker_turn(Worker *w);

#endif
