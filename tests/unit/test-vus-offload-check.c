/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames whose virtio-net header contradicts them, each by as little as
 * possible.
 *
 * Threads: single.
 */
#include "offload.h"
#include "offload-bed.h"

#define GSO_UDP_L4 5
#define VNET(field) offsetof(struct virtio_net_hdr, field)

static uint8_t frame[BED_MAX_BYTES];

/* -- One byte that is different -------------------------------------------- */

typedef enum Base {
    TCP4, TCP6, UDP4, UDP6,         /* to be cut */
    CSUM_TCP4, CSUM_UDP6,
} Base;

static const OffloadSpec bases[] = {
    [TCP4] = { .ip_version = 4, .protocol = BED_TCP, .tcp_options = 12,
               .payload_bytes = 5000, .gso_size = 1000 },
    [TCP6] = { .ip_version = 6, .protocol = BED_TCP, .vlan_tags = 2,
               .tcp_options = 12, .payload_bytes = 5000, .gso_size = 1000 },
    [UDP4] = { .ip_version = 4, .protocol = BED_UDP, .vlan_tags = 1,
               .payload_bytes = 5000, .gso_size = 1000 },
    [UDP6] = { .ip_version = 6, .protocol = BED_UDP, .extensions = 1,
               .payload_bytes = 5000, .gso_size = 1000 },
    [CSUM_TCP4] = { .ip_version = 4, .protocol = BED_TCP,
                    .payload_bytes = 500 },
    [CSUM_UDP6] = { .ip_version = 6, .protocol = BED_UDP, .vlan_tags = 1,
                    .payload_bytes = 500 },
};

typedef enum Where {
    IN_VNET,
    IN_L3,                          /* -2: the EtherType */
    IN_L4,
} Where;

typedef struct Wrong {
    const char *name;
    Base base;
    Where where;
    int at;
    uint8_t value;
} Wrong;

