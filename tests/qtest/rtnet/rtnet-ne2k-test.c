/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtvnic-ne2k, driven by its registers: an NE2000 that cannot wait, knows no
 * MTU and must be given no frame that is too long for it.
 *
 * Threads: one.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "rtnet-frames.h"
#include "rtnet-libqos.h"

#define SLOT 4
#define QUEUE_PKTS 4
#define OPTIONS \
    "-object edf-scheduler,id=s0,rate-bps=8000000,queue-pkts=4 " \
    "-device rtvnic-ne2k,id=r0,netdev=n0,scheduler=s0,addr=4,dscp=46," \
    "deadline-us=20000,mac=02:52:54:00:00:01"

/* -- A driver ------------------------------------------------------------- */

enum {
    REG_CMD = 0x0,
    REG_START = 0x1,            /* page 0 */
    REG_STOP = 0x2,
    REG_BOUNDARY = 0x3,
    REG_TX_PAGE = 0x4,
    REG_TX_BYTES = 0x5,
    REG_DMA_ADDRESS = 0x8,
    REG_DMA_BYTES = 0xa,
    REG_RX_CONFIG = 0xc,
    REG_DATA_CONFIG = 0xe,
    REG_CURRENT = 0x7,          /* page 1 */
    REG_DATA = 0x10,

    CMD_STOP = 0x21,
    CMD_START = 0x22,
    CMD_START_PAGE1 = 0x62,
    CMD_READ = 0x0a,
    CMD_WRITE = 0x12,
    CMD_TRANSMIT = 0x26,

    RX_BROADCAST = 0x04,
    RX_PROMISCUOUS = 0x10,

    /* Of 256 bytes: one frame to send, then the ring. */
    TX_PAGE = 0x40,
    RX_FIRST_PAGE = 0x46,
    RX_STOP_PAGE = 0xc0,
    RX_HEADER_BYTES = 4,
};

typedef struct Ne2k {
    RtVm *vm;
    QPCIDevice *dev;
    QPCIBar bar;
    uint8_t next_page;          /* of the ring, to read */
} Ne2k;

static void reg_write(Ne2k *nic, unsigned reg, uint8_t value)
{
    qpci_io_writeb(nic->dev, nic->bar, reg, value);
}

static void reg_write16(Ne2k *nic, unsigned reg, uint16_t value)
{
    reg_write(nic, reg, value);
    reg_write(nic, reg + 1, value >> 8);
}

static Ne2k *ne2k_start(RtVm *vm)
{
    Ne2k *nic = g_new0(Ne2k, 1);

    nic->vm = vm;
    nic->dev = qpci_device_find(&vm->pci.bus, SLOT << 3);
    g_assert_nonnull(nic->dev);
    qpci_device_enable(nic->dev);
    nic->bar = qpci_iomap(nic->dev, 0, NULL);
    nic->next_page = RX_FIRST_PAGE;

    reg_write(nic, REG_CMD, CMD_STOP);
    reg_write(nic, REG_DATA_CONFIG, 0x49);
    reg_write(nic, REG_RX_CONFIG, RX_BROADCAST | RX_PROMISCUOUS);
    reg_write(nic, REG_START, RX_FIRST_PAGE);
    reg_write(nic, REG_STOP, RX_STOP_PAGE);
    reg_write(nic, REG_BOUNDARY, RX_FIRST_PAGE);
    reg_write(nic, REG_CMD, CMD_START_PAGE1);
    reg_write(nic, REG_CURRENT, RX_FIRST_PAGE);
    reg_write(nic, REG_CMD, CMD_START);
    return nic;
}

static void ne2k_free(Ne2k *nic)
{
    g_free(nic->dev);
    g_free(nic);
}

static void dma_start(Ne2k *nic, uint8_t command, uint16_t address,
                      uint16_t bytes)
{
    reg_write16(nic, REG_DMA_ADDRESS, address);
    reg_write16(nic, REG_DMA_BYTES, bytes);
    reg_write(nic, REG_CMD, command);
}

