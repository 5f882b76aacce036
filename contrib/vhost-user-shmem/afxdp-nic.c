/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifdef HAVE_LIBXDP
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/socket.h>
#include <xdp/libxdp.h>

#include "afxdp-nic.h"

/* libxdp's program, and what it calls its parts. */
#define PROGRAM_FILE "xsk_def_xdp_prog.o"
#define PROGRAM_NAME "xsk_def_prog"
#define MAP_NAME "xsks_map"

#define SET_ERROR(error, ...) g_set_error(error, SWITCH_ERROR, 0, __VA_ARGS__)

/* -- Errors ---------------------------------------------------------------- */

static const char *remedy(int err)
{
    switch (err) {
    case EPERM:
    case EACCES:
        return "; the daemon needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF: "
               "systemd's AmbientCapabilities=, or setpriv --ambient-caps";
    case EAFNOSUPPORT:
        return "; this kernel was built without CONFIG_XDP_SOCKETS";
    case ENOBUFS:
        return "; the daemon may not lock enough memory: raise that limit "
               "(systemd's LimitMEMLOCK=, ulimit -l), or give it "
               "CAP_IPC_LOCK";
    case EBUSY:
    case EEXIST:
        return "; another program has it: \"ip link show\" names an XDP "
               "program, and \"ip link set dev NAME xdp off\" removes it";
    default:
        return "";
    }
}

void afxdp_set_error(GError **error, int err, const char *what)
{
    SET_ERROR(error, "%s: %s%s", what, g_strerror(err), remedy(err));
}

/* What libraries would print: an error of ours says it. */
static int G_GNUC_PRINTF(2, 0)
on_libbpf_print(enum libbpf_print_level level, const char *format,
                va_list args)
{
    g_logv(G_LOG_DOMAIN, G_LOG_LEVEL_DEBUG, format, args);
    return 0;
}

static int G_GNUC_PRINTF(2, 0)
on_libxdp_print(enum libxdp_print_level level, const char *format,
                va_list args)
{
    g_logv(G_LOG_DOMAIN, G_LOG_LEVEL_DEBUG, format, args);
    return 0;
}

/* -- Is it fit? ------------------------------------------------------------ */

/* Beside what an MTU counts: Ethernet's header and two tags. */
#define MTU_LESS_BYTES (AFXDP_HEADROOM_BYTES + 14 + 8)

static bool check_mtu(int fd, const char *ifname, unsigned place_bytes,
                      GError **error)
{
    int most = place_bytes - MTU_LESS_BYTES;
    struct ifreq ifr = { 0 };

    g_strlcpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name));
    if (ioctl(fd, SIOCGIFMTU, &ifr) < 0) {
        afxdp_set_error(error, errno, "cannot read its MTU");
        return false;
    }
    if (ifr.ifr_mtu > most) {
        SET_ERROR(error, "its MTU is %d, and AF_XDP carries %d at most%s: ip "
                  "link set dev %s mtu %d", ifr.ifr_mtu, most,
                  place_bytes < AFXDP_FRAME_BYTES
                  ? " in the domain's buffers" : "", ifname, most);
        return false;
    }
    return true;
}

static bool ethtool_get(int fd, const char *ifname, void *command)
{
    struct ifreq ifr = { .ifr_data = command };

    g_strlcpy(ifr.ifr_name, ifname, sizeof(ifr.ifr_name));
    return ioctl(fd, SIOCETHTOOL, &ifr) == 0;
}

/* Frames of queues that nobody serves go to the host. */
static bool check_queues(int fd, Port *p, GError **error)
{
    struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
    const PortSettings *s = &p->settings;
    unsigned n;

    if (!ethtool_get(fd, s->ifname, &channels)) {
        return true;
    }
    n = channels.rx_count + channels.combined_count;
    if (n > 0 && n < s->queues) {
        SET_ERROR(error, "it receives through %u queues, not queues=%u: set "
                  "queues=%u, or see ethtool -L", n, s->queues, n);
        return false;
    }
    if (n > s->queues) {
        port_log(p, G_LOG_LEVEL_WARNING, "ifname=%s receives through %u "
                 "queues, and frames of %u of them go past the switch to the "
                 "host: set queues=%u here, or let it have fewer (ethtool -L)",
                 s->ifname, n, n - s->queues, n);
    }
    return true;
}

/* A tag that the NIC has taken off is not in the frame that we are given. */
static void warn_of_tags(int fd, Port *p)
{
    struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
    const char *ifname = p->settings.ifname;

    if (ethtool_get(fd, ifname, &flags) && flags.data & ETH_FLAG_RXVLAN) {
        port_log(p, G_LOG_LEVEL_WARNING, "ifname=%s may take VLAN tags off, "
                 "and frames then come without: ethtool -K %s rxvlan off (and "
                 "txvlan off at the other end of a veth)", ifname, ifname);
    }
}

