/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "bench-stdin.h"
#include "circle.h"
#include "ping-pong.h"

#define LOAD_PRIORITY 10
#define WARM_UP_NS 20000000
#define ROUNDS_PER_CLOCK 256
#define DISTURBED_SHARE 0.05        /* of a sample, away from its core */

#define SET_ERROR(error, ...) \
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, __VA_ARGS__)

CircleOptions circle_opt = {
    .cpu = 1, .threads = 2, .bytes = 64, .inflight = 512, .seconds = 0.06,
};

/* What one thread does in a sample. */
typedef struct Half {
    const Circle *circle;
    unsigned thread;
    pthread_barrier_t *start;       /* all are on their cores */
    uint64_t pkts;                  /* that it has passed on */
    bool failed;
    uint64_t end_ns, from_ns;
    uint64_t pkts_before;           /* it was warm */
} __attribute__((aligned(128))) Half;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

/* -- One thread ------------------------------------------------------------ */

/* Until it is time, or all are passed on, or it fails. */
static void *run(void *opaque)
{
    Half *h = opaque;
    bool warm = false;

    for (unsigned round = 0; ; round++) {
        int n = h->circle->pass(h->thread);

        if (n < 0) {
            h->failed = true;
            break;
        }
        h->pkts += n;
        if (circle_opt.packets && h->pkts >= (unsigned)circle_opt.packets) {
            break;
        }
        if (round % ROUNDS_PER_CLOCK == 0 && !circle_opt.packets) {
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

/* It begins on the core of its maker, who has to let it go to its own. */
static void *run_other(void *opaque)
{
    Half *h = opaque;

    h->failed = !ping_pong_pin(circle_opt.other_cpu, NULL);
    ping_pong_set_priority(LOAD_PRIORITY);
    pthread_barrier_wait(h->start);
    return h->failed ? NULL : run(h);
}

static void run_halves(const Circle *c, Half half[2])
{
    uint64_t from_ns = now_ns() + WARM_UP_NS;
    pthread_barrier_t start;
    GThread *other = NULL;

    pthread_barrier_init(&start, NULL, circle_opt.threads);
    for (int i = 0; i < circle_opt.threads; i++) {
        half[i] = (Half) {
            .circle = c, .thread = i, .start = &start, .from_ns = from_ns,
            .end_ns = from_ns + (uint64_t)(circle_opt.seconds * 1e9),
        };
    }
    if (circle_opt.threads == 2) {
        other = g_thread_new("other", run_other, &half[1]);
    }
    pthread_barrier_wait(&start);
    run(&half[0]);
    if (other) {
        g_thread_join(other);
    }
    pthread_barrier_destroy(&start);
}

/* -- Samples --------------------------------------------------------------- */

static bool has_failed(const Half half[2], GError **error)
{
    for (int i = 0; i < circle_opt.threads; i++) {
        if (half[i].failed) {
            SET_ERROR(error, "packets cannot be passed on any more");
            return true;
        }
    }
    return false;
}

/* Was a thread away from its core for some of the time? */
static bool was_disturbed(const Half half[2])
{
    for (int i = 0; i < circle_opt.threads; i++) {
        if (half[i].end_ns - half[i].from_ns <
            circle_opt.seconds * 1e9 * (1 - DISTURBED_SHARE)) {
            return true;
        }
    }
    return false;
}

static bool take_sample(const Circle *c, GError **error)
{
    bool realtime = ping_pong_set_priority(PING_PONG_PRIORITY);
    g_autoptr(GString) more = g_string_new(NULL);
    PingPong before, after;
    double pps = 0;
    Half half[2];

    if (!ping_pong(circle_opt.other_cpu, &before)) {
        SET_ERROR(error, "core %d does not answer: name a free one with "
                  "--other-cpu", circle_opt.other_cpu);
        return false;
    }
    ping_pong_set_priority(realtime ? LOAD_PRIORITY : 0);
    run_halves(c, half);
    ping_pong_set_priority(realtime ? PING_PONG_PRIORITY : 0);
    if (has_failed(half, error)) {
        return false;
    }
    if (!ping_pong(circle_opt.other_cpu, &after)) {
        SET_ERROR(error, "core %d does not answer any more",
                  circle_opt.other_cpu);
        return false;
    }
    ping_pong_set_priority(0);
    for (int i = 0; i < circle_opt.threads; i++) {
        pps += (half[i].pkts - half[i].pkts_before) * 1e9 /
               (half[i].end_ns - half[i].from_ns);
    }
    if (c->describe) {
        c->describe(more);
    }
    printf("{\"class\": \"%s\", \"ping_pong_ns\": [%.1f, %.1f], "
           "\"pps\": %.0f, \"realtime\": %s%s}\n",
           was_disturbed(half) ? "disturbed" :
           ping_pong_class(before.trip_ns, after.trip_ns), before.trip_ns,
           after.trip_ns, pps, realtime ? "true" : "false", more->str);
    fflush(stdout);
    return true;
}

/* For callgrind: so many packets, and the end. */
static bool count_packets(const Circle *c, GError **error)
{
    Half half[2];

    run_halves(c, half);
    if (has_failed(half, error)) {
        return false;
    }
    printf("{\"pkts\": %" PRIu64 "}\n", half[0].pkts);
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
    { "threads", 0, 0, G_OPTION_ARG_INT, &circle_opt.threads,
      "1: all members on --cpu; 2: every other one on --other-cpu (2)", "N" },
    { "cpu", 0, 0, G_OPTION_ARG_INT, &circle_opt.cpu,
      "Core of the first (1)", "N" },
    { "other-cpu", 0, 0, G_OPTION_ARG_INT, &circle_opt.other_cpu,
      "Core of the second thread, or of who is between the members (0)", "N" },
    { "bytes", 0, 0, G_OPTION_ARG_INT, &circle_opt.bytes,
      "Of a packet, without FCS (64)", "N" },
    { "inflight", 0, 0, G_OPTION_ARG_INT, &circle_opt.inflight,
      "Packets that go round (512)", "N" },
    { "touch", 0, 0, G_OPTION_ARG_NONE, &circle_opt.touch,
      "Each member reads a packet's first line and writes its addresses",
      NULL },
    { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &circle_opt.seconds,
      "Of a sample (0.06)", "S" },
    { "packets", 0, 0, G_OPTION_ARG_INT, &circle_opt.packets,
      "Pass so many and end, without samples", "N" },
    { 0 },
};

static bool check_options(GError **error)
{
    const CircleOptions *o = &circle_opt;

    if (o->threads < 1 || o->threads > 2 || o->bytes < 60 ||
        o->bytes > CIRCLE_BYTES_MAX || o->inflight < 1 ||
        o->inflight > CIRCLE_INFLIGHT_MAX || o->seconds <= 0 ||
        o->seconds > 10 || o->packets < 0) {
        SET_ERROR(error, "--threads is 1 or 2, --bytes 60 to %d, --inflight "
                  "1 to %d, --seconds at most 10", CIRCLE_BYTES_MAX,
                  CIRCLE_INFLIGHT_MAX);
        return false;
    }
    return true;
}

static bool serve(const Circle *c, GError **error)
{
    if (!check_options(error) || !ping_pong_pin(circle_opt.cpu, error) ||
        !c->begin(error)) {
        return false;
    }
    if (circle_opt.packets) {
        return count_packets(c, error);
    }
    printf("{\"ready\": true}\n");
    fflush(stdout);
    return bench_stdin_obey(obey, (void *)c, error);
}

int circle_main(int argc, char **argv, const Circle *c)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    bool done;

    g_option_context_set_summary(context, c->summary);
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_add_main_entries(context, c->entries, NULL);
    done = g_option_context_parse(context, &argc, &argv, &error) &&
           serve(c, &error);
    c->end();
    if (!done) {
        g_printerr("%s: %s\n", c->name, error->message);
        return 1;
    }
    return 0;
}
