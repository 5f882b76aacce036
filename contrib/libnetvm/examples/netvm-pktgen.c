/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm-pktgen: sends packets that say who they are, receives them and says
 * what became of them, or sends them back (gen.h).
 *
 * The sender loses nothing by itself: what the next one does not take is sent
 * in a later turn.
 *
 * Threads: none.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"
#include "netvm-flow.h"
#include "nf.h"
#include "seen.h"

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)
/* The sender looks again whether there is room, or a buffer. */
#define BLOCKED_NS (MS_NS / 10)
#define RATE_MAX 100000000

static struct {
    bool sink, echo, buffers;
    uint64_t rate_pps;          /* 0: as fast as it can */
    uint64_t count;             /* 0: without end */
    uint64_t seconds;           /* 0: without end */
    uint64_t wait_ms;
    uint64_t flows;
    uint64_t chain;             /* 0: none */
    struct gen_template t;
} opt = {
    .flows = 1,
    .t = {
        .source_mac = { 2, 0, 0, 0, 0, 1 },
        .dest_mac = { 2, 0, 0, 0, 0, 2 },
        .source_ip = { 192, 0, 2, 1 },
        .dest_ip = { 192, 0, 2, 2 },
        .dest_port = 9,
        .bytes = 128,
    },
};

/* Written by one place each. */
static struct {
    uint64_t begin_ns, end_ns;          /* of sending; 0: not yet */
    uint64_t sent;
    struct netvm_desc pkt[NF_BURST];    /* written, and not sent yet */
    unsigned at, pkts;
    uint64_t sequence[GEN_FLOWS_MAX];   /* the next one of each flow */
    uint32_t flow;                      /* the next one */
    const struct netvm_flow *table;     /* where the chain is found */
    uint32_t table_flows;
    struct target hop;                  /* the first service of the chain */
} tx;

static struct {
    uint64_t first_ns, last_ns;         /* 0: nothing came */
    uint64_t other_pkts;                /* that no pktgen has sent */
    uint64_t clock_errors;              /* "sent in the future" */
    struct gen_flows *flows;
    struct gen_times times;
} rx;

static struct seen seen;
static uint64_t began_ns, next_line_ns, sent_before, received_before;

static const char usage[] =
    "Sends UDP packets that another netvm-pktgen counts.\n"
    "\n"
    "  --rate PPS       packets per second (as fast as it can)\n"
    "  --count N        the end after so many\n"
    "  --seconds S      the end after that time\n"
    "  --wait MS        after the last one wait for what comes back (0)\n"
    "  --size BYTES     of a packet, without FCS (128)\n"
    "  --flows N        UDP ports, in turn, from 20000 on (1)\n"
    "  --src MAC        (02:00:00:00:00:01)\n"
    "  --dst MAC        (02:00:00:00:00:02)\n"
    "  --src-ip IPV4    (192.0.2.1)\n"
    "  --dst-ip IPV4    (192.0.2.2)\n"
    "  --dport PORT     (9)\n"
    "  --chain NUMBER   into that chain, which netvm-stat shows\n"
    "  --sink           send nothing, count what comes; --count: so many\n"
    "  --echo           the same, and send it back\n"
    "  --buffers        show the first buffers\n";

enum {
    RATE = NF_OPTION_OWN, COUNT, SECONDS, WAIT, SIZE, FLOWS, SRC, DST, SRC_IP,
    DST_IP, DPORT, CHAIN, SINK, ECHO, BUFFERS,
};

static const struct option options[] = {
    { "rate", required_argument, NULL, RATE },
    { "count", required_argument, NULL, COUNT },
    { "seconds", required_argument, NULL, SECONDS },
    { "wait", required_argument, NULL, WAIT },
    { "size", required_argument, NULL, SIZE },
    { "flows", required_argument, NULL, FLOWS },
    { "src", required_argument, NULL, SRC },
    { "dst", required_argument, NULL, DST },
    { "src-ip", required_argument, NULL, SRC_IP },
    { "dst-ip", required_argument, NULL, DST_IP },
    { "dport", required_argument, NULL, DPORT },
    { "chain", required_argument, NULL, CHAIN },
    { "sink", no_argument, NULL, SINK },
    { "echo", no_argument, NULL, ECHO },
    { "buffers", no_argument, NULL, BUFFERS },
    { 0 },
};

