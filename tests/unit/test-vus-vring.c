/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rings from both sides: what a driver posts, the device fetches, in order and
 * whole; what the device completes, the driver reaps; no kick is lost.
 *
 * Threads: single.
 */
#include <string.h>

#include "vring-driver.h"

#define ROUNDS 60000
#define ROUNDS_SLOW 2000000
#define TABLES_AT 0xb0000u          /* of indirect descriptors, in low memory */
#define MAX_PARTS 64                    /* of a chain */
#define TABLE_BYTES (MAX_PARTS * 16)
#define TABLES 256

typedef struct Shape {
    VringKind kind;
    bool packed;
    bool event_idx;
    unsigned size;
} Shape;

/* What was posted and not fetched to its end yet. */
typedef struct Posted {
    int id;
    unsigned n;
    DriverPart part[MAX_PARTS];
} Posted;

typedef struct Bed {
    Driver *d;
    Vring r;
    GQueue *posted;             /* of Posted, oldest first */
    GQueue *completed;          /* of Posted, with part[0].bytes written */
    bool asked;                 /* the driver waits for a kick */
    bool is_new;                /* the device does not know what was kicked */
    unsigned table;
} Bed;

static Bed *bed_new(const Shape *s, uint32_t base)
{
    g_autoptr(GError) error = NULL;
    Bed *bed = g_new0(Bed, 1);

    bed->d = driver_new(s->kind, s->packed, s->event_idx, s->size);
    vring_start(&bed->r, &bed->d->spec, &bed->d->mem, base, &error);
    g_assert_no_error(error);
    bed->posted = g_queue_new();
    bed->completed = g_queue_new();
    return bed;
}

static void bed_free(Bed *bed)
{
    g_queue_free_full(bed->posted, g_free);
    g_queue_free_full(bed->completed, g_free);
    driver_free(bed->d);
    g_free(bed);
}

static DriverPart random_part(void)
{
    uint32_t bytes = g_test_rand_int_range(1, 2000);
    uint64_t region = g_test_rand_bit() ? DRIVER_REGION_BYTES : 0;

    uint32_t at = g_test_rand_int_range(0, DRIVER_REGION_BYTES - 2000);

    if (g_test_rand_int_range(0, 8) == 0) {
        at = DRIVER_REGION_BYTES - bytes;       /* up to its very end */
    }
    return (DriverPart) { .guest_addr = region + at, .bytes = bytes };
}

static void do_post(Bed *bed)
{
    Posted *p = g_new0(Posted, 1);
    bool indirect = g_test_rand_int_range(0, 4) == 0;
    unsigned max = MIN(bed->d->spec.size, MAX_PARTS);

    p->n = g_test_rand_bit() ? 1 : g_test_rand_int_range(1, max + 1);
    for (unsigned i = 0; i < p->n; i++) {
        p->part[i] = random_part();
    }
    p->id = driver_post(bed->d, p->part, p->n, indirect,
                        TABLES_AT + bed->table++ % TABLES * TABLE_BYTES);
    if (p->id < 0) {
        g_free(p);
    } else {
        g_queue_push_tail(bed->posted, p);
    }
}

/* The segments of @chain are those of @p. */
static void check_chain(Bed *bed, const VringBurst *b, const VringChain *chain,
                        const Posted *p)
{
    uint32_t sum = 0;

    g_assert_cmpint(chain->id, ==, p->id);
    g_assert_cmpint(chain->segments, ==, p->n);
    for (unsigned i = 0; i < p->n; i++) {
        const VringSegment *s = &b->segment[chain->first + i];
        unsigned hint = 0;

        g_assert_cmpuint(s->bytes, ==, p->part[i].bytes);
        g_assert_true(s->data == guest_mem_at(&bed->d->mem, &hint,
                                              p->part[i].guest_addr,
                                              s->bytes));
        sum += s->bytes;
    }
    g_assert_cmpuint(chain->bytes, ==, sum);
}

