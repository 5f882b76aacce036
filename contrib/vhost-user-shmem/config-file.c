/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GLib joins groups of the same name and takes the last of several keys, and
 * knows no line numbers: so the lines are looked at before.
 *
 * Threads: the control thread.
 */
#include <string.h>

#include "config-file.h"
#include "parse.h"
#include "settings-kind.h"

#define PORT_PREFIX "port "
#define TENANT_PREFIX "tenant "
#define DOMAIN_PREFIX "domain "

#define FILE_ERROR(error, ...) \
    g_set_error(error, DAEMON_CONFIG_ERROR, 0, __VA_ARGS__)

typedef struct Reader {
    DaemonConfig *config;
    const char *name;
    GKeyFile *keys;
    GHashTable *lines;          /* "GROUP" or "GROUP\nKEY": its number */
} Reader;

/* -- Lines ----------------------------------------------------------------- */

static unsigned line_of(const Reader *r, const char *group, const char *key)
{
    g_autofree char *where = g_strjoin("\n", group, key, NULL);

    return GPOINTER_TO_UINT(g_hash_table_lookup(r->lines, where));
}

/* Takes @where. */
static bool note_line(Reader *r, char *where, const char *what, unsigned line,
                      GError **error)
{
    unsigned before = GPOINTER_TO_UINT(g_hash_table_lookup(r->lines, where));

    if (before) {
        FILE_ERROR(error, "%s:%u: %s is in line %u already: join them",
                   r->name, line, what, before);
        g_free(where);
        return false;
    }
    g_hash_table_insert(r->lines, where, GUINT_TO_POINTER(line));
    return true;
}

/* @text has neither blanks around nor a comment. */
static bool index_line(Reader *r, char **group, char *text, unsigned line,
                       GError **error)
{
    size_t bytes = strlen(text);
    char *equals = strchr(text, '=');

    if (*text == '[' && text[bytes - 1] == ']') {
        g_free(*group);
        *group = g_strndup(text + 1, bytes - 2);
        return note_line(r, g_strdup(*group), text, line, error);
    }
    if (!equals || equals == text) {
        FILE_ERROR(error, "%s:%u: '%s' is neither [GROUP] nor KEY=VALUE; a "
                   "comment begins with '#'", r->name, line, text);
        return false;
    }
    if (!*group) {
        FILE_ERROR(error, "%s:%u: '%s' is in front of the first group: put "
                   "it below [daemon] or another one", r->name, line, text);
        return false;
    }
    *equals = '\0';
    g_strchomp(text);
    return note_line(r, g_strjoin("\n", *group, text, NULL), text, line,
                     error);
}

static bool index_lines(Reader *r, const char *text, GError **error)
{
    g_auto(GStrv) line = g_strsplit(text, "\n", -1);
    g_autofree char *group = NULL;

    for (unsigned i = 0; line[i]; i++) {
        g_strstrip(line[i]);
        if (*line[i] && *line[i] != '#' &&
            !index_line(r, &group, line[i], i + 1, error)) {
            return false;
        }
    }
    return true;
}

/* -- Groups ---------------------------------------------------------------- */

typedef bool SetKey(void *opaque, const char *key, const char *value,
                    GError **error);

static bool read_key(Reader *r, const char *group, const char *key,
                     SetKey *set, void *opaque, GError **error)
{
    GError *wrong = NULL;
    /* With a wrong escape there are a value and an error. */
    g_autofree char *value = g_key_file_get_string(r->keys, group, key,
                                                   &wrong);

    if (wrong) {
        g_propagate_error(error, wrong);
        return false;
    }
    return set(opaque, key, value, error);
}

static bool read_keys(Reader *r, const char *group, SetKey *set, void *opaque,
                      GError **error)
{
    g_auto(GStrv) key = g_key_file_get_keys(r->keys, group, NULL, error);

    for (unsigned i = 0; key && key[i]; i++) {
        if (!read_key(r, group, key[i], set, opaque, error)) {
            g_prefix_error(error, "%s:%u: ", r->name,
                           line_of(r, group, key[i]));
            return false;
        }
    }
    return key != NULL;
}

static bool set_daemon_key(void *config, const char *key, const char *value,
                           GError **error)
{
    return daemon_config_set(config, key, value, error);
}

static bool set_address(void *config, const char *key, const char *value,
                        GError **error)
{
    uint8_t mac[6];
    uint16_t vlan;

    if (!parse_mac_vlan(key, mac, &vlan, error)) {
        g_prefix_error(error, "MAC=PORT or MAC/VLAN=PORT is expected: ");
        return false;
    }
    if (!port_name_check(value, error)) {
        return false;
    }
    daemon_config_add_address(config, mac, vlan, value);
    return true;
}

static bool read_port(Reader *r, const char *group, GError **error)
{
    const char *name = group + strlen(PORT_PREFIX);
    PortSettings settings;
    bool done = false;

    port_settings_init(&settings);
    if (read_keys(r, group, settings_of_port.set, &settings, error)) {
        done = port_settings_check_named(&settings, name, error);
        if (done) {
            daemon_config_add_port(r->config, name, &settings);
        } else {
            g_prefix_error(error, "%s:%u: port %s: ", r->name,
                           line_of(r, group, NULL), name);
        }
    }
    port_settings_clear(&settings);
    return done;
}

