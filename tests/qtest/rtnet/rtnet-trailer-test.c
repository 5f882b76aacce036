/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an rtvnic writes into frames, and what it makes of frames that come.
 *
 * Without a scheduler frames leave at once, so that contents is all there is.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "rtnet-frames.h"
#include "rtnet-libqos.h"

#define SLOT 4
#define DEADLINE_NS (500 * RT_US)
#define MTU_OFFSET 10               /* in virtio-net's configuration */

/* Who reads and writes trailers; MAC and deadline are what tests expect. */
#define RTVNIC(options) \
    "-device rtvnic,id=r0,netdev=n0,addr=4,mac=52:54:00:ab:cd:ef," \
    "deadline-us=500" options " "

typedef struct Setup {
    RtVm *vm;
    RtNic *nic;
    uint8_t frame[RT_FRAME_MAX];    /* what left or arrived last */
} Setup;

static void setup(Setup *s, const char *options)
{
    s->vm = rt_vm_start(1, "%s", options);
    s->nic = rt_nic_start(s->vm, SLOT);
}

static void teardown(Setup *s)
{
    rt_nic_free(s->nic);
    rt_vm_stop(s->vm);
}

/* The guest sends @frame; returns the length of what leaves, 0 if nothing. */
static size_t transmit(Setup *s, const uint8_t *frame, size_t bytes)
{
    rt_nic_send(s->nic, frame, bytes);
    return rt_wire_receive(s->vm, 0, s->frame);
}

/* @frame comes from the wire; returns the length of what the guest gets. */
static size_t deliver(Setup *s, const uint8_t *frame, size_t bytes)
{
    rt_wire_send(s->vm, 0, frame, bytes);
    return rt_nic_receive(s->nic, s->frame);
}

static uint64_t counter(Setup *s, const char *name)
{
    return rt_port_counter(s->vm, "r0", name);
}

/* -- Out ------------------------------------------------------------------- */

typedef struct TxCase {
    const char *name;
    RtFrameSpec sent;
    uint16_t left_tci;
    size_t padded_bytes;
} TxCase;

static const TxCase tx_cases[] = {
    { "ipv4", { .bytes = 200, .dscp = 10, .ecn = 1 }, 0, 200 },
    { "ipv4-short", { .bytes = 46, .dscp = 10, .ecn = 3 }, 0, 60 },
    { "ipv4-same-dscp", { .bytes = 100, .dscp = 46, .ecn = 2 }, 0, 100 },
    { "ipv4-longest", { .bytes = 1482, .dscp = 63 }, 0, 1482 },
    { "ipv6", { .bytes = 200, .dscp = 10, .ecn = 3, .ipv6 = true }, 0, 200 },
    { "vlan", { .bytes = 200, .dscp = 1, .tags = 1, .tci = 0x1064 },
      0xb064, 200 },
    { "vlan-short", { .bytes = 50, .ecn = 2, .tags = 1, .tci = 0x0fff },
      0xafff, 64 },
    { "vlan-ipv6", { .bytes = 300, .ipv6 = true, .tags = 1, .tci = 0xe001 },
      0xa001, 300 },
};

/* Everything is as sent but DSCP and PCP; then comes the trailer. */
static void test_tx(const void *opaque)
{
    const TxCase *c = opaque;
    RtFrameSpec marked = c->sent;
    uint8_t sent[RT_FRAME_MAX], expected[RT_FRAME_MAX];
    RtTrailerFields t;
    size_t bytes;
    Setup s;

    setup(&s, RTVNIC(",dscp=46,pcp=5"));
    marked.dscp = 46;
    marked.tci = c->left_tci;
    for (uint32_t i = 0; i < 3; i++) {
        rt_step_to(s.vm, s.vm->now_ns + 12345 * i);
        rt_frame_make(&c->sent, sent);
        memset(expected, 0, sizeof(expected));
        rt_frame_make(&marked, expected);
        bytes = transmit(&s, sent, c->sent.bytes);
        g_assert_cmpuint(bytes, ==, c->padded_bytes + RT_TRAILER_BYTES);
        g_assert_cmpmem(s.frame, c->padded_bytes, expected, c->padded_bytes);
        g_assert_true(c->sent.ipv6 || rt_frame_ipv4_checksum_valid(s.frame));
        g_assert_cmpuint(rt_frame_ecn(s.frame), ==, c->sent.ecn);

        rt_trailer_read(s.frame, bytes, &t);
        g_assert_cmpuint(t.sent_ns, ==, s.vm->now_ns);
        g_assert_cmpuint(t.deadline_ns, ==, DEADLINE_NS);
        g_assert_cmpuint(t.sequence, ==, i);
        g_assert_cmphex(t.source_id, ==, 0x00abcdef);
        g_assert_cmpuint(t.padding_bytes, ==, c->padded_bytes - c->sent.bytes);
        g_assert_cmphex(t.flags & ~RT_FLAG_CLOCK_SYNC, ==,
                        c->sent.dscp == 46 ? 0 : RT_FLAG_DSCP_REWRITTEN);
        g_assert_cmpuint(t.guest_dscp, ==, c->sent.dscp);
    }
    teardown(&s);
}

