/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vusctl: a command, one or a few requests to the daemon, a table.
 *
 * Threads: single.
 */
#ifndef VUS_VUSCTL_H
#define VUS_VUSCTL_H

#include <json-glib/json-glib.h>
#include <stdbool.h>

typedef struct Vusctl {
    char *control;              /* path of the daemon's socket */
    int fd;                     /* -1: not connected yet */
    GString *unread;            /* what has come behind the last answer */
    bool json;                  /* print results as they came */
    bool all, reset, once;
    double interval_s;
    char **word;                /* behind the command's name */
    unsigned words;
} Vusctl;

typedef enum VusctlError {
    VUSCTL_FAILED,              /* exit status 1 */
    VUSCTL_USAGE,               /* 2 */
} VusctlError;

#define VUSCTL_ERROR vusctl_error_quark()
GQuark vusctl_error_quark(void);

/* -- Requests -------------------------------------------------------------- */

/* The result, or NULL with @error set.  Takes @params (NULL: none). */
JsonNode *vusctl_call(Vusctl *v, const char *method, JsonObject *params,
                      GError **error);
JsonNode *vusctl_call_node(Vusctl *v, const char *method, JsonNode *params,
                           GError **error);

/* -- Commands -------------------------------------------------------------- */

typedef bool VusctlCommand(Vusctl *v, GError **error);

VusctlCommand vusctl_list, vusctl_show, vusctl_stats, vusctl_fdb,
              vusctl_workers, vusctl_settings, vusctl_drops, vusctl_top;

/* What most of them end with: @result as it is for --json, else by @show (NULL:
 * nothing); it is taken.  False if it is NULL. */
bool vusctl_finish(const Vusctl *v, JsonNode *result,
                   void (*show)(JsonNode *result));

void vusctl_print_json(JsonNode *node);

/* -- Results --------------------------------------------------------------- */

/* A member, or what stands for it where a daemon does not send it. */
const char *vusctl_string(JsonObject *object, const char *name);    /* "" */
int64_t vusctl_number(JsonObject *object, const char *name);        /* 0 */

/* The texts in array @name, with commas; the caller frees it. */
char *vusctl_join(JsonObject *object, const char *name);

/* Sum of the members of object @name, which are numbers. */
int64_t vusctl_sum(JsonObject *object, const char *name);

#endif
