/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker's thread does: whose turn is it, and when does it sleep?
 *
 * Threads: the worker's.
 */
#include <sys/epoll.h>

#include "clock.h"
#include "schedule.h"
#include "worker-impl.h"

/* After each burst of others so many frames of so many queues with
 * deadlines. */
#define URGENT_BURST 4
#define URGENT_QUEUES 8

/* Empty turns between two looks at the clock. */
#define TURNS_PER_CLOCK 64
/* For queues that cannot wake anybody. */
#define BLIND_SLEEP_NS 1000000
/* The kernel wakes a thread so much later than asked for, often: a shorter
 * sleep is none. */
#define WAKE_UP_NS 100000

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static inline unsigned list_n(const QueueList *list)
{
    /* Pairs with the release of list_add(). */
    return __atomic_load_n(&list->n, __ATOMIC_ACQUIRE);
}

static inline uint32_t list_entry(const QueueList *list, unsigned i)
{
    return __atomic_load_n(&list->entry[i], __ATOMIC_RELAXED);
}

/* The port of @entry, if it is there; its queue in *@queue. */
static inline Port *port_of(const Worker *w, uint32_t entry, unsigned *queue)
{
    Port *p = datapath_port(w->dp, entry / PORT_MAX_QUEUES);

    *queue = entry % PORT_MAX_QUEUES;
    return p && *queue < p->ingress_queues ? p : NULL;
}

static inline Port *queue_at(const Worker *w, unsigned i, unsigned *queue)
{
    return port_of(w, list_entry(&w->queues, i), queue);
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
    unsigned queues = list_n(&w->queues);
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
    b->max = MIN(b->max, port_limit_burst(p));
    return true;
}

/* A burst of a queue; how many frames that was. */
static inline unsigned serve_queue(Worker *w, uint32_t entry, unsigned most)
{
    Forwarder *fw = w->fw;
    unsigned queue, taken;
    Port *p = port_of(w, entry, &queue);

    if (G_UNLIKELY(!p)) {
        return 0;
    }
    fw->burst.max = most;
    fw->burst.handled = 0;
    fw->burst.directed = 0;
    if (G_UNLIKELY(port_is_limited(p)) && !may_take(p, &fw->burst)) {
        return 0;
    }
    taken = p->ops->ingress(p, queue, &fw->burst, &fw->counters[p->id]);
    if (taken > 0) {
        fw->burst.n = taken;
        forward_burst(fw, p);
        p->ops->ingress_done(p, queue, &fw->burst);
    }
    taken += fw->burst.handled;
    if (taken > 0) {
        counter_add(&w->pkts, taken);
    }
    return taken;
}

/*
 * What has a deadline does not wait until all others have had their turn: more
 * of them that flood make no difference.  A guest that floods its own such
 * queue gets no more than a burst here, each time.
 */
static unsigned serve_urgent(Worker *w)
{
    unsigned n = list_n(&w->urgent), taken = 0;

    for (unsigned k = 0; k < MIN(n, URGENT_QUEUES); k++) {
        w->next_urgent = w->next_urgent + 1 < n ? w->next_urgent + 1 : 0;
        taken += serve_queue(w, list_entry(&w->urgent, w->next_urgent),
                             URGENT_BURST);
    }
    return taken;
}

/* One turn: a burst of each queue, and what may leave meanwhile. */
static unsigned poll_queues(Worker *w)
{
    unsigned n = list_n(&w->queues), found = serve_links(w);
    unsigned first = w->first < n ? w->first : 0;

    for (unsigned k = 0; k < n; k++) {
        unsigned i = first + k < n ? first + k : first + k - n;
        unsigned taken = serve_queue(w, list_entry(&w->queues, i),
                                     INGRESS_BURST);

        if (taken > 0) {
            found += taken + serve_links(w);
            taken = serve_urgent(w);
            if (taken > 0) {
                found += taken + serve_links(w);
            }
        }
    }
    /* Whoever comes first after a common limit has a little more of it: that
     * is another one each turn. */
    w->first = first + 1;
    return found;
}

