/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks that workers take: who waits lends its priority to who holds it.
 *
 * Threads: any.
 */
#ifndef VUS_LOCK_H
#define VUS_LOCK_H

#include <pthread.h>

static inline void lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

#endif
