/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames that wait for a link: whole when they leave, and fairly many.
 *
 * Threads: single.
 */
#include <string.h>

#include "egress-queue.h"

#define PKTS 128u
#define MTU 1500u
#define NOW_NS UINT64_C(1000000000000)
#define RATE_BPS UINT64_C(100000000)

static EgressQueue *queue_new(uint64_t rate_bps)
{
    EgressQueueConfig cfg = {
        .link = {
            .rate_bps = rate_bps, .max_wire_bytes = MTU + 46,
        },
        .queue_pkts = PKTS,
        .link_mtu = MTU,
        .promises = true,
    };

    return egress_queue_new(&cfg);
}

/* A frame of @bytes whose bytes say @seed; what is behind its head lies in two
 * segments. */
typedef struct Made {
    Frame f;
    VringSegment segment[2];
    uint8_t rest[2][2048];
} Made;

static uint8_t pattern(unsigned seed, unsigned i)
{
    return seed * 31 + i * 7 + i / 256;
}

static const Frame *make(Made *m, unsigned bytes, unsigned seed)
{
    unsigned head = MIN(bytes, FRAME_HEAD_BYTES), rest = bytes - head;
    unsigned first = rest / 3;

    memset(m, 0, sizeof(*m));
    m->f.bytes = bytes;
    m->f.head_bytes = head;
    m->f.rest = m->segment;
    m->f.vnet.csum_start = seed;
    for (unsigned i = 0; i < head; i++) {
        m->f.head[i] = pattern(seed, i);
    }
    /* Neither a tag nor IP. */
    m->f.head[12] = 0x88;
    m->f.head[13] = 0xb5;
    for (unsigned i = 0; i < rest; i++) {
        unsigned part = i >= first;

        m->rest[part][part ? i - first : i] = pattern(seed, head + i);
    }
    m->segment[0] = (VringSegment) { m->rest[0], first };
    m->segment[1] = (VringSegment) { m->rest[1], rest - first };
    return &m->f;
}

static bool put(EgressQueue *q, unsigned source, const Frame *f,
                uint64_t drops[DROP_REASONS])
{
    return egress_queue_put(q, source, &f, 1, NOW_NS, NULL, drops);
}

static QueuedFrame *take(EgressQueue *q, uint64_t now_ns)
{
    QueuedFrame *qf;

    return egress_queue_take(q, now_ns, &qf, 1) ? qf : NULL;
}

static void check(const QueuedFrame *qf, unsigned bytes, unsigned seed)
{
    uint8_t all[4096];
    Made m;

    frame_gather(make(&m, bytes, seed), all);
    g_assert_cmpmem(queued_frame_data(qf), qf->all.bytes, all, bytes);
    g_assert_cmpuint(qf->f.vnet.csum_start, ==, seed);
    /* And as whoever delivers it sees it. */
    memset(all, 0, sizeof(all));
    frame_gather(&qf->f, all);
    g_assert_cmpmem(queued_frame_data(qf), qf->all.bytes, all, bytes);
}

/* -- Copies ---------------------------------------------------------------- */

static void test_whole(void)
{
    static const unsigned lengths[] = {
        14, 60, 64, 127, 128, 129, 130, 200, 1000, 1513, 1514,
    };
    EgressQueue *q = queue_new(0);
    uint64_t drops[DROP_REASONS] = { 0 };

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        Made m;

        put(q, 0, make(&m, lengths[i], i), drops);
        /* Its sender has its buffers back. */
        memset(&m, 0xee, sizeof(m));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        QueuedFrame *qf = take(q, NOW_NS);

        g_assert_nonnull(qf);
        check(qf, lengths[i], i);
        egress_queue_done(q, &qf, 1);
    }
    g_assert_null(take(q, NOW_NS));
    egress_queue_free(q);
}

/* Its head may be longer than usual: a tag was put in. */
static void test_long_head(void)
{
    uint64_t drops[DROP_REASONS] = { 0 };
    EgressQueue *q = queue_new(0);
    QueuedFrame *qf;
    Made m;

    make(&m, 600, 3);
    memcpy(m.f.head + FRAME_HEAD_BYTES, m.rest[0], FRAME_HEAD_ROOM);
    m.f.head_bytes += FRAME_HEAD_ROOM;
    m.f.rest_offset = FRAME_HEAD_ROOM;
    put(q, 0, &m.f, drops);
    qf = take(q, NOW_NS);
    check(qf, 600, 3);
    egress_queue_done(q, &qf, 1);
    egress_queue_free(q);
}