static const struct nf_program program;

/* -- Options --------------------------------------------------------------- */

static bool take_ip(const char *option, const char *value, uint8_t ip[4])
{
    struct prefix p;

    if (!words_prefix(value, &p) || p.family != 4 || p.bits != 32) {
        nf_say(&program, "--%s %s: say an IPv4 address, like 192.0.2.1",
               option, value);
        return false;
    }
    memcpy(ip, p.address, 4);
    return true;
}

static bool take_option(int key, const char *value)
{
    uint64_t number = 0;
    bool good = true;

    switch (key) {
    case RATE:
        return nf_number(&program, "rate", value, 1, RATE_MAX, &opt.rate_pps);
    case COUNT:
        return nf_number(&program, "count", value, 1, UINT64_MAX, &opt.count);
    case SECONDS:
        return nf_number(&program, "seconds", value, 1, UINT32_MAX,
                         &opt.seconds);
    case WAIT:
        return nf_number(&program, "wait", value, 0, UINT32_MAX, &opt.wait_ms);
    case SIZE:
        good = nf_number(&program, "size", value, GEN_LEAST_BYTES, UINT16_MAX,
                         &number);
        opt.t.bytes = number;
        return good;
    case FLOWS:
        return nf_number(&program, "flows", value, 1, GEN_FLOWS_MAX,
                         &opt.flows);
    case SRC:
        return nf_mac(&program, "src", value, opt.t.source_mac);
    case DST:
        return nf_mac(&program, "dst", value, opt.t.dest_mac);
    case SRC_IP:
        return take_ip("src-ip", value, opt.t.source_ip);
    case DST_IP:
        return take_ip("dst-ip", value, opt.t.dest_ip);
    case DPORT:
        good = nf_number(&program, "dport", value, 1, UINT16_MAX, &number);
        opt.t.dest_port = number;
        return good;
    case CHAIN:
        return nf_number(&program, "chain", value, 1, UINT16_MAX, &opt.chain);
    case SINK:
        opt.sink = true;
        return true;
    case ECHO:
        opt.echo = true;
        return true;
    default:
        opt.buffers = true;
        return true;
    }
}

static int ready(const struct nf *nf)
{
    if (opt.sink + opt.echo > 1) {
        nf_say(&program, "say one of --sink and --echo");
        return NF_USAGE;
    }
    if (opt.chain && (opt.sink || opt.echo || nf->to.action != NETVM_NEXT)) {
        nf_say(&program, "--chain is for packets that begin here, and go "
               "nowhere else");
        return NF_USAGE;
    }
    rx.flows = gen_flows_new();
    if (!rx.flows) {
        nf_say(&program, "out of memory");
        return NF_FAILED;
    }
    opt.t.run = nf_now_ns() >> 10;
    return 0;
}

/* -- Life ------------------------------------------------------------------ */

static bool begin(struct nf *nf)
{
    const struct netvm_region *layout = netvm_layout(nf->nv);
    unsigned most = netvm_max_bytes(nf->nv);

    tx.table = (const struct netvm_flow *)
        ((const uint8_t *)netvm_region(nf->nv) + layout->flows_offset);
    tx.table_flows = layout->flows;
    if (began_ns == 0) {
        began_ns = nf_now_ns();
        next_line_ns = began_ns + SECOND_NS;
    }
    seen_clear(&seen);
    tx.at = tx.pkts = 0;
    if (opt.t.bytes > most) {
        nf_say(&program, "--size: a packet of this domain has at most %u "
               "bytes", most);
        return false;
    }
    return true;
}

/* The service that is the chain's first hop, if it is just one. */
static void look_up(struct nf *nf)
{
    uint64_t value = opt.chain
        ? netvm_flow_find(tx.table, tx.table_flows,
                          NETVM_KEY_HOP(opt.chain, 0)) : 0;

    tx.hop.action = NETVM_TO_SERVICE;
    tx.hop.number = value >> 60 == NETVM_VALUE_SERVICE(0) >> 60
                    ? (int)(value & 0xffff) : -1;
}

