/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A member dies at any step: A sends to X, which keeps some buffers and sends
 * the others on to B.  X may die; the daemon closes its rings, takes back what
 * it had, and another X goes on in its place.  In the end each buffer is
 * somebody's, and only his.
 *
 * What the daemon does here is what it has to do: each of its steps is left out
 * once, and something is lost or is there twice.
 *
 * Threads: single.
 */
#include "netvm-model-bed.h"
#include "sandbox-bed.h"            /* IS_SANITIZED: it takes far longer then */

#define FROM_DAEMON 100             /* contents of what it sends, from there */

typedef struct Death {
    unsigned packets;               /* that A sends, one by one */
    bool goes_idle;                 /* A, before each */
    bool gives_back;                /* the daemon, to the new X what it found */

    /* What the daemon leaves out. */
    bool no_wait;                   /* until A has seen the ring closed */
    bool no_reset;                  /* of the words that it takes back */
    bool no_skip;                   /* of what is in the ring to X */
} Death;

static Death death;

/* As in struct netvm_region and struct netvm_member. */
static uint64_t epoch, epoch_seen;

/* How many packets A has sent. */
static uint64_t sent_pkts;

/* -- A --------------------------------------------------------------------- */

/* Returns the epoch that it has seen; the ring is as it was in it. */
static uint64_t look(bool *open)
{
    uint64_t seen;

    do {
        seen = netvm_read_acquire(&epoch);
        netvm_write_release(&epoch_seen, seen);
        netvm_fence();
        *open = netvm_read32(&bed.ring[RING_A_X]->state) == NETVM_RING_OPEN;
    } while (netvm_read_acquire(&epoch) != seen);
    return seen;
}

static void first(void)
{
    struct {
        struct netvm_sender s;
        uint64_t sent, seen;
        uint64_t open;
    } my;
    bool open = true;

    memset(&my, 0, sizeof(my));
    bed_sender(&my.s, RING_A_X);
    my.seen = my.open = 1;
    for (unsigned b = 0; b < BUFFERS; b++) {
        model_hold(b);
    }
    for (;; my.open = open) {
        model_loop(&my, sizeof(my));
        open = my.open;
        if (death.goes_idle && my.sent < death.packets) {
            netvm_write_release(&epoch_seen, NETVM_EPOCH_IDLE);
            my.seen = look(&open);
        } else if (netvm_read_acquire(&epoch) != my.seen) {
            my.seen = look(&open);
        }
        if (!open || my.sent == death.packets) {
            model_until(&epoch, my.seen);
        } else if (netvm_sender_room(&my.s, 1) == 0) {
            model_until_either(&my.s.ring->head, my.s.head_seen,
                               &epoch, my.seen);
        } else {
            bed_put(&my.s, &bed.map, my.sent, my.sent);
            netvm_sender_publish(&my.s, 1);
            netvm_write(&sent_pkts, ++my.sent);
        }
    }
}

/* -- X --------------------------------------------------------------------- */

typedef struct Between {
    struct netvm_receiver from_a, fill;
    struct netvm_sender to_b;
} Between;

static void send_on(struct netvm_sender *s, const struct netvm_desc *d,
                    uint64_t content)
{
    while (netvm_sender_room(s, 1) == 0) {
        model_until(&s->ring->head, s->head_seen);
    }
    bed_put(s, &bed.map, d->buffer, content);
    netvm_sender_publish(s, 1);
}

/* What comes from A, and what the daemon gives. */
static void go_between(Between *my)
{
    struct netvm_desc d[DESCS];

    for (;;) {
        uint32_t n;

        model_loop(my, sizeof(*my));
        n = netvm_receive(&my->fill, d, DESCS);
        if (n == 0) {
            n = netvm_receive(&my->from_a, d, DESCS);
        }
        model_check(n <= DESCS, "a ring is said to be broken");
        for (unsigned i = 0; i < n; i++) {
            uint64_t content = bed_take(&d[i]);

            if (content % 2 == 0) {
                send_on(&my->to_b, &d[i], content);
            }
        }
        if (n == 0) {
            model_until_either(&my->fill.ring->tail, my->fill.head,
                               &my->from_a.ring->tail, my->from_a.head);
        }
    }
}

static void between(void)
{
    Between my;

    memset(&my, 0, sizeof(my));
    bed_receiver(&my.from_a, RING_A_X);
    bed_receiver(&my.fill, RING_FILL_X);
    bed_sender(&my.to_b, RING_X_B);
    go_between(&my);
}

static void find_receiver(struct netvm_receiver *r, unsigned ring)
{
    bed_receiver(r, ring);
    r->tail_seen = r->head = netvm_read_acquire(&r->ring->head);
}

static void between_again(void)
{
    Between my;

    memset(&my, 0, sizeof(my));
    model_until_started();
    find_receiver(&my.from_a, RING_A_X);
    find_receiver(&my.fill, RING_FILL_X);
    bed_sender(&my.to_b, RING_X_B);
    my.to_b.tail = netvm_read_acquire(&my.to_b.ring->tail);
    my.to_b.head_seen = netvm_read_acquire(&my.to_b.ring->head);
    go_between(&my);
}

/* -- B --------------------------------------------------------------------- */

static void last(void)
{
    struct {
        struct netvm_receiver r;
        uint64_t next;
    } my;
    struct netvm_desc d[DESCS];

    memset(&my, 0, sizeof(my));
    bed_receiver(&my.r, RING_X_B);
    for (;;) {
        uint32_t n;

        model_loop(&my, sizeof(my));
        n = netvm_receive(&my.r, d, DESCS);
        model_check(n <= DESCS, "the ring is said to be broken");
        for (unsigned i = 0; i < n; i++) {
            uint64_t content = bed_take(&d[i]);

            if (content < FROM_DAEMON) {
                model_check(content >= my.next, "packets are out of order");
                my.next = content + 1;
            }
        }
        if (n == 0) {
            model_until(&my.r.ring->tail, my.r.head);
        }
    }
}

