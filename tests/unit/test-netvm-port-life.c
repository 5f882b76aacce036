/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port of type netvm while it has an attachment: that one starts anew without
 * end, does not read, is not the only one, or is cut off.
 *
 * Threads: one, and the switch's worker.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "file-closer.h"
#include "netvm-raw-bed.h"
#include "open-fds.h"

#define RESETS 1000
/* Messages that wait for a peer, each with a file at most, and some. */
#define WAITING_FDS_MAX 600
/* What a peer can cause as often as it likes is not logged as often. */
#define LINES_MAX 50

/* -- RESET ----------------------------------------------------------------- */

static void test_many_resets(void)
{
    NetvmBed *b = netvm_bed_new("");
    NetvmRaw *r = netvm_raw_join(b->socket[0]);
    uint32_t serial = r->ready.serial;
    unsigned fds;

    netvm_raw_say(r, NETVM_MSG_RESET, NULL, 0);
    netvm_raw_wait_ready(r, 1);
    fds = open_fds();
    for (unsigned i = 2; i <= RESETS; i++) {
        g_assert_cmpuint(r->ready.serial, !=, serial);
        serial = r->ready.serial;
        if (i % 2) {
            raw_bed_attach(b, r);
            netvm_raw_alloc(r);
        }
        netvm_raw_say(r, NETVM_MSG_RESET, NULL, 0);
        netvm_raw_wait_ready(r, i);
    }
    g_assert_cmpuint(open_fds(), ==, fds);
    /* All at once, while they are answered. */
    for (unsigned i = 1; i <= RESETS; i++) {
        netvm_raw_say(r, NETVM_MSG_RESET, NULL, 0);
        g_assert_true(netvm_raw_hear(r));
        if (i % 16 == 0) {
            netvm_raw_wait_ready(r, RESETS + i);
        }
    }
    netvm_raw_wait_ready(r, 2 * RESETS);
    g_assert_cmpuint(open_fds(), ==, fds);
    netvm_raw_free(r);
    raw_bed_check_serves(b);
    netvm_bed_free(b);
}

/* The others see each of them come and go, and nobody waits for them. */
static void test_resets_beside_others(void)
{
    NetvmBed *b = netvm_bed_new("");
    struct netvm *nv = netvm_bed_attach(b, 1);
    NetvmRaw *r = netvm_raw_join(b->socket[0]);

    for (unsigned i = 1; i <= RESETS / 10; i++) {
        raw_bed_attach(b, r);
        netvm_raw_say(r, NETVM_MSG_RESET, NULL, 0);
        netvm_raw_wait_ready(r, i);
        /* It looks, so that numbers become free again. */
        for (unsigned k = 0; k < 5; k++) {
            g_assert_cmpint(netvm_rx_burst(nv, NULL, 0), ==, 0);
            bed_turn();
            g_usleep(500);
        }
    }
    netvm_raw_free(r);
    netvm_bed_detach(b, 1);
    netvm_bed_wait_gone(b);
    g_assert_cmpuint(domain_free_buffers(b->domain), ==, b->domain->buffers);
    netvm_bed_free(b);
}

/* It starts anew before the daemon has seen that it polls: who it is then does
 * not poll yet. */
static void test_reset_unseen(void)
{
    NetvmBed *b = netvm_bed_new("");
    NetvmRaw *r = netvm_raw_join(b->socket[0]);

    for (unsigned i = 1; i <= 200; i++) {
        netvm_raw_attach(r);
        g_usleep(i % 4 * 50);
        netvm_raw_say(r, NETVM_MSG_RESET, NULL, 0);
        netvm_raw_wait_ready(r, i);
        bed_turn();
        g_assert_false(raw_bed_status(b, "m0").ready);
    }
    netvm_raw_free(r);
    raw_bed_check_serves(b);
    netvm_bed_free(b);
}

/* -- Who does not read ----------------------------------------------------- */

static bool takes_no_more(void *opaque)
{
    struct netvm_header reset = { .type = NETVM_MSG_RESET };

    return netvm_raw_write(opaque, &reset, sizeof(reset), NULL, 0) == 0;
}

