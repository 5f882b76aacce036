/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "libqos/malloc-pc.h"
#include "qemu/memfd.h"
#include "netvm-bed.h"

#define PATIENCE_MS 10000
#define SILENCE_MS 50

/* -- Files ----------------------------------------------------------------- */

int nb_memfd(uint64_t bytes, bool sealed)
{
    int fd = memfd_create("netvm-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, bytes), ==, 0);
    if (sealed) {
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), ==, 0);
    }
    return fd;
}

int nb_eventfd(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, timeout_ms) == 1;
}

uint64_t nb_rung(int eventfd)
{
    uint64_t count;

    g_assert_true(readable(eventfd, PATIENCE_MS));
    g_assert_cmpint(read(eventfd, &count, sizeof(count)), ==, sizeof(count));
    return count;
}

bool nb_is_rung(int eventfd)
{
    return readable(eventfd, 0);
}

void nb_ring(int eventfd)
{
    uint64_t one = 1;

    g_assert_cmpint(write(eventfd, &one, sizeof(one)), ==, sizeof(one));
}

/* -- The VM ---------------------------------------------------------------- */

static void listen_at(NetvmBed *bed)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    bed->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, bed->path, sizeof(address.sun_path));
    g_assert_cmpint(bind(bed->listener, (struct sockaddr *)&address,
                         sizeof(address)), ==, 0);
    g_assert_cmpint(listen(bed->listener, 1), ==, 0);
}

NetvmBed *bed_start_bare(const char *options)
{
    NetvmBed *bed = g_new0(NetvmBed, 1);
    g_autofree char *args = NULL;

    bed->conn = -1;
    bed->dir = g_dir_make_tmp("netvm-XXXXXX", NULL);
    bed->path = g_build_filename(bed->dir, "socket", NULL);
    bed->log = g_build_filename(bed->dir, "log", NULL);
    listen_at(bed);
    args = g_strdup_printf("-machine pc -nodefaults -m 64 "
                           "-global pci-device.romfile= "
                           "-chardev socket,id=c0,path=%s,reconnect-ms=10 "
                           "%s 2>%s", bed->path, options, bed->log);
    bed->qts = qtest_init(args);
    pc_alloc_init(&bed->alloc, bed->qts, ALLOC_NO_FLAGS);
    qpci_init_pc(&bed->pci, bed->qts, &bed->alloc);
    return bed;
}

void bed_find(NetvmBed *bed)
{
    uint64_t bytes;

    g_free(bed->dev);
    bed->pci.bus.mmio_alloc_ptr = 0xe0000000;
    bed->dev = qpci_device_find(&bed->pci.bus, QPCI_DEVFN(NB_SLOT, 0));
    g_assert_nonnull(bed->dev);
    qpci_device_enable(bed->dev);
    bed->regs = qpci_iomap(bed->dev, NETVM_BAR_REGISTERS, &bytes);
    g_assert_cmpuint(bytes, ==, NETVM_REGISTERS_BYTES);
    bed->window = qpci_iomap(bed->dev, NETVM_BAR_REGION, &bytes);
    g_assert_cmpuint(bytes, ==, NB_SIZE_BYTES);
}

NetvmBed *bed_start(const char *options)
{
    g_autofree char *all = g_strdup_printf(
        "-device netvm-shm,id=nv0,chardev=c0,size=%uM,addr=%d %s",
        NB_SIZE_BYTES >> 20, NB_SLOT, options);
    NetvmBed *bed = bed_start_bare(all);

    bed_find(bed);
    return bed;
}

void bed_stop(NetvmBed *bed)
{
    nd_close(bed);
    qtest_quit(bed->qts);
    alloc_destroy(&bed->alloc);
    close(bed->listener);
    g_unlink(bed->path);
    g_unlink(bed->log);
    g_assert_cmpint(g_rmdir(bed->dir), ==, 0);
    g_free(bed->dev);
    g_free(bed->dir);
    g_free(bed->path);
    g_free(bed->log);
    g_free(bed);
}

uint32_t bed_read(NetvmBed *bed, uint32_t reg)
{
    return qpci_io_readl(bed->dev, bed->regs, reg);
}

