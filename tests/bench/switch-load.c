/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Load for a back end that switches between vhost-user ports: keeps the tx ring
 * of every port full, empties every rx ring, and counts.
 *
 * Ports are pairs: port 0 sends to port 1 and back, 2 to 3, and so on; frames
 * are Ethernet, IPv4 and UDP.  "64 bytes" are 64 in the buffer, behind the
 * virtio-net header and without an FCS, as testpmd counts them.
 *
 * One thread on one core serves all ports, and the back end is to poll on
 * another one.  A sample carries what ping-pong.h says of the two cores,
 * measured before and after it.  While no sample is taken nothing is sent and
 * nobody polls, so many of these may stand connected; a sample ends when all
 * that was sent has arrived or was dropped.
 *
 * Results are JSON, a line each.  Without --samples, lines on stdin say what to
 * do: "sample" takes one, "quit" or the end of the input ends the program.
 *
 * Threads: one, but for what ping-pong.h says.
 */
#define _GNU_SOURCE
#include <glib.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench-stdin.h"
#include "load-frames.h"
#include "ping-pong.h"
#include "vhost-front.h"

#define LOAD_PRIORITY 10        /* SCHED_FIFO while a sample is taken */
#define MAX_PORTS 64
#define CONNECT_S 30
#define PAUSE_US 50000          /* the kernel bounds SCHED_FIFO */
#define WARM_UP_NS UINT64_C(20000000)
#define DRAINED_NS UINT64_C(5000000)    /* nothing has moved for so long */
#define DRAIN_S 10              /* all has been taken by then */
#define ROUNDS_PER_LOOK 64      /* at the clock */
#define EMPTY_ROUNDS_PER_KICK 1024

typedef struct Counters {
    uint64_t rx_pkts, rx_bytes, tx_pkts;
} Counters;

typedef struct LoadPort {
    FrontPort *front;
    LoadFrames *frames;         /* that it sends */
    Counters count;
} LoadPort;

typedef struct Load {
    LoadPort port[MAX_PORTS];
    unsigned ports;
    bool touch;
    unsigned burst;
    uint8_t fill;               /* of what is written next */
    uint64_t rounds, empty_rounds;
    uint64_t sum;               /* of what was read */
} Load;

static struct {
    char **socket;
    gboolean server, packed, mergeable, cores;
    int ring, burst, flows, macs, cpu, back_cpu, samples;
    char *bytes, *mode;
    double seconds;
} opt = {
    .ring = 1024, .burst = 32, .flows = 1, .macs = 1, .cpu = 1, .back_cpu = 0,
    .bytes = "64", .mode = "untouched", .seconds = 0.3,
};

/* Keeps the compiler from dropping what is read. */
static volatile uint64_t sink;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* -- Load ------------------------------------------------------------------ */

static inline unsigned receive(Load *l, LoadPort *p, bool touch)
{
    FrontRing *rx = &p->front->rx;
    unsigned n = MIN(front_ready(rx), l->burst);

    for (unsigned i = 0; i < n; i++) {
        uint32_t bytes = front_rx_bytes(rx, i);

        p->count.rx_bytes += bytes;
        if (touch) {
            uint32_t slot = front_slot(rx, rx->next + i);

            l->sum += load_frame_read(front_frame(rx, slot), bytes);
        }
    }
    if (n > 0) {
        front_offer(rx, n);
        p->count.rx_pkts += n;
    }
    return n;
}

static inline unsigned transmit(Load *l, LoadPort *p, bool touch)
{
    FrontRing *tx = &p->front->tx;
    unsigned n;

    /* Not by ones and twos: that would cost the back end a miss for each. */
    if (!front_has(tx, l->burst)) {
        return 0;
    }
    n = MIN(front_ready(tx), l->burst);
    if (touch) {
        for (unsigned i = 0; i < n; i++) {
            uint32_t slot = front_slot(tx, tx->next + i);

            load_frame_write(front_frame(tx, slot), &p->frames->slot[slot],
                             l->fill++);
        }
    }
    front_offer(tx, n);
    p->count.tx_pkts += n;
    return n;
}

static void kick(Load *l)
{
    for (unsigned i = 0; i < l->ports; i++) {
        front_kick(&l->port[i].front->tx);
        front_kick(&l->port[i].front->rx);
    }
}

