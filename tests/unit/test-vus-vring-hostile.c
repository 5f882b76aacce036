/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drivers that lie: each lie has a name, the chains before it are served, and
 * nothing outside the guest's memory is ever named.
 *
 * Threads: a second one writes to the ring in test_flips().
 */
#include <string.h>

#include "vring-driver.h"

#define SIZE 64
#define TABLE_AT 0xb0000u
#define GOOD_AT 0x1000u
#define FLIP_WAIT_S 60
#define FLIP_FETCHES 3000000

typedef struct Bed {
    Driver *d;
    Vring r;
    VringBurst b;
} Bed;

static Bed *bed_new(VringKind kind, bool packed)
{
    g_autoptr(GError) error = NULL;
    Bed *bed = g_new0(Bed, 1);

    bed->d = driver_new(kind, packed, false, SIZE);
    vring_start(&bed->r, &bed->d->spec, &bed->d->mem, packed ? 0x8000 : 0,
                &error);
    g_assert_no_error(error);
    return bed;
}

static void bed_free(Bed *bed)
{
    driver_free(bed->d);
    g_free(bed);
}

static void post_good(Bed *bed)
{
    DriverPart part = { .guest_addr = GOOD_AT, .bytes = 100 };

    g_assert_cmpint(driver_post(bed->d, &part, 1, false, 0), >=, 0);
}

/* -- A lie each ------------------------------------------------------------ */

/* Two good chains, then this one; @d is what it is made of. */
typedef struct Lie {
    const char *name;
    bool split, packed;             /* where it can be told */
    struct {
        uint64_t addr;
        uint32_t bytes;
        uint16_t flags;
        uint16_t next;              /* split only: a descriptor's number */
    } desc[3];
    VringError error;
    /* Entries of a table at TABLE_AT; addresses are good. */
    struct {
        uint16_t flags;
        uint16_t next;
    } table[3];
    uint16_t head;                  /* split; 0: SIZE - 1, where desc[0] is */
} Lie;

#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT
#define W VRING_DESC_F_WRITE
#define END (2ull * DRIVER_REGION_BYTES)
/* desc[i] of a split ring is the descriptor SIZE - 1 - i. */
#define AT(i) (SIZE - 1 - (i))

