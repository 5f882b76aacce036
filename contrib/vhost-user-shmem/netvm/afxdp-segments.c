/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "afxdp-segments.h"
#include "domain-move.h"

#define BIT(n) (UINT64_C(1) << (n))
#define FAILED(error, ...) g_set_error(error, SWITCH_ERROR, 0, __VA_ARGS__)

/* -- The memory ------------------------------------------------------------ */

/* What the kernel takes as the size of a place. */
bool afxdp_segments_check(const Domain *d, GError **error)
{
    unsigned bytes = d->settings.buffer_bytes;

    if (bytes != 2048 && bytes != 4096) {
        FAILED(error, "domain=%s: its buffer-bytes=%u cannot be a NIC's: make "
               "it anew with 2048 or 4096, or leave domain= out", d->name,
               bytes);
        return false;
    }
    return true;
}

static bool map(AfxdpSegments *s, const DomainRegion *r)
{
    uint8_t *area = mmap(NULL, s->bytes + BIT(AFXDP_SEGMENT_SHIFT), PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (area == MAP_FAILED) {
        return false;
    }
    s->area = area + (-(uintptr_t)area & (BIT(AFXDP_SEGMENT_SHIFT) - 1));
    /* What is not needed of it, in front and behind. */
    if (s->area > area) {
        munmap(area, s->area - area);
    }
    munmap(s->area + s->bytes,
           BIT(AFXDP_SEGMENT_SHIFT) - (s->area - area));
    for (unsigned i = 0; i < r->segments; i++) {
        const DomainSegment *from = &r->segment[i];

        if (mmap(s->area + from->offset, from->bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, from->fd, 0) == MAP_FAILED) {
            return false;
        }
        s->start[i] = from->offset +
                      (r->map.segment[i].buffers - from->host);
        memset(s->segment_of + (from->offset >> AFXDP_SEGMENT_SHIFT), i,
               from->bytes >> AFXDP_SEGMENT_SHIFT);
    }
    return true;
}

AfxdpSegments *afxdp_segments_new(Domain *d, DomainHolder *holder,
                                  unsigned queues, GError **error)
{
    const DomainRegion *r = d->region;
    AfxdpSegments *s = g_new0(AfxdpSegments, 1);

    s->domain = d;
    s->holder = holder;
    s->queues = queues;
    s->bytes = r->bytes;
    s->shift = r->map.buffer_shift;
    s->segment_of = g_malloc0(r->bytes >> AFXDP_SEGMENT_SHIFT);
    if (!map(s, r)) {
        FAILED(error, "cannot map the memory of domain %s: %s", d->name,
               g_strerror(errno));
        afxdp_segments_free(s);
        return NULL;
    }
    return s;
}

void afxdp_segments_free(AfxdpSegments *s)
{
    if (s) {
        if (s->area) {
            munmap(s->area, s->bytes);
        }
        g_free(s->segment_of);
        g_free(s);
    }
}

/* -- The books ------------------------------------------------------------- */

static void count(AfxdpBuffers *b, AfxdpSegments *s, int more)
{
    __atomic_store_n(&b->n, b->n + more, __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->holder->buffers, more, __ATOMIC_RELAXED);
}

/* False: it is there already. */
static bool add(AfxdpBuffers *b, const AfxdpSegments *s, uint64_t address)
{
    uint64_t place = address >> s->shift, *word = &b->has[place / 64];
    uint64_t bit = BIT(place % 64);
    bool is_new = !(*word & bit);

    *word |= bit;
    return is_new;
}

static bool remove_one(AfxdpBuffers *b, const AfxdpSegments *s,
                       uint64_t address)
{
    uint64_t place = address >> s->shift, *word = &b->has[place / 64];
    uint64_t bit = BIT(place % 64);
    bool was_there = *word & bit;

    *word &= ~bit;
    return was_there;
}

static uint64_t words(const AfxdpSegments *s)
{
    return ((s->bytes >> s->shift) + 63) / 64;
}

void afxdp_buffers_init(AfxdpBuffers *b, const AfxdpSegments *s)
{
    b->has = g_new0(uint64_t, words(s));
    b->n = 0;
}

void afxdp_buffers_end(AfxdpBuffers *b, AfxdpSegments *s)
{
    for (uint64_t i = 0; b->has && i < words(s); i++) {
        if (b->has[i] == 0) {
            continue;
        }
        /* A few at a time: others wait for the lock. */
        pthread_mutex_lock(&s->domain->lock);
        for (uint64_t left = b->has[i]; left; left &= left - 1) {
            uint64_t place = i * 64 + __builtin_ctzll(left);

            domain_pool_put(s->domain, afxdp_buffer(s, place << s->shift));
        }
        pthread_mutex_unlock(&s->domain->lock);
    }
    count(b, s, -(int)b->n);
    g_clear_pointer(&b->has, g_free);
}

/* -- What comes ------------------------------------------------------------ */

unsigned afxdp_buffers_give(AfxdpBuffers *b, AfxdpSegments *s,
                            uint64_t *address, unsigned n)
{
    unsigned given = 0;

    for (unsigned i = 0; i < n; i++) {
        if (G_LIKELY(add(b, s, address[i]))) {
            address[given++] = address[i];
        }
    }
    count(b, s, given);
    return given;
}

void afxdp_buffers_take(AfxdpBuffers *b, AfxdpSegments *s,
                        const uint64_t *address, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        remove_one(b, s, address[i]);
    }
    count(b, s, -(int)n);
}

