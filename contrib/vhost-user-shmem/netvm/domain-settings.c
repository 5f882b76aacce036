/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "../parse.h"
#include "../port-settings.h"
#include "domain-settings.h"
#include "rtnet/netvm-abi.h"

#define SETTINGS_ERROR(error, ...) \
    g_set_error(error, PORT_SETTINGS_ERROR, 0, __VA_ARGS__)

static const char *const off_on[] = { "off", "on", NULL };
/* In the order of enum netvm_balance. */
static const char *const balances[] = { "flow", "depth", NULL };
/* In the order of DomainPages. */
static const char *const pages[] = { "auto", "huge", "ordinary", NULL };

typedef struct Word {
    const char *key;
    size_t at;                      /* in DomainSettings */
    unsigned min, max;              /* of a number */
    const char *const *values;      /* NULL: it is a number */
    bool is_bool;
    bool power_of_two;
    bool fixed;
    const char *help;
} Word;

#define AT(field) offsetof(DomainSettings, field)

static const Word words[] = {
    { "buffers", AT(buffers), .min = 64, .max = 1 << 26,
      .help = "packets that its memory holds at least; more may be added" },
    { "buffer-bytes", AT(buffer_bytes), .min = 1024, .max = 65536,
      .power_of_two = true, .fixed = true,
      .help = "of one, 128 in front of the packet included; a power of two" },
    { "ring", AT(ring_descs), .min = 64, .max = 32768, .power_of_two = true,
      .fixed = true,
      .help = "packets that wait at most on each way between two members; a "
              "power of two" },
    { "members", AT(members), .min = 1, .max = NETVM_MEMBERS_MAX,
      .fixed = true,
      .help = "virtual machines, at most" },
    { "direct", AT(direct), .values = off_on, .is_bool = true, .fixed = true,
      .help = "on: they may send to each other without the daemon" },
    { "balance", AT(balance), .values = balances, .fixed = true,
      .help = "packets for a service that several have: flow (each flow to one "
              "of them) or depth (to the one that has least to do)" },
    { "pages", AT(pages), .values = pages, .fixed = true,
      .help = "huge, ordinary, or auto: huge if there are enough" },
    { "node", AT(node), .min = 0, .max = DOMAIN_NODES - 1,
      .help = "NUMA node of its memory, or of what is added to it; none: any" },
};

void domain_settings_init(DomainSettings *s)
{
    *s = (DomainSettings) {
        .buffers = 8192,
        .buffer_bytes = 2048,
        .ring_descs = 1024,
        .members = 16,
        .direct = true,
        .node = DOMAIN_NODE_ANY,
    };
}

static const Word *find_word(const char *key)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(key, words[i].key)) {
            return &words[i];
        }
    }
    return NULL;
}

const char *const *domain_settings_keys(void)
{
    static const char *keys[G_N_ELEMENTS(words) + 1];

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        keys[i] = words[i].key;
    }
    return keys;
}

const char *domain_settings_help(const char *key)
{
    const Word *word = find_word(key);

    return word ? word->help : NULL;
}

static unsigned get(const DomainSettings *s, const Word *word)
{
    const char *at = (const char *)s + word->at;

    return word->is_bool ? *(const bool *)at : *(const unsigned *)at;
}

static void put(DomainSettings *s, const Word *word, unsigned value)
{
    char *at = (char *)s + word->at;

    if (word->is_bool) {
        *(bool *)at = value;
    } else {
        *(unsigned *)at = value;
    }
}

static bool parse(const Word *word, const char *value, unsigned *to,
                  GError **error)
{
    if (word->values) {
        return parse_word(value, word->values, to, error);
    }
    if (!parse_number(value, word->min, word->max, to, error)) {
        return false;
    }
    if (word->power_of_two && (*to & (*to - 1))) {
        SETTINGS_ERROR(error, "it has to be a power of two, like %u",
                       1u << g_bit_storage(*to - 1));
        return false;
    }
    return true;
}

bool domain_settings_set(DomainSettings *s, const char *key,
                         const char *value, GError **error)
{
    const Word *word = find_word(key);
    DomainSettings usual;
    unsigned number;

    if (!word) {
        g_autofree char *all = g_strjoinv(", ",
                                          (char **)domain_settings_keys());

        SETTINGS_ERROR(error, "a domain has no setting '%s'; it has %s", key,
                       all);
        return false;
    }
    domain_settings_init(&usual);
    number = get(&usual, word);
    if (*value && !parse(word, value, &number, error)) {
        g_prefix_error(error, "%s=%s: ", key, value);
        return false;
    }
    put(s, word, number);
    return true;
}

char *domain_settings_get(const DomainSettings *s, const char *key)
{
    const Word *word = find_word(key);
    DomainSettings usual;

    domain_settings_init(&usual);
    if (!word || get(s, word) == get(&usual, word)) {
        return NULL;
    }
    return word->values ? g_strdup(word->values[get(s, word)])
                        : g_strdup_printf("%u", get(s, word));
}

bool domain_settings_may_follow(const DomainSettings *from,
                                const DomainSettings *to, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (words[i].fixed && get(from, &words[i]) != get(to, &words[i])) {
            SETTINGS_ERROR(error, "%s= is fixed while the domain lives: remove "
                           "its ports and the domain, and add them again",
                           words[i].key);
            return false;
        }
    }
    if (to->buffers < from->buffers) {
        SETTINGS_ERROR(error, "buffers=%u: memory that members have cannot be "
                       "taken back; there are %u", to->buffers, from->buffers);
        return false;
    }
    return true;
}
