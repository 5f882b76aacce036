/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports with a guest behind them, in a switch that runs: frames come through,
 * front ends come and go, and what they break is only theirs.
 *
 * Threads: this is the control thread and the guests; workers are the switch's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "open-fds.h"
#include "switch-bed.h"
#include "vhost-guest.h"

/* Of each kind of ring. */
#define CYCLES 5000
/* Cycles after which memory is as it will be. */
#define WARM_UP 500
#define HEAP_SLACK_BYTES (256 * 1024)

typedef struct Bed {
    Switch *sw;
    char *path;
    Guest *g;
    uint8_t got[GUEST_BUFFER_BYTES];
} Bed;

static Bed *bed_new(const char *settings)
{
    g_autofree char *words = NULL;
    Bed *bed = g_new0(Bed, 1);

    bed->path = bed_socket_path();
    bed->sw = bed_switch_new(1);
    words = g_strdup_printf("type=vhost-user socket=%s%s", bed->path, settings);
    bed_add(bed->sw, "v", words);
    bed_add(bed->sw, "d", "");
    return bed;
}

static void bed_free(Bed *bed)
{
    if (bed->g) {
        guest_free(bed->g);
    }
    switch_free(bed->sw);
    bed_socket_free(bed->path);
    g_free(bed);
}

static PortStatus status_of(Bed *bed)
{
    PortStatus status;

    switch_port_status(bed->sw, switch_find_port(bed->sw, "v"), &status);
    return status;
}

/* -- Frames ---------------------------------------------------------------- */

static bool has_sent(void *opaque)
{
    Bed *bed = opaque;
    g_autoptr(GBytes) got = bed_read(bed->sw, "d");

    if (got) {
        memcpy(bed->got, g_bytes_get_data(got, NULL), g_bytes_get_size(got));
    }
    return got != NULL;
}

static bool has_received(void *opaque)
{
    Bed *bed = opaque;

    return guest_receive(bed->g, 0, bed->got, sizeof(bed->got)) > 0;
}

/* One each way. */
static void exchange(Bed *bed, unsigned number)
{
    uint8_t frame[BED_FRAME_BYTES];

    bed_make_frame(frame, 2, 1, -1);
    memcpy(frame + 20, &number, sizeof(number));
    g_assert_true(guest_send(bed->g, 0, frame, sizeof(frame)));
    bed_wait(has_sent, bed, "a frame of the guest");
    g_assert_cmpmem(bed->got, sizeof(frame), frame, sizeof(frame));
    bed_make_frame(frame, 1, 2, -1);
    memcpy(frame + 20, &number, sizeof(number));
    bed_send(bed->sw, "d", frame, sizeof(frame));
    bed_wait(has_received, bed, "a frame for the guest");
    g_assert_cmpmem(bed->got, sizeof(frame), frame, sizeof(frame));
}

/* More than a lap of each ring. */
static void test_frames(const void *opaque)
{
    uint64_t features = *(const uint64_t *)opaque;
    Bed *bed = bed_new("");
    PortStatus status;

    bed->g = guest_new(bed->path, 1, features);
    status = status_of(bed);
    g_assert_true(status.connected && status.ready);
    g_assert_cmpuint(status.ingress_queues, ==, 1);
    g_assert_cmpuint(status.egress_queues, ==, 1);
    g_assert_cmpuint(status.memory_bytes, ==, bed->g->mem_bytes);
    g_assert_cmpstr(status.rings, ==,
                    features == GUEST_PACKED ? "packed" : "split");
    for (unsigned i = 0; i < 3 * GUEST_RING + 7; i++) {
        exchange(bed, i);
    }
    g_assert_cmpuint(bed_counters(bed->sw, "v").ingress_pkts, ==,
                     3 * GUEST_RING + 7);
    bed_free(bed);
}

/* -- Front ends come and go ------------------------------------------------ */

static bool is_disconnected(void *opaque)
{
    return !status_of(opaque).connected;
}

