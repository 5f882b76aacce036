/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two clocks of real-time networking.
 *
 * Queueing and pacing use a monotonic clock; only the trailer carries TAI.
 * Under qtest both are the virtual clock, so that a test can step them.
 *
 * Threads: any.
 */
#ifndef NET_EDF_CLOCK_H
#define NET_EDF_CLOCK_H

#include "qemu/timer.h"

QEMUClockType rtnet_clock_type(void);

/* Monotonic, ns. */
uint64_t rtnet_clock_ns(void);

/* CLOCK_TAI, ns since the epoch. */
uint64_t rtnet_clock_tai_ns(void);

/*
 * Does someone keep the host's clock, and has told the kernel how far TAI is
 * from UTC?  Without that CLOCK_TAI equals UTC.  Asked of the kernel at most
 * once a second.
 */
bool rtnet_clock_tai_synchronised(void);

/*
 * Refuse record/replay, which wants all input to come through its own clock.
 * Returns false with @errp set.
 */
bool rtnet_clock_usable(Error **errp);

/*
 * How late this host wakes a sleeping thread: the worst of a few short sleeps,
 * ns.  Takes about 5 ms; 0 under qtest.
 */
uint64_t rtnet_clock_measure_jitter_ns(void);

#endif
