/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a front end can say, in which order, and what comes of it.
 *
 * Threads: single.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "open-fds.h"
#include "vring-driver.h"
#include "vu-front.h"

#define BIT(n) (UINT64_C(1) << (n))
#define OFFERED (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) | \
                 BIT(VIRTIO_RING_F_EVENT_IDX))
#define RING_SIZE 64
#define HOSTILE_MESSAGES 200000

typedef struct Bed {
    VuFront f;
    bool still;                 /* between quiesce and resume */
    unsigned quiesced, changed, announced;
    uint8_t mac[6];
    Driver *d;                  /* whose memory the front end shares */
    VuPayload answer;
    uint32_t answer_bytes;
    GError *error;
} Bed;

/* -- Harness --------------------------------------------------------------- */

static void on_quiesce(void *opaque)
{
    Bed *bed = opaque;

    g_assert_false(bed->still);
    bed->still = true;
    bed->quiesced++;
}

static void on_resume(void *opaque)
{
    Bed *bed = opaque;

    g_assert_true(bed->still);
    bed->still = false;
}

static void on_changed(void *opaque)
{
    Bed *bed = opaque;

    g_assert_true(bed->still);
    bed->changed++;
}

static void on_announce(void *opaque, const uint8_t mac[6])
{
    Bed *bed = opaque;

    memcpy(bed->mac, mac, 6);
    bed->announced++;
}

static const VuFrontOps ops = {
    .quiesce = on_quiesce,
    .resume = on_resume,
    .changed = on_changed,
    .announce = on_announce,
};

static Bed *bed_new(unsigned pairs)
{
    Bed *bed = g_new0(Bed, 1);
    VuFrontConfig cfg = {
        .features = OFFERED, .pairs = pairs, .mtu = 9000, .ops = &ops,
        .opaque = bed,
    };

    vu_front_init(&bed->f, &cfg);
    bed->d = driver_new(VRING_TX, false, false, RING_SIZE);
    return bed;
}

static void bed_free(Bed *bed)
{
    vu_front_reset(&bed->f);
    g_assert_false(bed->still);
    g_clear_error(&bed->error);
    driver_free(bed->d);
    g_free(bed);
}

static VuHandled send_raw(Bed *bed, VuMsg *m)
{
    g_clear_error(&bed->error);
    return vu_front_handle(&bed->f, m, &bed->answer, &bed->answer_bytes,
                           &bed->error);
}

/* @fd goes to the front end's code; -1: none. */
static VuHandled send_fd(Bed *bed, uint32_t request, const void *payload,
                         uint32_t bytes, int fd, bool ask)
{
    VuMsg m = {
        .header = { .request = request, .payload_bytes = bytes,
                    .flags = VU_VERSION | (ask ? VU_FLAG_NEED_REPLY : 0) },
        .fd = { fd }, .fds = fd >= 0,
    };

    memcpy(&m.payload, payload, bytes);
    return send_raw(bed, &m);
}

static void tell(Bed *bed, uint32_t request, uint64_t u64)
{
    g_assert_cmpint(send_fd(bed, request, &u64, 8, -1, false), ==, VU_HANDLED);
    g_assert_no_error(bed->error);
}

static uint64_t ask(Bed *bed, uint32_t request)
{
    g_assert_cmpint(send_fd(bed, request, "", 0, -1, false), ==, VU_ANSWER);
    g_assert_cmpuint(bed->answer_bytes, ==, 8);
    return bed->answer.u64;
}

static void tell_ring(Bed *bed, uint32_t request, uint32_t index,
                      uint32_t number)
{
    VuRingState s = { index, number };

    g_assert_cmpint(send_fd(bed, request, &s, sizeof(s), -1, false), ==,
                    VU_HANDLED);
}

/* Refused, for this reason; and the front end is told, if it asked. */
static void expect_refused(Bed *bed, VuHandled handled, const char *reason)
{
    g_assert_cmpint(handled, ==, VU_REFUSED);
    g_assert_nonnull(bed->error);
    if (!strstr(bed->error->message, reason)) {
        g_error("'%s' lacks '%s'", bed->error->message, reason);
    }
}

