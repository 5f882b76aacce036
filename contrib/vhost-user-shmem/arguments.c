/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "arguments.h"
#include "config-file.h"
#include "control-path.h"
#include "settings-kind.h"

#define FAILED(error, ...) \
    g_set_error(error, DAEMON_CONFIG_ERROR, 0, __VA_ARGS__)

/* -- The command line ------------------------------------------------------ */

static gboolean take_word(const char *option, const char *value, void *opaque,
                          GError **error)
{
    Arguments *args = opaque;

    g_ptr_array_add(args->keys, g_strdup(option + strlen("--")));
    g_ptr_array_add(args->values, g_strdup(value));
    return true;
}

static gboolean take_tenant(const char *option, const char *value,
                            void *opaque, GError **error)
{
    Arguments *args = opaque;

    g_ptr_array_add(args->tenants, g_strdup(value));
    return true;
}

static gboolean take_domain(const char *option, const char *value,
                            void *opaque, GError **error)
{
    Arguments *args = opaque;

    g_ptr_array_add(args->domains, g_strdup(value));
    return true;
}

static gboolean take_port(const char *option, const char *value, void *opaque,
                          GError **error)
{
    Arguments *args = opaque;

    g_ptr_array_add(args->ports, g_strdup(value));
    return true;
}

static void add_daemon_words(GArray *entries)
{
    for (const DaemonWord *w = daemon_config_words(); w->key; w++) {
        GOptionEntry word = {
            w->key, 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK,
            take_word, w->help, w->value,
        };

        g_array_append_val(entries, word);
    }
}

static GOptionGroup *make_options(Arguments *args)
{
    GOptionGroup *group = g_option_group_new("", "", "", args, NULL);
    g_autoptr(GArray) entries = g_array_new(true, true, sizeof(GOptionEntry));
    const GOptionEntry config = {
        "config", 0, 0, G_OPTION_ARG_FILENAME, &args->config,
        "settings, tenants, domains, ports and fixed addresses to begin with",
        "FILE",
    };
    const GOptionEntry rest[] = {
        { "tenant", 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK,
          take_tenant, "add a tenant, or take it instead of the file's; can be "
          "repeated", "'NAME KEY=VALUE...'" },
        { "domain", 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK,
          take_domain, "add a domain, or take it instead of the file's; can be "
          "repeated", "'NAME KEY=VALUE...'" },
        { "port", 0, G_OPTION_FLAG_FILENAME, G_OPTION_ARG_CALLBACK, take_port,
          "add a port, or take it instead of the file's; can be repeated",
          "'NAME KEY=VALUE...'" },
        { "check", 0, 0, G_OPTION_ARG_NONE, &args->only_check,
          "check all settings and end", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &args->version,
          "print the version and end", NULL },
    };

    g_array_append_val(entries, config);
    add_daemon_words(entries);
    g_array_append_vals(entries, rest, G_N_ELEMENTS(rest));
    /* Copies them. */
    g_option_group_add_entries(group, (GOptionEntry *)entries->data);
    return group;
}

static void describe_kind(GString *text, const SettingsKind *kind)
{
    g_string_append_printf(text, "Settings of a %s:\n", kind->what);
    for (const char *const *key = kind->keys(); *key; key++) {
        g_string_append_printf(text, "  %-17s%s\n", *key, kind->help(*key));
    }
    g_string_append_c(text, '\n');
}

static char *describe_settings(void)
{
    GString *text = g_string_new(NULL);

    describe_kind(text, &settings_of_port);
    describe_kind(text, &settings_of_tenant);
    describe_kind(text, &settings_of_domain);
    g_string_append(text, "SIGHUP: the file is read again. vusctl talks to "
                    "the daemon while it runs.");
    return g_string_free(text, false);
}

bool arguments_parse(Arguments *args, int *argc, char ***argv, GError **error)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autofree char *settings = describe_settings();

    g_option_context_set_summary(
        context, "Copies packets between the virtqueues of several guests, "
        "over vhost-user.");
    g_option_context_set_description(context, settings);
    g_option_context_set_main_group(context, make_options(args));
    if (!g_option_context_parse(context, argc, argv, error)) {
        return false;
    }
    if (*argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "what is '%s'? A port is one word: --port 'NAME "
                    "KEY=VALUE...'", (*argv)[1]);
        return false;
    }
    return true;
}

