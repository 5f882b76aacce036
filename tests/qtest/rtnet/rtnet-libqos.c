/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include <glib/gstdio.h>
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_net.h"
#include "standard-headers/linux/virtio_pci.h"
#include "rtnet-libqos.h"

#define VNET_HDR_BYTES sizeof(struct virtio_net_hdr_v1)
#define BUFFER_BYTES (RT_FRAME_MAX + VNET_HDR_BYTES)
#define RING_SIZE 64
#define RX_BUFFERS 32
#define DEVFN(slot) ((slot) << 3)

/* -- The VM and its clock -------------------------------------------------- */

RtVm *rt_vm_start(unsigned wires, const char *fmt, ...)
{
    /* Bottom halves rather than eventfds, so that rt_settle() is enough. */
    g_autoptr(GString) args = g_string_new(
        "-machine pc -nodefaults -m 64 -global pci-device.romfile= "
        "-global virtio-net-pci.ioeventfd=off ");
    RtVm *vm = g_new0(RtVm, 1);
    va_list ap;

    g_assert_cmpuint(wires, <=, RT_WIRES_MAX);
    vm->wires = wires;
    for (unsigned i = 0; i < wires; i++) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), ==, 0);
        vm->test_fd[i] = fds[0];
        vm->qemu_fd[i] = fds[1];
        qemu_set_cloexec(fds[0]);
        g_string_append_printf(args, "-netdev dgram,id=n%u,local.type=fd,"
                               "local.str=%d ", i, fds[1]);
    }
    vm->base_options = g_strdup(args->str);
    va_start(ap, fmt);
    vm->options = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_string_append(args, vm->options);

    vm->qts = qtest_init(args->str);
    pc_alloc_init(&vm->alloc, vm->qts, ALLOC_NO_FLAGS);
    qpci_init_pc(&vm->pci, vm->qts, &vm->alloc);
    rt_step_to(vm, RT_START_NS);
    return vm;
}

void rt_vm_stop(RtVm *vm)
{
    qtest_quit(vm->qts);
    alloc_destroy(&vm->alloc);
    for (unsigned i = 0; i < vm->wires; i++) {
        close(vm->test_fd[i]);
        close(vm->qemu_fd[i]);
    }
    g_free(vm->base_options);
    g_free(vm->options);
    g_free(vm);
}

void rt_settle(RtVm *vm)
{
    /*
     * Each reply comes from a turn of the main loop of its own; the first may
     * be the turn that schedules what the second does.
     */
    for (int turn = 0; turn < 2; turn++) {
        qtest_qmp_assert_success(vm->qts, "{ 'execute': 'query-status' }");
    }
}

void rt_step_to(RtVm *vm, uint64_t at_ns)
{
    if (at_ns > vm->now_ns) {
        vm->now_ns = qtest_clock_set(vm->qts, at_ns);
        g_assert_cmpuint(vm->now_ns, ==, at_ns);
    }
    rt_settle(vm);
}

/* -- Another QEMU for the same VM ------------------------------------------ */

QTestState *rt_vm_twin(RtVm *vm, const char *options, const char *stderr_path,
                       uint64_t now_ns)
{
    g_autoptr(GString) args = g_string_new(vm->base_options);
    QTestState *twin;

    g_string_append_printf(args, "%s -incoming defer",
                           options ?: vm->options);
    if (stderr_path) {
        /* A shell starts QEMU. */
        g_string_append_printf(args, " 2>%s", stderr_path);
    }
    twin = qtest_init(args->str);
    /* Announcements come when the host's clock says so. */
    qtest_qmp_assert_success(twin, "{ 'execute': 'migrate-set-parameters',"
                             " 'arguments': { 'announce-rounds': 0 } }");
    g_assert_cmpuint(qtest_clock_set(twin, now_ns), ==, now_ns);
    return twin;
}

char *rt_migration_wait(QTestState *qts)
{
    for (;;) {
        g_autoptr(QDict) info =
            qtest_qmp_assert_success_ref(qts, "{ 'execute': 'query-migrate' }");
        const char *status = qdict_get_try_str(info, "status") ?: "none";

        if (g_str_equal(status, "completed") || g_str_equal(status, "failed") ||
            g_str_equal(status, "cancelled") ||
            g_str_equal(status, "pre-switchover")) {
            return g_strdup(status);
        }
        g_usleep(1000);
    }
}

static bool migration_completes(QTestState *qts)
{
    g_autofree char *status = rt_migration_wait(qts);

    return g_str_equal(status, "completed");
}

