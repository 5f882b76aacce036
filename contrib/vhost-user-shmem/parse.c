/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "parse.h"

G_DEFINE_QUARK(vus-parse-error-quark, parse_error)

#define EXPECTED(error, text, ...) \
    expected(error, text, g_strdup_printf(__VA_ARGS__))

/* Takes @what. */
static bool expected(GError **error, const char *text, char *what)
{
    if (*text) {
        g_set_error(error, PARSE_ERROR, 0, "'%s' is not %s", text, what);
    } else {
        g_set_error(error, PARSE_ERROR, 0, "nothing is given; it has to be %s",
                    what);
    }
    g_free(what);
    return false;
}

/* -- Numbers --------------------------------------------------------------- */

/* The number that @text begins with; *@end is behind it. */
static bool leading_number(const char *text, const char **end, unsigned min,
                           unsigned max, unsigned *to)
{
    uint64_t value = 0;
    const char *p = text;

    for (; g_ascii_isdigit(*p); p++) {
        value = value * 10 + (*p - '0');
        if (value > max) {
            return false;
        }
    }
    if (p == text || value < min) {
        return false;
    }
    *end = p;
    *to = value;
    return true;
}

bool parse_number(const char *text, unsigned min, unsigned max, unsigned *to,
                  GError **error)
{
    const char *end;
    unsigned value;

    if (!leading_number(text, &end, min, max, &value) || *end) {
        return EXPECTED(error, text, "a number from %u to %u", min, max);
    }
    *to = value;
    return true;
}

/* -- Rates ----------------------------------------------------------------- */

static const char rate_unit[] = "kMGT";

/* "2.5M": digits, maybe a point and digits, maybe a unit. */
static bool read_rate(const char *text, uint64_t max, uint64_t *to)
{
    const char *p = text, *unit;
    unsigned decimals = 0;
    uint64_t value = 0;
    bool point = false;

    for (; g_ascii_isdigit(*p) || (*p == '.' && !point); p++) {
        if (*p == '.') {
            point = true;
        } else if (!g_uint64_checked_mul(&value, value, 10) ||
                   !g_uint64_checked_add(&value, value, *p - '0')) {
            return false;
        } else {
            decimals += point;
        }
    }
    if (p == text || !g_ascii_isdigit(p[-1]) || *text == '.') {
        return false;
    }
    unit = *p ? strchr(rate_unit, *p) : NULL;
    if (*p && (!unit || p[1])) {
        return false;
    }
    for (int i = 3 * (unit ? unit - rate_unit + 1 : 0); i > 0; i--) {
        if (decimals > 0) {
            decimals--;
        } else if (!g_uint64_checked_mul(&value, value, 10)) {
            return false;
        }
    }
    for (; decimals > 0; decimals--, value /= 10) {
        if (value % 10) {
            return false;
        }
    }
    *to = value;
    return value <= max;
}

bool parse_rate(const char *text, uint64_t max, uint64_t *to, GError **error)
{
    g_autofree char *most = NULL;

    if (!read_rate(text, max, to)) {
        most = format_rate(max);
        return EXPECTED(error, text, "a rate from 0 to %s, like 2500000 or "
                        "2.5M", most);
    }
    return true;
}

char *format_rate(uint64_t rate)
{
    unsigned units = 0;

    while (rate > 0 && rate % 1000 == 0 && units < strlen(rate_unit)) {
        rate /= 1000;
        units++;
    }
    return g_strdup_printf("%" PRIu64 "%.1s", rate,
                           units ? &rate_unit[units - 1] : "");
}

/* -- Ranges ---------------------------------------------------------------- */

static bool parse_range(const char *text, unsigned min, unsigned max,
                        unsigned *first, unsigned *last)
{
    const char *end;

    if (!leading_number(text, &end, min, max, first)) {
        return false;
    }
    if (!*end) {
        *last = *first;
        return true;
    }
    return *end == '-' &&
           leading_number(end + 1, &end, *first, max, last) && !*end;
}

GArray *parse_ranges(const char *text, unsigned min, unsigned max,
                     GError **error)
{
    g_auto(GStrv) part = g_strsplit(text, ",", -1);
    g_autoptr(GArray) numbers = g_array_new(false, false, sizeof(unsigned));
    g_autofree uint8_t *seen = g_malloc0(max + 1);

    for (unsigned i = 0; i == 0 || part[i]; i++) {
        unsigned first, last;

        if (!part[i] || !parse_range(part[i], min, max, &first, &last)) {
            EXPECTED(error, part[i] ? part[i] : "",
                     "a number from %u to %u, or a range like %u-%u", min,
                     max, min, max);
            return NULL;
        }
        for (unsigned number = first; number <= last; number++) {
            if (seen[number]) {
                g_set_error(error, PARSE_ERROR, 0,
                            "%u is there twice; once is enough", number);
                return NULL;
            }
            seen[number] = 1;
            g_array_append_val(numbers, number);
        }
    }
    return g_steal_pointer(&numbers);
}

