/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses are learned, move, age, and are counted right whoever does what at
 * once.
 *
 * Threads: the main one is the control thread; the storm has workers of its
 * own.
 */
#include <pthread.h>
#include <string.h>

#include <urcu-qsbr.h>

#include "fdb.h"

#define PORTS 4
#define ROOM 64
#define MANY UINT32_MAX

static void make_mac(uint8_t mac[6], unsigned number)
{
    memcpy(mac, "\x02\0\0\0", 4);
    mac[4] = number >> 8;
    mac[5] = number;
}

/* The main thread as a worker. */
static FdbLearned learn(Fdb *fdb, unsigned number, uint16_t vlan,
                        uint16_t port, uint32_t now_s, uint32_t max)
{
    FdbLearned learned;
    uint8_t mac[6];

    make_mac(mac, number);
    rcu_thread_online();
    learned = fdb_learn(fdb, mac, vlan, port, now_s, max);
    rcu_thread_offline();
    return learned;
}

static int find(Fdb *fdb, unsigned number, uint16_t vlan)
{
    uint8_t mac[6];
    int port;

    make_mac(mac, number);
    rcu_thread_online();
    port = fdb_find(fdb, mac, vlan);
    rcu_thread_offline();
    return port;
}

/* -- One after the other --------------------------------------------------- */

static void test_learn(void)
{
    Fdb *fdb = fdb_new(ROOM, PORTS);

    g_assert_cmpint(find(fdb, 1, 0), ==, -1);
    g_assert_cmpint(learn(fdb, 1, 0, 2, 10, MANY), ==, FDB_NEW);
    g_assert_cmpint(find(fdb, 1, 0), ==, 2);
    g_assert_cmpint(learn(fdb, 1, 0, 2, 11, MANY), ==, FDB_KNOWN);

    /* The same address in another VLAN is another. */
    g_assert_cmpint(find(fdb, 1, 4095), ==, -1);
    g_assert_cmpint(learn(fdb, 1, 4095, 3, 11, MANY), ==, FDB_NEW);
    g_assert_cmpint(find(fdb, 1, 0), ==, 2);
    g_assert_cmpint(find(fdb, 1, 4095), ==, 3);

    /* It moves, but not within the second in which it was heard. */
    g_assert_cmpint(learn(fdb, 1, 0, 0, 11, MANY), ==, FDB_REFUSED);
    g_assert_cmpint(find(fdb, 1, 0), ==, 2);
    g_assert_cmpint(learn(fdb, 1, 0, 0, 12, MANY), ==, FDB_MOVED);
    g_assert_cmpint(find(fdb, 1, 0), ==, 0);
    fdb_free(fdb);
}

/* Of a port, and of all; who moves away makes room. */
static void test_room(void)
{
    Fdb *fdb = fdb_new(6, PORTS);

    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpint(learn(fdb, i, 0, 0, 1, 4), ==, FDB_NEW);
    }
    g_assert_cmpint(learn(fdb, 4, 0, 0, 1, 4), ==, FDB_REFUSED);
    g_assert_cmpint(learn(fdb, 3, 0, 0, 1, 4), ==, FDB_KNOWN);
    g_assert_cmpint(learn(fdb, 3, 0, 1, 2, 0), ==, FDB_REFUSED);
    g_assert_cmpint(learn(fdb, 3, 0, 1, 2, 1), ==, FDB_MOVED);
    g_assert_cmpint(learn(fdb, 2, 0, 1, 2, 1), ==, FDB_REFUSED);
    g_assert_cmpint(learn(fdb, 4, 0, 0, 2, 4), ==, FDB_NEW);

    g_assert_cmpint(learn(fdb, 5, 0, 2, 2, MANY), ==, FDB_NEW);
    g_assert_cmpint(learn(fdb, 6, 0, 2, 2, MANY), ==, FDB_REFUSED);
    g_assert_cmpint(find(fdb, 6, 0), ==, -1);
    /* What was refused has taken no room. */
    g_assert_cmpuint(fdb_forget(fdb, 0, UINT32_MAX, false), ==, 4);
    for (unsigned i = 10; i < 14; i++) {
        g_assert_cmpint(learn(fdb, i, 0, 0, 3, 4), ==, FDB_NEW);
    }
    g_assert_cmpint(learn(fdb, 14, 0, 0, 3, 4), ==, FDB_REFUSED);
    fdb_free(fdb);
}

