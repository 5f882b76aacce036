/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of each flow a window of the last sequence numbers is kept, as an anti-replay
 * window is: what comes late is told from what comes twice as long as it lies
 * in there.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"

#define TTL 64
#define DONT_FRAGMENT 0x4000
#define PAYLOAD_OFFSET (ETHER_BYTES + IPV4_BYTES + UDP_BYTES)
#define WINDOW 64               /* sequence numbers */
#define FLOWS (2 * 16384)       /* places; a power of two, at most half used */
#define TIME_BITS 4             /* of a time that are kept, behind its first */

/* -- Packets --------------------------------------------------------------- */

static uint64_t swap64(uint64_t value)
{
    return __builtin_bswap64(value);    /* all of our hosts: netvm-abi.h */
}

void gen_write(const struct gen_template *t, uint8_t *data, uint32_t flow,
               uint64_t sequence, uint64_t sent_ns)
{
    uint8_t *ip = data + ETHER_BYTES, *udp = ip + IPV4_BYTES;
    unsigned ip_bytes = t->bytes - ETHER_BYTES;
    unsigned udp_bytes = ip_bytes - IPV4_BYTES;
    struct gen_payload p = {
        .magic = htonl(GEN_MAGIC),
        .run = htonl(t->run),
        .flow = htonl(flow),
        .sequence = swap64(sequence),
        .sent_ns = swap64(sent_ns),
    };
    uint32_t sum;
    uint16_t checksum;

    memcpy(data, t->dest_mac, 6);
    memcpy(data + 6, t->source_mac, 6);
    write16(data + 12, ETHER_IPV4);
    memset(ip, 0, IPV4_BYTES + UDP_BYTES);
    ip[0] = 0x45;
    write16(ip + 2, ip_bytes);
    write16(ip + 6, DONT_FRAGMENT);
    ip[8] = TTL;
    ip[9] = IP_UDP;
    memcpy(ip + 12, t->source_ip, 4);
    memcpy(ip + 16, t->dest_ip, 4);
    write16(ip + 10, checksum_end(checksum_add(0, ip, IPV4_BYTES)));
    write16(udp, GEN_SOURCE_PORT + flow);
    write16(udp + 2, t->dest_port);
    write16(udp + 4, udp_bytes);
    memcpy(udp + UDP_BYTES, &p, sizeof(p));
    memset(udp + UDP_BYTES + sizeof(p), 0,
           udp_bytes - UDP_BYTES - sizeof(p));
    /* Zeros add nothing. */
    sum = checksum_add(IP_UDP + udp_bytes, ip + 12, 8);
    sum = checksum_add(sum, udp, UDP_BYTES);
    checksum = checksum_end(checksum_add(sum, (const uint8_t *)&p, sizeof(p)));
    write16(udp + 6, checksum ? checksum : 0xffff);
}

uint16_t gen_hash(uint32_t flow)
{
    return flow * UINT32_C(0x9e3779b1) >> 16;
}

bool gen_read(const uint8_t *data, unsigned length, struct gen_payload *p)
{
    struct headers h;

    if (headers_read(data, length, &h) != HEADERS_GOOD || h.family != 4 ||
        h.protocol != IP_UDP || h.is_fragment || !h.checksum_good ||
        h.ip_header_bytes != IPV4_BYTES ||
        h.l4_bytes < UDP_BYTES + sizeof(*p)) {
        return false;
    }
    memcpy(p, data + h.l4_offset + UDP_BYTES, sizeof(*p));
    if (p->magic != htonl(GEN_MAGIC)) {
        return false;
    }
    p->run = ntohl(p->run);
    p->flow = ntohl(p->flow);
    p->sequence = swap64(p->sequence);
    p->sent_ns = swap64(p->sent_ns);
    return true;
}

static void exchange(uint8_t *a, uint8_t *b, unsigned bytes)
{
    uint8_t kept[6];

    memcpy(kept, a, bytes);
    memcpy(a, b, bytes);
    memcpy(b, kept, bytes);
}

void gen_turn_round(uint8_t *data)
{
    uint8_t *ip = data + ETHER_BYTES +
                  (read16(data + 12) == ETHER_VLAN ? 4 : 0);

    exchange(data, data + 6, 6);
    exchange(ip + 12, ip + 16, 4);
    exchange(ip + IPV4_BYTES, ip + IPV4_BYTES + 2, 2);
}

/* -- Sequences ------------------------------------------------------------- */

