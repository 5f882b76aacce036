/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames from buffers cut in any way into buffers cut in any way.
 *
 * Threads: single.
 */
#include <string.h>

#include "frame.h"
#include "vring-driver.h"

#define MAX_PARTS 64                    /* of a chain */
#define ROUNDS 20000
#define ROUNDS_SLOW 1000000
#define RING_SIZE 1024
#define TABLE_AT 0xb0000u
#define BUFFERS_AT DRIVER_REGION_BYTES      /* all of the high region */

typedef struct Bed {
    Driver *from, *to;
    Vring tx, rx;
    VringBurst out, in;
    uint32_t written[VRING_BURST];
    uint64_t from_at, to_at;    /* next free buffer */
    uint8_t bytes[80000];       /* what was sent, header first */
} Bed;

static void start(Vring *r, Driver *d)
{
    g_autoptr(GError) error = NULL;

    vring_start(r, &d->spec, &d->mem, d->spec.packed ? 0x8000 : 0, &error);
    g_assert_no_error(error);
}

static Bed *bed_new(bool packed)
{
    Bed *bed = g_new0(Bed, 1);

    bed->from = driver_new(VRING_TX, packed, false, RING_SIZE);
    bed->to = driver_new(VRING_RX, packed, false, RING_SIZE);
    start(&bed->tx, bed->from);
    start(&bed->rx, bed->to);
    return bed;
}

static void bed_free(Bed *bed)
{
    driver_free(bed->from);
    driver_free(bed->to);
    g_free(bed);
}

/* @bytes in @n parts, each at a place of its own. */
static unsigned cut(DriverPart *parts, unsigned n, uint32_t bytes, uint64_t *at)
{
    unsigned i = 0;

    for (uint32_t left = bytes; left > 0 && i < n; i++) {
        uint32_t part = i + 1 == n ? left
                                   : (uint32_t)g_test_rand_int_range(
                                         1, MIN(left, 3000) + 1);

        if (*at + part > 2 * DRIVER_REGION_BYTES) {
            *at = BUFFERS_AT;
        }
        parts[i] = (DriverPart) { .guest_addr = *at, .bytes = part };
        *at += part;
        left -= part;
    }
    return i;
}

static bool toss(void)
{
    return g_test_rand_bit();
}

/* Post what bed->bytes has, and fetch it. */
static const VringChain *send_frame(Bed *bed, uint32_t bytes)
{
    DriverPart parts[MAX_PARTS];
    unsigned n = cut(parts, toss() ? 1 : g_test_rand_int_range(1, 40), bytes,
                     &bed->from_at);
    const uint8_t *next = bed->bytes;

    for (unsigned i = 0; i < n; i++) {
        memcpy(driver_at(bed->from, parts[i].guest_addr), next,
               parts[i].bytes);
        next += parts[i].bytes;
    }
    g_assert_cmpint(driver_post(bed->from, parts, n, toss(), TABLE_AT), >=, 0);
    g_assert_cmpuint(vring_fetch(&bed->tx, &bed->out, 1), ==, 1);
    return &bed->out.chain[0];
}

static void post_buffers(Bed *bed, bool mergeable)
{
    for (unsigned i = 0; i < 50; i++) {
        DriverPart parts[MAX_PARTS];
        uint32_t bytes = mergeable ? g_test_rand_int_range(12, 4000)
                                   : g_test_rand_int_range(12, 20000);
        unsigned n = cut(parts, toss() ? 1 : 20, bytes, &bed->to_at);

        /* Chains that follow each other share the table, so none has one. */
        if (driver_post(bed->to, parts, n, false, 0) < 0) {
            return;
        }
    }
}

