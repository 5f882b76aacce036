/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket of a port of type netvm, with somebody at the other end who says
 * anything, nothing, too much, or ends at any moment: the port serves the next
 * one, nothing is left open, and other ports do not notice.
 *
 * Threads: one, and the switch's worker.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netvm-raw-bed.h"
#include "open-fds.h"

#define CONNECTS 2000

/* -- Wrong things ---------------------------------------------------------- */

static void test_garbage(void)
{
    NetvmBed *b = netvm_bed_new("");
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint8_t data[1024];
    unsigned fds;

    raw_bed_check_serves(b);
    fds = open_fds();
    for (unsigned round = 0; round < 200; round++) {
        NetvmRaw *r = netvm_raw_new(b->socket[0]);
        unsigned bytes = g_rand_int_range(rand, 8, sizeof(data));

        for (unsigned i = 0; i < sizeof(data); i++) {
            data[i] = g_rand_int(rand);
        }
        netvm_raw_write(r, data, bytes, NULL, 0);
        netvm_raw_expect_end(r, "no netvm attachment");
        netvm_raw_free(r);
    }
    raw_bed_check_serves(b);
    g_assert_cmpuint(open_fds(), ==, fds);
    netvm_bed_free(b);
}

typedef struct Wrong {
    const char *name;
    bool welcome;               /* HELLO was said before */
    uint32_t type, bytes;
    const char *why;
} Wrong;

static const Wrong wrongs[] = {
    { "type-0", false, 0, 0, "type 0 with 0 bytes" },
    { "type-4", false, 4, 0, "type 4" },
    { "type-15", true, 15, 8, "type 15" },
    { "welcome", false, NETVM_MSG_WELCOME, 16, "type 16" },
    { "segment", true, NETVM_MSG_SEGMENT, 24, "type 18" },
    { "ready", true, NETVM_MSG_READY, 16, "type 22" },
    { "type-max", false, UINT32_MAX, UINT32_MAX, "type 4294967295" },
    { "hello-0", false, NETVM_MSG_HELLO, 0, "1 with 0 bytes" },
    { "hello-15", false, NETVM_MSG_HELLO, 15, "1 with 15 bytes" },
    { "hello-17", false, NETVM_MSG_HELLO, 17, "1 with 17 bytes" },
    { "hello-max", false, NETVM_MSG_HELLO, UINT32_MAX, "1 with 4294967295" },
    { "reset-1", true, NETVM_MSG_RESET, 1, "2 with 1 bytes" },
    { "unfit-0", true, NETVM_MSG_UNFIT, 0, "3 with 0 bytes" },
    { "unfit-255", true, NETVM_MSG_UNFIT, 255, "3 with 255 bytes" },
    { "reset-first", false, NETVM_MSG_RESET, 0, "did not say HELLO" },
    { "hello-twice", true, NETVM_MSG_HELLO, 16, "HELLO twice" },
};

static void say_wrong(const Wrong *w)
{
    static const uint8_t zeros[sizeof(struct netvm_text)];
    struct netvm_header header = { .type = w->type, .bytes = w->bytes };
    NetvmBed *b = netvm_bed_new("");
    unsigned fds;
    NetvmRaw *r;

    raw_bed_check_serves(b);
    fds = open_fds();
    r = w->welcome ? netvm_raw_join(b->socket[0])
                   : netvm_raw_new(b->socket[0]);
    netvm_raw_write(r, &header, sizeof(header), NULL, 0);
    netvm_raw_write(r, zeros, MIN(w->bytes, sizeof(zeros)), NULL, 0);
    netvm_raw_expect_end(r, w->why);
    netvm_raw_free(r);
    raw_bed_check_serves(b);
    g_assert_cmpuint(open_fds(), ==, fds);
    netvm_bed_free(b);
}

static void test_wrong(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(wrongs); i++) {
        g_test_message("%s", wrongs[i].name);
        say_wrong(&wrongs[i]);
    }
}