char *format_ranges(const unsigned *numbers, unsigned n)
{
    GString *text = g_string_new(NULL);
    unsigned last;

    for (unsigned i = 0; i < n; i = last + 1) {
        for (last = i; last + 1 < n && numbers[last + 1] == numbers[last] + 1;
             last++) {
        }
        g_string_append_printf(text, "%s%u", i ? "," : "", numbers[i]);
        if (last > i) {
            g_string_append_printf(text, "-%u", numbers[last]);
        }
    }
    return g_string_free(text, false);
}

/* -- Words ----------------------------------------------------------------- */

bool parse_word(const char *text, const char *const *words, unsigned *to,
                GError **error)
{
    g_autofree char *all = NULL;

    for (unsigned i = 0; words[i]; i++) {
        if (!strcmp(text, words[i])) {
            *to = i;
            return true;
        }
    }
    all = g_strjoinv(", ", (char **)words);
    return EXPECTED(error, text, "one of %s", all);
}

/* -- Addresses ------------------------------------------------------------- */

static bool is_mac(const char *text, size_t bytes, uint8_t mac[6])
{
    if (bytes != MAC_TEXT_BYTES - 1) {
        return false;
    }
    for (unsigned i = 0; i < 6; i++) {
        int high = g_ascii_xdigit_value(text[3 * i]);
        int low = g_ascii_xdigit_value(text[3 * i + 1]);

        if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) {
            return false;
        }
        mac[i] = high << 4 | low;
    }
    return true;
}

static bool parse_mac_bytes(const char *text, size_t bytes, uint8_t to[6],
                            GError **error)
{
    static const uint8_t zero[6];
    uint8_t mac[6];

    if (!is_mac(text, bytes, mac)) {
        return EXPECTED(error, text, "an address like 52:54:00:12:34:56");
    }
    if (mac[0] & 1) {
        return EXPECTED(error, text, "the address of one interface: the first "
                        "byte is odd, so it stands for a group");
    }
    if (!memcmp(mac, zero, 6)) {
        return EXPECTED(error, text, "an address that an interface can have");
    }
    memcpy(to, mac, 6);
    return true;
}

bool parse_mac(const char *text, uint8_t mac[6], GError **error)
{
    return parse_mac_bytes(text, strlen(text), mac, error);
}

void format_mac(const uint8_t mac[6], char to[MAC_TEXT_BYTES])
{
    g_snprintf(to, MAC_TEXT_BYTES, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0],
               mac[1], mac[2], mac[3], mac[4], mac[5]);
}

bool parse_mac_vlan(const char *text, uint8_t mac[6], uint16_t *vlan,
                    GError **error)
{
    const char *slash = strchr(text, '/');
    unsigned id = 0;

    if (slash && !parse_number(slash + 1, 1, VLAN_LAST, &id, error)) {
        g_prefix_error(error, "the VLAN behind the '/': ");
        return false;
    }
    if (!parse_mac_bytes(text, slash ? (size_t)(slash - text) : strlen(text),
                         mac, error)) {
        return false;
    }
    *vlan = id;
    return true;
}

char *format_mac_vlan(const uint8_t mac[6], uint16_t vlan)
{
    char text[MAC_TEXT_BYTES];

    format_mac(mac, text);
    return vlan ? g_strdup_printf("%s/%u", text, vlan) : g_strdup(text);
}

/* -- Bytes ----------------------------------------------------------------- */

GBytes *parse_hex(const char *text, GError **error)
{
    size_t bytes = strlen(text) / 2;
    g_autofree uint8_t *data = g_malloc(bytes);

    if (strlen(text) % 2) {
        g_set_error(error, PARSE_ERROR, 0, "an odd number of digits: each "
                    "byte has two");
        return NULL;
    }
    for (size_t i = 0; i < bytes; i++) {
        int high = g_ascii_xdigit_value(text[2 * i]);
        int low = g_ascii_xdigit_value(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            g_set_error(error, PARSE_ERROR, 0, "byte %zu is not two "
                        "hexadecimal digits", i + 1);
            return NULL;
        }
        data[i] = high << 4 | low;
    }
    return g_bytes_new_take(g_steal_pointer(&data), bytes);
}

char *format_hex(const uint8_t *data, size_t bytes)
{
    static const char digit[] = "0123456789abcdef";
    char *text = g_malloc(2 * bytes + 1);

    for (size_t i = 0; i < bytes; i++) {
        text[2 * i] = digit[data[i] >> 4];
        text[2 * i + 1] = digit[data[i] & 15];
    }
    text[2 * bytes] = '\0';
    return text;
}
