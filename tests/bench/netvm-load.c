/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members of a domain that send packets round in a circle, for bench_netvm.py:
 * processes on the host stand for virtual machines.
 *
 * Each takes bursts of 32 and sends them to the next; "touch": it reads the
 * packet's first line and writes its addresses, "untouched": the descriptor
 * alone.  A packet that comes to the next one is counted once.  Directly or
 * through the daemon: as the domain is set.
 *
 * One thread has all members, or two have every other one.
 *
 * Threads: the one that obeys stdin has the first members; another one begins
 * and ends with each sample.
 */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench-stdin.h"
#include "netvm.h"
#include "ping-pong.h"

#define BURST 32
#define MEMBERS_MAX 8
#define LOAD_PRIORITY 10
#define ATTACH_MS 10000
#define WARM_UP_NS 20000000
#define ROUNDS_PER_CLOCK 256

#define SET_ERROR(error, ...) \
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, __VA_ARGS__)

static struct {
    char **socket;
    int cpu, other_cpu, threads, bytes, inflight, packets;
    double seconds;
    gboolean touch;
} opt = {
    .cpu = 1, .threads = 2, .bytes = 64, .inflight = 512, .seconds = 0.06,
};

typedef struct Half {
    struct Load *load;
    unsigned first;                 /* of its members; step: threads */
    uint64_t pkts;                  /* that it has received */
    uint64_t failed;                /* times that sending has */
    uint64_t end_ns, from_ns;
    uint64_t pkts_before;           /* it was warm */
} __attribute__((aligned(128))) Half;

typedef struct Load {
    unsigned members;
    struct netvm *nv[MEMBERS_MAX];
    uint16_t next[MEMBERS_MAX];     /* the member that it sends to */
    Half half[2];
    uint64_t sum;                   /* so that reading is not left out */
} Load;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

/* -- One hop --------------------------------------------------------------- */

static inline uint64_t touch(const struct netvm *nv,
                             const struct netvm_desc *pkt)
{
    uint8_t *data = netvm_data(nv, pkt), mac[6];
    uint64_t read;

    memcpy(mac, data, 6);
    memcpy(data, data + 6, 6);
    memcpy(data + 6, mac, 6);
    memcpy(&read, data + 24, sizeof(read));
    return read;
}

/* A burst of member @i; how many. */
static inline unsigned pass(Load *l, Half *h, unsigned i)
{
    struct netvm *nv = l->nv[i];
    struct netvm_desc pkt[BURST];
    int n = netvm_rx_burst(nv, pkt, BURST), sent = 0;
    uint64_t sum = 0;

    if (n <= 0) {
        h->failed += n < 0;
        return 0;
    }
    for (int k = 0; k < n && opt.touch; k++) {
        netvm_prefetch(nv, &pkt[k]);
    }
    for (int k = 0; k < n; k++) {
        if (opt.touch) {
            sum += touch(nv, &pkt[k]);
        }
        pkt[k].action = NETVM_TO_MEMBER;
        pkt[k].port = l->next[i];
    }
    while (sent < n) {
        int more = netvm_tx_burst(nv, pkt + sent, n - sent);

        if (more < 0) {
            h->failed++;
            break;
        }
        sent += more;
    }
    __atomic_store_n(&l->sum, sum, __ATOMIC_RELAXED);
    return n;
}

/* All members of one thread, until it is time. */
static void *run(void *opaque)
{
    Half *h = opaque;
    Load *l = h->load;
    bool warm = false;

    for (unsigned round = 0; ; round++) {
        for (unsigned i = h->first; i < l->members; i += opt.threads) {
            h->pkts += pass(l, h, i);
        }
        if (opt.packets && h->pkts >= (unsigned)opt.packets) {
            break;
        }
        if (round % ROUNDS_PER_CLOCK == 0 && !opt.packets) {
            uint64_t now = now_ns();

            if (!warm && now >= h->from_ns) {
                warm = true;
                h->from_ns = now;
                h->pkts_before = h->pkts;
            } else if (warm && now >= h->end_ns) {
                h->end_ns = now;
                break;
            }
        }
    }
    return NULL;
}

