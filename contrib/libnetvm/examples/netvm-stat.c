/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm-stat: shows who is in a domain, what they have counted, what waits in
 * their rings, services and chains.
 *
 * It is a member itself; packets that come are dropped.  All that it reads
 * other members can write: names are made printable, numbers are taken as they
 * are.
 *
 * Threads: none.
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "netvm-flow.h"
#include "nf.h"

#define SECOND_NS UINT64_C(1000000000)
/* Others are given that time to come before a single look. */
#define SETTLE_NS (SECOND_NS / 20)
#define CHAINS_MAX 256
#define HOPS_MAX 16

static struct {
    bool once, json;
    uint64_t seconds;
} opt = { .seconds = 1 };

/* -- What is counted ------------------------------------------------------- */

#define STAT(field, name) { name, offsetof(struct netvm_stats, field) }

static const struct {
    const char *name;
    size_t offset;
} stat_of[] = {
    STAT(rx_pkts, "rx-pkts"), STAT(rx_bytes, "rx-bytes"),
    STAT(tx_pkts, "tx-pkts"), STAT(tx_bytes, "tx-bytes"),
    STAT(direct_pkts, "direct-pkts"), STAT(tx_full, "tx-full"),
    STAT(no_buffer, "no-buffer"), STAT(rx_bad, "rx-bad"),
    STAT(doorbells, "doorbells"), STAT(waits, "waits"),
    STAT(given_pkts, "given-pkts"),
    STAT(given_copied_pkts, "given-copied-pkts"),
    STAT(taken_pkts, "taken-pkts"), STAT(moved_pkts, "moved-pkts"),
    STAT(freed_buffers, "freed-buffers"), STAT(dropped_pkts, "dropped-pkts"),
    STAT(bad_descs, "bad-descs"),
};

#define STATS (sizeof(stat_of) / sizeof(stat_of[0]))

enum { RX_PKTS, RX_BYTES, TX_PKTS, TX_BYTES, DIRECT_PKTS };

/* One look at a member. */
struct look {
    bool there;
    char name[NETVM_NAME_BYTES];
    uint32_t serial;
    unsigned port, service;
    const char *state;
    uint64_t stat[STATS];
    uint64_t rx_waiting;        /* that the daemon has given it */
    uint64_t direct_waiting;    /* that others have sent it directly */
    uint64_t tx_waiting;        /* for the daemon */
};

/* What the region says that never changes, as it was when we attached. */
static struct {
    const uint8_t *base;
    unsigned members, services, flows, self;
    uint32_t ring_bytes, ring_descs;
    const struct netvm_member *member;
    const struct netvm_stats *stats;
    const struct netvm_service *service;
    const struct netvm_flow *flow;
    const uint8_t *rings;
} region;

static struct {
    struct look now[NETVM_MEMBERS_MAX + 1], before[NETVM_MEMBERS_MAX + 1];
    uint64_t now_ns, before_ns;         /* before_ns: 0, there is none */
    uint64_t next_ns;
} looks;

static const char usage[] =
    "Shows members, services and chains of a domain, and what was counted.\n"
    "It becomes a member of it; \"vusctl domain\" on the host does not.\n"
    "\n"
    "  --once           show it once, and end\n"
    "  --json           as JSON, an object in each line\n"
    "  --interval S     seconds between two looks (1)\n";

enum { ONCE = NF_OPTION_OWN, JSON, INTERVAL };

static const struct option options[] = {
    { "once", no_argument, NULL, ONCE },
    { "json", no_argument, NULL, JSON },
    { "interval", required_argument, NULL, INTERVAL },
    { 0 },
};

static const struct nf_program program;

static bool take_option(int key, const char *value)
{
    switch (key) {
    case ONCE:
        opt.once = true;
        return true;
    case JSON:
        opt.json = true;
        return true;
    default:
        return nf_number(&program, "interval", value, 1, 86400, &opt.seconds);
    }
}

/* -- Look ------------------------------------------------------------------ */

static bool begin(struct nf *nf)
{
    const struct netvm_region *r = netvm_layout(nf->nv);
    const uint8_t *base = (const uint8_t *)netvm_region(nf->nv);

    region.base = base;
    region.self = netvm_self(nf->nv);
    region.members = r->members;
    region.services = r->services;
    region.flows = r->flows;
    region.ring_bytes = r->ring_bytes;
    region.ring_descs = r->ring_descs;
    region.member = (const struct netvm_member *)(base + r->members_offset);
    region.stats = (const struct netvm_stats *)(base + r->stats_offset);
    region.service = (const struct netvm_service *)(base + r->services_offset);
    region.flow = (const struct netvm_flow *)(base + r->flows_offset);
    region.rings = base + r->rings_offset;
    looks.before_ns = looks.now_ns = 0;
    looks.next_ns = nf_now_ns() + SETTLE_NS;
    return true;
}

