/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings of a port: each word by itself, and all of them together.
 *
 * Threads: single.
 */
#include <string.h>

#include "parse.h"
#include "port-settings.h"

#define PATH_107 "/0123456789012345678901234567890123456789012345678901" \
    "234567890123456789012345678901234567890123456789012345"

static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        g_error("'%s' lacks '%s'", text, part);
    }
}

/* "type=tap ifname=x0"; the caller clears @s. */
static bool make(PortSettings *s, const char *text, GError **error)
{
    g_auto(GStrv) word = g_strsplit(text, " ", -1);

    port_settings_init(s);
    return port_settings_parse(s, (const char **)word, error);
}

/* All that differs from the defaults, in one line. */
static char *text_of(const PortSettings *s)
{
    GString *text = g_string_new(NULL);

    for (const char *const *key = port_settings_keys(); *key; key++) {
        g_autofree char *value = port_settings_get(s, *key);

        if (value) {
            g_string_append_printf(text, "%s%s=%s", text->len ? " " : "",
                                   *key, value);
        }
    }
    return g_string_free(text, false);
}

static void expect_text(const PortSettings *s, const char *expected)
{
    g_autofree char *text = text_of(s);

    g_assert_cmpstr(text, ==, expected);
}

/* -- Words ----------------------------------------------------------------- */

static void test_defaults(void)
{
    PortSettings s;

    port_settings_init(&s);
    expect_text(&s, "");
    g_assert_cmpstr(s.type, ==, "vhost-user");
    g_assert_cmpuint(s.queues, ==, 1);
    g_assert_cmpuint(s.mtu, ==, 9216);
    g_assert_true(s.link_up);
    g_assert_cmpint(s.vlan, ==, -1);
    g_assert_true(s.all_vlans);
    g_assert_true(port_settings_in_trunk(&s, 4094));
    g_assert_cmpuint(s.storm_pps, ==, 0);
    g_assert_cmpuint(s.max_macs, ==, 1024);
    port_settings_clear(&s);
    port_settings_clear(&s);
}

