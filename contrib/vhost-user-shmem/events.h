/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens, told to whoever watches: ports, tenants and domains that come,
 * change and go, and deadlines that were missed.
 *
 * Nothing of the switch has to call us.  What there is is compared with what
 * was there, ten times a second while somebody watches, and by
 * events_look() after each change that was asked for.
 *
 * Misses come at the rate of frames, events do not: a watcher is told of the
 * first one, and then once a second at most of a port, how many there were.
 * The counts add up to what was missed since it began to watch, so a port is
 * removed with events_remove_port() only.
 *
 * An event is a notification of JSON-RPC, as text:
 *   {"jsonrpc":"2.0","method":"event","params":{"event":"port-added",...}}
 *
 * Threads: the control thread.
 */
#ifndef VUS_EVENTS_H
#define VUS_EVENTS_H

#include "switch.h"

typedef struct Events Events;
typedef struct EventsWatcher EventsWatcher;

/* @sw outlives it. */
Events *events_new(Switch *sw);

/* Nobody watches any more. */
void events_free(Events *ev);

/* From now on @tell is called with each event.  It may not change the switch,
 * nor who watches. */
EventsWatcher *events_watch(Events *ev,
                            void (*tell)(void *opaque, const char *event),
                            void *opaque);
void events_unwatch(EventsWatcher *watcher);

/* Tell what has changed.  NULL: nobody can watch. */
void events_look(Events *ev);

/* Remove a port of @sw, and tell its last misses. */
void events_remove_port(Events *ev, Switch *sw, Port *p);

/* All that can happen, for those who describe it; ends with NULL. */
const char *const *events_names(void);

#endif
