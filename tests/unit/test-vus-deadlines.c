/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deadlines on their way through the switch: what an rtvnic sends is marked and
 * policed, gets its trailer where the outside is, and what one is sent is
 * measured and stripped.
 *
 * Ports: "a" and "b" are rtvnics, "plain" is none, "up" has the outside behind.
 *
 * Threads: this is the control thread; workers are the switch's.
 */
#include <string.h>

#include "frame-maker.h"
#include "rt-port.h"
#include "switch-bed.h"
#include "switch-impl.h"

#define STATION_A 1
#define STATION_B 2
#define STATION_PLAIN 3
#define STATION_UP 4

#define DSCP_GUEST 10
#define DSCP_MARK 46

typedef struct Bed {
    Switch *sw;
} Bed;

static void learn(Bed *bed, const char *port, unsigned station)
{
    g_autoptr(GError) error = NULL;
    uint8_t mac[6];

    bed_make_mac(mac, station);
    switch_fdb_set(bed->sw, switch_find_port(bed->sw, port), mac, 0, &error);
    g_assert_no_error(error);
}

static Bed bed_new(const char *up, const char *a)
{
    Bed bed = { bed_switch_new(1) };

    bed_add(bed.sw, "up", up);
    bed_add(bed.sw, "a", a);
    bed_add(bed.sw, "b", "rtvnic=on");
    bed_add(bed.sw, "plain", "");
    learn(&bed, "a", STATION_A);
    learn(&bed, "b", STATION_B);
    learn(&bed, "plain", STATION_PLAIN);
    learn(&bed, "up", STATION_UP);
    return bed;
}

/* An IPv4 packet, DSCP_GUEST, in a frame of @bytes. */
static void make_ip(uint8_t *frame, unsigned to, unsigned from, size_t bytes)
{
    FrameSpec spec = { .ip_version = 4, .dscp = DSCP_GUEST, .bytes = bytes };

    frame_make(&spec, frame);
    bed_make_mac(frame, to);
    bed_make_mac(frame + 6, from);
}

static void send_ip(Bed *bed, const char *port, unsigned to, unsigned from,
                    size_t bytes)
{
    uint8_t frame[2048];

    make_ip(frame, to, from, bytes);
    bed_send(bed->sw, port, frame, bytes);
}

typedef struct Wanted {
    Bed *bed;
    const char *port;
    GBytes *got;
} Wanted;

static bool has_come(void *opaque)
{
    Wanted *w = opaque;

    w->got = bed_read(w->bed->sw, w->port);
    return w->got != NULL;
}

/* What comes out next; the worker releases it. */
static GBytes *receive(Bed *bed, const char *port)
{
    Wanted w = { bed, port, NULL };

    bed_wait(has_come, &w, "a frame");
    return w.got;
}

static uint8_t dscp_of(GBytes *frame)
{
    const uint8_t *data = g_bytes_get_data(frame, NULL);
    RtFrame f;

    g_assert_true(rt_frame_parse(&f, data, g_bytes_get_size(frame)));
    g_assert_cmpint(f.ip_version, ==, 4);
    g_assert_cmphex(frame_ipv4_checksum(data + f.l2_bytes), ==,
                    rt_get_be16(data + f.l2_bytes + RT_IPV4_OFS_CHECKSUM));
    return f.dscp;
}

static RtTrailerFound find_trailer(GBytes *frame, RtTrailer *t)
{
    const uint8_t *data = g_bytes_get_data(frame, NULL);
    size_t bytes = g_bytes_get_size(frame);
    RtFrame f;

    g_assert_true(rt_frame_parse(&f, data, bytes));
    return rt_trailer_find(t, &f, data, bytes);
}

static RtEndpoint endpoint(Bed *bed, const char *port)
{
    RtEndpoint ep;

    rt_port_show(switch_find_port(bed->sw, port)->rt, &ep);
    return ep;
}

#define RTVNIC "rtvnic=on dscp=46 deadline-us=50000 source-id=77"

