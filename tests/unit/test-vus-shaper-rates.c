/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the shaper promises, over simulated seconds of floods.
 *
 * Threads: single.
 */
#include <inttypes.h>
#include <math.h>

#include "shaper-sim.h"

#define MBIT UINT64_C(1000000)
#define GBIT UINT64_C(1000000000)

#define GROUPS 4
#define CONTRACTS 4
#define ROUNDS 24
#define ROUNDS_SLOW 500
#define DELAY_SETS 250
#define DELAY_SETS_SLOW 5000

static const ShaperGuarantee none = { 0 };

/* -- The link -------------------------------------------------------------- */

static Sim *sim_flooded(ShaperConfig cfg, unsigned sources)
{
    Sim *sim = sim_new(cfg);

    for (unsigned i = 0; i < sources; i++) {
        sim_flood(sim, i);
    }
    return sim;
}

/* What has left since @began_ns took exactly as long as the rates say. */
static void check_exact(const Sim *sim, uint64_t began_ns)
{
    double bits_ns = 8e9 * sim->bytes / sim->cfg.rate_bps;
    double pkts_ns = 1e9 * sim->pkts / sim->cfg.rate_pps;
    double took_ns = shaper_next_ns(sim->s) + sim->cfg.ahead_ns - began_ns;

    if (sim->cfg.rate_pps == 0) {
        pkts_ns = 0;
    } else if (sim->cfg.rate_bps == 0) {
        bits_ns = 0;
    }
    g_assert_cmpfloat(fabs(took_ns - MAX(bits_ns, pkts_ns)), <=, 2);
}

static void test_exact(void)
{
    static const ShaperConfig cfgs[] = {
        { .rate_bps = 10 * MBIT }, { .rate_bps = 33333333 },
        { .rate_bps = GBIT }, { .rate_bps = 9999999967 },
        { .rate_pps = 7 }, { .rate_pps = 999983 },
        { .rate_bps = GBIT, .rate_pps = 50000 },    /* packets decide */
        { .rate_bps = 100 * MBIT, .rate_pps = 1000000 },
        { .rate_bps = GBIT, .ahead_ns = 50000 },
    };

    for (unsigned k = 0; k < G_N_ELEMENTS(cfgs); k++) {
        Sim *sim = sim_flooded(cfgs[k], 5);
        uint64_t began_ns = sim->now_ns;

        sim_run(sim, SIM_S / 2);
        check_exact(sim, began_ns);
        sim_free(sim);
    }
}

static void test_lateness(void)
{
    const ShaperConfig cfg = { .rate_bps = GBIT, .catch_up_ns = 100000 };

    for (unsigned beyond = 0; beyond < 2; beyond++) {
        Sim *sim = sim_flooded(cfg, 5);
        uint64_t began_ns = sim->now_ns;

        sim->late_ns = cfg.catch_up_ns * (1 + beyond);
        sim_run(sim, SIM_S);
        if (beyond) {
            g_assert_cmpuint(sim->bytes, <, GBIT / 8 * 9 / 10);
        } else {
            check_exact(sim, began_ns);
            g_assert_cmpuint(sim->bytes, >=, GBIT / 8 -
                             (cfg.catch_up_ns / 8 + 2 * SIM_LONGEST_BYTES));
        }
        sim_free(sim);
    }
}

/* -- Random promises ------------------------------------------------------- */

typedef struct Promises {
    Sim *sim;
    unsigned sources, contracts;    /* of the first sources */
    EdfContract contract[CONTRACTS];
    int group[SHAPER_SOURCES];
    ShaperGuarantee source_g[SHAPER_SOURCES], group_g[GROUPS];
    bool group_is_checked[GROUPS];
} Promises;

