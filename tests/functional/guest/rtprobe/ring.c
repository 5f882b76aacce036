/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "ring": what ethtool -G does, for busybox has no ethtool.
 *
 * Threads: none.
 */
#include "rtprobe.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int mode_ring(int argc, char **argv)
{
    enum { DEV, TX, N };
    Option o[N] = {
        [DEV] = { "dev", NULL, "interface" },
        [TX] = { "tx", NULL, "descriptors of the transmit ring" },
    };
    struct ethtool_ringparam ring = { .cmd = ETHTOOL_GRINGPARAM };
    struct ifreq request = { .ifr_data = (void *)&ring };
    uint32_t before;
    int fd;

    parse_options(argc, argv, o, N);
    if (strlen(o[DEV].value) >= sizeof(request.ifr_name)) {
        die(false, "--dev %s: no interface has such a long name", o[DEV].value);
    }
    strcpy(request.ifr_name, o[DEV].value);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request)) {
        die(true, "cannot read the ring sizes of %s", o[DEV].value);
    }
    before = ring.tx_pending;
    ring.cmd = ETHTOOL_SRINGPARAM;
    ring.tx_pending = option_number(&o[TX], 1, UINT32_MAX);
    if (ioctl(fd, SIOCETHTOOL, &request)) {
        die(true, "the driver refuses a transmit ring of %u", ring.tx_pending);
    }
    printf("{\"mode\": \"ring\", \"before\": %u, \"tx\": %u}\n", before,
           ring.tx_pending);
    return 0;
}