/* -- Tenants, domains and ports -------------------------------------------- */

/* Words of @text, the first of which is a name that is not in @seen yet; NULL
 * with @error set. */
static char **split(const char *option, const char *text, GHashTable *seen,
                    GError **error)
{
    g_auto(GStrv) word = NULL;

    if (!g_shell_parse_argv(text, NULL, &word, error)) {
        g_prefix_error(error, "%s '%s': ", option, text);
        return NULL;
    }
    if (!g_hash_table_add(seen, g_strdup(word[0]))) {
        FAILED(error, "%s %s is there twice: join them", option, word[0]);
        return NULL;
    }
    return g_steal_pointer(&word);
}

static bool add_port(DaemonConfig *c, const char *text, GHashTable *seen,
                     GError **error)
{
    g_auto(GStrv) word = split("--port", text, seen, error);
    PortSettings settings;
    bool added = false;

    if (!word) {
        return false;
    }
    port_settings_init(&settings);
    if (port_settings_parse(&settings, (const char **)word + 1, error) &&
        port_settings_check_named(&settings, word[0], error)) {
        if (daemon_config_find_port(c, word[0])) {
            daemon_config_remove_port(c, word[0]);
        }
        daemon_config_add_port(c, word[0], &settings);
        added = true;
    } else {
        g_prefix_error(error, "--port %s: ", word[0]);
    }
    port_settings_clear(&settings);
    return added;
}

static bool set_word(const SettingsKind *kind, void *settings,
                     const char *word, GError **error)
{
    const char *equals = strchr(word, '=');
    g_autofree char *key = equals ? g_strndup(word, equals - word) : NULL;

    if (!equals) {
        FAILED(error, "'%s' is no setting: write KEY=VALUE", word);
        return false;
    }
    return kind->set(settings, key, equals + 1, error);
}

/* Its settings, which have no word that must be there; returns its name, or
 * NULL with @error set. */
static char *read_named(const SettingsKind *kind, void *settings,
                        const char *text, GHashTable *seen, GError **error)
{
    g_autofree char *option = g_strconcat("--", kind->what, NULL);
    g_auto(GStrv) word = split(option, text, seen, error);
    bool valid = word && port_name_check(word[0], error);

    for (unsigned i = 1; valid && word[i]; i++) {
        valid = set_word(kind, settings, word[i], error);
    }
    if (word && !valid) {
        g_prefix_error(error, "%s %s: ", option, word[0]);
    }
    return valid ? g_strdup(word[0]) : NULL;
}

static bool add_tenant(DaemonConfig *c, const char *text, GHashTable *seen,
                       GError **error)
{
    TenantSettings settings = { 0 };
    g_autofree char *name = read_named(&settings_of_tenant, &settings, text,
                                       seen, error);

    if (name) {
        daemon_config_set_tenant(c, name, &settings);
    }
    return name;
}

static bool add_domain(DaemonConfig *c, const char *text, GHashTable *seen,
                       GError **error)
{
    g_autofree char *name = NULL;
    DomainSettings settings;

    domain_settings_init(&settings);
    name = read_named(&settings_of_domain, &settings, text, seen, error);
    if (name) {
        daemon_config_set_domain(c, name, &settings);
    }
    return name;
}

typedef bool AddOne(DaemonConfig *c, const char *text, GHashTable *seen,
                    GError **error);

static bool add_all(DaemonConfig *c, const GPtrArray *texts, AddOne *add,
                    GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal,
                                                       g_free, NULL);

    for (unsigned i = 0; i < texts->len; i++) {
        if (!add(c, g_ptr_array_index(texts, i), seen, error)) {
            return false;
        }
    }
    return true;
}

/* -- Words and paths ------------------------------------------------------- */

static bool set_daemon_words(DaemonConfig *c, const Arguments *args,
                             GError **error)
{
    for (unsigned i = 0; i < args->keys->len; i++) {
        if (!daemon_config_set(c, g_ptr_array_index(args->keys, i),
                               g_ptr_array_index(args->values, i), error)) {
            g_prefix_error(error, "--");
            return false;
        }
    }
    return true;
}

