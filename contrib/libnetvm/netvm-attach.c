/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * To become a member and to be one no more; rings that open and close.
 *
 * Theory of operation.  The daemon closes a ring by its state and then makes a
 * new epoch.  We say that we have seen an epoch once we have read the states
 * again: from then on nothing is written to what was closed before, and what
 * lies in segments that came before can be read.  Who sleeps says that he looks
 * at nothing, and when he is back that he is, before he reads anything.
 *
 * Threads: see netvm-impl.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "netvm-impl.h"

/* A segment that was announced is mapped by then. */
#define SEGMENT_WAIT_MS 1000

void netvm_error(struct netvm *nv, const char *format, ...)
{
    va_list args;

    if (nv->error) {
        va_start(args, format);
        vsnprintf(nv->error, NETVM_ERROR_BYTES, format, args);
        va_end(args);
    }
}

/* -- Rings ----------------------------------------------------------------- */

static struct netvm_ring *ring_at(const struct netvm *nv, uint32_t number)
{
    return (struct netvm_ring *)((uint8_t *)nv->region +
                                 nv->layout.rings_offset +
                                 (uint64_t)number * nv->layout.ring_bytes);
}

static void open_sender(struct netvm *nv, struct netvm_sender *s,
                        uint32_t number)
{
    s->ring = ring_at(nv, number);
    s->number = number;
    s->descs = nv->layout.ring_descs;
    s->tail = netvm_read_acquire(&s->ring->tail);
    s->head_seen = netvm_read_acquire(&s->ring->head);
}

static void open_receiver(struct netvm *nv, struct netvm_receiver *r,
                          uint32_t number)
{
    r->ring = ring_at(nv, number);
    r->descs = nv->layout.ring_descs;
    r->head = netvm_read_acquire(&r->ring->head);
    r->tail_seen = r->head;
    netvm_receiver_stay_awake(r);
}

/* To and from all others, as the states of the rings say. */
static void look_at_rings(struct netvm *nv)
{
    unsigned members = nv->layout.members;

    nv->from_n = nv->from_next = 0;
    for (unsigned m = 1; m <= members; m++) {
        uint64_t bit = UINT64_C(1) << m;
        struct netvm_receiver *rx = &nv->direct_rx[m];
        const struct netvm_ring *to, *from;

        if (m == nv->self) {
            continue;
        }
        to = ring_at(nv, NETVM_RING_DIRECT(members, nv->self, m));
        from = ring_at(nv, NETVM_RING_DIRECT(members, m, nv->self));
        if (netvm_read32(&to->state) != NETVM_RING_OPEN) {
            nv->direct_open &= ~bit;
        } else if (!(nv->direct_open & bit)) {
            open_sender(nv, &nv->direct_tx[m],
                        NETVM_RING_DIRECT(members, nv->self, m));
            nv->direct_open |= bit;
        }
        if (!rx->ring) {
            open_receiver(nv, rx, NETVM_RING_DIRECT(members, m, nv->self));
        }
        /* What has come before it was closed is ours. */
        if (netvm_read32(&from->state) == NETVM_RING_OPEN ||
            netvm_receiver_ready(rx)) {
            nv->from[nv->from_n++] = m;
        }
    }
}

/* -- Segments -------------------------------------------------------------- */

/* Is all of a table in what is mapped, from the beginning of a line on? */
static bool lies(const struct netvm *nv, uint64_t offset, uint64_t n,
                 uint64_t bytes)
{
    return offset % NETVM_LINE_BYTES == 0 && offset <= nv->mapped_bytes &&
           n * bytes <= nv->mapped_bytes - offset;
}

/* All owner words, and then all buffers, in the segment? */
static bool check_segment(const struct netvm *nv, const struct netvm_segment *s)
{
    const uint64_t bytes = nv->map.buffer_bytes;

    return s->buffers <= NETVM_INDEX_MASK + 1 &&
           lies(nv, s->offset, s->bytes, 1) &&
           lies(nv, s->owners_offset, s->buffers, sizeof(uint64_t)) &&
           lies(nv, s->buffers_offset, s->buffers, bytes) &&
           s->owners_offset >= s->offset &&
           s->owners_offset + s->buffers * sizeof(uint64_t) <=
           s->buffers_offset &&
           s->buffers_offset + s->buffers * bytes <= s->offset + s->bytes;
}

