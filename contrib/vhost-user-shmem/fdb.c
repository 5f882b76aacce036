/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lock-free hash table of liburcu's (rculfhash).
 *
 * An address moves to another port at once, but not within the second in which
 * it was heard at the first: two guests that claim the same one cannot void
 * everybody's flows more often than that.
 *
 * Threads: see fdb.h.
 */
#include <string.h>

#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>

#include "fdb.h"

#define BUCKETS 4096

typedef struct Entry {
    struct cds_lfht_node node;
    uint64_t key;
    uint16_t port;              /* atomic */
    bool is_static;             /* never changes */
    uint32_t heard_s;           /* atomic */
    struct Entry *next;         /* of those to be freed */
} Entry;

struct Fdb {
    struct cds_lfht *table;
    uint64_t multiplier;
    unsigned max;
    unsigned ports;
    uint32_t total;             /* atomic: entries */
    uint32_t *learned;          /* atomic: entries of each port, not static */
};

static uint64_t key_of(const uint8_t mac[6], uint16_t vlan)
{
    uint64_t key = vlan;

    for (unsigned i = 0; i < 6; i++) {
        key = key << 8 | mac[i];
    }
    return key;
}

/* A guest does not know the multiplier: it cannot fill one bucket. */
static unsigned long hash_of(const Fdb *fdb, uint64_t key)
{
    uint64_t hash = key * fdb->multiplier;

    return (hash ^ hash >> 32) * fdb->multiplier >> 16;
}

static int matches(struct cds_lfht_node *node, const void *key)
{
    return caa_container_of(node, Entry, node)->key == *(const uint64_t *)key;
}

static Entry *find(Fdb *fdb, uint64_t key)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    cds_lfht_lookup(fdb->table, hash_of(fdb, key), matches, &key, &iter);
    node = cds_lfht_iter_get_node(&iter);
    return node ? caa_container_of(node, Entry, node) : NULL;
}

/* An entry's port, once it is forgotten: it moves no more. */
#define NO_PORT UINT16_MAX

static uint16_t port_of(const Entry *e)
{
    return __atomic_load_n(&e->port, __ATOMIC_RELAXED);
}

/* One more, unless there are @max. */
static bool take(uint32_t *counter, uint32_t max)
{
    if (__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED) >= max) {
        __atomic_fetch_sub(counter, 1, __ATOMIC_RELAXED);
        return false;
    }
    return true;
}

static void give_back(uint32_t *counter)
{
    __atomic_fetch_sub(counter, 1, __ATOMIC_RELAXED);
}

/* -- Life ------------------------------------------------------------------ */

Fdb *fdb_new(unsigned max, unsigned ports)
{
    Fdb *fdb = g_new0(Fdb, 1);

    fdb->table = cds_lfht_new(BUCKETS, BUCKETS, BUCKETS, 0, NULL);
    g_assert(fdb->table);
    fdb->multiplier = (uint64_t)g_random_int() << 32 | g_random_int() | 1;
    fdb->max = max;
    fdb->ports = ports;
    fdb->learned = g_new0(uint32_t, ports);
    return fdb;
}

void fdb_free(Fdb *fdb)
{
    fdb_forget(fdb, -1, UINT32_MAX, true);
    cds_lfht_destroy(fdb->table, NULL);
    g_free(fdb->learned);
    g_free(fdb);
}

/* -- Workers --------------------------------------------------------------- */

int fdb_find(Fdb *fdb, const uint8_t mac[6], uint16_t vlan)
{
    const Entry *e = find(fdb, key_of(mac, vlan));
    uint16_t port = e ? port_of(e) : NO_PORT;

    return port != NO_PORT ? port : -1;
}

static Entry *entry_new(uint64_t key, uint16_t port, uint32_t now_s,
                        bool is_static)
{
    Entry *e = g_new0(Entry, 1);

    cds_lfht_node_init(&e->node);
    e->key = key;
    e->port = port;
    e->heard_s = now_s;
    e->is_static = is_static;
    return e;
}

/* False: some worker has been faster. */
static bool add_learned(Fdb *fdb, uint64_t key, uint16_t port, uint32_t now_s)
{
    Entry *e = entry_new(key, port, now_s, false);

    if (cds_lfht_add_unique(fdb->table, hash_of(fdb, key), matches, &key,
                            &e->node) != &e->node) {
        g_free(e);
        return false;
    }
    return true;
}

static FdbLearned learn_new(Fdb *fdb, uint64_t key, uint16_t port,
                            uint32_t now_s, uint32_t max)
{
    uint32_t *learned = &fdb->learned[port];

    if (!take(learned, max)) {
        return FDB_REFUSED;
    }
    if (!take(&fdb->total, fdb->max)) {
        give_back(learned);
        return FDB_REFUSED;
    }
    if (!add_learned(fdb, key, port, now_s)) {
        give_back(&fdb->total);
        give_back(learned);
        return FDB_KNOWN;
    }
    return FDB_NEW;
}

