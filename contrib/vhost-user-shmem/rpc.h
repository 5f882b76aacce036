/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON-RPC 2.0: a request as text in, the answer as text out.
 *
 * A table says of each method which parameters it takes.  They are checked
 * before it is called: none is missing, none is unknown, each is of its type.
 *
 * The text may be anything, of any depth.
 *
 * Spec: JSON-RPC 2.0; JSON as in RFC 8259.
 *
 * Threads: any, as far as the methods allow it.
 */
#ifndef VUS_RPC_H
#define VUS_RPC_H

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#define RPC_MAX_PARAMS 6
#define RPC_MAX_BATCH 64

/* What answers of a batch may have together; then errors take their place. */
#define RPC_MAX_BATCH_BYTES (1024 * 1024)

/* JSON-RPC's own, and ours from 1 on. */
typedef enum RpcError {
    RPC_ERROR_PARSE = -32700,   /* the text is no JSON */
    RPC_ERROR_REQUEST = -32600, /* the JSON is no request */
    RPC_ERROR_METHOD = -32601,  /* there is no such method */
    RPC_ERROR_PARAMS = -32602,  /* one is missing, unknown or wrong */
    RPC_ERROR_NO_PORT = 1,
    RPC_ERROR_PORT_EXISTS,
    RPC_ERROR_SETTINGS,         /* do not go together, or cannot change */
    RPC_ERROR_FAILED,           /* the switch or the host refused */
    RPC_ERROR_NOT_DUMMY,        /* a port of another type */
    RPC_ERROR_NO_ADDRESS,       /* that is fixed */
    RPC_ERROR_TOO_MUCH,         /* clients, or answers to a batch */
    RPC_ERROR_NO_TENANT,
    RPC_ERROR_NO_DOMAIN,
    RPC_ERROR_END               /* behind the last */
} RpcError;

/* Of GError; its code is an RpcError.  One of another domain counts as
 * RPC_ERROR_FAILED. */
#define RPC_ERROR rpc_error_quark()
GQuark rpc_error_quark(void);

typedef enum RpcType {
    RPC_STRING,
    RPC_BOOLEAN,
    RPC_NUMBER,                 /* an integer from min to max */
    RPC_OBJECT,
} RpcType;

typedef struct RpcParam {
    const char *name;           /* NULL: behind the last */
    RpcType type;
    bool required;
    int64_t min, max;
    const char *help;
} RpcParam;

typedef struct RpcMethod {
    const char *name;           /* NULL: behind the last */
    const char *help;
    /* @params has what was given.  NULL with @error set, or the result. */
    JsonNode *(*call)(void *opaque, JsonObject *params, GError **error);
    RpcParam param[RPC_MAX_PARAMS + 1];
} RpcMethod;

/*
 * The answer to @text, a line without an end; NULL if none is due.  The caller
 * frees it.
 */
char *rpc_answer(const RpcMethod *methods, void *opaque, const char *text,
                 size_t bytes);

/* An answer to something that was no request: an error. */
char *rpc_refusal(RpcError code, const char *message);

/* -- For methods ----------------------------------------------------------- */

/* Each is @otherwise if it was not given. */
const char *rpc_string(JsonObject *params, const char *name,
                       const char *otherwise);
int64_t rpc_number(JsonObject *params, const char *name, int64_t otherwise);
bool rpc_boolean(JsonObject *params, const char *name, bool otherwise);

/* A member; numbers in answers end at RPC_MAX_NUMBER, so that whoever reads
 * them has room. */
#define RPC_MAX_NUMBER UINT64_C(999999999999999999)
void rpc_set_number(JsonObject *object, const char *name, uint64_t number);

/* The methods as a result: names, help, parameters. */
JsonNode *rpc_describe(const RpcMethod *methods);

#endif
