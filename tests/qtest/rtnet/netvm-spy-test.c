/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a vhost-user back end of the same VM is given of a domain's memory:
 * nothing.  The back end here notes which files it gets; that it does see such
 * things is shown by an ivshmem device, whose memory has a file descriptor.
 *
 * Threads: the test, and the back end, which shares with it what stands in
 * struct Spy behind the lock.
 */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "netvm-bed.h"
#include "rtnet-libqos.h"

#define IVSHMEM_SLOT 5
#define NIC_SLOT 6
#define RAM_BYTES (64 << 20)
#define SHARED_BYTES (1 << 20)

/* -- The back end ---------------------------------------------------------- */

/* Of vhost-user, as much as makes a NIC start. */
enum {
    GET_FEATURES = 1,
    SET_MEM_TABLE = 5,
    GET_VRING_BASE = 11,
    GET_PROTOCOL_FEATURES = 15,
};

#define FEATURES (UINT64_C(1) << 32 | UINT64_C(1) << 30)
#define VERSION_REPLY 5
#define FILES_MAX 8

typedef struct Message {
    uint32_t request;
    uint32_t flags;
    uint32_t bytes;
    uint64_t body[64];
} QEMU_PACKED Message;

#define HEADER_BYTES offsetof(Message, body)

typedef struct Spy {
    char *dir;
    char *path;
    int listener;
    GThread *thread;

    GMutex lock;
    GArray *inodes;             /* of files that came with a table */
    unsigned tables;
} Spy;

