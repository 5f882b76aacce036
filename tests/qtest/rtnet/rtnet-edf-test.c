/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which frame leaves when: order and pacing, to the nanosecond.
 *
 * Most tests start with a frame that occupies the link, let all others arrive
 * meanwhile, and watch them leave.
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "rtnet-frames.h"
#include "rtnet-libqos.h"

#define FIRST_SLOT 4
#define NICS 4

/* 1 us per byte. */
#define RATE_8M 8000000ull

/* As rtvnic's guests send and as it leaves, with its trailer. */
#define RT_BYTES 100
#define RT_WIRE_BYTES (RT_BYTES + RT_TRAILER_BYTES + RT_OVERHEAD_BYTES)

/* Longest frame of a link of MTU 1500: two tags. */
#define LONGEST_BYTES 1522
#define LONGEST_WIRE_BYTES (LONGEST_BYTES + RT_OVERHEAD_BYTES)

/* An edf-port, with a virtio-net in @slot. */
#define VIRTIO_NET(slot, netdev, port, options) \
    "-object edf-port,id=" port ",netdev=" netdev ",scheduler=s0" options " " \
    "-device virtio-net-pci,netdev=" port ",queue_reset=off,addr=" slot " "

#define RTVNIC(slot, netdev, id, options) \
    "-device rtvnic,id=" id ",netdev=" netdev ",scheduler=s0,addr=" slot \
    options " "

static uint64_t wire_ns(uint64_t wire_bytes, uint64_t rate_bps)
{
    return wire_bytes * 8000000000ull / rate_bps;
}

static void send_frame(RtNic *nic, size_t bytes, unsigned tags, uint32_t number)
{
    RtFrameSpec spec = { .bytes = bytes, .tags = tags, .number = number };
    uint8_t frame[RT_FRAME_MAX];

    rt_frame_make(&spec, frame);
    rt_nic_send(nic, frame, bytes);
}

static void start_nics(RtVm *vm, RtNic **nics, int n)
{
    for (int i = 0; i < n; i++) {
        nics[i] = rt_nic_start(vm, FIRST_SLOT + i);
    }
}

static void stop(RtVm *vm, RtNic **nics, int n)
{
    for (int i = 0; i < n; i++) {
        rt_nic_free(nics[i]);
    }
    rt_vm_stop(vm);
}

/* -- Pacing ---------------------------------------------------------------- */

/*
 * n frames leave at t + k * L / C exactly, whether L / C is a whole number of
 * nanoseconds or not.
 */
static void test_pacing(const void *opaque)
{
    static const struct {
        size_t sent_bytes;
        unsigned tags;
        size_t wire_bytes;
    } frames[] = {
        { 1514, 0, 1538 }, { 1000, 0, 1024 }, { 999, 0, 1023 },
        { 60, 0, 84 }, { 46, 0, 84 }, { 64, 1, 88 }, { 61, 0, 85 },
        { 333, 0, 357 }, { 1522, 2, 1546 }, { 777, 0, 801 },
    };
    uint64_t rate_bps = *(const uint64_t *)opaque;
    RtVm *vm = rt_vm_start(1, "-object edf-scheduler,id=s0,rate-bps=%" PRIu64
                           " " VIRTIO_NET("4", "n0", "p0", ""), rate_bps);
    RtNic *nic = rt_nic_start(vm, FIRST_SLOT);
    uint64_t start_ns = vm->now_ns, wire_bytes = 0;
    uint8_t frame[RT_FRAME_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        send_frame(nic, frames[i].sent_bytes, frames[i].tags, i);
    }
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        uint64_t at_ns = start_ns + wire_ns(wire_bytes, rate_bps);

        g_assert_cmpuint(rt_wire_expect(vm, 0, at_ns, frame), ==,
                         frames[i].sent_bytes);
        g_assert_cmpuint(rt_frame_number(frame), ==, i);
        wire_bytes += frames[i].wire_bytes;
    }
    g_assert_cmpuint(rt_sched_get(vm, "s0", "sent"), ==, ARRAY_SIZE(frames));
    g_assert_cmpuint(rt_sched_get(vm, "s0", "sent-wire-bytes"), ==, wire_bytes);
    stop(vm, &nic, 1);
}

