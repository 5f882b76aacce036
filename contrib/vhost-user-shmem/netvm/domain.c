/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../kick.h"
#include "../lock.h"
#include "../switch.h"
#include "domain-chain.h"

/* Who has not seen yet that somebody left is looked at so often. */
#define LOOK_MS 2
#define QUARANTINE_LOOK_MS 100

#define BIT(n) (UINT64_C(1) << (n))
#define FAILED(error, ...) g_set_error(error, SWITCH_ERROR, 0, __VA_ARGS__)

static void look(Domain *d);

/* -- Life ------------------------------------------------------------------ */

/* Buffers of a new segment; the first ones are given away first. */
static void add_buffers(Domain *d, unsigned segment)
{
    uint32_t n = d->region->segment[segment].buffers;

    pthread_mutex_lock(&d->lock);
    d->region->map.segment[segment].n = n;
    d->in_pool[segment] = g_new0(uint64_t, (n + 63) / 64);
    d->buffers += n;
    d->pool = g_renew(uint32_t, d->pool, d->buffers);
    for (uint32_t i = n; i-- > 0; ) {
        domain_pool_put(d, segment << NETVM_SEGMENT_SHIFT | i);
    }
    pthread_mutex_unlock(&d->lock);
}

Domain *domain_new(const char *name, const DomainSettings *settings,
                   GError **error)
{
    const DomainSettings *layout = settings;
    DomainRegion *region = domain_region_new(settings, name, error);
    Domain *d;

    if (!region) {
        return NULL;
    }
    d = g_new0(Domain, 1);
    d->name = g_strdup(name);
    d->settings = *settings;
    d->region = region;
    d->service = g_new0(DomainService, NETVM_SERVICES_MAX);
    d->holders = g_ptr_array_new();
    d->macs = g_array_new(false, false, sizeof(DomainMac));
    lock_init(&d->lock);
    for (unsigned i = 1; i <= layout->members; i++) {
        DomainMember *m = &d->member[i];

        m->number = i;
        m->call_fd = m->kick_fd = -1;
        m->shown = domain_region_member(region, i);
        m->stats = domain_region_stats(region, i);
        m->tx = (struct netvm_receiver) {
            .ring = domain_region_ring(region, NETVM_RING_TX(i)),
            .descs = layout->ring_descs,
        };
        m->rx = (struct netvm_sender) {
            .ring = domain_region_ring(region, NETVM_RING_RX(i)),
            .descs = layout->ring_descs,
            .number = NETVM_RING_RX(i),
        };
        m->fill = (struct netvm_sender) {
            .ring = domain_region_ring(region, NETVM_RING_FILL(i)),
            .descs = layout->ring_descs,
            .number = NETVM_RING_FILL(i),
        };
    }
    add_buffers(d, 0);
    d->segments_used = 1;
    return d;
}

void domain_free(Domain *d)
{
    g_clear_handle_id(&d->look_source, g_source_remove);
    for (unsigned i = 0; i < d->region->segments; i++) {
        g_free(d->in_pool[i]);
    }
    g_ptr_array_free(d->holders, true);
    g_array_free(d->macs, true);
    domain_region_free(d->region);
    pthread_mutex_destroy(&d->lock);
    g_free(d->pool);
    g_free(d->service);
    g_free(d->name);
    g_free(d);
}

unsigned domain_buffers(const Domain *d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < d->region->segments; i++) {
        n += d->region->segment[i].buffers;
    }
    return n;
}

bool domain_grow(Domain *d, unsigned buffers, unsigned node, GError **error)
{
    if (!domain_region_grow(d->region, buffers, node, d->name, error)) {
        return false;
    }
    if (d->tell) {
        d->tell(d);
    }
    for (unsigned i = 0; i < d->holders->len; i++) {
        DomainHolder *h = g_ptr_array_index(d->holders, i);

        h->grown(h);
    }
    domain_region_new_epoch(d->region);
    netvm_fence();                  /* pairs with netvm_new_epoch() */
    d->grown_epoch = d->region->epoch;
    look(d);
    return true;
}

bool domain_pool_put(Domain *d, uint32_t buffer)
{
    uint64_t *word;

    if (!netvm_map_has(&d->region->map, buffer)) {
        return false;
    }
    word = &d->in_pool[buffer >> NETVM_SEGMENT_SHIFT]
                      [(buffer & NETVM_INDEX_MASK) / 64];
    if (*word & BIT(buffer % 64)) {
        return false;
    }
    *word |= BIT(buffer % 64);
    d->pool[d->pool_n++] = buffer;
    if (G_UNLIKELY(d->hungry)) {
        domain_feed(d);
    }
    return true;
}

