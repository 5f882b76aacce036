/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rings and owner words, one call after the other: full and empty, positions
 * that end, doorbells, and what an end may say that lies.  Two threads at once:
 * test-netvm-ring-stress.c; all their interleavings: test-netvm-model.c.
 *
 * Threads: single.
 */
#include <glib.h>
#include <string.h>

#include "netvm-ring.h"

#define DESCS 8
#define BUFFERS 64
#define NUMBER 4000                 /* of the ring */
#define STEPS 200000

/* Both ends of a ring, and how many went through: positions without an end. */
typedef struct Bed {
    struct netvm_map map;
    uint64_t owner[BUFFERS];
    struct netvm_ring *ring;
    struct netvm_sender s;
    struct netvm_receiver r;
    uint64_t start;
    uint64_t sent, received;
} Bed;

/* From where positions of 52 and of 64 bits come to their end, and others. */
static const uint64_t starts[] = {
    0, 1, (UINT64_C(1) << 52) - 5, UINT64_MAX - 4, UINT64_C(1) << 51,
    UINT64_C(0x123456789abcdef0),
};

static void bed_begin(Bed *bed, uint64_t start)
{
    gsize bytes = sizeof(*bed->ring) + DESCS * sizeof(bed->ring->desc[0]);

    memset(bed, 0, sizeof(*bed));
    bed->map.buffer_bytes = 2048;
    bed->map.buffer_shift = 11;
    bed->map.segment[0].owners = bed->owner;
    bed->map.segment[0].n = BUFFERS;
    bed->ring = g_aligned_alloc0(1, bytes, NETVM_LINE_BYTES);
    bed->ring->tail = bed->ring->head = start;
    bed->ring->wake_at = start - 1;
    bed->start = start;
    bed->s = (struct netvm_sender) {
        .ring = bed->ring,
        .tail = start,
        .head_seen = start,
        .descs = DESCS,
        .number = NUMBER,
    };
    bed->r = (struct netvm_receiver) {
        .ring = bed->ring,
        .head = start,
        .tail_seen = start,
        .descs = DESCS,
    };
}

static void bed_end(Bed *bed)
{
    g_aligned_free(bed->ring);
}

/* The n-th packet is in buffer n modulo their number. */
static void put(Bed *bed)
{
    struct netvm_desc d = {
        .buffer = bed->sent % BUFFERS,
        .length = 64,
        .hash = bed->sent,
        .chain = bed->sent >> 16,
    };

    netvm_sender_put(&bed->s, &bed->map, &d);
    bed->sent++;
}

static bool send_some(Bed *bed, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        put(bed);
    }
    return netvm_sender_publish(&bed->s, n);
}

/* What is there, up to @most, in order, and as it was sent. */
static void receive(Bed *bed, unsigned most)
{
    struct netvm_desc d[2 * DESCS];
    uint32_t n = netvm_receive(&bed->r, d, most);

    g_assert_cmpuint(n, ==, MIN(most, bed->sent - bed->received));
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(d[i].buffer, ==, bed->received % BUFFERS);
        g_assert_cmpuint(d[i].hash, ==, (uint16_t)bed->received);
        g_assert_cmpuint(d[i].chain, ==, (uint16_t)(bed->received >> 16));
        g_assert_cmpuint(d[i].length, ==, 64);
        bed->received++;
    }
}

static unsigned any(unsigned below)
{
    return g_test_rand_int_range(0, below);
}

/* -- Full and empty -------------------------------------------------------- */