void rt_vm_save(RtVm *vm, const char *path)
{
    g_autofree char *uri = g_strdup_printf("file:%s", path);

    qtest_qmp_assert_success(vm->qts, "{ 'execute': 'migrate',"
                             " 'arguments': { 'uri': %s } }", uri);
    g_assert_true(migration_completes(vm->qts));
}

bool rt_twin_load(QTestState *twin, const char *path)
{
    g_autofree char *uri = g_strdup_printf("file:%s", path);

    qtest_qmp_assert_success(twin, "{ 'execute': 'migrate-incoming',"
                             " 'arguments': { 'uri': %s,"
                             "                'exit-on-error': false } }", uri);
    return migration_completes(twin);
}

char *rt_twin_error(QTestState *twin)
{
    QDict *info = qtest_qmp_assert_success_ref(twin,
                                               "{ 'execute': 'query-migrate' }");
    char *text = g_strdup(qdict_get_try_str(info, "error-desc") ?: "");

    qobject_unref(info);
    return text;
}

void rt_vm_move_to(RtVm *vm, QTestState *twin, uint64_t now_ns)
{
    qtest_quit(vm->qts);
    vm->qts = twin;
    vm->pci.bus.qts = twin;
    vm->now_ns = now_ns;
    rt_settle(vm);
}

void rt_vm_migrate(RtVm *vm, uint64_t now_ns)
{
    g_autofree char *path = rt_temp_path("vm");
    QTestState *twin = rt_vm_twin(vm, NULL, NULL, now_ns);

    rt_vm_save(vm, path);
    g_assert_true(rt_twin_load(twin, path));
    g_assert_cmpint(g_unlink(path), ==, 0);
    rt_vm_move_to(vm, twin, now_ns);
}

char *rt_temp_path(const char *what)
{
    static unsigned number;

    return g_strdup_printf("%s/rtnet-%d-%u.%s", g_get_tmp_dir(), getpid(),
                           number++, what);
}

char *rt_file_take(const char *path)
{
    char *text;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpint(g_unlink(path), ==, 0);
    return text;
}

/* -- Rings ----------------------------------------------------------------- */

static void ring_setup(RtNic *nic, RtRing *ring, uint16_t index)
{
    QVirtioPCIDevice *dev = nic->dev;
    RtVm *vm = nic->vm;

    dev->vdev.bus->queue_select(&dev->vdev, index);
    qpci_io_writew(dev->pdev, dev->bar, dev->common_cfg_offset +
                   offsetof(struct virtio_pci_common_cfg, queue_size),
                   RING_SIZE);
    ring->vq = qvirtqueue_setup(&dev->vdev, &vm->alloc, index);
    g_assert_cmpuint(ring->vq->size, ==, RING_SIZE);
    ring->buffers = guest_alloc(&vm->alloc, ring->vq->size * BUFFER_BYTES);
}

static uint16_t ring_used(const RtNic *nic, const RtRing *ring)
{
    return qtest_readw(nic->vm->qts, ring->vq->used + 2);
}

static uint64_t ring_buffer(const RtRing *ring, unsigned slot)
{
    return ring->buffers + slot * BUFFER_BYTES;
}

/* Slot i of the ring always has descriptor and buffer i. */
static void ring_post(const RtNic *nic, RtRing *ring, uint32_t bytes,
                      uint16_t flags)
{
    QTestState *qts = nic->vm->qts;
    uint16_t slot = ring->posted % ring->vq->size;
    struct vring_desc desc = {
        .addr = cpu_to_le64(ring_buffer(ring, slot)),
        .len = cpu_to_le32(bytes),
        .flags = cpu_to_le16(flags),
    };

    qtest_memwrite(qts, ring->vq->desc + slot * sizeof(desc), &desc,
                   sizeof(desc));
    qtest_writew(qts, ring->vq->avail + 4 + 2 * slot, slot);
    qtest_writew(qts, ring->vq->avail + 2, ++ring->posted);
}

static void ring_kick(RtNic *nic, RtRing *ring)
{
    QVirtioDevice *vdev = &nic->dev->vdev;

    if (!(qtest_readw(nic->vm->qts, ring->vq->used) & VRING_USED_F_NO_NOTIFY)) {
        vdev->bus->virtqueue_kick(vdev, ring->vq);
    }
}

static void ring_free(RtNic *nic, RtRing *ring)
{
    guest_free(&nic->vm->alloc, ring->buffers);
    qvirtqueue_cleanup(nic->dev->vdev.bus, ring->vq, &nic->vm->alloc);
}

/* -- NICs ------------------------------------------------------------------ */

