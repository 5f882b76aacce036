/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest or front end that means ill, in a switch where others have traffic:
 * it harms its own port only, and nothing that was decided on one value is sent
 * with another.
 *
 * Threads: this is the control thread and the attacker; its flips and the
 * victims' traffic have threads of their own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "open-fds.h"
#include "switch-bed.h"
#include "vhost-guest.h"

#define FLIP_FRAMES 4000u
#define ROUNDS 9
#define ROUND_US 40000
#define ROUND_FRAMES 5000u
#define FAIR_SHARE 0.5
#define ATTEMPTS 4

typedef struct Bed {
    Switch *sw;
    char *path;                 /* of the attacker's port */
    Guest *g;
} Bed;

static Bed *bed_new(const char *settings)
{
    g_autofree char *words = NULL;
    Bed *bed = g_new0(Bed, 1);

    bed->path = bed_socket_path();
    bed->sw = bed_switch_new(1);
    words = g_strdup_printf("type=vhost-user socket=%s%s", bed->path, settings);
    bed_add(bed->sw, "evil", words);
    return bed;
}

static void bed_free(Bed *bed)
{
    g_clear_pointer(&bed->g, guest_free);
    switch_free(bed->sw);
    bed_socket_free(bed->path);
    g_free(bed);
}

static PortStatus status_of(Bed *bed, const char *name)
{
    PortStatus status;

    switch_port_status(bed->sw, switch_find_port(bed->sw, name), &status);
    return status;
}

/* -- What flips while it is read ------------------------------------------- */

typedef struct Flip {
    bool stop;                  /* atomic */
    unsigned places;
    volatile uint8_t *place[GUEST_BUFFERS];
    uint8_t value[2];
} Flip;

/* The race is what is tested. */
__attribute__((no_sanitize("thread")))
static void *flip(void *opaque)
{
    Flip *f = opaque;

    for (unsigned n = 0; !__atomic_load_n(&f->stop, __ATOMIC_RELAXED); n++) {
        for (unsigned i = 0; i < f->places; i++) {
            *f->place[i] = f->value[n % 2];
        }
    }
    return NULL;
}

/* Byte @at of frames to @to from a trunk is one of two all the time; what comes
 * to the port "x0" or "x1" has that one's. */
static void send_flipping(Bed *bed, unsigned to, int tci, unsigned at,
                          uint8_t zero, uint8_t one)
{
    static const char *const names[] = { "x0", "x1" };
    uint8_t frame[BED_FRAME_BYTES];
    Flip f = { .value = { zero, one } };
    unsigned got[2] = { 0 };
    pthread_t thread;

    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    bed_make_frame(frame, to, 9, tci);
    for (unsigned i = 0; i < GUEST_BUFFERS; i++) {
        f.place[f.places++] = guest_buffer(bed->g, 1, i) + 12 + at;
    }
    pthread_create(&thread, NULL, flip, &f);
    for (unsigned n = 0; n < FLIP_FRAMES;) {
        n += guest_send(bed->g, 0, frame, sizeof(frame));
        for (unsigned x = 0; x < 2; x++) {
            g_autoptr(GBytes) bytes = bed_read(bed->sw, names[x]);

            if (bytes) {
                const uint8_t *data = g_bytes_get_data(bytes, NULL);

                g_assert_cmpuint(data[at], ==, f.value[x]);
                got[x]++;
            }
        }
    }
    __atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    g_assert_cmpuint(got[0] + got[1], >, 0);
    g_test_message("%u and %u frames came", got[0], got[1]);
}

static void set_address(Bed *bed, const char *name, unsigned station)
{
    g_autoptr(GError) error = NULL;
    uint8_t mac[6];

    bed_make_mac(mac, station);
    switch_fdb_set(bed->sw, switch_find_port(bed->sw, name), mac, 0, &error);
    g_assert_no_error(error);
}

