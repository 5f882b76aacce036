/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads: single.
 */
#include <stdio.h>

#include "vusctl.h"

static void show_done(JsonObject *change)
{
    g_autofree char *keys = vusctl_join(change, "keys");

    printf("%s %s %s%s%s\n", vusctl_string(change, "what"),
           vusctl_string(change, "name"), vusctl_string(change, "change"),
           *keys ? ": " : "", keys);
}

static void show_changes(JsonNode *result)
{
    JsonObject *changes = json_node_get_object(result);
    JsonArray *done = vusctl_array(changes, "done");

    for (unsigned i = 0; i < vusctl_length(done); i++) {
        show_done(json_array_get_object_element(done, i));
    }
    if (vusctl_length(done) +
        vusctl_length(vusctl_array(changes, "failed")) == 0) {
        printf("nothing has changed\n");
    }
}

/* All that could not be done, a line each; NULL: all was. */
static char *describe_failed(JsonArray *failed)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < vusctl_length(failed); i++) {
        JsonObject *change = json_array_get_object_element(failed, i);

        g_string_append_printf(text, "%s%s %s could not be %s: %s",
                               i ? "\n" : "", vusctl_string(change, "what"),
                               vusctl_string(change, "name"),
                               vusctl_string(change, "change"),
                               vusctl_string(change, "error"));
    }
    return text->len ? g_strdup(text->str) : NULL;
}

bool vusctl_reload(Vusctl *v, GError **error)
{
    JsonObject *params = json_object_new();
    g_autofree char *failed = NULL;
    JsonNode *result;

    if (v->words > 0) {
        /* The daemon has another working directory. */
        g_autofree char *path = g_canonicalize_filename(v->word[0], NULL);

        json_object_set_string_member(params, "file", path);
    }
    result = vusctl_call(v, "config.reload", params, error);
    if (!result) {
        return false;
    }
    failed = describe_failed(vusctl_array(json_node_get_object(result),
                                          "failed"));
    vusctl_finish(v, result, show_changes);
    if (failed) {
        g_set_error(error, VUSCTL_ERROR, VUSCTL_FAILED, "%s", failed);
    }
    return !failed;
}
