/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port of type af-xdp whose memory is a domain's, on the loopback interface
 * of a network namespace of its own: what a member sends comes back to it, out
 * of one buffer into another, without a copy of ours.
 *
 * Threads: one, and the switch's worker.
 */
#define _GNU_SOURCE
#include <net/if.h>
#include <netpacket/packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"
#include "netvm-bed.h"
#include "netvm/afxdp-segments.h"
#include "port.h"

#define MTU 1500
#define LONGEST (MTU + 14)
/* Of the kernel: in front of a frame that came. */
#define RX_OFFSET 256
#define FEW 20

/* -- The bed --------------------------------------------------------------- */

/* Member m0 and the port "up", all of one for the other. */
static NetvmBed *uplink_bed_new(const char *settings)
{
    NetvmBed *b = netvm_bed_new(settings);
    g_autofree char *port = g_strdup_printf("type=netvm domain=d socket=%s "
                                            "peer=up", b->socket[0]);

    bed_set(b->sw, "m0", port);
    bed_add(b->sw, "up", "type=af-xdp ifname=lo domain=d peer=m0");
    return b;
}

static const DomainHolder *holder(const NetvmBed *b)
{
    g_assert_cmpuint(b->domain->holders->len, ==, 1);
    return g_ptr_array_index(b->domain->holders, 0);
}

/* What has been counted of it, so far. */
#define COUNTED(b, field) counted(b, offsetof(DomainHolder, field))

static uint64_t counted(NetvmBed *b, size_t field)
{
    const char *at = (const char *)holder(b) + field;
    uint64_t n;

    pthread_mutex_lock(&b->domain->lock);
    n = *(const uint64_t *)at;
    pthread_mutex_unlock(&b->domain->lock);
    return n;
}

typedef struct RxMoved {
    NetvmBed *bed;
    uint64_t n;
} RxMoved;

static bool are_moved(void *opaque)
{
    const RxMoved *m = opaque;

    return COUNTED(m->bed, rx_moved_pkts) == m->n;
}

/* That is counted when the burst has ended. */
static void expect_rx_moved(NetvmBed *b, uint64_t n)
{
    RxMoved m = { b, n };

    bed_wait(are_moved, &m, "so many packets to be moved");
}

static uint32_t held(const NetvmBed *b)
{
    return __atomic_load_n(&holder(b)->buffers, __ATOMIC_RELAXED);
}

/* As it is with nothing on its way; a few may be missing. */
static uint32_t usual(const NetvmBed *b)
{
    return MIN(domain_buffers(b->domain) / 4, 2048);
}

static bool is_usual(void *opaque)
{
    return held(opaque) <= usual(opaque) && held(opaque) + 32 > usual(opaque);
}

static bool adds_up(void *opaque)
{
    NetvmBed *b = opaque;

    return domain_free_buffers(b->domain) + held(b) == b->domain->buffers;
}

/* The member goes, and then the port: nobody has a buffer any more. */
static void check_all_back(NetvmBed *b)
{
    if (b->nv[0]) {
        netvm_bed_detach(b, 0);
    }
    netvm_bed_wait_gone(b);
    bed_wait(is_usual, b, "what was sent to be free");
    bed_wait(adds_up, b, "the kernel to have all that is not free");
    bed_remove(b->sw, "up");
    g_assert_cmpuint(b->domain->holders->len, ==, 0);
    g_assert_cmpuint(domain_free_buffers(b->domain), ==, b->domain->buffers);
    g_assert_cmpuint(netvm_bed_owned(b, NETVM_DAEMON), ==,
                     b->domain->buffers);
}

/* -- Packets --------------------------------------------------------------- */

static void fill_packet(uint8_t *data, unsigned bytes, unsigned number)
{
    memset(data, 0xff, 6);
    bed_make_mac(data + 6, 1);
    data[12] = 0x88;
    data[13] = 0xb5;
    for (unsigned i = 14; i < bytes; i++) {
        data[i] = i * 7 + number;
    }
}