/* What is set is what is got; "" is the default again. */
static void test_round_trip(void)
{
    static const char *const word[][2] = {
        { "type", "tap" }, { "socket", "/run/vm 1.sock" },
        { "client", "on" }, { "domain", "red" }, { "outs", "a,b" },
        { "service", "fw" }, { "services", "fw,ids+log,l3" },
        { "queues", "16" }, { "mtu", "65535" },
        { "ifname", "tap0123456789ab" }, { "xdp-mode", "native" },
        { "xdp-mode", "generic" }, { "zero-copy", "on" },
        { "zero-copy", "off" }, { "link", "down" },
        { "vlan", "4094" }, { "trunk", "0-3,10,20-29,4094" },
        { "native", "1" },
        { "mac", "52:54:00:12:34:56,02:00:00:00:00:ff" },
        { "ip", "10.0.0.1,2001:db8::1,fe80::1" }, { "peer", "vm-2" },
        { "mirror", "a,b.c,d_e" }, { "storm-pps", "1000" },
        { "max-macs", "0" }, { "rate-bps", "2500k" }, { "rate-pps", "10001" },
        { "policy", "strict" }, { "queue-pkts", "65536" },
        { "link-mtu", "576" }, { "host-jitter-us", "0" },
        { "promises", "off" }, { "uplink", "on" }, { "trust", "rtvnic" },
        { "rtvnic", "on" }, { "deadline-us", "4294967" },
        { "period-us", "1" }, { "max-frame-bytes", "200" },
        { "late", "drop" }, { "dscp", "0" }, { "pcp", "7" },
        { "trailer", "off" }, { "source-id", "4294967295" },
        { "max-skew-us", "0" }, { "tenant", "red" },
        { "tx-limit-bps", "10T" }, { "tx-limit-pps", "1" },
        { "guarantee-bps", "1" }, { "guarantee-pps", "10G" },
        { "rx-guarantee-bps", "2" }, { "rx-guarantee-pps", "10G" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(word); i++) {
        g_autofree char *expected = g_strconcat(word[i][0], "=", word[i][1],
                                                NULL);
        g_autoptr(GError) error = NULL;
        PortSettings s, copy;

        port_settings_init(&s);
        g_assert_true(port_settings_set(&s, word[i][0], word[i][1], &error));
        g_assert_no_error(error);
        expect_text(&s, expected);
        port_settings_copy(&copy, &s);
        g_assert_true(port_settings_set(&s, word[i][0], "", &error));
        g_assert_no_error(error);
        expect_text(&s, "");
        expect_text(&copy, expected);
        port_settings_clear(&s);
        port_settings_clear(&copy);
    }
    for (const char *const *key = port_settings_keys(); *key; key++) {
        bool tested = false;

        for (unsigned i = 0; i < G_N_ELEMENTS(word); i++) {
            tested |= !strcmp(*key, word[i][0]);
        }
        g_assert_true(tested);
        g_assert_nonnull(port_settings_help(*key));
    }
    g_assert_null(port_settings_help("colour"));
}

/* Another way to write the same. */
static void test_forms(void)
{
    PortSettings s;

    g_assert_true(make(&s, "trunk=29,5,20-28 mac=52:54:00:AB:CD:EF "
                       "ip=2001:0db8:0000::1", NULL));
    expect_text(&s, "trunk=5,20-29 mac=52:54:00:ab:cd:ef ip=2001:db8::1");
    g_assert_false(port_settings_in_trunk(&s, 0));
    g_assert_true(port_settings_in_trunk(&s, 5));
    g_assert_false(port_settings_in_trunk(&s, 6));
    g_assert_true(port_settings_in_trunk(&s, 29));
    g_assert_true(port_settings_set(&s, "trunk", "all", NULL));
    expect_text(&s, "mac=52:54:00:ab:cd:ef ip=2001:db8::1");
    port_settings_clear(&s);
    g_assert_true(make(&s, "rate-bps=0.0025G rate-pps=1000 tx-limit-bps=2.50k "
                       "tx-limit-pps=1000000000", NULL));
    expect_text(&s, "rate-bps=2500k rate-pps=1k tx-limit-bps=2500 "
                "tx-limit-pps=1G");
    g_assert_cmpuint(s.rate_bps, ==, 2500000);
    g_assert_cmpuint(s.tx_limit_bps, ==, 2500);
    port_settings_clear(&s);
}

/* A wrong word changes nothing. */
static void test_wrong_words(void)
{
    static const char *const wrong[][3] = {
        { "colour", "red", "no setting 'colour'; it has type, socket" },
        { "type", "vhost", "one of vhost-user, netvm, chain, tap" },
        { "domain", "a b", "cannot be the name" },
        { "service", "a b", "cannot be the name" },
        { "services", "fw,,l3", "" },
        { "outs", "a,-b", "cannot be the name of a port" },
        { "outs", "a,b,a", "'a' is there twice" },
        { "socket", PATH_107 "x", "the path has 108 bytes" },
        { "client", "yes", "one of off, on" },
        { "queues", "0", "a number from 1 to 16" },
        { "queues", "17", "a number from 1 to 16" },
        { "queues", "1x", "a number from 1 to 16" },
        { "queues", " 1", "a number from 1 to 16" },
        { "queues", "-1", "a number from 1 to 16" },
        { "queues", "+1", "a number from 1 to 16" },
        { "queues", "18446744073709551617", "a number from 1 to 16" },
        { "mtu", "67", "a number from 68 to 65535" },
        { "ifname", "tap0123456789abc", "at most 15 bytes" },
        { "ifname", "a/b", "an interface's name" },
        { "ifname", "..", "an interface's name" },
        { "ifname", "tap%d", "an interface's name" },
        { "xdp-mode", "skb", "one of auto, native, generic" },
        { "zero-copy", "yes", "one of auto, on, off" },
        { "link", "on", "one of down, up" },
        { "vlan", "0", "a number from 1 to 4094" },
        { "vlan", "4095", "a number from 1 to 4094" },
        { "trunk", "1,", "nothing is given" },
        { "trunk", "1,,2", "nothing is given" },
        { "trunk", "5-3", "'5-3' is not a number" },
        { "trunk", "1-4095", "'1-4095' is not a number" },
        { "trunk", "1-2-3", "'1-2-3' is not a number" },
        { "trunk", "1-3,2", "2 is there twice" },
        { "trunk", "none", "'all', or VLANs like 10,20-29" },
        { "native", "4095", "a number from 0 to 4094" },
        { "mac", "52:54:00:12:34", "an address like" },
        { "mac", "52:54:00:12:34:5g", "an address like" },
        { "mac", "52-54-00-12-34-56", "an address like" },
        { "mac", "52:54:00:12:34:56,", "nothing is given" },
        { "mac", "53:54:00:12:34:56", "stands for a group" },
        { "mac", "ff:ff:ff:ff:ff:ff", "stands for a group" },
        { "mac", "00:00:00:00:00:00", "that an interface can have" },
        { "mac", "52:54:00:00:00:0a,52:54:00:00:00:0A", "there twice" },
        { "ip", "10.0.0.256", "not the address of a host" },
        { "ip", "10.0.0.1/24", "not the address of a host" },
        { "ip", "0.0.0.0", "not the address of a host" },
        { "ip", "224.0.0.1", "not the address of a host" },
        { "ip", "255.255.255.255", "not the address of a host" },
        { "ip", "::", "not the address of a host" },
        { "ip", "ff02::1", "not the address of a host" },
        { "ip", "10.0.0.1,,10.0.0.2", "not the address of a host" },
        { "peer", "a b", "cannot be the name of a port" },
        { "mirror", "a,-b", "cannot be the name of a port" },
        { "mirror", "a,b,a", "'a' is there twice" },
        { "storm-pps", "1000000001", "a number from 0 to 1000000000" },
        { "max-macs", "lots", "a number from 0 to 1000000" },
        { "rate-bps", "10001G", "a rate from 0 to 10T" },
        { "rate-bps", "100Mbit", "a rate from 0 to 10T" },
        { "rate-bps", "0.0001k", "a rate from 0 to 10T" },
        { "rate-bps", "-1", "a rate from 0 to 10T" },
        { "rate-pps", "10000000001", "a rate from 0 to 10G" },
        { "policy", "wfq", "one of edf, fifo, strict" },
        { "queue-pkts", "15", "a number from 16 to 65536" },
        { "queue-pkts", "65537", "a number from 16 to 65536" },
        { "link-mtu", "575", "a number from 576 to 65535" },
        { "host-jitter-us", "1000001", "a number from 0 to 1000000" },
        { "promises", "yes", "one of off, on" },
        { "uplink", "1", "one of off, on" },
        { "trust", "on", "one of none, rtvnic" },
        { "rtvnic", "true", "one of off, on" },
        { "deadline-us", "4294968", "a number from 0 to 4294967" },
        { "deadline-us", "1.5", "a number from 0 to 4294967" },
        { "period-us", "4294968", "a number from 0 to 4294967" },
        { "max-frame-bytes", "65536", "a number from 0 to 65535" },
        { "late", "keep", "one of send, drop" },
        { "dscp", "64", "a number from 0 to 63" },
        { "dscp", "EF", "a number from 0 to 63" },
        { "pcp", "8", "a number from 0 to 7" },
        { "trailer", "no", "one of off, on" },
        { "source-id", "4294967296", "a number from 0 to 4294967295" },
        { "max-skew-us", "-1", "a number from 0 to 4294967" },
        { "tenant", "a b", "cannot be the name" },
        { "tx-limit-bps", "11T", "a rate from 0 to 10T" },
        { "tx-limit-pps", "1e3", "a rate from 0 to 10G" },
        { "guarantee-bps", "1 M", "a rate from 0 to 10T" },
        { "guarantee-pps", "k", "a rate from 0 to 10G" },
        { "rx-guarantee-bps", "11T", "a rate from 0 to 10T" },
        { "rx-guarantee-pps", ".5k", "a rate from 0 to 10G" },
        { "peer", "\xff", "not valid UTF-8" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        static const char before[] = "queues=2 vlan=7 mac=52:54:00:00:00:01 "
                                     "ip=10.0.0.9 peer=p";
        g_autoptr(GError) error = NULL;
        PortSettings s;

        g_assert_true(make(&s, before, NULL));
        if (port_settings_set(&s, wrong[i][0], wrong[i][1], &error)) {
            g_error("%s=%s was taken", wrong[i][0], wrong[i][1]);
        }
        assert_contains(error->message, wrong[i][2]);
        assert_contains(error->message, wrong[i][0]);
        expect_text(&s, before);
        port_settings_clear(&s);
    }
}

static char *many(const char *format, unsigned n)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < n; i++) {
        g_autofree char *one = g_strdup_printf("%s%s%02x", i ? "," : "",
                                               format, i);

        g_string_append(text, one);
    }
    return g_string_free(text, false);
}

