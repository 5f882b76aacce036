/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm: what lies in the memory that the virtual machines of a domain share,
 * and which of them writes each field.  Definitions only; the protocol that
 * moves packets is in contrib/libnetvm/netvm-ring.h, the device that shows
 * the memory to a guest in docs/specs/netvm-shm.rst.
 *
 * The region.  Its beginning is struct netvm_region; all other places are
 * offsets from there, computed from its fields.  It consists of segments, the
 * first of which holds the tables and the rings; each holds owner words and
 * buffers.
 *
 * Members.  The daemon is member 0; a VM is one of 1 to NETVM_MEMBERS_MAX.
 *
 * Rings.  A ring leads from one member, its sender, to another, its receiver;
 * each of its fields has one writer.  Positions are counted from 0 without
 * end, and never start again as long as the region lives; position p uses
 * desc[p & (ring_descs - 1)].  Three rings join each member to the daemon, and
 * one each two members, in each direction.
 *
 * Buffers.  Each has one owner word: the ring on which it was sent last, and
 * the position.  The sender writes it before it publishes the ring's tail, and
 * nobody else ever does, but for the daemon that takes a buffer from a member
 * which has gone.  Thus a buffer belongs
 *   - to the ring's receiver if the position is before the ring's tail,
 *   - to the ring's sender otherwise.
 * When a member has gone, and no other one sends to it any more (epochs, see
 * struct netvm_region), the daemon writes zero to the words of what it owned,
 * and then moves the heads of rings to it to their tails: who gets its number
 * begins at the heads.
 * Members can write any word: they trust each other.  The daemon trusts none.
 *
 * All values are little-endian, which all hosts and guests of this version
 * have to be; all fields are aligned to their size.
 */
#ifndef RTNET_NETVM_ABI_H
#define RTNET_NETVM_ABI_H

#include <stdint.h>

#define NETVM_MAGIC UINT32_C(0x314d564e)        /* "NVM1" */
/* Another major version is another layout; a minor one adds fields where
 * there were zeros. */
#define NETVM_VERSION_MAJOR 1
#define NETVM_VERSION_MINOR 0

/* Feature bits of a region. */
#define NETVM_F_DIRECT UINT64_C(1)      /* members may send to each other */

#define NETVM_DAEMON 0                  /* the daemon's number as a member */
#define NETVM_MEMBERS_MAX 62
#define NETVM_SEGMENTS_MAX 64
#define NETVM_SERVICES_MAX 64
#define NETVM_INSTANCES_MAX 8
#define NETVM_NAME_BYTES 32             /* with a zero at the end */
#define NETVM_LINE_BYTES 64

/* -- Packets --------------------------------------------------------------- */

/* Which buffer: bits 31..26 segment, bits 25..0 number in it. */
#define NETVM_SEGMENT_SHIFT 26
#define NETVM_INDEX_MASK ((UINT32_C(1) << NETVM_SEGMENT_SHIFT) - 1)

/* What the receiver of a descriptor is asked to do with the packet. */
enum netvm_action {
    NETVM_DROP,         /* nothing: the buffer is free */
    NETVM_SWITCH,       /* send it where its addresses say */
    NETVM_OUT,          /* send it out of the daemon's port @port */
    NETVM_TO_MEMBER,    /* give it to member @port */
    NETVM_TO_SERVICE,   /* give it to an instance of service @port */
    NETVM_NEXT,         /* send it to what follows @hop in chain @chain */
    NETVM_ACTIONS
};

/* A packet on its way; @offset and @length stay inside the buffer. */
struct netvm_desc {
    union {
        struct {
            uint32_t buffer;
            uint16_t offset;    /* of the packet's first byte, bytes */
            uint16_t length;    /* of the packet, bytes */
            uint16_t port;      /* sent: see the actions; received: where it
                                 * came in, a port of the daemon's, or
                                 * NETVM_NO_PORT */
            uint16_t hash;      /* of the flow: packets of one have the same */
            uint16_t chain;     /* 0: none */
            uint8_t hop;        /* place in the chain, from 0 */
            uint8_t action;     /* enum netvm_action */
        };
        uint64_t word[2];       /* as it is read and written, each once */
    };
};

/* Fields as parts of word[1]. */
#define NETVM_DESC_PORT UINT64_C(0xffff)
#define NETVM_DESC_HASH (UINT64_C(0xffff) << 16)
#define NETVM_DESC_ACTION_SHIFT 56
#define NETVM_DESC_ACTION (UINT64_C(0xff) << NETVM_DESC_ACTION_SHIFT)

