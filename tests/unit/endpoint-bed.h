/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint with one frame, for tests: out of it, and into another.
 *
 * Threads: single.
 */
#ifndef ENDPOINT_BED_H
#define ENDPOINT_BED_H

#include "frame-maker.h"
#include "rtnet/rt-endpoint.h"

#define NOW_NS 5000000000ull
#define NOW_TAI_NS 1700000000000000000ull
#define DEADLINE_NS 500000u

/* A deadline of DEADLINE_NS, nothing declared, DSCP 46, trailer. */
extern const RtEndpointConfig rtvnic_cfg;

/* An endpoint and one frame in a buffer of exactly the promised size. */
typedef struct Bed {
    RtEndpoint e;
    FrameSpec s;
    uint8_t *original;          /* s.bytes, as the guest sent it */
    uint8_t *frame;
    RtTx tx;
} Bed;

void bed_init(Bed *b, const RtEndpointConfig *cfg, const FrameSpec *s);
void bed_clear(Bed *b);

/* The frame is taken from the guest at NOW_NS. */
bool bed_accept(Bed *b);

/* Out, @waited_ns later. */
void bed_send(Bed *b, uint64_t waited_ns);

/* In, with what has left, @transit_ns later; returns what a guest gets. */
size_t bed_receive(Bed *b, RtEndpoint *receiver, int64_t transit_ns,
                   bool *missed, RtMiss *miss);

/* That of the frame that has left. */
RtTrailer written_trailer(const Bed *b);

#endif