static int memory_file(uint64_t bytes)
{
    int fd = memfd_create("guest", 0);

    g_assert_cmpint(ftruncate(fd, bytes), ==, 0);
    return fd;
}

/* One region at 0 in a file of its own. */
static void tell_memory(Bed *bed)
{
    VuTable t = { .regions = 1, .region[0] = {
        .bytes = DRIVER_REGION_BYTES, .user_addr = DRIVER_USER_OFFSET,
    } };

    g_assert_cmpint(send_fd(bed, VU_SET_MEM_TABLE, &t, 8 + sizeof(VuRegion),
                            memory_file(DRIVER_REGION_BYTES), false), ==,
                    VU_HANDLED);
}

static VuRingAddr ring_addr(const Bed *bed, uint32_t index)
{
    return (VuRingAddr) {
        .index = index,
        .desc_user_addr = bed->d->spec.desc_user_addr,
        .avail_user_addr = bed->d->spec.avail_user_addr,
        .used_user_addr = bed->d->spec.used_user_addr,
    };
}

static void tell_addr(Bed *bed, VuRingAddr a)
{
    g_assert_cmpint(send_fd(bed, VU_SET_VRING_ADDR, &a, sizeof(a), -1, false),
                    ==, VU_HANDLED);
}

static VuHandled kick(Bed *bed, uint32_t index)
{
    uint64_t u64 = index;

    return send_fd(bed, VU_SET_VRING_KICK, &u64, 8, eventfd(0, EFD_CLOEXEC),
                   false);
}

/* As QEMU does it. */
static void start_ring(Bed *bed, uint32_t index)
{
    tell_ring(bed, VU_SET_VRING_NUM, index, RING_SIZE);
    tell_ring(bed, VU_SET_VRING_BASE, index, 0);
    tell_addr(bed, ring_addr(bed, index));
    g_assert_cmpint(kick(bed, index), ==, VU_HANDLED);
    tell_ring(bed, VU_SET_VRING_ENABLE, index, 1);
    g_assert_true(bed->f.ring[index].started);
    g_assert_true(bed->f.ring[index].enabled);
}

static void negotiate(Bed *bed, uint64_t features)
{
    uint64_t all = ask(bed, VU_GET_FEATURES);

    g_assert_cmphex(all & OFFERED, ==, OFFERED);
    tell(bed, VU_SET_PROTOCOL_FEATURES, ask(bed, VU_GET_PROTOCOL_FEATURES));
    tell(bed, VU_SET_FEATURES, features | BIT(VU_F_PROTOCOL_FEATURES));
}

/* -- As it should be ------------------------------------------------------- */

static void test_start_and_stop(void)
{
    Bed *bed = bed_new(2);
    VuRingState s = { .index = 1 };
    uint64_t u64 = 1;
    unsigned fds = open_fds(), quiesced;
    eventfd_t calls;
    int call_fd;

    negotiate(bed, BIT(VIRTIO_F_VERSION_1));
    g_assert_cmpuint(ask(bed, VU_GET_QUEUE_NUM), ==, 2);
    tell_memory(bed);
    start_ring(bed, 0);
    start_ring(bed, 1);
    g_assert_cmpint(bed->f.ring[0].vring.kind, ==, VRING_RX);
    g_assert_cmpint(bed->f.ring[1].vring.kind, ==, VRING_TX);
    g_assert_cmpint(send_fd(bed, VU_SET_VRING_CALL, &u64, 8,
                            eventfd(0, EFD_CLOEXEC), false), ==, VU_HANDLED);
    g_assert_cmpint(bed->f.ring[1].call_fd, >=, 0);

    /* Another one needs nobody to be still. */
    quiesced = bed->quiesced;
    call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert_cmpint(send_fd(bed, VU_SET_VRING_CALL, &u64, 8,
                            fcntl(call_fd, F_DUPFD_CLOEXEC, 0), false), ==,
                    VU_HANDLED);
    g_assert_cmpuint(bed->quiesced, ==, quiesced);
    g_assert_cmpint(eventfd_write(bed->f.ring[1].call_fd, 1), ==, 0);
    g_assert_cmpint(eventfd_read(call_fd, &calls), ==, 0);
    close(call_fd);

    bed->f.ring[1].vring.next = 7;
    g_assert_cmpint(send_fd(bed, VU_GET_VRING_BASE, &s, sizeof(s), -1, false),
                    ==, VU_ANSWER);
    g_assert_cmpuint(bed->answer.state.index, ==, 1);
    g_assert_cmpuint(bed->answer.state.number, ==, 7);
    g_assert_false(bed->f.ring[1].started);
    g_assert_cmpint(bed->f.ring[1].call_fd, ==, -1);

    /* It goes on where it stopped. */
    g_assert_cmpint(kick(bed, 1), ==, VU_HANDLED);
    g_assert_cmpuint(bed->f.ring[1].vring.next, ==, 7);
    vu_front_reset(&bed->f);
    g_assert_cmpuint(open_fds(), ==, fds);
    g_assert_false(bed->f.ring[0].started);
    bed_free(bed);
}