/* There is room for a trailer behind the longest frame of the last slot. */
static void test_room_behind(void)
{
    uint64_t drops[DROP_REASONS] = { 0 };
    EgressQueue *q = queue_new(0);
    QueuedFrame *qf[PKTS];
    unsigned n = 0;
    Made m;

    for (unsigned s = 0; s < 16; s++) {
        for (unsigned i = 0; i < PKTS; i++) {
            put(q, s, make(&m, MTU + 14, s), drops);
        }
    }
    while ((qf[n] = take(q, NOW_NS)) != NULL) {
        memset(queued_frame_data(qf[n]) + MTU + 14, 0xff, RT_TRAILER_BYTES);
        queued_frame_set_bytes(qf[n], MTU + 14 + RT_TRAILER_BYTES);
        n++;
    }
    g_assert_cmpuint(n, >, PKTS / 2);
    for (unsigned i = 0; i < n; i++) {
        queued_frame_set_bytes(qf[i], MTU + 14);
        check(qf[i], MTU + 14, qf[i]->item.source);
    }
    egress_queue_done(q, qf, n);
    egress_queue_free(q);
}

static void test_too_long(void)
{
    uint64_t drops[DROP_REASONS] = { 0 };
    EgressQueue *q = queue_new(0);
    Made m;

    put(q, 0, make(&m, MTU + 15, 0), drops);
    g_assert_cmpuint(drops[DROP_MTU], ==, 1);
    g_assert_cmpuint(egress_queue_next_ns(q), ==, UINT64_MAX);
    /* A tag is no part of what the MTU counts. */
    make(&m, MTU + 18, 0);
    memcpy(m.f.head + 12, "\x81\x00\x00\x05\x88\xb5", 6);
    put(q, 0, &m.f, drops);
    g_assert_cmpuint(drops[DROP_MTU], ==, 1);
    g_assert_cmpuint(egress_queue_len_pkts(q), ==, 1);
    g_assert_cmpuint(egress_queue_flush(q), ==, 1);
    egress_queue_free(q);
}

/* -- The pool -------------------------------------------------------------- */

static RtBeside beside_of(EdfBand band, uint64_t order_ns)
{
    return (RtBeside) {
        .tx = { .band = band, .turn = { .order_ns = order_ns } },
    };
}

/* Put until no more fit; how many did. */
static unsigned fill(EgressQueue *q, unsigned source, const RtBeside *beside)
{
    uint64_t drops[DROP_REASONS] = { 0 };
    unsigned n = 0;
    Made m;

    make(&m, 64, source);
    m.f.beside = beside;
    while (drops[DROP_QUEUE_FULL] == 0) {
        put(q, source, &m.f, drops);
        n++;
    }
    return n - 1;
}

/* One that floods leaves room for others, and several share. */
static void test_quota(void)
{
    const unsigned open = PKTS - EGRESS_QUEUE_RESERVE(PKTS);
    EgressQueue *q = queue_new(RATE_BPS);

    g_assert_cmpuint(fill(q, 0, NULL), ==, open / 2);
    g_assert_cmpuint(fill(q, 1, NULL), ==, open / 4);
    g_assert_cmpuint(fill(q, 2, NULL), ==, open / 8);
    egress_queue_flush(q);

    /* In turn: equal parts, one of them stays free. */
    for (unsigned round = 0; round < PKTS; round++) {
        uint64_t drops[DROP_REASONS] = { 0 };

        for (unsigned s = 0; s < 3; s++) {
            Made m;

            put(q, s, make(&m, 64, s), drops);
        }
    }
    g_assert_cmpuint(egress_queue_len_pkts(q), ==, open / 4 * 3);
    egress_queue_flush(q);
    egress_queue_free(q);
}

/* What has left the order and not yet the pool counts: it may wait
 * elsewhere. */
static void test_quota_until_done(void)
{
    const unsigned open = PKTS - EGRESS_QUEUE_RESERVE(PKTS);
    EgressQueue *q = queue_new(0);
    QueuedFrame *qf[PKTS];
    unsigned n = fill(q, 0, NULL);

    g_assert_cmpuint(n, ==, open / 2);
    g_assert_cmpuint(egress_queue_take(q, NOW_NS, qf, PKTS), ==, n);
    g_assert_cmpuint(fill(q, 0, NULL), ==, 0);
    g_assert_cmpuint(egress_queue_len_pkts(q), ==, n);
    g_assert_cmpuint(fill(q, 1, NULL), ==, open / 4);
    egress_queue_done(q, qf, n);
    g_assert_cmpuint(fill(q, 0, NULL), >, 0);
    egress_queue_flush(q);
    g_assert_cmpuint(egress_queue_len_pkts(q), ==, 0);
    egress_queue_free(q);
}

