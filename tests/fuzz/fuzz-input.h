/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a fuzzer's bytes are taken for: numbers first, the frame last.
 *
 * Past the end there are zeros, so that short inputs are inputs, too.
 *
 * Threads: none.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef NDEBUG
#error "a fuzzer without assertions finds nothing"
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct FuzzInput {
    const uint8_t *data;
    size_t left_bytes;
} FuzzInput;

/* Little-endian, so that the bytes libFuzzer sees in comparisons match. */
static inline uint64_t fuzz_take(FuzzInput *in, unsigned bytes)
{
    uint64_t value = 0;
    unsigned i;

    for (i = 0; i < bytes && in->left_bytes; i++, in->left_bytes--) {
        value |= (uint64_t)*in->data++ << 8 * i;
    }
    return value;
}

/* The rest, in memory that ends exactly @tailroom_bytes behind it. */
static inline uint8_t *fuzz_take_frame(FuzzInput *in, size_t tailroom_bytes,
                                       size_t *len)
{
    uint8_t *frame = malloc(in->left_bytes + tailroom_bytes);

    assert(frame || !(in->left_bytes + tailroom_bytes));
    *len = in->left_bytes;
    if (*len) {
        memcpy(frame, in->data, *len);
    }
    in->data += *len;
    in->left_bytes = 0;
    return frame;
}

#endif