/* Front ends that know no protocol features enable nothing. */
static void test_without_protocol_features(void)
{
    Bed *bed = bed_new(1);

    tell(bed, VU_SET_FEATURES, BIT(VIRTIO_F_VERSION_1));
    g_assert_true(bed->f.ring[0].enabled);
    tell_memory(bed);
    tell_ring(bed, VU_SET_VRING_NUM, 0, RING_SIZE);
    tell_addr(bed, ring_addr(bed, 0));
    g_assert_cmpint(kick(bed, 0), ==, VU_HANDLED);
    g_assert_true(bed->f.ring[0].started && bed->f.ring[0].enabled);
    bed_free(bed);
}

/* Memory that is told anew while rings run. */
static void test_memory_changes(void)
{
    Bed *bed = bed_new(1);
    VuOneRegion more = { .region = {
        .guest_addr = 16 * DRIVER_REGION_BYTES, .bytes = DRIVER_REGION_BYTES,
        .user_addr = 1ull << 40,
    } };
    VuTable bad = { .regions = 1, .region[0] = { .bytes = 0 } };
    uint8_t *host;
    unsigned hint = 0;

    negotiate(bed, BIT(VIRTIO_F_VERSION_1));
    tell_memory(bed);
    start_ring(bed, 0);
    bed->f.ring[0].vring.next = 9;
    host = bed->f.mem.region[0].host;
    tell_memory(bed);
    g_assert_cmpuint(bed->f.mem.n, ==, 1);
    g_assert_cmpuint(bed->f.ring[0].vring.next, ==, 9);
    g_assert_true(bed->f.mem.region[0].host != host);
    host = bed->f.mem.region[0].host;

    expect_refused(bed, send_fd(bed, VU_SET_MEM_TABLE, &bad, 40,
                                memory_file(4096), false), "cannot be");
    g_assert_true(bed->f.mem.region[0].host == host);
    g_assert_true(bed->f.ring[0].started);

    g_assert_cmpuint(ask(bed, VU_GET_MAX_MEM_SLOTS), ==,
                     GUEST_MEM_MAX_REGIONS);
    g_assert_cmpint(send_fd(bed, VU_ADD_MEM_REG, &more, sizeof(more),
                            memory_file(DRIVER_REGION_BYTES), true), ==,
                    VU_ANSWER);
    g_assert_nonnull(guest_mem_at(&bed->f.mem, &hint,
                                  more.region.guest_addr, 1));
    g_assert_cmpint(send_fd(bed, VU_REM_MEM_REG, &more, sizeof(more), -1, true),
                    ==, VU_ANSWER);
    g_assert_cmpuint(bed->answer.u64, ==, 0);
    g_assert_null(guest_mem_at(&bed->f.mem, &hint, more.region.guest_addr, 1));

    /* The region where the ring lies. */
    more.region = (VuRegion) {
        .bytes = DRIVER_REGION_BYTES, .user_addr = DRIVER_USER_OFFSET,
    };
    expect_refused(bed, send_fd(bed, VU_REM_MEM_REG, &more, sizeof(more), -1,
                                true), "is in memory that is not shared");
    g_assert_cmpuint(bed->answer_bytes, ==, 8);
    g_assert_cmpuint(bed->answer.u64, ==, 1);
    g_assert_false(bed->f.ring[0].started);
    bed_free(bed);
}