/* A rtvnic's frame occupies the link with padding and trailer. */
static void test_pacing_trailer(void)
{
    static const struct {
        size_t sent_bytes;
        unsigned tags;
        size_t left_bytes;
    } frames[] = {
        { 46, 0, 60 + 32 }, { 50, 1, 64 + 32 }, { 500, 0, 500 + 32 },
        { 1482, 0, 1482 + 32 }, { 64, 1, 64 + 32 }, { 61, 0, 61 + 32 },
    };
    RtVm *vm = rt_vm_start(1, "-object edf-scheduler,id=s0,rate-bps=8000000 "
                           RTVNIC("4", "n0", "r0", ",deadline-us=100000"));
    RtNic *nic = rt_nic_start(vm, FIRST_SLOT);
    uint64_t at_ns = vm->now_ns;
    uint8_t frame[RT_FRAME_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        send_frame(nic, frames[i].sent_bytes, frames[i].tags, i);
    }
    for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
        size_t bytes = rt_wire_expect(vm, 0, at_ns, frame);

        g_assert_cmpuint(bytes, ==, frames[i].left_bytes);
        at_ns += wire_ns(bytes + RT_OVERHEAD_BYTES, RATE_8M);
    }
    stop(vm, &nic, 1);
}

/* Idle time earns no credit: after it, too, frames are L / C apart. */
static void test_pacing_after_idle(void)
{
    RtVm *vm = rt_vm_start(1, "-object edf-scheduler,id=s0,rate-bps=8000000 "
                           VIRTIO_NET("4", "n0", "p0", ""));
    RtNic *nic = rt_nic_start(vm, FIRST_SLOT);
    uint8_t frame[RT_FRAME_MAX];

    for (int burst = 0; burst < 3; burst++) {
        uint64_t start_ns = vm->now_ns;

        for (int i = 0; i < 5; i++) {
            send_frame(nic, 60, 0, i);
        }
        for (int i = 0; i < 5; i++) {
            rt_wire_expect(vm, 0, start_ns + i * 84 * RT_US, frame);
        }
        rt_step_to(vm, vm->now_ns + 84 * RT_US + burst * 700 * RT_US);
    }
    stop(vm, &nic, 1);
}

/* Without a rate everything leaves at the time it is sent. */
static void test_unpaced(void)
{
    RtVm *vm = rt_vm_start(1, "-object edf-scheduler,id=s0 "
                           VIRTIO_NET("4", "n0", "p0", ""));
    RtNic *nic = rt_nic_start(vm, FIRST_SLOT);
    uint64_t start_ns = vm->now_ns;
    uint8_t frame[RT_FRAME_MAX];

    for (int i = 0; i < 5; i++) {
        send_frame(nic, 1514, 0, i);
    }
    for (int i = 0; i < 5; i++) {
        rt_wire_expect(vm, 0, start_ns, frame);
        g_assert_cmpuint(rt_frame_number(frame), ==, i);
    }
    stop(vm, &nic, 1);
}

/* -- Order ----------------------------------------------------------------- */

typedef struct OrderCase {
    const char *policy;
    /* Frames in the order in which they shall leave, as their index below. */
    unsigned order[8];
} OrderCase;

/*
 * Three rtvnics (deadlines 30, 10 and 20 ms) and an ordinary NIC, all on a link
 * that is busy when they send.
 */
