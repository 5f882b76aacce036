/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a datagram carries behind its header: pseudo-random bytes that follow
 * from its sequence number, so that the receiver knows them too.
 *
 * Checksums do not tell what happened to a frame between two guests: with
 * offloads nobody computes them.
 *
 * Threads: none.
 */
#include "rtprobe.h"

#include <string.h>

/* Neighbours in sequence begin at different places; a prime. */
#define STARTS 4093

static const uint8_t *pattern(uint32_t sequence)
{
    static uint8_t bytes[UDP_MAX_BYTES + STARTS];
    static bool made;
    uint32_t x = 1;

    for (size_t i = 0; !made && i < sizeof(bytes); i++) {
        /* Marsaglia's xorshift. */
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        bytes[i] = x >> 24;
    }
    made = true;
    return bytes + sequence % STARTS;
}

void payload_fill(uint8_t *datagram, size_t bytes, uint32_t sequence)
{
    memcpy(datagram + sizeof(ProbeHeader), pattern(sequence),
           bytes - sizeof(ProbeHeader));
}

bool payload_is_intact(const uint8_t *datagram, size_t bytes,
                       uint32_t sequence)
{
    return !memcmp(datagram + sizeof(ProbeHeader), pattern(sequence),
                   bytes - sizeof(ProbeHeader));
}
