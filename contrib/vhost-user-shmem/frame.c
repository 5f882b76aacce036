/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two copies of a head, and the one copy of what is behind it.
 *
 * Nearly all frames come in one segment and go into one; that is the short way
 * in both functions.
 *
 * Threads: caller-owned state.
 */
#include <string.h>

#include "frame.h"

/* Up to FRAME_HEAD_BYTES; no call, and no loop, for the usual lengths. */
static inline void copy_head(uint8_t *to, const uint8_t *from, size_t bytes)
{
    if (bytes == FRAME_HEAD_BYTES) {
        memcpy(to, from, FRAME_HEAD_BYTES);
    } else if (bytes >= 64) {
        memcpy(to, from, 64);
        if (bytes > 64) {
            memcpy(to + bytes - 64, from + bytes - 64, 64);
        }
    } else if (bytes >= 32) {
        memcpy(to, from, 32);
        memcpy(to + bytes - 32, from + bytes - 32, 32);
    } else {
        memcpy(to, from, bytes);
    }
}

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

bool frame_read(Frame *f, const VringBurst *b, const VringChain *chain,
                unsigned vnet_bytes)
{
    const VringSegment *s = &b->segment[chain->first];
    Cursor c;

    if (G_UNLIKELY(chain->bytes < vnet_bytes + FRAME_MIN_BYTES)) {
        return false;
    }
    f->bytes = chain->bytes - vnet_bytes;
    f->head_bytes = MIN(f->bytes, FRAME_HEAD_BYTES);
    f->vnet.num_buffers = 0;
    if (G_LIKELY(chain->segments == 1)) {
        memcpy(&f->vnet, s->data, FRAME_VNET_OLD_BYTES);
        copy_head(f->head, s->data + vnet_bytes, f->head_bytes);
        f->rest = s;
        f->rest_offset = vnet_bytes + f->head_bytes;
        return true;
    }
    c = cursor_at(b, chain);
    cursor_read(&c, &f->vnet, FRAME_VNET_OLD_BYTES);
    cursor_read(&c, &f->vnet.num_buffers, vnet_bytes - FRAME_VNET_OLD_BYTES);
    cursor_read(&c, f->head, f->head_bytes);
    f->rest = c.segment;
    f->rest_offset = c.offset;
    return true;
}

/* -- Write ----------------------------------------------------------------- */

/* The header in front of what takes @buffers chains; not a call for 12 bytes. */
static inline void put_vnet(uint8_t *to, const Frame *f, uint16_t buffers,
                            unsigned vnet_bytes)
{
    memcpy(to, &f->vnet, FRAME_VNET_OLD_BYTES);
    if (vnet_bytes == FRAME_VNET_BYTES) {
        buffers = GUINT16_TO_LE(buffers);
        memcpy(to + FRAME_VNET_OLD_BYTES, &buffers, sizeof(buffers));
    }
}

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
    if (at < b->n && b->chain[at].bytes < vnet_bytes) {
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

static FrameWritten write_any(const Frame *f, const VringBurst *b, unsigned *at,
                              FrameFormat format, const GuestMem *mem,
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
        return *at < b->n ? FRAME_TOO_LONG : FRAME_NO_ROOM;
    }
    if (n == 0) {
        return FRAME_NO_ROOM;
    }
    put_vnet(vnet, f, n, format.vnet_bytes);
    for (unsigned i = 0; i < n; i++, (*at)++) {
        written[*at] = fill_chain(&s, b, &b->chain[*at], mem);
    }
    return FRAME_WRITTEN;
}

FrameWritten frame_write(const Frame *f, const VringBurst *b, unsigned *at,
                         FrameFormat format, const GuestMem *mem,
                         uint32_t written[VRING_BURST])
{
    const VringChain *chain = &b->chain[*at];
    const VringSegment *to = &b->segment[chain->first];
    uint32_t rest_bytes = f->bytes - f->head_bytes, bytes;
    uint8_t *data;

    if (G_UNLIKELY(*at >= b->n || chain->segments != 1 ||
                   to->bytes < format.vnet_bytes + (uint64_t)f->bytes ||
                   (rest_bytes > 0 &&
                    rest_bytes > f->rest->bytes - f->rest_offset))) {
        return write_any(f, b, at, format, mem, written);
    }
    data = to->data;
    put_vnet(data, f, 1, format.vnet_bytes);
    data += format.vnet_bytes;
    copy_head(data, f->head, f->head_bytes);
    if (rest_bytes > 0) {
        memcpy(data + f->head_bytes, f->rest->data + f->rest_offset,
               rest_bytes);
    }
    bytes = format.vnet_bytes + f->bytes;
    guest_mem_dirty(mem, to->data, bytes);
    written[(*at)++] = bytes;
    return FRAME_WRITTEN;
}