RtNic *rt_nic_start(RtVm *vm, int slot)
{
    QPCIAddress addr = { .devfn = DEVFN(slot) };
    RtNic *nic = g_new0(RtNic, 1);
    QVirtioDevice *vdev;

    nic->vm = vm;
    nic->dev = virtio_pci_new(&vm->pci.bus, &addr);
    g_assert_nonnull(nic->dev);
    vdev = &nic->dev->vdev;
    qvirtio_pci_device_enable(nic->dev);
    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, qvirtio_get_features(vdev) &
                               (1ull << VIRTIO_F_VERSION_1 |
                                1ull << VIRTIO_NET_F_STATUS |
                                1ull << VIRTIO_NET_F_MAC |
                                1ull << VIRTIO_NET_F_MTU));
    ring_setup(nic, &nic->rx, 0);
    ring_setup(nic, &nic->tx, 1);
    qvirtio_set_driver_ok(vdev);
    for (int i = 0; i < RX_BUFFERS; i++) {
        ring_post(nic, &nic->rx, BUFFER_BYTES, VRING_DESC_F_WRITE);
    }
    ring_kick(nic, &nic->rx);
    rt_settle(vm);
    return nic;
}

void rt_nic_reset(RtNic *nic)
{
    qvirtio_reset(&nic->dev->vdev);
    rt_settle(nic->vm);
}

void rt_nic_free(RtNic *nic)
{
    ring_free(nic, &nic->tx);
    ring_free(nic, &nic->rx);
    qvirtio_pci_destructor(&nic->dev->obj);
    g_free(nic->dev);
    g_free(nic);
}

void rt_nic_post(RtNic *nic, const void *frame, size_t bytes)
{
    g_autofree uint8_t *buffer = g_malloc0(VNET_HDR_BYTES + bytes);
    unsigned slot = nic->tx.posted % nic->tx.vq->size;

    g_assert_cmpuint(bytes, <=, RT_FRAME_MAX);
    g_assert_cmpuint(rt_nic_unsent(nic), <, nic->tx.vq->size);
    memcpy(buffer + VNET_HDR_BYTES, frame, bytes);
    qtest_bufwrite(nic->vm->qts, ring_buffer(&nic->tx, slot), buffer,
                   VNET_HDR_BYTES + bytes);
    ring_post(nic, &nic->tx, VNET_HDR_BYTES + bytes, 0);
}

void rt_nic_kick(RtNic *nic)
{
    ring_kick(nic, &nic->tx);
}

void rt_nic_send(RtNic *nic, const void *frame, size_t bytes)
{
    rt_nic_post(nic, frame, bytes);
    rt_nic_kick(nic);
    rt_settle(nic->vm);
}

unsigned rt_nic_unsent(RtNic *nic)
{
    return (uint16_t)(nic->tx.posted - ring_used(nic, &nic->tx));
}

size_t rt_nic_receive(RtNic *nic, uint8_t *frame)
{
    QTestState *qts = nic->vm->qts;
    RtRing *ring = &nic->rx;
    uint16_t slot = ring->seen % ring->vq->size;
    uint32_t bytes;

    if (ring_used(nic, ring) == ring->seen) {
        return 0;
    }
    bytes = qtest_readl(qts, ring->vq->used + 4 +
                             slot * sizeof(struct vring_used_elem) + 4);
    g_assert_cmpuint(bytes, >, VNET_HDR_BYTES);
    bytes -= VNET_HDR_BYTES;
    qtest_bufread(qts, ring_buffer(ring, slot) + VNET_HDR_BYTES, frame, bytes);
    ring->seen++;
    ring_post(nic, ring, BUFFER_BYTES, VRING_DESC_F_WRITE);
    ring_kick(nic, ring);
    return bytes;
}

/* -- Wires ----------------------------------------------------------------- */

size_t rt_wire_receive(RtVm *vm, unsigned wire, uint8_t *frame)
{
    ssize_t bytes = recv(vm->test_fd[wire], frame, RT_FRAME_MAX, MSG_DONTWAIT);

    if (bytes < 0) {
        g_assert_cmpint(errno, ==, EAGAIN);
        return 0;
    }
    return bytes;
}

static int any_wire(RtVm *vm, uint8_t *frame, size_t *bytes)
{
    for (unsigned i = 0; i < vm->wires; i++) {
        *bytes = vm->fillers[i] ? 0 : rt_wire_receive(vm, i, frame);
        if (*bytes) {
            return i;
        }
    }
    return -1;
}

