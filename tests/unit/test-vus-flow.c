/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows: what is one, what is decided of it, and where its frames are flooded.
 *
 * Threads: single; there is a datapath without workers.
 */
#include <stdlib.h>
#include <string.h>

#include "decide.h"
#include "flood.h"
#include "switch-bed.h"

#define PORTS 6

typedef struct Bed {
    Datapath dp;
    Port port[PORTS];
    FlowCache *flows;
    Frame f;
    FlowAction action;
    struct {
        unsigned n;
        unsigned port[PORTS];
        TagChange tag[PORTS];
    } flooded;
} Bed;

static Bed *bed_new(void)
{
    Bed *bed = g_new0(Bed, 1);

    bed->flows = flow_cache_new();
    bed->dp.fdb = fdb_new(100, SWITCH_MAX_PORTS);
    bed->dp.generation = bed->dp.now_s = 1;
    bed->dp.ports_end = PORTS;
    for (unsigned i = 0; i < PORTS; i++) {
        Port *p = &bed->port[i];

        p->id = i;
        p->peer = -1;
        p->egress_queues = 1;
        port_settings_init(&p->settings);
        pthread_mutex_init(&p->storm.lock, NULL);
        bed->dp.port[i] = p;
    }
    rcu_thread_online();
    return bed;
}

static void bed_free(Bed *bed)
{
    rcu_thread_offline();
    fdb_free(bed->dp.fdb);
    free(bed->flows);
    for (unsigned i = 0; i < PORTS; i++) {
        pthread_mutex_destroy(&bed->port[i].storm.lock);
        port_settings_clear(&bed->port[i].settings);
    }
    g_free(bed);
}

static void make(Bed *bed, unsigned to, unsigned from, int tci)
{
    bed->f = (Frame) {
        .bytes = BED_FRAME_BYTES, .head_bytes = BED_FRAME_BYTES,
    };
    bed_make_frame(bed->f.head, to, from, tci);
}

static FlowAction *ask(Bed *bed, unsigned in, unsigned to, unsigned from,
                       int tci)
{
    make(bed, to, from, tci);
    decide(&bed->dp, &bed->port[in], &bed->f, &bed->action);
    return &bed->action;
}

/* -- What is one flow ------------------------------------------------------ */

static bool same_flow(const Frame *a, const Frame *b)
{
    FlowKey one = flow_key(a), other = flow_key(b);

    return one.w[0] == other.w[0] && one.w[1] == other.w[1];
}

/* Each byte of addresses and tag makes another, and no byte behind. */
static void test_key(void)
{
    Bed *bed = bed_new();

    for (int tagged = 0; tagged < 2; tagged++) {
        Frame other;

        make(bed, 1, 2, tagged ? 5 : -1);
        for (unsigned i = 0; i < BED_FRAME_BYTES; i++) {
            bool matters = i < 12 || (tagged && i < 16);

            other = bed->f;
            other.head[i] ^= 0x40;
            /* What was a tag is none. */
            if (i == 12 || i == 13) {
                continue;
            }
            g_assert_true(same_flow(&bed->f, &other) == !matters);
        }
    }
    bed_free(bed);
}

/* Bytes of a frame that is too short for a tag are none: who sends it cannot
 * have a tagged frame taken for it. */
static void test_short_tag(void)
{
    Bed *bed = bed_new();
    Frame tagged, untagged;

    make(bed, 1, 2, -1);
    untagged = bed->f;
    make(bed, 1, 2, 99);
    tagged = bed->f;
    for (unsigned bytes = FRAME_MIN_BYTES; bytes < 22; bytes++) {
        bed->f.bytes = bed->f.head_bytes = bytes;
        g_assert_true(same_flow(&bed->f, &tagged) == (bytes >= 18));
        g_assert_true(same_flow(&bed->f, &untagged) == (bytes < 18));
    }
    bed_free(bed);
}

/* A slot is another's port's, another generation's, or it is found. */
static void test_slots(void)
{
    Bed *bed = bed_new();
    unsigned found = 0, used = 0;

    for (unsigned i = 0; i < 1000; i++) {
        FlowSlot *slot;

        make(bed, i, i + 1, -1);
        slot = flow_slot(bed->flows, flow_key(&bed->f), i % 7);
        g_assert_true(slot >= bed->flows->slot &&
                      slot < bed->flows->slot + FLOW_SLOTS);
        g_assert_false(flow_slot_is(slot, flow_key(&bed->f), i % 7, 1));
        used += slot->generation != 0;
        slot->key = flow_key(&bed->f);
        slot->port = i % 7;
        slot->generation = 1;
    }
    for (unsigned i = 0; i < 1000; i++) {
        FlowKey key;
        FlowSlot *slot;

        make(bed, i, i + 1, -1);
        key = flow_key(&bed->f);
        slot = flow_slot(bed->flows, key, i % 7);
        found += flow_slot_is(slot, key, i % 7, 1);
        g_assert_false(flow_slot_is(slot, key, i % 7, 2));
        g_assert_false(flow_slot_is(slot, key, i % 7 + 1, 1));
    }
    g_assert_cmpuint(found, ==, 1000 - used);
    /* By chance some 115 of a thousand meet in 4096 slots. */
    g_assert_cmpuint(used, <, 250);
    bed_free(bed);
}