static void test_order(const void *opaque)
{
    static const struct {
        unsigned nic;
        uint64_t after_us;
    } arrivals[8] = {
        { 3, 0 },       /* 0: best effort */
        { 0, 10 },      /* 1: due 30.010 ms */
        { 2, 20 },      /* 2: due 20.020 ms */
        { 1, 30 },      /* 3: due 10.030 ms */
        { 1, 30 },      /* 4: due 10.030 ms */
        { 2, 40 },      /* 5: due 20.040 ms */
        { 3, 50 },      /* 6: best effort */
        { 0, 60 },      /* 7: due 30.060 ms */
    };
    const OrderCase *c = opaque;
    RtVm *vm = rt_vm_start(4, "-object edf-scheduler,id=s0,rate-bps=8000000,"
                           "policy=%s "
                           RTVNIC("4", "n0", "r0", ",deadline-us=30000")
                           RTVNIC("5", "n1", "r1", ",deadline-us=10000")
                           RTVNIC("6", "n2", "r2", ",deadline-us=20000")
                           VIRTIO_NET("7", "n3", "p3", ""), c->policy);
    RtNic *nics[NICS];
    uint8_t frame[RT_FRAME_MAX];
    uint64_t start_ns, at_ns;

    start_nics(vm, nics, NICS);
    start_ns = vm->now_ns;
    send_frame(nics[3], 1514, 0, 99);
    rt_wire_expect(vm, 3, start_ns, frame);
    for (size_t i = 0; i < ARRAY_SIZE(arrivals); i++) {
        rt_step_to(vm, start_ns + arrivals[i].after_us * RT_US);
        send_frame(nics[arrivals[i].nic], RT_BYTES, 0, i);
    }

    at_ns = start_ns + 1538 * RT_US;
    for (size_t i = 0; i < ARRAY_SIZE(arrivals); i++) {
        unsigned wire = arrivals[c->order[i]].nic;
        size_t bytes = rt_wire_expect(vm, wire, at_ns, frame);

        g_assert_cmpuint(rt_frame_number(frame), ==, c->order[i]);
        at_ns += (bytes + RT_OVERHEAD_BYTES) * RT_US;
    }
    rt_wire_expect_none(vm, at_ns + 10 * RT_MS);
    for (int i = 0; i < 3; i++) {
        g_autofree char *id = g_strdup_printf("r%d", i);

        g_assert_cmpuint(rt_port_counter(vm, id, "late"), ==, 0);
    }
    stop(vm, nics, NICS);
}

/* Equal deadlines at equal times leave as they came; one source keeps order. */
static void test_ties(void)
{
    static const unsigned arrivals[] = { 2, 0, 1, 1, 0, 2, 0 };
    RtVm *vm = rt_vm_start(3, "-object edf-scheduler,id=s0,rate-bps=8000000 "
                           RTVNIC("4", "n0", "r0", ",deadline-us=10000")
                           RTVNIC("5", "n1", "r1", ",deadline-us=10000")
                           RTVNIC("6", "n2", "r2", ",deadline-us=10000"));
    uint8_t frame[RT_FRAME_MAX];
    RtNic *nics[3];
    uint64_t start_ns;

    start_nics(vm, nics, 3);
    start_ns = vm->now_ns;
    for (size_t i = 0; i < ARRAY_SIZE(arrivals); i++) {
        send_frame(nics[arrivals[i]], RT_BYTES, 0, i);
    }
    for (size_t i = 0; i < ARRAY_SIZE(arrivals); i++) {
        rt_wire_expect(vm, arrivals[i], start_ns + i * RT_WIRE_BYTES * RT_US,
                       frame);
        g_assert_cmpuint(rt_frame_number(frame), ==, i);
    }
    stop(vm, nics, 3);
}

/* What was promised goes before what only asks, whatever the deadlines. */
static void test_bands(void)
{
    static const unsigned order[] = { 2, 1, 0 };
    RtVm *vm = rt_vm_start(3, "-object edf-scheduler,id=s0,rate-bps=8000000 "
                           VIRTIO_NET("4", "n0", "p0", "")
                           VIRTIO_NET("5", "n1", "p1", ",deadline-us=2000")
                           RTVNIC("6", "n2", "r2", ",deadline-us=50000,"
                                  "period-us=50000,max-frame-bytes=100"));
    uint64_t at_ns = RT_START_NS;
    uint8_t frame[RT_FRAME_MAX];
    RtNic *nics[3];

    start_nics(vm, nics, 3);
    send_frame(nics[0], 1514, 0, 99);
    rt_wire_expect(vm, 0, at_ns, frame);
    for (int i = 0; i < 3; i++) {
        send_frame(nics[i], RT_BYTES, 0, i);
    }
    at_ns += 1538 * RT_US;
    for (int i = 0; i < 3; i++) {
        size_t bytes = rt_wire_expect(vm, order[i], at_ns, frame);

        at_ns += (bytes + RT_OVERHEAD_BYTES) * RT_US;
    }
    stop(vm, nics, 3);
}

/*
 * r0 sends three times what it declared.  The excess waits until after r1's
 * frame, whose deadline is later than that of r0's first; and what was not
 * promised goes before it, until 5 ms before the excess would have been due to
 * come.
 */
