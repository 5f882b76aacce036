/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a user can say of a port: the same words on the command line, in the
 * configuration file, over the control socket, and in what is shown.
 *
 * The words stand in a table (port-words.h).  Settings are read into a copy,
 * checked together, and only then take effect.
 *
 * Threads: the control thread.
 */
#ifndef VUS_PORT_SETTINGS_H
#define VUS_PORT_SETTINGS_H

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define PORT_NAME_MAX 32
#define PORT_MACS_MAX 16
#define PORT_IPS_MAX 16
#define PORT_MIRRORED_MAX 32
#define VLAN_IDS 4096

/* Who runs the XDP program. */
typedef enum PortXdpMode {
    PORT_XDP_AUTO,              /* the driver if it can */
    PORT_XDP_NATIVE,            /* the driver */
    PORT_XDP_GENERIC,           /* the kernel, after the driver */
} PortXdpMode;

/* Does the NIC itself write to our memory? */
typedef enum PortZeroCopy {
    PORT_ZERO_COPY_AUTO,        /* if its driver can */
    PORT_ZERO_COPY_ON,
    PORT_ZERO_COPY_OFF,
} PortZeroCopy;
#define RATE_MAX_PPS UINT64_C(10000000000)

typedef struct PortIp {
    bool is_v6;
    uint8_t addr[16];           /* IPv4: the first four */
} PortIp;

typedef struct PortSettings {
    /* Fixed when the port is made. */
    char *type;                 /* "vhost-user", "netvm", "chain", "tap",
                                 * "af-xdp", "dummy" */
    char *socket;               /* vhost-user, netvm: its path */
    bool client;                /* connects there instead of listening */
    char *domain;               /* netvm, chain: whose member is behind it;
                                 * af-xdp: whose memory it uses, or NULL */
    char *service;              /* netvm: what that member does, or NULL */
    unsigned queues;            /* pairs of rings, or of a NIC's; 1 to 16 */
    unsigned mtu;               /* largest the front end may choose */
    char *ifname;               /* tap, af-xdp: the interface */
    unsigned xdp_mode;          /* PortXdpMode */
    unsigned zero_copy;         /* PortZeroCopy */

    /* May change at any time. */
    bool link_up;
    int vlan;                   /* access port of it; -1: none, a trunk */
    bool all_vlans;             /* trunk of all ... */
    uint8_t trunk[VLAN_IDS / 8];    /* ... or of these */
    int native;                 /* trunk: VLAN of untagged frames; 0: none */
    unsigned macs;              /* 0: any source address */
    uint8_t mac[PORT_MACS_MAX][6];
    unsigned ips;               /* 0: any */
    PortIp ip[PORT_IPS_MAX];
    char *peer;                 /* all that comes goes to this port, or NULL */
    char **mirror;              /* this port shows what these do, or NULL */
    char *services;             /* chain: its hops */
    char **outs;                /* netvm: ports that a member may name */
    unsigned storm_pps;         /* of flooded frames; 0: no limit */
    unsigned max_macs;          /* that are learned here */

    /* The link behind the port. */
    uint64_t rate_bps;          /* 0: nothing waits */
    uint64_t rate_pps;          /* 0: no limit */
    unsigned policy;            /* EdfQueuePolicy */
    unsigned queue_pkts;
    unsigned link_mtu;          /* L3 bytes */
    unsigned host_jitter_us;
    bool promises;
    bool uplink;
    unsigned trust_rtvnic;      /* bool */

    /* Deadlines of what it sends; as -device rtvnic has them. */
    bool rtvnic;                /* fixed */
    unsigned deadline_us;       /* 0: best effort */
    unsigned period_us;         /* 0: nothing is declared */
    unsigned max_frame_bytes;   /* 0: as link_mtu */
    bool drop_late;
    int dscp, pcp;              /* -1: the guest's */
    bool trailer;
    unsigned source_id;         /* 0: made of its address */
    unsigned max_skew_us;

    /* Bandwidth; 0: none, or no limit. */
    char *tenant;               /* NULL: its own */
    uint64_t tx_limit_bps, tx_limit_pps;
    uint64_t guarantee_bps, guarantee_pps;
    uint64_t rx_guarantee_bps, rx_guarantee_pps;
} PortSettings;

#define PORT_SETTINGS_ERROR port_settings_error_quark()
GQuark port_settings_error_quark(void);

/* Defaults for a new port.  port_settings_clear() frees what it owns; what @to
 * held is not freed. */
void port_settings_init(PortSettings *s);
void port_settings_clear(PortSettings *s);
void port_settings_copy(PortSettings *to, const PortSettings *from);

/* One word; "" is its default.  False with @error set (what was expected): @s
 * is as it was. */
bool port_settings_set(PortSettings *s, const char *key, const char *value,
                       GError **error);

/* "KEY=VALUE", up to NULL; with an error, the words before it count. */
bool port_settings_parse(PortSettings *s, const char *const *words_given,
                         GError **error);

/* Do they go together?  The second one knows whose they are. */
bool port_settings_check(const PortSettings *s, GError **error);
bool port_settings_check_named(const PortSettings *s, const char *name,
                               GError **error);

/* May @to follow on @from while the port lives?  Names what may not. */
bool port_settings_may_follow(const PortSettings *from, const PortSettings *to,
                              GError **error);

/* "10.0.0.1", or NULL if it is the default; the caller frees it. */
char *port_settings_get(const PortSettings *s, const char *key);

/* The default, or NULL if it is none; the caller frees it. */
char *port_settings_default(const char *key);

/* All keys, in the order in which they are shown; ends with NULL. */
const char *const *port_settings_keys(void);

/* One line of help for @key. */
const char *port_settings_help(const char *key);

/* The type of ports that have @key; NULL: all. */
const char *port_settings_type_of(const char *key);

/* Is @key fixed while a port lives? */
bool port_settings_is_fixed(const char *key);

/* What a NIC may declare of itself; ends with NULL.  The other one copies these
 * alone. */
const char *const *port_contract_keys(void);
void port_settings_copy_contract(PortSettings *to, const PortSettings *from);

/* "[A-Za-z0-9_.-]{1,32}", not beginning with "-" or "." */
bool port_name_check(const char *name, GError **error);

static inline bool port_settings_in_trunk(const PortSettings *s, unsigned vid)
{
    return s->all_vlans || s->trunk[vid / 8] >> vid % 8 & 1;
}

#endif