/* @data has room up to the next multiple of four. */
static void dma_read(Ne2k *nic, uint16_t address, uint8_t *data, size_t bytes)
{
    bytes = ROUND_UP(bytes, 4);
    dma_start(nic, CMD_READ, address, bytes);
    for (size_t i = 0; i < bytes; i += 4) {
        stl_le_p(data + i, qpci_io_readl(nic->dev, nic->bar, REG_DATA));
    }
    reg_write(nic, REG_CMD, CMD_START);
}

/* What is in the transmit buffer leaves the NIC. */
static void ne2k_transmit(Ne2k *nic, size_t bytes)
{
    reg_write(nic, REG_TX_PAGE, TX_PAGE);
    reg_write16(nic, REG_TX_BYTES, bytes);
    reg_write(nic, REG_CMD, CMD_TRANSMIT);
    rt_settle(nic->vm);
}

static void ne2k_send(Ne2k *nic, const RtFrameSpec *spec)
{
    uint8_t frame[RT_FRAME_MAX] = { 0 };
    size_t bytes = ROUND_UP(spec->bytes, 4);

    rt_frame_make(spec, frame);
    dma_start(nic, CMD_WRITE, TX_PAGE << 8, bytes);
    for (size_t i = 0; i < bytes; i += 4) {
        qpci_io_writel(nic->dev, nic->bar, REG_DATA, ldl_le_p(frame + i));
    }
    ne2k_transmit(nic, spec->bytes);
}

static uint8_t ne2k_current_page(Ne2k *nic)
{
    uint8_t page;

    reg_write(nic, REG_CMD, CMD_START_PAGE1);
    page = qpci_io_readb(nic->dev, nic->bar, REG_CURRENT);
    reg_write(nic, REG_CMD, CMD_START);
    return page;
}

/* The next received frame; 0 if there is none. */
static size_t ne2k_receive(Ne2k *nic, uint8_t *frame)
{
    uint8_t data[RT_FRAME_MAX];
    size_t bytes;

    rt_settle(nic->vm);
    if (ne2k_current_page(nic) == nic->next_page) {
        return 0;
    }
    dma_read(nic, nic->next_page << 8, data, RX_HEADER_BYTES);
    bytes = lduw_le_p(data + 2);
    g_assert_cmpuint(bytes, <=, RX_HEADER_BYTES + 1514);
    dma_read(nic, nic->next_page << 8, data, bytes);
    nic->next_page = data[1];
    reg_write(nic, REG_BOUNDARY, nic->next_page);
    memcpy(frame, data + RX_HEADER_BYTES, bytes - RX_HEADER_BYTES);
    return bytes - RX_HEADER_BYTES;
}

/* The MAC in the NIC's PROM, each byte twice, as after reset. */
static void check_prom(Ne2k *nic)
{
    static const uint8_t mac[] = { 0x02, 0x52, 0x54, 0x00, 0x00, 0x01 };
    uint8_t prom[32];

    dma_read(nic, 0, prom, sizeof(prom));
    for (size_t i = 0; i < sizeof(mac); i++) {
        g_assert_cmphex(prom[2 * i], ==, mac[i]);
        g_assert_cmphex(prom[2 * i + 1], ==, mac[i]);
    }
    g_assert_cmphex(prom[28], ==, 0x57);
    g_assert_cmphex(prom[30], ==, 0x57);
}

/* -- Out ------------------------------------------------------------------ */

