/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the deadline queue and the real-time path of a frame cost on one core.
 *
 * The queue is kept at its depth: each operation pops the next frame and pushes
 * it again with a new deadline.  Worst shape: as many sources as frames, so
 * that every pop empties a source and every push makes one ready.
 *
 * CPU time is measured, so that other load disturbs less; still, medians only
 * mean something on a machine that is otherwise quiet.
 *
 * Threads: single.
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "rtnet/edf-queue.h"
#include "rtnet/rt-endpoint.h"

#define SAMPLES 9
#define SUMMARY_DEPTH 1024
#define SPREAD_NS 1000000u          /* deadlines of the frames that wait */
#define FRAME_BYTES 256
#define PATH_SOURCES 8

typedef struct Stats {
    double median, least, most;
} Stats;

typedef struct Bench {
    gint64 ops;                     /* per sample */
    GString *rows;                  /* JSON */
    double summary_mops;
} Bench;

/* Keeps the compiler from dropping what is measured. */
static volatile uint64_t sink;

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static Stats stats_of(double *samples)
{
    qsort(samples, SAMPLES, sizeof(*samples), by_value);
    return (Stats) { samples[SAMPLES / 2], samples[0], samples[SAMPLES - 1] };
}

/* JSON wants a point, whatever the locale says. */
static const char *number(double value)
{
    static char buf[4][G_ASCII_DTOSTR_BUF_SIZE];
    static unsigned which;

    which = (which + 1) % G_N_ELEMENTS(buf);
    return g_ascii_formatd(buf[which], sizeof(buf[which]), "%.2f", value);
}

/* -- Queue ----------------------------------------------------------------- */

static void bench_queue(Bench *b, unsigned depth, unsigned sources,
                        const char *shape)
{
    EdfSource *src = g_new0(EdfSource, sources), *from;
    EdfItem *items = g_new0(EdfItem, depth), *item;
    double samples[SAMPLES];
    uint32_t random = 2463534242u;
    uint64_t now_ns = 0;
    Stats s;
    EdfQueue q;

    edf_queue_init(&q, EDF_QUEUE_EDF);
    for (unsigned i = 0; i < sources; i++) {
        edf_queue_attach(&q, &src[i]);
    }
    for (unsigned i = 0; i < depth; i++) {
        edf_queue_push(&q, &src[i % sources], &items[i], EDF_BAND_DEADLINE,
                       (EdfTurn) { next_random(&random) % SPREAD_NS, 0 });
    }
    for (int k = -1; k < SAMPLES; k++) {        /* the first warms up */
        double began_s = cpu_s();

        for (gint64 i = 0; i < b->ops; i++) {
            item = edf_queue_pop(&q, now_ns, &from);
            now_ns += SPREAD_NS / depth;
            edf_queue_push(&q, from, item, EDF_BAND_DEADLINE,
                (EdfTurn) { now_ns + next_random(&random) % SPREAD_NS, 0 });
        }
        if (k >= 0) {
            samples[k] = b->ops / (cpu_s() - began_s) / 1e6;
        }
    }
    for (unsigned i = 0; i < sources; i++) {
        edf_queue_detach(&q, &src[i]);
    }
    edf_queue_destroy(&q);
    g_free(items);
    g_free(src);

    s = stats_of(samples);
    if (depth == SUMMARY_DEPTH && sources == depth) {
        b->summary_mops = s.median;
    }
    printf("%-12s %8u %8u %10.1f %10.1f %10.1f\n", shape, depth, sources,
           s.median, s.least, s.most);
    g_string_append_printf(b->rows, "%s\n    {\"what\": \"queue\", "
                           "\"shape\": \"%s\", \"depth_pkts\": %u, "
                           "\"sources\": %u, \"pushpop_mops\": %s, "
                           "\"least_mops\": %s, \"most_mops\": %s}",
                           b->rows->len ? "," : "", shape, depth, sources,
                           number(s.median), number(s.least), number(s.most));
}

/* -- Path of a frame ------------------------------------------------------- */

