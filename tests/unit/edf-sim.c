/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One link, a scheduler in front of it, and a clock that is stepped.
 *
 * Threads: single.
 */
#include <glib.h>
#include <inttypes.h>
#include <math.h>

#include "edf-sim.h"
#include "rtnet/edf-pacer.h"

#define SHORTEST_WIRE_BYTES 84
#define LONGEST_WIRE_BYTES 1538

/* -- The link -------------------------------------------------------------- */

typedef struct Sim {
    const SimSetup *setup;
    EdfQueue q;
    EdfSource *sources;
    EdfPacer pacer;
    EdfPacer link;              /* where the frames really are; no credit */
} Sim;

static void arrive(Sim *sim, SimFrame *f)
{
    if (edf_queue_is_idle(&sim->q)) {
        edf_pacer_resume(&sim->pacer, f->arrival_ns);
    }
    edf_queue_push(&sim->q, &sim->sources[f->source], &f->item, f->band,
                   f->turn);
}

static void release(Sim *sim, uint64_t now_ns)
{
    EdfSource *src;
    EdfItem *item = edf_queue_pop(&sim->q, now_ns, &src);
    SimFrame *f = (SimFrame *)((char *)item - offsetof(SimFrame, item));

    g_assert_cmpuint(now_ns, >=, f->arrival_ns);
    edf_pacer_charge(&sim->pacer, now_ns, f->wire_bytes);
    edf_pacer_charge(&sim->link, now_ns, f->wire_bytes);
    f->start_ns = now_ns;
    f->finish_ns = sim->link.next_ns + (sim->link.remainder != 0);
}

static uint64_t lateness_ns(const SimSetup *setup)
{
    if (setup->jitter_ns == 0 || g_test_rand_bit()) {
        return setup->jitter_ns;
    }
    return g_test_rand_int_range(0, setup->jitter_ns + 1);
}

void sim_run(const SimSetup *setup, SimFrame *frames, size_t n)
{
    Sim sim = { .setup = setup };
    size_t arrived = 0;
    uint64_t now_ns = 0;
    uint32_t longest = 0;

    for (size_t i = 0; i < n; i++) {
        longest = MAX(longest, frames[i].wire_bytes);
        g_assert_true(i == 0 ||
                      frames[i - 1].arrival_ns <= frames[i].arrival_ns);
    }
    edf_queue_init(&sim.q, EDF_QUEUE_EDF);
    edf_pacer_init(&sim.pacer, setup->rate_bps, longest);
    edf_pacer_init(&sim.link, setup->rate_bps, 0);
    sim.sources = g_new0(EdfSource, setup->sources);
    for (unsigned i = 0; i < setup->sources; i++) {
        edf_queue_attach(&sim.q, &sim.sources[i]);
    }

    if (setup->first_goes_ahead) {
        arrive(&sim, &frames[arrived++]);
        now_ns = frames[0].arrival_ns;
        release(&sim, now_ns);
    }
    while (arrived < n || !edf_queue_is_idle(&sim.q)) {
        if (edf_queue_is_idle(&sim.q)) {
            now_ns = MAX(frames[arrived].arrival_ns, sim.pacer.next_ns) +
                     lateness_ns(setup);
            arrive(&sim, &frames[arrived++]);
        } else if (now_ns < sim.pacer.next_ns) {
            now_ns = sim.pacer.next_ns + lateness_ns(setup);
        }
        while (arrived < n && frames[arrived].arrival_ns <= now_ns) {
            arrive(&sim, &frames[arrived++]);
        }
        release(&sim, now_ns);
    }

    for (unsigned i = 0; i < setup->sources; i++) {
        edf_queue_detach(&sim.q, &sim.sources[i]);
    }
    edf_queue_destroy(&sim.q);
    g_free(sim.sources);
}

size_t sim_missed(const SimFrame *frames, size_t n)
{
    size_t missed = 0;

    for (size_t i = 0; i < n; i++) {
        missed += frames[i].band != EDF_BAND_BEST_EFFORT &&
                  frames[i].finish_ns > frames[i].due_ns;
    }
    return missed;
}

/* -- Worst phasing --------------------------------------------------------- */

static void add_frame(GArray *frames, const EdfContract *set, unsigned source,
                      uint64_t after_ns)
{
    SimFrame f = {
        .source = source,
        .band = EDF_BAND_ADMITTED,
        .wire_bytes = set[source].wire_bytes,
        .arrival_ns = SIM_EPOCH_NS + after_ns,
    };

    f.due_ns = f.turn.order_ns = f.arrival_ns + set[source].deadline_ns;
    g_array_append_val(frames, f);
}

