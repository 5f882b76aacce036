/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A turn: packets are taken and worked on, then what else there is; if there
 * was nothing for a while, sleep.  Signals are read from a file between two
 * turns, so that none interrupts anything.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "nf.h"

#define SECOND_NS UINT64_C(1000000000)
#define MS_NS UINT64_C(1000000)
/* Turns without work before it sleeps, and turns after which it looks at
 * signals and clocks all the same. */
#define IDLE_TURNS 200
#define BUSY_TURNS 64
/* And with --poll, after which it looks whether the daemon is still there. */
#define POLL_TURNS 65536
/* How often it tries to send if the next one takes no more. */
#define SEND_TRIES 64
/* What was sent to the daemon is taken by it within this time at the end. */
#define DRAIN_NS SECOND_NS
/* Names are looked up again, and a daemon that has gone is looked for. */
#define LOOK_UP_NS (SECOND_NS / 2)
#define ATTACH_MS 1000

enum {
    OPTION_AT = 256,
    OPTION_POLL,
    OPTION_STATS,
    OPTION_OUT,
    OPTION_TO,
    OPTION_SERVICE,
    OPTION_SWITCH,
    OPTION_VERSION,
};

static const struct option common[] = {
    { "at", required_argument, NULL, OPTION_AT },
    { "poll", no_argument, NULL, OPTION_POLL },
    { "stats", required_argument, NULL, OPTION_STATS },
    { "out", required_argument, NULL, OPTION_OUT },
    { "to", required_argument, NULL, OPTION_TO },
    { "service", required_argument, NULL, OPTION_SERVICE },
    { "switch", no_argument, NULL, OPTION_SWITCH },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, OPTION_VERSION },
};

#define COMMON (sizeof(common) / sizeof(common[0]))
#define OPTIONS_MAX 64

static const char common_usage[] =
    "\n"
    "Where packets go then; else to the next hop of their chain if they have\n"
    "one, else where the switch finds their address:\n"
    "  --to NAME        to that member of the domain\n"
    "  --service NAME   to a member that does that service\n"
    "  --out PORT       out of the daemon's port of that number\n"
    "  --switch         to the switch, even if they have a chain\n"
    "\n"
    "Common options:\n"
    "  --at WHERE       unix:PATH, pci:ADDRESS or pci (NETVM, else pci)\n"
    "  --poll           never sleep\n"
    "  --stats SECONDS  print a line so often\n"
    "  -h, --help       show this\n"
    "  --version        show the version\n"
    "\n"
    "SIGINT or SIGTERM ends it, SIGUSR1 prints what was counted.\n";

/* What nobody but this file needs. */
struct run {
    struct nf nf;
    const char *where;          /* NULL: as netvm_attach() finds it */
    bool poll;
    uint64_t stats_ns;          /* between two lines; 0: none */
    uint64_t next_stats_ns, next_look_up_ns, next_attach_ns;
    uint64_t epoch;             /* of the names */
    const struct netvm_ring *tx;    /* to the daemon */
    int signals;
    bool gone;                  /* the daemon has */
};

/* -- What it says ---------------------------------------------------------- */

