/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a load notes: its rounds, and of each source what it has sent within a
 * sample and what came of it.
 *
 * A load is one thread that sends and looks in turn, a *round*; what is sent
 * and seen in it has the time at which it began.  A round that takes longer
 * than EDF_AWAY_NS means that the thread was kept from its core.  Frames that
 * it sent then, or sees afterwards, are *disturbed*: their delay would be the
 * load's, so only their arrival counts.
 *
 * Frames belong to the sample in which they were sent.
 *
 * Threads: caller-owned state.
 */
#ifndef BENCH_EDF_RECORD_H
#define BENCH_EDF_RECORD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define EDF_AWAY_NS 20000

typedef struct EdfRounds {
    uint64_t now_ns;            /* this one began */
    uint64_t longest_away_ns;
    bool behind;                /* what is seen may have come long ago */
    GArray *long_ns;            /* when those began, of uint64_t */
} EdfRounds;

typedef struct EdfRecord {
    const char *name;
    uint32_t bytes;
    uint64_t deadline_ns;       /* 0: best effort; no delays are kept */

    uint32_t sequence;          /* of the next one that is sent */
    uint32_t expected;          /* at least, of the next one that comes */

    /* Of the frames sent within the sample. */
    uint64_t from_ns;
    uint64_t sent_pkts, come_pkts;
    uint64_t late_pkts;         /* came after their deadline */
    uint64_t disturbed_pkts;
    GArray *delays_ns;          /* of uint64_t */

    /* Of what came within the sample, whenever it was sent. */
    uint64_t received_pkts, received_bytes;
} EdfRecord;

/* -- Rounds ---------------------------------------------------------------- */

void edf_rounds_init(EdfRounds *r);
void edf_rounds_clear(EdfRounds *r);

/* The first one of many; what was noted of others before is forgotten. */
void edf_rounds_begin(EdfRounds *r);

/* The next one; call it right after the one before. */
void edf_rounds_next(EdfRounds *r);

/* Is the delay of a frame that is seen now its own? */
bool edf_rounds_measured(const EdfRounds *r, uint64_t sent_ns);

/* -- Sources --------------------------------------------------------------- */

void edf_record_init(EdfRecord *r, const char *name, uint32_t bytes,
                     uint64_t deadline_ns);
void edf_record_clear(EdfRecord *r);

/* A sample begins. */
void edf_record_begin(EdfRecord *r, uint64_t now_ns);

/*
 * A frame has come, after others of its source: false if it is not behind
 * them.  @measured: sender and receiver were there.
 */
bool edf_record_come(EdfRecord *r, uint32_t sequence, uint64_t sent_ns,
                     uint64_t now_ns, bool measured);

/* JSON, without a line's end.  With @seconds how long what was received took;
 * all that was sent has come by now, or never will. */
void edf_record_print(EdfRecord *r, double seconds);

#endif
