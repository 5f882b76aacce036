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

/* After "watch": waits for the next event, an object; NULL with @error set. */
JsonNode *vusctl_next_event(Vusctl *v, GError **error);

/* Parameters "name", which is word @at, and "settings", the KEY=VALUE behind
 * it. */
JsonObject *vusctl_take_settings(const Vusctl *v, unsigned at,
                                 GError **error);

/* The words "set NAME KEY=VALUE..." or "remove NAME": call @what.set or
 * @what.remove.  With other words it says that these are to be written, or
 * @others. */
bool vusctl_set_or_remove(Vusctl *v, const char *what, const char *others,
                          GError **error);

/* -- Commands -------------------------------------------------------------- */

typedef bool VusctlCommand(Vusctl *v, GError **error);

VusctlCommand vusctl_list, vusctl_show, vusctl_stats, vusctl_fdb,
              vusctl_workers, vusctl_settings, vusctl_drops, vusctl_top,
              vusctl_doctor, vusctl_tenant, vusctl_links, vusctl_deadlines,
              vusctl_watch, vusctl_reload, vusctl_domain;

#define VUSCTL_COLUMNS 80

/* What most of them end with: @result as it is for --json, else by @show (NULL:
 * nothing); it is taken.  False if it is NULL. */
bool vusctl_finish(const Vusctl *v, JsonNode *result,
                   void (*show)(JsonNode *result));

void vusctl_print_json(JsonNode *node);

/* -- Results --------------------------------------------------------------- */

/* A member, or what stands for it where a daemon does not send it. */
const char *vusctl_string(JsonObject *object, const char *name);    /* "" */
int64_t vusctl_number(JsonObject *object, const char *name);        /* 0 */

bool vusctl_flag(JsonObject *object, const char *name);     /* false */
JsonObject *vusctl_object(JsonObject *object, const char *name);    /* NULL */
JsonArray *vusctl_array(JsonObject *object, const char *name);      /* NULL */

unsigned vusctl_length(JsonArray *array);                   /* NULL: 0 */

/* A number as text, to be freed. */
#define VUSCTL_NUMBER(object, name) \
    g_strdup_printf("%" PRId64, vusctl_number(object, name))

/* Of a port as qos.deadlines shows it: counter @name. */
int64_t vusctl_deadline_counter(JsonObject *port, const char *name);

/* The texts in array @name, with commas; the caller frees it. */
char *vusctl_join(JsonObject *object, const char *name);

/* Members of object "settings" as "KEY=VALUE KEY=VALUE"; the caller frees
 * it. */
char *vusctl_settings_of(JsonObject *object);

/* Sum of the members of object @name, which are numbers. */
int64_t vusctl_sum(JsonObject *object, const char *name);

#endif