static void test_full(void)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(starts); k++) {
        Bed bed;

        bed_begin(&bed, starts[k]);
        receive(&bed, DESCS);
        g_assert_false(netvm_receiver_ready(&bed.r));
        g_assert_cmpuint(netvm_sender_room(&bed.s, 0), ==, 0);
        g_assert_cmpuint(netvm_sender_room(&bed.s, DESCS + 1), ==, DESCS);
        g_assert_cmpuint(netvm_sender_room(&bed.s, UINT_MAX), ==, DESCS);
        send_some(&bed, DESCS - 1);
        g_assert_cmpuint(netvm_sender_room(&bed.s, DESCS), ==, 1);
        send_some(&bed, 1);
        g_assert_cmpuint(netvm_sender_room(&bed.s, 1), ==, 0);
        g_assert_true(netvm_receiver_ready(&bed.r));
        receive(&bed, 0);
        receive(&bed, 3);
        g_assert_cmpuint(netvm_sender_room(&bed.s, DESCS), ==, 3);
        receive(&bed, 2 * DESCS);
        g_assert_cmpuint(bed.received, ==, DESCS);
        g_assert_false(netvm_receiver_ready(&bed.r));
        bed_end(&bed);
    }
}

/* What is put is not there until it is published. */
static void test_publish(void)
{
    Bed bed;

    bed_begin(&bed, UINT64_MAX);
    put(&bed);
    put(&bed);
    g_assert_false(netvm_receiver_ready(&bed.r));
    g_assert_cmpuint(netvm_sender_room(&bed.s, DESCS), ==, DESCS - 2);
    netvm_sender_publish(&bed.s, 2);
    receive(&bed, DESCS);
    g_assert_cmpuint(bed.received, ==, 2);
    bed_end(&bed);
}

/* The words of the last packets say who has them. */
static void check_owners(const Bed *bed)
{
    uint64_t first = bed->sent < BUFFERS ? 0 : bed->sent - BUFFERS;

    for (uint64_t i = first; i < bed->sent; i++) {
        uint64_t word = bed->owner[i % BUFFERS];
        uint64_t at = bed->start + i;

        g_assert_cmpuint(netvm_owner_ring(word), ==, NUMBER);
        g_assert_cmphex(word & NETVM_OWNER_POSITION, ==,
                        at & NETVM_OWNER_POSITION);
        g_assert_true(netvm_owner_received(word, bed->ring->tail));
        /* Before it was published. */
        g_assert_false(netvm_owner_received(word, at));
    }
}

static void test_random(void)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(starts); k++) {
        Bed bed;

        bed_begin(&bed, starts[k]);
        for (unsigned i = 0; i < STEPS; i++) {
            unsigned n = any(2 * DESCS);
            unsigned least = DESCS - (bed.sent - bed.received);

            if (any(2)) {
                unsigned room = netvm_sender_room(&bed.s, n);

                g_assert_cmpuint(room, ==, MIN(n, least));
                send_some(&bed, room);
            } else {
                receive(&bed, n);
            }
            check_owners(&bed);
        }
        g_assert_cmpuint(bed.received, >, STEPS);
        bed_end(&bed);
    }
}

/* -- Doorbells ------------------------------------------------------------- */

static void test_wake(void)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(starts); k++) {
        Bed bed;

        bed_begin(&bed, starts[k]);
        /* Nobody has asked. */
        g_assert_false(send_some(&bed, 1));
        receive(&bed, 1);
        g_assert_true(netvm_receiver_may_sleep(&bed.r));
        g_assert_false(netvm_sender_publish(&bed.s, 0));
        g_assert_true(send_some(&bed, 3));
        g_assert_false(send_some(&bed, 1));
        /* Something is there: it must not sleep, and needs no doorbell. */
        g_assert_false(netvm_receiver_may_sleep(&bed.r));
        g_assert_false(send_some(&bed, 1));
        receive(&bed, DESCS);
        /* Twice the same. */
        g_assert_true(netvm_receiver_may_sleep(&bed.r));
        g_assert_true(netvm_receiver_may_sleep(&bed.r));
        g_assert_true(send_some(&bed, 1));
        receive(&bed, 1);
        g_assert_false(send_some(&bed, 2));
        bed_end(&bed);
    }
}

/* It rings if what was asked for is among what is published, and only then: so
 * once for each sleep. */
