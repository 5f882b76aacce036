/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rings and owner words (netvm-ring.h) in all interleavings: packets come once,
 * in order and whole; a buffer is touched only by the one its word names; who
 * sleeps is woken; and what a member had that died is found.
 *
 * Each of these is also run with something left out on which it relies, and
 * has to fail then: else the model would show nothing.
 *
 * Threads: single.
 */
#include "netvm-model-bed.h"

/* -- One ring -------------------------------------------------------------- */

typedef struct One {
    unsigned packets, burst;
    bool sleeps;                /* the receiver */
    bool late;                  /* owner words follow the tail */
    bool may_die;               /* the sender ... */
    bool is_rung;               /* ... and the daemon rings for it */
} One;

static One one;

static void sender(void)
{
    struct {
        struct netvm_sender s;
        uint64_t sent;
    } my;

    memset(&my, 0, sizeof(my));
    bed_sender(&my.s, RING_A_X);
    for (unsigned b = 0; b < BUFFERS; b++) {
        model_hold(b);
    }
    while (my.sent < one.packets) {
        unsigned n;

        model_loop(&my, sizeof(my));
        n = netvm_sender_room(&my.s, MIN(one.burst, one.packets - my.sent));
        if (n == 0) {
            model_until(&my.s.ring->head, my.s.head_seen);
            continue;
        }
        for (unsigned i = 0; i < n; i++) {
            bed_put(&my.s, one.late ? &bed.blind : &bed.map, my.sent + i,
                    my.sent + i);
        }
        if (netvm_sender_publish(&my.s, n)) {
            model_ring(X);
        }
        for (unsigned i = 0; i < n && one.late; i++) {
            netvm_write(netvm_map_owner(&bed.map, my.sent + i),
                        netvm_owner_word(my.s.number, my.s.tail - n + i));
        }
        my.sent += n;
    }
}

static void receiver(void)
{
    struct {
        struct netvm_receiver r;
        uint64_t got;
    } my;
    struct netvm_desc d[DESCS];

    memset(&my, 0, sizeof(my));
    bed_receiver(&my.r, RING_A_X);
    while (my.got < one.packets) {
        uint32_t n;

        model_loop(&my, sizeof(my));
        n = netvm_receive(&my.r, d, DESCS);
        model_check(n <= DESCS, "the ring is said to be broken");
        for (unsigned i = 0; i < n; i++) {
            model_check(bed_take(&d[i]) == my.got, "packet %u is another one",
                        (unsigned)my.got);
            my.got++;
        }
        if (n == 0 && !one.sleeps) {
            model_until(&my.r.ring->tail, my.r.head);
        } else if (n == 0 && netvm_receiver_may_sleep(&my.r)) {
            model_sleep();
        }
    }
}

/* What a sender that died has sent is received all the same. */
static void ring_for_the_dead(void)
{
    model_until_dead(A);
    if (one.is_rung) {
        netvm_fence();          /* it may have had no time for its own */
        model_ring(X);
    }
}

static void one_at_end(void)
{
    const struct netvm_ring *r = bed.ring[RING_A_X];

    if (one.may_die) {
        model_check(model_now(&r->head) == model_now(&r->tail),
                    "the receiver sleeps, and packets wait");
        return;
    }

    model_check(!model_is_asleep(X), "the receiver sleeps, and packets wait");
    model_check(model_is_done(A) && model_is_done(X), "somebody hangs");
}

/* @sender_without, @receiver_without: MODEL_NO_... */
static void run_one(unsigned sender_without, unsigned receiver_without,
                    bool right)
{
    const ModelScenario s = {
        .party = {
            [DAEMON] = { .name = "daemon", .run = ring_for_the_dead },
            [A] = { .name = "sender", .run = sender, .without = sender_without,
                    .may_die = one.may_die },
            [X] = { .name = "receiver", .run = receiver,
                    .without = receiver_without },
        },
        .at_each_step = bed_check_owners,
        .at_end = one_at_end,
    };

    bed_begin();
    bed_ring(RING_FILL_A, DAEMON, A);
    bed_ring(RING_A_X, A, X);
    bed_give_all(RING_FILL_A);
    if (one.late) {
        bed_blind();
    }
    bed_run(&s, right);
}

static void test_once_in_order(void)
{
    one = (One) { .packets = BUFFERS, .burst = 1 };
    run_one(0, 0, true);
    one.burst = DESCS;
    run_one(0, 0, true);
}