/* Until @until_ns, or with @send false, until nothing has moved for a while. */
static inline uint64_t run(Load *l, uint64_t until_ns, bool send, bool touch)
{
    uint64_t now = now_ns(), moved_ns = now;
    unsigned empty = 0;

    while (now < until_ns && (send || now - moved_ns < DRAINED_NS)) {
        bool any = false;

        for (unsigned k = 0; k < ROUNDS_PER_LOOK; k++) {
            unsigned moved = 0;

            for (unsigned i = 0; i < l->ports; i++) {
                moved += receive(l, &l->port[i], touch);
                moved += send ? transmit(l, &l->port[i], touch) : 0;
            }
            any |= moved;
            l->rounds++;
            l->empty_rounds += !moved;
            empty = moved ? 0 : empty + 1;
            if (G_UNLIKELY(empty == EMPTY_ROUNDS_PER_KICK)) {
                kick(l);
                empty = 0;
            }
        }
        now = now_ns();
        if (any) {
            moved_ns = now;
        }
    }
    return now;
}

static uint64_t run_for(Load *l, uint64_t ns)
{
    uint64_t until_ns = now_ns() + ns;

    return l->touch ? run(l, until_ns, true, true) :
                      run(l, until_ns, true, false);
}

/* A port of which the back end still has frames to take, or NULL. */
static const LoadPort *undrained(const Load *l)
{
    for (unsigned i = 0; i < l->ports; i++) {
        if (!front_has(&l->port[i].front->tx, opt.ring)) {
            return &l->port[i];
        }
    }
    return NULL;
}

/* Send no more, and see all that was sent come in; false if it does not. */
static bool drain(Load *l, unsigned seconds, GError **error)
{
    uint64_t until_ns = now_ns() + seconds * UINT64_C(1000000000);
    const LoadPort *left;

    while (run(l, until_ns, false, false), (left = undrained(l))) {
        if (now_ns() >= until_ns) {
            g_set_error(error, FRONT_ERROR, 0, "%s: within %u s the back end "
                        "has not taken all frames that wait there; is it "
                        "stopped?", left->front->cfg.socket, seconds);
            return false;
        }
    }
    return true;
}

/* -- Samples --------------------------------------------------------------- */

static void print_rates(const Load *l, const Counters *from, const Counters *to,
                        double seconds)
{
    Counters sum = { 0 };

    printf("\"rx_pps\": [");
    for (unsigned i = 0; i < l->ports; i++) {
        uint64_t rx_pkts = to[i].rx_pkts - from[i].rx_pkts;

        printf("%s%.0f", i ? ", " : "", rx_pkts / seconds);
        sum.rx_pkts += rx_pkts;
        sum.rx_bytes += to[i].rx_bytes - from[i].rx_bytes;
        sum.tx_pkts += to[i].tx_pkts - from[i].tx_pkts;
    }
    printf("], \"rx_pps_sum\": %.0f, \"rx_bps_sum\": %.0f, "
           "\"tx_pps_sum\": %.0f, ", sum.rx_pkts / seconds,
           sum.rx_bytes * 8 / seconds, sum.tx_pkts / seconds);
}

static void snapshot(const Load *l, Counters *to)
{
    for (unsigned i = 0; i < l->ports; i++) {
        to[i] = l->port[i].count;
    }
}

/* Are the frames that came last whole, and for this port? */
static bool check_received(const LoadPort *p, unsigned port, GError **error)
{
    const FrontRing *rx = &p->front->rx;
    uint32_t n = MIN(p->count.rx_pkts, rx->size);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = front_slot(rx, rx->next - 1 - i);

        if (!load_frame_check(front_frame(rx, slot), port)) {
            g_set_error(error, FRONT_ERROR, 0, "what came to port %u is not "
                        "what port %u sent; does the back end join ports 0 and "
                        "1, 2 and 3 and so on?", port, port ^ 1);
            return false;
        }
    }
    return true;
}

static bool check(const Load *l, GError **error)
{
    for (unsigned i = 0; i < l->ports; i++) {
        if (!front_check(l->port[i].front, error) ||
            !check_received(&l->port[i], i, error)) {
            return false;
        }
    }
    return true;
}

static bool measure_cores(PingPong *cores, GError **error)
{
    bool measured = ping_pong(opt.back_cpu, cores);

    if (!measured) {
        g_set_error(error, FRONT_ERROR, 0, "core %d does not answer; name a "
                    "free one of this machine with --back-cpu", opt.back_cpu);
    }
    return measured;
}

static void print_cores(const PingPong *before, const PingPong *after)
{
    printf("\"class\": \"%s\", \"ping_pong_ns\": [%.1f, %.1f], "
           "\"front_work_ns\": [%.3f, %.3f], "
           "\"back_work_ns\": [%.3f, %.3f]",
           ping_pong_class(before->trip_ns, after->trip_ns),
           before->trip_ns, after->trip_ns,
           before->own_work_ns, after->own_work_ns,
           before->other_work_ns, after->other_work_ns);
}

