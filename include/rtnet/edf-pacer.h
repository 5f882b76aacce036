/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pacing: when the link is free for the next frame.
 *
 *   next = max(next, now - L_max / C) + L / C
 *
 * A release that comes late (a timer that woke late) is caught up by at most
 * one longest frame, so lateness costs no throughput and builds no burst that
 * a narrower link behind would have to queue.  Fractions of a nanosecond are
 * carried, so the rate is exact over any time.
 *
 * Threads: caller-owned state.
 */
#ifndef RTNET_EDF_PACER_H
#define RTNET_EDF_PACER_H

#include <stdint.h>

typedef struct EdfPacer {
    uint64_t rate_bps;          /* 0: no pacing, the link is always free */
    uint64_t credit_ns;         /* L_max / C */
    uint64_t next_ns;           /* the link is free from here on */
    uint64_t remainder;         /* of bits * 10^9 / rate, not yet charged */
} EdfPacer;

/* @max_wire_bytes: longest frame, on the link. */
void edf_pacer_init(EdfPacer *p, uint64_t rate_bps, uint32_t max_wire_bytes);

/*
 * A frame came and none was waiting: time that the link was idle earns no
 * credit.  Call before the frame is planned, not while another is released.
 */
void edf_pacer_resume(EdfPacer *p, uint64_t now_ns);

/*
 * Another rate from @now_ns on.  What was charged at the old one holds the link
 * for one longest frame at most.
 */
void edf_pacer_set_rate(EdfPacer *p, uint64_t rate_bps, uint32_t max_wire_bytes,
                        uint64_t now_ns);

/* Account for a frame of @wire_bytes that leaves at @now_ns. */
void edf_pacer_charge(EdfPacer *p, uint64_t now_ns, uint32_t wire_bytes);

#endif
