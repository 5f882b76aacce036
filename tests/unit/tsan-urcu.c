/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What liburcu orders, told to ThreadSanitizer, which does not see into it.
 *
 * Linked into tests that are built with -Db_sanitize=thread, in front of the
 * library: each function calls the library's.  QSBR's promise is that what a
 * reader did before its quiescent state is over when synchronize_rcu() returns;
 * and who reads a pointer sees what was written before it was set.  Nothing
 * else is promised here, so races in the daemon's own use of it are still found.
 *
 * Threads: any.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <glib.h>
#include <sanitizer/tsan_interface.h>
#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>

/* Readers release it, a grace period acquires it. */
static char readers;

#define THE_LIBRARYS(name) \
    static __typeof__(name) *found; \
    __typeof__(name) *next = __atomic_load_n(&found, __ATOMIC_RELAXED); \
    \
    if (!next) { \
        next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); \
        g_assert(next); \
        __atomic_store_n(&found, next, __ATOMIC_RELAXED); \
    }

void urcu_qsbr_quiescent_state(void)
{
    THE_LIBRARYS(urcu_qsbr_quiescent_state)
    __tsan_release(&readers);
    next();
}

void urcu_qsbr_thread_offline(void)
{
    THE_LIBRARYS(urcu_qsbr_thread_offline)
    __tsan_release(&readers);
    next();
}

void urcu_qsbr_unregister_thread(void)
{
    THE_LIBRARYS(urcu_qsbr_unregister_thread)
    __tsan_release(&readers);
    next();
}

void urcu_qsbr_synchronize_rcu(void)
{
    THE_LIBRARYS(urcu_qsbr_synchronize_rcu)
    next();
    __tsan_acquire(&readers);
}

/* Who reads a pointer acquires what was written before it was set: the sync
 * variable is what it points to. */
void *rcu_set_pointer_sym(void **p, void *v)
{
    THE_LIBRARYS(rcu_set_pointer_sym)
    if (v) {
        __tsan_release(v);
    }
    return next(p, v);
}

void *rcu_dereference_sym(void *v)
{
    THE_LIBRARYS(rcu_dereference_sym)
    if (v) {
        __tsan_acquire(v);
    }
    return next(v);
}

/* -- Hash tables ----------------------------------------------------------- */

/* The library compares nodes before it returns one. */
typedef struct Match {
    cds_lfht_match_fct match;
    const void *key;
} Match;

static int acquire_and_match(struct cds_lfht_node *node, const void *opaque)
{
    const Match *m = opaque;

    __tsan_acquire(node);
    return m->match(node, m->key);
}

void cds_lfht_lookup(struct cds_lfht *ht, unsigned long hash,
                     cds_lfht_match_fct match, const void *key,
                     struct cds_lfht_iter *iter)
{
    Match m = { match, key };

    THE_LIBRARYS(cds_lfht_lookup)
    next(ht, hash, acquire_and_match, &m, iter);
}

struct cds_lfht_node *cds_lfht_add_unique(struct cds_lfht *ht,
                                          unsigned long hash,
                                          cds_lfht_match_fct match,
                                          const void *key,
                                          struct cds_lfht_node *node)
{
    Match m = { match, key };

    THE_LIBRARYS(cds_lfht_add_unique)
    __tsan_release(node);
    return next(ht, hash, acquire_and_match, &m, node);
}

void cds_lfht_first(struct cds_lfht *ht, struct cds_lfht_iter *iter)
{
    THE_LIBRARYS(cds_lfht_first)
    next(ht, iter);
    if (cds_lfht_iter_get_node(iter)) {
        __tsan_acquire(cds_lfht_iter_get_node(iter));
    }
}

void cds_lfht_next(struct cds_lfht *ht, struct cds_lfht_iter *iter)
{
    THE_LIBRARYS(cds_lfht_next)
    next(ht, iter);
    if (cds_lfht_iter_get_node(iter)) {
        __tsan_acquire(cds_lfht_iter_get_node(iter));
    }
}