static void come(Bed *bed, unsigned cycle)
{
    Guest *g = bed->g;

    guest_connect(g);
    guest_introduce(g);
    guest_begin_rings(g);
    for (unsigned i = 0; i < g->rings; i++) {
        guest_start_ring(g, i, g->kick_fd[i], g->call_fd[i]);
    }
    guest_ask(g, VU_GET_FEATURES);
    if (cycle % 16 == 0) {
        exchange(bed, cycle);
    }
}

/* Politely or not, with frames in the ring. */
static void go(Bed *bed, unsigned cycle)
{
    uint8_t frame[BED_FRAME_BYTES];

    bed_make_frame(frame, 2, 1, -1);
    for (unsigned i = 0; i < cycle % 8; i++) {
        guest_send(bed->g, 0, frame, sizeof(frame));
    }
    if (cycle % 3 == 0) {
        guest_stop_ring(bed->g, 1);
    }
    guest_disconnect(bed->g);
    bed_wait(is_disconnected, bed, "the end of a connection");
    bed_drain(bed->sw, "d");
}

static unsigned cycles(void)
{
    const char *asked = g_getenv("VUS_TEST_CYCLES");

    return asked ? strtoul(asked, NULL, 10) : g_test_slow() ? 500000 : CYCLES;
}

static void test_cycles(const void *opaque)
{
    Bed *bed = bed_new("");
    unsigned fds = 0, n = cycles();
    size_t heap = 0;

    bed->g = guest_new_stranger(bed->path, 1, *(const uint64_t *)opaque);
    for (unsigned i = 0; i < WARM_UP + n; i++) {
        if (i == WARM_UP) {
            fds = open_fds();
            heap = mallinfo2().uordblks;
        }
        come(bed, i);
        go(bed, i);
    }
    g_assert_cmpuint(open_fds(), ==, fds);
    /* With sanitizers it is 0. */
    g_assert_cmpuint(mallinfo2().uordblks, <, heap + HEAP_SLACK_BYTES);
    g_assert_cmpuint(status_of(bed).connects, ==, WARM_UP + n);
    g_assert_cmpuint(status_of(bed).breaks, ==, 0);
    bed_free(bed);
}

/* One after the other, and a second one at the same time. */
static void test_second(void)
{
    Bed *bed = bed_new("");
    Guest *second;

    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    second = guest_new_stranger(bed->path, 1, GUEST_SPLIT);
    guest_connect(second);
    while (!guest_is_alone(second)) {
        g_usleep(100);
    }
    exchange(bed, 0);
    guest_free(second);
    bed_free(bed);
}

/* -- What does not come back ----------------------------------------------- */

static bool has_broken(void *opaque)
{
    return status_of(opaque).breaks > 0;
}

/* A ring that lies is stopped once, and the other one goes on. */
static void test_bad_ring(const void *opaque)
{
    Bed *bed = bed_new("");
    DriverPart outside = { UINT64_C(1) << 40, 100 };
    unsigned warnings = bed_warnings;
    uint8_t frame[BED_FRAME_BYTES];

    bed->g = guest_new(bed->path, 1, *(const uint64_t *)opaque);
    exchange(bed, 0);
    driver_post(bed->g->driver[1], &outside, 1, false, 0);
    guest_kick(bed->g, 1);
    bed_wait(has_broken, bed, "the ring to break");
    for (unsigned i = 0; i < 200; i++) {
        bed_turn();
        g_usleep(100);
    }
    g_assert_cmpuint(status_of(bed).breaks, ==, 1);
    g_assert_cmpuint(bed_warnings, ==, warnings + 1);
    g_assert_nonnull(strstr(bed_last_warning, "bad-address"));
    g_assert_nonnull(strstr(status_of(bed).broken, "one region"));
    g_assert_true(status_of(bed).connected);
    g_assert_cmpuint(status_of(bed).ingress_queues, ==, 0);

    bed_make_frame(frame, 1, 2, -1);
    bed_send(bed->sw, "d", frame, sizeof(frame));
    bed_wait(has_received, bed, "a frame for the guest");

    /* It is set up again, and runs. */
    guest_stop_ring(bed->g, 1);
    guest_stop_ring(bed->g, 0);
    guest_begin_rings(bed->g);
    for (unsigned i = 0; i < 2; i++) {
        guest_start_ring(bed->g, i, bed->g->kick_fd[i], bed->g->call_fd[i]);
    }
    exchange(bed, 1);
    g_assert_cmpuint(status_of(bed).breaks, ==, 1);
    bed_free(bed);
}