/* Admitted ones of no more than @load_ppm; returns what of the link is left. */
static uint64_t random_contracts(Promises *p, uint32_t load_ppm)
{
    uint64_t rate_bps = p->sim->cfg.rate_bps;
    uint64_t longest_ns = edf_wire_time_ns(SIM_LONGEST_BYTES, rate_bps);
    EdfVerdict v;

    p->contracts = g_test_rand_int_range(0, CONTRACTS + 1);
    do {
        for (unsigned i = 0; i < p->contracts; i++) {
            p->contract[i] = (EdfContract) {
                .deadline_ns = longest_ns * g_test_rand_int_range(15, 120) / 10,
                .period_ns = longest_ns * g_test_rand_int_range(10, 1000) / 10,
                .wire_bytes = g_test_rand_int_range(SIM_SHORTEST_BYTES,
                                                    SIM_LONGEST_BYTES + 1),
            };
        }
        v = edf_admission_check(p->contract, p->contracts, rate_bps,
                                SIM_LONGEST_BYTES, 0);
    } while (v.refusal != EDF_ADMITTED || v.load_ppm > load_ppm);
    for (unsigned i = 0; i < p->contracts; i++) {
        p->sim->source[i].contract = p->contract[i];
    }
    return rate_bps - rate_bps / 1000000 * v.load_ppm;
}

/* What a source with @bps may be promised: bits, packets, or both. */
static ShaperGuarantee random_guarantee(SimSource *src, uint64_t bps)
{
    ShaperGuarantee g = { .bps = bps };
    int kind = g_test_rand_int_range(0, 4);

    if (kind < 2) {
        return g;
    }
    /* Which of both is reached first depends on how long frames are. */
    src->least_bytes = src->most_bytes =
        g_test_rand_int_range(SIM_SHORTEST_BYTES, SIM_LONGEST_BYTES + 1);
    g.pps = bps / 8 / src->most_bytes * 2 / g_test_rand_int_range(1, 5);
    if (kind == 2) {
        /* Others of a group may use it up, with longer frames. */
        g.bps = 0;
        g.pps = bps / 8 / SIM_LONGEST_BYTES;
    }
    return g;
}

/* Parts of @left_bps, some of them very small, for whoever gets one. */
static void random_guarantees(Promises *p, uint64_t left_bps)
{
    double part[SHAPER_SOURCES + GROUPS], sum = 0;
    unsigned n = p->sources + GROUPS;

    for (unsigned i = 0; i < n; i++) {
        part[i] = g_test_rand_bit() ? pow(g_test_rand_double(), 3) + 0.01 : 0;
        sum += part[i];
    }
    /* In a third of them, all that there is. */
    sum /= g_test_rand_int_range(0, 3) ? 0.3 + 0.7 * g_test_rand_double() : 1;
    for (unsigned i = 0; i < p->sources; i++) {
        if (part[i] > 0) {
            p->source_g[i] = random_guarantee(&p->sim->source[i],
                                              left_bps * (part[i] / sum));
        }
    }
    for (unsigned i = 0; i < GROUPS; i++) {
        p->group_g[i].bps = left_bps * (part[p->sources + i] / sum);
    }
}

/* A group's is for its sources' as well, so what it has is what it adds. */
static void configure(Promises *p)
{
    bool mixed[GROUPS] = { false };
    uint64_t sum_bps[GROUPS] = { 0 };

    for (unsigned i = 0; i < p->sources; i++) {
        int g = p->group[i] = g_test_rand_int_range(SHAPER_NO_GROUP, GROUPS);

        if (g >= 0) {
            sum_bps[g] += p->source_g[i].bps;
            mixed[g] |= p->source_g[i].pps > 0;
            p->group_is_checked[g] |= p->sim->source[i].floods;
        }
        shaper_set_source(p->sim->s, i, g, p->source_g[i]);
    }
    for (unsigned g = 0; g < GROUPS; g++) {
        p->group_is_checked[g] &= !mixed[g];
        p->group_g[g].bps += sum_bps[g];
        if (p->group_g[g].bps > sum_bps[g]) {
            shaper_set_group(p->sim->s, g, p->group_g[g]);
        }
    }
}