/* -- Out ------------------------------------------------------------------- */

static void test_trailer_to_uplink(void)
{
    Bed bed = bed_new("uplink=on rate-bps=1G", RTVNIC);
    static const size_t lengths[] = { 40, 60, 127, 128, 129, 400, 1482 };

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        size_t padded = MAX(lengths[i], 60);
        g_autoptr(GBytes) got = NULL;
        RtTrailer t;

        send_ip(&bed, "a", STATION_UP, STATION_A, lengths[i]);
        got = receive(&bed, "up");
        g_assert_cmpuint(g_bytes_get_size(got), ==, padded + 32);
        g_assert_cmpint(find_trailer(got, &t), ==, RT_TRAILER_VALID);
        g_assert_cmpuint(t.sequence, ==, i);
        g_assert_cmpuint(t.source_id, ==, 77);
        g_assert_cmpuint(t.deadline_ns, ==, 50000000);
        g_assert_cmpuint(t.guest_dscp, ==, DSCP_GUEST);
        g_assert_cmpuint(t.padding_bytes, ==, padded - lengths[i]);
        g_assert_cmpuint(dscp_of(got), ==, DSCP_MARK);
    }
    g_assert_cmpuint(endpoint(&bed, "a").n.sent_pkts, ==,
                     G_N_ELEMENTS(lengths));
    g_assert_cmpuint(endpoint(&bed, "a").queueing.count, ==,
                     G_N_ELEMENTS(lengths));
    switch_free(bed.sw);
}

/* Flags that a driver does not send change nothing of that. */
static void test_odd_header(void)
{
    static const uint8_t vnet[10] = { 2 };
    Bed bed = bed_new("uplink=on", RTVNIC);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) got = NULL;
    uint8_t frame[400];
    RtTrailer t;

    make_ip(frame, STATION_UP, STATION_A, sizeof(frame));
    switch_dummy_inject(bed.sw, switch_find_port(bed.sw, "a"), frame,
                        sizeof(frame), vnet, &error);
    g_assert_no_error(error);
    got = receive(&bed, "up");
    g_assert_cmpint(find_trailer(got, &t), ==, RT_TRAILER_VALID);
    g_assert_cmpuint(dscp_of(got), ==, DSCP_MARK);
    switch_free(bed.sw);
}

/* Neither is written, nor believed, where no rtvnic is. */
static void test_others_unchanged(void)
{
    Bed bed = bed_new("uplink=on rate-bps=1G", RTVNIC);
    uint8_t frame[256];
    g_autoptr(GBytes) got = NULL, kept = NULL;
    RtTrailer t = { .source_id = 5 };

    make_ip(frame, STATION_UP, STATION_PLAIN, 200);
    bed_send(bed.sw, "plain", frame, 200);
    got = receive(&bed, "up");
    g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got), frame,
                    200);

    make_ip(frame, STATION_PLAIN, STATION_UP, 200);
    rt_trailer_encode(&t, frame + 200);
    bed_send(bed.sw, "up", frame, 232);
    kept = receive(&bed, "plain");
    g_assert_cmpmem(g_bytes_get_data(kept, NULL), g_bytes_get_size(kept),
                    frame, 232);
    switch_free(bed.sw);
}

/* Between two ports none is written; the receiver knows all the same. */
static void test_beside(void)
{
    Bed bed = bed_new("uplink=on", RTVNIC);
    g_autoptr(GBytes) got = NULL, marked = NULL;
    uint8_t frame[100];

    make_ip(frame, STATION_B, STATION_A, sizeof(frame));
    bed_send(bed.sw, "a", frame, sizeof(frame));
    got = receive(&bed, "b");
    g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got), frame,
                    sizeof(frame));
    g_assert_cmpuint(endpoint(&bed, "b").n.received_pkts, ==, 1);
    g_assert_cmpuint(endpoint(&bed, "b").n.rx_trailer_pkts, ==, 1);
    g_assert_cmpuint(endpoint(&bed, "b").transit.count, ==, 1);

    send_ip(&bed, "a", STATION_PLAIN, STATION_A, sizeof(frame));
    marked = receive(&bed, "plain");
    g_assert_cmpuint(dscp_of(marked), ==, DSCP_MARK);
    g_assert_cmpuint(g_bytes_get_size(marked), ==, sizeof(frame));
    g_assert_cmpuint(endpoint(&bed, "a").n.sent_pkts, ==, 2);
    switch_free(bed.sw);
}