static bool set_paths(DaemonConfig *c, GError **error)
{
    if (!c->control) {
        c->control = control_path_default(error);
        if (!c->control) {
            return false;
        }
    }
    if (!c->sw.state_dir) {
        c->sw.state_dir = g_path_get_dirname(c->control);
    }
    return true;
}

/* -- Where something is wrong ---------------------------------------------- */

static bool is_given(const GPtrArray *texts, const char *name)
{
    for (unsigned i = 0; i < texts->len; i++) {
        const char *text = g_ptr_array_index(texts, i);
        size_t bytes = strlen(name);

        text += strspn(text, " \t'\"");
        if (!strncmp(text, name, bytes) && !g_ascii_isalnum(text[bytes]) &&
            !strchr("_.-", text[bytes] ? text[bytes] : ' ')) {
            return true;
        }
    }
    return false;
}

/* Number of the line "[GROUP]", or 0. */
static unsigned line_of(const char *file, const char *group)
{
    g_autofree char *heading = g_strdup_printf("[%s]", group);
    g_autofree char *text = NULL;
    g_auto(GStrv) line = NULL;

    if (!g_file_get_contents(file, &text, NULL, NULL)) {
        return 0;
    }
    line = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; line[i]; i++) {
        if (!strcmp(g_strstrip(line[i]), heading)) {
            return i + 1;
        }
    }
    return 0;
}

/*
 * What does not go together is known by names only: what daemon_config_check()
 * says begins with "port NAME" or "tenant NAME".  From there to the line; the
 * caller frees it, NULL: unknown.
 */
static char *place_of(const Arguments *args, const char *file,
                      const char *message)
{
    char kind[7], name[PORT_NAME_MAX + 1];
    g_autofree char *group = NULL;
    bool is_tenant;
    unsigned line;

    if (sscanf(message, "%6[a-z] %32[A-Za-z0-9_.-]", kind, name) != 2) {
        return g_strdup(file);
    }
    is_tenant = !strcmp(kind, "tenant");
    if (is_given(is_tenant ? args->tenants : args->ports, name)) {
        return NULL;
    }
    group = g_strdup_printf("%s %s", is_tenant ? "tenant" : "port", name);
    line = file ? line_of(file, group) : 0;
    return line ? g_strdup_printf("%s:%u", file, line) : g_strdup(file);
}

/* -- The configuration ----------------------------------------------------- */

DaemonConfig *arguments_config(const Arguments *args, const char *file,
                               GError **error)
{
    g_autoptr(DaemonConfig) c = daemon_config_new();
    g_autofree char *place = NULL;
    GError *wrong = NULL;

    if ((file && !config_file_load(c, file, error)) ||
        !set_daemon_words(c, args, error) ||
        !add_all(c, args->tenants, add_tenant, error) ||
        !add_all(c, args->domains, add_domain, error) ||
        !add_all(c, args->ports, add_port, error) || !set_paths(c, error)) {
        return NULL;
    }
    if (!daemon_config_check(c, &wrong)) {
        place = place_of(args, file, wrong->message);
        g_propagate_prefixed_error(error, wrong, "%s%s", place ? place : "",
                                   place ? ": " : "");
        return NULL;
    }
    return g_steal_pointer(&c);
}

/* -- Life ------------------------------------------------------------------ */

Arguments *arguments_new(void)
{
    Arguments *args = g_new0(Arguments, 1);

    args->keys = g_ptr_array_new_with_free_func(g_free);
    args->values = g_ptr_array_new_with_free_func(g_free);
    args->tenants = g_ptr_array_new_with_free_func(g_free);
    args->domains = g_ptr_array_new_with_free_func(g_free);
    args->ports = g_ptr_array_new_with_free_func(g_free);
    return args;
}

void arguments_free(Arguments *args)
{
    g_ptr_array_unref(args->keys);
    g_ptr_array_unref(args->values);
    g_ptr_array_unref(args->tenants);
    g_ptr_array_unref(args->domains);
    g_ptr_array_unref(args->ports);
    g_free(args->config);
    g_free(args);
}