static void test_flip_address(void)
{
    Bed *bed = bed_new("");

    bed_add(bed->sw, "x0", "");
    bed_add(bed->sw, "x1", "");
    set_address(bed, "x0", 1);
    set_address(bed, "x1", 2);
    send_flipping(bed, 1, -1, 5, 1, 2);
    bed_free(bed);
}

static void test_flip_tag(void)
{
    Bed *bed = bed_new(" trunk=10,20");

    bed_add(bed->sw, "x0", "trunk=10");
    bed_add(bed->sw, "x1", "trunk=20");
    send_flipping(bed, BED_GROUP, 10, 15, 10, 20);
    bed_free(bed);
}

/* An address that is not its own is sometimes seen, and never passes. */
static void test_flip_source(void)
{
    Bed *bed = bed_new(" mac=02:00:00:00:00:09");

    bed_add(bed->sw, "x0", "");
    bed_add(bed->sw, "x1", "link=down");
    send_flipping(bed, BED_GROUP, -1, 11, 9, 8);
    bed_free(bed);
}

/* Again as if it had just booted. */
static void start_again(Guest *g)
{
    for (unsigned i = 0; i < g->rings; i++) {
        guest_stop_ring(g, i);
    }
    guest_begin_rings(g);
    for (unsigned i = 0; i < g->rings; i++) {
        guest_start_ring(g, i, g->kick_fd[i], g->call_fd[i]);
    }
    guest_ask(g, VU_GET_FEATURES);
}

/*
 * Descriptors that are right and wrong in turn: length, address, flags or next.
 * A ring breaks, and is begun again.
 */
static void test_flip_descriptors(const void *opaque)
{
    unsigned field = GPOINTER_TO_UINT(opaque);
    Bed *bed = bed_new("");
    uint8_t frame[BED_FRAME_BYTES];
    pthread_t thread;

    bed_add(bed->sw, "x0", "");
    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    bed_make_frame(frame, BED_GROUP, 9, -1);
    for (unsigned round = 0; round < 20; round++) {
        uint8_t *desc = (uint8_t *)bed->g->driver[1]->at.split.desc;
        Flip f = { .value = { 0, 0xff } };

        for (unsigned i = 0; i < GUEST_RING; i++) {
            f.place[f.places++] = desc + 16 * i + field;
        }
        pthread_create(&thread, NULL, flip, &f);
        for (unsigned i = 0; i < 200; i++) {
            guest_send(bed->g, 0, frame, sizeof(frame));
            bed_turn();
            bed_drain(bed->sw, "x0");
        }
        __atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        start_again(bed->g);
    }
    g_assert_cmpuint(status_of(bed, "evil").breaks, <=, 20);
    g_assert_true(status_of(bed, "evil").connected);
    bed_free(bed);
}

/* -- Wrong messages -------------------------------------------------------- */

typedef struct Message {
    const char *name;
    uint32_t request;
    uint32_t bytes;
    unsigned fds;
    uint64_t payload[6];
    const char *why;
} Message;

/* To be told after features and memory; the connection ends. */
static const Message messages[] = {
    { "request-0", 0, 0, 0, { 0 }, "not known" },
    { "unknown", 999, 8, 0, { 1 }, "not known" },
    { "extra-fd", VU_GET_FEATURES, 0, 1, { 0 }, "files" },
    { "extra-fds", VU_SET_FEATURES, 8, 8, { 0 }, "files" },
    { "too-many-fds", VU_SET_FEATURES, 8, 20, { 0 }, "descriptors" },
    { "short", VU_SET_FEATURES, 4, 0, { 0 }, "bytes" },
    { "long", VU_SET_OWNER, 40, 0, { 0 }, "bytes" },
    { "ring-index", VU_SET_VRING_NUM, 8, 0, { UINT64_C(256) << 32 | 70000 },
      "does not exist" },
    { "ring-size-0", VU_SET_VRING_NUM, 8, 0, { 0 }, "descriptors" },
    { "ring-size", VU_SET_VRING_NUM, 8, 0, { UINT64_C(65536) << 32 },
      "descriptors" },
    { "no-regions", VU_SET_MEM_TABLE, 8, 0, { 9 }, "regions" },
    { "zero-region", VU_SET_MEM_TABLE, 40, 1, { 1, 0, 0, 0, 0 }, "cannot be" },
    { "huge-region", VU_SET_MEM_TABLE, 40, 1, { 1, 0, UINT64_C(1) << 50, 0, 0 },
      "file of" },
    { "wrapping-region", VU_SET_MEM_TABLE, 40, 1,
      { 1, UINT64_MAX - 4095, 8192, 0, 0 }, "cannot be" },
    { "offset", VU_SET_MEM_TABLE, 40, 1, { 1, 0, 4096, 0, UINT64_MAX - 4095 },
      "file of" },
    { "kick-too-early", VU_SET_VRING_KICK, 8, 1, { 0 }, "cannot start" },
    { "kick-of-none", VU_SET_VRING_KICK, 8, 1, { 77 }, "does not exist" },
    { "kick-index", VU_SET_VRING_KICK, 8, 1, { 0x10000 }, "no ring" },
    { "kick-without-fd", VU_SET_VRING_KICK, 8, 0, { 0 }, "files" },
};

