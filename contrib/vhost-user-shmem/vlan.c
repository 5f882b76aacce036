/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads: pure functions.
 */
#include "vlan.h"

G_STATIC_ASSERT(FRAME_HEAD_ROOM >= VLAN_TAG_BYTES);

/* All but the head, whose length changes by @bytes. */
static void copy_moved(Frame *to, const Frame *f, int bytes)
{
    struct virtio_net_hdr vnet = f->vnet;

    if (vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        vnet.csum_start =
            GUINT16_TO_LE(GUINT16_FROM_LE(vnet.csum_start) + bytes);
    }
    if (vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        vnet.hdr_len = GUINT16_TO_LE(GUINT16_FROM_LE(vnet.hdr_len) + bytes);
    }
    to->bytes = f->bytes + bytes;
    to->head_bytes = f->head_bytes + bytes;
    to->rest = f->rest;
    to->beside = f->beside;
    to->buffer = NULL;
    to->rest_offset = f->rest_offset;
    to->vnet = vnet;
}

void vlan_push(Frame *to, const Frame *f, uint16_t tci)
{
    copy_moved(to, f, VLAN_TAG_BYTES);
    memcpy(to->head, f->head, ETHERTYPE_AT);
    put_be16(to->head + ETHERTYPE_AT, ETH_P_8021Q);
    put_be16(to->head + ETHERTYPE_AT + 2, tci);
    memcpy(to->head + ETHERTYPE_AT + VLAN_TAG_BYTES, f->head + ETHERTYPE_AT,
           FRAME_HEAD_BYTES - ETHERTYPE_AT);
}

void vlan_pop(Frame *to, const Frame *f)
{
    copy_moved(to, f, -VLAN_TAG_BYTES);
    memcpy(to->head, f->head, ETHERTYPE_AT);
    memcpy(to->head + ETHERTYPE_AT, f->head + ETHERTYPE_AT + VLAN_TAG_BYTES,
           FRAME_HEAD_BYTES + FRAME_HEAD_ROOM - ETHERTYPE_AT - VLAN_TAG_BYTES);
}
