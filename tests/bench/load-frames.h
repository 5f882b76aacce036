/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frames that a port sends: Ethernet, IPv4 and UDP, to the other port of
 * its pair.  Those of a port take turns in size, flow and addresses; which one
 * is sent is a matter of the ring's slot.
 *
 * The payload is one byte over and over, so that a frame can be checked where
 * it arrives.
 *
 * Threads: none of its own.
 */
#ifndef BENCH_LOAD_FRAMES_H
#define BENCH_LOAD_FRAMES_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LOAD_HEADERS_BYTES 42   /* Ethernet, IPv4, UDP */
#define LOAD_MIN_FRAME_BYTES 60
#define LOAD_MAX_SIZES 12       /* before they repeat */

typedef struct LoadFramesConfig {
    uint32_t slots;
    uint32_t flows;             /* UDP ports */
    uint32_t macs;              /* stations behind each port */
    unsigned sizes;
    uint32_t bytes[LOAD_MAX_SIZES];
} LoadFramesConfig;

/* What is written to a slot. */
typedef struct LoadFrame {
    uint32_t bytes;
    const uint8_t *headers;
} LoadFrame;

typedef struct LoadFrames {
    LoadFrame *slot;
    uint8_t *headers;
} LoadFrames;

/* @text: a number, or "imix".  False with @error set. */
bool load_frames_parse_bytes(LoadFramesConfig *cfg, const char *text,
                             GError **error);

LoadFrames *load_frames_new(const LoadFramesConfig *cfg, unsigned port);
void load_frames_free(LoadFrames *f);

/* Is it, whole, one that the other port of the pair has sent to @port? */
bool load_frame_check(const uint8_t *frame, unsigned port);

/* Write all of it. */
static inline void load_frame_write(uint8_t *to, const LoadFrame *frame,
                                    uint8_t fill)
{
    memcpy(to, frame->headers, LOAD_HEADERS_BYTES);
    memset(to + LOAD_HEADERS_BYTES, fill, frame->bytes - LOAD_HEADERS_BYTES);
}

/* Read all of it. */
static inline uint64_t load_frame_read(const uint8_t *frame, uint32_t bytes)
{
    uint64_t word[4], sum[4] = { 0 };
    uint32_t i;

    for (i = 0; i + sizeof(word) <= bytes; i += sizeof(word)) {
        memcpy(word, frame + i, sizeof(word));
        for (unsigned k = 0; k < G_N_ELEMENTS(word); k++) {
            sum[k] += word[k];
        }
    }
    for (; i < bytes; i++) {
        sum[0] += frame[i];
    }
    return sum[0] + sum[1] + sum[2] + sum[3];
}

#endif
