/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm-shm: what a guest sees of the PCI device (docs/specs/netvm-shm.rst).
 *
 * BAR 0: registers and doorbells, 32 bits each.  BAR 1: MSI-X.  BAR 2: the
 * region (netvm-abi.h); where no segment is, it reads as all ones and writes
 * are lost.
 */
#ifndef RTNET_NETVM_REGS_H
#define RTNET_NETVM_REGS_H

#include "rtnet/netvm-wire.h"

/* Red Hat's vendor id, and one of the ids that it leaves for experiments
 * (QEMU: docs/specs/pci-ids.rst). */
#define NETVM_PCI_VENDOR 0x1af4
#define NETVM_PCI_DEVICE 0x10f0
#define NETVM_PCI_REVISION 1

#define NETVM_BAR_REGISTERS 0
#define NETVM_BAR_MSIX 1
#define NETVM_BAR_REGION 2
#define NETVM_REGISTERS_BYTES 4096

/* Offsets in BAR 0.  What is not named reads as 0, and writes to it and to
 * what is read-only are lost. */
#define NETVM_REG_MAGIC 0x00        /* RO: NETVM_MAGIC */
#define NETVM_REG_VERSION 0x04      /* RO: NETVM_VERSION_MAJOR << 16 | MINOR */
#define NETVM_REG_STATUS 0x08       /* RO: NETVM_STATUS_... */
#define NETVM_REG_CONTROL 0x0c      /* WO: NETVM_CONTROL_... */
#define NETVM_REG_MEMBER 0x10       /* RO: while READY */
#define NETVM_REG_SERIAL 0x14       /* RO: while READY, the member's */
#define NETVM_REG_INT_STATUS 0x18   /* bit per vector; reading clears it */
#define NETVM_REG_INT_MASK 0x1c     /* RW: bit per vector that INTx may show;
                                     * 0 after a reset */
#define NETVM_REG_SEGMENTS 0x20     /* RO: mapped */
#define NETVM_REG_ATTACHED 0x24     /* RO: times a daemon's region came */

/* A write of anything rings the doorbell of member n, of the daemon for 0. */
#define NETVM_REG_DOORBELL(n) (0x400 + 4 * (n))

#define NETVM_STATUS_CONNECTED 0x1  /* there is a daemon */
#define NETVM_STATUS_REGION 0x2     /* segments are mapped */
#define NETVM_STATUS_READY 0x4      /* and we are a member */

#define NETVM_CONTROL_RESET 0x1     /* forget all: READY goes until the daemon
                                     * has taken back what the member owned */

#endif