static const Lie lies[] = {
    { "head", true, false, { { GOOD_AT, 1, 0, 0 } }, .error = VRING_BAD_HEAD,
      .head = SIZE },
    { "head-65535", true, false, { { GOOD_AT, 1, 0, 0 } },
      .error = VRING_BAD_HEAD,
      .head = UINT16_MAX },
    { "next", true, false, { { GOOD_AT, 1, N, SIZE } },
      .error = VRING_BAD_NEXT },
    { "next-65535", true, false, { { GOOD_AT, 1, N, UINT16_MAX } },
      .error = VRING_BAD_NEXT },
    { "loop-to-itself", true, false, { { GOOD_AT, 1, N, AT(0) } },
      .error = VRING_BAD_LOOP },
    { "loop", true, false,
      { { GOOD_AT, 1, N, AT(1) }, { GOOD_AT, 1, N, AT(0) } },
      .error = VRING_BAD_LOOP },
    { "behind-memory", true, true, { { END, 1, 0, 0 } },
      .error = VRING_BAD_ADDRESS },
    { "over-the-end", true, true, { { END - 99, 100, 0, 0 } },
      .error = VRING_BAD_ADDRESS },
    { "over-two-regions", true, true, { { DRIVER_REGION_BYTES - 1, 2, 0, 0 } },
      .error = VRING_BAD_ADDRESS },
    { "address-wraps", true, true, { { UINT64_MAX, 2, 0, 0 } },
      .error = VRING_BAD_ADDRESS },
    { "length-wraps", true, true, { { GOOD_AT, UINT32_MAX, 0, 0 } },
      .error = VRING_BAD_ADDRESS },
    { "second-behind-memory", true, true,
      { { GOOD_AT, 1, N, AT(1) }, { END, 1, 0, 0 } },
      .error = VRING_BAD_ADDRESS },
    { "writable", true, true, { { GOOD_AT, 1, W, 0 } },
      .error = VRING_BAD_DIRECTION },
    { "second-writable", true, true,
      { { GOOD_AT, 1, N, AT(1) }, { GOOD_AT, 1, W, 0 } },
      .error = VRING_BAD_DIRECTION },
    { "indirect-empty", true, true, { { TABLE_AT, 0, I, 0 } },
      .error = VRING_BAD_INDIRECT },
    { "indirect-cut", true, true, { { TABLE_AT, 17, I, 0 } },
      .error = VRING_BAD_INDIRECT },
    { "indirect-continued", true, true,
      { { TABLE_AT, 16, I | N, AT(1) }, { GOOD_AT, 1, 0, 0 } },
      .error = VRING_BAD_INDIRECT },
    { "indirect-behind-memory", true, true, { { END, 16, I, 0 } },
      .error = VRING_BAD_ADDRESS },
    { "indirect-too-long", true, true,
      { { TABLE_AT, UINT32_MAX & ~15u, I, 0 } },
      .error = VRING_BAD_ADDRESS },
    { "indirect-nested", true, true, { { TABLE_AT, 16, I, 0 } },
      .error = VRING_BAD_INDIRECT, .table = { { I, 0 } } },
    { "indirect-writable", true, true, { { TABLE_AT, 32, I, 0 } },
      .error = VRING_BAD_DIRECTION, .table = { { N, 1 }, { W, 0 } } },
    { "indirect-next", true, false, { { TABLE_AT, 32, I, 0 } },
      .error = VRING_BAD_NEXT, .table = { { N, 2 } } },
    { "indirect-loop", true, false, { { TABLE_AT, 48, I, 0 } },
      .error = VRING_BAD_LOOP, .table = { { N, 1 }, { N, 2 }, { N, 0 } } },
    { "indirect-not-last", false, true,
      { { GOOD_AT, 1, N, 0 }, { TABLE_AT, 16, I, 0 } },
      .error = VRING_BAD_INDIRECT },
};

#undef N
#undef I
#undef W

static void fill_table(Driver *d, const Lie *lie, bool packed)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(lie->table); i++) {
        uint8_t *at = driver_at(d, TABLE_AT + 16 * i);

        if (packed) {
            *(struct vring_packed_desc *)at = (struct vring_packed_desc) {
                .addr = GOOD_AT, .len = 1, .flags = lie->table[i].flags,
            };
        } else {
            *(struct vring_desc *)at = (struct vring_desc) {
                .addr = GOOD_AT, .len = 1, .flags = lie->table[i].flags,
                .next = lie->table[i].next,
            };
        }
    }
}

static void tell_split(Driver *d, const Lie *lie)
{
    struct vring_avail *avail = d->at.split.avail;

    for (unsigned i = 0; i < G_N_ELEMENTS(lie->desc); i++) {
        d->at.split.desc[AT(i)] = (struct vring_desc) {
            .addr = lie->desc[i].addr, .len = lie->desc[i].bytes,
            .flags = lie->desc[i].flags, .next = lie->desc[i].next,
        };
    }
    avail->ring[d->avail_next++ % SIZE] = lie->head ?: AT(0);
    avail->idx = d->avail_next;
}

static void tell_packed(Driver *d, const Lie *lie)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(lie->desc); i++) {
        d->at.packed.desc[d->avail_next + i] = (struct vring_packed_desc) {
            .addr = lie->desc[i].addr, .len = lie->desc[i].bytes,
            .flags = lie->desc[i].flags | 1 << VRING_PACKED_DESC_F_AVAIL,
        };
    }
}

static void check_lie(const Lie *lie, bool packed)
{
    Bed *bed = bed_new(VRING_TX, packed);

    /* As descriptors are taken at random, good chains may stand in the way of
     * the lie's; so they are served first. */
    post_good(bed);
    post_good(bed);
    g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 2), ==, 2);
    vring_complete(&bed->r, &bed->b, 2, NULL);

    fill_table(bed->d, lie, packed);
    if (packed) {
        tell_packed(bed->d, lie);
    } else {
        tell_split(bed->d, lie);
    }
    g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 64), ==, 0);
    g_assert_cmpstr(vring_error_name(bed->r.error), ==,
                    vring_error_name(lie->error));
    /* And so for ever. */
    g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 64), ==, 0);
    bed_free(bed);
}

