/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libnetvm: packets of a domain, in shared memory, for a network function in a
 * virtual machine (or in a process on the host).
 *
 * A packet is a struct netvm_desc: where it lies, how long it is, and what the
 * next one is asked to do with it.  Whoever has received or allocated it owns
 * its buffer until it is sent or freed, and reads and writes it in place; it is
 * never copied between members.
 *
 *     char error[NETVM_ERROR_BYTES];
 *     struct netvm *nv = netvm_attach(NULL, -1, error);
 *     struct netvm_desc pkt[32];
 *
 *     for (;;) {
 *         int n = netvm_rx_burst(nv, pkt, 32), sent = 0;
 *
 *         for (int i = 0; i < n; i++) {
 *             work_on(netvm_data(nv, &pkt[i]), pkt[i].length);
 *             netvm_set_action(&pkt[i], NETVM_NEXT);
 *         }
 *         if (n > 0 && (sent = netvm_tx_burst(nv, pkt, n)) >= 0) {
 *             netvm_free(nv, pkt + sent, n - sent);
 *         }
 *     }
 *
 * Errors are negative errno values; the library prints nothing and never ends
 * the process.
 *
 * Threads: an attachment belongs to one thread at a time.
 */
#ifndef NETVM_H
#define NETVM_H

#include <stdbool.h>
#include <stdint.h>

#include "rtnet/netvm-abi.h"
#include "netvm-map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct netvm;

/* -- Life ------------------------------------------------------------------ */

#define NETVM_ERROR_BYTES 256

/*
 * Become a member.  @where: "unix:PATH", the socket of the daemon's port, for a
 * process on the host; "pci:DOMAIN:BUS:SLOT.FUNCTION" or "pci", the device in a
 * guest; NULL: the environment variable NETVM, else "pci".  Waits up to
 * @timeout_ms for the daemon, without end if negative.  Returns NULL with a
 * line in @error that says what to do.
 */
struct netvm *netvm_attach(const char *where, int timeout_ms,
                           char error[NETVM_ERROR_BYTES]);

/* All that it owns goes back to the daemon.  @nv may be NULL. */
void netvm_detach(struct netvm *nv);

/*
 * Once -ESTALE was returned (the daemon was restarted, or the device reset),
 * packets and buffers from before are no more: become a member again, on the
 * same connection.  Returns 0 or a negative errno.
 */
int netvm_reattach(struct netvm *nv, int timeout_ms);

/* -- Packets --------------------------------------------------------------- */

/* Where a packet's first byte is; pkt->length bytes are valid. */
static inline uint8_t *netvm_data(const struct netvm *nv,
                                  const struct netvm_desc *pkt)
{
    return netvm_map_buffer((const struct netvm_map *)nv, pkt->buffer) +
           pkt->offset;
}

/*
 * What the next one is asked to do with it.  Fields of a descriptor may as well
 * be set one by one; this writes the whole word at once, as it is read again by
 * netvm_tx_burst(), which then need not wait for the parts.
 */
static inline void netvm_set_action(struct netvm_desc *pkt,
                                    enum netvm_action action)
{
    pkt->word[1] = (pkt->word[1] & ~NETVM_DESC_ACTION) |
                   (uint64_t)action << NETVM_DESC_ACTION_SHIFT;
}

/* And to, or with, which @port, member or service. */
static inline void netvm_set_action_to(struct netvm_desc *pkt,
                                       enum netvm_action action, uint16_t port)
{
    pkt->word[1] = (pkt->word[1] & ~(NETVM_DESC_ACTION | NETVM_DESC_PORT)) |
                   (uint64_t)action << NETVM_DESC_ACTION_SHIFT | port;
}

/* The longest packet that an allocated buffer holds, bytes; there are at least
 * NETVM_HEADROOM_BYTES in front of it. */
unsigned netvm_max_bytes(const struct netvm *nv);

/*
 * Up to @n packets that came, in the order in which each sender has sent them.
 * Returns how many (0: none), or -ESTALE.  The first line of each is fetched
 * into the processor's cache meanwhile, so that all of a burst wait once.
 */
int netvm_rx_burst(struct netvm *nv, struct netvm_desc *pkt, unsigned n);

/*
 * Send up to @n packets, each to where its action says: straight to a member
 * that may be reached so, else through the daemon.  Returns how many were
 * sent, from the first on; the rest is still the caller's (no room; try again,
 * or free them), or -ESTALE; -EINVAL: the first one is no packet of ours.
 */
int netvm_tx_burst(struct netvm *nv, const struct netvm_desc *pkt, unsigned n);

/*
 * Up to @n empty packets, of length 0, to be switched.  Returns how many: fewer
 * if no more buffers are free now; or -ESTALE.
 */
int netvm_alloc(struct netvm *nv, struct netvm_desc *pkt, unsigned n);

/* Give buffers back; packets that are none of ours are ignored. */
void netvm_free(struct netvm *nv, const struct netvm_desc *pkt, unsigned n);

/* -- Waiting --------------------------------------------------------------- */

/*
 * Sleep until packets have come.  Returns 1, now and then without any; 0 after
 * @timeout_ms (negative: never), or if a signal came; -ESTALE; -EPIPE: the
 * daemon has gone, and only members that are reached directly are left.
 */
int netvm_wait(struct netvm *nv, int timeout_ms);

/*
 * For an event loop: netvm_fd() becomes readable when packets come after
 * netvm_arm() has returned 0 (1: some are there already; negative: as
 * netvm_wait()).  After it was readable, netvm_disarm().
 */
int netvm_fd(const struct netvm *nv);
int netvm_arm(struct netvm *nv);
void netvm_disarm(struct netvm *nv);

/* -- Who is there ---------------------------------------------------------- */

/* Our number as a member, from 1. */
unsigned netvm_self(const struct netvm *nv);

/* The number of a member, or of a service, by its name; -ENOENT. */
int netvm_find_member(const struct netvm *nv, const char *name);
int netvm_find_service(const struct netvm *nv, const char *name);

/* Is it a guest's device without the kernel module?  Its memory is not cached
 * then, and whoever waits looks once a millisecond. */
bool netvm_is_slow(const struct netvm *nv);

/* The region, to be read only.  Any member can write any of it, and a device
 * that is reset shows all ones. */
const struct netvm_region *netvm_region(const struct netvm *nv);

/* What of its beginning does not change, segments left out: a copy, all of
 * whose tables fit into the region. */
const struct netvm_region *netvm_layout(const struct netvm *nv);

/* What member @m has counted; NULL: there is no such number. */
const struct netvm_stats *netvm_stats(const struct netvm *nv, unsigned m);

#ifdef __cplusplus
}
#endif

#endif