/* Those that are mapped and were not there before.  False: one is not mapped
 * yet. */
static bool look_at_segments(struct netvm *nv)
{
    const struct netvm_region *r = nv->region;
    uint32_t n = netvm_read32(&r->segments), buffers = 0;
    bool whole = true;

    for (uint32_t i = 0; i < n && i < NETVM_SEGMENTS_MAX; i++) {
        struct netvm_segment s = r->segment[i];

        netvm_copied();
        if (nv->map.segment[i].n == 0 && nv->segments_mapped >> i & 1 &&
            check_segment(nv, &s)) {
            nv->map.segment[i].buffers = (uint8_t *)r + s.buffers_offset;
            nv->map.segment[i].owners =
                (uint64_t *)((uint8_t *)r + s.owners_offset);
            nv->map.segment[i].n = s.buffers;
        }
        whole &= nv->map.segment[i].n > 0;
        buffers += nv->map.segment[i].n;
    }
    if (buffers > nv->cache_max) {
        uint32_t *cache = realloc(nv->cache, buffers * sizeof(*cache));

        /* Else what is new stays with those who have it. */
        if (cache) {
            nv->cache = cache;
            nv->cache_max = buffers;
        }
    }
    return whole;
}

/* -- Epochs ---------------------------------------------------------------- */

/* Is it still the region we know, and we the member? */
static bool is_ours(const struct netvm *nv)
{
    return netvm_read(&nv->region->id) == nv->region_id &&
           netvm_read32(&nv->member->serial) == nv->serial;
}

int netvm_new_epoch(struct netvm *nv)
{
    uint64_t epoch;
    bool whole;

    if (!is_ours(nv)) {
        return -ESTALE;
    }
    do {
        /* Nothing new, but that we are not idle any more. */
        netvm_write_release(&nv->member->epoch_seen, nv->epoch_said);
        netvm_fence();          /* pairs with the daemon's look at it */
        epoch = netvm_read_acquire(&nv->region->epoch);
        /* What it sent came before the epoch.  If it has gone since, the
         * others are still there. */
        nv->transport->update(nv);
        if (!is_ours(nv)) {
            return -ESTALE;
        }
        whole = look_at_segments(nv);
        look_at_rings(nv);
    } while (netvm_read_acquire(&nv->region->epoch) != epoch);
    /* Until all segments are there: look again, and say nothing. */
    nv->epoch = whole ? epoch : 0;
    if (whole) {
        nv->epoch_said = epoch;
        netvm_write_release(&nv->member->epoch_seen, epoch);
    }
    return 0;
}

void netvm_offline(struct netvm *nv)
{
    netvm_write_release(&nv->member->epoch_seen, NETVM_EPOCH_IDLE);
}

int netvm_online(struct netvm *nv)
{
    return netvm_new_epoch(nv);
}

/* -- Life ------------------------------------------------------------------ */

