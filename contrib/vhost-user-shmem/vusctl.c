/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exit status: 0, it is done; 1, it failed; 2, the command line is wrong.
 *
 * Threads: single.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control-path.h"
#include "json-guard.h"
#include "parse.h"
#include "vusctl.h"

#define EXIT_USAGE 2
#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 3600.0

#define USAGE(error, ...) \
    g_set_error(error, VUSCTL_ERROR, VUSCTL_USAGE, __VA_ARGS__)

/* -- Ends ------------------------------------------------------------------ */

void vusctl_print_json(JsonNode *node)
{
    g_autofree char *text = json_to_string(node, false);

    printf("%s\n", text);
}

bool vusctl_finish(const Vusctl *v, JsonNode *result,
                   void (*show)(JsonNode *result))
{
    if (!result) {
        return false;
    }
    if (v->json) {
        vusctl_print_json(result);
    } else if (show) {
        show(result);
    }
    json_node_unref(result);
    return true;
}

/* -- Ports ----------------------------------------------------------------- */

static JsonObject *named(const char *name)
{
    JsonObject *params = json_object_new();

    json_object_set_string_member(params, "name", name);
    return params;
}

JsonObject *vusctl_take_settings(const Vusctl *v, unsigned at, GError **error)
{
    JsonObject *settings = json_object_new(), *params;

    for (unsigned i = at + 1; i < v->words; i++) {
        const char *equals = strchr(v->word[i], '=');
        g_autofree char *key = NULL;

        if (!equals || equals == v->word[i]) {
            USAGE(error, "'%s' is no setting: write KEY=VALUE; 'vusctl "
                  "settings' lists the keys", v->word[i]);
            json_object_unref(settings);
            return NULL;
        }
        key = g_strndup(v->word[i], equals - v->word[i]);
        if (json_object_has_member(settings, key)) {
            USAGE(error, "%s= is there twice: join them", key);
            json_object_unref(settings);
            return NULL;
        }
        json_object_set_string_member(settings, key, equals + 1);
    }
    params = named(v->word[at]);
    json_object_set_object_member(params, "settings", settings);
    return params;
}

bool vusctl_set_or_remove(Vusctl *v, const char *what, const char *others,
                          GError **error)
{
    const char *verb = v->words > 0 ? v->word[0] : "";
    g_autofree char *method = g_strjoin(".", what, verb, NULL);
    JsonObject *params;

    if (!strcmp(verb, "set") && v->words >= 2) {
        params = vusctl_take_settings(v, 1, error);
    } else if (!strcmp(verb, "remove") && v->words == 2) {
        params = named(v->word[1]);
    } else {
        USAGE(error, "write: vusctl %s, %s set NAME KEY=VALUE..., or %s "
              "remove NAME", others, what, what);
        return false;
    }
    return params && vusctl_finish(v, vusctl_call(v, method, params, error),
                                   NULL);
}

/* Nothing, if nothing is missing. */
static void show_missing(JsonNode *result)
{
    JsonObject *port = json_node_get_object(result);
    g_autofree char *missing = vusctl_join(port, "missing");

    if (*missing) {
        printf("port %s waits for ports that do not exist yet: %s\n",
               vusctl_string(port, "name"), missing);
    }
}

static bool run_add(Vusctl *v, GError **error)
{
    JsonObject *params = vusctl_take_settings(v, 0, error);

    return params && vusctl_finish(v, vusctl_call(v, "port.add", params,
                                                  error), show_missing);
}

static bool run_set(Vusctl *v, GError **error)
{
    JsonObject *params = vusctl_take_settings(v, 0, error);

    return params && vusctl_finish(v, vusctl_call(v, "port.set", params,
                                                  error), show_missing);
}

static bool run_remove(Vusctl *v, GError **error)
{
    return vusctl_finish(v, vusctl_call(v, "port.remove", named(v->word[0]),
                                        error), NULL);
}