static void test_lie_split(const void *opaque)
{
    check_lie(opaque, false);
}

static void test_lie_packed(const void *opaque)
{
    check_lie(opaque, true);
}

/* -- Others ---------------------------------------------------------------- */

/* Two good ones before a bad one, in one burst. */
static void test_inside_burst(const void *opaque)
{
    bool packed = GPOINTER_TO_INT(opaque);
    DriverPart bad = { .guest_addr = END, .bytes = 1 };
    Bed *bed = bed_new(VRING_RX, packed);
    uint32_t written[2] = { 5, 6 }, got;

    post_good(bed);
    post_good(bed);
    driver_post(bed->d, &bad, 1, false, 0);
    post_good(bed);
    g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 64), ==, 2);
    g_assert_cmpint(bed->r.error, ==, VRING_BAD_ADDRESS);
    vring_complete(&bed->r, &bed->b, 2, written);
    g_assert_cmpint(driver_reap(bed->d, &got), >=, 0);
    g_assert_cmpuint(got, ==, 5);
    g_assert_cmpint(driver_reap(bed->d, &got), >=, 0);
    g_assert_cmpuint(got, ==, 6);
    g_assert_cmpint(driver_reap(bed->d, &got), ==, -1);
    bed_free(bed);
}

static void test_avail_jump(void)
{
    Bed *bed = bed_new(VRING_TX, false);

    post_good(bed);
    bed->d->at.split.avail->idx = SIZE + 1;
    g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 64), ==, 0);
    g_assert_cmpint(bed->r.error, ==, VRING_BAD_AVAIL_JUMP);
    bed_free(bed);

    bed = bed_new(VRING_TX, false);
    post_good(bed);
    g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 64), ==, 1);
    vring_complete(&bed->r, &bed->b, 1, NULL);
    bed->d->at.split.avail->idx = 0;        /* backwards */
    g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 64), ==, 0);
    g_assert_cmpint(bed->r.error, ==, VRING_BAD_AVAIL_JUMP);
    bed_free(bed);
}

static void test_packed_id(void)
{
    Bed *bed = bed_new(VRING_TX, true);

    post_good(bed);
    bed->d->at.packed.desc[0].id = SIZE;
    g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 64), ==, 0);
    g_assert_cmpint(bed->r.error, ==, VRING_BAD_ID);
    bed_free(bed);
}

/* A chain that goes round the ring. */
static void test_packed_loop(void)
{
    Bed *bed = bed_new(VRING_TX, true);

    for (unsigned i = 0; i < SIZE; i++) {
        bed->d->at.packed.desc[i] = (struct vring_packed_desc) {
            .addr = GOOD_AT, .len = 1,
            .flags = VRING_DESC_F_NEXT | 1 << VRING_PACKED_DESC_F_AVAIL,
        };
    }
    g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 64), ==, 0);
    g_assert_cmpint(bed->r.error, ==, VRING_BAD_LOOP);
    bed_free(bed);
}