void nf_say(const struct nf_program *program, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: ", program->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

uint64_t nf_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

static void print_stats(struct run *r)
{
    struct nf *nf = &r->nf;
    const struct nf_counters *c = &nf->count;

    printf("rx-pkts=%" PRIu64 " tx-pkts=%" PRIu64 " dropped-pkts=%" PRIu64
           " full-pkts=%" PRIu64 " nowhere-pkts=%" PRIu64 " reattached=%" PRIu64
           "\n", c->rx_pkts, c->tx_pkts, c->dropped_pkts, c->full_pkts,
           c->nowhere_pkts, c->reattached);
    if (nf->program->stats) {
        nf->program->stats(nf);
    }
    fflush(stdout);
}

/* -- Options --------------------------------------------------------------- */

bool nf_number(const struct nf_program *program, const char *option,
               const char *value, uint64_t least, uint64_t most,
               uint64_t *number)
{
    if (!words_number(value, most, number) || *number < least) {
        nf_say(program, "--%s %s: say a number from %" PRIu64 " to %" PRIu64,
               option, value, least, most);
        return false;
    }
    return true;
}

bool nf_mac(const struct nf_program *program, const char *option,
            const char *value, uint8_t mac[6])
{
    if (!words_mac(value, mac)) {
        nf_say(program, "--%s %s: say a MAC address, like 02:00:00:00:00:01",
               option, value);
        return false;
    }
    return true;
}

static bool take_target(struct run *r, const char *kind, const char *name)
{
    char error[WORDS_ERROR_BYTES];

    if (r->nf.to.action != NETVM_NEXT) {
        nf_say(r->nf.program, "say one of --to, --service, --out and --switch");
        return false;
    }
    if (!kind) {
        r->nf.to.action = NETVM_SWITCH;
        return true;
    }
    if (!target_parse(kind, name, &r->nf.to, error)) {
        nf_say(r->nf.program, "%s", error);
        return false;
    }
    return true;
}

/* -1: it goes on; else the exit code. */
static int take_option(struct run *r, int key)
{
    const struct nf_program *p = r->nf.program;
    uint64_t seconds;
    bool good = true;

    switch (key) {
    case OPTION_AT:
        r->where = optarg;
        break;
    case OPTION_POLL:
        r->poll = true;
        break;
    case OPTION_STATS:
        good = nf_number(p, "stats", optarg, 1, 86400, &seconds);
        r->stats_ns = good ? seconds * SECOND_NS : 0;
        break;
    case OPTION_OUT:
        good = take_target(r, "out", optarg);
        break;
    case OPTION_TO:
        good = take_target(r, "member", optarg);
        break;
    case OPTION_SERVICE:
        good = take_target(r, "service", optarg);
        break;
    case OPTION_SWITCH:
        good = take_target(r, NULL, NULL);
        break;
    case 'h':
        printf("Usage: %s [OPTION]...\n%s%s", p->name, p->usage, common_usage);
        return 0;
    case OPTION_VERSION:
        printf("%s (netvm %d.%d)\n", p->name, NETVM_VERSION_MAJOR,
               NETVM_VERSION_MINOR);
        return 0;
    case '?':
        good = false;           /* getopt has said why */
        break;
    default:
        good = p->option(key, optarg);
    }
    if (!good) {
        fprintf(stderr, "\"%s --help\" shows all options.\n", p->name);
        return NF_USAGE;
    }
    return -1;
}

static int take_options(struct run *r, int argc, char **argv)
{
    struct option all[OPTIONS_MAX] = { 0 };
    const struct option *own = r->nf.program->options;
    int key;

    memcpy(all, common, sizeof(common));
    for (unsigned i = COMMON; own && own->name && i < OPTIONS_MAX - 1; i++) {
        all[i] = *own++;
    }
    while ((key = getopt_long(argc, argv, "h", all, NULL)) >= 0) {
        int status = take_option(r, key);

        if (status >= 0) {
            return status;
        }
    }
    if (optind < argc) {
        nf_say(r->nf.program, "\"%s\" is no option: \"%s --help\" shows them",
               argv[optind], r->nf.program->name);
        return NF_USAGE;
    }
    return -1;
}

/* -- Names ----------------------------------------------------------------- */

void nf_look_up(const struct nf *nf, struct target *to)
{
    if (to->action == NETVM_TO_MEMBER) {
        to->number = netvm_find_member(nf->nv, to->name);
    } else if (to->action == NETVM_TO_SERVICE) {
        to->number = netvm_find_service(nf->nv, to->name);
    }
}

/* A member that comes or goes makes a new epoch; a service does not. */
static void look_up(struct run *r)
{
    uint64_t epoch = __atomic_load_n(&netvm_region(r->nf.nv)->epoch,
                                     __ATOMIC_ACQUIRE);

    if (epoch == r->epoch && r->nf.now_ns < r->next_look_up_ns) {
        return;
    }
    r->epoch = epoch;
    r->next_look_up_ns = r->nf.now_ns + LOOK_UP_NS;
    nf_look_up(&r->nf, &r->nf.to);
    if (r->nf.program->look_up) {
        r->nf.program->look_up(&r->nf);
    }
}

/* -- Life ------------------------------------------------------------------ */

static void take_signals(struct run *r)
{
    const struct nf_program *p = r->nf.program;
    struct signalfd_siginfo info;

    while (read(r->signals, &info, sizeof(info)) == sizeof(info)) {
        switch (info.ssi_signo) {
        case SIGHUP:
            if (p->reload) {
                p->reload(&r->nf);
            }
            break;
        case SIGUSR1:
            print_stats(r);
            break;
        default:
            r->nf.stop = true;
        }
    }
}

/* From now on they are read from a file. */
static bool open_signals(struct run *r)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
        (r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0) {
        nf_say(r->nf.program, "signals: %s", strerror(errno));
        return false;
    }
    return true;
}