static bool take_sample(Load *l, GError **error)
{
    Counters first[MAX_PORTS], from[MAX_PORTS], to[MAX_PORTS];
    uint64_t from_ns, to_ns, cpu_ns, rounds, empty_rounds;
    uint64_t rx_pkts = 0, tx_pkts = 0;
    PingPong before, after;
    bool realtime = ping_pong_set_priority(PING_PONG_PRIORITY);

    if (!measure_cores(&before, error)) {
        return false;
    }
    ping_pong_set_priority(realtime ? LOAD_PRIORITY : 0);
    kick(l);
    snapshot(l, first);
    from_ns = run_for(l, WARM_UP_NS);

    snapshot(l, from);
    rounds = l->rounds;
    empty_rounds = l->empty_rounds;
    cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    to_ns = run_for(l, opt.seconds * 1e9);
    snapshot(l, to);
    rounds = l->rounds - rounds;
    empty_rounds = l->empty_rounds - empty_rounds;
    cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;

    ping_pong_set_priority(realtime ? PING_PONG_PRIORITY : 0);
    if (!measure_cores(&after, error)) {
        return false;
    }
    ping_pong_set_priority(0);
    sink = l->sum;
    if (!drain(l, DRAIN_S, error) || !check(l, error)) {
        return false;
    }
    for (unsigned i = 0; i < l->ports; i++) {
        rx_pkts += l->port[i].count.rx_pkts - first[i].rx_pkts;
        tx_pkts += l->port[i].count.tx_pkts - first[i].tx_pkts;
    }

    printf("{");
    print_cores(&before, &after);
    printf(", ");
    print_rates(l, from, to, (to_ns - from_ns) * 1e-9);
    printf("\"seconds\": %.4f, \"empty_rounds_share\": %.3f, "
           "\"cpu_share\": %.3f, \"realtime\": %s, "
           "\"tx_pkts_in_all\": %" PRIu64 ", "
           "\"rx_pkts_in_all\": %" PRIu64 "}\n",
           (to_ns - from_ns) * 1e-9, (double)empty_rounds / rounds,
           (double)cpu_ns / (to_ns - from_ns), realtime ? "true" : "false",
           tx_pkts, rx_pkts);
    fflush(stdout);
    return true;
}

static bool take_samples(Load *l, GError **error)
{
    for (int i = 0; i < opt.samples; i++) {
        g_usleep(PAUSE_US);
        if (!take_sample(l, error)) {
            return false;
        }
    }
    return true;
}

static bool obey(void *opaque, const char *line, GError **error)
{
    if (strcmp(line, "sample") == 0) {
        return take_sample(opaque, error);
    }
    g_set_error(error, FRONT_ERROR, 0, "\"%s\" on stdin is not known; say "
                "\"sample\" or \"quit\"", line);
    return false;
}

/* -- Life ------------------------------------------------------------------ */

static const GOptionEntry entries[] = {
    { "socket", 's', 0, G_OPTION_ARG_FILENAME_ARRAY, &opt.socket,
      "Socket of the next port", "PATH" },
    { "server", 0, 0, G_OPTION_ARG_NONE, &opt.server,
      "Listen there, for a back end that connects", NULL },
    { "ring", 'r', 0, G_OPTION_ARG_INT, &opt.ring,
      "Descriptors of each ring (1024)", "N" },
    { "packed", 0, 0, G_OPTION_ARG_NONE, &opt.packed,
      "Packed rings", NULL },
    { "mergeable", 0, 0, G_OPTION_ARG_NONE, &opt.mergeable,
      "Agree on mergeable rx buffers, and read the headers for it",
      NULL },
    { "bytes", 'b', 0, G_OPTION_ARG_STRING, &opt.bytes,
      "Of a frame without FCS (64), or imix: 7 of 64, 4 of 594, 1 of 1518",
      "N" },
    { "mode", 'm', 0, G_OPTION_ARG_STRING, &opt.mode,
      "untouched (default): frames are written once and not read; touch: "
      "each is written before it is sent, and read when it has come", "MODE" },
    { "flows", 0, 0, G_OPTION_ARG_INT, &opt.flows,
      "UDP ports that each port sends from in turn (1)", "N" },
    { "macs", 0, 0, G_OPTION_ARG_INT, &opt.macs,
      "Addresses that each port sends from and to in turn (1)", "N" },
    { "burst", 0, 0, G_OPTION_ARG_INT, &opt.burst,
      "Frames looked at together (32)", "N" },
    { "cpu", 0, 0, G_OPTION_ARG_INT, &opt.cpu, "Core of the load (1)", "N" },
    { "back-cpu", 0, 0, G_OPTION_ARG_INT, &opt.back_cpu,
      "Core on which the back end polls (0)", "N" },
    { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &opt.seconds,
      "Length of a sample (0.3)", "S" },
    { "samples", 'n', 0, G_OPTION_ARG_INT, &opt.samples,
      "Take that many and end; without: do as stdin says", "N" },
    { "cores", 0, 0, G_OPTION_ARG_NONE, &opt.cores,
      "Say how far apart and how fast the cores are, and end", NULL },
    { NULL }
};

