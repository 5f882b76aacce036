/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "privileges.h"
#include "sandbox.h"
#include "worker-impl.h"

/* -- The thread ------------------------------------------------------------ */

/* All that it needs is open when it gets it. */
static bool shed_privileges(GError **error)
{
    g_autoptr(GError) warning = NULL;

    if (!privileges_shed(false, false, &warning)) {
        g_warning("a worker: %s", warning->message);
    }
    return sandbox_confine_worker(error);
}

static void *work(void *opaque)
{
    Worker *w = opaque;
    bool ready = shed_privileges(&w->refused);

    sem_post(&w->begun);
    if (!ready) {
        return NULL;
    }
    rcu_register_thread();
    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
        worker_turn(w);
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return NULL;
}

/* -- Life ------------------------------------------------------------------ */

static int start_thread(Worker *w, unsigned index, unsigned rt_priority)
{
    pthread_attr_t attr;
    char name[16];
    int failed;

    pthread_attr_init(&attr);
    if (w->cpu >= 0) {
        cpu_set_t cpus;

        CPU_ZERO(&cpus);
        CPU_SET(w->cpu, &cpus);
        pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
    }
    if (rt_priority > 0) {
        struct sched_param param = { .sched_priority = rt_priority };

        pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
        pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
        pthread_attr_setschedparam(&attr, &param);
    }
    failed = pthread_create(&w->thread, &attr, work, w);
    pthread_attr_destroy(&attr);
    if (!failed) {
        while (sem_wait(&w->begun) < 0) {
            /* by a signal */
        }
        g_snprintf(name, sizeof(name), "worker-%u", index);
        pthread_setname_np(w->thread, name);
    }
    return failed;
}

static void free_all(Worker *w)
{
    sem_destroy(&w->begun);
    close(w->epoll_fd);
    close(w->sleeper.event_fd);
    forwarder_free(w->fw);
    g_free(w);
}

Worker *worker_new(Datapath *dp, unsigned index, int cpu, unsigned rt_priority,
                   unsigned idle_us, GError **error)
{
    struct epoll_event wake = {
        .events = EPOLLIN | EPOLLET, .data.u32 = WORKER_NO_QUEUE,
    };
    Worker *w = g_new0(Worker, 1);
    int failed;

    w->dp = dp;
    sem_init(&w->begun, 0, 0);
    w->fw = forwarder_new(dp);
    w->fw->self = &w->sleeper;
    w->cpu = cpu;
    w->idle_us = idle_us;
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->sleeper.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->epoll_fd < 0 || w->sleeper.event_fd < 0 ||
        epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->sleeper.event_fd, &wake) < 0) {
        g_set_error(error, SWITCH_ERROR, 0, "cannot make what wakes worker "
                    "%u: %s", index, g_strerror(errno));
        free_all(w);
        return NULL;
    }
    failed = start_thread(w, index, rt_priority);
    if (failed) {
        g_set_error(error, SWITCH_ERROR, 0, "cannot start worker %u: %s%s",
                    index, g_strerror(failed),
                    failed == EPERM && rt_priority > 0
                    ? "; rt-priority needs CAP_SYS_NICE, or a limit \"rtprio\" "
                      "that allows it (ulimit -r)"
                    : failed == EINVAL && cpu >= 0
                    ? "; is there such a processor (cpus), and may this "
                      "process use it (taskset -p)?" : "");
        free_all(w);
        return NULL;
    }
    if (w->refused) {
        pthread_join(w->thread, NULL);
        g_propagate_prefixed_error(error, w->refused, "worker %u: ", index);
        free_all(w);
        return NULL;
    }
    return w;
}

void worker_free(Worker *w)
{
    __atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
    worker_wake(w);
    pthread_join(w->thread, NULL);
    free_all(w);
}

/* -- Queues ---------------------------------------------------------------- */

static void list_add(QueueList *list, uint32_t entry)
{
    g_assert(list->n < WORKER_MAX_QUEUES);
    __atomic_store_n(&list->entry[list->n], entry, __ATOMIC_RELAXED);
    /* Pairs with the acquire of list_n(). */
    __atomic_store_n(&list->n, list->n + 1, __ATOMIC_RELEASE);
}

/* A worker in its turn may see the last entry twice, or not: once more or less
 * does not matter.  It is the only one that serves that. */
static void list_remove(QueueList *list, unsigned i)
{
    __atomic_store_n(&list->entry[i], list->entry[list->n - 1],
                     __ATOMIC_RELAXED);
    __atomic_store_n(&list->n, list->n - 1, __ATOMIC_RELAXED);
}

