/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "domain-region.h"
#include "switch.h"

#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)
#define ALIGN_BYTES (UINT64_C(64) << 10)
#define LONG_BITS (8 * sizeof(long))

G_STATIC_ASSERT(DOMAIN_NODE_ANY == UINT32_MAX);     /* as members see it */

#define FAILED(error, ...) g_set_error(error, SWITCH_ERROR, 0, __VA_ARGS__)

static uint64_t align(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* -- Files ----------------------------------------------------------------- */

/* What the host can give before it has to end processes; UINT64_MAX: it does
 * not say. */
static uint64_t available_bytes(void)
{
    g_autofree char *text = NULL;
    const char *at;

    if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL)) {
        return UINT64_MAX;
    }
    at = strstr(text, "MemAvailable:");
    return at ? g_ascii_strtoull(at + strlen("MemAvailable:"), NULL, 10) << 10
              : UINT64_MAX;
}

/* All pages of @at that are not there yet come from that node.  False with
 * errno set: EINVAL, there is none. */
static bool bind_to_node(void *at, uint64_t bytes, unsigned node)
{
    unsigned long mask[DOMAIN_NODES / LONG_BITS] = { 0 };

    if (node == DOMAIN_NODE_ANY) {
        return true;
    }
    mask[node / LONG_BITS] = 1ul << node % LONG_BITS;
    if (syscall(SYS_mbind, at, bytes, MPOL_BIND, mask, DOMAIN_NODES + 1, 0) ==
        0) {
        return true;
    }
    if (errno == ENOSYS) {
        /* A kernel without NUMA has one node. */
        errno = EINVAL;
        return node == 0;
    }
    return false;
}

