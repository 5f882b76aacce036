/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's memory: mapped regions, SIGBUS, dirty pages.
 *
 * Threads: see guest-mem.h; the handler of SIGBUS runs in whichever thread
 * touched the page, and touches only the table of what is mapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "guest-mem.h"

G_DEFINE_QUARK(guest-mem-error-quark, guest_mem_error)

#define PEER_ERROR(error, ...) \
    g_set_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_PEER, __VA_ARGS__)
#define HOST_ERROR(error, ...) \
    g_set_error(error, GUEST_MEM_ERROR, GUEST_MEM_ERROR_HOST, __VA_ARGS__)

/* -- SIGBUS ---------------------------------------------------------------- */

/*
 * All that is mapped from a peer's files.  Slots are taken and given up by the
 * control thread; the handler reads them.  A slot's base is written last when
 * it is taken, and first when it is given up; the handler reads it before and
 * behind the rest.
 */
#define MAX_GUARDS 4096

typedef struct Guard {
    uintptr_t base;             /* atomic; 0: free */
    size_t bytes;               /* atomic, as lost */
    bool *lost;
} Guard;

static Guard guards[MAX_GUARDS];

static bool guard_take(void *map, size_t bytes, bool *lost)
{
    for (int i = 0; i < MAX_GUARDS; i++) {
        if (guards[i].base == 0) {
            /* Pairs with the handler's fence. */
            __atomic_thread_fence(__ATOMIC_RELEASE);
            __atomic_store_n(&guards[i].bytes, bytes, __ATOMIC_RELAXED);
            __atomic_store_n(&guards[i].lost, lost, __ATOMIC_RELAXED);
            __atomic_store_n(&guards[i].base, (uintptr_t)map, __ATOMIC_RELEASE);
            return true;
        }
    }
    return false;
}

static void guard_give_up(void *map)
{
    for (int i = 0; i < MAX_GUARDS; i++) {
        if (guards[i].base == (uintptr_t)map) {
            __atomic_store_n(&guards[i].base, 0, __ATOMIC_RELEASE);
            return;
        }
    }
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr;
    int saved_errno = errno;

    for (int i = 0; i < MAX_GUARDS; i++) {
        const Guard *g = &guards[i];
        uintptr_t base = __atomic_load_n(&g->base, __ATOMIC_ACQUIRE);
        size_t bytes = __atomic_load_n(&g->bytes, __ATOMIC_RELAXED);
        bool *lost = __atomic_load_n(&g->lost, __ATOMIC_RELAXED);

        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&g->base, __ATOMIC_RELAXED) != base) {
            continue;           /* it is another one's now, so not ours */
        }
        if (base != 0 && at - base < bytes &&
            mmap((void *)base, bytes, PROT_READ | PROT_WRITE,
                 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0) != MAP_FAILED) {
            __atomic_store_n(lost, true, __ATOMIC_RELAXED);
            errno = saved_errno;
            return;
        }
    }
    /* Not a peer's doing: die of it, with the core at the place. */
    signal(SIGBUS, SIG_DFL);
}

void guest_mem_catch_sigbus(void)
{
    struct sigaction action = {
        .sa_sigaction = on_sigbus,
        .sa_flags = SA_SIGINFO,
    };

    sigaction(SIGBUS, &action, NULL);
}

/* -- Mapping --------------------------------------------------------------- */