/* -- Holders --------------------------------------------------------------- */

void domain_feed(Domain *d)
{
    d->hungry = false;
    for (unsigned i = 0; i < d->holders->len; i++) {
        DomainHolder *h = g_ptr_array_index(d->holders, i);

        if (h->hungry) {
            h->hungry = false;
            kick(h->wake_fd);
        }
    }
}

void domain_add_holder(Domain *d, DomainHolder *h)
{
    pthread_mutex_lock(&d->lock);
    g_ptr_array_add(d->holders, h);
    pthread_mutex_unlock(&d->lock);
}

void domain_remove_holder(Domain *d, DomainHolder *h)
{
    pthread_mutex_lock(&d->lock);
    g_ptr_array_remove(d->holders, h);
    pthread_mutex_unlock(&d->lock);
}

/* -- Rings between members ------------------------------------------------- */

static struct netvm_ring *direct_ring(const Domain *d, unsigned from,
                                      unsigned to)
{
    return domain_region_ring(d->region,
                              NETVM_RING_DIRECT(d->region->layout.members,
                                                from, to));
}

/* Rings between @m and all who are there. */
static void set_direct_rings(Domain *d, const DomainMember *m,
                             enum netvm_ring_state state)
{
    for (unsigned i = 1; i <= d->region->layout.members; i++) {
        if (i != m->number && (state == NETVM_RING_CLOSED ||
                               d->member[i].state == MEMBER_ATTACHED)) {
            netvm_write32(&direct_ring(d, m->number, i)->state, state);
            netvm_write32(&direct_ring(d, i, m->number)->state, state);
        }
    }
}

/* -- Coming ---------------------------------------------------------------- */

static DomainMember *free_member(Domain *d)
{
    for (unsigned i = 1; i <= d->region->layout.members; i++) {
        if (d->member[i].state == MEMBER_FREE) {
            return &d->member[i];
        }
    }
    return NULL;
}

static bool somebody_is_leaving(const Domain *d)
{
    for (unsigned i = 1; i <= d->region->layout.members; i++) {
        if (d->member[i].state == MEMBER_LEAVING ||
            d->member[i].state == MEMBER_QUARANTINE) {
            return true;
        }
    }
    return false;
}

DomainMember *domain_join(Domain *d, uint16_t port, const char *name,
                          GError **error)
{
    DomainMember *m = free_member(d);

    if (!m) {
        FAILED(error, "domain %s has no number left for another member: %s",
               d->name, somebody_is_leaving(d) ?
               "of some who left others have not seen it yet; try again, and "
               "if that does not help, a member is paused: let it run" :
               "make it anew with more members=");
        return NULL;
    }
    m->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->call_fd < 0 || m->kick_fd < 0) {
        FAILED(error, "cannot make an eventfd: %s", g_strerror(errno));
        close(m->call_fd);
        close(m->kick_fd);
        m->call_fd = m->kick_fd = -1;
        return NULL;
    }
    m->port = port;
    m->serial = ++d->serials;
    m->state = MEMBER_JOINED;
    memset(m->stats, 0, sizeof(*m->stats));
    m->shown->port = port;
    memset(m->shown->name, 0, sizeof(m->shown->name));
    g_strlcpy(m->shown->name, name, sizeof(m->shown->name));
    netvm_write(&m->shown->epoch_seen, NETVM_EPOCH_IDLE);
    netvm_write32(&m->shown->serial_attached, 0);
    netvm_write32(&m->shown->serial, m->serial);
    netvm_write32(&m->shown->state, NETVM_MEMBER_THERE);
    d->members++;
    return m;
}

void domain_attach(Domain *d, DomainMember *m)
{
    m->state = MEMBER_ATTACHED;
    pthread_mutex_lock(&d->lock);
    m->attached = true;
    d->attached |= BIT(m->number);
    pthread_mutex_unlock(&d->lock);
    /* Its worker has buffers for it now. */
    kick(m->kick_fd);
}

void domain_connect(Domain *d, DomainMember *m)
{
    if (d->region->layout.direct) {
        set_direct_rings(d, m, NETVM_RING_OPEN);
    }
    domain_region_new_epoch(d->region);
}

/* -- Going ----------------------------------------------------------------- */