static void test_wake_random(void)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(starts); k++) {
        unsigned sleeps = 0, rung = 0;
        int64_t asked = -1;
        bool asleep = false;
        Bed bed;

        bed_begin(&bed, starts[k]);
        for (unsigned i = 0; i < STEPS; i++) {
            if (any(2)) {
                unsigned n = netvm_sender_room(&bed.s, any(DESCS) + 1);
                int64_t first = bed.sent;
                bool rings = send_some(&bed, n);

                g_assert_true(rings == (asked >= first && asked < first + n));
                g_assert_true(rings || !asleep || n == 0);
                rung += rings && asleep;
                asleep = asleep && n == 0;
            } else if (!asleep && any(2)) {
                receive(&bed, any(DESCS + 1));
            } else if (!asleep) {
                asked = bed.received;
                asleep = netvm_receiver_may_sleep(&bed.r);
                g_assert_true(asleep == (bed.received == bed.sent));
                sleeps += asleep;
            }
        }
        g_assert_cmpuint(rung + asleep, ==, sleeps);
        g_assert_cmpuint(sleeps, >, STEPS / 100);
        bed_end(&bed);
    }
}

/* -- Ends that lie --------------------------------------------------------- */

static void test_bad_tail(void)
{
    const uint64_t bad[] = {
        DESCS + 1, DESCS + 2, 1000, UINT64_C(1) << 32, UINT64_C(1) << 63,
        (uint64_t)-1, (uint64_t)-DESCS, (uint64_t)-1000,
    };

    for (unsigned k = 0; k < G_N_ELEMENTS(starts); k++) {
        struct netvm_desc d[DESCS];
        uint64_t right, head;
        Bed bed;

        bed_begin(&bed, starts[k]);
        send_some(&bed, 5);
        receive(&bed, 2);
        right = bed.ring->tail;
        receive(&bed, 3);
        head = bed.r.head;
        for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
            bed.ring->tail = head + bad[i];
            for (unsigned most = 1; most <= DESCS; most++) {
                g_assert_cmphex(netvm_receive(&bed.r, d, most), ==,
                                NETVM_RING_BROKEN);
            }
            /* It is not to sleep over that. */
            g_assert_true(netvm_receiver_ready(&bed.r));
            g_assert_false(netvm_receiver_may_sleep(&bed.r));
            g_assert_cmphex(bed.r.head, ==, head);
            g_assert_cmphex(bed.ring->head, ==, head);
        }
        bed.ring->tail = right;
        receive(&bed, DESCS);
        send_some(&bed, DESCS);
        receive(&bed, DESCS);
        g_assert_cmpuint(bed.received, ==, 5 + DESCS);
        bed_end(&bed);
    }
}

/* A tail that is taken back does not take back what was seen. */
static void test_tail_back(void)
{
    Bed bed;

    bed_begin(&bed, UINT64_MAX - 2);
    send_some(&bed, 5);
    receive(&bed, 1);
    bed.ring->tail -= 4;
    receive(&bed, 4);
    bed.ring->tail += 4;
    send_some(&bed, 1);
    receive(&bed, 1);
    g_assert_cmpuint(bed.received, ==, 6);
    bed_end(&bed);
}

/* Random tails: never more than was asked for, never past the ring. */
static void test_random_tails(void)
{
    Bed bed;
    unsigned broken = 0, taken = 0;

    bed_begin(&bed, UINT64_MAX - 1000);
    for (unsigned i = 0; i < STEPS; i++) {
        struct netvm_desc d[2 * DESCS];
        unsigned most = any(2 * DESCS);
        uint64_t head = bed.r.head;
        uint32_t n;

        bed.ring->tail = head + (int)any(4 * DESCS) - DESCS;
        n = netvm_receive(&bed.r, d, most);
        if (n == NETVM_RING_BROKEN) {
            g_assert_cmphex(bed.r.head, ==, head);
            broken++;
        } else {
            g_assert_cmpuint(n, <=, MIN(most, DESCS));
            g_assert_cmphex(bed.r.head, ==, head + n);
            taken += n;
        }
        g_assert_cmphex(bed.ring->head, ==, bed.r.head);
    }
    g_assert_cmpuint(broken, >, STEPS / 10);
    g_assert_cmpuint(taken, >, STEPS / 10);
    bed_end(&bed);
}

