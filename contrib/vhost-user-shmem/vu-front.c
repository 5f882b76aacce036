/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each message does; those that are about a ring stand in vu-rings.c.
 *
 * Source: QEMU, docs/interop/vhost-user.rst.
 *
 * Threads: see vu-front.h.
 */
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "vu-front-impl.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Offered with the features of the configuration, as they are vhost's own. */
#define FEATURES (BIT(VU_F_LOG_ALL) | BIT(VU_F_PROTOCOL_FEATURES))

#define PROTOCOL_FEATURES \
    (BIT(VU_PROTOCOL_F_MQ) | BIT(VU_PROTOCOL_F_LOG_SHMFD) | \
     BIT(VU_PROTOCOL_F_RARP) | BIT(VU_PROTOCOL_F_REPLY_ACK) | \
     BIT(VU_PROTOCOL_F_MTU) | BIT(VU_PROTOCOL_F_RESET_DEVICE) | \
     BIT(VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | BIT(VU_PROTOCOL_F_STATUS))

/* Least MTU of IPv4 (RFC 791). */
#define MTU_MIN 68

G_DEFINE_QUARK(vu-front-error-quark, vu_front_error)

static bool has_protocol(const VuFront *f, unsigned feature)
{
    return f->protocol_features >> feature & 1;
}

/* -- Life ------------------------------------------------------------------ */

void vu_front_init(VuFront *f, const VuFrontConfig *cfg)
{
    g_assert(cfg->pairs >= 1 && cfg->pairs <= VU_FRONT_MAX_PAIRS);
    *f = (VuFront) { .cfg = *cfg };
    vu_rings_init(f);
}

void vu_front_reset(VuFront *f)
{
    f->cfg.ops->quiesce(f->cfg.opaque);
    vu_rings_forget(f);
    guest_mem_clear(&f->mem);
    f->features = f->protocol_features = 0;
    f->has_features = false;
    f->mtu = 0;
    f->status = 0;
    f->cfg.ops->changed(f->cfg.opaque);
    f->cfg.ops->resume(f->cfg.opaque);
}

/* -- Handlers -------------------------------------------------------------- */

static bool get_features(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    *out = f->cfg.features | FEATURES;
    return true;
}

static bool set_features(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    uint64_t features = m->payload.u64;
    uint64_t unknown = features & ~(f->cfg.features | FEATURES);
    uint64_t fixed = BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX);

    if (unknown) {
        FRONT_ERROR(error, "features 0x%" PRIx64 " were not offered", unknown);
        return false;
    }
    for (unsigned i = 0; i < 2 * f->cfg.pairs; i++) {
        if (f->ring[i].started && (features ^ f->features) & fixed) {
            FRONT_ERROR(error, "the kind of ring changes while ring %u runs",
                        i);
            return false;
        }
    }
    if (f->features & ~features & BIT(VU_F_LOG_ALL)) {
        /* The migration is over; SET_LOG_BASE was told before this bit. */
        guest_mem_set_log(&f->mem, -1, 0, 0, NULL);
    }
    f->features = features;
    f->has_features = true;
    if (!vu_front_has(f, VU_F_PROTOCOL_FEATURES)) {
        for (unsigned i = 0; i < 2 * f->cfg.pairs; i++) {
            f->ring[i].enabled = true;
        }
    }
    return true;
}

static bool get_protocol_features(VuFront *f, VuMsg *m, uint64_t *out,
                                  GError **error)
{
    *out = PROTOCOL_FEATURES;
    return true;
}

static bool set_protocol_features(VuFront *f, VuMsg *m, uint64_t *out,
                                  GError **error)
{
    uint64_t unknown = m->payload.u64 & ~PROTOCOL_FEATURES;

    if (unknown) {
        FRONT_ERROR(error, "protocol features 0x%" PRIx64 " were not offered",
                    unknown);
        return false;
    }
    f->protocol_features = m->payload.u64;
    return true;
}