static bool is_power_of_two(uint64_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

/* Of what the daemon has made, so that what is not its region is not used. */
static bool check_region(struct netvm *nv)
{
    const struct netvm_region *r = &nv->layout;

    if (r->magic != NETVM_MAGIC || r->version_major != NETVM_VERSION_MAJOR) {
        netvm_error(nv, "the shared memory is no netvm region of version %u: "
                    "daemon and library have to be of one release",
                    NETVM_VERSION_MAJOR);
        return false;
    }
    if (r->members < 1 || r->members > NETVM_MEMBERS_MAX ||
        nv->self < 1 || nv->self > r->members ||
        !is_power_of_two(r->ring_descs) ||
        r->ring_bytes % NETVM_LINE_BYTES != 0 ||
        r->ring_bytes < sizeof(struct netvm_ring) +
                        (uint64_t)r->ring_descs * sizeof(struct netvm_desc) ||
        !is_power_of_two(r->buffer_bytes) || r->buffer_bytes > 1 << 16 ||
        !is_power_of_two(r->flows) || r->services > NETVM_SERVICES_MAX ||
        !lies(nv, r->members_offset, r->members + 1,
              sizeof(struct netvm_member)) ||
        !lies(nv, r->stats_offset, r->members + 1,
              sizeof(struct netvm_stats)) ||
        !lies(nv, r->services_offset, r->services,
              sizeof(struct netvm_service)) ||
        !lies(nv, r->flows_offset, r->flows, sizeof(struct netvm_flow)) ||
        !lies(nv, r->rings_offset, NETVM_RINGS(r->members), r->ring_bytes)) {
        netvm_error(nv, "the shared memory's tables do not fit into it: "
                    "remove and add the domain");
        return false;
    }
    return true;
}

/* The transport has what it takes. */
static bool begin(struct netvm *nv)
{
    uint8_t *base = (uint8_t *)nv->region;
    const struct netvm_region *r = &nv->layout;
    unsigned tries = SEGMENT_WAIT_MS;

    nv->layout = *nv->region;
    netvm_copied();
    if (!check_region(nv)) {
        return false;
    }
    memset(&nv->map, 0, sizeof(nv->map));
    nv->map.buffer_bytes = r->buffer_bytes;
    nv->map.buffer_shift = __builtin_ctz(r->buffer_bytes);
    nv->region_id = r->id;
    nv->member = (struct netvm_member *)(base + r->members_offset) + nv->self;
    nv->stats = (struct netvm_stats *)(base + r->stats_offset) + nv->self;
    nv->flows_offset = r->flows_offset;
    nv->flows = r->flows;
    nv->services_offset = r->services_offset;
    nv->services = r->services;
    nv->port = nv->member->port;
    nv->direct_open = 0;
    nv->epoch = nv->epoch_said = 0;
    nv->cache_n = 0;
    memset(nv->direct_rx, 0, sizeof(nv->direct_rx));
    memset(nv->stats, 0, offsetof(struct netvm_stats, given_pkts));
    open_receiver(nv, &nv->rx, NETVM_RING_RX(nv->self));
    open_receiver(nv, &nv->fill, NETVM_RING_FILL(nv->self));
    open_sender(nv, &nv->tx, NETVM_RING_TX(nv->self));
    do {
        if (netvm_new_epoch(nv) < 0 || tries-- == 0) {
            netvm_error(nv, "the daemon has changed the shared memory "
                        "meanwhile: try again");
            return false;
        }
        if (nv->epoch == 0) {
            nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
        }
    } while (nv->epoch == 0);
    netvm_write32(&nv->member->serial_attached, nv->serial);
    nv->transport->ring(nv, NETVM_DAEMON);
    nv->transport->rung(nv);    /* for what we have seen */
    return true;
}

NETVM_PUBLIC struct netvm *netvm_attach(const char *where, int timeout_ms,
                                        char error[NETVM_ERROR_BYTES])
{
    struct netvm *nv = calloc(1, sizeof(*nv));
    int status;

    if (!nv) {
        snprintf(error, NETVM_ERROR_BYTES, "out of memory");
        return NULL;
    }
    nv->error = error;
    if (!where) {
        where = getenv("NETVM");
    }
    if (where && strncmp(where, "unix:", 5) == 0) {
        status = netvm_open_host(nv, where + 5, timeout_ms);
    } else if (!where || strcmp(where, "pci") == 0) {
        status = netvm_open_guest(nv, NULL, timeout_ms);
    } else if (strncmp(where, "pci:", 4) == 0) {
        status = netvm_open_guest(nv, where + 4, timeout_ms);
    } else {
        netvm_error(nv, "\"%s\": say unix:PATH, or pci:ADDRESS", where);
        status = -EINVAL;
    }
    if (status < 0 || !begin(nv)) {
        netvm_detach(nv);
        return NULL;
    }
    nv->error = NULL;
    return nv;
}

NETVM_PUBLIC int netvm_reattach(struct netvm *nv, int timeout_ms)
{
    int status = nv->transport->reset(nv, timeout_ms);

    if (status < 0) {
        return status;
    }
    return begin(nv) ? 0 : -EPROTO;
}

NETVM_PUBLIC void netvm_detach(struct netvm *nv)
{
    if (nv) {
        if (nv->transport) {
            nv->transport->close(nv);
        }
        free(nv->cache);
        free(nv);
    }
}
