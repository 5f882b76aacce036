/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's memory, as its front end shares it: regions that are mapped here
 * once and stay mapped.
 *
 * Descriptors name guest physical addresses, ring addresses are those of the
 * front end's own process.  Either way a range lies within one region or does
 * not exist: nothing that a peer says is added to a pointer before that check.
 *
 * A peer can shrink the file behind a region at any time, and the next access
 * is a SIGBUS.  guest_mem_catch_sigbus() makes that harmless: zero pages take
 * the region's place, and the memory counts as lost.
 *
 * While a guest migrates, what is written to its memory is noted page by page
 * in a bitmap that the front end shares, too.
 *
 * Threads: the control thread changes it while no worker runs; any number of
 * workers read it.  The bitmap's bits are set atomically.
 */
#ifndef VUS_GUEST_MEM_H
#define VUS_GUEST_MEM_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define GUEST_MEM_MAX_REGIONS 509
#define GUEST_LOG_PAGE_BYTES 4096       /* fixed by the vhost-user protocol */

typedef enum GuestMemError {
    GUEST_MEM_ERROR_PEER,       /* the front end has sent what cannot be */
    GUEST_MEM_ERROR_HOST,       /* this host refused */
} GuestMemError;

#define GUEST_MEM_ERROR guest_mem_error_quark()
GQuark guest_mem_error_quark(void);

/* What a front end says of a region. */
typedef struct GuestRegionSpec {
    uint64_t guest_addr;        /* physical */
    uint64_t bytes;
    uint64_t user_addr;         /* where the front end has it */
    uint64_t file_offset;
} GuestRegionSpec;

typedef struct GuestRegion {
    uint64_t guest_addr;
    uint64_t bytes;
    uint64_t user_addr;
    uint8_t *host;              /* where the region's first byte is here */
    void *map;                  /* what was mapped: whole pages */
    size_t map_bytes;
} GuestRegion;

typedef struct GuestMem {
    unsigned n;
    bool lost;                  /* atomic; set by the handler of SIGBUS */
    uint8_t *log;               /* dirty bitmap, or NULL */
    uint64_t log_pages;
    void *log_map;
    size_t log_map_bytes;
    /* By guest_addr; the first is empty while there is none. */
    GuestRegion region[GUEST_MEM_MAX_REGIONS];
} GuestMem;

/* -- Life ------------------------------------------------------------------ */

/* Zeroed memory is empty guest memory. */
void guest_mem_clear(GuestMem *m);

/*
 * Map a region of the file @fd, which is only read from and stays the
 * caller's.  False with @error set: nothing has changed.
 */
bool guest_mem_add(GuestMem *m, const GuestRegionSpec *spec, int fd,
                   GError **error);

/* Unmap the region that was added with the same three numbers. */
bool guest_mem_remove(GuestMem *m, const GuestRegionSpec *spec,
                      GError **error);

/* Move all regions to @to, which has none: put aside while others are tried. */
void guest_mem_take_regions(GuestMem *to, GuestMem *from);

/*
 * From now on note what is written, in @bytes of the file @fd at @offset; any
 * bitmap from before is let go.  @fd < 0: no more.
 */
bool guest_mem_set_log(GuestMem *m, int fd, uint64_t offset, uint64_t bytes,
                       GError **error);

/* Once per process, before any region is mapped. */
void guest_mem_catch_sigbus(void);

/* -- Look up --------------------------------------------------------------- */

const GuestRegion *guest_mem_find(const GuestMem *m, uint64_t guest_addr);

/*
 * Where the range is here, or NULL if it does not lie within one region.
 * @hint: index of the region that is tried first, and is tried next time.
 */
static inline uint8_t *guest_mem_at(const GuestMem *m, unsigned *hint,
                                    uint64_t guest_addr, uint64_t bytes)
{
    const GuestRegion *r = &m->region[*hint];
    uint64_t offset = guest_addr - r->guest_addr;

    if (G_UNLIKELY(offset >= r->bytes)) {
        r = guest_mem_find(m, guest_addr);
        if (!r) {
            return NULL;
        }
        *hint = r - m->region;
        offset = guest_addr - r->guest_addr;
    }
    return G_LIKELY(bytes <= r->bytes - offset) ? r->host + offset : NULL;
}

/* The same for an address of the front end's; *@guest_addr is what it is to
 * the guest. */
uint8_t *guest_mem_at_user(const GuestMem *m, uint64_t user_addr,
                           uint64_t bytes, uint64_t *guest_addr);

/* Has a region's file gone?  What is read is zeroes then. */
static inline bool guest_mem_is_lost(const GuestMem *m)
{
    return __atomic_load_n(&m->lost, __ATOMIC_RELAXED);
}

/* -- Dirty pages ----------------------------------------------------------- */

void guest_mem_log(const GuestMem *m, uint64_t guest_addr, uint64_t bytes);
void guest_mem_log_host(const GuestMem *m, const uint8_t *data, uint64_t bytes);

/* @bytes at @data, which lies within one region, were written; call it after
 * writing. */
static inline void guest_mem_dirty(const GuestMem *m, const uint8_t *data,
                                   uint64_t bytes)
{
    if (G_UNLIKELY(m->log)) {
        guest_mem_log_host(m, data, bytes);
    }
}

#endif
