/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM whose clock the test steps, NICs driven as a guest would, and wires
 * whose other end the test holds.
 *
 * Wire i is netdev "n<i>": every frame on it is one datagram, so a test sees
 * each frame when it leaves, can send frames to the guest, and can block a wire
 * so that QEMU's send gets EAGAIN.
 *
 * Timers run exactly at their deadline; what QEMU does outside of timers
 * (bottom halves, file descriptors) is done when rt_settle() returns.
 *
 * Threads: one.
 */
#ifndef RTNET_LIBQOS_H
#define RTNET_LIBQOS_H

#include "libqtest.h"
#include "libqos/libqos-malloc.h"
#include "libqos/pci-pc.h"
#include "libqos/virtio-pci.h"

#define RT_WIRES_MAX 4
#define RT_FRAME_MAX 9216
#define RT_US UINT64_C(1000)
#define RT_MS UINT64_C(1000000)

/* Where the clock stands after rt_vm_start(). */
#define RT_START_NS RT_MS

typedef struct RtVm {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBusPC pci;
    uint64_t now_ns;
    unsigned wires;
    int test_fd[RT_WIRES_MAX];
    int qemu_fd[RT_WIRES_MAX];      /* QEMU's end, to fill it */
    unsigned fillers[RT_WIRES_MAX]; /* datagrams that block it */
    char *base_options;             /* machine and wires */
    char *options;                  /* what rt_vm_start() was given */
} RtVm;

typedef struct RtRing {
    QVirtQueue *vq;
    uint64_t buffers;
    uint16_t posted;                /* avail->idx */
    uint16_t seen;                  /* used->idx that was looked at */
} RtRing;

/* A virtio-net or rtvnic. */
typedef struct RtNic {
    RtVm *vm;
    QVirtioPCIDevice *dev;
    RtRing rx;
    RtRing tx;
} RtNic;

/* -- The VM and its clock -------------------------------------------------- */

/* @fmt: options; PCI slots from 4 on are free. */
RtVm *rt_vm_start(unsigned wires, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void rt_vm_stop(RtVm *vm);

/* Wait until QEMU has done what is due at this time. */
void rt_settle(RtVm *vm);

/* Let time pass until @at_ns. */
void rt_step_to(RtVm *vm, uint64_t at_ns);

/* -- Another QEMU for the same VM ------------------------------------------ */

/*
 * A QEMU that waits for the VM (-incoming defer), on the same wires; its clock
 * stands at @now_ns.  @options: instead of those of rt_vm_start(), or NULL.
 * @stderr_path: where its messages go, or NULL.
 */
QTestState *rt_vm_twin(RtVm *vm, const char *options, const char *stderr_path,
                       uint64_t now_ns);

/* Save the VM in the file @path; it is stopped then. */
void rt_vm_save(RtVm *vm, const char *path);

/* Load what is in @path; returns whether the twin took it. */
bool rt_twin_load(QTestState *twin, const char *path);

/*
 * What QEMU says of a load that failed, to be freed; since 10.2 some of it
 * stands here, and not on its stderr.
 */
char *rt_twin_error(QTestState *twin);

/* Wait until its migration, out or in, is over; returns its status. */
char *rt_migration_wait(QTestState *qts);

/* From here on @twin, whose clock stands at @now_ns, is what runs the VM. */
void rt_vm_move_to(RtVm *vm, QTestState *twin, uint64_t now_ns);

/* All of it: the VM goes on in another QEMU, where it is @now_ns. */
void rt_vm_migrate(RtVm *vm, uint64_t now_ns);

/* A path of its own for a file that the test removes; to be freed. */
char *rt_temp_path(const char *what);

/* The file @path is gone afterwards. */
char *rt_file_take(const char *path);

/* -- NICs ------------------------------------------------------------------ */

/* Does what a driver does at probe; buffers for reception are posted. */
RtNic *rt_nic_start(RtVm *vm, int slot);

/* Reset as a driver does at remove.  @nic stays to be freed. */
void rt_nic_reset(RtNic *nic);
void rt_nic_free(RtNic *nic);

/* Put a frame into the ring, but do not tell the device. */
void rt_nic_post(RtNic *nic, const void *frame, size_t bytes);
/* Tell it, if it wants to be told. */
void rt_nic_kick(RtNic *nic);
/* Both, and settle. */
void rt_nic_send(RtNic *nic, const void *frame, size_t bytes);

/* Frames in the ring that the device has not given back. */
unsigned rt_nic_unsent(RtNic *nic);

/* Next received frame into @frame (RT_FRAME_MAX); 0 if there is none. */
size_t rt_nic_receive(RtNic *nic, uint8_t *frame);

/* -- Wires ----------------------------------------------------------------- */

/* Next frame that has left on @wire; 0 if there is none. */
size_t rt_wire_receive(RtVm *vm, unsigned wire, uint8_t *frame);

/*
 * Let time pass until a frame leaves on any wire that is not blocked; fails
 * after a second.  Returns its wire; vm->now_ns tells when.
 */
unsigned rt_wire_next(RtVm *vm, uint8_t *frame, size_t *bytes);

/*
 * Assert that the next frame leaves on @wire at @at_ns, and nothing one
 * nanosecond earlier.  Returns its length.
 */
size_t rt_wire_expect(RtVm *vm, unsigned wire, uint64_t at_ns, uint8_t *frame);

/* Assert that nothing leaves up to @until_ns. */
void rt_wire_expect_none(RtVm *vm, uint64_t until_ns);

void rt_wire_send(RtVm *vm, unsigned wire, const void *frame, size_t bytes);

void rt_wire_block(RtVm *vm, unsigned wire);
void rt_wire_unblock(RtVm *vm, unsigned wire);

/* -- What query-rtnet says ------------------------------------------------- */

uint64_t rt_port_get(RtVm *vm, const char *id, const char *name);
uint64_t rt_port_counter(RtVm *vm, const char *id, const char *name);
uint64_t rt_port_drops(RtVm *vm, const char *id, const char *reason);
uint64_t rt_port_hist(RtVm *vm, const char *id, const char *hist,
                      const char *name);
uint64_t rt_sched_get(RtVm *vm, const char *id, const char *name);
uint64_t rt_sched_hist(RtVm *vm, const char *id, const char *hist,
                       const char *name);

#endif