static bool nothing_to_do(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    return true;
}

static bool reset_owner(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    for (unsigned i = 0; i < 2 * f->cfg.pairs; i++) {
        vu_ring_stop(f, &f->ring[i]);
        f->ring[i].enabled = false;
    }
    return true;
}

static bool reset_device(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    for (unsigned i = 0; i < 2 * f->cfg.pairs; i++) {
        vu_ring_stop(f, &f->ring[i]);
    }
    vu_rings_forget(f);
    f->status = 0;
    return true;
}

static bool get_queue_num(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    *out = f->cfg.pairs;
    return true;
}

/* -- Handlers: memory ------------------------------------------------------ */

static GuestRegionSpec region_spec(const VuRegion *r)
{
    return (GuestRegionSpec) {
        .guest_addr = r->guest_addr,
        .bytes = r->bytes,
        .user_addr = r->user_addr,
        .file_offset = r->file_offset,
    };
}

/*
 * All or nothing: the old memory serves until the new one is there.  The log is
 * that of the addresses, and stays.
 */
static bool set_mem_table(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    const VuTable *t = &m->payload.table;
    uint32_t want = offsetof(VuTable, region);
    GuestMem *old;
    bool done = true;

    if (m->header.payload_bytes >= want && t->regions <= VU_MAX_TABLE_REGIONS) {
        want += t->regions * sizeof(t->region[0]);
    }
    if (m->header.payload_bytes != want || t->regions != m->fds) {
        FRONT_ERROR(error, "a table of %" PRIu32 " regions came with %u files "
                    "and %" PRIu32 " bytes; at most %d regions can be",
                    t->regions, m->fds, m->header.payload_bytes,
                    VU_MAX_TABLE_REGIONS);
        return false;
    }
    old = g_new0(GuestMem, 1);
    guest_mem_take_regions(old, &f->mem);
    for (unsigned i = 0; done && i < t->regions; i++) {
        GuestRegionSpec spec = region_spec(&t->region[i]);

        done = guest_mem_add(&f->mem, &spec, m->fd[i], error);
    }
    if (!done) {
        GuestMem *new = g_new0(GuestMem, 1);

        guest_mem_take_regions(new, &f->mem);
        guest_mem_take_regions(&f->mem, old);
        guest_mem_clear(new);
        g_free(new);
    }
    guest_mem_clear(old);
    g_free(old);
    return done && vu_rings_restart(f, NULL, error);
}

static bool get_max_mem_slots(VuFront *f, VuMsg *m, uint64_t *out,
                              GError **error)
{
    *out = GUEST_MEM_MAX_REGIONS;
    return true;
}

static bool add_mem_reg(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    GuestRegionSpec spec = region_spec(&m->payload.region.region);

    return guest_mem_add(&f->mem, &spec, m->fd[0], error);
}

/* A ring that lies there is stopped, and that is a failure. */
static bool rem_mem_reg(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    GuestRegionSpec spec = region_spec(&m->payload.region.region);

    return guest_mem_remove(&f->mem, &spec, error) &&
           vu_rings_restart(f, NULL, error);
}

static bool set_log_base(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    const VuLog *log = &m->payload.log;

    *out = 0;
    return guest_mem_set_log(&f->mem, m->fd[0], log->file_offset, log->bytes,
                             error);
}

/* -- Handlers: the network ------------------------------------------------- */

static bool send_rarp(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    uint8_t mac[8];

    memcpy(mac, &m->payload.u64, sizeof(mac));
    f->cfg.ops->announce(f->cfg.opaque, mac);
    return true;
}

static bool net_set_mtu(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    if (m->payload.u64 < MTU_MIN || m->payload.u64 > f->cfg.mtu) {
        FRONT_ERROR(error, "an MTU of %" PRIu64 " cannot be: %d to %u",
                    m->payload.u64, MTU_MIN, f->cfg.mtu);
        return false;
    }
    f->mtu = m->payload.u64;
    return true;
}

