/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vring-driver.h"

#define DESC_AT 0u
#define AVAIL_AT 0x80000u       /* or the driver's event structure */
#define USED_AT 0xa0000u        /* or the device's */

#define F_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define F_USED (1u << VRING_PACKED_DESC_F_USED)

/* -- Life ------------------------------------------------------------------ */

static uint8_t *add_region(Driver *d, uint64_t guest_addr)
{
    GuestRegionSpec spec = {
        .guest_addr = guest_addr,
        .bytes = DRIVER_REGION_BYTES,
        .user_addr = DRIVER_USER_OFFSET + guest_addr,
    };
    g_autoptr(GError) error = NULL;
    int fd = memfd_create("guest", 0);
    uint8_t *at;

    g_assert_cmpint(ftruncate(fd, DRIVER_REGION_BYTES), ==, 0);
    at = mmap(NULL, DRIVER_REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
              fd, 0);
    g_assert_true(at != MAP_FAILED);
    guest_mem_add(&d->mem, &spec, fd, &error);
    g_assert_no_error(error);
    close(fd);
    return at;
}

static void lay_out(Driver *d, VringKind kind, bool packed, bool event_idx,
                    unsigned size, uint64_t guest_addr)
{
    uint64_t user_addr = DRIVER_USER_OFFSET + guest_addr;

    d->spec = (VringSpec) {
        .kind = kind,
        .packed = packed,
        .event_idx = event_idx,
        .size = size,
        .desc_user_addr = user_addr + DESC_AT,
        .avail_user_addr = user_addr + AVAIL_AT,
        .used_user_addr = user_addr + USED_AT,
    };
    d->at.split.desc = (void *)(d->low + DESC_AT);
    d->at.split.avail = (void *)(d->low + AVAIL_AT);
    d->at.split.used = (void *)(d->low + USED_AT);
    if (packed) {
        d->at.packed.desc = (void *)(d->low + DESC_AT);
        d->at.packed.driver = (void *)(d->low + AVAIL_AT);
        d->at.packed.device = (void *)(d->low + USED_AT);
    }
    d->rand = g_rand_new_with_seed(g_test_rand_int());
    d->avail_wrap = d->used_wrap = true;
    d->free_slots = d->n_free_ids = size;
    d->free_ids = g_new(uint16_t, size);
    d->slots_of = g_new0(uint16_t, size);
    d->next_of = g_new0(uint16_t, size);
    for (unsigned i = 0; i < size; i++) {
        d->free_ids[i] = i;
    }
}

Driver *driver_new(VringKind kind, bool packed, bool event_idx, unsigned size)
{
    Driver *d = g_new0(Driver, 1);

    d->low = add_region(d, 0);
    d->high = add_region(d, DRIVER_REGION_BYTES);
    lay_out(d, kind, packed, event_idx, size, 0);
    return d;
}

Driver *driver_new_at(VringKind kind, bool packed, bool event_idx,
                      unsigned size, uint8_t *low, uint64_t guest_addr)
{
    Driver *d = g_new0(Driver, 1);

    d->low = low;
    lay_out(d, kind, packed, event_idx, size, guest_addr);
    return d;
}

void driver_free(Driver *d)
{
    guest_mem_clear(&d->mem);
    if (d->high) {
        munmap(d->low, DRIVER_REGION_BYTES);
        munmap(d->high, DRIVER_REGION_BYTES);
    }
    g_free(d->free_ids);
    g_free(d->slots_of);
    g_free(d->next_of);
    g_rand_free(d->rand);
    g_free(d);
}

void *driver_at(Driver *d, uint64_t guest_addr)
{
    return guest_addr < DRIVER_REGION_BYTES
           ? d->low + guest_addr : d->high + (guest_addr - DRIVER_REGION_BYTES);
}

/* An id that is not used, any of them. */
static uint16_t take_id(Driver *d)
{
    unsigned i = g_rand_int_range(d->rand, 0, d->n_free_ids);
    uint16_t id = d->free_ids[i];

    d->free_ids[i] = d->free_ids[--d->n_free_ids];
    return id;
}

static uint16_t part_flags(const Driver *d, bool last)
{
    return (d->spec.kind == VRING_RX ? VRING_DESC_F_WRITE : 0) |
           (last ? 0 : VRING_DESC_F_NEXT);
}

/* -- Split ----------------------------------------------------------------- */

/* Entries of a table are chained backwards, so that next matters. */
static void fill_split_table(Driver *d, struct vring_desc *table,
                             const DriverPart *parts, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned at = i == 0 ? 0 : n - i;

        table[at] = (struct vring_desc) {
            .addr = parts[i].guest_addr,
            .len = parts[i].bytes,
            .flags = part_flags(d, i + 1 == n),
            .next = n - i - 1,
        };
    }
}

static int post_split(Driver *d, const DriverPart *parts, unsigned n,
                      bool indirect, uint64_t table_addr)
{
    unsigned need = indirect ? 1 : n;
    uint16_t ids[DRIVER_MAX_PARTS] = { 0 };

    if (need > d->n_free_ids) {
        return -1;
    }
    for (unsigned i = 0; i < need; i++) {
        ids[i] = take_id(d);
    }
    if (indirect) {
        fill_split_table(d, driver_at(d, table_addr), parts, n);
        d->at.split.desc[ids[0]] = (struct vring_desc) {
            .addr = table_addr,
            .len = n * sizeof(struct vring_desc),
            .flags = VRING_DESC_F_INDIRECT,
        };
    } else {
        for (unsigned i = 0; i < n; i++) {
            d->at.split.desc[ids[i]] = (struct vring_desc) {
                .addr = parts[i].guest_addr,
                .len = parts[i].bytes,
                .flags = part_flags(d, i + 1 == n),
                .next = i + 1 < n ? ids[i + 1] : 0,
            };
            d->next_of[ids[i]] = i + 1 < n ? ids[i + 1] : 0;
        }
    }
    d->slots_of[ids[0]] = need;
    d->at.split.avail->ring[d->avail_next % d->spec.size] = ids[0];
    d->avail_next++;
    __atomic_store_n(&d->at.split.avail->idx, d->avail_next, __ATOMIC_RELEASE);
    return ids[0];
}