static void test_generation(void)
{
    Datapath dp = { .generation = UINT32_MAX - 1 };

    datapath_new_generation(&dp);
    g_assert_cmpuint(dp.generation, ==, UINT32_MAX);
    datapath_new_generation(&dp);
    g_assert_cmpuint(dp.generation, ==, 1);
}

/* -- What is decided ------------------------------------------------------- */

static void test_learn(void)
{
    Bed *bed = bed_new();
    FlowAction *a = ask(bed, 0, 2, 1, -1);

    /* Not known: flooded, and asked again. */
    g_assert_cmpint(a->kind, ==, FLOW_FLOOD);
    g_assert_true(a->once);
    a = ask(bed, 3, 1, 2, -1);
    g_assert_cmpint(a->kind, ==, FLOW_OUT);
    g_assert_cmpuint(a->outs, ==, 1);
    g_assert_cmpuint(a->out[0], ==, 0);
    g_assert_false(a->once);
    a = ask(bed, 0, BED_GROUP, 1, -1);
    g_assert_cmpint(a->kind, ==, FLOW_FLOOD);
    g_assert_false(a->once);

    /* Behind the port that it came from; to one that is not there. */
    a = ask(bed, 0, 1, 7, -1);
    g_assert_cmpint(a->kind, ==, FLOW_DROP);
    g_assert_cmpint(a->drop, ==, DROP_NOWHERE);
    bed->dp.port[0] = NULL;
    a = ask(bed, 3, 1, 2, -1);
    g_assert_cmpint(a->kind, ==, FLOW_DROP);
    g_assert_cmpint(a->drop, ==, DROP_DOWN);
    g_assert_cmpuint(a->outs, ==, 0);
    g_assert_cmpuint(a->out[0], ==, 0);
    g_assert_true(a->once);
    bed_free(bed);
}

/* It moves: what was decided before is void. */
static void test_move(void)
{
    Bed *bed = bed_new();
    uint32_t generation;

    ask(bed, 0, BED_GROUP, 1, -1);
    generation = bed->dp.generation;
    ask(bed, 2, BED_GROUP, 1, -1);
    g_assert_cmpuint(bed->dp.generation, ==, generation);
    bed->dp.now_s++;
    ask(bed, 2, BED_GROUP, 1, -1);
    g_assert_cmpuint(bed->dp.generation, !=, generation);
    g_assert_cmpuint(ask(bed, 4, 1, 9, -1)->out[0], ==, 2);
    bed_free(bed);
}

static void expect_drop(Bed *bed, unsigned in, unsigned to, unsigned from,
                        int tci, Drop reason)
{
    FlowAction *a = ask(bed, in, to, from, tci);

    g_assert_cmpint(a->kind, ==, FLOW_DROP);
    g_assert_cmpint(a->drop, ==, reason);
    g_assert_cmpuint(a->out[0], ==, in);
}

static void test_drops(void)
{
    Bed *bed = bed_new();

    expect_drop(bed, 0, 1, BED_GROUP, -1, DROP_SOURCE);
    bed->port[1].mirrors = true;
    expect_drop(bed, 1, 1, 2, -1, DROP_MIRROR);
    bed->port[2].settings.macs = 1;
    bed_make_mac(bed->port[2].settings.mac[0], 77);
    expect_drop(bed, 2, 1, 2, -1, DROP_SPOOF_MAC);
    g_assert_cmpint(ask(bed, 2, 1, 77, -1)->kind, ==, FLOW_FLOOD);
    bed->port[3].settings.vlan = 10;
    expect_drop(bed, 3, 1, 2, 10, DROP_VLAN);
    expect_drop(bed, 3, 1, 2, 11, DROP_VLAN);
    bed->port[4].peer = -2;
    expect_drop(bed, 4, 1, 2, -1, DROP_DOWN);

    make(bed, 1, 2, -1);
    for (unsigned last = 0; last < 32; last++) {
        memcpy(bed->f.head, "\x01\x80\xc2\0\0", 5);
        bed->f.head[5] = last;
        decide(&bed->dp, &bed->port[0], &bed->f, &bed->action);
        g_assert_true((bed->action.kind == FLOW_DROP) == (last < 16));
    }
    bed_free(bed);
}

