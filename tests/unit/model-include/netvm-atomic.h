/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes the place of contrib/libnetvm/netvm-atomic.h, whose guard it has: what
 * includes this first has each access to shared memory made by the model
 * checker (netvm-model.h).
 *
 * Threads: single.
 */
#ifndef NETVM_ATOMIC_H
#define NETVM_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

uint64_t model_read(const void *at, bool acquire);
void model_write(void *at, uint64_t value, bool release);
void model_fence(void);

static inline uint64_t netvm_read(const uint64_t *at)
{
    return model_read(at, false);
}

static inline void netvm_write(uint64_t *at, uint64_t value)
{
    model_write(at, value, false);
}

static inline uint64_t netvm_read_acquire(const uint64_t *at)
{
    return model_read(at, true);
}

static inline void netvm_write_release(uint64_t *at, uint64_t value)
{
    model_write(at, value, true);
}

static inline void netvm_fence(void)
{
    model_fence();
}

static inline uint32_t netvm_read32(const uint32_t *at)
{
    return model_read(at, true);
}

static inline void netvm_write32(uint32_t *at, uint32_t value)
{
    model_write(at, value, true);
}

#endif
