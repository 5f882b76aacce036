/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A frame with any virtio-net header, in buffers cut in any way: checked,
 * tagged, and converted for a receiver that accepts anything or nothing.
 *
 * What is approved is what its header says it is, and what is converted is what
 * the model of the unit tests makes of it.
 *
 * Threads: none.
 */
#include <stdbool.h>

#include "frame-headers.h"
#include "fuzz-input.h"
#include "l4-model.h"
#include "offload.h"
#include "spoof.h"
#include "vlan.h"

#define ECN 0x80
#define MAX_PIECES 60

enum {
    PUSH = 1,                       /* a tag is put in before it is converted */
    POP = 2,                        /* or taken out */
};

static Offload *offload;
static VringBurst burst;
static uint8_t sent[L4_MODEL_MAX_BYTES];

/*
 * The rest of @input, in pieces of @piece_bytes (0: one); false if that is no
 * frame.
 */
static bool receive(FuzzInput *input, unsigned piece_bytes, Frame *f)
{
    burst.n = 1;
    burst.segments = 0;
    burst.chain[0] = (VringChain) { .bytes = input->left_bytes };
    while (input->left_bytes > 0) {
        size_t bytes = input->left_bytes;
        uint8_t *data;

        if (piece_bytes > 0 && burst.segments + 1 < MAX_PIECES &&
            bytes > piece_bytes) {
            bytes = piece_bytes;
        }
        data = malloc(bytes);
        assert(data);
        memcpy(data, input->data, bytes);
        input->data += bytes;
        input->left_bytes -= bytes;
        burst.segment[burst.segments++] = (VringSegment) { data, bytes };
    }
    burst.chain[0].segments = burst.segments;
    return frame_read(f, &burst, &burst.chain[0], FRAME_VNET_OLD_BYTES);
}

/* May such a frame be given to a guest? */
static void check_approved(const Frame *f, size_t bytes, uint8_t allowed)
{
    const struct virtio_net_hdr *vnet = &f->vnet;
    unsigned start = GUINT16_FROM_LE(vnet->csum_start);
    unsigned field = start + GUINT16_FROM_LE(vnet->csum_offset);
    L4Model m;

    assert(vnet->flags == VIRTIO_NET_HDR_F_NEEDS_CSUM);
    assert(!(offload_needs(f) & ~(allowed | OFFLOAD_ECN)));
    assert(start >= FRAME_MIN_BYTES && field + 2 <= f->head_bytes);
    if (l4_model_parse(sent, bytes, &m)) {
        assert(field == m.csum || start >= m.l4 + 8);
    }
    if (vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
        assert(vnet->gso_size != 0);
        assert(l4_model_parse(sent, bytes, &m));
        assert(start == m.l4 && field == m.csum);
        assert(GUINT16_FROM_LE(vnet->hdr_len) == m.payload);
        assert(m.payload < bytes && m.payload <= f->head_bytes);
        assert(m.protocol == 17 ||
               !(vnet->gso_type & ECN) == !(sent[m.l4 + 13] & 0x80));
    }
}

static void convert(const Frame *f, uint8_t accepted)
{
    size_t bytes = l4_model_flatten(f, sent);
    unsigned size = GUINT16_FROM_LE(f->vnet.gso_size), n;
    const Frame *const *out;

    n = offload_convert(offload, f, accepted, &out);
    if (!(offload_needs(f) & ~accepted)) {
        assert(n == 1 && out[0] == f);
    } else if (n == 0) {
        assert(size > 0 && (bytes - 1) / size >= OFFLOAD_MAX_SEGMENTS);
    } else {
        assert(!l4_model_check(sent, bytes, &f->vnet, out, n, true));
    }
}

/* A tag that is put in and taken out again leaves nothing. */
static void check_tags(const Frame *f)
{
    Frame pushed, popped;
    uint16_t tci = 0;

    vlan_push(&pushed, f, 0x1234);
    assert(vlan_tag(&pushed, &tci) && tci == 0x1234);
    vlan_pop(&popped, &pushed);
    assert(popped.bytes == f->bytes && popped.head_bytes == f->head_bytes);
    assert(memcmp(&popped.vnet, &f->vnet, sizeof(f->vnet)) == 0);
    assert(memcmp(popped.head, f->head, f->head_bytes) == 0);
}

static void run(Frame *f, uint8_t allowed, uint8_t accepted, unsigned how)
{
    static const PortIp own[] = {
        { .addr = { 10, 0, 0, 1 } },
        { .is_v6 = true, .addr = { 0x20, 0x01, 0x0d, 0xb8 } },
    };
    size_t bytes = l4_model_flatten(f, sent);
    Frame retagged;
    uint16_t tci;

    spoof_ip_ok(f, own, G_N_ELEMENTS(own));
    if (!offload_is_plain(f)) {
        if (!offload_check(f, allowed)) {
            return;
        }
        assert(memcmp(f->head, sent, f->head_bytes) == 0 && f->bytes == bytes);
    }
    if (!offload_is_plain(f)) {
        check_approved(f, bytes, allowed);
    }
    check_tags(f);
    if (how & PUSH) {
        vlan_push(&retagged, f, 0x4567);
        f = &retagged;
    } else if (how & POP && vlan_tag(f, &tci)) {
        vlan_pop(&retagged, f);
        f = &retagged;
    }
    convert(f, accepted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = { data, size };
    uint8_t allowed = fuzz_take(&input, 1), accepted = fuzz_take(&input, 1);
    unsigned how = fuzz_take(&input, 1), piece_bytes = fuzz_take(&input, 1);
    Frame f;

    if (!offload) {
        offload = offload_new();
    }
    if (receive(&input, piece_bytes, &f)) {
        run(&f, allowed, accepted, how);
    }
    for (unsigned i = 0; i < burst.segments; i++) {
        free(burst.segment[i].data);
    }
    return 0;
}
