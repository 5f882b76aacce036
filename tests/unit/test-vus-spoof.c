/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames from addresses that are a guest's own, and from others.
 *
 * Threads: single.
 */
#include <arpa/inet.h>

#include "spoof.h"

#define MAX_IPS 4

/* -- Frames ---------------------------------------------------------------- */

static void put16(uint8_t *p, unsigned value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static void put_addr(uint8_t *p, int family, const char *text)
{
    g_assert_cmpint(inet_pton(family, text, p), ==, 1);
}

/* An Ethernet header with @tags; returns where the rest begins. */
static unsigned start(Frame *f, unsigned tags, unsigned type)
{
    unsigned at = 12;

    *f = (Frame) { .bytes = 0 };
    for (unsigned i = 0; i < tags; i++, at += 4) {
        put16(f->head + at, i + 1 < tags ? 0x88a8 : 0x8100);
    }
    put16(f->head + at, type);
    f->bytes = f->head_bytes = at + 2;
    return at + 2;
}

static void add(Frame *f, unsigned bytes)
{
    f->bytes = f->head_bytes = f->head_bytes + bytes;
}

static void make_udp4(Frame *f, unsigned tags, const char *source,
                      unsigned from, unsigned to)
{
    uint8_t *ip = f->head + start(f, tags, 0x0800);

    ip[0] = 0x45;
    put16(ip + 2, 28);
    ip[9] = 17;
    put_addr(ip + 12, AF_INET, source);
    put_addr(ip + 16, AF_INET, "255.255.255.255");
    put16(ip + 20, from);
    put16(ip + 22, to);
    add(f, 28);
}

static void make_arp(Frame *f, unsigned tags, unsigned operation,
                     const char *sender)
{
    uint8_t *arp = f->head + start(f, tags, 0x0806);

    memcpy(arp, "\0\x01\x08\0\x06\x04", 6);
    put16(arp + 6, operation);
    put_addr(arp + 14, AF_INET, sender);
    put_addr(arp + 24, AF_INET, "10.0.0.99");
    add(f, 28);
}

/* Ends behind IP's header. */
static uint8_t *make_ipv6(Frame *f, unsigned tags, const char *source,
                          const char *destination, uint8_t next)
{
    uint8_t *ip = f->head + start(f, tags, 0x86dd);

    ip[0] = 0x60;
    ip[6] = next;
    put_addr(ip + 8, AF_INET6, source);
    put_addr(ip + 24, AF_INET6, destination);
    add(f, 40);
    return ip + 40;
}

/* Of type @type; what has a target has @target. */
static void make_icmp6(Frame *f, unsigned tags, const char *source,
                       const char *destination, uint8_t type,
                       const char *target)
{
    uint8_t *icmp = make_ipv6(f, tags, source, destination, 58);

    icmp[0] = type;
    put_addr(icmp + 8, AF_INET6, target);
    add(f, 24);
}

/* -- Ports ----------------------------------------------------------------- */

#define BOTH "10.0.0.1 10.0.0.2 2001:db8::1"
#define V4 "10.0.0.1"
#define V6 "2001:db8::1 2001:db8::2"
#define V6_LINK_LOCAL "2001:db8::1 fe80::1"

/* May a port that has @addrs send @f? */
static bool ok(const char *addrs, const Frame *f)
{
    g_auto(GStrv) text = g_strsplit(addrs, " ", -1);
    unsigned ips = g_strv_length(text);
    PortIp ip[MAX_IPS];

    g_assert_cmpuint(ips, <=, MAX_IPS);
    for (unsigned i = 0; i < ips; i++) {
        ip[i].is_v6 = strchr(text[i], ':');
        memset(ip[i].addr, 0, sizeof(ip[i].addr));
        put_addr(ip[i].addr, ip[i].is_v6 ? AF_INET6 : AF_INET, text[i]);
    }
    return spoof_ip_ok(f, ip, ips);
}

/* -- IPv4 ------------------------------------------------------------------ */

static void test_ipv4(void)
{
    for (unsigned tags = 0; tags <= 4; tags++) {
        Frame f;

        make_udp4(&f, tags, "10.0.0.1", 5000, 53);
        g_assert_cmpint(ok(BOTH, &f), ==, tags <= 3);
        g_assert_cmpint(ok("192.0.2.7 10.0.0.1", &f), ==, tags <= 3);
        g_assert_false(ok(V6, &f));
        make_udp4(&f, tags, "10.0.0.3", 5000, 53);
        g_assert_false(ok(BOTH, &f));
    }
}

/* The first four bytes of an IPv6 address are no IPv4 address. */
static void test_families(void)
{
    Frame f;

    make_udp4(&f, 0, "32.1.13.184", 5000, 53);
    g_assert_false(ok("2001:db8::1", &f));
    make_ipv6(&f, 0, "a00:1::", "2001:db8::9", 17);
    g_assert_false(ok("10.0.0.1", &f));
    g_assert_true(ok("a00:1::", &f));
}

static void test_dhcp(void)
{
    Frame f;

    make_udp4(&f, 1, "0.0.0.0", 68, 67);
    g_assert_true(ok(V4, &f));
    g_assert_true(ok(V6, &f));
    make_udp4(&f, 0, "0.0.0.0", 67, 68);
    g_assert_false(ok(V4, &f));
    make_udp4(&f, 0, "0.0.0.0", 68, 53);
    g_assert_false(ok(V4, &f));
    make_udp4(&f, 0, "0.0.0.0", 5000, 67);
    g_assert_false(ok(V4, &f));
    make_udp4(&f, 0, "0.0.0.1", 68, 67);
    g_assert_false(ok(V4, &f));

    make_udp4(&f, 0, "0.0.0.0", 68, 67);
    f.head[14 + 9] = 6;                     /* TCP */
    g_assert_false(ok(V4, &f));
    make_udp4(&f, 0, "0.0.0.0", 68, 67);
    f.head[14 + 7] = 1;                     /* a later fragment */
    g_assert_false(ok(V4, &f));
    make_udp4(&f, 0, "0.0.0.0", 68, 67);
    f.head_bytes--;
    g_assert_false(ok(V4, &f));
}

static void test_ipv4_header(void)
{
    Frame f;

    for (unsigned bytes = 14; bytes <= 14 + 28; bytes++) {
        make_udp4(&f, 0, "10.0.0.1", 5000, 53);
        f.bytes = f.head_bytes = bytes;
        g_assert_cmpint(ok(V4, &f), ==, bytes >= 14 + 20);
    }
    for (unsigned first = 0; first < 256; first++) {
        make_udp4(&f, 0, "10.0.0.1", 5000, 53);
        f.head[14] = first;
        g_assert_cmpint(ok(V4, &f), ==, first >= 0x45 && first <= 0x47);
    }
}

/* -- ARP ------------------------------------------------------------------- */

static void test_arp(void)
{
    for (unsigned operation = 1; operation <= 2; operation++) {
        Frame f;

        make_arp(&f, 1, operation, "10.0.0.2");
        g_assert_true(ok(BOTH, &f));
        g_assert_false(ok(V4, &f));
        g_assert_false(ok(V6, &f));
        make_arp(&f, 0, operation, "0.0.0.0");
        g_assert_cmpint(ok(V4, &f), ==, operation == 1);
    }
}

static void test_arp_header(void)
{
    Frame f;

    for (unsigned bytes = 14; bytes <= 14 + 28; bytes++) {
        make_arp(&f, 0, 1, "10.0.0.1");
        f.bytes = f.head_bytes = bytes;
        g_assert_cmpint(ok(V4, &f), ==, bytes == 14 + 28);
    }
    /* Addresses of other kinds or lengths. */
    for (unsigned i = 0; i < 6; i++) {
        make_arp(&f, 0, 1, "10.0.0.1");
        g_assert_true(ok(V4, &f));
        f.head[14 + i]++;
        g_assert_false(ok(V4, &f));
    }
}

/* -- IPv6 ------------------------------------------------------------------ */

static void test_ipv6(void)
{
    for (unsigned tags = 0; tags <= 4; tags++) {
        Frame f;

        make_ipv6(&f, tags, "2001:db8::1", "2001:db8::9", 17);
        g_assert_cmpint(ok(BOTH, &f), ==, tags <= 3);
        g_assert_cmpint(ok(V6, &f), ==, tags <= 3);
        g_assert_false(ok(V4, &f));
        make_ipv6(&f, tags, "2001:db8::3", "2001:db8::9", 17);
        g_assert_false(ok(V6, &f));
    }
}

static void test_link_local(void)
{
    static const char *const inside[] = { "fe80::1", "fe80::2", "febf::2" };
    static const char *const outside[] = { "fec0::1", "fe7f::1", "ff80::1" };
    Frame f;

    for (unsigned i = 0; i < G_N_ELEMENTS(inside); i++) {
        make_ipv6(&f, 0, inside[i], "ff02::1", 17);
        g_assert_true(ok(V6, &f));
        g_assert_false(ok(V4, &f));
        g_assert_cmpint(ok(V6_LINK_LOCAL, &f), ==, i == 0);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(outside); i++) {
        make_ipv6(&f, 0, outside[i], "ff02::1", 17);
        g_assert_false(ok(V6, &f));
        g_assert_false(ok(V6_LINK_LOCAL, &f));
    }
    /* 254.128.0.1 begins like one, and is none. */
    make_ipv6(&f, 0, "fe80::2", "ff02::1", 17);
    g_assert_true(ok("254.128.0.1 2001:db8::1", &f));
}

static void test_unspecified(void)
{
    Frame f;

    make_icmp6(&f, 0, "::", "ff02::1:ff00:1", 135, "2001:db8::1");
    g_assert_true(ok(V6, &f));
    g_assert_true(ok(V6_LINK_LOCAL, &f));
    g_assert_false(ok(V4, &f));
    make_icmp6(&f, 0, "::", "2001:db8::9", 135, "2001:db8::1");
    g_assert_false(ok(V6, &f));
    make_icmp6(&f, 0, "::", "ff05::2", 133, "::");
    g_assert_false(ok(V6, &f));
    make_icmp6(&f, 0, "::", "fd02::1", 135, "2001:db8::1");
    g_assert_false(ok(V6, &f));
    make_icmp6(&f, 0, "::1", "ff02::1", 135, "2001:db8::1");
    g_assert_false(ok(V6, &f));
}

static void test_advertisement(void)
{
    Frame f;

    make_icmp6(&f, 1, "2001:db8::1", "ff02::1", 136, "2001:db8::2");
    g_assert_true(ok(V6, &f));
    make_icmp6(&f, 1, "2001:db8::1", "ff02::1", 136, "fe80::7");
    g_assert_true(ok(V6, &f));
    g_assert_false(ok(V6_LINK_LOCAL, &f));
    make_icmp6(&f, 1, "2001:db8::1", "ff02::1", 136, "2001:db8::3");
    g_assert_false(ok(V6, &f));
    make_icmp6(&f, 0, "::", "ff02::1", 136, "2001:db8::3");
    g_assert_false(ok(V6, &f));
    /* It asks for whoever it likes. */
    make_icmp6(&f, 1, "2001:db8::1", "ff02::1", 135, "2001:db8::3");
    g_assert_true(ok(V6, &f));

    make_icmp6(&f, 0, "2001:db8::1", "ff02::1", 136, "2001:db8::1");
    for (f.bytes = f.head_bytes = 54; f.head_bytes < 78; f.head_bytes++) {
        g_assert_false(ok(V6, &f));
    }
    g_assert_true(ok(V6, &f));
    /* Of another type, nothing is looked at but that. */
    f.head[54] = 128;
    f.bytes = f.head_bytes = 55;
    g_assert_true(ok(V6, &f));
    f.bytes = f.head_bytes = 54;
    g_assert_false(ok(V6, &f));
}

/* Behind extension headers, too. */
static void test_hidden_advertisement(void)
{
    static const uint8_t extensions[] = { 0, 43, 60 };

    for (unsigned i = 0; i < G_N_ELEMENTS(extensions); i++) {
        Frame f;
        uint8_t *p = make_ipv6(&f, 0, "2001:db8::1", "ff02::1", extensions[i]);

        p[0] = 60;
        p[1] = 1;                           /* 16 bytes */
        p[16] = 58;
        p[24] = 136;
        add(&f, 24 + 24);
        put_addr(p + 24 + 8, AF_INET6, "2001:db8::1");
        g_assert_true(ok(V6, &f));
        put_addr(p + 24 + 8, AF_INET6, "2001:db8::3");
        g_assert_false(ok(V6, &f));
        p[24] = 128;                        /* echo request */
        g_assert_true(ok(V6, &f));
        p[17] = 255;
        g_assert_false(ok(V6, &f));
    }
}

static void test_ipv6_header(void)
{
    Frame f;

    for (unsigned bytes = 14; bytes <= 14 + 40; bytes++) {
        make_ipv6(&f, 0, "2001:db8::1", "2001:db8::9", 59);
        f.bytes = f.head_bytes = bytes;
        g_assert_cmpint(ok(V6, &f), ==, bytes == 14 + 40);
    }
    for (unsigned first = 0; first < 256; first++) {
        make_ipv6(&f, 0, "2001:db8::1", "2001:db8::9", 59);
        f.head[14] = first;
        g_assert_cmpint(ok(V6, &f), ==, first >> 4 == 6);
    }
}

/* -- Others ---------------------------------------------------------------- */

static void test_other(void)
{
    Frame f;

    for (unsigned tags = 0; tags <= 4; tags++) {
        start(&f, tags, 0x88cc);
        g_assert_cmpint(ok(V4, &f), ==, tags <= 3);
    }
    /* A tag, and nothing behind it. */
    start(&f, 1, 0x0800);
    f.bytes = f.head_bytes = 17;
    g_assert_false(ok(V4, &f));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-spoof/ipv4", test_ipv4);
    g_test_add_func("/vus-spoof/families", test_families);
    g_test_add_func("/vus-spoof/dhcp", test_dhcp);
    g_test_add_func("/vus-spoof/ipv4-header", test_ipv4_header);
    g_test_add_func("/vus-spoof/arp", test_arp);
    g_test_add_func("/vus-spoof/arp-header", test_arp_header);
    g_test_add_func("/vus-spoof/ipv6", test_ipv6);
    g_test_add_func("/vus-spoof/link-local", test_link_local);
    g_test_add_func("/vus-spoof/unspecified", test_unspecified);
    g_test_add_func("/vus-spoof/advertisement", test_advertisement);
    g_test_add_func("/vus-spoof/hidden-advertisement",
                    test_hidden_advertisement);
    g_test_add_func("/vus-spoof/ipv6-header", test_ipv6_header);
    g_test_add_func("/vus-spoof/other", test_other);
    return g_test_run();
}
