/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port with the host's kernel behind it: a TAP interface, mostly the uplink,
 * put into a bridge or given an address.
 *
 * Frames carry a virtio-net header both ways (IFF_VNET_HDR), so the kernel
 * takes and gives checksums and segments unfinished.  Each frame is a system
 * call; the interface is looked at less often while it is silent.
 *
 * Threads: control, but for the last section.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "offload.h"
#include "port.h"

#define MAX_IOV 64
/* Turns that are skipped after one that found nothing. */
#define SILENT_TURNS 15

/* Newer than some headers. */
#define TUN_F_USO4_BIT 0x20
#define TUN_F_USO6_BIT 0x40

typedef struct TapBuffer {
    uint8_t data[FRAME_VNET_BYTES + FRAME_MAX_BYTES];
} TapBuffer;

typedef struct TapPort {
    int fd;
    /* The worker's that serves it. */
    unsigned skip_turns;
    VringSegment segment[INGRESS_BURST];
    TapBuffer buffer[INGRESS_BURST];
} TapPort;

/* -- Life ------------------------------------------------------------------ */

static void tap_link(Port *p)
{
    p->ingress_queues = p->egress_queues = p->settings.link_up;
}

static int open_interface(const char *name, GError **error)
{
    struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    int vnet_bytes = FRAME_VNET_BYTES, little_endian = 1;

    if (fd < 0) {
        g_set_error(error, SWITCH_ERROR, 0, "cannot open /dev/net/tun: %s",
                    g_strerror(errno));
        return -1;
    }
    g_strlcpy(ifr.ifr_name, name, sizeof(ifr.ifr_name));
    if (ioctl(fd, TUNSETIFF, &ifr) < 0 ||
        ioctl(fd, TUNSETVNETHDRSZ, &vnet_bytes) < 0 ||
        ioctl(fd, TUNSETVNETLE, &little_endian) < 0) {
        g_set_error(error, SWITCH_ERROR, 0, "cannot use ifname=%s: %s%s", name,
                    g_strerror(errno),
                    errno == EPERM ? "; give it to this user first: ip tuntap "
                    "add dev NAME mode tap vnet_hdr user USER" :
                    errno == EBUSY ? "; somebody else has it open" : "");
        close(fd);
        return -1;
    }
    return fd;
}

/* What the kernel may give us unfinished. */
static uint8_t set_offloads(int fd)
{
    unsigned basic = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    uint8_t offloads = OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 |
                       OFFLOAD_ECN;

    if (ioctl(fd, TUNSETOFFLOAD,
              basic | TUN_F_USO4_BIT | TUN_F_USO6_BIT) == 0) {
        return offloads | OFFLOAD_USO4 | OFFLOAD_USO6;
    }
    return ioctl(fd, TUNSETOFFLOAD, basic) == 0 ? offloads : 0;
}

static bool tap_open(Port *p, GError **error)
{
    int fd = open_interface(p->settings.ifname, error);
    TapPort *t;

    if (fd < 0) {
        return false;
    }
    t = g_new0(TapPort, 1);
    t->fd = fd;
    p->impl = t;
    p->offloads_allowed = p->offloads_accepted =
        p->settings.rtvnic ? 0 : set_offloads(fd);
    tap_link(p);
    return true;
}

static void tap_close(Port *p)
{
    TapPort *t = p->impl;

    close(t->fd);
    g_free(t);
}

static void tap_broken(Port *p)
{
}

static void tap_status(Port *p, PortStatus *status)
{
}

static int tap_wake_fd(Port *p, unsigned queue)
{
    return ((TapPort *)p->impl)->fd;
}

/* -- Workers --------------------------------------------------------------- */