static const Wrong wrongs[] = {
    { "cut-without-checksum", TCP4, IN_VNET, VNET(flags), 0 },
    { "cut-without-checksum-valid", TCP4, IN_VNET, VNET(flags),
      VIRTIO_NET_HDR_F_DATA_VALID },
    { "type/ecn-alone", TCP4, IN_VNET, VNET(gso_type),
      VIRTIO_NET_HDR_GSO_ECN },
    { "type/2", TCP4, IN_VNET, VNET(gso_type), 2 },
    { "type/ufo", UDP4, IN_VNET, VNET(gso_type), VIRTIO_NET_HDR_GSO_UDP },
    { "type/6", TCP6, IN_VNET, VNET(gso_type), 6 },
    { "type/bit-6", TCP4, IN_VNET, VNET(gso_type),
      VIRTIO_NET_HDR_GSO_TCPV4 | 0x40 },
    { "type/tcp4-of-tcp6", TCP6, IN_VNET, VNET(gso_type),
      VIRTIO_NET_HDR_GSO_TCPV4 },
    { "type/tcp6-of-tcp4", TCP4, IN_VNET, VNET(gso_type),
      VIRTIO_NET_HDR_GSO_TCPV6 },
    { "type/udp-of-tcp", TCP4, IN_VNET, VNET(gso_type), GSO_UDP_L4 },
    { "type/tcp-of-udp", UDP4, IN_VNET, VNET(gso_type),
      VIRTIO_NET_HDR_GSO_TCPV4 },
    { "type/udp-with-ecn", UDP6, IN_VNET, VNET(gso_type),
      GSO_UDP_L4 | VIRTIO_NET_HDR_GSO_ECN },

    { "csum-start/tcp", TCP4, IN_VNET, VNET(csum_start), 33 },
    { "csum-start/udp", UDP4, IN_VNET, VNET(csum_start), 39 },
    { "csum-start/inside", TCP4, IN_VNET, VNET(csum_start), 14 + 20 + 32 },
    { "csum-start/far", TCP4, IN_VNET, VNET(csum_start) + 1, 0xff },
    { "csum-start/destination", CSUM_TCP4, IN_VNET, VNET(csum_start), 0 },
    { "csum-start/ip", CSUM_TCP4, IN_VNET, VNET(csum_start), 14 },
    { "csum-start/before", CSUM_TCP4, IN_VNET, VNET(csum_start), 33 },
    { "csum-start/behind", CSUM_TCP4, IN_VNET, VNET(csum_start), 35 },
    { "csum-start/in-tcp", CSUM_TCP4, IN_VNET, VNET(csum_start), 14 + 39 },
    { "csum-start/in-udp", CSUM_UDP6, IN_VNET, VNET(csum_start), 18 + 47 },
    { "csum-start/cut", CSUM_TCP4, IN_VNET, VNET(csum_start),
      FRAME_HEAD_BYTES - 17 },
    { "csum-offset/tcp", TCP4, IN_VNET, VNET(csum_offset), 6 },
    { "csum-offset/udp", UDP4, IN_VNET, VNET(csum_offset), 16 },
    { "csum-offset/ports", CSUM_TCP4, IN_VNET, VNET(csum_offset), 0 },
    { "csum-offset/odd", CSUM_UDP6, IN_VNET, VNET(csum_offset), 7 },
    { "csum-offset/far", CSUM_TCP4, IN_VNET, VNET(csum_offset) + 1, 0xff },

    { "l2/arp", TCP4, IN_L3, -1, 0x06 },
    { "l2/arp-checksum", CSUM_TCP4, IN_L3, -1, 0x06 },
    { "l2/ipv6-of-ipv4", TCP4, IN_L3, -2, 0x86 },
    { "l2/neither", UDP4, IN_L3, -1, 0x01 },
    { "l2/no-second-tag", TCP6, IN_L3, -5, 0x01 },

    { "ipv4/version-5", TCP4, IN_L3, 0, 0x55 },
    { "ipv4/version-6-checksum", CSUM_TCP4, IN_L3, 0, 0x65 },
    { "ipv4/short-header", TCP4, IN_L3, 0, 0x44 },
    { "ipv4/short-header-checksum", CSUM_TCP4, IN_L3, 0, 0x40 },
    { "ipv4/long-header", TCP4, IN_L3, 0, 0x46 },
    { "ipv4/protocol", TCP4, IN_L3, 9, BED_UDP },
    { "ipv4/other-protocol", UDP4, IN_L3, 9, 50 },
    { "ipv4/more-fragments", TCP4, IN_L3, 6, 0x20 },
    { "ipv4/last-fragment", TCP4, IN_L3, 7, 0x01 },
    { "ipv4/fragment-checksum", CSUM_TCP4, IN_L3, 6, 0x20 },
    { "ipv4/length-high", TCP4, IN_L3, 2, 0 },
    { "ipv4/length", TCP4, IN_L3, 3, 0xc9 },

    { "ipv6/version", TCP6, IN_L3, 0, 0x40 },
    { "ipv6/version-checksum", CSUM_UDP6, IN_L3, 0, 0x70 },
    { "ipv6/protocol", TCP6, IN_L3, 6, BED_UDP },
    { "ipv6/fragment", UDP6, IN_L3, 40, 44 },
    { "ipv6/fragment-checksum", CSUM_UDP6, IN_L3, 6, 44 },
    { "ipv6/long-extension", UDP6, IN_L3, 41, 1 },
    { "ipv6/longer-extension", UDP6, IN_L3, 41, 255 },
    { "ipv6/extension-checksum", CSUM_UDP6, IN_L3, 6, 60 },
    { "ipv6/length", TCP6, IN_L3, 5, 0 },

    { "tcp/short-header", TCP4, IN_L4, 12, 0x40 },
    { "tcp/no-header", TCP6, IN_L4, 12, 0x00 },
    { "udp/length-high", UDP4, IN_L4, 4, 0 },
    { "udp/length", UDP6, IN_L4, 5, 0 },
};

