/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the vhost-user protocol: numbers and layouts, nothing else.
 *
 * Source: QEMU, docs/interop/vhost-user.rst.  All fields have the byte order of
 * the machine; both ends run on it.
 *
 * Threads: none.
 */
#ifndef VUS_VU_WIRE_H
#define VUS_VU_WIRE_H

#include <stdint.h>

#include <glib.h>

#define VU_VERSION 1u
#define VU_FLAG_VERSION_MASK 3u
#define VU_FLAG_REPLY (1u << 2)
#define VU_FLAG_NEED_REPLY (1u << 3)

/* The longest payload is that of SET_MEM_TABLE, and so is the list of fds. */
#define VU_MAX_TABLE_REGIONS 8
#define VU_MAX_PAYLOAD_BYTES 264
#define VU_MAX_FDS VU_MAX_TABLE_REGIONS

/* X(number, name) */
#define VU_REQUESTS(X) \
    X(1, GET_FEATURES) \
    X(2, SET_FEATURES) \
    X(3, SET_OWNER) \
    X(4, RESET_OWNER) \
    X(5, SET_MEM_TABLE) \
    X(6, SET_LOG_BASE) \
    X(7, SET_LOG_FD) \
    X(8, SET_VRING_NUM) \
    X(9, SET_VRING_ADDR) \
    X(10, SET_VRING_BASE) \
    X(11, GET_VRING_BASE) \
    X(12, SET_VRING_KICK) \
    X(13, SET_VRING_CALL) \
    X(14, SET_VRING_ERR) \
    X(15, GET_PROTOCOL_FEATURES) \
    X(16, SET_PROTOCOL_FEATURES) \
    X(17, GET_QUEUE_NUM) \
    X(18, SET_VRING_ENABLE) \
    X(19, SEND_RARP) \
    X(20, NET_SET_MTU) \
    X(34, RESET_DEVICE) \
    X(36, GET_MAX_MEM_SLOTS) \
    X(37, ADD_MEM_REG) \
    X(38, REM_MEM_REG) \
    X(39, SET_STATUS) \
    X(40, GET_STATUS)

typedef enum VuRequest {
#define VU_REQUEST_ENUM(number, name) VU_##name = number,
    VU_REQUESTS(VU_REQUEST_ENUM)
#undef VU_REQUEST_ENUM
    VU_REQUESTS_END             /* behind the last */
} VuRequest;

/* Bits of GET_PROTOCOL_FEATURES. */
enum {
    VU_PROTOCOL_F_MQ = 0,
    VU_PROTOCOL_F_LOG_SHMFD = 1,
    VU_PROTOCOL_F_RARP = 2,
    VU_PROTOCOL_F_REPLY_ACK = 3,
    VU_PROTOCOL_F_MTU = 4,
    VU_PROTOCOL_F_RESET_DEVICE = 13,
    VU_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
    VU_PROTOCOL_F_STATUS = 16,
};

/* Bits of GET_FEATURES that are vhost's, not virtio's. */
enum {
    VU_F_LOG_ALL = 26,
    VU_F_PROTOCOL_FEATURES = 30,
};

/* SET_VRING_KICK, _CALL and _ERR: which ring, and whether there is no fd. */
#define VU_RING_INDEX_MASK 0xffu
#define VU_RING_NO_FD (1u << 8)

/* VuRingAddr.flags */
#define VU_RING_ADDR_LOG 1u

typedef struct VuHeader {
    uint32_t request;
    uint32_t flags;
    uint32_t payload_bytes;
} VuHeader;

typedef struct VuRingState {
    uint32_t index;
    uint32_t number;            /* size, base or whether to enable */
} VuRingState;

typedef struct VuRingAddr {
    uint32_t index;
    uint32_t flags;
    uint64_t desc_user_addr;
    uint64_t used_user_addr;
    uint64_t avail_user_addr;
    uint64_t used_guest_addr;   /* for the dirty bitmap */
} VuRingAddr;

typedef struct VuRegion {
    uint64_t guest_addr;
    uint64_t bytes;
    uint64_t user_addr;
    uint64_t file_offset;
} VuRegion;

typedef struct VuTable {
    uint32_t regions;
    uint32_t padding;
    VuRegion region[VU_MAX_TABLE_REGIONS];
} VuTable;

typedef struct VuOneRegion {
    uint64_t padding;
    VuRegion region;
} VuOneRegion;

typedef struct VuLog {
    uint64_t bytes;
    uint64_t file_offset;
} VuLog;

typedef union VuPayload {
    uint64_t u64;
    VuRingState state;
    VuRingAddr addr;
    VuTable table;
    VuOneRegion region;
    VuLog log;
} VuPayload;

G_STATIC_ASSERT(sizeof(VuHeader) == 12);
G_STATIC_ASSERT(sizeof(VuRingState) == 8);
G_STATIC_ASSERT(sizeof(VuRingAddr) == 40);
G_STATIC_ASSERT(sizeof(VuRegion) == 32);
G_STATIC_ASSERT(sizeof(VuTable) == VU_MAX_PAYLOAD_BYTES);
G_STATIC_ASSERT(sizeof(VuOneRegion) == 40);
G_STATIC_ASSERT(sizeof(VuPayload) == VU_MAX_PAYLOAD_BYTES);

#endif
