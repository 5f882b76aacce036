/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policing: a source that sends more than it declared harms itself only.
 *
 * Threads: single.
 */
#include <glib.h>
#include <inttypes.h>

#include "edf-sim.h"

#define RANDOM_SETS 5000
#define RANDOM_SETS_SLOW 100000
#define LONGEST_WIRE_BYTES 1538

/* -- Deadlines by hand ----------------------------------------------------- */

static const EdfContract contract = {
    .deadline_ns = 500, .period_ns = 1000, .wire_bytes = 100,
};

static void expect(EdfPolicer *p, uint64_t arrival_ns, uint32_t wire_bytes,
                   uint64_t deadline_ns, uint64_t eligible_ns)
{
    EdfTurn turn = edf_police(p, &contract, arrival_ns, wire_bytes);

    g_assert_cmpuint(turn.order_ns, ==, deadline_ns);
    g_assert_cmpuint(turn.eligible_ns, ==, eligible_ns);
}

static void test_conforming(void)
{
    EdfPolicer p = { 0 };

    expect(&p, 0, 100, 500, 0);
    expect(&p, 1000, 100, 1500, 0);
    expect(&p, 5000, 1, 5500, 0);
    expect(&p, 6000, 0, 6500, 0);
}

/*
 * Each early frame is put off, and one late frame does not make up for it.  What
 * is more than D early has to let the lower bands go.
 */
static void test_early(void)
{
    EdfPolicer p = { 0 };

    expect(&p, 100, 100, 600, 0);
    expect(&p, 100, 100, 1600, 600);
    expect(&p, 1099, 100, 2600, 1600);
    expect(&p, 3100, 100, 3600, 0);
    expect(&p, 3600, 100, 4600, 0);
    expect(&p, 4599, 100, 5600, 4600);
    expect(&p, 9000, 100, 9500, 0);
}

static void test_oversize(void)
{
    EdfPolicer p = { 0 };

    expect(&p, 0, 101, 1500, 0);
    expect(&p, 2000, 300, 4500, 0);
    expect(&p, 2001, 300, 7500, 4500);
    expect(&p, 8000, 100, 8500, 0);
}

static void test_saturates(void)
{
    EdfContract c = { UINT64_MAX, UINT64_MAX, 1 };
    EdfPolicer p = { 0 };

    g_assert_cmpuint(edf_police(&p, &c, 5, UINT32_MAX).order_ns, ==,
                     UINT64_MAX);
    g_assert_cmpuint(p.next_release_ns, ==, UINT64_MAX);
    g_assert_cmpuint(edf_police(&p, &c, UINT64_MAX, 1).order_ns, ==,
                     UINT64_MAX);
    c.wire_bytes = 0;
    g_assert_cmpuint(edf_police(&p, &c, 7, 1).order_ns, ==, UINT64_MAX);
    c.deadline_ns = 1;
    g_assert_cmpuint(edf_police(&p, &c, 7, 1).eligible_ns, ==, UINT64_MAX - 1);
}

/* -- Simulation ------------------------------------------------------------ */

typedef struct Tally {
    size_t other_missed;        /* frames of sources that keep to it */
    size_t over_missed;         /* postponed deadlines of the other */
    size_t postponed;
} Tally;

/* Source 0 sends too much: bursts, and frames longer than declared. */
static void oversend(SimFrame *frames, size_t n)
{
    uint64_t not_before_ns = 0;

    for (size_t i = n; i-- > 0;) {
        if (frames[i].source != 0) {
            continue;
        }
        /* Together with the next one, or the one after that. */
        if (not_before_ns && g_test_rand_int_range(0, 4)) {
            frames[i].arrival_ns = not_before_ns;
        }
        not_before_ns = frames[i].arrival_ns;
        if (g_test_rand_int_range(0, 8) == 0) {
            frames[i].wire_bytes = g_test_rand_int_range(
                frames[i].wire_bytes, LONGEST_WIRE_BYTES + 1);
        }
    }
}

static gint by_arrival(gconstpointer a, gconstpointer b)
{
    const SimFrame *x = a, *y = b;

    return (x->arrival_ns > y->arrival_ns) - (x->arrival_ns < y->arrival_ns);
}

/* As many frames of best effort as are there wait from the beginning on. */
static SimFrame *add_backlog(SimFrame *frames, size_t *n, size_t behind,
                             unsigned source, uint32_t wire_bytes)
{
    size_t more = *n;

    frames = g_renew(SimFrame, frames, *n + more);
    memmove(frames + behind + more, frames + behind,
            (*n - behind) * sizeof(*frames));
    for (size_t i = behind; i < behind + more; i++) {
        frames[i] = (SimFrame) {
            .source = source,
            .band = EDF_BAND_BEST_EFFORT,
            .wire_bytes = wire_bytes,
            .arrival_ns = SIM_EPOCH_NS,
            .due_ns = UINT64_MAX,
        };
    }
    *n += more;
    return frames;
}

