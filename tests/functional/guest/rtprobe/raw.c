/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "raw-send" and "raw-recv": exact frames in and out of one interface, as hex
 * lines, through AF_PACKET.
 *
 * The kernel takes an 802.1Q tag out of what it hands to packet sockets;
 * raw-recv puts it back, so that a printed frame is what the NIC delivered.
 *
 * Threads: none.
 */
#define _GNU_SOURCE
#include "rtprobe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAME_MAX_BYTES 65536
#define MACS_BYTES 12
#define TAG_BYTES 4
#define ETH_HEADER_BYTES 14
#define ETHERTYPE_ALL 0x0003    /* ETH_P_ALL */

/* Until it is bound, no frame comes. */
static int packet_socket(void)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0);

    if (fd < 0) {
        die(true, "cannot open a packet socket");
    }
    return fd;
}

static void packet_bind(int fd, const Option *dev, uint16_t protocol)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(protocol),
        .sll_ifindex = if_nametoindex(dev->value),
    };

    if (!address.sll_ifindex) {
        die(true, "--%s %s", dev->name, dev->value);
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof(address))) {
        die(true, "cannot bind a packet socket to %s; is it up?", dev->value);
    }
}

int mode_raw_send(int argc, char **argv)
{
    Option o[] = { { "dev", NULL, "interface" } };
    static uint8_t frame[FRAME_MAX_BYTES];
    char *line = NULL;
    size_t room = 0;
    unsigned sent = 0;
    int fd;

    parse_options(argc, argv, o, 1);
    fd = packet_socket();
    packet_bind(fd, &o[0], 0);
    while (getline(&line, &room, stdin) > 0) {
        int n = hex_decode(line, frame, sizeof(frame));

        if (n < ETH_HEADER_BYTES) {
            die(false, "line %u of stdin is no frame in hex", sent + 1);
        }
        if (send(fd, frame, n, 0) != n) {
            die(true, "cannot send frame %u of %d bytes", sent + 1, n);
        }
        sent++;
    }
    printf("{\"mode\": \"raw-send\", \"sent\": %u}\n", sent);
    return 0;
}

/* Receive into @frame with room for a tag; length, or -1 with errno. */
static ssize_t receive_frame(int fd, uint8_t *frame, size_t room_bytes)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    } control;
    struct iovec iov = { frame, room_bytes - TAG_BYTES };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    ssize_t n = recvmsg(fd, &msg, 0);

    for (struct cmsghdr *c = n < MACS_BYTES ? NULL : CMSG_FIRSTHDR(&msg); c;
         c = CMSG_NXTHDR(&msg, c)) {
        struct tpacket_auxdata aux;
        uint16_t tag[2];

        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) {
            continue;
        }
        memcpy(&aux, CMSG_DATA(c), sizeof(aux));
        if (!(aux.tp_status & TP_STATUS_VLAN_VALID)) {
            continue;
        }
        tag[0] = htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID
                       ? aux.tp_vlan_tpid : 0x8100);
        tag[1] = htons(aux.tp_vlan_tci);
        memmove(frame + MACS_BYTES + TAG_BYTES, frame + MACS_BYTES,
                n - MACS_BYTES);
        memcpy(frame + MACS_BYTES, tag, TAG_BYTES);
        n += TAG_BYTES;
    }
    return n;
}

int mode_raw_recv(int argc, char **argv)
{
    enum { DEV, COUNT, TIMEOUT, OFFSET, MATCH, N };
    Option o[N] = {
        [DEV] = { "dev", NULL, "interface" },
        [COUNT] = { "count", "1", "frames to wait for" },
        [TIMEOUT] = { "timeout-ms", "2000", "longest wait for all of them" },
        [OFFSET] = { "offset", "0", "where --match is compared" },
        [MATCH] = { "match", "", "hex that a frame must hold at --offset" },
    };
    static uint8_t frame[FRAME_MAX_BYTES], match[FRAME_MAX_BYTES];
    uint64_t deadline_ns, count, offset;
    int fd, match_bytes, one = 1;
    struct packet_mreq promiscuous = { .mr_type = PACKET_MR_PROMISC };

    parse_options(argc, argv, o, N);
    count = option_number(&o[COUNT], 1, UINT32_MAX);
    offset = option_number(&o[OFFSET], 0, FRAME_MAX_BYTES);
    match_bytes = hex_decode(o[MATCH].value, match, sizeof(match));
    if (match_bytes < 0) {
        die(false, "--match %s: give hex digits in pairs", o[MATCH].value);
    }
    fd = packet_socket();
    promiscuous.mr_ifindex = if_nametoindex(o[DEV].value);
    if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
                   sizeof(promiscuous))) {
        die(true, "cannot set up the packet socket");
    }
    packet_bind(fd, &o[DEV], ETHERTYPE_ALL);
    deadline_ns = now_ns() + option_number(&o[TIMEOUT], 1, 3600000) * NS_PER_MS;
    printf("ready\n");
    fflush(stdout);

    while (count) {
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        uint64_t now = now_ns();
        ssize_t n;

        if (now >= deadline_ns) {
            die(false, "timed out with %llu frames still to come",
                (unsigned long long)count);
        }
        if (poll(&pfd, 1, (deadline_ns - now) / NS_PER_MS + 1) <= 0) {
            continue;
        }
        n = receive_frame(fd, frame, sizeof(frame));
        if (n < 0) {
            die(true, "cannot receive");
        }
        if (offset + match_bytes > (size_t)n ||
            memcmp(frame + offset, match, match_bytes)) {
            continue;
        }
        for (ssize_t i = 0; i < n; i++) {
            printf("%02x", frame[i]);
        }
        printf("\n");
        fflush(stdout);
        count--;
    }
    return 0;
}
