/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netvm-shm and a daemon that comes late, dies, comes back, does not read, or
 * has more memory than there is room for.
 */
#include "qemu/osdep.h"
#include <sys/un.h>
#include "netvm-bed.h"

#define CONNECTED NETVM_STATUS_CONNECTED
#define REGION NETVM_STATUS_REGION
#define READY NETVM_STATUS_READY

/* -- Life ------------------------------------------------------------------ */

static void test_late(void)
{
    NetvmBed *bed = bed_start("");

    g_assert_cmphex(bed_read(bed, NETVM_REG_MAGIC), ==, NETVM_MAGIC);
    g_assert_cmphex(bed_peek(bed, 0), ==, UINT64_MAX);
    bed_write(bed, NETVM_REG_CONTROL, NETVM_CONTROL_RESET);
    nd_accept(bed);
    bed_wait_status(bed, CONNECTED);
    nd_expect_silence(bed);             /* no RESET before a WELCOME */
    nd_hand_out(bed);
    bed_wait_status(bed, CONNECTED | REGION);
    g_assert_cmpuint(bed_read(bed, NETVM_REG_MEMBER), ==, 0);
    nd_ready(bed, NB_MEMBER, NB_SERIAL, 0);
    bed_wait_status(bed, CONNECTED | REGION | READY);
    g_assert_cmpuint(bed_read(bed, NETVM_REG_MEMBER), ==, NB_MEMBER);
    g_assert_cmpuint(bed_read(bed, NETVM_REG_SERIAL), ==, NB_SERIAL);
    bed_stop(bed);
}

/* QEMU listens, as libvirt's mode='bind' has it. */
static void test_qemu_listens(void)
{
    NetvmBed *bed = bed_start_bare("");
    g_autofree char *path = g_build_filename(bed->dir, "qemu", NULL);
    g_autofree char *options = NULL;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct netvm_hello hello;

    qtest_qmp_assert_success(bed->qts, "{ 'execute': 'chardev-add',"
        " 'arguments': { 'id': 'c1', 'backend': { 'type': 'socket', 'data': {"
        "   'addr': { 'type': 'unix', 'data': { 'path': %s } },"
        "   'server': true, 'wait': false } } } }", path);
    qtest_qmp_device_add(bed->qts, "netvm-shm", "nv0",
                         "{ 'chardev': 'c1', 'size': %d, 'addr': '4' }",
                         NB_SIZE_BYTES);
    bed_find(bed);
    for (int round = 1; round <= 2; round++) {
        g_assert_cmphex(bed_read(bed, NETVM_REG_STATUS) & CONNECTED, ==, 0);
        bed->conn = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
        g_assert_cmpint(connect(bed->conn, (struct sockaddr *)&address,
                                sizeof(address)), ==, 0);
        nd_expect(bed, NETVM_MSG_HELLO, &hello, sizeof(hello));
        nd_hand_out(bed);
        nd_ready(bed, NB_MEMBER, round, 0);
        bed_wait_status(bed, CONNECTED | REGION | READY);
        g_assert_cmpuint(bed_read(bed, NETVM_REG_ATTACHED), ==, round);
        nd_close(bed);
        bed_wait_status(bed, REGION);
    }
    unlink(path);
    bed_stop(bed);
}