/* @bytes of @fd at @offset, which need not begin or end with a page. */
static uint8_t *map_file(int fd, uint64_t offset, uint64_t bytes, bool *lost,
                         void **map, size_t *map_bytes, GError **error)
{
    uint64_t page, begin, end;
    struct statfs fs;
    struct stat st;

    /* In a file of another kind, which may be served by the peer itself, any
     * look and any access could wait for ever. */
    if (fd >= 0 && fcntl(fd, F_GET_SEALS) < 0) {
        PEER_ERROR(error, "it is not in shared memory; QEMU needs "
                   "-object memory-backend-memfd, or memory-backend-file in "
                   "/dev/shm or a hugetlbfs, with share=on");
        return NULL;
    }
    if (fstat(fd, &st) || fstatfs(fd, &fs)) {
        HOST_ERROR(error, "its file cannot be looked at: %s",
                   g_strerror(errno));
        return NULL;
    }
    if (bytes == 0 || offset > (uint64_t)st.st_size ||
        bytes > (uint64_t)st.st_size - offset) {
        PEER_ERROR(error, "%" PRIu64 " bytes at %" PRIu64 " are not in a file "
                   "of %" PRIu64 " bytes", bytes, offset,
                   (uint64_t)st.st_size);
        return NULL;
    }
    /* Huge pages are mapped whole.  Other file systems tell their block size,
     * which need not be a page's. */
    page = sysconf(_SC_PAGESIZE);
    if ((uint64_t)fs.f_bsize > page && (fs.f_bsize & (fs.f_bsize - 1)) == 0) {
        page = fs.f_bsize;
    }
    begin = offset & ~(page - 1);
    end = (offset + bytes + page - 1) & ~(page - 1);
    *map_bytes = end - begin;
    *map = mmap(NULL, *map_bytes, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_NORESERVE, fd, begin);
    if (*map == MAP_FAILED) {
        HOST_ERROR(error, "%zu bytes of it cannot be mapped: %s", *map_bytes,
                   g_strerror(errno));
        return NULL;
    }
    if (!guard_take(*map, *map_bytes, lost)) {
        munmap(*map, *map_bytes);
        HOST_ERROR(error, "there are more than %d regions in all", MAX_GUARDS);
        return NULL;
    }
    /* A dump of this process need not hold all guests. */
    madvise(*map, *map_bytes, MADV_DONTDUMP);
    return (uint8_t *)*map + (offset - begin);
}

static void unmap(void *map, size_t map_bytes)
{
    guard_give_up(map);
    munmap(map, map_bytes);
}

/* -- Regions --------------------------------------------------------------- */

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

static bool check_spec(const GuestMem *m, const GuestRegionSpec *spec,
                       GError **error)
{
    if (spec->bytes == 0 ||
        spec->guest_addr > UINT64_MAX - spec->bytes ||
        spec->user_addr > UINT64_MAX - spec->bytes) {
        PEER_ERROR(error, "a region of 0x%" PRIx64 " bytes at 0x%" PRIx64
                   " cannot be", spec->bytes, spec->guest_addr);
        return false;
    }
    if (m->n == GUEST_MEM_MAX_REGIONS) {
        PEER_ERROR(error, "there are %d regions already, which is all that "
                   "can be", GUEST_MEM_MAX_REGIONS);
        return false;
    }
    for (unsigned i = 0; i < m->n; i++) {
        const GuestRegion *r = &m->region[i];

        if (overlap(r->guest_addr, r->bytes, spec->guest_addr, spec->bytes) ||
            overlap(r->user_addr, r->bytes, spec->user_addr, spec->bytes)) {
            PEER_ERROR(error, "the region of 0x%" PRIx64 " bytes at 0x%" PRIx64
                       " overlaps the one at 0x%" PRIx64, spec->bytes,
                       spec->guest_addr, r->guest_addr);
            return false;
        }
    }
    return true;
}

bool guest_mem_add(GuestMem *m, const GuestRegionSpec *spec, int fd,
                   GError **error)
{
    GuestRegion new = {
        .guest_addr = spec->guest_addr,
        .bytes = spec->bytes,
        .user_addr = spec->user_addr,
    };
    unsigned at = 0;

    if (!check_spec(m, spec, error)) {
        return false;
    }
    new.host = map_file(fd, spec->file_offset, spec->bytes, &m->lost, &new.map,
                        &new.map_bytes, error);
    if (!new.host) {
        g_prefix_error(error, "the region at 0x%" PRIx64 ": ",
                       spec->guest_addr);
        return false;
    }
    while (at < m->n && m->region[at].guest_addr < new.guest_addr) {
        at++;
    }
    memmove(&m->region[at + 1], &m->region[at],
            (m->n - at) * sizeof(m->region[0]));
    m->region[at] = new;
    m->n++;
    return true;
}

bool guest_mem_remove(GuestMem *m, const GuestRegionSpec *spec, GError **error)
{
    for (unsigned i = 0; i < m->n; i++) {
        GuestRegion *r = &m->region[i];

        if (r->guest_addr == spec->guest_addr && r->bytes == spec->bytes &&
            r->user_addr == spec->user_addr) {
            unmap(r->map, r->map_bytes);
            m->n--;
            memmove(r, r + 1, (m->n - i) * sizeof(*r));
            /* A hint may still name the last one. */
            m->region[m->n] = (GuestRegion) { 0 };
            return true;
        }
    }
    PEER_ERROR(error, "there is no region of 0x%" PRIx64 " bytes at 0x%" PRIx64
               " to be removed", spec->bytes, spec->guest_addr);
    return false;
}

