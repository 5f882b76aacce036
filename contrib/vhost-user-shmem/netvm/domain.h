/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A domain: virtual machines that trust each other, the memory that they share,
 * and its buffers as they come and go.
 *
 *   domain-region.c    the memory
 *   domain.c           the domain, its members, and how they leave
 *   domain-reclaim.c   who owns each buffer, and what the dead have left
 *   domain-move.c      packets: taken, handed on, copied in
 *   domain-chain.c     services, and chains of them
 *   domain-flow.c      where members may send by themselves
 *   netvm-frames.c     between a domain and the switch
 *   netvm-conn.c       how an attachment gets all this
 *   port-netvm.c       the port of a member
 *   port-chain.c       the port through which a chain is entered and left
 *   domain-holder.h    ports whose NIC has buffers for longer than a burst
 *   afxdp-segments.c   such a port, by AF_XDP
 *
 * Members.  One joins, attaches (its library is there), and leaves; who leaves
 * is cut off from others first, and only when they have seen that, what it
 * owned is taken back.  A member that sees nothing, as it is paused, holds up
 * its own rings to the one that left, and that one's number: quarantine.
 *
 * What members write is never trusted: positions of our own ends are kept here,
 * descriptors are copied, then checked.  Who owns a buffer stands where they
 * can write, so they can lose or double buffers of their own domain; a buffer
 * is in our pool at most once whatever they do.
 *
 * Threads: control, unless another is named.
 */
#ifndef VUS_DOMAIN_H
#define VUS_DOMAIN_H

#include <pthread.h>

#include "domain-holder.h"
#include "domain-region.h"
#include "domain-settings.h"
#include "../frame.h"
#include "../switch.h"

#define DOMAIN_BURST 32

/* Who left waits so long for others to see it; then it is quarantine. */
#define DOMAIN_GRACE_MS 100

typedef enum MemberState {
    MEMBER_FREE,
    MEMBER_JOINED,                  /* nobody polls yet */
    MEMBER_ATTACHED,
    MEMBER_LEAVING,
    MEMBER_QUARANTINE,
} MemberState;

typedef struct DomainMember {
    /* Under the domain's lock. */
    struct netvm_receiver tx;       /* the daemon's ends of its rings */
    struct netvm_sender rx, fill;
    bool attached;                  /* it is given packets */
    int call_fd;                    /* its doorbell; -1: none */

    /* Fixed while it is there. */
    uint16_t number;
    uint16_t port;                  /* id */
    uint32_t serial;
    int kick_fd;                    /* the daemon's doorbell for it */
    struct netvm_member *shown;
    struct netvm_stats *stats;      /* the daemon's half is under the lock */

    /* The control thread's. */
    MemberState state;
    void *opaque;                   /* of who is at the port */
    int64_t left_us;
    uint64_t left_epoch;            /* in which nobody sends to it */
    uint64_t unseen;                /* bit per member that may not know yet */
} DomainMember;

/* An address, and the member that has it: a key and a value of the table. */
typedef struct DomainMac {
    uint64_t key, value;
} DomainMac;

struct Domain {
    char *name;
    DomainRegion *region;

    pthread_mutex_t lock;           /* workers: once per burst */
    /* Under it: free buffers, and a bit for each that is there. */
    uint32_t *pool;
    uint32_t pool_n;
    uint32_t buffers;
    uint64_t copies;                /* of packets, into its buffers */
    bool hungry;                    /* a holder waits for a buffer */
    uint64_t *in_pool[NETVM_SEGMENTS_MAX];
    DomainMember member[NETVM_MEMBERS_MAX + 1];
    uint64_t attached;              /* bit per member */
    struct DomainService *service;  /* [NETVM_SERVICES_MAX] */
    struct DomainChain *chain[SWITCH_MAX_PORTS];    /* by port; NULL: none */

    /* The control thread's. */
    unsigned members;               /* that are not MEMBER_FREE */
    uint64_t reclaimed;             /* buffers, of members that have left */
    uint64_t quarantines;
    uint32_t serials;
    guint look_source;
    unsigned ports;                 /* that name it */
    GPtrArray *holders;             /* of DomainHolder; changes under the
                                     * lock, too */
    uint32_t service_sequence[NETVM_SERVICES_MAX];
    uint64_t flow_key[DOMAIN_FLOWS];        /* that members are shown */
    GArray *macs;                   /* of DomainMac, of these */
    unsigned segments_used;         /* their buffers are given away */
    uint64_t grown_epoch;           /* in which all see the others */
    void (*tell)(Domain *d);        /* its members of segments and doorbells;
                                     * NULL: it had no port yet */
    DomainSettings settings;
};

/* -- Life ------------------------------------------------------------------ */

/* NULL with @error set. */
Domain *domain_new(const char *name, const DomainSettings *settings,
                   GError **error);
void domain_free(Domain *d);        /* has no members */

/* Of all segments, those that are not used yet included. */
unsigned domain_buffers(const Domain *d);

/* A segment more, on NUMA node @node; its buffers are used when all members
 * have seen it. */
bool domain_grow(Domain *d, unsigned buffers, unsigned node, GError **error);

void domain_add_holder(Domain *d, DomainHolder *h);
void domain_remove_holder(Domain *d, DomainHolder *h);

/* -- Members --------------------------------------------------------------- */

/* A number for who is at @port; NULL with @error set if there is none. */
DomainMember *domain_join(Domain *d, uint16_t port, const char *name,
                          GError **error);

/* It polls, and is given packets from now on. */
void domain_attach(Domain *d, DomainMember *m);

/* And it may send to all others that are attached, and they to it. */
void domain_connect(Domain *d, DomainMember *m);

/* It is cut off; what it owned comes back when others have seen that.  @m is
 * nothing any more. */
void domain_leave(Domain *d, DomainMember *m);

/* -- What members look up -------------------------------------------------- */

/* @value 0: nothing any more. */
void domain_show_flow(Domain *d, uint64_t key, uint64_t value);

/* These addresses and no others may be sent to directly; and those of @m no
 * longer, as of the next epoch. */
void domain_show_macs(Domain *d, const DomainMac *macs, unsigned n);
void domain_hide_macs(Domain *d, const DomainMember *m);

/* -- Who owns what --------------------------------------------------------- */

/*
 * Take back what @m, which has left, owned, but for rings from members in
 * @unseen, which may still write to them.  Returns how many buffers.
 */
unsigned domain_reclaim(Domain *d, DomainMember *m, uint64_t unseen);

/* Buffers in the pool. */
uint32_t domain_free_buffers(Domain *d);

/* Packets that were copied into buffers. */
uint64_t domain_copies(Domain *d);

/* How many buffers each member owns; [0] the daemon.  A moment's picture. */
void domain_count_owned(Domain *d, uint32_t owned[NETVM_MEMBERS_MAX + 1]);

/* -- Packets: workers, under the lock -------------------------------------- */

/* False: it is there already, or there is no such buffer. */
bool domain_pool_put(Domain *d, uint32_t buffer);

/* Those who wait for a buffer are woken. */
void domain_feed(Domain *d);

/* UINT32_MAX: none is left. */
static inline uint32_t domain_pool_get(Domain *d)
{
    uint32_t buffer;

    if (G_UNLIKELY(d->pool_n == 0)) {
        return UINT32_MAX;
    }
    buffer = d->pool[--d->pool_n];
    d->in_pool[buffer >> NETVM_SEGMENT_SHIFT]
              [(buffer & NETVM_INDEX_MASK) / 64] &=
        ~(UINT64_C(1) << buffer % 64);
    return buffer;
}

#endif