/* As many as there is room for, and one more. */
static void test_full_lists(void)
{
    static const struct {
        const char *key, *format;
        unsigned max;
    } list[] = {
        { "mac", "52:54:00:00:00:", PORT_MACS_MAX },
        { "ip", "2001:db8::1:", PORT_IPS_MAX },
        { "mirror", "p", PORT_MIRRORED_MAX },
        { "outs", "p", PORT_MIRRORED_MAX },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
        g_autofree char *fits = many(list[i].format, list[i].max);
        g_autofree char *long_one = many(list[i].format, list[i].max + 1);
        g_autoptr(GError) error = NULL;
        PortSettings s;

        port_settings_init(&s);
        g_assert_true(port_settings_set(&s, list[i].key, fits, NULL));
        g_assert_false(port_settings_set(&s, list[i].key, long_one, &error));
        assert_contains(error->message, "are too many");
        port_settings_clear(&s);
    }
}

static void test_parse(void)
{
    g_autoptr(GError) error = NULL;
    PortSettings s;

    g_assert_false(make(&s, "type=tap queues", &error));
    assert_contains(error->message, "'queues' is no setting: write KEY=VALUE");
    g_assert_cmpstr(s.type, ==, "tap");
    port_settings_clear(&s);
    /* Only the first '=' divides. */
    g_assert_true(make(&s, "socket=/a=b", NULL));
    g_assert_cmpstr(s.socket, ==, "/a=b");
    port_settings_clear(&s);
}