/* A name has only these; what else stands there becomes a question mark. */
static void copy_name(char to[NETVM_NAME_BYTES],
                      const char from[NETVM_NAME_BYTES])
{
    memcpy(to, from, NETVM_NAME_BYTES - 1);
    /* The copy is checked, and not read again. */
    __asm__ volatile("" : : "r"(to) : "memory");
    to[NETVM_NAME_BYTES - 1] = '\0';
    for (char *c = to; *c; c++) {
        if (!((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
              (*c >= 'a' && *c <= 'z') || strchr("_.-", *c))) {
            *c = '?';
        }
    }
}

/* Of a ring, how many wait. */
static uint64_t waiting(unsigned number)
{
    const struct netvm_ring *ring = (const struct netvm_ring *)
        (region.rings + (uint64_t)number * region.ring_bytes);
    uint64_t head = netvm_read_acquire(&ring->head);
    uint64_t n = netvm_read_acquire(&ring->tail) - head;

    return n <= region.ring_descs ? n : 0;
}

static void look_at_member(unsigned m, struct look *l)
{
    const struct netvm_member *member = &region.member[m];
    const uint8_t *stats = (const uint8_t *)&region.stats[m];
    uint32_t state = netvm_read32(&member->state);

    *l = (struct look) { .there = state != NETVM_MEMBER_FREE };
    if (!l->there) {
        return;
    }
    copy_name(l->name, member->name);
    l->serial = netvm_read32(&member->serial);
    l->port = member->port;
    l->service = member->service;
    l->state = state != NETVM_MEMBER_THERE ? "leaving"
               : netvm_read32(&member->serial_attached) == l->serial
               ? "attached" : "joined";
    for (unsigned i = 0; i < STATS; i++) {
        l->stat[i] = netvm_read((const uint64_t *)(stats + stat_of[i].offset));
    }
    l->rx_waiting = waiting(NETVM_RING_RX(m));
    l->tx_waiting = waiting(NETVM_RING_TX(m));
    for (unsigned s = 1; s <= region.members; s++) {
        l->direct_waiting += s == m ? 0 : waiting(
            NETVM_RING_DIRECT(region.members, s, m));
    }
}

static void look(void)
{
    memcpy(looks.before, looks.now, sizeof(looks.now));
    looks.before_ns = looks.now_ns;
    looks.now_ns = nf_now_ns();
    for (unsigned m = 1; m <= region.members; m++) {
        look_at_member(m, &looks.now[m]);
    }
}

/* Since the look before; 0: there is none, or it was another member. */
static double rate(unsigned m, unsigned stat)
{
    const struct look *now = &looks.now[m], *before = &looks.before[m];

    if (looks.before_ns == 0 || !before->there ||
        before->serial != now->serial) {
        return 0;
    }
    return (now->stat[stat] - before->stat[stat]) * 1e9 /
           (looks.now_ns - looks.before_ns);
}

/* -- Services and chains --------------------------------------------------- */

static bool read_service(unsigned s, struct netvm_service *to, char *name)
{
    if (s == 0 || s >= region.services ||
        !netvm_service_read(&region.service[s], to)) {
        return false;
    }
    copy_name(name, region.service[s].name);
    return *name;
}

/* Of the chain's hop; 0: it has none, or more than one. */
static unsigned service_of_hop(unsigned chain, unsigned hop)
{
    uint64_t value = netvm_flow_find(region.flow, region.flows,
                                     NETVM_KEY_HOP(chain, hop));

    return value >> 60 == NETVM_VALUE_SERVICE(0) >> 60 ? value & 0xffff : 0;
}

static bool has_chain(unsigned chain)
{
    for (unsigned hop = 0; hop < HOPS_MAX; hop++) {
        if (service_of_hop(chain, hop)) {
            return true;
        }
    }
    return false;
}

/* Its hops; "?" where the daemon alone knows them. */
static void print_hops(unsigned chain, const char *before, const char *between,
                       const char *after)
{
    struct netvm_service service;
    char name[NETVM_NAME_BYTES];
    unsigned last = HOPS_MAX;

    while (last > 0 && !service_of_hop(chain, last - 1)) {
        last--;
    }
    for (unsigned hop = 0; hop < last; hop++) {
        unsigned s = service_of_hop(chain, hop);

        printf("%s%s%s%s", hop ? between : "", before,
               read_service(s, &service, name) ? name : "?", after);
    }
}

/* -- Print ----------------------------------------------------------------- */

static void print_table(void)
{
    struct netvm_service service;
    char name[NETVM_NAME_BYTES];

    printf("%3s %-12s %-8s %4s %12s %12s %12s %9s %9s %7s %7s %7s\n", "NO",
           "MEMBER", "STATE", "PORT", "RX-PKTS", "TX-PKTS", "DIRECT", "RX/S",
           "TX/S", "WAIT-RX", "WAIT-DI", "WAIT-TX");
    for (unsigned m = 1; m <= region.members; m++) {
        const struct look *l = &looks.now[m];

        if (l->there) {
            printf("%3u %-12s %-8s %4u %12" PRIu64 " %12" PRIu64 " %12" PRIu64
                   " %9.0f %9.0f %7" PRIu64 " %7" PRIu64 " %7" PRIu64 "%s\n",
                   m, l->name, l->state, l->port, l->stat[RX_PKTS],
                   l->stat[TX_PKTS], l->stat[DIRECT_PKTS], rate(m, RX_PKTS),
                   rate(m, TX_PKTS), l->rx_waiting, l->direct_waiting,
                   l->tx_waiting, m == region.self ? "  (this)" : "");
        }
    }
    for (unsigned s = 1; s < region.services; s++) {
        if (read_service(s, &service, name)) {
            printf("service %s:", name);
            for (unsigned i = 0; i < service.instances; i++) {
                printf(" %u", service.instance[i]);
            }
            printf("\n");
        }
    }
    for (unsigned c = 1; c <= CHAINS_MAX; c++) {
        if (has_chain(c)) {
            printf("chain %u: ", c);
            print_hops(c, "", ",", "");
            printf("\n");
        }
    }
    if (!opt.once) {
        printf("\n");
    }
}

static void print_json_member(unsigned m)
{
    static const unsigned rates[] = { RX_PKTS, RX_BYTES, TX_PKTS, TX_BYTES };
    const struct look *l = &looks.now[m];
    struct netvm_service service;
    char name[NETVM_NAME_BYTES];

    printf("{\"number\":%u,\"name\":\"%s\",\"state\":\"%s\",\"serial\":%" PRIu32
           ",\"port\":%u", m, l->name, l->state, l->serial, l->port);
    if (read_service(l->service, &service, name)) {
        printf(",\"service\":\"%s\"", name);
    }
    printf(",\"rx-waiting\":%" PRIu64 ",\"direct-waiting\":%" PRIu64
           ",\"tx-waiting\":%" PRIu64 ",\"stats\":{", l->rx_waiting,
           l->direct_waiting, l->tx_waiting);
    for (unsigned i = 0; i < STATS; i++) {
        printf("%s\"%s\":%" PRIu64, i ? "," : "", stat_of[i].name, l->stat[i]);
    }
    printf("}");
    if (looks.before_ns) {
        printf(",\"per-second\":{");
        for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
            printf("%s\"%s\":%.1f", i ? "," : "", stat_of[rates[i]].name,
                   rate(m, rates[i]));
        }
        printf("}");
    }
    printf("}");
}