static void keep_ring(struct run *r)
{
    const struct netvm_region *layout = netvm_layout(r->nf.nv);

    r->tx = (const struct netvm_ring *)
        ((const uint8_t *)netvm_region(r->nf.nv) + layout->rings_offset +
         (uint64_t)NETVM_RING_TX(netvm_self(r->nf.nv)) * layout->ring_bytes);
}

/* As a member, with names and buffers that may be others than before. */
static void begin(struct run *r)
{
    const struct nf_program *p = r->nf.program;

    keep_ring(r);
    r->gone = false;
    r->epoch = 0;
    r->nf.now_ns = nf_now_ns();
    if (p->begin && !p->begin(&r->nf)) {
        r->nf.stop = r->nf.failed = true;
    }
    look_up(r);
}

/* A new daemon behind the same socket; a device finds it by itself. */
static bool attach_anew(struct run *r)
{
    const char *where = r->where ? r->where : getenv("NETVM");
    char error[NETVM_ERROR_BYTES];
    struct netvm *nv;

    if (!where || strncmp(where, "unix:", 5) != 0) {
        return false;
    }
    nv = netvm_attach(where, ATTACH_MS, error);
    if (!nv) {
        return false;
    }
    netvm_detach(r->nf.nv);
    r->nf.nv = nv;
    return true;
}

static void attached_again(struct run *r)
{
    r->nf.count.reattached++;
    begin(r);
}

/* Once. */
static void say_gone(struct run *r)
{
    if (!r->gone) {
        nf_say(r->nf.program, "the daemon has gone: waiting for it");
        r->gone = true;
    }
}

/* What we knew is no more. */
static void reattach(struct run *r)
{
    int status = netvm_reattach(r->nf.nv, ATTACH_MS);

    if (status == 0 || attach_anew(r)) {
        attached_again(r);
    } else if (status == -ENODEV) {
        nf_say(r->nf.program, "the device was unplugged");
        r->nf.stop = r->nf.failed = true;
    } else {
        struct pollfd p = { .fd = r->signals, .events = POLLIN };

        say_gone(r);
        poll(&p, 1, LOOK_UP_NS / MS_NS);
        take_signals(r);
    }
}

/* The daemon takes what was sent to it; what is left would be lost. */
static void drain(const struct run *r)
{
    uint64_t end_ns = nf_now_ns() + DRAIN_NS;

    while (__atomic_load_n(&r->tx->head, __ATOMIC_ACQUIRE) != r->tx->tail &&
           nf_now_ns() < end_ns) {
        struct timespec t = { .tv_nsec = MS_NS };

        nanosleep(&t, NULL);
    }
}

/* -- Packets --------------------------------------------------------------- */

/* All of them go the same way: out, or, if nobody takes them for long, back. */
static void send(struct nf *nf, const struct netvm_desc *pkt, unsigned n)
{
    unsigned sent = 0, tries = 0;

    while (sent < n) {
        int more = netvm_tx_burst(nf->nv, pkt + sent, n - sent);

        if (more == -ESTALE) {
            return;             /* they are no more; the next turn sees it */
        }
        if (more > 0) {
            nf->count.tx_pkts += more;
            sent += more;
        } else if (more < 0 || ++tries > SEND_TRIES) {
            /* Those behind it may go elsewhere. */
            nf->count.full_pkts++;
            netvm_free(nf->nv, &pkt[sent++], 1);
        } else {
            sched_yield();
        }
    }
}

void nf_send(struct nf *nf, const struct netvm_desc *pkt, unsigned n)
{
    struct netvm_desc out[NF_BURST], drop[NF_BURST];

    while (n > 0) {
        unsigned most = n < NF_BURST ? n : NF_BURST, outs = 0, drops = 0;

        for (unsigned i = 0; i < most; i++) {
            if (pkt[i].action == NETVM_DROP) {
                drop[drops++] = pkt[i];
            } else {
                out[outs++] = pkt[i];
            }
        }
        if (drops > 0) {
            nf->count.dropped_pkts += drops;
            netvm_free(nf->nv, drop, drops);
        }
        send(nf, out, outs);
        pkt += most;
        n -= most;
    }
}

