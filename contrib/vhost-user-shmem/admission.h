/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can every link keep what it would have to promise?
 *
 * A port with a rate (policy=edf, promises=on) promises the contracts of all
 * other ports: each may send to it.  What is then left of its rate has to
 * suffice for all guarantees.
 *
 * Threads: the control thread.
 */
#ifndef VUS_ADMISSION_H
#define VUS_ADMISSION_H

#include "daemon-config.h"

/* False with @error set: which link could not, and by how much. */
bool admission_check(const DaemonConfig *c, GError **error);

/* Does @link promise the contract of @port? */
bool admission_promises(const DaemonConfig *c, const ConfigPort *link,
                        const ConfigPort *port);

/* The share of @link that it has promised, in millionths. */
uint32_t admission_promised_ppm(const DaemonConfig *c, const ConfigPort *link);

/*
 * Longest time that a frame of @port, which has a contract, waits for @link;
 * UINT64_MAX: that promises it nothing.
 */
uint64_t admission_delay_bound_ns(const DaemonConfig *c,
                                  const ConfigPort *link,
                                  const ConfigPort *port);

typedef struct AdmissionGuarantees {
    uint64_t bps, pps;
} AdmissionGuarantees;

/* What @link has guaranteed to all who may send to it; a tenant's own stand for
 * those of its ports. */
AdmissionGuarantees admission_guarantees(const DaemonConfig *c,
                                         const ConfigPort *link);

#endif
