/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "send": a periodic UDP flow whose echoes are timed; "flood": bulk.
 *
 * send keeps its phase: releases stand at start + phase + n * period.  A
 * release that the guest slept through is skipped, as a control loop would,
 * instead of being caught up in a burst that nobody declared; a skipped one
 * uses no sequence number.  A datagram that the socket cannot take at once is
 * refused, not waited for, for waiting would delay the releases behind it.
 * flood does wait.  SIGTERM ends it early; it still reports.
 *
 * Threads: none; one loop waits for the next release or an echo.
 */
#define _GNU_SOURCE
#include "rtprobe.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct Flow {
    int fd;
    uint32_t bytes;
    uint8_t *datagram;

    uint32_t sent;
    uint32_t refused;
    uint32_t skipped;
    uint64_t wake_late_max_ns;

    uint32_t echoed;
    uint32_t duplicates;
    uint32_t corrupt;
    uint8_t *seen;              /* one per sequence number */
    uint32_t *rtt_us;           /* one per echo */
    uint32_t capacity;          /* of seen and rtt_us */
} Flow;

static int connect_udp(const struct sockaddr_in *to, bool non_blocking)
{
    int fd = socket(AF_INET, SOCK_DGRAM | (non_blocking ? SOCK_NONBLOCK : 0),
                    0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to))) {
        die(true, "cannot reach the address; is the interface up?");
    }
    return fd;
}

/*
 * Real time inside the guest as well, so that its own scheduler adds nothing
 * to what is measured.
 */
static void become_real_time(void)
{
    struct sched_param param = { .sched_priority = 10 };

    if (sched_setscheduler(0, SCHED_FIFO, &param)) {
        die(true, "cannot get real-time priority");
    }
}

static void send_one(Flow *flow)
{
    ProbeHeader header = {
        .magic = PROBE_MAGIC,
        .sequence = flow->sent,
        .sent_ns = now_ns(),
    };

    if (flow->sent == flow->capacity) {
        return;
    }
    memcpy(flow->datagram, &header, sizeof(header));
    payload_fill(flow->datagram, flow->bytes, flow->sent);
    if (send(flow->fd, flow->datagram, flow->bytes, 0) == flow->bytes) {
        flow->sent++;
    } else if (errno == EAGAIN || errno == ENOBUFS || errno == ECONNREFUSED) {
        flow->refused++;
    } else {
        die(true, "cannot send");
    }
}

static void receive_echoes(Flow *flow)
{
    static uint8_t datagram[UDP_MAX_BYTES];
    ProbeHeader header;
    ssize_t n;

    while ((n = recv(flow->fd, datagram, sizeof(datagram), 0)) >= 0) {
        uint64_t now = now_ns(), rtt_ns;

        memcpy(&header, datagram, sizeof(header));
        rtt_ns = now - header.sent_ns;
        if (n != flow->bytes || header.magic != PROBE_MAGIC ||
            header.sequence >= flow->sent) {
            continue;
        }
        flow->corrupt += !payload_is_intact(datagram, n, header.sequence);
        if (flow->seen[header.sequence]) {
            flow->duplicates++;
            continue;
        }
        flow->seen[header.sequence] = 1;
        flow->rtt_us[flow->echoed++] = rtt_ns / NS_PER_US;
    }
}

