/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Headers as libnetvm's programs read them: each field, headers cut at every
 * length, and lengths that lie; one hop's checksum against all of it computed
 * anew.
 *
 * Each packet lies at the end of memory of its own, so that AddressSanitizer
 * sees what is read behind it.
 *
 * Threads: single.
 */
#include <glib.h>
#include <string.h>

#include "headers.h"

#define HOPS 20000
#define RANDOM_PACKETS 200000

static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };

static GByteArray *ether(uint16_t type, int vlan)
{
    GByteArray *p = g_byte_array_new();
    uint8_t word[2];

    g_byte_array_append(p, macs, sizeof(macs));
    if (vlan >= 0) {
        write16(word, ETHER_VLAN);
        g_byte_array_append(p, word, 2);
        write16(word, 0xf000 | vlan);       /* with a priority */
        g_byte_array_append(p, word, 2);
    }
    write16(word, type);
    g_byte_array_append(p, word, 2);
    return p;
}

/* An IPv4 header with @options_bytes of options, and @bytes behind it. */
static void add_ipv4(GByteArray *p, uint8_t protocol, uint16_t fragment,
                     unsigned options_bytes, unsigned bytes)
{
    uint8_t ip[60] = {
        [0] = 0x40 | (20 + options_bytes) / 4,
        [8] = 64, [9] = protocol,
        [12] = 192, 0, 2, 1, 198, 51, 100, 2,
    };

    memset(ip + 20, 1, options_bytes);
    write16(ip + 2, 20 + options_bytes + bytes);
    write16(ip + 6, fragment);
    write16(ip + 10, checksum_end(checksum_add(0, ip, 20 + options_bytes)));
    g_byte_array_append(p, ip, 20 + options_bytes);
}

static void add_ipv6(GByteArray *p, uint8_t next, unsigned bytes)
{
    uint8_t ip[40] = {
        [0] = 0x60, [6] = next, [7] = 64,
        [8] = 0x20, 0x01, 0x0d, 0xb8, [23] = 1,
        [24] = 0x20, 0x01, 0x0d, 0xb8, [39] = 2,
    };

    write16(ip + 4, bytes);
    g_byte_array_append(p, ip, sizeof(ip));
}

/* A header of @bytes whose first words are ports 1000 and 2000. */
static void add_ports(GByteArray *p, unsigned bytes)
{
    guint at = p->len;

    g_byte_array_set_size(p, at + bytes);
    memset(p->data + at, 0, bytes);
    write16(p->data + at, 1000);
    write16(p->data + at + 2, 2000);
}

static void add(GByteArray *p, const uint8_t *bytes, unsigned n)
{
    g_byte_array_append(p, bytes, n);
}

/* Read it where nothing lies behind it. */
static enum headers_result read_exactly(const uint8_t *data, unsigned bytes,
                                        struct headers *h)
{
    g_autofree uint8_t *copy = g_malloc(bytes + 1);

    /* From the second byte on: also of none there is a place. */
    memcpy(copy + 1, data, bytes);
    return headers_read(copy + 1, bytes, h);
}

/* Good if it is whole; cut at each length before @whole bytes. */
static struct headers expect_whole(GByteArray *p, unsigned whole)
{
    struct headers h;

    for (unsigned bytes = 0; bytes < whole; bytes++) {
        g_assert_cmpint(read_exactly(p->data, bytes, &h), ==, HEADERS_CUT);
    }
    g_assert_cmpint(read_exactly(p->data, p->len, &h), ==, HEADERS_GOOD);
    g_byte_array_unref(p);
    return h;
}

