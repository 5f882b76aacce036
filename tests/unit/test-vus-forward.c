/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A burst's way through forward_burst(), with ports that only note what they
 * are given.
 *
 * Threads: single; there is a datapath without workers.
 */
#include <string.h>

#include "datapath.h"
#include "switch-bed.h"

#define PORTS 4
#define MAX_NOTED 512

/* What egress() of a port was called with. */
typedef struct Noted {
    unsigned calls;
    unsigned n;
    unsigned queue[MAX_NOTED];
    uint32_t bytes[MAX_NOTED];
    uint8_t head[MAX_NOTED][FRAME_HEAD_BYTES + FRAME_HEAD_ROOM];
    uint8_t gso_type[MAX_NOTED];
} Noted;

typedef struct Bed {
    Datapath dp;
    Port port[PORTS];
    Noted noted[PORTS];
    Forwarder *fw;
} Bed;

static void note(Port *p, unsigned queue, const Frame *const *frames,
                 unsigned n, VringBurst *scratch, PortCounters *counters)
{
    Noted *to = p->impl;

    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <=, EGRESS_BURST);
    to->calls++;
    for (unsigned i = 0; i < n; i++, to->n++) {
        g_assert_cmpuint(to->n, <, MAX_NOTED);
        to->queue[to->n] = queue;
        to->bytes[to->n] = frames[i]->bytes;
        to->gso_type[to->n] = frames[i]->vnet.gso_type;
        memcpy(to->head[to->n], frames[i]->head, sizeof(to->head[0]));
    }
    counter_add(&counters->egress_pkts, n);
}

static const PortOps ops = { .type = "fake", .egress = note };

static Bed *bed_new(void)
{
    Bed *bed = g_new0(Bed, 1);

    bed->dp.fdb = fdb_new(100, SWITCH_MAX_PORTS);
    bed->dp.generation = bed->dp.now_s = 1;
    bed->dp.ports_end = PORTS;
    bed->fw = forwarder_new(&bed->dp);
    for (unsigned i = 0; i < PORTS; i++) {
        Port *p = &bed->port[i];

        p->id = i;
        p->peer = -1;
        p->egress_queues = 1;
        p->ops = &ops;
        p->impl = &bed->noted[i];
        port_settings_init(&p->settings);
        bed->dp.port[i] = p;
    }
    rcu_thread_online();
    return bed;
}

static void bed_free(Bed *bed)
{
    rcu_thread_offline();
    forwarder_free(bed->fw);
    fdb_free(bed->dp.fdb);
    for (unsigned i = 0; i < PORTS; i++) {
        port_settings_clear(&bed->port[i].settings);
    }
    g_free(bed);
}

/* One more of the burst; its number is behind the headers. */
static Frame *add(Bed *bed, unsigned to, unsigned from, int tci)
{
    IngressBurst *b = &bed->fw->burst;
    Frame *f = &b->frame[b->n];

    *f = (Frame) { .bytes = BED_FRAME_BYTES, .head_bytes = BED_FRAME_BYTES };
    bed_make_frame(f->head, to, from, tci);
    f->head[BED_FRAME_BYTES - 1] = b->n++;
    return f;
}

static void forward(Bed *bed, unsigned in)
{
    memset(bed->noted, 0, sizeof(bed->noted));
    forward_burst(bed->fw, &bed->port[in]);
    bed->fw->burst.n = 0;
}

static void learn(Bed *bed, unsigned port, unsigned station)
{
    add(bed, BED_GROUP, station, -1);
    forward(bed, port);
}

static uint8_t number_of(const Noted *n, unsigned i)
{
    return n->head[i][n->bytes[i] - 1];
}

