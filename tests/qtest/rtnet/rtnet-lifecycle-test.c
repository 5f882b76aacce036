/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports, NICs and netdevs that go and come back while frames are under way,
 * and what else may be plugged where.
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <glib/gstdio.h>
#include "rtnet-frames.h"
#include "rtnet-libqos.h"

#define SLOT 4
#define BYTES 1000

#define SCHEDULER "-object edf-scheduler,id=s0,rate-bps=8000000 "
#define RTVNIC "-device rtvnic,id=v0,netdev=n0,scheduler=s0,addr=4 "
#define PORT_AND_NIC \
    "-object edf-port,id=p0,netdev=n0,scheduler=s0 " \
    "-device virtio-net-pci,id=v0,netdev=p0,queue_reset=off,addr=4 "

static void expect_error(QDict *answer)
{
    g_assert_true(qdict_haskey(answer, "error"));
    qobject_unref(answer);
}

static void send_to_guest(RtVm *vm, uint32_t from, uint32_t to)
{
    RtFrameSpec spec = { .bytes = BYTES };
    uint8_t frame[BYTES];

    for (spec.number = from; spec.number < to; spec.number++) {
        rt_frame_make(&spec, frame);
        rt_wire_send(vm, 0, frame, BYTES);
    }
    rt_settle(vm);
}

/* A NIC is removed that has taken none of the frames that came for it. */
static void test_unplug_receiving(const void *opaque)
{
    bool rtvnic = opaque;
    RtVm *vm = rt_vm_start(1, SCHEDULER "%s", rtvnic ? RTVNIC : PORT_AND_NIC);
    uint8_t frame[RT_FRAME_MAX];
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint32_t number = 0;

    rt_nic_reset(nic);
    send_to_guest(vm, 0, 5);
    qpci_unplug_acpi_device_test(vm->qts, "v0", SLOT);
    rt_nic_free(nic);
    rt_settle(vm);

    if (rtvnic) {
        qtest_qmp_device_add(vm->qts, "rtvnic", "v0",
                             "{ 'netdev': 'n0', 'scheduler': 's0',"
                             "  'addr': '4' }");
    } else {
        qtest_qmp_device_add(vm->qts, "virtio-net-pci", "v0",
                             "{ 'netdev': 'p0', 'addr': '4',"
                             "  'queue_reset': false }");
    }
    nic = rt_nic_start(vm, SLOT);
    send_to_guest(vm, 5, 6);
    while (number != 5) {
        g_assert_cmpuint(rt_nic_receive(nic, frame), >=, BYTES);
        number = rt_frame_number(frame);
    }
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

/* PCI refuses the device after its own realize succeeded. */
static void test_add_fails_late(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER);
    RtNic *nic;
    uint8_t frame[RT_FRAME_MAX];

    for (int i = 0; i < 3; i++) {
        expect_error(qtest_qmp(vm->qts, "{ 'execute': 'device_add',"
                               " 'arguments': { 'driver': 'rtvnic', 'id': 'v0',"
                               "  'netdev': 'n0', 'scheduler': 's0',"
                               "  'addr': '4', 'romfile': 'no-such-rom' } }"));
        rt_settle(vm);
    }
    qtest_qmp_device_add(vm->qts, "rtvnic", "v0",
                         "{ 'netdev': 'n0', 'scheduler': 's0', 'addr': '4',"
                         "  'romfile': '' }");
    nic = rt_nic_start(vm, SLOT);
    send_to_guest(vm, 0, 1);
    g_assert_cmpuint(rt_nic_receive(nic, frame), ==, BYTES);
    rt_nic_free(nic);
    rt_vm_stop(vm);
}

static void add_hubport(RtVm *vm, const char *id, int hub)
{
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'netdev_add',"
                             " 'arguments': { 'type': 'hubport', 'id': %s,"
                             "                'hubid': %d } }", id, hub);
}

static void del_netdev(RtVm *vm, const char *id)
{
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'netdev_del',"
                             " 'arguments': { 'id': %s } }", id);
}

