/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netvm-shm's doorbells, and interrupts: MSI-X with its masks, INTx with the
 * registers that it has for them.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "netvm-bed.h"

#define MSIX_CONTROL_HIGH 3             /* byte of the capability */
#define MSIX_FUNCTION_MASK 0x40
#define NOWHERE 0xdeadbeef

/* -- Doorbells ------------------------------------------------------------- */

static void ring(NetvmBed *bed, unsigned member)
{
    bed_write(bed, NETVM_REG_DOORBELL(member), member + 100);
}

static void test_doorbells(void)
{
    NetvmBed *bed = bed_start("");
    int first = nb_eventfd(), other = nb_eventfd(), last = nb_eventfd();

    ring(bed, NETVM_DAEMON);            /* nobody is there: it is lost */
    nd_serve(bed);
    g_assert_false(nb_is_rung(bed->doorbell));

    ring(bed, NETVM_DAEMON);
    ring(bed, NETVM_DAEMON);
    g_assert_cmpuint(nb_rung(bed->doorbell), ==, 2);
    ring(bed, 1);
    ring(bed, NETVM_MEMBERS_MAX);
    ring(bed, NETVM_MEMBERS_MAX + 1);
    g_assert_false(nb_is_rung(bed->doorbell));

    /* Members come; KVM would take the writes from here on. */
    nd_doorbell(bed, 1, first);
    nd_doorbell(bed, NETVM_MEMBERS_MAX, last);
    nd_ready(bed, NB_MEMBER, NB_SERIAL, 1);     /* no such RESET: the end */
    nd_expect_end(bed);
    ring(bed, 1);
    ring(bed, NETVM_MEMBERS_MAX);
    g_assert_cmpuint(nb_rung(first), ==, 1);
    g_assert_cmpuint(nb_rung(last), ==, 1);

    /* One is replaced, one goes. */
    nd_serve(bed);
    nd_doorbell(bed, 1, first);
    nd_doorbell(bed, 2, last);
    nd_doorbell(bed, 1, other);
    nd_no_doorbell(bed, 2);
    nd_no_doorbell(bed, 40);            /* it has none */
    nd_segment(bed, 1, NB_SEGMENT_BYTES, NB_SEGMENT_BYTES, bed->memory);
    bed_wait(bed, NETVM_REG_SEGMENTS, UINT32_MAX, 2);
    ring(bed, 1);
    ring(bed, 2);
    g_assert_cmpuint(nb_rung(other), ==, 1);
    g_assert_false(nb_is_rung(first));
    g_assert_false(nb_is_rung(last));
    close(first);
    close(other);
    close(last);
    bed_stop(bed);
}

/* -- MSI-X ----------------------------------------------------------------- */

/* Each vector writes its data to a word of its own. */
static uint64_t set_up_msix(NetvmBed *bed)
{
    uint64_t words = guest_alloc(&bed->alloc, 4096);

    qpci_msix_enable(bed->dev);
    for (unsigned i = 0; i < NETVM_VECTORS; i++) {
        uint64_t entry = bed->dev->msix_table_off + i * PCI_MSIX_ENTRY_SIZE;
        QPCIBar bar = bed->dev->msix_table_bar;

        qpci_io_writel(bed->dev, bar, entry + PCI_MSIX_ENTRY_LOWER_ADDR,
                       words + 4 * i);
        qpci_io_writel(bed->dev, bar, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 0);
        qpci_io_writel(bed->dev, bar, entry + PCI_MSIX_ENTRY_DATA, 50 + i);
        qpci_io_writel(bed->dev, bar, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
        qtest_writel(bed->qts, words + 4 * i, NOWHERE);
    }
    return words;
}

static void mask(NetvmBed *bed, unsigned vector, bool on)
{
    qpci_io_writel(bed->dev, bed->dev->msix_table_bar,
                   bed->dev->msix_table_off + vector * PCI_MSIX_ENTRY_SIZE +
                   PCI_MSIX_ENTRY_VECTOR_CTRL, on);
}

static void mask_function(NetvmBed *bed, bool on)
{
    uint8_t at = qpci_find_capability(bed->dev, PCI_CAP_ID_MSIX, 0) +
                 MSIX_CONTROL_HIGH;
    uint8_t control = qpci_config_readb(bed->dev, at);

    qpci_config_writeb(bed->dev, at, on ? control | MSIX_FUNCTION_MASK :
                                          control & ~MSIX_FUNCTION_MASK);
}

static void expect_msix(NetvmBed *bed, uint64_t words, unsigned vector)
{
    for (int i = 0; i < 10000 &&
         qtest_readl(bed->qts, words + 4 * vector) == NOWHERE; i++) {
        g_usleep(1000);
    }
    g_assert_cmphex(qtest_readl(bed->qts, words + 4 * vector), ==,
                    50 + vector);
    g_assert_cmphex(qtest_readl(bed->qts, words + 4 * !vector), ==, NOWHERE);
    qtest_writel(bed->qts, words + 4 * vector, NOWHERE);
}

static void expect_pending(NetvmBed *bed, uint64_t words, unsigned vector)
{
    for (int i = 0; i < 10000 && !qpci_msix_pending(bed->dev, vector); i++) {
        g_usleep(1000);
    }
    g_assert_true(qpci_msix_pending(bed->dev, vector));
    g_assert_cmphex(qtest_readl(bed->qts, words + 4 * vector), ==, NOWHERE);
}

static void test_msix(void)
{
    NetvmBed *bed = bed_start("");
    uint64_t words = set_up_msix(bed);

    nd_serve(bed);
    expect_msix(bed, words, NETVM_VECTOR_CONFIG);       /* READY */
    for (unsigned v = 0; v < NETVM_VECTORS; v++) {
        nb_ring(bed->vector[v]);
        expect_msix(bed, words, v);
        g_assert_false(nb_is_rung(bed->vector[v]));     /* it was taken */

        mask(bed, v, true);
        nb_ring(bed->vector[v]);
        expect_pending(bed, words, v);
        mask(bed, v, false);
        expect_msix(bed, words, v);
        g_assert_false(qpci_msix_pending(bed->dev, v));

        mask_function(bed, true);
        nb_ring(bed->vector[v]);
        expect_pending(bed, words, v);
        mask_function(bed, false);
        expect_msix(bed, words, v);
    }
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_STATUS), ==, 0);

    /* The daemon's end is one, too. */
    nd_close(bed);
    expect_msix(bed, words, NETVM_VECTOR_CONFIG);
    bed_stop(bed);
}