/* What the guest finds in the chains that were written, header first. */
static uint32_t collect(Bed *bed, unsigned n, uint8_t *to)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < n; i++) {
        const VringChain *c = &bed->in.chain[i];
        uint32_t left = bed->written[i];

        for (unsigned k = 0; k < c->segments && left > 0; k++) {
            const VringSegment *s = &bed->in.segment[c->first + k];
            uint32_t part = MIN(left, s->bytes);

            memcpy(to + sum, s->data, part);
            sum += part;
            left -= part;
        }
        g_assert_cmpuint(left, ==, 0);
    }
    return sum;
}

/* Give everything back to both drivers. */
static void finish(Bed *bed, unsigned received)
{
    uint32_t written;

    vring_complete(&bed->tx, &bed->out, 1, NULL);
    g_assert_cmpint(driver_reap(bed->from, &written), >=, 0);
    if (received > 0) {
        vring_complete(&bed->rx, &bed->in, received, bed->written);
        while (driver_reap(bed->to, &written) >= 0) {
        }
    }
}

static uint64_t room(const Bed *bed)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < bed->in.n; i++) {
        sum += bed->in.chain[i].bytes;
    }
    return sum;
}

static void test_any(const void *opaque)
{
    bool packed = GPOINTER_TO_INT(opaque);
    long rounds = g_test_slow() ? ROUNDS_SLOW : ROUNDS;
    Bed *bed = bed_new(packed);
    uint8_t *got = g_malloc(1 << 20);
    unsigned written = 0;

    bed->from_at = bed->to_at = BUFFERS_AT;
    for (long i = 0; i < rounds; i++) {
        bool mergeable = toss();
        FrameFormat in = {
            .vnet_bytes = mergeable || toss() ? 12 : 10,
            .mergeable = mergeable,
        };
        unsigned vnet_bytes = toss() ? 12 : 10, at = 0;
        uint32_t bytes = toss() ? g_test_rand_int_range(0, 200)
                                : g_test_rand_int_range(0, 66000);
        const VringChain *chain;
        FrameWritten result;
        Frame f;

        for (uint32_t k = 0; k < bytes + vnet_bytes; k++) {
            bed->bytes[k] = g_test_rand_int();
        }
        chain = send_frame(bed, bytes + vnet_bytes);
        if (!frame_read(&f, &bed->out, chain, vnet_bytes)) {
            g_assert_cmpuint(bytes, <, FRAME_MIN_BYTES);
            finish(bed, 0);
            continue;
        }
        g_assert_cmpuint(f.bytes, ==, bytes);
        g_assert_cmpmem(f.head, f.head_bytes, bed->bytes + vnet_bytes,
                        MIN(bytes, FRAME_HEAD_BYTES));
        g_assert_cmpmem(&f.vnet, 10, bed->bytes, 10);

        post_buffers(bed, mergeable);
        vring_fetch(&bed->rx, &bed->in, VRING_BURST);
        result = frame_write(&f, &bed->in, &at, in, &bed->to->mem,
                             bed->written);
        if (result == FRAME_WRITTEN) {
            uint16_t buffers;

            g_assert_cmpuint(collect(bed, at, got), ==, in.vnet_bytes + bytes);
            g_assert_cmpmem(got, 10, bed->bytes, 10);
            memcpy(&buffers, got + 10, 2);
            if (in.vnet_bytes == 12) {
                g_assert_cmpuint(buffers, ==, at);
            }
            g_assert_cmpmem(got + in.vnet_bytes, bytes,
                            bed->bytes + vnet_bytes, bytes);
            written++;
        } else {
            g_assert_cmpuint(at, ==, 0);
            g_assert_true(mergeable ? result == FRAME_NO_ROOM &&
                                      room(bed) < in.vnet_bytes + bytes
                                    : result == FRAME_TOO_LONG &&
                                      bed->in.chain[0].bytes <
                                      in.vnet_bytes + bytes);
            at = 1;             /* or the same buffer would be there again */
            bed->written[0] = 0;
        }
        finish(bed, at);
    }
    g_test_message("%u of %ld frames written", written, rounds);
    g_assert_cmpuint(written, >, rounds / 3);
    g_free(got);
    bed_free(bed);
}

