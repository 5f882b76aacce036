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

/* Of @len bytes, by table. */
uint32_t rt_crc32c(const uint8_t *data, size_t len);

/* Of 24 bytes, by the processor's own instruction where it has one. */
uint32_t rt_crc32c_24(const uint8_t data[24]);

#endif
