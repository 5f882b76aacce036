/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the RT path costs per frame, step by step, in the order in which QEMU
 * walks it (net/edf/port-tx.c, sched.c, port-rx.c): from the copy of a guest's frame
 * to the backend, and at the other end from the backend to the guest.
 *
 * Eight rtvnics with contracts and deadlines of 200 to 1600 us, which is the
 * longest path (policing, marking, trailer), send UDP datagrams over IPv4 to
 * one scheduler in which about a hundred frames wait.  Each frame that leaves
 * is received, and must come out as its guest had sent it.
 *
 * Prints the time of each step as one JSON line.  Each step is a function of
 * its own, step_*(), so that callgrind can count the instructions of what it
 * calls (rtvnic_path.py).
 *
 * Not here: QEMU's net layer, timers, the guest's ring, the wire.
 *
 * Threads: single.
 */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rtnet/edf-pacer.h"
#include "rtnet/edf-queue.h"
#include "rtnet/rt-endpoint.h"

#define FRAME_BYTES 256
#define PORTS 8
#define DEPTH_PKTS 96               /* wait at least; at most a batch more */
#define BATCH_PKTS 32               /* timed at once: a clock costs too */
#define SAMPLES 9
#define INTERVAL_NS 1000            /* between two frames of the whole */
#define RATE_BPS 2500000000ull      /* of the link: a frame in INTERVAL_NS */
#define TRANSIT_NS 10000

typedef struct Frame {
    EdfItem item;
    RtTx tx;
    unsigned port;
    size_t delivered_bytes;
    uint8_t guest[FRAME_BYTES];     /* as the guest wrote it */
    uint8_t data[FRAME_BYTES + RT_TX_TAILROOM_BYTES];
} Frame;

typedef struct Port {
    RtEndpoint out, in;
    EdfSource src;
} Port;

typedef struct Bench {
    Port ports[PORTS];
    EdfQueue queue;
    EdfPacer pacer;
    RtHist wake_late;
    Frame frames[DEPTH_PKTS + BATCH_PKTS];
    Frame *idle[DEPTH_PKTS + BATCH_PKTS];
    unsigned idle_pkts;
    uint32_t random;
    uint64_t now_ns;
} Bench;

/* -- The steps ------------------------------------------------------------- */

#define STEP static __attribute__((noinline)) void

/* What a frame's buffer costs; the frame itself stays where it is. */
STEP step_alloc(Bench *b, Frame **slot)
{
    void *volatile buffer = g_malloc(sizeof(**slot));

    (void)b;
    g_free(buffer);
}

STEP step_copy(Bench *b, Frame **slot)
{
    (void)b;
    memcpy((*slot)->data, (*slot)->guest, FRAME_BYTES);
}

STEP step_accept(Bench *b, Frame **slot)
{
    Frame *f = *slot;

    rt_tx_accept(&b->ports[f->port].out, f->data, FRAME_BYTES, b->now_ns,
                 b->now_ns, &f->tx);
}

STEP step_push(Bench *b, Frame **slot)
{
    Frame *f = *slot;

    if (edf_queue_is_idle(&b->queue)) {
        edf_pacer_resume(&b->pacer, b->now_ns);
    }
    edf_queue_push(&b->queue, &b->ports[f->port].src, &f->item, f->tx.band,
                   f->tx.turn);
}

STEP step_pop(Bench *b, Frame **slot)
{
    EdfSource *src;
    EdfItem *item = edf_queue_pop(&b->queue, b->now_ns, &src);

    *slot = (Frame *)((char *)item - offsetof(Frame, item));
}

STEP step_depart(Bench *b, Frame **slot)
{
    Frame *f = *slot;

    rt_tx_depart(&b->ports[f->port].out, f->data, &f->tx, b->now_ns, true);
}

STEP step_sent(Bench *b, Frame **slot)
{
    rt_tx_sent(&b->ports[(*slot)->port].out, &(*slot)->tx);
}

/* The link's next free moment, and how late the timer came. */
STEP step_pace(Bench *b, Frame **slot)
{
    uint64_t due_ns = b->pacer.next_ns;

    rt_hist_add(&b->wake_late, b->now_ns > due_ns ? b->now_ns - due_ns : 0);
    edf_pacer_charge(&b->pacer, b->now_ns, (*slot)->tx.wire_bytes);
}