static Promises *promises_new(void)
{
    static const uint64_t rates_bps[] = { 100 * MBIT, 200 * MBIT, GBIT };
    Promises *p = g_new0(Promises, 1);
    ShaperConfig cfg = {
        .rate_bps = rates_bps[g_test_rand_int_range(0, 3)],
        .catch_up_ns = 100000,
    };
    uint64_t left_bps;

    p->sim = sim_new(cfg);
    p->sources = g_test_rand_int_range(CONTRACTS, SHAPER_SOURCES + 1);
    left_bps = random_contracts(p, 600000);
    for (unsigned i = 0; i < p->sources; i++) {
        p->sim->source[i].floods = g_test_rand_int_range(0, 5) > 0;
        p->sim->source[i].band = g_test_rand_int_range(0, 8) > 0
                                 ? EDF_BAND_BEST_EFFORT : EDF_BAND_DEADLINE;
    }
    random_guarantees(p, left_bps);
    configure(p);
    return p;
}

static void promises_free(Promises *p)
{
    sim_free(p->sim);
    g_free(p);
}

/* Of a second @g was had, but for 0.2 % and a frame, in bits or packets. */
static void check_had(ShaperGuarantee g, uint64_t bytes, uint64_t pkts,
                      const char *who, unsigned index)
{
    bool bits_ok = g.bps > 0 &&
                   bytes + SIM_LONGEST_BYTES >= 0.998 * g.bps / 8;
    bool pkts_ok = g.pps > 0 && pkts + 1 >= 0.998 * g.pps;

    if ((g.bps > 0 || g.pps > 0) && !bits_ok && !pkts_ok) {
        g_error("%s %u has a guarantee of %" PRIu64 " bit/s, %" PRIu64 " /s "
                "and had %" PRIu64 " bit/s, %" PRIu64 " /s", who, index,
                g.bps, g.pps, 8 * bytes, pkts);
    }
}

static void check_guarantees(const Promises *p)
{
    uint64_t group_bytes[GROUPS] = { 0 };

    for (unsigned i = 0; i < p->sources; i++) {
        const SimSource *src = &p->sim->source[i];

        if (src->floods) {
            check_had(p->source_g[i], src->bytes, src->pkts, "source", i);
        }
        if (p->group[i] >= 0) {
            group_bytes[p->group[i]] += src->bytes;
        }
    }
    for (unsigned g = 0; g < GROUPS; g++) {
        if (p->group_is_checked[g]) {
            check_had(p->group_g[g], group_bytes[g], 0, "group", g);
        }
    }
}

/* Returns how near to its bound the worst one came. */
static double check_delays(const Promises *p)
{
    double nearest = 0;

    for (unsigned i = 0; i < p->contracts; i++) {
        uint64_t bound_ns = edf_admission_delay_bound_ns(
            p->contract, p->contracts, i, p->sim->cfg.rate_bps,
            SIM_LONGEST_BYTES, 0);
        uint64_t delay_ns = p->sim->source[i].worst_delay_ns;

        g_assert_cmpuint(delay_ns, <=, bound_ns);
        nearest = MAX(nearest, (double)delay_ns / bound_ns);
    }
    return nearest;
}

/* -- Guarantees ------------------------------------------------------------ */

/* Whoever was there before, and had all that others left. */
static void test_guarantees(void)
{
    unsigned rounds = g_test_slow() ? ROUNDS_SLOW : ROUNDS;

    for (unsigned k = 0; k < rounds; k++) {
        Promises *p = promises_new();
        unsigned early = g_test_rand_int_range(0, p->sources);

        if (p->sim->source[early].floods &&
            p->sim->source[early].band == EDF_BAND_BEST_EFFORT) {
            sim_start(p->sim, early);
            sim_run(p->sim, SIM_S / 10);
            sim_reset(p->sim);
        } else {
            early = p->sources;
        }
        for (unsigned i = 0; i < p->sources; i++) {
            if (i != early) {
                sim_start(p->sim, i);
            }
        }
        sim_run(p->sim, SIM_S);
        check_guarantees(p);
        check_delays(p);
        promises_free(p);
    }
}

