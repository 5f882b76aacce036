/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens when more is sent than may leave: full queues, backends that
 * take nothing, and everything that may interrupt that: stop, reset, removal,
 * a link that goes down.
 *
 * The link takes 1 us per byte; most frames are 100 bytes, 124 on the link.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "rtnet-frames.h"
#include "rtnet-libqos.h"

#define SLOT 4
#define BYTES 100
#define FRAME_NS ((BYTES + RT_OVERHEAD_BYTES) * RT_US)
#define QUEUE_PKTS 4
#define LINK_STATUS_OFFSET 6        /* in virtio-net's configuration */
#define LINK_UP 1

#define SCHEDULER(options) \
    "-object edf-scheduler,id=s0,rate-bps=8000000" options " "

#define VIRTIO_NET(n) \
    "-object edf-port,id=p" #n ",netdev=n" #n ",scheduler=s0 " \
    "-device virtio-net-pci,id=v" #n ",netdev=p" #n ",queue_reset=off" \
    ",addr=" SLOT_##n " "
#define SLOT_0 "4"
#define SLOT_1 "5"

static void post_frames(RtNic *nic, uint32_t from, uint32_t to)
{
    RtFrameSpec spec = { .bytes = BYTES };
    uint8_t frame[BYTES];

    for (spec.number = from; spec.number < to; spec.number++) {
        rt_frame_make(&spec, frame);
        rt_nic_post(nic, frame, BYTES);
    }
    rt_nic_kick(nic);
    rt_settle(nic->vm);
}

/* Frames @from to @to - 1 leave, the first at @at_ns, then one each L / C. */
static void expect_frames(RtVm *vm, unsigned wire, uint32_t from, uint32_t to,
                          uint64_t at_ns)
{
    uint8_t frame[RT_FRAME_MAX];

    for (uint32_t i = from; i < to; i++, at_ns += FRAME_NS) {
        rt_wire_expect(vm, wire, at_ns, frame);
        g_assert_cmpuint(rt_frame_number(frame), ==, i);
    }
}

/* -- A full queue ---------------------------------------------------------- */

