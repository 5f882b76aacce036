/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "port-words.h"
#include "rtnet/rt-endpoint.h"

/* What physical switches call jumbo frames: more than that would not pass an
 * uplink, so it takes an explicit word. */
#define MTU_DEFAULT 9216
#define MAX_MACS_DEFAULT 1024
#define QUEUE_PKTS_DEFAULT 1024
#define HOST_JITTER_US_DEFAULT 100

G_DEFINE_QUARK(port-settings-error-quark, port_settings_error)

#define SETTINGS_ERROR(error, ...) \
    g_set_error(error, PORT_SETTINGS_ERROR, 0, __VA_ARGS__)

/* -- Names ----------------------------------------------------------------- */

static bool is_name(const char *name)
{
    size_t bytes = strlen(name);

    if (bytes < 1 || bytes > PORT_NAME_MAX || *name == '-' || *name == '.') {
        return false;
    }
    for (const char *p = name; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("_.-", *p)) {
            return false;
        }
    }
    return true;
}

bool port_name_check(const char *name, GError **error)
{
    if (!is_name(name)) {
        SETTINGS_ERROR(error, "'%s' cannot be the name of a port: that has 1 "
                       "to %d letters, digits, '_', '.' and '-', and begins "
                       "with neither '.' nor '-'", name, PORT_NAME_MAX);
        return false;
    }
    return true;
}

/* -- Words ----------------------------------------------------------------- */

static const PortWord *find_word(const char *key)
{
    for (unsigned i = 0; i < port_words_n; i++) {
        if (!strcmp(key, port_words[i].key)) {
            return &port_words[i];
        }
    }
    return NULL;
}

const char *const *port_settings_keys(void)
{
    static const char *keys[PORT_WORDS_MAX + 1];

    for (unsigned i = 0; i < port_words_n; i++) {
        keys[i] = port_words[i].key;
    }
    return keys;
}

const char *port_settings_help(const char *key)
{
    const PortWord *word = find_word(key);

    return word ? word->help : NULL;
}

const char *port_settings_type_of(const char *key)
{
    const PortWord *word = find_word(key);

    return word ? word->type : NULL;
}

bool port_settings_is_fixed(const char *key)
{
    const PortWord *word = find_word(key);

    return word && word->fixed;
}

/* -- All together ---------------------------------------------------------- */

void port_settings_init(PortSettings *s)
{
    *s = (PortSettings) {
        .type = g_strdup("vhost-user"),
        .queues = 1,
        .mtu = MTU_DEFAULT,
        .link_up = true,
        .vlan = -1,
        .all_vlans = true,
        .max_macs = MAX_MACS_DEFAULT,
        .queue_pkts = QUEUE_PKTS_DEFAULT,
        .link_mtu = RT_LINK_MTU_DEFAULT,
        .host_jitter_us = HOST_JITTER_US_DEFAULT,
        .promises = true,
        .dscp = -1,
        .pcp = -1,
        .trailer = true,
        .max_skew_us = RT_MAX_SKEW_DEFAULT_NS / 1000,
    };
}

void port_settings_clear(PortSettings *s)
{
    g_free(s->type);
    g_free(s->socket);
    g_free(s->ifname);
    g_free(s->peer);
    g_free(s->tenant);
    g_free(s->domain);
    g_free(s->service);
    g_free(s->services);
    g_strfreev(s->outs);
    g_strfreev(s->mirror);
    *s = (PortSettings) { 0 };
}

void port_settings_copy(PortSettings *to, const PortSettings *from)
{
    *to = *from;
    to->type = g_strdup(from->type);
    to->socket = g_strdup(from->socket);
    to->ifname = g_strdup(from->ifname);
    to->peer = g_strdup(from->peer);
    to->tenant = g_strdup(from->tenant);
    to->domain = g_strdup(from->domain);
    to->service = g_strdup(from->service);
    to->services = g_strdup(from->services);
    to->outs = g_strdupv(from->outs);
    to->mirror = g_strdupv(from->mirror);
}

char *port_settings_default(const char *key)
{
    const PortWord *word = find_word(key);
    PortSettings s;
    char *value;

    if (!word) {
        return NULL;
    }
    port_settings_init(&s);
    value = word->get(word, &s);
    port_settings_clear(&s);
    return value;
}

char *port_settings_get(const PortSettings *s, const char *key)
{
    const PortWord *word = find_word(key);
    g_autofree char *value = word ? word->get(word, s) : NULL;
    g_autofree char *usual = port_settings_default(key);

    return g_strcmp0(value, usual) ? g_steal_pointer(&value) : NULL;
}

bool port_settings_set(PortSettings *s, const char *key, const char *value,
                       GError **error)
{
    const PortWord *word = find_word(key);
    g_autofree char *usual = NULL;
    PortSettings to;

    if (!word) {
        g_autofree char *all = g_strjoinv(", ",
                                          (char **)port_settings_keys());

        SETTINGS_ERROR(error, "a port has no setting '%s'; it has %s", key,
                       all);
        return false;
    }
    if (!g_utf8_validate(value, -1, NULL)) {
        SETTINGS_ERROR(error, "%s= is not valid UTF-8", key);
        return false;
    }
    if (!*value) {
        usual = port_settings_default(key);
        value = usual ? usual : "";
    }
    port_settings_copy(&to, s);
    if (!word->set(word, &to, value, error)) {
        g_prefix_error(error, "%s=%s: ", key, value);
        port_settings_clear(&to);
        return false;
    }
    port_settings_clear(s);
    *s = to;
    return true;
}

