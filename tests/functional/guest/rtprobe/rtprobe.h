/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtprobe: what the tests and the demo run inside a guest.
 *
 * One static binary, one mode per file.  Results are one JSON line on stdout,
 * problems are a sentence on stderr and exit status 1 (2 for wrong usage).
 *
 * Threads: each mode is one single-threaded process.
 */
#ifndef RTPROBE_H
#define RTPROBE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* IPv4's largest UDP payload. */
#define UDP_MAX_BYTES 65507

/* Opens every datagram that rtprobe sends; host byte order, both ends x86. */
typedef struct ProbeHeader {
    uint32_t magic;
    uint32_t sequence;
    uint64_t sent_ns;           /* CLOCK_MONOTONIC of the sending guest */
} ProbeHeader;

#define PROBE_MAGIC 0x52545042u

/* What follows the header, up to @bytes of all; and is it still that? */
void payload_fill(uint8_t *datagram, size_t bytes, uint32_t sequence);
bool payload_is_intact(const uint8_t *datagram, size_t bytes,
                       uint32_t sequence);

/* -- Modes: argv[0] is the mode's name ------------------------------------- */

int mode_agent(int argc, char **argv);
int mode_send(int argc, char **argv);
int mode_flood(int argc, char **argv);
int mode_echo(int argc, char **argv);       /* "sink" too */
int mode_raw_send(int argc, char **argv);
int mode_raw_recv(int argc, char **argv);
int mode_ring(int argc, char **argv);

/* -- What they share ------------------------------------------------------- */

/* Print a sentence, with errno's text if @with_errno, and exit. */
void die(bool with_errno, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

uint64_t now_ns(void);

/*
 * Options are "--name value".  Each mode lists what it knows; every option
 * with no default (NULL) is required.  Exits with a usage line on anything
 * else.
 */
typedef struct Option {
    const char *name;
    const char *value;          /* the default, then what the user gave */
    const char *help;
} Option;

void parse_options(int argc, char **argv, Option *options, size_t n);

/* Value of options[@i] as a number in @min..@max, or exit. */
uint64_t option_number(const Option *option, uint64_t min, uint64_t max);

struct sockaddr_in option_address(const Option *ip, const Option *port);

/* A frame's worth of hex in @text to @out; bytes written, -1 if malformed. */
int hex_decode(const char *text, uint8_t *out, size_t room_bytes);

#endif