FdbLearned fdb_learn(Fdb *fdb, const uint8_t mac[6], uint16_t vlan,
                     uint16_t port, uint32_t now_s, uint32_t max)
{
    uint64_t key = key_of(mac, vlan);
    Entry *e = find(fdb, key);
    uint16_t old;

    if (!e) {
        return learn_new(fdb, key, port, now_s, max);
    }
    old = port_of(e);
    if (old == port) {
        if (!e->is_static) {
            __atomic_store_n(&e->heard_s, now_s, __ATOMIC_RELAXED);
        }
        return FDB_KNOWN;
    }
    if (e->is_static || old == NO_PORT ||
        __atomic_load_n(&e->heard_s, __ATOMIC_RELAXED) == now_s ||
        !take(&fdb->learned[port], max)) {
        return FDB_REFUSED;
    }
    if (!__atomic_compare_exchange_n(&e->port, &old, port, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        give_back(&fdb->learned[port]);
        return FDB_KNOWN;
    }
    give_back(&fdb->learned[old]);
    __atomic_store_n(&e->heard_s, now_s, __ATOMIC_RELAXED);
    return FDB_MOVED;
}

/* -- Control --------------------------------------------------------------- */

typedef bool Wanted(const Entry *e, const void *opaque);

static unsigned forget_all(Fdb *fdb, Wanted *wanted, const void *opaque)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;
    Entry *dead = NULL, *e;
    unsigned n = 0;

    rcu_thread_online();
    cds_lfht_for_each(fdb->table, &iter, node) {
        uint16_t port;

        e = caa_container_of(node, Entry, node);
        if (!wanted(e, opaque) || cds_lfht_del(fdb->table, node) != 0) {
            continue;
        }
        port = __atomic_exchange_n(&e->port, NO_PORT, __ATOMIC_RELAXED);
        give_back(&fdb->total);
        if (!e->is_static) {
            give_back(&fdb->learned[port]);
        }
        e->next = dead;
        dead = e;
        n++;
    }
    rcu_thread_offline();
    if (dead) {
        synchronize_rcu();
    }
    while (dead) {
        e = dead;
        dead = e->next;
        g_free(e);
    }
    return n;
}

typedef struct Which {
    int port;
    uint32_t before_s;
    bool with_static;
} Which;

static bool is_old(const Entry *e, const void *opaque)
{
    const Which *w = opaque;

    return (w->port < 0 || port_of(e) == w->port) &&
           (e->is_static ? w->with_static
            : w->before_s == UINT32_MAX ||
              __atomic_load_n(&e->heard_s, __ATOMIC_RELAXED) < w->before_s);
}

unsigned fdb_forget(Fdb *fdb, int port, uint32_t before_s, bool with_static)
{
    Which which = { port, before_s, with_static };

    return forget_all(fdb, is_old, &which);
}

static bool has_key(const Entry *e, const void *opaque)
{
    return e->key == *(const uint64_t *)opaque;
}

/* In place of whatever has its key: workers may learn that at any time. */
static void replace(Fdb *fdb, Entry *e)
{
    struct cds_lfht_node *node;
    Entry *old;
    uint16_t port;

    rcu_thread_online();
    node = cds_lfht_add_replace(fdb->table, hash_of(fdb, e->key), matches,
                                &e->key, &e->node);
    rcu_thread_offline();
    if (!node) {
        return;
    }
    old = caa_container_of(node, Entry, node);
    port = __atomic_exchange_n(&old->port, NO_PORT, __ATOMIC_RELAXED);
    give_back(&fdb->total);
    if (!old->is_static) {
        give_back(&fdb->learned[port]);
    }
    synchronize_rcu();
    g_free(old);
}

bool fdb_set_static(Fdb *fdb, const uint8_t mac[6], uint16_t vlan,
                    uint16_t port)
{
    uint64_t key = key_of(mac, vlan);

    /* With no room left, that of its own entry may do. */
    if (!take(&fdb->total, fdb->max) &&
        (forget_all(fdb, has_key, &key) == 0 ||
         !take(&fdb->total, fdb->max))) {
        return false;
    }
    replace(fdb, entry_new(key, port, 0, true));
    return true;
}

bool fdb_unset_static(Fdb *fdb, const uint8_t mac[6], uint16_t vlan)
{
    uint64_t key = key_of(mac, vlan);
    const Entry *e;
    bool found;

    rcu_thread_online();
    e = find(fdb, key);
    found = e && e->is_static;
    rcu_thread_offline();
    return found && forget_all(fdb, has_key, &key) > 0;
}

void fdb_foreach(Fdb *fdb, uint32_t now_s,
                 void (*each)(const FdbShown *e, void *opaque), void *opaque)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    rcu_thread_online();
    cds_lfht_for_each(fdb->table, &iter, node) {
        const Entry *e = caa_container_of(node, Entry, node);
        FdbShown shown = {
            .vlan = e->key >> 48, .port = port_of(e),
            .is_static = e->is_static,
        };

        for (unsigned i = 0; i < 6; i++) {
            shown.mac[i] = e->key >> (40 - 8 * i);
        }
        if (!e->is_static) {
            uint32_t heard = __atomic_load_n(&e->heard_s, __ATOMIC_RELAXED);

            shown.age_s = now_s > heard ? now_s - heard : 0;
        }
        each(&shown, opaque);
    }
    rcu_thread_offline();
}
