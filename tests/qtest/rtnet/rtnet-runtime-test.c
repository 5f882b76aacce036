/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options that change while the VM runs: from the next frame on, within what
 * was promised, or not at all.
 *
 * Threads: one.
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qnum.h"
#include "rtnet-frames.h"
#include "rtnet-libqos.h"

#define SLOT 4
#define BYTES 1000

/* 1 us per byte, and what a frame occupies of the link. */
#define SCHEDULER "-object edf-scheduler,id=s0,rate-bps=8000000 "
#define WIRE_BYTES (BYTES + RT_TRAILER_BYTES + RT_OVERHEAD_BYTES)

/* Longest frame of a link of MTU 1500, with two tags. */
#define LONGEST_WIRE_BYTES (1522 + RT_OVERHEAD_BYTES)

#define RTVNIC "-device rtvnic,id=r0,netdev=n0,scheduler=s0,addr=4"
#define PORT "-object edf-port,id=p0,netdev=n0,scheduler=s0"
#define R0 "/machine/peripheral/r0"
#define P0 "/objects/p0"
#define S0 "/objects/s0"

static void set(RtVm *vm, const char *path, const char *name, int64_t value)
{
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'qom-set', 'arguments': {"
                             " 'path': %s, 'property': %s,"
                             " 'value': %" PRId64 " } }", path, name, value);
}

static int64_t get(RtVm *vm, const char *path, const char *name)
{
    QDict *answer = qtest_qmp(vm->qts, "{ 'execute': 'qom-get',"
                              " 'arguments': { 'path': %s, 'property': %s } }",
                              path, name);
    int64_t value;

    g_assert_true(qdict_haskey(answer, "return"));
    value = qnum_get_int(qobject_to(QNum, qdict_get(answer, "return")));
    qobject_unref(answer);
    return value;
}

/* It is refused with @message, and nothing has changed. */
static void refuse(RtVm *vm, const char *path, const char *name, int64_t value,
                   const char *message)
{
    int64_t before = get(vm, path, name);
    QDict *error = qtest_qmp_assert_failure_ref(vm->qts,
        "{ 'execute': 'qom-set', 'arguments': { 'path': %s, 'property': %s,"
        " 'value': %" PRId64 " } }", path, name, value);
    const char *text = qdict_get_str(error, "desc");

    g_test_message("%s=%" PRId64 ": %s", name, value, text);
    g_assert_nonnull(strstr(text, message));
    qobject_unref(error);
    g_assert_cmpint(get(vm, path, name), ==, before);
}

static void send_frame(RtNic *nic, uint32_t number)
{
    RtFrameSpec spec = { .bytes = BYTES, .number = number, .dscp = 7 };
    uint8_t frame[BYTES];

    rt_frame_make(&spec, frame);
    rt_nic_send(nic, frame, BYTES);
}

/* The next frame, with its trailer; returns its DSCP. */
static uint8_t next_frame(RtVm *vm, RtTrailerFields *t)
{
    uint8_t frame[RT_FRAME_MAX];
    size_t bytes;

    rt_wire_next(vm, frame, &bytes);
    rt_trailer_read(frame, bytes, t);
    return rt_frame_dscp(frame);
}

/* -- What takes effect ---------------------------------------------------- */