/* A whole burst goes in one call, in order; flows are looked up once. */
static void test_burst(void)
{
    Bed *bed = bed_new();

    learn(bed, 1, 11);
    learn(bed, 2, 12);
    for (unsigned i = 0; i < INGRESS_BURST; i++) {
        add(bed, i % 4 < 2 ? 11 : 12, 10, -1);
    }
    bed->fw->flow_misses = 0;
    forward(bed, 0);
    g_assert_cmpuint(bed->fw->flow_misses, ==, 2);
    for (unsigned port = 1; port <= 2; port++) {
        const Noted *n = &bed->noted[port];

        g_assert_cmpuint(n->calls, ==, 1);
        g_assert_cmpuint(n->n, ==, INGRESS_BURST / 2);
        for (unsigned i = 0; i < n->n; i++) {
            g_assert_cmpuint(number_of(n, i) % 4 < 2, ==, port == 1);
            g_assert_true(i == 0 || number_of(n, i) > number_of(n, i - 1));
        }
    }
    g_assert_cmpuint(bed->fw->counters[0].ingress_pkts, ==, INGRESS_BURST);
    g_assert_cmpuint(bed->fw->counters[0].ingress_bytes, ==,
                     INGRESS_BURST * BED_FRAME_BYTES);
    add(bed, 11, 10, -1);
    forward(bed, 0);
    g_assert_cmpuint(bed->fw->flow_misses, ==, 2);
    bed_free(bed);
}

/* Bad ones between good ones are counted, and nothing else happens to them. */
static void test_bad_between(void)
{
    Bed *bed = bed_new();
    const uint64_t *drops = bed->fw->counters[0].drops;

    learn(bed, 1, 11);
    for (unsigned i = 0; i < INGRESS_BURST; i++) {
        Frame *f = add(bed, i % 4 == 3 ? 10 : 11, i % 4 == 2 ? BED_GROUP : 10,
                       -1);

        if (i % 4 == 1) {
            /* A checksum behind the frame. */
            f->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
            f->vnet.csum_start = GUINT16_TO_LE(BED_FRAME_BYTES);
        }
    }
    bed->port[0].offloads_allowed = 0xff;
    forward(bed, 0);
    g_assert_cmpuint(bed->noted[1].n, ==, INGRESS_BURST / 4);
    for (unsigned i = 0; i < bed->noted[1].n; i++) {
        g_assert_cmpuint(number_of(&bed->noted[1], i), ==, 4 * i);
    }
    g_assert_cmpuint(drops[DROP_OFFLOAD], ==, INGRESS_BURST / 4);
    g_assert_cmpuint(drops[DROP_SOURCE], ==, INGRESS_BURST / 4);
    g_assert_cmpuint(drops[DROP_NOWHERE], ==, INGRESS_BURST / 4);
    g_assert_cmpuint(bed->noted[0].n + bed->noted[2].n, ==, 0);
    bed_free(bed);
}

/* One frame leaves as it is, with a tag and without, at once. */
static void test_tags(void)
{
    Bed *bed = bed_new();

    bed->port[1].settings.vlan = 10;
    bed->port[2].settings.native = 20;
    bed->port[3].settings.vlan = 30;
    add(bed, BED_GROUP, 9, 0xe00a);
    forward(bed, 0);
    g_assert_cmpuint(bed->noted[1].n, ==, 1);
    g_assert_cmpuint(bed->noted[1].bytes[0], ==, BED_FRAME_BYTES - 4);
    g_assert_cmphex(bed->noted[1].head[0][12], ==, 0x88);
    g_assert_cmpuint(bed->noted[2].n, ==, 1);
    g_assert_cmphex(bed->noted[2].head[0][14], ==, 0xe0);
    g_assert_cmphex(bed->noted[2].head[0][15], ==, 0x0a);
    g_assert_cmpuint(bed->noted[3].n, ==, 0);

    add(bed, BED_GROUP, 8, -1);
    forward(bed, 1);
    g_assert_cmpuint(bed->noted[0].bytes[0], ==, BED_FRAME_BYTES + 4);
    g_assert_cmphex(bed->noted[0].head[0][12], ==, 0x81);
    g_assert_cmphex(bed->noted[0].head[0][15], ==, 10);
    bed_free(bed);
}

