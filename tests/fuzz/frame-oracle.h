/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * docs/specs/rt-trailer.rst once more, bit by bit and without the code that is
 * being fuzzed: where IP ends in a frame, and whether a trailer is valid.
 *
 * Threads: pure functions.
 */
#ifndef FRAME_ORACLE_H
#define FRAME_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Offset of the L3 header; 0: there is no whole L2 header. */
size_t oracle_l3_offset(const uint8_t *frame, size_t len);

/* Offset behind the IP packet; 0: not IP, or not as it says. */
size_t oracle_ip_end(const uint8_t *frame, size_t len);

/* Are the last four bytes of @frame the magic? */
bool oracle_has_magic(const uint8_t *frame, size_t len);

/* All four rules of the specification. */
bool oracle_trailer_is_valid(const uint8_t *frame, size_t len);

/* Give the last 32 bytes of @frame version, CRC and magic. */
void oracle_seal(uint8_t *frame, size_t len);

/* Are these checksums one number in ones' complement? */
bool oracle_same_checksum(const uint8_t a[2], const uint8_t b[2]);

#endif
