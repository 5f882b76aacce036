/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A switch for tests, with dummy ports: frames go in by name and come out.
 *
 * Threads: the one that made the switch.
 */
#ifndef SWITCH_BED_H
#define SWITCH_BED_H

#include "switch.h"

/* Generous: only a test that fails waits so long. */
#define BED_WAIT_S 30

/* Frames have this much at least: addresses, a tag, a type and a number. */
#define BED_FRAME_BYTES 64

/* What is logged does not end the test, and is counted; after g_test_init(). */
void bed_expect_warnings(void);
extern unsigned bed_warnings;
extern char *bed_last_warning;

Switch *bed_switch_new(unsigned workers);

/* The path of a socket in a directory of its own; to be given up. */
char *bed_socket_path(void);
void bed_socket_free(char *path);

/* @settings: words with blanks between; "type=dummy" is the default. */
Port *bed_add(Switch *sw, const char *name, const char *settings);
void bed_set(Switch *sw, const char *name, const char *settings);
void bed_remove(Switch *sw, const char *name);

void bed_send(Switch *sw, const char *name, const uint8_t *frame,
              size_t bytes);

/* What the port was sent, without virtio-net header; NULL: nothing. */
GBytes *bed_read(Switch *sw, const char *name);

/* Reads all that waits; how many. */
unsigned bed_drain(Switch *sw, const char *name);

PortCounters bed_counters(Switch *sw, const char *name);
uint64_t bed_drops(Switch *sw, const char *name, Drop reason);

/*
 * A frame of BED_FRAME_BYTES from station @from to @to; both are numbers that
 * make addresses, except BED_GROUP.  @tci < 0: untagged.
 */
#define BED_GROUP 0xffffu
void bed_make_frame(uint8_t *frame, unsigned to, unsigned from, int tci);
void bed_make_mac(uint8_t mac[6], unsigned station);

/* Run the main context until it is so; fails after BED_WAIT_S. */
void bed_wait(bool (*is_so)(void *opaque), void *opaque, const char *what);

/* Run what the main context has to do now. */
void bed_turn(void);

#endif
