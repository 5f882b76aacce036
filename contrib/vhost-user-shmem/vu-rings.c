/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rings of a front end: set up, started, stopped.
 *
 * Source: QEMU, docs/interop/vhost-user.rst.
 *
 * Threads: see vu-front.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <unistd.h>

#include "kick.h"
#include "vu-front-impl.h"

/* -- Life ------------------------------------------------------------------ */

static VuRing *find_ring(VuFront *f, uint32_t index, GError **error)
{
    if (index >= 2 * f->cfg.pairs) {
        FRONT_ERROR(error, "ring %" PRIu32 " does not exist; there are %u",
                    index, 2 * f->cfg.pairs);
        return NULL;
    }
    return &f->ring[index];
}

static void put_fd(int *at, int fd)
{
    if (*at >= 0) {
        close(*at);
    }
    *at = fd;
}

void vu_ring_stop(VuFront *f, VuRing *r)
{
    if (r->started) {
        r->base = vring_base(&r->vring);
        r->started = false;
        if (f->cfg.ops->ring_stopped) {
            f->cfg.ops->ring_stopped(f->cfg.opaque, r - f->ring);
        }
    }
}

/* With what is known now, from r->base on.  A ring that fails is stopped. */
static bool start_ring(VuFront *f, VuRing *r, GError **error)
{
    unsigned index = r - f->ring;

    r->started = false;
    if (r->spec.size == 0 || !r->has_addr) {
        FRONT_ERROR(error, "ring %u cannot start: its %s was not told", index,
                    r->spec.size == 0 ? "size" : "address");
        return false;
    }
    r->spec.kind = index % 2 ? VRING_TX : VRING_RX;
    r->spec.packed = vu_front_has(f, VIRTIO_F_RING_PACKED);
    r->spec.event_idx = vu_front_has(f, VIRTIO_RING_F_EVENT_IDX);
    if (!vring_start(&r->vring, &r->spec, &f->mem, r->base, error)) {
        g_prefix_error(error, "ring %u: ", index);
        return false;
    }
    r->started = true;
    if (f->cfg.ops->ring_started) {
        f->cfg.ops->ring_started(f->cfg.opaque, index);
    }
    return true;
}

bool vu_rings_restart(VuFront *f, VuRing *only, GError **error)
{
    bool all = true;

    for (unsigned i = 0; i < 2 * f->cfg.pairs; i++) {
        VuRing *r = &f->ring[i];

        if (r->started && (!only || r == only)) {
            vu_ring_stop(f, r);
            all &= start_ring(f, r, all ? error : NULL);
        }
    }
    return all;
}

void vu_rings_init(VuFront *f)
{
    for (unsigned i = 0; i < VU_FRONT_MAX_RINGS; i++) {
        f->ring[i] = (VuRing) { .kick_fd = -1, .call_fd = -1, .err_fd = -1 };
    }
}

void vu_rings_forget(VuFront *f)
{
    for (unsigned i = 0; i < VU_FRONT_MAX_RINGS; i++) {
        VuRing *r = &f->ring[i];

        put_fd(&r->kick_fd, -1);
        put_fd(&r->call_fd, -1);
        put_fd(&r->err_fd, -1);
    }
    vu_rings_init(f);
}

/* -- Handlers -------------------------------------------------------------- */

bool vu_ring_set_num(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    VuRing *r = find_ring(f, m->payload.state.index, error);
    uint32_t size = m->payload.state.number;

    if (!r) {
        return false;
    }
    if (r->started || size == 0 || size > VRING_MAX_SIZE) {
        FRONT_ERROR(error, "ring %" PRIu32 " cannot have %" PRIu32
                    " descriptors%s", m->payload.state.index, size,
                    r->started ? " while it runs" : "");
        return false;
    }
    r->spec.size = size;
    return true;
}