static void check_packet(struct netvm *nv, const struct netvm_desc *pkt,
                         unsigned bytes, unsigned number)
{
    uint8_t expected[LONGEST];

    fill_packet(expected, bytes, number);
    g_assert_cmpmem(netvm_data(nv, pkt), pkt->length, expected, bytes);
}

static struct netvm_desc make_packet(struct netvm *nv, unsigned bytes,
                                     unsigned number)
{
    struct netvm_desc pkt = netvm_bed_packet(nv, 2, 1);

    pkt.length = bytes;
    fill_packet(netvm_data(nv, &pkt), bytes, number);
    return pkt;
}

/* Out of the member and into it again; the caller's. */
static struct netvm_desc send_around(struct netvm *nv, unsigned bytes,
                                     unsigned number)
{
    struct netvm_desc got;

    netvm_bed_send(nv, make_packet(nv, bytes, number));
    got = netvm_bed_receive(nv);
    check_packet(nv, &got, bytes, number);
    return got;
}

/* From nobody of ours. */
static void send_from_host(unsigned n)
{
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("lo"),
    };
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    uint8_t frame[BED_FRAME_BYTES];

    g_assert_cmpint(fd, >=, 0);
    for (unsigned i = 0; i < n; i++) {
        fill_packet(frame, sizeof(frame), i);
        g_assert_cmpint(sendto(fd, frame, sizeof(frame), 0,
                               (struct sockaddr *)&to, sizeof(to)), ==,
                        sizeof(frame));
    }
    close(fd);
}

/* -- What is moved --------------------------------------------------------- */

static void around(const char *settings, unsigned times)
{
    static const unsigned lengths[] = {
        14, 60, 127, 128, 129, 1000, LONGEST - 1, LONGEST,
    };
    NetvmBed *b = uplink_bed_new(settings);
    struct netvm *nv = netvm_bed_attach(b, 0);
    unsigned number = 0;

    while (number < times * G_N_ELEMENTS(lengths)) {
        struct netvm_desc got = send_around(
            nv, lengths[number % G_N_ELEMENTS(lengths)], number);

        g_assert_cmpuint(got.offset, ==, RX_OFFSET);
        netvm_free(nv, &got, 1);
        number++;
    }
    g_assert_cmpuint(domain_copies(b->domain), ==, 0);
    g_assert_cmpuint(COUNTED(b, tx_moved_pkts), ==, number);
    expect_rx_moved(b, number);
    g_assert_cmpuint(COUNTED(b, tx_copied_pkts), ==, 0);
    g_assert_cmpuint(netvm_stats(nv, netvm_self(nv))->given_pkts, ==, number);
    g_assert_cmpuint(netvm_stats(nv, netvm_self(nv))->given_copied_pkts, ==,
                     0);
    g_assert_cmpuint(bed_counters(b->sw, "up").egress_pkts, ==, number);
    g_assert_cmpuint(bed_counters(b->sw, "up").ingress_pkts, ==, number);
    check_all_back(b);
    netvm_bed_free(b);
}

/* Each buffer is used several times. */
static void test_around(void)
{
    if (loopback_enter(MTU)) {
        around("", 300);
        around("buffer-bytes=4096", 50);
    }
}

