/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a frame was thrown away: one list for counters, their names and what they
 * mean to the reader of a table.
 *
 * Threads: counters belong to one worker each; others read them.
 */
#ifndef VUS_DROPS_H
#define VUS_DROPS_H

#include <stdint.h>

/* X(name, counter, text) */
#define DROPS(X) \
    X(RUNT,     "runt",      "shorter than its virtio-net and Ethernet headers") \
    X(RX_FULL,  "rx-full",   "the receiver has made too few buffers available") \
    X(RX_SHORT, "rx-short",  "longer than the receiver's buffer, and it merges none")

typedef enum Drop {
#define DROP_ENUM(name, counter, text) DROP_##name,
    DROPS(DROP_ENUM)
#undef DROP_ENUM
    DROP_REASONS
} Drop;

typedef struct DropCounters {
    uint64_t pkts[DROP_REASONS];
} DropCounters;

#endif