/* It is told why, and what to do. */
static void test_refused(void)
{
    static const struct {
        struct netvm_hello hello;
        const char *why, *what_to_do;
    } refusals[] = {
        { { .version = 2, .window_bytes = UINT64_MAX },
          "speaks version 2, the daemon 1", "from one release" },
        { { .version = UINT32_MAX, .window_bytes = UINT64_MAX },
          "version 4294967295", "from one release" },
        { { .version = 1, .window_bytes = 0 },
          "domain d has", "give it a larger size=" },
        { { .version = 1, .window_bytes = 1 << 20 },
          "more than the 1 MiB", "fewer buffers=" },
    };
    NetvmBed *b = netvm_bed_new("");

    for (unsigned i = 0; i < G_N_ELEMENTS(refusals); i++) {
        NetvmRaw *r = netvm_raw_new(b->socket[0]);

        netvm_raw_say(r, NETVM_MSG_HELLO, &refusals[i].hello,
                      sizeof(refusals[i].hello));
        netvm_raw_expect_end(r, refusals[i].why);
        g_assert_nonnull(r->refused);
        g_assert_nonnull(strstr(r->refused, refusals[i].why));
        g_assert_nonnull(strstr(r->refused, refusals[i].what_to_do));
        g_assert_null(r->window);
        netvm_raw_free(r);
        raw_bed_check_serves(b);
    }
    netvm_bed_free(b);
}

/* What it says is logged as one line of text. */
static void test_unfit(void)
{
    static const char *const starts[] = {
        "the window is too small", "\xff\xfe\x80 bytes", "\xe2\x82",
        "two\nlines", "\x1b[2J and \a and \r", "", "%s%n%s",
    };
    NetvmBed *b = netvm_bed_new("");

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(starts); i++) {
        const char *start = starts[i / 2];
        NetvmRaw *r = netvm_raw_join(b->socket[0]);
        struct netvm_text body;

        /* The rest is zeros, or letters without an end. */
        memset(body.text, i % 2 ? 'x' : 0, sizeof(body.text));
        memcpy(body.text, start, strlen(start));
        netvm_raw_say(r, NETVM_MSG_UNFIT, &body, sizeof(body));
        netvm_raw_expect_end(r, "port m0: ");
        g_assert_true(g_utf8_validate(bed_last_warning, -1, NULL));
        for (const char *c = bed_last_warning; *c; c++) {
            g_assert_false(g_ascii_iscntrl(*c));
        }
        netvm_raw_free(r);
        raw_bed_wait_alone(b);
    }
    netvm_bed_free(b);
}

/* -- Files that nobody asked for ------------------------------------------- */

static void send_files(NetvmBed *b, const char *data, size_t bytes,
                       unsigned files, bool welcome)
{
    NetvmRaw *r = welcome ? netvm_raw_join(b->socket[0])
                          : netvm_raw_new(b->socket[0]);
    int fd[253];

    for (unsigned i = 0; i < files; i++) {
        fd[i] = r->fd;          /* the connection itself is a file, too */
    }
    g_assert_cmpuint(netvm_raw_write(r, data, bytes, fd, files), ==, bytes);
    netvm_raw_expect_end(r, "it has sent files");
    netvm_raw_free(r);
    raw_bed_wait_alone(b);
}

static void test_files(void)
{
    static const unsigned counts[] = { 1, 2, 16, 253 };
    struct netvm_header reset = { .type = NETVM_MSG_RESET };
    NetvmBed *b = netvm_bed_new("");
    unsigned fds;

    send_files(b, "\1", 1, 1, false);
    fds = open_fds();
    for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
        send_files(b, "\1", 1, counts[i], false);
        send_files(b, "nonsense", 8, counts[i], false);
        send_files(b, (char *)&reset, sizeof(reset), counts[i], true);
        g_assert_cmpuint(open_fds(), ==, fds);
    }
    raw_bed_check_serves(b);
    g_assert_cmpuint(open_fds(), ==, fds);
    netvm_bed_free(b);
}

/* -- In pieces, and cut off ------------------------------------------------ */

