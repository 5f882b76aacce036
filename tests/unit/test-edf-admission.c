/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Admission: against all deadline points one by one, and against what really
 * happens on a link at worst-case phasing.
 *
 * Threads: single.
 */
#include <glib.h>
#include <inttypes.h>

#include "edf-sim.h"

#define RANDOM_SETS 5000
#define RANDOM_SETS_SLOW 200000

__extension__ typedef unsigned __int128 U128;

static unsigned random_sets(void)
{
    return g_test_slow() ? RANDOM_SETS_SLOW : RANDOM_SETS;
}

static EdfVerdict check(const SimSet *set, uint64_t jitter_ns)
{
    return edf_admission_check(set->c, set->n, set->rate_bps,
                               set->blocking_wire_bytes, jitter_ns);
}

static uint64_t bound_ns(const SimSet *set, unsigned i, uint64_t jitter_ns)
{
    return edf_admission_delay_bound_ns(set->c, set->n, i, set->rate_bps,
                                        set->blocking_wire_bytes, jitter_ns);
}

/* -- Brute force ----------------------------------------------------------- */

/* t - h(t) - B(t), times the rate. */
static __int128 slack_at(const SimSet *set, uint64_t t_ns, uint64_t jitter_ns)
{
    uint32_t blocking = set->blocking_wire_bytes;
    U128 bytes = 0;

    for (unsigned i = 0; i < set->n; i++) {
        if (set->c[i].deadline_ns <= t_ns) {
            bytes += ((t_ns - set->c[i].deadline_ns) / set->c[i].period_ns +
                      1) * set->c[i].wire_bytes;
        } else {
            blocking = MAX(blocking, set->c[i].wire_bytes);
        }
    }
    return ((__int128)t_ns - jitter_ns) * set->rate_bps -
           (__int128)((bytes + blocking) * 8000000000ull);
}

/* Least slack over all deadline points from @from_ns on, times the rate. */
static __int128 least_slack(const SimSet *set, uint64_t from_ns,
                            uint64_t jitter_ns)
{
    uint64_t length_ns = sim_length_ns(set, jitter_ns) + 20 * from_ns;
    __int128 least = (__int128)1 << 126;

    for (unsigned i = 0; i < set->n; i++) {
        uint64_t t = set->c[i].deadline_ns;

        for (; t <= length_ns; t += set->c[i].period_ns) {
            if (t >= from_ns) {
                least = MIN(least, slack_at(set, t, jitter_ns));
            }
        }
    }
    return least;
}

static void test_brute_force(void)
{
    unsigned refused = 0, admitted = 0;

    for (unsigned k = 0; k < random_sets(); k++) {
        uint64_t jitter_ns = g_test_rand_bit() ?
                             g_test_rand_int_range(0, 200000) : 0;
        EdfVerdict v;
        SimSet set;

        sim_random_set(&set);
        v = check(&set, jitter_ns);
        if (v.refusal == EDF_REFUSED_LOAD) {
            g_assert_cmpuint(v.load_ppm, >, EDF_ADMISSION_MAX_LOAD_PPM);
            continue;
        }
        g_assert_cmpuint(v.load_ppm, <=, EDF_ADMISSION_MAX_LOAD_PPM);
        if ((least_slack(&set, 0, jitter_ns) >= 0) !=
            (v.refusal == EDF_ADMITTED)) {
            sim_print_set(&set);
            g_error("verdict %d, jitter %" PRIu64 ", is wrong", v.refusal,
                    jitter_ns);
        }
        if (v.refusal == EDF_REFUSED_DEADLINE) {
            __int128 lack = -slack_at(&set, v.at_ns, jitter_ns);

            g_assert_true(lack > 0);
            g_assert_cmpuint(v.demand_ns - v.at_ns, ==,
                             (lack + set.rate_bps - 1) / set.rate_bps);
            refused++;
            continue;
        }
        admitted++;
        for (unsigned i = 0; i < set.n; i++) {
            /* Within the ns to which slack and L / C are rounded. */
            uint64_t least_ns = least_slack(&set, set.c[i].deadline_ns,
                                            jitter_ns) / set.rate_bps;
            uint64_t own_ns = edf_wire_time_ns(set.c[i].wire_bytes,
                                               set.rate_bps);
            uint64_t exact_ns = set.c[i].deadline_ns - least_ns - own_ns;
            uint64_t found_ns = bound_ns(&set, i, jitter_ns);

            if (found_ns != exact_ns && found_ns != exact_ns + 1) {
                sim_print_set(&set);
                g_error("bound %" PRIu64 " ns of source %u should be %" PRIu64,
                        found_ns, i, exact_ns);
            }
        }
    }
    g_test_message("%u admitted, %u refused for a deadline", admitted, refused);
    g_assert_cmpuint(admitted, >, random_sets() / 10);
    g_assert_cmpuint(refused, >, random_sets() / 10);
}

