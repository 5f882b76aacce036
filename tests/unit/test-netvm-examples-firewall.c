/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules of netvm-firewall: what each word matches, against a second matcher
 * that knows the words only; order, counters, and what is said of lines that
 * are wrong.
 *
 * Threads: single.
 */
#include <arpa/inet.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "fw-rules.h"

#define RULE_SETS 300
#define PACKETS 200

static struct fw_rules *read_text(const char *text, char **error)
{
    char said[WORDS_ERROR_BYTES] = "";
    g_autofree char *path = NULL;
    struct fw_rules *rs;
    int fd = g_file_open_tmp("netvm-rules-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    rs = fw_rules_read(path, said);
    g_unlink(path);
    g_assert_true(!rs == !!said[0]);
    if (!rs) {
        g_assert_true(g_str_has_prefix(said, path));
        *error = g_strdup(said + strlen(path));
    }
    return rs;
}

/* -- Single words ---------------------------------------------------------- */

static struct headers udp(void)
{
    return (struct headers) {
        .ether_type = ETHER_IPV4, .vlan = HEADERS_NO_VLAN, .family = 4,
        .protocol = IP_UDP, .has_ports = true, .source_port = 1000,
        .dest_port = 53, .source = { 192, 0, 2, 1 },
        .dest = { 198, 51, 100, 1 },
    };
}

static void expect(const char *rule, const struct headers *h, bool matches)
{
    struct fw_rules *rs = read_text(rule, NULL);

    g_assert_nonnull(rs);
    g_test_message("%s", rule);
    g_assert_cmpint(fw_rules_decide(rs, h, 100), ==,
                    matches ? FW_ALLOW : FW_DENY);
    g_assert_cmpuint(rs->rule[0].pkts, ==, matches);
    g_assert_cmpuint(rs->rule[0].bytes, ==, matches * 100);
    g_assert_cmpuint(rs->default_pkts, ==, !matches);
    fw_rules_free(rs);
}

static void test_words(void)
{
    struct headers h = udp();

    expect("allow", &h, true);
    expect("allow proto udp", &h, true);
    expect("allow proto 17", &h, true);
    expect("allow proto tcp", &h, false);
    expect("allow proto arp", &h, false);
    expect("allow from 192.0.2.0/24", &h, true);
    expect("allow from 192.0.2.1", &h, true);
    expect("allow from 192.0.2.2", &h, false);
    expect("allow from 0.0.0.0/0", &h, true);
    expect("allow from ::/0", &h, false);
    expect("allow from 192.0.2.0/31", &h, true);
    expect("allow from 192.0.2.2/31", &h, false);
    expect("allow to 198.51.100.0/25", &h, true);
    expect("allow to 192.0.2.0/24", &h, false);
    expect("allow sport 1000", &h, true);
    expect("allow sport 999", &h, false);
    expect("allow sport 0-65535", &h, true);
    expect("allow dport 53-53", &h, true);
    expect("allow dport 54-60", &h, false);
    expect("allow dport 40-52", &h, false);
    expect("allow proto udp sport 1-1000 dport 53-99 from 193.0.0.0/8 "
           "to 198.51.100.1", &h, false);
    expect("allow proto udp sport 1-1000 dport 53-99 from 192.0.0.0/16 "
           "to 198.51.100.1", &h, true);
    expect("allow vlan 0", &h, false);
    h.vlan = 10;
    expect("allow vlan 10", &h, true);
    expect("allow vlan 11", &h, false);
    expect("allow proto udp", &h, true);
}

static void test_fragments(void)
{
    struct headers h = udp();

    h.has_ports = false;
    h.is_fragment = true;
    expect("allow dport 53", &h, false);
    expect("allow proto udp dport 0-65535", &h, false);
    expect("allow proto udp", &h, true);
    expect("allow from 192.0.2.1", &h, true);
}

static void test_not_ip(void)
{
    struct headers h = { .ether_type = ETHER_ARP, .vlan = 3 };

    expect("allow proto arp", &h, true);
    expect("allow proto arp vlan 3", &h, true);
    expect("allow proto arp vlan 4", &h, false);
    expect("allow", &h, true);
    expect("allow proto 0", &h, false);
    expect("allow from 0.0.0.0/0", &h, false);
    h.ether_type = 0x88cc;
    expect("allow proto arp", &h, false);
    expect("allow vlan 3", &h, true);
}

static void test_order(void)
{
    struct fw_rules *rs = read_text(
        "count from 192.0.2.0/24\n"
        "count proto tcp\n"
        "deny dport 53\n"
        "allow\n"
        "default deny\n", NULL);
    struct headers h = udp();

    g_assert_cmpint(fw_rules_decide(rs, &h, 60), ==, FW_DENY);
    h.dest_port = 80;
    g_assert_cmpint(fw_rules_decide(rs, &h, 70), ==, FW_ALLOW);
    g_assert_cmpuint(rs->rule[0].pkts, ==, 2);
    g_assert_cmpuint(rs->rule[0].bytes, ==, 130);
    g_assert_cmpuint(rs->rule[1].pkts, ==, 0);
    g_assert_cmpuint(rs->rule[2].pkts, ==, 1);
    g_assert_cmpuint(rs->rule[3].pkts, ==, 1);
    g_assert_cmpuint(rs->default_pkts, ==, 0);
    fw_rules_free(rs);
}

static void test_default(void)
{
    static const struct {
        const char *text;
        enum fw_verdict verdict;
    } cases[] = {
        { "", FW_DENY }, { "default allow", FW_ALLOW },
        { "default deny", FW_DENY }, { "count", FW_DENY },
        { "default allow\ndeny proto tcp", FW_ALLOW },
    };
    struct headers h = udp();

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct fw_rules *rs = read_text(cases[i].text, NULL);

        g_assert_cmpint(fw_rules_decide(rs, &h, 60), ==, cases[i].verdict);
        g_assert_cmpuint(rs->default_pkts, ==, 1);
        fw_rules_free(rs);
    }
}

