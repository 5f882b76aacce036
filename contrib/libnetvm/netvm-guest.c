/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transport of a guest: the PCI device (rtnet/netvm-regs.h), by the kernel
 * module (kmod/netvm_shm.h), or without it through sysfs.
 *
 * Without the module the region is mapped uncached, so that all is slow.  The
 * kernel offers a write-combining mapping, too (resource2_wc), but there x86
 * does not keep the order of writes, on which the rings rely.  And there are
 * no interrupts: a timer, as long as anybody looks at it, stands for them.
 *
 * What is not there reads as all ones, and nothing here takes that for data:
 * registers are looked at before what they announce is used, and the serial
 * number, which is never 0 or all ones, once more after it.
 *
 * Threads: see netvm-impl.h.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "kmod/netvm_shm.h"
#include "netvm-impl.h"
#include "rtnet/netvm-regs.h"

#define DEVICES "/sys/bus/pci/devices"
#define ALL_ONES UINT32_MAX
#define ALL_VECTORS ((1u << NETVM_VECTORS) - 1)

/* How often a register is looked at that will change, and, without
 * interrupts, the rings. */
#define LOOK_MS 1
/* QEMU maps a new segment soon after the daemon has told of it. */
#define SEGMENT_MS 100

struct guest {
    volatile uint32_t *registers;
    uint64_t window_bytes;      /* the region's mapping, at nv->region */
    uint32_t segments;          /* mapped */
    uint32_t awaited;           /* that the region has; not waited for again */
    int fd;                     /* the module's file; slow: a timer */
    int lock;                   /* slow: held as long as the device is ours */
    bool slow;
};

/* -- Registers ------------------------------------------------------------- */

static uint32_t get(const struct guest *g, unsigned at)
{
    return g->registers[at / sizeof(uint32_t)];
}

static void set(struct guest *g, unsigned at, uint32_t value)
{
    g->registers[at / sizeof(uint32_t)] = value;
}

