/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What travels beside a frame with a deadline, from the port that it came from
 * to the one that it leaves by: between two ports no trailer is written.
 *
 * Threads: as the frame's.
 */
#ifndef VUS_RT_BESIDE_H
#define VUS_RT_BESIDE_H

#include "rtnet/rt-endpoint.h"

typedef struct RtBeside {
    RtTx tx;                    /* tx.has_trailer: an rtvnic's, whose trailer
                                 * is not written yet */
    uint64_t serial;            /* of the port whose endpoint counts it ... */
    uint16_t port;
    uint8_t lane;               /* in the shaper (SHAPER_LANES) */
    bool counted;               /* ... if there is one */
} RtBeside;

#endif
