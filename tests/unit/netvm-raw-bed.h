/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whoever is at port m0 of a bed (netvm-bed.h), seen from both ends of the
 * socket.
 *
 * Threads: the control thread.
 */
#ifndef NETVM_RAW_BED_H
#define NETVM_RAW_BED_H

#include "netvm-bed.h"
#include "netvm-raw.h"

PortStatus raw_bed_status(NetvmBed *b, const char *name);

/* @r polls, and the daemon has seen that. */
void raw_bed_attach(NetvmBed *b, NetvmRaw *r);

/* Nobody is there, and all that somebody had is free. */
void raw_bed_wait_alone(NetvmBed *b);

/* The same; and an honest one may come. */
void raw_bed_check_serves(NetvmBed *b);

/* Mappings of domains' memory, whoever's in this process. */
unsigned raw_bed_maps(void);

#endif