/* The part of the domain's buffers that one ring may have; under the lock. */
static unsigned share(const AfxdpSegments *s)
{
    return CLAMP(s->domain->buffers / AFXDP_PART / s->queues, 1,
                 AFXDP_PART_MAX);
}

unsigned afxdp_buffers_get(AfxdpBuffers *b, AfxdpSegments *s, unsigned gone,
                           uint64_t *address, unsigned most)
{
    Domain *d = s->domain;
    unsigned got = 0;

    pthread_mutex_lock(&d->lock);
    s->holder->rx_moved_pkts += gone;
    b->wanted = share(s);
    while (got < most && b->n + got < b->wanted) {
        uint32_t buffer = domain_pool_get(d);

        if (buffer == UINT32_MAX) {
            break;
        }
        address[got++] = afxdp_address(s, buffer);
    }
    pthread_mutex_unlock(&d->lock);
    return afxdp_buffers_give(b, s, address, got);
}

bool afxdp_segments_wait(AfxdpSegments *s)
{
    bool none;

    pthread_mutex_lock(&s->domain->lock);
    none = s->domain->pool_n == 0;
    if (none) {
        s->holder->hungry = s->domain->hungry = true;
    }
    pthread_mutex_unlock(&s->domain->lock);
    return none;
}

/* -- What goes ------------------------------------------------------------- */

/* Where @f is sent from; with @copy, it has to be copied there.  False: it
 * cannot be sent, and @why. */
static bool place(AfxdpBuffers *b, AfxdpSegments *s, const Frame *f,
                  struct xdp_desc *desc, bool *copy, Drop *why)
{
    Domain *d = s->domain;
    struct netvm_desc from;
    uint32_t buffer;

    desc->len = f->bytes;
    desc->options = 0;
    *copy = false;
    if (netvm_frame_moves(d, f, &from)) {
        desc->addr = afxdp_address(s, from.buffer) + from.offset;
        if (G_LIKELY(add(b, s, desc->addr))) {
            f->buffer->gone = true;
            s->holder->tx_moved_pkts++;
            return true;
        }
    }
    if (f->bytes > BIT(s->shift)) {
        *why = DROP_RX_SHORT;
        return false;
    }
    *copy = true;
    do {
        buffer = domain_pool_get(d);
        if (buffer == UINT32_MAX) {
            *why = DROP_RX_FULL;
            return false;
        }
        desc->addr = afxdp_address(s, buffer);
    } while (!add(b, s, desc->addr));
    d->copies++;
    s->holder->tx_copied_pkts++;
    return true;
}

unsigned afxdp_buffers_place(AfxdpBuffers *b, AfxdpSegments *s,
                             const Frame *const *frames, unsigned n,
                             unsigned room, struct xdp_desc *desc,
                             PortCounters *counters)
{
    const Frame *copy[EGRESS_BURST];
    unsigned placed = 0;

    pthread_mutex_lock(&s->domain->lock);
    /* What a link that is down does not send, others do not lack. */
    room = MIN(room, share(s) - MIN(b->n, share(s)));
    for (unsigned i = 0; i < n; i++) {
        Drop why = DROP_RX_FULL;
        bool copied;

        if (placed < room &&
            place(b, s, frames[i], &desc[placed], &copied, &why)) {
            copy[placed++] = copied ? frames[i] : NULL;
        } else {
            counter_add(&counters->drops[why], 1);
        }
    }
    pthread_mutex_unlock(&s->domain->lock);
    count(b, s, placed);
    for (unsigned i = 0; i < placed; i++) {
        if (copy[i]) {
            frame_gather(copy[i], s->area + desc[i].addr);
        }
    }
    return placed;
}

void afxdp_buffers_sent(AfxdpBuffers *b, AfxdpSegments *s,
                        const uint64_t *address, unsigned n)
{
    unsigned had = 0;

    pthread_mutex_lock(&s->domain->lock);
    for (unsigned i = 0; i < n; i++) {
        if (G_LIKELY(remove_one(b, s, address[i]))) {
            domain_pool_put(s->domain, afxdp_buffer(s, address[i]));
            had++;
        }
    }
    pthread_mutex_unlock(&s->domain->lock);
    count(b, s, -(int)had);
}
