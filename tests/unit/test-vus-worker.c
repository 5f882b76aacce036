/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several workers, guests with several queues, and ports that change meanwhile:
 * frames of a flow come in order and once, whole, and only where they belong.
 *
 * Threads: this is the control thread and the guests; workers are the switch's.
 */
#include <string.h>

#include "switch-bed.h"
#include "vhost-guest.h"

#define GUESTS 3
#define PAIRS 2
#define QUEUES (GUESTS * PAIRS)
/* From each queue to each guest. */
#define FLOWS (QUEUES * GUESTS)
#define FRAMES 20000u
#define FRAMES_SLOW 2000000u
#define FRAME_BYTES 200u
/* Every other one is a mirror. */
#define EXTRAS_MAX (2 * PORT_MAX_MIRRORS)

/* What a frame says of itself, behind its head. */
typedef struct Note {
    uint32_t number;
    uint8_t from, pair, to;
    uint8_t pattern[FRAME_BYTES - 128 - 8];
} Note;

#define NOTE_AT (FRAME_BYTES - sizeof(Note))

typedef struct Bed {
    Switch *sw;
    char *path[GUESTS];
    Guest *g[GUESTS];
    uint32_t sent[GUESTS][PAIRS];
    /* The last number that came to one from a flow. */
    uint32_t last[GUESTS][FLOWS];
    uint64_t received;
} Bed;

static const char *const names[GUESTS] = { "a", "b", "c" };

/* Settings of all guests' ports. */
static const char *all_guests = "";

static void add_guest(Bed *bed, unsigned i)
{
    g_autofree char *words =
        g_strdup_printf("type=vhost-user queues=%d socket=%s%s", PAIRS,
                        bed->path[i], all_guests);

    bed_add(bed->sw, names[i], words);
    bed->g[i] = guest_new(bed->path[i], PAIRS, i % 2 ? GUEST_PACKED
                                                     : GUEST_SPLIT);
}

static Bed *bed_new(unsigned workers)
{
    Bed *bed = g_new0(Bed, 1);

    bed->sw = bed_switch_new(workers);
    for (unsigned i = 0; i < GUESTS; i++) {
        bed->path[i] = bed_socket_path();
        add_guest(bed, i);
    }
    return bed;
}

static void bed_free(Bed *bed)
{
    for (unsigned i = 0; i < GUESTS; i++) {
        guest_free(bed->g[i]);
    }
    switch_free(bed->sw);
    for (unsigned i = 0; i < GUESTS; i++) {
        bed_socket_free(bed->path[i]);
    }
    g_free(bed);
}

/* To one of the others, turn by turn. */
static bool send_one(Bed *bed, unsigned from, unsigned pair)
{
    uint32_t number = bed->sent[from][pair] + 1;
    unsigned to = (from + 1 + number % (GUESTS - 1)) % GUESTS;
    uint8_t frame[FRAME_BYTES] = { 0 };
    Note note = { number, from, pair, to, { 0 } };

    /* A flow has a station of its own. */
    bed_make_frame(frame, 100 * to, 100 * from + pair, -1);
    memset(note.pattern, number, sizeof(note.pattern));
    memcpy(frame + NOTE_AT, &note, sizeof(note));
    if (!guest_send(bed->g[from], pair, frame, sizeof(frame))) {
        return false;
    }
    bed->sent[from][pair] = number;
    return true;
}

static void check(Bed *bed, unsigned at, const uint8_t *frame, size_t bytes)
{
    uint32_t *last;
    Note note;

    g_assert_cmpuint(bytes, ==, FRAME_BYTES);
    memcpy(&note, frame + NOTE_AT, sizeof(note));
    g_assert_cmpuint(note.from, <, GUESTS);
    g_assert_cmpuint(note.pair, <, PAIRS);
    g_assert_cmpuint(frame[5] | frame[4] << 8, ==, 100 * note.to);
    for (unsigned i = 0; i < sizeof(note.pattern); i++) {
        g_assert_cmpuint(note.pattern[i], ==, (uint8_t)note.number);
    }
    /* What is flooded comes to others, too. */
    g_assert_cmpuint(note.from, !=, at);
    last = &bed->last[at][(note.from * PAIRS + note.pair) * GUESTS + note.to];
    g_assert_cmpuint(note.number, >, *last);
    g_assert_cmpuint(note.number, <=, bed->sent[note.from][note.pair]);
    *last = note.number;
    bed->received += note.to == at;
}