static void do_serve(Bed *bed, VringBurst *b)
{
    unsigned max = g_test_rand_int_range(1, VRING_BURST + 1), n;
    unsigned there = g_queue_get_length(bed->posted);
    uint32_t written[VRING_BURST];
    GList *l = bed->posted->head;

    g_assert_cmpuint(vring_fetch(&bed->r, b, max), ==, b->n);
    g_assert_cmpint(bed->r.error, ==, VRING_OK);
    g_assert_cmpuint(b->n, <=, MIN(max, there));
    /* It stops early for long chains only. */
    g_assert_true(b->n == MIN(max, there) || b->segments > VRING_BURST);
    for (unsigned i = 0; i < b->n; i++, l = l->next) {
        check_chain(bed, b, &b->chain[i], l->data);
    }
    /* The rest is fetched again. */
    n = b->n ? g_test_rand_int_range(0, b->n + 1) : 0;
    if (n == 0) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        Posted *p = g_queue_pop_head(bed->posted);

        written[i] = p->part[0].bytes = g_test_rand_int_range(1, 1 << 20);
        g_queue_push_tail(bed->completed, p);
    }
    vring_complete(&bed->r, b, n, written);
}

static void do_reap(Bed *bed)
{
    unsigned n = g_test_rand_int_range(0, 40);
    uint32_t written;

    while (n-- && !g_queue_is_empty(bed->completed)) {
        Posted *p = g_queue_pop_head(bed->completed);

        g_assert_cmpint(driver_reap(bed->d, &written), ==, p->id);
        g_assert_cmpuint(written, ==, p->part[0].bytes);
        g_free(p);
    }
    if (g_queue_is_empty(bed->completed)) {
        g_assert_cmpint(driver_reap(bed->d, &written), ==, -1);
    }
}

/*
 * A driver that asks and sees nothing new sleeps: then the device must kick for
 * the next chain.  It may kick more often, but not when asked not to.
 */
static void do_kick(Bed *bed)
{
    bool wants = vring_wants_kick(&bed->r);

    if (bed->asked && !g_queue_is_empty(bed->completed)) {
        g_assert_true(wants);
        bed->asked = false;
        driver_ask_kick(bed->d, false);
    } else if (!bed->asked && !bed->is_new) {
        g_assert_false(wants);
    }
    bed->is_new = false;
    if (!bed->asked && g_queue_is_empty(bed->completed) && g_test_rand_bit()) {
        driver_ask_kick(bed->d, true);
        bed->asked = true;
    }
}

/* The same the other way round. */
static void check_ask(Bed *bed)
{
    bool there = !g_queue_is_empty(bed->posted);

    g_assert_false(vring_ask_kicks(&bed->r, false));
    g_assert_cmpint(vring_ask_kicks(&bed->r, true), ==, there);
    if (!there) {
        do_post(bed);
        if (!g_queue_is_empty(bed->posted)) {
            g_assert_true(driver_wants_kick(bed->d));
        }
    }
}

static void test_model(const void *opaque)
{
    const Shape *s = opaque;
    long rounds = g_test_slow() ? ROUNDS_SLOW : ROUNDS;
    Bed *bed = bed_new(s, s->packed ? 0x8000 : 0);
    VringBurst *b = g_new(VringBurst, 1);

    memset(b, 0xa5, sizeof(*b));
    driver_ask_kick(bed->d, false);
    for (long i = 0; i < rounds; i++) {
        switch (g_test_rand_int_range(0, 8)) {
        case 0 ... 2:
            do_post(bed);
            break;
        case 3 ... 4:
            do_serve(bed, b);
            do_kick(bed);
            break;
        case 5 ... 6:
            do_reap(bed);
            break;
        default:
            check_ask(bed);
            break;
        }
        /* Another device goes on from here. */
        if (g_test_rand_int_range(0, 50) == 0) {
            uint32_t base = vring_base(&bed->r);
            g_autoptr(GError) error = NULL;

            if (!s->packed) {
                g_assert_cmpuint(base, ==, vring_used_base(&bed->r));
            }
            vring_start(&bed->r, &bed->d->spec, &bed->d->mem, base, &error);
            g_assert_no_error(error);
            bed->is_new = true;
        }
    }
    g_free(b);
    bed_free(bed);
}

/* -- One thing each -------------------------------------------------------- */

