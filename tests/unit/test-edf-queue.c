/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Deadline queue against a model that keeps every frame in one list and looks
 * through all of it to find the next.
 *
 * Threads: single.
 */
#include <glib.h>

#include "rtnet/edf-queue.h"

#define MAX_SOURCES 24
#define MAX_FRAMES 96
#define OPS_PER_POLICY 1100000
#define OPS_PER_POLICY_SLOW 20000000

typedef struct Frame {
    EdfItem item;
    /* What the model knows. */
    EdfBand band;
    uint64_t deadline_ns;
    uint64_t eligible_ns;
    uint64_t order;             /* of arrival */
    int source;                 /* -1: not queued */
    uint64_t place;             /* in its source; least first */
} Frame;

typedef struct Bed {
    EdfQueuePolicy policy;
    EdfQueue q;
    EdfSource sources[MAX_SOURCES];
    bool attached[MAX_SOURCES];
    Frame frames[MAX_FRAMES];
    uint64_t arrivals;
    uint64_t now_ns;
    uint64_t front, back;       /* next Frame.place before and behind all */
} Bed;

/* -- Model ----------------------------------------------------------------- */

/* The rules of the policies, literally. */
static bool leaves_before(const Bed *bed, const Frame *a, const Frame *b)
{
    EdfQueuePolicy policy = bed->policy;
    bool a_eligible = a->eligible_ns <= bed->now_ns;
    bool b_eligible = b->eligible_ns <= bed->now_ns;
    bool a_best_effort = a->band == EDF_BAND_BEST_EFFORT;
    bool b_best_effort = b->band == EDF_BAND_BEST_EFFORT;

    if (policy == EDF_QUEUE_STRICT && a_best_effort != b_best_effort) {
        return b_best_effort;
    }
    if (policy == EDF_QUEUE_EDF) {
        if (a_eligible != b_eligible) {
            return a_eligible;
        }
        if (a->band != b->band) {
            return a->band < b->band;
        }
        if (!a_best_effort && a->deadline_ns != b->deadline_ns) {
            return a->deadline_ns < b->deadline_ns;
        }
    }
    return a->order < b->order;
}

static Frame *model_head(Bed *bed, int source)
{
    Frame *head = NULL;

    for (int i = 0; i < MAX_FRAMES; i++) {
        Frame *f = &bed->frames[i];

        if (f->source == source && (!head || f->place < head->place)) {
            head = f;
        }
    }
    return head;
}

static Frame *model_next(Bed *bed)
{
    Frame *heads[MAX_SOURCES] = { NULL }, *best = NULL;

    for (int i = 0; i < MAX_FRAMES; i++) {
        Frame *f = &bed->frames[i];

        if (f->source >= 0 && (!heads[f->source] ||
                               f->place < heads[f->source]->place)) {
            heads[f->source] = f;
        }
    }
    for (int s = 0; s < MAX_SOURCES; s++) {
        if (heads[s] && !bed->sources[s].blocked &&
            (!best || leaves_before(bed, heads[s], best))) {
            best = heads[s];
        }
    }
    return best;
}

static unsigned model_len(Bed *bed, int source)
{
    unsigned n = 0;

    for (int i = 0; i < MAX_FRAMES; i++) {
        n += source < 0 ? bed->frames[i].source >= 0
                        : bed->frames[i].source == source;
    }
    return n;
}

/* -- Operations ------------------------------------------------------------ */

static int any_attached(Bed *bed)
{
    int s = g_test_rand_int_range(0, MAX_SOURCES);

    for (int i = 0; i < MAX_SOURCES; i++, s = (s + 1) % MAX_SOURCES) {
        if (bed->attached[s]) {
            return s;
        }
    }
    return -1;
}

