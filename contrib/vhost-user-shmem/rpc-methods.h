/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be asked of the daemon over its control socket.
 *
 * docs/interop/vhost-user-shmem.rst describes it for those who write a client.
 *
 * Threads: the control thread.
 */
#ifndef VUS_RPC_METHODS_H
#define VUS_RPC_METHODS_H

#include "config-reload.h"
#include "control.h"
#include "rpc.h"

#define VUS_VERSION "1.0"

/* What methods are called with. */
typedef struct RpcContext {
    Switch *sw;
    const char *control;        /* path of the control socket */
    unsigned metrics_port;      /* 0: none */
    Control *server;            /* of that; NULL: nobody can watch */
    Events *events;
    ConfigRead *read;           /* NULL: nothing can be read again */
    void *read_opaque;
    const char *config_file;    /* that it was started with, or NULL */
} RpcContext;

/* As the method config.reload. */
GPtrArray *rpc_reload(const RpcContext *context, const char *file,
                      GError **error);

/* All methods; ends with a NULL name. */
const RpcMethod *rpc_methods(void);

#endif
