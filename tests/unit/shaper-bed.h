/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shaper for tests with few frames, each of which is a letter.
 *
 * The link takes a byte in a ns and most frames have 1000, so that time is told
 * in frames: a guarantee of a tenth of the link is behind 10 frames after it
 * had one.
 *
 * Threads: single.
 */
#ifndef SHAPER_BED_H
#define SHAPER_BED_H

#include "shaper.h"

#define BYTE_PER_NS UINT64_C(8000000000)
#define FRAME_BYTES 1000
#define FRAME_NS 1000
#define START_NS 1000000000000ull
#define MANY 400

typedef struct Bed {
    Shaper *s;
    uint64_t now_ns;
    char left[MANY + 1];            /* what bed_take() took last */
} Bed;

/* -- Life ------------------------------------------------------------------ */

/* Of @cfg all but the longest frame. */
void bed_init(Bed *bed, ShaperConfig cfg);
void bed_init_edf(Bed *bed);
void bed_clear(Bed *bed);

/* @percent of the link. */
ShaperGuarantee bed_percent(unsigned percent);

/* -- In -------------------------------------------------------------------- */

/* FRAME_BYTES, unless @item says otherwise. */
void bed_put(Bed *bed, char name, ShaperItem item, EdfTurn turn);

void bed_best_effort(Bed *bed, unsigned source, char name);
void bed_deadline(Bed *bed, unsigned source, unsigned lane, char name,
                  uint64_t order_ns);

/* It comes @early_ns too early for its contract. */
void bed_admitted(Bed *bed, unsigned source, unsigned lane, char name,
                  uint64_t order_ns, uint64_t early_ns);

/* MANY of them. */
void bed_flood(Bed *bed, unsigned source, char name);
void bed_flood_deadline(Bed *bed, unsigned source, char name);

/* -- Out ------------------------------------------------------------------- */

/* The names of the next @n, each when the link is free. */
const char *bed_take(Bed *bed, unsigned n);

/* How many of @left are @name? */
unsigned bed_count(const char *left, char name);

/* @expected of those that bed_take() took last are @name, but for one. */
void bed_check_count(const Bed *bed, char name, unsigned expected);

#endif
