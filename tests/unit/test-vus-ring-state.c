/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packed ring whose device is lost, at any step of giving a burst back, goes
 * on as if nothing had happened: the driver gets every chain once, in order.
 *
 * A crash is made by doing the first steps of a burst only: the journal's and
 * the ring's memory are what they were, but for what those steps have written.
 *
 * Threads: single.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "ring-state.h"
#include "vring-driver.h"

#define MAX_SIZE 24
#define ROUNDS 3000
#define ROUNDS_SLOW 200000
#define FRESH 0x8000            /* base of a ring that was never used */

/* -- A ring, its driver and its device ------------------------------------- */

typedef struct Bed {
    Driver *d;
    unsigned size;
    Vring ring;
    VringJournal journal;
    VringBurst burst;
    uint32_t written[VRING_BURST];

    /* Of chains that the driver has posted and not got back, in order. */
    unsigned posted_n;
    uint16_t posted[MAX_SIZE];
    unsigned given_n;           /* of them the device has given back */
    uint32_t given[MAX_SIZE];   /* with so many bytes */
} Bed;

static void start(Bed *bed, uint32_t base)
{
    g_autoptr(GError) error = NULL;

    vring_start(&bed->ring, &bed->d->spec, &bed->d->mem, base, &error);
    g_assert_no_error(error);
}

static Bed *bed_new(VringKind kind, unsigned size)
{
    Bed *bed = g_new0(Bed, 1);

    bed->size = size;
    bed->d = driver_new(kind, true, false, size);
    start(bed, FRESH);
    g_assert_false(vring_resume(&bed->ring, &bed->journal));
    return bed;
}

static void bed_free(Bed *bed)
{
    driver_free(bed->d);
    g_free(bed);
}

static void driver_posts(Bed *bed, unsigned most_parts)
{
    DriverPart part[4];
    unsigned n = 1 + g_test_rand_int_range(0, most_parts);
    int id;

    for (unsigned i = 0; i < n; i++) {
        part[i] = (DriverPart) { DRIVER_REGION_BYTES + 64 * i, 64 };
    }
    id = driver_post(bed->d, part, n, false, 0);
    if (id >= 0) {
        bed->posted[bed->posted_n++] = id;
    }
}

/* Whatever the driver gets back is the oldest. */
static bool driver_reaps_any(Bed *bed, uint32_t *written)
{
    int id = driver_reap(bed->d, written);

    if (id < 0) {
        return false;
    }
    g_assert_cmpuint(bed->posted_n, >, 0);
    g_assert_cmpint(id, ==, bed->posted[0]);
    bed->posted_n--;
    memmove(bed->posted, bed->posted + 1, sizeof(bed->posted[0]) *
            bed->posted_n);
    return true;
}

/* With the right length, if it was given back. */
static bool driver_reaps(Bed *bed)
{
    uint32_t written;

    if (!driver_reaps_any(bed, &written)) {
        return false;
    }
    g_assert_cmpuint(bed->given_n, >, 0);
    g_assert_cmpuint(written, ==, bed->given[0]);
    bed->given_n--;
    memmove(bed->given, bed->given + 1, sizeof(bed->given[0]) * bed->given_n);
    return true;
}

/* The device has given @n chains of its burst back. */
static void note_given(Bed *bed, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpint(bed->burst.chain[i].id, ==,
                        bed->posted[bed->given_n]);
        bed->given[bed->given_n++] =
            bed->d->spec.kind == VRING_RX ? bed->written[i] : 0;
    }
}

/* So many chains that it will give back; none of them is known to be given. */
static unsigned device_fetches(Bed *bed)
{
    unsigned n = vring_fetch(&bed->ring, &bed->burst, VRING_BURST);

    g_assert_cmpint(bed->ring.error, ==, VRING_OK);
    g_assert_cmpuint(n, ==, bed->posted_n - bed->given_n);
    for (unsigned i = 0; i < n; i++) {
        bed->written[i] = g_test_rand_int_range(0, 64);
    }
    return n ? g_test_rand_int_range(1, n + 1) : 0;
}

static void device_completes(Bed *bed, unsigned n)
{
    vring_complete(&bed->ring, &bed->burst, n,
                   bed->d->spec.kind == VRING_RX ? bed->written : NULL);
}

/* -- A crash --------------------------------------------------------------- */

/* Ring and journal at one moment. */
typedef struct Memory {
    struct vring_packed_desc desc[MAX_SIZE];
    VringJournal journal;
} Memory;

