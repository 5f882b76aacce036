/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netvm-shm as PCI sees it, its registers, its memory, and a guest that writes
 * where it should not.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "netvm-bed.h"

#define ALL NETVM_STATUS_CONNECTED | NETVM_STATUS_REGION | NETVM_STATUS_READY

/* -- PCI ------------------------------------------------------------------- */

static void test_identity(void)
{
    NetvmBed *bed = bed_start("");
    QPCIDevice *dev = bed->dev;

    g_assert_cmphex(qpci_config_readw(dev, PCI_VENDOR_ID), ==, 0x1af4);
    g_assert_cmphex(qpci_config_readw(dev, PCI_DEVICE_ID), ==, 0x10f0);
    g_assert_cmphex(qpci_config_readb(dev, PCI_REVISION_ID), ==, 1);
    g_assert_cmphex(qpci_config_readw(dev, PCI_CLASS_DEVICE), ==, 0x0500);
    g_assert_cmphex(qpci_config_readb(dev, PCI_INTERRUPT_PIN), ==, 1);
    g_assert_cmpuint(qpci_msix_table_size(dev), ==, NETVM_VECTORS);
    bed_stop(bed);
}

/* 32-bit registers, 32-bit MSI-X, and a 64-bit prefetchable window. */
static void test_bars(void)
{
    static const uint32_t expected[] = {
        0xfffff000, 0xfffff000, 0x0000000c, 0xfffffffe, 0, 0,
    };
    NetvmBed *bed = bed_start_bare("-device netvm-shm,chardev=c0,size=8G,"
                                   "addr=4");
    QPCIDevice *dev = qpci_device_find(&bed->pci.bus, QPCI_DEVFN(NB_SLOT, 0));

    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
        uint8_t reg = PCI_BASE_ADDRESS_0 + 4 * i;

        qpci_config_writel(dev, reg, UINT32_MAX);
        g_assert_cmphex(qpci_config_readl(dev, reg), ==, expected[i]);
    }
    g_free(dev);
    bed_stop(bed);
}

/* It lies where only 64 bits reach, and its end reads, too. */
static void test_high_window(void)
{
    const uint64_t base = UINT64_C(0x4000000000), size = UINT64_C(8) << 30;
    NetvmBed *bed = bed_start_bare("-device netvm-shm,chardev=c0,size=8G,"
                                   "addr=4");
    QPCIDevice *dev = qpci_device_find(&bed->pci.bus, QPCI_DEVFN(NB_SLOT, 0));

    qpci_config_writel(dev, PCI_BASE_ADDRESS_2, (uint32_t)base);
    qpci_config_writel(dev, PCI_BASE_ADDRESS_3, base >> 32);
    g_assert_cmphex(qtest_readl(bed->qts, base + size - 4), ==, 0);
    qpci_device_enable(dev);
    g_assert_cmphex(qtest_readl(bed->qts, base), ==, UINT32_MAX);
    g_assert_cmphex(qtest_readl(bed->qts, base + size - 4), ==, UINT32_MAX);
    g_free(dev);
    bed_stop(bed);
}

/* -- Registers ------------------------------------------------------------- */

/* What each register reads as; all that are not in @known read as 0. */
static void expect_registers(NetvmBed *bed, const uint32_t known[10])
{
    for (uint32_t reg = 0; reg < NETVM_REGISTERS_BYTES; reg += 4) {
        uint32_t expected = reg < 40 ? known[reg / 4] : 0;

        if (bed_read(bed, reg) != expected) {
            g_error("register 0x%x is not 0x%x", reg, expected);
        }
    }
}

static void test_reset_values(void)
{
    static const uint32_t without_daemon[10] = { 0x314d564e, 0x00010000 };
    g_autofree char *options = g_strdup_printf(
        "-chardev socket,id=c1,path=netvm-test-%d,abstract=on,server=on,"
        "wait=off -device netvm-shm,chardev=c1,size=16M,addr=4", getpid());
    NetvmBed *bed = bed_start_bare(options);

    bed_find(bed);
    expect_registers(bed, without_daemon);
    bed_stop(bed);
}

static void test_ready_values(void)
{
    static const uint32_t ready[10] = {
        0x314d564e, 0x00010000, ALL, 0, NB_MEMBER, NB_SERIAL,
        /* CONFIG is what READY has raised. */
        1 << NETVM_VECTOR_CONFIG, 0, 1, 1,
    };
    NetvmBed *bed = bed_start("");

    nd_serve(bed);
    expect_registers(bed, ready);
    bed_stop(bed);
}

static void write_everywhere(NetvmBed *bed)
{
    static const uint64_t values[] = { 0, UINT64_MAX, 0x5a5a5a5a5a5a5a5a };

    for (unsigned v = 0; v < ARRAY_SIZE(values); v++) {
        for (uint32_t at = 0; at + 8 <= NETVM_REGISTERS_BYTES; at += 3) {
            qpci_io_writeb(bed->dev, bed->regs, at, values[v]);
            qpci_io_writew(bed->dev, bed->regs, at, values[v]);
            qpci_io_writel(bed->dev, bed->regs, at, values[v]);
            qpci_io_writeq(bed->dev, bed->regs, at, values[v]);
            qpci_io_readb(bed->dev, bed->regs, at);
            qpci_io_readw(bed->dev, bed->regs, at);
            qpci_io_readq(bed->dev, bed->regs, at);
        }
    }
}

