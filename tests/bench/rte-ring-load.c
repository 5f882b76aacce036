/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that go round between two members through DPDK's rte_ring, one
 * sender and one receiver each, for bench_netvm.py: as netvm-load does, with
 * nothing that keeps members apart, says who owns a buffer, or wakes anybody.
 *
 * An element is the packet's address; with --descriptors it is 16 bytes, which
 * say what a netvm descriptor says.
 *
 * Threads: see circle.h.
 */
#include <errno.h>
#include <sys/mman.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "circle.h"
#include "netvm-atomic.h"
#include "rtnet/netvm-abi.h"

#define RING_ELEMENTS 1024
/* From one packet to the next: as a pool of DPDK's with its default size has
 * them, so that their first lines do not share sets of the cache. */
#define BUFFER_BYTES 2368
#define HEADROOM_BYTES 128
#define MEMORY_BYTES (4 << 20)      /* huge pages */

G_STATIC_ASSERT((CIRCLE_INFLIGHT_MAX + 1) * BUFFER_BYTES < MEMORY_BYTES);

static gboolean descriptors;

static struct rte_ring *ring[2];    /* to member 0, to member 1 */
static uint8_t *memory;

static inline uint8_t *data_of(const struct netvm_desc *d)
{
    return memory + (size_t)d->buffer * BUFFER_BYTES + d->offset;
}

/* -- One hop --------------------------------------------------------------- */

static inline unsigned pass_addresses(struct rte_ring *from,
                                      struct rte_ring *to)
{
    void *pkt[CIRCLE_BURST];
    unsigned n = rte_ring_sc_dequeue_burst(from, pkt, CIRCLE_BURST, NULL);
    unsigned sent = 0;

    for (unsigned k = 0; k < n && circle_opt.touch; k++) {
        netvm_prefetch_line(pkt[k]);
    }
    for (unsigned k = 0; k < n && circle_opt.touch; k++) {
        circle_touch(pkt[k]);
    }
    while (sent < n) {
        sent += rte_ring_sp_enqueue_burst(to, pkt + sent, n - sent, NULL);
    }
    return n;
}

static inline unsigned pass_descriptors(struct rte_ring *from,
                                        struct rte_ring *to, uint16_t member)
{
    struct netvm_desc pkt[CIRCLE_BURST];
    unsigned n = rte_ring_sc_dequeue_burst_elem(from, pkt, sizeof(*pkt),
                                                CIRCLE_BURST, NULL);
    unsigned sent = 0;

    for (unsigned k = 0; k < n && circle_opt.touch; k++) {
        netvm_prefetch_line(data_of(&pkt[k]));
    }
    for (unsigned k = 0; k < n; k++) {
        if (circle_opt.touch) {
            circle_touch(data_of(&pkt[k]));
        }
        pkt[k].word[1] = (pkt[k].word[1] & ~NETVM_DESC_PORT) | member;
    }
    while (sent < n) {
        sent += rte_ring_sp_enqueue_burst_elem(to, pkt + sent, sizeof(*pkt),
                                               n - sent, NULL);
    }
    return n;
}

static int pass_all(unsigned thread)
{
    int all = 0;

    for (unsigned i = thread; i < 2; i += circle_opt.threads) {
        all += descriptors ? pass_descriptors(ring[i], ring[!i], !i)
                           : pass_addresses(ring[i], ring[!i]);
    }
    return all;
}

/* -- Life ------------------------------------------------------------------ */

static bool make_ring(unsigned i, GError **error)
{
    size_t bytes = rte_ring_get_memsize_elem(
        descriptors ? sizeof(struct netvm_desc) : sizeof(void *),
        RING_ELEMENTS);

    ring[i] = g_aligned_alloc0(1, bytes, 4096);
    if (rte_ring_init(ring[i], i ? "to-1" : "to-0", RING_ELEMENTS,
                      RING_F_SP_ENQ | RING_F_SC_DEQ)) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "DPDK refuses a ring");
        return false;
    }
    return true;
}

static bool begin(GError **error)
{
    memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE,
                  -1, 0);
    if (memory == MAP_FAILED) {
        memory = NULL;
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "no huge pages (%s): set vm.nr_hugepages",
                    g_strerror(errno));
        return false;
    }
    if (!make_ring(0, error) || !make_ring(1, error)) {
        return false;
    }
    memset(memory, 2, MEMORY_BYTES);
    for (int i = 0; i < circle_opt.inflight; i++) {
        struct netvm_desc pkt = {
            .buffer = i, .offset = HEADROOM_BYTES, .length = circle_opt.bytes,
        };

        if (descriptors ? rte_ring_sp_enqueue_elem(ring[0], &pkt, sizeof(pkt))
                        : rte_ring_sp_enqueue(ring[0], data_of(&pkt))) {
            g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                        "DPDK's ring has no room for packet %d", i);
            return false;
        }
    }
    return true;
}

static void end(void)
{
    for (unsigned i = 0; i < 2; i++) {
        g_aligned_free(ring[i]);
    }
    if (memory) {
        munmap(memory, MEMORY_BYTES);
    }
}

int main(int argc, char **argv)
{
    static const GOptionEntry entries[] = {
        { "descriptors", 0, 0, G_OPTION_ARG_NONE, &descriptors,
          "Elements of 16 bytes, not addresses", NULL },
        { 0 },
    };
    static const Circle circle = {
        .name = "rte-ring-load",
        .summary = "Sends packets round through DPDK's rte_ring; see "
                   "bench_netvm.py.",
        .entries = entries,
        .begin = begin,
        .pass = pass_all,
        .end = end,
    };

    return circle_main(argc, argv, &circle);
}
