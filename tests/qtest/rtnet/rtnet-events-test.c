/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a management client hears: missed deadlines, NICs that come and go; and
 * statistics that start again.
 *
 * Threads: one.
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qnum.h"
#include "rtnet-frames.h"
#include "rtnet-libqos.h"

#define SLOT 4
#define BYTES 100
#define SECOND_NS (1000 * RT_MS)
#define DEADLINE_NS (2 * RT_MS)
#define SOURCE_ID 0xcafe
#define PCI_EJECT_PORT 0xae08

#define SCHEDULER "-object edf-scheduler,id=s0,rate-bps=8000000 "
#define RTVNIC(i, slot) \
    "-device rtvnic,id=r" i ",netdev=n" i ",scheduler=s0,addr=" slot " "

/* The device in SLOT; the guest lets it go.  Keeps the events. */
static void unplug(RtVm *vm, const char *id)
{
    qtest_qmp_device_del_send(vm->qts, id);
    qtest_outl(vm->qts, PCI_EJECT_PORT, 1 << SLOT);
    rt_settle(vm);
}

/* -- Misses --------------------------------------------------------------- */

/*
 * A frame that missed its deadline by @exceeded_ns reaches the port behind
 * @wire now.
 */
static void send_miss(RtVm *vm, unsigned wire, uint32_t sequence,
                      uint64_t exceeded_ns, bool ipv6, uint8_t flags)
{
    RtFrameSpec spec = { .bytes = BYTES, .ipv6 = ipv6, .dscp = 46 };
    RtTrailerFields t = {
        .sent_ns = vm->now_ns - DEADLINE_NS - exceeded_ns,
        .deadline_ns = DEADLINE_NS,
        .sequence = sequence,
        .source_id = SOURCE_ID,
        .version = 1,
        .flags = flags,
        .guest_dscp = 5,
    };
    uint8_t frame[RT_FRAME_MAX];

    rt_frame_make(&spec, frame);
    rt_wire_send(vm, wire, frame, rt_trailer_append(frame, BYTES, &t));
    rt_settle(vm);
}

/* Data of the next event @name that has come; NULL if there is none. */
static QDict *next_event(RtVm *vm, const char *name)
{
    QDict *event, *data;

    rt_settle(vm);
    event = qtest_qmp_event_ref(vm->qts, name);
    if (!event) {
        return NULL;
    }
    data = qobject_ref(qdict_get_qdict(event, "data"));
    qobject_unref(event);
    return data;
}

static uint64_t get_uint(const QDict *dict, const char *name)
{
    uint64_t value;

    g_assert_true(qnum_get_try_uint(qobject_to(QNum, qdict_get(dict, name)),
                                    &value));
    return value;
}

static void expect_miss(RtVm *vm, const char *port, uint64_t count,
                        uint32_t sequence)
{
    g_autoptr(QDict) miss = next_event(vm, "RTNET_DEADLINE_MISS");

    g_assert_nonnull(miss);
    g_assert_cmpstr(qdict_get_str(miss, "port"), ==, port);
    g_assert_cmpuint(get_uint(miss, "count"), ==, count);
    g_assert_cmpuint(get_uint(miss, "sequence"), ==, sequence);
}

static void expect_no_miss(RtVm *vm)
{
    g_assert_null(next_event(vm, "RTNET_DEADLINE_MISS"));
}