static void test_age(void)
{
    Fdb *fdb = fdb_new(ROOM, PORTS);

    learn(fdb, 1, 0, 0, 10, MANY);
    learn(fdb, 2, 0, 0, 10, MANY);
    learn(fdb, 3, 0, 1, 11, MANY);
    learn(fdb, 1, 0, 0, 20, MANY);
    g_assert_cmpuint(fdb_forget(fdb, -1, 11, false), ==, 1);
    g_assert_cmpint(find(fdb, 2, 0), ==, -1);
    g_assert_cmpuint(fdb_forget(fdb, 0, 20, false), ==, 0);
    g_assert_cmpuint(fdb_forget(fdb, -1, 20, false), ==, 1);
    g_assert_cmpint(find(fdb, 3, 0), ==, -1);
    g_assert_cmpint(find(fdb, 1, 0), ==, 0);
    fdb_free(fdb);
}

/* It neither moves nor ages, and is not one of those that a port may have. */
static void test_static(void)
{
    Fdb *fdb = fdb_new(2, PORTS);
    uint8_t mac[6];

    make_mac(mac, 1);
    learn(fdb, 1, 0, 0, 10, MANY);
    g_assert_true(fdb_set_static(fdb, mac, 0, 3));
    g_assert_cmpint(find(fdb, 1, 0), ==, 3);
    g_assert_cmpint(learn(fdb, 1, 0, 0, 50, MANY), ==, FDB_REFUSED);
    g_assert_cmpint(learn(fdb, 1, 0, 3, 50, MANY), ==, FDB_KNOWN);
    g_assert_cmpuint(fdb_forget(fdb, 3, UINT32_MAX, false), ==, 0);
    g_assert_cmpint(learn(fdb, 2, 0, 3, 50, 1), ==, FDB_NEW);

    /* There is no room for a third, but for another place of the first. */
    g_assert_true(fdb_set_static(fdb, mac, 0, 1));
    g_assert_cmpint(find(fdb, 1, 0), ==, 1);
    make_mac(mac, 3);
    g_assert_false(fdb_set_static(fdb, mac, 0, 1));
    g_assert_false(fdb_unset_static(fdb, mac, 0));
    make_mac(mac, 2);
    g_assert_false(fdb_unset_static(fdb, mac, 0));
    g_assert_cmpint(find(fdb, 2, 0), ==, 3);
    make_mac(mac, 1);
    g_assert_true(fdb_unset_static(fdb, mac, 0));
    g_assert_cmpint(find(fdb, 1, 0), ==, -1);
    g_assert_true(fdb_set_static(fdb, mac, 0, 1));
    g_assert_cmpuint(fdb_forget(fdb, 1, UINT32_MAX, true), ==, 1);
    fdb_free(fdb);
}

typedef struct Shown {
    unsigned n;
    FdbShown last;
} Shown;

static void note_shown(const FdbShown *e, void *opaque)
{
    Shown *shown = opaque;

    shown->n++;
    shown->last = *e;
}

static void test_show(void)
{
    Fdb *fdb = fdb_new(ROOM, PORTS);
    uint8_t mac[6];
    Shown shown = { 0 };

    make_mac(mac, 0xabc);
    learn(fdb, 0xabc, 77, 2, 10, MANY);
    fdb_foreach(fdb, 15, note_shown, &shown);
    g_assert_cmpuint(shown.n, ==, 1);
    g_assert_cmpmem(shown.last.mac, 6, mac, 6);
    g_assert_cmpuint(shown.last.vlan, ==, 77);
    g_assert_cmpuint(shown.last.port, ==, 2);
    g_assert_cmpuint(shown.last.age_s, ==, 5);
    g_assert_false(shown.last.is_static);

    g_assert_true(fdb_set_static(fdb, mac, 77, 1));
    fdb_foreach(fdb, 15, note_shown, &shown);
    g_assert_cmpuint(shown.n, ==, 2);
    g_assert_true(shown.last.is_static);
    g_assert_cmpuint(shown.last.age_s, ==, 0);
    fdb_free(fdb);
}