/* More segments, or bytes, than are served; both in a table. */
static void test_too_much(const void *opaque)
{
    bool packed = GPOINTER_TO_INT(opaque);

    for (int lengths = 0; lengths < 2; lengths++) {
        unsigned entries = lengths ? 5000 : VRING_MAX_SEGMENTS + 1;
        Bed *bed = bed_new(VRING_TX, packed);
        uint64_t table_at = DRIVER_REGION_BYTES;

        for (unsigned i = 0; i < entries; i++) {
            struct vring_desc d = {
                .addr = 0, .len = lengths ? DRIVER_REGION_BYTES : 1,
                .flags = VRING_DESC_F_NEXT, .next = i + 1,
            };

            memcpy(driver_at(bed->d, table_at + 16 * i), &d, 16);
            if (packed) {
                struct vring_packed_desc p = { .addr = 0, .len = d.len };

                memcpy(driver_at(bed->d, table_at + 16 * i), &p, 16);
            }
        }
        if (packed) {
            bed->d->at.packed.desc[0] = (struct vring_packed_desc) {
                .addr = table_at, .len = entries * 16,
                .flags = VRING_DESC_F_INDIRECT |
                         1 << VRING_PACKED_DESC_F_AVAIL,
            };
        } else {
            bed->d->at.split.desc[0] = (struct vring_desc) {
                .addr = table_at, .len = entries * 16,
                .flags = VRING_DESC_F_INDIRECT,
            };
            bed->d->at.split.avail->idx = 1;
        }
        g_assert_cmpuint(vring_fetch(&bed->r, &bed->b, 64), ==, 0);
        /* 1024 segments of 1 MiB are still 1 GiB: no 4 GiB chain fits. */
        g_assert_cmpint(bed->r.error, ==, VRING_BAD_LONG);
        bed_free(bed);
    }
}

/* A chain in a table of @entries, at @table_at. */
static void post_table(Bed *bed, uint64_t table_at, unsigned entries)
{
    g_autofree DriverPart *part = g_new(DriverPart, entries);

    for (unsigned i = 0; i < entries; i++) {
        part[i] = (DriverPart) { GOOD_AT, 1 };
    }
    g_assert_cmpint(driver_post(bed->d, part, entries, true, table_at), >=, 0);
}

/* As many segments as a burst has room for, in any order, and chains behind
 * them: they come with the next burst. */
static void test_full_burst(const void *opaque)
{
    static const unsigned first[] = { 1, 2, 32, 63, 64, 65, 1023, 1024 };
    const uint64_t tables[] = { DRIVER_REGION_BYTES,
                                DRIVER_REGION_BYTES + 16 * 1024 };

    for (unsigned i = 0; i < G_N_ELEMENTS(first); i++) {
        for (unsigned plain = 0; plain < 2; plain++) {
            Bed *bed = bed_new(VRING_TX, GPOINTER_TO_INT(opaque));
            unsigned chains = plain + 2, all = 0;

            if (plain) {
                post_good(bed);
            }
            post_table(bed, tables[0], first[i]);
            post_table(bed, tables[1], VRING_MAX_SEGMENTS);
            while (chains < SIZE) {
                post_good(bed);
                chains++;
            }
            while (vring_fetch(&bed->r, &bed->b, VRING_BURST) > 0) {
                g_assert_cmpuint(bed->b.segments, <=,
                                 G_N_ELEMENTS(bed->b.segment));
                all += bed->b.n;
                vring_complete(&bed->r, &bed->b, bed->b.n, NULL);
            }
            g_assert_cmpint(bed->r.error, ==, VRING_OK);
            g_assert_cmpuint(all, ==, SIZE);
            bed_free(bed);
        }
    }
}

/* -- While we look --------------------------------------------------------- */

typedef struct Flipper {
    Bed *bed;
    bool stop;
    GRand *random;
} Flipper;

/* Writes over the descriptors, the table and the avail ring. */
static void *flip(void *opaque)
{
    Flipper *f = opaque;
    Driver *d = f->bed->d;

    while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
        GRand *random = f->random;
        uint64_t *words = (void *)(g_rand_boolean(random)
                                   ? (uint8_t *)d->at.split.desc
                                   : d->low + TABLE_AT);
        unsigned at = 2 * g_rand_int_range(random, 0, SIZE);
        uint64_t addr = g_rand_int_range(random, 0, 2 * DRIVER_REGION_BYTES);
        uint64_t flags = g_rand_int(random) &
                         (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT |
                          1 << VRING_PACKED_DESC_F_AVAIL |
                          1 << VRING_PACKED_DESC_F_USED);
        uint64_t x = g_rand_int_range(random, 0, SIZE + 4);
        uint64_t bytes = 16 * g_rand_int_range(random, 0, 256);

        switch (g_rand_int_range(random, 0, 8)) {
        case 0:
            addr <<= 32;
            break;
        case 1:
            addr = TABLE_AT;
            break;
        }
        __atomic_store_n(&words[at], addr, __ATOMIC_RELAXED);
        __atomic_store_n(&words[at + 1], d->spec.packed
                         ? flags << 48 | x << 32 | bytes
                         : x << 48 | flags << 32 | bytes, __ATOMIC_RELAXED);
    }
    return NULL;
}

