/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two threads, a ring to and a ring back: what is sent comes once, in order and
 * whole, in the buffer whose word says so; and who sleeps is woken.
 *
 * Payload is written and read as ordinary memory: only the rings put that in
 * order, so ThreadSanitizer finds it if they do not.
 *
 * Threads: a sender, which fills buffers, and a receiver, which sends them
 * back.
 */
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "netvm-ring.h"

#define BUFFERS 64u                 /* all fit into the ring back */
#define BUFFER_BYTES 256u
#define BURST 16
#define RUN_MS 700
#define RUN_MS_SLOW 30000
/* A wake-up that takes as long never comes. */
#define LOST_MS 20000

enum { TO = 77, BACK = 78 };        /* numbers of the rings */

typedef struct Way {
    struct netvm_ring *ring;
    uint32_t descs, number;
    uint64_t start;
    int bell;                       /* of its receiver */
} Way;

typedef struct Bed {
    struct netvm_map map;
    uint64_t owner[BUFFERS];
    uint8_t buffer[BUFFERS][BUFFER_BYTES];
    Way to, back;
    int64_t end_us;
    uint32_t seed;
    /* Of one thread each, until they are joined. */
    uint64_t sent_pkts, received_pkts;
    unsigned sender_sleeps, receiver_sleeps, full;
} Bed;

/* -- Ends ------------------------------------------------------------------ */

static void way_begin(Way *w, uint32_t descs, uint32_t number, uint64_t start)
{
    w->ring = g_aligned_alloc0(1, sizeof(*w->ring) +
                                  descs * sizeof(w->ring->desc[0]),
                               NETVM_LINE_BYTES);
    w->ring->tail = w->ring->head = start;
    w->ring->wake_at = start - 1;
    w->descs = descs;
    w->number = number;
    w->start = start;
    w->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert_cmpint(w->bell, >=, 0);
}

static void way_end(Way *w)
{
    g_aligned_free(w->ring);
    close(w->bell);
}

static struct netvm_sender sender_of(const Way *w)
{
    return (struct netvm_sender) {
        .ring = w->ring,
        .tail = w->start,
        .head_seen = w->start,
        .descs = w->descs,
        .number = w->number,
    };
}

static struct netvm_receiver receiver_of(const Way *w)
{
    return (struct netvm_receiver) {
        .ring = w->ring,
        .head = w->start,
        .tail_seen = w->start,
        .descs = w->descs,
    };
}

static void publish(const Way *w, struct netvm_sender *s, unsigned n)
{
    if (netvm_sender_publish(s, n)) {
        g_assert_cmpint(eventfd_write(w->bell, 1), ==, 0);
    }
}

/* Returns whether it slept. */
static bool wait_for_more(const Way *w, struct netvm_receiver *r)
{
    struct pollfd p = { .fd = w->bell, .events = POLLIN };
    eventfd_t rung;

    if (!netvm_receiver_may_sleep(r)) {
        return false;
    }
    if (poll(&p, 1, LOST_MS) == 0) {
        g_error("nobody rings for position %" G_GINT64_MODIFIER "x, and the "
                "tail is %" G_GINT64_MODIFIER "x", r->head,
                netvm_read(&r->ring->tail));
    }
    eventfd_read(w->bell, &rung);
    return true;
}

/* Of the buffer that is sent at this position. */
static void check_word(Bed *bed, const Way *w, uint32_t buffer,
                       uint64_t position)
{
    g_assert_cmphex(netvm_read(netvm_map_owner(&bed->map, buffer)), ==,
                    netvm_owner_word(w->number, position));
}

/* Now and then, so that the other end comes to sleep. */
static void pause_sometimes(GRand *rand)
{
    if (g_rand_int_range(rand, 0, 512) == 0) {
        g_usleep(g_rand_int_range(rand, 0, 100));
    }
}

/* -- The sender ------------------------------------------------------------ */

typedef struct Free {
    uint32_t buffer[BUFFERS];
    unsigned n;
} Free;

static void take_back(Bed *bed, struct netvm_receiver *r, Free *free)
{
    struct netvm_desc d[BUFFERS];
    uint32_t n = netvm_receive(r, d, BUFFERS);

    g_assert_cmpuint(n, <=, BUFFERS - free->n);
    for (unsigned i = 0; i < n; i++) {
        g_assert_true(netvm_map_holds(&bed->map, &d[i]));
        check_word(bed, &bed->back, d[i].buffer, r->head - n + i);
        free->buffer[free->n++] = d[i].buffer;
    }
    if (free->n == 0) {
        bed->sender_sleeps += wait_for_more(&bed->back, r);
    }
}

static void fill(Bed *bed, struct netvm_desc *d, uint32_t buffer, GRand *rand)
{
    *d = (struct netvm_desc) {
        .buffer = buffer,
        .offset = g_rand_int_range(rand, 0, BUFFER_BYTES / 2),
        .length = g_rand_int_range(rand, 1, BUFFER_BYTES / 2),
        .hash = bed->sent_pkts,
        .chain = bed->sent_pkts >> 16,
    };
    memset(netvm_map_buffer(&bed->map, buffer) + d->offset, bed->sent_pkts,
           d->length);
    bed->sent_pkts++;
}

