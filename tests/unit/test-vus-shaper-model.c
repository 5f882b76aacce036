/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shaper with random sources, guarantees, contracts and frames, and with
 * changes of all that in flight, against the model.
 *
 * Threads: single.
 */
#include "shaper-model.h"

#define SOURCES MODEL_SOURCES
#define GROUPS MODEL_GROUPS
#define CONTRACTS 4
#define MAX_BYTES 1538
#define ROUNDS 300
#define ROUNDS_SLOW 20000
#define OPS_PER_ROUND 1500

typedef struct Bed {
    Shaper *s;
    Model m;
    ShaperConfig cfg;
    uint64_t now_ns;

    /* Who sends what. */
    EdfContract contract[CONTRACTS];
    EdfPolicer policer[CONTRACTS];
    unsigned contracts;             /* of the first sources */
    bool floods[SOURCES];
    unsigned bands[SOURCES];        /* a bit for each */
    unsigned lanes[SOURCES];

    unsigned left_by[6];            /* frames by rule; [0]: other policies */
} Bed;

/* -- Configuration --------------------------------------------------------- */

static ShaperGuarantee random_guarantee(const Bed *bed)
{
    ShaperGuarantee g = { 0 };

    if (g_test_rand_bit()) {
        g.bps = bed->cfg.rate_bps / g_test_rand_int_range(2, 100);
    }
    if (g_test_rand_int_range(0, 4) == 0) {
        g.pps = bed->cfg.rate_bps / 8 / g_test_rand_int_range(1000, 100000);
    }
    return g;
}

static void set_source(Bed *bed)
{
    unsigned source = g_test_rand_int_range(0, SOURCES);
    int group = g_test_rand_int_range(SHAPER_NO_GROUP, GROUPS);
    ShaperGuarantee g = random_guarantee(bed);

    shaper_set_source(bed->s, source, group, g);
    model_set_source(&bed->m, source, group, g);
}

static void set_group(Bed *bed)
{
    unsigned group = g_test_rand_int_range(0, GROUPS);
    ShaperGuarantee g = { 0 };

    if (g_test_rand_bit()) {
        g = random_guarantee(bed);
    }
    shaper_set_group(bed->s, group, g);
    model_set_group(&bed->m, group, g);
}

static void random_rate(ShaperConfig *cfg)
{
    cfg->max_wire_bytes = MAX_BYTES;
    cfg->rate_bps = 10000000 * (uint64_t)g_test_rand_int_range(1, 1000);
    cfg->rate_pps = g_test_rand_bit() ? 0
                    : cfg->rate_bps / g_test_rand_int_range(500, 12000);
    cfg->catch_up_ns = g_test_rand_int_range(0, 100000);
    cfg->ahead_ns = g_test_rand_bit() ? 0 : g_test_rand_int_range(0, 50000);
}

static void set_rate(Bed *bed)
{
    random_rate(&bed->cfg);
    shaper_set_rate(bed->s, &bed->cfg, bed->now_ns);
    model_set_rate(&bed->m, &bed->cfg, bed->now_ns);
}

static void configure(Bed *bed)
{
    switch (g_test_rand_int_range(0, 8)) {
    case 0:
        set_rate(bed);
        break;
    case 1:
    case 2:
        set_group(bed);
        break;
    default:
        set_source(bed);
    }
}

/* -- The way of a frame ---------------------------------------------------- */

static EdfTurn random_turn(Bed *bed, unsigned source, EdfBand band,
                           uint32_t bytes)
{
    /* Few values, so that many frames tie. */
    EdfTurn turn = {
        .order_ns = bed->now_ns / 1000 * 1000 +
                    1000 * g_test_rand_int_range(0, 40),
    };

    if (band == EDF_BAND_ADMITTED) {
        turn = edf_police(&bed->policer[source], &bed->contract[source],
                          bed->now_ns, bytes);
    }
    return turn;
}

static EdfBand random_band(const Bed *bed, unsigned source)
{
    EdfBand band;

    do {
        band = g_test_rand_int_range(0, 3);
    } while (!(bed->bands[source] & 1u << band));
    return band;
}

static void put(Bed *bed, unsigned source)
{
    ModelFrame *f = model_free_frame(&bed->m);

    if (f) {
        *f = (ModelFrame) {
            .item.source = source,
            .item.band = random_band(bed, source),
            .item.lane = g_test_rand_int_range(0, bed->lanes[source]),
            .item.wire_bytes = g_test_rand_int_range(84, MAX_BYTES + 1),
        };
        f->turn = random_turn(bed, source, f->item.band, f->item.wire_bytes);
        shaper_put(bed->s, &f->item, f->turn, bed->now_ns);
        model_put(&bed->m, f, bed->now_ns);
    }
}

static bool take(Bed *bed)
{
    bool may = model_next_ns(&bed->m) <= bed->now_ns;
    ModelFrame *f = (ModelFrame *)shaper_take(bed->s, bed->now_ns);

    g_assert_true(may == (f != NULL));
    if (f) {
        bed->left_by[model_left(&bed->m, f, bed->now_ns)]++;
    }
    return f != NULL;
}

static void pass(Bed *bed)
{
    unsigned source = g_test_rand_int_range(0, SOURCES);
    unsigned passed;
    uint32_t bytes[8];

    for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++) {
        bytes[i] = g_test_rand_int_range(84, MAX_BYTES + 1);
    }
    passed = shaper_pass(bed->s, source, bytes, G_N_ELEMENTS(bytes),
                         bed->now_ns);
    model_passed(&bed->m, source, bytes, G_N_ELEMENTS(bytes), passed,
                 bed->now_ns);
}

