/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory that the members of a domain share: segments, tables and rings,
 * laid out as rtnet/netvm-abi.h says.
 *
 * Members may write to any of it at any time.  What the daemon needs to know
 * of the layout it has in memory of its own, and reads nothing of that back.
 *
 * Segments are files that can neither shrink nor grow, of huge pages if there
 * are some, on one NUMA node if it was named, with all pages in place.
 *
 * Threads: the control thread makes it; workers read what is in here.
 */
#ifndef VUS_DOMAIN_REGION_H
#define VUS_DOMAIN_REGION_H

#include <glib.h>

#include "domain-settings.h"
#include "netvm-ring.h"

#define DOMAIN_FLOWS 4096           /* a power of two */

typedef struct DomainSegment {
    int fd;
    uint64_t offset;                /* in the region */
    uint64_t bytes;
    uint32_t buffers;
    uint8_t *host;
    bool huge;
    unsigned node;                  /* or DOMAIN_NODE_ANY */
} DomainSegment;

typedef struct DomainRegion {
    DomainSettings layout;          /* as it was made */
    struct netvm_region *shared;    /* segment 0; only written */
    struct netvm_map map;           /* buffers of segments that are used */
    uint32_t ring_bytes;
    uint64_t members_offset, stats_offset, services_offset, flows_offset;
    uint64_t rings_offset;
    uint64_t id;
    uint64_t epoch;
    uint64_t bytes;
    unsigned segments;
    DomainSegment segment[NETVM_SEGMENTS_MAX];
} DomainRegion;

/* NULL with @error set. */
DomainRegion *domain_region_new(const DomainSettings *layout,
                                const char *name, GError **error);
void domain_region_free(DomainRegion *r);

/* A segment more, of @buffers at least, on NUMA node @node; members see it with
 * the next epoch. */
bool domain_region_grow(DomainRegion *r, unsigned buffers, unsigned node,
                        const char *name, GError **error);

/* Is there such a node, which we may use? */
bool domain_region_check_node(unsigned node, GError **error);

/* All that was written before is to be seen. */
void domain_region_new_epoch(DomainRegion *r);

static inline void *domain_region_at(const DomainRegion *r, uint64_t offset)
{
    return (uint8_t *)r->shared + offset;
}

static inline struct netvm_ring *domain_region_ring(const DomainRegion *r,
                                                    unsigned number)
{
    return domain_region_at(r, r->rings_offset +
                               (uint64_t)number * r->ring_bytes);
}

static inline struct netvm_member *domain_region_member(const DomainRegion *r,
                                                        unsigned member)
{
    return (struct netvm_member *)domain_region_at(r, r->members_offset) +
           member;
}

static inline struct netvm_stats *domain_region_stats(const DomainRegion *r,
                                                      unsigned member)
{
    return (struct netvm_stats *)domain_region_at(r, r->stats_offset) + member;
}

static inline struct netvm_service *
domain_region_service(const DomainRegion *r, unsigned service)
{
    return (struct netvm_service *)domain_region_at(r, r->services_offset) +
           service;
}

static inline struct netvm_flow *domain_region_flows(const DomainRegion *r)
{
    return domain_region_at(r, r->flows_offset);
}

#endif
