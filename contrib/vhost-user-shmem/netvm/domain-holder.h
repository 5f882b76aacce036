/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port that holds buffers of a domain for longer than a burst: its NIC
 * receives into them, and sends out of them.
 *
 * To owner words they are the daemon's.
 *
 * Threads: the group of fields says it.
 */
#ifndef VUS_DOMAIN_HOLDER_H
#define VUS_DOMAIN_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct DomainHolder DomainHolder;

struct DomainHolder {
    /* Fixed. */
    uint16_t port;                  /* id */
    int wake_fd;                    /* its workers are woken by it */
    void (*grown)(DomainHolder *h); /* a segment more, whose buffers come into
                                     * the pool afterwards; control */

    /* Atomic. */
    uint32_t buffers;               /* that the kernel has */

    /* Under the domain's lock. */
    bool hungry;                    /* it is to be woken when one is free */
    uint64_t rx_moved_pkts;         /* given on as they were received */
    uint64_t tx_moved_pkts;         /* sent out of a member's buffer ... */
    uint64_t tx_copied_pkts;        /* ... or of a copy */
};

#endif