/* What the guest padded itself is replaced by our padding. */
static void test_tx_guest_padding(void)
{
    RtFrameSpec spec = { .bytes = 50 };
    uint8_t sent[100];
    RtTrailerFields t;
    size_t bytes;
    Setup s;

    setup(&s, RTVNIC(""));
    memset(sent, 0xee, sizeof(sent));
    rt_frame_make(&spec, sent);
    for (size_t padded = 50; padded <= 100; padded += 10) {
        bytes = transmit(&s, sent, padded);
        g_assert_cmpuint(bytes, ==, RT_MIN_BYTES + RT_TRAILER_BYTES);
        rt_trailer_read(s.frame, bytes, &t);
        g_assert_cmpuint(t.padding_bytes, ==, 10);
        for (size_t i = 50; i < RT_MIN_BYTES; i++) {
            g_assert_cmpuint(s.frame[i], ==, 0);
        }
    }
    teardown(&s);
}

/* ARP leaves as it is; so does an IP header that makes no sense. */
static void test_tx_not_ip(void)
{
    RtFrameSpec spec = { .bytes = 80, .dscp = 10 };
    uint8_t sent[80];
    size_t bytes = rt_frame_make_arp(sent);
    RtTrailerFields t;
    Setup s;

    setup(&s, RTVNIC(",dscp=46"));
    g_assert_cmpuint(transmit(&s, sent, bytes), ==, bytes);
    g_assert_cmpmem(s.frame, bytes, sent, bytes);

    rt_frame_make(&spec, sent);
    stw_be_p(sent + 16, 67);    /* IP claims a byte more than there is */
    g_assert_cmpuint(transmit(&s, sent, sizeof(sent)), ==, sizeof(sent));
    g_assert_cmpmem(s.frame, sizeof(sent), sent, sizeof(sent));
    g_assert_cmpuint(counter(&s, "not-ip"), ==, 2);

    /* Neither used up a sequence number. */
    rt_frame_make(&spec, sent);
    bytes = transmit(&s, sent, sizeof(sent));
    rt_trailer_read(s.frame, bytes, &t);
    g_assert_cmpuint(t.sequence, ==, 0);
    teardown(&s);
}

/* At the limits of the MTU and below an Ethernet header. */
static void test_tx_sizes(void)
{
    RtFrameSpec spec = { .bytes = 1483, .dscp = 10 };
    uint8_t sent[RT_FRAME_MAX];
    Setup s;

    setup(&s, RTVNIC(",dscp=46"));
    g_assert_cmpuint(qvirtio_config_readw(&s.nic->dev->vdev, MTU_OFFSET), ==,
                     1500 - RT_TRAILER_BYTES);

    /* No room for the trailer: marked only. */
    rt_frame_make(&spec, sent);
    g_assert_cmpuint(transmit(&s, sent, 1483), ==, 1483);
    g_assert_cmpuint(rt_frame_dscp(s.frame), ==, 46);
    spec.bytes = 1514;
    rt_frame_make(&spec, sent);
    g_assert_cmpuint(transmit(&s, sent, 1514), ==, 1514);
    g_assert_cmpuint(counter(&s, "no-room"), ==, 2);

    spec.bytes = 1515;
    rt_frame_make(&spec, sent);
    g_assert_cmpuint(transmit(&s, sent, 1515), ==, 0);
    g_assert_cmpuint(rt_port_drops(s.vm, "r0", "oversize"), ==, 1);
    g_assert_cmpuint(transmit(&s, sent, 13), ==, 0);
    g_assert_cmpuint(rt_port_drops(s.vm, "r0", "runt"), ==, 1);
    g_assert_cmpuint(counter(&s, "sent"), ==, 2);
    g_assert_cmpuint(rt_nic_unsent(s.nic), ==, 0);
    teardown(&s);
}