/* A frame that is flooded is policed once, and each copy gets its own end. */
static void test_flooded(void)
{
    Bed bed = bed_new("uplink=on rate-bps=1G", RTVNIC);
    g_autoptr(GBytes) up = NULL, b = NULL, plain = NULL;
    RtTrailer t;

    send_ip(&bed, "a", BED_GROUP, STATION_A, 100);
    up = receive(&bed, "up");
    b = receive(&bed, "b");
    plain = receive(&bed, "plain");
    g_assert_cmpint(find_trailer(up, &t), ==, RT_TRAILER_VALID);
    g_assert_cmpuint(dscp_of(b), ==, DSCP_GUEST);
    g_assert_cmpuint(g_bytes_get_size(b), ==, 100);
    g_assert_cmpuint(dscp_of(plain), ==, DSCP_MARK);
    switch_free(bed.sw);
}

static void test_too_long(void)
{
    Bed bed = bed_new("uplink=on", RTVNIC " link-mtu=1000");
    g_autoptr(GBytes) got = NULL;
    RtTrailer t;

    send_ip(&bed, "a", STATION_UP, STATION_A, 1015);
    g_assert_cmpuint(bed_drops(bed.sw, "a", DROP_MTU), ==, 1);
    g_assert_cmpuint(endpoint(&bed, "a").n.drop_tx_oversize, ==, 1);
    /* No room for the trailer, but for the frame. */
    send_ip(&bed, "a", STATION_UP, STATION_A, 1014);
    got = receive(&bed, "up");
    g_assert_cmpuint(g_bytes_get_size(got), ==, 1014);
    g_assert_cmpint(find_trailer(got, &t), ==, RT_TRAILER_NONE);
    g_assert_cmpuint(dscp_of(got), ==, DSCP_MARK);
    g_assert_cmpuint(endpoint(&bed, "a").n.tx_no_room_pkts, ==, 1);
    switch_free(bed.sw);
}

/* The link that it leaves by is for shorter frames than its sender's: the frame
 * fits, its trailer does not. */
static void test_narrow_uplink(void)
{
    Bed bed = bed_new("uplink=on link-mtu=1000", RTVNIC);
    g_autoptr(GBytes) bare = NULL, whole = NULL;
    RtTrailer t;

    send_ip(&bed, "a", STATION_UP, STATION_A, 1014 - 31);
    bare = receive(&bed, "up");
    g_assert_cmpuint(g_bytes_get_size(bare), ==, 1014 - 31);
    g_assert_cmpint(find_trailer(bare, &t), ==, RT_TRAILER_NONE);
    send_ip(&bed, "a", STATION_UP, STATION_A, 1014 - 32);
    whole = receive(&bed, "up");
    g_assert_cmpuint(g_bytes_get_size(whole), ==, 1014);
    g_assert_cmpint(find_trailer(whole, &t), ==, RT_TRAILER_VALID);
    send_ip(&bed, "a", STATION_UP, STATION_A, 1015);
    g_assert_cmpuint(bed_drops(bed.sw, "up", DROP_MTU), ==, 1);
    switch_free(bed.sw);
}

/* -- In -------------------------------------------------------------------- */