static void test_policing(void)
{
    static const struct {
        unsigned wire;
        unsigned number;
    } order[] = {
        { 0, 1 }, { 1, 4 }, { 2, 5 }, { 3, 6 }, { 3, 7 },
        { 0, 2 },               /* 5.082 ms */
        { 3, 8 }, { 3, 9 },
        { 0, 3 },               /* 8.314 ms: nobody else waits */
    };
    RtVm *vm = rt_vm_start(4, "-object edf-scheduler,id=s0,rate-bps=8000000 "
                           RTVNIC("4", "n0", "r0", ",deadline-us=5000,"
                                  "period-us=10000,max-frame-bytes=100")
                           RTVNIC("5", "n1", "r1", ",deadline-us=8000,"
                                  "period-us=10000,max-frame-bytes=100")
                           RTVNIC("6", "n2", "r2", ",deadline-us=4000")
                           VIRTIO_NET("7", "n3", "p3", ""));
    uint64_t at_ns = RT_START_NS;
    uint8_t frame[RT_FRAME_MAX];
    RtNic *nics[NICS];

    start_nics(vm, nics, NICS);
    send_frame(nics[3], 1514, 0, 0);
    rt_wire_expect(vm, 3, at_ns, frame);
    send_frame(nics[0], RT_BYTES, 0, 1);
    send_frame(nics[0], RT_BYTES, 0, 2);
    send_frame(nics[0], RT_BYTES, 0, 3);
    send_frame(nics[1], RT_BYTES, 0, 4);
    send_frame(nics[2], RT_BYTES, 0, 5);
    for (unsigned number = 6; number <= 9; number++) {
        send_frame(nics[3], 1514, 0, number);
    }
    at_ns += 1538 * RT_US;
    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        size_t bytes = rt_wire_expect(vm, order[i].wire, at_ns, frame);

        g_assert_cmpuint(rt_frame_number(frame), ==, order[i].number);
        at_ns += (bytes + RT_OVERHEAD_BYTES) * RT_US;
    }
    g_assert_cmpuint(rt_port_counter(vm, "r0", "postponed"), ==, 2);
    g_assert_cmpuint(rt_port_counter(vm, "r1", "postponed"), ==, 0);

    /* A period after the last one was due to come, nothing is left of it. */
    rt_step_to(vm, RT_START_NS + 30 * RT_MS);
    send_frame(nics[0], RT_BYTES, 0, 10);
    g_assert_cmpuint(rt_port_counter(vm, "r0", "postponed"), ==, 2);
    stop(vm, nics, NICS);
}

/* -- What is promised ------------------------------------------------------ */

/*
 * The longest frame starts just before an admitted one comes: that is the worst
 * case, it is what was promised, and not a nanosecond more.
 */
static void test_worst_delay(void)
{
    RtVm *vm = rt_vm_start(2, "-object edf-scheduler,id=s0,rate-bps=10000000 "
                           VIRTIO_NET("4", "n0", "p0", "")
                           RTVNIC("5", "n1", "r1", ",deadline-us=3000,"
                                  "period-us=10000,max-frame-bytes=200"));
    uint64_t blocking_ns = wire_ns(LONGEST_WIRE_BYTES, 10000000);
    uint8_t frame[RT_FRAME_MAX];
    RtNic *nics[2];
    uint64_t promised_us;
    size_t bytes;

    start_nics(vm, nics, 2);
    for (int round = 0; round < 5; round++) {
        uint64_t start_ns = vm->now_ns;

        for (int i = 0; i < 4; i++) {
            send_frame(nics[0], LONGEST_BYTES, 2, i);
        }
        rt_wire_expect(vm, 0, start_ns, frame);
        send_frame(nics[1], 200, 0, round);
        rt_wire_expect(vm, 1, start_ns + blocking_ns, frame);
        for (int i = 0; i < 3; i++) {
            g_assert_cmpuint(rt_wire_next(vm, frame, &bytes), ==, 0);
        }
        rt_step_to(vm, start_ns + 10 * RT_MS);
    }

    promised_us = rt_port_get(vm, "r1", "promised-delay-us");
    g_assert_cmpuint(promised_us, ==, DIV_ROUND_UP(blocking_ns, 1000));
    g_assert_cmpuint(rt_port_hist(vm, "r1", "queueing-delay", "max-ns"), ==,
                     blocking_ns);
    g_assert_cmpuint(rt_port_hist(vm, "r1", "queueing-delay", "count"), ==, 5);
    g_assert_cmpuint(rt_port_counter(vm, "r1", "late"), ==, 0);
    g_assert_cmpuint(rt_sched_hist(vm, "s0", "wake-late", "max-ns"), ==, 0);
    g_assert_cmpuint(rt_sched_hist(vm, "s0", "wake-late", "count"), ==, 25);
    stop(vm, nics, 2);
}