/* -- Simulation ------------------------------------------------------------ */

typedef struct Worst {
    size_t missed;
    uint64_t start_delay_ns[SIM_SET_MAX];
} Worst;

/* What happens at worst for deadlines of @level_ns; adds to @w. */
static void simulate_level(const SimSet *set, uint64_t level_ns,
                           uint64_t jitter_ns, Worst *w)
{
    SimSetup setup = {
        .rate_bps = set->rate_bps,
        .sources = set->n + 1,
        .jitter_ns = jitter_ns,
    };
    size_t n;
    SimFrame *frames = sim_worst_phasing(set->c, set->n,
                                         set->blocking_wire_bytes, level_ns,
                                         sim_length_ns(set, jitter_ns),
                                         &setup.first_goes_ahead, &n);

    sim_run(&setup, frames, n);
    w->missed += sim_missed(frames, n);
    for (size_t i = 0; i < n; i++) {
        if (frames[i].source < set->n) {
            uint64_t *worst_ns = &w->start_delay_ns[frames[i].source];

            *worst_ns = MAX(*worst_ns,
                            frames[i].start_ns - frames[i].arrival_ns);
        }
    }
    g_free(frames);
}

static void simulate(const SimSet *set, uint64_t jitter_ns, Worst *w)
{
    *w = (Worst) { 0 };
    for (unsigned i = 0; i < set->n; i++) {
        simulate_level(set, set->c[i].deadline_ns, jitter_ns, w);
    }
}

/* Sporadic: nobody comes sooner than declared, but anyone may come later. */
static void simulate_sporadic(const SimSet *set, uint64_t jitter_ns, Worst *w)
{
    SimSet later = *set;

    for (unsigned i = 0; i < set->n; i++) {
        later.c[i].period_ns += g_test_rand_double() * set->c[i].period_ns;
    }
    simulate_level(&later, set->c[0].deadline_ns, jitter_ns, w);
}

/* No miss for what was admitted, and a miss for what was refused. */
static void test_simulation(void)
{
    unsigned feasible = 0, admitted = 0, tight = 0, sources = 0;

    for (unsigned k = 0; k < random_sets(); k++) {
        EdfVerdict v;
        SimSet set;
        Worst w;

        sim_random_set(&set);
        v = check(&set, 0);
        if (v.refusal == EDF_REFUSED_LOAD) {
            continue;
        }
        simulate(&set, 0, &w);
        feasible += w.missed == 0;
        if (v.refusal == EDF_ADMITTED) {
            admitted++;
            simulate_sporadic(&set, 0, &w);
            if (w.missed) {
                sim_print_set(&set);
                g_error("admitted, but %zu misses", w.missed);
            }
            for (unsigned i = 0; i < set.n; i++) {
                uint64_t promised_ns = bound_ns(&set, i, 0);

                g_assert_cmpuint(w.start_delay_ns[i], <=, promised_ns);
                /* 1 ns each for rounding the slack and the frame's own time. */
                tight += w.start_delay_ns[i] + 2 >= promised_ns;
                sources++;
            }
        } else if (w.missed == 0) {
            sim_print_set(&set);
            g_error("refused for a deadline at %" PRIu64 " ns, but no miss",
                    v.at_ns);
        }
    }
    g_test_message("within the load limit: %u of %u feasible sets admitted "
                   "(%.2f %%); bound reached by %u of %u sources", admitted,
                   feasible, 100.0 * admitted / feasible, tight, sources);
    g_assert_cmpuint(admitted, >, random_sets() / 10);
    g_assert_cmpuint(admitted * 100ull, >=, feasible * 99ull);
    g_assert_cmpuint(tight, >, sources / 10);
}

/* A host that wakes up late, but never later than admission was told. */
static void test_jitter(void)
{
    unsigned admitted = 0;

    for (unsigned k = 0; k < random_sets(); k++) {
        uint64_t jitter_ns;
        SimSet set;
        Worst w;

        sim_random_set(&set);
        /* The pacer makes good for lateness up to the longest frame. */
        jitter_ns = g_test_rand_double() *
                    edf_wire_time_ns(set.c[0].wire_bytes, set.rate_bps);
        if (check(&set, jitter_ns).refusal != EDF_ADMITTED) {
            continue;
        }
        admitted++;
        simulate(&set, jitter_ns, &w);
        if (w.missed) {
            sim_print_set(&set);
            g_error("%zu misses, jitter %" PRIu64 " ns", w.missed, jitter_ns);
        }
        for (unsigned i = 0; i < set.n; i++) {
            g_assert_cmpuint(w.start_delay_ns[i], <=,
                             bound_ns(&set, i, jitter_ns));
        }
    }
    g_assert_cmpuint(admitted, >, random_sets() / 10);
}