/* -- INTx ------------------------------------------------------------------ */

static bool intx(NetvmBed *bed)
{
    return qpci_config_readw(bed->dev, PCI_STATUS) & PCI_STATUS_INTERRUPT;
}

static void expect_intx(NetvmBed *bed, bool level)
{
    for (int i = 0; i < 10000 && intx(bed) != level; i++) {
        g_usleep(1000);
    }
    g_assert_cmpint(intx(bed), ==, level);
}

static void test_intx(void)
{
    NetvmBed *bed = bed_start("");

    nd_serve(bed);
    g_assert_false(intx(bed));          /* CONFIG is not in the mask */
    bed_write(bed, NETVM_REG_INT_MASK, 1 << NETVM_VECTOR_CONFIG);
    g_assert_true(intx(bed));
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_STATUS), ==,
                    1 << NETVM_VECTOR_CONFIG);
    g_assert_false(intx(bed));
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_STATUS), ==, 0);

    bed_write(bed, NETVM_REG_INT_MASK, UINT32_MAX);
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_MASK), ==, 3);
    nb_ring(bed->vector[NETVM_VECTOR_RINGS]);
    expect_intx(bed, true);
    bed_write(bed, NETVM_REG_INT_MASK, 1 << NETVM_VECTOR_CONFIG);
    g_assert_false(intx(bed));
    bed_write(bed, NETVM_REG_INT_MASK, 1 << NETVM_VECTOR_RINGS);
    g_assert_true(intx(bed));

    /* A reset takes it away. */
    bed_write(bed, NETVM_REG_CONTROL, NETVM_CONTROL_RESET);
    g_assert_false(intx(bed));
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_STATUS), ==, 0);
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_MASK), ==, 0);
    bed_stop(bed);
}

/* MSI-X on: INTx is low; off: what comes then is INTx again. */
static void test_intx_or_msix(void)
{
    NetvmBed *bed = bed_start("");
    uint64_t words;

    nd_serve(bed);
    bed_write(bed, NETVM_REG_INT_MASK, 3);
    g_assert_true(intx(bed));
    words = set_up_msix(bed);
    g_assert_false(intx(bed));
    nb_ring(bed->vector[NETVM_VECTOR_RINGS]);
    expect_msix(bed, words, NETVM_VECTOR_RINGS);
    g_assert_false(intx(bed));
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_STATUS), ==,
                    1 << NETVM_VECTOR_CONFIG);

    qpci_msix_disable(bed->dev);
    g_assert_false(intx(bed));
    nb_ring(bed->vector[NETVM_VECTOR_RINGS]);
    expect_intx(bed, true);
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_STATUS), ==,
                    1 << NETVM_VECTOR_RINGS);
    bed_stop(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("netvm/irq/doorbells", test_doorbells);
    qtest_add_func("netvm/irq/msix", test_msix);
    qtest_add_func("netvm/irq/intx", test_intx);
    qtest_add_func("netvm/irq/intx-or-msix", test_intx_or_msix);
    return g_test_run();
}