static void do_push(Bed *bed, int s)
{
    for (int i = 0; i < MAX_FRAMES; i++) {
        Frame *f = &bed->frames[i];

        if (f->source < 0) {
            f->band = g_test_rand_int_range(0, 3);
            /* Now and then a source sends too much. */
            f->eligible_ns = f->band == EDF_BAND_ADMITTED &&
                             g_test_rand_int_range(0, 3) == 0 ?
                             bed->now_ns + g_test_rand_int_range(0, 60) : 0;
            /* Few values, so that many frames tie; the longest as well. */
            f->deadline_ns = g_test_rand_int_range(0, 40);
            if (f->deadline_ns == 39) {
                f->deadline_ns = (1ull << 62) - 1;
            }
            f->order = bed->arrivals++;
            f->source = s;
            f->place = bed->back++;
            edf_queue_push(&bed->q, &bed->sources[s], &f->item, f->band,
                           (EdfTurn) { f->deadline_ns, f->eligible_ns });
            return;
        }
    }
}

static Frame *do_pop(Bed *bed)
{
    Frame *expected = model_next(bed);
    EdfSource *src = NULL;
    EdfItem *item = edf_queue_pop(&bed->q, bed->now_ns, &src);

    g_assert_true(item == (expected ? &expected->item : NULL));
    if (expected) {
        g_assert_true(src == &bed->sources[expected->source]);
        expected->source = -1;
    }
    return expected;
}

/* The band of what leaves next, if it is eligible. */
static void do_peek(Bed *bed)
{
    EdfBand band = edf_queue_peek(&bed->q, bed->now_ns);
    Frame *f = model_next(bed);

    if (!f) {
        g_assert_cmpint(band, ==, EDF_BAND_NONE);
    } else if (bed->policy == EDF_QUEUE_FIFO) {
        g_assert_cmpint(band, !=, EDF_BAND_NONE);
    } else if (bed->policy == EDF_QUEUE_STRICT) {
        g_assert_true((band == EDF_BAND_BEST_EFFORT) ==
                      (f->band == EDF_BAND_BEST_EFFORT));
    } else {
        g_assert_cmpint(band, ==, f->eligible_ns > bed->now_ns ? EDF_BAND_HELD
                                                               : f->band);
    }
}

/* Not whose turn it is, but the first of @s. */
static void do_pop_source(Bed *bed, int s)
{
    Frame *head = model_head(bed, s);

    if (head && !bed->sources[s].blocked) {
        g_assert_true(edf_queue_pop_source(&bed->q, &bed->sources[s],
                                           bed->now_ns) == &head->item);
        head->source = -1;
    }
}

/* As a backend that refuses: the frame goes back, mostly its source waits. */
static void do_refuse(Bed *bed)
{
    Frame *f = model_next(bed);
    int s = f ? f->source : -1;

    if (do_pop(bed)) {
        edf_queue_unpop(&bed->q, &bed->sources[s], &f->item);
        f->source = s;
        f->place = bed->front--;
        if (g_test_rand_bit()) {
            edf_queue_block(&bed->q, &bed->sources[s]);
        }
    }
}

static void do_detach(Bed *bed, int s)
{
    EdfItem *item = edf_queue_detach(&bed->q, &bed->sources[s]);

    bed->attached[s] = false;
    while (item) {
        EdfItem *next = item->next;
        Frame *head = model_head(bed, s);

        g_assert_true(head && item == &head->item);
        head->source = -1;
        item = next;
    }
    g_assert_null(model_head(bed, s));
}

static void do_attach(Bed *bed)
{
    int s = g_test_rand_int_range(0, MAX_SOURCES);

    if (!bed->attached[s]) {
        bed->sources[s] = (EdfSource) { 0 };
        edf_queue_attach(&bed->q, &bed->sources[s]);
        bed->attached[s] = true;
    }
}

static void step(Bed *bed)
{
    int what = g_test_rand_int_range(0, 1000), s = any_attached(bed);

    if (what < 8 || s < 0) {
        do_attach(bed);
    } else if (what < 12) {
        do_detach(bed, s);
    } else if (what < 60) {
        edf_queue_block(&bed->q, &bed->sources[s]);
    } else if (what < 180) {
        edf_queue_unblock(&bed->q, &bed->sources[s]);
    } else if (what < 230) {
        do_refuse(bed);
    } else if (what < 280) {
        do_peek(bed);
    } else if (what < 330) {
        do_pop_source(bed, s);
    } else if (what < 710) {
        do_push(bed, s);
    } else {
        do_pop(bed);
    }
}