static void *run_other(void *opaque)
{
    Half *h = opaque;
    GError *error = NULL;

    if (!ping_pong_pin(opt.other_cpu, &error)) {
        h->failed++;
        g_clear_error(&error);
        return NULL;
    }
    ping_pong_set_priority(LOAD_PRIORITY);
    return run(h);
}

/* -- Samples --------------------------------------------------------------- */

static void run_both(Load *l)
{
    uint64_t from_ns = now_ns() + WARM_UP_NS;
    GThread *other = NULL;

    for (int i = 0; i < opt.threads; i++) {
        l->half[i] = (Half) {
            .load = l, .first = i, .from_ns = from_ns,
            .end_ns = from_ns + (uint64_t)(opt.seconds * 1e9),
        };
    }
    if (opt.threads == 2) {
        other = g_thread_new("other", run_other, &l->half[1]);
    }
    run(&l->half[0]);
    if (other) {
        g_thread_join(other);
    }
}

static bool take_sample(Load *l, GError **error)
{
    bool realtime = ping_pong_set_priority(PING_PONG_PRIORITY);
    uint64_t direct = 0, sent = 0, failed = 0;
    PingPong before, after;
    double pps = 0;

    if (!ping_pong(opt.other_cpu, &before)) {
        SET_ERROR(error, "core %d does not answer: name a free one with "
                  "--other-cpu", opt.other_cpu);
        return false;
    }
    ping_pong_set_priority(realtime ? LOAD_PRIORITY : 0);
    run_both(l);
    ping_pong_set_priority(realtime ? PING_PONG_PRIORITY : 0);
    if (!ping_pong(opt.other_cpu, &after)) {
        SET_ERROR(error, "core %d does not answer any more", opt.other_cpu);
        return false;
    }
    ping_pong_set_priority(0);
    for (int i = 0; i < opt.threads; i++) {
        const Half *h = &l->half[i];

        pps += (h->pkts - h->pkts_before) * 1e9 / (h->end_ns - h->from_ns);
        failed += h->failed;
    }
    for (unsigned i = 0; i < l->members; i++) {
        const struct netvm_stats *s = netvm_stats(l->nv[i],
                                                  netvm_self(l->nv[i]));

        direct += s->direct_pkts;
        sent += s->tx_pkts;
    }
    if (failed > 0) {
        SET_ERROR(error, "the daemon has gone, or replaced the region");
        return false;
    }
    printf("{\"class\": \"%s\", \"ping_pong_ns\": [%.1f, %.1f], "
           "\"pps\": %.0f, \"direct_share\": %.3f, \"realtime\": %s}\n",
           ping_pong_class(before.trip_ns, after.trip_ns), before.trip_ns,
           after.trip_ns, pps, (double)direct / sent,
           realtime ? "true" : "false");
    fflush(stdout);
    return true;
}

/* For callgrind: so many packets, and the end. */
static bool count_packets(Load *l, GError **error)
{
    run_both(l);
    printf("{\"pkts\": %" PRIu64 "}\n", l->half[0].pkts);
    return true;
}

static bool obey(void *opaque, const char *line, GError **error)
{
    if (strcmp(line, "sample") == 0) {
        return take_sample(opaque, error);
    }
    SET_ERROR(error, "'%s' on stdin is not known; say 'sample' or 'quit'",
              line);
    return false;
}

/* -- Life ------------------------------------------------------------------ */

static const GOptionEntry entries[] = {
    { "socket", 's', 0, G_OPTION_ARG_FILENAME_ARRAY, &opt.socket,
      "Of a netvm port; two or more", "PATH" },
    { "threads", 0, 0, G_OPTION_ARG_INT, &opt.threads,
      "1: all members on --cpu; 2: every other one on --other-cpu (2)", "N" },
    { "cpu", 0, 0, G_OPTION_ARG_INT, &opt.cpu, "Core of the first (1)", "N" },
    { "other-cpu", 0, 0, G_OPTION_ARG_INT, &opt.other_cpu,
      "Core of the second thread, or the daemon's worker (0)", "N" },
    { "bytes", 0, 0, G_OPTION_ARG_INT, &opt.bytes,
      "Of a packet, without FCS (64)", "N" },
    { "inflight", 0, 0, G_OPTION_ARG_INT, &opt.inflight,
      "Packets that go round (512)", "N" },
    { "touch", 0, 0, G_OPTION_ARG_NONE, &opt.touch,
      "Each member reads a packet's first line and writes its addresses",
      NULL },
    { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &opt.seconds,
      "Of a sample (0.06)", "S" },
    { "packets", 0, 0, G_OPTION_ARG_INT, &opt.packets,
      "Pass so many and end, without samples", "N" },
    { 0 },
};