static bool set_status(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    if (m->payload.u64 > UINT8_MAX) {
        FRONT_ERROR(error, "0x%" PRIx64 " is no device status",
                    m->payload.u64);
        return false;
    }
    f->status = m->payload.u64;
    return true;
}

static bool get_status(VuFront *f, VuMsg *m, uint64_t *out, GError **error)
{
    *out = f->status;
    return true;
}

/* -- The table ------------------------------------------------------------- */

#define ANY_BYTES UINT32_MAX
#define NO_FEATURE 0xff

typedef struct Request {
    VuHandler *handle;
    uint32_t bytes;             /* of payload, or ANY_BYTES */
    uint8_t least_fds, most_fds;
    bool answered;              /* by 8 bytes, whatever the flags say */
    bool changes;               /* workers have to be still, and are told */
    bool after_features;        /* SET_FEATURES has to have come */
    uint8_t protocol_feature;   /* that has to be agreed, or NO_FEATURE */
} Request;

#define U64 sizeof(uint64_t)
#define STATE sizeof(VuRingState)
#define NEEDS(name) VU_PROTOCOL_F_##name

static const Request requests[VU_REQUESTS_END] = {
    /*                    handler          bytes  fds answ. chg. feat. needs */
    [VU_GET_FEATURES] = { get_features, 0, 0, 0, true, false, false,
                          NO_FEATURE },
    [VU_SET_FEATURES] = { set_features, U64, 0, 0, false, true, false,
                          NO_FEATURE },
    [VU_GET_PROTOCOL_FEATURES] = { get_protocol_features, 0, 0, 0, true, false,
                                   false, NO_FEATURE },
    [VU_SET_PROTOCOL_FEATURES] = { set_protocol_features, U64, 0, 0, false,
                                   false, false, NO_FEATURE },
    [VU_SET_OWNER] = { nothing_to_do, 0, 0, 0, false, false, false,
                       NO_FEATURE },
    [VU_RESET_OWNER] = { reset_owner, 0, 0, 0, false, true, false,
                         NO_FEATURE },
    [VU_RESET_DEVICE] = { reset_device, 0, 0, 0, false, true, false,
                          NEEDS(RESET_DEVICE) },
    [VU_GET_QUEUE_NUM] = { get_queue_num, 0, 0, 0, true, false, false,
                           NEEDS(MQ) },

    [VU_SET_MEM_TABLE] = { set_mem_table, ANY_BYTES, 0, VU_MAX_FDS, false, true,
                           false, NO_FEATURE },
    [VU_GET_MAX_MEM_SLOTS] = { get_max_mem_slots, 0, 0, 0, true, false, false,
                               NEEDS(CONFIGURE_MEM_SLOTS) },
    [VU_ADD_MEM_REG] = { add_mem_reg, sizeof(VuOneRegion), 1, 1, false, true,
                         false, NEEDS(CONFIGURE_MEM_SLOTS) },
    /* QEMU sends the file once more. */
    [VU_REM_MEM_REG] = { rem_mem_reg, sizeof(VuOneRegion), 0, 1, false, true,
                         false, NEEDS(CONFIGURE_MEM_SLOTS) },
    [VU_SET_LOG_BASE] = { set_log_base, sizeof(VuLog), 1, 1, true, true, false,
                          NEEDS(LOG_SHMFD) },
    [VU_SET_LOG_FD] = { nothing_to_do, 0, 1, 1, false, false, false,
                        NO_FEATURE },

    [VU_SET_VRING_NUM] = { vu_ring_set_num, STATE, 0, 0, false, false, false,
                           NO_FEATURE },
    [VU_SET_VRING_ADDR] = { vu_ring_set_addr, sizeof(VuRingAddr), 0, 0, false,
                            true, false, NO_FEATURE },
    [VU_SET_VRING_BASE] = { vu_ring_set_base, STATE, 0, 0, false, false, false,
                            NO_FEATURE },
    [VU_GET_VRING_BASE] = { vu_ring_get_base, STATE, 0, 0, true, true, false,
                            NO_FEATURE },
    [VU_SET_VRING_KICK] = { vu_ring_set_kick, U64, 0, 1, false, true, true,
                            NO_FEATURE },
    [VU_SET_VRING_CALL] = { vu_ring_set_call, U64, 0, 1, false, false, false,
                            NO_FEATURE },
    [VU_SET_VRING_ERR] = { vu_ring_set_err, U64, 0, 1, false, false, false,
                           NO_FEATURE },
    /* QEMU sends it as soon as the NIC is there. */
    [VU_SET_VRING_ENABLE] = { vu_ring_set_enable, STATE, 0, 0, false, true,
                              false, NO_FEATURE },

    [VU_SEND_RARP] = { send_rarp, U64, 0, 0, false, false, false,
                       NEEDS(RARP) },
    [VU_NET_SET_MTU] = { net_set_mtu, U64, 0, 0, false, true, false,
                         NEEDS(MTU) },
    [VU_SET_STATUS] = { set_status, U64, 0, 0, false, false, false,
                        NEEDS(STATUS) },
    [VU_GET_STATUS] = { get_status, 0, 0, 0, true, false, false,
                        NEEDS(STATUS) },
};