/* As long as nobody has reset the device, and the daemon has not gone. */
static bool is_member(const struct netvm *nv, const struct guest *g)
{
    return get(g, NETVM_REG_SERIAL) == nv->serial;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nap(void)
{
    nanosleep(&(struct timespec) { .tv_nsec = LOOK_MS * 1000000 }, NULL);
}

/* -- Segments -------------------------------------------------------------- */

/* @shown of them are mapped, in the table's order. */
static void add_segments(struct netvm *nv, struct guest *g, uint32_t shown)
{
    while (g->segments < shown) {
        const struct netvm_segment *s = &nv->region->segment[g->segments];
        uint64_t offset = netvm_read(&s->offset);
        uint64_t bytes = netvm_read(&s->bytes);

        if (offset != nv->mapped_bytes || bytes == 0 ||
            bytes > g->window_bytes - offset) {
            return;
        }
        nv->mapped_bytes += bytes;
        nv->segments_mapped |= UINT64_C(1) << g->segments;
        g->segments++;
    }
}

static void look_at_segments(struct netvm *nv, struct guest *g)
{
    uint32_t n = netvm_read32(&nv->region->segments), shown;

    n = n < NETVM_SEGMENTS_MAX ? n : NETVM_SEGMENTS_MAX;
    if (n <= g->segments) {
        return;
    }
    shown = get(g, NETVM_REG_SEGMENTS);
    for (int ms = 0; ms < SEGMENT_MS && shown < n && n > g->awaited &&
         is_member(nv, g); ms += LOOK_MS) {
        nap();
        shown = get(g, NETVM_REG_SEGMENTS);
    }
    g->awaited = n;
    add_segments(nv, g, shown < n ? shown : n);
}

/* -- Transport ------------------------------------------------------------- */

static int guest_update(struct netvm *nv)
{
    struct guest *g = nv->transport_data;

    if (!is_member(nv, g)) {
        return -EPIPE;
    }
    look_at_segments(nv, g);
    return 0;
}

static void guest_ring(struct netvm *nv, unsigned member)
{
    set(nv->transport_data, NETVM_REG_DOORBELL(member), 1);
}

static int guest_fd(const struct netvm *nv)
{
    const struct guest *g = nv->transport_data;

    return g->fd;
}

static void guest_rung(struct netvm *nv)
{
    uint64_t times;

    (void)!read(guest_fd(nv), &times, sizeof(times));
}

/* READY was there: 0, or -EAGAIN if it is no more, or -EPROTO. */
static int become_member(struct netvm *nv, struct guest *g)
{
    nv->self = get(g, NETVM_REG_MEMBER);
    nv->serial = get(g, NETVM_REG_SERIAL);
    nv->segments_mapped = 0;
    nv->mapped_bytes = 0;
    g->segments = g->awaited = 0;
    look_at_segments(nv, g);
    if (nv->serial == 0 || nv->serial == ALL_ONES || !is_member(nv, g)) {
        return -EAGAIN;
    }
    if (nv->self < 1 || nv->self > NETVM_MEMBERS_MAX ||
        nv->mapped_bytes < sizeof(struct netvm_region)) {
        netvm_error(nv, "what the device shows makes no sense: daemon, QEMU "
                    "and library have to be of one release");
        return -EPROTO;
    }
    return 0;
}

static int wait_ready(struct netvm *nv, struct guest *g, int timeout_ms)
{
    int64_t end_ms = now_ms() + timeout_ms;

    for (;;) {
        uint32_t status = get(g, NETVM_REG_STATUS);

        if (status == ALL_ONES) {
            netvm_error(nv, "the device was unplugged");
            return -ENODEV;
        }
        if (status & NETVM_STATUS_READY) {
            int joined = become_member(nv, g);

            if (joined != -EAGAIN) {
                return joined;
            }
        }
        if (timeout_ms >= 0 && now_ms() >= end_ms) {
            netvm_error(nv, status & NETVM_STATUS_CONNECTED ?
                        "the daemon did not make the device a member within "
                        "%d ms: QEMU's messages and the daemon's log say why" :
                        "no daemon came to the device within %d ms: does one "
                        "run on the host, and has it a port of type netvm with "
                        "the socket of the device's chardev?", timeout_ms);
            return -ETIMEDOUT;
        }
        nap();
    }
}

static int guest_reset(struct netvm *nv, int timeout_ms)
{
    struct guest *g = nv->transport_data;

    set(g, NETVM_REG_CONTROL, NETVM_CONTROL_RESET);
    if (!g->slow) {
        set(g, NETVM_REG_INT_MASK, ALL_VECTORS);
    }
    return wait_ready(nv, g, timeout_ms);
}

static void guest_close(struct netvm *nv)
{
    struct guest *g = nv->transport_data;

    if (g->registers) {
        set(g, NETVM_REG_CONTROL, NETVM_CONTROL_RESET);
        munmap((void *)g->registers, NETVM_REGISTERS_BYTES);
    }
    if (nv->region) {
        munmap(nv->region, g->window_bytes);
    }
    if (g->fd >= 0) {
        close(g->fd);
    }
    if (g->lock >= 0) {
        close(g->lock);
    }
    free(g);
}

static const struct netvm_transport guest_transport = {
    .update = guest_update,
    .ring = guest_ring,
    .fd = guest_fd,
    .rung = guest_rung,
    .reset = guest_reset,
    .close = guest_close,
};

/* -- Which device ---------------------------------------------------------- */

/* A number in a file of sysfs; ULONG_MAX: there is none. */
static unsigned long number_in(const char *dir, const char *name)
{
    char path[PATH_MAX], text[32];
    unsigned long number = ULONG_MAX;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "re");
    if (f) {
        if (fgets(text, sizeof(text), f)) {
            number = strtoul(text, NULL, 0);
        }
        fclose(f);
    }
    return number;
}

static bool is_netvm_shm(const char *dir)
{
    return number_in(dir, "vendor") == NETVM_PCI_VENDOR &&
           number_in(dir, "device") == NETVM_PCI_DEVICE;
}