/* A virtio-net keeps in its ring what finds no room, and loses nothing. */
static void test_virtio_waits(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-pkts=4") VIRTIO_NET(0));
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint64_t start_ns = vm->now_ns;

    post_frames(nic, 0, 20);
    for (unsigned left = 1; left <= 20; left++) {
        unsigned queued = MIN(20 - left, QUEUE_PKTS);

        expect_frames(vm, 0, left - 1, left, start_ns + (left - 1) * FRAME_NS);
        g_assert_cmpuint(rt_port_get(vm, "p0", "queued"), ==, queued);
        g_assert_cmpuint(rt_nic_unsent(nic), ==, 20 - left - queued);
    }
    rt_wire_expect_none(vm, vm->now_ns + 10 * FRAME_NS);
    g_assert_cmpuint(rt_port_counter(vm, "p0", "sent"), ==, 20);
    g_assert_cmpuint(rt_port_drops(vm, "p0", "queue-full"), ==, 0);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* queue-bytes: another frame comes in while less than that waits. */
static void test_queue_bytes(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-bytes=250") VIRTIO_NET(0));
    RtNic *nic = rt_nic_start(vm, SLOT);

    post_frames(nic, 0, 10);
    g_assert_cmpuint(rt_port_get(vm, "p0", "queued"), ==, 3);
    g_assert_cmpuint(rt_nic_unsent(nic), ==, 6);
    expect_frames(vm, 0, 0, 10, RT_START_NS);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* An rtvnic in the ring is stamped when it is taken, not when it finds room. */
static void test_delay_counts_from_ring(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-pkts=1")
                           "-device rtvnic,id=r0,netdev=n0,scheduler=s0,"
                           "deadline-us=10000,addr=4");
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint64_t step_ns = FRAME_NS + RT_TRAILER_BYTES * RT_US;
    uint8_t frame[RT_FRAME_MAX];
    RtTrailerFields t;

    /* 0 leaves, 1 is queued, 2 is taken from the ring and waits. */
    post_frames(nic, 0, 4);
    for (unsigned i = 0; i < 4; i++) {
        rt_trailer_read(frame, rt_wire_expect(vm, 0, RT_START_NS + i * step_ns,
                                              frame), &t);
        g_assert_cmpuint(rt_frame_number(frame), ==, i);
        /* 3 is taken when 2 finds room, which is when 1 leaves. */
        g_assert_cmpuint(t.sent_ns, ==, RT_START_NS + (i == 3 ? step_ns : 0));
    }
    g_assert_cmpuint(rt_port_hist(vm, "r0", "queueing-delay", "max-ns"), ==,
                     2 * step_ns);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* e1000's transmit registers and the command bits of its descriptors. */
enum {
    E1000_TCTL = 0x400, E1000_TCTL_EN = 2,
    E1000_TDBAL = 0x3800, E1000_TDLEN = 0x3808,
    E1000_TDH = 0x3810, E1000_TDT = 0x3818,
    E1000_CMD_EOP = 1,
    E1000_DESC_BYTES = 16,
};

static void e1000_send(RtVm *vm, int slot, unsigned count)
{
    QPCIDevice *pci = qpci_device_find(&vm->pci.bus, QPCI_DEVFN(slot, 0));
    uint64_t ring = guest_alloc(&vm->alloc, 4096);
    uint64_t buffers = guest_alloc(&vm->alloc, count * BYTES);
    uint8_t frame[BYTES];
    QPCIBar bar;

    qpci_device_enable(pci);
    bar = qpci_iomap(pci, 0, NULL);
    for (unsigned i = 0; i < count; i++) {
        RtFrameSpec spec = { .bytes = BYTES, .number = i };
        uint64_t desc[2] = {
            cpu_to_le64(buffers + i * BYTES),
            cpu_to_le64(BYTES | (uint64_t)E1000_CMD_EOP << 24),
        };

        rt_frame_make(&spec, frame);
        qtest_memwrite(vm->qts, buffers + i * BYTES, frame, BYTES);
        qtest_memwrite(vm->qts, ring + i * E1000_DESC_BYTES, desc,
                       sizeof(desc));
    }
    qpci_io_writel(pci, bar, E1000_TDBAL, ring);
    qpci_io_writel(pci, bar, E1000_TDLEN, 4096);
    qpci_io_writel(pci, bar, E1000_TDH, 0);
    qpci_io_writel(pci, bar, E1000_TCTL, E1000_TCTL_EN);
    qpci_io_writel(pci, bar, E1000_TDT, count);
    rt_settle(vm);
    g_free(pci);
}

/* Any other NIC reports frames as sent at once: what finds no room is lost. */
static void test_other_nic_drops(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-pkts=4")
                           "-object edf-port,id=p0,netdev=n0,scheduler=s0 "
                           "-device e1000,netdev=p0,addr=4");

    e1000_send(vm, SLOT, 10);
    expect_frames(vm, 0, 0, QUEUE_PKTS, RT_START_NS);
    rt_wire_expect_none(vm, vm->now_ns + 10 * FRAME_NS);
    g_assert_cmpuint(rt_port_counter(vm, "p0", "sent"), ==, QUEUE_PKTS);
    g_assert_cmpuint(rt_port_drops(vm, "p0", "queue-full"), ==,
                     10 - QUEUE_PKTS);
    rt_vm_stop(vm);
}

/* -- A backend that takes nothing ------------------------------------------ */

/*
 * One frame lies beyond the scheduler, the others wait; the other port goes on.
 */
static void test_backend_full(void)
{
    RtVm *vm = rt_vm_start(2, SCHEDULER(",queue-pkts=4")
                           VIRTIO_NET(0) VIRTIO_NET(1));
    RtNic *blocked = rt_nic_start(vm, SLOT);
    RtNic *other = rt_nic_start(vm, SLOT + 1);
    uint64_t start_ns = vm->now_ns, queued;

    rt_wire_block(vm, 0);
    post_frames(blocked, 0, 10);
    post_frames(other, 0, 3);
    /* The frame that was tried has used its time on the link. */
    expect_frames(vm, 1, 0, 3, start_ns + FRAME_NS);
    rt_wire_expect_none(vm, vm->now_ns + 20 * FRAME_NS);
    g_assert_cmpuint(rt_port_counter(vm, "p0", "sent"), ==, 0);
    queued = rt_port_get(vm, "p0", "queued");
    g_assert_cmpuint(queued, <=, QUEUE_PKTS);
    g_assert_cmpuint(rt_nic_unsent(blocked) + queued + 1, ==, 10);

    start_ns = vm->now_ns;
    rt_wire_unblock(vm, 0);
    expect_frames(vm, 0, 0, 1, start_ns);
    expect_frames(vm, 0, 1, 10, start_ns);
    rt_wire_expect_none(vm, vm->now_ns + 10 * FRAME_NS);
    g_assert_cmpuint(rt_port_counter(vm, "p0", "sent"), ==, 10);
    g_assert_cmpuint(rt_nic_unsent(blocked), ==, 0);
    rt_nic_free(other);
    rt_nic_free(blocked);
    rt_vm_stop(vm);
}

/* -- Interruptions --------------------------------------------------------- */

/*
 * A stopped VM's ring is taken completely, so that nothing in it is in flight;
 * nothing leaves before it continues.
 */
static void test_stop(const void *opaque)
{
    bool backend_full = opaque;
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-pkts=4") VIRTIO_NET(0));
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint32_t first = backend_full ? 0 : 1;
    uint64_t resume_ns;

    if (backend_full) {
        rt_wire_block(vm, 0);
    }
    post_frames(nic, 0, 20);
    expect_frames(vm, 0, 0, first, vm->now_ns);
    g_assert_cmpuint(rt_nic_unsent(nic), >, 0);

    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'stop' }");
    g_assert_cmpuint(rt_nic_unsent(nic), ==, 0);
    g_assert_cmpuint(rt_port_get(vm, "p0", "queued"), ==, 20 - first);
    rt_wire_unblock(vm, 0);
    rt_wire_expect_none(vm, vm->now_ns);

    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'cont' }");
    resume_ns = vm->now_ns + FRAME_NS;
    if (backend_full) {
        /* It had its time on the link before: the next is not held up. */
        expect_frames(vm, 0, 0, 1, resume_ns);
        first = 1;
    }
    expect_frames(vm, 0, first, 20, resume_ns);
    rt_wire_expect_none(vm, vm->now_ns + 10 * FRAME_NS);
    g_assert_cmpuint(rt_port_counter(vm, "p0", "sent"), ==, 20);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

