/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals an eventfd that somebody else holds, too, and never waits.
 *
 * write() to an eventfd waits while its counter is full, unless the file has
 * O_NONBLOCK; whoever shares the file can fill the one and clear the other at
 * any time, also between a check and the write.  The kernel itself signals
 * without waiting when asynchronous I/O is done; so what is written is a read
 * of nothing whose completion is to be told to the eventfd.  It costs some
 * hundred nanoseconds more than write().  A file that is no eventfd is refused
 * by the kernel before anything of it is called.
 *
 * Threads: kick_prepare(): control.  The rest: any.
 */
#ifndef VUS_KICK_H
#define VUS_KICK_H

#include <glib.h>
#include <stdbool.h>

/* Before the first kick(); again is harmless. */
bool kick_prepare(GError **error);

/* A full counter stays as it is: whoever waits for it has been woken. */
void kick(int fd);

/* Other files may do anything when they are polled. */
bool kick_is_eventfd(int fd);

#endif