unsigned worker_load(const Worker *w)
{
    return w->queues.n;
}

void worker_add_queue(Worker *w, unsigned port, unsigned queue, bool urgent,
                      int wake_fd)
{
    uint32_t entry = worker_entry(port, queue);
    /* Edge-triggered and never read: whoever else holds the other end cannot
     * make us wait. */
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLET, .data.u32 = entry,
    };
    QueueWake *wake = &w->wake[w->queues.n];

    wake->fd = wake_fd;
    wake->in_epoll = wake_fd >= 0 &&
                     epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, wake_fd,
                               &event) == 0;
    if (!wake->in_epoll) {
        __atomic_store_n(&w->blind_queues, w->blind_queues + 1,
                         __ATOMIC_RELAXED);
    }
    list_add(&w->queues, entry);
    if (urgent) {
        list_add(&w->urgent, entry);
    }
}

Sleeper *worker_add_link(Worker *w, unsigned port)
{
    g_assert(w->links < SWITCH_MAX_PORTS);
    __atomic_store_n(&w->link[w->links], port, __ATOMIC_RELAXED);
    /* Pairs with the acquire of serve_links(). */
    __atomic_store_n(&w->links, w->links + 1, __ATOMIC_RELEASE);
    return &w->sleeper;
}

Sleeper *worker_add_tenant(Worker *w, unsigned tenant)
{
    g_assert(w->tenants < SWITCH_MAX_TENANTS);
    __atomic_store_n(&w->tenant[w->tenants], tenant, __ATOMIC_RELAXED);
    /* Pairs with the acquire of serve_tenants(). */
    __atomic_store_n(&w->tenants, w->tenants + 1, __ATOMIC_RELEASE);
    return &w->sleeper;
}

void worker_remove_tenant(Worker *w, unsigned tenant)
{
    for (unsigned i = 0; i < w->tenants; i++) {
        if (w->tenant[i] == tenant) {
            __atomic_store_n(&w->tenant[i], w->tenant[w->tenants - 1],
                             __ATOMIC_RELAXED);
            __atomic_store_n(&w->tenants, w->tenants - 1, __ATOMIC_RELAXED);
            return;
        }
    }
}

static void remove_link(Worker *w, unsigned port)
{
    for (unsigned i = 0; i < w->links; i++) {
        if (w->link[i] == port) {
            __atomic_store_n(&w->link[i], w->link[w->links - 1],
                             __ATOMIC_RELAXED);
            __atomic_store_n(&w->links, w->links - 1, __ATOMIC_RELAXED);
            return;
        }
    }
}

static bool is_of(const QueueList *list, unsigned i, unsigned port)
{
    return list->entry[i] / PORT_MAX_QUEUES == port;
}

static void forget_wake(Worker *w, unsigned i)
{
    if (w->wake[i].in_epoll) {
        epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->wake[i].fd, NULL);
    } else {
        __atomic_store_n(&w->blind_queues, w->blind_queues - 1,
                         __ATOMIC_RELAXED);
    }
    w->wake[i] = w->wake[w->queues.n - 1];
}

void worker_remove_port(Worker *w, unsigned port)
{
    /* From the last on: what takes an entry's place has been looked at. */
    for (unsigned i = w->urgent.n; i-- > 0;) {
        if (is_of(&w->urgent, i, port)) {
            list_remove(&w->urgent, i);
        }
    }
    for (unsigned i = w->queues.n; i-- > 0;) {
        if (is_of(&w->queues, i, port)) {
            forget_wake(w, i);
            list_remove(&w->queues, i);
        }
    }
    remove_link(w, port);
}

void worker_wake(Worker *w)
{
    uint64_t one = 1;

    /* Full would mean that it was written, and not read, often enough. */
    (void)!write(w->sleeper.event_fd, &one, sizeof(one));
}

/* -- Status ---------------------------------------------------------------- */

void worker_status(const Worker *w, WorkerStatus *status)
{
    *status = (WorkerStatus) {
        .cpu = w->cpu,
        .queues = w->queues.n,
        .polls = __atomic_load_n(&w->polls, __ATOMIC_RELAXED),
        .busy_polls = __atomic_load_n(&w->busy_polls, __ATOMIC_RELAXED),
        .sleeps = __atomic_load_n(&w->sleeps, __ATOMIC_RELAXED),
        .flow_misses = __atomic_load_n(&w->fw->flow_misses, __ATOMIC_RELAXED),
        .pkts = __atomic_load_n(&w->pkts, __ATOMIC_RELAXED),
    };
}

const PortCounters *worker_counters(const Worker *w, unsigned port)
{
    return &w->fw->counters[port];
}