/* Who mirrors both ends gets one. */
static void test_mirrors(void)
{
    Bed *bed = bed_new();
    FlowAction *a;

    bed->port[0].shown_by_n = 2;
    bed->port[0].shown_by[0] = 4;
    bed->port[0].shown_by[1] = 5;
    bed->port[1].shown_by_n = 1;
    bed->port[1].shown_by[0] = 4;
    ask(bed, 1, BED_GROUP, 11, -1);
    a = ask(bed, 0, 11, 10, -1);
    g_assert_cmpuint(a->outs, ==, 3);
    g_assert_cmpuint(a->out[0], ==, 1);
    g_assert_cmpuint(a->out[1], ==, 4);
    g_assert_cmpuint(a->out[2], ==, 5);

    /* Of a peer, too; and of one that is not there yet, once it is. */
    bed->port[3].peer = 1;
    a = ask(bed, 3, 99, 98, -1);
    g_assert_cmpuint(a->outs, ==, 2);
    g_assert_cmpuint(a->out[0], ==, 1);
    g_assert_cmpuint(a->out[1], ==, 4);
    g_assert_false(a->once);
    bed->dp.port[1] = NULL;
    g_assert_true(ask(bed, 3, 99, 98, -1)->once);
    bed_free(bed);
}

/* -- Flood ----------------------------------------------------------------- */

static void note_flooded(void *opaque, unsigned port, TagChange tag)
{
    Bed *bed = opaque;

    g_assert_cmpuint(bed->flooded.n, <, PORTS);
    bed->flooded.port[bed->flooded.n] = port;
    bed->flooded.tag[bed->flooded.n++] = tag;
}

static void test_flood(void)
{
    Bed *bed = bed_new();

    bed->port[1].settings.vlan = 10;
    bed->port[2].settings.vlan = 20;
    bed->port[3].egress_queues = 0;
    bed->port[4].mirrors = true;
    bed->port[0].shown_by_n = bed->port[1].shown_by_n = 1;
    bed->port[0].shown_by[0] = bed->port[1].shown_by[0] = 4;
    flood_each(&bed->dp, &bed->port[0], 10, true, 10, note_flooded, bed);
    /* The mirror once, the access port, the other trunk. */
    g_assert_cmpuint(bed->flooded.n, ==, 3);
    g_assert_cmpuint(bed->flooded.port[0], ==, 4);
    g_assert_cmpint(bed->flooded.tag[0], ==, TAG_KEEP);
    g_assert_cmpuint(bed->flooded.port[1], ==, 1);
    g_assert_cmpint(bed->flooded.tag[1], ==, TAG_POP);
    g_assert_cmpuint(bed->flooded.port[2], ==, 5);
    g_assert_cmpint(bed->flooded.tag[2], ==, TAG_KEEP);
    bed_free(bed);
}

/* A tenth of a second's worth at once, and then what time brings. */
static void test_storm(void)
{
    Bed *bed = bed_new();
    Port *p = &bed->port[0];
    unsigned allowed = 0;
    gint64 begin_us;

    g_assert_true(flood_allowed(p));
    p->settings.storm_pps = 1000;
    begin_us = g_get_monotonic_time();
    for (unsigned i = 0; i < 100000; i++) {
        allowed += flood_allowed(p);
    }
    g_assert_cmpuint(allowed, >=, 100);
    g_assert_cmpuint(allowed, <=, 101 + (g_get_monotonic_time() - begin_us) /
                                        1000);
    /* One a second at least has room in the bucket. */
    p->settings.storm_pps = 1;
    p->storm.last_us = 0;
    g_assert_true(flood_allowed(p));
    g_assert_false(flood_allowed(p));
    bed_free(bed);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    rcu_thread_offline();
    g_test_add_func("/vus-flow/key", test_key);
    g_test_add_func("/vus-flow/short-tag", test_short_tag);
    g_test_add_func("/vus-flow/slots", test_slots);
    g_test_add_func("/vus-flow/generation", test_generation);
    g_test_add_func("/vus-flow/learn", test_learn);
    g_test_add_func("/vus-flow/move", test_move);
    g_test_add_func("/vus-flow/drops", test_drops);
    g_test_add_func("/vus-flow/mirrors", test_mirrors);
    g_test_add_func("/vus-flow/flood", test_flood);
    g_test_add_func("/vus-flow/storm", test_storm);
    result = g_test_run();
    rcu_unregister_thread();
    return result;
}