/* -- Cases worked out by hand ---------------------------------------------- */

#define US 1000ull
#define MBIT 1000000ull

/* 10 Mbit/s: 800 ns per byte. */
static void test_bound_reached(void)
{
    static const struct {
        SimSet set;
        uint64_t bound_ns[3];
    } cases[] = {
        /* Alone with best effort: the frame in the way, and no more. */
        { { .n = 1, .rate_bps = 10 * MBIT, .blocking_wire_bytes = 1538,
            .c = { { 2000 * US, 5000 * US, 250 } } },
          { 1538 * 800 } },
        /* No one else: nothing to wait for. */
        { { .n = 1, .rate_bps = 10 * MBIT,
            .c = { { 2000 * US, 5000 * US, 250 } } },
          { 0 } },
        /* The tight one waits for the longest, the loose ones for all. */
        { { .n = 3, .rate_bps = 10 * MBIT, .blocking_wire_bytes = 1538,
            .c = { { 2000 * US, 9000 * US, 250 },
                   { 3000 * US, 9000 * US, 500 },
                   { 5000 * US, 9000 * US, 1000 } } },
          { 1538 * 800, (1538 + 250) * 800, (1538 + 250 + 500) * 800 } },
        /* The frame in the way is one of the set. */
        { { .n = 2, .rate_bps = 10 * MBIT, .blocking_wire_bytes = 84,
            .c = { { 2000 * US, 9000 * US, 250 },
                   { 3000 * US, 9000 * US, 1500 } } },
          { 1500 * 800, (84 + 250) * 800 } },
    };

    for (unsigned k = 0; k < G_N_ELEMENTS(cases); k++) {
        const SimSet *set = &cases[k].set;
        Worst w;

        g_assert_cmpint(check(set, 0).refusal, ==, EDF_ADMITTED);
        simulate(set, 0, &w);
        g_assert_cmpuint(w.missed, ==, 0);
        for (unsigned i = 0; i < set->n; i++) {
            g_assert_cmpuint(bound_ns(set, i, 0), ==, cases[k].bound_ns[i]);
            g_assert_cmpuint(w.start_delay_ns[i], ==, cases[k].bound_ns[i]);
            g_assert_cmpuint(bound_ns(set, i, 7 * US), ==,
                             cases[k].bound_ns[i] + 7 * US);
        }
    }
}

/* One nanosecond, byte or millionth decides. */
static void test_limits(void)
{
    SimSet set = {
        .n = 1, .rate_bps = 10 * MBIT, .blocking_wire_bytes = 1538,
        .c = { { (1538 + 250) * 800, 5000 * US, 250 } },
    };
    EdfVerdict v = check(&set, 0);

    g_assert_cmpint(v.refusal, ==, EDF_ADMITTED);
    g_assert_cmpuint(v.load_ppm, ==, 40000);
    g_assert_cmpuint(bound_ns(&set, 0, 0), ==, 1538 * 800);

    v = check(&set, 1);
    g_assert_cmpint(v.refusal, ==, EDF_REFUSED_DEADLINE);
    g_assert_cmpuint(v.at_ns, ==, (1538 + 250) * 800);
    g_assert_cmpuint(v.demand_ns, ==, (1538 + 250) * 800 + 1);
    g_assert_cmpuint(bound_ns(&set, 0, 1), ==, UINT64_MAX);

    set.c[0].deadline_ns--;
    v = check(&set, 0);
    g_assert_cmpint(v.refusal, ==, EDF_REFUSED_DEADLINE);
    g_assert_cmpuint(v.demand_ns - v.at_ns, ==, 1);

    /* 950 bytes of 800 ns each 800 us are 95 % exactly. */
    set.c[0] = (EdfContract) { 9000 * US, 800 * US, 950 };
    v = check(&set, 0);
    g_assert_cmpint(v.refusal, ==, EDF_ADMITTED);
    g_assert_cmpuint(v.load_ppm, ==, 950000);
    set.c[0].period_ns--;
    v = check(&set, 0);
    g_assert_cmpint(v.refusal, ==, EDF_REFUSED_LOAD);
    g_assert_cmpuint(v.load_ppm, ==, 950002);
}

static void test_no_set(void)
{
    EdfVerdict v = edf_admission_check(NULL, 0, 10 * MBIT, 1538, 0);

    g_assert_cmpint(v.refusal, ==, EDF_ADMITTED);
    g_assert_cmpuint(v.load_ppm, ==, 0);
}