/* Makes it into frame; returns its length. */
static size_t make(const OffloadSpec *s, struct virtio_net_hdr *vnet)
{
    size_t bytes = offload_make(s, frame, vnet);

    /* What is random must not be what is wrong, or the other way round. */
    if (s->ip_version == 4) {
        frame[offload_spec_l3(s) + 6] = 0;
    }
    return bytes;
}

static bool check(size_t bytes, const struct virtio_net_hdr *vnet,
                  uint8_t allowed)
{
    g_autoptr(Sent) sent = sent_new(frame, bytes, vnet);

    return offload_check(&sent->f, allowed);
}

static void test_wrong(const void *opaque)
{
    const Wrong *w = opaque;
    const OffloadSpec *s = &bases[w->base];
    struct virtio_net_hdr vnet;
    size_t bytes = make(s, &vnet);
    uint8_t *in[] = {
        [IN_VNET] = (uint8_t *)&vnet,
        [IN_L3] = frame + offload_spec_l3(s),
        [IN_L4] = frame + offload_spec_l4(s),
    };

    g_assert_true(check(bytes, &vnet, OFFLOAD_ALL));
    g_assert_cmphex(in[w->where][w->at], !=, w->value);
    in[w->where][w->at] = w->value;
    g_assert_false(check(bytes, &vnet, OFFLOAD_ALL));
}

/* -- More than a byte ------------------------------------------------------ */

static void test_no_size(void)
{
    struct virtio_net_hdr vnet;
    size_t bytes = make(&bases[TCP4], &vnet);

    vnet.gso_size = GUINT16_TO_LE(1);
    g_assert_true(check(bytes, &vnet, OFFLOAD_ALL));
    vnet.gso_size = 0;
    g_assert_false(check(bytes, &vnet, OFFLOAD_ALL));
}

/* Something has to be in the segments. */
static void test_no_payload(void)
{
    for (unsigned payload = 0; payload < 2; payload++) {
        for (Base base = TCP4; base <= UDP6; base++) {
            OffloadSpec s = bases[base];
            struct virtio_net_hdr vnet;
            size_t bytes;

            s.payload_bytes = payload;
            bytes = make(&s, &vnet);
            g_assert_cmpint(check(bytes, &vnet, OFFLOAD_ALL), ==, payload);
        }
    }
}

/* A frame that ends within its headers, wherever that is. */
static void test_cut(void)
{
    for (Base base = TCP4; base < G_N_ELEMENTS(bases); base++) {
        const OffloadSpec *s = &bases[base];
        struct virtio_net_hdr vnet;
        size_t bytes = make(s, &vnet);
        unsigned field = offload_spec_l4(s) +
                         GUINT16_FROM_LE(vnet.csum_offset);
        unsigned least = s->gso_size > 0 ? bytes : field + 2;

        for (size_t some = FRAME_MIN_BYTES; some <= bytes; some++) {
            g_assert_cmpint(check(some, &vnet, OFFLOAD_ALL), ==,
                            some >= least);
        }
    }
}

/* Headers up to the end of what is copied, and beyond. */
static void test_long_headers(void)
{
    OffloadSpec s = {
        .ip_version = 6, .protocol = BED_TCP, .vlan_tags = 2,
        .extensions = 2, .payload_bytes = 5000, .gso_size = 1000,
    };
    struct virtio_net_hdr vnet;
    size_t bytes;

    for (s.tcp_options = 0; s.tcp_options <= 40; s.tcp_options += 4) {
        bytes = make(&s, &vnet);
        g_assert_cmpint(check(bytes, &vnet, OFFLOAD_ALL), ==,
                        offload_spec_payload(&s) <= FRAME_HEAD_BYTES);
    }
    g_assert_cmpuint(offload_spec_payload(&s) - 4, >, FRAME_HEAD_BYTES);
}

