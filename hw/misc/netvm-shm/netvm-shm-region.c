/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR 2: a window of fixed size.  Where the daemon has put a segment it is
 * memory; the rest reads as all ones.
 *
 * A segment is "RAM device" memory, made from a pointer, so QEMU's memory core
 * knows no file descriptor of it.  That keeps it within the domain: a
 * vhost-user back end is sent the fd of every RAM region that has one, and
 * vhost_section() in hw/virtio/vhost.c leaves out those that have none;
 * vhost-vdpa leaves out RAM devices.  vhost-net sees the segments through our
 * own address space, and VFIO maps them for DMA: both serve this guest only.
 * VFIO goes on without, if it cannot, because it is a RAM device.
 *
 * A vCPU, or another user of the memory map, may still be in a segment that
 * was just taken away.  So the segment is an object that the memory map holds
 * on to; when the map lets go of it, it waits for all that may have used the
 * map before (RCU), and only then it is unmapped.
 *
 * The daemon cannot take memory away from below: the file is sealed.
 *
 * Threads: main loop, under the BQL; the end of a segment in the RCU thread.
 */
#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qemu/mmap-alloc.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "netvm-shm.h"
#include "trace.h"

#define TYPE_NETVM_SEGMENT "netvm-shm-segment"
OBJECT_DECLARE_SIMPLE_TYPE(NetvmSegment, NETVM_SEGMENT)

#define OFFSET_ALIGN_BYTES 4096

struct NetvmSegment {
    Object parent_obj;

    MemoryRegion memory;
    uint64_t offset;            /* in the region */
    uint64_t bytes;
    void *address;
};

/* -- The end of a segment -------------------------------------------------- */

typedef struct Mapping {
    struct rcu_head rcu;
    void *address;
    uint64_t bytes;
} Mapping;

static void unmap(Mapping *mapping)
{
    trace_netvm_shm_unmap(mapping->address, mapping->bytes);
    munmap(mapping->address, mapping->bytes);
    g_free(mapping);
}

static void segment_finalize(Object *obj)
{
    NetvmSegment *segment = NETVM_SEGMENT(obj);
    Mapping *mapping = g_new(Mapping, 1);

    mapping->address = segment->address;
    mapping->bytes = segment->bytes;
    call_rcu(mapping, unmap, rcu);
}

static const TypeInfo segment_info = {
    .name = TYPE_NETVM_SEGMENT,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(NetvmSegment),
    .instance_finalize = segment_finalize,
};

static void segment_register(void)
{
    type_register_static(&segment_info);
}

type_init(segment_register)

/* -- What the daemon may send ---------------------------------------------- */

static bool cannot_shrink(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK);
}

static bool overlaps(const NetvmSegment *segment,
                     const struct netvm_segment_place *place)
{
    return segment && segment->offset < place->offset + place->bytes &&
           place->offset < segment->offset + segment->bytes;
}

static bool is_free(NetvmShm *s, const struct netvm_segment_place *place,
                    Error **errp)
{
    if (s->segment[place->segment]) {
        error_setg(errp, "segment %u came twice", place->segment);
        return false;
    }
    for (unsigned i = 0; i < NETVM_SEGMENTS_MAX; i++) {
        if (overlaps(s->segment[i], place)) {
            error_setg(errp, "segments %u and %u overlap", place->segment, i);
            return false;
        }
    }
    return true;
}