/* As another host's rtvnic sent it, @ago_ns ago. */
static void send_stamped(Bed *bed, unsigned to, uint64_t ago_ns,
                         uint32_t deadline_ns, uint32_t source_id)
{
    uint8_t frame[200 + RT_TRAILER_BYTES];
    struct timespec now;
    RtTrailer t = {
        .deadline_ns = deadline_ns, .source_id = source_id,
        .guest_dscp = DSCP_GUEST,
    };
    RtFrame f;

    clock_gettime(CLOCK_TAI, &now);
    t.sent_tai_ns = now.tv_sec * UINT64_C(1000000000) + now.tv_nsec - ago_ns;
    make_ip(frame, to, STATION_UP, 200);
    g_assert_true(rt_frame_parse(&f, frame, 200));
    rt_frame_set_dscp(&f, frame, DSCP_MARK);
    rt_trailer_encode(&t, frame + 200);
    bed_send(bed->sw, "up", frame, sizeof(frame));
}

static void test_strip(void)
{
    Bed bed = bed_new("uplink=on", RTVNIC);
    g_autoptr(GBytes) got = NULL;

    send_stamped(&bed, STATION_B, 0, 1000000000, 9);
    got = receive(&bed, "b");
    g_assert_cmpuint(g_bytes_get_size(got), ==, 200);
    g_assert_cmpuint(dscp_of(got), ==, DSCP_GUEST);
    g_assert_cmpuint(endpoint(&bed, "b").n.rx_trailer_pkts, ==, 1);
    g_assert_cmpuint(endpoint(&bed, "b").n.missed_pkts, ==, 0);
    switch_free(bed.sw);
}

static void test_missed(void)
{
    Bed bed = bed_new("uplink=on", RTVNIC);
    const Port *b = switch_find_port(bed.sw, "b");
    RtMisses misses;

    for (unsigned i = 0; i < 3; i++) {
        g_autoptr(GBytes) got = NULL;

        send_stamped(&bed, STATION_B, 5000000, 1000000, 9);
        got = receive(&bed, "b");
        g_assert_cmpuint(g_bytes_get_size(got), ==, 200);
    }
    g_assert_cmpuint(endpoint(&bed, "b").n.missed_pkts, ==, 3);
    rt_port_take_misses(b->rt, &misses);
    g_assert_cmpuint(misses.missed_pkts, ==, 3);
    g_assert_cmpuint(misses.last.trailer.source_id, ==, 9);
    g_assert_cmpuint(misses.last.exceeded_ns, >=, 4000000);
    g_assert_cmpuint(misses.last.wire_dscp, ==, DSCP_MARK);
    g_assert_cmpuint(misses.head[5], ==, STATION_B);
    rt_port_take_misses(b->rt, &misses);
    g_assert_cmpuint(misses.missed_pkts, ==, 0);
    switch_free(bed.sw);
}

/* A guest that is no rtvnic writes what looks like a trailer: it is payload. */
static void test_not_believed(void)
{
    Bed bed = bed_new("uplink=on", RTVNIC);
    uint8_t frame[200 + RT_TRAILER_BYTES];
    RtTrailer t = { .sent_tai_ns = 1, .deadline_ns = 1 };
    g_autoptr(GBytes) got = NULL;

    make_ip(frame, STATION_B, STATION_PLAIN, 200);
    rt_trailer_encode(&t, frame + 200);
    bed_send(bed.sw, "plain", frame, sizeof(frame));
    got = receive(&bed, "b");
    g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got), frame,
                    sizeof(frame));
    g_assert_cmpuint(endpoint(&bed, "b").n.received_pkts, ==, 1);
    g_assert_cmpuint(endpoint(&bed, "b").n.missed_pkts, ==, 0);
    g_assert_cmpuint(endpoint(&bed, "b").transit.count, ==, 0);
    switch_free(bed.sw);
}

/* A frame waits at a slow link longer than it may; its receiver, an rtvnic of
 * the same switch, finds out without a trailer. */