static void test_transmit(void)
{
    static const size_t sizes[] = { 60, 100, 1000, 1482, 1483, 1514 };
    RtVm *vm = rt_vm_start(1, OPTIONS);
    Ne2k *nic = ne2k_start(vm);
    uint8_t frame[RT_FRAME_MAX], expected[RT_FRAME_MAX];
    uint32_t sequence = 0;

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        RtFrameSpec spec = { .bytes = sizes[i], .number = i, .dscp = 3 };
        bool room = sizes[i] + RT_TRAILER_BYTES <= 1514;
        uint64_t sent_ns = vm->now_ns;
        RtTrailerFields t;
        size_t bytes;

        ne2k_send(nic, &spec);
        g_assert_cmpuint(rt_wire_next(vm, frame, &bytes), ==, 0);
        if (room) {
            rt_trailer_read(frame, bytes, &t);
            g_assert_cmpuint(t.sent_ns, ==, sent_ns);
            g_assert_cmpuint(t.deadline_ns, ==, 20 * RT_MS);
            g_assert_cmpuint(t.sequence, ==, sequence++);
            g_assert_cmphex(t.source_id, ==, 0x54000001);
            g_assert_cmpuint(t.guest_dscp, ==, 3);
            bytes -= RT_TRAILER_BYTES;
        }
        spec.dscp = 46;
        rt_frame_make(&spec, expected);
        g_assert_cmpmem(frame, bytes, expected, sizes[i]);
        rt_step_to(vm, vm->now_ns + 10 * RT_MS);
    }
    g_assert_cmpuint(rt_port_counter(vm, "r0", "no-room"), ==, 2);
    g_assert_cmpuint(rt_port_counter(vm, "r0", "sent"), ==, ARRAY_SIZE(sizes));
    ne2k_free(nic);
    rt_vm_stop(vm);
}

static void send_numbers(Ne2k *nic, uint32_t from, uint32_t to)
{
    RtFrameSpec spec = { .bytes = 60 };

    for (spec.number = from; spec.number < to; spec.number++) {
        ne2k_send(nic, &spec);
    }
}

/* Frames @from to @to leave, and no other. */
static void expect_numbers(RtVm *vm, uint32_t from, uint32_t to)
{
    uint8_t frame[RT_FRAME_MAX];
    RtTrailerFields t;
    size_t bytes;

    for (uint32_t number = from; number < to; number++) {
        rt_wire_next(vm, frame, &bytes);
        g_assert_cmpuint(bytes, ==, 60 + RT_TRAILER_BYTES);
        g_assert_cmpuint(rt_frame_number(frame), ==, number);
        rt_trailer_read(frame, bytes, &t);
    }
    rt_wire_expect_none(vm, vm->now_ns + 10 * RT_MS);
}

/* One that the netdev has, a full queue; all others are dropped and counted. */
static void test_tail_drop(void)
{
    RtVm *vm = rt_vm_start(1, OPTIONS);
    Ne2k *nic = ne2k_start(vm);

    for (int again = 0; again < 2; again++) {
        rt_wire_block(vm, 0);
        send_numbers(nic, 0, 1 + QUEUE_PKTS + 7);
        g_assert_cmpuint(rt_port_get(vm, "r0", "queued"), ==, QUEUE_PKTS);
        g_assert_cmpuint(rt_port_drops(vm, "r0", "queue-full"), ==,
                         7 * (again + 1));
        rt_wire_unblock(vm, 0);
        expect_numbers(vm, 0, 1 + QUEUE_PKTS);
    }
    ne2k_free(nic);
    rt_vm_stop(vm);
}

static void test_unplug(void)
{
    RtVm *vm = rt_vm_start(1, OPTIONS);
    Ne2k *nic = ne2k_start(vm);

    for (int again = 0; again < 3; again++) {
        rt_wire_block(vm, 0);
        send_numbers(nic, 0, 10);
        g_assert_cmpuint(rt_port_get(vm, "r0", "queued"), ==, QUEUE_PKTS);
        qpci_unplug_acpi_device_test(vm->qts, "r0", SLOT);
        ne2k_free(nic);
        rt_wire_unblock(vm, 0);
        rt_wire_expect_none(vm, vm->now_ns + 10 * RT_MS);

        qtest_qmp_device_add(vm->qts, "rtvnic-ne2k", "r0",
                             "{ 'netdev': 'n0', 'scheduler': 's0', 'addr': '4',"
                             "  'deadline-us': 20000 }");
        nic = ne2k_start(vm);
        send_numbers(nic, 20, 22);
        expect_numbers(vm, 20, 22);
    }
    ne2k_free(nic);
    rt_vm_stop(vm);
}

