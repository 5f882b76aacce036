/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The traffic of edf-load: sources that send to one sink through a back end,
 * each behind a front end of its own.
 *
 *   real time   a burst of frames (mostly one) every period, and never sooner
 *   bulk        keeps its ring full, or sends at a rate
 *
 * Threads: the caller's; one at a time per EdfFlows.
 */
#ifndef BENCH_EDF_FLOWS_H
#define BENCH_EDF_FLOWS_H

#include "edf-frames.h"
#include "edf-record.h"
#include "rtnet/edf-pacer.h"
#include "vhost-front.h"

#define FLOWS_RING 256u         /* descriptors of a sender's rings */
#define FLOWS_SINK_RING 1024
#define FLOWS_BULK_BURST 16     /* offered together */

typedef struct EdfFlow {
    unsigned number;            /* its source */
    FrontPort *front;
    EdfTemplate template;
    EdfRecord record;
    bool on;

    /* Real time: period_ns > 0. */
    uint64_t period_ns, next_ns;
    unsigned burst;

    EdfPacer pacer;             /* bulk; rate 0: as fast as it goes */
} EdfFlow;

typedef struct EdfFlows {
    FrontPort *sink;
    unsigned flows;
    EdfFlow *flow[EDF_SOURCES];
    const EdfTemplate *template[EDF_SOURCES];

    EdfRounds rounds;
    bool counting;              /* what comes is within the sample */
    uint64_t received_pkts;     /* in all */
    bool wrong;                 /* a frame came that nobody sent */
} EdfFlows;

/* -- Life ------------------------------------------------------------------ */

EdfFlows *edf_flows_new(void);
void edf_flows_free(EdfFlows *l);

/* "SOCKET" of who receives it all. */
bool edf_flows_set_sink(EdfFlows *l, const char *socket, GError **error);

/* "NAME SOCKET BYTES PERIOD_US BURST DEADLINE_US" */
bool edf_flows_add_rt(EdfFlows *l, const char *text, bool trailed,
                      GError **error);

/* "NAME SOCKET BYTES BPS", on the link. */
bool edf_flows_add_bulk(EdfFlows *l, const char *text, GError **error);

bool edf_flows_connect(EdfFlows *l, unsigned timeout_s, GError **error);

/* -- Traffic --------------------------------------------------------------- */

/* The flows that are on send for @ns. */
void edf_flows_run(EdfFlows *l, uint64_t ns);

/* Right after that: nobody sends until all that was sent has come or was
 * dropped; false if it takes too long. */
bool edf_flows_drain(EdfFlows *l, unsigned seconds, GError **error);

/* One frame of @flow at once, and how long it takes from the kick on; returns
 * when it has come or after a second, and then false. */
bool edf_flows_ping(EdfFlows *l, EdfFlow *flow, uint64_t *delay_ns);

/* Are all connections and all frames that came as they should be? */
bool edf_flows_check(const EdfFlows *l, GError **error);

#endif
