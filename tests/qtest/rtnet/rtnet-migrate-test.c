/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VM moves to another QEMU while frames wait: every frame leaves once, in
 * order, unchanged, with the time that it had left.
 *
 * Both QEMUs have the same wires, so what a test reads is what the network
 * would see.  The other QEMU's clock stands elsewhere.
 *
 * Threads: one.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include <glib/gstdio.h>
#include "qobject/qdict.h"
#include "rtnet-frames.h"
#include "rtnet-libqos.h"

#define FIRST_SLOT 4
#define SOURCES 3
#define BYTES 200
#define DSCP 46

/* 1 us per byte; an admitted rtvnic, one with a deadline, a virtio-net. */
#define QUEUE_PKTS 4        /* as below */
#define SCHEDULER "-object edf-scheduler,id=s0,rate-bps=8000000,queue-pkts=4 "
#define ADMITTED \
    "-device rtvnic,id=r0,netdev=n0,scheduler=s0,addr=4,deadline-us=30000," \
    "period-us=10000,dscp=46,source-id=100 "
#define DEADLINE \
    "-device rtvnic,id=r1,netdev=n1,scheduler=s0,addr=5,deadline-us=2000," \
    "dscp=46,source-id=101 "
#define BEST_EFFORT \
    "-object edf-port,id=p2,netdev=n2,scheduler=s0 " \
    "-device virtio-net-pci,netdev=p2,queue_reset=off,addr=6 "
#define THREE_SOURCES SCHEDULER ADMITTED DEADLINE BEST_EFFORT

static const char *const port_ids[SOURCES] = { "r0", "r1", "p2" };

/* -- What each source has sent, and what of it has left ------------------- */

#define FRAMES_MAX 32768
#define MOVES_MAX 1024

typedef struct Source {
    RtNic *nic;
    uint32_t sent;              /* numbers 0..sent-1 */
    uint32_t left;
    uint64_t posted_ns[FRAMES_MAX];     /* by the clock of that QEMU */
    unsigned posted_in[FRAMES_MAX];     /* bed->moves of that time */
} Source;

typedef struct Bed {
    RtVm *vm;
    unsigned n;
    Source sources[SOURCES];
    unsigned moves;             /* to another QEMU so far */
    uint64_t stopped_ns[MOVES_MAX];     /* clock of the one that it left */
} Bed;

static Bed *bed_start(unsigned n, const char *options)
{
    Bed *bed = g_new0(Bed, 1);

    bed->n = n;
    bed->vm = rt_vm_start(n, "%s", options);
    for (unsigned i = 0; i < n; i++) {
        bed->sources[i].nic = rt_nic_start(bed->vm, FIRST_SLOT + i);
    }
    return bed;
}

static void bed_stop(Bed *bed)
{
    for (unsigned i = 0; i < bed->n; i++) {
        rt_nic_free(bed->sources[i].nic);
    }
    rt_vm_stop(bed->vm);
    g_free(bed);
}

static void bed_make_frame(unsigned source, uint32_t number, uint8_t *frame)
{
    RtFrameSpec spec = {
        .bytes = BYTES, .number = number, .ipv6 = number & 1, .dscp = source,
    };

    rt_frame_make(&spec, frame);
}

static void bed_send(Bed *bed, unsigned source, unsigned frames)
{
    Source *s = &bed->sources[source];
    uint8_t frame[BYTES];

    while (frames--) {
        g_assert_cmpuint(s->sent, <, FRAMES_MAX);
        bed_make_frame(source, s->sent, frame);
        s->posted_ns[s->sent] = bed->vm->now_ns;
        s->posted_in[s->sent++] = bed->moves;
        rt_nic_post(s->nic, frame, BYTES);
    }
    rt_nic_kick(s->nic);
    rt_settle(bed->vm);
}

static void bed_move_to(Bed *bed, QTestState *twin, uint64_t now_ns)
{
    g_assert_cmpuint(bed->moves, <, MOVES_MAX);
    bed->stopped_ns[bed->moves++] = bed->vm->now_ns;
    rt_vm_move_to(bed->vm, twin, now_ns);
}

static void bed_migrate(Bed *bed, uint64_t now_ns)
{
    g_assert_cmpuint(bed->moves, <, MOVES_MAX);
    bed->stopped_ns[bed->moves++] = bed->vm->now_ns;
    rt_vm_migrate(bed->vm, now_ns);
}

