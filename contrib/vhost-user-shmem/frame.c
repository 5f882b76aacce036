/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames in several segments, or into several.
 *
 * Threads: caller-owned state.
 */
#include <limits.h>

#include "frame.h"

/* -- A place in a chain ---------------------------------------------------- */

typedef struct Cursor {
    const VringSegment *segment;
    uint32_t offset;            /* in it */
    unsigned left;              /* segments, this one included */
} Cursor;

static Cursor cursor_at(const VringBurst *b, const VringChain *chain)
{
    return (Cursor) {
        .segment = &b->segment[chain->first], .left = chain->segments,
    };
}

/* Goes to the next segment that has something; false at the end. */
static bool cursor_has(Cursor *c)
{
    while (c->left > 0 && c->offset == c->segment->bytes) {
        c->segment++;
        c->left--;
        c->offset = 0;
    }
    return c->left > 0;
}

/* The chain has to have @bytes more. */
static void cursor_read(Cursor *c, void *to, size_t bytes)
{
    while (bytes > 0 && cursor_has(c)) {
        size_t n = MIN(bytes, c->segment->bytes - c->offset);

        memcpy(to, c->segment->data + c->offset, n);
        to = (uint8_t *)to + n;
        c->offset += n;
        bytes -= n;
    }
}

/* -- Read ------------------------------------------------------------------ */

void frame_read_segments(Frame *f, const VringBurst *b,
                         const VringChain *chain, unsigned vnet_bytes)
{
    Cursor c = cursor_at(b, chain);
    uint8_t buffers[FRAME_VNET_BYTES - FRAME_VNET_OLD_BYTES];

    cursor_read(&c, &f->vnet, FRAME_VNET_OLD_BYTES);
    cursor_read(&c, buffers, vnet_bytes - FRAME_VNET_OLD_BYTES);
    cursor_read(&c, f->head, f->head_bytes);
    f->rest = c.segment;
    f->rest_offset = c.offset;
}

void frame_gather(const Frame *f, uint8_t *to)
{
    uint32_t bytes = f->bytes - f->head_bytes;
    Cursor c = {
        .segment = f->rest, .offset = f->rest_offset, .left = UINT_MAX,
    };

    memcpy(to, f->head, f->head_bytes);
    if (bytes > 0) {
        cursor_read(&c, to + f->head_bytes, bytes);
    }
}

void frame_copy_end(const Frame *f, uint8_t *to, uint32_t bytes)
{
    uint32_t skip = f->bytes - bytes, from_head = 0;
    Cursor c = {
        .segment = f->rest, .offset = f->rest_offset, .left = UINT_MAX,
    };

    if (skip < f->head_bytes) {
        from_head = MIN(bytes, f->head_bytes - skip);
        memcpy(to, f->head + skip, from_head);
        skip = f->head_bytes;
    }
    if (from_head < bytes) {
        for (skip -= f->head_bytes; skip > 0 && cursor_has(&c);) {
            uint32_t n = MIN(skip, c.segment->bytes - c.offset);

            c.offset += n;
            skip -= n;
        }
        cursor_read(&c, to + from_head, bytes - from_head);
    }
}

/* -- Write ----------------------------------------------------------------- */

/* What is left of a frame to be written: header, head, rest. */
typedef struct Source {
    const uint8_t *data;        /* next bytes ... */
    size_t bytes;               /* ... so many in one piece */
    const Frame *f;
    unsigned part;              /* 0: header, 1: head, 2: rest */
    Cursor rest;
    uint32_t rest_bytes;        /* behind the piece */
} Source;

static void source_next(Source *s)
{
    const Frame *f = s->f;

    if (s->part == 0) {
        s->part = 1;
        s->data = f->head;
        s->bytes = f->head_bytes;
        return;
    }
    s->part = 2;
    s->bytes = 0;
    if (s->rest_bytes > 0 && cursor_has(&s->rest)) {
        s->bytes = MIN(s->rest_bytes,
                       s->rest.segment->bytes - s->rest.offset);
        s->data = s->rest.segment->data + s->rest.offset;
        s->rest.offset += s->bytes;
        s->rest_bytes -= s->bytes;
    }
}

/* As much as fits into @chain; returns how much that was. */
static uint32_t fill_chain(Source *s, const VringBurst *b,
                           const VringChain *chain, const GuestMem *mem)
{
    uint32_t done = 0;

    for (unsigned i = 0; i < chain->segments; i++) {
        const VringSegment *to = &b->segment[chain->first + i];
        uint32_t at = 0;

        while (at < to->bytes) {
            size_t n;

            if (s->bytes == 0) {
                source_next(s);
            }
            n = MIN(s->bytes, to->bytes - at);
            if (n == 0) {
                break;
            }
            memcpy(to->data + at, s->data, n);
            s->data += n;
            s->bytes -= n;
            at += n;
        }
        guest_mem_dirty(mem, to->data, at);
        done += at;
    }
    return done;
}

/*
 * How many chains from @at on the frame takes, or 0 if there are too few; one
 * chain that is too short is FRAME_TOO_LONG's business.
 */
static unsigned chains_for(const VringBurst *b, unsigned at, uint64_t bytes,
                           unsigned vnet_bytes)
{
    uint64_t room = 0;

    /* The header has to be in the first, or the guest would not find it. */
    if (b->chain[at].bytes < vnet_bytes) {
        return 0;
    }
    for (unsigned i = at; i < b->n; i++) {
        room += b->chain[i].bytes;
        if (room >= bytes) {
            return i - at + 1;
        }
    }
    return 0;
}

FrameWritten frame_write_segments(const Frame *f, const VringBurst *b,
                                  unsigned *at, FrameFormat format,
                                  const GuestMem *mem,
                                  uint32_t written[VRING_BURST])
{
    uint8_t vnet[FRAME_VNET_BYTES];
    uint64_t bytes = format.vnet_bytes + (uint64_t)f->bytes;
    unsigned n = chains_for(b, *at, bytes, format.vnet_bytes);
    Source s = {
        .data = vnet,
        .bytes = format.vnet_bytes,
        .f = f,
        .rest = {
            .segment = f->rest, .offset = f->rest_offset, .left = UINT_MAX,
        },
        .rest_bytes = f->bytes - f->head_bytes,
    };

    if (!format.mergeable && n != 1) {
        return FRAME_TOO_LONG;
    }
    if (n == 0) {
        return FRAME_NO_ROOM;
    }
    frame_put_vnet(vnet, f, n, format.vnet_bytes);
    for (unsigned i = 0; i < n; i++, (*at)++) {
        written[*at] = fill_chain(&s, b, &b->chain[*at], mem);
    }
    return FRAME_WRITTEN;
}