/* A contract that the scheduler may or may not admit, at 10 Mbit/s. */
typedef struct Flow {
    uint64_t period_us;
    uint64_t deadline_us;
    uint32_t bytes;
    uint64_t next_ns;
    unsigned sent;
} Flow;

static bool plug_random_flow(RtVm *vm, int i, Flow *f)
{
    g_autofree char *id = g_strdup_printf("r%d", i);
    g_autofree char *netdev = g_strdup_printf("n%d", i);
    g_autofree char *addr = g_strdup_printf("%d", FIRST_SLOT + i);
    g_autoptr(QDict) answer = NULL;

    *f = (Flow) {
        .period_us = g_test_rand_int_range(2000, 12000),
        .deadline_us = g_test_rand_int_range(1500, 10000),
        .bytes = g_test_rand_int_range(64, 1483),
    };
    answer = qtest_qmp(vm->qts, "{ 'execute': 'device_add', 'arguments': {"
                       " 'driver': 'rtvnic', 'id': %s, 'netdev': %s,"
                       " 'scheduler': 's0', 'addr': %s,"
                       " 'deadline-us': %" PRIu64 ", 'period-us': %" PRIu64 ","
                       " 'max-frame-bytes': %u } }", id, netdev, addr,
                       f->deadline_us, f->period_us, f->bytes);
    return qdict_haskey(answer, "return");
}

static void drain(RtVm *vm)
{
    uint8_t frame[RT_FRAME_MAX];

    for (unsigned i = 0; i < vm->wires; i++) {
        while (rt_wire_receive(vm, i, frame)) {
        }
    }
}

/* All flows start together, just after the longest frame, and keep pace. */
static void run_flows(RtVm *vm, Flow *flows, RtNic **nics)
{
    uint64_t end_ns = vm->now_ns + 60 * RT_MS;

    send_frame(nics[3], LONGEST_BYTES, 2, 0);
    for (int i = 0; i < 3; i++) {
        flows[i].next_ns = vm->now_ns;
    }
    for (;;) {
        Flow *f = &flows[0];

        for (int i = 1; i < 3; i++) {
            f = flows[i].next_ns < f->next_ns ? &flows[i] : f;
        }
        if (f->next_ns >= end_ns) {
            break;
        }
        rt_step_to(vm, f->next_ns);
        while (rt_nic_unsent(nics[3]) < 2) {
            send_frame(nics[3], LONGEST_BYTES, 2, 0);
        }
        send_frame(nics[f - flows], f->bytes, 0, f->sent++);
        f->next_ns += f->period_us * RT_US;
        drain(vm);
    }
    rt_step_to(vm, vm->now_ns + 12 * RT_MS);
    drain(vm);
}

static void test_admitted_sets(void)
{
    for (int set = 0; set < (g_test_slow() ? 200 : 15); set++) {
        RtVm *vm = rt_vm_start(4, "-object edf-scheduler,id=s0,"
                               "rate-bps=10000000,queue-pkts=8 "
                               VIRTIO_NET("7", "n3", "p3", ""));
        RtNic *nics[NICS];
        Flow flows[3];

        for (int i = 0; i < 3; i++) {
            while (!plug_random_flow(vm, i, &flows[i])) {
            }
        }
        start_nics(vm, nics, NICS);
        run_flows(vm, flows, nics);
        for (int i = 0; i < 3; i++) {
            g_autofree char *id = g_strdup_printf("r%d", i);

            g_assert_cmpuint(rt_port_counter(vm, id, "sent"), ==,
                             flows[i].sent);
            g_assert_cmpuint(rt_port_counter(vm, id, "late"), ==, 0);
            g_assert_cmpuint(rt_port_counter(vm, id, "postponed"), ==, 0);
            g_assert_cmpuint(rt_port_hist(vm, id, "queueing-delay", "max-ns"),
                             <=, rt_port_get(vm, id, "promised-delay-us") *
                                 RT_US);
        }
        stop(vm, nics, NICS);
    }
}