static bool check_number(const char *name, int value, int least, int most,
                         GError **error)
{
    if (value < least || value > most) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--%s %d: a number from %d to %d is expected", name, value,
                    least, most);
        return false;
    }
    return true;
}

static bool check_options(const char *rest, GError **error)
{
    unsigned ports = opt.socket ? g_strv_length(opt.socket) : 0;

    if (rest) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "\"%s\" belongs to no option; see --help", rest);
        return false;
    }
    if (ports == 0 || ports % 2 || ports > MAX_PORTS) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--socket was given %u times; ports are pairs, at most %d",
                    ports, MAX_PORTS);
        return false;
    }
    if (strcmp(opt.mode, "touch") != 0 && strcmp(opt.mode, "untouched") != 0) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--mode %s: touch or untouched is expected", opt.mode);
        return false;
    }
    if (!(opt.seconds >= 0.01 && opt.seconds <= 3600)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "--seconds: 0.01 to 3600 are expected");
        return false;
    }
    return check_number("ring", opt.ring, FRONT_MIN_RING, FRONT_MAX_RING,
                        error) &&
           check_number("burst", opt.burst, 1, FRONT_MIN_RING / 2, error) &&
           check_number("flows", opt.flows, 1, opt.ring, error) &&
           check_number("macs", opt.macs, 1, opt.ring, error) &&
           check_number("samples", opt.samples, 0, INT_MAX, error) &&
           check_number("cpu", opt.cpu, 0, INT_MAX, error) &&
           check_number("back-cpu", opt.back_cpu, 0, INT_MAX, error);
}

static void fill_ring(LoadPort *p)
{
    for (uint32_t slot = 0; slot < (uint32_t)opt.ring; slot++) {
        const LoadFrame *f = &p->frames->slot[slot];

        load_frame_write(front_frame(&p->front->tx, slot), f, slot);
        front_set_frame_bytes(p->front, slot, f->bytes);
    }
}

/* All listen before the first waits: a back end may connect in any order. */
static bool connect_all(Load *l, GError **error)
{
    LoadFramesConfig frames = {
        .slots = opt.ring, .flows = opt.flows, .macs = opt.macs,
    };
    bool huge_pages = true;

    if (!load_frames_parse_bytes(&frames, opt.bytes, error)) {
        return false;
    }
    for (l->ports = 0; opt.socket[l->ports]; l->ports++) {
        LoadPort *p = &l->port[l->ports];
        FrontConfig cfg = {
            .socket = opt.socket[l->ports],
            .listen = opt.server,
            .packed = opt.packed,
            .mergeable = opt.mergeable,
            .ring = opt.ring,
        };

        p->front = front_new(&cfg, error);
        if (!p->front) {
            return false;
        }
        p->frames = load_frames_new(&frames, l->ports);
        fill_ring(p);
        huge_pages &= p->front->huge_pages;
    }
    for (unsigned i = 0; i < l->ports; i++) {
        if (!front_connect(l->port[i].front, CONNECT_S, error)) {
            return false;
        }
    }
    if (!drain(l, CONNECT_S, error)) {
        return false;
    }
    printf("{\"ready\": true, \"ports\": %u, \"huge_pages\": %s}\n", l->ports,
           huge_pages ? "true" : "false");
    fflush(stdout);
    return true;
}

static void disconnect_all(Load *l)
{
    for (unsigned i = 0; i < l->ports; i++) {
        front_free(l->port[i].front);
        load_frames_free(l->port[i].frames);
    }
}

static bool show_cores(GError **error)
{
    PingPong cores;

    if (!ping_pong_pin(opt.cpu, error)) {
        return false;
    }
    ping_pong_set_priority(PING_PONG_PRIORITY);
    if (!measure_cores(&cores, error)) {
        return false;
    }
    printf("{");
    print_cores(&cores, &cores);
    printf("}\n");
    return true;
}

static bool load(Load *l, const char *rest, GError **error)
{
    if (opt.cores) {
        return show_cores(error);
    }
    return check_options(rest, error) && ping_pong_pin(opt.cpu, error) &&
           connect_all(l, error) &&
           (opt.samples ? take_samples(l, error) :
                          bench_stdin_obey(obey, l, error));
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context =
        g_option_context_new("- load for a vhost-user back end");
    g_autoptr(GError) error = NULL;
    Load l = { 0 };
    bool done;

    g_option_context_add_main_entries(context, entries, NULL);
    done = g_option_context_parse(context, &argc, &argv, &error);
    if (done) {
        l.burst = opt.burst;
        l.touch = strcmp(opt.mode, "touch") == 0;
        done = load(&l, argv[1], &error);
    }
    disconnect_all(&l);
    if (!done) {
        fprintf(stderr, "switch-load: %s\n", error->message);
    }
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