static void look(const Bed *bed, Memory *m)
{
    memcpy(m->desc, bed->d->at.packed.desc, sizeof(m->desc[0]) * bed->size);
    m->journal = bed->journal;
}

static void put_back(Bed *bed, const Memory *m)
{
    memcpy(bed->d->at.packed.desc, m->desc, sizeof(m->desc[0]) * bed->size);
    bed->journal = m->journal;
}

/* Of giving @n chains back, in the order of vring_packed_complete(). */
static unsigned steps_of(unsigned n)
{
    return n + 1 + 2 * n;
}

/* @now is as before the burst, @done as behind it; do the first @steps. */
static void do_steps(const Bed *bed, Memory *now, const Memory *done,
                     unsigned n, unsigned steps)
{
    unsigned first = bed->ring.next, slot = first, k = 0;

    for (unsigned i = 0; i < n; i++) {
        if (k++ < steps) {
            now->journal.chain[i] = done->journal.chain[i];
        }
    }
    if (k++ < steps) {
        now->journal.burst = done->journal.burst;
    }
    for (unsigned i = 0; i < n; i++) {
        if (k++ < steps) {
            now->desc[slot].id = done->desc[slot].id;
            now->desc[slot].len = done->desc[slot].len;
        }
        if (i > 0 && k++ < steps) {
            now->desc[slot].flags = done->desc[slot].flags;
        }
        slot = (slot + bed->burst.chain[i].slots) % bed->size;
    }
    if (k++ < steps) {
        now->desc[first].flags = done->desc[first].flags;
    }
    g_assert_cmpuint(k, ==, steps_of(n));
}

/* The device dies after @steps of giving @n chains back; true if they are
 * noted, and so must be given back by the next one. */
static bool crash(Bed *bed, unsigned n, unsigned steps)
{
    Memory now, done;
    Vring before = bed->ring;

    look(bed, &now);
    device_completes(bed, n);
    look(bed, &done);
    bed->ring = before;
    do_steps(bed, &now, &done, n, steps);
    put_back(bed, &now);
    return steps > n;
}

/* A new one, told something that is wrong, as QEMU would. */
static void resume(Bed *bed)
{
    start(bed, FRESH | g_test_rand_int_range(0, bed->size));
    g_assert_true(vring_resume(&bed->ring, &bed->journal));
}

/* -- Tests ----------------------------------------------------------------- */

typedef struct Case {
    VringKind kind;
    unsigned most_parts;
} Case;

/* The driver does this and that, and so may reuse slots. */
static void driver_goes_on(Bed *bed, const Case *c)
{
    for (unsigned n = g_test_rand_int_range(0, 12); n > 0; n--) {
        if (g_test_rand_bit()) {
            driver_posts(bed, c->most_parts);
        } else {
            driver_reaps(bed);
        }
    }
}

static void crash_and_go_on(Bed *bed, const Case *c)
{
    unsigned n = device_fetches(bed);
    unsigned steps = n ? g_test_rand_int_range(0, steps_of(n) + 1) : 0;
    bool given = false;

    if (n > 0 && steps < steps_of(n)) {
        given = crash(bed, n, steps);
        if (!given) {
            n = 0;
        }
    } else if (n > 0) {
        device_completes(bed, n);
    }
    if (!given) {
        note_given(bed, n);
        driver_goes_on(bed, c);
        resume(bed);
        return;
    }
    /* The driver cannot have seen it until the next device is there. */
    for (unsigned i = 0; i < 3; i++) {
        driver_posts(bed, c->most_parts);
    }
    while (driver_reaps(bed)) {
    }
    g_assert_cmpuint(bed->given_n, ==, 0);
    resume(bed);
    note_given(bed, n);
}

static void test_crash(const void *opaque)
{
    const Case *c = opaque;
    unsigned rounds = g_test_slow() ? ROUNDS_SLOW : ROUNDS;

    for (unsigned size = 1; size <= MAX_SIZE; size++) {
        Bed *bed = bed_new(c->kind, size);

        for (unsigned i = 0; i < rounds / MAX_SIZE; i++) {
            driver_goes_on(bed, c);
            if (g_test_rand_int_range(0, 3)) {
                unsigned n = device_fetches(bed);

                if (n) {
                    device_completes(bed, n);
                    note_given(bed, n);
                }
            } else {
                crash_and_go_on(bed, c);
            }
        }
        while (driver_reaps(bed)) {
        }
        g_assert_cmpuint(bed->given_n, ==, 0);
        bed_free(bed);
    }
}

/*
 * While there is no device, QEMU drops what it finds available at a position
 * that it knows from long ago: one chain in all its life, as it loses count
 * then, or all (once that is mended).
 */