/* -- Frames ---------------------------------------------------------------- */

static bool run_inject(Vusctl *v, GError **error)
{
    JsonObject *params = named(v->word[0]);

    json_object_set_string_member(params, "frame", v->word[1]);
    if (v->words > 2) {
        json_object_set_string_member(params, "vnet", v->word[2]);
    }
    return vusctl_finish(v, vusctl_call(v, "dummy.inject", params, error),
                         NULL);
}

static void show_frame(JsonNode *result)
{
    if (JSON_NODE_HOLDS_OBJECT(result)) {
        JsonObject *frame = json_node_get_object(result);

        printf("%s %s\n", vusctl_string(frame, "vnet"),
               vusctl_string(frame, "frame"));
    }
}

static bool run_read(Vusctl *v, GError **error)
{
    return vusctl_finish(v, vusctl_call(v, "dummy.read", named(v->word[0]),
                                        error), show_frame);
}

/* -- The rest -------------------------------------------------------------- */

static bool run_save(Vusctl *v, GError **error)
{
    g_autoptr(JsonNode) result = vusctl_call(v, "config.get", NULL, error);
    const char *text;

    if (!result) {
        return false;
    }
    text = vusctl_string(json_node_get_object(result), "text");
    if (!strcmp(v->word[0], "-")) {
        fputs(text, stdout);
        return true;
    }
    /* The file that is there stays until the new one is whole. */
    return g_file_set_contents_full(v->word[0], text, -1,
                                    G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                    error);
}

static bool run_call(Vusctl *v, GError **error)
{
    JsonNode *params = NULL;

    if (v->words > 1) {
        const char *text = v->word[1];

        if (json_guard_check(text, strlen(text), error)) {
            params = json_from_string(text, error);
        }
        if (!params) {
            g_prefix_error(error, "'%s' is no JSON: ", text);
            return false;
        }
    }
    return vusctl_finish(v, vusctl_call_node(v, v->word[0], params, error),
                         vusctl_print_json);
}

static void show_version(JsonNode *result)
{
    JsonObject *version = json_node_get_object(result);

    printf("%s %s, process %d\n", vusctl_string(version, "name"),
           vusctl_string(version, "version"),
           (int)vusctl_number(version, "pid"));
}

static bool run_version(Vusctl *v, GError **error)
{
    return vusctl_finish(v, vusctl_call(v, "version", NULL, error),
                         show_version);
}

/* -- Commands -------------------------------------------------------------- */

/* Options that not every command has. */
enum {
    OPTION_JSON = 1 << 0,
    OPTION_ALL = 1 << 1,
    OPTION_RESET = 1 << 2,
    OPTION_ONCE = 1 << 3,
    OPTION_INTERVAL = 1 << 4,
    ALONE = 1 << 5,             /* no option: it needs no daemon */
};

typedef struct Command {
    const char *name;
    const char *words;          /* behind it, for the help */
    unsigned min, max;          /* how many */
    unsigned options;
    VusctlCommand *run;
    const char *help;
} Command;

#define MANY 1000

