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

#include "rpc.h"
#include "switch.h"

#define VUS_VERSION "1.0"

/* What methods are called with. */
typedef struct RpcContext {
    Switch *sw;
    const char *control;        /* path of the control socket */
} RpcContext;

/* All methods; ends with a NULL name. */
const RpcMethod *rpc_methods(void);

#endif