typedef struct Dropper {
    uint16_t at;                /* as in VRING_BASE */
    bool all;
    unsigned dropped;
} Dropper;

static void drop(Bed *bed, Dropper *q)
{
    const uint16_t avail = 1 << VRING_PACKED_DESC_F_AVAIL;
    const uint16_t used = 1 << VRING_PACKED_DESC_F_USED;

    while (q->all || q->dropped == 0) {
        struct vring_packed_desc *d = &bed->d->at.packed.desc[q->at & 0x7fff];
        bool wrap = q->at & 0x8000;

        if ((d->flags & (avail | used)) != (wrap ? avail : used)) {
            return;
        }
        d->len = 0;
        d->flags = wrap ? avail | used : 0;
        q->dropped++;
        q->at++;
        if ((q->at & 0x7fff) == bed->size) {
            q->at = ~q->at & 0x8000;
        }
    }
}

static void serve_all(Bed *bed)
{
    uint32_t written;

    /* A fetch that passes something returns nothing. */
    for (unsigned idle = 0; idle < 2;) {
        unsigned n = vring_fetch(&bed->ring, &bed->burst, VRING_BURST);

        g_assert_cmpint(bed->ring.error, ==, VRING_OK);
        vring_complete(&bed->ring, &bed->burst, n, NULL);
        idle = n ? 0 : idle + 1;
    }
    while (driver_reaps_any(bed, &written)) {
    }
    g_assert_cmpuint(bed->posted_n, ==, 0);
}

/* The driver gets all it posted, once and in order, whoever gives it back. */
static void test_dropped(const void *opaque)
{
    unsigned rounds = g_test_slow() ? ROUNDS_SLOW : ROUNDS;
    unsigned dropped = 0;

    for (unsigned round = 0; round < rounds; round++) {
        Bed *bed = bed_new(VRING_TX, g_test_rand_int_range(1, MAX_SIZE + 1));
        Dropper q = { .at = FRESH, .all = GPOINTER_TO_INT(opaque) };

        for (unsigned i = 0; i < 20; i++) {
            unsigned n;

            for (n = g_test_rand_int_range(0, bed->size + 1); n > 0; n--) {
                driver_posts(bed, 1);
            }
            n = vring_fetch(&bed->ring, &bed->burst, VRING_BURST);
            if (n > 0) {
                n = g_test_rand_int_range(1, n + 1);
                crash(bed, n, g_test_rand_int_range(0, steps_of(n)));
            }
            for (n = g_test_rand_int_range(0, 4); n > 0; n--) {
                driver_posts(bed, 1);
            }
            if (g_test_rand_bit()) {
                drop(bed, &q);
            }
            start(bed, q.at);
            vring_resume(&bed->ring, &bed->journal);
            serve_all(bed);
        }
        dropped += q.dropped;
        bed_free(bed);
    }
    g_assert_cmpuint(dropped, >, rounds / 4);
}

/* What a driver makes of a ring that it begins anew. */
static void begin_anew(Bed *bed, VringKind kind, unsigned posted)
{
    driver_free(bed->d);
    bed->d = driver_new(kind, true, false, bed->size);
    bed->posted_n = bed->given_n = 0;
    for (unsigned i = 0; i < posted; i++) {
        driver_posts(bed, 1);
    }
}

/* The guest has rebooted while there was no device: the journal is of a ring
 * that stood in the same place, and is not believed. */
static void test_stale(void)
{
    for (unsigned laps = 1; laps < 6; laps++) {
        for (unsigned posted = 0; posted <= MAX_SIZE; posted += MAX_SIZE / 2) {
            for (unsigned offset = 1; offset < MAX_SIZE / 2; offset++) {
                unsigned all = laps * MAX_SIZE / 2 + offset;
                Bed *bed;

                /* The last burst stood where a new ring begins, and all of the
                 * new one is posted: only the ids of its chains could tell. */
                if (posted == MAX_SIZE && (all - 1) % (2 * MAX_SIZE) == 0) {
                    continue;
                }
                bed = bed_new(VRING_RX, MAX_SIZE);
                for (unsigned done = 0; done < all;) {
                    unsigned n;

                    driver_posts(bed, 1);
                    n = device_fetches(bed);
                    device_completes(bed, n);
                    note_given(bed, n);
                    g_assert_true(driver_reaps(bed));
                    done += n;
                }
                begin_anew(bed, VRING_RX, posted);
                start(bed, FRESH);
                g_assert_false(vring_resume(&bed->ring, &bed->journal));
                g_assert_cmpuint(device_fetches(bed) > 0, ==, posted > 0);
                bed_free(bed);
            }
        }
    }
}