/* -- The daemon ------------------------------------------------------------ */

static void set_state(enum netvm_ring_state state, uint64_t new_epoch)
{
    netvm_write32(&bed.ring[RING_A_X]->state, state);
    netvm_write_release(&epoch, new_epoch);
    netvm_fence();
}

static void wait_for_a(uint64_t wanted)
{
    uint64_t seen = netvm_read_acquire(&epoch_seen);

    while (seen < wanted) {
        model_until(&epoch_seen, seen);
        seen = netvm_read_acquire(&epoch_seen);
    }
}

typedef struct Scan {
    uint64_t to_x_tail, from_x_tail;
    unsigned at;                    /* the next buffer to look at */
    unsigned found[BUFFERS], n;
} Scan;

/* Is it X's, by its word? */
static bool is_of_x(const Scan *my, uint64_t word)
{
    switch (netvm_owner_ring(word)) {
    case RING_A_X:
        return netvm_owner_received(word, my->to_x_tail);
    case RING_X_B:
        return !netvm_owner_received(word, my->from_x_tail);
    }
    return false;
}

static void take_back(Scan *my)
{
    my->to_x_tail = netvm_read_acquire(&bed.ring[RING_A_X]->tail);
    my->from_x_tail = netvm_read_acquire(&bed.ring[RING_X_B]->tail);
    while (my->at < BUFFERS) {
        model_loop(my, sizeof(*my));
        if (is_of_x(my, netvm_read(&bed.owner[my->at]))) {
            if (!death.no_reset) {
                netvm_write(&bed.owner[my->at], 0);
            }
            model_hold(my->at);
            my->found[my->n++] = my->at;
        }
        my->at++;
    }
}

static void give(const unsigned *buffer, unsigned n)
{
    struct netvm_sender s;

    bed_sender(&s, RING_FILL_X);
    for (unsigned i = 0; i < n; i++) {
        bed_put(&s, &bed.map, buffer[i], FROM_DAEMON + 2 * i);
    }
    netvm_sender_publish(&s, n);
}

static void the_daemon(void)
{
    struct netvm_ring *to_x = bed.ring[RING_A_X];
    Scan my;

    memset(&my, 0, sizeof(my));
    model_until_dead(X);
    set_state(NETVM_RING_CLOSED, 2);
    if (!death.no_wait) {
        wait_for_a(2);
    }
    take_back(&my);
    if (!death.no_skip) {
        netvm_write_release(&to_x->head, netvm_read_acquire(&to_x->tail));
    }
    set_state(NETVM_RING_OPEN, 3);
    model_start(X_AGAIN);
    if (death.gives_back && my.n > 0) {
        give(my.found, MIN(my.n, DESCS));
    }
}

/* -- Scenarios ------------------------------------------------------------- */

static void nothing_is_lost(void)
{
    for (unsigned b = 0; b < BUFFERS; b++) {
        model_check(model_holder(b) != MODEL_NOBODY, "buffer %u is lost", b);
    }
    model_check(model_now(&sent_pkts) == death.packets, "A hangs");
}

/* @without: MODEL_NO_... of the daemon. */
static void run_death(const Death *what, unsigned without, bool right)
{
    const ModelScenario s = {
        .party = {
            [DAEMON] = { .name = "daemon", .run = the_daemon,
                         .writes_at_once = true, .without = without },
            [A] = { .name = "a", .run = first, .writes_at_once = true },
            [X] = { .name = "x", .run = between, .may_die = true },
            [B] = { .name = "b", .run = last, .writes_at_once = true },
            [X_AGAIN] = { .name = "new x", .run = between_again,
                          .writes_at_once = true },
        },
        .at_each_step = bed_check_owners,
        .at_end = nothing_is_lost,
    };

    death = *what;
    epoch = epoch_seen = 1;
    sent_pkts = 0;
    bed_begin();
    bed_ring(RING_FILL_A, DAEMON, A);
    bed_ring(RING_FILL_X, DAEMON, X);
    bed_ring(RING_A_X, A, X);
    bed_ring(RING_X_B, X, B);
    bed_give_all(RING_FILL_A);
    model_share(&epoch, "epoch");
    model_share(&epoch_seen, "epoch_seen of a");
    model_share(&sent_pkts, "what a has sent");
    bed_run(&s, right);
}

static unsigned packets(unsigned n)
{
    return n + g_test_slow() - (IS_SANITIZED && n > 1);
}

static void test_found(void)
{
    run_death(&(Death) { .packets = packets(3) }, 0, true);
}

static void test_given_again(void)
{
    run_death(&(Death) { .packets = packets(2), .gives_back = true }, 0, true);
}

static void test_idle(void)
{
    run_death(&(Death) { .packets = packets(1), .goes_idle = true }, 0, true);
}

static void test_missing(void)
{
    run_death(&(Death) { .packets = 2, .no_wait = true }, 0, false);
    run_death(&(Death) { .packets = 2, .no_reset = true }, 0, false);
    run_death(&(Death) { .packets = 2, .no_skip = true }, 0, false);
    run_death(&(Death) { .packets = 1, .goes_idle = true },
              MODEL_NO_FENCE, false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netvm-model-death/found", test_found);
    g_test_add_func("/netvm-model-death/given-again", test_given_again);
    g_test_add_func("/netvm-model-death/idle", test_idle);
    g_test_add_func("/netvm-model-death/missing", test_missing);
    return g_test_run();
}
