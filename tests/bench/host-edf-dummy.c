/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What edf-load does, in one process with the switch: sources and sink are
 * dummy ports, so that neither rings nor another process are in what is
 * measured, nor are privileges needed.
 *
 * The configuration is a daemon's, with ports of type dummy, of which "sink" is
 * the one that all send to.
 *
 * Results are JSON, a line each; lines on stdin say what to do:
 *
 *   sample RT BULK SECONDS  the first RT real-time sources and the first BULK
 *                           of the others send
 *   quit
 *
 * Threads: this one is the control thread and the load; the switch has its
 * worker.
 */
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench-stdin.h"
#include "config-apply.h"
#include "config-file.h"
#include "edf-frames.h"
#include "edf-record.h"
#include "frame.h"
#include "host-late.h"
#include "ping-pong.h"
#include "rtnet/rt-endpoint.h"
#include "switch.h"

#define SINK "sink"
#define WARM_UP_NS UINT64_C(50000000)
#define DRAINED_NS UINT64_C(20000000)   /* nothing has come for so long */
#define DRAIN_NS UINT64_C(10000000000)  /* all has come by then */
#define READS_PER_ROUND 64
#define ROUNDS_PER_TURN 4096            /* of the main context */
#define SAMPLE_MAX_S 60
#define BURST_MAX 64

typedef struct Source {
    unsigned number;
    Port *port;
    EdfTemplate template;
    EdfRecord record;
    uint8_t frame[EDF_MAX_FRAME_BYTES];     /* that it sends */
    uint64_t period_ns, next_ns;            /* 0: bulk */
    unsigned burst;
    bool on;
} Source;

typedef struct Load {
    DaemonConfig *config;
    Switch *sw;
    Port *sink;
    unsigned sources;
    Source *source[EDF_SOURCES];
    const EdfTemplate *template[EDF_SOURCES];
    EdfRounds rounds;
    GError *error;                          /* the first one */
} Load;

static struct {
    char *config, **rt, **bulk;
    int cpu;
} opt = {
    .cpu = 1,
};

#define SET_ERROR(error, ...) \
    g_set_error(error, SWITCH_ERROR, 0, __VA_ARGS__)

/* -- Frames ---------------------------------------------------------------- */

static void send_frame(Load *l, Source *s)
{
    EdfRecord *r = &s->record;

    edf_frame_stamp(s->frame, s->number, r->sequence++, l->rounds.now_ns);
    r->sent_pkts += l->rounds.now_ns >= r->from_ns;
    if (!l->error) {
        switch_dummy_inject(l->sw, s->port, s->frame, s->template.bytes, NULL,
                            &l->error);
    }
}

static void send_due(Load *l, Source *s)
{
    uint64_t now_ns = l->rounds.now_ns;

    if (s->period_ns == 0) {
        send_frame(l, s);
    } else if (now_ns >= s->next_ns) {
        s->next_ns = now_ns + s->period_ns;
        for (unsigned i = 0; i < s->burst; i++) {
            send_frame(l, s);
        }
    }
}

static void see(Load *l, GBytes *got)
{
    gsize bytes;
    const uint8_t *frame = g_bytes_get_data(got, &bytes);
    EdfRecord *r = NULL;
    EdfStamp stamp;

    if (edf_frame_check(frame + FRAME_VNET_BYTES, bytes - FRAME_VNET_BYTES,
                        l->template, l->sources, &stamp)) {
        r = &l->source[stamp.source]->record;
    }
    if (!l->error &&
        (!r || !edf_record_come(r, stamp.sequence, stamp.sent_ns,
                                l->rounds.now_ns,
                                edf_rounds_measured(&l->rounds,
                                                    stamp.sent_ns)))) {
        SET_ERROR(&l->error, "a frame came that nobody has sent so, or for "
                  "the second time, or before one that was sent before");
        return;
    }
    if (r) {
        r->received_pkts++;
        r->received_bytes += bytes - FRAME_VNET_BYTES;
    }
}

static unsigned receive(Load *l)
{
    unsigned n = 0;
    GBytes *got;

    while (n < READS_PER_ROUND &&
           (got = switch_dummy_read(l->sw, l->sink, NULL)) != NULL) {
        see(l, got);
        g_bytes_unref(got);
        n++;
    }
    l->rounds.behind &= n == READS_PER_ROUND;
    return n;
}

/* -- A sample -------------------------------------------------------------- */