static bool check_options(GError **error)
{
    unsigned sockets = opt.socket ? g_strv_length(opt.socket) : 0;

    if (sockets < 2 || sockets > MEMBERS_MAX) {
        SET_ERROR(error, "--socket has to be given 2 to %d times",
                  MEMBERS_MAX);
        return false;
    }
    if (opt.threads < 1 || opt.threads > 2 || opt.bytes < 60 ||
        opt.bytes > 1900 || opt.inflight < 1 || opt.inflight > 1000 ||
        opt.seconds <= 0 || opt.seconds > 10 || opt.packets < 0) {
        SET_ERROR(error, "--threads is 1 or 2, --bytes 60 to 1900, --inflight "
                  "1 to 1000 (less than a ring has), --seconds at most 10");
        return false;
    }
    return true;
}

static bool attach(Load *l, GError **error)
{
    l->members = g_strv_length(opt.socket);
    for (unsigned i = 0; i < l->members; i++) {
        g_autofree char *where = g_strconcat("unix:", opt.socket[i], NULL);
        char text[NETVM_ERROR_BYTES];

        l->nv[i] = netvm_attach(where, ATTACH_MS, text);
        if (!l->nv[i]) {
            SET_ERROR(error, "%s", text);
            return false;
        }
    }
    for (unsigned i = 0; i < l->members; i++) {
        l->next[i] = netvm_self(l->nv[(i + 1) % l->members]);
    }
    return true;
}

/* Until the daemon has connected all to all, if it does. */
static void settle(Load *l)
{
    for (unsigned k = 0; k < 200; k++) {
        for (unsigned i = 0; i < l->members; i++) {
            netvm_rx_burst(l->nv[i], NULL, 0);
        }
        g_usleep(1000);
    }
}

static bool inject(Load *l, GError **error)
{
    uint64_t end_ns = now_ns() + ATTACH_MS * UINT64_C(1000000);
    struct netvm *nv = l->nv[0];

    for (int i = 0; i < opt.inflight; i++) {
        struct netvm_desc pkt;

        while (netvm_alloc(nv, &pkt, 1) != 1) {
            if (now_ns() > end_ns) {
                SET_ERROR(error, "the domain has no %d buffers: give it more "
                          "buffers=", opt.inflight);
                return false;
            }
        }
        pkt.length = opt.bytes;
        pkt.action = NETVM_TO_MEMBER;
        pkt.port = l->next[0];
        memset(netvm_data(nv, &pkt), 2, opt.bytes);
        while (netvm_tx_burst(nv, &pkt, 1) != 1) {
            /* Others take what is there, so that a ring never stands. */
            for (unsigned k = 1; k < l->members; k++) {
                pass(l, &l->half[0], k);
            }
        }
    }
    return true;
}

static bool serve(Load *l, GError **error)
{
    if (!check_options(error) || !ping_pong_pin(opt.cpu, error) ||
        !attach(l, error)) {
        return false;
    }
    settle(l);
    if (!inject(l, error)) {
        return false;
    }
    if (opt.packets) {
        return count_packets(l, error);
    }
    printf("{\"ready\": true}\n");
    fflush(stdout);
    return bench_stdin_obey(obey, l, error);
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    Load *l = g_aligned_alloc0(1, sizeof(*l), 128);
    bool done;

    g_option_context_set_summary(context, "Sends packets round in a circle of "
                                 "members; see bench_netvm.py.");
    g_option_context_add_main_entries(context, entries, NULL);
    done = g_option_context_parse(context, &argc, &argv, &error) &&
           serve(l, &error);
    for (unsigned i = 0; i < l->members; i++) {
        netvm_detach(l->nv[i]);
    }
    g_aligned_free(l);
    if (!done) {
        g_printerr("netvm-load: %s\n", error->message);
        return 1;
    }
    return 0;
}
