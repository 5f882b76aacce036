/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An rtvnic behind vhost-user-shmem: its frames never pass QEMU, so the daemon
 * marks, stamps and schedules them.  All that is done here is to tell it the
 * NIC's contract, over its control socket (docs/interop/vhost-user-shmem.rst,
 * contract.register).
 *
 * The daemon keeps a contract as long as the connection lives.  So it is
 * registered before the guest starts, which fails if it is refused, again
 * whenever the connection comes back, and withdrawn when the NIC goes.
 *
 * Threads: main loop, under the BQL.
 */
#ifndef HW_NET_RTVNIC_CONTROL_H
#define HW_NET_RTVNIC_CONTROL_H

#include "rtvnic-port.h"

/*
 * Register what the options of @rp say; waits for the connection and the
 * answer.  False with @errp set if the daemon refuses, or is none.
 */
bool rtvnic_control_start(RtvnicPort *rp, Error **errp);

/* Withdraw it. */
void rtvnic_control_stop(RtvnicPort *rp);

bool rtvnic_control_is_on(const RtvnicPort *rp);

/* Options have changed: register them in place of the old ones, which stay
 * valid if that is refused. */
bool rtvnic_control_renew(RtvnicPort *rp, Error **errp);

/* "registered", "disconnected", or why it was refused; the caller frees it. */
char *rtvnic_control_state(const RtvnicPort *rp);

#endif
