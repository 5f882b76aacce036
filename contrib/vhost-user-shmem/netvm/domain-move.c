/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets of a domain in the daemon: what a member has sent is handed on to
 * another one, as its action says, without being touched; what is not for a
 * member is given out, for the switch; and frames are copied in.
 *
 * Threads: workers, under the domain's lock but for domain_take() and
 * domain_done(), which take it.
 */
#include <string.h>

#include "../kick.h"
#include "domain-chain.h"

/* Free buffers that a member is offered. */
#define FILL_BUFFERS 256
#define FILL_BURST 64

/* -- To a member ----------------------------------------------------------- */

/* The rings that were put into are published, and who sleeps is woken. */
static void publish(Domain *d, DomainGiven *given)
{
    for (uint64_t left = given->members; left; left &= left - 1) {
        unsigned i = __builtin_ctzll(left);
        DomainMember *m = &d->member[i];

        if (netvm_sender_publish(&m->rx, given->n[i])) {
            kick(m->call_fd);
        }
        domain_count(&m->stats->given_pkts, given->n[i]);
    }
}

void domain_give_begin(DomainGiven *given)
{
    given->members = 0;
}

void domain_give_end(Domain *d, DomainGiven *given)
{
    publish(d, given);
}

DomainGive domain_give(Domain *d, DomainGiven *given, unsigned member,
                       const struct netvm_desc *desc)
{
    DomainMember *m;

    if (member > NETVM_MEMBERS_MAX || !(d->attached >> member & 1)) {
        return DOMAIN_NOT_THERE;
    }
    m = &d->member[member];
    if (netvm_sender_room(&m->rx, 1) == 0) {
        return DOMAIN_NO_ROOM;
    }
    netvm_sender_put(&m->rx, &d->region->map, desc);
    if (!(given->members >> member & 1)) {
        given->members |= UINT64_C(1) << member;
        given->n[member] = 0;
        given->bytes[member] = 0;
    }
    given->n[member]++;
    given->bytes[member] += desc->length;
    return DOMAIN_GIVEN;
}

/* -- Free buffers ---------------------------------------------------------- */

static void fill(Domain *d, DomainMember *m)
{
    unsigned most = MIN(FILL_BUFFERS, m->fill.descs), put = 0;
    uint64_t used = m->fill.tail - m->fill.head_seen;

    /* What it says of its head is looked at when a burst of it may be gone. */
    if (used + FILL_BURST > most) {
        uint64_t head = netvm_read_acquire(&m->fill.ring->head);

        used = m->fill.tail - head;
        if (used > m->fill.descs || used + FILL_BURST > most) {
            return;                 /* it lies, or has enough */
        }
        m->fill.head_seen = head;
    }
    while (put < FILL_BURST) {
        struct netvm_desc desc = { .action = NETVM_DROP };
        uint32_t buffer = domain_pool_get(d);

        if (buffer == UINT32_MAX) {
            break;
        }
        desc.buffer = buffer;
        netvm_sender_put(&m->fill, &d->region->map, &desc);
        put++;
    }
    if (put > 0 && netvm_sender_publish(&m->fill, put)) {
        kick(m->call_fd);
    }
}

/* -- From a member --------------------------------------------------------- */

/* Did it really send that, here and now?  Finds what an honest one has got
 * wrong: a buffer that it sends twice, or has no more. */
static bool is_sent_here(const Domain *d, const DomainMember *m,
                         const struct netvm_desc *desc, uint64_t position)
{
    return netvm_read(netvm_map_owner(&d->region->map, desc->buffer)) ==
           netvm_owner_word(NETVM_RING_TX(m->number), position);
}

static void set_free(Domain *d, DomainMember *m, uint32_t buffer)
{
    domain_count(domain_pool_put(d, buffer) ? &m->stats->freed_buffers
                                     : &m->stats->bad_descs, 1);
}

/* One that cannot go where it should. */
static void drop(Domain *d, DomainMember *m, uint32_t buffer)
{
    domain_count(&m->stats->dropped_pkts, 1);
    domain_pool_put(d, buffer);
}

/* A packet that was to go on within the domain. */
static void went_on(Domain *d, DomainMember *m, DomainTaken *t,
                    const struct netvm_desc *desc, DomainGive result)
{
    if (G_LIKELY(result == DOMAIN_GIVEN)) {
        t->moved++;
    } else {
        *(result == DOMAIN_NO_ROOM ? &t->no_room : &t->not_there) += 1;
        drop(d, m, desc->buffer);
    }
}