/* -- Together -------------------------------------------------------------- */

static void test_check(void)
{
    static const struct {
        const char *text, *wrong;       /* NULL: nothing is */
    } check[] = {
        { "socket=/run/vm1.sock", NULL },
        { "socket=" PATH_107, NULL },
        { "socket=/s client=on queues=4 mtu=1500 vlan=5", NULL },
        { "type=tap ifname=tap0 trunk=5,6 native=7", NULL },
        { "type=af-xdp ifname=eth0 queues=4 xdp-mode=native", NULL },
        { "type=af-xdp ifname=eth0 zero-copy=on", NULL },
        { "type=dummy mirror=a,b link=down", NULL },
        { "type=dummy peer=a storm-pps=5", NULL },
        { "type=dummy native=7", NULL },
        { "type=dummy trunk=0,5", NULL },
        { "type=netvm socket=/s domain=d outs=a,b client=on", NULL },
        { "", "type=vhost-user needs socket=" },
        { "type=netvm socket=/s domain=d service=fw", NULL },
        { "type=chain domain=d services=fw,l3", NULL },
        { "type=chain services=fw", "type=chain needs domain=" },
        { "type=chain domain=d services=a socket=/s", "socket= is for" },
        { "type=netvm socket=/s domain=d services=a", "services= is for" },
        { "type=netvm domain=d", "type=netvm needs socket=" },
        { "type=netvm socket=/s", "type=netvm needs domain=" },
        { "type=netvm socket=/s domain=d queues=2", "queues= is for" },
        { "type=netvm socket=/s domain=d mtu=1500", "mtu= is for" },
        { "socket=/s domain=d", "domain= is for ports of "
          "type=netvm,chain,af-xdp, and this one is of type=vhost-user" },
        { "type=dummy outs=a", "outs= is for" },
        { "type=tap", "type=tap needs ifname=" },
        { "type=tap ifname=t socket=/s", "socket= is for ports of "
          "type=vhost-user,netvm, and this one is of type=tap" },
        { "type=af-xdp queues=4", "type=af-xdp needs ifname=" },
        { "type=af-xdp ifname=t mtu=1500", "mtu= is for" },
        { "type=tap ifname=t queues=2", "queues= is for ports of "
          "type=vhost-user,af-xdp, and this one is of type=tap" },
        { "type=tap ifname=t xdp-mode=native", "xdp-mode= is for" },
        { "type=tap ifname=t zero-copy=on", "zero-copy= is for" },
        { "type=dummy client=on", "client= is for" },
        { "type=dummy queues=2", "queues= is for" },
        { "type=dummy mtu=1500", "mtu= is for" },
        { "socket=/s ifname=t", "ifname= is for" },
        { "type=dummy vlan=5 trunk=5", "vlan= and trunk= exclude" },
        { "type=dummy vlan=5 native=5", "vlan= and native= exclude" },
        { "type=dummy peer=a mirror=b", "peer= and mirror= exclude" },
        { "type=dummy rate-bps=1M policy=fifo host-jitter-us=1 promises=off",
          NULL },
        { "type=dummy rtvnic=on deadline-us=1 period-us=1 max-frame-bytes=60",
          NULL },
        { "type=dummy rate-pps=5", NULL },
        { "type=dummy policy=fifo", "policy= says nothing without rate-bps=" },
        { "type=dummy host-jitter-us=5", "host-jitter-us= says nothing" },
        { "type=dummy promises=off", "promises= says nothing without" },
        { "type=dummy deadline-us=5",
          "deadline-us= says nothing without rtvnic=" },
        { "type=dummy rtvnic=on period-us=5",
          "period-us= says nothing without deadline-us=" },
        { "type=dummy rtvnic=on deadline-us=5 max-frame-bytes=60",
          "max-frame-bytes= says nothing without period-us=" },
        { "type=dummy rtvnic=on late=drop", "late= says nothing without" },
        { "type=dummy dscp=46", "dscp= says nothing without rtvnic=" },
        { "type=dummy pcp=5", "pcp= says nothing without rtvnic=" },
        { "type=dummy trailer=off", "trailer= says nothing without rtvnic=" },
        { "type=dummy source-id=5", "source-id= says nothing without" },
        { "type=dummy rx-guarantee-bps=5", "rx-guarantee-bps= says nothing "
          "without tenant=" },
        { "type=dummy rx-guarantee-pps=5", "rx-guarantee-pps= says nothing" },
        { "type=dummy max-skew-us=5", "max-skew-us= says nothing without" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(check); i++) {
        g_autoptr(GError) error = NULL;
        PortSettings s;

        g_assert_true(*check[i].text ? make(&s, check[i].text, NULL) :
                                       (port_settings_init(&s), true));
        g_assert_true(port_settings_check(&s, &error) == !check[i].wrong);
        if (check[i].wrong) {
            assert_contains(error->message, check[i].wrong);
        }
        port_settings_clear(&s);
    }
}

static void test_own_name(void)
{
    static const char *const own[] = { "type=dummy peer=me",
                                       "type=dummy mirror=you,me" };

    for (unsigned i = 0; i < G_N_ELEMENTS(own); i++) {
        g_autoptr(GError) error = NULL;
        PortSettings s;

        g_assert_true(make(&s, own[i], NULL));
        g_assert_true(port_settings_check_named(&s, "it", NULL));
        g_assert_false(port_settings_check_named(&s, "me", &error));
        assert_contains(error->message, "cannot be its own");
        port_settings_clear(&s);
    }
}

static void test_may_follow(void)
{
    static const char *const fixed[] = {
        "type=tap socket=/s", "socket=/t", "socket=/s client=on",
        "socket=/s queues=2", "socket=/s mtu=1500", "socket=/s ifname=t",
        "socket=/s rtvnic=on", "socket=/s domain=d",
    };
    PortSettings from, to;

    g_assert_true(make(&from, "socket=/s", NULL));
    for (unsigned i = 0; i < G_N_ELEMENTS(fixed); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_true(make(&to, fixed[i], NULL));
        g_assert_false(port_settings_may_follow(&from, &to, &error));
        assert_contains(error->message, "= is fixed while the port lives");
        port_settings_clear(&to);
    }
    g_assert_true(make(&to, "socket=/s link=down vlan=5 peer=a max-macs=1 "
                       "mac=52:54:00:00:00:01 ip=10.0.0.1 storm-pps=7 "
                       "rate-bps=1M policy=fifo queue-pkts=16 uplink=on "
                       "trust=rtvnic tenant=t tx-limit-bps=1 guarantee-pps=1",
                       NULL));
    g_assert_true(port_settings_may_follow(&from, &to, NULL));
    g_assert_true(port_settings_may_follow(&to, &from, NULL));
    port_settings_clear(&to);
    port_settings_clear(&from);
    g_assert_true(port_settings_is_fixed("mtu"));
    g_assert_false(port_settings_is_fixed("vlan"));
    g_assert_cmpstr(port_settings_type_of("ifname"), ==,
                    "tap,af-xdp");
    g_assert_null(port_settings_type_of("vlan"));
}

static void test_names(void)
{
    static const char *const good[] = { "a", "vm-1.net_0", "0", "_",
                                        "abcdefghijklmnopqrstuvwxyz012345" };
    static const char *const bad[] = { "", "-a", ".a", "a b", "a/b", "a,b",
                                       "a=b", "\xc3\xa4",
                                       "abcdefghijklmnopqrstuvwxyz0123456" };

    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(port_name_check(good[i], NULL));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(port_name_check(bad[i], &error));
        assert_contains(error->message, "cannot be the name of a port");
    }
}

