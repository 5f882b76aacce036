/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Choice of mode, options, and the small helpers of all modes.
 *
 * Threads: none.
 */
#include "rtprobe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} modes[] = {
    { "agent", mode_agent, "run the host's commands from a serial line" },
    { "send", mode_send, "periodic UDP flow that times its echoes" },
    { "flood", mode_flood, "UDP as fast as the socket takes it" },
    { "echo", mode_echo, "count datagrams and send them back" },
    { "sink", mode_echo, "count datagrams" },
    { "raw-send", mode_raw_send, "send frames given in hex on stdin" },
    { "raw-recv", mode_raw_recv, "print frames in hex" },
    { "ring", mode_ring, "resize an interface's transmit ring" },
};

void die(bool with_errno, const char *fmt, ...)
{
    int saved_errno = errno;
    va_list ap;

    fprintf(stderr, "rtprobe: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    if (with_errno) {
        fprintf(stderr, ": %s", strerror(saved_errno));
    }
    fprintf(stderr, "\n");
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void __attribute__((noreturn))
usage(const char *mode, const Option *options, size_t n)
{
    fprintf(stderr, "usage: rtprobe %s\n", mode);
    for (size_t i = 0; i < n; i++) {
        fprintf(stderr, "  --%s VALUE  %s (%s%s)\n", options[i].name,
                options[i].help,
                options[i].value ? "default: " : "required",
                options[i].value ? options[i].value : "");
    }
    exit(2);
}

void parse_options(int argc, char **argv, Option *options, size_t n)
{
    bool missing = false;

    for (int a = 1; a < argc; a += 2) {
        size_t i = 0;

        while (i < n && (strncmp(argv[a], "--", 2) ||
                         strcmp(argv[a] + 2, options[i].name))) {
            i++;
        }
        if (i == n || a + 1 == argc) {
            fprintf(stderr, "rtprobe: %s is unknown or lacks its value\n",
                    argv[a]);
            usage(argv[0], options, n);
        }
        options[i].value = argv[a + 1];
    }
    for (size_t i = 0; i < n; i++) {
        missing |= !options[i].value;
    }
    if (missing) {
        usage(argv[0], options, n);
    }
}

uint64_t option_number(const Option *option, uint64_t min, uint64_t max)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(option->value, &end, 0);
    if (errno || *end || end == option->value || value < min || value > max) {
        die(false, "--%s %s: give a number from %llu to %llu", option->name,
            option->value, (unsigned long long)min, (unsigned long long)max);
    }
    return value;
}

struct sockaddr_in option_address(const Option *ip, const Option *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(option_number(port, 1, 65535)),
    };

    if (inet_pton(AF_INET, ip->value, &address.sin_addr) != 1) {
        die(false, "--%s %s: give an IPv4 address", ip->name, ip->value);
    }
    return address;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_decode(const char *text, uint8_t *out, size_t room_bytes)
{
    size_t n = 0;

    for (; text[0] && text[0] != '\n'; text += 2) {
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);

        if (low < 0 || n == room_bytes) {
            return -1;
        }
        out[n++] = high << 4 | low;
    }
    return n;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (!strcmp(argv[1], modes[i].name)) {
            return modes[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "usage: rtprobe MODE [--option value]...\n");
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        fprintf(stderr, "  %-9s %s\n", modes[i].name, modes[i].help);
    }
    return 2;
}
