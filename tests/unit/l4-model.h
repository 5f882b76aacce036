/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of a frame whose checksum is completed, or that is cut into
 * segments: all of it once more, slow and obvious, byte by byte.
 *
 * Threads: single.
 */
#ifndef L4_MODEL_H
#define L4_MODEL_H

#include "frame.h"

#define L4_MODEL_MAX_BYTES 70000

/* A whole TCP or UDP packet in a frame: offsets. */
typedef struct L4Model {
    unsigned ip_version;
    unsigned protocol;
    size_t l3, l4, payload;
    size_t csum;                /* of the checksum field */
} L4Model;

/* False if it is none, or its headers do not fit together. */
bool l4_model_parse(const uint8_t *frame, size_t bytes, L4Model *m);

/* In ones' complement, of big-endian words. */
uint16_t l4_model_sum(const uint8_t *p, size_t bytes);
uint16_t l4_model_add(uint16_t a, uint16_t b);

/* Sum of the pseudo header, for all that is behind IP in the frame. */
uint16_t l4_model_pseudo(const uint8_t *frame, size_t bytes, const L4Model *m);

/* Are all lengths and checksums right?  NULL, or what is wrong. */
const char *l4_model_verify(const uint8_t *frame, size_t bytes);

/* @to has room for f->bytes; returns them. */
size_t l4_model_flatten(const Frame *f, uint8_t *to);

/*
 * Is @out what the frame at @sent is to become, with @vnet?  NULL, or what is
 * wrong.  Without @payload_known, payload may be any.
 */
const char *l4_model_check(const uint8_t *sent, size_t bytes,
                           const struct virtio_net_hdr *vnet,
                           const Frame *const *out, unsigned n,
                           bool payload_known);

#endif