/* Sleep until @until_ns, receiving what comes. */
static void wait_until(Flow *flow, uint64_t until_ns)
{
    for (;;) {
        struct pollfd pfd = { .fd = flow->fd, .events = POLLIN };
        uint64_t now = now_ns();
        struct timespec rest;

        if (now >= until_ns) {
            return;
        }
        rest.tv_sec = (until_ns - now) / NS_PER_S;
        rest.tv_nsec = (until_ns - now) % NS_PER_S;
        if (ppoll(&pfd, 1, &rest, NULL) > 0) {
            receive_echoes(flow);
        }
    }
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static uint32_t percentile(const uint32_t *sorted, uint32_t n, uint32_t percent)
{
    return n ? sorted[(uint64_t)(n - 1) * percent / 100] : 0;
}

static void report(Flow *flow)
{
    qsort(flow->rtt_us, flow->echoed, sizeof(flow->rtt_us[0]), compare_u32);
    printf("{\"mode\": \"send\", \"sent\": %u, \"refused\": %u, "
           "\"skipped\": %u, \"wake_late_max_us\": %llu, "
           "\"echoed\": %u, \"duplicates\": %u, \"corrupt\": %u, "
           "\"rtt_p50_us\": %u, \"rtt_p99_us\": %u, \"rtt_max_us\": %u}\n",
           flow->sent, flow->refused, flow->skipped,
           (unsigned long long)(flow->wake_late_max_ns / NS_PER_US),
           flow->echoed, flow->duplicates, flow->corrupt,
           percentile(flow->rtt_us, flow->echoed, 50),
           percentile(flow->rtt_us, flow->echoed, 99),
           percentile(flow->rtt_us, flow->echoed, 100));
}

int mode_send(int argc, char **argv)
{
    enum { DST, PORT, BYTES, DSCP, PERIOD, BURST, DURATION, PHASE, WAIT, N };
    Option o[N] = {
        [DST] = { "dst", NULL, "IPv4 address" },
        [PORT] = { "port", NULL, "UDP port" },
        [BYTES] = { "bytes", "172", "UDP payload" },
        [DSCP] = { "dscp", "0", "mark that the application itself sets" },
        [PERIOD] = { "period-us", "10000", "time between releases" },
        [BURST] = { "burst", "1", "datagrams per release" },
        [DURATION] = { "duration-ms", "1000", "how long to send" },
        [PHASE] = { "phase-us", "0", "first release" },
        [WAIT] = { "wait-ms", "500", "how long to wait for last echoes" },
    };
    uint64_t period_ns, end_ns, next_ns;
    uint32_t burst;
    int tos;
    Flow flow = { 0 };

    parse_options(argc, argv, o, N);
    struct sockaddr_in to = option_address(&o[DST], &o[PORT]);
    period_ns = option_number(&o[PERIOD], 1, 3600000000u) * NS_PER_US;
    burst = option_number(&o[BURST], 1, 1000);
    flow.bytes = option_number(&o[BYTES], sizeof(ProbeHeader), UDP_MAX_BYTES);
    next_ns = option_number(&o[PHASE], 0, UINT32_MAX) * NS_PER_US;
    end_ns = option_number(&o[DURATION], 1, 3600000) * NS_PER_MS;
    flow.capacity = (end_ns / period_ns + 1) * burst;
    flow.datagram = calloc(1, flow.bytes);
    flow.seen = calloc(flow.capacity, sizeof(flow.seen[0]));
    flow.rtt_us = calloc(flow.capacity, sizeof(flow.rtt_us[0]));
    if (!flow.datagram || !flow.seen || !flow.rtt_us) {
        die(false, "no memory for %u datagrams: shorten --duration-ms",
            flow.capacity);
    }
    flow.fd = connect_udp(&to, true);
    tos = option_number(&o[DSCP], 0, 63) << 2;
    if (setsockopt(flow.fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos))) {
        die(true, "cannot set the DSCP");
    }
    become_real_time();

    uint64_t start_ns = now_ns();

    for (end_ns += start_ns, next_ns += start_ns; next_ns < end_ns;
         next_ns += period_ns) {
        uint64_t late_ns;

        wait_until(&flow, next_ns);
        late_ns = now_ns() - next_ns;
        if (late_ns > flow.wake_late_max_ns) {
            flow.wake_late_max_ns = late_ns;
        }
        if (late_ns >= period_ns) {
            flow.skipped += late_ns / period_ns * burst;
            next_ns += late_ns / period_ns * period_ns;
        }
        for (uint32_t i = 0; i < burst; i++) {
            send_one(&flow);
        }
    }
    end_ns = now_ns() + option_number(&o[WAIT], 0, 3600000) * NS_PER_MS;
    while (now_ns() < end_ns && flow.echoed < flow.sent) {
        uint64_t soon_ns = now_ns() + 10 * NS_PER_MS;

        wait_until(&flow, soon_ns < end_ns ? soon_ns : end_ns);
    }
    report(&flow);
    return 0;
}

static volatile sig_atomic_t flood_ends;

static void end_flood(int signal)
{
    (void)signal;
    flood_ends = 1;
}

int mode_flood(int argc, char **argv)
{
    enum { DST, PORT, BYTES, DURATION, N };
    Option o[N] = {
        [DST] = { "dst", NULL, "IPv4 address" },
        [PORT] = { "port", NULL, "UDP port" },
        [BYTES] = { "bytes", "1372", "UDP payload" },
        [DURATION] = { "duration-ms", "1000", "how long to send" },
    };
    static uint8_t datagram[UDP_MAX_BYTES];
    ProbeHeader header = { .magic = PROBE_MAGIC };
    /* Not restarted: a send that waits for room ends too. */
    struct sigaction on_term = { .sa_handler = end_flood };
    uint64_t failed = 0, start_ns, duration_ns;
    uint32_t bytes;
    int fd;

    parse_options(argc, argv, o, N);
    struct sockaddr_in to = option_address(&o[DST], &o[PORT]);
    bytes = option_number(&o[BYTES], sizeof(header), UDP_MAX_BYTES);
    duration_ns = option_number(&o[DURATION], 1, 3600000) * NS_PER_MS;
    fd = connect_udp(&to, false);

    sigaction(SIGTERM, &on_term, NULL);

    start_ns = now_ns();
    while (!flood_ends &&
           (header.sent_ns = now_ns()) - start_ns < duration_ns) {
        memcpy(datagram, &header, sizeof(header));
        payload_fill(datagram, bytes, header.sequence);
        if (send(fd, datagram, bytes, 0) == bytes) {
            header.sequence++;
        } else if (errno == ENOBUFS || errno == ECONNREFUSED) {
            failed++;
        } else if (errno != EINTR) {
            die(true, "cannot send");
        }
    }
    printf("{\"mode\": \"flood\", \"sent\": %u, \"sent_bytes\": %llu, "
           "\"refused\": %llu, \"duration_ms\": %llu}\n",
           header.sequence, (unsigned long long)header.sequence * bytes,
           (unsigned long long)failed,
           (unsigned long long)((now_ns() - start_ns) / NS_PER_MS));
    return 0;
}
