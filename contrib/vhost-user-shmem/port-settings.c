/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "parse.h"
#include "port-settings.h"

#define QUEUES_MAX 16
#define IFNAME_MAX 15               /* IFNAMSIZ counts the end, too */
#define STORM_PPS_MAX 1000000000
#define MACS_MAX 1000000

/* Least MTU of IPv4 (RFC 791); most that virtio can say. */
#define MTU_MIN 68
#define MTU_MAX 65535
/* What physical switches call jumbo frames: more than that would not pass an
 * uplink, so it takes an explicit word. */
#define MTU_DEFAULT 9216
#define MAX_MACS_DEFAULT 1024

G_DEFINE_QUARK(port-settings-error-quark, port_settings_error)

#define SETTINGS_ERROR(error, ...) \
    g_set_error(error, PORT_SETTINGS_ERROR, 0, __VA_ARGS__)

static const char *const types[] = { "vhost-user", "tap", "dummy", NULL };
static const char *const on_off[] = { "off", "on", NULL };
static const char *const up_down[] = { "down", "up", NULL };

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

/* The parts of a list with commas; NULL with @error set. */
static char **split(const char *list, unsigned max, GError **error)
{
    g_auto(GStrv) part = g_strsplit(list, ",", -1);
    unsigned n = g_strv_length(part);

    if (n > max) {
        SETTINGS_ERROR(error, "%u are too many: there can be %u", n, max);
        return NULL;
    }
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (!g_ascii_strcasecmp(part[i], part[k])) {
                SETTINGS_ERROR(error, "'%s' is there twice: once is enough",
                               part[i]);
                return NULL;
            }
        }
    }
    return g_steal_pointer(&part);
}

/* -- Kinds of words -------------------------------------------------------- */

typedef struct Word Word;

struct Word {
    const char *key;
    const char *type;               /* of ports that have it; NULL: all */
    bool fixed;                     /* when the port is made */
    /* May leave @s half changed when it fails: it is a copy.  "" comes only
     * if the default is none, and stands for it. */
    bool (*set)(const Word *word, PortSettings *s, const char *value,
                GError **error);
    char *(*get)(const Word *word, const PortSettings *s);  /* NULL: none */
    size_t at;                      /* in PortSettings */
    unsigned min, max;              /* numbers */
    const char *const *values;      /* one of these; bool: the one for false
                                     * comes first */
    bool (*check)(const char *value, GError **error);       /* texts */
    const char *help;
};

#define AT(type, word, s) ((type *)((char *)(s) + (word)->at))

static bool set_number(const Word *word, PortSettings *s, const char *value,
                       GError **error)
{
    return parse_number(value, word->min, word->max, AT(unsigned, word, s),
                        error);
}

static char *get_number(const Word *word, const PortSettings *s)
{
    return g_strdup_printf("%u", *AT(unsigned, word, s));
}

static bool set_bool(const Word *word, PortSettings *s, const char *value,
                     GError **error)
{
    unsigned is;

    if (!parse_word(value, word->values, &is, error)) {
        return false;
    }
    *AT(bool, word, s) = is;
    return true;
}

static char *get_bool(const Word *word, const PortSettings *s)
{
    return g_strdup(word->values[*AT(bool, word, s)]);
}

static bool set_text(const Word *word, PortSettings *s, const char *value,
                     GError **error)
{
    char **to = AT(char *, word, s);

    if (*value && !word->check(value, error)) {
        return false;
    }
    g_free(*to);
    *to = *value ? g_strdup(value) : NULL;
    return true;
}

static char *get_text(const Word *word, const PortSettings *s)
{
    return g_strdup(*AT(char *, word, s));
}

static bool check_type(const char *value, GError **error)
{
    unsigned type;

    return parse_word(value, types, &type, error);
}

static bool check_socket(const char *value, GError **error)
{
    const size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (strlen(value) > max) {
        SETTINGS_ERROR(error, "the path has %zu bytes, and a socket's can have "
                       "%zu: choose a shorter one", strlen(value), max);
        return false;
    }
    return true;
}

static bool check_ifname(const char *value, GError **error)
{
    if (strlen(value) > IFNAME_MAX || strpbrk(value, "/: \t\n%") ||
        !strcmp(value, ".") || !strcmp(value, "..")) {
        SETTINGS_ERROR(error, "an interface's name has at most %d bytes, and "
                       "neither '/', ':', '%%' nor blanks", IFNAME_MAX);
        return false;
    }
    return true;
}

/* -- VLANs ----------------------------------------------------------------- */

static bool set_vlan(const Word *word, PortSettings *s, const char *value,
                     GError **error)
{
    unsigned vlan;

    if (!*value) {
        s->vlan = -1;
        return true;
    }
    if (!parse_number(value, 1, VLAN_LAST, &vlan, error)) {
        return false;
    }
    s->vlan = vlan;
    return true;
}

static char *get_vlan(const Word *word, const PortSettings *s)
{
    return s->vlan < 0 ? NULL : g_strdup_printf("%d", s->vlan);
}