/* -- All at once ----------------------------------------------------------- */

#define STORM_THREADS 2
#define STORM_ADDRESSES 8
#define STORM_TURNS 300
/* A grace period may take long where there are few processors. */
#define STORM_MAX_S 5

typedef struct Storm {
    Fdb *fdb;
    bool stop;                  /* atomic */
    uint32_t now_s;             /* atomic: time flies */
} Storm;

static void *storm(void *opaque)
{
    Storm *s = opaque;
    uint32_t seed = (uintptr_t)&seed;

    rcu_register_thread();
    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        uint8_t mac[6];
        int port;

        seed = seed * 1103515245 + 12345;
        make_mac(mac, seed >> 16 & (STORM_ADDRESSES - 1));
        fdb_learn(s->fdb, mac, 0, seed >> 24 & (PORTS - 1),
                  __atomic_add_fetch(&s->now_s, 1, __ATOMIC_RELAXED), MANY);
        port = fdb_find(s->fdb, mac, 0);
        g_assert_cmpint(port, <, PORTS);
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return NULL;
}

static void do_control(Fdb *fdb, unsigned turn)
{
    Shown shown = { 0 };
    uint8_t mac[6];

    make_mac(mac, turn % STORM_ADDRESSES);
    switch (turn % 4) {
    case 0:
        g_assert_true(fdb_set_static(fdb, mac, 0, turn % PORTS));
        g_assert_true(fdb_unset_static(fdb, mac, 0));
        break;
    case 1:
        fdb_foreach(fdb, 0, note_shown, &shown);
        break;
    default:
        fdb_forget(fdb, turn % 8 < 4 ? -1 : (int)(turn % PORTS), UINT32_MAX,
                   false);
        break;
    }
}

/* Whatever was learned, moved and forgotten at once: nothing is counted as
 * learned afterwards. */
static void test_storm(void)
{
    Storm s = { .fdb = fdb_new(ROOM, PORTS) };
    gint64 end_us = g_get_monotonic_time() + STORM_MAX_S * G_USEC_PER_SEC;
    pthread_t thread[STORM_THREADS];

    for (unsigned i = 0; i < STORM_THREADS; i++) {
        g_assert_cmpint(pthread_create(&thread[i], NULL, storm, &s), ==, 0);
    }
    for (unsigned turn = 0;
         turn < STORM_TURNS && g_get_monotonic_time() < end_us; turn++) {
        do_control(s.fdb, turn);
    }
    __atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    fdb_forget(s.fdb, -1, UINT32_MAX, true);
    for (unsigned port = 0; port < PORTS; port++) {
        for (unsigned i = 0; i < ROOM / PORTS; i++) {
            g_assert_cmpint(learn(s.fdb, 1000 * port + i, 0, port, 1,
                                  ROOM / PORTS), ==, FDB_NEW);
        }
        g_assert_cmpint(learn(s.fdb, 1000 * port + 999, 0, port, 1,
                              ROOM / PORTS), ==, FDB_REFUSED);
    }
    fdb_free(s.fdb);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    rcu_register_thread();
    rcu_thread_offline();
    g_test_add_func("/vus-fdb/learn", test_learn);
    g_test_add_func("/vus-fdb/room", test_room);
    g_test_add_func("/vus-fdb/age", test_age);
    g_test_add_func("/vus-fdb/static", test_static);
    g_test_add_func("/vus-fdb/show", test_show);
    g_test_add_func("/vus-fdb/storm", test_storm);
    result = g_test_run();
    rcu_unregister_thread();
    return result;
}
