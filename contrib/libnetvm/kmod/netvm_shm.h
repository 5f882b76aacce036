/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm-shm: what the kernel module offers to the one program that has the
 * device open.
 *
 * /dev/netvmN, one for each device; below the PCI device's directory in sysfs
 * its name is that of the directory in misc/.
 *
 *   open    EBUSY: another program has it.
 *   mmap    of the registers and of the region, see below; MAP_SHARED.
 *   read    a uint64_t: interrupts of all vectors since the last read; waits
 *           for one, or EAGAIN.
 *   poll    readable: there was one.
 *   close   the device is reset, so that all that the program owned goes back
 *           to the daemon; also if it was killed.
 *
 * A reset clears INT_MASK: a program that resets the device writes ones there
 * afterwards, for machines on which only INTx works.
 *
 * If the device is unplugged, or the driver unbound, the program stays as it
 * is: what it has mapped reads as all ones and takes what is written, read()
 * fails with ENODEV and poll() reports POLLHUP.
 */
#ifndef NETVM_SHM_H
#define NETVM_SHM_H

/* Where the windows begin, bytes. */
#define NETVM_MMAP_REGISTERS 0x0
#define NETVM_MMAP_REGION 0x40000000

#endif