static void test_order_missing(void)
{
    one = (One) { .packets = 1, .burst = 1 };
    run_one(MODEL_NO_RELEASE, 0, false);
    run_one(0, MODEL_NO_ACQUIRE, false);
    one.late = true;
    run_one(0, 0, false);
    /* A descriptor is written again before it has been read. */
    one = (One) { .packets = DESCS + 1, .burst = 1 };
    run_one(MODEL_NO_ACQUIRE, 0, false);
    run_one(0, MODEL_NO_RELEASE, false);
}

static void test_wake(void)
{
    one = (One) {
        .packets = g_test_slow() ? BUFFERS : BUFFERS - 1,
        .burst = 1,
        .sleeps = true,
    };
    run_one(0, 0, true);
    one.packets = BUFFERS;
    one.burst = DESCS;
    run_one(0, 0, true);
}

static void test_fence_missing(void)
{
    one = (One) { .packets = 1, .burst = 1, .sleeps = true };
    run_one(MODEL_NO_FENCE, 0, false);
    run_one(0, MODEL_NO_FENCE, false);
}

static void test_wake_for_the_dead(void)
{
    one = (One) {
        .packets = BUFFERS - 1,
        .burst = 1,
        .sleeps = true,
        .may_die = true,
        .is_rung = true,
    };
    run_one(0, 0, true);
    one.is_rung = false;
    run_one(0, 0, false);
}

/* -- A circle -------------------------------------------------------------- */

static unsigned circle_packets;         /* that each of them sends */

static void go_round(void)
{
    unsigned self = model_self();
    struct {
        struct netvm_sender out;
        struct netvm_receiver in;
        uint64_t sent;
        unsigned buffer[BUFFERS], n;
        unsigned pad;
    } my;
    struct netvm_desc d[DESCS];

    memset(&my, 0, sizeof(my));
    bed_sender(&my.out, bed_ring_between(self, self % MEMBERS + 1));
    bed_receiver(&my.in, bed_ring_between((self + MEMBERS - 2) % MEMBERS + 1,
                                          self));
    for (unsigned b = 0; b < BUFFERS && self == A; b++) {
        model_hold(b);
        my.buffer[my.n++] = b;
    }
    while (my.sent < circle_packets) {
        unsigned got, room;

        model_loop(&my, sizeof(my));
        got = netvm_receive(&my.in, d, DESCS);
        model_check(got <= DESCS, "the ring is said to be broken");
        for (unsigned i = 0; i < got; i++) {
            bed_take(&d[i]);
            my.buffer[my.n++] = d[i].buffer;
        }
        room = netvm_sender_room(&my.out, MIN(my.n,
                                              circle_packets - my.sent));
        for (unsigned i = 0; i < room; i++) {
            bed_put(&my.out, &bed.map, my.buffer[i], my.sent++);
        }
        my.n -= room;
        for (unsigned i = 0; i < BUFFERS; i++) {
            my.buffer[i] = i < my.n ? my.buffer[i + room] : 0;
        }
        if (room > 0) {
            netvm_sender_publish(&my.out, room);
        } else if (got == 0 && my.n == 0) {
            model_until(&my.in.ring->tail, my.in.head);
        } else if (got == 0) {
            model_until_either(&my.in.ring->tail, my.in.head,
                               &my.out.ring->head, my.out.head_seen);
        }
    }
}

static void circle_at_end(void)
{
    /* The others may wait for one that has done its part. */
    model_check(model_is_done(A) || model_is_done(X) || model_is_done(B),
                "all wait for each other");
    for (unsigned b = 0; b < BUFFERS; b++) {
        model_check(model_holder(b) != MODEL_NOBODY || bed_is_in_ring(b),
                    "buffer %u is lost", b);
    }
}

static void test_circle(void)
{
    const ModelScenario s = {
        .party = {
            [DAEMON] = { .name = "daemon", .run = bed_nothing },
            [A] = { .name = "a", .run = go_round },
            [X] = { .name = "x", .run = go_round },
            [B] = { .name = "b", .run = go_round },
        },
        .at_each_step = bed_check_owners,
        .at_end = circle_at_end,
    };

    bed_begin();
    bed_ring(RING_FILL_A, DAEMON, A);
    bed_ring(RING_A_X, A, X);
    bed_ring(RING_X_B, X, B);
    bed_ring(RING_B_A, B, A);
    bed_give_all(RING_FILL_A);
    circle_packets = g_test_slow() ? 12 : 6;
    bed_run(&s, true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netvm-model/once-in-order", test_once_in_order);
    g_test_add_func("/netvm-model/order-missing", test_order_missing);
    g_test_add_func("/netvm-model/wake", test_wake);
    g_test_add_func("/netvm-model/fence-missing", test_fence_missing);
    g_test_add_func("/netvm-model/wake-for-the-dead", test_wake_for_the_dead);
    g_test_add_func("/netvm-model/circle", test_circle);
    return g_test_run();
}
