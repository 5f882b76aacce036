/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads: see ping-pong.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "ping-pong.h"

#define BATCHES 64
#define TRIPS 100               /* in a batch */
#define WORK_BATCHES 16
#define WORK_STEPS 20000        /* in a batch; steps are the unit of work */
#define PARTNER_MS 1000         /* it starts by then, or not at all */

/* Each line has one writer. */
typedef struct Table {
    struct {
        uint32_t value;
    } ping __attribute__((aligned(128))),       /* the caller */
      pong __attribute__((aligned(128)));       /* the partner */
    unsigned cpu;
    double work_ns;             /* the partner's, before it is ready */
} Table;

enum {
    PONG_WORKS = UINT32_MAX - 2, PONG_READY = UINT32_MAX - 1,
    PING_END = UINT32_MAX,
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

bool ping_pong_pin(unsigned cpu, GError **error)
{
    cpu_set_t set;
    int err;

    CPU_ZERO(&set);
    if (cpu >= CPU_SETSIZE) {
        err = EINVAL;
    } else {
        CPU_SET(cpu, &set);
        err = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    }
    if (err) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err),
                    "core %u cannot be used: %s; choose one of this machine",
                    cpu, g_strerror(err));
        return false;
    }
    return true;
}

bool ping_pong_set_priority(int priority)
{
    struct sched_param param = { .sched_priority = priority };

    return pthread_setschedparam(pthread_self(),
                                 priority ? SCHED_FIFO : SCHED_OTHER,
                                 &param) == 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(values[0]), by_value);
    return values[n / 2];
}

/* As many independent additions as a core can do: one that shares its units
 * with a sibling takes twice as long. */
static double work_ns(void)
{
    double batch_ns[WORK_BATCHES];

    for (unsigned i = 0; i < WORK_BATCHES; i++) {
        uint64_t a = 1, b = 2, c = 3, d = 4, began_ns = now_ns();

        for (uint64_t k = 0; k < WORK_STEPS; k++) {
            a += k;
            b ^= a;
            c += 3;
            d -= c;
            /* All of it is wanted, step by step. */
            __asm__ volatile("" : "+r" (a), "+r" (b), "+r" (c), "+r" (d));
        }
        batch_ns[i] = (double)(now_ns() - began_ns) / WORK_STEPS;
    }
    return median(batch_ns, WORK_BATCHES);
}

static void *partner(void *opaque)
{
    Table *t = opaque;
    uint32_t seen = 0;

    if (!ping_pong_pin(t->cpu, NULL)) {
        return NULL;
    }
    ping_pong_set_priority(PING_PONG_PRIORITY);
    __atomic_store_n(&t->pong.value, PONG_WORKS, __ATOMIC_RELEASE);
    t->work_ns = work_ns();
    __atomic_store_n(&t->pong.value, PONG_READY, __ATOMIC_RELEASE);
    for (;;) {
        uint32_t value = __atomic_load_n(&t->ping.value, __ATOMIC_ACQUIRE);

        if (value == PING_END) {
            return NULL;
        }
        if (value != seen) {
            seen = value;
            __atomic_store_n(&t->pong.value, value, __ATOMIC_RELEASE);
        }
    }
}

static void trip(Table *t, uint32_t value)
{
    __atomic_store_n(&t->ping.value, value, __ATOMIC_RELEASE);
    while (__atomic_load_n(&t->pong.value, __ATOMIC_ACQUIRE) != value) {
        /* the line is on its way */
    }
}

/* False: not by @until_ns. */
static bool wait_pong(const Table *t, uint32_t value, uint64_t until_ns)
{
    while (__atomic_load_n(&t->pong.value, __ATOMIC_ACQUIRE) < value) {
        if (now_ns() >= until_ns) {
            return false;
        }
        sched_yield();
    }
    return true;
}

bool ping_pong(unsigned cpu, PingPong *result)
{
    Table t = { .cpu = cpu };
    uint64_t until_ns = now_ns() + PARTNER_MS * UINT64_C(1000000);
    double batch_ns[BATCHES];
    uint32_t value = 0;
    pthread_t thread;
    bool ready;

    if (pthread_create(&thread, NULL, partner, &t) != 0) {
        return false;
    }
    ready = wait_pong(&t, PONG_WORKS, until_ns);
    if (ready) {
        result->own_work_ns = work_ns();
        ready = wait_pong(&t, PONG_READY, until_ns);
    }
    for (unsigned i = 0; ready && i < BATCHES; i++) {
        uint64_t began_ns = now_ns();

        for (unsigned k = 0; k < TRIPS; k++) {
            trip(&t, ++value);
        }
        batch_ns[i] = (double)(now_ns() - began_ns) / TRIPS;
    }
    __atomic_store_n(&t.ping.value, PING_END, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    if (ready) {
        result->other_work_ns = t.work_ns;
        result->trip_ns = median(batch_ns, BATCHES);
    }
    return ready;
}

const char *ping_pong_class(double before_ns, double after_ns)
{
#define PING_PONG_IS(name, least_ns, most_ns) \
    if (before_ns > least_ns && before_ns <= most_ns && \
        after_ns > least_ns && after_ns <= most_ns) { \
        return name; \
    }
    PING_PONG_CLASSES(PING_PONG_IS)
#undef PING_PONG_IS
    return "mixed";
}