/*
 * Ask all queues to wake us, or not to; has one something already?  Not those
 * whose limit is reached: their time wakes us.
 */
static bool ask_wake(Worker *w, bool ask, uint64_t now_ns)
{
    unsigned n = list_n(&w->queues);
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

/* How long it may sleep: 0, not at all; UINT64_MAX, until it is woken.  Limits
 * are looked at as at @asked_ns. */
static uint64_t may_sleep_ns(const Worker *w, uint64_t asked_ns)
{
    bool blind = __atomic_load_n(&w->blind_queues, __ATOMIC_RELAXED) > 0;
    uint64_t next_ns = next_event_ns(w, asked_ns), now_ns = clock_now_ns();

    if (next_ns == UINT64_MAX) {
        return blind ? BLIND_SLEEP_NS : UINT64_MAX;
    }
    if (next_ns < now_ns + 2 * WAKE_UP_NS) {
        return 0;
    }
    next_ns -= now_ns + WAKE_UP_NS;
    return blind ? MIN(next_ns, BLIND_SLEEP_NS) : next_ns;
}

/* Who has woken us is served first. */
static void begin_with(Worker *w, const struct epoll_event *events, int n)
{
    unsigned queues = list_n(&w->queues);

    for (int k = 0; k < n; k++) {
        for (unsigned i = 0; i < queues; i++) {
            if (list_entry(&w->queues, i) == events[k].data.u32) {
                w->first = i;
                return;
            }
        }
    }
}

static void wait_for_events(Worker *w, uint64_t ns)
{
    struct timespec most = {
        .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000,
    };
    struct epoll_event events[16];
    int n;

    counter_add(&w->sleeps, 1);
    rcu_thread_offline();
    n = epoll_pwait2(w->epoll_fd, events, G_N_ELEMENTS(events),
                     ns == UINT64_MAX ? NULL : &most, NULL);
    rcu_thread_online();
    begin_with(w, events, n);
}

static void sleep_until_something_comes(Worker *w)
{
    uint64_t asked_ns = clock_now_ns();

    __atomic_store_n(&w->sleeper.asleep, true, __ATOMIC_RELAXED);
    /* Pairs with the fence of sleeper_wake(): they see that we sleep, or we
     * see what they have put into a queue. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (may_sleep_ns(w, asked_ns) > 0) {
        bool more = ask_wake(w, true, asked_ns);
        /* Once more: whose common limit another worker has reached since was
         * not asked, so its time has to wake us.  By the same time, as what
         * limits say only grows. */
        uint64_t ns = may_sleep_ns(w, asked_ns);

        w->asked = true;
        if (!more && ns > 0) {
            wait_for_events(w, ns);
        }
    }
    __atomic_store_n(&w->sleeper.asleep, false, __ATOMIC_RELAXED);
}

/* @found frames in a turn: none for long enough? */
static bool is_idle(Worker *w, unsigned found)
{
    if (G_LIKELY(found > 0)) {
        counter_add(&w->busy_polls, 1);
        w->empty_turns = 0;
        return false;
    }
    relax();
    if (w->empty_turns++ % TURNS_PER_CLOCK > 0) {
        return false;
    }
    if (w->empty_turns == 1) {
        w->idle_since_us = g_get_monotonic_time();
        return false;
    }
    return g_get_monotonic_time() - w->idle_since_us >= w->idle_us;
}

void worker_turn(Worker *w)
{
    unsigned found = poll_queues(w);

    counter_add(&w->polls, 1);
    if (G_UNLIKELY(w->asked)) {
        /* What has woken us is on its way already. */
        ask_wake(w, false, clock_now_ns());
        w->asked = false;
    }
    if (is_idle(w, found)) {
        sleep_until_something_comes(w);
        w->empty_turns = 0;
    }
}