/* A head that cannot be changes nothing: what is not known to have been read is
 * not written over. */
static void test_bad_head(void)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(starts); k++) {
        unsigned refused = 0;
        uint64_t believed;          /* the last head that could be */
        Bed bed;

        bed_begin(&bed, starts[k]);
        believed = starts[k];
        for (unsigned i = 0; i < STEPS; i++) {
            uint64_t head = bed.s.tail + (int)any(6 * DESCS) - 3 * DESCS;
            unsigned want = any(2 * DESCS), room;

            bed.ring->head = head;
            /* It need not look, but may not go further than what it knows. */
            if (bed.s.tail - head <= DESCS) {
                believed = bed.s.tail - believed > bed.s.tail - head
                           ? head : believed;
            }
            room = netvm_sender_room(&bed.s, want);
            g_assert_cmpuint(room, <=, want);
            g_assert_cmpuint(bed.s.tail + room - believed, <=, DESCS);
            refused += room < want;
            send_some(&bed, room);
        }
        g_assert_cmpuint(refused, >, STEPS / 10);
        bed_end(&bed);
    }
}

/* It goes on once the head can be again. */
static void test_head_again(void)
{
    Bed bed;

    bed_begin(&bed, 100);
    send_some(&bed, DESCS);
    for (int i = 0; i < 3; i++) {
        bed.ring->head = 100 + DESCS + 1;
        g_assert_cmpuint(netvm_sender_room(&bed.s, 1), ==, 0);
        bed.ring->head = 99;
        g_assert_cmpuint(netvm_sender_room(&bed.s, DESCS + 1), ==, 0);
    }
    bed.ring->head = 100;
    receive(&bed, 3);
    g_assert_cmpuint(netvm_sender_room(&bed.s, DESCS), ==, 3);
    bed_end(&bed);
}

/* -- Owner words ----------------------------------------------------------- */

static void test_owner(void)
{
    const uint64_t half = UINT64_C(1) << 51;

    g_assert_cmphex(netvm_owner_word(0xfff, UINT64_MAX), ==, UINT64_MAX);
    g_assert_cmphex(netvm_owner_word(1, UINT64_C(1) << 52), ==,
                    UINT64_C(1) << 52);
    g_assert_cmpuint(netvm_owner_ring(UINT64_MAX), ==, 0xfff);
    g_assert_cmpuint(netvm_owner_ring(NETVM_OWNER_POSITION), ==, 0);
    for (unsigned k = 0; k < G_N_ELEMENTS(starts); k++) {
        uint64_t tail = starts[k];

        for (unsigned ring = 0; ring <= 0xfff; ring += 0x555) {
            for (uint64_t back = 1; back <= half; back = 2 * back + 1) {
                g_assert_true(netvm_owner_received(
                    netvm_owner_word(ring, tail - back), tail));
            }
            for (uint64_t ahead = 0; ahead < half; ahead = 2 * ahead + 1) {
                g_assert_false(netvm_owner_received(
                    netvm_owner_word(ring, tail + ahead), tail));
            }
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netvm-ring/full", test_full);
    g_test_add_func("/netvm-ring/publish", test_publish);
    g_test_add_func("/netvm-ring/random", test_random);
    g_test_add_func("/netvm-ring/wake", test_wake);
    g_test_add_func("/netvm-ring/wake-random", test_wake_random);
    g_test_add_func("/netvm-ring/bad-tail", test_bad_tail);
    g_test_add_func("/netvm-ring/tail-back", test_tail_back);
    g_test_add_func("/netvm-ring/random-tails", test_random_tails);
    g_test_add_func("/netvm-ring/bad-head", test_bad_head);
    g_test_add_func("/netvm-ring/head-again", test_head_again);
    g_test_add_func("/netvm-ring/owner", test_owner);
    return g_test_run();
}
