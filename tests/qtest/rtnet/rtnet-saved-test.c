/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is saved of a VM: snapshots, streams that were tampered with, and other
 * QEMUs that cannot take the VM, which must say why.
 *
 * Threads: one.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include <glib/gstdio.h>
#include "qobject/qdict.h"
#include "rtnet-frames.h"
#include "rtnet-libqos.h"

#define SLOT 4
#define BYTES 1000
#define FRAMES 3
#define TWIN_NS (90 * RT_MS)

#define SCHEDULER "-object edf-scheduler,id=s0,rate-bps=8000000 "
#define RTVNIC "-device rtvnic,id=r0,netdev=n0,scheduler=s0,addr=4," \
               "deadline-us=50000"
#define NE2K "-device rtvnic-ne2k,id=r0,netdev=n0,scheduler=s0,addr=4 "
#define BEHIND_PORT(device) \
    "-object edf-port,id=r0,netdev=n0,scheduler=s0 " \
    "-device " device ",id=v0,netdev=r0,addr=4 "
#define VIRTIO "virtio-net-pci,queue_reset=off"

static void send_frames(RtNic *nic, uint32_t from, uint32_t to)
{
    RtFrameSpec spec = { .bytes = BYTES };
    uint8_t frame[BYTES];

    for (spec.number = from; spec.number < to; spec.number++) {
        rt_frame_make(&spec, frame);
        rt_nic_send(nic, frame, BYTES);
    }
}

/* Frames @from to @to leave, and no other. */
static void expect_frames(RtVm *vm, uint32_t from, uint32_t to)
{
    uint8_t frame[RT_FRAME_MAX];
    RtTrailerFields t;
    size_t bytes;

    for (uint32_t number = from; number < to; number++) {
        g_assert_cmpuint(rt_wire_next(vm, frame, &bytes), ==, 0);
        g_assert_cmpuint(bytes, ==, BYTES + RT_TRAILER_BYTES);
        g_assert_cmpuint(rt_frame_number(frame), ==, number);
        rt_trailer_read(frame, bytes, &t);
        g_assert_cmpuint(t.sequence, ==, number);
    }
    rt_wire_expect_none(vm, vm->now_ns + 50 * RT_MS);
}

/* -- Snapshots ------------------------------------------------------------ */

static void snapshot(RtVm *vm, const char *command)
{
    g_autofree char *answer = qtest_hmp(vm->qts, "%s", command);

    g_assert_cmpstr(answer, ==, "");
}

/*
 * What waited when the VM was saved leaves again each time it is loaded; what
 * waited when it was loaded belongs to a time that never was.
 */
static void test_snapshot(void)
{
    g_autofree char *path = rt_temp_path("qcow2");
    RtVm *vm;
    RtNic *nic;

    if (!have_qemu_img() || !mkimg(path, "qcow2", 1)) {
        g_test_skip("QTEST_QEMU_IMG names no qemu-img that makes a qcow2");
        return;
    }
    vm = rt_vm_start(1, SCHEDULER RTVNIC " "
                     "-drive if=none,id=d0,format=qcow2,file=%s "
                     "-device virtio-blk-pci,drive=d0,addr=9", path);
    nic = rt_nic_start(vm, SLOT);

    rt_wire_block(vm, 0);
    send_frames(nic, 0, FRAMES);
    snapshot(vm, "savevm s");
    rt_wire_unblock(vm, 0);
    expect_frames(vm, 0, FRAMES);

    for (int again = 0; again < 2; again++) {
        rt_wire_block(vm, 0);
        send_frames(nic, 100, 130);
        g_assert_cmpuint(rt_port_get(vm, "r0", "queued"), ==, 29);
        snapshot(vm, "loadvm s");
        /* The ring is as it was, too. */
        nic->tx.posted = FRAMES;
        g_assert_cmpuint(rt_nic_unsent(nic), ==, 0);
        rt_wire_unblock(vm, 0);
        expect_frames(vm, 0, FRAMES);
    }
    send_frames(nic, FRAMES, FRAMES + 60);
    expect_frames(vm, FRAMES, FRAMES + 60);

    rt_nic_free(nic);
    rt_vm_stop(vm);
    g_unlink(path);
}

/* -- Streams that were tampered with -------------------------------------- */

#define SECTION "0000:00:04.0/rtvnic-port"

/* Behind the section's name, its instance and its version. */
#define AT_SEQUENCE 8
#define AT_N_FRAMES (AT_SEQUENCE + 4 + 8)
#define AT_N_BYTES (AT_N_FRAMES + 4)
#define AT_RECORDS (AT_N_BYTES + 4)
#define RECORD_BYTES 61
#define AT_FRAME_BYTES AT_RECORDS
#define AT_PADDING (AT_RECORDS + 37 + 20)
#define AT_FLAGS (AT_PADDING + 2)
#define AT_DSCP (AT_FLAGS + 1)
#define AT_BYTES (AT_RECORDS + FRAMES * RECORD_BYTES)

