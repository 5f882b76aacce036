/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages over a socket: cut anywhere, with too many files, with answers that
 * nobody reads.
 *
 * Threads: single.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "open-fds.h"
#include "vu-conn.h"

typedef struct Bed {
    VuConn *conn;
    int peer;
    GError *error;
} Bed;

static Bed *bed_new(void)
{
    Bed *bed = g_new0(Bed, 1);
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
    bed->conn = vu_conn_new(fds[0]);
    bed->peer = fds[1];
    return bed;
}

static void bed_free(Bed *bed)
{
    vu_conn_free(bed->conn);
    if (bed->peer >= 0) {
        close(bed->peer);
    }
    g_clear_error(&bed->error);
    g_free(bed);
}

static void peer_send(Bed *bed, const void *data, size_t bytes, unsigned fds)
{
    char control[CMSG_SPACE(64 * sizeof(int))] = { 0 };
    struct iovec iov = { .iov_base = (void *)data, .iov_len = bytes };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    int fd[64];

    for (unsigned i = 0; i < fds; i++) {
        fd[i] = memfd_create("x", MFD_CLOEXEC);
    }
    if (fds > 0) {
        struct cmsghdr *cmsg;

        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fd, fds * sizeof(int));
    }
    g_assert_cmpint(sendmsg(bed->peer, &msg, 0), ==, bytes);
    for (unsigned i = 0; i < fds; i++) {
        close(fd[i]);
    }
}

static size_t make(uint8_t *to, uint32_t request, uint32_t bytes)
{
    VuHeader h = { request, VU_VERSION, bytes };

    memcpy(to, &h, sizeof(h));
    for (uint32_t i = 0; i < bytes; i++) {
        to[sizeof(h) + i] = request + i;
    }
    return sizeof(h) + bytes;
}

static void check(const VuMsg *m, uint32_t request, uint32_t bytes)
{
    g_assert_cmpuint(m->header.request, ==, request);
    g_assert_cmpuint(m->header.payload_bytes, ==, bytes);
    for (uint32_t i = 0; i < sizeof(m->payload); i++) {
        g_assert_cmpint(((const uint8_t *)&m->payload)[i], ==,
                        i < bytes ? (uint8_t)(request + i) : 0);
    }
}

/* Two messages in one piece, then each byte by itself. */
static void test_pieces(void)
{
    Bed *bed = bed_new();
    uint8_t data[1024];
    size_t bytes = make(data, 5, 264);
    VuMsg m;

    bytes += make(data + bytes, 1, 0);
    peer_send(bed, data, bytes, 3);
    g_assert_cmpint(vu_conn_receive(bed->conn, &m, NULL), ==, VU_RECEIVED);
    check(&m, 5, 264);
    g_assert_cmpuint(m.fds, ==, 3);
    vu_msg_clear(&m);
    g_assert_cmpint(vu_conn_receive(bed->conn, &m, NULL), ==, VU_RECEIVED);
    check(&m, 1, 0);
    g_assert_cmpuint(m.fds, ==, 0);

    bytes = make(data, 9, 40);
    for (size_t i = 0; i < bytes; i++) {
        g_assert_cmpint(vu_conn_receive(bed->conn, &m, NULL), ==,
                        VU_RECEIVED_PART);
        peer_send(bed, data + i, 1, i % 20 == 7);
    }
    g_assert_cmpint(vu_conn_receive(bed->conn, &m, NULL), ==, VU_RECEIVED);
    check(&m, 9, 40);
    g_assert_cmpuint(m.fds, ==, 3);
    vu_msg_clear(&m);
    bed_free(bed);
}

static void expect_broken(const uint8_t *data, size_t bytes, unsigned fds,
                          bool close_peer, const char *reason)
{
    unsigned before = open_fds();
    Bed *bed = bed_new();
    VuMsg m;

    peer_send(bed, data, bytes, fds);
    if (close_peer) {
        close(bed->peer);
        bed->peer = -1;
    }
    g_assert_cmpint(vu_conn_receive(bed->conn, &m, &bed->error), ==, VU_BROKEN);
    if (!strstr(bed->error->message, reason)) {
        g_error("'%s' lacks '%s'", bed->error->message, reason);
    }
    bed_free(bed);
    g_assert_cmpuint(open_fds(), ==, before);
}

static void test_broken(void)
{
    uint8_t data[1024];
    VuHeader h = { VU_SET_MEM_TABLE, VU_VERSION, 265 };

    memcpy(data, &h, sizeof(h));
    expect_broken(data, sizeof(h), 0, false, "SET_MEM_TABLE has 265 bytes");
    h.payload_bytes = UINT32_MAX;
    memcpy(data, &h, sizeof(h));
    expect_broken(data, sizeof(h), 2, false, "4294967295 bytes");
    h = (VuHeader) { VU_SET_OWNER, VU_VERSION | VU_FLAG_REPLY, 0 };
    memcpy(data, &h, sizeof(h));
    expect_broken(data, sizeof(h), 0, false, "nothing was asked");
    h.flags = 2;
    memcpy(data, &h, sizeof(h));
    expect_broken(data, sizeof(h), 0, false, "version 2");

    make(data, 3, 8);
    expect_broken(data, 19, 1, true, "within a message");
    expect_broken(data, 1, 0, true, "within a message");
    expect_broken(data, 20, 9, false, "more than 8 file descriptors");
    expect_broken(data, 20, 64, false, "more than 8 file descriptors");
}

