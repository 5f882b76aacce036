/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metrics endpoint: clients that ask as they should, and all the others.
 *
 * Threads: single; the daemon is another process.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon-bed.h"
#include "metrics-http.h"
#include "open-fds.h"

#define GET "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define HALF "GET /metrics HTTP/1.1\r\nHost: loc"
#define LONG_BYTES (8 << 20)

typedef struct Server {
    MetricsHttp *http;
    unsigned port;
    unsigned asked;             /* times that the text was made */
    bool is_long;
} Server;

/* -- The server ------------------------------------------------------------ */

static char *make_text(void *opaque)
{
    Server *s = opaque;

    s->asked++;
    return s->is_long ? g_strnfill(LONG_BYTES, 'x') : g_strdup("answer 42\n");
}

/* One that is free just now, of 127.0.0.1; *@fd, if not NULL, holds it. */
static unsigned some_port(int *fd)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t bytes = sizeof(a);
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(probe, (struct sockaddr *)&a, bytes), ==, 0);
    g_assert_cmpint(listen(probe, 1), ==, 0);
    g_assert_cmpint(getsockname(probe, (struct sockaddr *)&a, &bytes), ==, 0);
    if (fd) {
        *fd = probe;
    } else {
        close(probe);
    }
    return ntohs(a.sin_port);
}

static Server *server_new(void)
{
    Server *s = g_new0(Server, 1);

    for (unsigned i = 0; !s->http && i < 10; i++) {
        s->port = some_port(NULL);
        s->http = metrics_http_new(s->port, "text/plain", make_text, s, NULL);
    }
    g_assert_nonnull(s->http);
    return s;
}

static void server_free(Server *s)
{
    metrics_http_free(s->http);
    g_free(s);
}

static void turn(void)
{
    for (unsigned i = 0; i < 20; i++) {
        g_main_context_iteration(NULL, false);
    }
}

/* -- Clients --------------------------------------------------------------- */

/* -1: nobody listens there. */
static int connect_to(int family, unsigned port)
{
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port),
    };
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT,
        .sin6_port = htons(port),
    };
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, family == AF_INET ? (struct sockaddr *)&v4 :
                           (struct sockaddr *)&v6,
                           family == AF_INET ? sizeof(v4) : sizeof(v6)) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int client_new(const Server *s, const char *says)
{
    int fd = connect_to(AF_INET, s->port);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(send(fd, says, strlen(says), MSG_NOSIGNAL), ==,
                    strlen(says));
    return fd;
}

/* All that comes within two seconds until the connection ends, which is to end
 * by then; the main loop runs. */
static char *read_all(int fd)
{
    g_autoptr(GString) all = g_string_new(NULL);
    int64_t until_us = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;

    while (g_get_monotonic_time() < until_us) {
        char piece[65536];
        ssize_t got = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);

        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            close(fd);
            return g_strdup(all->str);
        }
        if (got > 0) {
            g_string_append_len(all, piece, got);
        }
        turn();
    }
    g_error("the connection did not end; so far: '%.200s'", all->str);
}

static void expect_answer(int fd, const char *status, const char *part)
{
    g_autofree char *got = read_all(fd);
    g_autofree char *line = g_strdup_printf("HTTP/1.1 %s ", status);

    if (!g_str_has_prefix(got, line) || !strstr(got, part)) {
        g_error("'%.300s', not '%s' with '%s'", got, status, part);
    }
}

/* -- Good and bad ---------------------------------------------------------- */

static void test_good(void)
{
    unsigned before = open_fds();
    Server *s = server_new();
    g_autofree char *got = read_all(client_new(s, GET));
    int v6 = connect_to(AF_INET6, s->port);

    g_assert_true(g_str_has_prefix(got, "HTTP/1.1 200 OK\r\n"));
    g_assert_nonnull(strstr(got, "Content-Type: text/plain\r\n"));
    g_assert_true(g_str_has_suffix(got, "\r\n\r\nanswer 42\n"));
    g_assert_cmpuint(s->asked, ==, 1);
    if (v6 >= 0) {
        g_assert_cmpint(send(v6, GET, strlen(GET), 0), ==, strlen(GET));
        expect_answer(v6, "200", "answer 42");
        g_assert_cmpuint(s->asked, ==, 2);
    }
    server_free(s);
    g_assert_cmpuint(open_fds(), ==, before);
}