/* What is not in a buffer of the domain, or is for others, too, is copied. */
static void test_copied(void)
{
    uint8_t frame[BED_FRAME_BYTES];
    struct netvm_desc got;
    struct netvm *nv;
    NetvmBed *b;

    if (!loopback_enter(MTU)) {
        return;
    }
    b = uplink_bed_new("");
    bed_add(b->sw, "in", "peer=up");
    nv = netvm_bed_attach(b, 0);
    for (unsigned i = 0; i < FEW; i++) {
        fill_packet(frame, sizeof(frame), i);
        bed_send(b->sw, "in", frame, sizeof(frame));
        got = netvm_bed_receive(nv);
        check_packet(nv, &got, sizeof(frame), i);
        netvm_free(nv, &got, 1);
    }
    g_assert_cmpuint(COUNTED(b, tx_copied_pkts), ==, FEW);
    expect_rx_moved(b, FEW);
    g_assert_cmpuint(domain_copies(b->domain), ==, FEW);

    /* A mirror gets its own. */
    bed_add(b->sw, "mirror", "mirror=up");
    got = send_around(nv, BED_FRAME_BYTES, 1);
    netvm_free(nv, &got, 1);
    g_assert_cmpuint(got.offset, ==, NETVM_HEADROOM_BYTES);
    g_assert_cmpuint(COUNTED(b, tx_moved_pkts), ==, 0);
    g_assert_cmpuint(COUNTED(b, tx_copied_pkts), ==, FEW + 1);
    expect_rx_moved(b, FEW);
    g_assert_cmpuint(domain_copies(b->domain), ==, FEW + 2);
    g_assert_cmpuint(bed_drain(b->sw, "mirror"), ==, 2);
    check_all_back(b);
    netvm_bed_free(b);
}

/* Nothing of what comes goes to a member: the kernel gets the same again. */
static void test_dropped(void)
{
    NetvmBed *b;

    if (!loopback_enter(MTU)) {
        return;
    }
    b = uplink_bed_new("");
    for (unsigned i = 0; i < FEW; i++) {
        send_from_host(3 * FEW);
        bed_turn();
    }
    bed_wait(is_usual, b, "the kernel to have them again");
    check_all_back(b);
    netvm_bed_free(b);
}

static bool are_placed(void *opaque)
{
    return COUNTED(opaque, tx_moved_pkts) == FEW;
}

/* What the kernel has not sent yet is nobody else's, also when its sender has
 * gone; with the port it comes back. */
static void test_waiting(void)
{
    struct netvm_desc pkt[FEW];
    struct netvm *nv;
    NetvmBed *b;

    if (!loopback_enter(MTU)) {
        return;
    }
    b = uplink_bed_new("");
    for (unsigned round = 0; round < 2; round++) {
        nv = netvm_bed_attach(b, 0);
        for (unsigned i = 0; i < FEW; i++) {
            pkt[i] = make_packet(nv, 100, i);
        }
        loopback_set(MTU, false);
        netvm_bed_send_all(nv, pkt, FEW);
        bed_wait(are_placed, b, "them to be given to the kernel");
        netvm_bed_detach(b, 0);
        netvm_bed_wait_gone(b);
        g_assert_cmpuint(held(b), >=, usual(b) - 32 + FEW);
        g_assert_true(adds_up(b));
        bed_remove(b->sw, "up");
        g_assert_cmpuint(domain_free_buffers(b->domain), ==,
                         b->domain->buffers);
        loopback_set(MTU, true);
        bed_add(b->sw, "up", "type=af-xdp ifname=lo domain=d peer=m0");
    }
    check_all_back(b);
    netvm_bed_free(b);
}

/* The interface is down, and a member sends all the same: others do not lack
 * buffers for that. */
static void test_share(void)
{
    struct netvm *nv;
    NetvmBed *b;

    if (!loopback_enter(MTU)) {
        return;
    }
    b = uplink_bed_new("buffers=1024 ring=256");
    nv = netvm_bed_attach(b, 0);
    loopback_set(MTU, false);
    for (unsigned i = 0; i < b->domain->buffers; i++) {
        struct netvm_desc pkt = make_packet(nv, 100, i);

        netvm_bed_send_all(nv, &pkt, 1);
        bed_turn();
    }
    g_assert_cmpuint(held(b), <=, usual(b) + b->domain->buffers / AFXDP_PART);
    g_assert_cmpuint(bed_drops(b->sw, "up", DROP_RX_FULL), >, 0);
    g_assert_cmpuint(domain_free_buffers(b->domain), >, 0);
    loopback_set(MTU, true);
    netvm_bed_free(b);
}

/* -- Too few --------------------------------------------------------------- */

static bool is_lost(void *opaque)
{
    return bed_drops(((NetvmBed *)opaque)->sw, "up", DROP_RX_FULL) > 0;
}