/* -- Receive --------------------------------------------------------------- */

static void work(struct nf *nf, struct netvm_desc *pkt, unsigned n)
{
    uint64_t now_ns = nf_now_ns();

    for (unsigned i = 0; i < n; i++) {
        uint8_t *data = netvm_data(nf->nv, &pkt[i]);
        struct gen_payload p;

        netvm_set_action(&pkt[i], NETVM_DROP);
        if (!gen_read(data, pkt[i].length, &p)) {
            rx.other_pkts++;
            continue;
        }
        gen_flows_see(rx.flows, &p);
        if (p.sent_ns <= now_ns) {
            gen_times_see(&rx.times, now_ns - p.sent_ns);
        } else {
            rx.clock_errors++;
        }
        rx.first_ns = rx.first_ns ? rx.first_ns : now_ns;
        rx.last_ns = now_ns;
        if (opt.sink || opt.echo) {
            seen_add(&seen, netvm_region(nf->nv), pkt[i].buffer);
        }
        if (opt.echo) {
            gen_turn_round(data);
            pkt[i].chain = pkt[i].hop = 0;      /* it begins anew */
            nf_pass(nf, &pkt[i]);
        }
    }
}

/* -- Send ------------------------------------------------------------------ */

static void write_packet(struct nf *nf, struct netvm_desc *pkt, uint64_t now_ns)
{
    gen_write(&opt.t, netvm_data(nf->nv, pkt), tx.flow, tx.sequence[tx.flow]++,
              now_ns);
    pkt->length = opt.t.bytes;
    pkt->hash = gen_hash(tx.flow);
    if (opt.chain) {
        pkt->chain = opt.chain;
        nf_pass_to(nf, &tx.hop, pkt);
    } else {
        nf_pass(nf, pkt);
    }
    seen_add(&seen, netvm_region(nf->nv), pkt->buffer);
    tx.flow = tx.flow + 1 < opt.flows ? tx.flow + 1 : 0;
}

/* How many are due, NF_BURST at most. */
static unsigned due(uint64_t now_ns)
{
    uint64_t n = NF_BURST;

    if (opt.rate_pps) {
        uint64_t passed_ns = now_ns - tx.begin_ns;

        n = passed_ns / SECOND_NS * opt.rate_pps +
            passed_ns % SECOND_NS * opt.rate_pps / SECOND_NS + 1 - tx.sent;
        n = n < NF_BURST ? n : NF_BURST;
    }
    return opt.count && opt.count - tx.sent < n ? opt.count - tx.sent : n;
}

/* Packets are there to be sent, if any is due. */
static void fill(struct nf *nf, uint64_t now_ns)
{
    const struct target *to = opt.chain ? &tx.hop : &nf->to;
    int n;

    if (to->number < 0) {
        nf->wake_ns = now_ns + MS_NS;
        return;
    }
    tx.begin_ns = tx.begin_ns ? tx.begin_ns : now_ns;
    tx.at = tx.pkts = 0;
    n = due(now_ns);
    if (n == 0) {
        nf->wake_ns = tx.begin_ns + tx.sent / opt.rate_pps * SECOND_NS +
                      tx.sent % opt.rate_pps * SECOND_NS / opt.rate_pps;
        return;
    }
    n = netvm_alloc(nf->nv, tx.pkt, n);
    tx.pkts = n > 0 ? n : 0;
    for (unsigned i = 0; i < tx.pkts; i++) {
        write_packet(nf, &tx.pkt[i], now_ns);
    }
}

/* How many were sent. */
static unsigned send(struct nf *nf, uint64_t now_ns)
{
    int n = 0;

    nf->wake_ns = now_ns + BLOCKED_NS;
    if (tx.at == tx.pkts) {
        fill(nf, now_ns);
    }
    if (tx.at < tx.pkts) {
        n = netvm_tx_burst(nf->nv, tx.pkt + tx.at, tx.pkts - tx.at);
    }
    if (n <= 0) {
        return 0;
    }
    tx.at += n;
    tx.sent += n;
    tx.end_ns = now_ns;
    nf->count.tx_pkts += n;
    return n;
}