static void test_bad_receive_ring(void)
{
    Bed *bed = bed_new("");
    uint8_t frame[BED_FRAME_BYTES];

    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    exchange(bed, 0);
    bed->g->driver[0]->at.split.avail->idx += 1000;
    bed_make_frame(frame, 1, 2, -1);
    bed_send(bed->sw, "d", frame, sizeof(frame));
    bed_wait(has_broken, bed, "the ring to break");
    g_assert_nonnull(strstr(bed_last_warning, "avail-jump"));
    for (unsigned i = 0; i < 10; i++) {
        bed_send(bed->sw, "d", frame, sizeof(frame));
        bed_turn();
    }
    g_assert_cmpuint(status_of(bed).breaks, ==, 1);
    g_assert_cmpuint(bed_drops(bed->sw, "v", DROP_DOWN), ==, 10);
    bed_free(bed);
}

/* -- Files that are not what they should be -------------------------------- */

/* The worker that sends there would wait without end. */
static void test_full_call(void)
{
    int call_fd = eventfd(0, EFD_CLOEXEC);
    uint64_t full = UINT64_MAX - 1;
    Bed *bed = bed_new("");

    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    g_assert_cmpint(write(call_fd, &full, sizeof(full)), ==, sizeof(full));
    for (unsigned i = 0; i < 2; i++) {
        guest_tell_fd(bed->g, VU_SET_VRING_CALL, i, call_fd);
        driver_ask_kick(bed->g->driver[i], true);
    }
    guest_ask(bed->g, VU_GET_FEATURES);
    /* Whoever shares the file can do it at any time. */
    g_assert_cmpint(fcntl(call_fd, F_SETFL, 0), ==, 0);
    for (unsigned i = 0; i < 100; i++) {
        exchange(bed, i);
    }
    g_assert_cmpint(read(call_fd, &full, sizeof(full)), ==, sizeof(full));
    g_assert_cmpuint(full, >=, UINT64_MAX - 1);
    exchange(bed, 100);
    g_assert_cmpint(read(call_fd, &full, sizeof(full)), ==, sizeof(full));
    g_assert_cmpuint(full, >=, 1);
    close(call_fd);
    bed_free(bed);
}

/* Thousands of calls: what counts them in the kernel does not fill up. */
static void test_many_calls(void)
{
    Bed *bed = bed_new("");
    uint64_t calls, sum = 0;

    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    driver_ask_kick(bed->g->driver[0], true);
    /* Every new file is told. */
    g_assert_cmpint(read(bed->g->call_fd[0], &calls, sizeof(calls)), >, 0);
    for (unsigned i = 0; i < 3000; i++) {
        exchange(bed, i);
        if (read(bed->g->call_fd[0], &calls, sizeof(calls)) > 0) {
            sum += calls;
        }
    }
    g_assert_cmpuint(sum, ==, 3000);
    bed_free(bed);
}

/* A running ring's file is exchanged, and what came just before is not lost. */
static void test_other_call(void)
{
    Bed *bed = bed_new("");
    uint64_t calls;
    int fd;

    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    driver_ask_kick(bed->g->driver[0], true);
    for (unsigned i = 0; i < 100; i++) {
        fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        guest_tell_fd(bed->g, VU_SET_VRING_CALL, 0, fd);
        guest_ask(bed->g, VU_GET_FEATURES);
        g_assert_cmpint(read(fd, &calls, sizeof(calls)), ==, sizeof(calls));
        exchange(bed, i);
        g_assert_cmpint(read(fd, &calls, sizeof(calls)), ==, sizeof(calls));
        g_assert_cmpuint(calls, ==, 1);
        close(fd);
    }
    bed_free(bed);
}

