/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the methods share: each room has its part of them.
 *
 * Threads: the control thread.
 */
#ifndef VUS_RPC_METHODS_IMPL_H
#define VUS_RPC_METHODS_IMPL_H

#include "daemon-config.h"
#include "rpc-methods.h"
#include "settings-kind.h"

typedef JsonNode *RpcCall(void *opaque, JsonObject *params, GError **error);

/* Ports, and what they count. */
RpcCall rpc_port_add, rpc_port_remove, rpc_port_set, rpc_port_list,
        rpc_port_show, rpc_stats, rpc_stats_reset;

/* Tenants. */
RpcCall rpc_tenant_set, rpc_tenant_remove, rpc_tenant_list;

/* Domains. */
RpcCall rpc_domain_set, rpc_domain_remove, rpc_domain_list;

/* Links, limits, deadlines. */
RpcCall rpc_qos_links, rpc_qos_deadlines;

/* Contracts of NICs. */
RpcCall rpc_contract_register, rpc_contract_withdraw;

/* Addresses. */
RpcCall rpc_fdb_list, rpc_fdb_flush, rpc_fdb_set, rpc_fdb_unset;

/* The configuration. */
RpcCall rpc_config_get, rpc_config_reload;

/* Dummy ports. */
RpcCall rpc_dummy_inject, rpc_dummy_read;

#define RPC_FAIL(error, code, ...) \
    g_set_error(error, RPC_ERROR, RPC_ERROR_##code, __VA_ARGS__)

/* -- Parameters ------------------------------------------------------------ */

/* The port that parameter @name names; NULL with @error set. */
Port *rpc_port(const RpcContext *context, JsonObject *params,
               const char *name, GError **error);

/* The same; NULL without an error if it was not given. */
bool rpc_port_if_given(const RpcContext *context, JsonObject *params,
                       const char *name, Port **port, GError **error);

/* "" is the default; NULL with @error set: it is neither a string nor an
 * integer nor null.  The caller frees it. */
char *rpc_setting(JsonObject *given, const char *key, GError **error);

/* All that is in @given, into @settings, which are of that kind. */
bool rpc_read_settings(const SettingsKind *kind, void *settings,
                       JsonObject *given, GError **error);

/* @error, which has another domain, is an error of that code. */
void rpc_set_code(GError **error, RpcError code);

/* -- Results --------------------------------------------------------------- */

JsonNode *rpc_true(void);
JsonNode *rpc_object(JsonObject *object);
JsonNode *rpc_array(JsonArray *array);

/* Those that are not the default. */
void rpc_add_settings(JsonObject *shown, const SettingsKind *kind,
                      const void *settings);
JsonObject *rpc_show_settings(const SettingsKind *kind, const void *settings);

/* -- The daemon as it is --------------------------------------------------- */

/* What it would have to be told at start to become so; addresses in order. */
DaemonConfig *rpc_running_config(const RpcContext *context);

/* The same with the contracts that NICs have registered, which are nobody's
 * settings: what has to go together. */
DaemonConfig *rpc_effective_config(const RpcContext *context);

#endif
