/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "parse.h"
#include "netvm/domain-chain.h"
#include "port-words.h"
#include "rtnet/rt-endpoint.h"

#define QUEUES_MAX 16
#define IFNAME_MAX 15               /* IFNAMSIZ counts the end, too */
#define STORM_PPS_MAX 1000000000
#define MACS_MAX 1000000

/* Least MTU of IPv4 (RFC 791); most that virtio can say. */
#define MTU_MIN 68
#define MTU_MAX 65535

#define QUEUE_PKTS_MAX 65536
#define JITTER_US_MAX 1000000
/* What the trailer can say. */
#define DEADLINE_US_MAX 4294967

#define SETTINGS_ERROR(error, ...) \
    g_set_error(error, PORT_SETTINGS_ERROR, 0, __VA_ARGS__)

static const char *const types[] = { "vhost-user", "netvm", "chain", "tap",
                                     "af-xdp", "dummy", NULL };
static const char *const on_off[] = { "off", "on", NULL };
static const char *const auto_on_off[] = { "auto", "on", "off", NULL };
static const char *const xdp_modes[] = { "auto", "native", "generic", NULL };
static const char *const up_down[] = { "down", "up", NULL };
static const char *const send_drop[] = { "send", "drop", NULL };
static const char *const none_rtvnic[] = { "none", "rtvnic", NULL };

/* In the order of EdfQueuePolicy. */
static const char *const policies[] = { "edf", "fifo", "strict", NULL };

/* The parts of a list with commas; NULL with @error set. */
static char **split(const char *list, unsigned max, GError **error)
{
    g_auto(GStrv) part = g_strsplit(list, ",", -1);
    unsigned n = g_strv_length(part);

    if (n > max) {
        SETTINGS_ERROR(error, "%u are too many: there can be %u", n, max);
        return NULL;
    }
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (!g_ascii_strcasecmp(part[i], part[k])) {
                SETTINGS_ERROR(error, "'%s' is there twice: once is enough",
                               part[i]);
                return NULL;
            }
        }
    }
    return g_steal_pointer(&part);
}

/* -- Kinds of words -------------------------------------------------------- */

#define AT(type, word, s) ((type *)((char *)(s) + (word)->at))

static bool set_number(const PortWord *word, PortSettings *s,
                       const char *value, GError **error)
{
    return parse_number(value, word->min, word->max, AT(unsigned, word, s),
                        error);
}

static char *get_number(const PortWord *word, const PortSettings *s)
{
    return g_strdup_printf("%u", *AT(unsigned, word, s));
}

/* A number or, as -1, none. */
static bool set_mark(const PortWord *word, PortSettings *s,
                     const char *value, GError **error)
{
    unsigned number = 0;

    if (*value && !parse_number(value, word->min, word->max, &number, error)) {
        return false;
    }
    *AT(int, word, s) = *value ? (int)number : -1;
    return true;
}

static char *get_mark(const PortWord *word, const PortSettings *s)
{
    int number = *AT(int, word, s);

    return number < 0 ? NULL : g_strdup_printf("%d", number);
}

/* Per second. */
static bool set_rate(const PortWord *word, PortSettings *s,
                     const char *value, GError **error)
{
    return parse_rate(value, word->max, AT(uint64_t, word, s), error);
}

static char *get_rate(const PortWord *word, const PortSettings *s)
{
    return format_rate(*AT(uint64_t, word, s));
}

static bool set_one_of(const PortWord *word, PortSettings *s,
                       const char *value, GError **error)
{
    return parse_word(value, word->values, AT(unsigned, word, s), error);
}

static char *get_one_of(const PortWord *word, const PortSettings *s)
{
    return g_strdup(word->values[*AT(unsigned, word, s)]);
}

static bool set_bool(const PortWord *word, PortSettings *s,
                     const char *value, GError **error)
{
    unsigned is;

    if (!parse_word(value, word->values, &is, error)) {
        return false;
    }
    *AT(bool, word, s) = is;
    return true;
}