/* A netdev's id comes again while a NIC still has the one that had it before. */
static void test_netdev_id_again(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER);
    RtNic *nic;
    uint8_t frame[RT_FRAME_MAX];

    add_hubport(vm, "h", 0);
    qtest_qmp_device_add(vm->qts, "rtvnic", "a",
                         "{ 'netdev': 'h', 'scheduler': 's0', 'addr': '5' }");
    del_netdev(vm, "h");
    add_hubport(vm, "h", 1);
    add_hubport(vm, "other", 1);
    qtest_qmp_device_add(vm->qts, "rtvnic", "v0",
                         "{ 'netdev': 'h', 'scheduler': 's0', 'addr': '4' }");
    qtest_qmp_device_add(vm->qts, "rtvnic", "c",
                         "{ 'netdev': 'other', 'scheduler': 's0',"
                         "  'addr': '6' }");
    qpci_unplug_acpi_device_test(vm->qts, "a", 5);
    rt_settle(vm);

    /* The second one still reaches the third over their hub. */
    nic = rt_nic_start(vm, SLOT);
    rt_frame_make(&(RtFrameSpec) { .bytes = BYTES }, frame);
    rt_nic_send(nic, frame, BYTES);
    rt_step_to(vm, vm->now_ns + 10 * RT_MS);
    g_assert_cmpuint(rt_port_counter(vm, "v0", "sent"), ==, 1);
    g_assert_cmpuint(rt_port_counter(vm, "c", "received"), ==, 1);
    rt_nic_free(nic);

    qpci_unplug_acpi_device_test(vm->qts, "v0", SLOT);
    qpci_unplug_acpi_device_test(vm->qts, "c", 6);
    del_netdev(vm, "h");
    del_netdev(vm, "other");
    rt_vm_stop(vm);
}

/* What is plugged into a port need not be a NIC. */
static void test_hub_on_port(void)
{
    RtVm *vm = rt_vm_start(1, SCHEDULER
                           "-object edf-port,id=p0,netdev=n0,scheduler=s0");

    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'netdev_add',"
                             " 'arguments': { 'type': 'hubport', 'id': 'h',"
                             "                'hubid': 0, 'netdev': 'p0' } }");
    qtest_qmp_device_add(vm->qts, "virtio-net-pci", "v0", "{ 'addr': '4' }");
    expect_error(qtest_qmp(vm->qts, "{ 'execute': 'object-del',"
                           " 'arguments': { 'id': 'p0' } }"));
    del_netdev(vm, "h");
    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'object-del',"
                             " 'arguments': { 'id': 'p0' } }");
    rt_vm_stop(vm);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)),
                    ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

/*
 * The peer of a stream goes away while the stream is full.  QEMU is the client,
 * because a stream that it accepts blocks QEMU instead.
 */
static void test_stream_peer_leaves(void)
{
    g_autofree char *dir = g_dir_make_tmp("rtnet-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "stream", NULL);
    int listener = listen_at(path);
    RtVm *vm = rt_vm_start(1, "-object edf-scheduler,id=s0,queue-pkts=4 "
                           "-netdev stream,id=x,addr.type=unix,addr.path=%s "
                           "-device rtvnic,id=v0,netdev=x,scheduler=s0,addr=4",
                           path);
    int peer = accept(listener, NULL, NULL);
    RtNic *nic = rt_nic_start(vm, SLOT);
    uint8_t frame[BYTES];

    g_assert_cmpint(peer, >=, 0);
    rt_frame_make(&(RtFrameSpec) { .bytes = BYTES }, frame);
    for (int i = 0; i < 2000 && !rt_nic_unsent(nic); i++) {
        rt_nic_send(nic, frame, BYTES);
    }
    g_assert_cmpuint(rt_nic_unsent(nic), >, 0);
    g_assert_cmpuint(rt_port_get(vm, "v0", "queued"), ==, 4);

    close(peer);
    rt_settle(vm);
    rt_step_to(vm, vm->now_ns + 500 * RT_MS);
    g_assert_cmpuint(rt_nic_unsent(nic), ==, 0);
    g_assert_cmpuint(rt_port_get(vm, "v0", "queued"), ==, 0);
    g_assert_cmpuint(rt_port_drops(vm, "v0", "link-down"), >=, 5);

    rt_nic_free(nic);
    rt_vm_stop(vm);
    close(listener);
    g_unlink(path);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("rtnet/lifecycle/unplug-receiving/edf-port", NULL,
                        test_unplug_receiving);
    qtest_add_data_func("rtnet/lifecycle/unplug-receiving/rtvnic", "rtvnic",
                        test_unplug_receiving);
    qtest_add_func("rtnet/lifecycle/add-fails-late", test_add_fails_late);
    qtest_add_func("rtnet/lifecycle/netdev-id-again", test_netdev_id_again);
    qtest_add_func("rtnet/lifecycle/hub-on-port", test_hub_on_port);
    qtest_add_func("rtnet/lifecycle/stream-peer-leaves",
                   test_stream_peer_leaves);
    return g_test_run();
}
