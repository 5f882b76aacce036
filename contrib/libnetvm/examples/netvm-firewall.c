/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm-firewall: lets pass what the rules of a file allow (fw-rules.h).
 *
 * A file that is read anew takes the place of the old one between two bursts,
 * whole or not at all; counters of rules begin at zero then.
 *
 * Threads: none.
 */
#include <inttypes.h>

#include "fw-rules.h"
#include "nf.h"

static struct {
    const char *path;
    struct fw_rules *rules;
    uint64_t allowed_pkts, denied_pkts;
    uint64_t cut_pkts;          /* headers that are not whole */
} fw;

static const char usage[] =
    "Drops packets that no rule allows.  SIGHUP reads the rules anew.\n"
    "\n"
    "  --rules FILE     lines of: allow|deny|count [proto P] [from CIDR]\n"
    "                   [to CIDR] [sport A[-B]] [dport A[-B]] [vlan N], or\n"
    "                   default allow|deny; the first match wins; required\n";

enum { RULES = NF_OPTION_OWN };

static const struct option options[] = {
    { "rules", required_argument, NULL, RULES },
    { 0 },
};

static const struct nf_program program;

static bool take_option(int key, const char *value)
{
    fw.path = value;
    return true;
}

static bool load(void)
{
    char error[WORDS_ERROR_BYTES];
    struct fw_rules *fresh = fw_rules_read(fw.path, error);

    if (!fresh) {
        nf_say(&program, "%s", error);
        return false;
    }
    fw_rules_free(fw.rules);
    fw.rules = fresh;
    return true;
}

static int ready(const struct nf *nf)
{
    if (!fw.path) {
        nf_say(&program, "--rules FILE is required");
        return NF_USAGE;
    }
    return load() ? 0 : NF_FAILED;
}

static void reload(struct nf *nf)
{
    if (load()) {
        nf_say(&program, "%u rules", fw.rules->n);
    } else {
        nf_say(&program, "the rules stay as they were");
    }
}

static bool may_pass(const struct nf *nf, const struct netvm_desc *pkt)
{
    struct headers h;

    if (headers_read(netvm_data(nf->nv, pkt), pkt->length, &h) !=
        HEADERS_GOOD) {
        fw.cut_pkts++;
        return false;
    }
    if (fw_rules_decide(fw.rules, &h, pkt->length) == FW_ALLOW) {
        fw.allowed_pkts++;
        return true;
    }
    fw.denied_pkts++;
    return false;
}

static void work(struct nf *nf, struct netvm_desc *pkt, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (may_pass(nf, &pkt[i])) {
            nf_pass(nf, &pkt[i]);
        } else {
            netvm_set_action(&pkt[i], NETVM_DROP);
        }
    }
}

static void stats(struct nf *nf)
{
    printf("allowed-pkts=%" PRIu64 " denied-pkts=%" PRIu64 " cut-pkts=%" PRIu64
           "\n", fw.allowed_pkts, fw.denied_pkts, fw.cut_pkts);
    fw_rules_print(fw.rules, stdout);
}

static const struct nf_program program = {
    .name = "netvm-firewall",
    .usage = usage,
    .options = options,
    .option = take_option,
    .ready = ready,
    .work = work,
    .reload = reload,
    .stats = stats,
};

int main(int argc, char **argv)
{
    int status = nf_main(&program, argc, argv);

    fw_rules_free(fw.rules);
    return status;
}
