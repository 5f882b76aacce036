/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A front end with its guest, for tests: memory in a memfd, pairs of rings,
 * frames in and out.
 *
 * Rings have GUEST_RING descriptors and buffers of GUEST_BUFFER_BYTES, which
 * are used one after the other.  Ring i has the memory from i MiB on.
 *
 * Threads: the control thread, whose main context runs while an answer is
 * awaited.
 */
#ifndef VHOST_GUEST_H
#define VHOST_GUEST_H

#include "vring-driver.h"
#include "vu-wire.h"

#define GUEST_RING 64u
#define GUEST_BUFFERS 128u
#define GUEST_BUFFER_BYTES 2048u
#define GUEST_MAX_RINGS 32

#define GUEST_FEATURE(bit) (UINT64_C(1) << (bit))
/* VERSION_1 and MRG_RXBUF, and with packed rings. */
#define GUEST_SPLIT (GUEST_FEATURE(32) | GUEST_FEATURE(15))
#define GUEST_PACKED (GUEST_SPLIT | GUEST_FEATURE(34))

typedef struct Guest {
    char *path;
    int fd;                     /* of the connection; -1: none */
    unsigned rings;
    uint64_t features;
    int mem_fd;
    uint8_t *mem;
    uint64_t mem_bytes;
    Driver *driver[GUEST_MAX_RINGS];
    unsigned posted[GUEST_MAX_RINGS], reaped[GUEST_MAX_RINGS];
    int kick_fd[GUEST_MAX_RINGS], call_fd[GUEST_MAX_RINGS];
} Guest;

/* Connected, all rings running and enabled, all receive buffers posted. */
Guest *guest_new(const char *path, unsigned pairs, uint64_t features);
void guest_free(Guest *g);

/* The same in steps. */
Guest *guest_new_stranger(const char *path, unsigned pairs, uint64_t features);
void guest_connect(Guest *g);
void guest_disconnect(Guest *g);
void guest_introduce(Guest *g);         /* features and memory */
void guest_begin_rings(Guest *g);       /* new drivers; nothing is told */
void guest_start_ring(Guest *g, unsigned ring, int kick_fd, int call_fd);

/* -- Messages -------------------------------------------------------------- */

/* @fds files; false if the connection is broken. */
bool guest_say(Guest *g, uint32_t request, const void *payload, uint32_t bytes,
               const int *fd, unsigned fds);
void guest_tell(Guest *g, uint32_t request, uint64_t u64);
void guest_tell_fd(Guest *g, uint32_t request, unsigned ring, int fd);

/* Returns when all before it was handled. */
uint64_t guest_ask(Guest *g, uint32_t request);

/* What makes the whole port still for a moment, and changes nothing. */
void guest_disturb(Guest *g, unsigned ring);

/* Stops it; its position. */
unsigned guest_stop_ring(Guest *g, unsigned ring);

/* Has the other end hung up?  Runs the main context. */
bool guest_is_alone(Guest *g);

/* -- Frames ---------------------------------------------------------------- */

/* False if the ring is full; guest_put() tells nobody. */
bool guest_put(Guest *g, unsigned pair, const void *frame, size_t bytes);
bool guest_send(Guest *g, unsigned pair, const void *frame, size_t bytes);

/* The bytes of the next frame, or 0; the buffer is posted again. */
size_t guest_receive(Guest *g, unsigned pair, void *frame, size_t max);

/* Buffer @i of @ring, and its address to the guest. */
uint8_t *guest_buffer(Guest *g, unsigned ring, unsigned i);
uint64_t guest_buffer_addr(unsigned ring, unsigned i);

/* Wakes the back end, if it has asked. */
void guest_kick(Guest *g, unsigned ring);

#endif
