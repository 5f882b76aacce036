/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules of a firewall from a file, a line each, the first that matches decides:
 *
 *     allow|deny|count [proto tcp|udp|icmp|icmp6|arp|N] [from CIDR] [to CIDR]
 *                      [sport A[-B]] [dport A[-B]] [vlan N]
 *     default allow|deny
 *
 * "count" counts and goes on to the next rule.  What no rule decides, the
 * default does; without that line it is denied.
 *
 * Threads: one at a time, as packets are counted.
 */
#ifndef FW_RULES_H
#define FW_RULES_H

#include <stdio.h>

#include "headers.h"
#include "words.h"

enum fw_verdict { FW_DENY, FW_ALLOW, FW_COUNT };

struct fw_rule {
    enum fw_verdict verdict;
    int protocol;                   /* -1: any; FW_ARP */
    struct prefix from, to;         /* family 0: any */
    bool has_sport, has_dport;
    uint16_t sport[2], dport[2];    /* first and last */
    uint16_t vlan;                  /* HEADERS_NO_VLAN: any, or none */
    char *text;                     /* as it was read */
    uint64_t pkts, bytes;           /* that matched */
};

#define FW_ARP 256

struct fw_rules {
    struct fw_rule *rule;
    unsigned n, max;
    bool has_default;
    enum fw_verdict otherwise;
    uint64_t default_pkts, default_bytes;
};

/* All of a file, or NULL with file, line and what to do in @error. */
struct fw_rules *fw_rules_read(const char *path,
                               char error[WORDS_ERROR_BYTES]);
void fw_rules_free(struct fw_rules *rs);

/* What becomes of a packet of @length bytes; it is counted. */
enum fw_verdict fw_rules_decide(struct fw_rules *rs, const struct headers *h,
                                unsigned length);

/* A line for each rule, and for the default: packets, bytes, text. */
void fw_rules_print(const struct fw_rules *rs, FILE *to);

#endif