static void test_bad(void)
{
    g_autofree char *much = g_strnfill(3 * METRICS_HTTP_REQUEST_BYTES, 'a');
    g_autofree char *header = g_strdup_printf(
        "GET /metrics HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", much);
    g_autofree char *path = g_strdup_printf("GET /%s HTTP/1.1\r\n\r\n", much);
    Server *s = server_new();

    expect_answer(client_new(s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "404",
                  "there is only /metrics");
    expect_answer(client_new(s, "GET /metrics/../etc HTTP/1.1\r\nHost: x\r\n"
                             "\r\n"), "404", "");
    expect_answer(client_new(s, "POST /metrics HTTP/1.1\r\nHost: x\r\n"
                             "Content-Length: 3\r\n\r\nabc"), "405",
                  "Allow: GET\r\n");
    expect_answer(client_new(s, "DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
                  "405", "Allow: GET\r\n");
    expect_answer(client_new(s, header), "431", "");
    expect_answer(client_new(s, path), "414", "");
    g_free(read_all(client_new(s, "\x16\x03\x01 no HTTP\r\n\r\n")));
    g_assert_cmpuint(s->asked, ==, 0);
    expect_answer(client_new(s, GET), "200", "answer 42");
    server_free(s);
}

/* However many requests come at once: one answer, and the connection ends. */
static void test_one_answer(void)
{
    Server *s = server_new();

    expect_answer(client_new(s, GET GET GET GET), "200", "answer 42");
    g_assert_cmpuint(s->asked, ==, 1);
    server_free(s);
}

/* -- Who takes his time ---------------------------------------------------- */

static void test_half_request(void)
{
    unsigned before = open_fds();
    Server *s = server_new();
    int half = client_new(s, HALF), silent = client_new(s, "");

    turn();
    expect_answer(client_new(s, GET), "200", "answer 42");
    g_assert_cmpint(send(half, "alhost\r\n\r\n", 10, 0), ==, 10);
    expect_answer(half, "200", "answer 42");
    half = client_new(s, HALF);
    turn();
    server_free(s);
    g_free(read_all(half));
    g_free(read_all(silent));
    g_assert_cmpuint(open_fds(), ==, before);
}

/* Who asks and does not read; more than any socket holds. */
static void test_no_reader(void)
{
    unsigned before = open_fds();
    Server *s = server_new();
    int64_t at_us;
    int lazy;

    s->is_long = true;
    lazy = client_new(s, GET);
    at_us = g_get_monotonic_time();
    turn();
    g_assert_cmpuint(s->asked, ==, 1);
    s->is_long = false;
    expect_answer(client_new(s, GET), "200", "answer 42");
    g_assert_cmpint(g_get_monotonic_time() - at_us, <, G_USEC_PER_SEC);
    server_free(s);
    close(lazy);
    g_assert_cmpuint(open_fds(), ==, before);
}

/* Who comes when there is no room waits until there is. */
static void test_crowd(void)
{
    unsigned before = open_fds();
    Server *s = server_new();
    int fd[METRICS_HTTP_CLIENTS], next;
    unsigned inside;

    for (unsigned i = 0; i < METRICS_HTTP_CLIENTS; i++) {
        fd[i] = client_new(s, HALF);
        turn();
    }
    inside = open_fds();
    next = client_new(s, GET);
    turn();
    g_assert_cmpuint(s->asked, ==, 0);
    g_assert_cmpuint(open_fds(), ==, inside + 1);
    close(fd[3]);
    expect_answer(next, "200", "answer 42");
    for (unsigned i = 0; i < METRICS_HTTP_CLIENTS; i++) {
        if (i != 3) {
            close(fd[i]);
        }
    }
    turn();
    expect_answer(client_new(s, GET), "200", "answer 42");
    server_free(s);
    g_assert_cmpuint(open_fds(), ==, before);
}

static void test_idle(void)
{
    Server *s;
    int half;
    int64_t until_us = g_get_monotonic_time() +
                       (METRICS_HTTP_IDLE_S + 3) * G_USEC_PER_SEC;

    if (!g_test_slow()) {
        g_test_skip("takes as long as a client may be idle");
        return;
    }
    s = server_new();
    half = client_new(s, HALF);
    /* It wakes by itself: nothing else happens here. */
    while (recv(half, &(char) { 0 }, 1, MSG_DONTWAIT) < 0) {
        g_assert_cmpint(g_get_monotonic_time(), <, until_us);
        g_main_context_iteration(NULL, true);
    }
    close(half);
    server_free(s);
}

/* -- The port -------------------------------------------------------------- */

static void test_port_in_use(void)
{
    unsigned before = open_fds();
    int holder;
    unsigned port = some_port(&holder);
    g_autofree char *expected = g_strdup_printf(
        "metrics: 127.0.0.1:%u cannot be listened at: Address already in use; "
        "choose another port", port);
    g_autoptr(GError) error = NULL;

    g_assert_null(metrics_http_new(port, "text/plain", make_text, NULL,
                                   &error));
    g_assert_nonnull(strstr(error->message, expected));
    close(holder);
    g_assert_cmpuint(open_fds(), ==, before);
}

/* Only the loopback: another address of this host refuses. */
static void test_only_loopback(void)
{
    Server *s = server_new();
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(s->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    /* 127.0.0.2 is this host, too, and would be served by 0.0.0.0. */
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof(a)), <, 0);
    g_assert_cmpint(errno, ==, ECONNREFUSED);
    close(fd);
    server_free(s);
}

/* -- The daemon ------------------------------------------------------------ */

static void test_daemon(void)
{
    Bed *bed = bed_new();
    int holder, fd;
    unsigned port = some_port(&holder);
    g_autofree char *word = g_strdup_printf("--metrics=%u", port);
    g_autofree char *line = g_strdup_printf("\nmetrics=%u\n", port);
    g_autofree char *got = NULL;

    run(bed, bed->shmem, WORDS(word), 1, "", "choose another port");
    close(holder);
    start(bed, WORDS(word, "--idle-us=0", "--port", "a type=dummy"));
    run(bed, bed->vusctl, WORDS("save", "-"), 0, line, "");
    fd = connect_to(AF_INET, port);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(send(fd, GET, strlen(GET), 0), ==, strlen(GET));
    got = read_all(fd);
    g_assert_nonnull(strstr(got, "version=0.0.4"));
    g_assert_nonnull(strstr(got, "\nvus_port_ready{port=\"a\"} 1\n"));
    g_assert_cmpint(end(bed, SIGTERM), ==, 0);
    g_assert_cmpint(connect_to(AF_INET, port), ==, -1);

    bed_write(bed, "vus.conf", "[daemon]\nidle-us=0\n");
    start(bed, WORDS("--config", "vus.conf"));
    g_assert_cmpint(connect_to(AF_INET, port), ==, -1);
    bed_write(bed, "vus.conf", "[daemon]\nidle-us=0\nmetrics=9\n");
    run(bed, bed->vusctl, WORDS("reload"), 1, "",
        "metrics=9 cannot change while the daemon runs, it is not set");
    bed_unlink(bed, "vus.conf");
    bed_free(bed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LC_ALL", "C.UTF-8", true);
    /* It has an fd of its own, which is no leak. */
    g_main_context_iteration(NULL, false);
    g_test_add_func("/vus-metrics-http/good", test_good);
    g_test_add_func("/vus-metrics-http/bad", test_bad);
    g_test_add_func("/vus-metrics-http/one-answer", test_one_answer);
    g_test_add_func("/vus-metrics-http/half-request", test_half_request);
    g_test_add_func("/vus-metrics-http/no-reader", test_no_reader);
    g_test_add_func("/vus-metrics-http/crowd", test_crowd);
    g_test_add_func("/vus-metrics-http/idle", test_idle);
    g_test_add_func("/vus-metrics-http/port-in-use", test_port_in_use);
    g_test_add_func("/vus-metrics-http/only-loopback", test_only_loopback);
    g_test_add_func("/vus-metrics-http/daemon", test_daemon);
    return g_test_run();
}
