/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Services of a domain, and chains of them.
 *
 * A service is what some members do: its instances.  A packet for it goes to
 * one of them, by its flow's hash or to the one that has least to do.
 *
 * A chain has hops: at each, a packet goes to one service, and copies of it to
 * others beside.  What a member sends on by NETVM_NEXT goes to the next hop,
 * what the last one sends comes out of the chain's port.  A chain may change at
 * any time: a packet goes on to the hop behind its own, as it is then.
 *
 * Members see the same in the region (rtnet/netvm-abi.h), so that they send on
 * directly where a hop is one service alone.
 *
 * Threads: the group of functions says it.
 */
#ifndef VUS_DOMAIN_CHAIN_H
#define VUS_DOMAIN_CHAIN_H

#include "domain-move.h"

#define CHAIN_HOPS 16
#define CHAIN_PARALLEL 4
#define CHAIN_DONE 1024             /* packets that wait for its port */

typedef struct DomainService {
    char name[NETVM_NAME_BYTES];    /* "": nobody names it */
    unsigned named;                 /* so often */
    unsigned ports;                 /* of these: whose member is to do it */
    unsigned instances;
    uint8_t instance[NETVM_INSTANCES_MAX];  /* members */
} DomainService;

typedef struct ChainHop {
    unsigned services;              /* the first one's packet goes on */
    uint8_t service[CHAIN_PARALLEL];
} ChainHop;

typedef struct DomainChain {
    uint16_t number;                /* its port's id and one */
    unsigned hops;
    ChainHop hop[CHAIN_HOPS];
    /* What has come to its end. */
    struct netvm_desc done[CHAIN_DONE];
    uint32_t done_head, done_tail;
    int wake_fd;                    /* -1: nobody sleeps */
} DomainChain;

/* -- Services: control ----------------------------------------------------- */

/* The number of a service, which it has as long as somebody names it; 0 with
 * @error set: there are too many. */
unsigned domain_name_service(Domain *d, const char *name, GError **error);
void domain_unname_service(Domain *d, unsigned service);

/* The same for a port whose member is to do it: NETVM_INSTANCES_MAX at most. */
unsigned domain_name_port_service(Domain *d, const char *name, GError **error);
void domain_unname_port_service(Domain *d, unsigned service);

/* @m, at such a port, is one of its instances, and no longer. */
void domain_add_instance(Domain *d, unsigned service, DomainMember *m);
void domain_remove_instance(Domain *d, unsigned service, DomainMember *m);

/* -- Chains: control ------------------------------------------------------- */

/* "fw,ids+log,l3": a hop between commas, a service between plusses. */
bool chain_check(const char *text, GError **error);

/* Of port @port; @c is the caller's. */
bool domain_set_chain(Domain *d, DomainChain *c, const char *text,
                      GError **error);
void domain_remove_chain(Domain *d, DomainChain *c);

/* -- Packets: workers, under the lock -------------------------------------- */

/* A packet to an instance of @service. */
DomainGive domain_give_service(Domain *d, DomainGiven *given, unsigned service,
                               const struct netvm_desc *desc);

/* To hop @hop of chain @number; behind the last one, to its end. */
DomainGive domain_give_hop(Domain *d, DomainGiven *given, unsigned number,
                           unsigned hop, struct netvm_desc *desc);

#endif
