/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "../kick.h"
#include "../port-settings.h"
#include "domain-chain.h"

#define FAILED(error, ...) \
    g_set_error(error, PORT_SETTINGS_ERROR, 0, __VA_ARGS__)

/* -- What members see ------------------------------------------------------ */

static void show_service(Domain *d, unsigned number)
{
    const DomainService *s = &d->service[number];
    struct netvm_service *shown = domain_region_service(d->region, number);
    uint32_t sequence = d->service_sequence[number];

    netvm_write32(&shown->sequence, sequence + 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    memcpy(shown->name, s->name, sizeof(shown->name));
    shown->balance = d->settings.balance;
    shown->instances = s->instances;
    for (unsigned i = 0; i < s->instances; i++) {
        shown->instance[i] = s->instance[i];
    }
    d->service_sequence[number] = sequence + 2;
    netvm_write32(&shown->sequence, sequence + 2);
}

/* -- Services -------------------------------------------------------------- */

unsigned domain_name_service(Domain *d, const char *name, GError **error)
{
    unsigned number = 0;

    for (unsigned i = 1; i < NETVM_SERVICES_MAX; i++) {
        if (!strcmp(d->service[i].name, name)) {
            d->service[i].named++;
            return i;
        }
        if (number == 0 && d->service[i].named == 0) {
            number = i;
        }
    }
    if (number == 0) {
        FAILED(error, "domain %s has %u services already, as many as can be",
               d->name, NETVM_SERVICES_MAX - 1);
        return 0;
    }
    d->service[number] = (DomainService) { .named = 1 };
    g_strlcpy(d->service[number].name, name, NETVM_NAME_BYTES);
    show_service(d, number);
    return number;
}

void domain_unname_service(Domain *d, unsigned service)
{
    if (--d->service[service].named == 0) {
        d->service[service].name[0] = '\0';
        show_service(d, service);
    }
}

unsigned domain_name_port_service(Domain *d, const char *name, GError **error)
{
    unsigned number = domain_name_service(d, name, error);

    if (number != 0 && d->service[number].ports == NETVM_INSTANCES_MAX) {
        FAILED(error, "service=%s: %u ports of domain %s have it already, as "
               "many as can be: leave it out, or remove one of them", name,
               NETVM_INSTANCES_MAX, d->name);
        domain_unname_service(d, number);
        return 0;
    }
    d->service[number].ports += number != 0;
    return number;
}

void domain_unname_port_service(Domain *d, unsigned service)
{
    d->service[service].ports--;
    domain_unname_service(d, service);
}

void domain_add_instance(Domain *d, unsigned service, DomainMember *m)
{
    DomainService *s = &d->service[service];

    pthread_mutex_lock(&d->lock);
    /* One at each of its ports. */
    g_assert(s->instances < NETVM_INSTANCES_MAX);
    s->instance[s->instances++] = m->number;
    pthread_mutex_unlock(&d->lock);
    show_service(d, service);
}

void domain_remove_instance(Domain *d, unsigned service, DomainMember *m)
{
    DomainService *s = &d->service[service];

    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < s->instances; i++) {
        if (s->instance[i] == m->number) {
            memmove(&s->instance[i], &s->instance[i + 1],
                    s->instances - i - 1);
            s->instances--;
            break;
        }
    }
    pthread_mutex_unlock(&d->lock);
    show_service(d, service);
}

static unsigned depth(Domain *d, unsigned member)
{
    DomainMember *m = &d->member[member];

    return m->rx.tail - netvm_read_acquire(&m->rx.ring->head);
}

DomainGive domain_give_service(Domain *d, DomainGiven *given, unsigned service,
                               const struct netvm_desc *desc)
{
    const DomainService *s;
    unsigned least = UINT_MAX, member;

    if (service >= NETVM_SERVICES_MAX || d->service[service].instances == 0) {
        return DOMAIN_NOT_THERE;
    }
    s = &d->service[service];
    member = s->instance[desc->hash % s->instances];
    if (d->settings.balance == NETVM_BY_DEPTH && s->instances > 1) {
        for (unsigned i = 0; i < s->instances; i++) {
            unsigned waiting = depth(d, s->instance[i]);

            if (waiting < least) {
                least = waiting;
                member = s->instance[i];
            }
        }
    }
    return domain_give(d, given, member, desc);
}

/* -- Chains: their text ---------------------------------------------------- */

/* Names of one hop after the other; @each gets them. */
static bool parse(const char *text,
                  bool (*each)(void *opaque, unsigned hop, unsigned parallel,
                               const char *name, GError **error),
                  void *opaque, unsigned *hops, GError **error)
{
    g_auto(GStrv) hop = g_strsplit(text, ",", -1);

    *hops = g_strv_length(hop);
    if (*hops == 0 || *hops > CHAIN_HOPS) {
        FAILED(error, "services=%s: a chain has 1 to %u hops, with commas",
               text, CHAIN_HOPS);
        return false;
    }
    for (unsigned i = 0; i < *hops; i++) {
        g_auto(GStrv) name = g_strsplit(hop[i], "+", -1);

        if (g_strv_length(name) > CHAIN_PARALLEL) {
            FAILED(error, "services=%s: %s are more than the %u services that "
                   "one hop can have", text, hop[i], CHAIN_PARALLEL);
            return false;
        }
        for (unsigned k = 0; k == 0 || name[k]; k++) {
            const char *one = name[k] ? name[k] : "";

            if (!port_name_check(one, error)) {
                g_prefix_error(error, "services=%s: ", text);
                return false;
            }
            if (strlen(one) >= NETVM_NAME_BYTES) {
                FAILED(error, "services=%s: a service's name has at most %u "
                       "characters", text, NETVM_NAME_BYTES - 1);
                return false;
            }
            if (each && !each(opaque, i, k, one, error)) {
                return false;
            }
        }
    }
    return true;
}