struct flow {
    uint32_t run, number;
    bool used;
    uint64_t first, next;       /* next: after the highest that was seen */
    uint64_t window;            /* bit i: next - 1 - i was seen */
    uint64_t distinct;
};

struct gen_flows {
    struct flow flow[FLOWS];
    unsigned n;
    struct gen_counters count;
};

struct gen_flows *gen_flows_new(void)
{
    return calloc(1, sizeof(struct gen_flows));
}

void gen_flows_free(struct gen_flows *f)
{
    free(f);
}

/* Its place; NULL: there are too many. */
static struct flow *find(struct gen_flows *f, const struct gen_payload *p)
{
    uint32_t at = (p->run ^ p->flow * UINT32_C(0x85ebca77)) *
                  UINT32_C(0x9e3779b1) >> 8;

    for (;; at++) {
        struct flow *to = &f->flow[at % FLOWS];

        if (to->used && to->run == p->run && to->number == p->flow) {
            return to;
        }
        if (!to->used) {
            if (f->n == FLOWS / 2) {
                return NULL;
            }
            f->n++;
            *to = (struct flow) {
                .run = p->run, .number = p->flow, .used = true,
                .first = p->sequence, .next = p->sequence,
            };
            return to;
        }
    }
}

void gen_flows_see(struct gen_flows *f, const struct gen_payload *p)
{
    struct flow *to = find(f, p);
    uint64_t ahead, behind;

    f->count.received++;
    if (!to) {
        f->count.flows_full++;
        return;
    }
    if (p->sequence >= to->next) {
        ahead = p->sequence - to->next + 1;
        to->window = ahead < WINDOW ? to->window << ahead | 1 : 1;
        to->next = p->sequence + 1;
        to->distinct++;
        return;
    }
    behind = to->next - 1 - p->sequence;
    if (behind < WINDOW && to->window >> behind & 1) {
        f->count.duplicates++;
        return;
    }
    if (behind < WINDOW) {
        to->window |= UINT64_C(1) << behind;
    }
    f->count.reordered++;
    to->distinct++;
    if (p->sequence < to->first) {
        to->first = p->sequence;
    }
}

struct gen_counters gen_flows_count(const struct gen_flows *f)
{
    struct gen_counters count = f->count;

    for (unsigned i = 0; i < FLOWS; i++) {
        const struct flow *one = &f->flow[i];
        uint64_t sent = one->next - one->first;

        count.lost += one->used && sent > one->distinct
                      ? sent - one->distinct : 0;
    }
    return count;
}

uint64_t gen_flows_received(const struct gen_flows *f)
{
    return f->count.received;
}

unsigned gen_flows_number(const struct gen_flows *f)
{
    return f->n;
}

/* -- Times ----------------------------------------------------------------- */

/* Its first bits: which power of two, and TIME_BITS behind that. */
static unsigned place(uint64_t ns)
{
    unsigned power;

    if (ns < 1 << TIME_BITS) {
        return ns;
    }
    power = 63 - __builtin_clzll(ns);
    return ((power - TIME_BITS + 1) << TIME_BITS) +
           (ns >> (power - TIME_BITS) & ((1 << TIME_BITS) - 1));
}

/* The longest time there. */
static uint64_t longest(unsigned at)
{
    unsigned power = (at >> TIME_BITS) + TIME_BITS - 1;

    if (at < 1 << TIME_BITS) {
        return at;
    }
    return (UINT64_C(1) << power) +
           ((uint64_t)(at & ((1 << TIME_BITS) - 1)) + 1) *
           (UINT64_C(1) << (power - TIME_BITS)) - 1;
}

_Static_assert((64 - TIME_BITS + 1) << TIME_BITS <= GEN_TIMES, "all times fit");

void gen_times_see(struct gen_times *t, uint64_t ns)
{
    t->min_ns = t->n == 0 || ns < t->min_ns ? ns : t->min_ns;
    t->max_ns = ns > t->max_ns ? ns : t->max_ns;
    t->n++;
    t->count[place(ns)]++;
}

uint64_t gen_times_quantile(const struct gen_times *t, double share)
{
    uint64_t seen = 0;

    for (unsigned i = 0; i < GEN_TIMES && t->n > 0; i++) {
        seen += t->count[i];
        if (seen > 0 && seen >= share * t->n) {
            return longest(i) < t->max_ns ? longest(i) : t->max_ns;
        }
    }
    return 0;
}