static bool check_interface(Port *p, unsigned place_bytes, GError **error)
{
    const char *ifname = p->settings.ifname;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool fit;

    if (fd < 0) {
        afxdp_set_error(error, errno, "cannot ask the kernel");
        return false;
    }
    fit = check_mtu(fd, ifname, place_bytes, error) &&
          check_queues(fd, p, error);
    if (fit) {
        warn_of_tags(fd, p);
    }
    close(fd);
    return fit;
}

/* -- Take it --------------------------------------------------------------- */

/* It is to receive what is for the guests, as long as the socket is open. */
static int make_promiscuous(unsigned ifindex, GError **error)
{
    struct packet_mreq mreq = {
        .mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC,
    };
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq,
                             sizeof(mreq)) < 0) {
        afxdp_set_error(error, errno, "cannot make it promiscuous");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* The program and its map, not attached; NULL with @error set. */
static struct xdp_program *load_program(unsigned queues, GError **error)
{
    struct xdp_program *program = xdp_program__find_file(PROGRAM_FILE, NULL,
                                                         NULL);
    int err = -libxdp_get_error(program);
    struct bpf_object *object;
    struct bpf_map *map;

    if (err) {
        SET_ERROR(error, "cannot find %s, which is part of libxdp: %s; "
                  "install libxdp again", PROGRAM_FILE, g_strerror(err));
        return NULL;
    }
    object = xdp_program__bpf_obj(program);
    map = bpf_object__find_map_by_name(object, MAP_NAME);
    if (!map || !bpf_object__find_program_by_name(object, PROGRAM_NAME)) {
        SET_ERROR(error, "%s is not what libxdp 1.3 brings: install libxdp "
                  "again", PROGRAM_FILE);
        xdp_program__close(program);
        return NULL;
    }
    bpf_map__set_max_entries(map, queues);
    err = -bpf_object__load(object);
    if (err) {
        afxdp_set_error(error, err, "cannot load the XDP program");
        xdp_program__close(program);
        return NULL;
    }
    return program;
}

/* Returns the link's file, or -1 with errno set. */
static int attach(int program_fd, unsigned ifindex, bool native)
{
    LIBBPF_OPTS(bpf_link_create_opts, opts,
                .flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);

    return bpf_link_create(program_fd, ifindex, BPF_XDP, &opts);
}

static bool attach_program(AfxdpNic *nic, PortXdpMode mode, GError **error)
{
    struct bpf_object *object = xdp_program__bpf_obj(nic->program);
    int program_fd = bpf_program__fd(
        bpf_object__find_program_by_name(object, PROGRAM_NAME));

    nic->map_fd = bpf_map__fd(bpf_object__find_map_by_name(object, MAP_NAME));
    nic->native = mode != PORT_XDP_GENERIC;
    nic->link_fd = attach(program_fd, nic->ifindex, nic->native);
    if (nic->link_fd < 0 && mode == PORT_XDP_AUTO && errno != EBUSY) {
        nic->native = false;
        nic->link_fd = attach(program_fd, nic->ifindex, false);
    }
    if (nic->link_fd < 0) {
        int err = errno;

        afxdp_set_error(error, err, "cannot attach the XDP program");
        if (mode == PORT_XDP_NATIVE && *remedy(err) == '\0') {
            g_prefix_error(error, "its driver takes no XDP program as it is "
                           "set up, leave xdp-mode=native out: ");
        }
        return false;
    }
    return true;
}

bool afxdp_nic_open(AfxdpNic *nic, Port *p, unsigned place_bytes,
                    GError **error)
{
    const PortSettings *s = &p->settings;

    libbpf_set_print(on_libbpf_print);
    libxdp_set_print(on_libxdp_print);
    *nic = AFXDP_NIC_NONE;
    nic->ifindex = if_nametoindex(s->ifname);
    if (nic->ifindex == 0) {
        SET_ERROR(error, "there is no such interface: \"ip link\" lists them");
        return false;
    }
    if (!check_interface(p, place_bytes, error)) {
        return false;
    }
    nic->promisc_fd = make_promiscuous(nic->ifindex, error);
    if (nic->promisc_fd >= 0) {
        nic->program = load_program(s->queues, error);
    }
    if (!nic->program || !attach_program(nic, s->xdp_mode, error)) {
        afxdp_nic_close(nic);
        return false;
    }
    return true;
}

void afxdp_nic_close(AfxdpNic *nic)
{
    if (nic->link_fd >= 0) {
        close(nic->link_fd);
    }
    if (nic->program) {
        xdp_program__close(nic->program);
    }
    if (nic->promisc_fd >= 0) {
        close(nic->promisc_fd);
    }
    *nic = AFXDP_NIC_NONE;
}

bool afxdp_nic_redirect(const AfxdpNic *nic, unsigned queue, int fd,
                        GError **error)
{
    if (bpf_map_update_elem(nic->map_fd, &queue, &fd, BPF_ANY) < 0) {
        afxdp_set_error(error, errno, "cannot direct frames to its socket");
        return false;
    }
    return true;
}

#endif
