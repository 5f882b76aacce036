/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "switch-bed.h"
#include "vhost-guest.h"

/* Each part of a ring of GUEST_RING descriptors fits into. */
#define PART_BYTES 4096
#define VNET_BYTES sizeof(struct virtio_net_hdr_v1)

/* -- Life ------------------------------------------------------------------ */

Guest *guest_new_stranger(const char *path, unsigned pairs, uint64_t features)
{
    Guest *g = g_new0(Guest, 1);

    g->path = g_strdup(path);
    g->fd = -1;
    g->rings = 2 * pairs;
    g->features = features | GUEST_FEATURE(VU_F_PROTOCOL_FEATURES);
    g->mem_bytes = g->rings * (uint64_t)DRIVER_REGION_BYTES;
    g->mem_fd = memfd_create("guest", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(g->mem_fd, g->mem_bytes), ==, 0);
    g->mem = mmap(NULL, g->mem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                  g->mem_fd, 0);
    g_assert_true(g->mem != MAP_FAILED);
    for (unsigned i = 0; i < g->rings; i++) {
        g->kick_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        g->call_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        g_assert_cmpint(g->call_fd[i], >=, 0);
    }
    return g;
}

static void forget_drivers(Guest *g)
{
    for (unsigned i = 0; i < g->rings; i++) {
        g_clear_pointer(&g->driver[i], driver_free);
        g->posted[i] = g->reaped[i] = 0;
    }
}

void guest_free(Guest *g)
{
    guest_disconnect(g);
    forget_drivers(g);
    munmap(g->mem, g->mem_bytes);
    close(g->mem_fd);
    for (unsigned i = 0; i < g->rings; i++) {
        close(g->kick_fd[i]);
        close(g->call_fd[i]);
    }
    g_free(g->path);
    g_free(g);
}

void guest_connect(Guest *g)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    g_strlcpy(address.sun_path, g->path, sizeof(address.sun_path));
    g->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(connect(g->fd, (struct sockaddr *)&address,
                            sizeof(address)), ==, 0);
}

void guest_disconnect(Guest *g)
{
    if (g->fd >= 0) {
        close(g->fd);
        g->fd = -1;
    }
}

Guest *guest_new(const char *path, unsigned pairs, uint64_t features)
{
    Guest *g = guest_new_stranger(path, pairs, features);

    guest_connect(g);
    guest_introduce(g);
    guest_begin_rings(g);
    for (unsigned i = 0; i < g->rings; i++) {
        guest_start_ring(g, i, g->kick_fd[i], g->call_fd[i]);
    }
    guest_ask(g, VU_GET_FEATURES);
    return g;
}

/* -- Messages -------------------------------------------------------------- */

bool guest_say(Guest *g, uint32_t request, const void *payload, uint32_t bytes,
               const int *fd, unsigned fds)
{
    VuHeader header = {
        .request = request, .flags = VU_VERSION, .payload_bytes = bytes,
    };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(32 * sizeof(int))];
    } control = { 0 };
    struct iovec iov[] = {
        { &header, sizeof(header) }, { (void *)payload, bytes },
    };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = bytes ? 2 : 1 };
    ssize_t all = sizeof(header) + bytes;

    g_assert_cmpuint(fds, <=, 32);
    if (fds > 0) {
        struct cmsghdr *cmsg;

        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(fds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fd, fds * sizeof(int));
    }
    for (;;) {
        ssize_t sent = sendmsg(g->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent == all) {
            return true;
        }
        g_assert_cmpint(sent, ==, -1);
        if (errno != EAGAIN) {
            return false;
        }
        /* Who reads it runs in this thread. */
        bed_turn();
    }
}

void guest_tell(Guest *g, uint32_t request, uint64_t u64)
{
    guest_say(g, request, &u64, sizeof(u64), NULL, 0);
}

void guest_tell_fd(Guest *g, uint32_t request, unsigned ring, int fd)
{
    uint64_t u64 = ring | (fd < 0 ? VU_RING_NO_FD : 0);

    guest_say(g, request, &u64, sizeof(u64), &fd, fd >= 0);
}

typedef struct Answer {
    int fd;
    struct {
        VuHeader header;
        uint64_t u64;
    } __attribute__((packed)) m;
    size_t bytes;
} Answer;

static bool has_answer(void *opaque)
{
    Answer *a = opaque;
    ssize_t got = recv(a->fd, (char *)&a->m + a->bytes,
                       sizeof(a->m) - a->bytes, MSG_DONTWAIT);

    g_assert_true(got > 0 || (got < 0 && errno == EAGAIN));
    a->bytes += got > 0 ? got : 0;
    return a->bytes == sizeof(a->m);
}

static uint64_t ask(Guest *g, uint32_t request, const void *payload,
                    uint32_t bytes)
{
    Answer a = { .fd = g->fd };

    g_assert_true(guest_say(g, request, payload, bytes, NULL, 0));
    bed_turn();
    bed_wait(has_answer, &a, "an answer");
    g_assert_cmpuint(a.m.header.request, ==, request);
    return a.m.u64;
}

uint64_t guest_ask(Guest *g, uint32_t request)
{
    return ask(g, request, NULL, 0);
}

void guest_disturb(Guest *g, unsigned ring)
{
    const VuRingState on = { ring, 1 };

    guest_say(g, VU_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0);
    guest_ask(g, VU_GET_FEATURES);
}

unsigned guest_stop_ring(Guest *g, unsigned ring)
{
    VuRingState state = { .index = ring };

    return ask(g, VU_GET_VRING_BASE, &state, sizeof(state)) >> 32;
}

