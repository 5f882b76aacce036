/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pacing: when the link is free for the next frame.
 *
 * Threads: caller-owned state.
 */
#include "rtnet/edf-pacer.h"
#include "rtnet/edf-admission.h"

#define BIT_NS 8000000000ull            /* ns that a byte takes at 1 bit/s */

__extension__ typedef unsigned __int128 U128;

void edf_pacer_init(EdfPacer *p, uint64_t rate_bps, uint32_t max_wire_bytes)
{
    *p = (EdfPacer) {
        .rate_bps = rate_bps,
        .credit_ns = rate_bps ? edf_wire_time_ns(max_wire_bytes, rate_bps) : 0,
    };
}

void edf_pacer_resume(EdfPacer *p, uint64_t now_ns)
{
    if (p->next_ns < now_ns) {
        p->next_ns = now_ns;
        p->remainder = 0;
    }
}

void edf_pacer_set_rate(EdfPacer *p, uint64_t rate_bps, uint32_t max_wire_bytes,
                        uint64_t now_ns)
{
    uint64_t busy_until_ns = p->next_ns;

    edf_pacer_init(p, rate_bps, max_wire_bytes);
    if (rate_bps) {
        p->next_ns = busy_until_ns < now_ns + p->credit_ns
                     ? busy_until_ns : now_ns + p->credit_ns;
    }
}

void edf_pacer_charge(EdfPacer *p, uint64_t now_ns, uint32_t wire_bytes)
{
    uint64_t parts, ns;

    if (p->rate_bps == 0) {
        return;
    }
    if (now_ns > p->credit_ns) {
        edf_pacer_resume(p, now_ns - p->credit_ns);
    }
    if (G_UNLIKELY(__builtin_mul_overflow(wire_bytes, BIT_NS, &parts) ||
                   __builtin_add_overflow(parts, p->remainder, &parts))) {
        U128 cost = (U128)wire_bytes * BIT_NS + p->remainder;

        p->remainder = cost % p->rate_bps;
        cost /= p->rate_bps;
        ns = cost < UINT64_MAX ? cost : UINT64_MAX;
    } else {
        p->remainder = parts % p->rate_bps;
        ns = parts / p->rate_bps;
    }
    p->next_ns = p->next_ns < UINT64_MAX - ns ? p->next_ns + ns : UINT64_MAX;
}