/* -- Turns ----------------------------------------------------------------- */

static bool is_over(uint64_t now_ns)
{
    uint64_t received = gen_flows_received(rx.flows);

    if (opt.seconds && now_ns - began_ns >= opt.seconds * SECOND_NS) {
        return true;
    }
    if (opt.sink || opt.echo) {
        return opt.count && received >= opt.count;
    }
    return opt.count && tx.sent == opt.count &&
           (received >= tx.sent ||
            now_ns - tx.end_ns >= opt.wait_ms * MS_NS);
}

static void print_line(uint64_t now_ns)
{
    struct gen_counters c = gen_flows_count(rx.flows);
    double seconds = 1 + (now_ns - next_line_ns) / 1e9;

    printf("sent=%" PRIu64 " sent-pps=%.0f received=%" PRIu64
           " received-pps=%.0f lost=%" PRIu64 "\n", tx.sent,
           (tx.sent - sent_before) / seconds, c.received,
           (c.received - received_before) / seconds, c.lost);
    fflush(stdout);
    sent_before = tx.sent;
    received_before = c.received;
    next_line_ns = now_ns + SECOND_NS;
}

static unsigned turn(struct nf *nf)
{
    uint64_t now_ns = nf_now_ns();
    bool may_send = !opt.sink && !opt.echo &&
                    (!opt.count || tx.sent < opt.count);
    unsigned done = 0;

    /* After the last one it waits for milliseconds. */
    nf->wake_ns = opt.count && tx.sent == opt.count ? now_ns + MS_NS
                                                    : next_line_ns;
    if (may_send) {
        done = send(nf, now_ns);
    }
    if (is_over(now_ns)) {
        nf->stop = true;
    } else if (now_ns >= next_line_ns) {
        print_line(now_ns);
    }
    return done;
}

static double per_second(uint64_t n, uint64_t from_ns, uint64_t to_ns)
{
    return n > 1 && to_ns > from_ns ? (n - 1) * 1e9 / (to_ns - from_ns) : 0;
}

static void end(struct nf *nf)
{
    struct gen_counters c = gen_flows_count(rx.flows);
    const struct gen_times *t = &rx.times;

    netvm_free(nf->nv, tx.pkt + tx.at, tx.pkts - tx.at);
    printf("end sent=%" PRIu64 " sent-pps=%.0f received=%" PRIu64
           " received-pps=%.0f lost=%" PRIu64 " duplicates=%" PRIu64
           " reordered=%" PRIu64 " other=%" PRIu64 " flows=%u", tx.sent,
           per_second(tx.sent, tx.begin_ns, tx.end_ns), c.received,
           per_second(c.received, rx.first_ns, rx.last_ns), c.lost,
           c.duplicates, c.reordered, rx.other_pkts,
           gen_flows_number(rx.flows));
    if (c.flows_full) {
        printf(" flows-full=%" PRIu64, c.flows_full);
    }
    if (rx.clock_errors) {
        printf(" clock-errors=%" PRIu64, rx.clock_errors);
    }
    if (t->n) {
        printf(" latency-min-ns=%" PRIu64 " latency-p50-ns=%" PRIu64
               " latency-p99-ns=%" PRIu64 " latency-max-ns=%" PRIu64,
               t->min_ns, gen_times_quantile(t, 0.5),
               gen_times_quantile(t, 0.99), t->max_ns);
    }
    seen_print(&seen, opt.buffers);
    printf("\n");
    fflush(stdout);
    seen_clear(&seen);
    gen_flows_free(rx.flows);
}

static const struct nf_program program = {
    .name = "netvm-pktgen",
    .usage = usage,
    .options = options,
    .option = take_option,
    .ready = ready,
    .begin = begin,
    .work = work,
    .turn = turn,
    .look_up = look_up,
    .end = end,
};

int main(int argc, char **argv)
{
    return nf_main(&program, argc, argv);
}