/* While it runs QEMU tells the log, the addresses with it, and features. */
static void test_log(void)
{
    Bed *bed = bed_new(1);
    VuRingAddr a = ring_addr(bed, 1);
    VuLog log = { .bytes = DRIVER_REGION_BYTES / GUEST_LOG_PAGE_BYTES / 8 };
    uint64_t features = BIT(VIRTIO_F_VERSION_1) | BIT(VU_F_PROTOCOL_FEATURES);

    negotiate(bed, BIT(VIRTIO_F_VERSION_1));
    tell_memory(bed);
    start_ring(bed, 1);
    bed->f.ring[1].vring.next = 3;
    g_assert_cmpint(send_fd(bed, VU_SET_LOG_BASE, &log, sizeof(log),
                            memory_file(4096), false), ==, VU_ANSWER);
    a.flags = VU_RING_ADDR_LOG;
    a.used_guest_addr = 0xa0000;
    tell_addr(bed, a);
    tell(bed, VU_SET_FEATURES, features | BIT(VU_F_LOG_ALL));
    g_assert_true(bed->f.ring[1].vring.log_used);
    g_assert_cmpuint(bed->f.ring[1].vring.next, ==, 3);
    g_assert_nonnull(bed->f.mem.log);
    tell(bed, VU_SET_FEATURES, features);
    g_assert_null(bed->f.mem.log);
    bed_free(bed);
}

static void test_network(void)
{
    static const uint8_t mac[8] = { 2, 3, 4, 5, 6, 7 };
    Bed *bed = bed_new(1);
    uint64_t mtu = 9001;

    negotiate(bed, BIT(VIRTIO_F_VERSION_1));
    g_assert_cmpint(send_fd(bed, VU_SEND_RARP, mac, 8, -1, false), ==,
                    VU_HANDLED);
    g_assert_cmpuint(bed->announced, ==, 1);
    g_assert_cmpmem(bed->mac, 6, mac, 6);
    tell(bed, VU_NET_SET_MTU, 1500);
    g_assert_cmpuint(bed->f.mtu, ==, 1500);
    expect_refused(bed, send_fd(bed, VU_NET_SET_MTU, &mtu, 8, -1, true),
                   "cannot be: 68 to 9000");
    g_assert_cmpuint(bed->answer.u64, ==, 1);
    tell(bed, VU_SET_STATUS, 0xf);
    g_assert_cmpuint(ask(bed, VU_GET_STATUS), ==, 0xf);
    bed_free(bed);
}

/* -- As it should not be --------------------------------------------------- */

