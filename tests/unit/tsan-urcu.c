/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What liburcu orders, told to ThreadSanitizer, which does not see into it.
 *
 * Linked into tests that are built with -fsanitize=thread, in front of the
 * library: each function calls the library's.  QSBR's promise is that what a
 * reader did before its quiescent state is over when synchronize_rcu() returns;
 * and who reads a pointer sees what was written before it was set.  Nothing else
 * is promised here, so races in the daemon's own use of it are still found.
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
    static __typeof__(name) *next; \
    \
    if (!next) { \
        next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name); \
        g_assert(next); \
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

void *rcu_set_pointer_sym(void **p, void *v)
{
    THE_LIBRARYS(rcu_set_pointer_sym)
    __tsan_release(p);
    return next(p, v);
}

/* A pointer is not told where it was read from: who reads any acquires what was
 * written before it was set. */
void *rcu_dereference_sym(void *v)
{
    THE_LIBRARYS(rcu_dereference_sym)
    return next(v);
}