typedef struct HostileCase {
    const char *name;
    size_t at;
    unsigned bytes;
    uint32_t was;
    uint32_t value;
    const char *message;
} HostileCase;

static const HostileCase hostile_cases[] = {
    { "count-huge", AT_N_FRAMES, 4, FRAMES, 0x7fffffff,
      "number of frames within limit" },
    { "count-negative", AT_N_FRAMES, 4, FRAMES, 0xffffffff,
      "number of frames within limit" },
    { "count-one-more", AT_N_FRAMES, 4, FRAMES, FRAMES + 1,
      "does not fit" },
    { "count-one-less", AT_N_FRAMES, 4, FRAMES, FRAMES - 1,
      "does not fit" },
    { "bytes-huge", AT_N_BYTES, 4, FRAMES * BYTES, 0xffffffff,
      "bytes of frames within limit" },
    { "bytes-one-less", AT_N_BYTES, 4, FRAMES * BYTES, FRAMES * BYTES - 1,
      "longer than what was saved" },
    { "frame-longer", AT_FRAME_BYTES, 4, BYTES, BYTES + 1,
      "its padding is not what its IP length leaves" },
    { "frame-huge", AT_FRAME_BYTES, 4, BYTES, 0xffffffff,
      "longer than what was saved" },
    { "frame-empty", AT_FRAME_BYTES, 4, BYTES, 0,
      "shorter than an Ethernet header" },
    { "frame-over-mtu", AT_FRAME_BYTES, 4, BYTES, 2 * BYTES,
      "longer than link-mtu allows" },
    { "padding", AT_PADDING, 2, 0, 1,
      "its padding is not what its IP length leaves" },
    { "flags", AT_FLAGS, 1, 0, 0x80, "flags that do not exist" },
    { "dscp", AT_DSCP, 1, 0, 64, "a DSCP" },
    { "not-ip", AT_BYTES + 12, 2, 0x0800, 0x0806,
      "it has a trailer and is not IP" },
    { "ip-length", AT_BYTES + 16, 2, BYTES - 14, BYTES - 15,
      "its padding is not what its IP length leaves" },
};

/* A saved VM with frames that wait; to be freed and removed. */
static char *save_vm(RtVm *vm)
{
    char *path = rt_temp_path("vm");
    RtNic *nic = rt_nic_start(vm, SLOT);

    rt_wire_block(vm, 0);
    send_frames(nic, 0, FRAMES);
    rt_vm_save(vm, path);
    rt_wire_unblock(vm, 0);
    rt_nic_free(nic);
    return path;
}

/*
 * Another QEMU, started with @options, gives @message about what is in @path;
 * without one, it takes it.
 */
static void check_load(RtVm *vm, const char *options, const char *path,
                       const char *message)
{
    g_autofree char *stderr_path = rt_temp_path("stderr");
    QTestState *twin = rt_vm_twin(vm, options, stderr_path, TWIN_NS);
    bool taken = rt_twin_load(twin, path);
    g_autofree char *error = rt_twin_error(twin);
    g_autofree char *messages = NULL, *text = NULL;

    qtest_quit(twin);
    messages = rt_file_take(stderr_path);
    text = g_strconcat(messages, error, NULL);
    g_test_message("%s", *g_strchomp(text) ? text : "taken");
    g_assert_cmpint(taken, ==, !message);
    g_assert_true(!message || strstr(text, message));
}

static uint32_t read_be(const uint8_t *p, unsigned bytes)
{
    return bytes == 1 ? *p : bytes == 2 ? lduw_be_p(p) : ldl_be_p(p);
}

static void write_be(uint8_t *p, unsigned bytes, uint32_t value)
{
    for (unsigned i = 0; i < bytes; i++) {
        p[i] = value >> 8 * (bytes - 1 - i);
    }
}

/* A field is changed, and nothing else. */
static void test_hostile(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER RTVNIC);
    g_autofree char *path = save_vm(vm);
    g_autofree char *stream = NULL;
    uint8_t *section;
    gsize bytes;

    g_assert_true(g_file_get_contents(path, &stream, &bytes, NULL));
    section = memmem(stream, bytes, SECTION, strlen(SECTION));
    g_assert_nonnull(section);
    section += strlen(SECTION);
    for (size_t i = 0; i < ARRAY_SIZE(hostile_cases); i++) {
        const HostileCase *c = &hostile_cases[i];

        g_test_message("%s", c->name);
        g_assert_cmphex(read_be(section + c->at, c->bytes), ==, c->was);
        write_be(section + c->at, c->bytes, c->value);
        g_assert_true(g_file_set_contents(path, stream, bytes, NULL));
        check_load(vm, NULL, path, c->message);
        write_be(section + c->at, c->bytes, c->was);
    }
    g_unlink(path);
    rt_vm_stop(vm);
}

