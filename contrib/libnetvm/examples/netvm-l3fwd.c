/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm-l3fwd: routes IPv4 and IPv6 by a file (routes.h).
 *
 * A file that is read anew takes the place of the old one between two bursts,
 * whole or not at all.
 *
 * Threads: none.
 */
#include <inttypes.h>
#include <string.h>

#include "headers.h"
#include "nf.h"
#include "routes.h"

/* Why a packet was not sent on. */
#define REASONS(reason) \
    reason(NOT_IP, "not-ip") \
    reason(CUT, "cut") \
    reason(CHECKSUM, "checksum") \
    reason(TTL, "ttl") \
    reason(NO_ROUTE, "no-route")

#define REASON_NUMBER(number, name) number,
#define REASON_NAME(number, name) name,

enum { REASONS(REASON_NUMBER) REASONS_N };

static const char *const reason_name[] = { REASONS(REASON_NAME) };

static struct {
    const char *path;
    struct routes *routes;
    uint64_t drops[REASONS_N];
} l3;

static const char usage[] =
    "Routes IPv4 and IPv6 packets.  SIGHUP reads the routes anew.\n"
    "\n"
    "  --routes FILE    lines of: PREFIX via MAC [member NAME|out PORT|\n"
    "                   service NAME] [src MAC]; required\n";

enum { ROUTES = NF_OPTION_OWN };

static const struct option options[] = {
    { "routes", required_argument, NULL, ROUTES },
    { 0 },
};

static const struct nf_program program;

static bool take_option(int key, const char *value)
{
    l3.path = value;
    return true;
}

/* -- Routes ---------------------------------------------------------------- */

static void look_up(struct nf *nf)
{
    for (uint32_t i = 0; i < l3.routes->n; i++) {
        if (l3.routes->route[i].has_target) {
            nf_look_up(nf, &l3.routes->route[i].target);
        }
    }
}

static bool load(void)
{
    char error[WORDS_ERROR_BYTES];
    struct routes *fresh = routes_read(l3.path, error);

    if (!fresh) {
        nf_say(&program, "%s", error);
        return false;
    }
    routes_free(l3.routes);
    l3.routes = fresh;
    return true;
}

static int ready(const struct nf *nf)
{
    if (!l3.path) {
        nf_say(&program, "--routes FILE is required");
        return NF_USAGE;
    }
    return load() ? 0 : NF_FAILED;
}

static void reload(struct nf *nf)
{
    if (load()) {
        look_up(nf);
        nf_say(&program, "%" PRIu32 " routes", l3.routes->n);
    } else {
        nf_say(&program, "the routes stay as they were");
    }
}

/* -- Packets --------------------------------------------------------------- */

/* REASONS_N: it was sent on. */
static unsigned route(struct nf *nf, struct netvm_desc *pkt)
{
    uint8_t *data = netvm_data(nf->nv, pkt);
    const struct route *r;
    struct headers h;

    if (headers_read(data, pkt->length, &h) != HEADERS_GOOD) {
        return CUT;
    }
    if (!h.family) {
        return NOT_IP;
    }
    if (!h.checksum_good) {
        return CHECKSUM;
    }
    if (h.ttl <= 1) {
        return TTL;
    }
    r = routes_find(l3.routes, h.family, h.dest);
    if (!r) {
        return NO_ROUTE;
    }
    headers_hop(data + h.ip_offset, h.family);
    memcpy(data, r->mac, 6);
    if (r->has_source) {
        memcpy(data + 6, r->source, 6);
    }
    if (r->has_target) {
        nf_pass_to(nf, &r->target, pkt);
    } else {
        nf_pass(nf, pkt);
    }
    return REASONS_N;
}

static void work(struct nf *nf, struct netvm_desc *pkt, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned reason = route(nf, &pkt[i]);

        if (reason < REASONS_N) {
            l3.drops[reason]++;
            netvm_set_action(&pkt[i], NETVM_DROP);
        }
    }
}

static void stats(struct nf *nf)
{
    for (unsigned i = 0; i < REASONS_N; i++) {
        printf("%s%s=%" PRIu64, i ? " " : "drops ", reason_name[i],
               l3.drops[i]);
    }
    printf("\n");
}

static const struct nf_program program = {
    .name = "netvm-l3fwd",
    .usage = usage,
    .options = options,
    .option = take_option,
    .ready = ready,
    .work = work,
    .look_up = look_up,
    .reload = reload,
    .stats = stats,
};

int main(int argc, char **argv)
{
    int status = nf_main(&program, argc, argv);

    routes_free(l3.routes);
    return status;
}