static gint by_arrival(gconstpointer a, gconstpointer b)
{
    const SimFrame *x = a, *y = b;

    return (x->arrival_ns > y->arrival_ns) - (x->arrival_ns < y->arrival_ns);
}

SimFrame *sim_worst_phasing(const EdfContract *set, unsigned n,
                            uint32_t blocking_wire_bytes, uint64_t level_ns,
                            uint64_t length_ns, bool *blocked, size_t *count)
{
    GArray *rest = g_array_new(false, true, sizeof(SimFrame));
    GArray *all = g_array_new(false, true, sizeof(SimFrame));
    uint32_t longest = blocking_wire_bytes;
    unsigned blocker = n;       /* n: best effort */

    for (unsigned i = 0; i < n; i++) {
        if (set[i].deadline_ns > level_ns && set[i].wire_bytes > longest) {
            longest = set[i].wire_bytes;
            blocker = i;
        }
    }
    *blocked = longest > 0;
    if (blocker < n) {
        add_frame(all, set, blocker, 0);
    } else if (longest > 0) {
        SimFrame f = {
            .source = n,
            .band = EDF_BAND_BEST_EFFORT,
            .wire_bytes = longest,
            .arrival_ns = SIM_EPOCH_NS,
            .due_ns = UINT64_MAX,
        };

        g_array_append_val(all, f);
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t t = i == blocker ? set[i].period_ns : 0;

        for (; t <= length_ns; t += set[i].period_ns) {
            add_frame(rest, set, i, t);
        }
    }
    g_array_sort(rest, by_arrival);
    g_array_append_vals(all, rest->data, rest->len);
    g_array_free(rest, true);
    *count = all->len;
    return (SimFrame *)g_array_free(all, false);
}

/* -- Random sets ----------------------------------------------------------- */

/* Between @low and @high, every order of magnitude alike. */
static double rand_log(double low, double high)
{
    return low * pow(high / low, g_test_rand_double());
}

void sim_random_set(SimSet *set)
{
    static const uint64_t rates_bps[] = {
        10000000, 100000000, 1000000000, 9216000, 33333333, 3100000000,
    };
    double left = 0.3 + 0.7 * g_test_rand_double(), sum_ns = 0;

    *set = (SimSet) {
        .n = g_test_rand_int_range(1, SIM_SET_MAX + 1),
        .rate_bps = rates_bps[g_test_rand_int_range(
            0, G_N_ELEMENTS(rates_bps))],
    };
    if (g_test_rand_bit()) {
        set->blocking_wire_bytes = LONGEST_WIRE_BYTES;
    }
    for (unsigned i = 0; i < set->n; i++) {
        set->c[i].wire_bytes = rand_log(SHORTEST_WIRE_BYTES,
                                        LONGEST_WIRE_BYTES + 1);
        sum_ns += edf_wire_time_ns(set->c[i].wire_bytes, set->rate_bps);
    }
    for (unsigned i = 0; i < set->n; i++) {
        EdfContract *c = &set->c[i];
        double own_ns = edf_wire_time_ns(c->wire_bytes, set->rate_bps);
        double share = i + 1 == set->n ? left
                                       : left * g_test_rand_double() * 0.7;

        left -= share;
        c->period_ns = MIN(own_ns / share, 100 * sum_ns) + 1;
        c->deadline_ns = rand_log(2 * own_ns, 4 * sum_ns + c->period_ns) +
            edf_wire_time_ns(set->blocking_wire_bytes, set->rate_bps);
    }
}

uint64_t sim_length_ns(const SimSet *set, uint64_t jitter_ns)
{
    uint64_t sum_ns = edf_wire_time_ns(set->blocking_wire_bytes,
                                       set->rate_bps) + jitter_ns;
    uint64_t longest_ns = 0;

    for (unsigned i = 0; i < set->n; i++) {
        sum_ns += edf_wire_time_ns(set->c[i].wire_bytes, set->rate_bps);
        longest_ns = MAX(longest_ns, set->c[i].deadline_ns);
    }
    /* At most 95 % of the link are promised: 1 / (1 - U) <= 20. */
    return MAX(longest_ns, 20 * sum_ns) + 1;
}

void sim_print_set(const SimSet *set)
{
    g_test_message("%" PRIu64 " bit/s, blocking %" PRIu32 " bytes",
                   set->rate_bps, set->blocking_wire_bytes);
    for (unsigned i = 0; i < set->n; i++) {
        g_test_message("  D %" PRIu64 " ns, T %" PRIu64 " ns, %" PRIu32
                       " bytes", set->c[i].deadline_ns, set->c[i].period_ns,
                       set->c[i].wire_bytes);
    }
}