/* Options that change what is written. */
static void test_tx_options(void)
{
    RtFrameSpec spec = { .bytes = 100, .dscp = 10 };
    uint8_t sent[RT_FRAME_MAX];
    RtTrailerFields t;
    Setup s;

    rt_frame_make(&spec, sent);
    setup(&s, "-object edf-scheduler,id=s0,rate-bps=1000000000 "
          RTVNIC(",scheduler=s0,period-us=5000,source-id=0x11223344"));
    rt_trailer_read(s.frame, transmit(&s, sent, 100), &t);
    g_assert_cmphex(t.source_id, ==, 0x11223344);
    g_assert_cmphex(t.flags & ~RT_FLAG_CLOCK_SYNC, ==, RT_FLAG_ADMITTED);
    g_assert_cmpuint(rt_frame_dscp(s.frame), ==, 10);
    teardown(&s);

    setup(&s, RTVNIC(",trailer=off,dscp=46"));
    g_assert_cmpuint(transmit(&s, sent, 100), ==, 100);
    g_assert_cmpuint(rt_frame_dscp(s.frame), ==, 46);
    g_assert_cmpuint(qvirtio_config_readw(&s.nic->dev->vdev, MTU_OFFSET), ==,
                     1500);
    teardown(&s);

    setup(&s, RTVNIC(",link-mtu=9000"));
    spec.bytes = 9000 + 14 - RT_TRAILER_BYTES;
    rt_frame_make(&spec, sent);
    g_assert_cmpuint(transmit(&s, sent, spec.bytes), ==, 9000 + 14);
    g_assert_cmpuint(qvirtio_config_readw(&s.nic->dev->vdev, MTU_OFFSET), ==,
                     9000 - RT_TRAILER_BYTES);
    teardown(&s);
}

/* -- In -------------------------------------------------------------------- */

/* A frame as another rtvnic sends it: marked, padded, with @t behind. */
static size_t make_marked(RtFrameSpec spec, RtTrailerFields *t, uint8_t *frame)
{
    size_t padded = MAX(spec.bytes, RT_MIN_BYTES + 4 * spec.tags);

    memset(frame, 0, padded);
    t->version = 1;
    t->guest_dscp = spec.dscp;
    t->padding_bytes = padded - spec.bytes;
    spec.dscp = 46;
    rt_frame_make(&spec, frame);
    return rt_trailer_append(frame, padded, t);
}

/* The guest gets what the other guest sent; ECN is the network's. */
static void test_rx(void)
{
    uint8_t marked[RT_FRAME_MAX], expected[RT_FRAME_MAX];
    Setup s;

    setup(&s, RTVNIC(""));
    for (size_t i = 0; i < ARRAY_SIZE(tx_cases); i++) {
        const RtFrameSpec *spec = &tx_cases[i].sent;
        RtTrailerFields t = { .sent_ns = s.vm->now_ns };
        size_t bytes = make_marked(*spec, &t, marked);

        rt_frame_make(spec, expected);
        bytes = deliver(&s, marked, bytes);
        g_assert_cmpmem(s.frame, bytes, expected, spec->bytes);
    }
    g_assert_cmpuint(counter(&s, "trailers"), ==, ARRAY_SIZE(tx_cases));
    g_assert_cmpuint(counter(&s, "received"), ==, ARRAY_SIZE(tx_cases));
    g_assert_cmpuint(counter(&s, "rejected"), ==, 0);
    g_assert_cmpuint(counter(&s, "missed"), ==, 0);
    teardown(&s);
}

/* Through one rtvnic and in by another, exactly as sent, and how late. */
static void test_round_trip(void)
{
    RtVm *vm = rt_vm_start(2, RTVNIC(",dscp=46,pcp=5")
                           "-device rtvnic,id=r1,netdev=n1,addr=5");
    RtNic *from = rt_nic_start(vm, SLOT), *to = rt_nic_start(vm, SLOT + 1);
    uint8_t sent[RT_FRAME_MAX], wire[RT_FRAME_MAX], got[RT_FRAME_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(tx_cases); i++) {
        RtFrameSpec spec = tx_cases[i].sent;
        size_t bytes;

        spec.tci = tx_cases[i].left_tci;    /* PCP is not restored */
        spec.number = i;
        rt_frame_make(&spec, sent);
        rt_nic_send(from, sent, spec.bytes);
        bytes = rt_wire_receive(vm, 0, wire);
        rt_step_to(vm, vm->now_ns + DEADLINE_NS + 3 - i);
        rt_wire_send(vm, 1, wire, bytes);
        bytes = rt_nic_receive(to, got);
        g_assert_cmpmem(got, bytes, sent, spec.bytes);
    }
    g_assert_cmpuint(rt_port_counter(vm, "r1", "missed"), ==, 3);
    g_assert_cmpuint(rt_port_hist(vm, "r1", "transit-delay", "max-ns"), ==,
                     DEADLINE_NS + 3);
    g_assert_cmpuint(rt_port_hist(vm, "r1", "transit-delay", "count"), ==,
                     ARRAY_SIZE(tx_cases));
    rt_nic_free(from);
    rt_nic_free(to);
    rt_vm_stop(vm);
}