/*
 * T_s is when the frame was taken from the ring, which was before the VM
 * stopped, by the clock that ran at that time.
 */
static void bed_check_sent_ns(const Bed *bed, const Source *s, uint64_t sent_ns)
{
    unsigned in = s->posted_in[s->left];

    g_assert_cmpuint(sent_ns, >=, s->posted_ns[s->left]);
    g_assert_cmpuint(sent_ns, <=, in < bed->moves ? bed->stopped_ns[in]
                                                  : bed->vm->now_ns);
}

/* The frame that has left on the wire of @source is its next one, unchanged. */
static void bed_check_frame(Bed *bed, unsigned source, uint8_t *frame,
                            size_t bytes)
{
    Source *s = &bed->sources[source];
    bool rtvnic = source < 2;
    uint8_t expected[RT_FRAME_MAX];
    RtTrailerFields t;

    g_assert_cmpuint(s->left, <, s->sent);
    g_assert_cmpuint(rt_frame_number(frame), ==, s->left);
    bed_make_frame(source, s->left, expected);
    if (rtvnic) {
        RtFrameSpec spec = {
            .bytes = BYTES, .number = s->left, .ipv6 = s->left & 1,
            .dscp = DSCP,
        };

        rt_trailer_read(frame, bytes, &t);
        bed_check_sent_ns(bed, s, t.sent_ns);
        g_assert_cmpuint(t.sequence, ==, s->left);
        g_assert_cmpuint(t.source_id, ==, 100 + source);
        g_assert_cmpuint(t.guest_dscp, ==, source);
        bytes -= RT_TRAILER_BYTES;
        rt_frame_make(&spec, expected);
    }
    g_assert_cmpmem(frame, bytes, expected, BYTES);
    s->left++;
}

/* What has left by now; returns the number of frames. */
static unsigned bed_collect(Bed *bed)
{
    uint8_t frame[RT_FRAME_MAX];
    unsigned frames = 0;
    size_t bytes;

    for (unsigned i = 0; i < bed->n; i++) {
        while (!bed->vm->fillers[i] &&
               (bytes = rt_wire_receive(bed->vm, i, frame))) {
            bed_check_frame(bed, i, frame, bytes);
            frames++;
        }
    }
    return frames;
}

/* Let everything leave; then nothing waits and no descriptor is in use. */
static void bed_drain(Bed *bed)
{
    RtVm *vm = bed->vm;

    for (unsigned i = 0; i < bed->n; i++) {
        Source *s = &bed->sources[i];

        bed_collect(bed);
        for (int ms = 0; s->left < s->sent && ms < 1000; ms++) {
            rt_step_to(vm, vm->now_ns + RT_MS);
            bed_collect(bed);
        }
        g_assert_cmpuint(s->left, ==, s->sent);
    }
    rt_step_to(vm, vm->now_ns + 100 * RT_MS);
    g_assert_cmpuint(bed_collect(bed), ==, 0);
    for (unsigned i = 0; i < bed->n; i++) {
        g_assert_cmpuint(rt_nic_unsent(bed->sources[i].nic), ==, 0);
        g_assert_cmpuint(rt_port_get(vm, port_ids[i], "queued"), ==, 0);
    }
}

/* A ring that has lost a descriptor cannot be filled again. */
static void bed_fill_rings(Bed *bed)
{
    for (unsigned i = 0; i < bed->n; i++) {
        bed_send(bed, i, bed->sources[i].nic->tx.vq->size);
        bed_drain(bed);
    }
}

static void bed_receive_one(Bed *bed, unsigned source)
{
    uint8_t frame[RT_FRAME_MAX], received[RT_FRAME_MAX];

    bed_make_frame(source, 77, frame);
    rt_wire_send(bed->vm, source, frame, BYTES);
    rt_settle(bed->vm);
    g_assert_cmpmem(received, rt_nic_receive(bed->sources[source].nic,
                                             received), frame, BYTES);
}

/* -- Frames that wait ----------------------------------------------------- */