static void test_ipv4(void)
{
    static const struct {
        uint8_t protocol;
        unsigned options_bytes, header_bytes;
        int vlan;
    } cases[] = {
        { IP_UDP, 0, 8, -1 }, { IP_TCP, 0, 20, -1 }, { IP_ICMP, 0, 8, -1 },
        { IP_UDP, 40, 8, -1 }, { IP_TCP, 40, 20, 7 }, { IP_UDP, 0, 8, 0 },
        { 47, 0, 0, 4094 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool ports = cases[i].protocol == IP_UDP ||
                     cases[i].protocol == IP_TCP;
        GByteArray *p = ether(ETHER_IPV4, cases[i].vlan);
        unsigned at = p->len;
        struct headers h;

        add_ipv4(p, cases[i].protocol, 0, cases[i].options_bytes,
                 cases[i].header_bytes);
        add_ports(p, cases[i].header_bytes);
        at += 20 + cases[i].options_bytes;
        h = expect_whole(p, p->len);
        g_assert_cmpint(h.family, ==, 4);
        g_assert_cmpint(h.vlan, ==, cases[i].vlan < 0 ? HEADERS_NO_VLAN
                                                      : cases[i].vlan);
        g_assert_cmpint(h.protocol, ==, cases[i].protocol);
        g_assert_cmpint(h.ttl, ==, 64);
        g_assert_cmpint(h.l4_offset, ==, at);
        g_assert_cmpint(h.l4_bytes, ==, cases[i].header_bytes);
        g_assert_cmpint(h.has_ports, ==, ports);
        g_assert_true(h.checksum_good);
        g_assert_cmpmem(h.source, 4, "\xc0\x00\x02\x01", 4);
        g_assert_cmpmem(h.dest, 4, "\xc6\x33\x64\x02", 4);
        if (ports) {
            g_assert_cmpint(h.source_port, ==, 1000);
            g_assert_cmpint(h.dest_port, ==, 2000);
        }
    }
}

/* Bytes behind the IP packet are none of its own. */
static void test_padding(void)
{
    GByteArray *p = ether(ETHER_IPV4, -1);
    struct headers h;

    add_ipv4(p, IP_UDP, 0, 0, 8);
    add_ports(p, 8 + 18);
    h = expect_whole(p, 14 + 28);
    g_assert_cmpint(h.l4_bytes, ==, 8);
}

/* A UDP header that the IP header's length cuts. */
static void test_cut_by_length(void)
{
    for (unsigned bytes = 0; bytes < 8; bytes++) {
        GByteArray *p = ether(ETHER_IPV4, -1), *p6 = ether(ETHER_IPV6, -1);
        struct headers h;

        add_ipv4(p, IP_UDP, 0, 0, bytes);
        add_ports(p, 40);
        g_assert_cmpint(read_exactly(p->data, p->len, &h), ==, HEADERS_CUT);
        add_ipv6(p6, IP_UDP, bytes);
        add_ports(p6, 40);
        g_assert_cmpint(read_exactly(p6->data, p6->len, &h), ==, HEADERS_CUT);
        g_byte_array_unref(p);
        g_byte_array_unref(p6);
    }
}

static void test_lies(void)
{
    static const struct {
        unsigned at;
        uint8_t value;
    } lies[] = {
        { 14, 0x55 }, { 14, 0x44 }, { 14, 0x4f },   /* version, length */
        { 16, 1 }, { 17, 19 },                      /* total length */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
        GByteArray *p = ether(ETHER_IPV4, -1);
        struct headers h;

        add_ipv4(p, IP_UDP, 0, 0, 8);
        add_ports(p, 8);
        p->data[lies[i].at] = lies[i].value;
        g_assert_cmpint(read_exactly(p->data, p->len, &h), ==, HEADERS_CUT);
        g_byte_array_unref(p);
    }
}

static void test_fragments(void)
{
    static const uint8_t first6[] = { IP_UDP, 0, 0, 1, 0, 0, 0, 9 };
    static const uint8_t later6[] = { IP_UDP, 0, 0, 9, 0, 0, 0, 9 };
    GByteArray *p = ether(ETHER_IPV4, -1);
    struct headers h;

    /* The first one is as any other, and needs its header whole. */
    add_ipv4(p, IP_UDP, 0x2000, 0, 8);
    add_ports(p, 8);
    h = expect_whole(p, p->len);
    g_assert_true(h.has_ports && !h.is_fragment);
    /* Another one has none; also one of a byte. */
    p = ether(ETHER_IPV4, -1);
    add_ipv4(p, IP_UDP, 1, 0, 1);
    add_ports(p, 1 + 3);
    h = expect_whole(p, 14 + 21);
    g_assert_true(!h.has_ports && h.is_fragment);
    g_assert_cmpint(h.protocol, ==, IP_UDP);

    p = ether(ETHER_IPV6, -1);
    add_ipv6(p, 44, 16);
    add(p, first6, 8);
    add_ports(p, 8);
    h = expect_whole(p, p->len);
    g_assert_true(h.has_ports && !h.is_fragment);
    g_assert_cmpint(h.dest_port, ==, 2000);
    p = ether(ETHER_IPV6, -1);
    add_ipv6(p, 44, 9);
    add(p, later6, 8);
    add_ports(p, 4);
    h = expect_whole(p, 14 + 49);
    g_assert_true(!h.has_ports && h.is_fragment);
    g_assert_cmpint(h.protocol, ==, IP_UDP);
}

static void test_extensions(void)
{
    static const uint8_t hop_by_hop[8] = { 60, 0 };
    static const uint8_t options[16] = { 51, 1 };
    static const uint8_t authentication[12] = { 43, 1 };
    static const uint8_t routing[8] = { IP_TCP, 0 };
    unsigned bytes = sizeof(hop_by_hop) + sizeof(options) +
                     sizeof(authentication) + sizeof(routing);
    GByteArray *p = ether(ETHER_IPV6, 5);
    struct headers h;

    add_ipv6(p, 0, bytes + 20);
    add(p, hop_by_hop, sizeof(hop_by_hop));
    add(p, options, sizeof(options));
    add(p, authentication, sizeof(authentication));
    add(p, routing, sizeof(routing));
    add_ports(p, 20);
    h = expect_whole(p, p->len);
    g_assert_cmpint(h.protocol, ==, IP_TCP);
    g_assert_cmpint(h.l4_offset, ==, 18 + 40 + bytes);
    g_assert_cmpint(h.source_port, ==, 1000);
    g_assert_cmpint(h.ttl, ==, 64);
    g_assert_cmpint(h.vlan, ==, 5);
    g_assert_cmpint(h.source[15], ==, 1);
    g_assert_cmpint(h.dest[15], ==, 2);

    /* One that says it is longer than the packet; and more of them than are
     * looked at. */
    p = ether(ETHER_IPV6, -1);
    add_ipv6(p, 0, 16);
    add(p, (const uint8_t[16]) { IP_TCP, 2 }, 16);
    g_assert_cmpint(read_exactly(p->data, p->len, &h), ==, HEADERS_CUT);
    g_byte_array_unref(p);
    p = ether(ETHER_IPV6, -1);
    add_ipv6(p, 60, 30 * 8 + 20);
    for (unsigned i = 0; i < 30; i++) {
        add(p, (const uint8_t[8]) { i < 29 ? 60 : IP_TCP }, 8);
    }
    add_ports(p, 20);
    g_assert_cmpint(read_exactly(p->data, p->len, &h), ==, HEADERS_CUT);
    g_byte_array_unref(p);
}

static void test_not_ip(void)
{
    GByteArray *p = ether(ETHER_ARP, 9);
    struct headers h = expect_whole(p, 18);

    g_assert_cmpint(h.family, ==, 0);
    g_assert_cmpint(h.ether_type, ==, ETHER_ARP);
    g_assert_cmpint(h.vlan, ==, 9);
    g_assert_false(h.has_ports);
}

/* Nothing is read outside, whatever stands there. */
static void test_random(void)
{
    static const uint16_t types[] = { ETHER_IPV4, ETHER_IPV6, ETHER_VLAN };
    unsigned good = 0;

    for (unsigned i = 0; i < RANDOM_PACKETS; i++) {
        unsigned bytes = g_test_rand_int_range(14, 160);
        g_autofree uint8_t *data = g_malloc(bytes);
        struct headers h;

        for (unsigned k = 0; k < bytes; k++) {
            data[k] = g_test_rand_int();
        }
        write16(data + 12, types[i % 3]);
        if (bytes >= 54 && i % 3 == 0) {
            data[14] = 0x40 | g_test_rand_int_range(0, 16);
            write16(data + 16, g_test_rand_int_range(0, 200));
        } else if (bytes >= 54 && i % 3 == 1) {
            data[14] = 0x60;
            write16(data + 18, g_test_rand_int_range(0, 120));
            data[20] = (const uint8_t[]) { 0, 43, 44, 51, 60, 17 }[i / 3 % 6];
        }
        if (headers_read(data, bytes, &h) == HEADERS_GOOD) {
            good++;
            g_assert_true(!h.family || h.l4_offset + h.l4_bytes <= bytes);
        }
    }
    g_test_message("%u of %u were good", good, RANDOM_PACKETS);
    g_assert_cmpuint(good, >, RANDOM_PACKETS / 20);
    g_assert_cmpuint(good, <, RANDOM_PACKETS);
}

static void test_hop(void)
{
    for (unsigned i = 0; i < HOPS; i++) {
        unsigned bytes = 20 + 4 * (i % 11);
        uint8_t ip[60], expected[60];

        for (unsigned k = 0; k < bytes; k++) {
            ip[k] = g_test_rand_int();
        }
        ip[0] = 0x40 | bytes / 4;
        ip[8] = g_test_rand_int_range(1, 256);
        if (i % 3 == 0) {
            /* Where carries and both zeros of the sum are. */
            memset(ip + 12, i % 2 ? 0xff : 0, bytes - 12);
            write16(ip + 4, i / 3);
        }
        write16(ip + 10, 0);
        write16(ip + 10, checksum_end(checksum_add(0, ip, bytes)));
        memcpy(expected, ip, bytes);
        expected[8]--;
        write16(expected + 10, 0);
        write16(expected + 10, checksum_end(checksum_add(0, expected, bytes)));
        headers_hop(ip, 4);
        g_assert_cmpmem(ip, bytes, expected, bytes);
    }
}

static void test_hop6(void)
{
    GByteArray *p = ether(ETHER_IPV6, -1);
    g_autofree uint8_t *before = NULL;

    add_ipv6(p, IP_UDP, 0);
    before = g_memdup2(p->data, p->len);
    headers_hop(p->data + 14, 6);
    g_assert_cmpint(p->data[14 + 7], ==, 63);
    p->data[14 + 7]++;
    g_assert_cmpmem(p->data, p->len, before, p->len);
    g_byte_array_unref(p);
}

/* Packets of a flow have one, and those of others mostly another one. */
static void test_hash(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (unsigned port = 0; port < 1000; port++) {
        struct headers h = {
            .family = 4, .protocol = IP_UDP, .has_ports = true,
            .source_port = 20000 + port, .dest_port = 9,
            .source = { 192, 0, 2, 1 }, .dest = { 192, 0, 2, 2 },
        };
        struct headers same = h;

        g_assert_cmpint(headers_hash(&h), ==, headers_hash(&same));
        g_hash_table_add(seen, GUINT_TO_POINTER(headers_hash(&h) + 1u));
    }
    g_assert_cmpuint(g_hash_table_size(seen), >, 950);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netvm-examples/headers/ipv4", test_ipv4);
    g_test_add_func("/netvm-examples/headers/padding", test_padding);
    g_test_add_func("/netvm-examples/headers/cut-by-length",
                    test_cut_by_length);
    g_test_add_func("/netvm-examples/headers/lies", test_lies);
    g_test_add_func("/netvm-examples/headers/fragments", test_fragments);
    g_test_add_func("/netvm-examples/headers/extensions", test_extensions);
    g_test_add_func("/netvm-examples/headers/not-ip", test_not_ip);
    g_test_add_func("/netvm-examples/headers/random", test_random);
    g_test_add_func("/netvm-examples/headers/hop", test_hop);
    g_test_add_func("/netvm-examples/headers/hop6", test_hop6);
    g_test_add_func("/netvm-examples/headers/hash", test_hash);
    return g_test_run();
}
