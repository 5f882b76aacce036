/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "privileges.h"
#include "schedule.h"
#include "worker.h"

#define MAX_QUEUES (SWITCH_MAX_PORTS * PORT_MAX_QUEUES)

/* Empty turns between two looks at the clock. */
#define TURNS_PER_CLOCK 64
/* For queues that cannot wake anybody. */
#define BLIND_SLEEP_NS 1000000
/* The kernel wakes a thread so much later than asked for, often: a shorter
 * sleep is none. */
#define WAKE_UP_NS 100000

typedef struct QueueWake {
    int fd;                         /* -1: it has none */
    bool in_epoll;
} QueueWake;

struct Worker {
    /* Its own thread's. */
    Forwarder *fw;
    uint64_t polls, busy_polls, sleeps, pkts;   /* others read them */
    unsigned first;                 /* entry that a turn begins with */

    /* Set before it starts. */
    Datapath *dp;
    int cpu;
    int64_t idle_us;
    int epoll_fd;
    Sleeper sleeper;
    pthread_t thread;
    sem_t begun;                    /* it has what it keeps, and no more */

    /* Written by the control thread; atomic.  An entry is a port's id and a
     * queue; what it finds there may be nothing. */
    bool stop;
    unsigned queues;
    unsigned blind_queues;
    uint32_t queue[MAX_QUEUES];
    unsigned links;
    uint16_t link[SWITCH_MAX_PORTS];    /* ids of ports with a queue */
    unsigned tenants;
    uint16_t tenant[SWITCH_MAX_TENANTS];    /* ids of tenants with a link */

    /* The control thread's. */
    QueueWake wake[MAX_QUEUES];
};

/* -- The thread ------------------------------------------------------------ */

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Entry @i, if it is there; its queue in *@queue. */
static inline Port *queue_at(const Worker *w, unsigned i, unsigned *queue)
{
    uint32_t entry = __atomic_load_n(&w->queue[i], __ATOMIC_RELAXED);
    Port *p = datapath_port(w->dp, entry / PORT_MAX_QUEUES);

    *queue = entry % PORT_MAX_QUEUES;
    return p && *queue < p->ingress_queues ? p : NULL;
}

/* A port whose queue is to be served, if it is there. */
static inline Port *link_at(const Worker *w, unsigned i)
{
    unsigned id = __atomic_load_n(&w->link[i], __ATOMIC_RELAXED);
    Port *p = datapath_port(w->dp, id);

    return p && p->queue ? p : NULL;
}

/* A tenant's link that is to be served, if it is there. */
static inline TenantLink *tenant_at(const Worker *w, unsigned i)
{
    unsigned id = __atomic_load_n(&w->tenant[i], __ATOMIC_RELAXED);

    return rcu_dereference(w->dp->tenant_link[id]);
}

static unsigned serve_tenants(Worker *w, uint64_t now_ns)
{
    unsigned n = __atomic_load_n(&w->tenants, __ATOMIC_ACQUIRE), sent = 0;

    for (unsigned i = 0; i < n; i++) {
        TenantLink *link = tenant_at(w, i);
        uint64_t next_ns = link ? tenant_link_next_ns(link) : UINT64_MAX;

        if (next_ns < UINT64_MAX && now_ns == 0) {
            now_ns = clock_now_ns();
        }
        if (next_ns <= now_ns) {
            sent += schedule_run_tenant(w->fw, link, now_ns);
        }
    }
    return sent;
}

/* Whose link is free: what waits for it leaves. */
static unsigned serve_links(Worker *w)
{
    unsigned n = __atomic_load_n(&w->links, __ATOMIC_ACQUIRE), sent = 0;
    uint64_t now_ns = 0;

    for (unsigned i = 0; i < n; i++) {
        Port *p = link_at(w, i);
        uint64_t next_ns = p ? egress_queue_next_ns(p->queue) : UINT64_MAX;

        if (next_ns < UINT64_MAX && now_ns == 0) {
            now_ns = clock_now_ns();
        }
        if (next_ns <= now_ns) {
            sent += schedule_run(w->fw, p, now_ns);
        }
    }
    sent += serve_tenants(w, now_ns);
    return sent;
}