/* Any byte of the section is changed: whatever comes of it, QEMU stays. */
static void test_hostile_random(void)
{
    int rounds = g_test_slow() ? 300 : 8;
    RtVm *vm = rt_vm_start(1, SCHEDULER RTVNIC);
    g_autofree char *path = save_vm(vm);
    g_autofree char *stream = NULL;
    unsigned taken = 0;
    uint8_t *section;
    gsize bytes;

    g_assert_true(g_file_get_contents(path, &stream, &bytes, NULL));
    section = memmem(stream, bytes, SECTION, strlen(SECTION));
    g_assert_nonnull(section);
    section += strlen(SECTION) + AT_SEQUENCE;
    for (int i = 0; i < rounds; i++) {
        g_autofree char *stderr_path = rt_temp_path("stderr");
        size_t at = g_test_rand_int_range(0, AT_BYTES - AT_SEQUENCE + 64);
        uint8_t was = section[at];
        QTestState *twin;

        section[at] ^= 1 << g_test_rand_int_range(0, 8);
        g_assert_true(g_file_set_contents(path, stream, bytes, NULL));
        twin = rt_vm_twin(vm, NULL, stderr_path, TWIN_NS);
        taken += rt_twin_load(twin, path);
        g_assert_cmpint(qtest_clock_step(twin, 100 * RT_MS), ==,
                        TWIN_NS + 100 * RT_MS);
        qtest_qmp_assert_success(twin, "{ 'execute': 'query-rtnet' }");
        qtest_quit(twin);
        g_free(rt_file_take(stderr_path));
        section[at] = was;
    }
    g_test_message("%u of %d taken", taken, rounds);
    g_unlink(path);
    rt_vm_stop(vm);
}

/* -- Other QEMUs ---------------------------------------------------------- */

typedef struct OtherCase {
    const char *name;
    const char *from;
    const char *to;
    bool queued;                /* frames of a virtio-net wait */
    const char *message;        /* NULL: it can */
} OtherCase;

static const OtherCase other_cases[] = {
    { "smaller-link-mtu", SCHEDULER RTVNIC,
      SCHEDULER RTVNIC ",link-mtu=700", true,
      "start this QEMU with the options of the one that saved" },
    { "no-device", SCHEDULER RTVNIC, SCHEDULER, true, "0000:00:04.0" },
    { "rtvnic-to-virtio", SCHEDULER RTVNIC,
      SCHEDULER "-device " VIRTIO ",netdev=n0,addr=4", true, "rtvnic-port" },
    { "virtio-to-rtvnic", SCHEDULER "-device " VIRTIO ",netdev=n0,addr=4",
      SCHEDULER RTVNIC, false, NULL },
    { "rtvnic-to-port", SCHEDULER RTVNIC, SCHEDULER BEHIND_PORT(VIRTIO), true,
      "rtvnic-port" },
    { "rtvnic-to-ne2k", SCHEDULER RTVNIC, SCHEDULER NE2K, true,
      "0000:00:04.0" },
    { "ne2k_pci-to-rtvnic-ne2k", "-device ne2k_pci,netdev=n0,addr=4",
      SCHEDULER NE2K, false, "ne2000" },
    { "rtvnic-ne2k-to-ne2k_pci", SCHEDULER NE2K,
      "-device ne2k_pci,netdev=n0,addr=4", false, "rtvnic-port" },
};

static void test_other(const void *opaque)
{
    const OtherCase *c = opaque;
    RtVm *vm = rt_vm_start(1, "%s", c->from);
    g_autofree char *path = NULL;

    if (c->queued) {
        path = save_vm(vm);
    } else {
        path = rt_temp_path("vm");
        rt_vm_save(vm, path);
    }
    check_load(vm, c->to, path, c->message);
    g_unlink(path);
    rt_vm_stop(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("rtnet/saved/snapshot", test_snapshot);
    qtest_add_func("rtnet/saved/hostile", test_hostile);
    qtest_add_func("rtnet/saved/hostile-random", test_hostile_random);
    for (size_t i = 0; i < ARRAY_SIZE(other_cases); i++) {
        g_autofree char *name = g_strdup_printf("rtnet/saved/other/%s",
                                                other_cases[i].name);

        qtest_add_data_func(name, &other_cases[i], test_other);
    }
    return g_test_run();
}
