/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members that end at any moment: all that they owned comes back, and others
 * go on.
 *
 * Threads: one, and the switch's worker.
 */
#include <errno.h>
#include <string.h>

#include "netvm-bed.h"

#define MANY 40

/* All of them are the daemon's and free, once nobody is there. */
static void check_all_back(NetvmBed *b)
{
    for (unsigned i = 0; i < NETVM_BED_MEMBERS; i++) {
        if (b->nv[i]) {
            netvm_bed_detach(b, i);
        }
    }
    netvm_bed_wait_gone(b);
    g_assert_cmpuint(netvm_bed_owned(b, NETVM_DAEMON), ==,
                     b->domain->buffers);
    g_assert_cmpuint(domain_free_buffers(b->domain), ==, b->domain->buffers);
}

static void send_to(struct netvm *from, struct netvm *to, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct netvm_desc pkt = netvm_bed_packet(from, 1, 2);

        pkt.action = NETVM_TO_MEMBER;
        pkt.port = netvm_self(to);
        netvm_bed_send(from, pkt);
    }
}

/* In the middle of a chain, with packets behind it, before it and in it. */
static void in_a_chain(bool direct)
{
    NetvmBed *b = netvm_bed_new(direct ? "" : "direct=off");
    struct netvm *a = netvm_bed_attach(b, 0), *mid = netvm_bed_attach(b, 1);
    struct netvm *c = netvm_bed_attach(b, 2);
    struct netvm_desc pkt[MANY];
    unsigned number = netvm_self(mid), n = 0;

    send_to(a, mid, MANY);
    while (n < MANY / 2) {
        n += netvm_rx_burst(mid, pkt + n, MANY / 2 - n);
        bed_turn();
    }
    for (unsigned i = 0; i < MANY / 4; i++) {
        pkt[i].action = NETVM_TO_MEMBER;
        pkt[i].port = netvm_self(c);
    }
    g_assert_cmpint(netvm_tx_burst(mid, pkt, MANY / 4), ==, MANY / 4);
    netvm_free(mid, pkt + MANY / 4, 3);
    /* What the daemon has not taken yet was not sent. */
    for (unsigned i = 0; !direct &&
         netvm_read(&b->domain->member[number].stats->taken_pkts) < MANY / 4;
         i++) {
        g_assert_cmpuint(i, <, 10000);
        g_usleep(1000);
    }
    netvm_bed_detach(b, 1);
    netvm_bed_wait_gone(b);
    g_assert_cmpuint(netvm_bed_owned(b, number), ==, 0);
    g_assert_cmpuint(b->domain->reclaimed, >=, MANY - MANY / 4);
    g_assert_cmpuint(netvm_bed_owned(b, netvm_self(a)) +
                     netvm_bed_owned(b, netvm_self(c)) +
                     domain_free_buffers(b->domain), ==,
                     b->domain->buffers);

    /* What it had sent was sent. */
    for (unsigned i = 0; i < MANY / 4; i++) {
        struct netvm_desc got = netvm_bed_receive(c);

        g_assert_cmpuint(got.length, ==, BED_FRAME_BYTES);
        netvm_free(c, &got, 1);
    }

    /* Nobody sends to it any more: the daemon drops it. */
    g_assert_cmpint(netvm_find_member(a, "m1"), ==, -ENOENT);
    pkt[0] = netvm_bed_packet(a, 1, 2);
    pkt[0].action = NETVM_TO_MEMBER;
    pkt[0].port = number;
    netvm_bed_send(a, pkt[0]);
    for (unsigned i = 0; bed_drops(b->sw, "m0", DROP_DOWN) == 0; i++) {
        g_assert_cmpuint(i, <, 10000);
        g_usleep(1000);
    }

    /* Its number and its rings serve another one, where they are. */
    mid = netvm_bed_attach(b, 1);
    g_assert_cmpuint(netvm_self(mid), ==, number);
    send_to(a, mid, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        pkt[0] = netvm_bed_receive(mid);
        netvm_free(mid, pkt, 1);
    }
    check_all_back(b);
    netvm_bed_free(b);
}

static void test_daemon_chain(void)
{
    in_a_chain(false);
}

static void test_direct_chain(void)
{
    in_a_chain(true);
}

static bool is_quarantine(void *opaque)
{
    return ((DomainMember *)opaque)->state == MEMBER_QUARANTINE;
}

/* Who looks at nothing holds up what it may still write to, and no more. */
static void test_quarantine(void)
{
    NetvmBed *b = netvm_bed_new("");
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 1);
    DomainMember *gone = &b->domain->member[netvm_self(c)];
    struct netvm_desc pkt;

    while (netvm_alloc(c, &pkt, 1) == 0) {
        bed_turn();
    }
    send_to(a, c, 5);
    netvm_bed_detach(b, 1);
    bed_wait(is_quarantine, gone, "quarantine");
    g_assert_cmpuint(b->domain->quarantines, ==, 1);
    /* What was sent to it directly stays until @a has seen that. */
    g_assert_cmpuint(netvm_bed_owned(b, gone->number), ==, 5);
    g_assert_cmpuint(b->domain->reclaimed, >, 0);
    /* Meanwhile another one gets another number. */
    c = netvm_bed_attach(b, 1);
    g_assert_cmpuint(netvm_self(c), !=, gone->number);
    g_assert_cmpint(netvm_rx_burst(a, NULL, 0), ==, 0);
    netvm_bed_wait_gone(b);
    g_assert_cmpuint(netvm_bed_owned(b, gone->number), ==, 0);
    g_assert_cmpint(gone->state, ==, MEMBER_FREE);
    check_all_back(b);
    netvm_bed_free(b);
}