/* When the first link will be free for a frame that waits, or the first port
 * that has sent too much may send again. */
static uint64_t next_event_ns(const Worker *w, uint64_t now_ns)
{
    unsigned n = __atomic_load_n(&w->links, __ATOMIC_ACQUIRE), queue;
    unsigned queues = __atomic_load_n(&w->queues, __ATOMIC_ACQUIRE);
    uint64_t next_ns = UINT64_MAX;

    for (unsigned i = 0; i < n; i++) {
        Port *p = link_at(w, i);

        if (p) {
            next_ns = MIN(next_ns, egress_queue_next_ns(p->queue));
        }
    }
    n = __atomic_load_n(&w->tenants, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < n; i++) {
        TenantLink *link = tenant_at(w, i);

        if (link) {
            next_ns = MIN(next_ns, tenant_link_next_ns(link));
        }
    }
    for (unsigned i = 0; i < queues; i++) {
        Port *p = queue_at(w, i, &queue);

        if (p && port_is_limited(p) && port_next_ns(p) > now_ns) {
            next_ns = MIN(next_ns, port_next_ns(p));
        }
    }
    return next_ns;
}

/*
 * Is its limit not reached?  Then not much more than what the next millisecond
 * allows is taken at once.
 */
static bool may_take(const Port *p, IngressBurst *b)
{
    if (clock_now_ns() < port_next_ns(p)) {
        return false;
    }
    b->max = port_limit_burst(p);
    return true;
}

/* One turn: a burst of each queue, and what may leave meanwhile. */
static unsigned poll_queues(Worker *w)
{
    unsigned n = __atomic_load_n(&w->queues, __ATOMIC_ACQUIRE);
    Forwarder *fw = w->fw;
    unsigned found = serve_links(w);

    /* Whoever comes first after a common limit has a little more of it: that
     * is another one each turn. */
    w->first = w->first + 1 < n ? w->first + 1 : 0;
    for (unsigned k = 0; k < n; k++) {
        unsigned i = w->first + k < n ? w->first + k : w->first + k - n;
        unsigned queue;
        Port *p = queue_at(w, i, &queue);

        if (G_UNLIKELY(!p)) {
            continue;
        }
        fw->burst.max = INGRESS_BURST;
        if (G_UNLIKELY(port_is_limited(p)) && !may_take(p, &fw->burst)) {
            continue;
        }
        fw->burst.n = p->ops->ingress(p, queue, &fw->burst,
                                      &fw->counters[p->id]);
        if (fw->burst.n > 0) {
            unsigned taken = fw->burst.n;

            forward_burst(fw, p);
            p->ops->ingress_done(p, queue, &fw->burst);
            found += taken;
            counter_add(&w->pkts, taken);
            found += serve_links(w);
        }
    }
    return found;
}

/*
 * Ask all queues to wake us, or not to; has one something already?  Not those
 * whose limit is reached: their time wakes us.
 */
static bool ask_wake(Worker *w, bool ask)
{
    unsigned n = __atomic_load_n(&w->queues, __ATOMIC_ACQUIRE);
    uint64_t now_ns = clock_now_ns();
    bool more = false;

    for (unsigned i = 0; i < n; i++) {
        unsigned queue;
        Port *p = queue_at(w, i, &queue);

        if (!p || (ask && port_is_limited(p) && port_next_ns(p) > now_ns)) {
            continue;
        }
        more |= p->ops->ask_wake(p, queue, ask);
    }
    return more;
}

/* How long it may sleep: 0, not at all; UINT64_MAX, until it is woken. */
static uint64_t may_sleep_ns(const Worker *w)
{
    bool blind = __atomic_load_n(&w->blind_queues, __ATOMIC_RELAXED) > 0;
    uint64_t now_ns = clock_now_ns(), next_ns = next_event_ns(w, now_ns);

    if (next_ns == UINT64_MAX) {
        return blind ? BLIND_SLEEP_NS : UINT64_MAX;
    }
    if (next_ns < now_ns + 2 * WAKE_UP_NS) {
        return 0;
    }
    next_ns -= now_ns + WAKE_UP_NS;
    return blind ? MIN(next_ns, BLIND_SLEEP_NS) : next_ns;
}