static void test_missed_beside(void)
{
    Bed bed = bed_new("uplink=on", "rtvnic=on deadline-us=1000");
    RtEndpoint b;

    bed_set(bed.sw, "b", "rtvnic=on rate-bps=1M");
    for (unsigned i = 0; i < 3; i++) {
        send_ip(&bed, "a", STATION_B, STATION_A, 1000);
    }
    for (unsigned i = 0; i < 3; i++) {
        g_bytes_unref(receive(&bed, "b"));
    }
    b = endpoint(&bed, "b");
    /* 8.2 ms each: the second and the third wait too long. */
    g_assert_cmpuint(b.n.missed_pkts, >=, 2);
    g_assert_cmpuint(endpoint(&bed, "a").n.late_pkts, ==, b.n.missed_pkts);
    switch_free(bed.sw);
}

static void test_drop_late(void)
{
    Bed bed = bed_new("uplink=on rate-bps=1M",
                      "rtvnic=on deadline-us=1000 late=drop");
    g_autoptr(GBytes) last = NULL;

    for (unsigned i = 0; i < 3; i++) {
        send_ip(&bed, "a", STATION_UP, STATION_A, 1000);
    }
    send_ip(&bed, "plain", STATION_UP, STATION_PLAIN, 999);
    while (!last || g_bytes_get_size(last) != 999) {
        g_clear_pointer(&last, g_bytes_unref);
        last = receive(&bed, "up");
    }
    g_assert_cmpuint(bed_drops(bed.sw, "up", DROP_LATE), >=, 2);
    g_assert_cmpuint(endpoint(&bed, "a").n.drop_tx_late, ==,
                     bed_drops(bed.sw, "up", DROP_LATE));
    switch_free(bed.sw);
}

/* -- Order ----------------------------------------------------------------- */

/*
 * Frames that fill a slow link, then one with a deadline: it leaves next.  With
 * the policy fifo, last.
 */
static unsigned turn_of_deadline(const char *up, unsigned before)
{
    Bed bed = bed_new(up, "rtvnic=on trailer=off deadline-us=50000");
    unsigned turn = 0;

    for (unsigned i = 0; i < before; i++) {
        send_ip(&bed, "plain", STATION_UP, STATION_PLAIN, 1000);
    }
    send_ip(&bed, "a", STATION_UP, STATION_A, 500);
    for (unsigned i = 0; i <= before; i++) {
        g_autoptr(GBytes) got = receive(&bed, "up");

        if (g_bytes_get_size(got) == 500) {
            turn = i;
        }
    }
    switch_free(bed.sw);
    return turn;
}

static void test_order(void)
{
    /* 41 ms each: what is sent within that finds one frame on the link, or
     * two if this thread was slow. */
    g_assert_cmpuint(turn_of_deadline("rate-bps=200k", 15), <, 8);
    g_assert_cmpuint(turn_of_deadline("rate-bps=200k policy=strict", 15), <, 8);
    g_assert_cmpuint(turn_of_deadline("rate-bps=200k policy=fifo", 15), ==, 15);
}

/* A guest sends far more than its contract allows, to where nothing was
 * promised: neither its frames nor others' stand still. */
static void test_beyond_contract(void)
{
    Bed bed = bed_new("uplink=on rate-bps=1G",
                      "rtvnic=on deadline-us=1000 period-us=4000000");
    unsigned from_a = 0, others = 0;

    for (unsigned i = 0; i < 100; i++) {
        send_ip(&bed, "a", STATION_B, STATION_A, 100);
        send_ip(&bed, "plain", STATION_B, STATION_PLAIN, 200);
    }
    while (from_a < 100 || others < 100) {
        g_autoptr(GBytes) got = receive(&bed, "b");

        from_a += g_bytes_get_size(got) == 100;
        others += g_bytes_get_size(got) == 200;
    }
    switch_free(bed.sw);
}