static void test_miss_fields(const void *opaque)
{
    bool ipv6 = opaque;
    RtVm *vm = rt_vm_start(1, SCHEDULER RTVNIC("0", "4"));
    RtNic *nic = rt_nic_start(vm, SLOT);
    g_autoptr(QDict) miss = NULL;

    rt_step_to(vm, 5 * SECOND_NS);
    send_miss(vm, 0, 0, 0, ipv6, 0);            /* just in time */
    expect_no_miss(vm);
    send_miss(vm, 0, 4711, 1, ipv6, ipv6 ? RT_FLAG_LATE : 0);
    miss = next_event(vm, "RTNET_DEADLINE_MISS");
    g_assert_nonnull(miss);
    g_assert_cmpstr(qdict_get_str(miss, "port"), ==, "r0");
    g_assert_cmpuint(get_uint(miss, "count"), ==, 1);
    g_assert_cmpuint(get_uint(miss, "exceeded-ns"), ==, 1);
    g_assert_cmpuint(get_uint(miss, "deadline-ns"), ==, DEADLINE_NS);
    g_assert_cmpint(qdict_get_bool(miss, "late-at-departure"), ==, ipv6);
    g_assert_cmpuint(get_uint(miss, "dscp"), ==, 46);
    g_assert_cmpstr(qdict_get_str(miss, "destination-mac"), ==,
                    "02:52:54:00:00:01");
    g_assert_cmpstr(qdict_get_str(miss, "source-mac"), ==,
                    "02:52:54:00:00:02");
    g_assert_cmpstr(qdict_get_str(miss, "source"), ==,
                    ipv6 ? "fd00::1" : "10.0.0.1");
    g_assert_cmpstr(qdict_get_str(miss, "destination"), ==,
                    ipv6 ? "fd00::2" : "10.0.0.2");
    g_assert_cmpuint(get_uint(miss, "protocol"), ==, IPPROTO_UDP);
    g_assert_cmpuint(get_uint(miss, "source-id"), ==, SOURCE_ID);
    g_assert_cmpuint(get_uint(miss, "sequence"), ==, 4711);

    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* The first at once, then one per second and port, and none is forgotten. */
static void test_miss_rate(void)
{
    RtVm *vm = rt_vm_start(2, SCHEDULER RTVNIC("0", "4") RTVNIC("1", "5"));
    RtNic *nics[] = { rt_nic_start(vm, SLOT), rt_nic_start(vm, SLOT + 1) };
    uint64_t start_ns = 5 * SECOND_NS;

    rt_step_to(vm, start_ns);
    send_miss(vm, 0, 1, 1, false, 0);
    expect_miss(vm, "r0", 1, 1);
    for (uint32_t i = 2; i <= 8; i++) {
        rt_step_to(vm, vm->now_ns + 100 * RT_MS);
        send_miss(vm, 0, i, 1, false, 0);
        expect_no_miss(vm);
    }
    /* Another port's misses are another matter. */
    send_miss(vm, 1, 1, 1, false, 0);
    expect_miss(vm, "r1", 1, 1);

    /* Nothing more comes: a second after the last event the rest is told. */
    rt_step_to(vm, start_ns + SECOND_NS - 1);
    expect_no_miss(vm);
    rt_step_to(vm, start_ns + SECOND_NS);
    expect_miss(vm, "r0", 7, 8);
    send_miss(vm, 0, 9, 1, false, 0);
    rt_step_to(vm, start_ns + 2 * SECOND_NS - 1);
    expect_no_miss(vm);
    rt_step_to(vm, start_ns + 2 * SECOND_NS);
    expect_miss(vm, "r0", 1, 9);
    g_assert_cmpuint(rt_port_counter(vm, "r0", "missed"), ==, 1 + 7 + 1);

    /* After a quiet second, at once again. */
    rt_step_to(vm, start_ns + 4 * SECOND_NS);
    expect_no_miss(vm);
    send_miss(vm, 0, 10, 1, false, 0);
    expect_miss(vm, "r0", 1, 10);

    rt_nic_free(nics[0]);
    rt_nic_free(nics[1]);
    rt_vm_stop(vm);
}

/* What was not told yet is told when the NIC goes. */
static void test_miss_unplug(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER RTVNIC("0", "4"));
    RtNic *nic = rt_nic_start(vm, SLOT);

    rt_step_to(vm, 5 * SECOND_NS);
    for (uint32_t i = 1; i <= 6; i++) {
        send_miss(vm, 0, i, 1, false, 0);
    }
    expect_miss(vm, "r0", 1, 1);
    unplug(vm, "r0");
    expect_miss(vm, "r0", 5, 6);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* -- NICs ----------------------------------------------------------------- */

static void expect_nic(RtVm *vm, const char *event, const char *port,
                       const char *netdev, const char *mac)
{
    g_autoptr(QDict) nic = next_event(vm, event);

    g_assert_nonnull(nic);
    g_assert_cmpstr(qdict_get_str(nic, "port"), ==, port);
    g_assert_cmpstr(qdict_get_str(nic, "netdev"), ==, netdev);
    g_assert_cmpstr(qdict_get_str(nic, "mac"), ==, mac);
    g_assert_null(next_event(vm, event));
}

/* A NIC is plugged in and taken out, twice. */
static void test_nic(const void *opaque)
{
    const char *driver = opaque;
    bool rtvnic = g_str_equal(driver, "rtvnic");
    const char *port = rtvnic ? "r0" : "p1";
    const char *netdev = rtvnic ? "n0" : "n1";
    RtVm *vm = rt_vm_start(2, SCHEDULER
                           "-object edf-port,id=p1,netdev=n1,scheduler=s0");

    for (int i = 0; i < 2; i++) {
        g_autofree char *mac = g_strdup_printf("02:00:00:00:00:%02x", i);

        if (rtvnic) {
            qtest_qmp_device_add(vm->qts, driver, "r0",
                                 "{ 'netdev': 'n0', 'scheduler': 's0',"
                                 "  'addr': '4', 'mac': %s }", mac);
        } else {
            qtest_qmp_device_add(vm->qts, driver, "v0",
                                 "{ 'netdev': 'p1', 'addr': '4', 'mac': %s }",
                                 mac);
        }
        expect_nic(vm, "RTNET_NIC_ADDED", port, netdev, mac);
        unplug(vm, rtvnic ? "r0" : "v0");
        expect_nic(vm, "RTNET_NIC_REMOVED", port, netdev, mac);
    }
    rt_vm_stop(vm);
}

/* -- Statistics ----------------------------------------------------------- */

static void send_frames(RtVm *vm, RtNic *nic, unsigned frames)
{
    RtFrameSpec spec = { .bytes = BYTES };
    uint8_t frame[BYTES];

    for (spec.number = 0; spec.number < frames; spec.number++) {
        rt_frame_make(&spec, frame);
        rt_nic_send(nic, frame, BYTES);
    }
    rt_step_to(vm, vm->now_ns + 100 * RT_MS);
}

static void expect_sent(RtVm *vm, unsigned r0, unsigned r1, unsigned s0)
{
    g_assert_cmpuint(rt_port_counter(vm, "r0", "sent"), ==, r0);
    g_assert_cmpuint(rt_port_hist(vm, "r0", "queueing-delay", "count"), ==, r0);
    g_assert_cmpuint(rt_port_counter(vm, "r1", "sent"), ==, r1);
    g_assert_cmpuint(rt_sched_get(vm, "s0", "sent"), ==, s0);
}

static void test_reset_stats(void)
{
    RtVm *vm = rt_vm_start(2, SCHEDULER RTVNIC("0", "4") RTVNIC("1", "5"));
    RtNic *nics[] = { rt_nic_start(vm, SLOT), rt_nic_start(vm, SLOT + 1) };
    uint8_t frame[RT_FRAME_MAX];
    RtTrailerFields t;
    QDict *error;
    size_t bytes;

    send_frames(vm, nics[0], 3);
    send_frames(vm, nics[1], 2);
    send_miss(vm, 0, 1, 1, false, 0);
    expect_sent(vm, 3, 2, 5);
    g_assert_cmpuint(rt_port_counter(vm, "r0", "missed"), ==, 1);

    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'rtnet-reset-stats',"
                             " 'arguments': { 'id': 'r0' } }");
    expect_sent(vm, 0, 2, 5);
    g_assert_cmpuint(rt_port_counter(vm, "r0", "missed"), ==, 0);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'rtnet-reset-stats',"
                             " 'arguments': { 'id': 's0' } }");
    expect_sent(vm, 0, 2, 0);
    send_frames(vm, nics[0], 1);
    expect_sent(vm, 1, 2, 1);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'rtnet-reset-stats' }");
    expect_sent(vm, 0, 0, 0);

    error = qtest_qmp_assert_failure_ref(vm->qts,
        "{ 'execute': 'rtnet-reset-stats', 'arguments': { 'id': 'nobody' } }");
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), "'nobody'"));
    qobject_unref(error);

    /* Sequence numbers are not statistics. */
    for (uint32_t i = 0; i < 4; i++) {
        bytes = rt_wire_receive(vm, 0, frame);
        rt_trailer_read(frame, bytes, &t);
        g_assert_cmpuint(t.sequence, ==, i);
    }
    rt_nic_free(nics[0]);
    rt_nic_free(nics[1]);
    rt_vm_stop(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("rtnet/events/miss-fields/ipv4", NULL,
                        test_miss_fields);
    qtest_add_data_func("rtnet/events/miss-fields/ipv6", "ipv6",
                        test_miss_fields);
    qtest_add_func("rtnet/events/miss-rate", test_miss_rate);
    qtest_add_func("rtnet/events/miss-unplug", test_miss_unplug);
    qtest_add_data_func("rtnet/events/nic/rtvnic", "rtvnic", test_nic);
    qtest_add_data_func("rtnet/events/nic/edf-port", "e1000", test_nic);
    qtest_add_func("rtnet/events/reset-stats", test_reset_stats);
    return g_test_run();
}