/* A receiver that is not there. */
static void test_down(void)
{
    Bed *bed = bed_new();

    learn(bed, 1, 11);
    add(bed, 11, 10, -1);
    forward(bed, 0);
    g_assert_cmpuint(bed->noted[1].n, ==, 1);
    bed->port[1].egress_queues = 0;
    add(bed, 11, 10, -1);
    forward(bed, 0);
    bed->dp.port[1] = NULL;
    add(bed, 11, 10, -1);
    forward(bed, 0);
    /* Whether its flow is still known or not. */
    datapath_new_generation(&bed->dp);
    add(bed, 11, 10, -1);
    forward(bed, 0);
    g_assert_cmpuint(bed->noted[1].n, ==, 0);
    g_assert_cmpuint(bed->fw->counters[1].drops[DROP_DOWN], ==, 3);
    g_assert_cmpuint(bed->fw->counters[0].drops[DROP_DOWN], ==, 0);
    bed_free(bed);
}

static void make_ip(Frame *f, uint8_t protocol, unsigned flow, unsigned number)
{
    uint8_t *ip = f->head + 14;

    f->head[12] = 0x08;
    f->head[13] = 0x00;
    memset(ip, 0, 50);
    ip[0] = 0x45;
    ip[5] = number;
    ip[9] = protocol;
    ip[15] = flow;
    ip[19] = 1;
    if (protocol == 1) {
        /* ICMP's checksum is another each time. */
        ip[22] = number * 37;
        ip[23] = number;
    } else {
        ip[21] = flow;
    }
}

/* All frames of a flow go to one queue, and flows are spread. */
static void test_queues(const void *opaque)
{
    uint8_t protocol = GPOINTER_TO_UINT(opaque);
    Bed *bed = bed_new();
    unsigned used[PORT_MAX_QUEUES] = { 0 }, queues = 0;

    bed->port[1].egress_queues = 4;
    learn(bed, 1, 11);
    for (unsigned flow = 0; flow < 64; flow++) {
        const Noted *n = &bed->noted[1];

        for (unsigned i = 0; i < INGRESS_BURST; i++) {
            make_ip(add(bed, 11, 10, -1), protocol, flow, i);
        }
        forward(bed, 0);
        g_assert_cmpuint(n->n, ==, INGRESS_BURST);
        for (unsigned i = 0; i < n->n; i++) {
            g_assert_cmpuint(n->queue[i], ==, n->queue[0]);
            g_assert_cmpuint(n->head[i][14 + 5], ==, i);
        }
        used[n->queue[0]]++;
    }
    for (unsigned q = 0; q < 4; q++) {
        queues += used[q] > 0;
    }
    g_assert_cmpuint(queues, ==, 4);
    bed_free(bed);
}

/* Nothing of a burst is looked at where all goes to one peer. */
static void test_peer(void)
{
    Bed *bed = bed_new();

    bed->port[0].peer = 3;
    bed->port[0].only_peer = true;
    for (unsigned i = 0; i < INGRESS_BURST; i++) {
        add(bed, i, i, i % 2 ? (int)i : -1);
    }
    bed->fw->flow_misses = 0;
    forward(bed, 0);
    g_assert_cmpuint(bed->noted[3].n, ==, INGRESS_BURST);
    g_assert_cmpuint(bed->fw->flow_misses, ==, 0);
    bed_free(bed);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    rcu_thread_offline();
    g_test_add_func("/vus-forward/burst", test_burst);
    g_test_add_func("/vus-forward/bad-between", test_bad_between);
    g_test_add_func("/vus-forward/tags", test_tags);
    g_test_add_func("/vus-forward/down", test_down);
    g_test_add_func("/vus-forward/peer", test_peer);
    g_test_add_data_func("/vus-forward/queues/tcp", GUINT_TO_POINTER(6),
                         test_queues);
    g_test_add_data_func("/vus-forward/queues/udp", GUINT_TO_POINTER(17),
                         test_queues);
    g_test_add_data_func("/vus-forward/queues/icmp", GUINT_TO_POINTER(1),
                         test_queues);
    result = g_test_run();
    rcu_unregister_thread();
    return result;
}