/* Frames that wait keep the deadline that they came with. */
static void test_deadline(void)
{
    static const uint32_t deadlines_us[] = { 20000, 20000, 5000, 4294967 };
    RtVm *vm = rt_vm_start(1, SCHEDULER RTVNIC ",deadline-us=20000");
    RtNic *nic = rt_nic_start(vm, SLOT);
    RtTrailerFields t;

    send_frame(nic, 0);
    send_frame(nic, 1);
    for (uint32_t i = 2; i < ARRAY_SIZE(deadlines_us); i++) {
        set(vm, R0, "deadline-us", deadlines_us[i]);
        g_assert_cmpint(get(vm, R0, "deadline-us"), ==, deadlines_us[i]);
        g_assert_cmpuint(rt_port_get(vm, "r0", "deadline-us"), ==,
                         deadlines_us[i]);
        send_frame(nic, i);
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(deadlines_us); i++) {
        next_frame(vm, &t);
        g_assert_cmpuint(t.sequence, ==, i);
        g_assert_cmpuint(t.deadline_ns, ==, deadlines_us[i] * RT_US);
    }
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

static void expect_order(RtVm *vm, const uint32_t *numbers, size_t n)
{
    uint8_t frame[RT_FRAME_MAX];
    size_t bytes;

    for (size_t i = 0; i < n; i++) {
        rt_wire_next(vm, frame, &bytes);
        g_assert_cmpuint(rt_frame_number(frame), ==, numbers[i]);
    }
}

/*
 * Best effort becomes urgent from the next frame on, which goes before those of
 * others, not before its own.
 */
static void test_deadline_first(void)
{
    RtVm *vm = rt_vm_start(2, SCHEDULER RTVNIC " "
                           "-object edf-port,id=p0,netdev=n1,scheduler=s0 "
                           "-device virtio-net-pci,netdev=p0,queue_reset=off,"
                           "addr=5");
    RtNic *rt = rt_nic_start(vm, SLOT), *plain = rt_nic_start(vm, SLOT + 1);

    send_frame(rt, 0);
    send_frame(rt, 1);
    send_frame(plain, 2);
    set(vm, P0, "deadline-us", 50000);
    send_frame(plain, 3);
    set(vm, R0, "deadline-us", 1000);
    send_frame(rt, 4);
    expect_order(vm, (uint32_t[]) { 0, 1, 4, 2, 3 }, 5);
    g_assert_cmpuint(rt_port_get(vm, "p0", "deadline-us"), ==, 50000);
    g_assert_cmpuint(rt_port_counter(vm, "r0", "sent"), ==, 3);
    g_assert_cmpuint(rt_port_counter(vm, "p0", "sent"), ==, 2);

    rt_step_to(vm, vm->now_ns + 10 * RT_MS);
    send_frame(plain, 5);
    send_frame(plain, 6);
    send_frame(rt, 7);
    expect_order(vm, (uint32_t[]) { 5, 7, 6 }, 3);
    rt_nic_free(rt);
    rt_nic_free(plain);
    rt_vm_stop(vm);
}

static void test_dscp(void)
{
    static const int dscp[] = { 46, 10, -1, 0, 63 };
    RtVm *vm = rt_vm_start(1, SCHEDULER RTVNIC ",dscp=46");
    RtNic *nic = rt_nic_start(vm, SLOT);
    RtTrailerFields t;

    for (uint32_t i = 0; i < ARRAY_SIZE(dscp); i++) {
        set(vm, R0, "dscp", dscp[i]);
        g_assert_cmpint(get(vm, R0, "dscp"), ==, dscp[i]);
        send_frame(nic, i);
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(dscp); i++) {
        g_assert_cmpuint(next_frame(vm, &t), ==, dscp[i] < 0 ? 7 : dscp[i]);
        g_assert_cmpuint(t.guest_dscp, ==, 7);
        g_assert_cmpint(!!(t.flags & RT_FLAG_DSCP_REWRITTEN), ==, dscp[i] >= 0);
    }
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* -- The rate, while a frame is paced ------------------------------------- */

static void check_rate(uint64_t rate_bps, uint64_t second_ns)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER RTVNIC);
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint64_t start_ns = vm->now_ns;
    uint8_t frame[RT_FRAME_MAX];

    for (uint32_t i = 0; i < 3; i++) {
        send_frame(nic, i);
    }
    rt_wire_expect(vm, 0, start_ns, frame);
    rt_wire_expect_none(vm, start_ns + 100 * RT_US);
    set(vm, S0, "rate-bps", rate_bps);
    g_assert_cmpint(get(vm, S0, "rate-bps"), ==, rate_bps);
    g_assert_cmpuint(rt_sched_get(vm, "s0", "rate-bps"), ==, rate_bps);
    rt_wire_expect(vm, 0, start_ns + second_ns, frame);
    g_assert_cmpuint(rt_frame_number(frame), ==, 1);
    rt_wire_expect(vm, 0, start_ns + second_ns +
                          WIRE_BYTES * 8000000000ull / rate_bps, frame);
    g_assert_cmpuint(rt_frame_number(frame), ==, 2);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* What was charged at the old rate holds for one longest frame at most. */
static void test_rate_raised(void)
{
    check_rate(80000000, 100 * RT_US + LONGEST_WIRE_BYTES * 100);
}

static void test_rate_lowered(void)
{
    check_rate(800000, WIRE_BYTES * RT_US);
}

/* -- What is refused ------------------------------------------------------ */

static void test_admission(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER RTVNIC ",deadline-us=20000,"
                           "period-us=20000,max-frame-bytes=1000");
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint64_t promised_us = rt_port_get(vm, "r0", "promised-delay-us");
    uint64_t promised_ppm = rt_sched_get(vm, "s0", "promised-ppm");
    RtTrailerFields t;

    refuse(vm, R0, "deadline-us", 100, "us too much");
    refuse(vm, S0, "rate-bps", 100000, "% too much");
    g_assert_cmpuint(rt_port_get(vm, "r0", "deadline-us"), ==, 20000);
    g_assert_cmpuint(rt_port_get(vm, "r0", "promised-delay-us"), ==,
                     promised_us);
    g_assert_cmpuint(rt_sched_get(vm, "s0", "promised-ppm"), ==, promised_ppm);
    g_assert_cmpuint(rt_sched_get(vm, "s0", "rate-bps"), ==, 8000000);
    send_frame(nic, 0);
    next_frame(vm, &t);
    g_assert_cmpuint(t.deadline_ns, ==, 20 * RT_MS);
    g_assert_true(t.flags & RT_FLAG_ADMITTED);

    set(vm, R0, "deadline-us", 10000);
    set(vm, S0, "rate-bps", 16000000);
    g_assert_cmpuint(rt_sched_get(vm, "s0", "promised-ppm"), <, promised_ppm);
    send_frame(nic, 1);
    next_frame(vm, &t);
    g_assert_cmpuint(t.deadline_ns, ==, 10 * RT_MS);
    g_assert_true(t.flags & RT_FLAG_ADMITTED);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

static void test_range(void)
{
    RtVm *vm = rt_vm_start(2, SCHEDULER RTVNIC ",deadline-us=20000,dscp=46 "
                           "-object edf-port,id=p0,netdev=n1,scheduler=s0,"
                           "deadline-us=20000");

    refuse(vm, R0, "deadline-us", 0, "deadline-us must be 1 to 4294967");
    refuse(vm, R0, "deadline-us", 4294968, "deadline-us must be 1 to 4294967");
    refuse(vm, P0, "deadline-us", 0, "deadline-us must be 1 to 4294967");
    refuse(vm, R0, "dscp", 64, "dscp must be 0 to 63");
    refuse(vm, R0, "dscp", -2, "dscp must be 0 to 63");
    refuse(vm, S0, "rate-bps", 0, "rate-bps must be 1 to");
    refuse(vm, S0, "rate-bps", 10000000000001, "rate-bps must be 1 to");
    rt_vm_stop(vm);
}

static void test_fixed(void)
{
    RtVm *vm = rt_vm_start(2, SCHEDULER RTVNIC ",deadline-us=20000,"
                           "period-us=20000 "
                           "-object edf-port,id=p0,netdev=n1,scheduler=s0,"
                           "deadline-us=20000,period-us=20000");

    refuse(vm, R0, "period-us", 10000, "realized");
    refuse(vm, R0, "max-frame-bytes", 100, "realized");
    refuse(vm, R0, "link-mtu", 1400, "realized");
    refuse(vm, R0, "source-id", 1, "realized");
    refuse(vm, R0, "max-skew-us", 1, "realized");
    refuse(vm, R0, "pcp", 1, "realized");
    refuse(vm, P0, "period-us", 10000, "cannot be changed");
    refuse(vm, P0, "max-frame-bytes", 100, "cannot be changed");
    refuse(vm, P0, "link-mtu", 1400, "cannot be changed");
    refuse(vm, S0, "queue-pkts", 1, "cannot be changed");
    refuse(vm, S0, "queue-bytes", 1, "cannot be changed");
    rt_vm_stop(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("rtnet/runtime/deadline", test_deadline);
    qtest_add_func("rtnet/runtime/deadline-first", test_deadline_first);
    qtest_add_func("rtnet/runtime/dscp", test_dscp);
    qtest_add_func("rtnet/runtime/rate-raised", test_rate_raised);
    qtest_add_func("rtnet/runtime/rate-lowered", test_rate_lowered);
    qtest_add_func("rtnet/runtime/admission", test_admission);
    qtest_add_func("rtnet/runtime/range", test_range);
    qtest_add_func("rtnet/runtime/fixed", test_fixed);
    return g_test_run();
}