/* Whatever a caller comes with: an answer, in time, that is not too good. */
static void test_extremes(void)
{
    static const uint64_t times_ns[] = {
        0, 1, 2, 999, 1ull << 40, (1ull << 62) - 1, 1ull << 62, 1ull << 63,
        UINT64_MAX - 1, UINT64_MAX,
    };
    static const uint64_t rates_bps[] = {
        0, 1, 7, 10 * MBIT, 1000000 * MBIT, UINT64_MAX,
    };
    static const uint32_t bytes[] = { 0, 1, 1538, UINT32_MAX };

    for (unsigned k = 0; k < 20000; k++) {
        SimSet set = {
            .n = g_test_rand_int_range(1, 4),
            .rate_bps = rates_bps[g_test_rand_int_range(
                0, G_N_ELEMENTS(rates_bps))],
            .blocking_wire_bytes = bytes[g_test_rand_int_range(0, 4)],
        };
        uint64_t jitter_ns = times_ns[g_test_rand_int_range(
            0, G_N_ELEMENTS(times_ns))];
        EdfVerdict v;

        for (unsigned i = 0; i < set.n; i++) {
            set.c[i] = (EdfContract) {
                times_ns[g_test_rand_int_range(0, G_N_ELEMENTS(times_ns))],
                times_ns[g_test_rand_int_range(0, G_N_ELEMENTS(times_ns))],
                bytes[g_test_rand_int_range(0, 4)],
            };
        }
        v = check(&set, jitter_ns);
        for (unsigned i = 0; i < set.n; i++) {
            const EdfContract *c = &set.c[i];
            uint64_t delay_ns = bound_ns(&set, i, jitter_ns);

            if (v.refusal != EDF_ADMITTED) {
                g_assert_cmpuint(delay_ns, ==, UINT64_MAX);
            } else {
                g_assert_cmpuint(c->period_ns, >, 0);
                g_assert_cmpuint(
                    edf_wire_time_ns(c->wire_bytes, set.rate_bps), <=,
                    c->deadline_ns);
                g_assert_cmpuint(delay_ns, <=, c->deadline_ns);
                g_assert_true(c->wire_bytes == 0 ||
                              jitter_ns <= c->deadline_ns);
            }
        }
        if (v.refusal == EDF_REFUSED_DEADLINE) {
            g_assert_cmpuint(v.demand_ns, >, v.at_ns);
        }
    }
}

/* Periods that differ by eleven orders of magnitude are decided at once. */
static void test_speed(void)
{
    SimSet set = { .n = SIM_SET_MAX, .rate_bps = 1000000 * MBIT,
                   .blocking_wire_bytes = 65565 };
    gint64 began_us = g_get_monotonic_time();
    gint64 took_us;

    for (unsigned i = 0; i < set.n; i++) {
        uint64_t period_ns = 6;

        for (unsigned k = 0; k < i; k++) {
            period_ns *= 40;
        }
        set.c[i] = (EdfContract) {
            .deadline_ns = 10 * period_ns + 1000000,
            .period_ns = period_ns,
            .wire_bytes = MIN(0.4 * 125 * period_ns, 65565),
        };
    }
    g_assert_cmpint(check(&set, 0).refusal, ==, EDF_ADMITTED);
    for (unsigned i = 0; i < set.n; i++) {
        g_assert_cmpuint(bound_ns(&set, i, 0), <=, set.c[i].deadline_ns);
    }
    took_us = g_get_monotonic_time() - began_us;
    g_test_message("check and %u bounds: %" PRId64 " us", set.n, took_us);
    g_assert_cmpint(took_us, <, 5000000);
}

static void test_wire_time(void)
{
    g_assert_cmpuint(edf_wire_time_ns(1538, 10 * MBIT), ==, 1230400);
    g_assert_cmpuint(edf_wire_time_ns(1, 3), ==, 2666666667);
    g_assert_cmpuint(edf_wire_time_ns(0, 3), ==, 0);
    g_assert_cmpuint(edf_wire_time_ns(1, UINT64_MAX), ==, 1);
    g_assert_cmpuint(edf_wire_time_ns(UINT64_MAX, 1), ==, UINT64_MAX);
    g_assert_cmpuint(edf_wire_time_ns(1, 0), ==, UINT64_MAX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edf-admission/wire-time", test_wire_time);
    g_test_add_func("/edf-admission/no-set", test_no_set);
    g_test_add_func("/edf-admission/limits", test_limits);
    g_test_add_func("/edf-admission/bound-reached", test_bound_reached);
    g_test_add_func("/edf-admission/brute-force", test_brute_force);
    g_test_add_func("/edf-admission/simulation", test_simulation);
    g_test_add_func("/edf-admission/jitter", test_jitter);
    g_test_add_func("/edf-admission/extremes", test_extremes);
    g_test_add_func("/edf-admission/speed", test_speed);
    return g_test_run();
}