/* All that has come to a queue of a guest. */
static void receive(Bed *bed, unsigned i, unsigned pair)
{
    uint8_t frame[GUEST_BUFFER_BYTES];
    size_t bytes;

    while ((bytes = guest_receive(bed->g[i], pair, frame, sizeof(frame))) > 0) {
        check(bed, i, frame, bytes);
    }
}

static void receive_all(Bed *bed)
{
    for (unsigned i = 0; i < GUESTS; i++) {
        for (unsigned pair = 0; pair < PAIRS; pair++) {
            receive(bed, i, pair);
        }
    }
}

static void turn(Bed *bed)
{
    for (unsigned i = 0; i < GUESTS; i++) {
        for (unsigned pair = 0; pair < PAIRS; pair++) {
            for (unsigned n = 0; n < 16 && send_one(bed, i, pair); n++) {
            }
        }
    }
    receive_all(bed);
}

/* -- What changes meanwhile ------------------------------------------------ */

static void set_guest(Bed *bed, unsigned i, const char *more)
{
    g_autofree char *words =
        g_strdup_printf("type=vhost-user queues=%d socket=%s%s", PAIRS,
                        bed->path[i], more);

    bed_set(bed->sw, names[i], words);
}

/*
 * The front end says something that makes the port still.  A flow whose queue
 * is off takes another one until it is on: what the queue had is older than
 * what another one gets meanwhile, and that is older than what comes then.
 */
static void touch_ring(Bed *bed, unsigned i)
{
    unsigned ring = g_test_rand_int_range(0, 2 * PAIRS);
    VuRingState off = { ring, 0 };
    Guest *g = bed->g[i];

    guest_tell_fd(g, VU_SET_VRING_CALL, ring, g->call_fd[ring]);
    guest_say(g, VU_SET_VRING_ENABLE, &off, sizeof(off), NULL, 0);
    guest_ask(g, VU_GET_FEATURES);
    receive(bed, i, ring / 2);
    guest_disturb(g, ring);
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        if (pair != ring / 2) {
            receive(bed, i, pair);
        }
    }
}

/* The whole guest goes, and comes again as a new one. */
static void replace_guest(Bed *bed, unsigned i)
{
    guest_free(bed->g[i]);
    bed_remove(bed->sw, names[i]);
    add_guest(bed, i);
    memset(bed->last[i], 0, sizeof(bed->last[i]));
}

static const char *const rates[] = {
    " rate-bps=1G", " rate-bps=1G policy=fifo", " rate-bps=100M queue-pkts=64",
    " rate-bps=2G guarantee-bps=100M", " tx-limit-bps=500M",
    " rate-pps=200k tx-limit-pps=100k",
};

static void change_something(Bed *bed, unsigned *extra)
{
    unsigned i = g_test_rand_int_range(0, GUESTS);
    g_autofree char *name = g_strdup_printf("x%u", *extra);

    switch (g_test_rand_int_range(0, 9)) {
    case 0:
        if (*extra < EXTRAS_MAX) {
            bed_add(bed->sw, name, *extra % 2 ? "mirror=a,b" : "vlan=7");
            ++*extra;
        }
        break;
    case 1:
        if (*extra > 0) {
            g_free(name);
            name = g_strdup_printf("x%u", --*extra);
            bed_remove(bed->sw, name);
        }
        break;
    case 2:
        set_guest(bed, i, " storm-pps=1000000");
        break;
    case 3:
        set_guest(bed, i, "");
        break;
    case 6:
        set_guest(bed, i, rates[g_test_rand_int_range(
                              0, G_N_ELEMENTS(rates))]);
        break;
    case 4:
        switch_fdb_flush(bed->sw, NULL);
        break;
    case 5:
        replace_guest(bed, i);
        break;
    default:
        touch_ring(bed, i);
        break;
    }
    bed_turn();
    for (unsigned k = 0; k < *extra; k++) {
        g_free(name);
        name = g_strdup_printf("x%u", k);
        bed_drain(bed->sw, name);
    }
}

