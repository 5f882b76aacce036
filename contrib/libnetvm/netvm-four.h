/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four packets at once: those of a burst mostly lie in one segment and go the
 * same way.  What netvm_map_holds() asks of each is asked of all four by a few
 * instructions, and each descriptor is moved whole.
 *
 * Threads: see netvm-impl.h.
 */
#ifndef NETVM_FOUR_H
#define NETVM_FOUR_H

/* ThreadSanitizer is to see the words. */
#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#define NETVM_FOUR_SSE2
#include <emmintrin.h>
#endif

#include "netvm-ring.h"

/* Copies, which nobody else writes to. */
struct netvm_four {
#ifdef NETVM_FOUR_SSE2
    __m128i d[4];
#else
    struct netvm_desc d[4];
#endif
};

/* A segment, and what is asked of packets that lie in it. */
struct netvm_place {
    uint8_t *buffers;
    uint64_t *owners;
    uint32_t buffer_shift;
#ifdef NETVM_FOUR_SSE2
    __m128i first, last, bytes;     /* numbers of buffers; of a buffer */
#else
    const struct netvm_map *map;
    uint32_t number;
#endif
};

/* Where @buffer lies, if it is there. */
static inline struct netvm_place netvm_place_of(const struct netvm_map *m,
                                                uint32_t buffer)
{
    uint32_t number = buffer >> NETVM_SEGMENT_SHIFT;

    return (struct netvm_place) {
        .buffers = m->segment[number].buffers,
        .owners = m->segment[number].owners,
        .buffer_shift = m->buffer_shift,
#ifdef NETVM_FOUR_SSE2
        .first = _mm_set1_epi32((int)(number << NETVM_SEGMENT_SHIFT)),
        .last = _mm_set1_epi32((int)m->segment[number].n - 1),
        .bytes = _mm_set1_epi32((int)m->buffer_bytes),
#else
        .map = m,
        .number = number,
#endif
    };
}

/* The packet's first byte; its buffer is there. */
static inline uint8_t *netvm_place_data(const struct netvm_place *at,
                                        const struct netvm_desc *d)
{
    return at->buffers +
           ((uint64_t)(d->buffer & NETVM_INDEX_MASK) << at->buffer_shift) +
           d->offset;
}

static inline uint64_t *netvm_place_owner(const struct netvm_place *at,
                                          const struct netvm_desc *d)
{
    return at->owners + (d->buffer & NETVM_INDEX_MASK);
}

/* From a ring, where others may write. */
static inline struct netvm_four netvm_four_take(const struct netvm_desc *slot)
{
    struct netvm_four f;

#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
#ifdef NETVM_FOUR_SSE2
        f.d[i] = _mm_load_si128((const __m128i *)&slot[i]);
        /* Once: it is not read again in place of being kept. */
        __asm__("" : "+x"(f.d[i]));
#else
        f.d[i] = netvm_get(&slot[i]);
#endif
    }
    return f;
}

/* From the caller's, who has just written some words of them: what is read
 * together has to have been written so, or the read waits for it. */
static inline struct netvm_four netvm_four_read(const struct netvm_desc *d)
{
    struct netvm_four f;

#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
#ifdef NETVM_FOUR_SSE2
        f.d[i] = _mm_unpacklo_epi64(
            _mm_loadl_epi64((const __m128i *)&d[i].word[0]),
            _mm_loadl_epi64((const __m128i *)&d[i].word[1]));
#else
        f.d[i] = d[i];
#endif
    }
    return f;
}

static inline void netvm_four_copy(const struct netvm_four *f,
                                   struct netvm_desc *d)
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
#ifdef NETVM_FOUR_SSE2
        _mm_storeu_si128((__m128i *)&d[i], f->d[i]);
#else
        d[i] = f->d[i];
#endif
    }
}

/* Into a ring, with these bits of word[1] changed. */
static inline void netvm_four_put(const struct netvm_four *f, uint64_t change,
                                  struct netvm_desc *slot)
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
#ifdef NETVM_FOUR_SSE2
        _mm_store_si128((__m128i *)&slot[i], _mm_xor_si128(
            f->d[i], _mm_set_epi64x((long long)change, 0)));
#else
        netvm_write(&slot[i].word[0], f->d[i].word[0]);
        netvm_write(&slot[i].word[1], f->d[i].word[1] ^ change);
#endif
    }
}

/* Does each lie in a buffer of that segment? */
static inline bool netvm_four_hold(const struct netvm_four *f,
                                   const struct netvm_place *at)
{
#ifdef NETVM_FOUR_SSE2
    /* Of each its first word: the buffer, and above it offset and length. */
    __m128i ab = _mm_unpacklo_epi32(f->d[0], f->d[1]);
    __m128i cd = _mm_unpacklo_epi32(f->d[2], f->d[3]);
    __m128i place = _mm_unpackhi_epi64(ab, cd);
    __m128i end = _mm_add_epi32(_mm_srli_epi32(place, 16),
                                _mm_and_si128(place, _mm_set1_epi32(0xffff)));
    /* In the segment; of lower ones it is negative, of higher ones larger than
     * any number. */
    __m128i number = _mm_sub_epi32(_mm_unpacklo_epi64(ab, cd), at->first);
    __m128i bad = _mm_or_si128(_mm_cmpgt_epi32(number, at->last),
                               _mm_cmpgt_epi32(end, at->bytes));

    /* The sign alone says what is negative. */
    return _mm_movemask_ps(_mm_castsi128_ps(_mm_or_si128(bad, number))) == 0;
#else
    for (unsigned i = 0; i < 4; i++) {
        if (f->d[i].buffer >> NETVM_SEGMENT_SHIFT != at->number ||
            !netvm_map_holds(at->map, &f->d[i])) {
            return false;
        }
    }
    return true;
#endif
}

/* Is word[1] of each that, but for its hash? */
static inline bool netvm_four_like(const struct netvm_four *f, uint64_t like)
{
#ifdef NETVM_FOUR_SSE2
    __m128i same = _mm_set_epi64x((long long)like, 0), other;

    other = _mm_or_si128(_mm_or_si128(_mm_xor_si128(f->d[0], same),
                                      _mm_xor_si128(f->d[1], same)),
                         _mm_or_si128(_mm_xor_si128(f->d[2], same),
                                      _mm_xor_si128(f->d[3], same)));
    other = _mm_and_si128(other, _mm_set_epi64x(
        (long long)~NETVM_DESC_HASH, 0));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(other, _mm_setzero_si128())) ==
           0xffff;
#else
    uint64_t other = 0;

    for (unsigned i = 0; i < 4; i++) {
        other |= f->d[i].word[1] ^ like;
    }
    return (other & ~NETVM_DESC_HASH) == 0;
#endif
}

#endif