enum { NO_FD, PIPE_EMPTY, PIPE_FULL, REGULAR, SAME_TWICE, READABLE, SOCKET_FD };

static int odd_file(int kind, Guest *g, int *to_close)
{
    int pair[2] = { -1, -1 };
    char block[4096] = { 0 };
    uint64_t one = 1;

    *to_close = -1;
    switch (kind) {
    case PIPE_EMPTY:
    case PIPE_FULL:
        g_assert_cmpint(pipe2(pair, O_CLOEXEC | O_NONBLOCK), ==, 0);
        while (kind == PIPE_FULL && write(pair[1], block, sizeof(block)) > 0) {
        }
        *to_close = pair[0];
        return pair[1];
    case REGULAR:
        return fcntl(g->mem_fd, F_DUPFD_CLOEXEC, 0);
    case SAME_TWICE:
        g_assert_cmpint(dup3(g->kick_fd[0], g->kick_fd[1], O_CLOEXEC), >=, 0);
        return fcntl(g->kick_fd[0], F_DUPFD_CLOEXEC, 0);
    case READABLE:
        g_assert_cmpint(write(g->kick_fd[1], &one, sizeof(one)), ==,
                        sizeof(one));
        return fcntl(g->kick_fd[1], F_DUPFD_CLOEXEC, 0);
    case SOCKET_FD:
        return fcntl(g->fd, F_DUPFD_CLOEXEC, 0);
    default:
        return -1;
    }
}

/* Neither shared memory nor an eventfd: that front end has to go, and what it
 * has sent is closed. */
static void test_unknown_files(const void *opaque)
{
    static const uint32_t requests[] = {
        VU_SET_VRING_KICK, VU_SET_VRING_CALL, VU_SET_VRING_ERR, VU_SET_LOG_FD,
    };
    Bed *bed = bed_new("");
    unsigned fds = open_fds();

    for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
        int fd, other;

        bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
        exchange(bed, i);
        fd = odd_file(GPOINTER_TO_INT(opaque), bed->g, &other);
        guest_tell_fd(bed->g, requests[i], 0, fd);
        bed_wait(is_disconnected, bed, "the end of a connection");
        g_assert_cmpuint(status_of(bed).breaks, ==, i + 1);
        close(fd);
        if (other >= 0) {
            close(other);
        }
        guest_free(g_steal_pointer(&bed->g));
    }
    /* Another thread closes them. */
    for (unsigned i = 0; open_fds() != fds; i++) {
        g_assert_cmpuint(i, <, 20000);
        g_usleep(1000);
    }
    bed_free(bed);
}