/* In the queue and, because that is full, in the ring. */
static void test_queued(void)
{
    enum { FRAMES = 30 };
    Bed *bed = bed_start(SOURCES, THREE_SOURCES);
    g_autofree char *path = rt_temp_path("vm");
    uint64_t twin_ns = 777 * RT_MS;
    QTestState *twin = rt_vm_twin(bed->vm, NULL, NULL, twin_ns);

    for (unsigned i = 0; i < SOURCES; i++) {
        bed_send(bed, i, FRAMES);
        g_assert_cmpuint(rt_port_get(bed->vm, port_ids[i], "queued"), <=,
                         QUEUE_PKTS);
        g_assert_cmpuint(rt_nic_unsent(bed->sources[i].nic), >, 0);
    }
    rt_step_to(bed->vm, bed->vm->now_ns + 700 * RT_US);
    g_assert_cmpuint(bed_collect(bed), >, 0);

    rt_vm_save(bed->vm, path);
    for (unsigned i = 0; i < SOURCES; i++) {
        Source *s = &bed->sources[i];

        g_assert_cmpuint(rt_nic_unsent(s->nic), ==, 0);
        g_assert_cmpuint(rt_port_get(bed->vm, port_ids[i], "queued"), ==,
                         s->sent - s->left);
    }
    rt_step_to(bed->vm, bed->vm->now_ns + 100 * RT_MS);
    g_assert_cmpuint(bed_collect(bed), ==, 0);

    g_assert_true(rt_twin_load(twin, path));
    g_unlink(path);
    bed_move_to(bed, twin, twin_ns);
    for (unsigned i = 0; i < SOURCES; i++) {
        g_assert_cmpuint(rt_nic_unsent(bed->sources[i].nic), ==, 0);
    }
    bed_drain(bed);
    bed_fill_rings(bed);
    for (unsigned i = 0; i < SOURCES; i++) {
        bed_receive_one(bed, i);
    }
    bed_stop(bed);
}

/* The netdev has a frame that it could not send yet. */
static void test_backend_full(void)
{
    Bed *bed = bed_start(SOURCES, THREE_SOURCES);

    for (unsigned i = 0; i < SOURCES; i++) {
        rt_wire_block(bed->vm, i);
        bed_send(bed, i, 10);
    }
    rt_step_to(bed->vm, bed->vm->now_ns + 50 * RT_MS);
    bed_migrate(bed, 5 * RT_MS);
    rt_step_to(bed->vm, bed->vm->now_ns + 50 * RT_MS);
    /* The queue has been too full since then; these come only now. */
    for (unsigned i = 0; i < SOURCES; i++) {
        bed_send(bed, i, 1);
        g_assert_cmpuint(rt_nic_unsent(bed->sources[i].nic), ==, 1);
    }
    for (unsigned i = 0; i < SOURCES; i++) {
        g_assert_cmpuint(bed->sources[i].left, ==, 0);
        rt_wire_unblock(bed->vm, i);
    }
    bed_drain(bed);
    bed_fill_rings(bed);
    bed_stop(bed);
}

/* -- Time that is left ---------------------------------------------------- */

/* Of 2 ms, 1.5 ms pass here; the frame leaves @after_ns after it was loaded. */
static void check_deadline(uint64_t after_ns, bool late)
{
    Bed *bed = bed_start(2, SCHEDULER ADMITTED DEADLINE);
    g_autofree char *path = rt_temp_path("vm");
    g_autofree char *paused =
        g_strdup_printf("%s -S", bed->vm->options);
    uint64_t twin_ns = 3000 * RT_MS;
    QTestState *twin = rt_vm_twin(bed->vm, paused, NULL, twin_ns);
    uint8_t frame[RT_FRAME_MAX];
    RtTrailerFields t;
    size_t bytes;

    rt_wire_block(bed->vm, 1);
    bed_send(bed, 1, 1);
    rt_step_to(bed->vm, bed->vm->now_ns + 1500 * RT_US);
    rt_vm_save(bed->vm, path);
    g_assert_true(rt_twin_load(twin, path));
    g_unlink(path);
    bed_move_to(bed, twin, twin_ns);

    rt_step_to(bed->vm, twin_ns + after_ns);
    rt_wire_unblock(bed->vm, 1);
    qtest_qmp_assert_success(bed->vm->qts, "{ 'execute': 'cont' }");
    g_assert_cmpuint(rt_wire_next(bed->vm, frame, &bytes), ==, 1);
    g_assert_cmpuint(bed->vm->now_ns, ==, twin_ns + after_ns);
    rt_trailer_read(frame, bytes, &t);
    g_assert_cmpint(!!(t.flags & RT_FLAG_LATE), ==, late);
    g_assert_cmpuint(t.sent_ns, ==, bed->sources[1].posted_ns[0]);
    g_assert_cmpuint(t.deadline_ns, ==, 2 * RT_MS);
    g_assert_cmpuint(rt_port_counter(bed->vm, "r1", "late"), ==, late);
    g_assert_cmpuint(rt_port_hist(bed->vm, "r1", "queueing-delay", "max-ns"),
                     ==, 1500 * RT_US + after_ns);
    bed_stop(bed);
}