/* As the member's ring takes them. */
static bool is_given_back(void *opaque)
{
    NetvmBed *b = opaque;

    netvm_free(b->nv[0], NULL, 0);
    return is_usual(b);
}

/* The member keeps all that there is; the rest is lost, and counted.  When it
 * gives them back, all goes on. */
static void test_pool_empty(void)
{
    g_autofree struct netvm_desc *pkt = NULL;
    unsigned all, kept = 0;
    struct netvm *nv;
    NetvmBed *b;

    if (!loopback_enter(MTU)) {
        return;
    }
    b = uplink_bed_new("buffers=2048");
    nv = netvm_bed_attach(b, 0);
    all = b->domain->buffers;
    pkt = g_new(struct netvm_desc, all);
    while (kept < all - usual(b)) {
        kept += netvm_alloc(nv, pkt + kept, all - kept);
        bed_turn();
    }
    for (unsigned i = 0; kept < all; i++) {
        send_from_host(FEW);
        bed_turn();
        g_usleep(1000);
        kept += netvm_rx_burst(nv, pkt + kept, all - kept);
        g_assert_cmpuint(i, <, all);
    }
    g_assert_cmpuint(held(b), ==, 0);
    g_assert_cmpuint(domain_free_buffers(b->domain), ==, 0);
    send_from_host(FEW);
    bed_wait(is_lost, b, "frames that found no buffer to be counted");

    netvm_free(nv, pkt, kept);
    bed_wait(is_given_back, b, "the kernel to have buffers again");
    for (unsigned i = 0; i < FEW; i++) {
        struct netvm_desc got = send_around(nv, 100, i);

        netvm_free(nv, &got, 1);
    }
    g_assert_cmpuint(domain_copies(b->domain), ==, 0);
    check_all_back(b);
    netvm_bed_free(b);
}

/* -- More ------------------------------------------------------------------ */

static bool is_grown(void *opaque)
{
    NetvmBed *b = opaque;

    netvm_rx_burst(b->nv[0], NULL, 0);
    return b->domain->buffers == domain_buffers(b->domain);
}

/* Segments that come later are the NIC's, too. */
static void test_grow(void)
{
    unsigned old_segment = 0, new_segment = 0;
    g_autoptr(GError) error = NULL;
    DomainSettings s;
    struct netvm *nv;
    NetvmBed *b;

    if (!loopback_enter(MTU)) {
        return;
    }
    b = uplink_bed_new("");
    nv = netvm_bed_attach(b, 0);
    s = *domain_settings(b->domain);
    for (unsigned i = 0; i < 3; i++) {
        struct netvm_desc got = send_around(nv, 1000, i);

        netvm_free(nv, &got, 1);
        s.buffers = domain_buffers(b->domain) + 3000;
        g_assert_true(switch_set_domain(b->sw, "d", &s, &error));
        g_assert_no_error(error);
        bed_wait(is_grown, b, "new buffers to be used");
    }
    for (unsigned i = 0; i < 4000; i++) {
        struct netvm_desc got = send_around(nv, 100 + i % 1000, i);

        *(got.buffer >> NETVM_SEGMENT_SHIFT ? &new_segment
                                            : &old_segment) += 1;
        netvm_free(nv, &got, 1);
    }
    g_assert_cmpuint(new_segment, >, 0);
    g_assert_cmpuint(domain_copies(b->domain), ==, 0);
    check_all_back(b);
    netvm_bed_free(b);
}

/* -- Who goes -------------------------------------------------------------- */