static char *get_bool(const PortWord *word, const PortSettings *s)
{
    return g_strdup(word->values[*AT(bool, word, s)]);
}

static bool set_text(const PortWord *word, PortSettings *s,
                     const char *value, GError **error)
{
    char **to = AT(char *, word, s);

    if (*value && !word->check(value, error)) {
        return false;
    }
    g_free(*to);
    *to = *value ? g_strdup(value) : NULL;
    return true;
}

static char *get_text(const PortWord *word, const PortSettings *s)
{
    return g_strdup(*AT(char *, word, s));
}

static bool check_type(const char *value, GError **error)
{
    unsigned type;

    return parse_word(value, types, &type, error);
}

static bool check_socket(const char *value, GError **error)
{
    const size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (strlen(value) > max) {
        SETTINGS_ERROR(error, "the path has %zu bytes, and a socket's can have "
                       "%zu: choose a shorter one", strlen(value), max);
        return false;
    }
    return true;
}

static bool check_ifname(const char *value, GError **error)
{
    if (strlen(value) > IFNAME_MAX || strpbrk(value, "/: \t\n%") ||
        !strcmp(value, ".") || !strcmp(value, "..")) {
        SETTINGS_ERROR(error, "an interface's name has at most %d bytes, and "
                       "neither '/', ':', '%%' nor blanks", IFNAME_MAX);
        return false;
    }
    return true;
}

/* -- VLANs ----------------------------------------------------------------- */

static bool set_vlan(const PortWord *word, PortSettings *s,
                     const char *value, GError **error)
{
    unsigned vlan;

    if (!*value) {
        s->vlan = -1;
        return true;
    }
    if (!parse_number(value, 1, VLAN_LAST, &vlan, error)) {
        return false;
    }
    s->vlan = vlan;
    return true;
}

static char *get_vlan(const PortWord *word, const PortSettings *s)
{
    return s->vlan < 0 ? NULL : g_strdup_printf("%d", s->vlan);
}

static bool set_trunk(const PortWord *word, PortSettings *s,
                      const char *value, GError **error)
{
    g_autoptr(GArray) vlans = NULL;

    s->all_vlans = !strcmp(value, "all");
    memset(s->trunk, 0, sizeof(s->trunk));
    if (s->all_vlans) {
        return true;
    }
    vlans = parse_ranges(value, 0, VLAN_LAST, error);
    if (!vlans) {
        g_prefix_error(error, "'all', or VLANs like 10,20-29, where 0 stands "
                       "for untagged frames: ");
        return false;
    }
    for (unsigned i = 0; i < vlans->len; i++) {
        unsigned vlan = g_array_index(vlans, unsigned, i);

        s->trunk[vlan / 8] |= 1 << vlan % 8;
    }
    return true;
}

static char *get_trunk(const PortWord *word, const PortSettings *s)
{
    unsigned vlan[VLAN_IDS], n = 0;

    if (s->all_vlans) {
        return g_strdup("all");
    }
    for (unsigned i = 0; i < VLAN_IDS; i++) {
        if (port_settings_in_trunk(s, i)) {
            vlan[n++] = i;
        }
    }
    return format_ranges(vlan, n);
}

/* -- Addresses ------------------------------------------------------------- */

static bool set_mac(const PortWord *word, PortSettings *s,
                    const char *value, GError **error)
{
    g_auto(GStrv) part = split(value, PORT_MACS_MAX, error);

    for (s->macs = 0; part && part[s->macs]; s->macs++) {
        if (!parse_mac(part[s->macs], s->mac[s->macs], error)) {
            return false;
        }
    }
    return part != NULL;
}

static char *get_mac(const PortWord *word, const PortSettings *s)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < s->macs; i++) {
        char mac[MAC_TEXT_BYTES];

        format_mac(s->mac[i], mac);
        g_string_append_printf(text, "%s%s", i ? "," : "", mac);
    }
    return g_string_free(text, s->macs == 0);
}

