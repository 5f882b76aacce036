/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon counts, as Prometheus reads it: text format 0.0.4.
 *
 * Names begin with vus_; counters end in _total and begin again at zero with
 * "vusctl stats --reset", as they do with a restart.
 *
 * Threads: the control thread.
 */
#ifndef VUS_METRICS_H
#define VUS_METRICS_H

#include "rpc-methods.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* All of it, now; the caller frees it. */
char *metrics_text(const RpcContext *context);

#endif