/*
 * Other protocols, and what is not IP, may have a checksum wherever no address
 * is.
 */
static void test_other_protocol(void)
{
    OffloadSpec s = bases[CSUM_UDP6];
    unsigned l3 = offload_spec_l3(&s), l4 = offload_spec_l4(&s);
    struct virtio_net_hdr vnet;
    size_t bytes = make(&s, &vnet);

    for (unsigned start = 0; start < l4 + 20; start++) {
        vnet.csum_start = GUINT16_TO_LE(start);
        vnet.csum_offset = GUINT16_TO_LE(2);
        frame[l3 - 1] = 0xdd;
        frame[l3 + 6] = 58;                     /* ICMPv6 */
        g_assert_cmpint(check(bytes, &vnet, OFFLOAD_CSUM), ==, start >= l4);
        frame[l3 - 1] = 0x01;
        g_assert_cmpint(check(bytes, &vnet, OFFLOAD_CSUM), ==, start >= l3);
    }
}

static void test_three_tags(void)
{
    struct virtio_net_hdr vnet;
    size_t bytes;
    OffloadSpec s = bases[CSUM_UDP6];

    for (s.vlan_tags = 0; s.vlan_tags <= 4; s.vlan_tags++) {
        bytes = make(&s, &vnet);
        g_assert_cmpint(check(bytes, &vnet, OFFLOAD_ALL), ==,
                        s.vlan_tags <= 2);
    }
}

/* -- Features -------------------------------------------------------------- */

static void test_nothing_agreed(void)
{
    for (Base base = TCP4; base < G_N_ELEMENTS(bases); base++) {
        struct virtio_net_hdr vnet;
        size_t bytes = make(&bases[base], &vnet);

        g_assert_false(check(bytes, &vnet, 0));
        g_assert_false(check(bytes, &vnet, OFFLOAD_ALL & ~OFFLOAD_CSUM));
        g_assert_cmpint(check(bytes, &vnet, OFFLOAD_CSUM), ==,
                        vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE);
        g_assert_true(check(bytes, &vnet, offload_expect_needs(&bases[base])));
    }
}

/*
 * Flags that a driver does not send are no reason to refuse a frame, and are
 * not passed on.
 */
static void test_plain(void)
{
    static const struct virtio_net_hdr zero;
    struct virtio_net_hdr vnet;
    size_t bytes = make(&bases[TCP4], &vnet);
    g_autoptr(Sent) sent = NULL;

    memset(&vnet, 0xff, sizeof(vnet));
    vnet.flags = 0xff & ~VIRTIO_NET_HDR_F_NEEDS_CSUM;
    vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
    sent = sent_new(frame, bytes, &vnet);
    g_assert_false(offload_is_plain(&sent->f));
    g_assert_true(offload_check(&sent->f, 0));
    g_assert_true(offload_is_plain(&sent->f));
    g_assert_cmphex(offload_needs(&sent->f), ==, 0);
    g_assert_cmpmem(&sent->f.vnet, sizeof(zero), &zero, sizeof(zero));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(wrongs); i++) {
        g_autofree char *path =
            g_strdup_printf("/vus-offload-check/wrong/%s", wrongs[i].name);

        g_test_add_data_func(path, &wrongs[i], test_wrong);
    }
    g_test_add_func("/vus-offload-check/no-size", test_no_size);
    g_test_add_func("/vus-offload-check/no-payload", test_no_payload);
    g_test_add_func("/vus-offload-check/cut", test_cut);
    g_test_add_func("/vus-offload-check/long-headers", test_long_headers);
    g_test_add_func("/vus-offload-check/other-protocol", test_other_protocol);
    g_test_add_func("/vus-offload-check/three-tags", test_three_tags);
    g_test_add_func("/vus-offload-check/nothing-agreed", test_nothing_agreed);
    g_test_add_func("/vus-offload-check/plain", test_plain);
    return g_test_run();
}