/* Members must never find that a page is missing. */
static bool place_pages(const DomainSegment *s)
{
    return bind_to_node(s->host, s->bytes, s->node) &&
           fallocate(s->fd, 0, 0, s->bytes) == 0 &&
           fcntl(s->fd, F_ADD_SEALS,
                 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

/* A file, mapped; false with errno set: nothing is left of it. */
static bool make_file(DomainSegment *s, const char *name)
{
    g_autofree char *full = g_strdup_printf("netvm-%s", name);
    int failure;

    s->host = MAP_FAILED;
    s->fd = memfd_create(full, MFD_CLOEXEC | MFD_ALLOW_SEALING |
                               (s->huge ? MFD_HUGETLB : 0));
    if (s->fd < 0) {
        return false;
    }
    if (!s->huge && s->bytes > available_bytes()) {
        errno = ENOMEM;
    } else if (ftruncate(s->fd, s->bytes) == 0) {
        s->host = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                       s->fd, 0);
        if (s->host != MAP_FAILED && place_pages(s)) {
            return true;
        }
    }
    failure = errno;
    if (s->host != MAP_FAILED) {
        munmap(s->host, s->bytes);
    }
    close(s->fd);
    errno = failure;
    return false;
}

bool domain_region_check_node(unsigned node, GError **error)
{
    size_t bytes = sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool is_there = page != MAP_FAILED && bind_to_node(page, bytes, node);
    int failure = errno;

    if (page != MAP_FAILED) {
        munmap(page, bytes);
    }
    if (!is_there) {
        FAILED(error, "node=%u: %s", node, failure == EINVAL
               ? "there is no such NUMA node, or the daemon may not use it: "
                 "\"numactl --show\" lists them" : g_strerror(failure));
    }
    return is_there;
}

/* A file of @bytes, mapped; false with @error set. */
static bool make_segment(DomainSegment *s, const char *name, uint64_t bytes,
                         unsigned pages, unsigned node, GError **error)
{
    bool made;

    if (!domain_region_check_node(node, error)) {
        g_prefix_error(error, "domain %s: ", name);
        return false;
    }
    s->bytes = bytes;
    s->node = node;
    s->huge = pages != DOMAIN_PAGES_ORDINARY;
    made = s->huge && make_file(s, name);
    if (!made && pages == DOMAIN_PAGES_HUGE) {
        FAILED(error, "domain %s: no %" PRIu64 " MiB of huge pages (%s): raise "
               "vm.nr_hugepages by %" PRIu64 ", or say pages=auto", name,
               bytes >> 20, g_strerror(errno), bytes / HUGE_PAGE_BYTES);
        return false;
    }
    if (!made) {
        s->huge = false;
        made = make_file(s, name);
    }
    if (!made) {
        FAILED(error, "domain %s: no %" PRIu64 " MiB of memory: %s; say fewer "
               "buffers=", name, bytes >> 20, g_strerror(errno));
    }
    return made;
}

/* -- Layout ---------------------------------------------------------------- */

/* Where tables and rings lie; returns the first byte behind them. */
static uint64_t lay_out_tables(DomainRegion *r)
{
    const DomainSettings *l = &r->layout;
    uint64_t at = sizeof(struct netvm_region);

    r->members_offset = at;
    at += (l->members + 1) * sizeof(struct netvm_member);
    r->stats_offset = at;
    at += (l->members + 1) * sizeof(struct netvm_stats);
    r->services_offset = at;
    at += NETVM_SERVICES_MAX * sizeof(struct netvm_service);
    r->flows_offset = at;
    at += DOMAIN_FLOWS * sizeof(struct netvm_flow);
    r->rings_offset = align(at, ALIGN_BYTES);
    /* Two lines more, so that the same place of all rings is not the same
     * place of the cache. */
    r->ring_bytes = sizeof(struct netvm_ring) +
                    l->ring_descs * sizeof(struct netvm_desc) +
                    2 * NETVM_LINE_BYTES;
    return r->rings_offset + (uint64_t)NETVM_RINGS(l->members) * r->ring_bytes;
}

/* Owner words and buffers, from @used on in a segment that is to hold
 * @buffers; it gets as many as its last page has room for. */
static uint64_t segment_bytes(const DomainRegion *r, uint64_t used,
                              uint64_t buffers)
{
    return align(align(used + buffers * sizeof(uint64_t), ALIGN_BYTES) +
                 buffers * r->layout.buffer_bytes, HUGE_PAGE_BYTES);
}

static void fill_segment(DomainRegion *r, unsigned number, uint64_t used)
{
    DomainSegment *s = &r->segment[number];
    uint64_t buffer_bytes = r->layout.buffer_bytes;
    uint64_t buffers = (s->bytes - used) / (buffer_bytes + sizeof(uint64_t));
    struct netvm_segment *shown = &r->shared->segment[number];
    uint64_t at;

    /* Rounding may cost the last one or the last few. */
    while (align(used + buffers * sizeof(uint64_t), ALIGN_BYTES) +
           buffers * buffer_bytes > s->bytes) {
        buffers--;
    }
    buffers = MIN(buffers, NETVM_INDEX_MASK + 1);
    at = align(used + buffers * sizeof(uint64_t), ALIGN_BYTES);
    *shown = (struct netvm_segment) {
        .offset = s->offset,
        .bytes = s->bytes,
        .owners_offset = s->offset + used,
        .buffers_offset = s->offset + at,
        .buffers = buffers,
        .node = s->node,
    };
    s->buffers = buffers;
    /* Of a map without buffers, until they are given away. */
    r->map.segment[number].owners = (uint64_t *)(s->host + used);
    r->map.segment[number].buffers = s->host + at;
}

/* -- Life ------------------------------------------------------------------ */

static void fill_region(DomainRegion *r)
{
    struct netvm_region *shown = r->shared;

    while (r->id == 0) {
        if (getrandom(&r->id, sizeof(r->id), 0) < 0) {
            r->id = g_get_real_time();
        }
    }
    *shown = (struct netvm_region) {
        .version_major = NETVM_VERSION_MAJOR,
        .version_minor = NETVM_VERSION_MINOR,
        .features = r->layout.direct ? NETVM_F_DIRECT : 0,
        .members = r->layout.members,
        .ring_descs = r->layout.ring_descs,
        .ring_bytes = r->ring_bytes,
        .buffer_bytes = r->layout.buffer_bytes,
        .services = NETVM_SERVICES_MAX,
        .flows = DOMAIN_FLOWS,
        .members_offset = r->members_offset,
        .stats_offset = r->stats_offset,
        .services_offset = r->services_offset,
        .flows_offset = r->flows_offset,
        .rings_offset = r->rings_offset,
        .id = r->id,
    };
}

DomainRegion *domain_region_new(const DomainSettings *layout,
                                const char *name, GError **error)
{
    DomainRegion *r = g_new0(DomainRegion, 1);
    uint64_t used;

    r->layout = *layout;
    r->map.buffer_bytes = layout->buffer_bytes;
    r->map.buffer_shift = g_bit_nth_lsf(layout->buffer_bytes, -1);
    used = lay_out_tables(r);
    if (!make_segment(&r->segment[0], name,
                      segment_bytes(r, used, layout->buffers), layout->pages,
                      layout->node, error)) {
        g_free(r);
        return NULL;
    }
    r->shared = (struct netvm_region *)r->segment[0].host;
    r->segments = 1;
    r->bytes = r->segment[0].bytes;
    fill_region(r);
    fill_segment(r, 0, used);
    netvm_write32(&r->shared->segments, 1);
    domain_region_new_epoch(r);
    r->shared->magic = NETVM_MAGIC;
    return r;
}

bool domain_region_grow(DomainRegion *r, unsigned buffers, unsigned node,
                        const char *name, GError **error)
{
    unsigned number = r->segments;
    DomainSegment *s = &r->segment[number];

    if (number == NETVM_SEGMENTS_MAX) {
        FAILED(error, "domain %s has %u segments, and there are no more: make "
               "it anew with more buffers=", name, number);
        return false;
    }
    if (!make_segment(s, name, segment_bytes(r, 0, buffers), r->layout.pages,
                      node, error)) {
        return false;
    }
    s->offset = r->bytes;
    r->bytes += s->bytes;
    fill_segment(r, number, 0);
    r->segments++;
    netvm_write32(&r->shared->segments, r->segments);
    return true;
}

void domain_region_free(DomainRegion *r)
{
    for (unsigned i = 0; i < r->segments; i++) {
        munmap(r->segment[i].host, r->segment[i].bytes);
        close(r->segment[i].fd);
    }
    g_free(r);
}

void domain_region_new_epoch(DomainRegion *r)
{
    netvm_write_release(&r->shared->epoch, ++r->epoch);
}
