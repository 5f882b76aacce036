/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads: see host-late.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "host-late.h"
#include "ping-pong.h"

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static bool start(pthread_t *thread, void *(*run)(void *), void *opaque,
                  GError **error)
{
    int failed = pthread_create(thread, NULL, run, opaque);

    if (failed) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(failed),
                    "no thread can be started: %s", g_strerror(failed));
    }
    return !failed;
}

/* -- A thread that spins --------------------------------------------------- */

typedef struct Spinning {
    unsigned cpu;
    uint64_t ns;
    uint64_t longest_ns;
    GError *error;
} Spinning;

static void *spin(void *opaque)
{
    Spinning *s = opaque;
    uint64_t last_ns, end_ns;

    if (!ping_pong_pin(s->cpu, &s->error)) {
        return NULL;
    }
    ping_pong_set_priority(HOST_LATE_PRIORITY);
    last_ns = clock_ns();
    end_ns = last_ns + s->ns;
    while (last_ns < end_ns) {
        uint64_t now_ns = clock_ns();

        s->longest_ns = MAX(s->longest_ns, now_ns - last_ns);
        last_ns = now_ns;
    }
    return NULL;
}

uint64_t host_late_longest_gap_ns(unsigned cpu, uint64_t ns, GError **error)
{
    Spinning s = { .cpu = cpu, .ns = ns };
    pthread_t thread;

    if (!start(&thread, spin, &s, error)) {
        return 0;
    }
    pthread_join(thread, NULL);
    if (s.error) {
        g_propagate_error(error, s.error);
        return 0;
    }
    return s.longest_ns;
}

/* -- A thread that sleeps -------------------------------------------------- */

struct Sleeping {
    uint32_t asked;             /* atomic: the waker's */
    uint32_t woken;             /* atomic: the thread's */
    unsigned cpu;
    int event_fd, epoll_fd;
    bool end;                   /* atomic: the waker's */
    pthread_t thread;
};

static void *sleep_again(void *opaque)
{
    Sleeping *s = opaque;
    struct epoll_event event;

    ping_pong_pin(s->cpu, NULL);
    ping_pong_set_priority(HOST_LATE_PRIORITY);
    while (!__atomic_load_n(&s->end, __ATOMIC_RELAXED)) {
        uint32_t asked = __atomic_load_n(&s->asked, __ATOMIC_ACQUIRE);

        __atomic_store_n(&s->woken, asked, __ATOMIC_RELEASE);
        epoll_wait(s->epoll_fd, &event, 1, -1);
    }
    return NULL;
}

static void ask(Sleeping *s)
{
    uint64_t one = 1;

    /* Full would mean that it was written often enough. */
    (void)!write(s->event_fd, &one, sizeof(one));
}

Sleeping *sleeping_new(unsigned cpu, GError **error)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    Sleeping *s = g_new0(Sleeping, 1);

    s->cpu = cpu;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->event_fd, &event);
    if (!start(&s->thread, sleep_again, s, error)) {
        close(s->epoll_fd);
        close(s->event_fd);
        g_clear_pointer(&s, g_free);
    }
    return s;
}

void sleeping_free(Sleeping *s)
{
    __atomic_store_n(&s->end, true, __ATOMIC_RELAXED);
    ask(s);
    pthread_join(s->thread, NULL);
    close(s->epoll_fd);
    close(s->event_fd);
    g_free(s);
}

uint64_t sleeping_wake_ns(Sleeping *s)
{
    uint32_t asked = s->asked + 1;
    uint64_t began_ns = clock_ns();

    __atomic_store_n(&s->asked, asked, __ATOMIC_RELEASE);
    ask(s);
    while (__atomic_load_n(&s->woken, __ATOMIC_ACQUIRE) != asked) {
        /* It is on its way. */
    }
    return clock_ns() - began_ns;
}