/* A guest that writes all of BAR 0, in all sizes, and then does it right. */
static void test_hostile_writes(const void *opaque)
{
    bool with_daemon = opaque;
    NetvmBed *bed = bed_start("");
    uint32_t resets;

    if (with_daemon) {
        nd_serve(bed);
    }
    write_everywhere(bed);
    g_assert_cmphex(bed_read(bed, NETVM_REG_MAGIC), ==, NETVM_MAGIC);
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_MASK), <, 1 << NETVM_VECTORS);
    bed_write(bed, NETVM_REG_CONTROL, NETVM_CONTROL_RESET);
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_MASK), ==, 0);

    if (!with_daemon) {
        nd_serve(bed);
    } else {
        resets = nd_take_resets(bed);
        g_assert_cmpuint(resets, >, 1);
        g_assert_cmphex(bed_read(bed, NETVM_REG_STATUS), ==,
                        NETVM_STATUS_CONNECTED | NETVM_STATUS_REGION);
        nd_ready(bed, NB_MEMBER, NB_SERIAL + 1, resets);
        bed_wait_status(bed, ALL);
    }
    bed_stop(bed);
}

/* -- Memory ---------------------------------------------------------------- */

static void expect_ones(NetvmBed *bed, uint64_t at)
{
    for (uint64_t i = at; i < at + 16; i++) {
        g_assert_cmphex(qpci_io_readb(bed->dev, bed->window, i), ==, 0xff);
        g_assert_cmphex(qpci_io_readw(bed->dev, bed->window, i), ==, 0xffff);
        g_assert_cmphex(qpci_io_readl(bed->dev, bed->window, i), ==,
                        UINT32_MAX);
        g_assert_cmphex(bed_peek(bed, i), ==, UINT64_MAX);
    }
}

static void test_background(void)
{
    NetvmBed *bed = bed_start("");

    expect_ones(bed, 0);
    expect_ones(bed, NB_SIZE_BYTES - 24);
    for (unsigned i = 0; i < 16; i++) {
        qpci_io_writeb(bed->dev, bed->window, i, 0);
        qpci_io_writew(bed->dev, bed->window, i, 0);
        qpci_io_writel(bed->dev, bed->window, i, 0);
        bed_poke(bed, i, 0);
    }
    expect_ones(bed, 0);
    bed_stop(bed);
}

static void test_segments(void)
{
    const uint64_t last = NB_SEGMENT_BYTES - 8, second = 2 * NB_SEGMENT_BYTES;
    NetvmBed *bed = bed_start("");
    int memory = nb_memfd(4096, true);
    uint64_t *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                         memory, 0);

    nd_serve(bed);
    bed_poke(bed, 0, 0x1122334455667788);
    bed_poke(bed, last, 0x99aabbccddeeff00);
    g_assert_cmphex(*(uint64_t *)bed->map, ==, 0x1122334455667788);
    g_assert_cmphex(*(uint64_t *)(bed->map + last), ==, 0x99aabbccddeeff00);
    *(uint64_t *)(bed->map + 4096) = 42;
    g_assert_cmphex(bed_peek(bed, 4096), ==, 42);
    expect_ones(bed, NB_SEGMENT_BYTES);

    /* The domain grows while the guest works; it is told. */
    bed_read(bed, NETVM_REG_INT_STATUS);
    nd_segment(bed, 5, second, 4096, memory);
    close(memory);
    bed_wait(bed, NETVM_REG_SEGMENTS, UINT32_MAX, 2);
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_STATUS), ==,
                    1 << NETVM_VECTOR_CONFIG);
    g_assert_cmphex(bed_read(bed, NETVM_REG_STATUS), ==, ALL);
    map[511] = 43;
    g_assert_cmphex(bed_peek(bed, second + 4088), ==, 43);
    expect_ones(bed, second - 24);
    expect_ones(bed, second + 4096);
    munmap(map, 4096);
    bed_stop(bed);
}

/* A segment may end where the window does. */
static void test_full_window(void)
{
    NetvmBed *bed = bed_start("");
    int memory = nb_memfd(NB_SIZE_BYTES - NB_SEGMENT_BYTES, true);

    nd_serve(bed);
    nd_segment(bed, 63, NB_SEGMENT_BYTES, NB_SIZE_BYTES - NB_SEGMENT_BYTES,
               memory);
    bed_wait(bed, NETVM_REG_SEGMENTS, UINT32_MAX, 2);
    bed_poke(bed, NB_SIZE_BYTES - 8, 44);
    g_assert_cmphex(bed_peek(bed, NB_SIZE_BYTES - 8), ==, 44);
    close(memory);
    bed_stop(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("netvm/regs/identity", test_identity);
    qtest_add_func("netvm/regs/bars", test_bars);
    qtest_add_func("netvm/regs/high-window", test_high_window);
    qtest_add_func("netvm/regs/reset-values", test_reset_values);
    qtest_add_func("netvm/regs/ready-values", test_ready_values);
    qtest_add_data_func("netvm/regs/hostile-writes/alone", NULL,
                        test_hostile_writes);
    qtest_add_data_func("netvm/regs/hostile-writes/with-daemon", "daemon",
                        test_hostile_writes);
    qtest_add_func("netvm/regs/background", test_background);
    qtest_add_func("netvm/regs/segments", test_segments);
    qtest_add_func("netvm/regs/full-window", test_full_window);
    return g_test_run();
}