/* The daemon dies: the memory and the doorbells stay. */
static void test_dies(void)
{
    NetvmBed *bed = bed_start("");
    int member = nb_eventfd();
    uint64_t *map;

    nd_serve(bed);
    map = mmap(NULL, NB_SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
               bed->memory, 0);
    nd_doorbell(bed, 1, member);
    nd_segment(bed, 1, NB_SEGMENT_BYTES, NB_SEGMENT_BYTES, bed->memory);
    bed_wait(bed, NETVM_REG_SEGMENTS, UINT32_MAX, 2);
    bed_read(bed, NETVM_REG_INT_STATUS);
    nd_close(bed);

    bed_wait(bed, NETVM_REG_STATUS, READY, 0);
    g_assert_cmphex(bed_read(bed, NETVM_REG_STATUS) & REGION, ==, REGION);
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_STATUS), ==,
                    1 << NETVM_VECTOR_CONFIG);
    g_assert_cmpuint(bed_read(bed, NETVM_REG_MEMBER), ==, 0);
    bed_poke(bed, 8, 45);
    g_assert_cmphex(map[1], ==, 45);
    bed_write(bed, NETVM_REG_DOORBELL(1), 0);
    g_assert_cmpuint(nb_rung(member), ==, 1);
    munmap(map, NB_SEGMENT_BYTES);

    /* Another one: all is new, and the old member's doorbell is gone. */
    nd_accept(bed);
    g_assert_cmphex(bed_peek(bed, 8), ==, 45);
    nd_hand_out(bed);
    nd_ready(bed, NB_MEMBER, NB_SERIAL + 1, 0);
    bed_wait_status(bed, CONNECTED | REGION | READY);
    g_assert_cmphex(bed_peek(bed, 8), ==, 0);
    g_assert_cmpuint(bed_read(bed, NETVM_REG_SEGMENTS), ==, 1);
    g_assert_cmpuint(bed_read(bed, NETVM_REG_ATTACHED), ==, 2);
    bed_write(bed, NETVM_REG_DOORBELL(1), 0);
    g_assert_false(nb_is_rung(member));
    close(member);
    bed_stop(bed);
}

/* -- RESET ----------------------------------------------------------------- */

static void control_reset(NetvmBed *bed)
{
    bed_write(bed, NETVM_REG_CONTROL, NETVM_CONTROL_RESET);
}

static void system_reset(NetvmBed *bed)
{
    qtest_system_reset(bed->qts);
    bed_find(bed);
}

static void test_reset(const void *opaque)
{
    void (*reset)(NetvmBed *) = opaque;
    NetvmBed *bed = bed_start("");

    nd_serve(bed);
    bed_write(bed, NETVM_REG_INT_MASK, 3);
    bed_poke(bed, 0, 46);
    reset(bed);
    nd_expect(bed, NETVM_MSG_RESET, NULL, 0);
    g_assert_cmphex(bed_read(bed, NETVM_REG_STATUS), ==, CONNECTED | REGION);
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_MASK), ==, 0);
    g_assert_cmphex(bed_read(bed, NETVM_REG_INT_STATUS), ==, 0);
    g_assert_cmphex(bed_peek(bed, 0), ==, 46);
    nd_ready(bed, NB_MEMBER, NB_SERIAL + 1, 1);
    bed_wait_status(bed, CONNECTED | REGION | READY);
    g_assert_cmpuint(bed_read(bed, NETVM_REG_SERIAL), ==, NB_SERIAL + 1);

    /* READY was on its way when the guest reset once more. */
    reset(bed);
    reset(bed);
    nd_ready(bed, NB_MEMBER, NB_SERIAL + 2, 2);
    nd_expect(bed, NETVM_MSG_RESET, NULL, 0);
    nd_expect(bed, NETVM_MSG_RESET, NULL, 0);
    bed_read(bed, NETVM_REG_INT_STATUS);
    nd_segment(bed, 1, NB_SEGMENT_BYTES, NB_SEGMENT_BYTES, bed->memory);
    bed_wait(bed, NETVM_REG_SEGMENTS, UINT32_MAX, 2);
    g_assert_cmphex(bed_read(bed, NETVM_REG_STATUS), ==, CONNECTED | REGION);
    nd_ready(bed, NB_MEMBER, NB_SERIAL + 3, 3);
    bed_wait_status(bed, CONNECTED | REGION | READY);
    g_assert_cmpuint(bed_read(bed, NETVM_REG_SERIAL), ==, NB_SERIAL + 3);
    bed_stop(bed);
}