static void test_refused(void)
{
    Bed *bed = bed_new(1);
    uint64_t u64 = 0;
    VuRingState s = { .index = 2 };
    VuRingAddr a = ring_addr(bed, 0);
    VuTable t = { .regions = 9 };
    VuMsg m = { .header = { .request = VU_SET_MEM_TABLE } };
    unsigned fds = open_fds();

    /* Never heard of. */
    expect_refused(bed, send_fd(bed, 0, "", 0, -1, false),
                   "request 0: it is not known");
    expect_refused(bed, send_fd(bed, 99, &u64, 8, -1, false), "not known");
    expect_refused(bed, send_fd(bed, UINT32_MAX, &u64, 8, -1, false),
                   "not known");
    g_assert_cmpuint(bed->answer_bytes, ==, 0);

    /* Before what it needs. */
    expect_refused(bed, kick(bed, 0), "before SET_FEATURES");
    expect_refused(bed, send_fd(bed, VU_GET_QUEUE_NUM, "", 0, -1, false),
                   "needs protocol feature 0");
    u64 = BIT(63);
    expect_refused(bed, send_fd(bed, VU_SET_FEATURES, &u64, 8, -1, false),
                   "were not offered");
    expect_refused(bed, send_fd(bed, VU_SET_PROTOCOL_FEATURES, &u64, 8, -1,
                                false), "were not offered");
    negotiate(bed, BIT(VIRTIO_F_VERSION_1));
    expect_refused(bed, kick(bed, 0), "its size was not told");

    /* Too short, too long, with files that were not asked for, or without. */
    expect_refused(bed, send_fd(bed, VU_SET_FEATURES, &u64, 7, -1, false),
                   "7 bytes instead of 8");
    expect_refused(bed, send_fd(bed, VU_SET_OWNER, &u64, 8, -1, false),
                   "8 bytes instead of 0");
    expect_refused(bed, send_fd(bed, VU_SET_OWNER, "", 0, memory_file(1),
                                false), "1 files instead of 0");
    expect_refused(bed, send_fd(bed, VU_SET_LOG_FD, "", 0, -1, false),
                   "0 files instead of 1");
    expect_refused(bed, send_fd(bed, VU_SET_MEM_TABLE, &t, 264, -1, false),
                   "at most 8 regions");
    t.regions = 1;
    expect_refused(bed, send_fd(bed, VU_SET_MEM_TABLE, &t, 39, memory_file(1),
                                false), "and 39 bytes");
    expect_refused(bed, send_fd(bed, VU_SET_MEM_TABLE, &t, 3, -1, false),
                   "and 3 bytes");
    m.fds = 2;
    m.fd[0] = memory_file(1);
    m.fd[1] = memory_file(1);
    m.header.payload_bytes = 40;
    m.payload.table.regions = 1;
    expect_refused(bed, send_raw(bed, &m), "with 2 files");

    /* Rings that do not exist, and what no ring can be. */
    expect_refused(bed, send_fd(bed, VU_SET_VRING_NUM, &s, 8, -1, false),
                   "ring 2 does not exist");
    s = (VuRingState) { .index = 0x10000, .number = 1 };
    expect_refused(bed, send_fd(bed, VU_SET_VRING_ENABLE, &s, 8, -1, false),
                   "ring 65536 does not exist");
    a.index = UINT32_MAX;
    expect_refused(bed, send_fd(bed, VU_SET_VRING_ADDR, &a, sizeof(a), -1,
                                false), "does not exist");
    u64 = 0x200;
    expect_refused(bed, send_fd(bed, VU_SET_VRING_CALL, &u64, 8, -1, false),
                   "names no ring");
    u64 = VU_RING_NO_FD;
    expect_refused(bed, send_fd(bed, VU_SET_VRING_ERR, &u64, 8, memory_file(1),
                                false), "where none was announced");
    s = (VuRingState) { .index = 0, .number = 0 };
    expect_refused(bed, send_fd(bed, VU_SET_VRING_NUM, &s, 8, -1, false),
                   "cannot have 0 descriptors");
    s.number = 32769;
    expect_refused(bed, send_fd(bed, VU_SET_VRING_NUM, &s, 8, -1, false),
                   "cannot have 32769");
    s.number = 63;
    g_assert_cmpint(send_fd(bed, VU_SET_VRING_NUM, &s, 8, -1, false), ==,
                    VU_HANDLED);
    a.index = 0;
    tell_addr(bed, a);
    tell_memory(bed);
    expect_refused(bed, kick(bed, 0), "a power of two");

    /* What cannot be while a ring runs. */
    start_ring(bed, 0);
    s.number = RING_SIZE;
    expect_refused(bed, send_fd(bed, VU_SET_VRING_NUM, &s, 8, -1, false),
                   "while it runs");
    expect_refused(bed, send_fd(bed, VU_SET_VRING_BASE, &s, 8, -1, false),
                   "while it runs");
    u64 = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED);
    expect_refused(bed, send_fd(bed, VU_SET_FEATURES, &u64, 8, -1, false),
                   "while ring 0 runs");
    a.desc_user_addr = 0;
    expect_refused(bed, send_fd(bed, VU_SET_VRING_ADDR, &a, sizeof(a), -1,
                                false), "descriptor table");
    g_assert_false(bed->f.ring[0].started);

    vu_front_reset(&bed->f);
    g_assert_cmpuint(open_fds(), ==, fds);
    bed_free(bed);
}