/* Nine, one with each of several pieces. */
static void test_many_files(void)
{
    unsigned before = open_fds();
    Bed *bed = bed_new();
    uint8_t data[64];
    VuReceived last = VU_RECEIVED_PART;
    VuMsg m;

    make(data, 9, 40);
    for (unsigned i = 0; last == VU_RECEIVED_PART; i++) {
        g_assert_cmpuint(i, <, 9);
        peer_send(bed, data + i, 1, 1);
        last = vu_conn_receive(bed->conn, &m, NULL);
    }
    g_assert_cmpint(last, ==, VU_BROKEN);
    bed_free(bed);
    g_assert_cmpuint(open_fds(), ==, before);
}

static void test_closed(void)
{
    Bed *bed = bed_new();
    VuMsg m;

    close(bed->peer);
    bed->peer = -1;
    g_assert_cmpint(vu_conn_receive(bed->conn, &m, NULL), ==, VU_CLOSED);
    bed_free(bed);
}

/* Whoever goes need not wait for an answer. */
static void test_closed_unread(void)
{
    Bed *bed = bed_new();
    VuMsg m = { .header = { .request = VU_GET_FEATURES, .flags = VU_VERSION } };
    uint64_t u64 = 0;

    g_assert_true(vu_conn_reply(bed->conn, &m, &u64, 8, NULL));
    close(bed->peer);
    bed->peer = -1;
    g_assert_true(vu_conn_reply(bed->conn, &m, &u64, 8, NULL));
    g_assert_false(vu_conn_wants_to_write(bed->conn));
    g_assert_cmpint(vu_conn_receive(bed->conn, &m, NULL), ==, VU_CLOSED);
    bed_free(bed);
}

/* What fails brings no files, whatever the last one left where they come. */
static void test_closed_within(void)
{
    Bed *bed = bed_new();
    uint8_t message[64];
    unsigned fds = open_fds();
    uint64_t u64 = 0;
    VuMsg m = { .header = { .request = VU_GET_FEATURES, .flags = VU_VERSION } };

    g_assert_true(vu_conn_reply(bed->conn, &m, &u64, 8, NULL));
    make(message, VU_SET_VRING_CALL, 8);
    peer_send(bed, message, sizeof(VuHeader), 1);
    close(bed->peer);
    bed->peer = -1;
    g_assert_cmpint(vu_conn_receive(bed->conn, &m, &bed->error), ==, VU_BROKEN);
    g_assert_nonnull(strstr(bed->error->message, "within a message"));
    /* One came, and the peer's end has gone. */
    g_assert_cmpuint(open_fds(), ==, fds);
    bed_free(bed);
    g_assert_cmpuint(open_fds(), ==, fds - 2);
}

static void test_reply(void)
{
    Bed *bed = bed_new();
    VuMsg m = { .header = { .request = VU_GET_FEATURES,
                            .flags = VU_VERSION | VU_FLAG_NEED_REPLY } };
    uint64_t features = 0x123456789abcdef0;
    struct {
        VuHeader h;
        uint64_t u64;
    } __attribute__((packed)) got;

    g_assert_true(vu_conn_reply(bed->conn, &m, &features, 8, NULL));
    g_assert_false(vu_conn_wants_to_write(bed->conn));
    g_assert_cmpint(recv(bed->peer, &got, sizeof(got), 0), ==, sizeof(got));
    g_assert_cmpuint(got.h.request, ==, VU_GET_FEATURES);
    g_assert_cmpuint(got.h.flags, ==, VU_VERSION | VU_FLAG_REPLY);
    g_assert_cmpuint(got.h.payload_bytes, ==, 8);
    g_assert_cmphex(got.u64, ==, features);
    bed_free(bed);
}

/* Answers wait until the socket takes them, but not without end. */
static void test_unread(void)
{
    Bed *bed = bed_new();
    VuMsg m = { .header = { .request = VU_GET_FEATURES, .flags = VU_VERSION } };
    uint64_t number = 0, waited;
    uint8_t got[20];

    while (!vu_conn_wants_to_write(bed->conn)) {
        g_assert_true(vu_conn_reply(bed->conn, &m, &number, 8, NULL));
        number++;
    }
    waited = number;
    while (vu_conn_reply(bed->conn, &m, &number, 8, &bed->error)) {
        number++;
        g_assert_cmpuint(number, <, waited + 10000);
    }
    g_assert_nonnull(strstr(bed->error->message, "unread"));
    for (uint64_t i = 0; i < number; i++) {
        uint64_t u64;

        g_assert_cmpint(recv(bed->peer, got, sizeof(got), MSG_WAITALL), ==,
                        sizeof(got));
        memcpy(&u64, got + sizeof(VuHeader), 8);
        g_assert_cmpuint(u64, ==, i);
        g_assert_true(vu_conn_flush(bed->conn, NULL));
    }
    g_assert_false(vu_conn_wants_to_write(bed->conn));
    bed_free(bed);
}

static void test_names(void)
{
    g_assert_cmpstr(vu_request_name(5), ==, "SET_MEM_TABLE");
    g_assert_cmpstr(vu_request_name(0), ==, "request 0");
    g_assert_cmpstr(vu_request_name(UINT32_MAX), ==, "request 4294967295");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vus-conn/pieces", test_pieces);
    g_test_add_func("/vus-conn/broken", test_broken);
    g_test_add_func("/vus-conn/many-files", test_many_files);
    g_test_add_func("/vus-conn/closed", test_closed);
    g_test_add_func("/vus-conn/closed-unread", test_closed_unread);
    g_test_add_func("/vus-conn/closed-within", test_closed_within);
    g_test_add_func("/vus-conn/reply", test_reply);
    g_test_add_func("/vus-conn/unread", test_unread);
    g_test_add_func("/vus-conn/names", test_names);
    return g_test_run();
}
