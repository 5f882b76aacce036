/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What netvm-pktgen sends, and what its other end makes of it: UDP over IPv4,
 * with a payload that says which packet of which flow it is, and when it was
 * sent.
 *
 * Threads: one at a time.
 */
#ifndef GEN_H
#define GEN_H

#include "headers.h"

/* In network byte order, behind the UDP header; zeros follow. */
struct gen_payload {
    uint32_t magic;             /* GEN_MAGIC */
    uint32_t run;               /* another one for each time it is started */
    uint32_t flow;
    uint32_t zero;
    uint64_t sequence;          /* in the flow, from 0 */
    uint64_t sent_ns;           /* CLOCK_MONOTONIC of the sender */
};

#define GEN_MAGIC UINT32_C(0x4e564d47)
#define GEN_LEAST_BYTES \
    (ETHER_BYTES + IPV4_BYTES + UDP_BYTES + sizeof(struct gen_payload))
#define GEN_FLOWS_MAX 10000
#define GEN_SOURCE_PORT 20000   /* of flow 0 */

/* What all packets of a run have. */
struct gen_template {
    uint8_t source_mac[6], dest_mac[6];
    uint8_t source_ip[4], dest_ip[4];
    uint16_t dest_port;
    uint32_t run;
    unsigned bytes;             /* of a packet, from GEN_LEAST_BYTES */
};

/* Write the packet, all of its bytes, to @data. */
void gen_write(const struct gen_template *t, uint8_t *data, uint32_t flow,
               uint64_t sequence, uint64_t sent_ns);
/* Its struct netvm_desc's hash. */
uint16_t gen_hash(uint32_t flow);

/* Is it one of ours?  Then its payload, in host order, is in @p. */
bool gen_read(const uint8_t *data, unsigned length, struct gen_payload *p);

/* For who sends back what gen_read() has taken: the ends are exchanged in
 * Ethernet, IPv4 and UDP. */
void gen_turn_round(uint8_t *data);

/* -- Sequences ------------------------------------------------------------- */

struct gen_counters {
    uint64_t received;          /* with duplicates */
    uint64_t lost;              /* not seen, though a later one was */
    uint64_t duplicates;
    uint64_t reordered;         /* after one that was sent later */
    uint64_t flows_full;        /* not accounted: of too many flows */
};

struct gen_flows;

struct gen_flows *gen_flows_new(void);      /* NULL: out of memory */
void gen_flows_free(struct gen_flows *f);
void gen_flows_see(struct gen_flows *f, const struct gen_payload *p);
struct gen_counters gen_flows_count(const struct gen_flows *f);
uint64_t gen_flows_received(const struct gen_flows *f);
unsigned gen_flows_number(const struct gen_flows *f);

/* -- Times ----------------------------------------------------------------- */

#define GEN_TIMES 1024

/* How often each time was seen, to 1/16. */
struct gen_times {
    uint64_t n, min_ns, max_ns;
    uint64_t count[GEN_TIMES];
};

void gen_times_see(struct gen_times *t, uint64_t ns);
/* At least @share (0 to 1) of them took no longer than that; 0: there is
 * none. */
uint64_t gen_times_quantile(const struct gen_times *t, double share);

#endif