static void run(Load *l, uint64_t ns)
{
    uint64_t until_ns;

    edf_rounds_begin(&l->rounds);
    until_ns = l->rounds.now_ns + ns;
    for (unsigned i = 0; l->rounds.now_ns < until_ns && !l->error; i++) {
        receive(l);
        for (unsigned k = 0; k < l->sources; k++) {
            if (l->source[k]->on) {
                send_due(l, l->source[k]);
            }
        }
        if (i % ROUNDS_PER_TURN == 0) {
            g_main_context_iteration(NULL, false);
        }
        edf_rounds_next(&l->rounds);
    }
}

static void drain(Load *l)
{
    uint64_t moved_ns = l->rounds.now_ns, until_ns = moved_ns + DRAIN_NS;

    while (l->rounds.now_ns - moved_ns < DRAINED_NS) {
        if (receive(l) > 0) {
            moved_ns = l->rounds.now_ns;
        }
        if (l->rounds.now_ns > until_ns && !l->error) {
            SET_ERROR(&l->error, "frames do not cease to come");
            return;
        }
        edf_rounds_next(&l->rounds);
    }
}

static void choose(Load *l, unsigned rt, unsigned bulk)
{
    for (unsigned i = 0; i < l->sources; i++) {
        Source *s = l->source[i];
        unsigned *left = s->period_ns > 0 ? &rt : &bulk;

        s->on = *left > 0;
        *left -= s->on;
    }
}

/* What the switch itself has counted, in the words of qos.deadlines. */
static void print_endpoint(Load *l, Port *p)
{
    RtEndpoint ep;

    if (!switch_port_endpoint(l->sw, p, &ep)) {
        return;
    }
    printf("%s\"%s\": {\"counters\": [{\"name\": \"late\", \"value\": %"
           PRIu64 "}, {\"name\": \"missed\", \"value\": %" PRIu64 "}], "
           "\"queueing-delay\": {\"count\": %" PRIu64 ", \"p50-ns\": %" PRIu64
           ", \"p99-ns\": %" PRIu64 ", \"p999-ns\": %" PRIu64
           ", \"max-ns\": %" PRIu64 "}}",
           p == l->sink ? "" : ", ", port_name(p), ep.n.late_pkts,
           ep.n.missed_pkts, ep.queueing.count,
           rt_hist_percentile_ns(&ep.queueing, 500000),
           rt_hist_percentile_ns(&ep.queueing, 990000),
           rt_hist_percentile_ns(&ep.queueing, 999000), ep.queueing.max_ns);
}

static void print_sample(Load *l, double seconds, uint64_t longest_away_ns)
{
    printf("{\"seconds\": %.4f, \"longest_away_us\": %.1f, \"flows\": [",
           seconds, longest_away_ns / 1e3);
    for (unsigned i = 0; i < l->sources; i++) {
        printf("%s", i > 0 ? ", " : "");
        edf_record_print(&l->source[i]->record, seconds);
    }
    printf("], \"deadlines\": {");
    print_endpoint(l, l->sink);
    for (unsigned i = 0; i < l->sources; i++) {
        print_endpoint(l, l->source[i]->port);
    }
    printf("}}\n");
    fflush(stdout);
}

static bool take_sample(Load *l, double seconds, GError **error)
{
    uint64_t began_ns, longest_away_ns;

    ping_pong_set_priority(HOST_LATE_PRIORITY);
    run(l, WARM_UP_NS);
    began_ns = l->rounds.now_ns;
    switch_reset_counters(l->sw, NULL);
    for (unsigned i = 0; i < l->sources; i++) {
        edf_record_begin(&l->source[i]->record, began_ns);
    }
    run(l, seconds * 1e9);
    seconds = (l->rounds.now_ns - began_ns) * 1e-9;
    longest_away_ns = l->rounds.longest_away_ns;
    drain(l);
    ping_pong_set_priority(0);
    if (l->error) {
        g_propagate_error(error, g_steal_pointer(&l->error));
        return false;
    }
    print_sample(l, seconds, longest_away_ns);
    return true;
}

static bool obey(void *opaque, const char *line, GError **error)
{
    unsigned rt, bulk;
    double seconds;
    Load *l = opaque;
    char more;

    if (sscanf(line, "sample %u %u %lf %c", &rt, &bulk, &seconds,
               &more) != 3 || seconds <= 0 || seconds > SAMPLE_MAX_S) {
        SET_ERROR(error, "'%s' on stdin is not known; say 'sample RT BULK "
                  "SECONDS' or 'quit'", line);
        return false;
    }
    choose(l, rt, bulk);
    return take_sample(l, seconds, error);
}

/* -- Life ------------------------------------------------------------------ */