/*
 * It says RESET without end.  What is kept for it is bounded; once it reads,
 * either the last READY comes or the end: it does not wait for ever.
 */
static void test_never_reads(void)
{
    NetvmBed *b = netvm_bed_new("");
    unsigned resets = 0, fds;
    NetvmRaw *r;

    raw_bed_check_serves(b);
    fds = open_fds();
    r = netvm_raw_join(b->socket[0]);
    while (resets < 4 * RESETS && !takes_no_more(r)) {
        resets++;
        bed_turn();
        if (resets % 100 == 0) {
            g_assert_cmpuint(open_fds(), <, fds + WAITING_FDS_MAX);
        }
    }
    g_test_message("%u RESETs", resets);
    g_assert_cmpuint(resets, >, 100);
    /* Others come and go meanwhile. */
    netvm_bed_attach(b, 1);
    netvm_bed_detach(b, 1);
    for (unsigned i = 0; i < 2000 && netvm_raw_hear(r) &&
         r->ready.resets < resets; i++) {
        bed_turn();
        g_usleep(1000);
    }
    g_assert_true(r->gone || r->ready.resets == resets);
    netvm_raw_free(r);
    raw_bed_check_serves(b);
    g_assert_cmpuint(open_fds(), ==, fds);
    netvm_bed_free(b);
}

/* Doorbells that are full, and would block whoever rings them with write(). */
static void test_full_doorbells(void)
{
    /* Others of its domain would have these doorbells, too, and trust it. */
    NetvmBed *b = netvm_bed_new("direct=off");
    NetvmRaw *r = netvm_raw_join(b->socket[0]);
    uint64_t full = UINT64_MAX - 1;
    uint8_t frame[BED_FRAME_BYTES];

    bed_add(b->sw, "x", "");
    raw_bed_attach(b, r);
    for (unsigned i = 0; i < NETVM_VECTORS; i++) {
        int flags = fcntl(r->interrupt[i], F_GETFL);

        (void)!write(r->interrupt[i], &full, sizeof(full));
        g_assert_cmpint(fcntl(r->interrupt[i], F_SETFL, flags & ~O_NONBLOCK),
                        ==, 0);
    }
    bed_make_frame(frame, BED_GROUP, 1, -1);
    for (unsigned i = 0; i < 10; i++) {
        struct netvm_desc desc;

        /* It wants to be woken by each. */
        netvm_receiver_may_sleep(&r->rx);
        bed_send(b->sw, "x", frame, sizeof(frame));
        for (unsigned k = 0; netvm_receive(&r->rx, &desc, 1) != 1; k++) {
            g_assert_cmpuint(k, <, BED_WAIT_S * 1000);
            bed_turn();
            g_usleep(1000);
        }
        g_assert_cmpuint(desc.length, ==, sizeof(frame));
    }
    /* Its region changes: the other doorbell. */
    netvm_bed_attach(b, 1);
    netvm_bed_detach(b, 1);
    netvm_raw_free(r);
    netvm_bed_wait_gone(b);
    raw_bed_check_serves(b);
    netvm_bed_free(b);
}

/* -- Another one ----------------------------------------------------------- */

static void test_second(void)
{
    NetvmBed *b = netvm_bed_new("");
    NetvmRaw *r = netvm_raw_join(b->socket[0]), *second;
    unsigned fds = open_fds(), lines = bed_warnings;
    int file[8];

    for (unsigned i = 0; i < 200; i++) {
        second = netvm_raw_new(b->socket[0]);
        if (i % 2) {
            netvm_raw_hello(second);
        }
        if (i % 4 == 3) {
            for (unsigned k = 0; k < G_N_ELEMENTS(file); k++) {
                file[k] = second->fd;
            }
            netvm_raw_write(second, "", 1, file, G_N_ELEMENTS(file));
        }
        netvm_raw_expect_end(second, "turned away");
        g_assert_null(second->window);
        netvm_raw_free(second);
    }
    while (file_closer_waiting() > 0) {
        bed_turn();
    }
    g_assert_cmpuint(open_fds(), ==, fds);
    g_assert_cmpuint(bed_warnings - lines, <=, LINES_MAX);
    /* The first one goes on. */
    netvm_raw_say(r, NETVM_MSG_RESET, NULL, 0);
    netvm_raw_wait_ready(r, 1);
    raw_bed_attach(b, r);
    netvm_raw_alloc(r);
    netvm_raw_free(r);
    raw_bed_check_serves(b);
    netvm_bed_free(b);
}