static bool check(const VuFront *f, const Request *q, const VuMsg *m,
                  GError **error)
{
    uint32_t bytes = m->header.payload_bytes;

    if (!q) {
        FRONT_ERROR(error, "it is not known");
    } else if (q->bytes != ANY_BYTES && q->bytes != bytes) {
        FRONT_ERROR(error, "it has %" PRIu32 " bytes instead of %" PRIu32,
                    bytes, q->bytes);
    } else if (m->fds < q->least_fds || m->fds > q->most_fds) {
        FRONT_ERROR(error, "it came with %u files instead of %u%s", m->fds,
                    q->least_fds, q->most_fds > q->least_fds ? " or more" : "");
    } else if (q->after_features && !f->has_features) {
        FRONT_ERROR(error, "it came before SET_FEATURES");
    } else if (q->protocol_feature != NO_FEATURE &&
               !has_protocol(f, q->protocol_feature)) {
        FRONT_ERROR(error, "it needs protocol feature %u, which was not agreed",
                    q->protocol_feature);
    } else {
        return true;
    }
    return false;
}

VuHandled vu_front_handle(VuFront *f, VuMsg *m, VuPayload *payload,
                          uint32_t *bytes, GError **error)
{
    uint32_t number = m->header.request;
    const Request *q = number < VU_REQUESTS_END && requests[number].handle
                       ? &requests[number] : NULL;
    /* Agreed before this message, which may be what agrees. */
    bool asked = m->header.flags & VU_FLAG_NEED_REPLY &&
                 has_protocol(f, VU_PROTOCOL_F_REPLY_ACK);
    bool done = check(f, q, m, error);

    memset(payload, 0, sizeof(*payload));
    *bytes = 0;
    if (done && q->changes) {
        f->cfg.ops->quiesce(f->cfg.opaque);
        done = q->handle(f, m, &payload->u64, error);
        f->cfg.ops->changed(f->cfg.opaque);
        f->cfg.ops->resume(f->cfg.opaque);
    } else if (done) {
        done = q->handle(f, m, &payload->u64, error);
    }
    vu_msg_clear(m);
    if (!done) {
        g_prefix_error(error, "%s: ", vu_request_name(number));
        if (asked && !(q && q->answered)) {
            payload->u64 = 1;
            *bytes = sizeof(payload->u64);
        }
        return VU_REFUSED;
    }
    if (q->answered || asked) {
        *bytes = sizeof(payload->u64);
        return VU_ANSWER;
    }
    return VU_HANDLED;
}