static void test_migrate(void)
{
    RtVm *vm = rt_vm_start(1, OPTIONS);
    Ne2k *nic = ne2k_start(vm);

    rt_wire_block(vm, 0);
    send_numbers(nic, 0, 10);
    rt_vm_migrate(vm, 300 * RT_MS);
    rt_wire_unblock(vm, 0);
    expect_numbers(vm, 0, 1 + QUEUE_PKTS);
    send_numbers(nic, 10, 12);
    expect_numbers(vm, 10, 12);
    check_prom(nic);
    ne2k_free(nic);
    rt_vm_stop(vm);
}

/* -- In ------------------------------------------------------------------- */

/* Returns what of it the guest got. */
static size_t deliver(Ne2k *nic, size_t bytes, bool trailer)
{
    RtFrameSpec spec = { .bytes = bytes, .number = bytes, .dscp = 46 };
    RtTrailerFields t = {
        .sent_ns = nic->vm->now_ns, .version = 1, .guest_dscp = 9,
    };
    uint8_t frame[RT_FRAME_MAX + RT_TRAILER_BYTES], received[RT_FRAME_MAX];
    size_t left;

    rt_frame_make(&spec, frame);
    rt_wire_send(nic->vm, 0, frame,
                 trailer ? rt_trailer_append(frame, bytes, &t) : bytes);
    left = ne2k_receive(nic, received);
    if (left) {
        spec.dscp = trailer ? 9 : 46;
        rt_frame_make(&spec, frame);
        g_assert_cmpmem(received, left, frame, bytes);
        g_assert_cmpuint(ne2k_receive(nic, received), ==, 0);
    }
    return left;
}

static void test_receive(void)
{
    static const size_t sizes[] = { 60, 61, 100, 1000, 1481, 1482, 1513, 1514 };
    RtVm *vm = rt_vm_start(1, OPTIONS);
    Ne2k *nic = ne2k_start(vm);

    /* More than the ring holds, so that it wraps in frames of all sizes. */
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
            g_assert_cmpuint(deliver(nic, sizes[i], false), ==, sizes[i]);
            g_assert_cmpuint(deliver(nic, sizes[i], true), ==, sizes[i]);
        }
    }
    g_assert_cmpuint(rt_port_counter(vm, "r0", "trailers"), ==,
                     5 * ARRAY_SIZE(sizes));
    g_assert_cmpuint(rt_port_drops(vm, "r0", "rx-oversize"), ==, 0);
    check_prom(nic);
    ne2k_free(nic);
    rt_vm_stop(vm);
}

/* What is too long is dropped and counted, at any place of the ring. */
static void test_receive_guard(void)
{
    static const size_t sizes[] = { 1515, 1516, 1546, 2000, 4096, 9000 };
    RtVm *vm = rt_vm_start(1, OPTIONS);
    Ne2k *nic = ne2k_start(vm);
    uint64_t dropped = 0;

    for (int round = 0; round < 12; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
            g_assert_cmpuint(deliver(nic, sizes[i], i & 1), ==, 0);
            g_assert_cmpuint(rt_port_drops(vm, "r0", "rx-oversize"), ==,
                             ++dropped);
        }
        g_assert_cmpuint(deliver(nic, 1514, true), ==, 1514);
        check_prom(nic);
    }
    send_numbers(nic, 0, 3);
    expect_numbers(vm, 0, 3);
    ne2k_free(nic);
    rt_vm_stop(vm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("rtnet/ne2k/transmit", test_transmit);
    qtest_add_func("rtnet/ne2k/tail-drop", test_tail_drop);
    qtest_add_func("rtnet/ne2k/unplug", test_unplug);
    qtest_add_func("rtnet/ne2k/migrate", test_migrate);
    qtest_add_func("rtnet/ne2k/receive", test_receive);
    qtest_add_func("rtnet/ne2k/receive-guard", test_receive_guard);
    return g_test_run();
}