unsigned rt_wire_next(RtVm *vm, uint8_t *frame, size_t *bytes)
{
    uint64_t until_ns = vm->now_ns + 1000 * RT_MS;

    for (;;) {
        int wire = any_wire(vm, frame, bytes);

        if (wire < 0) {
            rt_settle(vm);
            wire = any_wire(vm, frame, bytes);
        }
        if (wire >= 0) {
            return wire;
        }
        g_assert_cmpuint(vm->now_ns, <, until_ns);
        vm->now_ns = qtest_clock_step_next(vm->qts);
    }
}

size_t rt_wire_expect(RtVm *vm, unsigned wire, uint64_t at_ns, uint8_t *frame)
{
    size_t bytes = 0;

    g_assert_cmpuint(at_ns, >=, vm->now_ns);
    if (at_ns > vm->now_ns) {
        rt_wire_expect_none(vm, at_ns - 1);
        rt_step_to(vm, at_ns);
    }
    g_assert_cmpint(any_wire(vm, frame, &bytes), ==, wire);
    return bytes;
}

void rt_wire_expect_none(RtVm *vm, uint64_t until_ns)
{
    uint8_t frame[RT_FRAME_MAX];
    size_t bytes;

    rt_step_to(vm, until_ns);
    g_assert_cmpint(any_wire(vm, frame, &bytes), ==, -1);
}

void rt_wire_send(RtVm *vm, unsigned wire, const void *frame, size_t bytes)
{
    g_assert_cmpint(send(vm->test_fd[wire], frame, bytes, 0), ==, bytes);
    rt_settle(vm);
}

void rt_wire_block(RtVm *vm, unsigned wire)
{
    static const uint8_t filler;

    while (send(vm->qemu_fd[wire], &filler, 1, MSG_DONTWAIT) == 1) {
        vm->fillers[wire]++;
    }
    g_assert_cmpint(errno, ==, EAGAIN);
    g_assert_cmpuint(vm->fillers[wire], >, 0);
}

void rt_wire_unblock(RtVm *vm, unsigned wire)
{
    uint8_t frame[RT_FRAME_MAX];

    for (; vm->fillers[wire] > 0; vm->fillers[wire]--) {
        g_assert_cmpuint(rt_wire_receive(vm, wire, frame), ==, 1);
    }
    rt_settle(vm);
}

/* -- What query-rtnet says ------------------------------------------------- */

/* Member @list of its answer's element @id. */
static QDict *query(RtVm *vm, const char *list, const char *id)
{
    g_autoptr(QDict) info =
        qtest_qmp_assert_success_ref(vm->qts, "{ 'execute': 'query-rtnet' }");
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, list), entry) {
        QDict *element = qobject_to(QDict, qlist_entry_obj(entry));

        if (g_str_equal(qdict_get_str(element, "id"), id)) {
            return qobject_ref(element);
        }
    }
    g_error("query-rtnet has no '%s' in %s", id, list);
}

static uint64_t get_uint(const QDict *dict, const char *name)
{
    uint64_t value;

    g_assert_true(qdict_haskey(dict, name));
    g_assert_true(qnum_get_try_uint(qobject_to(QNum, qdict_get(dict, name)),
                                    &value));
    return value;
}

static uint64_t get_counter(RtVm *vm, const char *id, const char *list,
                            const char *name)
{
    g_autoptr(QDict) port = query(vm, "ports", id);
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(port, list), entry) {
        QDict *counter = qobject_to(QDict, qlist_entry_obj(entry));

        if (g_str_equal(qdict_get_str(counter, "name"), name)) {
            return get_uint(counter, "value");
        }
    }
    g_error("port '%s' has no '%s' in %s", id, name, list);
}

uint64_t rt_port_get(RtVm *vm, const char *id, const char *name)
{
    g_autoptr(QDict) port = query(vm, "ports", id);

    return get_uint(port, name);
}

uint64_t rt_port_counter(RtVm *vm, const char *id, const char *name)
{
    return get_counter(vm, id, "counters", name);
}

uint64_t rt_port_drops(RtVm *vm, const char *id, const char *reason)
{
    return get_counter(vm, id, "drops", reason);
}

uint64_t rt_port_hist(RtVm *vm, const char *id, const char *hist,
                      const char *name)
{
    g_autoptr(QDict) port = query(vm, "ports", id);

    return get_uint(qdict_get_qdict(port, hist), name);
}

uint64_t rt_sched_get(RtVm *vm, const char *id, const char *name)
{
    g_autoptr(QDict) sched = query(vm, "schedulers", id);

    return get_uint(sched, name);
}

uint64_t rt_sched_hist(RtVm *vm, const char *id, const char *hist,
                       const char *name)
{
    g_autoptr(QDict) sched = query(vm, "schedulers", id);

    return get_uint(qdict_get_qdict(sched, hist), name);
}