/* The directory of the only one there is. */
static int find_only(struct netvm *nv, char dir[PATH_MAX])
{
    DIR *all = opendir(DEVICES);
    struct dirent *entry;
    unsigned found = 0;

    while (all && (entry = readdir(all))) {
        char candidate[PATH_MAX];

        snprintf(candidate, sizeof(candidate), DEVICES "/%s", entry->d_name);
        if (is_netvm_shm(candidate)) {
            strcpy(dir, candidate);
            found++;
        }
    }
    if (all) {
        closedir(all);
    }
    if (found == 0) {
        netvm_error(nv, "there is no netvm-shm device: add -device netvm-shm "
                    "to this machine's QEMU; on the host, say unix:PATH");
        return -ENODEV;
    }
    if (found > 1) {
        netvm_error(nv, "there are %u netvm-shm devices: say which, such as "
                    "pci:%s", found, dir + strlen(DEVICES "/"));
        return -EINVAL;
    }
    return 0;
}

static int find_device(struct netvm *nv, const char *address,
                       char dir[PATH_MAX])
{
    unsigned domain, bus, slot, function;
    int used = 0;

    if (!address) {
        return find_only(nv, dir);
    }
    if (sscanf(address, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function,
               &used) != 4 || address[used]) {
        netvm_error(nv, "\"%.40s\" is no address of a device: it looks like "
                    "0000:00:04.0, as lspci -D shows it", address);
        return -EINVAL;
    }
    snprintf(dir, PATH_MAX, DEVICES "/%04x:%02x:%02x.%x", domain, bus, slot,
             function);
    if (!is_netvm_shm(dir)) {
        netvm_error(nv, "%s is no netvm-shm device: lspci -D -d %04x:%04x "
                    "shows those that there are", address, NETVM_PCI_VENDOR,
                    NETVM_PCI_DEVICE);
        return -ENODEV;
    }
    return 0;
}

/* -- By the module, or without --------------------------------------------- */

/* Its path below /dev, if the module has the device. */
static bool find_node(const char *dir, char path[PATH_MAX])
{
    char misc_path[PATH_MAX + 8];
    struct dirent *entry = NULL;
    DIR *misc;

    snprintf(misc_path, sizeof(misc_path), "%s/misc", dir);
    misc = opendir(misc_path);
    while (misc && (entry = readdir(misc)) && entry->d_name[0] == '.') {
    }
    if (entry) {
        snprintf(path, PATH_MAX, "/dev/%s", entry->d_name);
    }
    if (misc) {
        closedir(misc);
    }
    return entry != NULL;
}

static int cannot_open(struct netvm *nv, const char *path)
{
    int error = errno;

    if (error == EBUSY || error == EWOULDBLOCK) {
        netvm_error(nv, "another program has %s, and it serves one at a time: "
                    "end that, or add a device", path);
        return -EBUSY;
    }
    netvm_error(nv, "%s: %s; it takes root, or a udev rule that lets you open "
                "/dev/netvm*", path, strerror(error));
    return -error;
}

/* The device's memory: both windows, of files which may be the same. */
static int map(struct netvm *nv, int registers_fd, off_t registers_offset,
               int region_fd, off_t region_offset)
{
    struct guest *g = nv->transport_data;
    void *p;

    p = mmap(NULL, NETVM_REGISTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
             registers_fd, registers_offset);
    if (p != MAP_FAILED) {
        g->registers = p;
        p = mmap(NULL, g->window_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                 region_fd, region_offset);
    }
    if (p == MAP_FAILED) {
        int error = errno;

        netvm_error(nv, "cannot map the device's memory: %s; is the module "
                    "netvm_shm loaded, and no other driver bound to it?",
                    strerror(error));
        return -error;
    }
    nv->region = p;
    return 0;
}