static bool set_trunk(const Word *word, PortSettings *s, const char *value,
                      GError **error)
{
    g_autoptr(GArray) vlans = NULL;

    s->all_vlans = !strcmp(value, "all");
    memset(s->trunk, 0, sizeof(s->trunk));
    if (s->all_vlans) {
        return true;
    }
    vlans = parse_ranges(value, 0, VLAN_LAST, error);
    if (!vlans) {
        g_prefix_error(error, "'all', or VLANs like 10,20-29, where 0 stands "
                       "for untagged frames: ");
        return false;
    }
    for (unsigned i = 0; i < vlans->len; i++) {
        unsigned vlan = g_array_index(vlans, unsigned, i);

        s->trunk[vlan / 8] |= 1 << vlan % 8;
    }
    return true;
}

static char *get_trunk(const Word *word, const PortSettings *s)
{
    unsigned vlan[VLAN_IDS], n = 0;

    if (s->all_vlans) {
        return g_strdup("all");
    }
    for (unsigned i = 0; i < VLAN_IDS; i++) {
        if (port_settings_in_trunk(s, i)) {
            vlan[n++] = i;
        }
    }
    return format_ranges(vlan, n);
}

/* -- Addresses ------------------------------------------------------------- */

static bool set_mac(const Word *word, PortSettings *s, const char *value,
                    GError **error)
{
    g_auto(GStrv) part = split(value, PORT_MACS_MAX, error);

    for (s->macs = 0; part && part[s->macs]; s->macs++) {
        if (!parse_mac(part[s->macs], s->mac[s->macs], error)) {
            return false;
        }
    }
    return part != NULL;
}

static char *get_mac(const Word *word, const PortSettings *s)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < s->macs; i++) {
        char mac[MAC_TEXT_BYTES];

        format_mac(s->mac[i], mac);
        g_string_append_printf(text, "%s%s", i ? "," : "", mac);
    }
    return g_string_free(text, s->macs == 0);
}

/* Of one host: neither a group nor "any". */
static bool parse_ip(const char *text, PortIp *ip)
{
    PortIp to = { 0 };

    if (inet_pton(AF_INET, text, to.addr) == 1) {
        /* 0.0.0.0/8, 224.0.0.0/4 and above */
        if (to.addr[0] == 0 || to.addr[0] >= 224) {
            return false;
        }
    } else if (inet_pton(AF_INET6, text, to.addr) == 1) {
        struct in6_addr addr;

        memcpy(&addr, to.addr, sizeof(addr));
        if (IN6_IS_ADDR_UNSPECIFIED(&addr) || IN6_IS_ADDR_MULTICAST(&addr)) {
            return false;
        }
        to.is_v6 = true;
    } else {
        return false;
    }
    *ip = to;
    return true;
}

static bool set_ip(const Word *word, PortSettings *s, const char *value,
                   GError **error)
{
    g_auto(GStrv) part = split(value, PORT_IPS_MAX, error);

    for (s->ips = 0; part && part[s->ips]; s->ips++) {
        if (!parse_ip(part[s->ips], &s->ip[s->ips])) {
            SETTINGS_ERROR(error, "'%s' is not the address of a host, like "
                           "10.0.0.1 or 2001:db8::1", part[s->ips]);
            return false;
        }
    }
    return part != NULL;
}

static char *get_ip(const Word *word, const PortSettings *s)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < s->ips; i++) {
        char addr[INET6_ADDRSTRLEN];

        inet_ntop(s->ip[i].is_v6 ? AF_INET6 : AF_INET, s->ip[i].addr, addr,
                  sizeof(addr));
        g_string_append_printf(text, "%s%s", i ? "," : "", addr);
    }
    return g_string_free(text, s->ips == 0);
}

/* -- Other ports ----------------------------------------------------------- */

static bool set_mirror(const Word *word, PortSettings *s, const char *value,
                       GError **error)
{
    g_auto(GStrv) names = split(value, PORT_MIRRORED_MAX, error);

    for (unsigned i = 0; names && names[i]; i++) {
        if (!port_name_check(names[i], error)) {
            return false;
        }
    }
    if (!names) {
        return false;
    }
    g_strfreev(s->mirror);
    s->mirror = *names ? g_steal_pointer(&names) : NULL;
    return true;
}

static char *get_mirror(const Word *word, const PortSettings *s)
{
    return s->mirror ? g_strjoinv(",", s->mirror) : NULL;
}

/* -- The table ------------------------------------------------------------- */

#define NUMBER(field, least, most) \
    .set = set_number, .get = get_number, .min = (least), .max = (most), \
    .at = offsetof(PortSettings, field)
#define BOOL(field, words) \
    .set = set_bool, .get = get_bool, .values = (words), \
    .at = offsetof(PortSettings, field)
#define TEXT(field, may_be) \
    .set = set_text, .get = get_text, .check = (may_be), \
    .at = offsetof(PortSettings, field)
#define VHOST_USER .type = "vhost-user"
#define FIXED .fixed = true

