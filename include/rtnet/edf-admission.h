/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a scheduler may promise, and how it holds sources to what they declared.
 *
 * Admission is the processor-demand test for non-preemptive EDF (Jeffay,
 * Stanat, Martel, RTSS 1991; George, Rivierre, Spuri, INRIA RR-2966):
 *
 *   for every deadline point t:   h(t) + B(t) <= t
 *   h(t) = sum over Di <= t of (floor((t - Di) / Ti) + 1) * Li / C
 *   B(t) = longest frame that may be in the way / C + host jitter
 *
 * where a frame may be in the way if its deadline lies beyond t or if it has
 * none.  At most EDF_ADMISSION_MAX_LOAD_PPM of the link can be promised; the
 * rest is for the lower bands.
 *
 * Policing holds a source to its contract: what comes too early is postponed,
 * not demoted:  release = max(arrival, previous release + T), ordered by the
 * deadline release + D.  More than D before its release a frame is not
 * *eligible* yet: everyone else who waits goes first.  So a source that sends
 * too much gets what it declared, D / T + 1 frames at once at most, and never
 * starves the lower bands; and one that keeps to it on average may be up to D
 * too early, as a guest with a coarse timer is, and loses nothing.
 *
 * Lengths are bytes on the link, with preamble, FCS and gap
 * (EDF_LINK_OVERHEAD_BYTES); times are ns.
 *
 * Threads: pure functions and caller-owned state.
 */
#ifndef RTNET_EDF_ADMISSION_H
#define RTNET_EDF_ADMISSION_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* IEEE 802.3: preamble and SFD 8, FCS 4, inter-packet gap 12. */
#define EDF_LINK_OVERHEAD_BYTES 24
#define EDF_ADMISSION_MAX_LOAD_PPM 950000

/* Highest rate that any option accepts: 10 Tbit/s. */
#define EDF_RATE_MAX_BPS UINT64_C(10000000000000)

static inline uint64_t edf_add_saturated(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t edf_mul_saturated(uint64_t a, uint64_t b)
{
    uint64_t product;

    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/*
 * Time that @wire_bytes occupy a link, rounded up to a whole ns; UINT64_MAX if
 * it is longer than that, or @rate_bps is 0.
 */
uint64_t edf_wire_time_ns(uint64_t wire_bytes, uint64_t rate_bps);

/* -- Admission ------------------------------------------------------------ */

typedef struct EdfContract {
    uint64_t deadline_ns;       /* D, > 0; may be above or below the period */
    uint64_t period_ns;         /* T, > 0: least time between two frames */
    uint32_t wire_bytes;        /* L: longest frame, on the link */
} EdfContract;

typedef enum EdfRefusal {
    EDF_ADMITTED,
    EDF_REFUSED_LOAD,           /* more than the promisable share of the link */
    EDF_REFUSED_DEADLINE,       /* demand exceeds the time up to a deadline */
} EdfRefusal;

typedef struct EdfVerdict {
    EdfRefusal refusal;
    uint32_t load_ppm;          /* share of the link that the set declares */
    /* Only for EDF_REFUSED_DEADLINE: in the first @at_ns after all sources
     * start together, the link needs @demand_ns (blocking included). */
    uint64_t at_ns;
    uint64_t demand_ns;
} EdfVerdict;

/*
 * May the link promise all of @set?
 *
 * @blocking_wire_bytes: longest frame of the lower bands, 0 if there is none
 * @jitter_ns: what the host may be late for each release
 *
 * Exact for sporadic sources, within the load limit.  O(n * points tried);
 * the points are tried from the latest down (Zhang, Burns: QPA, IEEE ToC
 * 2009), which is few even where periods differ by orders of magnitude.
 */
EdfVerdict edf_admission_check(const EdfContract *set, size_t n,
                               uint64_t rate_bps, uint32_t blocking_wire_bytes,
                               uint64_t jitter_ns);

/*
 * Upper bound of the time from arrival to the start of transmission of a frame
 * of set[@i], for a set that edf_admission_check() admitted:
 *   D - (least slack t - h(t) - B(t) over all t >= D) - L / C.
 * Never more than D - L / C; UINT64_MAX if the set is not admitted.
 */
uint64_t edf_admission_delay_bound_ns(const EdfContract *set, size_t n,
                                      size_t i, uint64_t rate_bps,
                                      uint32_t blocking_wire_bytes,
                                      uint64_t jitter_ns);

/* -- Policing ------------------------------------------------------------- */

typedef struct EdfPolicer {
    uint64_t next_release_ns;   /* 0: nothing seen yet */
} EdfPolicer;

/* What the scheduler orders a frame by. */
typedef struct EdfTurn {
    uint64_t order_ns;          /* its deadline there */
    uint64_t eligible_ns;       /* the lower bands go before it until then;
                                 * 0: it never has to wait for them */
} EdfTurn;

/*
 * The turn of a frame that arrived at @arrival_ns: due at arrival + D, or later
 * if it came too early or is too long.  A frame longer than declared counts as
 * as many frames as it takes, and is due with the last of them.
 */
static inline EdfTurn edf_police(EdfPolicer *p, const EdfContract *c,
                                 uint64_t arrival_ns, uint32_t wire_bytes)
{
    uint64_t d_ns = c->deadline_ns;
    uint64_t release_ns = arrival_ns > p->next_release_ns ? arrival_ns
                                                          : p->next_release_ns;
    uint64_t last_ns = release_ns;
    uint64_t early_ns = release_ns - arrival_ns;

    if (G_UNLIKELY(wire_bytes > c->wire_bytes) && c->wire_bytes > 0) {
        last_ns = edf_add_saturated(release_ns,
            edf_mul_saturated(c->period_ns, (wire_bytes - 1) / c->wire_bytes));
    }
    p->next_release_ns = edf_add_saturated(last_ns, c->period_ns);
    return (EdfTurn) {
        .order_ns = edf_add_saturated(last_ns, d_ns),
        .eligible_ns = early_ns > d_ns ? release_ns - d_ns : 0,
    };
}

#endif