static void test_model(const void *policy)
{
    long ops = g_test_slow() ? OPS_PER_POLICY_SLOW : OPS_PER_POLICY;
    Bed *bed = g_new0(Bed, 1);

    bed->policy = GPOINTER_TO_INT(policy);
    bed->front = bed->back = 1ull << 63;
    for (int i = 0; i < MAX_FRAMES; i++) {
        bed->frames[i].source = -1;
    }
    edf_queue_init(&bed->q, bed->policy);
    for (long i = 0; i < ops; i++) {
        step(bed);
        bed->now_ns += g_test_rand_int_range(0, 8) == 0;
        if (i % 64 == 0) {
            int s = g_test_rand_int_range(0, MAX_SOURCES);

            g_assert_true(edf_queue_is_idle(&bed->q) == !model_next(bed));
            g_assert_cmpuint(bed->q.len_pkts, ==, model_len(bed, -1));
            g_assert_cmpuint(bed->sources[s].len_pkts, ==, model_len(bed, s));
        }
    }
    for (int s = 0; s < MAX_SOURCES; s++) {
        if (bed->attached[s]) {
            do_detach(bed, s);
        }
    }
    g_assert_cmpuint(bed->q.len_pkts, ==, 0);
    edf_queue_destroy(&bed->q);
    g_free(bed);
}

/* -- Cases that a reader wants to see -------------------------------------- */

static void test_empty(void)
{
    EdfQueue q;
    EdfSource src = { 0 }, *from;

    edf_queue_init(&q, EDF_QUEUE_EDF);
    g_assert_true(edf_queue_is_idle(&q));
    g_assert_null(edf_queue_pop(&q, 0, &from));
    edf_queue_attach(&q, &src);
    g_assert_null(edf_queue_pop(&q, 0, &from));
    g_assert_null(edf_queue_detach(&q, &src));
    g_assert_true(edf_queue_is_idle(&q));
    edf_queue_destroy(&q);
}