static int open_fast(struct netvm *nv, const char *node)
{
    struct guest *g = nv->transport_data;

    g->fd = open(node, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (g->fd < 0) {
        return cannot_open(nv, node);
    }
    return map(nv, g->fd, NETVM_MMAP_REGISTERS, g->fd, NETVM_MMAP_REGION);
}

static void enable(const char *dir)
{
    char path[PATH_MAX + 8];
    int fd;

    snprintf(path, sizeof(path), "%s/enable", dir);
    if (number_in(dir, "enable") == 0 &&
        (fd = open(path, O_WRONLY | O_CLOEXEC)) >= 0) {
        /* If it fails, the registers will read as all ones. */
        (void)!write(fd, "1", 1);
        close(fd);
    }
}

static int open_slow(struct netvm *nv, const char *dir)
{
    const struct itimerspec tick = {
        .it_interval.tv_nsec = LOOK_MS * 1000000,
        .it_value.tv_nsec = LOOK_MS * 1000000,
    };
    struct guest *g = nv->transport_data;
    char path[PATH_MAX + 16];
    int region_fd, status;

    g->slow = true;
    snprintf(path, sizeof(path), "%s/resource%d", dir, NETVM_BAR_REGISTERS);
    g->lock = open(path, O_RDWR | O_CLOEXEC);
    if (g->lock < 0 || flock(g->lock, LOCK_EX | LOCK_NB) < 0) {
        return cannot_open(nv, path);
    }
    snprintf(path, sizeof(path), "%s/resource%d", dir, NETVM_BAR_REGION);
    region_fd = open(path, O_RDWR | O_CLOEXEC);
    if (region_fd < 0) {
        return cannot_open(nv, path);
    }
    enable(dir);
    status = map(nv, g->lock, 0, region_fd, 0);
    close(region_fd);
    g->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (status == 0 &&
        (g->fd < 0 || timerfd_settime(g->fd, 0, &tick, NULL) < 0)) {
        status = -errno;
        netvm_error(nv, "no timer: %s", strerror(errno));
    }
    return status;
}

/* -- Open ------------------------------------------------------------------ */

static int check_device(struct netvm *nv, const struct guest *g)
{
    uint32_t magic = get(g, NETVM_REG_MAGIC);
    uint32_t version = get(g, NETVM_REG_VERSION);

    if (magic == ALL_ONES) {
        netvm_error(nv, "the device is switched off: load the module "
                    "netvm_shm, or reset the machine");
        return -ENODEV;
    }
    if (magic != NETVM_MAGIC || version >> 16 != NETVM_VERSION_MAJOR) {
        netvm_error(nv, "the device is of version %u, the library's is %u: "
                    "take QEMU and library from one release", version >> 16,
                    NETVM_VERSION_MAJOR);
        return -EPROTO;
    }
    return 0;
}

int netvm_open_guest(struct netvm *nv, const char *address, int timeout_ms)
{
    struct guest *g = calloc(1, sizeof(*g));
    char dir[PATH_MAX], path[PATH_MAX + 16];
    struct stat st;
    int status;

    if (!g) {
        netvm_error(nv, "out of memory");
        return -ENOMEM;
    }
    g->fd = g->lock = -1;
    nv->transport = &guest_transport;
    nv->transport_data = g;
    status = find_device(nv, address, dir);
    if (status < 0) {
        return status;
    }
    snprintf(path, sizeof(path), "%s/resource%d", dir, NETVM_BAR_REGION);
    if (stat(path, &st) < 0 ||
        (uint64_t)st.st_size < sizeof(struct netvm_region)) {
        netvm_error(nv, "the machine has no addresses left for the device's "
                    "memory: give it a smaller size=, or the CPU more "
                    "phys-bits");
        return -ENODEV;
    }
    g->window_bytes = st.st_size;
    status = find_node(dir, path) ? open_fast(nv, path) : open_slow(nv, dir);
    if (status == 0) {
        status = check_device(nv, g);
    }
    if (status < 0) {
        return status;
    }
    /* Without the module nobody has cleared up after a program that was
     * killed. */
    return g->slow ? guest_reset(nv, timeout_ms)
                   : wait_ready(nv, g, timeout_ms);
}

NETVM_PUBLIC bool netvm_is_slow(const struct netvm *nv)
{
    const struct guest *g = nv->transport_data;

    return nv->transport == &guest_transport && g->slow;
}