/* A file whose last close() waits for seconds. */
static int slow_file(int *other)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct linger linger = { .l_onoff = 1, .l_linger = 3 };
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t bytes = sizeof(at);
    uint8_t data[4096] = { 0 };

    g_assert_cmpint(bind(server, (struct sockaddr *)&at, bytes), ==, 0);
    g_assert_cmpint(listen(server, 1), ==, 0);
    getsockname(server, (struct sockaddr *)&at, &bytes);
    g_assert_cmpint(connect(file, (struct sockaddr *)&at, bytes), ==, 0);
    *other = accept(server, NULL, NULL);
    g_assert_cmpint(*other, >=, 0);
    close(server);
    while (send(file, data, sizeof(data), MSG_DONTWAIT) > 0) {
    }
    g_assert_cmpint(setsockopt(file, SOL_SOCKET, SO_LINGER, &linger,
                               sizeof(linger)), ==, 0);
    return file;
}

/* Sent by the first or a second one: others do not wait for its close(). */
static void test_slow_file(void)
{
    for (unsigned second = 0; second < 2; second++) {
        NetvmBed *b = netvm_bed_new("");
        NetvmRaw *first = second ? netvm_raw_join(b->socket[0]) : NULL;
        NetvmRaw *r = netvm_raw_new(b->socket[0]);
        gint64 begin_us, took_us;
        int other, file = slow_file(&other);

        g_assert_cmpuint(netvm_raw_write(r, "", 1, &file, 1), ==, 1);
        close(file);
        begin_us = g_get_monotonic_time();
        for (unsigned i = 0; i < 100; i++) {
            bed_turn();
            g_usleep(1000);
        }
        took_us = g_get_monotonic_time() - begin_us;
        close(other);
        g_assert_cmpint(took_us, <, 2 * G_USEC_PER_SEC);
        netvm_raw_wait_end(r);
        netvm_raw_free(r);
        if (first) {
            netvm_raw_free(first);
        }
        raw_bed_check_serves(b);
        netvm_bed_free(b);
    }
}

/* Who has gone before another one comes is not in its way, though the daemon
 * hears of both at once. */
static void test_next(void)
{
    NetvmBed *b = netvm_bed_new("");

    for (unsigned i = 0; i < 20; i++) {
        NetvmRaw *r = netvm_raw_join(b->socket[0]);

        netvm_raw_free(r);
        r = netvm_raw_join(b->socket[0]);
        g_assert_cmpuint(r->readies, ==, 1);
        netvm_raw_free(r);
        raw_bed_wait_alone(b);
    }
    netvm_bed_free(b);
}

/* -- The port ends --------------------------------------------------------- */

/* With an attachment in each state: connected, a member, attached, sending. */
static NetvmRaw *come(NetvmBed *b, unsigned how)
{
    NetvmRaw *r = how ? netvm_raw_join(b->socket[0])
                      : netvm_raw_new(b->socket[0]);

    if (how > 1) {
        raw_bed_attach(b, r);
        netvm_raw_alloc(r);
    }
    if (how > 2) {
        struct netvm_desc desc = {
            .buffer = netvm_raw_alloc(r), .length = 60,
            .action = NETVM_SWITCH,
        };

        netvm_raw_send(r, &desc);
    }
    bed_turn();
    return r;
}

static void test_link_down(void)
{
    NetvmBed *b = netvm_bed_new("");
    g_autofree char *up = g_strdup_printf("type=netvm domain=d socket=%s",
                                          b->socket[0]);
    g_autofree char *down = g_strconcat(up, " link=down", NULL);
    unsigned fds;

    raw_bed_check_serves(b);
    fds = open_fds();
    for (unsigned how = 0; how < 4; how++) {
        NetvmRaw *r = come(b, how);

        bed_set(b->sw, "m0", down);
        netvm_raw_wait_end(r);
        g_assert_false(g_file_test(b->socket[0], G_FILE_TEST_EXISTS));
        netvm_raw_free(r);
        bed_set(b->sw, "m0", up);
        raw_bed_check_serves(b);
        g_assert_cmpuint(open_fds(), ==, fds);
    }
    netvm_bed_free(b);
}

