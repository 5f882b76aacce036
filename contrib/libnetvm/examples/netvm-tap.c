/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netvm-tap: a network interface of the kernel, so that programs as they are
 * use the domain.  Each packet is copied once: the kernel copies it into a
 * buffer, or out of one.
 *
 * Threads: none.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "headers.h"
#include "nf.h"

#define TUN_DEVICE "/dev/net/tun"
#define MTU_LEAST 68
#define MTU_USUAL 1500
#define HEADER_BYTES (ETHER_BYTES + 4)      /* with a VLAN tag */
/* Without a free buffer it looks again after that. */
#define NO_BUFFER_NS UINT64_C(1000000)

static struct {
    const char *interface;
    bool has_mac, up;
    uint8_t mac[6];
    uint64_t mtu;               /* 0: as large as the kernel's usual one, or
                                 * as a buffer holds */
} opt = { .interface = "netvm%d" };

static struct {
    int fd;
    char interface[IFNAMSIZ];   /* "": it is not made yet */
    uint64_t from_kernel_pkts, to_kernel_pkts;
    uint64_t refused_pkts;      /* by the kernel: the interface is down */
    uint64_t too_long_pkts;     /* from the kernel: no buffer holds them */
    uint64_t no_buffer;         /* times that none was free */
} tap = { .fd = -1 };

static const char usage[] =
    "Makes a TAP interface whose other end is in the domain.\n"
    "\n"
    "  --name NAME      of the interface (netvm0, or the next one)\n"
    "  --mac MAC        its address (the kernel chooses)\n"
    "  --mtu BYTES      (1500, or what a buffer holds)\n"
    "  --up             set it up\n";

enum { NAME = NF_OPTION_OWN, MAC, MTU, UP };

static const struct option options[] = {
    { "name", required_argument, NULL, NAME },
    { "mac", required_argument, NULL, MAC },
    { "mtu", required_argument, NULL, MTU },
    { "up", no_argument, NULL, UP },
    { 0 },
};

static const struct nf_program program;

static bool take_option(int key, const char *value)
{
    switch (key) {
    case NAME:
        opt.interface = value;
        if (!*value || strlen(value) >= IFNAMSIZ) {
            nf_say(&program, "--name %s: say 1 to %d characters", value,
                   IFNAMSIZ - 1);
            return false;
        }
        return true;
    case MAC:
        opt.has_mac = true;
        if (!nf_mac(&program, "mac", value, opt.mac)) {
            return false;
        }
        if (opt.mac[0] & 1) {
            nf_say(&program, "--mac %s: this is an address of a group; the "
                   "first byte has to be even", value);
            return false;
        }
        return true;
    case MTU:
        return nf_number(&program, "mtu", value, MTU_LEAST,
                         UINT16_MAX - HEADER_BYTES, &opt.mtu);
    default:
        opt.up = true;
        return true;
    }
}

/* -- The interface --------------------------------------------------------- */

static bool set(int fd, struct ifreq *request, unsigned long what,
                const char *name)
{
    if (ioctl(fd, what, request) < 0) {
        nf_say(&program, "%s: %s: %s", tap.interface, name, strerror(errno));
        return false;
    }
    return true;
}

static bool configure(int fd, unsigned mtu)
{
    struct ifreq request = { 0 };

    strcpy(request.ifr_name, tap.interface);
    if (opt.has_mac) {
        request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
        memcpy(request.ifr_hwaddr.sa_data, opt.mac, 6);
        if (!set(fd, &request, SIOCSIFHWADDR, "cannot set its address")) {
            return false;
        }
    }
    request.ifr_mtu = mtu;
    if (!set(fd, &request, SIOCSIFMTU, "cannot set its MTU")) {
        return false;
    }
    if (opt.up) {
        if (!set(fd, &request, SIOCGIFFLAGS, "cannot read its flags")) {
            return false;
        }
        request.ifr_flags |= IFF_UP;
        return set(fd, &request, SIOCSIFFLAGS, "cannot set it up");
    }
    return true;
}