#define NETVM_NO_PORT UINT16_C(0xffff)

_Static_assert(sizeof(struct netvm_desc) == 16, "a quarter of a line");

/* An owner word: bits 63..52 ring, bits 51..0 position modulo 2^52.  Zero is
 * the daemon's. */
#define NETVM_OWNER_SHIFT 52
#define NETVM_OWNER_POSITION ((UINT64_C(1) << NETVM_OWNER_SHIFT) - 1)

/* -- Rings ----------------------------------------------------------------- */

enum netvm_ring_state {
    NETVM_RING_CLOSED,  /* the sender must not write */
    NETVM_RING_OPEN,
};

struct netvm_ring {
    /* The sender writes. */
    uint64_t tail;      /* positions before it are published */
    uint64_t sender_pad[7];

    /* The receiver writes. */
    uint64_t head;      /* positions before it may be used again */
    uint64_t receiver_pad[7];

    /* The receiver writes, seldom. */
    uint64_t wake_at;   /* its doorbell is to be rung when this position gets
                         * published */
    uint64_t wake_pad[7];

    /* The daemon writes, seldom. */
    uint32_t state;     /* enum netvm_ring_state */
    uint32_t state_pad[15];

    struct netvm_desc desc[];   /* the sender writes; ring_descs of them */
};

_Static_assert(sizeof(struct netvm_ring) == 4 * NETVM_LINE_BYTES,
               "a line for each writer");

/*
 * Which ring.  0 is none.  Of member m, 1 <= m <= members: what the daemon
 * gives (packets; free buffers), and what it takes (both).
 */
#define NETVM_RING_RX(m) (3 * (m) - 2)
#define NETVM_RING_FILL(m) (3 * (m) - 1)
#define NETVM_RING_TX(m) (3 * (m))
/* From member s to member r, of @members; s != r. */
#define NETVM_RING_DIRECT(members, s, r) \
    (3 * (members) + 1 + ((s) - 1) * (members) + ((r) - 1))
#define NETVM_RINGS(members) (3 * (members) + 1 + (members) * (members))

_Static_assert(NETVM_RINGS(NETVM_MEMBERS_MAX) <= 1 << (64 - NETVM_OWNER_SHIFT),
               "a ring's number fits an owner word");

/* -- Tables ---------------------------------------------------------------- */

struct netvm_segment {          /* the daemon writes */
    uint64_t offset;            /* of the segment in the region, bytes */
    uint64_t bytes;
    uint64_t owners_offset;     /* of uint64_t[buffers] in the region */
    uint64_t buffers_offset;    /* of buffers of buffer_bytes, there, too */
    uint32_t buffers;
    uint32_t node;              /* NUMA; UINT32_MAX: any */
    uint64_t pad[3];
};

_Static_assert(sizeof(struct netvm_segment) == NETVM_LINE_BYTES, "a line");

enum netvm_member_state {
    NETVM_MEMBER_FREE,          /* nobody has this number */
    NETVM_MEMBER_THERE,
    NETVM_MEMBER_LEAVING,       /* nobody sends to it any more */
};

struct netvm_member {
    /* The daemon writes. */
    uint32_t state;             /* enum netvm_member_state */
    uint16_t port;              /* of the daemon's: where it is attached */
    uint16_t service;           /* of which it is an instance; 0: none */
    uint32_t serial;            /* another one for each who had this number */
    uint32_t pad;
    char name[NETVM_NAME_BYTES];
    uint64_t daemon_pad[2];

    /* The member writes. */
    uint64_t epoch_seen;        /* see struct netvm_region */
    uint32_t serial_attached;   /* its serial: it polls; 0: it does not yet */
    uint32_t member_pad;
    uint64_t member_line_pad[6];
};

_Static_assert(sizeof(struct netvm_member) == 2 * NETVM_LINE_BYTES,
               "a line for each writer");

/* An instance's place in @epoch_seen while it sends and looks at nothing. */
#define NETVM_EPOCH_IDLE UINT64_MAX

enum netvm_balance {
    NETVM_BY_FLOW,              /* packets of one flow go to one instance */
    NETVM_BY_DEPTH,             /* to the one that has least to do */
};

/* A function that members have.  Number 0 is none. */
struct netvm_service {          /* the daemon writes */
    uint32_t sequence;          /* odd: being changed; read before and after */
    uint8_t balance;            /* enum netvm_balance */
    uint8_t instances;
    uint16_t pad;
    uint16_t instance[NETVM_INSTANCES_MAX];     /* members */
    char name[NETVM_NAME_BYTES];
    uint64_t end_pad;
};

