/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "egress-queue.h"
#include "lock.h"

#define CACHE_LINE_BYTES 64

struct EgressQueue {
    EgressQueueConfig cfg;
    uint8_t *pool;                  /* queue_pkts slots */
    size_t slot_bytes;
    size_t beside_offset;           /* of an RtBeside, in a slot */

    uint64_t next_ns;               /* atomic: shaper_next_ns() */

    /* Under the lock. */
    pthread_mutex_t lock;
    Shaper *shaper;
    unsigned free_n;
    QueuedFrame **free;
    uint32_t held_pkts[SHAPER_SOURCES];     /* of each source, until done */
};

/* -- Life ------------------------------------------------------------------ */

static size_t round_up(size_t bytes, size_t to)
{
    return (bytes + to - 1) / to * to;
}

static uint32_t max_frame_bytes(const EgressQueue *q)
{
    return q->cfg.link_mtu + RT_ETH_HLEN + RT_MAX_VLAN_TAGS * RT_VLAN_HLEN;
}

/* A frame lies where its head would, and beyond. */
static void layout(EgressQueue *q)
{
    size_t end = offsetof(QueuedFrame, f) + offsetof(Frame, head) +
                 max_frame_bytes(q) + RT_TX_TAILROOM_BYTES;

    q->beside_offset = round_up(MAX(end, sizeof(QueuedFrame)),
                                G_ALIGNOF(RtBeside));
    q->slot_bytes = round_up(q->beside_offset + sizeof(RtBeside),
                             CACHE_LINE_BYTES);
}

static void fill_free(EgressQueue *q)
{
    q->free_n = q->cfg.queue_pkts;
    /* The first ones on top. */
    for (unsigned i = 0; i < q->free_n; i++) {
        QueuedFrame *qf = (QueuedFrame *)(q->pool + i * q->slot_bytes);

        qf->queue = q;
        q->free[q->free_n - 1 - i] = qf;
    }
}

EgressQueue *egress_queue_new(const EgressQueueConfig *cfg)
{
    EgressQueue *q = g_new0(EgressQueue, 1);

    g_assert(cfg->queue_pkts > 0 && cfg->queue_pkts <= EGRESS_QUEUE_MAX_PKTS);
    q->cfg = *cfg;
    layout(q);
    q->pool = g_aligned_alloc0(cfg->queue_pkts, q->slot_bytes,
                               CACHE_LINE_BYTES);
    q->free = g_new(QueuedFrame *, cfg->queue_pkts);
    fill_free(q);
    q->shaper = shaper_new(&cfg->link);
    q->next_ns = UINT64_MAX;
    lock_init(&q->lock);
    return q;
}

void egress_queue_free(EgressQueue *q)
{
    if (q) {
        pthread_mutex_destroy(&q->lock);
        shaper_free(q->shaper);
        g_free(q->free);
        g_aligned_free(q->pool);
        g_free(q);
    }
}

const EgressQueueConfig *egress_queue_config(const EgressQueue *q)
{
    return &q->cfg;
}

static void give_back(EgressQueue *q, QueuedFrame *qf)
{
    q->held_pkts[qf->origin]--;
    q->free[q->free_n++] = qf;
}

unsigned egress_queue_flush(EgressQueue *q)
{
    ShaperItem *item;
    unsigned n = 0;

    pthread_mutex_lock(&q->lock);
    while ((item = shaper_drop(q->shaper)) != NULL) {
        give_back(q, (QueuedFrame *)item);
        n++;
    }
    __atomic_store_n(&q->next_ns, UINT64_MAX, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&q->lock);
    return n;
}

/* What waits may leave at another time now. */
static void plan(EgressQueue *q)
{
    __atomic_store_n(&q->next_ns, shaper_next_ns(q->shaper), __ATOMIC_RELAXED);
}

void egress_queue_set_rate(EgressQueue *q, const ShaperConfig *link,
                           uint64_t now_ns)
{
    pthread_mutex_lock(&q->lock);
    q->cfg.link = *link;
    shaper_set_rate(q->shaper, link, now_ns);
    plan(q);
    pthread_mutex_unlock(&q->lock);
}

void egress_queue_set_source(EgressQueue *q, unsigned source, int group,
                             ShaperGuarantee guarantee)
{
    pthread_mutex_lock(&q->lock);
    shaper_set_source(q->shaper, source, group, guarantee);
    pthread_mutex_unlock(&q->lock);
}

void egress_queue_set_group(EgressQueue *q, unsigned group,
                            ShaperGuarantee guarantee)
{
    pthread_mutex_lock(&q->lock);
    shaper_set_group(q->shaper, group, guarantee);
    pthread_mutex_unlock(&q->lock);
}

/* -- In -------------------------------------------------------------------- */

static void copy_frame(EgressQueue *q, QueuedFrame *qf, const Frame *f)
{
    uint8_t *data = (uint8_t *)qf + offsetof(QueuedFrame, f) +
                    offsetof(Frame, head);

    if (G_LIKELY(f->head_bytes == f->bytes)) {
        frame_copy_head(data, f->head, f->bytes);
    } else {
        frame_gather(f, data);
    }
    qf->all.data = data;
    qf->f.vnet = f->vnet;
    qf->f.rest = &qf->all;
    qf->f.beside = NULL;
    qf->f.buffer = NULL;
    queued_frame_set_bytes(qf, f->bytes);
}

/* With @more bytes behind it. */
static bool is_too_long(const EgressQueue *q, const Frame *f, uint32_t more)
{
    RtFrame l2;

    /* Without a look at its tags for nearly all. */
    return f->bytes + more > q->cfg.link_mtu + RT_ETH_HLEN &&
           (!rt_frame_parse(&l2, f->head, f->bytes) ||
            f->bytes + more > q->cfg.link_mtu + l2.l2_bytes);
}