typedef struct ResetCase {
    const char *name;
    bool system;
    bool backend_full;
} ResetCase;

/*
 * A reset takes what is still in the ring; what was taken from it leaves once.
 * The NIC then works as before.
 */
static void test_reset(const void *opaque)
{
    const ResetCase *c = opaque;
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-pkts=4") VIRTIO_NET(0));
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint64_t start_ns = vm->now_ns;
    uint8_t frame[RT_FRAME_MAX];

    if (c->backend_full) {
        rt_wire_block(vm, 0);
    }
    post_frames(nic, 0, 20);
    if (c->system) {
        qtest_system_reset(vm->qts);
    } else {
        rt_nic_reset(nic);
    }
    rt_nic_free(nic);
    rt_settle(vm);
    rt_wire_unblock(vm, 0);
    expect_frames(vm, 0, 0, 1, start_ns);
    expect_frames(vm, 0, 1, 1 + QUEUE_PKTS, start_ns + FRAME_NS);
    rt_wire_expect_none(vm, vm->now_ns + 10 * FRAME_NS);

    nic = rt_nic_start(vm, SLOT);
    start_ns = vm->now_ns;
    post_frames(nic, 100, 120);
    expect_frames(vm, 0, 100, 120, start_ns);
    g_assert_cmpuint(rt_wire_receive(vm, 0, frame), ==, 0);
    g_assert_cmpuint(rt_port_drops(vm, "p0", "queue-full"), ==, 0);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* All of it can be removed while frames wait, and made anew. */
static void test_unplug(const void *opaque)
{
    bool backend_full = opaque;
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-pkts=4") VIRTIO_NET(0));
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint8_t frame[RT_FRAME_MAX];
    uint64_t start_ns;

    if (backend_full) {
        rt_wire_block(vm, 0);
    }
    post_frames(nic, 0, 20);
    qpci_unplug_acpi_device_test(vm->qts, "v0", SLOT);
    rt_nic_free(nic);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'object-del',"
                             " 'arguments': { 'id': 'p0' } }");
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'object-del',"
                             " 'arguments': { 'id': 's0' } }");
    rt_wire_unblock(vm, 0);
    while (rt_wire_receive(vm, 0, frame)) {
    }
    rt_wire_expect_none(vm, vm->now_ns + 30 * FRAME_NS);

    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'object-add', 'arguments':"
                             " { 'qom-type': 'edf-scheduler', 'id': 's0',"
                             "   'rate-bps': 8000000 } }");
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'object-add', 'arguments':"
                             " { 'qom-type': 'edf-port', 'id': 'p0',"
                             "   'netdev': 'n0', 'scheduler': 's0' } }");
    qtest_qmp_device_add(vm->qts, "virtio-net-pci", "v0",
                         "{ 'netdev': 'p0', 'addr': '4',"
                         "  'queue_reset': false }");
    nic = rt_nic_start(vm, SLOT);
    start_ns = vm->now_ns;
    post_frames(nic, 0, 5);
    expect_frames(vm, 0, 0, 5, start_ns);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/*
 * Another NIC at the same port, after the first left while it waited.  A reset
 * makes the NIC try once more: the queue has room since a frame is in flight.
 */