static void simulate(const SimSet *set, bool policed, Tally *tally)
{
    SimSetup setup = { .rate_bps = set->rate_bps, .sources = set->n + 1 };
    EdfPolicer policers[SIM_SET_MAX] = { { 0 } };
    size_t n;
    SimFrame *frames;

    /* Three times the rate, as if source 0 had declared a third. */
    EdfContract sent[SIM_SET_MAX];

    for (unsigned i = 0; i < set->n; i++) {
        sent[i] = set->c[i];
    }
    sent[0].period_ns = (sent[0].period_ns + 2) / 3;
    frames = sim_worst_phasing(sent, set->n, set->blocking_wire_bytes, 0,
                               sim_length_ns(set, 0),
                               &setup.first_goes_ahead, &n);
    oversend(frames + setup.first_goes_ahead, n - setup.first_goes_ahead);
    qsort(frames + setup.first_goes_ahead, n - setup.first_goes_ahead,
          sizeof(*frames), by_arrival);

    *tally = (Tally) { 0 };
    for (size_t i = setup.first_goes_ahead; i < n; i++) {
        SimFrame *f = &frames[i];
        const EdfContract *c = &set->c[f->source];

        f->due_ns = f->turn.order_ns = f->arrival_ns + c->deadline_ns;
        if (policed) {
            f->turn = edf_police(&policers[f->source], c, f->arrival_ns,
                                 f->wire_bytes);
        }
        tally->postponed += f->turn.order_ns > f->due_ns;
        if (f->source != 0) {
            g_assert_cmpuint(f->turn.order_ns, ==, f->due_ns);
        }
    }
    frames = add_backlog(frames, &n, setup.first_goes_ahead, set->n,
                         set->blocking_wire_bytes);
    sim_run(&setup, frames, n);
    for (size_t i = 0; i < n; i++) {
        if (frames[i].source == 0) {
            tally->over_missed += frames[i].finish_ns > frames[i].turn.order_ns;
        } else if (frames[i].source < set->n) {
            tally->other_missed += frames[i].finish_ns > frames[i].due_ns;
        }
    }
    g_free(frames);
}

static void test_simulation(void)
{
    unsigned sets = g_test_slow() ? RANDOM_SETS_SLOW : RANDOM_SETS;
    unsigned admitted = 0, harmed = 0;
    size_t postponed = 0;

    for (unsigned k = 0; k < sets; k++) {
        Tally tally;
        SimSet set;

        sim_random_set(&set);
        set.blocking_wire_bytes = LONGEST_WIRE_BYTES;
        if (set.n < 2 ||
            edf_admission_check(set.c, set.n, set.rate_bps,
                                set.blocking_wire_bytes,
                                0).refusal != EDF_ADMITTED) {
            continue;
        }
        admitted++;
        simulate(&set, true, &tally);
        if (tally.other_missed || tally.over_missed) {
            sim_print_set(&set);
            g_error("source 0 sends too much: %zu misses of others, %zu of "
                    "its own postponed deadlines", tally.other_missed,
                    tally.over_missed);
        }
        postponed += tally.postponed;
        simulate(&set, false, &tally);
        harmed += tally.other_missed > 0;
    }
    g_test_message("%u sets, %zu frames postponed; without policing %u sets "
                   "would miss", admitted, postponed, harmed);
    g_assert_cmpuint(admitted, >, sets / 10);
    g_assert_cmpuint(postponed, >, admitted);
    /* Else there was nothing to protect anyone from. */
    g_assert_cmpuint(harmed, >, admitted / 20);
}

/*
 * A source sends ten times what it declared, and best effort has always
 * something to send: each gets its share, and what the first sends within its
 * contract is on time.
 */
static void test_no_starvation(void)
{
    enum { FRAMES = 20000, WIRE_BYTES = 125 };
    const uint64_t rate_bps = 10000000, wire_ns = 100000;
    const EdfContract c = {
        .deadline_ns = 1000000, .period_ns = 400000, .wire_bytes = WIRE_BYTES,
    };
    SimSetup setup = { .rate_bps = rate_bps, .sources = 2 };
    const uint64_t length_ns = FRAMES * (c.period_ns / 10);
    SimFrame *frames = g_new0(SimFrame, FRAMES);
    unsigned sent[2] = { 0 };
    EdfPolicer p = { 0 };
    size_t n = FRAMES;

    g_assert_cmpint(edf_admission_check(&c, 1, rate_bps, WIRE_BYTES, 0).refusal,
                    ==, EDF_ADMITTED);
    for (size_t i = 0; i < n; i++) {
        SimFrame *f = &frames[i];

        f->band = EDF_BAND_ADMITTED;
        f->wire_bytes = WIRE_BYTES;
        f->arrival_ns = SIM_EPOCH_NS + i * (c.period_ns / 10);
        f->due_ns = f->arrival_ns + c.deadline_ns;
        f->turn = edf_police(&p, &c, f->arrival_ns, WIRE_BYTES);
    }
    frames = add_backlog(frames, &n, 0, 1, WIRE_BYTES);
    sim_run(&setup, frames, n);
    for (size_t i = 0; i < n; i++) {
        if (frames[i].finish_ns <= SIM_EPOCH_NS + length_ns) {
            sent[frames[i].source]++;
        }
        if (frames[i].source == 0) {
            g_assert_cmpuint(frames[i].finish_ns, <=, frames[i].turn.order_ns);
        }
    }
    g_test_message("of %" G_GUINT64_FORMAT " frames the source that sends ten "
                   "times what it may got %u, best effort %u",
                   length_ns / wire_ns, sent[0], sent[1]);
    /* What it declared, and what it may be ahead. */
    g_assert_cmpuint(sent[0], >=, length_ns / c.period_ns);
    g_assert_cmpuint(sent[0], <=, length_ns / c.period_ns +
                                  c.deadline_ns / c.period_ns + 1);
    g_assert_cmpuint(sent[0] + sent[1], >=, length_ns / wire_ns - 1);
    g_free(frames);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edf-policing/conforming", test_conforming);
    g_test_add_func("/edf-policing/early", test_early);
    g_test_add_func("/edf-policing/oversize", test_oversize);
    g_test_add_func("/edf-policing/saturates", test_saturates);
    g_test_add_func("/edf-policing/no-starvation", test_no_starvation);
    g_test_add_func("/edf-policing/simulation", test_simulation);
    return g_test_run();
}