/* Of a kind that has no word which must be there. */
static bool read_named(Reader *r, const char *group, const char *name,
                       const SettingsKind *kind, void *settings,
                       GError **error)
{
    if (!port_name_check(name, error)) {
        g_prefix_error(error, "%s:%u: %s: ", r->name, line_of(r, group, NULL),
                       kind->what);
        return false;
    }
    return read_keys(r, group, kind->set, settings, error);
}

static bool read_tenant(Reader *r, const char *group, GError **error)
{
    const char *name = group + strlen(TENANT_PREFIX);
    TenantSettings settings = { 0 };

    if (!read_named(r, group, name, &settings_of_tenant, &settings, error)) {
        return false;
    }
    daemon_config_set_tenant(r->config, name, &settings);
    return true;
}

static bool read_domain(Reader *r, const char *group, GError **error)
{
    const char *name = group + strlen(DOMAIN_PREFIX);
    DomainSettings settings;

    domain_settings_init(&settings);
    if (!read_named(r, group, name, &settings_of_domain, &settings, error)) {
        return false;
    }
    daemon_config_set_domain(r->config, name, &settings);
    return true;
}

static bool read_group(Reader *r, const char *group, GError **error)
{
    if (!strcmp(group, "daemon")) {
        return read_keys(r, group, set_daemon_key, r->config, error);
    }
    if (!strcmp(group, "fdb")) {
        return read_keys(r, group, set_address, r->config, error);
    }
    if (g_str_has_prefix(group, PORT_PREFIX)) {
        return read_port(r, group, error);
    }
    if (g_str_has_prefix(group, TENANT_PREFIX)) {
        return read_tenant(r, group, error);
    }
    if (g_str_has_prefix(group, DOMAIN_PREFIX)) {
        return read_domain(r, group, error);
    }
    FILE_ERROR(error, "%s:%u: there is no group [%s]: the groups are [daemon], "
               "[tenant NAME], [domain NAME], [port NAME] and [fdb]", r->name,
               line_of(r, group, NULL), group);
    return false;
}

/* -- In -------------------------------------------------------------------- */

bool config_file_parse(DaemonConfig *c, const char *name, const char *text,
                       size_t bytes, GError **error)
{
    g_autoptr(GHashTable) lines = g_hash_table_new_full(
        g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GKeyFile) keys = g_key_file_new();
    Reader r = { c, name, keys, lines };
    g_auto(GStrv) group = NULL;

    if (!g_utf8_validate(text, bytes, NULL)) {
        FILE_ERROR(error, "%s is no text in UTF-8", name);
        return false;
    }
    if (!index_lines(&r, text, error)) {
        return false;
    }
    if (bytes > 0 &&
        !g_key_file_load_from_data(keys, text, bytes,
                                   G_KEY_FILE_KEEP_TRANSLATIONS, error)) {
        g_prefix_error(error, "%s: ", name);
        return false;
    }
    group = g_key_file_get_groups(keys, NULL);
    for (unsigned i = 0; group[i]; i++) {
        if (!read_group(&r, group[i], error)) {
            return false;
        }
    }
    return true;
}

bool config_file_load(DaemonConfig *c, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    size_t bytes;

    return g_file_get_contents(path, &text, &bytes, error) &&
           config_file_parse(c, path, text, bytes, error);
}

/* -- Out ------------------------------------------------------------------- */

/* What is not the default, and @first: a group without keys would not be
 * there. */
static void write_group(GKeyFile *keys, const SettingsKind *kind,
                        const char *name, const void *settings,
                        const char *first, const char *value_of_first)
{
    g_autofree char *group = g_strjoin(" ", kind->what, name, NULL);

    g_key_file_set_string(keys, group, first, value_of_first);
    for (const char *const *key = kind->keys(); *key; key++) {
        g_autofree char *value = kind->get(settings, *key);

        if (value) {
            g_key_file_set_string(keys, group, *key, value);
        }
    }
}

char *config_file_text(const DaemonConfig *c)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();

    for (const DaemonWord *w = daemon_config_words(); w->key; w++) {
        g_autofree char *value = daemon_config_get(c, w->key);

        if (value) {
            g_key_file_set_string(keys, "daemon", w->key, value);
        }
    }
    for (unsigned i = 0; i < c->tenants->len; i++) {
        const ConfigTenant *t = g_ptr_array_index(c->tenants, i);

        write_group(keys, &settings_of_tenant, t->name, &t->settings,
                    "guarantee-bps", "0");
    }
    for (unsigned i = 0; i < c->domains->len; i++) {
        const ConfigDomain *d = g_ptr_array_index(c->domains, i);

        write_group(keys, &settings_of_domain, d->name, &d->settings,
                    "direct", "on");
    }
    for (unsigned i = 0; i < c->ports->len; i++) {
        const ConfigPort *p = g_ptr_array_index(c->ports, i);

        write_group(keys, &settings_of_port, p->name, &p->settings, "type",
                    p->settings.type);
    }
    for (unsigned i = 0; i < c->addresses->len; i++) {
        const ConfigAddress *a = g_ptr_array_index(c->addresses, i);
        g_autofree char *address = format_mac_vlan(a->mac, a->vlan);

        g_key_file_set_string(keys, "fdb", address, a->port);
    }
    return g_key_file_to_data(keys, NULL, NULL);
}
