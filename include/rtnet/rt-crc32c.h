/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CRC-32C (Castagnoli, reflected, as in RFC 3720).
 *
 * Threads: pure functions.
 */
#ifndef RTNET_RT_CRC32C_H
#define RTNET_RT_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Of @len bytes, by table. */
uint32_t rt_crc32c(const uint8_t *data, size_t len);

/* Of 24 bytes, by the processor's own instruction where it has one. */
static inline uint32_t rt_crc32c_24(const uint8_t data[24])
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2")) {
        uint64_t words[3], crc = UINT32_MAX;

        memcpy(words, data, sizeof(words));
        /* The compiler's own intrinsic cannot be inlined here. */
        __asm__("crc32q %1, %0\n\t"
                "crc32q %2, %0\n\t"
                "crc32q %3, %0"
                : "+r"(crc) : "rm"(words[0]), "rm"(words[1]), "rm"(words[2]));
        return ~crc;
    }
#endif
    return rt_crc32c(data, 24);
}

#endif