/* -- Against a second matcher ---------------------------------------------- */

/* A rule as it was made: its words. */
typedef struct Made {
    enum fw_verdict verdict;
    int protocol, vlan;             /* -1: any */
    int family;                     /* 0: no addresses */
    uint32_t from;                  /* the address's last word */
    unsigned from_bits;             /* of the last 32 */
    int dport_first, dport_last;    /* -1: any */
} Made;

static void make(Made *m, GString *text)
{
    static const char *const verdicts[] = { "deny", "allow", "count" };
    static const char *const protocols[] = { "tcp", "udp", "icmp", "47" };
    static const int numbers[] = { IP_TCP, IP_UDP, IP_ICMP, 47 };
    unsigned p = g_test_rand_int_range(0, 4);

    *m = (Made) {
        .verdict = g_test_rand_int_range(0, 3),
        .protocol = -1, .vlan = -1, .dport_first = -1,
    };
    g_string_append(text, verdicts[m->verdict]);
    if (g_test_rand_bit()) {
        m->vlan = g_test_rand_int_range(1, 3);
        g_string_append_printf(text, " vlan %d", m->vlan);
    }
    if (g_test_rand_bit()) {
        m->family = g_test_rand_bit() ? 4 : 6;
        m->from_bits = g_test_rand_int_range(0, 33);
        m->from = (uint32_t)g_test_rand_int_range(0, 4) << 30 |
                  g_test_rand_int_range(0, 8);
        m->from &= m->from_bits ? UINT32_MAX << (32 - m->from_bits) : 0;
        if (m->family == 4) {
            g_string_append_printf(text, " from %u.%u.%u.%u/%u",
                                   m->from >> 24, m->from >> 16 & 255,
                                   m->from >> 8 & 255, m->from & 255,
                                   m->from_bits);
        } else {
            g_string_append_printf(text, " from 2001:db8::%x:%x/%u",
                                   m->from >> 16, m->from & 0xffff,
                                   96 + m->from_bits);
        }
    }
    if (g_test_rand_bit()) {
        m->protocol = numbers[p];
        g_string_append_printf(text, " proto %s", protocols[p]);
    }
    if ((m->protocol < 0 || p < 2) && g_test_rand_bit()) {
        m->dport_first = g_test_rand_int_range(0, 10);
        m->dport_last = m->dport_first + g_test_rand_int_range(0, 5);
        g_string_append_printf(text, " dport %d-%d", m->dport_first,
                               m->dport_last);
    }
    g_string_append_c(text, '\n');
}

static struct headers random_headers(uint32_t *from)
{
    static const int protocols[] = { IP_TCP, IP_UDP, IP_ICMP, 47 };
    struct headers h = {
        .vlan = g_test_rand_bit() ? HEADERS_NO_VLAN
                                  : g_test_rand_int_range(1, 3),
        .family = g_test_rand_bit() ? 4 : 6,
        .protocol = protocols[g_test_rand_int_range(0, 4)],
        .is_fragment = g_test_rand_int_range(0, 5) == 0,
        .dest_port = g_test_rand_int_range(0, 14),
    };
    uint32_t word;

    *from = (uint32_t)g_test_rand_int_range(0, 4) << 30 |
            g_test_rand_int_range(0, 8);
    word = htonl(*from);
    h.ether_type = h.family == 4 ? ETHER_IPV4 : ETHER_IPV6;
    h.has_ports = !h.is_fragment &&
                  (h.protocol == IP_TCP || h.protocol == IP_UDP);
    if (h.family == 4) {
        memcpy(h.source, &word, 4);
    } else {
        memcpy(h.source, "\x20\x01\x0d\xb8", 4);
        memcpy(h.source + 12, &word, 4);
    }
    return h;
}

