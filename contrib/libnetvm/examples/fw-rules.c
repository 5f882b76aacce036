/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fw-rules.h"

#define SAY(error, ...) snprintf(error, WORDS_ERROR_BYTES, __VA_ARGS__)

/* -- Match ----------------------------------------------------------------- */

static bool is_in(const uint16_t range[2], uint16_t port)
{
    return port >= range[0] && port <= range[1];
}

static bool matches(const struct fw_rule *r, const struct headers *h)
{
    if (r->vlan != HEADERS_NO_VLAN && r->vlan != h->vlan) {
        return false;
    }
    if (r->protocol == FW_ARP) {
        return h->ether_type == ETHER_ARP;
    }
    if (r->protocol >= 0 && (!h->family || r->protocol != h->protocol)) {
        return false;
    }
    if (r->from.family && (r->from.family != h->family ||
                           !prefix_has(&r->from, h->source))) {
        return false;
    }
    if (r->to.family && (r->to.family != h->family ||
                         !prefix_has(&r->to, h->dest))) {
        return false;
    }
    if ((r->has_sport || r->has_dport) && !h->has_ports) {
        return false;
    }
    return (!r->has_sport || is_in(r->sport, h->source_port)) &&
           (!r->has_dport || is_in(r->dport, h->dest_port));
}

enum fw_verdict fw_rules_decide(struct fw_rules *rs, const struct headers *h,
                                unsigned length)
{
    for (unsigned i = 0; i < rs->n; i++) {
        struct fw_rule *r = &rs->rule[i];

        if (matches(r, h)) {
            r->pkts++;
            r->bytes += length;
            if (r->verdict != FW_COUNT) {
                return r->verdict;
            }
        }
    }
    rs->default_pkts++;
    rs->default_bytes += length;
    return rs->otherwise;
}

/* -- Words ----------------------------------------------------------------- */

static bool read_protocol(const char *text, int *protocol)
{
    static const struct {
        const char *name;
        int number;
    } known[] = {
        { "tcp", IP_TCP }, { "udp", IP_UDP }, { "icmp", IP_ICMP },
        { "icmp6", IP_ICMP6 }, { "arp", FW_ARP },
    };
    uint64_t number;

    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(text, known[i].name) == 0) {
            *protocol = known[i].number;
            return true;
        }
    }
    if (!words_number(text, 255, &number)) {
        return false;
    }
    *protocol = number;
    return true;
}

static bool read_ports(char *text, uint16_t ports[2])
{
    char *dash = strchr(text, '-');
    uint64_t first, last;
    bool good;

    if (dash) {
        *dash = '\0';
    }
    good = words_number(text, UINT16_MAX, &first) &&
           words_number(dash ? dash + 1 : text, UINT16_MAX, &last) &&
           first <= last;
    if (dash) {
        *dash = '-';
    }
    if (good) {
        ports[0] = first;
        ports[1] = last;
    }
    return good;
}

/* A word and what follows it; each once. */
static bool read_pair(struct fw_rule *r, const char *key, char *value,
                      char error[WORDS_ERROR_BYTES])
{
    uint64_t number;
    const char *what = NULL;
    bool again = false;

    if (!value) {
        SAY(error, "\"%.60s\" is the last word: something has to follow", key);
        return false;
    }
    if (strcmp(key, "proto") == 0) {
        again = r->protocol >= 0;
        if (!read_protocol(value, &r->protocol)) {
            what = "tcp, udp, icmp, icmp6, arp or a number up to 255";
        }
    } else if (strcmp(key, "from") == 0 || strcmp(key, "to") == 0) {
        struct prefix *p = *key == 'f' ? &r->from : &r->to;

        again = p->family;
        if (!words_prefix(value, p)) {
            what = "an address, or a prefix like 192.0.2.0/24 or "
                   "2001:db8::/32 with no bits behind its length";
        }
    } else if (strcmp(key, "sport") == 0) {
        again = r->has_sport;
        r->has_sport = true;
        if (!read_ports(value, r->sport)) {
            what = "a port, or two like 1024-65535";
        }
    } else if (strcmp(key, "dport") == 0) {
        again = r->has_dport;
        r->has_dport = true;
        if (!read_ports(value, r->dport)) {
            what = "a port, or two like 1024-65535";
        }
    } else if (strcmp(key, "vlan") == 0) {
        again = r->vlan != HEADERS_NO_VLAN;
        if (words_number(value, 4094, &number)) {
            r->vlan = number;
        } else {
            what = "a number up to 4094";
        }
    } else {
        SAY(error, "\"%.60s\": say proto, from, to, sport, dport or vlan", key);
        return false;
    }
    if (again) {
        SAY(error, "\"%.60s\" stands twice: remove one", key);
    } else if (what) {
        SAY(error, "%.60s %.60s: say %s", key, value, what);
    }
    return !again && !what;
}

