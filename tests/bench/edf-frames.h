/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frames of edf-load and host-edf-dummy: Ethernet, IPv4 and UDP from a
 * source, which is a number, to the sink.  Behind the headers stand number and
 * time of the frame, and then its source's number over and over, so that all of
 * it can be checked where it arrives.
 *
 * Threads: caller-owned state.
 */
#ifndef BENCH_EDF_FRAMES_H
#define BENCH_EDF_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#define EDF_SOURCES 64
#define EDF_HEADERS_BYTES 42    /* Ethernet, IPv4, UDP */
#define EDF_MIN_FRAME_BYTES 60
#define EDF_MAX_FRAME_BYTES 1514

/* Behind the headers, in this machine's byte order. */
typedef struct EdfStamp {
    uint64_t sent_ns;
    uint32_t sequence;
    uint16_t source;
} __attribute__((packed)) EdfStamp;

/* One source's frames, all but their stamps. */
typedef struct EdfTemplate {
    uint32_t bytes;
    bool trailed;               /* it comes with a trailer */
    uint8_t frame[EDF_MAX_FRAME_BYTES];
} EdfTemplate;

/* @bytes: EDF_MIN_FRAME_BYTES to EDF_MAX_FRAME_BYTES, without FCS. */
void edf_template_init(EdfTemplate *t, unsigned source, uint32_t bytes);

/* All of a frame but its stamp, and that. */
void edf_frame_write(uint8_t *frame, const EdfTemplate *t);
void edf_frame_stamp(uint8_t *frame, unsigned source, uint32_t sequence,
                     uint64_t now_ns);

/* Is what has come, whole, a frame of one of @sources sources?  Then its
 * stamp. */
bool edf_frame_check(const uint8_t *frame, uint32_t bytes,
                     const EdfTemplate *const *t, unsigned sources,
                     EdfStamp *stamp);

#endif