/* Push in this order; which letters come out, one each ns? */
static void check_order(EdfQueuePolicy policy, const char *expected)
{
    static const struct {
        int source;
        EdfBand band;
        EdfTurn turn;
    } push[] = {
        { 0, EDF_BAND_BEST_EFFORT, { 1, 0 } },  /* a */
        { 1, EDF_BAND_DEADLINE, { 10, 0 } },    /* b */
        { 2, EDF_BAND_ADMITTED, { 900, 0 } },   /* c */
        { 3, EDF_BAND_ADMITTED, { 800, 0 } },   /* d */
        { 4, EDF_BAND_ADMITTED, { 800, 0 } },   /* e */
        { 3, EDF_BAND_ADMITTED, { 100, 0 } },   /* f: behind d, whatever it says */
        { 0, EDF_BAND_BEST_EFFORT, { 0, 0 } },  /* g */
        { 5, EDF_BAND_ADMITTED, { 99, 6 } },    /* h: not before frame 6 */
        { 6, EDF_BAND_ADMITTED, { 98, 99 } },   /* i: not before all others */
    };
    EdfSource src[7] = { { 0 } };
    EdfItem items[G_N_ELEMENTS(push)];
    char order[G_N_ELEMENTS(push) + 1] = "";
    EdfSource *from;
    EdfItem *item;
    EdfQueue q;

    edf_queue_init(&q, policy);
    for (unsigned i = 0; i < G_N_ELEMENTS(src); i++) {
        edf_queue_attach(&q, &src[i]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(push); i++) {
        edf_queue_push(&q, &src[push[i].source], &items[i], push[i].band,
                       push[i].turn);
    }
    for (unsigned i = 0; (item = edf_queue_pop(&q, i, &from)); i++) {
        order[i] = 'a' + (item - items);
    }
    g_assert_cmpstr(order, ==, expected);
    for (unsigned i = 0; i < G_N_ELEMENTS(src); i++) {
        edf_queue_detach(&q, &src[i]);
    }
    edf_queue_destroy(&q);
}

static void test_order(void)
{
    check_order(EDF_QUEUE_EDF, "dfecbahgi");
    check_order(EDF_QUEUE_STRICT, "bcdefhiag");
    check_order(EDF_QUEUE_FIFO, "abcdefghi");
}

static void expect_peek(EdfQueue *q, uint64_t now_ns, EdfBand band)
{
    g_assert_cmpint(edf_queue_peek(q, now_ns), ==, band);
}

/* A look takes nothing; what becomes eligible meanwhile is seen. */
static void test_peek(void)
{
    EdfSource src[3] = { { 0 } }, *from;
    EdfItem early, next, best_effort, deadline;
    EdfQueue q;

    edf_queue_init(&q, EDF_QUEUE_EDF);
    for (unsigned i = 0; i < G_N_ELEMENTS(src); i++) {
        edf_queue_attach(&q, &src[i]);
    }
    expect_peek(&q, 0, EDF_BAND_NONE);
    edf_queue_push(&q, &src[0], &early, EDF_BAND_ADMITTED,
                   (EdfTurn) { 20, 10 });
    edf_queue_push(&q, &src[0], &next, EDF_BAND_ADMITTED,
                   (EdfTurn) { 40, 30 });
    expect_peek(&q, 0, EDF_BAND_HELD);
    edf_queue_push(&q, &src[1], &best_effort, EDF_BAND_BEST_EFFORT,
                   (EdfTurn) { 0 });
    expect_peek(&q, 1, EDF_BAND_BEST_EFFORT);
    edf_queue_push(&q, &src[2], &deadline, EDF_BAND_DEADLINE,
                   (EdfTurn) { 5, 0 });
    expect_peek(&q, 2, EDF_BAND_DEADLINE);
    expect_peek(&q, 10, EDF_BAND_ADMITTED);
    g_assert_cmpuint(q.len_pkts, ==, 4);

    g_assert_true(edf_queue_pop_source(&q, &src[1], 10) == &best_effort);
    g_assert_true(edf_queue_pop_source(&q, &src[0], 10) == &early);
    expect_peek(&q, 10, EDF_BAND_DEADLINE);
    /* One that is held can be taken as well. */
    g_assert_true(edf_queue_pop_source(&q, &src[0], 10) == &next);
    g_assert_cmpuint(q.held_sources, ==, 0);
    g_assert_true(edf_queue_pop(&q, 11, &from) == &deadline);
    expect_peek(&q, 11, EDF_BAND_NONE);
    for (unsigned i = 0; i < G_N_ELEMENTS(src); i++) {
        edf_queue_detach(&q, &src[i]);
    }
    edf_queue_destroy(&q);
}

/* A deadline beyond what a rank holds is the last of its band, not the next. */
static void test_deadline_saturates(void)
{
    EdfSource src[2] = { { 0 } }, *from;
    EdfItem endless, best_effort;
    EdfQueue q;

    edf_queue_init(&q, EDF_QUEUE_EDF);
    edf_queue_attach(&q, &src[0]);
    edf_queue_attach(&q, &src[1]);
    edf_queue_push(&q, &src[0], &best_effort, EDF_BAND_BEST_EFFORT,
                   (EdfTurn) { 0 });
    edf_queue_push(&q, &src[1], &endless, EDF_BAND_DEADLINE,
                   (EdfTurn) { UINT64_MAX, 0 });
    g_assert_true(edf_queue_pop(&q, 0, &from) == &endless);
    g_assert_true(edf_queue_pop(&q, 0, &from) == &best_effort);
    edf_queue_detach(&q, &src[0]);
    edf_queue_detach(&q, &src[1]);
    edf_queue_destroy(&q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edf-queue/empty", test_empty);
    g_test_add_func("/edf-queue/order", test_order);
    g_test_add_func("/edf-queue/peek", test_peek);
    g_test_add_func("/edf-queue/deadline-saturates", test_deadline_saturates);
    g_test_add_data_func("/edf-queue/model/edf",
                         GINT_TO_POINTER(EDF_QUEUE_EDF), test_model);
    g_test_add_data_func("/edf-queue/model/strict",
                         GINT_TO_POINTER(EDF_QUEUE_STRICT), test_model);
    g_test_add_data_func("/edf-queue/model/fifo",
                         GINT_TO_POINTER(EDF_QUEUE_FIFO), test_model);
    return g_test_run();
}