static const Command commands[] = {
    { "add", "NAME KEY=VALUE...", 1, MANY, OPTION_JSON, run_add,
      "add a port" },
    { "remove", "NAME", 1, 1, OPTION_JSON, run_remove,
      "remove a port" },
    { "set", "NAME KEY=VALUE...", 2, MANY, OPTION_JSON, run_set,
      "change settings; KEY= alone is the default" },
    { "list", "", 0, 0, OPTION_JSON, vusctl_list,
      "ports, one line each" },
    { "show", "[NAME]", 0, 1, OPTION_JSON, vusctl_show,
      "all about a port, or all ports" },
    { "stats", "[NAME] [--all] [--reset]", 0, 1,
      OPTION_JSON | OPTION_ALL | OPTION_RESET, vusctl_stats,
      "what was counted; --reset: begin at zero" },
    { "fdb", "[list|flush] [PORT]", 0, 3, OPTION_JSON, vusctl_fdb,
      "addresses: show, forget what was learned" },
    { "fdb set", "MAC[/VLAN] PORT", 0, 0, 0, NULL, "fix an address" },
    { "fdb unset", "MAC[/VLAN]", 0, 0, 0, NULL, "let it go" },
    { "tenant", "[list]", 0, MANY, OPTION_JSON, vusctl_tenant,
      "tenants: what they may send, their ports" },
    { "tenant set", "NAME KEY=VALUE...", 0, 0, 0, NULL,
      "add a tenant, or change settings" },
    { "tenant remove", "NAME", 0, 0, 0, NULL, "remove a tenant" },
    { "domain", "[list]", 0, MANY, OPTION_JSON, vusctl_domain,
      "domains: memory, buffers, members" },
    { "domain show", "[NAME]", 0, 0, 0, NULL, "all about a domain, or all" },
    { "domain set", "NAME KEY=VALUE...", 0, 0, 0, NULL,
      "add a domain, or give it more buffers" },
    { "domain remove", "NAME", 0, 0, 0, NULL, "remove a domain" },
    { "links", "", 0, 0, OPTION_JSON, vusctl_links,
      "what waits, and what is promised" },
    { "deadlines", "[PORT]", 0, 1, OPTION_JSON, vusctl_deadlines,
      "late, missed, and how long it took" },
    { "workers", "", 0, 0, OPTION_JSON, vusctl_workers,
      "what each worker does" },
    { "top", "[--interval S] [--once]", 0, 0, OPTION_ONCE | OPTION_INTERVAL,
      vusctl_top, "rates of all ports, again and again" },
    { "watch", "", 0, 0, OPTION_JSON, vusctl_watch,
      "tell what happens, until interrupted" },
    { "reload", "[FILE]", 0, 1, OPTION_JSON, vusctl_reload,
      "read the configuration file again" },
    { "save", "FILE", 1, 1, 0, run_save,
      "write the configuration to FILE; -: to stdout" },
    { "call", "METHOD [JSON]", 1, 2, OPTION_JSON, run_call,
      "call a method; 'call methods' lists them" },
    { "settings", "", 0, 0, OPTION_JSON, vusctl_settings,
      "all that can be set" },
    { "drops", "", 0, 0, OPTION_JSON, vusctl_drops,
      "why frames are dropped" },
    { "inject", "NAME HEX [VNET-HEX]", 2, 3, OPTION_JSON, run_inject,
      "a frame into a dummy port" },
    { "read", "NAME", 1, 1, OPTION_JSON, run_read,
      "a frame out of a dummy port: vnet header, frame" },
    { "version", "", 0, 0, OPTION_JSON, run_version,
      "version of the daemon" },
    { "doctor", "[ROOT]", 0, 1, OPTION_JSON | ALONE, vusctl_doctor,
      "is this host (or a copy, ROOT) fit for it?" },
};

static const Command *find_command(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].run && !strcmp(commands[i].name, name)) {
            return &commands[i];
        }
    }
    return NULL;
}

static char *describe_commands(void)
{
    GString *text = g_string_new("Commands:\n");

    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        const Command *c = &commands[i];
        g_autofree char *synopsis = g_strjoin(" ", c->name, c->words, NULL);

        g_string_append_printf(text, "  %-31s %s\n", synopsis, c->help);
    }
    g_string_append(text, "\nExit status: 0, done; 1, failed; 2, the command "
                    "line is wrong.");
    return g_string_free(text, false);
}

/* -- The command line ------------------------------------------------------ */