/* Who sleeps looks at nothing, and does not hold up anything. */
static void *sleep_until_it_comes(void *opaque)
{
    struct netvm *nv = opaque;
    struct netvm_desc pkt;
    int n;

    while ((n = netvm_rx_burst(nv, &pkt, 1)) == 0) {
        g_assert_cmpint(netvm_wait(nv, BED_WAIT_S * 1000), ==, 1);
    }
    g_assert_cmpint(n, ==, 1);
    netvm_free(nv, &pkt, 1);
    return NULL;
}

static void test_asleep(void)
{
    NetvmBed *b = netvm_bed_new("");
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 1);
    const struct netvm_member *shown = b->domain->member[netvm_self(c)].shown;
    GThread *thread;

    netvm_bed_attach(b, 2);
    thread = g_thread_new("sleep", sleep_until_it_comes, c);
    while (netvm_read_acquire(&shown->epoch_seen) != NETVM_EPOCH_IDLE) {
        g_usleep(100);
    }
    netvm_bed_detach(b, 2);
    netvm_rx_burst(a, NULL, 0);
    b->nv[1] = NULL;                    /* another thread has it */
    netvm_bed_wait_gone(b);
    b->nv[1] = c;
    g_assert_cmpuint(b->domain->quarantines, ==, 0);
    send_to(a, c, 1);
    g_thread_join(thread);
    check_all_back(b);
    netvm_bed_free(b);
}

typedef struct Resetting {
    struct netvm *nv;
    int status;
    bool done;
} Resetting;

static void *reset(void *opaque)
{
    Resetting *r = opaque;

    r->status = netvm_reattach(r->nv, BED_WAIT_S * 1000);
    __atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static bool is_reset(void *opaque)
{
    return __atomic_load_n(&((Resetting *)opaque)->done, __ATOMIC_ACQUIRE);
}

/* The same connection, another member: it owns nothing of before. */
static void test_reset(void)
{
    NetvmBed *b = netvm_bed_new("");
    struct netvm *a = netvm_bed_attach(b, 0), *c = netvm_bed_attach(b, 1);

    for (unsigned i = 0; i < 20; i++) {
        Resetting r = { .nv = c };
        GThread *thread;
        struct netvm_desc pkt;

        send_to(a, c, 3);
        thread = g_thread_new("reset", reset, &r);
        while (!is_reset(&r)) {
            netvm_rx_burst(a, NULL, 0);
            bed_turn();
            g_usleep(100);
        }
        g_thread_join(thread);
        g_assert_cmpint(r.status, ==, 0);
        while (b->domain->member[netvm_self(c)].state != MEMBER_ATTACHED) {
            bed_turn();
        }
        netvm_bed_wait_gone(b);
        netvm_bed_expect_none(c);
        send_to(a, c, 1);
        pkt = netvm_bed_receive(c);
        netvm_free(c, &pkt, 1);
    }
    check_all_back(b);
    netvm_bed_free(b);
}

/* At any moment, again and again; in the end nothing is missing. */
static void test_again_and_again(void)
{
    NetvmBed *b = netvm_bed_new("buffers=256");
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    unsigned rounds = g_test_slow() ? 20000 : 400, died = 0;

    for (unsigned i = 0; i < 3; i++) {
        netvm_bed_attach(b, i);
    }
    for (unsigned round = 0; round < rounds; round++) {
        unsigned who = g_rand_int_range(rand, 0, 3);
        struct netvm *nv = b->nv[who];
        struct netvm_desc pkt[32];
        int n = netvm_rx_burst(nv, pkt, g_rand_int_range(rand, 0, 32));

        g_assert_cmpint(n, >=, 0);
        if (n == 0) {
            n = netvm_alloc(nv, pkt, 8);
        }
        for (int i = 0; i < n; i++) {
            pkt[i].length = BED_FRAME_BYTES;
            pkt[i].action = NETVM_TO_MEMBER;
            pkt[i].port = g_rand_int_range(rand, 1, 5);
        }
        if (g_rand_int_range(rand, 0, 8) > 0) {
            int sent = netvm_tx_burst(nv, pkt, n);

            g_assert_cmpint(sent, >=, 0);
            netvm_free(nv, pkt + sent, n - sent);
        }
        if (g_rand_int_range(rand, 0, 20) == 0) {
            netvm_bed_detach(b, who);
            if (died % 2) {
                netvm_bed_wait_gone(b);
            }
            netvm_bed_attach(b, who);
            netvm_bed_wait_gone(b);
            died++;
        }
        bed_turn();
    }
    g_test_message("%u died", died);
    g_assert_cmpuint(died, >, 5);
    check_all_back(b);
    netvm_bed_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/netvm/leave/daemon-chain", test_daemon_chain);
    g_test_add_func("/netvm/leave/direct-chain", test_direct_chain);
    g_test_add_func("/netvm/leave/quarantine", test_quarantine);
    g_test_add_func("/netvm/leave/asleep", test_asleep);
    g_test_add_func("/netvm/leave/reset", test_reset);
    g_test_add_func("/netvm/leave/again-and-again", test_again_and_again);
    return g_test_run();
}