/* The same, when all that the journal knows is that it went past what QEMU had
 * dropped. */
static void test_stale_dropped(void)
{
    for (unsigned posted = 0; posted < MAX_SIZE; posted += 5) {
        Bed *bed = bed_new(VRING_TX, MAX_SIZE);
        Dropper q = { .at = FRESH };

        driver_posts(bed, 1);
        drop(bed, &q);
        start(bed, FRESH);
        vring_resume(&bed->ring, &bed->journal);
        g_assert_cmpuint(vring_fetch(&bed->ring, &bed->burst, 1), ==, 0);
        g_assert_cmpuint(bed->ring.next, ==, 1);
        begin_anew(bed, VRING_TX, posted);
        start(bed, FRESH);
        g_assert_false(vring_resume(&bed->ring, &bed->journal));
        g_assert_cmpuint(device_fetches(bed) > 0, ==, posted > 0);
        bed_free(bed);
    }
}

/* Anything may be in a file. */
static void test_nonsense(void)
{
    Bed *bed = bed_new(VRING_RX, 8);

    for (unsigned i = 0; i < 100000; i++) {
        uint32_t *word = (uint32_t *)&bed->journal;

        for (unsigned k = 0; k < sizeof(bed->journal) / sizeof(*word); k++) {
            word[k] = g_test_rand_int();
        }
        start(bed, FRESH);
        vring_resume(&bed->ring, &bed->journal);
        g_assert_cmpuint(bed->ring.next, <, 8);
        memset(bed->d->at.packed.desc, 0, 8 * sizeof(*bed->d->at.packed.desc));
    }
    bed_free(bed);
}

/* -- The file -------------------------------------------------------------- */

static void test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("vus-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "p0.rings", NULL);
    g_autoptr(GError) error = NULL;
    VringSpec spec = { .size = 64, .desc_user_addr = 4096 };
    VringSpec other = { .size = 64, .desc_user_addr = 8192 };
    RingState *s = ring_state_open(dir, "p0", 2, &error);
    int pair[2];

    g_assert_no_error(error);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    ring_state_set_peer(s, pair[0]);
    ring_state_journal(s, 0, &spec)->burst = 1;
    ring_state_journal(s, 1, &other)->burst = 2;
    ring_state_close(s);

    s = ring_state_open(dir, "p0", 2, &error);
    g_assert_no_error(error);
    ring_state_set_peer(s, pair[0]);
    g_assert_cmpuint(ring_state_journal(s, 0, &spec)->burst, ==, 1);
    g_assert_cmpuint(ring_state_journal(s, 1, &other)->burst, ==, 2);
    /* It lies elsewhere now, or was stopped. */
    g_assert_cmpuint(ring_state_journal(s, 0, &other)->burst, ==, 0);
    ring_state_forget(s, 1);
    g_assert_cmpuint(ring_state_journal(s, 1, &other)->burst, ==, 0);
    ring_state_close(s);

    /* Another number of rings: another file. */
    s = ring_state_open(dir, "p0", 4, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(ring_state_journal(s, 0, &other)->burst, ==, 0);
    ring_state_close(s);

    g_assert_null(ring_state_open(path, "p0", 2, &error));
    g_assert_true(strstr(error->message, "state-dir") != NULL);
    close(pair[0]);
    close(pair[1]);
    /* There was nothing to be kept. */
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

int main(int argc, char **argv)
{
    static const Case cases[] = {
        { VRING_TX, 1 }, { VRING_RX, 1 }, { VRING_TX, 4 }, { VRING_RX, 4 },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path =
            g_strdup_printf("/vus-ring-state/crash/%s-%u",
                            cases[i].kind == VRING_RX ? "rx" : "tx",
                            cases[i].most_parts);

        g_test_add_data_func(path, &cases[i], test_crash);
    }
    g_test_add_data_func("/vus-ring-state/dropped/one", GINT_TO_POINTER(false),
                         test_dropped);
    g_test_add_data_func("/vus-ring-state/dropped/all", GINT_TO_POINTER(true),
                         test_dropped);
    g_test_add_func("/vus-ring-state/stale", test_stale);
    g_test_add_func("/vus-ring-state/stale-dropped", test_stale_dropped);
    g_test_add_func("/vus-ring-state/nonsense", test_nonsense);
    g_test_add_func("/vus-ring-state/file", test_file);
    return g_test_run();
}
