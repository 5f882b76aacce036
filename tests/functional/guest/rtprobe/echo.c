/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "echo" and "sink": count UDP datagrams per port; echo sends them back too.
 *
 * Prints "ready" once its sockets are bound, a JSON line at SIGUSR1, and a last
 * one at SIGTERM, which ends it.  Loss, duplicates and reordering are read from
 * the sender's sequence numbers; datagrams that are not a probe's, or whose
 * payload is not what their sender has filled in, are counted apart.
 *
 * Threads: none; signals come through a signalfd into the one loop.
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
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_PORTS 16
#define MAX_SEQUENCES (1u << 24)

typedef struct Port {
    int fd;
    uint16_t number;
    uint64_t received;
    uint64_t received_bytes;
    uint64_t not_probe;
    uint64_t corrupt;
    uint64_t unique;
    uint64_t duplicates;
    uint64_t reordered;
    uint64_t echo_refused;
    uint32_t next_sequence;     /* one above the highest seen */
    uint64_t first_ns, last_ns;
    uint64_t longest_gap_ns;    /* in which nothing was received */
    uint32_t longest_gap_lost;  /* and what was missing after it */
    uint8_t seen[MAX_SEQUENCES / 8];
} Port;

static Port ports[MAX_PORTS];   /* pages of seen[] appear as they are used */

static void count(Port *port, const uint8_t *data, size_t bytes)
{
    uint64_t now = now_ns(), gap_ns = port->received ? now - port->last_ns : 0;
    ProbeHeader header;
    uint8_t bit;

    port->last_ns = now;
    if (!port->received++) {
        port->first_ns = now;
    }
    port->received_bytes += bytes;
    if (bytes < sizeof(header)) {
        port->not_probe++;
        return;
    }
    memcpy(&header, data, sizeof(header));
    if (header.magic != PROBE_MAGIC || header.sequence >= MAX_SEQUENCES) {
        port->not_probe++;
        return;
    }
    bit = 1 << header.sequence % 8;
    if (port->seen[header.sequence / 8] & bit) {
        port->duplicates++;
        return;
    }
    port->seen[header.sequence / 8] |= bit;
    port->corrupt += !payload_is_intact(data, bytes, header.sequence);
    port->unique++;
    if (header.sequence < port->next_sequence) {
        port->reordered++;
    } else {
        if (gap_ns > port->longest_gap_ns) {
            port->longest_gap_ns = gap_ns;
            port->longest_gap_lost = header.sequence - port->next_sequence;
        }
        port->next_sequence = header.sequence + 1;
    }
}

static void drain(Port *port, bool reply)
{
    static uint8_t data[UDP_MAX_BYTES];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t n;

    while ((n = recvfrom(port->fd, data, sizeof(data), MSG_DONTWAIT,
                         (struct sockaddr *)&from, &from_len)) >= 0) {
        count(port, data, n);
        if (reply && sendto(port->fd, data, n, MSG_DONTWAIT,
                            (struct sockaddr *)&from, from_len) != n) {
            port->echo_refused++;
        }
        from_len = sizeof(from);
    }
}

static void report(const char *mode, size_t n_ports)
{
    printf("{\"mode\": \"%s\", \"ports\": {", mode);
    for (size_t i = 0; i < n_ports; i++) {
        Port *p = &ports[i];

        printf("%s\"%u\": {\"received\": %llu, \"received_bytes\": %llu, "
               "\"not_probe\": %llu, \"corrupt\": %llu, \"lost\": %llu, "
               "\"duplicates\": %llu, \"reordered\": %llu, "
               "\"echo_refused\": %llu, \"longest_gap_us\": %llu, "
               "\"longest_gap_lost\": %u, \"span_ms\": %llu}",
               i ? ", " : "", p->number,
               (unsigned long long)p->received,
               (unsigned long long)p->received_bytes,
               (unsigned long long)p->not_probe,
               (unsigned long long)p->corrupt,
               (unsigned long long)(p->next_sequence - p->unique),
               (unsigned long long)p->duplicates,
               (unsigned long long)p->reordered,
               (unsigned long long)p->echo_refused,
               (unsigned long long)(p->longest_gap_ns / NS_PER_US),
               p->longest_gap_lost,
               (unsigned long long)((p->last_ns - p->first_ns) / NS_PER_MS));
    }
    printf("}}\n");
    fflush(stdout);
}

static size_t bind_ports(const Option *option)
{
    char *list = strdup(option->value), *rest = list, *item;
    size_t n = 0;

    while ((item = strsep(&rest, ","))) {
        Option one = { option->name, item, "" };
        struct sockaddr_in address = {
            .sin_family = AF_INET,
            .sin_port = htons(option_number(&one, 1, 65535)),
        };

        if (n == MAX_PORTS) {
            die(false, "--%s: at most %d", option->name, MAX_PORTS);
        }
        ports[n].number = ntohs(address.sin_port);
        ports[n].fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (ports[n].fd < 0 ||
            bind(ports[n].fd, (struct sockaddr *)&address, sizeof(address))) {
            die(true, "cannot bind UDP port %s", item);
        }
        n++;
    }
    free(list);
    return n;
}

int mode_echo(int argc, char **argv)
{
    Option o[] = { { "ports", NULL, "UDP ports, separated by commas" } };
    bool reply = !strcmp(argv[0], "echo");
    struct pollfd pfds[MAX_PORTS + 1];
    struct signalfd_siginfo info;
    struct sched_param param = { .sched_priority = 10 };
    sigset_t signals;
    size_t n_ports;

    parse_options(argc, argv, o, 1);
    n_ports = bind_ports(&o[0]);
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    for (size_t i = 0; i < n_ports; i++) {
        pfds[i] = (struct pollfd) { .fd = ports[i].fd, .events = POLLIN };
    }
    pfds[n_ports] = (struct pollfd) {
        .fd = signalfd(-1, &signals, 0),
        .events = POLLIN,
    };
    /* An echo is part of what its sender times. */
    if (reply && sched_setscheduler(0, SCHED_FIFO, &param)) {
        die(true, "cannot get real-time priority");
    }
    printf("ready\n");
    fflush(stdout);

    for (;;) {
        if (poll(pfds, n_ports + 1, -1) < 0) {
            die(true, "cannot wait for datagrams");
        }
        for (size_t i = 0; i < n_ports; i++) {
            if (pfds[i].revents) {
                drain(&ports[i], reply);
            }
        }
        if (pfds[n_ports].revents &&
            read(pfds[n_ports].fd, &info, sizeof(info)) == sizeof(info)) {
            report(argv[0], n_ports);
            if (info.ssi_signo == SIGTERM) {
                return 0;
            }
        }
    }
}