static unsigned take_packets(struct run *r)
{
    struct nf *nf = &r->nf;
    struct netvm_desc pkt[NF_BURST];
    int n = netvm_rx_burst(nf->nv, pkt, NF_BURST);

    if (n < 0) {
        reattach(r);
        return 0;
    }
    if (n > 0) {
        look_up(r);             /* who has sent may have just come */
        nf->count.rx_pkts += n;
        nf->program->work(nf, pkt, n);
        nf_send(nf, pkt, n);
    }
    return n;
}

/* -- Turns ----------------------------------------------------------------- */

static void take_time(struct run *r)
{
    r->nf.now_ns = nf_now_ns();
    if (r->stats_ns && r->nf.now_ns >= r->next_stats_ns) {
        print_stats(r);
        r->next_stats_ns = r->nf.now_ns + r->stats_ns;
    }
    look_up(r);
}

/* Until something comes, or it is time for something. */
static void sleep_for_it(struct run *r)
{
    struct nf *nf = &r->nf;
    struct pollfd p[3] = {
        { .fd = r->signals, .events = POLLIN },
        { .fd = nf->fd, .events = POLLIN },     /* negative: left out */
    };
    uint64_t until_ns = nf->now_ns + LOOK_UP_NS;
    struct timespec t;
    int status = netvm_arm(nf->nv);

    if (status == 1) {
        return;
    }
    if (status == -ESTALE) {
        reattach(r);
        return;
    }
    if (status == -EPIPE) {
        /* Members that are reached directly may be there still, but nobody
         * wakes us for them.  A new daemon has new memory for all. */
        say_gone(r);
        if (nf->now_ns >= r->next_attach_ns) {
            if (attach_anew(r)) {
                attached_again(r);
                return;
            }
            r->next_attach_ns = nf_now_ns() + LOOK_UP_NS;
        }
        until_ns = nf->now_ns + MS_NS;
    } else {
        p[2] = (struct pollfd) { .fd = netvm_fd(nf->nv), .events = POLLIN };
    }
    if (r->stats_ns && until_ns > r->next_stats_ns) {
        until_ns = r->next_stats_ns;
    }
    if (until_ns > nf->wake_ns) {
        until_ns = nf->wake_ns;
    }
    if (r->poll) {
        until_ns = 0;
    }
    nf->now_ns = nf_now_ns();
    until_ns = until_ns > nf->now_ns ? until_ns - nf->now_ns : 0;
    t = (struct timespec) { until_ns / SECOND_NS, until_ns % SECOND_NS };
    ppoll(p, status == 0 ? 3 : 2, &t, NULL);
    if (status == 0) {
        netvm_disarm(nf->nv);
    }
}

static void run(struct run *r)
{
    struct nf *nf = &r->nf;
    unsigned idle = 0;

    for (unsigned turn = 0; !nf->stop; turn++) {
        unsigned done = take_packets(r);
        bool slept = false;

        if (nf->program->turn && !nf->stop) {
            done += nf->program->turn(nf);
        }
        idle = done ? 0 : idle + 1;
        if (idle > IDLE_TURNS && (!r->poll || turn % POLL_TURNS == 0)) {
            sleep_for_it(r);
            slept = true;
        }
        if (slept || turn % BUSY_TURNS == 0) {
            take_signals(r);
            take_time(r);
        }
    }
}

int nf_main(const struct nf_program *program, int argc, char **argv)
{
    struct run r = {
        .nf = {
            .program = program,
            .to.action = NETVM_NEXT,
            .fd = -1,
            .wake_ns = UINT64_MAX,
        },
    };
    char error[NETVM_ERROR_BYTES];
    int status = take_options(&r, argc, argv);

    if (status >= 0) {
        return status;
    }
    status = program->ready ? program->ready(&r.nf) : 0;
    if (status != 0) {
        return status;
    }
    r.nf.nv = netvm_attach(r.where, -1, error);
    if (!r.nf.nv) {
        nf_say(program, "%s", error);
        return NF_FAILED;
    }
    if (open_signals(&r)) {
        begin(&r);
        if (!r.nf.stop) {
            nf_say(program, "member %u%s", netvm_self(r.nf.nv),
                   netvm_is_slow(r.nf.nv) ? ", slow: load netvm_shm.ko" : "");
            r.next_stats_ns = r.nf.now_ns + r.stats_ns;
            run(&r);
        }
        if (program->end) {
            program->end(&r.nf);
        }
        drain(&r);
        close(r.signals);
    } else {
        r.nf.failed = true;
    }
    netvm_detach(r.nf.nv);
    return r.nf.failed ? NF_FAILED : 0;
}