bool netvm_region_check(NetvmShm *s, const struct netvm_segment_place *place,
                        int fd, Error **errp)
{
    uint64_t page_bytes = MAX(qemu_fd_getpagesize(fd),
                              qemu_real_host_page_size());
    struct stat st;

    if (place->segment >= NETVM_SEGMENTS_MAX) {
        error_setg(errp, "segment %u is beyond the last, %u", place->segment,
                   NETVM_SEGMENTS_MAX - 1);
    } else if (!place->bytes || place->bytes % page_bytes ||
               place->offset % MAX(OFFSET_ALIGN_BYTES,
                                   qemu_real_host_page_size())) {
        error_setg(errp, "segment %u, %" PRIu64 " bytes at %" PRIu64 ", is "
                   "not made of whole pages of its file (%" PRIu64 " bytes)",
                   place->segment, place->bytes, place->offset, page_bytes);
    } else if (place->offset > UINT64_MAX - place->bytes) {
        error_setg(errp, "segment %u ends beyond all addresses",
                   place->segment);
    } else if (!cannot_shrink(fd)) {
        error_setg(errp, "the file of segment %u may shrink under the guest; "
                   "it has to be a memfd sealed with F_SEAL_SHRINK",
                   place->segment);
    } else if (fstat(fd, &st) || (uint64_t)st.st_size < place->bytes) {
        error_setg(errp, "the file of segment %u is shorter than the segment",
                   place->segment);
    } else {
        return is_free(s, place, errp);
    }
    return false;
}

/* -- The window ------------------------------------------------------------ */

char *netvm_size_text(uint64_t bytes)
{
    return bytes % GiB ? g_strdup_printf("%" PRIu64 "M", bytes / MiB) :
                         g_strdup_printf("%" PRIu64 "G", bytes / GiB);
}

bool netvm_region_fits(NetvmShm *s, uint64_t end_bytes, Error **errp)
{
    g_autofree char *size = netvm_size_text(s->size_bytes);

    if (end_bytes > s->size_bytes) {
        error_setg(errp, "a region of %" PRIu64 " MiB does not fit size=%s: "
                   "use a larger size, or make the domain's region smaller",
                   DIV_ROUND_UP(end_bytes, MiB), size);
        return false;
    }
    return true;
}

bool netvm_region_map(NetvmShm *s, const struct netvm_segment_place *place,
                      int fd, Error **errp)
{
    g_autofree char *name = g_strdup_printf("netvm-shm.segment%u",
                                            place->segment);
    NetvmSegment *segment;
    void *address;

    if (!netvm_region_fits(s, place->offset + place->bytes, errp)) {
        return false;
    }
    address = mmap(NULL, place->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                   0);
    if (address == MAP_FAILED) {
        error_setg_errno(errp, errno, "cannot map segment %u, %" PRIu64
                         " bytes: is there enough memory, of its page size?",
                         place->segment, place->bytes);
        return false;
    }

    segment = NETVM_SEGMENT(object_new(TYPE_NETVM_SEGMENT));
    segment->offset = place->offset;
    segment->bytes = place->bytes;
    segment->address = address;
    memory_region_init_ram_device_ptr(&segment->memory, OBJECT(segment), name,
                                      place->bytes, address);
    memory_region_add_subregion(&s->window, place->offset, &segment->memory);
    s->segment[place->segment] = segment;
    s->segments++;
    trace_netvm_shm_segment(s->name, place->segment, place->offset,
                            place->bytes);
    return true;
}

void netvm_region_clear(NetvmShm *s)
{
    memory_region_transaction_begin();
    for (unsigned i = 0; i < NETVM_SEGMENTS_MAX; i++) {
        if (s->segment[i]) {
            memory_region_del_subregion(&s->window, &s->segment[i]->memory);
            object_unref(s->segment[i]);
            s->segment[i] = NULL;
        }
    }
    memory_region_transaction_commit();
    s->segments = 0;
}

static uint64_t hole_read(void *opaque, hwaddr offset, unsigned size)
{
    return UINT64_MAX;
}

static void hole_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned size)
{
}

static const MemoryRegionOps hole_ops = {
    .read = hole_read,
    .write = hole_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};

void netvm_region_init(NetvmShm *s)
{
    memory_region_init_io(&s->window, OBJECT(s), &hole_ops, s,
                          "netvm-shm.window", s->size_bytes);
}
