/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The outer VLAN tag (IEEE 802.1Q) of a frame: read, put in, taken out.
 *
 * Copies are made, because one frame may leave with a tag and without.  Only
 * the head moves; the rest stays in the sender's buffers.  Places that the
 * virtio-net header names move with it.
 *
 * Threads: pure functions.
 */
#ifndef VUS_VLAN_H
#define VUS_VLAN_H

#include "frame-headers.h"

/*
 * Of the outer tag, if it is a C-tag.  An S-tag (802.1ad) is as good as none:
 * what is behind it is the guest's own affair.
 */
static inline bool vlan_tag(const Frame *f, uint16_t *tci)
{
    if (f->head_bytes < FRAME_MIN_BYTES + VLAN_TAG_BYTES ||
        get_be16(f->head + ETHERTYPE_AT) != ETH_P_8021Q) {
        return false;
    }
    *tci = get_be16(f->head + ETHERTYPE_AT + 2);
    return true;
}

/* @to is @f with a tag more.  @f is as it was read, without one put in. */
void vlan_push(Frame *to, const Frame *f, uint16_t tci);

/* @to is @f, which has vlan_tag(), without it. */
void vlan_pop(Frame *to, const Frame *f);

#endif
