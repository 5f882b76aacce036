/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Load for a back end that schedules: real-time sources, which send a frame
 * every period, and bulk sources, which keep their rings full, all to one sink,
 * where every frame is checked and timed (edf-flows.h).
 *
 * One thread on one core serves all, and the back end is to poll on another
 * one.  Between samples nothing is sent and nobody polls.
 *
 * Results are JSON, a line each; lines on stdin say what to do:
 *
 *   sample RT BULK SECONDS  the first RT real-time sources and the first BULK
 *                           of the others send
 *   first TIMES             how long one frame after silence takes, and in turn
 *                           with it, how long a thread takes to wake
 *   quit
 *
 * Threads: one, but for what ping-pong.h and host-late.h say.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench-stdin.h"
#include "edf-flows.h"
#include "host-late.h"
#include "ping-pong.h"

#define LOAD_PRIORITY HOST_LATE_PRIORITY        /* while a sample is taken */
#define CONNECT_S 30
#define DRAIN_S 20              /* all has been taken by then */
#define WARM_UP_NS UINT64_C(50000000)
#define SAMPLE_MAX_S 60
#define SILENCE_LEAST_US 10000
#define SILENCE_MOST_US 50000
#define TIMES_MAX 1000

static struct {
    char **rt, **bulk, *sink;
    gboolean trailed;
    int cpu, back_cpu;
    double gap_s;
} opt = {
    .cpu = 1, .back_cpu = 0,
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
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

/* -- A sample -------------------------------------------------------------- */

typedef struct Sample {
    double seconds;             /* how long it took */
    double cpu_share;
    uint64_t longest_away_ns;
    bool realtime;
    PingPong before, after;
} Sample;

/* Who sends: so many of each, from the first on. */
static void choose(EdfFlows *l, unsigned rt, unsigned bulk)
{
    for (unsigned i = 0; i < l->flows; i++) {
        EdfFlow *f = l->flow[i];
        unsigned *left = f->period_ns > 0 ? &rt : &bulk;

        f->on = *left > 0;
        *left -= f->on;
    }
}

static void begin(EdfFlows *l)
{
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

    for (unsigned i = 0; i < l->flows; i++) {
        edf_record_begin(&l->flow[i]->record, now_ns);
    }
}

static void run(EdfFlows *l, Sample *s, double seconds)
{
    uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);

    l->counting = true;
    edf_flows_run(l, seconds * 1e9);
    l->counting = false;
    cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    s->seconds = (l->rounds.now_ns - began_ns) * 1e-9;
    s->cpu_share = cpu_ns * 1e-9 / s->seconds;
    s->longest_away_ns = l->rounds.longest_away_ns;
}

static void print_cores(const Sample *s)
{
    const PingPong *a = &s->before, *b = &s->after;

    printf("\"class\": \"%s\", \"ping_pong_ns\": [%.1f, %.1f], "
           "\"front_work_ns\": [%.3f, %.3f], \"back_work_ns\": [%.3f, %.3f]",
           ping_pong_class(a->trip_ns, b->trip_ns), a->trip_ns, b->trip_ns,
           a->own_work_ns, b->own_work_ns, a->other_work_ns,
           b->other_work_ns);
}

static void print_sample(EdfFlows *l, const Sample *s)
{
    uint64_t received_pkts = 0;

    for (unsigned i = 0; i < l->flows; i++) {
        received_pkts += l->flow[i]->record.received_pkts;
    }
    printf("{");
    print_cores(s);
    printf(", \"seconds\": %.4f, \"cpu_share\": %.3f, \"realtime\": %s, "
           "\"rx_pps_sum\": %.0f, \"longest_away_us\": %.1f, "
           "\"flows\": [", s->seconds, s->cpu_share,
           s->realtime ? "true" : "false", received_pkts / s->seconds,
           s->longest_away_ns / 1e3);
    for (unsigned i = 0; i < l->flows; i++) {
        printf("%s", i > 0 ? ", " : "");
        edf_record_print(&l->flow[i]->record, s->seconds);
    }
    printf("]}\n");
    fflush(stdout);
}

static bool take_sample(EdfFlows *l, double seconds, GError **error)
{
    Sample s = { .realtime = ping_pong_set_priority(PING_PONG_PRIORITY) };

    if (!measure_cores(&s.before, error)) {
        return false;
    }
    ping_pong_set_priority(s.realtime ? LOAD_PRIORITY : 0);
    edf_flows_run(l, WARM_UP_NS);
    begin(l);
    run(l, &s, seconds);
    if (!edf_flows_drain(l, DRAIN_S, error)) {
        return false;
    }
    ping_pong_set_priority(s.realtime ? PING_PONG_PRIORITY : 0);
    if (!measure_cores(&s.after, error)) {
        return false;
    }
    ping_pong_set_priority(0);
    if (!edf_flows_check(l, error)) {
        return false;
    }
    print_sample(l, &s);
    return true;
}

/* -- First frames ---------------------------------------------------------- */

static void be_silent(GRand *random)
{
    g_usleep(g_rand_int_range(random, SILENCE_LEAST_US, SILENCE_MOST_US));
}

static void print_times(const char *name, const uint64_t *ns, unsigned n)
{
    printf("\"%s\": [", name);
    for (unsigned i = 0; i < n; i++) {
        printf("%s%.2f", i > 0 ? ", " : "", ns[i] / 1e3);
    }
    printf("]");
}