static bool open_tap(unsigned mtu)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int control;
    bool good;

    tap.fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap.fd < 0) {
        nf_say(&program, TUN_DEVICE ": %s; \"modprobe tun\" may help",
               strerror(errno));
        return false;
    }
    strcpy(request.ifr_name, opt.interface);
    if (ioctl(tap.fd, TUNSETIFF, &request) < 0) {
        nf_say(&program, "%s: cannot make the interface: %s", opt.interface,
               errno == EPERM ? "be root, or have CAP_NET_ADMIN"
                              : strerror(errno));
        return false;
    }
    strcpy(tap.interface, request.ifr_name);
    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0) {
        nf_say(&program, "a socket: %s", strerror(errno));
        return false;
    }
    good = configure(control, mtu);
    close(control);
    return good;
}

/* The interface is made once; it stays when the domain is replaced. */
static bool begin(struct nf *nf)
{
    unsigned most = netvm_max_bytes(nf->nv) - HEADER_BYTES;
    unsigned mtu = opt.mtu ? opt.mtu : most < MTU_USUAL ? most : MTU_USUAL;

    if (mtu > most) {
        nf_say(&program, "--mtu %u: a buffer of this domain holds an MTU of "
               "%u; say less, or give the domain more buffer-bytes", mtu, most);
        return false;
    }
    if (!tap.interface[0]) {
        if (!open_tap(mtu)) {
            return false;
        }
        printf("ready name=%s mtu=%u\n", tap.interface, mtu);
        fflush(stdout);
    }
    nf->fd = tap.fd;
    return true;
}

/* -- Packets --------------------------------------------------------------- */

/* To the kernel; all of them are free then. */
static void work(struct nf *nf, struct netvm_desc *pkt, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (write(tap.fd, netvm_data(nf->nv, &pkt[i]), pkt[i].length) ==
            pkt[i].length) {
            tap.to_kernel_pkts++;
        } else {
            tap.refused_pkts++;
        }
        netvm_set_action(&pkt[i], NETVM_DROP);
    }
}

static void set_hash(const struct nf *nf, struct netvm_desc *pkt)
{
    struct headers h;

    if (headers_read(netvm_data(nf->nv, pkt), pkt->length, &h) ==
        HEADERS_GOOD) {
        pkt->hash = headers_hash(&h);
    }
}

/* From the kernel, as many as there are and as fit a burst. */
static unsigned turn(struct nf *nf)
{
    struct netvm_desc pkt[NF_BURST];
    int buffers = netvm_alloc(nf->nv, pkt, NF_BURST), n = 0;

    nf->fd = tap.fd;
    nf->wake_ns = UINT64_MAX;
    if (buffers <= 0) {
        tap.no_buffer++;
        nf->fd = -1;
        nf->wake_ns = nf_now_ns() + NO_BUFFER_NS;
        return 0;
    }
    while (n < buffers) {
        unsigned most = netvm_max_bytes(nf->nv);
        uint8_t more;
        struct iovec to[] = {
            { netvm_data(nf->nv, &pkt[n]), most }, { &more, 1 },
        };
        ssize_t bytes = readv(tap.fd, to, 2);

        if (bytes < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                nf_say(&program, "%s: %s", tap.interface, strerror(errno));
                nf->stop = nf->failed = true;
            }
            break;
        }
        if (bytes > most) {
            tap.too_long_pkts++;
            continue;
        }
        pkt[n].length = bytes;
        set_hash(nf, &pkt[n]);
        nf_pass(nf, &pkt[n]);
        n++;
    }
    tap.from_kernel_pkts += n;
    nf_send(nf, pkt, n);
    netvm_free(nf->nv, pkt + n, buffers - n);
    return n;
}

static void stats(struct nf *nf)
{
    printf("name=%s from-kernel-pkts=%" PRIu64 " to-kernel-pkts=%" PRIu64
           " refused-pkts=%" PRIu64 " too-long-pkts=%" PRIu64
           " no-buffer=%" PRIu64 "\n", tap.interface, tap.from_kernel_pkts,
           tap.to_kernel_pkts, tap.refused_pkts, tap.too_long_pkts,
           tap.no_buffer);
}

static const struct nf_program program = {
    .name = "netvm-tap",
    .usage = usage,
    .options = options,
    .option = take_option,
    .begin = begin,
    .work = work,
    .turn = turn,
    .stats = stats,
};

int main(int argc, char **argv)
{
    int status = nf_main(&program, argc, argv);

    if (tap.fd >= 0) {
        close(tap.fd);
    }
    return status;
}