bool chain_check(const char *text, GError **error)
{
    unsigned hops;

    return parse(text, NULL, NULL, &hops, error);
}

/* -- Chains ---------------------------------------------------------------- */

typedef struct Building {
    Domain *d;
    ChainHop hop[CHAIN_HOPS];
} Building;

static bool add_service(void *opaque, unsigned hop, unsigned parallel,
                        const char *name, GError **error)
{
    Building *b = opaque;
    unsigned service = domain_name_service(b->d, name, error);

    if (service == 0) {
        return false;
    }
    b->hop[hop].service[parallel] = service;
    b->hop[hop].services = parallel + 1;
    return true;
}

static void unname(Domain *d, const ChainHop *hop)
{
    for (unsigned i = 0; i < CHAIN_HOPS; i++) {
        for (unsigned k = 0; k < hop[i].services; k++) {
            domain_unname_service(d, hop[i].service[k]);
        }
    }
}

/* Members send on directly to a hop that is one service. */
static void show_chain(Domain *d, const DomainChain *c, unsigned hops_before)
{
    for (unsigned i = 0; i < MAX(c->hops, hops_before); i++) {
        bool is_one = i < c->hops && c->hop[i].services == 1;

        domain_show_flow(d, NETVM_KEY_HOP(c->number, i),
                         is_one ? NETVM_VALUE_SERVICE(c->hop[i].service[0])
                                : 0);
    }
}

bool domain_set_chain(Domain *d, DomainChain *c, const char *text,
                      GError **error)
{
    Building b = { .d = d };
    ChainHop before[CHAIN_HOPS];
    unsigned hops, hops_before = c->hops;

    if (!parse(text, add_service, &b, &hops, error)) {
        unname(d, b.hop);
        return false;
    }
    memcpy(before, c->hop, sizeof(before));
    pthread_mutex_lock(&d->lock);
    memcpy(c->hop, b.hop, sizeof(c->hop));
    c->hops = hops;
    d->chain[c->number - 1] = c;
    pthread_mutex_unlock(&d->lock);
    show_chain(d, c, hops_before);
    unname(d, before);
    return true;
}

void domain_remove_chain(Domain *d, DomainChain *c)
{
    unsigned hops_before = c->hops;

    pthread_mutex_lock(&d->lock);
    d->chain[c->number - 1] = NULL;
    c->hops = 0;
    for (; c->done_head != c->done_tail; c->done_head++) {
        domain_pool_put(d, c->done[c->done_head % CHAIN_DONE].buffer);
    }
    pthread_mutex_unlock(&d->lock);
    show_chain(d, c, hops_before);
    unname(d, c->hop);
    memset(c->hop, 0, sizeof(c->hop));
}

/* -- Packets --------------------------------------------------------------- */

static DomainGive finish(DomainChain *c, const struct netvm_desc *desc)
{
    if (desc->length < FRAME_MIN_BYTES) {
        return DOMAIN_TOO_LONG;
    }
    if (c->done_tail - c->done_head == CHAIN_DONE) {
        return DOMAIN_NO_ROOM;
    }
    c->done[c->done_tail++ % CHAIN_DONE] = *desc;
    if (c->wake_fd >= 0) {
        kick(c->wake_fd);
        c->wake_fd = -1;
    }
    return DOMAIN_GIVEN;
}

/* A copy, which no one sends on. */
static void give_copy(Domain *d, DomainGiven *given, unsigned service,
                      const struct netvm_desc *desc)
{
    struct netvm_desc copy = *desc;

    copy.buffer = domain_pool_get(d);
    copy.chain = copy.hop = 0;
    if (copy.buffer == UINT32_MAX) {
        return;
    }
    memcpy(netvm_map_buffer(&d->region->map, copy.buffer) + copy.offset,
           netvm_map_buffer(&d->region->map, desc->buffer) + desc->offset,
           desc->length);
    d->copies++;
    if (domain_give_service(d, given, service, &copy) != DOMAIN_GIVEN) {
        domain_pool_put(d, copy.buffer);
    }
}

DomainGive domain_give_hop(Domain *d, DomainGiven *given, unsigned number,
                           unsigned hop, struct netvm_desc *desc)
{
    DomainChain *c = number >= 1 && number <= SWITCH_MAX_PORTS
                     ? d->chain[number - 1] : NULL;

    if (!c) {
        return DOMAIN_NOT_THERE;
    }
    if (hop >= c->hops) {
        return finish(c, desc);
    }
    desc->chain = number;
    desc->hop = hop;
    for (unsigned i = 1; i < c->hop[hop].services; i++) {
        give_copy(d, given, c->hop[hop].service[i], desc);
    }
    return domain_give_service(d, given, c->hop[hop].service[0], desc);
}
