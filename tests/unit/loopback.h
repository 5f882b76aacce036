/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loopback interface of a network namespace of our own, for ports of type
 * af-xdp.
 *
 * Threads: the caller's, before it starts others.
 */
#ifndef TEST_LOOPBACK_H
#define TEST_LOOPBACK_H

#include <stdbool.h>

/* Into the namespace, where the interface is up; false: that cannot be, and the
 * test is skipped. */
bool loopback_enter(unsigned mtu);

void loopback_set(unsigned mtu, bool up);

#endif