bool guest_is_alone(Guest *g)
{
    char buffer[256];
    ssize_t got;

    bed_turn();
    do {
        got = recv(g->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    } while (got > 0);
    return got == 0 || errno != EAGAIN;
}

void guest_introduce(Guest *g)
{
    VuTable t = { .regions = 1, .region[0] = {
        .bytes = g->mem_bytes, .user_addr = DRIVER_USER_OFFSET,
    } };

    guest_tell(g, VU_SET_PROTOCOL_FEATURES,
               GUEST_FEATURE(VU_PROTOCOL_F_MQ) |
               GUEST_FEATURE(VU_PROTOCOL_F_RARP));
    guest_tell(g, VU_SET_FEATURES, g->features);
    guest_say(g, VU_SET_MEM_TABLE, &t, 8 + sizeof(VuRegion), &g->mem_fd, 1);
}

static void post(Guest *g, unsigned ring, uint32_t bytes)
{
    DriverPart part = {
        guest_buffer_addr(ring, g->posted[ring]++), bytes,
    };

    g_assert_cmpint(driver_post(g->driver[ring], &part, 1, false, 0), >=, 0);
}

void guest_begin_rings(Guest *g)
{
    forget_drivers(g);
    for (unsigned i = 0; i < g->rings; i++) {
        uint64_t at = (uint64_t)i * DRIVER_REGION_BYTES;

        g->driver[i] = driver_new_at(i % 2 ? VRING_TX : VRING_RX,
                                     g->features >> 34 & 1, false, GUEST_RING,
                                     g->mem + at, at);
        /* Packed or not, the parts lie where those of a split one do. */
        memset(g->driver[i]->at.split.desc, 0, PART_BYTES);
        memset(g->driver[i]->at.split.avail, 0, PART_BYTES);
        memset(g->driver[i]->at.split.used, 0, PART_BYTES);
        driver_ask_kick(g->driver[i], false);
        while (i % 2 == 0 && g->posted[i] < GUEST_RING) {
            post(g, i, GUEST_BUFFER_BYTES);
        }
    }
}

void guest_start_ring(Guest *g, unsigned ring, int kick_fd, int call_fd)
{
    const VringSpec *spec = &g->driver[ring]->spec;
    VuRingState size = { ring, GUEST_RING }, on = { ring, 1 };
    VuRingState base = { ring, spec->packed ? 0x8000 : 0 };
    VuRingAddr addr = {
        .index = ring,
        .desc_user_addr = spec->desc_user_addr,
        .avail_user_addr = spec->avail_user_addr,
        .used_user_addr = spec->used_user_addr,
    };

    guest_say(g, VU_SET_VRING_NUM, &size, sizeof(size), NULL, 0);
    guest_say(g, VU_SET_VRING_BASE, &base, sizeof(base), NULL, 0);
    guest_say(g, VU_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
    guest_tell_fd(g, VU_SET_VRING_CALL, ring, call_fd);
    guest_tell_fd(g, VU_SET_VRING_KICK, ring, kick_fd);
    guest_say(g, VU_SET_VRING_ENABLE, &on, sizeof(on), NULL, 0);
}

/* -- Frames ---------------------------------------------------------------- */

uint64_t guest_buffer_addr(unsigned ring, unsigned i)
{
    return (uint64_t)ring * DRIVER_REGION_BYTES + DRIVER_SPARE_AT +
           i % GUEST_BUFFERS * GUEST_BUFFER_BYTES;
}

G_STATIC_ASSERT(GUEST_BUFFERS * GUEST_BUFFER_BYTES <= DRIVER_SPARE_BYTES);

uint8_t *guest_buffer(Guest *g, unsigned ring, unsigned i)
{
    return g->mem + guest_buffer_addr(ring, i);
}

void guest_kick(Guest *g, unsigned ring)
{
    uint64_t one = 1;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (driver_wants_kick(g->driver[ring])) {
        (void)!write(g->kick_fd[ring], &one, sizeof(one));
    }
}

bool guest_put(Guest *g, unsigned pair, const void *frame, size_t bytes)
{
    unsigned ring = 2 * pair + 1;
    uint32_t written;
    uint8_t *to;

    while (driver_reap(g->driver[ring], &written) >= 0) {
        g->reaped[ring]++;
    }
    if (g->posted[ring] - g->reaped[ring] == GUEST_RING) {
        return false;
    }
    g_assert_cmpuint(VNET_BYTES + bytes, <=, GUEST_BUFFER_BYTES);
    to = guest_buffer(g, ring, g->posted[ring]);
    memset(to, 0, VNET_BYTES);
    memcpy(to + VNET_BYTES, frame, bytes);
    post(g, ring, VNET_BYTES + bytes);
    return true;
}

bool guest_send(Guest *g, unsigned pair, const void *frame, size_t bytes)
{
    bool sent = guest_put(g, pair, frame, bytes);

    if (sent) {
        guest_kick(g, 2 * pair + 1);
    }
    return sent;
}

size_t guest_receive(Guest *g, unsigned pair, void *frame, size_t max)
{
    unsigned ring = 2 * pair;
    uint32_t written;

    if (driver_reap(g->driver[ring], &written) < 0) {
        return 0;
    }
    g_assert_cmpuint(written, >, VNET_BYTES);
    g_assert_cmpuint(written - VNET_BYTES, <=, max);
    memcpy(frame, guest_buffer(g, ring, g->reaped[ring]++) + VNET_BYTES,
           written - VNET_BYTES);
    post(g, ring, GUEST_BUFFER_BYTES);
    return written - VNET_BYTES;
}
