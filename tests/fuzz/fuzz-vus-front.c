/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A front end that says anything, in any order, with or without files; and a
 * worker that serves each ring that runs.
 *
 * No file stays open, and no worker stays still.
 *
 * Threads: none.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz-input.h"
#include "vu-front.h"

#define FILE_BYTES 0x20000
#define MESSAGES 64

static VuFront front;
static VringBurst burst;
static int file = -1;
static bool still;

static void on_quiesce(void *opaque)
{
    assert(!still);
    still = true;
}

static void on_resume(void *opaque)
{
    assert(still);
    still = false;
}

static void on_changed(void *opaque)
{
    assert(still);
}

static void on_announce(void *opaque, const uint8_t mac[6])
{
}

static const VuFrontOps ops = {
    .quiesce = on_quiesce,
    .resume = on_resume,
    .changed = on_changed,
    .announce = on_announce,
};

static const VuFrontConfig cfg = {
    .features = UINT64_C(1) << VIRTIO_F_VERSION_1 |
                UINT64_C(1) << VIRTIO_F_RING_PACKED |
                UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX,
    .pairs = 2,
    .mtu = 9000,
    .ops = &ops,
};

/* The number that the next file would get. */
static int next_fd(void)
{
    int fd = dup(0);

    assert(fd >= 0);
    close(fd);
    return fd;
}

static void say(FuzzInput *input)
{
    VuMsg m = {
        .header = {
            .request = fuzz_take(input, 1),
            .flags = VU_VERSION,
            .payload_bytes = fuzz_take(input, 2) % (VU_MAX_PAYLOAD_BYTES + 1),
        },
    };
    unsigned more = fuzz_take(input, 1);
    uint8_t *payload = (uint8_t *)&m.payload;
    g_autoptr(GError) error = NULL;
    uint32_t answer_bytes;
    VuPayload answer;
    VuHandled handled;

    m.header.flags |= more & 0x80 ? VU_FLAG_NEED_REPLY : 0;
    for (uint32_t i = 0; i < m.header.payload_bytes; i++) {
        payload[i] = fuzz_take(input, 1);
    }
    for (unsigned i = 0; i < (more & 0xf) && i < VU_MAX_FDS; i++) {
        m.fd[m.fds++] = fcntl(file, F_DUPFD_CLOEXEC, 0);
    }
    handled = vu_front_handle(&front, &m, &answer, &answer_bytes, &error);
    assert(!still && m.fds == 0);
    assert(answer_bytes <= sizeof(answer));
    assert((handled == VU_REFUSED) == (error != NULL));
    assert(handled != VU_ANSWER || answer_bytes > 0);
}

static void serve(void)
{
    for (unsigned i = 0; i < 2 * cfg.pairs; i++) {
        VuRing *r = &front.ring[i];

        if (r->started && vring_fetch(&r->vring, &burst, VRING_BURST)) {
            vring_complete(&r->vring, &burst, burst.n, NULL);
            vring_wants_kick(&r->vring);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = { data, size };
    int fd;

    if (file < 0) {
        file = memfd_create("guest", MFD_CLOEXEC);
        assert(file >= 0 && ftruncate(file, FILE_BYTES) == 0);
    }
    fd = next_fd();
    vu_front_init(&front, &cfg);
    for (unsigned i = 0; i < MESSAGES && input.left_bytes; i++) {
        say(&input);
        serve();
    }
    vu_front_reset(&front);
    assert(next_fd() == fd);
    return 0;
}