static bool is_alone(void *opaque)
{
    return guest_is_alone(opaque);
}

static void say_wrong(const Message *m)
{
    Bed *bed = bed_new("");
    int file[32];
    unsigned fds;

    bed->g = guest_new_stranger(bed->path, 1, GUEST_SPLIT);
    bed_turn();
    fds = open_fds();
    for (unsigned k = 0; k < 32; k++) {
        file[k] = bed->g->mem_fd;
    }
    guest_connect(bed->g);
    guest_introduce(bed->g);
    guest_ask(bed->g, VU_GET_FEATURES);
    guest_say(bed->g, m->request, m->payload, m->bytes, file, m->fds);
    bed_wait(is_alone, bed->g, m->name);
    if (!strstr(bed_last_warning, m->why)) {
        g_error("%s: '%s' lacks '%s'", m->name, bed_last_warning, m->why);
    }
    g_assert_cmpuint(status_of(bed, "evil").breaks, ==, 1);
    guest_disconnect(bed->g);
    g_assert_cmpuint(open_fds(), ==, fds);

    /* Another may come. */
    guest_free(bed->g);
    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    g_assert_true(status_of(bed, "evil").ready);
    bed_free(bed);
}

static void test_messages(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(messages); i++) {
        g_test_message("%s", messages[i].name);
        say_wrong(&messages[i]);
    }
}

/* -- A file that shrinks --------------------------------------------------- */

static bool is_gone(void *opaque)
{
    return !status_of(opaque, "evil").connected;
}

static void test_shrink(const void *opaque)
{
    uint64_t features = *(const uint64_t *)opaque;
    Bed *bed = bed_new("");
    uint8_t frame[BED_FRAME_BYTES];

    bed_add(bed->sw, "x0", "");
    for (unsigned round = 0; round < 2; round++) {
        bed->g = guest_new(bed->path, 1, features);
        bed_make_frame(frame, BED_GROUP, 9, -1);
        while (guest_send(bed->g, 0, frame, sizeof(frame))) {
        }
        g_assert_cmpint(ftruncate(bed->g->mem_fd, 0), ==, 0);
        bed_make_frame(frame, 9, 1, -1);
        bed_send(bed->sw, "x0", frame, sizeof(frame));
        bed_wait(is_gone, bed, "the port to be disconnected");
        g_assert_cmpuint(status_of(bed, "evil").breaks, >, round);
        g_assert_nonnull(strstr(bed_last_warning, "shorter"));
        /* Its own view of the memory is as short. */
        guest_disconnect(bed->g);
        g_assert_cmpint(ftruncate(bed->g->mem_fd, bed->g->mem_bytes), ==, 0);
        g_clear_pointer(&bed->g, guest_free);
        bed_drain(bed->sw, "x0");
    }
    bed_free(bed);
}

/* -- Others keep their rate ------------------------------------------------ */