/* -- What texts are made of ------------------------------------------------ */

/* Ranges of any numbers read back as the same numbers. */
static void test_ranges(void)
{
    for (unsigned round = 0; round < 2000; round++) {
        unsigned number[40], n = 0;
        g_autofree char *text = NULL;
        g_autoptr(GArray) back = NULL;

        for (unsigned i = 0; i < G_N_ELEMENTS(number); i++) {
            if (g_test_rand_bit()) {
                number[n++] = i;
            }
        }
        if (n == 0) {
            continue;
        }
        text = format_ranges(number, n);
        back = parse_ranges(text, 0, G_N_ELEMENTS(number), NULL);
        g_assert_nonnull(back);
        g_assert_cmpmem(back->data, back->len * sizeof(unsigned), number,
                        n * sizeof(unsigned));
    }
}

/* The order is kept: the first CPU is the first worker's. */
static void test_range_order(void)
{
    static const unsigned expected[] = { 7, 2, 3, 4, 0 };
    g_autoptr(GArray) numbers = parse_ranges("7,2-4,0", 0, 7, NULL);
    g_autofree char *text = format_ranges(expected, G_N_ELEMENTS(expected));

    g_assert_cmpmem(numbers->data, numbers->len * sizeof(unsigned), expected,
                    sizeof(expected));
    g_assert_cmpstr(text, ==, "7,2-4,0");
}

