/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shaper-bed.h"

typedef struct Letter {
    ShaperItem item;
    char name;
} Letter;

void bed_init(Bed *bed, ShaperConfig cfg)
{
    cfg.max_wire_bytes = FRAME_BYTES;
    *bed = (Bed) { .s = shaper_new(&cfg), .now_ns = START_NS };
}

void bed_init_edf(Bed *bed)
{
    bed_init(bed, (ShaperConfig) { .rate_bps = BYTE_PER_NS });
}

void bed_clear(Bed *bed)
{
    ShaperItem *item;

    while ((item = shaper_drop(bed->s)) != NULL) {
        g_free(item);
    }
    g_assert_cmpuint(shaper_len_pkts(bed->s), ==, 0);
    shaper_free(bed->s);
}

ShaperGuarantee bed_percent(unsigned percent)
{
    return (ShaperGuarantee) { .bps = percent * (BYTE_PER_NS / 100) };
}

/* -- In -------------------------------------------------------------------- */

void bed_put(Bed *bed, char name, ShaperItem item, EdfTurn turn)
{
    Letter *letter = g_new0(Letter, 1);

    letter->name = name;
    letter->item = item;
    if (letter->item.wire_bytes == 0) {
        letter->item.wire_bytes = FRAME_BYTES;
    }
    shaper_put(bed->s, &letter->item, turn, bed->now_ns);
}

void bed_best_effort(Bed *bed, unsigned source, char name)
{
    bed_put(bed, name, (ShaperItem) {
        .source = source, .band = EDF_BAND_BEST_EFFORT,
    }, (EdfTurn) { 0 });
}

void bed_flood(Bed *bed, unsigned source, char name)
{
    for (unsigned i = 0; i < MANY; i++) {
        bed_best_effort(bed, source, name);
    }
}

void bed_deadline(Bed *bed, unsigned source, unsigned lane, char name,
                  uint64_t order_ns)
{
    bed_put(bed, name, (ShaperItem) {
        .source = source, .lane = lane, .band = EDF_BAND_DEADLINE,
    }, (EdfTurn) { .order_ns = order_ns });
}

void bed_flood_deadline(Bed *bed, unsigned source, char name)
{
    for (unsigned i = 0; i < MANY; i++) {
        bed_deadline(bed, source, 0, name, START_NS + i);
    }
}

void bed_admitted(Bed *bed, unsigned source, unsigned lane, char name,
                  uint64_t order_ns, uint64_t early_ns)
{
    bed_put(bed, name, (ShaperItem) {
        .source = source, .lane = lane, .band = EDF_BAND_ADMITTED,
    }, (EdfTurn) {
        .order_ns = order_ns,
        .eligible_ns = early_ns ? bed->now_ns + early_ns : 0,
    });
}

/* -- Out ------------------------------------------------------------------- */

const char *bed_take(Bed *bed, unsigned n)
{
    g_assert_cmpuint(n, <=, MANY);
    for (unsigned i = 0; i < n; i++) {
        uint64_t next_ns = shaper_next_ns(bed->s);
        ShaperItem *item;

        bed->now_ns = MAX(bed->now_ns, next_ns);
        item = shaper_take(bed->s, bed->now_ns);
        g_assert_nonnull(item);
        bed->left[i] = ((Letter *)item)->name;
        g_free(item);
    }
    bed->left[n] = 0;
    return bed->left;
}

unsigned bed_count(const char *left, char name)
{
    unsigned n = 0;

    for (; *left; left++) {
        n += *left == name;
    }
    return n;
}

void bed_check_count(const Bed *bed, char name, unsigned expected)
{
    unsigned n = bed_count(bed->left, name);

    g_assert_cmpuint(n + 1, >=, expected);
    g_assert_cmpuint(n, <=, expected + 1);
}

