/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm-l2fwd: sends on what comes, with other MAC addresses: the smallest
 * network function, and the file to begin one of your own with.
 *
 * Threads: none.
 */
#include <string.h>

#include "headers.h"
#include "nf.h"

static struct {
    bool swap, has_source, has_dest;
    uint8_t source[6], dest[6];
} opt;

static const char usage[] =
    "Sends on all packets that come, with other MAC addresses.\n"
    "\n"
    "  --swap           exchange source and destination\n"
    "  --src MAC        then: this source address\n"
    "  --dst MAC        this destination address\n";

enum { SWAP = NF_OPTION_OWN, SRC, DST };

static const struct option options[] = {
    { "swap", no_argument, NULL, SWAP },
    { "src", required_argument, NULL, SRC },
    { "dst", required_argument, NULL, DST },
    { 0 },
};

static const struct nf_program program;

static bool take_option(int key, const char *value)
{
    switch (key) {
    case SRC:
        opt.has_source = true;
        return nf_mac(&program, "src", value, opt.source);
    case DST:
        opt.has_dest = true;
        return nf_mac(&program, "dst", value, opt.dest);
    default:
        opt.swap = true;
        return true;
    }
}

static void set_addresses(uint8_t *ether)
{
    uint8_t dest[6];

    if (opt.swap) {
        memcpy(dest, ether, 6);
        memcpy(ether, ether + 6, 6);
        memcpy(ether + 6, dest, 6);
    }
    if (opt.has_dest) {
        memcpy(ether, opt.dest, 6);
    }
    if (opt.has_source) {
        memcpy(ether + 6, opt.source, 6);
    }
}

static void work(struct nf *nf, struct netvm_desc *pkt, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (pkt[i].length < ETHER_BYTES) {
            netvm_set_action(&pkt[i], NETVM_DROP);
            continue;
        }
        set_addresses(netvm_data(nf->nv, &pkt[i]));
        nf_pass(nf, &pkt[i]);
    }
}

static const struct nf_program program = {
    .name = "netvm-l2fwd",
    .usage = usage,
    .options = options,
    .option = take_option,
    .work = work,
};

int main(int argc, char **argv)
{
    return nf_main(&program, argc, argv);
}