/* Of @members, those who have not said that they know @epoch. */
static uint64_t who_has_not_seen(const Domain *d, uint64_t members,
                                 uint64_t epoch)
{
    members &= d->attached;
    for (uint64_t left = members; left; left &= left - 1) {
        unsigned i = __builtin_ctzll(left);
        const DomainMember *m = &d->member[i];

        if (netvm_read_acquire(&m->shown->epoch_seen) >= epoch) {
            members &= ~BIT(i);
        }
    }
    return members;
}

/* Its number is free again: its rings go on where they are. */
static void forget(Domain *d, DomainMember *m)
{
    m->state = MEMBER_FREE;
    netvm_write32(&m->shown->state, NETVM_MEMBER_FREE);
    d->members--;
}

/* As far as others have seen that @m left.  True: nothing is left of it. */
static bool finish_leaving(Domain *d, DomainMember *m)
{
    uint64_t unseen = who_has_not_seen(d, m->unseen, m->left_epoch);
    bool late = g_get_monotonic_time() - m->left_us >
                DOMAIN_GRACE_MS * G_TIME_SPAN_MILLISECOND;

    if (unseen && !late) {
        return false;
    }
    if (unseen != m->unseen || m->state == MEMBER_LEAVING) {
        d->reclaimed += domain_reclaim(d, m, unseen);
        m->unseen = unseen;
    }
    if (!unseen) {
        forget(d, m);
        return true;
    }
    if (m->state != MEMBER_QUARANTINE) {
        m->state = MEMBER_QUARANTINE;
        d->quarantines++;
        g_message("domain %s: member %u stays in quarantine: some other member "
                  "has not seen that it left, paused maybe", d->name,
                  m->number);
    }
    return false;
}

/* Do all see the segments that came last? */
static bool finish_growing(Domain *d)
{
    if (d->segments_used < d->region->segments &&
        !who_has_not_seen(d, UINT64_MAX << 1, d->grown_epoch)) {
        while (d->segments_used < d->region->segments) {
            add_buffers(d, d->segments_used++);
        }
    }
    return d->segments_used == d->region->segments;
}

static gboolean on_look(gpointer opaque)
{
    Domain *d = opaque;

    d->look_source = 0;
    look(d);
    return G_SOURCE_REMOVE;
}

/* What waits for members to see something; again soon, if more is left. */
static void look(Domain *d)
{
    bool leaving = !finish_growing(d), quarantine = false;

    for (unsigned i = 1; i <= d->region->layout.members; i++) {
        DomainMember *m = &d->member[i];

        if ((m->state == MEMBER_LEAVING || m->state == MEMBER_QUARANTINE) &&
            !finish_leaving(d, m)) {
            leaving |= m->state == MEMBER_LEAVING;
            quarantine = true;
        }
    }
    g_clear_handle_id(&d->look_source, g_source_remove);
    if (leaving || quarantine) {
        d->look_source = g_timeout_add(leaving ? LOOK_MS : QUARANTINE_LOOK_MS,
                                       on_look, d);
    }
}

void domain_leave(Domain *d, DomainMember *m)
{
    bool was_attached = m->state == MEMBER_ATTACHED;

    pthread_mutex_lock(&d->lock);
    m->attached = false;
    d->attached &= ~BIT(m->number);
    close(m->call_fd);
    m->call_fd = -1;
    pthread_mutex_unlock(&d->lock);
    close(m->kick_fd);
    m->kick_fd = -1;
    m->state = MEMBER_LEAVING;
    /* Who used this number before knows that it is not theirs. */
    netvm_write32(&m->shown->serial, ++d->serials);
    netvm_write32(&m->shown->state, NETVM_MEMBER_LEAVING);
    domain_hide_macs(d, m);
    set_direct_rings(d, m, NETVM_RING_CLOSED);
    domain_region_new_epoch(d->region);
    netvm_fence();                  /* pairs with netvm_new_epoch() */
    m->left_us = g_get_monotonic_time();
    m->left_epoch = d->region->epoch;
    /* Without having been attached it was sent nothing directly. */
    m->unseen = was_attached ? UINT64_MAX : 0;
    /* It may have died between a tail and the doorbell for it. */
    pthread_mutex_lock(&d->lock);
    for (uint64_t left = d->attached; left; left &= left - 1) {
        kick(d->member[__builtin_ctzll(left)].call_fd);
    }
    pthread_mutex_unlock(&d->lock);
    look(d);
}