bool vu_ring_set_addr(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    const VuRingAddr *a = &m->payload.addr;
    VuRing *r = find_ring(f, a->index, error);

    if (!r) {
        return false;
    }
    r->spec.desc_user_addr = a->desc_user_addr;
    r->spec.avail_user_addr = a->avail_user_addr;
    r->spec.used_user_addr = a->used_user_addr;
    r->spec.log_used = a->flags & VU_RING_ADDR_LOG;
    r->spec.used_guest_addr = a->used_guest_addr;
    r->has_addr = true;
    return vu_rings_restart(f, r, error);
}

bool vu_ring_set_base(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    VuRing *r = find_ring(f, m->payload.state.index, error);

    if (!r) {
        return false;
    }
    if (r->started) {
        FRONT_ERROR(error, "ring %" PRIu32 " cannot go elsewhere while it runs",
                    m->payload.state.index);
        return false;
    }
    r->base = m->payload.state.number;
    return true;
}

bool vu_ring_get_base(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    VuRing *r = find_ring(f, m->payload.state.index, error);
    VuRingState state = { .index = m->payload.state.index };

    if (!r) {
        return false;
    }
    vu_ring_stop(f, r);
    put_fd(&r->kick_fd, -1);
    put_fd(&r->call_fd, -1);
    state.number = r->base;
    memcpy(out, &state, sizeof(state));
    return true;
}

bool vu_ring_set_enable(VuFront *f, VuMsg *m, uint64_t *out,
                             GError **error)
{
    VuRing *r = find_ring(f, m->payload.state.index, error);

    if (!r) {
        return false;
    }
    r->enabled = m->payload.state.number;
    return true;
}

/* The ring that an fd is for, and the fd, or -1, in *fd. */
static VuRing *take_ring_fd(VuFront *f, VuMsg *m, int *fd, GError **error)
{
    uint64_t u64 = m->payload.u64;
    bool none = u64 & VU_RING_NO_FD;

    if (u64 & ~(uint64_t)(VU_RING_INDEX_MASK | VU_RING_NO_FD)) {
        FRONT_ERROR(error, "0x%" PRIx64 " names no ring", u64);
        return NULL;
    }
    if (none != (m->fds == 0)) {
        FRONT_ERROR(error, "%u files came where %s was announced", m->fds,
                    none ? "none" : "one");
        return NULL;
    }
    *fd = none ? -1 : m->fd[0];
    return find_ring(f, u64 & VU_RING_INDEX_MASK, error);
}

bool vu_ring_set_kick(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    int fd;
    VuRing *r = take_ring_fd(f, m, &fd, error);

    if (!r || (!r->started && !start_ring(f, r, error))) {
        return false;
    }
    put_fd(&r->kick_fd, fd);
    m->fds = 0;
    return true;
}

/*
 * While a guest runs, QEMU exchanges one call fd for another whenever an
 * interrupt is masked or unmasked.  Under the same number that needs nobody to
 * be still, so that no frame meets a port that is.  What was told to the old
 * file just now may not be seen by anybody: the new one is told, too.
 */
bool vu_ring_set_call(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    int fd;
    VuRing *r = take_ring_fd(f, m, &fd, error);

    if (!r) {
        return false;
    }
    if (fd >= 0 && r->call_fd >= 0) {
        if (dup3(fd, r->call_fd, O_CLOEXEC) < 0) {
            FRONT_ERROR(error, "its file cannot be used: %s",
                        g_strerror(errno));
            return false;
        }
    } else {
        f->cfg.ops->quiesce(f->cfg.opaque);
        put_fd(&r->call_fd, fd);
        m->fds = 0;
        f->cfg.ops->resume(f->cfg.opaque);
    }
    kick(r->call_fd);
    return true;
}

bool vu_ring_set_err(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    int fd;
    VuRing *r = take_ring_fd(f, m, &fd, error);

    if (!r) {
        return false;
    }
    put_fd(&r->err_fd, fd);
    m->fds = 0;
    return true;
}

