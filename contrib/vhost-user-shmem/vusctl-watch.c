/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events, a line each, as they come.
 *
 * Threads: single.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vusctl.h"

/* -- What happened, as text: to be freed ----------------------------------- */

static char *describe_added(JsonObject *e)
{
    return g_strdup_printf("port %s was added: type=%s, %s",
                           vusctl_string(e, "port"), vusctl_string(e, "type"),
                           vusctl_string(e, "state"));
}

static char *describe_removed(JsonObject *e)
{
    return g_strdup_printf("port %s was removed", vusctl_string(e, "port"));
}

static char *describe_state(JsonObject *e)
{
    const char *state = vusctl_string(e, "state");
    const char *before = vusctl_string(e, "before");
    const char *broken = vusctl_string(e, "broken");

    return g_strdup_printf("port %s %s %s%s%s%s%s", vusctl_string(e, "port"),
                           strcmp(state, before) ? "is" : "is again", state,
                           strcmp(state, before) ? ", was " : "",
                           strcmp(state, before) ? before : "",
                           *broken ? ": it broke, " : "", broken);
}

/* "tenant-added", or of a domain. */
static char *describe_named(JsonObject *e)
{
    g_auto(GStrv) word = g_strsplit(vusctl_string(e, "event"), "-", 2);

    return g_strdup_printf("%s %s was %s", word[0], vusctl_string(e, word[0]),
                           word[1]);
}

static char *describe_miss(JsonObject *e)
{
    return g_strdup_printf(
        "port %s: %" PRId64 " missed, the last by %.1f us (of %.1f us%s), %s "
        "> %s, protocol %" PRId64 ", dscp %" PRId64 ", source %" PRId64
        ", number %" PRId64, vusctl_string(e, "port"),
        vusctl_number(e, "count"), vusctl_number(e, "exceeded-ns") / 1e3,
        vusctl_number(e, "deadline-ns") / 1e3,
        vusctl_flag(e, "late-at-departure") ? ", late at departure" : "",
        vusctl_string(e, "source"), vusctl_string(e, "destination"),
        vusctl_number(e, "protocol"), vusctl_number(e, "dscp"),
        vusctl_number(e, "source-id"), vusctl_number(e, "sequence"));
}

static const struct {
    const char *event;
    char *(*describe)(JsonObject *e);
} texts[] = {
    { "port-added", describe_added },
    { "port-removed", describe_removed },
    { "port-state", describe_state },
    { "tenant-added", describe_named },
    { "tenant-changed", describe_named },
    { "tenant-removed", describe_named },
    { "domain-added", describe_named },
    { "domain-changed", describe_named },
    { "domain-removed", describe_named },
    { "deadline-miss", describe_miss },
};

/* What a newer daemon tells is shown as it came. */
static char *describe(JsonNode *event)
{
    JsonObject *e = json_node_get_object(event);

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (!strcmp(vusctl_string(e, "event"), texts[i].event)) {
            return texts[i].describe(e);
        }
    }
    return json_to_string(event, false);
}

/* -- Lines ----------------------------------------------------------------- */

static void show_event(JsonNode *event)
{
    int64_t time_us = vusctl_number(json_node_get_object(event), "time-us");
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(
        time_us / G_USEC_PER_SEC);
    g_autofree char *clock = time ? g_date_time_format(time, "%H:%M:%S") : NULL;
    g_autofree char *text = describe(event);

    printf("%s.%03d %s\n", clock ? clock : "?",
           (int)(time_us / 1000 % 1000), text);
}

bool vusctl_watch(Vusctl *v, GError **error)
{
    g_autoptr(JsonNode) begun = vusctl_call(v, "watch", NULL, error);
    JsonNode *event;

    if (!begun) {
        return false;
    }
    while ((event = vusctl_next_event(v, error)) != NULL) {
        if (!vusctl_finish(v, event, show_event) || fflush(stdout) != 0) {
            return true;
        }
    }
    return false;
}