static void print_json(void)
{
    struct netvm_service service;
    char name[NETVM_NAME_BYTES];
    const char *comma = "";

    printf("{\"self\":%u,\"members-max\":%u,\"ring\":%" PRIu32 ",\"members\":[",
           region.self, region.members, region.ring_descs);
    for (unsigned m = 1; m <= region.members; m++) {
        if (looks.now[m].there) {
            printf("%s", comma);
            print_json_member(m);
            comma = ",";
        }
    }
    printf("],\"services\":[");
    comma = "";
    for (unsigned s = 1; s < region.services; s++) {
        if (read_service(s, &service, name)) {
            printf("%s{\"number\":%u,\"name\":\"%s\",\"balance\":\"%s\","
                   "\"instances\":[", comma, s, name,
                   service.balance == NETVM_BY_DEPTH ? "depth" : "flow");
            for (unsigned i = 0; i < service.instances; i++) {
                printf("%s%u", i ? "," : "", service.instance[i]);
            }
            printf("]}");
            comma = ",";
        }
    }
    printf("],\"chains\":[");
    comma = "";
    for (unsigned c = 1; c <= CHAINS_MAX; c++) {
        if (has_chain(c)) {
            printf("%s{\"number\":%u,\"services\":[", comma, c);
            print_hops(c, "\"", ",", "\"");
            printf("]}");
            comma = ",";
        }
    }
    printf("]}\n");
}

/* -- Turns ----------------------------------------------------------------- */

static void work(struct nf *nf, struct netvm_desc *pkt, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        netvm_set_action(&pkt[i], NETVM_DROP);
    }
}

static unsigned turn(struct nf *nf)
{
    uint64_t now_ns = nf_now_ns();

    if (now_ns >= looks.next_ns) {
        look();
        if (opt.json) {
            print_json();
        } else {
            print_table();
        }
        nf->stop |= opt.once;
        if (fflush(stdout) != 0) {
            nf->stop = nf->failed = true;   /* nobody reads it any more */
        }
        looks.next_ns = now_ns + opt.seconds * SECOND_NS;
    }
    nf->wake_ns = looks.next_ns;
    return 0;
}

static const struct nf_program program = {
    .name = "netvm-stat",
    .usage = usage,
    .options = options,
    .option = take_option,
    .begin = begin,
    .work = work,
    .turn = turn,
};

int main(int argc, char **argv)
{
    return nf_main(&program, argc, argv);
}
