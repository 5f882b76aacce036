/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs here have in common: a network function attaches, takes
 * bursts, hands them to its own code, sends or frees them, sleeps when nothing
 * comes, and ends cleanly at SIGINT or SIGTERM.
 *
 * A program fills in a struct nf_program and calls nf_main().  It decides on
 * each packet with netvm_set_action(), nf_pass() or nf_pass_to(); NETVM_DROP
 * frees it.  Nothing is said per packet: only counted.
 *
 * Threads: none; all of it runs in the thread that called nf_main().
 */
#ifndef NF_H
#define NF_H

#include <getopt.h>
#include <stdio.h>

#include "netvm.h"
#include "target.h"

#define NF_BURST 32

/* Keys of a program's own options begin here. */
#define NF_OPTION_OWN 1000

/* Exit codes. */
#define NF_FAILED 1
#define NF_USAGE 2

struct nf_counters {
    uint64_t rx_pkts, tx_pkts;
    uint64_t dropped_pkts;      /* as the program has decided */
    uint64_t full_pkts;         /* not sent: the next one takes no more */
    uint64_t nowhere_pkts;      /* not sent: nobody has the name */
    uint64_t reattached;
};

struct nf {
    struct netvm *nv;
    const struct nf_program *program;
    struct target to;           /* where nf_pass() sends */
    struct nf_counters count;
    uint64_t now_ns;            /* CLOCK_MONOTONIC, of this turn */

    /* The program sets these. */
    int fd;                     /* to wake up for, too; -1: none */
    uint64_t wake_ns;           /* turn() wants to be called then;
                                 * UINT64_MAX: when something comes */
    bool stop;                  /* the end */
    bool failed;                /* with exit code NF_FAILED */
};

struct nf_program {
    const char *name;
    const char *usage;          /* what it does, and its own options */
    const struct option *options;   /* its own, ended by zeros; NULL: none */

    /* Each may be NULL.  An option, its value in optarg; false: it is wrong,
     * and that was said. */
    bool (*option)(int key, const char *value);
    /* All options were read, nothing is attached.  0, or the exit code. */
    int (*ready)(const struct nf *nf);
    /* Attached; also after the domain was replaced: what it knew of buffers
     * and numbers is void.  False: it cannot go on, and has said why. */
    bool (*begin)(struct nf *nf);
    /* Packets that came: each is to get its action. */
    void (*work)(struct nf *nf, struct netvm_desc *pkt, unsigned n);
    /* Once in each turn.  How much there was to do; 0: it may sleep. */
    unsigned (*turn)(struct nf *nf);
    /* Names are looked up, with nf_look_up(). */
    void (*look_up)(struct nf *nf);
    void (*reload)(struct nf *nf);              /* SIGHUP */
    /* Each --stats SECONDS, behind the common line; and at SIGUSR1. */
    void (*stats)(struct nf *nf);
    void (*end)(struct nf *nf);
};

int nf_main(const struct nf_program *program, int argc, char **argv);

/* "PROGRAM: ..." to stderr, with an end of line. */
void nf_say(const struct nf_program *program, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The option's number, from @least to @most; false: that was said. */
bool nf_number(const struct nf_program *program, const char *option,
               const char *value, uint64_t least, uint64_t most,
               uint64_t *number);
bool nf_mac(const struct nf_program *program, const char *option,
            const char *value, uint8_t mac[6]);

/* The number of a member or service that has the name now. */
void nf_look_up(const struct nf *nf, struct target *to);

uint64_t nf_now_ns(void);

/* Send, or free, each as its action says; it waits for room only so long. */
void nf_send(struct nf *nf, const struct netvm_desc *pkt, unsigned n);

/* Send the packet there. */
static inline void nf_pass_to(struct nf *nf, const struct target *to,
                              struct netvm_desc *pkt)
{
    if (to->number < 0) {
        nf->count.nowhere_pkts++;
        netvm_set_action(pkt, NETVM_DROP);
    } else {
        netvm_set_action_to(pkt, to->action, to->number);
    }
}

/* Send it where the command line says; else to the next hop of its chain; else
 * the switch decides. */
static inline void nf_pass(struct nf *nf, struct netvm_desc *pkt)
{
    if (nf->to.action == NETVM_NEXT) {
        netvm_set_action(pkt, pkt->chain ? NETVM_NEXT : NETVM_SWITCH);
    } else if (nf->to.action == NETVM_SWITCH) {
        netvm_set_action(pkt, NETVM_SWITCH);
    } else {
        nf_pass_to(nf, &nf->to, pkt);
    }
}

#endif