bool port_settings_parse(PortSettings *s, const char *const *words_given,
                         GError **error)
{
    for (; *words_given; words_given++) {
        const char *word = *words_given, *equals = strchr(word, '=');
        g_autofree char *key = equals ? g_strndup(word, equals - word) : NULL;

        if (!equals) {
            SETTINGS_ERROR(error, "'%s' is no setting: write KEY=VALUE", word);
            return false;
        }
        if (!port_settings_set(s, key, equals + 1, error)) {
            return false;
        }
    }
    return true;
}

static bool has(const PortSettings *s, const char *key)
{
    g_autofree char *value = port_settings_get(s, key);

    return value != NULL;
}

static bool exclusive(const PortSettings *s, const char *one,
                      const char *other, GError **error)
{
    if (has(s, one) && has(s, other)) {
        SETTINGS_ERROR(error, "%s= and %s= exclude each other: leave one out",
                       one, other);
        return false;
    }
    return true;
}

static bool is_for(const PortWord *word, const char *type)
{
    g_auto(GStrv) type_of = g_strsplit(word->type ? word->type : type, ",",
                                       -1);

    return g_strv_contains((const char *const *)type_of, type);
}

static bool check_words(const PortSettings *s, GError **error)
{
    for (unsigned i = 0; i < port_words_n; i++) {
        const PortWord *word = &port_words[i];

        if (!is_for(word, s->type) && has(s, word->key)) {
            SETTINGS_ERROR(error, "%s= is for ports of type=%s, and this one "
                           "is of type=%s: leave it out", word->key,
                           word->type, s->type);
            return false;
        }
        if (word->needs && has(s, word->key) && !has(s, word->needs)) {
            SETTINGS_ERROR(error, "%s= says nothing without %s=: add that, or "
                           "leave it out", word->key, word->needs);
            return false;
        }
    }
    if (is_for(find_word("socket"), s->type) && !s->socket) {
        SETTINGS_ERROR(error, "a port of type=%s needs socket=PATH", s->type);
        return false;
    }
    if (is_for(find_word("domain"), s->type) && strcmp(s->type, "af-xdp") &&
        !s->domain) {
        SETTINGS_ERROR(error, "a port of type=%s needs domain=NAME", s->type);
        return false;
    }
    if (is_for(find_word("services"), s->type) && !s->services) {
        SETTINGS_ERROR(error, "a port of type=%s needs services=LIST", s->type);
        return false;
    }
    if (is_for(find_word("ifname"), s->type) && !s->ifname) {
        SETTINGS_ERROR(error, "a port of type=%s needs ifname=NAME", s->type);
        return false;
    }
    return true;
}

bool port_settings_check(const PortSettings *s, GError **error)
{
    return check_words(s, error) && exclusive(s, "vlan", "trunk", error) &&
           exclusive(s, "vlan", "native", error) &&
           exclusive(s, "peer", "mirror", error);
}

bool port_settings_check_named(const PortSettings *s, const char *name,
                               GError **error)
{
    if (!port_name_check(name, error)) {
        return false;
    }
    if (!g_strcmp0(s->peer, name) ||
        (s->mirror && g_strv_contains((const char **)s->mirror, name))) {
        SETTINGS_ERROR(error, "%s=%s: a port cannot be its own", s->peer ?
                       "peer" : "mirror", name);
        return false;
    }
    return port_settings_check(s, error);
}

/* -- Contracts ------------------------------------------------------------- */

const char *const *port_contract_keys(void)
{
    static const char *const keys[] = {
        "deadline-us", "period-us", "max-frame-bytes", "late", "dscp", "pcp",
        "trailer", "source-id", "max-skew-us", "link-mtu", NULL,
    };

    return keys;
}

void port_settings_copy_contract(PortSettings *to, const PortSettings *from)
{
    for (const char *const *key = port_contract_keys(); *key; key++) {
        g_autofree char *value = port_settings_get(from, *key);
        g_autoptr(GError) error = NULL;

        port_settings_set(to, *key, value ? value : "", &error);
        g_assert_no_error(error);
    }
}

/* -- Changes --------------------------------------------------------------- */

bool port_settings_may_follow(const PortSettings *from, const PortSettings *to,
                              GError **error)
{
    for (unsigned i = 0; i < port_words_n; i++) {
        g_autofree char *before = port_words[i].get(&port_words[i], from);
        g_autofree char *after = port_words[i].get(&port_words[i], to);

        if (port_words[i].fixed && g_strcmp0(before, after)) {
            SETTINGS_ERROR(error, "%s= is fixed while the port lives: remove "
                           "the port and add it again", port_words[i].key);
            return false;
        }
    }
    return true;
}