static int reap_split(Driver *d, uint32_t *written)
{
    struct vring_used *used = d->at.split.used;
    uint16_t id, next;

    if (d->used_next == __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE)) {
        return -1;
    }
    id = used->ring[d->used_next % d->spec.size].id;
    *written = used->ring[d->used_next % d->spec.size].len;
    d->used_next++;
    next = id;
    for (unsigned i = 0; i < d->slots_of[id]; i++) {
        d->free_ids[d->n_free_ids++] = next;
        next = d->next_of[next];
    }
    return id;
}

/* -- Packed ---------------------------------------------------------------- */

static int post_packed(Driver *d, const DriverPart *parts, unsigned n,
                       bool indirect, uint64_t table_addr)
{
    unsigned need = indirect ? 1 : n;
    struct vring_packed_desc *first = &d->at.packed.desc[d->avail_next];
    uint16_t first_flags = 0, id;

    if (need > d->free_slots || d->n_free_ids == 0) {
        return -1;
    }
    id = take_id(d);
    if (indirect) {
        struct vring_packed_desc *table = driver_at(d, table_addr);

        for (unsigned i = 0; i < n; i++) {
            table[i] = (struct vring_packed_desc) {
                .addr = parts[i].guest_addr,
                .len = parts[i].bytes,
                .flags = part_flags(d, true),
            };
        }
    }
    for (unsigned i = 0; i < need; i++) {
        struct vring_packed_desc *at = &d->at.packed.desc[d->avail_next];
        uint16_t flags = (indirect ? VRING_DESC_F_INDIRECT
                                   : part_flags(d, i + 1 == need)) |
                         (d->avail_wrap ? F_AVAIL : F_USED);

        at->addr = indirect ? table_addr : parts[i].guest_addr;
        at->len = indirect ? n * sizeof(*at) : parts[i].bytes;
        /* Only the last one's id counts. */
        at->id = i + 1 == need ? id : UINT16_MAX;
        if (i == 0) {
            first_flags = flags;
        } else {
            at->flags = flags;
        }
        if (++d->avail_next == d->spec.size) {
            d->avail_next = 0;
            d->avail_wrap = !d->avail_wrap;
        }
    }
    __atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
    d->free_slots -= need;
    d->slots_of[id] = need;
    return id;
}

static int reap_packed(Driver *d, uint32_t *written)
{
    struct vring_packed_desc *at = &d->at.packed.desc[d->used_next];
    uint16_t flags = __atomic_load_n(&at->flags, __ATOMIC_ACQUIRE);
    uint16_t id;

    if (!!(flags & F_AVAIL) != d->used_wrap ||
        !!(flags & F_USED) != d->used_wrap) {
        return -1;
    }
    id = at->id;
    *written = at->len;
    d->free_ids[d->n_free_ids++] = id;
    d->free_slots += d->slots_of[id];
    d->used_next += d->slots_of[id];
    if (d->used_next >= d->spec.size) {
        d->used_next -= d->spec.size;
        d->used_wrap = !d->used_wrap;
    }
    return id;
}

/* -- Either ---------------------------------------------------------------- */

int driver_post(Driver *d, const DriverPart *parts, unsigned n, bool indirect,
                uint64_t table_addr)
{
    g_assert_cmpuint(n, <=, DRIVER_MAX_PARTS);
    return d->spec.packed ? post_packed(d, parts, n, indirect, table_addr)
                          : post_split(d, parts, n, indirect, table_addr);
}

int driver_reap(Driver *d, uint32_t *written)
{
    return d->spec.packed ? reap_packed(d, written) : reap_split(d, written);
}

void driver_ask_kick(Driver *d, bool ask)
{
    if (d->spec.packed) {
        struct vring_packed_desc_event *e = d->at.packed.driver;

        e->off_wrap = d->used_next |
                      d->used_wrap << VRING_PACKED_EVENT_F_WRAP_CTR;
        e->flags = !ask ? VRING_PACKED_EVENT_FLAG_DISABLE :
                   d->spec.event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
                   VRING_PACKED_EVENT_FLAG_ENABLE;
    } else if (d->spec.event_idx) {
        /* "Never" is an index that was passed long ago. */
        d->at.split.avail->ring[d->spec.size] =
            ask ? d->used_next : d->used_next + 0x8000;
    } else {
        d->at.split.avail->flags = ask ? 0 : VRING_AVAIL_F_NO_INTERRUPT;
    }
}

bool driver_wants_kick(const Driver *d)
{
    if (d->spec.packed) {
        return d->at.packed.device->flags == VRING_PACKED_EVENT_FLAG_ENABLE;
    }
    if (d->spec.event_idx) {
        /* As of the chain posted last. */
        uint16_t event;

        memcpy(&event, &d->at.split.used->ring[d->spec.size], sizeof(event));
        return event == (uint16_t)(d->avail_next - 1);
    }
    return !(d->at.split.used->flags & VRING_USED_F_NO_NOTIFY);
}
