/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closes files that peers have sent: close() may wait, for whoever serves a
 * file system, or for the other end of a socket with SO_LINGER.
 *
 * Threads: the control thread; one of its own does it.
 */
#ifndef VUS_FILE_CLOSER_H
#define VUS_FILE_CLOSER_H

void file_close_later(int fd);

/* Of all peers, whose closing waits. */
unsigned file_closer_waiting(void);

#endif
