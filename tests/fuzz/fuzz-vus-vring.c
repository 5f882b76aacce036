/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's memory with anything in it: rings of either kind, and frames from
 * one port of the guest's into another, which has the same memory.
 *
 * Whatever is fetched lies within the guest's memory, and what is written does.
 *
 * Threads: none.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frame.h"
#include "fuzz-input.h"

#define REGION_BYTES 0x10000u
#define REGIONS 2
#define BURSTS 8

enum {
    PACKED = 1,
    EVENT_IDX = 2,
    MERGEABLE = 4,
    OLD_HEADER_OUT = 8,
    OLD_HEADER_IN = 16,
    LOG = 32,
};

static GuestMem mem, in_mem;
static uint8_t log_bits[REGIONS * REGION_BYTES / GUEST_LOG_PAGE_BYTES / 8 + 1];
static VringBurst out, in;

/* Two regions that follow each other for the guest. */
static void make_memory(void)
{
    for (unsigned i = 0; i < REGIONS && mem.n < REGIONS; i++) {
        GuestRegionSpec spec = {
            .guest_addr = i * REGION_BYTES, .bytes = REGION_BYTES,
            .user_addr = i * REGION_BYTES,
        };
        int fd = memfd_create("guest", MFD_CLOEXEC);

        assert(fd >= 0 && ftruncate(fd, REGION_BYTES) == 0);
        assert(guest_mem_add(&mem, &spec, fd, NULL));
        assert(guest_mem_add(&in_mem, &spec, fd, NULL));
        close(fd);
    }
}

static void fill_memory(FuzzInput *input)
{
    for (unsigned i = 0; i < REGIONS; i++) {
        size_t bytes = input->left_bytes < REGION_BYTES ? input->left_bytes
                                                        : REGION_BYTES;

        memset(mem.region[i].host, 0, REGION_BYTES);
        if (bytes) {
            memcpy(mem.region[i].host, input->data, bytes);
        }
        input->data += bytes;
        input->left_bytes -= bytes;
    }
}

static bool start(Vring *r, FuzzInput *input, VringKind kind, unsigned flags)
{
    VringSpec spec = {
        .kind = kind,
        .packed = flags & PACKED,
        .event_idx = flags & EVENT_IDX,
        .size = fuzz_take(input, 2),
        .desc_user_addr = fuzz_take(input, 2),
        .avail_user_addr = fuzz_take(input, 2),
        .used_user_addr = fuzz_take(input, 2),
        .log_used = flags & LOG,
        .used_guest_addr = fuzz_take(input, 3),
    };

    return vring_start(r, &spec, kind == VRING_TX ? &mem : &in_mem,
                       fuzz_take(input, 2), NULL);
}

static void check_burst(const Vring *r, const VringBurst *b)
{
    assert(b->n <= VRING_BURST);
    assert(b->segments <= G_N_ELEMENTS(b->segment));
    for (unsigned c = 0; c < b->n; c++) {
        const VringChain *chain = &b->chain[c];
        uint64_t sum = 0;

        assert(chain->id < r->size && chain->slots <= r->size);
        for (unsigned i = 0; i < chain->segments; i++) {
            const VringSegment *s = &b->segment[chain->first + i];
            bool inside = false;

            for (unsigned k = 0; k < r->mem->n; k++) {
                const uint8_t *host = r->mem->region[k].host;

                inside |= s->data >= host && s->data <= host + REGION_BYTES &&
                          s->bytes <= (size_t)(host + REGION_BYTES - s->data);
            }
            assert(inside);
            sum += s->bytes;
        }
        assert(sum == chain->bytes);
    }
}

static void forward(Vring *tx, Vring *rx, unsigned flags)
{
    FrameFormat format = {
        .vnet_bytes = flags & OLD_HEADER_IN ? FRAME_VNET_OLD_BYTES
                                            : FRAME_VNET_BYTES,
        .mergeable = flags & MERGEABLE,
    };
    uint32_t written[VRING_BURST];
    unsigned at = 0;

    vring_fetch(tx, &out, VRING_BURST);
    check_burst(tx, &out);
    vring_fetch(rx, &in, VRING_BURST);
    check_burst(rx, &in);
    for (unsigned i = 0; i < out.n; i++) {
        unsigned before = at;
        Frame f;

        if (!frame_read(&f, &out, &out.chain[i],
                        flags & OLD_HEADER_OUT ? FRAME_VNET_OLD_BYTES
                                               : FRAME_VNET_BYTES)) {
            continue;
        }
        if (frame_write(&f, &in, &at, format, &in_mem, written) ==
            FRAME_WRITTEN) {
            uint64_t sum = 0;

            assert(at > before && at <= in.n);
            for (unsigned k = before; k < at; k++) {
                assert(written[k] <= in.chain[k].bytes);
                sum += written[k];
            }
            assert(sum == format.vnet_bytes + (uint64_t)f.bytes);
        } else {
            assert(at == before);
        }
    }
    if (out.n) {
        vring_complete(tx, &out, out.n, NULL);
    }
    if (at) {
        vring_complete(rx, &in, at, written);
    }
    vring_wants_kick(tx);
    vring_wants_kick(rx);
    vring_ask_kicks(tx, at % 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput input = { data, size };
    unsigned flags = fuzz_take(&input, 1);
    Vring tx, rx;

    make_memory();
    if (!start(&tx, &input, VRING_TX, flags) ||
        !start(&rx, &input, VRING_RX, flags)) {
        return 0;
    }
    fill_memory(&input);
    in_mem.log = flags & LOG ? log_bits : NULL;
    in_mem.log_pages = REGIONS * REGION_BYTES / GUEST_LOG_PAGE_BYTES;
    for (unsigned i = 0; i < BURSTS; i++) {
        forward(&tx, &rx, flags);
    }
    in_mem.log = NULL;
    return 0;
}
