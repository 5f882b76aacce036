/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A load that sends packets round in a circle, for bench_netvm.py: one thread
 * has all members of the circle, or two have every other one, each on a core of
 * its own.
 *
 * What kind of ring they are sent through is the program's; that each takes
 * bursts of the same length, does the same with a packet, and is measured in
 * the same way, is here.
 *
 * Threads: the one that obeys stdin has the first members; another one begins
 * and ends with each sample.
 */
#ifndef BENCH_CIRCLE_H
#define BENCH_CIRCLE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CIRCLE_BURST 32
/* Packets under way; a ring of 1024 has room for more. */
#define CIRCLE_INFLIGHT_MAX 1000
#define CIRCLE_BYTES_MAX 1700

typedef struct CircleOptions {
    int cpu, other_cpu, threads;
    int bytes;                      /* of a packet, without FCS */
    int inflight;
    int packets;                    /* pass so many and end; 0: samples */
    double seconds;                 /* of a sample */
    gboolean touch;
} CircleOptions;

extern CircleOptions circle_opt;

typedef struct Circle {
    const char *name, *summary;
    const GOptionEntry *entries;    /* beside those of all circles */
    /* The options are right, and the thread is on its core. */
    bool (*begin)(GError **error);
    /* Each member of @thread passes a burst on; how many packets that were.
     * Negative: it cannot any more. */
    int (*pass)(unsigned thread);
    /* What else a sample says: ", \"key\": value"; may be NULL. */
    void (*describe)(GString *json);
    void (*end)(void);              /* begin() may have failed */
} Circle;

/* The program's main(): obeys "sample" and "quit" on stdin. */
int circle_main(int argc, char **argv, const Circle *circle);

/* What each member does with a packet that it touches: reads its first line,
 * and swaps its addresses. */
static inline void circle_touch(uint8_t *data)
{
    uint8_t mac[6];
    uint64_t read;

    memcpy(mac, data, 6);
    memcpy(data, data + 6, 6);
    memcpy(data + 6, mac, 6);
    memcpy(&read, data + 24, sizeof(read));
    __asm__ volatile("" : : "r"(read));
}

#endif
