/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames into a ring that has buffers for all of them, some of them or none.
 *
 * Threads: single.
 */
#include <string.h>

#include "egress-ring.h"
#include "vring-driver.h"

#define RING_SIZE 256
#define BUFFERS_AT DRIVER_REGION_BYTES
#define FRAMES 200
#define FRAME_BYTES 600

typedef struct Bed {
    Driver *d;
    Vring ring;
    FrameFormat format;
    VringBurst scratch;
    PortCounters counters;
    Frame frame[FRAMES];
    VringSegment rest[FRAMES];
    uint8_t data[FRAMES][FRAME_BYTES];
    const Frame *all[FRAMES];
    uint32_t buffer_bytes;
    unsigned posted;
} Bed;

static Bed *bed_new(bool packed, bool mergeable)
{
    g_autoptr(GError) error = NULL;
    Bed *bed = g_new0(Bed, 1);

    bed->d = driver_new(VRING_RX, packed, false, RING_SIZE);
    vring_start(&bed->ring, &bed->d->spec, &bed->d->mem, packed ? 0x8000 : 0,
                &error);
    g_assert_no_error(error);
    bed->format = (FrameFormat) { FRAME_VNET_BYTES, mergeable };
    for (unsigned i = 0; i < FRAMES; i++) {
        Frame *f = &bed->frame[i];

        memset(bed->data[i], i, FRAME_BYTES);
        bed->rest[i] = (VringSegment) { bed->data[i], FRAME_BYTES };
        *f = (Frame) {
            .bytes = FRAME_BYTES, .head_bytes = FRAME_HEAD_BYTES,
            .rest = &bed->rest[i], .rest_offset = FRAME_HEAD_BYTES,
        };
        memset(f->head, i, FRAME_HEAD_BYTES);
        bed->all[i] = f;
    }
    return bed;
}

static void bed_free(Bed *bed)
{
    driver_free(bed->d);
    g_free(bed);
}

static unsigned deliver(Bed *bed, unsigned n)
{
    return egress_ring(&bed->ring, bed->format, bed->all, n, &bed->scratch,
                       &bed->counters);
}

static void post(Bed *bed, unsigned n, uint32_t bytes)
{
    bed->buffer_bytes = bytes;
    for (unsigned i = 0; i < n; i++, bed->posted++) {
        DriverPart part = {
            .guest_addr = BUFFERS_AT + bed->posted % RING_SIZE * 2048,
            .bytes = bytes,
        };

        g_assert_cmpint(driver_post(bed->d, &part, 1, false, 0), >=, 0);
    }
}

/* The guest has received frames @from to @to, in order; @buffers each. */
static void expect(Bed *bed, unsigned from, unsigned to, unsigned buffers,
                   unsigned *next)
{
    uint32_t written, sum;

    for (unsigned i = from; i < to; i++) {
        sum = 0;
        for (unsigned k = 0; k < buffers; k++, (*next)++) {
            const uint8_t *data = driver_at(bed->d, BUFFERS_AT +
                                            *next % RING_SIZE * 2048);

            g_assert_cmpint(driver_reap(bed->d, &written), >=, 0);
            sum += written;
            g_assert_cmpint(data[written - 1], ==, (uint8_t)i);
            if (k == 0) {
                g_assert_cmpint(data[10], ==, buffers);
            }
        }
        g_assert_cmpuint(sum, ==, FRAME_VNET_BYTES + FRAME_BYTES);
    }
    g_assert_cmpint(driver_reap(bed->d, &written), ==, -1);
}

static void check_drops(const Bed *bed, uint64_t full, uint64_t too_short)
{
    g_assert_cmpuint(bed->counters.drops[DROP_RX_FULL], ==, full);
    g_assert_cmpuint(bed->counters.drops[DROP_RX_SHORT], ==, too_short);
}

/* More than a burst; then more than there are buffers; then none. */
static void test_room(const void *opaque)
{
    Bed *bed = bed_new(GPOINTER_TO_INT(opaque), false);
    unsigned next = 0;

    post(bed, 250, 1600);
    g_assert_cmpuint(deliver(bed, FRAMES), ==, FRAMES);
    expect(bed, 0, FRAMES, 1, &next);
    check_drops(bed, 0, 0);
    g_assert_cmpuint(deliver(bed, FRAMES), ==, 50);
    expect(bed, 0, 50, 1, &next);
    check_drops(bed, 150, 0);
    g_assert_cmpuint(deliver(bed, 7), ==, 0);
    check_drops(bed, 157, 0);
    g_assert_cmpuint(deliver(bed, 0), ==, 0);
    bed_free(bed);
}

/* Seven buffers a frame: more than as many as there are frames. */
static void test_merge(const void *opaque)
{
    Bed *bed = bed_new(GPOINTER_TO_INT(opaque), true);
    unsigned next = 0;

    post(bed, 255, 90);
    g_assert_cmpuint(deliver(bed, 1), ==, 1);
    expect(bed, 0, 1, 7, &next);
    g_assert_cmpuint(deliver(bed, 5), ==, 5);
    expect(bed, 0, 5, 7, &next);
    /* 255 - 42 buffers are left, and three of them are too few. */
    g_assert_cmpuint(deliver(bed, 40), ==, 30);
    expect(bed, 0, 30, 7, &next);
    check_drops(bed, 10, 0);
    bed_free(bed);
}

/* Without merging, a buffer that is too short stays for shorter frames. */
static void test_too_short(const void *opaque)
{
    Bed *bed = bed_new(GPOINTER_TO_INT(opaque), false);
    unsigned next = 0;

    post(bed, 2, FRAME_VNET_BYTES + FRAME_BYTES - 1);
    g_assert_cmpuint(deliver(bed, 3), ==, 0);
    check_drops(bed, 0, 3);
    bed->frame[1].bytes--;
    g_assert_cmpuint(deliver(bed, 3), ==, 1);
    check_drops(bed, 0, 5);
    bed->frame[1].bytes++;
    g_assert_cmpint(driver_reap(bed->d, &next), >=, 0);
    g_assert_cmpuint(next, ==, FRAME_VNET_BYTES + FRAME_BYTES - 1);
    bed_free(bed);
}

/* What comes before the lie is delivered. */
static void test_lie(const void *opaque)
{
    Bed *bed = bed_new(GPOINTER_TO_INT(opaque), false);
    DriverPart bad = { .guest_addr = UINT64_MAX, .bytes = 2 };
    unsigned next = 0;

    post(bed, 3, 1600);
    driver_post(bed->d, &bad, 1, false, 0);
    post(bed, 3, 1600);
    g_assert_cmpuint(deliver(bed, 7), ==, 3);
    g_assert_cmpint(bed->ring.error, ==, VRING_BAD_ADDRESS);
    expect(bed, 0, 3, 1, &next);
    check_drops(bed, 4, 0);
    bed_free(bed);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc run;
    } tests[] = {
        { "room", test_room }, { "merge", test_merge },
        { "too-short", test_too_short }, { "lie", test_lie },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        for (int packed = 0; packed < 2; packed++) {
            g_autofree char *path =
                g_strdup_printf("/vus-egress-ring/%s/%s", tests[i].name,
                                packed ? "packed" : "split");

            g_test_add_data_func(path, GINT_TO_POINTER(packed), tests[i].run);
        }
    }
    return g_test_run();
}