static void test_deadline(void)
{
    check_deadline(500 * RT_US, false);
    check_deadline(500 * RT_US + 1, true);
}

/*
 * What came sooner than declared still waits its turn, and so does the next,
 * which is more than 20 ms too early: it lets others go first.
 */
static void test_policing(void)
{
    Bed *bed = bed_start(2, "-object edf-scheduler,id=s0,rate-bps=8000000 "
        "-device rtvnic,id=r0,netdev=n0,scheduler=s0,addr=4,deadline-us=20000,"
        "period-us=10000,source-id=100,dscp=46 "
        "-device rtvnic,id=r1,netdev=n1,scheduler=s0,addr=5,deadline-us=55000,"
        "period-us=55000,source-id=101,dscp=46 ");
    RtVm *vm = bed->vm;
    uint8_t frame[RT_FRAME_MAX];
    static const unsigned order[] = { 0, 0, 0, 1, 0 };
    size_t bytes;

    rt_wire_block(vm, 0);
    rt_wire_block(vm, 1);
    /* Ordered as due after 20, 30 and 40 ms. */
    bed_send(bed, 0, 3);
    g_assert_cmpuint(rt_port_counter(vm, "r0", "postponed"), ==, 2);
    bed_migrate(bed, 40 * RT_MS);

    /* After 50 ms, but not eligible before 10; and after 55 ms. */
    bed_send(bed, 0, 1);
    bed_send(bed, 1, 1);
    g_assert_cmpuint(rt_port_counter(vm, "r0", "postponed"), ==, 1);

    /* Frames that wait here meet in the scheduler of the next QEMU. */
    bed_migrate(bed, 80 * RT_MS);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'stop' }");
    rt_wire_unblock(vm, 0);
    rt_wire_unblock(vm, 1);
    g_assert_cmpuint(bed_collect(bed), ==, 0);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'cont' }");
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        g_assert_cmpuint(rt_wire_next(vm, frame, &bytes), ==, order[i]);
        bed_check_frame(bed, order[i], frame, bytes);
    }
    bed_drain(bed);
    bed_stop(bed);
}

/* -- Migrations that fail ------------------------------------------------- */

static void use_return_path(QTestState *qts, bool pause)
{
    qtest_qmp_assert_success(qts,
        "{ 'execute': 'migrate-set-capabilities', 'arguments': {"
        "  'capabilities': ["
        "    { 'capability': 'return-path', 'state': true },"
        "    { 'capability': 'pause-before-switchover', 'state': %i } ] } }",
        pause);
}

/* Returns how it ended, as the source sees it. */
static char *migrate_by_socket(RtVm *vm, QTestState *twin)
{
    g_autofree char *path = rt_temp_path("sock");
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    char *status;

    qtest_qmp_assert_success(twin, "{ 'execute': 'migrate-incoming',"
                             " 'arguments': { 'uri': %s,"
                             "                'exit-on-error': false } }", uri);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'migrate',"
                             " 'arguments': { 'uri': %s } }", uri);
    status = rt_migration_wait(vm->qts);
    g_unlink(path);
    return status;
}

static void wait_until_running(RtVm *vm)
{
    for (;;) {
        g_autoptr(QDict) info = qtest_qmp_assert_success_ref(vm->qts,
            "{ 'execute': 'query-status' }");

        if (qdict_get_bool(info, "running")) {
            break;
        }
        g_usleep(1000);
    }
    rt_settle(vm);
}