void bed_write(NetvmBed *bed, uint32_t reg, uint32_t value)
{
    qpci_io_writel(bed->dev, bed->regs, reg, value);
}

void bed_wait(NetvmBed *bed, uint32_t reg, uint32_t mask, uint32_t value)
{
    gint64 end_us = g_get_monotonic_time() + PATIENCE_MS * 1000;

    while ((bed_read(bed, reg) & mask) != value) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        g_usleep(1000);
    }
}

void bed_wait_status(NetvmBed *bed, uint32_t status)
{
    bed_wait(bed, NETVM_REG_STATUS, UINT32_MAX, status);
}

uint64_t bed_peek(NetvmBed *bed, uint64_t offset)
{
    return qpci_io_readq(bed->dev, bed->window, offset);
}

void bed_poke(NetvmBed *bed, uint64_t offset, uint64_t value)
{
    qpci_io_writeq(bed->dev, bed->window, offset, value);
}

unsigned bed_count_log(NetvmBed *bed, const char *text)
{
    g_autofree char *log = NULL;
    unsigned count = 0;

    g_assert_true(g_file_get_contents(bed->log, &log, NULL, NULL));
    for (const char *at = log; (at = strstr(at, text)); at++) {
        count++;
    }
    return count;
}

void bed_expect_log(NetvmBed *bed, const char *text)
{
    gint64 end_us = g_get_monotonic_time() + PATIENCE_MS * 1000;

    while (!bed_count_log(bed, text)) {
        if (g_get_monotonic_time() > end_us) {
            g_autofree char *log = NULL;

            g_file_get_contents(bed->log, &log, NULL, NULL);
            g_error("expected '%s' in: %s", text, log);
        }
        g_usleep(1000);
    }
}

/* -- The daemon: its end of the connection --------------------------------- */

static void read_all(NetvmBed *bed, void *data, size_t bytes)
{
    for (size_t done = 0; done < bytes; ) {
        ssize_t n;

        g_assert_true(readable(bed->conn, PATIENCE_MS));
        n = read(bed->conn, (uint8_t *)data + done, bytes - done);
        g_assert_cmpint(n, >, 0);
        done += n;
    }
}