static bool within_memory(const Driver *d, const VringSegment *s)
{
    for (unsigned i = 0; i < d->mem.n; i++) {
        const GuestRegion *r = &d->mem.region[i];

        if (s->data >= r->host && s->data - r->host <= (ptrdiff_t)r->bytes &&
            s->bytes <= r->bytes - (s->data - r->host)) {
            return true;
        }
    }
    return false;
}

static void test_flips(const void *opaque)
{
    bool packed = GPOINTER_TO_INT(opaque);
    Bed *bed = bed_new(VRING_TX, packed);
    Flipper f = { .bed = bed, .random = g_rand_new_with_seed(
                      g_test_rand_int()) };
    GThread *thread = g_thread_new("flip", flip, &f);
    gint64 until_us = g_get_monotonic_time() + FLIP_WAIT_S * G_USEC_PER_SEC;
    unsigned served = 0, refused = 0;

    /* On a busy machine the other thread comes late, or all the time. */
    for (int i = 0; i < FLIP_FETCHES ||
         ((served == 0 || refused == 0) &&
          g_get_monotonic_time() < until_us); i++) {
        unsigned n;

        if (!packed) {
            bed->d->at.split.avail->idx = bed->r.next + SIZE;
        }
        n = vring_fetch(&bed->r, &bed->b, VRING_BURST);
        for (unsigned c = 0; c < n; c++) {
            const VringChain *chain = &bed->b.chain[c];

            g_assert_cmpuint(chain->id, <, SIZE);
            for (unsigned k = 0; k < chain->segments; k++) {
                g_assert_true(within_memory(
                    bed->d, &bed->b.segment[chain->first + k]));
            }
        }
        served += n;
        refused += bed->r.error != VRING_OK;
        bed->r.error = VRING_OK;
        if (n > 0) {
            vring_complete(&bed->r, &bed->b, n, NULL);
        }
    }
    __atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
    g_thread_join(thread);
    g_rand_free(f.random);
    g_test_message("%u chains served, %u refused", served, refused);
    g_assert_cmpuint(served, >, 0);
    g_assert_cmpuint(refused, >, 0);
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autofree char *split =
            g_strdup_printf("/vus-vring/split/%s", lies[i].name);
        g_autofree char *packed =
            g_strdup_printf("/vus-vring/packed/%s", lies[i].name);

        if (lies[i].split) {
            g_test_add_data_func(split, &lies[i], test_lie_split);
        }
        if (lies[i].packed) {
            g_test_add_data_func(packed, &lies[i], test_lie_packed);
        }
    }
    g_test_add_func("/vus-vring/split/avail-jump", test_avail_jump);
    g_test_add_func("/vus-vring/packed/id", test_packed_id);
    g_test_add_func("/vus-vring/packed/loop", test_packed_loop);
    for (int packed = 0; packed < 2; packed++) {
        const char *kind = packed ? "packed" : "split";
        void *opaque = GINT_TO_POINTER(packed);
        g_autofree char *burst =
            g_strdup_printf("/vus-vring/%s/inside-burst", kind);
        g_autofree char *much = g_strdup_printf("/vus-vring/%s/too-much", kind);
        g_autofree char *full =
            g_strdup_printf("/vus-vring/%s/full-burst", kind);
        g_autofree char *flips = g_strdup_printf("/vus-vring/%s/flips", kind);

        g_test_add_data_func(burst, opaque, test_inside_burst);
        g_test_add_data_func(much, opaque, test_too_much);
        g_test_add_data_func(full, opaque, test_full_burst);
        g_test_add_data_func(flips, opaque, test_flips);
    }
    return g_test_run();
}