/* T_r - T_s against T_d and against max-skew-us, at both edges. */
static void test_rx_miss(void)
{
    static const struct {
        int64_t age_ns;
        uint32_t deadline_ns;
        unsigned missed;        /* all so far */
        unsigned skewed;
    } cases[] = {
        { 500000, 500000, 0, 0 },
        { 500001, 500000, 1, 0 },
        { 900000, 0, 1, 0 },
        { -2000000, 500000, 1, 0 },
        { -2000001, 500000, 1, 1 },
        { -1000000000, 1, 1, 2 },
        { 1, 0xffffffff, 1, 2 },
        { 1000000, 1, 2, 2 },
    };
    RtFrameSpec spec = { .bytes = 100 };
    uint8_t marked[RT_FRAME_MAX];
    Setup s;

    setup(&s, RTVNIC(",max-skew-us=2000"));
    rt_step_to(s.vm, 5 * RT_MS);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        RtTrailerFields t = {
            .sent_ns = s.vm->now_ns - cases[i].age_ns,
            .deadline_ns = cases[i].deadline_ns,
        };
        size_t bytes = make_marked(spec, &t, marked);

        g_assert_cmpuint(deliver(&s, marked, bytes), ==, spec.bytes);
        g_assert_cmpuint(counter(&s, "missed"), ==, cases[i].missed);
        g_assert_cmpuint(counter(&s, "skewed"), ==, cases[i].skewed);
    }
    g_assert_cmpuint(rt_port_hist(s.vm, "r0", "transit-delay", "count"), ==, 6);
    g_assert_cmpuint(rt_port_hist(s.vm, "r0", "transit-delay", "max-ns"), ==,
                     1000000);
    teardown(&s);
}

/* Assert that the guest gets all of @frame; it counts as rejected, or not. */
static void expect_untouched(Setup *s, const uint8_t *frame, size_t bytes,
                             bool rejected)
{
    uint64_t before = counter(s, "rejected");
    size_t got = deliver(s, frame, bytes);

    g_assert_cmpmem(s->frame, got, frame, bytes);
    g_assert_cmpuint(counter(s, "rejected"), ==, before + rejected);
    g_assert_cmpuint(counter(s, "trailers"), ==, 0);
}

/* Nothing is stripped that is not right to the last bit. */
static void test_rx_damaged(void)
{
    RtFrameSpec spec = { .bytes = 46 };
    RtTrailerFields t = { .deadline_ns = 1, .sequence = 7 };
    uint8_t frame[RT_FRAME_MAX];
    size_t bytes, trailer;
    Setup s;

    setup(&s, RTVNIC(""));
    bytes = make_marked(spec, &t, frame);
    trailer = bytes - RT_TRAILER_BYTES;
    for (size_t bit = 0; bit < 8 * RT_TRAILER_BYTES; bit += 5) {
        frame[trailer + bit / 8] ^= 1 << bit % 8;
        expect_untouched(&s, frame, bytes, bit < 8 * 28);
        frame[trailer + bit / 8] ^= 1 << bit % 8;
    }
    for (size_t cut = 1; cut <= RT_TRAILER_BYTES; cut += 6) {
        expect_untouched(&s, frame, bytes - cut, false);
    }

    /* CRC right, contents wrong. */
    t.version = 2;
    rt_trailer_append(frame, trailer, &t);
    expect_untouched(&s, frame, bytes, true);
    t.version = 1;
    t.padding_bytes++;
    rt_trailer_append(frame, trailer, &t);
    expect_untouched(&s, frame, bytes, true);
    t.padding_bytes = 0;
    rt_trailer_append(frame, trailer, &t);
    expect_untouched(&s, frame, bytes, true);
    teardown(&s);
}