/* Of one host: neither a group nor "any". */
static bool parse_ip(const char *text, PortIp *ip)
{
    PortIp to = { 0 };

    if (inet_pton(AF_INET, text, to.addr) == 1) {
        /* 0.0.0.0/8, 224.0.0.0/4 and above */
        if (to.addr[0] == 0 || to.addr[0] >= 224) {
            return false;
        }
    } else if (inet_pton(AF_INET6, text, to.addr) == 1) {
        struct in6_addr addr;

        memcpy(&addr, to.addr, sizeof(addr));
        if (IN6_IS_ADDR_UNSPECIFIED(&addr) || IN6_IS_ADDR_MULTICAST(&addr)) {
            return false;
        }
        to.is_v6 = true;
    } else {
        return false;
    }
    *ip = to;
    return true;
}

static bool set_ip(const PortWord *word, PortSettings *s,
                   const char *value, GError **error)
{
    g_auto(GStrv) part = split(value, PORT_IPS_MAX, error);

    for (s->ips = 0; part && part[s->ips]; s->ips++) {
        if (!parse_ip(part[s->ips], &s->ip[s->ips])) {
            SETTINGS_ERROR(error, "'%s' is not the address of a host, like "
                           "10.0.0.1 or 2001:db8::1", part[s->ips]);
            return false;
        }
    }
    return part != NULL;
}

static char *get_ip(const PortWord *word, const PortSettings *s)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < s->ips; i++) {
        char addr[INET6_ADDRSTRLEN];

        inet_ntop(s->ip[i].is_v6 ? AF_INET6 : AF_INET, s->ip[i].addr, addr,
                  sizeof(addr));
        g_string_append_printf(text, "%s%s", i ? "," : "", addr);
    }
    return g_string_free(text, s->ips == 0);
}

/* -- Other ports ----------------------------------------------------------- */

static bool set_ports(const PortWord *word, PortSettings *s,
                      const char *value, GError **error)
{
    g_auto(GStrv) names = split(value, PORT_MIRRORED_MAX, error);

    for (unsigned i = 0; names && names[i]; i++) {
        if (!port_name_check(names[i], error)) {
            return false;
        }
    }
    if (!names) {
        return false;
    }
    g_strfreev(*AT(char **, word, s));
    *AT(char **, word, s) = *names ? g_steal_pointer(&names) : NULL;
    return true;
}

static char *get_ports(const PortWord *word, const PortSettings *s)
{
    char **names = *AT(char **, word, s);

    return names ? g_strjoinv(",", names) : NULL;
}

/* -- The table ------------------------------------------------------------- */

#define NUMBER(field, least, most) \
    .set = set_number, .get = get_number, .min = (least), .max = (most), \
    .at = offsetof(PortSettings, field)
#define BOOL(field, words) \
    .set = set_bool, .get = get_bool, .values = (words), \
    .at = offsetof(PortSettings, field)
#define RATE(field, most) \
    .set = set_rate, .get = get_rate, .max = (most), \
    .at = offsetof(PortSettings, field)
#define ONE_OF(field, words) \
    .set = set_one_of, .get = get_one_of, .values = (words), \
    .at = offsetof(PortSettings, field)
#define MARK(field, most) \
    .set = set_mark, .get = get_mark, .max = (most), \
    .at = offsetof(PortSettings, field)
#define TEXT(field, may_be) \
    .set = set_text, .get = get_text, .check = (may_be), \
    .at = offsetof(PortSettings, field)
#define PORTS(field) \
    .set = set_ports, .get = get_ports, .at = offsetof(PortSettings, field)
#define VHOST_USER .type = "vhost-user"
#define WITH_SOCKET .type = "vhost-user,netvm"
#define FIXED .fixed = true

