/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sleeping until packets come.
 *
 * Threads: see netvm-impl.h.
 */
#include <errno.h>
#include <poll.h>

#include "netvm-impl.h"

/* Whoever sends to us is to ring, also by a ring that is opened while we sleep;
 * false: something is there already. */
static bool may_sleep(struct netvm *nv)
{
    bool may = netvm_receiver_may_sleep(&nv->rx);

    for (unsigned m = 1; m <= nv->layout.members && may; m++) {
        if (m != nv->self) {
            may = netvm_receiver_may_sleep(&nv->direct_rx[m]);
        }
    }
    return may;
}

NETVM_PUBLIC int netvm_fd(const struct netvm *nv)
{
    return nv->transport->fd(nv);
}

NETVM_PUBLIC int netvm_arm(struct netvm *nv)
{
    int status = netvm_look(nv);

    if (status < 0) {
        return status;
    }
    if (!may_sleep(nv)) {
        /* It may have come on a ring that was not there before. */
        status = netvm_new_epoch(nv);
        return status < 0 ? status : 1;
    }
    if (nv->transport->update(nv) < 0) {
        return -EPIPE;
    }
    netvm_write(&nv->stats->waits, netvm_read(&nv->stats->waits) + 1);
    netvm_offline(nv);
    return 0;
}

NETVM_PUBLIC void netvm_disarm(struct netvm *nv)
{
    nv->transport->rung(nv);
    /* What there is to say, the next call says. */
    (void)netvm_new_epoch(nv);
}

NETVM_PUBLIC int netvm_wait(struct netvm *nv, int timeout_ms)
{
    struct pollfd p = { .fd = netvm_fd(nv), .events = POLLIN };
    int status = netvm_arm(nv);

    if (status != 0) {
        return status;
    }
    status = poll(&p, 1, timeout_ms);
    if (status > 0) {
        nv->transport->rung(nv);
    }
    if (netvm_new_epoch(nv) < 0) {
        return -ESTALE;
    }
    return status > 0;
}
