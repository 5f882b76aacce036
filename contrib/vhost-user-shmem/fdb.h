/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The forwarding database: behind which port an address of a VLAN was last
 * heard.
 *
 * Workers look up and learn when a flow is new, which is once a second for each
 * flow as long as it lasts; so an address whose owner talks does not age.
 * Neither takes a lock.  Entries are freed by the control thread only, after a
 * grace period.
 *
 * Threads: fdb_find(), fdb_learn(): inside RCU.  The rest: the control thread,
 * registered with RCU (QSBR) and offline; it waits for a grace period.  Port
 * and time of an entry are atomic; a static entry never changes.
 */
#ifndef VUS_FDB_H
#define VUS_FDB_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Fdb Fdb;

typedef struct FdbShown {
    uint8_t mac[6];
    uint16_t vlan;              /* 0: untagged */
    uint16_t port;              /* id */
    bool is_static;
    uint32_t age_s;             /* since it was heard; static: 0 */
} FdbShown;

/* Room for @max addresses of ports 0 to @ports - 1. */
Fdb *fdb_new(unsigned max, unsigned ports);
void fdb_free(Fdb *fdb);

/* -- Workers --------------------------------------------------------------- */

/* The port's id, or -1. */
int fdb_find(Fdb *fdb, const uint8_t mac[6], uint16_t vlan);

typedef enum FdbLearned {
    FDB_KNOWN,                  /* nothing new, now it is younger */
    FDB_NEW,
    FDB_MOVED,                  /* flows that lead elsewhere are void */
    FDB_REFUSED,                /* static elsewhere, or no room */
} FdbLearned;

/* @port may have @max learned addresses. */
FdbLearned fdb_learn(Fdb *fdb, const uint8_t mac[6], uint16_t vlan,
                     uint16_t port, uint32_t now_s, uint32_t max);

/* -- Control --------------------------------------------------------------- */

/* Forget learned addresses of @port (-1: of all) that were last heard before
 * @before_s (UINT32_MAX: all), static ones too if @with_static; returns how
 * many. */
unsigned fdb_forget(Fdb *fdb, int port, uint32_t before_s, bool with_static);

bool fdb_set_static(Fdb *fdb, const uint8_t mac[6], uint16_t vlan,
                    uint16_t port);
bool fdb_unset_static(Fdb *fdb, const uint8_t mac[6], uint16_t vlan);

void fdb_foreach(Fdb *fdb, uint32_t now_s,
                 void (*each)(const FdbShown *e, void *opaque), void *opaque);

#endif