void nd_accept(NetvmBed *bed)
{
    struct netvm_hello hello;

    g_assert_cmpint(bed->conn, ==, -1);
    g_assert_true(readable(bed->listener, PATIENCE_MS));
    bed->conn = accept4(bed->listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(bed->conn, >=, 0);
    nd_expect(bed, NETVM_MSG_HELLO, &hello, sizeof(hello));
    g_assert_cmpuint(hello.version, ==, NETVM_WIRE_VERSION);
    g_assert_cmpuint(hello.window_bytes, ==, NB_SIZE_BYTES);
}

static void drop(int *fd)
{
    if (*fd > 0) {
        close(*fd);
        *fd = 0;
    }
}

void nd_close(NetvmBed *bed)
{
    if (bed->conn >= 0) {
        close(bed->conn);
        bed->conn = -1;
    }
    if (bed->map) {
        munmap(bed->map, NB_SEGMENT_BYTES);
        bed->map = NULL;
    }
    drop(&bed->memory);
    drop(&bed->doorbell);
    for (unsigned i = 0; i < NETVM_VECTORS; i++) {
        drop(&bed->vector[i]);
    }
}

void nd_send_raw(NetvmBed *bed, const void *data, size_t bytes,
                 const int *fds, unsigned count)
{
    union {
        char bytes[CMSG_SPACE(16 * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)data, .iov_len = bytes };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    g_assert_cmpuint(count, <=, 16);
    if (count) {
        struct cmsghdr *c;

        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    g_assert_cmpint(sendmsg(bed->conn, &msg, MSG_NOSIGNAL), ==, bytes);
}

void nd_send(NetvmBed *bed, uint32_t type, const void *body, size_t bytes,
             int fd)
{
    struct netvm_header header = { .type = type, .bytes = bytes };
    uint8_t data[sizeof(header) + sizeof(struct netvm_text)];

    g_assert_cmpuint(bytes, <=, sizeof(struct netvm_text));
    memcpy(data, &header, sizeof(header));
    if (bytes) {
        memcpy(data + sizeof(header), body, bytes);
    }
    nd_send_raw(bed, data, sizeof(header) + bytes, &fd, fd >= 0);
}

void nd_expect(NetvmBed *bed, uint32_t type, void *body, size_t bytes)
{
    struct netvm_header header;

    read_all(bed, &header, sizeof(header));
    g_assert_cmpuint(header.type, ==, type);
    g_assert_cmpuint(header.bytes, ==, bytes);
    read_all(bed, body, bytes);
}

unsigned nd_take_resets(NetvmBed *bed)
{
    unsigned count = 0;

    while (readable(bed->conn, SILENCE_MS)) {
        nd_expect(bed, NETVM_MSG_RESET, NULL, 0);
        count++;
    }
    return count;
}

void nd_expect_silence(NetvmBed *bed)
{
    g_assert_false(readable(bed->conn, SILENCE_MS));
}

void nd_expect_end(NetvmBed *bed)
{
    char rest[1024];
    ssize_t n;

    do {
        g_assert_true(readable(bed->conn, PATIENCE_MS));
        n = read(bed->conn, rest, sizeof(rest));
    } while (n > 0);
    nd_close(bed);
}

/* -- The daemon: what it says ---------------------------------------------- */

void nd_welcome(NetvmBed *bed, uint64_t region_bytes)
{
    struct netvm_welcome welcome = {
        .region_id = 1,
        .region_bytes = region_bytes,
    };

    nd_send(bed, NETVM_MSG_WELCOME, &welcome, sizeof(welcome), -1);
}

void nd_segment(NetvmBed *bed, uint32_t segment, uint64_t offset,
                uint64_t bytes, int fd)
{
    struct netvm_segment_place place = {
        .segment = segment,
        .offset = offset,
        .bytes = bytes,
    };

    nd_send(bed, NETVM_MSG_SEGMENT, &place, sizeof(place), fd);
}

static void send_number(NetvmBed *bed, uint32_t type, uint32_t number, int fd)
{
    struct netvm_number n = { .number = number };

    nd_send(bed, type, &n, sizeof(n), fd);
}

void nd_doorbell(NetvmBed *bed, uint32_t member, int fd)
{
    send_number(bed, NETVM_MSG_DOORBELL, member, fd);
}

void nd_no_doorbell(NetvmBed *bed, uint32_t member)
{
    send_number(bed, NETVM_MSG_NO_DOORBELL, member, -1);
}

void nd_interrupt(NetvmBed *bed, uint32_t vector, int fd)
{
    send_number(bed, NETVM_MSG_INTERRUPT, vector, fd);
}

void nd_ready(NetvmBed *bed, uint32_t member, uint32_t serial,
              uint32_t resets)
{
    struct netvm_ready ready = {
        .member = member,
        .serial = serial,
        .resets = resets,
    };

    nd_send(bed, NETVM_MSG_READY, &ready, sizeof(ready), -1);
}

void nd_hand_out(NetvmBed *bed)
{
    bed->memory = nb_memfd(NB_SEGMENT_BYTES, true);
    bed->map = mmap(NULL, NB_SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                    bed->memory, 0);
    g_assert_true(bed->map != MAP_FAILED);
    bed->doorbell = nb_eventfd();
    nd_welcome(bed, NB_SEGMENT_BYTES);
    nd_segment(bed, 0, 0, NB_SEGMENT_BYTES, bed->memory);
    nd_doorbell(bed, NETVM_DAEMON, bed->doorbell);
    for (unsigned i = 0; i < NETVM_VECTORS; i++) {
        bed->vector[i] = nb_eventfd();
        nd_interrupt(bed, i, bed->vector[i]);
    }
}

void nd_serve(NetvmBed *bed)
{
    nd_accept(bed);
    nd_hand_out(bed);
    nd_ready(bed, NB_MEMBER, NB_SERIAL, 0);
    bed_wait_status(bed, NETVM_STATUS_CONNECTED | NETVM_STATUS_REGION |
                         NETVM_STATUS_READY);
}