/* One with half of a slow link, and as many as can be with the other half. */
static void test_many_slow(void)
{
    const ShaperGuarantee fast = { .bps = 50 * MBIT };
    const ShaperGuarantee slow = { .bps = 50 * MBIT / (SHAPER_SOURCES - 1) };
    Sim *sim = sim_new((ShaperConfig) { .rate_bps = 100 * MBIT });

    for (unsigned i = 0; i < SHAPER_SOURCES; i++) {
        shaper_set_source(sim->s, i, SHAPER_NO_GROUP, i == 0 ? fast : slow);
        sim->source[i].least_bytes = SIM_LONGEST_BYTES;
        sim->source[i].most_bytes = SIM_LONGEST_BYTES;
        sim_flood(sim, i);
    }
    sim_run(sim, SIM_S);
    for (unsigned i = 0; i < SHAPER_SOURCES; i++) {
        check_had(i == 0 ? fast : slow, sim->source[i].bytes, 0, "source", i);
    }
    sim_free(sim);
}

/* The thread does not run for a while, which must not have been promised. */
static void test_stall(void)
{
    Sim *sim = sim_new((ShaperConfig) {
        .rate_bps = GBIT, .catch_up_ns = 100000,
    });
    static const unsigned percent[] = { 40, 25, 15, 10, 3, 1 };

    for (unsigned i = 0; i < G_N_ELEMENTS(percent); i++) {
        shaper_set_source(sim->s, i, i % 2 ? 0 : SHAPER_NO_GROUP,
                          (ShaperGuarantee) { .bps = GBIT / 100 * percent[i] });
    }
    for (unsigned i = 0; i < 20; i++) {
        sim_flood(sim, i);
    }
    sim_run(sim, SIM_S / 2);
    sim->now_ns += SHAPER_MEMORY_NS;
    sim_run(sim, SIM_S / 2 - SHAPER_MEMORY_NS);
    for (unsigned i = 0; i < G_N_ELEMENTS(percent); i++) {
        check_had((ShaperGuarantee) { .bps = GBIT / 100 * percent[i] },
                  sim->source[i].bytes, 0, "source", i);
    }
    sim_free(sim);
}

/* -- Delay ----------------------------------------------------------------- */

/* Sets in which little is left over, while everybody else floods. */
static void test_delay(void)
{
    unsigned sets = g_test_slow() ? DELAY_SETS_SLOW : DELAY_SETS;
    double nearest = 0;

    for (unsigned k = 0; k < sets; k++) {
        Promises *p = promises_new();

        for (unsigned i = 0; i < p->sources; i++) {
            sim_start(p->sim, i);
        }
        sim_run(p->sim, 10 * SIM_MS);
        nearest = MAX(nearest, check_delays(p));
        promises_free(p);
    }
    g_test_message("delays came as near as %.4f of the bound", nearest);
    /* Else there was nothing to be seen. */
    g_assert_cmpfloat(nearest, >, 0.95);
}

/* -- Shares ---------------------------------------------------------------- */

typedef struct Range {
    double least, most;
} Range;

static const Range nobody = { INFINITY, -INFINITY };

static void range_add(Range *r, double bytes)
{
    r->least = MIN(r->least, bytes);
    r->most = MAX(r->most, bytes);
}

static void check_range(Range r, unsigned frames)
{
    if (r.most > r.least) {
        g_assert_cmpfloat(r.most - r.least, <=, frames * SIM_LONGEST_BYTES);
    }
}

/*
 * Beyond its guarantee everyone had as much as the others there, but for
 * @frames: in groups 0 to 2, and all of those and whoever is in none.
 */
static void check_shares(const Sim *sim, unsigned sources,
                         const ShaperGuarantee *g, unsigned frames)
{
    double group_bytes[3] = { 0 };
    Range all = nobody, within[3] = { nobody, nobody, nobody };

    for (unsigned i = 0; i < sources; i++) {
        double bytes = sim->source[i].bytes - g[i].bps / 8.0;

        if (i % 4 < 3) {
            group_bytes[i % 4] += bytes;
            range_add(&within[i % 4], bytes);
        } else {
            range_add(&all, bytes);
        }
    }
    for (unsigned k = 0; k < 3; k++) {
        range_add(&all, group_bytes[k]);
        check_range(within[k], frames);
    }
    check_range(all, frames);
}

/*
 * A guarantee may just have been used or be due, by a frame or by what is due
 * while four leave; with these guarantees and frames that is less than a
 * longest frame, so it makes a difference of one more.
 */