static void test_byte_by_byte(void)
{
    struct {
        struct netvm_header header;
        struct netvm_hello hello;
        struct netvm_header reset;
    } said = {
        { NETVM_MSG_HELLO, sizeof(struct netvm_hello) },
        { .version = NETVM_WIRE_VERSION,
          .window_bytes = NETVM_RAW_WINDOW_BYTES },
        { NETVM_MSG_RESET, 0 },
    };
    NetvmBed *b = netvm_bed_new("");
    unsigned fds = 0;

    /* All of it, and then less and less. */
    for (unsigned bytes = sizeof(said); bytes > 0; bytes--) {
        NetvmRaw *r = netvm_raw_new(b->socket[0]);

        for (unsigned i = 0; i < bytes; i++) {
            g_assert_cmpuint(netvm_raw_write(r, (uint8_t *)&said + i, 1, NULL,
                                             0), ==, 1);
            bed_turn();
        }
        if (bytes == sizeof(said)) {
            netvm_raw_wait_ready(r, 1);
            g_assert_cmpuint(r->readies, ==, 2);
        } else {
            g_assert_true(netvm_raw_hear(r));
            g_assert_cmpuint(r->readies, <=, 1);
        }
        netvm_raw_free(r);
        raw_bed_wait_alone(b);
        if (bytes == sizeof(said)) {
            fds = open_fds();
        }
        g_assert_cmpuint(open_fds(), ==, fds);
    }
    raw_bed_check_serves(b);
    netvm_bed_free(b);
}

/* It ends after each message of the daemon's, read or not, and after each of
 * its own. */
static void test_ends_anywhere(void)
{
    NetvmBed *b = netvm_bed_new("");
    unsigned fds, messages;
    NetvmRaw *r = netvm_raw_join(b->socket[0]);

    messages = r->heard;
    netvm_raw_free(r);
    raw_bed_wait_alone(b);
    fds = open_fds();
    for (unsigned i = 0; i < 4 * messages; i++) {
        char some[16];

        r = netvm_raw_new(b->socket[0]);
        if (i % 4 > 0) {
            netvm_raw_hello(r);
        }
        if (i % 4 > 1) {
            netvm_raw_say(r, NETVM_MSG_RESET, NULL, 0);
        }
        if (i % 2 > 0) {
            bed_turn();
        }
        /* Files of what was not read are nobody's then. */
        for (unsigned n = 0; n < i / 4; n++) {
            (void)!recv(r->fd, some, sizeof(some), MSG_DONTWAIT);
        }
        netvm_raw_free(r);
        raw_bed_wait_alone(b);
        g_assert_cmpuint(open_fds(), ==, fds);
    }
    for (unsigned i = 0; i < 20; i++) {
        struct netvm_desc desc = { .length = 60, .action = NETVM_SWITCH };

        r = netvm_raw_join(b->socket[0]);
        raw_bed_attach(b, r);
        if (i % 2 > 0) {
            desc.buffer = netvm_raw_alloc(r);
            netvm_raw_send(r, &desc);
        }
        netvm_raw_say(r, NETVM_MSG_RESET, NULL, 0);
        netvm_raw_free(r);
        raw_bed_wait_alone(b);
        g_assert_cmpuint(open_fds(), ==, fds);
    }
    raw_bed_check_serves(b);
    netvm_bed_free(b);
}

static void test_many_connects(void)
{
    NetvmBed *b = netvm_bed_new("");
    unsigned fds, mapped;

    raw_bed_check_serves(b);
    fds = open_fds();
    mapped = raw_bed_maps();
    for (unsigned i = 0; i < CONNECTS; i++) {
        NetvmRaw *r = i % 2 ? netvm_raw_join(b->socket[0])
                            : netvm_raw_new(b->socket[0]);

        if (i % 4 == 0) {
            netvm_raw_hello(r);
        }
        netvm_raw_free(r);
        raw_bed_wait_alone(b);
    }
    g_assert_cmpuint(open_fds(), ==, fds);
    g_assert_cmpuint(raw_bed_maps(), ==, mapped);
    raw_bed_check_serves(b);
    netvm_bed_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    bed_expect_warnings();
    g_test_add_func("/netvm/port/garbage", test_garbage);
    g_test_add_func("/netvm/port/wrong", test_wrong);
    g_test_add_func("/netvm/port/refused", test_refused);
    g_test_add_func("/netvm/port/unfit", test_unfit);
    g_test_add_func("/netvm/port/files", test_files);
    g_test_add_func("/netvm/port/byte-by-byte", test_byte_by_byte);
    g_test_add_func("/netvm/port/ends-anywhere", test_ends_anywhere);
    g_test_add_func("/netvm/port/many-connects", test_many_connects);
    return g_test_run();
}