static const uint8_t headers[] = {
    0x52, 0x54, 0, 0, 0, 2,  0x52, 0x54, 0, 0, 0, 1,  0x08, 0x00,
    0x45, 0, (FRAME_BYTES - 14) >> 8, (FRAME_BYTES - 14) & 0xff,
    0, 0, 0, 0,  64, 17, 0x65, 0xdd,  10, 0, 0, 1,  10, 0, 0, 2,
};

typedef struct PathFrame {
    EdfItem item;
    RtTx tx;
    uint8_t data[FRAME_BYTES + RT_TX_TAILROOM_BYTES];
} PathFrame;

typedef struct Path {
    EdfQueue q;
    EdfSource src[PATH_SOURCES];
    RtEndpoint endpoints[PATH_SOURCES];
    PathFrame frames[PATH_SOURCES];
    uint8_t guest_frame[FRAME_BYTES];
    uint8_t wire_frame[FRAME_BYTES + RT_TRAILER_BYTES];
    uint64_t now_ns;
} Path;

static void path_out(Path *p, unsigned i)
{
    PathFrame *f = &p->frames[i % PATH_SOURCES];
    EdfSource *src;
    RtEndpoint *e = &p->endpoints[i % PATH_SOURCES];
    EdfItem *item;

    p->now_ns += 1000;
    memcpy(f->data, p->guest_frame, FRAME_BYTES);
    rt_tx_accept(e, f->data, FRAME_BYTES, p->now_ns, p->now_ns, &f->tx);
    edf_queue_push(&p->q, &p->src[i % PATH_SOURCES], &f->item, f->tx.band,
                   f->tx.turn);
    item = edf_queue_pop(&p->q, p->now_ns, &src);
    f = (PathFrame *)((char *)item - offsetof(PathFrame, item));
    e = &p->endpoints[src - p->src];
    rt_tx_depart(e, f->data, &f->tx, p->now_ns, true);
    rt_tx_sent(e, &f->tx);
    sink += f->data[FRAME_BYTES];
}

static void path_in(Path *p, unsigned i)
{
    PathFrame *f = &p->frames[i % PATH_SOURCES];
    bool missed;
    RtMiss miss;

    memcpy(f->data, p->wire_frame, sizeof(p->wire_frame));
    sink += rt_rx(&p->endpoints[i % PATH_SOURCES], f->data,
                  sizeof(p->wire_frame), p->now_ns, &missed, &miss);
}

static Path *path_new(void)
{
    static const RtEndpointConfig cfg = {
        .deadline_ns = 500000, .period_ns = 1000, .link_mtu = 1500,
        .max_frame_bytes = FRAME_BYTES, .rtvnic = true, .trailer = true,
        .dscp = 46, .pcp = RT_PCP_KEEP,
    };
    Path *p = g_new0(Path, 1);

    memcpy(p->guest_frame, headers, sizeof(headers));
    edf_queue_init(&p->q, EDF_QUEUE_EDF);
    for (unsigned i = 0; i < PATH_SOURCES; i++) {
        rt_endpoint_init(&p->endpoints[i], &cfg);
        edf_queue_attach(&p->q, &p->src[i]);
    }
    path_out(p, 0);
    memcpy(p->wire_frame, p->frames[0].data, sizeof(p->wire_frame));
    return p;
}

static void path_free(Path *p)
{
    for (unsigned i = 0; i < PATH_SOURCES; i++) {
        edf_queue_detach(&p->q, &p->src[i]);
    }
    edf_queue_destroy(&p->q);
    g_free(p);
}

static void bench_path(Bench *b, const char *what, const char *text,
                       void (*step)(Path *p, unsigned i))
{
    Path *p = path_new();
    double samples[SAMPLES];
    Stats s;

    for (int k = -1; k < SAMPLES; k++) {
        double began_s = cpu_s();

        for (gint64 i = 0; i < b->ops; i++) {
            step(p, i);
        }
        if (k >= 0) {
            samples[k] = (cpu_s() - began_s) * 1e9 / b->ops;
        }
    }
    path_free(p);

    s = stats_of(samples);
    printf("%-30s %10.1f %10.1f %10.1f\n", text, s.median, s.least, s.most);
    g_string_append_printf(b->rows, ",\n    {\"what\": \"%s\", "
                           "\"frame_bytes\": %d, \"per_frame_ns\": %s, "
                           "\"least_ns\": %s, \"most_ns\": %s}", what,
                           FRAME_BYTES, number(s.median), number(s.least),
                           number(s.most));
}