const PortWord port_words[] = {
    { "type", FIXED, TEXT(type, check_type),
      .help = "what the port is attached to: vhost-user, netvm, chain, tap, "
              "af-xdp or dummy" },
    { "socket", WITH_SOCKET, FIXED, TEXT(socket, check_socket),
      .help = "path of the socket where the guest's QEMU is met" },
    { "client", WITH_SOCKET, FIXED, BOOL(client, on_off),
      .help = "on: connect to the socket; off: listen there" },
    { "domain", .type = "netvm,chain,af-xdp", FIXED,
      TEXT(domain, port_name_check),
      .help = "whose memory it shares; af-xdp: if any" },
    { "service", .type = "netvm", FIXED, TEXT(service, port_name_check),
      .help = "what the member does: chains name it" },
    { "services", .type = "chain", TEXT(services, chain_check),
      .help = "hops of the chain, with commas; services side by side with + "
              "(only the first one's packet goes on)" },
    { "outs", .type = "netvm", PORTS(outs),
      .help = "ports that it may send out of by naming them" },
    { "queues", .type = "vhost-user,af-xdp", FIXED,
      NUMBER(queues, 1, QUEUES_MAX),
      .help = "pairs of rings that are offered, or the NIC's, 1 to "
              G_STRINGIFY(QUEUES_MAX) },
    { "mtu", VHOST_USER, FIXED, NUMBER(mtu, MTU_MIN, MTU_MAX),
      .help = "largest MTU that the front end may choose, "
              G_STRINGIFY(MTU_MIN) " to " G_STRINGIFY(MTU_MAX) },
    { "ifname", .type = "tap,af-xdp", FIXED, TEXT(ifname, check_ifname),
      .help = "name of the host's interface" },
    { "xdp-mode", .type = "af-xdp", FIXED, ONE_OF(xdp_mode, xdp_modes),
      .help = "who runs the XDP program: auto, native (the driver), generic" },
    { "zero-copy", .type = "af-xdp", FIXED, ONE_OF(zero_copy, auto_on_off),
      .help = "does the NIC itself write to our memory: auto, on, off" },
    { "link", BOOL(link_up, up_down),
      .help = "up, or down as if the cable were out" },
    { "vlan", .set = set_vlan, .get = get_vlan,
      .help = "access port: member of this VLAN only, untagged" },
    { "trunk", .set = set_trunk, .get = get_trunk,
      .help = "tagged VLANs like 10,20-29 (0: untagged frames), or all" },
    { "native", NUMBER(native, 0, VLAN_LAST),
      .help = "VLAN that untagged frames of a trunk belong to; 0: none" },
    { "mac", .set = set_mac, .get = get_mac,
      .help = "only these source addresses, with commas; none: any" },
    { "ip", .set = set_ip, .get = get_ip,
      .help = "only these IPv4 and IPv6 source addresses; none: any" },
    { "peer", TEXT(peer, port_name_check),
      .help = "all that comes goes to this port, whatever its address" },
    { "mirror", PORTS(mirror),
      .help = "show what these ports send and are sent, and nothing else" },
    { "storm-pps", NUMBER(storm_pps, 0, STORM_PPS_MAX),
      .help = "most frames per second that are flooded; 0: no limit" },
    { "max-macs", NUMBER(max_macs, 0, MACS_MAX),
      .help = "most addresses that are learned here" },

    /* The link behind the port. */
    { "rate-bps", RATE(rate_bps, EDF_RATE_MAX_BPS),
      .help = "rate of the link behind: what leaves waits for it; 0: nothing "
              "waits" },
    { "rate-pps", RATE(rate_pps, RATE_MAX_PPS),
      .help = "most frames per second that leave; 0: no limit" },
    { "policy", ONE_OF(policy, policies), .needs = "rate-bps",
      .help = "who leaves first: edf, fifo or strict" },
    { "queue-pkts", NUMBER(queue_pkts, 16, QUEUE_PKTS_MAX),
      .help = "frames that may wait for the link" },
    { "link-mtu", NUMBER(link_mtu, RT_LINK_MTU_MIN, RT_LINK_MTU_MAX),
      .help = "longest packet that the link carries, trailer included" },
    { "host-jitter-us", NUMBER(host_jitter_us, 0, JITTER_US_MAX),
      .needs = "rate-bps",
      .help = "how late the host may run us: promises allow for it" },
    { "promises", BOOL(promises, on_off), .needs = "rate-bps",
      .help = "off: contracts (period-us) are not for this link" },
    { "uplink", BOOL(uplink, on_off),
      .help = "on: the outside is behind it, and gets trailers" },
    { "trust", ONE_OF(trust_rtvnic, none_rtvnic),
      .help = "rtvnic: deadlines in trailers that come from there count" },

    /* Who is behind it: deadlines of what it sends. */
    { "rtvnic", BOOL(rtvnic, on_off), FIXED,
      .help = "on: mark what it sends, measure and strip what it is sent" },
    { "deadline-us", NUMBER(deadline_us, 0, DEADLINE_US_MAX),
      .needs = "rtvnic",
      .help = "deadline after it has sent a frame; 0: best effort" },
    { "period-us", NUMBER(period_us, 0, DEADLINE_US_MAX),
      .needs = "deadline-us",
      .help = "least time between two frames; asks for admission" },
    { "max-frame-bytes", NUMBER(max_frame_bytes, 0, RT_LINK_MTU_MAX),
      .needs = "period-us",
      .help = "longest frame that it sends; part of what period-us declares" },
    { "late", BOOL(drop_late, send_drop), .needs = "deadline-us",
      .help = "frames whose deadline passed while they waited: send or drop" },
    { "dscp", MARK(dscp, 63), .needs = "rtvnic",
      .help = "mark, 0 to 63 (46: expedited forwarding); none: the guest's" },
    { "pcp", MARK(pcp, 7), .needs = "rtvnic",
      .help = "802.1Q priority of tagged frames, 0 to 7; none: the guest's" },
    { "trailer", BOOL(trailer, on_off), .needs = "rtvnic",
      .help = "send time and deadline behind frames to an uplink" },
    { "source-id", NUMBER(source_id, 0, UINT32_MAX), .needs = "rtvnic",
      .help = "sender in the trailer; 0: made of its address" },
    { "max-skew-us", NUMBER(max_skew_us, 0, DEADLINE_US_MAX),
      .needs = "rtvnic",
      .help = "how far a sender's clock may be ahead of ours" },

    /* And its bandwidth. */
    { "tenant", TEXT(tenant, port_name_check),
      .help = "whose port it is: it shares that tenant's bandwidth" },
    { "tx-limit-bps", RATE(tx_limit_bps, EDF_RATE_MAX_BPS),
      .help = "most that is taken from it; 0: no limit" },
    { "tx-limit-pps", RATE(tx_limit_pps, RATE_MAX_PPS),
      .help = "most frames per second that are taken; 0: no limit" },
    { "guarantee-bps", RATE(guarantee_bps, EDF_RATE_MAX_BPS),
      .help = "what it may send by each link with a rate, whoever floods" },
    { "guarantee-pps", RATE(guarantee_pps, RATE_MAX_PPS),
      .help = "the same in frames per second" },
    { "rx-guarantee-bps", RATE(rx_guarantee_bps, EDF_RATE_MAX_BPS),
      .needs = "tenant",
      .help = "what it is sent at least of its tenant's rx-limit-bps" },
    { "rx-guarantee-pps", RATE(rx_guarantee_pps, RATE_MAX_PPS),
      .needs = "tenant",
      .help = "the same in frames per second" },
};

const unsigned port_words_n = G_N_ELEMENTS(port_words);

G_STATIC_ASSERT(G_N_ELEMENTS(port_words) <= PORT_WORDS_MAX);