typedef struct Victims {
    char *path[2];
    Guest *g[2];
    bool stop;                  /* atomic */
    uint64_t came;              /* atomic */
    pthread_t thread;
} Victims;

static void *traffic(void *opaque)
{
    Victims *v = opaque;
    uint8_t frame[BED_FRAME_BYTES], got[GUEST_BUFFER_BYTES];

    bed_make_frame(frame, 101, 100, -1);
    while (!__atomic_load_n(&v->stop, __ATOMIC_RELAXED)) {
        bool idle = true;

        while (guest_send(v->g[0], 0, frame, sizeof(frame))) {
            idle = false;
        }
        while (guest_receive(v->g[1], 0, got, sizeof(got)) > 0) {
            idle = false;
            __atomic_fetch_add(&v->came, 1, __ATOMIC_RELAXED);
        }
        if (idle) {
            g_thread_yield();
        }
    }
    return NULL;
}

static void add_victims(Bed *bed, Victims *v)
{
    static const char *const names[] = { "v0", "v1" };

    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *words = NULL;

        v->path[i] = bed_socket_path();
        words = g_strdup_printf("type=vhost-user socket=%s", v->path[i]);
        bed_add(bed->sw, names[i], words);
        v->g[i] = guest_new(v->path[i], 1, GUEST_SPLIT);
    }
    set_address(bed, "v1", 101);
    pthread_create(&v->thread, NULL, traffic, v);
}

static void remove_victims(Bed *bed, Victims *v)
{
    __atomic_store_n(&v->stop, true, __ATOMIC_RELAXED);
    pthread_join(v->thread, NULL);
    g_assert_cmpuint(status_of(bed, "v0").breaks, ==, 0);
    g_assert_cmpuint(status_of(bed, "v1").breaks, ==, 0);
    bed_remove(bed->sw, "v0");
    bed_remove(bed->sw, "v1");
    for (unsigned i = 0; i < 2; i++) {
        guest_free(v->g[i]);
        bed_socket_free(v->path[i]);
    }
}

typedef void Attack(Bed *bed);

static void ask_nicely(Bed *bed)
{
    guest_ask(bed->g, VU_GET_FEATURES);
}

static void make_still(Bed *bed)
{
    guest_disturb(bed->g, 0);
}

/* In mid-burst. */
static void come_and_go(Bed *bed)
{
    uint8_t frame[BED_FRAME_BYTES];

    bed_make_frame(frame, BED_GROUP, 9, -1);
    guest_send(bed->g, 0, frame, sizeof(frame));
    guest_disconnect(bed->g);
    bed_wait(is_gone, bed, "the end of a connection");
    guest_connect(bed->g);
    guest_introduce(bed->g);
    guest_begin_rings(bed->g);
    for (unsigned i = 0; i < 2; i++) {
        guest_start_ring(bed->g, i, bed->g->kick_fd[i], bed->g->call_fd[i]);
    }
    guest_ask(bed->g, VU_GET_FEATURES);
}

static void lie(Bed *bed)
{
    DriverPart outside = { UINT64_C(1) << 40, 100 };

    driver_post(bed->g->driver[1], &outside, 1, false, 0);
    guest_kick(bed->g, 1);
    bed_turn();
    start_again(bed->g);
}

static void not_read(Bed *bed)
{
    while (guest_say(bed->g, VU_GET_FEATURES, NULL, 0, NULL, 0)) {
        bed_turn();
    }
    come_and_go(bed);
}

static void to_unknown(Bed *bed)
{
    static unsigned number;
    uint8_t frame[BED_FRAME_BYTES];

    for (unsigned i = 0; i < GUEST_RING; i++) {
        bed_make_frame(frame, 40000, 20000 + number++ % 10000, -1);
        guest_send(bed->g, 0, frame, sizeof(frame));
    }
    bed_turn();
}

