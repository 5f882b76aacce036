/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shaped link, a clock that is stepped, and sources that flood it or keep to
 * a contract: who gets how much in a second, and how late?
 *
 * Threads: single.
 */
#ifndef SHAPER_SIM_H
#define SHAPER_SIM_H

#include "shaper.h"

#define SIM_SHORTEST_BYTES 84
#define SIM_LONGEST_BYTES 1538
#define SIM_MS UINT64_C(1000000)
#define SIM_S UINT64_C(1000000000)

typedef struct SimSource {
    /* Given; none of it: it sends nothing. */
    bool floods;
    EdfBand band;                       /* of what floods */
    uint32_t least_bytes, most_bytes;   /* 0: of any length */
    EdfContract contract;               /* period 0: none */

    /* Found since sim_reset(). */
    uint64_t bytes, pkts;
    uint64_t worst_delay_ns;            /* of frames of the contract */

    EdfPolicer policer;
    uint64_t next_arrival_ns;
} SimSource;

typedef struct Sim {
    Shaper *s;
    ShaperConfig cfg;
    uint64_t now_ns;
    uint64_t late_ns;                   /* each take is late by up to this */
    uint64_t late_by_ns;
    SimSource source[SHAPER_SOURCES];
    uint64_t bytes, pkts;               /* of all */
} Sim;

/* With the longest frame of SIM_LONGEST_BYTES. */
Sim *sim_new(ShaperConfig cfg);
void sim_free(Sim *sim);

/* What was found is forgotten. */
void sim_reset(Sim *sim);

/* From now on it sends, as given. */
void sim_start(Sim *sim, unsigned source);

/* Best effort of any length. */
void sim_flood(Sim *sim, unsigned source);

/* The link must never be idle while a frame waits. */
void sim_run(Sim *sim, uint64_t length_ns);

#endif