static void test_mac_vlan(void)
{
    static const uint8_t expected[] = { 0x52, 0x54, 0, 0, 0, 1 };
    static const char *const wrong[] = {
        "", "52:54:00:00:00:01/", "52:54:00:00:00:01/0",
        "52:54:00:00:00:01/4095", "/5", "52:54:00:00:00:01/5/6",
        "53:54:00:00:00:01/5",
    };
    uint16_t vlan = 9;
    uint8_t mac[6];
    char *text;

    g_assert_true(parse_mac_vlan("52:54:00:00:00:01", mac, &vlan, NULL));
    g_assert_cmpmem(mac, 6, expected, 6);
    g_assert_cmpuint(vlan, ==, 0);
    text = format_mac_vlan(mac, vlan);
    g_assert_cmpstr(text, ==, "52:54:00:00:00:01");
    g_free(text);
    g_assert_true(parse_mac_vlan("52:54:00:00:00:01/4094", mac, &vlan, NULL));
    g_assert_cmpuint(vlan, ==, 4094);
    text = format_mac_vlan(mac, vlan);
    g_assert_cmpstr(text, ==, "52:54:00:00:00:01/4094");
    g_free(text);
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_false(parse_mac_vlan(wrong[i], mac, &vlan, NULL));
    }
}

static void test_hex(void)
{
    static const uint8_t expected[] = { 0x00, 0xc0, 0xff, 0xee };
    g_autoptr(GBytes) bytes = parse_hex("00C0ffee", NULL);
    g_autofree char *text = format_hex(expected, sizeof(expected));
    g_autoptr(GBytes) none = parse_hex("", NULL);

    g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                    expected, sizeof(expected));
    g_assert_cmpstr(text, ==, "00c0ffee");
    g_assert_cmpuint(g_bytes_get_size(none), ==, 0);
    g_assert_null(parse_hex("c0f", NULL));
    g_assert_null(parse_hex("c0fg", NULL));
    g_assert_null(parse_hex("0x11", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-port-settings/defaults", test_defaults);
    g_test_add_func("/vus-port-settings/round-trip", test_round_trip);
    g_test_add_func("/vus-port-settings/forms", test_forms);
    g_test_add_func("/vus-port-settings/wrong-words", test_wrong_words);
    g_test_add_func("/vus-port-settings/full-lists", test_full_lists);
    g_test_add_func("/vus-port-settings/parse", test_parse);
    g_test_add_func("/vus-port-settings/check", test_check);
    g_test_add_func("/vus-port-settings/own-name", test_own_name);
    g_test_add_func("/vus-port-settings/may-follow", test_may_follow);
    g_test_add_func("/vus-port-settings/names", test_names);
    g_test_add_func("/vus-port-settings/ranges", test_ranges);
    g_test_add_func("/vus-port-settings/range-order", test_range_order);
    g_test_add_func("/vus-port-settings/mac-vlan", test_mac_vlan);
    g_test_add_func("/vus-port-settings/hex", test_hex);
    return g_test_run();
}
