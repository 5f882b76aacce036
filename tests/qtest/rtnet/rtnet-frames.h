/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames for the tests, and the trailer read by code of its own: by the
 * offsets of the specification, not by the codec under test.
 *
 * Threads: pure functions.
 */
#ifndef RTNET_FRAMES_H
#define RTNET_FRAMES_H

/* What a frame occupies on the link beside itself: preamble, FCS, gap. */
#define RT_OVERHEAD_BYTES 24
#define RT_TRAILER_BYTES 32
#define RT_MIN_BYTES 60

/* Shortest frames that carry a number: L2, IP and UDP headers, the number. */
#define RT_UDP4_MIN_BYTES 46
#define RT_UDP6_MIN_BYTES 66

typedef struct RtFrameSpec {
    size_t bytes;               /* of the whole frame, tags included */
    uint32_t number;            /* to know it again */
    uint8_t dscp;
    uint8_t ecn;
    bool ipv6;
    unsigned tags;              /* 802.1Q, each with @tci */
    uint16_t tci;
} RtFrameSpec;

/* A UDP datagram; @frame holds at least spec->bytes. */
void rt_frame_make(const RtFrameSpec *spec, uint8_t *frame);

/* An ARP request without padding; returns its length. */
size_t rt_frame_make_arp(uint8_t *frame);

/* Of a frame that rt_frame_make() made, marked or not. */
uint32_t rt_frame_number(const uint8_t *frame);
uint8_t rt_frame_dscp(const uint8_t *frame);
uint8_t rt_frame_ecn(const uint8_t *frame);
bool rt_frame_ipv4_checksum_valid(const uint8_t *frame);

typedef struct RtTrailerFields {
    uint64_t sent_ns;
    uint32_t deadline_ns;
    uint32_t sequence;
    uint32_t source_id;
    uint16_t padding_bytes;
    uint8_t version;
    uint8_t flags;
    uint8_t guest_dscp;
} RtTrailerFields;

#define RT_FLAG_CLOCK_SYNC 0x1
#define RT_FLAG_ADMITTED 0x2
#define RT_FLAG_DSCP_REWRITTEN 0x4
#define RT_FLAG_LATE 0x8

/* Assert that @frame ends with a trailer of version 1, and read it. */
void rt_trailer_read(const uint8_t *frame, size_t bytes, RtTrailerFields *t);

/* Write it, with magic and CRC, behind the first @bytes of @frame. */
size_t rt_trailer_append(uint8_t *frame, size_t bytes,
                         const RtTrailerFields *t);

#endif