/* Returns the number of files. */
static int receive(int conn, void *data, size_t bytes, int *files)
{
    union {
        char bytes[CMSG_SPACE(FILES_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { .iov_base = data, .iov_len = bytes };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    struct cmsghdr *c;
    int count = 0;

    if (recvmsg(conn, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC) != bytes) {
        return -1;
    }
    c = CMSG_FIRSTHDR(&msg);
    if (c && c->cmsg_type == SCM_RIGHTS) {
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(files, CMSG_DATA(c), count * sizeof(int));
    }
    return count;
}

static void note(Spy *spy, const int *files, int count)
{
    g_mutex_lock(&spy->lock);
    for (int i = 0; i < count; i++) {
        struct stat st;

        g_assert_cmpint(fstat(files[i], &st), ==, 0);
        g_array_append_val(spy->inodes, st.st_ino);
    }
    spy->tables++;
    g_mutex_unlock(&spy->lock);
}

static void answer(int conn, Message *m, uint64_t value)
{
    m->flags = VERSION_REPLY;
    m->bytes = sizeof(value);
    m->body[0] = value;
    g_assert_cmpint(write(conn, m, HEADER_BYTES + m->bytes), ==,
                    HEADER_BYTES + m->bytes);
}

static void *spy_run(void *opaque)
{
    Spy *spy = opaque;
    int conn = accept(spy->listener, NULL, NULL);
    int files[FILES_MAX], count;
    Message m;

    while ((count = receive(conn, &m, HEADER_BYTES, files)) >= 0) {
        g_assert_cmpuint(m.bytes, <=, sizeof(m.body));
        if (m.bytes) {
            g_assert_cmpint(receive(conn, m.body, m.bytes, NULL), ==, 0);
        }
        if (m.request == SET_MEM_TABLE) {
            note(spy, files, count);
        } else if (m.request == GET_FEATURES) {
            answer(conn, &m, FEATURES);
        } else if (m.request == GET_PROTOCOL_FEATURES) {
            answer(conn, &m, 0);
        } else if (m.request == GET_VRING_BASE) {
            answer(conn, &m, m.body[0]);
        }
        for (int i = 0; i < count; i++) {
            close(files[i]);
        }
    }
    close(conn);
    return NULL;
}

static Spy *spy_start(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    Spy *spy = g_new0(Spy, 1);

    spy->dir = g_dir_make_tmp("netvm-XXXXXX", NULL);
    spy->path = g_build_filename(spy->dir, "spy", NULL);
    spy->inodes = g_array_new(false, false, sizeof(ino_t));
    g_mutex_init(&spy->lock);
    spy->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, spy->path, sizeof(address.sun_path));
    g_assert_cmpint(bind(spy->listener, (struct sockaddr *)&address,
                         sizeof(address)), ==, 0);
    g_assert_cmpint(listen(spy->listener, 1), ==, 0);
    spy->thread = g_thread_new("spy", spy_run, spy);
    return spy;
}

/* QEMU has ended. */
static void spy_stop(Spy *spy)
{
    g_thread_join(spy->thread);
    close(spy->listener);
    g_unlink(spy->path);
    g_assert_cmpint(g_rmdir(spy->dir), ==, 0);
    g_array_unref(spy->inodes);
    g_mutex_clear(&spy->lock);
    g_free(spy->dir);
    g_free(spy->path);
    g_free(spy);
}

static bool spy_saw(Spy *spy, ino_t inode)
{
    bool saw = false;

    g_mutex_lock(&spy->lock);
    for (unsigned i = 0; i < spy->inodes->len; i++) {
        saw |= g_array_index(spy->inodes, ino_t, i) == inode;
    }
    g_mutex_unlock(&spy->lock);
    return saw;
}

static unsigned spy_tables(Spy *spy)
{
    unsigned tables;

    g_mutex_lock(&spy->lock);
    tables = spy->tables;
    g_mutex_unlock(&spy->lock);
    return tables;
}

static void spy_wait_for_table(Spy *spy, unsigned after)
{
    for (int i = 0; i < 10000 && spy_tables(spy) == after; i++) {
        g_usleep(1000);
    }
    g_assert_cmpuint(spy_tables(spy), >, after);
}

/* -- The test -------------------------------------------------------------- */

static ino_t inode_of(int file)
{
    struct stat st;

    g_assert_cmpint(fstat(file, &st), ==, 0);
    return st.st_ino;
}

/* A file that QEMU opens by this path. */
static char *file_path(int file)
{
    return g_strdup_printf("/proc/%d/fd/%d", getpid(), file);
}

static void test_spy(void)
{
    Spy *spy = spy_start();
    int ram = nb_memfd(RAM_BYTES, false);
    int shared = nb_memfd(SHARED_BYTES, false);
    int second = nb_memfd(NB_SEGMENT_BYTES, true);
    g_autofree char *ram_path = file_path(ram);
    g_autofree char *shared_path = file_path(shared);
    g_autofree char *options = g_strdup_printf(
        "-object memory-backend-file,id=ram,share=on,size=64M,mem-path=%s "
        "-machine memory-backend=ram "
        "-object memory-backend-file,id=shared,share=on,size=1M,mem-path=%s "
        "-device ivshmem-plain,memdev=shared,addr=%d "
        "-chardev socket,id=spy,path=%s -netdev vhost-user,id=n0,chardev=spy "
        "-device virtio-net-pci,netdev=n0,addr=%d",
        ram_path, shared_path, IVSHMEM_SLOT, spy->path, NIC_SLOT);
    NetvmBed *bed = bed_start(options);
    RtVm vm = { .qts = bed->qts, .alloc = bed->alloc, .pci = bed->pci };
    QPCIDevice *ivshmem = qpci_device_find(&vm.pci.bus,
                                           QPCI_DEVFN(IVSHMEM_SLOT, 0));
    ino_t segments[2];
    unsigned tables;
    RtNic *nic;

    nd_serve(bed);
    segments[0] = inode_of(bed->memory);
    segments[1] = inode_of(second);
    bed_poke(bed, 0, 48);
    g_assert_cmphex(*(uint64_t *)bed->map, ==, 48);
    nic = rt_nic_start(&vm, NIC_SLOT);
    spy_wait_for_table(spy, 0);
    g_assert_true(spy_saw(spy, inode_of(ram)));
    g_assert_false(spy_saw(spy, inode_of(shared)));
    g_assert_false(spy_saw(spy, segments[0]));

    /* The domain grows, which gives the back end no table; ivshmem does. */
    tables = spy_tables(spy);
    nd_segment(bed, 1, NB_SEGMENT_BYTES, NB_SEGMENT_BYTES, second);
    bed_wait(bed, NETVM_REG_SEGMENTS, UINT32_MAX, 2);
    g_assert_cmpuint(spy_tables(spy), ==, tables);
    qpci_device_enable(ivshmem);
    qpci_iomap(ivshmem, 2, NULL);
    spy_wait_for_table(spy, tables);
    g_assert_true(spy_saw(spy, inode_of(shared)));
    g_assert_false(spy_saw(spy, segments[0]));
    g_assert_false(spy_saw(spy, segments[1]));

    rt_nic_free(nic);
    g_free(ivshmem);
    bed_stop(bed);
    spy_stop(spy);
    close(ram);
    close(shared);
    close(second);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("netvm/spy", test_spy);
    return g_test_run();
}
