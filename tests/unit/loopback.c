/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"
#include "port.h"

void loopback_set(unsigned mtu, bool up)
{
    struct ifreq ifr = { .ifr_name = "lo" };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    ifr.ifr_mtu = mtu;
    g_assert_cmpint(ioctl(fd, SIOCSIFMTU, &ifr), ==, 0);
    ifr.ifr_flags = up ? IFF_UP : 0;
    g_assert_cmpint(ioctl(fd, SIOCSIFFLAGS, &ifr), ==, 0);
    close(fd);
}

bool loopback_enter(unsigned mtu)
{
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

    if (fd >= 0) {
        close(fd);
    }
    if (!port_afxdp_ops.ingress) {
        g_test_skip("built without libxdp");
    } else if (fd < 0 && errno == EAFNOSUPPORT) {
        g_test_skip("this kernel has no AF_XDP");
    } else if (unshare(CLONE_NEWNET) < 0) {
        g_test_skip("no network namespace of its own: that takes root");
    } else {
        loopback_set(mtu, true);
        return true;
    }
    return false;
}