static void test_replug(const void *opaque)
{
    bool reset_first = opaque;
    unsigned taken_pkts = QUEUE_PKTS + reset_first;
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-pkts=4") VIRTIO_NET(0));
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint8_t frame[RT_FRAME_MAX];
    uint64_t start_ns = vm->now_ns;

    rt_wire_block(vm, 0);
    post_frames(nic, 0, 20);
    if (reset_first) {
        rt_nic_reset(nic);
    }
    qpci_unplug_acpi_device_test(vm->qts, "v0", SLOT);
    rt_nic_free(nic);
    qtest_qmp_device_add(vm->qts, "virtio-net-pci", "v0",
                         "{ 'netdev': 'p0', 'addr': '4',"
                         "  'queue_reset': false }");
    rt_settle(vm);
    rt_wire_unblock(vm, 0);
    expect_frames(vm, 0, 0, 1, start_ns);
    expect_frames(vm, 0, 1, taken_pkts, start_ns + FRAME_NS);
    rt_wire_expect_none(vm, vm->now_ns + 10 * FRAME_NS);

    nic = rt_nic_start(vm, SLOT);
    start_ns = vm->now_ns;
    post_frames(nic, 100, 120);
    expect_frames(vm, 0, 100, 120, start_ns);
    g_assert_cmpuint(rt_wire_receive(vm, 0, frame), ==, 0);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* The same for an rtvnic, whose port goes with it. */
static void test_unplug_rtvnic(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-pkts=4")
                           "-device rtvnic,id=r0,netdev=n0,scheduler=s0,"
                           "deadline-us=1000,addr=4");
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint8_t frame[RT_FRAME_MAX];

    post_frames(nic, 0, 20);
    qpci_unplug_acpi_device_test(vm->qts, "r0", SLOT);
    rt_nic_free(nic);
    while (rt_wire_receive(vm, 0, frame)) {
    }
    rt_wire_expect_none(vm, vm->now_ns + 40 * FRAME_NS);

    qtest_qmp_device_add(vm->qts, "rtvnic", "r0",
                         "{ 'netdev': 'n0', 'scheduler': 's0', 'addr': '4' }");
    nic = rt_nic_start(vm, SLOT);
    post_frames(nic, 7, 8);
    g_assert_cmpuint(rt_wire_expect(vm, 0, vm->now_ns, frame), ==,
                     BYTES + RT_TRAILER_BYTES);
    g_assert_cmpuint(rt_frame_number(frame), ==, 7);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* -- The link -------------------------------------------------------------- */

static bool link_is_up(RtNic *nic)
{
    return qvirtio_config_readw(&nic->dev->vdev, LINK_STATUS_OFFSET) & LINK_UP;
}

static void set_link(RtVm *vm, const char *name, bool up)
{
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'set_link', 'arguments':"
                             " { 'name': %s, 'up': %i } }", name, up);
}