static bool made_matches(const Made *m, const struct headers *h, uint32_t from)
{
    bool matches = m->vlan < 0 || m->vlan == h->vlan;

    if (m->family) {
        uint64_t block = UINT64_C(1) << (32 - m->from_bits);

        matches &= m->family == h->family && from >= m->from &&
                   from < m->from + block;
    }
    matches &= m->protocol < 0 || m->protocol == h->protocol;
    if (m->dport_first >= 0) {
        matches &= h->has_ports && h->dest_port >= m->dport_first &&
                   h->dest_port <= m->dport_last;
    }
    return matches;
}

static void test_model(void)
{
    unsigned verdicts[2] = { 0 };

    for (unsigned set = 0; set < RULE_SETS; set++) {
        g_autoptr(GString) text = g_string_new("");
        unsigned n = g_test_rand_int_range(1, 20);
        Made made[20];
        uint64_t pkts[20] = { 0 };
        struct fw_rules *rs;

        for (unsigned i = 0; i < n; i++) {
            make(&made[i], text);
        }
        rs = read_text(text->str, NULL);
        g_assert_nonnull(rs);
        g_assert_cmpuint(rs->n, ==, n);
        for (unsigned k = 0; k < PACKETS; k++) {
            uint32_t from;
            struct headers h = random_headers(&from);
            enum fw_verdict expected = FW_COUNT;

            for (unsigned i = 0; i < n && expected == FW_COUNT; i++) {
                if (made_matches(&made[i], &h, from)) {
                    pkts[i]++;
                    expected = made[i].verdict;
                }
            }
            expected = expected == FW_COUNT ? FW_DENY : expected;
            g_assert_cmpint(fw_rules_decide(rs, &h, 64), ==, expected);
            verdicts[expected]++;
        }
        for (unsigned i = 0; i < n; i++) {
            g_assert_cmpuint(rs->rule[i].pkts, ==, pkts[i]);
        }
        fw_rules_free(rs);
    }
    g_test_message("%u denied, %u allowed", verdicts[0], verdicts[1]);
    g_assert_cmpuint(verdicts[0], >, 1000);
    g_assert_cmpuint(verdicts[1], >, 1000);
}

/* -- Errors and what is printed -------------------------------------------- */

static void test_errors(void)
{
    static const struct {
        const char *line, *said;
    } cases[] = {
        { "permit", "begins with allow, deny, count or default" },
        { "allow udp", "last word" },
        { "allow udp 1", "say proto, from" },
        { "allow proto", "has to follow" },
        { "allow proto 256", "number up to 255" },
        { "allow proto tcp proto udp", "stands twice" },
        { "allow from 192.0.2.1/24", "no bits behind" },
        { "allow to 192.0.2.0/33", "say an address" },
        { "allow from 192.0.2.1 to 2001:db8::1", "both" },
        { "allow sport 65536", "say a port" },
        { "allow dport 9-8", "say a port" },
        { "allow dport 8-", "say a port" },
        { "allow dport -8", "say a port" },
        { "allow dport 1 dport 2", "stands twice" },
        { "allow proto icmp dport 1", "only tcp and udp have ports" },
        { "allow proto arp from 192.0.2.1", "vlan only" },
        { "allow vlan 4095", "up to 4094" },
        { "default", "default allow, or" },
        { "default count", "default allow, or" },
        { "default deny", "already" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("default allow\n# x\n%s\n",
                                                cases[i].line);
        g_autofree char *error = NULL;

        g_assert_null(read_text(text, &error));
        g_test_message("%s", error);
        g_assert_true(g_str_has_prefix(error, ":3: "));
        g_assert_nonnull(strstr(error, cases[i].said));
    }
}

static void test_print(void)
{
    struct fw_rules *rs = read_text("allow  proto udp   dport 53-54 # dns\n",
                                    NULL);
    struct headers h = udp();
    g_autofree char *text = NULL;
    size_t bytes;
    FILE *to;

    fw_rules_decide(rs, &h, 77);
    to = open_memstream(&text, &bytes);
    fw_rules_print(rs, to);
    fclose(to);
    g_assert_cmpstr(text, ==,
                    "rule=1 pkts=1 bytes=77 allow proto udp dport 53-54\n"
                    "rule=default pkts=0 bytes=0 default deny\n");
    fw_rules_free(rs);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netvm-examples/firewall/words", test_words);
    g_test_add_func("/netvm-examples/firewall/fragments", test_fragments);
    g_test_add_func("/netvm-examples/firewall/not-ip", test_not_ip);
    g_test_add_func("/netvm-examples/firewall/order", test_order);
    g_test_add_func("/netvm-examples/firewall/default", test_default);
    g_test_add_func("/netvm-examples/firewall/model", test_model);
    g_test_add_func("/netvm-examples/firewall/errors", test_errors);
    g_test_add_func("/netvm-examples/firewall/print", test_print);
    return g_test_run();
}
