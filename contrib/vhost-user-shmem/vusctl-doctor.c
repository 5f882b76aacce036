/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the doctor finds, for people at 80 columns, or as JSON.
 *
 * Nothing is asked of the daemon but its settings, and if it does not answer,
 * that is a finding.  What lies below another root is another host's: the
 * daemon is asked then only if its socket was named.
 *
 * Threads: single.
 */
#include <stdio.h>
#include <string.h>

#include "config-file.h"
#include "control-path.h"
#include "doctor.h"
#include "vusctl.h"

#define COLUMNS 80
#define LABEL_COLUMN 11
#define TEXT_COLUMN 26

/* -- The daemon ------------------------------------------------------------ */

/* Its settings and process, or NULL with @error set. */
static DaemonConfig *ask_daemon(Vusctl *v, unsigned *pid, GError **error)
{
    g_autoptr(DaemonConfig) config = daemon_config_new();
    g_autoptr(JsonNode) version = NULL, result = NULL;
    const char *text;

    if (!v->control) {
        v->control = control_path_default(error);
    }
    if (!v->control ||
        !(version = vusctl_call(v, "version", NULL, error)) ||
        !(result = vusctl_call(v, "config.get", NULL, error))) {
        return NULL;
    }
    if (!JSON_NODE_HOLDS_OBJECT(version) || !JSON_NODE_HOLDS_OBJECT(result)) {
        g_set_error(error, VUSCTL_ERROR, VUSCTL_FAILED, "what answers at %s is "
                    "no vhost-user-shmem", v->control);
        return NULL;
    }
    *pid = vusctl_number(json_node_get_object(version), "pid");
    text = vusctl_string(json_node_get_object(result), "text");
    return config_file_parse(config, "its configuration", text, strlen(text),
                             error) ? g_steal_pointer(&config) : NULL;
}

/* -- For programs ---------------------------------------------------------- */

static void set_text(JsonObject *object, const char *name, const char *text)
{
    if (text) {
        json_object_set_string_member(object, name, text);
    } else {
        json_object_set_null_member(object, name);
    }
}

static JsonNode *make_json(const GPtrArray *points)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);
    JsonArray *all = json_array_new();

    for (unsigned i = 0; i < points->len; i++) {
        const DoctorPoint *p = g_ptr_array_index(points, i);
        JsonObject *point = json_object_new();

        json_object_set_string_member(point, "group", p->group);
        json_object_set_string_member(point, "name", p->name);
        json_object_set_string_member(point, "verdict",
                                      doctor_verdict_name(p->verdict));
        json_object_set_string_member(point, "found", p->found);
        set_text(point, "cost", p->cost);
        set_text(point, "advice", p->advice);
        set_text(point, "run", p->run);
        set_text(point, "boot", p->boot);
        json_array_add_object_element(all, point);
    }
    json_node_take_array(node, all);
    return node;
}

/* -- For people ------------------------------------------------------------ */

static void print_words(char **word, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        printf("%s%s", i ? " " : "", word[i]);
    }
}

/*
 * @text from the current column, which is TEXT_COLUMN, on; with @more at the
 * end of each line that goes on in the next.  A longer word is not divided: it
 * may have to be copied.
 */
static void print_wrapped(const char *text, const char *more)
{
    g_auto(GStrv) word = g_strsplit(text, " ", -1);
    unsigned begin = 0, n = g_strv_length(word);

    while (begin < n) {
        unsigned end = begin + 1, width = strlen(word[begin]);

        while (end < n && width + 1 + strlen(word[end]) +
               (end + 1 < n ? strlen(more) : 0) <= COLUMNS - TEXT_COLUMN) {
            width += 1 + strlen(word[end++]);
        }
        print_words(word + begin, end - begin);
        printf("%s\n%*s", end < n ? more : "", end < n ? TEXT_COLUMN : 0, "");
        begin = end;
    }
}

static void print_line(const char *label, const char *text, const char *more)
{
    if (text) {
        printf("%*s%-*s", LABEL_COLUMN, "", TEXT_COLUMN - LABEL_COLUMN, label);
        print_wrapped(text, more);
    }
}

static void print_point(const DoctorPoint *p)
{
    const char *verdict = p->verdict == DOCTOR_COSTS ? "COSTS" :
                          doctor_verdict_name(p->verdict);

    printf("  %-*s%-*s", LABEL_COLUMN - 2, verdict,
           TEXT_COLUMN - LABEL_COLUMN, p->name);
    print_wrapped(p->found, "");
    print_line("  cost", p->cost, "");
    print_line("  advice", p->advice, "");
    print_line("  run", p->run, " \\");
    print_line("  boot with", p->boot, "");
}

static void print_summary(const GPtrArray *points)
{
    unsigned n[DOCTOR_VERDICTS] = { 0 };

    for (unsigned i = 0; i < points->len; i++) {
        const DoctorPoint *p = g_ptr_array_index(points, i);

        n[p->verdict]++;
    }
    printf("\n%u points: ", points->len);
    for (unsigned i = 0; i < DOCTOR_VERDICTS; i++) {
        printf("%s%u %s", i ? ", " : "", n[i], doctor_verdict_name(i));
    }
    printf("\n");
}

static void print_points(const GPtrArray *points)
{
    const char *group = "";

    for (unsigned i = 0; i < points->len; i++) {
        const DoctorPoint *p = g_ptr_array_index(points, i);

        if (strcmp(group, p->group)) {
            printf("%s%s\n", *group ? "\n" : "", p->group);
            group = p->group;
        }
        print_point(p);
    }
    print_summary(points);
}

/* -- The command ----------------------------------------------------------- */

bool vusctl_doctor(Vusctl *v, GError **error)
{
    const char *root = v->words > 0 ? v->word[0] : "/";
    g_autoptr(GPtrArray) points = NULL;
    g_autoptr(DaemonConfig) config = NULL;
    g_autoptr(GError) silent = NULL;
    DoctorDaemon daemon = { 0 };

    if (!g_file_test(root, G_FILE_TEST_IS_DIR)) {
        g_set_error(error, VUSCTL_ERROR, VUSCTL_USAGE, "'%s' is no directory: "
                    "name one with copies of /proc and /sys, or none", root);
        return false;
    }
    if (v->words > 0 && !v->control) {
        daemon.silent = "of another host's daemon nothing is known";
    } else if ((config = ask_daemon(v, &daemon.pid, &silent))) {
        daemon.cfg = &config->sw;
    } else {
        daemon.silent = silent->message;
    }
    points = doctor_look(root, &daemon);
    if (v->json) {
        return vusctl_finish(v, make_json(points), NULL);
    }
    print_points(points);
    return true;
}