/* Its information goes with it; tags may have come or gone since. */
static EdfTurn copy_beside(EgressQueue *q, QueuedFrame *qf, const Frame *f)
{
    RtBeside *beside = (RtBeside *)((uint8_t *)qf + q->beside_offset);
    RtTx *tx = &beside->tx;

    *beside = *f->beside;
    /* Its sender's link may be for longer frames than this one. */
    tx->has_trailer &= !q->cfg.trailers ||
                       !is_too_long(q, f, RT_TRAILER_BYTES);
    tx->frame_bytes = f->bytes;
    tx->leave_bytes = f->bytes + (tx->has_trailer && q->cfg.trailers
                                  ? RT_TRAILER_BYTES : 0);
    tx->wire_bytes = rt_tx_wire_bytes(tx->leave_bytes);
    qf->f.beside = beside;
    qf->item.band = tx->band;
    if (tx->band == EDF_BAND_ADMITTED && !q->cfg.promises) {
        qf->item.band = EDF_BAND_DEADLINE;
        /* Only what is admitted may have to wait for the others. */
        tx->turn.eligible_ns = 0;
    }
    qf->item.lane = beside->lane;
    qf->item.wire_bytes = tx->wire_bytes;
    return tx->turn;
}

/* May another frame of the source that holds so many wait? */
static bool has_room(const EgressQueue *q, unsigned held_pkts, bool deadline)
{
    unsigned reserve = deadline ? 0 : EGRESS_QUEUE_RESERVE(q->cfg.queue_pkts);

    return q->free_n > reserve && held_pkts < q->free_n - reserve;
}

/* So many of the first frames leave at once. */
static unsigned pass_frames(EgressQueue *q, unsigned source,
                            const Frame *const *frames, unsigned n,
                            uint64_t now_ns)
{
    uint32_t wire_bytes[VRING_BURST];
    unsigned i = 0;

    while (i < MIN(n, VRING_BURST) && !frames[i]->beside &&
           !is_too_long(q, frames[i], 0)) {
        wire_bytes[i] = rt_tx_wire_bytes(frames[i]->bytes);
        i++;
    }
    return shaper_pass(q->shaper, source, wire_bytes, i, now_ns);
}

bool egress_queue_put(EgressQueue *q, unsigned source,
                      const Frame *const *frames, unsigned n,
                      uint64_t now_ns, unsigned *pass,
                      uint64_t drops[DROP_REASONS])
{
    uint32_t *held_pkts = &q->held_pkts[source];
    unsigned full = 0, too_long = 0, i = 0;
    bool was_empty;

    pthread_mutex_lock(&q->lock);
    was_empty = shaper_len_pkts(q->shaper) == 0;
    if (pass) {
        *pass = was_empty ? pass_frames(q, source, frames, n, now_ns) : 0;
        i = *pass;
    }
    for (; i < n; i++) {
        const Frame *f = frames[i];
        EdfTurn turn = { 0 };
        QueuedFrame *qf;

        if (G_UNLIKELY(is_too_long(q, f, 0))) {
            too_long++;
            continue;
        }
        if (!has_room(q, *held_pkts, f->beside &&
                      f->beside->tx.band != EDF_BAND_BEST_EFFORT)) {
            full++;
            continue;
        }
        qf = q->free[--q->free_n];
        copy_frame(q, qf, f);
        qf->item = (ShaperItem) {
            .source = source, .band = EDF_BAND_BEST_EFFORT,
            .wire_bytes = rt_tx_wire_bytes(f->bytes),
        };
        qf->origin = source;
        qf->arrival_ns = now_ns;
        if (f->beside) {
            turn = copy_beside(q, qf, f);
        }
        shaper_put(q->shaper, &qf->item, turn, now_ns);
        ++*held_pkts;
    }
    plan(q);
    pthread_mutex_unlock(&q->lock);
    counter_add(&drops[DROP_QUEUE_FULL], full);
    counter_add(&drops[DROP_MTU], too_long);
    return was_empty;
}

/* -- Out ------------------------------------------------------------------- */

uint64_t egress_queue_next_ns(const EgressQueue *q)
{
    return __atomic_load_n(&q->next_ns, __ATOMIC_RELAXED);
}

unsigned egress_queue_len_pkts(const EgressQueue *q)
{
    EgressQueue *locked = (EgressQueue *)q;
    unsigned len_pkts;

    pthread_mutex_lock(&locked->lock);
    len_pkts = q->cfg.queue_pkts - q->free_n;
    pthread_mutex_unlock(&locked->lock);
    return len_pkts;
}

unsigned egress_queue_take(EgressQueue *q, uint64_t now_ns,
                           QueuedFrame **frames, unsigned max)
{
    unsigned n = 0;

    pthread_mutex_lock(&q->lock);
    while (n < max) {
        ShaperItem *item = shaper_take(q->shaper, now_ns);

        if (!item) {
            break;
        }
        frames[n++] = (QueuedFrame *)item;
    }
    plan(q);
    pthread_mutex_unlock(&q->lock);
    return n;
}

void egress_queue_done(EgressQueue *q, QueuedFrame *const *frames, unsigned n)
{
    pthread_mutex_lock(&q->lock);
    for (unsigned i = 0; i < n; i++) {
        give_back(q, frames[i]);
    }
    pthread_mutex_unlock(&q->lock);
}

G_STATIC_ASSERT(offsetof(QueuedFrame, item) == 0);