static bool check_options(const Vusctl *v, const Command *c,
                          bool has_interval, GError **error)
{
    const struct {
        bool given;
        unsigned option;
        const char *name;
    } options[] = {
        { v->json, OPTION_JSON, "--json" },
        { v->all, OPTION_ALL, "--all" },
        { v->reset, OPTION_RESET, "--reset" },
        { v->once, OPTION_ONCE, "--once" },
        { has_interval, OPTION_INTERVAL, "--interval" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        if (options[i].given && !(c->options & options[i].option)) {
            USAGE(error, "%s has no option %s: leave it out", c->name,
                  options[i].name);
            return false;
        }
    }
    if (has_interval && !(v->interval_s >= INTERVAL_MIN_S &&
                          v->interval_s <= INTERVAL_MAX_S)) {
        USAGE(error, "--interval is a number of seconds from %.1f to %.0f",
              INTERVAL_MIN_S, INTERVAL_MAX_S);
        return false;
    }
    return true;
}

static const Command *parse_arguments(Vusctl *v, int argc, char **argv,
                                      GError **error)
{
    gboolean json = false, all = false, reset = false, once = false;
    double interval_s = G_MAXDOUBLE;        /* not given */
    const GOptionEntry entries[] = {
        { "control", 0, 0, G_OPTION_ARG_FILENAME, &v->control,
          "the daemon's control socket", "SOCKET" },
        { "json", 0, 0, G_OPTION_ARG_NONE, &json,
          "print the result as JSON, as it came", NULL },
        { "all", 0, 0, G_OPTION_ARG_NONE, &all,
          "stats: reasons that count nothing, too", NULL },
        { "reset", 0, 0, G_OPTION_ARG_NONE, &reset,
          "stats: let them begin at zero", NULL },
        { "interval", 0, 0, G_OPTION_ARG_DOUBLE, &interval_s,
          "top: seconds between two tables [1]", "S" },
        { "once", 0, 0, G_OPTION_ARG_NONE, &once,
          "top: one table only", NULL },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context =
        g_option_context_new("COMMAND [WORD...]");
    g_autofree char *described = describe_commands();
    const Command *c;

    g_option_context_set_description(context, described);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, error)) {
        return NULL;
    }
    if (argc < 2) {
        USAGE(error, "a command is missing: --help lists them");
        return NULL;
    }
    c = find_command(argv[1]);
    if (!c) {
        USAGE(error, "there is no command '%s': --help lists them", argv[1]);
        return NULL;
    }
    v->json = json;
    v->all = all;
    v->reset = reset;
    v->once = once;
    v->interval_s = interval_s == G_MAXDOUBLE ? 1 : interval_s;
    v->word = argv + 2;
    v->words = argc - 2;
    if (v->words < c->min || v->words > c->max) {
        USAGE(error, "write: vusctl %s%s%s", c->name, *c->words ? " " : "",
              c->words);
        return NULL;
    }
    return check_options(v, c, interval_s != G_MAXDOUBLE, error) ? c : NULL;
}

static int fail(GError *error)
{
    bool usage = error->domain == G_OPTION_ERROR ||
                 g_error_matches(error, VUSCTL_ERROR, VUSCTL_USAGE) ||
                 error->domain == PARSE_ERROR ||
                 error->domain == JSON_GUARD_ERROR;

    g_printerr("vusctl: %s%s\n", error->message,
               error->domain == G_OPTION_ERROR ? "; --help lists all options" :
                                                 "");
    g_error_free(error);
    return usage ? EXIT_USAGE : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    Vusctl v = { .fd = -1, .unread = g_string_new(NULL) };
    GError *error = NULL;
    const Command *c;
    int status = EXIT_SUCCESS;

    setlocale(LC_ALL, "");
    c = parse_arguments(&v, argc, argv, &error);
    if (c && !v.control && !(c->options & ALONE)) {
        v.control = control_path_default(&error);
    }
    if (error || !c->run(&v, &error)) {
        status = fail(error);
    }
    if (fflush(stdout) != 0) {
        status = EXIT_FAILURE;
    }
    if (v.fd >= 0) {
        close(v.fd);
    }
    g_string_free(v.unread, true);
    g_free(v.control);
    return status;
}
