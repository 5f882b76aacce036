/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lock.h"
#include "tenant-link.h"

struct TenantLink {
    uint64_t next_ns;               /* atomic: shaper_next_ns() */

    /* Under the lock. */
    pthread_mutex_t lock;
    Shaper *shaper;
};

static void plan(TenantLink *l)
{
    __atomic_store_n(&l->next_ns, shaper_next_ns(l->shaper), __ATOMIC_RELAXED);
}

/* -- Life ------------------------------------------------------------------ */

TenantLink *tenant_link_new(const ShaperConfig *cfg)
{
    TenantLink *l = g_new0(TenantLink, 1);

    lock_init(&l->lock);
    l->shaper = shaper_new(cfg);
    l->next_ns = UINT64_MAX;
    return l;
}

void tenant_link_free(TenantLink *l)
{
    if (l) {
        g_assert(shaper_len_pkts(l->shaper) == 0);
        pthread_mutex_destroy(&l->lock);
        shaper_free(l->shaper);
        g_free(l);
    }
}

void tenant_link_set_rate(TenantLink *l, const ShaperConfig *cfg,
                          uint64_t now_ns)
{
    pthread_mutex_lock(&l->lock);
    shaper_set_rate(l->shaper, cfg, now_ns);
    plan(l);
    pthread_mutex_unlock(&l->lock);
}

void tenant_link_set_port(TenantLink *l, unsigned port,
                          ShaperGuarantee guarantee)
{
    pthread_mutex_lock(&l->lock);
    shaper_set_source(l->shaper, port, SHAPER_NO_GROUP, guarantee);
    pthread_mutex_unlock(&l->lock);
}

unsigned tenant_link_drop_port(TenantLink *l, unsigned port)
{
    ShaperItem *item;
    unsigned n = 0;

    pthread_mutex_lock(&l->lock);
    while ((item = shaper_drop_of(l->shaper, port)) != NULL) {
        QueuedFrame *qf = (QueuedFrame *)item;

        egress_queue_done(qf->queue, &qf, 1);
        n++;
    }
    plan(l);
    pthread_mutex_unlock(&l->lock);
    return n;
}

/* -- Workers --------------------------------------------------------------- */

bool tenant_link_put(TenantLink *l, unsigned port, QueuedFrame *const *frames,
                     unsigned n, uint64_t now_ns)
{
    bool was_empty;

    pthread_mutex_lock(&l->lock);
    was_empty = shaper_len_pkts(l->shaper) == 0;
    for (unsigned i = 0; i < n; i++) {
        QueuedFrame *qf = frames[i];
        const RtBeside *beside = qf->f.beside;

        qf->item.source = port;
        shaper_put(l->shaper, &qf->item,
                   beside ? beside->tx.turn : (EdfTurn) { 0 }, now_ns);
    }
    plan(l);
    pthread_mutex_unlock(&l->lock);
    return was_empty;
}

uint64_t tenant_link_next_ns(const TenantLink *l)
{
    return __atomic_load_n(&l->next_ns, __ATOMIC_RELAXED);
}

unsigned tenant_link_take(TenantLink *l, uint64_t now_ns, QueuedFrame **frames,
                          unsigned max)
{
    unsigned n = 0;

    pthread_mutex_lock(&l->lock);
    while (n < max) {
        ShaperItem *item = shaper_take(l->shaper, now_ns);

        if (!item) {
            break;
        }
        frames[n++] = (QueuedFrame *)item;
    }
    plan(l);
    pthread_mutex_unlock(&l->lock);
    return n;
}