/* As kick and as call fd: frames come through, soon or late. */
static void test_odd_files(const void *opaque)
{
    int kind = GPOINTER_TO_INT(opaque), fd, other;
    Bed *bed = bed_new("");

    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    fd = odd_file(kind, bed->g, &other);
    for (unsigned i = 0; i < 2; i++) {
        guest_tell_fd(bed->g, VU_SET_VRING_KICK, i, fd);
        guest_tell_fd(bed->g, VU_SET_VRING_CALL, i, fd);
        guest_tell_fd(bed->g, VU_SET_VRING_ERR, i, fd);
        driver_ask_kick(bed->g->driver[i], true);
    }
    guest_ask(bed->g, VU_GET_FEATURES);
    for (unsigned i = 0; i < 50; i++) {
        exchange(bed, i);
        /* Long enough for the worker to fall asleep, most of the time. */
        g_usleep(500);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (other >= 0) {
        close(other);
    }
    bed_free(bed);
}

/* A port takes nothing's place, and removes nothing that is not its own. */
static void test_path_taken(void)
{
    g_autofree char *path = bed_socket_path();
    Bed *bed = bed_new("");
    g_autoptr(GError) error = NULL;
    PortSettings settings;

    g_assert_true(g_file_set_contents(path, "kept", -1, NULL));
    port_settings_init(&settings);
    g_assert_true(port_settings_set(&settings, "socket", path, &error));
    g_assert_null(switch_add_port(bed->sw, "n", &settings, &error));
    g_assert_nonnull(strstr(error->message, "is no socket"));
    g_assert_cmpint(g_unlink(path), ==, 0);

    g_clear_error(&error);
    g_assert_true(port_settings_set(&settings, "socket", bed->path, &error));
    g_assert_null(switch_add_port(bed->sw, "n", &settings, &error));
    g_assert_nonnull(strstr(error->message, "a daemon answers"));

    /* Somebody has put another file there. */
    g_assert_cmpint(g_unlink(bed->path), ==, 0);
    g_assert_true(g_file_set_contents(bed->path, "kept", -1, NULL));
    bed_remove(bed->sw, "v");
    g_assert_true(g_file_test(bed->path, G_FILE_TEST_IS_REGULAR));
    g_assert_cmpint(g_unlink(bed->path), ==, 0);
    port_settings_clear(&settings);
    bed_socket_free(g_steal_pointer(&path));
    bed_free(bed);
}

/* -- Messages -------------------------------------------------------------- */

/* They do not void what others have decided. */
static void test_messages_void_nothing(void)
{
    g_autofree char *path = bed_socket_path();
    g_autofree char *words = NULL;
    Bed *bed = bed_new("");
    WorkerStatus before, after;
    Guest *noisy;

    words = g_strdup_printf("type=vhost-user socket=%s", path);
    bed_add(bed->sw, "n", words);
    bed->g = guest_new(bed->path, 1, GUEST_SPLIT);
    noisy = guest_new(path, 1, GUEST_SPLIT);
    exchange(bed, 0);
    switch_worker_status(bed->sw, 0, &before);
    for (unsigned i = 0; i < 300; i++) {
        guest_disturb(noisy, 0);
        exchange(bed, i);
    }
    switch_worker_status(bed->sw, 0, &after);
    g_assert_cmpuint(after.flow_misses - before.flow_misses, <, 100);
    guest_free(noisy);
    bed_remove(bed->sw, "n");
    bed_socket_free(g_steal_pointer(&path));
    bed_free(bed);
}

static void add_both(const char *name, GTestDataFunc run)
{
    static const uint64_t split = GUEST_SPLIT, packed = GUEST_PACKED;

    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *path = g_strdup_printf("/vus-port-vhost/%s/%s", name,
                                                i ? "packed" : "split");

        g_test_add_data_func(path, i ? &packed : &split, run);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc run;
    } odd[] = {
        [NO_FD] = { "none", test_odd_files },
        [PIPE_EMPTY] = { "pipe", test_unknown_files },
        [PIPE_FULL] = { "full-pipe", test_unknown_files },
        [REGULAR] = { "memory", test_odd_files },
        [SAME_TWICE] = { "same", test_odd_files },
        [READABLE] = { "readable", test_odd_files },
        [SOCKET_FD] = { "socket", test_unknown_files },
    };

    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    guest_mem_catch_sigbus();
    add_both("frames", test_frames);
    add_both("bad-ring", test_bad_ring);
    g_test_add_func("/vus-port-vhost/bad-receive-ring", test_bad_receive_ring);
    g_test_add_func("/vus-port-vhost/second", test_second);
    g_test_add_func("/vus-port-vhost/full-call", test_full_call);
    g_test_add_func("/vus-port-vhost/many-calls", test_many_calls);
    g_test_add_func("/vus-port-vhost/other-call", test_other_call);
    for (unsigned i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autofree char *path = g_strdup_printf("/vus-port-vhost/fd/%s",
                                                odd[i].name);

        g_test_add_data_func(path, GINT_TO_POINTER(i), odd[i].run);
    }
    g_test_add_func("/vus-port-vhost/messages", test_messages_void_nothing);
    g_test_add_func("/vus-port-vhost/path-taken", test_path_taken);
    add_both("cycles", test_cycles);
    return g_test_run();
}
