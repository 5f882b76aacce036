/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port with nothing behind it: frames are put in and read over the control
 * socket, so that the whole path can be tried without a guest.
 *
 * It takes no offloads: what it is sent has been segmented and summed.
 *
 * Threads: the control thread.
 */
#ifndef VUS_PORT_DUMMY_H
#define VUS_PORT_DUMMY_H

#include "port.h"

#define DUMMY_MAX_FRAMES 1024       /* that wait to be read */

/* The oldest frame, or NULL; the caller's. */
GBytes *port_dummy_read(Port *p);

#endif