static void test_removed(void)
{
    g_autofree char *path = bed_socket_path();
    g_autofree char *settings = g_strdup_printf("type=netvm domain=d "
                                                "socket=%s", path);
    NetvmBed *b = netvm_bed_new("");
    char *first = b->socket[0];
    unsigned fds;

    b->socket[0] = path;
    fds = open_fds();
    for (unsigned how = 0; how < 4; how++) {
        NetvmRaw *r;

        bed_remove(b->sw, "m0");
        bed_add(b->sw, "m0", settings);
        r = come(b, how);
        bed_remove(b->sw, "m0");
        netvm_raw_wait_end(r);
        netvm_raw_free(r);
        netvm_bed_wait_gone(b);
        g_assert_cmpuint(b->domain->members, ==, 0);
        g_assert_cmpuint(domain_free_buffers(b->domain), ==,
                         b->domain->buffers);
        bed_add(b->sw, "m0", settings);
        raw_bed_check_serves(b);
        g_assert_cmpuint(open_fds(), ==, fds);
    }
    bed_remove(b->sw, "m0");
    bed_socket_free(g_steal_pointer(&path));
    b->socket[0] = first;
    netvm_bed_free(b);
}

/* Not while a port names it; then its memory goes, with members or without. */
static void test_remove_domain(void)
{
    NetvmBed *b = netvm_bed_new("");
    g_autoptr(GError) error = NULL;
    DomainSettings s = *domain_settings(b->domain);
    NetvmRaw *r[2] = { come(b, 3) };
    unsigned fds, mapped;

    g_assert_false(switch_remove_domain(b->sw, "d", &error));
    g_assert_nonnull(strstr(error->message, "ports (4): remove them first"));
    g_clear_error(&error);
    /* One that stays, and sees nothing: quarantine to the end. */
    r[1] = netvm_raw_join(b->socket[1]);
    netvm_raw_attach(r[1]);
    for (unsigned i = 0; i < 100; i++) {
        bed_turn();
        g_usleep(1000);
    }
    for (unsigned i = 0; i < NETVM_BED_MEMBERS; i++) {
        g_autofree char *name = g_strdup_printf("m%u", i);

        g_assert_false(switch_remove_domain(b->sw, "d", NULL));
        bed_remove(b->sw, name);
    }
    fds = open_fds();
    mapped = raw_bed_maps();
    g_assert_true(switch_remove_domain(b->sw, "d", &error));
    g_assert_no_error(error);
    g_assert_cmpuint(open_fds(), <, fds);
    /* Both of these still have theirs. */
    g_assert_cmpuint(raw_bed_maps(), ==, mapped - 1);
    /* Who has the memory still may write to it. */
    for (unsigned i = 0; i < 2; i++) {
        memset(netvm_raw_region(r[i]), 0xff, r[i]->mapped_bytes);
        netvm_raw_free(r[i]);
    }
    bed_turn();
    /* Another one of that name. */
    b->domain = switch_set_domain(b->sw, "d", &s, &error);
    g_assert_no_error(error);
    netvm_bed_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/netvm/port-life/many-resets", test_many_resets);
    g_test_add_func("/netvm/port-life/resets-beside-others",
                    test_resets_beside_others);
    g_test_add_func("/netvm/port-life/reset-unseen", test_reset_unseen);
    g_test_add_func("/netvm/port-life/never-reads", test_never_reads);
    g_test_add_func("/netvm/port-life/full-doorbells", test_full_doorbells);
    g_test_add_func("/netvm/port-life/second", test_second);
    g_test_add_func("/netvm/port-life/slow-file", test_slow_file);
    g_test_add_func("/netvm/port-life/next", test_next);
    g_test_add_func("/netvm/port-life/link-down", test_link_down);
    g_test_add_func("/netvm/port-life/removed", test_removed);
    g_test_add_func("/netvm/port-life/remove-domain", test_remove_domain);
    return g_test_run();
}