static bool read_frame(TapPort *t, unsigned i, Frame *f,
                       PortCounters *counters)
{
    uint8_t *data = t->buffer[i].data;
    ssize_t got = read(t->fd, data, sizeof(t->buffer[i].data));

    if (got < 0) {
        return false;
    }
    if (got < (ssize_t)(FRAME_VNET_BYTES + FRAME_MIN_BYTES)) {
        counter_add(&counters->drops[DROP_RUNT], 1);
        f->bytes = 0;
        return true;
    }
    t->segment[i] = (VringSegment) { data, got };
    f->bytes = got - FRAME_VNET_BYTES;
    f->head_bytes = MIN(f->bytes, FRAME_HEAD_BYTES);
    memcpy(&f->vnet, data, FRAME_VNET_OLD_BYTES);
    memcpy(f->head, data + FRAME_VNET_BYTES, f->head_bytes);
    f->rest = &t->segment[i];
    f->beside = NULL;
    f->buffer = NULL;
    f->rest_offset = FRAME_VNET_BYTES + f->head_bytes;
    return true;
}

static unsigned tap_ingress(Port *p, unsigned queue, IngressBurst *b,
                            PortCounters *counters)
{
    TapPort *t = p->impl;
    unsigned n = 0;

    if (t->skip_turns > 0) {
        t->skip_turns--;
        return 0;
    }
    while (n < b->max && read_frame(t, n, &b->frame[n], counters)) {
        n += b->frame[n].bytes > 0;
    }
    if (n == 0) {
        t->skip_turns = SILENT_TURNS;
    }
    return n;
}

static void tap_ingress_done(Port *p, unsigned queue, IngressBurst *b)
{
}

/* Its fd is readable whenever there is something. */
static bool tap_ask_wake(Port *p, unsigned queue, bool ask)
{
    TapPort *t = p->impl;
    struct pollfd poll_fd = { .fd = t->fd, .events = POLLIN };

    t->skip_turns = 0;
    return ask && poll(&poll_fd, 1, 0) > 0 && poll_fd.revents & POLLIN;
}

/* The pieces of @f behind its head; returns how many, 0 if too many. */
static unsigned add_rest(struct iovec *iov, const Frame *f)
{
    uint32_t left = f->bytes - f->head_bytes, offset = f->rest_offset;
    const VringSegment *s = f->rest;
    unsigned n = 0;

    for (; left > 0; s++, offset = 0) {
        uint32_t bytes = MIN(left, s->bytes - offset);

        if (bytes == 0) {
            continue;
        }
        if (n == MAX_IOV - 2) {
            return 0;
        }
        iov[n++] = (struct iovec) { s->data + offset, bytes };
        left -= bytes;
    }
    return n;
}

static bool write_frame(TapPort *t, const Frame *f)
{
    uint8_t vnet[FRAME_VNET_BYTES];
    struct iovec iov[MAX_IOV] = {
        { vnet, sizeof(vnet) }, { (void *)f->head, f->head_bytes },
    };
    unsigned n = 2;

    frame_put_vnet(vnet, f, 0, sizeof(vnet));
    if (f->bytes > f->head_bytes) {
        unsigned more = add_rest(iov + n, f);

        if (more == 0) {
            errno = EMSGSIZE;
            return false;
        }
        n += more;
    }
    return writev(t->fd, iov, n) >= 0;
}

static void tap_egress(Port *p, unsigned queue, const Frame *const *frames,
                       unsigned n, VringBurst *scratch, PortCounters *counters)
{
    for (unsigned i = 0; i < n; i++) {
        if (write_frame(p->impl, frames[i])) {
            counter_add(&counters->egress_pkts, 1);
            counter_add(&counters->egress_bytes, frames[i]->bytes);
        } else {
            counter_add(&counters->drops[errno == EAGAIN || errno == ENOBUFS
                                         ? DROP_RX_FULL : DROP_HOST], 1);
        }
    }
}

const PortOps port_tap_ops = {
    .type = "tap",
    .open = tap_open,
    .close = tap_close,
    .link = tap_link,
    .broken = tap_broken,
    .status = tap_status,
    .wake_fd = tap_wake_fd,
    .ingress = tap_ingress,
    .ingress_done = tap_ingress_done,
    .ask_wake = tap_ask_wake,
    .egress = tap_egress,
};