/* A payload may look like a trailer, and stand before a real one. */
static void test_rx_payload(void)
{
    RtFrameSpec spec = { .bytes = 132 };
    RtTrailerFields inner = { .version = 1 }, outer = { 0 };
    uint8_t frame[RT_FRAME_MAX], sent[RT_FRAME_MAX];
    size_t bytes;
    Setup s;

    setup(&s, RTVNIC(""));
    rt_frame_make(&spec, frame);
    rt_trailer_append(frame, 100, &inner);
    expect_untouched(&s, frame, 132, true);

    bytes = rt_frame_make_arp(frame);
    inner.padding_bytes = 18;
    memset(frame + bytes, 0, inner.padding_bytes);
    bytes = rt_trailer_append(frame, RT_MIN_BYTES, &inner);
    expect_untouched(&s, frame, bytes, true);

    /* Only the outer one is one; what the guest gets ends like a trailer. */
    inner.padding_bytes = 0;
    outer.sent_ns = s.vm->now_ns;
    bytes = make_marked(spec, &outer, frame);
    rt_trailer_append(frame, 100, &inner);
    rt_frame_make(&spec, sent);
    rt_trailer_append(sent, 100, &inner);
    bytes = deliver(&s, frame, bytes);
    g_assert_cmpmem(s.frame, bytes, sent, 132);
    g_assert_cmpuint(counter(&s, "trailers"), ==, 1);
    teardown(&s);
}

/* Frames too short for any header pass without harm. */
static void test_rx_runt(void)
{
    static const uint8_t frame[64] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8 };
    Setup s;

    setup(&s, RTVNIC(""));
    for (size_t bytes = 1; bytes <= sizeof(frame); bytes += 7) {
        deliver(&s, frame, bytes);
    }
    g_assert_cmpuint(counter(&s, "received"), ==, 10);
    g_assert_cmpuint(counter(&s, "trailers"), ==, 0);
    teardown(&s);
}

/* -- Ports that are no rtvnic's -------------------------------------------- */

static void test_plain_port(void)
{
    RtFrameSpec spec = { .bytes = 100, .dscp = 10 };
    uint8_t frame[RT_FRAME_MAX];
    RtTrailerFields t = { 0 };
    size_t bytes;
    Setup s;

    setup(&s, "-object edf-scheduler,id=s0 -object edf-port,id=p0,netdev=n0,"
          "scheduler=s0,deadline-us=500 "
          "-device virtio-net-pci,netdev=p0,queue_reset=off,addr=4");
    rt_frame_make(&spec, frame);
    bytes = transmit(&s, frame, spec.bytes);
    g_assert_cmpmem(s.frame, bytes, frame, spec.bytes);

    bytes = make_marked(spec, &t, frame);
    g_assert_cmpuint(deliver(&s, frame, bytes), ==, bytes);
    g_assert_cmpmem(s.frame, bytes, frame, bytes);
    g_assert_cmpuint(rt_port_counter(s.vm, "p0", "received"), ==, 1);
    g_assert_cmpuint(rt_port_counter(s.vm, "p0", "trailers"), ==, 0);
    g_assert_cmpuint(rt_port_counter(s.vm, "p0", "rejected"), ==, 0);
    teardown(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(tx_cases); i++) {
        g_autofree char *path =
            g_strdup_printf("rtnet/trailer/tx/%s", tx_cases[i].name);

        qtest_add_data_func(path, &tx_cases[i], test_tx);
    }
    qtest_add_func("rtnet/trailer/tx/guest-padding", test_tx_guest_padding);
    qtest_add_func("rtnet/trailer/tx/not-ip", test_tx_not_ip);
    qtest_add_func("rtnet/trailer/tx/sizes", test_tx_sizes);
    qtest_add_func("rtnet/trailer/tx/options", test_tx_options);
    qtest_add_func("rtnet/trailer/rx/restored", test_rx);
    qtest_add_func("rtnet/trailer/rx/round-trip", test_round_trip);
    qtest_add_func("rtnet/trailer/rx/miss-and-skew", test_rx_miss);
    qtest_add_func("rtnet/trailer/rx/damaged", test_rx_damaged);
    qtest_add_func("rtnet/trailer/rx/payload", test_rx_payload);
    qtest_add_func("rtnet/trailer/rx/runt", test_rx_runt);
    qtest_add_func("rtnet/trailer/plain-port", test_plain_port);
    return g_test_run();
}