static void drop_all(Bed *bed)
{
    ModelFrame *f;

    while ((f = (ModelFrame *)shaper_drop(bed->s)) != NULL) {
        model_dropped(&bed->m, f);
    }
    g_assert_cmpuint(model_len_pkts(&bed->m, -1), ==, 0);
}

static void drop_source(Bed *bed, unsigned source)
{
    ModelFrame *f;

    while ((f = (ModelFrame *)shaper_drop_of(bed->s, source)) != NULL) {
        g_assert_cmpuint(f->item.source, ==, source);
        model_dropped(&bed->m, f);
    }
    g_assert_cmpuint(model_len_pkts(&bed->m, source), ==, 0);
}

static void take_all(Bed *bed)
{
    while (model_len_pkts(&bed->m, -1) > 0) {
        bed->now_ns = MAX(bed->now_ns, model_next_ns(&bed->m));
        g_assert_true(take(bed));
    }
}

/* -- Rounds ---------------------------------------------------------------- */

/* Mostly until the link is free; now and then for longer than any memory. */
static void let_time_pass(Bed *bed)
{
    uint64_t next_ns = model_next_ns(&bed->m);
    int what = g_test_rand_int_range(0, 400);

    if (what == 0) {
        bed->now_ns += g_test_rand_int_range(0, 3 * SHAPER_MEMORY_NS);
    } else if (what < 100) {
        bed->now_ns += g_test_rand_int_range(0, 5000);
    } else if (what < 300 && next_ns != UINT64_MAX) {
        bed->now_ns = MAX(bed->now_ns, next_ns);
    }
}

static void step(Bed *bed)
{
    unsigned source = g_test_rand_int_range(0, SOURCES);
    int what = g_test_rand_int_range(0, 1000);

    if (what < 10) {
        configure(bed);
    } else if (what < 20) {
        pass(bed);
    } else if (what < 22) {
        drop_all(bed);
    } else if (what < 24) {
        take_all(bed);
    } else if (what < 28) {
        drop_source(bed, source);
    } else if (what < 350) {
        put(bed, source);
        for (unsigned i = 0; bed->floods[source] && i < 6; i++) {
            put(bed, source);
        }
    } else {
        let_time_pass(bed);
        take(bed);
    }
    g_assert_cmpuint(shaper_len_pkts(bed->s), ==, model_len_pkts(&bed->m, -1));
    g_assert_cmpuint(shaper_source_len_pkts(bed->s, source), ==,
                     model_len_pkts(&bed->m, source));
    g_assert_cmpuint(shaper_next_ns(bed->s), ==, model_next_ns(&bed->m));
}

/* Best effort mostly; who has a contract may send without it as well. */
static void random_source(Bed *bed, unsigned source)
{
    static const unsigned bands[] = {
        1u << EDF_BAND_BEST_EFFORT, 1u << EDF_BAND_BEST_EFFORT,
        1u << EDF_BAND_DEADLINE, 1u << EDF_BAND_DEADLINE |
                                 1u << EDF_BAND_BEST_EFFORT,
    };

    bed->bands[source] = bands[g_test_rand_int_range(0, 4)];
    bed->floods[source] = g_test_rand_bit();
    bed->lanes[source] = g_test_rand_bit() ? 1 : g_test_rand_int_range(
        1, SHAPER_LANES + 1);
    if (source < bed->contracts) {
        bed->contract[source] = (EdfContract) {
            .deadline_ns = g_test_rand_int_range(1000, 200000),
            .period_ns = g_test_rand_int_range(1000, 200000),
            .wire_bytes = MAX_BYTES,
        };
        bed->bands[source] = 1u << EDF_BAND_ADMITTED |
                             (g_test_rand_bit() ? 0 : bed->bands[source]);
    }
}

static void run_round(EdfQueuePolicy policy, unsigned left_by[6])
{
    Bed *bed = g_new0(Bed, 1);

    bed->now_ns = 1000000000000ull;
    bed->contracts = g_test_rand_int_range(0, CONTRACTS + 1);
    for (unsigned i = 0; i < SOURCES; i++) {
        random_source(bed, i);
    }
    random_rate(&bed->cfg);
    bed->cfg.policy = policy;
    bed->s = shaper_new(&bed->cfg);
    model_init(&bed->m, &bed->cfg);
    for (unsigned i = 0; i < 2 * SOURCES; i++) {
        configure(bed);
    }
    for (unsigned i = 0; i < OPS_PER_ROUND; i++) {
        step(bed);
    }
    drop_all(bed);
    for (unsigned i = 0; i < 6; i++) {
        left_by[i] += bed->left_by[i];
    }
    shaper_free(bed->s);
    g_free(bed);
}

static void test_edf(void)
{
    unsigned rounds = g_test_slow() ? ROUNDS_SLOW : ROUNDS;
    unsigned left_by[6] = { 0 };

    for (unsigned k = 0; k < rounds; k++) {
        run_round(EDF_QUEUE_EDF, left_by);
    }
    for (unsigned rule = 1; rule <= 5; rule++) {
        g_test_message("rule %u: %u frames", rule, left_by[rule]);
        g_assert_cmpuint(left_by[rule], >, 20 * rounds);
    }
}

static void test_others(void)
{
    unsigned rounds = (g_test_slow() ? ROUNDS_SLOW : ROUNDS) / 8;
    unsigned left_by[6] = { 0 };

    for (unsigned k = 0; k < rounds; k++) {
        run_round(EDF_QUEUE_FIFO, left_by);
        run_round(EDF_QUEUE_STRICT, left_by);
    }
    g_assert_cmpuint(left_by[0], >, 200 * rounds);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/shaper-model/edf", test_edf);
    g_test_add_func("/shaper-model/fifo-and-strict", test_others);
    return g_test_run();
}
