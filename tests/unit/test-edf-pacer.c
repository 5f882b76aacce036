/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pacing: exact over any time, and what lateness may be made good for.
 *
 * Threads: single.
 */
#include <glib.h>
#include <inttypes.h>

#include "rtnet/edf-admission.h"
#include "rtnet/edf-pacer.h"

#define LONGEST_WIRE_BYTES 1538
#define START_NS 1000000000000ull

__extension__ typedef unsigned __int128 U128;

/* Always busy: after any number of frames the rate is right to the ns. */
static void test_exact(void)
{
    static const uint64_t rates_bps[] = {
        1, 9600, 9216000, 10000000, 33333333, 999999937, 1000000000,
        99999999977, 1000000000000,
    };

    for (unsigned r = 0; r < G_N_ELEMENTS(rates_bps); r++) {
        U128 bytes = 0;
        EdfPacer p;

        edf_pacer_init(&p, rates_bps[r], LONGEST_WIRE_BYTES);
        edf_pacer_resume(&p, START_NS);
        for (unsigned i = 0; i < 100000; i++) {
            uint32_t wire_bytes = g_test_rand_int_range(
                84, LONGEST_WIRE_BYTES + 1);
            uint64_t exact_ns;

            edf_pacer_charge(&p, p.next_ns, wire_bytes);
            bytes += wire_bytes;
            exact_ns = bytes * 8000000000ull / rates_bps[r];
            g_assert_cmpuint(p.next_ns - START_NS, ==, exact_ns);
        }
    }
}

/*
 * Lengths around 2^64 / (8 * 10^9), where bits * 10^9 do not fit into 64 bits
 * any more, or only what is left of the frame before makes it too much.
 */
static void test_exact_beyond_64_bits(void)
{
    static const uint64_t rates_bps[] = {
        9999999967, 99999999977, 1000000000039, EDF_RATE_MAX_BPS - 1,
    };
    const uint32_t border_bytes = UINT64_MAX / 8000000000ull;
    const uint32_t wires_bytes[] = {
        border_bytes - 2000, border_bytes, border_bytes + 1,
    };

    for (unsigned r = 0; r < G_N_ELEMENTS(rates_bps); r++) {
        unsigned within = 0, beyond = 0, by_remainder = 0;
        U128 bytes = 0;
        EdfPacer p;

        edf_pacer_init(&p, rates_bps[r], LONGEST_WIRE_BYTES);
        edf_pacer_resume(&p, START_NS);
        for (unsigned i = 0; i < 3000; i++) {
            uint32_t wire_bytes = wires_bytes[i % 3];
            U128 parts = (U128)wire_bytes * 8000000000ull;

            beyond += parts > UINT64_MAX;
            by_remainder += parts <= UINT64_MAX &&
                            parts + p.remainder > UINT64_MAX;
            within += parts + p.remainder <= UINT64_MAX;
            edf_pacer_charge(&p, p.next_ns, wire_bytes);
            bytes += wire_bytes;
            g_assert_cmpuint(p.next_ns - START_NS, ==,
                             (uint64_t)(bytes * 8000000000ull / rates_bps[r]));
        }
        g_assert_cmpuint(within, >, 100);
        g_assert_cmpuint(beyond, >, 100);
        g_assert_cmpuint(by_remainder, >, 100);
    }
}

/* Late by up to the longest frame: nothing is lost. */
static void test_lateness_is_made_good(void)
{
    uint64_t bytes = 0;
    EdfPacer p;

    edf_pacer_init(&p, 10000000, LONGEST_WIRE_BYTES);
    edf_pacer_resume(&p, START_NS);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t now_ns = p.next_ns +
                          g_test_rand_int_range(0, p.credit_ns + 1);

        edf_pacer_charge(&p, now_ns, 500);
        bytes += 500;
    }
    g_assert_cmpuint(p.next_ns, ==, START_NS + bytes * 800);
}

/* Later than that: what is beyond is lost, and no burst comes of it. */
static void test_lateness_is_limited(void)
{
    EdfPacer p;

    edf_pacer_init(&p, 10000000, LONGEST_WIRE_BYTES);
    g_assert_cmpuint(p.credit_ns, ==, LONGEST_WIRE_BYTES * 800);
    edf_pacer_resume(&p, START_NS);
    edf_pacer_charge(&p, START_NS + p.credit_ns + 7, 100);
    g_assert_cmpuint(p.next_ns, ==, START_NS + 7 + 100 * 800);
    edf_pacer_charge(&p, START_NS + 60 * p.credit_ns, 100);
    g_assert_cmpuint(p.next_ns, ==, START_NS + 59 * p.credit_ns + 100 * 800);
}

/* Time without frames is not lateness. */
static void test_idle_earns_nothing(void)
{
    EdfPacer p;

    edf_pacer_init(&p, 10000000, LONGEST_WIRE_BYTES);
    edf_pacer_resume(&p, START_NS);
    edf_pacer_charge(&p, START_NS, 1000);
    /* Still busy: the link is not free sooner because a frame came. */
    edf_pacer_resume(&p, START_NS + 5);
    g_assert_cmpuint(p.next_ns, ==, START_NS + 800000);
    edf_pacer_resume(&p, START_NS + 5000000);
    edf_pacer_charge(&p, START_NS + 5000000, 1000);
    g_assert_cmpuint(p.next_ns, ==, START_NS + 5800000);
}

/* Nothing is subtracted from a clock that has just started. */
static void test_near_zero(void)
{
    EdfPacer p;

    edf_pacer_init(&p, 10000000, LONGEST_WIRE_BYTES);
    edf_pacer_charge(&p, 10, 100);
    g_assert_cmpuint(p.next_ns, ==, 80000);
}

static void test_no_rate(void)
{
    EdfPacer p;

    edf_pacer_init(&p, 0, LONGEST_WIRE_BYTES);
    edf_pacer_charge(&p, START_NS, LONGEST_WIRE_BYTES);
    g_assert_cmpuint(p.next_ns, <=, START_NS);
}

static void test_saturates(void)
{
    EdfPacer p;

    edf_pacer_init(&p, 1, UINT32_MAX);
    g_assert_cmpuint(p.credit_ns, ==, UINT64_MAX);
    edf_pacer_charge(&p, START_NS, UINT32_MAX);
    g_assert_cmpuint(p.next_ns, ==, UINT64_MAX);
    edf_pacer_charge(&p, UINT64_MAX, UINT32_MAX);
    g_assert_cmpuint(p.next_ns, ==, UINT64_MAX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edf-pacer/exact", test_exact);
    g_test_add_func("/edf-pacer/exact-beyond-64-bits",
                    test_exact_beyond_64_bits);
    g_test_add_func("/edf-pacer/lateness-is-made-good",
                    test_lateness_is_made_good);
    g_test_add_func("/edf-pacer/lateness-is-limited", test_lateness_is_limited);
    g_test_add_func("/edf-pacer/idle-earns-nothing", test_idle_earns_nothing);
    g_test_add_func("/edf-pacer/near-zero", test_near_zero);
    g_test_add_func("/edf-pacer/no-rate", test_no_rate);
    g_test_add_func("/edf-pacer/saturates", test_saturates);
    return g_test_run();
}