/* -- Late frames ----------------------------------------------------------- */

/*
 * Two frames come 300 us before their deadlines end, behind one of 1538 us.
 * With late=drop the link is free for the next frame at once.
 */
static void test_late(const void *opaque)
{
    bool drop = g_str_equal(opaque, "drop");
    RtVm *vm = rt_vm_start(2, "-object edf-scheduler,id=s0,rate-bps=8000000 "
                           VIRTIO_NET("4", "n0", "p0", "")
                           RTVNIC("5", "n1", "r1", ",deadline-us=300,late=%s"),
                           (const char *)opaque);
    uint64_t at_ns = RT_START_NS;
    uint8_t frame[RT_FRAME_MAX];
    RtTrailerFields t;
    RtNic *nics[2];

    start_nics(vm, nics, 2);
    send_frame(nics[0], 1514, 0, 0);
    rt_wire_expect(vm, 0, at_ns, frame);
    send_frame(nics[1], RT_BYTES, 0, 1);
    send_frame(nics[0], 60, 0, 2);
    at_ns += 1538 * RT_US;
    rt_step_to(vm, at_ns - 300 * RT_US);
    send_frame(nics[1], RT_BYTES, 0, 3);

    if (!drop) {
        rt_trailer_read(frame, rt_wire_expect(vm, 1, at_ns, frame), &t);
        g_assert_cmpuint(rt_frame_number(frame), ==, 1);
        g_assert_cmphex(t.flags & RT_FLAG_LATE, ==, RT_FLAG_LATE);
        at_ns += RT_WIRE_BYTES * RT_US;
    }
    /* Frame 3 is due at the very moment the link was to be free. */
    rt_trailer_read(frame, rt_wire_expect(vm, 1, at_ns, frame), &t);
    g_assert_cmpuint(rt_frame_number(frame), ==, 3);
    g_assert_cmphex(t.flags & RT_FLAG_LATE, ==, drop ? 0 : RT_FLAG_LATE);
    at_ns += RT_WIRE_BYTES * RT_US;
    rt_wire_expect(vm, 0, at_ns, frame);

    g_assert_cmpuint(rt_port_counter(vm, "r1", "late"), ==, drop ? 0 : 2);
    g_assert_cmpuint(rt_port_drops(vm, "r1", "late"), ==, drop ? 1 : 0);
    g_assert_cmpuint(rt_port_counter(vm, "r1", "sent"), ==, drop ? 1 : 2);
    stop(vm, nics, 2);
}

int main(int argc, char **argv)
{
    static const uint64_t rates_bps[] = { RATE_8M, 7000003, 999999937 };
    static const OrderCase orders[] = {
        { "edf", { 3, 4, 2, 5, 1, 7, 0, 6 } },
        { "strict", { 1, 2, 3, 4, 5, 7, 0, 6 } },
        { "fifo", { 0, 1, 2, 3, 4, 5, 6, 7 } },
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(rates_bps); i++) {
        g_autofree char *path =
            g_strdup_printf("rtnet/edf/pacing/%" PRIu64, rates_bps[i]);

        qtest_add_data_func(path, &rates_bps[i], test_pacing);
    }
    qtest_add_func("rtnet/edf/pacing/trailer", test_pacing_trailer);
    qtest_add_func("rtnet/edf/pacing/after-idle", test_pacing_after_idle);
    qtest_add_func("rtnet/edf/pacing/none", test_unpaced);
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        g_autofree char *path =
            g_strdup_printf("rtnet/edf/order/%s", orders[i].policy);

        qtest_add_data_func(path, &orders[i], test_order);
    }
    qtest_add_func("rtnet/edf/order/ties", test_ties);
    qtest_add_func("rtnet/edf/order/bands", test_bands);
    qtest_add_func("rtnet/edf/order/policing", test_policing);
    qtest_add_func("rtnet/edf/promise/worst-delay", test_worst_delay);
    qtest_add_func("rtnet/edf/promise/admitted-sets", test_admitted_sets);
    qtest_add_data_func("rtnet/edf/late/send", "send", test_late);
    qtest_add_data_func("rtnet/edf/late/drop", "drop", test_late);
    return g_test_run();
}
