/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ethernet frames for tests, and the slow obvious way to check them.
 *
 * Threads: single.
 */
#ifndef FRAME_MAKER_H
#define FRAME_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct FrameSpec {
    int ip_version;             /* 4, 6, or 0: some other protocol */
    unsigned vlan_tags;         /* 0..2; two are QinQ */
    uint8_t dscp, ecn, pcp;
    size_t bytes;               /* of the frame; IP fills it up to l2_padding */
    size_t l2_padding;          /* bytes behind IP, within bytes */
} FrameSpec;

size_t frame_l2_bytes(const FrameSpec *s);

/* Shortest frame that holds the headers of @s. */
size_t frame_least_bytes(const FrameSpec *s);

/* Writes s->bytes; payload and addresses are random. */
void frame_make(const FrameSpec *s, uint8_t *frame);

/* Random, of @bytes, with room for its headers. */
void frame_random_spec(FrameSpec *s, size_t bytes);

/* Checksum of the IPv4 header at @ip, computed over all of it. */
uint16_t frame_ipv4_checksum(const uint8_t *ip);

void frame_random_fill(uint8_t *p, size_t len);

#endif
