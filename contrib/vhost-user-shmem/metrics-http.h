/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GET /metrics, at a port of the loopback: a text that is made when somebody
 * asks.
 *
 * Only this machine can ask, and it may be anybody on it: so what clients can
 * take is bounded (connections, length of a request, idle time, one answer for
 * each connection), nothing waits for them, and nothing can be changed here.
 *
 * Threads: the control thread, with GLib's default main context running.
 */
#ifndef VUS_METRICS_HTTP_H
#define VUS_METRICS_HTTP_H

#include <glib.h>

/* Connections at a time, by IPv4 and by IPv6 each. */
#define METRICS_HTTP_CLIENTS 16
#define METRICS_HTTP_IDLE_S 10
#define METRICS_HTTP_REQUEST_BYTES 4096     /* and what is needed to answer */

typedef struct MetricsHttp MetricsHttp;

typedef char *MetricsHttpText(void *opaque);    /* to be freed */

/* @port of 127.0.0.1 and, if this host has it, ::1.  NULL with @error set. */
MetricsHttp *metrics_http_new(unsigned port, const char *content_type,
                              MetricsHttpText *text, void *opaque,
                              GError **error);
void metrics_http_free(MetricsHttp *m);         /* or NULL */

#endif
