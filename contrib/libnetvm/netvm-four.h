/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four packets of one segment at once: nearly all bursts consist of such.  What
 * netvm_map_holds() asks of each is asked of all four by a few instructions.
 *
 * Threads: see netvm-impl.h.
 */
#ifndef NETVM_FOUR_H
#define NETVM_FOUR_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "netvm-map.h"

/* A segment, and what is asked of packets that lie in it. */
struct netvm_four {
    const struct netvm_map_segment *segment;
#ifdef __SSE2__
    __m128i first, last, bytes;     /* numbers of buffers; of a buffer */
#else
    const struct netvm_map *map;
    uint32_t number;
#endif
};

/* The segment that @buffer is of, if it is of one. */
static inline struct netvm_four netvm_four_of(const struct netvm_map *m,
                                              uint32_t buffer)
{
    uint32_t number = buffer >> NETVM_SEGMENT_SHIFT;

    return (struct netvm_four) {
        .segment = &m->segment[number],
#ifdef __SSE2__
        .first = _mm_set1_epi32((int)(number << NETVM_SEGMENT_SHIFT)),
        .last = _mm_set1_epi32((int)m->segment[number].n - 1),
        .bytes = _mm_set1_epi32((int)m->buffer_bytes),
#else
        .map = m,
        .number = number,
#endif
    };
}

/* Do packets @d[0] to @d[3] lie in buffers of the segment, each in its own?
 * @d is a copy that nobody else writes to. */
static inline bool netvm_four_hold(const struct netvm_four *f,
                                   const struct netvm_desc *d)
{
#ifdef __SSE2__
    /* Of each its first word: the buffer, and above it offset and length. */
    __m128i ab = _mm_unpacklo_epi32(
        _mm_loadl_epi64((const __m128i *)&d[0].word[0]),
        _mm_loadl_epi64((const __m128i *)&d[1].word[0]));
    __m128i cd = _mm_unpacklo_epi32(
        _mm_loadl_epi64((const __m128i *)&d[2].word[0]),
        _mm_loadl_epi64((const __m128i *)&d[3].word[0]));
    __m128i place = _mm_unpackhi_epi64(ab, cd);
    __m128i end = _mm_add_epi32(_mm_srli_epi32(place, 16),
                                _mm_and_si128(place, _mm_set1_epi32(0xffff)));
    /* In the segment; of lower ones it is negative, of higher ones larger than
     * any number. */
    __m128i number = _mm_sub_epi32(_mm_unpacklo_epi64(ab, cd), f->first);
    __m128i bad = _mm_or_si128(_mm_cmpgt_epi32(number, f->last),
                               _mm_cmpgt_epi32(end, f->bytes));

    /* The sign alone says what is negative. */
    return (_mm_movemask_epi8(bad) | _mm_movemask_ps(
        _mm_castsi128_ps(number))) == 0;
#else
    for (unsigned i = 0; i < 4; i++) {
        if (d[i].buffer >> NETVM_SEGMENT_SHIFT != f->number ||
            !netvm_map_holds(f->map, &d[i])) {
            return false;
        }
    }
    return true;
#endif
}

/* Of a buffer of the segment. */
static inline uint32_t netvm_four_number(uint32_t buffer)
{
    return buffer & NETVM_INDEX_MASK;
}

#endif