/* It does not read, and the guest resets: nothing waits, nothing piles up. */
static void test_does_not_read(void)
{
    const unsigned often = 5000;
    NetvmBed *bed = bed_start("");
    unsigned resets;

    nd_serve(bed);
    for (unsigned i = 0; i < often; i++) {
        control_reset(bed);
    }
    resets = nd_take_resets(bed);
    g_assert_cmpuint(resets, <, often);
    nd_ready(bed, NB_MEMBER, NB_SERIAL + 1, resets);
    bed_wait_status(bed, CONNECTED | REGION | READY);

    /* And one that has left without reading. */
    for (unsigned i = 0; i < often; i++) {
        control_reset(bed);
    }
    nd_close(bed);
    nd_serve(bed);
    bed_stop(bed);
}

/* -- What does not fit ----------------------------------------------------- */

static void expect_unfit(NetvmBed *bed, const char *why)
{
    struct netvm_text text;

    nd_expect(bed, NETVM_MSG_UNFIT, &text, sizeof(text));
    g_assert_nonnull(memchr(text.text, 0, sizeof(text.text)));
    g_assert_nonnull(strstr(text.text, why));
    nd_expect_end(bed);
    bed_expect_log(bed, why);
}

static void test_unfit(void)
{
    const char *why = "does not fit size=16M: use a larger size";
    NetvmBed *bed = bed_start("");
    int memory = nb_memfd(8192, true);

    /* It is known beforehand: what was there is kept. */
    nd_serve(bed);
    bed_poke(bed, 0, 47);
    nd_close(bed);
    nd_accept(bed);
    nd_welcome(bed, NB_SIZE_BYTES + 1);
    expect_unfit(bed, why);
    g_assert_cmphex(bed_peek(bed, 0), ==, 47);

    /* A place that is not in the window. */
    nd_accept(bed);
    nd_welcome(bed, 8192);
    nd_segment(bed, 0, NB_SIZE_BYTES - 4096, 8192, memory);
    expect_unfit(bed, why);

    /* And growth. */
    nd_serve(bed);
    nd_segment(bed, 1, NB_SIZE_BYTES, 8192, memory);
    expect_unfit(bed, why);
    bed_wait(bed, NETVM_REG_STATUS, READY | REGION, REGION);
    close(memory);
    bed_stop(bed);
}

/* All of it comes byte by byte. */
static void test_crumbs(void)
{
    struct {
        struct netvm_header header;
        struct netvm_number number;
    } message = { { NETVM_MSG_DOORBELL, sizeof(struct netvm_number) }, { 9 } };
    NetvmBed *bed = bed_start("");
    int file = nb_eventfd();

    nd_serve(bed);
    for (unsigned i = 0; i < sizeof(message); i++) {
        nd_send_raw(bed, (uint8_t *)&message + i, 1, &file, i == 0);
        g_usleep(1000);
    }
    nd_segment(bed, 1, NB_SEGMENT_BYTES, NB_SEGMENT_BYTES, bed->memory);
    bed_wait(bed, NETVM_REG_SEGMENTS, UINT32_MAX, 2);
    bed_write(bed, NETVM_REG_DOORBELL(9), 0);
    g_assert_cmpuint(nb_rung(file), ==, 1);
    close(file);
    bed_stop(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("netvm/life/late", test_late);
    qtest_add_func("netvm/life/qemu-listens", test_qemu_listens);
    qtest_add_func("netvm/life/dies", test_dies);
    qtest_add_data_func("netvm/life/reset/control", control_reset, test_reset);
    qtest_add_data_func("netvm/life/reset/system", system_reset, test_reset);
    qtest_add_func("netvm/life/does-not-read", test_does_not_read);
    qtest_add_func("netvm/life/unfit", test_unfit);
    qtest_add_func("netvm/life/crumbs", test_crumbs);
    return g_test_run();
}
