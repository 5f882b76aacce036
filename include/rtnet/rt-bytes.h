/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Big-endian numbers at any address, one load or store each.
 *
 * Threads: none.
 */
#ifndef RTNET_RT_BYTES_H
#define RTNET_RT_BYTES_H

#include <glib.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t rt_get_be16(const uint8_t *p)
{
    uint16_t value;

    memcpy(&value, p, sizeof(value));
    return GUINT16_FROM_BE(value);
}

static inline uint32_t rt_get_be32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, sizeof(value));
    return GUINT32_FROM_BE(value);
}

static inline uint64_t rt_get_be64(const uint8_t *p)
{
    uint64_t value;

    memcpy(&value, p, sizeof(value));
    return GUINT64_FROM_BE(value);
}

static inline void rt_put_be16(uint8_t *p, uint16_t value)
{
    value = GUINT16_TO_BE(value);
    memcpy(p, &value, sizeof(value));
}

static inline void rt_put_be32(uint8_t *p, uint32_t value)
{
    value = GUINT32_TO_BE(value);
    memcpy(p, &value, sizeof(value));
}

static inline void rt_put_be64(uint8_t *p, uint64_t value)
{
    value = GUINT64_TO_BE(value);
    memcpy(p, &value, sizeof(value));
}

#endif