STEP step_receive(Bench *b, Frame **slot)
{
    Frame *f = *slot;
    RtMiss miss;
    bool missed;

    f->delivered_bytes = rt_rx(&b->ports[f->port].in, f->data,
                               f->tx.leave_bytes, b->now_ns + TRANSIT_NS,
                               &missed, &miss);
}

typedef struct Step {
    const char *name;
    bool rt_path;
    void (*run)(Bench *b, Frame **slot);
} Step;

static const Step steps[] = {
    { "alloc", false, step_alloc },
    { "copy", false, step_copy },
    { "accept", true, step_accept },
    { "push", true, step_push },
    { "pop", true, step_pop },
    { "depart", true, step_depart },
    { "sent", true, step_sent },
    { "pace", false, step_pace },
    { "receive", true, step_receive },
};

/* -- Frames ---------------------------------------------------------------- */

static uint32_t next_random(Bench *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 17;
    b->random ^= b->random << 5;
    return b->random;
}

static void put_be16(uint8_t *p, unsigned value)
{
    p[0] = value >> 8;
    p[1] = value;
}

/* A datagram of @port whose addresses, id, DSCP, ports and payload vary. */
static void write_frame(Bench *b, Frame *f, unsigned port)
{
    static const uint8_t ethernet[] = {
        0x52, 0x54, 0, 0, 2, 0,  0x52, 0x54, 0, 0, 1, 0,  0x08, 0x00,
    };
    uint8_t *ip = f->guest + RT_ETH_HLEN;
    uint32_t sum = 0;

    f->port = port;
    for (size_t i = 0; i < FRAME_BYTES; i += sizeof(uint32_t)) {
        uint32_t word = next_random(b);

        memcpy(f->guest + i, &word, sizeof(word));
    }
    memcpy(f->guest, ethernet, sizeof(ethernet));
    f->guest[5] = f->guest[11] = port;
    ip[0] = 0x45;
    put_be16(ip + 2, FRAME_BYTES - RT_ETH_HLEN);
    put_be16(ip + 6, 0);
    ip[8] = 64;
    ip[9] = 17;                                         /* UDP */
    put_be16(ip + 10, 0);
    put_be16(ip + 24, FRAME_BYTES - RT_ETH_HLEN - 20);
    for (unsigned i = 0; i < 20; i += 2) {
        sum += ip[i] << 8 | ip[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    put_be16(ip + 10, ~(sum + (sum >> 16)));
}

static void check(const Frame *f)
{
    if (f->delivered_bytes != FRAME_BYTES ||
        memcmp(f->data, f->guest, FRAME_BYTES)) {
        fprintf(stderr, "bench-rt-path: a frame was received as another than "
                "the guest had sent; the unit tests will say why\n");
        exit(1);
    }
}

/* -- Measure --------------------------------------------------------------- */

static Bench *bench_new(void)
{
    Bench *b = g_new0(Bench, 1);

    b->random = 2463534242u;
    b->now_ns = 1000000000;
    edf_queue_init(&b->queue, EDF_QUEUE_EDF);
    edf_pacer_init(&b->pacer, RATE_BPS, RT_MAX_WIRE_BYTES(1500));
    for (unsigned i = 0; i < PORTS; i++) {
        RtEndpointConfig cfg = {
            .deadline_ns = 200000 * (i + 1),
            .period_ns = INTERVAL_NS * PORTS,
            .max_frame_bytes = FRAME_BYTES,
            .link_mtu = RT_LINK_MTU_DEFAULT,
            .rtvnic = true,
            .trailer = true,
            .dscp = 46,
            .pcp = RT_PCP_KEEP,
            .source_id = 0x01000000 + i,
            .max_skew_ns = RT_MAX_SKEW_DEFAULT_NS,
        };

        rt_endpoint_init(&b->ports[i].out, &cfg);
        rt_endpoint_init(&b->ports[i].in, &cfg);
        edf_queue_attach(&b->queue, &b->ports[i].src);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(b->frames); i++) {
        b->idle[b->idle_pkts++] = &b->frames[i];
    }
    return b;
}

static void bench_free(Bench *b)
{
    for (unsigned i = 0; i < PORTS; i++) {
        edf_queue_detach(&b->queue, &b->ports[i].src);
    }
    edf_queue_destroy(&b->queue);
    g_free(b);
}

static double clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

/*
 * @n frames come, @n leave (none if they are to stay); adds to @took_ns by
 * step.
 */
static void run_batch(Bench *b, unsigned n, bool leave, double *took_ns)
{
    Frame *batch[BATCH_PKTS];

    for (unsigned i = 0; i < n; i++) {
        batch[i] = b->idle[--b->idle_pkts];
        write_frame(b, batch[i], next_random(b) % PORTS);
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(steps); k++) {
        double began_ns;

        if (!leave && steps[k].run == step_pop) {
            return;
        }
        began_ns = clock_ns();
        for (unsigned i = 0; i < n; i++) {
            if (steps[k].run == step_accept) {
                b->now_ns += INTERVAL_NS;
            }
            steps[k].run(b, &batch[i]);
        }
        took_ns[k] += clock_ns() - began_ns;
    }
    for (unsigned i = 0; i < n; i++) {
        check(batch[i]);
        b->idle[b->idle_pkts++] = batch[i];
    }
}

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return (a > b) - (a < b);
}

static void print_step(const char *name, bool rt_path, double *samples,
                       bool last)
{
    char text[3][G_ASCII_DTOSTR_BUF_SIZE];
    double values[3];

    qsort(samples, SAMPLES, sizeof(*samples), by_value);
    values[0] = samples[SAMPLES / 2];
    values[1] = samples[0];
    values[2] = samples[SAMPLES - 1];
    for (int i = 0; i < 3; i++) {
        /* JSON wants a point, whatever the locale says. */
        g_ascii_formatd(text[i], sizeof(text[i]), "%.2f", values[i]);
    }
    printf("{\"step\": \"%s\", \"rt_path\": %s, \"median_ns\": %s, "
           "\"least_ns\": %s, \"most_ns\": %s}%s", name,
           rt_path ? "true" : "false", text[0], text[1], text[2],
           last ? "" : ", ");
}

static void measure(unsigned batches)
{
    double samples[G_N_ELEMENTS(steps)][SAMPLES] = { 0 };
    double total[SAMPLES] = { 0 };
    double took_ns[G_N_ELEMENTS(steps)] = { 0 };
    Bench *b = bench_new();

    for (unsigned i = 0; i < DEPTH_PKTS; i += BATCH_PKTS) {
        run_batch(b, BATCH_PKTS, false, took_ns);
    }
    for (int s = 0; s < SAMPLES; s++) {
        memset(took_ns, 0, sizeof(took_ns));
        for (unsigned i = 0; i < batches; i++) {
            run_batch(b, BATCH_PKTS, true, took_ns);
        }
        for (size_t k = 0; k < G_N_ELEMENTS(steps); k++) {
            samples[k][s] = took_ns[k] / batches / BATCH_PKTS;
            total[s] += steps[k].rt_path ? samples[k][s] : 0;
        }
    }
    bench_free(b);

    printf("{\"frame_bytes\": %d, \"ports\": %d, \"depth_pkts\": %d, "
           "\"frames\": %u, \"steps\": [", FRAME_BYTES, PORTS,
           DEPTH_PKTS + BATCH_PKTS / 2,
           (batches * SAMPLES) * BATCH_PKTS);
    for (size_t k = 0; k < G_N_ELEMENTS(steps); k++) {
        print_step(steps[k].name, steps[k].rt_path, samples[k], false);
    }
    print_step("rt-path", true, total, true);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    int batches = 4000;
    const GOptionEntry entries[] = {
        { "batches", 0, 0, G_OPTION_ARG_INT, &batches,
          "Batches of 32 frames per sample (default 4000)", "N" },
        { 0 },
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) options = NULL;

    options = g_option_context_new("- what the RT path costs per frame");
    g_option_context_add_main_entries(options, entries, NULL);
    if (!g_option_context_parse(options, &argc, &argv, &error)) {
        fprintf(stderr, "bench-rt-path: %s; see --help\n", error->message);
        return 2;
    }
    if (batches < 1 || batches > 10000000) {
        fprintf(stderr, "bench-rt-path: --batches must be 1 to 10000000\n");
        return 2;
    }
    measure(batches);
    return 0;
}