/* Many that flood use up all but what is kept for deadlines. */
static void test_reserve(void)
{
    RtBeside beside = beside_of(EDF_BAND_DEADLINE, NOW_NS);
    EgressQueue *q = queue_new(RATE_BPS);
    uint64_t drops[DROP_REASONS] = { 0 };
    unsigned len_pkts;
    Made m;

    for (unsigned round = 0; round < PKTS; round++) {
        for (unsigned s = 1; s < 200; s++) {
            put(q, s, make(&m, 64, s), drops);
        }
    }
    len_pkts = egress_queue_len_pkts(q);
    g_assert_cmpuint(len_pkts, ==, PKTS - EGRESS_QUEUE_RESERVE(PKTS));
    g_assert_cmpuint(fill(q, 0, &beside), ==, EGRESS_QUEUE_RESERVE(PKTS) / 2);
    egress_queue_flush(q);
    egress_queue_free(q);
}

/* All slots come back, whatever happened. */
static void test_flush(void)
{
    EgressQueue *q = queue_new(RATE_BPS);
    uint64_t drops[DROP_REASONS] = { 0 };
    RtBeside beside = beside_of(EDF_BAND_ADMITTED, NOW_NS);

    for (unsigned round = 0; round < 10; round++) {
        Made m;

        for (unsigned i = 0; i < 40; i++) {
            make(&m, 100, i);
            m.f.beside = i % 3 ? NULL : &beside;
            put(q, i % 5, &m.f, drops);
        }
        g_assert_cmpuint(drops[DROP_QUEUE_FULL], ==, 0);
        g_assert_cmpuint(egress_queue_flush(q), ==, 40);
        g_assert_cmpuint(egress_queue_next_ns(q), ==, UINT64_MAX);
    }
    /* The link was not used meanwhile. */
    {
        Made m;
        QueuedFrame *qf;

        put(q, 0, make(&m, 100, 1), drops);
        qf = take(q, NOW_NS);
        g_assert_nonnull(qf);
        egress_queue_done(q, &qf, 1);
    }
    egress_queue_free(q);
}

/* -- Time ------------------------------------------------------------------ */

static void test_paced(void)
{
    const uint64_t each_ns = (100 + 24) * 8 * UINT64_C(1000000000) / RATE_BPS;
    EgressQueue *q = queue_new(RATE_BPS);
    uint64_t drops[DROP_REASONS] = { 0 };
    Made m;

    g_assert_true(put(q, 0, make(&m, 100, 0), drops));
    g_assert_cmpuint(egress_queue_next_ns(q), ==, NOW_NS);
    for (unsigned i = 1; i < 10; i++) {
        g_assert_false(put(q, 0, make(&m, 100, i), drops));
    }
    for (unsigned i = 0; i < 10; i++) {
        uint64_t at_ns = NOW_NS + i * each_ns;
        QueuedFrame *qf;

        g_assert_cmpuint(egress_queue_next_ns(q), ==, at_ns);
        g_assert_null(take(q, at_ns - 1));
        qf = take(q, at_ns);
        check(qf, 100, i);
        g_assert_cmpuint(qf->arrival_ns, ==, NOW_NS);
        egress_queue_done(q, &qf, 1);
    }
    egress_queue_free(q);
}