/* A trusted port's trailers order what waits elsewhere; others' do not. */
static unsigned turn_of_urgent(const char *up)
{
    Bed bed = bed_new(up, "rtvnic=on");
    unsigned turn = 0;

    bed_set(bed.sw, "plain", "rate-bps=50k");
    for (unsigned i = 0; i < 10; i++) {
        /* The last one is the most urgent. */
        send_stamped(&bed, STATION_PLAIN, 0, 4000000000u - i * 200000000u, i);
    }
    for (unsigned i = 0; i < 10; i++) {
        g_autoptr(GBytes) got = receive(&bed, "plain");
        RtTrailer t;

        g_assert_cmpint(find_trailer(got, &t), ==, RT_TRAILER_VALID);
        if (t.source_id == 9) {
            turn = i;
        }
    }
    switch_free(bed.sw);
    return turn;
}

static void test_trust(void)
{
    g_assert_cmpuint(turn_of_urgent("trust=rtvnic"), <, 6);
    g_assert_cmpuint(turn_of_urgent(""), ==, 9);
}

/* -- Changes --------------------------------------------------------------- */

/* The sender has gone, or is another one with its number, while its frames
 * wait: they leave, and nobody counts them. */
static void test_sender_gone(void)
{
    for (unsigned again = 0; again < 2; again++) {
        Bed bed = bed_new("uplink=on rate-bps=1M", RTVNIC);

        for (unsigned i = 0; i < 4; i++) {
            send_ip(&bed, "a", STATION_UP, STATION_A, 1000);
        }
        bed_remove(bed.sw, "a");
        if (again) {
            bed_add(bed.sw, "c", RTVNIC);
        }
        for (unsigned i = 0; i < 4; i++) {
            g_bytes_unref(receive(&bed, "up"));
        }
        if (again) {
            g_assert_cmpuint(endpoint(&bed, "c").n.sent_pkts, ==, 0);
        }
        switch_free(bed.sw);
    }
}

/* What was counted stays; a new deadline counts from then on. */
static void test_set(void)
{
    Bed bed = bed_new("uplink=on", RTVNIC);
    g_autoptr(GBytes) one = NULL, other = NULL;
    RtTrailer t;

    send_ip(&bed, "a", STATION_UP, STATION_A, 100);
    one = receive(&bed, "up");
    bed_set(bed.sw, "a", "rtvnic=on deadline-us=123 source-id=78");
    send_ip(&bed, "a", STATION_UP, STATION_A, 100);
    other = receive(&bed, "up");
    g_assert_cmpint(find_trailer(other, &t), ==, RT_TRAILER_VALID);
    g_assert_cmpuint(t.deadline_ns, ==, 123000);
    g_assert_cmpuint(t.source_id, ==, 78);
    g_assert_cmpuint(dscp_of(other), ==, DSCP_GUEST);
    g_assert_cmpuint(endpoint(&bed, "a").n.sent_pkts, ==, 2);
    switch_free(bed.sw);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/vus-deadlines/trailer-to-uplink",
                    test_trailer_to_uplink);
    g_test_add_func("/vus-deadlines/others-unchanged", test_others_unchanged);
    g_test_add_func("/vus-deadlines/beside", test_beside);
    g_test_add_func("/vus-deadlines/flooded", test_flooded);
    g_test_add_func("/vus-deadlines/too-long", test_too_long);
    g_test_add_func("/vus-deadlines/narrow-uplink", test_narrow_uplink);
    g_test_add_func("/vus-deadlines/odd-header", test_odd_header);
    g_test_add_func("/vus-deadlines/not-believed", test_not_believed);
    g_test_add_func("/vus-deadlines/beyond-contract", test_beyond_contract);
    g_test_add_func("/vus-deadlines/strip", test_strip);
    g_test_add_func("/vus-deadlines/missed", test_missed);
    g_test_add_func("/vus-deadlines/missed-beside", test_missed_beside);
    g_test_add_func("/vus-deadlines/drop-late", test_drop_late);
    g_test_add_func("/vus-deadlines/order", test_order);
    g_test_add_func("/vus-deadlines/trust", test_trust);
    g_test_add_func("/vus-deadlines/sender-gone", test_sender_gone);
    g_test_add_func("/vus-deadlines/set", test_set);
    return g_test_run();
}