_Static_assert(sizeof(struct netvm_service) == NETVM_LINE_BYTES, "a line");

/*
 * Where packets go: an open-addressed table that members only read.  A key's
 * place is netvm_flow_hash() (netvm-flow.h) & (flows - 1), or one of the
 * NETVM_FLOW_PROBES - 1 after that.
 */
struct netvm_flow {             /* the daemon writes */
    uint64_t key;               /* 0: none */
    uint64_t value;             /* 0: none; else what follows */
};

#define NETVM_FLOW_PROBES 8

/* Keys: bits 63..60 what it is; the rest of it is zero. */
#define NETVM_KEY_MAC(vlan, mac48) \
    (UINT64_C(1) << 60 | (uint64_t)(vlan) << 48 | (mac48))
#define NETVM_KEY_HOP(chain, hop) \
    (UINT64_C(2) << 60 | (uint64_t)(chain) << 8 | (hop))
#define NETVM_KEY_SERVICE(service) (UINT64_C(3) << 60 | (service))

/* Values: bits 63..60 what it is, bits 15..0 a member or a service. */
#define NETVM_VALUE_MEMBER(m) (UINT64_C(1) << 60 | (m))
#define NETVM_VALUE_SERVICE(s) (UINT64_C(2) << 60 | (s))

/* -- Statistics ------------------------------------------------------------ */

/* Of one member since it attached; they wrap around. */
struct netvm_stats {
    /* The member writes. */
    uint64_t rx_pkts;           /* taken, from the daemon and directly */
    uint64_t rx_bytes;
    uint64_t tx_pkts;           /* sent, to the daemon and directly */
    uint64_t tx_bytes;
    uint64_t direct_pkts;       /* of these: directly */
    uint64_t tx_full;           /* not sent: no room in the ring */
    uint64_t no_buffer;         /* not allocated: none was free */
    uint64_t rx_bad;            /* descriptors that made no sense */
    uint64_t doorbells;         /* rung */
    uint64_t waits;             /* times that it slept */
    uint64_t member_pad[6];

    /* The daemon writes. */
    uint64_t given_pkts;        /* to the member, of all */
    uint64_t given_copied_pkts; /* of these: copied into the domain */
    uint64_t taken_pkts;        /* from the member */
    uint64_t moved_pkts;        /* of these: to a member, not copied */
    uint64_t freed_buffers;     /* taken as free */
    uint64_t dropped_pkts;      /* taken, and could not be handed on */
    uint64_t bad_descs;         /* taken, and made no sense */
    uint64_t daemon_pad[9];
};

_Static_assert(sizeof(struct netvm_stats) == 4 * NETVM_LINE_BYTES,
               "lines of one writer each");

/* -- The region ------------------------------------------------------------ */

struct netvm_region {
    /* The daemon writes, before anybody else sees it. */
    uint32_t magic;             /* NETVM_MAGIC */
    uint16_t version_major;
    uint16_t version_minor;
    uint64_t features;
    uint32_t members;           /* numbers 1 to this */
    uint32_t ring_descs;        /* of each ring, a power of two */
    uint32_t ring_bytes;        /* from one ring to the next */
    uint32_t buffer_bytes;      /* a power of two, at most 64 Ki */
    uint32_t services;          /* numbers 1 to this - 1 */
    uint32_t flows;             /* a power of two */
    uint64_t members_offset;    /* of struct netvm_member[members + 1] */
    uint64_t stats_offset;      /* of struct netvm_stats[members + 1] */
    uint64_t first_pad;

    /* The daemon writes, seldom; members read it in each burst. */
    uint64_t id;                /* random: another one is another region */
    uint64_t epoch;             /* from 1; a member that has seen it uses no
                                 * ring or flow that was closed before */
    uint64_t seldom_pad[6];

    /* The daemon writes, before anybody else sees it. */
    uint64_t services_offset;   /* of struct netvm_service[services] */
    uint64_t flows_offset;      /* of struct netvm_flow[flows] */
    uint64_t rings_offset;      /* of NETVM_RINGS(members) times ring_bytes */
    uint64_t segments_pad[4];
    uint32_t segments;          /* grows; written after the new entry */
    uint32_t segments_end_pad;

    struct netvm_segment segment[NETVM_SEGMENTS_MAX];
};

_Static_assert(sizeof(struct netvm_region) ==
               (3 + NETVM_SEGMENTS_MAX) * NETVM_LINE_BYTES,
               "three lines and the segments");

#endif