static void act(Domain *d, DomainMember *m, DomainTaken *t,
                struct netvm_desc *desc, struct netvm_desc *out)
{
    unsigned to;

    switch (desc->action) {
    case NETVM_DROP:
        set_free(d, m, desc->buffer);
        break;
    case NETVM_TO_MEMBER:
        to = desc->port;
        desc->port = m->port;
        went_on(d, m, t, desc, domain_give(d, &t->given, to, desc));
        break;
    case NETVM_TO_SERVICE:
        to = desc->port;
        desc->port = m->port;
        went_on(d, m, t, desc, domain_give_service(d, &t->given, to, desc));
        break;
    case NETVM_NEXT:
        went_on(d, m, t, desc, domain_give_hop(d, &t->given, desc->chain,
                                               desc->hop + 1, desc));
        break;
    case NETVM_SWITCH:
    case NETVM_OUT:
        if (desc->length < FRAME_MIN_BYTES) {
            domain_count(&m->stats->bad_descs, 1);
            domain_pool_put(d, desc->buffer);
            break;
        }
        out[t->out_n++] = *desc;
        break;
    default:
        domain_count(&m->stats->bad_descs, 1);
        domain_pool_put(d, desc->buffer);
    }
}

bool domain_take(Domain *d, DomainMember *m, unsigned most, DomainTaken *t,
                 struct netvm_desc out[DOMAIN_BURST])
{
    struct netvm_desc desc[DOMAIN_BURST];
    uint64_t position = m->tx.head;
    uint32_t n;

    t->out_n = t->moved = t->no_room = t->not_there = 0;
    t->bytes = 0;
    pthread_mutex_lock(&d->lock);
    domain_give_begin(&t->given);
    n = netvm_receive(&m->tx, desc, MIN(most, DOMAIN_BURST));
    if (n == NETVM_RING_BROKEN) {
        pthread_mutex_unlock(&d->lock);
        t->n = 0;
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (G_LIKELY(i + 4 < n) &&
            netvm_map_has(&d->region->map, desc[i + 4].buffer)) {
            __builtin_prefetch(netvm_map_owner(&d->region->map,
                                               desc[i + 4].buffer), 1);
        }
        if (G_UNLIKELY(!netvm_map_has(&d->region->map, desc[i].buffer) ||
                       !is_sent_here(d, m, &desc[i], position + i))) {
            domain_count(&m->stats->bad_descs, 1);
            continue;
        }
        if (G_UNLIKELY(!netvm_map_holds(&d->region->map, &desc[i]))) {
            domain_count(&m->stats->bad_descs, 1);
            domain_pool_put(d, desc[i].buffer);
            continue;
        }
        t->bytes += desc[i].length;
        act(d, m, t, &desc[i], out);
    }
    domain_give_end(d, &t->given);
    if (n > 0) {
        domain_count(&m->stats->taken_pkts, n);
        domain_count(&m->stats->moved_pkts, t->moved);
    }
    if (m->attached) {
        fill(d, m);
    }
    pthread_mutex_unlock(&d->lock);
    t->n = n;
    return true;
}

void domain_done(Domain *d, const struct netvm_desc *desc, unsigned n,
                 uint64_t gone)
{
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < n; i++) {
        if (!(gone >> i & 1)) {
            domain_pool_put(d, desc[i].buffer);
        }
    }
    pthread_mutex_unlock(&d->lock);
}

/* -- Into the domain ------------------------------------------------------- */

DomainGive domain_copy(Domain *d, const Frame *f, struct netvm_desc *desc)
{
    uint32_t room = d->region->layout.buffer_bytes - NETVM_HEADROOM_BYTES;

    if (f->bytes > room) {
        return DOMAIN_TOO_LONG;
    }
    desc->buffer = domain_pool_get(d);
    if (desc->buffer == UINT32_MAX) {
        return DOMAIN_NO_BUFFER;
    }
    desc->offset = NETVM_HEADROOM_BYTES;
    desc->length = f->bytes;
    frame_gather(f, netvm_map_buffer(&d->region->map, desc->buffer) +
                    desc->offset);
    d->copies++;
    return DOMAIN_GIVEN;
}