static bool measure_first(EdfFlows *l, unsigned times, GError **error)
{
    uint64_t first_ns[TIMES_MAX], wake_ns[TIMES_MAX];
    Sleeping *sleeping = sleeping_new(opt.back_cpu, error);
    GRand *random;
    bool come = true;

    if (!sleeping) {
        return false;
    }
    random = g_rand_new_with_seed(1);
    ping_pong_set_priority(LOAD_PRIORITY);
    for (unsigned i = 0; i < times && come; i++) {
        be_silent(random);
        come = edf_flows_ping(l, l->flow[0], &first_ns[i]);
        be_silent(random);
        wake_ns[i] = sleeping_wake_ns(sleeping);
    }
    ping_pong_set_priority(0);
    g_rand_free(random);
    sleeping_free(sleeping);
    if (!come) {
        g_set_error(error, FRONT_ERROR, 0, "a frame from %s to %s has not "
                    "come", l->flow[0]->front->cfg.socket,
                    l->sink->cfg.socket);
        return false;
    }
    printf("{");
    print_times("first_us", first_ns, times);
    printf(", ");
    print_times("wake_us", wake_ns, times);
    printf("}\n");
    fflush(stdout);
    return edf_flows_check(l, error);
}

/* -- Life ------------------------------------------------------------------ */

static bool obey(void *opaque, const char *line, GError **error)
{
    EdfFlows *l = opaque;
    unsigned rt, bulk, times;
    double seconds;
    char more;

    if (sscanf(line, "sample %u %u %lf %c", &rt, &bulk, &seconds,
               &more) == 3 && seconds > 0 && seconds <= SAMPLE_MAX_S) {
        choose(l, rt, bulk);
        return take_sample(l, seconds, error);
    }
    if (sscanf(line, "first %u %c", &times, &more) == 1 && times > 0 &&
        times <= TIMES_MAX) {
        return measure_first(l, times, error);
    }
    g_set_error(error, FRONT_ERROR, 0, "'%s' on stdin is not known; say "
                "'sample RT BULK SECONDS', 'first TIMES' or 'quit'", line);
    return false;
}

static const GOptionEntry entries[] = {
    { "rt", 0, 0, G_OPTION_ARG_STRING_ARRAY, &opt.rt,
      "A real-time source: 'NAME SOCKET BYTES PERIOD_US BURST DEADLINE_US'",
      "TEXT" },
    { "bulk", 0, 0, G_OPTION_ARG_STRING_ARRAY, &opt.bulk,
      "A bulk source: 'NAME SOCKET BYTES BPS', where 0 is no limit", "TEXT" },
    { "sink", 0, 0, G_OPTION_ARG_FILENAME, &opt.sink,
      "Socket of who receives it all", "PATH" },
    { "trailed", 0, 0, G_OPTION_ARG_NONE, &opt.trailed,
      "Real-time frames come with a trailer", NULL },
    { "cpu", 0, 0, G_OPTION_ARG_INT, &opt.cpu, "Core of the load (1)", "N" },
    { "back-cpu", 0, 0, G_OPTION_ARG_INT, &opt.back_cpu,
      "Core on which the back end polls (0)", "N" },
    { "gap", 0, 0, G_OPTION_ARG_DOUBLE, &opt.gap_s,
      "Say how long a thread that spins on that core is kept from it within "
      "S seconds, and end", "S" },
    { NULL }
};

static bool show_gap(GError **error)
{
    uint64_t gap_ns = host_late_longest_gap_ns(opt.back_cpu, opt.gap_s * 1e9,
                                               error);

    if (gap_ns > 0) {
        printf("{\"longest_gap_us\": %.1f}\n", gap_ns / 1e3);
    }
    return gap_ns > 0;
}

static bool add_flows(EdfFlows *l, GError **error)
{
    if (opt.sink && !edf_flows_set_sink(l, opt.sink, error)) {
        return false;
    }
    for (char **text = opt.rt; text && *text; text++) {
        if (!edf_flows_add_rt(l, *text, opt.trailed, error)) {
            g_prefix_error(error, "--rt: ");
            return false;
        }
    }
    for (char **text = opt.bulk; text && *text; text++) {
        if (!edf_flows_add_bulk(l, *text, error)) {
            g_prefix_error(error, "--bulk: ");
            return false;
        }
    }
    return true;
}

static bool serve(EdfFlows *l, GError **error)
{
    if (!ping_pong_pin(opt.cpu, error) || !add_flows(l, error) ||
        !edf_flows_connect(l, CONNECT_S, error)) {
        return false;
    }
    printf("{\"ready\": true, \"huge_pages\": %s}\n",
           l->sink->huge_pages ? "true" : "false");
    fflush(stdout);
    return bench_stdin_obey(obey, l, error);
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context =
        g_option_context_new("- load for a back end that schedules");
    g_autoptr(GError) error = NULL;
    EdfFlows *l = edf_flows_new();
    bool done;

    g_option_context_add_main_entries(context, entries, NULL);
    done = g_option_context_parse(context, &argc, &argv, &error);
    if (done && argc > 1) {
        g_set_error(&error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "'%s' belongs to no option; see --help", argv[1]);
        done = false;
    }
    if (done) {
        done = opt.gap_s > 0 ? show_gap(&error) : serve(l, &error);
    }
    edf_flows_free(l);
    if (!done) {
        fprintf(stderr, "edf-load: %s\n", error->message);
    }
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
