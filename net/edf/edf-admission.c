/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Admission.
 *
 * Demand is compared in units of 1 / rate ns ("scaled"), in which everything
 * is a whole number: nothing is rounded before the verdict.  To keep products
 * within 128 bits, times beyond 2^62 ns (146 years) count as 2^62 ns.
 *
 * Between two neighbouring deadlines B(t) is constant and f(t) = h(t) + B(t)
 * only grows, so each such segment is searched from its end downwards: if
 * f(t) <= t, then every t' in [f(t), t] has f(t') <= f(t) <= t' and need not
 * be looked at.  Beyond the last deadline f(t) <= U t + const with U < 1, which
 * ends the last segment.
 *
 * Threads: pure functions and caller-owned state.
 */
#include "rtnet/edf-admission.h"

__extension__ typedef unsigned __int128 U128;

#define BIT_NS 8000000000ull            /* ns that a byte takes at 1 bit/s */
#define TIME_MAX_NS (1ull << 62)

/* Shares of the link are summed in these parts of a millionth. */
#define PPM_PARTS 1000000ull
#define LINK_PARTS (1000000 * PPM_PARTS)

typedef struct Problem {
    const EdfContract *set;
    size_t n;
    uint64_t rate_bps;
    uint32_t blocking_bytes;
    uint64_t jitter_ns;         /* and the slack asked for */
    uint64_t load_parts;        /* of LINK_PARTS; only if within the limit */
} Problem;

static U128 min_u128(U128 a, U128 b)
{
    return a < b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static U128 div_round_up(U128 a, U128 b)
{
    return a / b + (a % b != 0);
}

static uint64_t deadline_of(const EdfContract *c)
{
    return min_u64(c->deadline_ns, TIME_MAX_NS);
}

static uint64_t period_of(const EdfContract *c)
{
    return min_u64(c->period_ns, TIME_MAX_NS);
}

uint64_t edf_wire_time_ns(uint64_t wire_bytes, uint64_t rate_bps)
{
    if (rate_bps == 0) {
        return UINT64_MAX;
    }
    return min_u128(div_round_up((U128)wire_bytes * BIT_NS, rate_bps),
                    UINT64_MAX);
}

/* -- Load ------------------------------------------------------------------ */

static U128 load_of(const EdfContract *set, size_t n, uint64_t rate_bps)
{
    U128 parts = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        if (rate_bps == 0 || set[i].period_ns == 0) {
            return (U128)LINK_PARTS << 32;
        }
        parts += div_round_up((U128)set[i].wire_bytes * BIT_NS * LINK_PARTS,
                              (U128)period_of(&set[i]) * rate_bps);
    }
    return parts;
}

/* -- Demand ---------------------------------------------------------------- */

/* Longest frame that may be in the way of one with a deadline at @t_ns. */
static uint32_t blocking_bytes(const Problem *p, uint64_t t_ns)
{
    uint32_t longest = p->blocking_bytes;
    size_t i;

    for (i = 0; i < p->n; i++) {
        if (deadline_of(&p->set[i]) > t_ns && p->set[i].wire_bytes > longest) {
            longest = p->set[i].wire_bytes;
        }
    }
    return longest;
}

/* h(t) + B(t), scaled; @blocking is that of t. */
static U128 scaled_demand(const Problem *p, uint64_t t_ns, uint32_t blocking)
{
    U128 demand = (U128)blocking * BIT_NS + (U128)p->jitter_ns * p->rate_bps;
    size_t i;

    for (i = 0; i < p->n; i++) {
        const EdfContract *c = &p->set[i];
        uint64_t deadline_ns = deadline_of(c);

        if (deadline_ns <= t_ns) {
            demand += ((U128)((t_ns - deadline_ns) / period_of(c)) + 1) *
                      c->wire_bytes * BIT_NS;
        }
    }
    return demand;
}

/*
 * From here on demand is met, whatever happened before.  With Ui = Li / (Ti C):
 *   h(t) <= U t + sum of Ui (Ti - Di)   for t >= all Di,
 * of which the negative terms are left out.
 */
static uint64_t horizon_ns(const Problem *p)
{
    U128 rest = (U128)p->blocking_bytes * BIT_NS +
                (U128)p->jitter_ns * p->rate_bps;
    uint64_t last_deadline_ns = 0, rest_ns;
    size_t i;

    for (i = 0; i < p->n; i++) {
        const EdfContract *c = &p->set[i];
        uint64_t deadline_ns = deadline_of(c), period_ns = period_of(c);

        if (deadline_ns > last_deadline_ns) {
            last_deadline_ns = deadline_ns;
        }
        if (period_ns > deadline_ns) {
            rest += div_round_up((U128)c->wire_bytes * BIT_NS *
                                 (period_ns - deadline_ns), period_ns);
        }
    }
    rest_ns = min_u128(div_round_up(rest, p->rate_bps), TIME_MAX_NS);
    rest_ns = min_u128(div_round_up((U128)rest_ns * LINK_PARTS,
                                    LINK_PARTS - p->load_parts), TIME_MAX_NS);
    return rest_ns > last_deadline_ns ? rest_ns : last_deadline_ns;
}

