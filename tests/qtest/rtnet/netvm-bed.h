/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM with a netvm-shm device, driven as a guest would, and the daemon, which
 * is the test: it says what it likes, when it likes.
 *
 * The device is "nv0" in slot 4; the daemon's socket is that of chardev "c0",
 * to which QEMU connects, and connects again, in the background.
 *
 * Threads: one.
 */
#ifndef NETVM_BED_H
#define NETVM_BED_H

#include "libqtest.h"
#include "libqos/libqos-malloc.h"
#include "libqos/pci-pc.h"
#include "rtnet/netvm-regs.h"

#define NB_SLOT 4
#define NB_SIZE_BYTES (16 << 20)        /* of the window */
#define NB_SEGMENT_BYTES (4 << 20)
#define NB_MEMBER 3
#define NB_SERIAL 7

typedef struct NetvmBed {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBusPC pci;
    QPCIDevice *dev;
    QPCIBar regs;
    QPCIBar window;

    char *dir;
    char *path;                 /* the daemon's socket */
    char *log;                  /* what QEMU says on stderr */
    int listener;

    /* The daemon, as long as it serves. */
    int conn;                   /* -1: nobody is connected */
    int memory;                 /* of segment 0 */
    uint8_t *map;
    int doorbell;               /* by which the guest rings for the daemon */
    int vector[NETVM_VECTORS];
} NetvmBed;

/* -- The VM ---------------------------------------------------------------- */

/* @options: others, beside those of the device; "" if none. */
NetvmBed *bed_start(const char *options);
/* Without the device; bed_find() once it is plugged. */
NetvmBed *bed_start_bare(const char *options);
void bed_stop(NetvmBed *bed);

/* Find the device and map its BARs 0 and 2; anew after a reset or plug. */
void bed_find(NetvmBed *bed);

uint32_t bed_read(NetvmBed *bed, uint32_t reg);
void bed_write(NetvmBed *bed, uint32_t reg, uint32_t value);
/* Until the bits of @mask read as @value. */
void bed_wait(NetvmBed *bed, uint32_t reg, uint32_t mask, uint32_t value);
void bed_wait_status(NetvmBed *bed, uint32_t status);

uint64_t bed_peek(NetvmBed *bed, uint64_t offset);
void bed_poke(NetvmBed *bed, uint64_t offset, uint64_t value);

/* QEMU has said @text on stderr; it is waited for. */
void bed_expect_log(NetvmBed *bed, const char *text);
/* How often. */
unsigned bed_count_log(NetvmBed *bed, const char *text);

/* -- The daemon ------------------------------------------------------------ */

/* Take QEMU's connection, and its HELLO. */
void nd_accept(NetvmBed *bed);
void nd_close(NetvmBed *bed);

void nd_send(NetvmBed *bed, uint32_t type, const void *body, size_t bytes,
             int fd);
/* With several files, and the body's length as @bytes says. */
void nd_send_raw(NetvmBed *bed, const void *data, size_t bytes,
                 const int *fds, unsigned count);
void nd_welcome(NetvmBed *bed, uint64_t region_bytes);
void nd_segment(NetvmBed *bed, uint32_t segment, uint64_t offset,
                uint64_t bytes, int fd);
void nd_doorbell(NetvmBed *bed, uint32_t member, int fd);
void nd_no_doorbell(NetvmBed *bed, uint32_t member);
void nd_interrupt(NetvmBed *bed, uint32_t vector, int fd);
void nd_ready(NetvmBed *bed, uint32_t member, uint32_t serial,
              uint32_t resets);

/* All of it up to INTERRUPT, with one segment at 0. */
void nd_hand_out(NetvmBed *bed);
/* Accept, hand out, READY; the guest has seen it. */
void nd_serve(NetvmBed *bed);

/* Next message, which has to be of @type, with a body of @bytes. */
void nd_expect(NetvmBed *bed, uint32_t type, void *body, size_t bytes);
/* RESETs until QEMU says no more. */
unsigned nd_take_resets(NetvmBed *bed);
/* QEMU says nothing. */
void nd_expect_silence(NetvmBed *bed);
/* QEMU ends the connection; what it said before is lost. */
void nd_expect_end(NetvmBed *bed);

/* -- Files ----------------------------------------------------------------- */

int nb_memfd(uint64_t bytes, bool sealed);
int nb_eventfd(void);
/* What has been rung since; it is waited for if there is nothing. */
uint64_t nb_rung(int eventfd);
/* Whether it has, without waiting. */
bool nb_is_rung(int eventfd);
void nb_ring(int eventfd);

#endif
