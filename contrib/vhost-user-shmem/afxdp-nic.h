/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's interface behind a port of type af-xdp: is it fit for that, and
 * the XDP program that gives its frames to our sockets.
 *
 * All that is done to the interface ends with our files, however we end: the
 * program is held by a bpf_link, promiscuous mode by a packet socket.
 *
 * Threads: the control thread.
 */
#ifndef VUS_AFXDP_NIC_H
#define VUS_AFXDP_NIC_H

#include "port.h"

struct xdp_program;

/* One place of an AF_XDP socket's memory has a frame, and for those that come
 * the kernel's headroom. */
#define AFXDP_FRAME_BYTES 4096
#define AFXDP_HEADROOM_BYTES 256

typedef struct AfxdpNic {
    unsigned ifindex;
    bool native;                    /* the driver runs the program */
    int promisc_fd;
    int link_fd;                    /* the program is attached */
    int map_fd;                     /* a socket per queue */
    struct xdp_program *program;
} AfxdpNic;

#define AFXDP_NIC_NONE \
    ((AfxdpNic) { .promisc_fd = -1, .link_fd = -1, .map_fd = -1 })

/*
 * Take the interface that @p names, whose places will have @place_bytes.  Until
 * a queue has a socket its frames go to the host, as before.  False with @error
 * set: nothing has changed.
 */
bool afxdp_nic_open(AfxdpNic *nic, Port *p, unsigned place_bytes,
                    GError **error);
void afxdp_nic_close(AfxdpNic *nic);

/* Frames of @queue go to socket @fd from now on. */
bool afxdp_nic_redirect(const AfxdpNic *nic, unsigned queue, int fd,
                        GError **error);

/* Sets @error to @what, the text of @err, and what to do about it. */
void afxdp_set_error(GError **error, int err, const char *what);

#endif
