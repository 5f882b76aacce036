/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One link, a scheduler in front of it, and a clock that is stepped: what
 * happens to a given list of frames?  Uses the real queue and pacer, so that
 * they are tested and not a model of them.
 *
 * Threads: single.
 */
#ifndef EDF_SIM_H
#define EDF_SIM_H

#include "rtnet/edf-admission.h"
#include "rtnet/edf-queue.h"

/* All that is simulated happens after this; time before 0 cannot be told. */
#define SIM_EPOCH_NS 1000000000000ull

typedef struct SimFrame {
    /* Given. */
    unsigned source;
    EdfBand band;
    uint32_t wire_bytes;
    uint64_t arrival_ns;
    uint64_t due_ns;            /* deadline of the user */
    EdfTurn turn;               /* what it is ordered by */

    /* Found. */
    uint64_t start_ns;          /* left the scheduler */
    uint64_t finish_ns;         /* its last bit was on the link; rounded up */

    EdfItem item;
} SimFrame;

typedef struct SimSetup {
    uint64_t rate_bps;
    unsigned sources;
    uint64_t jitter_ns;         /* each release is late by up to this */
    bool first_goes_ahead;      /* frame 0 leaves before others are seen */
} SimSetup;

/* @frames: @n of them in order of arrival. */
void sim_run(const SimSetup *setup, SimFrame *frames, size_t n);

/* Frames of bands above best effort that finished after they were due. */
size_t sim_missed(const SimFrame *frames, size_t n);

/*
 * A set at its worst for deadlines of @level_ns: the longest frame that may be
 * in the way has just started when all sources start together, at full rate.
 * Frames up to @length_ns later.  Returns an array to be freed with g_free().
 * @blocked says whether frame 0 is one that goes ahead.
 */
SimFrame *sim_worst_phasing(const EdfContract *set, unsigned n,
                            uint32_t blocking_wire_bytes, uint64_t level_ns,
                            uint64_t length_ns, bool *blocked, size_t *count);

/* -- Random sets ---------------------------------------------------------- */

#define SIM_SET_MAX 8

typedef struct SimSet {
    EdfContract c[SIM_SET_MAX];
    unsigned n;
    uint64_t rate_bps;
    uint32_t blocking_wire_bytes;   /* 0: no best effort */
} SimSet;

/* About half of them can be kept. */
void sim_random_set(SimSet *set);

/* Demand surely has died down after this time. */
uint64_t sim_length_ns(const SimSet *set, uint64_t jitter_ns);

void sim_print_set(const SimSet *set);

#endif
