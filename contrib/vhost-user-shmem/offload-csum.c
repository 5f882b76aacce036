/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sum is that of 32-bit words in 64-bit lanes, where no carry gets lost;
 * folding makes it one of 16-bit words.
 *
 * Threads: pure functions.
 */
#include "offload-csum.h"

typedef uint64_t Lanes __attribute__((vector_size(16)));

static inline Lanes load(const uint8_t *p)
{
    Lanes lanes;

    memcpy(&lanes, p, sizeof(lanes));
    return lanes;
}

uint64_t csum_add(uint64_t sum, const uint8_t *data, size_t bytes)
{
    const Lanes low = { 0xffffffff, 0xffffffff };
    Lanes even = { 0 }, odd = { 0 };

    for (; bytes >= 2 * sizeof(Lanes); bytes -= 2 * sizeof(Lanes)) {
        Lanes a = load(data), b = load(data + sizeof(Lanes));

        even += (a & low) + (a >> 32);
        odd += (b & low) + (b >> 32);
        data += 2 * sizeof(Lanes);
    }
    even += odd;
    sum += even[0] + even[1];
    for (; bytes >= 4; bytes -= 4, data += 4) {
        uint32_t word;

        memcpy(&word, data, sizeof(word));
        sum += word;
    }
    if (bytes > 0) {
        uint32_t word = 0;

        memcpy(&word, data, bytes);
        sum += word;
    }
    return sum;
}