/* What was written to is noted: the ring; chains are the caller's. */
static void test_dirty(const void *opaque)
{
    const Shape *s = opaque;
    Bed *bed = bed_new(s, s->packed ? 0x8000 : 0);
    VringBurst *b = g_new(VringBurst, 1);
    uint8_t bits[2 * DRIVER_REGION_BYTES / GUEST_LOG_PAGE_BYTES / 8] = { 0 };
    uint64_t used_at = bed->d->spec.used_user_addr - DRIVER_USER_OFFSET;
    uint32_t written = 1;
    unsigned page;

    if (s->packed) {
        used_at = bed->d->spec.desc_user_addr - DRIVER_USER_OFFSET;
    }
    bed->d->mem.log = bits;
    bed->d->mem.log_pages = sizeof(bits) * 8;
    bed->r.used_guest_addr = used_at;
    bed->r.log_used = true;
    page = used_at / GUEST_LOG_PAGE_BYTES;

    do_post(bed);
    while (vring_fetch(&bed->r, b, 1) == 0) {
        do_post(bed);
    }
    g_assert_cmpint(bits[page / 8], ==, 0);
    vring_complete(&bed->r, b, 1, &written);
    g_assert_true(bits[page / 8] & 1 << page % 8);
    bed->d->mem.log = NULL;
    g_free(b);
    bed_free(bed);
}

static void expect_no_start(const VringSpec *spec, const GuestMem *mem,
                            uint32_t base, const char *message)
{
    g_autoptr(GError) error = NULL;
    Vring r = { .size = 77 };

    g_assert_false(vring_start(&r, spec, mem, base, &error));
    g_assert_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_PEER);
    g_assert_nonnull(strstr(error->message, message));
    g_assert_cmpint(r.size, ==, 77);
}

static void test_no_start(void)
{
    Driver *split = driver_new(VRING_TX, false, false, 256);
    Driver *packed = driver_new(VRING_TX, true, false, 100);
    VringSpec spec = split->spec;

    for (unsigned i = 0; i < 3; i++) {
        static const uint32_t sizes[] = { 0, 255, VRING_MAX_SIZE * 2 };

        spec.size = sizes[i];
        expect_no_start(&spec, &split->mem, 0, "descriptors cannot be");
    }
    spec = split->spec;
    expect_no_start(&spec, &split->mem, 0x10000, "cannot start");
    expect_no_start(&packed->spec, &packed->mem, 100, "cannot start");
    expect_no_start(&packed->spec, &packed->mem, 0x8000 | 100, "cannot start");

    spec.desc_user_addr = 0;
    expect_no_start(&spec, &split->mem, 0, "descriptor table");
    spec = split->spec;
    spec.avail_user_addr = DRIVER_USER_OFFSET + DRIVER_REGION_BYTES - 6;
    expect_no_start(&spec, &split->mem, 0, "avail ring");
    spec = split->spec;
    spec.used_user_addr = DRIVER_USER_OFFSET + 2 * DRIVER_REGION_BYTES;
    expect_no_start(&spec, &split->mem, 0, "used ring");
    spec.used_user_addr = UINT64_MAX;
    expect_no_start(&spec, &split->mem, 0, "used ring");
    spec = split->spec;
    spec.used_user_addr++;
    expect_no_start(&spec, &split->mem, 0, "not aligned");
    spec = packed->spec;
    spec.used_user_addr = 3;
    expect_no_start(&spec, &packed->mem, 0, "device event");
    driver_free(split);
    driver_free(packed);
}

/* -- All shapes ------------------------------------------------------------ */

static void add_for_shapes(const char *what, GTestDataFunc run)
{
    static const unsigned sizes[2][3] = { { 1, 64, 1024 }, { 1, 100, 1024 } };

    for (unsigned i = 0; i < 2 * 2 * 2 * 3; i++) {
        Shape *s = g_new(Shape, 1);
        g_autofree char *path = NULL;

        *s = (Shape) {
            .kind = i & 1 ? VRING_TX : VRING_RX,
            .packed = i & 2,
            .event_idx = i & 4,
            .size = sizes[!!(i & 2)][i / 8],
        };
        path = g_strdup_printf("/vus-vring/%s/%s-%s%s-%u", what,
                               s->packed ? "packed" : "split",
                               s->kind == VRING_TX ? "tx" : "rx",
                               s->event_idx ? "-event-idx" : "", s->size);
        g_test_add_data_func_full(path, s, run, g_free);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_for_shapes("model", test_model);
    add_for_shapes("dirty", test_dirty);
    g_test_add_func("/vus-vring/no-start", test_no_start);
    return g_test_run();
}