static const Word words[] = {
    { "type", FIXED, TEXT(type, check_type),
      .help = "what the port is attached to: vhost-user, tap or dummy" },
    { "socket", VHOST_USER, FIXED, TEXT(socket, check_socket),
      .help = "path of the socket where the front end is met" },
    { "client", VHOST_USER, FIXED, BOOL(client, on_off),
      .help = "on: connect to the socket; off: listen there" },
    { "queues", VHOST_USER, FIXED, NUMBER(queues, 1, QUEUES_MAX),
      .help = "pairs of rings that are offered, 1 to "
              G_STRINGIFY(QUEUES_MAX) },
    { "mtu", VHOST_USER, FIXED, NUMBER(mtu, MTU_MIN, MTU_MAX),
      .help = "largest MTU that the front end may choose, "
              G_STRINGIFY(MTU_MIN) " to " G_STRINGIFY(MTU_MAX) },
    { "ifname", .type = "tap", FIXED, TEXT(ifname, check_ifname),
      .help = "name of the host's interface" },
    { "link", BOOL(link_up, up_down),
      .help = "up, or down as if the cable were out" },
    { "vlan", .set = set_vlan, .get = get_vlan,
      .help = "access port: member of this VLAN only, untagged" },
    { "trunk", .set = set_trunk, .get = get_trunk,
      .help = "tagged VLANs like 10,20-29 (0: untagged frames), or all" },
    { "native", NUMBER(native, 0, VLAN_LAST),
      .help = "VLAN that untagged frames of a trunk belong to; 0: none" },
    { "mac", .set = set_mac, .get = get_mac,
      .help = "only these source addresses, with commas; none: any" },
    { "ip", .set = set_ip, .get = get_ip,
      .help = "only these IPv4 and IPv6 source addresses; none: any" },
    { "peer", TEXT(peer, port_name_check),
      .help = "all that comes goes to this port, whatever its address" },
    { "mirror", .set = set_mirror, .get = get_mirror,
      .help = "show what these ports send and are sent, and nothing else" },
    { "storm-pps", NUMBER(storm_pps, 0, STORM_PPS_MAX),
      .help = "most frames per second that are flooded; 0: no limit" },
    { "max-macs", NUMBER(max_macs, 0, MACS_MAX),
      .help = "most addresses that are learned here" },
};

static const Word *find_word(const char *key)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(key, words[i].key)) {
            return &words[i];
        }
    }
    return NULL;
}

const char *const *port_settings_keys(void)
{
    static const char *keys[G_N_ELEMENTS(words) + 1];

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        keys[i] = words[i].key;
    }
    return keys;
}

const char *port_settings_help(const char *key)
{
    const Word *word = find_word(key);

    return word ? word->help : NULL;
}

const char *port_settings_type_of(const char *key)
{
    const Word *word = find_word(key);

    return word ? word->type : NULL;
}

bool port_settings_is_fixed(const char *key)
{
    const Word *word = find_word(key);

    return word && word->fixed;
}

/* -- All together ---------------------------------------------------------- */

void port_settings_init(PortSettings *s)
{
    *s = (PortSettings) {
        .type = g_strdup(types[0]),
        .queues = 1,
        .mtu = MTU_DEFAULT,
        .link_up = true,
        .vlan = -1,
        .all_vlans = true,
        .max_macs = MAX_MACS_DEFAULT,
    };
}

void port_settings_clear(PortSettings *s)
{
    g_free(s->type);
    g_free(s->socket);
    g_free(s->ifname);
    g_free(s->peer);
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
    to->mirror = g_strdupv(from->mirror);
}

char *port_settings_default(const char *key)
{
    const Word *word = find_word(key);
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
    const Word *word = find_word(key);
    g_autofree char *value = word ? word->get(word, s) : NULL;
    g_autofree char *usual = port_settings_default(key);

    return g_strcmp0(value, usual) ? g_steal_pointer(&value) : NULL;
}

bool port_settings_set(PortSettings *s, const char *key, const char *value,
                       GError **error)
{
    const Word *word = find_word(key);
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

static bool check_words(const PortSettings *s, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        const Word *word = &words[i];

        if (word->type && strcmp(word->type, s->type) && has(s, word->key)) {
            SETTINGS_ERROR(error, "%s= is for ports of type=%s, and this one "
                           "is of type=%s: leave it out", word->key,
                           word->type, s->type);
            return false;
        }
    }
    if (!strcmp(s->type, "vhost-user") && !s->socket) {
        SETTINGS_ERROR(error, "a port of type=vhost-user needs socket=PATH");
        return false;
    }
    if (!strcmp(s->type, "tap") && !s->ifname) {
        SETTINGS_ERROR(error, "a port of type=tap needs ifname=NAME");
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

bool port_settings_may_follow(const PortSettings *from, const PortSettings *to,
                              GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *before = words[i].get(&words[i], from);
        g_autofree char *after = words[i].get(&words[i], to);

        if (words[i].fixed && g_strcmp0(before, after)) {
            SETTINGS_ERROR(error, "%s= is fixed while the port lives: remove "
                           "the port and add it again", words[i].key);
            return false;
        }
    }
    return true;
}
