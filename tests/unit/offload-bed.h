/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames that leave work to the device: made, and sent from buffers cut in any
 * way.
 *
 * Threads: single.
 */
#ifndef OFFLOAD_BED_H
#define OFFLOAD_BED_H

#include "frame.h"

#define OFFLOAD_ALL 0x3f
#define BED_MAX_BYTES FRAME_MAX_BYTES

#define BED_TCP 6
#define BED_UDP 17

/* One TCP or UDP packet, which fills the frame. */
typedef struct OffloadSpec {
    int ip_version;
    int protocol;
    unsigned vlan_tags;         /* 0 to 2 */
    unsigned ip_options;        /* IPv4: bytes, 0 to 40, by fours */
    unsigned extensions;        /* IPv6: 0 to 3, of 8 bytes each */
    unsigned tcp_options;       /* bytes, 0 to 40, by fours */
    uint8_t tcp_flags;
    unsigned payload_bytes;
    unsigned gso_size;          /* 0: only a checksum */
} OffloadSpec;

/* Where things lie in it. */
unsigned offload_spec_l3(const OffloadSpec *s);
unsigned offload_spec_l4(const OffloadSpec *s);
unsigned offload_spec_payload(const OffloadSpec *s);
unsigned offload_spec_bytes(const OffloadSpec *s);

/* Headers within the head, at most BED_MAX_BYTES. */
void offload_random_spec(OffloadSpec *s);

/*
 * Write the frame, with the sum of the pseudo header in the checksum field, and
 * the virtio-net header that a driver would.  Addresses, payload and what else
 * is not given are random.  Returns its length.
 */
size_t offload_make(const OffloadSpec *s, uint8_t *frame,
                    struct virtio_net_hdr *vnet);

/* What offload_check() turns @vnet into, and what a receiver has to accept. */
void offload_expect(const OffloadSpec *s, struct virtio_net_hdr *vnet);
uint8_t offload_expect_needs(const OffloadSpec *s);

/* Puts the sum of the pseudo header of the frame at @frame into its field. */
void offload_set_partial(uint8_t *frame, size_t bytes);

/* -- Sent ------------------------------------------------------------------ */

/* A frame as it comes from a ring; each segment ends where its memory does. */
typedef struct Sent {
    Frame f;
    VringBurst burst;
} Sent;

/* In one segment, or several of random lengths. */
Sent *sent_new(const uint8_t *frame, size_t bytes,
               const struct virtio_net_hdr *vnet);
void sent_free(Sent *sent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sent, sent_free)

#endif