static void run_shares(bool guaranteed)
{
    ShaperGuarantee g[40] = { { 0 } };
    Sim *sim = sim_new((ShaperConfig) { .rate_bps = GBIT });
    unsigned sources = g_test_rand_int_range(4, G_N_ELEMENTS(g));

    for (unsigned i = 0; i < sources; i++) {
        SimSource *src = &sim->source[i];
        uint32_t longest = SIM_LONGEST_BYTES;

        if (guaranteed && i < 4 && g_test_rand_bit()) {
            g[i].bps = 50 * MBIT * g_test_rand_double();
            longest /= 2;
        }
        shaper_set_source(sim->s, i, i % 4 < 3 ? (int)i % 4 : SHAPER_NO_GROUP,
                          g[i]);
        src->least_bytes = g_test_rand_int_range(SIM_SHORTEST_BYTES, longest);
        src->most_bytes = g_test_rand_int_range(src->least_bytes, longest + 1);
        sim_flood(sim, i);
    }
    sim_run(sim, SIM_S);
    check_shares(sim, sources, g, guaranteed ? 2 : 1);
    sim_free(sim);
}

static void test_shares(void)
{
    for (unsigned k = 0; k < 8; k++) {
        run_shares(false);
        run_shares(true);
    }
}

static uint64_t bytes_of(const Sim *sim, unsigned from, unsigned n)
{
    uint64_t bytes = 0;

    for (unsigned i = from; i < from + n; i++) {
        bytes += sim->source[i].bytes;
    }
    return bytes;
}

/* It does not matter to a group how many are in another. */
static void test_groups_are_apart(void)
{
    for (unsigned mbit = 0; mbit <= 300; mbit += 300) {
        Sim *sim = sim_new((ShaperConfig) { .rate_bps = GBIT });
        /* Half of what is left beside its guarantee. */
        const uint64_t least = GBIT / 16 + mbit * MBIT / 16 -
                               2 * SIM_LONGEST_BYTES;

        shaper_set_group(sim->s, 0, (ShaperGuarantee) { .bps = mbit * MBIT });
        for (unsigned i = 0; i < 110; i++) {
            shaper_set_source(sim->s, i, i < 5 ? 0 : 1, none);
        }
        for (unsigned i = 0; i < 10; i++) {
            sim_flood(sim, i);
        }
        sim_run(sim, SIM_S);
        g_assert_cmpuint(bytes_of(sim, 0, 5), >=, least);
        for (unsigned i = 10; i < 110; i++) {
            sim_flood(sim, i);
        }
        sim_reset(sim);
        sim_run(sim, SIM_S);
        g_assert_cmpuint(bytes_of(sim, 0, 5), >=, least);
        sim_free(sim);
    }
}

/* A pause of a second earns nothing, neither for a source nor for a group. */
static void test_pause(void)
{
    for (int group = SHAPER_NO_GROUP; group < 1; group++) {
        Sim *sim = sim_new((ShaperConfig) { .rate_bps = GBIT });

        shaper_set_source(sim->s, 0, group, none);
        for (unsigned i = 0; i < 5; i++) {
            sim_flood(sim, i);
        }
        sim_run(sim, SIM_S / 4);
        sim->source[0].floods = false;
        sim_run(sim, SIM_S);
        sim_reset(sim);
        sim_flood(sim, 0);
        sim_run(sim, SIM_S / 4);
        for (unsigned i = 1; i < 5; i++) {
            int64_t more = sim->source[0].bytes - sim->source[i].bytes;

            g_assert_cmpint(ABS(more), <=, 2 * SIM_LONGEST_BYTES);
        }
        sim_free(sim);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shaper-rates/exact", test_exact);
    g_test_add_func("/shaper-rates/lateness", test_lateness);
    g_test_add_func("/shaper-rates/guarantees", test_guarantees);
    g_test_add_func("/shaper-rates/many-slow", test_many_slow);
    g_test_add_func("/shaper-rates/stall", test_stall);
    g_test_add_func("/shaper-rates/delay", test_delay);
    g_test_add_func("/shaper-rates/shares", test_shares);
    g_test_add_func("/shaper-rates/groups-are-apart", test_groups_are_apart);
    g_test_add_func("/shaper-rates/pause", test_pause);
    return g_test_run();
}