/* The netdev's link is the NIC's: what is sent while it is down is lost. */
static void test_link_down(const void *opaque)
{
    const char *netdev_or_port = opaque;
    RtVm *vm = rt_vm_start(1, SCHEDULER("") VIRTIO_NET(0));
    RtNic *nic = rt_nic_start(vm, SLOT);

    g_assert_true(link_is_up(nic));
    set_link(vm, netdev_or_port, false);
    g_assert_false(link_is_up(nic));
    post_frames(nic, 0, 5);
    rt_wire_expect_none(vm, vm->now_ns + 10 * FRAME_NS);
    g_assert_cmpuint(rt_nic_unsent(nic), ==, 0);

    set_link(vm, netdev_or_port, true);
    g_assert_true(link_is_up(nic));
    post_frames(nic, 5, 10);
    expect_frames(vm, 0, 5, 10, vm->now_ns);

    set_link(vm, "v0", false);
    g_assert_false(link_is_up(nic));
    set_link(vm, "v0", true);
    g_assert_true(link_is_up(nic));
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* A netdev may go under its port: the link goes down, what waits is dropped. */
static void test_netdev_del(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER(",queue-pkts=4") VIRTIO_NET(0));
    RtNic *nic = rt_nic_start(vm, SLOT);

    post_frames(nic, 0, 20);
    expect_frames(vm, 0, 0, 1, vm->now_ns);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'netdev_del',"
                             " 'arguments': { 'id': 'n0' } }");
    g_assert_false(link_is_up(nic));
    rt_step_to(vm, vm->now_ns + 40 * FRAME_NS);
    g_assert_cmpuint(rt_port_counter(vm, "p0", "sent"), ==, 1);
    g_assert_cmpuint(rt_port_get(vm, "p0", "queued"), ==, 0);
    g_assert_cmpuint(rt_port_drops(vm, "p0", "link-down"), >=, QUEUE_PKTS);
    g_assert_cmpuint(rt_nic_unsent(nic), ==, 0);

    qpci_unplug_acpi_device_test(vm->qts, "v0", SLOT);
    rt_nic_free(nic);
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'object-del',"
                             " 'arguments': { 'id': 'p0' } }");
    rt_vm_stop(vm);
}

int main(int argc, char **argv)
{
    static const ResetCase resets[] = {
        { "device", false, false },
        { "device-backend-full", false, true },
        { "system", true, false },
        { "system-backend-full", true, true },
    };

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("rtnet/pressure/queue/virtio-waits", test_virtio_waits);
    qtest_add_func("rtnet/pressure/queue/bytes", test_queue_bytes);
    qtest_add_func("rtnet/pressure/queue/delay-from-ring",
                   test_delay_counts_from_ring);
    if (qtest_has_device("e1000")) {
        qtest_add_func("rtnet/pressure/queue/e1000-drops",
                       test_other_nic_drops);
    }
    qtest_add_func("rtnet/pressure/backend-full", test_backend_full);
    qtest_add_data_func("rtnet/pressure/stop/queue-full", NULL, test_stop);
    qtest_add_data_func("rtnet/pressure/stop/backend-full", "", test_stop);
    for (size_t i = 0; i < ARRAY_SIZE(resets); i++) {
        g_autofree char *path =
            g_strdup_printf("rtnet/pressure/reset/%s", resets[i].name);

        qtest_add_data_func(path, &resets[i], test_reset);
    }
    qtest_add_data_func("rtnet/pressure/unplug/queue-full", NULL, test_unplug);
    qtest_add_data_func("rtnet/pressure/unplug/backend-full", "", test_unplug);
    qtest_add_data_func("rtnet/pressure/unplug/replug", NULL, test_replug);
    qtest_add_data_func("rtnet/pressure/unplug/reset-replug", "", test_replug);
    qtest_add_func("rtnet/pressure/unplug/rtvnic", test_unplug_rtvnic);
    qtest_add_data_func("rtnet/pressure/link/netdev", "n0", test_link_down);
    qtest_add_data_func("rtnet/pressure/link/port", "p0", test_link_down);
    qtest_add_func("rtnet/pressure/link/netdev-del", test_netdev_del);
    return g_test_run();
}