static void run(unsigned workers, bool change)
{
    uint32_t want = g_test_slow() ? FRAMES_SLOW : FRAMES;
    Bed *bed = bed_new(workers);
    gint64 end_us = g_get_monotonic_time() + BED_WAIT_S * G_USEC_PER_SEC;
    unsigned extra = 0;

    for (unsigned n = 0; bed->received < want; n++) {
        turn(bed);
        if (n % 16 == 0) {
            bed_turn();
            if (change) {
                change_something(bed, &extra);
            }
        }
        /* A change may take a grace period or two of a busy machine. */
        if (!g_test_slow() && g_get_monotonic_time() > end_us) {
            g_assert_cmpuint(bed->received, >, want / 20);
            break;
        }
        g_thread_yield();
    }
    for (unsigned i = 0; i < GUESTS; i++) {
        PortStatus status;

        switch_port_status(bed->sw, switch_find_port(bed->sw, names[i]),
                           &status);
        g_assert_cmpuint(status.breaks, ==, 0);
    }
    bed_free(bed);
}

static void test_order(const void *opaque)
{
    run(GPOINTER_TO_INT(opaque), false);
}

/* The same with a queue for each link, which one worker serves. */
static void test_rates(const void *opaque)
{
    all_guests = " rate-bps=10G queue-pkts=4096";
    run(GPOINTER_TO_INT(opaque), false);
    all_guests = " rate-bps=200M";
    run(GPOINTER_TO_INT(opaque), false);
    all_guests = "";
}

static void test_change(const void *opaque)
{
    run(GPOINTER_TO_INT(opaque), true);
}

/* -- Sleep ----------------------------------------------------------------- */

static bool sleeps(void *opaque)
{
    Bed *bed = opaque;
    WorkerStatus status;

    switch_worker_status(bed->sw, 0, &status);
    return status.sleeps > 0;
}

static bool got_all(void *opaque)
{
    Bed *bed = opaque;

    receive_all(bed);
    return bed->received == bed->sent[0][0] + bed->sent[1][1];
}

/* Whoever sends to a worker that sleeps, or is about to, wakes it. */
static void test_wake(void)
{
    Bed *bed = bed_new(1);
    WorkerStatus status;

    bed_wait(sleeps, bed, "the worker to sleep");
    for (unsigned i = 0; i < 1000; i++) {
        g_assert_true(send_one(bed, i % 2, i % 2));
        bed_wait(got_all, bed, "a frame through a sleeping worker");
        /* About as long as it takes until it sleeps. */
        if (i % 4) {
            g_usleep(g_test_rand_int_range(0, 400));
        }
    }
    switch_worker_status(bed->sw, 0, &status);
    g_assert_cmpuint(status.sleeps, >, 10);
    g_assert_cmpuint(status.pkts, ==, 1000);
    g_assert_cmpuint(status.queues, ==, QUEUES);
    bed_free(bed);
}

/* Queues are shared out evenly, and again when there are fewer. */
static void test_share(void)
{
    Bed *bed = bed_new(3);
    WorkerStatus status;
    unsigned sum = 0;

    for (unsigned i = 0; i < 3; i++) {
        switch_worker_status(bed->sw, i, &status);
        g_assert_cmpuint(status.queues, ==, QUEUES / 3);
        g_assert_cmpint(status.cpu, ==, -1);
    }
    bed_remove(bed->sw, "b");
    for (unsigned i = 0; i < 3; i++) {
        switch_worker_status(bed->sw, i, &status);
        sum += status.queues;
    }
    g_assert_cmpuint(sum, ==, QUEUES - PAIRS);
    guest_free(bed->g[1]);
    add_guest(bed, 1);
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    guest_mem_catch_sigbus();
    g_test_add_func("/vus-worker/share", test_share);
    g_test_add_func("/vus-worker/wake", test_wake);
    g_test_add_data_func("/vus-worker/order/1", GINT_TO_POINTER(1),
                         test_order);
    g_test_add_data_func("/vus-worker/order/3", GINT_TO_POINTER(3),
                         test_order);
    g_test_add_data_func("/vus-worker/rates/1", GINT_TO_POINTER(1),
                         test_rates);
    g_test_add_data_func("/vus-worker/rates/3", GINT_TO_POINTER(3),
                         test_rates);
    g_test_add_data_func("/vus-worker/change/2", GINT_TO_POINTER(2),
                         test_change);
    g_test_add_data_func("/vus-worker/change/4", GINT_TO_POINTER(4),
                         test_change);
    return g_test_run();
}