/* -- Lines ----------------------------------------------------------------- */

/* Words that no packet can match together. */
static bool check(const struct fw_rule *r, char error[WORDS_ERROR_BYTES])
{
    bool has_ports = r->has_sport || r->has_dport;

    if (has_ports && r->protocol != IP_TCP && r->protocol != IP_UDP &&
        r->protocol >= 0) {
        SAY(error, "only tcp and udp have ports: remove them, or proto");
        return false;
    }
    if (r->from.family && r->to.family && r->from.family != r->to.family) {
        SAY(error, "from and to: both have to be IPv4 or both IPv6");
        return false;
    }
    if (r->protocol == FW_ARP && (r->from.family || r->to.family)) {
        SAY(error, "proto arp goes with vlan only: remove from and to");
        return false;
    }
    return true;
}

static bool read_default(struct fw_rules *rs, char **word, unsigned words,
                         char error[WORDS_ERROR_BYTES])
{
    if (words != 2 || (strcmp(word[1], "allow") != 0 &&
                       strcmp(word[1], "deny") != 0)) {
        SAY(error, "say default allow, or default deny");
        return false;
    }
    if (rs->has_default) {
        SAY(error, "there is a default already: remove one");
        return false;
    }
    rs->has_default = true;
    rs->otherwise = word[1][0] == 'a' ? FW_ALLOW : FW_DENY;
    return true;
}

static char *join(char **word, unsigned words)
{
    size_t bytes = 0;
    char *text, *end;

    for (unsigned i = 0; i < words; i++) {
        bytes += strlen(word[i]) + 1;
    }
    text = end = malloc(bytes);
    for (unsigned i = 0; i < words && text; i++) {
        end = stpcpy(end, word[i]);
        *end++ = ' ';
    }
    if (text) {
        end[-1] = '\0';
    }
    return text;
}

static bool grow(struct fw_rules *rs)
{
    unsigned max = rs->max ? rs->max * 2 : 16;
    struct fw_rule *rule;

    if (rs->n < rs->max) {
        return true;
    }
    rule = realloc(rs->rule, max * sizeof(*rule));
    if (!rule) {
        return false;
    }
    rs->rule = rule;
    rs->max = max;
    return true;
}

static bool read_line(void *opaque, char **word, unsigned words,
                      char error[WORDS_ERROR_BYTES])
{
    static const char *const verdicts[] = {
        [FW_DENY] = "deny", [FW_ALLOW] = "allow", [FW_COUNT] = "count",
    };
    struct fw_rules *rs = opaque;
    struct fw_rule r = { .protocol = -1, .vlan = HEADERS_NO_VLAN };
    unsigned v = FW_DENY;

    if (strcmp(word[0], "default") == 0) {
        return read_default(rs, word, words, error);
    }
    while (v <= FW_COUNT && strcmp(word[0], verdicts[v]) != 0) {
        v++;
    }
    if (v > FW_COUNT) {
        SAY(error, "\"%.60s\": a line begins with allow, deny, count or "
            "default", word[0]);
        return false;
    }
    r.verdict = v;
    for (unsigned i = 1; i < words; i += 2) {
        if (!read_pair(&r, word[i], word[i + 1], error)) {
            return false;
        }
    }
    if (!check(&r, error)) {
        return false;
    }
    r.text = join(word, words);
    if (!r.text || !grow(rs)) {
        free(r.text);
        SAY(error, "out of memory");
        return false;
    }
    rs->rule[rs->n++] = r;
    return true;
}

/* -- Files ----------------------------------------------------------------- */

struct fw_rules *fw_rules_read(const char *path,
                               char error[WORDS_ERROR_BYTES])
{
    struct fw_rules *rs = calloc(1, sizeof(*rs));

    if (!rs) {
        SAY(error, "out of memory");
        return NULL;
    }
    if (!words_file(path, read_line, rs, error)) {
        fw_rules_free(rs);
        return NULL;
    }
    return rs;
}

void fw_rules_free(struct fw_rules *rs)
{
    if (rs) {
        for (unsigned i = 0; i < rs->n; i++) {
            free(rs->rule[i].text);
        }
        free(rs->rule);
        free(rs);
    }
}

void fw_rules_print(const struct fw_rules *rs, FILE *to)
{
    for (unsigned i = 0; i < rs->n; i++) {
        const struct fw_rule *r = &rs->rule[i];

        fprintf(to, "rule=%u pkts=%" PRIu64 " bytes=%" PRIu64 " %s\n", i + 1,
                r->pkts, r->bytes, r->text);
    }
    fprintf(to, "rule=default pkts=%" PRIu64 " bytes=%" PRIu64 " default %s\n",
            rs->default_pkts, rs->default_bytes,
            rs->otherwise == FW_ALLOW ? "allow" : "deny");
}