/* The other side does not take it: this one goes on. */
static void test_refused(void)
{
    Bed *bed = bed_start(SOURCES, THREE_SOURCES);
    g_autofree char *messages = rt_temp_path("stderr");
    QTestState *twin;
    g_autofree char *status = NULL, *error = NULL;
    g_autofree char *stderr_text = NULL, *text = NULL;

    twin = rt_vm_twin(bed->vm, "", messages, 50 * RT_MS);
    use_return_path(twin, false);
    use_return_path(bed->vm->qts, false);
    for (unsigned i = 0; i < SOURCES; i++) {
        bed_send(bed, i, 10);
    }
    status = migrate_by_socket(bed->vm, twin);
    g_assert_cmpstr(status, ==, "failed");
    error = rt_twin_error(twin);
    qtest_quit(twin);
    stderr_text = rt_file_take(messages);
    text = g_strconcat(stderr_text, error, NULL);
    g_assert_nonnull(strstr(text, "section or instance '"));

    wait_until_running(bed->vm);
    bed_drain(bed);
    bed_fill_rings(bed);
    bed_stop(bed);
}

/* Called off when the VM has stopped already. */
static void test_cancelled(void)
{
    Bed *bed = bed_start(SOURCES, THREE_SOURCES);
    QTestState *twin = rt_vm_twin(bed->vm, NULL, NULL, 50 * RT_MS);
    g_autofree char *status = NULL, *end = NULL;

    use_return_path(twin, true);
    use_return_path(bed->vm->qts, true);
    for (unsigned i = 0; i < SOURCES; i++) {
        bed_send(bed, i, 10);
    }
    status = migrate_by_socket(bed->vm, twin);
    g_assert_cmpstr(status, ==, "pre-switchover");
    for (unsigned i = 0; i < SOURCES; i++) {
        g_assert_cmpuint(rt_nic_unsent(bed->sources[i].nic), ==, 0);
    }
    qtest_qmp_assert_success(bed->vm->qts, "{ 'execute': 'migrate_cancel' }");
    end = rt_migration_wait(bed->vm->qts);
    g_assert_cmpstr(end, ==, "cancelled");
    wait_until_running(bed->vm);
    qtest_quit(twin);

    bed_drain(bed);
    bed_fill_rings(bed);
    bed_stop(bed);
}

/* -- Many times ----------------------------------------------------------- */

/* More wait than the queue may hold, and not ever more. */
#define BACKLOG_PKTS 60

/* To and fro, under load all the time. */
static void test_many(void)
{
    unsigned migrations = g_test_slow() ? 1000 : 20;
    Bed *bed = bed_start(SOURCES, THREE_SOURCES);
    RtVm *vm = bed->vm;

    for (unsigned k = 0; k < migrations; k++) {
        for (unsigned i = 0; i < SOURCES; i++) {
            Source *s = &bed->sources[i];
            unsigned room = s->nic->tx.vq->size - rt_nic_unsent(s->nic);

            if (s->sent - s->left < BACKLOG_PKTS) {
                bed_send(bed, i, g_test_rand_int_range(0, MIN(room, 15) + 1));
            }
        }
        rt_step_to(vm, vm->now_ns + g_test_rand_int_range(0, 6000) * RT_US);
        bed_collect(bed);
        bed_migrate(bed, g_test_rand_int_range(1, 1000) * RT_MS);
        rt_step_to(vm, vm->now_ns + g_test_rand_int_range(0, 2000) * RT_US);
        bed_collect(bed);
        bed_receive_one(bed, k % SOURCES);
    }
    bed_drain(bed);
    bed_fill_rings(bed);
    for (unsigned i = 0; i < SOURCES; i++) {
        g_test_message("%s: %u frames, %u migrations", port_ids[i],
                       bed->sources[i].sent, migrations);
    }
    bed_stop(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("rtnet/migrate/queued", test_queued);
    qtest_add_func("rtnet/migrate/backend-full", test_backend_full);
    qtest_add_func("rtnet/migrate/deadline", test_deadline);
    qtest_add_func("rtnet/migrate/policing", test_policing);
    qtest_add_func("rtnet/migrate/refused", test_refused);
    qtest_add_func("rtnet/migrate/cancelled", test_cancelled);
    qtest_add_func("rtnet/migrate/many", test_many);
    return g_test_run();
}
