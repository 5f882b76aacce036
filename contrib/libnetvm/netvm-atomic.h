/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How memory that members share is read and written: each word once, and in
 * which order.  The model checker (tests/unit/netvm-model) puts its own in
 * place of these.
 *
 * Threads: any.
 */
#ifndef NETVM_ATOMIC_H
#define NETVM_ATOMIC_H

#include <stdint.h>

/* Once, not torn, in no order. */
static inline uint64_t netvm_read(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static inline void netvm_write(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/* Before all that follows; pairs with netvm_write_release() of that word. */
static inline uint64_t netvm_read_acquire(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

/* After all that was read and written before. */
static inline void netvm_write_release(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* What was written before is seen by others before what is read after. */
static inline void netvm_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* What was copied before is not read again from where it was. */
static inline void netvm_copied(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* This line will be read and written soon. */
static inline void netvm_prefetch_line(const void *at)
{
#ifdef __x86_64__
    /* By default compilers know only of prefetches that leave it to others,
     * too, who are asked for it again when it is written. */
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)at));
#else
    __builtin_prefetch(at, 1);
#endif
}

/* This line will be read soon. */
static inline void netvm_prefetch_read(const void *at)
{
    __builtin_prefetch(at, 0);
}

static inline uint32_t netvm_read32(const uint32_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline void netvm_write32(uint32_t *at, uint32_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

#endif