static void wait_for_events(Worker *w, uint64_t ns)
{
    struct timespec most = {
        .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000,
    };
    struct epoll_event events[16];

    counter_add(&w->sleeps, 1);
    rcu_thread_offline();
    epoll_pwait2(w->epoll_fd, events, G_N_ELEMENTS(events),
                 ns == UINT64_MAX ? NULL : &most, NULL);
    rcu_thread_online();
}

static void sleep_until_something_comes(Worker *w)
{
    uint64_t ns;

    __atomic_store_n(&w->sleeper.asleep, true, __ATOMIC_RELAXED);
    /* Pairs with the fence of sleeper_wake(): they see that we sleep, or we
     * see what they have put into a queue. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    ns = may_sleep_ns(w);
    if (ns > 0 && !ask_wake(w, true)) {
        wait_for_events(w, ns);
    }
    __atomic_store_n(&w->sleeper.asleep, false, __ATOMIC_RELAXED);
    ask_wake(w, false);
}

/* All that it needs is open when it gets it. */
static void shed_privileges(void)
{
    g_autoptr(GError) error = NULL;

    if (!privileges_shed(false, false, &error)) {
        g_warning("a worker: %s", error->message);
    }
}

static void *work(void *opaque)
{
    Worker *w = opaque;
    int64_t idle_since_us = 0;
    unsigned empty_turns = 0;

    shed_privileges();
    sem_post(&w->begun);
    rcu_register_thread();
    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
        unsigned found = poll_queues(w);

        counter_add(&w->polls, 1);
        rcu_quiescent_state();
        if (G_LIKELY(found > 0)) {
            counter_add(&w->busy_polls, 1);
            empty_turns = 0;
            continue;
        }
        relax();
        if (empty_turns++ % TURNS_PER_CLOCK > 0) {
            continue;
        }
        if (empty_turns == 1) {
            idle_since_us = g_get_monotonic_time();
        } else if (g_get_monotonic_time() - idle_since_us >= w->idle_us) {
            sleep_until_something_comes(w);
            empty_turns = 0;
        }
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
    struct epoll_event wake = { .events = EPOLLIN | EPOLLET };
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

unsigned worker_load(const Worker *w)
{
    return w->queues;
}

void worker_add_queue(Worker *w, unsigned port, unsigned queue, int wake_fd)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    unsigned i = w->queues;
    QueueWake *wake = &w->wake[i];

    g_assert(i < MAX_QUEUES);
    /* Edge-triggered and never read: whoever else holds the other end cannot
     * make us wait. */
    wake->fd = wake_fd;
    wake->in_epoll = wake_fd >= 0 &&
                     epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, wake_fd,
                               &event) == 0;
    if (!wake->in_epoll) {
        __atomic_store_n(&w->blind_queues, w->blind_queues + 1,
                         __ATOMIC_RELAXED);
    }
    __atomic_store_n(&w->queue[i], port * PORT_MAX_QUEUES + queue,
                     __ATOMIC_RELAXED);
    /* Pairs with the acquire of poll_queues(). */
    __atomic_store_n(&w->queues, i + 1, __ATOMIC_RELEASE);
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

/* A worker in its turn may see the last entry twice, or not: once more or less
 * does not matter.  It is the only one that serves that. */
void worker_remove_port(Worker *w, unsigned port)
{
    unsigned i = 0;

    remove_link(w, port);
    while (i < w->queues) {
        unsigned last = w->queues - 1;

        if (w->queue[i] / PORT_MAX_QUEUES != port) {
            i++;
            continue;
        }
        if (w->wake[i].in_epoll) {
            epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->wake[i].fd, NULL);
        } else {
            __atomic_store_n(&w->blind_queues, w->blind_queues - 1,
                             __ATOMIC_RELAXED);
        }
        w->wake[i] = w->wake[last];
        __atomic_store_n(&w->queue[i], w->queue[last], __ATOMIC_RELAXED);
        __atomic_store_n(&w->queues, last, __ATOMIC_RELAXED);
    }
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
        .queues = w->queues,
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