/* Anything at all: nothing leaks, and it never stays still. */
static void test_random(void)
{
    /* What a request should have; others have nothing. */
    static const uint8_t right_bytes[42] = {
        [VU_SET_FEATURES] = 8, [VU_SET_PROTOCOL_FEATURES] = 8,
        [VU_SET_MEM_TABLE] = 40, [VU_SET_LOG_BASE] = 16,
        [VU_SET_VRING_NUM] = 8, [VU_SET_VRING_ADDR] = 40,
        [VU_SET_VRING_BASE] = 8, [VU_GET_VRING_BASE] = 8,
        [VU_SET_VRING_KICK] = 8, [VU_SET_VRING_CALL] = 8,
        [VU_SET_VRING_ERR] = 8, [VU_SET_VRING_ENABLE] = 8,
        [VU_SEND_RARP] = 8, [VU_NET_SET_MTU] = 8, [VU_ADD_MEM_REG] = 40,
        [VU_REM_MEM_REG] = 40, [VU_SET_STATUS] = 8,
    };
    static const bool has_file[42] = {
        [VU_SET_MEM_TABLE] = true, [VU_SET_LOG_BASE] = true,
        [VU_SET_LOG_FD] = true, [VU_SET_VRING_KICK] = true,
        [VU_SET_VRING_CALL] = true, [VU_SET_VRING_ERR] = true,
        [VU_ADD_MEM_REG] = true,
    };
    Bed *bed = bed_new(2);
    unsigned fds = open_fds(), refused = 0;

    for (int i = 0; i < HOSTILE_MESSAGES; i++) {
        VuMsg m = {
            .header = {
                .request = g_test_rand_int_range(0, 42),
                .flags = VU_VERSION |
                         (g_test_rand_bit() ? VU_FLAG_NEED_REPLY : 0),
            },
        };
        uint32_t request = m.header.request;

        if (i % 1000 == 0) {
            vu_front_reset(&bed->f);
            g_assert_cmpuint(open_fds(), ==, fds);
            negotiate(bed, BIT(VIRTIO_F_VERSION_1));
            tell_memory(bed);
            start_ring(bed, 0);
        }
        m.header.payload_bytes = g_test_rand_int_range(0, 8)
                                 ? right_bytes[request]
                                 : g_test_rand_int_range(0, 265);
        for (unsigned k = 0; k < m.header.payload_bytes / 8; k++) {
            ((uint64_t *)&m.payload)[k] =
                g_test_rand_bit() ? (uint64_t)g_test_rand_int_range(0, 4) :
                g_test_rand_bit() ? DRIVER_USER_OFFSET +
                                    g_test_rand_int_range(0, 1 << 21) / 16 * 16
                                  : (uint64_t)g_test_rand_int() << 32;
        }
        if (has_file[request] != (g_test_rand_int_range(0, 8) == 0)) {
            m.fd[m.fds++] = memory_file(DRIVER_REGION_BYTES);
        }
        if (send_raw(bed, &m) == VU_REFUSED) {
            refused++;
            g_assert_nonnull(bed->error);
        } else {
            g_assert_no_error(bed->error);
        }
        g_assert_false(bed->still);
    }
    vu_front_reset(&bed->f);
    g_assert_cmpuint(open_fds(), ==, fds);
    g_test_message("%u of %d messages refused", refused, HOSTILE_MESSAGES);
    g_assert_cmpuint(refused, >, HOSTILE_MESSAGES / 10);
    g_assert_cmpuint(refused, <, HOSTILE_MESSAGES * 9 / 10);
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-front/start-and-stop", test_start_and_stop);
    g_test_add_func("/vus-front/without-protocol-features",
                    test_without_protocol_features);
    g_test_add_func("/vus-front/memory-changes", test_memory_changes);
    g_test_add_func("/vus-front/log", test_log);
    g_test_add_func("/vus-front/network", test_network);
    g_test_add_func("/vus-front/refused", test_refused);
    g_test_add_func("/vus-front/random", test_random);
    return g_test_run();
}
