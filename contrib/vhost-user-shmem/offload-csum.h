/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Internet checksum (RFC 1071): sums in ones' complement of 16-bit words as
 * they lie in memory, whatever the byte order of the machine.
 *
 * A sum is folded once, at the end.  A number that is added by itself has to be
 * in network order; adding its complement takes it out again (RFC 1624).
 *
 * Threads: pure functions.
 */
#ifndef VUS_OFFLOAD_CSUM_H
#define VUS_OFFLOAD_CSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * @sum and the words at @data.  An odd byte is taken for a word with a zero
 * behind it, so only the last piece of several may be odd.  Nobody else may be
 * writing there.
 */
uint64_t csum_add(uint64_t sum, const uint8_t *data, size_t bytes);

static inline uint16_t csum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    return (sum & 0xffff) + (sum >> 16);
}

/* Write the checksum of what @sum is the sum of. */
static inline void csum_put(uint8_t *field, uint64_t sum)
{
    uint16_t value = ~csum_fold(sum);

    memcpy(field, &value, sizeof(value));
}

/*
 * The same where it may be UDP's, to which 0 means that there is none.  To
 * others it is as good as 0xffff.
 */
static inline void csum_put_nonzero(uint8_t *field, uint64_t sum)
{
    csum_put(field, csum_fold(sum) == 0xffff ? 0 : sum);
}

#endif