void guest_mem_take_regions(GuestMem *to, GuestMem *from)
{
    g_assert(to->n == 0);
    memcpy(to->region, from->region, sizeof(to->region));
    memset(from->region, 0, sizeof(from->region));
    to->n = from->n;
    from->n = 0;
    from->lost = false;
}

static void forget_log(GuestMem *m)
{
    if (m->log) {
        unmap(m->log_map, m->log_map_bytes);
        m->log = NULL;
        m->log_pages = 0;
    }
}

void guest_mem_clear(GuestMem *m)
{
    forget_log(m);
    for (unsigned i = 0; i < m->n; i++) {
        unmap(m->region[i].map, m->region[i].map_bytes);
        m->region[i] = (GuestRegion) { 0 };
    }
    m->n = 0;
    m->lost = false;
}

/* -- Look up --------------------------------------------------------------- */

const GuestRegion *guest_mem_find(const GuestMem *m, uint64_t guest_addr)
{
    unsigned from = 0, to = m->n;

    while (from < to) {
        unsigned middle = from + (to - from) / 2;
        const GuestRegion *r = &m->region[middle];

        if (guest_addr < r->guest_addr) {
            to = middle;
        } else if (guest_addr - r->guest_addr < r->bytes) {
            return r;
        } else {
            from = middle + 1;
        }
    }
    return NULL;
}

uint8_t *guest_mem_at_user(const GuestMem *m, uint64_t user_addr,
                           uint64_t bytes, uint64_t *guest_addr)
{
    for (unsigned i = 0; i < m->n; i++) {
        const GuestRegion *r = &m->region[i];
        uint64_t offset = user_addr - r->user_addr;

        if (user_addr >= r->user_addr && offset < r->bytes) {
            *guest_addr = r->guest_addr + offset;
            return bytes <= r->bytes - offset ? r->host + offset : NULL;
        }
    }
    return NULL;
}

/* -- Dirty pages ----------------------------------------------------------- */

bool guest_mem_set_log(GuestMem *m, int fd, uint64_t offset, uint64_t bytes,
                       GError **error)
{
    uint8_t *log = NULL;
    void *map = NULL;
    size_t map_bytes = 0;

    if (fd >= 0) {
        const GuestRegion *last = m->n ? &m->region[m->n - 1] : NULL;

        if (last && bytes < (last->guest_addr + last->bytes - 1) /
                            GUEST_LOG_PAGE_BYTES / 8 + 1) {
            PEER_ERROR(error, "a dirty bitmap of %" PRIu64 " bytes does not "
                       "cover memory up to 0x%" PRIx64, bytes,
                       last->guest_addr + last->bytes);
            return false;
        }
        log = map_file(fd, offset, bytes, &m->lost, &map, &map_bytes, error);
        if (!log) {
            g_prefix_error(error, "the dirty bitmap: ");
            return false;
        }
    }
    forget_log(m);
    m->log = log;
    m->log_pages = bytes > UINT64_MAX / 8 ? UINT64_MAX : bytes * 8;
    m->log_map = map;
    m->log_map_bytes = map_bytes;
    return true;
}

void guest_mem_log(const GuestMem *m, uint64_t guest_addr, uint64_t bytes)
{
    uint64_t page = guest_addr / GUEST_LOG_PAGE_BYTES;
    uint64_t end = bytes ? (guest_addr + bytes - 1) / GUEST_LOG_PAGE_BYTES + 1
                         : page;

    /* A region that came later may lie behind the bitmap's end. */
    for (; page < MIN(end, m->log_pages); page++) {
        __atomic_fetch_or(&m->log[page / 8], 1 << page % 8, __ATOMIC_RELEASE);
    }
}

void guest_mem_log_host(const GuestMem *m, const uint8_t *data, uint64_t bytes)
{
    for (unsigned i = 0; i < m->n; i++) {
        const GuestRegion *r = &m->region[i];

        if (data >= r->host && (uint64_t)(data - r->host) < r->bytes) {
            guest_mem_log(m, r->guest_addr + (data - r->host), bytes);
            return;
        }
    }
}