/* Nothing is available. */
static void test_no_room(void)
{
    Bed *bed = bed_new(false);
    FrameFormat format = { .vnet_bytes = 12 };
    unsigned at = 0;
    Frame f;

    bed->from_at = bed->to_at = BUFFERS_AT;
    g_assert_true(frame_read(&f, &bed->out, send_frame(bed, 100), 12));
    vring_fetch(&bed->rx, &bed->in, VRING_BURST);
    g_assert_cmpint(frame_write(&f, &bed->in, &at, format, &bed->to->mem,
                                bed->written), ==, FRAME_NO_ROOM);
    bed_free(bed);
}

/* A sender that writes over its head after it was read. */
static void test_head_stays(void)
{
    Bed *bed = bed_new(false);
    DriverPart part = { BUFFERS_AT, 2000 };
    FrameFormat format = { .vnet_bytes = 12 };
    uint8_t *sent = driver_at(bed->from, BUFFERS_AT), *got;
    unsigned at = 0;
    Frame f;

    memset(sent, 1, 2000);
    driver_post(bed->from, &part, 1, false, 0);
    vring_fetch(&bed->tx, &bed->out, 1);
    g_assert_true(frame_read(&f, &bed->out, &bed->out.chain[0], 12));
    memset(sent, 2, 2000);
    driver_post(bed->to, &part, 1, false, 0);
    vring_fetch(&bed->rx, &bed->in, 1);
    g_assert_cmpint(frame_write(&f, &bed->in, &at, format, &bed->to->mem,
                                bed->written), ==, FRAME_WRITTEN);
    got = driver_at(bed->to, BUFFERS_AT);
    for (unsigned i = 0; i < 2000; i++) {
        if (i != 10 && i != 11) {           /* num_buffers */
            g_assert_cmpint(got[i], ==, i < 12 + FRAME_HEAD_BYTES ? 1 : 2);
        }
    }
    bed_free(bed);
}

/* Each page that was written to is noted, and no other. */
static void test_dirty(void)
{
    Bed *bed = bed_new(false);
    DriverPart parts[] = { { BUFFERS_AT + 4000, 200 },
                           { BUFFERS_AT + 5 * 4096, 4096 },
                           { BUFFERS_AT + 9 * 4096, 4096 } };
    FrameFormat format = { .vnet_bytes = 12 };
    uint8_t bits[2 * DRIVER_REGION_BYTES / GUEST_LOG_PAGE_BYTES / 8] = { 0 };
    unsigned at = 0, first = BUFFERS_AT / GUEST_LOG_PAGE_BYTES;
    Frame f;

    bed->from_at = BUFFERS_AT;
    g_assert_true(frame_read(&f, &bed->out, send_frame(bed, 2012), 12));
    driver_post(bed->to, parts, 3, false, 0);
    vring_fetch(&bed->rx, &bed->in, 1);
    bed->to->mem.log = bits;
    bed->to->mem.log_pages = sizeof(bits) * 8;
    g_assert_cmpint(frame_write(&f, &bed->in, &at, format, &bed->to->mem,
                                bed->written), ==, FRAME_WRITTEN);
    for (unsigned page = 0; page < sizeof(bits) * 8; page++) {
        bool expected = page == first || page == first + 1 || page == first + 5;

        g_assert_cmpint(bits[page / 8] >> page % 8 & 1, ==, expected);
    }
    bed->to->mem.log = NULL;
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/vus-frame/any/split", GINT_TO_POINTER(false),
                         test_any);
    g_test_add_data_func("/vus-frame/any/packed", GINT_TO_POINTER(true),
                         test_any);
    g_test_add_func("/vus-frame/no-room", test_no_room);
    g_test_add_func("/vus-frame/head-stays", test_head_stays);
    g_test_add_func("/vus-frame/dirty", test_dirty);
    return g_test_run();
}
