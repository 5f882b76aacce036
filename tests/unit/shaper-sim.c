/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shaper-sim.h"

#define START_NS 1000000000000ull

/* Frames of a flood that wait at any time. */
#define FLOOD_PKTS 4

typedef struct SimFrame {
    ShaperItem item;
    uint64_t arrival_ns;
    bool of_contract;
} SimFrame;

/* -- Life ------------------------------------------------------------------ */

Sim *sim_new(ShaperConfig cfg)
{
    Sim *sim = g_new0(Sim, 1);

    cfg.max_wire_bytes = SIM_LONGEST_BYTES;
    sim->cfg = cfg;
    sim->s = shaper_new(&cfg);
    sim->now_ns = START_NS;
    for (unsigned i = 0; i < SHAPER_SOURCES; i++) {
        sim->source[i].next_arrival_ns = UINT64_MAX;
    }
    return sim;
}

void sim_free(Sim *sim)
{
    ShaperItem *item;

    while ((item = shaper_drop(sim->s)) != NULL) {
        g_free(item);
    }
    shaper_free(sim->s);
    g_free(sim);
}

void sim_reset(Sim *sim)
{
    sim->bytes = sim->pkts = 0;
    for (unsigned i = 0; i < SHAPER_SOURCES; i++) {
        SimSource *src = &sim->source[i];

        src->bytes = src->pkts = src->worst_delay_ns = 0;
    }
}

/* -- In -------------------------------------------------------------------- */

static void put_flood(Sim *sim, SimFrame *f, unsigned source)
{
    SimSource *src = &sim->source[source];

    *f = (SimFrame) {
        .item.source = source,
        .item.band = src->band,
        .item.wire_bytes = g_test_rand_int_range(src->least_bytes,
                                                 src->most_bytes + 1),
        .arrival_ns = sim->now_ns,
    };
    if (src->band == EDF_BAND_DEADLINE) {
        f->item.lane = g_test_rand_int_range(1, SHAPER_LANES);
    }
    shaper_put(sim->s, &f->item, (EdfTurn) { .order_ns = sim->now_ns + SIM_MS },
               sim->now_ns);
}

static void put_contract(Sim *sim, unsigned source)
{
    SimSource *src = &sim->source[source];
    SimFrame *f = g_new0(SimFrame, 1);
    uint64_t slack_ns = g_test_rand_int_range(0, 8) == 0
                        ? g_test_rand_int_range(0, src->contract.period_ns) : 0;

    f->item.source = source;
    f->item.band = EDF_BAND_ADMITTED;
    f->item.lane = 0;                   /* alone: see put_flood() */
    f->item.wire_bytes = src->contract.wire_bytes;
    f->arrival_ns = sim->now_ns;
    f->of_contract = true;
    shaper_put(sim->s, &f->item,
               edf_police(&src->policer, &src->contract, sim->now_ns,
                          src->contract.wire_bytes), sim->now_ns);
    src->next_arrival_ns += src->contract.period_ns + slack_ns;
}

void sim_start(Sim *sim, unsigned source)
{
    SimSource *src = &sim->source[source];

    if (src->most_bytes == 0) {
        src->least_bytes = SIM_SHORTEST_BYTES;
        src->most_bytes = SIM_LONGEST_BYTES;
    }
    for (unsigned i = 0; src->floods && i < FLOOD_PKTS; i++) {
        put_flood(sim, g_new(SimFrame, 1), source);
    }
    if (src->contract.period_ns > 0) {
        /* Somebody's frame has just begun. */
        src->next_arrival_ns = sim->now_ns + 1;
    }
}

void sim_flood(Sim *sim, unsigned source)
{
    sim->source[source].floods = true;
    sim->source[source].band = EDF_BAND_BEST_EFFORT;
    sim_start(sim, source);
}

/* -- Out ------------------------------------------------------------------- */

static void take(Sim *sim)
{
    SimFrame *f = (SimFrame *)shaper_take(sim->s, sim->now_ns);
    SimSource *src;

    g_assert_nonnull(f);
    src = &sim->source[f->item.source];
    src->bytes += f->item.wire_bytes;
    src->pkts++;
    sim->bytes += f->item.wire_bytes;
    sim->pkts++;
    if (f->of_contract) {
        src->worst_delay_ns = MAX(src->worst_delay_ns,
                                  sim->now_ns - f->arrival_ns);
    }
    if (src->floods && !f->of_contract) {
        put_flood(sim, f, f->item.source);
    } else {
        g_free(f);
    }
    if (sim->late_ns > 0) {
        sim->late_by_ns = g_test_rand_int_range(0, sim->late_ns + 1);
    }
}

static unsigned next_arrival(const Sim *sim)
{
    unsigned next = 0;

    for (unsigned i = 1; i < SHAPER_SOURCES; i++) {
        if (sim->source[i].next_arrival_ns <
            sim->source[next].next_arrival_ns) {
            next = i;
        }
    }
    return next;
}

void sim_run(Sim *sim, uint64_t length_ns)
{
    uint64_t end_ns = sim->now_ns + length_ns;
    unsigned arrives = next_arrival(sim);

    for (;;) {
        uint64_t arrival_ns = sim->source[arrives].next_arrival_ns;
        uint64_t take_ns = edf_add_saturated(shaper_next_ns(sim->s),
                                             sim->late_by_ns);

        if (MIN(arrival_ns, take_ns) > end_ns) {
            break;
        }
        sim->now_ns = MAX(sim->now_ns, MIN(arrival_ns, take_ns));
        if (arrival_ns <= take_ns) {
            put_contract(sim, arrives);
            arrives = next_arrival(sim);
        } else {
            take(sim);
        }
    }
    sim->now_ns = end_ns;
}