/* @text: "NAME BYTES PERIOD_US BURST DEADLINE_US", or "NAME BYTES" of bulk. */
static bool add_source(Load *l, const char *text, GError **error)
{
    unsigned bytes, period_us = 0, burst = 1, deadline_us = 0;
    char name[PORT_NAME_MAX + 1], more;
    int n = sscanf(text, "%32s %u %u %u %u %c", name, &bytes, &period_us,
                   &burst, &deadline_us, &more);
    Port *port = n > 0 ? switch_find_port(l->sw, name) : NULL;
    Source *s;

    if (l->sources == EDF_SOURCES) {
        SET_ERROR(error, "there can be %d sources", EDF_SOURCES);
        return false;
    }
    if ((n != 2 && n != 5) || burst > BURST_MAX ||
        bytes < EDF_MIN_FRAME_BYTES || bytes > EDF_MAX_FRAME_BYTES) {
        SET_ERROR(error, "'%s' is not 'NAME BYTES [PERIOD_US BURST "
                  "DEADLINE_US]', with %d to %d bytes and bursts of at most "
                  "%d", text, EDF_MIN_FRAME_BYTES, EDF_MAX_FRAME_BYTES,
                  BURST_MAX);
        return false;
    }
    if (!port) {
        SET_ERROR(error, "the configuration has no port %s", name);
        return false;
    }
    s = g_new0(Source, 1);
    s->number = l->sources;
    s->port = port;
    s->period_ns = period_us * UINT64_C(1000);
    s->burst = burst;
    edf_template_init(&s->template, s->number, bytes);
    edf_frame_write(s->frame, &s->template);
    edf_record_init(&s->record, g_intern_string(name), bytes,
                    deadline_us * UINT64_C(1000));
    l->template[l->sources] = &s->template;
    l->source[l->sources++] = s;
    return true;
}

/* As the daemon does. */
static bool fill_switch(Load *l, GError **error)
{
    if (!config_fill(l->config, l->sw, error)) {
        return false;
    }
    l->sink = switch_find_port(l->sw, SINK);
    if (!l->sink) {
        SET_ERROR(error, "the configuration has no port " SINK);
    }
    return l->sink;
}

static bool add_sources(Load *l, GError **error)
{
    for (char **text = opt.rt; text && *text; text++) {
        if (!add_source(l, *text, error)) {
            g_prefix_error(error, "--rt: ");
            return false;
        }
    }
    for (char **text = opt.bulk; text && *text; text++) {
        if (!add_source(l, *text, error)) {
            g_prefix_error(error, "--bulk: ");
            return false;
        }
    }
    return true;
}

static bool open_switch(Load *l, GError **error)
{
    l->config = daemon_config_new();
    if (!opt.config) {
        SET_ERROR(error, "--config is missing");
        return false;
    }
    if (!config_file_load(l->config, opt.config, error) ||
        !daemon_config_check(l->config, error)) {
        return false;
    }
    l->sw = switch_new(&l->config->sw, error);
    return l->sw && fill_switch(l, error) && add_sources(l, error);
}

static void close_switch(Load *l)
{
    for (unsigned i = 0; i < l->sources; i++) {
        edf_record_clear(&l->source[i]->record);
        g_free(l->source[i]);
    }
    if (l->sw) {
        switch_free(l->sw);
    }
    daemon_config_free(l->config);
    edf_rounds_clear(&l->rounds);
}

static const GOptionEntry entries[] = {
    { "config", 0, 0, G_OPTION_ARG_FILENAME, &opt.config,
      "The daemon's configuration, with dummy ports", "FILE" },
    { "rt", 0, 0, G_OPTION_ARG_STRING_ARRAY, &opt.rt,
      "A real-time source: 'NAME BYTES PERIOD_US BURST DEADLINE_US'", "TEXT" },
    { "bulk", 0, 0, G_OPTION_ARG_STRING_ARRAY, &opt.bulk,
      "A bulk source: 'NAME BYTES'", "TEXT" },
    { "cpu", 0, 0, G_OPTION_ARG_INT, &opt.cpu, "Core of the load (1)", "N" },
    { NULL }
};

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context =
        g_option_context_new("- load and switch in one process");
    g_autoptr(GError) error = NULL;
    Load l = { 0 };
    bool done;

    setlocale(LC_ALL, "");
    edf_rounds_init(&l.rounds);
    g_option_context_add_main_entries(context, entries, NULL);
    done = g_option_context_parse(context, &argc, &argv, &error) &&
           open_switch(&l, &error) && ping_pong_pin(opt.cpu, &error);
    if (done) {
        printf("{\"ready\": true}\n");
        fflush(stdout);
        done = bench_stdin_obey(obey, &l, &error);
    }
    close_switch(&l);
    if (!done) {
        fprintf(stderr, "host-edf-dummy: %s\n", error->message);
    }
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