/* Latest deadline of the set up to @t_ns; false if there is none. */
static bool last_deadline(const Problem *p, uint64_t t_ns, uint64_t *found_ns)
{
    bool any = false;
    size_t i;

    for (i = 0; i < p->n; i++) {
        uint64_t deadline_ns = deadline_of(&p->set[i]);

        if (deadline_ns <= t_ns && (!any || deadline_ns > *found_ns)) {
            *found_ns = deadline_ns;
            any = true;
        }
    }
    return any;
}

/*
 * Is there a t >= @least_ns at which demand is not met?  Gives the latest one
 * that the search meets; it need not be a deadline point, but the deadline
 * point before it is not met either.
 */
static bool find_unmet(const Problem *p, uint64_t least_ns, uint64_t *t_ns)
{
    uint64_t top_ns = horizon_ns(p), from_ns = 0;

    while (top_ns >= least_ns && last_deadline(p, top_ns, &from_ns)) {
        uint32_t blocking = blocking_bytes(p, from_ns);
        uint64_t t = top_ns;

        if (from_ns < least_ns) {
            from_ns = least_ns;
        }
        while (t >= from_ns) {
            U128 demand = scaled_demand(p, t, blocking);

            if (demand > (U128)t * p->rate_bps) {
                *t_ns = t;
                return true;
            }
            if (demand == 0) {
                break;
            }
            t = div_round_up(demand, p->rate_bps) - 1;
        }
        if (from_ns == 0) {
            break;
        }
        top_ns = from_ns - 1;
    }
    return false;
}

/* Latest deadline point up to @t_ns, which is at or beyond a deadline. */
static uint64_t deadline_point_ns(const Problem *p, uint64_t t_ns)
{
    uint64_t latest_ns = 0;
    size_t i;

    for (i = 0; i < p->n; i++) {
        uint64_t deadline_ns = deadline_of(&p->set[i]);

        if (deadline_ns <= t_ns) {
            uint64_t point_ns =
                t_ns - (t_ns - deadline_ns) % period_of(&p->set[i]);

            if (point_ns > latest_ns) {
                latest_ns = point_ns;
            }
        }
    }
    return latest_ns;
}

/* -- Admission ------------------------------------------------------------- */

EdfVerdict edf_admission_check(const EdfContract *set, size_t n,
                               uint64_t rate_bps, uint32_t blocking_wire_bytes,
                               uint64_t jitter_ns)
{
    U128 load_parts = load_of(set, n, rate_bps);
    EdfVerdict v = {
        .refusal = EDF_ADMITTED,
        .load_ppm = min_u128(div_round_up(load_parts, PPM_PARTS), UINT32_MAX),
    };
    Problem p = {
        .set = set,
        .n = n,
        .rate_bps = rate_bps,
        .blocking_bytes = blocking_wire_bytes,
        .jitter_ns = min_u64(jitter_ns, TIME_MAX_NS),
    };
    uint64_t t_ns;

    if (v.load_ppm > EDF_ADMISSION_MAX_LOAD_PPM) {
        v.refusal = EDF_REFUSED_LOAD;
        return v;
    }
    p.load_parts = load_parts;
    if (n > 0 && find_unmet(&p, 0, &t_ns)) {
        v.refusal = EDF_REFUSED_DEADLINE;
        v.at_ns = deadline_point_ns(&p, t_ns);
        v.demand_ns = min_u128(
            div_round_up(scaled_demand(&p, v.at_ns,
                                       blocking_bytes(&p, v.at_ns)),
                         rate_bps), UINT64_MAX);
    }
    return v;
}

/*
 * A frame of @i with its deadline at t, counted from when the link last had
 * nothing as urgent to do, is complete at h(t) + B(t).
 */
uint64_t edf_admission_delay_bound_ns(const EdfContract *set, size_t n,
                                      size_t i, uint64_t rate_bps,
                                      uint32_t blocking_wire_bytes,
                                      uint64_t jitter_ns)
{
    Problem p = {
        .set = set,
        .n = n,
        .rate_bps = rate_bps,
        .blocking_bytes = blocking_wire_bytes,
    };
    uint64_t deadline_ns, own_ns, least_ns, most_ns, t_ns;

    if (edf_admission_check(set, n, rate_bps, blocking_wire_bytes,
                            jitter_ns).refusal != EDF_ADMITTED) {
        return UINT64_MAX;
    }
    p.load_parts = load_of(set, n, rate_bps);
    deadline_ns = deadline_of(&set[i]);
    own_ns = (U128)set[i].wire_bytes * BIT_NS / rate_bps;
    least_ns = 0;
    most_ns = deadline_ns - own_ns;

    /* The least slack is in [least_ns, most_ns]. */
    while (least_ns < most_ns) {
        uint64_t slack_ns = most_ns - (most_ns - least_ns) / 2;

        p.jitter_ns = min_u64(jitter_ns, TIME_MAX_NS) + slack_ns;
        if (find_unmet(&p, deadline_ns, &t_ns)) {
            most_ns = slack_ns - 1;
        } else {
            least_ns = slack_ns;
        }
    }
    return deadline_ns - least_ns - own_ns;
}