/* Again and again, with packets everywhere. */
static void test_gone(void)
{
    NetvmBed *b;

    if (!loopback_enter(MTU)) {
        return;
    }
    b = uplink_bed_new("");
    for (unsigned round = 0; round < 20; round++) {
        struct netvm *nv = netvm_bed_attach(b, 0);
        struct netvm_desc pkt[FEW];

        for (unsigned i = 0; i < FEW; i++) {
            pkt[i] = make_packet(nv, 200, i);
        }
        netvm_bed_send_all(nv, pkt, FEW);
        send_from_host(FEW);
        if (round % 2) {
            netvm_bed_detach(b, 0);
            netvm_bed_wait_gone(b);
        } else {
            bed_remove(b->sw, "up");
            g_assert_cmpuint(b->domain->holders->len, ==, 0);
            bed_add(b->sw, "up", "type=af-xdp ifname=lo domain=d peer=m0");
            netvm_bed_detach(b, 0);
            netvm_bed_wait_gone(b);
        }
    }
    check_all_back(b);
    netvm_bed_free(b);
}

static void test_link(void)
{
    struct netvm_desc got;
    struct netvm *nv;
    NetvmBed *b;

    if (!loopback_enter(MTU)) {
        return;
    }
    b = uplink_bed_new("");
    nv = netvm_bed_attach(b, 0);
    bed_set(b->sw, "up", "type=af-xdp ifname=lo domain=d peer=m0 link=down");
    send_from_host(FEW);
    bed_set(b->sw, "up", "type=af-xdp ifname=lo domain=d peer=m0");
    netvm_bed_expect_none(nv);
    got = send_around(nv, 100, 1);
    netvm_free(nv, &got, 1);
    check_all_back(b);
    netvm_bed_free(b);
}

/* -- What is refused ------------------------------------------------------- */

static void refuse(NetvmBed *b, const char *domain, const char *why)
{
    g_autoptr(GError) error = NULL;
    PortSettings s;

    port_settings_init(&s);
    g_assert_true(port_settings_set(&s, "type", "af-xdp", NULL));
    g_assert_true(port_settings_set(&s, "ifname", "lo", NULL));
    g_assert_true(port_settings_set(&s, "domain", domain, NULL));
    g_assert_null(switch_add_port(b->sw, "up", &s, &error));
    g_assert_nonnull(error);
    if (!strstr(error->message, why)) {
        g_error("'%s' lacks '%s'", error->message, why);
    }
    port_settings_clear(&s);
    g_assert_cmpuint(b->domain->holders->len, ==, 0);
    g_assert_cmpuint(domain_free_buffers(b->domain), ==, b->domain->buffers);
}

static void test_refused(void)
{
    g_autoptr(GError) error = NULL;
    NetvmBed *b;

    if (!loopback_enter(1771)) {
        return;
    }
    b = netvm_bed_new("");
    refuse(b, "nothing", "there is no domain nothing: add it first");
    refuse(b, "d", "its MTU is 1771, and AF_XDP carries 1770 at most in the "
           "domain's buffers: ip link set dev lo mtu 1770");
    loopback_set(1770, true);
    bed_add(b->sw, "up", "type=af-xdp ifname=lo domain=d");
    for (unsigned i = 0; i < NETVM_BED_MEMBERS; i++) {
        g_autofree char *name = g_strdup_printf("m%u", i);

        bed_remove(b->sw, name);
    }
    g_assert_false(switch_remove_domain(b->sw, "d", &error));
    g_assert_nonnull(strstr(error->message, "has ports (1)"));
    netvm_bed_free(b);
    b = netvm_bed_new("buffer-bytes=1024");
    refuse(b, "d", "buffer-bytes=1024 cannot be a NIC's: make it anew with "
           "2048 or 4096");
    netvm_bed_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/netvm/afxdp/around", test_around);
    g_test_add_func("/netvm/afxdp/copied", test_copied);
    g_test_add_func("/netvm/afxdp/dropped", test_dropped);
    g_test_add_func("/netvm/afxdp/waiting", test_waiting);
    g_test_add_func("/netvm/afxdp/share", test_share);
    g_test_add_func("/netvm/afxdp/pool-empty", test_pool_empty);
    g_test_add_func("/netvm/afxdp/grow", test_grow);
    g_test_add_func("/netvm/afxdp/gone", test_gone);
    g_test_add_func("/netvm/afxdp/link", test_link);
    g_test_add_func("/netvm/afxdp/refused", test_refused);
    return g_test_run();
}