/* Nobody waits and the link is free: as many as that may leave at once. */
static void test_pass(void)
{
    EgressQueueConfig cfg = {
        .link = {
            .rate_bps = RATE_BPS, .max_wire_bytes = MTU + 46,
            .ahead_ns = 25000,
        },
        .queue_pkts = PKTS,
        .link_mtu = MTU,
    };
    EgressQueue *q = egress_queue_new(&cfg);
    uint64_t drops[DROP_REASONS] = { 0 };
    const Frame *frame[8];
    unsigned pass;
    Made m[8];

    /* A frame takes 9.92 us: the third begins within 25 us, the fourth not. */
    for (unsigned i = 0; i < 8; i++) {
        frame[i] = make(&m[i], 100, i);
    }
    egress_queue_put(q, 0, frame, 8, NOW_NS, &pass, drops);
    g_assert_cmpuint(pass, ==, 3);
    g_assert_cmpuint(egress_queue_len_pkts(q), ==, 5);
    g_assert_cmpuint(egress_queue_next_ns(q), ==, NOW_NS + 3 * 9920 - 25000);
    /* Others wait. */
    egress_queue_put(q, 1, frame, 1, NOW_NS + 1000000, &pass, drops);
    g_assert_cmpuint(pass, ==, 0);
    egress_queue_flush(q);

    /* One with a deadline waits for its turn, as does what is behind it. */
    {
        RtBeside beside = beside_of(EDF_BAND_DEADLINE, NOW_NS);

        m[1].f.beside = &beside;
        egress_queue_put(q, 0, frame, 3, NOW_NS + 2000000, &pass, drops);
        g_assert_cmpuint(pass, ==, 1);
        g_assert_cmpuint(egress_queue_flush(q), ==, 2);
    }
    egress_queue_free(q);
}

/* -- Deadlines ------------------------------------------------------------- */

static void test_bands(void)
{
    static const struct {
        unsigned source;
        EdfBand band;
        uint64_t order_ns;
        unsigned turn;
    } sent[] = {
        { 0, EDF_BAND_BEST_EFFORT, 0, 4 },
        { 1, EDF_BAND_DEADLINE, 10, 2 },
        { 2, EDF_BAND_ADMITTED, 900, 1 },
        { 3, EDF_BAND_DEADLINE, 20, 3 },
        { 4, EDF_BAND_ADMITTED, 800, 0 },
    };
    EgressQueue *q = queue_new(0);
    uint64_t drops[DROP_REASONS] = { 0 };

    for (unsigned i = 0; i < G_N_ELEMENTS(sent); i++) {
        RtBeside beside = beside_of(sent[i].band, sent[i].order_ns);
        Made m;

        make(&m, 64, i);
        m.f.beside = &beside;
        put(q, sent[i].source, &m.f, drops);
    }
    for (unsigned turn = 0; turn < G_N_ELEMENTS(sent); turn++) {
        QueuedFrame *qf = take(q, NOW_NS);

        g_assert_cmpuint(sent[qf->item.source].turn, ==, turn);
        g_assert_nonnull(qf->f.beside);
        g_assert_cmpuint(qf->f.beside->tx.turn.order_ns, ==,
                         sent[qf->item.source].order_ns);
        egress_queue_done(q, &qf, 1);
    }
    egress_queue_free(q);
}

/* A link that promises nothing: before the others, but by deadline only. */
static void test_no_promises(void)
{
    EgressQueueConfig cfg = {
        .link = { .max_wire_bytes = MTU + 46 },
        .queue_pkts = PKTS, .link_mtu = MTU,
    };
    EgressQueue *q = egress_queue_new(&cfg);
    RtBeside late = beside_of(EDF_BAND_ADMITTED, 900);
    RtBeside soon = beside_of(EDF_BAND_DEADLINE, 800);
    uint64_t drops[DROP_REASONS] = { 0 };
    QueuedFrame *qf;
    Made m;

    make(&m, 64, 0);
    m.f.beside = &late;
    put(q, 0, &m.f, drops);
    m.f.beside = &soon;
    put(q, 1, &m.f, drops);
    qf = take(q, NOW_NS);
    g_assert_cmpuint(qf->item.source, ==, 1);
    egress_queue_done(q, &qf, 1);
    egress_queue_flush(q);
    egress_queue_free(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-egress-queue/whole", test_whole);
    g_test_add_func("/vus-egress-queue/long-head", test_long_head);
    g_test_add_func("/vus-egress-queue/room-behind", test_room_behind);
    g_test_add_func("/vus-egress-queue/too-long", test_too_long);
    g_test_add_func("/vus-egress-queue/quota", test_quota);
    g_test_add_func("/vus-egress-queue/quota-until-done",
                    test_quota_until_done);
    g_test_add_func("/vus-egress-queue/reserve", test_reserve);
    g_test_add_func("/vus-egress-queue/flush", test_flush);
    g_test_add_func("/vus-egress-queue/paced", test_paced);
    g_test_add_func("/vus-egress-queue/pass", test_pass);
    g_test_add_func("/vus-egress-queue/bands", test_bands);
    g_test_add_func("/vus-egress-queue/no-promises", test_no_promises);
    return g_test_run();
}