/* -- Report ---------------------------------------------------------------- */

/* Of /proc/cpuinfo; other systems have no such line. */
static char *cpu_name(void)
{
    g_autofree char *text = NULL;
    const char *line;

    if (g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL)) {
        line = strstr(text, "model name");
        line = line ? strchr(line, ':') : NULL;
        if (line) {
            g_autofree char *name =
                g_strndup(line + 1, strcspn(line, "\n") - 1);

            return g_strescape(g_strstrip(name), NULL);
        }
    }
    return g_strdup("unknown");
}

static bool write_json(const Bench *b, const char *path)
{
    g_autofree char *cpu = cpu_name();
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    struct utsname os;

    uname(&os);
    text = g_strdup_printf(
        "{\n  \"target\": \"bench-edf\",\n"
        "  \"host\": {\"cpu\": \"%s\", \"cores\": %u, \"kernel\": \"%s\", "
        "\"accel\": \"none\"},\n"
        "  \"rows\": [%s\n  ],\n"
        "  \"summary\": {\"queue_pushpop_mops\": %s}\n}\n",
        cpu, g_get_num_processors(), os.release, b->rows->str,
        number(b->summary_mops));
    if (g_mkdir_with_parents(dir, 0777) < 0) {
        fprintf(stderr, "bench-edf: cannot create '%s': %s; give --json a path "
                "that can be written\n", dir, g_strerror(errno));
        return false;
    }
    if (!g_file_set_contents(path, text, -1, &error)) {
        fprintf(stderr, "bench-edf: %s; give --json a path that can be "
                "written\n", error->message);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const unsigned depths[] = {
        16, 64, 256, 1024, 4096, 16384, 65536,
    };
    g_autofree char *json = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) options = NULL;
    Bench b = { .ops = 2000000, .rows = g_string_new(NULL) };
    const GOptionEntry entries[] = {
        { "json", 0, 0, G_OPTION_ARG_FILENAME, &json,
          "Write the results there, too", "FILE" },
        { "ops", 0, 0, G_OPTION_ARG_INT64, &b.ops,
          "Operations per sample (default 2000000)", "N" },
        { 0 },
    };
    bool ok = true;

    options = g_option_context_new("- what the deadline queue costs");
    g_option_context_add_main_entries(options, entries, NULL);
    if (!g_option_context_parse(options, &argc, &argv, &error)) {
        fprintf(stderr, "bench-edf: %s; see --help\n", error->message);
        return 2;
    }
    if (b.ops < 1) {
        fprintf(stderr, "bench-edf: --ops must be at least 1\n");
        return 2;
    }

    printf("Million push+pop per second\n");
    printf("%-12s %8s %8s %10s %10s %10s\n", "shape", "depth", "sources",
           "median", "least", "most");
    for (unsigned i = 0; i < G_N_ELEMENTS(depths); i++) {
        bench_queue(&b, depths[i], depths[i], "worst");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(depths); i++) {
        bench_queue(&b, depths[i], 8, "8 sources");
    }
    bench_queue(&b, SUMMARY_DEPTH, 4, "4 sources");
    bench_queue(&b, SUMMARY_DEPTH, 64, "64 sources");

    printf("\n%-30s %10s %10s %10s\n", "ns per frame of 256 bytes", "median",
           "least", "most");
    bench_path(&b, "tx", "out: copy, mark, queue, stamp", path_out);
    bench_path(&b, "rx", "in: copy, check, strip", path_in);

    if (json) {
        ok = write_json(&b, json);
    }
    g_string_free(b.rows, true);
    return ok ? 0 : 1;
}