static double clock_s(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Of the worker: all threads but this one and the victims'. */
static double worker_cpu_s(const Victims *v)
{
    clockid_t theirs;

    g_assert_cmpint(pthread_getcpuclockid(v->thread, &theirs), ==, 0);
    return clock_s(CLOCK_PROCESS_CPUTIME_ID) -
           clock_s(CLOCK_THREAD_CPUTIME_ID) - clock_s(theirs);
}

/*
 * The victims' frames per second of processor time that the worker has got:
 * what else the machine does does not count, and a worker that has nothing to
 * do sleeps.  If it stood still, no round would end.
 */
static double rate_during(Bed *bed, Victims *v, Attack *attack)
{
    gint64 begin_us = g_get_monotonic_time();
    uint64_t before = __atomic_load_n(&v->came, __ATOMIC_RELAXED), came;
    double cpu_s = worker_cpu_s(v);

    do {
        if (g_get_monotonic_time() > begin_us + BED_WAIT_S * G_USEC_PER_SEC) {
            g_error("no traffic in %d s of attacks", BED_WAIT_S);
        }
        attack(bed);
        came = __atomic_load_n(&v->came, __ATOMIC_RELAXED) - before;
    } while (came < ROUND_FRAMES ||
             g_get_monotonic_time() < begin_us + ROUND_US);
    return came / (worker_cpu_s(v) - cpu_s);
}

static int compare_doubles(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0) - (difference < 0);
}

static const struct {
    const char *name;
    Attack *attack;
} attacks[] = {
    { "still", make_still }, { "come-and-go", come_and_go }, { "lie", lie },
    { "not-read", not_read }, { "to-unknown", to_unknown },
};

/* Round by round with and without; this thread is as busy without. */
static double measure_share(Bed *bed, Victims *v, Attack *attack)
{
    double ratio[ROUNDS];

    for (unsigned i = 0; i < ROUNDS; i++) {
        double quiet = rate_during(bed, v, ask_nicely);

        ratio[i] = rate_during(bed, v, attack) / quiet;
    }
    qsort(ratio, ROUNDS, sizeof(ratio[0]), compare_doubles);
    g_test_message("%.2f (%.2f to %.2f)", ratio[ROUNDS / 2], ratio[0],
                   ratio[ROUNDS - 1]);
    return ratio[ROUNDS / 2];
}

static void test_rate(const void *opaque)
{
    Attack *attack = attacks[GPOINTER_TO_UINT(opaque)].attack;
    /* Who floods is limited, or all would be flooded. */
    Bed *bed = bed_new(" storm-pps=1000");
    unsigned attempts = 0;
    Victims v = { 0 };

    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    add_victims(bed, &v);
    rate_during(bed, &v, ask_nicely);
    /* What else the machine does makes one median worse, not each. */
    while (measure_share(bed, &v, attack) < FAIR_SHARE) {
        g_assert_cmpuint(++attempts, <, ATTEMPTS);
    }
    remove_victims(bed, &v);
    bed_free(bed);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        unsigned at;
    } fields[] = {
        { "address", 6 }, { "length", 9 }, { "flags", 12 }, { "next", 14 },
    };
    static const uint64_t split = GUEST_SPLIT, packed = GUEST_PACKED;

    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    guest_mem_catch_sigbus();
    g_test_add_func("/vus-hostile/flip/destination", test_flip_address);
    g_test_add_func("/vus-hostile/flip/source", test_flip_source);
    g_test_add_func("/vus-hostile/flip/tag", test_flip_tag);
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autofree char *path = g_strdup_printf("/vus-hostile/flip/desc-%s",
                                                fields[i].name);

        g_test_add_data_func(path, GUINT_TO_POINTER(fields[i].at),
                             test_flip_descriptors);
    }
    g_test_add_func("/vus-hostile/messages", test_messages);
    g_test_add_data_func("/vus-hostile/shrink/split", &split, test_shrink);
    g_test_add_data_func("/vus-hostile/shrink/packed", &packed, test_shrink);
    for (unsigned i = 0; i < G_N_ELEMENTS(attacks); i++) {
        g_autofree char *path = g_strdup_printf("/vus-hostile/rate/%s",
                                                attacks[i].name);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_rate);
    }
    return g_test_run();
}