/* The last packet has no length. */
static void *send_all(void *opaque)
{
    Bed *bed = opaque;
    struct netvm_sender s = sender_of(&bed->to);
    struct netvm_receiver r = receiver_of(&bed->back);
    GRand *rand = g_rand_new_with_seed(bed->seed);
    Free free = { .n = BUFFERS };
    bool more = true;

    for (unsigned i = 0; i < BUFFERS; i++) {
        free.buffer[i] = i;
    }
    while (more) {
        unsigned n = g_rand_int_range(rand, 1, BURST + 1);

        take_back(bed, &r, &free);
        n = netvm_sender_room(&s, MIN(n, free.n));
        for (unsigned i = 0; i < n && more; i++) {
            struct netvm_desc d;

            fill(bed, &d, free.buffer[--free.n], rand);
            if (i == n - 1 && g_get_monotonic_time() > bed->end_us) {
                d.length = 0;
                more = false;
            }
            netvm_sender_put(&s, &bed->map, &d);
        }
        if (n > 0) {
            publish(&bed->to, &s, n);
        } else if (free.n > 0) {
            bed->full++;
            g_thread_yield();
        }
        pause_sometimes(rand);
    }
    g_rand_free(rand);
    return NULL;
}

/* -- The receiver ---------------------------------------------------------- */

static void check_packet(Bed *bed, const struct netvm_desc *d)
{
    const uint8_t *data = netvm_map_buffer(&bed->map, d->buffer) + d->offset;
    uint64_t number = bed->received_pkts++;

    g_assert_cmpuint(d->hash, ==, (uint16_t)number);
    g_assert_cmpuint(d->chain, ==, (uint16_t)(number >> 16));
    for (unsigned i = 0; i < d->length; i++) {
        if (data[i] != (uint8_t)number) {
            g_error("packet %" G_GUINT64_FORMAT " is not as it was sent",
                    number);
        }
    }
}

static void *receive_all(void *opaque)
{
    Bed *bed = opaque;
    struct netvm_receiver r = receiver_of(&bed->to);
    struct netvm_sender s = sender_of(&bed->back);
    GRand *rand = g_rand_new_with_seed(~bed->seed);
    bool more = true;

    while (more) {
        struct netvm_desc d[BURST];
        uint32_t n = netvm_receive(&r, d, g_rand_int_range(rand, 1, BURST + 1));

        g_assert_cmpuint(n, <=, BURST);
        for (unsigned i = 0; i < n; i++) {
            g_assert_true(netvm_map_holds(&bed->map, &d[i]));
            check_word(bed, &bed->to, d[i].buffer, r.head - n + i);
            check_packet(bed, &d[i]);
            more = more && d[i].length > 0;
        }
        g_assert_cmpuint(netvm_sender_room(&s, n), ==, n);
        for (unsigned i = 0; i < n; i++) {
            netvm_sender_put(&s, &bed->map, &d[i]);
        }
        if (n > 0) {
            publish(&bed->back, &s, n);
        } else {
            bed->receiver_sleeps += wait_for_more(&bed->to, &r);
        }
        pause_sometimes(rand);
    }
    g_rand_free(rand);
    return NULL;
}

/* -- Test ------------------------------------------------------------------ */

/* @descs: of the ring to the receiver.  The bed is the caller's to free. */
static Bed *run(unsigned descs)
{
    unsigned run_ms = g_test_slow() ? RUN_MS_SLOW : RUN_MS;
    Bed *bed = g_new0(Bed, 1);
    GThread *sender, *receiver;

    bed->map.buffer_bytes = BUFFER_BYTES;
    bed->map.buffer_shift = 8;
    bed->map.segment[0].buffers = bed->buffer[0];
    bed->map.segment[0].owners = bed->owner;
    bed->map.segment[0].n = BUFFERS;
    /* Both ends of positions come while it runs. */
    way_begin(&bed->to, descs, TO, UINT64_MAX - 1000);
    way_begin(&bed->back, BUFFERS, BACK, (UINT64_C(1) << 52) - 1000);
    bed->seed = g_test_rand_int();
    bed->end_us = g_get_monotonic_time() + 1000 * (int64_t)run_ms;
    sender = g_thread_new("sender", send_all, bed);
    receiver = g_thread_new("receiver", receive_all, bed);
    g_thread_join(sender);
    g_thread_join(receiver);
    g_test_message("%" G_GUINT64_FORMAT " packets; the sender slept %u times "
                   "and found the ring full %u times; the receiver slept %u "
                   "times", bed->sent_pkts, bed->sender_sleeps, bed->full,
                   bed->receiver_sleeps);
    g_assert_cmpuint(bed->received_pkts, ==, bed->sent_pkts);
    g_assert_cmpuint(bed->sent_pkts, >, 2000);
    g_assert_cmpuint(bed->receiver_sleeps, >, 0);
    way_end(&bed->to);
    way_end(&bed->back);
    return bed;
}

static void test_full(void)
{
    g_autofree Bed *bed = run(BUFFERS / 4);

    g_assert_cmpuint(bed->full, >, 0);
}

static void test_out_of_buffers(void)
{
    g_autofree Bed *bed = run(2 * BUFFERS);

    g_assert_cmpuint(bed->sender_sleeps, >, 0);
    g_assert_cmpuint(bed->full, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netvm-ring-stress/full", test_full);
    g_test_add_func("/netvm-ring-stress/out-of-buffers", test_out_of_buffers);
    return g_test_run();
}
